//! Which VLAN does a frame belong to? One tag of IEEE 802.1Q 9.6, customer (0x8100) or provider (0x88a8).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | PCP |D|        VLAN ID        |      EtherType or length      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! The type that announces a tag (TPID) stands in the header before it, so that the four bytes here begin behind it.

use super::ethernet::FIRST_ETHERTYPE;
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// A VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vlan {
    /// PCP: the priority, 0 to 7.
    pub priority: u8,
    /// DEI: to be dropped first (CFI in the editions before 2011).
    pub drop_eligible: bool,
    /// VLAN ID, 0 (priority only) to 4095.
    pub id: u16,
    /// EtherType of what follows, or the length of an 802.3 frame when below 0x0600.
    pub ethertype: u16,
    /// The EtherType that announced this tag; the walk fills it in.
    pub tpid: u16,
}

impl Vlan {
    /// Length of the tag in bytes, without the type that announces it.
    pub const LENGTH: usize = 4;

    /// Reads the tag; `tpid` becomes 0x8100.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            priority: b[0] >> 5,
            drop_eligible: b[0] & 0x10 != 0,
            id: u16::from_be_bytes([b[0] & 0x0f, b[1]]),
            ethertype: u16::from_be_bytes([b[2], b[3]]),
            tpid: number::ethertype::VLAN,
        }
    }

    /// Writes the tag, without the type that announces it.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([high, low], [type_high, type_low]) = (self.id.to_be_bytes(), self.ethertype.to_be_bytes());
        [self.priority << 5 | (self.drop_eligible as u8) << 4 | (high & 0x0f), low, type_high, type_low]
    }

    /// Whether the type field is the length of an 802.3 frame.
    #[must_use]
    pub const fn is_802_3(&self) -> bool {
        self.ethertype < FIRST_ETHERTYPE
    }
}

impl Header for Vlan {
    #[inline]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.num(key!("id"), self.id.into());
        out.num(key!("priority"), self.priority.into());
        out.flag(key!("drop_eligible"), self.drop_eligible);
        out.hex_named(key!("tpid"), self.tpid.into(), 4, number::ethertype::name(self.tpid));
        if self.is_802_3() {
            out.num(key!("payload_length"), self.ethertype.into());
        } else {
            out.hex_named(key!("ethertype"), self.ethertype.into(), 4, number::ethertype::name(self.ethertype));
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.num(self.id.into());
        if self.priority != 0 {
            out.text(" priority ");
            out.num(self.priority.into());
        }
        if self.drop_eligible {
            out.text(" drop-eligible");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, summary, view};
    use proptest::prelude::*;

    #[test]
    fn a_tag_holds_priority_and_id_in_two_bytes() {
        let tag = Vlan::parse(&[0xb0, 0x64, 0x08, 0x00]);
        assert_eq!((tag.priority, tag.drop_eligible, tag.id, tag.ethertype), (5, true, 100, number::ethertype::IPV4));
        assert!(!tag.is_802_3());
        assert!(Vlan::parse(&[0, 1, 0x05, 0xdc]).is_802_3());
        assert_eq!(fields(&tag, view(&[], 0), Extent::Short), "id=100 priority=5 drop_eligible=true tpid=0x8100 ethertype=0x0800");
        assert_eq!(summary(&tag, view(&[], 0)), "100 priority 5 drop-eligible");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 4]) {
            prop_assert_eq!(Vlan::parse(&bytes).emit(), bytes);
        }
    }
}
