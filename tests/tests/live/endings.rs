//! How does a capture end? Signals, limits, interfaces and namespaces that go away, a disk that is full.

use crate::{AT_ONCE, can_run, counted, frame, lab, listen, listening, path, ping, read, stop};
use overlay_lab::{Answers, UdpLoad};
use overlay_tests::{Run, snoop};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[test]
fn an_idle_capture_ends_at_once_and_says_what_it_counted() {
    if !can_run("an_idle_capture_ends_at_once_and_says_what_it_counted") {
        return;
    }
    let lab = lab("live_idle");
    for signal in ["INT", "TERM"] {
        let running = listen(lab.host(1), ["-i", "lo"]);
        let start = Instant::now();
        running.signal(signal);
        let ended = running.end();
        assert_eq!((ended.code, counted(&ended, "matched"), counted(&ended, "captured")), (0, 0, 0), "{}", ended.stderr);
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
    let start = Instant::now();
    let ended = listen(lab.host(1), ["-i", "lo", "--duration", "1"]).end();
    assert_eq!((ended.code, counted(&ended, "captured")), (0, 0), "{}", ended.stderr);
    assert!((Duration::from_secs(1)..Duration::from_secs(1) + AT_ONCE).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn counts_are_told_on_request_and_the_capture_goes_on() {
    if !can_run("counts_are_told_on_request_and_the_capture_goes_on") {
        return;
    }
    let lab = lab("live_usr1");
    let mut running = listen(lab.host(1), ["-i", "ul0", "-n", "-t", "vni 77 and inner(icmp)"]);
    ping(&lab, 77, 3);
    running.wait_for("the pings", |printed| printed.lines().count() == 6);
    running.signal("USR1");
    running.wait_for_message("counts", |said| said.contains(" 6 matched, "));
    ping(&lab, 77, 2);
    running.wait_for("more pings", |printed| printed.lines().count() == 10);
    assert_eq!(counted(&stop(running), "matched"), 10);
}

#[test]
fn an_interface_that_goes_away_is_told_and_what_was_captured_is_kept() {
    if !can_run("an_interface_that_goes_away_is_told_and_what_was_captured_is_kept") {
        return;
    }
    let lab = lab("live_gone");
    let folder = tempfile::tempdir().unwrap();
    let files = ["one.pcapng", "other.pcapng"].map(|name| folder.path().join(name));
    let host = lab.host(1);
    host.ip(&["link add gone0 type veth peer name gone1".into(), "link set gone1 up".into(), "link set gone0 up".into()]).unwrap();
    let mut one = listen(host, ["-i", "gone0", "-U", "-w", &path(&files[0])]);
    let other = listen(host, ["-i", "gone0", "-i", "ul0", "-U", "-w", &path(&files[1]), "ether proto 0x88b5"]);
    let frames = |interface: &str, count| host.send_frame(interface, &frame(host, &[0x88, 0xb5, 7]), count).unwrap();
    frames("gone0", 5);
    overlay_lab::wait_until("the frames in the files", AT_ONCE * 10, || {
        files.iter().all(|file| read(file, ["--count", "ether proto 0x88b5"]).stdout == "5 packets\n")
    })
    .unwrap();
    host.ip(&["link del gone0".into()]).unwrap();
    one.wait_for_message("the end", |said| said.contains("gone0: ") && said.contains("no interface is left"));
    let ended = one.end();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(read(&files[0], ["--count", "ether proto 0x88b5"]).good(), "5 packets\n");
    // Where another interface is left, the capture goes on.
    let mut other = other;
    other.wait_for_message("the loss", |said| said.contains("gone0: "));
    frames("ul0", 3);
    let ended = stop(other);
    assert!(!ended.stderr.contains("no interface is left"), "{}", ended.stderr);
    assert_eq!(read(&files[1], ["--count", "-n"]).good(), "8 packets\n");
}

#[test]
fn a_namespace_that_vanishes_ends_the_capture_in_it() {
    if !can_run("a_namespace_that_vanishes_ends_the_capture_in_it") {
        return;
    }
    let lab = lab("live_vanish");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vanished.pcapng");
    // From outside: a process inside would be killed with the lab.
    let place = lab.host(1).name().to_owned();
    let running = listening(snoop(["-B", "2048", "--netns", &place, "-i", "ul0", "-U", "-w", &path(&file), "inner(icmp)"]));
    ping(&lab, 77, 3);
    overlay_lab::wait_until("the pings in the file", AT_ONCE * 10, || read(&file, ["--count"]).stdout == "6 packets\n").unwrap();
    lab.remove().unwrap();
    let ended = running.end();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("{place}/ul0: ")), "{}", ended.stderr);
    assert_eq!(read(&file, ["--count"]).good(), "6 packets\n");
}

/// A file system that is full after 64 KiB.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: &Path) -> Self {
        let ended = Run::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", &path(at)]).end();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        Self(at.to_owned())
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        // Nothing is to be done about a mount that is gone.
        let _ = Run::new("umount").args(["-l", &path(&self.0)]).end();
    }
}

#[test]
fn a_full_disk_is_told_and_the_file_is_readable() {
    if !can_run("a_full_disk_is_told_and_the_file_is_readable") {
        return;
    }
    let lab = lab("live_full");
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::mount(folder.path());
    let file = folder.path().join("full.pcapng");
    let running = listen(lab.host(1), ["-i", "ul0", "-w", &path(&file), "udp"]);
    ping(&lab, 77, 1);
    let at = SocketAddr::new(lab.tenant(2, 77, 1).ipv4().into(), 9);
    lab.tenant(1, 77, 1).udp_send(&UdpLoad { answers: Answers::Ignore, ..UdpLoad::new(at, 101, 1200) }).unwrap();
    // Nothing but its end ends it: were there no message, the ceiling of the test would be met.
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("full.pcapng") && ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    let packets = read(&file, ["-n", "vni 77"]);
    assert!(packets.stdout.lines().count() > 20, "{}{}", packets.stdout, packets.stderr);
    drop(tiny);
}
