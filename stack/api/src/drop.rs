//! Why was a frame dropped? One closed list: counter = probe argument = API = row in overlay-top = line of the documentation.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which way a frame was going.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Direction {
    /// From a VNIC towards the underlay.
    Transmit = 0,
    /// From the underlay towards a VNIC.
    Receive = 1,
}

impl Direction {
    /// The name in the API, in documents and in probes' output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transmit => "transmit",
            Self::Receive => "receive",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $direction:ident;)+) => {
        /// Why a frame or a datagram went no further. The list is closed: a new way to drop is a new variant.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl DropReason {
            /// All reasons, in the order of [`DropReason::index`].
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// How many there are: the length of an array of counters.
            pub const COUNT: usize = Self::ALL.len();

            /// The name: lower case, words joined by `-`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The direction in which it happens.
            #[must_use]
            pub const fn direction(self) -> Direction {
                match self { $(Self::$variant => Direction::$direction,)+ }
            }

            /// What happened and what to look at, in one or two sentences.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

reasons! {
    /// The frame is shorter than an Ethernet header (14 bytes).
    FrameTooShort = "frame-too-short", Transmit;
    /// The port that the frame came from does not exist (any more).
    PortGone = "port-gone", Transmit;
    /// The overlay is not ready: its underlay is not open, or its configuration is being changed.
    OverlayDown = "overlay-down", Transmit;
    /// The frame is larger than the overlay's MTU or the underlay's path allows; IP senders were told with a packet-too-big.
    TooBig = "too-big", Transmit;
    /// The destination is the port that sent the frame: its sender and receiver are the same.
    SelfAddressed = "self-addressed", Transmit;
    /// The lookup answered that this destination gets nothing, or the operator said so.
    Refused = "refused", Transmit;
    /// The lookup was not answered in time.
    LookupTimeout = "lookup-timeout", Transmit;
    /// The answer to the lookup does not fit the overlay: a port where none is needed or none where one is, or no address at all.
    AnswerInvalid = "answer-invalid", Transmit;
    /// The entry's queue of frames that wait for an answer is full.
    PendingFull = "pending-full", Transmit;
    /// The overlay has as many bytes or lookups waiting as it may have.
    OverlayFull = "overlay-full", Transmit;
    /// The queue between the data path and the control half is full.
    MissQueueFull = "miss-queue-full", Transmit;
    /// The target table is full and nothing in it could be evicted.
    TableFull = "table-full", Transmit;
    /// The entry was deleted or flushed while the frame waited for an answer.
    EntryRemoved = "entry-removed", Transmit;
    /// The overlay was deleted or stopped while the frame waited for an answer.
    OverlayRemoved = "overlay-removed", Transmit;
    /// A broadcast or multicast frame found no other port, and the lookup named no receiver.
    NoReceiver = "no-receiver", Transmit;
    /// A frame that a plugin sent back into the overlay asked for a lookup that sent it back again.
    ResendLoop = "resend-loop", Transmit;
    /// The destination has an address of another family than the socket, or is the overlay's own listening address.
    Unreachable = "unreachable", Transmit;
    /// The frame has a VLAN tag, and the encapsulation is told to carry none (RFC 7637 3.3).
    VlanNotCarried = "vlan-not-carried", Transmit;
    /// The VNIC of this host that the frame was for had a full queue or refused the frame.
    LocalFailed = "local-failed", Transmit;
    /// The kernel's socket buffer was full.
    SocketFull = "socket-full", Transmit;
    /// The kernel refused to send the datagram.
    SendFailed = "send-failed", Transmit;

    /// The datagram is shorter than its encapsulation's header, or the inner frame is shorter than an Ethernet header.
    DatagramTooShort = "datagram-too-short", Receive;
    /// The encapsulation's header is not valid: no VNI, a wrong version, options that overrun it, or a payload that is no Ethernet frame.
    HeaderInvalid = "header-invalid", Receive;
    /// A reserved bit of the header is set, and the overlay is strict about them.
    ReservedBits = "reserved-bits", Receive;
    /// A critical option of the header is not understood (RFC 8926 3.4).
    CriticalOption = "critical-option", Receive;
    /// No overlay on this socket has the datagram's VNI.
    UnknownVni = "unknown-vni", Receive;
    /// The overlay is not ready to receive.
    OverlayNotReady = "overlay-not-ready", Receive;
    /// The datagram's source is not in the overlay's list of allowed sources.
    SourceNotAllowed = "source-not-allowed", Receive;
    /// The inner source is that of one of the overlay's own ports: what was sent came back.
    Loop = "loop", Receive;
    /// The underlay marked congestion on a packet whose inner header cannot carry the mark (RFC 6040 4.2).
    CongestionMark = "congestion-mark", Receive;
    /// The inner frame has a VLAN tag, and the encapsulation is told to take none (RFC 7637 3.3).
    VlanNotTaken = "vlan-not-taken", Receive;
    /// The inner TCP or UDP checksum is only begun, left to hardware that is not there, and the overlay does not trust its underlay so far.
    PartialChecksum = "partial-checksum", Receive;
    /// No port of the overlay has the inner destination.
    NoPort = "no-port", Receive;
    /// A ping of more than are answered (property `ping/answer` and a budget of the overlay), or an answer to one that nobody sent.
    PingIgnored = "ping-ignored", Receive;
    /// The inner frame is larger than the receiving port's MTU.
    PortMtu = "port-mtu", Receive;
    /// No VNIC that the inner frame was for took it: their queues were full, or they refused it.
    DeliverFailed = "deliver-failed", Receive;
}

impl DropReason {
    /// The position in [`DropReason::ALL`] and in an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_one_place_and_a_sentence() {
        for (place, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), place);
            assert_eq!(DropReason::from_name(reason.name()), Some(*reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
            assert!(reason.explanation().ends_with('.'), "{reason}: {}", reason.explanation());
            assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{reason}");
        }
        assert_eq!(DropReason::from_name("bored"), None);
    }
}
