//! When is a packet due, and how far off was it? Deadlines are absolute: what one packet loses, the next one does not.
//!
//! ```text
//!   due ──► asleep until SPIN_NS before ──► awake, looking at the clock ──► sendmmsg ──► taken: behind = taken - due
//! ```

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

const SECOND_NS: u64 = 1_000_000_000;
/// The kernel wakes a sleeper later than it asked for; the rest of the time is spent awake.
const SPIN_NS: u64 = 100_000;
/// A sleep is never longer, so that a signal or the progress bar is not kept waiting.
const NAP_NS: u64 = 100_000_000;
/// A packet that is behind by more is late.
pub(crate) const LATE_NS: u64 = 1_000_000;

/// How fast packets are sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pace {
    /// As they were captured, so many times as fast.
    Capture(f64),
    /// So many a second, on all interfaces together.
    Packets(f64),
    /// So many million bits of frames a second, on all interfaces together.
    Megabits(f64),
    /// As fast as the kernel takes them.
    Top,
}

impl Pace {
    /// When a packet is due, in nanoseconds from the start: captured so long after the first one, behind so many packets and bytes.
    pub(crate) fn due(self, captured_ns: u64, packets: u64, bytes: u64) -> u64 {
        // A float that is too large becomes the largest number.
        match self {
            Self::Capture(1.0) => captured_ns,
            Self::Capture(speed) => (captured_ns as f64 / speed) as u64,
            Self::Packets(rate) => (packets as f64 * SECOND_NS as f64 / rate) as u64,
            Self::Megabits(rate) => (bytes as f64 * 8_000.0 / rate) as u64,
            Self::Top => 0,
        }
    }
}

/// Nanoseconds of the clock that nobody sets.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * SECOND_NS + now.tv_nsec.unsigned_abs()
}

/// Waits until a moment of [`now`], and calls `meanwhile` at times. False if `stop` was set meanwhile.
pub(crate) fn wait_until(due: u64, stop: &AtomicBool, mut meanwhile: impl FnMut()) -> bool {
    loop {
        let now = now();
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        if now >= due {
            return true;
        }
        let left = due - now;
        if left <= SPIN_NS {
            std::hint::spin_loop();
            continue;
        }
        if left > NAP_NS {
            meanwhile();
        }
        let until = (due - SPIN_NS).min(now.saturating_add(NAP_NS));
        let until = Timespec { tv_sec: (until / SECOND_NS).cast_signed(), tv_nsec: (until % SECOND_NS).cast_signed() };
        // A signal ends it early, which the loop sees.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
    }
}

/// How far behind their time packets were: counts in steps of an eighth of a power of two, and the largest exactly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Behind {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
    late: u64,
}

/// Bits of a value that its step keeps.
const STEP_BITS: u32 = 3;

impl Default for Behind {
    fn default() -> Self {
        Self { counts: vec![0; (64 << STEP_BITS) as usize], total: 0, max_ns: 0, late: 0 }
    }
}

impl Behind {
    /// A packet was so far behind.
    pub(crate) fn record(&mut self, ns: u64) {
        if let Some(count) = self.counts.get_mut(step(ns)) {
            *count += 1;
        }
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
        self.late += u64::from(ns > LATE_NS);
    }

    /// The value that this share of the packets did not exceed, rounded up by an eighth at most.
    fn quantile_ns(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, last_of).min(self.max_ns)
    }

    /// In figures; none of nothing.
    pub(crate) fn summary(&self) -> Option<Pacing> {
        let quantile = |share| self.quantile_ns(share);
        (self.total > 0).then(|| Pacing {
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            max_ns: self.max_ns,
            late: self.late,
            late_beyond_ns: LATE_NS,
        })
    }
}

/// The step of a value: below 8 each has its own.
fn step(ns: u64) -> usize {
    let bits = u64::BITS - ns.leading_zeros();
    let Some(shift) = bits.checked_sub(STEP_BITS + 1) else { return ns as usize };
    (((u64::from(shift) + 1) << STEP_BITS) + ((ns >> shift) & ((1 << STEP_BITS) - 1))) as usize
}

/// The largest value of a step.
fn last_of(step: usize) -> u64 {
    let step = step as u64;
    let Some(shift) = (step >> STEP_BITS).checked_sub(1) else { return step };
    let low = (1 << STEP_BITS) + (step & ((1 << STEP_BITS) - 1));
    (low << shift) + ((1 << shift) - 1)
}

/// How well the time was kept: from when a packet was due to when the kernel had taken it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Pacing {
    /// Half of the packets were no further behind.
    pub(crate) p50_ns: u64,
    /// 99 of 100.
    pub(crate) p99_ns: u64,
    /// All.
    pub(crate) max_ns: u64,
    /// Packets that were further behind than the next number.
    pub(crate) late: u64,
    /// What is late.
    pub(crate) late_beyond_ns: u64,
}

impl fmt::Display for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: u64| ns as f64 / 1e3;
        write!(
            f,
            "behind their time: p50 {:.1} us, p99 {:.1} us, at most {:.1} us; {} by more than {} ms",
            us(self.p50_ns),
            us(self.p99_ns),
            us(self.max_ns),
            self.late,
            self.late_beyond_ns / 1_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deadlines_come_from_the_capture_the_rate_or_nothing() {
        assert_eq!(Pace::Capture(1.0).due(1_500, 9, 9), 1_500);
        assert_eq!(Pace::Capture(0.5).due(1_500, 9, 9), 3_000);
        assert_eq!(Pace::Packets(100_000.0).due(77, 3, 9), 30_000);
        // 1,250 bytes are 10,000 bits: at 10 Mbit/s a millisecond.
        assert_eq!(Pace::Megabits(10.0).due(77, 3, 1_250), 1_000_000);
        assert_eq!(Pace::Top.due(77, 3, 9), 0);
        assert_eq!(Pace::Packets(f64::MIN_POSITIVE).due(0, u64::MAX, 0), u64::MAX, "never, not a wrong time");
    }

    #[test]
    fn quantiles_are_of_what_was_recorded() {
        let mut behind = Behind::default();
        assert_eq!(behind.summary(), None);
        (1..=1_000).for_each(|us| behind.record(us * 1_000));
        behind.record(LATE_NS + 1);
        let found = behind.summary().unwrap();
        assert!((500_000..=570_000).contains(&found.p50_ns) && (990_000..=1_000_001).contains(&found.p99_ns), "{found:?}");
        assert_eq!((found.max_ns, found.late), (1_000_001, 1));
        assert_eq!(
            Pacing { p50_ns: 2_100, p99_ns: 9_850, max_ns: 1_200_000, late: 1, late_beyond_ns: LATE_NS }.to_string(),
            "behind their time: p50 2.1 us, p99 9.8 us, at most 1200.0 us; 1 by more than 1 ms"
        );
    }

    #[test]
    fn a_wait_ends_at_its_time_and_not_before_or_when_told() {
        let stop = AtomicBool::new(false);
        let due = now() + 3_000_000;
        assert!(wait_until(due, &stop, || {}) && now() >= due);
        stop.store(true, Ordering::Relaxed);
        assert!(!wait_until(now() + 3_600 * SECOND_NS, &stop, || {}));
    }

    proptest! {
        #[test]
        fn a_step_holds_its_values_and_is_narrow(ns: u64) {
            let last = last_of(step(ns));
            prop_assert!(last >= ns && last - ns <= ns / 8, "{ns} in a step up to {last}");
            prop_assert!(step(ns) < Behind::default().counts.len());
        }
    }
}
