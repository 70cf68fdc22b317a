//! What does a worker want its driver to do? Transmissions and deliveries, in order.

use crate::batch::{Batch, Offload};
use crate::inner::Inner;
use crate::outer::OuterRules;
use crate::worker::clamp;
use overlay_api::{DeviceId, DropReason, PortId, UnderlayId, Verdict};
use overlay_decoder::{Mac, Ul3, Vni};
use std::ops::Range;

/// Send an encapsulated frame on an underlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// The frame's id, the same in all of its probes.
    pub frame: u64,
    /// Which item of the batch.
    pub item: u32,
    /// Bytes of the encapsulation's header, which stands in front of the item: [`Batch::with_header`] gives both.
    pub header_len: u16,
    /// Through which underlay.
    pub underlay: UnderlayId,
    /// For which device: its counters are charged if the driver cannot send ([`Worker::lost`](crate::Worker::lost)).
    pub device: DeviceId,
    /// Of which virtual network.
    pub vni: Vni,
    /// The outer header.
    pub outer: OuterHeader,
}

impl Transmit {
    /// The driver has sent it, whole: the kernel has taken all of its datagrams. `len` is the frame's length and `offload` what was left
    /// to do to it. What could not be sent goes to [`Worker::lost`](crate::Worker::lost) instead.
    #[inline]
    pub fn sent(&self, len: usize, offload: &Offload) {
        let bytes = offload.wire_bytes(len, self.header_len.into());
        overlay_probes::tx_send(self.frame, self.vni.get(), clamp(len), offload.packets(len), bytes, self.outer.to);
    }
}

/// The fields of the outer header that the engine decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OuterHeader {
    /// Destination; its port is there exactly if UDP carries the encapsulation.
    pub to: Ul3,
    /// Source port, from the hash of the inner flow (RFC 7348 5).
    pub source_port: u16,
    /// IPv6 flow label, from the same hash (RFC 6438).
    pub flow_label: u32,
    /// Type of service or traffic class: DSCP and ECN (RFC 2983, RFC 6040).
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Whether routers may not fragment it (IPv4).
    pub dont_fragment: bool,
}

impl OuterHeader {
    /// The outer header of a frame for one destination.
    #[inline]
    pub(crate) fn new(rules: &OuterRules, inner: &Inner, flow: u32, to: Ul3) -> Self {
        Self {
            to,
            source_port: rules.source_port(flow),
            flow_label: rules.flow_label(flow),
            tos: rules.tos(inner),
            ttl: rules.ttl(),
            dont_fragment: rules.dont_fragment(),
        }
    }
}

/// Hand a frame to a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deliver {
    /// The frame's id.
    pub frame: u64,
    /// To which port.
    pub port: PortId,
    /// For which device.
    pub device: DeviceId,
    /// What.
    pub content: Content,
    /// Bytes of the frame.
    pub len: u32,
    /// Its destination.
    pub to: Mac,
    /// As what it is counted.
    pub(crate) part: Part,
}

/// What the delivery of a frame is to the fate of the frame or datagram that it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// It came from the underlay, for this port and perhaps for others.
    Received,
    /// It came from another port of the device, and goes nowhere else.
    Local,
    /// It came from another port of the device, and others get it, too.
    Copy,
    /// The engine made it.
    Made,
}

impl Part {
    /// What it is if the port does not take it.
    pub(crate) const fn failure(self) -> DropReason {
        match self {
            Self::Received | Self::Made => DropReason::DeliverFailed,
            Self::Local | Self::Copy => DropReason::LocalFailed,
        }
    }
}

/// Where the bytes of a delivery are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// An item of the batch, without its first `skip` bytes (the encapsulation's header).
    Item {
        /// Which item.
        item: u32,
        /// Bytes of it to leave out.
        skip: u32,
    },
    /// A frame that the engine made, in the outbox.
    Made(Range<usize>),
}

/// What a worker wants done with a batch. Keep it and use it again: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Send these, in this order.
    pub transmits: Vec<Transmit>,
    /// Deliver these, in this order.
    pub delivers: Vec<Deliver>,
    /// Frames that the engine made.
    pub(crate) made: Vec<u8>,
    /// Frames handed to the control half: if not 0, [`Control::handle_misses`](crate::Control::handle_misses) wants to be called.
    pub misses: usize,
    /// With [`Outbox::explaining`]: what became of each item, by its frame id.
    pub verdicts: Vec<(u64, Verdict)>,
    explain: bool,
}

impl Outbox {
    /// An outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An outbox that also takes a verdict for each item. It costs an allocation a frame: for replay, tests and trace.
    #[must_use]
    pub fn explaining() -> Self {
        Self { explain: true, ..Self::default() }
    }

    /// Forgets everything in it.
    pub fn clear(&mut self) {
        self.transmits.clear();
        self.delivers.clear();
        self.made.clear();
        self.verdicts.clear();
        self.misses = 0;
    }

    /// The bytes of a delivery.
    #[must_use]
    pub fn content<'a, M: Copy>(&'a self, deliver: &Deliver, batch: &'a Batch<M>) -> &'a [u8] {
        match &deliver.content {
            Content::Item { item, skip } => batch.bytes(*item).get(*skip as usize..).unwrap_or(&[]),
            Content::Made(range) => self.made.get(range.clone()).unwrap_or(&[]),
        }
    }

    /// Notes a verdict, if anyone wants it.
    #[inline]
    pub(crate) fn explain(&mut self, frame: u64, verdict: impl FnOnce() -> Verdict) {
        if self.explain {
            self.verdicts.push((frame, verdict()));
        }
    }
}
