//! Do we read the captures of other projects as a reference reader does? Compares number, lengths and time of every packet with
//! the reference decode beside the captures (tshark's, one JSON object per packet).

use std::io::Write;
use std::path::{Path, PathBuf};

use overlay_captures::{Chunk, Reader};

#[test]
fn every_given_capture_has_the_packets_that_the_reference_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !folder.is_dir() {
        skip("every_given_capture_has_the_packets_that_the_reference_found", "the given captures are not beside the workspace");
        return;
    }
    let mut compared = 0;
    for path in captures(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let truth = std::fs::read_to_string(folder.join("truth").join(format!("{name}.jsonl"))).unwrap();
        let expected: Vec<_> = truth
            .lines()
            .map(|line| {
                let packet: serde_json::Value = serde_json::from_str(line).unwrap();
                let number = |key: &str| packet[key].as_u64().unwrap();
                (number("number"), number("len"), number("caplen"), packet["time_epoch"].as_str().map(String::from))
            })
            .collect();
        let mut found = Vec::new();
        let mut reader = Reader::open(&path).unwrap();
        let mut chunk = Chunk::new();
        while reader.next_chunk(&mut chunk).unwrap() {
            found.extend(chunk.records().map(|record| {
                let time = record.timestamp.map(|time| format!("{}.{:09}", time.seconds, time.nanoseconds));
                (record.number, u64::from(record.len), record.bytes.len() as u64, time)
            }));
        }
        assert_eq!(found, expected, "{name}");
        compared += found.len();
    }
    assert!(compared > 0, "no capture was compared");
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng"));
    paths.sort();
    paths
}

/// A skip is visible and counted, never a silent success.
fn skip(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
