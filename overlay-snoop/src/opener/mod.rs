//! Who opens the next file once the rights are gone? A small process that keeps the right to one folder.
//!
//! ```text
//! overlay-snoop ── start ──► overlay-snoop --opener      (before the rights are dropped)
//!   nobody       ─ hello: folder, pattern ─►  the user that started us; landlock: that folder; seccomp: open, remove, send
//!                ◄─ ready ─
//!                ─ open "x2.pcap" ─►  does the name fit? a regular file?
//!                ◄─ file descriptor, or why not ─
//! ```
//!
//! A folder that is open does not help the main process: `nobody` may still not create a file in it. The opener takes bare names
//! that fit the pattern it was started with, follows no link, and ends when its socket closes, that is with the main process,
//! however that ends. (A death signal would not do: from a parent that became `nobody` it does not reach a root child, measured on Linux 6.18.)
//!
//! Files belong to the user that started the program, and get their rights from its umask, like every file that `-w` writes
//! without rotation. They are not given to the user of `-Z`: whoever takes over the decoder gets no hold on captures that are closed.
//!
//! `main` must call [`serve()`] when its first argument is [`FLAG`], before anything else.

mod names;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use names::{FileName, NamePattern};
pub(crate) use serve::serve;

use crate::rights::Enforcement;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use wire::{Hello, Request};

/// The hidden first argument of the opener process.
pub(crate) const FLAG: &str = "--opener";

/// The main process's end: it asks for files of one folder.
#[derive(Debug)]
pub(crate) struct Opener {
    folder: PathBuf,
    pattern: NamePattern,
    rights: String,
    /// Present until the drop: closing it is what ends the process.
    socket: Option<OwnedFd>,
    process: Child,
}

impl Opener {
    /// Starts the process, which from then on opens and removes files of `folder` whose names fit `pattern`.
    ///
    /// Start it before capture handles are opened: libpcap does not mark its sockets close-on-exec, so that a later opener would
    /// hold them, too, until it ends.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened, the process cannot be started (/proc must be there), or it cannot give up what it does
    /// not need (with [`Enforcement::Strict`]).
    pub(crate) fn start(folder: &Path, pattern: NamePattern, enforcement: Enforcement) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("overlay-snoop").arg(FLAG);
        Self::start_as(command, folder, pattern, enforcement)
    }

    fn start_as(mut command: Command, folder: &Path, pattern: NamePattern, enforcement: Enforcement) -> io::Result<Self> {
        let shown = |error: io::Error| about(folder, &error);
        let open = File::options().read(true).open(folder).map_err(shown)?;
        if !open.metadata().map_err(shown)?.is_dir() {
            return Err(about(folder, &io::Error::from(io::ErrorKind::NotADirectory)));
        }
        let (socket, its_end) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Nor does it hold a pipe open that someone reads the end of us from.
        command.stdin(its_end).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        // ^C on the terminal is for the main process, which then asks for its last files.
        let process = command.process_group(0).spawn().map_err(|error| named("the process that opens files", &error))?;
        // The command holds the other end of the socket: an opener that dies must be seen as a closed socket.
        drop(command);
        let hello = Hello { pattern: pattern.clone(), enforcement };
        let mut opener = Self { folder: folder.to_owned(), pattern, rights: String::new(), socket: Some(socket), process };
        opener.rights = opener.ask(|socket| wire::send_hello(socket, &hello, &open))?.1;
        Ok(opener)
    }

    /// What the opener gave up, in one line, for `-v`.
    pub(crate) fn rights(&self) -> &str {
        &self.rights
    }

    /// The names that it takes.
    pub(crate) fn pattern(&self) -> &NamePattern {
        &self.pattern
    }

    /// Opens a file for writing, created or emptied.
    ///
    /// # Errors
    ///
    /// Those of opening it, with its path, and when it is a link, or no regular file.
    pub(crate) fn open(&mut self, name: &FileName) -> io::Result<File> {
        let path = self.folder.join(name.as_path());
        let answer = self.ask(|socket| wire::send_request(socket, Request::Open, name.as_bytes()));
        match answer.map_err(|error| about(&path, &error))? {
            (Some(file), _) => Ok(File::from(file)),
            (None, _) => Err(about(&path, &io::Error::other("the opener answered without a file"))),
        }
    }

    /// Removes a file, for rings of files.
    ///
    /// # Errors
    ///
    /// Those of removing it, with its path.
    pub(crate) fn remove(&mut self, name: &FileName) -> io::Result<()> {
        let path = self.folder.join(name.as_path());
        self.ask(|socket| wire::send_request(socket, Request::Remove, name.as_bytes())).map_err(|error| about(&path, &error))?;
        Ok(())
    }

    fn ask(&mut self, send: impl Fn(&OwnedFd) -> Result<(), Errno>) -> io::Result<(Option<OwnedFd>, String)> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the process that opens files has ended");
        let socket = self.socket.as_ref().ok_or_else(gone)?;
        match send(socket) {
            Ok(()) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(gone()),
            Err(error) => return Err(error.into()),
        }
        match wire::receive_reply(socket) {
            Ok(Some(reply)) => reply.into_result(),
            Ok(None) | Err(Errno::CONNRESET) => Err(gone()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.socket = None;
        // Not waited for: one that hangs in a file system could not be killed from here, and must not hold up the end. Whoever
        // collects orphans collects it.
        let _ = self.process.try_wait();
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    named(&path.display().to_string(), error)
}

/// The same error, its sentence preceded by what it is about.
fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
