//! Who says why a datagram does not arrive? ICMP errors about what was sent to one place, as a raw socket sees them.
//!
//! Underlay sockets do not listen to them, because an error about one destination would fail the next datagram to another. While a ping is
//! under way, this socket does. Anybody can forge such a message: it is reported, with who sent it, and nothing else follows from it.
//! Sources: RFC 792, RFC 1191 4, RFC 1812 5.2.7.1, RFC 4443 3, icmp(7), raw(7).

use super::Underlay;
use crate::sys::calls;
use crate::sys::error::SysError;
use nix::libc;
use overlay_decoder::Ul3;
use overlay_engine::encap::Carrier;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use tokio::net::UdpSocket;

/// What somebody says of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Why {
    /// Nobody listens at the UDP port, or to the IP protocol.
    NobodyListens,
    /// A firewall refuses it.
    Prohibited,
    /// There is no way there, or the host does not answer.
    NoWay,
    /// It is longer than the next link takes: IP packets of so many bytes; 0 if it does not say.
    TooBig(u32),
    /// Its hops are used up.
    HopsUsedUp,
}

/// An ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    /// Who sent it.
    pub(crate) by: IpAddr,
    /// What it says.
    pub(crate) why: Why,
}

/// The socket, which never blocks.
#[derive(Debug)]
pub(crate) struct Refusals {
    socket: OwnedFd,
    /// Errors about what was sent here are reported.
    to: Ul3,
    protocol: u8,
}

impl Underlay {
    /// Listens to ICMP errors about what is sent to `to`.
    ///
    /// # Errors
    /// When the kernel has no socket for that, or the namespace is gone.
    pub(crate) fn refusals(&self, to: Ul3) -> Result<Refusals, SysError> {
        let (family, kind) = match to.ip {
            IpAddr::V4(_) => (libc::AF_INET, libc::IPPROTO_ICMP),
            IpAddr::V6(_) => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
        };
        let socket = self.home.run(|| calls::socket(family, libc::SOCK_RAW, kind))?;
        let socket = socket.map_err(|errno| SysError::system(&self.label, "cannot listen to ICMP", errno))?;
        let protocol = match self.queues[0].carrier {
            // 17, of the IANA's protocol numbers.
            Carrier::Udp => 17,
            Carrier::Ip(protocol) => protocol,
        };
        Ok(Refusals { socket, to, protocol })
    }
}

impl Refusals {
    /// The same for the runtime that it is called in.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub(crate) fn listen(self) -> std::io::Result<Listening> {
        let Self { socket, to, protocol } = self;
        // What reads datagrams reads those of a raw socket, too.
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket))?;
        Ok(Listening { socket, to, protocol })
    }
}

/// The socket, watched.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: UdpSocket,
    to: Ul3,
    protocol: u8,
}

impl Listening {
    /// The next error that is about what was sent there. Never, if the socket fails.
    pub(crate) async fn next(&self) -> Told {
        let mut buffer = [0; 2048];
        loop {
            let Ok((len, from)) = self.socket.recv_from(&mut buffer).await else { return std::future::pending().await };
            let bytes = buffer.get(..len).unwrap_or(&[]);
            let told = if self.to.ip.is_ipv4() { about_ipv4(bytes) } else { about_ipv6(from.ip(), bytes) };
            if let Some((told, about)) = told
                && about.ip == self.to.ip
                && about.protocol == self.protocol
                && (self.to.port.is_none() || about.port == self.to.port)
            {
                return told;
            }
        }
    }
}

/// Which packet an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct About {
    ip: IpAddr,
    protocol: u8,
    /// The destination port, if there are so many bytes.
    port: Option<u16>,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// An IPv4 packet with ICMP, as a raw socket gives it.
fn about_ipv4(packet: &[u8]) -> Option<(Told, About)> {
    let ip = |at: usize, bytes: &[u8]| bytes.get(at..)?.first_chunk::<4>().map(|ip| IpAddr::V4(Ipv4Addr::from(*ip)));
    let header_len = |bytes: &[u8]| bytes.first().map(|first| usize::from(first & 15) * 4).filter(|len| *len >= 20);
    let by = ip(12, packet)?;
    let icmp = packet.get(header_len(packet)?..)?;
    let why = match (icmp.first()?, icmp.get(1)?) {
        (3, 2 | 3) => Why::NobodyListens,
        (3, 4) => Why::TooBig(word(icmp, 6)?.into()),
        (3, 9 | 10 | 13) => Why::Prohibited,
        (3, _) => Why::NoWay,
        (11, 0) => Why::HopsUsedUp,
        _ => return None,
    };
    let inner = icmp.get(8..)?;
    let about = About { ip: ip(16, inner)?, protocol: *inner.get(9)?, port: word(inner.get(header_len(inner)?..)?, 2) };
    Some((Told { by, why }, about))
}

/// An ICMPv6 message, without its IP header.
fn about_ipv6(by: IpAddr, icmp: &[u8]) -> Option<(Told, About)> {
    let why = match (icmp.first()?, icmp.get(1)?) {
        (1, 4) => Why::NobodyListens,
        (1, 1 | 5 | 6) => Why::Prohibited,
        (1, _) => Why::NoWay,
        (2, _) => Why::TooBig(u32::from_be_bytes(*icmp.get(4..)?.first_chunk()?)),
        (3, 0) => Why::HopsUsedUp,
        // 4, code 1: the next header is not known, as port unreachable is for what has no ports.
        (4, 1) => Why::NobodyListens,
        _ => return None,
    };
    let inner = icmp.get(8..)?;
    let ip = inner.get(24..)?.first_chunk::<16>().map(|ip| IpAddr::V6(Ipv6Addr::from(*ip)))?;
    let about = About { ip, protocol: *inner.get(6)?, port: word(inner, 42) };
    Some((Told { by, why }, about))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header of 20 bytes.
    fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        header.extend(from);
        header.extend(to);
        header
    }

    fn error4(kind: u8, code: u8, mtu: u16) -> Vec<u8> {
        let mut packet = ipv4(1, [10, 0, 0, 9], [10, 0, 0, 1]);
        packet.extend([kind, code, 0, 0, 0, 0]);
        packet.extend(mtu.to_be_bytes());
        packet.extend(ipv4(17, [10, 0, 0, 1], [10, 0, 0, 2]));
        packet.extend([0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0]);
        packet
    }

    #[test]
    fn an_error_says_who_why_and_about_what() {
        let about = About { ip: "10.0.0.2".parse().unwrap(), protocol: 17, port: Some(4789) };
        let by = "10.0.0.9".parse().unwrap();
        for (kind, code, why) in [
            (3, 3, Some(Why::NobodyListens)),
            (3, 2, Some(Why::NobodyListens)),
            (3, 4, Some(Why::TooBig(1400))),
            (3, 13, Some(Why::Prohibited)),
            (3, 1, Some(Why::NoWay)),
            (11, 0, Some(Why::HopsUsedUp)),
            (0, 0, None),
            (8, 0, None),
        ] {
            assert_eq!(about_ipv4(&error4(kind, code, 1400)), why.map(|why| (Told { by, why }, about)), "{kind} {code}");
        }
    }

    #[test]
    fn an_error_of_ipv6_has_no_header_in_front() {
        let mut icmp = vec![2, 0, 0, 0, 0, 0, 5, 0];
        icmp.extend([0x60, 0, 0, 0, 0, 0, 17, 64]);
        icmp.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
        icmp.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
        icmp.extend([0xc0, 0, 0x12, 0xb5]);
        let by = "fd00::9".parse().unwrap();
        let about = About { ip: "fd00::2".parse().unwrap(), protocol: 17, port: Some(4789) };
        assert_eq!(about_ipv6(by, &icmp), Some((Told { by, why: Why::TooBig(1280) }, about)));
    }

    #[test]
    fn what_is_cut_off_is_none_or_has_no_port_and_nothing_panics() {
        let whole = error4(3, 3, 0);
        for end in 0..whole.len() {
            if let Some((_, about)) = about_ipv4(&whole[..end]) {
                assert!(end >= 48 && about.port.is_none() == (end < 52), "{end}");
            }
            let _ = about_ipv6("::1".parse().unwrap(), &whole[..end]);
        }
        let mut short = whole;
        short[0] = 0x41;
        assert_eq!(about_ipv4(&short), None, "a header of 4 bytes");
    }
}
