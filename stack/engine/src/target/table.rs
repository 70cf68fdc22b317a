//! Which entries are there? A map that workers read without a lock while the control half changes it, and that grows a little
//! with every insertion instead of all at once.
//!
//! Insertions must be those of the map that move entries: `try_insert` and `get_or_insert`. Its `.._with` forms (papaya 0.2.5) start a
//! larger map and leave the moving to others; where nobody else writes, maps pile up, and every lookup searches them all.
//!
//! Reading pins the map: an entry that is removed, evicted or moved by a resize stays readable until the last reader that pinned it
//! before has let go, and is freed once.
//!
//! Beside the map, the control half keeps a ring of the keys (6 bytes an entry), in which an eviction looks for its victim: of a few
//! entries behind a hand that goes round, the one that was used longest ago.

use super::entry::{Entry, UNLISTED};
use super::gate::Passage;
use crate::time::Time;
use overlay_api::{EntryState, Source, TargetRow};
use overlay_decoder::Mac;
use papaya::{Guard, HashMap, HashMapRef, LocalGuard, ResizeMode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Hashes MACs, which tenants choose, with a seed that they do not know.
pub(crate) type Hasher = foldhash::fast::FixedState;

/// A table held for a while: what is found in it stays readable.
pub(crate) type Pinned<'a> = HashMapRef<'a, Mac, Entry, Hasher, LocalGuard<'a>>;

/// Entries that an insertion moves while the map grows. All are moved before the larger half of the map is full from 2 on; of
/// the values measured (`docs/benchmarks.md`) this keeps the slowest insertions fastest.
const MOVED: usize = 8;
/// Entries looked at to find the one to evict.
const CANDIDATES: usize = 8;
/// Places of the ring that an eviction passes at most.
const STEPS: usize = 64;

/// The target table of a device.
#[derive(Debug)]
pub(crate) struct Table {
    map: HashMap<Mac, Entry, Hasher>,
    /// What was learned before counts as stale; [`Time::NEVER`] while nobody answers.
    trusted_since: AtomicU64,
    /// Entries that there may be.
    cap: AtomicU64,
}

impl Table {
    /// An empty table for at most `cap` entries.
    pub(crate) fn new(seed: u64, cap: u64) -> Self {
        let map = HashMap::builder().hasher(Hasher::with_seed(seed)).resize_mode(ResizeMode::Incremental(MOVED)).build();
        Self { map, trusted_since: AtomicU64::new(0), cap: AtomicU64::new(cap) }
    }

    /// Holds the table for reading. Pin once a batch.
    #[inline]
    pub(crate) fn pin(&self) -> Pinned<'_> {
        self.map.pin()
    }

    /// Entries, of all states.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Entries that there may be.
    pub(crate) fn cap(&self) -> u64 {
        self.cap.load(Relaxed)
    }

    /// Changes how many entries there may be; what is too many is evicted by and by.
    pub(crate) fn set_cap(&self, cap: u64) {
        self.cap.store(cap, Relaxed);
    }

    /// Since when answers have been trusted without a break.
    #[inline]
    pub(crate) fn trusted_since(&self) -> Time {
        Time(self.trusted_since.load(Relaxed))
    }

    /// From now on, what was learned before `time` is stale.
    pub(crate) fn trust_since(&self, time: Time) {
        self.trusted_since.store(time.0, Relaxed);
    }

    /// The entry for `mac`, made if it is not there and the table has room, and passage for a frame at its gate.
    /// None if there is no entry and no room for one.
    pub(crate) fn enter<'p>(
        &self,
        pinned: &'p Pinned<'_>,
        mac: Mac,
        now: Time,
        passes: impl Fn(&Entry, EntryState) -> bool,
    ) -> Option<(&'p Entry, Passage)> {
        loop {
            if let Some(entry) = pinned.get(&mac) {
                match entry.gate.enter(|state| passes(entry, state)) {
                    Passage::Dead => self.bury(pinned, mac),
                    passage => return Some((entry, passage)),
                }
            } else {
                // Workers may run over the cap by what they have in hand, until the control half has evicted as much.
                if self.len() as u64 >= self.hard_cap() {
                    return None;
                }
                match pinned.try_insert(mac, Entry::absent(now, true)) {
                    Ok(mine) => return Some((mine, Passage::Registered)),
                    // Another worker was faster: pass its gate.
                    Err(_) => continue,
                }
            }
        }
    }

    fn hard_cap(&self) -> u64 {
        let cap = self.cap();
        cap.saturating_add(cap / 16 + 64)
    }

    /// Takes a dead entry out of the map.
    fn bury<G: Guard>(&self, pinned: &HashMapRef<'_, Mac, Entry, Hasher, G>, mac: Mac) {
        // Somebody else may have done so, and a new one may be there: only the dead are taken.
        let _ = pinned.remove_if(&mac, |_, entry| entry.gate.is_dead());
    }

    /// Removes the entry if its state is `from` and nothing is in flight; else leaves it, for the frame in flight to find.
    /// Says whether it is gone.
    pub(crate) fn remove(&self, pinned: &Pinned<'_>, mac: Mac, entry: &Entry, from: EntryState) -> bool {
        let dead = entry.gate.kill(from);
        if dead {
            self.bury(pinned, mac);
        }
        dead
    }

    /// The entry for `mac`, made in state absent if it is not there, and kept (a worker whose frame found no room takes absent ones
    /// out): [`Gate::leave`](super::gate::Gate::leave) it. The control half alone calls this, and may exceed the cap.
    pub(crate) fn keep<'p>(&self, pinned: &'p Pinned<'_>, mac: Mac, now: Time) -> &'p Entry {
        loop {
            // Looked for first: the map takes a finished entry, which is made in vain where there is one.
            let entry = pinned.get(&mac).unwrap_or_else(|| pinned.get_or_insert(mac, Entry::absent(now, false)));
            if entry.gate.keep() {
                return entry;
            }
            self.bury(pinned, mac);
        }
    }
}

/// What an eviction came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Evicted {
    /// This entry may go.
    Victim(Mac),
    /// Nothing that was looked at may go: entries that are set by hand or that frames wait for.
    Nothing,
}

/// The keys of the table in any order, for the hand that looks for a victim.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    keys: Vec<Mac>,
    hand: usize,
}

impl Ring {
    /// Lists an entry, unless it is.
    pub(crate) fn list(&mut self, mac: Mac, entry: &Entry) {
        if entry.place() == UNLISTED
            && let Ok(place) = u32::try_from(self.keys.len())
        {
            entry.set_place(place);
            self.keys.push(mac);
        }
    }

    /// Takes an entry off the list.
    pub(crate) fn unlist(&mut self, pinned: &Pinned<'_>, entry: &Entry) {
        let place = entry.place() as usize;
        entry.set_place(UNLISTED);
        if place < self.keys.len() {
            self.keys.swap_remove(place);
            // The last one took its place. If the hand was just there, it has not seen that one yet.
            if self.hand == place + 1 {
                self.hand = place;
            }
            if let Some(moved) = self.keys.get(place).and_then(|mac| pinned.get(mac)) {
                moved.set_place(place as u32);
            }
        }
    }

    /// Keys on the list.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The next key behind the hand, which goes round.
    pub(crate) fn next(&mut self) -> Option<Mac> {
        if self.hand >= self.keys.len() {
            self.hand = 0;
        }
        let mac = self.keys.get(self.hand).copied();
        self.hand += 1;
        mac
    }

    /// Looks for the entry to evict.
    pub(crate) fn victim(&mut self, pinned: &Pinned<'_>, may_go: impl Fn(EntryState) -> bool) -> Evicted {
        let mut oldest: Option<(Time, Mac)> = None;
        let mut candidates = 0;
        for _ in 0..STEPS.min(self.keys.len()) {
            let Some(mac) = self.next() else { break };
            let Some(entry) = pinned.get(&mac) else { continue };
            if entry.source() == Source::Static || !entry.gate.state().is_some_and(&may_go) {
                continue;
            }
            if oldest.is_none_or(|(used, _)| entry.used() < used) {
                oldest = Some((entry.used(), mac));
            }
            candidates += 1;
            if candidates == CANDIDATES {
                break;
            }
        }
        oldest.map_or(Evicted::Nothing, |(_, mac)| Evicted::Victim(mac))
    }
}

/// A device's target table for reading, from any thread. A dump stops neither workers nor the control half.
#[derive(Clone, Debug)]
pub struct Targets(Arc<Table>);

impl Targets {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self(table)
    }

    /// Entries, those about which nothing is known (yet) included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of one destination.
    #[must_use]
    pub fn get(&self, mac: Mac, now: Time) -> Option<TargetRow> {
        self.0.pin().get(&mac)?.row(mac, now, self.0.trusted_since())
    }

    /// Calls `row` for every entry, in no order. An entry that is there all the time is listed exactly once; one that comes or goes
    /// meanwhile, at most once.
    pub fn for_each(&self, now: Time, mut row: impl FnMut(TargetRow)) {
        let pinned = self.0.pin();
        let trusted_since = self.0.trusted_since();
        for (mac, entry) in &pinned {
            if let Some(found) = entry.row(*mac, now, trusted_since) {
                row(found);
            }
        }
    }
}

#[cfg(test)]
mod held;

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(number: u32) -> Mac {
        let [a, b, c, d] = number.to_be_bytes();
        Mac([2, 0, a, b, c, d])
    }

    #[test]
    fn an_entry_that_is_removed_stays_readable_while_it_is_held() {
        let table = Table::new(1, 10);
        let pinned = table.pin();
        let (entry, passage) = table.enter(&pinned, mac(1), Time(7), |_, _| false).expect("there is room");
        assert_eq!(passage, Passage::Registered);
        assert!(!table.remove(&pinned, mac(1), entry, EntryState::Absent), "a frame is in flight");
        entry.gate.leave();
        assert!(table.remove(&pinned, mac(1), entry, EntryState::Absent));
        assert_eq!((table.len(), entry.used()), (0, Time(7)), "gone, and still readable");
        let (again, _) = table.enter(&pinned, mac(1), Time(8), |_, _| false).expect("there is room");
        assert_eq!(again.used(), Time(8), "a new entry");
    }

    #[test]
    fn a_full_table_takes_no_more_entries_but_serves_those_it_has() {
        let table = Table::new(1, 0);
        let pinned = table.pin();
        let room = (0..1000).take_while(|n| table.enter(&pinned, mac(*n), Time(0), |_, _| false).is_some()).count();
        assert_eq!(room, 64, "the overrun for workers");
        assert!(table.enter(&pinned, mac(0), Time(0), |_, _| false).is_some());
    }

    #[test]
    fn the_ring_finds_what_was_used_longest_ago_and_never_what_is_set_by_hand() {
        let table = Table::new(1, 100);
        let pinned = table.pin();
        let mut ring = Ring::default();
        for n in 0..CANDIDATES as u32 {
            let entry = table.keep(&pinned, mac(n), Time(100 - u64::from(n)));
            entry.gate.set(EntryState::Valid);
            ring.list(mac(n), entry);
            ring.list(mac(n), entry);
        }
        assert_eq!(ring.len(), CANDIDATES);
        let last = CANDIDATES as u32 - 1;
        assert_eq!(ring.victim(&pinned, |_| true), Evicted::Victim(mac(last)));
        pinned.get(&mac(last)).unwrap().set_route(None, Source::Static, Time::NEVER);
        assert_eq!(ring.victim(&pinned, |_| true), Evicted::Victim(mac(last - 1)));
        assert_eq!(ring.victim(&pinned, |state| state == EntryState::Stale), Evicted::Nothing);
        for n in [0, 3, last] {
            ring.unlist(&pinned, pinned.get(&mac(n)).unwrap());
        }
        let count = ring.len();
        let mut left: Vec<_> = std::iter::from_fn(|| ring.next()).take(count).collect();
        left.sort();
        assert_eq!(left, [1, 2, 4, 5, 6].map(mac));
        for (place, key) in ring.keys.iter().enumerate() {
            assert_eq!(pinned.get(key).unwrap().place() as usize, place, "every entry knows its place");
        }
    }
}
