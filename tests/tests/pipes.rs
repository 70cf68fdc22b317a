//! What happens at the edges of a process? Closed and full outputs, slow inputs, signals.

use overlay_tests::{Ended, Peer, Run, bytes_of, corpus_folder, is_root, ndjson, program, skip, snoop};
use std::path::{Path, PathBuf};

/// The header of a pcap file and its records, each with the header that the file has for it.
fn pieces(capture: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = bytes_of(&corpus_folder().join(capture));
    let (header, mut rest) = bytes.split_at(24);
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, behind) = rest.split_at(16 + length);
        records.push(record.to_vec());
        rest = behind;
    }
    (header.to_vec(), records)
}

/// The same packets over and over: a capture of at least so many bytes.
fn long_capture(bytes: usize) -> Vec<u8> {
    let (mut capture, records) = pieces("vxlan.pcap");
    let round = records.concat();
    while capture.len() < bytes {
        capture.extend_from_slice(&round);
    }
    capture
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("long.pcap");
    // Beyond the 64 KiB that a pipe takes without a reader, and beyond the output buffer.
    std::fs::write(&capture, long_capture(8 << 20)).unwrap();
    let program = program("overlay-snoop").display().to_string();
    for flags in ["", "--json", "-v", "-V", "-w -", "--threads 4", "-l"] {
        let script = format!("{{ '{program}' -r '{}' {flags}; echo \"status $?\" >&2; }} | head -c 100 >/dev/null", capture.display());
        let ended = Run::new("sh").args(["-c", &script]).end();
        assert_eq!(ended.stderr, "status 0\n", "{flags}: a closed pipe is no fault");
    }
}

#[test]
fn a_slow_pipe_delivers_each_packet_before_the_next_is_sent() {
    let (header, records) = pieces("vxlan.pcap");
    for flags in [&[][..], &["-l"], &["--json"], &["-v"]] {
        let mut running = snoop(["-r", "-"]).args(flags).start();
        running.write(&header);
        let mut before = 0;
        for record in &records {
            running.write(record);
            // Waits for this packet only: nothing of the next one has been sent.
            let printed = running.wait_for("the packet just sent", |printed| printed.len() > before && printed.ends_with('\n'));
            before = printed.len();
        }
        let ended = running.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{flags:?}");
    }
}

#[test]
fn a_record_that_comes_in_pieces_is_put_together() {
    let (header, records) = pieces("vxlan.pcap");
    let whole = snoop(["-r", "vxlan.pcap"]).end().good();
    let mut running = snoop(["-r", "-"]).start();
    for byte in [header, records.concat()].concat() {
        running.write(&[byte]);
    }
    assert_eq!(running.end().good(), whole);
}

#[test]
fn a_pipe_that_is_cut_says_so_after_the_packets() {
    let bytes = bytes_of(&corpus_folder().join("vxlan.pcap"));
    let ended = snoop(["-r", "-"]).stdin(&bytes[..bytes.len() - 5]).end();
    assert_eq!((ended.code, ended.stdout.lines().count()), (1, 7));
    assert!(ended.stderr.contains("standard input: cut off"), "{}", ended.stderr);
}

#[test]
fn a_full_standard_output_is_told() {
    for flags in [&[][..], &["--json"], &["--stats"], &["--count"], &["-w", "-"], &["--threads", "4"]] {
        let ended = snoop(["-r", "vxlan.pcap"]).args(flags).stdout_into("/dev/full").end();
        assert_eq!(ended.code, 1, "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("No space left on device") && ended.stderr.lines().count() == 1, "{flags:?}: {}", ended.stderr);
    }
}

/// A folder on a file system of its own, with little room. Unmounted when dropped, also by a failing test.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Run::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "overlay-test"]).args([folder.path()]).end();
        assert_eq!(mounted.code, 0, "{}", mounted.stderr);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a child that still holds a file must not keep it mounted.
        let _ = Run::new("umount").args(["-l"]).args([self.folder.path()]).end();
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_written_is_whole() {
    let test = "a_full_disk_is_told_and_what_was_written_is_whole";
    if !is_root() {
        return skip(test, "mounting a small file system takes root");
    }
    let Some(tcpdump) = Peer::find(test, "tcpdump") else { return };
    let source = tempfile::tempdir().unwrap();
    let capture = source.path().join("long.pcap");
    std::fs::write(&capture, long_capture(4 << 20)).unwrap();
    for ending in ["pcap", "pcapng", "snoop"] {
        let disk = SmallDisk::new(1 << 20);
        let out = disk.path(&format!("out.{ending}"));
        let ended = snoop(["-r"]).args([&capture]).args(["-w"]).args([&out]).end();
        assert_eq!(ended.code, 1, "{ending}: {}", ended.stderr);
        assert!(ended.stderr.contains(&out.display().to_string()) && ended.stderr.contains("No space left on device"), "{}", ended.stderr);
        let length = std::fs::metadata(&out).unwrap().len();
        assert!(length > 512 << 10, "{ending}: only {length} bytes of a disk of 1 MiB");
        let again = snoop(["--count", "-r"]).args([&out]).end();
        assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{ending}: what was written is not whole");
        if ending != "snoop" {
            let said = tcpdump.run(Path::new("/"), ["--count", "-r"]).args([&out]).end();
            assert_eq!(said.code, 0, "{ending}: tcpdump: {}", said.stderr);
            assert_eq!(again.stdout, said.stdout, "{ending}: packets here, and for tcpdump");
        }
    }
}

/// Sends packets through a pipe, waits for `started` to hold, then interrupts it.
fn interrupted(flags: &[&str], out: Option<&Path>, signal: &str) -> Ended {
    let (header, records) = pieces("vxlan.pcap");
    let mut running = snoop(["-r", "-"]).args(flags).args(out).start();
    running.write(&[header, records.concat()].concat());
    // A pipe is empty when its reader has read everything; the reader then waits, and its packets are with the sink.
    running.wait_until_read();
    running.signal(signal);
    running.end_with_open_input()
}

#[test]
fn an_interrupted_writer_leaves_a_whole_capture() {
    for (ending, signal) in [("pcap", "INT"), ("pcapng", "TERM"), ("snoop", "INT")] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join(format!("out.{ending}"));
        let ended = interrupted(&["-w"], Some(&out), signal);
        assert_eq!((ended.code, ended.stderr.as_str()), (130, ""), "{ending}");
        let packets = ndjson(&snoop(["--json", "-r"]).args([&out]).end().good());
        assert_eq!(packets.len(), 8, "{ending}");
    }
}

#[test]
fn interrupted_statistics_are_shown_as_far_as_they_got() {
    let ended = interrupted(&["--stats"], None, "INT");
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(ended.stdout.contains("8 packets") && ended.stdout.contains("vxlan 77"), "{}", ended.stdout);
    let ended = interrupted(&["--stats", "--json"], None, "INT");
    assert_eq!(ndjson(&ended.stdout)[0]["total"]["packets"], 8);
}
