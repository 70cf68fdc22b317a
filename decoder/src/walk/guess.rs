//! Is this UDP datagram a tunnel on a port that nobody told us of? Only if everything says so.
//!
//! Loose guesses drown a user in packets that are none (peers reject the idea for that reason). Here every reserved bit must be
//! zero, the inner packet must be one whose own length equals what is left, and an inner IPv4 header must have a correct
//! checksum: 80 bits and more have to fit by chance for a false positive.

use super::UdpTunnel;
use crate::layer::{Arp, Ethernet, Geneve, Ipv4, Ipv6, Vlan, Vxlan, number::ethertype};

/// Bytes of padding that may follow an inner packet: a 60-byte Ethernet frame around a packet of 28 bytes (ARP) or 20 (IPv4).
const LONGEST_PADDING: usize = 26;

/// Whether the first byte of a UDP payload alone does not refuse a tunnel, as it does for nearly all: VXLAN's flags are 0x08, Geneve's
/// version 0 with up to 63 words of options.
#[inline(always)]
pub(super) const fn may_be_tunnel(bytes: &[u8]) -> bool {
    matches!(bytes, [0..=0x3f, ..])
}

/// The tunnel that a UDP payload surely is. `left` is the payload's length by the UDP header; `bytes` what was captured of it.
pub(super) fn udp_tunnel(bytes: &[u8], left: usize) -> Option<UdpTunnel> {
    if !may_be_tunnel(bytes) {
        return None;
    }
    if *bytes.first()? == Vxlan::FLAG_VNI && vxlan(bytes, left) {
        return Some(UdpTunnel::Vxlan);
    }
    geneve(bytes, left).then_some(UdpTunnel::Geneve)
}

fn vxlan(bytes: &[u8], left: usize) -> bool {
    let Some((header, inner)) = bytes.split_first_chunk() else { return false };
    let header = Vxlan::parse(header);
    header.flags == Vxlan::FLAG_VNI && !header.reserved_bits_set() && frame(inner, left.saturating_sub(Vxlan::LENGTH))
}

fn geneve(bytes: &[u8], left: usize) -> bool {
    let Some((fixed, rest)) = bytes.split_first_chunk() else { return false };
    let header = Geneve::parse(fixed);
    let Some((options, inner)) = rest.split_at_checked(usize::from(header.options_length)) else { return false };
    let clean = header.version == 0 && header.reserved == 0 && header.reserved2 == 0 && Geneve::options_fault(options).is_none();
    let left = left.saturating_sub(header.length());
    clean
        && match header.protocol {
            ethertype::TEB => frame(inner, left),
            other => packet(other, inner, left),
        }
}

/// Whether this is an Ethernet frame with a plausible packet in it.
fn frame(bytes: &[u8], left: usize) -> bool {
    let Some((header, mut inner)) = bytes.split_first_chunk() else { return false };
    let header = Ethernet::parse(header);
    let mut left = left.saturating_sub(Ethernet::LENGTH);
    let mut kind = header.ethertype;
    for _ in 0..2 {
        if kind != ethertype::VLAN && kind != ethertype::PROVIDER_VLAN {
            break;
        }
        let Some((tag, rest)) = inner.split_first_chunk() else { return false };
        kind = Vlan::parse(tag).ethertype;
        inner = rest;
        left = left.saturating_sub(Vlan::LENGTH);
    }
    !header.src.is_group() && packet(kind, inner, left)
}

/// Whether this is a packet whose own length says that it is exactly what is left.
fn packet(kind: u16, bytes: &[u8], left: usize) -> bool {
    let fits = |length: usize| length <= left && left - length <= LONGEST_PADDING && (length == left || left <= 46);
    match kind {
        ethertype::IPV4 => {
            let Some(fixed) = bytes.first_chunk() else { return false };
            let header = Ipv4::parse(fixed);
            let Some(whole) = bytes.get(..usize::from(header.header_length)) else { return false };
            fixed[0] >> 4 == 4
                && whole.len() >= Ipv4::LENGTH
                && usize::from(header.total_length) >= whole.len()
                && fits(header.total_length.into())
                && crate::checksum::internet(whole) == 0
        }
        ethertype::IPV6 => {
            let Some(fixed) = bytes.first_chunk() else { return false };
            let header = Ipv6::parse(fixed);
            fixed[0] >> 4 == 6 && header.hop_limit > 0 && fits(Ipv6::LENGTH + usize::from(header.payload_length))
        }
        ethertype::ARP => {
            let Some(fixed) = bytes.first_chunk() else { return false };
            Arp::is_ethernet_ipv4(fixed) && matches!(bytes.get(6..8), Some([0, 1 | 2])) && fits(Arp::LENGTH)
        }
        _ => false,
    }
}
