//! How does a capture get out? Whole, or not at all.

use overlay_api::file::{self, Mode};
use overlay_captures::{Format, Writer};
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Why nothing was written: a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OutputError(pub(crate) String);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OutputError {
    /// What standard output could not take; nothing is said of a reader that has seen enough.
    pub(crate) fn of_io(name: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self(String::new()) } else { Self(format!("{name}: {error}")) }
    }

    /// Whether a reader has seen enough.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<file::FileError> for OutputError {
    fn from(error: file::FileError) -> Self {
        Self(error.to_string())
    }
}

/// A capture file that is being written.
pub(crate) struct Output;

impl Output {
    /// Writes a capture. A file has its name only when `fill` is done and everything is on the disk; standard output (`-`), pipes and
    /// devices get it as it comes.
    pub(crate) fn write(path: &Path, format: Format, fill: impl FnOnce(&mut Writer) -> Result<(), OutputError>) -> Result<(), OutputError> {
        let said = |error: overlay_captures::WriteError| OutputError(error.to_string());
        if path == Path::new("-") || fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let mut writer = Writer::create(path, format).map_err(said)?;
            fill(&mut writer)?;
            return writer.finish().map(drop).map_err(said);
        }
        let filled = Self::whole(path, |file| {
            let mut writer = Writer::new(file, format);
            fill(&mut writer)?;
            writer.finish().map(drop).map_err(said)
        });
        // What has no name yet is called "capture" by its writer.
        filled.map_err(|error| match error.0.strip_prefix("capture: ") {
            Some(rest) => OutputError(format!("{}: {rest}", path.display())),
            None => error,
        })
    }

    /// Writes a file of any kind, likewise.
    pub(crate) fn whole(path: &Path, fill: impl FnOnce(fs::File) -> Result<(), OutputError>) -> Result<(), OutputError> {
        // A name that stands for another file stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut why = None;
        let written = file::write_with(&path, Mode::Public, |file| {
            fill(file.try_clone()?).map_err(|error| {
                why = Some(error);
                io::Error::other("not written")
            })
        });
        match (why, written) {
            (Some(why), _) => Err(why),
            (None, written) => Ok(written?),
        }
    }

    /// Writes lines: to standard output for `-`, else as a file.
    pub(crate) fn lines(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<(), OutputError>) -> Result<(), OutputError> {
        if path == Path::new("-") {
            return buffered(io::stdout().lock(), "standard output", fill);
        }
        let name = path.display().to_string();
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let file = fs::OpenOptions::new().write(true).open(path).map_err(|error| OutputError(format!("{name}: {error}")))?;
            return buffered(file, &name, fill);
        }
        Self::whole(path, |file| buffered(file, &name, fill))
    }
}

fn buffered(sink: impl Write, name: &str, fill: impl FnOnce(&mut dyn Write) -> Result<(), OutputError>) -> Result<(), OutputError> {
    let mut buffered = io::BufWriter::with_capacity(256 * 1024, sink);
    fill(&mut buffered)?;
    buffered.flush().map_err(|error| OutputError::of_io(name, &error))
}

/// How far it is, for somebody who waits at a terminal.
pub(crate) struct Progress {
    whole: u64,
    word: &'static str,
    unit: Unit,
    shown: Option<Instant>,
    started: Instant,
    visible: bool,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Bytes,
    Packets,
}

/// Work that is done sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(200);

impl Progress {
    /// Over the bytes of a file.
    pub(crate) fn over(path: &Path, word: &'static str) -> Self {
        let whole = fs::metadata(path).ok().filter(fs::Metadata::is_file).map_or(0, |found| found.len());
        Self::new(whole, Unit::Bytes, word)
    }

    /// Over so many packets; over an unknown number for 0.
    pub(crate) fn of_packets(whole: u64, word: &'static str) -> Self {
        Self::new(whole, Unit::Packets, word)
    }

    fn new(whole: u64, unit: Unit, word: &'static str) -> Self {
        Self { whole, word, unit, shown: None, started: Instant::now(), visible: io::stderr().is_terminal() }
    }

    /// So much is done.
    pub(crate) fn at(&mut self, done: u64) {
        if !self.visible {
            return;
        }
        let now = Instant::now();
        if now - self.started < PATIENCE || self.shown.is_some_and(|shown| now - shown < STEP) {
            return;
        }
        self.shown = Some(now);
        let (count, unit) = match self.unit {
            Unit::Bytes => (done >> 20, "MiB"),
            Unit::Packets => (done, "packets"),
        };
        // Of a compressed file, more comes out than its length.
        let line = match self.whole {
            whole if whole >= done && whole > 0 => {
                let percent = (u128::from(done) * 100 / u128::from(whole)) as usize;
                format!("\r[{:<25}] {percent:>3} %, {count} {unit} {}", "#".repeat(percent / 4), self.word)
            }
            _ => format!("\r{count} {unit} {}", self.word),
        };
        // Nobody is harmed if it is not seen.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// All is done.
    pub(crate) fn done(&mut self) {
        if self.shown.take().is_some() {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done();
    }
}
