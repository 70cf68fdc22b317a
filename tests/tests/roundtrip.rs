//! Does a capture survive being written? `-w` in every format, read back by us and by others; and what chooses the packets on the way.

use overlay_tests::{Peer, Run, bytes_of, corpus, corpus_folder, name, ndjson, snoop};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Captures of the corpus that are read to their end, and hold packets.
fn whole_captures() -> Vec<PathBuf> {
    let good = |path: &PathBuf| {
        let ended = snoop(["--count", "-r"]).args([path]).end();
        ended.code == 0 && !ended.stdout.starts_with("0 ")
    };
    let captures: Vec<PathBuf> = corpus().into_iter().filter(good).collect();
    assert!(captures.len() > 90, "only {} whole captures", captures.len());
    captures
}

fn packets(path: &Path) -> Vec<Value> {
    ndjson(&snoop(["--json", "-r"]).args([path]).end().good())
}

/// Writes what overlay-snoop lets through; gives its message and status.
fn write(from: &Path, to: &Path, more: &[&str]) -> (i32, String) {
    let ended = snoop(["-r"]).args([from]).args(["-w"]).args([to]).args(more).end();
    (ended.code, ended.stderr)
}

/// What a format keeps of a packet: everything but where the capture says more than the format can.
fn kept(packet: &Value, ending: &str) -> Value {
    let mut packet = packet.clone();
    let object = packet.as_object_mut().unwrap();
    if ending != "pcapng" {
        for field in ["interface", "direction", "comments"] {
            object.remove(field);
        }
        // Microseconds, in a file whose source has no better ones and in snoop; a packet without a time gets 1970.
        let time = object["timestamp"].as_str().map_or("0.000000", |time| &time[..time.len() - 3]).to_owned();
        object.insert("timestamp".into(), time.into());
    }
    packet
}

#[test]
fn every_capture_in_every_format_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mut written, mut refused) = (0, Vec::new());
    for capture in whole_captures() {
        let before = packets(&capture);
        for ending in ["pcap", "pcapng", "snoop"] {
            let copy = folder.path().join(format!("{}.{ending}", name(&capture)));
            let (code, message) = write(&capture, &copy, &[]);
            if code != 0 {
                // pcap and snoop files have one link type, and snoop has names for few.
                assert!(ending != "pcapng" && message.contains("link type"), "{} as {ending}: {message}", name(&capture));
                refused.push(name(&copy));
                continue;
            }
            let after = packets(&copy);
            assert_eq!(after.len(), before.len(), "{}", name(&copy));
            for (one, other) in before.iter().zip(&after) {
                assert_eq!(kept(one, ending), kept(other, ending), "{}", name(&copy));
            }
            written += 1;
        }
    }
    assert!(written > 250, "only {written} copies; refused: {refused:?}");
    assert!(refused.contains(&"pcapng-two-linktypes.pcapng.pcap".to_owned()), "two link types in one pcap file: {refused:?}");
}

#[test]
fn nanoseconds_survive() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus_folder().join("pcap-nano.pcap");
    for ending in ["pcap", "pcapng"] {
        let copy = folder.path().join(format!("copy.{ending}"));
        assert_eq!(write(&capture, &copy, &[]), (0, String::new()));
        assert_eq!(packets(&copy), packets(&capture), "{ending}");
    }
}

#[test]
fn others_read_what_we_write() {
    let test = "others_read_what_we_write";
    let folder = tempfile::tempdir().unwrap();
    let peers: Vec<Peer> = ["tcpdump", "tshark", "capinfos"].into_iter().filter_map(|name| Peer::find(test, name)).collect();
    let [tcpdump, tshark, capinfos] = &peers[..] else { return };
    for capture in
        ["vxlan.pcap", "pcap-nano.pcap", "pcapng-little-endian.pcapng", "sll2.pcap", "raw-ip.pcap", "snoop-rfc1761.snoop", "big-tcp.pcap"]
    {
        let count = packets(&corpus_folder().join(capture)).len();
        for ending in ["pcap", "pcapng", "snoop"] {
            let copy = folder.path().join(format!("{capture}.{ending}"));
            if write(&corpus_folder().join(capture), &copy, &[]).0 != 0 {
                continue;
            }
            if ending != "snoop" {
                let said = tcpdump.run(folder.path(), ["--count", "-r"]).args([&copy]).end();
                assert_eq!(
                    (said.code, said.stdout.trim()),
                    (0, format!("{count} packets").as_str()),
                    "{}: tcpdump: {}",
                    name(&copy),
                    said.stderr
                );
            }
            let said = tshark.run(folder.path(), ["-n", "-T", "fields", "-e", "frame.number", "-r"]).args([&copy]).end();
            // It numbers custom blocks of a pcapng file, too; we write none.
            assert_eq!((said.code, said.stdout.lines().count()), (0, count), "{}: tshark: {}", name(&copy), said.stderr);
            let said = capinfos.run(folder.path(), ["-c", "-M", "-T", "-r"]).args([&copy]).end();
            assert_eq!(said.code, 0, "{}: capinfos: {}", name(&copy), said.stderr);
            assert_eq!(
                said.stdout.split_whitespace().last(),
                Some(count.to_string().as_str()),
                "{}: capinfos: {}",
                name(&copy),
                said.stdout
            );
        }
    }
}

#[test]
fn a_filter_chooses_what_is_written_and_the_bytes_stay() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus_folder().join("vxlan-equal-tenants.pcap");
    for (filter, expected) in [
        ("vni 100", 3),
        ("vni 100-200", 6),
        ("not vni 100", 3),
        ("vni 200 and inner(tcp[tcpflags] & tcp-push != 0)", 1),
        ("udp port 4789", 6),
        ("port 80", 0),
    ] {
        let copy = folder.path().join("chosen.pcap");
        assert_eq!(write(&capture, &copy, &[filter]), (0, String::new()), "{filter}");
        let (chosen, all) = (packets(&copy), packets(&capture));
        assert_eq!(chosen.len(), expected, "{filter}");
        let without_number = |packet: &Value| {
            let mut packet = packet.clone();
            packet.as_object_mut().unwrap().remove("number");
            packet
        };
        let mut rest = all.iter().map(without_number);
        assert!(chosen.iter().map(without_number).all(|packet| rest.any(|other| other == packet)), "{filter}: not a selection in order");
    }
}

#[test]
fn a_plain_filter_lets_through_what_tcpdump_does() {
    let Some(tcpdump) = Peer::find("a_plain_filter_lets_through_what_tcpdump_does", "tcpdump") else { return };
    for capture in
        ["vxlan.pcap", "icmp.pcap", "vlan-depth.pcap", "sll.pcap", "raw-ip.pcap", "ipv6-extensions.pcap", "kernel-vxlan-any.pcap"]
    {
        for filter in [
            "ip",
            "ip6",
            "udp",
            "icmp",
            "arp",
            "udp port 4789",
            "host 10.0.0.1",
            "not udp",
            "vlan 100",
            "ip[8] > 1",
            "src net 10.0.0.0/8 and udp",
        ] {
            let theirs = tcpdump.run(&corpus_folder(), ["--count", "-r", capture, filter]).end();
            let ours = snoop(["--count", "-r", capture, filter]).end();
            if theirs.code == 0 {
                assert_eq!((ours.code, &ours.stdout), (0, &theirs.stdout), "{capture} '{filter}': {}", ours.stderr);
            } else {
                // What cannot match at all is an error for libpcap's program, and a count of zero here.
                let none = theirs.stderr.contains("rejects all packets") && ours.stdout == "0 packets\n";
                assert!(
                    ours.code == 2 || none,
                    "{capture} '{filter}': tcpdump says {}, we say {}{}",
                    theirs.stderr,
                    ours.stdout,
                    ours.stderr
                );
            }
        }
    }
}

#[test]
fn counting_and_stopping_early_agree_with_the_lines() {
    for capture in whole_captures() {
        let capture = name(&capture);
        let lines = snoop(["-r", &capture]).end().good();
        let count = lines.lines().count();
        let said = snoop(["--count", "-r", &capture]).end().good();
        assert_eq!(said, format!("{count} packet{}\n", if count == 1 { "" } else { "s" }), "{capture}");
        let first = snoop(["-c", "1", "-r", &capture]).end().good();
        assert_eq!(Some(first.trim_end_matches('\n')), lines.lines().next(), "{capture}");
    }
    assert_eq!(snoop(["-c", "2", "-r", "vxlan-equal-tenants.pcap", "vni 200"]).end().good().lines().count(), 2);
    // What lies behind the last packet asked for is not read: a fault there is nobody's business.
    assert_eq!(snoop(["-c", "1", "-r", "pcap-record-too-large.pcap"]).end().good().lines().count(), 1);
}

#[test]
fn compressed_captures_are_read_as_the_plain_one() {
    let plain = snoop(["--json", "-r", "pcap-little-endian.pcap"]).end().good();
    for capture in ["compressed.pcap.gz", "compressed.pcap.zst", "compressed-two-members.pcap.gz"] {
        assert_eq!(snoop(["--json", "-r", capture]).end().good(), plain, "{capture}");
    }
    for program in ["gzip", "zstd"] {
        let Some(packer) = Peer::find("compressed_captures_are_read_as_the_plain_one", program) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let packed = folder.path().join("packed");
        let script = format!("exec {program} -c '{}' > '{}'", corpus_folder().join("pcap-little-endian.pcap").display(), packed.display());
        assert_eq!(Run::new("sh").args(["-c", &script]).end().code, 0, "{packer:?}");
        assert_eq!(snoop(["--json", "-r"]).args([&packed]).end().good(), plain, "{program}, from a file");
        assert_eq!(snoop(["--json", "-r", "-"]).stdin(bytes_of(&packed)).end().good(), plain, "{program}, through a pipe");
    }
}

#[test]
fn more_threads_print_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // Several windows of 256 KiB, else one thread does all the work.
    let (mut capture, packets) = (bytes_of(&corpus_folder().join("vxlan.pcap")), 20_000);
    let records = capture.split_off(24);
    capture.extend(records.iter().cycle().take(records.len() * packets / 8));
    let path = folder.path().join("long.pcap");
    std::fs::write(&path, capture).unwrap();
    for flags in [&["-n"][..], &["--json", "--verify"], &["-v"], &["-V", "-x"], &["-n", "vni 77 and inner(tcp)"]] {
        let run = |threads: &str| snoop(["-r"]).args([&path]).args(["--utc", "--threads", threads]).args(flags).end().good();
        let (one, four) = (run("1"), run("4"));
        assert!(one == four, "{flags:?}: {} bytes with one thread, {} with four", one.len(), four.len());
        assert!(one.len() > 1 << 20, "{flags:?}: only {} bytes", one.len());
    }
}

#[test]
fn every_form_of_time_is_what_tcpdump_prints() {
    let Some(tcpdump) = Peer::find("every_form_of_time_is_what_tcpdump_prints", "tcpdump") else { return };
    // tcpdump prints the inner packet in a line of its own, behind one without a time; with -ttt it indents.
    let times = |text: &str, words: usize| -> Vec<String> {
        let timed = text.lines().map(str::trim_start).filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        timed.map(|line| line.split(' ').take(words).collect::<Vec<_>>().join(" ")).collect()
    };
    for (flags, words) in [(&[][..], 1), (&["-tt"], 1), (&["-ttt"], 1), (&["-tttt"], 2), (&["-ttttt"], 1)] {
        for capture in ["vxlan.pcap", "pcap-nano.pcap"] {
            let (mut ours, mut theirs) =
                (snoop(["-r", capture, "--utc"]).args(flags), tcpdump.run(&corpus_folder(), ["-nn", "-r", capture]).args(flags));
            if capture == "pcap-nano.pcap" {
                (ours, theirs) = (ours.args(["--nano"]), theirs.args(["--nano"]));
            }
            let (ours, theirs) = (times(&ours.end().good(), words), times(&theirs.end().stdout, words));
            // The last packet of pcap-nano.pcap is from behind January 2038, where tcpdump 4.99 has no date, and the second is earlier
            // than the first, where it has a sign.
            let compared = if capture == "pcap-nano.pcap" { 1 } else { ours.len() };
            assert!(!ours.is_empty() && theirs.len() >= compared, "{capture} {flags:?}: {theirs:?}");
            assert_eq!(ours[..compared], theirs[..compared], "{capture} {flags:?}");
        }
    }
    let without = snoop(["-r", "vxlan.pcap", "-t"]).end().good();
    assert!(without.lines().all(|line| line.starts_with("10.88.0.1 > ")), "{without}");
}

#[test]
fn a_difference_of_years_is_not_wrapped_around() {
    let printed = snoop(["-r", "pcap-times.pcap", "-ttt"]).end().good();
    let times: Vec<&str> = printed.lines().filter_map(|line| line.split(' ').next()).collect();
    // A second back, back to 1970, and to the last second of a 32-bit field; tcpdump's hours start again after a day.
    assert_eq!(times, ["00:00:00.000000", "-00:00:01.000000", "-472222:13:19.000000", "1193046:28:15.000000"]);
}
