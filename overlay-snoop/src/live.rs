//! How does a live capture run? Open, give up rights, then packets and signals until the end.
//!
//! ```text
//! opener process ─ capture handles ─ output file ─ drop rights ─ ┬► packets ─► Work
//!                                                                 ├► SIGUSR1 ─► counts
//!                                                                 └► SIGINT, SIGTERM, --duration, -c, no interface left ─► end
//! ```

use crate::job::{Fault, Sink, Work};
use crate::output::Output;
use crate::rights::{Need, missing_capability};
use overlay_captures::live::{BLOCK_MILLISECONDS, Counts, Live, LiveError, Woken};
use overlay_captures::{Chunk, Interface};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long nothing is asked of libpcap at most. An interface that goes down wakes the wait once; whether it is gone for good, libpcap
/// finds out only when it is asked again, and nothing wakes anybody for that.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long packets are still taken after the end was asked for. The kernel hands over a block that is not full when its timer has
/// run twice, so that a packet of just now takes up to two times its period; the rest is for timers that are late.
const LAST_CALL: Duration = Duration::from_millis(4 * BLOCK_MILLISECONDS.unsigned_abs() as u64);

/// Signals as something to wait for.
pub(crate) struct Signals {
    stop: UnixStream,
    counts: UnixStream,
}

impl Signals {
    /// Takes SIGINT, SIGTERM and SIGUSR1 from now on.
    pub(crate) fn take() -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        use signal_hook::low_level::pipe;
        let (stop, stop_end) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            pipe::register(signal, stop_end.try_clone()?)?;
        }
        let (counts, counts_end) = UnixStream::pair()?;
        pipe::register(SIGUSR1, counts_end)?;
        counts.set_nonblocking(true)?;
        Ok(Self { stop, counts })
    }
}

/// The sentence for an interface that could not be opened.
pub(crate) fn refusal(error: &LiveError) -> String {
    match missing_capability(Need::Capture) {
        Some(sentence) if error.is_permission => format!("{}: {sentence}", error.label),
        _ => error.to_string(),
    }
}

/// Captures until something ends it. What was captured is delivered whatever happens.
pub(crate) fn run(
    mut live: Live,
    mut work: Work,
    mut sink: Sink,
    output: &mut Output,
    signals: &mut Signals,
    duration: Option<u64>,
) -> Result<(), Fault> {
    let deadline = duration.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let done = capture(&mut live, &mut work, &mut sink, output, signals, deadline);
    let closed = sink.close(output, &mut || live.counts());
    say(&summary(&live.counts(), work.matched()));
    done.and(closed)
}

fn capture(
    live: &mut Live,
    work: &mut Work,
    sink: &mut Sink,
    output: &mut Output,
    signals: &mut Signals,
    mut deadline: Option<Instant>,
) -> Result<(), Fault> {
    let mut chunk = Chunk::new();
    let mut is_last_call = false;
    loop {
        live.fill(&mut chunk);
        work.chunk(&chunk, sink, output, &mut || live.counts())?;
        tell_ended(live);
        if live.is_over() {
            return Err(Fault::Live(format!("no interface is left to capture on ({})", work.matched())));
        }
        let now = Instant::now();
        let is_due = deadline.is_some_and(|deadline| deadline <= now);
        if work.is_done() || (is_last_call && is_due) {
            return Ok(());
        }
        if is_due {
            is_last_call = true;
            deadline = Some(now + LAST_CALL);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        // Packets may be waiting, but a signal must be heard on the busiest interface, too.
        let timeout = if chunk.is_empty() { left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN) } else { Duration::ZERO };
        let wakes = [signals.stop.as_fd(), signals.counts.as_fd()];
        match live.wait(&wakes, Some(timeout)).map_err(|error| Fault::Live(format!("waiting for packets: {error}")))? {
            // Whoever asks twice does not want to wait.
            Woken::Wake(0) if is_last_call => return Ok(()),
            Woken::Wake(0) => {
                let _ = signals.stop.read(&mut [0; 64]);
                is_last_call = true;
                deadline = Some(Instant::now() + LAST_CALL);
            }
            Woken::Wake(_) => {
                // One byte for each signal; several become one answer.
                let _ = signals.counts.read(&mut [0; 64]);
                say(&summary(&live.counts(), work.matched()));
            }
            Woken::Packets | Woken::Nothing => {}
        }
    }
}

/// Says which interfaces ended, and why.
pub(crate) fn tell_ended(live: &mut Live) {
    live.take_ended().iter().for_each(|error| say(&error.to_string()));
}

fn summary(counts: &[(Arc<Interface>, Counts)], matched: u64) -> String {
    let sum = |field: fn(&Counts) -> u64| counts.iter().map(|(_, counts)| field(counts)).sum::<u64>();
    format!(
        "{matched} matched, {} captured, {} dropped by the kernel, {} dropped by interfaces",
        sum(|counts| counts.captured),
        sum(|counts| counts.dropped),
        sum(|counts| counts.interface_dropped)
    )
}

/// Says something on standard error; where that is closed, nobody wants to know.
pub(crate) fn say(sentence: &str) {
    let _ = writeln!(io::stderr(), "overlay-snoop: {sentence}");
}
