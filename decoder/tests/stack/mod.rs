//! A packet in a packet, put together from the inside out with the headers' own `emit`, and the layers that a walk must find in it.
//!
//! Every decision is taken out of bytes ([`Choices`]): what a fuzzer mutates, and what proptest shrinks, is the same input.

use overlay_decoder::checksum::{Sum, crc32c, internet};
use overlay_decoder::layer::number::{ethertype, ip, port};
use overlay_decoder::layer::{
    Ah, Arp, Body, Erspan, Esp, Ethernet, Geneve, Gre, Icmp, Icmpv6, Ipip, Ipv4, Ipv6, Ipv6Ext, Layer, Llc, Mpls, Nsh, Nvgre, Payload,
    Sctp, Snap, Tcp, Udp, Vlan, Vxlan, VxlanGpe,
};
use overlay_decoder::{Mac, Vni};
use std::net::{Ipv4Addr, Ipv6Addr};

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

    /// True for `n` of 8.
    pub(crate) fn often(&mut self, n: u8) -> bool {
        // Zero bytes, and so the end of the choices, are the simplest packet.
        self.below(8) >= 8 - n
    }

    fn mac(&mut self) -> Mac {
        Mac([2, 0, 0, self.byte(), self.byte(), self.byte()])
    }

    fn vni(&mut self) -> Vni {
        Vni::from_be_bytes([self.byte(), self.byte(), self.byte()])
    }

    fn v4(&mut self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.byte(), self.byte(), self.byte())
    }

    fn v6(&mut self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, self.half(), 0, 0, 0, 0, self.half())
    }
}

/// Bytes of a packet from some header on, and the layers in them.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
}

impl Part {
    /// Bytes that are no header: a layer of their own unless there are none.
    fn payload(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u32;
        let layer = Layer { offset: 0, length, claimed: 0, body: Body::Payload(Payload { wire_length: length }) };
        Self { layers: if bytes.is_empty() { vec![] } else { vec![layer] }, bytes }
    }

    /// The same with a header in front.
    fn behind(mut self, header: &[u8], body: Body) -> Self {
        let (length, claimed) = (header.len() as u32, self.bytes.len() as u32);
        for layer in &mut self.layers {
            layer.offset += length;
        }
        self.layers.insert(0, Layer { offset: 0, length, claimed, body });
        self.bytes.splice(0..0, header.iter().copied());
        self
    }
}

/// An Ethernet frame with `tunnels` tunnels in it.
pub(crate) fn frame(choices: &mut Choices<'_>, tunnels: u8) -> Part {
    let (mut kind, mut part) = match choices.below(8) {
        0 | 1 if tunnels == 0 => (ethertype::ARP, arp(choices)),
        2 => snap(choices, tunnels),
        3 => (ethertype::MPLS, mpls(choices, tunnels)),
        4 => (ethertype::NSH, nsh(choices, tunnels)),
        _ => packet(choices, tunnels),
    };
    if choices.often(2) && kind != ethertype::ARP {
        // The padding of a short frame, which IP says not to read. Labels and NSH have no length: it is theirs.
        let padding = 46_usize.saturating_sub(part.bytes.len());
        part.bytes.resize(part.bytes.len() + padding, 0);
        for layer in part.layers.iter_mut().take_while(|layer| matches!(layer.body, Body::Mpls(_) | Body::Nsh(_))) {
            layer.claimed += padding as u32;
        }
    }
    for _ in 0..choices.below(3) {
        let [high, _] = choices.half().to_be_bytes();
        let tag =
            Vlan { priority: high >> 5, drop_eligible: high & 1 == 1, id: choices.half() & 0xfff, ethertype: kind, tpid: ethertype::VLAN };
        part = part.behind(&tag.emit(), Body::Vlan(tag));
        kind = ethertype::VLAN;
    }
    let provider = kind == ethertype::VLAN && choices.often(4);
    if let (true, Body::Vlan(tag)) = (provider, &mut part.layers[0].body) {
        (tag.tpid, kind) = (ethertype::PROVIDER_VLAN, ethertype::PROVIDER_VLAN);
    }
    let header = Ethernet { dst: choices.mac(), src: choices.mac(), ethertype: kind };
    part.behind(&header.emit(), Body::Ethernet(header))
}

/// An IP packet with `tunnels` tunnels in it, and its EtherType.
pub(crate) fn packet(choices: &mut Choices<'_>, tunnels: u8) -> (u16, Part) {
    if choices.often(3) { (ethertype::IPV6, ipv6(choices, tunnels)) } else { (ethertype::IPV4, ipv4(choices, tunnels)) }
}

fn arp(choices: &mut Choices<'_>) -> Part {
    let header = Arp {
        hardware: 1,
        protocol: ethertype::IPV4,
        hardware_length: 6,
        protocol_length: 4,
        operation: choices.half(),
        sender_mac: choices.mac(),
        sender_ip: choices.v4(),
        target_mac: choices.mac(),
        target_ip: choices.v4(),
    };
    let padding = vec![0; if choices.often(4) { 18 } else { 0 }];
    Part { bytes: padding, layers: vec![] }.behind(&header.emit(), Body::Arp(header))
}

/// 802.3 with SNAP; the type field of the frame is a length.
fn snap(choices: &mut Choices<'_>, tunnels: u8) -> (u16, Part) {
    let (protocol, part) = packet(choices, tunnels);
    let header = Llc { dsap: Llc::SNAP, ssap: Llc::SNAP, control: Llc::UNNUMBERED_INFORMATION, snap: Some(Snap { oui: [0; 3], protocol }) };
    let part = part.behind(&header.emit(), Body::Llc(header));
    (part.bytes.len() as u16, part)
}

fn mpls(choices: &mut Choices<'_>, tunnels: u8) -> Part {
    let mut part = packet(choices, tunnels).1;
    for index in 0..=choices.below(3) {
        let label = Mpls { label: choices.word() >> 12, traffic_class: choices.below(8), bottom: index == 0, ttl: choices.byte() };
        part = part.behind(&label.emit(), Body::Mpls(label));
    }
    part
}

fn nsh(choices: &mut Choices<'_>, tunnels: u8) -> Part {
    let (next_protocol, part) = match packet(choices, tunnels) {
        (ethertype::IPV4, part) => (Nsh::IPV4, part),
        (_, part) => (Nsh::IPV6, part),
    };
    let header = Nsh {
        version: 0,
        oam: choices.often(1),
        ttl: choices.below(64),
        length_field: 6,
        unassigned: 0,
        md_type: 1,
        next_protocol,
        service_path: choices.word() >> 8,
        service_index: choices.byte(),
    };
    part.behind(&[&header.emit()[..], &[0xc0; 16]].concat(), Body::Nsh(header))
}

fn ipv4(choices: &mut Choices<'_>, tunnels: u8) -> Part {
    let (src, dst) = (choices.v4(), choices.v4());
    let (protocol, mut part) = behind_ip(choices, tunnels, ip::ICMP);
    fill_in(&mut part, |length, number| {
        let mut sum = Sum::new();
        sum.add_pseudo_v4(src, dst, number, length);
        sum
    });
    // Router alert, or as many no-operations as fit.
    let options: &[u8] = [&[][..], &[148, 4, 0, 0], &[1; 40]][usize::from(choices.below(3))];
    let length = Ipv4::LENGTH + options.len();
    let mut header = Ipv4 {
        header_length: length as u8,
        tos: choices.byte(),
        total_length: (length + part.bytes.len()) as u16,
        id: choices.half(),
        dont_fragment: choices.often(4),
        more_fragments: false,
        reserved_flag: choices.often(1),
        fragment_offset: 0,
        ttl: choices.byte(),
        protocol,
        checksum: 0,
        src,
        dst,
    };
    header.checksum = internet(&[&header.emit(), options].concat());
    part.behind(&[&header.emit(), options].concat(), Body::Ipv4(header))
}

fn ipv6(choices: &mut Choices<'_>, tunnels: u8) -> Part {
    let (src, dst) = (choices.v6(), choices.v6());
    let (protocol, mut part) = behind_ip(choices, tunnels, ip::ICMPV6);
    fill_in(&mut part, |length, number| {
        let mut sum = Sum::new();
        sum.add_pseudo_v6(src, dst, number, length);
        sum
    });
    let upper_protocol = match part.layers.first().map(|layer| layer.body) {
        Some(Body::Ah(header)) => header.next_header,
        _ => protocol,
    };
    let mut next_header = protocol;
    // The order of RFC 8200 4.1, from the inside out: destination, fragment, routing, hop-by-hop.
    for number in [ip::DESTINATION, ip::FRAGMENT, ip::ROUTING, ip::HOP_BY_HOP] {
        if choices.often(2) {
            let words = if number == ip::FRAGMENT { 0 } else { choices.below(3) };
            let mut bytes = [0; 24];
            // An atomic fragment, padding of all the rest, or a routing header that has arrived.
            let id = match number {
                ip::FRAGMENT => choices.word().to_be_bytes(),
                _ => [0; 4],
            };
            let second = match number {
                ip::FRAGMENT => [0, 0],
                ip::ROUTING => [4, 0],
                _ => [1, words * 8 + 4],
            };
            bytes[..8].copy_from_slice(&[next_header, words, second[0], second[1], id[0], id[1], id[2], id[3]]);
            let whole = &bytes[..usize::from(words) * 8 + 8];
            let header = Ipv6Ext::parse(number, bytes.first_chunk().unwrap());
            part = part.behind(whole, Body::Ipv6Ext(header));
            next_header = number;
        }
    }
    let header = Ipv6 {
        traffic_class: choices.byte(),
        flow_label: choices.word() >> 12,
        payload_length: part.bytes.len() as u16,
        next_header,
        hop_limit: choices.byte(),
        src,
        dst,
        upper_protocol,
    };
    part.behind(&header.emit(), Body::Ipv6(header))
}

/// Sums up the transport header at the start of `part`, or behind an authentication header there.
fn fill_in(part: &mut Part, pseudo: impl Fn(u32, u8) -> Sum) {
    let Some(layer) = part.layers.iter_mut().find(|layer| !matches!(layer.body, Body::Ah(_))) else { return };
    let start = layer.offset as usize;
    let length = (part.bytes.len() - start) as u32;
    let (at, mut sum) = match layer.body {
        Body::Tcp(_) => (16, pseudo(length, ip::TCP)),
        Body::Udp(_) => (6, pseudo(length, ip::UDP)),
        Body::Icmpv6(_) => (2, pseudo(length, ip::ICMPV6)),
        Body::Icmp(_) => (2, Sum::new()),
        _ => return,
    };
    sum.add(&part.bytes[start..]);
    let found = match sum.checksum() {
        0 => 0xffff,
        found => found,
    };
    part.bytes[start + at..start + at + 2].copy_from_slice(&found.to_be_bytes());
    match &mut layer.body {
        Body::Tcp(Tcp { checksum, .. })
        | Body::Udp(Udp { checksum, .. })
        | Body::Icmpv6(Icmpv6 { checksum, .. })
        | Body::Icmp(Icmp { checksum, .. }) => *checksum = found,
        _ => {}
    }
}

/// What IP carries: a tunnel while there are some to come, else something without one.
fn behind_ip(choices: &mut Choices<'_>, tunnels: u8, icmp: u8) -> (u8, Part) {
    let (protocol, part) = match tunnels.checked_sub(1) {
        Some(left) => tunnel(choices, left),
        None => leaf(choices, icmp),
    };
    if !choices.often(1) {
        return (protocol, part);
    }
    let header = Ah { next_header: protocol, length_field: 4, spi: choices.word(), sequence: choices.word() };
    (ip::AH, part.behind(&[&header.emit()[..], &[0xa5; 12]].concat(), Body::Ah(header)))
}

/// Bytes that nobody takes for a tunnel, and ports that nobody knows.
fn leaf(choices: &mut Choices<'_>, icmp: u8) -> (u8, Part) {
    let data = Part::payload(vec![0xc5; usize::from(choices.below(40))]);
    let (src_port, dst_port) = (49152 + u16::from(choices.byte()), 9000 + u16::from(choices.byte()));
    match choices.below(7) {
        0 => (ip::UDP, udp(src_port, dst_port, data)),
        1 => {
            let options: &[u8] = [&[][..], &[2, 4, 5, 180], &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]][usize::from(choices.below(3))];
            let header = Tcp {
                src_port,
                dst_port,
                seq: choices.word(),
                ack: choices.word(),
                header_length: (Tcp::LENGTH + options.len()) as u8,
                flags: choices.half() & 0xfff,
                window: choices.half(),
                checksum: 0,
                urgent: choices.half(),
            };
            (ip::TCP, data.behind(&[&header.emit(), options].concat(), Body::Tcp(header)))
        }
        2 if icmp == ip::ICMP => {
            let header = Icmp { kind: choices.byte(), code: choices.byte(), checksum: 0, rest: choices.word().to_be_bytes() };
            (icmp, data.behind(&header.emit(), Body::Icmp(header)))
        }
        2 => {
            // None whose body has a form that these bytes have not.
            let kind = [1, 2, 3, 4, 128, 129, 160, 200][usize::from(choices.below(8))];
            let header = Icmpv6 { kind, code: choices.byte(), checksum: 0, rest: choices.word().to_be_bytes() };
            (icmp, data.behind(&header.emit(), Body::Icmpv6(header)))
        }
        3 => {
            let [high, low] = (16 + data.bytes.len() as u16).to_be_bytes();
            let chunk = [&[0, 3, high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], &data.bytes[..]].concat();
            let data = Part::payload(chunk);
            let mut header = Sctp { src_port, dst_port, tag: choices.word(), checksum: 0 };
            // The field holds the least significant byte first.
            header.checksum = crc32c(&[&header.emit(), &data.bytes]).swap_bytes();
            (ip::SCTP, data.behind(&header.emit(), Body::Sctp(header)))
        }
        4 => {
            let header = Esp { spi: choices.word(), sequence: choices.word() };
            (ip::ESP, data.behind(&header.emit(), Body::Esp(header)))
        }
        5 => (ip::NO_NEXT, data),
        // No tunnel by itself: labels and what they carry belong to the same packet in the packet.
        _ => (ip::MPLS, mpls(choices, 0)),
    }
}

fn udp(src_port: u16, dst_port: u16, part: Part) -> Part {
    let header = Udp { src_port, dst_port, length: (Udp::LENGTH + part.bytes.len()) as u16, checksum: 0 };
    part.behind(&header.emit(), Body::Udp(header))
}

/// An Ethernet frame or a bare IP packet, and its EtherType.
fn frame_or_packet(choices: &mut Choices<'_>, tunnels: u8) -> (u16, Part) {
    if choices.often(4) { packet(choices, tunnels) } else { (ethertype::TEB, frame(choices, tunnels)) }
}

fn tunnel(choices: &mut Choices<'_>, left: u8) -> (u8, Part) {
    let entropy = 49152 + choices.half() % 16384;
    match choices.below(8) {
        0 | 1 => {
            let group = choices.often(1);
            let header = Vxlan {
                flags: Vxlan::FLAG_VNI | if group { Vxlan::FLAG_GROUP } else { 0 },
                policy_flags: 0,
                group: if group { choices.half() } else { 0 },
                id: choices.vni(),
                reserved: 0,
                guessed: false,
            };
            let port = if choices.often(4) { port::VXLAN } else { port::VXLAN_LINUX };
            (ip::UDP, udp(entropy, port, frame(choices, left).behind(&header.emit(), Body::Vxlan(header))))
        }
        2 => {
            let (next_protocol, part) = match frame_or_packet(choices, left) {
                (ethertype::IPV4, part) => (VxlanGpe::IPV4, part),
                (ethertype::IPV6, part) => (VxlanGpe::IPV6, part),
                (_, part) => (VxlanGpe::ETHERNET, part),
            };
            let flags = VxlanGpe::FLAG_VNI | VxlanGpe::FLAG_PROTOCOL;
            let header = VxlanGpe { flags, reserved: 0, next_protocol, id: choices.vni(), reserved2: 0, guessed: false };
            (ip::UDP, udp(entropy, port::VXLAN_GPE, part.behind(&header.emit(), Body::VxlanGpe(header))))
        }
        3 | 4 => {
            let (protocol, part) = frame_or_packet(choices, left);
            // OVN's ports, an option of nobody, one without data.
            let options: &[u8] = [&[][..], &[1, 2, 0x80, 1, 0, 1, 0, 2], &[0xff, 0xff, 7, 2, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0, 0]]
                [usize::from(choices.below(3))];
            let header = Geneve {
                version: 0,
                options_length: options.len() as u8,
                oam: choices.often(1),
                critical: choices.often(1),
                reserved: 0,
                protocol,
                vni: choices.vni(),
                reserved2: 0,
                guessed: false,
            };
            let part = part.behind(&[&header.emit(), options].concat(), Body::Geneve(header));
            (ip::UDP, udp(entropy, port::GENEVE, part))
        }
        5 => {
            let header = Nvgre { vsid: choices.vni(), flow_id: choices.byte() };
            (ip::GRE, frame(choices, left).behind(&header.emit(), Body::Nvgre(header)))
        }
        6 => gre(choices, left),
        _ => {
            let (kind, mut part) = packet(choices, left);
            // The marker has no bytes.
            let claimed = part.bytes.len() as u32;
            part.layers.insert(0, Layer { offset: 0, length: 0, claimed, body: Body::Ipip(Ipip) });
            (if kind == ethertype::IPV4 { ip::IPV4 } else { ip::IPV6 }, part)
        }
    }
}

/// GRE around IP, around Ethernet (never with a key alone: that is NVGRE), or around ERSPAN of one of three types.
fn gre(choices: &mut Choices<'_>, left: u8) -> (u8, Part) {
    let random = u16::from(choices.byte()) << 8 & (Gre::CHECKSUM | Gre::KEY | Gre::SEQUENCE);
    let (flags, protocol, part) = match choices.below(5) {
        0 => {
            let mut part = frame(choices, left);
            let claimed = part.bytes.len() as u32;
            part.layers.insert(0, Layer { offset: 0, length: 0, claimed, body: Body::Erspan(Erspan::TYPE_I) });
            (0, ethertype::ERSPAN_II, part)
        }
        kind @ (1 | 2) => {
            let (version, word2) = if kind == 1 { (1, None) } else { (2, Some(choices.word() & !1)) };
            let header = Erspan {
                version,
                vlan: choices.half() & 0xfff,
                cos: choices.below(8),
                encapsulation_or_bso: choices.below(4),
                truncated: choices.often(1),
                session: choices.half() & 0x3ff,
                word: choices.word(),
                word2,
            };
            let protocol = if kind == 1 { ethertype::ERSPAN_II } else { ethertype::ERSPAN_III };
            (Gre::SEQUENCE, protocol, frame(choices, left).behind(&header.emit(), Body::Erspan(header)))
        }
        _ => {
            let (protocol, part) = frame_or_packet(choices, left);
            (if protocol == ethertype::TEB && random == Gre::KEY { 0 } else { random }, protocol, part)
        }
    };
    let present = |flag: u16| flags & flag != 0;
    let mut header = Gre {
        flags,
        protocol,
        checksum: present(Gre::CHECKSUM).then_some(0),
        key: present(Gre::KEY).then(|| choices.word()),
        sequence: present(Gre::SEQUENCE).then(|| choices.word()),
        acknowledgment: None,
    };
    if present(Gre::CHECKSUM) {
        let mut sum = Sum::new();
        sum.add(&header.emit());
        sum.add(&part.bytes);
        header.checksum = Some(sum.checksum());
    }
    (ip::GRE, part.behind(&header.emit(), Body::Gre(header)))
}
