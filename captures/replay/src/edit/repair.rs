//! Are the checksums right again? Innermost first, because an outer one covers the inner ones.
//!
//! Where all bytes that a checksum covers are here, it is computed. Where they are not (the capture cut the packet off, or it is a
//! fragment), the old one is carried over to the new bytes: what changed is known even if the rest is not (RFC 1624 3).

use super::frame::{Frame, Layers, Refusal, array, put};
use overlay_decoder::Walker;
use overlay_decoder::checksum::{self, Status, Sum};
use overlay_decoder::layer::{Body, Ipv4, Ipv6, Ipv6Ext, Layer, LayerKind, Udp, number};
use std::borrow::Cow;

/// Makes the checksums of an edited packet right. `old` is the packet before, `layers` are those that it still has.
pub(crate) fn repair(old: &Frame, frame: &mut Frame, layers: &Layers, walker: &mut Walker) -> Result<(), Refusal> {
    // Not found by another walk: a tunnel that was guessed is none as long as a checksum in it is wrong.
    let layers = &refreshed(layers, &frame.bytes);
    for index in (0..layers.all.len()).rev() {
        let layer = &layers.all[index];
        match checksum::verify(&frame.bytes, &layers.all, index) {
            None | Some(Status::Correct | Status::Zero) => {}
            Some(Status::Incorrect { expected }) => write(&mut frame.bytes, layer, expected)?,
            Some(Status::Partial) => {
                // Told apart from an incorrect one by its value; with another value it is not, and its right one is told.
                let mut asked = layers.all.clone();
                if let Some(layer) = asked.get_mut(index) {
                    spoil(&mut layer.body);
                }
                if let Some(Status::Incorrect { expected }) = checksum::verify(&frame.bytes, &asked, index) {
                    write(&mut frame.bytes, layer, expected)?;
                }
            }
            Some(Status::Unverifiable) => carry_over(old, frame, layers, index)?,
        }
    }
    for index in 0..layers.all.len() {
        unread(old, frame, layers, index)?;
    }
    judge(frame, walker)
}

/// Whether a layer is in a fragment of a packet around it.
fn is_in_fragment(layers: &Layers, index: usize) -> bool {
    layers.all[..index].iter().any(|layer| match layer.body {
        Body::Ipv4(header) => header.is_fragment(),
        Body::Ipv6Ext(header) => header.fragment.is_some_and(|fragment| fragment.more || fragment.offset > 0),
        _ => false,
    })
}

/// A checksum over the addresses of an IP header that stands where no header was read: in another fragment than the start of its header,
/// or in one that is malformed. It is carried over in the fragment that has it.
fn unread(old: &Frame, frame: &mut Frame, layers: &Layers, index: usize) -> Result<(), Refusal> {
    let (mut protocol, mut offset) = match layers.all[index].body {
        Body::Ipv4(header) => (header.protocol, usize::from(header.fragment_offset)),
        Body::Ipv6(header) => (header.upper_protocol, 0),
        _ => return Ok(()),
    };
    let mut end = layers.all[index].end();
    let mut behind = index + 1;
    while let Some(layer) = layers.all.get(behind) {
        match layer.body {
            Body::Ipv6Ext(header) => {
                if let Some(fragment) = header.fragment {
                    (protocol, offset) = (header.next_header, fragment.offset.into());
                }
            }
            Body::Ah(_) => {}
            _ => break,
        }
        end = layer.end();
        behind += 1;
    }
    let place = match protocol {
        number::ip::TCP => 16,
        number::ip::UDP => 6,
        number::ip::ICMPV6 => 2,
        _ => return Ok(()),
    };
    let read = |layer: &Layer| matches!(layer.kind(), LayerKind::Tcp | LayerKind::Udp | LayerKind::Icmpv6);
    let (was, is) = (addresses(&old.bytes, &layers.all[..=index]), addresses(&frame.bytes, &layers.all[..=index]));
    if was == is || place < offset || layers.all.get(behind).is_some_and(read) {
        return Ok(());
    }
    let at = end + place - offset;
    let whole = layers.all[index].end() + layers.all[index].claimed as usize;
    if at + 2 <= frame.bytes.len().min(whole) {
        super::rewrite::adjust(&mut frame.bytes, at, &was, &is, protocol == number::ip::UDP);
        return Ok(());
    }
    if is_in_fragment(layers, index) { Err(Refusal::of("the checksum of what is in the tunnel is in another fragment")) } else { Ok(()) }
}

/// The layers with what now stands in their headers, as far as checksums depend on it.
fn refreshed(layers: &Layers, bytes: &[u8]) -> Layers {
    let mut layers = layers.clone();
    for layer in &mut layers.all {
        let at = layer.offset as usize;
        match &mut layer.body {
            Body::Ipv4(header) => *header = array(bytes, at).map_or(*header, |bytes| Ipv4::parse(&bytes)),
            Body::Ipv6(header) => {
                let upper_protocol = header.upper_protocol;
                *header = array(bytes, at).map_or(*header, |bytes| Ipv6 { upper_protocol, ..Ipv6::parse(&bytes) });
            }
            Body::Udp(header) => *header = array(bytes, at).map_or(*header, |bytes| Udp::parse(&bytes)),
            _ => {}
        }
    }
    layers
}

/// Whether every checksum that can be verified holds.
fn judge(frame: &Frame, walker: &mut Walker) -> Result<(), Refusal> {
    let layers = frame.layers(walker);
    for (index, layer) in layers.all.iter().enumerate() {
        if let Some(Status::Incorrect { .. } | Status::Partial) = checksum::verify(&frame.bytes, &layers.all, index) {
            return Err(Refusal(Cow::Owned(format!(
                "the checksum of {} at byte {} cannot be made right",
                layer.kind().name(),
                layer.offset
            ))));
        }
    }
    Ok(())
}

const fn spoil(body: &mut Body) {
    match body {
        Body::Tcp(header) => header.checksum = !header.checksum,
        Body::Udp(header) => header.checksum = !header.checksum,
        _ => {}
    }
}

/// Where the checksum of a layer stands in it.
const fn place(layer: &Layer) -> Option<usize> {
    Some(match layer.body {
        Body::Ipv4(_) => 10,
        Body::Tcp(_) => 16,
        Body::Udp(_) => 6,
        Body::Icmp(_) | Body::Icmpv6(_) | Body::Igmp(_) => 2,
        Body::Gre(_) => 4,
        Body::Sctp(_) => 8,
        _ => return None,
    })
}

fn write(bytes: &mut [u8], layer: &Layer, value: u32) -> Result<(), Refusal> {
    let Some(at) = place(layer).map(|at| layer.offset as usize + at) else { return Ok(()) };
    let written = match layer.body {
        Body::Sctp(_) => put(bytes, at, &value.to_be_bytes()),
        _ => put(bytes, at, &(value as u16).to_be_bytes()),
    };
    if written { Ok(()) } else { Err(Refusal::of("the capture cut off a checksum")) }
}

/// Carries the checksum of a layer over from the old bytes to the new ones.
fn carry_over(old: &Frame, frame: &mut Frame, layers: &Layers, index: usize) -> Result<(), Refusal> {
    let layer = &layers.all[index];
    let start = layer.offset as usize;
    let Some(at) = place(layer).map(|at| start + at) else { return Ok(()) };
    let end = layer.end().saturating_add(layer.claimed as usize);
    let range = start..end.min(frame.bytes.len()).max(start);
    let (Some(was), Some(is)) = (old.bytes.get(range.clone()), frame.bytes.get(range)) else {
        return Err(Refusal::of("a checksum covers bytes that are not in the capture, and their number changed"));
    };
    // The pseudo-header, where there is one, is the addresses: lengths and protocol stay.
    let covers_addresses = matches!(layer.kind(), LayerKind::Tcp | LayerKind::Udp | LayerKind::Icmpv6);
    let (addresses_were, addresses_are) = match covers_addresses {
        true => (addresses(&old.bytes, &layers.all[..index]), addresses(&frame.bytes, &layers.all[..index])),
        false => (Vec::new(), Vec::new()),
    };
    if was == is && addresses_were == addresses_are {
        return Ok(());
    }
    if covers_addresses && is_under_way(&frame.bytes, &layers.all[..index]) {
        return Err(Refusal::of("a checksum covers an address in a source route"));
    }
    if layer.kind() == LayerKind::Sctp {
        return Err(Refusal::of("the checksum of sctp covers bytes that are not in the capture"));
    }
    let Some(field) = array::<2>(&frame.bytes, at) else { return Err(Refusal::of("the capture cut off a checksum")) };
    let field = u16::from_be_bytes(field);
    if field == 0 && layer.kind() == LayerKind::Udp {
        return Ok(());
    }
    // RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m'). The field itself is in both sums, and cancels out.
    let mut sum = Sum::new();
    sum.add(&(!field).to_be_bytes());
    for (bytes, negate) in [(&addresses_were[..], true), (was, true), (&addresses_are[..], false), (is, false)] {
        let mut part = Sum::new();
        part.add(bytes);
        let folded = if negate { !part.folded() } else { part.folded() };
        sum.add(&folded.to_be_bytes());
    }
    let value = match sum.checksum() {
        0 if layer.kind() == LayerKind::Udp => 0xffff,
        value => value,
    };
    write(&mut frame.bytes, layer, value.into())
}

/// The addresses of the IP header nearest to what follows these layers.
fn addresses(bytes: &[u8], before: &[Layer]) -> Vec<u8> {
    let range = before.iter().rev().find_map(|layer| match layer.body {
        Body::Ipv4(_) => Some((layer.offset as usize + 12, 8)),
        Body::Ipv6(_) => Some((layer.offset as usize + 8, 32)),
        _ => None,
    });
    range.and_then(|(at, length)| bytes.get(at..at + length)).unwrap_or_default().to_vec()
}

/// Whether the nearest IP header names a station on the way, not the destination.
fn is_under_way(bytes: &[u8], before: &[Layer]) -> bool {
    for layer in before.iter().rev() {
        match layer.body {
            Body::Ipv6Ext(Ipv6Ext { header: number::ip::ROUTING, .. })
                if bytes.get(layer.offset as usize + 3).is_none_or(|left| *left > 0) =>
            {
                return true;
            }
            // Any option may be a route; those that are not are rare where a packet is incomplete, too.
            Body::Ipv4(header) => return header.header_length > 20,
            Body::Ipv6(_) => return false,
            _ => {}
        }
    }
    false
}
