//! Which size would fit? The answer to an IP sender whose packet is too big for the overlay: ICMP fragmentation-needed, ICMPv6
//! packet-too-big.
//!
//! To its tenants an overlay is a link, and a link drops silently what is too big for it. Since its MTU follows from an underlay that
//! tenants do not know, the engine answers in the name of the destination instead, as Linux' tunnels do
//! (`skb_tunnel_check_pmtu`): from there the answer passes every filter that the conversation itself passes.
//!
//! Who gets no answer (RFC 1122 3.2.2, RFC 4443 2.4): ICMP errors and redirects, or errors would beget errors; fragments behind the
//! first, which tell the sender no port; whatever was sent to a group, also in IPv6, where RFC 4443 would allow it, because the answer
//! would come from a group; and senders that are not one host.

mod replies;

pub(crate) use replies::Replies;

use crate::inner::{Fragment, Inner, Network};
use overlay_decoder::Mac;
use overlay_decoder::checksum::{self, Sum};
use overlay_decoder::layer::number::ip;
use overlay_decoder::layer::{Ethernet, Icmp, Icmpv6, Ipv4, Ipv6};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The smallest MTU that an IPv4 host believes (RFC 1191 3): every link carries as much (RFC 791 3.2).
const MTU_MIN_V4: u32 = 68;
/// The smallest MTU that an IPv6 host believes (RFC 8201 4): every link carries as much (RFC 8200 5).
const MTU_MIN_V6: u32 = 1280;

/// Bytes of an ICMP error with its IP header at most (RFC 1812 4.3.2.3).
const REPLY_MAX_V4: usize = 576;
/// Bytes of an ICMPv6 error with its IP header at most (RFC 4443 2.4 (c)).
const REPLY_MAX_V6: usize = 1280;

/// Bytes of the longest reply: an ICMPv6 error behind two VLAN tags. An output buffer with so much room left is not grown.
pub const REPLY_MAX: usize = Ethernet::LENGTH + 2 * 4 + REPLY_MAX_V6;

/// Hops that a reply may take. It comes from a neighbour as far as IP is concerned, but a guest may route it on.
const TTL: u8 = 64;

/// Precedence 6, internetwork control, for ICMP errors (RFC 1812 4.3.2.5).
const TOS_V4: u8 = 0xc0;

/// Appends to `out` the frame that tells the sender of `frame` to send IP packets of at most `mtu` bytes; `false`, with nothing
/// appended, where the sender must not or cannot be told. `inner` is what [`Inner::parse`] found in the frame. How often a sender is told
/// is the caller's to limit (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).
///
/// The reply is an answer: MACs and IPs change places, VLAN tags stay. An MTU that is smaller than what the sender's IP can believe is
/// told as that least size; a packet that is no larger than that gets no reply, since there is nothing left that its sender could do.
pub fn reply(frame: &[u8], inner: &Inner, mtu: u32, out: &mut Vec<u8>) -> bool {
    if inner.source.is_group() || inner.destination.is_group() {
        return false;
    }
    let Some(packet) = frame.get(inner.l3..) else { return false };
    let start = out.len();
    let written = match inner.network {
        Network::Ipv4 { dont_fragment: true, fragment, total_len, protocol, l4, .. } => {
            let is_question = || message(frame, l4).is_some_and(|bytes| !Icmp::parse(bytes).is_error());
            let answerable = fragment != Fragment::Later && (protocol != ip::ICMP || is_question());
            packet.first_chunk().filter(|_| answerable).map(Ipv4::parse).and_then(|header| {
                let packet = quotable(packet, usize::from(total_len), l4 - inner.l3)?;
                begin(out, frame, inner)?;
                icmp(out, &header, packet, mtu)
            })
        }
        Network::Ipv6 { fragment, payload_len, protocol, l4, .. } => {
            let is_question = || {
                let message = message(frame, l4).map(Icmpv6::parse);
                message.is_some_and(|message| !message.is_error() && message.kind != Icmpv6::REDIRECT)
            };
            let answerable = match protocol {
                ip::ICMPV6 => is_question(),
                // Extension headers that were not looked behind may have an error behind them.
                ip::HOP_BY_HOP | ip::ROUTING | ip::FRAGMENT | ip::DESTINATION => false,
                _ => true,
            } && fragment != Fragment::Later;
            packet.first_chunk().filter(|_| answerable).map(Ipv6::parse).and_then(|header| {
                let len = if payload_len == 0 { 0 } else { usize::from(payload_len) + Ipv6::LENGTH };
                let packet = quotable(packet, len, Ipv6::LENGTH)?;
                begin(out, frame, inner)?;
                icmpv6(out, &header, packet, mtu)
            })
        }
        _ => None,
    };
    if written.is_none() {
        out.truncate(start);
    }
    written.is_some()
}

/// The start of an ICMP message. One that is cut off may be an error, and gets no reply.
fn message(frame: &[u8], l4: usize) -> Option<&[u8; Icmp::LENGTH]> {
    frame.get(l4..)?.first_chunk()
}

/// The bytes of the packet without what follows it in the frame. A length of 0 is that of a super-frame beyond 64 KiB; one that does
/// not reach behind the header is nobody's.
fn quotable(packet: &[u8], len: usize, header: usize) -> Option<&[u8]> {
    match len {
        0 => Some(packet),
        len if len < header => None,
        len => Some(packet.get(..len).unwrap_or(packet)),
    }
}

/// The Ethernet header of the reply, VLAN tags included.
fn begin(out: &mut Vec<u8>, frame: &[u8], inner: &Inner) -> Option<()> {
    let behind_macs = frame.get(2 * size_of::<Mac>()..inner.l3)?;
    out.extend_from_slice(&inner.source.0);
    out.extend_from_slice(&inner.destination.0);
    out.extend_from_slice(behind_macs);
    Some(())
}

/// RFC 792 "Destination Unreachable", with the MTU of RFC 1191 4.
fn icmp(out: &mut Vec<u8>, about: &Ipv4, packet: &[u8], mtu: u32) -> Option<()> {
    if !is_one_host_v4(about.src) || !is_one_host_v4(about.dst) {
        return None;
    }
    let mtu = told(mtu, MTU_MIN_V4, packet.len())?;
    let quote = packet.get(..REPLY_MAX_V4 - Ipv4::LENGTH - Icmp::LENGTH).unwrap_or(packet);
    // Sixteen bits; nothing that fails to fit more than that is IPv4.
    let [high, low] = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
    let mut message = Icmp { kind: Icmp::UNREACHABLE, code: Icmp::FRAGMENTATION_NEEDED, checksum: 0, rest: [0, 0, high, low] };
    let mut sum = Sum::new();
    sum.add(&message.emit());
    sum.add(quote);
    message.checksum = sum.checksum();
    let mut header = Ipv4 {
        header_length: Ipv4::LENGTH as u8,
        tos: TOS_V4,
        // At most REPLY_MAX_V4.
        total_length: (Ipv4::LENGTH + Icmp::LENGTH + quote.len()) as u16,
        // A packet that is never fragmented needs none (RFC 6864 4.1).
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        reserved_flag: false,
        fragment_offset: 0,
        ttl: TTL,
        protocol: ip::ICMP,
        checksum: 0,
        src: about.dst,
        dst: about.src,
    };
    header.checksum = checksum::internet(&header.emit());
    out.extend_from_slice(&header.emit());
    out.extend_from_slice(&message.emit());
    out.extend_from_slice(quote);
    Some(())
}

/// RFC 4443 3.2 "Packet Too Big Message".
fn icmpv6(out: &mut Vec<u8>, about: &Ipv6, packet: &[u8], mtu: u32) -> Option<()> {
    if !is_one_host_v6(about.src) || !is_one_host_v6(about.dst) {
        return None;
    }
    let mtu = told(mtu, MTU_MIN_V6, packet.len())?;
    let quote = packet.get(..REPLY_MAX_V6 - Ipv6::LENGTH - Icmpv6::LENGTH).unwrap_or(packet);
    let mut message = Icmpv6 { kind: Icmpv6::TOO_BIG, code: 0, checksum: 0, rest: mtu.to_be_bytes() };
    let len = Icmpv6::LENGTH + quote.len();
    let mut sum = Sum::new();
    sum.add_pseudo_v6(about.dst, about.src, ip::ICMPV6, len as u32);
    sum.add(&message.emit());
    sum.add(quote);
    message.checksum = sum.checksum();
    let header = Ipv6 {
        traffic_class: 0,
        flow_label: 0,
        // At most REPLY_MAX_V6.
        payload_length: len as u16,
        next_header: ip::ICMPV6,
        hop_limit: TTL,
        src: about.dst,
        dst: about.src,
        upper_protocol: ip::ICMPV6,
    };
    out.extend_from_slice(&header.emit());
    out.extend_from_slice(&message.emit());
    out.extend_from_slice(quote);
    Some(())
}

/// The MTU to tell the sender of a packet of `len` bytes, if telling it can help.
fn told(mtu: u32, least: u32, len: usize) -> Option<u32> {
    let hopeless = mtu < least && len <= least as usize;
    (!hopeless).then_some(mtu.max(least))
}

/// Whether an address stands for one host of a network, as far as it tells by itself (RFC 1122 3.2.2).
const fn is_one_host_v4(address: Ipv4Addr) -> bool {
    // 0.0.0.0/8 is "this network", 240.0.0.0/4 is class E with the broadcast address in it (RFC 6890 2.2.2).
    let first = address.octets()[0];
    first != 0 && first < 240 && !address.is_loopback() && !address.is_multicast()
}

/// The same for IPv6 (RFC 4443 2.4 (e.6)).
const fn is_one_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner::samples::{DESTINATION, SOURCE, ethernet, from_ports, ipv4, ipv6, parse, tagged};
    use overlay_decoder::checksum::Status;
    use overlay_decoder::layer::number::ethertype;
    use overlay_decoder::layer::{Body, Ipv6Ext};
    use overlay_decoder::{LinkType, Walker};
    use proptest::prelude::*;

    fn told(frame: &[u8], mtu: u32) -> Option<Vec<u8>> {
        // Replies of one batch stand behind each other in a buffer.
        let mut out = vec![9; 3];
        let written = reply(frame, &parse(frame), mtu, &mut out);
        assert!(out.starts_with(&[9; 3]) && (written || out.len() == 3));
        written.then(|| out.split_off(3))
    }

    fn udp4(size: usize) -> Vec<u8> {
        ethernet(ethertype::IPV4, &ipv4(ip::UDP, &vec![7; size - 20], |_| {}))
    }

    fn udp6(size: usize) -> Vec<u8> {
        ethernet(ethertype::IPV6, &ipv6(ip::UDP, &vec![7; size - 40], |_| {}))
    }

    /// What the decoder says of a reply: the bodies of its layers, behind which nothing may be wrong.
    fn bodies(frame: &[u8]) -> Vec<Body> {
        let mut walker = Walker::default();
        let packet = walker.walk(frame, frame.len() as u32, LinkType::ETHERNET);
        assert_eq!(packet.stop, None, "{frame:x?}");
        for index in 0..packet.layers.len() {
            assert!(matches!(checksum::verify(frame, packet.layers, index), None | Some(Status::Correct)), "{:?}", packet.layers[index]);
        }
        packet.layers.iter().map(|layer| layer.body).collect()
    }

    #[test]
    fn an_ipv4_sender_is_told_the_size_in_the_name_of_the_destination() {
        let frame = udp4(1500);
        let told = told(&frame, 1450).unwrap();
        assert_eq!(told.len(), 14 + 576);
        let [Body::Ethernet(ethernet), Body::Ipv4(header), Body::Icmp(message), Body::Payload(_)] = bodies(&told)[..] else {
            panic!("{:?}", bodies(&told));
        };
        assert_eq!((ethernet.src, ethernet.dst), (DESTINATION, SOURCE));
        assert_eq!((header.src.to_string(), header.dst.to_string(), header.total_length), ("10.0.0.2".into(), "10.0.0.1".into(), 576));
        assert_eq!((header.ttl, header.tos, header.dont_fragment), (64, 0xc0, true));
        assert_eq!((message.kind, message.code, message.mtu()), (3, 4, Some(1450)));
        assert_eq!(told[14 + 28..], frame[14..14 + 548], "the packet is quoted from its IP header on");
    }

    #[test]
    fn an_ipv6_sender_is_told_the_size_in_the_name_of_the_destination() {
        let frame = udp6(1500);
        let told = told(&frame, 1430).unwrap();
        assert_eq!(told.len(), 14 + 1280);
        let [Body::Ethernet(ethernet), Body::Ipv6(header), Body::Icmpv6(message), Body::Payload(_)] = bodies(&told)[..] else {
            panic!("{:?}", bodies(&told));
        };
        assert_eq!((ethernet.src, ethernet.dst), (DESTINATION, SOURCE));
        assert_eq!((header.src.to_string(), header.dst.to_string(), header.payload_length), ("fd00::2".into(), "fd00::1".into(), 1240));
        assert_eq!((message.kind, message.code, message.mtu()), (2, 0, Some(1430)));
        assert_eq!(told[14 + 48..], frame[14..14 + 1232], "the packet is quoted from its IP header on");
    }

    #[test]
    fn a_short_packet_is_quoted_whole_and_without_what_follows_it() {
        let mut frame = ethernet(ethertype::IPV4, &ipv4(ip::UDP, &[7; 80], |_| {}));
        frame.extend([0xee; 30]);
        let reply = told(&frame, 90).unwrap();
        assert_eq!(reply[14 + 28..], frame[14..114]);
        let mut frame = ethernet(ethertype::IPV6, &ipv6(ip::UDP, &[7; 1000], |_| {}));
        frame.extend([0xee; 30]);
        let reply = told(&frame, 1280).unwrap();
        assert_eq!(reply[14 + 48..], frame[14..14 + 1040]);
    }

    #[test]
    fn vlan_tags_stay() {
        for (kind, packet) in [(ethertype::IPV4, udp4(1500)), (ethertype::IPV6, udp6(1500))] {
            for ids in [&[100][..], &[100, 200]] {
                let frame = tagged(ids, kind, &packet[14..]);
                let mut out = Vec::with_capacity(REPLY_MAX);
                assert!(reply(&frame, &parse(&frame), 1400, &mut out));
                assert_eq!(out.capacity(), REPLY_MAX, "never grown");
                let l3 = 14 + 4 * ids.len();
                assert_eq!(out[12..l3], frame[12..l3]);
                let tags: Vec<u16> =
                    bodies(&out).iter().filter_map(|body| if let Body::Vlan(tag) = body { Some(tag.id) } else { None }).collect();
                assert_eq!(tags, ids);
            }
        }
        let three = tagged(&[1, 2, 3], ethertype::IPV4, &udp4(1500)[14..]);
        assert_eq!(told(&three, 1400), None, "not looked behind");
    }

    #[test]
    fn a_sender_that_lets_routers_fragment_is_not_told() {
        let frame = ethernet(ethertype::IPV4, &ipv4(ip::UDP, &[7; 1480], |ip| ip.dont_fragment = false));
        assert_eq!(told(&frame, 1400), None);
    }

    #[test]
    fn an_mtu_that_no_host_believes_is_told_as_the_least_that_it_does() {
        let mtu_of = |frame: &[u8], mtu: u32| {
            told(frame, mtu).map(|reply| match bodies(&reply)[2] {
                Body::Icmp(message) => u32::from(message.mtu().unwrap()),
                Body::Icmpv6(message) => message.mtu().unwrap(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!([mtu_of(&udp4(1500), 67), mtu_of(&udp4(1500), 0), mtu_of(&udp4(1500), 68)], [Some(68); 3]);
        assert_eq!([mtu_of(&udp6(1500), 1279), mtu_of(&udp6(1500), 0), mtu_of(&udp6(1500), 1280)], [Some(1280); 3]);
        assert_eq!(mtu_of(&udp4(1500), 100_000), Some(65535), "all that the field can say");
        assert_eq!(mtu_of(&udp6(1500), 100_000), Some(100_000));
        // There is nothing that these could do.
        assert_eq!([mtu_of(&udp4(68), 67), mtu_of(&udp6(1280), 1279)], [None; 2]);
        assert_eq!([mtu_of(&udp4(69), 67), mtu_of(&udp6(1281), 1279)], [Some(68), Some(1280)]);
    }

    #[test]
    fn errors_get_no_reply_and_questions_do() {
        let icmp = |kind: u8| ethernet(ethertype::IPV4, &ipv4(ip::ICMP, &[&[kind][..], &[0; 1479]].concat(), |_| {}));
        for kind in 0..=u8::MAX {
            assert_eq!(told(&icmp(kind), 1400).is_none(), [3, 4, 5, 11, 12].contains(&kind), "icmp type {kind}");
        }
        let icmpv6 = |kind: u8| ethernet(ethertype::IPV6, &ipv6(ip::ICMPV6, &[&[kind][..], &[0; 1459]].concat(), |_| {}));
        for kind in 0..=u8::MAX {
            assert_eq!(told(&icmpv6(kind), 1400).is_none(), kind < 128 || kind == 137, "icmpv6 type {kind}");
        }
        assert_eq!(told(&icmp(8)[..14 + 27], 1400), None, "cut off: nobody knows what it is");
        // Behind more headers than are looked behind there may be an error.
        let hops = [&[ip::HOP_BY_HOP, 0, 0, 0, 0, 0, 0, 0][..]; 9].concat();
        assert_eq!(told(&ethernet(ethertype::IPV6, &ipv6(ip::HOP_BY_HOP, &hops, |_| {})), 1280), None);
    }

    #[test]
    fn only_the_first_fragment_is_answered() {
        let part = |offset: u16| {
            let packet = ipv4(ip::UDP, &[7; 1480], |ip| (ip.fragment_offset, ip.more_fragments) = (offset, true));
            told(&ethernet(ethertype::IPV4, &packet), 1400).is_some()
        };
        assert_eq!([part(0), part(1480)], [true, false]);
        let part = |offset: u16| {
            let fragment = Some(overlay_decoder::layer::Fragment { offset, more: true, id: 5 });
            let header = Ipv6Ext { header: ip::FRAGMENT, next_header: ip::UDP, length_field: 0, fragment };
            let packet = ipv6(ip::FRAGMENT, &[&header.emit()[..], &[7; 1448]].concat(), |_| {});
            told(&ethernet(ethertype::IPV6, &packet), 1400).is_some()
        };
        assert_eq!([part(0), part(1448)], [true, false]);
    }

    #[test]
    fn groups_and_senders_that_are_no_host_are_not_answered() {
        for (at, address) in [(0, "a group"), (6, "a group as source")] {
            let mut frame = udp4(1500);
            frame[at] |= 1;
            assert_eq!(told(&frame, 1400), None, "{address}");
        }
        for bad in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"] {
            let bad: Ipv4Addr = bad.parse().unwrap();
            let of = |src: bool| ipv4(ip::UDP, &[7; 1480], |ip| *(if src { &mut ip.src } else { &mut ip.dst }) = bad);
            assert_eq!([true, false].map(|src| told(&ethernet(ethertype::IPV4, &of(src)), 1400)), [None, None], "{bad}");
        }
        for bad in ["::", "::1", "ff02::1", "ff0e::1"] {
            let bad: Ipv6Addr = bad.parse().unwrap();
            let of = |src: bool| ipv6(ip::UDP, &[7; 1460], |ip| *(if src { &mut ip.src } else { &mut ip.dst }) = bad);
            assert_eq!([true, false].map(|src| told(&ethernet(ethertype::IPV6, &of(src)), 1400)), [None, None], "{bad}");
        }
        assert_eq!(told(&ethernet(ethertype::ARP, &[0; 2000]), 1400), None, "what is not IP has no size to be told");
    }

    #[test]
    fn a_super_frame_is_quoted_like_a_packet() {
        let mut big = ethernet(ethertype::IPV4, &ipv4(ip::TCP, &from_ports(1, 2), |ip| ip.total_length = 0));
        big.resize(70_000, 3);
        assert_eq!(told(&big, 1450).map(|reply| reply.len()), Some(14 + 576));
        let mut big = ethernet(ethertype::IPV6, &ipv6(ip::TCP, &from_ports(1, 2), |ip| ip.payload_length = 0));
        big.resize(70_000, 3);
        assert_eq!(told(&big, 1450).map(|reply| reply.len()), Some(14 + 1280));
        let lying = ethernet(ethertype::IPV4, &ipv4(ip::TCP, &[0; 1480], |ip| ip.total_length = 19));
        assert_eq!(told(&lying, 1400), None, "a packet shorter than its header");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_soundly_or_not_at_all(
            bytes in prop::collection::vec(any::<u8>(), 0..120), size in 0usize..1600, tags in 0usize..3, v6: bool, next: u8, mtu in 0u32..70_000,
        ) {
            let next = [ip::TCP, ip::UDP, ip::ICMP, ip::ICMPV6, ip::HOP_BY_HOP, ip::FRAGMENT, next][usize::from(next) % 7];
            let mut payload = bytes.clone();
            payload.resize(payload.len().max(size), 1);
            let (kind, packet) = if v6 { (ethertype::IPV6, ipv6(next, &payload, |_| {})) } else { (ethertype::IPV4, ipv4(next, &payload, |_| {})) };
            let mut damaged = packet.clone();
            if let [first, second, ..] = bytes[..] {
                let at = usize::from(first) % 40 % damaged.len();
                damaged[at] = second;
            }
            for frame in [tagged(&[5, 6][..tags], kind, &packet), tagged(&[5, 6][..tags], kind, &damaged), tagged(&[5], kind, &bytes)] {
                let Some(reply) = told(&frame, mtu) else { continue };
                prop_assert!(reply.len() <= REPLY_MAX);
                let found = bodies(&reply);
                prop_assert!(found.iter().any(|body| matches!(body, Body::Icmp(_) | Body::Icmpv6(_))));
                prop_assert_eq!(told(&reply, mtu), None, "a reply to a reply");
            }
        }

        #[test]
        fn a_frame_that_is_not_the_one_parsed_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut out = Vec::new();
            for frame in [udp4(100), udp6(100), tagged(&[1, 2], ethertype::IPV6, &udp6(100)[14..])] {
                reply(&bytes, &parse(&frame), 1280, &mut out);
            }
        }
    }
}
