//! Does every capture of the corpus still decode to what was read and agreed on? Line, tree and JSON against `captures/corpus/golden`.
//!
//! `OVERLAY_UPDATE=1` (or `INSTA_UPDATE=always`) writes the files instead; the difference is then read like any other change.

use overlay_tests::{corpus, corpus_folder, difference, name, say, snoop};
use std::path::PathBuf;

/// The renderings that are kept: the end of the file's name, and the flags.
const RENDERINGS: [(&str, &[&str]); 3] = [("line", &["-n", "--utc"]), ("tree", &["-v", "-n", "--utc"]), ("json", &["--json"])];

fn golden_folder() -> PathBuf {
    corpus_folder().join("golden")
}

/// What overlay-snoop says of a capture: its output, and behind it how it ended where that was badly.
fn rendered(capture: &str, flags: &[&str]) -> String {
    let ended = snoop(flags.iter().copied().chain(["-r", capture])).end();
    match ended.code {
        0 => {
            assert_eq!(ended.stderr, "", "{capture}: a message with exit status 0");
            ended.stdout
        }
        1 => format!("{}exit status 1: {}", ended.stdout, ended.stderr),
        // No capture can be as bad as that: nothing to agree on.
        code => panic!("{capture}: exit status {code}: {}", ended.stderr),
    }
}

fn updating() -> bool {
    let is = |name: &str, values: &[&str]| std::env::var(name).is_ok_and(|value| values.contains(&value.as_str()));
    is("OVERLAY_UPDATE", &["1"]) || is("INSTA_UPDATE", &["always", "force"])
}

fn every_capture_renders_as_agreed(ending: &str) {
    let (_, flags) = RENDERINGS.into_iter().find(|(known, _)| *known == ending).expect("a rendering of the table");
    let mut changed = Vec::new();
    for path in corpus() {
        let capture = name(&path);
        let golden = golden_folder().join(format!("{capture}.{ending}"));
        let found = rendered(&capture, flags);
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if let Some(difference) = difference(&expected, &found) {
            if updating() {
                std::fs::create_dir_all(golden_folder()).unwrap();
                std::fs::write(&golden, &found).unwrap();
                say(&format!("{} written", golden.display()));
            } else {
                changed.push(format!("{capture}.{ending}, {difference}"));
            }
        }
    }
    assert!(
        changed.is_empty(),
        "{} golden files differ; read them, then OVERLAY_UPDATE=1 writes them anew:\n{}",
        changed.len(),
        changed.join("\n")
    );
}

#[test]
fn every_capture_has_the_agreed_summary_lines() {
    every_capture_renders_as_agreed("line");
}

#[test]
fn every_capture_has_the_agreed_tree() {
    every_capture_renders_as_agreed("tree");
}

#[test]
fn every_capture_has_the_agreed_json() {
    every_capture_renders_as_agreed("json");
}

#[test]
fn no_golden_file_is_left_over() {
    let wanted: Vec<String> = corpus().iter().flat_map(|path| RENDERINGS.map(|(ending, _)| format!("{}.{ending}", name(path)))).collect();
    let mut left_over: Vec<String> = std::fs::read_dir(golden_folder()).unwrap().map(|entry| name(&entry.unwrap().path())).collect();
    left_over.retain(|file| !wanted.contains(file));
    assert_eq!(left_over, Vec::<String>::new(), "files in captures/corpus/golden that belong to no capture");
}
