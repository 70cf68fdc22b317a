//! NDJSON: one object per packet, one object per layer, outermost first.
//!
//! Written by hand because a derived serializer costs four times as much (docs/benchmarks.md); tests read every line back with
//! serde_json and check it against the JSON Schema that ships. The schema is documented in docs/json.md.

mod usual;

use super::Style;
use crate::addr::Mac;
use crate::checksum::{self, Status};
use crate::fields::{Fields, Key, Letters};
use crate::layer::number::ethertype;
use crate::layer::{Body, Header, Ipv4, Ipv6, Layer, LayerKind};
use crate::link::LinkType;
use crate::packet::{Gso, Meta, Packet};
use crate::pen::{Cursor, Pen};
use crate::text::Text;
use crate::walk::{Config, Whole};
use std::net::{Ipv4Addr, Ipv6Addr};
use usual::Inside;

/// The value of `"schema"`: changed when a key changes its meaning or goes away, not when one is added.
pub const JSON_SCHEMA: u32 = 1;

/// Writes a packet as one JSON object without a line end. Of the style only `verify` counts.
pub fn json(packet: &Packet<'_>, meta: &Meta<'_>, style: &Style<'_>, out: &mut Text) {
    head(packet.wire_len, packet.bytes.len(), meta, out);
    if style.verify || !usual::usual(packet, out) {
        any_layers(packet, style, out);
    }
}

/// Writes what [`json`] writes of the packet that a walk with this configuration finds, without the walk, if every header of it is as
/// in nearly all packets of VXLAN; else writes nothing, and says `false`.
///
/// `bytes` are those captured of `wire_len` on the wire. For many packets of which nothing is wanted but their text: it saves a
/// quarter of the time.
#[must_use]
pub fn json_unwalked(config: &Config, bytes: &[u8], wire_len: u32, link: LinkType, meta: &Meta<'_>, out: &mut Text) -> bool {
    // Each has code of its own: a header that may be either would be in memory, and not in registers.
    if bytes.get(TENANT_TYPE..TENANT_TYPE + 2) == Some(&ethertype::IPV6.to_be_bytes()) {
        unwalked_ipv6(config, bytes, wire_len, link, meta, out)
    } else {
        unwalked::<Ipv4>(config, bytes, wire_len, link, meta, out)
    }
}

/// Where the tenant's EtherType is in a packet that starts as usual.
const TENANT_TYPE: usize = 62;

#[inline(never)]
fn unwalked_ipv6(config: &Config, bytes: &[u8], wire_len: u32, link: LinkType, meta: &Meta<'_>, out: &mut Text) -> bool {
    unwalked::<Ipv6>(config, bytes, wire_len, link, meta, out)
}

#[inline(always)]
fn unwalked<N: Inside>(config: &Config, bytes: &[u8], wire_len: u32, link: LinkType, meta: &Meta<'_>, out: &mut Text) -> bool {
    let Some(packet) = Whole::<N>::of(config, bytes, wire_len, link).filter(usual::is_plain) else { return false };
    let start = out.len();
    head(wire_len.max(bytes.len() as u32), bytes.len(), meta, out);
    let written = usual::whole(&packet, out);
    if !written {
        out.truncate(start);
    }
    written
}

/// Writes the layers of any packet, and what stands in front of them.
fn any_layers(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) {
    vnis(packet, out);
    if packet.device_vni.is_some() {
        out.text("\"vni_source\":\"device\",");
    }
    if let Some(gso) = packet.gso {
        self::gso(gso, out);
    }
    out.text("\"layers\":[");
    for (index, layer) in packet.layers.iter().enumerate() {
        self::layer(packet, layer, out);
        if style.verify {
            checksum_status(packet, index, out);
        }
    }
    if !packet.layers.is_empty() {
        out.truncate(out.len() - 1);
    }
    out.byte(b']');
    stop(packet, out);
    out.byte(b'}');
}

/// Writes what every packet has.
#[inline]
fn head(wire_len: u32, captured: usize, meta: &Meta<'_>, out: &mut Text) {
    // Six numbers of 20 digits at most: it always fits.
    let Some(mut room) = out.room::<ROOM>() else { return };
    const { assert!(JSON_SCHEMA == 1, "the next line says which") };
    room.text("{\"schema\":1,\"number\":");
    room.num(meta.number);
    match meta.timestamp {
        Some(time) => {
            room.text(",\"timestamp\":\"");
            if time.seconds < 0 {
                room.text("-");
            }
            room.num(time.seconds.unsigned_abs());
            room.text(".");
            room.nanoseconds(time.nanoseconds);
            room.text("\",\"len\":");
        }
        None => room.text(",\"timestamp\":null,\"len\":"),
    }
    room.num(wire_len.into());
    room.text(",\"caplen\":");
    room.num(captured as u64);
    room.finish();
    if meta.interface.is_some() || meta.direction.is_some() || !meta.comments.is_empty() || meta.again {
        circumstances(meta, out);
    }
}

/// Writes what only some captures say of a packet.
#[cold]
fn circumstances(meta: &Meta<'_>, out: &mut Text) {
    if let Some(interface) = meta.interface {
        out.text(",\"interface\":");
        out.json_string(interface.as_bytes());
    }
    if let Some(direction) = meta.direction {
        out.text(",\"direction\":");
        out.json_string(direction.as_bytes());
    }
    if !meta.comments.is_empty() {
        out.text(",\"comments\":");
        for (index, comment) in meta.comments.iter().enumerate() {
            out.byte(if index == 0 { b'[' } else { b',' });
            out.json_string(comment.as_bytes());
        }
        out.byte(b']');
    }
    if meta.again {
        out.text(",\"again\":true");
    }
}

/// Writes the virtual networks.
#[inline]
fn vnis(packet: &Packet<'_>, out: &mut Text) {
    let Some(mut room) = out.room::<ROOM>() else { return };
    room.text(",\"vni\":[");
    let mut comma = 0;
    if let Some(vni) = packet.device_vni {
        room.num(vni.get().into());
        comma = 1;
    }
    for layer in packet.layers {
        if let Some(vni) = layer.body.vni() {
            room.put(*b",", comma);
            room.num(vni.get().into());
            comma = 1;
        }
    }
    room.text("],");
    if !room.finish() {
        many_vnis(packet, out);
    }
}

/// Writes the virtual networks of a packet with more tunnels than anybody nests.
#[cold]
fn many_vnis(packet: &Packet<'_>, out: &mut Text) {
    out.text(",\"vni\":");
    for (index, vni) in packet.vnis().enumerate() {
        out.byte(if index == 0 { b'[' } else { b',' });
        out.num(vni.get().into());
    }
    out.text("],");
}

/// Bytes of a room. Many times the longest text of a header: the compiler takes each number of a text for longer than it is, and where
/// the sum still fits, it asks nothing when it writes.
const ROOM: usize = 16384;

/// Writes a layer with a comma behind it. The headers that nearly every packet has are inlined here, each in a room of its own.
#[inline(always)]
fn layer(packet: &Packet<'_>, layer: &Layer, out: &mut Text) {
    let fits = match &layer.body {
        Body::Ethernet(header) => bounded(LayerKind::Ethernet, header, packet, layer, out),
        Body::Ipv4(header) => bounded(LayerKind::Ipv4, header, packet, layer, out),
        Body::Ipv6(header) => bounded(LayerKind::Ipv6, header, packet, layer, out),
        Body::Udp(header) => bounded(LayerKind::Udp, header, packet, layer, out),
        Body::Tcp(header) => bounded(LayerKind::Tcp, header, packet, layer, out),
        Body::Vxlan(header) => bounded(LayerKind::Vxlan, header, packet, layer, out),
        Body::Payload(header) => bounded(LayerKind::Payload, header, packet, layer, out),
        _ => false,
    };
    if !fits {
        any_layer(packet, layer, out);
    }
}

/// Writes a header whose text has a bound; `false`, and nothing written, if it has not.
#[inline(always)]
fn bounded(kind: LayerKind, header: &impl Header, packet: &Packet<'_>, layer: &Layer, out: &mut Text) -> bool {
    let Some(mut room) = out.room::<ROOM>() else { return false };
    opening(kind, layer, &mut room);
    header.fields(packet.view(layer), &mut JsonFields { out: &mut room, first: false });
    room.text(CLOSING);
    room.finish()
}

/// Writes any header.
#[inline(never)]
fn any_layer(packet: &Packet<'_>, layer: &Layer, out: &mut Text) {
    let mut cursor = Cursor::new(out);
    opening(layer.kind(), layer, &mut cursor);
    layer.body.fields(packet.view(layer), &mut JsonFields { out: &mut cursor, first: false });
    cursor.text(CLOSING);
    cursor.finish();
}

#[inline(always)]
fn opening(kind: LayerKind, layer: &Layer, out: &mut impl Pen) {
    out.text(kind.json_opening());
    out.num(layer.offset.into());
    out.text(",\"length\":");
    out.num(layer.length.into());
}

/// What stands behind the fields of a layer; that of the last one loses its comma again.
const CLOSING: &str = "},";

#[cold]
fn gso(gso: Gso, out: &mut Text) {
    out.text("\"gso\":{\"kind\":\"");
    out.text(gso.name());
    out.byte(b'"');
    if let Gso::Partial { segments, size } = gso {
        out.text(",\"segments\":");
        out.num(segments.into());
        out.text(",\"size\":");
        out.num(size.into());
    }
    out.text("},");
}

fn checksum_status(packet: &Packet<'_>, index: usize, out: &mut Text) {
    let Some(status) = checksum::verify(packet.bytes, packet.layers, index) else { return };
    out.truncate(out.len() - CLOSING.len());
    out.text(",\"checksum_status\":\"");
    out.text(super::status_name(status));
    out.byte(b'"');
    if let Status::Incorrect { expected } = status {
        out.text(",\"checksum_expected\":");
        out.num(expected.into());
    }
    out.text(CLOSING);
}

#[inline]
fn stop(packet: &Packet<'_>, out: &mut Text) {
    let Some(stop) = packet.stop else { return };
    out.text(",\"stop\":{\"kind\":\"");
    out.text(stop.kind.name());
    out.text("\",\"layer\":\"");
    out.text(stop.layer.name());
    out.text("\",\"offset\":");
    out.num(stop.offset.into());
    out.text(",\"need\":");
    out.num(stop.need.into());
    out.text(",\"have\":");
    out.num(stop.have.into());
    if let Some(reason) = stop.reason {
        out.text(",\"reason\":");
        out.json_string(reason.as_bytes());
    }
    if let Some(number) = stop.number {
        out.text(",\"number\":");
        out.num(number.into());
    }
    out.byte(b'}');
}

struct JsonFields<'t, P> {
    out: &'t mut P,
    /// Whether the next field is the first of its object and has no comma in front.
    first: bool,
}

impl<P: Pen> JsonFields<'_, P> {
    /// Always inlined, and with it every writer of a field: then the key is a constant, and its copy a few stores.
    #[inline(always)]
    fn key(&mut self, key: Key) {
        if self.first {
            self.first = false;
            self.out.text(key.json.get(1..).unwrap_or(""));
        } else {
            self.out.text(key.json);
        }
    }

    /// The key of a text that is written here, with the quotation mark that opens it.
    #[inline(always)]
    fn quoted(&mut self, key: Key) {
        if self.first {
            self.first = false;
            self.out.text(key.quoted.get(1..).unwrap_or(""));
        } else {
            self.out.text(key.quoted);
        }
    }
}

impl<P: Pen> Fields for JsonFields<'_, P> {
    #[inline(always)]
    fn num(&mut self, key: Key, value: u64) {
        self.key(key);
        self.out.num(value);
    }

    #[inline(always)]
    fn hex(&mut self, key: Key, value: u64, _: usize) {
        self.num(key, value);
    }

    #[inline(always)]
    fn named(&mut self, key: Key, value: u64, _: Option<&'static str>) {
        self.num(key, value);
    }

    #[inline(always)]
    fn hex_named(&mut self, key: Key, value: u64, _: usize, _: Option<&'static str>) {
        self.num(key, value);
    }

    #[inline(always)]
    fn flag(&mut self, key: Key, value: bool) {
        self.key(key);
        self.out.text(if value { "true" } else { "false" });
    }

    #[inline(always)]
    fn mac(&mut self, key: Key, value: Mac) {
        self.quoted(key);
        self.out.mac(value);
        self.out.text("\"");
    }

    #[inline(always)]
    fn ipv4(&mut self, key: Key, value: Ipv4Addr) {
        self.quoted(key);
        self.out.ipv4(value);
        self.out.text("\"");
    }

    #[inline(always)]
    fn ipv6(&mut self, key: Key, value: Ipv6Addr) {
        self.quoted(key);
        self.out.ipv6(value);
        self.out.text("\"");
    }

    #[inline(always)]
    fn text(&mut self, key: Key, value: &[u8]) {
        self.key(key);
        self.out.rest(|out| out.json_string(value));
    }

    #[inline(always)]
    fn letters(&mut self, key: Key, letters: Letters) {
        self.quoted(key);
        self.out.put(letters.text, letters.len.into());
        self.out.text("\"");
    }

    #[inline(always)]
    fn bytes(&mut self, key: Key, value: &[u8]) {
        self.quoted(key);
        self.out.rest(|out| out.hex_bytes(value));
        self.out.text("\"");
    }

    fn open_list(&mut self, key: Key) {
        self.key(key);
        self.out.text("[");
        self.first = true;
    }

    fn open_item(&mut self) {
        self.out.text(if self.first { "{" } else { ",{" });
        self.first = true;
    }

    fn close_item(&mut self) {
        self.out.text("}");
        self.first = false;
    }

    fn close_list(&mut self) {
        self.out.text("]");
        self.first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Ethernet, Icmp, Payload, Tcp, Udp, Vxlan};
    use crate::link::LinkType;
    use crate::sample::frames;
    use crate::walk::Walker;
    use proptest::prelude::*;

    /// What [`layer`] and [`any_layer`] write.
    fn both(packet: &Packet<'_>, layer: &Layer) -> [String; 2] {
        [self::layer, any_layer].map(|write| {
            let mut out = Text::new();
            write(packet, layer, &mut out);
            String::from_utf8(out.as_bytes().to_vec()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn usual_headers_are_written_as_any_header_is((bytes, wire_len) in frames()) {
            let mut walker = Walker::default();
            let packet = walker.walk(&bytes, wire_len, LinkType::ETHERNET);
            for layer in packet.layers {
                let [found, general] = both(&packet, layer);
                prop_assert_eq!(found, general);
            }
        }

        #[test]
        fn the_longest_text_of_a_usual_header_fits_its_room(bytes in prop_oneof![Just([0xff; 40]), any::<[u8; 40]>()], far: u32) {
            let bodies = [
                Body::Ethernet(Ethernet::parse(bytes.first_chunk().unwrap())),
                Body::Ipv4(Ipv4::parse(bytes.first_chunk().unwrap())),
                Body::Ipv6(Ipv6::parse(&bytes)),
                Body::Udp(Udp::parse(bytes.first_chunk().unwrap())),
                Body::Tcp(Tcp::parse(bytes.first_chunk().unwrap())),
                Body::Vxlan(Vxlan { guessed: true, ..Vxlan::parse(bytes.first_chunk().unwrap()) }),
                Body::Payload(Payload { wire_length: far }),
                Body::Icmp(Icmp::parse(bytes.first_chunk().unwrap())),
            ];
            let mut walker = Walker::default();
            let packet = walker.walk(&bytes, far, LinkType::ETHERNET);
            for body in bodies {
                let layer = Layer { offset: u32::MAX, length: u32::MAX, claimed: u32::MAX, body };
                let [found, general] = both(&packet, &layer);
                prop_assert!(general.len() + crate::pen::PUT_MAX <= ROOM, "{} bytes: {}", general.len(), general);
                prop_assert_eq!(found, general);
            }
        }
    }

    #[test]
    fn more_tunnels_than_fit_a_room_are_all_named() {
        let vxlan = Vxlan { flags: 8, policy_flags: 0, group: 0, id: crate::Vni::MAX, reserved: 0, guessed: false };
        for count in [0, 1, 2, 100].into_iter().chain(ROOM / 9 - 10..ROOM / 9 + 10) {
            let layers = vec![Layer { offset: 0, length: 8, claimed: 0, body: Body::Vxlan(vxlan) }; count];
            let packet =
                Packet { bytes: &[], wire_len: 0, link: LinkType::ETHERNET, layers: &layers, stop: None, gso: None, device_vni: None };
            let mut out = Text::new();
            vnis(&packet, &mut out);
            let expected = format!(",\"vni\":[{}],", vec!["16777215"; count].join(","));
            assert_eq!(String::from_utf8_lossy(out.as_bytes()), expected);
        }
    }
}
