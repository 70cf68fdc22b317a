//! What time is it? The engine's time: nanoseconds since the daemon started.

use overlay_engine::Time;
use std::time::{Duration, Instant};

/// The daemon's clock. It never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    pub(crate) fn now(self) -> Time {
        // 584 years of nanoseconds.
        Time(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long until `then`; zero if that is over.
    pub(crate) fn until(self, then: Time) -> Duration {
        Duration::from_nanos(then.since(self.now()))
    }
}
