//! How is a mapping file read? Whole, bounded, and never waiting for anybody who would have to write it first.

use overlay_api::Mapping;
use overlay_api::mapping::MAPPING_MAX_BYTES;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that has changed so shortly before it was looked at may change again without looking different: clocks of file systems tick every
/// few milliseconds.
const FRESH: Duration = Duration::from_millis(100);

/// Which file it is, and what it was like: if any of it is another, it has to be read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// It changed a moment before it was looked at.
    fresh: bool,
}

impl Stamp {
    /// All that is known of the file is what it was: if it was fresh, only the contents can tell whether it was written to since.
    pub(crate) fn is_of_the_same_file(self, before: Self) -> bool {
        Self { fresh: before.fresh, ..self } == before
    }
}

/// What the path leads to now, through whatever links; none if that is nothing that could be read.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed = u64::try_from(file.ctime()).unwrap_or(0);
    let changed = Duration::new(changed, u32::try_from(file.ctime_nsec()).unwrap_or(0));
    Some(Stamp {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
        fresh: now.saturating_sub(changed) < FRESH,
    })
}

/// Why a file gives no mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReadProblem {
    /// What the system refuses, or the first mistake with line, column and key.
    pub(crate) sentence: String,
    /// The system may do it another time, although the file is the same: no descriptor was left, a server did not answer.
    pub(crate) passing: bool,
}

impl ReadProblem {
    /// It is so until the file is another one.
    pub(crate) fn lasting(sentence: String) -> Self {
        Self { sentence, passing: false }
    }

    fn of_system(name: &str, error: &io::Error) -> Self {
        // A file that comes has a stamp then.
        Self { sentence: format!("{name}: cannot be read: {error}"), passing: error.kind() != ErrorKind::NotFound }
    }
}

/// The mapping in a file.
///
/// # Errors
/// Why there is none.
pub(crate) fn read(path: &Path) -> Result<Mapping, ReadProblem> {
    let name = path.display().to_string();
    let cannot = |error: io::Error| ReadProblem::of_system(&name, &error);
    // A FIFO without a writer would be waited for.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(ReadProblem::lasting(format!("{name}: is no regular file; a file of JSON is allowed")));
    }
    let text = text_of(&name, file, about.len())?;
    Mapping::parse(&name, &text).map_err(|error| ReadProblem::lasting(error.to_string()))
}

/// The whole text.
fn text_of(name: &str, file: File, size: u64) -> Result<String, ReadProblem> {
    let most = MAPPING_MAX_BYTES as u64;
    if size > most {
        return Err(ReadProblem::lasting(format!("{name}: has {size} bytes; at most {most} are allowed")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // It may grow meanwhile; the parser refuses what is too long.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| ReadProblem::of_system(name, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or(&[]);
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(good).chars().rev().take_while(|letter| *letter != '\n').count();
        ReadProblem::lasting(format!("{name}:{line}:{column}: is not UTF-8; JSON has to be"))
    })
}
