//! What does a driver put into the engine? Buffers that it owns, with frames or datagrams in them.
//!
//! ```text
//!  buffer  |<-- room for a header -->|<------------- item ------------->|            |
//!          0                       start                            start + len
//! ```
//!
//! A frame is read into a buffer behind [`HEADROOM`](crate::encap::HEADROOM) bytes of room; the engine writes the encapsulation's
//! header into that room, so that header and frame are sent as one piece and the frame is never copied. A buffer can hold several
//! datagrams (UDP_GRO gives many of one size at once); each is an item of its own.

use crate::encap::HEADROOM;
use overlay_decoder::Ul3;
use std::ops::Range;

/// What a super-frame is cut into, by the sender's network card or its stand-in: several segments of TCP or UDP that share their
/// headers and cross the engine as one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segments {
    /// Payload bytes of each segment but the last; not 0.
    pub size: u16,
    /// Bytes of the headers that every segment repeats: from the Ethernet header to the end of the TCP or UDP header.
    pub header_len: u16,
    /// What is being cut.
    pub kind: SegmentKind,
}

/// The protocol of a super-frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4 or IPv6: datagrams of equal size.
    Udp,
}

/// What is left to do to a frame before it is on a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// Where a checksum is missing: the byte of the frame from which it is computed, and where it goes behind that byte.
    pub checksum: Option<(u16, u16)>,
    /// How it is cut.
    pub segments: Option<Segments>,
}

impl Offload {
    /// Frames on the wire that a frame of `len` bytes becomes.
    #[must_use]
    pub fn packets(&self, len: usize) -> u32 {
        match self.segments {
            Some(Segments { size, header_len, .. }) if size > 0 => {
                let payload = len.saturating_sub(header_len.into());
                u32::try_from(payload.div_ceil(size.into()).max(1)).unwrap_or(u32::MAX)
            }
            _ => 1,
        }
    }

    /// Bytes of all frames on the wire together that a frame of `len` bytes becomes, each with `header_len` bytes in front of it.
    #[must_use]
    pub fn wire_bytes(&self, len: usize, header_len: usize) -> u64 {
        let packets = u64::from(self.packets(len));
        let repeated = self.segments.map_or(0, |segments| u64::from(segments.header_len));
        len as u64 + packets * header_len as u64 + (packets - 1) * repeated
    }

    /// Bytes of the largest frame on the wire that a frame of `len` bytes becomes.
    #[must_use]
    pub fn largest(&self, len: usize) -> usize {
        match self.segments {
            Some(Segments { size, header_len, .. }) if size > 0 => len.min(usize::from(header_len) + usize::from(size)),
            _ => len,
        }
    }
}

/// One frame or datagram of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item<M> {
    /// Which buffer.
    pub buffer: u32,
    /// Its first byte there.
    pub start: u32,
    /// Its length in bytes.
    pub len: u32,
    /// What came with it.
    pub meta: M,
}

/// What comes with a datagram from the underlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The outer source.
    pub from: Ul3,
    /// The outer type of service or traffic class.
    pub tos: u8,
    /// What is left to do to the inner frame, if the driver knows.
    pub offload: Offload,
}

/// Buffers and what is in them. Keep it and use it again: clearing keeps the memory.
#[derive(Debug)]
pub struct Batch<M> {
    buffers: Vec<Box<[u8]>>,
    items: Vec<Item<M>>,
}

/// Frames from a VNIC.
pub type Frames = Batch<Offload>;
/// Datagrams from the underlay.
pub type Datagrams = Batch<Arrival>;

impl<M: Copy> Batch<M> {
    /// `buffers` buffers, each for `capacity` bytes of frame or datagram and the room in front of it.
    #[must_use]
    pub fn new(buffers: usize, capacity: usize) -> Self {
        let buffers: Vec<_> = (0..buffers).map(|_| vec![0; HEADROOM + capacity].into_boxed_slice()).collect();
        Self { items: Vec::with_capacity(buffers.len()), buffers }
    }

    /// How many buffers there are.
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// The bytes of a buffer behind its head room: read into this, then [`push`](Self::push).
    ///
    /// # Panics
    /// If there is no such buffer: `buffer` counts from 0 to [`buffers`](Self::buffers), both are the driver's own.
    pub fn space(&mut self, buffer: usize) -> &mut [u8] {
        &mut self.buffers[buffer][HEADROOM..]
    }

    /// The same with `room` bytes in front of them, for what a driver reads before an item in one piece with it; fewer if there is less
    /// head room. The engine may write over them.
    ///
    /// # Panics
    /// As [`space`](Self::space).
    pub fn space_with_room(&mut self, buffer: usize, room: usize) -> &mut [u8] {
        &mut self.buffers[buffer][HEADROOM.saturating_sub(room)..]
    }

    /// Says that `range` of the space of `buffer` holds an item. Says whether it fits; nothing is added if not.
    pub fn push(&mut self, buffer: usize, range: Range<usize>, meta: M) -> bool {
        let Some(bytes) = self.buffers.get(buffer) else { return false };
        let (Some(start), Some(end)) = (range.start.checked_add(HEADROOM), range.end.checked_add(HEADROOM)) else { return false };
        if start > end || end > bytes.len() {
            return false;
        }
        match (u32::try_from(buffer), u32::try_from(start), u32::try_from(end - start)) {
            (Ok(buffer), Ok(start), Ok(len)) => self.items.push(Item { buffer, start, len, meta }),
            _ => return false,
        }
        true
    }

    /// Copies `bytes` into the next free buffer: for tests, replay and everything that has no descriptor to read from. Says whether
    /// there was a buffer of that size.
    pub fn push_copy(&mut self, bytes: &[u8], meta: M) -> bool {
        let buffer = self.items.len();
        match self.buffers.get_mut(buffer).and_then(|space| space.get_mut(HEADROOM..HEADROOM + bytes.len())) {
            Some(space) => space.copy_from_slice(bytes),
            None => return false,
        }
        self.push(buffer, 0..bytes.len(), meta)
    }

    /// Forgets the items.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// The items, in the order in which they were pushed.
    #[must_use]
    pub fn items(&self) -> &[Item<M>] {
        &self.items
    }

    /// Changes what came with an item, if there is such an item: what a driver finds out only after it has read.
    pub fn set_meta(&mut self, item: u32, change: impl FnOnce(&mut M)) {
        if let Some(item) = self.items.get_mut(item as usize) {
            change(&mut item.meta);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The bytes of an item; empty if there is no such item.
    #[must_use]
    pub fn bytes(&self, item: u32) -> &[u8] {
        self.with_header(item, 0)
    }

    /// The bytes of an item with `header_len` bytes in front of it: what [`Transmit`](crate::Transmit) asks to send. Empty if there is
    /// no such item or no such room.
    #[must_use]
    pub fn with_header(&self, item: u32, header_len: usize) -> &[u8] {
        self.items.get(item as usize).map_or(&[], |item| {
            let (start, end) = (item.start as usize, item.start as usize + item.len as usize);
            let buffer = self.buffers.get(item.buffer as usize);
            start.checked_sub(header_len).and_then(|start| buffer?.get(start..end)).unwrap_or(&[])
        })
    }

    /// Room of `header_len` bytes for a header, and the item. Empty both if there is no such item or no such room.
    pub(crate) fn split(&mut self, item: u32, header_len: usize) -> (&mut [u8], &mut [u8]) {
        let Some(item) = self.items.get(item as usize) else { return (&mut [], &mut []) };
        let (start, end) = (item.start as usize, item.start as usize + item.len as usize);
        let buffer = self.buffers.get_mut(item.buffer as usize);
        match start.checked_sub(header_len).and_then(|from| buffer?.get_mut(from..end)) {
            Some(bytes) => bytes.split_at_mut(header_len),
            None => (&mut [], &mut []),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_does_not_fit_its_buffer_is_refused() {
        let mut batch = Frames::new(1, 100);
        assert!(!batch.push(0, 0..101, Offload::default()));
        assert!(!batch.push(1, 0..1, Offload::default()));
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 5..4;
        assert!(!batch.push(0, reversed, Offload::default()));
        assert!(!batch.push(0, usize::MAX - 5..usize::MAX, Offload::default()));
        assert!(batch.push(0, 10..100, Offload::default()));
        assert_eq!(
            (batch.bytes(0).len(), batch.with_header(0, HEADROOM + 10).len(), batch.with_header(0, HEADROOM + 11).len()),
            (90, 420, 0)
        );
        assert_eq!((batch.bytes(1).len(), batch.split(1, 8).0.len()), (0, 0));
    }

    #[test]
    fn a_super_frame_is_counted_in_packets_and_measured_by_its_largest() {
        let offload = Offload { checksum: None, segments: Some(Segments { size: 1000, header_len: 54, kind: SegmentKind::Tcp4 }) };
        assert_eq!((offload.packets(54 + 2001), offload.largest(54 + 2001)), (3, 1054));
        assert_eq!((offload.packets(60), offload.largest(60)), (1, 60));
        assert_eq!((offload.wire_bytes(54 + 2001, 8), offload.wire_bytes(60, 8)), (2001 + 3 * (54 + 8), 68));
        assert_eq!((offload.packets(10), Offload::default().packets(9000)), (1, 1));
    }
}
