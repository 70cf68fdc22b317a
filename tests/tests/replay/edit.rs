//! Does another tool find the edited captures in order? tshark verifies every checksum that it knows.

use super::run;
use overlay_tests::{Peer, bytes_of, corpus_folder, name, snoop};
use std::path::Path;

/// One capture of each kind: IPv4 and IPv6, all encapsulations, nested ones, fragments, errors that quote, cut-off packets.
const CAPTURES: &[&str] = &[
    "kernel-vxlan-ipv4.pcap",
    "kernel-vxlan-ipv6.pcap",
    "geneve-options.pcap",
    "nvgre.pcap",
    "nested-3.pcap",
    "icmp.pcap",
    "icmpv6-nd.pcap",
    "vxlan-fragments.pcap",
    "ipv4-fragments.pcap",
    "vxlan-source-port-4789.pcap",
    "bad-checksums.pcap",
];

/// The number of bad checksums of each packet, outer and inner ones together.
fn bad_checksums(tshark: &Peer, folder: &Path, capture: &str) -> Vec<usize> {
    let mut arguments = vec!["-r", capture, "-T", "fields", "-E", "separator=;"];
    let protocols = ["ip", "udp", "tcp", "icmp", "icmpv6", "igmp", "sctp"];
    let options: Vec<_> = ["ip", "udp", "tcp"].iter().map(|protocol| format!("{protocol}.check_checksum:TRUE")).collect();
    let fields: Vec<_> = protocols.iter().map(|protocol| format!("{protocol}.checksum.status")).collect();
    arguments.extend(options.iter().flat_map(|option| ["-o", option]));
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]));
    // What it says of running as root is no matter of ours.
    let said = tshark.run(folder, arguments).end().stdout;
    // 0 is bad, 1 good, 2 not verified, 3 not there.
    said.lines().map(|line| line.split([';', ',']).filter(|status| *status == "0").count()).collect()
}

#[test]
fn tshark_finds_no_bad_checksum_that_was_not_there_before() {
    let Some(tshark) = Peer::find("replay::tshark_finds_no_bad_checksum_that_was_not_there_before", "tshark") else { return };
    let folder = tempfile::tempdir().unwrap();
    // Changed packets have no bad checksum at all; what is only put into a tunnel has those that it had.
    for (recipe, repairs) in [
        ("--map any.ip=10.0.0.0/8=11.0.0.0/8 --map any.ip=fd00::/8=fe00::/8 --vni-map 77=1077", true),
        ("--anonymise", true),
        ("--encap vxlan --vni 9 --from 10.9.0.1 --to 10.9.0.2", false),
    ] {
        for capture in CAPTURES {
            let ended = run(&format!("edit {recipe} --refused drop -w FOLDER/edited.pcap {capture}"), folder.path());
            assert!([0, 3].contains(&ended.code), "{recipe} {capture}: {}", ended.stderr);
            let found: usize = bad_checksums(&tshark, folder.path(), "edited.pcap").iter().sum();
            let allowed = if repairs { 0 } else { bad_checksums(&tshark, &corpus_folder(), capture).iter().sum() };
            assert!(found <= allowed, "{recipe} {capture}: {found} bad checksums, {allowed} are allowed: {}", ended.stderr);
        }
    }
}

#[test]
fn into_a_tunnel_and_out_again_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    for capture in ["tcp-options.pcap", "ethernet-padding.pcap", "kernel-vxlan-gbp.pcap", "pcapng-big-endian.pcapng", "dns.pcap"] {
        if !corpus_folder().join(capture).exists() {
            panic!("{capture} is not in the corpus");
        }
        for tunnel in
            ["vxlan --from 10.9.0.1 --to 10.9.0.2:4790", "geneve --from fd00::1 --to fd00::2", "nvgre --from 10.9.0.1 --to 10.9.0.2"]
        {
            let ended = run(&format!("edit --encap {tunnel} --vni 9 --refused fail -w FOLDER/there {capture}"), folder.path());
            assert_eq!(ended.code, 0, "{capture}: {}", ended.stderr);
            let ended = run("edit --decap --refused fail -w FOLDER/back FOLDER/there", folder.path());
            assert_eq!(ended.code, 0, "{capture}: {}", ended.stderr);
            // The same packets with the same times; a file may say the same in other words.
            let lines = |path: &Path| snoop(["-r", path.to_str().unwrap(), "-x", "--utc", "-n"]).end().good();
            assert_eq!(lines(&folder.path().join("back")), lines(&corpus_folder().join(capture)), "{capture} {tunnel}");
        }
    }
}

#[test]
fn a_full_disk_and_a_bad_capture_leave_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there.pcap");
    std::fs::write(&there, "what was there").unwrap();
    for (arguments, words) in [
        ("--decap -w FOLDER/there.pcap pcap-cut-in-data.pcap", "cut off at byte"),
        ("--decap -w FOLDER/there.pcap not-a-capture.pcap", "not a capture"),
        ("--encap vxlan --vni 1 --from 10.0.0.1 --to 10.0.0.2 --refused fail -w FOLDER/there.pcap raw-ipv6.pcap", "geneve carries it"),
        ("--decap -w FOLDER/nowhere/there.pcap vxlan.pcap", "nowhere"),
        ("--decap -w /dev/full vxlan.pcap", "No space left"),
        ("--anonymise --format pcap -w FOLDER/there.pcap pcapng-two-linktypes.pcapng", "there.pcap: a packet of"),
    ] {
        let ended = run(&format!("edit {arguments}"), folder.path());
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{arguments}: {}", ended.stderr);
        assert!(ended.stderr.contains(words) && ended.stderr.lines().count() == 1, "{arguments}: {}", ended.stderr);
    }
    assert_eq!(bytes_of(&there), b"what was there");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| name(&entry.unwrap().path())).collect();
    assert_eq!(left, ["there.pcap"], "nothing half-written is left");
}

#[test]
fn a_pipe_carries_an_edited_capture() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run("edit --decap -w FOLDER/inner.pcap kernel-vxlan-ipv4.pcap", folder.path());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, "overlay-replay: 18 packets read, 18 changed, 0 left out\n"));
    // The file itself, in and out of pipes.
    let bytes = bytes_of(&folder.path().join("inner.pcap"));
    let arguments = ["edit", "--set", "outer.ip.src=10.0.0.9", "-w", "-", "-"];
    let ended = super::replay(arguments).stdin(bytes).end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("18 packets read"), "{}", ended.stderr);
}
