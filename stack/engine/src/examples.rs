//! What was it that was dropped? For each reason the last example, so that a count that rises has an address to ask.
//!
//! Each writer (the workers and the control half) has slots of its own, so nobody waits for anybody but for a reader, and a drop is not held
//! up by that either: it goes without an example. Floods pay next to nothing: an example is taken ten times a second at most.

use crate::inner::Inner;
use crate::time::Time;
use overlay_api::DropReason;
use overlay_decoder::{Mac, Ul3, Vni};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Nanoseconds for which an example of a reason stays at least.
const KEPT_NS: u64 = 100_000_000;

/// Something that was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Example {
    /// Why.
    pub reason: DropReason,
    /// When.
    pub at: Time,
    /// The virtual network, if there was one.
    pub vni: Option<Vni>,
    /// The inner source, if the frame had one.
    pub source: Option<Mac>,
    /// The inner destination.
    pub destination: Option<Mac>,
    /// The other end, where that was known: who sent the datagram, or who was to get it.
    pub peer: Option<Ul3>,
    /// Bytes: of the frame, or of the datagram where it came from the underlay.
    pub len: u32,
}

impl Example {
    /// An example without addresses.
    pub(crate) fn new(reason: DropReason, at: Time, vni: Option<Vni>, len: u32) -> Self {
        Self { reason, at, vni, source: None, destination: None, peer: None, len }
    }

    /// With the addresses of a frame, if it is long enough to have them.
    pub(crate) fn of(mut self, frame: &[u8]) -> Self {
        if let Some(inner) = Inner::parse(frame) {
            (self.source, self.destination) = (Some(inner.source), Some(inner.destination));
        }
        self
    }
}

/// The examples of one writer.
#[derive(Debug)]
pub(crate) struct Examples {
    slots: [Slot; DropReason::COUNT],
}

#[derive(Debug, Default)]
struct Slot {
    /// From when on another example may take its place.
    next: AtomicU64,
    example: Mutex<Option<Example>>,
}

impl Default for Examples {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| Slot::default()) }
    }
}

impl Examples {
    /// A set for each worker, and one for the control half.
    pub(crate) fn sets(workers: usize) -> Box<[Self]> {
        (0..=workers).map(|_| Self::default()).collect()
    }

    /// Keeps an example, unless there is a fresh one.
    #[inline]
    pub(crate) fn keep(&self, reason: DropReason, now: Time, example: impl FnOnce() -> Example) {
        let slot = &self.slots[reason.index()];
        if now.0 >= slot.next.load(Relaxed)
            && let Ok(mut kept) = slot.example.try_lock()
        {
            slot.next.store((now + KEPT_NS).0, Relaxed);
            *kept = Some(example());
        }
    }

    /// The last example of each reason, of all writers together, in the order of the reasons.
    pub(crate) fn last(all: &[Self]) -> Vec<Example> {
        let last = |reason: &DropReason| {
            let of = |examples: &Self| *examples.slots[reason.index()].example.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            all.iter().filter_map(of).max_by_key(|example| example.at)
        };
        DropReason::ALL.iter().filter_map(last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_all_writers_is_told_and_a_flood_pays_for_ten_a_second() {
        let sets = Examples::sets(1);
        let mut made = 0;
        let mut keep = |writer: usize, reason, at: u64| {
            sets[writer].keep(reason, Time(at), || {
                made += 1;
                Example::new(reason, Time(at), None, at as u32).of(&[2; 60])
            });
        };
        for at in 0..100 {
            keep(0, DropReason::NoPort, at);
        }
        keep(1, DropReason::NoPort, 7);
        keep(0, DropReason::TooBig, 9);
        keep(0, DropReason::TooBig, 9 + KEPT_NS);
        let told: Vec<(DropReason, u64)> = Examples::last(&sets).iter().map(|example| (example.reason, example.at.0)).collect();
        assert_eq!(told, [(DropReason::TooBig, 9 + KEPT_NS), (DropReason::NoPort, 7)]);
        assert_eq!((Examples::last(&sets)[0].source, made), (Some(Mac([2; 6])), 4));
        let short = Example::new(DropReason::FrameTooShort, Time(1), None, 3).of(&[1, 2, 3]);
        assert_eq!((short.source, short.destination), (None, None));
    }
}
