//! What happened in a capture? It is played, with the time under the user's control: paused, faster, forward and back.

use super::observed::{Observed, moment};
use super::{Source, Telling};
use crate::rows::{Moment, Playback, Report, SECOND};
use crate::wish::{Wish, select};
use overlay_captures::{Chunk, Reader};
use overlay_decoder::{Config, Walker};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the picture changes.
const PACE: Duration = Duration::from_millis(250);

/// A capture file, played.
pub(crate) struct File {
    path: PathBuf,
    config: Config,
    reader: Reader,
    chunk: Chunk,
    /// The next record of the chunk.
    next: usize,
    walker: Walker,
    observed: Observed,
    /// The first packet; none before it was read.
    begin: Option<Moment>,
    /// Up to where it is played.
    place: Moment,
    clock: Option<Instant>,
    jumps: i64,
    over: bool,
    /// Why it ended before its end.
    fault: Option<String>,
    /// Whether it is read to its end at once.
    whole: bool,
}

impl File {
    /// Opens a capture. With `whole`, the first look is at all of it.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn open(path: PathBuf, config: Config, whole: bool) -> Result<Self, String> {
        let reader = Reader::open(&path).map_err(|error| error.to_string())?;
        let name = name_of(&path);
        Ok(Self {
            walker: Walker::new(config.clone()),
            observed: Observed::new(&name),
            path,
            config,
            reader,
            chunk: Chunk::new(),
            next: 0,
            begin: None,
            place: 0,
            clock: None,
            jumps: 0,
            over: false,
            fault: None,
            whole,
        })
    }

    /// Takes all packets up to the place.
    fn read_on(&mut self) {
        while !self.over {
            let Some(record) = self.chunk.get(self.next) else {
                match self.reader.next_chunk(&mut self.chunk) {
                    Ok(true) => {}
                    Ok(false) => self.over = true,
                    Err(error) => (self.over, self.fault) = (true, Some(error.to_string())),
                }
                self.next = 0;
                continue;
            };
            let at = record.timestamp.map(moment);
            // A record without a time says nothing of where the file begins.
            if let (None, Some(begin)) = (self.begin, at) {
                self.begin = Some(begin);
                self.place = self.place.max(begin);
            }
            if !self.whole && at.is_some_and(|at| at > self.place) {
                return;
            }
            let mut packet = self.walker.walk(record.bytes, record.len, record.link);
            packet.device_vni = record.interface.and_then(|interface| interface.vni);
            self.observed.take(&record, &packet);
            self.next += 1;
        }
    }

    /// Goes to an earlier place: from the beginning, as captures are read forward only.
    fn rewind(&mut self, place: Moment) -> Result<(), String> {
        let jumps = self.jumps;
        *self = Self::open(self.path.clone(), self.config.clone(), self.whole)?;
        (self.place, self.jumps, self.clock) = (place, jumps, Some(Instant::now()));
        Ok(())
    }

    fn advance(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        let now = Instant::now();
        let passed = self.clock.map_or(Duration::ZERO, |clock| now.saturating_duration_since(clock));
        self.clock = Some(now);
        // A pause, or a machine that had no time, is no time of the file.
        let step = passed.min(4 * PACE).as_secs_f64() * wish.pace.speed * SECOND as f64;
        let jump = (wish.pace.jumps - self.jumps).saturating_mul(SECOND as i64);
        self.jumps = wish.pace.jumps;
        if !self.over {
            self.place = self.place.saturating_add(step as u64);
        }
        if jump < 0 {
            let place = self.place.saturating_add_signed(jump).max(self.begin.unwrap_or(0));
            match self.rewind(place) {
                Ok(()) => {
                    // From here on time is what it is there.
                    telling.at = self.place;
                    telling.say(Report::Restart);
                }
                Err(sentence) => self.fault = Some(sentence),
            }
        } else {
            self.place = self.place.saturating_add(jump.unsigned_abs());
        }
        self.read_on();
        if self.over {
            self.place = self.observed.at;
        }
    }
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

impl Source for File {
    fn name(&self) -> String {
        name_of(&self.path)
    }

    fn look(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        let before = telling.at;
        telling.at = self.place;
        self.advance(wish, telling);
        telling.at = if self.place > 0 { self.place } else { before };
        telling.say(Report::Health { fault: None });
        telling.say(Report::Overlays { rows: self.observed.overlays(), unattributed: Default::default() });
        self.observed.take_events().into_iter().for_each(|event| telling.say(Report::Event { event }));
        let begin = self.begin.unwrap_or(self.place);
        telling.say(Report::Playback(Playback {
            begin,
            at: self.place,
            packets: self.observed.packets,
            over: self.over,
            fault: self.fault.clone(),
        }));
        telling.say(Report::Notes { sentences: self.fault.iter().cloned().chain(self.observed.note()).collect() });
        self.targets(wish, telling);
    }

    fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        if wish.limit > 0 {
            telling.say(Report::Targets(select(&self.observed.targets(self.place), wish)));
        }
    }

    fn pace(&self) -> Option<Duration> {
        // At its end nothing moves but by a wish.
        Some(if self.over { Duration::from_secs(1) } else { PACE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Told;
    use crate::wish::Pace;

    /// Eight packets, a second between each two.
    fn capture() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../captures/corpus/vxlan.pcap")
    }

    /// Looks once, after `jumps` seconds were jumped over in all: what was told, and where the file is then.
    fn look(file: &mut File, jumps: i64, speed: f64) -> (Vec<Told>, Playback) {
        let name = file.name();
        let mut telling = Telling { at: 1, by: &name, told: Vec::new() };
        let wish = Wish { pace: Pace { speed, jumps }, limit: 100, ..Wish::first() };
        file.look(&wish, &mut telling);
        let playback = telling.told.iter().find_map(|told| match &told.report {
            Report::Playback(playback) => Some(playback.clone()),
            _ => None,
        });
        (telling.told, playback.unwrap())
    }

    fn restarts(told: &[Told]) -> usize {
        told.iter().filter(|told| told.report == Report::Restart).count()
    }

    #[test]
    fn time_goes_forward_and_back_as_it_is_told() {
        let mut file = File::open(capture(), Config::default(), false).unwrap();
        let (told, playback) = look(&mut file, 0, 0.1);
        assert_eq!((playback.packets, playback.over, restarts(&told)), (1, false, 0), "the first packet is where it begins");
        let begin = playback.begin;
        // The clock of the test runs, too: slowly, so that no packet more comes by it.
        let (told, playback) = look(&mut file, 3, 0.1);
        assert_eq!((playback.packets, restarts(&told)), (4, 0));
        assert!(playback.at >= begin + 3 * SECOND && told.iter().all(|told| told.at >= begin), "reports have the file's time");
        let (told, playback) = look(&mut file, 1, 0.1);
        assert_eq!((playback.packets, restarts(&told)), (2, 1), "an earlier place is read from the beginning");
        assert!(told.iter().all(|told| told.at < begin + 2 * SECOND), "and its time is the earlier one from the start on: {told:?}");
        let (_, playback) = look(&mut file, 1000, 0.1);
        assert_eq!((playback.packets, playback.over, playback.at), (8, true, begin + 7 * SECOND));
        let (told, playback) = look(&mut file, -5000, 0.1);
        assert_eq!((playback.packets, playback.over, restarts(&told)), (1, false, 1), "there is nothing before the first packet");
        assert_eq!(file.pace(), Some(PACE));
    }

    #[test]
    fn the_whole_file_is_read_at_once_where_nobody_watches() {
        let mut file = File::open(capture(), Config::default(), true).unwrap();
        let (told, playback) = look(&mut file, 0, 1.0);
        assert_eq!((playback.packets, playback.over), (8, true));
        let overlays = told.iter().find_map(|told| match &told.report {
            Report::Overlays { rows, .. } => Some(rows.clone()),
            _ => None,
        });
        let overlays = overlays.unwrap();
        let [row] = overlays.as_slice() else { panic!("{overlays:?}") };
        assert_eq!((row.name.as_str(), row.vni, row.rx_packets, row.tx_packets, row.targets), ("vxlan77", Some(77), 8, 0, Some(2)));
    }
}
