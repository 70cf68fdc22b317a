//! Whose fault is an end: lengths that contradict each other, captures that cut, frames larger than their headers admit.

use super::*;

#[test]
fn truncated_is_the_captures_fault_malformed_the_senders() {
    let frame = in_vxlan(77, &tenant());
    // 84 bytes down to the inner TCP header, of which 10 were captured.
    let cut = walk_cut(&frame, 94);
    assert_eq!(cut.kinds()[..6], TENANT_IN_VXLAN[..6]);
    assert_eq!((cut.stop_kind(), cut.said().as_str()), (Some(StopKind::Truncated), "tcp at byte 84: needs 20, 10 captured"));
    assert!(cut.line.ends_with("[truncated in inner tcp at byte 84: needs 20, 10 captured]"), "{}", cut.line);
    // The same bytes, but nothing was cut: the inner length points beyond the frame, and the header is not there.
    let short = walk(&frame[..94]);
    assert_eq!(short.stop_kind(), Some(StopKind::Malformed));
    assert_eq!(short.said(), "tcp at byte 84: needs 20, the packet has 10");
}

#[test]
fn a_payload_that_was_cut_is_no_stop() {
    let frame = tenant();
    let found = walk_cut(&frame, frame.len() - 4);
    assert_eq!((found.kinds(), found.stop), (TENANT.to_vec(), None));
    assert!(matches!((found.layers[3].length, found.layers[3].body), (6, Body::Payload(rest)) if rest.wire_length == 10));
    assert_eq!(found.layers[2].claimed, 10, "the data of the segment, captured or not");
}

#[test]
fn a_wire_length_below_the_captured_one_does_not_shorten_the_packet() {
    let frame = tenant();
    let found = walked(&frame, 20, LinkType::ETHERNET, Config::default());
    assert_eq!((found.kinds(), found.stop), (TENANT.to_vec(), None));
}

#[test]
fn nothing_captured_is_truncated_and_an_empty_frame_malformed() {
    assert_eq!(walked(&[], 60, LinkType::ETHERNET, Config::default()).said(), "ethernet at byte 0: needs 14, 0 captured");
    assert_eq!(walk(&[]).said(), "ethernet at byte 0: needs 14, the packet has 0");
}

#[test]
fn ethernet_padding_is_no_payload() {
    let mut frame = ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &tcp(&[])));
    frame.resize(60, 0);
    let found = walk(&frame);
    assert_eq!((found.kinds(), found.layers[2].claimed), (vec![K::Ethernet, K::Ipv4, K::Tcp], 0));
    assert!(found.line.ends_with("len 0"), "{}", found.line);
    // The inner frame is padded too, and that is inside the outer lengths.
    let inner = walk(&in_vxlan(77, &frame));
    assert_eq!((inner.kinds(), inner.stop), (TENANT_IN_VXLAN[..7].to_vec(), None));
}

#[test]
fn udp_length_shorter_than_ip() {
    let mut datagram = udp(50000, 9000, &[0xcc; 24]);
    datagram[4..6].copy_from_slice(&18_u16.to_be_bytes());
    let found = walk(&ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &datagram)));
    assert_eq!((found.kinds(), found.stop), (vec![K::Ethernet, K::Ipv4, K::Udp, K::Payload], None));
    assert_eq!((found.layers[2].claimed, found.layers[3].length), (10, 10));
}

#[test]
fn udp_length_beyond_ip_is_noted_and_what_is_there_is_read() {
    let mut frame = in_vxlan(77, &tenant());
    frame[38..40].copy_from_slice(&400_u16.to_be_bytes());
    let found = walk(&frame);
    assert_eq!((found.kinds(), found.stop_kind()), (TENANT_IN_VXLAN.to_vec(), Some(StopKind::Malformed)));
    assert_eq!(found.said(), "udp at byte 34: udp length beyond the packet: 400, there are 80");
}

#[test]
fn lengths_below_their_headers_are_malformed() {
    let mut short_udp = udp(50000, 9000, &[1; 4]);
    short_udp[5] = 7;
    let mut short_tcp = tcp(&[1; 4]);
    short_tcp[12] = 0x40;
    for (packet, said) in [
        (ipv4(protocol::UDP, &short_udp), "udp at byte 34: udp length below the header's: 8, there are 7"),
        (ipv4(protocol::TCP, &short_tcp), "tcp at byte 34: header length below 20"),
        (ipv4_with(protocol::UDP, &[1; 8], |header| header.header_length = 16), "ipv4 at byte 14: header length below 20"),
        (
            ipv4_with(protocol::UDP, &[1; 8], |header| header.total_length = 19),
            "ipv4 at byte 14: total length below the header's: 20, there are 19",
        ),
        (ipv4(protocol::AH, &[17, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]), "ah at byte 34: header length below 12"),
    ] {
        let found = walk(&ethernet(ethertype::IPV4, &packet));
        assert_eq!((found.stop_kind(), found.said().as_str()), (Some(StopKind::Malformed), said));
        assert_eq!(found.kinds().last(), Some(&K::Payload), "{said}: what is left is shown");
    }
}

/// TCP in VXLAN as GSO_PARTIAL hands it over: every length is that of one segment, the frame holds `segments`.
fn partial(segments: usize, size: usize) -> Vec<u8> {
    let data = vec![0xdd; segments * size];
    let inner = ipv4_with(protocol::TCP, &tcp(&data), |header| header.total_length = 40 + size as u16);
    let frame = ethernet(ethertype::IPV4, &inner);
    let length = 8 + 8 + 14 + 40 + size as u16;
    let mut datagram = udp(50000, port::VXLAN, &vxlan(77, &frame));
    datagram[4..6].copy_from_slice(&length.to_be_bytes());
    ethernet(ethertype::IPV4, &ipv4_with(protocol::UDP, &datagram, |header| header.total_length = 20 + length))
}

#[test]
fn gso_partial_frames_count_their_segments() {
    // tcpdump 4.99.3 shows the first segment only.
    let frame = partial(3, 1400);
    let found = walk(&frame);
    assert_eq!((found.kinds(), found.stop), (TENANT_IN_VXLAN.to_vec(), None));
    assert_eq!(found.gso, Some(Gso::Partial { segments: 3, size: 1400 }));
    assert!(found.line.ends_with("len 4200 [gso: 3 segments of 1400]"), "{}", found.line);
    // The last one is shorter; and the count is that of the wire, not of the capture.
    let frame = &frame[..frame.len() - 1000];
    assert_eq!(walk(frame).gso, Some(Gso::Partial { segments: 3, size: 1400 }));
    assert_eq!(walk_cut(frame, 200).gso, Some(Gso::Partial { segments: 3, size: 1400 }));
}

#[test]
fn a_frame_longer_than_any_wire_is_a_super_frame() {
    let long = ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &tcp(&[0; 20_000])));
    assert_eq!(walk(&long).gso, Some(Gso::SuperFrame));
    assert!(walk_cut(&long, 100).line.ends_with("[gso super-frame: 20054 bytes]"));
    let jumbo = ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &tcp(&[0; 8_900])));
    assert_eq!(walk(&jumbo).gso, None);
}

#[test]
fn big_tcp_zero_length_is_decoded_to_the_end() {
    let frame = ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &tcp(&vec![0; 100_000])));
    let found = walk(&frame);
    assert_eq!((found.kinds(), found.stop, found.gso), (TENANT.to_vec(), None, Some(Gso::BigTcp)));
    assert_eq!(found.layers[3].length, 100_000);
    assert!(found.line.ends_with("len 100000 [big tcp: 100054 bytes]"), "{}", found.line);
    // In a tunnel, every length on the way is 0.
    let inner = in_vxlan(77, &frame);
    let found = walk_cut(&inner, 200);
    assert_eq!((found.kinds(), found.stop, found.gso), (TENANT_IN_VXLAN.to_vec(), None, Some(Gso::BigTcp)));
    assert_eq!(found.layers[6].claimed, 100_000);
}

#[test]
fn a_zero_length_in_a_short_frame_is_offload_and_no_fault() {
    let found = walk(&ethernet(ethertype::IPV4, &ipv4_with(protocol::TCP, &tcp(&[0; 30]), |header| header.total_length = 0)));
    assert_eq!((found.kinds(), found.stop, found.gso), (TENANT.to_vec(), None, None));
    assert_eq!(found.layers[2].claimed, 30);
}

#[test]
fn ipv6_jumbo() {
    // RFC 2675: a payload length of 0, and the true one in a hop-by-hop option.
    let segment = tcp(&vec![0; 70_000]);
    let [a, b, c, d] = (8 + segment.len() as u32).to_be_bytes();
    let mut packet = ipv6(protocol::HOP_BY_HOP, &[&[protocol::TCP, 0, 0xc2, 4, a, b, c, d][..], &segment].concat());
    packet[4..6].fill(0);
    let found = walk(&ethernet(ethertype::IPV6, &packet));
    assert_eq!((found.kinds(), found.stop), (vec![K::Ethernet, K::Ipv6, K::Ipv6Ext, K::Tcp, K::Payload], None));
    assert_eq!((found.gso, found.layers[3].claimed), (Some(Gso::BigTcp), 70_000));
}
