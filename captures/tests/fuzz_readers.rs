//! Can any bytes make a reader panic, run on, or use more memory than it should? One target per reader. `OVERLAY_FUZZ_SECONDS`
//! sets how long each runs; without it each takes two seconds.
//!
//! Random bytes hardly ever get past a magic number, so each target also plants its input behind a sound header, and spreads it
//! over a sound file as damage.

use std::io::{Cursor, Read, Write};
use std::time::Duration;

use overlay_captures::{Chunk, Direction, Format, Interface, LinkType, Reader, Record, Timestamp, WINDOW_BYTES, Writer};

/// Most memory of one chunk: the window, or the largest block that is kept, and an index entry for every 16 bytes of window.
const CHUNK_MEMORY_BYTES: usize = 4 << 20;
/// Most uncompressed bytes that a target reads of one input: a bomb is read as a stream, at a cost in time but not in memory.
const STREAM_BYTES: u64 = 16 << 20;

fn seconds() -> Duration {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Reads to the end or the error, looks at everything, and returns the number of records.
fn read(source: impl Read + Send + 'static) -> u64 {
    let mut reader = match Reader::new(source) {
        Ok(reader) => reader,
        Err(error) => {
            assert!(error.to_string().starts_with("capture: "));
            return 0;
        }
    };
    let mut chunk = Chunk::new();
    let mut records = 0;
    loop {
        let more = reader.next_chunk(&mut chunk);
        assert!(chunk.memory_bytes() <= CHUNK_MEMORY_BYTES, "{} bytes", chunk.memory_bytes());
        match more {
            Ok(true) => assert!(!chunk.is_empty(), "a chunk without records never ends"),
            Ok(false) => break,
            Err(error) => {
                assert!(chunk.is_empty() && !error.to_string().is_empty());
                assert!(reader.next_chunk(&mut chunk).is_err(), "an error stays");
                break;
            }
        }
        for record in chunk.records() {
            records += 1;
            assert_eq!(record.number, records);
            assert!(record.timestamp.is_none_or(|time| time.nanoseconds < 1_000_000_000));
            let _ = (record.direction(), record.dropped(), record.comments().map(|c| c.len()).sum::<usize>());
        }
        if reader.position() > STREAM_BYTES {
            break;
        }
    }
    let _ = (reader.reported_drops(), reader.link(), reader.snaplen());
    records
}

/// A sound file, small enough for a few damaged bytes to matter.
fn sound(format: Format) -> Vec<u8> {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut writer = Writer::create(&path, format).unwrap();
    let interfaces = [Interface::named("eth0", LinkType::ETHERNET), Interface { snaplen: 60, ..Interface::unnamed(LinkType::ETHERNET) }];
    for i in 0..8_u8 {
        let bytes = vec![i; usize::from(i) * 9];
        let record = Record::new(LinkType::ETHERNET, Timestamp::new(1_700_000_000, i.into()), &bytes)
            .with_interface(&interfaces[usize::from(i % 2)])
            .with_direction(Direction::Inbound)
            .with_dropped(i.into())
            .with_comments(&["a comment"]);
        writer.write(&record).unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(&path).unwrap()
}

/// `sound` with each three bytes of `damage` as a place and the byte that stands there now.
fn damaged(sound: &[u8], damage: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for change in damage.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] = change[2];
    }
    bytes
}

/// Reads one input alone, behind each of `headers`, and as damage to each of `files`.
fn plant(input: &[u8], headers: &[Vec<u8>], files: &[Vec<u8>]) {
    read(Cursor::new(input.to_vec()));
    for header in headers {
        read(Cursor::new([header, input].concat()));
    }
    for file in files {
        let changes = &input[..input.len().min(48)];
        read(Cursor::new(damaged(file, changes)));
    }
}

/// A target of bolero, which takes its name from the test that it stands in.
macro_rules! fuzz {
    ($headers:expr, $files:expr) => {{
        let (headers, files) = ($headers, $files);
        let target = bolero::check!().with_iterations(usize::MAX).with_test_time(seconds()).with_max_len(4096);
        target.for_each(|input: &[u8]| plant(input, &headers, &files));
    }};
}

#[test]
fn pcap() {
    let files = [sound(Format::Pcap), sound(Format::PcapNano)];
    assert_eq!(files.clone().map(|file| read(Cursor::new(file))), [8, 8]);
    let swapped = [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1].to_vec();
    fuzz!([files[0][..24].to_vec(), swapped], files);
}

#[test]
fn pcapng() {
    let file = sound(Format::Pcapng);
    assert_eq!(read(Cursor::new(file.clone())), 8);
    // The section header alone, and with the first interface.
    let interface = 28 + u32::from_le_bytes(file[32..36].try_into().unwrap()) as usize;
    fuzz!([file[..28].to_vec(), file[..interface].to_vec()], [file]);
}

#[test]
fn snoop() {
    let file = sound(Format::Snoop);
    assert_eq!(read(Cursor::new(file.clone())), 8);
    fuzz!([file[..16].to_vec()], [file]);
}

#[test]
fn compressed() {
    let plain = sound(Format::Pcapng);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&plain).unwrap();
    let files = [gzip.finish().unwrap(), zstd::stream::encode_all(&plain[..], 3).unwrap()];
    assert_eq!(files.clone().map(|file| read(Cursor::new(file))), [8, 8]);
    let headers = [vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], vec![0x28, 0xb5, 0x2f, 0xfd], files.concat()];
    fuzz!(headers, files);
}

#[test]
fn a_gzip_bomb_and_a_zstd_bomb_stream_through_a_window() {
    // A sound start, then one record that claims to be as long as allowed, again and again, of zeros that compress to nothing.
    let mut plain = sound(Format::Pcap)[..24].to_vec();
    for _ in 0..64 {
        plain.extend([0_u32, 0, overlay_captures::MAX_PACKET_BYTES, 0].map(u32::to_le_bytes).concat());
        plain.resize(plain.len() + overlay_captures::MAX_PACKET_BYTES as usize, 0);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&plain).unwrap();
    for file in [gzip.finish().unwrap(), zstd::stream::encode_all(&plain[..], 3).unwrap()] {
        assert!(file.len() < WINDOW_BYTES);
        assert!(read(Cursor::new(file)) >= 16);
    }
}
