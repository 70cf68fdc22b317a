//! Does a packet's checksum hold? The Internet checksum (RFC 1071) and CRC-32c (RFC 9260 appendix A), for every layer that has one.
//!
//! A checksum that does not hold is often nobody's fault: a capture on the sending host sees it before the hardware filled it
//! in, and veth pairs never do. [`Status::Partial`] tells that case from a damaged packet.

use crate::layer::{Body, Gre, Ipv4, Ipv6, Ipv6Ext, Layer, number};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The ones-complement sum of bytes that come in parts (RFC 1071 1 and 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// Folded after every part, in the byte order of this machine: the sum does not depend on it (RFC 1071 2 (B)).
    sum: u16,
    /// Whether an odd number of bytes was added, so that the next byte is the second of its word.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// Adds the next bytes, as if all parts were one; parts of odd length are fine.
    pub fn add(&mut self, bytes: &[u8]) {
        // Four bytes at a time into 64 bits: the carries collect in the upper half, and the compiler makes vectors of it.
        let (words, tail) = bytes.as_chunks::<4>();
        let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        sum += u64::from(u32::from_ne_bytes(last));
        let part = fold(sum);
        let part = if self.odd { part.swap_bytes() } else { part };
        self.sum = fold(u64::from(self.sum) + u64::from(part));
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Adds the pseudo-header of IPv4 (RFC 9293 3.1) for a segment of `length` bytes; only at the start or at an even place.
    pub fn add_pseudo_v4(&mut self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, length: u32) {
        self.add(&src.octets());
        self.add(&dst.octets());
        // 16 bits of length in the RFC; a GSO frame beyond 64 KiB sums the upper ones too, as Linux does.
        self.add(&length.to_be_bytes());
        self.add(&[0, protocol]);
    }

    /// Adds the pseudo-header of IPv6 (RFC 8200 8.1) for a segment of `length` bytes; only at the start or at an even place.
    pub fn add_pseudo_v6(&mut self, src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, length: u32) {
        self.add(&src.octets());
        self.add(&dst.octets());
        self.add(&length.to_be_bytes());
        self.add(&[0, 0, 0, protocol]);
    }

    /// The sum; 0xffff over bytes that include a correct checksum.
    #[must_use]
    pub const fn folded(self) -> u16 {
        u16::from_be(self.sum)
    }

    /// The checksum: the complement of the sum; 0 over bytes that include a correct one.
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// Adds the carries back until 16 bits hold the sum. A sum that is not 0 does not become 0.
const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The Internet checksum of `bytes`: 0 when they include a correct one.
#[must_use]
pub fn internet(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum.checksum()
}

/// CRC-32c of every byte, reflected, polynomial 0x1edc6f41.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The CRC-32c of bytes that come in parts. SCTP sends it least significant byte first.
#[must_use]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    let crc = parts.iter().copied().flatten().fold(!0, |crc: u32, byte| CRC32C[usize::from(crc as u8 ^ byte)] ^ crc >> 8);
    !crc
}

/// What a checksum turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The field holds what the bytes sum to.
    Correct,
    /// The field holds something else.
    Incorrect {
        /// The value that the field should hold: 16 bits, or the 32 of a CRC.
        expected: u32,
    },
    /// The field holds the sum of the pseudo-header alone: the sender left the rest to its hardware.
    Partial,
    /// The field is zero, which is to say that there is none: UDP (RFC 768; over IPv6 only for tunnels, RFC 6935), and SCTP
    /// whose sender left it to its hardware or whose receiver does without (RFC 9653).
    Zero,
    /// Not all bytes that it covers are here: the capture cut them off, they are in other fragments, or the frame holds several
    /// segments; or it covers a final destination that the packet has not reached.
    Unverifiable,
}

/// Verifies the checksum of the layer `layers[index]` of a packet; `None` for a layer without one.
#[must_use]
pub fn verify(packet: &[u8], layers: &[Layer], index: usize) -> Option<Status> {
    let status = judge(packet, layers, index)?;
    // Whatever is in a fragment may go on in others: that the bytes which are here sum to something else proves nothing. The header of
    // an IPv4 packet is here whole, or the walk had not read it.
    let judged = matches!(status, Status::Incorrect { .. } | Status::Partial) && !matches!(layers.get(index)?.body, Body::Ipv4(_));
    Some(if judged && layers[..index].iter().any(is_fragment) { Status::Unverifiable } else { status })
}

/// Whether a layer says that its packet is a part of one.
fn is_fragment(layer: &Layer) -> bool {
    match layer.body {
        Body::Ipv4(header) => header.is_fragment(),
        Body::Ipv6Ext(header) => header.fragment.is_some_and(|fragment| fragment.more || fragment.offset > 0),
        _ => false,
    }
}

/// The same by the bytes that are here.
fn judge(packet: &[u8], layers: &[Layer], index: usize) -> Option<Status> {
    let layer = layers.get(index)?;
    let start = layer.offset as usize;
    if let Body::Ipv4(header) = layer.body {
        let bytes = packet.get(start..layer.end());
        return Some(bytes.map_or(Status::Unverifiable, |bytes| compare(bytes, 10, header.checksum, Sum::new())));
    }
    // Where the field stands in the layer, and what it holds.
    let (at, field, covers_addresses) = match layer.body {
        Body::Tcp(header) => (16, header.checksum, true),
        Body::Udp(header) => (6, header.checksum, true),
        Body::Icmpv6(header) => (2, header.checksum, true),
        Body::Icmp(header) => (2, header.checksum, false),
        Body::Igmp(header) => (2, header.checksum, false),
        Body::Gre(Gre { checksum: Some(checksum), .. }) => (4, checksum, false),
        Body::Sctp(_) => (8, 0, false),
        _ => return None,
    };
    // Over IPv6 none is allowed to tunnels only (RFC 6935 5, RFC 8200 8.1).
    let none_is_allowed = !covers_ipv6(&layers[..index]) || layers.get(index + 1).is_none_or(|next| next.body.is_tunnel());
    if matches!(layer.body, Body::Udp(header) if header.checksum == 0) && none_is_allowed {
        return Some(Status::Zero);
    }
    let length = u64::from(layer.length) + u64::from(layer.claimed);
    let bytes = usize::try_from(length).ok().and_then(|length| packet.get(start..start.checked_add(length)?));
    // A datagram ends where its own length says; all others go on to the end of what carries them.
    let stated = if let Body::Udp(header) = layer.body { Some(u64::from(header.length)) } else { None };
    let end = start as u64 + length;
    let carrier = Carrier::of(packet, &layers[..index], end, stated.map_or(End::OfCarrier, |stated| End::At(start as u64 + stated)));
    let (Some(bytes), Some(carrier)) = (bytes, carrier) else { return Some(Status::Unverifiable) };
    if let Body::Sctp(header) = layer.body {
        return Some(sctp(bytes, header.checksum));
    }
    let mut pseudo = Sum::new();
    if covers_addresses {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match (carrier, layer.body) {
            (Carrier::V4(ip), body) => pseudo.add_pseudo_v4(ip.src, ip.dst, protocol(&body), length),
            (Carrier::V6(ip), body) => pseudo.add_pseudo_v6(ip.src, ip.dst, protocol(&body), length),
            (Carrier::UnderWay, _) => return Some(Status::Unverifiable),
        }
    }
    Some(match compare(bytes, at, field, pseudo) {
        // UDP writes a sum of 0 as 0xffff, since 0 means none (RFC 768).
        Status::Incorrect { expected: 0 } if matches!(layer.body, Body::Udp(_)) => Status::Incorrect { expected: 0xffff },
        // Only these are left to hardware; ICMPv6 is not.
        Status::Incorrect { .. } if matches!(layer.body, Body::Tcp(_) | Body::Udp(_)) && field == pseudo.folded() => Status::Partial,
        Status::Incorrect { .. } if right_when_filled_in(packet, layers, index, bytes, pseudo) => Status::Partial,
        status => status,
    })
}

/// Whether the nearest IP header before a layer is IPv6.
fn covers_ipv6(before: &[Layer]) -> bool {
    before.iter().rev().find(|layer| matches!(layer.body, Body::Ipv4(_) | Body::Ipv6(_))).is_some_and(|ip| matches!(ip.body, Body::Ipv6(_)))
}

/// Whether the checksum of a tunnel's UDP header is the one that will be right once hardware has filled in the inner one ("local
/// checksum offload", Linux Documentation/networking/checksum-offloads.rst).
///
/// A segment with a correct checksum sums to the complement of its pseudo-header's sum, and that sum is what the field of a partial one
/// holds: what the inner segment will sum to is known without its bytes.
fn right_when_filled_in(packet: &[u8], layers: &[Layer], index: usize, bytes: &[u8], pseudo: Sum) -> bool {
    let Some(outer) = layers.get(index).filter(|layer| matches!(layer.body, Body::Udp(_))) else { return false };
    let inside = layers.iter().enumerate().skip(index + 1);
    let Some((inner_index, inner)) = inside.clone().find(|(_, layer)| matches!(layer.body, Body::Tcp(_) | Body::Udp(_))) else {
        return false;
    };
    let field = match inner.body {
        Body::Tcp(header) => header.checksum,
        Body::Udp(header) => header.checksum,
        _ => return false,
    };
    let end = |layer: &Layer| layer.end() as u64 + u64::from(layer.claimed);
    let start = (inner.offset - outer.offset) as usize;
    if end(inner) != end(outer) || !start.is_multiple_of(2) || verify(packet, layers, inner_index) != Some(Status::Partial) {
        return false;
    }
    let mut sum = pseudo;
    sum.add(bytes.get(..start).unwrap_or(bytes));
    sum.add(&(!field).to_be_bytes());
    sum.folded() == 0xffff
}

/// The protocol number in the pseudo-header.
const fn protocol(body: &Body) -> u8 {
    match body {
        Body::Tcp(_) => number::ip::TCP,
        Body::Udp(_) => number::ip::UDP,
        _ => number::ip::ICMPV6,
    }
}

/// Compares the field of 16 bits `at` a place in `bytes` with what the bytes around it sum to, after the pseudo-header.
fn compare(bytes: &[u8], at: usize, field: u16, pseudo: Sum) -> Status {
    let (Some(before), Some(behind)) = (bytes.get(..at), bytes.get(at + 2..)) else { return Status::Unverifiable };
    let mut sum = pseudo;
    sum.add(before);
    sum.add(behind);
    // Not `field == expected`: ones-complement has two zeros, and a receiver takes either. Not `sum.add(field)` either: the
    // place of the field is even, but so many bytes were added that the next place may be odd.
    match fold(u64::from(sum.folded()) + u64::from(field)) {
        0xffff => Status::Correct,
        _ => Status::Incorrect { expected: sum.checksum().into() },
    }
}

fn sctp(bytes: &[u8], field: u32) -> Status {
    let (Some(before), Some(behind)) = (bytes.get(..8), bytes.get(12..)) else { return Status::Unverifiable };
    match crc32c(&[before, &[0; 4], behind]).swap_bytes() {
        expected if expected == field => Status::Correct,
        _ if field == 0 => Status::Zero,
        expected => Status::Incorrect { expected },
    }
}

/// The IP header that carries a layer.
enum Carrier {
    V4(Ipv4),
    V6(Ipv6),
    /// The packet carries its final destination elsewhere: a source route or a routing header.
    UnderWay,
}

/// Where a layer ends by the lengths in headers, be it here or in another fragment of what carries the tunnel.
#[derive(Clone, Copy)]
enum End {
    OfCarrier,
    At(u64),
}

impl Carrier {
    /// The IP layer that the layer behind `before` stands on; `None` when it does not carry all of it up to `end` in one piece, or when
    /// by the lengths in headers there is more of it.
    fn of(packet: &[u8], before: &[Layer], end: u64, stated_end: End) -> Option<Self> {
        let mut under_way = false;
        for layer in before.iter().rev() {
            let start = u64::from(layer.offset);
            let stated = match layer.body {
                _ if is_fragment(layer) => return None,
                Body::Ipv4(header) => u64::from(header.total_length),
                Body::Ipv6(header) if header.payload_length > 0 => u64::from(header.payload_length) + Ipv6::LENGTH as u64,
                Body::Ipv6(_) => 0,
                Body::Ipv6Ext(header) => {
                    under_way |= has_segments_left(packet, layer, header);
                    continue;
                }
                Body::Ah(_) => continue,
                _ => return None,
            };
            // A header that ends before its payload does stands for all segments of a GSO frame; 0 is BIG TCP or a jumbogram.
            if stated > 0 && start + stated < end {
                return None;
            }
            let stated_end = match stated_end {
                End::OfCarrier => start + stated,
                End::At(end) => end,
            };
            if stated > 0 && stated_end > end {
                return None;
            }
            return Some(match layer.body {
                Body::Ipv4(header) => {
                    let options = packet.get(layer.offset as usize + Ipv4::LENGTH..layer.end()).unwrap_or_default();
                    if Ipv4::is_under_way(options) { Self::UnderWay } else { Self::V4(header) }
                }
                Body::Ipv6(header) if !under_way => Self::V6(header),
                _ => Self::UnderWay,
            });
        }
        None
    }
}

/// Whether a routing header still has stations to visit: its fourth byte counts them (RFC 8200 4.4).
fn has_segments_left(packet: &[u8], layer: &Layer, header: Ipv6Ext) -> bool {
    header.header == number::ip::ROUTING && packet.get(layer.offset as usize + 3).is_none_or(|left| *left > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Icmp, Icmpv6, Igmp, LayerKind, Sctp, Tcp, Udp};
    use crate::link::LinkType;
    use crate::walk::Walker;
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    /// RFC 1071 4.1 as it stands there: 16 bits at a time, most significant byte first.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn naive_crc32c(bytes: &[u8]) -> u32 {
        let mut crc = !0u32;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    }

    fn fixed<const N: usize>(packet: &[u8], at: usize) -> &[u8; N] {
        packet[at..].first_chunk().unwrap()
    }

    /// The IP and the transport layer of a bare IP packet without options and extension headers.
    fn layers(packet: &[u8], transport: LayerKind) -> [Layer; 2] {
        let (ip, start) = match packet[0] >> 4 {
            4 => (Body::Ipv4(Ipv4::parse(fixed(packet, 0))), 20),
            _ => (Body::Ipv6(Ipv6::parse(fixed(packet, 0))), 40),
        };
        let (body, length) = match transport {
            LayerKind::Tcp => (Body::Tcp(Tcp::parse(fixed(packet, start))), 20),
            LayerKind::Udp => (Body::Udp(Udp::parse(fixed(packet, start))), 8),
            LayerKind::Icmp => (Body::Icmp(Icmp::parse(fixed(packet, start))), 8),
            LayerKind::Icmpv6 => (Body::Icmpv6(Icmpv6::parse(fixed(packet, start))), 8),
            LayerKind::Igmp => (Body::Igmp(Igmp::parse(fixed(packet, start))), 8),
            LayerKind::Gre => (Body::Gre(Gre::parse(&packet[start..]).unwrap()), 8),
            _ => (Body::Sctp(Sctp::parse(fixed(packet, start))), 12),
        };
        let layer = |offset: usize, length: usize, body| Layer {
            offset: offset as u32,
            length: length as u32,
            claimed: (packet.len() - offset - length) as u32,
            body,
        };
        [layer(0, start, ip), layer(start, length, body)]
    }

    fn status(packet: &[u8], transport: LayerKind) -> Status {
        verify(packet, &layers(packet, transport), 1).unwrap()
    }

    fn udp(payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(51000, 4789).write(&mut packet, payload).unwrap();
        packet
    }

    fn tcp6(payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).tcp(51000, 443, 1234, 64240).write(&mut packet, payload).unwrap();
        packet
    }

    /// An IPv4 packet around a message of a protocol.
    fn ipv4(protocol: u8, message: &[u8]) -> Vec<u8> {
        let total = (20 + message.len()) as u16;
        let [high, low] = total.to_be_bytes();
        [&[0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], message].concat()
    }

    #[test]
    fn the_examples_of_the_standards_hold() {
        // RFC 1071 3.
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0x220d);
        // RFC 3720 B.4 (CRC-32c of 32 bytes), and the check value of the catalogue of CRCs.
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
    }

    #[test]
    fn a_header_seen_on_a_wire_holds_and_a_flipped_bit_does_not() {
        let mut header = *b"\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\xb8\x61\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
        let layer = |b: &[u8; 20]| [Layer { offset: 0, length: 20, claimed: 95, body: Body::Ipv4(Ipv4::parse(b)) }];
        assert_eq!(verify(&header, &layer(&header), 0), Some(Status::Correct));
        header[8] -= 1;
        assert_eq!(verify(&header, &layer(&header), 0), Some(Status::Incorrect { expected: 0xb961 }));
        assert_eq!(verify(&header[..19], &layer(&header), 0), Some(Status::Unverifiable));
    }

    #[test]
    fn the_sender_that_leaves_a_checksum_to_its_hardware_is_told_from_damage() {
        let mut packet = udp(b"payload");
        let right = Udp::parse(fixed(&packet, 20)).checksum;
        let mut pseudo = Sum::new();
        pseudo.add_pseudo_v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), number::ip::UDP, 15);
        packet[26..28].copy_from_slice(&pseudo.folded().to_be_bytes());
        assert_eq!(status(&packet, LayerKind::Udp), Status::Partial);
        packet[27] ^= 1;
        assert_eq!(status(&packet, LayerKind::Udp), Status::Incorrect { expected: right.into() });
        packet[26..28].fill(0);
        assert_eq!(status(&packet, LayerKind::Udp), Status::Zero);
    }

    #[test]
    fn a_udp_sum_of_zero_is_written_as_ones_and_nothing_else_is_expected() {
        // The payload is chosen so that everything sums to 0xffff.
        let mut packet = udp(&[0, 0]);
        let missing = Udp::parse(fixed(&packet, 20)).checksum;
        packet[28..30].copy_from_slice(&missing.to_be_bytes());
        packet[26..28].fill(0xff);
        assert_eq!(status(&packet, LayerKind::Udp), Status::Correct);
        packet[26..28].copy_from_slice(&[1, 2]);
        assert_eq!(status(&packet, LayerKind::Udp), Status::Incorrect { expected: 0xffff });
    }

    #[test]
    fn what_is_not_all_here_is_not_judged() {
        let packet = udp(b"payload");
        let layers = layers(&packet, LayerKind::Udp);
        assert_eq!(verify(&packet[..packet.len() - 1], &layers, 1), Some(Status::Unverifiable));
        // A first fragment holds all bytes that its own lengths name, but not those of the datagram.
        let mut fragment = layers;
        fragment[0].body = Body::Ipv4(Ipv4 { more_fragments: true, ..Ipv4::parse(fixed(&packet, 0)) });
        assert_eq!(verify(&packet, &fragment, 1), Some(Status::Unverifiable));
        // Nor are those of a packet in its tunnel, however deep; but the tunnel's own IPv4 header is.
        let around = Layer { offset: 0, length: 0, claimed: 0, ..fragment[0] };
        let [ip, transport] = layers;
        let mut damaged = packet.clone();
        damaged[30] ^= 1;
        assert!(matches!(verify(&damaged, &[ip, transport], 1), Some(Status::Incorrect { .. })));
        assert_eq!(verify(&damaged, &[around, ip, transport], 2), Some(Status::Unverifiable));
        assert_eq!(verify(&damaged, &[around, ip, transport], 1), Some(Status::Correct));
        damaged[12] ^= 1;
        assert!(matches!(verify(&damaged, &[around, ip, transport], 1), Some(Status::Incorrect { .. })));
        // The headers of a GSO_PARTIAL frame are those of one of its segments.
        let mut segments = layers;
        segments[0].body = Body::Ipv4(Ipv4 { total_length: 30, ..Ipv4::parse(fixed(&packet, 0)) });
        assert_eq!(verify(&packet, &segments, 1), Some(Status::Unverifiable));
        assert_eq!(verify(&packet, &layers, 2), None);
        assert_eq!(
            verify(&packet, &[Layer { claimed: u32::MAX, length: u32::MAX, offset: u32::MAX, ..layers[1] }], 0),
            Some(Status::Unverifiable)
        );
    }

    #[test]
    fn what_a_fragment_of_the_tunnel_cuts_is_not_judged() {
        for inside in ["tcp", "udp"] {
            let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
            let (data, mut tunneled) = ([0x5a; 200], vec![8, 0, 0, 0, 0, 0, 77, 0]);
            match inside {
                "tcp" => builder.tcp(1, 2, 3, 4).write(&mut tunneled, &data).unwrap(),
                _ => builder.udp(1, 2).write(&mut tunneled, &data).unwrap(),
            }
            let mut packet = Vec::new();
            PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(50_000, 4789).write(&mut packet, &tunneled).unwrap();
            let verdict = |packet: &[u8]| {
                let mut walker = Walker::default();
                let packet = walker.walk(packet, packet.len() as u32, LinkType::RAW);
                let index = packet.layers.iter().rposition(|layer| layer.kind().name() == inside).unwrap();
                verify(packet.bytes, packet.layers, index)
            };
            assert_eq!(verdict(&packet), Some(Status::Correct), "{inside}, whole");
            // The first of two fragments: 20 bytes of header and a multiple of 8.
            packet.truncate(20 + 160);
            packet[2..4].copy_from_slice(&180u16.to_be_bytes());
            packet[6] = 0x20;
            assert_eq!(verdict(&packet), Some(Status::Unverifiable), "{inside}, its first fragment");
        }
    }

    #[test]
    fn a_routing_header_hides_the_address_that_was_summed() {
        let packet = tcp6(b"data");
        let [ip, tcp] = layers(&packet, LayerKind::Tcp);
        // Eight bytes of extension header between the two.
        let mut stretched = [&packet[..40], &[number::ip::TCP, 0, 0, 0, 0, 0, 0, 0], &packet[40..]].concat();
        let (Body::Ipv6(ip_header), Body::Tcp(_)) = (ip.body, tcp.body) else { panic!("not the layers that were built") };
        let verdict = |packet: &[u8], number: u8| {
            let ext = Body::Ipv6Ext(Ipv6Ext::parse(number, fixed(packet, 40)));
            let ip = Layer {
                claimed: ip.claimed + 8,
                body: Body::Ipv6(Ipv6 { payload_length: ip_header.payload_length + 8, ..ip_header }),
                ..ip
            };
            let ext = Layer { offset: 40, length: 8, claimed: ip.claimed - 8, body: ext };
            verify(packet, &[ip, ext, Layer { offset: 48, ..tcp }], 2)
        };
        assert_eq!(verdict(&stretched, number::ip::ROUTING), Some(Status::Correct));
        assert_eq!(verdict(&stretched, number::ip::FRAGMENT), Some(Status::Correct), "a lone fragment is whole (RFC 6946)");
        stretched[43] = 1;
        assert_eq!(verdict(&stretched, number::ip::ROUTING), Some(Status::Unverifiable));
        assert_eq!(verdict(&stretched, number::ip::DESTINATION), Some(Status::Correct));
        assert_eq!(verdict(&stretched, number::ip::FRAGMENT), Some(Status::Unverifiable));
    }

    #[test]
    fn sctp_sends_its_crc_least_significant_byte_first() {
        let mut packet = ipv4(number::ip::SCTP, &[0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 1, 0, 0, 0, 0, 11, 0, 0, 4]);
        assert_eq!(status(&packet, LayerKind::Sctp), Status::Zero);
        let crc = naive_crc32c(&packet[20..]);
        packet[28..32].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(status(&packet, LayerKind::Sctp), Status::Correct);
        packet[35] = 5;
        assert!(matches!(status(&packet, LayerKind::Sctp), Status::Incorrect { .. }));
    }

    #[test]
    fn gre_igmp_and_icmp_sum_no_addresses() {
        for (protocol, kind, message, at) in [
            (number::ip::GRE, LayerKind::Gre, &[0x80, 0, 0x65, 0x58, 0, 0, 0, 0, 1, 2, 3][..], 24),
            (number::ip::IGMP, LayerKind::Igmp, &[0x11, 100, 0, 0, 224, 0, 0, 1, 2, 125, 0, 0], 22),
            (number::ip::ICMP, LayerKind::Icmp, &[8, 0, 0, 0, 0, 5, 0, 1, 9], 22),
        ] {
            let mut packet = ipv4(protocol, message);
            let right = naive(&packet[20..]);
            assert_eq!(status(&packet, kind), Status::Incorrect { expected: right.into() }, "{kind:?}");
            packet[at..at + 2].copy_from_slice(&right.to_be_bytes());
            assert_eq!(status(&packet, kind), Status::Correct, "{kind:?}");
        }
        // Without the C bit there is no checksum to judge.
        let plain = ipv4(number::ip::GRE, &[0, 0, 0x65, 0x58, 0, 0, 0, 0]);
        assert_eq!(verify(&plain, &layers(&plain, LayerKind::Gre), 1), None);
    }

    proptest! {
        #[test]
        fn parts_of_any_length_sum_as_the_whole_does(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..6)) {
            let whole = parts.concat();
            let mut sum = Sum::new();
            for part in &parts {
                sum.add(part);
            }
            prop_assert_eq!(sum.checksum(), naive(&whole));
            prop_assert_eq!(internet(&whole), naive(&whole));
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(crc32c(&slices), naive_crc32c(&whole));
        }

        #[test]
        fn what_etherparse_wrote_is_correct_and_a_flipped_bit_is_not(
            v6: bool, transport in 0..3, payload in proptest::collection::vec(any::<u8>(), 0..300), bit: proptest::sample::Index,
        ) {
            let (start, builder) = if v6 {
                (40, PacketBuilder::ipv6([0xfd; 16], [0x12; 16], 64))
            } else {
                (20, PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64))
            };
            let mut packet = Vec::new();
            let (kind, at) = match transport {
                0 => (builder.tcp(1, 2, 3, 4).write(&mut packet, &payload).map(|()| LayerKind::Tcp).unwrap(), 16),
                1 => (builder.udp(1, 2).write(&mut packet, &payload).map(|()| LayerKind::Udp).unwrap(), 6),
                _ if v6 => (builder.icmpv6_echo_request(1, 2).write(&mut packet, &payload).map(|()| LayerKind::Icmpv6).unwrap(), 2),
                _ => (builder.icmpv4_echo_request(1, 2).write(&mut packet, &payload).map(|()| LayerKind::Icmp).unwrap(), 2),
            };
            let layers = layers(&packet, kind);
            prop_assert_eq!(verify(&packet, &layers, 1), Some(Status::Correct));
            if !v6 {
                prop_assert_eq!(verify(&packet, &layers, 0), Some(Status::Correct));
            }
            // One bit off is one power of two off, which no carry makes up for. The field itself is compared, not summed.
            let place = start + at;
            let bit = bit.index((packet.len() - start) * 8);
            let byte = start + bit / 8;
            prop_assume!(byte != place && byte != place + 1);
            packet[byte] ^= 1 << (bit % 8);
            let damaged = verify(&packet, &layers, 1);
            // By chance, one in 65,536, what the field says is the sum of the pseudo-header alone.
            prop_assert!(matches!(damaged, Some(Status::Incorrect { .. } | Status::Partial)), "{:?}", damaged);
        }

        #[test]
        fn no_layers_and_no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 20..60), places in proptest::collection::vec((0u32..80, 0u32..80, 0u32..80), 1..4),
        ) {
            let bodies = [
                Body::Ipv4(Ipv4::parse(fixed(&bytes, 0))),
                Body::Ipv6Ext(Ipv6Ext::parse(number::ip::ROUTING, fixed(&bytes, 0))),
                Body::Tcp(Tcp::parse(fixed(&bytes, 0))),
                Body::Sctp(Sctp::parse(fixed(&bytes, 0))),
            ];
            for upper in bodies {
                let layers: Vec<Layer> = places
                    .iter()
                    .zip(bodies.iter().take(places.len() - 1).chain([&upper]))
                    .map(|((offset, length, claimed), body)| Layer { offset: *offset, length: *length, claimed: *claimed, body: *body })
                    .collect();
                for index in 0..layers.len() {
                    let _ = verify(&bytes, &layers, index);
                }
            }
        }
    }
}
