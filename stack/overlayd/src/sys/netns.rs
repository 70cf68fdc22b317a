//! Which network namespace is meant, and how does code run inside it?
//!
//! A namespace is known by the device and inode of its file; the name is only a way to it and may come to mean another one. No file is
//! kept open: that would keep alive a namespace that everybody else has left. Sources: network_namespaces(7), setns(2), ip-netns(8).

use super::error::{Kind, SysError};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{FileStat, fstat, stat};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

/// Where ip-netns(8) keeps names.
const NAMES: &str = "/run/netns";
/// The calling thread's own.
const OWN: &str = "/proc/thread-self/ns/net";

/// Device and inode of a namespace's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity(u64, u64);

impl From<FileStat> for Identity {
    fn from(stat: FileStat) -> Self {
        Self(stat.st_dev, stat.st_ino)
    }
}

/// A network namespace: one with a name or a path, or the caller's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Netns {
    /// As it was asked for; none is the caller's own.
    label: Option<String>,
    path: PathBuf,
    identity: Identity,
}

impl Netns {
    /// The namespace that `text` means: a path if it has a slash, else a name that `ip netns` knows; without text the caller's own.
    ///
    /// # Errors
    /// When there is none of that name, or it is no network namespace.
    pub(crate) fn find(text: Option<&str>) -> Result<Self, SysError> {
        let path = match text {
            None => PathBuf::from(OWN),
            Some("" | "." | "..") => {
                let problem = format!("netns {:?}: not a name; a name that `ip netns` lists or a path is", text.unwrap_or_default());
                return Err(SysError::new(Kind::Wrong, problem));
            }
            Some(text) if text.contains('/') => PathBuf::from(text),
            Some(text) => Path::new(NAMES).join(text),
        };
        let identity = identify(&path).map_err(|errno| cannot_find(text, &path, errno))?;
        let own = identify(Path::new(OWN)).map_err(|errno| cannot_find(None, Path::new(OWN), errno))?;
        // All namespaces are on one device, nsfs. A file that waits for its namespace to be mounted (ip netns add) is on another.
        if identity.0 != own.0 {
            let problem = format!("netns {}: {} is not a network namespace (yet)", text.unwrap_or_default(), path.display());
            return Err(SysError::new(Kind::Namespace, problem));
        }
        Ok(Self { label: text.map(str::to_owned), path, identity })
    }

    /// Whether its name or path still leads to it.
    ///
    /// # Errors
    /// When it leads nowhere, or to another namespace.
    pub(crate) fn check(&self) -> Result<(), SysError> {
        let Some(text) = self.label.as_deref() else { return Ok(()) };
        match identify(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            Ok(_) => Err(SysError::new(Kind::Namespace, format!("netns {text}: {} is another namespace than before", self.path.display()))),
            Err(errno) => Err(cannot_find(Some(text), &self.path, errno)),
        }
    }

    /// Which it is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Does `work` in it: in a thread of its own, or in the caller's if it is the caller's. What is opened there stays there.
    ///
    /// # Errors
    /// When it is gone, or may not be entered.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, SysError> {
        let Some(text) = self.label.as_deref() else { return Ok(work()) };
        // Not blocking: a path could be a pipe.
        let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC).open(&self.path);
        let file = opened.map_err(|error| cannot_find(Some(text), &self.path, errno_of(&error)))?;
        let found = fstat(&file).map_err(|errno| cannot_find(Some(text), &self.path, errno))?;
        if Identity::from(found) != self.identity {
            self.check()?;
        }
        run_in(file.as_fd(), work).map_err(|errno| SysError::system(self, "cannot be entered", errno))
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => write!(f, "netns {label}"),
            None => f.write_str("overlayd's own netns"),
        }
    }
}

/// Does `work` in a thread that has gone into the namespace of `file`.
pub(super) fn run_in<T: Send>(file: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T, Errno> {
    thread::scope(|scope| {
        let inside = move || {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        };
        match thread::Builder::new().name("netns".into()).spawn_scoped(scope, inside) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(errno_of(&error)),
        }
    })
}

/// Which namespace an open file is.
pub(super) fn identity_of(file: &File) -> Result<Identity, Errno> {
    fstat(file).map(Identity::from)
}

/// What the kernel said.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}

fn identify(path: &Path) -> Result<Identity, Errno> {
    stat(path).map(Identity::from)
}

fn cannot_find(text: Option<&str>, path: &Path, errno: Errno) -> SysError {
    let text = text.unwrap_or("of overlayd");
    SysError::new(Kind::Namespace, format!("netns {text}: cannot be found at {}: {errno}", path.display()))
}
