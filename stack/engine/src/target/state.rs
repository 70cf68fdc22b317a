//! What happens to an entry when? One table of (state, event), from which everything else is made.
//!
//! The control half executes the actions of a [`Step`] in their order; the worker's decision on a hit ([`on_frame`]) is computed from
//! the same table at compile time; the diagram in `docs/target-states.md` and the wording of `overlayadm trace` are written
//! from it. Nothing else knows what follows what.

use overlay_api::{DropReason, EntryState};

/// Something that happens to a target entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Event {
    /// A frame has this destination.
    Frame,
    /// The lookup was answered with a destination.
    Reach,
    /// The lookup was answered with drop.
    Refuse,
    /// The lookup was answered by another frame in the place of the one that asked, and more frames wait.
    Take,
    /// The same, and no other frame waits.
    TakeLast,
    /// The lookup was answered with something that the device cannot use.
    Invalid,
    /// The operator or a plugin set a destination.
    Set,
    /// The operator or a plugin set drop.
    SetDrop,
    /// The operator or a plugin removed it: one entry, or all in a flush.
    Remove,
    /// The frames that had waited are out.
    Drained,
    /// The time that the answer holds for is over.
    Expire,
    /// The lookup was not answered in time.
    Timeout,
    /// Who answers lookups went away.
    Lost,
    /// The table is over its cap, and this entry was chosen.
    Evict,
}

impl Event {
    /// All events, in the order of the table's columns.
    pub const ALL: [Self; 14] = [
        Self::Frame,
        Self::Reach,
        Self::Refuse,
        Self::Take,
        Self::TakeLast,
        Self::Invalid,
        Self::Set,
        Self::SetDrop,
        Self::Remove,
        Self::Drained,
        Self::Expire,
        Self::Timeout,
        Self::Lost,
        Self::Evict,
    ];

    /// The name: the argument of the probe `target-state`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Reach => "reach",
            Self::Refuse => "refuse",
            Self::Take => "take",
            Self::TakeLast => "take-last",
            Self::Invalid => "invalid",
            Self::Set => "set",
            Self::SetDrop => "set-drop",
            Self::Remove => "remove",
            Self::Drained => "drained",
            Self::Expire => "expire",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Evict => "evict",
        }
    }
}

/// Something that the engine does when an event happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Put the frame into the entry's queue; over the caps it is dropped.
    Queue,
    /// Ask the lookup.
    Ask,
    /// Send the frame to the entry's destination.
    Forward,
    /// Send the frame behind those that waited: by the control half.
    ForwardBehind,
    /// Drop the frame.
    Reject(DropReason),
    /// Take the destination, its source and its time limit from the event.
    Route,
    /// Send the frames of the queue, oldest first.
    SendQueue,
    /// Drop the frames of the queue.
    DropQueue(DropReason),
    /// The oldest frame of the queue has been answered by another one in its place.
    TakeHead,
    /// The question no longer counts; its answer will be ignored.
    Withdraw,
    /// The question is put again to the next who answers.
    Requeue,
    /// Remove the entry from the table.
    Forget,
}

/// What follows an event in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The next state.
    pub to: EntryState,
    /// What is done, in this order, before the state changes.
    pub actions: &'static [Action],
    /// What `overlayadm trace` and the documentation say about it.
    pub words: &'static str,
}

/// What follows `event` in `state`. Total: what changes nothing is a step back into the same state without actions.
#[must_use]
pub const fn step(state: EntryState, event: Event) -> Step {
    use Action::{Ask, DropQueue, Forget, Forward, ForwardBehind, Queue, Reject, Requeue, Route, SendQueue, TakeHead, Withdraw};
    use EntryState::{Absent, Draining, Drop, Pending, Renewing, Stale, Valid};
    use Event as E;

    const fn to(to: EntryState, actions: &'static [Action], words: &'static str) -> Step {
        Step { to, actions, words }
    }

    match (state, event) {
        (Absent, E::Frame) => to(Pending, &[Queue, Ask], "nothing is known: the frame waits, and the lookup is asked"),
        (Absent, E::Set) => to(Draining, &[Route], "the destination is set; frames on their way to the lookup go first"),
        (Absent, E::SetDrop) => to(Drop, &[Route], "frames are dropped from now on"),
        (Absent, E::Remove | E::Evict | E::Expire) => to(Absent, &[Forget], "nothing is known; the empty entry goes"),
        (Absent, E::Reach | E::Refuse | E::Take | E::TakeLast | E::Invalid) => {
            to(Absent, &[], "nobody asks any more: the answer is ignored")
        }
        (Absent, E::Drained | E::Timeout | E::Lost) => to(Absent, &[], "nothing is known"),

        (Pending, E::Frame) => to(Pending, &[Queue], "the lookup is asked already: the frame waits behind the others"),
        (Pending, E::Reach) => to(Draining, &[Route, SendQueue], "answered: the frames that wait go out first"),
        (Pending, E::Refuse) => to(Drop, &[Route, DropQueue(DropReason::Refused)], "refused: the frames that wait are dropped"),
        (Pending, E::Take) => to(Pending, &[TakeHead, Ask], "the oldest frame was answered in another way; the next one asks"),
        (Pending, E::TakeLast) => {
            to(Absent, &[TakeHead, Forget], "the frame was answered in another way; nothing is known of the destination")
        }
        (Pending, E::Invalid) => {
            to(Absent, &[DropQueue(DropReason::AnswerInvalid), Forget], "the answer cannot be used: the frames that wait are dropped")
        }
        (Pending, E::Set) => {
            to(Draining, &[Withdraw, Route, SendQueue], "set by hand before the answer came: the frames that wait go out first")
        }
        (Pending, E::SetDrop) => {
            to(Drop, &[Withdraw, Route, DropQueue(DropReason::Refused)], "drop was set by hand: the frames that wait are dropped")
        }
        (Pending, E::Remove) => {
            to(Absent, &[Withdraw, DropQueue(DropReason::EntryRemoved), Forget], "removed: the frames that wait are dropped")
        }
        (Pending, E::Timeout) => {
            to(Absent, &[DropQueue(DropReason::LookupTimeout), Forget], "no answer in time: the frames that wait are dropped")
        }
        (Pending, E::Lost) => to(Pending, &[Requeue], "the question is put again to the next who answers"),
        (Pending, E::Drained | E::Expire | E::Evict) => to(Pending, &[], "frames wait for the answer"),

        (Draining, E::Frame) => to(Draining, &[ForwardBehind], "frames that waited are going out: this one goes behind them"),
        (Draining, E::Set) => to(Draining, &[Route], "the destination is set; frames on their way go first"),
        (Draining, E::SetDrop) => to(Drop, &[Route], "frames are dropped from now on"),
        (Draining, E::Remove) => to(Absent, &[Forget], "removed"),
        (Draining, E::Drained) => to(Valid, &[], "all frames that waited are out: newer ones pass directly"),
        (Draining, E::Reach | E::Refuse | E::Take | E::TakeLast | E::Invalid) => {
            to(Draining, &[], "nobody asks any more: the answer is ignored")
        }
        (Draining, E::Expire | E::Timeout | E::Lost | E::Evict) => to(Draining, &[], "frames that waited are going out"),

        (Valid, E::Frame) => to(Valid, &[Forward], "sent to the entry's destination"),
        (Valid, E::Set) => to(Valid, &[Route], "the destination is set"),
        (Valid, E::SetDrop) => to(Drop, &[Route], "frames are dropped from now on"),
        (Valid, E::Remove) => to(Absent, &[Forget], "removed: the next frame asks"),
        (Valid, E::Expire) => to(Stale, &[], "its time is over: still used, and asked for again on the next use"),
        (Valid, E::Lost) => to(Stale, &[], "who answered is away: still used, and asked for again on use when somebody answers"),
        (Valid, E::Evict) => to(Absent, &[Forget], "evicted: the next frame asks"),
        (Valid, E::Reach | E::Refuse | E::Take | E::TakeLast | E::Invalid) => to(Valid, &[], "nobody asks any more: the answer is ignored"),
        (Valid, E::Drained | E::Timeout) => to(Valid, &[], "nothing waits"),

        (Stale, E::Frame) => to(Renewing, &[Forward, Ask], "sent to the old destination, and the lookup is asked again"),
        (Stale, E::Set) => to(Valid, &[Route], "the destination is set"),
        (Stale, E::SetDrop) => to(Drop, &[Route], "frames are dropped from now on"),
        (Stale, E::Remove) => to(Absent, &[Forget], "removed: the next frame asks"),
        (Stale, E::Evict) => to(Absent, &[Forget], "evicted: the next frame asks"),
        (Stale, E::Reach | E::Refuse | E::Take | E::TakeLast | E::Invalid) => to(Stale, &[], "nobody asks any more: the answer is ignored"),
        (Stale, E::Drained | E::Expire | E::Timeout | E::Lost) => to(Stale, &[], "still used, and asked for again on the next use"),

        (Renewing, E::Frame) => to(Renewing, &[Forward], "sent to the old destination; the lookup is asked already"),
        (Renewing, E::Reach) => to(Valid, &[Route], "answered again"),
        (Renewing, E::Refuse) => to(Drop, &[Route], "refused this time: frames are dropped from now on"),
        (Renewing, E::Take | E::TakeLast) => to(Stale, &[], "answered in another way: the old destination stays in use"),
        (Renewing, E::Invalid) => to(Stale, &[], "the answer cannot be used: the old destination stays in use"),
        (Renewing, E::Set) => to(Valid, &[Withdraw, Route], "set by hand before the answer came"),
        (Renewing, E::SetDrop) => to(Drop, &[Withdraw, Route], "drop was set by hand"),
        (Renewing, E::Remove) => to(Absent, &[Withdraw, Forget], "removed: the next frame asks"),
        (Renewing, E::Timeout) => to(Stale, &[], "no answer in time: the old destination stays in use"),
        (Renewing, E::Lost) => to(Stale, &[Withdraw], "who answers is away: the old destination stays in use"),
        (Renewing, E::Drained | E::Expire | E::Evict) => to(Renewing, &[], "the lookup is asked"),

        (Drop, E::Frame) => to(Drop, &[Reject(DropReason::Refused)], "dropped: the lookup or the operator said so"),
        (Drop, E::Set) => to(Draining, &[Route], "the destination is set; frames on their way go first"),
        (Drop, E::SetDrop) => to(Drop, &[Route], "frames are dropped"),
        (Drop, E::Remove) => to(Absent, &[Forget], "removed: the next frame asks"),
        (Drop, E::Expire) => to(Absent, &[Forget], "its time is over: the next frame asks"),
        (Drop, E::Evict) => to(Absent, &[Forget], "evicted: the next frame asks"),
        (Drop, E::Reach | E::Refuse | E::Take | E::TakeLast | E::Invalid) => to(Drop, &[], "nobody asks any more: the answer is ignored"),
        (Drop, E::Drained | E::Timeout | E::Lost) => to(Drop, &[], "frames are dropped"),
    }
}

/// What a worker does with a frame by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnFrame {
    /// Hand it to the control half.
    HandOver,
    /// Send it.
    Forward,
    /// Send it, and have the lookup asked again.
    Renew,
    /// Drop it.
    Reject(DropReason),
}

const fn on_frame_of(state: EntryState) -> OnFrame {
    match step(state, Event::Frame).actions {
        [Action::Forward] => OnFrame::Forward,
        [Action::Forward, Action::Ask] => OnFrame::Renew,
        [Action::Reject(reason)] => OnFrame::Reject(*reason),
        _ => OnFrame::HandOver,
    }
}

/// The worker's part of the table.
const ON_FRAME: [OnFrame; 7] = {
    let mut all = [OnFrame::HandOver; 7];
    let mut index = 0;
    while index < all.len() {
        all[index] = on_frame_of(EntryState::ALL[index]);
        index += 1;
    }
    all
};

/// What a worker does with a frame for an entry in `state`.
#[inline]
pub(crate) const fn on_frame(state: EntryState) -> OnFrame {
    ON_FRAME[state as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_act_alone_only_where_nothing_waits() {
        let alone: Vec<_> = EntryState::ALL.iter().filter(|state| on_frame(**state) != OnFrame::HandOver).collect();
        assert_eq!(alone, [&EntryState::Valid, &EntryState::Stale, &EntryState::Renewing, &EntryState::Drop]);
    }
}
