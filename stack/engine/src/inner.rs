//! What does an inner frame say that the data path needs? One parse per frame, for the flow hash, the outer header and packet-too-big.
//!
//! Far less than the decoder's walk, and for another reader: what cannot be read here is not reported but carried as it is
//! ([`Network::Other`]). An overlay carries any Ethernet frame; only its own decisions need an IP header, and without one they have
//! defaults.

#[cfg(test)]
pub(crate) mod samples;

use overlay_decoder::Mac;
use overlay_decoder::checksum::Sum;
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{Ethernet, Ipv4, Ipv6, Ipv6Ext, Vlan};

/// VLAN tags that are looked behind: a customer's and a provider's (802.1ad).
const TAGS_MAX: usize = 2;

/// IPv6 extension headers that are looked behind. Real packets have one or two.
const EXTENSIONS_MAX: usize = 6;

/// What was found in an inner Ethernet frame. It holds for the frame that it was parsed from and no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inner {
    /// Inner source (VL2).
    pub source: Mac,
    /// Inner destination (VL2).
    pub destination: Mac,
    /// VLAN id of the outermost tag; 0 for a tag with a priority alone.
    pub vlan: Option<u16>,
    /// EtherType behind the VLAN tags; for IEEE 802.3 frames the length field. A third tag is not looked behind, nor one that the
    /// frame cuts off.
    pub ethertype: u16,
    /// Offset of what the EtherType announces, in bytes.
    pub l3: usize,
    /// The network header at that offset.
    pub network: Network,
}

/// A network header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// IPv4, options included.
    Ipv4 {
        /// DSCP (upper six bits) and ECN (lower two).
        tos: u8,
        /// Bytes of the packet as its header says; those of a super-frame are not always true (0 in BIG TCP).
        total_len: u16,
        /// Routers must not fragment it.
        dont_fragment: bool,
        /// Whether it is a part of a packet.
        fragment: Fragment,
        /// Protocol of what the packet carries.
        protocol: u8,
        /// Offset in the frame of what the packet carries, in bytes.
        l4: usize,
    },
    /// IPv6.
    Ipv6 {
        /// DSCP (upper six bits) and ECN (lower two).
        traffic_class: u8,
        /// Bytes behind the IPv6 header as it says; 0 in BIG TCP and jumbograms.
        payload_len: u16,
        /// Whether it is a part of a packet.
        fragment: Fragment,
        /// Protocol behind the extension headers, as far as they could be read.
        protocol: u8,
        /// Offset in the frame of that protocol's header, in bytes.
        l4: usize,
    },
    /// Anything else, and IP whose header is cut off or contradicts itself.
    Other,
}

/// Whether an IP packet is a part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// It is whole.
    Whole,
    /// The part with the transport's header.
    First,
    /// A part behind the first.
    Later,
}

impl Fragment {
    const fn of(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            _ => Self::Later,
        }
    }
}

impl Inner {
    /// Parses a frame; `None` if it is shorter than an Ethernet header.
    #[must_use]
    #[inline]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let ethernet = Ethernet::parse(frame.first_chunk()?);
        let (mut ethertype, mut l3, mut vlan) = (ethernet.ethertype, Ethernet::LENGTH, None);
        for _ in 0..TAGS_MAX {
            if !matches!(ethertype, ethertype::VLAN | ethertype::PROVIDER_VLAN | ethertype::OLD_QINQ) {
                break;
            }
            let Some(tag) = frame.get(l3..).and_then(<[u8]>::first_chunk).map(Vlan::parse) else { break };
            vlan.get_or_insert(tag.id);
            ethertype = tag.ethertype;
            l3 += Vlan::LENGTH;
        }
        let network = match ethertype {
            ethertype::IPV4 => parse_ipv4(frame, l3),
            ethertype::IPV6 => parse_ipv6(frame, l3),
            _ => None,
        };
        Some(Self { source: ethernet.src, destination: ethernet.dst, vlan, ethertype, l3, network: network.unwrap_or(Network::Other) })
    }

    /// Whether it has a VLAN tag, also one that is cut off.
    #[must_use]
    pub const fn is_tagged(&self) -> bool {
        self.l3 > Ethernet::LENGTH || matches!(self.ethertype, ethertype::VLAN | ethertype::PROVIDER_VLAN | ethertype::OLD_QINQ)
    }

    /// Whether the checksum of a TCP segment or UDP datagram is only begun: its field holds the sum of the pseudo-header, and the rest was
    /// left to hardware. `frame` is the one that was parsed. Of correct checksums one in 65,536 looks the same, so those are computed.
    #[must_use]
    pub fn is_partial(&self, frame: &[u8]) -> bool {
        let (protocol, l4, stated, whole) = match self.network {
            Network::Ipv4 { protocol, l4, total_len, fragment, .. } => (protocol, l4, usize::from(total_len), fragment == Fragment::Whole),
            Network::Ipv6 { protocol, l4, payload_len: 0, fragment, .. } => (protocol, l4, 0, fragment == Fragment::Whole),
            Network::Ipv6 { protocol, l4, payload_len, fragment, .. } => {
                (protocol, l4, usize::from(payload_len) + Ipv6::LENGTH, fragment == Fragment::Whole)
            }
            Network::Other => return false,
        };
        let place = match protocol {
            ip::TCP => 16,
            ip::UDP => 6,
            _ => return false,
        };
        // BIG TCP has no length.
        let end = if stated == 0 { frame.len() } else { self.l3 + stated };
        let (Some(segment), true) = (frame.get(l4..end), whole) else { return false };
        let Some(field) = segment.get(place..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_be_bytes(*bytes)) else { return false };
        let mut sum = Sum::new();
        let length = u32::try_from(segment.len()).unwrap_or(u32::MAX);
        match (self.network, frame.get(self.l3..)) {
            (Network::Ipv4 { .. }, Some(packet)) => {
                let Some(header) = packet.first_chunk().map(Ipv4::parse) else { return false };
                sum.add_pseudo_v4(header.src, header.dst, protocol, length);
            }
            (Network::Ipv6 { .. }, Some(packet)) => {
                let Some(header) = packet.first_chunk().map(Ipv6::parse) else { return false };
                sum.add_pseudo_v6(header.src, header.dst, protocol, length);
            }
            _ => return false,
        }
        // The field holds the sum itself and not its complement.
        let begun = sum.folded();
        sum.add(segment);
        field == begun && sum.checksum() != 0
    }

    /// DSCP and ECN of the IP header; none where there is no IP.
    #[must_use]
    pub const fn tos(&self) -> Option<u8> {
        match self.network {
            Network::Ipv4 { tos, .. } => Some(tos),
            Network::Ipv6 { traffic_class, .. } => Some(traffic_class),
            Network::Other => None,
        }
    }

    /// A number that is the same for all frames of a flow and spread evenly over the flows: addresses, protocol and ports; addresses
    /// and protocol of what has no ports; MACs and EtherType of what is not IP.
    ///
    /// All fragments of a packet hash alike, the first one included: it takes the way of those that have no ports. `seed` makes
    /// the result unpredictable to tenants, who could otherwise aim many flows at one path; equal seeds give equal results in
    /// every release, so that a replay can be compared.
    #[must_use]
    #[inline]
    pub fn flow_hash(&self, frame: &[u8], seed: u64) -> u32 {
        let ip = |at: usize| frame.get(self.l3 + at..);
        match self.network {
            Network::Ipv4 { fragment, protocol, l4, .. } => {
                let addresses = ip(12).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes));
                finish(mix(addresses ^ seed ^ KEYS[0], ports(frame, protocol, l4, fragment) ^ KEYS[1]), seed)
            }
            Network::Ipv6 { fragment, protocol, l4, .. } => {
                let addresses: [u8; 32] = ip(8).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
                let (words, _) = addresses.as_chunks::<8>();
                let [a, b, c, d] = [0, 1, 2, 3].map(|at| words.get(at).map_or(0, |word| u64::from_be_bytes(*word)));
                let half = mix(a ^ seed ^ KEYS[0], b ^ KEYS[1]) ^ mix(c ^ seed ^ KEYS[2], d ^ KEYS[3]);
                finish(mix(half, ports(frame, protocol, l4, fragment) ^ KEYS[1]), seed)
            }
            Network::Other => {
                let word = |mac: Mac, low: u16| {
                    let [a, b, c, d, e, f] = mac.0;
                    u64::from_be_bytes([a, b, c, d, e, f, 0, 0]) | u64::from(low)
                };
                finish(mix(word(self.source, self.ethertype) ^ seed ^ KEYS[2], word(self.destination, 0) ^ KEYS[3]), seed)
            }
        }
    }
}

#[inline]
fn parse_ipv4(frame: &[u8], l3: usize) -> Option<Network> {
    let bytes = frame.get(l3..)?;
    let fixed = bytes.first_chunk()?;
    let header = Ipv4::parse(fixed);
    let length = usize::from(header.header_length);
    let sound = fixed[0] >> 4 == 4 && length >= Ipv4::LENGTH && bytes.len() >= length;
    sound.then_some(Network::Ipv4 {
        tos: header.tos,
        total_len: header.total_length,
        dont_fragment: header.dont_fragment,
        fragment: Fragment::of(header.fragment_offset, header.more_fragments),
        protocol: header.protocol,
        l4: l3 + length,
    })
}

#[inline]
fn parse_ipv6(frame: &[u8], l3: usize) -> Option<Network> {
    let fixed = frame.get(l3..)?.first_chunk()?;
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let header = Ipv6::parse(fixed);
    let (mut protocol, mut l4, mut fragment) = (header.next_header, l3 + Ipv6::LENGTH, Fragment::Whole);
    for _ in 0..EXTENSIONS_MAX {
        if !matches!(protocol, ip::HOP_BY_HOP | ip::ROUTING | ip::FRAGMENT | ip::DESTINATION) {
            break;
        }
        let Some(bytes) = frame.get(l4..).and_then(<[u8]>::first_chunk) else { break };
        let extension = Ipv6Ext::parse(protocol, bytes);
        (protocol, l4) = (extension.next_header, l4 + extension.length());
        if let Some(part) = extension.fragment {
            fragment = Fragment::of(part.offset, part.more);
            if fragment != Fragment::Whole {
                // Behind it the fragments of one packet differ: only the first has the headers that follow.
                break;
            }
        }
    }
    Some(Network::Ipv6 { traffic_class: header.traffic_class, payload_len: header.payload_length, fragment, protocol, l4 })
}

/// Protocol and, where there are any, ports in one word.
#[inline]
fn ports(frame: &[u8], protocol: u8, l4: usize, fragment: Fragment) -> u64 {
    let has_ports = fragment == Fragment::Whole && matches!(protocol, ip::TCP | ip::UDP | ip::SCTP | ip::DCCP | ip::UDPLITE);
    let ports = if has_ports { frame.get(l4..).and_then(<[u8]>::first_chunk) } else { None };
    u64::from(protocol) << 32 | ports.map_or(0, |ports| u64::from(u32::from_be_bytes(*ports)))
}

/// Odd numbers without a pattern: digits of pi behind the point (as in Blowfish's tables), the last bit set.
const KEYS: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// Every bit of both words into every bit of one: the two halves of the product.
#[inline]
const fn mix(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[inline]
const fn finish(hash: u64, seed: u64) -> u32 {
    let hash = mix(hash ^ KEYS[2], seed.rotate_left(32) ^ KEYS[3]);
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::samples::*;
    use super::*;
    use proptest::prelude::*;

    fn hash(frame: &[u8]) -> u32 {
        parse(frame).flow_hash(frame, 7)
    }

    fn tcp4(source: u16) -> Vec<u8> {
        ethernet(ethertype::IPV4, &ipv4(ip::TCP, &from_ports(source, 443), |_| {}))
    }

    fn tcp6(source: u16) -> Vec<u8> {
        ethernet(ethertype::IPV6, &ipv6(ip::TCP, &from_ports(source, 443), |_| {}))
    }

    #[test]
    fn a_frame_says_where_it_goes_and_what_it_carries() {
        let inner = parse(&ethernet(ethertype::IPV4, &ipv4(ip::UDP, &[0; 8], |ip| ip.tos = 0xb9)));
        let network = Network::Ipv4 { tos: 0xb9, total_len: 28, dont_fragment: true, fragment: Fragment::Whole, protocol: 17, l4: 34 };
        let expected = Inner { source: SOURCE, destination: DESTINATION, vlan: None, ethertype: ethertype::IPV4, l3: 14, network };
        assert_eq!((inner, inner.tos()), (expected, Some(0xb9)));

        let inner = parse(&ethernet(ethertype::IPV6, &ipv6(ip::UDP, &[0; 8], |ip| ip.traffic_class = 0x2e)));
        let network = Network::Ipv6 { traffic_class: 0x2e, payload_len: 8, fragment: Fragment::Whole, protocol: 17, l4: 54 };
        assert_eq!((inner.network, inner.tos()), (network, Some(0x2e)));
        assert_eq!(parse(&ethernet(ethertype::ARP, &[0; 28])).tos(), None);
    }

    #[test]
    fn two_tags_are_looked_behind_and_a_third_is_not() {
        let packet = ipv4(ip::UDP, &[0; 8], |_| {});
        let of = |ids: &[u16]| {
            let inner = parse(&tagged(ids, ethertype::IPV4, &packet));
            (inner.vlan, inner.ethertype, inner.l3, inner.tos().is_some())
        };
        assert_eq!(of(&[]), (None, ethertype::IPV4, 14, true));
        assert_eq!(of(&[100]), (Some(100), ethertype::IPV4, 18, true));
        assert_eq!(of(&[100, 4094]), (Some(100), ethertype::IPV4, 22, true));
        assert_eq!(of(&[100, 200, 300]), (Some(100), ethertype::VLAN, 22, false));
        assert_eq!(of(&[0]), (Some(0), ethertype::IPV4, 18, true), "a tag with a priority alone is a tag");
    }

    #[test]
    fn an_ip_header_that_is_cut_off_or_contradicts_itself_is_none() {
        let packets = [(ethertype::IPV4, ipv4(ip::TCP, &[], |_| {}), 20), (ethertype::IPV6, ipv6(ip::TCP, &[], |_| {}), 40)];
        for (kind, packet, whole) in packets {
            for len in 0..=whole {
                let inner = parse(&ethernet(kind, &packet[..len]));
                assert_eq!(inner.network == Network::Other, len < whole, "{kind:#x} with {len} bytes");
            }
            let mut other = packet.clone();
            other[0] ^= 0x20;
            assert_eq!(parse(&ethernet(kind, &other)).network, Network::Other, "the version is that of the other one");
        }
        let mut options = ipv4(ip::TCP, &[0; 4], |_| {});
        options[0] = 0x47;
        assert_eq!(parse(&ethernet(ethertype::IPV4, &options)).network, Network::Other, "options beyond the end");
        options[0] = 0x44;
        assert_eq!(parse(&ethernet(ethertype::IPV4, &options)).network, Network::Other, "a header of 16 bytes");
        assert_eq!(Inner::parse(&[0; 13]), None);
        let cut_tag = &tagged(&[100], ethertype::IPV4, &[])[..17];
        assert_eq!((parse(cut_tag).vlan, parse(cut_tag).ethertype), (None, ethertype::VLAN));
    }

    #[test]
    fn extension_headers_are_looked_behind() {
        let options = [&[ip::TCP, 1][..], &[0; 14]].concat();
        let hop = [&[ip::DESTINATION, 0, 0, 0, 0, 0, 0, 0][..], &options, &from_ports(1, 2)].concat();
        let inner = parse(&ethernet(ethertype::IPV6, &ipv6(ip::HOP_BY_HOP, &hop, |_| {})));
        let Network::Ipv6 { protocol, l4, .. } = inner.network else { panic!("{inner:?}") };
        assert_eq!((protocol, l4), (ip::TCP, 14 + 40 + 8 + 16));
    }

    #[test]
    fn all_fragments_of_a_packet_hash_alike() {
        let part = |offset: u16, more: bool, port: u16| {
            ethernet(
                ethertype::IPV4,
                &ipv4(ip::UDP, &from_ports(port, 53), |ip| {
                    (ip.dont_fragment, ip.fragment_offset, ip.more_fragments) = (false, offset, more);
                }),
            )
        };
        let first = hash(&part(0, true, 1000));
        assert_eq!([hash(&part(1480, true, 7)), hash(&part(2960, false, 8))], [first; 2]);
        assert_ne!(hash(&part(0, false, 1000)), first);

        let part = |offset: u16, more: bool, port: u16| {
            let header = Ipv6Ext {
                header: ip::FRAGMENT,
                next_header: ip::UDP,
                length_field: 0,
                fragment: Some(overlay_decoder::layer::Fragment { offset, more, id: 5 }),
            };
            let payload = [&header.emit()[..], &from_ports(port, 53)].concat();
            ethernet(ethertype::IPV6, &ipv6(ip::FRAGMENT, &payload, |_| {}))
        };
        let first = hash(&part(0, true, 1000));
        assert_eq!([hash(&part(1448, true, 7)), hash(&part(2896, false, 8))], [first; 2]);
        // RFC 6946: a fragment that is alone is a whole packet.
        let unfragmented = ethernet(ethertype::IPV6, &ipv6(ip::UDP, &from_ports(1000, 53), |_| {}));
        assert_eq!(hash(&part(0, false, 1000)), hash(&unfragmented));
    }

    #[test]
    fn what_is_not_of_the_flow_does_not_change_its_hash() {
        let plain = tcp4(51000);
        let payload = [&from_ports(51000, 443)[..], &[9; 99]].concat();
        let longer = ipv4(ip::TCP, &payload, |ip| (ip.id, ip.ttl, ip.tos) = (77, 3, 0xff));
        assert_eq!(hash(&ethernet(ethertype::IPV4, &longer)), hash(&plain));
        assert_eq!(hash(&tagged(&[7, 8], ethertype::IPV4, &longer)), hash(&plain));
        // The same transport header behind options.
        let mut options = [&ipv4(ip::TCP, &[1; 4], |_| {})[..], &from_ports(51000, 443)].concat();
        options[0] = 0x46;
        assert_eq!(hash(&ethernet(ethertype::IPV4, &options)), hash(&plain));
        // What has no ports has none in its payload either.
        let echo = |byte: u8| hash(&ethernet(ethertype::IPV4, &ipv4(ip::ICMP, &[byte; 8], |_| {})));
        assert_eq!(echo(1), echo(2));
        let arp = |byte: u8| hash(&ethernet(ethertype::ARP, &[byte; 28]));
        assert_eq!(arp(1), arp(2));
        assert_ne!(arp(1), hash(&ethernet(ethertype::LLDP, &[1; 28])));
    }

    #[test]
    fn a_hash_stays_what_it_is_from_release_to_release() {
        assert_eq!([hash(&tcp4(51000)), hash(&tcp6(51000)), hash(&ethernet(ethertype::ARP, &[]))], [2800412574, 3716591731, 3518920858]);
    }

    /// Chi-square of `hashes` over `buckets` that take the upper bits as a source port does, or the lower ones as a FlowID does.
    fn chi_square(hashes: &[u32], bucket: impl Fn(u32) -> usize, buckets: usize) -> f64 {
        let mut counts = vec![0u32; buckets];
        hashes.iter().for_each(|hash| counts[bucket(*hash)] += 1);
        let expected = hashes.len() as f64 / buckets as f64;
        counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn flows_that_differ_in_a_port_or_an_address_are_spread_evenly() {
        let by_port = |frame: fn(u16) -> Vec<u8>| (0..20_000).map(frame).collect::<Vec<_>>();
        let by_address = (0..20_000u32)
            .map(|low| ethernet(ethertype::IPV4, &ipv4(ip::UDP, &from_ports(4000, 53), |ip| ip.src = (0x0a00_0000 | low).into())));
        let by_mac = (0..20_000u32).map(|low| {
            let mut frame = ethernet(ethertype::ARP, &[0; 28]);
            frame[8..12].copy_from_slice(&low.to_be_bytes());
            frame
        });
        for (what, frames) in
            [("port", by_port(tcp4)), ("port", by_port(tcp6)), ("address", by_address.collect()), ("mac", by_mac.collect())]
        {
            for seed in [0, 1, 2, 0xdead_beef, u64::MAX] {
                let hashes: Vec<u32> = frames.iter().map(|frame| parse(frame).flow_hash(frame, seed)).collect();
                // 255 degrees of freedom: mean 255, deviation 22.6; beyond 400 is one chance in a hundred million.
                for (bits, bucket) in
                    [("upper", (|hash| (hash >> 24) as usize) as fn(u32) -> usize), ("lower", |hash| (hash & 0xff) as usize)]
                {
                    let chi = chi_square(&hashes, bucket, 256);
                    assert!(chi < 400.0, "{what}, seed {seed}, {bits} bits: chi-square {chi}");
                }
            }
        }
    }

    #[test]
    fn every_bit_of_the_seed_moves_flows() {
        let frame = tcp4(51000);
        for bit in 0..64 {
            let moved = (0..200).filter(|port| {
                let frame = tcp4(*port);
                let inner = parse(&frame);
                inner.flow_hash(&frame, 0) != inner.flow_hash(&frame, 1 << bit)
            });
            assert!(moved.count() > 190, "bit {bit} of the seed, {}", parse(&frame).flow_hash(&frame, 1 << bit));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in prop::sample::select(&[
            ethertype::IPV4, ethertype::IPV6, ethertype::VLAN, ethertype::PROVIDER_VLAN, ethertype::ARP][..]), seed: u64) {
            prop_assert_eq!(Inner::parse(&bytes).is_none(), bytes.len() < 14);
            for frame in [bytes.clone(), ethernet(kind, &bytes), tagged(&[5], kind, &bytes), tagged(&[5, 6], kind, &bytes)] {
                if let Some(inner) = Inner::parse(&frame) {
                    let _ = inner.flow_hash(&frame, seed);
                    // Not its own frame: wrong, but no panic.
                    let _ = inner.flow_hash(&bytes, seed);
                    prop_assert!(inner.l3 <= frame.len());
                }
            }
        }
    }
}
