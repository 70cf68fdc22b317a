//! What is known of one destination? 72 bytes with its key, read by workers without a lock.

use super::gate::Gate;
use crate::time::Time;
use arc_swap::ArcSwapOption;
use overlay_api::{EntryState, Source, TargetRow};
use overlay_decoder::{Mac, Ul3};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where frames go: one underlay address, or a replication list. Shared by all entries that go there.
pub(crate) type Route = SmallVec<[Ul3; 1]>;

/// No place in the ring of entries that may be evicted.
pub(super) const UNLISTED: u32 = u32::MAX;

const PENDING_SHIFT: u32 = 32;
const PENDING_MASK: u64 = 0x00ff_ffff;
const SOURCE_SHIFT: u32 = 56;

/// One entry. Workers read it, count in it and pass its gate; everything else in it is written by the control half alone.
#[derive(Debug)]
pub(crate) struct Entry {
    /// State and frames in flight.
    pub(crate) gate: Gate,
    /// The destination, while there is one.
    route: ArcSwapOption<Route>,
    /// Frames sent by this entry, a super-frame as one.
    hits: AtomicU64,
    /// Bytes of those frames.
    bytes: AtomicU64,
    /// When a frame last used it.
    used: AtomicU64,
    /// When it came into its state.
    since: AtomicU64,
    /// When its answer no longer holds; [`Time::NEVER`] without a limit.
    expires: AtomicU64,
    /// Place in the ring (32 bits), bytes that wait (24 bits; an entry's queue is capped far below), source (8 bits).
    extra: AtomicU64,
}

impl Entry {
    /// An entry about which nothing is known. With `registered`, for a worker that is about to hand over a frame.
    pub(super) fn absent(now: Time, registered: bool) -> Self {
        Self {
            gate: if registered { Gate::registered() } else { Gate::new(EntryState::Absent) },
            route: ArcSwapOption::const_empty(),
            hits: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            used: AtomicU64::new(now.0),
            since: AtomicU64::new(now.0),
            expires: AtomicU64::new(Time::NEVER.0),
            extra: AtomicU64::new(u64::from(UNLISTED)),
        }
    }

    /// The destination.
    #[inline]
    pub(crate) fn route(&self) -> arc_swap::Guard<Option<Arc<Route>>> {
        self.route.load()
    }

    /// Sets or forgets the destination, and with it who said so and for how long.
    pub(crate) fn set_route(&self, route: Option<Arc<Route>>, source: Source, expires: Time) {
        self.route.store(route);
        self.expires.store(expires.0, Relaxed);
        self.set_extra(!(0xff << SOURCE_SHIFT), u64::from(source as u8) << SOURCE_SHIFT);
    }

    /// Forgets what is known, and what was sent by it: a frame in flight may keep the entry, but what it finds out is another life.
    pub(crate) fn forget(&self) {
        self.set_route(None, Source::Lookup, Time::NEVER);
        self.hits.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    /// Notes that the state has changed, or was confirmed.
    pub(crate) fn touch_state(&self, now: Time) {
        self.since.store(now.0, Relaxed);
    }

    /// Counts frames that were sent by this entry.
    #[inline]
    pub(crate) fn count(&self, frames: u64, bytes: u64, now: Time) {
        self.hits.fetch_add(frames, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.used.store(now.0, Relaxed);
    }

    /// Notes that a frame asked for it, whatever became of the frame.
    pub(crate) fn touch(&self, now: Time) {
        self.used.store(now.0, Relaxed);
    }

    /// Whether what is known no longer holds: its time is over, or it was learned before `trusted_since`.
    #[inline]
    pub(crate) fn is_over(&self, now: Time, trusted_since: Time) -> bool {
        // Order of the tests: the first is false for nearly all.
        now.0 >= self.expires.load(Relaxed)
            || (trusted_since > Time::ZERO && self.since.load(Relaxed) < trusted_since.0 && self.source() != Source::Static)
    }

    /// When a frame last used it.
    pub(crate) fn used(&self) -> Time {
        Time(self.used.load(Relaxed))
    }

    /// When it came into its state.
    pub(crate) fn since(&self) -> Time {
        Time(self.since.load(Relaxed))
    }

    /// Who said what is known.
    pub(crate) fn source(&self) -> Source {
        match self.extra.load(Relaxed) >> SOURCE_SHIFT {
            1 => Source::Static,
            2 => Source::Plugin,
            _ => Source::Lookup,
        }
    }

    /// Its place in the ring.
    pub(super) fn place(&self) -> u32 {
        self.extra.load(Relaxed) as u32
    }

    pub(super) fn set_place(&self, place: u32) {
        self.set_extra(!u64::from(u32::MAX), place.into());
    }

    /// Says how many bytes wait for an answer.
    pub(crate) fn set_pending(&self, bytes: usize) {
        self.set_extra(!(PENDING_MASK << PENDING_SHIFT), (bytes as u64).min(PENDING_MASK) << PENDING_SHIFT);
    }

    /// Only the control half writes this word, so a load and a store are enough.
    fn set_extra(&self, keep: u64, bits: u64) {
        self.extra.store((self.extra.load(Relaxed) & keep) | bits, Relaxed);
    }

    /// The state that holds at `now`: what no frame has noticed yet included. None if the entry is gone.
    pub(crate) fn state(&self, now: Time, trusted_since: Time) -> Option<EntryState> {
        let state = self.gate.state()?;
        Some(match state {
            EntryState::Valid if self.is_over(now, trusted_since) => EntryState::Stale,
            EntryState::Drop if now.0 >= self.expires.load(Relaxed) => EntryState::Absent,
            state => state,
        })
    }

    /// Its row in the table; none while nothing is known.
    pub(crate) fn row(&self, mac: Mac, now: Time, trusted_since: Time) -> Option<TargetRow> {
        let state = self.state(now, trusted_since).filter(|state| *state != EntryState::Absent)?;
        let expires = self.expires.load(Relaxed);
        Some(TargetRow {
            mac,
            ul3: self.route().as_ref().map(|route| route.to_vec()).unwrap_or_default(),
            state,
            age_ns: now.since(self.since()),
            idle_ns: now.since(self.used()),
            hits: self.hits.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            pending_bytes: (self.extra.load(Relaxed) >> PENDING_SHIFT) & PENDING_MASK,
            source: self.source(),
            expires_ns: (expires != Time::NEVER.0).then(|| Time(expires).since(now)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_pending_and_source_share_a_word_and_do_not_disturb_each_other() {
        let entry = Entry::absent(Time(5), false);
        assert_eq!((entry.place(), entry.source()), (UNLISTED, Source::Lookup));
        entry.set_place(77);
        entry.set_pending(128 * 1024);
        entry.set_route(None, Source::Static, Time::NEVER);
        assert_eq!((entry.place(), entry.source()), (77, Source::Static));
        entry.gate.set(EntryState::Pending);
        let row = entry.row(Mac::BROADCAST, Time(9), Time::ZERO).expect("pending entries are shown");
        assert_eq!((row.pending_bytes, row.age_ns, row.expires_ns), (128 * 1024, 4, None));
        entry.set_pending(usize::MAX);
        assert_eq!((entry.place(), entry.source()), (77, Source::Static));
    }

    #[test]
    fn an_entry_is_no_larger_than_a_cache_line() {
        assert!(size_of::<Entry>() <= 64, "{} bytes", size_of::<Entry>());
    }
}
