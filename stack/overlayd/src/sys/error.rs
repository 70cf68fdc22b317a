//! Why can an interface or a socket not be had? A sentence, and what its reader can do about it.

use nix::errno::Errno;
use std::fmt;

/// What went wrong, as far as the daemon acts on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The namespace is not there, is no network namespace, or is another one than before.
    Namespace,
    /// The interface that was there has been removed.
    Gone,
    /// An interface of that name is there and is not ours, or is in use.
    NameTaken,
    /// No link has the listen address (yet).
    AddressMissing,
    /// Another socket has the address and port.
    AddressInUse,
    /// A capability is missing.
    NotPermitted,
    /// What was asked for cannot be, now or later.
    Wrong,
    /// Anything else that the kernel said.
    System,
}

/// Why something of the system cannot be had: a sentence that names the thing, its namespace, and what the kernel said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SysError {
    kind: Kind,
    text: String,
}

impl SysError {
    /// An interface that is out of reach, for that reason.
    pub(crate) fn gone(why: String) -> Self {
        Self::new(Kind::Gone, why)
    }

    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The kernel refused: `what` is the thing, `doing` what was tried, as in `cannot bind`.
    pub(super) fn system(what: &impl fmt::Display, doing: &str, errno: Errno) -> Self {
        let (kind, hint) = match errno {
            Errno::EPERM | Errno::EACCES => {
                (Kind::NotPermitted, " (CAP_NET_ADMIN and CAP_NET_RAW are needed, CAP_SYS_ADMIN for other namespaces)")
            }
            Errno::EADDRNOTAVAIL => (Kind::AddressMissing, " (no link has that address yet)"),
            Errno::EADDRINUSE => (Kind::AddressInUse, " (another socket has it, or a tunnel device of the kernel)"),
            Errno::ENODEV | Errno::EBADFD => (Kind::Gone, " (it has been removed)"),
            _ => (Kind::System, ""),
        };
        Self::new(kind, format!("{what}: {doing}: {errno}{hint}"))
    }

    /// What went wrong.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the same may succeed later, without anybody changing what is asked for.
    pub(crate) fn is_retryable(&self) -> bool {
        !matches!(self.kind, Kind::Wrong | Kind::NotPermitted)
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SysError {}
