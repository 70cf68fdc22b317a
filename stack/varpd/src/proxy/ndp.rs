//! Who has this IPv6 address? Neighbor Solicitations (RFC 4861 4.3), answered by Neighbor Advertisements (RFC 4861 4.4, 7.2.4).
//!
//! A solicitation counts if RFC 4861 7.1.1 lets a host take it for valid, checksum included, and if the owner of the target would have
//! got it: it was sent to a group that the owner is in, as Ethernet (RFC 2464 7) and as IPv6 packet.
//!
//! **Duplicate address detection** (RFC 4862 5.4: the source is unspecified) is answered as its owner would: two stations with one address
//! are what it is for, and the owner does not get to hear of it.

use super::Unproxied;
use super::link::{Link, Tags, begin, is_station, payload};
use overlay_decoder::Mac;
use overlay_decoder::checksum::Sum;
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{Icmpv6, Ipv6};
use std::net::Ipv6Addr;

/// All nodes of a link (RFC 4291 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Hops of what has not passed a router (RFC 4861 7.1.1).
const HOPS: u8 = 255;
/// Options of a sender's and of a target's MAC (RFC 4861 4.6.1).
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
/// Bytes of such an option on Ethernet (RFC 2464 6).
const LINK_ADDRESS: usize = 8;
/// Bytes of a solicitation or advertisement in front of its options: the ICMPv6 header and the target.
const FIXED: usize = Icmpv6::LENGTH + 16;
/// Flags of an advertisement (RFC 4861 4.4): this is the answer to a solicitation; what is known already is to be replaced.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A valid Neighbor Solicitation to a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Solicitation {
    tags: Tags,
    mac: Mac,
    source: Ipv6Addr,
    target: Ipv6Addr,
}

impl Solicitation {
    /// The address that is asked for: never unspecified, multicast, loopback or IPv4-mapped.
    #[must_use]
    pub const fn target(&self) -> Ipv6Addr {
        self.target
    }

    /// Who asks: its MAC, and its address, which is unspecified in duplicate address detection. The MAC is that of the source link-layer
    /// address option; in duplicate address detection, where there is none, that of the frame.
    #[must_use]
    pub const fn sender(&self) -> (Mac, Ipv6Addr) {
        (self.mac, self.source)
    }

    /// Whether this is duplicate address detection (RFC 4862 5.4.2): may I have this address?
    #[must_use]
    pub const fn is_duplicate_detection(&self) -> bool {
        self.source.is_unspecified()
    }

    /// The frame that says that `mac` has the address (RFC 4861 7.2.4): solicited, to the station that asks; to duplicate address
    /// detection unsolicited and to all nodes, since who asks has no address yet. It overrides what was known, because it tells the
    /// owner's own MAC. It never says that the owner is a router, of which nothing is known here: a host that has learned a default router
    /// from the router itself forgets it on such an answer (RFC 4861 7.2.5), until the router's next advertisement.
    ///
    /// To duplicate address detection of `mac` itself this must not be said: it would give its own address up (RFC 4862 5.4.4).
    #[must_use]
    pub fn reply(&self, mac: Mac) -> Vec<u8> {
        if self.is_duplicate_detection() {
            advertisement(self.target, mac, group_mac(ALL_NODES), ALL_NODES, OVERRIDE, &self.tags)
        } else {
            advertisement(self.target, mac, self.mac, self.source, SOLICITED | OVERRIDE, &self.tags)
        }
    }
}

/// An unsolicited advertisement (RFC 4861 7.2.6): `ip` is at `mac` from now on, to all nodes. Of the VLAN id, the lower 12 bits count.
#[must_use]
pub fn unsolicited_advertisement(ip: Ipv6Addr, mac: Mac, vlan: Option<u16>) -> Vec<u8> {
    advertisement(ip, mac, group_mac(ALL_NODES), ALL_NODES, OVERRIDE, &Tags::of(vlan))
}

fn advertisement(target: Ipv6Addr, mac: Mac, to_mac: Mac, to: Ipv6Addr, flags: u8, tags: &Tags) -> Vec<u8> {
    const LENGTH: usize = FIXED + LINK_ADDRESS;
    let mut message = [0; LENGTH];
    let header = Icmpv6 { kind: Icmpv6::NEIGHBOR_ADVERTISEMENT, code: 0, checksum: 0, rest: [flags, 0, 0, 0] };
    message[..Icmpv6::LENGTH].copy_from_slice(&header.emit());
    message[Icmpv6::LENGTH..FIXED].copy_from_slice(&target.octets());
    // Lengths of options count units of eight bytes.
    message[FIXED..FIXED + 2].copy_from_slice(&[TARGET_LINK_ADDRESS, 1]);
    message[FIXED + 2..].copy_from_slice(&mac.0);
    let checksum = sum(target, to, &message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let header = Ipv6 {
        traffic_class: 0,
        flow_label: 0,
        payload_length: LENGTH as u16,
        next_header: ip::ICMPV6,
        hop_limit: HOPS,
        src: target,
        dst: to,
        upper_protocol: ip::ICMPV6,
    };
    let mut frame = begin(to_mac, mac, tags, ethertype::IPV6, Ipv6::LENGTH + LENGTH);
    frame.extend_from_slice(&header.emit());
    frame.extend_from_slice(&message);
    frame
}

/// Reads an ICMPv6 message behind its IPv6 header; only solicitations are a proxy's.
pub(super) fn solicitation(link: &Link, header: &Ipv6, rest: &[u8]) -> Result<Option<Solicitation>, Unproxied> {
    // An empty packet is none, whatever its padding looks like.
    if header.payload_length == 0 || rest.first() != Some(&Icmpv6::NEIGHBOR_SOLICITATION) {
        return Ok(None);
    }
    let message = payload(header, rest)?;
    let (fixed, options) = message.split_first_chunk::<FIXED>().ok_or(Unproxied::Length)?;
    if header.hop_limit != HOPS {
        return Err(Unproxied::Routed);
    }
    if sum(header.src, header.dst, message).folded() != 0xffff {
        return Err(Unproxied::Checksum);
    }
    if fixed[1] != 0 {
        return Err(Unproxied::Code);
    }
    let mut target = [0; 16];
    target.copy_from_slice(&fixed[Icmpv6::LENGTH..]);
    let target = Ipv6Addr::from(target);
    if !is_host(target) {
        return Err(Unproxied::Target);
    }
    let sender = link.sender()?;
    let own_group = solicited_node(target);
    let detection = header.src.is_unspecified();
    let heard = header.dst == own_group || header.dst == ALL_NODES && !detection;
    if !heard || link.dst != group_mac(header.dst) {
        return Err(Unproxied::Destination);
    }
    let mac = match (source_link_address(options)?, detection) {
        (Some(mac), false) if is_station(mac) && is_host(header.src) => mac,
        (Some(_), false) => return Err(Unproxied::Sender),
        (None, true) => sender,
        // RFC 4861 4.3: there in a solicitation to a group, and not there when the source is unspecified.
        (None, false) | (Some(_), true) => return Err(Unproxied::Option),
    };
    Ok(Some(Solicitation { tags: link.tags, mac, source: header.src, target }))
}

/// The first source link-layer address among the options, all of which must be sound (RFC 4861 7.1.1).
fn source_link_address(mut options: &[u8]) -> Result<Option<Mac>, Unproxied> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 {
            return Err(Unproxied::Option);
        }
        let (option, rest) = options.split_at_checked(length).ok_or(Unproxied::Option)?;
        if kind == SOURCE_LINK_ADDRESS {
            let [_, _, mac @ ..] = *<&[u8; LINK_ADDRESS]>::try_from(option).map_err(|_| Unproxied::Option)?;
            found.get_or_insert(Mac(mac));
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(Unproxied::Option) }
}

/// The sum over an ICMPv6 message and its pseudo-header (RFC 4443 2.3).
fn sum(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> Sum {
    let mut sum = Sum::new();
    // A message has the 16 bits of a payload length at most.
    sum.add_pseudo_v6(src, dst, ip::ICMPV6, message.len() as u32);
    sum.add(message);
    sum
}

/// Whether an address can be that of one station on a link (RFC 4291 2.4, 2.5).
pub(super) fn is_host(ip: Ipv6Addr) -> bool {
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || ip.to_ipv4_mapped().is_some())
}

/// The group that whoever has this address is in (RFC 4291 2.7.1).
fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = ip.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

/// The Ethernet address of a group (RFC 2464 7).
pub(super) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}
