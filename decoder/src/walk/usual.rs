//! How do nearly all packets of an overlay start? Ethernet, IPv4, UDP, VXLAN, Ethernet: 64 bytes without an option among them.
//!
//! Step by step, these five headers are half of the walk: each asks what the one before left of captured and claimed bytes. Here one
//! question about 64 bytes stands for all of them, every offset is a constant, and whatever is not as usual is left to the steps,
//! untouched. A test walks packets both ways and compares.

use super::ip::LONGEST_TRAILER;
use super::{Next, Step, UdpTunnel, Walk};
use crate::layer::number::{ethertype, ip};
use crate::layer::{Body, Ethernet, Ipv4, Layer, Udp, Vxlan};
use crate::link::LinkType;

/// Where the five headers end.
const END: usize = 2 * Ethernet::LENGTH + Ipv4::LENGTH + Udp::LENGTH + Vxlan::LENGTH;

/// Version 4 and a header of 20 bytes.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;

impl Walk<'_> {
    /// Takes the five headers from the start of a packet if all is as usual; else takes nothing.
    #[inline]
    pub(super) fn usual_start(&mut self, link: LinkType) -> Option<Step> {
        let bytes: &[u8] = self.rest.first_chunk::<END>()?;
        let (ethernet, bytes) = bytes.split_first_chunk()?;
        let (ipv4, bytes) = bytes.split_first_chunk()?;
        let (udp, bytes) = bytes.split_first_chunk()?;
        let (vxlan, bytes) = bytes.split_first_chunk()?;
        let (inner, _) = bytes.split_first_chunk()?;
        if link != LinkType::ETHERNET || ipv4[0] != IPV4_WITHOUT_OPTIONS {
            return None;
        }
        let (ethernet, ipv4, udp) = (Ethernet::parse(ethernet), Ipv4::parse(ipv4), Udp::parse(udp));
        if ethernet.ethertype != ethertype::IPV4 || ipv4.protocol != ip::UDP || ipv4.is_fragment() {
            return None;
        }
        // The lengths agree, up to a trailer of the frame, and the five headers are within them.
        let (total, left) = (usize::from(ipv4.total_length), self.end - Ethernet::LENGTH);
        let end = Ethernet::LENGTH + total;
        if total > left || left - total > LONGEST_TRAILER || usize::from(udp.length) != total.wrapping_sub(Ipv4::LENGTH) || end < END {
            return None;
        }
        if self.config.tunnel_at(udp.dst_port) != Some(UdpTunnel::Vxlan) || self.config.max_tunnels == 0 {
            return None;
        }
        let inner = Ethernet::parse(inner);
        let claimed = [left, total - Ipv4::LENGTH, end - 42, end - 50, end - END].map(|length| length as u32);
        let layers = &mut *self.layers;
        layers.push(Layer { offset: 0, length: 14, claimed: claimed[0], body: Body::Ethernet(ethernet) });
        layers.push(Layer { offset: 14, length: 20, claimed: claimed[1], body: Body::Ipv4(ipv4) });
        layers.push(Layer { offset: 34, length: 8, claimed: claimed[2], body: Body::Udp(udp) });
        layers.push(Layer { offset: 42, length: 8, claimed: claimed[3], body: Body::Vxlan(Vxlan::parse(vxlan)) });
        layers.push(Layer { offset: 50, length: 14, claimed: claimed[4], body: Body::Ethernet(inner) });
        self.tunnels = 1;
        self.at = END;
        self.end = end;
        self.rest = self.rest.get(END..self.rest.len().min(end)).unwrap_or(&[]);
        let inner_ip = if inner.ethertype == ethertype::IPV4 { self.usual_ipv4() } else { None };
        Some(inner_ip.unwrap_or(Ok(Next::EtherType(inner.ethertype))))
    }

    /// Takes an IPv4 header without options if its packet is all that is left, and the transport header behind it.
    #[inline(always)]
    fn usual_ipv4(&mut self) -> Option<Step> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        let left = self.end - self.at;
        let header = Ipv4::parse(bytes);
        if bytes[0] != IPV4_WITHOUT_OPTIONS || usize::from(header.total_length) != left || left < Ipv4::LENGTH || header.is_fragment() {
            return None;
        }
        let claimed = (left - Ipv4::LENGTH) as u32;
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
