//! Does the engine do what the description says, whatever happens in whatever order? Random events against a small model of one
//! device's target table; rows, outputs and all counters are compared after every step.

#[path = "../target_host/mod.rs"]
mod target_host;

mod spec;

use overlay_api::{Answer, EntryState, RequestId, Source};
use overlay_decoder::Mac;
use overlay_engine::{Limits, SetTarget};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use spec::{Frame, Model, NEVER, Reply};
use target_host::{A, Host, SECOND, ul3};

/// Destinations, all of one device.
const MACS: u8 = 6;

fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 9, number % MACS])
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Op {
    /// The port gives a worker a batch: destinations, and lengths to choose from.
    Frames(Vec<(u8, u8)>),
    /// The control half takes one of the frames that were handed over.
    Miss,
    /// An answer to one of the latest questions, open or not.
    Answer(u8, Said),
    Set(u8, Option<u8>, bool, Option<u64>),
    Remove(u8),
    Invalidate(u8),
    Flush(bool),
    Lost,
    Attached,
    Pass(u64),
    Resend(u8, u8),
    Inject,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Reach(u8, Option<u64>),
    Drop(Option<u64>),
    Inject,
    Resend(u8),
    /// Three ways of being of no use.
    Invalid(u8),
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(2 * SECOND)), 1 => Just(Some(20 * SECOND))]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        6 => (2..9u8, ttl()).prop_map(|(to, ttl)| Said::Reach(to, ttl)),
        2 => ttl().prop_map(Said::Drop),
        2 => Just(Said::Inject),
        4 => (0..MACS).prop_map(Said::Resend),
        1 => (0..3u8).prop_map(Said::Invalid),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let frames = prop::collection::vec((0..MACS, 0..4u8), 1..4);
    prop_oneof![
        10 => frames.prop_map(Op::Frames),
        10 => Just(Op::Miss),
        8 => (0..5u8, said()).prop_map(|(which, said)| Op::Answer(which, said)),
        3 => (0..MACS, prop::option::weighted(0.7, 2..9u8), any::<bool>(), ttl()).prop_map(|(mac, to, hand, ttl)| Op::Set(mac, to, hand, ttl)),
        1 => (0..MACS).prop_map(Op::Remove),
        1 => (0..MACS).prop_map(Op::Invalidate),
        1 => any::<bool>().prop_map(Op::Flush),
        1 => Just(Op::Lost),
        1 => Just(Op::Attached),
        3 => prop::sample::select(vec![SECOND / 100, SECOND, 3 * SECOND, 10 * SECOND, 21 * SECOND]).prop_map(Op::Pass),
        4 => (0..MACS, 0..4u8).prop_map(|(mac, size)| Op::Resend(mac, size)),
        1 => Just(Op::Inject),
    ]
}

/// Engine and model, side by side.
struct Both {
    host: Host,
    model: Model,
    /// Whether the table has room for fewer destinations than there are. Then events that would use several entries at the very same
    /// moment come apart, as it is not said which of them is older; and refusals have no limit, as it is not said when those that are over
    /// are taken out.
    tight: bool,
    content: u8,
}

impl Both {
    fn new(cap: usize) -> Self {
        let limits = Limits {
            miss_queue: 5,
            pending_bytes_per_entry: 150,
            pending_bytes_per_device: 400,
            lookups_per_device: 3,
            drain_ns: SECOND,
            idle_ns: NEVER,
            misses_per_call: 1,
            ..Limits::default()
        };
        let tight = cap < usize::from(MACS);
        let (max, negative) = (cap.to_string(), if tight { "86400" } else { "5" });
        let host = Host::with(1, limits, &[("target/max", &max), ("target/negative_ttl", negative)]);
        Self { host, model: Model::new(limits, cap, negative.parse::<u64>().unwrap() * SECOND), tight, content: 0 }
    }

    fn frame(&mut self, number: u8, size: u8, resent: bool) -> (Frame, Vec<u8>) {
        self.content = self.content.wrapping_add(1);
        let mut bytes = target_host::frame(mac(number), 0);
        bytes.resize([15, 40, 90, 200][usize::from(size) % 4], 0);
        *bytes.last_mut().unwrap() = self.content;
        (Frame { to: mac(number), content: self.content, len: bytes.len() as u64, resent }, bytes)
    }

    fn ttl(&self, ttl: Option<u64>) -> Option<u64> {
        ttl.filter(|_| !self.tight)
    }

    fn tick(&mut self) {
        self.host.now = self.host.now + 1;
        self.model.now = self.host.now.0;
    }

    fn note_gone(&mut self) {
        self.model.gone = (0..MACS).map(mac).filter(|mac| self.host.row(*mac).is_none()).collect();
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        self.tick();
        match op {
            Op::Frames(batch) => {
                let most = if self.tight { 1 } else { batch.len() };
                let frames: Vec<_> = batch[..most].iter().map(|(number, size)| self.frame(*number, *size, false)).collect();
                let bytes: Vec<&[u8]> = frames.iter().map(|(_, bytes)| &bytes[..]).collect();
                self.host.give(0, &bytes);
                frames.into_iter().for_each(|(frame, _)| self.model.frame(frame));
            }
            Op::Miss => {
                self.host.control.handle_misses(self.host.now);
                self.note_gone();
                self.model.miss();
            }
            Op::Answer(which, said) => self.answer(*which, *said)?,
            Op::Set(number, to, by_hand, ttl) => {
                self.come_apart()?;
                let (mac, ttl) = (mac(*number), self.ttl(*ttl));
                let target = to.map_or(SetTarget::Drop, |to| SetTarget::Reach(vec![ul3(to)]));
                let source = if *by_hand { Source::Static } else { Source::Plugin };
                let done = self.host.control.set_target(self.host.device, mac, &target, source, ttl, self.host.now);
                self.note_gone();
                prop_assert_eq!(self.model.set(mac, *to, source, ttl), done.is_ok(), "{:?}", done);
            }
            Op::Remove(number) => {
                self.come_apart()?;
                let known = self.host.control.remove_target(self.host.device, mac(*number), self.host.now);
                self.note_gone();
                prop_assert_eq!(known, Ok(self.model.remove(mac(*number))));
            }
            Op::Invalidate(number) => {
                self.come_apart()?;
                let known = self.host.control.invalidate(self.host.device, mac(*number), self.host.now);
                self.note_gone();
                prop_assert_eq!(known, Ok(self.model.invalidate(mac(*number))));
            }
            Op::Flush(learned_only) => {
                self.come_apart()?;
                let known = self.host.control.flush(self.host.device, *learned_only, self.host.now);
                self.note_gone();
                prop_assert_eq!(known, Ok(self.model.flush(*learned_only)));
            }
            Op::Lost => {
                self.host.control.answerer_lost("lost", self.host.now);
                self.model.lost();
            }
            Op::Attached => {
                self.host.control.answerer_attached(self.host.now);
                self.model.attached();
            }
            Op::Pass(ns) => {
                self.host.now = self.host.now + *ns;
                self.model.now = self.host.now.0;
                self.host.control.handle_timeout(self.host.now);
                self.model.settle();
                self.note_gone();
                self.model.timeouts();
                self.model.sweep();
            }
            Op::Resend(number, size) => {
                let (frame, bytes) = self.frame(*number, *size, true);
                self.host.control.resend(self.host.device, &bytes, self.host.now).unwrap();
                self.note_gone();
                self.model.resend(frame);
            }
            Op::Inject => {
                let (frame, mut bytes) = self.frame(0, 0, true);
                bytes[..6].copy_from_slice(&A.0);
                self.host.control.inject(self.host.device, &bytes).unwrap();
                self.model.inject(frame.content);
            }
        }
        self.host.carry_out();
        self.model.settle();
        self.compare(matches!(op, Op::Flush(_)))
    }

    /// Takes the frames on their way first, each at its own moment.
    fn come_apart(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..if self.tight { 5 } else { 0 } {
            self.step(&Op::Miss)?;
        }
        self.tick();
        Ok(())
    }

    fn answer(&mut self, which: u8, said: Said) -> Result<(), TestCaseError> {
        let last = self.host.lookups.last().map_or(0, |lookup| lookup.request.0);
        let request = RequestId(last.saturating_sub(which.into()));
        let (answer, reply) = match said {
            Said::Reach(to, ttl) => {
                let ttl_ns = self.ttl(ttl);
                (Answer::Reach { to: vec![ul3(to)], ttl_ns }, Reply::Reach(to, ttl_ns))
            }
            Said::Drop(ttl) => {
                let ttl_ns = self.ttl(ttl);
                (Answer::Drop { ttl_ns }, Reply::Drop(ttl_ns))
            }
            Said::Inject => {
                let (frame, mut bytes) = self.frame(0, 0, true);
                bytes[..6].copy_from_slice(&A.0);
                (Answer::Inject(bytes), Reply::Inject(frame.content))
            }
            Said::Resend(number) => {
                let (frame, bytes) = self.frame(number, 0, true);
                (Answer::Resend(bytes), Reply::Resend(frame))
            }
            Said::Invalid(0) => (Answer::Reach { to: vec![], ttl_ns: None }, Reply::Invalid),
            Said::Invalid(1) => (Answer::Reach { to: vec![ul3(2), ul3(3)], ttl_ns: None }, Reply::Invalid),
            Said::Invalid(_) => (Answer::Inject(vec![0; 13]), Reply::Invalid),
        };
        let known = self.host.control.handle_answer(request, answer, self.host.now);
        self.note_gone();
        let taken = self.model.answer(request, reply);
        prop_assert_eq!(taken, known.is_ok(), "{:?}", known);
        Ok(())
    }

    fn compare(&mut self, any_order: bool) -> Result<(), TestCaseError> {
        let (mut did, mut expected) = (self.host.did(), std::mem::take(&mut self.model.did));
        if any_order {
            did.sort();
            expected.sort();
        }
        prop_assert_eq!(did, expected, "what was done\n{}", self.host.world());
        prop_assert_eq!(self.host.totals(), self.model.totals.clone(), "what was counted\n{}", self.host.world());
        prop_assert_eq!(self.host.totals().waiting(), self.model.waiting(), "what waits\n{}", self.host.world());
        let device = self.host.control.device(self.host.device).unwrap();
        let (pending, lookups) = (device.pending_bytes as u64, device.lookups);
        prop_assert_eq!((pending, lookups), (self.model.pending_bytes(), self.model.lookups()), "what is asked\n{}", self.host.world());
        prop_assert!(pending <= 400 && lookups <= 3, "over the caps: {} bytes, {} lookups", pending, lookups);
        for mac in (0..MACS).map(mac) {
            let row = self.host.row(mac);
            let entry = self.model.entries.get(&mac).filter(|entry| self.model.shown(entry) != EntryState::Absent);
            prop_assert_eq!(row.is_some(), entry.is_some(), "{}: {:?}\n{}", mac, entry, self.host.world());
            let (Some(row), Some(entry)) = (row, entry) else { continue };
            let state = self.model.shown(entry);
            prop_assert_eq!(row.state, state, "{}: {:?}\n{}", mac, entry, self.host.world());
            let to: Vec<_> = entry.to.map(ul3).into_iter().collect();
            let waits: u64 = entry.queue.iter().map(|frame| frame.len).sum();
            let left = (entry.expires != NEVER).then(|| entry.expires.saturating_sub(self.model.now));
            prop_assert_eq!(
                (row.ul3, row.source, row.hits, row.bytes, row.pending_bytes, row.expires_ns, row.idle_ns),
                (to, entry.source, entry.hits, entry.bytes, waits, left, self.model.now - entry.used),
                "{}: {:?}\n{}",
                mac,
                entry,
                self.host.world()
            );
            // When exactly something that nobody used became stale is not said.
            if !matches!(state, EntryState::Stale | EntryState::Renewing) {
                prop_assert_eq!(row.age_ns, self.model.now - entry.since, "{}: {:?}\n{}", mac, entry, self.host.world());
            }
        }
        Ok(())
    }

    fn run(&mut self, ops: &[Op]) -> Result<(), TestCaseError> {
        ops.iter().try_for_each(|op| self.step(op))?;
        self.model.now = self.host.now.0;
        self.model.delete();
        self.host.delete();
        prop_assert_eq!(self.host.totals().drops, self.model.totals.drops, "after the deletion\n{}", self.host.world());
        Ok(())
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_table_with_room_does_what_the_model_says(ops in prop::collection::vec(op(), 1..120)) {
        Both::new(1000).run(&ops)?;
    }

    #[test]
    fn a_table_that_is_too_small_does_what_the_model_says(cap in 1..usize::from(MACS), ops in prop::collection::vec(op(), 1..120)) {
        Both::new(cap).run(&ops)?;
    }
}
