//! Is what cannot be captured refused with a sentence that helps?

use crate::{can_run, lab, path, snoop_in};
use overlay_tests::Ended;

#[test]
fn what_cannot_be_done_is_a_sentence_and_no_file() {
    if !can_run("what_cannot_be_done_is_a_sentence_and_no_file") {
        return;
    }
    let lab = lab("live_errors");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| path(&folder.path().join(name));
    let run = |arguments: &[&str]| -> Ended { snoop_in(lab.host(1), arguments).end() };
    let cases: [(&[&str], i32, &[&str]); 11] = [
        (&["-i", "nowhere0"], 1, &["nowhere0: no such interface", "any", "ul0", "vx77", "vx78"]),
        (&["-i", "ul0", "-r", "x.pcap"], 2, &["--interface", "--read"]),
        (&["-i", "ul0", "-W", "3", "-w", &file("a")], 2, &["-W", "-C", "-G"]),
        (&["-i", "ul0", "-C", "1"], 2, &["--write"]),
        (&["-i", "ul0", "-G", "1", "-w", &file("%!")], 2, &["strftime"]),
        (&["-i", "ul0", "-G", "1", "-w", &file("%")], 2, &["strftime"]),
        (&["-i", "ul0", "-G", "1", "-w", &file("no/folder/x.pcap")], 1, &["no/folder"]),
        (&["-i", "ul0", "-w", &file("no/folder/x.pcap")], 1, &["no/folder/x.pcap", "No such file"]),
        (&["-i", "ul0", "vni 16777216"], 2, &["16777216", "max 16777215"]),
        (&["-i", "ul0", "--duration", "0"], 2, &["--duration"]),
        (&["-i", "ul0", "nonsense here"], 2, &["nonsense"]),
    ];
    for (arguments, code, words) in cases {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{arguments:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{arguments:?} does not say {word}: {}", ended.stderr);
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A namespace without a tunnel device says what to do.
    let ended = snoop_in(lab.tenant(1, 77, 1), [""; 0]).end();
    assert!(ended.code == 1 && ended.stderr.contains("no tunnel device") && ended.stderr.contains("-i IFACE"), "{}", ended.stderr);
}
