//! How long does the engine take for a frame? Batches of 64 through one worker, without any I/O; times are of a whole batch.
//!
//! `cargo xtask bench engine` runs it twice, with probes and with `--features probes-off`, and writes the figures per frame into
//! `docs/benchmarks.md`.

mod rig;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use overlay_engine::{Frames, Offload, Outbox, Search, Time};
use rig::{BATCH, Rig, datagrams_to, frames_to, own, super_frame, tenant};
use std::cell::{LazyCell, RefCell};

/// Entries of the large table.
const MILLION: u32 = 1_000_000;
/// Bytes of a super-frame.
const SUPER: usize = 64_000;

/// A host that is made when the first benchmark that runs needs it: which ones run is chosen on the command line.
fn made(search: Search, ports: u32, known: u32) -> LazyCell<RefCell<Rig>, impl FnOnce() -> RefCell<Rig>> {
    LazyCell::new(move || {
        let mut rig = Rig::new(search, ports, 1);
        rig.know(known, Time(1));
        RefCell::new(rig)
    })
}

/// Passes batches in turn, again and again. The header is written in front of each frame anew; the frames do not change.
fn pass<F: FnOnce() -> RefCell<Rig>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    rig: &LazyCell<RefCell<Rig>, F>,
    batches: impl Fn() -> Vec<Frames>,
) {
    group.bench_function(name, |bencher| {
        let (mut rig, mut batches, mut out) = (rig.borrow_mut(), batches(), Outbox::new());
        let (mut now, mut next) = (1_000_000, 0);
        bencher.iter(|| {
            now += 1000;
            next = if next + 1 < batches.len() { next + 1 } else { 0 };
            rig.frames(&mut batches[next], Time(now), &mut out);
            let done = (out.transmits.len(), out.delivers.len(), out.misses);
            out.clear();
            done
        });
        rig.frames(&mut batches[0], Time(now), &mut out);
        assert_eq!((out.transmits.len() + out.delivers.len(), out.misses), (BATCH, 0), "every frame leaves");
    });
}

fn transmit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transmit");
    group.throughput(Throughput::Elements(BATCH as u64));
    let plain = Offload::default();
    let one = |len, offload| move || vec![frames_to(std::iter::repeat(tenant(0)), len, offload)];

    let point = made(Search::Direct, 1, 0);
    pass(&mut group, "point, 64 B", &point, one(64, plain));
    pass(&mut group, "point, 1400 B", &point, one(1400, plain));

    let small = made(Search::Dynamic, 8, 1000);
    pass(&mut group, "one destination, 64 B", &small, one(64, plain));
    pass(&mut group, "one destination, 1400 B", &small, one(1400, plain));
    pass(&mut group, "one destination, 64 kB super-frames", &small, one(SUPER, super_frame()));
    let all = || vec![frames_to((0..).map(tenant), 64, plain)];
    pass(&mut group, "64 destinations of 1,000, 64 B", &small, all);
    pass(&mut group, "to a port of the same device, 64 B", &small, || vec![frames_to(std::iter::repeat(own(1)), 64, plain)]);

    let large = made(Search::Dynamic, 1, MILLION);
    pass(&mut group, "64 destinations of 1 million, 64 B", &large, all);
    // A batch finds little of the table in the caches.
    let spread = |batch: u32| (batch * BATCH as u32..).map(|n| tenant(n.wrapping_mul(7919) % MILLION));
    let many = || (0..10_000_u32.div_ceil(BATCH as u32)).map(|batch| frames_to(spread(batch), 64, plain)).collect();
    pass(&mut group, "10,000 destinations of 1 million, 64 B", &large, many);
    group.finish();
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut rig = Rig::new(Search::Dynamic, 8, 1);
    for (name, len) in [("64 B", 64), ("1400 B", 1400)] {
        let mut datagrams = datagrams_to(own(0), len);
        let mut out = Outbox::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                rig.datagrams(&mut datagrams, Time(1), &mut out);
                let done = out.delivers.len();
                out.clear();
                done
            });
        });
    }
    group.finish();
}

/// Frame, question, answer, and the frame goes out: 64 destinations at a time that nobody knows, which are forgotten again outside
/// of what is measured.
fn miss(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("miss");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut rig = Rig::new(Search::Dynamic, 1, 1);
    let mut frames = frames_to((0..).map(tenant), 64, Offload::default());
    let mut out = Outbox::new();
    group.bench_function("asked, answered and sent, 64 B", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..rounds {
                let begun = std::time::Instant::now();
                rig.frames(&mut frames, Time(1), &mut out);
                assert_eq!(out.misses, BATCH);
                out.clear();
                assert_eq!(rig.answer_all(0, Time(1)), BATCH);
                spent += begun.elapsed();
                rig.control.flush(rig.device, false, Time(1)).expect("a dynamic device");
                rig.outputs(Time(1));
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, transmit, receive, miss);
criterion_main!(benches);
