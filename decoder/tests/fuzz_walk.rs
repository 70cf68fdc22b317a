//! Can any bytes make the walk or a rendering panic, run on, or say something that cannot be? One target per kind of input.
//! `OVERLAY_FUZZ_SECONDS` sets how long each runs; without it each takes two seconds.
//!
//! Random bytes hardly ever get past the first type field, so the targets also plant their input behind sound headers, spread it
//! over sound packets as damage, and do the same to the packets of the corpus.

mod json;
mod stack;

use json::Json;
use overlay_decoder::checksum::{self, Status};
use overlay_decoder::flow::FlowKey;
use overlay_decoder::layer::number::{ethertype, ip, port};
use overlay_decoder::layer::{Body, Ethernet, Ipv4, Ipv6, LayerKind, Tcp, Udp, Vxlan};
use overlay_decoder::names::Names;
use overlay_decoder::render::{self, Style};
use overlay_decoder::text::Text;
use overlay_decoder::{Config, Layer, LinkType, MAX_LAYERS, Mac, Meta, Packet, StopKind, Timestamp, UdpTunnel, Ul3, Vni, Walker};
use stack::{Choices, frame};
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

/// Bytes that a rendering may have whatever the packet is, and bytes more for each captured byte.
const TEXT_BASE: usize = 1024;
const TEXT_PER_BYTE: usize = 32;
/// What DNS may add: its names point to each other, so that 14 bytes tell a record of two names, each of up to 250 bytes that are
/// written as four. Four lists of 64 records.
const TEXT_OF_NAMES: usize = 4 * 64 * 2 * 1024;

fn seconds() -> Duration {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

fn fuzz(look: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    bolero::check!().with_iterations(usize::MAX).with_test_time(seconds()).with_max_len(2048).for_each(|input: &[u8]| look(input));
}

/// What is done to one input besides its bytes: link type, length on the wire, configuration, style.
struct Ways {
    link: LinkType,
    wire_len: u32,
    config: Config,
    link_level: bool,
}

impl Ways {
    fn choose(choices: &mut Choices<'_>, len: usize) -> Self {
        let link = match choices.below(16) {
            known @ 0..8 => LinkType::KNOWN[usize::from(known)],
            8 => LinkType(choices.half()),
            _ => LinkType::ETHERNET,
        };
        let len = len as u32;
        let wire_len = match choices.below(6) {
            0 | 1 => len,
            2 => len.saturating_sub(choices.byte().into()),
            3 => len + u32::from(choices.byte()),
            4 => len + u32::from(choices.half()) * 4,
            _ => u32::MAX - u32::from(choices.byte()),
        };
        let mut config = Config::default();
        (config.guess, config.max_tunnels) = (choices.often(4), choices.below(9));
        if choices.often(2) {
            config.add_port(choices.half(), UdpTunnel::ALL[usize::from(choices.below(3))]);
        }
        Self { link, wire_len, config, link_level: choices.often(4) }
    }

    /// Ethernet, whole, as nobody configured it.
    fn plain(len: usize) -> Self {
        Self { link: LinkType::ETHERNET, wire_len: len as u32, config: Config::default(), link_level: false }
    }
}

fn names() -> Names {
    let mut names = Names::default();
    assert!(names.add_hosts("10.0.0.0 tenant-a\nfd00:: tenant-six\n0.0.0.0 nobody\n").is_empty());
    assert!(names.add_ethers("02:00:00:00:00:00 gate\n00:00:00:00:00:00 zero\n").is_empty());
    names
}

/// Walks, renders in every way, and holds everything against everything else.
fn look(bytes: &[u8], ways: &Ways, names: &Names) {
    let mut walker = Walker::new(ways.config.clone());
    let packet = walker.walk(bytes, ways.wire_len, ways.link);
    check_layers(&packet, ways);
    check_stop(&packet);
    check_segments(&packet);
    check_checksums(&packet);
    if let Some((key, _)) = FlowKey::of(&packet) {
        assert!(key.a <= key.b);
        assert!(!format!("{} {} {} {}", key.path, key.protocol, key.a, key.b).chars().any(char::is_control));
    }
    let plain = Style { link_level: ways.link_level, verify: true, ..Style::default() };
    check_text(&packet, &plain, &[]);
    check_text(&packet, &Style { names: Some(names), color: true, verify: false, ..plain }, b"\x1b");
    check_json(&packet);
    let mut out = Text::new();
    for ascii in [false, true] {
        render::hex(bytes, ascii, &mut out);
        assert!(out.len() <= bytes.len() * 6 + 64 && out.as_bytes().iter().all(|byte| matches!(byte, b'\t' | b'\n' | b' '..=b'~')));
        out.clear();
    }
}

fn check_layers(packet: &Packet<'_>, ways: &Ways) {
    assert!(packet.wire_len as usize >= packet.bytes.len());
    assert!(packet.layers.len() <= MAX_LAYERS, "{} layers", packet.layers.len());
    let tunnels = packet.layers.iter().filter(|layer| layer.body.is_tunnel()).count();
    assert!(tunnels <= usize::from(ways.config.max_tunnels), "{tunnels} tunnels, {} are allowed", ways.config.max_tunnels);
    let mut end = 0;
    for layer in packet.layers {
        assert_eq!(layer.offset as usize, end, "{layer:?} does not start where the one before ends");
        end = layer.end();
        assert!(end <= packet.bytes.len(), "{layer:?} ends behind the {} bytes captured", packet.bytes.len());
        assert!(layer.length > 0 || matches!(layer.kind(), LayerKind::Raw | LayerKind::Ipip | LayerKind::Erspan | LayerKind::Lldp));
        assert!(
            end + layer.claimed as usize <= packet.wire_len as usize,
            "{layer:?} claims more than the {} bytes there were",
            packet.wire_len
        );
        let view = packet.view(layer);
        assert_eq!(view.header.len(), layer.length as usize);
        assert!(view.payload.len() <= layer.claimed as usize);
    }
}

fn check_stop(packet: &Packet<'_>) {
    let Some(stop) = packet.stop else { return };
    assert!(stop.offset <= packet.wire_len, "{stop}");
    assert!(stop.offset as u64 + u64::from(stop.have) <= u64::from(packet.wire_len), "{stop} of {} bytes", packet.wire_len);
    assert!(stop.need == 0 || stop.need > stop.have, "{stop}");
    match stop.kind {
        StopKind::Truncated => {
            assert!(packet.bytes.len() < packet.wire_len as usize, "nothing was cut off: {stop}");
            assert!(stop.need > stop.have);
        }
        StopKind::Malformed => assert!(stop.need > 0 || stop.reason.is_some(), "{stop:?} says nothing"),
        StopKind::Unsupported | StopKind::Depth => assert!(stop.reason.is_some(), "{stop:?} says nothing"),
    }
    assert!(matches!(packet.place(stop.offset), "inner" | "outer"));
}

fn check_segments(packet: &Packet<'_>) {
    let mut joined: Vec<Layer> = Vec::new();
    for (depth, segment) in packet.segments().enumerate() {
        assert_eq!((segment.depth, segment.tunnel.is_some()), (depth, depth > 0));
        joined.extend(segment.layers);
        if let Some((bytes, link)) = segment.frame() {
            assert!(matches!(link, LinkType::ETHERNET | LinkType::RAW));
            let mut walker = Walker::default();
            let again = walker.walk(bytes, bytes.len() as u32, link);
            let first = again.layers.iter().find(|layer| layer.kind() != LayerKind::Raw).map(|layer| layer.kind());
            let start =
                segment.layers.iter().find(|l| matches!(l.kind(), LayerKind::Ethernet | LayerKind::Ipv4 | LayerKind::Ipv6)).unwrap();
            assert_eq!(first, Some(start.kind()));
        }
    }
    assert_eq!(joined, packet.layers, "the segments are not the packet");
    assert_eq!(packet.innermost().depth + 1, packet.segments().count().max(1));
}

fn check_checksums(packet: &Packet<'_>) {
    for index in 0..packet.layers.len() {
        let status = checksum::verify(packet.bytes, packet.layers, index);
        if let (Some(Status::Incorrect { expected }), false) = (status, packet.layers[index].kind() == LayerKind::Sctp) {
            assert!(expected <= 0xffff);
        }
        // With fewer bytes than the layers were found in, too.
        let _ = checksum::verify(&packet.bytes[..packet.bytes.len() / 2], packet.layers, index);
    }
    assert_eq!(checksum::verify(packet.bytes, packet.layers, packet.layers.len()), None);
}

/// The most bytes that a rendering of this packet may have.
fn text_bound(packet: &Packet<'_>) -> usize {
    let names = packet.layers.iter().any(|layer| layer.kind() == LayerKind::Dns);
    TEXT_BASE + TEXT_PER_BYTE * packet.bytes.len() + if names { TEXT_OF_NAMES } else { 0 }
}

type Rendering = fn(&Packet<'_>, &Style<'_>, &mut Text);

fn check_text(packet: &Packet<'_>, style: &Style<'_>, controls: &[u8]) {
    let layers: Rendering = |packet, style, out| render::layers(packet, b"1 ", style, out);
    for (name, lines, rendering) in [("line", false, render::line as Rendering), ("layers", true, layers), ("tree", true, render::tree)] {
        let mut out = Text::new();
        rendering(packet, style, &mut out);
        let text = std::str::from_utf8(out.as_bytes()).expect("text is UTF-8");
        assert!(text.len() <= text_bound(packet), "{name} of {} bytes for a packet of {}:\n{text}", text.len(), packet.bytes.len());
        let steers = |c: char| c.is_control() && !(c == '\n' && lines) && !controls.contains(&(c as u8));
        assert!(!text.contains(steers), "{name} steers the terminal: {text:?}");
        assert!(!lines || text.is_empty() || text.ends_with('\n'));
    }
}

fn check_json(packet: &Packet<'_>) {
    let comments = [Cow::Borrowed("a \"comment\"\n\u{7f}")];
    let meta = Meta {
        number: 7,
        timestamp: Some(Timestamp::new(-1, 5)),
        interface: Some("e\\th"),
        direction: Some("in"),
        comments: &comments,
        again: true,
    };
    for (meta, verify) in [(&meta, true), (&Meta::default(), false)] {
        let mut out = Text::new();
        render::json(packet, meta, &Style { verify, ..Style::default() }, &mut out);
        let text = std::str::from_utf8(out.as_bytes()).expect("JSON is UTF-8");
        assert!(text.len() <= text_bound(packet), "{} bytes for {}: {text}", text.len(), packet.bytes.len());
        assert!(!text.contains(char::is_control), "one line, nothing raw: {text:?}");
        let json: Json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let keys = json.keys();
        let order = "schema number timestamp len caplen interface direction comments again vni gso layers stop".split(' ');
        let expected: Vec<&str> = order
            .filter(|key| match *key {
                "interface" | "direction" | "comments" | "again" => meta.interface.is_some(),
                "gso" => packet.gso.is_some(),
                "stop" => packet.stop.is_some(),
                _ => true,
            })
            .collect();
        assert_eq!(keys, expected);
        let vnis: Vec<u64> = json.get("vni").items().iter().map(Json::number).collect();
        let layers = json.get("layers").items();
        assert_eq!(layers.len(), packet.layers.len());
        for (json, layer) in layers.iter().zip(packet.layers) {
            assert_eq!(json.keys()[..3], ["layer", "offset", "length"]);
            assert_eq!(json.get("layer").text(), layer.kind().name());
            assert_eq!((json.get("offset").number(), json.get("length").number()), (layer.offset.into(), layer.length.into()));
        }
        check_vnis(packet, &vnis);
    }
}

/// The line tells the same identifiers in the same order, each behind the name of its tunnel.
fn check_vnis(packet: &Packet<'_>, vnis: &[u64]) {
    let mut out = Text::new();
    render::line(packet, &Style::default(), &mut out);
    let mut line = std::str::from_utf8(out.as_bytes()).unwrap();
    let tunnels = packet.layers.iter().filter(|layer| layer.body.vni().is_some());
    assert_eq!(tunnels.clone().count(), vnis.len());
    for (tunnel, vni) in tunnels.zip(vnis) {
        let told = format!("{} {vni}", tunnel.kind().name());
        let at = line.find(&told).unwrap_or_else(|| panic!("the line does not tell {told}: {line}"));
        line = &line[at + told.len()..];
        assert!(!line.starts_with(|c: char| c.is_ascii_digit()), "{told} goes on with {line}");
    }
}

/// Starts of packets that lead to a layer which random bytes do not find. The lengths in them are as large as can be.
fn openings() -> Vec<(LinkType, Vec<u8>)> {
    let ethernet = |kind: u16| Ethernet { dst: Mac([2; 6]), src: Mac([4; 6]), ethertype: kind }.emit().to_vec();
    let ipv4 = |protocol: u8| {
        let header = Ipv4::parse(&[0x45, 0, 0xff, 0xff, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        [ethernet(ethertype::IPV4), header.emit().to_vec()].concat()
    };
    let ipv6 = |next: u8| {
        let mut bytes = [0xfd; Ipv6::LENGTH];
        bytes[..8].copy_from_slice(&[0x60, 0, 0, 0, 0xff, 0xff, next, 64]);
        [ethernet(ethertype::IPV6), bytes.to_vec()].concat()
    };
    let udp = |dst_port: u16| [ipv4(ip::UDP), Udp { src_port: 40000, dst_port, length: 0xffeb, checksum: 1 }.emit().to_vec()].concat();
    let tcp = |port: u16| {
        let bytes = [0, 80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
        let header = Tcp { dst_port: port, ..Tcp::parse(&bytes) };
        [ipv4(ip::TCP), header.emit().to_vec()].concat()
    };
    let vxlan = |inner: Vec<u8>| [udp(port::VXLAN), Vxlan::parse(&[8, 0, 0, 0, 0, 0, 77, 0]).emit().to_vec(), inner].concat();
    let mut starts: Vec<Vec<u8>> =
        [0, ethertype::ARP, ethertype::VLAN, ethertype::MPLS, ethertype::NSH, ethertype::LLDP, ethertype::IPV4, ethertype::IPV6]
            .map(ethernet)
            .to_vec();
    // Spanning tree: a length, its service access points, its protocol.
    starts.push([ethernet(0x500), vec![0x42, 0x42, 3, 0, 0]].concat());
    starts.extend([ip::ICMP, ip::IGMP, ip::IPV4, ip::TCP, ip::UDP, ip::IPV6, ip::GRE, ip::ESP, ip::AH, ip::SCTP, ip::MPLS].map(ipv4));
    starts.extend([ip::HOP_BY_HOP, ip::ROUTING, ip::FRAGMENT, ip::DESTINATION, ip::ICMPV6, ip::TCP, ip::UDP, ip::GRE].map(ipv6));
    starts.extend([port::DNS, port::DHCPV6_SERVER, port::VXLAN, port::VXLAN_GPE, port::GENEVE, port::MPLS, 12345].map(udp));
    starts.extend([port::DNS, port::SVP, 80].map(tcp));
    // DHCP: the cookie, so that the options are reached.
    let mut dhcp = [udp(port::DHCP_SERVER), vec![1; 240]].concat();
    let cookie = dhcp.len() - 4;
    dhcp[cookie..].copy_from_slice(&[99, 130, 83, 99]);
    starts.push(dhcp);
    // SVP: version 1, an operation, a length.
    starts.extend([1, 2, 4, 6, 8].map(|operation| [tcp(port::SVP), vec![0, 1, 0, operation, 0, 0, 0, 24]].concat()));
    // DNS: a header that announces one of everything.
    starts.push([udp(port::DNS), vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 1, 0, 1]].concat());
    // Neighbour discovery: each type, up to its options.
    starts.extend([133, 134, 135, 136, 137].map(|kind| [ipv6(ip::ICMPV6), vec![kind, 0, 0, 0]].concat()));
    starts.push(vxlan(ethernet(ethertype::IPV4)));
    for protocol in [[0x65, 0x58], [0x88, 0xbe], [0x22, 0xeb], [0x08, 0x00]] {
        starts.push([ipv4(ip::GRE), vec![0x10, 0], protocol.to_vec()].concat());
    }
    starts.into_iter().map(|start| (LinkType::ETHERNET, start)).collect()
}

#[test]
fn any_bytes() {
    let names = names();
    fuzz(|input| {
        let mut choices = Choices(input);
        let len = choices.0.len().saturating_sub(16);
        let ways = Ways::choose(&mut choices, len);
        look(choices.0, &ways, &names);
    });
}

#[test]
fn any_bytes_behind_sound_headers() {
    let (names, openings) = (names(), openings());
    fuzz(|input| {
        let mut choices = Choices(input);
        let (link, start) = &openings[usize::from(choices.byte()) % openings.len()];
        let len = start.len() + choices.0.len();
        let mut ways = Ways::choose(&mut choices, len);
        ways.link = *link;
        look(&[start, choices.0].concat(), &ways, &names);
    });
}

#[test]
fn the_same_bytes_again_and_again() {
    // What makes tags, labels, options, records and tunnels by the hundred.
    let (names, openings) = (names(), openings());
    fuzz(|input| {
        let mut choices = Choices(input);
        let (link, start) = &openings[usize::from(choices.byte()) % openings.len()];
        let (times, length) = (usize::from(choices.byte()) * 2, usize::from(choices.below(40)) + 1);
        let mut ways = Ways::choose(&mut choices, start.len() + times * length);
        ways.link = *link;
        let unit = &choices.0[..choices.0.len().min(length)];
        look(&[start, &unit.repeat(times)[..]].concat(), &ways, &names);
    });
}

/// `sound` with each three bytes of `damage` as a place and the byte that stands there now.
fn damaged(sound: &[u8], damage: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for change in damage.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] = change[2];
    }
    bytes
}

#[test]
fn damaged_stacks() {
    let names = names();
    fuzz(|input| {
        let (damage, rest) = input.split_at(input.len().min(24));
        let mut choices = Choices(rest);
        let (tunnels, changes) = (choices.below(6), usize::from(choices.below(9)));
        let part = frame(&mut choices, tunnels);
        look(&part.bytes, &Ways::plain(part.bytes.len()), &names);
        let bytes = damaged(&part.bytes, &damage[..damage.len().min(changes * 3)]);
        let mut ways = Ways::choose(&mut choices, bytes.len());
        ways.link = LinkType::ETHERNET;
        look(&bytes, &ways, &names);
        let cut = usize::from(choices.half()) % (bytes.len() + 1);
        look(&bytes[..cut], &Ways::plain(bytes.len()), &names);
    });
}

/// The packets of the corpus: link type, bytes, length on the wire. Only plain pcap of this byte order; other formats hold the same
/// packets.
fn corpus() -> Vec<(LinkType, Vec<u8>, u32)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures/corpus");
    let mut packets = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let file = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        let word = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
        if !matches!(word(0), Some(0xa1b2_c3d4 | 0xa1b2_3c4d)) {
            continue;
        }
        let (Some(link), mut at) = (word(20), 24) else { continue };
        while let (Some(captured), Some(length)) = (word(at + 8), word(at + 12)) {
            let Some(bytes) = file.get(at + 16..).and_then(|rest| rest.get(..captured as usize)) else { break };
            at += 16 + captured as usize;
            if bytes.len() <= 4096 {
                packets.push((LinkType(link as u16), bytes.to_vec(), length));
            }
        }
    }
    assert!(packets.len() > 300, "only {} packets in {}", packets.len(), folder.display());
    packets
}

#[test]
fn the_corpus_whole_and_damaged() {
    let (names, corpus) = (names(), corpus());
    let ways = |link: LinkType, wire_len: u32| Ways { link, wire_len, ..Ways::plain(0) };
    for (link, bytes, length) in &corpus {
        look(bytes, &ways(*link, *length), &names);
        look(bytes, &ways(*link, bytes.len() as u32), &names);
    }
    fuzz(|input| {
        let mut choices = Choices(input);
        let (link, bytes, length) = &corpus[usize::from(choices.half()) % corpus.len()];
        if bytes.is_empty() {
            return;
        }
        let changes = usize::from(choices.below(8) + 1) * 3;
        let bytes = damaged(bytes, &choices.0[..choices.0.len().min(changes)]);
        look(&bytes, &ways(*link, *length), &names);
    });
}

#[test]
fn texts_of_people() {
    fuzz(|input| {
        let text = String::from_utf8_lossy(input);
        for text in [&*text, &text.chars().filter(|c| "0123456789abcdef:.[]".contains(*c)).collect::<String>()] {
            match text.parse::<Mac>() {
                Ok(mac) => assert_eq!((mac.to_string().parse(), mac.unpadded().parse()), (Ok(mac), Ok(mac))),
                Err(error) => assert!(error.to_string().contains("MAC address")),
            }
            match text.parse::<Vni>() {
                Ok(vni) => assert_eq!(vni.to_string().parse(), Ok(vni)),
                Err(error) => assert!(error.to_string().starts_with("vni ")),
            }
            match text.parse::<Ul3>() {
                Ok(address) => assert_eq!(address.to_string().parse(), Ok(address)),
                Err(error) => assert!(error.to_string().contains("underlay address")),
            }
        }
        let mut names = Names::default();
        let lines = text.lines().count();
        let prefixed: String = text.lines().map(|line| format!("10.0.0.1 {line}\n02:00:00:00:00:01 {line}\n")).collect();
        for (text, lines) in [(&*text, lines), (&prefixed, lines * 2)] {
            for refused in [names.add_hosts(text), names.add_ethers(text)] {
                assert!(refused.is_sorted() && refused.iter().all(|line| (1..=lines).contains(line)), "{refused:?} of {lines} lines");
            }
        }
        let known = [names.host([10, 0, 0, 1].into()), names.station(Mac([2, 0, 0, 0, 0, 1]))];
        assert!(known.iter().flatten().all(|name| !name.is_empty() && !name.contains(char::is_control)));
    });
}

#[test]
fn output_grows_with_the_packet_and_not_faster() {
    // Twice the bytes, at most about twice the text: long lists are cut, and nothing is told again for every layer.
    let names = names();
    for (link, start) in openings() {
        for filler in [0x00, 0x01, 0x05, 0x40, 0xc0, 0xff] {
            for length in [500, 4000, 32000] {
                let bytes = [start.clone(), vec![filler; length]].concat();
                look(&bytes, &Ways { link, ..Ways::plain(bytes.len()) }, &names);
            }
        }
    }
}

#[test]
fn names_that_point_to_names_are_told_within_bounds() {
    // One name of 250 control bytes, and hundreds of records that point to it twice.
    let label = [vec![62], vec![1; 62]].concat();
    let name = [label.repeat(4), vec![0]].concat();
    let record = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, 12];
    let message = [&[0, 1, 0x81, 0x80, 0, 1, 1, 0, 1, 0, 1, 0][..], &name, &[0, 5, 0, 1], &record.repeat(700)].concat();
    let names = names();
    for (link, start) in openings() {
        look(&[start, message.clone()].concat(), &Ways { link, ..Ways::plain(0) }, &names);
    }
}

#[test]
fn a_body_that_is_a_tunnel_says_so_by_kind_too() {
    let part = frame(&mut Choices(&[]), 3);
    assert!(part.layers.iter().filter(|layer| layer.body.is_tunnel()).all(|layer| layer.kind().is_tunnel()));
    assert_eq!(part.layers.iter().filter(|layer| matches!(layer.body, Body::Vxlan(_))).count(), 3);
}
