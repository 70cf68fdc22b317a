//! What is said on the lookup channel?

use super::{Hello, Instance, Request, Verified, VnicInfo, Welcome};
use crate::{Answer, DeviceId, Lookup, RequestId};
use overlay_decoder::{Mac, Ul3};

/// What overlayd says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromOverlayd {
    /// The connection is taken. The first message, or else [`Refused`](Self::Refused).
    Welcome(Welcome),
    /// The connection is not taken, or ends: a sentence. The last message.
    Refused(String),
    /// An overlay wants an instance; or its instance has changed.
    Instance(Instance),
    /// An overlay no longer wants one.
    InstanceRemoved(DeviceId),
    /// All instances that there are have been told: what is not among them is no longer wanted.
    Complete,
    /// Where does this frame go?
    Lookup(Lookup),
    /// The answer to this lookup is no longer of use.
    Withdraw(RequestId),
    /// Would this instance start? Asked before an overlay is made or changed.
    Verify(Request),
    /// Are you there? Answered with a [`Pong`](FromVarpd::Pong) of the same number.
    Ping(u64),
    /// A VNIC was created on an overlay.
    VnicAdded(VnicInfo),
    /// A VNIC was deleted.
    VnicRemoved(VnicInfo),
    /// The interface of a VNIC has other inner addresses now.
    VnicChanged(VnicInfo),
}

/// What varpd says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromVarpd {
    /// Who it is. The first message.
    Hello(Hello),
    /// The answer to a lookup. Times are whole milliseconds on the wire; a part of one is rounded up.
    Answer(RequestId, Answer),
    /// The state of an instance.
    State {
        /// Of which overlay.
        device: DeviceId,
        /// Why it does not do what it should; none if it does.
        degraded: Option<String>,
    },
    /// The answer to [`Verify`](FromOverlayd::Verify).
    Verified(Verified),
    /// A destination is there, unasked.
    TargetSet {
        /// In which overlay.
        device: DeviceId,
        /// The inner destination.
        mac: Mac,
        /// Where; empty is drop.
        to: Vec<Ul3>,
        /// Nanoseconds for which this holds; none is without limit.
        ttl_ns: Option<u64>,
    },
    /// What an earlier answer said of a destination no longer holds: it is asked for again.
    TargetInvalidate {
        /// In which overlay.
        device: DeviceId,
        /// The inner destination.
        mac: Mac,
    },
    /// The same for all destinations that were learned.
    TargetFlush(DeviceId),
    /// A frame for a VNIC of an overlay, unasked.
    Inject {
        /// Which overlay.
        device: DeviceId,
        /// The frame, from its Ethernet header on.
        frame: Vec<u8>,
    },
    /// A frame that is sent as if a VNIC of the overlay had, unasked.
    Resend {
        /// Which overlay.
        device: DeviceId,
        /// The frame, from its Ethernet header on.
        frame: Vec<u8>,
    },
    /// The answer to [`Ping`](FromOverlayd::Ping).
    Pong(u64),
}
