//! The summary line: outer, tunnel and VNI, inner, kept apart.
//!
//! ```text
//! 10.88.0.1 > 10.88.0.2 vxlan 77 | 10.0.0.1:51000 > 10.0.0.2:443 tcp [S] seq 1234 win 64240 len 0
//! └─ outer ───────────────────┘   └─ inner ─────────────────────────────────────────────────────┘
//! ```
//!
//! Each packet in the packet is `SOURCE > DESTINATION` and what it carries; the ports of a tunnel's UDP header say nothing that
//! its name does not, and are left to the other renderings. What is odd follows in brackets.

use super::{Signal, Style};
use crate::layer::{Body, FIRST_ETHERTYPE, Header, Layer, LayerKind, number::ip};
use crate::packet::Packet;
use crate::pen::Pen;
use crate::text::Text;
use std::net::IpAddr;

/// Writes the summary of a packet, without time and line end.
pub fn line(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) {
    let start = out.len();
    if let Some(vni) = packet.device_vni {
        style.begin(Signal::Tunnel, out);
        out.text("device vni ");
        out.num(vni.get().into());
        style.end(out);
    }
    if !usual(packet, style, out) {
        segments(packet, style, start, out);
    }
    if packet.gso.is_some() {
        space(start, out);
        super::gso(packet, style, out);
    }
    if packet.stop.is_some() {
        space(start, out);
        super::stop(packet, style, out);
    }
    if style.verify {
        super::bad_checksums(packet, style, out);
    }
}

/// Longest line that a room takes, and the bytes that it needs behind it.
const ROOM: usize = 512;

/// Writes what nearly all packets of an overlay are, and nothing else: TCP or UDP over IP in VXLAN over IPv4, without a fragment, in plain
/// style. `false`, and nothing written, where anything is different.
///
/// Such a line is a dozen writes of known kinds; [`segments`], which writes the same, has to look at every layer for what may be odd.
#[inline]
fn usual(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) -> bool {
    use Body::{Ethernet, Ipv4, Ipv6, Payload, Tcp, Udp, Vxlan};
    if style.names.is_some() || style.color || style.link_level || packet.device_vni.is_some() {
        return false;
    }
    let [outer_link, outer_ip, outer_udp, tunnel, link, ip, transport, rest @ ..] = packet.layers else { return false };
    let (Ethernet(_), Ipv4(outer), Udp(_), Vxlan(vxlan), Ethernet(_)) =
        (&outer_link.body, &outer_ip.body, &outer_udp.body, &tunnel.body, &link.body)
    else {
        return false;
    };
    let (src_port, dst_port) = match (&transport.body, rest) {
        (Tcp(header), [] | [Layer { body: Payload(_), .. }]) => (header.src_port, header.dst_port),
        (Udp(header), [] | [Layer { body: Payload(_), .. }]) => (header.src_port, header.dst_port),
        _ => return false,
    };
    if outer.is_fragment() || matches!(&ip.body, Ipv4(inner) if inner.is_fragment()) || !matches!(&ip.body, Ipv4(_) | Ipv6(_)) {
        return false;
    }
    let Some(mut room) = out.room::<ROOM>() else { return false };
    room.ipv4(outer.src);
    room.text(" > ");
    room.ipv4(outer.dst);
    room.text(" vxlan ");
    vxlan.write_summary(&mut room);
    room.text(" | ");
    match &ip.body {
        Ipv4(inner) => {
            room.ipv4(inner.src);
            room.text(":");
            room.num(src_port.into());
            room.text(" > ");
            room.ipv4(inner.dst);
            room.text(":");
            room.num(dst_port.into());
        }
        Ipv6(inner) => {
            room.text("[");
            room.ipv6(inner.src);
            room.text("]:");
            room.num(src_port.into());
            room.text(" > [");
            room.ipv6(inner.dst);
            room.text("]:");
            room.num(dst_port.into());
        }
        _ => {}
    }
    match &transport.body {
        Tcp(header) => {
            room.text(" tcp ");
            header.write_summary(transport.claimed, &mut room);
        }
        Udp(header) => {
            room.text(" udp ");
            header.write_summary(transport.claimed, &mut room);
        }
        _ => {}
    }
    room.finish()
}

/// Writes each packet of the packet.
fn segments(packet: &Packet<'_>, style: &Style<'_>, start: usize, out: &mut Text) {
    let mut layers = packet.layers;
    while !layers.is_empty() {
        let shape = Shape::of(layers);
        let (segment, rest) = layers.split_at(shape.length);
        if out.len() > start {
            out.text(" | ");
        }
        self::segment(packet, segment, shape, style, out);
        layers = rest;
    }
}

/// What has to be known of one packet of the packet before its first word is written.
#[derive(Clone, Copy)]
struct Shape {
    /// Its layers, the header of the tunnel that it carries included.
    length: usize,
    /// Whether it has an IP or ARP header; without one, the stations are the only addresses.
    has_addresses: bool,
    /// The ports of its transport header, unless that is the UDP header of a tunnel.
    ports: Option<(u16, u16)>,
    /// The IP header that they belong to: the last one, where MPLS or AH lead to another without a tunnel.
    last_ip: usize,
}

impl Shape {
    #[inline]
    fn of(layers: &[Layer]) -> Self {
        let mut shape = Self { length: layers.len(), has_addresses: false, ports: None, last_ip: 0 };
        for (index, layer) in layers.iter().enumerate() {
            match &layer.body {
                Body::Ipv4(_) | Body::Ipv6(_) => {
                    shape.has_addresses = true;
                    shape.last_ip = index;
                    shape.ports = None;
                }
                Body::Arp(_) => shape.has_addresses = true,
                Body::Tcp(header) => shape.ports = Some((header.src_port, header.dst_port)),
                Body::Sctp(header) => shape.ports = Some((header.src_port, header.dst_port)),
                Body::Udp(header) => shape.ports = Some((header.src_port, header.dst_port)),
                body if body.is_tunnel() => {
                    shape.length = index + 1;
                    shape.ports = None;
                    return shape;
                }
                _ => {}
            }
        }
        shape
    }

    #[inline]
    fn ports_at(&self, index: usize) -> Option<(u16, u16)> {
        self.ports.filter(|_| index == self.last_ip)
    }
}

/// Writes a space unless the line starts here or has one already.
#[inline]
fn space(start: usize, out: &mut Text) {
    if out.len() > start && out.as_bytes().last() != Some(&b' ') {
        out.byte(b' ');
    }
}

/// Writes one packet of the packet: its addresses, then what it carries.
fn segment(packet: &Packet<'_>, layers: &[Layer], shape: Shape, style: &Style<'_>, out: &mut Text) {
    let start = out.len();
    for (index, layer) in layers.iter().enumerate() {
        let after = layers.get(index + 1);
        match &layer.body {
            Body::Ethernet(header) => {
                if style.link_level || !shape.has_addresses {
                    space(start, out);
                    style.station(header.src, out);
                    out.text(" > ");
                    style.station(header.dst, out);
                }
                if !header.is_802_3() {
                    undecoded_ethertype(header.ethertype, after, out);
                }
            }
            Body::Vlan(header) => {
                space(start, out);
                out.text("vlan ");
                summary(packet, layer, out);
                undecoded_ethertype(header.ethertype, after, out);
            }
            Body::Ipv4(header) => {
                space(start, out);
                endpoints(header.src.into(), header.dst.into(), shape.ports_at(index), style, out);
                if header.is_fragment() {
                    fragment(header.id.into(), header.fragment_offset, header.more_fragments, out);
                }
                undecoded_protocol(header.protocol, layer.claimed, after, out);
            }
            Body::Ipv6(header) => {
                space(start, out);
                endpoints(header.src.into(), header.dst.into(), shape.ports_at(index), style, out);
                undecoded_protocol(header.next_header, layer.claimed, after, out);
            }
            Body::Ipv6Ext(header) => {
                if let Some(part) = header.fragment {
                    fragment(part.id, part.offset, part.more, out);
                }
                undecoded_protocol(header.next_header, layer.claimed, after, out);
            }
            // The most frequent one: no look-up of its name, and its summary is never empty.
            Body::Tcp(header) => {
                space(start, out);
                out.text("tcp ");
                header.summary(packet.view(layer), out);
            }
            Body::Vxlan(header) if !style.color => {
                space(start, out);
                out.text("vxlan ");
                header.summary(packet.view(layer), out);
            }
            // What UDP carries says more than that it does.
            Body::Udp(_) if after.is_some_and(|next| next.kind() != LayerKind::Payload) => {}
            Body::Payload(_) | Body::Raw(_) | Body::Sll(_) | Body::Sll2(_) | Body::Null(_) => {}
            body => {
                space(start, out);
                let signal = body.is_tunnel();
                if signal {
                    style.begin(Signal::Tunnel, out);
                }
                out.text(layer.kind().name());
                let end_of_name = out.len();
                out.byte(b' ');
                summary(packet, layer, out);
                if out.len() == end_of_name + 1 {
                    out.truncate(end_of_name);
                }
                if signal {
                    style.end(out);
                }
            }
        }
    }
}

/// Writes `SOURCE > DESTINATION`.
#[inline]
fn endpoints(src: IpAddr, dst: IpAddr, ports: Option<(u16, u16)>, style: &Style<'_>, out: &mut Text) {
    style.host(src, ports.map(|ports| ports.0), out);
    out.text(" > ");
    style.host(dst, ports.map(|ports| ports.1), out);
}

#[inline]
fn summary(packet: &Packet<'_>, layer: &Layer, out: &mut Text) {
    layer.body.summary(packet.view(layer), out);
}

/// Names a type that the walk does not decode.
#[inline]
fn undecoded_ethertype(number: u16, after: Option<&Layer>, out: &mut Text) {
    if after.is_none_or(|next| next.kind() == LayerKind::Payload) && number >= FIRST_ETHERTYPE {
        ethertype(number, out);
    }
}

#[cold]
fn ethertype(number: u16, out: &mut Text) {
    out.byte(b' ');
    crate::layer::ethertype_name(number, out);
}

/// Names a protocol that the walk does not decode.
#[inline]
fn undecoded_protocol(number: u8, claimed: u32, after: Option<&Layer>, out: &mut Text) {
    if after.is_none_or(|next| next.kind() == LayerKind::Payload) {
        protocol(number, claimed, out);
    }
}

#[cold]
fn protocol(number: u8, claimed: u32, out: &mut Text) {
    out.byte(b' ');
    match ip::name(number) {
        Some(name) => out.text(name),
        None => {
            out.text("protocol ");
            out.num(number.into());
        }
    }
    out.text(" len ");
    out.num(claimed.into());
}

#[cold]
fn fragment(id: u32, offset: u16, more: bool, out: &mut Text) {
    out.text(" fragment id ");
    out.num(id.into());
    out.text(" offset ");
    out.num(offset.into());
    if more {
        out.byte(b'+');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkType;
    use crate::sample::frames;
    use crate::walk::Walker;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use std::cell::Cell;

    #[test]
    fn the_short_way_writes_what_the_general_one_writes_and_is_taken_often() {
        let (all, short) = (Cell::new(0), Cell::new(0));
        let runs = proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() };
        let tested = TestRunner::new(runs).run(&frames(), |(bytes, wire_len)| {
            let mut walker = Walker::default();
            let packet = walker.walk(&bytes, wire_len, LinkType::ETHERNET);
            let (mut found, mut general) = (Text::new(), Text::new());
            let taken = usual(&packet, &Style::default(), &mut found);
            segments(&packet, &Style::default(), 0, &mut general);
            let text = |text: &Text| String::from_utf8_lossy(text.as_bytes()).into_owned();
            prop_assert_eq!(text(&found), if taken { text(&general) } else { String::new() });
            all.set(all.get() + 1);
            short.set(short.get() + u32::from(taken));
            for style in [Style { color: true, ..Style::default() }, Style { link_level: true, ..Style::default() }] {
                prop_assert!(!usual(&packet, &style, &mut found));
            }
            Ok(())
        });
        tested.unwrap();
        // Else the test would compare nothing.
        assert!(short.get() > all.get() / 10, "{} of {} frames took the short way", short.get(), all.get());
    }
}
