//! What changes on a running overlay, under traffic, and does anything notice that should not? Connections go on, counters are kept.

use crate::can_run;
use crate::daemon::{Daemon, link, way};
use crate::flow::LinkCounters;
use crate::traffic::{Random, all_answered, connect};
use overlay_api::control::Counters;
use overlay_api::{Direction, DropReason};
use overlay_lab::{Family, Lab, Overlay, Ping};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Bytes that have to arrive after each change.
const AFTER: u64 = 300_000;
const PIECE: usize = 4096;

/// overlayd on both hosts, which have a second address each.
fn start(name: &str) -> (Lab, [Daemon; 2]) {
    let lab = Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1).no_tunnel_on(2)).build().expect("a lab comes up");
    let daemons = [1, 2].map(|host| {
        lab.host(host).ip(&[format!("address add 10.88.0.1{host}/24 dev ul0")]).expect("an address");
        let daemon = Daemon::start(lab.host(host));
        daemon.overlay("ov77", 77, way(&lab, host, Family::V4), &[("mtu", "1450")]);
        daemon.tenant("v77", "ov77", lab.tenant(host, 77, 1));
        daemon
    });
    (lab, daemons)
}

/// Bytes in one direction until the end; each that comes is compared.
fn stream(from: &TcpStream, to: &TcpStream, came: &AtomicU64, end: &AtomicBool) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut random, mut piece) = (Random::new(5), vec![0; PIECE]);
            while !end.load(Ordering::Relaxed) {
                random.fill(&mut piece);
                (&mut &*from).write_all(&piece).expect("a connection that lives");
            }
            from.shutdown(std::net::Shutdown::Write).expect("a connection that lives");
        });
        let (mut random, mut expected, mut piece) = (Random::new(5), vec![0; PIECE], Vec::new());
        loop {
            piece.clear();
            let length = (&mut &*to).take(PIECE as u64).read_to_end(&mut piece).expect("a connection that lives");
            if length == 0 {
                break;
            }
            random.fill(&mut expected);
            assert_eq!(piece, expected, "after {} bytes", came.load(Ordering::Relaxed));
            came.fetch_add(length as u64, Ordering::Relaxed);
        }
    });
}

/// Sums only ever grow; a counter that has become smaller was forgotten.
fn grew(before: &Counters, after: &Counters) {
    for ((name, before), (_, after)) in before.iter().zip(after.iter()) {
        assert!(before <= after, "{name} was {before} and is {after}");
    }
    for (reason, before) in &before.drops {
        assert!(after.drops.get(reason) >= Some(before), "{reason} was {before}; {:?}", after.drops);
    }
}

#[test]
fn a_connection_and_all_counters_outlive_each_change() {
    if !can_run("a_connection_and_all_counters_outlive_each_change") {
        return;
    }
    let (lab, daemons) = start("ovd_live");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let connection = connect(here, there, there.ipv4().into());
    let (came, end) = (AtomicU64::new(0), AtomicBool::new(false));
    // Each with what the wire has to show from then on. The other direction carries acknowledgements.
    type Change = (&'static str, &'static [(usize, &'static str, &'static str)], &'static str);
    let changes: [Change; 5] = [
        ("nothing yet", &[], "udp dst port 4789 and dst 10.88.0.2 and udp[12:4] = 0x4d00"),
        ("vnetid", &[(0, "vnetid", "4711"), (1, "vnetid", "4711")], "udp dst port 4789 and dst 10.88.0.2 and udp[12:4] = 0x126700"),
        (
            "the receiver's address",
            &[(1, "vxlan/listen_ip", "10.88.0.12"), (0, "direct/dest_ip", "10.88.0.12")],
            "udp dst port 4789 and dst 10.88.0.12 and udp[12:4] = 0x126700",
        ),
        (
            "the sender's address",
            &[(0, "vxlan/listen_ip", "10.88.0.11"), (1, "direct/dest_ip", "10.88.0.11")],
            "udp dst port 4789 and src 10.88.0.11 and dst 10.88.0.12",
        ),
        (
            "the receiver's port",
            &[(1, "vxlan/listen_port", "5555"), (0, "direct/dest_port", "5555")],
            "udp dst port 5555 and dst 10.88.0.12 and udp[12:4] = 0x126700",
        ),
    ];
    std::thread::scope(|scope| {
        scope.spawn(|| stream(&connection.client, &connection.server, &came, &end));
        // Whatever fails below, the stream ends, and the test with it.
        let _end = Ender(&end);
        for (what, sets, wire) in changes {
            let before = daemons.each_ref().map(|daemon| daemon.client.overlay(&link("ov77")).expect("an overlay").counters);
            for (daemon, property, value) in sets {
                assert_eq!(daemons[*daemon].set("ov77", property, value), Ok(()), "{what}");
            }
            let (begun, mut heard) = (came.load(Ordering::Relaxed), lab.host(2).frames("ul0", wire).expect("frames can be heard"));
            daemons[0].wait(&format!("the stream to go on: {what}"), || came.load(Ordering::Relaxed) >= begun + AFTER);
            assert!(heard.next(Duration::from_secs(10)).expect("a capture").is_some(), "{what}: no frame is {wire}");
            for (daemon, before) in daemons.iter().zip(&before) {
                let overlay = daemon.client.overlay(&link("ov77")).expect("an overlay");
                assert_eq!(overlay.state.name(), "up", "{what}: {:?}", overlay.reason);
                grew(before, &overlay.counters);
                for (name, value) in sets.iter().filter(|set| std::ptr::eq(daemon, &daemons[set.0])).map(|set| (set.1, set.2)) {
                    let properties = daemon.client.overlay_properties(&link("ov77")).expect("properties");
                    let found = properties.into_iter().find(|property| property.name == name).and_then(|property| property.value);
                    assert_eq!(found.as_deref(), Some(value), "{name}");
                }
            }
        }
    });
    all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();
    all_answered(there, here.ipv6().into(), &Ping::default()).unwrap();
    // Since the VNIC was made nothing was forgotten: the kernel's interface has counted the same, and the sums are right.
    for (daemon, tenant) in daemons.iter().zip([here, there]) {
        daemon.wait("both counts of frames to be equal", || {
            let (ours, kernels) = (daemon.vnic("v77").counters, LinkCounters::of(tenant, "t0"));
            let overlay = daemon.client.overlay(&link("ov77")).expect("an overlay").counters;
            (ours.frames_in, ours.frames_in_bytes) == (kernels.sent, kernels.sent_bytes) && overlay.frames_in == ours.frames_in
        });
        let all = daemon.client.status().expect("a status").counters;
        let dropped =
            |way| DropReason::ALL.iter().filter(move |reason| reason.direction() == way).map(|reason| all.dropped(*reason)).sum::<u64>();
        assert_eq!(all.frames_in, all.sent + dropped(Direction::Transmit) - all.dropped(DropReason::SendFailed), "{all:?}");
        assert_eq!(all.datagrams_in, all.delivered + dropped(Direction::Receive), "{all:?}");
        // Lost are those that met a socket on its way from one address to another, the other end before its change, or an overlay
        // whose VNIC was not there yet, or not up.
        const EXPECTED: [&str; 6] = ["deliver-failed", "no-port", "overlay-down", "overlay-not-ready", "send-failed", "unknown-vni"];
        let strange: Vec<_> = all.drops.keys().filter(|reason| !EXPECTED.contains(&reason.as_str())).collect();
        assert!(strange.is_empty(), "{strange:?} of {all:?}");
    }
}

/// Says that it is over when it is dropped.
struct Ender<'a>(&'a AtomicBool);

impl Drop for Ender<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_listen_port_that_changes_back_and_forth_is_the_same_underlay_again() {
    if !can_run("a_listen_port_that_changes_back_and_forth_is_the_same_underlay_again") {
        return;
    }
    let (lab, daemons) = start("ovd_ports");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    for _ in 0..5 {
        for port in ["4790", "4789"] {
            assert_eq!(daemons[1].set("ov77", "vxlan/listen_port", port), Ok(()));
            // With the old port still asked, nothing comes, and nobody falls over.
            let lost =
                here.ping_with(there.ipv4().into(), &Ping { wait: Duration::from_millis(50), ..Ping::default() }).expect("ping runs");
            assert_eq!(lost.answered, 0, "port {port}");
            assert_eq!(daemons[0].set("ov77", "direct/dest_port", port), Ok(()));
            all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();
        }
    }
    let refused = daemons[0].set("ov77", "direct/dest_port", "65536").expect_err("it is refused");
    assert!(refused.contains("65536") && refused.contains("65535"), "{refused}");
    let refused = daemons[0].set("ov77", "vnetid", "16777216").expect_err("it is refused");
    assert!(refused.contains("16777216") && refused.contains("16777215"), "{refused}");
    all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();
}
