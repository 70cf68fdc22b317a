//! pcap, little-endian, with microseconds or nanoseconds. Layout and source: `read/pcap.rs`.

use overlay_decoder::LinkType;

use super::{Buffer, DEFAULT_SNAPLEN, WriteErrorKind, check_link, time_32};
use crate::format::Format;
use crate::record::Record;

pub(super) struct Encoder {
    format: Format,
    /// Nanoseconds in one unit of the time's second half.
    unit: u32,
    link: Option<LinkType>,
    pub(super) snaplen: u32,
    started: bool,
}

impl Encoder {
    pub(super) const fn new(format: Format, unit: u32) -> Self {
        Self { format, unit, link: None, snaplen: DEFAULT_SNAPLEN, started: false }
    }

    pub(super) fn set_link(&mut self, link: LinkType) -> Result<(), WriteErrorKind> {
        check_link(&mut self.link, link, self.format)
    }

    /// Writes the file header, once it is known what link type it has.
    pub(super) fn start(&mut self, buffer: &mut Buffer<'_>) {
        let Some(link) = self.link.filter(|_| !self.started) else {
            return;
        };
        self.started = true;
        let magic: u32 = if self.format == Format::PcapNano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        buffer.put(&magic.to_le_bytes());
        buffer.put(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // version 2.4, reserved
        buffer.put(&self.snaplen.to_le_bytes());
        buffer.put(&u32::from(link.0).to_le_bytes());
        buffer.end();
    }

    pub(super) fn record(&mut self, record: &Record<'_>, buffer: &mut Buffer<'_>) -> Result<(), WriteErrorKind> {
        let (seconds, nanoseconds) = time_32(record.timestamp, self.format)?;
        check_link(&mut self.link, record.link, self.format)?;
        self.start(buffer);
        let caplen = record.bytes.len() as u32; // checked by the writer
        let header = [seconds, nanoseconds / self.unit, caplen, record.len].map(u32::to_le_bytes);
        buffer.put(header.as_flattened());
        buffer.put(record.bytes);
        buffer.end();
        Ok(())
    }

    pub(super) fn finish(&mut self, buffer: &mut Buffer<'_>) -> Result<(), WriteErrorKind> {
        self.link.get_or_insert(LinkType::ETHERNET);
        self.start(buffer);
        Ok(())
    }
}
