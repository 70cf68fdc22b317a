//! How is a mapping file read? Whole, bounded, and never waiting for anybody who would have to write it first.

use overlay_api::Mapping;
use overlay_api::mapping::MAPPING_MAX_BYTES;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::Read;
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

/// The mapping in a file.
///
/// # Errors
/// A sentence: what the system refuses, or the first mistake with line, column and key.
pub(crate) fn read(path: &Path) -> Result<Mapping, String> {
    let name = path.display().to_string();
    let cannot = |error: &dyn std::fmt::Display| format!("{name}: cannot be read: {error}");
    // A FIFO without a writer would be waited for.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).map_err(|error| cannot(&error))?;
    let about = file.metadata().map_err(|error| cannot(&error))?;
    if !about.is_file() {
        return Err(format!("{name}: is no regular file; a file of JSON is allowed"));
    }
    let text = text_of(file, about.len()).map_err(|problem| format!("{name}{problem}"))?;
    Mapping::parse(&name, &text).map_err(|error| error.to_string())
}

/// The whole text. The error goes on after the file's name.
fn text_of(file: File, size: u64) -> Result<String, String> {
    let most = MAPPING_MAX_BYTES as u64;
    if size > most {
        return Err(format!(": has {size} bytes; at most {most} are allowed"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // It may grow meanwhile; the parser refuses what is too long.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!(": cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or(&[]);
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(good).chars().rev().take_while(|letter| *letter != '\n').count();
        format!(":{line}:{column}: is not UTF-8; JSON has to be")
    })
}
