//! From the outer packet into the inner one.

use super::*;

#[test]
fn source_port_49152_does_not_hide_vxlan() {
    // tcpdump 4.99.3 takes this source port for another protocol.
    let frame = ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(49152, port::VXLAN, &vxlan(77, &tenant()))));
    let found = walk(&frame);
    assert_eq!(found.kinds(), TENANT_IN_VXLAN);
    assert_eq!(found.line, "10.0.0.1 > 10.0.0.2 vxlan 77 | 10.0.0.1:51000 > 10.0.0.2:443 tcp [P.] seq 1 ack 2 win 256 len 10");
}

#[test]
fn a_source_port_of_dns_does_not_hide_vxlan_either() {
    for source in [port::DNS, port::DHCP_SERVER, port::DHCPV6_CLIENT, port::MDNS] {
        let frame = ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(source, port::VXLAN, &vxlan(77, &tenant()))));
        assert_eq!(walk(&frame).kinds(), TENANT_IN_VXLAN, "source port {source}");
    }
}

#[test]
fn port_8472_is_vxlan_and_4790_is_gpe() {
    let inner = vxlan(77, &tenant());
    let to = |port: u16| walk(&ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, port, &inner))));
    assert_eq!(to(port::VXLAN_LINUX).kinds(), TENANT_IN_VXLAN);
    // Without the P bit, GPE is VXLAN.
    assert_eq!(to(port::VXLAN_GPE).kinds()[3..], [K::VxlanGpe, K::Ethernet, K::Ipv4, K::Tcp, K::Payload]);
    // The port counts where it is the destination only.
    let reverse = ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(port::VXLAN, 50000, &[0x88; 40])));
    assert_eq!(walk(&reverse).kinds(), [K::Ethernet, K::Ipv4, K::Udp, K::Payload]);
}

#[test]
fn a_port_can_be_given_and_taken_over() {
    let mut config = Config { guess: false, ..Config::default() };
    let frame = |port: u16| ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, port, &vxlan(77, &tenant()))));
    let walk = |port: u16, config: &Config| walked(&frame(port), frame(port).len(), LinkType::ETHERNET, config.clone()).kinds();
    assert_eq!(walk(12345, &config)[3..], [K::Payload]);
    config.add_port(12345, UdpTunnel::Geneve);
    config.add_port(12345, UdpTunnel::Vxlan);
    assert_eq!(walk(12345, &config), TENANT_IN_VXLAN);
    config.add_port(port::VXLAN, UdpTunnel::VxlanGpe);
    assert_eq!(walk(port::VXLAN, &config)[3], K::VxlanGpe);
    assert_eq!(config.ports().iter().filter(|(known, _)| *known == 12345).count(), 1);
}

#[test]
fn vxlan_without_i_bit_has_no_vni_and_its_frame_is_decoded_all_the_same() {
    let mut frame = in_vxlan(77, &tenant());
    frame[42] = 0;
    let found = walk(&frame);
    assert_eq!(found.kinds(), TENANT_IN_VXLAN);
    assert!(found.vnis().is_empty());
    assert!(found.line.contains("vxlan without vni |"), "{}", found.line);
}

#[test]
fn the_ninth_tunnel_stops_with_depth() {
    let mut frame = tenant();
    for vni in 1..=8 {
        frame = in_vxlan(vni, &frame);
    }
    let eight = walk(&frame);
    assert_eq!((eight.vnis(), eight.stop), ((1..=8).rev().collect(), None));
    let nine = walk(&in_vxlan(9, &frame));
    assert_eq!(nine.vnis(), [9, 8, 7, 6, 5, 4, 3, 2]);
    assert_eq!(nine.stop_kind(), Some(StopKind::Depth));
    assert_eq!(nine.said(), "vxlan at byte 442: more tunnels than are decoded");
    assert_eq!(nine.kinds().last(), Some(&K::Payload), "what is not decoded is shown as bytes");
}

#[test]
fn ip_in_ip_counts_as_a_tunnel_and_stops_with_depth_too() {
    let mut packet = ipv4(protocol::TCP, &tcp(&[]));
    for _ in 0..40 {
        packet = ipv4(protocol::IPV4, &packet);
    }
    let found = walk(&ethernet(ethertype::IPV4, &packet));
    assert_eq!(found.kinds().iter().filter(|kind| **kind == K::Ipip).count(), 8);
    assert_eq!(found.stop_kind(), Some(StopKind::Depth));
}

/// GRE with these flags and protocol around ten bytes of optional fields and a tenant.
fn gre(flags: u16, kind: u16, optional: &[u8], inner: &[u8]) -> Vec<u8> {
    let bytes = [&flags.to_be_bytes()[..], &kind.to_be_bytes(), optional, inner].concat();
    ethernet(ethertype::IPV4, &ipv4(protocol::GRE, &bytes))
}

#[test]
fn nvgre_needs_key_and_nothing_else() {
    let key = [0, 4, 65, 204];
    let nvgre = walk(&gre(0x2000, ethertype::TEB, &key, &tenant()));
    assert_eq!(nvgre.kinds()[..3], [K::Ethernet, K::Ipv4, K::Nvgre]);
    assert_eq!(nvgre.kinds()[3..], TENANT);
    assert_eq!(nvgre.vnis(), [1089]);
    assert!(nvgre.line.contains("nvgre 1089 flow 204 |"), "{}", nvgre.line);

    let with_sequence = walk(&gre(0x3000, ethertype::TEB, &[key, [0, 0, 0, 1]].concat(), &tenant()));
    assert_eq!(with_sequence.kinds()[2..4], [K::Gre, K::Ethernet]);
    assert!(with_sequence.vnis().is_empty(), "a key is not a virtual subnet");
    let without_key = walk(&gre(0, ethertype::TEB, &[], &tenant()));
    assert_eq!(without_key.kinds()[2..4], [K::Gre, K::Ethernet]);
    let around_ip = walk(&gre(0x2000, ethertype::IPV4, &key, &tenant()[14..]));
    assert_eq!(around_ip.kinds()[2..4], [K::Gre, K::Ipv4]);
}

#[test]
fn a_gre_keepalive_is_no_fault_and_a_small_type_is_no_length() {
    // Behind Ethernet, 0 and 64 are lengths of 802.3 frames; in GRE and Geneve they are types, of which nobody knows any.
    let keepalive = walk(&gre(0, 0, &[], &[]));
    assert_eq!((keepalive.kinds(), keepalive.stop), (vec![K::Ethernet, K::Ipv4, K::Gre], None));
    let small = walk(&gre(0, 64, &[], &[0xaa; 80]));
    assert_eq!(small.kinds(), [K::Ethernet, K::Ipv4, K::Gre, K::Payload]);
    assert_eq!(
        (small.stop_kind(), small.said().as_str()),
        (Some(StopKind::Unsupported), "payload at byte 38: protocol type below the ethertypes")
    );
    let geneve = [&[0, 0, 0, 64, 0, 0, 77, 0][..], &[0xaa; 80]].concat();
    let found = walk(&ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, port::GENEVE, &geneve))));
    assert_eq!((found.kinds()[3..].to_vec(), found.stop_kind()), (vec![K::Geneve, K::Payload], Some(StopKind::Unsupported)));
}

#[test]
fn erspan_types() {
    let two = [&[0x10, 100, 0x00, 7, 0, 0, 0, 5][..], &tenant()].concat();
    let three = [&[0x20, 100, 0x00, 7, 0, 0, 0, 5, 0, 0, 0, 0][..], &tenant()].concat();
    let three_long = [&[0x20, 100, 0x00, 7, 0, 0, 0, 5, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8][..], &tenant()].concat();
    let sequence = [0, 0, 0, 1];
    for (what, frame, length) in [
        ("type I has no header", gre(0, ethertype::ERSPAN_II, &[], &tenant()), 0),
        ("type II", gre(0x1000, ethertype::ERSPAN_II, &sequence, &two), 8),
        ("type III", gre(0x1000, ethertype::ERSPAN_III, &sequence, &three), 12),
        ("type III with its subheader", gre(0x1000, ethertype::ERSPAN_III, &sequence, &three_long), 20),
    ] {
        let found = walk(&frame);
        assert_eq!(found.kinds()[2..4], [K::Gre, K::Erspan], "{what}");
        assert_eq!(found.kinds()[4..], TENANT, "{what}");
        assert_eq!(found.layers[3].length, length, "{what}");
        // GRE and ERSPAN are one tunnel.
        assert_eq!(found.line.matches(" | ").count(), 1, "{what}: {}", found.line);
    }
    let wrong = walk(&gre(0x1000, ethertype::ERSPAN_II, &sequence, &three));
    assert_eq!(wrong.said(), "payload at byte 42: erspan version is not 1 behind gre protocol 0x88be");
}

/// Geneve with these options around an IPv4 packet.
fn geneve(options: &[u8]) -> Vec<u8> {
    let header = [options.len() as u8 / 4, 0, 8, 0, 0, 0, 77, 0];
    let inner = [&header[..], options, &tenant()[14..]].concat();
    ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, port::GENEVE, &inner)))
}

#[test]
fn geneve_carries_a_bare_packet() {
    let found = walk(&geneve(&[1, 2, 0x80, 1, 0, 1, 0, 2]));
    assert_eq!(found.kinds(), [K::Ethernet, K::Ipv4, K::Udp, K::Geneve, K::Ipv4, K::Tcp, K::Payload]);
    assert_eq!((found.layers[3].length, found.vnis(), found.stop), (16, vec![77], None));
}

#[test]
fn geneve_option_overrun_is_noted_and_inner_still_decoded() {
    let found = walk(&geneve(&[1, 2, 3, 0, 1, 2, 0x80, 9]));
    assert_eq!(found.kinds()[3..], [K::Geneve, K::Ipv4, K::Tcp, K::Payload]);
    assert_eq!(found.stop_kind(), Some(StopKind::Malformed));
    assert_eq!(found.said(), "geneve at byte 54: option beyond the options");
    assert!(found.line.contains("geneve 77") && found.line.contains("10.0.0.2:443 tcp"), "{}", found.line);
}

#[test]
fn a_geneve_of_the_future_is_ours_to_learn() {
    let mut frame = geneve(&[]);
    frame[42] |= 0x40;
    let found = walk(&frame);
    assert_eq!(found.kinds(), [K::Ethernet, K::Ipv4, K::Udp, K::Payload]);
    assert_eq!(found.stop_kind(), Some(StopKind::Unsupported));
}

#[test]
fn gpe_carries_what_its_next_protocol_says() {
    let gpe = |next: u8, inner: &[u8]| {
        let inner = [&[0x0c, 0, 0, next, 0, 0, 77, 0][..], inner].concat();
        walk(&ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, port::VXLAN_GPE, &inner))))
    };
    assert_eq!(gpe(1, &tenant()[14..]).kinds()[4..], TENANT[1..]);
    assert_eq!(gpe(2, &ipv6(protocol::TCP, &tcp(&[]))).kinds()[4..], [K::Ipv6, K::Tcp]);
    assert_eq!(gpe(3, &tenant()).kinds()[4..], TENANT);
    let nsh = [&[0, 2, 2, 1, 0, 0, 42, 255][..], &tenant()[14..]].concat();
    assert_eq!(gpe(4, &nsh).kinds()[4..], [&[K::Nsh][..], &TENANT[1..]].concat());
    assert_eq!(gpe(99, &tenant()).said(), "payload at byte 50: gpe next protocol not decoded");
}

#[test]
fn mpls_stack() {
    let labels = [[0, 1, 0, 64], [0, 2, 0, 64], [0, 3, 1, 64]].concat();
    let found = walk(&ethernet(ethertype::MPLS, &[&labels, &tenant()[14..]].concat()));
    assert_eq!(found.kinds(), [K::Ethernet, K::Mpls, K::Mpls, K::Mpls, K::Ipv4, K::Tcp, K::Payload]);
    // A pseudowire starts with a control word: nothing says what is behind it.
    let wire = walk(&ethernet(ethertype::MPLS, &[&labels[8..], &[0; 4], &tenant()].concat()));
    assert_eq!((wire.kinds(), wire.stop), (vec![K::Ethernet, K::Mpls, K::Payload], None));
}

#[test]
fn a_stack_of_labels_without_an_end_ends_all_the_same() {
    let found = walk(&ethernet(ethertype::MPLS, &[0, 1, 0, 64].repeat(300)));
    assert!(found.layers.len() <= MAX_LAYERS);
    assert_eq!((found.stop_kind(), found.kinds().last()), (Some(StopKind::Depth), Some(&K::Payload)));
}

#[test]
fn labels_in_ipv6_do_not_change_what_ipv6_carries() {
    let found = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::MPLS, &[&[0, 3, 1, 64][..], &tenant()[14..]].concat())));
    assert_eq!(found.kinds(), [K::Ethernet, K::Ipv6, K::Mpls, K::Ipv4, K::Tcp, K::Payload]);
    assert!(matches!(found.layers[1].body, Body::Ipv6(header) if header.upper_protocol == protocol::MPLS));
    // Nor do they let IPv4 have the extension headers of IPv6.
    let odd = ipv4(protocol::DESTINATION, &[6, 0, 1, 4, 0, 0, 0, 0]);
    let found = walk(&ethernet(ethertype::IPV6, &ipv6(protocol::MPLS, &[&[0, 3, 1, 64][..], &odd].concat())));
    assert_eq!((found.stop_kind(), found.kinds().last()), (Some(StopKind::Unsupported), Some(&K::Payload)));
}

#[test]
fn guess_finds_vxlan_on_an_odd_port_and_says_so() {
    let frame = ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, 12345, &vxlan(77, &tenant()))));
    let found = walk(&frame);
    assert_eq!(found.kinds(), TENANT_IN_VXLAN);
    assert!(found.line.contains("vxlan 77 (guessed) |"), "{}", found.line);
    let strict = walked(&frame, frame.len(), LinkType::ETHERNET, Config { guess: false, ..Config::default() });
    assert_eq!(strict.kinds(), [K::Ethernet, K::Ipv4, K::Udp, K::Payload]);
    // One bit that nobody sets, one wrong byte in the inner header: no guess.
    for wrong in [42, 43, 49, 64 + 10] {
        let mut frame = frame.clone();
        frame[wrong] ^= 1;
        assert_eq!(walk(&frame).kinds(), [K::Ethernet, K::Ipv4, K::Udp, K::Payload], "byte {wrong}");
    }
}

#[test]
fn guess_finds_geneve_too() {
    let mut frame = geneve(&[1, 2, 0x80, 1, 0, 1, 0, 2]);
    frame[36..38].copy_from_slice(&12345_u16.to_be_bytes());
    let found = walk(&frame);
    assert_eq!(found.kinds()[3..], [K::Geneve, K::Ipv4, K::Tcp, K::Payload]);
    assert!(found.line.contains("(guessed)"), "{}", found.line);
}

#[test]
fn random_udp_is_never_guessed_a_tunnel() {
    // xorshift64*: a million payloads, the same on every machine. The first byte is one that the guess looks into.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let mut payload = [0; 96];
    for round in 0..1_000_000_u32 {
        for chunk in payload.chunks_mut(8) {
            chunk.copy_from_slice(&random().to_le_bytes());
        }
        match round % 4 {
            0 => {}
            1 => payload[0] = 8,
            // A header that is all right: what is behind it must tell.
            2 => payload[..8].copy_from_slice(&[8, 0, 0, 0, 0, 0, 77, 0]),
            _ => payload[..4].copy_from_slice(&[0, 0, 0x65, 0x58]),
        }
        let length = 8 + (random() % 89) as usize;
        let guess = guess::udp_tunnel(&payload[..length], length);
        assert_eq!(guess, None, "payload {round}: {:02x?}", &payload[..length]);
    }
}
