//! What shall this host's overlays be, and what are they? `overlayadm` says it to overlayd, with dladm's words where dladm has them.
//!
//! ```text
//! flags ─► run ─┬─► create, delete, modify, set ─► Client ─► overlayd
//!               ├─► trace ─► Client; capture: the frames of a file
//!               ├─► doctor ─► looks itself, and asks
//!               ├─► ping ─► Client: lines as they come
//!               ├─► map ─► etcd
//!               └─► show ─► Client; rows ─► table (columns, parsable) or a JSON object a line
//! ```
//!
//! Parsing only validates; whatever is refused after it is refused by overlayd, which then has changed nothing.
#![forbid(unsafe_code)]

mod capture;
mod doctor;
mod examples;
mod flags;
mod man;
mod map;
mod ping;
mod run;
mod show;
mod table;
mod typed;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use flags::{Flags, GenerateFlag};
use overlay_client::ClientError;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why nothing, or not all, was done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The command line is wrong.
    Usage(String),
    /// overlayd refused, or cannot be asked.
    Failed(String),
    /// What was to be tried could not be.
    Untried(String),
    /// What is wrong has been said on standard output.
    Said,
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match (flags.generate, flags.command) {
        (Some(what), _) => generate(what).map_err(Refusal::Output),
        (None, Some(command)) => run::run(flags.root, command),
        (None, None) => Flags::command().error(ErrorKind::MissingSubcommand, "a command is expected; --help lists them").exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Usage(sentence)) => complain(&sentence, 2),
        Err(Refusal::Untried(sentence)) => complain(&sentence, 2),
        Err(Refusal::Failed(sentence)) => complain(&sentence, 1),
        Err(Refusal::Said) => ExitCode::from(1),
        // Whoever reads has seen enough.
        Err(Refusal::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Refusal::Output(error)) => complain(&format!("standard output: {error}"), 1),
    }
}

/// Says what is wrong on standard error. A closed standard error is no reason to fail twice.
fn complain(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "overlayadm: {sentence}");
    ExitCode::from(code)
}

fn generate(what: GenerateFlag) -> io::Result<()> {
    let mut command = Flags::command();
    let shell = match what {
        GenerateFlag::Man => return io::stdout().write_all(&man::page(command)?),
        GenerateFlag::Bash => clap_complete::Shell::Bash,
        GenerateFlag::Zsh => clap_complete::Shell::Zsh,
        GenerateFlag::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "overlayadm", &mut script);
    io::stdout().write_all(&script)
}
