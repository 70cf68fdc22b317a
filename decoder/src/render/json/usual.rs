//! How is nearly every packet of an overlay written? TCP, UDP or ICMP over IP in VXLAN over IPv4, nothing odd in it.
//!
//! Field by field, such a packet is a hundred writes of a few bytes. Here the place of each header is known, and so is most of what
//! stands between two numbers: the text from one to the next is copied as one block, and all that is asked of the packet is asked
//! beforehand. Whatever is not as usual is left to the layers. A test writes packets both ways and compares.

use super::{JsonFields, ROOM};
use crate::addr::Vni;
use crate::layer::number::{ethertype, ip};
use crate::layer::{Body, Ethernet, Header, Ipv4, Ipv6, Layer, Payload, Tcp, Udp, View, Vxlan};
use crate::packet::Packet;
use crate::pen::{Pen, Room};
use crate::text::Text;
use crate::walk::{Network, Start, Transport, Whole};

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
            || !is_plain_vxlan(vxlan)
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
        start(outer_stations, self.outer, self.udp, self.vxlan.id, stations, room)?;
        match &self.ip.body {
            Body::Ipv4(inner) => inner_ipv4(inner, room)?,
            Body::Ipv6(inner) => inner_ipv6(inner, packet.view(self.ip), room)?,
            _ => {}
        }
        let others = match self.inside {
            [transport, rest @ ..] if is_payload(rest) => match &transport.body {
                Body::Tcp(header) => {
                    tcp(header, transport.offset, packet.view(transport), room)?;
                    rest
                }
                Body::Udp(header) => {
                    udp(header, transport.offset, room)?;
                    rest
                }
                _ => self.inside,
            },
            others => others,
        };
        match others {
            [] => {
                let mut out = room.part::<PART>()?;
                out.text("}]}");
                out.finish();
                Some(&[])
            }
            [last @ Layer { offset, body: Body::Payload(payload), .. }] => {
                self::payload(*payload, *offset, packet.view(last), room)?;
                Some(&[])
            }
            _ => {
                let mut out = room.part::<PART>()?;
                out.text("},");
                out.finish();
                Some(others)
            }
        }
    }
}

/// Writes what [`usual`] writes of a packet that nobody has walked.
#[inline(always)]
pub(super) fn whole<N: Inside>(packet: &Whole<'_, N>, out: &mut Text) -> bool {
    let Some(mut room) = out.room::<ROOM>() else { return false };
    let written = write_whole(packet, &mut room).is_some();
    room.finish() && written
}

#[inline(always)]
fn write_whole<N: Inside, const M: usize>(packet: &Whole<'_, N>, room: &mut Room<'_, M>) -> Option<()> {
    let Start { ethernet, ipv4, udp, vxlan, inner, .. } = &packet.start;
    start(ethernet, ipv4, udp, vxlan.id, inner, room)?;
    packet.network.write(room)?;
    let offset = Whole::<N>::TRANSPORT as u32;
    match &packet.transport {
        Transport::Tcp(header) => {
            let view = View { header: packet.header, payload: packet.payload, claimed: packet.payload_wire };
            tcp(header, offset, view, room)?;
        }
        Transport::Udp(header) => self::udp(header, offset, room)?,
    }
    if packet.payload.is_empty() {
        let mut out = room.part::<PART>()?;
        out.text("}]}");
        out.finish();
    } else {
        let view = View { header: packet.payload, payload: &[], claimed: 0 };
        payload(Payload { wire_length: packet.payload_wire }, offset + packet.header.len() as u32, view, room)?;
    }
    Some(())
}

/// Whether a packet that starts so has nothing odd in what [`start`] writes of it.
#[inline(always)]
pub(super) fn is_plain<N: Inside>(packet: &Whole<'_, N>) -> bool {
    let Start { ipv4, vxlan, .. } = &packet.start;
    !has_rare_flags(ipv4) && !packet.network.is_rare() && is_plain_vxlan(vxlan)
}

/// The tenant's network header.
pub(super) trait Inside: Network {
    /// Whether it has fields that others have not.
    fn is_rare(&self) -> bool;

    /// Writes it, from behind the tenant's MACs.
    fn write<const M: usize>(&self, room: &mut Room<'_, M>) -> Option<()>;
}

impl Inside for Ipv4 {
    #[inline(always)]
    fn is_rare(&self) -> bool {
        has_rare_flags(self)
    }

    #[inline(always)]
    fn write<const M: usize>(&self, room: &mut Room<'_, M>) -> Option<()> {
        inner_ipv4(self, room)
    }
}

impl Inside for Ipv6 {
    #[inline(always)]
    fn is_rare(&self) -> bool {
        false
    }

    #[inline(always)]
    fn write<const M: usize>(&self, room: &mut Room<'_, M>) -> Option<()> {
        // What is behind the header does not count for its text.
        inner_ipv6(self, View { header: &[], payload: &[], claimed: 0 }, room)
    }
}

/// Whether the header says nothing but its network.
#[inline(always)]
const fn is_plain_vxlan(header: &Vxlan) -> bool {
    header.flags == Vxlan::FLAG_VNI && header.policy_flags == 0 && header.group == 0 && header.reserved == 0 && !header.guessed
}

/// Writes from the virtual networks to the tenant's MACs.
#[inline(always)]
fn start<const M: usize>(
    outer_stations: &Ethernet,
    outer: &Ipv4,
    udp: &Udp,
    vni: Vni,
    stations: &Ethernet,
    room: &mut Room<'_, M>,
) -> Option<()> {
    let mut out = room.part::<PART>()?;
    out.text(r#","vni":["#);
    out.num(vni.get().into());
    out.text(r#"],"layers":[{"layer":"ethernet","offset":0,"length":14,"src":""#);
    macs(outer_stations, &mut out);
    out.text(r#"","ethertype":2048},{"layer":"ipv4","offset":14,"length":20,"src":""#);
    ipv4(outer, &mut out);
    out.text(r#"},{"layer":"udp","offset":34,"length":8,"src_port":"#);
    out.finish();
    let mut out = room.part::<PART>()?;
    ports(udp, &mut out);
    out.text(r#"},{"layer":"vxlan","offset":42,"length":8,"vni":"#);
    out.num(vni.get().into());
    out.text(r#","flags":8},{"layer":"ethernet","offset":50,"length":14,"src":""#);
    macs(stations, &mut out);
    out.finish();
    Some(())
}

/// Writes the tenant's IPv4 header.
#[inline(always)]
fn inner_ipv4<const M: usize>(header: &Ipv4, room: &mut Room<'_, M>) -> Option<()> {
    let mut out = room.part::<PART>()?;
    out.text(r#"","ethertype":2048},{"layer":"ipv4","offset":64,"length":20,"src":""#);
    ipv4(header, &mut out);
    out.finish();
    Some(())
}

/// Writes the tenant's IPv6 header.
#[inline(always)]
fn inner_ipv6<const M: usize>(header: &Ipv6, view: View<'_>, room: &mut Room<'_, M>) -> Option<()> {
    let mut out = room.part::<PART>()?;
    out.text(r#"","ethertype":34525},{"layer":"ipv6","offset":64,"length":40"#);
    header.fields(view, &mut JsonFields { out: &mut out, first: false });
    out.finish();
    Some(())
}

/// Writes a TCP header.
#[inline(always)]
fn tcp<const M: usize>(header: &Tcp, offset: u32, view: View<'_>, room: &mut Room<'_, M>) -> Option<()> {
    let mut out = room.part::<PART>()?;
    out.text(r#"},{"layer":"tcp","offset":"#);
    out.num(offset.into());
    out.text(r#","length":"#);
    out.num(view.header.len() as u64);
    header.fields(view, &mut JsonFields { out: &mut out, first: false });
    out.finish();
    Some(())
}

/// Writes a UDP header.
#[inline(always)]
fn udp<const M: usize>(header: &Udp, offset: u32, room: &mut Room<'_, M>) -> Option<()> {
    let mut out = room.part::<PART>()?;
    out.text(r#"},{"layer":"udp","offset":"#);
    out.num(offset.into());
    out.text(r#","length":8,"src_port":"#);
    ports(header, &mut out);
    out.finish();
    Some(())
}

/// Writes the payload, and ends the object.
#[inline(always)]
fn payload<const M: usize>(payload: Payload, offset: u32, view: View<'_>, room: &mut Room<'_, M>) -> Option<()> {
    let mut out = room.part::<PART>()?;
    out.text(r#"},{"layer":"payload","offset":"#);
    out.num(offset.into());
    out.text(r#","length":"#);
    out.num(view.header.len() as u64);
    payload.fields(view, &mut JsonFields { out: &mut out, first: false });
    out.text("}]}");
    out.finish();
    Some(())
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
    use crate::walk::{Config, UdpTunnel, Walker};
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

    #[test]
    fn without_a_walk_the_same_is_written_and_often() {
        let mut other = Config::default();
        other.add_port(4789, UdpTunnel::Geneve);
        let (mut inside, mut no_guess, mut no_tunnels) = (Config::default(), Config::default(), Config::default());
        inside.add_port(443, UdpTunnel::Geneve);
        no_guess.guess = false;
        no_tunnels.max_tunnels = 0;
        let configs = [Config::default(), other, inside, no_guess, no_tunnels];
        let (all, unwalked, datagrams, version_6) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
        let runs = proptest::test_runner::Config { cases: 4000, failure_persistence: None, ..Default::default() };
        let link = prop_oneof![9 => Just(LinkType::ETHERNET), 1 => Just(LinkType::RAW)];
        let sizes = prop_oneof![7 => Just(0u32), 1 => 0u32..9000, 1 => Just(10_000), 1 => Just(u32::MAX)];
        let tested =
            TestRunner::new(runs).run(&(frames(), 0usize..20, link, sizes, 0usize..40), |((bytes, wire_len), config, link, more, cut)| {
                let config = configs.get(config).unwrap_or(&configs[0]);
                // Captures cut packets anywhere, and say that they were longer.
                let bytes = &bytes[..bytes.len() - if cut < 20 { bytes.len() * cut / 20 } else { 0 }];
                let wire_len = wire_len.saturating_add(more);
                let meta = Meta { number: 7, timestamp: None, interface: Some("eth0"), direction: None, comments: &[], again: false };
                let mut out = Text::new();
                out.text("before ");
                let written = crate::render::json_unwalked(config, bytes, wire_len, link, &meta, &mut out);
                all.set(all.get() + 1);
                if written {
                    let mut expected = Text::new();
                    expected.text("before ");
                    crate::render::json(&Walker::new(config.clone()).walk(bytes, wire_len, link), &meta, &Style::default(), &mut expected);
                    unwalked.set(unwalked.get() + 1);
                    datagrams.set(datagrams.get() + u32::from(text(&out).matches("\"layer\":\"udp\"").count() == 2));
                    version_6.set(version_6.get() + u32::from(text(&out).contains("\"layer\":\"ipv6\"")));
                    prop_assert_eq!(text(&out), text(&expected));
                } else {
                    prop_assert_eq!(text(&out), "before ");
                }
                Ok(())
            });
        tested.unwrap();
        // Else the test would compare nothing.
        assert!(unwalked.get() > all.get() / 60, "{} of {} frames needed no walk", unwalked.get(), all.get());
        assert!(datagrams.get() > unwalked.get() / 20, "{} of {} frames were datagrams", datagrams.get(), unwalked.get());
        assert!(version_6.get() > unwalked.get() / 20, "{} of {} frames had IPv6 inside", version_6.get(), unwalked.get());
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
