//! How do these packets get onto a wire again? Captures onto interfaces, at the times that they had or at a rate, and a report of how well
//! the time was kept.
//!
//! ```text
//!   capture ─ Source ─┐ the earliest is next      due?          many at once
//!   capture ─ Source ─┴──────────────────► Pace ──────► Port ──────────────► kernel
//!                                                        └─► Behind, Lost ──► Report
//! ```
//!
//! One thread and one clock serve all pairs, so that what was an answer stays one.

mod pace;
mod port;
mod report;
mod source;
mod sys;

use crate::output::{OutputError, Progress};
use overlay_captures::{LinkType, Record, Timestamp, host::Namespace};
pub(crate) use pace::Pace;
use pace::{Behind, now, wait_until};
use port::{Attempt, Lost, Port};
pub(crate) use report::Report;
use report::{Ended, Interface, LeftOut};
use source::{Source, after};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use sys::BATCH;

/// An interface that takes nothing for so long will not.
const STUCK_NS: u64 = 2_000_000_000;
/// How long an interface without room is left alone.
const PAUSE: Duration = Duration::from_micros(20);
/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// Bytes of the longest frame that is sent: what is longer is a capture's fault, no frame.
const LONGEST: usize = 1 << 18;

/// What is sent, and how.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Plan {
    /// Captures, and the interfaces that they are sent on.
    pub(crate) pairs: Vec<(PathBuf, String)>,
    /// The namespace of the interfaces; the current one without.
    pub(crate) namespace: Option<String>,
    /// How fast.
    pub(crate) pace: Pace,
    /// How often; 0 is without end.
    pub(crate) passes: u64,
    /// Nothing is sent after so long.
    pub(crate) duration: Option<Duration>,
    /// Whether zeros are sent for what a capture cut off.
    pub(crate) pad: bool,
    /// Whether packets pass what queues and shapes for the interface.
    pub(crate) queue: bool,
}

/// A capture and its interface.
struct Pair {
    source: Source,
    port: Port,
    left_out: BTreeMap<&'static str, Lost>,
}

/// What is under way.
struct Job<'p> {
    plan: &'p Plan,
    pairs: Vec<Pair>,
    stop: Arc<AtomicBool>,
    origin: Timestamp,
    started: u64,
    /// When the last packet was taken.
    finished: u64,
    behind: Behind,
    packets: u64,
    bytes: u64,
    progress: Progress,
    padded: Vec<u8>,
}

/// Why sending is over before its time.
enum Stop {
    Ended(Ended),
    Broken(OutputError),
}

impl From<OutputError> for Stop {
    fn from(error: OutputError) -> Self {
        Self::Broken(error)
    }
}

/// Sends. What was sent is reported also where it could not be done to the end; then with the reason.
///
/// # Errors
/// When nothing was sent.
pub(crate) fn run(plan: &Plan) -> Result<(Report, Option<OutputError>), OutputError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| OutputError(format!("signal {signal}: {error}")))?;
    }
    let namespace = match &plan.namespace {
        Some(name) => Namespace::find(name),
        None => Namespace::current(),
    };
    let namespace = namespace.map_err(|error| OutputError(error.to_string()))?;
    let mut room = Source::room();
    let mut pairs = Vec::new();
    for (path, interface) in &plan.pairs {
        let port = Port::open(&namespace, interface, !plan.queue)?;
        pairs.push(Pair { source: Source::open(path, &mut room, plan.passes == 1)?, port, left_out: BTreeMap::new() });
    }
    let whole: u64 = pairs.iter().map(|pair| pair.source.survey.records.unwrap_or(0)).sum();
    let mut job = Job {
        plan,
        origin: pairs.iter().filter_map(|pair| pair.source.survey.first).min().unwrap_or_default(),
        pairs,
        stop,
        started: 0,
        finished: 0,
        behind: Behind::default(),
        packets: 0,
        bytes: 0,
        progress: Progress::of_packets(whole.saturating_mul(plan.passes), "sent"),
        padded: Vec::new(),
    };
    // A sleeper is to be woken at its time, not when it suits: where that is not allowed, the rest is waited for awake all the same.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    job.started = now();
    job.finished = job.started;
    let mut passes = 0;
    let over = loop {
        match job.pass(passes) {
            Ok(()) => passes += 1,
            Err(over) => break over,
        }
        if passes == plan.passes {
            break Stop::Ended(Ended::Done);
        }
        if let Err(error) = job.pairs.iter_mut().try_for_each(|pair| pair.source.rewind()) {
            break Stop::Broken(error);
        }
    };
    job.progress.done();
    Ok(match over {
        Stop::Ended(ended) => (job.report(passes, ended), None),
        Stop::Broken(error) => (job.report(passes, Ended::Broken), Some(error)),
    })
}

impl Job<'_> {
    /// From one beginning of the captures to the next: as long as they are, and the mean time between two packets.
    fn period_ns(&self) -> u64 {
        let last = self.pairs.iter().filter_map(|pair| pair.source.survey.last).max().unwrap_or_default();
        let long = u64::try_from(last.since(self.origin).clamp(0, i128::from(u64::MAX / 2))).unwrap_or(0);
        let records: u64 = self.pairs.iter().filter_map(|pair| pair.source.survey.records).sum();
        long.saturating_add(long / records.saturating_sub(1).max(1))
    }

    /// Sends all captures once.
    fn pass(&mut self, number: u64) -> Result<(), Stop> {
        let begin = number.saturating_mul(self.period_ns());
        loop {
            // The earliest of all captures, and until when it is that.
            let (mut next, mut until) = (None, u64::MAX);
            for (index, pair) in self.pairs.iter_mut().enumerate() {
                if !pair.source.has_next()? {
                    continue;
                }
                let at = pair.source.captured_ns(self.origin);
                match next {
                    Some((_, earliest)) if earliest <= at => until = until.min(at),
                    Some((_, earliest)) => {
                        until = earliest;
                        next = Some((index, at));
                    }
                    None => next = Some((index, at)),
                }
            }
            let Some((index, at)) = next else { return Ok(()) };
            let due = self.due(begin, at, 0, 0);
            if self.plan.duration.is_some_and(|most| due.max(now() - self.started) >= most.as_nanos() as u64) {
                return Err(Stop::Ended(Ended::Duration));
            }
            let (sent, progress) = (self.packets, &mut self.progress);
            if !wait_until(self.started.saturating_add(due), &self.stop, || progress.at(sent)) {
                return Err(Stop::Ended(Ended::Interrupted));
            }
            self.progress.at(sent);
            self.batch(index, begin, until)?;
        }
    }

    /// When a packet is due that was captured then, behind so many others that are not sent yet; from the start.
    fn due(&self, begin: u64, captured_ns: u64, packets: u64, bytes: u64) -> u64 {
        self.plan.pace.due(begin.saturating_add(captured_ns), self.packets + packets, self.bytes + bytes)
    }

    /// Sends what a capture has that is due now, up to the moment at which another one's turn is.
    fn batch(&mut self, index: usize, begin: u64, until: u64) -> Result<(), Stop> {
        // Nothing that is due at the end of the time or behind it.
        let now = (now() - self.started).min(self.plan.duration.map_or(u64::MAX, |most| (most.as_nanos() as u64).saturating_sub(1)));
        let mut last = self.pairs[index].source.captured_ns(self.origin);
        // Taken out, so that what is borrowed from it does not hold all the rest.
        let chunk = std::mem::take(self.pairs[index].source.current_mut());
        let (mut frames, mut dues, mut numbers) = ([&[][..]; BATCH], [0; BATCH], [0; BATCH]);
        let (mut filled, mut taken, mut bytes) = (0, 0, 0);
        let mut padded = std::mem::take(&mut self.padded);
        let first = self.pairs[index].source.record;
        let mut cut = None;
        while let Some(record) = chunk.get(first + taken).filter(|_| filled < BATCH) {
            let at = after(&record, self.origin, last);
            let due = self.due(begin, at, filled as u64, bytes);
            if taken > 0 && (at > until || due > now) {
                break;
            }
            match judge(&record, self.plan.pad) {
                Ok(Whole::Captured) => frames[filled] = record.bytes,
                // It has a buffer of its own: it goes alone.
                Ok(Whole::Padded) if filled > 0 => break,
                Ok(Whole::Padded) => {
                    cut = Some(record);
                    (dues[0], numbers[0], filled, taken, last) = (due, record.number, 1, 1 + taken, at);
                    break;
                }
                Err(why) => {
                    self.pairs[index].left_out.entry(why).or_default().add(record.number);
                    (taken, last) = (taken + 1, at);
                    continue;
                }
            }
            (dues[filled], numbers[filled]) = (due, record.number);
            bytes += record.bytes.len() as u64;
            (filled, taken, last) = (filled + 1, taken + 1, at);
        }
        if let Some(record) = cut {
            padded.clear();
            padded.extend_from_slice(record.bytes);
            padded.resize(record.len as usize, 0);
            frames[0] = &padded;
        }
        let done = self.hand_over(index, &frames[..filled], &dues, &numbers);
        self.padded = padded;
        let source = &mut self.pairs[index].source;
        *source.current_mut() = chunk;
        source.pass(taken, last);
        done
    }

    /// Hands frames to the kernel until each is taken or refused.
    fn hand_over(&mut self, index: usize, frames: &[&[u8]], dues: &[u64], numbers: &[u64]) -> Result<(), Stop> {
        let is_paced = self.plan.pace != Pace::Top;
        let mut from = 0;
        let mut busy_since = None;
        while from < frames.len() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Stop::Ended(Ended::Interrupted));
            }
            let port = &mut self.pairs[index].port;
            match port.send(&frames[from..]) {
                Attempt::Taken(taken) => {
                    self.finished = now();
                    for (frame, due) in frames.iter().zip(dues).skip(from).take(taken) {
                        port.packets += 1;
                        port.bytes += frame.len() as u64;
                        self.packets += 1;
                        self.bytes += frame.len() as u64;
                        if is_paced {
                            self.behind.record((self.finished - self.started).saturating_sub(*due));
                        }
                    }
                    from += taken;
                    busy_since = None;
                }
                Attempt::Full => {}
                Attempt::Busy if is_paced => {
                    port.refuse("the interface had no room for it", numbers[from]);
                    from += 1;
                }
                Attempt::Busy => {
                    port.busy += 1;
                    let now = now();
                    if now - *busy_since.get_or_insert(now) > STUCK_NS {
                        let name = &port.name;
                        return Err(Stop::Broken(OutputError(format!("{name}: the interface has had no room for two seconds"))));
                    }
                    std::thread::sleep(PAUSE);
                }
                Attempt::Refused(why) => {
                    port.refuse(&why, numbers[from]);
                    from += 1;
                }
                Attempt::Over(why) => return Err(Stop::Broken(OutputError(format!("{}: {why}", port.name)))),
            }
        }
        Ok(())
    }

    fn report(&self, passes: u64, ended: Ended) -> Report {
        let pair = |pair: &Pair| Interface {
            interface: pair.port.name.clone(),
            capture: pair.source.name(),
            packets: pair.port.packets,
            bytes: pair.port.bytes,
            busy: pair.port.busy,
            refused: pair.port.refused.iter().map(|(why, lost)| LeftOut::of(why, lost)).collect(),
            left_out: pair.left_out.iter().map(|(why, lost)| LeftOut::of(why, lost)).collect(),
        };
        Report {
            packets: self.packets,
            bytes: self.bytes,
            seconds: (self.finished - self.started) as f64 / 1e9,
            passes,
            ended,
            pacing: self.behind.summary(),
            interfaces: self.pairs.iter().map(pair).collect(),
        }
    }
}

/// Whether all bytes of a frame are there.
enum Whole {
    Captured,
    /// Zeros take the place of what is missing.
    Padded,
}

/// Whether a record is a frame that can be sent; otherwise why not.
fn judge(record: &Record<'_>, pad: bool) -> Result<Whole, &'static str> {
    let wire = record.len as usize;
    if record.link != LinkType::ETHERNET {
        return Err("no Ethernet frame");
    }
    if wire > record.bytes.len() {
        return match pad {
            false => Err("the capture cut it off; --pad sends zeros for what is missing"),
            true if wire > LONGEST => Err("longer than any frame"),
            true => Ok(Whole::Padded),
        };
    }
    if record.bytes.len() < HEADER { Err("shorter than an Ethernet header") } else { Ok(Whole::Captured) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(link: LinkType, bytes: &[u8], len: u32, pad: bool) -> Result<bool, &'static str> {
        judge(&Record::new(link, Timestamp::default(), bytes).with_len(len), pad).map(|whole| matches!(whole, Whole::Padded))
    }

    #[test]
    fn only_whole_ethernet_frames_are_sent_unless_zeros_are_wanted() {
        assert_eq!(judged(LinkType::ETHERNET, &[0; 60], 60, false), Ok(false));
        assert_eq!(judged(LinkType::ETHERNET, &[0; 60], 64, true), Ok(true));
        for (link, bytes, len, pad, words) in [
            (LinkType::RAW, &[0; 60][..], 60, true, "no Ethernet frame"),
            (LinkType::ETHERNET, &[0; 60], 64, false, "--pad"),
            (LinkType::ETHERNET, &[0; 13], 13, false, "shorter"),
            (LinkType::ETHERNET, &[0; 60], u32::MAX, true, "longer than any frame"),
        ] {
            let refusal = judged(link, bytes, len, pad).unwrap_err();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
