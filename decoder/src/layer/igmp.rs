//! Who wants which multicast group? IGMP version 1 (RFC 1112), 2 (RFC 2236 2) and 3 (RFC 9776 4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Type     | Max response  |            Checksum           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |    Group address; in a version 3 report: reserved, records    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Version 3: sources of a query, group records of a report    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::fault::{Fault, Room};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv4Addr;

/// An IGMP message: the part that every version has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Igmp {
    /// Type of the message.
    pub kind: u8,
    /// Maximum response code, in tenths of a second when below 128; 0 in queries of version 1, reserved in reports.
    pub max_response: u8,
    /// Checksum over the message.
    pub checksum: u16,
    /// The group; in a report of version 3, two reserved bytes and the number of group records.
    pub group: Ipv4Addr,
}

impl Igmp {
    /// Length of the fixed part in bytes.
    pub const LENGTH: usize = 8;
    /// Type: who is a member?
    pub const QUERY: u8 = 0x11;
    /// Type: a member, version 1.
    pub const REPORT_V1: u8 = 0x12;
    /// Type: a member, version 2.
    pub const REPORT_V2: u8 = 0x16;
    /// Type: no longer a member, version 2.
    pub const LEAVE: u8 = 0x17;
    /// Type: memberships, version 3.
    pub const REPORT_V3: u8 = 0x22;

    /// Reads the fixed part.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self { kind: b[0], max_response: b[1], checksum: u16::from_be_bytes([b[2], b[3]]), group: Ipv4Addr::new(b[4], b[5], b[6], b[7]) }
    }

    /// Writes the fixed part, with the checksum as it stands in the struct.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([high, low], [a, b, c, d]) = (self.checksum.to_be_bytes(), self.group.octets());
        [self.kind, self.max_response, high, low, a, b, c, d]
    }

    /// Group records in a report of version 3.
    #[must_use]
    pub const fn record_count(&self) -> u16 {
        let [_, _, high, low] = self.group.octets();
        u16::from_be_bytes([high, low])
    }

    /// The name of the type.
    #[must_use]
    pub const fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            Self::QUERY => "query",
            Self::REPORT_V1 | Self::REPORT_V2 | Self::REPORT_V3 => "report",
            Self::LEAVE => "leave",
            0x13 => "dvmrp",
            0x14 => "pim",
            0x1e => "mtrace-response",
            0x1f => "mtrace",
            0x30 => "router-advertisement",
            0x31 => "router-solicitation",
            0x32 => "router-termination",
            _ => return None,
        })
    }

    /// The version that a message with `claimed` bytes behind the fixed part is of (RFC 9776 7.1).
    const fn version(&self, claimed: u32) -> Option<u8> {
        Some(match self.kind {
            Self::QUERY if claimed >= 4 => 3,
            Self::QUERY if self.max_response == 0 => 1,
            Self::QUERY | Self::REPORT_V2 | Self::LEAVE => 2,
            Self::REPORT_V1 => 1,
            Self::REPORT_V3 => 3,
            _ => return None,
        })
    }
}

/// The meaning of a group record, here and in MLDv2 (RFC 9776 4.2.12, RFC 9777 5.2.12).
pub(super) const fn record_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "is-include",
        2 => "is-exclude",
        3 => "to-include",
        4 => "to-exclude",
        5 => "allow",
        6 => "block",
        _ => return None,
    })
}

/// Records and sources that are shown.
pub(super) const LISTED: usize = 64;

/// A group record of a report, here with `N` = 4 and in MLDv2 with 16 bytes per address.
pub(super) struct Record<'a, const N: usize> {
    pub(super) kind: u8,
    pub(super) group: [u8; N],
    /// The captured ones.
    pub(super) sources: &'a [[u8; N]],
    /// Length in bytes by its own fields, captured or not.
    length: usize,
}

/// The group records of a report that were captured, at most `count` (RFC 9776 4.2.4, RFC 9777 5.2.4).
pub(super) fn records<const N: usize>(payload: &[u8], count: u16) -> impl Iterator<Item = Record<'_, N>> {
    let mut rest = payload;
    (0..count).map_while(move |_| {
        let ([kind, auxiliary, high, low], tail) = rest.split_first_chunk::<4>()?;
        let (group, tail) = tail.split_first_chunk::<N>()?;
        let length = usize::from(u16::from_be_bytes([*high, *low])) * N;
        let sources = &tail[..length.min(tail.len())];
        // The auxiliary length is in 4-byte words.
        let behind = length + usize::from(*auxiliary) * 4;
        rest = tail.get(behind..).unwrap_or_default();
        Some(Record { kind: *kind, group: *group, sources: sources.as_chunks::<N>().0, length: 4 + N + behind })
    })
}

/// The first of the promised group records that is not all there.
pub(super) fn records_fault<const N: usize>(view: View<'_>, count: u16) -> Option<Fault> {
    let (room, mut at, mut read) = (Room::message(view), Igmp::LENGTH, 0);
    for record in records::<N>(view.payload, count) {
        if let Some(fault) = room.lacking(at, record.length, "group record beyond the packet") {
            return Some(fault);
        }
        at += record.length;
        read += 1;
    }
    if read < count { room.lacking(at, 4 + N, "group record beyond the packet") } else { None }
}

/// The fault of the sources of a query of version 3, which stand behind four bytes at `at` of the payload (RFC 9776 4.1, RFC 9777 5.1).
pub(super) fn sources_fault<const N: usize>(view: View<'_>, at: usize) -> Option<Fault> {
    let room = Room::message(view);
    let count = match view.payload.get(at..) {
        Some([_, _, high, low, ..]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    room.lacking(Igmp::LENGTH + at, 4 + usize::from(count) * N, "sources beyond the packet")
}

impl Header for Igmp {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.hex_named(key!("type"), self.kind.into(), 2, self.kind_name());
        if let Some(version) = self.version(view.claimed) {
            out.num(key!("version"), version.into());
        }
        if self.kind == Self::QUERY {
            out.num(key!("max_response"), self.max_response.into());
        }
        out.hex(key!("checksum"), self.checksum.into(), 4);
        match (self.kind, view.payload) {
            (Self::REPORT_V3, payload) => report(payload, self.record_count(), out),
            (Self::QUERY, [flags, interval, high, low, sources @ ..]) => {
                out.ipv4(key!("group"), self.group);
                out.flag(key!("suppress"), flags & 8 != 0);
                out.num(key!("robustness"), (flags & 7).into());
                out.num(key!("query_interval"), (*interval).into());
                let count = usize::from(u16::from_be_bytes([*high, *low]));
                let sources = sources.as_chunks::<4>().0;
                source_list(&sources[..count.min(sources.len())], out);
            }
            _ => out.ipv4(key!("group"), self.group),
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        match self.kind_name() {
            Some(name) => out.text(name),
            None => {
                out.text("type ");
                out.hex(self.kind.into(), 2);
            }
        }
        if let Some(version) = self.version(view.claimed) {
            out.text(" v");
            out.octet(version);
        }
        match self.kind {
            Self::REPORT_V3 => {
                for record in records::<4>(view.payload, self.record_count()).take(2) {
                    out.byte(b' ');
                    out.text(record_name(record.kind).unwrap_or("record"));
                    out.byte(b' ');
                    out.ipv4(record.group.into());
                    if !record.sources.is_empty() {
                        out.text(" sources ");
                        out.num(record.sources.len() as u64);
                    }
                }
                if self.record_count() > 2 {
                    out.text(" ... records ");
                    out.num(self.record_count().into());
                }
            }
            // A general query has no group.
            _ if self.group.is_unspecified() => {}
            _ => {
                out.byte(b' ');
                out.ipv4(self.group);
            }
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        match self.kind {
            Self::REPORT_V3 => records_fault::<4>(view, self.record_count()),
            Self::QUERY if view.claimed >= 4 => sources_fault::<4>(view, 0),
            _ => None,
        }
    }
}

fn report<F: Fields>(payload: &[u8], count: u16, out: &mut F) {
    out.open_list(key!("records"));
    let mut records = records::<4>(payload, count);
    for record in records.by_ref().take(LISTED) {
        out.open_item();
        out.named(key!("type"), record.kind.into(), record_name(record.kind));
        out.ipv4(key!("group"), record.group.into());
        source_list(record.sources, out);
        out.close_item();
    }
    if records.next().is_some() {
        out.open_item();
        out.flag(key!("more"), true);
        out.close_item();
    }
    out.close_list();
}

fn source_list<F: Fields>(sources: &[[u8; 4]], out: &mut F) {
    if sources.is_empty() {
        return;
    }
    out.open_list(key!("sources"));
    for source in sources.iter().take(LISTED) {
        out.open_item();
        out.ipv4(key!("address"), (*source).into());
        out.close_item();
    }
    if sources.len() > LISTED {
        out.open_item();
        out.flag(key!("more"), true);
        out.close_item();
    }
    out.close_list();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, renders_every_cut, summary, view};
    use crate::stop::StopKind;
    use proptest::prelude::*;

    fn said(message: &[u8]) -> (String, String) {
        let header = Igmp::parse(message.first_chunk().unwrap());
        (summary(&header, view(message, 8)), fields(&header, view(message, 8), Extent::Short))
    }

    #[test]
    fn a_query_tells_its_version_by_length_and_response_time() {
        assert_eq!(said(&[0x11, 0, 0, 1, 0, 0, 0, 0]).0, "query v1");
        assert_eq!(said(&[0x11, 100, 0, 1, 224, 0, 0, 9]).0, "query v2 224.0.0.9");
        let (summary, fields) = said(&[0x11, 100, 0, 1, 232, 1, 1, 1, 0x0a, 125, 0, 1, 10, 0, 0, 1, 9, 9, 9, 9]);
        assert_eq!(summary, "query v3 232.1.1.1");
        assert_eq!(
            fields,
            "type=0x11 version=3 max_response=100 checksum=0x0001 group=232.1.1.1 suppress=true robustness=2 query_interval=125 \
             sources=[{address=10.0.0.1}]"
        );
    }

    #[test]
    fn a_report_names_each_group_and_skips_auxiliary_data() {
        let message = [
            [0x22, 0, 0, 2, 0, 0, 0, 2, 4, 1, 0, 0].as_slice(),
            &[239, 0, 0, 1, 7, 7, 7, 7],
            &[6, 0, 0, 2, 239, 0, 0, 2, 10, 0, 0, 1, 10, 0, 0, 2],
        ]
        .concat();
        let (summary, fields) = said(&message);
        assert_eq!(summary, "report v3 to-exclude 239.0.0.1 block 239.0.0.2 sources 2");
        assert_eq!(
            fields,
            "type=0x22 version=3 checksum=0x0002 records=[{type=4 group=239.0.0.1}\
             {type=6 group=239.0.0.2 sources=[{address=10.0.0.1}{address=10.0.0.2}]}]"
        );
    }

    #[test]
    fn a_report_with_more_records_than_bytes_lists_what_is_there() {
        let (summary, fields) = said(&[&[0x22, 0, 0, 2, 0, 0, 0xff, 0xff][..], &[4, 0, 0, 0, 239, 0, 0, 1].repeat(100)].concat());
        assert!(summary.ends_with("... records 65535"), "{summary}");
        assert_eq!(fields.matches("group=239.0.0.1").count(), LISTED);
        assert!(fields.ends_with("{more=true}]"), "{fields}");
    }

    #[test]
    fn records_and_sources_that_are_promised_must_be_there() {
        let fault = |message: &[u8], missing: u32| {
            let whole = view(message, 8);
            let fault = Igmp::parse(message.first_chunk().unwrap()).fault(View { claimed: whole.claimed + missing, ..whole });
            fault.map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        let report =
            [&[0x22, 0, 0, 2, 0, 0, 0, 2][..], &[4, 0, 0, 0, 239, 0, 0, 1], &[6, 1, 0, 1, 239, 0, 0, 2, 10, 0, 0, 1, 7, 7, 7, 7]].concat();
        assert_eq!(fault(&report, 0), None);
        assert_eq!(fault(&report[..30], 0), Some((StopKind::Malformed, 16, 16, 14)));
        assert_eq!(fault(&report[..30], 2), Some((StopKind::Truncated, 16, 16, 14)));
        assert_eq!(fault(&report[..16], 0), Some((StopKind::Malformed, 16, 8, 0)));
        let query = [0x11, 100, 0, 1, 232, 1, 1, 1, 0x0a, 125, 0, 1, 10, 0, 0, 1];
        assert_eq!(fault(&query, 0), None);
        assert_eq!(fault(&query[..14], 0), Some((StopKind::Malformed, 8, 8, 6)));
        assert_eq!(fault(&query[..8], 0), None, "version 2");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 8]) {
            prop_assert_eq!(Igmp::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_bytes_are_rendered_within_bounds(kind in prop_oneof![Just(0x11u8), Just(0x22)], rest in proptest::collection::vec(any::<u8>(), 7..100)) {
            let message = [&[kind][..], &rest].concat();
            renders_every_cut(&Igmp::parse(message.first_chunk().unwrap()), &message, 8, 4000);
        }
    }
}
