//! Where does a captured packet come into the engine? As a frame that a VNIC sends, as a datagram that the underlay brings, or not at all.
//!
//! Unless somebody says which interface stands for which VNIC, addresses decide: what goes to a place where an overlay listens is a
//! datagram, what comes from a VNIC's address is its frame. The rest is nobody's.

use super::setup::{Listener, Stage};
use overlay_api::{PortId, UnderlayId};
use overlay_captures::Record;
use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::{Body, LayerKind};
use overlay_decoder::{Gso, LinkType, Packet, Ul3};
use overlay_engine::encap::Carrier;
use overlay_engine::{Arrival, Offload, SegmentKind, Segments};
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

/// The longest frame or datagram that is carried: what an IP packet and an Ethernet header can have, with tags.
pub(crate) const LONGEST: usize = 65_535 + 22;

/// Where a packet comes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entrance {
    /// From a VNIC.
    Frame(PortId, Offload),
    /// From the underlay: these bytes of the packet.
    Datagram(UnderlayId, Arrival, Range<usize>),
    /// Nowhere, and why.
    Nowhere(Cow<'static, str>),
}

/// Which capture interface stands for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Assigned {
    /// The interface, by the name that the capture gives it; all without.
    pub(crate) interface: Option<String>,
    /// The VNIC whose frames were captured there; the underlay without.
    pub(crate) port: Option<PortId>,
}

/// Finds the entrance of a packet.
pub(crate) fn find(stage: &Stage, assigned: &[Assigned], record: &Record<'_>, packet: &Packet<'_>) -> Entrance {
    let name = record.interface.and_then(|interface| interface.name.as_deref());
    let said = assigned.iter().find(|rule| rule.interface.as_deref().is_none_or(|wanted| Some(wanted) == name));
    match said {
        Some(Assigned { port: Some(port), .. }) => frame(stage, *port, record, packet),
        Some(Assigned { port: None, .. }) => datagram(stage, packet).unwrap_or_else(|| nowhere("no overlay listens where it goes")),
        None => datagram(stage, packet).unwrap_or_else(|| match from_vnic(stage, record) {
            Some(port) => frame(stage, port, record, packet),
            None => nowhere("neither from a VNIC nor to a place where an overlay listens"),
        }),
    }
}

const fn nowhere(why: &'static str) -> Entrance {
    Entrance::Nowhere(Cow::Borrowed(why))
}

/// The VNIC whose address the frame comes from.
fn from_vnic(stage: &Stage, record: &Record<'_>) -> Option<PortId> {
    let source = record.bytes.get(6..12).filter(|_| record.link == LinkType::ETHERNET)?;
    stage.by_mac.get(source).copied()
}

fn frame(stage: &Stage, port: PortId, record: &Record<'_>, packet: &Packet<'_>) -> Entrance {
    if record.link != LinkType::ETHERNET {
        return Entrance::Nowhere(format!("link type {}; a VNIC sends Ethernet frames", record.link).into());
    }
    let len = packet.wire_len as usize;
    if len > LONGEST {
        return Entrance::Nowhere(format!("{len} bytes; at most {LONGEST} are carried").into());
    }
    Entrance::Frame(
        port,
        packet.gso.map_or_else(Offload::default, |gso| offload(gso, stage.mtus.get(&port).copied().unwrap_or(1500), packet)),
    )
}

/// How a frame of many segments is cut.
fn offload(gso: Gso, mtu: u32, packet: &Packet<'_>) -> Offload {
    let mut v6 = false;
    let transport = packet.layers.iter().find(|layer| {
        v6 |= layer.kind() == LayerKind::Ipv6;
        matches!(layer.kind(), LayerKind::Tcp | LayerKind::Udp)
    });
    let Some(layer) = transport else { return Offload::default() };
    let headers = layer.end();
    let fits = (mtu as usize + 14).saturating_sub(headers);
    let size = match gso {
        Gso::Partial { size, .. } => size as usize,
        Gso::SuperFrame | Gso::BigTcp => fits,
    };
    let kind = match (layer.kind(), v6) {
        (LayerKind::Udp, _) => SegmentKind::Udp,
        (_, true) => SegmentKind::Tcp6,
        (_, false) => SegmentKind::Tcp4,
    };
    match (u16::try_from(size), u16::try_from(headers)) {
        (Ok(size @ 1..), Ok(header_len)) => Offload { checksum: None, segments: Some(Segments { size, header_len, kind }) },
        _ => Offload::default(),
    }
}

/// As a datagram to one of the places where overlays listen; none if it goes to none of them.
fn datagram(stage: &Stage, packet: &Packet<'_>) -> Option<Entrance> {
    let at = packet.layers.iter().position(|layer| matches!(layer.kind(), LayerKind::Ipv4 | LayerKind::Ipv6))?;
    let ip = &packet.layers[at];
    let (src, dst, tos, protocol): (IpAddr, IpAddr, u8, u8) = match ip.body {
        Body::Ipv4(header) => (header.src.into(), header.dst.into(), header.tos, header.protocol),
        Body::Ipv6(header) => (header.src.into(), header.dst.into(), header.traffic_class, header.upper_protocol),
        _ => return None,
    };
    let next = packet.layers.get(at + 1);
    let (index, udp) = match next.map(|layer| layer.body) {
        Some(Body::Udp(udp)) => (at + 1, Some(udp)),
        _ => (at, None),
    };
    let carrier = &packet.layers[index];
    let fits = |listener: &&Listener| match (listener.carrier, udp) {
        (Carrier::Udp, Some(udp)) => listener.listen.port == Some(udp.dst_port),
        (Carrier::Ip(wanted), None) => wanted == protocol,
        _ => false,
    };
    let listens = |listener: &&Listener| {
        listener.listen.ip == dst || listener.listen.ip.is_unspecified() && (listener.listen.ip.is_ipv6() || dst.is_ipv4())
    };
    let listener = stage.listeners.iter().filter(fits).find(listens)?;
    let fragment = match ip.body {
        Body::Ipv4(header) => header.is_fragment(),
        _ => next.is_some_and(|layer| matches!(layer.body, Body::Ipv6Ext(header) if header.fragment.is_some())),
    };
    if fragment {
        return Some(nowhere("a fragment: the kernel puts it together before an overlay gets it"));
    }
    if matches!(checksum::verify(packet.bytes, packet.layers, index), Some(Status::Incorrect { .. }))
        || matches!(checksum::verify(packet.bytes, packet.layers, at), Some(Status::Incorrect { .. }))
    {
        return Some(nowhere("a wrong outer checksum: the kernel drops it"));
    }
    let range = carrier.end()..carrier.end() + carrier.claimed as usize;
    if range.len() > LONGEST {
        return Some(Entrance::Nowhere(format!("{} bytes; at most {LONGEST} are carried", range.len()).into()));
    }
    let from = Ul3 { ip: src, port: udp.map(|udp| udp.src_port) };
    Some(Entrance::Datagram(listener.id, Arrival { from, tos, offload: Offload::default() }, range))
}
