//! How fast is it, against the tools people use today?
//!
//! A benchmark runs ours and its peers in turn (A B A B), takes the median of the rounds, prints ratios and the exact
//! commands, and writes its part of `docs/benchmarks.md`. It never fails because something was slow.

mod decode;
mod engine;
mod live;
mod measure;
mod page;
mod table;
mod traffic;

use crate::run::{Outcome, Workspace, step};
use crate::{Task, install};

/// A benchmark: its name on the command line and what runs it.
type Benchmark = (&'static str, fn(&Workspace) -> Outcome);

const BENCHMARKS: &[Benchmark] = &[("decode", decode::run), ("live", live::run), ("engine", engine::run), ("table", table::run)];

/// Runs one benchmark or all of them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let chosen: Vec<&Benchmark> = match arguments {
        [] => BENCHMARKS.iter().collect(),
        [name] => BENCHMARKS.iter().filter(|(known, _)| known == name).collect(),
        [_, more, ..] => return Err(format!("`bench` takes one name, found one more: `{more}`")),
    };
    if chosen.is_empty() {
        let known: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        return Err(format!("`{}` is not a benchmark; there are: {}", arguments.join(" "), known.join(", ")));
    }
    step("packages", || install::packages_for(workspace, Task::Bench))?;
    chosen.into_iter().try_for_each(|(_, benchmark)| benchmark(workspace))
}
