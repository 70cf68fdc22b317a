//! How much, and what became of it? What the engine counts, as it is told.

use crate::DropReason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident,)+) => {
        /// Counters of an overlay or a VNIC, since it was made or the daemon started. What is dropped is in `drops`, by the reason's name.
        #[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: u64,)+
            /// Dropped frames and datagrams by the name of the [`DropReason`]; reasons without any are left out.
            pub drops: BTreeMap<String, u64>,
        }

        impl Counters {
            /// Name and meaning of all counters but the drops, in their order.
            pub const NAMES: &[(&'static str, &'static str)] = &[$((stringify!($field), concat!($($doc),+).trim_ascii()),)+];

            /// All counters but the drops, in the order of [`Counters::NAMES`].
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Frames that VNICs gave, a super-frame as one.
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
    /// Frames that went to another VNIC of the same overlay only, which took them.
    local,
    /// Broadcast and multicast frames that went to other VNICs of the same overlay only.
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
    /// Datagrams whose inner frame at least one VNIC took.
    delivered,
    /// Frames that VNICs took, from the underlay or from other VNICs; a broadcast counts once for each VNIC.
    frames_out,
    /// Bytes of those.
    frames_out_bytes,
    /// Frames that plugins and the engine itself made and VNICs took: proxied answers, packet-too-big.
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

impl Counters {
    /// Drops for one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason.name()).copied().unwrap_or(0)
    }

    /// Drops of all reasons.
    #[must_use]
    pub fn all_dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}
