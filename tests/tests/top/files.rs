//! Are captures and recordings shown as they are, and everything else refused with a sentence?

use crate::top;
use overlay_tests::{corpus_folder, ndjson};
use serde_json::{Value, json};

fn capture(name: &str) -> String {
    corpus_folder().join(name).display().to_string()
}

fn shown(words: &[&str]) -> Value {
    ndjson(&top(["--batch", "-n", "1", "--json", "--utc"].iter().chain(words)).good()).remove(0)
}

#[test]
fn a_capture_has_its_networks_and_stations() {
    let file = capture("vxlan.pcap");
    let networks = shown(&["-r", &file]);
    assert_eq!((&networks["total"], &networks["rows"][0]["vni"], &networks["rows"][0]["rx_packets"]), (&json!(1), &json!(77), &json!(8)));
    let stations = shown(&["-r", &file, "--screen", "targets"]);
    let macs: Vec<&Value> = stations["rows"].as_array().unwrap().iter().map(|row| &row["mac"]).collect();
    assert_eq!(macs, ["02:08:20:0a:00:01", "02:08:20:0a:00:02"]);
    assert!(stations["rows"].as_array().unwrap().iter().all(|row| row["source"] == "observed"), "{stations}");
}

#[test]
fn every_capture_of_the_corpus_can_be_shown() {
    for path in overlay_tests::corpus() {
        let file = path.display().to_string();
        let ended = top(["-b", "-n", "1", "--csv", "--screen", "targets", "-r", &file]);
        // What is no capture at all is refused; one that is broken is shown up to there, and has failed.
        let is_said = ended.stderr.lines().last().is_some_and(|line| line.starts_with("overlay-top: "));
        let refused = ended.code == 1 && ended.stdout.is_empty() && is_said;
        let shown = ended.stdout.starts_with("timestamp,overlay,vni,mac,") && (ended.code == 0 || (ended.code == 1 && is_said));
        assert!(refused || shown, "{file}: {ended:?}");
    }
}

#[test]
fn what_was_recorded_is_what_was_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("session.ndjson").display().to_string();
    let file = capture("geneve.pcap");
    for screen in ["overlays", "targets"] {
        let _ = std::fs::remove_file(&recording);
        let first = shown(&["-r", &file, "--screen", screen, "--record", &recording]);
        let again = shown(&["--replay", &recording, "--screen", screen]);
        assert_eq!((&first["rows"], &first["total"]), (&again["rows"], &again["total"]), "{screen}");
        assert!(first["total"].as_u64().unwrap() > 0, "{first}");
    }
    let ended = top(["-b", "-n", "1", "-r", &file, "--record", &recording]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.ends_with("session.ndjson: File exists (os error 17)\n"), "{}", ended.stderr);
    // One that was cut off is shown up to there, and the fault is said.
    let whole = std::fs::read(&recording).expect("the recording");
    std::fs::write(&recording, &whole[..whole.len() - 10]).expect("a file");
    let ended = top(["-b", "-n", "1", "--json", "--replay", &recording]);
    let cut = ndjson(&ended.stdout).remove(0);
    assert!(cut["diagnoses"].to_string().contains("session.ndjson: line "), "{cut}");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("overlay-top: ") && ended.stderr.contains("session.ndjson: line "), "{}", ended.stderr);
}

#[test]
fn a_capture_that_was_cut_is_shown_up_to_there_and_has_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    // A name that would clear the screen.
    let path = folder.path().join("cut\x1b[2J.pcap");
    let whole = std::fs::read(capture("vxlan.pcap")).expect("the capture");
    std::fs::write(&path, &whole[..whole.len() - 10]).expect("a file");
    let path = path.display().to_string();
    for format in ["--csv", "--json", "--utc"] {
        let ended = top(["-b", "-n", "1", format, "-r", &path]);
        assert_eq!(ended.code, 1, "{format}: {ended:?}");
        assert!(ended.stdout.contains("vxlan77"), "{format}: {ended:?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert!(matches!(lines.as_slice(), [line] if line.starts_with("overlay-top: ") && line.contains("cut?[2J.pcap")), "{ended:?}");
    }
}

#[test]
fn what_cannot_be_shown_is_refused_with_a_sentence() {
    let refused = |words: &[&str], code: i32, sentence: &str| {
        let ended = top(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(sentence), "{words:?}: {}", ended.stderr);
    };
    let file = capture("vxlan.pcap");
    refused(&["-r", &file], 2, "standard input and output are no terminal; --batch prints without one");
    refused(&["-b", "-r", "/none"], 1, "/none: ");
    refused(&["-b", "--replay", &file], 1, "vxlan.pcap: not a recording of overlay-top; captures are read with -r");
    refused(&["-b", "-r", &file, "--sort", "tx"], 2, "--sort tx: not a column of overlays; there are name, vni, ");
    refused(&["-b", "-r", &file, "--filter", "vnid:7"], 2, "--filter: vnid: not a column of overlays");
    refused(&["-b", "--netns", "no-such"], 1, "netns no-such: no such namespace");
}

#[test]
fn a_file_says_how_a_screen_is_sorted_and_one_that_is_wrong_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("top.toml");
    let (file, capture) = (path.display().to_string(), capture("vxlan.pcap"));
    let macs = |text: &str| {
        std::fs::write(&path, text).expect("a file");
        let shown = shown(&["--config", &file, "-r", &capture, "--screen", "targets"]);
        shown["rows"].as_array().expect("rows").iter().map(|row| row["mac"].as_str().expect("a MAC").to_owned()).collect::<Vec<_>>()
    };
    let plain = macs(&top(["--generate", "config"]).good());
    assert_eq!(plain, ["02:08:20:0a:00:01", "02:08:20:0a:00:02"]);
    assert_eq!(macs("[sort]\ntargets = \"-mac\"\n"), ["02:08:20:0a:00:02", "02:08:20:0a:00:01"]);
    std::fs::write(&path, "[keys]\n\nquit = [\"qq\"]\n").expect("a file");
    let ended = top(["-b", "-n", "1", "--config", &file, "-r", &capture]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    let said = format!("overlay-top: {file}:3: keys.quit: `qq` is no key; one character is, or Up, ");
    assert!(ended.stderr.starts_with(&said), "{}", ended.stderr);
    // The user's own, where nothing is said.
    std::fs::create_dir(folder.path().join("overlay")).expect("a folder");
    std::fs::rename(&path, folder.path().join("overlay/top.toml")).expect("a file");
    let run = overlay_tests::Run::new(overlay_tests::program("overlay-top")).args(["-b", "-n", "1", "-r", &capture]);
    let ended = run.env("XDG_CONFIG_HOME", folder.path().display().to_string()).end();
    assert!(ended.code == 1 && ended.stderr.contains("/overlay/top.toml:3: keys.quit: "), "{}", ended.stderr);
}
