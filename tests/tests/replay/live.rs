//! Is what is said offline what happens? The same capture sent through overlayd and varpd in a lab, and through `engine` with the files that
//! they had: the same fate for each of them, in the same order. Needs root.
//!
//! ```text
//!   h1: tenant ─ overlay-replay send ─► VNIC ─► overlayd ◄─► varpd (map.json) ─► ul0 ◄── overlay-snoop -w live.pcapng
//!   offline: the same capture, overlayd.json, map.json ─► engine ─► sent.pcapng
//! ```

use super::run;
use crate::daemon::link;
use crate::host::{all_up, lab, overlay};
use overlay_captures::{Chunk, Reader};
use overlay_decoder::{LinkType, Walker};
use overlay_lab::Family;
use overlay_tests::{Run, is_root, ndjson, program, skip};
use std::net::IpAddr;
use std::path::Path;

/// Where a frame is sent, and the frame.
type Sent = (IpAddr, Vec<u8>);

/// The frames that a capture of the underlay carries in tunnels of a network, in their order.
fn in_tunnels(capture: &Path, vni: u32) -> Vec<Sent> {
    let mut reader = Reader::open(capture).unwrap();
    let (mut chunk, mut walker) = (Chunk::new(), Walker::default());
    let mut sent = Vec::new();
    while reader.next_chunk(&mut chunk).unwrap() {
        for record in chunk.records().filter(|record| record.link == LinkType::ETHERNET) {
            let packet = walker.walk(record.bytes, record.len, record.link);
            if !packet.vnis().any(|found| found.get() == vni) {
                continue;
            }
            let ip = packet.layers.iter().find_map(|layer| match layer.body {
                overlay_decoder::Body::Ipv4(header) => Some(IpAddr::from(header.dst)),
                _ => None,
            });
            let (frame, _) = packet.innermost().frame().expect("a frame in the tunnel");
            sent.push((ip.expect("an outer IPv4 header"), frame.to_vec()));
        }
    }
    sent
}

/// A UDP frame over IPv4 from one tenant, with a number in it.
fn frame(from: (&str, u8), to: (&str, u8), number: u16, size: usize) -> Vec<u8> {
    let mac = |text: &str| text.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect::<Vec<u8>>();
    let length = (28 + size) as u16;
    let mut ip = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, from.1, 10, 0, 0, to.1]].concat();
    let sum = overlay_decoder::checksum::internet(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = [&[0x9c, 0x40, 0x9c, 0x41][..], &(length - 20).to_be_bytes(), &[0, 0]].concat();
    let payload: Vec<u8> = number.to_be_bytes().into_iter().chain(std::iter::repeat(7)).take(size).collect();
    [mac(to.0), mac(from.0), vec![8, 0], ip, udp, payload].concat()
}

#[test]
fn a_capture_has_the_same_fates_offline_as_on_a_host() {
    if !is_root() {
        skip("replay::a_capture_has_the_same_fates_offline_as_on_a_host", "not root");
        return;
    }
    let network = (77, Family::V4);
    let lab = lab("rpl_live", 2, &[network]);
    let hosts = all_up(&lab, 2, &[network]);
    let daemon = &hosts[0].overlayd;
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));

    // To the other tenant, to nobody, to itself and to all.
    let (own, other) = ((here.mac(), 1), (there.mac(), 2));
    let nobody = ("02:00:00:00:00:99", 9);
    let mut frames = Vec::new();
    for number in 0..40 {
        frames.push(match number % 8 {
            3 => frame(own, nobody, number, 40),
            5 => frame(own, own, number, 40),
            6 => frame(own, ("ff:ff:ff:ff:ff:ff", 255), number, 40),
            _ => frame(own, other, number, 40 + usize::from(number) * 8),
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("frames.pcap");
    let mut writer = overlay_captures::Writer::create(&capture, overlay_captures::Format::PcapNano).unwrap();
    for (number, frame) in frames.iter().enumerate() {
        let at = overlay_captures::Timestamp::new(1, number as u32 * 1_000_000);
        writer.write(&overlay_captures::Record::new(LinkType::ETHERNET, at, frame)).unwrap();
    }
    writer.finish().unwrap();
    let live = folder.path().join("live.pcapng");
    let namespace = lab.host(1).name().to_owned();
    let words = ["--netns", &namespace, "-i", "ul0", "-w", live.to_str().unwrap(), "udp port 4789 and src host 10.88.0.1"];
    let mut snoop = Run::new(program("overlay-snoop")).args(words).start();
    snoop.wait_for_message("it to listen", |said| said.contains("listening"));
    let now = || daemon.client.overlay(&link(&overlay(77))).expect("an overlay");
    let before = now().counters;
    let ended = run(&format!("send --netns {} FOLDER/frames.pcap=t0", here.path().display()), folder.path());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    assert!(ended.stdout.starts_with("sent 40 packets, "), "{}", ended.stdout);
    daemon.wait("all frames to have an end", || {
        let now = now();
        now.counters.frames_in >= before.frames_in + frames.len() as u64 && (now.pending_bytes, now.lookups) == (0, 0)
    });
    let after = now().counters;
    snoop.signal("INT");
    let ended = snoop.end_with_open_input();
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let config = daemon.paths.state().join("overlayd.json");
    std::fs::copy(config, folder.path().join("host.json")).unwrap();
    let ended = run("engine --config FOLDER/host.json -o FOLDER/lines.json -w FOLDER/sent.pcapng FOLDER/frames.pcap", folder.path());
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    // The tenant's own kernel says things, too, such as MLD.
    let of_frames = |all: Vec<Sent>| all.into_iter().filter(|(_, frame)| frames.contains(frame)).collect::<Vec<_>>();
    let (happened, said) = (of_frames(in_tunnels(&live, 77)), of_frames(in_tunnels(&folder.path().join("sent.pcapng"), 77)));
    assert_eq!((happened.len(), said.len()), (25, 25), "sent live and offline: {}{}", ended.stderr, daemon.log());
    assert!(happened == said, "not the same frames in the same order to the same places");
    let lines = ndjson(&std::fs::read_to_string(folder.path().join("lines.json")).unwrap());
    let fate = |number: usize| {
        let of = lines.iter().rfind(|line| line["kind"] == "packet" && line["number"] == number).expect("every packet has a verdict");
        of["reason"].as_str().or(of["verdict"].as_str()).expect("a verdict").to_owned()
    };
    for number in 0..frames.len() {
        let expected = match number % 8 {
            3 => "refused",
            // A frame to all that the mapping sends to nobody.
            6 => "no-receiver",
            5 => "self-addressed",
            _ => "transmit",
        };
        assert_eq!(fate(number + 1), expected, "packet {}", number + 1);
    }
    let more = |reason: &str| after.drops.get(reason).unwrap_or(&0) - before.drops.get(reason).unwrap_or(&0);
    assert_eq!(more("self-addressed"), 5, "{after:?}");
    assert!(more("refused") >= 5 && more("no-receiver") >= 5, "{after:?}");
}
