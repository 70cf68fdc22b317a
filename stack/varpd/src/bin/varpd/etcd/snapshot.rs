//! What was known last? A file that a start without the store is served from.
//!
//! ```text
//! {"snapshot":1,"prefix":"/overlay","vnetid":77,"revision":4711,"at":"2026-01-31T12:00:00Z"}
//! vl2/02:08:20:0a:00:02 {"ip":"10.0.0.2","port":4789}
//! vl3/192.168.0.2 02:08:20:0a:00:02
//! end 2
//! ```

use super::index::Index;
use super::setup::Setup;
use overlay_api::file::{self, Mode};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// The version of the format.
const VERSION: u64 = 1;
/// Bytes of a line, at most.
const LINE_MAX: u64 = 128 << 10;

/// What a snapshot holds.
pub(super) struct Snapshot {
    pub(super) index: Index,
    /// When it was true.
    pub(super) at: String,
}

/// Writes what is known, as it was at this moment and revision.
///
/// # Errors
/// Whatever the system refuses; the file of before stays then.
pub(super) fn write(setup: &Setup, path: &Path, index: &Index, revision: i64, at: &str) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let head = serde_json::json!({
        "snapshot": VERSION, "prefix": setup.layout.prefix(), "vnetid": setup.vnet.get(), "revision": revision, "at": at,
    });
    let filled = file::write_with(path, Mode::Private, |file| {
        let mut out = BufWriter::new(file);
        writeln!(out, "{head}")?;
        let mut count = 0;
        for line in index.lines() {
            writeln!(out, "{line}")?;
            count += 1;
        }
        writeln!(out, "end {count}")?;
        out.flush()
    });
    filled.map_err(|error| error.to_string())
}

/// Reads a snapshot; none where there is no file.
///
/// # Errors
/// What is wrong with it: torn, of another version, or of another network.
pub(super) fn read(setup: &Setup, path: &Path, with_port: bool) -> Result<Option<Snapshot>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    let mut next = |line: &mut String| -> Result<bool, String> {
        line.clear();
        let read = io::Read::take(&mut lines, LINE_MAX).read_line(line).map_err(|error| error.to_string())?;
        if read > 0 && line.pop() != Some('\n') {
            return Err("a line is cut off, or longer than any is".to_owned());
        }
        Ok(read > 0)
    };
    next(&mut line)?;
    let head: Value = serde_json::from_str(&line).map_err(|_| "it does not begin as a snapshot does".to_owned())?;
    let wanted =
        [("snapshot", Value::from(VERSION)), ("prefix", Value::from(setup.layout.prefix())), ("vnetid", Value::from(setup.vnet.get()))];
    for (name, value) in wanted {
        let found = head.get(name).unwrap_or(&Value::Null);
        if *found != value {
            return Err(format!("{name} is {found}; {value} is wanted"));
        }
    }
    let at = head.get("at").and_then(Value::as_str).unwrap_or("an unknown time").chars().take(40).collect();
    let (mut index, mut count, base) = (Index::default(), 0u64, setup.layout.vnet(setup.vnet));
    while next(&mut line)? {
        let (name, value) = line.split_once(' ').ok_or_else(|| format!("line {} has no value", count + 2))?;
        if name == "end" {
            return if value == count.to_string() {
                Ok(Some(Snapshot { index, at }))
            } else {
                Err(format!("it says that it has {value} entries, and has {count}"))
            };
        }
        count += 1;
        index.put(&setup.layout, format!("{base}{name}").as_bytes(), value.as_bytes(), with_port, &mut |_| {})?;
    }
    Err("it is cut off".to_owned())
}
