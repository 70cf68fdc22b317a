//! How does a capture become records? [`Reader`] reads windows from a source, removes compression, and lets the scanner of the
//! format index the whole records in each.
//!
//! The bytes are moved once, by read(2), into the chunk that the caller will decode from; only the record that the window cuts in
//! two is copied to the next chunk. Scanning touches the record headers and nothing else. A reader behind a mutex serves several
//! decoding threads: each brings its own chunk, takes the lock for one window, and decodes outside of it.

mod compress;
mod error;
mod pcap;
mod pcapng;
mod snoop;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

pub use error::{Part, ReadError, ReadErrorKind};

use crate::chunk::{Batch, Chunk, WINDOW_BYTES};
use crate::format::{Compression, Format};

/// Most captured bytes of one packet. Twice the largest BIG TCP super-frame (512 KiB), four times tcpdump's largest snaplen.
pub const MAX_PACKET_BYTES: u32 = 1 << 20;
/// Longest pcapng block that is kept in memory: packets and what describes interfaces, with their options.
pub const MAX_KEPT_BLOCK_BYTES: u32 = 2 << 20;
/// Longest pcapng block of any kind; those that hold no packet and describe no interface are skipped as they stream by.
pub const MAX_BLOCK_BYTES: u32 = 16 << 20;
/// Largest window of a zstd frame, which is memory that the decompressor must have.
pub const MAX_WINDOW_BYTES: u64 = 1 << compress::WINDOW_LOG_MAX;

/// What a scanner wants after it has indexed all whole records.
#[derive(Debug)]
enum Next {
    /// More bytes. Of what lies unread at the front of the window, `buffer` bytes must be in memory at once to go on.
    Needs {
        /// Bytes from the scanner's place that must be in the window together.
        buffer: usize,
        /// Bytes from the scanner's place to the end of the record or block, as far as known.
        total: u64,
    },
    /// Nothing more: the bytes at the scanner's place are wrong.
    Fault(ReadErrorKind),
}

/// The state of a format between two windows.
#[derive(Debug)]
enum Scanner {
    Pcap(pcap::Scanner),
    Pcapng(Box<pcapng::Scanner>),
    Snoop(snoop::Scanner),
}

/// A window as a scanner sees it.
struct Window<'a> {
    bytes: &'a [u8],
    /// Where the scanner is: the start of a record or block that it has not taken yet.
    at: usize,
    /// Offset of the window's first byte in the capture.
    base: u64,
    /// Number of the chunk's first record.
    first_number: u64,
    batch: &'a mut Batch,
}

impl<'a> Window<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Offset in the capture of the scanner's place.
    fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Number of the record that the scanner is looking at.
    fn record(&self) -> Part {
        Part::Record(self.first_number + self.batch.entries.len() as u64)
    }
}

/// Reads one capture: pcap, pcapng or snoop, plain or compressed, from a file, a pipe or any other source.
///
/// ```
/// # fn print(path: &str) -> Result<(), overlay_captures::ReadError> {
/// let mut reader = overlay_captures::Reader::open(path)?;
/// let mut chunk = overlay_captures::Chunk::new();
/// while reader.next_chunk(&mut chunk)? {
///     for record in chunk.records() {
///         println!("{} {} bytes", record.number, record.len);
///     }
/// }
/// # Ok(()) }
/// ```
pub struct Reader {
    name: Arc<str>,
    source: Box<dyn Read + Send>,
    format: Format,
    compression: Option<Compression>,
    scanner: Scanner,
    /// The start of a record that the last window cut in two.
    carried: Vec<u8>,
    /// Offset in the capture of the first byte of `carried`.
    position: u64,
    records: u64,
    /// Why there is nothing more: the end (`Ok`), or what every further call is told.
    stopped: Option<Result<(), ReadError>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, format, compression, position, records, .. } = self;
        write!(f, "Reader({name}, {format}, {compression:?}, byte {position}, {records} records)")
    }
}

impl Reader {
    /// Opens a file, or standard input for `-`, and reads its header.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or does not start as a capture does.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        // Standard input as a file of its own, because `io::Stdin` buffers: a second copy of every byte.
        let (name, file) = if path == Path::new("-") {
            ("standard input".into(), io::stdin().as_fd().try_clone_to_owned().map(File::from))
        } else {
            (path.display().to_string(), File::open(path))
        };
        match file {
            Ok(file) => Self::named(name, file),
            Err(error) => Err(ReadError::new(name.into(), ReadErrorKind::Io(error.into()))),
        }
    }

    /// Reads the header of a capture from `source`. Errors will call it `capture`.
    ///
    /// # Errors
    ///
    /// When the source cannot be read, or does not start as a capture does.
    pub fn new(source: impl Read + Send + 'static) -> Result<Self, ReadError> {
        Self::named("capture", source)
    }

    /// Reads the header of a capture from `source`. Errors will call it `name`.
    ///
    /// `source` is read in large pieces and needs no buffering. A read that gives fewer bytes than asked for is handed on
    /// at once, so that a pipe delivers what it has.
    ///
    /// # Errors
    ///
    /// When the source cannot be read, or does not start as a capture does.
    pub fn named(name: impl Into<String>, source: impl Read + Send + 'static) -> Result<Self, ReadError> {
        let name: Arc<str> = name.into().into();
        match Self::start(&name, Box::new(source)) {
            Ok(reader) => Ok(reader),
            Err(kind) => Err(ReadError::new(name, kind)),
        }
    }

    fn start(name: &Arc<str>, mut source: Box<dyn Read + Send>) -> Result<Self, ReadErrorKind> {
        let mut head = Vec::new();
        let mut compression = None;
        let mut magic = probe(&mut source, &mut head, None, &MAGICS)?;
        if let Magic::Compressed(found) = magic {
            compression = Some(found);
            source = compress::decoder(found, io::Cursor::new(std::mem::take(&mut head)).chain(source))?;
            magic = probe(&mut source, &mut head, compression, &MAGICS[..PLAIN_MAGICS])?;
        }
        let header_length = match magic {
            Magic::Pcap => pcap::FILE_HEADER_BYTES,
            Magic::Snoop => snoop::FILE_HEADER_BYTES,
            // The section header is a block like any other, left to the scanner.
            Magic::Pcapng | Magic::Compressed(_) => 0,
        };
        if fill(&mut source, &mut head, header_length, compression)? == Filled::End {
            let needs = (header_length - head.len()) as u64;
            return Err(ReadErrorKind::CutOff { at: head.len() as u64, part: Part::FileHeader, needs });
        }
        let carried = head.split_off(header_length);
        let (format, scanner) = match magic {
            Magic::Pcap => pcap::Scanner::new(&head).map(|(format, scanner)| (format, Scanner::Pcap(scanner)))?,
            Magic::Snoop => (Format::Snoop, Scanner::Snoop(snoop::Scanner::new(&head)?)),
            Magic::Pcapng | Magic::Compressed(_) => (Format::Pcapng, Scanner::Pcapng(Box::default())),
        };
        let position = header_length as u64;
        let name = Arc::clone(name);
        Ok(Self { name, source, format, compression, scanner, carried, position, records: 0, stopped: None })
    }

    /// Reads the next records into `chunk`, in place of what it held: one window, or what a pipe has, but at least one record.
    /// `Ok(false)` at the end of the capture, and from then on.
    ///
    /// # Errors
    ///
    /// Records before a fault are delivered first: the error comes with the next call, and with every one after it.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool, ReadError> {
        chunk.clear(self.records + 1);
        if let Some(stopped) = &self.stopped {
            return stopped.clone().map(|()| false);
        }
        chunk.reserve_window(WINDOW_BYTES.max(self.carried.len()));
        let mut filled = self.carried.len();
        chunk.bytes[..filled].copy_from_slice(&self.carried);
        self.carried.clear();

        loop {
            let (mut at, next) = self.scan(chunk, filled);
            let fault = match next {
                Next::Fault(kind) => Some(kind),
                Next::Needs { .. } if !chunk.is_empty() => {
                    self.carried.extend_from_slice(&chunk.bytes[at..filled]);
                    None
                }
                Next::Needs { buffer, total } => {
                    // Blocks without packets may lie before `at`.
                    if at > 0 {
                        chunk.bytes.copy_within(at..filled, 0);
                        self.position += at as u64;
                        filled -= at;
                        at = 0;
                    }
                    let room = WINDOW_BYTES.max(buffer);
                    chunk.reserve_window(room);
                    match read(&mut self.source, &mut chunk.bytes[filled..room]) {
                        Ok(0) if filled == 0 && !self.scanner.is_inside() => {
                            self.stopped = Some(Ok(()));
                            return Ok(false);
                        }
                        Ok(0) => {
                            let part = self.scanner.part(&chunk.bytes[..filled], self.position, self.records + 1);
                            let needs = total.saturating_sub(filled as u64);
                            Some(ReadErrorKind::CutOff { at: self.position + filled as u64, part, needs })
                        }
                        Ok(length) => {
                            filled += length;
                            continue;
                        }
                        Err(error) => Some(compress::explain(error, self.compression, self.position + filled as u64)),
                    }
                }
            };
            chunk.filled = at;
            self.position += at as u64;
            self.records += chunk.len() as u64;
            if let Some(kind) = fault {
                let error = ReadError::new(Arc::clone(&self.name), kind);
                self.stopped = Some(Err(error.clone()));
                if chunk.is_empty() {
                    return Err(error);
                }
            }
            return Ok(true);
        }
    }

    /// Indexes the records among the first `filled` bytes of the chunk; gives the place where the scanner stopped, and why.
    fn scan(&mut self, chunk: &mut Chunk, filled: usize) -> (usize, Next) {
        let first_number = self.records + 1;
        let Chunk { bytes, batch, .. } = chunk;
        let mut window = Window { bytes: &bytes[..filled], at: 0, base: self.position, first_number, batch };
        let next = match &mut self.scanner {
            Scanner::Pcap(scanner) => scanner.scan(&mut window),
            Scanner::Pcapng(scanner) => scanner.scan(&mut window),
            Scanner::Snoop(scanner) => scanner.scan(&mut window),
        };
        (window.at, next)
    }

    /// The name that errors start with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format, found from the first bytes.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The compression that is removed on the way, found from the first bytes.
    #[must_use]
    pub const fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// The link type of all records, where the file has just one by format (pcap, snoop).
    #[must_use]
    pub const fn link(&self) -> Option<overlay_decoder::LinkType> {
        match &self.scanner {
            Scanner::Pcap(scanner) => Some(scanner.link),
            Scanner::Snoop(scanner) => Some(scanner.link),
            Scanner::Pcapng(_) => None,
        }
    }

    /// The most bytes captured of one packet, as the pcap file header says; 0 means no limit.
    #[must_use]
    pub const fn snaplen(&self) -> Option<u32> {
        match &self.scanner {
            Scanner::Pcap(scanner) => Some(scanner.snaplen),
            _ => None,
        }
    }

    /// Records delivered until now.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of the uncompressed capture that have been delivered until now.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Packets lost while capturing, as far as the part read until now tells: the statistics blocks of pcapng, or snoop's
    /// cumulative drops. `None` where it says nothing.
    #[must_use]
    pub fn reported_drops(&self) -> Option<u64> {
        match &self.scanner {
            Scanner::Pcap(_) => None,
            Scanner::Pcapng(scanner) => scanner.reported_drops(),
            Scanner::Snoop(scanner) => scanner.reported_drops(),
        }
    }
}

impl Scanner {
    /// Has the scanner taken bytes of something that is not whole?
    fn is_inside(&self) -> bool {
        matches!(self, Self::Pcapng(scanner) if scanner.is_skipping())
    }

    /// What is it that starts with `rest`, at `position` of the capture, and is not whole? `number` is the next record's.
    fn part(&self, rest: &[u8], position: u64, number: u64) -> Part {
        match self {
            Self::Pcapng(scanner) => scanner.part(rest, position, number),
            Self::Pcap(_) | Self::Snoop(_) => Part::Record(number),
        }
    }
}

/// What the first bytes of a source say.
#[derive(Clone, Copy)]
enum Magic {
    Pcap,
    Pcapng,
    Snoop,
    Compressed(Compression),
}

/// The plain formats first: they are those that may lie inside a compressed one.
const MAGICS: [(&[u8], Magic); 9] = [
    (&[0xd4, 0xc3, 0xb2, 0xa1], Magic::Pcap),
    (&[0xa1, 0xb2, 0xc3, 0xd4], Magic::Pcap),
    (&[0x4d, 0x3c, 0xb2, 0xa1], Magic::Pcap),
    (&[0xa1, 0xb2, 0x3c, 0x4d], Magic::Pcap),
    (&[0x0a, 0x0d, 0x0d, 0x0a], Magic::Pcapng),
    (b"snoop\0\0\0", Magic::Snoop),
    (&[0x1f, 0x8b], Magic::Compressed(Compression::Gzip)),
    (&[0x28, 0xb5, 0x2f, 0xfd], Magic::Compressed(Compression::Zstd)),
    // RFC 8878 3.1.2: a skippable frame, with which pzstd starts its files.
    (&[0x50, 0x2a, 0x4d, 0x18], Magic::Compressed(Compression::Zstd)),
];
const PLAIN_MAGICS: usize = 6;

/// Reads into `head` until it starts with one of `magics` or cannot any more. Never reads beyond the magic number.
fn probe(
    source: &mut Box<dyn Read + Send>,
    head: &mut Vec<u8>,
    compression: Option<Compression>,
    magics: &[(&[u8], Magic)],
) -> Result<Magic, ReadErrorKind> {
    // All but snoop's are told apart by four bytes, which is also what the sentence shows of a file that is no capture.
    let mut end = fill(source, head, 4, compression)?;
    loop {
        if let Some((_, found)) = magics.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Ok(*found);
        }
        let possible = magics.iter().find(|(magic, _)| magic.starts_with(head));
        match possible {
            None => {
                head.truncate(4);
                return Err(ReadErrorKind::NotACapture { start: std::mem::take(head), compression });
            }
            Some(_) if head.is_empty() => return Err(ReadErrorKind::Empty),
            Some((magic, _)) if end == Filled::End => {
                let needs = (magic.len() - head.len()) as u64;
                return Err(ReadErrorKind::CutOff { at: head.len() as u64, part: Part::FileHeader, needs });
            }
            Some((magic, _)) => end = fill(source, head, magic.len(), compression)?,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    Whole,
    End,
}

/// Reads until `head` has `length` bytes, or the source ends.
fn fill(
    source: &mut Box<dyn Read + Send>,
    head: &mut Vec<u8>,
    length: usize,
    compression: Option<Compression>,
) -> Result<Filled, ReadErrorKind> {
    while head.len() < length {
        let start = head.len();
        head.resize(length, 0);
        let got = read(source, &mut head[start..]);
        head.truncate(start + got.as_ref().copied().unwrap_or(0));
        match got {
            Ok(0) => return Ok(Filled::End),
            Ok(_) => {}
            Err(error) => return Err(compress::explain(error, compression, start as u64)),
        }
    }
    Ok(Filled::Whole)
}

/// One read, again after a signal.
fn read(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A source that claims more than it was given room for must not become a panic.
            other => return other.map(|length| length.min(into.len())),
        }
    }
}
