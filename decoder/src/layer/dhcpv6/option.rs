//! What does a DHCPv6 option say? Code, length, value (RFC 8415 21), and the options in options.

use crate::fields::{Fields, Key, key};
use crate::layer::fault::{Fault, Room};
use crate::text::Text;
use std::net::Ipv6Addr;

pub(super) const CLIENT_ID: u16 = 1;
pub(super) const SERVER_ID: u16 = 2;
pub(super) const RELAY_MESSAGE: u16 = 9;
const IA_NA: u16 = 3;
const IA_TA: u16 = 4;
const ADDRESS: u16 = 5;
const STATUS: u16 = 13;
const IA_PD: u16 = 25;
const PREFIX: u16 = 26;

/// More items than this are cut off with `more`.
const LIST_MAX: usize = 64;

/// The options in order, up to the first that is not all there.
struct Options<'a> {
    /// The bytes not read yet; at the end, those of an option that is not all there.
    rest: &'a [u8],
}

const fn options(rest: &[u8]) -> Options<'_> {
    Options { rest }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[a, b, c, d], rest) = self.rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([c, d]).into())?;
        self.rest = rest;
        Some((u16::from_be_bytes([a, b]), value))
    }
}

/// The first option that cannot be, of those in `bytes`, which stand at `at` of the message; of those of the identity associations
/// too.
pub(super) fn fault(bytes: &[u8], at: usize, room: Room) -> Option<Fault> {
    each(bytes, at, room, |code, value, at| {
        let inside = association(code)?;
        // The association itself is all there: what is wrong in it is the sender's fault.
        let whole = Room::whole(at + value.len());
        whole
            .lacking(at, inside, "association shorter than its fixed part")
            .or_else(|| each(value.get(inside..)?, at + inside, whole, lease_fault))
    })
}

fn lease_fault(code: u16, value: &[u8], at: usize) -> Option<Fault> {
    let need = match code {
        ADDRESS => 24,
        PREFIX => 25,
        _ => 0,
    };
    Room::whole(at + value.len()).lacking(at, need, "lease shorter than its fixed part")
}

/// The first fault that `look` finds in an option (code, value, where the value stands), or the option that is not all there.
fn each(bytes: &[u8], at: usize, room: Room, look: impl Fn(u16, &[u8], usize) -> Option<Fault>) -> Option<Fault> {
    let mut options = options(bytes);
    while let Some((code, value)) = options.next() {
        let found = look(code, value, at + bytes.len() - options.rest.len() - value.len());
        if found.is_some() {
            return found;
        }
    }
    let need = match *options.rest {
        [_, _, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => 4,
    };
    room.left(at + bytes.len() - options.rest.len(), need, "option beyond the message")
}

/// The value of the first option of a code, and where it stands in `bytes`.
pub(super) fn find_at(bytes: &[u8], code: u16) -> Option<(usize, &[u8])> {
    let mut options = options(bytes);
    let (_, value) = options.by_ref().find(|(found, _)| *found == code)?;
    Some((bytes.len() - options.rest.len() - value.len(), value))
}

/// The value of the first option of a code.
pub(super) fn find(bytes: &[u8], code: u16) -> Option<&[u8]> {
    find_at(bytes, code).map(|(_, value)| value)
}

/// An address or a prefix that a server leases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lease {
    ip: Ipv6Addr,
    /// Length of a prefix in bits; `None` for an address.
    prefix: Option<u8>,
    /// Lifetimes in seconds; `u32::MAX` is for ever.
    preferred: u32,
    valid: u32,
}

impl Lease {
    fn read(code: u16, value: &[u8]) -> Option<Self> {
        let word = |at: usize| value.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
        let ip = |at: usize| value.get(at..)?.first_chunk::<16>().copied().map(Ipv6Addr::from);
        match code {
            ADDRESS => Some(Self { ip: ip(0)?, prefix: None, preferred: word(16)?, valid: word(20)? }),
            PREFIX => Some(Self { ip: ip(9)?, prefix: Some(*value.get(8)?), preferred: word(0)?, valid: word(4)? }),
            _ => None,
        }
    }

    fn write(&self, out: &mut Text) {
        out.ipv6(self.ip);
        if let Some(prefix) = self.prefix {
            out.byte(b'/');
            out.octet(prefix);
        }
    }
}

/// Where the options of an identity association begin in its value: behind IAID, and T1 and T2 where it has them.
const fn association(code: u16) -> Option<usize> {
    match code {
        IA_NA | IA_PD => Some(12),
        IA_TA => Some(4),
        _ => None,
    }
}

/// The leases of all identity associations.
fn all_leases(bytes: &[u8]) -> impl Iterator<Item = Lease> {
    options(bytes)
        .filter_map(|(code, value)| value.get(association(code)?..))
        .flat_map(options)
        .filter_map(|(code, value)| Lease::read(code, value))
}

/// The leases, and the status where the server gave one.
pub(super) fn leases<F: Fields>(bytes: &[u8], out: &mut F) {
    if let Some(code) = find(bytes, STATUS).and_then(|value| value.first_chunk()) {
        let code = u16::from_be_bytes(*code);
        out.named(key!("status"), code.into(), status_name(code));
    }
    let mut leases = all_leases(bytes).take(LIST_MAX + 1).enumerate().peekable();
    if leases.peek().is_none() {
        return;
    }
    out.open_list(key!("leases"));
    for (index, lease) in leases {
        out.open_item();
        if index == LIST_MAX {
            out.flag(key!("more"), true);
        } else {
            match lease.prefix {
                None => out.ipv6(key!("address"), lease.ip),
                Some(length) => {
                    out.ipv6(key!("prefix"), lease.ip);
                    out.num(key!("prefix_length"), length.into());
                }
            }
            out.num(key!("preferred_seconds"), lease.preferred.into());
            out.num(key!("valid_seconds"), lease.valid.into());
        }
        out.close_item();
    }
    out.close_list();
}

/// The first lease and the status, if it is an error.
pub(super) fn summary(bytes: &[u8], out: &mut Text) {
    if let Some(lease) = all_leases(bytes).next() {
        out.byte(b' ');
        lease.write(out);
    }
    match find(bytes, STATUS).and_then(|value| value.first_chunk()).map(|code| u16::from_be_bytes(*code)) {
        None | Some(0) => {}
        Some(code) => {
            out.text(" status ");
            match status_name(code) {
                Some(name) => out.text(name),
                None => out.num(code.into()),
            }
        }
    }
}

const fn status_name(code: u16) -> Option<&'static str> {
    Some(match code {
        0 => "success",
        1 => "unspecified-failure",
        2 => "no-addresses-available",
        3 => "no-binding",
        4 => "not-on-link",
        5 => "use-multicast",
        6 => "no-prefix-available",
        _ => return None,
    })
}

/// How the value of an option is shown.
#[derive(Clone, Copy)]
enum Form {
    /// IPv6 addresses.
    Addresses,
    /// Big-endian numbers of so many bytes each.
    Numbers(usize),
    /// What a packet claims to be text, behind so many bytes of something else.
    Text(usize),
    /// Anything else.
    Bytes,
}

/// Name and form of the options that people meet (registry of IANA, "DHCPv6 Option Codes").
const fn known(code: u16) -> (Option<&'static str>, Form) {
    use Form::{Addresses, Bytes, Numbers, Text};
    let (name, form) = match code {
        CLIENT_ID => ("client id", Bytes),
        SERVER_ID => ("server id", Bytes),
        IA_NA => ("ia-na", Bytes),
        IA_TA => ("ia-ta", Bytes),
        ADDRESS => ("address", Bytes),
        6 => ("option request", Numbers(2)),
        7 => ("preference", Numbers(1)),
        8 => ("elapsed hundredths", Numbers(2)),
        RELAY_MESSAGE => ("relay message", Bytes),
        11 => ("authentication", Bytes),
        12 => ("server unicast", Addresses),
        STATUS => ("status", Text(2)),
        14 => ("rapid commit", Bytes),
        15 => ("user class", Bytes),
        16 => ("vendor class", Bytes),
        17 => ("vendor options", Bytes),
        18 => ("interface id", Bytes),
        19 => ("reconfigure message", Numbers(1)),
        20 => ("reconfigure accept", Bytes),
        23 => ("dns servers", Addresses),
        24 => ("domain search", Bytes),
        IA_PD => ("ia-pd", Bytes),
        PREFIX => ("prefix", Bytes),
        31 => ("sntp servers", Addresses),
        32 => ("information refresh seconds", Numbers(4)),
        37 => ("remote id", Bytes),
        39 => ("client fqdn", Bytes),
        56 => ("ntp server", Bytes),
        59 => ("boot file url", Text(0)),
        61 => ("client architecture", Numbers(2)),
        79 => ("client link-layer address", Bytes),
        82 => ("solicit retransmit seconds max", Numbers(4)),
        _ => return (None, Bytes),
    };
    (Some(name), form)
}

/// All options; those of identity associations are in `leases`, a relayed message is shown for itself.
pub(super) fn fields<F: Fields>(list: Key, bytes: &[u8], out: &mut F) {
    let mut scratch = Text::new();
    out.open_list(list);
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
        match (code, form) {
            (RELAY_MESSAGE, _) => out.num(key!("bytes"), value.len() as u64),
            (IA_NA | IA_TA | IA_PD, _) => {
                // IAID, T1 and T2 where the association has them.
                for (key, word) in [key!("iaid"), key!("t1_seconds"), key!("t2_seconds")].into_iter().zip(value.chunks_exact(4)) {
                    out.num(key, number(word));
                    if code == IA_TA {
                        break;
                    }
                }
            }
            (_, Form::Addresses) if value.len().is_multiple_of(16) => {
                for (index, octets) in value.chunks_exact(16).enumerate() {
                    scratch.text(if index > 0 { ", " } else { "" });
                    scratch.ipv6(octets.first_chunk::<16>().copied().unwrap_or_default().into());
                }
                out.text(key!("value"), scratch.as_bytes());
            }
            (_, Form::Numbers(width)) if value.len().is_multiple_of(width) => {
                for (index, word) in value.chunks_exact(width).enumerate() {
                    scratch.text(if index > 0 { ", " } else { "" });
                    scratch.num(number(word));
                }
                out.text(key!("value"), scratch.as_bytes());
            }
            (_, Form::Text(skip)) if value.len() >= skip => out.text(key!("value"), &value[skip..]),
            // Also a value whose length is not the one of its form.
            _ => out.bytes(key!("value"), value),
        }
        out.close_item();
    }
    out.close_list();
}

/// A big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_is_read_with_its_length() {
        let mut value = vec![0, 0, 0, 60, 0, 0, 0, 120, 56, 0xfd];
        value.extend([0; 15]);
        let lease = Lease::read(PREFIX, &value).unwrap();
        assert_eq!(lease, Lease { ip: "fd00::".parse().unwrap(), prefix: Some(56), preferred: 60, valid: 120 });
        assert_eq!(Lease::read(PREFIX, &value[..24]), None);
    }

    #[test]
    fn an_error_status_is_told() {
        let mut text = Text::new();
        summary(&[0, 13, 0, 4, 0, 2, b'n', b'o'], &mut text);
        assert_eq!(text.as_bytes(), b" status no-addresses-available");
    }

    proptest! {
        #[test]
        fn options_of_any_bytes_end(bytes: Vec<u8>) {
            prop_assert!(options(&bytes).map(|(_, value)| value.len() + 4).sum::<usize>() <= bytes.len());
        }
    }
}
