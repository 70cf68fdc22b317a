//! Whose inner address does a frame tell? A station says its own address whenever it asks for another's, and when it gets a new one.
//!
//! ARP (RFC 826): the sender of any message that is no probe, announcements (RFC 5227 2.3) among it. Neighbor Discovery (RFC 4861 4.3): the
//! source of a solicitation; the target of one that detects duplicates (RFC 4862 5.4.2), which every host sends for each new address.
//! A station speaks for itself only: the MAC in the message has to be that of the frame.

use super::arp::is_host;
use super::link::{Link, ipv6};
use super::ndp;
use overlay_decoder::Mac;
use overlay_decoder::layer::Arp;
use overlay_decoder::layer::number::{ethertype, ip};
use std::net::IpAddr;

/// Whether an inner address can be that of one station on a link: no group, no loopback.
#[must_use]
pub fn is_of_a_station(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_host(ip),
        IpAddr::V6(ip) => ndp::is_host(ip),
    }
}

/// The station that sent the frame and the inner address (VL3) that it says is its own; none if it says none, or what cannot be.
#[must_use]
pub fn claimed(frame: &[u8]) -> Option<(Mac, IpAddr)> {
    let (link, packet) = Link::parse(frame)?;
    let station = link.sender().ok()?;
    match link.ethertype {
        ethertype::ARP => {
            let fixed = packet.first_chunk::<{ Arp::FIXED }>()?;
            if !Arp::is_ethernet_ipv4(fixed) {
                return None;
            }
            let message = Arp::parse(packet.first_chunk()?);
            (message.sender_mac == station && is_host(message.sender_ip)).then(|| (station, message.sender_ip.into()))
        }
        ethertype::IPV6 if link.dst.is_group() => {
            let (header, rest) = ipv6(packet).filter(|(header, _)| header.next_header == ip::ICMPV6)?;
            let asked = ndp::solicitation(&link, &header, rest).ok()??;
            let (mac, source) = asked.sender();
            let address = if asked.is_duplicate_detection() { asked.target() } else { source };
            (mac == station).then(|| (station, address.into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{gratuitous_arp, unsolicited_advertisement};
    use super::*;
    use std::net::Ipv4Addr;

    const US: Mac = Mac([2, 8, 0x20, 10, 0, 1]);

    /// An ARP message of `mac` in a frame of ours.
    fn arp(mac: Mac, sender: [u8; 4], operation: u8) -> Vec<u8> {
        let mut frame = gratuitous_arp(Ipv4Addr::from(sender), mac, Mac::BROADCAST, None);
        frame[6..12].copy_from_slice(&US.0);
        frame[21] = operation;
        frame[38..42].copy_from_slice(&[192, 168, 0, 2]);
        frame
    }

    /// A solicitation of ours for `target`, from `source`, with the checksum that it needs.
    fn solicitation(source: &str, target: &str) -> Vec<u8> {
        let (source, target): (std::net::Ipv6Addr, std::net::Ipv6Addr) = (source.parse().unwrap(), target.parse().unwrap());
        let [.., a, b, c] = target.octets();
        let group = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
        let option: &[u8] = if source.is_unspecified() { &[] } else { &[1, 1, 2, 8, 0x20, 10, 0, 1] };
        let mut message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), option].concat();
        let mut sum = source
            .octets()
            .chunks(2)
            .chain(group.octets().chunks(2))
            .chain(message.chunks(2))
            .fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        sum += message.len() as u32 + 58;
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let length = (message.len() as u16).to_be_bytes();
        [
            &[0x33, 0x33, 0xff, a, b, c][..],
            &US.0,
            &[0x86, 0xdd, 0x60, 0, 0, 0],
            &length,
            &[58, 255],
            &source.octets(),
            &group.octets(),
            &message,
        ]
        .concat()
    }

    #[test]
    fn a_station_tells_its_address_in_every_arp_message_but_a_probe() {
        let ours = Some((US, "192.168.0.1".parse().unwrap()));
        assert_eq!(claimed(&arp(US, [192, 168, 0, 1], 1)), ours);
        assert_eq!(claimed(&arp(US, [192, 168, 0, 1], 2)), ours);
        assert_eq!(claimed(&gratuitous_arp(Ipv4Addr::new(192, 168, 0, 1), US, Mac::BROADCAST, Some(5))), ours);
        for none in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255], [127, 0, 0, 1]] {
            assert_eq!(claimed(&arp(US, none, 1)), None, "{none:?}");
        }
    }

    #[test]
    fn a_station_speaks_for_nobody_else() {
        assert_eq!(claimed(&arp(Mac([2, 8, 0x20, 10, 0, 9]), [192, 168, 0, 1], 1)), None);
        // An advertisement in somebody's name is what a proxy sends.
        assert_eq!(claimed(&unsolicited_advertisement("fd07::1".parse().unwrap(), US, None)), None);
    }

    #[test]
    fn a_host_tells_its_ipv6_address_when_it_gets_it_and_when_it_asks() {
        let ours = Some((US, "fd07::1".parse().unwrap()));
        assert_eq!(claimed(&solicitation("::", "fd07::1")), ours);
        assert_eq!(claimed(&solicitation("fd07::1", "fd07::2")), ours);
        let mut broken = solicitation("::", "fd07::1");
        broken[60] ^= 1;
        assert_eq!(claimed(&broken), None);
    }

    #[test]
    fn no_prefix_of_a_frame_is_too_short_to_be_looked_at() {
        for whole in [arp(US, [192, 168, 0, 1], 1), solicitation("fd07::1", "fd07::2")] {
            (0..whole.len()).for_each(|length| assert_eq!(claimed(&whole[..length]), None, "{length}"));
        }
    }
}
