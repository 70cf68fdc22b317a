//! RFC 6040 at both ends, through the engine: what the outer header says of a frame, and what a frame says after its journey.

use super::common::{Counts, counts, grown};
use super::{ENCAPSULATIONS, Line, VNI, answered, arp, header, ip_frame};
use overlay_decoder::checksum;
use overlay_engine::Offload;

const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// The field of the outer header that arrives, and of the inner one that goes on; none is a drop.
type Outgoing = (u8, Option<u8>);

/// Figure 4 of RFC 6040, a row for each inner header that arrives.
const FIGURE_4: [(u8, [Outgoing; 4]); 4] = [
    (NOT_ECT, [(NOT_ECT, Some(NOT_ECT)), (ECT_0, Some(NOT_ECT)), (ECT_1, Some(NOT_ECT)), (CE, None)]),
    (ECT_0, [(NOT_ECT, Some(ECT_0)), (ECT_0, Some(ECT_0)), (ECT_1, Some(ECT_1)), (CE, Some(CE))]),
    (ECT_1, [(NOT_ECT, Some(ECT_1)), (ECT_0, Some(ECT_1)), (ECT_1, Some(ECT_1)), (CE, Some(CE))]),
    (CE, [(NOT_ECT, Some(CE)), (ECT_0, Some(CE)), (ECT_1, Some(CE)), (CE, Some(CE))]),
];

#[test]
fn figure_3_marks_go_out_or_do_not() {
    // Arriving header; outer header in normal mode; outer header in compatibility mode.
    let figure = [(NOT_ECT, NOT_ECT, NOT_ECT), (ECT_0, ECT_0, NOT_ECT), (ECT_1, ECT_1, NOT_ECT), (CE, CE, NOT_ECT)];
    for encapsulation in ENCAPSULATIONS {
        for (inner, normal, compatibility) in figure {
            for (mode, expected) in [("normal", normal), ("compatibility", compatibility)] {
                for frame in [ip_frame(false, &[], 0x28 | inner, 80), ip_frame(true, &[4], 0x28 | inner, 80)] {
                    let set = [("outer/ecn", mode)];
                    let by_worker = Line::direct(encapsulation, VNI, false, 1500, &set).send(&frame, Offload::default());
                    let by_control = Line::dynamic(encapsulation, VNI, false, 1500, &set).send_late(&frame);
                    assert_eq!([by_worker.outer.tos, by_control.outer.tos], [0x28 | expected; 2], "{encapsulation} {mode} {inner:02b}");
                }
            }
        }
    }
}

#[test]
fn figure_4_every_pair_of_marks_arrives_as_the_table_says() {
    for encapsulation in ENCAPSULATIONS {
        for (inner, row) in FIGURE_4 {
            for (outer, expected) in row {
                for (v6, tags) in [(false, &[][..]), (true, &[]), (false, &[7]), (true, &[7, 8])] {
                    // The DSCPs of both are different, and neither moves.
                    let frame = answered(&ip_frame(v6, tags, 0xb8 | inner, 90));
                    let mut line = Line::direct(encapsulation, VNI, true, 1500, &[]);
                    let before = line.host.device_counts(line.device);
                    let given = line.receive(&[&header(encapsulation), &frame[..]].concat(), 0x28 | outer);
                    let case = format!("{encapsulation} inner {inner:02b} outer {outer:02b} v6 {v6} tags {tags:?}");
                    // Made anew with that mark, it is the same to the last byte, the IPv4 checksum included.
                    assert_eq!(given, expected.map(|ecn| answered(&ip_frame(v6, tags, 0xb8 | ecn, 90))), "{case}");
                    if let (Some(bytes), false) = (&given, v6) {
                        let l3 = 14 + 4 * tags.len();
                        assert_eq!(checksum::internet(&bytes[l3..l3 + 20]), 0, "{case}");
                    }
                    let len = frame.len() as i64;
                    let arrived = [("datagrams_in", 1), ("datagrams_in_bytes", len + 8)];
                    let fate = match expected {
                        Some(_) => counts([("delivered", 1), ("frames_out", 1), ("frames_out_bytes", len)]),
                        None => counts([("drop congestion-mark", 1)]),
                    };
                    let all: Counts = counts(arrived).into_iter().chain(fate).collect();
                    assert_eq!(grown(&before, &line.host.device_counts(line.device)), all, "{case}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_ip_arrives_in_spite_of_congestion() {
    for encapsulation in ENCAPSULATIONS {
        let mut line = Line::direct(encapsulation, VNI, false, 1500, &[]);
        for outer in [NOT_ECT, ECT_0, ECT_1, CE] {
            assert_eq!(line.receive(&[&header(encapsulation), &answered(&arp())[..]].concat(), outer), Some(answered(&arp())));
        }
    }
}

#[test]
fn the_mode_of_the_sender_does_not_change_what_is_received() {
    // RFC 6040 4.2: there is one decapsulation for both modes of encapsulation.
    let mut line = Line::direct("vxlan", VNI, false, 1500, &[("outer/ecn", "compatibility"), ("outer/dscp", "0")]);
    let datagram = [&header("vxlan"), &answered(&ip_frame(false, &[], 0xb8 | ECT_0, 90))[..]].concat();
    assert_eq!(line.receive(&datagram, CE), Some(answered(&ip_frame(false, &[], 0xb8 | CE, 90))));
}

#[test]
fn a_wrong_inner_checksum_is_carried_wrong() {
    let mut frame = answered(&ip_frame(false, &[], ECT_0, 90));
    frame[24] ^= 0x40;
    let given = Line::direct("geneve", VNI, false, 1500, &[]).receive(&[&header("geneve"), &frame[..]].concat(), CE).unwrap();
    assert_eq!(given[15], CE);
    assert_ne!(checksum::internet(&given[14..34]), 0, "a mark must not hide damage");
}
