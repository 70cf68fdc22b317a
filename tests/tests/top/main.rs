//! Does overlay-top show what is so? In a real terminal (tmux's) against the real stack, and without one against the kernel and files.
//! Needs root, but for files.
#![forbid(unsafe_code)]

mod files;
mod kernel;
mod screen;
mod slow;
mod stack;
mod terminal;

#[path = "../overlayd/answerer.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod answerer;
#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../varpd/host.rs"]
#[allow(dead_code, reason = "shared with the tests of varpd, which use all of it")]
mod host;

use overlay_tests::{Ended, Run, is_root, program, skip};
use std::ffi::OsStr;

/// Whether the test can run; if not, it is said and counted.
fn can_run(test: &str) -> bool {
    let root = is_root();
    if !root {
        skip(&format!("top::{test}"), "not root");
    }
    root
}

/// overlay-top, to its end.
fn top<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    Run::new(program("overlay-top")).args(arguments).env("TZ", "UTC").end()
}
