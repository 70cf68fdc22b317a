//! Where do captured packets go? One file, or files that take turns by size, time and number.
//!
//! Files that take turns are opened by the [`Opener`], because by then this process may open nothing.

use crate::opener::{FileName, NamePattern, Opener};
use overlay_captures::live::Counts;
use overlay_captures::{Format, Interface, LinkType, Record, Statistics, Timestamp, WriteError, Writer};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `-C` counts in, as tcpdump does.
const SIZE_UNIT_BYTES: u64 = 1_000_000;

/// When a file has been written to long enough. All that are set count, whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    /// `-C`: millions of bytes.
    pub(crate) size: Option<u64>,
    /// `-G`: seconds of capture.
    pub(crate) seconds: Option<u64>,
    /// `-W`: files that are kept, the newest.
    pub(crate) keep: Option<usize>,
}

impl Turns {
    /// Whether files take turns at all.
    pub(crate) const fn any(&self) -> bool {
        self.size.is_some() || self.seconds.is_some()
    }
}

/// Why a packet could not be recorded.
#[derive(Debug)]
pub(crate) enum RecordingError {
    /// Writing failed.
    Write(WriteError),
    /// The next file could not be opened, or the oldest not be removed.
    Open(io::Error),
}

impl RecordingError {
    /// Whether the reader of our output went away.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.is_broken_pipe())
    }
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
        }
    }
}

impl From<WriteError> for RecordingError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// How the files of a recording are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    /// The link type, where there is just one.
    pub(crate) link: Option<LinkType>,
    pub(crate) snaplen: Option<u32>,
}

impl Shape {
    fn dress(self, writer: Writer) -> Result<Writer, WriteError> {
        let writer = match self.snaplen {
            Some(snaplen) => writer.with_snaplen(snaplen),
            None => writer,
        };
        match self.link {
            Some(link) => writer.with_link(link),
            None => Ok(writer),
        }
    }
}

/// A capture that is being written.
pub(crate) struct Recording {
    writer: Option<Writer>,
    shape: Shape,
    rotation: Option<Rotation>,
    /// When the first packet of this file was seen.
    since: Option<Timestamp>,
    /// What the handles had counted when this file began: each file tells what was lost during it.
    before: Vec<(Arc<Interface>, Counts)>,
}

struct Rotation {
    opener: Opener,
    names: FileNames,
    turns: Turns,
    written: VecDeque<FileName>,
}

impl Recording {
    /// One file, or standard output for `-`.
    pub(crate) fn to_file(path: &Path, shape: Shape) -> Result<Self, RecordingError> {
        let writer = shape.dress(Writer::create(path, shape.format)?)?;
        Ok(Self { writer: Some(writer), shape, rotation: None, since: None, before: Vec::new() })
    }

    /// Files that take turns; the first is opened with the first packet.
    pub(crate) fn in_turns(opener: Opener, names: FileNames, turns: Turns, shape: Shape) -> Self {
        let rotation = Rotation { opener, names, turns, written: VecDeque::new() };
        Self { writer: None, shape, rotation: Some(rotation), since: None, before: Vec::new() }
    }

    /// What the opener gave up, for `-v`.
    pub(crate) fn opener_rights(&self) -> Option<&str> {
        self.rotation.as_ref().map(|rotation| rotation.opener.rights())
    }

    /// Adds a packet; `counts` is asked where a file ends before it.
    pub(crate) fn write(
        &mut self,
        record: &Record<'_>,
        counts: &mut dyn FnMut() -> Vec<(Arc<Interface>, Counts)>,
    ) -> Result<(), RecordingError> {
        if self.is_due(record.timestamp) {
            self.end_file(counts)?;
        }
        if self.writer.is_none()
            && let Some(rotation) = &mut self.rotation
        {
            let file = rotation.next_file(record.timestamp)?;
            self.writer = Some(self.shape.dress(Writer::new(file, self.shape.format))?);
            self.since = record.timestamp;
        }
        if let Some(writer) = &mut self.writer {
            writer.write(record)?;
        }
        Ok(())
    }

    fn is_due(&self, time: Option<Timestamp>) -> bool {
        let (Some(rotation), Some(writer)) = (&self.rotation, &self.writer) else { return false };
        let Turns { size, seconds, .. } = rotation.turns;
        let age = match (self.since, time) {
            (Some(since), Some(time)) => time.since(since) / 1_000_000_000,
            _ => 0,
        };
        size.is_some_and(|size| writer.bytes() >= size.saturating_mul(SIZE_UNIT_BYTES))
            || seconds.is_some_and(|seconds| age >= i128::from(seconds))
    }

    /// Brings everything to the file.
    pub(crate) fn flush(&mut self) -> Result<(), RecordingError> {
        if let Some(writer) = &mut self.writer {
            writer.flush()?;
        }
        Ok(())
    }

    /// Ends the recording.
    pub(crate) fn finish(&mut self, counts: &mut dyn FnMut() -> Vec<(Arc<Interface>, Counts)>) -> Result<(), RecordingError> {
        self.end_file(counts)
    }

    fn end_file(&mut self, counts: &mut dyn FnMut() -> Vec<(Arc<Interface>, Counts)>) -> Result<(), RecordingError> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let now = counts();
        for (interface, counts) in &now {
            let before =
                self.before.iter().find(|(known, _)| Arc::ptr_eq(known, interface)).map_or_else(Counts::default, |(_, counts)| *counts);
            let statistics = Statistics {
                received: Some(counts.received.saturating_sub(before.received)),
                dropped_by_interface: Some(counts.interface_dropped.saturating_sub(before.interface_dropped)),
                dropped_by_system: Some(counts.dropped.saturating_sub(before.dropped)),
            };
            writer.set_statistics(interface, statistics)?;
        }
        self.before = now;
        writer.finish()?;
        Ok(())
    }
}

impl Rotation {
    fn next_file(&mut self, time: Option<Timestamp>) -> Result<std::fs::File, RecordingError> {
        let refuse = |error: &dyn fmt::Display| RecordingError::Open(io::Error::other(error.to_string()));
        let name = self.opener.pattern().name(&self.names.next(time)).map_err(|error| refuse(&error))?;
        let file = self.opener.open(&name).map_err(RecordingError::Open)?;
        self.written.push_back(name);
        if let Some(keep) = self.turns.keep {
            while self.written.len() > keep {
                if let Some(oldest) = self.written.pop_front() {
                    self.opener.remove(&oldest).map_err(RecordingError::Open)?;
                }
            }
        }
        Ok(file)
    }
}

/// The names of files that take turns, made of the path that `-w` gives: `capture.pcapng` becomes `capture-00001.pcapng` and on, and
/// `capture-%H%M%S.pcapng` the time of its first packet, with `-2` behind it where that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileNames {
    folder: PathBuf,
    prefix: String,
    /// What strftime fills in; nothing where files are numbered.
    time: String,
    suffix: String,
    count: u32,
    last: String,
}

impl FileNames {
    /// The names that a path stands for.
    ///
    /// # Errors
    ///
    /// A sentence, where the path has no file name, one that is no text, or a conversion that strftime does not know.
    pub(crate) fn of(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let name = path.file_name().ok_or_else(|| format!("{shown}: no name of a file"))?;
        let name = name.to_str().ok_or_else(|| format!("{shown}: the name of files that take turns must be UTF-8"))?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let names = |prefix: &str, time: &str, suffix: &str| Self {
            folder,
            prefix: prefix.into(),
            time: time.into(),
            suffix: suffix.into(),
            count: 0,
            last: String::new(),
        };
        if let (Some(first), Some(last)) = (name.find('%'), name.rfind('%')) {
            // One character follows a percent sign; what is behind the last of them stays as it is.
            let end = name[last..].chars().take(2).map(char::len_utf8).sum::<usize>() + last;
            let names = names(&name[..first], &name[first..end], &name[end..]);
            let filled = names.filled(jiff::Timestamp::UNIX_EPOCH);
            return match filled {
                Some(text) if !text.contains('/') => Ok(names),
                _ => Err(format!("{shown}: '{}' is no time that strftime(3) knows and a file name can hold", names.time)),
            };
        }
        match name.rfind('.').filter(|at| *at > 0) {
            Some(at) => Ok(names(&format!("{}-", &name[..at]), "", &name[at..])),
            None => Ok(names(&format!("{name}-"), "", "")),
        }
    }

    /// The folder of the files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The pattern that all names fit.
    pub(crate) fn pattern(&self) -> Result<NamePattern, String> {
        let made = if self.time.is_empty() { NamePattern::numbered } else { NamePattern::timed };
        made(&self.prefix, &self.suffix).map_err(|error| error.to_string())
    }

    fn filled(&self, time: jiff::Timestamp) -> Option<String> {
        jiff::fmt::strtime::format(&self.time, &time.to_zoned(jiff::tz::TimeZone::system())).ok()
    }

    fn next(&mut self, time: Option<Timestamp>) -> String {
        let Self { prefix, suffix, .. } = self;
        if self.time.is_empty() {
            self.count += 1;
            return format!("{prefix}{:05}{suffix}", self.count);
        }
        let seconds = time.map_or(0, |time| time.seconds);
        // Times that jiff does not reach stand in no packet that was captured now.
        let middle = jiff::Timestamp::from_second(seconds).ok().and_then(|time| self.filled(time)).unwrap_or_default();
        self.count = if middle == self.last { self.count + 1 } else { 1 };
        let Self { prefix, suffix, count, .. } = self;
        let name = if *count == 1 { format!("{prefix}{middle}{suffix}") } else { format!("{prefix}{middle}-{count}{suffix}") };
        self.last = middle;
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_numbered_before_its_extension() {
        let mut names = FileNames::of(Path::new("/var/tmp/all.pcapng")).unwrap();
        assert_eq!(names.folder(), Path::new("/var/tmp"));
        assert_eq!([names.next(None), names.next(None)], ["all-00001.pcapng", "all-00002.pcapng"]);
        assert_eq!(FileNames::of(Path::new("all")).unwrap().next(None), "all-00001");
        assert_eq!(FileNames::of(Path::new(".hidden")).unwrap().next(None), ".hidden-00001");
        assert_eq!(FileNames::of(Path::new("x.pcap")).unwrap().folder(), Path::new("."));
    }

    #[test]
    fn a_name_with_a_time_is_filled_in_and_numbered_where_it_is_taken() {
        let mut names = FileNames::of(Path::new("at-%s.pcap")).unwrap();
        let at = |seconds| Some(Timestamp::new(seconds, 5));
        let made = [names.next(at(7)), names.next(at(7)), names.next(at(8)), names.next(at(8))];
        assert_eq!(made, ["at-7.pcap", "at-7-2.pcap", "at-8.pcap", "at-8-2.pcap"]);
        let pattern = names.pattern().unwrap();
        assert!(made.iter().all(|name| pattern.name(name).is_ok()));
    }

    #[test]
    fn a_path_that_is_no_pattern_of_names_is_refused_with_a_sentence() {
        for bad in ["/", "..", "x%", "x%D.pcap", "x%!"] {
            let refusal = FileNames::of(Path::new(bad));
            assert!(refusal.is_err(), "{bad} was taken: {refusal:?}");
        }
    }
}
