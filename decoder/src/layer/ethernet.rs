//! Which two stations does a frame go between? Ethernet II and 802.3 (IEEE 802.3 3.1.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       Destination MAC ...                     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      ... Destination MAC      |         Source MAC ...        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                         ... Source MAC                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      EtherType or length      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View, number};
use crate::addr::Mac;
use crate::fields::{Fields, key};
use crate::text::Text;

/// From this value on, the type field is an EtherType; below, it is a length (IEEE 802.3 3.2.6; 1501 to 1535 are undefined).
pub(crate) const FIRST_ETHERTYPE: u16 = 0x0600;

/// An Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ethernet {
    /// Destination station.
    pub dst: Mac,
    /// Source station.
    pub src: Mac,
    /// EtherType, or the length of an 802.3 frame when below 0x0600.
    pub ethertype: u16,
}

impl Ethernet {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 14;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            dst: Mac([b[0], b[1], b[2], b[3], b[4], b[5]]),
            src: Mac([b[6], b[7], b[8], b[9], b[10], b[11]]),
            ethertype: u16::from_be_bytes([b[12], b[13]]),
        }
    }

    /// Writes the header.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let (d, s, [high, low]) = (self.dst.0, self.src.0, self.ethertype.to_be_bytes());
        [d[0], d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5], high, low]
    }

    /// Whether the type field is the length of an 802.3 frame.
    #[must_use]
    pub const fn is_802_3(&self) -> bool {
        self.ethertype < FIRST_ETHERTYPE
    }
}

impl Header for Ethernet {
    #[inline(always)]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.mac(key!("src"), self.src);
        out.mac(key!("dst"), self.dst);
        if self.is_802_3() {
            out.num(key!("payload_length"), self.ethertype.into());
        } else {
            out.hex_named(key!("ethertype"), self.ethertype.into(), 4, number::ethertype::name(self.ethertype));
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.mac(self.src);
        out.text(" > ");
        out.mac(self.dst);
        if self.is_802_3() {
            out.text(" 802.3 length ");
            out.num(self.ethertype.into());
        } else {
            out.byte(b' ');
            ethertype(self.ethertype, out);
        }
    }
}

/// Writes an EtherType: its name, or the number where it has none.
pub(crate) fn ethertype(ethertype: u16, out: &mut Text) {
    match number::ethertype::name(ethertype) {
        Some(name) => out.text(name),
        None => {
            out.text("ethertype ");
            out.hex(ethertype.into(), 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(dst: [u8; 6], src: [u8; 6], ethertype: u16) {
            let header = Ethernet { dst: Mac(dst), src: Mac(src), ethertype };
            prop_assert_eq!(Ethernet::parse(&header.emit()), header);
        }
    }
}
