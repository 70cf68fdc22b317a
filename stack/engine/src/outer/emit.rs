//! What stands on the wire? Whole outer packets, written out: for replay, captures and tests.
//!
//! ```text
//!   [Ethernet] | IPv4 or IPv6 | UDP             | payload: header of the encapsulation, inner frame
//!   [Ethernet] | IPv4 or IPv6 (protocol 47)     | payload
//! ```

use crate::encap::Carrier;
use overlay_decoder::checksum::{self, Sum};
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{Ethernet, Ipv4, Ipv6, Udp};
use overlay_decoder::{Mac, Ul3};
use std::fmt;
use std::net::IpAddr;

/// The fields of an outer packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// Sending end. With a port if UDP carries; otherwise a port does not count.
    pub source: Ul3,
    /// Receiving end, likewise.
    pub destination: Ul3,
    /// DSCP (upper six bits) and ECN (lower two).
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4: routers must not fragment.
    pub dont_fragment: bool,
    /// IPv4: tells the fragments of different packets apart; 0 is as good as any where DF is set (RFC 6864 4.1).
    pub identification: u16,
    /// IPv6: label of the flow, 20 bits.
    pub flow_label: u32,
    /// What carries the payload.
    pub carrier: Carrier,
}

/// The stations of an outer Ethernet frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stations {
    /// Sending station.
    pub source: Mac,
    /// Receiving station.
    pub destination: Mac,
}

/// Why an outer packet cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmitError {
    /// One end is IPv4, the other IPv6.
    Families {
        /// Sending end.
        source: IpAddr,
        /// Receiving end.
        destination: IpAddr,
    },
    /// UDP carries, and this end has no port.
    NoPort(IpAddr),
    /// The packet is longer than its length field can say.
    TooLong {
        /// Bytes that the field should have said.
        len: usize,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Families { source, destination } => {
                write!(f, "outer packet from {source} to {destination}: IPv4 and IPv6; two addresses of one family are needed")
            }
            Self::NoPort(ip) => write!(f, "outer packet: {ip} has no UDP port; one is needed, as in {}", Ul3 { ip: *ip, port: Some(4789) }),
            Self::TooLong { len } => write!(f, "outer packet: {len} bytes; an IP packet has at most {}", u16::MAX),
        }
    }
}

impl std::error::Error for EmitError {}

/// Appends an outer packet with right checksums. Over IPv4, where UDP could do without (RFC 7348 5), it has one as well.
///
/// # Errors
/// [`EmitError`]; nothing is appended then.
pub fn emit(out: &mut Vec<u8>, outer: &Outer, payload: &[u8]) -> Result<(), EmitError> {
    let (protocol, udp) = match outer.carrier {
        Carrier::Udp => {
            let port = |end: Ul3| end.port.ok_or(EmitError::NoPort(end.ip));
            (ip::UDP, Some((port(outer.source)?, port(outer.destination)?)))
        }
        Carrier::Ip(protocol) => (protocol, None),
    };
    let body = payload.len() + if udp.is_some() { Udp::LENGTH } else { 0 };
    // The field of IPv4 counts the header, that of IPv6 does not.
    let field = |len: usize| u16::try_from(len).map_err(|_| EmitError::TooLong { len });
    let mut sum = Sum::new();
    match (outer.source.ip, outer.destination.ip) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = Ipv4 {
                header_length: Ipv4::LENGTH as u8,
                tos: outer.tos,
                total_length: field(body + Ipv4::LENGTH)?,
                id: outer.identification,
                dont_fragment: outer.dont_fragment,
                more_fragments: false,
                reserved_flag: false,
                fragment_offset: 0,
                ttl: outer.ttl,
                protocol,
                checksum: 0,
                src,
                dst,
            };
            header.checksum = checksum::internet(&header.emit());
            out.extend_from_slice(&header.emit());
            sum.add_pseudo_v4(src, dst, protocol, body as u32);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let header = Ipv6 {
                traffic_class: outer.tos,
                flow_label: outer.flow_label,
                payload_length: field(body)?,
                next_header: protocol,
                hop_limit: outer.ttl,
                src,
                dst,
                upper_protocol: protocol,
            };
            out.extend_from_slice(&header.emit());
            sum.add_pseudo_v6(src, dst, protocol, body as u32);
        }
        (source, destination) => return Err(EmitError::Families { source, destination }),
    }
    if let Some((src_port, dst_port)) = udp {
        let mut header = Udp { src_port, dst_port, length: field(body)?, checksum: 0 };
        sum.add(&header.emit());
        sum.add(payload);
        // A sum of 0 is written as 0xffff, since 0 means none (RFC 768).
        header.checksum = if sum.checksum() == 0 { 0xffff } else { sum.checksum() };
        out.extend_from_slice(&header.emit());
    }
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends an outer packet in an Ethernet frame, without padding and check sequence.
///
/// # Errors
/// As [`emit`].
pub fn emit_frame(out: &mut Vec<u8>, stations: Stations, outer: &Outer, payload: &[u8]) -> Result<(), EmitError> {
    let start = out.len();
    let ethertype = if outer.source.ip.is_ipv4() { ethertype::IPV4 } else { ethertype::IPV6 };
    out.extend_from_slice(&Ethernet { src: stations.source, dst: stations.destination, ethertype }.emit());
    let emitted = emit(out, outer, payload);
    if emitted.is_err() {
        out.truncate(start);
    }
    emitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encap::{Encapsulation, Geneve, Nvgre, Vxlan};
    use crate::inner::samples;
    use overlay_api::Properties;
    use overlay_decoder::checksum::Status;
    use overlay_decoder::layer::LayerKind as K;
    use overlay_decoder::{LinkType, Vni, Walker};
    use proptest::prelude::*;

    fn outer(source: &str, destination: &str, carrier: Carrier) -> Outer {
        let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
        Outer { source, destination, tos: 0xb9, ttl: 64, dont_fragment: true, identification: 0, flow_label: 0x5_4321, carrier }
    }

    /// Header of an encapsulation and a frame behind it.
    fn encapsulated(encapsulation: &dyn Encapsulation, vni: u32, frame: &[u8]) -> Vec<u8> {
        let mut properties = Properties::new();
        properties.set(encapsulation.properties(), &format!("{}/listen_ip", encapsulation.name()), "::").unwrap();
        let codec = encapsulation.compile(Vni::new(vni).unwrap(), &properties).unwrap();
        let mut bytes = vec![0; codec.header_len()];
        codec.write(&mut bytes, 0x1234_5678);
        bytes.extend(frame);
        bytes
    }

    /// A whole inner TCP segment with right checksums.
    fn tenant() -> Vec<u8> {
        let mut segment = [&[199, 56, 1, 187, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0][..], b"0123456789"].concat();
        let mut sum = Sum::new();
        sum.add_pseudo_v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), ip::TCP, segment.len() as u32);
        sum.add(&segment);
        segment[16..18].copy_from_slice(&sum.checksum().to_be_bytes());
        samples::ethernet(ethertype::IPV4, &samples::ipv4(ip::TCP, &segment, |_| {}))
    }

    #[test]
    fn every_byte_of_vxlan_over_ipv4_is_that_of_the_rfc() {
        // The frame of RFC 7348 5, figure 1, from the outer Ethernet header to the inner EtherType.
        let inner = [&[0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x06][..]].concat();
        let mut out = Vec::new();
        let stations = Stations { source: Mac([2, 0, 0, 0, 0, 0xa]), destination: Mac([2, 0, 0, 0, 0, 0xb]) };
        emit_frame(&mut out, stations, &outer("192.0.2.1:49152", "192.0.2.2:4789", Carrier::Udp), &encapsulated(&Vxlan, 5001, &inner))
            .unwrap();
        #[rustfmt::skip]
        assert_eq!(out, [
            0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x08, 0x00,                     // outer Ethernet
            0x45, 0xb9, 0x00, 0x32, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb5, 0xfe,         // outer IPv4: 50 bytes, DF, TTL 64, UDP
            192, 0, 2, 1, 192, 0, 2, 2,
            0xc0, 0x00, 0x12, 0xb5, 0x00, 0x1e, 0x0b, 0xdc,                                 // outer UDP: 49152 to 4789, 30 bytes
            0x08, 0x00, 0x00, 0x00, 0x00, 0x13, 0x89, 0x00,                                 // VXLAN: I, VNI 5001
            0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x06,                           // inner Ethernet
        ]);
    }

    #[test]
    fn every_byte_of_geneve_over_ipv6_is_that_of_the_rfc() {
        // RFC 8926 3.2: outer IPv6, UDP to 6081, Geneve without options, Ethernet.
        let mut out = Vec::new();
        emit(&mut out, &outer("[fd00::1]:50000", "[fd00::2]:6081", Carrier::Udp), &encapsulated(&Geneve, 5001, &[0xee; 14])).unwrap();
        #[rustfmt::skip]
        assert_eq!(out, [
            0x6b, 0x95, 0x43, 0x21, 0x00, 0x1e, 0x11, 0x40,                                 // class 0xb9, label 0x54321, 30 bytes, UDP, 64
            0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
            0xc3, 0x50, 0x17, 0xc1, 0x00, 0x1e, 0xb3, 0xa7,                                 // 50000 to 6081, 30 bytes
            0x00, 0x00, 0x65, 0x58, 0x00, 0x13, 0x89, 0x00,                                 // Geneve: version 0, 0x6558, VNI 5001
            0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
        ]);
    }

    #[test]
    fn every_byte_of_nvgre_is_that_of_the_rfc() {
        // RFC 7637 3.1, figure 1: outer IPv4 with protocol 47, GRE with a key, Ethernet.
        let mut out = Vec::new();
        let fields = Outer { dont_fragment: false, identification: 0xbeef, tos: 0, ..outer("192.0.2.1", "192.0.2.2", Carrier::Ip(47)) };
        emit(&mut out, &fields, &encapsulated(&Nvgre, 5001, &[0xee; 14])).unwrap();
        #[rustfmt::skip]
        assert_eq!(out, [
            0x45, 0x00, 0x00, 0x2a, 0xbe, 0xef, 0x00, 0x00, 0x40, 0x2f, 0x37, 0xb2, 192, 0, 2, 1, 192, 0, 2, 2,
            0x20, 0x00, 0x65, 0x58, 0x00, 0x13, 0x89, 0x78,                                 // K, 0x6558, VSID 5001, FlowID
            0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
        ]);
    }

    /// Layers, stop, and the layers whose checksum is neither right nor absent.
    fn walked(bytes: &[u8], link: LinkType) -> (Vec<K>, Option<String>, Vec<K>) {
        let mut walker = Walker::default();
        let packet = walker.walk(bytes, bytes.len() as u32, link);
        let damaged = packet
            .layers
            .iter()
            .enumerate()
            .filter(|(index, _)| !matches!(checksum::verify(bytes, packet.layers, *index), None | Some(Status::Correct)));
        let damaged = damaged.map(|(_, layer)| layer.kind()).collect();
        (packet.layers.iter().map(|layer| layer.kind()).collect(), packet.stop.map(|stop| stop.to_string()), damaged)
    }

    #[test]
    fn what_is_emitted_is_decoded_to_the_end_with_right_checksums() {
        let ends: [(&dyn Encapsulation, K, &[[&str; 2]]); 3] = [
            (&Vxlan, K::Vxlan, &[["192.0.2.1:50000", "192.0.2.2:4789"], ["[fd00::1]:50000", "[fd00::2]:4789"]]),
            (&Geneve, K::Geneve, &[["192.0.2.1:50000", "192.0.2.2:6081"], ["[fd00::1]:50000", "[fd00::2]:6081"]]),
            (&Nvgre, K::Nvgre, &[["192.0.2.1", "192.0.2.2"], ["fd00::1", "fd00::2"]]),
        ];
        for (encapsulation, tunnel, pairs) in ends {
            for [source, destination] in pairs {
                let outer = outer(source, destination, encapsulation.carrier());
                let payload = encapsulated(encapsulation, 16_777_214, &tenant());
                let mut bare = Vec::new();
                emit(&mut bare, &outer, &payload).unwrap();
                let ip = if outer.source.ip.is_ipv4() { K::Ipv4 } else { K::Ipv6 };
                let mut kinds = vec![K::Raw, ip];
                kinds.extend((encapsulation.carrier() == Carrier::Udp).then_some(K::Udp));
                kinds.extend([tunnel, K::Ethernet, K::Ipv4, K::Tcp, K::Payload]);
                assert_eq!(walked(&bare, LinkType::RAW), (kinds.clone(), None, vec![]), "{source} {destination}");
                let mut framed = Vec::new();
                let stations = Stations { source: samples::SOURCE, destination: samples::DESTINATION };
                emit_frame(&mut framed, stations, &outer, &payload).unwrap();
                kinds[0] = K::Ethernet;
                assert_eq!(walked(&framed, LinkType::ETHERNET), (kinds, None, vec![]), "{source} {destination}");
            }
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let stations = Stations { source: samples::SOURCE, destination: samples::DESTINATION };
        let said = |outer: &Outer, payload: &[u8]| {
            let mut out = vec![7];
            let error = emit_frame(&mut out, stations, outer, payload).unwrap_err();
            assert_eq!(out, [7]);
            error.to_string()
        };
        let mixed = outer("10.0.0.1:1", "[fd00::2]:2", Carrier::Udp);
        assert_eq!(said(&mixed, &[]), "outer packet from 10.0.0.1 to fd00::2: IPv4 and IPv6; two addresses of one family are needed");
        let no_port = outer("10.0.0.1:1", "10.0.0.2", Carrier::Udp);
        assert_eq!(said(&no_port, &[]), "outer packet: 10.0.0.2 has no UDP port; one is needed, as in 10.0.0.2:4789");
        let sound = outer("10.0.0.1:1", "10.0.0.2:2", Carrier::Udp);
        assert_eq!(said(&sound, &[0; 65508]), "outer packet: 65536 bytes; an IP packet has at most 65535");
        assert_eq!(emit(&mut Vec::new(), &sound, &[0; 65507]), Ok(()));
    }

    proptest! {
        #[test]
        fn checksums_are_right_whatever_is_carried(payload in prop::collection::vec(any::<u8>(), 0..100), tos: u8, ttl: u8, id: u16, port: u16) {
            for (source, destination) in [("10.0.0.1:9", "10.0.0.2:9"), ("[fd00::1]:9", "[fd00::2]:9")] {
                let mut fields = Outer { tos, ttl, identification: id, ..outer(source, destination, Carrier::Udp) };
                fields.source.port = Some(port);
                let mut out = Vec::new();
                emit(&mut out, &fields, &payload).unwrap();
                let header = if fields.source.ip.is_ipv4() { Ipv4::LENGTH } else { Ipv6::LENGTH };
                let segment = &out[header..];
                let mut sum = Sum::new();
                match (fields.source.ip, fields.destination.ip) {
                    (IpAddr::V4(src), IpAddr::V4(dst)) => {
                        prop_assert_eq!(checksum::internet(&out[..header]), 0);
                        sum.add_pseudo_v4(src, dst, ip::UDP, segment.len() as u32);
                    }
                    (IpAddr::V6(src), IpAddr::V6(dst)) => sum.add_pseudo_v6(src, dst, ip::UDP, segment.len() as u32),
                    _ => unreachable!(),
                }
                sum.add(segment);
                prop_assert_eq!(sum.checksum(), 0);
                prop_assert_ne!(&segment[6..8], &[0, 0], "no checksum");
            }
        }
    }
}
