//! NDJSON: one object per packet, one object per layer, outermost first.
//!
//! Written by hand because a derived serializer costs four times as much (docs/benchmarks.md); tests read every line back with
//! serde_json and check it against the JSON Schema that ships. The schema is documented in docs/json.md.

use super::Style;
use crate::addr::Mac;
use crate::checksum::{self, Status};
use crate::fields::{Fields, Key};
use crate::layer::{Body, Header, Layer, LayerKind, View};
use crate::packet::{Gso, Meta, Packet};
use crate::text::{Cursor, Text};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The value of `"schema"`: changed when a key changes its meaning or goes away, not when one is added.
pub const JSON_SCHEMA: u32 = 1;

/// Writes a packet as one JSON object without a line end. Of the style only `verify` counts.
pub fn json(packet: &Packet<'_>, meta: &Meta<'_>, style: &Style<'_>, out: &mut Text) {
    let mut cursor = Cursor::new(out);
    cursor.text("{\"schema\":");
    cursor.num(JSON_SCHEMA.into());
    cursor.text(",\"number\":");
    cursor.num(meta.number);
    match meta.timestamp {
        Some(time) => {
            cursor.text(",\"timestamp\":\"");
            cursor.rest(|out| {
                out.signed(time.seconds);
                out.byte(b'.');
                out.nanoseconds(time.nanoseconds);
            });
            cursor.text("\",\"len\":");
        }
        None => cursor.text(",\"timestamp\":null,\"len\":"),
    }
    cursor.num(packet.wire_len.into());
    cursor.text(",\"caplen\":");
    cursor.num(packet.bytes.len() as u64);
    if let Some(interface) = meta.interface {
        cursor.text(",\"interface\":");
        cursor.rest(|out| out.json_string(interface.as_bytes()));
    }
    if let Some(direction) = meta.direction {
        cursor.text(",\"direction\":");
        cursor.rest(|out| out.json_string(direction.as_bytes()));
    }
    if !meta.comments.is_empty() {
        cursor.rest(|out| comments(meta, out));
    }
    if meta.again {
        cursor.text(",\"again\":true");
    }
    cursor.text(",\"vni\":[");
    let mut gap = "";
    for vni in packet.vnis() {
        cursor.text(gap);
        gap = ",";
        cursor.num(vni.get().into());
    }
    cursor.text("],");
    if packet.device_vni.is_some() {
        cursor.text("\"vni_source\":\"device\",");
    }
    if let Some(gso) = packet.gso {
        cursor.rest(|out| self::gso(gso, out));
    }
    cursor.text("\"layers\":[");
    cursor.finish();
    for (index, layer) in packet.layers.iter().enumerate() {
        if index > 0 {
            out.byte(b',');
        }
        self::layer(packet, layer, out);
        if style.verify {
            checksum_status(packet, index, out);
        }
        out.byte(b'}');
    }
    out.byte(b']');
    stop(packet, out);
    out.byte(b'}');
}

/// Writes a layer without its closing brace. The headers that nearly every packet has are inlined here, each with a cursor of its own:
/// one cursor for all would have to live in memory for those that are not.
fn layer(packet: &Packet<'_>, layer: &Layer, out: &mut Text) {
    let view = packet.view(layer);
    match &layer.body {
        Body::Ethernet(header) => hot(LayerKind::Ethernet, header, layer, view, out),
        Body::Ipv4(header) => hot(LayerKind::Ipv4, header, layer, view, out),
        Body::Ipv6(header) => hot(LayerKind::Ipv6, header, layer, view, out),
        Body::Udp(header) => hot(LayerKind::Udp, header, layer, view, out),
        Body::Tcp(header) => hot(LayerKind::Tcp, header, layer, view, out),
        Body::Vxlan(header) => hot(LayerKind::Vxlan, header, layer, view, out),
        Body::Payload(header) => hot(LayerKind::Payload, header, layer, view, out),
        body => {
            out.text(body.kind().json_opening());
            out.num(layer.offset.into());
            out.text(",\"length\":");
            out.num(layer.length.into());
            let mut fields = JsonFields { out: Cursor::new(out), first: false };
            body.fields(view, &mut fields);
            fields.out.finish();
        }
    }
}

#[inline(always)]
fn hot(kind: LayerKind, header: &impl Header, layer: &Layer, view: View<'_>, out: &mut Text) {
    let mut fields = JsonFields { out: Cursor::new(out), first: false };
    fields.out.text(kind.json_opening());
    fields.out.num(layer.offset.into());
    fields.out.text(",\"length\":");
    fields.out.num(layer.length.into());
    header.fields(view, &mut fields);
    fields.out.finish();
}

#[cold]
fn comments(meta: &Meta<'_>, out: &mut Text) {
    out.text(",\"comments\":");
    for (index, comment) in meta.comments.iter().enumerate() {
        out.byte(if index == 0 { b'[' } else { b',' });
        out.json_string(comment.as_bytes());
    }
    out.byte(b']');
}

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
    out.text(",\"checksum_status\":\"");
    out.text(super::status_name(status));
    out.byte(b'"');
    if let Status::Incorrect { expected } = status {
        out.text(",\"checksum_expected\":");
        out.num(expected.into());
    }
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

struct JsonFields<'t> {
    out: Cursor<'t>,
    /// Whether the next field is the first of its object and has no comma in front.
    first: bool,
}

impl JsonFields<'_> {
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
}

impl Fields for JsonFields<'_> {
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
        self.key(key);
        self.out.text("\"");
        self.out.mac(value);
        self.out.text("\"");
    }

    #[inline(always)]
    fn ipv4(&mut self, key: Key, value: Ipv4Addr) {
        self.key(key);
        self.out.text("\"");
        self.out.ipv4(value);
        self.out.text("\"");
    }

    #[inline(always)]
    fn ipv6(&mut self, key: Key, value: Ipv6Addr) {
        self.key(key);
        self.out.text("\"");
        self.out.rest(|out| out.ipv6(value));
        self.out.text("\"");
    }

    #[inline(always)]
    fn text(&mut self, key: Key, value: &[u8]) {
        self.key(key);
        self.out.rest(|out| out.json_string(value));
    }

    #[inline(always)]
    fn bytes(&mut self, key: Key, value: &[u8]) {
        self.key(key);
        self.out.text("\"");
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
