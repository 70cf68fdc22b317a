//! Which virtual network does a packet belong to, and what else was said about it? Geneve (RFC 8926 3.4, 3.5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        Virtual Network Identifier (VNI)       |    Reserved   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Option Class         |      Type     |R|R|R| Length  |
//! |                    Option data ...                            |
//! ```

mod option;

pub use option::{GeneveMeaning, GeneveOption, GeneveOptions};

use super::ethernet::ethertype;
use super::{Header, View, number};
use crate::addr::Vni;
use crate::fields::{Fields, key};
use crate::text::Text;

/// A Geneve header; the options stay in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geneve {
    /// Version, 2 bits; 0 is the only one there is.
    pub version: u8,
    /// Length of the options in bytes, a multiple of 4, at most 252.
    pub options_length: u8,
    /// O: a control packet.
    pub oam: bool,
    /// C: at least one option is critical.
    pub critical: bool,
    /// Six reserved bits beside them.
    pub reserved: u8,
    /// EtherType of what follows.
    pub protocol: u16,
    /// The virtual network.
    pub vni: Vni,
    /// The last byte, reserved.
    pub reserved2: u8,
    /// Not known by its port, but because every check of the strict guess held.
    pub guessed: bool,
}

impl Geneve {
    /// Length of the header in bytes, options not included.
    pub const LENGTH: usize = 8;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            version: b[0] >> 6,
            options_length: (b[0] & 0x3f) * 4,
            oam: b[1] & 0x80 != 0,
            critical: b[1] & 0x40 != 0,
            reserved: b[1] & 0x3f,
            protocol: u16::from_be_bytes([b[2], b[3]]),
            vni: Vni::from_be_bytes([b[4], b[5], b[6]]),
            reserved2: b[7],
            guessed: false,
        }
    }

    /// Writes the header without options; of fields narrower than their types, only the bits that the header has count.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([high, low], [a, b, c]) = (self.protocol.to_be_bytes(), self.vni.to_be_bytes());
        let first = self.version << 6 | self.options_length >> 2 & 0x3f;
        [first, (self.oam as u8) << 7 | (self.critical as u8) << 6 | self.reserved & 0x3f, high, low, a, b, c, self.reserved2]
    }

    /// Length of header and options in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        Self::LENGTH + self.options_length as usize
    }

    /// Whether a bit is set that RFC 8926 reserves.
    #[must_use]
    pub const fn reserved_bits_set(&self) -> bool {
        self.reserved != 0 || self.reserved2 != 0
    }

    /// The options of the bytes behind the 8 fixed ones. It ends where the bytes end, also in the middle of an option.
    pub fn options(bytes: &[u8]) -> GeneveOptions<'_> {
        GeneveOptions::new(bytes)
    }

    /// Offset of the first option that runs over the end of the option area, `None` where all fit.
    #[must_use]
    pub fn options_fault(bytes: &[u8]) -> Option<usize> {
        let mut options = GeneveOptions::new(bytes);
        options.by_ref().for_each(drop);
        Some(bytes.len() - options.rest().len()).filter(|&at| at < bytes.len())
    }
}

impl Header for Geneve {
    #[inline]
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("vni"), self.vni.get().into());
        out.hex_named(key!("protocol"), self.protocol.into(), 4, number::ethertype::name(self.protocol));
        out.flag(key!("oam"), self.oam);
        out.flag(key!("critical"), self.critical);
        if self.reserved_bits_set() {
            out.flag(key!("reserved_bits_set"), true);
        }
        if self.guessed {
            out.flag(key!("guessed"), true);
        }
        if let Some(options) = view.header.get(Self::LENGTH..).filter(|options| !options.is_empty()) {
            option::fields(options, out);
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        out.num(self.vni.get().into());
        if number::ethertype::name(self.protocol).is_none() {
            out.byte(b' ');
            ethertype(self.protocol, out);
        }
        if self.oam {
            out.text(" oam");
        }
        if self.critical {
            out.text(" critical");
        }
        if self.reserved_bits_set() {
            out.text(" (reserved bits set)");
        }
        if self.guessed {
            out.text(" (guessed)");
        }
        if let Some(options) = view.header.get(Self::LENGTH..) {
            option::summary(options, out);
            // RFC 8926 3.4: a receiver may skip the options of a packet without the C bit.
            if !self.critical && Self::options(options).any(|option| option.is_critical()) {
                out.text(" (critical option without the c bit)");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// OVN: VNI 10, the critical option of its ports.
    const OVN: [u8; 16] = [0x02, 0x40, 0x65, 0x58, 0, 0, 10, 0, 1, 2, 0x80, 1, 0, 1, 0, 12];

    #[test]
    fn a_header_and_its_options_are_told_in_a_few_words() {
        let header = Geneve::parse(OVN.first_chunk().unwrap());
        assert_eq!((header.length(), header.critical, header.vni), (16, true, Vni::new(10).unwrap()));
        let mut text = Text::new();
        header.summary(View { header: &OVN, payload: &[], claimed: 0 }, &mut text);
        assert_eq!(String::from_utf8_lossy(text.as_bytes()), "10 critical [ovn ports 1 > 12]");
    }

    #[test]
    fn a_summary_says_what_is_odd() {
        let mut odd = OVN;
        (odd[1], odd[7]) = (0, 1);
        let mut text = Text::new();
        Geneve::parse(odd.first_chunk().unwrap()).summary(View { header: &odd, payload: &[], claimed: 0 }, &mut text);
        let told = String::from_utf8_lossy(text.as_bytes()).into_owned();
        assert_eq!(told, "10 (reserved bits set) [ovn ports 1 > 12] (critical option without the c bit)");
    }

    #[test]
    fn an_option_that_runs_over_the_end_is_found() {
        assert_eq!(Geneve::options_fault(&OVN[8..]), None);
        assert_eq!(Geneve::options_fault(&[]), None);
        let mut wrong = OVN;
        wrong[11] = 2;
        assert_eq!(Geneve::options_fault(&wrong[8..]), Some(0));
        assert_eq!(Geneve::options_fault(&[1, 2, 0, 0, 1, 2, 0, 1]), Some(4));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(bytes: [u8; 8]) {
            prop_assert_eq!(Geneve::parse(&bytes).emit(), bytes);
        }
    }
}
