//! How do overlayd, which asks where frames go, and varpd, which knows, talk to each other? `docs/lookup-protocol.md` in code.
//!
//! ```text
//!  overlayd                        SOCK_SEQPACKET lookup.sock                        varpd
//!     │ ◄───────────────── hello: versions, plugins ─────────────────────────────────── │
//!     │ ── welcome · instance · instance · complete ──────────────────────────────────► │
//!     │ ── lookup · lookup · lookup ──────────────────────────────────────────────────► │   one packet has
//!     │ ◄──────────── reach · drop · inject ─────────────────────────────────────────── │   many messages
//!     │ ◄──────────── target-set · invalidate · state ───────────────────────────────── │
//!     │ ── ping ───► ◄── pong ───────────────────────────────────────────────────────── │
//! ```
//!
//! A packet is a sequence of messages, a message a header of eight bytes and a body. What is frequent has a fixed layout, what is rare
//! is JSON. Numbers are little-endian. A message of an unknown type is skipped, and so is what follows the known part of a known one:
//! both sides can be newer than the other.

mod decode;
mod describe;
mod encode;
mod message;

pub use decode::{ChannelError, answers, questions};
pub use describe::{Declaration, DeclaredKind, Hello, Instance, PluginInfo, Request, Verified, VnicInfo, Welcome};
pub use encode::Packets;
pub use message::{FromOverlayd, FromVarpd};

/// The version of the protocol that is described here.
pub const VERSION: u32 = 1;
/// Bytes that a packet has at most.
pub const PACKET_MAX: usize = 65_536;
/// Bytes of a message's header: length of the whole message (u32), type (u16), and zero (u16).
pub const HEADER: usize = 8;
/// Bytes that the frame of a message has at most: what is left in a packet of its own.
pub const FRAME_MAX: usize = PACKET_MAX - 64;
/// Destinations that an answer names at most.
pub const DESTINATIONS_MAX: usize = crate::DESTINATIONS_MAX;
/// Says "the device's default" where milliseconds are told.
const TTL_DEFAULT: u64 = u64::MAX;
/// Says "no VLAN tag".
const VLAN_NONE: u16 = u16::MAX;
/// Bytes of a destination: IPv6 address (IPv4 mapped, RFC 4291 2.5.5.2), port or zero (u16), and zero (u16).
const DESTINATION: usize = 20;

/// Types of messages; below 128 varpd sends them, from 128 on overlayd.
mod kind {
    pub(super) const HELLO: u16 = 1;
    pub(super) const REACH: u16 = 2;
    pub(super) const DROP: u16 = 3;
    pub(super) const INJECT: u16 = 4;
    pub(super) const RESEND: u16 = 5;
    pub(super) const STATE: u16 = 6;
    pub(super) const VERIFIED: u16 = 7;
    pub(super) const TARGET_SET: u16 = 8;
    pub(super) const TARGET_INVALIDATE: u16 = 9;
    pub(super) const TARGET_FLUSH: u16 = 10;
    pub(super) const DEVICE_INJECT: u16 = 11;
    pub(super) const DEVICE_RESEND: u16 = 12;
    pub(super) const PONG: u16 = 13;
    pub(super) const WELCOME: u16 = 129;
    pub(super) const REFUSED: u16 = 130;
    pub(super) const INSTANCE: u16 = 131;
    pub(super) const INSTANCE_REMOVED: u16 = 132;
    pub(super) const COMPLETE: u16 = 133;
    pub(super) const LOOKUP: u16 = 134;
    pub(super) const WITHDRAW: u16 = 135;
    pub(super) const VERIFY: u16 = 136;
    pub(super) const PING: u16 = 137;
    pub(super) const VNIC_ADDED: u16 = 138;
    pub(super) const VNIC_REMOVED: u16 = 139;
    pub(super) const VNIC_CHANGED: u16 = 140;
}

#[cfg(test)]
mod tests;
