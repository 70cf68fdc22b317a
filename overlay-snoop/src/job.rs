//! How does a capture go through? One thread that can stop anywhere, or several that take turns at the reader and the output.

use crate::output::{Ordered, Output};
use crate::recording::{Recording, RecordingError};
use crate::show::{Show, Sieve, decode};
use crate::sightings::Sightings;
use crate::stats::Stats;
use overlay_captures::filter::FilterError;
use overlay_captures::live::Counts;
use overlay_captures::{Chunk, Interface, ReadError, Reader};
use overlay_decoder::text::Text;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Text that is gathered before it is written out. Together with the reader's window it has to stay in the second-level cache: 256 KiB
/// cost a sixth more time.
const OUTPUT_BYTES: usize = 64 * 1024;

/// What ended a job before its capture did.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The capture.
    Read(ReadError),
    /// The capture that is written.
    Write(RecordingError),
    /// The interfaces.
    Live(String),
    /// Standard output.
    Output(io::Error),
    /// The filter, which asks what these packets cannot answer.
    Filter(FilterError),
}

impl Fault {
    /// Whether the reader of our output went away: no reason for a message.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Read(_) | Self::Filter(_) | Self::Live(_) => false,
            Self::Write(error) => error.is_broken_pipe(),
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Live(sentence) => f.write_str(sentence),
            Self::Output(error) => write!(f, "standard output: {error}"),
            Self::Filter(error) => write!(f, "{error}\n{}", error.pointed()),
        }
    }
}

/// Asks for what the handles of a live capture saw until now; a file has none.
pub(crate) type CountsOf<'a> = &'a mut dyn FnMut() -> Vec<(Arc<Interface>, Counts)>;

/// What becomes of the packets.
pub(crate) enum Sink {
    /// They are printed.
    Print(Box<Show>),
    /// They are written to a capture.
    Write(Box<Recording>),
    /// They are counted by network and conversation.
    Stats {
        /// The counts.
        stats: Box<Stats>,
        /// Whether they are printed as JSON.
        json: bool,
    },
    /// They are counted.
    Count(u64),
}

/// A sink that a signal may close between two chunks.
pub(crate) type SharedSink = Arc<Mutex<Sink>>;

/// A sink is whole whenever it is unlocked, so that a panic elsewhere does not spoil it.
pub(crate) fn lock(sink: &SharedSink) -> MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Sink {
    /// Prints what is due at the end, and makes sure that everything is on the disk.
    pub(crate) fn close(&mut self, output: &mut Output, counts: CountsOf<'_>) -> Result<(), Fault> {
        let mut text = Text::new();
        match self {
            Self::Print(_) => {}
            Self::Write(recording) => recording.finish(counts).map_err(Fault::Write)?,
            Self::Stats { stats, json: true } => stats.json(&mut text),
            Self::Stats { stats, json: false } => stats.text(&mut text),
            Self::Count(count) => {
                text.num(*count);
                text.text(if *count == 1 { " packet\n" } else { " packets\n" });
            }
        }
        output.write(&mut text).map_err(Fault::Output)
    }
}

/// What stops a job early, and how it writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Packets after which it ends.
    pub(crate) count: Option<u64>,
    /// Whether each packet is printed at once.
    pub(crate) line_buffered: bool,
    /// Whether each packet is brought to its file at once.
    pub(crate) packet_buffered: bool,
}

/// A job that one thread does, chunk by chunk.
pub(crate) struct Work {
    sieve: Sieve,
    text: Text,
    limits: Limits,
    /// Packets that may still match.
    left: u64,
    /// Packets that matched.
    matched: u64,
    sightings: Option<Sightings>,
    /// Whether a packet that was here before is left out.
    once: bool,
}

impl Work {
    pub(crate) fn new(sieve: Sieve, limits: Limits) -> Self {
        let left = limits.count.unwrap_or(u64::MAX);
        Self { sieve, text: Text::new(), limits, left, matched: 0, sightings: None, once: false }
    }

    /// Marks packets that are seen again, or with `once` leaves them out.
    pub(crate) fn watch_sightings(&mut self, once: bool) {
        self.sightings = Some(Sightings::default());
        self.once = once;
    }

    /// Packets that matched.
    pub(crate) const fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether as many packets have matched as were asked for.
    pub(crate) const fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Does a chunk.
    pub(crate) fn chunk(&mut self, chunk: &Chunk, sink: &mut Sink, output: &mut Output, counts: CountsOf<'_>) -> Result<(), Fault> {
        let Self { sieve, text, limits, left, matched, sightings, once } = self;
        let Sieve { walker, mesh } = sieve;
        let unwalked = mesh.needs_no_decode() && sightings.is_none() && matches!(sink, Sink::Print(show) if show.is_plain_json());
        for record in chunk.records() {
            if *left == 0 {
                break;
            }
            if !mesh.passes_bytes(&record).map_err(Fault::Filter)? {
                continue;
            }
            if unwalked && Show::unwalked(walker, &record, text) {
                *left -= 1;
                *matched += 1;
                if limits.line_buffered || text.len() >= OUTPUT_BYTES {
                    output.write(text).map_err(Fault::Output)?;
                }
                continue;
            }
            let packet = decode(walker, &record);
            if !mesh.passes(&packet).map_err(Fault::Filter)? {
                continue;
            }
            let again = sightings.as_mut().is_some_and(|sightings| sightings.again(&packet, record.timestamp));
            if again && *once {
                continue;
            }
            *left -= 1;
            *matched += 1;
            match sink {
                Sink::Print(show) => {
                    show.packet(&record, &packet, again, text);
                    if limits.line_buffered || text.len() >= OUTPUT_BYTES {
                        output.write(text).map_err(Fault::Output)?;
                    }
                }
                Sink::Write(recording) => {
                    recording.write(&record, counts).map_err(Fault::Write)?;
                    if limits.packet_buffered {
                        recording.flush().map_err(Fault::Write)?;
                    }
                }
                Sink::Stats { stats, .. } => stats.add(&record, &packet),
                Sink::Count(count) => *count += 1,
            }
        }
        output.write(text).map_err(Fault::Output)
    }
}

/// Runs a job in this thread. The sink is locked while a chunk is in work and free while the reader waits for a pipe.
pub(crate) fn run(reader: &mut Reader, mut work: Work, sink: &SharedSink, output: &mut Output) -> Result<(), Fault> {
    let mut chunk = Chunk::new();
    while !work.is_done() && reader.next_chunk(&mut chunk).map_err(Fault::Read)? {
        work.chunk(&chunk, &mut lock(sink), output, &mut Vec::new)?;
    }
    Ok(())
}

/// Runs a printing job in several threads; `workers` has a sieve and a look for each. The output is in order.
pub(crate) fn run_parallel(reader: Reader, workers: Vec<(Sieve, Show)>, output: Output) -> Result<(), Fault> {
    struct Source {
        reader: Reader,
        tickets: u64,
        fault: Option<Fault>,
    }
    let source = Mutex::new(Source { reader, tickets: 0, fault: None });
    let ordered = Ordered::new(output);
    let work = |mut sieve: Sieve, mut show: Show| {
        let mut chunk = Chunk::new();
        let mut text = Text::new();
        loop {
            let ticket = {
                let mut source = source.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if source.fault.is_some() {
                    return;
                }
                match source.reader.next_chunk(&mut chunk) {
                    Ok(true) => source.tickets += 1,
                    Ok(false) => return,
                    Err(error) => {
                        source.fault.get_or_insert(Fault::Read(error));
                        return;
                    }
                }
                source.tickets - 1
            };
            let Sieve { walker, mesh } = &mut sieve;
            let unwalked = mesh.needs_no_decode() && show.is_plain_json();
            let done = chunk.records().try_for_each(|record| {
                if mesh.passes_bytes(&record)? && !(unwalked && Show::unwalked(walker, &record, &mut text)) {
                    let packet = decode(walker, &record);
                    if mesh.passes(&packet)? {
                        show.packet(&record, &packet, false, &mut text);
                    }
                }
                Ok(())
            });
            let fault = done.err().map(Fault::Filter);
            let going = ordered.write(ticket, &mut text) && fault.is_none();
            if let Some(fault) = fault {
                source.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fault.get_or_insert(fault);
            }
            if !going {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for (sieve, show) in workers {
            scope.spawn(|| work(sieve, show));
        }
    });
    ordered.into_result().map_err(Fault::Output)?;
    let source = source.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    source.fault.map_or(Ok(()), Err)
}
