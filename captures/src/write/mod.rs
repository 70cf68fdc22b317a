//! How do records become a capture file? [`Writer`] collects them in a buffer that always ends with a whole record, so that a full
//! disk costs the records that did not fit and nothing before them.

mod error;
mod pcap;
mod pcapng;
mod snoop;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use overlay_decoder::{LinkType, Timestamp};

pub use error::{WriteError, WriteErrorKind};

use crate::MAX_PACKET_BYTES;
use crate::format::Format;
use crate::interface::Interface;
use crate::record::Record;

/// Bytes collected before a write(2).
const BUFFER_BYTES: usize = 256 * 1024;
/// What the file header says when the caller does not: tcpdump's default.
const DEFAULT_SNAPLEN: u32 = 262_144;

/// Counters of a capture interface, for the end of a pcapng file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Packets that the interface received.
    pub received: Option<u64>,
    /// Packets dropped by the interface for want of resources.
    pub dropped_by_interface: Option<u64>,
    /// Packets dropped by the operating system: the capture was too slow.
    pub dropped_by_system: Option<u64>,
}

/// Writes one capture file.
///
/// Call [`finish`](Self::finish) at the end: it alone can say that everything is in the file. A writer that is dropped tries to
/// write what it still has, and cannot report.
pub struct Writer {
    name: Arc<str>,
    sink: Sink,
    format: Format,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// Ends of the records (and of the file header) in `buffer`, ascending.
    ends: Vec<usize>,
    /// Bytes that the sink has taken.
    taken: u64,
    records: u64,
    failed: Option<Arc<io::Error>>,
    finished: bool,
}

enum Sink {
    /// A file that this writer created, and may shorten when the disk is full.
    File(File),
    Other(Box<dyn Write + Send>),
}

enum Encoder {
    Pcap(pcap::Encoder),
    Pcapng(pcapng::Encoder),
    Snoop(snoop::Encoder),
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({}, {}, {} records)", self.name, self.format, self.records)
    }
}

impl Writer {
    /// Creates the file, or empties it, or writes to standard output for `-`.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(path: impl AsRef<Path>, format: Format) -> Result<Self, WriteError> {
        let path = path.as_ref();
        // Standard output as a file of its own, because `io::Stdout` looks for line ends in everything it passes on.
        let (name, sink) = if path == Path::new("-") {
            let output = io::stdout().as_fd().try_clone_to_owned().map(File::from);
            ("standard output".into(), output.map(|file| Sink::Other(Box::new(file))))
        } else {
            (path.display().to_string(), File::create(path).map(Sink::File))
        };
        let name: Arc<str> = name.into();
        match sink {
            Ok(sink) => Ok(Self::over(name, sink, format)),
            Err(error) => Err(WriteError { name, kind: WriteErrorKind::Io(error.into()) }),
        }
    }

    /// Writes to `sink`, which needs no buffering. Errors will call it `capture`.
    #[must_use]
    pub fn new(sink: impl Write + Send + 'static, format: Format) -> Self {
        Self::over("capture".into(), Sink::Other(Box::new(sink)), format)
    }

    fn over(name: Arc<str>, sink: Sink, format: Format) -> Self {
        let encoder = match format {
            Format::Pcap => Encoder::Pcap(pcap::Encoder::new(format, 1_000)),
            Format::PcapNano => Encoder::Pcap(pcap::Encoder::new(format, 1)),
            Format::Pcapng => Encoder::Pcapng(pcapng::Encoder::default()),
            Format::Snoop => Encoder::Snoop(snoop::Encoder::default()),
        };
        let (buffer, ends) = (Vec::new(), Vec::new());
        Self { name, sink, format, encoder, buffer, ends, taken: 0, records: 0, failed: None, finished: false }
    }

    /// Fixes the link type of a pcap or snoop file, which otherwise is that of the first record, or Ethernet where there is none.
    /// Has no effect on pcapng.
    ///
    /// # Errors
    ///
    /// When the format has no number for `link`.
    pub fn with_link(mut self, link: LinkType) -> Result<Self, WriteError> {
        let result = match &mut self.encoder {
            Encoder::Pcap(encoder) => encoder.set_link(link),
            Encoder::Snoop(encoder) => encoder.set_link(link),
            Encoder::Pcapng(_) => Ok(()),
        };
        match result {
            Ok(()) => Ok(self),
            Err(kind) => {
                self.finished = true; // nothing to save
                Err(WriteError { name: Arc::clone(&self.name), kind })
            }
        }
    }

    /// The most bytes captured of one packet, for the file header of pcap. Records may still be longer.
    #[must_use]
    pub fn with_snaplen(mut self, snaplen: u32) -> Self {
        if let Encoder::Pcap(encoder) = &mut self.encoder {
            encoder.snaplen = snaplen;
        }
        self
    }

    /// Describes an interface before its first packet, so that even a capture without packets names it. Only pcapng keeps it.
    ///
    /// # Errors
    ///
    /// When its name or description is too long, or the file cannot be written.
    pub fn add_interface(&mut self, interface: &Interface) -> Result<(), WriteError> {
        self.encode(|encoder, buffer| match encoder {
            Encoder::Pcapng(encoder) => encoder.add_interface(interface, buffer).map(drop),
            Encoder::Pcap(_) | Encoder::Snoop(_) => Ok(()),
        })
    }

    /// Sets what [`finish`](Self::finish) will say about an interface. Only pcapng keeps it. Without it the file says how many
    /// packets were lost according to the records.
    ///
    /// # Errors
    ///
    /// As for [`add_interface`](Self::add_interface).
    pub fn set_statistics(&mut self, interface: &Interface, statistics: Statistics) -> Result<(), WriteError> {
        self.encode(|encoder, buffer| match encoder {
            Encoder::Pcapng(encoder) => encoder.set_statistics(interface, statistics, buffer),
            Encoder::Pcap(_) | Encoder::Snoop(_) => Ok(()),
        })
    }

    /// Writes one record. pcapng gets a new interface for each that it has not seen; the other formats drop interface, comments and
    /// direction, and pcap the drop count. Times finer than the format's are cut. A record without a time becomes a simple packet
    /// of pcapng where possible, and has the time 0 elsewhere.
    ///
    /// # Errors
    ///
    /// When the record does not fit the format ([`WriteError::is_refused_record`]: the file is as before), or the file cannot
    /// be written: then every further call gives the same error.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        self.encode(|encoder, buffer| {
            if record.bytes.len() > MAX_PACKET_BYTES as usize {
                let (found, limit) = (record.bytes.len(), MAX_PACKET_BYTES as usize);
                return Err(WriteErrorKind::TooLong { what: "a packet", found, limit });
            }
            match encoder {
                Encoder::Pcap(encoder) => encoder.record(record, buffer),
                Encoder::Pcapng(encoder) => encoder.record(record, buffer),
                Encoder::Snoop(encoder) => encoder.record(record, buffer),
            }
        })?;
        self.records += 1;
        Ok(())
    }

    /// Lets the encoder append to the buffer, all or nothing, and writes the buffer when it is full.
    fn encode(&mut self, append: impl FnOnce(&mut Encoder, &mut Buffer<'_>) -> Result<(), WriteErrorKind>) -> Result<(), WriteError> {
        if let Some(error) = &self.failed {
            return Err(self.error(WriteErrorKind::Io(Arc::clone(error))));
        }
        let mut buffer = Buffer { bytes: &mut self.buffer, ends: &mut self.ends };
        if let Err(kind) = append(&mut self.encoder, &mut buffer) {
            return Err(self.error(kind));
        }
        if self.buffer.len() >= BUFFER_BYTES {
            return self.drain();
        }
        Ok(())
    }

    /// Writes what is buffered, so that readers of the file see it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.encode(|encoder, buffer| {
            match encoder {
                Encoder::Pcap(encoder) => encoder.start(buffer),
                Encoder::Snoop(encoder) => encoder.start(buffer),
                Encoder::Pcapng(encoder) => encoder.start(buffer),
            }
            Ok(())
        })?;
        self.drain()
    }

    /// Writes everything that is left, and the statistics of pcapng. Gives the length of the file in bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, now or before: for example because no space is left. The file then ends after the last
    /// record that fits.
    pub fn finish(mut self) -> Result<u64, WriteError> {
        self.close()?;
        Ok(self.taken)
    }

    fn close(&mut self) -> Result<(), WriteError> {
        self.finished = true;
        self.encode(|encoder, buffer| match encoder {
            Encoder::Pcap(encoder) => encoder.finish(buffer),
            Encoder::Snoop(encoder) => encoder.finish(buffer),
            Encoder::Pcapng(encoder) => {
                encoder.finish(buffer);
                Ok(())
            }
        })?;
        self.drain()
    }

    /// Hands the buffer to the sink.
    fn drain(&mut self) -> Result<(), WriteError> {
        if let Some(error) = &self.failed {
            return Err(self.error(WriteErrorKind::Io(Arc::clone(error))));
        }
        let mut sent = 0;
        let result = loop {
            let Some(rest) = self.buffer.get(sent..).filter(|rest| !rest.is_empty()) else {
                break self.sink.flush();
            };
            match self.sink.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => sent += length.min(rest.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = result {
            let whole = self.ends.iter().rev().find(|end| **end <= sent).copied().unwrap_or(0);
            if let Sink::File(file) = &self.sink {
                // Best effort: a device cannot be shortened, and the error that counts is the one before.
                let _ = file.set_len(self.taken + whole as u64);
            }
            self.taken += whole as u64;
            let error = Arc::new(error);
            self.failed = Some(Arc::clone(&error));
            return Err(self.error(WriteErrorKind::Io(error)));
        }
        self.taken += sent as u64;
        self.buffer.clear();
        self.ends.clear();
        Ok(())
    }

    fn error(&self, kind: WriteErrorKind) -> WriteError {
        WriteError { name: Arc::clone(&self.name), kind }
    }

    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Records accepted until now.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of the file until now, with those that are still buffered.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.taken + if self.failed.is_some() { 0 } else { self.buffer.len() as u64 }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is left to tell; `finish` is for those who want to know.
            let _ = self.close();
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Other(sink) => sink.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Other(sink) => sink.flush(),
        }
    }
}

/// The writer's buffer as encoders see it.
struct Buffer<'a> {
    bytes: &'a mut Vec<u8>,
    ends: &'a mut Vec<usize>,
}

impl Buffer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Marks the place up to which the file is sound.
    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// The link type of a file that has one: fixed by the caller or by the first record.
fn check_link(file: &mut Option<LinkType>, record: LinkType, format: Format) -> Result<(), WriteErrorKind> {
    match *file.get_or_insert(record) {
        file if file == record => Ok(()),
        file => Err(WriteErrorKind::OtherLink { file, record, format }),
    }
}

/// The time of a record in 32 bits of seconds, and nanoseconds; 0 where it has none.
fn time_32(timestamp: Option<Timestamp>, format: Format) -> Result<(u32, u32), WriteErrorKind> {
    let time = timestamp.unwrap_or_default();
    match u32::try_from(time.seconds) {
        Ok(seconds) => Ok((seconds, time.nanoseconds)),
        Err(_) => Err(WriteErrorKind::Time { record: time, format, max_seconds: u32::MAX.into() }),
    }
}
