//! Which association does a message belong to? The common header of SCTP (RFC 9260 3.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Source port          |        Destination port       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Verification tag                       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       Checksum (CRC-32c)                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Chunk type  |  Chunk flags  |          Chunk length         |  repeated, padded to 4 bytes
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::fault::{Fault, Room};
use super::{Header, View};
use crate::fields::{Fields, key};
use crate::text::Text;

/// The common header of an SCTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sctp {
    /// Sending port.
    pub src_port: u16,
    /// Receiving port.
    pub dst_port: u16,
    /// Verification tag of the receiver; 0 with an INIT chunk.
    pub tag: u32,
    /// CRC-32c over the packet, in the byte order of the wire.
    pub checksum: u32,
}

impl Sctp {
    /// Length of the header in bytes.
    pub const LENGTH: usize = 12;

    /// Reads the header.
    #[must_use]
    #[inline]
    pub const fn parse(b: &[u8; Self::LENGTH]) -> Self {
        Self {
            src_port: u16::from_be_bytes([b[0], b[1]]),
            dst_port: u16::from_be_bytes([b[2], b[3]]),
            tag: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            checksum: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        }
    }

    /// Writes the header, with the checksum as it stands in the struct.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LENGTH] {
        let ([a, b], [c, d]) = (self.src_port.to_be_bytes(), self.dst_port.to_be_bytes());
        let ([e, f, g, h], [i, j, k, l]) = (self.tag.to_be_bytes(), self.checksum.to_be_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

/// One chunk of a packet (RFC 9260 3.2); `value` holds its captured bytes.
struct Chunk<'a> {
    kind: u8,
    flags: u8,
    length: u16,
    value: &'a [u8],
}

/// The chunks of a packet, up to the first with an impossible length.
fn chunks(payload: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let ([kind, flags, high, low], tail) = rest.split_first_chunk::<4>()?;
        let length = u16::from_be_bytes([*high, *low]);
        // The length counts the four bytes of the chunk's header, but not its padding.
        let value = usize::from(length).checked_sub(4)?;
        rest = tail.get(value.next_multiple_of(4)..).unwrap_or_default();
        Some(Chunk { kind: *kind, flags: *flags, length, value: &tail[..value.min(tail.len())] })
    })
}

impl Chunk<'_> {
    /// Bytes of the chunk that are no user data, from its start on: as in any other protocol, user data may be cut.
    fn least(&self) -> usize {
        let head = match self.kind {
            0 => 16,
            // RFC 8260 2.1.
            64 => 20,
            _ => usize::MAX,
        };
        head.min(self.length.into())
    }
}

/// The names of tcpdump (registry of IANA, SCTP chunk types).
const fn chunk_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "DATA",
        1 => "INIT",
        2 => "INIT ACK",
        3 => "SACK",
        4 => "HB REQ",
        5 => "HB ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "OP ERR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        12 => "ECN ECHO",
        13 => "CWR",
        14 => "SHUTDOWN COMPLETE",
        15 => "AUTH",
        64 => "I-DATA",
        128 => "ASCONF ACK",
        130 => "RE-CONFIG",
        132 => "PAD",
        192 => "FORWARD TSN",
        193 => "ASCONF",
        194 => "I-FORWARD-TSN",
        _ => return None,
    })
}

/// Chunks in the fields and in the summary.
const LISTED: usize = 64;
const SUMMARIZED: usize = 8;

impl Header for Sctp {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        out.num(key!("src_port"), self.src_port.into());
        out.num(key!("dst_port"), self.dst_port.into());
        out.hex(key!("tag"), self.tag.into(), 8);
        out.hex(key!("checksum"), self.checksum.into(), 8);
        if out.wants_details() && !view.payload.is_empty() {
            let mut chunks = chunks(view.payload);
            out.open_list(key!("chunks"));
            for chunk in chunks.by_ref().take(LISTED) {
                out.open_item();
                chunk_fields(&chunk, out);
                out.close_item();
            }
            if chunks.next().is_some() {
                out.open_item();
                out.flag(key!("more"), true);
                out.close_item();
            }
            out.close_list();
        }
    }

    fn summary(&self, view: View<'_>, out: &mut Text) {
        let mut chunks = chunks(view.payload);
        let mut space = "";
        for chunk in chunks.by_ref().take(SUMMARIZED) {
            out.text(space);
            space = " ";
            out.byte(b'[');
            match chunk_name(chunk.kind) {
                Some(name) => out.text(name),
                None => {
                    out.text("chunk ");
                    out.num(chunk.kind.into());
                }
            }
            out.byte(b']');
        }
        if chunks.next().is_some() {
            out.text(" ...");
        }
    }

    fn fault(&self, view: View<'_>) -> Option<Fault> {
        let (room, mut at) = (Room::message(view), Self::LENGTH);
        for chunk in chunks(view.payload) {
            let length = usize::from(chunk.length);
            let need = if at + length > room.claimed { length } else { chunk.least() };
            if let Some(fault) = room.lacking(at, need, "chunk beyond the packet") {
                return Some(fault);
            }
            at += length.next_multiple_of(4);
        }
        match view.payload.get(at - Self::LENGTH..) {
            Some([_, _, 0, 0..4, ..]) => Some(Fault::wrong(at, "chunk length below 4")),
            _ => room.left(at, 4, "chunk beyond the packet"),
        }
    }
}

fn chunk_fields<F: Fields>(chunk: &Chunk<'_>, out: &mut F) {
    out.named(key!("type"), chunk.kind.into(), chunk_name(chunk.kind));
    out.hex(key!("flags"), chunk.flags.into(), 2);
    out.num(key!("length"), chunk.length.into());
    let word = |index: usize| chunk.value.get(index * 4..).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
    match (chunk.kind, word(0), word(1), word(2)) {
        // RFC 9260 3.3.1: TSN, stream and its sequence number, protocol of the payload.
        (0, Some(tsn), Some(stream), Some(protocol)) => {
            out.num(key!("tsn"), tsn.into());
            out.num(key!("stream"), (stream >> 16).into());
            out.num(key!("stream_sequence"), (stream & 0xffff).into());
            out.num(key!("payload_protocol"), protocol.into());
        }
        // RFC 9260 3.3.2: tag, window, streams out and in, first TSN.
        (1 | 2, Some(tag), Some(window), Some(streams)) => {
            out.hex(key!("initiate_tag"), tag.into(), 8);
            out.num(key!("window"), window.into());
            out.num(key!("outbound_streams"), (streams >> 16).into());
            out.num(key!("inbound_streams"), (streams & 0xffff).into());
            if let Some(tsn) = word(3) {
                out.num(key!("initial_tsn"), tsn.into());
            }
        }
        // RFC 9260 3.3.4: TSN up to which everything arrived, window.
        (3, Some(tsn), Some(window), _) => {
            out.num(key!("cumulative_tsn"), tsn.into());
            out.num(key!("window"), window.into());
        }
        // RFC 9260 3.3.8, RFC 3758 3.2.
        (7 | 192, Some(tsn), ..) => out.num(key!("cumulative_tsn"), tsn.into()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::recorder::{Extent, fields, renders_every_cut, summary, view};
    use crate::stop::StopKind;
    use proptest::prelude::*;

    const HEADER: [u8; 12] = [0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef];

    fn packet(chunks: &[&[u8]]) -> Vec<u8> {
        [&HEADER[..], &chunks.concat()].concat()
    }

    #[test]
    fn chunks_are_named_and_padding_is_skipped() {
        let data = [0, 3, 0, 17, 0, 0, 0, 5, 0, 1, 0, 2, 0, 0, 0, 46, b'x', 0, 0, 0];
        let sack = [3, 0, 0, 16, 0, 0, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0];
        let packet = packet(&[&data, &sack, &[200, 0, 0, 4]]);
        let header = Sctp::parse(&HEADER);
        assert_eq!(summary(&header, view(&packet, 12)), "[DATA] [SACK] [chunk 200]");
        assert_eq!(
            fields(&header, view(&packet, 12), Extent::Details),
            "src_port=2905 dst_port=2906 tag=0x00000001 checksum=0xdeadbeef chunks=[\
             {type=0 flags=0x03 length=17 tsn=5 stream=1 stream_sequence=2 payload_protocol=46}\
             {type=3 flags=0x00 length=16 cumulative_tsn=4 window=65536}{type=200 flags=0x00 length=4}]"
        );
    }

    #[test]
    fn a_chunk_that_is_too_short_to_be_one_ends_the_list() {
        let packet = packet(&[&[3, 0, 0, 4], &[1, 0, 0, 3, 9, 9, 9, 9]]);
        assert_eq!(summary(&Sctp::parse(&HEADER), view(&packet, 12)), "[SACK]");
    }

    #[test]
    fn a_chunk_that_cannot_be_is_a_fault_and_cut_user_data_is_none() {
        let fault = |packet: &[u8], captured: usize| {
            let view = View { header: &packet[..12], payload: &packet[12..captured], claimed: packet.len() as u32 - 12 };
            Sctp::parse(&HEADER).fault(view).map(|fault| (fault.kind, fault.offset, fault.need, fault.have))
        };
        let data = [0, 3, 0, 20, 0, 0, 0, 5, 0, 1, 0, 2, 0, 0, 0, 46, b'x', b'x', b'x', b'x'];
        let sack = [3, 0, 0, 16, 0, 0, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0];
        let both = packet(&[&sack, &data]);
        assert_eq!(fault(&both, 48), None);
        assert_eq!(fault(&both, 45), None, "only user data are missing");
        assert_eq!(fault(&both, 40), Some((StopKind::Truncated, 28, 16, 12)));
        let turned = packet(&[&data, &sack]);
        assert_eq!(fault(&turned, 30), Some((StopKind::Truncated, 32, 4, 0)), "another chunk follows the user data");
        assert_eq!(fault(&packet(&[&sack, &[1, 0, 0, 3]]), 32), Some((StopKind::Malformed, 28, 0, 0)));
        assert_eq!(fault(&packet(&[&sack, &[0, 0, 0, 99]]), 32), Some((StopKind::Malformed, 28, 99, 4)));
        assert_eq!(fault(&packet(&[&sack, &[0, 0]]), 30), Some((StopKind::Malformed, 28, 4, 2)));
        assert_eq!(fault(&packet(&[&data[..17]]), 29), Some((StopKind::Malformed, 12, 20, 17)));
        assert_eq!(fault(&packet(&[&[0, 3, 0, 17], &data[4..17]]), 29), None, "the padding of the last chunk may be missing");
    }

    #[test]
    fn many_chunks_are_cut_and_say_so() {
        let packet = packet(&[&[11, 0, 0, 4].repeat(100)]);
        let header = Sctp::parse(&HEADER);
        assert!(summary(&header, view(&packet, 12)).ends_with("[COOKIE ACK] ..."));
        let written = fields(&header, view(&packet, 12), Extent::Details);
        assert_eq!(written.matches("type=11").count(), LISTED);
        assert!(written.ends_with("{more=true}]"), "{written}");
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; 12]) {
            prop_assert_eq!(Sctp::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn hostile_bytes_are_rendered_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 12..120)) {
            renders_every_cut(&Sctp::parse(bytes.first_chunk().unwrap()), &bytes, 12, 4000);
        }
    }
}
