//! Where do tcpdump, tshark and their libraries go wrong on overlay traffic, and do we do better?
//!
//! Each test runs the peer and prints what it says (`cargo test -- --nocapture`), then asserts what we say. A peer that has been
//! mended in the meantime is good news and no failure: only our side is asserted.

use overlay_tests::{Peer, bytes_of, corpus_folder, ndjson, references, say, snoop};
use serde_json::Value;
use std::path::Path;

/// What a peer says of a capture in the corpus, printed for the reader of the test. `None` where there is no such peer.
fn peer_says(test: &str, name: &str, arguments: &[&str]) -> Option<String> {
    let said = Peer::find(test, name)?.says(&corpus_folder(), arguments);
    say(&format!("$ {name} {}\n{said}", arguments.join(" ")));
    Some(said)
}

fn lines(capture: &str, more: &[&str]) -> Vec<String> {
    let printed = snoop(["-n", "-t", "-r", capture]).args(more).end().good();
    printed.lines().map(str::to_owned).collect()
}

fn packets(capture: &str) -> Vec<Value> {
    ndjson(&snoop(["--json", "-r", capture]).end().good())
}

fn layer<'p>(packet: &'p Value, name: &str) -> Vec<&'p Value> {
    packet["layers"].as_array().unwrap().iter().filter(|layer| layer["layer"] == name).collect()
}

/// Says whether the peer still does it: a remark, never a failure.
fn remark(still: bool, fault: &str) {
    say(&format!("{}: {fault}", if still { "still so" } else { "mended in this version" }));
}

#[test]
fn vxlan_from_source_port_49152_is_vxlan() {
    let test = "vxlan_from_source_port_49152_is_vxlan";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "vxlan-source-port-49152.pcap"]) else { return };
    remark(!said.lines().any(|line| line.contains(".49152 >") && line.contains("VXLAN")), "tcpdump looks at the source port first");
    if let Some(said) = peer_says(test, "tshark", &["-n", "-r", "vxlan-source-port-49152.pcap"]) {
        remark(said.contains("Malformed"), "tshark takes source port 53 for DNS");
    }
    for (line, packet) in lines("vxlan-source-port-49152.pcap", &[]).iter().zip(packets("vxlan-source-port-49152.pcap")) {
        assert!(line.starts_with("10.88.0.1 > 10.88.0.2 vxlan 77 | 10.0.0.1:51000 > 10.0.0.2:443 tcp"), "{line}");
        assert_eq!(packet["vni"], serde_json::json!([77]));
    }
}

#[test]
fn source_port_4789_alone_makes_no_vxlan() {
    let test = "source_port_4789_alone_makes_no_vxlan";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "vxlan-source-port-4789.pcap"]) else { return };
    remark(said.lines().any(|line| line.contains(".53000") && line.contains("VXLAN")), "tcpdump decodes plain text as VXLAN");
    let ours = lines("vxlan-source-port-4789.pcap", &[]);
    assert_eq!(ours[1], "10.88.0.1:4789 > 10.88.0.2:53000 udp len 21");
    assert!(ours[2].contains("vxlan 77 (guessed) |"), "{}", ours[2]);
    let strict = lines("vxlan-source-port-4789.pcap", &["--no-guess"]);
    assert!(strict[2].contains(":53000 udp len "), "{}", strict[2]);
}

#[test]
fn port_8472_is_vxlan_without_an_option() {
    let test = "port_8472_is_vxlan_without_an_option";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "kernel-vxlan-8472.pcap"]) else { return };
    remark(said.contains("OTV"), "tcpdump prints OTV");
    if let Some(said) = peer_says(test, "tshark", &["-n", "-r", "kernel-vxlan-8472.pcap"]) {
        remark(!said.contains("ICMP"), "tshark prints plain data");
    }
    let ours = lines("kernel-vxlan-8472.pcap", &[]);
    assert_eq!(ours[0], "10.88.0.1 > 10.88.0.2 vxlan 88 | arp who-has 10.0.0.2 tell 10.0.0.1");
    assert!(ours[2].contains("vxlan 88 | 10.0.0.1 > 10.0.0.2 icmp echo request"), "{}", ours[2]);
}

#[test]
fn nvgre_names_its_vsid_and_flow() {
    let test = "nvgre_names_its_vsid_and_flow";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-v", "-r", "nvgre.pcap"]) else { return };
    remark(!said.contains("5001"), "tcpdump prints the key as one hexadecimal number");
    if let Some(said) = peer_says(test, "tshark", &["-n", "-V", "-r", "nvgre.pcap"]) {
        remark(!said.contains("5001"), "tshark prints the key as one hexadecimal number");
    }
    assert!(lines("nvgre.pcap", &[])[0].starts_with("10.88.0.1 > 10.88.0.2 nvgre 5001 flow 42 | "));
    let nvgre = packets("nvgre.pcap");
    let header = layer(&nvgre[0], "nvgre")[0];
    assert_eq!((&header["vsid"], &header["flow_id"], &nvgre[0]["vni"][0]), (&5001.into(), &42.into(), &5001.into()));
}

#[test]
fn a_gso_partial_frame_shows_all_its_segments() {
    let test = "a_gso_partial_frame_shows_all_its_segments";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "gso-partial-vxlan.pcap"]) else { return };
    remark(said.contains("length 300"), "tcpdump shows the first segment only");
    let packets = packets("gso-partial-vxlan.pcap");
    for packet in &packets {
        assert_eq!(packet["gso"], serde_json::json!({"kind": "partial", "segments": 6, "size": 300}), "packet {}", packet["number"]);
        assert!(packet["stop"].is_null(), "packet {}: {}", packet["number"], packet["stop"]);
    }
    for line in lines("gso-partial-vxlan.pcap", &[]) {
        assert!(line.ends_with("[gso: 6 segments of 300]"), "{line}");
    }
}

#[test]
fn super_frames_of_real_network_cards_keep_their_length() {
    let test = "super_frames_of_real_network_cards_keep_their_length";
    let Some(folder) = references(test) else { return };
    for (capture, length, gso) in [
        ("tcpdump__gso-ipv4-vxlan-ipv4.pcap", 6990, None),
        ("tcpdump__gso-ipv6-geneve-ipv6.pcap", 6790, None),
        ("tcpdump__bigtcp-ipv4-vxlan-ipv4.pcap", 80000, Some("big-tcp")),
    ] {
        if let Some(tcpdump) = Peer::find(test, "tcpdump") {
            let said = tcpdump.says(&folder, ["-nn", "-t", "-r", capture]);
            say(&said);
            remark(said.contains("bad-len 0"), "tcpdump refuses an IP length of 0");
        }
        let packet = ndjson(&snoop(["--json", "-r"]).args([folder.join(capture)]).end().good()).swap_remove(0);
        assert_eq!(layer(&packet, "tcp")[0]["len"], length, "{capture}");
        assert_eq!(packet["gso"]["kind"].as_str(), gso, "{capture}");
        assert!(packet["stop"].is_null(), "{capture}: {}", packet["stop"]);
    }
}

#[test]
fn big_tcp_frames_are_decoded_to_their_end() {
    let test = "big_tcp_frames_are_decoded_to_their_end";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "big-tcp.pcap"]) else { return };
    remark(said.contains("bad-len 0"), "tcpdump calls the length of 0 bad");
    for (line, length) in lines("big-tcp.pcap", &[]).iter().zip([79934, 79914, 79906, 79884]) {
        assert!(line.contains(&format!(" len {length} [big tcp: 80000 bytes]")), "{line}");
    }
}

#[test]
fn json_keeps_outer_and_inner_packet_apart() {
    let test = "json_keeps_outer_and_inner_packet_apart";
    let Some(said) = peer_says(test, "tshark", &["-n", "-r", "vxlan.pcap", "-c", "1", "-Y", "icmp || ip", "-T", "json"]) else { return };
    remark(said.matches("\"eth\": {").count() > 1, "tshark repeats a key in one object: a JSON parser keeps the last");
    let packet = &packets("vxlan.pcap")[5];
    let ip = layer(packet, "ipv4");
    let addresses: Vec<&str> = ip.iter().map(|header| header["src"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["10.88.0.1", "10.0.0.1"]);
    // serde_json keeps the last of two equal keys, too: the text itself has none twice.
    let text = snoop(["--json", "-r", "vxlan.pcap"]).end().good();
    for object in text.split('{').skip(1) {
        let object = object.split('}').next().unwrap();
        let mut keys: Vec<&str> =
            object.split(",\"").filter_map(|field| field.split_once("\":")).map(|(key, _)| key.trim_start_matches('"')).collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "a key twice in {{{object}}}");
    }
}

#[test]
fn the_summary_line_has_tunnel_vni_and_both_packets() {
    let test = "the_summary_line_has_tunnel_vni_and_both_packets";
    let Some(said) = peer_says(test, "tshark", &["-n", "-r", "vxlan.pcap"]) else { return };
    remark(!said.contains("10.88.0.1") && !said.contains("77"), "tshark's summary shows neither the VNI nor the outer addresses");
    assert_eq!(lines("vxlan.pcap", &[])[5], "10.88.0.1 > 10.88.0.2 vxlan 77 | 10.0.0.1 > 10.0.0.2 icmp echo request id 7 seq 1 len 16");
}

#[test]
fn equal_tenants_are_two_conversations() {
    let test = "equal_tenants_are_two_conversations";
    let Some(said) = peer_says(test, "tshark", &["-n", "-r", "vxlan-equal-tenants.pcap", "-q", "-z", "conv,tcp"]) else { return };
    remark(said.matches("10.0.0.1:51000").count() < 2, "tshark joins the flows of two virtual networks");
    let text = snoop(["--stats", "--json", "-r", "vxlan-equal-tenants.pcap"]).end().good();
    let statistics = &ndjson(&text)[0];
    let conversations: Vec<(&str, u64)> = statistics["conversations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["network"].as_str().unwrap(), row["packets"].as_u64().unwrap()))
        .collect();
    assert_eq!(conversations, [("vxlan 100", 3), ("vxlan 200", 3)]);
}

#[test]
fn the_first_fragment_shows_its_ports() {
    // etherparse and others give no transport header for any fragment; tshark shows VXLAN in the last one only.
    let test = "the_first_fragment_shows_its_ports";
    if let Some(said) = peer_says(test, "tshark", &["-n", "-r", "vxlan-fragments.pcap", "-T", "fields", "-e", "frame.protocols"]) {
        remark(said.starts_with("eth:ethertype:ip:data"), "tshark decodes the tunnel in the last fragment only");
    }
    let plain = lines("ipv4-fragments.pcap", &[]);
    assert!(plain[0].starts_with("10.0.0.1:40000 > 10.0.0.2:7 fragment id 77 offset 0+ udp"), "{}", plain[0]);
    assert!(plain[1].contains("fragment id 77 offset 48+") && plain[1].contains("later fragment"), "{}", plain[1]);
    let tunnelled = packets("vxlan-fragments.pcap");
    assert_eq!(tunnelled[0]["vni"], serde_json::json!([77]));
    let inner = layer(&tunnelled[0], "tcp");
    // 40 bytes by the inner header, of which this fragment holds 6.
    assert_eq!((&inner[0]["dst_port"], &inner[0]["len"]), (&80.into(), &6.into()));
    assert_ne!(tunnelled[0]["stop"]["kind"], "malformed", "a fragment is nobody's fault: {}", tunnelled[0]["stop"]);
}

#[test]
fn pcapng_with_several_link_types_is_read() {
    let test = "pcapng_with_several_link_types_is_read";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "pcapng-two-linktypes.pcapng"]) else { return };
    remark(said.contains("different"), "libpcap refuses interfaces of different link types");
    let packets = packets("pcapng-two-linktypes.pcapng");
    let firsts: Vec<&str> = packets.iter().map(|packet| packet["layers"][0]["layer"].as_str().unwrap()).collect();
    assert_eq!(firsts, ["ethernet", "raw", "ethernet", "raw"]);
    assert_eq!((&packets[0]["interface"], &packets[1]["interface"]), (&"vxlan-uplink".into(), &"tun0".into()));
    assert_eq!((&packets[0]["comments"][0], &packets[1]["comments"][0]), (&"on Ethernet".into(), &"on raw IP".into()));
}

#[test]
fn pcapng_sections_of_both_byte_orders_are_read() {
    let test = "pcapng_sections_of_both_byte_orders_are_read";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "pcapng-two-sections.pcapng"]) else { return };
    remark(said.contains("block"), "libpcap stays in the byte order of the first section");
    assert_eq!(lines("pcapng-two-sections.pcapng", &[]).len(), 2);
}

#[test]
fn nanoseconds_are_shown_and_kept() {
    let test = "nanoseconds_are_shown_and_kept";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-tt", "-r", "pcap-nano.pcap"]) else { return };
    remark(!said.contains("123456789"), "tcpdump shows microseconds unless asked");
    let packets = packets("pcap-nano.pcap");
    assert_eq!(packets[0]["timestamp"], "1700000000.123456789");
    let shown = snoop(["-n", "-tt", "--nano", "-r", "pcap-nano.pcap"]).end().good();
    assert!(shown.starts_with("1700000000.123456789 "), "{shown}");
}

#[test]
fn a_full_disk_is_an_error_while_writing() {
    // libpcap's Savefile::write does not report ENOSPC, so that a program on it ends with status 0 and half a capture.
    let ended = snoop(["-r", "vxlan.pcap", "-w", "/dev/full"]).end();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("/dev/full") && ended.stderr.contains("No space left on device"), "{}", ended.stderr);
}

#[test]
fn the_group_policy_id_is_shown() {
    let test = "the_group_policy_id_is_shown";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-vv", "-r", "vxlan-gbp.pcap"]) else { return };
    remark(!said.contains("1000,") && !said.contains("group 1000"), "tcpdump shows the flag, not the group");
    assert!(lines("vxlan-gbp.pcap", &[])[0].contains("vxlan 77 group 1000 |"));
    let gbp = packets("vxlan-gbp.pcap");
    assert_eq!(layer(&gbp[4], "vxlan")[0]["group"], 65535);
}

#[test]
fn gpe_names_its_layer_and_reads_mpls_behind_it() {
    let test = "gpe_names_its_layer_and_reads_mpls_behind_it";
    if let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "vxlan-gpe.pcap"]) {
        remark(!said.contains("MPLS"), "tcpdump does not know MPLS in VXLAN-GPE");
    }
    if let Some(said) = peer_says(test, "tshark", &["-n", "-r", "vxlan-gpe.pcap", "-T", "fields", "-e", "frame.protocols"]) {
        remark(!said.contains("vxlan"), "tshark leaves vxlan out of frame.protocols");
    }
    let gpe = packets("vxlan-gpe.pcap");
    let names: Vec<&str> = gpe[4]["layers"].as_array().unwrap().iter().map(|layer| layer["layer"].as_str().unwrap()).collect();
    assert_eq!(names, ["ethernet", "ipv4", "udp", "vxlan-gpe", "mpls", "ipv4", "tcp"]);
}

#[test]
fn reserved_bits_are_told() {
    let test = "reserved_bits_are_told";
    let Some(said) = peer_says(test, "tshark", &["-n", "-V", "-r", "vxlan-reserved-bits.pcap"]) else { return };
    remark(!said.contains("Expert Info"), "tshark does not warn");
    for packet in packets("vxlan-reserved-bits.pcap") {
        assert_eq!(layer(&packet, "vxlan")[0]["reserved_bits_set"], true, "packet {}", packet["number"]);
    }
}

#[test]
fn a_vni_without_the_i_bit_is_no_vni() {
    let test = "a_vni_without_the_i_bit_is_no_vni";
    let Some(said) = peer_says(test, "tshark", &["-n", "-V", "-r", "vxlan-no-i-bit.pcap"]) else { return };
    remark(said.contains("(VNI): 77"), "tshark shows the invalid VNI");
    for packet in packets("vxlan-no-i-bit.pcap") {
        assert_eq!(packet["vni"], serde_json::json!([]), "packet {}", packet["number"]);
    }
}

/// VXLAN in VXLAN, so many deep: a pcap file.
fn nested_vxlan(levels: usize) -> Vec<u8> {
    let capture = bytes_of(&corpus_folder().join("vxlan.pcap"));
    let (header, rest) = capture.split_at(24);
    let frame = &rest[16..16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize];
    let (outer, inner) = frame.split_at(50);
    let mut nested = inner.to_vec();
    for _ in 0..levels {
        let mut around = outer.to_vec();
        for (at, header) in [(16, 14), (38, 34)] {
            let length = u16::try_from(outer.len() - header + nested.len()).unwrap();
            around[at..at + 2].copy_from_slice(&length.to_be_bytes());
        }
        around.extend(nested);
        nested = around;
    }
    let length = u32::try_from(nested.len()).unwrap().to_le_bytes();
    [header, &rest[..8], &length, &length, &nested].concat()
}

#[test]
fn six_hundred_levels_end_with_a_marker() {
    let test = "six_hundred_levels_end_with_a_marker";
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("deep.pcap");
    std::fs::write(&deep, nested_vxlan(600)).unwrap();
    let deep = deep.display().to_string();
    if let Some(tshark) = Peer::find(test, "tshark") {
        let said = tshark.says(Path::new("/"), ["-n", "-V", "-r", &deep]);
        remark(said.contains("Dissector bug") || said.contains("gui_max_tree_depth"), "tshark runs into an assertion");
    }
    if let Some(tcpdump) = Peer::find(test, "tcpdump") {
        let said = tcpdump.says(Path::new("/"), ["-nn", "-r", &deep]);
        remark(said.matches("VXLAN").count() > 100, "tcpdump prints them all");
    }
    for (flags, tunnels) in [(&[][..], 8), (&["--depth", "1"], 1), (&["--depth", "32"], 32)] {
        let line = lines(&deep, flags).swap_remove(0);
        assert_eq!(line.matches(" vxlan 77 |").count(), tunnels, "{line}");
        assert!(line.contains("[depth in inner vxlan at byte "), "{line}");
    }
    let packet = &packets(&deep)[0];
    assert_eq!((&packet["stop"]["kind"], packet["vni"].as_array().unwrap().len()), (&"depth".into(), 8));
}

#[test]
fn any_port_is_decoded_when_told() {
    let test = "any_port_is_decoded_when_told";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-T", "geneve", "-r", "vxlan-port-12345.pcap"]) else { return };
    remark(said.contains("unknown packet type"), "tcpdump has no -T geneve");
    let told = lines("vxlan-port-12345.pcap", &["--port", "vxlan=12345"]);
    assert!(told.iter().take(4).all(|line| line.contains(" vxlan 77 ")), "{told:#?}");
    let untold = lines("vxlan-port-12345.pcap", &[]);
    assert!(untold[0].contains("vxlan 77 (guessed) |"), "{untold:#?}");
    // A reserved bit, a wrong inner checksum, a payload that only starts like VXLAN: no guess.
    assert!(untold[2..].iter().all(|line| line.contains(":12345 udp len ")), "{untold:#?}");
}

#[test]
fn snoop_captures_of_illumos_are_read() {
    let test = "snoop_captures_of_illumos_are_read";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "snoop-rfc1761.snoop"]) else { return };
    remark(said.contains("unknown file format"), "tcpdump does not read snoop files");
    assert_eq!(lines("snoop-rfc1761.snoop", &[]).len(), 4);
}

#[test]
fn erspan_shows_its_session_and_the_mirrored_packet() {
    let test = "erspan_shows_its_session_and_the_mirrored_packet";
    let Some(said) = peer_says(test, "tcpdump", &["-nn", "-t", "-r", "erspan.pcap"]) else { return };
    remark(said.contains("0x88be"), "tcpdump knows no ERSPAN");
    let line = &lines("erspan.pcap", &[])[1];
    assert!(line.contains("session 100") && line.contains("| 10.0.0.1:51000 > 10.0.0.2:443 tcp"), "{line}");
}
