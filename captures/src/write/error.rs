//! Why was a record or a file not written?

use std::fmt;
use std::io;
use std::sync::Arc;

use overlay_decoder::{LinkType, Timestamp};

use crate::format::Format;

/// Why a record was refused or a file could not be written. Displays as a sentence that starts with the file's name.
#[derive(Clone, Debug)]
pub struct WriteError {
    pub(super) name: Arc<str>,
    pub(super) kind: WriteErrorKind,
}

/// What happened to a writer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// The operating system refused to create or to write: for example no space is left. The writer keeps this error.
    Io(Arc<io::Error>),
    /// The record has another link type than the file, whose format has just one. The writer can go on.
    OtherLink {
        /// Link type of the file.
        file: LinkType,
        /// Link type of the record.
        record: LinkType,
        /// Format of the file.
        format: Format,
    },
    /// The format has no number for the link type. The writer can go on.
    UnknownLink {
        /// Link type of the record.
        record: LinkType,
        /// Format of the file.
        format: Format,
    },
    /// The format cannot hold the time. The writer can go on.
    Time {
        /// Time of the record.
        record: Timestamp,
        /// Format of the file.
        format: Format,
        /// Largest number of whole seconds after 1970 that it holds.
        max_seconds: u64,
    },
    /// Something is longer than readers accept. The writer can go on.
    TooLong {
        /// What it is, for example `a packet`.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The most that is allowed.
        limit: usize,
    },
}

impl WriteError {
    /// What happened, with its numbers.
    #[must_use]
    pub const fn kind(&self) -> &WriteErrorKind {
        &self.kind
    }

    /// Was just this record refused, so that others can still be written?
    #[must_use]
    pub const fn is_refused_record(&self) -> bool {
        !matches!(self.kind, WriteErrorKind::Io(_))
    }

    /// Has the reader of the pipe gone away? No fault: `overlay-snoop -w - | head`.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(&self.kind, WriteErrorKind::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.kind {
            WriteErrorKind::Io(error) => error.fmt(f),
            WriteErrorKind::OtherLink { file, record, format } => {
                write!(
                    f,
                    "a packet of {record} does not fit into a {format} file of {file}: such a file has one link type, pcapng has several"
                )
            }
            WriteErrorKind::UnknownLink { record, format } => {
                write!(f, "a packet of {record} does not fit into a {format} file; pcap and pcapng hold any link type")
            }
            WriteErrorKind::Time { record, format, max_seconds } => {
                write!(f, "a packet of {} s after 1970: {format} holds 0 to {max_seconds} s", record.seconds)
            }
            WriteErrorKind::TooLong { what, found, limit } => write!(f, "{what} of {found} bytes: at most {limit} can be written"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            WriteErrorKind::Io(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}
