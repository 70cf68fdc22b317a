//! Which security association vouches for a packet? The authentication header (RFC 4302 2); what follows is in clear.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Next header  |Length / 4 - 2 |            Reserved           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Security Parameters Index (SPI)                 |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Sequence number                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |              Integrity check value (variable) ...             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// An authentication header without its integrity check value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ah {
    /// Protocol of what follows.
    pub next_header: u8,
    /// Length of the whole header in 4-byte words, minus 2.
    pub length_field: u8,
    /// Names the security association at the receiver.
    pub spi: u32,
    /// Counts the packets of the association (its lower 32 bits).
    pub sequence: u32,
}

impl Ah {
    /// Length of the fixed part in bytes.
    pub const LENGTH: usize = 12;

    /// Reads the fixed part; the reserved bytes are not kept.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            next_header: b[0],
            length_field: b[1],
            spi: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            sequence: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        }
    }

    /// Writes the fixed part.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b, c, d], [e, f, g, h]) = (self.spi.to_be_bytes(), self.sequence.to_be_bytes());
        [self.next_header, self.length_field, 0, 0, a, b, c, d, e, f, g, h]
    }

    /// Length of the whole header in bytes; below [`Ah::LENGTH`] (8) where the field is malformed.
    #[must_use]
    pub const fn length(&self) -> usize {
        (self.length_field as usize + 2) * 4
    }
}

impl Header for Ah {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.named(key!("next_header"), self.next_header.into(), number::ip::name(self.next_header));
        out.hex(key!("spi"), self.spi.into(), 8);
        out.num(key!("sequence"), self.sequence.into());
        if out.wants_details() {
            out.bytes(key!("icv"), view.header.get(Self::LENGTH..).unwrap_or_default());
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.text("spi ");
        out.hex(self.spi.into(), 8);
        out.text(" seq ");
        out.num(self.sequence.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_length_field_counts_words_but_two() {
        let header = Ah::parse(&[number::ip::TCP, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7]);
        assert_eq!((header.length(), header.spi, header.sequence), (24, 256, 7));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(next_header: u8, length_field: u8, spi: u32, sequence: u32) {
            let header = Ah { next_header, length_field, spi, sequence };
            prop_assert_eq!(Ah::parse(&header.emit()), header);
        }
    }
}
