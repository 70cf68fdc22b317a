//! Random packets and filters out of a stream of bytes, for the property tests of the filters. Every stream makes something, so
//! that a failing one can be shrunk.

use overlay_captures::LinkType;

/// A stream of choices; at its end every choice is 0.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// True once in `count` times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn some(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.byte()).collect()
    }
}

/// A packet as it was captured.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) link: LinkType,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
}

/// Headers that stand on each other as on a wire, often with tunnels; sometimes damaged, sometimes cut.
pub(crate) fn packet(choices: &mut Choices<'_>) -> Captured {
    let link = if choices.one_in(2) { choices.pick(&LinkType::KNOWN) } else { LinkType::ETHERNET };
    let mut bytes = match link {
        LinkType::ETHERNET => ethernet(choices, 4),
        LinkType::RAW => ip(choices, 4),
        LinkType::IPV4 => ipv4(choices, 4),
        LinkType::IPV6 => ipv6(choices, 4),
        LinkType::LINUX_SLL => {
            let (ethertype, rest) = behind_ethertype(choices, 4);
            [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &ethertype.to_be_bytes(), &rest].concat()
        }
        LinkType::LINUX_SLL2 => {
            let (ethertype, rest) = behind_ethertype(choices, 4);
            [&ethertype.to_be_bytes()[..], &[0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0], &rest].concat()
        }
        _ => {
            let (family, rest) =
                if choices.one_in(2) { (choices.pick(&[24_u32, 10, 28, 30]), ipv6(choices, 4)) } else { (2, ipv4(choices, 4)) };
            let swapped = link == LinkType::LOOP || choices.one_in(2);
            [&if swapped { family.to_be_bytes() } else { family.to_le_bytes() }[..], &rest].concat()
        }
    };
    if choices.one_in(4) && !bytes.is_empty() {
        let at = choices.below(bytes.len().min(200));
        bytes[at] = choices.byte();
    }
    let whole = bytes.len();
    if choices.one_in(3) {
        bytes.truncate(choices.below(whole.min(250) + 1));
    }
    let wire_len = if choices.one_in(2) { bytes.len() } else { whole } as u32;
    Captured { link, bytes, wire_len }
}

fn ethernet(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let (ethertype, rest) = behind_ethertype(choices, depth);
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, choices.pick(&[1, 2])][..], &ethertype.to_be_bytes(), &rest].concat()
}

fn behind_ethertype(choices: &mut Choices<'_>, depth: usize) -> (u16, Vec<u8>) {
    if depth == 0 {
        return (0x0800, vec![0x45]);
    }
    match choices.below(12) {
        0 => (0x0806, [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[2; 20]].concat()),
        1 => {
            let (ethertype, rest) = behind_ethertype(choices, depth - 1);
            (choices.pick(&[0x8100, 0x88a8, 0x9100]), [&[0, choices.pick(&[5, 7])][..], &ethertype.to_be_bytes(), &rest].concat())
        }
        2 => (0x8847, mpls(choices, depth)),
        3 => (0x894f, [&[0x0f, 0xc6, 1, choices.pick(&[3, 1, 2]), 0, 0, 0, 0][..], &[0; 16], &ethernet(choices, depth - 1)].concat()),
        4 => (0x6558, ethernet(choices, depth - 1)),
        5 => {
            let (ethertype, rest) = behind_ethertype(choices, depth - 1);
            let rest = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ethertype.to_be_bytes(), &rest].concat();
            (rest.len().min(1_500) as u16, rest)
        }
        6 => (choices.byte().into(), choices.some(60)),
        7 | 8 => (0x86dd, ipv6(choices, depth)),
        _ => (0x0800, ipv4(choices, depth)),
    }
}

fn mpls(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let more: &[u8] = if choices.one_in(2) { &[0, 1, 0x20, 9] } else { &[] };
    [more, &[0, 1, 0x01, 9], &ip(choices, depth - 1)].concat()
}

fn ip(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    if choices.one_in(3) { ipv6(choices, depth) } else { ipv4(choices, depth) }
}

fn ipv4(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    if depth == 0 {
        return vec![0x45];
    }
    let options = choices.pick(&[0, 0, 0, 4, 40]);
    let (fragment, source) = (choices.pick(&[0_u16, 0, 0, 0x2000, 0x0010]), choices.pick(&[1, 2]));
    let (protocol, rest) = behind_ip(choices, depth);
    let length = (20 + options + rest.len()) as u16;
    let mut header = vec![0x40 | (5 + options / 4) as u8, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 9]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0, 10, 0, 0, source, 10, 0, 0, 9]);
    header.resize(20 + options, 1);
    // The strict guess wants a right checksum.
    let sum = overlay_decoder::checksum::internet(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [header, rest].concat()
}

fn ipv6(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    if depth == 0 {
        return vec![0x60];
    }
    let (mut next, mut rest) = behind_ip(choices, depth);
    for _ in 0..choices.pick(&[0, 0, 0, 1, 2]) {
        let header = choices.pick(&[0_u8, 43, 44, 60, 135, 139, 140]);
        rest = [&[next, 0, 0, 0, 0, 0, 0, 1][..], &rest].concat();
        next = header;
    }
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend([next, 64]);
    header.extend([0xfd; 15]);
    header.push(choices.pick(&[1, 2]));
    header.extend([0xfe; 16]);
    [header, rest].concat()
}

fn behind_ip(choices: &mut Choices<'_>, depth: usize) -> (u8, Vec<u8>) {
    match choices.below(16) {
        0 => (6, tcp(choices)),
        1 => (4, ipv4(choices, depth - 1)),
        2 => (41, ipv6(choices, depth - 1)),
        3 => (47, gre(choices, depth)),
        4 => (47, [&[0x20, 0, 0x65, 0x58, 0, 0, choices.pick(&[77, 5]), 0][..], &ethernet(choices, depth - 1)].concat()),
        5 => {
            let (next, rest) = behind_ip(choices, depth - 1 + usize::from(depth == 1));
            (51, [&[next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &rest].concat())
        }
        6 => (137, mpls(choices, depth)),
        7 => (1, vec![8, 0, 0, 0, 0, 1, 0, 1]),
        8 => (choices.byte(), choices.some(60)),
        _ => (17, udp(choices, depth)),
    }
}

fn tcp(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = vec![0xc0, 0, 0, choices.pick(&[80, 22]), 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 64, 0, 0, 0, 0];
    bytes.extend(choices.some(20));
    bytes
}

fn udp(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let vni = choices.pick(&[77, 5]);
    let (port, payload) = match choices.below(6) {
        0 => (4790, [&[0x0c, 0, 0, choices.pick(&[3, 3, 1, 4]), 0, 0, vni, 0][..], &ethernet(choices, depth - 1)].concat()),
        1 => (6081, [&[0, 0, 0x65, 0x58, 0, 0, vni, 0][..], &ethernet(choices, depth - 1)].concat()),
        2 => (6081, [&[1, 0, 0x08, 0, 0, 0, vni, 0, 1, 2, 3, 0][..], &ipv4(choices, depth - 1)].concat()),
        3 => (6635, mpls(choices, depth)),
        _ => (4789, [&[8, 0, 0, 0, 0, 0, vni, 0][..], &ethernet(choices, depth - 1)].concat()),
    };
    let port = choices.pick(&[port, port, port, 8472, 9_999, 53, 80]);
    let mut bytes = vec![0xc0, 1];
    bytes.extend(u16::to_be_bytes(port));
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

fn gre(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    match choices.below(4) {
        0 => [&[0, 0, 0x88, 0xbe][..], &ethernet(choices, depth - 1)].concat(),
        1 => [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 5, 0, 0, 0, 0][..], &ethernet(choices, depth - 1)].concat(),
        2 => [&[0, 0, 0x65, 0x58][..], &ethernet(choices, depth - 1)].concat(),
        _ => {
            let (ethertype, rest) = behind_ethertype(choices, depth - 1);
            [&[0x30, 0][..], &ethertype.to_be_bytes(), &[0, 0, 0, 7, 0, 0, 0, 1], &rest].concat()
        }
    }
}

/// pcap-filter expressions that read near and far, move offsets, and ask for lengths.
pub(crate) const PCAP: [&str; 22] = [
    "ip",
    "tcp port 80",
    "arp",
    "host 10.0.0.1",
    "vlan",
    "vlan 5 and ip",
    "mpls",
    "udp dst port 4789",
    "not tcp",
    "ip6",
    "less 100",
    "greater 100",
    "ip[50] = 1",
    "ip[ip[0]] = 1",
    "ether src 02:00:00:00:00:01",
    "icmp or src host 10.0.0.2",
    "ip6 protochain 17",
    "geneve 5",
    "tcp[tcpflags] & tcp-syn != 0",
    "link[0] >= 0",
    "ip proto 47 or 4",
    "len > ip[2:2] + 14",
];

/// An expression of our words.
pub(crate) fn expression(choices: &mut Choices<'_>, depth: usize) -> String {
    if depth > 0 && choices.one_in(2) {
        let operator = choices.pick(&[" and ", " or "]);
        let parts: Vec<_> = (0..2 + choices.below(2)).map(|_| format!("({})", expression(choices, depth - 1))).collect();
        return format!("{}({})", choices.pick(&["", "", "not "]), parts.join(operator));
    }
    let pcap = choices.pick(&PCAP);
    let word = match choices.below(9) {
        0 => "vni 77".to_owned(),
        1 => "vni 1-20".to_owned(),
        2 => format!("tunnel {}", choices.pick(&["vxlan", "vxlan-gpe", "geneve", "nvgre", "gre", "erspan", "ipip"])),
        3 => format!("inner({pcap})"),
        4 => format!("layer {} ({pcap})", 1 + choices.below(3)),
        5 => choices.pick(&["stopped", "stopped truncated", "stopped malformed"]).to_owned(),
        _ => format!("outer({pcap})"),
    };
    format!("{}{word}", choices.pick(&["", "", "not "]))
}
