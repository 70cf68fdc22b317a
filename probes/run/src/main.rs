//! What is the overlay stack doing? Asks one question of its probes: finds the daemons, the script and the tracer, and runs them.
//!
//! ```text
//! flags ─► question (script and header) ─┬─► list, show, manual
//!                                        ├─► daemons ─► program (both daemons in one) ─► tracer ─► lines
//!                                        └─► frames: the lines of one script as a capture
//! ```
//!
//! The scripts are in this program, so that one file is all that has to be on a host. What it prints is what the tracer prints.
#![forbid(unsafe_code)]

mod catalogue;
mod daemons;
mod flags;
mod frames;
mod manual;
mod notes;
mod program;
mod question;
mod run;
mod tracer;

use clap::Parser;
use flags::Flags;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why a question was not answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The command line is wrong.
    Usage(String),
    /// Something that is needed is not there, or has failed.
    Failed(String),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn main() -> ExitCode {
    match run::run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Usage(sentence)) => complain(&sentence, 2),
        Err(Refusal::Failed(sentence)) => complain(&sentence, 1),
        // Whoever reads has seen enough.
        Err(Refusal::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Refusal::Output(error)) => complain(&format!("standard output: {error}"), 1),
    }
}

/// Says what is wrong on standard error. A closed standard error is no reason to fail twice.
fn complain(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "overlay-trace: {sentence}");
    ExitCode::from(code)
}
