//! How do many packets travel together? A chunk is one read from the source: the bytes as they came, and an index of the
//! whole records in them. It is made once per thread and used again and again, so that no packet costs an allocation.

use std::sync::Arc;

use overlay_decoder::{LinkType, Timestamp};

use crate::bytes::Order;
use crate::interface::Interface;
use crate::options::Options;
use crate::record::{Notes, Record};

/// Bytes that a chunk reads at once. Larger windows fall out of the second-level cache and are slower, smaller ones pay for more
/// system calls.
pub const WINDOW_BYTES: usize = 256 * 1024;

/// `Entry::nanoseconds` of a record without a time; real ones are below 10^9.
const NO_TIME: u32 = u32::MAX;
/// `Entry::interface` of a record whose file describes no interfaces.
pub(crate) const NO_INTERFACE: u32 = u32::MAX;
/// `Entry::dropped` of a record that does not say; counts stop one below.
pub(crate) const NO_COUNT: u32 = u32::MAX;

/// A batch of records with the bytes they borrow. Made empty, filled by [`Reader::next_chunk`](crate::Reader::next_chunk) or
/// [`Chunk::push`], read with [`Chunk::records`], then filled again: its memory is kept.
#[derive(Default, Debug)]
pub struct Chunk {
    /// The window. Bytes beyond `filled` are left over from earlier contents: kept because zeroing them again costs time.
    pub(crate) bytes: Vec<u8>,
    pub(crate) filled: usize,
    pub(crate) batch: Batch,
    first_number: u64,
}

/// The index of a chunk, apart from its bytes so that a scanner can fill it while it borrows them.
#[derive(Default, Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    /// The interfaces that the entries name: a chunk may span pcapng sections, each of which has its own numbering.
    pub(crate) interfaces: Vec<Arc<Interface>>,
}

/// Where a record lies in the window, and what its header said. 40 bytes: one is written for every packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    seconds: i64,
    nanoseconds: u32,
    /// Offset of the captured bytes in the window.
    pub(crate) start: u32,
    pub(crate) caplen: u32,
    pub(crate) len: u32,
    /// Place in `Batch::interfaces`, or `NO_INTERFACE`.
    pub(crate) interface: u32,
    /// Bytes of pcapng options, which start at the 32-bit boundary after the captured bytes.
    pub(crate) options: u32,
    /// Packets lost before this one, or `NO_COUNT`.
    pub(crate) dropped: u32,
    pub(crate) link: LinkType,
    pub(crate) order: Order,
}

impl Entry {
    /// A record of `caplen` bytes at `start` of the window, without interface, options or drop count.
    #[inline]
    pub(crate) fn new(link: LinkType, timestamp: Option<Timestamp>, start: usize, caplen: u32, len: u32) -> Self {
        let time = timestamp.unwrap_or(Timestamp { seconds: 0, nanoseconds: NO_TIME });
        Self {
            seconds: time.seconds,
            nanoseconds: time.nanoseconds,
            // A window holds one record over its size at the most, so offsets are far below 32 bits.
            start: start as u32,
            caplen,
            len,
            interface: NO_INTERFACE,
            options: 0,
            dropped: NO_COUNT,
            link,
            order: Order::Little,
        }
    }
}

impl Chunk {
    /// An empty chunk. The window is allocated when it is first filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.entries.len()
    }

    /// Are there no records?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.entries.is_empty()
    }

    /// Number of the first record in its capture, from 1. An empty chunk has the number that its first record would have.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.first_number.max(1)
    }

    /// The records, in the order of the capture.
    #[inline]
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> + Clone {
        let first = self.first_number();
        self.batch.entries.iter().enumerate().map(move |(i, entry)| self.record(first + i as u64, entry))
    }

    /// The record at `index`, from 0.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.batch.entries.get(index).map(|entry| self.record(self.first_number() + index as u64, entry))
    }

    #[inline]
    fn record(&self, number: u64, entry: &Entry) -> Record<'_> {
        let start = entry.start as usize;
        let end = start + entry.caplen as usize;
        let options = match entry.options {
            0 => &[],
            length => {
                let start = start + crate::bytes::padded(entry.caplen as usize);
                self.bytes.get(start..start + length as usize).unwrap_or_default()
            }
        };
        Record {
            number,
            timestamp: (entry.nanoseconds != NO_TIME).then_some(Timestamp { seconds: entry.seconds, nanoseconds: entry.nanoseconds }),
            len: entry.len,
            // The scanner has checked that the range is inside the window; `get` keeps that from being a panic if it ever errs.
            bytes: self.bytes.get(start..end).unwrap_or_default(),
            link: entry.link,
            interface: self.batch.interfaces.get(entry.interface as usize).map(Arc::as_ref),
            notes: Notes {
                options: Options::new(options, entry.order),
                dropped: (entry.dropped != NO_COUNT).then_some(entry.dropped.into()),
                ..Notes::NONE
            },
        }
    }

    /// Forgets the records and keeps the memory. The next record pushed gets `first_number`.
    pub fn clear(&mut self, first_number: u64) {
        self.batch.entries.clear();
        self.batch.interfaces.clear();
        self.filled = 0;
        self.first_number = first_number;
    }

    /// Appends a copy of a packet, for sources that hand out one packet at a time (live captures). Of `interface`, pass the same
    /// `Arc` each time. `bytes` beyond [`MAX_PACKET_BYTES`](crate::MAX_PACKET_BYTES) are cut.
    pub fn push(&mut self, link: LinkType, timestamp: Timestamp, len: u32, bytes: &[u8], interface: Option<&Arc<Interface>>) {
        let bytes = &bytes[..bytes.len().min(crate::MAX_PACKET_BYTES as usize)];
        self.bytes.truncate(self.filled);
        self.bytes.extend_from_slice(bytes);
        let mut entry = Entry::new(link, Some(timestamp), self.filled, bytes.len() as u32, len);
        self.filled = self.bytes.len();
        if let Some(interface) = interface {
            if !self.batch.interfaces.last().is_some_and(|last| Arc::ptr_eq(last, interface)) {
                self.batch.interfaces.push(Arc::clone(interface));
            }
            entry.interface = (self.batch.interfaces.len() - 1) as u32;
        }
        self.batch.entries.push(entry);
    }

    /// Bytes of packets, headers and options in the chunk: what a source that pushes looks at to know when the chunk is full
    /// ([`WINDOW_BYTES`]).
    #[must_use]
    pub fn filled_bytes(&self) -> usize {
        self.filled
    }

    /// Bytes of memory that the chunk keeps.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.batch.entries.capacity() * size_of::<Entry>()
            + self.batch.interfaces.capacity() * size_of::<Arc<Interface>>()
    }

    /// Makes the window `length` bytes long, if it is shorter.
    pub(crate) fn reserve_window(&mut self, length: usize) {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_packets_come_back_numbered_and_with_their_interface() {
        let eth0 = Arc::new(Interface::named("eth0", LinkType::ETHERNET));
        let mut chunk = Chunk::new();
        assert_eq!((chunk.len(), chunk.first_number()), (0, 1));
        for round in 0..2_u64 {
            chunk.clear(100 * round + 1);
            chunk.push(LinkType::ETHERNET, Timestamp::new(1, 2), 64, &[1, 2, 3], Some(&eth0));
            chunk.push(LinkType::RAW, Timestamp::new(3, 4), 2, &[], None);
            chunk.push(LinkType::ETHERNET, Timestamp::new(5, 6), 1, &[9], Some(&eth0));
            let seen: Vec<_> =
                chunk.records().map(|r| (r.number, r.len, r.bytes.to_vec(), r.interface.and_then(|i| i.name.clone()))).collect();
            let first = 100 * round + 1;
            assert_eq!(seen[0], (first, 64, vec![1, 2, 3], Some("eth0".into())));
            assert_eq!(seen[1], (first + 1, 2, vec![], None));
            assert_eq!(seen[2], (first + 2, 1, vec![9], Some("eth0".into())));
            assert_eq!(chunk.get(2).and_then(|r| r.timestamp), Some(Timestamp::new(5, 6)));
            assert!(chunk.get(3).is_none());
            assert_eq!(chunk.filled_bytes(), 4);
        }
    }

    #[test]
    fn an_entry_stays_small() {
        assert_eq!(size_of::<Entry>(), 40);
    }
}
