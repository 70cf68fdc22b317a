//! What did the `any` device of Linux see? Cooked capture, version 1 (`LINKTYPE_LINUX_SLL` of the tcpdump group).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Packet type          |   Hardware type (ARPHRD_)     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Address length        |    Address of the sender ...  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               ... Address of the sender (8 bytes)             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  ... Address of the sender    |           Protocol            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::{Header, View, number};
use crate::addr::Mac;
use crate::fields::{Fields, key};
use crate::text::Text;

/// A cooked header of version 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sll {
    /// For whom the packet was: 0 this host, 1 broadcast, 2 multicast, 3 another host, 4 sent by this host.
    pub packet_type: u16,
    /// `ARPHRD_` number of the device; 1 is Ethernet.
    pub hardware: u16,
    /// How many bytes of the address count; more than 8 were cut.
    pub address_length: u16,
    /// Link-layer address of the sender.
    pub address: [u8; 8],
    /// EtherType, or a `LINUX_SLL_P_` number for frames without one.
    pub protocol: u16,
}

impl Sll {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 16;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            packet_type: u16::from_be_bytes([b[0], b[1]]),
            hardware: u16::from_be_bytes([b[2], b[3]]),
            address_length: u16::from_be_bytes([b[4], b[5]]),
            address: [b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13]],
            protocol: u16::from_be_bytes([b[14], b[15]]),
        }
    }

    /// Writes the header.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b], [c, d], [e, f]) = (self.packet_type.to_be_bytes(), self.hardware.to_be_bytes(), self.address_length.to_be_bytes());
        let ([g, h, i, j, k, l, m, n], [o, p]) = (self.address, self.protocol.to_be_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

/// The name of a packet type, shared by both versions.
pub(super) const fn packet_type_name(packet_type: u16) -> Option<&'static str> {
    Some(match packet_type {
        0 => "to-us",
        1 => "broadcast",
        2 => "multicast",
        3 => "other-host",
        4 => "outgoing",
        _ => return None,
    })
}

/// The sender's address for fields: a MAC where it is one, else the bytes that count.
pub(super) fn address<F: Fields>(length: usize, address: &[u8; 8], out: &mut F) {
    match (length, address) {
        (6, [a, b, c, d, e, f, ..]) => out.mac(key!("src"), Mac([*a, *b, *c, *d, *e, *f])),
        (0, _) => {}
        _ => out.bytes(key!("address"), &address[..length.min(8)]),
    }
}

/// Direction and sender for people, shared by both versions.
pub(super) fn summary(packet_type: u16, length: usize, address: &[u8; 8], out: &mut Text) {
    match packet_type_name(packet_type) {
        Some(name) => out.text(name),
        None => {
            out.text("packet type ");
            out.num(packet_type.into());
        }
    }
    if let (6, [a, b, c, d, e, f, ..]) = (length, address) {
        out.text(" from ");
        out.mac(Mac([*a, *b, *c, *d, *e, *f]));
    }
}

impl Header for Sll {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.named(key!("packet_type"), self.packet_type.into(), packet_type_name(self.packet_type));
        out.num(key!("hardware"), self.hardware.into());
        address(self.address_length.into(), &self.address, out);
        out.hex_named(key!("protocol"), self.protocol.into(), 4, number::ethertype::name(self.protocol));
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        summary(self.packet_type, self.address_length.into(), &self.address, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_longer_than_its_room_is_cut_not_followed() {
        let header = Sll { packet_type: 4, hardware: 32, address_length: 20, address: [1; 8], protocol: number::ethertype::IPV4 };
        let mut text = Text::new();
        header.summary(View { header: &header.emit(), payload: &[], claimed: 0 }, &mut text);
        assert_eq!(text.as_bytes(), b"outgoing");
        text.clear();
        Sll { address_length: 6, packet_type: 9, ..header }.summary(View { header: &[], payload: &[], claimed: 0 }, &mut text);
        assert_eq!(text.as_bytes(), b"packet type 9 from 01:01:01:01:01:01");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 16]) {
            prop_assert_eq!(Sll::parse(&bytes).emit(), bytes);
        }
    }
}
