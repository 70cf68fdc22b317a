//! Who has this IPv4 address? ARP requests (RFC 826), probes and announcements (RFC 5227).
//!
//! Answered are requests that ask for one station's address, whether sent to all or, to see if it is still there, to one (RFC 1122
//! 2.3.2.1). A **probe** (sender address 0.0.0.0, RFC 5227 2.1.1) is answered, too: whoever probes wants to hear that an address is taken,
//! and its owner, to whom the probe does not get, would say so. A **gratuitous** request is refused: it asks nothing, and its sender
//! would take an answer with another MAC for a conflict (RFC 5227 2.4).

use super::Unproxied;
use super::link::{Link, Tags, begin};
use overlay_decoder::Mac;
use overlay_decoder::layer::Arp;
use overlay_decoder::layer::number::ethertype;
use std::net::Ipv4Addr;

/// A sound ARP request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArpRequest {
    tags: Tags,
    message: Arp,
}

impl ArpRequest {
    /// The address that is asked for: never unspecified, multicast, broadcast or loopback.
    #[must_use]
    pub const fn target(&self) -> Ipv4Addr {
        self.message.target_ip
    }

    /// Who asks: its MAC, which is also the source of the frame, and its address, 0.0.0.0 in a probe.
    #[must_use]
    pub const fn sender(&self) -> (Mac, Ipv4Addr) {
        (self.message.sender_mac, self.message.sender_ip)
    }

    /// Whether this is a probe (RFC 5227 2.1.1): may I have this address?
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.message.sender_ip.is_unspecified()
    }

    /// The frame that says that `mac` has the address: to the station that asks, in its VLAN, 42 bytes and the tags. Whoever puts it on
    /// a wire of Ethernet pads it.
    ///
    /// To a probe of `mac` itself this must not be said: it would give its own address up (RFC 5227 2.1.1).
    #[must_use]
    pub fn reply(&self, mac: Mac) -> Vec<u8> {
        // RFC 826, packet reception: sender and target change places. To a probe too: its sender address stays 0.0.0.0.
        let Arp { sender_mac, sender_ip, target_ip, .. } = self.message;
        let reply = Arp {
            operation: Arp::REPLY,
            sender_mac: mac,
            sender_ip: target_ip,
            target_mac: sender_mac,
            target_ip: sender_ip,
            ..self.message
        };
        frame(sender_mac, &self.tags, &reply)
    }
}

/// An announcement (RFC 5227 2.3): `ip` is at `mac` from now on. To [`Mac::BROADCAST`], or to one station whose memory of it is old. Of the
/// VLAN id, the lower 12 bits count.
#[must_use]
pub fn gratuitous_arp(ip: Ipv4Addr, mac: Mac, to: Mac, vlan: Option<u16>) -> Vec<u8> {
    let announcement = Arp {
        hardware: 1,
        protocol: ethertype::IPV4,
        hardware_length: 6,
        protocol_length: 4,
        operation: Arp::REQUEST,
        sender_mac: mac,
        sender_ip: ip,
        // Of no meaning in a request; RFC 5227 2.1.1 wants zeros.
        target_mac: Mac::default(),
        target_ip: ip,
    };
    frame(to, &Tags::of(vlan), &announcement)
}

fn frame(to: Mac, tags: &Tags, message: &Arp) -> Vec<u8> {
    let mut frame = begin(to, message.sender_mac, tags, ethertype::ARP, Arp::LENGTH);
    frame.extend_from_slice(&message.emit());
    frame
}

/// Reads an ARP message; only requests and what is gratuitous are a proxy's.
pub(super) fn request(link: &Link, packet: &[u8]) -> Result<Option<ArpRequest>, Unproxied> {
    let fixed = packet.first_chunk::<{ Arp::FIXED }>().ok_or(Unproxied::Short)?;
    let operation = u16::from_be_bytes([fixed[6], fixed[7]]);
    // A reply can be gratuitous, too (RFC 5227 3); any other is for whoever asked, however it looks.
    let no_question = |why| if operation == Arp::REQUEST { Err(why) } else { Ok(None) };
    if !matches!(operation, Arp::REQUEST | Arp::REPLY) {
        return Ok(None);
    }
    if !Arp::is_ethernet_ipv4(fixed) {
        return no_question(Unproxied::Foreign);
    }
    let Some(message) = packet.first_chunk().map(Arp::parse) else { return no_question(Unproxied::Short) };
    if message.is_gratuitous() {
        return Err(Unproxied::Gratuitous);
    }
    // RFC 5227 1.1 and 2.1.1: both MACs are the interface's. A request in which they differ would fill somebody else's ARP table.
    let known = message.sender_ip.is_unspecified() || is_host(message.sender_ip);
    if !known || link.sender() != Ok(message.sender_mac) {
        return no_question(Unproxied::Sender);
    }
    if !is_host(message.target_ip) {
        return no_question(Unproxied::Target);
    }
    Ok((operation == Arp::REQUEST).then_some(ArpRequest { tags: link.tags, message }))
}

/// Whether an address can be that of one station on a link (RFC 1122 3.2.1.3). The broadcast address of a subnet is not known here.
pub(super) fn is_host(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_loopback())
}
