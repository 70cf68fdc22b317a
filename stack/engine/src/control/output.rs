//! What does the control half want its driver to do?

use crate::batch::Offload;
use crate::encap::Carrier;
use crate::outbox::OuterHeader;
use crate::ping::Pong;
use crate::worker::clamp;
use overlay_api::{DeviceId, Lookup, PortId, RequestId, UnderlayId, Verdict};
use overlay_decoder::{Ul3, Vni};

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Ask this, and call [`handle_answer`](super::Control::handle_answer) with what comes back.
    Lookup(Lookup),
    /// The answer to this lookup is no longer of use.
    Withdraw(RequestId),
    /// Send this.
    Transmit(Sending),
    /// Hand this to a port.
    Deliver(Delivery),
    /// What became of a frame (if [`Config::explain`](crate::Config::explain) is set).
    Verdict(u64, Verdict),
    /// Something changed.
    Event(Event),
}

/// An encapsulated frame that the control half sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sending {
    /// The frame's id.
    pub frame: u64,
    /// Through which underlay.
    pub underlay: UnderlayId,
    /// For which device.
    pub device: DeviceId,
    /// Of which virtual network.
    pub vni: Vni,
    /// The outer header.
    pub outer: OuterHeader,
    /// Header of the encapsulation and frame.
    pub bytes: Vec<u8>,
    /// Bytes of the header.
    pub header_len: u16,
    /// What is left to do to the frame.
    pub offload: Offload,
}

impl Sending {
    /// The driver has sent it, whole, as [`Transmit::sent`](crate::Transmit::sent) says. What could not be sent goes to
    /// [`Control::lost`](super::Control::lost) instead.
    pub fn sent(&self) {
        let len = self.bytes.len().saturating_sub(self.header_len.into());
        let bytes = self.offload.wire_bytes(len, self.header_len.into());
        overlay_probes::tx_send(self.frame, self.vni.get(), clamp(len), self.offload.packets(len), bytes, self.outer.to);
    }
}

/// A frame that the control half hands to a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The frame's id.
    pub frame: u64,
    /// To which port.
    pub port: PortId,
    /// For which device.
    pub device: DeviceId,
    /// The frame.
    pub bytes: Vec<u8>,
    /// What is left to do to it.
    pub offload: Offload,
    /// Whether the engine or a plugin made it; else it comes from a port.
    pub made: bool,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An underlay is wanted: listen there and report with [`handle_underlay`](super::Control::handle_underlay).
    UnderlayOpen {
        /// Its id.
        underlay: UnderlayId,
        /// The encapsulation, by name.
        encapsulation: String,
        /// What carries it.
        carrier: Carrier,
        /// In which network namespace, by name or path; none is the driver's own.
        namespace: Option<String>,
        /// Where to listen.
        listen: Ul3,
    },
    /// An answer to a ping has come.
    Pong(Pong),
    /// An underlay is no longer wanted.
    UnderlayClose {
        /// Its id.
        underlay: UnderlayId,
    },
    /// A device's state, or the reason for it, changed.
    Device {
        /// Which.
        device: DeviceId,
        /// The reason why it is degraded; none if it is not.
        degraded: Option<String>,
    },
}
