//! What does a pcap file hold? A file header, then records: time, captured length, length on the wire, bytes.
//!
//! Source: draft-ietf-opsawg-pcap, sections 4 (file header) and 5 (packet record).
//!
//! ```text
//! file   | magic 4 | major 2 | minor 2 | reserved 8 | snaplen 4 | FCS length and flag 2, link type 2 |
//! record | seconds 4 | micro- or nanoseconds 4 | captured length 4 | length on the wire 4 | bytes ... |
//! ```

use overlay_decoder::{LinkType, Timestamp};

use super::{MAX_PACKET_BYTES, Next, ReadErrorKind, Window};
use crate::bytes::Order;
use crate::chunk::Entry;
use crate::format::Format;

pub(super) const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;

#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) link: LinkType,
    pub(super) snaplen: u32,
    order: Order,
    /// Nanoseconds in one unit of the time's second half.
    unit: u32,
}

impl Scanner {
    /// Reads the file header, whose magic number is known to be one of pcap's.
    pub(super) fn new(header: &[u8]) -> Result<(Format, Self), ReadErrorKind> {
        let order = match Order::Big.u32(header) {
            MAGIC_MICROSECONDS | MAGIC_NANOSECONDS => Order::Big,
            _ => Order::Little,
        };
        let (format, unit) = if order.u32(header) == MAGIC_NANOSECONDS { (Format::PcapNano, 1) } else { (Format::Pcap, 1_000) };
        let field = |at: usize| header.get(at..).unwrap_or_default();
        let (major, minor) = (order.u16(field(4)), order.u16(field(6)));
        // 2.4 is of 1998; 2.3 and before swapped the lengths in some writers.
        if (major, minor) != (2, 4) {
            return Err(ReadErrorKind::Unsupported { what: format!("pcap version {major}.{minor}: only 2.4 is read") });
        }
        // The draft puts FCS length and reserved bits, which readers ignore, above the link type.
        let link = LinkType(order.u32(field(20)) as u16);
        Ok((format, Self { link, snaplen: order.u32(field(16)), order, unit }))
    }

    pub(super) fn scan(&mut self, window: &mut Window<'_>) -> Next {
        let Self { link, order, unit, .. } = *self;
        loop {
            let Some((header, bytes)) = window.rest().split_first_chunk::<RECORD_HEADER_BYTES>() else {
                return Next::Needs { buffer: RECORD_HEADER_BYTES, total: RECORD_HEADER_BYTES as u64 };
            };
            let seconds = order.u32(header);
            let fraction = order.u32(&header[4..]);
            let caplen = order.u32(&header[8..]);
            let len = order.u32(&header[12..]);
            if caplen > MAX_PACKET_BYTES {
                let (found, limit) = (caplen.into(), MAX_PACKET_BYTES.into());
                return Next::Fault(ReadErrorKind::TooLong { at: window.position(), part: window.record(), found, limit });
            }
            let whole = RECORD_HEADER_BYTES + caplen as usize;
            if bytes.len() < caplen as usize {
                return Next::Needs { buffer: whole, total: whole as u64 };
            }
            let start = window.at + RECORD_HEADER_BYTES;
            window.batch.entries.push(Entry::new(link, Some(time(seconds, fraction, unit)), start, caplen, len));
            window.at += whole;
        }
    }
}

/// The time of a record. A fraction of a second or more, which damaged writers leave, is carried into the seconds.
#[inline]
fn time(seconds: u32, fraction: u32, unit: u32) -> Timestamp {
    let nanoseconds = u64::from(fraction) * u64::from(unit);
    if nanoseconds < 1_000_000_000 {
        return Timestamp { seconds: seconds.into(), nanoseconds: nanoseconds as u32 };
    }
    Timestamp { seconds: i64::from(seconds) + (nanoseconds / 1_000_000_000) as i64, nanoseconds: (nanoseconds % 1_000_000_000) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::{Seen, read_all};

    /// A file header of `magic` and one record of two bytes out of 60, in either order.
    fn file(order: Order, magic: u32, link: u32) -> Vec<u8> {
        let put = |v: u32| if order == Order::Big { v.to_be_bytes() } else { v.to_le_bytes() };
        let version = if order == Order::Big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
        let mut bytes = [put(magic), version, put(0), put(0), put(262_144), put(link)].concat();
        bytes.extend([put(1_700_000_000), put(999_999), put(2), put(60)].concat());
        bytes.extend([0xaa, 0xbb]);
        bytes
    }

    #[test]
    fn both_orders_and_both_units_are_read() {
        for (magic, nanoseconds) in [(MAGIC_MICROSECONDS, 999_999_000), (MAGIC_NANOSECONDS, 999_999)] {
            for order in [Order::Little, Order::Big] {
                let (seen, error) = read_all(file(order, magic, 1));
                assert!(error.is_none(), "{error:?}");
                let expected = Seen {
                    number: 1,
                    timestamp: Some(Timestamp::new(1_700_000_000, nanoseconds)),
                    len: 60,
                    bytes: vec![0xaa, 0xbb],
                    link: LinkType::ETHERNET,
                    ..Seen::default()
                };
                assert_eq!(seen, [expected], "{order:?} {magic:x}");
            }
        }
    }

    #[test]
    fn fcs_bits_above_the_link_type_are_ignored() {
        let (seen, _) = read_all(file(Order::Little, MAGIC_MICROSECONDS, 0x4400_0071));
        assert_eq!(seen[0].link, LinkType::LINUX_SLL);
    }

    #[test]
    fn another_version_is_refused_with_its_number() {
        let mut bytes = file(Order::Little, MAGIC_MICROSECONDS, 1);
        bytes[4] = 3;
        let (_, error) = read_all(bytes);
        assert_eq!(error.unwrap().to_string(), "capture: pcap version 3.4: only 2.4 is read");
    }

    #[test]
    fn a_record_over_the_limit_is_named_after_the_good_ones() {
        let mut bytes = file(Order::Little, MAGIC_MICROSECONDS, 1);
        bytes.extend([[0; 4], [0; 4], (MAX_PACKET_BYTES + 1).to_le_bytes(), [0; 4]].concat());
        let (seen, error) = read_all(bytes);
        assert_eq!(seen.len(), 1);
        assert_eq!(error.unwrap().to_string(), "capture: record 2 at byte 42 claims 1048577 bytes; at most 1048576 are read");
    }

    #[test]
    fn a_big_tcp_frame_larger_than_the_window_is_whole() {
        let mut bytes = file(Order::Little, MAGIC_MICROSECONDS, 1);
        let big = vec![0x5a; MAX_PACKET_BYTES as usize];
        bytes.extend([[0; 4], [0; 4], MAX_PACKET_BYTES.to_le_bytes(), MAX_PACKET_BYTES.to_le_bytes()].concat());
        bytes.extend(&big);
        let small = bytes[24..42].to_vec();
        bytes.extend(small);
        let (seen, error) = read_all(bytes);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen.iter().map(|s| s.bytes.len()).collect::<Vec<_>>(), [2, big.len(), 2]);
        assert!(seen[1].bytes == big);
    }

    #[test]
    fn a_fraction_beyond_one_second_is_carried() {
        assert_eq!(time(5, 2_500_000, 1_000), Timestamp::new(7, 500_000_000));
        assert_eq!(time(u32::MAX, u32::MAX, 1_000).seconds, i64::from(u32::MAX) + 4_294);
    }
}
