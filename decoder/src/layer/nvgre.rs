//! Which virtual subnet does a frame belong to? NVGRE (RFC 7637 3.2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |0| |1|0|   Reserved0     | Ver |   Protocol Type 0x6558        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Virtual Subnet ID (VSID)        |    FlowID     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! It is GRE with a key and nothing else, around Ethernet: [`Nvgre::FIRST_WORD`] tells them apart.

use super::{Header, View};
use crate::addr::Vni;
use crate::fields::{Fields, key};
use crate::text::Text;

/// An NVGRE header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nvgre {
    /// The virtual subnet.
    pub vsid: Vni,
    /// Entropy for ECMP; 0 when unused.
    pub flow_id: u8,
}

impl Nvgre {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 8;
    /// The first four bytes: GRE with a key only, version 0, around Ethernet.
    pub const FIRST_WORD: [u8; 4] = [0x20, 0, 0x65, 0x58];

    /// Reads the header behind its constant [`FIRST_WORD`](Self::FIRST_WORD).
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self { vsid: Vni::from_be_bytes([b[4], b[5], b[6]]), flow_id: b[7] }
    }

    /// Writes the header.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([p, q, r, s], [a, b, c]) = (Self::FIRST_WORD, self.vsid.to_be_bytes());
        [p, q, r, s, a, b, c, self.flow_id]
    }
}

impl Header for Nvgre {
    #[inline]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.num(key!("vsid"), self.vsid.get().into());
        out.num(key!("flow_id"), self.flow_id.into());
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.num(self.vsid.get().into());
        if self.flow_id != 0 {
            out.text(" flow ");
            out.octet(self.flow_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_is_gre_with_a_key_around_ethernet() {
        let header = Nvgre { vsid: Vni::new(1089).unwrap(), flow_id: 204 };
        assert_eq!(header.emit(), [0x20, 0, 0x65, 0x58, 0, 4, 65, 204]);
        let mut text = Text::new();
        header.summary(View { header: &[], payload: &[], claimed: 0 }, &mut text);
        assert_eq!(text.as_bytes(), b"1089 flow 204");
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(id in 0..=Vni::MAX.get(), flow_id: u8) {
            let header = Nvgre { vsid: Vni::new(id).unwrap(), flow_id };
            prop_assert_eq!(Nvgre::parse(&header.emit()), header);
        }
    }
}
