//! Fragments, extension headers, and what stands behind IP.

use super::*;

#[test]
fn first_fragment_is_decoded() {
    let packet = ipv4_with(protocol::UDP, &udp(50000, 9000, &[0xcc; 24]), |header| header.more_fragments = true);
    let found = walk(&ethernet(ethertype::IPV4, &packet));
    assert_eq!((found.kinds(), found.stop), (vec![K::Ethernet, K::Ipv4, K::Udp, K::Payload], None));
    assert_eq!(found.line, "10.0.0.1:50000 > 10.0.0.2:9000 fragment id 9 offset 0+ udp len 24");
}

#[test]
fn the_first_fragment_of_a_tunnel_shows_the_inner_packet() {
    // The UDP length is that of the datagram, and rightly goes beyond the fragment.
    let mut datagram = udp(50000, port::VXLAN, &vxlan(77, &tenant()));
    datagram[4..6].copy_from_slice(&3000_u16.to_be_bytes());
    let found = walk(&ethernet(ethertype::IPV4, &ipv4_with(protocol::UDP, &datagram, |header| header.more_fragments = true)));
    assert_eq!((found.kinds(), found.stop), (TENANT_IN_VXLAN.to_vec(), None));
}

#[test]
fn a_later_fragment_is_named_and_not_decoded() {
    let packet = ipv4_with(protocol::UDP, &udp(50000, 9000, &[0xcc; 24]), |header| header.fragment_offset = 1480);
    let found = walk(&ethernet(ethertype::IPV4, &packet));
    assert_eq!(found.kinds(), [K::Ethernet, K::Ipv4, K::Payload]);
    assert_eq!((found.stop_kind(), found.said().as_str()), (Some(StopKind::Unsupported), "payload at byte 34: later fragment"));
    assert!(found.line.starts_with("10.0.0.1 > 10.0.0.2 fragment id 9 offset 1480 udp len 32"), "{}", found.line);
}

#[test]
fn fragments_of_ipv6_are_told_apart_likewise() {
    let fragment = |offset: u8, more: u8| [&[17, 0, offset, more, 0, 0, 0, 5][..], &udp(50000, 9000, &[0xcc; 24])].concat();
    let first = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::FRAGMENT, &fragment(0, 1))));
    assert_eq!((first.kinds(), first.stop), (vec![K::Ethernet, K::Ipv6, K::Ipv6Ext, K::Udp, K::Payload], None));
    let later = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::FRAGMENT, &fragment(5, 0))));
    assert_eq!(later.kinds(), [K::Ethernet, K::Ipv6, K::Ipv6Ext, K::Payload]);
    assert_eq!(later.said(), "payload at byte 62: later fragment");
    for found in [first, later] {
        assert!(matches!(found.layers[1].body, Body::Ipv6(header) if (header.next_header, header.upper_protocol) == (44, 17)));
    }
}

#[test]
fn the_upper_protocol_stands_behind_all_extension_headers() {
    let destination = [&[protocol::AH, 0, 1, 4, 0, 0, 0, 0][..], &[protocol::TCP, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]].concat();
    let hop = [&[protocol::DESTINATION, 0, 5, 2, 0, 0, 1, 0][..], &destination, &tcp(&[])].concat();
    let found = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::HOP_BY_HOP, &hop)));
    assert_eq!(found.kinds(), [K::Ethernet, K::Ipv6, K::Ipv6Ext, K::Ipv6Ext, K::Ah, K::Tcp]);
    assert!(matches!(found.layers[1].body, Body::Ipv6(header) if (header.next_header, header.upper_protocol) == (0, protocol::TCP)));
}

#[test]
fn hundreds_of_extension_headers_stop_with_depth() {
    let chain = [protocol::DESTINATION, 0, 1, 4, 0, 0, 0, 0].repeat(200);
    let found = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::DESTINATION, &chain)));
    assert!(found.layers.len() <= MAX_LAYERS);
    assert_eq!((found.stop_kind(), found.kinds().last()), (Some(StopKind::Depth), Some(&K::Payload)));
}

#[test]
fn no_step_goes_beyond_the_most_layers() {
    // However many tags stand before them, the three headers of the last step fit or are left out.
    let query = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
    let packet = ipv4(protocol::UDP, &udp(50000, port::DNS, &query));
    for tags in MAX_LAYERS - 8..MAX_LAYERS + 2 {
        let tagged = [[0, 1, 0x81, 0].repeat(tags - 1), [0, 1, 8, 0].to_vec(), packet.clone()].concat();
        let found = walk(&ethernet(ethertype::VLAN, &tagged));
        assert!(found.layers.len() <= MAX_LAYERS, "{} layers", found.layers.len());
        assert_eq!(found.layers.last().unwrap().end(), 14 + tagged.len(), "no byte goes unnamed");
        let whole = found.kinds().ends_with(&[K::Ipv4, K::Udp, K::Dns]);
        assert_eq!(found.stop_kind(), if whole { None } else { Some(StopKind::Depth) }, "{tags} tags");
        assert_eq!(whole, tags + 4 <= MAX_LAYERS, "{tags} tags");
    }
}

#[test]
fn esp_hides_the_rest_and_no_next_header_has_none() {
    let esp = walk(&ethernet(ethertype::IPV4, &ipv4(protocol::ESP, &[0, 0, 1, 0, 0, 0, 0, 1, 0xee, 0xee])));
    assert_eq!((esp.kinds(), esp.stop), (vec![K::Ethernet, K::Ipv4, K::Esp, K::Payload], None));
    let none = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::NO_NEXT, &[])));
    assert_eq!((none.kinds(), none.stop), (vec![K::Ethernet, K::Ipv6], None));
    let padded = walk(&ethernet(ethertype::IPV6, &[ipv6(protocol::NO_NEXT, &[]), vec![0; 6]].concat()));
    assert_eq!(padded.kinds(), [K::Ethernet, K::Ipv6]);
}

#[test]
fn a_protocol_that_nobody_decodes_is_named() {
    let found = walk(&ethernet(ethertype::IPV4, &ipv4(89, &[1; 24])));
    assert_eq!((found.kinds(), found.stop_kind()), (vec![K::Ethernet, K::Ipv4, K::Payload], Some(StopKind::Unsupported)));
    assert_eq!(found.line, "10.0.0.1 > 10.0.0.2 ospf len 24 [unsupported in outer payload at byte 34: ip protocol not decoded: 89]");
}

#[test]
fn a_version_against_its_type_field_is_the_senders_fault() {
    let found = walk(&ethernet(ethertype::IPV4, &ipv6(protocol::TCP, &tcp(&[]))));
    assert_eq!((found.kinds(), found.said().as_str()), (vec![K::Ethernet, K::Payload], "ipv4 at byte 14: version is not 4"));
    let raw = walked(&[0x95; 40], 40, LinkType::RAW, Config::default());
    assert_eq!(raw.said(), "ipv4 at byte 0: ip version neither 4 nor 6");
}

#[test]
fn dns_over_tcp_is_read_where_a_message_starts() {
    let message = [&[0, 17][..], &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[0, 0, 1, 0, 1]].concat();
    let mut segment = tcp(&message);
    segment[2..4].copy_from_slice(&port::DNS.to_be_bytes());
    let start = walk(&ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &segment)));
    assert_eq!(start.kinds(), [K::Ethernet, K::Ipv4, K::Tcp, K::Dns]);
    // The middle of a stream: what stands where the length would be is larger than what follows.
    segment[20..22].copy_from_slice(&[0xff, 0xff]);
    let middle = walk(&ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &segment)));
    assert_eq!((middle.kinds(), middle.stop), (vec![K::Ethernet, K::Ipv4, K::Tcp, K::Payload], None));
}
