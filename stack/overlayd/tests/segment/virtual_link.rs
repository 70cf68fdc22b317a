//! Kernels at both ends of a virtual link leave checksums and segmentation to hardware that nobody has.

use super::coalesce::{SegmentSize, super_frame};
use super::driver::{TRUSTING, WARY, cut, join, join_with_work};
use super::sample::{Field, Flow, payload};
use super::segment::Limits;
use overlay_engine::{Offload, Segments};

const MTU: SegmentSize = SegmentSize::FitsMtu(1450);

fn flows() -> [Flow; 4] {
    [(false, false), (true, false), (false, true), (true, true)].map(|(v6, udp)| Flow { v6, udp, tags: vec![7], ..Flow::plain() })
}

#[test]
fn a_partial_checksum_is_passed_on_as_such_if_the_link_is_trusted() {
    for flow in flows() {
        let frame = flow.frame(&payload(100), Field::Partial);
        let offload = Offload { checksum: flow.missing(), segments: None };
        assert_eq!(join(std::slice::from_ref(&frame), TRUSTING), [(frame.clone(), offload, 1)]);
        assert_eq!(join(std::slice::from_ref(&frame), WARY), [(frame.clone(), Offload::default(), 1)], "not trusted: the tenant drops it");
        // A checksum that is neither right nor partial is nobody's to repair.
        let mut damaged = frame;
        damaged[flow.l4() + flow.checksum_at()] ^= 1;
        assert_eq!(join(std::slice::from_ref(&damaged), TRUSTING), [(damaged, Offload::default(), 1)]);
    }
}

#[test]
fn partial_segments_are_joined_if_the_link_is_trusted() {
    for flow in flows() {
        let (mut sender, data) = (flow.clone(), payload(3000));
        let frames: Vec<_> = data.chunks(1000).map(|part| sender.step(part, Field::Partial)).collect();
        let (frame, offload) = flow.super_frame(&data, 1000);
        assert_eq!(join(&frames, TRUSTING), [(frame, offload, 3)]);
        assert_eq!(join(&frames, WARY).len(), 3);
    }
}

#[test]
fn a_checksum_that_is_right_and_looks_partial_stays_right() {
    for flow in flows().into_iter().filter(|flow| !flow.udp) {
        // Choose the last word so that the rest sums to the complement of the pseudo-header, twice.
        let (mut data, l4) = (payload(100), flow.l4());
        let at = l4 + flow.checksum_at();
        let found = (0..=u16::MAX).find_map(|word| {
            data[98..].copy_from_slice(&word.to_be_bytes());
            let (right, partial) = (flow.frame(&data, Field::Right), flow.frame(&data, Field::Partial));
            (right[at..at + 2] == partial[at..at + 2]).then_some(right)
        });
        let right = found.expect("one of 65,536 words");
        let writes = join(std::slice::from_ref(&right), TRUSTING);
        let (bytes, offload, _) = &writes[0];
        assert_eq!(offload.checksum, flow.missing());
        assert_eq!(cut(&[], bytes, offload, Limits::GSO).unwrap(), [right], "filled in again it is the same");
    }
}

#[test]
fn an_uncut_super_frame_of_tcp_is_cut_at_the_mtu() {
    for flow in flows().into_iter().filter(|flow| !flow.udp) {
        let data = payload(20_000);
        let size = 1450 - (flow.header_len() - flow.l3());
        for (field, rules) in [(Field::Partial, TRUSTING), (Field::Right, TRUSTING), (Field::Right, WARY)] {
            let frame = flow.frame(&data, field);
            let segments = super_frame(&frame, MTU).expect("longer than the MTU");
            assert_eq!(Some(segments), flow.work(size).segments);
            let given = Offload { checksum: None, segments: Some(segments) };
            assert_eq!(given.largest(frame.len()), 1450 + flow.l3());
            // Whoever forwards it cuts it into segments that are right.
            let writes = join_with_work(&[(frame, given)], rules);
            assert!(writes == [(flow.frame(&data, Field::Partial), flow.work(size), 1)], "{field:?}");
            assert!(cut(&[], &writes[0].0, &writes[0].1, Limits::GSO).unwrap() == flow.frames(&data, size));
        }
        let mut damaged = flow.frame(&data, Field::Right);
        damaged[5000] ^= 1;
        for (frame, rules) in [(damaged, TRUSTING), (flow.frame(&data, Field::Partial), WARY)] {
            let given = Offload { checksum: None, segments: super_frame(&frame, MTU) };
            assert!(join_with_work(&[(frame.clone(), given)], rules) == [(frame, Offload::default(), 1)], "as it is: nobody believes it");
        }
    }
}

#[test]
fn an_uncut_super_frame_of_udp_is_known_by_the_size_that_came_with_it() {
    for flow in flows().into_iter().filter(|flow| flow.udp) {
        let data = payload(5500);
        let frame = flow.frame(&data, Field::Partial);
        assert_eq!(super_frame(&frame, MTU), None, "where one datagram ends and the next begins cannot be guessed");
        let segments = super_frame(&frame, SegmentSize::Known(1000));
        assert_eq!(segments, flow.work(1000).segments);
        let writes = join_with_work(&[(frame.clone(), Offload { checksum: None, segments })], TRUSTING);
        assert_eq!(writes, [(frame, flow.work(1000), 1)]);
        assert_eq!(cut(&[], &writes[0].0, &writes[0].1, Limits::GSO).unwrap(), flow.frames(&data, 1000));
    }
}

#[test]
fn several_datagrams_of_one_size_are_no_super_frame() {
    for flow in flows() {
        // What UDP_GRO gives, behind the first encapsulation's header: frames with an encapsulation's header between them.
        let frames = flow.frames(&payload(4000), 1000);
        let size = frames[0].len() + 8;
        let datagrams = frames.join(&[8, 0, 0, 0, 0, 0, 77, 0][..]);
        assert_eq!(super_frame(&datagrams, SegmentSize::Known(size as u16)), None);
        assert_eq!(super_frame(&frames[0], MTU), None, "it fits");
        assert_eq!(super_frame(&frames[0], SegmentSize::Known(0)), None);
        assert_eq!(super_frame(&frames[0], SegmentSize::FitsMtu(20)), None, "an MTU that no header fits");
    }
    assert_eq!(super_frame(&[], MTU), None);
    // The longest IP packet that fits, and one byte more.
    let flow = Flow::plain();
    let frame = |len: usize| super_frame(&flow.frame(&payload(len - 40), Field::Right), MTU).map(|Segments { size, .. }| size);
    assert_eq!((frame(1450), frame(1451)), (None, Some(1410)));
}

#[test]
fn a_frame_from_this_host_keeps_its_own_work() {
    let flow = Flow::plain();
    let (frame, offload) = flow.super_frame(&payload(9000), 1000);
    let small = Offload { checksum: flow.missing(), segments: None };
    let given = [(frame, offload), (flow.frame(&payload(50), Field::Partial), small), (flow.frame(&payload(50), Field::Right), small)];
    for rules in [WARY, TRUSTING] {
        let expected: Vec<_> = given.iter().map(|(frame, offload)| (frame.clone(), *offload, 1)).collect();
        assert!(join_with_work(&given, rules) == expected);
    }
}
