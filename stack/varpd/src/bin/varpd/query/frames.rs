//! What do the frames look like that tenants ask with?

use overlay_decoder::Mac;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Smallest frame without its checksum (IEEE 802.3 3.2.8).
const SHORTEST: usize = 60;

/// A frame with nothing in it.
pub(super) fn header(source: Mac, destination: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = [&destination.0[..], &source.0, &ethertype.to_be_bytes()].concat();
    frame.resize(SHORTEST, 0);
    frame
}

/// Who has `target`? (RFC 826.) The asker has no address yet, as in a probe (RFC 5227 2.1.1): it is answered all the same.
pub(super) fn arp_request(source: Mac, target: Ipv4Addr) -> Vec<u8> {
    // Ethernet, IPv4, lengths of their addresses, request.
    let fixed = [0, 1, 8, 0, 6, 4, 0, 1];
    let mut frame = header(source, Mac::BROADCAST, 0x0806);
    frame.truncate(14);
    frame.extend([&fixed[..], &source.0, &[0; 4], &[0; 6], &target.octets()].concat());
    frame.resize(SHORTEST, 0);
    frame
}

/// Who has `target`? (RFC 4861 4.3.) To the group of its last 24 bits (RFC 4291 2.7.1), from the link-local address of `source`.
pub(super) fn solicitation(source: Mac, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    let [d, e, f, g, h, i] = source.0;
    // RFC 4291 appendix A: the seventh bit of the MAC is turned round.
    let from = Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, d ^ 2, e, f, 0xff, 0xfe, g, h, i]);
    // Type 135, code 0, checksum, reserved; the target; the source link-layer address as an option.
    let mut message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), &[1, 1], &source.0].concat();
    let sum = checksum(from, group, &message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    let mut frame = header(source, Mac([0x33, 0x33, 0xff, a, b, c]), 0x86dd);
    frame.truncate(14);
    // Version 6, payload length, next header ICMPv6, hop limit 255.
    frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, 58, 255]);
    frame.extend([&from.octets()[..], &group.octets(), &message].concat());
    frame
}

/// Of ICMPv6 (RFC 4443 2.3), over the pseudo-header and the message.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let pseudo = [&from.octets()[..], &to.octets(), &(message.len() as u32).to_be_bytes(), &[0, 0, 0, 58], message].concat();
    let pair = |pair: &[u8]| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    };
    let mut sum: u32 = pseudo.chunks(2).map(pair).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
