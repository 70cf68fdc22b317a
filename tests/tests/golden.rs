//! Does every capture of the corpus still decode to what was read and agreed on, and does the same become of its packets on the host of
//! `captures/corpus/host`? Line, tree, JSON and the lines of the engine against `captures/corpus/golden`.
//!
//! `OVERLAY_UPDATE=1` (or `INSTA_UPDATE=always`) writes the files instead; the difference is then read like any other change.

use overlay_tests::{Run, corpus, corpus_folder, difference, name, program, say, snoop};
use std::path::PathBuf;

/// The renderings that are kept: the end of the file's name, and the flags.
const RENDERINGS: [(&str, &[&str]); 3] = [("line", &["-n", "--utc"]), ("tree", &["-v", "-n", "--utc"]), ("json", &["--json"])];

/// What becomes of its packets.
const ENGINE: &str = "engine";

fn endings() -> impl Iterator<Item = &'static str> {
    RENDERINGS.into_iter().map(|(ending, _)| ending).chain([ENGINE])
}

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

/// What becomes of the packets of a capture: the line of each, and how many there are of each fate. Counters are left out: they say the
/// same once more, and grow.
fn carried(capture: &str) -> String {
    let mappings = ["vx77=host/map.json", "vx78=host/map.json", "gn77=host/map.json", "nv5001=host/map-nvgre.json"];
    let mappings = mappings.into_iter().flat_map(|mapping| ["--mapping", mapping]);
    let words = ["engine", "--config", "host/host.json"].into_iter().chain(mappings).chain([capture]);
    let ended = Run::new(program("overlay-replay")).args(words).folder(corpus_folder()).end();
    let lines: String =
        ended.stdout.lines().filter(|line| !line.starts_with("{\"kind\":\"counters\"")).map(|line| format!("{line}\n")).collect();
    match ended.code {
        0 => format!("{lines}{}", ended.stderr),
        1 => format!("{lines}exit status 1: {}", ended.stderr),
        code => panic!("{capture}: exit status {code}: {}", ended.stderr),
    }
}

fn updating() -> bool {
    let is = |name: &str, values: &[&str]| std::env::var(name).is_ok_and(|value| values.contains(&value.as_str()));
    is("OVERLAY_UPDATE", &["1"]) || is("INSTA_UPDATE", &["always", "force"])
}

fn every_capture_renders_as_agreed(ending: &str) {
    let rendering = RENDERINGS.into_iter().find(|(known, _)| *known == ending);
    let mut changed = Vec::new();
    for path in corpus() {
        let capture = name(&path);
        let golden = golden_folder().join(format!("{capture}.{ending}"));
        let found = rendering.map_or_else(|| carried(&capture), |(_, flags)| rendered(&capture, flags));
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
fn every_capture_has_the_agreed_fates() {
    every_capture_renders_as_agreed(ENGINE);
}

#[test]
fn no_golden_file_is_left_over() {
    let wanted: Vec<String> =
        corpus().iter().flat_map(|path| endings().map(|ending| format!("{}.{ending}", name(path))).collect::<Vec<_>>()).collect();
    let mut left_over: Vec<String> = std::fs::read_dir(golden_folder()).unwrap().map(|entry| name(&entry.unwrap().path())).collect();
    left_over.retain(|file| !wanted.contains(file));
    assert_eq!(left_over, Vec::<String>::new(), "files in captures/corpus/golden that belong to no capture");
}
