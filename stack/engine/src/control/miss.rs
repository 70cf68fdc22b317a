//! What does a worker hand to the control half? A frame that it cannot decide about, copied once.

use crate::batch::Offload;
use crate::ping::Pong;
use overlay_api::{DeviceId, PortId, Question};

/// A frame that the control half owns: a worker handed it over, or a plugin sent it.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    /// The frame's id.
    pub(crate) id: u64,
    /// The port that it came from; none if a plugin sent it into the device.
    pub(crate) port: Option<PortId>,
    /// [`HEADROOM`](crate::encap::HEADROOM) bytes of room, and the frame.
    pub(crate) buffer: Vec<u8>,
    /// What is left to do to it.
    pub(crate) offload: Offload,
    /// Its addresses and kind.
    pub(crate) question: Question,
    /// Copies of it that local ports got already (broadcast and multicast).
    pub(crate) copies: u32,
    /// Whether it was sent by a plugin in place of another one.
    pub(crate) resent: bool,
}

impl Parcel {
    /// Bytes of the frame.
    pub(crate) fn len(&self) -> usize {
        self.frame().len()
    }

    /// The frame.
    pub(crate) fn frame(&self) -> &[u8] {
        self.buffer.get(crate::encap::HEADROOM..).unwrap_or(&[])
    }
}

/// Why a worker hands a frame over.
#[derive(Clone, Debug)]
pub(crate) enum Miss {
    /// The entry of its destination is not open; the frame is registered at the entry's gate.
    Closed(DeviceId, Parcel),
    /// A broadcast or multicast frame without a replication list: each asks for itself.
    Group(DeviceId, Parcel),
    /// Already forwarded; the entry is being renewed and this is the question (with the beginning of the frame).
    Renew(DeviceId, Parcel),
    /// A ping that is to be answered, or an answer to one, with the id of its frame. It is counted already.
    Ping(u64, Pong),
}
