//! Is everything that the engine puts on a wire sound in the eyes of another tool? tshark checks every checksum and length of it, and
//! may not have a word to say; our own decoder likewise.
//!
//! ```text
//!   port ── frame ──► engine ──► Transmit ──► emit_frame ──► pcap ──► tshark, Walker
//!        ◄─ packet-too-big ───────────────────────────────────┘
//! ```

use overlay_api::{Answer, Lookup};
use overlay_captures::{Format, LinkType, Record, Timestamp, Writer};
use overlay_decoder::checksum::{self, Status, Sum};
use overlay_decoder::layer::{Body, Ethernet, Ipv4, Ipv6, Udp};
use overlay_decoder::{Mac, Ul3, Vni, Walker};
use overlay_engine::encap::{Carrier, Registry};
use overlay_engine::outer::{Outer, Stations, emit_frame};
use overlay_engine::{Config, Control, DeviceSpec, Event, Frames, Offload, Outbox, OuterHeader, Output, PortSpec, Search, Time, Worker};
use overlay_tests::{Peer, say};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

const HERE: Mac = Mac([2, 8, 0x20, 10, 0, 1]);
const THERE: Mac = Mac([2, 8, 0x20, 10, 0, 2]);
/// The stations of the outer frame.
const STATIONS: Stations = Stations { source: Mac([2, 0, 0, 0, 0, 0xa]), destination: Mac([2, 0, 0, 0, 0, 0xb]) };
/// The device's MTU, which is the default.
const MTU: usize = 1400;
/// UDP ports that no dissector is registered for.
const PORTS: (u16, u16) = (40_000, 40_001);

/// What a packet of the capture has to be found to be.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// Encapsulation and virtual network; none for a reply that goes into a port.
    tunnel: Option<(&'static str, u32)>,
    /// The inner frame.
    frame: Vec<u8>,
    /// VLAN tags of it, outermost first.
    tags: Vec<u16>,
    /// What the outer header says: source, destination, DSCP and ECN, hops.
    outer: Option<(Ul3, Ul3, u8, u8)>,
    /// The MTU that a packet-too-big tells.
    told: Option<usize>,
    /// Bytes of Geneve options.
    options: usize,
}

/// An engine with one device and its port, HERE. Everybody else is behind the underlay.
struct Host {
    encapsulation: &'static str,
    vni: u32,
    control: Control,
    worker: Worker,
    port: overlay_api::PortId,
    source: Ul3,
    to: Ul3,
    options: usize,
}

impl Host {
    fn new(encapsulation: &'static str, vni: u32, v6: bool, search: Search, more: &[(&str, &str)]) -> Self {
        let udp_port = match encapsulation {
            "vxlan" => Some(4789),
            "geneve" => Some(6081),
            _ => None,
        };
        let ips = if v6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
        let [source, to] = ips.map(|ip| Ul3 { ip: ip.parse().unwrap(), port: udp_port });
        let mut properties = vec![(format!("{encapsulation}/listen_ip"), source.ip.to_string())];
        if search == Search::Direct {
            properties.push(("direct/dest_ip".into(), to.ip.to_string()));
            properties.extend(udp_port.map(|port| ("direct/dest_port".into(), port.to_string())));
        }
        properties.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (mut control, mut workers) = Control::new(&Config::default(), Registry::default()).unwrap();
        let spec = DeviceSpec { name: "red".into(), encapsulation: encapsulation.into(), vni: Vni::new(vni).unwrap(), search, properties };
        let device = control.create_device(spec, Time::ZERO).unwrap();
        let port = control.add_port(device, &PortSpec { name: "vnic0".into(), mac: HERE, mtu: MTU as u32 }).unwrap();
        control.answerer_attached(Time::ZERO);
        while let Some(output) = control.poll_output(Time::ZERO) {
            if let Output::Event(Event::UnderlayOpen { underlay, .. }) = output {
                control.handle_underlay(underlay, Ok(1500), Time::ZERO);
            }
        }
        let options = more.iter().filter(|(name, _)| *name == "geneve/options").map(|_| OPTIONS_BYTES).sum();
        Self { encapsulation, vni, control, worker: workers.remove(0), port, source, to, options }
    }

    /// What goes out for a frame, as it stands on a wire: encapsulated, or as a reply into the port.
    fn emit(&mut self, bytes: &[u8]) -> Vec<(Vec<u8>, Option<OuterHeader>)> {
        let (mut frames, mut out, mut emitted) = (Frames::new(1, 10_000), Outbox::new(), Vec::new());
        assert!(frames.push_copy(bytes, Offload::default()));
        self.worker.handle_frames(self.port, &mut frames, Time(1), &mut out);
        for transmit in &out.transmits {
            emitted.push(self.wire(transmit.outer, frames.with_header(transmit.item, transmit.header_len.into())));
        }
        for deliver in &out.delivers {
            emitted.push((out.content(deliver, &frames).to_vec(), None));
        }
        self.control.handle_misses(Time(2));
        while let Some(output) = self.control.poll_output(Time(3)) {
            match output {
                Output::Lookup(Lookup { request, .. }) => {
                    self.control.handle_answer(request, Answer::Reach { to: vec![self.to], ttl_ns: None }, Time(3)).unwrap();
                }
                Output::Transmit(sending) => emitted.push(self.wire(sending.outer, &sending.bytes)),
                Output::Deliver(delivery) => emitted.push((delivery.bytes, None)),
                Output::Withdraw(_) | Output::Verdict(..) | Output::Event(_) => {}
            }
        }
        emitted
    }

    fn wire(&self, header: OuterHeader, payload: &[u8]) -> (Vec<u8>, Option<OuterHeader>) {
        let OuterHeader { to, source_port, flow_label, tos, ttl, dont_fragment } = header;
        let carrier = if to.port.is_some() { Carrier::Udp } else { Carrier::Ip(47) };
        let source = Ul3 { ip: self.source.ip, port: to.port.map(|_| source_port) };
        let outer = Outer { source, destination: to, tos, ttl, dont_fragment, identification: 0, flow_label, carrier };
        let mut bytes = Vec::new();
        emit_frame(&mut bytes, STATIONS, &outer, payload).unwrap();
        (bytes, Some(header))
    }

    /// A frame that fits goes out once, in the tunnel.
    fn passes(&mut self, frame: &[u8], tags: &[u16]) -> (Vec<u8>, Expected) {
        let [(bytes, Some(header))] = &self.emit(frame)[..] else { panic!("one packet in the tunnel") };
        let source = Ul3 { port: header.to.port.map(|_| header.source_port), ..self.source };
        assert!(bytes.len() <= 14 + 1500, "{} bytes do not fit the underlay", bytes.len());
        let expected = Expected {
            tunnel: Some((self.encapsulation, self.vni)),
            frame: frame.to_vec(),
            tags: tags.to_vec(),
            outer: Some((source, self.to, header.tos, header.ttl)),
            told: None,
            options: self.options,
        };
        (bytes.clone(), expected)
    }

    /// One that does not is answered.
    fn is_told(&mut self, frame: &[u8], tags: &[u16], told: usize) -> (Vec<u8>, Expected) {
        let [(bytes, None)] = &self.emit(frame)[..] else { panic!("one reply into the port") };
        let back = [&frame[6..12], &frame[..6], &frame[12..]].concat();
        (bytes.clone(), Expected { frame: back, tags: tags.to_vec(), told: Some(told), ..Expected::default() })
    }
}

const OPTIONS: &str = "0103:01:00000001,0129:81:0011223344556677";
const OPTIONS_BYTES: usize = 8 + 12;

/// A frame from HERE to THERE with a whole UDP datagram in an IP packet of `len` bytes, DSCP 10, ECT(0).
fn udp(v6: bool, tags: &[u16], len: usize) -> Vec<u8> {
    let ip = if v6 { Ipv6::LENGTH } else { Ipv4::LENGTH };
    let body = len - ip;
    let mut header = Udp { src_port: PORTS.0, dst_port: PORTS.1, length: body as u16, checksum: 0 };
    let payload: Vec<u8> = (0..body - Udp::LENGTH).map(|index| index as u8).collect();
    let mut sum = Sum::new();
    let packet_header = if v6 {
        let [src, dst] = [1, 2].map(|low| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low));
        sum.add_pseudo_v6(src, dst, 17, body as u32);
        let payload_length = body as u16;
        Ipv6 { traffic_class: 0x2a, flow_label: 7, payload_length, next_header: 17, hop_limit: 9, src, dst, upper_protocol: 17 }
            .emit()
            .to_vec()
    } else {
        let [src, dst] = [1, 2].map(|low| Ipv4Addr::new(10, 0, 0, low));
        sum.add_pseudo_v4(src, dst, 17, body as u32);
        let mut ip = Ipv4 {
            header_length: 20,
            tos: 0x2a,
            total_length: len as u16,
            id: 77,
            dont_fragment: true,
            more_fragments: false,
            reserved_flag: false,
            fragment_offset: 0,
            ttl: 9,
            protocol: 17,
            checksum: 0,
            src,
            dst,
        };
        ip.checksum = checksum::internet(&ip.emit());
        ip.emit().to_vec()
    };
    sum.add(&header.emit());
    sum.add(&payload);
    header.checksum = sum.checksum();
    framed(tags, if v6 { 0x86dd } else { 0x0800 }, &[&packet_header[..], &header.emit(), &payload].concat())
}

fn arp() -> Vec<u8> {
    framed(&[], 0x0806, &[&[0, 1, 8, 0, 6, 4, 0, 1][..], &HERE.0, &[10, 0, 0, 1], &[0; 6], &[10, 0, 0, 2]].concat())
}

/// A frame with its VLAN tags, the outer one of two a provider's (802.1ad).
fn framed(tags: &[u16], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut bytes = Ethernet { src: HERE, dst: THERE, ethertype }.emit()[..12].to_vec();
    for (index, id) in tags.iter().enumerate() {
        bytes.extend(if index == 0 && tags.len() == 2 { [0x88, 0xa8] } else { [0x81, 0x00] });
        bytes.extend(id.to_be_bytes());
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(packet);
    bytes
}

/// All that the engine emits: each with what it has to be found to be.
fn everything() -> Vec<(Vec<u8>, Expected)> {
    let mut all = Vec::new();
    let options = [("geneve/options", OPTIONS)];
    type Kind<'a> = (&'static str, &'a [u32], &'a [(&'a str, &'a str)]);
    let kinds: [Kind<'_>; 4] = [
        ("vxlan", &[0, 5001, 0xff_ffff], &[]),
        ("geneve", &[0, 5001, 0xff_ffff], &[]),
        ("geneve", &[0xff_ffff], &options),
        ("nvgre", &[4096, 5001, 0xff_fffe], &[]),
    ];
    for (encapsulation, vnis, more) in kinds {
        for v6 in [false, true] {
            for &vni in vnis {
                // A worker sends at once; for a dynamic device the control half sends the first frame to a destination.
                for search in [Search::Direct, Search::Dynamic] {
                    let mut host = Host::new(encapsulation, vni, v6, search, more);
                    all.push(host.passes(&arp(), &[]));
                    for inner_v6 in [false, true] {
                        for tags in [&[][..], &[100], &[100, 4094]] {
                            all.push(host.passes(&udp(inner_v6, tags, 60), tags));
                            all.push(host.passes(&udp(inner_v6, tags, MTU), tags));
                            all.push(host.is_told(&udp(inner_v6, tags, MTU + 1), tags, MTU));
                        }
                    }
                }
            }
            // Without a limit of the device's own, the underlay's 1500 bytes are the limit: IP, UDP, header, inner Ethernet.
            for (inner_v6, tags) in [(false, &[][..]), (true, &[]), (false, &[7]), (true, &[7, 8])] {
                let around = if v6 { 40 } else { 20 } + if encapsulation == "nvgre" { 8 } else { 16 } + 14 + 4 * tags.len();
                for search in [Search::Direct, Search::Dynamic] {
                    let set = [more, &[("mtu", "9000")]].concat();
                    let mut host = Host::new(encapsulation, 5001, v6, search, &set);
                    let limit = 1500 - around - host.options;
                    all.push(host.passes(&udp(inner_v6, tags, limit), tags));
                    all.push(host.is_told(&udp(inner_v6, tags, limit + 1), tags, limit));
                    all.push(host.is_told(&udp(inner_v6, tags, 8000), tags, limit));
                }
            }
            // Where the class, the hops and the marks are other than the inner packet's.
            let set = [more, &[("outer/dscp", "46"), ("outer/ecn", "compatibility"), ("outer/ttl", "17"), ("outer/df", "clear")]].concat();
            let (bytes, expected) = Host::new(encapsulation, 5001, v6, Search::Direct, &set).passes(&udp(false, &[], 100), &[]);
            assert_eq!(expected.outer.map(|(_, _, tos, ttl)| (tos, ttl)), Some((46 << 2, 17)));
            all.push((bytes, expected));
        }
    }
    all
}

fn capture(packets: &[(Vec<u8>, Expected)], path: &Path) {
    let mut writer = Writer::create(path, Format::PcapNano).unwrap();
    for (index, (bytes, _)) in packets.iter().enumerate() {
        writer.write(&Record::new(LinkType::ETHERNET, Timestamp::new(1, index as u32 * 1000), bytes)).unwrap();
    }
    writer.finish().unwrap();
}

/// What tshark is asked of each packet. With an occurrence for each time that a field is there, outermost first.
#[rustfmt::skip]
const FIELDS: [&str; 28] = [
    "_ws.expert.severity", "_ws.expert.message", "frame.protocols", "vxlan.vni", "geneve.vni", "gre.key", "geneve.option.class", "eth.src", "eth.dst",
    "ieee8021ad.id", "vlan.id", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.dsfield", "ip.ttl", "ipv6.tclass", "ipv6.hlim", "udp.srcport",
    "udp.dstport", "arp.opcode", "icmp.mtu", "icmpv6.mtu", "ip.checksum.status", "udp.checksum.status", "icmpv6.checksum.status",
    "icmp.checksum.status",
];

/// One packet, as tshark sees it.
struct Seen<'a>(Vec<&'a str>);

impl Seen<'_> {
    fn get(&self, field: &str) -> &str {
        let at = FIELDS.iter().position(|name| *name == field).unwrap_or_else(|| panic!("{field} is not asked for"));
        self.0[at]
    }
}

/// What tshark says of each packet of a capture, a line each.
fn dissected(tshark: &Peer, path: &Path) -> String {
    let mut arguments =
        vec!["-n", "-r", path.to_str().unwrap(), "-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"];
    for option in ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE"] {
        arguments.extend(["-o", option]);
    }
    arguments.extend(FIELDS.iter().flat_map(|field| ["-e", field]));
    tshark.run(path.parent().unwrap(), arguments).end().stdout
}

/// Several values as tshark joins them; those that are not there are left out.
fn joined(values: impl IntoIterator<Item = Option<String>>) -> String {
    values.into_iter().flatten().collect::<Vec<_>>().join(",")
}

/// Compares every field of a packet with what it has to be.
fn compare(seen: &Seen<'_>, expected: &Expected) {
    let same = |field: &str, value: String| assert_eq!(seen.get(field), value, "{field} of {:?}\n{expected:02x?}", seen.0);
    same("_ws.expert.severity", String::new());
    same("_ws.expert.message", String::new());
    let (name, vni) = expected.tunnel.unwrap_or(("", 0));
    same("vxlan.vni", if name == "vxlan" { vni.to_string() } else { String::new() });
    same("geneve.vni", if name == "geneve" { format!("{vni:#08x}") } else { String::new() });
    same("geneve.option.class", if expected.options > 0 { "0x0103,0x0129".into() } else { String::new() });
    let key = seen.get("gre.key");
    assert_eq!(key.is_empty(), name != "nvgre", "{key}");
    assert!(key.is_empty() || u32::from_str_radix(&key[2..8], 16) == Ok(vni), "VSID {vni} in {key}");

    let frame = &expected.frame;
    let outer = expected.outer;
    let mac = |at: usize| frame[at..at + 6].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    same("eth.src", joined([outer.map(|_| STATIONS.source.to_string()), Some(mac(6))]));
    same("eth.dst", joined([outer.map(|_| STATIONS.destination.to_string()), Some(mac(0))]));
    let (provider, customer) = match expected.tags[..] {
        [] => (None, None),
        [one] => (None, Some(one)),
        [outer, inner, ..] => (Some(outer), Some(inner)),
    };
    same("ieee8021ad.id", joined([provider.map(|id| id.to_string())]));
    same("vlan.id", joined([customer.map(|id| id.to_string())]));

    let l3 = 14 + 4 * expected.tags.len();
    let ethertype = [frame[l3 - 2], frame[l3 - 1]];
    let told = expected.told;
    for (field, v6, is_source) in [("ip.src", false, true), ("ip.dst", false, false), ("ipv6.src", true, true), ("ipv6.dst", true, false)] {
        let ends = outer.map(|(from, to, ..)| if is_source { from.ip } else { to.ip });
        let outermost = ends.filter(|ip| ip.is_ipv6() == v6).map(|ip| ip.to_string());
        let address = |low: u8| if v6 { format!("fd00::{low}") } else { format!("10.0.0.{low}") };
        let there = if v6 { ethertype == [0x86, 0xdd] } else { ethertype == [8, 0] };
        let packet = address(if is_source { 1 } else { 2 });
        // A reply comes from the destination, and quotes the packet behind its own header.
        let reply = told.map(|_| address(if is_source { 2 } else { 1 }));
        same(field, joined([outermost, reply.filter(|_| there), there.then_some(packet)]));
    }
    if let Some((from, to, tos, hops)) = outer {
        let first = |field: &str| seen.get(field).split(',').next().unwrap_or_default().to_owned();
        let v6 = from.ip.is_ipv6();
        let class = first(if v6 { "ipv6.tclass" } else { "ip.dsfield" });
        assert_eq!(u32::from_str_radix(&class[2..], 16), Ok(tos.into()), "DSCP and ECN, {class}");
        assert_eq!(first(if v6 { "ipv6.hlim" } else { "ip.ttl" }), hops.to_string());
        let udp = from.port.zip(to.port);
        assert_eq!(udp.is_some(), name != "nvgre");
        let inner = (ethertype != [8, 6]).then_some(PORTS);
        same("udp.srcport", joined([udp.map(|(from, _)| from.to_string()), inner.map(|ports| ports.0.to_string())]));
        same("udp.dstport", joined([udp.map(|(_, to)| to.to_string()), inner.map(|ports| ports.1.to_string())]));
    }
    same("arp.opcode", if ethertype == [8, 6] { "1".into() } else { String::new() });
    let told_as = |v6: bool| joined([told.filter(|_| v6 == (ethertype == [0x86, 0xdd])).map(|mtu| mtu.to_string())]);
    same("icmp.mtu", told_as(false));
    same("icmpv6.mtu", told_as(true));
    // 1 is good; 2 is not verified: the checksum of a quoted datagram, of which the quote has only the beginning.
    let good = |field: &str, least: usize| {
        let all: Vec<&str> = seen.get(field).split(',').filter(|status| !status.is_empty()).collect();
        assert!(all.len() >= least && all.iter().all(|status| *status == "1"), "{field} of {:?}", seen.0);
    };
    good("ip.checksum.status", usize::from(outer.is_some_and(|(from, ..)| from.ip.is_ipv4())));
    for (field, kind) in [("icmp.checksum.status", [8, 0]), ("icmpv6.checksum.status", [0x86, 0xdd])] {
        good(field, usize::from(told.is_some() && ethertype == kind));
    }
    match told {
        Some(_) => same("udp.checksum.status", "2".into()),
        None => good("udp.checksum.status", usize::from(name != "nvgre") + usize::from(ethertype != [8, 6])),
    }
}

#[test]
fn tshark_has_no_complaint_about_anything_that_the_engine_emits() {
    let Some(tshark) = Peer::find("tshark_has_no_complaint_about_anything_that_the_engine_emits", "tshark") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (packets, path) = (everything(), folder.path().join("emitted.pcap"));
    capture(&packets, &path);
    let said = dissected(&tshark, &path);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), packets.len());
    for (line, (_, expected)) in lines.iter().zip(&packets) {
        compare(&Seen(line.split('|').collect()), expected);
    }
    say(&format!("{} packets, and tshark has nothing to say", packets.len()));
}

#[test]
fn tshark_would_complain() {
    let Some(tshark) = Peer::find("tshark_would_complain", "tshark") else { return };
    let folder = tempfile::tempdir().unwrap();
    let frame = udp(false, &[], 100);
    let options = [("geneve/options", OPTIONS)];
    let sound = Host::new("geneve", 5001, false, Search::Direct, &options).passes(&frame, &[]);
    // Ethernet 14, IPv4 20, UDP 8, Geneve 8, options 20, Ethernet 14, IPv4 20, UDP 8.
    for (at, what) in [
        (14 + 10, "outer IPv4 checksum"),
        (34 + 6, "outer UDP checksum"),
        (34 + 5, "outer UDP length"),
        (84 + 10, "inner IPv4 checksum"),
        (53, "length of an option"),
    ] {
        let mut damaged = sound.clone();
        damaged.0[at] ^= 0x04;
        let path = folder.path().join("damaged.pcap");
        capture(std::slice::from_ref(&damaged), &path);
        let said = dissected(&tshark, &path);
        let seen = Seen(said.trim_end_matches('\n').split('|').collect());
        let worst = seen.get("_ws.expert.severity").split(',').filter_map(|severity| severity.parse::<u32>().ok()).max();
        // Warning 0x600000, error 0x800000.
        assert!(worst >= Some(0x60_0000), "{what}: {said}");
    }
}

#[test]
fn our_decoder_reads_all_of_it_to_the_end() {
    let mut walker = Walker::default();
    for (bytes, expected) in everything() {
        let packet = walker.walk(&bytes, bytes.len() as u32, LinkType::ETHERNET);
        assert_eq!(packet.stop, None, "{expected:02x?}");
        assert_eq!(packet.vnis().map(Vni::get).collect::<Vec<_>>(), expected.tunnel.map(|(_, vni)| vni).into_iter().collect::<Vec<_>>());
        let mut tags = Vec::new();
        for (index, layer) in packet.layers.iter().enumerate() {
            let status = checksum::verify(&bytes, packet.layers, index);
            assert!(matches!(status, None | Some(Status::Correct)), "{status:?}, {layer:?} of {expected:02x?}");
            if let Body::Vlan(tag) = layer.body {
                tags.push(tag.id);
            }
        }
        assert_eq!(tags, expected.tags);
        if expected.told.is_none() {
            assert!(bytes.ends_with(&expected.frame), "the inner frame, as it was sent");
        }
    }
}
