//! Which frames are cut and joined? Flows of TCP and UDP, put together with the decoder's own headers and sums: a second opinion on every
//! byte, that shares nothing with what is tested.
//!
//! Every decision is taken out of bytes ([`Choices`]): what a fuzzer mutates, and what proptest shrinks, is the same input.

use overlay_decoder::checksum::{Sum, internet};
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{Ethernet, Ipv4, Ipv6, Tcp, Udp, Vlan};
use overlay_decoder::{Mac, Walker};
use overlay_engine::{Offload, SegmentKind, Segments};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const CWR: u16 = 0x80;
pub(crate) const ECE: u16 = 0x40;

/// Decisions out of bytes; zeros when they run out.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn half(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::from(self.half()) << 16 | u32::from(self.half())
    }

    /// 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    /// True for `n` of 8; zero bytes, and so the end of the choices, are the simple case.
    pub(crate) fn often(&mut self, n: u8) -> bool {
        self.below(8) >= 8 - n
    }
}

/// A flow, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    pub(crate) tags: Vec<u16>,
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    /// IPv4 options or IPv6 extension headers, in units of 8 bytes.
    pub(crate) extra: u8,
    /// In units of 4 bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) host: u8,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u16,
    pub(crate) window: u16,
}

/// What the checksum's field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    /// The checksum.
    Right,
    /// The sum of the pseudo-header alone.
    Partial,
}

impl Flow {
    /// TCP over IPv4 without anything special.
    pub(crate) fn plain() -> Self {
        Self::choose(&mut Choices(&[]))
    }

    pub(crate) fn udp() -> Self {
        Self { udp: true, ..Self::plain() }
    }

    pub(crate) fn choose(choices: &mut Choices<'_>) -> Self {
        let tags = (0..choices.below(3)).map(|_| choices.half() & 0xfff).collect();
        Self {
            tags,
            v6: choices.often(4),
            udp: choices.often(3),
            extra: if choices.often(2) { 1 + choices.below(3) } else { 0 },
            // No-operations, which are fine in any number.
            options: vec![1; usize::from(choices.below(11)) * 4],
            host: choices.byte(),
            tos: choices.byte(),
            ttl: choices.byte().max(1),
            id: choices.half(),
            dont_fragment: choices.often(4),
            // No port that says what the payload is.
            port: 40_000 + choices.half() % 5000,
            seq: choices.word(),
            ack: choices.word(),
            flags: Tcp::ACK | if choices.often(1) { ECE } else { 0 },
            window: choices.half(),
        }
    }

    /// Bytes of the headers.
    pub(crate) fn header_len(&self) -> usize {
        let ip = if self.v6 { Ipv6::LENGTH } else { Ipv4::LENGTH };
        let transport = if self.udp { Udp::LENGTH } else { Tcp::LENGTH + self.options.len() };
        self.l3() + ip + usize::from(self.extra) * 8 + transport
    }

    /// Where the IP header begins.
    pub(crate) fn l3(&self) -> usize {
        Ethernet::LENGTH + self.tags.len() * Vlan::LENGTH
    }

    /// Where the transport's header begins.
    pub(crate) fn l4(&self) -> usize {
        self.header_len() - if self.udp { Udp::LENGTH } else { Tcp::LENGTH + self.options.len() }
    }

    /// Where the checksum stands behind that.
    pub(crate) fn checksum_at(&self) -> usize {
        if self.udp { 6 } else { 16 }
    }

    /// The frame that carries `payload` now.
    pub(crate) fn frame(&self, payload: &[u8], field: Field) -> Vec<u8> {
        let (src, dst) = (Mac([2, 8, 0x20, 10, 0, self.host]), Mac([2, 8, 0x20, 10, 0, 200]));
        let kind = if self.v6 { ethertype::IPV6 } else { ethertype::IPV4 };
        let mut kinds = self.tags.iter().map(|_| ethertype::VLAN).chain([kind]);
        let mut frame = Ethernet { src, dst, ethertype: kinds.next().unwrap_or(kind) }.emit().to_vec();
        for (id, ethertype) in self.tags.iter().zip(kinds) {
            frame.extend(Vlan { priority: 3, drop_eligible: false, id: *id, ethertype, tpid: 0 }.emit());
        }
        let mut transport = self.transport(payload);
        let (protocol, length) = (if self.udp { ip::UDP } else { ip::TCP }, transport.len() as u32);
        let (v4, v6) = (|low| Ipv4Addr::new(10, 0, 0, low), |low| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(low)));
        let mut sum = Sum::new();
        match self.v6 {
            true => sum.add_pseudo_v6(v6(self.host), v6(200), protocol, length),
            false => sum.add_pseudo_v4(v4(self.host), v4(200), protocol, length),
        }
        let value = match field {
            Field::Partial => sum.folded(),
            Field::Right => {
                sum.add(&transport);
                if self.udp && sum.checksum() == 0 { 0xffff } else { sum.checksum() }
            }
        };
        transport[self.checksum_at()..][..2].copy_from_slice(&value.to_be_bytes());
        let extra = usize::from(self.extra) * 8;
        if self.v6 {
            let next_header = if extra > 0 { ip::DESTINATION } else { protocol };
            let payload_length = (extra + transport.len()) as u16;
            let header = Ipv6 {
                traffic_class: self.tos,
                flow_label: 0x12345,
                payload_length,
                next_header,
                hop_limit: self.ttl,
                src: v6(self.host),
                dst: v6(200),
                upper_protocol: protocol,
            };
            frame.extend(header.emit());
            if extra > 0 {
                // PadN over all of it (RFC 8200 4.2).
                let mut options = vec![0; extra];
                options[..4].copy_from_slice(&[protocol, (self.extra) - 1, 1, extra as u8 - 4]);
                frame.extend(options);
            }
        } else {
            let mut header = Ipv4 {
                header_length: (Ipv4::LENGTH + extra) as u8,
                tos: self.tos,
                total_length: (Ipv4::LENGTH + extra + transport.len()) as u16,
                id: self.id,
                dont_fragment: self.dont_fragment,
                more_fragments: false,
                reserved_flag: false,
                fragment_offset: 0,
                ttl: self.ttl,
                protocol,
                checksum: 0,
                src: v4(self.host),
                dst: v4(200),
            };
            let options = vec![1; extra];
            header.checksum = internet(&[&header.emit()[..], &options].concat());
            frame.extend(header.emit());
            frame.extend(options);
        }
        frame.extend(transport);
        frame
    }

    fn transport(&self, payload: &[u8]) -> Vec<u8> {
        if self.udp {
            let length = (Udp::LENGTH + payload.len()) as u16;
            return [&Udp { src_port: self.port, dst_port: 45_678, length, checksum: 0 }.emit()[..], payload].concat();
        }
        let header = Tcp {
            src_port: self.port,
            dst_port: 45_678,
            seq: self.seq,
            ack: self.ack,
            header_length: (Tcp::LENGTH + self.options.len()) as u8,
            flags: self.flags,
            window: self.window,
            checksum: 0,
            urgent: 0,
        };
        [&header.emit()[..], &self.options, payload].concat()
    }

    /// Sends `payload`: what comes next begins behind it.
    pub(crate) fn step(&mut self, payload: &[u8], field: Field) -> Vec<u8> {
        let frame = self.frame(payload, field);
        self.seq = self.seq.wrapping_add(payload.len() as u32);
        self.id = self.id.wrapping_add(1);
        frame
    }

    /// Sends `payload` in frames of `size` bytes each, with the flags where they belong.
    pub(crate) fn frames(&self, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
        let (count, mut flow) = (payload.len().div_ceil(size).max(1), self.clone());
        let step = |index: usize| {
            let mut flags = self.flags;
            if index > 0 {
                flags &= !CWR;
            }
            if index + 1 < count {
                flags &= !(Tcp::FIN | Tcp::PSH);
            }
            flow.flags = flags;
            flow.step(&payload[index * size..payload.len().min((index + 1) * size)], Field::Right)
        };
        (0..count).map(step).collect()
    }

    /// The super-frame with `payload`, as a TAP gives it.
    pub(crate) fn super_frame(&self, payload: &[u8], size: usize) -> (Vec<u8>, Offload) {
        (self.frame(payload, Field::Partial), self.work(size))
    }

    /// What is left to do to it.
    pub(crate) fn work(&self, size: usize) -> Offload {
        let kind = match (self.udp, self.v6) {
            (true, _) => SegmentKind::Udp,
            (false, true) => SegmentKind::Tcp6,
            (false, false) => SegmentKind::Tcp4,
        };
        let segments = Segments { size: size as u16, header_len: self.header_len() as u16, kind };
        Offload { checksum: self.missing(), segments: Some(segments) }
    }

    /// Where its checksum is missing.
    pub(crate) fn missing(&self) -> Option<(u16, u16)> {
        Some((self.l4() as u16, self.checksum_at() as u16))
    }
}

/// Bytes of payload that no two places have in common.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect()
}

/// A walk that takes payload for payload.
pub(crate) fn walker() -> Walker {
    let mut config = overlay_decoder::Config::default();
    config.guess = false;
    Walker::new(config)
}
