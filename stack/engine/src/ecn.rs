//! What becomes of congestion marks at the ends of the tunnel? RFC 6040, for encapsulations with a header between the two IP headers
//! as well (RFC 9601).
//!
//! The underlay tells of congestion by setting CE in the outer header. Thrown away with it, the mark would never reach the one who
//! sends too fast; invented where the inner sender does not understand marks, it would tell nobody.

use crate::inner::{Inner, Network};
use overlay_api::DropReason;

/// Not-ECT: the sender does not understand marks (RFC 3168 5).
pub const NOT_ECT: u8 = 0b00;
/// ECT(1): the sender understands marks; a second kind of it (RFC 9331).
pub const ECT_1: u8 = 0b01;
/// ECT(0): the sender understands marks.
pub const ECT_0: u8 = 0b10;
/// CE: congestion experienced.
pub const CE: u8 = 0b11;

/// The bits of ECN in a TOS byte or traffic class.
const MASK: u8 = 0b11;

/// How the outer ECN field comes about (RFC 6040 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A copy of the inner one.
    Normal,
    /// Always Not-ECT, for receivers that would lose the marks (RFC 6040 4.3): congestion shows as loss.
    Compatibility,
}

/// The ECN field of the outer header, from the TOS byte or traffic class of the inner one (RFC 6040 4.1, figure 3). What is not IP
/// understands no marks.
#[must_use]
#[inline]
pub const fn encapsulate(mode: Mode, inner_tos: Option<u8>) -> u8 {
    match (mode, inner_tos) {
        (Mode::Normal, Some(tos)) => tos & MASK,
        _ => NOT_ECT,
    }
}

/// The ECN field that the inner header goes on with (RFC 6040 4.2, figure 4). Of both arguments the lower two bits count. A frame
/// without an IP header has no field and goes on as it is, whatever the outer one says.
///
/// ```text
///                          outer header
///  inner header   Not-ECT   ECT(0)    ECT(1)    CE
///  Not-ECT        Not-ECT   Not-ECT   Not-ECT   drop
///  ECT(0)         ECT(0)    ECT(0)    ECT(1)    CE
///  ECT(1)         ECT(1)    ECT(1)    ECT(1)    CE
///  CE             CE        CE        CE        CE
/// ```
///
/// # Errors
/// [`DropReason::CongestionMark`]: congestion, and a sender that understands it only as a loss.
#[inline]
pub const fn decapsulate(outer_ecn: u8, inner_ecn: u8) -> Result<u8, DropReason> {
    match (inner_ecn & MASK, outer_ecn & MASK) {
        (NOT_ECT, CE) => Err(DropReason::CongestionMark),
        (ECT_0, ECT_1) => Ok(ECT_1),
        (ECT_0 | ECT_1, CE) => Ok(CE),
        (inner, _) => Ok(inner),
    }
}

/// Writes the ECN field of the inner IP header, and corrects its checksum by the difference alone (RFC 1624 3): one that was wrong
/// stays wrong. `inner` is what [`Inner::parse`] found in `frame`; what is not IP stays as it is.
#[inline]
pub fn mark(frame: &mut [u8], inner: &Inner, ecn: u8) {
    let ecn = ecn & MASK;
    let Some(header) = frame.get_mut(inner.l3..) else { return };
    match inner.network {
        Network::Ipv4 { .. } => {
            let Some([version, tos, _, _, _, _, _, _, _, _, sum_high, sum_low]) = header.first_chunk_mut() else { return };
            let old = u16::from_be_bytes([*version, *tos]);
            *tos = *tos & !MASK | ecn;
            let new = u16::from_be_bytes([*version, *tos]);
            [*sum_high, *sum_low] = corrected(u16::from_be_bytes([*sum_high, *sum_low]), old, new).to_be_bytes();
        }
        Network::Ipv6 { .. } => {
            // Four bits of version, eight of traffic class: the ECN field is in the upper half of the second byte.
            let Some([_, second]) = header.first_chunk_mut() else { return };
            *second = *second & !(MASK << 4) | ecn << 4;
        }
        Network::Other => {}
    }
}

/// A checksum after one of the words it covers became another: HC' = ~(~HC + ~m + m'), equation 3 of RFC 1624.
const fn corrected(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = !checksum as u32 + !old as u32 + new as u32;
    // Three words leave a carry of two at most, and adding that leaves one at most.
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner::samples::{ethernet, ipv4, ipv6, parse, tagged};
    use overlay_decoder::checksum;
    use overlay_decoder::layer::number::ethertype;
    use proptest::prelude::*;

    const DROP: Result<u8, DropReason> = Err(DropReason::CongestionMark);

    #[test]
    fn the_outer_field_is_that_of_figure_3() {
        // Incoming header; outer in compatibility mode; outer in normal mode.
        let figure = [(NOT_ECT, NOT_ECT, NOT_ECT), (ECT_0, NOT_ECT, ECT_0), (ECT_1, NOT_ECT, ECT_1), (CE, NOT_ECT, CE)];
        for (inner, compatibility, normal) in figure {
            for dscp in 0..64 {
                let tos = Some(dscp << 2 | inner);
                assert_eq!(encapsulate(Mode::Compatibility, tos), compatibility, "inner {inner:02b}, dscp {dscp}");
                assert_eq!(encapsulate(Mode::Normal, tos), normal, "inner {inner:02b}, dscp {dscp}");
            }
        }
        assert_eq!([encapsulate(Mode::Normal, None), encapsulate(Mode::Compatibility, None)], [NOT_ECT; 2]);
    }

    #[test]
    fn the_field_that_goes_on_is_that_of_figure_4() {
        let outer = [NOT_ECT, ECT_0, ECT_1, CE];
        let figure = [
            (NOT_ECT, [Ok(NOT_ECT), Ok(NOT_ECT), Ok(NOT_ECT), DROP]),
            (ECT_0, [Ok(ECT_0), Ok(ECT_0), Ok(ECT_1), Ok(CE)]),
            (ECT_1, [Ok(ECT_1), Ok(ECT_1), Ok(ECT_1), Ok(CE)]),
            (CE, [Ok(CE), Ok(CE), Ok(CE), Ok(CE)]),
        ];
        for (inner, row) in figure {
            for (outer, departing) in outer.into_iter().zip(row) {
                assert_eq!(decapsulate(outer, inner), departing, "inner {inner:02b}, outer {outer:02b}");
                assert_eq!(decapsulate(outer | 0xb8, inner | 0x28), departing, "with DSCPs: inner {inner:02b}, outer {outer:02b}");
            }
        }
    }

    #[test]
    fn what_is_not_ip_is_not_marked() {
        let mut frame = ethernet(ethertype::ARP, &[0x45; 28]);
        let before = frame.clone();
        let inner = parse(&frame);
        mark(&mut frame, &inner, CE);
        assert_eq!(frame, before);
    }

    proptest! {
        #[test]
        fn a_mark_changes_the_field_and_keeps_the_checksum_right(tos: u8, ecn in 0u8..4, id: u16, ttl: u8, tags in 0usize..3) {
            let packet = ipv4(17, &[1; 9], |ip| (ip.tos, ip.id, ip.ttl) = (tos, id, ttl));
            let mut frame = tagged(&[7, 8][..tags], ethertype::IPV4, &packet);
            let inner = parse(&frame);
            mark(&mut frame, &inner, ecn);
            // Computed anew, from the first to the last byte, it is the same: not only one that a receiver takes.
            let expected = ipv4(17, &[1; 9], |ip| (ip.tos, ip.id, ip.ttl) = (tos & !3 | ecn, id, ttl));
            prop_assert_eq!(&frame[inner.l3..], &expected);
            prop_assert_eq!(checksum::internet(&frame[inner.l3..inner.l3 + 20]), 0);
        }

        #[test]
        fn a_wrong_checksum_stays_wrong(tos: u8, ecn in 0u8..4, wrong in 1u16..0xffff) {
            let mut packet = ipv4(17, &[], |ip| ip.tos = tos);
            let sum = checksum::internet(&packet[..10]);
            let damaged = u16::from_be_bytes([packet[10], packet[11]]).wrapping_add(wrong);
            packet[10..12].copy_from_slice(&damaged.to_be_bytes());
            prop_assume!(checksum::internet(&packet) != 0);
            let mut frame = ethernet(ethertype::IPV4, &packet);
            let inner = parse(&frame);
            mark(&mut frame, &inner, ecn);
            prop_assert_ne!(checksum::internet(&frame[14..34]), 0, "sum {}", sum);
        }

        #[test]
        fn a_mark_in_ipv6_changes_nothing_else(traffic_class: u8, flow_label in 0u32..1 << 20, ecn in 0u8..4) {
            let of = |class: u8| ethernet(ethertype::IPV6, &ipv6(17, &[2; 8], |ip| (ip.traffic_class, ip.flow_label) = (class, flow_label)));
            let mut frame = of(traffic_class);
            let inner = parse(&frame);
            mark(&mut frame, &inner, ecn);
            prop_assert_eq!(frame, of(traffic_class & !3 | ecn));
        }

        #[test]
        fn a_frame_that_is_not_the_one_parsed_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), ecn: u8) {
            let inner = parse(&ethernet(ethertype::IPV4, &ipv4(17, &[], |_| {})));
            mark(&mut bytes.clone(), &inner, ecn);
            let inner = parse(&ethernet(ethertype::IPV6, &ipv6(17, &[], |_| {})));
            mark(&mut bytes.clone(), &inner, ecn);
        }
    }
}
