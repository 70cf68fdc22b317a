//! What would these packets be elsewhere, what would become of them, and how do they get onto a wire again? `overlay-replay`.
//!
//! ```text
//!  edit:     capture ──► steps ──► capture        other tunnels, networks, addresses
//!  engine:   capture ──► engine ──► lines, packets  the data path of overlayd, in the time of the capture
//!  send:     capture ──► interface                 at the times that it had, or at a rate
//!  generate: seed ──► capture, host                what nobody has captured
//!  diff:     lines ──► what differs first ◄── lines
//! ```
//!
//! `flags` reads the command line, `output` writes files whole or not at all, and each command has a room.

mod edit;
mod engine;
mod examples;
mod flags;
mod generate;
mod man;
mod output;
mod send;

use clap::{CommandFactory, Parser, error::ErrorKind};
use flags::{Command, Edit, Engine, Flags, Generate, GenerateFlag, Send};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Not for every packet, or not all of it.
const PARTLY: u8 = 3;

/// Why nothing was done.
enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// It was tried.
    Failed(String),
}

impl From<output::OutputError> for Failure {
    fn from(error: output::OutputError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match (flags.generate, flags.command) {
        (Some(what), _) => print(what).map(|()| ExitCode::SUCCESS).map_err(|error| Failure::Failed(format!("standard output: {error}"))),
        (None, Some(Command::Edit(flags))) => edit(&flags),
        (None, Some(Command::Engine(flags))) => engine(&flags),
        (None, Some(Command::Send(flags))) => send(&flags),
        (None, Some(Command::Generate(flags))) => make(&flags),
        (None, Some(Command::Diff { one, other })) => diff(&one, &other),
        (None, None) => Flags::command().error(ErrorKind::MissingSubcommand, "a command is expected; --help lists them").exit(),
    };
    match done {
        Ok(code) => code,
        Err(Failure::Usage(sentence)) => {
            complain(&sentence);
            ExitCode::from(2)
        }
        Err(Failure::Failed(sentence)) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

/// Says something on standard error. A closed standard error is no reason to fail twice.
fn complain(sentences: &str) {
    for line in sentences.lines() {
        let _ = writeln!(io::stderr(), "overlay-replay: {line}");
    }
}

fn edit(flags: &Edit) -> Result<ExitCode, Failure> {
    let recipe = flags.recipe(random_key).map_err(Failure::Usage)?;
    let report = edit::run(&recipe, &flags.input, &flags.output, flags.format.map(|name| name.0))?;
    complain(&report.to_string());
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(PARTLY) })
}

fn engine(flags: &Engine) -> Result<ExitCode, Failure> {
    let plan = flags.plan().map_err(Failure::Usage)?;
    if let Some(path) = &flags.save {
        engine::check_save(&flags.input, path, &flags.lines).map_err(Failure::Usage)?;
    }
    let fates = match engine::run(&plan) {
        // Whoever reads has seen enough; but then the packets are not there.
        Err(error) if error.is_broken_pipe() && plan.packets.is_none() => return Ok(ExitCode::SUCCESS),
        Err(error) if error.is_broken_pipe() => {
            return Err(Failure::Failed("the reader of the lines has gone; no packets were written".to_owned()));
        }
        done => done?,
    };
    if let (Some(number), Some(path)) = (flags.only, &flags.save) {
        engine::save(&flags.input, number, path)?;
    }
    complain(&fates.to_string());
    Ok(ExitCode::SUCCESS)
}

fn send(flags: &Send) -> Result<ExitCode, Failure> {
    let (report, broken) = send::run(&flags.plan().map_err(Failure::Usage)?)?;
    let text = match flags.json {
        true => report.json().map(|line| line + "\n").map_err(|error| Failure::Failed(error.to_string()))?,
        false => report.to_string(),
    };
    match io::stdout().write_all(text.as_bytes()) {
        // What was to be sent is sent, whoever reads of it.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Failure::Failed(format!("standard output: {error}"))),
        _ => {}
    }
    match broken {
        Some(error) => Err(error.into()),
        None if report.is_complete() => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(PARTLY)),
    }
}

fn make(flags: &Generate) -> Result<ExitCode, Failure> {
    let order = flags.order();
    if let Some(folder) = &flags.host {
        generate::Host::write(&order, folder)?;
    }
    generate::run(&order, &flags.output, flags.format.map(|name| name.0))?;
    Ok(ExitCode::SUCCESS)
}

fn diff(one: &Path, other: &Path) -> Result<ExitCode, Failure> {
    match engine::diff::diff(one, other).map_err(Failure::Failed)? {
        None => Ok(ExitCode::SUCCESS),
        Some(said) => {
            writeln!(io::stdout(), "{said}").map_err(|error| Failure::Failed(format!("standard output: {error}")))?;
            Ok(ExitCode::from(PARTLY))
        }
    }
}

fn random_key() -> Result<[u8; 16], String> {
    let mut key = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut key));
    read.map(|()| key).map_err(|error| format!("/dev/urandom: {error}; a key can be given with --key"))
}

fn print(what: GenerateFlag) -> io::Result<()> {
    let mut command = Flags::command();
    let shell = match what {
        GenerateFlag::Man => return io::stdout().write_all(&man::page(command)?),
        GenerateFlag::Bash => clap_complete::Shell::Bash,
        GenerateFlag::Zsh => clap_complete::Shell::Zsh,
        GenerateFlag::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "overlay-replay", &mut script);
    io::stdout().write_all(&script)
}
