//! What does a pcapng file hold? Blocks: a section header that gives the byte order, interfaces, packets that refer to them, and
//! others that are skipped.
//!
//! Source: draft-ietf-opsawg-pcapng, sections 3.1 (blocks), 4.1 (section header), 4.2 (interfaces), 4.3 (packets), 4.4 (simple
//! packets), 4.6 (statistics), and appendix A (the obsolete packet block).
//!
//! ```text
//! block            | type 4 | total length 4 | body ... | total length 4 |
//! section header   | order magic 4 | major 2 | minor 2 | section length 8 | options ... |
//! interface        | link type 2 | reserved 2 | snaplen 4 | options ... |
//! enhanced packet  | interface 4 | time high 4, low 4 | captured length 4 | length on the wire 4 | bytes, padding | options ... |
//! simple packet    | length on the wire 4 | bytes, padding |
//! obsolete packet  | interface 2 | drops 2 | time high 4, low 4 | captured length 4 | length on the wire 4 | bytes, padding | options ... |
//! statistics       | interface 4 | time high 4, low 4 | options ... |
//! ```

use std::sync::Arc;

use overlay_decoder::LinkType;

use super::{MAX_BLOCK_BYTES, MAX_KEPT_BLOCK_BYTES, MAX_PACKET_BYTES, Next, Part, ReadErrorKind, Window};
use crate::blocks::{
    ENHANCED_PACKET, INTERFACE, OBSOLETE_PACKET, ORDER_MAGIC, SECTION_HEADER, SIMPLE_PACKET, STATISTICS, is_kept, is_packet, simple_caplen,
};
use crate::bytes::{Order, padded};
use crate::chunk::{Batch, Entry, WINDOW_BYTES};
use crate::interface::{Interface, Resolution};
use crate::options::{IF_DESCRIPTION, IF_NAME, IF_TSOFFSET, IF_TSRESOL, ISB_IFDROP, ISB_OSDROP, Options};

/// Type and both lengths.
const BLOCK_OVERHEAD: u32 = 12;
/// Most interfaces of one section: several times what a host with thousands of containers has.
const MAX_INTERFACES: usize = 16_384;
/// Most bytes of names and descriptions of one section's interfaces.
const MAX_INTERFACE_TEXT_BYTES: usize = 2 << 20;
/// The obsolete packet block's drop count for "not known".
const DROPS_UNKNOWN: u16 = u16::MAX;

#[derive(Debug)]
pub(super) struct Scanner {
    order: Order,
    /// Section headers seen.
    sections: u32,
    interfaces: Vec<Known>,
    interface_text: usize,
    skip: Option<Skip>,
    /// Drops that the statistics of earlier sections report.
    earlier_drops: Option<u64>,
}

/// An interface of the current section.
#[derive(Debug)]
struct Known {
    interface: Arc<Interface>,
    /// Where the chunk that starts with record `chunk` has it in its list.
    slot: u32,
    chunk: u64,
    /// Drops in its latest statistics block.
    drops: Option<u64>,
}

/// A block that is not looked at and too long for the window.
#[derive(Debug)]
struct Skip {
    at: u64,
    length: u32,
    left: u32,
}

impl Default for Scanner {
    fn default() -> Self {
        let order = Order::Little; // until the first section header, with which every file starts
        Self { order, sections: 0, interfaces: Vec::new(), interface_text: 0, skip: None, earlier_drops: None }
    }
}

const fn needs(bytes: u32) -> Next {
    Next::Needs { buffer: bytes as usize, total: bytes as u64 }
}

impl Scanner {
    pub(super) fn scan(&mut self, window: &mut Window<'_>) -> Next {
        loop {
            if let Some(next) = self.pass_skipped(window) {
                return next;
            }
            let rest = window.rest();
            let Some(head) = rest.first_chunk::<8>() else {
                return needs(BLOCK_OVERHEAD);
            };
            // The section header's type reads the same in both orders, and its order rules its own length.
            let mut order = self.order;
            if order.u32(head) == SECTION_HEADER {
                let Some(magic) = rest.get(8..12) else {
                    return needs(BLOCK_OVERHEAD);
                };
                order = match (Order::Little.u32(magic), Order::Big.u32(magic)) {
                    (ORDER_MAGIC, _) => Order::Little,
                    (_, ORDER_MAGIC) => Order::Big,
                    (_, found) => {
                        let what =
                            format!("section header with byte-order magic {found:08x}: {ORDER_MAGIC:08x} is allowed, in either order");
                        return malformed(window, Part::Block(window.position()), what);
                    }
                };
            }
            let (kind, length) = (order.u32(head), order.u32(&head[4..]));
            if let Err(kind) = check_length(window, kind, length) {
                return Next::Fault(kind);
            }
            let Some(block) = rest.get(..length as usize) else {
                let kept = is_kept(kind);
                if !kept && length as usize > WINDOW_BYTES {
                    self.skip = Some(Skip { at: window.position(), length, left: length - 4 });
                    continue;
                }
                return needs(length);
            };
            // check_length made sure that there are at least 12 bytes.
            let (body, trailer) = block.get(8..).and_then(|b| b.split_last_chunk::<4>()).unwrap_or((&[], &[0; 4]));
            let trailer = order.u32(trailer);
            if trailer != length {
                return trailer_differs(window.position(), part(kind, window), length, trailer);
            }
            self.order = order;
            let result = match kind {
                ENHANCED_PACKET | OBSOLETE_PACKET => self.packet(kind, body, window.at + 8, window.first_number, window.batch),
                SIMPLE_PACKET => self.simple_packet(body, window.at + 8, window.first_number, window.batch),
                SECTION_HEADER => self.section(body),
                INTERFACE => self.interface(body),
                STATISTICS => self.statistics(body),
                _ => Ok(()),
            };
            if let Err(what) = result {
                return malformed(window, part(kind, window), what);
            }
            window.at += length as usize;
        }
    }

    /// Takes the bytes of a skipped block, if there is one; gives what is missing of it.
    fn pass_skipped(&mut self, window: &mut Window<'_>) -> Option<Next> {
        let skip = self.skip.as_mut()?;
        let taken = skip.left.min(u32::try_from(window.rest().len()).unwrap_or(u32::MAX));
        skip.left -= taken;
        window.at += taken as usize;
        let Some(trailer) = window.rest().first_chunk::<4>() else {
            return Some(Next::Needs { buffer: 4, total: u64::from(skip.left) + 4 });
        };
        let trailer = self.order.u32(trailer);
        if trailer != skip.length {
            return Some(trailer_differs(skip.at, Part::Block(skip.at), skip.length, trailer));
        }
        window.at += 4;
        self.skip = None;
        None
    }

    pub(super) const fn is_skipping(&self) -> bool {
        self.skip.is_some()
    }

    /// What the capture was cut off in.
    pub(super) fn part(&self, rest: &[u8], position: u64, number: u64) -> Part {
        match &self.skip {
            Some(skip) => Part::Block(skip.at),
            None if rest.len() >= 4 && is_packet(self.order.u32(rest)) => Part::Record(number),
            None => Part::Block(position),
        }
    }

    pub(super) fn reported_drops(&self) -> Option<u64> {
        let current = self.interfaces.iter().filter_map(|known| known.drops);
        self.earlier_drops.into_iter().chain(current).reduce(u64::saturating_add)
    }

    /// Section 4.1: from here on there are no interfaces until they are described again.
    fn section(&mut self, body: &[u8]) -> Result<(), String> {
        let Some(fixed) = body.first_chunk::<16>() else {
            return Err(format!("section header with {} bytes inside: at least 16 are needed", body.len()));
        };
        let (major, minor) = (self.order.u16(&fixed[4..]), self.order.u16(&fixed[6..]));
        if major != 1 {
            return Err(format!("pcapng version {major}.{minor}: only 1.x is read"));
        }
        self.earlier_drops = self.reported_drops();
        self.interfaces.clear();
        self.interface_text = 0;
        self.sections = self.sections.saturating_add(1);
        Ok(())
    }

    /// Section 4.2.
    fn interface(&mut self, body: &[u8]) -> Result<(), String> {
        let Some((fixed, bytes)) = body.split_first_chunk::<8>() else {
            return Err(format!("interface description with {} bytes inside: at least 8 are needed", body.len()));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(format!("interface {}: at most {MAX_INTERFACES} are read in one section", self.interfaces.len()));
        }
        let link = LinkType(self.order.u16(fixed));
        let mut interface = Interface {
            section: self.sections.saturating_sub(1),
            index: self.interfaces.len() as u32, // below MAX_INTERFACES
            snaplen: self.order.u32(&fixed[4..]),
            resolution: Resolution::MICROSECONDS,
            ..Interface::unnamed(link)
        };
        let mut options = Options::new(bytes, self.order);
        for (code, value) in &mut options {
            match code {
                IF_NAME => interface.name = Some(text(value)),
                IF_DESCRIPTION => interface.description = Some(text(value)),
                IF_TSRESOL => match value {
                    [resolution] => interface.resolution = Resolution(*resolution),
                    _ => return Err(format!("if_tsresol of {} bytes: it has one", value.len())),
                },
                IF_TSOFFSET if value.len() == 8 => interface.offset_seconds = self.order.u64(value).cast_signed(),
                IF_TSOFFSET => return Err(format!("if_tsoffset of {} bytes: it has eight", value.len())),
                _ => {}
            }
        }
        if options.overrun() {
            return Err("an option of the interface description is longer than its block".into());
        }
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.interface_text += length(&interface.name) + length(&interface.description);
        if self.interface_text > MAX_INTERFACE_TEXT_BYTES {
            return Err(format!("names and descriptions of interfaces over {MAX_INTERFACE_TEXT_BYTES} bytes in one section"));
        }
        self.interfaces.push(Known { interface: Arc::new(interface), slot: 0, chunk: 0, drops: None });
        Ok(())
    }

    /// Section 4.6. The latest block of an interface counts.
    fn statistics(&mut self, body: &[u8]) -> Result<(), String> {
        let Some((fixed, bytes)) = body.split_first_chunk::<12>() else {
            return Err(format!("interface statistics with {} bytes inside: at least 12 are needed", body.len()));
        };
        let described = self.interfaces.len();
        let index = self.order.u32(fixed);
        let Some(known) = self.interfaces.get_mut(index as usize) else {
            return Err(unknown_interface("statistics of interface", index, described));
        };
        let drops = Options::new(bytes, self.order)
            .filter(|(code, value)| matches!(*code, ISB_IFDROP | ISB_OSDROP) && value.len() == 8)
            .map(|(_, value)| self.order.u64(value));
        known.drops = drops.reduce(u64::saturating_add).or(known.drops);
        Ok(())
    }

    /// Section 4.3, and appendix A for the obsolete form, which differs in the first four bytes. `start` is the window's offset of
    /// the body.
    #[inline]
    fn packet(&mut self, kind: u32, body: &[u8], start: usize, chunk: u64, batch: &mut Batch) -> Result<(), String> {
        const FIXED: usize = 20;
        let order = self.order;
        let Some((fixed, bytes)) = body.split_first_chunk::<FIXED>() else {
            return Err(format!("packet block with {} bytes inside: at least {FIXED} are needed", body.len()));
        };
        let (index, drops) = match kind {
            OBSOLETE_PACKET => (order.u16(fixed).into(), order.u16(&fixed[2..])),
            _ => (order.u32(fixed), DROPS_UNKNOWN),
        };
        let ticks = u64::from(order.u32(&fixed[4..])) << 32 | u64::from(order.u32(&fixed[8..]));
        let (caplen, len) = (order.u32(&fixed[12..]), order.u32(&fixed[16..]));
        check_captured(caplen, bytes.len())?;
        let (interface, slot) = self.used(index, chunk, batch)?;
        let time = interface.resolution.timestamp(ticks, interface.offset_seconds);
        let mut entry = Entry::new(interface.link, Some(time), start + FIXED, caplen, len);
        entry.interface = slot;
        entry.order = order;
        entry.options = bytes.len().saturating_sub(padded(caplen as usize)) as u32; // blocks are far below 32 bits
        if drops != DROPS_UNKNOWN {
            entry.dropped = drops.into();
        }
        batch.entries.push(entry);
        Ok(())
    }

    /// Section 4.4: always of interface 0, without a time, and cut at its snaplen.
    fn simple_packet(&mut self, body: &[u8], start: usize, chunk: u64, batch: &mut Batch) -> Result<(), String> {
        const FIXED: usize = 4;
        let Some((fixed, bytes)) = body.split_first_chunk::<FIXED>() else {
            return Err(format!("simple packet block with {} bytes inside: at least {FIXED} are needed", body.len()));
        };
        let len = self.order.u32(fixed);
        let (interface, slot) = self.used(0, chunk, batch)?;
        let caplen = simple_caplen(len, interface.snaplen);
        check_captured(caplen, bytes.len())?;
        let mut entry = Entry::new(interface.link, None, start + FIXED, caplen, len);
        entry.interface = slot;
        batch.entries.push(entry);
        Ok(())
    }

    /// Interface `index`, and its place in the list of the chunk that starts with record `chunk`.
    #[inline]
    fn used(&mut self, index: u32, chunk: u64, batch: &mut Batch) -> Result<(&Interface, u32), String> {
        let described = self.interfaces.len();
        let Some(known) = self.interfaces.get_mut(index as usize) else {
            return Err(unknown_interface("interface", index, described));
        };
        if known.chunk != chunk {
            (known.slot, known.chunk) = (batch.interfaces.len() as u32, chunk);
            batch.interfaces.push(Arc::clone(&known.interface));
        }
        Ok((&known.interface, known.slot))
    }
}

fn text(value: &[u8]) -> String {
    // Some writers count a terminating zero.
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

fn unknown_interface(what: &str, index: u32, described: usize) -> String {
    match described {
        0 => format!("{what} {index}, but the section has described none"),
        _ => format!("{what} {index}, but the section has described only 0 to {}", described - 1),
    }
}

/// `available`: bytes of the block from the packet's first one on.
#[inline]
fn check_captured(caplen: u32, available: usize) -> Result<(), String> {
    if caplen > MAX_PACKET_BYTES {
        return Err(format!("claims {caplen} captured bytes; at most {MAX_PACKET_BYTES} are read"));
    }
    if caplen as usize > available {
        return Err(format!("claims {caplen} captured bytes, but its block has room for {available}"));
    }
    Ok(())
}

fn part(kind: u32, window: &Window<'_>) -> Part {
    if is_packet(kind) { window.record() } else { Part::Block(window.position()) }
}

fn malformed(window: &Window<'_>, part: Part, what: String) -> Next {
    Next::Fault(ReadErrorKind::Malformed { at: window.position(), part, what })
}

fn trailer_differs(at: u64, part: Part, length: u32, trailer: u32) -> Next {
    let what = format!("length {length} at the start of the block, {trailer} at its end: both are the same in a sound file");
    Next::Fault(ReadErrorKind::Malformed { at, part, what })
}

fn check_length(window: &Window<'_>, kind: u32, length: u32) -> Result<(), ReadErrorKind> {
    let (at, part) = (window.position(), part(kind, window));
    if length < BLOCK_OVERHEAD || !length.is_multiple_of(4) {
        let what = format!("block length {length}: a multiple of 4 and at least {BLOCK_OVERHEAD} is allowed");
        return Err(ReadErrorKind::Malformed { at, part, what });
    }
    let kept = is_kept(kind);
    let limit = if kept { MAX_KEPT_BLOCK_BYTES } else { MAX_BLOCK_BYTES };
    if length > limit {
        return Err(ReadErrorKind::TooLong { at, part, found: length.into(), limit: limit.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
