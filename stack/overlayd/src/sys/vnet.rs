//! What is left to do to this frame? The header that a TAP puts in front of it, both ways.
//!
//! ```text
//!  0     1        2         4          6            8             10            12
//!  |flags|gso_type| hdr_len | gso_size | csum_start | csum_offset | num_buffers |
//! ```
//!
//! struct virtio_net_hdr_v1, little-endian (TUNSETVNETLE); virtio 1.2, 5.1.6. `hdr_len` is only a hint: the kernel writes how much of the
//! frame lies in one piece. So the length of the headers is read from the frame.

use overlay_engine::{Offload, SegmentKind, Segments};

/// Bytes of the header.
pub(super) const LEN: usize = 12;

const NEEDS_CSUM: u8 = 1; // VIRTIO_NET_HDR_F_NEEDS_CSUM
const GSO_TCP4: u8 = 1; // VIRTIO_NET_HDR_GSO_TCPV4 and so on.
const GSO_TCP6: u8 = 4;
const GSO_UDP: u8 = 5; // ..UDP_L4
const GSO_ECN: u8 = 0x80;

const TCP_MIN: usize = 20; // RFC 9293 3.1
const TCP_DATA_OFFSET: usize = 12; // its upper four bits, in 4-byte words
const TCP_FLAGS: usize = 13;
const TCP_CWR: u8 = 0x80; // RFC 3168 6.1
const UDP_LEN: usize = 8; // RFC 768

/// What the header says of `frame`, which follows it. What makes no sense is left out: the frame then is what it seems to be.
pub(super) fn decode(header: &[u8; LEN], frame: &[u8]) -> Offload {
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (start, offset) = (field(6), field(8));
    let fits = usize::from(start) + usize::from(offset) + 2 <= frame.len();
    let checksum = (header[0] & NEEDS_CSUM != 0 && fits).then_some((start, offset));
    // What is cut always wants checksums, so that checksum start is where TCP or UDP begins.
    let segments = checksum.and_then(|_| segments(header[1] & !GSO_ECN, field(4), start, frame));
    Offload { checksum, segments }
}

fn segments(gso_type: u8, size: u16, start: u16, frame: &[u8]) -> Option<Segments> {
    let transport = frame.get(usize::from(start)..)?;
    let (kind, len) = match gso_type {
        GSO_TCP4 | GSO_TCP6 => {
            let len = usize::from(transport.get(TCP_DATA_OFFSET)? >> 4) * 4;
            (if gso_type == GSO_TCP4 { SegmentKind::Tcp4 } else { SegmentKind::Tcp6 }, len)
        }
        GSO_UDP => (SegmentKind::Udp, UDP_LEN),
        _ => return None,
    };
    let sound = size > 0 && len <= transport.len() && (kind == SegmentKind::Udp || len >= TCP_MIN);
    // A header of TCP has 60 bytes at most.
    let header_len = start.checked_add(len as u16).filter(|_| sound)?;
    Some(Segments { size, header_len, kind })
}

/// The header that says `offload` of a frame, of which `head` is the first piece (the headers at least, if it is one to cut).
pub(super) fn encode(offload: &Offload, head: &[u8]) -> [u8; LEN] {
    let mut header = [0; LEN];
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    if let Some((start, offset)) = offload.checksum {
        put(6, start);
        put(8, offset);
    }
    if let Some(Segments { size, header_len, .. }) = offload.segments {
        put(2, header_len);
        put(4, size);
    }
    header[0] = if offload.checksum.is_some() { NEEDS_CSUM } else { 0 };
    header[1] = match offload.segments.map(|segments| segments.kind) {
        None => 0,
        Some(SegmentKind::Udp) => GSO_UDP,
        Some(kind) => {
            // A card that cuts must know, because only the first segment keeps the flag.
            let flags = offload.checksum.and_then(|(start, _)| head.get(usize::from(start) + TCP_FLAGS)).copied().unwrap_or(0);
            let ecn = if flags & TCP_CWR != 0 { GSO_ECN } else { 0 };
            (if kind == SegmentKind::Tcp4 { GSO_TCP4 } else { GSO_TCP6 }) | ecn
        }
    };
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame whose TCP header of `words` words begins at byte 34, with these flags.
    fn tcp(words: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0; 34 + usize::from(words) * 4 + payload];
        (frame[34 + TCP_DATA_OFFSET], frame[34 + TCP_FLAGS]) = (words << 4, flags);
        frame
    }

    fn super_frame(kind: SegmentKind, header_len: u16) -> Offload {
        let offset = if kind == SegmentKind::Udp { 6 } else { 16 };
        Offload { checksum: Some((34, offset)), segments: Some(Segments { size: 1000, header_len, kind }) }
    }

    #[test]
    fn bytes_are_those_of_the_specification() {
        let frame = tcp(8, 0, 3000);
        let bytes = encode(&super_frame(SegmentKind::Tcp4, 66), &frame);
        assert_eq!(bytes, [1, 1, 66, 0, 0xe8, 3, 34, 0, 16, 0, 0, 0]);
        assert_eq!(encode(&Offload::default(), &frame), [0; LEN]);
    }

    #[test]
    fn what_is_written_is_read() {
        for (kind, header_len) in [(SegmentKind::Tcp4, 34 + 32), (SegmentKind::Tcp6, 34 + 32), (SegmentKind::Udp, 34 + 8)] {
            let (frame, offload) = (tcp(8, 0, 3000), super_frame(kind, header_len));
            assert_eq!(decode(&encode(&offload, &frame), &frame), offload);
        }
        let checksum = Offload { checksum: Some((34, 16)), segments: None };
        let frame = tcp(5, 0, 0);
        assert_eq!(decode(&encode(&checksum, &frame), &frame), checksum);
    }

    #[test]
    fn the_hint_for_the_length_of_the_headers_is_not_believed() {
        let frame = tcp(5, 0, 3000);
        let mut header = encode(&super_frame(SegmentKind::Tcp4, 54), &frame);
        header[2..4].copy_from_slice(&256u16.to_le_bytes());
        assert_eq!(decode(&header, &frame).segments.map(|segments| segments.header_len), Some(54));
    }

    #[test]
    fn a_congestion_mark_is_told_to_the_card() {
        let frame = tcp(5, TCP_CWR, 3000);
        let header = encode(&super_frame(SegmentKind::Tcp6, 54), &frame);
        assert_eq!(header[1], GSO_TCP6 | GSO_ECN);
        assert_eq!(decode(&header, &frame), super_frame(SegmentKind::Tcp6, 54));
        assert_eq!(encode(&super_frame(SegmentKind::Tcp6, 54), &tcp(5, 0, 10))[1], GSO_TCP6);
    }

    #[test]
    fn nonsense_is_left_out_and_no_bytes_panic() {
        let frame = tcp(5, 0, 100);
        let good = encode(&super_frame(SegmentKind::Tcp4, 54), &frame);
        // A frame cut before its checksum, before its TCP header's end, a size of 0, a TCP header too short, an unknown kind.
        assert_eq!(decode(&good, &frame[..51]), Offload::default());
        assert_eq!(decode(&good, &frame[..53]).segments, None);
        assert_eq!(decode(&[1, 1, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0], &frame).segments, None);
        assert_eq!(decode(&good, &tcp(4, 0, 100)).segments, None);
        assert_eq!(decode(&[1, 3, 0, 0, 9, 0, 34, 0, 6, 0, 0, 0], &frame).segments, None);
        for flags in [0, 1, 0xff] {
            for gso_type in 0..=255 {
                for place in [0, 33, 34, 150, 0xffff] {
                    let [low, high] = u16::to_le_bytes(place);
                    let header = [flags, gso_type, 0, 0, 1, 0, low, high, low, high, 0, 0];
                    decode(&header, &frame);
                    decode(&header, &[]);
                    encode(&Offload { checksum: Some((place, place)), ..super_frame(SegmentKind::Tcp4, place) }, &[]);
                }
            }
        }
    }
}
