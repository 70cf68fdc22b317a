//! Below IP: link types, tags, 802.3.

use super::*;

#[test]
fn tags_of_any_depth_remember_what_announced_them() {
    let inner = [&[0x00, 10, 0x81, 0, 0xb0, 20, 0x08, 0][..], &tenant()[14..]].concat();
    let found = walk(&ethernet(ethertype::PROVIDER_VLAN, &inner));
    assert_eq!(found.kinds(), [K::Ethernet, K::Vlan, K::Vlan, K::Ipv4, K::Tcp, K::Payload]);
    let tags: Vec<_> = found.layers.iter().filter_map(|layer| if let Body::Vlan(tag) = layer.body { Some(tag) } else { None }).collect();
    assert_eq!((tags[0].id, tags[0].tpid, tags[0].ethertype), (10, ethertype::PROVIDER_VLAN, ethertype::VLAN));
    assert_eq!((tags[1].id, tags[1].tpid, tags[1].priority, tags[1].drop_eligible), (20, ethertype::VLAN, 5, true));
    assert!(found.line.starts_with("vlan 10 vlan 20 priority 5 drop-eligible 10.0.0.1:51000"), "{}", found.line);
}

#[test]
fn snap_and_stp() {
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &tenant()[14..]].concat();
    let found = walk(&ethernet(snap.len() as u16, &snap));
    assert_eq!((found.kinds(), found.stop), (vec![K::Ethernet, K::Llc, K::Ipv4, K::Tcp, K::Payload], None));

    let bridge = [0x42, 0x42, 3, 0, 0, 0, 0];
    let configuration = [&bridge[..], &[0; 31]].concat();
    // The rest of the 60 bytes of a frame is padding.
    let found = walk(&ethernet(configuration.len() as u16, &[configuration.clone(), vec![0; 8]].concat()));
    assert_eq!((found.kinds(), found.stop), (vec![K::Ethernet, K::Llc, K::Stp], None));
    let change = walk(&ethernet(7, &[&[0x42, 0x42, 3, 0, 0, 0, 0x80][..], &[0; 39]].concat()));
    assert_eq!((change.kinds(), change.layers[2].length), (vec![K::Ethernet, K::Llc, K::Stp], 4));
    let short = walk(&ethernet(20, &configuration[..20]));
    assert_eq!((short.stop_kind(), short.said().as_str()), (Some(StopKind::Malformed), "stp at byte 17: needs 35, the packet has 17"));
}

#[test]
fn snap_of_an_organization_is_not_taken_for_an_ethertype() {
    let cisco = [&[0xaa, 0xaa, 3, 0, 0, 12, 0x20, 0][..], &[1; 30]].concat();
    let found = walk(&ethernet(cisco.len() as u16, &cisco));
    assert_eq!((found.kinds(), found.stop_kind()), (vec![K::Ethernet, K::Llc, K::Payload], Some(StopKind::Unsupported)));
}

#[test]
fn an_802_3_length_beyond_the_frame_is_noted_and_the_rest_is_read() {
    let found = walk(&ethernet(300, &[&[0x42, 0x42, 3][..], &[0; 35]].concat()));
    assert_eq!((found.kinds(), found.stop_kind()), (vec![K::Ethernet, K::Llc, K::Stp], Some(StopKind::Malformed)));
    assert_eq!(found.said(), "llc at byte 14: 802.3 length beyond the packet: 300, there are 38");
}

#[test]
fn arp_ends_a_packet_and_what_follows_is_padding() {
    let message = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[2; 20], &[0; 18]].concat();
    let found = walk(&ethernet(ethertype::ARP, &message));
    assert_eq!((found.kinds(), found.stop), (vec![K::Ethernet, K::Arp], None));
    let infiniband = [&[0, 32, 8, 0, 20, 4, 0, 1][..], &[2; 48]].concat();
    let other = walk(&ethernet(ethertype::ARP, &infiniband));
    assert_eq!((other.kinds(), other.stop_kind()), (vec![K::Ethernet, K::Payload], Some(StopKind::Unsupported)));
}

#[test]
fn every_known_link_type_leads_to_ip() {
    let packet = &tenant()[14..];
    let starts: [(LinkType, &[u8], &[K]); 8] = [
        (LinkType::NULL, &[2, 0, 0, 0], &[K::Null]),
        (LinkType::ETHERNET, &tenant()[..14], &[K::Ethernet]),
        (LinkType::RAW, &[], &[K::Raw]),
        (LinkType::LOOP, &[0, 0, 0, 2], &[K::Null]),
        (LinkType::LINUX_SLL, &[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], &[K::Sll]),
        (LinkType::IPV4, &[], &[K::Raw]),
        (LinkType::IPV6, &[], &[K::Raw]),
        (LinkType::LINUX_SLL2, &[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0], &[K::Sll2]),
    ];
    assert_eq!(starts.map(|(link, ..)| link), LinkType::KNOWN);
    for (link, start, kinds) in starts {
        let six = ipv6(protocol::TCP, &tcp(b"0123456789"));
        let bytes = [start, if link == LinkType::IPV6 { &six } else { packet }].concat();
        let found = walked(&bytes, bytes.len(), link, Config::default());
        let ip = if link == LinkType::IPV6 { K::Ipv6 } else { K::Ipv4 };
        assert_eq!((found.kinds(), found.stop), ([kinds, &[ip, K::Tcp, K::Payload]].concat(), None), "{link}");
    }
    let unknown = walked(packet, packet.len(), LinkType(105), Config::default());
    assert_eq!((unknown.kinds(), unknown.said().as_str()), (vec![K::Payload], "payload at byte 0: link type not decoded: 105"));
}

#[test]
fn ipv6_on_a_loopback_of_any_system() {
    for family in [10, 24, 28, 30] {
        for start in [[family, 0, 0, 0], [0, 0, 0, family]] {
            let bytes = [&start[..], &ipv6(protocol::TCP, &tcp(&[]))].concat();
            assert_eq!(walked(&bytes, bytes.len(), LinkType::NULL, Config::default()).kinds(), [K::Null, K::Ipv6, K::Tcp]);
        }
    }
    let unknown = walked(&[99, 0, 0, 0, 1], 5, LinkType::NULL, Config::default());
    assert_eq!((unknown.kinds(), unknown.stop_kind()), (vec![K::Null, K::Payload], Some(StopKind::Unsupported)));
}
