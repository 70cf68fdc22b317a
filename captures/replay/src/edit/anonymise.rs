//! Who is it, without saying who? Every station gets another address, the same one everywhere, and what the packets carry is blanked.
//!
//! Addresses keep their common prefixes: two hosts of one network are of one network afterwards (Xu, Fan, Ammar and Moon, "Prefix-Preserving
//! IP Address Anonymization", 2002, 3). So nothing can collide, and no table is needed: the key alone decides, and captures that were made
//! anonymous with one key fit together. Group addresses, and those with a meaning of their own, stay.
//!
//! What is behind the last header that the decoder reads is written over with zeros, and so are options that may name stations. What is
//! between, such as virtual networks, ports, times and lengths, stays.

use super::frame::{Frame, Layers, Refusal};
use super::place::{Field, Value};
use super::rewrite::{self, Reach};
use super::siphash::siphash;
use overlay_decoder::Mac;
use overlay_decoder::layer::{Body, Geneve, Icmpv6, Ipv4, Ipv6Ext, LayerKind, Nsh, number};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Stations that are remembered, so that a scan of all addresses cannot fill the memory.
const KNOWN_MAX: usize = 1 << 18;

/// Gives stations their other addresses.
pub(crate) struct Anonymiser {
    key: [u64; 2],
    known: HashMap<Bits, Bits>,
}

/// An address with its width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Bits {
    bits: u128,
    width: u8,
}

impl Anonymiser {
    /// With a key of 16 bytes.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let [low, high] = [0, 8].map(|at| super::frame::array(&key, at).map_or(0, u64::from_le_bytes));
        Self { key: [low, high], known: HashMap::new() }
    }

    /// Makes a packet anonymous. It is a matter of the caller to make its checksums right.
    pub(crate) fn apply(&mut self, frame: &mut Frame, layers: &Layers) -> Result<(), Refusal> {
        rewrite::visit(frame, layers, Reach::Messages, &mut |_, found, value| match (found.field, value) {
            (Field::Mac, Value::Mac(mac)) => Some(Value::Mac(self.mac(mac))),
            (Field::Ip, Value::Ip(ip)) => Some(Value::Ip(self.ip(ip))),
            _ => None,
        });
        blank(frame, layers)
    }

    fn mac(&mut self, mac: Mac) -> Mac {
        if mac.is_group() || mac == Mac::default() {
            return mac;
        }
        let [a, b, c, d, e, f] = mac.0;
        let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        // The two lowest bits of the first byte say that it is one station's, and who gave it the address (IEEE 802-2014 8.2).
        let [_, _, a, b, c, d, e, f] = (self.other(bits.into(), 48, |place| place == 6 || place == 7) as u64).to_be_bytes();
        Mac([a, b, c, d, e, f])
    }

    fn ip(&mut self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => {
                IpAddr::V4(self.walk(ip, keeps_v4, |this, ip| Ipv4Addr::from_bits(this.other(ip.to_bits().into(), 32, |_| false) as u32)))
            }
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                let (prefix, host) = (ip.to_bits() >> 64 << 64, ip.to_bits() & u128::from(u64::MAX));
                let place = prefix | self.other(host, 64, |_| false);
                IpAddr::V6(Ipv6Addr::from_bits(place))
            }
            IpAddr::V6(ip) => IpAddr::V6(self.walk(ip, keeps_v6, |this, ip| Ipv6Addr::from_bits(this.other(ip.to_bits(), 128, |_| false)))),
        }
    }

    /// Another address that is none of those with a meaning. The change is a permutation, so this comes to an end, at the latest
    /// where it began, and is a permutation of all others.
    fn walk<A: Copy>(&mut self, ip: A, keeps: fn(A) -> bool, change: impl Fn(&mut Self, A) -> A) -> A {
        if keeps(ip) {
            return ip;
        }
        let mut other = change(self, ip);
        while keeps(other) {
            other = change(self, other);
        }
        other
    }

    /// A bit is turned over or not by what stands before it, and nothing else: so common prefixes stay common.
    fn other(&mut self, bits: u128, width: u8, stays: impl Fn(u8) -> bool) -> u128 {
        let asked = Bits { bits, width };
        if let Some(known) = self.known.get(&asked) {
            return known.bits;
        }
        let mut other = bits;
        for place in (0..width).filter(|place| !stays(*place)) {
            let prefix = bits >> (width - 1 - place) >> 1;
            let mut data = [0; 18];
            data[..16].copy_from_slice(&prefix.to_be_bytes());
            data[16..].copy_from_slice(&[width, place]);
            other ^= u128::from(siphash(self.key, &data) & 1) << (width - 1 - place);
        }
        if self.known.len() < KNOWN_MAX {
            self.known.insert(asked, Bits { bits: other, width });
        }
        other
    }
}

/// This network, loopback, groups, what is reserved, broadcast.
const fn keeps_v4(ip: Ipv4Addr) -> bool {
    matches!(ip.octets()[0], 0 | 127 | 224..)
}

/// Nobody, loopback, groups; addresses of a link have a way of their own.
const fn keeps_v6(ip: Ipv6Addr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_unicast_link_local()
}

/// Writes zeros over what is no header, and over options that may name stations.
fn blank(frame: &mut Frame, layers: &Layers) -> Result<(), Refusal> {
    let mut kept = 0;
    let mut quoted = None;
    let mut fragment = false;
    for (index, layer) in layers.all.iter().enumerate() {
        let (at, end) = (layer.offset as usize, layer.end());
        match layer.body {
            // What is no MAC was not replaced; behind one there may be anything.
            Body::Sll(header) => fill(frame, at + 6 + mac_length(header.hardware, header.address_length), at + 14),
            Body::Sll2(header) => fill(frame, at + 12 + mac_length(header.hardware, header.address_length.into()), at + 20),
            Body::Payload(_) | Body::Dns(_) | Body::Dhcp(_) | Body::Dhcpv6(_) | Body::Svp(_) | Body::Lldp(_) | Body::Stp(_) => break,
            // End of options, and padding of one byte.
            Body::Ipv4(header) => {
                fill(frame, at + Ipv4::LENGTH, end);
                fragment |= header.is_fragment();
            }
            Body::Ipv6Ext(header) => match header.header {
                number::ip::ROUTING => fill(frame, at + Ipv6Ext::LENGTH, end),
                number::ip::FRAGMENT => fragment |= header.fragment.is_some_and(|part| part.more || part.offset > 0),
                _ if Ipv6Ext::jumbo_length(frame.bytes.get(at..end).unwrap_or_default()).is_some() => {}
                number::ip::HOP_BY_HOP | number::ip::DESTINATION => fill(frame, at + 2, end),
                _ => {}
            },
            // The context, of either type (RFC 8300 2.4 and 2.5).
            Body::Nsh(_) => fill(frame, at + Nsh::LENGTH, end),
            Body::Geneve(_) => blank_options(frame, at + Geneve::LENGTH, end),
            Body::Icmp(header) if matches!(header.kind, 3 | 4 | 5 | 11 | 12) => quoted = Some(end),
            Body::Icmpv6(header) if header.is_error() => quoted = Some(end),
            Body::Icmpv6(header) if matches!(header.kind, Icmpv6::ROUTER_SOLICITATION..=Icmpv6::REDIRECT) => {
                if fragment {
                    blank_fragment(frame, layers, index)?;
                }
                kept = blank_discovery(frame, header, end);
                continue;
            }
            _ => {}
        }
        kept = end;
        let carries_sum = matches!(layer.kind(), LayerKind::Tcp | LayerKind::Udp | LayerKind::Icmp | LayerKind::Icmpv6 | LayerKind::Sctp);
        if fragment && carries_sum {
            blank_fragment(frame, layers, index)?;
        }
    }
    if let Some(at) = quoted.filter(|at| *at >= kept) {
        kept = blank_quoted(frame, at);
    }
    let all = frame.bytes.len();
    fill(frame, kept, all);
    Ok(())
}

/// A first fragment has a checksum over what is blanked in others, too. UDP can do without (RFC 768).
fn blank_fragment(frame: &mut Frame, layers: &Layers, index: usize) -> Result<(), Refusal> {
    let over_ipv4 = layers.all[..index].iter().rev().find_map(|layer| match layer.kind() {
        LayerKind::Ipv4 => Some(true),
        LayerKind::Ipv6 => Some(false),
        _ => None,
    });
    let layer = &layers.all[index];
    if layer.kind() == LayerKind::Udp && over_ipv4 == Some(true) {
        fill(frame, layer.offset as usize + 6, layer.offset as usize + 8);
        return Ok(());
    }
    Err(Refusal::of("it is a fragment whose checksum covers what others carry"))
}

fn fill(frame: &mut Frame, from: usize, to: usize) {
    let to = to.min(frame.bytes.len());
    if let Some(bytes) = frame.bytes.get_mut(from..to) {
        bytes.fill(0);
    }
}

/// The data of Geneve's options: class, type and length stay (RFC 8926 3.5).
fn blank_options(frame: &mut Frame, mut at: usize, end: usize) {
    while at + 4 <= end.min(frame.bytes.len()) {
        let next = at + 4 + usize::from(frame.bytes[at + 3] & 0x1f) * 4;
        fill(frame, at + 4, next.min(end));
        at = next;
    }
}

/// Bytes of a link address that is a MAC: hardware type 1 is Ethernet.
const fn mac_length(hardware: u16, length: u16) -> usize {
    if hardware == 1 && length == 6 { 6 } else { 0 }
}

/// Neighbour discovery: addresses that are here whole were replaced already; of the options only those with such addresses, and the MTU,
/// stay. Gives the end of what stays.
fn blank_discovery(frame: &mut Frame, header: Icmpv6, at: usize) -> usize {
    let all = frame.bytes.len();
    // What is in front of addresses, and how many of them there are.
    let (fixed, addresses) = match header.kind {
        Icmpv6::ROUTER_SOLICITATION => (0, 0),
        Icmpv6::ROUTER_ADVERTISEMENT => (8, 0),
        Icmpv6::REDIRECT => (0, 2),
        _ => (0, 1),
    };
    let mut at = at + fixed;
    for _ in 0..addresses {
        if at + 16 > all {
            return at.min(all);
        }
        at += 16;
    }
    while let Some([kind, units]) = super::frame::array(&frame.bytes, at) {
        let next = at + usize::from(units) * 8;
        // Of one that is cut off the type and the length stay.
        if units == 0 || next > all {
            return if units == 0 { at } else { at + 2 };
        }
        // Link addresses, prefix, MTU.
        if !matches!((kind, units), (1 | 2, 1) | (3, 4) | (5, 1)) {
            fill(frame, at + 2, next);
        }
        at = next;
    }
    at.min(all)
}

/// A packet that an error quotes: its headers stay, and the checksum that covers the rest is carried over. Gives the end of what stays.
fn blank_quoted(frame: &mut Frame, at: usize) -> usize {
    let all = frame.bytes.len();
    let number = |at: usize| super::frame::array(&frame.bytes, at).map(u16::from_be_bytes);
    let Some([first]) = super::frame::array(&frame.bytes, at) else { return at };
    // Where its addresses begin and end, the length of the header, what is in it, the length of all, and whether headers follow.
    let (addresses, length, protocol, total, starts) = match first >> 4 {
        4 if first & 0xf >= 5 => {
            let starts = number(at + 6).is_some_and(|part| part & 0x1fff == 0);
            (at + 12..at + 20, usize::from(first & 0xf) * 4, frame.bytes.get(at + 9).copied(), number(at + 2), starts)
        }
        6 => (at + 8..at + 40, 40, frame.bytes.get(at + 6).copied(), number(at + 4).map(|length| length.saturating_add(40)), true),
        _ => return at,
    };
    // Addresses that are not both here were not replaced.
    if addresses.end > all {
        return addresses.start.min(all);
    }
    // IPv4 options may name stations.
    let options = addresses.end..(at + length).min(all);
    if let Some(old) = frame.bytes.get(options.clone()).filter(|old| !old.is_empty()).map(<[u8]>::to_vec) {
        super::rewrite::adjust(&mut frame.bytes, at + 10, &old, &vec![0; old.len()], false);
        fill(frame, options.start, options.end);
    }
    // Length of the header, and the place of the checksum in it. A later fragment has none.
    let (upper, field) = match protocol.filter(|_| starts) {
        Some(number::ip::TCP) => (20, 16),
        Some(number::ip::UDP) => (8, 6),
        // Of a redirect, a gateway's address is in it (RFC 792).
        Some(number::ip::ICMP) if frame.bytes.get(at + length) == Some(&5) => (4, 2),
        Some(number::ip::ICMP | number::ip::ICMPV6) => (8, 2),
        _ => (0, 0),
    };
    let is_udp = protocol == Some(number::ip::UDP);
    let end = (at + length + upper).min(all);
    // What is behind the packet (RFC 4884) is no part of the sum.
    let whole = (at + usize::from(total.unwrap_or(0))).min(all);
    if let Some(old) = frame.bytes.get(end..whole).map(<[u8]>::to_vec).filter(|_| upper > 0) {
        super::rewrite::adjust(&mut frame.bytes, at + length + field, &old, &vec![0; old.len()], is_udp);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn common(a: u128, b: u128) -> u32 {
        (a ^ b).leading_zeros()
    }

    proptest! {
        #[test]
        fn common_prefixes_stay_common_and_so_nothing_collides(key: [u8; 16], a: u32, b: u32, c: u128, d: u128) {
            let mut anonymiser = Anonymiser::new(key);
            let mut v4 = |bits: u32| u128::from(anonymiser.other(bits.into(), 32, |_| false) as u32);
            prop_assert_eq!(common(a.into(), b.into()), common(v4(a), v4(b)));
            let mut v6 = |bits: u128| anonymiser.other(bits, 128, |_| false);
            prop_assert_eq!(common(c, d), common(v6(c), v6(d)));
        }

        #[test]
        fn a_station_stays_a_station_and_what_has_a_meaning_stays(key: [u8; 16], mac: [u8; 6], a: u32, b: u128) {
            let mut anonymiser = Anonymiser::new(key);
            let other = anonymiser.mac(Mac(mac));
            prop_assert_eq!(other.0[0] & 3, mac[0] & 3);
            prop_assert!(!Mac(mac).is_group() || other == Mac(mac));
            for ip in [IpAddr::V4(Ipv4Addr::from_bits(a)), IpAddr::V6(Ipv6Addr::from_bits(b))] {
                let other = anonymiser.ip(ip);
                prop_assert_eq!(ip.is_multicast(), other.is_multicast());
                prop_assert_eq!(ip.is_loopback(), other.is_loopback());
                prop_assert_eq!(anonymiser.ip(ip), other, "the same one everywhere");
            }
        }
    }

    #[test]
    fn addresses_with_a_meaning_stay_and_those_of_a_link_stay_on_it() {
        let mut anonymiser = Anonymiser::new([7; 16]);
        for same in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"] {
            let ip: IpAddr = same.parse().unwrap();
            assert_eq!(anonymiser.ip(ip), ip);
        }
        let IpAddr::V6(link) = anonymiser.ip("fe80::1".parse().unwrap()) else { panic!("another family") };
        assert!(link.is_unicast_link_local() && link.to_string() != "fe80::1", "{link}");
        assert_eq!(anonymiser.mac(Mac::BROADCAST), Mac::BROADCAST);
        assert_ne!(Anonymiser::new([8; 16]).ip("10.0.0.1".parse().unwrap()), anonymiser.ip("10.0.0.1".parse().unwrap()), "the key decides");
    }
}
