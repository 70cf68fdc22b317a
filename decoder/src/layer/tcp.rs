//! Where does a byte stream stand? TCP (RFC 9293 3.1; ECN bits: RFC 3168, AE: RFC 9768).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Source port          |        Destination port       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Sequence number                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                     Acknowledgment number                     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Offset|Rsrvd|A|C|E|U|A|P|R|S|F|             Window            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |            Checksum           |         Urgent pointer        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                 Options, 0 to 40 bytes ...                    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::fault::Fault;
use super::ipv4::{Options, options_fault};
use super::{Header, View};
use crate::fields::{Fields, Letters, key};
use crate::pen::Pen;
use crate::text::Text;
use etherparse::{TcpOptionElement, TcpOptionsIterator};

/// A TCP header without its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tcp {
    /// Sending port.
    pub src_port: u16,
    /// Receiving port.
    pub dst_port: u16,
    /// Sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The next byte that is expected, valid with [`Tcp::ACK`].
    pub ack: u32,
    /// Length in bytes as the data offset says, 0 to 60; below 20 is malformed.
    pub header_length: u8,
    /// The 12 bits behind the data offset: reserved bits and flags.
    pub flags: u16,
    /// Receive window, before scaling.
    pub window: u16,
    /// Checksum over pseudo-header, header and payload.
    pub checksum: u16,
    /// Urgent pointer, valid with [`Tcp::URG`].
    pub urgent: u16,
}

/// The letters of the lower eight flags, lowest bit first, as tcpdump has them.
const LETTERS: [u8; 8] = *b"FSRP.UEW";

/// The letters of every combination of the lower eight flags.
const FLAGS_TEXT: [Letters; 256] = {
    let mut table = [Letters { text: [b' '; 8], len: 0 }; 256];
    let mut flags = 0;
    while flags < 256 {
        let mut bit = 0;
        while bit < 8 {
            if flags >> bit & 1 == 1 {
                let at = table[flags].len;
                table[flags].text[at as usize] = LETTERS[bit];
                table[flags].len = at + 1;
            }
            bit += 1;
        }
        flags += 1;
    }
    table[0] = Letters { text: *b"none    ", len: 4 };
    table
};

impl Tcp {
    /// Length of the header without options in bytes.
    pub const LENGTH: usize = 20;
    /// No more data from the sender.
    pub const FIN: u16 = 0x001;
    /// Sequence numbers are to be synchronized.
    pub const SYN: u16 = 0x002;
    /// The connection is reset.
    pub const RST: u16 = 0x004;
    /// To be handed to the application at once.
    pub const PSH: u16 = 0x008;
    /// The acknowledgment number is valid.
    pub const ACK: u16 = 0x010;
    /// The urgent pointer is valid.
    pub const URG: u16 = 0x020;

    /// Reads the fixed part.
    #[must_use]
    #[inline(always)]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            src_port: u16::from_be_bytes([b[0], b[1]]),
            dst_port: u16::from_be_bytes([b[2], b[3]]),
            seq: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            ack: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
            header_length: (b[12] >> 4) * 4,
            flags: u16::from_be_bytes([b[12] & 0x0f, b[13]]),
            window: u16::from_be_bytes([b[14], b[15]]),
            checksum: u16::from_be_bytes([b[16], b[17]]),
            urgent: u16::from_be_bytes([b[18], b[19]]),
        }
    }

    /// Writes the fixed part, with the checksum as it stands in the struct.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LENGTH] {
        let mut b = [0; Self::LENGTH];
        b[..2].copy_from_slice(&self.src_port.to_be_bytes());
        b[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        b[4..8].copy_from_slice(&self.seq.to_be_bytes());
        b[8..12].copy_from_slice(&self.ack.to_be_bytes());
        b[12..14].copy_from_slice(&(u16::from(self.header_length / 4) << 12 | self.flags & 0x0fff).to_be_bytes());
        b[14..16].copy_from_slice(&self.window.to_be_bytes());
        b[16..18].copy_from_slice(&self.checksum.to_be_bytes());
        b[18..].copy_from_slice(&self.urgent.to_be_bytes());
        b
    }

    /// Whether these bytes of a header hold the options of nearly all segments, and no fault: none, or timestamps behind two bytes of
    /// padding (RFC 7323, Appendix A).
    #[inline]
    pub(crate) const fn has_usual_options(header: &[u8]) -> bool {
        header.len() <= Self::LENGTH || header.len() == Self::LENGTH + 12 && matches!(header, [.., 1, 1, 8, 10, _, _, _, _, _, _, _, _])
    }

    /// Whether all of these flags are set.
    #[must_use]
    #[inline]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The lower eight flags in the letters of tcpdump: `S`, `S.`, `P.`, `F.`, `R`, `none`.
    #[must_use]
    #[inline]
    pub const fn flags_text(&self) -> Letters {
        FLAGS_TEXT[self.flags as u8 as usize]
    }

    /// Writes the [`summary`](Header::summary); `len` is that of the payload.
    #[inline(always)]
    pub(crate) fn write_summary(&self, len: u32, out: &mut impl Pen) {
        let flags = self.flags_text();
        out.text("[");
        out.put(flags.text, flags.len.into());
        out.text("] seq ");
        out.num(self.seq.into());
        if self.has(Self::ACK) {
            out.text(" ack ");
            out.num(self.ack.into());
        }
        out.text(" win ");
        out.num(self.window.into());
        if self.has(Self::URG) {
            out.text(" urg ");
            out.num(self.urgent.into());
        }
        out.text(" len ");
        out.num(len.into());
    }
}

impl Header for Tcp {
    #[inline(always)]
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("src_port"), self.src_port.into());
        out.num(key!("dst_port"), self.dst_port.into());
        out.hex(key!("flags"), self.flags.into(), 3);
        out.letters(key!("flags_text"), self.flags_text());
        out.num(key!("seq"), self.seq.into());
        out.num(key!("ack"), self.ack.into());
        out.num(key!("window"), self.window.into());
        out.hex(key!("checksum"), self.checksum.into(), 4);
        if self.has(Self::URG) {
            out.num(key!("urgent"), self.urgent.into());
        }
        out.num(key!("len"), view.claimed.into());
        if out.wants_details() {
            options(view.header.get(Self::LENGTH..).unwrap_or_default(), out);
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        self.write_summary(view.claimed, out);
    }

    #[inline]
    fn fault(&self, view: View<'_>) -> Option<Fault> {
        if Self::has_usual_options(view.header) { None } else { options_fault(view.header) }
    }
}

const fn option_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        2 => "mss",
        3 => "window-scale",
        4 => "sack-permitted",
        5 => "sack",
        8 => "timestamps",
        19 => "md5",
        28 => "user-timeout",
        29 => "tcp-ao",
        30 => "mptcp",
        34 => "fast-open",
        253 | 254 => "experiment",
        _ => return None,
    })
}

fn options<F: Fields>(bytes: &[u8], out: &mut F) {
    if bytes.is_empty() {
        return;
    }
    out.open_list(key!("options"));
    // 40 bytes of options hold 20 at most.
    for option in Options(bytes) {
        out.open_item();
        match option {
            Ok(option) => {
                out.named(key!("type"), option[0].into(), option_name(option[0]));
                // One option at a time: the iterator gives up at a kind that it does not know, and everything behind is lost.
                match TcpOptionsIterator::from_slice(option).next() {
                    Some(Ok(element)) => known_option(&element, out),
                    _ => out.bytes(key!("data"), &option[2..]),
                }
            }
            Err(rest) => out.bytes(key!("malformed"), rest),
        }
        out.close_item();
    }
    out.close_list();
}

fn known_option<F: Fields>(element: &TcpOptionElement, out: &mut F) {
    match element {
        TcpOptionElement::MaximumSegmentSize(size) => out.num(key!("mss"), (*size).into()),
        TcpOptionElement::WindowScale(shift) => out.num(key!("shift"), (*shift).into()),
        TcpOptionElement::Timestamp(value, echo) => {
            out.num(key!("value"), (*value).into());
            out.num(key!("echo"), (*echo).into());
        }
        TcpOptionElement::SelectiveAcknowledgement(first, more) => {
            out.open_list(key!("blocks"));
            for (left, right) in std::iter::once(first).chain(more.iter().flatten()) {
                out.open_item();
                out.num(key!("left"), (*left).into());
                out.num(key!("right"), (*right).into());
                out.close_item();
            }
            out.close_list();
        }
        TcpOptionElement::SelectiveAcknowledgementPermitted | TcpOptionElement::Noop => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, renders_every_cut, summary};
    use proptest::prelude::*;

    const SYN: Tcp = Tcp {
        src_port: 51000,
        dst_port: 443,
        seq: 1234,
        ack: 99,
        header_length: 40,
        flags: Tcp::SYN,
        window: 64240,
        checksum: 0xbeef,
        urgent: 7,
    };

    #[test]
    fn flags_read_as_tcpdump_writes_them() {
        let letters = |flags| String::from_utf8(Tcp { flags, ..SYN }.flags_text().as_bytes().to_vec()).unwrap();
        assert_eq!(letters(Tcp::SYN), "S");
        assert_eq!(letters(Tcp::SYN | Tcp::ACK), "S.");
        assert_eq!(letters(Tcp::PSH | Tcp::ACK), "P.");
        assert_eq!(letters(Tcp::FIN | Tcp::PSH | Tcp::ACK), "FP.");
        assert_eq!(letters(0x0c2), "SEW");
        assert_eq!(letters(0xff), "FSRP.UEW");
        assert_eq!(letters(0), "none");
    }

    #[test]
    fn a_segment_says_where_the_stream_stands() {
        let view = View { header: &[], payload: &[], claimed: 100 };
        assert_eq!(summary(&SYN, view), "[S] seq 1234 win 64240 len 100");
        let urgent = Tcp { flags: Tcp::ACK | Tcp::URG, ..SYN };
        assert_eq!(summary(&urgent, view), "[.U] seq 1234 ack 99 win 64240 urg 7 len 100");
        assert_eq!(
            fields(&urgent, view, Extent::Short),
            "src_port=51000 dst_port=443 flags=0x030 flags_text=\".U\" seq=1234 ack=99 window=64240 checksum=0xbeef urgent=7 len=100"
        );
    }

    #[test]
    fn options_behind_an_unknown_one_are_still_read() {
        let mut header = SYN.emit().to_vec();
        header.extend([2, 4, 5, 0xb4, 34, 2, 4, 2, 1, 3, 3, 7, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4, 2, 9]);
        let written = fields(&SYN, View { header: &header, payload: &[], claimed: 0 }, Extent::Details);
        let options = "options=[{type=2 mss=1460}{type=34 data=}{type=4}{type=3 shift=7}{type=8 value=1 echo=2}\
                       {type=5 blocks=[{left=3 right=4}]}{malformed=0209}]";
        assert!(written.ends_with(options), "{written}");
    }

    #[test]
    fn an_option_is_at_fault_exactly_where_the_list_says_malformed() {
        let faults = |options: &[u8]| {
            let header = [&SYN.emit()[..], options].concat();
            let view = View { header: &header, payload: &[], claimed: 0 };
            let listed = fields(&SYN, view, Extent::Details).contains("malformed=");
            assert_eq!(SYN.fault(view).is_some(), listed, "{options:?}");
            SYN.fault(view).map(|fault| (fault.offset, fault.need, fault.have))
        };
        assert_eq!(faults(&[]), None);
        assert_eq!(faults(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]), None);
        assert_eq!(faults(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]), None);
        assert_eq!(faults(&[1, 1, 8, 11, 0, 0, 0, 1, 0, 0, 0, 2]), Some((22, 11, 10)));
        assert_eq!(faults(&[2, 4, 5, 0xb4, 3, 0, 0, 0]), Some((24, 0, 0)));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 20]) {
            prop_assert_eq!(Tcp::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_options_are_rendered_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 20..60)) {
            let header = Tcp::parse(bytes.first_chunk().unwrap());
            renders_every_cut(&header, &bytes, 20, 2000);
            fields(&header, View { header: &bytes, payload: &[], claimed: 0 }, Extent::Details);
        }
    }
}
