//! Does the kernel's half of a filter ever lose a packet that the exact half wants? Does an expression without our words mean what it
//! means to tcpdump? Random filters on random packets, and chosen ones on every capture at hand.

mod filter_support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use filter_support::{Captured, Choices, PCAP, expression, packet};
use overlay_captures::filter::{Filter, Matcher};
use overlay_captures::{Chunk, LinkType, Reader};
use overlay_decoder::{Config, LayerKind, Walker};
use proptest::prelude::*;

/// libpcap's number of a link type (raw IP has one of its own), and a program that runs as the kernel would run it.
fn kernel_program(text: &str, link: LinkType) -> pcap::BpfProgram {
    let dlt = if link == LinkType::RAW { 12 } else { link.0.into() };
    pcap::Capture::dead(pcap::Linktype(dlt)).unwrap().compile(text, true).unwrap_or_else(|error| panic!("{text} on {link}: {error}"))
}

fn config(guess: bool) -> Config {
    let mut config = Config::default();
    config.guess = guess;
    config
}

/// A filter and everything that its answers are checked against, kept from packet to packet.
struct Judge {
    filter: Filter,
    matcher: Matcher,
    walker: Walker,
    kernel: Vec<(LinkType, Option<(String, pcap::BpfProgram)>)>,
}

impl Judge {
    fn new(text: &str, guess: bool) -> Self {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{error}\n{}", error.pointed()));
        Self { matcher: filter.matcher(&config(guess)), walker: Walker::new(config(guess)), filter, kernel: Vec::new() }
    }

    /// Whether the packet matches; `None` where an expression cannot be asked of its link type.
    fn matches(&mut self, captured: &Captured) -> Option<bool> {
        self.matcher.matches(&self.walker.walk(&captured.bytes, captured.wire_len, captured.link)).ok()
    }

    /// Checks both prefilters; `true` where the packet matched.
    fn check(&mut self, captured: &Captured) -> bool {
        let Some(wanted) = self.matches(captured) else { return false };
        let filter = &self.filter;
        let passed = self.matcher.prefilter_matches(&captured.bytes, captured.wire_len, captured.link).unwrap();
        assert!(passed || !wanted, "lost before decoding: {filter}\n{captured:02x?}");
        assert!(passed == wanted || filter.needs_decode(), "needs no decoding, but the answers differ: {filter}\n{captured:02x?}");
        // The kernel sees whole packets, and no loopback headers of other systems.
        if captured.wire_len as usize == captured.bytes.len() && ![LinkType::NULL, LinkType::LOOP].contains(&captured.link) {
            let index = self.kernel.iter().position(|known| known.0 == captured.link).unwrap_or_else(|| {
                let text = filter.prefilter(self.walker.config(), captured.link);
                self.kernel.push((captured.link, text.map(|text| (text.clone(), kernel_program(&text, captured.link)))));
                self.kernel.len() - 1
            });
            if let Some((text, program)) = &self.kernel[index].1 {
                assert!(program.filter(&captured.bytes) || !wanted, "lost in the kernel: {filter}\nas {text}\n{captured:02x?}");
            }
        }
        wanted
    }
}

/// Half of these change where libpcap looks for what stands behind them.
const MOVING: [&str; 8] = ["vlan", "vlan 5", "vlan and ip", "mpls", "geneve 5", "ip", "udp", "ether[0] = 2"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_prefilter_never_loses_a_match(of_filter in prop::collection::vec(any::<u8>(), 0..40), of_packets in prop::collection::vec(any::<u8>(), 0..600), guess: bool) {
        let mut judge = Judge::new(&expression(&mut Choices::new(&of_filter), 2), guess);
        let mut choices = Choices::new(&of_packets);
        for _ in 0..8 {
            judge.check(&packet(&mut choices));
        }
    }

    #[test]
    fn what_moves_the_offsets_of_its_neighbours_never_loses_them(parts in prop::collection::vec((0..MOVING.len(), any::<bool>()), 2..4), or: bool, of_packets in prop::collection::vec(any::<u8>(), 0..600)) {
        let parts: Vec<_> = parts.iter().map(|(index, negated)| format!("{}outer({})", if *negated { "not " } else { "" }, MOVING[*index])).collect();
        let mut judge = Judge::new(&parts.join(if or { " or " } else { " and " }), true);
        let mut choices = Choices::new(&of_packets);
        for _ in 0..16 {
            judge.check(&packet(&mut choices));
        }
    }

    #[test]
    fn joined_questions_follow_the_laws_of_logic(of_filter in prop::collection::vec(any::<u8>(), 0..40), of_packet in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut choices = Choices::new(&of_filter);
        let (a, b) = (expression(&mut choices, 1), expression(&mut choices, 1));
        let captured = packet(&mut Choices::new(&of_packet));
        let answer = |text: &str| Judge::new(text, true).matches(&captured);
        let (Some(is_a), Some(is_b)) = (answer(&a), answer(&b)) else { return Ok(()) };
        prop_assert_eq!(answer(&format!("{a} and {b}")), Some(is_a && is_b));
        prop_assert_eq!(answer(&format!("{a} or {b}")), Some(is_a || is_b));
        prop_assert_eq!(answer(&format!("not ({a} or {b})")), answer(&format!("not ({a}) and not ({b})")));
        prop_assert_eq!(answer(&format!("!({a} && {b})")), answer(&format!("not ({a}) || not ({b})")));
        prop_assert_eq!(answer(&format!("not not ({a})")), Some(is_a));
        let spelled = Filter::parse(&format!("({a}) or ({b})")).unwrap().to_string();
        prop_assert_eq!(answer(&spelled), Some(is_a || is_b), "spelled {}", spelled);
    }

    #[test]
    fn inner_is_any_layer_from_the_second(pcap in 0..PCAP.len(), of_packet in prop::collection::vec(any::<u8>(), 0..120)) {
        let captured = packet(&mut Choices::new(&of_packet));
        let answer = |text: &str| Judge::new(text, true).matches(&captured);
        let layers: Vec<_> = (2..=9).map(|number| format!("layer {number} ({})", PCAP[pcap])).collect();
        prop_assert_eq!(answer(&format!("inner({})", PCAP[pcap])), answer(&layers.join(" or ")));
        prop_assert_eq!(answer(&format!("outer({})", PCAP[pcap])), answer(PCAP[pcap]));
        prop_assert_eq!(answer(&format!("layer 1 ({})", PCAP[pcap])), answer(PCAP[pcap]));
    }
}

/// The properties above say nothing unless the packets have tunnels and the filters match some of them.
#[test]
fn the_random_packets_reach_every_tunnel_from_every_link_type() {
    let mut reached = BTreeSet::new();
    let (mut matched, mut passed, mut dropped) = (0, 0, 0);
    let mut judge = Judge::new("vni 77 and inner(ip or ip6)", false);
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let stream: Vec<u8> = (0..60)
            .map(|_| {
                // The step of Numerical Recipes, of which the upper bits are good.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let captured = packet(&mut Choices::new(&stream));
        let mut walker = Walker::default();
        let decoded = walker.walk(&captured.bytes, captured.wire_len, captured.link);
        reached.extend(decoded.layers.iter().filter(|layer| layer.body.is_tunnel()).map(|layer| (captured.link.0, layer.kind())));
        matched += usize::from(judge.check(&captured));
        match judge.matcher.prefilter_matches(&captured.bytes, captured.wire_len, captured.link).unwrap() {
            true => passed += 1,
            false => dropped += 1,
        }
    }
    let tunnels = LayerKind::ALL.iter().filter(|kind| kind.is_tunnel());
    let expected: BTreeSet<_> = tunnels.flat_map(|kind| LinkType::KNOWN.map(|link| (link.0, *kind))).collect();
    assert_eq!(reached, expected);
    assert!(matched > 500 && passed > 2 * matched && dropped > 2_000, "{matched} matched, {passed} passed, {dropped} dropped");
}

/// Asked of every packet of every capture: what tcpdump finds, and that nothing is lost.
const QUESTIONS: [&str; 15] = [
    "vni 1-16777215",
    "tunnel vxlan and not inner(tcp)",
    "tunnel gre or tunnel nvgre or tunnel erspan",
    "tunnel ipip",
    "inner(ip6) or vni 77 and outer(ip)",
    "layer 3 (ip) or outer(arp)",
    "not outer(ip) and not stopped",
    "outer(vlan) or tunnel geneve",
    "outer(vlan) or outer(mpls)",
    "not (outer(tcp port 80) or stopped truncated)",
    "outer(udp) and (tunnel vxlan or outer(port 53) or outer(greater 100))",
    "inner(not ip)",
    "tunnel vxlan-gpe and layer 2 (ip or ip6)",
    "outer(not (tcp or udp)) and not tunnel gre",
    "stopped malformed or outer(icmp)",
];

#[test]
fn every_capture_keeps_its_matches_and_bare_expressions_are_tcpdumps() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = captures(&here.join("corpus"));
    let given = here.join("../../shared/captures");
    if given.is_dir() {
        files.extend(captures(&given));
    } else {
        skip("every_capture_keeps_its_matches_and_bare_expressions_are_tcpdumps", "the given captures are not beside the workspace");
    }
    let mut judges: Vec<_> = QUESTIONS.iter().flat_map(|text| [Judge::new(text, true), Judge::new(text, false)]).collect();
    let (mut matched, mut compared) = (0, 0);
    for file in &files {
        // Damaged captures are read as far as they go.
        let mut packets = Vec::new();
        if let Ok(mut reader) = Reader::open(file) {
            let mut chunk = Chunk::new();
            while let Ok(true) = reader.next_chunk(&mut chunk) {
                packets.extend(chunk.records().map(|r| Captured { link: r.link, bytes: r.bytes.to_vec(), wire_len: r.len }));
            }
        }
        for judge in &mut judges {
            matched += packets.iter().filter(|captured| judge.check(captured)).count();
        }
        // libpcap refuses some of the files, and cuts packets of others: the readers' own tests are about that. A length on the wire
        // below the captured one is taken for damage, as everywhere in the suite.
        let sound = packets.iter().all(|captured| captured.wire_len as usize >= captured.bytes.len());
        if sound && chosen_by_libpcap(file, "").is_some_and(|all| all == packets.iter().map(shown).collect::<Vec<_>>()) {
            // libpcap's interpreter may not come back from a loop.
            for text in PCAP.into_iter().filter(|text| !text.contains("protochain")) {
                let Some(theirs) = chosen_by_libpcap(file, text) else { continue };
                let mut matcher = Filter::parse(text).unwrap().matcher(&Config::default());
                let mut wanted = |c: &&Captured| matcher.prefilter_matches(&c.bytes, c.wire_len, c.link).unwrap();
                let ours: Vec<_> = packets.iter().filter(&mut wanted).map(shown).collect();
                assert_eq!(ours, theirs, "{} with {text}", file.display());
                compared += ours.len();
            }
        }
    }
    assert!(matched > 1_000 && compared > 1_000, "{matched} matched, {compared} compared");
}

/// What tcpdump would choose from the file: length on the wire and captured bytes. `None` when it refuses.
fn chosen_by_libpcap(file: &Path, text: &str) -> Option<Vec<(u32, Vec<u8>)>> {
    let mut capture = pcap::Capture::from_file(file).ok()?;
    capture.filter(text, true).ok()?;
    let mut chosen = Vec::new();
    while let Ok(packet) = capture.next_packet() {
        chosen.push((packet.header.len, packet.data.to_vec()));
    }
    Some(chosen)
}

fn shown(captured: &Captured) -> (u32, Vec<u8>) {
    (captured.wire_len, captured.bytes.clone())
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().is_some_and(|path| path.contains(".pcap")));
    paths.sort();
    paths
}

/// A skip is visible and counted, never a silent success.
fn skip(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
