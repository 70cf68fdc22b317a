//! Where was a frame mirrored? ERSPAN types I, II and III (draft-foschiano-erspan-03 4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Ver  |          VLAN         | COS | * |T|    Session ID     |  II: * = En, III: * = BSO
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Reserved         |                  Index                |  II
//! |                            Timestamp                          |  III
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |             SGT               |P|    FT   |   Hw ID   |D|Gra|O|  III only
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Platform specific subheader, 8 bytes, when O is set      |  III only
//! ```
//!
//! Type I has no header: GRE without a sequence number, then the frame.

use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;

/// An ERSPAN header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erspan {
    /// 1 for type II, 2 for type III; 0 for type I, which has no bytes.
    pub version: u8,
    /// VLAN of the mirrored frame, 12 bits.
    pub vlan: u16,
    /// Class of service of the mirrored frame, 3 bits.
    pub cos: u8,
    /// Type II: how the frame was tagged; type III: whether it was bad, short or oversized. 2 bits.
    pub encapsulation_or_bso: u8,
    /// T: the frame was cut to fit.
    pub truncated: bool,
    /// The mirror session, 10 bits.
    pub session: u16,
    /// Type II: 12 reserved bits and the port index; type III: the timestamp in units of its granularity.
    pub word: u32,
    /// Type III: security group, frame type, hardware, direction, granularity.
    pub word2: Option<u32>,
}

impl Erspan {
    /// Length of a type II header in bytes.
    pub const LENGTH_2: usize = 8;
    /// Length of a type III header in bytes, without the platform specific subheader.
    pub const LENGTH_3: usize = 12;
    /// Type I: no bytes of its own, nothing known.
    pub const TYPE_I: Self =
        Self { version: 0, vlan: 0, cos: 0, encapsulation_or_bso: 0, truncated: false, session: 0, word: 0, word2: None };

    /// Reads a header of type II.
    #[must_use]
    pub const fn parse2(b: &[u8; Self::LENGTH_2]) -> Self {
        Self {
            version: b[0] >> 4,
            vlan: u16::from_be_bytes([b[0], b[1]]) & 0xfff,
            cos: b[2] >> 5,
            encapsulation_or_bso: b[2] >> 3 & 3,
            truncated: b[2] & 4 != 0,
            session: u16::from_be_bytes([b[2], b[3]]) & 0x3ff,
            word: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            word2: None,
        }
    }

    /// Reads a header of type III without its platform specific subheader.
    #[must_use]
    pub const fn parse3(b: &[u8; Self::LENGTH_3]) -> Self {
        let mut header = Self::parse2(&[b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        header.word2 = Some(u32::from_be_bytes([b[8], b[9], b[10], b[11]]));
        header
    }

    /// Writes the header without the platform specific subheader: 0, 8 or 12 bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        if self.version == 0 {
            return Vec::new();
        }
        let first = u32::from(self.version) << 28
            | u32::from(self.vlan & 0xfff) << 16
            | u32::from(self.cos & 7) << 13
            | u32::from(self.encapsulation_or_bso & 3) << 11
            | u32::from(self.truncated) << 10
            | u32::from(self.session & 0x3ff);
        [Some(first), Some(self.word), self.word2].into_iter().flatten().flat_map(u32::to_be_bytes).collect()
    }

    /// Length of the whole header in bytes, the platform specific subheader of type III included.
    #[must_use]
    pub const fn length(&self) -> usize {
        match (self.version, self.word2) {
            (0, _) => 0,
            (_, None) => Self::LENGTH_2,
            (_, Some(word)) => Self::LENGTH_3 + if word & 1 != 0 { 8 } else { 0 },
        }
    }

    /// The type as people count it: 1, 2 or 3.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.version.saturating_add(1)
    }

    /// Type II: index of the source port and direction, 20 bits.
    #[must_use]
    pub const fn index(&self) -> Option<u32> {
        if self.version == 1 { Some(self.word & 0xf_ffff) } else { None }
    }

    /// Type III: the timestamp, in units of the granularity.
    #[must_use]
    pub const fn timestamp(&self) -> Option<u32> {
        if self.word2.is_some() { Some(self.word) } else { None }
    }

    /// Type III: the security group tag.
    #[must_use]
    pub const fn sgt(&self) -> Option<u16> {
        match self.word2 {
            Some(word) => Some((word >> 16) as u16),
            None => None,
        }
    }

    /// Type III: what the mirrored packet is (0 Ethernet, 2 IP), 5 bits.
    #[must_use]
    pub const fn frame_type(&self) -> Option<u8> {
        match self.word2 {
            Some(word) => Some((word >> 10 & 0x1f) as u8),
            None => None,
        }
    }

    /// Type III: the mirroring engine, 6 bits.
    #[must_use]
    pub const fn hardware(&self) -> Option<u8> {
        match self.word2 {
            Some(word) => Some((word >> 4 & 0x3f) as u8),
            None => None,
        }
    }

    /// Type III: `ingress` or `egress`, as the mirror saw the frame.
    #[must_use]
    pub const fn direction(&self) -> Option<&'static str> {
        match self.word2 {
            Some(word) if word & 8 != 0 => Some("egress"),
            Some(_) => Some("ingress"),
            None => None,
        }
    }

    /// Type III: the unit of the timestamp, 2 bits.
    #[must_use]
    pub const fn granularity(&self) -> Option<u8> {
        match self.word2 {
            Some(word) => Some((word >> 1 & 3) as u8),
            None => None,
        }
    }
}

const fn granularity_name(granularity: u8) -> Option<&'static str> {
    Some(match granularity {
        0 => "100 us",
        1 => "100 ns",
        2 => "ieee-1588",
        _ => return None,
    })
}

const fn bso_name(bso: u8) -> &'static str {
    match bso {
        0 => "good",
        1 => "short",
        2 => "oversized",
        _ => "bad",
    }
}

impl Header for Erspan {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("type"), self.kind().into());
        if self.version == 0 {
            return;
        }
        out.num(key!("session"), self.session.into());
        out.num(key!("vlan"), self.vlan.into());
        out.num(key!("cos"), self.cos.into());
        out.flag(key!("truncated"), self.truncated);
        if let Some(index) = self.index() {
            out.num(key!("encapsulation"), self.encapsulation_or_bso.into());
            out.num(key!("index"), index.into());
        }
        let Some(word) = self.word2 else { return };
        out.named(key!("bso"), self.encapsulation_or_bso.into(), Some(bso_name(self.encapsulation_or_bso)));
        out.num(key!("mirror_timestamp"), self.word.into());
        out.num(key!("sgt"), (word >> 16).into());
        if let Some(direction) = self.direction() {
            out.text(key!("direction"), direction.as_bytes());
        }
        if !out.wants_details() {
            return;
        }
        if let (Some(frame_type), Some(hardware), Some(granularity)) = (self.frame_type(), self.hardware(), self.granularity()) {
            out.num(key!("frame_type"), frame_type.into());
            out.num(key!("hardware"), hardware.into());
            out.named(key!("granularity"), granularity.into(), granularity_name(granularity));
        }
        if let Some(platform) = view.header.get(Self::LENGTH_3..).filter(|p| !p.is_empty()) {
            out.bytes(key!("platform"), platform);
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.text("type ");
        out.octet(self.kind());
        if self.version == 0 {
            return;
        }
        out.text(" session ");
        out.num(self.session.into());
        if self.vlan != 0 {
            out.text(" vlan ");
            out.num(self.vlan.into());
        }
        if let Some(direction) = self.direction() {
            out.byte(b' ');
            out.text(direction);
        }
        if self.truncated {
            out.text(" truncated");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_type_two_header_names_session_and_port() {
        let header = Erspan::parse2(&[0x10, 0x64, 0x58, 0x05, 0, 0, 0x01, 0x90]);
        assert_eq!((header.kind(), header.vlan, header.cos, header.encapsulation_or_bso), (2, 100, 2, 3));
        assert_eq!((header.session, header.index(), header.truncated, header.sgt()), (5, Some(400), false, None));
        assert_eq!(header.length(), 8);
    }

    #[test]
    fn a_type_three_header_with_o_is_eight_bytes_longer() {
        let header = Erspan::parse3(&[0x20, 0x01, 0x04, 0x07, 0, 0, 0, 9, 0x12, 0x34, 0x04, 0x5b]);
        assert_eq!((header.kind(), header.session, header.truncated), (3, 7, true));
        assert_eq!((header.timestamp(), header.sgt(), header.direction()), (Some(9), Some(0x1234), Some("egress")));
        assert_eq!((header.frame_type(), header.hardware(), header.granularity()), (Some(1), Some(5), Some(1)));
        assert_eq!(header.length(), 20);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(mut bytes: [u8; 12]) {
            bytes[0] |= 0x10;
            prop_assert_eq!(Erspan::parse3(&bytes).emit(), bytes);
            prop_assert_eq!(Erspan::parse2(bytes.first_chunk().unwrap()).emit(), &bytes[..8]);
        }
    }
}
