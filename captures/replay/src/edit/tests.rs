use super::*;
use crate::edit::tunnel::{Encapsulation, STATIONS};
use overlay_captures::Timestamp;
use overlay_decoder::checksum::{self, Status};
use overlay_decoder::layer::Body;
use overlay_decoder::render::{self, Style};
use overlay_decoder::text::Text;
use overlay_decoder::{Ul3, Walker};
use std::path::PathBuf;

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
                // What is in a fragment's tunnel is not all there, which the verdict on a single packet does not know.
                let wrong = if name.starts_with("vxlan-fragments") { Vec::new() } else { wrong(&new) };
                assert_eq!(wrong, [""; 0], "{name}: {}", line(&new));
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
