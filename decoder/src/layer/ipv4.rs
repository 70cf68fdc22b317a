//! Which two hosts does a packet go between? IPv4 (RFC 791 3.1; DSCP and ECN: RFC 2474, RFC 3168).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version|  IHL  |    DSCP   |ECN|          Total length         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Identification        |R|D|M|     Fragment offset     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Time to live |    Protocol   |        Header checksum        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                         Source address                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                      Destination address                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                 Options, 0 to 40 bytes ...                    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::fault::{Fault, Room};
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv4Addr;

/// An IPv4 header without its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4 {
    /// Length in bytes as the IHL field says, 0 to 60; below 20 is malformed.
    pub header_length: u8,
    /// DSCP (upper six bits) and ECN (lower two).
    pub tos: u8,
    /// Bytes of the packet with its header; 0 in a GSO frame beyond 64 KiB.
    pub total_length: u16,
    /// Identification, shared by the fragments of a packet.
    pub id: u16,
    /// DF: routers must not fragment.
    pub dont_fragment: bool,
    /// MF: not the last fragment.
    pub more_fragments: bool,
    /// The first flag, reserved.
    pub reserved_flag: bool,
    /// Where the fragment stands in the packet, in bytes; a multiple of 8.
    pub fragment_offset: u16,
    /// Time to live, in hops.
    pub ttl: u8,
    /// Protocol of the payload (registry of IANA).
    pub protocol: u8,
    /// Checksum over the header.
    pub checksum: u16,
    /// Sending host.
    pub src: Ipv4Addr,
    /// Receiving host.
    pub dst: Ipv4Addr,
}

impl Ipv4 {
    /// Length of the header without options in bytes.
    pub const LENGTH: usize = 20;

    /// Reads the fixed part. The version is the caller's to check.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            header_length: (b[0] & 0x0f) * 4,
            tos: b[1],
            total_length: u16::from_be_bytes([b[2], b[3]]),
            id: u16::from_be_bytes([b[4], b[5]]),
            dont_fragment: b[6] & 0x40 != 0,
            more_fragments: b[6] & 0x20 != 0,
            reserved_flag: b[6] & 0x80 != 0,
            // In units of 8 bytes on the wire: 13 bits times 8 fit 16 bits.
            fragment_offset: u16::from_be_bytes([b[6] & 0x1f, b[7]]) << 3,
            ttl: b[8],
            protocol: b[9],
            checksum: u16::from_be_bytes([b[10], b[11]]),
            src: Ipv4Addr::new(b[12], b[13], b[14], b[15]),
            dst: Ipv4Addr::new(b[16], b[17], b[18], b[19]),
        }
    }

    /// Writes the fixed part, with the checksum as it stands in the struct.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let (s, d) = (self.src.octets(), self.dst.octets());
        let ([len_high, len_low], [id_high, id_low]) = (self.total_length.to_be_bytes(), self.id.to_be_bytes());
        let ([frag_high, frag_low], [sum_high, sum_low]) = ((self.fragment_offset >> 3).to_be_bytes(), self.checksum.to_be_bytes());
        let flags = (self.reserved_flag as u8) << 7 | (self.dont_fragment as u8) << 6 | (self.more_fragments as u8) << 5;
        [
            0x40 | (self.header_length / 4) & 0x0f,
            self.tos,
            len_high,
            len_low,
            id_high,
            id_low,
            flags | frag_high,
            frag_low,
            self.ttl,
            self.protocol,
            sum_high,
            sum_low,
            s[0],
            s[1],
            s[2],
            s[3],
            d[0],
            d[1],
            d[2],
            d[3],
        ]
    }

    /// Whether this is a part of a packet.
    #[must_use]
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Whether this is a part without the start of the packet, and so without the next header.
    #[must_use]
    #[inline]
    pub const fn is_later_fragment(&self) -> bool {
        self.fragment_offset != 0
    }

    /// Differentiated services code point, 0 to 63.
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.tos >> 2
    }

    /// Explicit congestion notification: 0 not capable, 1 and 2 capable, 3 congestion experienced.
    #[must_use]
    pub const fn ecn(&self) -> u8 {
        self.tos & 3
    }

    /// Whether these options hold a source route that is not done yet: `dst` is then only a stop on the way (RFC 791 3.1).
    #[must_use]
    pub fn is_under_way(options: &[u8]) -> bool {
        Options(options).flatten().any(|option| matches!(*option, [LOOSE_ROUTE | STRICT_ROUTE, length, pointer, ..] if pointer <= length))
    }
}

impl Header for Ipv4 {
    #[inline(always)]
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.ipv4(key!("src"), self.src);
        out.ipv4(key!("dst"), self.dst);
        out.named(key!("protocol"), self.protocol.into(), number::ip::name(self.protocol));
        out.num(key!("ttl"), self.ttl.into());
        out.num(key!("total_length"), self.total_length.into());
        out.num(key!("id"), self.id.into());
        out.num(key!("dscp"), self.dscp().into());
        out.num(key!("ecn"), self.ecn().into());
        if self.dont_fragment {
            out.flag(key!("dont_fragment"), true);
        }
        if self.is_fragment() || self.reserved_flag {
            fragment(self, out);
        }
        out.hex(key!("checksum"), self.checksum.into(), 4);
        if out.wants_details() {
            options(view.header.get(Self::LENGTH..).unwrap_or_default(), out);
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        out.text("id ");
        out.num(self.id.into());
        out.text(" ttl ");
        out.num(self.ttl.into());
        out.text(" len ");
        out.num(self.total_length.into());
        if self.is_fragment() {
            out.text(" fragment ");
            out.num(self.fragment_offset.into());
            if self.more_fragments {
                out.text(" more");
            }
        }
    }

    #[inline]
    fn fault(&self, view: View<'_>) -> Option<Fault> {
        if view.header.len() > Self::LENGTH { options_fault(view.header) } else { None }
    }
}

/// Rare, but inlined all the same: handed to a function, the writer would have its place in memory for the whole header (see `pen.rs`).
#[inline(always)]
fn fragment<F: Fields>(header: &Ipv4, out: &mut F) {
    if header.more_fragments {
        out.flag(key!("more_fragments"), true);
    }
    if header.fragment_offset != 0 {
        out.num(key!("fragment_offset"), header.fragment_offset.into());
    }
    if header.reserved_flag {
        out.flag(key!("reserved_flag"), true);
    }
}

/// The options of IPv4 (RFC 791 3.1) and of TCP (RFC 9293 3.1), which have one form: a kind, and unless it is 0 (end) or 1
/// (padding) the length of the whole. Yields whole options; a length that cannot be ends the list with the bytes that are left.
#[derive(Clone, Debug)]
pub(super) struct Options<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Result<&'a [u8], &'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match *self.0 {
                [] | [0, ..] => return None,
                [1, ref rest @ ..] => self.0 = rest,
                [_, length, ..] if length >= 2 => {
                    let Some((option, rest)) = self.0.split_at_checked(length.into()) else { return self.fault() };
                    self.0 = rest;
                    return Some(Ok(option));
                }
                _ => return self.fault(),
            }
        }
    }
}

impl<'a> Options<'a> {
    fn fault(&mut self) -> Option<Result<&'a [u8], &'a [u8]>> {
        Some(Err(std::mem::take(&mut self.0)))
    }
}

/// The first option of an IPv4 or TCP header that cannot be. Both have 20 bytes in front of the options.
#[cold]
pub(super) fn options_fault(header: &[u8]) -> Option<Fault> {
    let rest = Options(header.get(Ipv4::LENGTH..)?).find_map(Result::err)?;
    let (at, room) = (header.len() - rest.len(), Room::whole(header.len()));
    match *rest {
        [_, length @ ..2, ..] => Some(Fault::wrong(at, if length == 0 { "option length 0" } else { "option length 1" })),
        [_, length, ..] => room.lacking(at, length.into(), "option beyond the header"),
        _ => room.lacking(at, 2, "option beyond the header"),
    }
}

/// Loose and strict source routes: the packet is not at its last destination yet while the pointer is inside the route.
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;

const fn option_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        7 => "record-route",
        68 => "timestamp",
        130 => "security",
        LOOSE_ROUTE => "loose-source-route",
        STRICT_ROUTE => "strict-source-route",
        136 => "stream-id",
        148 => "router-alert",
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
                match *option {
                    [7 | LOOSE_ROUTE | STRICT_ROUTE, _, pointer, ref addresses @ ..] => {
                        out.num(key!("pointer"), pointer.into());
                        out.open_list(key!("addresses"));
                        for address in addresses.as_chunks::<4>().0 {
                            out.open_item();
                            out.ipv4(key!("address"), (*address).into());
                            out.close_item();
                        }
                        out.close_list();
                    }
                    _ => out.bytes(key!("data"), &option[2..]),
                }
            }
            Err(rest) => out.bytes(key!("malformed"), rest),
        }
        out.close_item();
    }
    out.close_list();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, renders_every_cut, summary, view};
    use proptest::prelude::*;

    const FIRST_FRAGMENT: [u8; 20] = [0x45, 0xb9, 0, 84, 0, 5, 0x20, 0, 64, 17, 0xab, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2];

    #[test]
    fn the_fields_have_the_names_of_the_schema() {
        let header = Ipv4::parse(&FIRST_FRAGMENT);
        assert_eq!(
            fields(&header, view(&FIRST_FRAGMENT, 20), Extent::Short),
            "src=10.0.0.1 dst=10.0.0.2 protocol=17 ttl=64 total_length=84 id=5 dscp=46 ecn=1 more_fragments=true checksum=0xabcd"
        );
        assert_eq!(summary(&header, view(&FIRST_FRAGMENT, 20)), "id 5 ttl 64 len 84 fragment 0 more");
        assert!(header.is_fragment() && !header.is_later_fragment());
    }

    #[test]
    fn the_offset_is_in_bytes_up_to_the_last_one_that_13_bits_reach() {
        let mut bytes = FIRST_FRAGMENT;
        bytes[6..8].copy_from_slice(&[0x1f, 0xff]);
        let header = Ipv4::parse(&bytes);
        assert_eq!((header.fragment_offset, header.is_later_fragment(), header.emit()), (65528, true, bytes));
    }

    #[test]
    fn a_source_route_is_listed_and_says_whether_it_is_done() {
        let route = [1, 131, 11, 4, 192, 0, 2, 1, 192, 0, 2, 2, 148, 4, 0, 0, 200, 77];
        let mut packet = FIRST_FRAGMENT.to_vec();
        packet.extend(route);
        let header = Ipv4::parse(&FIRST_FRAGMENT);
        let written = fields(&header, View { header: &packet, payload: &[], claimed: 0 }, Extent::Details);
        let options =
            "options=[{type=131 pointer=4 addresses=[{address=192.0.2.1}{address=192.0.2.2}]}{type=148 data=0000}{malformed=c84d}]";
        assert!(written.ends_with(options), "{written}");
        assert!(Ipv4::is_under_way(&route));
        assert!(!Ipv4::is_under_way(&[131, 7, 8, 192, 0, 2, 1]));
        assert!(!Ipv4::is_under_way(&[148, 4, 0, 0, 131]));
    }

    #[test]
    fn the_first_option_that_cannot_be_is_the_fault() {
        let fault = |options: &[u8]| {
            let packet = [&FIRST_FRAGMENT[..], options].concat();
            let view = View { header: &packet, payload: &[], claimed: 0 };
            Ipv4::parse(&FIRST_FRAGMENT).fault(view).map(|fault| (fault.offset, fault.need, fault.have, fault.reason.unwrap()))
        };
        assert_eq!(fault(&[]), None);
        assert_eq!(fault(&[1, 148, 4, 0, 0, 0, 200, 77]), None, "nothing counts behind the end");
        assert_eq!(fault(&[148, 4, 0, 0, 7, 0, 3, 9]), Some((24, 0, 0, "option length 0")));
        assert_eq!(fault(&[148, 4, 0, 0, 7, 5, 3, 9]), Some((24, 5, 4, "option beyond the header")));
        assert_eq!(fault(&[1, 1, 1, 148]), Some((23, 2, 1, "option beyond the header")));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(mut bytes: [u8; 20]) {
            bytes[0] = 0x40 | bytes[0] & 0x0f;
            prop_assert_eq!(Ipv4::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_options_are_rendered_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 20..60)) {
            let header = Ipv4::parse(bytes.first_chunk().unwrap());
            renders_every_cut(&header, &bytes, 20, 2000);
            fields(&header, View { header: &bytes, payload: &[], claimed: 0 }, Extent::Details);
        }
    }
}
