//! What does the network say about a packet, a neighbor or a group? ICMPv6 (RFC 4443 2.1; Neighbor Discovery: RFC 4861 4;
//! MLD: RFC 2710 3, RFC 9777 5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Type     |      Code     |            Checksum           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | By type: identifier and sequence; MTU; flags; lifetime ...    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | By type: the quoted packet; target address; options; records
//! ```

mod option;

use super::fault::{Fault, Room};
use super::icmp::{echo_summary, quoted_fault, quoted_fields, quoted_summary};
use super::igmp::{LISTED, record_name, records, records_fault, sources_fault};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::Ipv6Addr;

/// An ICMPv6 header: the part that every message has, and the four bytes behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmpv6 {
    /// Type of the message; from 128 on it is not an error.
    pub kind: u8,
    /// Which case of the type.
    pub code: u8,
    /// Checksum over pseudo-header and message.
    pub checksum: u16,
    /// The four bytes whose meaning depends on the type.
    pub rest: [u8; 4],
}

impl Icmpv6 {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 8;
    /// Type: a packet could not be delivered.
    pub const UNREACHABLE: u8 = 1;
    /// Type: a packet does not fit the next link.
    pub const TOO_BIG: u8 = 2;
    /// Type: a packet was too long on its way, or its fragments were.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Type: a field of a packet makes no sense.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Type: to be answered.
    pub const ECHO_REQUEST: u8 = 128;
    /// Type: answer to [`Icmpv6::ECHO_REQUEST`].
    pub const ECHO_REPLY: u8 = 129;
    /// Type: who listens to a group?
    pub const MLD_QUERY: u8 = 130;
    /// Type: a listener, MLDv1.
    pub const MLD_REPORT: u8 = 131;
    /// Type: no longer a listener, MLDv1.
    pub const MLD_DONE: u8 = 132;
    /// Type: is there a router?
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Type: here is a router.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Type: who has an address?
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// Type: I have it.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// Type: there is a better first hop.
    pub const REDIRECT: u8 = 137;
    /// Type: listeners, MLDv2.
    pub const MLD2_REPORT: u8 = 143;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self { kind: b[0], code: b[1], checksum: u16::from_be_bytes([b[2], b[3]]), rest: [b[4], b[5], b[6], b[7]] }
    }

    /// Writes the header, with the checksum as it stands in the struct.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([high, low], [a, b, c, d]) = (self.checksum.to_be_bytes(), self.rest);
        [self.kind, self.code, high, low, a, b, c, d]
    }

    /// The two halves of the four bytes: identifier and sequence of an echo, delay or lifetime, number of records.
    const fn halves(&self) -> (u16, u16) {
        let [a, b, c, d] = self.rest;
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// Identifier and sequence number of an echo.
    #[must_use]
    pub const fn echo(&self) -> Option<(u16, u16)> {
        match self.kind {
            Self::ECHO_REQUEST | Self::ECHO_REPLY => Some(self.halves()),
            _ => None,
        }
    }

    /// The MTU of the next link in bytes, of a packet-too-big message.
    #[must_use]
    pub const fn mtu(&self) -> Option<u32> {
        match self.kind {
            Self::TOO_BIG => Some(u32::from_be_bytes(self.rest)),
            _ => None,
        }
    }

    /// Whether the message quotes the packet that it is about (RFC 4443 2.1).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.kind < 128
    }

    /// The address that a neighbor or MLDv1 message is about: the first one behind the header.
    #[must_use]
    pub fn target(&self, payload: &[u8]) -> Option<Ipv6Addr> {
        match self.kind {
            Self::NEIGHBOR_SOLICITATION | Self::NEIGHBOR_ADVERTISEMENT | Self::REDIRECT => address_at(payload, 0),
            Self::MLD_QUERY | Self::MLD_REPORT | Self::MLD_DONE => address_at(payload, 0),
            _ => None,
        }
    }

    /// Bytes of a Neighbor Discovery message between this header and the options.
    const fn options_at(&self) -> Option<usize> {
        match self.kind {
            Self::ROUTER_SOLICITATION => Some(0),
            Self::ROUTER_ADVERTISEMENT => Some(8),
            Self::NEIGHBOR_SOLICITATION | Self::NEIGHBOR_ADVERTISEMENT => Some(16),
            Self::REDIRECT => Some(32),
            _ => None,
        }
    }

    /// The options of a Neighbor Discovery message: what follows its fixed part.
    fn options<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        payload.get(self.options_at()?..)
    }

    /// The name of the type (registry of IANA).
    #[must_use]
    pub const fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            Self::UNREACHABLE => "destination unreachable",
            Self::TOO_BIG => "packet too big",
            Self::TIME_EXCEEDED => "time exceeded",
            Self::PARAMETER_PROBLEM => "parameter problem",
            Self::ECHO_REQUEST => "echo request",
            Self::ECHO_REPLY => "echo reply",
            Self::MLD_QUERY => "listener query",
            Self::MLD_REPORT => "listener report",
            Self::MLD_DONE => "listener done",
            Self::ROUTER_SOLICITATION => "router solicitation",
            Self::ROUTER_ADVERTISEMENT => "router advertisement",
            Self::NEIGHBOR_SOLICITATION => "neighbor solicitation",
            Self::NEIGHBOR_ADVERTISEMENT => "neighbor advertisement",
            Self::REDIRECT => "redirect",
            138 => "router renumbering",
            139 => "node information query",
            140 => "node information response",
            141 => "inverse neighbor solicitation",
            142 => "inverse neighbor advertisement",
            Self::MLD2_REPORT => "listener report v2",
            144 => "home agent discovery request",
            145 => "home agent discovery reply",
            146 => "mobile prefix solicitation",
            147 => "mobile prefix advertisement",
            148 => "certification path solicitation",
            149 => "certification path advertisement",
            151 => "multicast router advertisement",
            152 => "multicast router solicitation",
            153 => "multicast router termination",
            155 => "rpl control",
            160 => "extended echo request",
            161 => "extended echo reply",
            _ => return None,
        })
    }

    /// The name of the code, where the type has more than one.
    #[must_use]
    pub const fn code_name(&self) -> Option<&'static str> {
        Some(match (self.kind, self.code) {
            (Self::UNREACHABLE, 0) => "no route",
            (Self::UNREACHABLE, 1) => "administratively prohibited",
            (Self::UNREACHABLE, 2) => "beyond scope of source",
            (Self::UNREACHABLE, 3) => "address unreachable",
            (Self::UNREACHABLE, 4) => "port unreachable",
            (Self::UNREACHABLE, 5) => "source address failed policy",
            (Self::UNREACHABLE, 6) => "rejected route",
            (Self::UNREACHABLE, 7) => "error in source routing header",
            (Self::TIME_EXCEEDED, 0) => "in transit",
            (Self::TIME_EXCEEDED, 1) => "in reassembly",
            (Self::PARAMETER_PROBLEM, 0) => "erroneous header field",
            (Self::PARAMETER_PROBLEM, 1) => "unknown next header",
            (Self::PARAMETER_PROBLEM, 2) => "unknown option",
            (Self::PARAMETER_PROBLEM, 3) => "first fragment without whole header chain",
            _ => return None,
        })
    }
}

fn address_at(payload: &[u8], at: usize) -> Option<Ipv6Addr> {
    payload.get(at..)?.first_chunk::<16>().map(|octets| (*octets).into())
}

/// The flags of a neighbor advertisement (RFC 4861 4.4): router, solicited, override.
const FROM_ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// The flags of a router advertisement (RFC 4861 4.2): addresses, and other things, come by DHCPv6.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

impl Header for Icmpv6 {
    #[inline]
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.named(key!("type"), self.kind.into(), self.kind_name());
        out.named(key!("code"), self.code.into(), self.code_name());
        out.hex(key!("checksum"), self.checksum.into(), 4);
        if let Some((id, seq)) = self.echo() {
            out.num(key!("id"), id.into());
            out.num(key!("seq"), seq.into());
        } else {
            self.rare_fields(view, out);
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        match self.kind_name() {
            Some(name) => out.text(name),
            None => {
                out.text("type ");
                out.num(self.kind.into());
                out.text(" code ");
                out.num(self.code.into());
            }
        }
        if let Some((id, seq)) = self.echo() {
            return echo_summary(id, seq, view.claimed, out);
        }
        if let Some(name) = self.code_name() {
            out.text(": ");
            out.text(name);
        }
        if let Some(mtu) = self.mtu() {
            out.text(" mtu ");
            out.num(mtu.into());
        }
        if self.is_error() {
            return quoted_summary(view.payload, out);
        }
        self.discovery_summary(view.payload, out);
    }

    #[inline]
    fn fault(&self, view: View<'_>) -> Option<Fault> {
        if self.echo().is_some() { None } else { self.rare_fault(view) }
    }
}

impl Icmpv6 {
    #[cold]
    fn rare_fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        let payload = view.payload;
        if self.is_error() {
            match self.kind {
                Self::TOO_BIG => out.num(key!("mtu"), u32::from_be_bytes(self.rest).into()),
                Self::PARAMETER_PROBLEM => out.num(key!("pointer"), u32::from_be_bytes(self.rest).into()),
                _ => {}
            }
            return quoted_fields(payload, out);
        }
        let flags = self.rest[0];
        match self.kind {
            Self::ROUTER_ADVERTISEMENT => {
                out.num(key!("hop_limit"), flags.into());
                out.flag(key!("managed"), self.rest[1] & MANAGED != 0);
                out.flag(key!("other_configuration"), self.rest[1] & OTHER != 0);
                out.num(key!("lifetime"), self.halves().1.into());
                if let [reachable, retransmit, ..] = payload.as_chunks::<4>().0 {
                    out.num(key!("reachable_time"), u32::from_be_bytes(*reachable).into());
                    out.num(key!("retransmit_timer"), u32::from_be_bytes(*retransmit).into());
                }
            }
            Self::NEIGHBOR_ADVERTISEMENT => {
                out.flag(key!("router"), flags & FROM_ROUTER != 0);
                out.flag(key!("solicited"), flags & SOLICITED != 0);
                out.flag(key!("override"), flags & OVERRIDE != 0);
            }
            Self::MLD_QUERY => out.num(key!("max_response"), self.halves().0.into()),
            Self::MLD2_REPORT => group_records(payload, self.halves().1, out),
            _ => {}
        }
        if let Some(target) = self.target(payload) {
            // MLD speaks about groups, Neighbor Discovery about neighbors; the schema has one name for each.
            let key = if self.kind < Self::ROUTER_SOLICITATION { key!("group") } else { key!("target") };
            out.ipv6(key, target);
        }
        match self.kind {
            Self::REDIRECT => {
                if let Some(destination) = address_at(payload, 16) {
                    out.ipv6(key!("destination"), destination);
                }
            }
            Self::MLD_QUERY if view.claimed >= 20 => query_sources(payload, out),
            _ => {}
        }
        if let Some(bytes) = self.options(payload).filter(|bytes| !bytes.is_empty()) {
            option::fields(bytes, out);
        }
    }

    #[cold]
    fn rare_fault(&self, view: View<'_>) -> Option<Fault> {
        let room = Room::message(view);
        let fixed = |length: usize| room.lacking(0, Self::LENGTH + length, "message shorter than its fixed part");
        match self.kind {
            Self::UNREACHABLE..=Self::PARAMETER_PROBLEM => quoted_fault(view),
            Self::MLD_QUERY if view.claimed >= 20 => sources_fault::<16>(view, 16),
            Self::MLD_QUERY | Self::MLD_REPORT | Self::MLD_DONE => fixed(16),
            Self::MLD2_REPORT => records_fault::<16>(view, self.halves().1),
            _ => {
                let at = self.options_at()?;
                fixed(at).or_else(|| option::fault(view.payload.get(at..)?, Self::LENGTH + at, room))
            }
        }
    }

    /// The end of the summary of what is neither echo nor error.
    fn discovery_summary(&self, payload: &[u8], out: &mut Text) {
        let target = |word: &str, out: &mut Text| {
            if let Some(target) = self.target(payload) {
                out.text(word);
                out.ipv6(target);
            }
        };
        match self.kind {
            Self::NEIGHBOR_SOLICITATION => target(" who-has ", out),
            Self::NEIGHBOR_ADVERTISEMENT => {
                target(" ", out);
                if let Some(mac) = self.options(payload).and_then(option::mac) {
                    out.text(" is-at ");
                    out.mac(mac);
                }
                for (flag, word) in [(FROM_ROUTER, " router"), (SOLICITED, " solicited"), (OVERRIDE, " override")] {
                    if self.rest[0] & flag != 0 {
                        out.text(word);
                    }
                }
            }
            Self::REDIRECT => {
                if let Some(destination) = address_at(payload, 16) {
                    out.byte(b' ');
                    out.ipv6(destination);
                }
                target(" to ", out);
            }
            Self::ROUTER_ADVERTISEMENT => {
                out.text(" hop-limit ");
                out.num(self.rest[0].into());
                out.text(" lifetime ");
                out.num(self.halves().1.into());
                option::summary(self.options(payload).unwrap_or_default(), out);
            }
            // A general query has no group.
            Self::MLD_QUERY if self.target(payload).is_some_and(|group| group.is_unspecified()) => {}
            Self::MLD_QUERY | Self::MLD_REPORT | Self::MLD_DONE => target(" ", out),
            Self::MLD2_REPORT => {
                let count = self.halves().1;
                for record in records::<16>(payload, count).take(2) {
                    out.byte(b' ');
                    out.text(record_name(record.kind).unwrap_or("record"));
                    out.byte(b' ');
                    out.ipv6(record.group.into());
                }
                if count > 2 {
                    out.text(" ... records ");
                    out.num(count.into());
                }
            }
            _ => {}
        }
    }
}

/// What an MLDv2 query says behind the group (RFC 9777 5.1).
fn query_sources<F: Fields>(payload: &[u8], out: &mut F) {
    let Some([flags, interval, high, low, sources @ ..]) = payload.get(16..) else { return };
    out.flag(key!("suppress"), flags & 8 != 0);
    out.num(key!("robustness"), (flags & 7).into());
    out.num(key!("query_interval"), (*interval).into());
    let (sources, count) = (sources.as_chunks::<16>().0, usize::from(u16::from_be_bytes([*high, *low])));
    source_list(&sources[..count.min(sources.len())], out);
}

fn group_records<F: Fields>(payload: &[u8], count: u16, out: &mut F) {
    out.open_list(key!("records"));
    let mut records = records::<16>(payload, count);
    for record in records.by_ref().take(LISTED) {
        out.open_item();
        out.named(key!("type"), record.kind.into(), record_name(record.kind));
        out.ipv6(key!("group"), record.group.into());
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

fn source_list<F: Fields>(sources: &[[u8; 16]], out: &mut F) {
    if sources.is_empty() {
        return;
    }
    out.open_list(key!("sources"));
    for source in sources.iter().take(LISTED) {
        out.open_item();
        out.ipv6(key!("address"), (*source).into());
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
    use proptest::prelude::*;

    fn said(message: &[u8]) -> (String, String) {
        let header = Icmpv6::parse(message.first_chunk().unwrap());
        (summary(&header, view(message, 8)), fields(&header, view(message, 8), Extent::Short))
    }

    fn address(last: u8) -> [u8; 16] {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).octets()
    }

    #[test]
    fn a_question_for_a_neighbor_and_its_answer() {
        let question = [&[135, 0, 0, 1, 0, 0, 0, 0][..], &address(2), &[1, 1, 2, 0, 0, 0, 0, 1]].concat();
        let (summary, fields) = said(&question);
        assert_eq!(summary, "neighbor solicitation who-has fd00::2");
        assert_eq!(fields, "type=135 code=0 checksum=0x0001 target=fd00::2 options=[{type=1 mac=02:00:00:00:00:01}]");
        let answer = [&[136, 0, 0, 1, 0x60, 0, 0, 0][..], &address(2), &[2, 1, 2, 0, 0, 0, 0, 2]].concat();
        let (summary, fields) = said(&answer);
        assert_eq!(summary, "neighbor advertisement fd00::2 is-at 02:00:00:00:00:02 solicited override");
        assert_eq!(
            fields,
            "type=136 code=0 checksum=0x0001 router=false solicited=true override=true target=fd00::2 \
             options=[{type=2 mac=02:00:00:00:00:02}]"
        );
        assert_eq!(said(&answer[..20]).0, "neighbor advertisement solicited override");
    }

    #[test]
    fn a_router_says_what_hosts_need() {
        let message = [
            &[134, 0, 0, 1, 64, 0x40, 0x07, 0x08, 0, 0, 0, 1, 0, 0, 0, 2][..],
            &[5, 1, 0, 0, 0, 0, 0x05, 0x78],
            &[3, 4, 64, 0xc0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0],
            &address(0),
            &[25, 3, 0, 0, 0, 0, 0, 60],
            &address(53),
        ]
        .concat();
        let (summary, fields) = said(&message);
        assert_eq!(summary, "router advertisement hop-limit 64 lifetime 1800 mtu 1400 prefix fd00::/64 dns fd00::35");
        assert_eq!(
            fields,
            "type=134 code=0 checksum=0x0001 hop_limit=64 managed=false other_configuration=true lifetime=1800 reachable_time=1 \
             retransmit_timer=2 options=[{type=5 mtu=1400}{type=3 prefix=fd00:: prefix_length=64 on_link=true autonomous=true \
             valid_lifetime=9 preferred_lifetime=8}{type=25 lifetime=60 servers=[{address=fd00::35}]}]"
        );
    }

    #[test]
    fn a_packet_that_is_too_big_is_named_with_the_mtu_it_should_have_had() {
        let mut quoted = vec![0x60, 0, 0, 0, 5, 0, 6, 64];
        quoted.extend([address(1), address(2)].concat());
        quoted.extend([0x13, 0x88, 0, 80]);
        let message = [&[2, 0, 0, 0, 0, 0, 5, 0][..], &quoted].concat();
        let (summary, fields) = said(&message);
        assert_eq!(summary, "packet too big mtu 1280 ([fd00::1]:5000 > [fd00::2]:80 tcp)");
        assert_eq!(
            fields,
            "type=2 code=0 checksum=0x0000 mtu=1280 quoted_src=fd00::1 quoted_dst=fd00::2 quoted_protocol=6 \
             quoted_src_port=5000 quoted_dst_port=80"
        );
        assert_eq!(said(&[1, 4, 0, 0, 0, 0, 0, 0]).0, "destination unreachable: port unreachable");
    }

    #[test]
    fn listeners_report_their_groups() {
        let message = [&[143, 0, 0, 1, 0, 0, 0, 1, 4, 0, 0, 1][..], &address(7), &address(8)].concat();
        let (summary, fields) = said(&message);
        assert_eq!(summary, "listener report v2 to-exclude fd00::7");
        assert_eq!(fields, "type=143 code=0 checksum=0x0001 records=[{type=4 group=fd00::7 sources=[{address=fd00::8}]}]");
        let query = [&[130, 0, 0, 1, 0x27, 0x10, 0, 0][..], &[0; 16], &[2, 125, 0, 0]].concat();
        let (summary, fields) = said(&query);
        assert_eq!(summary, "listener query");
        assert_eq!(fields, "type=130 code=0 checksum=0x0001 max_response=10000 group=:: suppress=false robustness=2 query_interval=125");
    }

    #[test]
    fn options_that_cannot_be_are_faults() {
        let fault = |options: &[u8], missing: u32| {
            let message = [&[135, 0, 0, 1, 0, 0, 0, 0][..], &address(2), options].concat();
            let whole = view(&message, 8);
            let fault = Icmpv6::parse(message.first_chunk().unwrap()).fault(View { claimed: whole.claimed + missing, ..whole });
            fault.map(|fault| (fault.offset, fault.need, fault.have, fault.reason.unwrap_or("truncated")))
        };
        let source = [1, 1, 2, 0, 0, 0, 0, 1];
        assert_eq!(fault(&[], 0), None);
        assert_eq!(fault(&source, 0), None);
        assert_eq!(fault(&source, 8), Some((32, 2, 0, "truncated")));
        assert_eq!(fault(&source[..6], 2), Some((24, 8, 6, "truncated")));
        assert_eq!(fault(&source[..6], 0), Some((24, 8, 6, "option beyond the message")));
        assert_eq!(fault(&[&source[..], &[14, 0, 0, 0, 0, 0, 0, 0]].concat(), 0), Some((32, 0, 0, "option length 0")));
        assert_eq!(fault(&[3, 1, 0, 0, 0, 0, 0, 0], 0), Some((24, 0, 0, "option of a wrong length")));
        let servers = [&[25, 2, 0, 0, 0, 0, 0, 9][..], &[0; 8]].concat();
        assert_eq!(fault(&servers, 0), Some((24, 0, 0, "option of a wrong length")));
        assert_eq!(fault(&[&[25, 3, 0, 0, 0, 0, 0, 9][..], &address(53)].concat(), 0), None);
    }

    #[test]
    fn a_message_without_its_fixed_part_is_a_fault() {
        let fault = |message: &[u8]| {
            let fault = Icmpv6::parse(message.first_chunk().unwrap()).fault(view(message, 8));
            fault.map(|fault| (fault.offset, fault.need, fault.have))
        };
        assert_eq!(fault(&[136, 0, 0, 1, 0, 0, 0, 0]), Some((0, 24, 8)));
        assert_eq!(fault(&[133, 0, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(fault(&[143, 0, 0, 1, 0, 0, 0, 1]), Some((8, 20, 0)));
        assert_eq!(fault(&[128, 0, 0, 1, 0, 0, 0, 1]), None);
        assert_eq!(fault(&[1, 0, 0, 1, 0, 0, 0, 0, 0x60, 0, 0, 0]), Some((8, 40, 4)));
    }

    #[test]
    fn a_redirect_names_both_addresses() {
        let message = [&[137, 0, 0, 1, 0, 0, 0, 0][..], &address(1), &address(9)].concat();
        assert_eq!(said(&message).0, "redirect fd00::9 to fd00::1");
        assert_eq!(said(&message).1, "type=137 code=0 checksum=0x0001 target=fd00::1 destination=fd00::9");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 8]) {
            prop_assert_eq!(Icmpv6::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_bytes_are_rendered_within_bounds(
            kind in prop_oneof![0u8..6, 128u8..148],
            rest in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..6], 7..140),
        ) {
            let message = [&[kind][..], &rest].concat();
            renders_every_cut(&Icmpv6::parse(message.first_chunk().unwrap()), &message, 8, 4000);
        }
    }
}
