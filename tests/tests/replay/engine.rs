//! Does the built program carry a capture through the engine, with the files that a host has?

use super::run;
use overlay_tests::ndjson;
use std::path::Path;

/// A host with one overlay, whose tenant is the first one of `kernel-vxlan-ipv4.pcap`.
fn host(folder: &Path) {
    let config = r#"{"version": 1, "devices": [{"name": "ov77", "encapsulation": "vxlan", "search": "files", "vnetid": 77,
        "properties": {"vxlan/listen_ip": "10.88.0.1"}}], "vnics": [{"name": "vnic0", "device": "ov77", "mac": "02:08:20:0a:00:01"}],
        "entries": []}"#;
    let map = r#"{"2:8:20:a:0:2": {"arp": "10.0.0.2", "ip": "10.88.0.2", "port": 4789}}"#;
    std::fs::write(folder.join("host.json"), config).unwrap();
    std::fs::write(folder.join("map.json"), map).unwrap();
    let ended = run("edit --decap -w FOLDER/frames.pcap kernel-vxlan-ipv4.pcap", folder);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn every_packet_gets_a_verdict_and_what_is_sent_is_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    host(folder.path());
    let ended =
        run("engine --config FOLDER/host.json --mapping ov77=FOLDER/map.json -w FOLDER/sent.pcapng FOLDER/frames.pcap", folder.path());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lines = ndjson(&ended.stdout);
    let count = |key: &str, value: &str| lines.iter().filter(|line| line[key] == value).count();
    assert_eq!((count("verdict", "transmit"), count("verdict", "answered"), count("kind", "skipped")), (9, 1, 8));
    assert_eq!((count("kind", "counters"), count("kind", "target")), (3, 1));
    assert!(
        ended.stderr.starts_with("overlay-replay: 18 packets read, 1 answered, 9 transmit, 0 pending, 8 skipped\n"),
        "{}",
        ended.stderr
    );
    let shown = overlay_tests::snoop(["-r", folder.path().join("sent.pcapng").to_str().unwrap(), "-n", "--json"]).end().good();
    let sent = ndjson(&shown);
    assert_eq!(sent.len(), 10);
    assert_eq!(
        (sent[1]["vni"][0].as_u64(), sent[1]["comments"][0].as_str()),
        (Some(77), Some("packet 3 frame 2: transmit to 10.88.0.2:4789"))
    );
}

#[test]
fn a_difference_between_two_runs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    host(folder.path());
    let carry = |options: &str, to: &str| {
        let line = format!("engine --config FOLDER/host.json --mapping ov77=FOLDER/map.json {options} -o FOLDER/{to} FOLDER/frames.pcap");
        let ended = run(&line, folder.path());
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    };
    carry("", "one.json");
    carry("", "same.json");
    let ended = run("diff FOLDER/one.json FOLDER/same.json", folder.path());
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
    std::fs::write(folder.path().join("script.json"), r#"{"version": 1, "lookups": [{"destination": "2:8:20:a:0:2", "answer": "drop"}]}"#)
        .unwrap();
    carry("--script FOLDER/script.json", "other.json");
    let ended = run("diff FOLDER/one.json FOLDER/other.json", folder.path());
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("line 5: packet 3: reason absent here, \"refused\" there; "), "{}", ended.stdout);
}

#[test]
fn what_could_not_be_saved_or_read_is_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    host(folder.path());
    let carry = "engine --config FOLDER/host.json --mapping ov77=FOLDER/map.json --only 3 -o FOLDER/lines.json";
    for (line, words) in [
        (format!("{carry} --save FOLDER/nowhere/one.pcap FOLDER/frames.pcap"), "/nowhere is no folder that is there"),
        (format!("{carry} --save FOLDER/one.pcap -"), "--save: standard input can be read only once"),
    ] {
        let ended = run(&line, folder.path());
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words) && ended.stderr.lines().count() == 1, "{line}: {}", ended.stderr);
    }
    let ended = run("generate --targets 700000 --host FOLDER/there -w FOLDER/made.pcap", folder.path());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("overlay-replay: --host: 700000 targets in a network: "), "{}", ended.stderr);
    for left in ["lines.json", "one.pcap", "there", "made.pcap"] {
        assert!(!folder.path().join(left).exists(), "{left}");
    }
    let ended = run(&format!("{carry} --save FOLDER/one.pcap FOLDER/frames.pcap"), folder.path());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(folder.path().join("one.pcap").exists());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    host(folder.path());
    let replay = overlay_tests::program("overlay-replay").display().to_string();
    let carry = format!("{replay} engine --config host.json --mapping ov77=map.json");
    let piped = |line: &str| {
        // It writes when the other end is closed, not before.
        let line =
            format!("set -o pipefail; rm -f closed; (until [ -e closed ]; do sleep 0.02; done; {line}) | {{ exec 0<&-; touch closed; }}");
        overlay_tests::Run::new("bash").args(["-c", &line]).folder(folder.path()).end()
    };
    let ended = piped(&format!("{carry} frames.pcap"));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let ended = piped(&format!("{carry} -w sent.pcapng frames.pcap"));
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "overlay-replay: the reader of the lines has gone; no packets were written\n"));
    assert!(!folder.path().join("sent.pcapng").exists());
}
