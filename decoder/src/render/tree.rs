//! The tree (`-v`): every field of every layer, with byte offsets and verified checksums.

use super::{Signal, Style};
use crate::addr::Mac;
use crate::checksum::{self, Status};
use crate::fields::{Fields, Key};
use crate::packet::{Packet, Segment};
use crate::text::Text;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Writes every layer with its fields, a line each, indented below its packet in the packet.
pub fn tree(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) {
    let mut index = 0;
    for segment in packet.segments() {
        heading(&segment, style, out);
        for layer in segment.layers {
            out.text("  ");
            let tunnel = layer.body.is_tunnel();
            if tunnel {
                style.begin(Signal::Tunnel, out);
            }
            out.text(layer.kind().name());
            if tunnel {
                style.end(out);
            }
            span(layer.offset, layer.length, out);
            let mut fields = TreeFields { style, out, depth: 2, first: false };
            layer.body.fields(packet.view(layer), &mut fields);
            if style.verify {
                checksum_status(packet, index, style, out);
            }
            index += 1;
        }
    }
    type Mark = fn(&Packet<'_>, &Style<'_>, &mut Text);
    let marks: [(bool, Mark); 2] = [(packet.gso.is_some(), super::gso), (packet.stop.is_some(), super::stop)];
    for (present, mark) in marks {
        if present {
            out.text("  ");
            mark(packet, style, out);
            out.byte(b'\n');
        }
    }
}

fn heading(segment: &Segment<'_>, style: &Style<'_>, out: &mut Text) {
    match segment.tunnel {
        None => out.text("outer"),
        Some(tunnel) => {
            out.text("inner");
            if segment.depth > 1 {
                out.byte(b' ');
                out.num(segment.depth as u64);
            }
            out.text(", ");
            style.begin(Signal::Tunnel, out);
            out.text(tunnel.kind().name());
            if let Some(vni) = tunnel.body.vni() {
                out.byte(b' ');
                out.num(vni.get().into());
            }
            style.end(out);
        }
    }
    out.byte(b'\n');
}

/// Writes `, bytes FIRST-LAST` and the end of the line.
fn span(offset: u32, length: u32, out: &mut Text) {
    if length == 0 {
        out.text(", at byte ");
        out.num(offset.into());
    } else {
        out.text(", bytes ");
        out.num(offset.into());
        out.byte(b'-');
        out.num(u64::from(offset) + u64::from(length) - 1);
    }
    out.byte(b'\n');
}

fn checksum_status(packet: &Packet<'_>, index: usize, style: &Style<'_>, out: &mut Text) {
    let Some(status) = checksum::verify(packet.bytes, packet.layers, index) else { return };
    out.text("      checksum is ");
    let bad = matches!(status, Status::Incorrect { .. });
    if bad {
        style.begin(Signal::Fault, out);
    }
    out.text(match status {
        Status::Correct => "correct",
        Status::Incorrect { .. } => "incorrect, should be ",
        Status::Partial => "partial: left to the sending hardware",
        Status::Zero => "absent",
        Status::Unverifiable => "not verifiable: not all of what it covers is here",
    });
    if let Status::Incorrect { expected } = status {
        out.hex(expected.into(), 4);
        style.end(out);
    }
    out.byte(b'\n');
}

struct TreeFields<'t> {
    style: &'t Style<'t>,
    out: &'t mut Text,
    depth: usize,
    /// Whether the next field is the first of a list's item and gets its dash.
    first: bool,
}

impl TreeFields<'_> {
    fn line(&mut self, key: Key, write: impl FnOnce(&Style<'_>, &mut Text)) {
        self.out.spaces(self.depth * 2);
        self.out.text(if self.first { "- " } else { "  " });
        self.first = false;
        self.out.text(key.name);
        let before = self.out.len();
        self.out.byte(b' ');
        write(self.style, self.out);
        if self.out.len() == before + 1 {
            // An empty value: no blank at the end of the line.
            self.out.truncate(before);
        }
        self.out.byte(b'\n');
    }
}

fn name_behind(name: Option<&'static str>, out: &mut Text) {
    if let Some(name) = name {
        out.text(" (");
        out.text(name);
        out.byte(b')');
    }
}

impl Fields for TreeFields<'_> {
    fn num(&mut self, key: Key, value: u64) {
        self.line(key, |_, out| out.num(value));
    }

    fn hex(&mut self, key: Key, value: u64, width: usize) {
        self.line(key, |_, out| out.hex(value, width));
    }

    fn named(&mut self, key: Key, value: u64, name: Option<&'static str>) {
        self.line(key, |_, out| {
            out.num(value);
            name_behind(name, out);
        });
    }

    fn hex_named(&mut self, key: Key, value: u64, width: usize, name: Option<&'static str>) {
        self.line(key, |_, out| {
            out.hex(value, width);
            name_behind(name, out);
        });
    }

    fn flag(&mut self, key: Key, value: bool) {
        self.line(key, |_, out| out.text(if value { "yes" } else { "no" }));
    }

    fn mac(&mut self, key: Key, value: Mac) {
        self.line(key, |style, out| {
            out.mac(value);
            if let Some(name) = style.names.and_then(|names| names.station(value)) {
                out.text(" (");
                out.text(name);
                out.byte(b')');
            }
        });
    }

    fn ipv4(&mut self, key: Key, value: Ipv4Addr) {
        self.line(key, |style, out| {
            out.ipv4(value);
            host_behind(style, value.into(), out);
        });
    }

    fn ipv6(&mut self, key: Key, value: Ipv6Addr) {
        self.line(key, |style, out| {
            out.ipv6(value);
            host_behind(style, value.into(), out);
        });
    }

    fn text(&mut self, key: Key, value: &[u8]) {
        self.line(key, |_, out| out.printable(value));
    }

    fn bytes(&mut self, key: Key, value: &[u8]) {
        self.line(key, |_, out| out.hex_bytes(value));
    }

    fn open_list(&mut self, key: Key) {
        self.out.spaces(self.depth * 2);
        self.out.text(if self.first { "- " } else { "  " });
        self.first = false;
        self.out.text(key.name);
        self.out.byte(b'\n');
        self.depth += 1;
    }

    fn open_item(&mut self) {
        self.first = true;
    }

    fn close_item(&mut self) {
        self.first = false;
    }

    fn close_list(&mut self) {
        self.depth -= 1;
    }

    fn wants_details(&self) -> bool {
        true
    }
}

fn host_behind(style: &Style<'_>, address: std::net::IpAddr, out: &mut Text) {
    if let Some(name) = style.names.and_then(|names| names.host(address)) {
        out.text(" (");
        out.text(name);
        out.byte(b')');
    }
}
