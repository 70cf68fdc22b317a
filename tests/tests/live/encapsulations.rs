//! Are the other tunnels seen live as VXLAN is? Geneve and NVGRE, frame by frame, and the kernel's VXLAN over IPv6.
//!
//! ```text
//! h2 ul0 ── frames made by hand, to all stations ──► ul0 h1     captured, with filters for the kernel's half and without guessing
//! ```

use crate::{can_run, counted, frame, lab, listen, path, ping, read, stop};
use overlay_lab::{Attach, Family, Lab, Overlay, Ping};
use overlay_tests::ndjson;
use serde_json::{Value, json};

/// An inner packet: its EtherType and what is behind.
type Inner = (u16, Vec<u8>);

/// The name of a tunnel, and what puts an inner packet into it under a VNI.
type Kind = (&'static str, fn(u32, &Inner) -> Vec<u8>);

/// An echo request over IPv6 (RFC 8200 3, RFC 4443 4.1).
fn echo_over_ipv6() -> Inner {
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 58, 64];
    for last in [1, 2] {
        packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend([128, 0, 0, 0, 0, 7, 0, 1]);
    (0x86dd, packet)
}

/// An echo request over IPv4 (RFC 791 3.1, RFC 792).
fn echo_over_ipv4() -> Inner {
    (0x0800, [&ipv4(1, 8)[..], &[8, 0, 0, 0, 0, 7, 0, 1]].concat())
}

/// An IPv4 header from 10.88.0.2 to 10.88.0.1, in front of `length` bytes (RFC 791 3.1).
fn ipv4(protocol: u8, length: usize) -> [u8; 20] {
    let [high, low] = u16::try_from(20 + length).unwrap().to_be_bytes();
    let mut header = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 88, 0, 2, 10, 88, 0, 1];
    let sum: u32 = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn inner_frame((ethertype, packet): &Inner) -> Vec<u8> {
    [&[2, 8, 0x20, 10, 0, 1, 2, 8, 0x20, 10, 0, 2][..], &ethertype.to_be_bytes(), packet].concat()
}

/// From the EtherType on: UDP to 6081 and Geneve (RFC 8926 3.4) with one option of 4 bytes.
fn geneve(vni: u32, inner: &Inner) -> Vec<u8> {
    let [_, high, middle, low] = vni.to_be_bytes();
    // Options of two words; Transparent Ethernet Bridging. The option: experimental class 0xfff0, type 1, one word.
    let header = [2, 0, 0x65, 0x58, high, middle, low, 0, 0xff, 0xf0, 1, 1, 0xca, 0xfe, 0xba, 0xbe];
    let carried = [&header[..], &inner_frame(inner)].concat();
    let [length_high, length_low] = u16::try_from(8 + carried.len()).unwrap().to_be_bytes();
    let udp = [0xc0, 0x10, 0x17, 0xc1, length_high, length_low, 0, 0];
    [&[8, 0][..], &ipv4(17, 8 + carried.len()), &udp, &carried].concat()
}

/// From the EtherType on: GRE with a key of VSID and FlowID (RFC 7637 3.2).
fn nvgre(vsid: u32, inner: &Inner) -> Vec<u8> {
    let [_, high, middle, low] = vsid.to_be_bytes();
    let carried = [&[0x20, 0, 0x65, 0x58, high, middle, low, 9][..], &inner_frame(inner)].concat();
    [&[8, 0][..], &ipv4(47, carried.len()), &carried].concat()
}

fn layers(packet: &Value) -> Vec<&str> {
    packet["layers"].as_array().into_iter().flatten().filter_map(|layer| layer["layer"].as_str()).collect()
}

#[test]
fn geneve_and_nvgre_are_captured_with_their_vni_and_selected_exactly() {
    if !can_run("geneve_and_nvgre_are_captured_with_their_vni_and_selected_exactly") {
        return;
    }
    let lab = lab("live_kinds");
    let (host, peer) = (lab.host(1), lab.host(2));
    let folder = tempfile::tempdir().unwrap();
    let everything = folder.path().join("everything.pcapng");
    // Numbers of packets are primes, so that none is the sum of others by accident.
    let [wanted, of_another_vni, of_another_protocol, tagged] = [13, 7, 5, 3];
    let kinds: [Kind; 2] = [("geneve", geneve), ("nvgre", nvgre)];
    let all = listen(host, ["-i", "ul0", "-w", &path(&everything)]);
    for (kind, encapsulated) in kinds {
        let [and_kind, number, guess] = [
            format!("tunnel {kind} and vni 4711 and inner(icmp6)"),
            "vni 4711 and inner(icmp6)".to_owned(),
            "vni 4711 and inner(icmp6)".to_owned(),
        ];
        let json = listen(host, ["-i", "ul0", "--json", &and_kind]);
        let counts = [listen(host, ["-i", "ul0", "--count", "--no-guess", &number]), listen(host, ["-i", "any", "--count", &guess])];
        let send = |rest: &[u8], count| peer.send_frame("ul0", &frame(peer, rest), count).unwrap();
        send(&encapsulated(4711, &echo_over_ipv6()), wanted);
        send(&encapsulated(4712, &echo_over_ipv6()), of_another_vni);
        send(&encapsulated(4711, &echo_over_ipv4()), of_another_protocol);
        // 802.1Q, id 5, in front of it all.
        send(&[&[0x81, 0, 0, 5][..], &encapsulated(4711, &echo_over_ipv6())].concat(), tagged);

        let json = stop(json);
        let packets = ndjson(&json.stdout);
        assert_eq!(packets.len(), (wanted + tagged) as usize, "{}{}", json.stdout, json.stderr);
        for packet in &packets {
            assert_eq!((&packet["vni"], &packet["stop"]), (&json!([4711]), &Value::Null), "{packet}");
            let names = layers(packet);
            assert!(names.contains(&kind) && names.ends_with(&["ethernet", "ipv6", "icmpv6"]), "{packet}");
        }
        assert_eq!(packets.iter().filter(|packet| layers(packet).contains(&"vlan")).count(), tagged as usize, "{}", json.stdout);
        for count in counts.map(stop) {
            assert_eq!(count.stdout, format!("{} packets\n", wanted + tagged), "{kind}: {}", count.stderr);
        }
    }
    stop(all);
    for (kind, _) in kinds {
        let count = |filter: &str| read(&everything, ["--count", filter]).good();
        assert_eq!(count(&format!("tunnel {kind} and vni 4711 and inner(icmp6)")), format!("{} packets\n", wanted + tagged));
        assert_eq!(count(&format!("tunnel {kind} and vni 4712")), format!("{of_another_vni} packets\n"));
        assert_eq!(count(&format!("tunnel {kind} and inner(icmp)")), format!("{of_another_protocol} packets\n"));
    }
}

#[test]
fn the_kernels_vxlan_over_ipv6_is_captured_with_its_vni_and_selected_exactly() {
    if !can_run("the_kernels_vxlan_over_ipv6_is_captured_with_its_vni_and_selected_exactly") {
        return;
    }
    // On a port of its own, which nobody has told of but the host; and another network over IPv4, with equal addresses inside.
    let over_ipv6 = Overlay::vxlan(77).family(Family::V6).port(12_345);
    let lab = Lab::builder("live_ipv6").overlay(over_ipv6).overlay(Overlay::vxlan(78).attach(Attach::Device)).build().unwrap();
    let (host, from) = (lab.host(1), lab.tenant(1, 77, 1));
    let folder = tempfile::tempdir().unwrap();
    let everything = folder.path().join("everything.pcapng");
    let filter = "vni 77 and inner(icmp6)";
    let all = listen(host, ["-i", "ul0", "-w", &path(&everything)]);
    let json = listen(host, ["-i", "ul0", "--json", "--no-guess", filter]);
    let echoes = listen(host, ["-i", "ul0", "--count", "vni 77 and inner(icmp6 and (ip6[40] = 128 or ip6[40] = 129))"]);
    let outer = listen(host, ["-i", "ul0", "--count", "vni 77 and outer(ip)"]);
    for (vni, count) in [(77, 5), (78, 3)] {
        let ping = Ping { count, ..Ping::default() };
        lab.tenant(1, vni, 1).ping_with(lab.tenant(2, vni, 1).ipv6().into(), &ping).unwrap();
    }
    ping(&lab, 77, 2);

    let [all, json, echoes, outer] = [all, json, echoes, outer].map(stop);
    assert_eq!(counted(&all, "dropped by the kernel"), 0, "{}", all.stderr);
    let packets = ndjson(&json.stdout);
    for packet in &packets {
        assert_eq!(packet["vni"], json!([77]), "{packet}");
        let names = layers(packet);
        assert_eq!(names[..5], ["ethernet", "ipv6", "udp", "vxlan", "ethernet"], "{packet}");
        assert_eq!((&packet["layers"][2]["dst_port"], names.contains(&"icmpv6")), (&json!(12_345), true), "{packet}");
    }
    let is = |layer: &Value, kind: u64| layer["layer"] == "icmpv6" && layer["type"] == kind;
    let of_kind = |kind| packets.iter().filter(|packet| packet["layers"].as_array().unwrap().iter().any(|layer| is(layer, kind))).count();
    assert_eq!((of_kind(128), of_kind(129)), (5, 5), "{}", json.stdout);
    assert_eq!((echoes.stdout.as_str(), outer.stdout.as_str()), ("10 packets\n", "0 packets\n"));
    // Neighbours are asked for, too: what was selected live is all that there was.
    let tenant = from.ipv6();
    let again = read(&everything, ["--json", "--port", "vxlan=12345", "--no-guess", &format!("{filter} and inner(host {tenant})")]).good();
    let live = packets.iter().filter(|packet| {
        packet["layers"].as_array().unwrap().iter().any(|layer| layer["src"] == json!(tenant) || layer["dst"] == json!(tenant))
    });
    assert_eq!(ndjson(&again).len(), live.count(), "{again}");
    assert!(ndjson(&again).len() >= 10, "{again}");
}
