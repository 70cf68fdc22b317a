//! What kind of packet was wrapped? GRE (RFC 2784 2.1, keys and sequence numbers RFC 2890 2) and PPTP's version 1 (RFC 2637 4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |C|R|K|S|s|Recur|A|Reserved| Ver|         Protocol Type         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Checksum (C or R)        |       Reserved or Offset      |
//! |                  Key (K); version 1: length, call             |
//! |                    Sequence Number (S)                        |
//! |               Acknowledgment (A, version 1 only)              |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::ethernet::ethertype;
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// A GRE header; a field that its flag says is absent is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gre {
    /// The first 16 bits: [`Gre::CHECKSUM`] and its siblings, reserved bits, and the version in the last three.
    pub flags: u16,
    /// EtherType of what is inside; ERSPAN has types of its own.
    pub protocol: u16,
    /// Internet checksum over header and payload (RFC 2784 2.5).
    pub checksum: Option<u16>,
    /// The key; in version 1, payload length and call ID.
    pub key: Option<u32>,
    /// The sequence number.
    pub sequence: Option<u32>,
    /// Version 1: the highest sequence number received.
    pub acknowledgment: Option<u32>,
}

impl Gre {
    /// Length of the part that every header has, in bytes.
    pub const FIXED: usize = 4;
    /// C: there is a checksum.
    pub const CHECKSUM: u16 = 0x8000;
    /// R: there is source routing (RFC 1701), which RFC 2784 took out.
    pub const ROUTING: u16 = 0x4000;
    /// K: there is a key.
    pub const KEY: u16 = 0x2000;
    /// S: there is a sequence number.
    pub const SEQUENCE: u16 = 0x1000;
    /// A: there is an acknowledgment; version 1 only.
    pub const ACKNOWLEDGMENT: u16 = 0x0080;
    /// The bits of the version.
    pub const VERSION: u16 = 0x0007;

    /// Length in bytes of a header with these flags, source routes not included.
    #[must_use]
    pub const fn length_of(flags: u16) -> usize {
        let mut length = Self::FIXED;
        if flags & (Self::CHECKSUM | Self::ROUTING) != 0 {
            length += 4;
        }
        if flags & Self::KEY != 0 {
            length += 4;
        }
        if flags & Self::SEQUENCE != 0 {
            length += 4;
        }
        if flags & Self::VERSION == 1 && flags & Self::ACKNOWLEDGMENT != 0 {
            length += 4;
        }
        length
    }

    /// Reads the header from [`Gre::length_of`] bytes or more; `None` when there are fewer.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let ([f, g, p, q], mut rest) = bytes.split_first_chunk::<4>()?;
        let flags = u16::from_be_bytes([*f, *g]);
        let mut header =
            Self { flags, protocol: u16::from_be_bytes([*p, *q]), checksum: None, key: None, sequence: None, acknowledgment: None };
        let mut word = |present: bool| -> Option<Option<u32>> {
            if !present {
                return Some(None);
            }
            let (word, behind) = rest.split_first_chunk::<4>()?;
            rest = behind;
            Some(Some(u32::from_be_bytes(*word)))
        };
        let checksum = word(flags & (Self::CHECKSUM | Self::ROUTING) != 0)?;
        header.checksum = checksum.filter(|_| flags & Self::CHECKSUM != 0).map(|word| (word >> 16) as u16);
        header.key = word(flags & Self::KEY != 0)?;
        header.sequence = word(flags & Self::SEQUENCE != 0)?;
        header.acknowledgment = word(header.version() == 1 && flags & Self::ACKNOWLEDGMENT != 0)?;
        Some(header)
    }

    /// Writes the header; the flags decide which fields there are, an absent value is written as zero.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::length_of(self.flags));
        out.extend(self.flags.to_be_bytes());
        out.extend(self.protocol.to_be_bytes());
        if self.flags & (Self::CHECKSUM | Self::ROUTING) != 0 {
            out.extend(self.checksum.unwrap_or(0).to_be_bytes());
            out.extend([0, 0]);
        }
        if self.flags & Self::KEY != 0 {
            out.extend(self.key.unwrap_or(0).to_be_bytes());
        }
        if self.flags & Self::SEQUENCE != 0 {
            out.extend(self.sequence.unwrap_or(0).to_be_bytes());
        }
        if self.version() == 1 && self.flags & Self::ACKNOWLEDGMENT != 0 {
            out.extend(self.acknowledgment.unwrap_or(0).to_be_bytes());
        }
        out
    }

    /// The version: 0, or 1 for PPTP.
    #[must_use]
    pub const fn version(&self) -> u8 {
        (self.flags & Self::VERSION) as u8
    }

    /// Whether ERSPAN follows, of any type.
    #[must_use]
    pub const fn carries_erspan(&self) -> bool {
        matches!(self.protocol, number::ethertype::ERSPAN_II | number::ethertype::ERSPAN_III)
    }

    /// Whether source routes follow, which the walk does not read.
    #[must_use]
    pub const fn has_routing(&self) -> bool {
        self.flags & Self::ROUTING != 0
    }
}

impl Header for Gre {
    fn fields<F: Fields>(&self, _: View<'_>, out: &mut F) {
        out.hex(key!("flags"), self.flags.into(), 4);
        if self.version() != 0 {
            out.num(key!("version"), self.version().into());
        }
        out.hex_named(key!("protocol"), self.protocol.into(), 4, number::ethertype::name(self.protocol));
        if let Some(checksum) = self.checksum {
            out.hex(key!("checksum"), checksum.into(), 4);
        }
        if let Some(key) = self.key {
            out.num(key!("key"), key.into());
            if self.version() == 1 {
                out.num(key!("payload_length"), (key >> 16).into());
                out.num(key!("call_id"), (key & 0xffff).into());
            }
        }
        if let Some(sequence) = self.sequence {
            out.num(key!("sequence"), sequence.into());
        }
        if let Some(acknowledgment) = self.acknowledgment {
            out.num(key!("acknowledgment"), acknowledgment.into());
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        let start = out.len();
        // The header of ERSPAN follows and names itself.
        if !self.carries_erspan() {
            ethertype(self.protocol, out);
        }
        let mut word = |name: &str, value: u32| {
            out.text(if out.len() > start { " " } else { "" });
            out.text(name);
            out.num(value.into());
        };
        if self.version() != 0 {
            word("version ", self.version().into());
        }
        match self.key {
            Some(key) if self.version() == 1 => word("call ", key & 0xffff),
            Some(key) => word("key ", key),
            None => {}
        }
        for (name, value) in [("seq ", self.sequence), ("ack ", self.acknowledgment)] {
            if let Some(value) = value {
                word(name, value);
            }
        }
        if self.has_routing() {
            out.text(if out.len() > start { " with source routes" } else { "with source routes" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_flag_makes_room_for_one_word() {
        assert_eq!(Gre::length_of(0), 4);
        assert_eq!(Gre::length_of(Gre::CHECKSUM | Gre::ROUTING), 8);
        assert_eq!(Gre::length_of(Gre::CHECKSUM | Gre::KEY | Gre::SEQUENCE), 16);
        assert_eq!(Gre::length_of(Gre::ACKNOWLEDGMENT), 4, "bit 8 is reserved in version 0");
        assert_eq!(Gre::length_of(Gre::ACKNOWLEDGMENT | Gre::KEY | 1), 12);
    }

    #[test]
    fn in_front_of_erspan_there_is_only_the_sequence_to_tell() {
        let mut text = Text::new();
        text.text("gre ");
        let header = Gre::parse(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1]).unwrap();
        header.summary(View { header: &[], payload: &[], claimed: 0 }, &mut text);
        assert_eq!(text.as_bytes(), b"gre seq 1");
    }

    #[test]
    fn pptp_has_a_call_and_an_acknowledgment() {
        let bytes = [0x30, 0x81, 0x88, 0x0b, 0, 12, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2];
        let header = Gre::parse(&bytes).unwrap();
        assert_eq!((header.version(), header.key, header.sequence, header.acknowledgment), (1, Some(12 << 16 | 9), Some(1), Some(2)));
        let mut text = Text::new();
        header.summary(View { header: &bytes, payload: &[], claimed: 12 }, &mut text);
        assert_eq!(text.as_bytes(), b"ppp version 1 call 9 seq 1 ack 2");
        assert_eq!(Gre::parse(&bytes[..15]), None);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 20]) {
            let header = Gre::parse(&bytes).unwrap();
            let emitted = header.emit();
            prop_assert_eq!(emitted.len(), Gre::length_of(header.flags));
            prop_assert_eq!(Gre::parse(&emitted), Some(header));
            for short in 0..emitted.len() {
                prop_assert_eq!(Gre::parse(&bytes[..short]), None);
            }
        }
    }
}
