//! What is being edited? One packet, taken out of its capture, and the layers that were found in it.

use overlay_captures::Record;
use overlay_decoder::layer::{Layer, LayerKind};
use overlay_decoder::{LinkType, Walker};
use std::borrow::Cow;

/// A packet that is being edited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// The captured bytes.
    pub(crate) bytes: Vec<u8>,
    /// Bytes on the wire; more than there are here if the capture cut the packet off.
    pub(crate) len: u32,
    /// What the bytes start with.
    pub(crate) link: LinkType,
}

/// Why a packet cannot be edited rightly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal(pub(crate) Cow<'static, str>);

impl Refusal {
    /// A refusal for a reason that is always the same.
    pub(crate) const fn of(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

impl Frame {
    /// A copy of a record's packet.
    pub(crate) fn of(record: &Record<'_>) -> Self {
        // A damaged file may say that a packet was shorter than what was captured of it.
        let len = record.len.max(u32::try_from(record.bytes.len()).unwrap_or(u32::MAX));
        Self { bytes: record.bytes.to_vec(), len, link: record.link }
    }

    /// The layers of it, outermost first, with the number of tunnels around each.
    pub(crate) fn layers(&self, walker: &mut Walker) -> Layers {
        let packet = walker.walk(&self.bytes, self.len, self.link);
        let mut tunnels = 0;
        let depths = packet
            .layers
            .iter()
            .map(|layer| {
                let depth = tunnels;
                tunnels += usize::from(layer.body.is_tunnel());
                depth
            })
            .collect();
        Layers { all: packet.layers.to_vec(), depths, is_gso: packet.gso.is_some() }
    }
}

/// The layers of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// All, outermost first.
    pub(crate) all: Vec<Layer>,
    /// Tunnels around each of them.
    pub(crate) depths: Vec<usize>,
    /// Whether the frame is many packets in one, whose lengths are not those of its headers.
    pub(crate) is_gso: bool,
}

impl Layers {
    /// The packets in the packet: 1 without a tunnel.
    pub(crate) fn packets(&self) -> usize {
        self.all.iter().filter(|layer| layer.body.is_tunnel()).count() + 1
    }

    /// The first layer with a tunnel header.
    pub(crate) fn first_tunnel(&self) -> Option<usize> {
        self.all.iter().position(|layer| layer.body.is_tunnel())
    }

    /// The layers of a kind.
    pub(crate) fn has(&self, kind: LayerKind) -> bool {
        self.all.iter().any(|layer| layer.kind() == kind)
    }
}

/// Bytes at a place, as many as the array has.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Writes bytes at a place, if all of them fit.
pub(crate) fn put(bytes: &mut [u8], at: usize, new: &[u8]) -> bool {
    match bytes.get_mut(at..).and_then(|rest| rest.get_mut(..new.len())) {
        Some(place) => {
            place.copy_from_slice(new);
            true
        }
        None => false,
    }
}
