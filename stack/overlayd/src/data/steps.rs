//! How much is done at once? Everything; less shows what each step brings (`cargo xtask bench datapath`).

use crate::segment::Limits;
use clap::ValueEnum;
use overlay_engine::encap::Carrier;

/// Steps from the naive way to the one that is used. Super-frames of TAPs are cut in each: what they are is the TAP's matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Debug)]
pub(crate) enum Steps {
    /// A frame or a datagram at a time.
    Plain,
    /// As many as there are.
    Batched,
    /// Datagrams of one size in one message (UDP_SEGMENT).
    Gso,
    /// And what came in consecutive frames of one flow is given to the VNIC as one.
    Full,
}

impl Steps {
    /// Frames of a batch.
    pub(super) const fn frames(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Batched | Self::Gso | Self::Full => 64,
        }
    }

    /// Messages of a batch.
    pub(super) const fn datagrams(self) -> usize {
        match self {
            Self::Plain => 1,
            // A super-frame of 60 KB is 45 datagrams where nothing joins them on the way: more than one of them should be in a batch.
            Self::Batched | Self::Gso | Self::Full => 128,
        }
    }

    /// How much goes into a message.
    pub(super) fn limits(self, carrier: Option<Carrier>) -> Limits {
        if carrier == Some(Carrier::Udp) && self >= Self::Gso { Limits::GSO } else { Limits::SINGLE }
    }

    /// Whether frames are joined.
    pub(super) fn joins(self) -> bool {
        self == Self::Full
    }
}
