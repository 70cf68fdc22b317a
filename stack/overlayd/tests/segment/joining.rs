//! What was cut is joined again; what only looks like it is not.

use super::coalesce::{Frame, Joiner, Rules};
use super::driver::{TRUSTING, WARY, cut, join, small};
use super::sample::{CWR, Choices, ECE, Field, Flow, payload};
use super::segment::Limits;
use overlay_decoder::layer::Tcp;
use overlay_engine::Offload;
use proptest::prelude::*;

/// Frames of `size` bytes of payload each, one behind the other.
fn run(flow: &Flow, lens: &[usize]) -> Vec<Vec<u8>> {
    let mut flow = flow.clone();
    lens.iter().map(|len| flow.step(&payload(*len), Field::Right)).collect()
}

/// How many frames each write has, and that a write of one is that frame, with nothing left to do.
fn grouped(frames: &[Vec<u8>], rules: Rules) -> Vec<u32> {
    let mut next = 0;
    let group = |(bytes, offload, count): (Vec<u8>, Offload, u32)| {
        if count == 1 {
            assert_eq!((&bytes, offload), (&frames[next], Offload::default()));
        } else {
            assert_eq!(cut(&[], &bytes, &offload, Limits::GSO).unwrap(), frames[next..next + count as usize], "what is cut again");
        }
        next += count as usize;
        count
    };
    join(frames, rules).into_iter().map(group).collect()
}

proptest! {
    #[test]
    fn what_was_cut_is_joined_to_the_very_same_bytes(
        choices in prop::collection::vec(any::<u8>(), 0..40), len in 1usize..60_000, size in 500usize..9000, push: bool, trusting: bool,
    ) {
        let mut flow = Flow { extra: 0, ..Flow::choose(&mut Choices(&choices)) };
        flow.flags |= if push { Tcp::PSH } else { 0 };
        let payload = payload(len);
        let (frame, offload) = flow.super_frame(&payload, size);
        let segments = cut(&[], &frame, &offload, Limits::GSO).unwrap();
        let count = segments.len() as u32;
        let joined = join(&segments, if trusting { TRUSTING } else { WARY });
        if count > 1 {
            prop_assert!(joined == [(frame, offload, count)]);
        } else {
            prop_assert!(joined == [(flow.frame(&payload, Field::Right), Offload::default(), 1)]);
        }
    }

    /// Flows that are mixed, damaged and cut off: whatever is joined is the same again when it is cut.
    #[test]
    fn whatever_was_joined_is_the_same_again_when_it_is_cut(choices in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut choices = Choices(&choices);
        // Where nothing may be fragmented, the identification may come out as another.
        let mut flow = || Flow { dont_fragment: false, ..Flow::choose(&mut choices) };
        let mut flows = [flow(), flow(), flow()];
        let mut frames = Vec::new();
        let size = 1 + usize::from(choices.byte());
        for _ in 0..choices.below(60) {
            let which = usize::from(choices.below(8)) * usize::from(choices.often(1)) % flows.len();
            let flow = &mut flows[which];
            let before = flow.clone();
            if choices.often(1) {
                flow.flags = choices.half() & 0xfff;
            }
            let len = if choices.often(1) { usize::from(choices.byte()) } else { size };
            let mut frame = flow.step(&payload(len), Field::Right);
            flow.flags = before.flags;
            if choices.often(1) {
                let (at, bit) = (usize::from(choices.half()) % frame.len(), choices.below(8));
                frame[at] ^= 1 << bit;
            }
            if choices.often(1) {
                *flow = before;
            }
            frames.push(frame);
        }
        grouped(&frames, WARY);
    }
}

/// A change of the second of four segments.
type Change = fn(&mut Flow);

#[test]
fn a_segment_that_differs_in_anything_is_not_joined() {
    let changes: [(&str, Change); 17] = [
        ("another tag", |flow| flow.tags[0] += 1),
        ("no tag", |flow| flow.tags.clear()),
        ("another host", |flow| flow.host += 1),
        ("another port", |flow| flow.port += 1),
        ("another TOS", |flow| flow.tos ^= 3),
        ("another TTL", |flow| flow.ttl -= 1),
        ("a gap", |flow| flow.seq += 1),
        ("a repetition", |flow| flow.seq -= 1000),
        ("another acknowledgment", |flow| flow.ack += 1),
        ("another window", |flow| flow.window += 1),
        ("another option", |flow| flow.options[3] = 0),
        ("more options", |flow| flow.options.extend([1; 4])),
        ("ECE", |flow| flow.flags |= ECE),
        ("a reserved bit", |flow| flow.flags |= 0x800),
        ("UDP", |flow| flow.udp = true),
        ("the other IP", |flow| flow.v6 = !flow.v6),
        ("extra headers", |flow| flow.extra = 1),
    ];
    for v6 in [false, true] {
        for (what, change) in changes {
            let mut flow = Flow { tags: vec![5], options: vec![1; 12], ttl: 64, window: 9, v6, ..Flow::plain() };
            let mut frames = run(&flow, &[1000]);
            flow.seq = flow.seq.wrapping_add(1000);
            flow.id += 1;
            change(&mut flow);
            frames.push(flow.step(&payload(1000), Field::Right));
            let groups = grouped(&frames, WARY);
            assert_eq!(groups, [1, 1], "{what}, IPv6: {v6}");
        }
        let flow = Flow { tags: vec![5], options: vec![1; 12], v6, ..Flow::plain() };
        assert_eq!(grouped(&run(&flow, &[1000; 4]), WARY), [4], "nothing differs");
    }
}

#[test]
fn what_begins_ends_or_interrupts_a_stream_goes_alone() {
    for flags in [Tcp::FIN, Tcp::SYN, Tcp::RST, Tcp::URG, CWR] {
        for place in 0..4 {
            let mut flow = Flow::plain();
            let step = |index: usize| {
                flow.flags = Tcp::ACK | if index == place { flags } else { 0 };
                flow.step(&payload(1000), Field::Right)
            };
            let frames: Vec<_> = (0..4).map(step).collect();
            let expected: &[u32] = [&[1, 3][..], &[1, 1, 2], &[2, 1, 1], &[3, 1]][place];
            assert_eq!(grouped(&frames, WARY), expected, "flags {flags:#x} on segment {place}");
        }
    }
    let flow = Flow { flags: 0, ..Flow::plain() };
    assert_eq!(grouped(&run(&flow, &[1000; 2]), WARY), [1, 1], "no acknowledgment number");
}

#[test]
fn a_run_ends_with_push_with_a_shorter_one_and_before_a_longer_one() {
    let mut flow = Flow::plain();
    let step = |index: usize| {
        flow.flags = Tcp::ACK | if [2, 3].contains(&index) { Tcp::PSH } else { 0 };
        flow.step(&payload(1000), Field::Right)
    };
    let frames: Vec<_> = (0..6).map(step).collect();
    assert_eq!(grouped(&frames, WARY), [3, 1, 2], "PSH is with the application, and so is what is in front of it");
    for udp in [false, true] {
        let flow = Flow { udp, ..Flow::plain() };
        assert_eq!(grouped(&run(&flow, &[1000, 1000, 999, 1000, 1000]), WARY), [3, 2]);
        assert_eq!(grouped(&run(&flow, &[999, 1000, 1000]), WARY), [1, 2]);
        assert_eq!(grouped(&run(&flow, &[0, 0, 0]), WARY), [1, 1, 1], "without payload there is nothing to join");
    }
}

#[test]
fn a_wrong_checksum_goes_on_alone_as_it_is() {
    for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
        let flow = Flow { v6, udp, ..Flow::plain() };
        for place in 0..4 {
            // The payload; the transport's checksum; the IP header's.
            for at in [flow.header_len() + 5, flow.l4() + flow.checksum_at(), flow.l3() + 10] {
                if v6 && at == flow.l3() + 10 {
                    // An IPv6 header has no checksum, and there is the address.
                    continue;
                }
                let mut frames = run(&flow, &[1000; 4]);
                frames[place][at] ^= 1;
                let expected: &[u32] = [&[1, 3][..], &[1, 1, 2], &[2, 1, 1], &[3, 1]][place];
                for rules in [WARY, TRUSTING] {
                    assert_eq!(grouped(&frames, rules), expected, "IPv6 {v6}, UDP {udp}, segment {place}, byte {at}");
                }
            }
        }
    }
}

/// Makes the checksum of an IPv4 header right.
fn repair(frame: &mut [u8], v6: bool) {
    if !v6 {
        frame[24..26].fill(0);
        let sum = overlay_decoder::checksum::internet(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
}

#[test]
fn fragments_options_padding_and_lengths_of_zero_go_alone() {
    for udp in [false, true] {
        for v6 in [false, true] {
            let flow = Flow { udp, v6, extra: 1, ..Flow::plain() };
            assert_eq!(grouped(&run(&flow, &[1000; 3]), WARY), [1, 1, 1], "options of IP");
            let flow = Flow { udp, v6, ..Flow::plain() };
            let mut frames = run(&flow, &[4; 3]);
            frames.iter_mut().for_each(|frame| frame.resize(60.max(frame.len() + 1), 0));
            assert_eq!(grouped(&frames, WARY), [1, 1, 1], "padding of Ethernet");
            let mut frames = run(&flow, &[1000; 3]);
            for frame in &mut frames {
                let at = if v6 { 18 } else { 16 };
                frame[at..at + 2].fill(0);
                repair(frame, v6);
            }
            assert_eq!(grouped(&frames, WARY), [1, 1, 1], "an IP length of 0");
        }
        let mut frames = run(&Flow { udp, ..Flow::plain() }, &[1000; 3]);
        for frame in &mut frames {
            // More fragments.
            frame[20] |= 0x20;
            repair(frame, false);
        }
        assert_eq!(grouped(&frames, WARY), [1, 1, 1], "fragments");
    }
}

#[test]
fn an_identification_counts_only_where_fragments_may_be() {
    for (dont_fragment, expected) in [(false, &[2, 1][..]), (true, &[3])] {
        let mut flow = Flow { dont_fragment, ..Flow::plain() };
        let mut frames = run(&flow, &[1000; 2]);
        (flow.seq, flow.id) = (flow.seq.wrapping_add(2000), 7);
        frames.push(flow.step(&payload(1000), Field::Right));
        let groups: Vec<u32> = join(&frames, WARY).into_iter().map(|write| write.2).collect();
        assert_eq!(groups, expected, "don't-fragment {dont_fragment}");
    }
}

#[test]
fn two_flows_by_turns_keep_their_order_and_are_not_mixed() {
    let (mut one, mut two) = (Flow::plain(), Flow { port: 41_000, ..Flow::plain() });
    let mut frames = Vec::new();
    for lens in [[3, 0], [1, 1], [1, 1], [0, 2]] {
        frames.extend((0..lens[0]).map(|_| one.step(&payload(1000), Field::Right)));
        frames.extend((0..lens[1]).map(|_| two.step(&payload(1000), Field::Right)));
    }
    assert_eq!(grouped(&frames, WARY), [4, 1, 1, 3]);
}

#[test]
fn datagrams_are_joined_where_the_tap_takes_them_up_to_120() {
    let flow = Flow::udp();
    let groups = |count, rules| join(&run(&flow, &vec![100; count]), rules).into_iter().map(|write| write.2).collect::<Vec<_>>();
    assert_eq!(groups(121, WARY), [120, 1]);
    assert_eq!(groups(3, Rules { udp_from: usize::MAX, ..WARY }), [1, 1, 1]);
    let large = Rules { udp_from: 500, ..WARY };
    assert_eq!((groups(3, large), small(&run(&flow, &[100; 3]), large)), (vec![1, 1, 1], 3));
    let tail = run(&flow, &[500, 500, 499, 499]);
    assert_eq!((grouped(&tail, large), small(&tail, large)), (vec![3, 1], 1), "a shorter one ends a run, and begins none");
    let mut frames = run(&flow, &[1000; 3]);
    frames.iter_mut().for_each(|frame| frame[flow.l4() + 6..flow.l4() + 8].fill(0));
    assert_eq!(grouped(&frames, WARY), [1, 1, 1], "cut again, a datagram without a checksum would have one");
}

#[test]
fn no_super_frame_is_longer_than_ip_can_say() {
    for v6 in [false, true] {
        let flow = Flow { v6, ..Flow::plain() };
        let writes = join(&run(&flow, &[8948; 20]), WARY);
        assert_eq!(writes.iter().map(|write| write.2).collect::<Vec<_>>(), [7, 7, 6]);
        assert!(writes.iter().all(|write| write.0.len() <= 65_535));
    }
    let counts: Vec<u32> = join(&run(&Flow::plain(), &[1; 1500]), WARY).into_iter().map(|write| write.2).collect();
    assert_eq!(counts, [1000, 500], "a write has 1,024 slices at most");
}

#[test]
fn a_joiner_uses_its_memory_again() {
    let frames = run(&Flow::plain(), &[1000; 40]);
    let (mut joiner, mut memory) = (Joiner::default(), Vec::new());
    for _ in 0..3 {
        joiner.clear();
        let given = frames.iter().enumerate().map(|(key, bytes)| Frame { key: key as u32, bytes, offload: Offload::default() });
        joiner.join(given, WARY);
        let mut slices = Vec::new();
        joiner.slices(&joiner.writes()[0], |key| &frames[key as usize], &mut slices);
        assert_eq!((slices.len(), slices[40].as_ptr()), (41, frames[39][54..].as_ptr()), "payload is written from where it was received");
        memory.push((joiner.writes().as_ptr(), slices[0].as_ptr()));
    }
    assert_eq!(memory[1..], [memory[0]; 2]);
}
