//! Is what is written what was captured? Files, files that take turns, limits.

use crate::{can_run, counted, frame, lab, listen, path, ping, read, stop};
use overlay_lab::{Answers, UdpLoad};
use overlay_tests::{Run, difference, name, ndjson, skip};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// Prime, so that it is no other number by accident.
const DATAGRAMS: u32 = 997;

fn send(lab: &overlay_lab::Lab, count: u32, size: usize) {
    let (from, to) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    // The neighbour first, so that no datagram waits for ARP, of which only some are kept.
    ping(lab, 77, 1);
    let at = SocketAddr::new(to.ipv4().into(), 9);
    from.udp_send(&UdpLoad { answers: Answers::Ignore, ..UdpLoad::new(at, count, size) }).unwrap();
}

#[test]
fn what_is_saved_is_what_is_printed_to_the_packet() {
    if !can_run("what_is_saved_is_what_is_printed_to_the_packet") {
        return;
    }
    let lab = lab("live_saved");
    let folder = tempfile::tempdir().unwrap();
    let (saved, some) = (folder.path().join("saved.pcapng"), folder.path().join("some.pcap"));
    let filter = "vni 77 and inner(udp port 9)";
    let writing = listen(lab.host(1), ["-i", "ul0", "-w", &path(&saved), filter]);
    let printing = listen(lab.host(1), ["-i", "ul0", "-n", "--nano", filter]);
    let limited = listen(lab.host(1), ["-i", "ul0", "-c", "5", "-s", "100", "-w", &path(&some), filter]);
    send(&lab, DATAGRAMS, 400);
    let (writing, printing) = (stop(writing), stop(printing));
    assert_eq!([&writing, &printing].map(|ended| counted(ended, "matched")), [u64::from(DATAGRAMS); 2], "{}", writing.stderr);
    // One clock stamps a packet for every socket that takes it: the times are equal, too.
    let again = read(&saved, ["-n", "--nano"]).good();
    assert_eq!(difference(&printing.stdout, &again), None);
    assert_eq!(again.lines().count(), DATAGRAMS as usize);

    let limited = limited.end();
    assert_eq!((limited.code, counted(&limited, "matched")), (0, 5), "{}", limited.stderr);
    let packets = ndjson(&read(&some, ["--json"]).stdout);
    assert_eq!(packets.len(), 5);
    assert!(packets.iter().all(|packet| packet["caplen"] == 100 && packet["len"] == 492), "{packets:?}");
}

#[test]
fn directions_are_told_apart() {
    if !can_run("directions_are_told_apart") {
        return;
    }
    let lab = lab("live_direction");
    let runs = ["in", "out", "inout"].map(|which| listen(lab.host(1), ["-i", "ul0", "-n", "-t", "-Q", which, "inner(icmp)"]));
    ping(&lab, 77, 3);
    let [inbound, outbound, both] = runs.map(|run| stop(run).stdout);
    let count = |text: &str, word: &str| text.lines().filter(|line| line.contains(word)).count();
    let found = [&inbound, &outbound, &both].map(|text| (count(text, "echo request"), count(text, "echo reply")));
    assert_eq!(found, [(0, 3), (3, 0), (3, 3)], "{both}");
}

#[test]
fn files_take_turns_by_size_time_and_number_and_nothing_is_lost() {
    if !can_run("files_take_turns_by_size_time_and_number_and_nothing_is_lost") {
        return;
    }
    let lab = lab("live_turns");
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let target = |name: &str| path(&folder.path().join(name));
    // Only these: hosts and tenants that have just come up send of their own accord.
    let filter = "inner(udp port 9)";
    let whole = listen(lab.host(1), ["-i", "ul0", "-w", &target("whole.pcapng"), filter]);
    let kept = listen(lab.host(1), ["-i", "ul0", "-C", "1", "-G", "60", "-w", &target("all.pcapng"), filter]);
    let ring = listen(lab.host(1), ["-i", "ul0", "-C", "1", "-G", "1", "-W", "2", "-w", &target("ring.pcapng"), filter]);
    let timed = listen(lab.host(1), ["-i", "ul0", "-G", "1", "-w", &target("at-%Y%m%d-%H%M%S.pcap"), "inner(icmp[icmptype] == icmp-echo)"]);
    send(&lab, 3 * DATAGRAMS, 1200);
    // Time passes for the packets, too: those of -G are counted by their own clock.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    ping(&lab, 77, 2);
    let ended = [whole, kept, ring, timed].map(stop);
    for ended in &ended {
        assert_eq!(counted(ended, "dropped by the kernel"), 0, "{}", ended.stderr);
    }
    let files = |prefix: &str| -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| name(file).starts_with(prefix));
        files.sort();
        files
    };
    let printed = |files: &[PathBuf]| files.iter().map(|file| read(file, ["-n", "--nano"]).good()).collect::<String>();
    let whole = printed(&files("whole"));
    let (all, ring) = (files("all-"), files("ring-"));
    assert_eq!(name(&all[0]), "all-00001.pcapng");
    assert!(all.len() >= 4, "3 MB and more in files of 1 MB: {all:?}");
    assert_eq!(difference(&whole, &printed(&all)), None);
    // The ring has the newest files, and their packets are the newest.
    assert_eq!(ring.len(), 2, "{ring:?}");
    let newest = printed(&ring);
    assert!(!newest.is_empty() && newest.len() < whole.len() && whole.ends_with(&newest), "{newest}");
    let timed = files("at-");
    assert!(timed.len() >= 2 && printed(&timed).lines().count() == 3, "{timed:?}: {}", printed(&timed));
    for file in all.iter().chain(&ring).chain(&timed) {
        let data = file.metadata().unwrap();
        assert!(data.uid() == 0 && data.len() < 1_300_000, "{}: {} bytes of {}", file.display(), data.len(), data.uid());
    }
    second_opinion(&all[0], &ring[1]);
}

/// What another tool reads out of a file: that it is whole, the interface's name and what was dropped.
fn second_opinion(first: &std::path::Path, last: &std::path::Path) {
    if Run::new("sh").args(["-c", "command -v capinfos tshark"]).end().code != 0 {
        return skip("live::second_opinion", "capinfos and tshark are not installed");
    }
    for file in [first, last] {
        let ended = Run::new("capinfos").args([path(file)]).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
        assert!(ended.stdout.contains("Name = ul0"), "{}", ended.stdout);
        let ended = Run::new("tshark").args(["-n", "-r", &path(file)]).end();
        let ours = read(file, ["-n"]).good();
        assert_eq!((ended.code, ended.stdout.lines().count()), (0, ours.lines().count()), "{}", ended.stderr);
    }
}

#[test]
fn counts_of_packets_and_drops_are_in_the_file() {
    if !can_run("counts_of_packets_and_drops_are_in_the_file") {
        return;
    }
    let lab = lab("live_counts");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counts.pcapng");
    let running = listen(lab.host(1), ["-i", "ul0", "-w", &path(&file), "ether proto 0x88b5"]);
    let host = lab.host(1);
    host.send_frame("ul0", &frame(host, &[0x88, 0xb5, 1]), 13).unwrap();
    stop(running);
    // Option 4 is isb_ifrecv, 7 is isb_osdrop.
    let bytes = std::fs::read(&file).unwrap();
    let has = |wanted: Vec<u8>| bytes.windows(wanted.len()).any(|window| window == wanted);
    assert!(has(option(4, 13)) && has(option(7, 0)), "no counts in {}", read(&file, ["-#"]).stdout);
}

/// Bytes of an option of an interface statistics block that holds a number (draft-ietf-opsawg-pcapng 4.6).
fn option(code: u8, value: u64) -> Vec<u8> {
    [&[code, 0, 8, 0][..], &value.to_le_bytes()].concat()
}

#[test]
fn every_packet_is_captured_or_counted_as_dropped_whatever_the_load() {
    if !can_run("every_packet_is_captured_or_counted_as_dropped_whatever_the_load") {
        return;
    }
    const SENT: u32 = 40_009;
    let lab = lab("live_drops");
    let (host, peer) = (lab.host(1), lab.host(2));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drops.pcapng");
    let ring = ["-B", "512", "-i", "ul0"];
    let filter = ["ether proto 0x88b5"];
    let writing = listen(host, ring.iter().chain(&["-w", &path(&file)]).chain(&filter));
    let printing = listen(host, ring.iter().chain(&["-n", "-t"]).chain(&filter));
    let frame = frame(peer, &[&[0x88, 0xb5][..], &[7; 200]].concat());
    // Stopped, so that the ring is full however fast the machine is; then running, so that room comes and goes.
    for signal in ["STOP", "CONT"] {
        writing.signal(signal);
        printing.signal(signal);
        peer.send_frame("ul0", &frame, SENT).unwrap();
    }
    let sent = 2 * u64::from(SENT);
    let [writing, printing] = [writing, printing].map(stop);
    for ended in [&writing, &printing] {
        let [captured, dropped, matched] = ["captured", "dropped by the kernel", "matched"].map(|word| counted(ended, word));
        assert_eq!((captured + dropped, matched), (sent, captured), "{}", ended.stderr);
        assert!(dropped > u64::from(SENT) / 2 && captured > 0, "a ring of 512 KiB cannot hold them: {}", ended.stderr);
    }
    // The file says the same of itself, and has as many packets.
    let [captured, dropped] = ["captured", "dropped by the kernel"].map(|word| counted(&writing, word));
    assert_eq!(read(&file, ["--count"]).good(), format!("{captured} packets\n"));
    assert_eq!(printing.stdout.lines().count() as u64, counted(&printing, "captured"));
    let bytes = std::fs::read(&file).unwrap();
    let tail = &bytes[bytes.len() - 200..];
    let has = |wanted: Vec<u8>| tail.windows(wanted.len()).any(|window| window == wanted);
    // isb_ifrecv counts what the handle was offered, isb_ifdrop what the interface lost, isb_osdrop what found no room.
    assert!(has(option(4, sent)) && has(option(5, 0)) && has(option(7, dropped)), "{tail:?}");
}
