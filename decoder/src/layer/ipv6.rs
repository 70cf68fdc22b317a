//! Which two hosts does a packet go between? IPv6 (RFC 8200 3; DSCP and ECN: RFC 2474, RFC 3168).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Traffic class |               Flow label              |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Payload length        |  Next header  |   Hop limit   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                 Source address (16 bytes)                     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Destination address (16 bytes)                  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv6Addr;

/// An IPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6 {
    /// DSCP (upper six bits) and ECN (lower two).
    pub traffic_class: u8,
    /// Label of the flow, 20 bits.
    pub flow_label: u32,
    /// Bytes behind this header; 0 with a jumbo option (RFC 2675) and in a GSO frame beyond 64 KiB.
    pub payload_length: u16,
    /// Protocol of the first header behind this one.
    pub next_header: u8,
    /// Hops that are left.
    pub hop_limit: u8,
    /// Sending host.
    pub src: Ipv6Addr,
    /// Receiving host.
    pub dst: Ipv6Addr,
    /// Protocol behind the extension headers; the walk fills it in.
    pub upper_protocol: u8,
}

impl Ipv6 {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 40;

    /// Reads the header; `upper_protocol` becomes the next header. The version is the caller's to check.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        const fn address(b: &[u8; Ipv6::LENGTH], at: usize) -> Ipv6Addr {
            let mut octets = [0; 16];
            let mut i = 0;
            while i < 16 {
                octets[i] = b[at + i];
                i += 1;
            }
            Ipv6Addr::from_bits(u128::from_be_bytes(octets))
        }
        Self {
            traffic_class: b[0] << 4 | b[1] >> 4,
            flow_label: u32::from_be_bytes([0, b[1] & 0x0f, b[2], b[3]]),
            payload_length: u16::from_be_bytes([b[4], b[5]]),
            next_header: b[6],
            hop_limit: b[7],
            src: address(b, 8),
            dst: address(b, 24),
            upper_protocol: b[6],
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LENGTH] {
        let mut b = [0; Self::LENGTH];
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0x000f_ffff;
        b[..4].copy_from_slice(&first.to_be_bytes());
        b[4..6].copy_from_slice(&self.payload_length.to_be_bytes());
        b[6] = self.next_header;
        b[7] = self.hop_limit;
        b[8..24].copy_from_slice(&self.src.octets());
        b[24..].copy_from_slice(&self.dst.octets());
        b
    }

    /// Differentiated services code point, 0 to 63.
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.traffic_class >> 2
    }

    /// Explicit congestion notification: 0 not capable, 1 and 2 capable, 3 congestion experienced.
    #[must_use]
    pub const fn ecn(&self) -> u8 {
        self.traffic_class & 3
    }
}

impl Header for Ipv6 {
    #[inline(always)]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.ipv6(key!("src"), self.src);
        out.ipv6(key!("dst"), self.dst);
        out.named(key!("next_header"), self.next_header.into(), number::ip::name(self.next_header));
        out.named(key!("upper_protocol"), self.upper_protocol.into(), number::ip::name(self.upper_protocol));
        out.num(key!("hop_limit"), self.hop_limit.into());
        out.num(key!("payload_length"), self.payload_length.into());
        out.num(key!("dscp"), self.dscp().into());
        out.num(key!("ecn"), self.ecn().into());
        out.hex(key!("flow_label"), self.flow_label.into(), 5);
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        if self.flow_label != 0 {
            out.text("flow ");
            out.hex(self.flow_label.into(), 5);
            out.byte(b' ');
        }
        out.text("hop-limit ");
        out.num(self.hop_limit.into());
        out.text(" len ");
        out.num(self.payload_length.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_word_holds_three_fields_that_share_bytes() {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&[0x6b, 0x91, 0x23, 0x45, 0, 20, 6, 64]);
        let header = Ipv6::parse(&bytes);
        assert_eq!((header.traffic_class, header.dscp(), header.ecn(), header.flow_label), (0xb9, 46, 1, 0x12345));
        assert_eq!((header.next_header, header.upper_protocol, header.hop_limit), (6, 6, 64));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(mut bytes in proptest::array::uniform::<_, 40>(any::<u8>())) {
            bytes[0] = 0x60 | bytes[0] & 0x0f;
            prop_assert_eq!(Ipv6::parse(&bytes).emit(), bytes);
        }
    }
}
