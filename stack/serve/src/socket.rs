//! Where does a daemon listen, for calls and for who answers lookups? A socket that is there with its owner, group and mode, or not at all; one daemon has it at a time.
//!
//! ```text
//!  lock PATH.lock ─ taken: another daemon runs
//!  PATH answers   ─ another daemon runs, whatever it is
//!  bind DIR/.PID ─ mode, group ─ listen ─ rename ─► PATH          a stale PATH goes in that moment
//! ```
//!
//! Before it listens nobody can connect, and before the rename nobody knows its name; so there is no moment at which somebody gets in
//! whom the mode keeps out.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Who may connect: the owner and the group.
const MODE: u32 = 0o660;
/// Connections that wait to be accepted; as many as there can be callers.
const BACKLOG: i32 = 512;
/// Longest path of a socket (unix(7): sun_path has 108 bytes with the final zero).
const PATH_MAX_BYTES: usize = 107;

/// What a socket is for, and who may connect to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wanted {
    /// Its name in sentences.
    what: &'static str,
    kind: SockType,
    /// Its owner; none is the process's user.
    uid: Option<u32>,
    /// Its group; none is the process's.
    gid: Option<u32>,
}

/// Why there is no socket: a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketError(String);

impl SocketError {
    fn new(what: &str, path: &Path, problem: impl fmt::Display) -> Self {
        Self(format!("{what} {}: {problem}", path.display()))
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SocketError {}

/// A socket that is listened on. Its file goes when this does.
#[derive(Debug)]
pub struct ControlSocket {
    what: &'static str,
    path: PathBuf,
    listener: UnixListener,
    gid: u32,
    /// Device and inode of the file: what is removed at the end is this one, and no other.
    file: (u64, u64),
    /// Held as long as this is.
    _lock: Flock<File>,
}

impl ControlSocket {
    /// Listens at `path` for its owner and for the group `gid`; without one, the group of this process. The directory is made if there
    /// is none.
    ///
    /// # Errors
    /// Another daemon has it, something else has the name, or what the system refuses.
    pub fn open(path: &Path, gid: Option<u32>) -> Result<Self, SocketError> {
        Self::open_as(path, Wanted { what: "control socket", kind: SockType::Stream, uid: None, gid })
    }

    /// The same for packets, and for the user `uid` who answers lookups; without one, the user of this process.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_lookup(path: &Path, uid: Option<u32>) -> Result<Self, SocketError> {
        Self::open_as(path, Wanted { what: "lookup socket", kind: SockType::SeqPacket, uid, gid: None })
    }

    fn open_as(path: &Path, wanted: Wanted) -> Result<Self, SocketError> {
        let wrong = |problem: &dyn fmt::Display| SocketError::new(wanted.what, path, problem);
        let cannot =
            |doing: &'static str| move |error: io::Error| SocketError::new(wanted.what, path, format_args!("cannot {doing}: {error}"));
        let bytes = path.as_os_str().len();
        if bytes > PATH_MAX_BYTES {
            return Err(wrong(&format_args!("the path has {bytes} bytes; at most {PATH_MAX_BYTES} are possible")));
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Err(wrong(&"is no path of a file")) };
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(cannot("make its directory"))?;
        let mut lock_name = name.to_owned();
        lock_name.push(".lock");
        let lock = lock(&directory.join(lock_name)).map_err(|problem| wrong(&problem))?;
        check_free(path, wanted.kind).map_err(|problem| wrong(&problem))?;

        let pid = std::process::id();
        let beside = directory.join(format!(".{pid}"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("remove what an earlier process left")(error)),
            _ => {}
        }
        let opened = Self::bind(&beside, wanted).and_then(|(listener, gid)| {
            let file = fs::symlink_metadata(&beside)?;
            fs::rename(&beside, path)?;
            Ok(Self { what: wanted.what, path: path.to_owned(), listener, gid, file: (file.dev(), file.ino()), _lock: lock })
        });
        if opened.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&beside);
        }
        opened.map_err(cannot("listen"))
    }

    fn bind(path: &Path, Wanted { kind, uid, gid, .. }: Wanted) -> io::Result<(UnixListener, u32)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(AddressFamily::Unix, kind, flags, None)?;
        bind(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
        // The mode first: whoever has given a file away may not change it any more.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        if uid.is_some() || gid.is_some() {
            chown(path, uid, gid)?;
        }
        listen(&descriptor, Backlog::new(BACKLOG)?)?;
        Ok((UnixListener::from(descriptor), fs::symlink_metadata(path)?.gid()))
    }

    /// The group that may connect, and change things.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The socket itself. It does not block.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.file);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("{} {}: cannot remove it: {error}", self.what, self.path.display());
        }
    }
}

/// Takes the lock, and leaves the process's id in it for whoever does not get it.
fn lock(path: &Path) -> Result<Flock<File>, String> {
    let options = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = options().map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // Only for the sentence below; without it the sentence is shorter.
            let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
            Ok(lock)
        }
        Err((file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let pid = file.take(16).read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
            let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            Err(format!("another daemon{pid} has it; one at a time can"))
        }
        Err((_, error)) => Err(format!("cannot lock {}: {error}", path.display())),
    }
}

/// Whether nothing has that name but perhaps a socket that nobody listens on.
fn check_free(path: &Path, kind: SockType) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot look at it: {error}")),
        Ok(file) if !file.file_type().is_socket() => return Err("there is something of that name that is no socket; remove it".to_owned()),
        Ok(_) => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let tried = socket(AddressFamily::Unix, kind, flags, None).and_then(|fd| connect(fd.as_raw_fd(), &UnixAddr::new(path)?));
    match tried {
        // Of another type, but somebody listens; with a full queue, too.
        Ok(()) | Err(Errno::EPROTOTYPE | Errno::EAGAIN) => Err("another daemon answers there; one at a time can".to_owned()),
        Err(Errno::ECONNREFUSED) => Ok(()),
        Err(error) => Err(format!("cannot tell whether another daemon answers there: {error}")),
    }
}

/// The id of a group, by its name or as a number: what `--group` says.
///
/// # Errors
/// A sentence.
pub fn group_id(name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("--group {name}: there is no group of that name")),
        Err(error) => Err(format!("--group {name}: {error}")),
    }
}
