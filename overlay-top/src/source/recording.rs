//! How is a session kept, and seen again? A line of JSON for each report; the first line says what it is.

use super::{Source, Telling};
use crate::rows::{Moment, Playback, Report, SECOND, TargetPart, Told};
use crate::wish::{Wish, select};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the first line says.
const SCHEMA: u32 = 1;
/// Longest line: more than a table of [`TARGETS`] targets takes.
const LINE_MAX_BYTES: u64 = 64 << 20;
/// Most targets that are recorded each time.
pub(crate) const TARGETS: usize = 10_000;
/// How much is read at once: what was read waits in memory until it was heard.
const AT_ONCE_BYTES: u64 = 4 << 20;
const PACE: Duration = Duration::from_millis(250);

#[derive(Serialize, Deserialize)]
struct First {
    recording: String,
    schema: u32,
}

/// Writes a recording.
pub(crate) struct Recorder {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Recorder {
    /// Makes the file; one that is there is not written over.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::options().write(true).create_new(true).open(path).map_err(failed)?;
        let mut recorder = Self { path: path.to_owned(), out: BufWriter::new(file) };
        recorder.line(&First { recording: "overlay-top".to_owned(), schema: SCHEMA })?;
        Ok(recorder)
    }

    /// Keeps what was told.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn keep(&mut self, all: &[Told]) -> Result<(), String> {
        let kept = all.iter().filter(|told| !matches!(told.report, Report::Done { .. } | Report::Playback(_)));
        kept.into_iter().try_for_each(|told| self.line(told))?;
        self.out.flush().map_err(|error| self.failed(&error))
    }

    fn line(&mut self, what: &impl Serialize) -> Result<(), String> {
        let written = serde_json::to_writer(&mut self.out, what).map_err(io::Error::from).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("{}: recording ended: {error}", self.path.display())
    }
}

/// A recording, played.
pub(crate) struct Replay {
    path: PathBuf,
    lines: BufReader<File>,
    number: u64,
    /// Bytes that were read, and how many of them make one look.
    bytes: u64,
    at_once: u64,
    has_more: bool,
    /// Read, and later than the place.
    next: Option<Told>,
    /// The last targets of each source.
    parts: BTreeMap<String, (Moment, TargetPart)>,
    /// Every source that was heard so far.
    heard: BTreeSet<String>,
    begin: Option<Moment>,
    place: Moment,
    clock: Option<Instant>,
    jumps: i64,
    over: bool,
    fault: Option<String>,
    whole: bool,
}

impl Replay {
    /// Opens a recording. With `whole`, the first look is at its end.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn open(path: PathBuf, whole: bool) -> Result<Self, String> {
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut replay = Self {
            path,
            lines: BufReader::new(file),
            number: 0,
            bytes: 0,
            at_once: AT_ONCE_BYTES,
            has_more: false,
            next: None,
            parts: BTreeMap::new(),
            heard: BTreeSet::new(),
            begin: None,
            place: 0,
            clock: None,
            jumps: 0,
            over: false,
            fault: None,
            whole,
        };
        let first: Option<First> = replay.line()?.and_then(|line| serde_json::from_slice(&line).ok());
        match first {
            Some(First { recording, schema: SCHEMA }) if recording == "overlay-top" => Ok(replay),
            Some(First { recording, schema }) if recording == "overlay-top" => {
                Err(format!("{}: a recording of schema {schema}; {SCHEMA} is understood", replay.path.display()))
            }
            _ => Err(format!("{}: not a recording of overlay-top; captures are read with -r", replay.path.display())),
        }
    }

    /// The next line; none at the end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let read = (&mut self.lines).take(LINE_MAX_BYTES).read_until(b'\n', &mut line);
        read.map_err(|error| format!("{}: {error}", self.path.display()))?;
        self.number += 1;
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        if line.len() as u64 == LINE_MAX_BYTES {
            return Err(format!("{}: line {} is longer than {LINE_MAX_BYTES} bytes", self.path.display(), self.number));
        }
        Ok((!line.is_empty()).then_some(line))
    }

    fn read_next(&mut self) -> Option<Told> {
        if let Some(told) = self.next.take() {
            return Some(told);
        }
        let read = self.line().and_then(|line| {
            let Some(line) = line else { return Ok(None) };
            let told = serde_json::from_slice(&line);
            told.map(Some).map_err(|error| format!("{}: line {}: {error}", self.path.display(), self.number))
        });
        match read {
            Ok(Some(told)) => Some(told),
            Ok(None) => {
                self.over = true;
                None
            }
            Err(sentence) => {
                (self.over, self.fault) = (true, Some(sentence));
                None
            }
        }
    }

    /// Passes on what was told up to the place, or a part of it.
    fn read_on(&mut self, telling: &mut Telling<'_>) {
        let end = self.bytes.saturating_add(self.at_once);
        self.has_more = false;
        while let Some(told) = self.read_next() {
            let begin = *self.begin.get_or_insert(told.at);
            self.place = self.place.max(begin);
            if !self.whole && told.at > self.place {
                self.next = Some(told);
                return;
            }
            if self.whole {
                self.place = self.place.max(told.at);
            }
            if !self.heard.contains(&told.by) {
                self.heard.insert(told.by.clone());
            }
            match told.report {
                Report::Targets(part) => {
                    self.parts.insert(told.by, (told.at, part));
                }
                _ => telling.pass_on(told),
            }
            if self.bytes >= end {
                self.has_more = true;
                return;
            }
        }
    }

    fn tell_targets(&self, wish: &Wish, telling: &mut Telling<'_>) {
        for (by, (at, part)) in &self.parts {
            let remark =
                (part.total > part.rows.len() as u64).then(|| format!("{by}: {} of {} targets were recorded", part.rows.len(), part.total));
            let part = TargetPart { remark, ..select(&part.rows, wish) };
            telling.pass_on(Told { at: *at, by: by.clone(), report: Report::Targets(part) });
        }
    }

    fn rewind(&mut self, place: Moment, telling: &mut Telling<'_>) {
        let (jumps, at_once, sources) = (self.jumps, self.at_once, std::mem::take(&mut self.heard));
        match Self::open(self.path.clone(), self.whole) {
            Ok(again) => {
                *self = again;
                (self.place, self.jumps, self.at_once, self.clock) = (place, jumps, at_once, Some(Instant::now()));
                for by in sources {
                    telling.pass_on(Told { at: place, by, report: Report::Restart });
                }
            }
            Err(sentence) => self.fault = Some(sentence),
        }
    }
}

impl Source for Replay {
    fn name(&self) -> String {
        "replay".to_owned()
    }

    fn look(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        let now = Instant::now();
        let passed = self.clock.map_or(Duration::ZERO, |clock| now.saturating_duration_since(clock));
        self.clock = Some(now);
        let step = passed.min(4 * PACE).as_secs_f64() * wish.pace.speed * SECOND as f64;
        let jump = (wish.pace.jumps - self.jumps).saturating_mul(SECOND as i64);
        self.jumps = wish.pace.jumps;
        // One that is read to its end at once goes by its own time only.
        if !self.over && !self.whole {
            self.place = self.place.saturating_add(step as u64);
        }
        if jump < 0 {
            let place = self.place.saturating_add_signed(jump).max(self.begin.unwrap_or(0));
            self.rewind(place, telling);
        } else if !self.over {
            self.place = self.place.saturating_add(jump.unsigned_abs());
        }
        self.read_on(telling);
        if self.has_more {
            return;
        }
        self.tell_targets(wish, telling);
        telling.at = self.place;
        let begin = self.begin.unwrap_or(self.place);
        telling.say(Report::Playback(Playback { begin, at: self.place, packets: 0, over: self.over, fault: self.fault.clone() }));
        telling.say(Report::Notes { sentences: self.fault.iter().cloned().collect() });
    }

    fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        // Who only wants targets gets those that were read so far; the next look reads on.
        self.has_more = false;
        self.tell_targets(wish, telling);
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn pace(&self) -> Option<Duration> {
        Some(if self.over { Duration::from_secs(1) } else { PACE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample::{BEGIN, second};
    use crate::wish::Pace;

    fn look(replay: &mut Replay, jumps: i64) -> Vec<Told> {
        let mut telling = Telling { at: 1, by: "replay", told: Vec::new() };
        let wish = Wish { pace: Pace { speed: 0.1, jumps }, limit: 100, ..Wish::first() };
        replay.look(&wish, &mut telling);
        telling.told
    }

    fn last_second(told: &[Told]) -> Option<u64> {
        let overlays = told.iter().filter(|told| matches!(told.report, Report::Overlays { .. }));
        overlays.map(|told| (told.at - BEGIN) / SECOND).next_back()
    }

    #[test]
    fn a_recording_is_played_at_the_pace_at_which_it_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.ndjson");
        let wish = Wish { limit: TARGETS, ..Wish::first() };
        let mut recorder = Recorder::create(&path).unwrap();
        (0..10).for_each(|number| recorder.keep(&second(number, &wish)).unwrap());
        drop(recorder);

        let mut replay = Replay::open(path.clone(), false).unwrap();
        assert_eq!(last_second(&look(&mut replay, 0)), Some(0));
        let told = look(&mut replay, 5);
        assert_eq!(last_second(&told), Some(5));
        let targets: Vec<u64> = told
            .iter()
            .filter_map(|told| match &told.report {
                Report::Targets(part) => Some(part.total),
                _ => None,
            })
            .collect();
        assert_eq!(targets, [4], "once, as they were last");
        assert_eq!(told.iter().filter(|told| matches!(told.report, Report::Event { .. })).count(), 2);
        let told = look(&mut replay, 2);
        assert!(told.iter().any(|told| told.report == Report::Restart && told.by == "overlayd"), "{told:?}");
        assert_eq!(last_second(&told), Some(2));
        assert_eq!(last_second(&look(&mut replay, 100)), Some(9));
        assert!(Recorder::create(&path).err().is_some_and(|sentence| sentence.contains("File exists")));
    }

    #[test]
    fn a_long_recording_is_told_in_parts_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.ndjson");
        let wish = Wish { limit: TARGETS, ..Wish::first() };
        let mut recorder = Recorder::create(&path).unwrap();
        (0..10).for_each(|number| recorder.keep(&second(number, &wish)).unwrap());
        drop(recorder);
        let whole = look(&mut Replay::open(path.clone(), true).unwrap(), 0);

        let mut replay = Replay::open(path, true).unwrap();
        replay.at_once = 3000;
        let (mut told, mut parts) = (look(&mut replay, 0), 1);
        while replay.has_more() {
            told.extend(look(&mut replay, 0));
            parts += 1;
        }
        assert!(parts > 5, "{parts}");
        assert_eq!(told, whole);
    }

    #[test]
    fn what_is_no_recording_or_a_broken_one_is_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let opened = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Replay::open(path.clone(), true)
        };
        for text in ["", "{}", "\n", "{\"recording\":\"other\",\"schema\":1}\n"] {
            let refused = opened(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(refused.contains("recording"), "{text}: {refused}");
        }
        assert!(
            opened("{\"recording\":\"overlay-top\",\"schema\":2}\n").err().unwrap().ends_with("a recording of schema 2; 1 is understood")
        );
        let mut replay = opened("{\"recording\":\"overlay-top\",\"schema\":1}\n{\"at\":1}\n").unwrap();
        let told = look(&mut replay, 0);
        let said = told.iter().find_map(|told| match &told.report {
            Report::Notes { sentences } => sentences.first().cloned(),
            _ => None,
        });
        assert!(said.as_ref().is_some_and(|sentence| sentence.contains("file: line 2: ")), "{said:?}");
    }
}
