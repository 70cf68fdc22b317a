//! What does the network say about a packet? ICMP (RFC 792; next-hop MTU: RFC 1191 4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Type     |      Code     |            Checksum           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | By type: identifier and sequence; MTU; gateway; pointer       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | By type: echo data, or the start of the packet that is at fault
//! ```
//!
//! The packet that an error quotes is no layer: it did not come this way. Its addresses and ports are fields.

use super::fault::{Fault, Room};
use super::{Header, View, number};
use crate::fields::{Fields, key};
use crate::text::Text;
use std::net::IpAddr;

/// An ICMP header: the part that every message has, and the four bytes behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp {
    /// Type of the message.
    pub kind: u8,
    /// Which case of the type.
    pub code: u8,
    /// Checksum over the message.
    pub checksum: u16,
    /// The four bytes whose meaning depends on the type.
    pub rest: [u8; 4],
}

impl Icmp {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 8;
    /// Type: answer to [`Icmp::ECHO_REQUEST`].
    pub const ECHO_REPLY: u8 = 0;
    /// Type: a packet could not be delivered.
    pub const UNREACHABLE: u8 = 3;
    /// Type: there is a better gateway.
    pub const REDIRECT: u8 = 5;
    /// Type: to be answered.
    pub const ECHO_REQUEST: u8 = 8;
    /// Type: a packet was too long on its way, or its fragments were.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Type: a field of a packet makes no sense.
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// Code of [`Icmp::UNREACHABLE`]: the packet is too big for the next link, and must not be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;

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

    /// Identifier and sequence number, where the type has them.
    #[must_use]
    pub const fn echo(&self) -> Option<(u16, u16)> {
        match self.kind {
            Self::ECHO_REPLY | Self::ECHO_REQUEST | 13..=18 => {
                let [a, b, c, d] = self.rest;
                Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
            }
            _ => None,
        }
    }

    /// The MTU of the next link in bytes, of a fragmentation-needed message; 0 from routers older than RFC 1191.
    #[must_use]
    pub const fn mtu(&self) -> Option<u16> {
        match (self.kind, self.code) {
            (Self::UNREACHABLE, Self::FRAGMENTATION_NEEDED) => Some(u16::from_be_bytes([self.rest[2], self.rest[3]])),
            _ => None,
        }
    }

    /// Whether the message quotes the packet that it is about (RFC 1122 3.2.2).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.kind, Self::UNREACHABLE | 4 | Self::REDIRECT | Self::TIME_EXCEEDED | Self::PARAMETER_PROBLEM)
    }

    /// The name of the type (registry of IANA).
    #[must_use]
    pub const fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            Self::ECHO_REPLY => "echo reply",
            Self::UNREACHABLE => "destination unreachable",
            4 => "source quench",
            Self::REDIRECT => "redirect",
            Self::ECHO_REQUEST => "echo request",
            9 => "router advertisement",
            10 => "router solicitation",
            Self::TIME_EXCEEDED => "time exceeded",
            Self::PARAMETER_PROBLEM => "parameter problem",
            13 => "timestamp request",
            14 => "timestamp reply",
            15 => "information request",
            16 => "information reply",
            17 => "address mask request",
            18 => "address mask reply",
            40 => "photuris",
            42 => "extended echo request",
            43 => "extended echo reply",
            _ => return None,
        })
    }

    /// The name of the code, where the type has more than one.
    #[must_use]
    pub const fn code_name(&self) -> Option<&'static str> {
        Some(match (self.kind, self.code) {
            (Self::UNREACHABLE, 0) => "network unreachable",
            (Self::UNREACHABLE, 1) => "host unreachable",
            (Self::UNREACHABLE, 2) => "protocol unreachable",
            (Self::UNREACHABLE, 3) => "port unreachable",
            (Self::UNREACHABLE, Self::FRAGMENTATION_NEEDED) => "fragmentation needed",
            (Self::UNREACHABLE, 5) => "source route failed",
            (Self::UNREACHABLE, 6) => "network unknown",
            (Self::UNREACHABLE, 7) => "host unknown",
            (Self::UNREACHABLE, 8) => "source host isolated",
            (Self::UNREACHABLE, 9) => "network prohibited",
            (Self::UNREACHABLE, 10) => "host prohibited",
            (Self::UNREACHABLE, 11) => "network unreachable for tos",
            (Self::UNREACHABLE, 12) => "host unreachable for tos",
            (Self::UNREACHABLE, 13) => "administratively prohibited",
            (Self::UNREACHABLE, 14) => "host precedence violation",
            (Self::UNREACHABLE, 15) => "precedence cutoff",
            (Self::REDIRECT, 0) => "for network",
            (Self::REDIRECT, 1) => "for host",
            (Self::REDIRECT, 2) => "for network and tos",
            (Self::REDIRECT, 3) => "for host and tos",
            (Self::TIME_EXCEEDED, 0) => "in transit",
            (Self::TIME_EXCEEDED, 1) => "in reassembly",
            (Self::PARAMETER_PROBLEM, 1) => "missing option",
            (Self::PARAMETER_PROBLEM, 2) => "bad length",
            _ => return None,
        })
    }
}

impl Header for Icmp {
    #[inline]
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.named(key!("type"), self.kind.into(), self.kind_name());
        out.named(key!("code"), self.code.into(), self.code_name());
        out.hex(key!("checksum"), self.checksum.into(), 4);
        if let Some((id, seq)) = self.echo() {
            out.num(key!("id"), id.into());
            out.num(key!("seq"), seq.into());
        }
        if let Some(mtu) = self.mtu() {
            out.num(key!("mtu"), mtu.into());
        }
        match self.kind {
            Self::REDIRECT => out.ipv4(key!("gateway"), self.rest.into()),
            Self::PARAMETER_PROBLEM => out.num(key!("pointer"), self.rest[0].into()),
            13 | 14 if out.wants_details() => times(view.payload, out),
            _ => {}
        }
        if self.is_error() {
            quoted_fields(view.payload, out);
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
            echo_summary(id, seq, view.claimed, out);
        }
        if let Some(name) = self.code_name() {
            out.text(": ");
            out.text(name);
        }
        if let Some(mtu) = self.mtu() {
            out.text(" mtu ");
            out.num(mtu.into());
        }
        if self.kind == Self::REDIRECT {
            out.text(" to ");
            out.ipv4(self.rest.into());
        }
        if self.is_error() {
            quoted_summary(view.payload, out);
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        if self.is_error() { quoted_fault(view) } else { None }
    }
}

/// The three times of a timestamp message, in milliseconds since midnight UTC.
fn times<F: Fields>(payload: &[u8], out: &mut F) {
    if let [a, b, c, ..] = payload.as_chunks::<4>().0 {
        out.num(key!("originate"), u32::from_be_bytes(*a).into());
        out.num(key!("receive"), u32::from_be_bytes(*b).into());
        out.num(key!("transmit"), u32::from_be_bytes(*c).into());
    }
}

/// The end of an echo's summary, here and in ICMPv6.
pub(super) fn echo_summary(id: u16, seq: u16, length: u32, out: &mut Text) {
    out.text(" id ");
    out.num(id.into());
    out.text(" seq ");
    out.num(seq.into());
    out.text(" len ");
    out.num(length.into());
}

/// The start of the packet that an error is about.
struct Quoted {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    /// Source and destination port, where the protocol has them and they were quoted.
    ports: Option<(u16, u16)>,
    /// Where the ports are, quoted or not.
    ports_at: Option<usize>,
}

impl Quoted {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (src, dst, protocol, start): (IpAddr, IpAddr, u8, Option<usize>) = match bytes.first()? >> 4 {
            4 => {
                let header = super::Ipv4::parse(bytes.first_chunk()?);
                let length = usize::from(header.header_length);
                // Without the start of the packet there are no ports; a length below 20 is not one.
                let start = if header.is_later_fragment() || length < super::Ipv4::LENGTH { None } else { Some(length) };
                (header.src.into(), header.dst.into(), header.protocol, start)
            }
            6 => {
                let header = super::Ipv6::parse(bytes.first_chunk()?);
                (header.src.into(), header.dst.into(), header.next_header, Some(super::Ipv6::LENGTH))
            }
            _ => return None,
        };
        let start = start
            .filter(|_| matches!(protocol, number::ip::TCP | number::ip::UDP | number::ip::SCTP | number::ip::DCCP | number::ip::UDPLITE));
        let ports = start
            .and_then(|start| bytes.get(start..)?.first_chunk())
            .map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
        Some(Self { src, dst, protocol, ports, ports_at: start })
    }
}

/// What is missing of the packet that an error quotes, here and in ICMPv6: its IP header, or ports that the capture cut off.
#[cold]
pub(super) fn quoted_fault(view: View<'_>) -> Option<Fault> {
    let (room, at) = (Room::message(view), Icmp::LENGTH);
    match Quoted::read(view.payload) {
        // Older systems quote less than the ports of a packet with options.
        Some(quoted) => quoted.ports_at.filter(|ports| at + ports + 4 <= room.claimed).and_then(|ports| room.lacking(at, ports + 4, "")),
        None => {
            let need = match view.payload.first().map(|byte| byte >> 4) {
                None => 1,
                Some(4) => super::Ipv4::LENGTH,
                Some(6) => super::Ipv6::LENGTH,
                Some(_) => return None,
            };
            room.left(at, need, "quoted packet shorter than its header")
        }
    }
}

/// The fields of the packet that an error quotes, here and in ICMPv6.
#[cold]
pub(super) fn quoted_fields<F: Fields>(bytes: &[u8], out: &mut F) {
    let Some(quoted) = Quoted::read(bytes) else { return };
    match (quoted.src, quoted.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            out.ipv4(key!("quoted_src"), src);
            out.ipv4(key!("quoted_dst"), dst);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            out.ipv6(key!("quoted_src"), src);
            out.ipv6(key!("quoted_dst"), dst);
        }
        _ => {}
    }
    out.named(key!("quoted_protocol"), quoted.protocol.into(), number::ip::name(quoted.protocol));
    if let Some((src, dst)) = quoted.ports {
        out.num(key!("quoted_src_port"), src.into());
        out.num(key!("quoted_dst_port"), dst.into());
    }
}

/// Source, destination and protocol of the packet that an error quotes, in parentheses.
pub(super) fn quoted_summary(bytes: &[u8], out: &mut Text) {
    let Some(quoted) = Quoted::read(bytes) else { return };
    let ports = quoted.ports;
    out.text(" (");
    endpoint(quoted.src, ports.map(|ports| ports.0), out);
    out.text(" > ");
    endpoint(quoted.dst, ports.map(|ports| ports.1), out);
    out.byte(b' ');
    match number::ip::name(quoted.protocol) {
        Some(name) => out.text(name),
        None => {
            out.text("protocol ");
            out.num(quoted.protocol.into());
        }
    }
    out.byte(b')');
}

/// Writes an address so that it can be pasted back: with a port, IPv6 stands in brackets.
fn endpoint(address: IpAddr, port: Option<u16>, out: &mut Text) {
    match (address, port) {
        (IpAddr::V4(address), _) => out.ipv4(address),
        (IpAddr::V6(address), None) => out.ipv6(address),
        (IpAddr::V6(address), Some(_)) => {
            out.byte(b'[');
            out.ipv6(address);
            out.byte(b']');
        }
    }
    if let Some(port) = port {
        out.byte(b':');
        out.num(port.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, renders_every_cut, summary, view};
    use crate::stop::StopKind;
    use proptest::prelude::*;

    const QUOTED: [u8; 28] = [0x45, 0, 0, 50, 0, 5, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x13, 0x88, 0, 53, 0, 30, 0, 0];

    fn said(message: &[u8]) -> (String, String) {
        let header = Icmp::parse(message.first_chunk().unwrap());
        (summary(&header, view(message, 8)), fields(&header, view(message, 8), Extent::Short))
    }

    #[test]
    fn a_ping_and_its_answer() {
        let (summary, fields) = said(&[8, 0, 0xf7, 0xf9, 0, 5, 0, 1, 1, 2, 3, 4]);
        assert_eq!(summary, "echo request id 5 seq 1 len 4");
        assert_eq!(fields, "type=8 code=0 checksum=0xf7f9 id=5 seq=1");
        assert_eq!(said(&[0, 0, 0, 0, 0, 5, 0, 1]).0, "echo reply id 5 seq 1 len 0");
    }

    #[test]
    fn an_error_names_the_packet_it_is_about() {
        let message = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &QUOTED].concat();
        let (summary, fields) = said(&message);
        assert_eq!(summary, "destination unreachable: port unreachable (10.0.0.1:5000 > 10.0.0.2:53 udp)");
        assert_eq!(
            fields,
            "type=3 code=3 checksum=0x0000 quoted_src=10.0.0.1 quoted_dst=10.0.0.2 quoted_protocol=17 quoted_src_port=5000 quoted_dst_port=53"
        );
        assert_eq!(said(&message[..28]).0, "destination unreachable: port unreachable (10.0.0.1 > 10.0.0.2 udp)");
        assert_eq!(said(&message[..27]).0, "destination unreachable: port unreachable");
    }

    #[test]
    fn a_path_mtu_a_gateway_and_a_dead_end() {
        assert_eq!(said(&[3, 4, 0, 0, 0, 0, 0x05, 0x78]).0, "destination unreachable: fragmentation needed mtu 1400");
        assert!(said(&[3, 4, 0, 0, 0, 0, 0x05, 0x78]).1.ends_with("mtu=1400"));
        assert_eq!(said(&[5, 1, 0, 0, 192, 0, 2, 9]).0, "redirect: for host to 192.0.2.9");
        assert_eq!(said(&[11, 0, 0, 0, 0, 0, 0, 0]).0, "time exceeded: in transit");
        assert_eq!(said(&[200, 7, 0, 0, 0, 0, 0, 0]).0, "type 200 code 7");
    }

    #[test]
    fn a_quote_that_is_cut_is_the_captures_fault_or_the_senders() {
        let message = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &QUOTED].concat();
        let fault = |captured: usize, claimed: u32| {
            let view = View { header: &message[..8], payload: &message[8..captured], claimed };
            Icmp::parse(message.first_chunk().unwrap()).fault(view).map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        assert_eq!(fault(36, 28), None);
        assert_eq!(fault(32, 28), None, "the ports are there");
        assert_eq!(fault(30, 28), Some((StopKind::Truncated, 8, 24, 22)));
        assert_eq!(fault(30, 22), None, "a router that quotes less");
        assert_eq!(fault(20, 28), Some((StopKind::Truncated, 8, 20, 12)));
        assert_eq!(fault(8, 28), Some((StopKind::Truncated, 8, 1, 0)));
        assert_eq!(fault(20, 12), Some((StopKind::Malformed, 8, 20, 12)));
        assert_eq!(fault(8, 0), None, "no quote at all");
    }

    #[test]
    fn a_later_fragment_that_is_quoted_has_no_ports() {
        let mut quoted = QUOTED;
        quoted[7] = 1;
        assert_eq!(said(&[&[11, 1, 0, 0, 0, 0, 0, 0][..], &quoted].concat()).0, "time exceeded: in reassembly (10.0.0.1 > 10.0.0.2 udp)");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 8]) {
            prop_assert_eq!(Icmp::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_bytes_are_rendered_within_bounds(kind in 0u8..20, rest in proptest::collection::vec(any::<u8>(), 7..100)) {
            let message = [&[kind][..], &rest].concat();
            renders_every_cut(&Icmp::parse(message.first_chunk().unwrap()), &message, 8, 600);
        }
    }
}
