//! Which conversation is a packet part of? The keys of statistics, with the virtual network as a part of each.
//!
//! Two tenants may use the same addresses: the path of tunnels that a packet came through belongs to its key, else their flows
//! would be counted as one.

use crate::addr::Mac;
use crate::layer::{Body, number::ip};
use crate::packet::{Packet, Segment};
use std::fmt;
use std::net::IpAddr;

/// Tunnels that a key tells apart; deeper ones are folded into the last.
const PATH_MAX: usize = 4;

/// The tunnels around a packet, outermost first, each with its identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TunnelPath {
    steps: [Option<(&'static str, Option<u32>)>; PATH_MAX],
}

impl TunnelPath {
    /// The path to the innermost packet.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Self {
        let device = packet.device_vni.map(|vni| ("device vni", Some(vni.get())));
        let tunnels = packet.layers.iter().filter(|layer| layer.body.is_tunnel()).map(|layer| {
            let id = match &layer.body {
                Body::Gre(header) => header.key,
                Body::Erspan(header) => Some(header.session.into()),
                body => body.vni().map(crate::Vni::get),
            };
            (layer.kind().name(), id)
        });
        let mut path = Self::default();
        for (index, step) in device.into_iter().chain(tunnels).enumerate() {
            path.steps[index.min(PATH_MAX - 1)] = Some(step);
        }
        path
    }

    /// Whether there is no tunnel.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps[0].is_none()
    }
}

impl fmt::Display for TunnelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, (name, id)) in self.steps.iter().flatten().enumerate() {
            let gap = if index > 0 { "/" } else { "" };
            match id {
                Some(id) => write!(f, "{gap}{name} {id}")?,
                None => write!(f, "{gap}{name}")?,
            }
        }
        Ok(())
    }
}

/// One end of a conversation: an IP with a port where the protocol has one, or a station.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Endpoint {
    /// An IP address, with its TCP, UDP or SCTP port.
    Ip(IpAddr, Option<u16>),
    /// A MAC address, for what is not IP.
    Station(Mac),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ip(ip, Some(port)) => std::net::SocketAddr::new(ip, port).fmt(f),
            Self::Ip(ip, None) => ip.fmt(f),
            Self::Station(mac) => mac.fmt(f),
        }
    }
}

/// The conversation of the innermost packet, the same for both directions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowKey {
    /// The tunnels around it.
    pub path: TunnelPath,
    /// What it speaks: an IP protocol, or an EtherType.
    pub protocol: Protocol,
    /// The smaller end.
    pub a: Endpoint,
    /// The larger end.
    pub b: Endpoint,
}

/// What a conversation speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// An IP protocol number.
    Ip(u8),
    /// An EtherType.
    Ethernet(u16),
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ip(number) => match ip::name(number) {
                Some(name) => f.write_str(name),
                None => write!(f, "ip protocol {number}"),
            },
            Self::Ethernet(number) => match crate::layer::number::ethertype::name(number) {
                Some(name) => f.write_str(name),
                None => write!(f, "ethertype {number:#06x}"),
            },
        }
    }
}

impl FlowKey {
    /// The conversation of a packet and whether the packet goes from `a` to `b`; `None` where it has no addresses at all.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<(Self, bool)> {
        let (protocol, from, to) = ends(&packet.innermost())?;
        let forward = from <= to;
        let (a, b) = if forward { (from, to) } else { (to, from) };
        Some((Self { path: TunnelPath::of(packet), protocol, a, b }, forward))
    }
}

/// Protocol, source and destination of one packet of a packet in a packet.
fn ends(segment: &Segment<'_>) -> Option<(Protocol, Endpoint, Endpoint)> {
    let mut found = None;
    for layer in segment.layers {
        match &layer.body {
            Body::Ethernet(h) => {
                found = Some((Protocol::Ethernet(h.ethertype), Endpoint::Station(h.src), Endpoint::Station(h.dst)));
            }
            Body::Vlan(h) => {
                if let Some((Protocol::Ethernet(ethertype), ..)) = &mut found {
                    *ethertype = h.ethertype;
                }
            }
            Body::Ipv4(h) => {
                let end = |ip: std::net::Ipv4Addr| Endpoint::Ip(ip.into(), None);
                found = Some((Protocol::Ip(h.protocol), end(h.src), end(h.dst)));
            }
            Body::Ipv6(h) => {
                let end = |ip: std::net::Ipv6Addr| Endpoint::Ip(ip.into(), None);
                found = Some((Protocol::Ip(h.upper_protocol), end(h.src), end(h.dst)));
            }
            Body::Tcp(h) => set_ports(&mut found, h.src_port, h.dst_port),
            Body::Udp(h) => set_ports(&mut found, h.src_port, h.dst_port),
            Body::Sctp(h) => set_ports(&mut found, h.src_port, h.dst_port),
            _ => {}
        }
    }
    found
}

fn set_ports(found: &mut Option<(Protocol, Endpoint, Endpoint)>, src: u16, dst: u16) {
    if let Some((_, Endpoint::Ip(_, src_port), Endpoint::Ip(_, dst_port))) = found {
        (*src_port, *dst_port) = (Some(src), Some(dst));
    }
}
