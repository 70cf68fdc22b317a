//! What does a DHCP option say? Code, length, value (RFC 2132), and how to show the common ones.

use super::Dhcp;
use crate::fields::{Fields, key};
use crate::layer::fault::{Fault, Room};
use crate::text::Text;
use std::net::Ipv4Addr;

pub(super) const HOST_NAME: u8 = 12;
pub(super) const REQUESTED_IP: u8 = 50;
pub(super) const LEASE: u8 = 51;
pub(super) const MESSAGE_TYPE: u8 = 53;
pub(super) const SERVER_ID: u8 = 54;
const PAD: u8 = 0;
const END: u8 = 255;

/// More options than this are cut off with `more`.
const LIST_MAX: usize = 64;

/// The options in order, up to the end or to the first that is not all there.
struct Options<'a> {
    /// The bytes not read yet: at the end those of the end option, or of one that is not all there.
    rest: &'a [u8],
}

const fn options(rest: &[u8]) -> Options<'_> {
    Options { rest }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match *self.rest {
                [] | [END, ..] => return None,
                [PAD, ref rest @ ..] => self.rest = rest,
                [code, length, ref rest @ ..] => {
                    let (value, rest) = rest.split_at_checked(length.into())?;
                    self.rest = rest;
                    return Some((code, value));
                }
                [_] => return None,
            }
        }
    }
}

/// The first option that is not all there, of those in `bytes`, which stand at `at` of the message.
pub(super) fn fault(bytes: &[u8], at: usize, room: Room) -> Option<Fault> {
    let mut options = options(bytes);
    options.by_ref().for_each(drop);
    let at = at + bytes.len() - options.rest.len();
    match *options.rest {
        [END, ..] => None,
        // Not every sender writes the end.
        [] => room.left(at, 1, ""),
        [_, length, ..] => room.lacking(at, 2 + usize::from(length), "option beyond the message"),
        [_] => room.lacking(at, 2, "option beyond the message"),
    }
}

/// The value of the first option of a code.
pub(super) fn find(bytes: &[u8], code: u8) -> Option<&[u8]> {
    options(bytes).find(|(found, _)| *found == code).map(|(_, value)| value)
}

/// How the value of an option is shown.
#[derive(Clone, Copy)]
enum Form {
    /// IPv4 addresses.
    Addresses,
    /// Big-endian numbers of so many bytes each.
    Numbers(usize),
    /// What a packet claims to be text.
    Text,
    /// The message type.
    Message,
    /// Anything else.
    Bytes,
}

/// Name and form of the options that people meet (registry of IANA, "BOOTP Vendor Extensions and DHCP Options").
const fn known(code: u8) -> (Option<&'static str>, Form) {
    use Form::{Addresses, Bytes, Message, Numbers, Text};
    let (name, form) = match code {
        1 => ("subnet mask", Addresses),
        2 => ("time offset", Numbers(4)),
        3 => ("routers", Addresses),
        6 => ("dns servers", Addresses),
        7 => ("log servers", Addresses),
        12 => ("host name", Text),
        15 => ("domain name", Text),
        17 => ("root path", Text),
        23 => ("default ttl", Numbers(1)),
        26 => ("mtu", Numbers(2)),
        28 => ("broadcast address", Addresses),
        33 => ("static routes", Addresses),
        42 => ("ntp servers", Addresses),
        43 => ("vendor specific", Bytes),
        44 => ("netbios name servers", Addresses),
        46 => ("netbios node type", Numbers(1)),
        50 => ("requested address", Addresses),
        51 => ("lease seconds", Numbers(4)),
        52 => ("overload", Numbers(1)),
        53 => ("message type", Message),
        54 => ("server id", Addresses),
        55 => ("parameter list", Numbers(1)),
        56 => ("message", Text),
        57 => ("message size max", Numbers(2)),
        58 => ("renewal seconds", Numbers(4)),
        59 => ("rebinding seconds", Numbers(4)),
        60 => ("vendor class", Text),
        61 => ("client id", Bytes),
        66 => ("tftp server name", Text),
        67 => ("boot file", Text),
        77 => ("user class", Text),
        80 => ("rapid commit", Bytes),
        81 => ("client fqdn", Bytes),
        82 => ("relay agent", Bytes),
        93 => ("client architecture", Numbers(2)),
        97 => ("client uuid", Bytes),
        108 => ("ipv6-only preferred", Numbers(4)),
        114 => ("captive portal", Text),
        116 => ("auto configure", Numbers(1)),
        118 => ("subnet selection", Addresses),
        119 => ("domain search", Bytes),
        121 => ("classless routes", Bytes),
        125 => ("vendor information", Bytes),
        150 => ("tftp servers", Addresses),
        252 => ("proxy autodiscovery", Text),
        _ => return (None, Bytes),
    };
    (Some(name), form)
}

/// All options.
pub(super) fn fields<F: Fields>(bytes: &[u8], out: &mut F) {
    let mut scratch = Text::new();
    out.open_list(key!("options"));
    for (count, (code, value)) in options(bytes).take(LIST_MAX + 1).enumerate() {
        out.open_item();
        if count == LIST_MAX {
            out.flag(key!("more"), true);
            out.close_item();
            break;
        }
        let (name, form) = known(code);
        out.num(key!("code"), code.into());
        if let Some(name) = name {
            out.text(key!("name"), name.as_bytes());
        }
        scratch.clear();
        match form {
            Form::Addresses if value.len().is_multiple_of(4) => {
                for (index, address) in value.chunks_exact(4).enumerate() {
                    scratch.text(if index > 0 { ", " } else { "" });
                    scratch.ipv4(Ipv4Addr::new(address[0], address[1], address[2], address[3]));
                }
                out.text(key!("value"), scratch.as_bytes());
            }
            Form::Numbers(width) if value.len().is_multiple_of(width) => {
                for (index, number) in value.chunks_exact(width).enumerate() {
                    scratch.text(if index > 0 { ", " } else { "" });
                    scratch.num(number.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)));
                }
                out.text(key!("value"), scratch.as_bytes());
            }
            Form::Text => out.text(key!("value"), value),
            Form::Message if value.len() == 1 => {
                out.text(key!("value"), Dhcp::message_name(value[0]).unwrap_or("unknown").as_bytes());
            }
            // Also a value whose length is not the one of its form.
            _ => out.bytes(key!("value"), value),
        }
        out.close_item();
    }
    out.close_list();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::StopKind;
    use proptest::prelude::*;

    #[test]
    fn padding_is_skipped_and_an_option_that_is_cut_ends_the_list() {
        let bytes = [0, 0, 1, 4, 255, 255, 255, 0, 0, 3, 8, 10, 0, 0, 1];
        assert_eq!(options(&bytes).collect::<Vec<_>>(), [(1, &[255, 255, 255, 0][..])]);
        assert_eq!(find(&bytes, 1), Some(&[255, 255, 255, 0][..]));
        assert_eq!(find(&bytes, 3), None);
    }

    #[test]
    fn an_option_that_is_cut_is_the_captures_fault_or_the_senders() {
        let found = |bytes: &[u8], missing: usize| {
            let room = Room { captured: 240 + bytes.len(), claimed: 240 + bytes.len() + missing };
            fault(bytes, 240, room).map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        assert_eq!(found(&[53, 1, 1, 255, 3, 9], 9), None, "nothing counts behind the end");
        assert_eq!(found(&[53, 1, 1], 0), None);
        assert_eq!(found(&[53, 1, 1], 5), Some((StopKind::Truncated, 243, 1, 0)));
        assert_eq!(found(&[53, 1, 1, 3, 8, 10], 5), Some((StopKind::Malformed, 243, 10, 8)));
        assert_eq!(found(&[53, 1, 1, 3, 8, 10], 7), Some((StopKind::Truncated, 243, 10, 3)));
        assert_eq!(found(&[0, 3], 0), Some((StopKind::Malformed, 241, 2, 1)));
    }

    proptest! {
        #[test]
        fn options_of_any_bytes_end(bytes: Vec<u8>) {
            prop_assert!(options(&bytes).map(|(_, value)| value.len() + 2).sum::<usize>() <= bytes.len());
        }
    }
}
