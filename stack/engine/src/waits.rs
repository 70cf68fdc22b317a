//! How long did answers take? A histogram of fixed size for each device: log-linear, over the last one to two minutes.
//!
//! ```text
//!  below 8 units      one bucket a unit                    unit: 2^10 ns, about a microsecond
//!  each octave above  8 buckets: a value is at most 1/8 below its bucket's end
//! ```
//!
//! Two windows of a minute take turns, so that what is shown is neither of an hour ago nor of a single answer.

use crate::time::Time;

/// Nanoseconds of a window, of which there are two.
const WINDOW_NS: u64 = 60_000_000_000;
/// Nanoseconds of the smallest bucket, as a power of two.
const UNIT_SHIFT: u32 = 10;
/// Buckets of an octave, as a power of two.
const SUB_SHIFT: u32 = 3;
/// Up to 2^36 ns, 69 s: far more than any lookup is given. What takes longer is in the last bucket.
const BUCKETS: usize = ((36 - UNIT_SHIFT - SUB_SHIFT + 1) << SUB_SHIFT) as usize;

/// What the answers of some minutes took.
#[derive(Clone, Debug)]
struct Window {
    buckets: [u32; BUCKETS],
    answers: u64,
    longest_ns: u64,
}

impl Window {
    const EMPTY: Self = Self { buckets: [0; BUCKETS], answers: 0, longest_ns: 0 };
}

/// How long answers took.
#[derive(Clone, Debug)]
pub struct Waits {
    /// This window, and the one before.
    windows: [Window; 2],
    begun: Time,
    answers: u64,
    sum_ns: u64,
}

/// How long answers took, in figures. Times are in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waited {
    /// Answers since the device was made.
    pub answers: u64,
    /// All that they took, together.
    pub sum_ns: u64,
    /// Of the last one to two minutes; none if nothing was answered in them.
    pub recent: Option<Recent>,
}

/// Figures of the last one to two minutes, in nanoseconds. A share of the answers took no longer than its figure, which is at most an
/// eighth too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recent {
    /// Half of them.
    pub p50_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// All of them; this one is exact.
    pub max_ns: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self { windows: [Window::EMPTY; 2], begun: Time::ZERO, answers: 0, sum_ns: 0 }
    }
}

impl Waits {
    /// Counts an answer that took so long.
    pub(crate) fn add(&mut self, waited_ns: u64, now: Time) {
        match now.since(self.begun) / WINDOW_NS {
            0 => {}
            1 => {
                self.windows.swap(0, 1);
                self.windows[0] = Window::EMPTY;
                self.begun = self.begun + WINDOW_NS;
            }
            _ => {
                self.windows = [Window::EMPTY; 2];
                self.begun = now;
            }
        }
        let window = &mut self.windows[0];
        let bucket = &mut window.buckets[place(waited_ns)];
        *bucket = bucket.saturating_add(1);
        window.answers += 1;
        window.longest_ns = window.longest_ns.max(waited_ns);
        self.answers += 1;
        self.sum_ns = self.sum_ns.saturating_add(waited_ns);
    }

    /// What all of these have seen, together.
    #[must_use]
    pub fn figures<'a>(all: impl IntoIterator<Item = &'a Self>, now: Time) -> Waited {
        let (mut waited, mut seen) = (Waited::default(), Window::EMPTY);
        for one in all {
            waited.answers = waited.answers.saturating_add(one.answers);
            waited.sum_ns = waited.sum_ns.saturating_add(one.sum_ns);
            // A window that nothing was added to since its end has got old without being told.
            let fresh = 2_usize.saturating_sub(usize::try_from(now.since(one.begun) / WINDOW_NS).unwrap_or(2));
            for window in one.windows.iter().take(fresh) {
                seen.answers += window.answers;
                seen.longest_ns = seen.longest_ns.max(window.longest_ns);
                for (sum, count) in seen.buckets.iter_mut().zip(&window.buckets) {
                    *sum = sum.saturating_add(*count);
                }
            }
        }
        if seen.answers > 0 {
            let (p50_ns, p99_ns) = (seen.share(50), seen.share(99));
            waited.recent = Some(Recent { p50_ns, p99_ns, max_ns: seen.longest_ns });
        }
        waited
    }
}

impl Window {
    /// What `percent` of the answers took at most.
    fn share(&self, percent: u64) -> u64 {
        let total: u64 = self.buckets.iter().map(|count| u64::from(*count)).sum();
        let wanted = u64::try_from((u128::from(total) * u128::from(percent)).div_ceil(100)).unwrap_or(u64::MAX);
        let mut passed = 0;
        let place = self.buckets.iter().position(|count| {
            passed += u64::from(*count);
            passed >= wanted
        });
        place.map_or(self.longest_ns, |place| end(place).min(self.longest_ns))
    }
}

/// The bucket of a time.
fn place(ns: u64) -> usize {
    let units = ns >> UNIT_SHIFT;
    let Some(shift) = units.checked_ilog2().and_then(|octave| octave.checked_sub(SUB_SHIFT)) else { return units as usize };
    let place = (u64::from(shift) << SUB_SHIFT) + (units >> shift);
    usize::try_from(place).map_or(BUCKETS - 1, |place| place.min(BUCKETS - 1))
}

/// The last nanosecond of a bucket.
fn end(place: usize) -> u64 {
    let next = place as u64 + 1;
    let first_octave = 2 << SUB_SHIFT;
    let units = if next <= first_octave {
        next
    } else {
        let shift = (next >> SUB_SHIFT) - 1;
        ((next & ((1 << SUB_SHIFT) - 1)) + (1 << SUB_SHIFT)) << shift
    };
    (units << UNIT_SHIFT) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn recent(waits: &Waits, now: u64) -> Option<(u64, u64, u64)> {
        Waits::figures([waits], Time(now)).recent.map(|recent| (recent.p50_ns, recent.p99_ns, recent.max_ns))
    }

    #[test]
    fn every_time_is_in_a_bucket_that_ends_at_most_an_eighth_behind_it() {
        let mut before = 0;
        for place_of in 0..BUCKETS {
            assert_eq!((place(before), place(end(place_of))), (place_of, place_of));
            before = end(place_of) + 1;
        }
        assert_eq!((before, place(before), place(u64::MAX)), (1 << 36, BUCKETS - 1, BUCKETS - 1));
        for ns in [10_000, 123_456, 3 * MS, 299 * MS, 7_000 * MS] {
            assert!(end(place(ns)) >= ns && end(place(ns)) <= ns + ns / 8 + (1 << UNIT_SHIFT), "{ns}");
        }
    }

    #[test]
    fn one_slow_answer_in_a_hundred_is_the_longest_and_two_are_the_99th() {
        let mut waits = Waits::default();
        assert_eq!(Waits::figures([&waits], Time(1)), Waited::default());
        (0..99).for_each(|_| waits.add(MS, Time(1)));
        waits.add(300 * MS, Time(1));
        let (half, most, all) = recent(&waits, 2).unwrap();
        assert!((MS..=MS + MS / 8).contains(&half) && half == most, "{half} {most}");
        assert_eq!(all, 300 * MS);
        waits.add(300 * MS, Time(2));
        assert_eq!(recent(&waits, 2).map(|(_, p99, max)| (p99, max)), Some((300 * MS, 300 * MS)), "an end beyond the longest is not told");
        let figures = Waits::figures([&waits, &waits], Time(2));
        assert_eq!((figures.answers, figures.sum_ns), (202, 2 * 699 * MS));
    }

    #[test]
    fn what_was_slow_two_minutes_ago_is_over_whether_or_not_anything_came_since() {
        let mut waits = Waits::default();
        waits.add(500 * MS, Time(WINDOW_NS / 2));
        assert_eq!(recent(&waits, WINDOW_NS + 1).map(|all| all.2), Some(500 * MS));
        assert_eq!(recent(&waits, 2 * WINDOW_NS), None, "nothing came");
        waits.add(2 * MS, Time(WINDOW_NS + 1));
        assert_eq!(recent(&waits, WINDOW_NS + 2).map(|all| all.2), Some(500 * MS), "of this window and the one before");
        waits.add(3 * MS, Time(2 * WINDOW_NS + 1));
        assert_eq!(recent(&waits, 2 * WINDOW_NS + 2).map(|all| all.2), Some(3 * MS));
        waits.add(MS, Time(9 * WINDOW_NS));
        assert_eq!(recent(&waits, 9 * WINDOW_NS).map(|all| all.2), Some(MS));
        assert_eq!(Waits::figures([&waits], Time(100 * WINDOW_NS)).answers, 4, "since it was made");
    }
}
