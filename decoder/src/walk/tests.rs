//! The walk on packets written out byte by byte.

mod ip;
mod lengths;
mod link;
mod tunnels;

use super::*;
use crate::checksum::internet;
use crate::layer::LayerKind as K;
use crate::layer::number::ip as protocol;
use crate::layer::number::{ethertype, port};
use crate::layer::{Ethernet, Ipv4, Ipv6, Layer, Udp};
use crate::render::{self, Style};
use crate::text::Text;

/// What a walk found, freed from the walker.
#[derive(Debug)]
struct Found {
    layers: Vec<Layer>,
    stop: Option<Stop>,
    gso: Option<Gso>,
    line: String,
}

impl Found {
    fn kinds(&self) -> Vec<K> {
        self.layers.iter().map(Layer::kind).collect()
    }

    fn stop_kind(&self) -> Option<StopKind> {
        self.stop.map(|stop| stop.kind)
    }

    /// What the stop says to people.
    fn said(&self) -> String {
        self.stop.map(|stop| stop.to_string()).unwrap_or_default()
    }

    fn vnis(&self) -> Vec<u32> {
        self.layers.iter().filter_map(|layer| layer.body.vni()).map(crate::Vni::get).collect()
    }
}

fn walked(bytes: &[u8], wire_len: usize, link: LinkType, config: Config) -> Found {
    let mut walker = Walker::new(config);
    let packet = walker.walk(bytes, wire_len as u32, link);
    let mut out = Text::new();
    render::line(&packet, &Style::default(), &mut out);
    let line = String::from_utf8(out.as_bytes().to_vec()).unwrap();
    Found { layers: packet.layers.to_vec(), stop: packet.stop, gso: packet.gso, line }
}

/// Walks a whole Ethernet frame.
fn walk(bytes: &[u8]) -> Found {
    walked(bytes, bytes.len(), LinkType::ETHERNET, Config::default())
}

/// Walks the first `captured` bytes of an Ethernet frame.
fn walk_cut(bytes: &[u8], captured: usize) -> Found {
    walked(&bytes[..captured], bytes.len(), LinkType::ETHERNET, Config::default())
}

fn ethernet(kind: u16, inner: &[u8]) -> Vec<u8> {
    let header = Ethernet { dst: crate::Mac([2, 0, 0, 0, 0, 2]), src: crate::Mac([2, 0, 0, 0, 0, 1]), ethertype: kind };
    [&header.emit()[..], inner].concat()
}

/// An IPv4 packet with a right checksum, after `change`.
fn ipv4_with(protocol: u8, inner: &[u8], change: impl Fn(&mut Ipv4)) -> Vec<u8> {
    let bytes = [0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    // In a BIG TCP frame the length does not fit, and is 0.
    let total_length = u16::try_from(inner.len() + 20).unwrap_or(0);
    let mut header = Ipv4 { total_length, ..Ipv4::parse(&bytes) };
    change(&mut header);
    header.checksum = internet(&header.emit());
    [&header.emit()[..], inner].concat()
}

fn ipv4(protocol: u8, inner: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, inner, |_| {})
}

fn ipv6(next_header: u8, inner: &[u8]) -> Vec<u8> {
    let mut bytes = [0; 40];
    bytes[0] = 0x60;
    bytes[8] = 0xfd;
    bytes[39] = 2;
    let payload_length = u16::try_from(inner.len()).unwrap_or(0);
    let header = Ipv6 { payload_length, next_header, hop_limit: 64, ..Ipv6::parse(&bytes) };
    [&header.emit()[..], inner].concat()
}

fn udp(src_port: u16, dst_port: u16, inner: &[u8]) -> Vec<u8> {
    let length = u16::try_from(inner.len() + 8).unwrap_or(0);
    [&Udp { src_port, dst_port, length, checksum: 0 }.emit()[..], inner].concat()
}

/// A TCP segment from port 51000 to 443.
fn tcp(data: &[u8]) -> Vec<u8> {
    [&[199, 56, 1, 187, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0][..], data].concat()
}

/// VXLAN with the I bit around a frame.
fn vxlan(vni: u8, frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, vni, 0][..], frame].concat()
}

/// A frame in VXLAN in UDP in IPv4 in Ethernet.
fn in_vxlan(vni: u8, frame: &[u8]) -> Vec<u8> {
    ethernet(ethertype::IPV4, &ipv4(protocol::UDP, &udp(50000, port::VXLAN, &vxlan(vni, frame))))
}

/// An Ethernet frame with ten bytes of TCP data.
fn tenant() -> Vec<u8> {
    ethernet(ethertype::IPV4, &ipv4(protocol::TCP, &tcp(b"0123456789")))
}

/// The layers of [`tenant`].
const TENANT: [K; 4] = [K::Ethernet, K::Ipv4, K::Tcp, K::Payload];

/// The layers of [`tenant`] in [`in_vxlan`].
const TENANT_IN_VXLAN: [K; 8] = [K::Ethernet, K::Ipv4, K::Udp, K::Vxlan, K::Ethernet, K::Ipv4, K::Tcp, K::Payload];
