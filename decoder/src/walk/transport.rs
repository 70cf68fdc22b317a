//! The walk above IP: transport headers, and what their ports carry.

use super::{Next, Step, UdpTunnel, Walk, guess};
use crate::layer::{Body, Dhcp, Dhcpv6, Dns, Icmp, Icmpv6, LayerKind, Sctp, Svp, Tcp, Udp, number::port};
use crate::packet::Gso;
use crate::stop::{Stop, StopKind};

/// Whether what a segment carries may be a message that the walk decodes.
#[inline(always)]
pub(super) const fn has_messages_over_tcp(header: &Tcp) -> bool {
    matches!(header.src_port, port::DNS | port::SVP) || matches!(header.dst_port, port::DNS | port::SVP)
}

/// Whether what a datagram carries may be a message that the walk decodes, a tunnel apart.
#[inline(always)]
pub(super) const fn has_messages_over_udp(header: &Udp) -> bool {
    const fn either_way(port: u16) -> bool {
        matches!(port, port::DNS | port::MDNS | port::DHCP_SERVER | port::DHCP_CLIENT | port::DHCPV6_CLIENT | port::DHCPV6_SERVER)
    }
    either_way(header.src_port) || either_way(header.dst_port) || header.dst_port == port::MPLS
}

impl Walk<'_> {
    #[inline]
    pub(super) fn tcp(&mut self) -> Step {
        let header = Tcp::parse(self.need(LayerKind::Tcp)?);
        let length = usize::from(header.header_length);
        if length < Tcp::LENGTH {
            return Err(self.malformed(LayerKind::Tcp, "header length below 20"));
        }
        // Most packets of most captures come by here; only the options of the others are worth a look.
        if Tcp::has_usual_options(self.need_slice(LayerKind::Tcp, length)?) {
            self.push(length, Body::Tcp(header));
        } else {
            self.push_checked(length, Body::Tcp(header));
        }
        self.segments();
        if self.rest.is_empty() {
            return Ok(Next::Done);
        }
        match (header.src_port, header.dst_port) {
            (port::DNS, _) | (_, port::DNS) => self.dns_over_tcp(),
            (port::SVP, _) | (_, port::SVP) => self.svp(),
            _ => Ok(Next::Payload),
        }
    }

    /// Says how many segments a GSO_PARTIAL frame holds, now that their payload starts.
    #[inline]
    fn segments(&mut self) {
        if let Some(size) = self.segment_end.and_then(|end| end.checked_sub(self.at)).filter(|size| *size > 0) {
            self.gso = Some(Gso::Partial { segments: self.left().div_ceil(size) as u32, size: size as u32 });
        }
    }

    #[inline]
    pub(super) fn udp(&mut self) -> Step {
        let header = Udp::parse(self.need(LayerKind::Udp)?);
        let length = usize::from(header.length);
        if length >= Udp::LENGTH {
            if self.segment_end.is_none() {
                self.limit(LayerKind::Udp, length, "udp length beyond the packet");
            }
        } else if !(length == 0 && self.left() > usize::from(u16::MAX)) {
            // Only a jumbogram (RFC 2675 4) has a length of 0.
            let stop = Stop::new(StopKind::Malformed, LayerKind::Udp, self.at, Udp::LENGTH, length, Some("udp length below the header's"));
            self.push(Udp::LENGTH, Body::Udp(header));
            return Err(self.halt(stop));
        }
        self.push(Udp::LENGTH, Body::Udp(header));
        if self.left() == 0 {
            return Ok(Next::Done);
        }
        if let Some(tunnel) = self.config.tunnel_at(header.dst_port) {
            return Ok(tunnel_next(tunnel, false));
        }
        self.segments();
        match (header.src_port, header.dst_port) {
            (port::DNS | port::MDNS, _) | (_, port::DNS | port::MDNS) => self.dns(),
            (port::DHCP_SERVER | port::DHCP_CLIENT, _) | (_, port::DHCP_SERVER | port::DHCP_CLIENT) => self.dhcp(),
            (port::DHCPV6_CLIENT | port::DHCPV6_SERVER, _) | (_, port::DHCPV6_CLIENT | port::DHCPV6_SERVER) => self.dhcpv6(),
            (_, port::MPLS) => Ok(Next::Mpls),
            _ => Ok(match self.guess() {
                Some(tunnel) => tunnel_next(tunnel, true),
                None => Next::Payload,
            }),
        }
    }

    fn guess(&self) -> Option<UdpTunnel> {
        if self.config.guess { guess::udp_tunnel(self.rest, self.left()) } else { None }
    }

    pub(super) fn sctp(&mut self) -> Step {
        let header = Sctp::parse(self.need(LayerKind::Sctp)?);
        self.push_checked(Sctp::LENGTH, Body::Sctp(header));
        Ok(Next::Payload)
    }

    pub(super) fn icmp(&mut self) -> Step {
        let header = Icmp::parse(self.need(LayerKind::Icmp)?);
        self.push_checked(Icmp::LENGTH, Body::Icmp(header));
        Ok(Next::Payload)
    }

    pub(super) fn icmpv6(&mut self) -> Step {
        let header = Icmpv6::parse(self.need(LayerKind::Icmpv6)?);
        self.push_checked(Icmpv6::LENGTH, Body::Icmpv6(header));
        Ok(Next::Payload)
    }

    /// Adds a message that takes the rest of the packet.
    fn message(&mut self, body: Body) -> Step {
        self.push_checked(self.rest.len(), body);
        Ok(Next::Done)
    }

    fn dns(&mut self) -> Step {
        let mut header = Dns::parse(self.need(LayerKind::Dns)?);
        header.over_tcp = false;
        self.message(Body::Dns(header))
    }

    /// A message that starts with this segment: its length prefix (RFC 1035 4.2.2) fits the bytes that follow. Anything else is the
    /// middle of a stream.
    fn dns_over_tcp(&mut self) -> Step {
        let Some(([high, low], message)) = self.rest.split_first_chunk::<2>() else {
            return Ok(Next::Payload);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match message.first_chunk() {
            Some(fixed) if length >= Dns::LENGTH && length + 2 <= self.left() => {
                let mut header = Dns::parse(fixed);
                header.over_tcp = true;
                self.push_checked(self.rest.len().min(length + 2), Body::Dns(header));
                Ok(if self.left() > 0 { Next::Payload } else { Next::Done })
            }
            _ => Ok(Next::Payload),
        }
    }

    fn dhcp(&mut self) -> Step {
        let bytes = self.need(LayerKind::Dhcp)?;
        if !Dhcp::has_cookie(bytes) {
            return Ok(self.unknown("bootp without the dhcp cookie"));
        }
        let mut header = Dhcp::parse(bytes);
        header.message = Dhcp::message_type(self.rest.get(Dhcp::LENGTH..).unwrap_or(&[]));
        self.message(Body::Dhcp(header))
    }

    fn dhcpv6(&mut self) -> Step {
        let header = Dhcpv6::parse(self.need(LayerKind::Dhcpv6)?);
        self.message(Body::Dhcpv6(header))
    }

    /// SVP has no marker; a segment is one when version and operation are known ones, else the middle of a stream.
    fn svp(&mut self) -> Step {
        match self.rest.first_chunk() {
            Some(bytes) => {
                let header = Svp::parse(bytes);
                if header.version == 1 && (1..=0x0d).contains(&header.operation) {
                    self.message(Body::Svp(header))
                } else {
                    Ok(Next::Payload)
                }
            }
            None => Ok(Next::Payload),
        }
    }
}

const fn tunnel_next(tunnel: UdpTunnel, guessed: bool) -> Next {
    match tunnel {
        UdpTunnel::Vxlan => Next::Vxlan(guessed),
        UdpTunnel::VxlanGpe => Next::VxlanGpe(guessed),
        UdpTunnel::Geneve => Next::Geneve(guessed),
    }
}
