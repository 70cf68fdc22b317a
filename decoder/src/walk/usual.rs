//! How do nearly all packets of an overlay start? Ethernet, IPv4, UDP, VXLAN, Ethernet: 64 bytes without an option among them.
//!
//! Step by step, these five headers are half of the walk: each asks what the one before left of captured and claimed bytes. Here one
//! question about 64 bytes stands for all of them, every offset is a constant, and whatever is not as usual is left to the steps,
//! untouched. A test walks packets both ways and compares.

use super::guess::may_be_tunnel;
use super::ip::LONGEST_TRAILER;
use super::transport::{has_messages_over_tcp, has_messages_over_udp};
use super::{Config, LONGEST_WIRE_FRAME, Next, Step, UdpTunnel, Walk};
use crate::layer::number::{ethertype, ip};
use crate::layer::{Body, Ethernet, Ipv4, Ipv6, Layer, Tcp, Udp, Vxlan};
use crate::link::LinkType;

/// Where the five headers end.
const END: usize = 2 * Ethernet::LENGTH + Ipv4::LENGTH + Udp::LENGTH + Vxlan::LENGTH;

/// Version 4 and a header of 20 bytes.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;

/// The five headers of a packet that starts as usual.
pub(crate) struct Start<'a> {
    pub(crate) ethernet: Ethernet,
    pub(crate) ipv4: Ipv4,
    pub(crate) udp: Udp,
    pub(crate) vxlan: Vxlan,
    pub(crate) inner: Ethernet,
    /// The captured bytes behind them that belong to the tenant's frame.
    rest: &'a [u8],
    /// Where the tenant's frame ends by the lengths in the headers.
    end: usize,
    /// Bytes behind the outer Ethernet header, a trailer among them.
    claimed: usize,
}

impl<'a> Start<'a> {
    /// The five headers if all is as usual: `bytes` as captured of a packet that is `end` bytes long on the wire.
    #[inline(always)]
    pub(crate) fn of(config: &Config, bytes: &'a [u8], end: usize, link: LinkType) -> Option<Self> {
        let headers: &[u8] = bytes.first_chunk::<END>()?;
        let (ethernet, headers) = headers.split_first_chunk()?;
        let (ipv4, headers) = headers.split_first_chunk()?;
        let (udp, headers) = headers.split_first_chunk()?;
        let (vxlan, headers) = headers.split_first_chunk()?;
        let (inner, _) = headers.split_first_chunk()?;
        if link != LinkType::ETHERNET || ipv4[0] != IPV4_WITHOUT_OPTIONS {
            return None;
        }
        let (ethernet, ipv4, udp) = (Ethernet::parse(ethernet), Ipv4::parse(ipv4), Udp::parse(udp));
        if ethernet.ethertype != ethertype::IPV4 || ipv4.protocol != ip::UDP || ipv4.is_fragment() {
            return None;
        }
        // The lengths agree, up to a trailer of the frame, and the five headers are within them.
        let (total, claimed) = (usize::from(ipv4.total_length), end - Ethernet::LENGTH);
        let end = Ethernet::LENGTH + total;
        if total > claimed || claimed - total > LONGEST_TRAILER || usize::from(udp.length) != total.wrapping_sub(Ipv4::LENGTH) || end < END
        {
            return None;
        }
        if config.tunnel_at(udp.dst_port) != Some(UdpTunnel::Vxlan) || config.max_tunnels == 0 {
            return None;
        }
        let rest = bytes.get(END..bytes.len().min(end)).unwrap_or(&[]);
        Some(Self { ethernet, ipv4, udp, vxlan: Vxlan::parse(vxlan), inner: Ethernet::parse(inner), rest, end, claimed })
    }
}

/// A header of the tenant's network, as it usually is.
pub(crate) trait Network: Sized {
    /// Its length in bytes.
    const LENGTH: usize;

    /// The header if it is as usual and its packet is all that is left behind a start; and the captured bytes behind it.
    fn of<'a>(start: &Start<'a>) -> Option<(Self, &'a [u8])>;

    /// The protocol behind it.
    fn protocol(&self) -> u8;
}

impl Network for Ipv4 {
    const LENGTH: usize = Self::LENGTH;

    #[inline(always)]
    fn of<'a>(start: &Start<'a>) -> Option<(Self, &'a [u8])> {
        let (bytes, rest) = start.rest.split_first_chunk()?;
        let header = Self::parse(bytes);
        let left = start.end - END;
        let as_usual = start.inner.ethertype == ethertype::IPV4
            && bytes[0] == IPV4_WITHOUT_OPTIONS
            && usize::from(header.total_length) == left
            && left >= Self::LENGTH
            && !header.is_fragment();
        as_usual.then_some((header, rest))
    }

    #[inline(always)]
    fn protocol(&self) -> u8 {
        self.protocol
    }
}

impl Network for Ipv6 {
    const LENGTH: usize = Self::LENGTH;

    #[inline(always)]
    fn of<'a>(start: &Start<'a>) -> Option<(Self, &'a [u8])> {
        let (bytes, rest) = start.rest.split_first_chunk()?;
        let header = Self::parse(bytes);
        // A length of 0 is that of a longer packet (RFC 2675).
        let as_usual = start.inner.ethertype == ethertype::IPV6
            && bytes[0] >> 4 == 6
            && header.payload_length > 0
            && Self::LENGTH + usize::from(header.payload_length) == start.end - END;
        as_usual.then_some((header, rest))
    }

    #[inline(always)]
    fn protocol(&self) -> u8 {
        self.next_header
    }
}

/// A packet of which every header is as usual, and nothing behind them is of interest. What a walk would find, without its layers.
pub(crate) struct Whole<'a, N> {
    pub(crate) start: Start<'a>,
    /// The tenant's header.
    pub(crate) network: N,
    pub(crate) transport: Transport,
    /// The transport header with its options.
    pub(crate) header: &'a [u8],
    /// What was captured of the payload.
    pub(crate) payload: &'a [u8],
    /// Bytes of the payload by the lengths in the headers.
    pub(crate) payload_wire: u32,
}

/// A transport header of a [`Whole`].
pub(crate) enum Transport {
    Tcp(Tcp),
    Udp(Udp),
}

impl<'a, N: Network> Whole<'a, N> {
    /// Where the transport header is.
    pub(crate) const TRANSPORT: usize = END + N::LENGTH;

    /// The headers of a packet, `bytes` as captured and `wire_len` bytes long on the wire, if all are as usual.
    #[inline(always)]
    pub(crate) fn of(config: &Config, bytes: &'a [u8], wire_len: u32, link: LinkType) -> Option<Self> {
        if wire_len > LONGEST_WIRE_FRAME {
            return None;
        }
        let start = Start::of(config, bytes, bytes.len().max(wire_len as usize), link)?;
        let (network, rest) = N::of(&start)?;
        let left = start.end - Self::TRANSPORT;
        let (transport, length) = match network.protocol() {
            ip::TCP => {
                let tcp = Tcp::parse(rest.first_chunk()?);
                (Transport::Tcp(tcp), usize::from(tcp.header_length))
            }
            ip::UDP => {
                let udp = Udp::parse(rest.first_chunk()?);
                if usize::from(udp.length) != left {
                    return None;
                }
                (Transport::Udp(udp), Udp::LENGTH)
            }
            _ => return None,
        };
        let (header, payload) = rest.split_at_checked(length)?;
        let plain = match &transport {
            Transport::Tcp(tcp) => length >= Tcp::LENGTH && length <= left && Tcp::has_usual_options(header) && !has_messages_over_tcp(tcp),
            Transport::Udp(udp) => {
                !has_messages_over_udp(udp) && config.tunnel_at(udp.dst_port).is_none() && !(config.guess && may_be_tunnel(payload))
            }
        };
        plain.then(|| Self { start, network, transport, header, payload, payload_wire: (left - length) as u32 })
    }
}

impl Walk<'_> {
    /// Takes the five headers from the start of a packet if all is as usual; else takes nothing.
    #[inline]
    pub(super) fn usual_start(&mut self, link: LinkType) -> Option<Step> {
        let start = Start::of(self.config, self.rest, self.end, link)?;
        let end = start.end;
        let claimed = [start.claimed, end - 34, end - 42, end - 50, end - END].map(|length| length as u32);
        let layers = &mut *self.layers;
        layers.push(Layer { offset: 0, length: 14, claimed: claimed[0], body: Body::Ethernet(start.ethernet) });
        layers.push(Layer { offset: 14, length: 20, claimed: claimed[1], body: Body::Ipv4(start.ipv4) });
        layers.push(Layer { offset: 34, length: 8, claimed: claimed[2], body: Body::Udp(start.udp) });
        layers.push(Layer { offset: 42, length: 8, claimed: claimed[3], body: Body::Vxlan(start.vxlan) });
        layers.push(Layer { offset: 50, length: 14, claimed: claimed[4], body: Body::Ethernet(start.inner) });
        self.tunnels = 1;
        self.at = END;
        self.end = end;
        self.rest = start.rest;
        let Some((header, rest)) = Ipv4::of(&start) else { return Some(Ok(Next::EtherType(start.inner.ethertype))) };
        let claimed = (self.left() - Ipv4::LENGTH) as u32;
        self.layers.push(Layer { offset: self.at as u32, length: 20, claimed, body: Body::Ipv4(header) });
        self.at += Ipv4::LENGTH;
        self.rest = rest;
        Some(match header.protocol {
            ip::TCP => self.tcp(),
            ip::UDP => self.udp(),
            protocol => Ok(Next::IpProtocol(protocol)),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::link::LinkType;
    use crate::sample::frames;
    use crate::walk::{Config, UdpTunnel, Walk};
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use std::cell::Cell;

    /// What the walk says with the short way and step by step, and whether it took the short way.
    fn both(bytes: &[u8], wire_len: u32, link: LinkType, config: &Config) -> ([String; 2], bool) {
        let said = |short: bool| {
            let mut layers = Vec::new();
            let end = bytes.len().max(wire_len as usize);
            let mut walk = Walk::new(config, &mut layers, bytes, end);
            let first = if short { walk.usual_start(link) } else { None };
            let taken = first.is_some();
            let first = first.unwrap_or_else(|| walk.link(link));
            walk.run_from(first);
            let found = (walk.stop, walk.gso, walk.at, walk.end, walk.tunnels);
            (format!("{found:?} {layers:#?}"), taken)
        };
        let ((short, taken), (steps, _)) = (said(true), said(false));
        ([short, steps], taken)
    }

    #[test]
    fn the_short_way_finds_what_the_steps_find_and_is_taken_often() {
        let mut other = Config::default();
        other.add_port(4789, UdpTunnel::Geneve);
        let configs = [Config::default(), other, Config { max_tunnels: 0, ..Config::default() }];
        let (all, short) = (Cell::new(0), Cell::new(0));
        let runs = proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() };
        let tested = TestRunner::new(runs).run(&(frames(), 0usize..9), |((bytes, wire_len), config)| {
            let config = configs.get(config).unwrap_or(&configs[0]);
            let ([found, steps], taken) = both(&bytes, wire_len, LinkType::ETHERNET, config);
            prop_assert_eq!(found, steps);
            all.set(all.get() + 1);
            short.set(short.get() + u32::from(taken));
            let ([found, steps], taken) = both(&bytes, wire_len, LinkType::RAW, config);
            prop_assert_eq!(found, steps);
            prop_assert!(!taken);
            Ok(())
        });
        tested.unwrap();
        // Else the test would compare the steps with themselves.
        assert!(short.get() > all.get() / 10, "{} of {} frames took the short way", short.get(), all.get());
    }
}
