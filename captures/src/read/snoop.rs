//! What does a snoop file hold? A file header, then records whose own length includes their padding. All big-endian.
//!
//! Source: RFC 1761, sections 3 (file header) and 4 (packet record).
//!
//! ```text
//! file   | "snoop\0\0\0" 8 | version 4 | datalink type 4 |
//! record | length on the wire 4 | captured length 4 | record length 4 | cumulative drops 4 | seconds 4 | microseconds 4 | bytes, padding |
//! ```

use overlay_decoder::{LinkType, Timestamp};

use super::{MAX_KEPT_BLOCK_BYTES, MAX_PACKET_BYTES, Next, ReadErrorKind, Window};
use crate::bytes::Order;
use crate::chunk::{Entry, NO_COUNT};
use crate::snoop_link;

pub(super) const FILE_HEADER_BYTES: usize = 16;
const RECORD_HEADER_BYTES: usize = 24;

#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) link: LinkType,
    /// Cumulative drops of the last record.
    drops: u32,
}

impl Scanner {
    /// Reads the file header, whose magic number is known to be snoop's.
    pub(super) fn new(header: &[u8]) -> Result<Self, ReadErrorKind> {
        let field = |at: usize| Order::Big.u32(header.get(at..).unwrap_or_default());
        let (version, datalink) = (field(8), field(12));
        if version != 2 {
            return Err(ReadErrorKind::Unsupported { what: format!("snoop version {version}: only 2 is read") });
        }
        let Some(link) = snoop_link::from_datalink(datalink) else {
            let what = format!("snoop datalink type {datalink}: only {} are read", snoop_link::KNOWN);
            return Err(ReadErrorKind::Unsupported { what });
        };
        Ok(Self { link, drops: 0 })
    }

    pub(super) fn scan(&mut self, window: &mut Window<'_>) -> Next {
        loop {
            let Some((header, bytes)) = window.rest().split_first_chunk::<RECORD_HEADER_BYTES>() else {
                return Next::Needs { buffer: RECORD_HEADER_BYTES, total: RECORD_HEADER_BYTES as u64 };
            };
            let [len, caplen, record_length, drops, seconds, fraction] =
                [0, 4, 8, 12, 16, 20].map(|at: usize| Order::Big.u32(header.get(at..).unwrap_or_default()));
            let (at, part) = (window.position(), window.record());
            for (found, limit) in [(caplen, MAX_PACKET_BYTES), (record_length, MAX_KEPT_BLOCK_BYTES)] {
                if found > limit {
                    return Next::Fault(ReadErrorKind::TooLong { at, part, found: found.into(), limit: limit.into() });
                }
            }
            let whole = record_length as usize;
            if whole < RECORD_HEADER_BYTES + caplen as usize {
                let what = format!("a record of {whole} bytes cannot hold {RECORD_HEADER_BYTES} of header and {caplen} captured");
                return Next::Fault(ReadErrorKind::Malformed { at, part, what });
            }
            if RECORD_HEADER_BYTES + bytes.len() < whole {
                return Next::Needs { buffer: whole, total: whole as u64 };
            }
            let nanoseconds = u64::from(fraction) * 1_000;
            let time = Timestamp::new(
                i64::from(seconds) + (nanoseconds / 1_000_000_000) as i64,
                (nanoseconds % 1_000_000_000) as u32, // below 10^9
            );
            let mut entry = Entry::new(self.link, Some(time), window.at + RECORD_HEADER_BYTES, caplen, len);
            // RFC 1761 4: systems that do not count leave zero, so that only an increase says something.
            if let Some(lost @ 1..) = drops.checked_sub(self.drops) {
                entry.dropped = lost.min(NO_COUNT - 1);
            }
            self.drops = drops;
            window.batch.entries.push(entry);
            window.at += whole;
        }
    }

    pub(super) fn reported_drops(&self) -> Option<u64> {
        (self.drops > 0).then_some(self.drops.into())
    }
}

#[cfg(test)]
mod tests {
    use crate::read::tests::read_all;

    fn header(version: u32, datalink: u32) -> Vec<u8> {
        [&b"snoop\0\0\0"[..], &version.to_be_bytes(), &datalink.to_be_bytes()].concat()
    }

    fn record(caplen: u32, record_length: u32, drops: u32) -> Vec<u8> {
        [100, caplen, record_length, drops, 1_700_000_000, 7].map(u32::to_be_bytes).concat()
    }

    #[test]
    fn records_are_padded_and_cumulative_drops_become_differences() {
        let mut bytes = header(2, 4);
        bytes.extend(record(3, 28, 0));
        bytes.extend([1, 2, 3, 0]);
        bytes.extend(record(0, 24, 5));
        bytes.extend(record(1, 32, 5));
        bytes.extend([9, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(record(0, 24, 12));
        let (seen, error) = read_all(bytes);
        assert!(error.is_none(), "{error:?}");
        let seen: Vec<_> = seen.iter().map(|s| (s.len, s.bytes.as_slice(), s.dropped)).collect();
        let none: &[u8] = &[];
        assert_eq!(seen, [(100, &[1_u8, 2, 3][..], None), (100, none, Some(5)), (100, &[9], None), (100, none, Some(7))]);
    }

    #[test]
    fn what_is_not_snoop_2_on_a_known_link_is_refused_with_its_number() {
        let sentence = |bytes| read_all(bytes).1.unwrap().to_string();
        assert_eq!(sentence(header(1, 4)), "capture: snoop version 1: only 2 is read");
        assert_eq!(sentence(header(2, 9)), "capture: snoop datalink type 9: only 0 (802.3), 2 (token ring) and 4 (ethernet) are read");
    }

    #[test]
    fn a_record_shorter_than_its_contents_is_malformed() {
        let mut bytes = header(2, 4);
        bytes.extend(record(8, 28, 0));
        bytes.extend([0; 8]);
        let sentence = read_all(bytes).1.unwrap().to_string();
        assert_eq!(sentence, "capture: record 1 at byte 16: a record of 28 bytes cannot hold 24 of header and 8 captured");
    }
}
