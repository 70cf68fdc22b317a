//! Where is a target? SVP, the lookup protocol of SmartOS over TCP (illumos `libvarpd_svp_prot.h`, version 1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |            Version            |           Operation           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                   Size of what follows                        |
//! |                           Request                             |
//! |              CRC-32 of header and what follows                |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                          Message ...                          |
//! ```
//!
//! Every IP address is 16 bytes, IPv4 as v4-mapped IPv6. The message itself is read in [`message`].

mod message;

use self::message::Message;
use super::fault::{Fault, Room};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::stop::StopKind;
use crate::text::Text;

/// The header of an SVP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Svp {
    /// The version; 1 is the only one there is.
    pub version: u16,
    /// What is asked or answered; see [`Svp::operation_name`].
    pub operation: u16,
    /// Length of what follows the header in bytes.
    pub size: u32,
    /// The request that this is or answers. The client writes it in the byte order of its host.
    pub id: u32,
    /// CRC-32 over header (with this field zero) and what follows it.
    pub crc: u32,
}

impl Svp {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 16;

    /// Reads the header.
    #[must_use]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            version: u16::from_be_bytes([b[0], b[1]]),
            operation: u16::from_be_bytes([b[2], b[3]]),
            size: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            id: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
            crc: u32::from_be_bytes([b[12], b[13], b[14], b[15]]),
        }
    }

    /// Writes the header, with the CRC as it stands in the struct.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b], [c, d]) = (self.version.to_be_bytes(), self.operation.to_be_bytes());
        let ([e, f, g, h], [i, j, k, l]) = (self.size.to_be_bytes(), self.id.to_be_bytes());
        let [m, n, o, p] = self.crc.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The name of an operation, where there is one.
    #[must_use]
    pub const fn operation_name(operation: u16) -> Option<&'static str> {
        Some(match operation {
            0x01 => "PING",
            0x02 => "PONG",
            0x03 => "VL2_REQ",
            0x04 => "VL2_ACK",
            0x05 => "VL3_REQ",
            0x06 => "VL3_ACK",
            0x07 => "BULK_REQ",
            0x08 => "BULK_ACK",
            0x09 => "LOG_REQ",
            0x0a => "LOG_ACK",
            0x0b => "LOG_RM",
            0x0c => "LOG_RM_ACK",
            0x0d => "SHOOTDOWN",
            _ => return None,
        })
    }

    /// The CRC that this header and what follows it should carry.
    #[must_use]
    pub fn checksum(&self, following: &[u8]) -> u32 {
        let header = Self { crc: 0, ..*self }.emit();
        !crc32(crc32(u32::MAX, &header), following)
    }

    /// What follows the header: the bytes that are there, and whether they are all.
    fn following<'a>(&self, view: View<'a>) -> (&'a [u8], bool) {
        let bytes = view.header.get(Self::LENGTH..).unwrap_or_default();
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        match bytes.get(..size) {
            Some(all) => (all, true),
            None => (bytes, false),
        }
    }
}

/// Remainders of the reflected polynomial 0xEDB88320 (ISO 3309), one per byte.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)])
}

impl Header for Svp {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("version"), self.version.into());
        out.named(key!("operation"), self.operation.into(), Self::operation_name(self.operation));
        out.num(key!("size"), self.size.into());
        out.num(key!("id"), self.id.into());
        out.hex(key!("crc"), self.crc.into(), 8);
        let (following, whole) = self.following(view);
        if whole {
            out.flag(key!("crc_ok"), self.checksum(following) == self.crc);
        }
        if !message::size_fits(self.operation, self.size) {
            out.flag(key!("size_wrong"), true);
        }
        if let Some(message) = Message::read(self.operation, following) {
            message.fields(out);
        }
        let behind = view.header.len().saturating_sub(Self::LENGTH + following.len());
        if whole && behind > 0 {
            // The next message of the same segment.
            out.num(key!("bytes_behind"), behind as u64);
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        match Self::operation_name(self.operation) {
            Some(name) => out.text(name),
            None => {
                out.text("operation ");
                out.num(self.operation.into());
            }
        }
        out.text(" id ");
        out.num(self.id.into());
        let (following, whole) = self.following(view);
        if let Some(message) = Message::read(self.operation, following) {
            message.summary(out);
        }
        if !message::size_fits(self.operation, self.size) {
            out.text(" (wrong size ");
            out.num(self.size.into());
            out.byte(b')');
        }
        if !whole {
            out.text(" (not all here)");
        } else if self.checksum(following) != self.crc {
            out.text(" (bad crc)");
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        if !message::size_fits(self.operation, self.size) {
            return Some(Fault::wrong(4, "size is not the one of the operation"));
        }
        let room = Room::message(view);
        let length = Self::LENGTH.saturating_add(usize::try_from(self.size).unwrap_or(usize::MAX));
        if length > room.claimed {
            // Nothing is wrong with that; it is we who do not put streams together.
            let reason = Some("message goes on in another segment");
            return Some(Fault { kind: StopKind::Unsupported, offset: 0, need: length, have: room.claimed, reason });
        }
        let (following, _) = self.following(view);
        room.lacking(0, length, "").or_else(|| Message::read(self.operation, following)?.fault(Self::LENGTH, length)).or_else(|| {
            let behind = view.header.get(length..).unwrap_or_default();
            if can_start(behind) { None } else { Some(Fault::wrong(length, "what follows is no message")) }
        })
    }
}

/// Whether another message may start with these bytes, which may be only the first ones of it.
const fn can_start(bytes: &[u8]) -> bool {
    match *bytes {
        [] | [0] | [0, 1] | [0, 1, 0] => true,
        [0, 1, 0, operation, ..] => Svp::operation_name(operation as u16).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{self, Extent};
    use proptest::prelude::*;

    /// A message as a client or server sends it.
    fn sent(operation: u16, id: u32, following: &[u8]) -> (Svp, Vec<u8>) {
        let mut header = Svp { version: 1, operation, size: following.len() as u32, id, crc: 0 };
        header.crc = header.checksum(following);
        (header, [&header.emit()[..], following].concat())
    }

    const REQUEST: [u8; 12] = [0x02, 0x08, 0x20, 0x0a, 0, 1, 0, 0, 0, 0, 0, 77];

    #[test]
    fn the_checksum_is_the_crc_of_zip_and_ethernet() {
        assert_eq!(!crc32(u32::MAX, b"123456789"), 0xcbf4_3926);
        // Computed by zlib.
        assert_eq!(sent(3, 5, &REQUEST).0.crc, 0x3a25_fbb7);
    }

    #[test]
    fn a_request_names_the_inner_mac_and_the_network() {
        let (header, bytes) = sent(3, 5, &REQUEST);
        assert_eq!(recorder::summary(&header, recorder::whole(&bytes)), "VL2_REQ id 5 vnet 77 mac 02:08:20:0a:00:01");
        let fields = recorder::lines(&header, &bytes, Extent::Short);
        for line in ["operation=3", "crc_ok=true", "vnet=77", "mac=02:08:20:0a:00:01"] {
            assert!(fields.iter().any(|field| field == line), "{line} is not in {fields:?}");
        }
    }

    #[test]
    fn a_flipped_bit_a_missing_byte_and_a_wrong_size_are_told_apart() {
        let (header, mut bytes) = sent(3, 5, &REQUEST);
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(recorder::summary(&header, recorder::whole(&bytes)), "VL2_REQ id 5 vnet 76 mac 02:08:20:0a:00:01 (bad crc)");
        assert_eq!(recorder::summary(&header, recorder::whole(&bytes[..27])), "VL2_REQ id 5 (not all here)");
        let (header, bytes) = sent(1, 6, &[0]);
        assert_eq!(recorder::summary(&header, recorder::whole(&bytes)), "PING id 6 (wrong size 1)");
    }

    #[test]
    fn a_second_message_in_the_segment_is_counted() {
        let (header, mut bytes) = sent(2, 5, &[]);
        bytes.extend([0; 20]);
        assert!(recorder::lines(&header, &bytes, Extent::Short).contains(&"bytes_behind=20".into()));
        assert_eq!(recorder::summary(&header, recorder::whole(&bytes)), "PONG id 5");
    }

    #[test]
    fn a_message_is_malformed_or_cut_or_goes_on_elsewhere() {
        let fault = |header: Svp, bytes: &[u8], missing: u32| {
            let fault = header.fault(View { header: bytes, payload: &[], claimed: missing });
            fault.map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        let (header, bytes) = sent(3, 5, &REQUEST);
        assert_eq!(fault(header, &bytes, 0), None);
        assert_eq!(fault(header, &bytes[..20], 8), Some((StopKind::Truncated, 0, 28, 20)));
        assert_eq!(fault(header, &bytes[..20], 0), Some((StopKind::Unsupported, 0, 28, 20)));
        assert_eq!(fault(header, &[&bytes[..], &bytes[..3]].concat(), 0), None, "the start of another");
        assert_eq!(fault(header, &[&bytes[..], b"xyz"].concat(), 0), Some((StopKind::Malformed, 28, 0, 0)));
        let (header, bytes) = sent(1, 6, &[0]);
        assert_eq!(fault(header, &bytes, 0), Some((StopKind::Malformed, 4, 0, 0)));
        let (header, bytes) = sent(10, 6, &[0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(fault(header, &bytes, 0), Some((StopKind::Malformed, 20, 0, 0)), "an entry of an unknown type");
        let (header, bytes) = sent(10, 6, &[0, 0, 0, 0, 0, 0, 0, 1, 7]);
        assert_eq!(fault(header, &bytes, 0), Some((StopKind::Malformed, 20, 32, 5)));
        let (header, bytes) = sent(11, 6, &[&[0, 0, 0, 2][..], &[7; 16]].concat());
        assert_eq!(fault(header, &bytes, 0), Some((StopKind::Malformed, 16, 36, 20)));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 16]) {
            prop_assert_eq!(Svp::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_messages_are_told_in_bounds(operation in 0u16..16, size: u32, following in prop::collection::vec(any::<u8>(), 0..4000)) {
            let header = Svp { version: 1, operation, size, id: 1, crc: 0 };
            for header in [header, Svp { size: following.len() as u32, ..header }] {
                let bytes = [&header.emit()[..], &following].concat();
                recorder::lines(&header, &bytes, Extent::Details);
                prop_assert!(recorder::summary(&header, recorder::whole(&bytes)).len() < 400);
            }
        }
    }
}
