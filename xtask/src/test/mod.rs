//! Is the suite in order? Formatting, lints, documentation, hygiene, then every test.
//!
//! The programs are built with cargo's `test` profile, the one that `cargo test` uses: one build serves the unit
//! tests and the end-to-end tests, with overflow checks and debug assertions on. The end-to-end tests find the
//! programs through `OVERLAY_BIN` and note what they could not run in `OVERLAY_SKIP_FILE`.

mod hygiene;
mod tally;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::run::{Outcome, Workspace, cannot_start, checked, line_of, seconds, step, succeeded};
use crate::{Task, install};
use tally::{Skips, Tally};

/// The package of the end-to-end tests, and which of its files are quick enough for every change.
const END_TO_END: &str = "overlay-tests";
const QUICK_END_TO_END: &str = "golden*";

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Under two minutes when warm: everything but the end-to-end tests that are not called `golden*`.
    Quick,
    /// Everything.
    Full,
}

impl Tier {
    /// Reads `[--quick]`.
    pub(crate) fn from_arguments(word: &str, arguments: &[String]) -> Outcome<Self> {
        match arguments {
            [] => Ok(Self::Full),
            [only] if only == "--quick" => Ok(Self::Quick),
            [first, ..] => Err(format!("`{word}` takes `--quick` or nothing, found `{first}`")),
        }
    }

    /// How long one fuzz target runs.
    fn fuzz_seconds(self) -> &'static str {
        match self {
            Self::Quick => "1",
            Self::Full => "10",
        }
    }
}

/// Runs the checks of a tier; the last line printed is `N passed, N failed, N skipped`.
///
/// # Errors
/// When a check or a test failed, or when none ran.
pub(crate) fn run(workspace: &Workspace, tier: Tier) -> Outcome {
    let begun = Instant::now();
    let mut total = Tally::default();
    let skip_file = workspace.target.join("skips.txt");
    let result = run_all(workspace, tier, &skip_file, &mut total);
    if let Err(message) = &result {
        println!("{message}");
        total.failed += 1;
    }
    let skips = Skips::read(&skip_file);
    for line in &skips.lines {
        println!("SKIPPED: {line}");
    }
    total.move_to_skipped(skips.tests());
    if total.passed + total.failed == 0 {
        println!("no test ran");
        total.failed = 1;
    }
    println!("\n== test: finished in {}", seconds(begun.elapsed()));
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    std::io::stdout().flush().map_err(|error| format!("stdout cannot be written: {error}"))?;
    // Everything is said, and that line stays the last one.
    if total.failed == 0 { Ok(()) } else { Err(String::new()) }
}

/// An error stops the run: nothing after it would mean anything.
fn run_all(workspace: &Workspace, tier: Tier, skip_file: &Path, total: &mut Tally) -> Outcome {
    std::fs::create_dir_all(&workspace.target)
        .and_then(|()| std::fs::write(skip_file, ""))
        .map_err(|error| format!("{} cannot be written: {error}", workspace.shown(skip_file)))?;
    step("packages", || install::packages_for(workspace, Task::Test))?;

    total.check("fmt", || checked(&mut workspace.cargo(&["fmt", "--all", "--", "--check"])));
    total.check("hygiene", || hygiene::check(workspace));
    total.check("clippy", || checked(&mut workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    total.check("doc", || checked(workspace.cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")));

    let programs = workspace.target.join("debug");
    step("build", || {
        // Everything at once, so that one set of features serves programs and tests. Not xtask: it is running.
        let all = ["build", "--profile", "test", "--workspace", "--exclude", "xtask"];
        checked(workspace.cargo(&all).args(["--bins", "--tests", "--examples"]))?;
        // The one program with other features: what the probes are compiled to when they are off.
        checked(workspace.cargo(&all).args(["--features", "overlay-probes/off", "--example", "fire_off"]))
    })?;
    let mut sets: Vec<(&str, Vec<&str>)> = Vec::new();
    match tier {
        Tier::Full => sets.push(("all tests", vec!["--workspace"])),
        Tier::Quick => {
            sets.push(("unit and golden tests", vec!["--workspace", "--exclude", END_TO_END]));
            if has_quick_end_to_end(workspace) {
                sets.push(("golden end-to-end tests", vec!["--package", END_TO_END, "--test", QUICK_END_TO_END]));
            }
        }
    }
    for (name, selection) in sets {
        let mut command = workspace.cargo(&["test", "--no-fail-fast"]);
        command.args(selection);
        command.env("OVERLAY_BIN", &programs).env("OVERLAY_SKIP_FILE", skip_file).env("OVERLAY_FUZZ_SECONDS", tier.fuzz_seconds());
        // A failure is in the tally already.
        let _reported = step(name, || cargo_test(&mut command, total));
    }
    Ok(())
}

/// Runs one `cargo test`, shows its output as it comes and adds its results to the tally.
///
/// # Errors
/// When a test failed, a test binary died without a result, or the build failed: each of them is in the tally.
pub(crate) fn cargo_test(command: &mut Command, total: &mut Tally) -> Outcome {
    println!("$ {}", line_of(command));
    let mut found = Tally::default();
    let result = stream(command, |line| {
        println!("{line}");
        found.read_line(line);
    });
    if result.is_err() && found.failed == 0 {
        found.failed = 1;
    }
    total.add(&found);
    result
}

/// Runs a command and hands its stdout to `each`, line by line.
fn stream(command: &mut Command, mut each: impl FnMut(&str)) -> Outcome {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(command, &error))?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        // Bytes, not `lines()`: what a failing test prints need not be UTF-8.
        while reader.read_until(b'\n', &mut line).map_err(|error| format!("the output of `{}` is lost: {error}", line_of(command)))? > 0 {
            each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
    }
    let status = child.wait().map_err(|error| format!("`{}` cannot be waited for: {error}", line_of(command)))?;
    succeeded(command, status)
}

/// Whether the end-to-end package has a `golden*` file: cargo refuses a pattern that matches nothing.
fn has_quick_end_to_end(workspace: &Workspace) -> bool {
    let prefix = QUICK_END_TO_END.trim_end_matches('*');
    std::fs::read_dir(workspace.root.join("tests/tests"))
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_fails_counts_as_one_failure() {
        let mut total = Tally::default();
        let result = cargo_test(Command::new("sh").args(["-c", "echo nothing built >&2; exit 101"]), &mut total);
        assert!(result.is_err());
        assert_eq!(total, Tally { passed: 0, failed: 1, skipped: 0 });
    }

    #[test]
    fn failures_that_cargo_counted_are_not_counted_again() {
        let script = "echo 'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s'; exit 101";
        let mut total = Tally::default();
        let result = cargo_test(Command::new("sh").args(["-c", script]), &mut total);
        assert!(result.is_err());
        assert_eq!(total, Tally { passed: 3, failed: 2, skipped: 0 });
    }

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let refusal = Tier::from_arguments("test", &["--fast".to_owned()]).unwrap_err();
        assert_eq!(refusal, "`test` takes `--quick` or nothing, found `--fast`");
    }
}
