//! Which two programs does a datagram go between? UDP (RFC 768).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Source port          |        Destination port       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |             Length            |            Checksum           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View};
use crate::fields::{Fields, key};
use crate::pen::Pen;
use crate::text::Text;

/// A UDP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Udp {
    /// Sending port.
    pub src_port: u16,
    /// Receiving port.
    pub dst_port: u16,
    /// Bytes of header and payload, at least 8; 0 in a jumbogram (RFC 2675 4) and in a GSO frame beyond 64 KiB.
    pub length: u16,
    /// Checksum over pseudo-header, header and payload; 0 is none.
    pub checksum: u16,
}

impl Udp {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 8;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            src_port: u16::from_be_bytes([b[0], b[1]]),
            dst_port: u16::from_be_bytes([b[2], b[3]]),
            length: u16::from_be_bytes([b[4], b[5]]),
            checksum: u16::from_be_bytes([b[6], b[7]]),
        }
    }

    /// Writes the header, with the checksum as it stands in the struct.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b], [c, d]) = (self.src_port.to_be_bytes(), self.dst_port.to_be_bytes());
        let ([e, f], [g, h]) = (self.length.to_be_bytes(), self.checksum.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// Writes the [`summary`](Header::summary); `len` is that of the payload.
    #[inline(always)]
    pub(crate) fn write_summary(&self, len: u32, out: &mut impl Pen) {
        out.text("len ");
        out.num(len.into());
    }
}

impl Header for Udp {
    #[inline(always)]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.num(key!("src_port"), self.src_port.into());
        out.num(key!("dst_port"), self.dst_port.into());
        // As in IPv4; `length` is the layer's own.
        out.num(key!("total_length"), self.length.into());
        out.hex(key!("checksum"), self.checksum.into(), 4);
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        self.write_summary(view.claimed, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, summary};
    use proptest::prelude::*;

    #[test]
    fn the_fields_have_names_of_their_own() {
        let header = Udp { src_port: 51000, dst_port: 4789, length: 108, checksum: 0 };
        let view = View { header: &header.emit(), payload: &[], claimed: 100 };
        assert_eq!(fields(&header, view, Extent::Short), "src_port=51000 dst_port=4789 total_length=108 checksum=0x0000");
        assert_eq!(summary(&header, view), "len 100");
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(src_port: u16, dst_port: u16, length: u16, checksum: u16) {
            let header = Udp { src_port, dst_port, length, checksum };
            prop_assert_eq!(Udp::parse(&header.emit()), header);
        }
    }
}
