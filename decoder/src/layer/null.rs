//! Which protocol does a packet of a loopback device have? `LINKTYPE_NULL` and `LINKTYPE_LOOP` of the tcpdump group.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |       Address family, in the byte order of the capturer       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Nothing says which order that was. Families are small numbers, so the order in which the number is below 65536 is it.

use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// A loopback header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Null {
    /// `AF_` number of the capturing system: 2 is IPv4 everywhere; IPv6 is 10, 24, 28 or 30.
    pub family: u32,
    /// Whether the number stands most significant byte first.
    pub big_endian: bool,
}

impl Null {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 4;

    /// Reads the header in the byte order that gives a small number; little-endian when neither does.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        let (little, big) = (u32::from_le_bytes(*b), u32::from_be_bytes(*b));
        if little > u16::MAX as u32 && big <= u16::MAX as u32 {
            Self { family: big, big_endian: true }
        } else {
            Self { family: little, big_endian: false }
        }
    }

    /// Writes the header.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        if self.big_endian { self.family.to_be_bytes() } else { self.family.to_le_bytes() }
    }

    /// The EtherType of what follows, where the family is one of IP (Linux 10, NetBSD and OpenBSD 24, FreeBSD 28, macOS 30).
    #[must_use]
    pub const fn ethertype(&self) -> Option<u16> {
        match self.family {
            2 => Some(number::ethertype::IPV4),
            10 | 24 | 28 | 30 => Some(number::ethertype::IPV6),
            _ => None,
        }
    }

    const fn family_name(&self) -> Option<&'static str> {
        match self.ethertype() {
            Some(ethertype) => number::ethertype::name(ethertype),
            None => None,
        }
    }
}

impl Header for Null {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.named(key!("family"), self.family.into(), self.family_name());
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        match self.family_name() {
            Some(name) => out.text(name),
            None => {
                out.text("family ");
                out.num(self.family.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_family_is_read_in_either_byte_order() {
        assert_eq!(Null::parse(&[2, 0, 0, 0]), Null { family: 2, big_endian: false });
        assert_eq!(Null::parse(&[0, 0, 0, 2]), Null { family: 2, big_endian: true });
        assert_eq!(Null::parse(&[0, 0, 0, 30]).ethertype(), Some(number::ethertype::IPV6));
        assert_eq!(Null::parse(&[99, 0, 0, 0]).ethertype(), None);
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 4]) {
            prop_assert_eq!(Null::parse(&bytes).emit(), bytes);
        }
    }
}
