//! How do captured packets get in and out of files?
//!
//! ```text
//! file, pipe --> decompress --> Reader --> Chunk --> Record ... --> Writer --> file, pipe
//!                (gzip, zstd)   scans      window    borrowed       pcap, pcapng,
//!                by magic       headers    + index   from chunk     snoop
//! live capture -------------------------> Chunk::push
//! ```
//!
//! Three decisions carry the speed. A [`Reader`] asks read(2) for a window of 256 KiB at a time, straight into the buffer that the
//! caller decodes from: no mapping (slower, and a truncated file would be a signal), no copy, no buffer in between. It only reads
//! record headers, so that what it does under a lock is short, and several threads can take turns with a [`Chunk`] each. And
//! everything rare, such as comments, direction, drop counts, is parsed when somebody asks a [`Record`] for it.
//!
//! A capture may be damaged, cut off or hostile. Whatever was good before the fault is delivered before the fault is reported, as
//! a sentence with its byte offset, and no file can choose how much memory is used: see [`MAX_PACKET_BYTES`],
//! [`MAX_KEPT_BLOCK_BYTES`], [`MAX_BLOCK_BYTES`] and [`MAX_WINDOW_BYTES`].
//!
//! A [`Writer`] keeps to whole records: when the disk is full, the file ends after the last record that fits.
#![forbid(unsafe_code)]

mod blocks;
mod bytes;
mod chunk;
pub mod filter;
mod format;
pub mod host;
mod interface;
pub mod live;
mod options;
mod read;
mod record;
mod snoop_link;
mod write;

pub use chunk::{Chunk, WINDOW_BYTES};
pub use format::{Compression, Format};
pub use interface::{Interface, Resolution};
pub use overlay_decoder::{LinkType, Timestamp};
pub use read::{MAX_BLOCK_BYTES, MAX_KEPT_BLOCK_BYTES, MAX_PACKET_BYTES, MAX_WINDOW_BYTES, Part, ReadError, ReadErrorKind, Reader};
pub use record::{Direction, Record};
pub use write::{Statistics, WriteError, WriteErrorKind, Writer};
