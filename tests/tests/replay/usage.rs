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
fn pages_and_completions_are_generated() {
    for (what, word) in
        [("man", ".TH overlay-replay 1"), ("bash", "complete -F"), ("zsh", "#compdef overlay-replay"), ("fish", "overlay-replay")]
    {
        let ended = run(&format!("--generate {what}"), Path::new("/nonexistent"));
        assert_eq!(ended.code, 0, "{what}: {}", ended.stderr);
        assert!(ended.stdout.contains(word), "{what}: no {word}");
    }
}
