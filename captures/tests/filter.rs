//! What does a filter say to its user? The sentences that need libpcap, the kernel's half in words, and answers on chosen packets.

use overlay_captures::LinkType;
use overlay_captures::filter::Filter;
use overlay_decoder::{Config, Walker};

fn unguessed() -> Config {
    let mut config = Config::default();
    config.guess = false;
    config
}

fn error(text: &str) -> String {
    Filter::parse(text).unwrap_err().to_string()
}

#[test]
fn libpcaps_refusals_say_in_which_part_and_where() {
    assert_eq!(error("tcp porrt 80"), "filter, column 1: tcp porrt 80: syntax error");
    assert_eq!(error("vni 77 and inner(tcp porrt 80)"), "filter, column 12: inner(tcp porrt 80): syntax error");
    assert_eq!(error("stopped or not layer 2 (ip6 and)"), "filter, column 16: layer 2 (ip6 and): syntax error");
    assert_eq!(error("outer(80)"), "filter, column 1: outer(80): syntax error");
    assert_eq!(error("inner(ip and arp)"), "filter, column 1: inner(ip and arp): no packet can match");
    assert!(error("inner(inbound)").ends_with("it asks for what only the kernel knows while it captures"), "{}", error("inner(inbound)"));
    let pointed = Filter::parse("vni 77 and port 80").unwrap_err().pointed();
    assert_eq!(pointed, "vni 77 and port 80\n           ^");
}

#[test]
fn an_expression_that_a_link_type_cannot_answer_is_refused_when_it_is_met() {
    let filter = Filter::parse("outer(ether host 02:00:00:00:00:01) or vni 5").unwrap();
    let mut matcher = filter.matcher(&Config::default());
    assert_eq!(matcher.prefilter_matches(&[0; 60], 60, LinkType::ETHERNET), Ok(true));
    let refused = matcher.prefilter_matches(&[0x45; 60], 60, LinkType::RAW).unwrap_err();
    let start = "filter, column 1: outer(ether host 02:00:00:00:00:01): on link type raw: ethernet addresses supported only on ";
    assert!(refused.to_string().starts_with(start), "{refused}");
    assert_eq!(matcher.matches(&Walker::default().walk(&[0x45; 60], 60, LinkType::RAW)), Err(refused));
    // Behind a tunnel there is Ethernet or IP, and what cannot be asked of one of them does not match it.
    assert!(Filter::parse("inner(arp or vlan)").is_ok());
    // "No packet of this kind" is an answer.
    let mut arp = Filter::parse("arp").unwrap().matcher(&Config::default());
    assert_eq!(arp.prefilter_matches(&[0x45; 60], 60, LinkType::RAW), Ok(false));
}

/// VXLAN with VNI 77 over IPv4 around a TCP segment to port 443.
fn vxlan() -> Vec<u8> {
    let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let ipv4 = |length: u8, protocol: u8, net: u8| [0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0, net, 0, 0, 1, net, 0, 0, 2];
    let tcp = [0xc0, 0, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 64, 0, 0, 0, 0];
    [&ethernet[..], &ipv4(90, 17, 172), &[0xc0, 1, 0x12, 0xb5, 0, 70, 0, 0], &[8, 0, 0, 0, 0, 0, 77, 0], &ethernet, &ipv4(40, 6, 10), &tcp]
        .concat()
}

#[test]
fn the_words_mean_what_they_say() {
    let bytes = vxlan();
    let mut walker = Walker::default();
    let packet = walker.walk(&bytes, bytes.len() as u32, LinkType::ETHERNET);
    assert!(packet.stop.is_none(), "{packet:?}");
    for (text, expected) in [
        ("", true),
        ("vni 77", true),
        ("vni 70-80", true),
        ("vni 78-80", false),
        ("tunnel vxlan", true),
        ("tunnel geneve", false),
        ("udp port 4789", true),
        ("tcp port 443", false),
        ("inner(tcp port 443)", true),
        ("inner(udp)", false),
        ("outer(udp and net 172.0.0.0/8)", true),
        ("outer(tcp)", false),
        ("layer 1 (udp)", true),
        ("layer 2 (net 10.0.0.0/8)", true),
        ("layer 3 (ip)", false),
        ("layer 2 (len = 54)", true),
        ("stopped", false),
        ("not stopped and vni 77 and not inner(port 80 or 22)", true),
        ("vni 1 or vni 77 and inner(udp)", false),
        ("vni 77 or (vni 1 and inner(udp))", true),
    ] {
        assert_eq!(Filter::parse(text).unwrap().matcher(&Config::default()).matches(&packet), Ok(expected), "{text}");
    }
    // Cut within the inner TCP header: the inner packet is still 54 bytes long, but its ports are not known.
    let packet = walker.walk(&bytes[..84], bytes.len() as u32, LinkType::ETHERNET);
    for (text, expected) in [
        ("stopped", true),
        ("stopped truncated", true),
        ("stopped malformed", false),
        ("inner(len = 54)", true),
        ("inner(port 443)", false),
    ] {
        assert_eq!(Filter::parse(text).unwrap().matcher(&Config::default()).matches(&packet), Ok(expected), "{text}");
    }
}

#[test]
fn only_what_is_about_the_outer_packet_is_answered_without_decoding() {
    for (text, expected) in [
        ("", false),
        ("tcp", false),
        ("outer(tcp) or not layer 1 (ip)", false),
        ("vni 1", true),
        ("not inner(ip)", true),
        ("stopped", true),
    ] {
        assert_eq!(Filter::parse(text).unwrap().needs_decode(), expected, "{text}");
    }
}

const CARRIER: &str = "(not ip and not ip6 and not arp) or ip[9] = 4 or ip[9] = 41 or ip[9] = 47 or ip[9] = 51 or ip[9] = 137 or \
    ip6[6] = 4 or ip6[6] = 41 or ip6[6] = 47 or ip6[6] = 51 or ip6[6] = 137 or ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 60 or \
    ip6[6] = 135 or ip6[6] = 139 or ip6[6] = 140 or udp dst port 4789 or udp dst port 4790 or udp dst port 6081 or udp dst port 6635 or \
    udp dst port 8472";

#[test]
fn the_kernel_half_is_pcap_filter_that_lets_enough_through() {
    let carrier = CARRIER;
    for (text, expected) in [
        ("tcp port 80 or 443", Some("tcp port 80 or 443".to_owned())),
        ("outer(tcp)", Some("tcp".to_owned())),
        ("vni 77", Some(carrier.to_owned())),
        ("vni 77 or tunnel nvgre or inner(tcp)", Some(carrier.to_owned())),
        ("vni 77 and not stopped and outer(ip)", Some(format!("({carrier}) and (ip)"))),
        ("vni 77 and not inner(tcp)", Some(carrier.to_owned())),
        ("not outer(ip)", Some("len < 14 or not (ip)".to_owned())),
        ("not (outer(ip) or stopped)", Some("len < 14 or not (ip)".to_owned())),
        ("outer(tcp port 80) or outer(arp)", Some("len < 14 or (arp) or (tcp port 80)".to_owned())),
        // vlan moves what stands behind it, so it goes last; of two, one must do.
        ("outer(vlan 5) or outer(arp)", Some("len < 14 or (arp) or (vlan 5)".to_owned())),
        ("outer(vlan 5) and outer(vlan 6) and outer(ether[0] = 2)", Some("(ether[0] = 2) and (vlan 5)".to_owned())),
        // Not moved: an Ethernet type is both vlan and arp for no packet.
        ("outer(vlan 5) and outer(arp)", None),
        ("outer(vlan 5) or outer(mpls)", None),
        ("outer(less 60) or vni 5", Some(format!("(less 60) or ({carrier})"))),
        ("not vni 77", None),
        ("not outer(ip[ip[0]] = 1)", None),
        ("stopped or vni 5", None),
        ("ip protochain 17", None),
        ("outer(ip protochain 17) and vni 5", Some(carrier.to_owned())),
        ("", None),
    ] {
        assert_eq!(Filter::parse(text).unwrap().prefilter(&unguessed(), LinkType::ETHERNET), expected, "{text}");
    }
    let mut config = unguessed();
    config.add_port(4444, overlay_decoder::UdpTunnel::Geneve);
    assert!(Filter::parse("vni 5").unwrap().prefilter(&config, LinkType::ETHERNET).unwrap().contains("udp dst port 4444"));
    // A port that nobody told us of may hold a tunnel when it is guessed.
    assert!(Filter::parse("vni 5").unwrap().prefilter(&Config::default(), LinkType::RAW).unwrap().contains("or ip[9] = 17"));
}

#[test]
fn both_halves_are_explained_and_everything_has_a_reason() {
    let explain = |text: &str, link| Filter::parse(text).unwrap().explain(&unguessed(), link);
    assert_eq!(
        explain("port 53", LinkType::RAW),
        "kernel half: port 53\n    (27 BPF instructions on link type raw)\nexact half:  none; the kernel half is exact\n"
    );
    assert_eq!(
        explain("! (vni 5 || stopped)", LinkType::ETHERNET),
        "kernel half: everything\n    ('not vni 5' is also true of packets without a tunnel)\nexact half:  not (vni 5 or stopped)\n"
    );
    let reasons = [
        ("", LinkType::ETHERNET, "(an empty expression matches every packet)"),
        ("stopped depth", LinkType::ETHERNET, "('stopped depth' is known only after decoding)"),
        ("vni 5", LinkType(147), "(on link type 147 any packet might carry a tunnel)"),
        ("outer(arp) and vni 5", LinkType::RAW, "(no packet of link type raw can match)"),
        (
            "outer(ip and tcp) and outer(udp)",
            LinkType::ETHERNET,
            "(libpcap refuses the joined expression on link type ethernet: no packet can match)",
        ),
        ("outer(greater 100) and not stopped", LinkType::LINUX_SLL, "counts the header of link type sll, which the kernel does not)"),
        ("ip6 protochain 17", LinkType::ETHERNET, "which the kernel does not run)\nexact half:  ip6 protochain 17\n"),
        ("outer(vlan) or outer(mpls)", LinkType::ETHERNET, "which change what stands behind)"),
        ("ether host 02:00:00:00:00:01", LinkType::RAW, "(libpcap refuses it on link type raw)"),
    ];
    for (text, link, reason) in reasons {
        assert!(explain(text, link).contains(reason), "{text}: {}", explain(text, link));
    }
    assert!(explain("vni 5", LinkType::ETHERNET).contains("BPF instructions on link type ethernet)\nexact half:  vni 5\n"));
}

#[test]
fn a_live_capture_is_explained_as_it_is_done() {
    let explain = |text: &str, link| Filter::parse(text).unwrap().explain_live(&unguessed(), link);
    let tagged = "a frame with a VLAN tag always passes, because the network card may have taken the tag off";
    assert_eq!(
        explain("port 53", LinkType::ETHERNET),
        format!(
            "kernel half: (port 53) or vlan\n    (on link type ethernet; {tagged})\nexact half:  port 53\n    (decided again, of the packet with its VLAN tag put back)\n"
        )
    );
    assert_eq!(
        explain("inbound and udp", LinkType::ETHERNET),
        "kernel half: inbound and udp\n    (on link type ethernet)\nexact half:  none\n    (only the kernel knows which way a packet goes)\n"
    );
    assert!(explain("port 53", LinkType::LINUX_SLL2).starts_with("kernel half: port 53\n    (on link type sll2)\nexact half:  port 53\n"));
    let tunnel = explain("vni 77", LinkType::ETHERNET);
    assert!(
        tunnel.contains(") or vlan\n") && tunnel.ends_with("; on a tunnel device everything passes)\nexact half:  vni 77\n"),
        "{tunnel}"
    );
    let open = "kernel half: everything\n    ('stopped' is known only after decoding)\nexact half:  stopped\n";
    assert_eq!(explain("stopped", LinkType::ETHERNET), open);
    assert!(explain("ip protochain 17", LinkType::ETHERNET).contains("(decided again, "), "the kernel does not run it");
    assert!(explain("ether host 02:00:00:00:00:01", LinkType::RAW).contains("(libpcap refuses it on link type raw)"));
}

#[test]
fn what_the_kernel_gets_live_is_what_is_explained() {
    for (text, alone) in
        [("inbound", true), ("outbound and port 53", true), ("port 53", false), ("vni 5", false), ("outer(inbound)", false)]
    {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.is_for_the_kernel_alone(), alone, "{text}");
        for link in [LinkType::ETHERNET, LinkType::LINUX_SLL2, LinkType::RAW] {
            let given = filter.live_prefilter(&unguessed(), link).unwrap_or_else(|| "everything".into());
            let told = filter.explain_live(&unguessed(), link);
            assert!(told.starts_with(&format!("kernel half: {given}\n")), "{text}: {told}");
        }
    }
}

#[test]
fn every_expression_in_the_manual_is_a_filter() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/filters.md")).unwrap();
    let mut filters = 0;
    for block in manual.split("```filter\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let text = line.split_once("  #").map_or(line, |(text, _)| text).trim();
            assert!(Filter::parse(text).is_ok(), "{text}: {:?}", Filter::parse(text).err());
            filters += 1;
        }
    }
    assert!(filters >= 15, "{filters} expressions in the manual");
    // The transcripts are what the library says.
    let error = Filter::parse("vni 77 and port 80").unwrap_err();
    let explained =
        Filter::parse("vni 77 and not inner(arp) and outer(net 10.88.0.0/16)").unwrap().explain(&unguessed(), LinkType::ETHERNET);
    let live = Filter::parse("udp port 53").unwrap().explain_live(&unguessed(), LinkType::ETHERNET);
    for text in [error.to_string(), error.pointed(), explained, live] {
        assert!(manual.contains(text.trim_end()), "the manual lacks:\n{text}");
    }
}

#[test]
fn a_filter_is_shared_between_threads() {
    let filter = Filter::parse("vni 77 and inner(tcp)").unwrap();
    let bytes = vxlan();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut matcher, mut walker) = (filter.clone().matcher(&Config::default()), Walker::default());
                assert_eq!(matcher.matches(&walker.walk(&bytes, bytes.len() as u32, LinkType::ETHERNET)), Ok(true));
            });
        }
    });
}
