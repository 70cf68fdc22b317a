//! Which virtual network, and what kind of packet is in it? VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe-13 3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |R|R|Ver|I|P|B|O|       Reserved                | Next Protocol |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           VXLAN Network Identifier (VNI)      |    Reserved   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Without the P bit the header is one of plain VXLAN: Ethernet follows.

use super::{Header, View};
use crate::addr::Vni;
use crate::fields::{Fields, key};
use crate::text::Text;

/// A VXLAN-GPE header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VxlanGpe {
    /// The first byte: [`VxlanGpe::FLAG_VNI`] and its siblings, the version, reserved bits.
    pub flags: u8,
    /// The second and third byte, reserved.
    pub reserved: u16,
    /// What follows, valid when the P bit is set; see [`VxlanGpe::protocol`].
    pub next_protocol: u8,
    /// The 24 bits of the identifier, valid when the I bit is set.
    pub id: Vni,
    /// The last byte, reserved.
    pub reserved2: u8,
    /// Not known by its port, but because every check of the strict guess held.
    pub guessed: bool,
}

impl VxlanGpe {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 8;
    /// I: the VNI is valid.
    pub const FLAG_VNI: u8 = 0x08;
    /// P: the next protocol is valid.
    pub const FLAG_PROTOCOL: u8 = 0x04;
    /// B: broadcast, unknown unicast or multicast, replicated at the ingress.
    pub const FLAG_BUM: u8 = 0x02;
    /// O: an OAM packet.
    pub const FLAG_OAM: u8 = 0x01;
    /// Next protocol: IPv4.
    pub const IPV4: u8 = 1;
    /// Next protocol: IPv6.
    pub const IPV6: u8 = 2;
    /// Next protocol: Ethernet.
    pub const ETHERNET: u8 = 3;
    /// Next protocol: Network Service Header.
    pub const NSH: u8 = 4;
    /// Next protocol: MPLS (drafts up to 04, Linux).
    pub const MPLS: u8 = 5;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            flags: b[0],
            reserved: u16::from_be_bytes([b[1], b[2]]),
            next_protocol: b[3],
            id: Vni::from_be_bytes([b[4], b[5], b[6]]),
            reserved2: b[7],
            guessed: false,
        }
    }

    /// Writes the header.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([high, low], [a, b, c]) = (self.reserved.to_be_bytes(), self.id.to_be_bytes());
        [self.flags, high, low, self.next_protocol, a, b, c, self.reserved2]
    }

    /// The VNI, where the I bit says that there is one.
    #[must_use]
    pub const fn vni(&self) -> Option<Vni> {
        if self.flags & Self::FLAG_VNI != 0 { Some(self.id) } else { None }
    }

    /// P: whether the next protocol is valid.
    #[must_use]
    pub const fn has_next_protocol(&self) -> bool {
        self.flags & Self::FLAG_PROTOCOL != 0
    }

    /// What follows: the next protocol where the P bit says that there is one, else Ethernet.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        if self.has_next_protocol() { self.next_protocol } else { Self::ETHERNET }
    }

    /// The version, 0 to 3; 0 is the only one there is.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.flags >> 4 & 3
    }

    /// The name of a next protocol, where there is one.
    #[must_use]
    pub const fn protocol_name(protocol: u8) -> Option<&'static str> {
        Some(match protocol {
            Self::IPV4 => "ipv4",
            Self::IPV6 => "ipv6",
            Self::ETHERNET => "ethernet",
            Self::NSH => "nsh",
            Self::MPLS => "mpls",
            _ => return None,
        })
    }

    /// Whether a bit is set that the draft reserves.
    #[must_use]
    pub const fn reserved_bits_set(&self) -> bool {
        let protocol = !self.has_next_protocol() && self.next_protocol != 0;
        self.flags & 0xc0 != 0 || self.reserved != 0 || self.reserved2 != 0 || protocol
    }
}

impl Header for VxlanGpe {
    #[inline]
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        if let Some(vni) = self.vni() {
            out.num(key!("vni"), vni.get().into());
        }
        out.hex(key!("flags"), self.flags.into(), 2);
        if self.version() != 0 {
            out.num(key!("version"), self.version().into());
        }
        if self.has_next_protocol() {
            out.named(key!("next_protocol"), self.next_protocol.into(), Self::protocol_name(self.next_protocol));
        }
        if self.flags & Self::FLAG_BUM != 0 {
            out.flag(key!("bum"), true);
        }
        if self.flags & Self::FLAG_OAM != 0 {
            out.flag(key!("oam"), true);
        }
        if self.reserved_bits_set() {
            out.flag(key!("reserved_bits_set"), true);
        }
        if self.guessed {
            out.flag(key!("guessed"), true);
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        match self.vni() {
            Some(vni) => out.num(vni.get().into()),
            None => out.text("without vni"),
        }
        if self.version() != 0 {
            out.text(" version ");
            out.octet(self.version());
        }
        if Self::protocol_name(self.protocol()).is_none() {
            out.text(" next protocol ");
            out.octet(self.protocol());
        }
        if self.flags & Self::FLAG_OAM != 0 {
            out.text(" oam");
        }
        if self.reserved_bits_set() {
            out.text(" (reserved bits set)");
        }
        if self.guessed {
            out.text(" (guessed)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_p_bit_decides_what_follows() {
        let nsh = VxlanGpe::parse(&[0x0c, 0, 0, 4, 0, 0, 123, 0]);
        assert_eq!((nsh.vni(), nsh.protocol(), nsh.reserved_bits_set()), (Vni::new(123), VxlanGpe::NSH, false));
        let plain = VxlanGpe::parse(&[0x08, 0, 0, 4, 0, 0, 123, 0]);
        assert_eq!((plain.protocol(), plain.reserved_bits_set()), (VxlanGpe::ETHERNET, true));
        assert_eq!(VxlanGpe::parse(&[0x14, 0, 0, 1, 0, 0, 1, 0]).version(), 1);
        assert_eq!(VxlanGpe::parse(&[0x04, 0, 0, 1, 0, 0, 1, 0]).vni(), None);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 8]) {
            prop_assert_eq!(VxlanGpe::parse(&bytes).emit(), bytes);
        }
    }
}
