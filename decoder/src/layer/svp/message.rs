//! What does an SVP message ask or answer? What follows the header, by operation.
//!
//! | operation | bytes | layout |
//! |---|---|---|
//! | PING, PONG | 0 | |
//! | VL2_REQ, SHOOTDOWN | 12 | inner MAC 6, pad 2, network 4 |
//! | VL2_ACK | 20 | status 2, underlay port 2, underlay IP 16 |
//! | VL3_REQ | 24 | inner IP 16, type 4, network 4 |
//! | VL3_ACK | 28 | status 4, inner MAC 6, underlay port 2, underlay IP 16 |
//! | BULK_REQ | 4 | type 4 |
//! | BULK_ACK | 8 and more | status 4, type 4, data without a defined form |
//! | LOG_REQ | 20 | bytes wanted at most 4, underlay IP 16 |
//! | LOG_ACK | 4 and more | status 4, entries |
//! | LOG_RM | 4 + 16 n | count 4, UUIDs |
//! | LOG_RM_ACK | 4 | status 4 |

use crate::addr::{Mac, Ul3};
use crate::fields::{Fields, key};
use crate::layer::fault::{Fault, Room};
use crate::text::Text;
use std::net::{IpAddr, Ipv6Addr};

/// More entries than this are cut off with `more`.
const LIST_MAX: usize = 64;

/// Length in bytes of a log entry of type VL2: type 4, UUID 16, MAC 6, pad 2, network 4.
const LOG_VL2: usize = 32;
/// Length in bytes of a log entry of type VL3: type 4, UUID 16, IP 16, pad 2, VLAN 2, network 4.
const LOG_VL3: usize = 44;

/// What follows the header. Words as in illumos: VL2 is an inner MAC, VL3 an inner IP, UL3 the underlay's IP and port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message<'a> {
    Vl2 { mac: Mac, vnet: u32 },
    Vl2Reply { status: u32, ul3: Ul3 },
    Vl3 { ip: IpAddr, kind: u32, vnet: u32 },
    Vl3Reply { status: u32, mac: Mac, ul3: Ul3 },
    Bulk { kind: u32 },
    BulkReply { status: u32, kind: u32 },
    Log { bytes_max: u32, ip: IpAddr },
    LogReply { status: u32, entries: &'a [u8] },
    LogRemove { count: u32, uuids: &'a [u8] },
    Status(u32),
}

/// Whether `size` bytes are what an operation has; operations without a name may have any.
pub(super) const fn size_fits(operation: u16, size: u32) -> bool {
    match operation {
        1 | 2 => size == 0,
        3 | 0x0d => size == 12,
        4 => size == 20,
        5 => size == 24,
        6 => size == 28,
        7 | 0x0c => size == 4,
        8 => size >= 8,
        9 => size == 20,
        0x0a => size >= 4,
        0x0b => size >= 4 && (size - 4).is_multiple_of(16),
        _ => true,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn mac(bytes: &[u8], at: usize) -> Option<Mac> {
    bytes.get(at..)?.first_chunk().copied().map(Mac)
}

/// An address of 16 bytes; IPv4 stands as v4-mapped IPv6.
fn ip(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = *bytes.get(at..)?.first_chunk()?;
    Some(Ipv6Addr::from(octets).to_canonical())
}

impl<'a> Message<'a> {
    /// Reads what follows the header; `None` where there is nothing to read or not enough of it.
    pub(super) fn read(operation: u16, bytes: &'a [u8]) -> Option<Self> {
        Some(match operation {
            3 | 0x0d => Self::Vl2 { mac: mac(bytes, 0)?, vnet: word(bytes, 8)? },
            4 => Self::Vl2Reply { status: half(bytes, 0)?.into(), ul3: Ul3 { ip: ip(bytes, 4)?, port: Some(half(bytes, 2)?) } },
            5 => Self::Vl3 { ip: ip(bytes, 0)?, kind: word(bytes, 16)?, vnet: word(bytes, 20)? },
            6 => {
                let ul3 = Ul3 { ip: ip(bytes, 12)?, port: Some(half(bytes, 10)?) };
                Self::Vl3Reply { status: word(bytes, 0)?, mac: mac(bytes, 4)?, ul3 }
            }
            7 => Self::Bulk { kind: word(bytes, 0)? },
            8 => Self::BulkReply { status: word(bytes, 0)?, kind: word(bytes, 4)? },
            9 => Self::Log { bytes_max: word(bytes, 0)?, ip: ip(bytes, 4)? },
            0x0a => Self::LogReply { status: word(bytes, 0)?, entries: bytes.get(4..)? },
            0x0b => Self::LogRemove { count: word(bytes, 0)?, uuids: bytes.get(4..)? },
            0x0c => Self::Status(word(bytes, 0)?),
            _ => return None,
        })
    }

    pub(super) fn fields<F: Fields>(&self, out: &mut F) {
        match *self {
            Self::Vl2 { mac, vnet } => {
                out.num(key!("vnet"), vnet.into());
                out.mac(key!("mac"), mac);
            }
            Self::Vl2Reply { status, ul3 } => {
                out.named(key!("status"), status.into(), status_name(status));
                out.text(key!("ul3"), ul3.to_string().as_bytes());
            }
            Self::Vl3 { ip, kind, vnet } => {
                out.num(key!("vnet"), vnet.into());
                out.named(key!("type"), kind.into(), vl3_name(kind));
                address(ip, out);
            }
            Self::Vl3Reply { status, mac, ul3 } => {
                out.named(key!("status"), status.into(), status_name(status));
                out.mac(key!("mac"), mac);
                out.text(key!("ul3"), ul3.to_string().as_bytes());
            }
            Self::Bulk { kind } => out.named(key!("type"), kind.into(), table_name(kind)),
            Self::BulkReply { status, kind } => {
                out.named(key!("status"), status.into(), status_name(status));
                out.named(key!("type"), kind.into(), table_name(kind));
            }
            Self::Log { bytes_max, ip } => {
                out.num(key!("bytes_max"), bytes_max.into());
                address(ip, out);
            }
            Self::LogReply { status, entries } => {
                out.named(key!("status"), status.into(), status_name(status));
                list(key!("entries"), log(entries), out, |entry, out| entry.fields(out));
            }
            Self::LogRemove { count, uuids } => {
                out.num(key!("count"), count.into());
                list(key!("uuids"), uuids.chunks_exact(16), out, |bytes, out| out.text(key!("uuid"), &uuid(bytes)));
            }
            Self::Status(status) => out.named(key!("status"), status.into(), status_name(status)),
        }
    }

    /// The first fault in what follows the header, which stands at `at` of a message of `length` bytes.
    pub(super) fn fault(&self, at: usize, length: usize) -> Option<Fault> {
        let room = Room::whole(length);
        match *self {
            // An error may come with anything behind it.
            Self::LogReply { status: 0, entries } => {
                let mut log = log(entries);
                log.by_ref().for_each(drop);
                let at = length - log.rest.len();
                match word(log.rest, 0).map(entry_length) {
                    Some(None) => Some(Fault::wrong(at, "log entry of an unknown type")),
                    Some(Some(need)) => room.lacking(at, need, "log entry beyond the message"),
                    None => room.left(at, 4, "log entry beyond the message"),
                }
            }
            Self::LogRemove { count, uuids } if usize::try_from(count).is_ok_and(|count| count == uuids.len() / 16) => None,
            Self::LogRemove { count, .. } => {
                let need = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(16).saturating_add(4);
                room.lacking(at, need, "count is not the one of the uuids").or(Some(Fault::wrong(at, "count is not the one of the uuids")))
            }
            _ => None,
        }
    }

    pub(super) fn summary(&self, out: &mut Text) {
        match *self {
            Self::Vl2 { mac, vnet } => {
                out.text(" vnet ");
                out.num(vnet.into());
                out.text(" mac ");
                out.mac(mac);
            }
            // An error comes with zeros for the rest.
            Self::Vl2Reply { status, .. } | Self::Vl3Reply { status, .. } if status != 0 => write_status(status, out),
            Self::Vl2Reply { ul3, .. } => {
                out.text(" at ");
                out.display(&ul3);
            }
            Self::Vl3 { ip, vnet, .. } => {
                out.text(" vnet ");
                out.num(vnet.into());
                out.text(" ip ");
                out.display(&ip);
            }
            Self::Vl3Reply { mac, ul3, .. } => {
                out.text(" mac ");
                out.mac(mac);
                out.text(" at ");
                out.display(&ul3);
            }
            Self::Bulk { kind } => {
                out.text(" type ");
                out.num(kind.into());
            }
            Self::Log { bytes_max, ip } => {
                out.text(" for ");
                out.display(&ip);
                out.text(" at most ");
                out.num(bytes_max.into());
                out.text(" bytes");
            }
            Self::LogReply { status: 0, entries } => {
                out.byte(b' ');
                out.num(log(entries).count() as u64);
                out.text(" entries");
            }
            Self::LogRemove { count, .. } => {
                out.byte(b' ');
                out.num(count.into());
                out.text(" entries");
            }
            Self::BulkReply { status, .. } | Self::LogReply { status, .. } | Self::Status(status) => write_status(status, out),
        }
    }
}

/// One entry of the log of what has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry<'a> {
    Vl2 { uuid: &'a [u8], mac: Mac, vnet: u32 },
    Vl3 { uuid: &'a [u8], ip: IpAddr, vlan: u16, vnet: u32 },
}

impl Entry<'_> {
    fn fields<F: Fields>(&self, out: &mut F) {
        match *self {
            Self::Vl2 { uuid: id, mac, vnet } => {
                out.named(key!("type"), 1, table_name(1));
                out.text(key!("uuid"), &uuid(id));
                out.num(key!("vnet"), vnet.into());
                out.mac(key!("mac"), mac);
            }
            Self::Vl3 { uuid: id, ip, vlan, vnet } => {
                out.named(key!("type"), 2, table_name(2));
                out.text(key!("uuid"), &uuid(id));
                out.num(key!("vnet"), vnet.into());
                out.num(key!("vlan"), vlan.into());
                address(ip, out);
            }
        }
    }
}

/// The entries of a log reply. It ends at the first that is not all there or of no known type: nothing says how long that is.
struct Log<'a> {
    /// The bytes not read yet; at the end, those of an entry that cannot be read.
    rest: &'a [u8],
}

const fn log(rest: &[u8]) -> Log<'_> {
    Log { rest }
}

/// Length in bytes of a log entry of a type.
const fn entry_length(kind: u32) -> Option<usize> {
    match kind {
        1 => Some(LOG_VL2),
        2 => Some(LOG_VL3),
        _ => None,
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let length = entry_length(word(self.rest, 0)?)?;
        let (entry, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let uuid = &entry[4..20];
        Some(if length == LOG_VL2 {
            Entry::Vl2 { uuid, mac: mac(entry, 20)?, vnet: word(entry, 28)? }
        } else {
            Entry::Vl3 { uuid, ip: ip(entry, 20)?, vlan: half(entry, 38)?, vnet: word(entry, 40)? }
        })
    }
}

fn list<F: Fields, T>(key: crate::fields::Key, items: impl Iterator<Item = T>, out: &mut F, write: impl Fn(T, &mut F)) {
    out.open_list(key);
    for (index, item) in items.take(LIST_MAX + 1).enumerate() {
        out.open_item();
        if index < LIST_MAX {
            write(item, out);
        } else {
            out.flag(key!("more"), true);
        }
        out.close_item();
    }
    out.close_list();
}

fn address<F: Fields>(ip: IpAddr, out: &mut F) {
    match ip {
        IpAddr::V4(ip) => out.ipv4(key!("ip"), ip),
        IpAddr::V6(ip) => out.ipv6(key!("ip"), ip),
    }
}

/// 16 bytes as people write a UUID (RFC 9562 4).
fn uuid(bytes: &[u8]) -> Vec<u8> {
    let mut text = Text::new();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.byte(b'-');
        }
        text.hex_bytes(std::slice::from_ref(byte));
    }
    text.as_bytes().to_vec()
}

const fn status_name(status: u32) -> Option<&'static str> {
    Some(match status {
        0 => "OK",
        1 => "FATAL",
        2 => "NOTFOUND",
        3 => "BADL3TYPE",
        4 => "BADBULK",
        _ => return None,
    })
}

fn write_status(status: u32, out: &mut Text) {
    out.byte(b' ');
    match status_name(status) {
        Some(name) => out.text(name),
        None => {
            out.text("status ");
            out.num(status.into());
        }
    }
}

const fn vl3_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        1 => "ipv4",
        2 => "ipv6",
        _ => return None,
    })
}

const fn table_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        1 => "vl2",
        2 => "vl3",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(operation: u16, bytes: &[u8]) -> String {
        let mut text = Text::new();
        Message::read(operation, bytes).unwrap().summary(&mut text);
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    const UNDERLAY: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2];

    #[test]
    fn answers_are_told_with_the_underlay_address_or_the_error() {
        let found = [&[0, 0, 0x12, 0xb5][..], &UNDERLAY].concat();
        assert_eq!(told(4, &found), " at 10.0.0.2:4789");
        assert_eq!(told(4, &[&[0, 2, 0, 0][..], &[0; 16]].concat()), " NOTFOUND");
        let found = [&[0, 0, 0, 0, 2, 8, 0x20, 10, 0, 1, 0x12, 0xb5][..], &UNDERLAY].concat();
        assert_eq!(told(6, &found), " mac 02:08:20:0a:00:01 at 10.0.0.2:4789");
        assert_eq!(told(5, &[&UNDERLAY[..], &[0, 0, 0, 1, 0, 0, 0, 77]].concat()), " vnet 77 ip 10.0.0.2");
        assert_eq!(told(0x0c, &[0, 0, 0, 9]), " status 9");
    }

    #[test]
    fn a_log_is_read_entry_by_entry_until_an_unknown_one() {
        let vl2 = [&[0, 0, 0, 1][..], &[0xab; 16], &[2, 8, 0x20, 10, 0, 1, 0, 0], &[0, 0, 0, 77]].concat();
        let vl3 = [&[0, 0, 0, 2][..], &[0xcd; 16], &UNDERLAY, &[0, 0, 0, 5, 0, 0, 0, 78]].concat();
        assert_eq!((vl2.len(), vl3.len()), (LOG_VL2, LOG_VL3));
        let bytes = [&vl2[..], &vl3, &[0, 0, 0, 3], &vl2].concat();
        let entries: Vec<_> = log(&bytes).collect();
        let mac = Mac([2, 8, 0x20, 10, 0, 1]);
        assert_eq!(
            entries,
            [
                Entry::Vl2 { uuid: &[0xab; 16], mac, vnet: 77 },
                Entry::Vl3 { uuid: &[0xcd; 16], ip: IpAddr::from([10, 0, 0, 2]), vlan: 5, vnet: 78 }
            ]
        );
        assert_eq!(told(0x0a, &[&[0; 4][..], &bytes].concat()), " 2 entries");
    }

    #[test]
    fn a_uuid_has_its_dashes() {
        assert_eq!(uuid(&[0xab; 16]), b"abababab-abab-abab-abab-abababababab");
    }
}
