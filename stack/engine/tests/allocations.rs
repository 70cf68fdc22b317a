//! Does a frame cost an allocation? None for what the table knows; for what it does not, the copy that waits and what asks for it.

#[path = "../benches/rig/mod.rs"]
mod rig;

use overlay_api::Source;
use overlay_decoder::Mac;
use overlay_engine::{Datagrams, Frames, Offload, Outbox, Search, SetTarget, Time};
use rig::counting::{Counting, calls_of};
use rig::{BATCH, Rig, datagrams_to, frames_to, own, peer, super_frame, tenant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Time = Time(1_000_000);

/// Passes a batch until all buffers have their size, and then once more: says how many allocations that last one made.
fn again(rig: &mut Rig, frames: &mut Frames, transmits: usize, delivers: usize) -> u64 {
    let mut out = Outbox::new();
    let mut pass = || {
        let calls = calls_of(|| rig.frames(frames, NOW, &mut out));
        assert_eq!((out.transmits.len(), out.delivers.len(), out.misses), (transmits, delivers, 0));
        out.clear();
        calls
    };
    assert!(pass() > 0, "the outbox grows at first: what counts does count");
    pass();
    pass()
}

fn one(to: Mac) -> Frames {
    frames_to(std::iter::repeat(to), 64, Offload::default())
}

#[test]
fn a_known_destination_costs_no_allocation() {
    let mut rig = Rig::new(Search::Dynamic, 4, 1);
    rig.know(1000, Time(1));
    assert_eq!(again(&mut rig, &mut one(tenant(0)), BATCH, 0), 0, "one destination");
    assert_eq!(again(&mut rig, &mut frames_to((0..).map(tenant), 64, Offload::default()), BATCH, 0), 0, "64 destinations");
    assert_eq!(again(&mut rig, &mut frames_to((0..).map(tenant), 64_000, super_frame()), BATCH, 0), 0, "super-frames");
    assert_eq!(again(&mut rig, &mut one(own(2)), 0, BATCH), 0, "another port");
}

#[test]
fn a_point_device_costs_no_allocation() {
    let mut rig = Rig::new(Search::Direct, 4, 1);
    assert_eq!(again(&mut rig, &mut one(tenant(7)), BATCH, 0), 0);
    assert_eq!(again(&mut rig, &mut one(Mac::BROADCAST), BATCH, 3 * BATCH), 0, "a flood to three ports and the point");
}

#[test]
fn a_replication_list_costs_no_allocation() {
    let mut rig = Rig::new(Search::Dynamic, 4, 1);
    let list = SetTarget::Reach((0..20).map(peer).collect());
    rig.control.set_target(rig.device, Mac::BROADCAST, &list, Source::Plugin, None, Time(1)).expect("a sound list");
    rig.outputs(Time(1));
    assert_eq!(again(&mut rig, &mut one(Mac::BROADCAST), 20 * BATCH, 3 * BATCH), 0);
}

#[test]
fn a_dropped_frame_costs_no_allocation() {
    let mut rig = Rig::new(Search::Dynamic, 1, 1);
    rig.control.set_target(rig.device, tenant(0), &SetTarget::Drop, Source::Static, None, Time(1)).expect("a sound target");
    rig.outputs(Time(1));
    let (mut refused, mut out) = (one(tenant(0)), Outbox::new());
    assert_eq!(calls_of(|| rig.frames(&mut refused, NOW, &mut out)), 0);
    assert_eq!(rig.control.totals().dropped(overlay_api::DropReason::Refused), BATCH as u64);
}

#[test]
fn a_datagram_costs_no_allocation() {
    let mut rig = Rig::new(Search::Dynamic, 4, 1);
    let mut cost = |datagrams: &mut Datagrams, delivers: usize| {
        let mut out = Outbox::new();
        let mut pass = || {
            let calls = calls_of(|| rig.datagrams(datagrams, NOW, &mut out));
            assert_eq!(out.delivers.len(), delivers);
            out.clear();
            calls
        };
        pass();
        pass()
    };
    assert_eq!(cost(&mut datagrams_to(own(1), 1400), BATCH), 0, "one port");
    assert_eq!(cost(&mut datagrams_to(Mac::BROADCAST, 64), 4 * BATCH), 0, "a flood to four ports");
    assert_eq!(cost(&mut datagrams_to(tenant(5), 64), 0), 0, "nobody's");
}

#[test]
fn an_unknown_destination_costs_a_copy_and_an_entry() {
    let mut rig = Rig::new(Search::Dynamic, 1, 1);
    // The table has been larger before, so that it need not grow now.
    rig.know(1000, Time(1));
    rig.control.flush(rig.device, false, Time(1)).expect("a dynamic device");
    rig.outputs(Time(1));
    let mut out = Outbox::new();
    let mut unknown = frames_to((0..).map(tenant), 64, Offload::default());
    let first = calls_of(|| rig.frames(&mut unknown, NOW, &mut out));
    assert_eq!(out.misses, BATCH);
    assert_eq!(first, 2 * BATCH as u64, "the worker: for each frame its copy, for each destination its entry");
    let behind = calls_of(|| rig.frames(&mut unknown, NOW, &mut out));
    assert_eq!(behind, BATCH as u64, "behind a frame that waits: the copy");
    // The control half: the question's copy of the frame, queue and maps that hold both; then the bytes that are sent. A ceiling,
    // as maps grow by leaps.
    let control = calls_of(|| assert_eq!(rig.answer_all(0, NOW), BATCH));
    assert!(control <= 12 * BATCH as u64, "{control} allocations for {BATCH} questions and {} frames", 2 * BATCH);
}
