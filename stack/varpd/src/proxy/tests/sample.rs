//! Questions as real stacks ask them, built by etherparse; the tests damage them from there. The fuzz target uses them, too.

use etherparse::checksum::Sum16BitWords;
use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};
use overlay_decoder::Mac;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Who asks.
pub(crate) const ASKER: Mac = Mac([2, 8, 0x20, 10, 0, 1]);
/// Who has the address that is asked for.
pub(crate) const OWNER: Mac = Mac([2, 8, 0x20, 10, 0, 2]);
pub(crate) const ASKER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const OWNER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const ASKER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const OWNER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 8, 0x20ff, 0xfe0a, 0x1234);
pub(crate) const ALL_SERVERS: Mac = Mac([0x33, 0x33, 0, 1, 0, 2]);
pub(crate) const ALL_SERVERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Where the IP header of an untagged frame begins; where an ICMPv6 or UDP header over IPv6 does; where a UDP header over IPv4 does.
pub(crate) const IP: usize = 14;
pub(crate) const OVER_V6: usize = 54;
pub(crate) const OVER_V4: usize = 34;

/// An ARP message to everybody.
pub(crate) fn arp(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let ((mac, ip), (target_mac, target_ip)) = (sender, target);
    let (ip, target_ip) = (ip.octets(), target_ip.octets());
    let message = ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, operation, &mac.0, &ip, &target_mac.0, &target_ip).unwrap();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(mac.0, Mac::BROADCAST.0).arp(message).write(&mut frame).unwrap();
    frame
}

/// Who has `target`?
pub(crate) fn arp_request(sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperation::REQUEST, sender, (Mac::default(), target))
}

/// What a solicitation is made of.
#[derive(Clone)]
pub(crate) struct Solicits {
    pub(crate) from: Mac,
    pub(crate) to: Mac,
    pub(crate) source: Ipv6Addr,
    pub(crate) group: Ipv6Addr,
    pub(crate) hops: u8,
    pub(crate) code: u8,
    pub(crate) target: Ipv6Addr,
    pub(crate) options: Vec<u8>,
}

impl Solicits {
    /// Who has `target`? As it should be; duplicate address detection if `source` is unspecified.
    pub(crate) fn new(from: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Self {
        let [.., x, y, z] = target.octets();
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(x), u16::from_be_bytes([y, z]));
        let options = if source.is_unspecified() { Vec::new() } else { [&[1, 1][..], &from.0].concat() };
        Self { from, to: Mac([0x33, 0x33, 0xff, x, y, z]), source, group, hops: 255, code: 0, target, options }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.from.0, self.to.0)
            .ipv6(self.source.octets(), self.group.octets(), self.hops)
            .icmpv6_raw(135, self.code, [0; 4])
            .write(&mut frame, &[&self.target.octets()[..], &self.options].concat())
            .unwrap();
        frame
    }
}

/// A frame with a UDP datagram from a DHCPv4 client: 68 to 67.
pub(crate) fn dhcp4(from: Mac, message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let packet = PacketBuilder::ethernet2(from.0, Mac::BROADCAST.0).ipv4([0; 4], [255; 4], 64).udp(68, 67);
    packet.write(&mut frame, message).unwrap();
    frame
}

/// A discover message (RFC 2131): 300 bytes, as BOOTP wants them.
pub(crate) fn discover(client: Mac) -> Vec<u8> {
    let mut message = vec![0; 300];
    message[..8].copy_from_slice(&[1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
    message[28..34].copy_from_slice(&client.0);
    message[236..244].copy_from_slice(&[99, 130, 83, 99, 53, 1, 1, 255]);
    message
}

/// A frame with a UDP datagram from a DHCPv6 client: 546 to 547.
pub(crate) fn dhcp6(from: Mac, message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let source: Ipv6Addr = "fe80::a08:20ff:fe0a:1".parse().unwrap();
    let packet = PacketBuilder::ethernet2(from.0, ALL_SERVERS.0).ipv6(source.octets(), ALL_SERVERS_V6.octets(), 1).udp(546, 547);
    packet.write(&mut frame, message).unwrap();
    frame
}

/// A solicit message (RFC 8415) with a client identifier.
pub(crate) fn solicit(client: Mac) -> Vec<u8> {
    [&[1, 0xab, 0xcd, 0xef, 0, 1, 0, 10, 0, 3, 0, 1][..], &client.0].concat()
}

/// One question of each kind.
pub(crate) fn questions() -> Vec<Vec<u8>> {
    vec![
        arp_request((ASKER, ASKER_V4), OWNER_V4),
        arp_request((ASKER, Ipv4Addr::UNSPECIFIED), OWNER_V4),
        Solicits::new(ASKER, ASKER_V6, OWNER_V6).frame(),
        Solicits::new(ASKER, Ipv6Addr::UNSPECIFIED, OWNER_V6).frame(),
        dhcp4(ASKER, &discover(ASKER)),
        dhcp6(ASKER, &solicit(ASKER)),
    ]
}

/// The same frame with VLAN tags, outermost first: type and priority with id.
pub(crate) fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(kind, tag)| [kind.to_be_bytes(), tag.to_be_bytes()].concat()).collect::<Vec<_>>();
    [&frame[..12], &tags, &frame[12..]].concat()
}

/// Puts bytes in place of others.
pub(crate) fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// Makes the checksums of an untagged frame right again, as far as there are some and the frame has what they cover.
pub(crate) fn repaired(mut frame: Vec<u8>) -> Vec<u8> {
    let half = |frame: &[u8], at: usize| frame.get(at..at + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    match frame.get(12..IP) {
        Some([8, 0]) if frame.len() >= OVER_V4 => {
            let header = usize::from(frame[IP] & 15) * 4;
            repair(&mut frame, IP, 10, header, Sum16BitWords::new());
            let (udp, length) = (IP + header, half(&frame, IP + header + 4));
            let pseudo = Sum16BitWords::new().add_slice(&frame[IP + 12..OVER_V4]).add_2bytes([0, 17]).add_2bytes(length.to_be_bytes());
            repair(&mut frame, udp, 6, length.into(), pseudo);
        }
        Some([0x86, 0xdd]) if frame.len() >= OVER_V6 => {
            let (protocol, carried) = (frame[IP + 6], half(&frame, IP + 4));
            let (field, length) = if protocol == 17 { (6, half(&frame, OVER_V6 + 4)) } else { (2, carried) };
            let addresses = Sum16BitWords::new().add_slice(&frame[IP + 8..OVER_V6]);
            repair(&mut frame, OVER_V6, field, length.into(), addresses.add_2bytes([0, protocol]).add_2bytes(length.to_be_bytes()));
        }
        _ => {}
    }
    frame
}

/// Computes the checksum over `length` bytes from `at` on into its field there.
fn repair(frame: &mut [u8], at: usize, field: usize, length: usize, before: Sum16BitWords) {
    if let Some(bytes) = frame.get_mut(at..at + length).filter(|bytes| bytes.len() >= field + 2) {
        bytes[field..field + 2].fill(0);
        let checksum = before.add_slice(bytes).ones_complement().to_be();
        bytes[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}
