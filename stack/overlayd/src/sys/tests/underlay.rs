//! Underlay sockets: batches both ways, what the outer header says, what is too big, and what is refused.

use super::{CEILING, SILENCE, eventually, ip, lab, reopen, turn};
use crate::sys::error::Kind;
use crate::sys::{Loss, Message, SendReport, Underlay, UnderlayQueue, UnderlaySpec, calls};
use nix::errno::Errno;
use nix::libc;
use overlay_decoder::Ul3;
use overlay_engine::encap::Carrier;
use overlay_engine::{Arrival, Datagrams, OuterHeader};
use overlay_lab::{Join, Lab, Namespace, Node, Offloads};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::net::{IpAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

const NVGRE: Carrier = Carrier::Ip(47);
const PORT: u16 = 4789;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Family {
    V4,
    V6,
}
use Family::{V4, V6};

fn address(host: &Node, family: Family) -> IpAddr {
    match family {
        V4 => host.ipv4().into(),
        V6 => host.ipv6().into(),
    }
}

fn spec(host: &Node, family: Family, carrier: Carrier) -> UnderlaySpec {
    let port = (carrier == Carrier::Udp).then_some(PORT);
    UnderlaySpec { netns: Some(host.name().into()), ..UnderlaySpec::new(carrier, Ul3 { ip: address(host, family), port }) }
}

fn open(host: &Node, family: Family, carrier: Carrier) -> Underlay {
    Underlay::open(&spec(host, family, carrier)).unwrap()
}

fn outer(to: &Node, family: Family, carrier: Carrier) -> OuterHeader {
    let port = (carrier == Carrier::Udp).then_some(PORT);
    let to = Ul3 { ip: address(to, family), port };
    OuterHeader { to, source_port: 50_000, flow_label: 0x12345, tos: 0, ttl: 64, dont_fragment: true }
}

/// Sends messages: outer header, size of segments, bytes.
fn send(queue: &UnderlayQueue, messages: &[(OuterHeader, Option<u16>, &[u8])]) -> SendReport {
    // In two pieces, as header and frame are.
    let parts: Vec<_> = messages.iter().map(|(_, _, bytes)| bytes.split_at(bytes.len().min(8))).collect();
    let parts: Vec<_> = parts.iter().map(|(header, frame)| [IoSlice::new(header), IoSlice::new(frame)]).collect();
    let all =
        messages.iter().zip(&parts).map(|((outer, segment_size, _), parts)| Message { outer: *outer, segment_size: *segment_size, parts });
    let mut report = SendReport::default();
    queue.send(&all.collect::<Vec<_>>(), &mut report);
    report
}

/// `count` datagrams that come, and in how many messages they came.
fn receive(queue: &UnderlayQueue, count: usize) -> (Vec<(Vec<u8>, Arrival)>, usize) {
    // More than one call of the kernel fills.
    let mut batch = Datagrams::new(48, 66_000);
    let (mut all, mut messages) = (Vec::new(), 0);
    eventually(&format!("{count} datagrams"), || {
        messages += queue.receive(&mut batch, 48, |_, _| None).unwrap();
        all.extend(batch.items().iter().enumerate().map(|(at, item)| (batch.bytes(at as u32).to_vec(), item.meta)));
        (all.len() >= count).then_some(())
    });
    (all, messages)
}

/// Whether nothing more comes.
fn silent(queue: &UnderlayQueue) -> bool {
    std::thread::sleep(SILENCE);
    queue.receive(&mut Datagrams::new(4, 66_000), 4, |_, _| None) == Ok(0)
}

fn bytes(mark: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + mark) as u8).collect()
}

#[test]
fn batches_cross_complete_and_each_flow_in_order() {
    let Some(_turn) = turn("batches_cross_complete_and_each_flow_in_order") else { return };
    let lab = lab("batches");
    for family in [V4, V6] {
        let (one, two) = (open(lab.host(1), family, Carrier::Udp), open(lab.host(2), family, Carrier::Udp));
        let payloads: Vec<_> =
            (0..100usize).map(|number| [&(number as u32).to_be_bytes()[..], &bytes(number, 13 * number)].concat()).collect();
        let to = outer(lab.host(2), family, Carrier::Udp);
        let messages = payloads.iter().enumerate().map(|(number, payload)| {
            let source_port = 50_000 + number as u16 % 7;
            (OuterHeader { source_port, ..to }, None, &payload[..])
        });
        let report = send(&one.queue(0), &messages.collect::<Vec<_>>());
        assert_eq!((report.sent, report.lost), (100, vec![]));
        let (mut all, _) = receive(&two.queue(0), 100);
        let ports: BTreeSet<_> = all.iter().map(|(_, arrival)| arrival.from.port.unwrap()).collect();
        assert!(ports.len() == 7 && ports.iter().all(|port| *port >= 49152), "{ports:?}");
        assert!(all.iter().all(|(_, arrival)| arrival.from.ip == address(lab.host(1), family)));
        for port in ports {
            let flow: Vec<_> =
                all.iter().filter(|(_, arrival)| arrival.from.port == Some(port)).map(|(payload, _)| payload[..4].to_vec()).collect();
            assert!(flow.is_sorted(), "{port}: {flow:?}");
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        assert!(all.iter().map(|(payload, _)| payload).eq(&payloads), "{family:?}");
        assert!(silent(&two.queue(0)));
    }
}

#[test]
fn one_message_of_many_datagrams_comes_as_these_datagrams() {
    let Some(_turn) = turn("one_message_of_many_datagrams_comes_as_these_datagrams") else { return };
    for offloads in [Offloads::On, Offloads::WireLike] {
        let lab = Lab::builder("segment").offloads(offloads).build().unwrap();
        for family in [V4, V6] {
            let (one, two) = (open(lab.host(1), family, Carrier::Udp), open(lab.host(2), family, Carrier::Udp));
            let to = outer(lab.host(2), family, Carrier::Udp);
            // Five and a shorter one; then the longest that may be: 65,000 bytes, or 64 datagrams.
            let (six, many, short) = (bytes(1, 5300), bytes(2, 46 * 1413), bytes(3, 64 * 100));
            let report = send(&one.queue(0), &[(to, Some(1000), &six), (to, Some(1413), &many), (to, Some(100), &short)]);
            assert_eq!((report.sent, report.lost), (3, vec![]), "{offloads:?} {family:?}");
            let (all, messages) = receive(&two.queue(0), 6 + 46 + 64);
            let expected: Vec<_> = six.chunks(1000).chain(many.chunks(1413)).chain(short.chunks(100)).collect();
            assert!(all.iter().map(|(datagram, _)| &datagram[..]).eq(expected.iter().copied()), "{offloads:?} {family:?}");
            if offloads == Offloads::On {
                assert_eq!(messages, 3, "joined by the kernel, and split by us");
            }
            assert_eq!((two.cut(), two.overflowed()), (0, 0));
        }
    }
}

#[test]
fn the_outer_header_says_what_was_asked() {
    let Some(_turn) = turn("the_outer_header_says_what_was_asked") else { return };
    let lab = lab("header");
    let mut seen = lab.host(2).frames("ul0", "udp").unwrap();
    let header = |family, change: &dyn Fn(&mut OuterHeader)| {
        let mut header = outer(lab.host(2), family, Carrier::Udp);
        change(&mut header);
        header
    };
    let (one, two) = (open(lab.host(1), V4, Carrier::Udp), open(lab.host(2), V4, Carrier::Udp));
    let fragment = |may: bool| header(V4, &|outer| (outer.tos, outer.ttl, outer.dont_fragment) = (0xb9, 33, !may));
    // Both kinds in one batch, in both orders.
    let report =
        send(&one.queue(0), &[(fragment(false), None, b"whole"), (fragment(true), None, b"pieces"), (fragment(false), None, b"whole")]);
    assert_eq!((report.sent, report.lost), (3, vec![]));
    let (all, _) = receive(&two.queue(0), 3);
    assert!(all.iter().all(|(_, arrival)| arrival.tos == 0xb9), "{all:?}");
    for _ in 0..3 {
        let frame = seen.next(CEILING).unwrap().unwrap();
        let whole = frame[42..].starts_with(b"whole");
        assert_eq!((frame[15], frame[20] & 0x40 != 0, frame[22]), (0xb9, whole, 33));
        assert_eq!(u16::from_be_bytes([frame[36], frame[37]]), PORT);
    }
    let (one, two) = (open(lab.host(1), V6, Carrier::Udp), open(lab.host(2), V6, Carrier::Udp));
    let report = send(&one.queue(0), &[(header(V6, &|outer| (outer.tos, outer.ttl) = (0xb9, 33)), None, b"six")]);
    assert_eq!((report.sent, report.lost), (1, vec![]));
    assert_eq!(receive(&two.queue(0), 1).0[0].1.tos, 0xb9);
    let frame = seen.next(CEILING).unwrap().unwrap();
    // Version 6, traffic class b9, flow label 12345; hop limit.
    assert_eq!((&frame[14..18], frame[21]), (&[0x6b, 0x91, 0x23, 0x45][..], 33));
}

#[test]
fn source_ports_are_of_the_range_that_is_allowed() {
    let Some(_turn) = turn("source_ports_are_of_the_range_that_is_allowed") else { return };
    let lab = lab("sources");
    let two = open(lab.host(2), V4, Carrier::Udp);
    let to = outer(lab.host(2), V4, Carrier::Udp);
    let used = |source_ports: RangeInclusive<u16>| {
        let one = reopen(|| Underlay::open(&UnderlaySpec { source_ports: source_ports.clone(), ..spec(lab.host(1), V4, Carrier::Udp) }));
        let messages: Vec<_> = (0..64).map(|number| (OuterHeader { source_port: 50_000 + number, ..to }, None, &b"x"[..])).collect();
        assert_eq!(send(&one.queue(0), &messages).sent, 64);
        receive(&two.queue(0), 64).0.iter().map(|(_, arrival)| arrival.from.port.unwrap()).collect::<BTreeSet<_>>()
    };
    assert_eq!(used(60_000..=60_003), BTreeSet::from([60_000, 60_001, 60_002, 60_003]));
    assert_eq!(used(PORT..=PORT), BTreeSet::from([PORT]), "the listening socket sends, too");
    assert_eq!(used(49152..=65535).len(), 16);
    // A port that is in use makes room for the next.
    let held = lab.host(1).enter(|| UdpSocket::bind((lab.host(1).ipv4(), 60_001))).unwrap().unwrap();
    assert_eq!(used(60_000..=60_003), BTreeSet::from([60_000, 60_002, 60_003]));
    let only = UnderlaySpec { source_ports: 60_001..=60_001, ..spec(lab.host(1), V4, Carrier::Udp) };
    // Until the listening socket of the one before is closed everywhere, that is what is refused.
    let none = eventually("a refusal", || Some(Underlay::open(&only).unwrap_err()).filter(|error| !error.to_string().contains("listen")));
    assert!(none.kind() == Kind::AddressInUse && none.to_string().contains("cannot send from a port of 60001 to 60001"), "{none}");
    drop(held);
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = Underlay::open(&UnderlaySpec { source_ports: 2..=1, ..spec(lab.host(1), V4, Carrier::Udp) }).unwrap_err();
    assert_eq!(reversed.kind(), Kind::Wrong);
}

#[test]
fn what_is_too_big_for_the_link_is_said_with_the_size_that_fits() {
    let Some(_turn) = turn("what_is_too_big_for_the_link_is_said_with_the_size_that_fits") else { return };
    let lab = lab("toobig");
    for (family, carrier, fits) in [(V4, Carrier::Udp, 1472), (V6, Carrier::Udp, 1452), (V4, NVGRE, 1480), (V6, NVGRE, 1460)] {
        let (one, two) = (open(lab.host(1), family, carrier), open(lab.host(2), family, carrier));
        let whole = outer(lab.host(2), family, carrier);
        let (most, more, small) = (bytes(1, fits), bytes(2, fits + 1), bytes(3, 10));
        let report = send(&one.queue(0), &[(whole, None, &most), (whole, None, &more), (whole, None, &small)]);
        let too_big = Loss::TooBig { mtu: Some(1500) };
        assert_eq!((report.sent, report.lost), (2, vec![(1, too_big)]), "{family:?} {carrier:?}");
        assert!(receive(&two.queue(0), 2).0.iter().map(|(datagram, _)| datagram).eq([&most, &small]));
        assert_eq!(one.path_mtu(whole.to.ip), Some(1500));
        // What may be fragmented is, and comes in one piece.
        let pieces = OuterHeader { dont_fragment: false, ..whole };
        assert_eq!(send(&one.queue(0), &[(pieces, None, &more)]).lost, vec![]);
        assert_eq!(receive(&two.queue(0), 1).0[0].0, more, "{family:?} {carrier:?}");
        if carrier == Carrier::Udp {
            let three = bytes(4, 2 * fits + 100);
            let size = (fits + 1) as u16;
            assert_eq!(send(&one.queue(0), &[(whole, Some(size), &three)]).lost, vec![(0, too_big)]);
            assert_eq!(send(&one.queue(0), &[(pieces, Some(size), &three)]).lost, vec![]);
            assert!(receive(&two.queue(0), 2).0.iter().map(|(datagram, _)| &datagram[..]).eq(three.chunks(fits + 1)));
        }
        assert!(silent(&two.queue(0)));
    }
}

#[test]
fn what_a_router_says_is_too_big_is_known_with_the_size_that_fits() {
    let Some(_turn) = turn("what_a_router_says_is_too_big_is_known_with_the_size_that_fits") else { return };
    // Host 2 is a router on a stick: what host 1 sends to 10.99.3.3 goes through it to host 3, over a path for 1,300 bytes.
    let lab = Lab::builder("path").hosts(3).join(Join::Switch).build().unwrap();
    let [one, router, three] = [1, 2, 3].map(|host| lab.host(host));
    router.sysctl(&[("ipv4/ip_forward", "1"), ("ipv4/conf/all/send_redirects", "0"), ("ipv4/conf/ul0/send_redirects", "0")]).unwrap();
    ip(one, &format!("route add 10.99.3.3 via {}", router.ipv4()));
    ip(router, &format!("route add 10.99.3.3 via {} mtu lock 1300", three.ipv4()));
    ip(three, "link set lo up");
    ip(three, "address add 10.99.3.3/32 dev lo");
    let far = Ul3 { ip: "10.99.3.3".parse().unwrap(), port: Some(PORT) };
    let here = open(one, V4, Carrier::Udp);
    let there = Underlay::open(&UnderlaySpec { listen: far, ..spec(three, V4, Carrier::Udp) }).unwrap();
    let to = OuterHeader { to: far, ..outer(three, V4, Carrier::Udp) };
    let (fits, more) = (bytes(1, 1272), bytes(2, 1273));
    assert_eq!(send(&here.queue(0), &[(to, None, &fits)]).sent, 1);
    assert_eq!(receive(&there.queue(0), 1).0[0].0, fits);
    assert_eq!(here.path_mtu(far.ip), Some(1500));
    let loss = eventually("the router's word", || send(&here.queue(0), &[(to, None, &more)]).lost.pop());
    assert_eq!((loss, here.path_mtu(far.ip)), ((0, Loss::TooBig { mtu: Some(1300) }), Some(1300)));
    let segments = send(&here.queue(0), &[(to, Some(1273), &bytes(3, 3000)), (to, Some(1272), &bytes(4, 3000))]);
    assert_eq!((segments.sent, segments.lost), (1, vec![(0, Loss::TooBig { mtu: Some(1300) })]));
    receive(&there.queue(0), 3);
    // Other destinations are as they were.
    assert_eq!(here.path_mtu(router.ipv4().into()), Some(1500));
}

#[test]
fn a_listen_address_may_come_later_and_go_again() {
    let Some(_turn) = turn("a_listen_address_may_come_later_and_go_again") else { return };
    let lab = lab("later");
    let host = lab.host(1);
    for (listen, add) in [("10.77.0.1", "10.77.0.1/24 dev ul0"), ("fd00:77::1", "fd00:77::1/64 dev ul0 nodad")] {
        let listen = Ul3 { ip: listen.parse().unwrap(), port: Some(PORT) };
        let spec = UnderlaySpec { listen, ..spec(host, V4, Carrier::Udp) };
        let missing = Underlay::open(&spec).unwrap_err();
        let sentence = format!(
            "underlay {listen} in netns {}: cannot listen: EADDRNOTAVAIL: Cannot assign requested address (no link has that address yet)",
            host.name()
        );
        assert_eq!((missing.to_string(), missing.kind(), missing.is_retryable()), (sentence, Kind::AddressMissing, true));
        ip(host, &format!("address add {add}"));
        let underlay = Underlay::open(&spec).unwrap();
        assert_eq!(underlay.mtu(), Ok(1500));
        ip(host, "link set ul0 mtu 1400");
        assert_eq!(underlay.mtu(), Ok(1400));
        ip(host, "link set ul0 mtu 1500");
        ip(host, &format!("address delete {}", add.trim_end_matches(" nodad")));
        assert_eq!(underlay.mtu().unwrap_err().kind(), Kind::AddressMissing);
        ip(host, &format!("address add {add}"));
        assert_eq!(underlay.mtu(), Ok(1500));
    }
    // All addresses of both families, on one port; then a namespace that is not there, and one that is gone.
    let all = ["0.0.0.0:4789", "[::]:4789"]
        .map(|listen| reopen(|| Underlay::open(&UnderlaySpec { listen: listen.parse().unwrap(), ..spec(host, V4, Carrier::Udp) })));
    assert_eq!(all.map(|underlay| underlay.mtu()), [Ok(65_535), Ok(65_535)]);
    let gone = Underlay::open(&UnderlaySpec { netns: Some("overlayd-no-such".into()), ..spec(host, V4, Carrier::Udp) }).unwrap_err();
    assert!(gone.kind() == Kind::Namespace && gone.is_retryable() && gone.to_string().contains("ENOENT"), "{gone}");
    let underlay = reopen(|| Underlay::open(&spec(host, V4, Carrier::Udp)));
    drop(lab);
    assert_eq!(underlay.mtu().unwrap_err().kind(), Kind::Namespace);
}

#[test]
fn a_port_that_is_in_use_is_refused() {
    let Some(_turn) = turn("a_port_that_is_in_use_is_refused") else { return };
    let lab = lab("inuse");
    let host = lab.host(1);
    let refused = |spec: &UnderlaySpec| {
        let error = Underlay::open(spec).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (Kind::AddressInUse, true), "{error}");
        error.to_string()
    };
    let usual = spec(host, V4, Carrier::Udp);
    let other = host.enter(|| UdpSocket::bind((host.ipv4(), PORT))).unwrap().unwrap();
    assert!(refused(&usual).contains("cannot listen: EADDRINUSE: Address already in use"));
    drop(other);
    // Another overlayd, also if both have several queues, which share a port among themselves.
    let several = UnderlaySpec { queues: 2, ..usual.clone() };
    let first = reopen(|| Underlay::open(&several));
    refused(&usual);
    refused(&several);
    drop(first);
    // The kernel's own tunnel device.
    ip(host, "link add vx9 type vxlan id 9 dstport 4789 dev ul0");
    eventually("the port", || host.ip(&["link set vx9 up".to_owned()]).ok());
    refused(&usual);
    let wrong = Underlay::open(&UnderlaySpec { carrier: NVGRE, ..usual.clone() }).unwrap_err();
    assert!(wrong.kind() == Kind::Wrong && !wrong.is_retryable(), "{wrong}");
    let wrong = Underlay::open(&UnderlaySpec { listen: Ul3 { port: None, ..usual.listen }, ..usual }).unwrap_err();
    assert_eq!(wrong.kind(), Kind::Wrong);
}

#[test]
fn nvgre_crosses_both_ways() {
    let Some(_turn) = turn("nvgre_crosses_both_ways") else { return };
    let lab = lab("nvgre");
    for family in [V4, V6] {
        let hosts = [lab.host(1), lab.host(2)];
        let underlays = hosts.map(|host| Underlay::open(&UnderlaySpec { queues: 3, ..spec(host, family, NVGRE) }).unwrap());
        assert_eq!(underlays[0].queues(), 1, "each raw socket gets a copy of each packet");
        for (from, to) in [(0, 1), (1, 0)] {
            let header = OuterHeader { tos: 0xb9, ttl: 9, ..outer(hosts[to], family, NVGRE) };
            let payloads: Vec<_> = (0..40).map(|number| bytes(number, 8 + 30 * number)).collect();
            let messages: Vec<_> = payloads.iter().map(|payload| (header, None, &payload[..])).collect();
            let report = send(&underlays[from].queue(0), &messages);
            assert_eq!((report.sent, report.lost), (40, vec![]));
            let (all, _) = receive(&underlays[to].queue(0), 40);
            assert!(all.iter().map(|(payload, _)| payload).eq(&payloads), "{family:?}");
            let source = Ul3 { ip: address(hosts[from], family), port: None };
            assert!(all.iter().all(|(_, arrival)| (arrival.from, arrival.tos) == (source, 0xb9)), "{all:?}");
        }
        assert!(silent(&underlays[0].queue(0)));
    }
}

#[test]
fn a_datagram_without_a_checksum_is_taken() {
    let Some(_turn) = turn("a_datagram_without_a_checksum_is_taken") else { return };
    let lab = lab("nosum");
    // SO_NO_CHECK of IPv4 and UDP_NO_CHECK6_TX of IPv6.
    for (family, level, option) in [(V4, libc::SOL_SOCKET, libc::SO_NO_CHECK), (V6, libc::SOL_UDP, 101)] {
        let underlay = open(lab.host(2), family, Carrier::Udp);
        let mut seen = lab.host(2).frames("ul0", "udp").unwrap();
        let socket = lab.host(1).enter(|| UdpSocket::bind((address(lab.host(1), family), 0))).unwrap().unwrap();
        calls::set_option(&socket, level, option, 1).unwrap();
        socket.send_to(b"unchecked", (address(lab.host(2), family), PORT)).unwrap();
        assert_eq!(receive(&underlay.queue(0), 1).0[0].0, b"unchecked");
        let frame = seen.next(CEILING).unwrap().unwrap();
        assert!(frame.ends_with(b"\0\0unchecked"), "it has one: {frame:x?}");
    }
}

#[test]
fn a_full_socket_is_said_and_nobody_waits() {
    let Some(_turn) = turn("a_full_socket_is_said_and_nobody_waits") else { return };
    let lab = lab("full");
    let host = lab.host(1);
    let one = open(host, V4, Carrier::Udp);
    let to = outer(lab.host(2), V4, Carrier::Udp);
    // 40 kB/s: what is sent stays in the queue of the link.
    host.tc(&["qdisc", "add", "dev", "ul0", "root", "tbf", "rate", "320kbit", "burst", "10kb", "limit", "100mb"]).unwrap();
    let super_datagram = bytes(1, 60_000);
    let messages = vec![(to, Some(1200), &super_datagram[..]); 200];
    let start = Instant::now();
    let report = send(&one.queue(0), &messages);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(report.sent + report.lost.len(), 200);
    assert!(report.sent > 10 && report.lost.len() > 10, "{} sent", report.sent);
    assert!(report.lost.iter().all(|(_, loss)| *loss == Loss::Full), "{:?}", report.lost);
    // Those are lost that found no room, not any before them; and other flows have sockets of their own.
    assert!(report.lost.iter().map(|(at, _)| *at).eq(report.sent..200), "{:?}", report.lost);
    assert_eq!(send(&one.queue(0), &[(OuterHeader { source_port: 50_001, ..to }, None, b"x")]).sent, 1);
    host.tc(&["qdisc", "delete", "dev", "ul0", "root"]).unwrap();
    eventually("room", || (send(&one.queue(0), &[(to, None, b"x")]).sent == 1).then_some(()));
}

#[test]
fn what_the_receiver_had_no_room_for_is_counted() {
    let Some(_turn) = turn("what_the_receiver_had_no_room_for_is_counted") else { return };
    let lab = lab("overflow");
    let (one, two) = (open(lab.host(1), V4, Carrier::Udp), open(lab.host(2), V4, Carrier::Udp));
    let to = outer(lab.host(2), V4, Carrier::Udp);
    let payload = bytes(1, 1400);
    let messages = vec![(to, None, &payload[..]); 1000];
    let mut sent = 0;
    while two.overflowed() < 500 {
        sent += send(&one.queue(0), &messages).sent;
        assert!(sent < 1_000_000, "16 MiB hold no million datagrams");
    }
    let mut batch = Datagrams::new(32, 66_000);
    let mut came = 0;
    eventually("every datagram, here or in the counter", || {
        two.queue(0).receive(&mut batch, 32, |_, _| None).unwrap();
        came += batch.items().len();
        (came as u64 + two.overflowed() == sent as u64).then_some(())
    });
}

#[test]
fn flows_spread_over_queues_and_come_once() {
    let Some(_turn) = turn("flows_spread_over_queues_and_come_once") else { return };
    let lab = lab("spread");
    let several = |host| Underlay::open(&UnderlaySpec { queues: 2, ..spec(lab.host(host), V4, Carrier::Udp) }).unwrap();
    let (one, two) = (several(1), several(2));
    let to = outer(lab.host(2), V4, Carrier::Udp);
    let payloads: Vec<_> = (0..256u16).map(u16::to_be_bytes).collect();
    let messages = payloads
        .iter()
        .enumerate()
        .map(|(number, payload)| (OuterHeader { source_port: 50_000 + number as u16, ..to }, None, &payload[..]));
    let messages: Vec<_> = messages.collect();
    assert_eq!(send(&one.queue(0), &messages[..128]).sent + send(&one.queue(1), &messages[128..]).sent, 256);
    let mut batch = Datagrams::new(32, 66_000);
    let (mut all, mut counts) = (Vec::new(), [0; 2]);
    let mut ports = [BTreeSet::new(), BTreeSet::new()];
    eventually("256 datagrams", || {
        for queue in 0..2 {
            two.queue(queue).receive(&mut batch, 32, |_, _| None).unwrap();
            counts[queue] += batch.items().len();
            all.extend((0..batch.items().len()).map(|at| batch.bytes(at as u32).to_vec()));
            ports[queue].extend(batch.items().iter().map(|item| item.meta.from.port));
        }
        (all.len() >= 256).then_some(())
    });
    all.sort();
    assert!(all.iter().eq(payloads.iter()), "{counts:?}");
    assert!(counts.iter().all(|count| *count > 0) && ports[0].is_disjoint(&ports[1]), "{counts:?}");
}

#[test]
fn one_destination_that_cannot_be_reached_disturbs_no_other() {
    let Some(_turn) = turn("one_destination_that_cannot_be_reached_disturbs_no_other") else { return };
    let lab = lab("disturb");
    let one = open(lab.host(1), V4, Carrier::Udp);
    let to = outer(lab.host(2), V4, Carrier::Udp);
    let unreachable = OuterHeader { to: "192.0.2.1:4789".parse().unwrap(), ..to };
    let other_family = outer(lab.host(2), V6, Carrier::Udp);
    // Nobody listens on host 2 yet: the ICMP messages that come back are about that, and no later datagram suffers.
    for _ in 0..3 {
        let report = send(&one.queue(0), &[(to, None, b"1"), (unreachable, None, b"2"), (other_family, None, b"3"), (to, None, b"4")]);
        assert_eq!((report.sent, report.lost), (2, vec![(1, Loss::Failed(Errno::ENETUNREACH)), (2, Loss::Failed(Errno::EAFNOSUPPORT))]));
        std::thread::sleep(SILENCE / 10);
    }
    let two = open(lab.host(2), V4, Carrier::Udp);
    assert_eq!(send(&one.queue(0), &[(to, None, b"5")]).lost, vec![]);
    assert_eq!(receive(&two.queue(0), 1).0[0].0, b"5");
}

/// Takes a flow label for itself (struct in6_flowlabel_req: IPV6_FL_A_GET, IPV6_FL_S_EXCL, IPV6_FL_F_CREATE) and keeps it.
const TAKE_A_LABEL: &str = "import socket, struct, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
to = socket.inet_pton(socket.AF_INET6, 'fd00:88::2')
s.setsockopt(41, 32, to + struct.pack('!I', 0x777) + struct.pack('=BBHHHI', 0, 1, 1, 60, 60, 0))
print('taken', flush=True)
time.sleep(60)";

#[test]
fn a_stranger_with_a_flow_label_of_its_own_stops_nobody() {
    let Some(_turn) = turn("a_stranger_with_a_flow_label_of_its_own_stops_nobody") else { return };
    let lab = lab("label");
    let (one, two) = (open(lab.host(1), V6, Carrier::Udp), open(lab.host(2), V6, Carrier::Udp));
    let stranger = Namespace::spawn(lab.host(1), "python3", ["-c", TAKE_A_LABEL]).unwrap();
    stranger.wait_for_log("taken", CEILING).unwrap();
    let to = outer(lab.host(2), V6, Carrier::Udp);
    let report = send(&one.queue(0), &[(to, None, b"1"), (to, None, b"2")]);
    assert_eq!((report.sent, report.lost), (2, vec![]));
    assert!(receive(&two.queue(0), 2).0.iter().map(|(payload, _)| &payload[..]).eq([b"1", b"2"]));
}
