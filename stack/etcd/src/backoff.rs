//! When is it time to try again? Twice as long after each failure, and never all at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The shortest wait and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait after failures in a row.
///
/// Each wait is between half and the whole of what it would be without chance: a thousand hosts that lost one store do not come back to it
/// in the same moment.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
    chance: RandomState,
}

impl Backoff {
    /// No failure so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait after one more failure: up to 100 ms, 200 ms, 400 ms .. 5 s.
    pub fn failed(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let part = self.chance.hash_one(self.failures) % 1000;
        whole / 2 + whole.mul_f64(part as f64 / 2000.0)
    }

    /// It worked: the next failure is the first again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds_and_start_again_after_a_success() {
        let mut backoff = Backoff::new();
        for most in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = backoff.failed().as_millis();
            assert!((most / 2..=most).contains(&wait), "{wait} ms of {most}");
        }
        for _ in 0..100 {
            assert!(backoff.failed() <= LONGEST);
        }
        backoff.worked();
        assert!(backoff.failed() <= FIRST);
    }

    #[test]
    fn hosts_that_fail_together_do_not_return_together() {
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| Backoff::new().failed()).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
