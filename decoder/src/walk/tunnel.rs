//! The walk from the outer packet into the inner one.

use super::{Next, Step, Walk};
use crate::layer::{Body, Erspan, FIRST_ETHERTYPE, Geneve, Gre, LayerKind, Mpls, Nsh, Nvgre, Vxlan, VxlanGpe, number::ethertype};
use crate::stop::{Stop, StopKind};

impl Walk<'_> {
    #[inline]
    pub(super) fn vxlan(&mut self, guessed: bool) -> Step {
        let mut header = Vxlan::parse(self.need(LayerKind::Vxlan)?);
        self.enter(LayerKind::Vxlan)?;
        header.guessed = guessed;
        self.push(Vxlan::LENGTH, Body::Vxlan(header));
        self.ethernet()
    }

    pub(super) fn vxlan_gpe(&mut self, guessed: bool) -> Step {
        let mut header = VxlanGpe::parse(self.need(LayerKind::VxlanGpe)?);
        self.enter(LayerKind::VxlanGpe)?;
        header.guessed = guessed;
        self.push(VxlanGpe::LENGTH, Body::VxlanGpe(header));
        // Without the P bit the next protocol field is reserved and an Ethernet frame follows, as in VXLAN.
        if !header.has_next_protocol() {
            return Ok(Next::Ethernet);
        }
        Ok(next_protocol(header.next_protocol).unwrap_or_else(|| self.unknown("gpe next protocol not decoded")))
    }

    pub(super) fn nsh(&mut self) -> Step {
        let header = Nsh::parse(self.need(LayerKind::Nsh)?);
        if header.length() < Nsh::LENGTH {
            return Err(self.malformed(LayerKind::Nsh, "header length below 8"));
        }
        self.need_slice(LayerKind::Nsh, header.length())?;
        self.push_checked(header.length(), Body::Nsh(header));
        Ok(next_protocol(header.next_protocol).unwrap_or_else(|| self.unknown("nsh next protocol not decoded")))
    }

    #[inline]
    pub(super) fn geneve(&mut self, guessed: bool) -> Step {
        let mut header = Geneve::parse(self.need(LayerKind::Geneve)?);
        if header.version != 0 {
            return Ok(self.unknown("geneve version is not 0"));
        }
        let bytes = self.need_slice(LayerKind::Geneve, header.length())?;
        let fault = Geneve::options_fault(bytes.get(Geneve::LENGTH..).unwrap_or(&[]));
        self.enter(LayerKind::Geneve)?;
        header.guessed = guessed;
        let offset = self.at + Geneve::LENGTH;
        self.push(header.length(), Body::Geneve(header));
        if let Some(at) = fault {
            let have = usize::from(header.options_length).saturating_sub(at);
            self.note(Stop::new(StopKind::Malformed, LayerKind::Geneve, offset + at, 0, have, Some("option beyond the options")));
        }
        Ok(match header.protocol {
            ethertype::IPV4 => Next::Ipv4,
            ethertype::IPV6 => Next::Ipv6,
            other => self.carried(other),
        })
    }

    pub(super) fn gre(&mut self) -> Step {
        let [a, b, c, d] = *self.need::<{ Gre::FIXED }>(LayerKind::Gre)?;
        let (flags, protocol) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let optional = flags & (Gre::CHECKSUM | Gre::ROUTING | Gre::KEY | Gre::SEQUENCE);
        // RFC 7637 3.2: the key and nothing else, with an Ethernet frame behind it.
        if optional == Gre::KEY && protocol == ethertype::TEB && flags & Gre::VERSION == 0 {
            let header = Nvgre::parse(self.need(LayerKind::Nvgre)?);
            self.enter(LayerKind::Nvgre)?;
            self.push(Nvgre::LENGTH, Body::Nvgre(header));
            return self.ethernet();
        }
        let length = Gre::length_of(flags);
        let Some(header) = Gre::parse(self.need_slice(LayerKind::Gre, length)?) else {
            return Err(self.lacking(LayerKind::Gre, length));
        };
        self.enter(LayerKind::Gre)?;
        self.push(length, Body::Gre(header));
        match flags & Gre::VERSION {
            0 => {}
            1 => return Ok(self.unknown("gre version 1 (pptp) not decoded further")),
            _ => return Ok(self.unknown("gre version neither 0 nor 1")),
        }
        if flags & Gre::ROUTING != 0 {
            return Ok(self.unknown("gre source routes not decoded"));
        }
        Ok(match protocol {
            ethertype::ERSPAN_II if flags & Gre::SEQUENCE != 0 => Next::Erspan2,
            ethertype::ERSPAN_II => {
                self.push(0, Body::Erspan(Erspan::TYPE_I));
                Next::Ethernet
            }
            ethertype::ERSPAN_III => Next::Erspan3,
            // A keepalive: the answer to it, and nothing else.
            0 if self.left() == 0 => Next::Done,
            other => self.carried(other),
        })
    }

    pub(super) fn erspan2(&mut self) -> Step {
        let header = Erspan::parse2(self.need(LayerKind::Erspan)?);
        if header.version != 1 {
            return Ok(self.unknown("erspan version is not 1 behind gre protocol 0x88be"));
        }
        self.push(header.length(), Body::Erspan(header));
        Ok(Next::Ethernet)
    }

    pub(super) fn erspan3(&mut self) -> Step {
        let header = Erspan::parse3(self.need(LayerKind::Erspan)?);
        if header.version != 2 {
            return Ok(self.unknown("erspan version is not 2 behind gre protocol 0x22eb"));
        }
        self.need_slice(LayerKind::Erspan, header.length())?;
        self.push(header.length(), Body::Erspan(header));
        Ok(Next::Ethernet)
    }

    pub(super) fn mpls(&mut self) -> Step {
        let header = Mpls::parse(self.need(LayerKind::Mpls)?);
        self.push(Mpls::LENGTH, Body::Mpls(header));
        if !header.bottom {
            return Ok(Next::Mpls);
        }
        // MPLS does not say what it carries. A first nibble of 4 or 6 is IP (RFC 4928 3); anything else stays unnamed.
        Ok(match self.rest.first().map(|byte| byte >> 4) {
            Some(4) => Next::Ipv4,
            Some(6) => Next::Ipv6,
            _ => Next::Payload,
        })
    }

    /// What a protocol type of GRE or Geneve leads to. Unlike the type field of an Ethernet frame it is no length when it is small.
    fn carried(&mut self, protocol: u16) -> Next {
        if protocol < FIRST_ETHERTYPE { self.unknown("protocol type below the ethertypes") } else { Next::EtherType(protocol) }
    }
}

/// The next protocol numbers that VXLAN-GPE and NSH share (RFC 8300 2.2, draft-ietf-nvo3-vxlan-gpe 3.2).
const fn next_protocol(number: u8) -> Option<Next> {
    Some(match number {
        1 => Next::Ipv4,
        2 => Next::Ipv6,
        3 => Next::Ethernet,
        4 => Next::Nsh,
        5 => Next::Mpls,
        _ => return None,
    })
}
