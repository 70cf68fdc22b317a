//! How does a file survive a crash? Written beside its name, made durable, then renamed: there is the old file or the new one, never half
//! of either. And a file that cannot be read is set aside, never deleted.
//!
//! ```text
//! write:       .NAME.tmp-PID-N  ─ contents ─ fsync ─ rename ─► NAME ─ fsync of the directory
//! unreadable:  NAME ─ rename ─► NAME.quarantine-N
//! ```
//!
//! A crash leaves at most a temporary file behind; [`clean`] removes those.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many names are tried before it is an error that all of them exist.
const TRIES: u64 = 10_000;

/// Who may read a file that is written here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Its owner alone: 0600.
    Private,
    /// Everybody: 0644.
    Public,
}

impl Mode {
    const fn bits(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// What could not be done with which file, and why.
#[derive(Debug)]
pub struct FileError {
    /// The file that was meant.
    pub path: PathBuf,
    /// What was tried, as in "cannot ... it".
    pub doing: &'static str,
    /// Why not.
    pub source: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot {}: {}", self.path.display(), self.doing, self.source)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Puts what an attempt was and which file it was about to an error of the system.
fn because<'a>(path: &'a Path, doing: &'static str) -> impl Fn(io::Error) -> FileError + 'a {
    move |source| FileError { path: path.to_owned(), doing, source }
}

/// Replaces the file `path` by `contents`, or leaves it as it is.
///
/// # Errors
/// Whatever the system refuses, with the file and what was tried. After a failed fsync of the directory (the last step) the new
/// contents are in place but may not survive a crash; after any other error the old file is in place.
pub fn write(path: &Path, contents: &[u8], mode: Mode) -> Result<(), FileError> {
    write_with(path, mode, |file| file.write_all(contents))
}

/// As [`write()`], with contents that `fill` writes.
///
/// # Errors
/// As [`write()`]; an error of `fill` leaves the old file as it is.
pub fn write_with(path: &Path, mode: Mode, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), FileError> {
    let (mut file, temporary) = create_beside(path, mode)?;
    let written = fill(&mut file)
        .map_err(because(path, "write it"))
        // The mode given at creation is cut by the umask; this one is exact.
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode.bits())).map_err(because(path, "set its mode")))
        .and_then(|()| file.sync_all().map_err(because(path, "make it durable")))
        .and_then(|()| fs::rename(&temporary, path).map_err(because(path, "put it in place")));
    if written.is_err() {
        // Should this fail, too, `clean` finds it; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_directory(path)
}

/// Reads a file of at most `max_bytes` bytes of UTF-8.
///
/// # Errors
/// It cannot be opened or read, is no regular file (a pipe would block, a device never end), is larger, or is not UTF-8.
pub fn read(path: &Path, max_bytes: u64) -> Result<String, FileError> {
    let refused = |text: String| FileError { path: path.to_owned(), doing: "read it", source: io::Error::other(text) };
    // Asked before it is opened: opening a pipe waits for a writer. What was opened is asked again, as it may be another by then.
    let before = fs::metadata(path).map_err(because(path, "read it"))?;
    let regular = || refused("it is no regular file".to_owned());
    if !before.is_file() {
        return Err(regular());
    }
    let file = File::open(path).map_err(because(path, "open it"))?;
    if !file.metadata().map_err(because(path, "read it"))?.is_file() {
        return Err(regular());
    }
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(because(path, "read it"))?;
    if bytes.len() as u64 > max_bytes {
        return Err(refused(format!("it is larger than {max_bytes} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| refused(format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))
}

/// A file that was set aside. Its Display is the sentence for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quarantined {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is now.
    pub to: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: set aside as {}: {}", self.from.display(), self.to.display(), self.why)
    }
}

/// Sets an unreadable file aside as `NAME.quarantine-N`, N being the first number that is free. Nothing is overwritten or deleted.
///
/// # Errors
/// It does not exist or cannot be renamed; it stays where it is then.
pub fn quarantine(path: &Path, why: &str) -> Result<Quarantined, FileError> {
    let failed = because(path, "set it aside");
    let is_dir = fs::symlink_metadata(path).map_err(&failed)?.is_dir();
    for number in 1..=TRIES {
        let mut name = file_name(path, "set it aside")?.to_owned();
        name.push(format!(".quarantine-{number}"));
        let to = path.with_file_name(name);
        // rename(2) overwrites. So the name is reserved first, by something that only this call made, and that is overwritten.
        let reserved = if is_dir { fs::create_dir(&to) } else { OpenOptions::new().write(true).create_new(true).open(&to).map(drop) };
        match reserved {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(failed(error)),
        }
        if let Err(error) = fs::rename(path, &to) {
            let _ = if is_dir { fs::remove_dir(&to) } else { fs::remove_file(&to) };
            return Err(failed(error));
        }
        sync_directory(path)?;
        return Ok(Quarantined { from: path.to_owned(), to, why: why.to_owned() });
    }
    Err(failed(io::Error::other(format!("{TRIES} files of that name are set aside already"))))
}

/// Removes what writes of `path` left behind when their process died. For the one process that owns the file, before its first write:
/// the number of a process says nothing, in a container each start has the same one.
///
/// # Errors
/// The directory cannot be read, or a leftover not removed. How many were removed is the answer.
pub fn clean(path: &Path) -> Result<usize, FileError> {
    let failed = because(path, "remove leftovers of it");
    let prefix = temporary_prefix(file_name(path, "remove leftovers of it")?);
    let mut removed = 0;
    for entry in fs::read_dir(directory(path)).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let name = entry.file_name();
        let Some(suffix) = name.as_bytes().strip_prefix(prefix.as_bytes()) else { continue };
        let ours = suffix.split(|b| *b == b'-').count() == 2
            && suffix.split(|b| *b == b'-').all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
        if ours && entry.file_type().map_err(&failed)?.is_file() {
            fs::remove_file(entry.path()).map_err(&failed)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Makes a new file in the directory of `path`. Never opens one that exists, nor what a symbolic link there points to (O_EXCL).
fn create_beside(path: &Path, mode: Mode) -> Result<(File, PathBuf), FileError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let prefix = temporary_prefix(file_name(path, "write it")?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode.bits());
    for _ in 0..TRIES {
        let mut name = prefix.clone();
        name.push(format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(name);
        match options.open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(because(path, "write a file beside it")(error)),
        }
    }
    Err(because(path, "write a file beside it")(io::Error::other(format!("{TRIES} temporary files are there already"))))
}

fn temporary_prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".tmp-");
    prefix
}

fn file_name<'a>(path: &'a Path, doing: &'static str) -> Result<&'a OsStr, FileError> {
    path.file_name().ok_or_else(|| because(path, doing)(io::Error::other("it is not the name of a file")))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A rename is durable when its directory is.
fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(directory(path)).and_then(|directory| directory.sync_all()).map_err(because(path, "make its directory durable"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Room {
        dir: tempfile::TempDir,
        path: PathBuf,
    }

    impl Room {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("overlay.json");
            Self { dir, path }
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn put(&self, name: &str, contents: &str) {
            fs::write(self.dir.path().join(name), contents).unwrap();
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_left() {
        let room = Room::new();
        for (contents, mode, bits) in [("old", Mode::Public, 0o644), ("new", Mode::Private, 0o600)] {
            write(&room.path, contents.as_bytes(), mode).unwrap();
            assert_eq!(read(&room.path, 3).unwrap(), contents);
            assert_eq!(fs::metadata(&room.path).unwrap().permissions().mode() & 0o7777, bits);
            assert_eq!(room.names(), ["overlay.json"]);
        }
    }

    #[test]
    fn a_torn_write_leaves_the_old_file() {
        let room = Room::new();
        write(&room.path, b"old", Mode::Private).unwrap();
        let torn = write_with(&room.path, Mode::Private, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"))
        });
        let said = torn.unwrap_err().to_string();
        assert_eq!(said, format!("{}: cannot write it: no space left on device", room.path.display()));
        assert_eq!(read(&room.path, 100).unwrap(), "old");
        assert_eq!(room.names(), ["overlay.json"]);
    }

    #[test]
    fn a_crash_amid_a_write_leaves_the_old_file_and_a_leftover_that_is_cleaned() {
        let room = Room::new();
        write(&room.path, b"old", Mode::Private).unwrap();
        for leftover in [".overlay.json.tmp-1-0", ".overlay.json.tmp-77-123"] {
            room.put(leftover, "half of a new on");
        }
        for other in
            [".overlay.json.tmp-1", ".overlay.json.tmp-x-1", ".overlay.json.tmp-1-2-3", ".other.json.tmp-1-0", "overlay.json.tmp-1-0"]
        {
            room.put(other, "not ours");
        }
        assert_eq!(read(&room.path, 100).unwrap(), "old");
        assert_eq!(clean(&room.path).unwrap(), 2);
        assert_eq!(room.names().len(), 6, "{:?}", room.names());
        assert_eq!(clean(&room.path).unwrap(), 0);
        assert_eq!(read(&room.path, 100).unwrap(), "old");
    }

    #[test]
    fn a_link_at_a_temporary_name_is_not_followed() {
        let room = Room::new();
        let victim = room.dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        // Tests of one process share the counter, so the next names are within the next thousand.
        for number in 0..1000 {
            let name = format!(".overlay.json.tmp-{}-{number}", std::process::id());
            symlink(&victim, room.dir.path().join(name)).unwrap();
        }
        write(&room.path, b"new", Mode::Private).unwrap();
        assert_eq!((read(&room.path, 100).unwrap().as_str(), fs::read_to_string(&victim).unwrap().as_str()), ("new", "precious"));
        assert_eq!(clean(&room.path).unwrap(), 0, "links are not ours");
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_replaced_and_its_target_kept() {
        let room = Room::new();
        room.put("elsewhere", "precious");
        symlink("elsewhere", &room.path).unwrap();
        write(&room.path, b"new", Mode::Public).unwrap();
        assert_eq!(fs::read_to_string(room.dir.path().join("elsewhere")).unwrap(), "precious");
        assert!(fs::symlink_metadata(&room.path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_says_so_and_leaves_nothing() {
        let room = Room::new();
        fs::create_dir(&room.path).unwrap();
        let error = write(&room.path, b"new", Mode::Public).unwrap_err();
        assert!(error.to_string().contains("overlay.json: cannot put it in place: "), "{error}");
        assert_eq!(room.names(), ["overlay.json"]);
        let error = write(&room.dir.path().join("no/such/file"), b"new", Mode::Public).unwrap_err();
        assert!(error.to_string().contains("no/such/file: cannot write a file beside it: "), "{error}");
        let error = write(Path::new("/"), b"new", Mode::Public).unwrap_err();
        assert_eq!(error.to_string(), "/: cannot write it: it is not the name of a file");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let room = Room::new();
        let said = |result: Result<String, FileError>| result.unwrap_err().to_string().rsplit_once(": ").unwrap().1.to_owned();
        assert!(said(read(&room.path, 3)).starts_with("No such file"));
        room.put("overlay.json", "four");
        assert_eq!(said(read(&room.path, 3)), "it is larger than 3 bytes");
        assert_eq!(read(&room.path, u64::MAX).unwrap(), "four");
        fs::write(&room.path, b"ab\xff").unwrap();
        assert_eq!(said(read(&room.path, 3)), "it is not UTF-8 at byte 2");
        assert_eq!(said(read(room.dir.path(), 3)), "it is no regular file");
        assert_eq!(said(read(Path::new("/dev/zero"), 3)), "it is no regular file");
    }

    #[test]
    fn the_unreadable_is_set_aside_under_a_name_of_its_own() {
        let room = Room::new();
        room.put("overlay.json.quarantine-1", "an older one");
        for number in [2, 3] {
            room.put("overlay.json", &format!("bad {number}"));
            let aside = quarantine(&room.path, "line 1: no JSON").unwrap();
            assert_eq!(aside.to, room.dir.path().join(format!("overlay.json.quarantine-{number}")));
            let told = format!("{}: set aside as {}: line 1: no JSON", room.path.display(), aside.to.display());
            assert_eq!(aside.to_string(), told);
            assert_eq!(fs::read_to_string(&aside.to).unwrap(), format!("bad {number}"));
            assert!(!room.path.exists());
        }
        assert_eq!(fs::read_to_string(room.dir.path().join("overlay.json.quarantine-1")).unwrap(), "an older one");
        let error = quarantine(&room.path, "gone").unwrap_err();
        assert!(error.to_string().contains("cannot set it aside: No such file"), "{error}");
        assert_eq!(room.names().len(), 3);
    }

    #[test]
    fn a_directory_where_a_file_should_be_is_set_aside_with_what_is_in_it() {
        let room = Room::new();
        fs::create_dir(&room.path).unwrap();
        fs::write(room.path.join("kept"), "kept").unwrap();
        let aside = quarantine(&room.path, "it is no regular file").unwrap();
        assert_eq!(fs::read_to_string(aside.to.join("kept")).unwrap(), "kept");
    }
}
