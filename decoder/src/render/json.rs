//! NDJSON: one object per packet, one object per layer, outermost first.
//!
//! Written by hand because a derived serializer costs four times as much (docs/benchmarks.md); tests read every line back with
//! serde_json and check it against the JSON Schema that ships. The schema is documented in docs/json.md.

use super::Style;
use crate::addr::Mac;
use crate::checksum::{self, Status};
use crate::fields::{Fields, Key};
use crate::packet::{Gso, Meta, Packet};
use crate::text::Text;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The value of `"schema"`: changed when a key changes its meaning or goes away, not when one is added.
pub const JSON_SCHEMA: u32 = 1;

/// Writes a packet as one JSON object without a line end. Of the style only `verify` counts.
pub fn json(packet: &Packet<'_>, meta: &Meta<'_>, style: &Style<'_>, out: &mut Text) {
    out.text("{\"schema\":");
    out.num(JSON_SCHEMA.into());
    out.text(",\"number\":");
    out.num(meta.number);
    match meta.timestamp {
        Some(time) => {
            out.text(",\"timestamp\":\"");
            out.signed(time.seconds);
            out.byte(b'.');
            out.nanoseconds(time.nanoseconds);
            out.text("\",\"len\":");
        }
        None => out.text(",\"timestamp\":null,\"len\":"),
    }
    out.num(packet.wire_len.into());
    out.text(",\"caplen\":");
    out.num(packet.bytes.len() as u64);
    if let Some(interface) = meta.interface {
        out.text(",\"interface\":");
        out.json_string(interface.as_bytes());
    }
    if let Some(direction) = meta.direction {
        out.text(",\"direction\":");
        out.json_string(direction.as_bytes());
    }
    if !meta.comments.is_empty() {
        comments(meta, out);
    }
    if meta.again {
        out.text(",\"again\":true");
    }
    out.text(",\"vni\":[");
    let mut gap = false;
    for vni in packet.vnis() {
        if gap {
            out.byte(b',');
        }
        gap = true;
        out.num(vni.get().into());
    }
    out.text("],");
    if packet.device_vni.is_some() {
        out.text("\"vni_source\":\"device\",");
    }
    if let Some(gso) = packet.gso {
        self::gso(gso, out);
    }
    out.text("\"layers\":[");
    for (index, layer) in packet.layers.iter().enumerate() {
        if index > 0 {
            out.byte(b',');
        }
        out.text(layer.kind().json_opening());
        out.num(layer.offset.into());
        out.text(",\"length\":");
        out.num(layer.length.into());
        layer.body.fields(packet.view(layer), &mut JsonFields { out, first: false });
        if style.verify {
            checksum_status(packet, index, out);
        }
        out.byte(b'}');
    }
    out.byte(b']');
    stop(packet, out);
    out.byte(b'}');
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
    out: &'t mut Text,
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
    fn flag(&mut self, key: Key, value: bool) {
        self.key(key);
        self.out.text(if value { "true" } else { "false" });
    }

    #[inline(always)]
    fn mac(&mut self, key: Key, value: Mac) {
        self.key(key);
        self.out.byte(b'"');
        self.out.mac(value);
        self.out.byte(b'"');
    }

    #[inline(always)]
    fn ipv4(&mut self, key: Key, value: Ipv4Addr) {
        self.key(key);
        self.out.byte(b'"');
        self.out.ipv4(value);
        self.out.byte(b'"');
    }

    fn ipv6(&mut self, key: Key, value: Ipv6Addr) {
        self.key(key);
        self.out.byte(b'"');
        self.out.ipv6(value);
        self.out.byte(b'"');
    }

    fn text(&mut self, key: Key, value: &[u8]) {
        self.key(key);
        self.out.json_string(value);
    }

    fn bytes(&mut self, key: Key, value: &[u8]) {
        self.key(key);
        self.out.byte(b'"');
        self.out.hex_bytes(value);
        self.out.byte(b'"');
    }

    fn open_list(&mut self, key: Key) {
        self.key(key);
        self.out.byte(b'[');
        self.first = true;
    }

    fn open_item(&mut self) {
        if !self.first {
            self.out.byte(b',');
        }
        self.out.byte(b'{');
        self.first = true;
    }

    fn close_item(&mut self) {
        self.out.byte(b'}');
        self.first = false;
    }

    fn close_list(&mut self) {
        self.out.byte(b']');
        self.first = false;
    }
}
