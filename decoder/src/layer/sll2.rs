//! What did the `any` device of Linux see, and on which interface? Cooked capture, version 2 (`LINKTYPE_LINUX_SLL2`).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |            Protocol           |            Reserved           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Interface index                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Hardware type (ARPHRD_)     |  Packet type  |Address length |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                 Address of the sender (8 bytes)               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::sll;
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// A cooked header of version 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sll2 {
    /// EtherType, or a `LINUX_SLL_P_` number for frames without one.
    pub protocol: u16,
    /// Two bytes that must be zero.
    pub reserved: u16,
    /// Index of the interface on the capturing host.
    pub interface_index: u32,
    /// `ARPHRD_` number of the device; 1 is Ethernet.
    pub hardware: u16,
    /// For whom the packet was: 0 this host, 1 broadcast, 2 multicast, 3 another host, 4 sent by this host.
    pub packet_type: u8,
    /// How many bytes of the address count; more than 8 were cut.
    pub address_length: u8,
    /// Link-layer address of the sender.
    pub address: [u8; 8],
}

impl Sll2 {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 20;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            protocol: u16::from_be_bytes([b[0], b[1]]),
            reserved: u16::from_be_bytes([b[2], b[3]]),
            interface_index: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            hardware: u16::from_be_bytes([b[8], b[9]]),
            packet_type: b[10],
            address_length: b[11],
            address: [b[12], b[13], b[14], b[15], b[16], b[17], b[18], b[19]],
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LENGTH] {
        let mut b = [0; Self::LENGTH];
        b[..2].copy_from_slice(&self.protocol.to_be_bytes());
        b[2..4].copy_from_slice(&self.reserved.to_be_bytes());
        b[4..8].copy_from_slice(&self.interface_index.to_be_bytes());
        b[8..10].copy_from_slice(&self.hardware.to_be_bytes());
        b[10] = self.packet_type;
        b[11] = self.address_length;
        b[12..].copy_from_slice(&self.address);
        b
    }
}

impl Header for Sll2 {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.hex_named(key!("protocol"), self.protocol.into(), 4, number::ethertype::name(self.protocol));
        out.num(key!("interface_index"), self.interface_index.into());
        out.num(key!("hardware"), self.hardware.into());
        out.named(key!("packet_type"), self.packet_type.into(), sll::packet_type_name(self.packet_type.into()));
        sll::address(self.address_length.into(), &self.address, out);
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        sll::summary(self.packet_type.into(), self.address_length.into(), &self.address, out);
        out.text(" if ");
        out.num(self.interface_index.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, summary, view};
    use proptest::prelude::*;

    #[test]
    fn a_packet_names_its_interface_and_its_sender() {
        let bytes = [0x08, 0, 0, 0, 0, 0, 0, 7, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        let header = Sll2::parse(&bytes);
        assert_eq!(
            fields(&header, view(&bytes, 20), Extent::Short),
            "protocol=0x0800 interface_index=7 hardware=1 packet_type=4 src=02:00:00:00:00:01"
        );
        assert_eq!(summary(&header, view(&bytes, 20)), "outgoing from 02:00:00:00:00:01 if 7");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 20]) {
            prop_assert_eq!(Sll2::parse(&bytes).emit(), bytes);
        }
    }
}
