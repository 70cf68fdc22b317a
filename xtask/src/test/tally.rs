//! How many passed, failed, were skipped? Read from what cargo test prints and from the skip file.

use std::collections::BTreeSet;
use std::path::Path;

use crate::run::{Outcome, step};

/// The counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Runs one check as a step; it counts as one test.
    pub(crate) fn check(&mut self, name: &str, work: impl FnOnce() -> Outcome) {
        match step(name, work) {
            Ok(()) => self.passed += 1,
            Err(message) => {
                println!("{name}: {message}");
                self.failed += 1;
            }
        }
    }

    /// Adds the counts of a `test result:` line; any other line changes nothing.
    ///
    /// The line's shape is that of libtest:
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s`.
    pub(crate) fn read_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let Some((_verdict, counts)) = result.split_once(". ") else { return };
        for count in counts.split("; ") {
            let Some((number, word)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Adds another tally.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Counts as skipped what cargo, which does not know of skips, counted as passed.
    pub(crate) fn move_to_skipped(&mut self, skips: usize) {
        self.passed = self.passed.saturating_sub(skips);
        self.skipped += skips;
    }
}

/// What tests wrote to the skip file: lines of `test: reason`.
#[derive(Debug, Default)]
pub(crate) struct Skips {
    /// The distinct lines, sorted: tests run in any order.
    pub(crate) lines: BTreeSet<String>,
}

impl Skips {
    /// Reads the skip file; without one, nothing was skipped.
    pub(crate) fn read(file: &Path) -> Self {
        std::fs::read_to_string(file).map_or_else(|_| Self::default(), |text| Self::of(&text))
    }

    fn of(text: &str) -> Self {
        Self { lines: text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect() }
    }

    /// How many tests these are: one test may skip several of its rows, for several reasons.
    pub(crate) fn tests(&self) -> usize {
        self.lines.iter().map(|line| line.split_once(": ").map_or(line.as_str(), |(test, _reason)| test)).collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read_line(line));
        tally
    }

    #[test]
    fn results_of_all_test_binaries_are_summed() {
        let output = "\
running 2 tests
test walk::stops_at_depth ... ok
test walk::reads_vlan ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 3 tests
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 1.20s
";
        assert_eq!(tally_of(output), Tally { passed: 3, failed: 1, skipped: 1 });
    }

    #[test]
    fn filtered_and_measured_tests_count_as_nothing() {
        assert_eq!(
            tally_of("test result: ok. 0 passed; 0 failed; 0 ignored; 4 measured; 9 filtered out; finished in 0.00s"),
            Tally::default()
        );
    }

    #[test]
    fn a_line_that_only_looks_like_a_result_changes_nothing() {
        for line in
            ["test result_of_walk ... ok", "  test result: ok. 5 passed; 0 failed", "test result: ok", "test result: ok. many passed"]
        {
            assert_eq!(tally_of(line), Tally::default(), "{line}");
        }
    }

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let mut tally = Tally { passed: 10, failed: 1, skipped: 1 };
        let skips = Skips::of("live::captures_on_veth: not root\nlive::captures_on_veth: no ip program\n\nlive::drops: not root\n");
        tally.move_to_skipped(skips.tests());
        assert_eq!(tally, Tally { passed: 8, failed: 1, skipped: 3 });
        assert_eq!(skips.lines.len(), 3);
    }
}
