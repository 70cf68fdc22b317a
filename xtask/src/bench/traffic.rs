//! What does the traffic of a busy VXLAN host look like, the same on every machine?
//!
//! A classic little-endian pcap file (microseconds, Ethernet) of VXLAN (RFC 7348) between eight UL3 addresses: 200
//! VNIs whose tenants all use the same VL3 addresses, TCP, UDP and ICMP over IPv4 and IPv6, sizes mixed so that 2
//! million packets are about 1.5 GB. Everything comes from one seeded generator. All checksums are right; the outer
//! UDP checksum is zero, as RFC 7348 section 5 asks for over IPv4.
//!
//! xtask is built without optimization, so a payload is never summed byte by byte: payloads are slices of one pool
//! whose running sums are known.

use std::io::{self, Write};

/// Number of tenants.
const VNIS: u32 = 200;
/// The first VNI.
const VNI_FIRST: u32 = 5000;
/// Tunnel endpoints, 10.88.0.1 and up.
const ENDPOINTS: u32 = 8;
/// Hosts per tenant, the same addresses in each.
const HOSTS: u32 = 50;
/// Conversations. A bounded number, as in life: tcpdump looks each TCP packet's conversation up in chains that grow with it.
const FLOWS: u32 = 4000;
/// Bytes that payloads are cut from; a payload starts in its first half.
const POOL_BYTES: usize = 8192;
/// Inner TCP payload that fills an MTU of 1450: 1450 - 20 (IPv4) - 32 (TCP with timestamps).
const SEGMENT_BYTES: usize = 1398;

/// Tenants' services, none of which tcpdump looks into: printing random payload as Redis or HTTP would slow it down
/// a hundredfold, and the comparison is about headers.
const SERVICES: [u16; 4] = [443, 5001, 8443, 9200];
/// The same for datagrams.
const UDP_SERVICE: u16 = 41_000;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ICMPV6: u8 = 58;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough to mix traffic.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which fits 32 bits.
    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }
}

/// Payload bytes and, for each even offset, the sum of the 16-bit words before it.
struct Pool {
    bytes: Vec<u8>,
    sums: Vec<u64>,
}

impl Pool {
    fn new(dice: &mut Dice) -> Self {
        let bytes: Vec<u8> = (0..POOL_BYTES / 8).flat_map(|_| dice.next().to_be_bytes()).collect();
        let mut sums = vec![0];
        let mut sum = 0;
        for word in bytes.chunks_exact(2) {
            sum += u64::from(u16::from_be_bytes([word[0], word[1]]));
            sums.push(sum);
        }
        Self { bytes, sums }
    }

    /// `length` bytes from the even offset `start`, and their sum; an odd last byte counts as padded with zero.
    fn payload(&self, start: usize, length: usize) -> (&[u8], u64) {
        let end = start + length;
        let mut sum = self.sums[end / 2] - self.sums[start / 2];
        if length % 2 == 1 {
            sum += u64::from(self.bytes[end - 1]) << 8;
        }
        (&self.bytes[start..end], sum)
    }
}

/// Who a packet goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// A conversation of two hosts of one tenant.
#[derive(Clone, Copy)]
struct Flow {
    vni: u32,
    /// Last byte of the UL3 addresses of the client's and the server's side.
    endpoints: [u8; 2],
    /// Last byte of the VL3 addresses of client and server.
    hosts: [u8; 2],
    version6: bool,
    client_port: u16,
    service: u16,
    /// RFC 7348 5: a dynamic source port from the flow's hash. Not 49152 itself: tcpdump 4.99.3 takes it for something else.
    outer_port: u16,
    /// Bytes sent by client and server.
    sent: [u32; 2],
}

impl Flow {
    fn new(dice: &mut Dice, number: u32) -> Self {
        let mut pair = |count: u32| {
            let one = dice.below(count);
            [one as u8 + 1, ((one + 1 + dice.below(count - 1)) % count) as u8 + 1]
        };
        let (endpoints, hosts) = (pair(ENDPOINTS), pair(HOSTS));
        Self {
            vni: VNI_FIRST + number % VNIS,
            endpoints,
            hosts,
            version6: dice.below(100) < 12,
            client_port: 32_768 + dice.below(28_000) as u16,
            service: SERVICES[dice.below(SERVICES.len() as u32) as usize],
            outer_port: 49_153 + dice.below(16_383) as u16,
            sent: [0, 0],
        }
    }

    /// Sender and receiver of a pair that is written client first.
    fn ordered<T: Copy>(pair: [T; 2], direction: Direction) -> (T, T) {
        match direction {
            Direction::ToServer => (pair[0], pair[1]),
            Direction::ToClient => (pair[1], pair[0]),
        }
    }
}

/// Makes one packet after the other.
pub(crate) struct Traffic {
    dice: Dice,
    pool: Pool,
    flows: Vec<Flow>,
    number: u32,
    frame: Vec<u8>,
}

impl Traffic {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let pool = Pool::new(&mut dice);
        let flows = (0..FLOWS).map(|number| Flow::new(&mut dice, number)).collect();
        Self { dice, pool, flows, number: 0, frame: Vec::with_capacity(2048) }
    }

    /// The next frame, outer Ethernet header first.
    pub(crate) fn next_frame(&mut self) -> &[u8] {
        use Direction::{ToClient, ToServer};
        let index = self.dice.below(FLOWS) as usize;
        let flow = self.flows[index];
        let (protocol, direction, transport_bytes, payload_bytes) = match self.dice.below(100) {
            // Full segments, pure acknowledgements, requests, datagrams, echoes.
            0..=37 => (PROTOCOL_TCP, ToClient, 32, if flow.version6 { SEGMENT_BYTES - 20 } else { SEGMENT_BYTES }),
            38..=64 => (PROTOCOL_TCP, ToServer, 32, 0),
            65..=81 => (PROTOCOL_TCP, ToServer, 32, 20 + self.dice.below(700) as usize),
            82..=95 => (PROTOCOL_UDP, ToServer, 8, 24 + self.dice.below(480) as usize),
            _ => (if flow.version6 { PROTOCOL_ICMPV6 } else { PROTOCOL_ICMP }, ToServer, 8, 56),
        };
        let network_bytes = if flow.version6 { 40 } else { 20 };
        self.frame.clear();
        self.outer(&flow, direction, 14 + network_bytes + transport_bytes + payload_bytes);
        self.inner(&flow, direction, protocol, transport_bytes, payload_bytes);
        if protocol == PROTOCOL_TCP {
            let sent = &mut self.flows[index].sent[if direction == ToServer { 0 } else { 1 }];
            *sent = sent.wrapping_add(payload_bytes as u32);
        }
        self.number = self.number.wrapping_add(1);
        &self.frame
    }

    /// Ethernet, IPv4, UDP, VXLAN around `inner_bytes`.
    fn outer(&mut self, flow: &Flow, direction: Direction, inner_bytes: usize) {
        let (from, to) = Flow::ordered(flow.endpoints, direction);
        self.ethernet([0x02, 0x88, 0, 0, 0, to], [0x02, 0x88, 0, 0, 0, from], 0x0800);
        let udp_bytes = 16 + inner_bytes;
        self.ipv4(PROTOCOL_UDP, udp_bytes, [10, 88, 0, from], [10, 88, 0, to]);
        self.put16(flow.outer_port);
        self.put16(4789);
        self.put16(udp_bytes as u16);
        self.put16(0);
        self.frame.extend([0x08, 0, 0, 0]);
        self.put32(flow.vni << 8);
    }

    /// Ethernet, IP, transport, payload of the tenant.
    fn inner(&mut self, flow: &Flow, direction: Direction, protocol: u8, transport_bytes: usize, payload_bytes: usize) {
        let (from, to) = Flow::ordered(flow.hosts, direction);
        let length = transport_bytes + payload_bytes;
        let ethertype = if flow.version6 { 0x86dd } else { 0x0800 };
        self.ethernet([0x02, 0x08, 0x20, 0x0a, 0, to], [0x02, 0x08, 0x20, 0x0a, 0, from], ethertype);
        let addresses = if flow.version6 {
            self.ipv6(protocol, length, from, to)
        } else {
            self.ipv4(protocol, length, [10, 0, 0, from], [10, 0, 0, to])
        };
        // RFC 792 has no pseudo header; RFC 4443 2.3, RFC 768 and RFC 9293 have.
        let pseudo = if protocol == PROTOCOL_ICMP { 0 } else { addresses + u64::from(protocol) + length as u64 };
        let at = self.frame.len();
        let checksum_at = match protocol {
            PROTOCOL_TCP => self.tcp(flow, direction, payload_bytes),
            PROTOCOL_UDP => self.udp(flow, length),
            _ => self.echo(flow, protocol),
        };
        let start = self.dice.below((POOL_BYTES / 4) as u32) as usize * 2;
        let (payload, payload_sum) = self.pool.payload(start, payload_bytes);
        let header_sum = sum_of(&self.frame[at..]);
        self.frame.extend_from_slice(payload);
        let mut checksum = checksum(pseudo + header_sum + payload_sum);
        if protocol == PROTOCOL_UDP && checksum == 0 {
            // RFC 768: zero means "none".
            checksum = 0xffff;
        }
        self.frame[at + checksum_at..at + checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    }

    fn ethernet(&mut self, to: [u8; 6], from: [u8; 6], ethertype: u16) {
        self.frame.extend(to);
        self.frame.extend(from);
        self.put16(ethertype);
    }

    /// RFC 791; gives the sum of the addresses, for the pseudo header.
    fn ipv4(&mut self, protocol: u8, payload_bytes: usize, from: [u8; 4], to: [u8; 4]) -> u64 {
        let at = self.frame.len();
        self.frame.extend([0x45, 0]);
        self.put16(20 + payload_bytes as u16);
        self.put16(self.number as u16);
        self.frame.extend([0x40, 0, 64, protocol, 0, 0]);
        self.frame.extend(from);
        self.frame.extend(to);
        let checksum = checksum(sum_of(&self.frame[at..]));
        self.frame[at + 10..at + 12].copy_from_slice(&checksum.to_be_bytes());
        sum_of(&self.frame[at + 12..at + 20])
    }

    /// RFC 8200; gives the sum of the addresses, for the pseudo header.
    fn ipv6(&mut self, protocol: u8, payload_bytes: usize, from: u8, to: u8) -> u64 {
        self.frame.extend([0x60, 0, 0, 0]);
        self.put16(payload_bytes as u16);
        self.frame.extend([protocol, 64]);
        let at = self.frame.len();
        for host in [from, to] {
            self.frame.extend([0xfd, 0, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
        }
        sum_of(&self.frame[at..])
    }

    /// RFC 9293 with the timestamp option of RFC 7323; gives the place of the checksum.
    fn tcp(&mut self, flow: &Flow, direction: Direction, payload_bytes: usize) -> usize {
        let (source, destination) = Flow::ordered([flow.client_port, flow.service], direction);
        let (own, other) = Flow::ordered(flow.sent, direction);
        self.put16(source);
        self.put16(destination);
        self.put32(own);
        self.put32(other);
        let flags = if payload_bytes == 0 { 0x10 } else { 0x18 };
        self.frame.extend([0x80, flags, 0x01, 0xf5, 0, 0, 0, 0]);
        self.frame.extend([1, 1, 8, 10]);
        self.put32(self.number);
        self.put32(self.number.wrapping_sub(1));
        16
    }

    /// RFC 768 between ports that no tool dissects further; gives the place of the checksum.
    fn udp(&mut self, flow: &Flow, length: usize) -> usize {
        self.put16(flow.client_port);
        self.put16(UDP_SERVICE);
        self.put16(length as u16);
        self.put16(0);
        6
    }

    /// Echo request (RFC 792, RFC 4443 4.1); gives the place of the checksum.
    fn echo(&mut self, flow: &Flow, protocol: u8) -> usize {
        self.frame.extend([if protocol == PROTOCOL_ICMP { 8 } else { 128 }, 0, 0, 0]);
        self.put16(flow.client_port);
        self.put16(self.number as u16);
        2
    }

    fn put16(&mut self, value: u16) {
        self.frame.extend(value.to_be_bytes());
    }

    fn put32(&mut self, value: u32) {
        self.frame.extend(value.to_be_bytes());
    }
}

/// The sum of the 16-bit words of headers, whose length is even.
fn sum_of(header: &[u8]) -> u64 {
    header.chunks_exact(2).map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

/// The Internet checksum (RFC 1071) of a sum of 16-bit words.
fn checksum(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Writes a capture of `packets` packets, one every 4 microseconds; `progress` is told the count now and then.
pub(crate) fn write_capture(out: &mut impl Write, packets: u64, mut progress: impl FnMut(u64)) -> io::Result<()> {
    // Magic for microseconds, version 2.4, zone, accuracy, snapshot length, Ethernet.
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1_u32] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut traffic = Traffic::new(0x6f76_6572_6c61_7921);
    for number in 0..packets {
        let microseconds = number * 4;
        let frame = traffic.next_frame();
        let seconds = 1_700_000_000 + (microseconds / 1_000_000) as u32;
        let length = frame.len() as u32;
        for word in [seconds, (microseconds % 1_000_000) as u32, length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(frame)?;
        if number % 250_000 == 249_999 {
            progress(number + 1);
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The plain definition: every byte looked at, the checksum field included, must give zero.
    fn verifies(pseudo: &[u8], segment: &[u8]) -> bool {
        let mut sum = 0_u32;
        for part in [pseudo, segment] {
            for word in part.chunks(2) {
                sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            }
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum == 0xffff
    }

    /// Checks one frame to its end; names what is inside.
    fn check(frame: &[u8]) -> String {
        let word = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
        assert!(verifies(&[], &frame[14..34]), "outer IPv4 header");
        assert_eq!(word(16), frame.len() - 14, "outer IPv4 length");
        assert_eq!(word(38), frame.len() - 34, "outer UDP length");
        assert_eq!((word(36), word(40), frame[42]), (4789, 0, 8));
        let network = 64;
        let (protocol, segment, mut pseudo) = if word(62) == 0x0800 {
            assert!(verifies(&[], &frame[network..network + 20]), "inner IPv4 header");
            assert_eq!(word(network + 2), frame.len() - network, "inner IPv4 length");
            (frame[network + 9], &frame[network + 20..], frame[network + 12..network + 20].to_vec())
        } else {
            assert_eq!(word(network + 4), frame.len() - network - 40, "inner IPv6 length");
            (frame[network + 6], &frame[network + 40..], frame[network + 8..network + 40].to_vec())
        };
        pseudo.extend([0, protocol]);
        pseudo.extend((segment.len() as u16).to_be_bytes());
        if protocol == PROTOCOL_ICMP {
            pseudo.clear();
        }
        assert!(verifies(&pseudo, segment), "checksum of inner protocol {protocol}, {} bytes", segment.len());
        format!("{:x}/{protocol}", frame[network] >> 4)
    }

    #[test]
    fn every_checksum_and_length_is_right_in_every_kind_of_packet() {
        let mut traffic = Traffic::new(1);
        let mut seen = BTreeMap::new();
        for _ in 0..5000 {
            *seen.entry(check(traffic.next_frame())).or_insert(0) += 1;
        }
        let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
        assert_eq!(kinds, ["4/1", "4/17", "4/6", "6/17", "6/58", "6/6"], "{seen:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let frames = |seed| {
            let mut traffic = Traffic::new(seed);
            (0..100).map(|_| traffic.next_frame().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(frames(7), frames(7));
        assert_ne!(frames(7), frames(8));
    }

    #[test]
    fn two_million_packets_are_about_one_and_a_half_gigabytes_of_two_hundred_tenants() {
        let mut traffic = Traffic::new(2);
        let mut bytes = 0;
        let mut vnis = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            let frame = traffic.next_frame();
            bytes += frame.len() + 16;
            vnis.insert([frame[46], frame[47], frame[48]]);
        }
        let scaled = bytes as u64 * 100;
        assert!((1_400_000_000..1_650_000_000).contains(&scaled), "{scaled}");
        assert_eq!(vnis.len(), VNIS as usize);
    }

    #[test]
    fn a_capture_file_holds_its_header_and_as_many_records_as_asked() {
        let mut file = Vec::new();
        write_capture(&mut file, 10, |_| ()).unwrap();
        let word = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1));
        let mut at = 24;
        for _ in 0..10 {
            assert_eq!(word(at + 8), word(at + 12));
            at += 16 + word(at + 8);
        }
        assert_eq!(at, file.len());
    }
}
