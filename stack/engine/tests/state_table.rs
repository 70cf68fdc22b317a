//! What follows each event in each state? All 98 pairs, brought about through the engine: an entry is led into the state, the event is
//! made to happen, and state, outputs, every counter and the later fate of each frame are compared with what is written here by hand.
//! The same table, as the engine has it, is the page `docs/target-states.md`.

mod target_host;

use overlay_api::{Answer, DropReason, EntryState, RequestId, Source};
use overlay_engine::{AnswerError, Limits, SetTarget, TargetEvent as Event, Totals, target_step};
use target_host::{A, B, C, Did, FRAME, Host, SECOND, count_drops, count_in, count_sent, frame, reach, totals, ul3};

use EntryState::{Absent, Draining, Drop, Pending, Renewing, Stale, Valid};
use Event::{Drained, Evict, Expire, Frame, Invalid, Lost, Reach, Refuse, Remove, Set, SetDrop, Take, TakeLast, Timeout};

/// What was answered before the event, and what the event brings.
const OLD: u8 = 2;
const NEW: u8 = 7;
/// How long answers hold.
const TTL: u64 = 100 * SECOND;

/// What happens beside the change of state.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Effect {
    /// Frames with these contents go to the old destination.
    ToOld(&'static [u8]),
    /// Frames with these contents go to the new destination.
    ToNew(&'static [u8]),
    /// The lookup is asked.
    Asks,
    /// The open question is withdrawn.
    Withdraws,
    /// The question is put again to the next who answers.
    AsksAgain,
    /// Frames are dropped.
    Drops(DropReason, u64),
    /// A frame was answered by another one in its place.
    Answered,
    /// The port gets the answer's frame.
    Injects,
    /// The answer came too late, or nobody asked.
    Ignored,
    /// The entry was evicted.
    Evicts,
}
use Effect::{Answered, Asks, AsksAgain, Drops, Evicts, Ignored, Injects, ToNew, ToOld, Withdraws};

/// How much of a pair the engine's interface can bring about.
enum Pair {
    /// All of it.
    Done(EntryState, &'static [Effect]),
    /// The event cannot happen in this state, for this reason. What would make it happen elsewhere changes nothing but what is listed.
    Cannot(EntryState, &'static [Effect], &'static str),
}
use Pair::{Cannot, Done};

const NOT_ON_ITS_WAY: &str = "only what drains has drained";
const NOT_ASKED: &str = "nobody asks, so no lookup runs out of time";
const NO_LIMIT: &str = "no answer holds in this state whose time could be over";
const NOT_CHOSEN: &str = "the eviction does not choose it";
const ALONE: &str = "no frame waits for a renewal: its answer is always the last one's";

/// All that is expected.
fn expected(state: EntryState, event: Event) -> Pair {
    match (state, event) {
        (Absent, Frame) => Done(Pending, &[Asks]),
        (Absent, Reach | Refuse | Take | TakeLast | Invalid) => Done(Absent, &[Ignored]),
        (Absent, Set) => Done(Draining, &[]),
        (Absent, SetDrop) => Done(Drop, &[]),
        (Absent, Remove | Lost) => Done(Absent, &[]),
        (Absent, Drained) => Cannot(Absent, &[], NOT_ON_ITS_WAY),
        (Absent, Expire) => Cannot(Absent, &[], NO_LIMIT),
        (Absent, Timeout) => Cannot(Absent, &[], NOT_ASKED),
        (Absent, Evict) => Cannot(Absent, &[], NOT_CHOSEN),

        // Frames 1 and 2 wait; for take-last only frame 1.
        (Pending, Frame) => Done(Pending, &[]),
        (Pending, Reach) => Done(Draining, &[ToNew(&[1, 2])]),
        (Pending, Refuse) => Done(Drop, &[Drops(DropReason::Refused, 2)]),
        (Pending, Take) => Done(Pending, &[Answered, Asks, Injects]),
        (Pending, TakeLast) => Done(Absent, &[Answered, Injects]),
        (Pending, Invalid) => Done(Absent, &[Drops(DropReason::AnswerInvalid, 2)]),
        (Pending, Set) => Done(Draining, &[Withdraws, ToNew(&[1, 2])]),
        (Pending, SetDrop) => Done(Drop, &[Withdraws, Drops(DropReason::Refused, 2)]),
        (Pending, Remove) => Done(Absent, &[Withdraws, Drops(DropReason::EntryRemoved, 2)]),
        (Pending, Timeout) => Done(Absent, &[Drops(DropReason::LookupTimeout, 2), Withdraws]),
        (Pending, Lost) => Done(Pending, &[AsksAgain]),
        (Pending, Drained) => Cannot(Pending, &[], NOT_ON_ITS_WAY),
        (Pending, Expire) => Cannot(Pending, &[], NO_LIMIT),
        (Pending, Evict) => Cannot(Pending, &[], NOT_CHOSEN),

        // Frame 1 is out, frame 3 is on its way to the control half. A command takes that first.
        (Draining, Frame) => Done(Draining, &[ToOld(&[3, 4])]),
        (Draining, Reach | Refuse | Take | TakeLast | Invalid) => Done(Draining, &[Ignored]),
        (Draining, Set) => Done(Draining, &[ToOld(&[3])]),
        (Draining, SetDrop) => Done(Drop, &[ToOld(&[3])]),
        (Draining, Remove) => Done(Absent, &[ToOld(&[3])]),
        (Draining, Drained) => Done(Valid, &[ToOld(&[3])]),
        (Draining, Lost) => Done(Draining, &[]),
        (Draining, Expire) => Done(Draining, &[]),
        (Draining, Timeout) => Cannot(Draining, &[], NOT_ASKED),
        (Draining, Evict) => Cannot(Draining, &[ToOld(&[3])], NOT_CHOSEN),

        (Valid, Frame) => Done(Valid, &[ToOld(&[4])]),
        (Valid, Reach | Refuse | Take | TakeLast | Invalid) => Done(Valid, &[Ignored]),
        (Valid, Set) => Done(Valid, &[]),
        (Valid, SetDrop) => Done(Drop, &[]),
        (Valid, Remove) => Done(Absent, &[]),
        (Valid, Expire | Lost) => Done(Stale, &[]),
        (Valid, Evict) => Done(Absent, &[Evicts]),
        (Valid, Drained) => Cannot(Valid, &[], NOT_ON_ITS_WAY),
        (Valid, Timeout) => Cannot(Valid, &[], NOT_ASKED),

        (Stale, Frame) => Done(Renewing, &[ToOld(&[4]), Asks]),
        (Stale, Reach | Refuse | Take | TakeLast | Invalid) => Done(Stale, &[Ignored]),
        (Stale, Set) => Done(Valid, &[]),
        (Stale, SetDrop) => Done(Drop, &[]),
        (Stale, Remove) => Done(Absent, &[]),
        (Stale, Expire | Lost) => Done(Stale, &[]),
        (Stale, Evict) => Done(Absent, &[Evicts]),
        (Stale, Drained) => Cannot(Stale, &[], NOT_ON_ITS_WAY),
        (Stale, Timeout) => Cannot(Stale, &[], NOT_ASKED),

        // Frame 3 went to the old destination and made it be asked for again.
        (Renewing, Frame) => Done(Renewing, &[ToOld(&[4])]),
        (Renewing, Reach) => Done(Valid, &[]),
        (Renewing, Refuse) => Done(Drop, &[]),
        (Renewing, Take) => Cannot(Stale, &[Injects], ALONE),
        (Renewing, TakeLast) => Done(Stale, &[Injects]),
        (Renewing, Invalid) => Done(Stale, &[]),
        (Renewing, Set) => Done(Valid, &[Withdraws]),
        (Renewing, SetDrop) => Done(Drop, &[Withdraws]),
        (Renewing, Remove) => Done(Absent, &[Withdraws]),
        (Renewing, Timeout | Lost) => Done(Stale, &[Withdraws]),
        (Renewing, Drained) => Cannot(Renewing, &[], NOT_ON_ITS_WAY),
        (Renewing, Expire) => Done(Renewing, &[]),
        (Renewing, Evict) => Cannot(Renewing, &[], NOT_CHOSEN),

        (Drop, Frame) => Done(Drop, &[Drops(DropReason::Refused, 1)]),
        (Drop, Reach | Refuse | Take | TakeLast | Invalid) => Done(Drop, &[Ignored]),
        (Drop, Set) => Done(Draining, &[]),
        (Drop, SetDrop | Lost) => Done(Drop, &[]),
        (Drop, Remove | Expire) => Done(Absent, &[]),
        (Drop, Evict) => Done(Absent, &[Evicts]),
        (Drop, Drained) => Cannot(Drop, &[], NOT_ON_ITS_WAY),
        (Drop, Timeout) => Cannot(Drop, &[], NOT_ASKED),
    }
}

/// A host with an entry in that state.
fn in_state(state: EntryState, event: Event) -> Host {
    // The one clock must not make two events happen at once.
    let timeout = if event == Expire { 10 * TTL } else { 10 * SECOND };
    let limits = Limits { lookup_timeout_ns: timeout, drain_ns: 10 * TTL, idle_ns: 100 * TTL, ..Limits::default() };
    let mut host = Host::with(1, limits, &[]);
    let answer = |host: &mut Host, answer| host.answer(answer).unwrap();
    match state {
        Absent => {}
        Pending => {
            host.send(B, 1);
            if event != TakeLast {
                host.send(B, 2);
            }
        }
        Draining => {
            host.send(B, 1);
            host.give_one(B, 3);
            answer(&mut host, Answer::Reach { to: vec![ul3(OLD)], ttl_ns: Some(TTL) });
        }
        Valid | Stale | Renewing => {
            host.send(B, 1);
            answer(&mut host, Answer::Reach { to: vec![ul3(OLD)], ttl_ns: Some(TTL) });
            if state != Valid {
                host.pass(TTL);
                host.carry_out();
            }
            if state == Renewing {
                host.send(B, 3);
            }
        }
        Drop => {
            host.send(B, 1);
            answer(&mut host, Answer::Drop { ttl_ns: Some(TTL) });
        }
    }
    assert_eq!(host.state(B), state, "{}", host.world());
    host.did();
    host
}

/// Makes the event happen, and says in which state the entry is right afterwards. Outputs are still to be carried out where the event
/// is not itself that they were.
fn happen(host: &mut Host, event: Event) -> EntryState {
    let inject = || Answer::Inject(frame(A, 99));
    let answer = match event {
        Reach => Some(reach(NEW)),
        Refuse => Some(Answer::Drop { ttl_ns: None }),
        Take | TakeLast => Some(inject()),
        Invalid => Some(Answer::Reach { to: vec!["10.88.0.9".parse().unwrap()], ttl_ns: None }),
        _ => None,
    };
    if let Some(answer) = answer {
        let request = host.request();
        let done = host.control.handle_answer(request, answer, host.now);
        match (event, &done) {
            (_, Ok(())) | (_, Err(AnswerError::Unknown(_))) => {}
            (Invalid, Err(AnswerError::Invalid { problem, .. })) => {
                assert_eq!(problem, "10.88.0.9 has no port; this encapsulation needs one");
            }
            _ => panic!("{done:?}"),
        }
        return host.state(B);
    }
    match event {
        Frame => {
            host.give_one(B, 4);
            host.control.handle_misses(host.now);
        }
        Set => host.set(B, &SetTarget::Reach(vec![ul3(NEW)])),
        SetDrop => host.set(B, &SetTarget::Drop),
        Remove => {
            let known = host.state(B) != Absent;
            assert_eq!(host.control.remove_target(host.device, B, host.now), Ok(known));
        }
        Drained => {
            if host.state(B) == Draining {
                host.control.handle_misses(host.now);
            }
            host.carry_out();
        }
        Expire => host.pass(TTL),
        Timeout => host.pass(10 * SECOND),
        Lost => host.control.answerer_lost("the test says so", host.now),
        Evict => {
            host.control.set_property(host.device, "target/max", "1", host.now).unwrap();
            host.set(C, &SetTarget::Reach(vec![ul3(9)]));
        }
        Reach | Refuse | Take | TakeLast | Invalid => {}
    }
    host.state(B)
}

/// What the driver is asked to do, and what is counted.
fn consequences(host: &Host, state: EntryState, event: Event, effects: &[Effect]) -> (Vec<Did>, Totals) {
    let (mut did, mut counted) = (Vec::new(), Totals::default());
    let asked = host.request();
    if event == Frame {
        count_in(&mut counted, 1);
    }
    // The only answers that count are those to an open question.
    if matches!(state, Pending | Renewing) && matches!(event, Reach | Refuse | Take | TakeLast | Invalid) {
        counted.answers += 1;
    }
    for effect in effects {
        match *effect {
            ToOld(frames) | ToNew(frames) => {
                let to = ul3(if matches!(effect, ToOld(_)) { OLD } else { NEW });
                did.extend(frames.iter().map(|content| Did::Send(*content, to)));
                count_sent(&mut counted, frames.len() as u64);
            }
            Asks => {
                let last = if asked == RequestId(999_999) { 0 } else { asked.0 };
                did.push(Did::Ask(RequestId(last + 1), B));
                counted.lookups += 1;
            }
            Withdraws => did.push(Did::Withdraw(asked)),
            Drops(reason, count) => count_drops(&mut counted, reason, count),
            Answered => counted.answered += 1,
            Injects => {
                did.push(Did::Deliver(99));
                counted.made += 1;
            }
            Ignored => counted.late_answers += 1,
            Evicts => counted.evictions += 1,
            AsksAgain => {}
        }
    }
    (did, counted)
}

fn plus(mut totals: Totals, more: &Totals) -> Totals {
    totals.merge(more);
    totals
}

#[test]
fn every_event_in_every_state_does_what_is_written_here() {
    for state in EntryState::ALL.iter().copied() {
        for event in Event::ALL {
            let pair = format!("{event:?} in state {state}");
            let (to, effects, why) = match expected(state, event) {
                Done(to, effects) => (to, effects, None),
                Cannot(to, effects, why) => (to, effects, Some(why)),
            };
            assert_eq!(target_step(state, event).to, to, "{pair}: the engine's table");
            let mut host = in_state(state, event);
            let before = host.totals();
            let (did, counted) = consequences(&host, state, event, effects);
            let mut counted = plus(before, &counted);
            let after = happen(&mut host, event);
            assert_eq!(after, to, "{pair} {why:?}\n{}", host.world());
            let pending = match (state, event, to) {
                (_, _, Absent | Draining | Valid | Stale | Renewing | Drop) => 0,
                (Absent, ..) | (Pending, Take, _) => FRAME,
                (_, Frame, _) => 3 * FRAME,
                _ => 2 * FRAME,
            };
            if let Some(row) = host.row(B) {
                assert_eq!(row.pending_bytes, pending, "{pair}\n{}", host.world());
                let set = matches!(event, Set | SetDrop);
                assert_eq!(row.source, if set { Source::Static } else { Source::Lookup }, "{pair}");
                let new = set || matches!((state, event), (Pending | Renewing, Reach));
                let there = if new { NEW } else { OLD };
                let shown = if matches!(to, Pending | Drop) { vec![] } else { vec![ul3(there)] };
                assert_eq!(row.ul3, shown, "{pair}\n{}", host.world());
                assert_eq!(row.hits, hits_after(state, event), "{pair}\n{}", host.world());
            }
            assert_eq!(host.control.device(host.device).unwrap().pending_bytes as u64, pending, "{pair}");
            if state == Draining && event != Drained {
                // The frame that is on its way is not lost, whatever has happened.
                host.control.handle_misses(host.now);
            }
            host.carry_out();
            let mut did_after = did;
            if state == Draining && !effects.iter().any(|effect| matches!(effect, ToOld(_))) {
                did_after.push(Did::Send(3, ul3(OLD)));
                count_sent(&mut counted, 1);
            }
            let asked = host.request();
            let found = host.did();
            assert_eq!(found, did_after, "{pair}\n{}", host.world());
            assert_eq!(host.totals(), counted, "{pair}\n{}", host.world());
            // Once all is carried out nothing drains any more.
            if to == Draining {
                assert_eq!(host.state(B), if event == Lost || event == Expire { Stale } else { Valid }, "{pair}\n{}", host.world());
            }
            if effects.contains(&AsksAgain) {
                host.control.answerer_attached(host.now);
                host.carry_out();
                assert_eq!(host.did(), [Did::Ask(asked, B)], "{pair}");
            }
            host.delete();
        }
    }
}

/// Frames that the entry has sent: frame 1 in every state behind an answer, frame 3 where it is being renewed.
fn hits_after(state: EntryState, event: Event) -> u64 {
    let before = match state {
        Absent | Pending | Drop => 0,
        Draining | Valid | Stale => 1,
        Renewing => 2,
    };
    let more = match (state, event) {
        (Pending, Reach | Set) => 2,
        (Draining, Frame) => 2,
        (Draining, Set | SetDrop | Remove | Drained | Evict) => 1,
        (Valid | Stale | Renewing, Frame) => 1,
        _ => 0,
    };
    before + more
}

/// A frame that a plugin sends takes the control half's way to the entry, not a worker's. Both follow the one table.
#[test]
fn a_frame_that_a_plugin_sends_finds_the_same_in_every_state() {
    for state in EntryState::ALL.iter().copied() {
        let mut host = in_state(state, Frame);
        let before = host.totals();
        host.control.resend(host.device, &frame(B, 4), host.now).unwrap();
        let Done(to, effects) = expected(state, Frame) else { panic!("a frame can come in every state") };
        assert_eq!(host.state(B), to, "{state}\n{}", host.world());
        // What is on its way to the control half has not been overtaken within its flow: it is another one's.
        let effects: Vec<_> = effects.iter().map(|effect| if *effect == ToOld(&[3, 4]) { ToOld(&[4]) } else { *effect }).collect();
        let (did, counted) = consequences(&host, state, Remove, &effects);
        let mut counted = plus(before, &counted);
        counted.resent += 1;
        assert_eq!(host.totals(), counted, "{state}\n{}", host.world());
        host.carry_out();
        let mut found = host.did();
        found.sort();
        let mut did = did;
        did.sort();
        assert_eq!(found, did, "{state}\n{}", host.world());
        host.control.handle_misses(host.now);
        host.carry_out();
        host.delete();
    }
}

/// An entry that was removed, dropped or asked for again while it drained is not opened by what is left of the draining.
#[test]
fn what_is_left_of_a_draining_opens_nothing() {
    for (then, state) in [(Remove, Absent), (SetDrop, Drop)] {
        let mut host = in_state(Draining, then);
        assert_eq!(happen(&mut host, then), state);
        host.pass(10 * SECOND);
        host.carry_out();
        assert_eq!(host.state(B), state, "{then:?}\n{}", host.world());
        host.delete();
    }
    let mut host = in_state(Draining, Remove);
    happen(&mut host, Remove);
    host.send(B, 5);
    host.pass(SECOND);
    host.carry_out();
    assert_eq!(host.state(B), Pending, "{}", host.world());
    let waiting = totals(|totals| {
        count_in(totals, 3);
        count_sent(totals, 2);
        (totals.lookups, totals.answers) = (2, 1);
    });
    assert_eq!(host.totals(), waiting, "{}", host.world());
    host.delete();
}
