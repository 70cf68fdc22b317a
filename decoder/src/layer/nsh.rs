//! Which chain of services does a packet go through? Network Service Header (RFC 8300 2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Ver|O|U|    TTL    |   Length  |U|U|U|U|MD Type| Next Protocol |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Service Path Identifier (SPI)        | Service Index |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Context: 16 bytes (MD type 1) or TLVs (2) ...        |
//! ```

use super::fault::{Fault, Room};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;

/// More TLVs than this are counted out as `more`.
const LIST_MAX: usize = 64;

/// A Network Service Header; the context stays in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nsh {
    /// Version, 2 bits; 0 is the only one there is.
    pub version: u8,
    /// O: an OAM packet.
    pub oam: bool,
    /// Hops left between service functions, 6 bits.
    pub ttl: u8,
    /// Length of the whole header in 4-byte words, 6 bits.
    pub length_field: u8,
    /// The unassigned bits: the one beside O (0x10) and the four beside the MD type (0x0f).
    pub unassigned: u8,
    /// Kind of context, 4 bits: 1 is 16 fixed bytes, 2 is TLVs.
    pub md_type: u8,
    /// What follows the header.
    pub next_protocol: u8,
    /// The service path, 24 bits.
    pub service_path: u32,
    /// Place within the path; it counts down.
    pub service_index: u8,
}

impl Nsh {
    /// Length of base header and service path header in bytes.
    pub const LENGTH: usize = 8;
    /// Next protocol: IPv4.
    pub const IPV4: u8 = 1;
    /// Next protocol: IPv6.
    pub const IPV6: u8 = 2;
    /// Next protocol: Ethernet.
    pub const ETHERNET: u8 = 3;
    /// Next protocol: another Network Service Header.
    pub const NSH: u8 = 4;
    /// Next protocol: MPLS.
    pub const MPLS: u8 = 5;

    /// Reads the first 8 bytes.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        let first = u16::from_be_bytes([b[0], b[1]]);
        Self {
            version: b[0] >> 6,
            oam: b[0] & 0x20 != 0,
            ttl: (first >> 6 & 0x3f) as u8,
            length_field: b[1] & 0x3f,
            unassigned: b[0] & 0x10 | b[2] >> 4,
            md_type: b[2] & 0x0f,
            next_protocol: b[3],
            service_path: u32::from_be_bytes([0, b[4], b[5], b[6]]),
            service_index: b[7],
        }
    }

    /// Writes the first 8 bytes; of fields narrower than their types, only the bits that the header has count.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ttl = self.ttl & 0x3f;
        let [_, a, b, c] = self.service_path.to_be_bytes();
        [
            self.version << 6 | (self.oam as u8) << 5 | self.unassigned & 0x10 | ttl >> 2,
            ttl << 6 | self.length_field & 0x3f,
            (self.unassigned & 0x0f) << 4 | self.md_type & 0x0f,
            self.next_protocol,
            a,
            b,
            c,
            self.service_index,
        ]
    }

    /// Length of the whole header in bytes; below [`Nsh::LENGTH`] the field is at fault.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length_field as usize * 4
    }

    /// The name of a next protocol (RFC 8300 9.1.6), where there is one.
    #[must_use]
    pub const fn protocol_name(protocol: u8) -> Option<&'static str> {
        Some(match protocol {
            Self::IPV4 => "ipv4",
            Self::IPV6 => "ipv6",
            Self::ETHERNET => "ethernet",
            Self::NSH => "nsh",
            Self::MPLS => "mpls",
            0xfe => "experiment-1",
            0xff => "experiment-2",
            _ => return None,
        })
    }
}

/// The TLVs of MD type 2: class, type with its unassigned top bit of the length cut off, value (RFC 8300 2.5.1).
struct Tlvs<'a> {
    /// The bytes not read yet; at the end, those of a TLV that is not all there.
    rest: &'a [u8],
}

const fn tlvs(rest: &[u8]) -> Tlvs<'_> {
    Tlvs { rest }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = (u16, u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        let length = usize::from(head[3] & 0x7f);
        let value = rest.get(..length)?;
        self.rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([head[0], head[1]]), head[2], value))
    }
}

impl Header for Nsh {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        if self.version != 0 {
            out.num(key!("version"), self.version.into());
        }
        out.num(key!("service_path"), self.service_path.into());
        out.num(key!("service_index"), self.service_index.into());
        out.num(key!("ttl"), self.ttl.into());
        out.num(key!("md_type"), self.md_type.into());
        out.named(key!("next_protocol"), self.next_protocol.into(), Self::protocol_name(self.next_protocol));
        if self.oam {
            out.flag(key!("oam"), true);
        }
        if self.unassigned != 0 {
            out.flag(key!("reserved_bits_set"), true);
        }
        let Some(context) = view.header.get(Self::LENGTH..).filter(|c| out.wants_details() && !c.is_empty()) else { return };
        if self.md_type != 2 {
            return out.bytes(key!("context"), context);
        }
        out.open_list(key!("context"));
        for (count, (class, kind, value)) in tlvs(context).enumerate() {
            out.open_item();
            if count == LIST_MAX {
                out.flag(key!("more"), true);
                out.close_item();
                break;
            }
            out.hex(key!("class"), class.into(), 4);
            out.hex(key!("type"), kind.into(), 2);
            out.bytes(key!("value"), value);
            out.close_item();
        }
        out.close_list();
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.text("path ");
        out.num(self.service_path.into());
        out.text(" index ");
        out.octet(self.service_index);
        if self.version != 0 {
            out.text(" version ");
            out.octet(self.version);
        }
        if Self::protocol_name(self.next_protocol).is_none() {
            out.text(" next protocol ");
            out.octet(self.next_protocol);
        }
        if self.oam {
            out.text(" oam");
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        let context = view.header.get(Self::LENGTH..).filter(|_| self.md_type == 2)?;
        let mut tlvs = tlvs(context);
        tlvs.by_ref().for_each(drop);
        let need = tlvs.rest.get(3).map_or(4, |length| 4 + usize::from(length & 0x7f));
        Room::header(view).left(view.header.len() - tlvs.rest.len(), need, "tlv beyond the header")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_that_cross_bytes_come_out_whole() {
        // TTL 63 is the default of RFC 8300 2.2 and crosses a byte.
        let header = Nsh::parse(&[0x0f, 0xc6, 0x01, 0x03, 0x00, 0x01, 0x02, 0xff]);
        assert_eq!((header.ttl, header.length(), header.md_type), (63, 24, 1));
        assert_eq!((header.service_path, header.service_index), (0x102, 255));
    }

    #[test]
    fn tlvs_are_padded_to_four_bytes_and_end_with_the_header() {
        let bytes = [0, 9, 0x81, 0x82, 7, 8, 0, 0, 1, 0, 2, 0, 0, 1, 2, 60, 1];
        assert_eq!(tlvs(&bytes).collect::<Vec<_>>(), [(9, 0x81, &[7u8, 8][..]), (0x100, 2, &[])]);
    }

    #[test]
    fn a_tlv_beyond_the_header_is_a_fault_of_type_two_only() {
        let mut packet = [0x0f, 0xc4, 0x02, 0x03, 0, 0, 1, 255, 1, 0, 2, 5, 1, 2, 3, 4];
        let fault = |packet: &[u8]| {
            let view = View { header: packet, payload: &[], claimed: 0 };
            Nsh::parse(packet.first_chunk().unwrap()).fault(view).map(|fault| (fault.offset, fault.need, fault.have))
        };
        assert_eq!(fault(&packet), Some((8, 9, 8)));
        packet[11] = 3;
        assert_eq!(fault(&packet), None, "the value is padded");
        packet[2] = 1;
        packet[11] = 5;
        assert_eq!(fault(&packet), None);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 8]) {
            prop_assert_eq!(Nsh::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn tlvs_of_any_bytes_end(bytes: Vec<u8>) {
            prop_assert!(tlvs(&bytes).count() * 4 <= bytes.len());
        }
    }
}
