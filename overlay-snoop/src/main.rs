//! What is in this capture, or on this wire? `overlay-snoop` shows outer packet, tunnel and inner packet.
//!
//! ```text
//! file ─► Reader ─┐
//!                 ├► Sieve (walk, filter) ─► Show (line, layers, tree, JSON) ─► Output
//! interfaces ─► Live ┘                   ├─► Recording (-w)
//!                                        └─► Stats, count
//! ```
#![forbid(unsafe_code)]

mod clock;
mod flags;
mod host;
mod job;
mod live;
mod opener;
mod output;
mod recording;
mod rights;
mod setup;
mod show;
mod sightings;
mod stats;

use clap::{CommandFactory, Parser};
use flags::{Flags, GenerateFlag};
use std::io::{self, Write};
use std::process::ExitCode;

/// The capture, or what is written, has an end that is no end.
const EXIT_DATA: u8 = 1;
/// The command line or the filter is wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == opener::FLAG) {
        return opener::serve();
    }
    let flags = Flags::parse();
    if let Some(what) = flags.generate {
        return match generate(what) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("standard output: {error}"), EXIT_DATA),
        };
    }
    match setup::run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(setup::Refusal { sentence, usage }) => complain(&sentence, if usage { EXIT_USAGE } else { EXIT_DATA }),
    }
}

/// Says what is wrong on standard error. A closed standard error is no reason to fail twice.
fn complain(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "overlay-snoop: {sentence}");
    ExitCode::from(code)
}

fn generate(what: GenerateFlag) -> io::Result<()> {
    let mut command = Flags::command();
    let shell = match what {
        GenerateFlag::Man => return io::stdout().write_all(&overlay_manual::page(command, "1", "")?),
        GenerateFlag::Bash => clap_complete::Shell::Bash,
        GenerateFlag::Zsh => clap_complete::Shell::Zsh,
        GenerateFlag::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "overlay-snoop", &mut script);
    io::stdout().write_all(&script)
}
