//! Which path does a packet take? One entry of an MPLS label stack (RFC 3032 2.1, RFC 5462).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                Label                  | TC  |S|      TTL      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;

/// One label stack entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mpls {
    /// The label, 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub traffic_class: u8,
    /// S: this is the last entry of the stack.
    pub bottom: bool,
    /// Time to live in hops.
    pub ttl: u8,
}

impl Mpls {
    /// Length of one entry in bytes.
    pub const LENGTH: usize = 4;

    /// Reads one entry.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        let word = u32::from_be_bytes(*b);
        Self { label: word >> 12, traffic_class: (word >> 9 & 7) as u8, bottom: word & 0x100 != 0, ttl: b[3] }
    }

    /// Writes one entry; of the label and the class, only 20 and 3 bits count.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        (self.label << 12 | (self.traffic_class as u32 & 7) << 9 | (self.bottom as u32) << 8 | self.ttl as u32).to_be_bytes()
    }

    /// The meaning of a label of the reserved range (registry of IANA, RFC 7274).
    #[must_use]
    pub const fn label_name(label: u32) -> Option<&'static str> {
        Some(match label {
            0 => "ipv4-explicit-null",
            1 => "router-alert",
            2 => "ipv6-explicit-null",
            3 => "implicit-null",
            7 => "entropy-indicator",
            13 => "gal",
            14 => "oam-alert",
            15 => "extension",
            _ => return None,
        })
    }
}

impl Header for Mpls {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.named(key!("label"), self.label.into(), Self::label_name(self.label));
        out.num(key!("traffic_class"), self.traffic_class.into());
        out.flag(key!("bottom"), self.bottom);
        out.num(key!("ttl"), self.ttl.into());
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.num(self.label.into());
        if let Some(name) = Self::label_name(self.label) {
            out.text(" (");
            out.text(name);
            out.byte(b')');
        }
        if self.traffic_class != 0 {
            out.text(" class ");
            out.octet(self.traffic_class);
        }
        out.text(" ttl ");
        out.octet(self.ttl);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bits_of_an_entry_are_where_the_rfc_draws_them() {
        let entry = Mpls::parse(&[0x00, 0x01, 0xdb, 0xff]);
        assert_eq!(entry, Mpls { label: 29, traffic_class: 5, bottom: true, ttl: 255 });
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 4]) {
            prop_assert_eq!(Mpls::parse(&bytes).emit(), bytes);
        }
    }
}
