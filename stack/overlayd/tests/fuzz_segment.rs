//! Can a tenant or a peer send anything that cutting and joining panic on, lose or make up? `OVERLAY_FUZZ_SECONDS` sets how long each target
//! runs; without it each takes two seconds.
//!
//! Random bytes are hardly ever TCP, so the input chooses flows, how they are damaged, and what is said to be left to do to them.

#![allow(dead_code, reason = "the stories of tests/segment and the program itself use the rest")]

#[path = "../src/coalesce.rs"]
mod coalesce;
#[path = "segment/driver.rs"]
mod driver;
#[path = "../src/pieces.rs"]
mod pieces;
#[path = "segment/sample.rs"]
mod sample;
#[path = "../src/segment.rs"]
mod segment;
#[path = "../src/transport.rs"]
mod transport;

use coalesce::{Rules, SegmentSize, super_frame};
use overlay_engine::{Offload, SegmentKind, Segments};
use sample::{Choices, Field, Flow};
use segment::{Cutter, Follows, Limits};
use std::time::Duration;

fn seconds() -> Duration {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

fn fuzz(look: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    bolero::check!().with_iterations(usize::MAX).with_test_time(seconds()).with_max_len(2048).for_each(|input: &[u8]| look(input));
}

/// Frames as nobody should send them.
fn frames(choices: &mut Choices<'_>) -> Vec<Vec<u8>> {
    let mut flows: Vec<Flow> = (0..1 + choices.below(2)).map(|_| Flow::choose(choices)).collect();
    let (count, size) = (choices.below(24), usize::from(choices.byte()));
    (0..count)
        .map(|_| {
            if choices.often(1) {
                let len = usize::from(choices.below(100));
                return (0..len).map(|_| choices.byte()).collect();
            }
            let which = usize::from(choices.often(1)) % flows.len();
            let field = if choices.often(2) { Field::Partial } else { Field::Right };
            let mut frame = flows[which].step(&sample::payload(size), field);
            for _ in 0..choices.below(8) / 4 {
                let at = usize::from(choices.half()) % frame.len();
                frame[at] = choices.byte();
            }
            if choices.often(1) {
                frame.truncate(usize::from(choices.half()) % (frame.len() + 1));
            }
            frame
        })
        .collect()
}

fn work(choices: &mut Choices<'_>, frame: &[u8]) -> Offload {
    let checksum = match choices.below(4) {
        0 => None,
        1 => Some((choices.half(), choices.half())),
        _ => Some((choices.byte().into(), choices.byte().into())),
    };
    let kind = [SegmentKind::Tcp4, SegmentKind::Tcp6, SegmentKind::Udp][usize::from(choices.below(3))];
    match choices.below(4) {
        0 => Offload { checksum, segments: None },
        1 => Offload { checksum, segments: Some(Segments { size: choices.half(), header_len: choices.half(), kind }) },
        2 => Offload { checksum, segments: Some(Segments { size: choices.byte().into(), header_len: 54, kind }) },
        _ => Offload { checksum: None, segments: super_frame(frame, SegmentSize::Known(choices.byte().into())) },
    }
}

#[test]
fn whatever_is_cut_is_within_the_limits_and_what_is_refused_leaves_nothing() {
    fuzz(|input| {
        let mut choices = Choices(input);
        let header_len = usize::from(choices.below(60));
        let limits = if choices.often(2) { Limits::SINGLE } else { Limits::GSO };
        let frames = frames(&mut choices);
        let mut cutter = Cutter::default();
        let mut bytes = 0;
        for (key, frame) in frames.iter().enumerate() {
            let offload = work(&mut choices, frame.get(header_len..).unwrap_or_default());
            let follows = if choices.often(4) { Follows::Same } else { Follows::Other };
            let before: Vec<_> = cutter.chunks().to_vec();
            match cutter.cut(key as u32, frame, header_len, &offload, follows, limits) {
                Ok(()) => {
                    let sent: u32 = cutter.chunks().iter().map(|chunk| chunk.bytes).sum();
                    assert!(sent >= bytes, "{offload:?}");
                    if offload.segments.is_none() {
                        assert_eq!((sent - bytes) as usize, frame.len());
                    }
                    bytes = sent;
                }
                Err(error) => {
                    assert_eq!(cutter.chunks(), before, "{error}");
                    assert!(offload != Offload::default() || frame.len() < header_len, "{error}");
                }
            }
        }
        for chunk in cutter.chunks() {
            assert!(chunk.segments <= limits.segments && (chunk.bytes <= limits.bytes || chunk.segments == 1), "{chunk:?}");
            assert!(chunk.segment_size().is_some() == (chunk.segments > 1));
        }
        let datagrams = driver::all(&cutter, &frames);
        assert_eq!(datagrams.iter().map(Vec::len).sum::<usize>(), bytes as usize);
    });
}

#[test]
fn whatever_is_joined_is_the_same_again_when_it_is_cut() {
    fuzz(|input| {
        let mut choices = Choices(input);
        let rules = Rules { trust_partial: choices.often(4), udp_from: [0, 100, usize::MAX][usize::from(choices.below(3))] };
        let frames = frames(&mut choices);
        let mut next = 0;
        for (bytes, offload, count) in driver::join(&frames, rules) {
            let given = &frames[next..next + count as usize];
            next += count as usize;
            if count == 1 {
                assert_eq!((&bytes, offload.segments), (&given[0], None));
                assert!(rules.trust_partial || offload == Offload::default());
                continue;
            }
            let cut = driver::cut(&[], &bytes, &offload, Limits::GSO).expect("what we made ourselves");
            assert_eq!(cut.len(), given.len());
            for (cut, given) in cut.iter().zip(given) {
                same(cut, given, rules);
            }
        }
    });
}

/// Compares a frame that was joined and cut again with what it was, but for what may differ: an identification that means nothing, and the
/// checksum of a frame that came without.
fn same(cut: &[u8], given: &[u8], rules: Rules) {
    let places = transport::Transport::parse(given).expect("what was joined");
    let normal = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        if places.version == transport::Version::V4 && frame[places.l3 + 6] & 0x40 != 0 {
            frame[places.l3 + 4..places.l3 + 6].fill(0);
            frame[places.l3 + 10..places.l3 + 12].fill(0);
        }
        if rules.trust_partial && places.is_partial(given) {
            frame[places.l4 + places.protocol.checksum_at()..][..2].fill(0);
        }
        frame
    };
    assert_eq!(normal(cut), normal(given));
    assert!(places.holds(given) || rules.trust_partial && places.is_partial(given));
}

#[test]
fn what_was_left_to_do_is_looked_at_with_suspicion() {
    fuzz(|input| {
        let mut choices = Choices(input);
        let rules = Rules { trust_partial: choices.often(4), udp_from: 0 };
        let frames = frames(&mut choices);
        let given: Vec<_> = frames.into_iter().map(|frame| (frame.clone(), work(&mut choices, &frame))).collect();
        for (bytes, offload, count) in driver::join_with_work(&given, rules) {
            // No super-frame without its checksum left to do: the kernel would not believe it, or worse, would.
            assert!(offload.segments.is_none() || offload.checksum.is_some());
            assert!(count > 0 && bytes.len() <= 65_535);
        }
    });
}
