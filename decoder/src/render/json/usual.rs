//! How is nearly every packet of an overlay written? TCP, UDP or ICMP over IP in VXLAN over IPv4, nothing odd in it.
//!
//! Field by field, such a packet is a hundred writes of a few bytes. Here the place of each header is known, and so is most of what
//! stands between two numbers: the text from one to the next is copied as one block, and all that is asked of the packet is asked
//! beforehand. Whatever is not as usual is left to the layers. A test writes packets both ways and compares.

use super::{JsonFields, ROOM};
use crate::layer::number::{ethertype, ip};
use crate::layer::{Body, Ethernet, Header, Ipv4, Layer, Udp, Vxlan};
use crate::packet::Packet;
use crate::pen::{Pen, Room};
use crate::text::Text;

/// The headers of a packet that is as usual.
struct Usual<'p> {
    /// The outer Ethernet header and the tenant's.
    stations: [&'p Ethernet; 2],
    outer: &'p Ipv4,
    udp: &'p Udp,
    vxlan: &'p Vxlan,
    ip: &'p Layer,
    /// What is behind them: mostly a transport header and its payload, and no other tunnel.
    inside: &'p [Layer],
}

/// Writes the virtual networks and everything behind them; `false`, and nothing written, where anything is not as usual.
#[inline(always)]
pub(super) fn usual(packet: &Packet<'_>, out: &mut Text) -> bool {
    let Some(usual) = Usual::of(packet) else { return false };
    let Some(mut room) = out.room::<ROOM>() else { return false };
    let Some(others) = usual.write(packet, &mut room) else { return false };
    room.finish() && (others.is_empty() || self::others(packet, others, out))
}

/// Bytes of a part of the room. Far more than there is text in it: the compiler takes numbers for longer than they are, and has to see
/// that they fit all the same.
const PART: usize = 8192;

impl<'p> Usual<'p> {
    /// The headers of a packet, if they and their places are what they usually are.
    #[inline(always)]
    fn of(packet: &Packet<'p>) -> Option<Self> {
        let [outer_link, outer_ip, outer_udp, tunnel, link, ip, inside @ ..] = packet.layers else { return None };
        let (Body::Ethernet(outer_stations), Body::Ipv4(outer), Body::Udp(udp), Body::Vxlan(vxlan), Body::Ethernet(stations)) =
            (&outer_link.body, &outer_ip.body, &outer_udp.body, &tunnel.body, &link.body)
        else {
            return None;
        };
        let as_usual = match &ip.body {
            Body::Ipv4(inner) => stations.ethertype == ethertype::IPV4 && ip.length == Ipv4::LENGTH as u32 && !has_rare_flags(inner),
            Body::Ipv6(_) => stations.ethertype == ethertype::IPV6,
            _ => false,
        };
        let ordinary = matches!(inside, [Layer { body: Body::Tcp(_) | Body::Udp(_), .. }, rest @ ..] if is_payload(rest));
        if !as_usual
            || !ordinary && inside.iter().any(|layer| layer.kind().is_tunnel())
            // A walk leaves no gaps: the tenant's header cannot be here unless those in front of it are where they usually are.
            || ip.offset != 64
            || outer_stations.ethertype != ethertype::IPV4
            || outer.protocol != ip::UDP
            || has_rare_flags(outer)
            || vxlan.flags != Vxlan::FLAG_VNI
            || vxlan.policy_flags != 0
            || vxlan.group != 0
            || vxlan.reserved != 0
            || vxlan.guessed
            || packet.device_vni.is_some()
            || packet.gso.is_some()
            || packet.stop.is_some()
        {
            return None;
        }
        Some(Self { stations: [outer_stations, stations], outer, udp, vxlan, ip, inside })
    }

    /// Writes the headers, and says which layers remain; `None` if the room is too small.
    #[inline(always)]
    fn write<const M: usize>(&self, packet: &Packet<'_>, room: &mut Room<'_, M>) -> Option<&'p [Layer]> {
        let [outer_stations, stations] = self.stations;
        let mut out = room.part::<PART>()?;
        out.text(r#","vni":["#);
        out.num(self.vxlan.id.get().into());
        out.text(r#"],"layers":[{"layer":"ethernet","offset":0,"length":14,"src":""#);
        macs(outer_stations, &mut out);
        out.text(r#"","ethertype":2048},{"layer":"ipv4","offset":14,"length":20,"src":""#);
        ipv4(self.outer, &mut out);
        out.text(r#"},{"layer":"udp","offset":34,"length":8,"src_port":"#);
        out.finish();
        let mut out = room.part::<PART>()?;
        ports(self.udp, &mut out);
        out.text(r#"},{"layer":"vxlan","offset":42,"length":8,"vni":"#);
        out.num(self.vxlan.id.get().into());
        out.text(r#","flags":8},{"layer":"ethernet","offset":50,"length":14,"src":""#);
        macs(stations, &mut out);
        out.finish();
        match &self.ip.body {
            Body::Ipv4(inner) => {
                let mut out = room.part::<PART>()?;
                out.text(r#"","ethertype":2048},{"layer":"ipv4","offset":64,"length":20,"src":""#);
                ipv4(inner, &mut out);
                out.finish();
            }
            Body::Ipv6(inner) => {
                let mut out = room.part::<PART>()?;
                out.text(r#"","ethertype":34525},{"layer":"ipv6","offset":64,"length":40"#);
                inner.fields(packet.view(self.ip), &mut JsonFields { out: &mut out, first: false });
                out.finish();
            }
            _ => {}
        }
        let others = match self.inside {
            [transport, rest @ ..] if is_payload(rest) => match &transport.body {
                Body::Tcp(header) => {
                    let mut out = room.part::<PART>()?;
                    out.text(r#"},{"layer":"tcp","offset":"#);
                    out.num(transport.offset.into());
                    out.text(r#","length":"#);
                    out.num(transport.length.into());
                    header.fields(packet.view(transport), &mut JsonFields { out: &mut out, first: false });
                    out.finish();
                    rest
                }
                Body::Udp(header) => {
                    let mut out = room.part::<PART>()?;
                    out.text(r#"},{"layer":"udp","offset":"#);
                    out.num(transport.offset.into());
                    out.text(r#","length":"#);
                    out.num(transport.length.into());
                    out.text(r#","src_port":"#);
                    ports(header, &mut out);
                    out.finish();
                    rest
                }
                _ => self.inside,
            },
            others => others,
        };
        let mut out = room.part::<PART>()?;
        let others = match others {
            [] => {
                out.text("}]}");
                others
            }
            [last @ Layer { offset, length, body: Body::Payload(payload), .. }] => {
                out.text(r#"},{"layer":"payload","offset":"#);
                out.num((*offset).into());
                out.text(r#","length":"#);
                out.num((*length).into());
                payload.fields(packet.view(last), &mut JsonFields { out: &mut out, first: false });
                out.text("}]}");
                &[]
            }
            _ => {
                out.text("},");
                others
            }
        };
        out.finish();
        Some(others)
    }
}

/// Whether layers are no more than what is behind the last header.
#[inline(always)]
const fn is_payload(layers: &[Layer]) -> bool {
    matches!(layers, [] | [Layer { body: Body::Payload(_), .. }])
}

/// Writes layers that are none of the usual.
#[inline(never)]
fn others(packet: &Packet<'_>, layers: &[Layer], out: &mut Text) -> bool {
    for layer in layers {
        super::any_layer(packet, layer, out);
    }
    out.truncate(out.len() - 1);
    out.text("]}");
    true
}

/// Whether the header has fields that others have not.
#[inline(always)]
const fn has_rare_flags(header: &Ipv4) -> bool {
    header.more_fragments | header.reserved_flag | (header.fragment_offset != 0)
}

/// Writes from behind the quotation mark of the source to in front of that behind the destination.
#[inline(always)]
fn macs(header: &Ethernet, out: &mut impl Pen) {
    out.mac(header.src);
    out.text(r#"","dst":""#);
    out.mac(header.dst);
}

/// Writes from behind the quotation mark of the source to the end of the checksum.
#[inline(always)]
fn ipv4(header: &Ipv4, out: &mut impl Pen) {
    out.ipv4(header.src);
    out.text(r#"","dst":""#);
    out.ipv4(header.dst);
    out.text(r#"","protocol":"#);
    out.octet(header.protocol);
    out.text(r#","ttl":"#);
    out.octet(header.ttl);
    out.text(r#","total_length":"#);
    out.num(header.total_length.into());
    out.text(r#","id":"#);
    out.num(header.id.into());
    if header.tos == 0 {
        out.text(r#","dscp":0,"ecn":0"#);
    } else {
        out.text(r#","dscp":"#);
        out.octet(header.dscp());
        out.text(r#","ecn":"#);
        out.octet(header.ecn());
    }
    out.text(if header.dont_fragment { r#","dont_fragment":true,"checksum":"# } else { r#","checksum":"# });
    out.num(header.checksum.into());
}

/// Writes from the source port to the end of the checksum.
#[inline(always)]
fn ports(header: &Udp, out: &mut impl Pen) {
    out.num(header.src_port.into());
    out.text(r#","dst_port":"#);
    out.num(header.dst_port.into());
    out.text(r#","total_length":"#);
    out.num(header.length.into());
    out.text(r#","checksum":"#);
    out.num(header.checksum.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vni;
    use crate::link::{LinkType, Timestamp};
    use crate::packet::{Gso, Meta};
    use crate::render::Style;
    use crate::sample::{frames, tunneled};
    use crate::walk::Walker;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use std::cell::Cell;

    fn text(out: &Text) -> String {
        String::from_utf8(out.as_bytes().to_vec()).unwrap()
    }

    /// What the short way writes, if it is taken, and what the layers write.
    fn both(packet: &Packet<'_>) -> (Option<String>, String) {
        let (mut short, mut layers) = (Text::new(), Text::new());
        let taken = usual(packet, &mut short);
        super::super::any_layers(packet, &Style::default(), &mut layers);
        assert!(taken || short.is_empty(), "what is not taken is not written, either: {}", text(&short));
        (taken.then(|| text(&short)), text(&layers))
    }

    #[test]
    fn the_short_way_writes_what_the_layers_write_and_is_taken_often() {
        let (all, short, icmp) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let runs = proptest::test_runner::Config { cases: 4000, failure_persistence: None, ..Default::default() };
        let tested = TestRunner::new(runs).run(&(frames(), 0u8..20), |((bytes, wire_len), odd)| {
            let mut walker = Walker::default();
            let mut packet = walker.walk(&bytes, wire_len, LinkType::ETHERNET);
            match odd {
                0 => packet.device_vni = Some(Vni::MAX),
                1 => packet.gso = Some(Gso::SuperFrame),
                _ => {}
            }
            let (found, layers) = both(&packet);
            all.set(all.get() + 1);
            if let Some(found) = found {
                short.set(short.get() + 1);
                icmp.set(icmp.get() + u32::from(found.contains("icmp")));
                prop_assert_eq!(found, layers);
            }
            Ok(())
        });
        tested.unwrap();
        // Else the test would compare nothing.
        assert!(short.get() > all.get() / 10, "{} of {} frames took the short way", short.get(), all.get());
        assert!(icmp.get() > short.get() / 20, "{} of {} frames had another header at the end", icmp.get(), short.get());
    }

    proptest! {
        #[test]
        fn all_networks_of_a_packet_in_two_tunnels_are_named(sample in frames().prop_map(tunneled)) {
            let mut walker = Walker::default();
            let packet = walker.walk(&sample.0, sample.1, LinkType::ETHERNET);
            let (found, layers) = both(&packet);
            prop_assert!(packet.vnis().count() < 2 || found.is_none());
            prop_assert!(found.is_none_or(|found| found == layers));
        }

        #[test]
        fn a_whole_line_has_the_same_text_after_its_head((bytes, wire_len) in frames(), number: u64, seconds: i64, nanoseconds in 0u32..1_000_000_000) {
            let mut walker = Walker::default();
            let packet = walker.walk(&bytes, wire_len, LinkType::ETHERNET);
            let timestamp = Some(Timestamp { seconds, nanoseconds });
            let meta = Meta { number, timestamp, interface: None, direction: None, comments: &[], again: false };
            let mut out = Text::new();
            crate::render::json(&packet, &meta, &Style::default(), &mut out);
            let sign = if seconds < 0 { "-" } else { "" };
            let head = format!(
                "{{\"schema\":1,\"number\":{number},\"timestamp\":\"{sign}{}.{nanoseconds:09}\",\"len\":{},\"caplen\":{}",
                seconds.unsigned_abs(), packet.wire_len, bytes.len()
            );
            prop_assert_eq!(text(&out), head + &both(&packet).1);
        }
    }
}
