//! How is a compressed capture read? As a stream, with memory that the file cannot choose: gzip has a window of 32 KiB, zstd one
//! that its frames ask for, which is bounded here.

use std::io::{self, BufReader, Read};

use super::ReadErrorKind;
use crate::format::Compression;

/// 32 MiB: all that `zstd` up to level 19 makes, and with `--long=25`.
pub(super) const WINDOW_LOG_MAX: u32 = 25;

/// Compressed bytes read at once.
const INPUT_BYTES: usize = 128 * 1024;

/// The uncompressed bytes of `source`: of all gzip members or zstd frames, one after the other.
pub(super) fn decoder(compression: Compression, source: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, ReadErrorKind> {
    let source = BufReader::with_capacity(INPUT_BYTES, source);
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let open = || {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                io::Result::Ok(decoder)
            };
            Box::new(open().map_err(|error| ReadErrorKind::Io(error.into()))?)
        }
    })
}

/// What an error of the source means. Decompressors report damage as I/O errors too, but without a number of the operating system.
pub(super) fn explain(error: io::Error, compression: Option<Compression>, at: u64) -> ReadErrorKind {
    let Some(compression) = compression.filter(|_| error.raw_os_error().is_none()) else {
        return ReadErrorKind::Io(error.into());
    };
    let reason = error.to_string();
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ReadErrorKind::CompressionCutOff { compression, at };
    }
    // The only name that zstd gives to this error, ZSTD_error_frameParameter_windowTooLarge; a test watches the words.
    if compression == Compression::Zstd && reason.contains("too much memory") {
        return ReadErrorKind::WindowTooLarge { at };
    }
    ReadErrorKind::CompressionDamaged { compression, at, reason }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::read::tests::{Seen, plain_pcap, read_all};
    use crate::{ReadErrorKind, Reader};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 1).unwrap()
    }

    fn expected() -> Vec<Seen> {
        read_all(plain_pcap()).0
    }

    #[test]
    fn several_gzip_members_and_several_zstd_frames_are_one_capture() {
        let plain = plain_pcap();
        let (first, second) = plain.split_at(plain.len() / 2);
        for (bytes, compression) in
            [([gzip(first), gzip(second)].concat(), Compression::Gzip), ([zstd(first), zstd(second)].concat(), Compression::Zstd)]
        {
            assert_eq!(Reader::new(io::Cursor::new(bytes.clone())).unwrap().compression(), Some(compression));
            let (seen, error) = read_all(bytes);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(seen, expected());
        }
    }

    #[test]
    fn a_skippable_frame_may_come_first_as_pzstd_writes_it() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], &[1, 2, 3, 4]].concat();
        let (seen, error) = read_all([skippable, zstd(&plain_pcap())].concat());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen, expected());
    }

    #[test]
    fn compressed_data_cut_at_any_byte_gives_a_prefix_and_is_a_cut() {
        for whole in [gzip(&plain_pcap()), zstd(&plain_pcap())] {
            for length in 1..whole.len() {
                let (seen, error) = read_all(whole[..length].to_vec());
                let error = error.unwrap_or_else(|| panic!("a cut after {length} of {} bytes went unseen", whole.len()));
                assert!(error.is_cut_off(), "{length}: {error}");
                assert_eq!(seen, expected()[..seen.len()]);
            }
        }
    }

    #[test]
    fn damage_is_told_from_a_cut_and_comes_after_the_good_records() {
        let mut bytes = gzip(&plain_pcap());
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        let (seen, error) = read_all(bytes);
        assert_eq!(seen, expected());
        let error = error.unwrap();
        assert!(matches!(error.kind(), ReadErrorKind::CompressionDamaged { compression: Compression::Gzip, .. }), "{error}");
    }

    #[test]
    fn a_zstd_window_over_32_mib_is_refused_with_a_sentence_and_one_of_32_is_read() {
        let plain = plain_pcap();
        // A frame without content size, so that the window is as large as asked for.
        let with_window = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(log)).unwrap();
            encoder.write_all(&plain).unwrap();
            encoder.flush().unwrap();
            encoder.finish().unwrap()
        };
        let (seen, error) = read_all(with_window(WINDOW_LOG_MAX));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen, expected());
        let error = read_all(with_window(WINDOW_LOG_MAX + 1)).1.unwrap();
        assert!(matches!(error.kind(), ReadErrorKind::WindowTooLarge { at: 0 }), "{error}");
    }

    #[test]
    fn what_is_inside_is_named_when_it_is_no_capture() {
        let sentence = |bytes| read_all(bytes).1.unwrap().to_string();
        assert_eq!(
            sentence(gzip(b"hello")),
            "capture: not a capture: starts with 68 65 6c 6c inside gzip; \
             pcap, pcapng and snoop files are read, also gzip or zstd compressed"
        );
        assert!(sentence(gzip(&gzip(&plain_pcap()))).contains("starts with 1f 8b 08 00 inside gzip"));
        assert_eq!(sentence(zstd(b"")), "capture: empty: not even a file header");
    }
}
