//! How does a super-frame leave on a socket that knows nothing of what is inside? Cut here, as the sender's network card would have.
//!
//! The kernel can cut a message into datagrams of equal size (UDP_SEGMENT), but it repeats no headers behind its own UDP header. So each
//! segment gets headers of its own, encapsulation included, and the payload stays where it was read: one message is
//! `[headers 0][payload 0][headers 1][payload 1]..`, with the size of each such pair.
//!
//! ```text
//!  frame ──► super-frame? ──► headers per segment: IP length and id, sequence number, flags, checksums ──► chunks ──► sendmsg each
//!               │ no
//!               ├─► checksum missing? ──► headers up to it, and the checksum; the rest as it is
//!               └─► as it is
//! ```
//!
//! Frames of one size to one destination go into one message, too, where the caller says that their outer headers are alike
//! ([`Follows::Same`]).
//!
//! What differs between segments, and what comes out of it, is what Linux does (`tcp_gso_segment`, `__udp_gso_segment`,
//! `inet_gso_segment`): FIN and PSH on the last, CWR on the first (RFC 3168 6.1.2), an IPv4 identification that counts up, a UDP
//! checksum of 0 written as 0xffff (RFC 768).

use crate::pieces::{Pieces, Run};
use crate::transport::{Protocol, Transport, bytes, double, fold, length, put, sum, word};
use overlay_decoder::layer::Tcp;
use overlay_engine::{Offload, SegmentKind, Segments};
use std::fmt;
use std::io::IoSlice;
use std::ops::Range;

/// "Congestion window reduced" (RFC 3168 6.1.2).
const CWR: u16 = 0x080;

/// How much goes into one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Datagrams.
    pub(crate) segments: u16,
    /// Bytes of all datagrams, headers included. A single datagram may be longer; the kernel will say what it thinks of it.
    pub(crate) bytes: u32,
}

impl Limits {
    /// For UDP_SEGMENT. Older kernels take 64 segments (UDP_MAX_SEGMENTS), newer ones 128; the repeated headers count towards the 65,507 bytes of a
    /// UDP datagram over IPv4, of which options may take some.
    pub(crate) const GSO: Self = Self { segments: 64, bytes: 65_000 };
    /// For sockets without it: raw IP.
    pub(crate) const SINGLE: Self = Self { segments: 1, bytes: 65_000 };
}

/// Whether a frame may share a message with the one that was cut before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Follows {
    /// No: it is the first, or something in the outer header differs.
    Other,
    /// Yes: the outer header is the same in every field.
    Same,
}

/// One message: what a `sendmsg` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    /// The key of the first frame in it.
    pub(crate) first: u32,
    /// The key of the last frame in it.
    pub(crate) last: u32,
    /// Datagrams.
    pub(crate) segments: u16,
    /// Bytes of all datagrams.
    pub(crate) bytes: u32,
    /// Bytes of each datagram but the last.
    size: u32,
    /// Whether the last datagram is as long as the others, so that there can be more.
    open: bool,
    run: Run,
}

impl Chunk {
    /// What UDP_SEGMENT is to be told; none if there is but one datagram.
    pub(crate) fn segment_size(&self) -> Option<u16> {
        if self.segments > 1 { u16::try_from(self.size).ok() } else { None }
    }

    /// How many slices it has.
    pub(crate) const fn slices(&self) -> usize {
        self.run.len()
    }

    const fn takes(&self, len: u32, limits: Limits) -> bool {
        self.open && self.segments < limits.segments && 0 < len && len <= self.size && self.bytes.saturating_add(len) <= limits.bytes
    }
}

/// Why a frame could not be cut: what came with it does not fit what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CutError {
    /// The encapsulation's header is longer than everything.
    NoFrame {
        /// Bytes of the header.
        header_len: usize,
        /// Bytes of header and frame.
        len: usize,
    },
    /// It is said to be a super-frame of this kind.
    NotThat(SegmentKind),
    /// A segment would be longer than its IP header can say.
    TooLong {
        /// Bytes of the IP packet.
        len: usize,
    },
    /// The missing checksum has its place outside of the frame.
    ChecksumOutside {
        /// Where the sum begins.
        start: u16,
        /// Where it goes, behind that.
        offset: u16,
        /// Bytes of the frame.
        len: usize,
    },
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrame { header_len, len } => write!(f, "an encapsulation header of {header_len} bytes, but {len} bytes in all"),
            Self::NotThat(kind) => {
                let kind = match kind {
                    SegmentKind::Tcp4 => "TCP over IPv4",
                    SegmentKind::Tcp6 => "TCP over IPv6",
                    SegmentKind::Udp => "UDP",
                };
                write!(f, "a super-frame of {kind} was announced, the frame is not one with whole headers")
            }
            Self::TooLong { len } => write!(f, "segments of {len} bytes; the IP header can say at most 65535"),
            Self::ChecksumOutside { start, offset, len } => {
                write!(f, "a missing checksum at byte {start} + {offset} of a frame of {len} bytes; both its bytes must be inside")
            }
        }
    }
}

/// Cuts the frames of a batch into messages. Keep it and use it again: clearing keeps the memory.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    pieces: Pieces,
    chunks: Vec<Chunk>,
}

impl Cutter {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.chunks.clear();
    }

    /// The messages so far, in the order in which they are to be sent.
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Appends the slices of a message to `out`; `frame` gives for a key what was given to [`cut`](Self::cut).
    pub(crate) fn slices<'a>(&'a self, chunk: &Chunk, frame: impl Fn(u32) -> &'a [u8], out: &mut Vec<IoSlice<'a>>) {
        self.pieces.slices(chunk.run, frame, out);
    }

    /// Adds a frame with its encapsulation's header of `header_len` bytes in front of it, under a key of the caller's choice.
    ///
    /// # Errors
    /// What contradicts the frame; then nothing was added.
    pub(crate) fn cut(
        &mut self,
        key: u32,
        bytes: &[u8],
        header_len: usize,
        offload: &Offload,
        follows: Follows,
        limits: Limits,
    ) -> Result<(), CutError> {
        let len = bytes.len();
        let frame = bytes.get(header_len..).ok_or(CutError::NoFrame { header_len, len })?;
        let whole = Whole { key, bytes, frame, header_len };
        match (offload.segments, offload.checksum) {
            (Some(segments), checksum) => self.super_frame(&whole, segments, checksum, follows, limits),
            (None, Some((start, offset))) => self.checksum(&whole, start, offset, follows, limits),
            (None, None) => {
                self.begin(key, len, follows, limits);
                self.pieces.push_frame(key, 0..len);
                self.end();
                Ok(())
            }
        }
    }

    /// Fills in the checksum of a frame that is sent as one.
    fn checksum(&mut self, whole: &Whole<'_>, start: u16, offset: u16, follows: Follows, limits: Limits) -> Result<(), CutError> {
        let Whole { key, bytes, frame, header_len } = *whole;
        let (from, at) = (usize::from(start), usize::from(start) + usize::from(offset));
        let outside = CutError::ChecksumOutside { start, offset, len: frame.len() };
        let (Some(covered), Some(head)) = (frame.get(from..), bytes.get(..header_len + at + 2)) else { return Err(outside) };
        // The field is covered, and holds the sum of the pseudo-header.
        let checksum = match (!fold(sum(covered)), usize::from(offset)) {
            // The place is UDP's, to which 0 is none.
            (0, 6) => 0xffff,
            (checksum, _) => checksum,
        };
        self.begin(key, bytes.len(), follows, limits);
        let place = self.pieces.push_header(head);
        put(self.pieces.header(place), header_len + at, checksum);
        self.pieces.push_frame(key, head.len()..bytes.len());
        self.end();
        Ok(())
    }

    fn super_frame(
        &mut self,
        whole: &Whole<'_>,
        segments: Segments,
        checksum: Option<(u16, u16)>,
        follows: Follows,
        limits: Limits,
    ) -> Result<(), CutError> {
        let Whole { key, bytes: all, frame, header_len } = *whole;
        // Not `segments.header_len`: the kernel calls its own figure a hint.
        let transport = Transport::parse(frame).filter(|transport| transport.kind() == segments.kind);
        let transport = transport.ok_or(CutError::NotThat(segments.kind))?;
        let Transport { protocol, l3, l4, payload, end, .. } = transport;
        let size = match usize::from(segments.size) {
            0 => end - payload,
            size => size.min(end - payload),
        };
        if payload + size - l3 > transport.longest() {
            return Err(CutError::TooLong { len: payload + size - l3 });
        }
        let common = Common::of(&transport, frame, checksum);
        let (network, id) = (transport.network_base(frame), transport.id(frame));
        let (sequence, flags) = (double(frame, l4 + 4), word(frame, l4 + 12));
        let head = bytes(all, 0..header_len + payload);
        let (mut from, mut index, mut follows) = (payload, 0u16, follows);
        loop {
            let to = (from + size).min(end);
            let is_last = to == end;
            self.begin(key, head.len() + to - from, follows, limits);
            let place = self.pieces.push_header(head);
            let header = self.pieces.header(place).get_mut(header_len..).unwrap_or_default();
            let covered = payload - l4 + to - from;
            transport.write_network(header, network, id.wrapping_add(index), l4 + covered);
            let mut words = common.0 + length(covered) + sum(bytes(frame, from..to));
            match protocol {
                Protocol::Tcp => {
                    // A super-frame is shorter than the sequence space by far.
                    let sequence = sequence.wrapping_add((from - payload) as u32);
                    let mut flags = flags;
                    if !is_last {
                        flags &= !(Tcp::FIN | Tcp::PSH);
                    }
                    if from != payload {
                        flags &= !CWR;
                    }
                    let [high, low] = [(sequence >> 16) as u16, sequence as u16];
                    put(header, l4 + 4, high);
                    put(header, l4 + 6, low);
                    put(header, l4 + 12, flags);
                    words += u32::from(high) + u32::from(low) + u32::from(flags);
                    put(header, l4 + 16, !fold(words));
                }
                Protocol::Udp => {
                    put(header, l4 + 4, covered as u16);
                    words += length(covered);
                    put(header, l4 + 6, Some(!fold(words)).filter(|checksum| *checksum != 0).unwrap_or(0xffff));
                }
            }
            self.pieces.push_frame(key, header_len + from..header_len + to);
            self.end();
            if is_last {
                return Ok(());
            }
            (from, index, follows) = (to, index.wrapping_add(1), Follows::Same);
        }
    }

    /// A datagram of `len` bytes begins, in the message before it or in one of its own.
    fn begin(&mut self, key: u32, len: usize, follows: Follows, limits: Limits) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        match self.chunks.last_mut() {
            Some(chunk) if follows == Follows::Same && chunk.takes(len, limits) => {
                chunk.last = key;
                chunk.segments += 1;
                chunk.bytes += len;
                chunk.open = len == chunk.size;
            }
            _ => {
                let run = self.pieces.begin();
                self.chunks.push(Chunk { first: key, last: key, segments: 1, bytes: len, size: len, open: true, run });
            }
        }
    }

    /// Its pieces are complete.
    fn end(&mut self) {
        if let Some(chunk) = self.chunks.last_mut() {
            self.pieces.end(&mut chunk.run);
        }
    }
}

/// A frame in hand.
#[derive(Clone, Copy)]
struct Whole<'a> {
    key: u32,
    /// The encapsulation's header and the frame.
    bytes: &'a [u8],
    frame: &'a [u8],
    header_len: usize,
}

/// The sum of the words of pseudo-header and transport header that are alike in all segments.
struct Common(u32);

impl Common {
    fn of(transport: &Transport, frame: &[u8], checksum: Option<(u16, u16)>) -> Self {
        let Transport { protocol, l4, payload, end, .. } = *transport;
        let place = (l4, protocol.checksum_at());
        let given = checksum.is_some_and(|(start, offset)| (start.into(), offset.into()) == place);
        let pseudo = if given {
            // The sender's own sum, less the length of everything: a source route has a final destination that is not in the header.
            let len = match protocol {
                Protocol::Tcp => fold(length(end - l4)),
                Protocol::Udp => word(frame, l4 + 4),
            };
            u32::from(transport.checksum(frame)) + u32::from(!len)
        } else {
            transport.pseudo(frame)
        };
        let alike: [Range<usize>; 4] = match protocol {
            // Ports; acknowledgment number; window; urgent pointer and options.
            Protocol::Tcp => [l4..l4 + 4, l4 + 8..l4 + 12, l4 + 14..l4 + 16, l4 + 18..payload],
            Protocol::Udp => [l4..l4 + 4, 0..0, 0..0, 0..0],
        };
        Self(alike.into_iter().map(|range| sum(bytes(frame, range))).sum::<u32>() + pseudo)
    }
}
