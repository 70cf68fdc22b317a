//! Does the target table stay quick while it grows? A million entries are learned from frames while another worker forwards; then
//! dumped while workers run.
//!
//! `cargo xtask bench table` runs it and writes what it prints into `docs/benchmarks.md`. Not by criterion: the question is about the
//! slowest of many, not about the mean.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

mod rig;

use overlay_decoder::Mac;
use overlay_engine::{Frames, Offload, Outbox, Search, Time, Worker};
use rig::counting::{self, Counting};
use rig::{Rig, frame, frames_to, own, tenant};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Entries in the end.
const MILLION: u32 = 1_000_000;
/// Entries of a window.
const WINDOW: u32 = 10_000;
/// Windows of a row of the printed table.
const ROW: usize = 10;

/// Latencies of one kind in one window, in nanoseconds.
#[derive(Default)]
struct Window(Vec<u32>);

impl Window {
    fn note(&mut self, since: Instant) {
        self.0.push(u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }

    /// The latency that this share of all does not exceed.
    fn share(&self, share: f64) -> u32 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share) as usize).copied().unwrap_or(0)
    }
}

/// What is measured while the table grows.
const KINDS: [&str; 3] = ["unknown, worker", "unknown, control half", "known, worker"];

fn main() {
    // `cargo test --benches` only wants to know whether it runs.
    let count = if std::env::args().any(|argument| argument == "--test") { 2 * WINDOW } else { MILLION };
    let mut rig = Rig::new(Search::Dynamic, 1, 2);
    let before = counting::in_use();
    let windows = grow(&mut rig, count);
    let per_entry = (counting::in_use() - before - latencies_in_use(&windows)) as f64 / f64::from(count);
    print(windows);
    println!("\nmemory: {per_entry:.1} bytes an idle entry, of {count} to 1,000 hosts");
    dump(&mut rig, count);
}

fn latencies_in_use(windows: &[Vec<Window>]) -> usize {
    windows.iter().flatten().map(|window| window.0.capacity() * size_of::<u32>() + size_of::<Window>()).sum::<usize>()
}

/// Learns destinations one by one: a frame, the question, its answer. Another worker forwards to those that are known.
fn grow(rig: &mut Rig, count: u32) -> Vec<Vec<Window>> {
    let known = AtomicU32::new(0);
    let mut other = rig.workers.pop().expect("two workers");
    let port = rig.ports[0];
    let mut windows: [Vec<Window>; 2] = Default::default();
    let forwarded = std::thread::scope(|scope| {
        let forwarded = scope.spawn(|| forward(&mut other, port, &known, count));
        let (mut frames, mut out) = (Frames::new(1, 64), Outbox::new());
        for first in (0..count).step_by(WINDOW as usize) {
            let (mut missed, mut learned) = (Window(Vec::with_capacity(WINDOW as usize)), Window(Vec::with_capacity(WINDOW as usize)));
            for n in first..first + WINDOW {
                only(&mut frames, n);
                let begun = Instant::now();
                rig.frames(&mut frames, Time(1), &mut out);
                missed.note(begun);
                assert_eq!(out.misses, 1);
                out.clear();
                let begun = Instant::now();
                assert_eq!(rig.answer_all(n, Time(1)), 1);
                learned.note(begun);
                known.store(n + 1, Relaxed);
            }
            windows[0].push(missed);
            windows[1].push(learned);
        }
        forwarded.join().expect("the other worker")
    });
    rig.workers.push(other);
    windows.into_iter().chain([forwarded]).collect()
}

/// Forwards single frames to known destinations, all over the table, until all are known.
fn forward(worker: &mut Worker, port: overlay_api::PortId, known: &AtomicU32, count: u32) -> Vec<Window> {
    let mut windows: Vec<Window> = (0..count / WINDOW).map(|_| Window(Vec::with_capacity(WINDOW as usize))).collect();
    let (mut frames, mut out, mut n) = (Frames::new(1, 64), Outbox::new(), 0_u32);
    loop {
        let there = known.load(Relaxed);
        if there >= count {
            return windows;
        }
        let window = &mut windows[(there / WINDOW) as usize];
        // As many as there are insertions: more would only be more of the same.
        if there == 0 || window.0.len() == window.0.capacity() {
            std::hint::spin_loop();
            continue;
        }
        n = n.wrapping_add(7919);
        only(&mut frames, n % there);
        let begun = Instant::now();
        worker.handle_frames(port, &mut frames, Time(2), &mut out);
        window.note(begun);
        assert_eq!(out.transmits.len(), 1, "it is known");
        out.clear();
    }
}

/// Makes a batch of one frame to a destination.
fn only(frames: &mut Frames, n: u32) {
    frames.clear();
    assert!(frames.push_copy(&frame(own(0), tenant(n), 0, 64), Offload::default()));
}

/// Prints a table in Markdown: for each kind four quantiles, each the median of the windows of a row.
fn print(mut windows: Vec<Vec<Window>>) {
    const SHARES: [f64; 4] = [0.5, 0.99, 0.999, 1.0];
    windows.iter_mut().flatten().for_each(|window| window.0.sort_unstable());
    println!("| entries |{}", KINDS.map(|kind| format!(" {kind}: p50 | p99 | p99.9 | max |")).concat());
    println!("|---:|{}", "---:|".repeat(KINDS.len() * SHARES.len()));
    for row in 0..windows[0].len().div_ceil(ROW) {
        let mut line = format!("| {} |", windows[0].len().min((row + 1) * ROW) * WINDOW as usize);
        for windows in &windows {
            let windows = windows.chunks(ROW).nth(row).unwrap_or_default();
            for share in SHARES {
                line.push_str(&format!(" {} |", sorted(windows, share)[windows.len() / 2]));
            }
        }
        println!("{line}");
    }
    println!("\n| p99 of the windows | least | median | most |\n|---|---:|---:|---:|");
    for (kind, windows) in KINDS.iter().zip(&windows) {
        let p99 = sorted(windows, 0.99);
        println!("| {kind} | {} | {} | {} |", p99[0], p99[p99.len() / 2], p99[p99.len() - 1]);
    }
}

/// The quantile of each window, in order of size.
fn sorted(windows: &[Window], share: f64) -> Vec<u32> {
    let mut all: Vec<u32> = windows.iter().map(|window| window.share(share)).collect();
    all.sort_unstable();
    all
}

/// Lists the table while one thread learns and forgets other destinations and another one forwards.
fn dump(rig: &mut Rig, count: u32) {
    let stop = AtomicBool::new(false);
    let targets = rig.control.targets(rig.device).expect("a dynamic device");
    let mut other = rig.workers.pop().expect("two workers");
    let port = rig.ports[0];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut out = Outbox::new();
            let batch = |n: u32| frames_to((n * 64..).map(|n| tenant(n.wrapping_mul(7919) % count)), 64, Offload::default());
            let mut batches: Vec<_> = (0..256).map(batch).collect();
            while !stop.load(Relaxed) {
                for frames in &mut batches {
                    other.handle_frames(port, frames, Time(3), &mut out);
                    assert_eq!(out.transmits.len(), 64);
                    out.clear();
                }
            }
        });
        let listing = scope.spawn(|| {
            let mut times: Vec<u128> = (0..5).map(|_| list(&targets, count)).collect();
            stop.store(true, Relaxed);
            times.sort_unstable();
            times[times.len() / 2]
        });
        // Numbers that are not among the stable ones, a few at a time: the table does not run into its cap.
        let mut round = 0;
        while !stop.load(Relaxed) {
            let fresh = |n: u32| MILLION + (round * 1000 + n) % 40_000_000;
            (0..1000).for_each(|n| rig.know_one(fresh(n), Time(3)));
            for n in 0..1000 {
                assert_eq!(rig.control.remove_target(rig.device, tenant(fresh(n)), Time(3)), Ok(true));
                rig.outputs(Time(3));
            }
            round += 1;
        }
        let took = listing.join().expect("the listing thread");
        println!(
            "\ndump: {count} stable entries, each listed once, in {took} ms (median of 5); others learned and forgotten meanwhile: {}",
            round * 1000
        );
    });
    rig.workers.push(other);
}

/// Lists all entries once: says how many milliseconds that took.
fn list(targets: &overlay_engine::Targets, count: u32) -> u128 {
    let mut seen: Vec<Mac> = Vec::with_capacity(count as usize + 100_000);
    let begun = Instant::now();
    targets.for_each(Time(3), |row| seen.push(row.mac));
    let took = begun.elapsed().as_millis();
    seen.sort_unstable();
    let twice = seen.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(twice, 0, "entries listed twice");
    let missing = (0..count).filter(|n| seen.binary_search(&tenant(*n)).is_err()).count();
    assert_eq!(missing, 0, "entries that were there all the time and are not listed");
    took
}
