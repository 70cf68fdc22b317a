//! Which address do I get? Messages of DHCP clients to all servers (RFC 2131 4.1, RFC 8415 7.1), sent on to one.
//!
//! Only the Ethernet destination changes: the IP packet still says "to all", which a station takes that is addressed by its MAC (for IPv6:
//! RFC 6085). The server sees the client's own packet, with no relay in between, and answers it directly.

use super::Unproxied;
use super::link::{Link, payload};
use super::{arp, ndp};
use overlay_decoder::Mac;
use overlay_decoder::checksum::{Sum, internet};
use overlay_decoder::layer::number::{ip, port};
use overlay_decoder::layer::{Dhcp, Dhcpv6, Ipv4, Ipv6, Udp};
use std::net::{Ipv4Addr, Ipv6Addr};

/// All relays and servers of a link (RFC 8415 7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The operation of a client's message (RFC 2131 2).
const BOOTREQUEST: u8 = 1;
/// Hardware type and length of an address of Ethernet (RFC 2131 2, numbers of ARP).
const ETHERNET: [u8; 2] = [1, 6];

/// Which DHCP is spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DhcpVersion {
    /// Over IPv4 (RFC 2131), BOOTP (RFC 951) included: its messages have the same form (RFC 1534).
    V4,
    /// Over IPv6 (RFC 8415).
    V6,
}

/// A sound message of a DHCP client to all servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhcpRequest {
    version: DhcpVersion,
    client: Mac,
    frame: Vec<u8>,
}

impl DhcpRequest {
    /// The station that sent the frame. The hardware address in a DHCPv4 message can be another's, for whom it asks; DHCPv6 has none.
    #[must_use]
    pub const fn client(&self) -> Mac {
        self.client
    }

    /// Which DHCP is spoken.
    #[must_use]
    pub const fn version(&self) -> DhcpVersion {
        self.version
    }

    /// The same frame to a server that is one station.
    ///
    /// A UDP checksum that the client left to its network card is filled in: what is resent is on nobody's card any more.
    #[must_use]
    pub fn redirect(&self, server: Mac) -> Vec<u8> {
        let mut frame = self.frame.clone();
        // `asked` has read a whole Ethernet header.
        if let Some(destination) = frame.first_chunk_mut() {
            *destination = server.0;
        }
        frame
    }
}

/// Reads a UDP datagram over IPv4 to the broadcast MAC, `packet` from its IP header on; only messages of DHCP clients are a proxy's.
pub(super) fn request_v4(link: &Link, header: &Ipv4, packet: &[u8], frame: &[u8]) -> Result<Option<DhcpRequest>, Unproxied> {
    let (start, end) = (usize::from(header.header_length), usize::from(header.total_length));
    // Fragments behind the first have no ports: what they belong to cannot be told.
    if header.is_later_fragment() || !packet.get(start..).is_some_and(|udp| goes(udp, (port::DHCP_CLIENT, port::DHCP_SERVER))) {
        return Ok(None);
    }
    if header.is_fragment() {
        return Err(Unproxied::Fragment);
    }
    if end < start {
        return Err(Unproxied::Length);
    }
    let datagram = packet.get(start..end).ok_or(Unproxied::Short)?;
    if internet(&packet[..start]) != 0 {
        return Err(Unproxied::Checksum);
    }
    // RFC 2131 4.1. In a frame to all, a packet to one is to be ignored (RFC 1122 3.3.6), and the broadcast address of the client's
    // subnet is not known here.
    if header.dst != Ipv4Addr::BROADCAST {
        return Err(Unproxied::Destination);
    }
    if !(header.src.is_unspecified() || arp::is_host(header.src)) {
        return Err(Unproxied::Sender);
    }
    let client = link.sender()?;
    let udp = Datagram::parse(datagram)?;
    let message = udp.payload.first_chunk::<{ Dhcp::LENGTH }>().ok_or(Unproxied::Length)?;
    let missing = udp.check(|length| pseudo_v4(header, length), true)?;
    if message[0] != BOOTREQUEST {
        return Err(Unproxied::Message);
    }
    if message[1..3] != ETHERNET {
        return Err(Unproxied::Foreign);
    }
    if Dhcp::parse(message).client_mac.is_group() {
        return Err(Unproxied::Sender);
    }
    Ok(Some(DhcpRequest { version: DhcpVersion::V4, client, frame: filled_in(frame, packet.len() - start, missing) }))
}

/// Reads a UDP datagram over IPv6 to a group; only messages of DHCP clients are a proxy's.
pub(super) fn request_v6(link: &Link, header: &Ipv6, rest: &[u8], frame: &[u8]) -> Result<Option<DhcpRequest>, Unproxied> {
    if !goes(rest, (port::DHCPV6_CLIENT, port::DHCPV6_SERVER)) {
        return Ok(None);
    }
    if header.dst != ALL_SERVERS || link.dst != ndp::group_mac(ALL_SERVERS) {
        return Err(Unproxied::Destination);
    }
    // RFC 8415 17.1: a client's link-local address.
    let client = link.sender()?;
    if !header.src.is_unicast_link_local() {
        return Err(Unproxied::Sender);
    }
    let udp = Datagram::parse(payload(header, rest)?)?;
    let message = udp.payload.first_chunk::<{ Dhcpv6::LENGTH }>().ok_or(Unproxied::Length)?;
    let missing = udp.check(|length| pseudo_v6(header, length), false)?;
    if !is_from_client(Dhcpv6::parse(message).kind) {
        return Err(Unproxied::Message);
    }
    Ok(Some(DhcpRequest { version: DhcpVersion::V6, client, frame: filled_in(frame, rest.len(), missing) }))
}

/// Whether clients send messages of this type to all servers: solicit, request, confirm, renew, rebind, release, decline,
/// information-request (RFC 8415 7.3), and the query of DHCPv4 over DHCPv6 (RFC 7341 6).
const fn is_from_client(kind: u8) -> bool {
    matches!(kind, 1 | 3 | 4 | 5 | 6 | 8 | 9 | 11 | 20)
}

/// Whether a UDP datagram goes from one port to another.
fn goes(datagram: &[u8], (from, to): (u16, u16)) -> bool {
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    datagram.starts_with(&[a, b, c, d])
}

/// A UDP datagram whose length is what IP says, or less.
struct Datagram<'a> {
    header: Udp,
    whole: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads what IP carries.
    fn parse(carried: &'a [u8]) -> Result<Self, Unproxied> {
        let header = Udp::parse(carried.first_chunk().ok_or(Unproxied::Length)?);
        let whole = carried.get(..usize::from(header.length)).ok_or(Unproxied::Length)?;
        let payload = whole.get(Udp::LENGTH..).ok_or(Unproxied::Length)?;
        Ok(Self { header, whole, payload })
    }

    /// Verifies the checksum; the one that is to be filled in, if the field has only the sum of the pseudo-header: its sender left the rest
    /// to a network card. Without a checksum (0) a datagram is sound over IPv4 alone (RFC 768; RFC 8200 8.1).
    fn check(&self, pseudo: impl Fn(u32) -> Sum, may_be_zero: bool) -> Result<Option<u16>, Unproxied> {
        if self.header.checksum == 0 {
            return if may_be_zero { Ok(None) } else { Err(Unproxied::Checksum) };
        }
        let pseudo = pseudo(self.header.length.into());
        let mut sum = pseudo;
        sum.add(self.whole);
        if sum.folded() == 0xffff {
            return Ok(None);
        }
        if self.header.checksum != pseudo.folded() {
            return Err(Unproxied::Checksum);
        }
        // The field itself is the pseudo-header's sum, so that what was added is what a card adds. 0 would say "none" (RFC 768).
        let mut card = Sum::new();
        card.add(self.whole);
        Ok(Some(if card.checksum() == 0 { 0xffff } else { card.checksum() }))
    }
}

fn pseudo_v4(header: &Ipv4, length: u32) -> Sum {
    let mut sum = Sum::new();
    sum.add_pseudo_v4(header.src, header.dst, ip::UDP, length);
    sum
}

fn pseudo_v6(header: &Ipv6, length: u32) -> Sum {
    let mut sum = Sum::new();
    sum.add_pseudo_v6(header.src, header.dst, ip::UDP, length);
    sum
}

/// The frame, with a missing checksum in the UDP header that begins `from_end` bytes before its end.
fn filled_in(frame: &[u8], from_end: usize, missing: Option<u16>) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let field = frame.len().checked_sub(from_end).and_then(|udp| frame.get_mut(udp + 6..udp + 8));
    if let (Some(field), Some(checksum)) = (field, missing) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    frame
}
