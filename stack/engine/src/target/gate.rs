//! May this frame pass the entry now, or must it queue behind others? One atomic word an entry.
//!
//! ```text
//!  63            32 31        9   8    7       0
//! +----------------+-----------+------+---------+
//! |   in flight    |     -     | hold |  state  |
//! +----------------+-----------+------+---------+
//! ```
//!
//! *In flight* counts the frames that workers have handed to the control half and that it has not dealt with yet. State and count
//! are one word because the order of frames hangs on both at once: a worker registers its frame only while the entry is closed, and
//! the control half opens it ([`Gate::publish`]) only while no frame is registered. So when an entry opens, every frame handed over
//! before has gone out, and no later frame of the same worker can overtake one.
//!
//! A flow that never pauses could keep the count above zero for ever. *Hold* ends that: while it is set, workers may not register,
//! their frames are dropped (and counted), and the count runs down.
//!
//! An entry leaves the table only as *dead*, and becomes dead only while nothing is in flight ([`Gate::kill`]): a registered frame
//! always finds the entry that it registered with.
//!
//! The word is a type parameter for the sake of one test: loom's model checker goes through every interleaving of it.

use overlay_api::EntryState;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

const STATE: u64 = 0xff;
const HOLD: u64 = 0x100;
const ONE: u64 = 1 << 32;
/// Not an [`EntryState`]: removed from the table, but perhaps still held by a reader.
const DEAD: u64 = 0xff;

/// An atomic word: the standard library's, or that of a model checker.
pub(crate) trait Word: fmt::Debug {
    /// A word with that value.
    fn new(value: u64) -> Self;
    /// Reads it, with acquire ordering.
    fn load(&self) -> u64;
    /// Replaces `current` by `new`, with acquire and release ordering; else says what is there.
    ///
    /// # Errors
    /// The value found, where it is not `current`.
    fn replace(&self, current: u64, new: u64) -> Result<(), u64>;
}

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn replace(&self, current: u64, new: u64) -> Result<(), u64> {
        self.compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

/// What a worker may do with its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Passage {
    /// Act on this state; nothing was registered.
    Open(EntryState),
    /// The frame is registered: hand it to the control half, or call [`Gate::leave`].
    Registered,
    /// Drop it: the entry is being closed to new frames until the old ones are through.
    Held,
    /// The entry is no longer in the table: look again.
    Dead,
}

/// The state of an entry and the frames in flight to the control half.
#[derive(Debug)]
pub(crate) struct Gate<W = AtomicU64> {
    word: W,
}

/// The state of a word; none if it is dead.
const fn state_of(word: u64) -> Option<EntryState> {
    // The numbers of `EntryState`; a test compares them.
    match word & STATE {
        0 => Some(EntryState::Absent),
        1 => Some(EntryState::Pending),
        2 => Some(EntryState::Draining),
        3 => Some(EntryState::Valid),
        4 => Some(EntryState::Stale),
        5 => Some(EntryState::Renewing),
        6 => Some(EntryState::Drop),
        _ => None,
    }
}

impl<W: Word> Gate<W> {
    /// A gate in that state with nothing in flight.
    pub(crate) fn new(state: EntryState) -> Self {
        Self { word: W::new(state as u64) }
    }

    /// A gate of an entry that a worker makes for a frame that it is about to hand over.
    pub(crate) fn registered() -> Self {
        Self { word: W::new(EntryState::Absent as u64 | ONE) }
    }

    /// The state; none if dead.
    #[inline]
    pub(crate) fn state(&self) -> Option<EntryState> {
        state_of(self.word.load())
    }

    /// Frames in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> u64 {
        self.word.load() >> 32
    }

    /// Asks passage for a frame. `passes` says of a state whether a worker acts on it by itself; for the others the frame is
    /// registered.
    #[inline]
    pub(crate) fn enter(&self, passes: impl Fn(EntryState) -> bool) -> Passage {
        let mut word = self.word.load();
        loop {
            let Some(state) = state_of(word) else { return Passage::Dead };
            if passes(state) {
                return Passage::Open(state);
            }
            if word & HOLD != 0 {
                return Passage::Held;
            }
            match self.word.replace(word, word + ONE) {
                Ok(()) => return Passage::Registered,
                Err(found) => word = found,
            }
        }
    }

    /// Keeps the entry in the table until [`leave`](Self::leave), as a registered frame would. Says whether it does; not if it is
    /// dead.
    pub(crate) fn keep(&self) -> bool {
        self.update(|word| state_of(word).map(|_| word + ONE)).is_some()
    }

    /// A registered frame has been dealt with.
    pub(crate) fn leave(&self) {
        self.update(|word| (word >= ONE).then(|| word - ONE));
    }

    /// Changes the state, whatever is in flight. Hold ends. Says what the state was; none if dead (nothing changes then).
    pub(crate) fn set(&self, state: EntryState) -> Option<EntryState> {
        self.update(|word| state_of(word).map(|_| (word & !(STATE | HOLD)) | state as u64)).and_then(state_of)
    }

    /// Changes the state if it is `from`. Says whether it was.
    pub(crate) fn change(&self, from: EntryState, to: EntryState) -> bool {
        self.update(|word| (state_of(word) == Some(from)).then_some((word & !STATE) | to as u64)).is_some()
    }

    /// Opens a draining entry, unless frames are in flight. Says whether it is open now.
    pub(crate) fn publish(&self) -> bool {
        let drained = |word: u64| word & !HOLD == EntryState::Draining as u64;
        self.update(|word| drained(word).then_some(EntryState::Valid as u64)).is_some()
    }

    /// Lets no more frames be registered until the state changes.
    pub(crate) fn hold(&self) {
        self.update(|word| state_of(word).map(|_| word | HOLD));
    }

    /// Marks the entry as removed, if its state is `from` and nothing is in flight. Says whether it did.
    pub(crate) fn kill(&self, from: EntryState) -> bool {
        self.update(|word| (word & !HOLD == from as u64).then_some(DEAD)).is_some()
    }

    /// Whether the entry was removed.
    pub(crate) fn is_dead(&self) -> bool {
        self.state().is_none()
    }

    /// Replaces the word by what `change` makes of it, until that succeeds or `change` declines. Says what was replaced.
    fn update(&self, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut word = self.word.load();
        loop {
            match self.word.replace(word, change(word)?) {
                Ok(()) => return Some(word),
                Err(found) => word = found,
            }
        }
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    /// What workers act on by themselves once an entry is open.
    fn open(state: EntryState) -> bool {
        state == EntryState::Valid
    }

    #[test]
    fn the_numbers_in_the_word_are_those_of_the_states() {
        for state in EntryState::ALL {
            assert_eq!(state_of(*state as u64), Some(*state));
        }
        assert_eq!(state_of(DEAD), None);
    }

    #[test]
    fn an_entry_opens_only_when_nothing_is_in_flight() {
        let gate: Gate = Gate::registered();
        assert_eq!(gate.set(EntryState::Draining), Some(EntryState::Absent));
        assert!(!gate.publish(), "one frame is in flight");
        assert_eq!(gate.enter(open), Passage::Registered);
        gate.leave();
        assert!(!gate.publish(), "one frame is still in flight");
        gate.leave();
        assert!(gate.publish());
        assert_eq!(gate.enter(open), Passage::Open(EntryState::Valid));
    }

    #[test]
    fn hold_lets_the_frames_in_flight_run_down_and_ends_with_the_next_state() {
        let gate: Gate = Gate::registered();
        gate.set(EntryState::Draining);
        gate.hold();
        assert_eq!(gate.enter(open), Passage::Held);
        gate.leave();
        assert!(gate.publish());
        assert_eq!(gate.enter(open), Passage::Open(EntryState::Valid));
        gate.set(EntryState::Absent);
        assert_eq!(gate.enter(open), Passage::Registered, "hold has ended");
    }

    #[test]
    fn an_entry_with_a_frame_in_flight_cannot_be_removed() {
        let gate: Gate = Gate::registered();
        assert!(!gate.kill(EntryState::Absent));
        gate.leave();
        assert!(gate.kill(EntryState::Absent));
        assert_eq!(gate.enter(open), Passage::Dead);
        assert_eq!(gate.set(EntryState::Valid), None, "the dead stay dead");
        gate.leave();
        assert!(gate.is_dead(), "a stray leave changes nothing");
    }
}
