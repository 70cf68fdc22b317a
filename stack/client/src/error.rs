//! Why did a call fail? Each of these is a sentence for the user.

use overlay_api::control::Problem;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a call failed.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there.
    NotRunning {
        /// The daemon.
        daemon: &'static str,
        /// Where it would listen.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This user may not even connect.
    NotAllowed {
        /// The daemon.
        daemon: &'static str,
        /// Where it listens.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon refused, and nothing has changed.
    Refused(Problem),
    /// The connection broke, or nothing came in time. What was asked may have been done.
    Broken {
        /// The daemon.
        daemon: &'static str,
        /// What was being done: "waiting for the answer".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What came is not what this client understands. What was asked may have been done.
    NotUnderstood {
        /// The daemon.
        daemon: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ClientError {
    /// The daemon's refusal, if it is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { daemon, socket, source } => write!(f, "{daemon} is not running: {}: {source}", socket.display()),
            Self::NotAllowed { daemon, socket, source } => {
                write!(f, "{daemon} cannot be asked: {}: {source}; root and members of the socket's group may", socket.display())
            }
            Self::Refused(problem) => problem.fmt(f),
            Self::Broken { daemon, doing, source } if is_timeout(source) => {
                write!(f, "{daemon} does not answer: out of time while {doing}")
            }
            Self::Broken { daemon, doing, source } => write!(f, "the connection to {daemon} broke while {doing}: {source}"),
            Self::NotUnderstood { daemon, problem } => write!(f, "{daemon}'s answer is not understood: {problem}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotRunning { source, .. } | Self::NotAllowed { source, .. } | Self::Broken { source, .. } => Some(source),
            Self::Refused(problem) => Some(problem),
            Self::NotUnderstood { .. } => None,
        }
    }
}

/// Both kinds are what a socket's timeout is told as.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
