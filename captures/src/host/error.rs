//! What went wrong when the host was asked?

use std::fmt;
use std::io;

/// Why something about the host could not be learned; displayed as a sentence.
#[derive(Debug)]
pub struct HostError {
    /// What was asked, for example `netns blue` or `netns blue: forwarding database of interface 7`.
    pub subject: String,
    /// What stood in the way.
    pub kind: HostErrorKind,
}

/// What stood in the way.
#[derive(Debug)]
pub enum HostErrorKind {
    /// There is no namespace of this name; these there are.
    NoSuchNamespace {
        /// Names under which namespaces can be found.
        found: Vec<String>,
    },
    /// There is no such process.
    NoSuchProcess,
    /// The path is something else than a network namespace.
    NotANamespace,
    /// It was there before and has ended since.
    Gone,
    /// The process may not do that.
    NotPermitted {
        /// The right that it lacks.
        needs: &'static str,
    },
    /// The kernel's answer cannot be read.
    Answer {
        /// What is wrong with it.
        fault: String,
    },
    /// Anything else that the system said.
    Io(io::Error),
}

impl HostError {
    pub(super) fn new(subject: impl Into<String>, kind: HostErrorKind) -> Self {
        Self { subject: subject.into(), kind }
    }

    /// Whether the thing that was asked about is no more: no fault where many are asked in turn.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self.kind, HostErrorKind::Gone)
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.subject)?;
        match &self.kind {
            HostErrorKind::NoSuchNamespace { found } if found.is_empty() => write!(f, "no such namespace; there are none with a name"),
            HostErrorKind::NoSuchNamespace { found } => write!(f, "no such namespace; there are {}", found.join(", ")),
            HostErrorKind::NoSuchProcess => write!(f, "no such process"),
            HostErrorKind::NotANamespace => write!(f, "not a network namespace"),
            HostErrorKind::Gone => write!(f, "has ended meanwhile"),
            HostErrorKind::NotPermitted { needs } => write!(f, "not permitted; needs {needs}"),
            HostErrorKind::Answer { fault } => write!(f, "the kernel's answer cannot be read: {fault}"),
            HostErrorKind::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            HostErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_thing_what_was_found_and_what_is_allowed() {
        let found = vec!["red".to_owned(), "green".to_owned()];
        let text = |kind| HostError::new("netns blue", kind).to_string();
        assert_eq!(text(HostErrorKind::NoSuchNamespace { found }), "netns blue: no such namespace; there are red, green");
        assert_eq!(text(HostErrorKind::NoSuchNamespace { found: vec![] }), "netns blue: no such namespace; there are none with a name");
        assert_eq!(text(HostErrorKind::NotPermitted { needs: "CAP_SYS_ADMIN" }), "netns blue: not permitted; needs CAP_SYS_ADMIN");
        assert_eq!(text(HostErrorKind::Gone), "netns blue: has ended meanwhile");
    }
}
