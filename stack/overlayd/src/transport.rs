//! Which TCP segment or UDP datagram is in this frame? The places of its headers and the sums over them, for cutting and joining.
//!
//! Sums are of 16-bit words in ones-complement (RFC 1071), kept in 32 bits until the end: a header has few words.

use overlay_decoder::checksum::{Sum, internet};
use overlay_decoder::layer::number::ip;
use overlay_decoder::layer::{Ipv4, Ipv6, Tcp, Udp};
use overlay_engine::SegmentKind;
use overlay_engine::inner::{Fragment, Inner, Network};
use std::ops::Range;

/// The network protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The transport protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Where the checksum stands in the header.
    pub(crate) const fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// The places of a frame's headers. It holds for the frame that it was parsed from and no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transport {
    /// IPv4 or IPv6.
    pub(crate) version: Version,
    /// TCP or UDP.
    pub(crate) protocol: Protocol,
    /// Where the IP header begins.
    pub(crate) l3: usize,
    /// Where the TCP or UDP header begins.
    pub(crate) l4: usize,
    /// Where the payload begins: all headers are in front of it.
    pub(crate) payload: usize,
    /// Where the IP packet ends.
    pub(crate) end: usize,
}

impl Transport {
    /// Finds a whole TCP segment or UDP datagram; none where a header or the packet is cut off, or where it is a fragment. An IP length of
    /// 0 (BIG TCP) says that the packet is as long as the frame.
    #[inline]
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        let Inner { l3, network, .. } = Inner::parse(frame)?;
        let (version, fragment, protocol, l4, stated) = match network {
            Network::Ipv4 { total_len, fragment, protocol, l4, .. } => (Version::V4, fragment, protocol, l4, total_len.into()),
            Network::Ipv6 { payload_len: 0, fragment, protocol, l4, .. } => (Version::V6, fragment, protocol, l4, 0),
            Network::Ipv6 { payload_len, fragment, protocol, l4, .. } => {
                (Version::V6, fragment, protocol, l4, usize::from(payload_len) + Ipv6::LENGTH)
            }
            Network::Other => return None,
        };
        let header = frame.get(l4..)?;
        let (protocol, length) = match protocol {
            ip::TCP => (Protocol::Tcp, usize::from(Tcp::parse(header.first_chunk()?).header_length)),
            ip::UDP => (Protocol::Udp, Udp::LENGTH),
            _ => return None,
        };
        let end = if stated == 0 { frame.len() } else { l3 + stated };
        let payload = l4 + length;
        let sound =
            fragment == Fragment::Whole && (protocol == Protocol::Udp || length >= Tcp::LENGTH) && payload <= end && end <= frame.len();
        sound.then_some(Self { version, protocol, l3, l4, payload, end })
    }

    /// What a super-frame of such packets is.
    pub(crate) const fn kind(&self) -> SegmentKind {
        match (self.protocol, self.version) {
            (Protocol::Tcp, Version::V4) => SegmentKind::Tcp4,
            (Protocol::Tcp, Version::V6) => SegmentKind::Tcp6,
            (Protocol::Udp, _) => SegmentKind::Udp,
        }
    }

    /// Whether there is nothing between the fixed IP header and the transport's: no options, no extension headers.
    pub(crate) const fn is_plain(&self) -> bool {
        self.l4 - self.l3
            == match self.version {
                Version::V4 => Ipv4::LENGTH,
                Version::V6 => Ipv6::LENGTH,
            }
    }

    /// Where the addresses stand.
    const fn addresses(&self) -> Range<usize> {
        match self.version {
            Version::V4 => self.l3 + 12..self.l3 + 20,
            Version::V6 => self.l3 + 8..self.l3 + 40,
        }
    }

    /// The sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) but for its length.
    pub(crate) fn pseudo(&self, frame: &[u8]) -> u32 {
        let protocol = match self.protocol {
            Protocol::Tcp => ip::TCP,
            Protocol::Udp => ip::UDP,
        };
        sum(bytes(frame, self.addresses())) + u32::from(protocol)
    }

    /// The sum of the pseudo-header as a sender leaves it in the checksum's field for its hardware, for a length in bytes from `l4` on.
    pub(crate) fn partial(&self, frame: &[u8], len: usize) -> u16 {
        fold(self.pseudo(frame) + length(len))
    }

    /// The field of the checksum.
    pub(crate) fn checksum(&self, frame: &[u8]) -> u16 {
        word(frame, self.l4 + self.protocol.checksum_at())
    }

    /// Whether the field of the checksum holds the sum of the pseudo-header alone: the rest is left to hardware that does not exist on a
    /// virtual link.
    ///
    /// Of correct checksums one in 65,536 looks the same. Computing such a one again gives the very same value, so nothing is lost by
    /// taking it for a partial one: if P is the pseudo-header's sum and R that of the rest, P + R + P = -0, and -(P + R) = P.
    pub(crate) fn is_partial(&self, frame: &[u8]) -> bool {
        self.checksum(frame) == self.partial(frame, self.end - self.l4)
    }

    /// Whether the transport's checksum holds. Whether there is one (UDP) is the caller's to ask.
    pub(crate) fn holds(&self, frame: &[u8]) -> bool {
        let partial = u32::from(self.partial(frame, self.end - self.l4));
        fold(partial + sum(bytes(frame, self.l4..self.end))) == 0xffff
    }

    /// Whether the IP header's checksum holds; IPv6 has none.
    pub(crate) fn network_holds(&self, frame: &[u8]) -> bool {
        self.version == Version::V6 || internet(bytes(frame, self.l3..self.extension())) == 0
    }

    /// Where the IPv4 header ends, options included, or the fixed IPv6 header does.
    const fn extension(&self) -> usize {
        match self.version {
            Version::V4 => self.l4,
            Version::V6 => self.l3 + Ipv6::LENGTH,
        }
    }

    /// The sum of the words of the IPv4 header that are alike in all packets of a super-frame: all but length, identification and
    /// checksum.
    pub(crate) fn network_base(&self, frame: &[u8]) -> u32 {
        let at = |from: usize, to: usize| sum(bytes(frame, self.l3 + from..self.l3 + to));
        at(0, 2) + at(6, 10) + sum(bytes(frame, self.l3 + 12..self.extension()))
    }

    /// Writes the IP length of a packet that ends at `end`, and with `base` ([`network_base`](Self::network_base)) and `id` the IPv4
    /// header's other fields.
    #[inline]
    pub(crate) fn write_network(&self, header: &mut [u8], base: u32, id: u16, end: usize) {
        match self.version {
            Version::V4 => {
                let total = (end - self.l3) as u16;
                put(header, self.l3 + 2, total);
                put(header, self.l3 + 4, id);
                put(header, self.l3 + 10, !fold(base + u32::from(total) + u32::from(id)));
            }
            Version::V6 => put(header, self.l3 + 4, (end - self.l3 - Ipv6::LENGTH) as u16),
        }
    }

    /// The most bytes that this header's IP length can say, from `l3` on.
    pub(crate) const fn longest(&self) -> usize {
        match self.version {
            Version::V4 => u16::MAX as usize,
            Version::V6 => u16::MAX as usize + Ipv6::LENGTH,
        }
    }

    /// The identification of an IPv4 packet.
    pub(crate) fn id(&self, frame: &[u8]) -> u16 {
        word(frame, self.l3 + 4)
    }
}

/// The sum of bytes that begin at an even place.
#[inline]
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum.folded().into()
}

/// The sum of the two words of a length.
#[inline]
pub(crate) const fn length(len: usize) -> u32 {
    (len >> 16) as u32 + (len & 0xffff) as u32
}

/// Adds the carries back (RFC 1071 2 (C)).
#[inline]
pub(crate) const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The bytes of a range; none where it is not within the frame.
#[inline]
pub(crate) fn bytes(frame: &[u8], range: Range<usize>) -> &[u8] {
    frame.get(range).unwrap_or_default()
}

/// The word at a place; 0 beyond the end.
#[inline]
pub(crate) fn word(frame: &[u8], at: usize) -> u16 {
    frame.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u16::from_be_bytes(*word))
}

/// Four bytes at a place; 0 beyond the end.
#[inline]
pub(crate) fn double(frame: &[u8], at: usize) -> u32 {
    frame.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_be_bytes(*word))
}

/// Writes a word; nothing beyond the end.
#[inline]
pub(crate) fn put(header: &mut [u8], at: usize, value: u16) {
    if let Some(field) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = value.to_be_bytes();
    }
}
