//! What a writer refuses, and what it leaves behind when the disk is full. That records come back as they were written is the
//! property test `tests/round_trip.rs`.

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

use overlay_decoder::{LinkType, Timestamp};

use super::*;
use crate::read::tests::{Seen, read_all};
use crate::{Chunk, Reader};

const FORMATS: [Format; 4] = [Format::Pcap, Format::PcapNano, Format::Pcapng, Format::Snoop];

/// A sink that others can look into, with room for `room` bytes.
#[derive(Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Disk {
    fn new(room: usize) -> Self {
        Self { bytes: Arc::default(), room }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn read(&self) -> (Vec<Seen>, Option<crate::ReadError>) {
        read_all(self.bytes())
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.bytes.lock().unwrap();
        let room = (self.room - held.len()).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        held.extend(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record(bytes: &[u8]) -> Record<'_> {
    Record::new(LinkType::ETHERNET, Timestamp::new(1_700_000_000, 123_456_000), bytes)
}

#[test]
fn an_empty_capture_is_a_sound_file_of_the_right_format() {
    for format in FORMATS {
        let disk = Disk::new(1 << 20);
        let written = Writer::new(disk.clone(), format).finish().unwrap();
        assert_eq!(written, disk.bytes().len() as u64);
        let mut reader = Reader::new(io::Cursor::new(disk.bytes())).unwrap();
        assert_eq!(reader.format(), format);
        assert!(!reader.next_chunk(&mut Chunk::new()).unwrap());
    }
}

#[test]
fn a_dropped_writer_has_written_everything() {
    for format in FORMATS {
        let disk = Disk::new(1 << 20);
        let mut writer = Writer::new(disk.clone(), format);
        writer.write(&record(&[1, 2, 3])).unwrap();
        assert!(disk.bytes().is_empty(), "one small record is buffered");
        drop(writer);
        let (seen, error) = disk.read();
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen[0].bytes, [1, 2, 3]);
    }
}

#[test]
fn flush_makes_the_header_and_every_record_visible() {
    for format in FORMATS {
        let disk = Disk::new(1 << 20);
        let mut writer = Writer::new(disk.clone(), format).with_link(LinkType::ETHERNET).unwrap();
        writer.flush().unwrap();
        assert_eq!(disk.read().0.len(), 0);
        assert!(disk.read().1.is_none(), "{format}: a header alone is a sound file");
        for count in 1..4 {
            writer.write(&record(&[7])).unwrap();
            writer.flush().unwrap();
            assert_eq!(disk.read().0.len(), count);
        }
        assert_eq!((writer.records(), writer.bytes()), (3, disk.bytes().len() as u64));
    }
}

#[test]
fn a_second_link_type_is_refused_where_the_format_has_one_and_the_file_goes_on() {
    for (format, sentence) in [
        (
            Format::Pcap,
            "capture: a packet of raw does not fit into a pcap file of ethernet: such a file has one link type, pcapng has several",
        ),
        (Format::Snoop, "capture: a packet of raw does not fit into a snoop file; pcap and pcapng hold any link type"),
    ] {
        let disk = Disk::new(1 << 20);
        let mut writer = Writer::new(disk.clone(), format);
        writer.write(&record(&[1])).unwrap();
        let refused = writer.write(&Record::new(LinkType::RAW, Timestamp::new(1, 0), &[2])).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
        assert!(refused.is_refused_record());
        writer.write(&record(&[3])).unwrap();
        writer.finish().unwrap();
        let (seen, error) = disk.read();
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen.iter().map(|s| s.bytes[0]).collect::<Vec<_>>(), [1, 3]);
    }
}

#[test]
fn times_that_do_not_fit_are_refused() {
    for (format, seconds, sentence) in [
        (Format::Pcap, -1, "capture: a packet of -1 s after 1970: pcap holds 0 to 4294967295 s"),
        (Format::Snoop, 1 << 32, "capture: a packet of 4294967296 s after 1970: snoop holds 0 to 4294967295 s"),
        (Format::Pcapng, i64::MAX, "capture: a packet of 9223372036854775807 s after 1970: pcapng holds 0 to 18446744072 s"),
    ] {
        let mut writer = Writer::new(Disk::new(1 << 20), format);
        let refused = writer.write(&Record::new(LinkType::ETHERNET, Timestamp::new(seconds, 0), &[])).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
    }
}

#[test]
fn what_no_reader_takes_is_not_written() {
    let long = vec![0; MAX_PACKET_BYTES as usize + 1];
    for format in FORMATS {
        let mut writer = Writer::new(Disk::new(1 << 20), format);
        let refused = writer.write(&record(&long)).unwrap_err();
        assert_eq!(refused.to_string(), "capture: a packet of 1048577 bytes: at most 1048576 can be written");
    }
    let text = "x".repeat(65_536);
    let comments = [text.as_str()];
    let mut writer = Writer::new(Disk::new(1 << 20), Format::Pcapng);
    let refused = writer.write(&record(&[]).with_comments(&comments)).unwrap_err();
    assert_eq!(refused.to_string(), "capture: a comment of 65536 bytes: at most 65535 can be written");
    let many = vec![&text[..65_535]; 40];
    let refused = writer.write(&record(&[]).with_comments(&many)).unwrap_err();
    assert_eq!(refused.to_string(), "capture: a packet with its comments of 2621664 bytes: at most 2097152 can be written");
    let refused = writer.add_interface(&Interface::named(text, LinkType::RAW)).unwrap_err();
    assert_eq!(refused.to_string(), "capture: the name of an interface of 65536 bytes: at most 65535 can be written");
    assert_eq!(writer.finish().unwrap(), 28, "nothing but the section header");
}

#[test]
fn statistics_end_a_pcapng_file_and_are_added_up_from_records_unless_given() {
    let (eth0, eth1) = (Interface::named("eth0", LinkType::ETHERNET), Interface::named("eth1", LinkType::ETHERNET));
    let disk = Disk::new(1 << 20);
    let mut writer = Writer::new(disk.clone(), Format::Pcapng);
    for dropped in [3, 4] {
        writer.write(&record(&[1]).with_interface(&eth0).with_dropped(dropped)).unwrap();
    }
    let statistics = Statistics { received: Some(1000), dropped_by_interface: Some(10), dropped_by_system: Some(20) };
    writer.set_statistics(&eth1, statistics).unwrap();
    writer.finish().unwrap();
    let mut reader = Reader::new(io::Cursor::new(disk.bytes())).unwrap();
    let mut chunk = Chunk::new();
    while reader.next_chunk(&mut chunk).unwrap() {}
    assert_eq!(reader.reported_drops(), Some(3 + 4 + 10 + 20));
}

#[test]
fn on_a_full_disk_every_record_before_is_readable_and_the_error_stays() {
    for format in FORMATS {
        let disk = Disk::new(300_000);
        let mut writer = Writer::new(disk.clone(), format);
        let mut failure = None;
        for i in 0..2_000_u32 {
            let bytes = [i as u8; 400];
            if let Err(error) = writer.write(&record(&bytes)) {
                failure = Some(error);
                break;
            }
        }
        let failure = failure.expect("800,000 bytes do not fit into 300,000");
        assert!(!failure.is_refused_record());
        assert_eq!(writer.write(&record(&[])).unwrap_err().to_string(), failure.to_string());
        assert_eq!(writer.flush().unwrap_err().to_string(), failure.to_string());
        assert_eq!(writer.finish().unwrap_err().to_string(), failure.to_string());
        let (seen, error) = disk.read();
        // A sink that is no file cannot be shortened: the last record is cut, and those before it are whole.
        assert!(error.unwrap().is_cut_off());
        assert!(seen.len() > 600 && seen.iter().enumerate().all(|(i, s)| s.bytes == [i as u8; 400]), "{format}: {}", seen.len());
    }
}

#[test]
fn finish_reports_what_only_the_last_write_finds() {
    for format in FORMATS {
        let mut writer = Writer::create("/dev/full", format).unwrap();
        writer.write(&record(&[1; 100])).unwrap();
        let error = writer.finish().unwrap_err();
        assert_eq!(error.to_string(), "/dev/full: No space left on device (os error 28)");
    }
    let mut sink = Disk::new(0);
    assert!(sink.write(&[1]).is_err());
}

#[test]
fn a_full_file_system_leaves_a_file_of_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "overlay-captures-test"]).arg(folder.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        skip("a_full_file_system_leaves_a_file_of_whole_records", "a tmpfs cannot be mounted (needs root)");
        return;
    }
    /// Unmounts even when an assertion fails, so that the folder can be removed.
    struct Mounted<'a>(&'a std::path::Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }
    let _mounted = Mounted(folder.path());
    for format in FORMATS {
        let path = folder.path().join("full");
        let mut writer = Writer::create(&path, format).unwrap();
        let failure = (0..2_000_u32).find_map(|i| writer.write(&record(&[i as u8; 397])).err()).expect("the disk is full");
        assert!(failure.to_string().ends_with("No space left on device (os error 28)"), "{failure}");
        assert!(writer.finish().is_err());
        let (seen, error) = read_all(std::fs::read(&path).unwrap());
        assert!(error.is_none(), "{format}: {error:?}");
        assert!(seen.len() > 1_000 && seen.iter().enumerate().all(|(i, s)| s.bytes == [i as u8; 397]), "{format}: {}", seen.len());
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_closed_pipe_is_told_apart() {
    let (receiver, sender) = io::pipe().unwrap();
    drop(receiver);
    let mut writer = Writer::new(sender, Format::Pcap);
    writer.write(&record(&[1])).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(error.is_broken_pipe(), "{error}");
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let error = Writer::create("/nonexistent/x.pcap", Format::Pcap).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/x.pcap: No such file or directory (os error 2)");
}

/// A skip is visible and counted, never a silent success.
fn skip(test: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
