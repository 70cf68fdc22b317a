//! overlay-replay as a user has it: captures edited and judged by tshark, captures carried through the engine or sent, and what it says
//! when something is wrong.
#![forbid(unsafe_code)]

mod edit;
mod engine;
mod live;
mod send;
mod usage;

#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../varpd/host.rs"]
#[allow(dead_code, reason = "shared with the tests of varpd, which use all of it")]
mod host;

use overlay_tests::{Ended, Run, corpus_folder, program};
use std::ffi::OsStr;
use std::path::Path;

/// The program, started in the folder of the corpus.
fn replay<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    Run::new(program("overlay-replay")).args(arguments).folder(corpus_folder())
}

/// Runs a command line whose words are separated by spaces; `FOLDER` stands for a folder.
fn run(line: &str, folder: &Path) -> Ended {
    let folder = folder.to_str().expect("a path of UTF-8");
    replay(line.split_whitespace().map(|word| word.replace("FOLDER", folder))).end()
}
