//! How do many small frames become one large one? What the peer's network card cut, or ours would have left alone, is put together before
//! the TAP: one write, one trip through the tenant's stack.
//!
//! ```text
//!  frames of one batch, in order
//!     │
//!     ▼
//!  continues the run? ── yes ──► both sound? ── yes ──► joined ──► PSH, shorter, or full? ──► write
//!     │ no                          │ no
//!     ▼                             ▼
//!  write the run, begin another  alone, as it is: the tenant's own stack finds the fault and counts it
//! ```
//!
//! A run is of consecutive frames of one flow that differ in nothing but what [`segment`](crate::segment) makes different again: cutting
//! the result gives the same frames, but for the identification of IPv4 packets that may not be fragmented, which means nothing (RFC 6864
//! 4.1). It ends with the batch; no timer holds anything back. A frame that is not joined is written as it came, and nobody has looked at
//! its checksum.
//!
//! The kernel believes what it is told with a super-frame (NEEDS_CSUM), so each checksum is verified before.
//!
//! # Partial checksums
//!
//! A VXLAN device of the kernel leaves the inner checksum to hardware, and on a virtual link (veth) there is none: the peer's frames come
//! with the sum of their pseudo-header in that field, and super-frames come uncut. That is no damage if the link has no wire
//! ([`Rules::trust_partial`]): such a frame is passed on with the same work left to do. What is left to do must be known before
//! the engine looks at its size: see [`super_frame`].

use crate::pieces::{Pieces, Run};
use crate::transport::{Protocol, Transport, Version, bytes, double, put, word};
use overlay_decoder::layer::Tcp;
use overlay_engine::{Offload, Segments};
use std::io::IoSlice;
use std::ops::Range;

/// Bytes of the longest super-frame: IP can say no more.
const FRAME_MAX: usize = 65_535;
/// Datagrams that the kernel takes in one super-frame of UDP are 128 at most (UDP_MAX_SEGMENTS, and EINVAL beyond); a few less are as good.
const UDP_MAX: usize = 120;
/// Segments of TCP have no such limit; a write has one of 1,024 slices (UIO_MAXIOV).
const TCP_MAX: usize = 1000;

/// "Congestion window reduced": on the first segment of a super-frame only (RFC 3168 6.1.2), and with accurate ECN (RFC 9768) part of a
/// number, so such a segment goes alone.
const CWR: u16 = 0x080;
/// The flags that a joined segment cannot have: they end, begin or interrupt the stream.
const ALONE: u16 = Tcp::FIN | Tcp::SYN | Tcp::RST | Tcp::URG | CWR;

/// What may be joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rules {
    /// Whether a checksum that is the sum of the pseudo-header alone is believed: the underlay's `trust_partial_checksum`.
    pub(crate) trust_partial: bool,
    /// Bytes of payload of the smallest datagram of UDP that others are joined to: 0 joins all, [`usize::MAX`] none.
    pub(crate) udp_from: usize,
}

/// A frame for a TAP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// By which its bytes are found again.
    pub(crate) key: u32,
    /// The inner frame.
    pub(crate) bytes: &'a [u8],
    /// What is left to do to it. A super-frame without a missing checksum is one that [`super_frame`] found.
    pub(crate) offload: Offload,
}

/// One write to the TAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    /// The key of the first frame in it.
    pub(crate) first: u32,
    /// Frames in it: those whose keys were given from `first` on.
    pub(crate) frames: u32,
    /// What is left to do to it.
    pub(crate) offload: Offload,
    run: Run,
}

/// Joins the frames of a batch. Keep it and use it again: clearing keeps the memory.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    pieces: Pieces,
    writes: Vec<Write>,
    small: usize,
}

impl Joiner {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.writes.clear();
        self.small = 0;
    }

    /// Datagrams of UDP among the frames so far that were left alone because they have so little payload.
    pub(crate) fn small(&self) -> usize {
        self.small
    }

    /// The writes so far, in the order in which they are to be made.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Appends the slices of a write to `out`; `frame` gives the bytes that had that key.
    pub(crate) fn slices<'a>(&'a self, write: &Write, frame: impl Fn(u32) -> &'a [u8], out: &mut Vec<IoSlice<'a>>) {
        self.pieces.slices(write.run, frame, out);
    }

    /// Adds the frames of a batch that go to one TAP, in order.
    pub(crate) fn join<'a>(&mut self, frames: impl IntoIterator<Item = Frame<'a>>, rules: Rules) {
        let mut open: Option<Open<'a>> = None;
        for frame in frames {
            let transport = Transport::parse(frame.bytes);
            let part = transport.and_then(|transport| Part::of(frame, transport));
            if let (Some(run), Some(part)) = (&mut open, &part)
                && run.continues(part)
                && run.is_sound(rules)
                && part.is_sound(rules)
            {
                self.add(run, part);
                if run.is_complete(part) {
                    self.close(&mut open, rules);
                }
                continue;
            }
            self.close(&mut open, rules);
            match part {
                Some(part) if part.begins(rules) => {
                    open = Some(Open { first: part, count: 1, len: part.len(), pushes: false, joined: None })
                }
                _ => {
                    let small = |transport| Part { frame, transport }.is_small(rules);
                    self.small += usize::from(frame.offload.segments.is_none() && transport.is_some_and(small));
                    self.alone(&frame, transport, rules);
                }
            }
        }
        self.close(&mut open, rules);
    }

    /// Adds a part to the run that it continues.
    fn add(&mut self, open: &mut Open<'_>, part: &Part<'_>) {
        if open.joined.is_none() {
            let Part { frame, transport } = &open.first;
            let run = self.pieces.begin();
            let header = self.pieces.push_header(bytes(frame.bytes, 0..transport.payload));
            self.pieces.push_frame(frame.key, transport.payload..transport.end);
            open.joined = Some(Joined { header, run });
        }
        self.pieces.push_frame(part.frame.key, part.transport.payload..part.transport.end);
        open.count += 1;
        open.len += part.len();
        open.pushes = part.pushes();
    }

    /// Writes the run, if there is one.
    fn close(&mut self, open: &mut Option<Open<'_>>, rules: Rules) {
        let Some(Open { first, count, len, pushes, joined }) = open.take() else { return };
        let Part { frame, transport } = first;
        let Some(Joined { header, run }) = joined else { return self.alone(&frame, Some(transport), rules) };
        let header = self.pieces.header(header);
        if pushes {
            put(header, transport.l4 + 12, word(header, transport.l4 + 12) | Tcp::PSH);
        }
        seal(header, &Transport { end: transport.payload + len, ..transport });
        self.write(frame.key, count as u32, work(&transport, first.len()), run);
    }

    /// Writes a frame that is joined with no other.
    fn alone(&mut self, frame: &Frame<'_>, transport: Option<Transport>, rules: Rules) {
        let (run, mut offload) = (self.pieces.begin(), frame.offload);
        if offload.checksum.is_none() {
            let partial = transport.filter(|transport| rules.trust_partial && transport.is_partial(frame.bytes));
            match (partial, transport, offload.segments) {
                (Some(transport), _, Some(Segments { size, .. })) => offload = work(&transport, size.into()),
                (Some(transport), _, None) => offload.checksum = Some(place(&transport)),
                // A super-frame whose sender computed the checksum over all of it.
                (None, Some(transport), Some(Segments { size, .. })) if is_sound(&transport, frame.bytes) => {
                    let header = self.pieces.push_header(bytes(frame.bytes, 0..transport.payload));
                    seal(self.pieces.header(header), &transport);
                    self.pieces.push_frame(frame.key, transport.payload..transport.end);
                    return self.write(frame.key, 1, work(&transport, size.into()), run);
                }
                _ => offload = Offload::default(),
            }
        }
        self.pieces.push_frame(frame.key, 0..frame.bytes.len());
        self.write(frame.key, 1, offload, run);
    }

    /// What was pushed since `run` began is a write.
    fn write(&mut self, first: u32, frames: u32, offload: Offload, mut run: Run) {
        self.pieces.end(&mut run);
        self.writes.push(Write { first, frames, offload, run });
    }
}

/// A run that may go on.
struct Open<'a> {
    first: Part<'a>,
    /// Frames in it.
    count: usize,
    /// Bytes of payload in it.
    len: usize,
    /// Whether the last one has PSH.
    pushes: bool,
    /// None as long as there is but the first.
    joined: Option<Joined>,
}

/// The pieces of a run.
struct Joined {
    /// The place of its headers.
    header: Range<usize>,
    run: Run,
}

impl Open<'_> {
    /// Whether a part is the next of the run: in nothing different but in what cutting makes different.
    #[inline]
    fn continues(&self, part: &Part<'_>) -> bool {
        let (one, other) = (self.first.frame.bytes, part.frame.bytes);
        let Transport { version, protocol, l3, l4, payload, .. } = self.first.transport;
        let next = part.transport;
        let alike = |from: usize, to: usize| bytes(one, from..to) == bytes(other, from..to);
        let places = (version, protocol, l3, l4, payload) == (next.version, next.protocol, next.l3, next.l4, next.payload);
        let most = if protocol == Protocol::Udp { UDP_MAX } else { TCP_MAX };
        let fits = self.count < most && part.len() <= self.first.len() && payload + self.len + part.len() <= FRAME_MAX;
        // MACs, tags and EtherType.
        if !places || !fits || !alike(0, l3) {
            return false;
        }
        let network = match version {
            // Version and TOS; flags, TTL and protocol; addresses.
            Version::V4 => alike(l3, l3 + 2) && alike(l3 + 6, l3 + 10) && alike(l3 + 12, l3 + 20) && self.continues_id(part),
            // All but the length.
            Version::V6 => alike(l3, l3 + 4) && alike(l3 + 6, l3 + 40),
        };
        let transport = match protocol {
            Protocol::Tcp => {
                let flags = |frame| word(frame, l4 + 12) & !Tcp::PSH;
                // Ports; acknowledgment number; window; urgent pointer and options.
                let rest = alike(l4, l4 + 4) && alike(l4 + 8, l4 + 12) && alike(l4 + 14, l4 + 16) && alike(l4 + 18, payload);
                rest && flags(one) == flags(other) && double(other, l4 + 4) == double(one, l4 + 4).wrapping_add(self.len as u32)
            }
            Protocol::Udp => alike(l4, l4 + 4),
        };
        network && transport
    }

    fn continues_id(&self, part: &Part<'_>) -> bool {
        let (first, next) = (&self.first.transport, &part.transport);
        let dont_fragment = word(part.frame.bytes, next.l3 + 6) & 0x4000 != 0;
        dont_fragment || next.id(part.frame.bytes) == first.id(self.first.frame.bytes).wrapping_add(self.count as u16)
    }

    /// Whether the checksums of what is in it hold. All but the first were verified when they were added, and with them the first.
    fn is_sound(&self, rules: Rules) -> bool {
        self.joined.is_some() || self.first.is_sound(rules)
    }

    /// Whether it ends with this part, which was added to it.
    fn is_complete(&self, part: &Part<'_>) -> bool {
        part.pushes() || part.len() < self.first.len()
    }
}

/// A frame that can be part of a run.
#[derive(Clone, Copy)]
struct Part<'a> {
    frame: Frame<'a>,
    transport: Transport,
}

impl<'a> Part<'a> {
    /// None if it goes alone whatever comes before and behind it.
    #[inline]
    fn of(frame: Frame<'a>, transport: Transport) -> Option<Self> {
        let Transport { version, protocol, l3, l4, payload, end } = transport;
        // BIG TCP is not cut on any wire, and a length of 0 in a short frame is a fault that joining would repair.
        let has_length = match version {
            Version::V4 => word(frame.bytes, l3 + 2) > 0,
            Version::V6 => word(frame.bytes, l3 + 4) > 0,
        };
        let can = match protocol {
            Protocol::Tcp => word(frame.bytes, l4 + 12) & (ALONE | Tcp::ACK) == Tcp::ACK,
            // Cut again, it would have a checksum.
            Protocol::Udp => transport.checksum(frame.bytes) != 0 && usize::from(word(frame.bytes, l4 + 4)) == end - l4,
        };
        // Bytes behind the packet would get lost.
        let whole = end == frame.bytes.len() && payload < end && end <= FRAME_MAX;
        (can && whole && has_length && transport.is_plain() && frame.offload == Offload::default()).then_some(Self { frame, transport })
    }

    /// Bytes of payload.
    fn len(&self) -> usize {
        self.transport.end - self.transport.payload
    }

    /// Whether a run can begin with it: PSH ends one.
    fn begins(&self, rules: Rules) -> bool {
        !self.pushes() && !self.is_small(rules)
    }

    /// Whether it is a datagram with too little payload to begin a run; it may be the shorter one at its end.
    fn is_small(&self, rules: Rules) -> bool {
        self.transport.protocol == Protocol::Udp && self.len() < rules.udp_from
    }

    fn pushes(&self) -> bool {
        self.transport.protocol == Protocol::Tcp && word(self.frame.bytes, self.transport.l4 + 12) & Tcp::PSH != 0
    }

    /// Whether its checksums hold, or would once they are filled in.
    fn is_sound(&self, rules: Rules) -> bool {
        let Self { frame, transport } = self;
        let partial = rules.trust_partial && transport.is_partial(frame.bytes);
        if partial { transport.network_holds(frame.bytes) } else { is_sound(transport, frame.bytes) }
    }
}

/// Whether the checksums of IP and transport hold.
fn is_sound(transport: &Transport, frame: &[u8]) -> bool {
    transport.network_holds(frame) && transport.holds(frame)
}

/// Makes a header that of a super-frame: the lengths are those of everything, and the checksum is left to do.
fn seal(header: &mut [u8], transport: &Transport) {
    let Transport { protocol, l4, end, .. } = *transport;
    let (base, id) = (transport.network_base(header), transport.id(header));
    transport.write_network(header, base, id, end);
    if protocol == Protocol::Udp {
        put(header, l4 + 4, (end - l4) as u16);
    }
    let partial = transport.partial(header, end - l4);
    put(header, l4 + protocol.checksum_at(), partial);
}

/// Where a missing checksum is computed from, and where it goes.
fn place(transport: &Transport) -> (u16, u16) {
    // Headers end far below 64 KiB: 22 bytes of Ethernet, IP with its options, TCP with its options.
    (transport.l4 as u16, transport.protocol.checksum_at() as u16)
}

/// What is left to do to a super-frame.
fn work(transport: &Transport, size: usize) -> Offload {
    let segments = Segments { size: size as u16, header_len: transport.payload as u16, kind: transport.kind() };
    Offload { checksum: Some(place(transport)), segments: Some(segments) }
}

/// How large the segments of a super-frame are that came uncut over a virtual link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SegmentSize {
    /// It did not say. IP packets may have so many bytes on the inner network.
    FitsMtu(u32),
    /// It came with the datagram (UDP_GRO), in bytes of payload.
    Known(u16),
}

/// Which super-frame is this inner frame? None if it is a frame as it can be on a wire, or several.
///
/// Two datagrams want this asked, before they become items of a batch, with everything behind the encapsulation's header:
///
/// - One that is longer than the underlay's MTU and came without a size (UDP_GRO): TCP that a peer on a virtual link has not cut.
/// - One that came with a size. Mostly it is several datagrams of that size, and the answer is none. But a peer on a virtual link may have
///   left a super-frame of *inner* UDP uncut, and then the kernel gives the inner size. Cut at that size it would be garbage.
///
/// TCP may be cut anywhere, and so at the MTU. Datagrams may not: without a known size there is no answer for them.
pub(crate) fn super_frame(frame: &[u8], size: SegmentSize) -> Option<Segments> {
    let transport = Transport::parse(frame)?;
    let Transport { protocol, l3, payload, end, .. } = transport;
    let size = match (protocol, size) {
        (_, SegmentSize::Known(size)) => usize::from(size),
        (Protocol::Tcp, SegmentSize::FitsMtu(mtu)) => (mtu as usize).checked_sub(payload - l3)?,
        (Protocol::Udp, SegmentSize::FitsMtu(_)) => return None,
    };
    let is_one = end == frame.len() && end <= FRAME_MAX && size > 0 && end - payload > size;
    work(&transport, size).segments.filter(|_| is_one)
}
