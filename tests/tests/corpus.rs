//! Is the corpus what its index says? One row per capture, small files, and enough of them.

use overlay_tests::{bytes_of, corpus, corpus_folder, name};
use std::collections::BTreeSet;

/// The corpus is cloned with the project, and read by every test: a capture answers one question in few packets.
const BYTES_MAX: usize = 64 * 1024;
/// Below this, somebody has deleted captures.
const CAPTURES_MIN: usize = 40;

/// The rows of the index: capture, maker, note.
fn rows() -> Vec<[String; 3]> {
    let index = std::fs::read_to_string(corpus_folder().join("../README.md")).unwrap();
    let rows = index.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")).map(|row| {
        // A note may hold escaped bars; the first two columns do not.
        let mut cells = row.splitn(3, " | ").map(|cell| cell.trim().to_owned());
        std::array::from_fn::<_, 3, _>(|_| cells.next().unwrap_or_default())
    });
    rows.filter(|row| row[0] != "capture").collect()
}

#[test]
fn every_capture_has_one_row_and_every_row_its_capture() {
    let rows = rows();
    let indexed: BTreeSet<String> = rows.iter().map(|[capture, ..]| capture.clone()).collect();
    assert_eq!(indexed.len(), rows.len(), "a capture has two rows in captures/README.md");
    let there: BTreeSet<String> = corpus().iter().map(|path| name(path)).collect();
    let without_row: Vec<_> = there.difference(&indexed).collect();
    let without_file: Vec<_> = indexed.difference(&there).collect();
    assert!(
        without_row.is_empty() && without_file.is_empty(),
        "captures without a row: {without_row:?}; rows without a capture: {without_file:?}"
    );
}

#[test]
fn every_row_says_who_made_it_and_what_it_shows() {
    for [capture, maker, note] in rows() {
        assert!(maker.contains(['.', ' ']), "{capture}: made by {maker:?}, which names no function or section");
        assert!(note.len() > 20, "{capture}: the note says nothing: {note:?}");
    }
}

#[test]
fn no_capture_is_large_and_none_went_missing() {
    let captures = corpus();
    assert!(captures.len() >= CAPTURES_MIN, "only {} captures", captures.len());
    for path in captures {
        let length = bytes_of(&path).len();
        assert!(length <= BYTES_MAX, "{}: {length} bytes; at most {BYTES_MAX}", name(&path));
    }
}
