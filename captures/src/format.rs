//! Which kinds of capture file are there?

use std::fmt;
use std::path::Path;

/// A capture file format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// pcap with microseconds, as `tcpdump -w` writes it.
    Pcap,
    /// pcap with nanoseconds.
    PcapNano,
    /// pcapng: several interfaces and link types, comments, directions, drop counts.
    Pcapng,
    /// RFC 1761 snoop, version 2, with microseconds.
    Snoop,
}

impl Format {
    /// The format that the extension of `path` asks for: `.pcap`, `.pcapng` or `.snoop`, in any case.
    #[must_use]
    pub fn from_path(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "pcap" => Some(Self::Pcap),
            "pcapng" => Some(Self::Pcapng),
            "snoop" => Some(Self::Snoop),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcap => "pcap",
            Self::PcapNano => "pcap (nanoseconds)",
            Self::Pcapng => "pcapng",
            Self::Snoop => "snoop",
        })
    }
}

/// How a capture file is compressed as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878, one or several frames.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_and_anything_else_is_left_to_the_caller() {
        assert_eq!(Format::from_path("a/b.PCAP"), Some(Format::Pcap));
        assert_eq!(Format::from_path("b.pcapng"), Some(Format::Pcapng));
        assert_eq!(Format::from_path("b.snoop"), Some(Format::Snoop));
        assert_eq!(Format::from_path("b.pcap.gz"), None);
        assert_eq!(Format::from_path("pcap"), None);
    }
}
