//! Which frames ask something that can be answered in somebody's place? ARP (RFC 826, RFC 5227), Neighbor Discovery (RFC 4861 4.3) and DHCP
//! (RFC 2131, RFC 8415), read strictly; and the frames that are sent instead.
//!
//! ```text
//!              ┌─ Ok(None) ───────► nothing for a proxy: the table answers
//!   asked(frame)─ Err(Unproxied) ─► looks like a question, and must not be answered: dropped, with the reason (DHCP: see is_dhcp)
//!              └─ Ok(Some(Asked)) ─ Arp ──► reply ─────► injected to the port that asked
//!                                   Ndp ──► reply ─────► injected to the port that asked
//!                                   Dhcp ─► redirect ──► resent, to one server instead of everybody
//! ```
//!
//! Pure functions over bytes that a tenant chose: no clock, no I/O, memory for one frame. A proxy speaks in the name of somebody who has not
//! been asked, so what that somebody would ignore is not answered either.
//!
//! **How much of the frame is needed.** An ARP request is told from its first 28 bytes behind the Ethernet header and VLAN tags. A
//! solicitation and a DHCP message are needed whole, because a checksum covers all of them, and because a DHCP message is sent on: a copy that
//! was cut shorter than its IP header says is [`Unproxied::Short`]. Padding behind the packet may be there, cut or gone.
//!
//! **What is not looked for.** Behind a third VLAN tag, and behind IPv6 extension headers, nothing is found: no stack sends a solicitation
//! or a DHCP message that way, and in fragments a solicitation is void (RFC 6980 5). Such frames are the table's, as all others.
#![forbid(unsafe_code)]

mod arp;
mod claim;
mod dhcp;
mod link;
mod ndp;

pub use arp::{ArpRequest, gratuitous_arp};
pub use claim::{claimed, is_of_a_station};
pub use dhcp::{DhcpRequest, DhcpVersion};
pub use ndp::{Solicitation, unsolicited_advertisement};

use link::{Link, ipv4, ipv6};
use overlay_decoder::Mac;
use overlay_decoder::layer::number::{ethertype, ip};
use std::fmt;

/// What a frame asks that a proxy can answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Who has this IPv4 address?
    Arp(ArpRequest),
    /// Who has this IPv6 address?
    Ndp(Solicitation),
    /// Which address do I get? Or anything else that a DHCP client asks all servers.
    Dhcp(DhcpRequest),
}

/// What a frame asks: the frame from its Ethernet header on, with up to two VLAN tags (IEEE 802.1Q, 802.1ad).
///
/// `Ok(None)` is a frame that no proxy answers. That includes ARP replies that are not gratuitous, solicitations to one station (RFC 4861
/// 7.3.3: is the neighbour still there? Only it can say), DHCP messages to one server, and frames of which too little is there to tell.
///
/// # Errors
/// If the frame is such a question, and must not be answered. It is of no use to anybody else either: what is sent to a group is best
/// dropped. A DHCP message ([`is_dhcp`]) is only if its sender has a server; if not, it was nothing for a proxy from the start.
pub fn asked(frame: &[u8]) -> Result<Option<Asked>, Unproxied> {
    let Some((link, packet)) = Link::parse(frame) else { return Ok(None) };
    match link.ethertype {
        ethertype::ARP => Ok(arp::request(&link, packet)?.map(Asked::Arp)),
        ethertype::IPV4 if link.dst == Mac::BROADCAST => match ipv4(packet) {
            Some(header) if header.protocol == ip::UDP => Ok(dhcp::request_v4(&link, &header, packet, frame)?.map(Asked::Dhcp)),
            _ => Ok(None),
        },
        ethertype::IPV6 if link.dst.is_group() => match ipv6(packet) {
            Some((header, rest)) if header.next_header == ip::ICMPV6 => Ok(ndp::solicitation(&link, &header, rest)?.map(Asked::Ndp)),
            Some((header, rest)) if header.next_header == ip::UDP => Ok(dhcp::request_v6(&link, &header, rest, frame)?.map(Asked::Dhcp)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Whether a frame that [`asked`] refuses is one of DHCP: of what is read there, only that is carried in UDP.
#[must_use]
pub fn is_dhcp(frame: &[u8]) -> bool {
    let Some((link, packet)) = Link::parse(frame) else { return false };
    match link.ethertype {
        ethertype::IPV4 => ipv4(packet).is_some_and(|header| header.protocol == ip::UDP),
        ethertype::IPV6 => ipv6(packet).is_some_and(|(header, _)| header.next_header == ip::UDP),
        _ => false,
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// Why a question must not be answered. The list is closed; its words are what probes and logs print.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Unproxied {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Unproxied {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The reason in one word.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What was found, in a sentence or two.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

reasons! {
    /// The frame ends before what its headers announce: the copy of it was cut, or its sender miscounted.
    Short = "short";
    /// The lengths that the headers state contradict one another, or are too small for the message.
    Length = "length";
    /// The addresses are not those of Ethernet and IPv4 (ARP), or the client is no Ethernet station (DHCP).
    Foreign = "foreign";
    /// An ARP message that asks for its own sender's address: an announcement, which needs no answer (RFC 5227 3).
    Gratuitous = "gratuitous";
    /// The sender cannot be one station, or the message names another than the frame.
    Sender = "sender";
    /// The address asked for cannot be that of one station: unspecified, multicast, broadcast or loopback.
    Target = "target";
    /// The frame or the packet was sent to a group in which whoever has to answer is not.
    Destination = "destination";
    /// The hop limit is not 255: a router has passed the solicitation on, or somebody behind one has made it up (RFC 4861 7.1.1).
    Routed = "routed";
    /// A checksum is wrong.
    Checksum = "checksum";
    /// The code of the ICMPv6 message is not 0 (RFC 4861 7.1.1).
    Code = "code";
    /// An option has no length or overruns the message, or the source link-layer address is missing or out of place (RFC 4861 4.3, 7.1.1).
    Option = "option";
    /// The packet is a fragment of one.
    Fragment = "fragment";
    /// The DHCP message is none that clients send.
    Message = "message";
}

impl fmt::Display for Unproxied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests;
