//! How do the end-to-end tests find, run and compare things? Programs, captures, children with a ceiling of time, visible skips.
//!
//! A test here talks to the built programs only, as a user does; what it needs of the machine (a peer, root) it asks for with
//! [`Peer::find`] or [`is_root`], and where that is missing it calls [`skip`], which prints and counts.
#![forbid(unsafe_code)]

mod child;
mod peer;

pub use child::{Ended, Run, Running};
pub use peer::Peer;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`.
///
/// Asked at run time where cargo says it: a target folder shared by two checkouts must not send one into the other.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    tests.parent().expect("this crate lies in a folder of the workspace").to_path_buf()
}

/// A built program: in the folder `OVERLAY_BIN` (xtask sets it), else where cargo puts it beside this test.
///
/// # Panics
///
/// When it is in neither: a test of a program that is not there has nothing to say.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let folders = match std::env::var_os("OVERLAY_BIN") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => beside_this_test(),
    };
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not in {folders:?}: run cargo xtask test, or cargo build first"))
}

/// `target/debug` for a test in `target/debug/deps`, then the other profile.
fn beside_this_test() -> Vec<PathBuf> {
    let exe = std::env::current_exe().unwrap_or_default();
    let Some(profile) = exe.parent().and_then(Path::parent) else { return Vec::new() };
    let others = ["debug", "release"].map(|name| profile.with_file_name(name));
    std::iter::once(profile.to_path_buf()).chain(others).collect()
}

/// `overlay-snoop`, started in `captures/corpus` so that captures have short names, in UTC and without colour.
#[must_use]
pub fn snoop<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    Run::new(program("overlay-snoop")).args(arguments).folder(corpus_folder()).env("TZ", "UTC").env("NO_COLOR", "1")
}

/// The folder of the project's own captures.
#[must_use]
pub fn corpus_folder() -> PathBuf {
    workspace().join("captures/corpus")
}

/// The project's own captures, by name: every file of the folder that is no page.
///
/// # Panics
///
/// When the folder cannot be read.
#[must_use]
pub fn corpus() -> Vec<PathBuf> {
    let captures = files_in(&corpus_folder(), |name| !name.ends_with(".md"));
    assert!(!captures.is_empty(), "no captures in {}", corpus_folder().display());
    captures
}

/// The folder of other people's captures and their reference decodes; `None`, and counted as skipped, where it is not.
#[must_use]
pub fn references(test: &str) -> Option<PathBuf> {
    let folder = workspace().join("../shared/captures");
    if folder.join("mapping.json").is_file() {
        return Some(folder);
    }
    skip(test, "the reference captures are not beside this checkout (../shared/captures)");
    None
}

/// The captures in the folder of [`references`], by name.
///
/// # Panics
///
/// When the folder cannot be read.
#[must_use]
pub fn reference_captures(folder: &Path) -> Vec<PathBuf> {
    files_in(folder, |name| [".pcap", ".pcapng", ".snoop"].iter().any(|end| name.ends_with(end)))
}

fn files_in(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder can be listed").path()).filter(|path| path.is_file()).collect();
    files.retain(|path| wanted(&name(path)));
    files.sort();
    files
}

/// The last part of a path, for messages and golden files.
#[must_use]
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Says that a test, or a part of it, cannot run here, and has xtask count it. The caller returns.
pub fn skip(test: &str, reason: &str) {
    say(&format!("SKIPPED: {test}: {reason}"));
    let Some(file) = std::env::var_os("OVERLAY_SKIP_FILE") else { return };
    let written = std::fs::OpenOptions::new().append(true).create(true).open(&file).and_then(|mut file| writeln!(file, "{test}: {reason}"));
    if let Err(error) = written {
        panic!("{}: {error}", Path::new(&file).display());
    }
}

/// Prints a remark of a test; `cargo test -- --nocapture` shows it.
#[allow(clippy::print_stdout, reason = "the output of a test is where its reader looks")]
pub fn say(remark: &str) {
    println!("{remark}");
}

/// Whether this process may mount, and sees other users' files.
#[must_use]
pub fn is_root() -> bool {
    Run::new("id").args(["-u"]).end().stdout.trim() == "0"
}

/// One JSON object per line.
///
/// # Panics
///
/// When a line is no JSON.
#[must_use]
pub fn ndjson(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

/// Where two texts differ first, for a person to read; `None` where they are equal.
#[must_use]
pub fn difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (mut left, mut right) = (expected.lines(), found.lines());
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (one, other) if one == other => {}
            (one, other) => {
                let shown = |line: Option<&str>| line.map_or_else(|| "(the end)".to_owned(), str::to_owned);
                return Some(format!("line {number}\n  expected: {}\n  found:    {}", shown(one), shown(other)));
            }
        }
    }
    Some("the line ends differ".to_owned())
}

/// A number of bytes, in the order of the file, out of a capture's header.
#[must_use]
pub fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_line_and_both_sides() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n").unwrap(), "line 2\n  expected: b\n  found:    c");
        assert_eq!(difference("a\n", "a\nc\n").unwrap(), "line 2\n  expected: (the end)\n  found:    c");
        assert_eq!(difference("a\n", "a").unwrap(), "the line ends differ");
    }

    #[test]
    fn the_corpus_is_found() {
        assert!(corpus().iter().any(|path| name(path) == "vxlan.pcap"));
    }
}
