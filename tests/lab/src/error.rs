//! What can go wrong with a lab, as sentences; and waiting with a ceiling.

use crate::PlanError;
use std::fmt;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

/// How often [`wait_until`] looks.
const POLL: Duration = Duration::from_millis(5);

/// Why a lab could not be built, used or removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// This process is not root.
    NotRoot,
    /// A program could not be started.
    NoProgram {
        /// As it was called.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ended with a status other than 0.
    Tool {
        /// The command line; for a batch, the line of it that failed as well.
        command: String,
        /// Its exit status, in the system's words.
        status: String,
        /// What it said on standard error.
        stderr: String,
    },
    /// A system call failed.
    Io {
        /// What was tried, such as `read /run/overlay-lab`.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Frames could not be sent or received.
    Frames {
        /// The network interface.
        interface: String,
        /// libpcap's reason.
        source: pcap::Error,
    },
    /// The plan cannot be built.
    Plan(PlanError),
    /// A lab of this name is there already.
    Taken(String),
    /// No lab, or no namespace in a lab, has this name.
    Missing(String),
    /// What was waited for did not come about.
    Timeout {
        /// What was waited for.
        what: String,
        /// The ceiling.
        ceiling: Duration,
    },
    /// A program's output was not what its manual says.
    Output {
        /// The command line.
        command: String,
        /// What it printed.
        printed: String,
    },
}

impl LabError {
    /// For `map_err` around system calls.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => out.write_str("a lab needs root: it makes network namespaces"),
            Self::NoProgram { program, source } => {
                write!(out, "{program} cannot be started: {source}")?;
                match package(program) {
                    Some(package) if source.kind() == io::ErrorKind::NotFound => write!(out, " (Debian package {package})"),
                    _ => Ok(()),
                }
            }
            Self::Tool { command, status, stderr } => write!(out, "`{command}` ended with {status}: {}", stderr.trim()),
            Self::Io { doing, source } => write!(out, "cannot {doing}: {source}"),
            Self::Frames { interface, source } => write!(out, "frames on {interface}: {source}"),
            Self::Plan(error) => error.fmt(out),
            Self::Taken(name) => write!(out, "lab {name}: there is one already; `overlay-lab down {name}` removes it"),
            Self::Missing(name) => write!(out, "{name}: no such lab or namespace; `overlay-lab show` lists them"),
            Self::Timeout { what, ceiling } => write!(out, "waited {ceiling:?} in vain for {what}"),
            Self::Output { command, printed } => write!(out, "`{command}` printed what it should not: {printed:?}"),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoProgram { source, .. } | Self::Io { source, .. } => Some(source),
            Self::Frames { source, .. } => Some(source),
            Self::Plan(error) => Some(error),
            _ => None,
        }
    }
}

impl From<PlanError> for LabError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

/// Which Debian package has a program that labs call.
fn package(program: &str) -> Option<&'static str> {
    match program {
        "ip" | "bridge" | "tc" => Some("iproute2"),
        "nsenter" => Some("util-linux"),
        "ethtool" => Some("ethtool"),
        "ping" => Some("iputils-ping"),
        "nft" => Some("nftables"),
        _ => None,
    }
}

/// Whether this process may make and enter namespaces.
///
/// # Errors
///
/// [`LabError::NotRoot`].
pub fn need_root() -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

/// Waits until `condition` holds, looking every few milliseconds, `ceiling` at most.
///
/// # Errors
///
/// [`LabError::Timeout`], naming `what`, when it did not come to hold.
pub fn wait_until(what: &str, ceiling: Duration, mut condition: impl FnMut() -> bool) -> Result<(), LabError> {
    let deadline = Instant::now() + ceiling;
    loop {
        // The clock is read first, so that a late wake-up still gets its last look.
        let last = Instant::now() >= deadline;
        if condition() {
            return Ok(());
        }
        if last {
            return Err(LabError::Timeout { what: what.to_owned(), ceiling });
        }
        std::thread::sleep(POLL);
    }
}

/// A command line for a person to read and paste.
pub(crate) fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package_and_a_failed_one_its_words() {
        let missing = LabError::NoProgram { program: "ethtool".into(), source: io::ErrorKind::NotFound.into() };
        assert_eq!(missing.to_string(), "ethtool cannot be started: entity not found (Debian package ethtool)");
        let failed = LabError::Tool { command: "ip link".into(), status: "exit status: 1".into(), stderr: "no\n".into() };
        assert_eq!(failed.to_string(), "`ip link` ended with exit status: 1: no");
    }

    #[test]
    fn a_command_line_can_be_pasted() {
        let mut command = Command::new("sh");
        command.args(["-c", "it's", ""]);
        assert_eq!(command_line(&command), r"sh -c 'it'\''s' ''");
    }

    #[test]
    fn waiting_looks_at_least_once_and_ends() {
        assert!(wait_until("nothing", Duration::ZERO, || true).is_ok());
        let mut looks = 0;
        let waited = wait_until("the moon", Duration::from_millis(1), || {
            looks += 1;
            false
        });
        assert_eq!(waited.unwrap_err().to_string(), "waited 1ms in vain for the moon");
        assert!(looks >= 1);
    }
}
