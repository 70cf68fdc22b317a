//! What does traffic look like that nobody has captured? Made from a seed, the same bytes everywhere.
//!
//! The host that it is made for has a VNIC in each of N virtual networks; each network has M targets elsewhere. Without an encapsulation the
//! packets are frames of the VNICs, with one they are datagrams that the targets' hosts send. [`Host`] is the configuration and the
//! mapping that go with them, so that `engine` can carry them.

use crate::edit::tunnel::{Encapsulation, STATIONS, Tunnel};
use crate::output::{Output, OutputError, Progress};
use overlay_api::config::CONFIG_MAX_BYTES;
use overlay_api::mapping::MAPPING_MAX_BYTES;
use overlay_api::{DeviceConfig, HostConfig, VnicConfig};
use overlay_captures::{Format, LinkType, Record, Timestamp, Writer};
use overlay_decoder::checksum::{Sum, internet};
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{Arp, Ethernet, Icmp};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::Carrier;
use overlay_engine::outer::{Outer, emit};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::str::FromStr;

/// What is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    /// Where all that is random comes from.
    pub(crate) seed: u64,
    /// Packets.
    pub(crate) packets: u64,
    /// Virtual networks.
    pub(crate) vnis: u32,
    /// The first one's number.
    pub(crate) first_vni: Vni,
    /// Targets in each of them.
    pub(crate) targets: u32,
    /// Packets a second, by their times.
    pub(crate) rate: u64,
    /// Bytes of a frame; several sizes without, as the Internet has them.
    pub(crate) size: Option<u16>,
    /// As datagrams from the underlay; as frames of VNICs without.
    pub(crate) encap: Option<Encapsulation>,
    /// Faults, and in how many of 1000 packets.
    pub(crate) faults: Vec<FaultRate>,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Fault {
    /// The capture cut it off.
    Truncated,
    /// A checksum is wrong: the innermost one.
    Checksum,
    /// It is of a virtual network that the host does not have.
    UnknownVni,
    /// It goes to an address that nobody has.
    UnknownMac,
}

impl Fault {
    const ALL: [(&'static str, Self); 4] = [
        ("truncated", Self::Truncated),
        ("checksum", Self::Checksum),
        ("unknown-vni", Self::UnknownVni),
        ("unknown-mac", Self::UnknownMac),
    ];
}

/// `FAULT=N`: in N of 1000 packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FaultRate(pub(crate) Fault, pub(crate) u16);

impl FromStr for FaultRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rate) = text.split_once('=').ok_or("FAULT=N is expected, as in truncated=10")?;
        let fault = Fault::ALL.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault);
        let fault = fault.ok_or_else(|| format!("{name}: no fault; truncated, checksum, unknown-vni and unknown-mac are"))?;
        match rate.parse() {
            Ok(rate @ 0..=1000) => Ok(Self(fault, rate)),
            _ => Err(format!("{text}: a number of packets in 1000 is expected, 0 to 1000")),
        }
    }
}

/// Targets that all networks together may have: as many as the address plan numbers apart.
pub(crate) const TARGETS_MAX: u32 = 0x00ff_fff0;
/// The address of the host on the underlay.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
/// Hosts of targets: 10.89.0.0 and up, this many.
const HOSTS: u32 = 4096;
/// When the first packet is captured: the corpus' date.
const START: i64 = 1_700_000_000;
/// Frame sizes and their weights of 12: the "simple IMIX" (RFC 6985 describes how to name such mixes), whose longest fits an underlay of
/// 1500 bytes.
const IMIX: [(u16, u32); 3] = [(64, 7), (576, 4), (1464, 1)];
/// The least frame: headers of IPv6 and TCP.
pub(crate) const SIZE_MIN: u16 = 74;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seedable, and good enough to mix traffic.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit.max(1))) as u32
    }
}

fn vni(order: &Order, network: u32) -> Vni {
    // Behind the last number it goes on with the first.
    Vni::new((order.first_vni.get() + network) & Vni::MAX.get()).unwrap_or_default()
}

/// The VNIC of a network.
fn vnic(network: u32) -> Mac {
    let [_, a, b, c] = network.to_be_bytes();
    Mac([0x02, 0x08, 0x21, a, b, c])
}

/// A target, the same in all networks: tenants do not know of each other.
fn target(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    Mac([0x02, 0x08, 0x20, a, b, c])
}

/// On which host a target is.
fn place(network: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([10, 89, 0, 1]) + network.wrapping_mul(31).wrapping_add(number) % HOSTS)
}

fn v4(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([10, 0, 0, 2]) + number)
}

fn v6(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfd00_u128 << 112 | u128::from(number + 2))
}

/// The addresses of VNICs in every network.
const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 254);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0xffff, 0xfffe);

/// A packet before it is written.
struct Made {
    bytes: Vec<u8>,
    /// Bytes that were captured of it.
    captured: usize,
}

/// An inner frame between two stations.
fn frame(dice: &mut Dice, ends: [(Mac, Ipv4Addr, Ipv6Addr); 2], size: usize) -> Vec<u8> {
    let [(source, source4, source6), (destination, destination4, destination6)] = ends;
    let head = |ethertype| Ethernet { src: source, dst: destination, ethertype }.emit().to_vec();
    let kind = dice.below(100);
    if kind < 2 {
        let message = Arp {
            hardware: 1,
            protocol: ethertype::IPV4,
            hardware_length: 6,
            protocol_length: 4,
            operation: Arp::REPLY,
            sender_mac: source,
            sender_ip: source4,
            target_mac: destination,
            target_ip: destination4,
        };
        return [head(ethertype::ARP), message.emit().to_vec()].concat();
    }
    let is_v6 = dice.below(4) == 0;
    let (source_ip, destination_ip): (IpAddr, IpAddr) =
        if is_v6 { (source6.into(), destination6.into()) } else { (source4.into(), destination4.into()) };
    let ip_header = if is_v6 { 40 } else { 20 };
    let (client, server) = (40_000 + dice.below(64) as u16, [443, 5001, 8443, 9200][dice.below(4) as usize]);
    let (protocol, header) = match kind {
        2..60 => (ip::TCP, 20),
        60..95 => (ip::UDP, 8),
        _ if is_v6 => (ip::UDP, 8),
        _ => (ip::ICMP, 8),
    };
    let fill = dice.next() as u8;
    let payload: Vec<u8> = (0..size.saturating_sub(14 + ip_header + header)).map(|place| fill.wrapping_add(place as u8)).collect();
    let mut sum = Sum::new();
    let (carrier, body) = match protocol {
        ip::UDP => (Carrier::Udp, payload),
        ip::ICMP => {
            let [high, low] = client.to_be_bytes();
            let mut message = [&Icmp { kind: 8, code: 0, checksum: 0, rest: [high, low, 0, 1] }.emit()[..], &payload].concat();
            let checksum = internet(&message);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
            (Carrier::Ip(protocol), message)
        }
        _ => {
            let mut segment = Vec::with_capacity(20 + payload.len());
            segment.extend(client.to_be_bytes());
            segment.extend(u16::to_be_bytes(server));
            segment.extend(dice.next().to_be_bytes());
            // 20 bytes of header, ACK, a window of 64240 (RFC 9293 3.1).
            segment.extend([0x50, 0x10, 0xfa, 0xf0, 0, 0, 0, 0]);
            segment.extend(&payload);
            match (source_ip, destination_ip) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => sum.add_pseudo_v4(source, destination, protocol, segment.len() as u32),
                (IpAddr::V6(source), IpAddr::V6(destination)) => sum.add_pseudo_v6(source, destination, protocol, segment.len() as u32),
                _ => {}
            }
            sum.add(&segment);
            segment[16..18].copy_from_slice(&sum.checksum().to_be_bytes());
            (Carrier::Ip(protocol), segment)
        }
    };
    let mut bytes = head(if is_v6 { ethertype::IPV6 } else { ethertype::IPV4 });
    let outer = Outer {
        source: Ul3 { ip: source_ip, port: Some(client) },
        destination: Ul3 { ip: destination_ip, port: Some(server) },
        tos: 0,
        ttl: 64,
        dont_fragment: true,
        identification: 0,
        flow_label: 0,
        carrier,
    };
    // Sizes are below what an IP packet holds, and both ends are of one family: it is always written.
    let _ = emit(&mut bytes, &outer, &body);
    bytes
}

fn packet(order: &Order, dice: &mut Dice) -> Made {
    let network = dice.below(order.vnis);
    let number = dice.below(order.targets);
    let size = order.size.unwrap_or_else(|| {
        let place = dice.below(12);
        let mut before = 0;
        IMIX.iter().find(|(_, weight)| (before += weight, place < before).1).map_or(64, |(size, _)| *size)
    });
    let hit = |dice: &mut Dice, fault| order.faults.iter().any(|rate| rate.0 == fault && dice.below(1000) < u32::from(rate.1));
    let stranger = hit(dice, Fault::UnknownMac);
    let unknown = hit(dice, Fault::UnknownVni);
    let wrong = hit(dice, Fault::Checksum);
    let cut = hit(dice, Fault::Truncated);
    let own = (if stranger && order.encap.is_some() { target(TARGETS_MAX) } else { vnic(network) }, OWN_V4, OWN_V6);
    let other = (if stranger && order.encap.is_none() { target(TARGETS_MAX) } else { target(number) }, v4(number), v6(number));
    let ends = if order.encap.is_some() { [other, own] } else { [own, other] };
    let mut bytes = frame(dice, ends, size.into());
    // The last bytes of the payload are in the innermost checksum; of ARP, which has none, they are its addresses.
    if wrong && let Some(last) = bytes.last_mut() {
        *last ^= 0x55;
    }
    if let Some(encapsulation) = order.encap {
        // Of a network behind all that there are.
        let vni = vni(order, if unknown { order.vnis } else { network });
        let to = Ul3 { ip: HOST.into(), port: encapsulation.port() };
        let tunnel = Tunnel { encapsulation, vni, from: place(network, number).into(), to, stations: STATIONS, ttl: 64 };
        if let Ok(outer) = tunnel.wrap(&bytes) {
            bytes = outer;
        }
    } else if unknown {
        // A VNIC that the host does not have.
        bytes[6..12].copy_from_slice(&vnic(order.vnis).0);
    }
    let captured = if cut { 14 + dice.below((bytes.len() - 14) as u32) as usize } else { bytes.len() };
    Made { bytes, captured }
}

/// The configuration and mappings that go with what is made.
pub(crate) struct Host;

/// Bytes of an entry of a mapping at most.
const ENTRY_BYTES: usize = 110;

impl Host {
    /// Writes `host.json`, and a mapping `ovN.json` for each network, into a folder that is made if it is not there.
    pub(crate) fn write(order: &Order, folder: &Path) -> Result<(), OutputError> {
        let failed = |error: std::io::Error| OutputError(format!("{}: {error}", folder.display()));
        Self::check(order)?;
        std::fs::create_dir_all(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let encapsulation = order.encap.unwrap_or(Encapsulation::Vxlan);
        let name = encapsulation.name();
        let mut config = HostConfig::default();
        let word = |text: String| text.parse().map_err(|error| OutputError(format!("{error}")));
        let mapping = |network: u32| folder.join(format!("ov{}.json", vni(order, network)));
        for network in 0..order.vnis {
            let overlay: overlay_api::LinkName = word(format!("ov{}", vni(order, network)))?;
            config.devices.push(DeviceConfig {
                name: overlay.clone(),
                encapsulation: name.parse().map_err(|error| OutputError(format!("{error}")))?,
                search: "files".parse().map_err(|error| OutputError(format!("{error}")))?,
                vnetid: vni(order, network),
                properties: BTreeMap::from([
                    (format!("{name}/listen_ip"), HOST.to_string()),
                    ("files/config".to_owned(), mapping(network).display().to_string()),
                ]),
            });
            let vnic_name = word(format!("vnic{network}"))?;
            config.vnics.push(VnicConfig { name: vnic_name, device: overlay, mac: vnic(network), mtu: None, namespace: None });
        }
        config.check().map_err(|error| OutputError(error.to_string()))?;
        let config = config.to_json();
        if config.len() > CONFIG_MAX_BYTES {
            let (vnis, bytes) = (order.vnis, config.len());
            let why = format!("--host: the configuration of {vnis} networks has {bytes} bytes: {CONFIG_MAX_BYTES} are read");
            return Err(OutputError(why));
        }
        for network in 0..order.vnis {
            Self::text(&mapping(network), |text| {
                let mut separator = "{\n";
                for number in 0..order.targets {
                    let port = encapsulation.port().map_or_else(String::new, |port| format!(", \"port\": {port}"));
                    let (ip, arp, ndp) = (place(network, number), v4(number), v6(number));
                    // Into a text: it cannot fail.
                    let _ = write!(
                        text,
                        "{separator}\"{}\": {{\"ip\": \"{ip}\"{port}, \"arp\": \"{arp}\", \"ndp\": \"{ndp}\"}}",
                        target(number)
                    );
                    separator = ",\n";
                }
                text.push_str("\n}\n");
            })?;
        }
        Self::text(&folder.join("host.json"), |text| *text = config)
    }

    /// Whether `engine` could read what would be written: said before anything is.
    fn check(order: &Order) -> Result<(), OutputError> {
        let most = MAPPING_MAX_BYTES / ENTRY_BYTES;
        if order.targets as usize > most {
            let targets = order.targets;
            let why = format!(
                "--host: {targets} targets in a network: up to {most} have room in a mapping that can be read ({MAPPING_MAX_BYTES} bytes)"
            );
            return Err(OutputError(why));
        }
        Ok(())
    }

    fn text(path: &Path, fill: impl FnOnce(&mut String)) -> Result<(), OutputError> {
        let mut text = String::new();
        fill(&mut text);
        Output::whole(path, |mut file| file.write_all(text.as_bytes()).map_err(|error| OutputError(format!("{}: {error}", path.display()))))
    }
}

/// Makes a capture.
pub(crate) fn run(order: &Order, output: &Path, format: Option<Format>) -> Result<(), OutputError> {
    let format = format.or_else(|| Format::from_path(output)).map_or(Format::PcapNano, |format| match format {
        Format::Pcap => Format::PcapNano,
        other => other,
    });
    let mut dice = Dice(order.seed);
    let mut progress = Progress::over(Path::new(""), "made");
    Output::write(output, format, |writer: &mut Writer| {
        for number in 0..order.packets {
            let made = packet(order, &mut dice);
            let ns = u128::from(number) * 1_000_000_000 / u128::from(order.rate);
            let at = Timestamp::new(START.saturating_add((ns / 1_000_000_000) as i64), (ns % 1_000_000_000) as u32);
            let len = u32::try_from(made.bytes.len()).unwrap_or(u32::MAX);
            let record = Record::new(LinkType::ETHERNET, at, &made.bytes[..made.captured]).with_len(len);
            writer.write(&record).map_err(|error| OutputError(error.to_string()))?;
            if number % 4096 == 0 {
                progress.at(writer.bytes());
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_captures::{Chunk, Reader};
    use overlay_decoder::Walker;
    use overlay_decoder::checksum::{Status, verify};

    fn order() -> Order {
        Order {
            seed: 1,
            packets: 2000,
            vnis: 5,
            first_vni: Vni::new(77).unwrap(),
            targets: 20,
            rate: 1_000_000,
            size: None,
            encap: Some(Encapsulation::Vxlan),
            faults: vec![],
        }
    }

    /// Packets, those that stop early or have a bad checksum, those cut off, and their virtual networks.
    fn judge(order: &Order) -> (usize, usize, usize, std::collections::BTreeSet<u32>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made.pcap");
        run(order, &path, None).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let (mut chunk, mut walker) = (Chunk::new(), Walker::default());
        let (mut all, mut bad, mut cut, mut vnis) = (0, 0, 0, std::collections::BTreeSet::new());
        while reader.next_chunk(&mut chunk).unwrap() {
            for record in chunk.records() {
                let packet = walker.walk(record.bytes, record.len, record.link);
                let wrong = |index| matches!(verify(packet.bytes, packet.layers, index), Some(Status::Incorrect { .. } | Status::Partial));
                all += 1;
                cut += usize::from(record.bytes.len() < record.len as usize);
                bad += usize::from((0..packet.layers.len()).any(wrong));
                vnis.extend(packet.vnis().map(Vni::get));
            }
        }
        (all, bad, cut, vnis)
    }

    #[test]
    fn what_is_made_is_sound_and_of_all_networks() {
        for encap in [None, Some(Encapsulation::Vxlan), Some(Encapsulation::Geneve), Some(Encapsulation::Nvgre)] {
            let (all, bad, cut, vnis) = judge(&Order { encap, ..order() });
            let networks = if encap.is_some() { (77..82).collect() } else { [].into() };
            assert_eq!((all, bad, cut, vnis), (2000, 0, 0, networks), "{encap:?}");
        }
    }

    #[test]
    fn a_host_that_engine_could_not_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("host");
        let most = (MAPPING_MAX_BYTES / ENTRY_BYTES) as u32;
        let sentence = Host::write(&Order { targets: most + 1, ..order() }, &host).unwrap_err().to_string();
        assert_eq!(sentence, "--host: 610081 targets in a network: up to 610080 have room in a mapping that can be read (67108864 bytes)");
        assert!(!host.exists());
        let sentence = Host::write(&Order { vnis: 65_535, targets: 1, ..order() }, &host).unwrap_err().to_string();
        assert!(
            sentence.starts_with("--host: the configuration of 65535 networks has ") && sentence.ends_with(": 16777216 are read"),
            "{sentence}"
        );
        assert_eq!(std::fs::read_dir(&host).unwrap().count(), 0, "not a part of it either");
        // The longest entry has room: the last target, behind a separator.
        Host::write(&Order { vnis: 1, targets: 70_000, ..order() }, &host).unwrap();
        let mapping = std::fs::read_to_string(host.join("ov77.json")).unwrap();
        let longest = mapping.lines().map(str::len).max().unwrap();
        // Of the largest address plan three digits more: 10.255.x.y for 10.1.x.y, and an fd00:: of two groups.
        assert!((90..ENTRY_BYTES - 5).contains(&longest), "{longest}");
    }

    #[test]
    fn faults_are_made_as_often_as_was_asked() {
        let faults = ["truncated=100", "checksum=50", "unknown-vni=1000"].map(|text| text.parse().unwrap()).to_vec();
        let (all, bad, cut, vnis) = judge(&Order { faults, ..order() });
        assert_eq!((all, vnis), (2000, [82].into()));
        assert!((120..280).contains(&cut) && (40..160).contains(&bad), "{cut} cut off, {bad} with a bad checksum");
        assert!("loose=1".parse::<FaultRate>().unwrap_err().starts_with("loose: no fault;"));
        assert!("checksum=1001".parse::<FaultRate>().unwrap_err().contains("0 to 1000"));
    }

    #[test]
    fn a_seed_decides_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |seed| {
            let path = folder.path().join("made.pcap");
            run(&Order { seed, ..order() }, &path, None).unwrap();
            std::fs::read(&path).unwrap()
        };
        assert!(bytes(1) == bytes(1) && bytes(1) != bytes(2));
    }

    #[test]
    fn the_host_that_goes_with_it_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        Host::write(&order(), folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("host.json")).unwrap();
        let config = HostConfig::parse("host.json", &text).unwrap();
        assert_eq!((config.devices.len(), config.vnics.len()), (5, 5));
        let text = std::fs::read_to_string(folder.path().join("ov77.json")).unwrap();
        let mapping = overlay_api::Mapping::parse("ov77.json", &text).unwrap();
        assert_eq!(mapping.len(), 20);
        mapping.check(true).unwrap();
    }
}
