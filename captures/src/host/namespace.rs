//! Which network namespaces are there, and how does code run inside one?
//!
//! A namespace is known by (device, inode) of its file in nsfs; names and process numbers are only ways to it, and may come to mean another
//! one. So every way is checked against the identity before it is used. No file is kept open: that would keep a namespace alive which
//! everyone else has left.
//!
//! Sources: network_namespaces(7), setns(2); ip-netns(8) for the folder of names.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::error::{HostError, HostErrorKind};

/// Where namespaces are kept by name: `ip netns`, podman, CRI-O and containerd use the first, which is the second where /var/run is a link.
const NAME_FOLDERS: [&str; 2] = ["/run/netns", "/var/run/netns"];
/// Where else container run-times keep them; their names are long numbers, so they are shown with the path. Containers that run are found
/// through their processes in any case.
const PATH_FOLDERS: [&str; 2] = ["/run/docker/netns", "/run/containerd/io.containerd.grpc.v1.cri/netns"];
/// The calling thread's own.
const OWN: &str = "/proc/thread-self/ns/net";
const NEEDS_ENTER: &str = "CAP_SYS_ADMIN (to enter another network namespace)";
const NEEDS_LOOK: &str = "root, or CAP_SYS_PTRACE (to look at another user's process)";

/// One network namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Namespace {
    label: Label,
    path: PathBuf,
    identity: Identity,
}

/// How a namespace was found, which is also how it is shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Label {
    Current,
    Name(String),
    Path(String),
    Process(u32, String),
}

/// Device and inode of the namespace's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Identity(u64, u64);

/// What a search for namespaces found.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Each namespace once: the current one first, then by name, by path, by the lowest process number.
    pub readable: Vec<Namespace>,
    /// Processes of other users that may not be looked at, so that namespaces only they are in are missing.
    pub unreadable_processes: usize,
}

impl Namespace {
    /// The namespace of the calling thread, under the name that it has in /run/netns, if any.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn current() -> Result<Self, HostError> {
        let identity = identity(Path::new(OWN)).map_err(|error| HostError::new("current network namespace", HostErrorKind::Io(error)))?;
        if let Some(named) = named().into_iter().find(|named| named.identity == identity) {
            return Ok(named);
        }
        let mut path = PathBuf::from("/proc/self/ns/net");
        if !self::identity(&path).is_ok_and(|main| main == identity) {
            // A thread that has gone elsewhere: its own path, because OWN would be the thread that opens it later.
            path = Path::new("/proc").join(fs::read_link("/proc/thread-self").unwrap_or_default()).join("ns/net");
        }
        Ok(Self { label: Label::Current, path, identity })
    }

    /// The namespace called `name` in /run/netns.
    ///
    /// # Errors
    /// When there is none; the error lists the names that there are.
    pub fn by_name(name: &str) -> Result<Self, HostError> {
        let mut found = named();
        if let Some(at) = found.iter().position(|namespace| matches!(&namespace.label, Label::Name(known) if known == name)) {
            return Ok(found.swap_remove(at));
        }
        let found = found.iter().map(ToString::to_string).collect();
        Err(HostError::new(format!("netns {name}"), HostErrorKind::NoSuchNamespace { found }))
    }

    /// The namespace of process `pid`.
    ///
    /// # Errors
    /// When there is no such process, or it is not ours to look at.
    pub fn by_pid(pid: u32) -> Result<Self, HostError> {
        let path = process_path(pid);
        let identity = identity(&path).map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::NotFound => HostErrorKind::NoSuchProcess,
                ErrorKind::PermissionDenied => HostErrorKind::NotPermitted { needs: NEEDS_LOOK },
                _ => HostErrorKind::Io(error),
            };
            HostError::new(format!("netns of pid {pid}"), kind)
        })?;
        Ok(Self { label: Label::Process(pid, command(pid)), path, identity })
    }

    /// The namespace whose file is at `path`, for example `/run/docker/netns/default`.
    ///
    /// # Errors
    /// When it cannot be read, or is no namespace.
    pub fn by_path(path: &Path) -> Result<Self, HostError> {
        let fail = |kind| HostError::new(format!("netns {}", path.display()), kind);
        let identity = identity(path).map_err(|error| fail(HostErrorKind::Io(error)))?;
        if namespace_device() != Some(identity.0) {
            return Err(fail(HostErrorKind::NotANamespace));
        }
        Ok(Self { label: Label::Path(path.display().to_string()), path: path.to_owned(), identity })
    }

    /// The namespace that an option means: a path where `text` has a slash, else a name, else the number of a process.
    ///
    /// # Errors
    /// As [`Self::by_path`], [`Self::by_name`] and [`Self::by_pid`].
    pub fn find(text: &str) -> Result<Self, HostError> {
        if text.contains('/') {
            return Self::by_path(Path::new(text));
        }
        let by_name = Self::by_name(text);
        match text.parse() {
            Ok(pid) if by_name.is_err() => Self::by_pid(pid),
            _ => by_name,
        }
    }

    /// Every namespace that can be found by name, in the folders of container run-times, or through a process.
    ///
    /// # Errors
    /// When not even the current one can be read.
    pub fn all() -> Result<Namespaces, HostError> {
        let current = Self::current()?;
        let device = current.identity.0;
        let mut found = named();
        found.extend(PATH_FOLDERS.iter().flat_map(|folder| files_in(folder)).filter_map(|path| Self::by_path(&path).ok()));
        let mut known: HashMap<Identity, Namespace> = HashMap::new();
        for namespace in found {
            known.entry(namespace.identity).or_insert(namespace);
        }
        known.insert(current.identity, current.clone());
        let mut unreadable_processes = 0;
        for pid in processes() {
            match identity(&process_path(pid)) {
                Ok(identity) if identity.0 == device => {
                    let process = || Self { label: Label::Process(pid, command(pid)), path: process_path(pid), identity };
                    known.entry(identity).or_insert_with(process);
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => unreadable_processes += 1,
                // Ended meanwhile.
                Ok(_) | Err(_) => {}
            }
        }
        let mut readable: Vec<Self> = known.into_values().collect();
        readable.sort_by(|a, b| (a.identity != current.identity, &a.label).cmp(&(b.identity != current.identity, &b.label)));
        Ok(Namespaces { readable, unreadable_processes })
    }

    /// Whether the calling thread is in it.
    #[must_use]
    pub fn is_current(&self) -> bool {
        identity(Path::new(OWN)).is_ok_and(|own| own == self.identity)
    }

    /// Whether both are the same namespace, by whatever names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Inode of the namespace, which `lsns` and `ip netns` diagnostics show.
    #[must_use]
    pub const fn inode(&self) -> u64 {
        self.identity.1
    }

    /// Runs `task` inside the namespace: on this thread where it is there already, else on a thread that enters it and then ends, so that
    /// no other code finds itself in the wrong namespace. Sockets and capture handles that are opened there stay in the namespace.
    ///
    /// # Errors
    /// When the namespace has ended or may not be entered; `task` has not run then.
    ///
    /// # Panics
    /// When `task` does.
    pub fn run<T: Send>(&self, task: impl FnOnce() -> T + Send) -> Result<T, HostError> {
        if self.is_current() {
            return Ok(task());
        }
        let file = self.open()?;
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|errno| self.cannot_enter(errno))?;
            Ok(task())
        };
        std::thread::scope(|scope| match std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, inside) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(self.fail(HostErrorKind::Io(error))),
        })
    }

    /// Its file, where the path still leads to the same namespace.
    pub(super) fn open(&self) -> Result<File, HostError> {
        let opened = File::open(&self.path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            Ok((file, metadata)) if Identity(metadata.dev(), metadata.ino()) == self.identity => Ok(file),
            Ok(_) => Err(self.fail(HostErrorKind::Gone)),
            Err(error) => Err(self.fail(match error.kind() {
                ErrorKind::NotFound => HostErrorKind::Gone,
                _ if self.has_ended() => HostErrorKind::Gone,
                ErrorKind::PermissionDenied => HostErrorKind::NotPermitted { needs: NEEDS_LOOK },
                _ => HostErrorKind::Io(error),
            })),
        }
    }

    /// Whether it is known by a process that has ended: one that does so while its file is opened may look as if it were not ours to see.
    fn has_ended(&self) -> bool {
        matches!(self.label, Label::Process(pid, _) if !Path::new("/proc").join(pid.to_string()).exists())
    }

    fn cannot_enter(&self, errno: Errno) -> HostError {
        self.fail(match errno {
            Errno::PERM => HostErrorKind::NotPermitted { needs: NEEDS_ENTER },
            // Of another kind (mount, pid): the kernel checks the kind, the device is the same for all.
            Errno::INVAL => HostErrorKind::NotANamespace,
            other => HostErrorKind::Io(other.into()),
        })
    }

    pub(super) fn fail(&self, kind: HostErrorKind) -> HostError {
        HostError::new(format!("netns {self}"), kind)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Label::Current => f.write_str("current"),
            Label::Name(name) | Label::Path(name) => f.write_str(name),
            Label::Process(pid, command) if command.is_empty() => write!(f, "pid {pid}"),
            Label::Process(pid, command) => write!(f, "pid {pid} ({command})"),
        }
    }
}

fn process_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// Follows the magic link, which is what needs permission.
fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|metadata| Identity(metadata.dev(), metadata.ino()))
}

/// The device of nsfs. A name whose namespace was unmounted is left as a plain file on another device.
fn namespace_device() -> Option<u64> {
    identity(Path::new(OWN)).ok().map(|own| own.0)
}

/// The namespaces that have a name, each folder once, sorted.
fn named() -> Vec<Namespace> {
    let device = namespace_device();
    let mut found: Vec<Namespace> = Vec::new();
    for path in NAME_FOLDERS.iter().flat_map(|folder| files_in(folder)) {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let label = Label::Name(name);
        match identity(&path) {
            Ok(identity) if Some(identity.0) == device && found.iter().all(|known| known.label != label) => {
                found.push(Namespace { label, path, identity });
            }
            // A file left behind, the same folder through its link, or one that went meanwhile.
            Ok(_) | Err(_) => {}
        }
    }
    found
}

/// The files of a folder, sorted; none where it cannot be read, which is what a host without that run-time looks like.
fn files_in(folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Every process number, lowest first.
fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The short command name of a process, which it may choose: control characters are not passed on to a terminal.
fn command(pid: u32) -> String {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    comm.trim_end_matches('\n').chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_namespace_is_the_first_and_everyone_agrees_on_it() {
        let current = Namespace::current().unwrap();
        assert!(current.is_current());
        assert!(current.is_same(&Namespace::by_pid(std::process::id()).unwrap()));
        assert!(current.is_same(&Namespace::by_path(Path::new("/proc/self/ns/net")).unwrap()));
        let all = Namespace::all().unwrap();
        assert!(all.readable[0].is_current(), "{all:?}");
        assert_eq!(all.readable.iter().filter(|namespace| namespace.is_current()).count(), 1);
        assert_eq!(current.run(|| 5).unwrap(), 5);
    }

    #[test]
    fn what_is_no_namespace_is_refused_with_a_sentence() {
        let text = |result: Result<Namespace, HostError>| result.unwrap_err().to_string();
        assert_eq!(text(Namespace::find("/etc/passwd")), "netns /etc/passwd: not a network namespace");
        assert_eq!(text(Namespace::find("4194305")), "netns of pid 4194305: no such process", "larger than any pid_max");
        assert!(text(Namespace::find("no-such-name")).starts_with("netns no-such-name: no such namespace; there are "));
        // It has the right device; only entering it shows that it is of another kind. Without the right to enter, that comes first.
        let mount = Namespace::by_path(Path::new("/proc/self/ns/mnt")).unwrap();
        let refused = mount.run(|| ()).unwrap_err().to_string();
        assert!(refused.ends_with("not a network namespace") || refused.contains("CAP_SYS_ADMIN"), "{refused}");
    }

    #[test]
    fn a_namespace_is_never_taken_for_the_one_that_came_after_it() {
        let current = Namespace::current().unwrap();
        let successor = Namespace { identity: Identity(current.identity.0, 1), label: Label::Name("old".to_owned()), ..current };
        assert_eq!(successor.run(|| ()).unwrap_err().to_string(), "netns old: has ended meanwhile");
    }
}
