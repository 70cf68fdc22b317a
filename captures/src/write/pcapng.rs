//! pcapng: one little-endian section, nanoseconds, an interface description before the first packet of each interface, statistics
//! at the end. Layout and source: `read/pcapng.rs`.

use std::collections::HashMap;

use overlay_decoder::Timestamp;

use super::{Buffer, Statistics, WriteErrorKind};
use crate::MAX_KEPT_BLOCK_BYTES;
use crate::blocks::{ENHANCED_PACKET, INTERFACE, ORDER_MAGIC, SECTION_HEADER, SIMPLE_PACKET, STATISTICS, simple_caplen};
use crate::bytes::padded;
use crate::format::Format;
use crate::interface::{Interface, Resolution};
use crate::options::{
    self, COMMENT, END, EPB_DROPCOUNT, EPB_FLAGS, IF_DESCRIPTION, IF_NAME, IF_TSRESOL, ISB_IFDROP, ISB_IFRECV, ISB_OSDROP, ISB_USRDELIV,
};
use crate::record::{Direction, Record};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

#[derive(Default)]
pub(super) struct Encoder {
    started: bool,
    known: Vec<Known>,
    numbers: HashMap<Interface, u32>,
    /// The interface of the last record: nearly always that of the next one.
    last: usize,
}

/// An interface that the file describes.
struct Known {
    interface: Interface,
    delivered: u64,
    dropped: Option<u64>,
    /// Time of its last packet.
    ticks: u64,
    statistics: Option<Statistics>,
}

impl Encoder {
    /// Writes the section header, once.
    pub(super) fn start(&mut self, buffer: &mut Buffer<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        block(buffer, SECTION_HEADER, |bytes| {
            bytes.extend_from_slice(&ORDER_MAGIC.to_le_bytes());
            bytes.extend_from_slice(&[1, 0, 0, 0]); // version 1.0
            bytes.extend_from_slice(&u64::MAX.to_le_bytes()); // section length: not known
        });
    }

    /// Describes `interface` unless the file does already; gives its number.
    pub(super) fn add_interface(&mut self, interface: &Interface, buffer: &mut Buffer<'_>) -> Result<usize, WriteErrorKind> {
        if self.known.get(self.last).is_some_and(|known| known.interface == *interface) {
            return Ok(self.last);
        }
        if let Some(number) = self.numbers.get(interface) {
            return Ok(*number as usize);
        }
        check_text("the name of an interface", interface.name.as_deref().unwrap_or_default())?;
        check_text("the description of an interface", interface.description.as_deref().unwrap_or_default())?;
        self.start(buffer);
        block(buffer, INTERFACE, |bytes| {
            bytes.extend_from_slice(&interface.link.0.to_le_bytes());
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(&interface.snaplen.to_le_bytes());
            for (code, text) in [(IF_NAME, &interface.name), (IF_DESCRIPTION, &interface.description)] {
                if let Some(text) = text {
                    options::push(bytes, code, text.as_bytes());
                }
            }
            options::push(bytes, IF_TSRESOL, &[Resolution::NANOSECONDS.0]);
            options::push(bytes, END, &[]);
        });
        let number = self.known.len();
        self.numbers.insert(interface.clone(), number as u32);
        self.known.push(Known { interface: interface.clone(), delivered: 0, dropped: None, ticks: 0, statistics: None });
        Ok(number)
    }

    pub(super) fn set_statistics(
        &mut self,
        interface: &Interface,
        statistics: Statistics,
        buffer: &mut Buffer<'_>,
    ) -> Result<(), WriteErrorKind> {
        let number = self.add_interface(interface, buffer)?;
        self.known[number].statistics = Some(statistics);
        Ok(())
    }

    pub(super) fn record(&mut self, record: &Record<'_>, buffer: &mut Buffer<'_>) -> Result<(), WriteErrorKind> {
        let ticks = ticks(record.timestamp.unwrap_or_default())?;
        let mut length = 0;
        for comment in record.comments() {
            check_text("a comment", &comment)?;
            length += 4 + padded(comment.len());
        }
        // 64 covers the block's own fields and the two short options.
        let (found, limit) = (64 + padded(record.bytes.len()) + length, MAX_KEPT_BLOCK_BYTES as usize);
        if found > limit {
            return Err(WriteErrorKind::TooLong { what: "a packet with its comments", found, limit });
        }
        let number = match record.interface {
            Some(interface) if interface.link == record.link => self.add_interface(interface, buffer)?,
            // A link type of its own makes an interface of its own, whatever the record's interface says.
            Some(interface) => self.add_interface(&Interface { link: record.link, ..interface.clone() }, buffer)?,
            None => self.add_interface(&Interface::unnamed(record.link), buffer)?,
        };
        self.last = number;
        let known = &mut self.known[number];
        known.delivered += 1;
        let (direction, dropped) = (record.direction(), record.dropped());
        if let Some(dropped) = dropped {
            known.dropped = Some(known.dropped.unwrap_or(0).saturating_add(dropped));
        }
        let caplen = record.bytes.len() as u32; // checked by the writer
        let bare = direction.is_none() && dropped.is_none() && length == 0;
        if record.timestamp.is_none() && number == 0 && bare && simple_caplen(record.len, known.interface.snaplen) == caplen {
            block(buffer, SIMPLE_PACKET, |bytes| {
                bytes.extend_from_slice(&record.len.to_le_bytes());
                push_padded(bytes, record.bytes);
            });
            return Ok(());
        }
        known.ticks = ticks;
        block(buffer, ENHANCED_PACKET, |bytes| {
            let fixed = [number as u32, (ticks >> 32) as u32, ticks as u32, caplen, record.len].map(u32::to_le_bytes);
            bytes.extend_from_slice(fixed.as_flattened());
            push_padded(bytes, record.bytes);
            if bare {
                return;
            }
            for comment in record.comments() {
                options::push(bytes, COMMENT, comment.as_bytes());
            }
            if let Some(direction) = direction {
                let flags: u32 = match direction {
                    Direction::Inbound => 1,
                    Direction::Outbound => 2,
                };
                options::push(bytes, EPB_FLAGS, &flags.to_le_bytes());
            }
            if let Some(dropped) = dropped {
                options::push(bytes, EPB_DROPCOUNT, &dropped.to_le_bytes());
            }
            options::push(bytes, END, &[]);
        });
        Ok(())
    }

    /// Writes one statistics block per interface, with the time of its last packet: a library has no clock.
    pub(super) fn finish(&mut self, buffer: &mut Buffer<'_>) {
        self.start(buffer);
        for (number, known) in self.known.iter().enumerate() {
            block(buffer, STATISTICS, |bytes| {
                let fixed = [number as u32, (known.ticks >> 32) as u32, known.ticks as u32].map(u32::to_le_bytes);
                bytes.extend_from_slice(fixed.as_flattened());
                let statistics = known.statistics.unwrap_or(Statistics { dropped_by_system: known.dropped, ..Statistics::default() });
                for (code, count) in [
                    (ISB_IFRECV, statistics.received),
                    (ISB_IFDROP, statistics.dropped_by_interface),
                    (ISB_OSDROP, statistics.dropped_by_system),
                    (ISB_USRDELIV, Some(known.delivered)),
                ] {
                    if let Some(count) = count {
                        options::push(bytes, code, &count.to_le_bytes());
                    }
                }
                options::push(bytes, END, &[]);
            });
        }
    }
}

/// Appends a block of `kind` with what `body` appends, which must be a multiple of four bytes long.
fn block(buffer: &mut Buffer<'_>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.bytes.len();
    buffer.put(&kind.to_le_bytes());
    buffer.put(&[0; 4]);
    body(buffer.bytes);
    // Callers have checked the lengths of everything that varies.
    let length = (buffer.bytes.len() - start + 4) as u32;
    buffer.bytes[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    buffer.put(&length.to_le_bytes());
    buffer.end();
}

fn push_padded(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(bytes);
    buffer.extend_from_slice(&[0; 3][..padded(bytes.len()) - bytes.len()]);
}

/// An option holds 16 bits of length.
fn check_text(what: &'static str, text: &str) -> Result<(), WriteErrorKind> {
    let (found, limit) = (text.len(), usize::from(u16::MAX));
    if found > limit { Err(WriteErrorKind::TooLong { what, found, limit }) } else { Ok(()) }
}

/// Nanoseconds since 1970, which 64 bits hold until the year 2554.
fn ticks(time: Timestamp) -> Result<u64, WriteErrorKind> {
    u64::try_from(time.seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(NANOSECONDS_PER_SECOND)?.checked_add(time.nanoseconds.into()))
        .ok_or(WriteErrorKind::Time { record: time, format: Format::Pcapng, max_seconds: u64::MAX / NANOSECONDS_PER_SECOND - 1 })
}
