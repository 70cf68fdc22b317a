//! The walk through IP: lengths, fragments, extension headers, and frames larger than their headers admit.

use super::{Next, Step, Walk};
use crate::layer::{Ah, Body, Esp, Igmp, Ipip, Ipv4, Ipv6, Ipv6Ext, LayerKind, number::ip};
use crate::packet::Gso;
use crate::stop::{Stop, StopKind};

/// More bytes behind an IP packet than this are no padding, trailer or check sequence: in a frame too long for a plain Ethernet
/// they are the other segments of a GSO_PARTIAL frame.
pub(super) const LONGEST_TRAILER: usize = 64;
/// Ethernet frames up to here may be single packets on an ordinary link, with tags and tunnel headers.
const PLAIN_FRAME: usize = 1_600;

impl Walk<'_> {
    pub(super) fn ip(&mut self) -> Step {
        match self.need::<1>(LayerKind::Ipv4)?[0] >> 4 {
            4 => Ok(Next::Ipv4),
            6 => Ok(Next::Ipv6),
            _ => Err(self.malformed(LayerKind::Ipv4, "ip version neither 4 nor 6")),
        }
    }

    #[inline]
    pub(super) fn ipv4(&mut self) -> Step {
        let bytes = self.need::<{ Ipv4::LENGTH }>(LayerKind::Ipv4)?;
        if bytes[0] >> 4 != 4 {
            return Err(self.malformed(LayerKind::Ipv4, "version is not 4"));
        }
        let header = Ipv4::parse(bytes);
        let length = usize::from(header.header_length);
        if length < Ipv4::LENGTH {
            return Err(self.malformed(LayerKind::Ipv4, "header length below 20"));
        }
        self.need_slice(LayerKind::Ipv4, length)?;
        let total = usize::from(header.total_length);
        // What a fragment cuts, it cuts for every packet inside.
        self.fragment |= header.more_fragments;
        // MPLS takes us from IPv6 to IPv4 without a tunnel in between; what follows is no longer that header's.
        self.ipv6 = None;
        if total >= length {
            self.ip_limit(LayerKind::Ipv4, total, total - length);
        } else if total == 0 && self.left() > length {
            // Linux BIG TCP writes 0 where 16 bits do not suffice; other systems do for any segmentation offload.
            self.whole_frame();
        } else {
            let stop = Stop::new(StopKind::Malformed, LayerKind::Ipv4, self.at, length, total, Some("total length below the header's"));
            self.push(length, Body::Ipv4(header));
            return Err(self.halt(stop));
        }
        if length > Ipv4::LENGTH {
            self.push_checked(length, Body::Ipv4(header));
        } else {
            self.push(length, Body::Ipv4(header));
        }
        if header.fragment_offset > 0 {
            return Ok(self.unknown("later fragment"));
        }
        self.ip_protocol(header.protocol)
    }

    #[inline]
    pub(super) fn ipv6(&mut self) -> Step {
        let bytes = self.need::<{ Ipv6::LENGTH }>(LayerKind::Ipv6)?;
        if bytes[0] >> 4 != 6 {
            return Err(self.malformed(LayerKind::Ipv6, "version is not 6"));
        }
        let header = Ipv6::parse(bytes);
        let payload = usize::from(header.payload_length);
        if payload == 0 && self.left() > Ipv6::LENGTH && header.next_header != ip::NO_NEXT {
            // A jumbogram (RFC 2675), or Linux BIG TCP without the option.
            self.whole_frame();
        } else {
            self.ip_limit(LayerKind::Ipv6, Ipv6::LENGTH + payload, payload);
        }
        self.ipv6 = Some(self.layers.len());
        self.push(Ipv6::LENGTH, Body::Ipv6(header));
        self.ip_protocol(header.next_header)
    }

    /// Ends the packet where IP says, unless far more follows than a trailer: then the frame holds many segments.
    #[inline]
    fn ip_limit(&mut self, kind: LayerKind, total: usize, payload: usize) {
        let behind = self.left().saturating_sub(total);
        if behind > LONGEST_TRAILER && payload > 0 && self.end > PLAIN_FRAME {
            self.segment_end = Some(self.at + total);
        } else {
            self.limit(kind, total, "ip length beyond the packet");
        }
    }

    #[cold]
    fn whole_frame(&mut self) {
        if self.left() > usize::from(u16::MAX) {
            self.gso.get_or_insert(Gso::BigTcp);
        }
    }

    #[inline]
    pub(super) fn ip_protocol(&mut self, protocol: u8) -> Step {
        if !matches!(protocol, ip::HOP_BY_HOP | ip::ROUTING | ip::FRAGMENT | ip::DESTINATION | ip::MOBILITY | ip::HIP | ip::SHIM6) {
            self.upper_protocol(protocol);
        }
        match protocol {
            ip::TCP => self.tcp(),
            ip::UDP => self.udp(),
            ip::ICMP => self.icmp(),
            ip::ICMPV6 => self.icmpv6(),
            ip::SCTP => self.sctp(),
            ip::IGMP => {
                let header = Igmp::parse(self.need(LayerKind::Igmp)?);
                self.push_checked(Igmp::LENGTH, Body::Igmp(header));
                Ok(Next::Payload)
            }
            ip::IPV4 => self.ip_in_ip(Next::Ipv4),
            ip::IPV6 => self.ip_in_ip(Next::Ipv6),
            ip::GRE => Ok(Next::Gre),
            ip::MPLS => Ok(Next::Mpls),
            ip::ESP => {
                let header = Esp::parse(self.need(LayerKind::Esp)?);
                self.push(Esp::LENGTH, Body::Esp(header));
                // The rest is encrypted.
                Ok(Next::Payload)
            }
            ip::AH => {
                let header = Ah::parse(self.need(LayerKind::Ah)?);
                if header.length() < Ah::LENGTH {
                    return Err(self.malformed(LayerKind::Ah, "header length below 12"));
                }
                self.need_slice(LayerKind::Ah, header.length())?;
                self.push(header.length(), Body::Ah(header));
                Ok(Next::IpProtocol(header.next_header))
            }
            // Only IPv6 has extension headers; 0 is a protocol number of IPv4 too, but nothing uses it.
            ip::HOP_BY_HOP | ip::ROUTING | ip::FRAGMENT | ip::DESTINATION | ip::MOBILITY | ip::HIP | ip::SHIM6 if self.ipv6.is_some() => {
                Ok(Next::Extension(protocol))
            }
            ip::NO_NEXT => Ok(Next::Payload),
            _ => Ok(self.unknown_number("ip protocol not decoded", protocol.into())),
        }
    }

    /// Writes the protocol behind all extension headers into the IPv6 header that they belong to.
    #[inline]
    fn upper_protocol(&mut self, protocol: u8) {
        if let Some(Body::Ipv6(header)) = self.ipv6.and_then(|index| self.layers.get_mut(index)).map(|layer| &mut layer.body) {
            header.upper_protocol = protocol;
        }
    }

    fn ip_in_ip(&mut self, next: Next) -> Step {
        self.enter(LayerKind::Ipip)?;
        self.push(0, Body::Ipip(Ipip));
        Ok(next)
    }

    pub(super) fn extension(&mut self, number: u8) -> Step {
        let header = Ipv6Ext::parse(number, self.need(LayerKind::Ipv6Ext)?);
        let bytes = self.need_slice(LayerKind::Ipv6Ext, header.length())?;
        self.note_extension(number, bytes);
        self.push_checked(header.length(), Body::Ipv6Ext(header));
        if let Some(fragment) = header.fragment {
            self.fragment |= fragment.more;
            if fragment.offset > 0 {
                self.upper_protocol(header.next_header);
                return Ok(self.unknown("later fragment"));
            }
        }
        self.upper_protocol(header.next_header);
        Ok(Next::IpProtocol(header.next_header))
    }
}
