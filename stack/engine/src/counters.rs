//! How much, and what became of it? Counters of one writer each, added up when somebody asks.
//!
//! Every worker has its own set for each device, and so has the control half. A writer loads and stores, without a locked
//! instruction; a reader sees each number whole. What belongs to no device (an unknown VNI, a port that is gone) is counted in the
//! writer's own set.
//!
//! ```text
//!   frames in  + resent   =  sent + local + flooded + answered + drops (transmit) + waiting
//!   datagrams in          =  delivered + pings in + drops (receive)
//! ```
//!
//! *Waiting* are frames on their way to the control half or in the queue of an entry. Both equations hold whenever all is quiet;
//! tests check them after every step. Two reasons stand beside them: what the driver could not send (`socket-full`, `send-failed`) is in
//! *sent*. What ports did not take is in nothing but its drop: it is counted when the driver has tried ([`Worker::settle`](crate::Worker::settle)).
//! A device's `deliver-failed` and `local-failed` are datagrams and frames that nobody took, as all of its drops are; a port's are all those
//! that it did not take, also copies that others took, and answers that the engine made.

use overlay_api::{Direction, DropReason};
use serde::Serialize;
use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident,)+) => {
        /// A set of counters with one writer. Sets of different writers are neighbours: they share no cache line, nor a pair of lines
        /// that a processor fetches together.
        #[derive(Debug)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[doc = $doc])+ pub(crate) $field: Counter,)+
            drops: [Counter; DropReason::COUNT],
        }

        impl Default for Counters {
            fn default() -> Self {
                Self { $($field: Counter::default(),)+ drops: array::from_fn(|_| Counter::default()) }
            }
        }

        /// Counters as they stood at one moment, added up over all who count.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize)]
        pub struct Totals {
            $($(#[doc = $doc])+ pub $field: u64,)+
            /// Dropped frames and datagrams, by [`DropReason::index`].
            #[serde(serialize_with = "by_name")]
            pub drops: [u64; DropReason::COUNT],
        }

        impl Default for Totals {
            fn default() -> Self {
                Self { $($field: 0,)+ drops: [0; DropReason::COUNT] }
            }
        }

        impl Totals {
            /// Adds a set to the sum.
            pub(crate) fn add(&mut self, set: &Counters) {
                $(self.$field += set.$field.get();)+
                for (sum, counter) in self.drops.iter_mut().zip(&set.drops) {
                    *sum += counter.get();
                }
            }

            /// Adds other totals: several devices of one virtual network, for example.
            pub fn merge(&mut self, other: &Self) {
                $(self.$field += other.$field;)+
                for (sum, more) in self.drops.iter_mut().zip(&other.drops) {
                    *sum += more;
                }
            }
        }
    };
}

counters! {
    /// Frames that ports gave, a super-frame as one.
    frames_in,
    /// Bytes of those.
    frames_in_bytes,
    /// Packets that those are on a wire.
    frames_in_packets,
    /// Frames that plugins sent in place of one that asked.
    resent,
    /// Frames that were encapsulated and sent, to one or several destinations.
    sent,
    /// Bytes of those, without encapsulation.
    sent_bytes,
    /// Frames that went to another port of this device only, which took them.
    local,
    /// Broadcast and multicast frames that went to other ports of this device only.
    flooded,
    /// Frames that were answered by another one in their place (a proxied ARP reply, for example).
    answered,
    /// Datagrams that were sent for those frames before segmentation: one for each destination of a replication list.
    datagrams_out,
    /// Destinations of replication lists that did not get a frame which others got: it is too big for the way there, or the socket cannot
    /// send there.
    left_out,
    /// Packets that those are on a wire.
    datagrams_out_packets,
    /// Bytes of those datagrams, with the encapsulation's header, without the outer IP and UDP headers.
    datagrams_out_bytes,
    /// Datagrams that came from the underlay.
    datagrams_in,
    /// Bytes of those, with the encapsulation's header.
    datagrams_in_bytes,
    /// Datagrams whose inner frame at least one port took.
    delivered,
    /// Frames that ports took, from the underlay or from other ports; a broadcast counts once for each port.
    frames_out,
    /// Bytes of those.
    frames_out_bytes,
    /// Frames that plugins and the engine itself made and ports took: proxied answers, packet-too-big.
    made,
    /// Datagrams that were pings, and were answered, or answers to this overlay's own pings.
    pings_in,
    /// Pings and answers to pings that were sent, which are in no other number.
    pings_out,
    /// Lookups asked.
    lookups,
    /// Lookups answered.
    answers,
    /// Answers to lookups that nobody asks any more.
    late_answers,
    /// Entries evicted from the target table.
    evictions,
}

impl Totals {
    /// Drops for one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason.index()]
    }

    /// Drops on one way, but for what the driver could not send after the engine had counted it as sent.
    #[must_use]
    pub fn dropped_on(&self, direction: Direction) -> u64 {
        let reasons = DropReason::ALL.iter().filter(|reason| reason.direction() == direction && !is_late(**reason));
        reasons.map(|reason| self.dropped(*reason)).sum()
    }

    /// Frames that wait for an answer, by the first equation of this module.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let settled = self.sent + self.local + self.flooded + self.answered + self.dropped_on(Direction::Transmit);
        (self.frames_in + self.resent).saturating_sub(settled)
    }
}

/// Whether the driver reports it, for something that the engine has already counted as sent.
pub(crate) const fn is_late(reason: DropReason) -> bool {
    matches!(reason, DropReason::SocketFull | DropReason::SendFailed)
}

fn by_name<S: serde::Serializer>(drops: &[u64; DropReason::COUNT], serializer: S) -> Result<S::Ok, S::Error> {
    let named = DropReason::ALL.iter().zip(drops).filter(|(_, count)| **count > 0);
    serializer.collect_map(named.map(|(reason, count)| (reason.name(), count)))
}

/// A number that one thread adds to and every thread may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, as the only writer.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Takes back what was added and has turned out to be none, as the only writer.
    pub(crate) fn take_back(&self, less: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(less), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// Counts a drop.
    #[inline]
    pub(crate) fn drop(&self, reason: DropReason) {
        self.drops[reason.index()].add(1);
    }
}
