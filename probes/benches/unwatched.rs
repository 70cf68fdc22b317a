//! What does a probe cost that nobody watches? Run it twice: as it is, and with `--features off`.
//!
//! `nothing` is the loop with the same values and no probe: what `off` should come to.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::SocketAddr;

const HOW: &str = if cfg!(feature = "off") { "off" } else { "unwatched" };

fn probes(criterion: &mut Criterion) {
    let ul3: SocketAddr = ([10, 0, 0, 2], 4789).into();
    let mut group = criterion.benchmark_group("probe");
    group.bench_function("nothing", |bencher| {
        let mut frame = 0;
        bencher.iter(|| {
            frame += 1;
            black_box((frame, 77_u32, 1514_u32, 1_u32, "vxlan", &ul3));
        });
    });
    // The values pass through `black_box` in all, so that the rows differ by the probes alone.
    group.bench_function(format!("one, {HOW}"), |bencher| {
        let mut frame = 0;
        bencher.iter(|| {
            frame += 1;
            let (frame, vni, len, segments, encapsulation, ul3) = black_box((frame, 77, 1514, 1, "vxlan", &ul3));
            overlay_probes::encap(frame, vni, len, segments, encapsulation, ul3);
        });
    });
    group.bench_function(format!("eight, {HOW}"), |bencher| {
        let mut frame = 0;
        bencher.iter(|| {
            frame += 1;
            let (frame, vni, len, segments, encapsulation, ul3) = black_box((frame, 77, 1514, 1, "vxlan", &ul3));
            overlay_probes::tx_frame(frame, vni, 1, len, encapsulation, ul3);
            overlay_probes::target_hit(frame, vni, encapsulation, ul3, encapsulation);
            overlay_probes::encap(frame, vni, len, segments, encapsulation, ul3);
            overlay_probes::local(frame, vni, 1, len, encapsulation);
            overlay_probes::rx_datagram(frame, 1, len, ul3);
            overlay_probes::decap(frame, vni, len, encapsulation, encapsulation, ul3);
            overlay_probes::rx_deliver(frame, vni, 1, len, encapsulation);
            overlay_probes::drop(frame, 0, vni, len, encapsulation, ul3);
        });
    });
    group.finish();
}

criterion_group!(benches, probes);
criterion_main!(benches);
