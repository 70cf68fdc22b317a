use super::*;
use proptest::prelude::*;

/// One expression per kind of instruction, and more of the usual ones.
const EXPRESSIONS: [&str; 22] = [
    "ip",
    "arp or ip6",
    "host 10.0.0.1",
    "tcp port 80",
    "udp dst port 4789 or 8472",
    "src net 10.0.0.0/8 and not port 22",
    "ether host 02:00:00:00:00:01",
    "ether broadcast or multicast",
    "vlan and tcp",
    "vlan 5 or mpls",
    "ip[2:2] > 100 and ip[8] != 64",
    "ip[ip[0]] = 3",
    "ip[0] & 0xf > 5",
    "ip[0] * ip[1] - ip[2] = 9",
    "ip[0] / ip[1] = 2",
    "ip[0] % ip[1] = 1",
    "(ip[0] << ip[8]) | (ip[9] >> 1) ^ 3 > 77",
    "-ip[0] < 300",
    "len > ip[2:2] + 14",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "less 60",
    "geneve 5 and tcp",
];

/// Bytes that are often IP with something in it: random bytes alone rarely get behind the first comparison.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just(vec![]),
        Just([&[2; 12][..], &[8, 0, 0x45, 0]].concat()),
        Just([&[2; 12][..], &[8, 0, 0x46, 0, 0, 50, 0, 0, 0, 0, 9]].concat()),
        Just([&[2; 12][..], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 40]].concat()),
        Just([&[2; 12][..], &[0x81, 0, 0, 5, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6]].concat()),
        Just(vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64]),
    ];
    let bytes = prop_oneof![any::<u8>(), Just(6), Just(17), Just(51), Just(0), Just(80), Just(10)];
    (start, prop::collection::vec(bytes, 0..90)).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_program_runs_as_libpcap_runs_it(expression in 0..EXPRESSIONS.len(), raw: bool, optimize: bool, bytes in packets()) {
        let link = if raw { LinkType::RAW } else { LinkType::ETHERNET };
        let expression = EXPRESSIONS[expression];
        let Ok(theirs) = Capture::dead(dlt(link)).unwrap().compile(expression, optimize) else { return Ok(()) };
        let instructions = theirs.get_instructions().iter().map(|instruction| read(&instruction.to_string()).unwrap()).collect();
        let ours = Program { instructions };
        prop_assert_eq!(ours.matches(&bytes, bytes.len() as u32), theirs.filter(&bytes), "{} on {}", expression, link);
        // With as many bytes as it says it needs, it never reads too far.
        if let Some(needed) = ours.bytes_needed() {
            let mut long = bytes;
            long.resize(long.len().max(needed), 0xff);
            prop_assert!(ours.run(&long, long.len() as u32).is_some() || expression.contains(['/', '%']), "{} needs {}", expression, needed);
        }
    }
}

#[test]
fn the_length_on_the_wire_counts_not_the_captured_one() {
    let program = Program::compile("greater 1000", LinkType::ETHERNET).unwrap();
    assert!(program.matches(&[0; 96], 1_500));
    assert!(!program.matches(&[0; 96], 999));
}

#[test]
fn a_refusal_says_whose_it_is() {
    let refused = |text, link| Program::compile(text, link).unwrap_err();
    assert_eq!(refused("tcp porrt 80", LinkType::ETHERNET), Refusal::Wrong("syntax error".into()));
    assert_eq!(refused("arp", LinkType::RAW), Refusal::RejectsAll);
    assert!(matches!(refused("vlan", LinkType::RAW), Refusal::Unfit(_)));
    assert!(matches!(refused("ip", LinkType(147)), Refusal::Unfit(_)));
    assert!(matches!(refused("inbound", LinkType::ETHERNET), Refusal::Unfit(sentence) if sentence.contains("kernel")));
    assert!(Program::compile("inbound", LinkType::LINUX_SLL).is_ok());
    assert!(matches!(refused("ip\0", LinkType::ETHERNET), Refusal::Unfit(_)));
}

#[test]
fn bytes_needed_are_those_of_the_farthest_load() {
    let needed = |text| Program::compile(text, LinkType::ETHERNET).unwrap().bytes_needed();
    assert_eq!(needed("ip"), Some(14));
    assert_eq!(needed("ip[9] = 47"), Some(24));
    assert_eq!(needed("udp dst port 4789"), Some(14 + 60 + 4));
    assert_eq!(needed("less 60"), Some(0));
    assert_eq!(needed("ip[ip[0]] = 3"), None);
    assert_eq!(needed("ip6 protochain 17"), None);
}

#[test]
fn protochain_follows_extension_headers() {
    let program = Program::compile("ip6 protochain 17", LinkType::RAW).unwrap();
    assert!(program.loops() && !Program::compile("ip6", LinkType::RAW).unwrap().loops());
    let packet = |last: u8| {
        [&[0x60, 0, 0, 0, 0, 24, 0, 64][..], &[0; 32], &[60, 0, 0, 0, 0, 0, 0, 0], &[last, 0, 0, 0, 0, 0, 0, 0], &[9; 8]].concat()
    };
    assert!(program.matches(&packet(17), 64));
    assert!(!program.matches(&packet(6), 64));
    let theirs = Capture::dead(dlt(LinkType::RAW)).unwrap().compile("ip6 protochain 17", true).unwrap();
    assert!(theirs.filter(&packet(17)) && !theirs.filter(&packet(6)));
}

/// libpcap 1.10 takes the length of an AH header for the offset of the next one; its own interpreter would not come back from this.
#[test]
fn a_loop_that_does_not_advance_ends() {
    let program = Program::compile("ip protochain 17", LinkType::RAW).unwrap();
    let mut packet = [0; 40];
    (packet[0], packet[9]) = (0x45, 51);
    // The AH header at byte 20 is followed by another one, and is (3 + 2) * 4 bytes long: at byte 20 again.
    (packet[20], packet[21]) = (51, 3);
    assert!(!program.matches(&packet, 40));
    let back = Instruction { code: JA, if_true: 0, if_false: 0, k: u32::MAX };
    assert!(!Program { instructions: [back].into() }.matches(&[], 0));
}

#[test]
fn loopback_families_become_ours_in_our_byte_order() {
    let ip6 = Program::compile("ip6", LinkType::NULL).unwrap();
    let loop6 = Program::compile("ip6", LinkType::LOOP).unwrap();
    let ip = Program::compile("ip", LinkType::NULL).unwrap();
    let mut scratch = Vec::new();
    for family in [10_u32, 24, 28, 30] {
        for bytes in [family.to_le_bytes(), family.to_be_bytes()] {
            assert!(ip6.matches(expected(&bytes, LinkType::NULL, &mut scratch), 4), "{bytes:?}");
        }
        assert!(loop6.matches(expected(&family.to_be_bytes(), LinkType::LOOP, &mut scratch), 4));
    }
    for bytes in [2_u32.to_le_bytes(), 2_u32.to_be_bytes()] {
        assert!(ip.matches(expected(&bytes, LinkType::NULL, &mut scratch), 4));
    }
    assert_eq!(expected(&[1, 2, 3], LinkType::NULL, &mut scratch), [1, 2, 3]);
}
