//! What is around a question? Its Ethernet header with the VLAN tags, and its IP header; and the same around an answer.

use super::Unproxied;
use overlay_decoder::Mac;
use overlay_decoder::layer::number::ethertype;
use overlay_decoder::layer::{Ethernet, Ipv4, Ipv6, Vlan};

/// VLAN tags that are looked behind: a customer's and a provider's (802.1ad).
const TAGS_MAX: usize = 2;
/// Bytes of a tag on the wire: the type that announces it, and priority and id.
const TAG: usize = 4;
/// Bytes of the two addresses in front of the tags.
const ADDRESSES: usize = 12;

/// The VLAN tags of a frame as they are on the wire, outermost first. What is answered has those of the question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tags {
    bytes: [u8; TAGS_MAX * TAG],
    len: usize,
}

impl Tags {
    /// A customer's tag (0x8100) of priority 0, or none. Of the id, the lower 12 bits count.
    pub(super) fn of(vlan: Option<u16>) -> Self {
        let mut tags = Self::default();
        if let Some(id) = vlan {
            let [high, low] = (id & 0x0fff).to_be_bytes();
            let [type_high, type_low] = ethertype::VLAN.to_be_bytes();
            tags.bytes[..TAG].copy_from_slice(&[type_high, type_low, high, low]);
            tags.len = TAG;
        }
        tags
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Ethernet header and VLAN tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) dst: Mac,
    pub(super) src: Mac,
    pub(super) tags: Tags,
    /// Behind the tags.
    pub(super) ethertype: u16,
}

impl Link {
    /// The header, and what is behind it; none if the frame ends inside.
    pub(super) fn parse(frame: &[u8]) -> Option<(Self, &[u8])> {
        let ethernet = Ethernet::parse(frame.first_chunk()?);
        let (mut ethertype, mut at, mut tags) = (ethernet.ethertype, Ethernet::LENGTH, Tags::default());
        while tags.len < tags.bytes.len() && matches!(ethertype, ethertype::VLAN | ethertype::PROVIDER_VLAN | ethertype::OLD_QINQ) {
            let tag = frame.get(at..)?.first_chunk::<{ Vlan::LENGTH }>()?;
            // The type that announces a tag stands in front of what `Vlan` reads.
            let wire = frame.get(ADDRESSES + tags.len..)?.first_chunk::<TAG>()?;
            tags.bytes[tags.len..tags.len + TAG].copy_from_slice(wire);
            tags.len += TAG;
            ethertype = Vlan::parse(tag).ethertype;
            at += Vlan::LENGTH;
        }
        Some((Self { dst: ethernet.dst, src: ethernet.src, tags, ethertype }, frame.get(at..)?))
    }

    /// The station that sent the frame, if it can be one.
    pub(super) fn sender(&self) -> Result<Mac, Unproxied> {
        if is_station(self.src) { Ok(self.src) } else { Err(Unproxied::Sender) }
    }
}

/// Whether a MAC can be that of one station.
pub(super) fn is_station(mac: Mac) -> bool {
    !mac.is_group() && mac != Mac::default()
}

/// The beginning of a frame: addresses, tags, EtherType. `payload` bytes are going to follow.
pub(super) fn begin(dst: Mac, src: Mac, tags: &Tags, ethertype: u16, payload: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(Ethernet::LENGTH + tags.len + payload);
    frame.extend_from_slice(&dst.0);
    frame.extend_from_slice(&src.0);
    frame.extend_from_slice(tags.as_bytes());
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}

/// The fixed part of an IPv4 header; none if it is no IPv4 header.
pub(super) fn ipv4(packet: &[u8]) -> Option<Ipv4> {
    let bytes = packet.first_chunk::<{ Ipv4::LENGTH }>()?;
    let header = Ipv4::parse(bytes);
    (bytes[0] >> 4 == 4 && usize::from(header.header_length) >= Ipv4::LENGTH).then_some(header)
}

/// An IPv6 header and what is behind it; none if it is no IPv6 header.
pub(super) fn ipv6(packet: &[u8]) -> Option<(Ipv6, &[u8])> {
    let (bytes, rest) = packet.split_first_chunk::<{ Ipv6::LENGTH }>()?;
    (bytes[0] >> 4 == 6).then(|| (Ipv6::parse(bytes), rest))
}

/// The bytes of an IPv6 packet behind its header, without padding.
pub(super) fn payload<'a>(header: &Ipv6, rest: &'a [u8]) -> Result<&'a [u8], Unproxied> {
    rest.get(..usize::from(header.payload_length)).ok_or(Unproxied::Short)
}
