//! The opener process: one folder, two requests, nothing else.

use super::names::NamePattern;
use super::wire::{self, Failure, Hello, Request};
use crate::rights;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, ftruncate, openat2, unlinkat};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Serves the process that holds the other end of standard input, until it is gone.
///
/// Whoever else starts this gets nothing: it acts with the rights that the caller has, and ends where they would be more.
pub(crate) fn serve() -> ExitCode {
    let stdin = io::stdin();
    match talk(stdin.as_fd()) {
        Ok(()) => ExitCode::SUCCESS,
        // The other side is gone or is no overlay-snoop: nobody to tell.
        Err(_) => ExitCode::FAILURE,
    }
}

fn talk(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // The main process decides when the end is; its end closes the socket. Handlers that do nothing, as a signal without one ends a process.
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        flag::register(signal, Arc::default()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    }
    let Some(message) = wire::receive(socket)? else { return Ok(()) };
    let (Some(hello), Some(folder)) = (Hello::from_bytes(&message.bytes), message.file) else { return Err(Errno::PROTO) };
    // With a set-user-ID bit, the folder could be one that the caller may not write to.
    let ready = if rustix::process::getuid() == rustix::process::geteuid() {
        rights::confine_opener(folder.as_fd(), hello.enforcement).map_err(|error| error.to_string())
    } else {
        Err("overlay-snoop does not work with a set-user-ID bit; give it file capabilities".to_owned())
    };
    match ready {
        Ok(state) => wire::send_reply(socket, Ok(&state.to_string()), None)?,
        Err(sentence) => return wire::send_reply(socket, Err(&Failure { errno: Errno::PERM, sentence }), None),
    }
    while let Some(message) = wire::receive(socket)? {
        match answer(&folder, &hello.pattern, &message.bytes) {
            Ok(file) => wire::send_reply(socket, Ok(""), file.as_ref().map(AsFd::as_fd))?,
            Err(failure) => wire::send_reply(socket, Err(&failure), None)?,
        }
    }
    Ok(())
}

/// Does what is asked, if the name fits: the asking side has checked that, but it is the side that is not trusted.
fn answer(folder: &OwnedFd, pattern: &NamePattern, bytes: &[u8]) -> Result<Option<OwnedFd>, Failure> {
    let refused = |sentence: String| Failure { errno: Errno::PERM, sentence };
    let (request, name) = Request::from_bytes(bytes).ok_or_else(|| refused("no such request".to_owned()))?;
    let name = std::str::from_utf8(name).map_err(|_| refused("the name is no UTF-8".to_owned()))?;
    let name = pattern.name(name).map_err(|error| refused(error.to_string()))?;
    match request {
        Request::Open => open(folder, name.as_path()).map(Some),
        Request::Remove => unlinkat(folder, name.as_path(), AtFlags::empty()).map(|()| None).map_err(Failure::from),
    }
}

fn open(folder: &OwnedFd, name: &Path) -> Result<OwnedFd, Failure> {
    // NONBLOCK: a named pipe must not stop the capture. It means nothing to a regular file, and no other one is passed on.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let file = openat2(folder, name, flags, Mode::from_raw_mode(0o666), resolve).map_err(|errno| match errno {
        Errno::LOOP => Failure { errno, sentence: "is a symbolic link, which is not followed".to_owned() },
        Errno::NOSYS => Failure { errno, sentence: "opening it needs openat2, which Linux 5.6 or later has".to_owned() },
        errno => errno.into(),
    })?;
    let found = fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Failure { errno: Errno::PERM, sentence: "is no regular file, and is left alone".to_owned() });
    }
    // Someone who may write to the folder could have linked a file here that only we may write to.
    if found.st_nlink != 1 {
        return Err(Failure { errno: Errno::PERM, sentence: "has several names (hard links), and is left alone".to_owned() });
    }
    ftruncate(&file, 0)?;
    Ok(file)
}
