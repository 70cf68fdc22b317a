//! The largest frame that passes, and what its sender is told about the one that is a byte larger.

use super::common::{Counts, counts, frame_of, grown, mac, ul3};
use super::{Line, VNI, answered, complaint, ip_frame, tagged};
use overlay_api::Answer;
use overlay_decoder::LinkType;
use overlay_engine::{Offload, SegmentKind, Segments};

/// Encapsulation, its options, bytes around an inner frame over IPv4 and over IPv6: IP 20 or 40, UDP 8, header.
type Case = (&'static str, &'static [(&'static str, &'static str)], usize, usize);
const CASES: [Case; 4] = [
    ("vxlan", &[], 36, 56),
    ("geneve", &[], 36, 56),
    ("geneve", &[("geneve/options", "0103:01:0000000100000002")], 48, 68),
    ("nvgre", &[], 28, 48),
];

/// What a frame may be: of IPv4, of IPv6, of neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inner {
    V4,
    V6,
    Other,
}

/// A frame whose packet has `len` bytes.
fn sized(inner: Inner, tags: &[u16], len: usize) -> Vec<u8> {
    match inner {
        Inner::V4 => ip_frame(false, tags, 0, len),
        Inner::V6 => ip_frame(true, tags, 0, len),
        Inner::Other => tagged(&frame_of(mac(1), mac(2), 0x88b5, &vec![3; len]), tags),
    }
}

/// The size that a packet-too-big tells: it has to be a sound answer to that frame.
fn size_told(reply: &[u8], frame: &[u8], tags: usize) -> u32 {
    let l3 = 14 + 4 * tags;
    assert_eq!(complaint(reply, LinkType::ETHERNET), None, "{reply:02x?}");
    assert_eq!(reply[..l3], answered(frame)[..l3], "stations change places, tags stay");
    let (packet, about) = (&reply[l3..], &frame[l3..]);
    match about[0] >> 4 {
        4 => {
            assert_eq!((&packet[12..16], &packet[16..20]), (&about[16..20], &about[12..16]), "in the name of the destination");
            // RFC 792, RFC 1191 4: type 3, code 4, two bytes of nothing, next-hop MTU; the packet from its header on.
            assert_eq!((packet[9], &packet[20..22], &packet[24..26]), (1, &[3, 4][..], &[0, 0][..]));
            assert_eq!(packet[28..], about[..about.len().min(548)], "RFC 1812 4.3.2.3: 576 bytes in all");
            u32::from_be_bytes([0, 0, packet[26], packet[27]])
        }
        _ => {
            assert_eq!((&packet[8..24], &packet[24..40]), (&about[24..40], &about[8..24]), "in the name of the destination");
            // RFC 4443 3.2: type 2, code 0, MTU; the packet from its header on.
            assert_eq!((packet[6], &packet[40..42]), (58, &[2, 0][..]));
            assert_eq!(packet[48..], about[..about.len().min(1232)], "RFC 4443 3.2: 1280 bytes in all");
            u32::from_be_bytes([packet[44], packet[45], packet[46], packet[47]])
        }
    }
}

/// Sends what does not fit, and says which size its sender was told. All counters are compared.
fn refused(line: &mut Line, frame: &[u8], offload: Offload, tags: usize) -> Option<u32> {
    let before = line.host.device_counts(line.device);
    line.host.batch(0, line.port, &[(frame.to_vec(), offload)]);
    line.host.misses();
    let done = line.host.take();
    assert!(done.sent.is_empty() && done.lookups.is_empty(), "{done:?}");
    let told = done.given.first().map(|reply| {
        assert_eq!((done.given.len(), reply.port, reply.offload), (1, line.port, Offload::default()), "{done:?}");
        size_told(&reply.bytes, frame, tags)
    });
    let expected: Counts = counts([
        ("frames_in", 1),
        ("frames_in_bytes", frame.len() as i64),
        ("frames_in_packets", i64::from(offload.packets(frame.len()))),
        ("made", i64::from(told.is_some())),
        ("drop too-big", 1),
    ]);
    assert_eq!(grown(&before, &line.host.device_counts(line.device)), expected);
    told
}

#[test]
fn the_largest_frame_fills_the_underlay_and_the_next_is_told_the_size() {
    for (encapsulation, set, over_v4, over_v6) in CASES {
        for (v6, outer) in [(false, over_v4), (true, over_v6)] {
            for tags in [&[][..], &[100], &[100, 4094]] {
                let limit = 1500 - outer - 14 - 4 * tags.len();
                for inner in [Inner::V4, Inner::V6, Inner::Other] {
                    let case = format!("{encapsulation} {set:?} v6 {v6} tags {tags:?} {inner:?}");
                    // The device alone would allow more.
                    let mut line = Line::direct(encapsulation, VNI, v6, 1500, &[set, &[("mtu", "9000")]].concat());
                    let sending = line.send(&sized(inner, tags, limit), Offload::default());
                    assert_eq!(line.packet(&sending).len(), 1500, "{case}");
                    let told = refused(&mut line, &sized(inner, tags, limit + 1), Offload::default(), tags.len());
                    assert_eq!(told, (inner != Inner::Other).then_some(limit as u32), "{case}");
                }
            }
        }
    }
}

#[test]
fn a_frame_that_waited_is_judged_and_told_alike() {
    for (encapsulation, set, over_v4, over_v6) in CASES {
        for (v6, outer) in [(false, over_v4), (true, over_v6)] {
            for (inner, tags) in [(Inner::V4, &[][..]), (Inner::V6, &[5]), (Inner::V4, &[5, 6])] {
                let limit = 1500 - outer - 14 - 4 * tags.len();
                let fresh = || Line::dynamic(encapsulation, VNI, v6, 1500, &[set, &[("mtu", "9000")]].concat());
                let mut line = fresh();
                let sending = line.send_late(&sized(inner, tags, limit));
                assert_eq!(line.packet(&sending).len(), 1500);
                let (mut line, frame) = (fresh(), sized(inner, tags, limit + 1));
                line.host.frame(line.port, &frame);
                let request = line.host.take().lookups[0].request;
                line.host.answer(request, Answer::Reach { to: vec![line.ends[1]], ttl_ns: None }).unwrap();
                let done = line.host.take();
                assert_eq!((done.sent.len(), done.given.len()), (0, 1), "{done:?}");
                assert_eq!(size_told(&done.given[0].bytes, &frame, tags.len()), limit as u32, "{encapsulation} v6 {v6}");
                // Now that the destination is known, a worker says the same.
                assert_eq!(refused(&mut line, &frame, Offload::default(), tags.len()), Some(limit as u32));
            }
        }
    }
}

#[test]
fn the_device_has_the_last_word_where_the_underlay_has_room() {
    for (encapsulation, set, ..) in CASES {
        for tags in [&[][..], &[100], &[100, 200]] {
            // The default of 1400 was chosen so: two tags and IPv6 around it fit an Ethernet.
            for (mtu, underlay) in [("1400", 1500), ("8900", 9000), ("65000", 65_535)] {
                let mut line = Line::direct(encapsulation, VNI, true, underlay, &[set, &[("mtu", mtu)]].concat());
                let largest: usize = mtu.parse().unwrap();
                for inner in [Inner::V4, Inner::V6] {
                    line.send(&sized(inner, tags, largest), Offload::default());
                    let told = refused(&mut line, &sized(inner, tags, largest + 1), Offload::default(), tags.len());
                    assert_eq!(told, Some(largest as u32), "{encapsulation} {mtu} {tags:?}");
                }
            }
        }
    }
}

#[test]
fn a_third_tag_is_not_taken_for_room() {
    // What is not looked behind counts as the packet: 4 bytes less for it, and nobody is told.
    let mut line = Line::direct("vxlan", VNI, false, 1500, &[("mtu", "1400")]);
    line.send(&sized(Inner::V4, &[1, 2, 3], 1396), Offload::default());
    assert_eq!(refused(&mut line, &sized(Inner::V4, &[1, 2, 3], 1397), Offload::default(), 3), None);
}

#[test]
fn a_smaller_path_counts_for_its_destination_alone() {
    for (encapsulation, set, over_v4, over_v6) in CASES {
        for (v6, outer) in [(false, over_v4), (true, over_v6)] {
            let limit = 1380 - outer - 14;
            let mut line = Line::direct(encapsulation, VNI, v6, 1500, set);
            line.path_mtu("192.0.2.99".parse().unwrap(), Some(700));
            line.path_mtu("2001:db8::99".parse().unwrap(), Some(1280));
            line.send(&sized(Inner::V4, &[], 1400), Offload::default());
            line.path_mtu(line.ends[1].ip, Some(1380));
            let sending = line.send(&sized(Inner::V6, &[], limit), Offload::default());
            assert_eq!(line.packet(&sending).len(), 1380);
            for inner in [Inner::V4, Inner::V6] {
                assert_eq!(refused(&mut line, &sized(inner, &[], limit + 1), Offload::default(), 0), Some(limit as u32));
            }
            line.path_mtu(line.ends[1].ip, None);
            line.send(&sized(Inner::V4, &[], 1400), Offload::default());
        }
    }
}

#[test]
fn a_path_reported_by_a_socket_of_both_families_is_the_same_path() {
    let mut line = Line::direct("vxlan", VNI, false, 1500, &[]);
    line.path_mtu("::ffff:192.0.2.2".parse().unwrap(), Some(576));
    assert_eq!(refused(&mut line, &sized(Inner::V4, &[], 527), Offload::default(), 0), Some(526), "576 less 50");
    line.path_mtu("::ffff:192.0.2.2".parse().unwrap(), None);
    line.send(&sized(Inner::V4, &[], 1400), Offload::default());
}

#[test]
fn an_underlay_too_small_for_ip_says_the_least_and_takes_nothing() {
    for underlay in [0, 1, 50, 68, 117] {
        let mut line = Line::direct("vxlan", VNI, false, underlay, &[]);
        assert_eq!(refused(&mut line, &sized(Inner::V4, &[], 69), Offload::default(), 0), Some(68), "RFC 791 3.2, {underlay}");
        assert_eq!(refused(&mut line, &sized(Inner::V4, &[], 68), Offload::default(), 0), None, "nothing that it could do");
        assert_eq!(refused(&mut line, &sized(Inner::V6, &[], 1281), Offload::default(), 0), Some(1280), "RFC 8200 5");
        assert_eq!(refused(&mut line, &sized(Inner::V6, &[], 1280), Offload::default(), 0), None);
    }
    Line::direct("vxlan", VNI, false, 118, &[]).send(&sized(Inner::V4, &[], 68), Offload::default());
}

#[test]
fn a_super_frame_is_judged_by_its_segments() {
    for (encapsulation, set, over_v4, over_v6) in CASES {
        for (v6, outer) in [(false, over_v4), (true, over_v6)] {
            for (inner, tags, headers) in [(Inner::V4, &[][..], 28), (Inner::V6, &[9][..], 48)] {
                let limit = 1500 - outer - 14 - 4 * tags.len();
                let header_len = (14 + 4 * tags.len() + headers) as u16;
                let of = |size: usize| Segments { size: size as u16, header_len, kind: SegmentKind::Udp };
                let frame = sized(inner, tags, 60_000);
                let mut line = Line::direct(encapsulation, VNI, v6, 1500, &[set, &[("mtu", "9000")]].concat());
                let fits = Offload { checksum: None, segments: Some(of(limit - headers)) };
                let before = line.host.device_counts(line.device);
                let sending = line.send(&frame, fits);
                assert_eq!(sending.offload, fits, "it stays a super-frame");
                let packets = (60_000 - headers).div_ceil(limit - headers) as i64;
                let (bytes, all) = (frame.len() as i64, sending.bytes.len() as i64);
                let expected = counts([
                    ("frames_in", 1),
                    ("frames_in_bytes", bytes),
                    ("frames_in_packets", packets),
                    ("sent", 1),
                    ("sent_bytes", bytes),
                    ("datagrams_out", 1),
                    ("datagrams_out_packets", packets),
                    ("datagrams_out_bytes", all),
                ]);
                assert_eq!(grown(&before, &line.host.device_counts(line.device)), expected);
                let too_big = Offload { checksum: None, segments: Some(of(limit - headers + 1)) };
                assert_eq!(refused(&mut line, &frame, too_big, tags.len()), Some(limit as u32), "{encapsulation} v6 {v6}");
                // One that is cut into a single piece is as large as it is, whatever it says of its pieces.
                let alone = sized(inner, tags, limit);
                line.send(&alone, too_big);
            }
        }
    }
}

#[test]
fn a_port_that_takes_less_than_its_device_is_a_smaller_link() {
    let mut line = Line::direct("vxlan", VNI, false, 1500, &[]);
    let small =
        line.host.control.add_port(line.device, &overlay_engine::PortSpec { name: "small".into(), mac: mac(2), mtu: 1280 }).unwrap();
    let before = line.host.device_counts(line.device);
    line.host.frame(line.port, &sized(Inner::V6, &[3, 4], 1280));
    assert_eq!(line.host.take().given[0].port, small);
    let len = 1280 + 22;
    let expected = counts([
        ("frames_in", 1),
        ("frames_in_bytes", len),
        ("frames_in_packets", 1),
        ("local", 1),
        ("frames_out", 1),
        ("frames_out_bytes", len),
    ]);
    assert_eq!(grown(&before, &line.host.device_counts(line.device)), expected);
    assert_eq!(refused(&mut line, &sized(Inner::V6, &[], 1281), Offload::default(), 0), Some(1280));
    assert_eq!(refused(&mut line, &sized(Inner::V4, &[3], 1281), Offload::default(), 1), Some(1280));
}

#[test]
fn senders_that_cannot_be_told_do_not_use_up_the_replies_for_those_who_can() {
    let mut line = Line::direct("vxlan", VNI, false, 1500, &[]);
    for _ in 0..1000 {
        assert_eq!(refused(&mut line, &sized(Inner::Other, &[], 1401), Offload::default(), 0), None);
    }
    assert_eq!(refused(&mut line, &sized(Inner::V4, &[], 1401), Offload::default(), 0), Some(1400));
}

#[test]
fn replies_are_limited() {
    // RFC 4443 2.4 (f), RFC 1812 4.3.2.8.
    for mut line in [Line::direct("vxlan", VNI, false, 1500, &[]), Line::dynamic("vxlan", VNI, false, 1500, &[("mtu", "9000")])] {
        let frames = vec![(sized(Inner::V4, &[], 8000), Offload::default()); 100];
        let mut told = 0;
        for round in 0..10 {
            line.host.batch(0, line.port, &frames);
            line.host.misses();
            let done = line.host.take();
            told += done.given.len();
            if let Some(lookup) = done.lookups.first() {
                assert_eq!(round, 0);
                line.host.answer(lookup.request, Answer::Reach { to: vec![ul3("192.0.2.2:4789")], ttl_ns: None }).unwrap();
                told += line.host.take().given.len();
            }
        }
        assert!(told <= 2 * 64, "{told} replies at once");
    }
}
