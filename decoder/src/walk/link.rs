//! The walk below IP: link types, Ethernet, tags, LLC, ARP.

use super::{Next, Step, Walk};
use crate::layer::{Arp, Body, Ethernet, FIRST_ETHERTYPE, LayerKind, Llc, Lldp, Null, Raw, Sll, Sll2, Stp, Vlan, number::ethertype};
use crate::link::LinkType;

/// Linux cooked captures: the "protocol" of an 802.3 frame without LLC, and of one with (linux/if_ether.h).
const ETH_P_802_2: u16 = 0x0004;

impl Walk<'_> {
    #[inline]
    pub(super) fn link(&mut self, link: LinkType) -> Step {
        match link {
            LinkType::ETHERNET => Ok(Next::Ethernet),
            LinkType::LINUX_SLL => {
                let header = Sll::parse(self.need(LayerKind::Sll)?);
                self.push(Sll::LENGTH, Body::Sll(header));
                Ok(self.cooked(header.protocol))
            }
            LinkType::LINUX_SLL2 => {
                let header = Sll2::parse(self.need(LayerKind::Sll2)?);
                self.push(Sll2::LENGTH, Body::Sll2(header));
                Ok(self.cooked(header.protocol))
            }
            LinkType::NULL | LinkType::LOOP => {
                let bytes = self.need::<{ Null::LENGTH }>(LayerKind::Null)?;
                let mut header = Null::parse(bytes);
                if link == LinkType::LOOP {
                    header = Null { family: u32::from_be_bytes(*bytes), big_endian: true };
                }
                self.push(Null::LENGTH, Body::Null(header));
                // AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24, 28 and 30 on the BSDs and macOS.
                match header.family {
                    2 => Ok(Next::Ipv4),
                    10 | 24 | 28 | 30 => Ok(Next::Ipv6),
                    family => Ok(self.unknown_number("address family not decoded", family)),
                }
            }
            LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => {
                self.push(0, Body::Raw(Raw));
                Ok(match link {
                    LinkType::IPV4 => Next::Ipv4,
                    LinkType::IPV6 => Next::Ipv6,
                    _ => Next::Ip,
                })
            }
            other => Ok(self.unknown_number("link type not decoded", other.0.into())),
        }
    }

    #[inline]
    pub(super) fn ethernet(&mut self) -> Step {
        let header = Ethernet::parse(self.need(LayerKind::Ethernet)?);
        self.push(Ethernet::LENGTH, Body::Ethernet(header));
        Ok(Next::EtherType(header.ethertype))
    }

    #[inline]
    pub(super) fn ethertype(&mut self, number: u16) -> Step {
        match number {
            ethertype::IPV4 => self.ipv4(),
            ethertype::IPV6 => self.ipv6(),
            ethertype::ARP => self.arp(),
            ethertype::VLAN | ethertype::PROVIDER_VLAN | ethertype::OLD_QINQ => self.vlan(number),
            ethertype::MPLS | ethertype::MPLS_MULTICAST => Ok(Next::Mpls),
            ethertype::NSH => Ok(Next::Nsh),
            ethertype::TEB => Ok(Next::Ethernet),
            ethertype::LLDP => {
                self.push_checked(self.rest.len(), Body::Lldp(Lldp));
                Ok(Next::Done)
            }
            length if length < FIRST_ETHERTYPE => {
                self.limit(LayerKind::Llc, length.into(), "802.3 length beyond the packet");
                Ok(Next::Llc)
            }
            other => Ok(self.unknown_number("ethertype not decoded", other.into())),
        }
    }

    #[inline]
    fn vlan(&mut self, tpid: u16) -> Step {
        let mut header = Vlan::parse(self.need(LayerKind::Vlan)?);
        header.tpid = tpid;
        self.push(Vlan::LENGTH, Body::Vlan(header));
        Ok(Next::EtherType(header.ethertype))
    }

    fn arp(&mut self) -> Step {
        if !Arp::is_ethernet_ipv4(self.need(LayerKind::Arp)?) {
            return Ok(self.unknown("arp for other addresses than ethernet and ipv4"));
        }
        let header = Arp::parse(self.need(LayerKind::Arp)?);
        self.push(Arp::LENGTH, Body::Arp(header));
        // What follows an ARP message is the padding of a short Ethernet frame.
        Ok(Next::Done)
    }

    pub(super) fn llc(&mut self) -> Step {
        self.need::<{ Llc::LENGTH }>(LayerKind::Llc)?;
        let Some(header) = Llc::parse(self.rest) else {
            return Err(self.lacking(LayerKind::Llc, Llc::SNAP_LENGTH));
        };
        self.push(header.length(), Body::Llc(header));
        if let Some(snap) = header.snap {
            return Ok(match snap.ethertype() {
                Some(ethertype) if ethertype >= FIRST_ETHERTYPE => Next::EtherType(ethertype),
                _ => self.unknown("snap protocol not decoded"),
            });
        }
        if header.dsap != Llc::STP {
            return Ok(self.unknown("llc service not decoded"));
        }
        // A topology change notification is four bytes; cut before its type, it is known by having no more.
        let least = if self.rest.get(3) == Some(&0x80) || self.left() == 4 { 4 } else { Stp::LENGTH };
        match Stp::parse(self.need_slice(LayerKind::Stp, least)?) {
            Some(header) => {
                self.push(self.rest.len(), Body::Stp(header));
                Ok(Next::Done)
            }
            None => Err(self.malformed(LayerKind::Stp, "neither a configuration nor a topology change message")),
        }
    }

    /// What follows a Linux cooked header: an EtherType, or one of Linux' own small numbers.
    fn cooked(&mut self, protocol: u16) -> Next {
        match protocol {
            ETH_P_802_2 => Next::Llc,
            p if p < FIRST_ETHERTYPE => self.unknown_number("linux protocol not decoded", p.into()),
            p => Next::EtherType(p),
        }
    }
}
