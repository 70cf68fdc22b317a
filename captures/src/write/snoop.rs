//! RFC 1761 snoop. Layout and source: `read/snoop.rs`.

use overlay_decoder::LinkType;

use super::{Buffer, WriteErrorKind, check_link, time_32};
use crate::bytes::padded;
use crate::format::Format;
use crate::record::Record;
use crate::snoop_link;

const RECORD_HEADER_BYTES: usize = 24;

#[derive(Default)]
pub(super) struct Encoder {
    link: Option<LinkType>,
    started: bool,
    /// Cumulative drops until now.
    drops: u32,
}

impl Encoder {
    pub(super) fn set_link(&mut self, link: LinkType) -> Result<(), WriteErrorKind> {
        if snoop_link::to_datalink(link).is_none() {
            return Err(WriteErrorKind::UnknownLink { record: link, format: Format::Snoop });
        }
        check_link(&mut self.link, link, Format::Snoop)
    }

    /// Writes the file header, once it is known what link type it has.
    pub(super) fn start(&mut self, buffer: &mut Buffer<'_>) {
        let Some(datalink) = self.link.and_then(snoop_link::to_datalink).filter(|_| !self.started) else {
            return;
        };
        self.started = true;
        buffer.put(b"snoop\0\0\0");
        buffer.put(&2_u32.to_be_bytes());
        buffer.put(&datalink.to_be_bytes());
        buffer.end();
    }

    pub(super) fn record(&mut self, record: &Record<'_>, buffer: &mut Buffer<'_>) -> Result<(), WriteErrorKind> {
        let (seconds, nanoseconds) = time_32(record.timestamp, Format::Snoop)?;
        self.set_link(record.link)?;
        self.start(buffer);
        let lost = u32::try_from(record.dropped().unwrap_or(0)).unwrap_or(u32::MAX);
        self.drops = self.drops.saturating_add(lost);
        let caplen = record.bytes.len(); // checked by the writer to be far below 32 bits
        let whole = RECORD_HEADER_BYTES + padded(caplen);
        let header = [record.len, caplen as u32, whole as u32, self.drops, seconds, nanoseconds / 1_000].map(u32::to_be_bytes);
        buffer.put(header.as_flattened());
        buffer.put(record.bytes);
        buffer.put(&[0; 3][..padded(caplen) - caplen]);
        buffer.end();
        Ok(())
    }

    pub(super) fn finish(&mut self, buffer: &mut Buffer<'_>) -> Result<(), WriteErrorKind> {
        self.link.get_or_insert(LinkType::ETHERNET);
        self.start(buffer);
        Ok(())
    }
}
