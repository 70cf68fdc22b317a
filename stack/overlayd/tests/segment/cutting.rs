//! A super-frame leaves as the datagrams that a network card would have made of it.

use super::driver::{all, cut, datagrams};
use super::pieces::recycle;
use super::sample::{CWR, Choices, Field, Flow, payload, walker};
use super::segment::{CutError, Cutter, Follows, Limits};
use overlay_decoder::checksum::{Status, verify};
use overlay_decoder::layer::Tcp;
use overlay_decoder::{Body, LinkType};
use overlay_engine::{Offload, SegmentKind, Segments};
use proptest::prelude::*;
use std::io::IoSlice;

const VXLAN: [u8; 8] = [8, 0, 0, 0, 0, 0, 77, 0];

/// Decodes a frame to its end and holds every checksum against its bytes.
fn check(frame: &[u8]) {
    let mut walker = walker();
    let packet = walker.walk(frame, frame.len() as u32, LinkType::ETHERNET);
    assert_eq!(packet.stop, None, "{frame:02x?}");
    let transport = |body: &Body| matches!(body, Body::Tcp(_) | Body::Udp(_));
    assert_eq!(packet.layers.iter().filter(|layer| transport(&layer.body)).count(), 1);
    for index in 0..packet.layers.len() {
        let status = verify(frame, packet.layers, index);
        assert!(matches!(status, None | Some(Status::Correct)), "{:?}: {status:?}", packet.layers[index]);
    }
}

proptest! {
    #[test]
    fn the_segments_are_those_that_the_sender_would_have_sent(
        choices in prop::collection::vec(any::<u8>(), 0..40), len in 0usize..6000, size in 1usize..1500,
        header in prop::collection::vec(any::<u8>(), 0..321), flags in 0u16..0x1000, complete: bool, single: bool,
    ) {
        let flow = Flow { flags, ..Flow::choose(&mut Choices(&choices)) };
        let payload = payload(len);
        let (frame, mut offload) = flow.super_frame(&payload, size);
        if complete {
            // The sums of the pseudo-header come from the addresses instead of the field.
            offload.checksum = None;
        }
        let limits = if single { Limits::SINGLE } else { Limits::GSO };
        let expected: Vec<Vec<u8>> = flow.frames(&payload, size).iter().map(|frame| [&header[..], frame].concat()).collect();
        let sent = cut(&header, &frame, &offload, limits).unwrap();
        prop_assert_eq!(&sent, &expected);
        prop_assert_eq!(sent.len(), offload.packets(frame.len()) as usize);
        prop_assert_eq!(sent[0].len() - header.len(), offload.largest(frame.len()));
        for datagram in &sent {
            check(&datagram[header.len()..]);
        }
    }

    #[test]
    fn a_checksum_that_is_missing_is_filled_in(choices in prop::collection::vec(any::<u8>(), 0..40), len in 0usize..3000) {
        let flow = Flow::choose(&mut Choices(&choices));
        let payload = payload(len);
        let offload = Offload { checksum: flow.missing(), segments: None };
        let sent = cut(&VXLAN, &flow.frame(&payload, Field::Partial), &offload, Limits::GSO).unwrap();
        prop_assert_eq!(sent, [[&VXLAN[..], &flow.frame(&payload, Field::Right)].concat()]);
    }

    #[test]
    fn messages_are_within_their_limits_and_keep_the_order(
        choices in prop::collection::vec(any::<u8>(), 0..40), sizes in prop::collection::vec((0usize..65_000, 1usize..9000), 1..5),
    ) {
        let mut flow = Flow { extra: 0, ..Flow::choose(&mut Choices(&choices)) };
        let mut cutter = Cutter::default();
        let (mut frames, mut expected) = (Vec::new(), Vec::new());
        for (key, (len, size)) in sizes.into_iter().enumerate() {
            let payload = payload(len);
            let (frame, offload) = flow.super_frame(&payload, size);
            expected.extend(flow.frames(&payload, size).iter().map(|frame| [&VXLAN[..], frame].concat()));
            frames.push([&VXLAN[..], &frame].concat());
            flow.seq = flow.seq.wrapping_add(1);
            cutter.cut(key as u32, &frames[key], 8, &offload, Follows::Same, Limits::GSO).unwrap();
        }
        prop_assert!(all(&cutter, &frames) == expected);
        let mut last = 0;
        for chunk in cutter.chunks() {
            prop_assert!(chunk.segments <= 64 && chunk.bytes <= 65_000, "{:?}", chunk);
            prop_assert!(chunk.slices() <= 2 * usize::from(chunk.segments));
            prop_assert!(chunk.first <= chunk.last && chunk.first >= last);
            last = chunk.last;
        }
        prop_assert_eq!(last as usize, frames.len() - 1);
    }
}

#[test]
fn flags_stand_where_a_card_leaves_them() {
    let all_flags = Tcp::FIN | Tcp::PSH | Tcp::ACK | CWR | Tcp::URG;
    let flow = Flow { flags: all_flags, seq: u32::MAX - 1500, id: u16::MAX, ..Flow::plain() };
    let (frame, offload) = flow.super_frame(&payload(2500), 1000);
    let sent = cut(&VXLAN, &frame, &offload, Limits::GSO).unwrap();
    let of = |datagram: &Vec<u8>| {
        let frame = &datagram[8..];
        let tcp = Tcp::parse(frame[34..].first_chunk().unwrap());
        (tcp.flags, tcp.seq, u16::from_be_bytes([frame[18], frame[19]]), u16::from_be_bytes([frame[16], frame[17]]))
    };
    let seen: Vec<_> = sent.iter().map(of).collect();
    let middle = Tcp::ACK | Tcp::URG;
    let expected =
        [(middle | CWR, u32::MAX - 1500, u16::MAX, 1040), (middle, u32::MAX - 500, 0, 1040), (middle | Tcp::FIN | Tcp::PSH, 499, 1, 540)];
    assert_eq!(seen, expected, "the sequence number and the identification start again at 0");
}

#[test]
fn sixty_four_segments_are_a_message_and_the_65th_another() {
    let flow = Flow::plain();
    for (size, len, expected) in [
        (100, 6400, vec![(64, Some(162))]),
        (100, 6401, vec![(64, Some(162)), (1, None)]),
        // 65,000 bytes are 42 segments of 1,510 with their headers, and 1,580 bytes more.
        (1448, 60_000, vec![(42, Some(1510))]),
        (1448, 65_000, vec![(43, Some(1510)), (2, Some(1510))]),
        (40_000, 60_000, vec![(2, Some(40_062))]),
        (64_000, 65_000, vec![(1, None), (1, None)]),
    ] {
        let payload = payload(len);
        let (frame, offload) = flow.super_frame(&payload, size);
        let frames = [[&VXLAN[..], &frame].concat()];
        let mut cutter = Cutter::default();
        cutter.cut(0, &frames[0], 8, &offload, Follows::Other, Limits::GSO).unwrap();
        let chunks: Vec<_> = cutter.chunks().iter().map(|chunk| (chunk.segments, chunk.segment_size())).collect();
        assert_eq!(chunks, expected, "{len} bytes in segments of {size}");
        let sent = all(&cutter, &frames);
        assert!(sent.iter().map(|datagram| &datagram[8..]).eq(flow.frames(&payload, size).iter().map(Vec::as_slice)));
    }
}

/// Small frames, one behind the other: how many datagrams does each message have, and from which frames?
fn shared(lens: &[usize], follows: Follows, limits: Limits) -> Vec<(u16, u32, u32)> {
    let frames: Vec<Vec<u8>> = lens.iter().map(|len| payload(*len)).collect();
    let mut cutter = Cutter::default();
    for (key, frame) in frames.iter().enumerate() {
        cutter.cut(key as u32, frame, frame.len().min(8), &Offload::default(), follows, limits).unwrap();
    }
    assert_eq!(all(&cutter, &frames), frames, "the datagrams are the frames");
    cutter.chunks().iter().map(|chunk| (chunk.segments, chunk.first, chunk.last)).collect()
}

#[test]
fn small_frames_to_one_destination_share_a_message() {
    let (same, other) = (Follows::Same, Follows::Other);
    assert_eq!(shared(&[90, 90, 90], same, Limits::GSO), [(3, 0, 2)]);
    assert_eq!(shared(&[90, 90, 90], other, Limits::GSO), [(1, 0, 0), (1, 1, 1), (1, 2, 2)]);
    assert_eq!(shared(&[90, 90, 90], same, Limits::SINGLE), [(1, 0, 0), (1, 1, 1), (1, 2, 2)]);
    assert_eq!(shared(&[90, 90, 80, 80, 90], same, Limits::GSO), [(3, 0, 2), (1, 3, 3), (1, 4, 4)], "a shorter one is the last");
    assert_eq!(shared(&[80, 90], same, Limits::GSO), [(1, 0, 0), (1, 1, 1)], "a longer one begins another");
    assert_eq!(shared(&[90; 130], same, Limits::GSO), [(64, 0, 63), (64, 64, 127), (2, 128, 129)]);
    assert_eq!(shared(&[30_000; 3], same, Limits::GSO), [(2, 0, 1), (1, 2, 2)]);
    assert_eq!(shared(&[90, 0, 0], same, Limits::GSO), [(1, 0, 0), (1, 1, 1), (1, 2, 2)], "the kernel cuts no datagrams without bytes");
}

#[test]
fn the_payload_is_sent_from_where_it_was_read() {
    let flow = Flow::udp();
    let (frame, offload) = flow.super_frame(&payload(40_000), 1000);
    let bytes = [&VXLAN[..], &frame].concat();
    let mut cutter = Cutter::default();
    let mut kept: Vec<IoSlice<'static>> = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..3 {
        let mut slices = recycle(kept);
        cutter.clear();
        cutter.cut(7, &bytes, 8, &offload, Follows::Other, Limits::GSO).unwrap();
        cutter.slices(&cutter.chunks()[0], |key| if key == 7 { &bytes } else { &[] }, &mut slices);
        let inside = |slice: &IoSlice<'_>| bytes.as_ptr_range().contains(&slice.as_ptr());
        let (payloads, headers): (Vec<&IoSlice<'_>>, Vec<_>) = slices.iter().partition(|slice| inside(slice));
        assert_eq!((payloads.len(), headers.len()), (40, 40));
        assert_eq!(payloads.iter().map(|slice| slice.len()).sum::<usize>(), 40_000);
        memory.push((headers[0].as_ptr(), slices.as_ptr().addr(), slices.capacity()));
        kept = recycle(slices);
    }
    // What the first round allocated, the others use again.
    assert_eq!(memory[1..], [memory[0]; 2]);
}

#[test]
fn a_frame_that_needs_nothing_is_one_slice() {
    let bytes = payload(100);
    let mut cutter = Cutter::default();
    cutter.cut(0, &bytes, 8, &Offload::default(), Follows::Other, Limits::GSO).unwrap();
    let mut slices = Vec::new();
    cutter.slices(&cutter.chunks()[0], |_| &bytes, &mut slices);
    assert_eq!((slices.len(), slices[0].as_ptr(), slices[0].len()), (1, bytes.as_ptr(), 100));
    let frames = [bytes];
    assert_eq!(datagrams(&cutter, &cutter.chunks()[0], &frames), frames);
}

#[test]
fn a_udp_checksum_of_zero_is_written_as_its_other_zero() {
    let flow = Flow::udp();
    // Choose the last word so that the sum comes out as 0.
    let mut data = payload(100);
    data[98..].fill(0);
    let l4 = flow.l4();
    let right = flow.frame(&data, Field::Right);
    data[98..].copy_from_slice(&right[l4 + 6..l4 + 8]);
    let expected = flow.frame(&data, Field::Right);
    assert_eq!(expected[l4 + 6..l4 + 8], [0xff, 0xff]);
    let missing = Offload { checksum: flow.missing(), segments: None };
    for offload in [missing, flow.work(100), Offload { checksum: None, ..flow.work(100) }] {
        let sent = cut(&[], &flow.frame(&data, Field::Partial), &offload, Limits::GSO).unwrap();
        assert_eq!(sent, std::slice::from_ref(&expected), "{offload:?}");
    }
}

#[test]
fn a_source_route_keeps_the_senders_own_sum() {
    // The sum of the pseudo-header is over the final destination, which is not in the destination's field.
    let flow = Flow { extra: 1, ..Flow::plain() };
    let ((mut frame, offload), l4) = (flow.super_frame(&payload(3000), 1000), flow.l4());
    let sum = |frame: &[u8]| u16::from_be_bytes([frame[l4 + 16], frame[l4 + 17]]);
    let elsewhere = sum(&frame).wrapping_add(5);
    frame[l4 + 16..l4 + 18].copy_from_slice(&elsewhere.to_be_bytes());
    let sent = cut(&[], &frame, &offload, Limits::GSO).unwrap();
    for (sent, expected) in sent.iter().zip(flow.frames(&payload(3000), 1000)) {
        assert_eq!(sum(&expected).wrapping_sub(sum(sent)), 5);
    }
}

#[test]
fn what_contradicts_the_frame_is_refused_and_adds_nothing() {
    let (tcp, udp) = (Flow::plain(), Flow::udp());
    let (frame, offload) = tcp.super_frame(&payload(3000), 1000);
    let kind = |kind| Offload { checksum: None, segments: Some(Segments { size: 1000, header_len: 54, kind }) };
    let mut fragment = frame.clone();
    fragment[20] |= 0x20;
    let mut short = frame.clone();
    short.truncate(60);
    let missing = |start, offset| Offload { checksum: Some((start, offset)), segments: None };
    let (tcp4, tcp6) = (SegmentKind::Tcp4, SegmentKind::Tcp6);
    let refused: [(&[u8], Offload, CutError); 7] = [
        (&frame, kind(tcp6), CutError::NotThat(tcp6)),
        (&frame, kind(SegmentKind::Udp), CutError::NotThat(SegmentKind::Udp)),
        (&udp.frame(&[1; 90], Field::Partial), kind(tcp4), CutError::NotThat(tcp4)),
        (&fragment, offload, CutError::NotThat(tcp4)),
        (&short, offload, CutError::NotThat(tcp4)),
        (&frame, missing(3050, 3), CutError::ChecksumOutside { start: 3050, offset: 3, len: 3054 }),
        (&frame, missing(65_535, 65_535), CutError::ChecksumOutside { start: 65_535, offset: 65_535, len: 3054 }),
    ];
    for (frame, offload, error) in refused {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.cut(0, frame, 0, &offload, Follows::Other, Limits::GSO), Err(error));
        assert!(cutter.chunks().is_empty());
    }
    let error = cut(&[], &frame[..0], &offload, Limits::GSO).unwrap_err();
    assert_eq!(error.to_string(), "a super-frame of TCP over IPv4 was announced, the frame is not one with whole headers");
    let mut cutter = Cutter::default();
    let error = cutter.cut(0, &frame, 4000, &offload, Follows::Other, Limits::GSO).unwrap_err();
    assert_eq!(error.to_string(), "an encapsulation header of 4000 bytes, but 3054 bytes in all");
    // The longest segment that an IP header can describe, and one byte more.
    let mut long = [&frame[..], &payload(62_535)].concat();
    long[16..18].fill(0);
    let segments = |size| Offload { checksum: None, segments: Some(Segments { size, header_len: 54, kind: tcp4 }) };
    let mut cut_at = |size| cutter.cut(0, &long, 0, &segments(size), Follows::Other, Limits::GSO);
    assert_eq!((cut_at(65_496), cut_at(65_495)), (Err(CutError::TooLong { len: 65_536 }), Ok(())));
}

#[test]
fn bytes_behind_the_packet_are_not_of_the_last_segment() {
    let flow = Flow::plain();
    let (mut frame, offload) = flow.super_frame(&payload(2500), 1000);
    frame.extend([0xee; 6]);
    assert_eq!(cut(&[], &frame, &offload, Limits::GSO).unwrap(), flow.frames(&payload(2500), 1000));
}
