//! What came out of the walk? A packet, its layers, and the packets inside it.

use crate::addr::Vni;
use crate::layer::{Body, Layer, LayerKind, View};
use crate::link::{LinkType, Timestamp};
use crate::stop::Stop;
use std::borrow::Cow;

/// A frame that is no single packet of a wire: the kernel hands over what its hardware, or the peer's, will cut up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gso {
    /// Longer than any jumbo frame.
    SuperFrame,
    /// GSO_PARTIAL: the lengths in the headers are those of one segment, the frame holds many.
    Partial {
        /// Segments in the frame.
        segments: u32,
        /// Payload bytes of each segment but the last.
        size: u32,
    },
    /// BIG TCP: longer than 65,535 bytes, with a length of 0 in the IP header.
    BigTcp,
}

impl Gso {
    /// The word that JSON and text use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SuperFrame => "super-frame",
            Self::Partial { .. } => "partial",
            Self::BigTcp => "big-tcp",
        }
    }
}

/// A decoded packet: the captured bytes and what the walk found in them.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Bytes on the wire, at least as many as were captured.
    pub wire_len: u32,
    /// What the packet starts with.
    pub link: LinkType,
    /// The layers, outermost first.
    pub layers: &'a [Layer],
    /// Why the walk ended before the packet did, or which length in it is wrong.
    pub stop: Option<Stop>,
    /// Whether this is more than one packet of a wire.
    pub gso: Option<Gso>,
    /// The virtual network of the device that it was captured on, where that is a tunnel device: there, the packet has no tunnel
    /// header yet, or no longer.
    pub device_vni: Option<Vni>,
}

impl<'a> Packet<'a> {
    /// The bytes that a layer sees of this packet.
    #[must_use]
    #[inline]
    pub fn view(&self, layer: &Layer) -> View<'a> {
        let (start, end) = (layer.offset as usize, layer.end());
        let payload_end = end.saturating_add(layer.claimed as usize).min(self.bytes.len());
        View {
            header: self.bytes.get(start..end).unwrap_or(&[]),
            payload: self.bytes.get(end..payload_end).unwrap_or(&[]),
            claimed: layer.claimed,
        }
    }

    /// The identifiers of the virtual networks that the packet crosses, outermost first.
    pub fn vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.device_vni.into_iter().chain(self.layers.iter().filter_map(|layer| layer.body.vni()))
    }

    /// The packets in this packet, outermost first: what lies between two tunnel headers. At least one.
    #[must_use]
    pub const fn segments(&self) -> Segments<'a> {
        Segments { packet: *self, next: Some(0), depth: 0, tunnel: None }
    }

    /// The packet behind the last tunnel header; the whole packet where there is no tunnel.
    #[must_use]
    pub fn innermost(&self) -> Segment<'a> {
        // `segments` yields at least one.
        self.segments().last().unwrap_or(Segment { packet: *self, layers: &[], depth: 0, tunnel: None })
    }

    /// What encloses byte `offset`: `outer`, or `inner` behind a tunnel header.
    #[must_use]
    pub fn place(&self, offset: u32) -> &'static str {
        let inside = self.layers.iter().any(|layer| layer.body.is_tunnel() && layer.end() <= offset as usize);
        if inside { "inner" } else { "outer" }
    }
}

impl Body {
    /// Whether the headers behind this one are those of another packet: the inner one. GRE in front of ERSPAN is half of one tunnel.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        match self {
            Self::Gre(header) => !header.carries_erspan(),
            other => other.kind().is_tunnel(),
        }
    }
}

/// One packet of a packet in a packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    packet: Packet<'a>,
    /// Its layers, the header of the tunnel that it carries included.
    pub layers: &'a [Layer],
    /// Tunnels around it: 0 for the outer packet.
    pub depth: usize,
    /// The header of the tunnel that carries it.
    pub tunnel: Option<&'a Layer>,
}

impl<'a> Segment<'a> {
    /// Its captured bytes, from its first header on, and whether they start as an Ethernet frame or as an IP packet. `None` where it
    /// starts as neither.
    ///
    /// Tags of the link below (Linux cooked headers, NSH, MPLS) are no part of it.
    #[must_use]
    pub fn frame(&self) -> Option<(&'a [u8], LinkType)> {
        let start = self.layers.iter().find(|l| matches!(l.kind(), LayerKind::Ethernet | LayerKind::Ipv4 | LayerKind::Ipv6))?;
        let link = if start.kind() == LayerKind::Ethernet { LinkType::ETHERNET } else { LinkType::RAW };
        let end = (start.end() + start.claimed as usize).min(self.packet.bytes.len());
        self.packet.bytes.get(start.offset as usize..end).map(|bytes| (bytes, link))
    }
}

/// Iterates over the packets in a packet. Made by [`Packet::segments`].
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    packet: Packet<'a>,
    next: Option<usize>,
    depth: usize,
    tunnel: Option<&'a Layer>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let rest = self.packet.layers.get(self.next?..)?;
        let tunnel_at = rest.iter().position(|layer| layer.body.is_tunnel());
        let length = tunnel_at.map_or(rest.len(), |at| at + 1);
        let segment = Segment { packet: self.packet, layers: &rest[..length], depth: self.depth, tunnel: self.tunnel };
        self.next = tunnel_at.and_then(|at| self.next.map(|start| start + at + 1));
        self.tunnel = tunnel_at.and_then(|at| rest.get(at));
        self.depth += 1;
        Some(segment)
    }
}

/// What the capture says of a packet, beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta<'a> {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// When it was seen; some formats do not say.
    pub timestamp: Option<Timestamp>,
    /// The name of the interface, where the capture has it.
    pub interface: Option<&'a str>,
    /// Which way it passed the interface, `in` or `out`, where the capture says so.
    pub direction: Option<&'static str>,
    /// Comments on the packet.
    pub comments: &'a [Cow<'a, str>],
    /// Whether the same packet was seen on another interface a moment before.
    pub again: bool,
}
