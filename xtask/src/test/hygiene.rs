//! Does the repository hold anything that a reviewer would send back without reading further?
//!
//! Looks at every file that git knows or would add. The words it looks for are put together at compile time, so that
//! this file does not find itself.

use std::path::Path;

use crate::run::{Outcome, Workspace, output_of};

/// More lines than this, and a file has a second noun in it.
const LINES_MAX: usize = 800;

/// What Rust code must not hold, and why.
const WORDS: &[(&str, &str)] = &[
    (concat!("to", "do!("), "unfinished code"),
    (concat!("unimpl", "emented!("), "unfinished code"),
    (concat!("db", "g!("), "a left-over print"),
    (concat!("#[ig", "nore"), "a test that never runs; skip it visibly instead"),
    (concat!("// TO", "DO"), "an open end; open an issue instead"),
    (concat!("// FIX", "ME"), "an open end; open an issue instead"),
];

/// Home folders: a path below them means something on one machine only.
const HOMES: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Checks all files; every finding is one line of the error.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let listed = output_of(workspace.command("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let places = machine_paths(&workspace.root);
    let mut findings = Vec::new();
    let mut files = 0;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        // A file that is deleted but not yet committed, or binary, has no text to look at.
        let Ok(text) = std::fs::read_to_string(workspace.root.join(name)) else { continue };
        files += 1;
        findings.extend(findings_in(name, &text, &places));
    }
    if findings.is_empty() {
        println!("{files} text files looked at, nothing found");
        return Ok(());
    }
    Err(format!("{} findings\n{}", findings.len(), findings.join("\n")))
}

/// The paths that only this machine has: home folders, and the folder around this checkout.
fn machine_paths(root: &Path) -> Vec<String> {
    let mut places: Vec<String> = HOMES.iter().map(|&home| home.to_owned()).collect();
    // Folders of the file system standard are everywhere, and a checkout below one of them (a fresh clone in /tmp) says nothing.
    let standard = ["/tmp", "/var/tmp", "/srv", "/opt", "/usr/src", "/"];
    let around = root.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
    if !around.is_empty() && !standard.contains(&around.as_str()) && !around.starts_with("/tmp/") {
        places.push(format!("{around}/"));
    }
    places
}

fn findings_in(name: &str, text: &str, places: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let rust = name.ends_with(".rs");
    let lines = text.lines().count();
    if rust && lines > LINES_MAX {
        findings.push(format!("{name}: {lines} lines (at most {LINES_MAX}); look for the second noun in it"));
    }
    for (index, line) in text.lines().enumerate() {
        for place in places {
            if holds_path(line, place) {
                findings.push(format!("{name}:{}: `{place}` is a path of one machine", index + 1));
            }
        }
        for (word, why) in WORDS {
            if rust && line.contains(word) {
                findings.push(format!("{name}:{}: `{word}`: {why}", index + 1));
            }
        }
    }
    findings
}

/// Whether an absolute path starts with `place` in this line; `target/root/x` is a relative one.
fn holds_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-~*}/".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<String> {
        machine_paths(Path::new("/builds/overlay"))
    }

    #[test]
    fn a_file_with_too_many_lines_is_found() {
        let text = "//\n".repeat(LINES_MAX + 1);
        assert_eq!(findings_in("walk.rs", &text, &places()), ["walk.rs: 801 lines (at most 800); look for the second noun in it"]);
        assert!(findings_in("walk.md", &text, &places()).is_empty());
    }

    #[test]
    fn unfinished_code_is_found_in_rust_only() {
        let text = format!("fn f() {{\n    {}); }}\n", WORDS[0].0);
        let found = findings_in("walk.rs", &text, &places());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("walk.rs:2: "), "{found:?}");
        assert!(findings_in("notes.md", &text, &places()).is_empty());
    }

    #[test]
    fn a_path_of_this_machine_is_found_and_a_relative_one_is_not() {
        let home = format!("see {}me/x", HOMES[0]);
        assert_eq!(findings_in("README.md", &home, &places()).len(), 1);
        assert_eq!(findings_in("README.md", "read `/builds/overlay/x`", &places()).len(), 1);
        let relative = format!("target{}x", HOMES[0]);
        assert!(findings_in("README.md", &relative, &places()).is_empty());
    }

    #[test]
    fn a_clone_in_a_temporary_folder_forbids_no_temporary_paths() {
        let places = machine_paths(Path::new("/tmp/overlay-fresh-1/main"));
        assert!(findings_in("README.md", "overlay-snoop -r /tmp/x.pcap", &places).is_empty());
    }
}
