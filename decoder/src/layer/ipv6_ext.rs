//! What stands between an IPv6 header and its payload? The extension headers of RFC 8200 4 (also mobility, HIP and Shim6,
//! which share their form).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Next header  | Length / 8 - 1|  Options or routing data ...  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!                      the fragment header (44):
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Next header  |    Reserved   |     Fragment offset     |Res|M|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                         Identification                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::fault::{Fault, Room};
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;

/// What a fragment header says (RFC 8200 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where the fragment stands in the fragmentable part, in bytes; a multiple of 8.
    pub offset: u16,
    /// Not the last fragment.
    pub more: bool,
    /// Shared by the fragments of a packet.
    pub id: u32,
}

/// An IPv6 extension header: its first 8 bytes, which every one has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6Ext {
    /// Its own number, from the next-header field before it.
    pub header: u8,
    /// Protocol of the header behind it.
    pub next_header: u8,
    /// The second byte: length in 8-byte units, not counting the first 8 bytes; reserved in a fragment header.
    pub length_field: u8,
    /// What the header says when it is a fragment header.
    pub fragment: Option<Fragment>,
}

impl Ipv6Ext {
    /// The least length of an extension header in bytes.
    pub const LENGTH: usize = 8;

    /// Reads the first 8 bytes of the extension header with the number `header`.
    #[must_use]
    #[inline]
    pub const fn parse(header: u8, b: &[u8; Self::LENGTH]) -> Self {
        let fragment = if header == number::ip::FRAGMENT {
            Some(Fragment {
                // 13 bits in units of 8 bytes, above three bits: masking the three is the multiplication.
                offset: u16::from_be_bytes([b[2], b[3]]) & 0xfff8,
                more: b[3] & 1 != 0,
                id: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            })
        } else {
            None
        };
        Self { header, next_header: b[0], length_field: b[1], fragment }
    }

    /// Writes the first 8 bytes; those that this struct does not hold become zero.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        match self.fragment {
            Some(fragment) => {
                let ([high, low], [a, b, c, d]) =
                    ((fragment.offset & 0xfff8 | fragment.more as u16).to_be_bytes(), fragment.id.to_be_bytes());
                [self.next_header, self.length_field, high, low, a, b, c, d]
            }
            None => [self.next_header, self.length_field, 0, 0, 0, 0, 0, 0],
        }
    }

    /// Length of the whole header in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        if self.header == number::ip::FRAGMENT { 8 } else { (self.length_field as usize + 1) * 8 }
    }

    /// The length of a jumbo payload (RFC 2675 2), when these bytes of a hop-by-hop header carry one.
    #[must_use]
    pub fn jumbo_length(header: &[u8]) -> Option<u32> {
        options(header).find_map(|option| match *option {
            [JUMBO, 4, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
            _ => None,
        })
    }

    /// The name of the header; that of an extension which the suite does not know is `extension`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match number::ip::name(self.header) {
            Some(name) => name,
            None => "extension",
        }
    }
}

/// The option type of a jumbo payload (RFC 2675 2).
const JUMBO: u8 = 0xc2;

/// The options of a hop-by-hop or destination header without padding: whole options, kind and length included.
struct Options<'a> {
    /// The bytes not read yet; at the end, those of an option that is not all there.
    rest: &'a [u8],
}

fn options(header: &[u8]) -> Options<'_> {
    Options { rest: header.get(2..).unwrap_or_default() }
}

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match *self.rest {
                [0, ref tail @ ..] => self.rest = tail,
                [kind, length, ..] => {
                    let (option, tail) = self.rest.split_at_checked(usize::from(length) + 2)?;
                    self.rest = tail;
                    if kind != 1 {
                        return Some(option);
                    }
                }
                _ => return None,
            }
        }
    }
}

/// Options that are shown; a header has room for a thousand.
const LISTED: usize = 64;

const fn option_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x04 => "tunnel-encapsulation-limit",
        0x05 => "router-alert",
        0x07 => "calipso",
        0x11 | 0x31 => "ioam",
        0x26 => "quick-start",
        0x30 => "path-mtu",
        0x63 | 0x23 => "rpl",
        0x6d => "mpl",
        JUMBO => "jumbo-payload",
        0xc9 => "home-address",
        _ => return None,
    })
}

const fn routing_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "source-route",
        2 => "mobile",
        3 => "rpl",
        4 => "segment-routing",
        _ => return None,
    })
}

impl Header for Ipv6Ext {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("header"), self.header.into());
        out.text(key!("name"), self.name().as_bytes());
        out.named(key!("next_header"), self.next_header.into(), number::ip::name(self.next_header));
        match (self.header, view.header) {
            (number::ip::FRAGMENT, _) => {
                if let Some(fragment) = self.fragment {
                    out.num(key!("fragment_offset"), fragment.offset.into());
                    out.flag(key!("more_fragments"), fragment.more);
                    out.num(key!("id"), fragment.id.into());
                }
            }
            (number::ip::HOP_BY_HOP | number::ip::DESTINATION, header) => {
                if let Some(length) = Self::jumbo_length(header) {
                    out.num(key!("jumbo_length"), length.into());
                }
                if out.wants_details() {
                    option_list(header, out);
                }
            }
            (number::ip::ROUTING, [_, _, kind, left, rest @ ..]) => {
                out.named(key!("routing_type"), (*kind).into(), routing_name(*kind));
                out.num(key!("segments_left"), (*left).into());
                if out.wants_details() {
                    route(*kind, rest, out);
                }
            }
            _ => {}
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        out.text(self.name());
        match (self.header, view.header) {
            (number::ip::FRAGMENT, _) => {
                if let Some(fragment) = self.fragment {
                    out.text(" id ");
                    out.num(fragment.id.into());
                    out.text(" offset ");
                    out.num(fragment.offset.into());
                    if fragment.more {
                        out.text(" more");
                    }
                }
            }
            (number::ip::HOP_BY_HOP | number::ip::DESTINATION, header) => {
                for name in options(header).take(4).filter_map(|option| option_name(option[0])) {
                    out.byte(b' ');
                    out.text(name);
                }
            }
            (number::ip::ROUTING, [_, _, kind, left, ..]) => {
                out.text(" type ");
                out.num((*kind).into());
                out.text(" segments-left ");
                out.num((*left).into());
            }
            _ => {}
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        if !matches!(self.header, number::ip::HOP_BY_HOP | number::ip::DESTINATION) {
            return None;
        }
        let (header, room) = (view.header, Room::header(view));
        let mut options = options(header);
        while let Some(option) = options.next() {
            let reason = match *option {
                // RFC 2675 2: shorter payloads have their length in the IPv6 header.
                [JUMBO, 4, 0, 0, _, _] => "jumbo length below 65536",
                [JUMBO, 4, ..] => continue,
                [JUMBO, ..] => "jumbo option of a wrong length",
                _ => continue,
            };
            return Some(Fault::wrong(header.len() - options.rest.len() - option.len(), reason));
        }
        let at = header.len() - options.rest.len();
        room.left(at, options.rest.get(1).map_or(2, |&length| usize::from(length) + 2), "option beyond the header")
    }
}

fn option_list<F: Fields>(header: &[u8], out: &mut F) {
    let mut options = options(header).peekable();
    if options.peek().is_none() {
        return;
    }
    out.open_list(key!("options"));
    for option in options.by_ref().take(LISTED) {
        out.open_item();
        out.hex_named(key!("type"), option[0].into(), 2, option_name(option[0]));
        match *option {
            // RFC 2711 2.1: 0 is MLD, 1 RSVP, 2 active networks.
            [5, 2, high, low] => out.num(key!("value"), u16::from_be_bytes([high, low]).into()),
            [JUMBO, 4, a, b, c, d] => out.num(key!("length"), u32::from_be_bytes([a, b, c, d]).into()),
            _ => out.bytes(key!("data"), &option[2..]),
        }
        out.close_item();
    }
    if options.peek().is_some() {
        out.open_item();
        out.flag(key!("more"), true);
        out.close_item();
    }
    out.close_list();
}

/// The addresses of a routing header, from its fifth byte on (RFC 5095 for type 0, RFC 6275 6.4 for 2, RFC 8754 2 for 4).
fn route<F: Fields>(kind: u8, rest: &[u8], out: &mut F) {
    let count = match (kind, rest) {
        // Segment routing counts its segments; type-length-value objects may follow them.
        (4, [last, flags, high, low, ..]) => {
            out.hex(key!("flags"), (*flags).into(), 2);
            out.num(key!("tag"), u16::from_be_bytes([*high, *low]).into());
            usize::from(*last) + 1
        }
        (0 | 2, _) => usize::MAX,
        _ => 0,
    };
    let addresses = rest.get(4..).unwrap_or_default().as_chunks::<16>().0;
    if count == 0 || addresses.is_empty() {
        return;
    }
    out.open_list(key!("addresses"));
    for address in addresses.iter().take(count.min(LISTED)) {
        out.open_item();
        out.ipv6(key!("address"), (*address).into());
        out.close_item();
    }
    if addresses.len().min(count) > LISTED {
        out.open_item();
        out.flag(key!("more"), true);
        out.close_item();
    }
    out.close_list();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, renders_every_cut, summary};
    use proptest::prelude::*;

    fn read(number: u8, bytes: &[u8]) -> (Ipv6Ext, View<'_>) {
        (Ipv6Ext::parse(number, bytes.first_chunk().unwrap()), View { header: bytes, payload: &[], claimed: 0 })
    }

    #[test]
    fn a_fragment_header_is_eight_bytes_whatever_its_second_byte_says() {
        let bytes = [number::ip::UDP, 0xff, 0x05, 0xa9, 0, 0, 0, 9];
        let (header, view) = read(number::ip::FRAGMENT, &bytes);
        assert_eq!(header.fragment, Some(Fragment { offset: 1448, more: true, id: 9 }));
        assert_eq!((header.length(), header.emit()), (8, bytes));
        assert_eq!(
            fields(&header, view, Extent::Short),
            "header=44 name=\"fragment\" next_header=17 fragment_offset=1448 more_fragments=true id=9"
        );
        assert_eq!(summary(&header, view), "fragment id 9 offset 1448 more");
    }

    #[test]
    fn a_jumbo_length_is_found_behind_padding_and_other_options() {
        let bytes = [number::ip::TCP, 1, 0, 1, 0, 5, 2, 0, 0, 0xc2, 4, 0, 1, 0x86, 0xa0, 0];
        let (header, view) = read(number::ip::HOP_BY_HOP, &bytes);
        assert_eq!(header.length(), 16);
        assert_eq!(Ipv6Ext::jumbo_length(&bytes), Some(100_000));
        assert_eq!(
            fields(&header, view, Extent::Details),
            "header=0 name=\"hop-by-hop\" next_header=6 jumbo_length=100000 options=[{type=0x05 value=0}{type=0xc2 length=100000}]"
        );
        assert_eq!(summary(&header, view), "hop-by-hop router-alert jumbo-payload");
        // An option that runs over the end hides what seems to follow.
        assert_eq!(Ipv6Ext::jumbo_length(&[6, 0, 5, 40, 0xc2, 4, 0, 1, 0, 0]), None);
        assert_eq!(Ipv6Ext::jumbo_length(&bytes[..12]), None);
        assert_eq!(Ipv6Ext::jumbo_length(&[]), None);
    }

    #[test]
    fn a_short_jumbogram_and_an_option_beyond_the_header_are_faults() {
        let fault = |bytes: &[u8]| {
            let (header, view) = read(number::ip::HOP_BY_HOP, bytes);
            header.fault(view).map(|fault| (fault.offset, fault.need, fault.have, fault.reason.unwrap()))
        };
        assert_eq!(fault(&[6, 0, 0xc2, 4, 0, 1, 0, 0]), None);
        assert_eq!(fault(&[6, 0, 0xc2, 4, 0, 0, 0xff, 0xff]), Some((2, 0, 0, "jumbo length below 65536")));
        assert_eq!(fault(&[6, 0, 0, 0xc2, 3, 0, 1, 0]), Some((3, 0, 0, "jumbo option of a wrong length")));
        assert_eq!(fault(&[6, 0, 1, 0, 5, 3, 0, 0]), Some((4, 5, 4, "option beyond the header")));
        assert_eq!(fault(&[6, 0, 1, 3, 0, 0, 0, 5]), Some((7, 2, 1, "option beyond the header")));
        let (routing, view) = read(number::ip::ROUTING, &[6, 0, 5, 40, 0, 0, 0, 0]);
        assert_eq!(routing.fault(view), None, "a routing header has no options");
    }

    #[test]
    fn a_segment_list_ends_where_it_says() {
        let mut bytes = vec![number::ip::IPV6, 4, 4, 1, 0, 0, 0, 7];
        bytes.extend([0xfd; 16]);
        // A TLV behind the only segment is no address.
        bytes.extend([5; 16]);
        let (header, view) = read(number::ip::ROUTING, &bytes);
        let address = "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd";
        assert_eq!(
            fields(&header, view, Extent::Details),
            format!(
                "header=43 name=\"routing\" next_header=41 routing_type=4 segments_left=1 flags=0x00 tag=7 addresses=[{{address={address}}}]"
            )
        );
        assert_eq!(summary(&header, view), "routing type 4 segments-left 1");
    }

    #[test]
    fn a_thousand_options_are_cut_and_say_so() {
        let mut bytes = vec![6, 255];
        bytes.extend([0x1e, 0].repeat(1023));
        let (header, view) = read(number::ip::DESTINATION, &bytes);
        let written = fields(&header, view, Extent::Details);
        assert_eq!(written.matches("type=0x1e").count(), LISTED);
        assert!(written.ends_with("{more=true}]"), "{written}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_rendered_within_bounds(number: u8, bytes in proptest::collection::vec(any::<u8>(), 8..100)) {
            let (header, view) = read(number, &bytes);
            renders_every_cut(&header, &bytes, 8, 4000);
            prop_assert!(fields(&header, view, Extent::Details).len() < 4000);
            prop_assert!(summary(&header, view).len() < 200);
        }

        #[test]
        fn a_fragment_header_survives(next_header: u8, length_field: u8, eighths in 0u16..0x2000, more: bool, id: u32) {
            let fragment = Some(Fragment { offset: eighths * 8, more, id });
            let header = Ipv6Ext { header: number::ip::FRAGMENT, next_header, length_field, fragment };
            prop_assert_eq!(Ipv6Ext::parse(number::ip::FRAGMENT, &header.emit()), header);
        }
    }
}
