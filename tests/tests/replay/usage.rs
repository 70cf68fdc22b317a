//! What does a user get to read?

use super::run;
use std::path::Path;

#[test]
fn a_wrong_command_line_is_refused_before_anything_is_opened() {
    for (line, words) in [
        ("", "a command is expected"),
        ("edit -w out.pcap vxlan.pcap", "required"),
        ("edit --decap vxlan.pcap", "--write"),
        ("edit --encap vxlan --vni 16777216 --from 10.0.0.1 --to 10.0.0.2 -w out vxlan.pcap", "larger than 24 bits (max 16777215)"),
        ("edit --set inner.ttl=3 -w out vxlan.pcap", "\"ttl\" is not known"),
        ("edit --map inner.ip=10.0.0.0/24=10.0.0.0/25 -w out vxlan.pcap", "two prefixes of the same length"),
        ("edit --vni-map 77 -w out vxlan.pcap", "OLD=NEW is expected"),
        ("edit --anonymise --key 12 -w out vxlan.pcap", "32 hexadecimal digits are expected"),
        ("edit --mtu 20 -w out vxlan.pcap", "68..=65535"),
        ("engine vxlan.pcap", "--config"),
        ("engine --config host.json --save one.pcap vxlan.pcap", "--only"),
        ("engine --config host.json -w - vxlan.pcap", "-o FILE writes the lines elsewhere"),
    ] {
        let ended = run(line, Path::new("/nonexistent"));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("host.json"), "{\"version\": 1, \"devices\": 7}").unwrap();
    for (line, words) in [
        ("edit --decap -w FOLDER/out FOLDER/missing.pcap", "missing.pcap: No such file"),
        ("engine --config FOLDER/missing.json vxlan.pcap", "missing.json: cannot read it: No such file"),
        ("engine --config FOLDER/host.json vxlan.pcap", "host.json:1:"),
        ("diff FOLDER/missing.json FOLDER/host.json", "missing.json: No such file"),
    ] {
        let ended = run(line, folder.path());
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words) && ended.stderr.lines().count() == 1, "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    if !overlay_tests::is_root() {
        overlay_tests::skip("replay::a_full_disk_leaves_nothing_half_written", "not root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = run("generate --packets 5000 --host FOLDER -w FOLDER/frames.pcap", folder.path());
    assert_eq!(made.code, 0, "{}", made.stderr);
    std::fs::create_dir(folder.path().join("small")).unwrap();
    let replay = overlay_tests::program("overlay-replay").display().to_string();
    for words in [
        "edit --encap vxlan --vni 1 --from 10.0.0.1 --to 10.0.0.2 -w small/out.pcap frames.pcap",
        "engine --config host.json -o small/lines.json frames.pcap",
        "engine --config host.json -o lines.json -w small/sent.pcapng frames.pcap",
        "engine --config host.json --only 3 --save small/one.pcap -o small/lines.json frames.pcap",
        "generate --packets 5000 -w small/out.pcap",
    ] {
        // In a mount namespace of its own, which is gone with its shell; the last packet fits, but nothing does beside what is there.
        let line = format!(
            "mount -t tmpfs -o size=64k none small; head -c 65536 /dev/zero > small/there 2>/dev/null; {replay} {words}; code=$?; ls small; exit $code"
        );
        let ended = overlay_tests::Run::new("unshare").args(["--mount", "bash", "-c", &line]).folder(folder.path()).end();
        assert_eq!((ended.code, ended.stdout.as_str()), (1, "there\n"), "{words}: {}", ended.stderr);
        assert!(ended.stderr.contains("No space left") && ended.stderr.lines().count() == 1, "{words}: {}", ended.stderr);
        assert!(!folder.path().join("lines.json").exists(), "{words}: lines of packets that are not there");
    }
}

#[test]
fn a_place_that_no_packet_has_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run("edit --set inner.vlan=7 -w FOLDER/out.pcap vxlan.pcap", folder.path());
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("--set inner.vlan: no packet has what it speaks of"), "{}", ended.stderr);
}

#[test]
fn pages_and_completions_are_generated() {
    for (what, word) in
        [("man", ".TH overlay-replay 1"), ("bash", "complete -F"), ("zsh", "#compdef overlay-replay"), ("fish", "overlay-replay")]
    {
        let ended = run(&format!("--generate {what}"), Path::new("/nonexistent"));
        assert_eq!(ended.code, 0, "{what}: {}", ended.stderr);
        assert!(ended.stdout.contains(word), "{what}: no {word}");
    }
}
