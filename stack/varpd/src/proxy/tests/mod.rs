//! Questions of real stacks and what is made of them, with etherparse on the other side: it builds what is asked and reads what is
//! answered.

mod answered;
mod refused;
pub(crate) mod sample;

use super::*;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use sample::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The tags of a customer in a provider's, with priorities.
const TWO_TAGS: &[(u16, u16)] = &[(0x88a8, 0xa064), (0x8100, 0x2fff)];

fn arp_of(frame: &[u8]) -> ArpRequest {
    match asked(frame) {
        Ok(Some(Asked::Arp(request))) => request,
        other => panic!("{other:?}: not taken for an ARP request: {frame:02x?}"),
    }
}

fn ndp_of(frame: &[u8]) -> Solicitation {
    match asked(frame) {
        Ok(Some(Asked::Ndp(solicitation))) => solicitation,
        other => panic!("{other:?}: not taken for a solicitation: {frame:02x?}"),
    }
}

fn dhcp_of(frame: &[u8]) -> DhcpRequest {
    match asked(frame) {
        Ok(Some(Asked::Dhcp(request))) => request,
        other => panic!("{other:?}: not taken for a DHCP request: {frame:02x?}"),
    }
}

/// Destination, source and VLAN tags of a frame, and the packet in it: with lengths that agree, or this fails.
fn read(frame: &[u8]) -> (Mac, Mac, Vec<u8>, SlicedPacket<'_>) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let tags = packet.vlan_ids().len() * 4;
    let mac = |at: usize| Mac(*frame[at..].first_chunk().unwrap());
    (mac(0), mac(6), frame[12..12 + tags].to_vec(), packet)
}

/// Sender and target of an ARP message, and whether it is a reply.
fn read_arp(packet: &SlicedPacket<'_>) -> ((Mac, Ipv4Addr), (Mac, Ipv4Addr), bool) {
    let Some(NetSlice::Arp(message)) = &packet.net else { panic!("{packet:?}: not ARP") };
    let message = message.to_packet();
    let reply = match message.operation {
        etherparse::ArpOperation::REQUEST => false,
        etherparse::ArpOperation::REPLY => true,
        other => panic!("{other:?}: neither request nor reply"),
    };
    let message = message.try_eth_ipv4().unwrap();
    let sender = (Mac(message.sender_mac), message.sender_ipv4.into());
    (sender, (Mac(message.target_mac), message.target_ipv4.into()), reply)
}

/// A Neighbor Advertisement with a sound checksum: from, to, hop limit, flags (router, solicited, override), target, MAC.
#[derive(PartialEq, Eq, Debug)]
struct Advertised {
    from: Ipv6Addr,
    to: Ipv6Addr,
    hops: u8,
    flags: (bool, bool, bool),
    target: Ipv6Addr,
    mac: Mac,
}

fn read_advertisement(packet: &SlicedPacket<'_>) -> Advertised {
    let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(message))) = (&packet.net, &packet.transport) else {
        panic!("{packet:?}: not ICMPv6");
    };
    let ip = ip.header();
    assert!(message.is_checksum_valid(ip.source(), ip.destination()));
    let etherparse::Icmpv6Type::NeighborAdvertisement(header) = message.icmp_type() else { panic!("{:?}", message.icmp_type()) };
    let (target, option) = message.payload().split_first_chunk::<16>().unwrap();
    let [2, 1, mac @ ..] = <[u8; 8]>::try_from(option).unwrap() else { panic!("{option:02x?}: not a target link-layer address") };
    Advertised {
        from: ip.source_addr(),
        to: ip.destination_addr(),
        hops: ip.hop_limit(),
        flags: (header.router, header.solicited, header.r#override),
        target: (*target).into(),
        mac: Mac(mac),
    }
}
