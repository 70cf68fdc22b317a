//! Which security association encrypted a packet? ESP (RFC 4303 2). Everything behind these 8 bytes is cipher text.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Security Parameters Index (SPI)                 |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Sequence number                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;

/// The clear part of an ESP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Esp {
    /// Names the security association at the receiver.
    pub spi: u32,
    /// Counts the packets of the association (its lower 32 bits).
    pub sequence: u32,
}

impl Esp {
    /// Length of the clear part in bytes.
    pub const LENGTH: usize = 8;

    /// Reads the clear part.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self { spi: u32::from_be_bytes([b[0], b[1], b[2], b[3]]), sequence: u32::from_be_bytes([b[4], b[5], b[6], b[7]]) }
    }

    /// Writes the clear part.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b, c, d], [e, f, g, h]) = (self.spi.to_be_bytes(), self.sequence.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

impl Header for Esp {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.hex(key!("spi"), self.spi.into(), 8);
        out.num(key!("sequence"), self.sequence.into());
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        out.text("spi ");
        out.hex(self.spi.into(), 8);
        out.text(" seq ");
        out.num(self.sequence.into());
        out.text(" len ");
        out.num(view.claimed.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(spi: u32, sequence: u32) {
            let header = Esp { spi, sequence };
            prop_assert_eq!(Esp::parse(&header.emit()), header);
        }
    }
}
