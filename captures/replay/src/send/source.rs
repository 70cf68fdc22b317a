//! Which packet is next? A capture, read once or again and again; a file that fits is kept in memory, so that no disk disturbs the time.

use crate::output::OutputError;
use overlay_captures::{Chunk, LinkType, ReadError, Reader, Record, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of all captures that are kept in memory: half of what the whole program may take.
const KEPT_MAX_BYTES: usize = 32 << 20;

/// A capture.
pub(crate) struct Source {
    path: PathBuf,
    kept: Vec<Chunk>,
    /// Of a capture that is not kept: what is being read.
    reader: Option<Reader>,
    window: Chunk,
    /// The chunk and the record in it that come next.
    chunk: usize,
    pub(crate) record: usize,
    /// The time of the last record that had one, so that time does not go back.
    last: u64,
    /// What was learned by reading all of it beforehand.
    pub(crate) survey: Survey,
}

/// What is known before anything is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Survey {
    /// Records, where they were counted.
    pub(crate) records: Option<u64>,
    /// Records of Ethernet among those that were looked at.
    pub(crate) ethernet: u64,
    /// The first time and the latest.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
}

fn said(error: ReadError) -> OutputError {
    OutputError(error.to_string())
}

impl Source {
    /// Opens a capture. A file is read to its end, so that one that is damaged is refused before anything is sent; a pipe cannot be.
    /// `room` is what is left of the memory for captures, `once` whether it is sent only once.
    pub(crate) fn open(path: &Path, room: &mut usize, once: bool) -> Result<Self, OutputError> {
        let is_file = path != Path::new("-") && fs::metadata(path).is_ok_and(|found| found.is_file());
        if !is_file && !once && fs::metadata(path).is_ok() {
            return Err(OutputError(format!("{}: no file, and can be read only once; without --loop it is", reader_name(path))));
        }
        let mut reader = Reader::open(path).map_err(said)?;
        let mut source = Self {
            path: path.to_owned(),
            kept: Vec::new(),
            reader: None,
            window: Chunk::new(),
            chunk: 0,
            record: 0,
            last: 0,
            survey: Survey::default(),
        };
        if !is_file {
            reader.next_chunk(&mut source.window).map_err(said)?;
            source.survey.look(&source.window);
            source.reader = Some(reader);
        } else {
            let (mut whole, mut chunk) = (true, Chunk::new());
            while reader.next_chunk(&mut chunk).map_err(said)? {
                source.survey.look(&chunk);
                let bytes = chunk.memory_bytes();
                whole &= bytes <= *room;
                if whole {
                    *room -= bytes;
                    source.kept.push(std::mem::take(&mut chunk));
                }
            }
            source.survey.records = Some(reader.records());
            if !whole {
                *room += source.kept.iter().map(Chunk::memory_bytes).sum::<usize>();
                source.kept = Vec::new();
                source.rewind()?;
            }
        }
        if source.survey.ethernet == 0 {
            let what = if source.current().is_none_or(Chunk::is_empty) { "no packets" } else { "no Ethernet frames" };
            return Err(OutputError(format!("{}: it has {what}; Ethernet frames are what can be sent", reader_name(path))));
        }
        Ok(source)
    }

    /// The memory for captures.
    pub(crate) const fn room() -> usize {
        KEPT_MAX_BYTES
    }

    /// Begins again.
    pub(crate) fn rewind(&mut self) -> Result<(), OutputError> {
        (self.chunk, self.record, self.last) = (0, 0, 0);
        if self.kept.is_empty() {
            let mut reader = Reader::open(&self.path).map_err(said)?;
            reader.next_chunk(&mut self.window).map_err(said)?;
            self.reader = Some(reader);
        }
        Ok(())
    }

    /// What the next records are in.
    pub(crate) fn current(&self) -> Option<&Chunk> {
        if self.kept.is_empty() { Some(&self.window) } else { self.kept.get(self.chunk) }
    }

    /// The same, to be taken out and put back.
    pub(crate) fn current_mut(&mut self) -> &mut Chunk {
        // The window stands in for a chunk beyond the last, of which nobody asks.
        if self.kept.is_empty() { &mut self.window } else { self.kept.get_mut(self.chunk).unwrap_or(&mut self.window) }
    }

    /// Whether there is another record; reads on where it must.
    pub(crate) fn has_next(&mut self) -> Result<bool, OutputError> {
        loop {
            match self.current() {
                None => return Ok(false),
                Some(chunk) if self.record < chunk.len() => return Ok(true),
                Some(_) => self.record = 0,
            }
            match &mut self.reader {
                None => self.chunk += 1,
                Some(reader) => {
                    if !reader.next_chunk(&mut self.window).map_err(said)? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// When the next record was captured, in nanoseconds after `origin`; never before the one that came before it.
    pub(crate) fn captured_ns(&self, origin: Timestamp) -> u64 {
        self.current().and_then(|chunk| chunk.get(self.record)).map_or(self.last, |record| after(&record, origin, self.last))
    }

    /// Goes on behind so many records, the last of which was captured then.
    pub(crate) fn pass(&mut self, records: usize, captured_ns: u64) {
        self.record += records;
        self.last = captured_ns;
    }

    /// How messages and the report call it.
    pub(crate) fn name(&self) -> String {
        reader_name(&self.path)
    }
}

/// When a record was captured, after `origin` and not before `last`.
pub(crate) fn after(record: &Record<'_>, origin: Timestamp, last: u64) -> u64 {
    let since = record.timestamp.map_or(0, |time| time.since(origin));
    // Some 280 years: more is no time at which anything was captured.
    u64::try_from(since.clamp(0, i128::from(u64::MAX / 2))).unwrap_or(0).max(last)
}

impl Survey {
    fn look(&mut self, chunk: &Chunk) {
        for record in chunk.records() {
            self.ethernet += u64::from(record.link == LinkType::ETHERNET);
            if let Some(time) = record.timestamp {
                self.first = Some(self.first.unwrap_or(time));
                self.last = self.last.max(Some(time));
            }
        }
    }
}

fn reader_name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
