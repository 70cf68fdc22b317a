//! Which virtual network does a frame belong to? VXLAN (RFC 7348 5) with Group Policy (draft-smith-vxlan-group-policy 2.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        Group Policy ID        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           VXLAN Network Identifier (VNI)      |    Reserved   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! G, D, A and the group are reserved in RFC 7348. A header without the I bit carries no VNI; the frame behind it is decoded
//! all the same.

use super::{Header, View};
use crate::addr::Vni;
use crate::fields::{Fields, key};
use crate::pen::Pen;
use crate::text::Text;

/// A VXLAN header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vxlan {
    /// The first byte: [`Vxlan::FLAG_VNI`], [`Vxlan::FLAG_GROUP`] and reserved bits.
    pub flags: u8,
    /// The second byte: D (0x40) and A (0x08) of Group Policy, else reserved.
    pub policy_flags: u8,
    /// The Group Policy ID, else reserved.
    pub group: u16,
    /// The 24 bits of the identifier, valid when the I bit is set.
    pub id: Vni,
    /// The last byte, reserved.
    pub reserved: u8,
    /// Not known by its port, but because every check of the strict guess held.
    pub guessed: bool,
}

impl Vxlan {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 8;
    /// I: the VNI is valid.
    pub const FLAG_VNI: u8 = 0x08;
    /// G: the Group Policy fields are valid.
    pub const FLAG_GROUP: u8 = 0x80;
    /// D: the receiver must not learn the source address.
    pub const POLICY_DONT_LEARN: u8 = 0x40;
    /// A: the policy was applied already.
    pub const POLICY_APPLIED: u8 = 0x08;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            flags: b[0],
            policy_flags: b[1],
            group: u16::from_be_bytes([b[2], b[3]]),
            id: Vni::from_be_bytes([b[4], b[5], b[6]]),
            reserved: b[7],
            guessed: false,
        }
    }

    /// Writes the header.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([group_high, group_low], [a, b, c]) = (self.group.to_be_bytes(), self.id.to_be_bytes());
        [self.flags, self.policy_flags, group_high, group_low, a, b, c, self.reserved]
    }

    /// The VNI, where the I bit says that there is one.
    #[must_use]
    pub const fn vni(&self) -> Option<Vni> {
        if self.flags & Self::FLAG_VNI != 0 { Some(self.id) } else { None }
    }

    /// Whether the Group Policy fields are valid.
    #[must_use]
    pub const fn has_group(&self) -> bool {
        self.flags & Self::FLAG_GROUP != 0
    }

    /// Whether a bit is set that RFC 7348 reserves and Group Policy does not explain.
    #[must_use]
    pub const fn reserved_bits_set(&self) -> bool {
        let known = if self.has_group() { Self::FLAG_VNI | Self::FLAG_GROUP } else { Self::FLAG_VNI };
        let policy = if self.has_group() { Self::POLICY_DONT_LEARN | Self::POLICY_APPLIED } else { 0 };
        self.flags & !known != 0 || self.policy_flags & !policy != 0 || (!self.has_group() && self.group != 0) || self.reserved != 0
    }

    /// Writes the [`summary`](Header::summary).
    #[inline(always)]
    pub(crate) fn write_summary(&self, out: &mut impl Pen) {
        match self.vni() {
            Some(vni) => out.num(vni.get().into()),
            None => out.text("without vni"),
        }
        if self.has_group() {
            out.text(" group ");
            out.num(self.group.into());
        }
        if self.reserved_bits_set() {
            out.text(" (reserved bits set)");
        }
        if self.guessed {
            out.text(" (guessed)");
        }
    }
}

impl Header for Vxlan {
    #[inline(always)]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        if let Some(vni) = self.vni() {
            out.num(key!("vni"), vni.get().into());
        }
        out.hex(key!("flags"), self.flags.into(), 2);
        if self.has_group() {
            out.num(key!("group"), self.group.into());
            out.flag(key!("dont_learn"), self.policy_flags & Self::POLICY_DONT_LEARN != 0);
            out.flag(key!("policy_applied"), self.policy_flags & Self::POLICY_APPLIED != 0);
        }
        if self.reserved_bits_set() {
            out.flag(key!("reserved_bits_set"), true);
        }
        if self.guessed {
            out.flag(key!("guessed"), true);
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        self.write_summary(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reserved_bits_are_told_from_group_policy() {
        let plain = Vxlan::parse(&[0x08, 0, 0, 0, 0, 0, 77, 0]);
        assert_eq!((plain.vni(), plain.reserved_bits_set()), (Vni::new(77), false));
        let policy = Vxlan::parse(&[0x88, 0x48, 0, 5, 0, 0, 77, 0]);
        assert!(policy.has_group() && !policy.reserved_bits_set());
        assert!(Vxlan::parse(&[0x08, 0, 0, 5, 0, 0, 77, 0]).reserved_bits_set());
        assert_eq!(Vxlan::parse(&[0, 0, 0, 0, 0, 0, 77, 0]).vni(), None);
    }

    #[test]
    fn a_summary_says_what_is_odd() {
        let told = |bytes: [u8; 8]| {
            let mut text = Text::new();
            Vxlan::parse(&bytes).summary(View { header: &bytes, payload: &[], claimed: 0 }, &mut text);
            String::from_utf8(text.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(told([0x08, 0, 0, 0, 0, 0, 77, 0]), "77");
        assert_eq!(told([0x88, 0x08, 0, 5, 0, 0, 77, 0]), "77 group 5");
        assert_eq!(told([0x08, 0, 0, 0, 0, 0, 77, 1]), "77 (reserved bits set)");
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 8]) {
            prop_assert_eq!(Vxlan::parse(&bytes).emit(), bytes);
        }
    }
}
