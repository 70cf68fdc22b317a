//! Which frames do the tests send? Small sound ones, to be changed.

use super::Inner;
use overlay_decoder::layer::number::ethertype;
use overlay_decoder::layer::{Ethernet, Ipv4, Ipv6, Vlan};
use overlay_decoder::{Mac, checksum};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const SOURCE: Mac = Mac([2, 8, 0x20, 10, 0, 1]);
pub(crate) const DESTINATION: Mac = Mac([2, 8, 0x20, 10, 0, 2]);

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&Ethernet { src: SOURCE, dst: DESTINATION, ethertype }.emit()[..], payload].concat()
}

/// A frame with its VLAN tags, outermost first.
pub(crate) fn tagged(ids: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut tags = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let ethertype = if index + 1 == ids.len() { ethertype } else { ethertype::VLAN };
        tags.extend(Vlan { priority: 5, drop_eligible: false, id: *id, ethertype, tpid: 0 }.emit());
    }
    ethernet(if ids.is_empty() { ethertype } else { ethertype::VLAN }, &[&tags, payload].concat())
}

/// A sound IPv4 packet from 10.0.0.1 to 10.0.0.2, after `change`.
pub(crate) fn ipv4(protocol: u8, payload: &[u8], change: impl Fn(&mut Ipv4)) -> Vec<u8> {
    let mut header = Ipv4 {
        header_length: 20,
        tos: 0,
        total_length: u16::try_from(payload.len() + 20).unwrap_or(0),
        id: 9,
        dont_fragment: true,
        more_fragments: false,
        reserved_flag: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        checksum: 0,
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
    };
    change(&mut header);
    header.checksum = checksum::internet(&header.emit());
    [&header.emit()[..], payload].concat()
}

/// An IPv6 packet from fd00::1 to fd00::2, after `change`.
pub(crate) fn ipv6(next_header: u8, payload: &[u8], change: impl Fn(&mut Ipv6)) -> Vec<u8> {
    let [src, dst] = [1, 2].map(|low| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low));
    let payload_length = u16::try_from(payload.len()).unwrap_or(0);
    let mut header =
        Ipv6 { traffic_class: 0, flow_label: 0, payload_length, next_header, hop_limit: 64, src, dst, upper_protocol: next_header };
    change(&mut header);
    [&header.emit()[..], payload].concat()
}

/// The start of a TCP segment, UDP datagram or anything else with ports.
pub(crate) fn from_ports(source: u16, destination: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0; 16]].concat()
}

pub(crate) fn parse(frame: &[u8]) -> Inner {
    Inner::parse(frame).expect("a whole Ethernet header")
}
