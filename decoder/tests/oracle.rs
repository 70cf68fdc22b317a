//! Does somebody else read the same? Every packet is also given to etherparse; what both know must agree, header by header: place,
//! length, fields, bytes behind it, checksum.
//!
//! Where the two differ on purpose, [`DIFFERENCES`] says why, and an example shows that the row is still true.

mod stack;

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    IpAuthHeaderSlice, Ipv6FragmentHeaderSlice, Ipv6RawExtHeaderSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice,
    TransportSlice,
};
use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{Body, Layer, LayerKind};
use overlay_decoder::{LinkType, Packet, StopKind, Walker};
use proptest::prelude::*;
use stack::{Choices, frame};

/// What differs, and why that is right.
const DIFFERENCES: [(&str, &str); 13] = [
    ("beyond etherparse", "it has no LLC, MPLS, NSH, LLDP, GRE, SCTP, ESP, no tunnels and no IP in IP"),
    ("fourth tag", "it has room for three tags; a walk goes on"),
    ("macsec", "it reads MACsec; we name the type and stop, since what follows is mostly encrypted"),
    ("arp of other addresses", "it takes addresses of any length; we read Ethernet and IPv4 only, and say so"),
    ("version against ethertype", "it believes the version in the packet; for us a type field that contradicts it is malformed"),
    ("length below the header", "it takes all bytes there are; for us an IPv4 total length between 1 and the header's is malformed"),
    ("fragment", "it decodes no transport in a fragment, and extension headers in all; we decode the first, which has all of them"),
    ("late hop-by-hop", "for it a hop-by-hop header that is not first ends the packet (RFC 8200 4.1); we read it, to show what was sent"),
    ("other extensions", "mobility, HIP and Shim6 have the form of extension headers; it does not know them"),
    ("second authentication header", "behind IPv4 it reads one"),
    ("no next header", "with a payload length of 0 it counts what follows as payload; nothing follows protocol 59 (RFC 8200 4.7)"),
    ("icmp timestamp", "it refuses timestamps that are not of 20 bytes; for us the header is there all the same"),
    ("igmp query", "it refuses queries of 9 to 11 bytes, and those that announce more sources than there are"),
];

/// What one decoder says of one header.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    offset: usize,
    length: usize,
    /// Captured bytes behind the header that belong to it.
    payload: usize,
    fields: String,
}

/// The headers that etherparse knows too, up to the first that it does not.
fn ours(packet: &Packet<'_>) -> Vec<Seen> {
    packet.layers.iter().map_while(|layer| seen(packet, layer)).collect()
}

fn seen(packet: &Packet<'_>, layer: &Layer) -> Option<Seen> {
    let fields = match &layer.body {
        // A frame in a frame (transparent Ethernet bridging without GRE) is beyond etherparse.
        Body::Ethernet(h) if layer.offset == 0 => format!("ethernet {} {} {:#06x}", h.dst, h.src, h.ethertype),
        Body::Vlan(h) => format!("vlan {} {} {} {:#06x}", h.priority, h.drop_eligible, h.id, h.ethertype),
        Body::Arp(h) => {
            format!("arp {} {:#06x} {} {} {} {}", h.operation, h.protocol, h.sender_mac, h.sender_ip, h.target_mac, h.target_ip)
        }
        Body::Ipv4(h) => {
            let flags = (h.dont_fragment, h.more_fragments, h.fragment_offset);
            let numbers = (h.dscp(), h.ecn(), h.total_length, h.id, h.ttl, h.protocol, h.checksum);
            format!("ipv4 {} {} {flags:?} {numbers:?}", h.src, h.dst)
        }
        Body::Ipv6(h) => {
            let numbers = (h.traffic_class, h.flow_label, h.payload_length, h.next_header, h.hop_limit);
            format!("ipv6 {} {} {numbers:?}", h.src, h.dst)
        }
        Body::Ipv6Ext(h) => {
            let fragment = h.fragment.map(|fragment| (fragment.offset, fragment.more, fragment.id));
            format!("extension {} {} {fragment:?}", h.header, h.next_header)
        }
        Body::Ah(h) => format!("ah {} {} {}", h.next_header, h.spi, h.sequence),
        Body::Tcp(h) => {
            let numbers = (h.src_port, h.dst_port, h.seq, h.ack, h.flags & 0x1ff, h.window, h.checksum, h.urgent);
            format!("tcp {numbers:?}")
        }
        Body::Udp(h) => format!("udp {} {} {} {}", h.src_port, h.dst_port, h.length, h.checksum),
        Body::Icmp(h) => format!("icmp {} {} {} {:?}", h.kind, h.code, h.checksum, h.rest),
        Body::Icmpv6(h) => format!("icmpv6 {} {} {} {:?}", h.kind, h.code, h.checksum, h.rest),
        Body::Igmp(h) => format!("igmp {} {} {} {:?}", h.kind, h.max_response, h.checksum, h.group.octets()),
        _ => return None,
    };
    let payload = if layer.kind() == LayerKind::Arp { 0 } else { packet.view(layer).payload.len() };
    Some(Seen { offset: layer.offset as usize, length: layer.length as usize, payload, fields })
}

/// The same from etherparse, which hands out slices: their addresses say where they stand.
fn theirs(bytes: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    let Ok(packet) = LaxSlicedPacket::from_ethernet(bytes) else { return all };
    let mut put = |header: &[u8], payload: usize, fields: String| {
        all.push(Seen { offset: header.as_ptr() as usize - bytes.as_ptr() as usize, length: header.len(), payload, fields });
    };
    let mac = |octets: [u8; 6]| overlay_decoder::Mac(octets);
    if let Some(LinkSlice::Ethernet2(h)) = &packet.link {
        let fields = format!("ethernet {} {} {:#06x}", mac(h.destination()), mac(h.source()), h.ether_type().0);
        put(h.header_slice(), h.payload_slice().len(), fields);
    }
    for extension in &packet.link_exts {
        let h = match extension {
            LaxLinkExtSlice::Vlan(h) => h,
            LaxLinkExtSlice::Macsec(h) => {
                put(h.header.slice(), 0, "macsec".to_owned());
                return all;
            }
        };
        let (priority, id) = (h.priority_code_point().value(), h.vlan_identifier().value());
        let fields = format!("vlan {priority} {} {id} {:#06x}", h.drop_eligible_indicator(), h.ether_type().0);
        put(h.header_slice(), h.payload_slice().len(), fields);
    }
    match &packet.net {
        Some(LaxNetSlice::Arp(h)) => {
            if let Ok(arp) = h.to_packet().try_eth_ipv4() {
                let (from, to) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
                let (from_mac, to_mac) = (mac(arp.sender_mac), mac(arp.target_mac));
                put(h.slice(), 0, format!("arp {} {:#06x} {from_mac} {from} {to_mac} {to}", h.operation().0, h.proto_addr_type().0));
            } else {
                put(h.slice(), 0, "arp of other addresses".to_owned());
            }
        }
        Some(LaxNetSlice::Ipv4(ipv4)) => {
            let h = ipv4.header();
            let auth = ipv4.extensions().auth;
            let payload = ipv4.payload().payload.len();
            let flags = (h.dont_fragment(), h.more_fragments(), h.fragments_offset().value() * 8);
            let numbers =
                (h.dcp().value(), h.ecn().value(), h.total_len(), h.identification(), h.ttl(), h.protocol().0, h.header_checksum());
            let fields = format!("ipv4 {} {} {flags:?} {numbers:?}", h.source_addr(), h.destination_addr());
            // The slices borrow from `ipv4`, not from the packet: where they stand is the same.
            put(h.slice(), payload + auth.as_ref().map_or(0, |auth| auth.slice().len()), fields);
            if let Some(h) = auth {
                put(h.slice(), payload, format!("ah {} {} {}", h.next_header().0, h.spi(), h.sequence_number()));
            }
        }
        Some(LaxNetSlice::Ipv6(ipv6)) => {
            let h = ipv6.header();
            let mut left = ipv6.extensions().slice().len() + ipv6.payload().payload.len();
            let numbers = (h.traffic_class(), h.flow_label().value(), h.payload_length(), h.next_header().0, h.hop_limit());
            put(h.slice(), left, format!("ipv6 {} {} {numbers:?}", h.source_addr(), h.destination_addr()));
            // Not their iterator: behind an extension header that is cut off it reads beyond its slice.
            let (mut rest, mut number) = (ipv6.extensions().slice(), h.next_header().0);
            while !rest.is_empty() {
                let (slice, next, fields) = match number {
                    ip::FRAGMENT => {
                        let h = Ipv6FragmentHeaderSlice::from_slice(rest).unwrap();
                        let fragment = Some((h.fragment_offset().value() * 8, h.more_fragments(), h.identification()));
                        (h.slice(), h.next_header().0, format!("extension {number} {} {fragment:?}", h.next_header().0))
                    }
                    ip::AH => {
                        let h = IpAuthHeaderSlice::from_slice(rest).unwrap();
                        (h.slice(), h.next_header().0, format!("ah {} {} {}", h.next_header().0, h.spi(), h.sequence_number()))
                    }
                    _ => {
                        let h = Ipv6RawExtHeaderSlice::from_slice(rest).unwrap();
                        (h.slice(), h.next_header().0, format!("extension {number} {} None", h.next_header().0))
                    }
                };
                left -= slice.len();
                put(slice, left, fields);
                (rest, number) = (&rest[slice.len()..], next);
            }
        }
        None => {}
    }
    match &packet.transport {
        Some(TransportSlice::Tcp(h)) => {
            let bits = [h.fin(), h.syn(), h.rst(), h.psh(), h.ack(), h.urg(), h.ece(), h.cwr(), h.ns()];
            let flags = bits.iter().enumerate().fold(0_u16, |flags, (bit, set)| flags | u16::from(*set) << bit);
            let ports = (h.source_port(), h.destination_port());
            let (seq, ack) = (h.sequence_number(), h.acknowledgment_number());
            let numbers = (ports.0, ports.1, seq, ack, flags, h.window_size(), h.checksum(), h.urgent_pointer());
            put(h.header_slice(), h.payload().len(), format!("tcp {numbers:?}"));
        }
        Some(TransportSlice::Udp(h)) => {
            let fields = format!("udp {} {} {} {}", h.source_port(), h.destination_port(), h.length(), h.checksum());
            put(h.header_slice(), h.payload().len(), fields);
        }
        // Their header of a message may be longer than the eight bytes that every one has.
        Some(TransportSlice::Icmpv4(h)) => {
            let fields = format!("icmp {} {} {} {:?}", h.type_u8(), h.code_u8(), h.checksum(), h.bytes5to8());
            put(&h.slice()[..8], h.slice().len() - 8, fields);
        }
        Some(TransportSlice::Icmpv6(h)) => {
            let fields = format!("icmpv6 {} {} {} {:?}", h.type_u8(), h.code_u8(), h.checksum(), h.bytes5to8());
            put(&h.slice()[..8], h.slice().len() - 8, fields);
        }
        Some(TransportSlice::Igmp(h)) => {
            let numbers = (h.type_u8(), h.max_resp_code_or_reserved(), h.checksum());
            let fields = format!("igmp {} {} {} {:?}", numbers.0, numbers.1, numbers.2, h.bytes4to7());
            put(&h.slice()[..8], h.slice().len() - 8, fields);
        }
        None => {}
    }
    all
}

/// Which row of [`DIFFERENCES`] explains that from header `at` on the two do not say the same.
fn difference(packet: &Packet<'_>, ours: &[Seen], theirs: &[Seen], at: usize) -> Option<&'static str> {
    let (our, their) = (ours.get(at), theirs.get(at));
    let before = at.checked_sub(1).and_then(|index| packet.layers.get(index)).map(|layer| layer.body);
    let kind = packet.layers.get(at).map(Layer::kind);
    let stop = packet.stop;
    let malformed = stop.is_some_and(|stop| stop.kind == StopKind::Malformed);
    let behind = match before {
        Some(Body::Ethernet(h)) => Some(h.ethertype),
        Some(Body::Vlan(h)) => Some(h.ethertype),
        _ => None,
    };
    let fragmented = packet.layers[..at].iter().any(|layer| match layer.body {
        Body::Ipv4(h) => h.is_fragment(),
        Body::Ipv6Ext(h) => h.fragment.is_some_and(|fragment| fragment.more || fragment.offset > 0),
        _ => false,
    });
    let tags = packet.layers[..at].iter().filter(|layer| layer.kind() == LayerKind::Vlan).count();
    Some(match (our, their) {
        (Some(our), Some(their)) => match packet.layers[at].body {
            // The header itself is the same; only how much belongs to it is not.
            Body::Ipv6(h) if h.payload_length == 0 && h.next_header == ip::NO_NEXT && our.fields == their.fields => "no next header",
            _ => return None,
        },
        (Some(_), None) if tags >= 3 && behind.is_some() => "fourth tag",
        (Some(_), None) if fragmented => "fragment",
        (Some(_), None) => match packet.layers[at].body {
            Body::Ipv6Ext(h) if h.header == ip::HOP_BY_HOP => "late hop-by-hop",
            Body::Ipv6Ext(h) if matches!(h.header, ip::MOBILITY | ip::HIP | ip::SHIM6) => "other extensions",
            Body::Ah(_) if matches!(before, Some(Body::Ah(_))) => "second authentication header",
            Body::Icmp(h) if matches!((h.kind, h.code), (13 | 14, 0)) => "icmp timestamp",
            Body::Igmp(h) if h.kind == 0x11 => "igmp query",
            _ => return None,
        },
        (None, Some(their)) if their.fields == "arp of other addresses" => "arp of other addresses",
        (None, Some(their)) if their.fields == "macsec" => "macsec",
        (None, Some(_)) if fragmented => "fragment",
        (None, Some(_)) if malformed && matches!(behind, Some(ethertype::IPV4 | ethertype::IPV6)) => "version against ethertype",
        (None, Some(_)) if malformed && matches!(before, Some(Body::Ipv4(h)) if h.total_length < h.header_length.into()) => {
            "length below the header"
        }
        (None, None) if kind.is_some() => "beyond etherparse",
        _ => return None,
    })
}

/// Compares the two on one packet, of which `wire_len` bytes were on the wire. Returns the row that explains the first difference.
fn agree(bytes: &[u8], wire_len: usize) -> Result<Option<&'static str>, TestCaseError> {
    let mut walker = Walker::default();
    let packet = walker.walk(bytes, wire_len as u32, LinkType::ETHERNET);
    let (ours, theirs) = (ours(&packet), theirs(bytes));
    let at = ours.iter().zip(&theirs).take_while(|(our, their)| our == their).count();
    if at < ours.len() || at < theirs.len() {
        let why = difference(&packet, &ours, &theirs, at);
        prop_assert!(
            why.is_some(),
            "header {} of {:02x?}\nours   {:?}\ntheirs {:?}\nstop {:?}",
            at,
            bytes,
            ours.get(at),
            theirs.get(at),
            packet.stop.map(|stop| stop.to_string())
        );
        return Ok(why);
    }
    checksums_agree(&packet)?;
    Ok(packet.layers.get(at).filter(|layer| layer.kind() != LayerKind::Payload).map(|_| "beyond etherparse"))
}

/// Whether both find the same checksums right, and expect the same where they are not.
fn checksums_agree(packet: &Packet<'_>) -> Result<(), TestCaseError> {
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(packet.bytes) else { return Ok(()) };
    let verify = |kind: LayerKind| {
        let index = packet.layers.iter().position(|layer| layer.kind() == kind)?;
        checksum::verify(packet.bytes, packet.layers, index)
    };
    let judge = |status: Option<Status>, field: u16, expected: u16| -> Result<(), TestCaseError> {
        // Ones-complement has two zeros; a receiver takes either.
        let same = |a: u16, b: u16| a == b || (a ^ b == 0xffff && a.min(b) == 0);
        match status {
            Some(Status::Correct) => {
                prop_assert!(same(field, expected), "we find {field:#06x} correct, etherparse expects {expected:#06x}")
            }
            Some(Status::Incorrect { expected: ours }) => {
                prop_assert!(!same(field, expected) && same(ours as u16, expected), "field {field:#06x}: {ours:#06x} or {expected:#06x}");
            }
            Some(Status::Partial) => prop_assert!(!same(field, expected)),
            Some(Status::Zero) => prop_assert_eq!(field, 0),
            Some(Status::Unverifiable) => {}
            None => prop_assert!(false, "no status for a layer with a checksum"),
        }
        Ok(())
    };
    let (mut v4, mut v6) = (None, None);
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            // Over the bytes: their header struct forgets the reserved flag.
            let sum = Sum16BitWords::new().add_slice(&header.slice()[..10]).add_slice(&header.slice()[12..]);
            judge(verify(LayerKind::Ipv4), header.header_checksum(), sum.ones_complement().to_be())?;
            v4 = Some((header.source(), header.destination()));
        }
        Some(LaxNetSlice::Ipv6(ip)) => v6 = Some((ip.header().source(), ip.header().destination())),
        _ => {}
    }
    match (&sliced.transport, v4, v6) {
        (Some(TransportSlice::Tcp(h)), Some((src, dst)), _) => {
            judge(verify(LayerKind::Tcp), h.checksum(), h.calc_checksum_ipv4(src, dst).unwrap())?;
        }
        (Some(TransportSlice::Tcp(h)), _, Some((src, dst))) => {
            judge(verify(LayerKind::Tcp), h.checksum(), h.calc_checksum_ipv6(src, dst).unwrap())?;
        }
        // Their sum takes the length field into the pseudo-header; we the length that counts.
        (Some(TransportSlice::Udp(h)), Some((src, dst)), _) if usize::from(h.length()) == h.slice().len() => {
            judge(verify(LayerKind::Udp), h.checksum(), h.to_header().calc_checksum_ipv4_raw(src, dst, h.payload()).unwrap())?;
        }
        (Some(TransportSlice::Udp(h)), _, Some((src, dst))) if usize::from(h.length()) == h.slice().len() => {
            judge(verify(LayerKind::Udp), h.checksum(), h.to_header().calc_checksum_ipv6_raw(src, dst, h.payload()).unwrap())?;
        }
        (Some(TransportSlice::Icmpv4(h)), Some(_), _) => {
            let sum = Sum16BitWords::new().add_slice(&h.slice()[..2]).add_slice(&h.slice()[4..]);
            judge(verify(LayerKind::Icmp), h.checksum(), sum.ones_complement().to_be())?;
        }
        (Some(TransportSlice::Icmpv6(h)), _, Some((src, dst))) => match verify(LayerKind::Icmpv6) {
            Some(Status::Correct) => prop_assert!(h.is_checksum_valid(src, dst)),
            Some(Status::Incorrect { .. }) => prop_assert!(!h.is_checksum_valid(src, dst)),
            other => prop_assert_eq!(other, Some(Status::Unverifiable)),
        },
        _ => {}
    }
    Ok(())
}

/// Places and the bytes that stand there now.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
}

fn build(decisions: &[u8]) -> Vec<u8> {
    frame(&mut Choices(decisions), 0).bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sound_and_damaged_packets_are_read_alike(
        decisions in prop::collection::vec(any::<u8>(), 0..160),
        damage in damage(),
    ) {
        let mut bytes = build(&decisions);
        agree(&bytes, bytes.len())?;
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        agree(&bytes, bytes.len())?;
    }

    #[test]
    fn cut_packets_are_read_alike(decisions in prop::collection::vec(any::<u8>(), 0..160), cut: prop::sample::Index) {
        let bytes = build(&decisions);
        agree(&bytes[..cut.index(bytes.len() + 1)], bytes.len())?;
    }

    #[test]
    fn any_bytes_behind_a_type_field_are_read_alike(kind in 0..6_usize, rest in prop::collection::vec(any::<u8>(), 0..120)) {
        let kind = [ethertype::IPV4, ethertype::IPV6, ethertype::ARP, ethertype::VLAN, 0x88e5, 0x0800][kind];
        let mut bytes = [&[2; 12][..], &kind.to_be_bytes(), &rest].concat();
        // Most bytes are no version: let some be one.
        if let (Some(first), true) = (bytes.get_mut(14), kind == ethertype::IPV4 || kind == ethertype::IPV6) {
            *first = if kind == ethertype::IPV4 { 0x45 + (*first & 3) } else { 0x60 };
        }
        agree(&bytes, bytes.len())?;
    }
}

/// An Ethernet frame with an IPv4 packet that has this protocol and payload, and then whatever `change` does to it.
fn ipv4(protocol: u8, payload: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let mut bytes = vec![2; 12];
    bytes.extend([8, 0, 0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    change(&mut bytes);
    bytes
}

fn ipv6(next_header: u8, length: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, length, next_header, 64]);
    bytes.extend([0xfd; 32]);
    bytes.extend(payload);
    bytes
}

#[test]
fn every_difference_has_an_example() {
    let frame = |kind: [u8; 2], rest: &[u8]| [&[2; 12][..], &kind, rest].concat();
    let udp = [0, 1, 0, 2, 0, 9, 0, 0, 0];
    let ah = |next: u8| [next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let examples = [
        ("beyond etherparse", ipv4(ip::SCTP, &[0; 12], |_| {})),
        ("fourth tag", frame([0x81, 0], &[0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 0x81, 0, 0, 4, 0x12, 0x34])),
        ("macsec", frame([0x88, 0xe5], &[&[0, 0, 0, 0, 0, 1, 8, 0][..], &ipv4(ip::UDP, &udp, |_| {})[14..]].concat())),
        ("arp of other addresses", frame([8, 6], &[0, 1, 8, 0, 1, 1, 0, 1, 1, 2, 3, 4])),
        ("version against ethertype", ipv4(ip::UDP, &udp, |bytes| bytes[12..14].copy_from_slice(&[0x86, 0xdd]))),
        ("length below the header", ipv4(ip::UDP, &udp, |bytes| bytes[17] = 10)),
        ("fragment", ipv4(ip::UDP, &udp, |bytes| bytes[20] = 0x20)),
        ("late hop-by-hop", ipv6(ip::DESTINATION, 17, &[&[0, 0, 1, 4, 0, 0, 0, 0, 59, 0, 1, 4, 0, 0, 0, 0][..], &[0]].concat())),
        ("other extensions", ipv6(ip::MOBILITY, 8, &[59, 0, 0, 0, 0, 0, 0, 0])),
        ("second authentication header", ipv4(ip::AH, &[ah(ip::AH), ah(59)].concat(), |_| {})),
        ("no next header", ipv6(ip::NO_NEXT, 0, &[1, 2, 3])),
        ("icmp timestamp", ipv4(ip::ICMP, &[13, 0, 0, 0, 0, 0, 0, 0], |_| {})),
        ("igmp query", ipv4(ip::IGMP, &[0x11, 0, 0, 0, 0, 0, 0, 0, 0], |_| {})),
    ];
    for ((name, reason), (example, bytes)) in DIFFERENCES.into_iter().zip(examples) {
        assert_eq!(name, example);
        assert!(!reason.is_empty());
        assert_eq!(agree(&bytes, bytes.len()).unwrap(), Some(name));
    }
}
