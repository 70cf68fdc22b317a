//! What follows in an 802.3 frame? LLC (IEEE 802.2 3.2) with SNAP (IEEE 802-2014 9).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     DSAP      |     SSAP      |    Control    |   SNAP: OUI   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  ...                          |       SNAP: protocol          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Information and supervisory frames have a second control byte; nothing that is decoded behind LLC does, so it counts as payload.

use super::ethernet::ethertype;
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// An LLC header, with SNAP where there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Llc {
    /// Destination service access point.
    pub dsap: u8,
    /// Source service access point.
    pub ssap: u8,
    /// The control field, or its first byte.
    pub control: u8,
    /// The SNAP header behind `aa aa 03`.
    pub snap: Option<Snap>,
}

/// The SNAP extension: a protocol in the number space of an organization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snap {
    /// The organization; 00:00:00 means that the protocol is an EtherType.
    pub oui: [u8; 3],
    /// The protocol.
    pub protocol: u16,
}

impl Llc {
    /// Length in bytes of the shortest header: unnumbered, without SNAP.
    pub const LENGTH: usize = 3;
    /// Length in bytes of LLC and SNAP together.
    pub const SNAP_LENGTH: usize = 8;
    /// Service access point of spanning tree.
    pub const STP: u8 = 0x42;
    /// Service access point of SNAP.
    pub const SNAP: u8 = 0xaa;
    /// Control byte of unnumbered information, the frame that carries data.
    pub const UNNUMBERED_INFORMATION: u8 = 0x03;

    /// Reads the header; `None` when there are fewer bytes than it says.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [dsap, ssap, control] = *bytes.first_chunk()?;
        if (dsap, ssap, control) != (Self::SNAP, Self::SNAP, Self::UNNUMBERED_INFORMATION) {
            return Some(Self { dsap, ssap, control, snap: None });
        }
        let [_, _, _, a, b, c, high, low] = *bytes.first_chunk()?;
        Some(Self { dsap, ssap, control, snap: Some(Snap { oui: [a, b, c], protocol: u16::from_be_bytes([high, low]) }) })
    }

    /// Writes the header: 3 or 8 bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.dsap, self.ssap, self.control];
        if let Some(snap) = self.snap {
            out.extend(snap.oui);
            out.extend(snap.protocol.to_be_bytes());
        }
        out
    }

    /// Length of this header in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        if self.snap.is_some() { Self::SNAP_LENGTH } else { Self::LENGTH }
    }

    /// The name of a service access point, group or command bit ignored, where there is one.
    #[must_use]
    pub const fn sap_name(sap: u8) -> Option<&'static str> {
        Some(match sap & 0xfe {
            0x00 => "null",
            0x02 => "llc-management",
            0x04 => "sna",
            0x06 => "ip",
            Self::STP => "stp",
            Self::SNAP => "snap",
            0xe0 => "ipx",
            0xf0 => "netbios",
            0xfe => "iso",
            _ => return None,
        })
    }
}

impl Snap {
    /// The EtherType, where the organization says that the protocol is one (RFC 1042, IEEE 802.1H).
    #[must_use]
    pub const fn ethertype(&self) -> Option<u16> {
        match self.oui {
            [0, 0, 0] | [0, 0, 0xf8] => Some(self.protocol),
            _ => None,
        }
    }
}

impl Header for Llc {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.hex_named(key!("dsap"), self.dsap.into(), 2, Self::sap_name(self.dsap));
        out.hex_named(key!("ssap"), self.ssap.into(), 2, Self::sap_name(self.ssap));
        out.hex(key!("control"), self.control.into(), 2);
        if let Some(snap) = self.snap {
            out.bytes(key!("oui"), &snap.oui);
            out.hex_named(key!("protocol"), snap.protocol.into(), 4, snap.ethertype().and_then(number::ethertype::name));
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        match self.snap {
            Some(snap) => {
                out.text("snap ");
                match snap.ethertype() {
                    Some(number) => ethertype(number, out),
                    None => {
                        out.text("oui ");
                        out.hex_bytes(&snap.oui);
                        out.text(" protocol ");
                        out.hex(snap.protocol.into(), 4);
                    }
                }
            }
            // The message of the spanning tree follows and names itself.
            None if self.dsap == Self::STP => {}
            None => match Self::sap_name(self.dsap) {
                Some(name) => out.text(name),
                None => {
                    out.text("dsap ");
                    out.hex(self.dsap.into(), 2);
                }
            },
        }
        if self.control & 3 != 3 {
            out.text(if self.dsap == Self::STP { "control " } else { " control " });
            out.hex(self.control.into(), 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_three_bytes_decide_the_length() {
        assert_eq!(Llc::parse(&[0x42, 0x42, 3]).map(|h| h.length()), Some(3));
        assert_eq!(Llc::parse(&[0x42, 0x42]), None);
        let snap = Llc::parse(&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x06]).unwrap();
        assert_eq!(snap.snap.and_then(|s| s.ethertype()), Some(0x0806));
        let cisco = Llc::parse(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0x00]).unwrap();
        assert_eq!(cisco.snap.and_then(|s| s.ethertype()), None, "CDP is no EtherType");
        assert_eq!(Llc::parse(&[0xaa, 0xaa, 3, 0, 0, 0, 0x08]), None);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 8], snap: bool) {
            let mut bytes = bytes;
            if snap {
                bytes[..3].copy_from_slice(&[0xaa, 0xaa, 3]);
            }
            let header = Llc::parse(&bytes).unwrap();
            prop_assert_eq!(header.emit(), &bytes[..header.length()]);
        }
    }
}
