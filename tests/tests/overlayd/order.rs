//! Does what is sent come in order, and is everything that does not come counted somewhere?

use crate::can_run;
use crate::daemon::{CEILING, Daemon, way};
use crate::flow::{LinkCounters, Sink, queue_dropped, send_numbered};
use crate::traffic::{all_answered, counter};
use overlay_api::control::Vnic;
use overlay_lab::{Family, Lab, Node, Offloads, Overlay, Ping, Signal, Targets, wait_until};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Datagrams that the smallest of all queues on the way surely holds: a socket's default buffer is 208 KiB, a full datagram costs it 2.3.
const WINDOW: usize = 64;
/// Counters that do not move for so long have settled.
const SETTLED: Duration = Duration::from_millis(300);

/// overlayd on both hosts, a tenant on each. What tenants and hosts know of each other is fixed: there is nothing on any link but what
/// the test sends, so that each drop is one of those.
fn start(name: &str, offloads: Offloads) -> (Lab, [Daemon; 2]) {
    let overlay = Overlay::vxlan(77).no_tunnel_on(1).no_tunnel_on(2).targets(Targets::Static);
    let lab = Lab::builder(name).offloads(offloads).overlay(overlay).build().expect("a lab comes up");
    let daemons = [1, 2].map(|host| {
        let (here, there) = (lab.host(host), lab.host(3 - host));
        here.ip(&[format!("neighbour replace {} lladdr {} dev ul0 nud permanent", there.ipv4(), there.mac())]).expect("a neighbour");
        let daemon = Daemon::start(here);
        daemon.overlay("ov77", 77, way(&lab, host, Family::V4), &[("mtu", "1450")]);
        let tenant = lab.tenant(host, 77, 1);
        tenant.sysctl(&[("ipv6/conf/default/disable_ipv6", "1"), ("ipv6/conf/all/disable_ipv6", "1")]).expect("a setting");
        let vnic = daemon.client.create_vnic(&crate::daemon::new_vnic("v77", "ov77", tenant)).expect("a VNIC");
        tenant.ip(&four_only(tenant, lab.tenant(3 - host, 77, 1))).expect("a VNIC can be configured");
        assert_eq!(vnic.mtu, 1450);
        daemon
    });
    (lab, daemons)
}

/// As `Node::configure` does, without IPv6, which says a word from time to time.
fn four_only(tenant: &Node, other: &Node) -> Vec<String> {
    vec![
        "link set v77 down".into(),
        "link set v77 name t0".into(),
        format!("address add {}/16 dev t0", tenant.ipv4()),
        "link set t0 up".into(),
        format!("neighbour replace {} lladdr {} dev t0 nud permanent", other.ipv4(), other.mac()),
    ]
}

fn in_order(name: &str, offloads: Offloads) {
    let (lab, daemons) = start(name, offloads);
    // Several flows at a time, each with runs of equal sizes that may be sent and written as one, and others between them.
    let sizes: [&[usize]; 3] = [&[1422], &[64, 64, 64, 900, 900, 4, 1422], &[300, 300, 300, 300, 299, 1200, 1200]];
    std::thread::scope(|scope| {
        for (number, sizes) in sizes.iter().enumerate() {
            let lab = &lab;
            scope.spawn(move || {
                let (here, there) = (1 + number as u16 % 2, 2 - number as u16 % 2);
                let sink = Sink::start(lab.tenant(there, 77, 1), lab.tenant(there, 77, 1).ipv4().into());
                send_numbered(lab.tenant(here, 77, 1), &sink, 0..30_011, sizes, Some(WINDOW));
                let came = wait_until("all of them", CEILING, || sink.count() >= 30_011);
                let numbers = sink.numbers();
                let odd = numbers.iter().zip(0..).find(|(found, expected)| **found != *expected);
                assert!(came.is_ok() && numbers.len() == 30_011 && odd.is_none(), "flow {number}: {} came; {odd:?}", numbers.len());
            });
        }
    });
    for daemon in &daemons {
        let counters = daemon.client.overlays().expect("overlays").remove(0).counters;
        assert_eq!(counters.all_dropped(), 0, "{counters:?}");
    }
}

#[test]
fn a_numbered_flow_arrives_complete_and_in_order_over_virtual_links() {
    if can_run("a_numbered_flow_arrives_complete_and_in_order_over_virtual_links") {
        in_order("ovd_order", Offloads::On);
    }
}

#[test]
fn a_numbered_flow_arrives_complete_and_in_order_over_plain_wires() {
    if can_run("a_numbered_flow_arrives_complete_and_in_order_over_plain_wires") {
        in_order("ovd_order_wire", Offloads::WireLike);
    }
}

/// Each place where a datagram can be lost between the tenants of host 1 and host 2, with how many were.
fn losses(lab: &Lab, daemons: &[Daemon; 2]) -> BTreeMap<String, u64> {
    let (from, to) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let mut found = BTreeMap::from([
        ("the queue of the sender's VNIC".to_owned(), LinkCounters::of(from, "t0").sent_dropped),
        ("the qdisc of the sender's VNIC".to_owned(), queue_dropped(from, "t0")),
        ("the qdisc of the underlay".to_owned(), queue_dropped(lab.host(1), "ul0")),
        // Of a veth pair the sending end counts what the other had no room for.
        ("the underlay's link".to_owned(), LinkCounters::of(lab.host(1), "ul0").sent_dropped),
        ("the receiving overlayd's socket".to_owned(), counter(lab.host(2), "UdpInErrors") + counter(lab.host(2), "UdpNoPorts")),
        ("the receiver's socket".to_owned(), counter(to, "UdpInErrors") + counter(to, "UdpNoPorts")),
    ]);
    for (daemon, host) in daemons.iter().zip(["host 1", "host 2"]) {
        let all = daemon.client.overlays().expect("overlays").into_iter().map(|overlay| overlay.counters);
        for counters in all.chain([daemon.client.status().expect("a status").counters]) {
            found.extend(counters.drops.into_iter().map(|(reason, count)| (format!("{reason} in {host}"), count)));
        }
    }
    found
}

/// Waits until nothing moves any more, and then compares: what was sent came, or is in a counter; nothing is in two. What was lost
/// before, such as a host's first words on a link whose other end was still down, is left out.
fn accounts(lab: &Lab, daemons: &[Daemon; 2], sink: &Sink, sent: u32, before: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let (mut last, mut since) = ((0, BTreeMap::new()), Instant::now());
    let settled = wait_until("counters to settle", CEILING, || {
        let now = (sink.count(), losses(lab, daemons));
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > SETTLED
    });
    let (came, mut lost) = last;
    lost.iter_mut().for_each(|(place, count)| *count -= before.get(place).unwrap_or(&0));
    let sum = came as u64 + lost.values().sum::<u64>();
    assert!(
        settled.is_ok() && sum == u64::from(sent),
        "{sent} sent, {came} came, together {sum} with what is known to be lost:\n{lost:#?}"
    );
    let numbers = sink.numbers();
    assert!(numbers.is_sorted_by(|a, b| a < b), "those that came are out of order, or came twice");
    for host in 1..=2 {
        agrees(&daemons[usize::from(host) - 1].vnic("v77"), lab.tenant(host, 77, 1));
    }
    lost.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Whether the kernel's counters of a VNIC's interface are ours: every frame that it sent is one that we got. In the other direction we
/// count frames, and it counts writes: a run of datagrams of a flow is written as one with one header, so that each further one
/// of a run saves `Ethernet, IPv4, UDP` = 42 bytes; this holds for traffic of which only UDP over IPv4 without options is joined.
fn agrees(vnic: &Vnic, tenant: &Node) {
    const HEADERS: u64 = 14 + 20 + 8;
    let (ours, kernels) = (&vnic.counters, LinkCounters::of(tenant, "t0"));
    assert_eq!((kernels.sent, kernels.sent_bytes), (ours.frames_in, ours.frames_in_bytes), "{ours:?}\n{kernels:?}");
    let given = ours.frames_out + ours.made - ours.drops.get("deliver-failed").copied().unwrap_or(0);
    assert!(kernels.received <= given, "{ours:?}\n{kernels:?}");
    if ours.made == 0 && !ours.drops.contains_key("deliver-failed") {
        let saved = (given - kernels.received) * HEADERS;
        assert_eq!(kernels.received_bytes + saved, ours.frames_out_bytes, "{ours:?}\n{kernels:?}");
    }
}

#[test]
fn a_flood_beyond_what_is_read_is_lost_in_counters_only() {
    if !can_run("a_flood_beyond_what_is_read_is_lost_in_counters_only") {
        return;
    }
    let (lab, daemons) = start("ovd_flood", Offloads::WireLike);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let sink = Sink::start(there, there.ipv4().into());
    // As fast as a sender can, which is more than anybody reads; now and then one that breaks a run of equal sizes.
    let before = losses(&lab, &daemons);
    send_numbered(here, &sink, 0..100_003, &[64, 64, 64, 64, 64, 64, 64, 1422], None);
    let lost = accounts(&lab, &daemons, &sink, 100_003, &before);
    assert!(!lost.is_empty(), "a flood of which nothing is lost is none");
    overlay_tests::say(&format!("{} of 100003 came; lost: {lost:?}", sink.count()));
}

#[test]
fn a_receiver_that_is_stopped_loses_in_its_socket() {
    if !can_run("a_receiver_that_is_stopped_loses_in_its_socket") {
        return;
    }
    let (lab, mut daemons) = start("ovd_stopped", Offloads::WireLike);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let sink = Sink::start(there, there.ipv4().into());
    let before = losses(&lab, &daemons);
    daemons[1].signal(Signal::STOP);
    let mut sent = 0;
    // How much gets as far as its socket, and fills that, depends on the machine.
    while counter(lab.host(2), "UdpRcvbufErrors") == 0 && sent < 2_000_000 {
        send_numbered(here, &sink, sent..sent + 20_011, &[64], None);
        sent += 20_011;
    }
    daemons[1].signal(Signal::CONT);
    let lost = accounts(&lab, &daemons, &sink, sent, &before);
    assert!(lost.iter().any(|(place, _)| place == "the receiving overlayd's socket"), "{lost:?}");
}

#[test]
fn a_narrow_underlay_loses_in_its_queue() {
    if !can_run("a_narrow_underlay_loses_in_its_queue") {
        return;
    }
    let (lab, daemons) = start("ovd_narrow", Offloads::WireLike);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    // A burst shorter than two datagrams: the queue cuts whatever comes as several, and so counts single ones.
    lab.host(1).tc(&["qdisc", "add", "dev", "ul0", "root", "tbf", "rate", "200mbit", "burst", "2000", "limit", "100000"]).expect("a queue");
    let sink = Sink::start(there, there.ipv4().into());
    let before = losses(&lab, &daemons);
    send_numbered(here, &sink, 0..20_011, &[1300], None);
    let lost = accounts(&lab, &daemons, &sink, 20_011, &before);
    assert!(lost.iter().any(|(place, _)| place == "the qdisc of the underlay"), "{lost:?}");
}

#[test]
fn the_interfaces_counters_are_ours_frame_by_frame() {
    if !can_run("the_interfaces_counters_are_ours_frame_by_frame") {
        return;
    }
    let (lab, daemons) = start("ovd_counts", Offloads::On);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    // Nothing joins an echo: each frame is one write.
    for size in [0, 56, 1000, 1422] {
        all_answered(here, IpAddr::from(there.ipv4()), &Ping { count: 101, size, ..Ping::default() }).unwrap();
    }
    for (daemon, tenant) in daemons.iter().zip([here, there]) {
        let ours = daemon.vnic("v77").counters;
        let kernels = LinkCounters::of(tenant, "t0");
        assert_eq!((ours.frames_in, ours.frames_out, ours.all_dropped()), (404, 404, 0), "{ours:?}");
        assert_eq!((kernels.sent, kernels.sent_bytes), (ours.frames_in, ours.frames_in_bytes));
        assert_eq!((kernels.received, kernels.received_bytes), (ours.frames_out, ours.frames_out_bytes));
        // And an overlay of one VNIC counts what that does.
        let overlay = daemon.client.overlays().expect("overlays").remove(0).counters;
        assert_eq!((overlay.frames_in, overlay.sent, overlay.datagrams_out_packets), (404, 404, 404), "{overlay:?}");
        assert_eq!((overlay.datagrams_in, overlay.delivered, overlay.frames_out), (404, 404, 404), "{overlay:?}");
    }
}
