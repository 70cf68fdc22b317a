//! Helpers of the readers' tests, and tests of what all formats share.

use std::io::{self, Read};

use overlay_decoder::{LinkType, Timestamp};

use crate::{Chunk, Direction, Interface, ReadError, Reader, Record};

/// A record that outlives its chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) len: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) link: LinkType,
    pub(crate) interface: Option<Interface>,
    pub(crate) comments: Vec<String>,
    pub(crate) direction: Option<Direction>,
    pub(crate) dropped: Option<u64>,
}

impl Default for Seen {
    fn default() -> Self {
        Record::new(LinkType::ETHERNET, Timestamp::default(), &[]).into()
    }
}

impl From<Record<'_>> for Seen {
    fn from(record: Record<'_>) -> Self {
        let Record { number, timestamp, len, bytes, link, interface, .. } = record;
        Self {
            number,
            timestamp,
            len,
            bytes: bytes.to_vec(),
            link,
            interface: interface.cloned(),
            comments: record.comments().map(String::from).collect(),
            direction: record.direction(),
            dropped: record.dropped(),
        }
    }
}

/// All records of a capture, and the error it ends with.
pub(crate) fn read_all(bytes: Vec<u8>) -> (Vec<Seen>, Option<ReadError>) {
    read_from(io::Cursor::new(bytes))
}

pub(crate) fn read_from(source: impl Read + Send + 'static) -> (Vec<Seen>, Option<ReadError>) {
    let mut seen = Vec::new();
    let mut reader = match Reader::new(source) {
        Ok(reader) => reader,
        Err(error) => return (seen, Some(error)),
    };
    let mut chunk = Chunk::new();
    loop {
        match reader.next_chunk(&mut chunk) {
            Ok(true) => {
                assert!(!chunk.is_empty(), "a chunk without records");
                seen.extend(chunk.records().map(Seen::from));
            }
            Ok(false) => {
                assert!(matches!(reader.next_chunk(&mut chunk), Ok(false)), "the end stays");
                return (seen, None);
            }
            Err(error) => {
                assert!(chunk.is_empty(), "an error hides records");
                let again = reader.next_chunk(&mut chunk).expect_err("an error stays");
                assert_eq!(again.to_string(), error.to_string());
                return (seen, Some(error));
            }
        }
    }
}

/// A pcap file of 40 packets.
pub(crate) fn plain_pcap() -> Vec<u8> {
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    for i in 0..40_u32 {
        bytes.extend([1_700_000_000 + i, i, i * 7, 1500].map(u32::to_le_bytes).concat());
        bytes.extend((0..i * 7).map(|b| (b ^ i) as u8));
    }
    bytes
}

/// Gives at most `piece` bytes at a time, and is interrupted by a signal before every second read.
struct Dribble {
    source: io::Cursor<Vec<u8>>,
    piece: usize,
    interrupted: bool,
}

impl Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let piece = self.piece.min(into.len());
        self.source.read(&mut into[..piece])
    }
}

#[test]
fn a_source_that_dribbles_gives_the_same_records() {
    let whole = read_all(plain_pcap()).0;
    assert_eq!(whole.len(), 40);
    for piece in [1, 2, 7, 100] {
        let (seen, error) = read_from(Dribble { source: io::Cursor::new(plain_pcap()), piece, interrupted: false });
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen, whole, "pieces of {piece}");
    }
}

#[test]
fn a_pipe_delivers_what_it_has_without_waiting_for_more() {
    let (receiver, mut sender) = io::pipe().unwrap();
    let bytes = plain_pcap();
    // The file header, and the first two records but for one byte.
    let second_ends = 24 + 16 + 16 + 7;
    io::Write::write_all(&mut sender, &bytes[..second_ends - 1]).unwrap();
    let mut reader = Reader::new(receiver).unwrap();
    let mut chunk = Chunk::new();
    // The sender is still open: a reader that waits for a full window would hang here.
    assert!(reader.next_chunk(&mut chunk).unwrap());
    assert_eq!((chunk.len(), chunk.first_number()), (1, 1));
    io::Write::write_all(&mut sender, &bytes[second_ends - 1..second_ends]).unwrap();
    assert!(reader.next_chunk(&mut chunk).unwrap());
    assert_eq!((chunk.len(), chunk.first_number(), reader.position()), (1, 2, second_ends as u64));
    drop(sender);
    assert!(!reader.next_chunk(&mut chunk).unwrap());
}

#[test]
fn a_window_that_cuts_a_record_loses_nothing() {
    let mut bytes = plain_pcap();
    let records = bytes.split_off(24);
    let rounds = 3 * crate::WINDOW_BYTES / records.len() + 1;
    for _ in 0..rounds {
        bytes.extend(&records);
    }
    let mut reader = Reader::new(io::Cursor::new(bytes)).unwrap();
    let mut chunk = Chunk::new();
    let mut number = 0;
    while reader.next_chunk(&mut chunk).unwrap() {
        assert_eq!(chunk.first_number(), number + 1);
        for record in chunk.records() {
            let i = number % 40;
            number += 1;
            assert_eq!((record.number, record.bytes.len() as u64), (number, i * 7));
            assert!(record.bytes.iter().enumerate().all(|(b, byte)| *byte == (b as u64 ^ i) as u8), "record {number}");
        }
        assert!(chunk.memory_bytes() < 1 << 20, "{}", chunk.memory_bytes());
    }
    assert_eq!(number, 40 * rounds as u64);
    assert_eq!(reader.records(), number);
}

#[test]
fn what_is_no_capture_is_told_by_its_first_bytes() {
    let sentence = |bytes: &[u8]| read_all(bytes.to_vec()).1.unwrap().to_string();
    let rest = "; pcap, pcapng and snoop files are read, also gzip or zstd compressed";
    assert_eq!(sentence(b"\x7fELF\x02\x01"), format!("capture: not a capture: starts with 7f 45 4c 46{rest}"));
    assert_eq!(sentence(b"x"), format!("capture: not a capture: starts with 78{rest}"));
    assert_eq!(sentence(b"snoopy cat"), format!("capture: not a capture: starts with 73 6e 6f 6f{rest}"));
    assert_eq!(sentence(b""), "capture: empty: not even a file header");
    assert_eq!(sentence(&[0xd4, 0xc3]), "capture: cut off at byte 2 in the file header: needs 2 more bytes");
    assert_eq!(sentence(&plain_pcap()[..23]), "capture: cut off at byte 23 in the file header: needs 1 more byte");
    assert_eq!(sentence(b"snoop\0"), "capture: cut off at byte 6 in the file header: needs 2 more bytes");
}

#[test]
fn missing_files_and_directories_are_io_errors_with_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pcap");
    let error = Reader::open(&missing).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: No such file or directory (os error 2)", missing.display()));
    let error = Reader::open(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: Is a directory (os error 21)", folder.path().display()));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_read_error_comes_after_the_records_before_it() {
    struct Broken(io::Cursor<Vec<u8>>);
    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::from_raw_os_error(5)),
                length => Ok(length),
            }
        }
    }
    let (seen, error) = read_from(Broken(io::Cursor::new(plain_pcap())));
    assert_eq!(seen.len(), 40);
    let error = error.unwrap();
    assert!(!error.is_cut_off());
    assert_eq!(error.to_string(), "capture: Input/output error (os error 5)");
}

#[test]
fn the_cut_sentence_counts_from_the_record() {
    let bytes = plain_pcap();
    let third = 24 + 16 + 23;
    let sentence = |length: usize| read_all(bytes[..length].to_vec()).1.unwrap().to_string();
    assert_eq!(sentence(third + 3), format!("capture: cut off at byte {} in record 3: needs 13 more bytes", third + 3));
    assert_eq!(sentence(third + 16), format!("capture: cut off at byte {} in record 3: needs 14 more bytes", third + 16));
}

#[test]
fn several_threads_take_turns_and_lose_nothing() {
    let mut bytes = plain_pcap();
    let records = bytes.split_off(24);
    for _ in 0..500 {
        bytes.extend(&records);
    }
    let reader = std::sync::Mutex::new(Reader::new(io::Cursor::new(bytes)).unwrap());
    let numbers = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut chunk = Chunk::new();
                loop {
                    let more = reader.lock().unwrap().next_chunk(&mut chunk).unwrap();
                    if !more {
                        return;
                    }
                    numbers.lock().unwrap().extend(chunk.records().map(|r| r.number));
                }
            });
        }
    });
    let mut numbers = numbers.into_inner().unwrap();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=20_000), "{} records", numbers.len());
}
