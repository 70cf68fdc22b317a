//! How does a packet become one that fits an MTU? Its last bytes are left out, and every length in it that spoke of them says so.

use super::frame::{Frame, Refusal, put};
use super::repair::repair;
use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::{Body, Ethernet, LayerKind};
use overlay_decoder::{StopKind, Walker};

/// Cuts the outermost IP packet to `mtu` bytes. Whether it was longer.
pub(crate) fn cut(frame: &mut Frame, mtu: u32, walker: &mut Walker) -> Result<bool, Refusal> {
    let layers = frame.layers(walker);
    let Some(ip) = layers.all.iter().find(|layer| matches!(layer.kind(), LayerKind::Ipv4 | LayerKind::Ipv6)) else { return Ok(false) };
    let (start, end) = (ip.offset as usize, ip.end() + ip.claimed as usize);
    if layers.is_gso {
        // Its headers are those of one of its packets, or say no length at all.
        return if frame.len > mtu { Err(Refusal::of("it is many packets in one (GSO)")) } else { Ok(false) };
    }
    let new_end = start + mtu as usize;
    if end <= new_end {
        return Ok(false);
    }
    for (kind, why) in [
        (LayerKind::Esp, "it is encrypted (esp)"),
        (LayerKind::Ah, "it is signed (ah)"),
        (LayerKind::Sctp, "its chunks have lengths (sctp)"),
    ] {
        if layers.has(kind) {
            return Err(Refusal::of(why));
        }
    }
    let is_content =
        |kind| matches!(kind, LayerKind::Payload | LayerKind::Dns | LayerKind::Dhcp | LayerKind::Dhcpv6 | LayerKind::Svp | LayerKind::Lldp);
    let headers = layers.all.iter().filter(|layer| !is_content(layer.kind())).map(|layer| layer.end()).max().unwrap_or(0);
    if headers > new_end {
        return Err(Refusal::of("its headers alone are longer than the MTU"));
    }
    let fragment = layers.all.iter().any(|layer| match layer.body {
        Body::Ipv4(header) => header.is_fragment(),
        Body::Ipv6Ext(header) => header.fragment.is_some(),
        _ => false,
    });
    if fragment {
        return Err(Refusal::of("it is a fragment, and the others have their places behind it"));
    }
    // A header that is not here whole may have a length, and a checksum.
    let stop = walker.walk(&frame.bytes, frame.len, frame.link).stop;
    let half_read = stop.is_some_and(|stop| stop.kind == StopKind::Truncated && !is_content(stop.layer));
    if half_read && frame.bytes.len() < new_end {
        return Err(Refusal::of("the capture cut off one of its headers"));
    }
    let old = frame.clone();
    for (index, layer) in layers.all.iter().enumerate() {
        let at = layer.offset as usize;
        let whole = layer.end() + layer.claimed as usize;
        let length = new_end.min(whole).saturating_sub(at);
        let field = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let said = match layer.body {
            Body::Ipv4(_) => put(&mut frame.bytes, at + 2, &field(length)),
            Body::Ipv6(_) => put(&mut frame.bytes, at + 4, &field(length.saturating_sub(40))),
            Body::Udp(header) if header.length > 0 => put(&mut frame.bytes, at + 4, &field(length)),
            // An 802.3 frame says its length where others say what they carry.
            Body::Ethernet(header) if layers.all.get(index + 1).is_some_and(|next| next.kind() == LayerKind::Llc) && whole > new_end => {
                put(&mut frame.bytes, at + 12, &field(length.saturating_sub(Ethernet::LENGTH).min(header.ethertype.into())))
            }
            _ => true,
        };
        if !said {
            return Err(Refusal::of("the capture cut off a length"));
        }
    }
    frame.bytes.truncate(new_end);
    frame.len = u32::try_from(new_end).unwrap_or(u32::MAX);
    // The new bytes are the first of the old ones. A checksum is computed over them, or not at all: what was left out cannot be taken out
    // of one whose bytes are not all known.
    let layers = frame.layers(walker);
    if (0..layers.all.len()).any(|index| checksum::verify(&frame.bytes, &layers.all, index) == Some(Status::Unverifiable)) {
        return Err(UNKNOWN);
    }
    repair(&old, frame, &layers, walker)?;
    Ok(true)
}

/// Why a packet that the capture cut off is not cut once more.
const UNKNOWN: Refusal = Refusal::of("a checksum covers bytes that are not known");
