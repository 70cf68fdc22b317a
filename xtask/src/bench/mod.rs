//! How fast is it, against the tools people use today?
//!
//! A benchmark runs ours and its peers in turn (A B A B), takes the median of the rounds, prints ratios and the exact
//! commands, and writes its part of `docs/benchmarks.md`. It never fails because something was slow.

mod datapath;
mod decode;
mod engine;
mod etcd;
mod live;
mod lookup;
mod measure;
mod page;
mod replay;
mod table;
mod top;
mod traffic;

use crate::run::{Outcome, Workspace, step};
use crate::{Task, install};

/// A benchmark: its name on the command line and what runs it, with the words behind the name.
type Benchmark = (&'static str, fn(&Workspace, &[String]) -> Outcome);

const BENCHMARKS: &[Benchmark] = &[
    ("decode", |workspace, words| plain(words).and_then(|()| decode::run(workspace))),
    ("live", |workspace, words| plain(words).and_then(|()| live::run(workspace))),
    ("engine", |workspace, words| plain(words).and_then(|()| engine::run(workspace))),
    ("lookup", |workspace, words| plain(words).and_then(|()| lookup::run(workspace))),
    ("table", |workspace, words| plain(words).and_then(|()| table::run(workspace))),
    ("etcd", etcd::run),
    ("top", top::run),
    ("replay", replay::run),
    ("datapath", datapath::run),
    ("probes", datapath::probes::run),
];

/// Runs one benchmark or all of them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let (chosen, words): (Vec<&Benchmark>, _) = match arguments {
        [] => (BENCHMARKS.iter().collect(), arguments),
        [name, words @ ..] => (BENCHMARKS.iter().filter(|(known, _)| known == name).collect(), words),
    };
    if chosen.is_empty() {
        let known: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        return Err(format!("`{}` is not a benchmark; there are: {}", arguments.join(" "), known.join(", ")));
    }
    step("packages", || install::packages_for(workspace, Task::Bench))?;
    chosen.into_iter().try_for_each(|(_, benchmark)| benchmark(workspace, words))
}

/// For benchmarks that take no words.
fn plain(words: &[String]) -> Outcome {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(format!("this benchmark takes nothing behind its name, found `{word}`")),
    }
}
