//! What are this host's overlay networks doing right now? `overlay-top` shows it, live.
//!
//! ```text
//!  source: overlayd  ─┐ Told                               ┌─► view  ─► terminal
//!          kernel     ├──────► state: rows, rates, events ─┤
//!          live, file │        keys change how it looks    └─► batch ─► standard output
//!          recording ─┘ ◄───── wish: which targets
//! ```
//!
//! Sources are threads that look once a second, and when something else is wished; state is pure; view never changes it. A column is a
//! row of one table (`column.rs`), which the terminal, JSON, CSV, sorting and filters all go by.
#![forbid(unsafe_code)]

mod batch;
mod column;
mod config;
mod filter;
mod flags;
mod keys;
mod layout;
mod man;
mod rights;
mod rows;
mod run;
mod source;
mod state;
mod terminal;
mod value;
mod view;
mod wish;

use clap::{CommandFactory, Parser};
use flags::{Flags, GenerateFlag};
use run::Refusal;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match flags.generate {
        Some(what) => generate(what).map_err(Refusal::Output),
        None => run::run(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Usage(sentence)) => complain(&sentence, 2),
        Err(Refusal::Failed(sentence)) => complain(&sentence, 1),
        // Whoever reads has seen enough.
        Err(Refusal::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Refusal::Output(error)) => complain(&format!("output: {error}"), 1),
    }
}

/// Says what is wrong on standard error, which may be a terminal: a file's name, or what it says, must not steer it. A closed standard error is no reason to fail twice.
fn complain(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "overlay-top: {}", value::printable(sentence));
    ExitCode::from(code)
}

fn generate(what: GenerateFlag) -> io::Result<()> {
    let mut command = Flags::command();
    let shell = match what {
        GenerateFlag::Config => return io::stdout().write_all(config::default_file().as_bytes()),
        GenerateFlag::Man => return io::stdout().write_all(&man::page(command)?),
        GenerateFlag::Bash => clap_complete::Shell::Bash,
        GenerateFlag::Zsh => clap_complete::Shell::Zsh,
        GenerateFlag::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "overlay-top", &mut script);
    io::stdout().write_all(&script)
}
