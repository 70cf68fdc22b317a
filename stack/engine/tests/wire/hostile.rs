//! What nobody should send, and somebody will: to the underlay's port, from a tenant, as an answer, at the prompt.

use super::common::{Counts, Dice, counts, frame, grown, mac, spec, ul3};
use super::{ENCAPSULATIONS, Line, VNI, answered, arp, header, ip_frame, tagged};
use overlay_api::{Answer, DropReason, RequestId, Verdict};
use overlay_engine::{AnswerError, Offload, PortSpec, Search};

/// A datagram goes in; its one fate, as a verdict and in the counters of the device and of nobody, comes out.
fn fate(line: &mut Line, bytes: &[u8]) -> Result<(), DropReason> {
    let before = (line.host.counts(), line.host.device_counts(line.device));
    let given = line.receive(bytes, 0);
    let (all, own) = (grown(&before.0, &line.host.counts()), grown(&before.1, &line.host.device_counts(line.device)));
    let arrived = counts([("datagrams_in", 1), ("datagrams_in_bytes", bytes.len() as i64)]);
    let plus = |more: Counts| -> Counts { arrived.clone().into_iter().chain(more).collect() };
    let reason = DropReason::ALL.iter().copied().find(|reason| all.contains_key(&format!("drop {reason}")));
    let Some(reason) = reason else {
        let len = given.expect("what is not dropped is delivered").len() as i64;
        let expected = plus(counts([("delivered", 1), ("frames_out", 1), ("frames_out_bytes", len)]));
        assert_eq!((&all, &own), (&expected, &expected));
        return Ok(());
    };
    assert_eq!(given, None);
    let expected = plus(counts([(format!("drop {reason}").as_str(), 1)]));
    assert_eq!(all, expected);
    // What could not be told to be the device's is not counted as its own.
    let theirs = [DropReason::UnknownVni, DropReason::HeaderInvalid, DropReason::DatagramTooShort].contains(&reason);
    assert_eq!(own, if theirs { Counts::new() } else { expected }, "{reason}");
    Err(reason)
}

#[test]
fn a_datagram_cut_anywhere_has_one_fate() {
    for encapsulation in ENCAPSULATIONS {
        let mut line = Line::direct(encapsulation, VNI, false, 1500, &[]);
        let whole = [&header(encapsulation)[..], &answered(&ip_frame(false, &[7], 0, 46))].concat();
        for len in 0..=60 {
            let expected = if len < 8 + 14 { Err(DropReason::DatagramTooShort) } else { Ok(()) };
            assert_eq!(fate(&mut line, &whole[..len]), expected, "{encapsulation} with {len} bytes");
        }
    }
}

#[test]
fn short_datagrams_of_any_content_have_one_fate() {
    use DropReason::{DatagramTooShort, HeaderInvalid, UnknownVni};
    let mut dice = Dice(7);
    for encapsulation in ENCAPSULATIONS {
        let mut line = Line::direct(encapsulation, VNI, false, 1500, &[]);
        for len in 0..=60 {
            let short = |header: DropReason, frame: DropReason| match len {
                0..8 => DatagramTooShort,
                8..22 => header,
                _ => frame,
            };
            // All bits 0: no I, no 0x6558, no K. All bits 1: VXLAN's I is among them, and its VNI is 16777215.
            assert_eq!(fate(&mut line, &vec![0; len]), Err(short(HeaderInvalid, HeaderInvalid)), "{encapsulation} {len}");
            let ones = if encapsulation == "vxlan" { short(DatagramTooShort, UnknownVni) } else { short(HeaderInvalid, HeaderInvalid) };
            assert_eq!(fate(&mut line, &vec![0xff; len]), Err(ones), "{encapsulation} {len}");
            for _ in 0..50 {
                let bytes: Vec<u8> = (0..len).map(|_| dice.roll() as u8).collect();
                let _ = fate(&mut line, &bytes);
                // And with a header that is almost right, in front of anything.
                let mut almost = [&header(encapsulation)[..], &bytes].concat();
                almost[dice.below(8) as usize] ^= 1 << dice.below(8);
                almost.truncate(60);
                let _ = fate(&mut line, &almost);
            }
        }
    }
}

#[test]
fn frames_of_any_length_and_content_have_one_fate() {
    let mut dice = Dice(9);
    for mut line in [Line::direct("vxlan", VNI, false, 1500, &[]), Line::dynamic("nvgre", VNI, true, 1500, &[])] {
        for len in 0..=60 {
            for fill in [0, 0xff] {
                line.host.frame(line.port, &vec![fill; len]);
            }
            for _ in 0..20 {
                let mut bytes: Vec<u8> = (0..len).map(|_| dice.roll() as u8).collect();
                line.host.frame(line.port, &bytes);
                if let Some(kind) = bytes.get_mut(12..14) {
                    kind.copy_from_slice(&[[8, 0], [0x86, 0xdd], [0x81, 0], [8, 6]][dice.below(4) as usize]);
                }
                line.host.frame(line.port, &bytes);
            }
        }
        let dropped = line.host.control.totals().dropped(DropReason::FrameTooShort);
        assert_eq!(dropped, 14 * (2 + 2 * 20), "those of 0 to 13 bytes");
    }
}

/// A Geneve datagram for the device: the first two bytes as given, the options, a frame.
fn geneve(first: [u8; 2], options: &[u8], rest: &[u8]) -> Vec<u8> {
    [&first[..], &[0x65, 0x58, 0, 0x13, 0x89, 0], options, rest].concat()
}

#[test]
fn geneve_options_that_lie_are_dropped_and_those_that_do_not_are_not() {
    use DropReason::{CriticalOption, DatagramTooShort, HeaderInvalid, ReservedBits};
    let frame = answered(&arp());
    let known = ("geneve/options", "0102:80:00000001");
    let mut lenient = Line::direct("geneve", VNI, false, 1500, &[known]);
    let mut strict = Line::direct("geneve", VNI, false, 1500, &[known, ("geneve/reserved_bits", "strict")]);
    let repeated = |option: [u8; 4]| option.repeat(63);
    let known_option = [1, 2, 0x80, 1, 9, 9, 9, 9];
    type Fate = Result<(), DropReason>;
    let rows: Vec<(&str, Vec<u8>, Fate, Fate)> = vec![
        ("options of which none is there", geneve([63, 0], &[], &[]), Err(HeaderInvalid), Err(HeaderInvalid)),
        ("options that would be the frame and more", geneve([63, 0], &[], &frame), Err(HeaderInvalid), Err(HeaderInvalid)),
        ("an option longer than all", geneve([1, 0], &[0, 1, 2, 1], &frame), Err(HeaderInvalid), Err(HeaderInvalid)),
        ("the last one longer than all", geneve([2, 0], &[0, 1, 2, 0, 0, 1, 2, 31], &frame), Err(HeaderInvalid), Err(HeaderInvalid)),
        ("as many as there can be", geneve([63, 0], &repeated([0, 1, 2, 0]), &frame), Ok(()), Ok(())),
        (
            "as many critical ones, unknown",
            geneve([63, 0x40], &repeated([0, 1, 0x82, 0]), &frame),
            Err(CriticalOption),
            Err(CriticalOption),
        ),
        ("the same, and nobody says so", geneve([63, 0], &repeated([0, 1, 0x82, 0]), &frame), Ok(()), Ok(())),
        ("the longest", geneve([32, 0], &[&[0, 1, 2, 31][..], &[0xff; 124]].concat(), &frame), Ok(()), Ok(())),
        ("a critical one that is known, with other data", geneve([2, 0x40], &known_option, &frame), Ok(()), Ok(())),
        ("known class, other type", geneve([1, 0x40], &[1, 2, 0x81, 0], &frame), Err(CriticalOption), Err(CriticalOption)),
        ("known type, other class", geneve([1, 0x40], &[1, 3, 0x80, 0], &frame), Err(CriticalOption), Err(CriticalOption)),
        ("C without any", geneve([0, 0x40], &[], &frame), Ok(()), Ok(())),
        ("O: not for forwarding", geneve([0, 0x80], &[], &frame), Err(HeaderInvalid), Err(HeaderInvalid)),
        ("version 1", geneve([0x40, 0], &[], &frame), Err(HeaderInvalid), Err(HeaderInvalid)),
        ("reserved bits of the header", geneve([0, 0x01], &[], &frame), Ok(()), Err(ReservedBits)),
        ("reserved bits of an option", geneve([1, 0], &[0, 1, 2, 0x20], &frame), Ok(()), Err(ReservedBits)),
        ("options and no frame", geneve([1, 0], &[0, 1, 2, 0], &frame[..13]), Err(DatagramTooShort), Err(DatagramTooShort)),
    ];
    for (what, bytes, leniently, strictly) in rows {
        assert_eq!(fate(&mut lenient, &bytes), leniently, "{what}");
        assert_eq!(fate(&mut strict, &bytes), strictly, "{what}, strict");
    }
    // RFC 8926 3.4: another payload than Ethernet, IPv4 for example.
    let mut other = geneve([0, 0], &[], &frame);
    other[2..4].copy_from_slice(&[8, 0]);
    assert_eq!(fate(&mut lenient, &other), Err(HeaderInvalid));
}

#[test]
fn what_was_sent_and_comes_back_goes_no_further() {
    for encapsulation in ENCAPSULATIONS {
        // It listens everywhere, so its own address as destination is not found out.
        let listen = format!("{encapsulation}/listen_ip");
        let mut line = Line::direct(encapsulation, VNI, false, 1500, &[(&listen, "0.0.0.0")]);
        line.host.control.add_port(line.device, &PortSpec { name: "vnic1".into(), mac: mac(3), mtu: 1400 }).unwrap();
        let mut to_all = arp();
        to_all[..6].fill(0xff);
        for bytes in [arp(), tagged(&arp(), &[5]), tagged(&arp(), &[5, 6]), to_all.clone(), tagged(&to_all, &[9])] {
            line.host.frame(line.port, &bytes);
            let sent = line.host.take().sent;
            assert_eq!(fate(&mut line, &sent[0].bytes), Err(DropReason::Loop), "{encapsulation}");
        }
        // The other port's address as a source, to this one, to all, to itself.
        for to in [mac(1), mac(3), overlay_decoder::Mac::BROADCAST] {
            let spoofed = [&header(encapsulation)[..], &frame(mac(3), to, b"spoofed")].concat();
            assert_eq!(fate(&mut line, &spoofed), Err(DropReason::Loop), "{encapsulation} to {to}");
        }
        // A frame that nobody here sent, to nobody here.
        let passing = [&header(encapsulation)[..], &frame(mac(8), mac(9), b"passing")].concat();
        assert_eq!(fate(&mut line, &passing), Err(DropReason::NoPort));
    }
}

#[test]
fn an_answer_that_cannot_be_used_costs_the_frame_and_nothing_else() {
    let reach = |to: &[&str]| Answer::Reach { to: to.iter().map(|text| ul3(text)).collect(), ttl_ns: None };
    let rows: Vec<(&str, Answer, &str)> = vec![
        ("vxlan", reach(&[]), "no underlay address is given; at least one is needed"),
        ("vxlan", reach(&["192.0.2.2:1", "192.0.2.3:1"]), "2 underlay addresses are given; only broadcast and multicast destinations"),
        ("vxlan", reach(&["192.0.2.2"]), "192.0.2.2 has no port; this encapsulation needs one"),
        ("vxlan", reach(&["192.0.2.2:0"]), "192.0.2.2:0 has port 0; 1 to 65535 are allowed"),
        ("nvgre", reach(&["192.0.2.2:4789"]), "192.0.2.2:4789 has a port; this encapsulation has none"),
        ("vxlan", reach(&["0.0.0.0:4789"]), "0.0.0.0:4789 is no address that anything could be sent to"),
        ("vxlan", reach(&["[::ffff:0.0.0.0]:4789"]), "[::ffff:0.0.0.0]:4789 is no address that anything could be sent to"),
        ("vxlan", reach(&["239.0.0.1:4789"]), "239.0.0.1:4789 is a multicast address"),
        ("vxlan", reach(&["[2001:db8::2]:4789"]), "[2001:db8::2]:4789 is of another family than the address that the overlay listens at"),
        ("geneve", reach(&["192.0.2.1:6081"]), "192.0.2.1:6081 is the address that the overlay listens at itself"),
        ("geneve", reach(&["[::ffff:192.0.2.1]:6081"]), "[::ffff:192.0.2.1]:6081 is the address that the overlay listens at itself"),
        ("nvgre", reach(&["192.0.2.1"]), "192.0.2.1 is the address that the overlay listens at itself"),
        ("vxlan", Answer::Inject(vec![]), "a frame of 0 bytes is shorter than an Ethernet header, 14"),
        ("vxlan", Answer::Resend(vec![0; 13]), "a frame of 13 bytes is shorter than an Ethernet header, 14"),
        ("vxlan", Answer::Inject(vec![0; 1423]), "a frame of 1423 bytes; at most 1422 are allowed"),
        ("vxlan", Answer::Resend(vec![0; 100_000]), "a frame of 100000 bytes; at most 1422 are allowed"),
    ];
    for (encapsulation, answer, problem) in rows {
        let mut line = Line::dynamic(encapsulation, VNI, false, 1500, &[]);
        let before = line.host.device_counts(line.device);
        line.host.frame(line.port, &arp());
        let request = line.host.take().lookups[0].request;
        let error = line.host.answer(request, answer.clone()).unwrap_err();
        assert!(matches!(&error, AnswerError::Invalid { problem: said, .. } if said.starts_with(problem)), "{error}");
        assert!(line.host.take().is_silent());
        let len = arp().len() as i64;
        let fate = [("frames_in", 1), ("frames_in_bytes", len), ("frames_in_packets", 1), ("lookups", 1), ("answers", 1)];
        let expected: Counts = counts(fate).into_iter().chain(counts([("drop answer-invalid", 1)])).collect();
        assert_eq!(grown(&before, &line.host.device_counts(line.device)), expected, "{answer:?}");
        // It does not count again, and the next frame asks anew.
        assert_eq!(line.host.answer(request, answer), Err(AnswerError::Unknown(request)));
        line.send_late(&arp());
    }
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut line = Line::dynamic("vxlan", VNI, false, 1500, &[]);
    line.host.frame(line.port, &arp());
    let asked = line.host.take().lookups[0].request;
    for request in [RequestId(0), RequestId(asked.0 + 1), RequestId(u64::MAX)] {
        let before = (line.host.device_counts(line.device), line.host.counts());
        for answer in
            [Answer::Drop { ttl_ns: None }, Answer::Inject(arp()), Answer::Reach { to: vec![ul3("192.0.2.9:4789")], ttl_ns: Some(1) }]
        {
            assert_eq!(line.host.answer(request, answer), Err(AnswerError::Unknown(request)));
        }
        assert!(line.host.take().is_silent());
        assert_eq!(line.host.device_counts(line.device), before.0);
        assert_eq!(grown(&before.1, &line.host.counts()), counts([("late_answers", 3)]));
    }
    line.host.answer(asked, Answer::Reach { to: vec![line.ends[1]], ttl_ns: Some(u64::MAX) }).unwrap();
    assert_eq!(line.host.take().sent.len(), 1);
    line.host.pass(1_000_000_000_000_000);
    assert_eq!(line.send(&arp(), Offload::default()).outer.to, line.ends[1], "an end of time beyond all time");
}

#[test]
fn a_destination_in_ipv6_clothes_is_sent_to_as_ipv4() {
    let mut line = Line::dynamic("vxlan", VNI, false, 1500, &[]);
    line.host.frame(line.port, &arp());
    line.host.reach("[::ffff:192.0.2.2]:4789");
    let sending = &line.host.take().sent[0];
    assert_eq!((sending.outer.to, line.packet(sending).len()), (ul3("192.0.2.2:4789"), 36 + arp().len()));
    let mut line = Line::direct("geneve", VNI, false, 1500, &[("direct/dest_ip", "::ffff:192.0.2.2")]);
    assert_eq!(line.send(&arp(), Offload::default()).outer.to, ul3("192.0.2.2:6081"));
}

#[test]
fn frames_that_answers_bring_are_delivered_or_sent_once() {
    // Anything goes to the port that asked, whatever its addresses say: it is the plugin's word.
    for frame in [vec![0; 14], vec![0xff; 60], arp(), ip_frame(true, &[1, 2], 0, 1400)] {
        let mut line = Line::dynamic("geneve", VNI, false, 1500, &[]);
        line.host.frame(line.port, &arp());
        let request = line.host.take().lookups[0].request;
        line.host.answer(request, Answer::Inject(frame.clone())).unwrap();
        let done = line.host.take();
        assert_eq!((done.given.len(), &done.given[0].bytes, done.sent.len()), (1, &frame, 0));
    }
    // One that is sent in its place asks in its turn, and there it ends.
    let mut line = Line::dynamic("geneve", VNI, false, 1500, &[]);
    line.host.frame(line.port, &arp());
    for round in 0..2 {
        let lookups = line.host.take().lookups;
        assert_eq!(lookups.len(), 1, "round {round}");
        line.host.answer(lookups[0].request, Answer::Resend(frame(mac(1), mac(100 + round), b"again"))).unwrap();
    }
    let done = line.host.take();
    assert!(done.is_silent(), "{done:?}");
    assert!(matches!(done.verdicts.last(), Some((_, Verdict::Drop { reason: DropReason::ResendLoop, .. }))), "{:?}", done.verdicts);
    // A frame that is sent in its place to a port with a smaller MTU is too big for it as any other is.
    let mut line = Line::dynamic("vxlan", VNI, false, 1500, &[]);
    line.host.control.add_port(line.device, &PortSpec { name: "small".into(), mac: mac(2), mtu: 1280 }).unwrap();
    line.host.frame(line.port, &frame(mac(1), mac(7), b"asks"));
    let request = line.host.take().lookups[0].request;
    line.host.answer(request, Answer::Resend(ip_frame(false, &[], 0, 1281))).unwrap();
    let done = line.host.take();
    assert!(done.given.iter().all(|delivery| delivery.port == line.port), "only the sender is told: {done:?}");
    assert!(matches!(done.verdicts.last(), Some((_, Verdict::Drop { reason: DropReason::TooBig, .. }))), "{:?}", done.verdicts);
}

#[test]
fn a_list_of_sources_that_could_never_match_is_refused() {
    let mut line = Line::direct("vxlan", VNI, false, 1500, &[]);
    for (text, problem) in [
        ("10.0.0.0/8,::ffff:192.0.2.0/120", "\"::ffff:192.0.2.0/120\" is an IPv4 prefix mapped into IPv6; as IPv4 it is 192.0.2.0/24"),
        ("::ffff:192.0.2.2", "\"::ffff:192.0.2.2\" is an IPv4 prefix mapped into IPv6; as IPv4 it is 192.0.2.2/32"),
        ("192.0.2.1/24", "\"192.0.2.1/24\" has bits behind its length; 192.0.2.0/24 has none"),
    ] {
        let said = line.host.control.set_property(line.device, "vxlan/allowed_sources", text, line.host.now).unwrap_err();
        assert_eq!(said.to_string(), format!("property vxlan/allowed_sources: {problem}"));
    }
}

#[test]
fn no_text_makes_a_property_anything_but_a_value_or_a_sentence() {
    let long = "9".repeat(100_000);
    let many = ["10.0.0.0/8"; 1000].join(",");
    let options = ["1:2:"; 200].join(",");
    let texts = [
        "",
        " ",
        "\0",
        "\n",
        "\u{1b}[2J",
        "\u{202e}",
        "é",
        "-1",
        "+1",
        "0x10",
        "1e3",
        "0",
        "00001",
        "65536",
        "16777216",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        &long,
        &many,
        &options,
        ",,,,",
        "10.0.0.0/8,",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "::/129",
        "::/0",
        "0.0.0.0/0",
        "::ffff:10.0.0.0/104",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "::ffff:192.0.2.2",
        "fe80::1",
        "2002::1",
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::2",
        "strict",
        "Strict",
        "strict ",
        "set",
        "inherit",
        "63",
        "1:2:00000000",
        "1:2:0",
        "::1%lo",
        "1",
    ];
    for encapsulation in ENCAPSULATIONS {
        for search in [Search::Direct, Search::Dynamic] {
            let new = || match search {
                Search::Direct => Line::direct(encapsulation, VNI, false, 1500, &[]),
                Search::Dynamic => Line::dynamic(encapsulation, VNI, false, 1500, &[]),
            };
            let mut line = new();
            let specs = line.host.control.property_specs(encapsulation, search).unwrap();
            for name in specs.iter().map(|spec| &*spec.name).chain(["", "nothing", "vxlan/", "\0", &long]) {
                for text in texts {
                    let before = line.host.state();
                    let case = format!("{encapsulation} {:.40} = {:.40}", name, text.escape_debug());
                    match line.host.control.set_property(line.device, name, text, line.host.now) {
                        Ok(()) => {
                            let shown = line.host.control.property(line.device, name).unwrap().unwrap();
                            line.host.control.set_property(line.device, name, &shown, line.host.now).unwrap();
                            assert_eq!(line.host.control.property(line.device, name).unwrap(), Some(shown), "{case}");
                            line = new();
                        }
                        Err(said) => {
                            let said = said.to_string();
                            line.host.drain();
                            assert_eq!(line.host.state(), before, "{case}: nothing has changed");
                            assert!(said.starts_with("property "), "{case}: {said:.200}");
                            assert!(!said.chars().any(char::is_control), "{case}: {:.200}", said.escape_debug());
                            assert!(said.len() < 2000, "{case}: a sentence of {} bytes", said.len());
                            // Nor is a device made so.
                            let bad = [("listen_ip", "192.0.2.7")].map(|(own, ip)| (format!("{encapsulation}/{own}"), ip));
                            let set: Vec<(&str, &str)> = bad.iter().map(|(own, ip)| (own.as_str(), *ip)).chain([(name, text)]).collect();
                            let _ = line.host.control.create_device(spec("blue", encapsulation, VNI + 1, search, &set), line.host.now);
                            if line.host.control.device_named("blue").is_some() {
                                line = new();
                            }
                        }
                    }
                }
            }
        }
    }
}
