//! How is a packet shown? Four renderings of one model: the summary line, a line per layer, the tree, and JSON.
//!
//! None of them decodes anything: they read the layers that the walk left, and the fields that each header names. None writes
//! the time; the caller does, in front, because only it knows the time zone.

mod hex;
mod json;
mod layers;
mod line;
mod tree;

pub use hex::hex;
pub use json::{JSON_SCHEMA, json, json_unwalked};
pub use layers::layers;
pub use line::line;
pub use tree::tree;

use crate::addr::Mac;
use crate::checksum::{self, Status};
use crate::names::Names;
use crate::packet::Packet;
use crate::text::Text;
use std::net::IpAddr;

/// What all renderings are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style<'a> {
    /// Names instead of addresses where there are any; JSON always carries addresses.
    pub names: Option<&'a Names>,
    /// Whether to colour signals (ANSI escape sequences).
    pub color: bool,
    /// Whether the summary line starts with the MAC addresses of each packet in the packet.
    pub link_level: bool,
    /// Whether to verify checksums: the tree shows each result, JSON and the line get a field or a mark.
    pub verify: bool,
}

/// What is coloured, and only that: the encapsulation, and what is wrong.
#[derive(Clone, Copy)]
enum Signal {
    Tunnel,
    Notice,
    Fault,
}

impl Style<'_> {
    fn begin(&self, signal: Signal, out: &mut Text) {
        if self.color {
            out.text(match signal {
                Signal::Tunnel => "\x1b[36m",
                Signal::Notice => "\x1b[33m",
                Signal::Fault => "\x1b[31m",
            });
        }
    }

    fn end(&self, out: &mut Text) {
        if self.color {
            out.text("\x1b[0m");
        }
    }

    /// Writes a MAC address or its name.
    #[inline]
    fn station(&self, mac: Mac, out: &mut Text) {
        match self.names.and_then(|names| names.station(mac)) {
            Some(name) => out.text(name),
            None => out.mac(mac),
        }
    }

    /// Writes an IP address or its name, with a port where there is one.
    #[inline]
    fn host(&self, ip: IpAddr, port: Option<u16>, out: &mut Text) {
        let name = self.names.and_then(|names| names.host(ip));
        match (name, ip) {
            (Some(name), _) => out.text(name),
            (None, IpAddr::V4(v4)) => out.ipv4(v4),
            (None, IpAddr::V6(v6)) if port.is_some() => {
                out.byte(b'[');
                out.ipv6(v6);
                out.byte(b']');
            }
            (None, IpAddr::V6(v6)) => out.ipv6(v6),
        }
        if let Some(port) = port {
            out.byte(b':');
            out.num(port.into());
        }
    }
}

/// Writes why the walk stopped, in brackets.
fn stop(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) {
    if let Some(stop) = packet.stop {
        style.begin(Signal::Fault, out);
        out.byte(b'[');
        out.text(stop.kind.name());
        out.text(" in ");
        out.text(packet.place(stop.offset));
        out.byte(b' ');
        out.display(&stop);
        out.byte(b']');
        style.end(out);
    }
}

/// Writes that the frame is more than one packet, in brackets.
fn gso(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) {
    use crate::packet::Gso;
    if let Some(gso) = packet.gso {
        style.begin(Signal::Notice, out);
        match gso {
            Gso::SuperFrame | Gso::BigTcp => {
                out.byte(b'[');
                out.text(if gso == Gso::BigTcp { "big tcp" } else { "gso super-frame" });
                out.text(": ");
                out.num(packet.wire_len.into());
                out.text(" bytes]");
            }
            Gso::Partial { segments, size } => {
                out.text("[gso: ");
                out.num(segments.into());
                out.text(" segments of ");
                out.num(size.into());
                out.byte(b']');
            }
        }
        style.end(out);
    }
}

/// Writes the checksums that are wrong, in brackets.
fn bad_checksums(packet: &Packet<'_>, style: &Style<'_>, out: &mut Text) {
    for (index, layer) in packet.layers.iter().enumerate() {
        if let Some(Status::Incorrect { expected }) = checksum::verify(packet.bytes, packet.layers, index) {
            style.begin(Signal::Fault, out);
            out.text(" [bad checksum in ");
            out.text(packet.place(layer.offset));
            out.byte(b' ');
            out.text(layer.kind().name());
            out.text(": should be ");
            out.hex(expected.into(), 4);
            out.byte(b']');
            style.end(out);
        }
    }
}

/// The word that JSON has for the state of a checksum.
const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Correct => "correct",
        Status::Incorrect { .. } => "incorrect",
        Status::Partial => "partial",
        Status::Zero => "absent",
        Status::Unverifiable => "unverifiable",
    }
}
