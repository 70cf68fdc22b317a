//! Why did reading a capture stop? One sentence per reason, with the file and the byte.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::format::Compression;

/// Why a capture could not be opened or read on. Displays as a sentence that starts with the file's name.
///
/// Cheap to clone: a reader that has failed gives the same error to everyone who asks again.
#[derive(Clone, Debug)]
pub struct ReadError {
    name: Arc<str>,
    kind: ReadErrorKind,
}

impl ReadError {
    pub(super) const fn new(name: Arc<str>, kind: ReadErrorKind) -> Self {
        Self { name, kind }
    }

    /// The file's name as the sentence shows it: the path as given, `standard input`, or the name given to the reader.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happened, with its numbers.
    #[must_use]
    pub const fn kind(&self) -> &ReadErrorKind {
        &self.kind
    }

    /// Is the capture sound but not whole? Everything before the cut has been delivered.
    #[must_use]
    pub const fn is_cut_off(&self) -> bool {
        matches!(self.kind, ReadErrorKind::CutOff { .. } | ReadErrorKind::CompressionCutOff { .. })
    }
}

/// What happened to a reader. All byte offsets are those of the uncompressed capture, from 0.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// The operating system refused to open or to read.
    Io(Arc<io::Error>),
    /// There is not one byte.
    Empty,
    /// The first bytes belong to no known format.
    NotACapture {
        /// Up to four bytes from the start, uncompressed.
        start: Vec<u8>,
        /// The compression that was removed before looking.
        compression: Option<Compression>,
    },
    /// The capture ends in the middle of something.
    CutOff {
        /// Where the capture ends.
        at: u64,
        /// What is not whole.
        part: Part,
        /// Bytes that are missing at least; more where the length itself was cut off.
        needs: u64,
    },
    /// The compressed data ends early.
    CompressionCutOff {
        /// The compression.
        compression: Compression,
        /// Bytes of the capture that could be uncompressed.
        at: u64,
    },
    /// The compressed data is damaged.
    CompressionDamaged {
        /// The compression.
        compression: Compression,
        /// Bytes of the capture that could be uncompressed.
        at: u64,
        /// The words of the decompressor.
        reason: String,
    },
    /// A zstd frame asks for a larger window than [`MAX_WINDOW_BYTES`](super::MAX_WINDOW_BYTES).
    WindowTooLarge {
        /// Bytes of the capture that could be uncompressed.
        at: u64,
    },
    /// Something claims to be longer than this reader accepts; mostly a sign of damage before it.
    TooLong {
        /// Where it starts.
        at: u64,
        /// What it is.
        part: Part,
        /// The length it claims, in bytes.
        found: u64,
        /// The longest that is read, in bytes.
        limit: u64,
    },
    /// The bytes contradict the format.
    Malformed {
        /// Where the contradiction starts.
        at: u64,
        /// In which part.
        part: Part,
        /// What was found and what is allowed.
        what: String,
    },
    /// A variant of the format that this reader does not know.
    Unsupported {
        /// What was found and what is allowed.
        what: String,
    },
}

/// A part of a capture, for the sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The header of the file.
    FileHeader,
    /// The record with this number, from 1.
    Record(u64),
    /// The pcapng block, which is not a packet, that starts at this byte.
    Block(u64),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileHeader => f.write_str("the file header"),
            Self::Record(number) => write!(f, "record {number}"),
            Self::Block(at) => write!(f, "the block at byte {at}"),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.kind)
    }
}

impl fmt::Display for ReadErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Empty => f.write_str("empty: not even a file header"),
            Self::NotACapture { start, compression } => {
                f.write_str("not a capture: starts with")?;
                for byte in start {
                    write!(f, " {byte:02x}")?;
                }
                if let Some(compression) = compression {
                    write!(f, " inside {compression}")?;
                }
                f.write_str("; pcap, pcapng and snoop files are read, also gzip or zstd compressed")
            }
            Self::CutOff { at, part, needs } => {
                write!(f, "cut off at byte {at} in {part}: needs {needs} more byte{}", if *needs == 1 { "" } else { "s" })
            }
            Self::CompressionCutOff { compression, at } => {
                write!(f, "cut off in the {compression} data: {at} bytes could be uncompressed")
            }
            Self::CompressionDamaged { compression, at, reason } => {
                write!(f, "{compression} data damaged after {at} uncompressed bytes: {reason}")
            }
            Self::WindowTooLarge { at } => {
                let limit = super::MAX_WINDOW_BYTES >> 20;
                write!(f, "zstd data after {at} uncompressed bytes needs a window over {limit} MiB, the most that is read; ")?;
                f.write_str("uncompress it with zstd -d --long=31 first")
            }
            Self::TooLong { at, part: Part::Block(_), found, limit } => {
                write!(f, "the block at byte {at} claims {found} bytes; at most {limit} are read")
            }
            Self::TooLong { at, part, found, limit } => write!(f, "{part} at byte {at} claims {found} bytes; at most {limit} are read"),
            Self::Malformed { at, part: Part::Block(_), what } => write!(f, "the block at byte {at}: {what}"),
            Self::Malformed { at, part, what } => write!(f, "{part} at byte {at}: {what}"),
            Self::Unsupported { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ReadErrorKind::Io(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(kind: ReadErrorKind) -> String {
        ReadError::new("capture.pcap".into(), kind).to_string()
    }

    #[test]
    fn every_error_is_a_sentence_with_file_and_place() {
        assert_eq!(sentence(ReadErrorKind::Empty), "capture.pcap: empty: not even a file header");
        assert_eq!(
            sentence(ReadErrorKind::CutOff { at: 1234, part: Part::Record(17), needs: 60 }),
            "capture.pcap: cut off at byte 1234 in record 17: needs 60 more bytes"
        );
        assert_eq!(
            sentence(ReadErrorKind::NotACapture { start: vec![0x7f, 0x45, 0x4c, 0x46], compression: None }),
            "capture.pcap: not a capture: starts with 7f 45 4c 46; pcap, pcapng and snoop files are read, also gzip or zstd compressed"
        );
        assert_eq!(
            sentence(ReadErrorKind::TooLong { at: 24, part: Part::Record(1), found: 5_000_000, limit: 1_048_576 }),
            "capture.pcap: record 1 at byte 24 claims 5000000 bytes; at most 1048576 are read"
        );
        assert_eq!(
            sentence(ReadErrorKind::WindowTooLarge { at: 0 }),
            "capture.pcap: zstd data after 0 uncompressed bytes needs a window over 32 MiB, the most that is read; \
             uncompress it with zstd -d --long=31 first"
        );
    }

    #[test]
    fn only_a_cut_is_a_cut() {
        let error = |kind| ReadError::new("x".into(), kind);
        assert!(error(ReadErrorKind::CutOff { at: 1, part: Part::FileHeader, needs: 1 }).is_cut_off());
        assert!(error(ReadErrorKind::CompressionCutOff { compression: Compression::Gzip, at: 1 }).is_cut_off());
        assert!(!error(ReadErrorKind::Empty).is_cut_off());
        let damaged = ReadErrorKind::CompressionDamaged { compression: Compression::Zstd, at: 9, reason: "bad".into() };
        assert!(!error(damaged).is_cut_off());
    }
}
