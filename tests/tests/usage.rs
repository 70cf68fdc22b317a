//! What does a user get to read when something is wrong? One sentence that says what was found and what is allowed, and a status.

use overlay_tests::{Ended, corpus_folder, snoop};
use std::path::Path;

/// The message of a run that was refused: one sentence, nothing on standard output.
fn refused(arguments: &[&str], code: i32) -> String {
    let ended = snoop(arguments).end();
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{arguments:?}: {}", ended.stderr);
    one_sentence(arguments, &ended)
}

fn one_sentence(arguments: &[&str], ended: &Ended) -> String {
    let message = ended.stderr.trim_end().to_owned();
    assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{arguments:?}: {message}");
    assert!(!message.is_empty(), "{arguments:?}: not a word");
    message
}

#[track_caller]
fn holds(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn a_file_that_is_no_capture_is_named_with_what_was_found_and_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        folder.path().join(name).display().to_string()
    };
    let cases: [(String, &[&str]); 6] = [
        (write("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"), &["not a capture", "7f 45 4c 46", "pcap, pcapng and snoop"]),
        (write("text.pcap", b"no capture at all\n"), &["not a capture", "6e 6f 20 63", "pcap, pcapng and snoop"]),
        (write("empty.pcap", b""), &["empty"]),
        (
            write("packed.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0"),
            &["not a capture", "61 62 63", "inside gzip"],
        ),
        (folder.path().display().to_string(), &["directory"]),
        (folder.path().join("missing.pcap").display().to_string(), &["No such file"]),
    ];
    for (path, words) in cases {
        let message = refused(&["-r", &path], 1);
        holds(&message, &["overlay-snoop: ", path.as_str()]);
        holds(&message, words);
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_filter_that_is_wrong_is_shown_with_its_place() {
    for (filter, column, words) in [
        // libpcap does not say where in its part the error is.
        ("inner(tcp porrt 80)", Some("inner(tcp porrt 80)"), &["syntax error"][..]),
        ("vni 16777216", Some("16777216"), &["24 bit", "16777215"]),
        ("vni 200-100", Some("200-100"), &[]),
        ("vni seven", Some("seven"), &[]),
        ("tunnel wireguard", Some("wireguard"), &["vxlan", "geneve", "nvgre"]),
        ("vni 77 and port 80", Some("port 80"), &["outer(port 80)", "inner(port 80)"]),
        ("inner(tcp", None, &[]),
        ("vni 77 and", None, &[]),
    ] {
        let message = refused(&["-r", "vxlan.pcap", filter], 2);
        holds(&message, words);
        // The expression stands below the sentence, and a caret below the place at fault.
        let caret = message.lines().position(|line| line.trim() == "^" || line.trim_start().starts_with('^'));
        let Some(caret) = caret else { panic!("{filter}: no caret in {message}") };
        let (expression, mark) = (message.lines().nth(caret - 1).unwrap(), message.lines().nth(caret).unwrap());
        assert!(expression.ends_with(filter), "{filter}: {message}");
        if let Some(word) = column {
            let at = expression.find(word).unwrap()..=expression.find(word).unwrap() + word.len();
            let place = mark.find('^').unwrap();
            assert!(at.contains(&place), "{filter}: the caret stands at {place}, `{word}` at {at:?}: {message}");
        }
    }
}

#[test]
fn a_flag_that_is_wrong_is_refused_with_what_is_allowed() {
    let file = ["-r", "vxlan.pcap"];
    for (arguments, words) in [
        (&["--no-such-flag"][..], &["--no-such-flag"][..]),
        (&["-c", "0"], &["0", "1.."]),
        (&["-c", "many"], &["many"]),
        (&["--port", "foo=1"], &["foo", "vxlan, vxlan-gpe and geneve"]),
        (&["--port", "vxlan=70000"], &["70000", "1 to 65535"]),
        (&["--port", "vxlan"], &["TUNNEL=N"]),
        (&["--depth", "0"], &["0", "1..=32"]),
        (&["--threads", "0"], &["0", "1..=64"]),
        (&["--color", "blue"], &["blue", "auto", "always", "never"]),
        (&["--json", "-v"], &["--json", "-v", "cannot be used with"]),
        (&["--count", "--stats"], &["--count", "--stats", "cannot be used with"]),
        (&["--json", "-w", "out.pcap"], &["--json", "--write", "cannot be used with"]),
    ] {
        let message = refused(&[&file, arguments].concat(), 2);
        holds(&message, words);
    }
    assert!(!Path::new(&corpus_folder()).join("out.pcap").exists(), "a refused command line wrote a file");
}

#[test]
fn a_file_and_an_interface_exclude_each_other() {
    holds(&refused(&["-r", "vxlan.pcap", "-i", "lo"], 2), &["--read", "--interface"]);
}

#[test]
fn the_capture_that_is_read_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("only.pcap");
    std::fs::copy(corpus_folder().join("vxlan.pcap"), &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let name = path.display().to_string();
    let message = refused(&["-r", &name, "-w", &name], 2);
    holds(&message, &[&name]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn packets_of_a_link_type_that_is_not_decoded_are_told_so() {
    let printed = snoop(["-r", "pcap-link-unsupported.pcap", "--utc"]).end().good();
    holds(&printed, &["unsupported", "link type"]);
}

#[test]
fn a_cut_off_capture_gives_everything_before_the_cut_then_a_sentence() {
    for (capture, packets) in
        [("pcap-cut-in-data.pcap", 2), ("pcapng-cut-off.pcapng", 1), ("snoop-cut-off.snoop", 1), ("compressed-cut-off.pcap.gz", 3)]
    {
        for threads in ["1", "4"] {
            let ended = snoop(["-r", capture, "--threads", threads]).end();
            assert_eq!((ended.code, ended.stdout.lines().count()), (1, packets), "{capture}: {}{}", ended.stdout, ended.stderr);
            let message = one_sentence(&[capture], &ended);
            holds(&message, &[capture, "cut off"]);
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}

#[test]
fn help_shows_the_filter_words_and_examples_and_the_version_is_one_line() {
    let help = snoop(["--help"]).end().good();
    holds(&help, &["vni 77", "inner(EXPR)", "Exit status", "-r trace.pcap"]);
    let version = snoop(["--version"]).end().good();
    assert!(version.starts_with("overlay-snoop ") && version.lines().count() == 1, "{version}");
}

#[test]
fn the_man_page_and_completions_are_generated() {
    for (what, words) in [
        ("man", &[".TH", "overlay", "FILTER"][..]),
        ("bash", &["complete"]),
        ("zsh", &["#compdef overlay-snoop"]),
        ("fish", &["complete -c overlay-snoop"]),
    ] {
        holds(&snoop(["--generate", what]).end().good(), words);
    }
}
