//! What if interfaces and namespaces come and go while a capture begins?

use crate::{AT_ONCE, can_run, frame, lab, listening};
use overlay_tests::{Run, ndjson, snoop};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Starts of the program while namespaces come and go.
const STARTS: usize = 20;

/// Makes and removes namespaces with an interface of this name until told to end; how many.
fn come_and_go(interface: &str, number: usize, ended: &AtomicBool, count: &AtomicU32) {
    let name = format!("ovtest-{}-{number}", std::process::id());
    let ip = |arguments: &str| Run::new("ip").args(arguments.split(' ')).end();
    while !ended.load(Ordering::Relaxed) {
        assert_eq!(ip(&format!("netns add {name}")).code, 0);
        let made = ip(&format!("-n {name} link add {interface} type veth peer name other0"));
        let up = ip(&format!("-n {name} link set {interface} up"));
        // Removed in either way: the interface first, or all at once.
        if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            ip(&format!("-n {name} link del {interface}"));
        }
        let removed = ip(&format!("netns del {name}"));
        assert_eq!((made.code, up.code, removed.code), (0, 0, 0), "{}{}{}", made.stderr, up.stderr, removed.stderr);
    }
}

#[test]
fn a_capture_everywhere_begins_while_namespaces_come_and_go() {
    if !can_run("a_capture_everywhere_begins_while_namespaces_come_and_go") {
        return;
    }
    let lab = lab("live_comings");
    let host = lab.host(1);
    // No other lab has it.
    let interface = format!("come{}", std::process::id());
    host.ip(&[format!("link add {interface} type veth peer name other0"), "link set other0 up".into(), format!("link set {interface} up")])
        .unwrap();
    let (ended, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut told = 0;
    std::thread::scope(|scope| {
        let movers = [0, 1].map(|number| {
            let (interface, ended, count) = (&interface, &ended, &count);
            scope.spawn(move || come_and_go(interface, number, ended, count))
        });
        // Also when an assertion fails: the scope waits for its threads.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let end = End(&ended);
        let mut begun = 0;
        for start in 0..STARTS {
            // The filter is set after the interfaces have been opened: one may go in between, too.
            let arguments = ["-B", "1024", "--all-netns", "-i", &interface, "--json", "-c", "3", "ether proto 0x88b5"];
            let mut running = listening(snoop(arguments));
            host.send_frame(&interface, &frame(host, &[0x88, 0xb5]), 3).unwrap();
            let said = running.wait_for_message("the counts", |said| said.contains(" 3 matched, "));
            let result = running.end();
            assert_eq!(result.code, 0, "start {start}: {said}{}", result.stderr);
            let packets = ndjson(&result.stdout);
            assert_eq!(packets.len(), 3, "start {start}: {}", result.stderr);
            assert!(packets.iter().all(|packet| packet["interface"] == format!("{}/{interface}", host.name())), "{}", result.stdout);
            told += result
                .stderr
                .lines()
                .filter(|line| line.contains("meanwhile") || line.contains("down") || line.contains("disappeared"))
                .count();
            begun += 1;
        }
        assert_eq!(begun, STARTS);
        drop(end);
        movers.into_iter().for_each(|mover| mover.join().unwrap());
    });
    overlay_tests::say(&format!("{} namespaces came and went, {told} were told to have gone", count.load(Ordering::Relaxed)));
    assert!(count.load(Ordering::Relaxed) > 0);
}

#[test]
fn an_interface_that_is_down_keeps_no_other_from_being_captured() {
    if !can_run("an_interface_that_is_down_keeps_no_other_from_being_captured") {
        return;
    }
    let lab = lab("live_down");
    let interface = format!("down{}", std::process::id());
    for host in [lab.host(1), lab.host(2)] {
        host.ip(&[format!("link add {interface} type veth peer name other0"), "link set other0 up".into()]).unwrap();
    }
    let (up, down) = (lab.host(1), lab.host(2));
    up.ip(&[format!("link set {interface} up")]).unwrap();
    let everywhere = ["-B", "1024", "--all-netns", "-i", &interface];
    let running = listening(snoop(everywhere.iter().chain(&["-c", "2", "--count", "ether proto 0x88b5"])));
    up.send_frame(&interface, &frame(up, &[0x88, 0xb5]), 2).unwrap();
    let ended = running.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "2 packets\n"), "{}", ended.stderr);
    let told = format!("{}/{interface}: the interface is down", down.name());
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    // Alone, or asked for by its name, it is an error.
    up.ip(&[format!("link set {interface} down")]).unwrap();
    for arguments in [&everywhere[..], &["-B", "1024", "--netns", down.name(), "-i", &interface]] {
        let ended = snoop(arguments).end();
        assert!(ended.code == 1 && ended.stderr.contains(&told), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_namespace_that_was_named_and_is_gone_is_an_error() {
    if !can_run("a_namespace_that_was_named_and_is_gone_is_an_error") {
        return;
    }
    let lab = lab("live_named");
    let (here, gone) = (lab.host(1).name().to_owned(), lab.host(2).name().to_owned());
    assert_eq!(Run::new("ip").args(["netns", "del", &gone]).end().code, 0);
    let begun = std::time::Instant::now();
    let ended = snoop(["-B", "1024", "--netns", &here, "--netns", &gone, "-i", "lo"]).end();
    assert!(ended.code == 1 && ended.stderr.contains(&format!("netns {gone}: no such namespace")), "{}", ended.stderr);
    assert!(begun.elapsed() < AT_ONCE * 5);
}
