//! Does the engine keep to its room? No sockets, files, clocks, threads or `unsafe`, and no crate that has them for it.

use std::fs;
use std::path::{Path, PathBuf};

/// What the engine may depend on: rooms of ours, text formats, pure data structures.
const ALLOWED: [&str; 9] =
    ["arc-swap", "crossbeam-queue", "foldhash", "overlay-api", "overlay-decoder", "overlay-probes", "papaya", "serde", "smallvec"];
/// Ways to the outside in the standard library. `std::net` has addresses, too, so its sockets are named one by one.
const OUTSIDE: [&str; 11] = [
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::os",
    "std::io",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "Instant::now",
    "SystemTime",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn the_engine_depends_on_nothing_that_could_do_io() {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<_> = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty()).collect();
    assert!(names.len() >= 5, "the manifest is read wrongly: {names:?}");
    for name in names {
        assert!(ALLOWED.contains(&name), "{name} is not among {ALLOWED:?}");
    }
}

#[test]
fn no_source_of_the_engine_leads_outside() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    assert!(files.len() >= 25, "{} files", files.len());
    assert!(fs::read_to_string(folder.join("lib.rs")).unwrap().contains("#![forbid(unsafe_code)]"));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // Unit tests may have threads: they are at the end of a file, or in a file of their own.
        let is_test = ["samples.rs", "held.rs", "model.rs"].iter().any(|name| file.ends_with(name));
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for word in OUTSIDE {
            assert!(is_test || !code.contains(word), "{}: {word}", file.display());
        }
    }
}
