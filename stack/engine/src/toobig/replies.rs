//! How often may senders be told? One budget of packet-too-big replies for each device, whoever spends it (RFC 1812 4.3.2.8, RFC 4443
//! 2.4 (f)): a token bucket, kept as the time at which it will be full again.

use crate::time::Time;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Replies in a burst, and nanoseconds until the next one may follow it.
pub(crate) const REPLIES_BURST: u64 = 64;
const REPLY_NS: u64 = 1_000_000;

/// How many replies may be sent now. Touched only for frames that are too big, so that sharing it costs the others nothing.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// When all of the burst will be there again, as [`Time`].
    full_at: AtomicU64,
}

impl Replies {
    /// Whether there is one. Only for a reply that is sent one is taken: senders who cannot be told must not use up what the others are
    /// told with.
    pub(crate) fn any(&self, now: Time) -> bool {
        has_one(Time(self.full_at.load(Relaxed)), now)
    }

    /// Takes one, if there still is one.
    pub(crate) fn take(&self, now: Time) -> bool {
        let next = |full_at| has_one(Time(full_at), now).then(|| (now.max(Time(full_at)) + REPLY_NS).0);
        self.full_at.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

fn has_one(full_at: Time, now: Time) -> bool {
    full_at.since(now) <= (REPLIES_BURST - 1) * REPLY_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_in_a_burst_and_then_one_a_millisecond() {
        let replies = Replies::default();
        let taken = |now| (0..1000).filter(|_| replies.any(Time(now)) && replies.take(Time(now))).count() as u64;
        assert_eq!(taken(5), REPLIES_BURST);
        assert_eq!(taken(5 + 3 * REPLY_NS), 3);
        assert_eq!(taken(5 + 3000 * REPLY_NS), REPLIES_BURST);
    }

    #[test]
    fn threads_share_one_burst() {
        let replies = Replies::default();
        let taken: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..1000).filter(|_| replies.take(Time(9))).count())).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken as u64, REPLIES_BURST);
    }
}
