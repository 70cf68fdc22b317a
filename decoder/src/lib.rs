//! What is in this packet? Bytes in; layers, and three renderings of them, out.
//!
//! Overlay networks put a packet into a packet. This library reads both, and everything between, without I/O, clock, threads or
//! `unsafe`:
//!
//! ```text
//!  bytes ──► Walker ──► Packet { layers, stop, gso } ──┬─► render::line    one line: outer, tunnel and VNI, inner
//!            (walk)     zero-copy, no allocation       ├─► render::layers  a line per layer
//!                                                      ├─► render::tree    every field, offsets, checksums
//!                                                      ├─► render::json    one object, layers outermost first
//!                                                      └─► flow::FlowKey   the conversation, VNI included
//! ```
//!
//! Two rules hold everywhere. **No packet is refused:** the walk returns every layer that it could read and says why it stopped
//! ([`Stop`]). **Every field has one name:** a header names its fields once ([`fields::Fields`]), and all renderings, filters and
//! documents use that name.
//!
//! ```
//! use overlay_decoder::{LinkType, Walker, render, text::Text};
//!
//! let frame = [
//!     &[0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x06][..],                                   // Ethernet, ARP
//!     &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2][..],    // who has 10.0.0.2?
//! ]
//! .concat();
//! let mut walker = Walker::default();
//! let packet = walker.walk(&frame, 42, LinkType::ETHERNET);
//! let mut out = Text::new();
//! render::line(&packet, &render::Style::default(), &mut out);
//! assert_eq!(out.as_bytes(), b"arp who-has 10.0.0.2 tell 10.0.0.1");
//! ```
#![forbid(unsafe_code)]

pub mod addr;
pub mod checksum;
pub mod fields;
pub mod flow;
pub mod layer;
mod link;
pub mod names;
pub mod packet;
mod pen;
pub mod render;
#[cfg(test)]
mod sample;
mod stop;
pub mod text;
mod walk;

pub use addr::{Mac, Ul3, Vni};
pub use layer::{Body, Layer, LayerKind};
pub use link::{LinkType, Timestamp};
pub use packet::{Gso, Meta, Packet};
pub use stop::{Stop, StopKind};
pub use walk::{Config, MAX_LAYERS, UdpTunnel, Walker};
