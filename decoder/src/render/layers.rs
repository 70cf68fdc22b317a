//! One line per layer (`-V`): what grep wants of a packet in a packet.

use super::{Signal, Style};
use crate::layer::{Body, LayerKind};
use crate::packet::Packet;
use crate::text::Text;

/// The widest layer name in common use; columns behind it line up.
const NAME_WIDTH: usize = 9;

/// Writes each layer on a line of its own behind `prefix` (number and time): place, layer, addresses, summary.
pub fn layers(packet: &Packet<'_>, prefix: &[u8], style: &Style<'_>, out: &mut Text) {
    for segment in packet.segments() {
        for layer in segment.layers {
            out.bytes(prefix);
            match segment.depth {
                0 => out.text("outer  "),
                1 => out.text("inner  "),
                depth => {
                    out.text("inner");
                    out.num(depth as u64);
                    out.byte(b' ');
                }
            }
            let tunnel = layer.body.is_tunnel();
            if tunnel {
                style.begin(Signal::Tunnel, out);
            }
            let name = layer.kind().name();
            out.text(name);
            out.spaces(NAME_WIDTH.saturating_sub(name.len()) + 1);
            addresses(&layer.body, style, out);
            layer.body.summary(packet.view(layer), out);
            trim(out);
            if tunnel {
                style.end(out);
            }
            out.byte(b'\n');
        }
    }
    type Mark = fn(&Packet<'_>, &Style<'_>, &mut Text);
    let marks: [(bool, Mark); 2] = [(packet.gso.is_some(), super::gso), (packet.stop.is_some(), super::stop)];
    for (present, mark) in marks {
        if present {
            out.bytes(prefix);
            mark(packet, style, out);
            out.byte(b'\n');
        }
    }
    if style.verify {
        let before = out.len();
        out.bytes(prefix);
        let marked_from = out.len();
        super::bad_checksums(packet, style, out);
        if out.len() > marked_from {
            out.byte(b'\n');
        } else {
            out.truncate(before);
        }
    }
}

/// Takes the spaces at the end away again: a summary may be empty.
fn trim(out: &mut Text) {
    let kept = out.as_bytes().trim_ascii_end().len();
    out.truncate(kept);
}

/// Writes the addresses or ports of a header, with a space behind them.
fn addresses(body: &Body, style: &Style<'_>, out: &mut Text) {
    match body {
        Body::Ipv4(h) => {
            style.host(h.src.into(), None, out);
            out.text(" > ");
            style.host(h.dst.into(), None, out);
        }
        Body::Ipv6(h) => {
            style.host(h.src.into(), None, out);
            out.text(" > ");
            style.host(h.dst.into(), None, out);
        }
        Body::Tcp(h) => ports(h.src_port, h.dst_port, out),
        Body::Udp(h) => ports(h.src_port, h.dst_port, out),
        Body::Sctp(h) => ports(h.src_port, h.dst_port, out),
        _ => {
            debug_assert!(body.kind() != LayerKind::Tcp);
            return;
        }
    }
    out.byte(b' ');
}

fn ports(src: u16, dst: u16, out: &mut Text) {
    out.num(src.into());
    out.text(" > ");
    out.num(dst.into());
}
