use super::*;
use crate::edit::tunnel::{Encapsulation, STATIONS};
use overlay_captures::Timestamp;
use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::{Body, LayerKind};
use overlay_decoder::render::{self, Style};
use overlay_decoder::text::Text;
use overlay_decoder::{Ul3, Walker};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::LazyLock;

/// The packets of the corpus that can be read, each with the name of its capture.
fn corpus() -> Vec<(String, Frame)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let Ok(mut reader) = Reader::open(&path) else { continue };
        let mut chunk = Chunk::new();
        while let Ok(true) = reader.next_chunk(&mut chunk) {
            for record in chunk.records() {
                all.push((format!("{} {}", path.file_name().unwrap().display(), record.number), Frame::of(&record)));
            }
        }
    }
    assert!(all.len() > 400, "the corpus has {} packets", all.len());
    all
}

fn record(frame: &Frame) -> Record<'_> {
    Record::new(frame.link, Timestamp::new(1, 2), &frame.bytes).with_len(frame.len)
}

/// What one packet becomes, and why it did not become another.
fn edited(recipe: &Recipe, frame: &Frame) -> Result<Frame, String> {
    let mut editor = Editor::new(recipe);
    match editor.edit(&record(frame)) {
        Edited::Frame(new) => match editor.report.refused.keys().next() {
            None => Ok(new),
            Some(why) => {
                assert!(new == *frame, "a refused packet has changed");
                Err(why.clone())
            }
        },
        Edited::LeftOut => Err(editor.report.refused.keys().next().unwrap().clone()),
        Edited::Failed(why) => panic!("failed without being asked to: {why}"),
    }
}

fn tunnel(encapsulation: Encapsulation, from: &str, to: &str) -> Recipe {
    let to = Ul3 { ip: to.parse().unwrap(), port: encapsulation.port() };
    let vni = Vni::new(5001).unwrap();
    Recipe { encap: Some(Tunnel { encapsulation, vni, from: from.parse().unwrap(), to, stations: STATIONS, ttl: 64 }), ..Recipe::default() }
}

fn line(frame: &Frame) -> String {
    let mut walker = Walker::default();
    let mut text = Text::new();
    render::line(&walker.walk(&frame.bytes, frame.len, frame.link), &Style::default(), &mut text);
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

/// The checksums that are not right.
fn wrong(frame: &Frame) -> Vec<String> {
    let mut walker = Walker::default();
    let packet = walker.walk(&frame.bytes, frame.len, frame.link);
    let status = |index| checksum::verify(&frame.bytes, packet.layers, index);
    let wrong = (0..packet.layers.len()).filter(|index| matches!(status(*index), Some(Status::Incorrect { .. } | Status::Partial)));
    wrong.map(|index| format!("{} at {}", packet.layers[index].kind().name(), packet.layers[index].offset)).collect()
}

#[test]
fn into_a_tunnel_and_out_of_it_is_every_packet_of_the_corpus_as_it_was() {
    let all = [
        tunnel(Encapsulation::Vxlan, "192.0.2.1", "192.0.2.2"),
        tunnel(Encapsulation::Geneve, "fd00::1", "fd00::2"),
        tunnel(Encapsulation::Geneve, "192.0.2.1", "192.0.2.2"),
        tunnel(Encapsulation::Nvgre, "192.0.2.1", "192.0.2.2"),
    ];
    let out = Recipe { decap: 1, ..Recipe::default() };
    let corpus = corpus();
    for into in all {
        let (mut there, mut refused) = (0, BTreeMap::new());
        for (name, frame) in &corpus {
            match edited(&into, frame) {
                Ok(inside) => {
                    let missing = frame.len as usize - frame.bytes.len();
                    assert_eq!(inside.len as usize - inside.bytes.len(), missing, "{name}");
                    assert!(edited(&out, &inside).as_ref() == Ok(frame), "{name}: {}", line(&inside));
                    there += 1;
                }
                Err(why) => *refused.entry(why).or_insert(0) += 1,
            }
        }
        // What cannot be put in: bare IP, link types without a place for it, and what is longer than an IP packet.
        let reasons = [
            "--encap: vxlan carries Ethernet",
            "--encap: nvgre carries",
            "--encap: its link",
            "--encap: outer packet: ",
            "--encap: link type",
            "--encap: not an IP packet",
        ];
        assert!(refused.keys().all(|why: &String| reasons.iter().any(|reason| why.starts_with(reason))), "{refused:?}");
        assert!(there > corpus.len() * 9 / 10, "{there} of {}: {refused:?}", corpus.len());
    }
}

#[test]
fn what_is_put_into_a_tunnel_has_right_lengths_and_checksums_outside() {
    for into in [tunnel(Encapsulation::Vxlan, "192.0.2.1", "192.0.2.2"), tunnel(Encapsulation::Geneve, "fd00::1", "fd00::2")] {
        for (name, frame) in corpus() {
            let Ok(inside) = edited(&into, &frame) else { continue };
            let mut walker = Walker::default();
            let packet = walker.walk(&inside.bytes, inside.len, inside.link);
            let outer = packet.segments().next().unwrap();
            for (index, layer) in outer.layers.iter().enumerate() {
                let status = checksum::verify(&inside.bytes, packet.layers, index);
                let cut = inside.bytes.len() < inside.len as usize;
                assert!(
                    matches!(status, None | Some(Status::Correct)) || cut && status == Some(Status::Zero),
                    "{name}: {layer:?} {status:?}"
                );
                let said = match layer.body {
                    Body::Ipv4(header) => Some((u32::from(header.total_length), layer.length + layer.claimed)),
                    Body::Ipv6(header) => Some((u32::from(header.payload_length), layer.claimed)),
                    Body::Udp(header) => Some((u32::from(header.length), layer.length + layer.claimed)),
                    _ => None,
                };
                assert!(
                    said.is_none_or(|(said, is)| said == is && layer.offset + layer.length + layer.claimed == inside.len),
                    "{name}: {layer:?}"
                );
            }
        }
    }
}

#[test]
fn changed_packets_of_the_corpus_have_no_wrong_checksum_left() {
    let place = |text: &str| text.parse().unwrap();
    let recipes = [
        Recipe {
            maps: vec!["any.ip=10.0.0.0/8=11.0.0.0/8".parse().unwrap(), "any.ip=fd00::/8=fe00::/8".parse().unwrap()],
            ..Recipe::default()
        },
        Recipe { sets: vec![place("outer.ip.src=1.2.3.4"), place("inner.port.dst=9")], ..Recipe::default() },
        Recipe { vni_map: vec![(Vni::new(77).unwrap(), Vni::new(1077).unwrap())], ..Recipe::default() },
        Recipe { anonymise: Some([5; 16]), ..Recipe::default() },
        Recipe { mtu: Some(120), ..Recipe::default() },
    ];
    let corpus = corpus();
    for recipe in recipes {
        let mut changed = 0;
        for (name, frame) in &corpus {
            if let Ok(new) = edited(&recipe, frame)
                && new != *frame
            {
                changed += 1;
                assert_eq!(wrong(&new), [""; 0], "{name}: {}", line(&new));
            }
        }
        assert!(changed > 20, "{recipe:?} changed {changed}");
    }
}

/// A frame of the corpus.
fn from(capture: &str) -> Frame {
    corpus()
        .into_iter()
        .find(|(name, _)| name == capture)
        .map(|(_, frame)| frame)
        .unwrap_or_else(|| panic!("{capture} is not in the corpus"))
}

#[test]
fn inner_addresses_are_changed_and_the_outer_ones_stay() {
    let frame = from("kernel-vxlan-ipv4.pcap 3");
    assert_eq!(line(&frame), "10.88.0.1 > 10.88.0.2 vxlan 77 | 10.0.0.1 > 10.0.0.2 icmp echo request id 7 seq 1 len 32");
    let recipe = Recipe {
        maps: vec!["inner.ip=10.0.0.0/24=172.16.5.0/24".parse().unwrap()],
        sets: vec!["outer.ip.dst=10.99.0.9".parse().unwrap()],
        vni_map: vec![(Vni::new(77).unwrap(), Vni::MAX)],
        ..Recipe::default()
    };
    let new = edited(&recipe, &frame).unwrap();
    assert_eq!(line(&new), "10.88.0.1 > 10.99.0.9 vxlan 16777215 | 172.16.5.1 > 172.16.5.2 icmp echo request id 7 seq 1 len 32");
    assert_eq!(wrong(&new), [""; 0]);
}

#[test]
fn any_depth_can_be_named() {
    let frame = from("nested-3.pcap 1");
    let before = line(&frame);
    for (depth, set) in [(1, "2.ip.src=9.9.9.2"), (2, "3.ip.src=9.9.9.3"), (3, "inner.ip.src=9.9.9.4"), (3, "4.ip.src=9.9.9.5")] {
        let new = edited(&Recipe { sets: vec![set.parse().unwrap()], ..Recipe::default() }, &frame).unwrap();
        let (old, new_line) = (before.split(" | ").collect::<Vec<_>>(), line(&new));
        let parts: Vec<_> = new_line.split(" | ").collect();
        for (place, (old, new)) in old.iter().zip(&parts).enumerate() {
            assert_eq!(old == new, place != depth, "{set}: {new_line}");
        }
        assert!(parts[depth].starts_with("9.9.9."), "{set}: {new_line}");
        assert_eq!(wrong(&new), [""; 0]);
    }
}

#[test]
fn a_place_that_no_packet_has_is_said() {
    let frame = from("ethernet-arp.pcap 1");
    let mut editor = Editor::new(&Recipe { decap: 1, sets: vec!["inner.ip.src=1.2.3.4".parse().unwrap()], ..Recipe::default() });
    assert!(matches!(editor.edit(&record(&frame)), Edited::Frame(new) if new == frame));
    let report = editor.report();
    assert!(!report.is_complete());
    assert_eq!(
        report.to_string(),
        "1 packet read, 0 changed, 0 left out\n--decap: no packet has what it speaks of\n--set inner.ip.src: no packet has what it speaks of\n"
    );
}

#[test]
fn an_arp_message_and_a_quote_follow_their_stations() {
    let maps = vec!["any.ip=10.0.0.1=10.0.0.77".parse().unwrap(), "any.mac=02:08:20:0a:00:01=02:00:00:00:00:77".parse().unwrap()];
    let recipe = Recipe { maps, ..Recipe::default() };
    let arp = edited(&recipe, &from("ethernet-arp.pcap 1")).unwrap();
    assert!(line(&arp).ends_with("who-has 10.0.0.2 tell 10.0.0.77"), "{}", line(&arp));
    assert_eq!((arp.bytes[6..12].to_vec(), arp.bytes[22..28].to_vec()), (vec![2, 0, 0, 0, 0, 0x77], vec![2, 0, 0, 0, 0, 0x77]));
    let quoting = from("icmp.pcap 3");
    let new = edited(&recipe, &quoting).unwrap();
    let quoted = &new.bytes[42..62];
    assert!(quoted.windows(4).any(|four| four == [10, 0, 0, 77]), "{}", line(&new));
    assert_eq!(checksum::internet(quoted), 0, "the checksum of the quoted header");
}

#[test]
fn a_cut_packet_fits_and_its_lengths_say_so() {
    let frame = from("kernel-vxlan-ipv4.pcap 3");
    let new = edited(&Recipe { mtu: Some(100), ..Recipe::default() }, &frame).unwrap();
    assert_eq!((new.bytes.len(), new.len), (114, 114));
    assert_eq!((u16::from_be_bytes([new.bytes[16], new.bytes[17]]), wrong(&new)), (100, vec![]));
    assert_eq!(u16::from_be_bytes([new.bytes[66], new.bytes[67]]), 50, "the inner IP packet is cut, too");
    let headers = edited(&Recipe { mtu: Some(68), ..Recipe::default() }, &frame).unwrap_err();
    assert_eq!(headers, "--mtu: its headers alone are longer than the MTU");
}

#[test]
fn nothing_of_a_payload_or_a_station_is_left_when_anonymous() {
    let recipe = Recipe { anonymise: Some([9; 16]), ..Recipe::default() };
    for (name, frame) in corpus() {
        let Ok(new) = edited(&recipe, &frame) else { continue };
        for secret in [&b"tenant"[..], &b"www"[..], &[10, 0, 0, 1][..], &[10, 88, 0, 2][..]] {
            // Sequence numbers and the like may hold any bytes; these captures' do not.
            assert!(!new.bytes.windows(secret.len()).any(|bytes| bytes == secret), "{name}: {secret:?} in {}", line(&new));
        }
    }
}

/// One recipe for each step, and one with many.
fn all_recipes() -> Vec<Recipe> {
    let sets = || vec!["any.ip.src=1.2.3.4".parse().unwrap(), "any.port.dst=9".parse().unwrap(), "any.vlan=7".parse().unwrap()];
    let maps = || vec!["any.ip=0.0.0.0/1=128.0.0.0/1".parse().unwrap(), "any.ip=::/1=8000::/1".parse().unwrap()];
    let vni_map = || vec![(Vni::new(77).unwrap(), Vni::new(78).unwrap())];
    let one = Recipe::default;
    vec![
        Recipe { decap: 2, ..one() },
        tunnel(Encapsulation::Vxlan, "192.0.2.1", "192.0.2.2"),
        tunnel(Encapsulation::Geneve, "fd00::1", "fd00::2"),
        Recipe { vni_map: vni_map(), sets: sets(), ..one() },
        Recipe { maps: maps(), ..one() },
        Recipe { anonymise: Some([3; 16]), ..one() },
        Recipe { mtu: Some(100), ..one() },
        Recipe { decap: 1, sets: sets(), maps: maps(), anonymise: Some([3; 16]), mtu: Some(68), ..one() },
    ]
}

static CORPUS: LazyLock<Vec<(String, Frame)>> = LazyLock::new(corpus);
const LINKS: [LinkType; 8] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
];

/// Nothing is asserted but that every edit comes to an end, and that a packet that stays has no more captured bytes than it was long.
fn survives(frame: &Frame) {
    for recipe in all_recipes() {
        if let Ok(new) = edited(&recipe, frame) {
            assert!(new.bytes.len() <= new.len as usize, "{recipe:?}: {new:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_survive_every_edit(bytes in prop::collection::vec(any::<u8>(), 0..200), link in 0..LINKS.len(), more: u32) {
        survives(&Frame { len: (bytes.len() as u32).saturating_add(more), bytes, link: LINKS[link] });
    }

    #[test]
    fn damaged_packets_of_the_corpus_survive_every_edit(
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in prop_oneof![3 => Just(0), 1 => any::<u32>()],
    ) {
        let mut frame = CORPUS[which.index(CORPUS.len())].1.clone();
        // Headers are where it hurts.
        let head = frame.bytes.len().min(160);
        for (place, value) in damage {
            if head > 0 {
                frame.bytes[place.index(head)] = value;
            }
        }
        if let Some(cut) = cut {
            frame.bytes.truncate(cut.index(frame.bytes.len() + 1));
        }
        frame.len = frame.len.saturating_add(more);
        survives(&frame);
    }
}

/// An ICMP error over IPv4 that quotes these bytes, in a frame of Ethernet.
fn quoting(quoted: &[u8]) -> Frame {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1];
    ip[2..4].copy_from_slice(&(28 + quoted.len() as u16).to_be_bytes());
    let sum = checksum::internet(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut icmp = [&[3, 1, 0, 0, 0, 0, 0, 0], quoted].concat();
    let sum = checksum::internet(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(ip);
    bytes.extend(icmp);
    let len = bytes.len() as u32;
    Frame { bytes, len, link: LinkType::ETHERNET }
}

#[test]
fn a_quoted_header_that_says_it_is_shorter_than_itself_is_no_header() {
    for first in [0x40, 0x41, 0x44] {
        let quoted = [&[first, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[0xab; 20]].concat();
        let frame = quoting(&quoted);
        survives(&frame);
        let new = edited(&Recipe { anonymise: Some([3; 16]), ..Recipe::default() }, &frame).unwrap();
        assert_eq!((&new.bytes[42..], wrong(&new)), (&[0; 40][..], vec![]), "nothing of it is told");
    }
}

#[test]
fn a_record_of_any_length_is_refused_before_room_is_made_for_it() {
    let frame = Frame { len: u32::MAX, ..from("kernel-vxlan-ipv4.pcap 3") };
    let why = edited(&tunnel(Encapsulation::Vxlan, "192.0.2.1", "192.0.2.2"), &frame).unwrap_err();
    assert_eq!(why, "--encap: outer packet: 4294967295 bytes go into it, an IP packet holds 65535");
}

#[test]
fn what_cannot_be_replaced_is_blanked_when_anonymous() {
    let recipe = Recipe { anonymise: Some([3; 16]), ..Recipe::default() };
    // Options of a quoted header, and what a quoted fragment carries where others have ports.
    let mut head = [&[0x46, 0, 0, 52, 0, 0, 0x20, 5, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[7, 4, 99, 98]].concat();
    let sum = checksum::internet(&head);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    let new = edited(&recipe, &quoting(&[&head[..], &[0xab; 28]].concat())).unwrap();
    assert_eq!((&new.bytes[62..], wrong(&new)), (&[0; 32][..], vec![]));
    assert_eq!(checksum::internet(&new.bytes[42..66]), 0, "the checksum of the quoted header");
    // The gateway that a quoted redirect names.
    let mut redirect = [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[5, 1, 0, 0, 10, 0, 0, 7]].concat();
    let sum = checksum::internet(&redirect[20..]);
    redirect[22..24].copy_from_slice(&sum.to_be_bytes());
    let new = edited(&recipe, &quoting(&redirect)).unwrap();
    assert_eq!((&new.bytes[66..], checksum::internet(&new.bytes[62..])), (&[0; 4][..], 0));
    // A quoted header of which the capture has all but the last byte of an address.
    let mut cut = quoting(&[&head[..20], &[0xab; 28]].concat());
    cut.bytes.truncate(42 + 19);
    let new = edited(&recipe, &cut).unwrap();
    assert_eq!((&new.bytes[54..], new.len), (&[0; 7][..], cut.len));
    // A link address that is none of Ethernet's: hardware 65534, 8 bytes; and one of Ethernet's with two bytes of rest behind it.
    let ip = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0x66, 0xd7, 10, 0, 0, 1, 10, 0, 0, 2];
    for (hardware, length, blank) in [(0xfffe_u16, 8, 0), (1, 6, 6), (1, 8, 0), (772, 6, 0)] {
        let [high, low] = hardware.to_be_bytes();
        let sll = [&[0, 0, high, low, 0, length][..], &[0xaa; 8], &[8, 0], &ip].concat();
        let sll2 = [&[8, 0, 0, 0, 0, 0, 0, 1, high, low, 0, length][..], &[0xaa; 8], &ip].concat();
        for (link, bytes, at) in [(LinkType::LINUX_SLL, sll, 6), (LinkType::LINUX_SLL2, sll2, 12)] {
            let new = edited(&recipe, &Frame { len: bytes.len() as u32, bytes, link }).unwrap();
            assert_eq!(new.bytes[at + blank..at + 8], [0; 8][blank..], "{link} {hardware} {length}");
            assert_ne!(new.bytes[at..at + 6], [0xaa; 6], "{link} {hardware} {length}");
        }
    }
}

#[test]
fn options_of_neighbour_discovery_that_name_somebody_in_another_way_are_blanked_when_anonymous() {
    let recipe = Recipe { anonymise: Some([3; 16]), ..Recipe::default() };
    let solicit = |options: &[u8]| {
        let mut icmp = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], options].concat();
        let (from, to) = ("fd00::1".parse().unwrap(), "ff02::1:ff00:2".parse().unwrap());
        let mut sum = checksum::Sum::new();
        sum.add_pseudo_v6(from, to, 58, icmp.len() as u32);
        sum.add(&icmp);
        icmp[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        let mut bytes = vec![0x33, 0x33, 0xff, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, icmp.len() as u8, 58, 255];
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend(icmp);
        Frame { len: bytes.len() as u32, bytes, link: LinkType::ETHERNET }
    };
    const OPTIONS: usize = 14 + 40 + 24;
    // A link address of 14 bytes, a prefix of another length, an option nobody knows.
    for option in [[&[1, 2][..], &[0xab; 14]].concat(), [&[3, 2][..], &[0xab; 14]].concat(), [&[99, 1][..], &[0xab; 6]].concat()] {
        let new = edited(&recipe, &solicit(&option)).unwrap();
        assert_eq!(new.bytes[OPTIONS..OPTIONS + 2], option[..2]);
        assert!(new.bytes[OPTIONS + 2..].iter().all(|byte| *byte == 0) && wrong(&new).is_empty(), "{:?}", &new.bytes[OPTIONS..]);
    }
    let whole = solicit(&[1, 1, 2, 0, 0, 0, 0, 1]);
    let new = edited(&recipe, &whole).unwrap();
    assert_eq!(new.bytes[OPTIONS + 2..], new.bytes[6..12], "the link address is that of the frame");
    // Cut off in the link address, and in the target.
    for (kept, from) in [(OPTIONS + 7, OPTIONS + 2), (OPTIONS - 1, OPTIONS - 16)] {
        let mut cut = whole.clone();
        cut.bytes.truncate(kept);
        let new = edited(&recipe, &cut).unwrap();
        assert!(new.bytes[from..].iter().all(|byte| *byte == 0) && new.bytes.len() == kept, "{kept}: {:?}", &new.bytes[from..]);
    }
}

#[test]
fn a_solicitation_in_parts_is_not_made_anonymous_with_a_checksum_that_will_be_wrong() {
    let recipe = Recipe { anonymise: Some([3; 16]), ..Recipe::default() };
    // The first part of it: its options, which are blanked, go on in the next one (RFC 6980 forbids it, and somebody does it).
    let icmp =
        [&[135, 0, 0x12, 0x34, 0, 0, 0, 0][..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], &[14, 2], &[0xab; 14]].concat();
    let solicit = |more: u8| {
        let fragment = [58, 0, 0, more, 0, 0, 0, 7];
        let ip = [0x60, 0, 0, 0, 0, (fragment.len() + icmp.len()) as u8, 44, 255];
        let ends = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let ethernet = [0x33, 0x33, 0xff, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
        let mut bytes = [&ethernet[..], &ip, &ends, &[1], &ends, &[2], &fragment, &icmp].concat();
        let mut sum = checksum::Sum::new();
        bytes[64..66].fill(0);
        sum.add_pseudo_v6("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 58, icmp.len() as u32);
        sum.add(&bytes[62..]);
        bytes[64..66].copy_from_slice(&sum.checksum().to_be_bytes());
        Frame { len: bytes.len() as u32, bytes, link: LinkType::ETHERNET }
    };
    assert_eq!(edited(&recipe, &solicit(1)).unwrap_err(), "--anonymise: it is a fragment whose checksum covers what others carry");
    let whole = edited(&recipe, &solicit(0)).unwrap();
    assert_eq!(wrong(&whole), [""; 0], "a lone fragment is whole");
}

#[test]
fn an_interface_has_no_name_but_its_number_when_anonymous() {
    let interface =
        Interface { index: 1, name: Some("alice-vpn".into()), description: Some("at home".into()), ..Interface::unnamed(LinkType::RAW) };
    let other = described(&interface, LinkType::ETHERNET, true);
    assert_eq!(other, Interface { index: 1, name: Some("if1".into()), ..Interface::unnamed(LinkType::ETHERNET) });
    assert_eq!(described(&interface, LinkType::RAW, false), interface);
}

#[test]
fn a_packet_that_the_capture_cut_off_is_not_cut_once_more_if_a_checksum_is_in_the_way() {
    let recipe = Recipe { mtu: Some(80), ..Recipe::default() };
    let mut tested = 0;
    for (name, whole) in CORPUS.iter().filter(|(_, frame)| frame.bytes.len() == frame.len as usize) {
        let Ok(right) = edited(&recipe, whole).map(|new| (new != *whole).then_some(new)) else { continue };
        let Some(right) = right else { continue };
        for captured in (20..whole.bytes.len()).step_by(7) {
            let mut cut = whole.clone();
            cut.bytes.truncate(captured);
            match edited(&recipe, &cut) {
                // What is there is what would be there of the whole one.
                Ok(new) if new != cut => {
                    assert_eq!(new.bytes[..], right.bytes[..new.bytes.len()], "{name} {captured}: {}", line(&new));
                    tested += 1;
                }
                Ok(_) => {}
                Err(why) => assert!(why.starts_with("--mtu: "), "{name}: {why}"),
            }
        }
    }
    assert!(tested > 100, "{tested}");
    let tcp = CORPUS.iter().map(|(_, frame)| frame).find(|frame| {
        let layers = frame.layers(&mut Walker::default());
        layers.packets() == 1 && layers.has(LayerKind::Tcp) && frame.bytes.len() > 120 && frame.bytes.len() == frame.len as usize
    });
    let mut cut = tcp.unwrap().clone();
    cut.bytes.truncate(80);
    let why = edited(&Recipe { mtu: Some(90), ..Recipe::default() }, &cut).unwrap_err();
    assert_eq!(why, "--mtu: a checksum covers bytes that are not known");
}
