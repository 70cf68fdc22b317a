//! What does a neighbor say about itself and the link? The options of Neighbor Discovery (RFC 4861 4.6; DNS: RFC 8106 5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |      Type     |   Length / 8  |              Data ...         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use crate::addr::Mac;
use crate::fields::{Fields, key};
use crate::layer::fault::{Fault, Room};
use crate::layer::igmp::LISTED;
use crate::text::Text;
use etherparse::icmpv6::{NdpOptionSlice, NdpOptionsIterator};
use std::net::Ipv6Addr;

/// Recursive DNS servers; etherparse knows neither this option nor the next.
const DNS_SERVERS: u8 = 25;
/// DNS search list.
const DNS_SEARCH: u8 = 31;

const fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "source-link-address",
        2 => "target-link-address",
        3 => "prefix",
        4 => "redirected-header",
        5 => "mtu",
        14 => "nonce",
        24 => "route",
        DNS_SERVERS => "dns-servers",
        DNS_SEARCH => "dns-search",
        37 => "captive-portal",
        38 => "nat64-prefix",
        _ => return None,
    })
}

/// The addresses of a DNS server option: behind type, length, reserved bytes and lifetime.
fn servers(option: &[u8]) -> &[[u8; 16]] {
    option.get(8..).unwrap_or_default().as_chunks::<16>().0
}

/// The link address of a source or target link-layer address option, when it is a MAC.
fn link_address(option: &NdpOptionSlice<'_>) -> Option<Mac> {
    let address = match option {
        NdpOptionSlice::SourceLinkLayerAddress(option) => option.link_layer_address(),
        NdpOptionSlice::TargetLinkLayerAddress(option) => option.link_layer_address(),
        _ => return None,
    };
    address.try_into().ok().map(Mac)
}

/// The first MAC address among the options.
pub(super) fn mac(bytes: &[u8]) -> Option<Mac> {
    NdpOptionsIterator::from_slice(bytes).flatten().find_map(|option| link_address(&option))
}

/// The first option that cannot be, of those in `bytes`, which stand at `at` of the message.
pub(super) fn fault(bytes: &[u8], at: usize, room: Room) -> Option<Fault> {
    let mut options = NdpOptionsIterator::from_slice(bytes);
    loop {
        let rest = options.rest();
        let at = at + bytes.len() - rest.len();
        return match (options.next(), rest) {
            // RFC 8106 5.1: one unit, and two for each address.
            (Some(Ok(_)), [DNS_SERVERS, 0..3, ..]) => Some(Fault::wrong(at, WRONG_LENGTH)),
            (Some(Ok(_)), [DNS_SERVERS, units, ..]) if units.is_multiple_of(2) => Some(Fault::wrong(at, WRONG_LENGTH)),
            (Some(Ok(_)), _) => continue,
            (Some(Err(_)), [_, 0, ..]) => Some(Fault::wrong(at, "option length 0")),
            (Some(Err(_)), [_, units, ..]) => room.lacking(at, usize::from(*units) * 8, BEYOND).or(Some(Fault::wrong(at, WRONG_LENGTH))),
            _ => room.left(at, 2, BEYOND),
        };
    }
}

const WRONG_LENGTH: &str = "option of a wrong length";
const BEYOND: &str = "option beyond the message";

/// Every option as an item of a list; the bytes of a malformed or cut one end it.
pub(super) fn fields<F: Fields>(bytes: &[u8], out: &mut F) {
    out.open_list(key!("options"));
    let mut options = NdpOptionsIterator::from_slice(bytes);
    let mut listed = 0;
    loop {
        let rest = options.rest();
        let Some(option) = options.next() else { break };
        out.open_item();
        if listed == LISTED {
            out.flag(key!("more"), true);
            out.close_item();
            break;
        }
        listed += 1;
        match option {
            Ok(option) => option_fields(&option, out),
            // At most the 2040 bytes that a length field reaches; what is at fault stands in the first ones.
            Err(_) => out.bytes(key!("malformed"), &rest[..rest.len().min(32)]),
        }
        out.close_item();
    }
    out.close_list();
}

fn option_fields<F: Fields>(option: &NdpOptionSlice<'_>, out: &mut F) {
    let kind = option.option_type().0;
    out.named(key!("type"), kind.into(), name(kind));
    match option {
        NdpOptionSlice::SourceLinkLayerAddress(_) | NdpOptionSlice::TargetLinkLayerAddress(_) => match link_address(option) {
            Some(mac) => out.mac(key!("mac"), mac),
            None => out.bytes(key!("address"), &option.as_bytes()[2..]),
        },
        NdpOptionSlice::PrefixInformation(prefix) => {
            out.ipv6(key!("prefix"), prefix.prefix().into());
            out.num(key!("prefix_length"), prefix.prefix_length().into());
            out.flag(key!("on_link"), prefix.on_link());
            out.flag(key!("autonomous"), prefix.autonomous_address_configuration());
            out.num(key!("valid_lifetime"), prefix.valid_lifetime().into());
            out.num(key!("preferred_lifetime"), prefix.preferred_lifetime().into());
        }
        NdpOptionSlice::Mtu(mtu) => out.num(key!("mtu"), mtu.mtu().into()),
        NdpOptionSlice::RedirectedHeader(redirected) => out.num(key!("length"), redirected.redirected_packet().len() as u64),
        // etherparse may learn further options; until they have an arm here they are bytes like the unknown ones.
        _ => unknown_fields(kind, option.as_bytes(), out),
    }
}

fn unknown_fields<F: Fields>(kind: u8, option: &[u8], out: &mut F) {
    match (kind, option) {
        (DNS_SERVERS, [_, _, _, _, a, b, c, d, ..]) => {
            out.num(key!("lifetime"), u32::from_be_bytes([*a, *b, *c, *d]).into());
            out.open_list(key!("servers"));
            for server in servers(option).iter().take(LISTED) {
                out.open_item();
                out.ipv6(key!("address"), (*server).into());
                out.close_item();
            }
            if servers(option).len() > LISTED {
                out.open_item();
                out.flag(key!("more"), true);
                out.close_item();
            }
            out.close_list();
        }
        _ if out.wants_details() => out.bytes(key!("data"), option.get(2..).unwrap_or_default()),
        _ => {}
    }
}

/// What a host takes from a router advertisement: MTU, the first prefix, the first DNS server, each with a space in front.
pub(super) fn summary(bytes: &[u8], out: &mut Text) {
    let (mut mtu, mut prefix, mut dns) = (None, None, None);
    for option in NdpOptionsIterator::from_slice(bytes).flatten() {
        match option {
            NdpOptionSlice::Mtu(option) => mtu = mtu.or(Some(option.mtu())),
            NdpOptionSlice::PrefixInformation(option) => prefix = prefix.or(Some((option.prefix(), option.prefix_length()))),
            NdpOptionSlice::Unknown(option) if option.option_type().0 == DNS_SERVERS => {
                dns = dns.or(servers(option.as_bytes()).first().copied());
            }
            _ => {}
        }
    }
    if let Some(mtu) = mtu {
        out.text(" mtu ");
        out.num(mtu.into());
    }
    if let Some((prefix, length)) = prefix {
        out.text(" prefix ");
        out.ipv6(Ipv6Addr::from(prefix));
        out.byte(b'/');
        out.num(length.into());
    }
    if let Some(server) = dns {
        out.text(" dns ");
        out.ipv6(server.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_zero_length_end_the_walk() {
        assert_eq!(mac(&[0, 0, 2, 1, 2, 0, 0, 0, 0, 1]), None);
        assert_eq!(mac(&[14, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 1]), Some(Mac([2, 0, 0, 0, 0, 1])));
    }
}
