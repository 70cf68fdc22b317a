//! Does every probe fire in the real daemons, and does what they count agree with what they fire?

use crate::daemon::{CEILING, link};
use crate::host::{Host, discover, overlay, underlay};
use crate::stack::{NETWORK, Stack, VNI, bytes, frame};
use crate::traffic::{connect, send};
use crate::watch::{BY_PLUGINS, BY_STORE, Fired, PLUGINS, STORE, Seen, Watch, bpftrace};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect as reach, socket};
use overlay_api::config::StaticTarget;
use overlay_api::control::{NewOverlay, NewVnic, PingEvent, PingRequest, PingTarget, SetTarget, TargetQuery};
use overlay_decoder::Ul3;
use overlay_lab::{Family, Signal, UdpLoad, wait_until};
use overlay_probes::CATALOGUE;
use overlay_tests::workspace;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How often things happen: numbers that do not come about by chance, nor as the multiple of another one.
const ECHOES: u32 = 31;
const STRANGERS: u8 = 7;
const FOREIGN: u32 = 13;
const TOO_BIG: u32 = 5;
const PINGS: u32 = 11;
/// Bytes of an echoed frame: nothing else here is as long.
const ECHO_FRAME: u64 = 14 + 20 + 8 + ECHO;
const ECHO: u64 = 211;
/// For local experiments (RFC 5342 B.2): no proxy looks into it.
const EXPERIMENT: u16 = 0x88b5;
/// A virtual network that nobody has.
const FOREIGN_VNI: u32 = 4242;

#[test]
fn every_probe_fires_and_says_what_the_daemons_count() {
    let Some(bpftrace) = bpftrace("every_probe_fires_and_says_what_the_daemons_count") else { return };
    let mut stack = Stack::start("trc_all");
    let (client, varpd) = (stack.hosts[0].overlayd.client.clone(), stack.hosts[0].varpd.clone());
    let watch = Watch::start(&bpftrace, stack.hosts[0].overlayd.id(), &client);
    let watch_varpd = Watch::start(&bpftrace, stack.hosts[0].id(), &varpd);

    stack.join();
    echoes(&stack);
    neighbours(&stack);
    strangers(&stack);
    foreigners(&stack);
    too_big(&stack);
    mapping(&stack);
    dhcp(&stack);
    bulk(&stack);
    pinged(&stack);
    table(&stack);
    somebody_else(&stack.hosts[0]);
    answers(&mut stack);

    stack.silence();
    let counters = client.status().expect("a status").counters;
    let counters_of_ports: Vec<_> = client.vnics().expect("VNICs").into_iter().map(|vnic| vnic.counters).collect();
    let arrived = stack.hosts[1].overlayd.client.status().expect("a status").counters;
    let instance = stack.hosts[0].instance(VNI).counters;
    let memory = [stack.hosts[0].overlayd.id(), stack.hosts[0].id()].map(mapped);
    watch.be_quiet();
    overflow(&mut stack);
    let (seen, seen_varpd) = (watch.end(), watch_varpd.end());

    // What was sent by this test, to the frame.
    let mac = |host, tenant| stack.tenant(host, tenant).mac().to_owned();
    let echoed = |seen: &Seen, probe: &str, to: &str| {
        let echo = |fired: &&Fired| fired.number("len") == ECHO_FRAME && (fired.probe.name == "tx-send" || fired.text("vl2_dst") == to);
        seen.of(probe).filter(echo).count() as u32
    };
    assert_eq!([echoed(&seen, "tx-frame", &mac(2, 1)), echoed(&seen, "tx-send", ""), echoed(&seen, "decap", &mac(1, 1))], [ECHOES; 3]);
    let delivered = seen.of("rx-deliver").filter(|fired| fired.number("len") == ECHO_FRAME && fired.text("vl2") == mac(1, 1));
    assert_eq!(delivered.count() as u32, ECHOES);
    let to_strangers = |fired: &&Fired| fired.text("vl2_dst").starts_with("02:00:00:00:07:");
    assert_eq!(seen.of("lookup-start").filter(to_strangers).count(), usize::from(STRANGERS));
    let dropped = |reason: &str| seen.of("drop").filter(|fired| fired.text("reason") == reason).count() as u64;
    assert_eq!(dropped("unknown-vni"), u64::from(FOREIGN));
    assert_eq!((seen.of("too-big").count() as u32, dropped("too-big")), (TOO_BIG, u64::from(TOO_BIG)));

    let pings = |what: &str| seen.of("ping").filter(|fired| fired.text("what") == what).count() as u32;
    assert_eq!((pings("ask"), pings("pong"), counters.pings_out, counters.pings_in), (PINGS, PINGS, PINGS.into(), PINGS.into()));

    // What the daemon counts.
    let count = |name: &str| seen.of(name).count() as u64;
    let frames = |probe: &str, which: &dyn Fn(&&Fired) -> bool| {
        seen.of(probe).filter(which).map(|fired| fired.number("frame")).collect::<BTreeSet<u64>>().len() as u64
    };
    let found = [
        ("frames_in", count("tx-frame"), counters.frames_in),
        ("frames_in", seen.sum("tx-batch", "frames"), counters.frames_in),
        ("frames_in_bytes", seen.sum("tx-frame", "len"), counters.frames_in_bytes),
        ("frames_in_bytes", seen.sum("tx-batch", "bytes"), counters.frames_in_bytes),
        ("resent", count("resend"), counters.resent),
        ("sent", frames("encap", &|_| true), counters.sent),
        ("datagrams_out", count("encap"), counters.datagrams_out),
        ("datagrams_out + pings_out", count("tx-send"), counters.datagrams_out + counters.pings_out),
        ("datagrams_out_packets", seen.sum("encap", "segments"), counters.datagrams_out_packets),
        ("datagrams_out_packets + pings_out", seen.sum("tx-send", "datagrams"), counters.datagrams_out_packets + counters.pings_out),
        ("datagrams_out_packets + pings_out", seen.sum("tx-message", "datagrams"), counters.datagrams_out_packets + counters.pings_out),
        ("datagrams_in_bytes of the other host", seen.sum("tx-send", "bytes"), arrived.datagrams_in_bytes),
        ("datagrams_in_bytes of the other host", seen.sum("tx-message", "bytes"), arrived.datagrams_in_bytes),
        ("datagrams_in", count("rx-datagram"), counters.datagrams_in),
        ("datagrams_in", seen.sum("rx-batch", "datagrams"), counters.datagrams_in),
        ("datagrams_in_bytes", seen.sum("rx-datagram", "len"), counters.datagrams_in_bytes),
        ("delivered", frames("rx-deliver", &|_| true), counters.delivered),
        ("local", count("local"), counters.local),
        ("flooded", frames("flood", &|fired| fired.number("underlays") == 0), counters.flooded),
        ("made", count("inject") + seen.sum("too-big", "answered"), counters.made),
        ("lookups", count("lookup-start"), counters.lookups),
        ("late_answers", count("lookup-late"), counters.late_answers),
        ("evictions", count("target-evict"), counters.evictions),
    ];
    let wrong: Vec<_> = found.iter().filter(|(_, fired, counted)| fired != counted).collect();
    assert!(wrong.is_empty(), "(counter, fired, counted): {wrong:?}\n{counters:#?}");
    let mut drops: BTreeMap<String, u64> = BTreeMap::new();
    seen.of("drop").for_each(|fired| *drops.entry(fired.text("reason").to_owned()).or_default() += 1);
    // What a VNIC does not take fires for each VNIC, and counts there; its overlay counts it if no VNIC took it.
    let by_port = ["local-failed", "deliver-failed"].map(|reason| {
        let counted = counters_of_ports.iter().filter_map(|counters| counters.drops.get(reason)).sum::<u64>();
        (drops.remove(reason).unwrap_or(0), counted)
    });
    assert!(by_port.iter().all(|(fired, counted)| fired == counted), "{by_port:?}");
    let of_overlays = counters.drops.into_iter().filter(|(reason, _)| !["local-failed", "deliver-failed"].contains(&&**reason));
    assert_eq!(drops, of_overlays.collect());
    let asked = seen_varpd.of("lookup").filter(|fired| fired.number("vni") == u64::from(VNI)).count() as u64;
    assert_eq!(asked, instance.lookups, "{instance:?}");
    let requests: BTreeSet<u64> = seen.of("lookup-start").map(|fired| fired.number("request")).collect();
    assert!(seen_varpd.of("lookup").all(|fired| requests.contains(&fired.number("request"))), "varpd was asked what nobody asked");

    // One processor's lines may be lost, and the counts not: nothing was.
    for (seen, but) in [(&seen, &["rx-overflow", "control-call"][..]), (&seen_varpd, &["control-call"])] {
        let listed =
            |(name, count): (&&str, &u64)| (seen.of(name).count() as u64 != *count && !but.contains(name)).then(|| (*name).to_owned());
        let quiet = ["rx-datagram", "rx-batch", "drop", "worker-wake"];
        let missing: Vec<String> = seen.counts.iter().filter_map(listed).filter(|name| !quiet.contains(&&**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    all_have_fired([&seen, &seen_varpd]);
    for (seen, maps) in [&seen, &seen_varpd].into_iter().zip(&memory) {
        let addresses: Vec<_> =
            seen.fired.iter().filter(|fired| fired.numbers().any(|n| maps.iter().any(|map| map.contains(&n)))).collect();
        assert!(addresses.is_empty(), "addresses of the daemon's memory: {addresses:?}");
    }
    frame_bytes_are_those_of_the_frame(&seen);
}

/// The whole catalogue has fired, but for what only plugins of others and a mapping in etcd fire.
fn all_have_fired(seen: [&Seen; 2]) {
    let fired: BTreeSet<(&str, &str)> = ["overlay", "varpd"]
        .into_iter()
        .zip(seen)
        .flat_map(|(provider, seen)| seen.counts.iter().filter(|(_, count)| **count > 0).map(move |(name, _)| (provider, *name)))
        .collect();
    let expected = CATALOGUE.iter().map(|probe| (probe.provider, probe.name));
    let expected: BTreeSet<_> =
        expected.filter(|(provider, name)| *provider != "varpd" || !BY_PLUGINS.contains(name) && !BY_STORE.contains(name)).collect();
    let missing: Vec<_> = expected.difference(&fired).collect();
    assert!(missing.is_empty(), "never fired: {missing:?}");
    fire_the_rest(PLUGINS, &BY_PLUGINS);
    fire_the_rest(STORE, &BY_STORE);
}

/// These tests name all that is left to them.
fn fire_the_rest(tests: &str, probes: &[&str]) {
    let files = std::fs::read_dir(workspace().join(tests)).expect("tests");
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(file.expect("a file").path()).expect("a text");
    let text: String = files.map(read).collect();
    let named: Vec<&str> = probes.iter().copied().filter(|name| text.contains(name)).collect();
    assert_eq!(named, probes, "what {tests} has to fire");
}

/// Parts of one frame follow each other, and say what the other probes of the frame say.
fn frame_bytes_are_those_of_the_frame(seen: &Seen) {
    let frames: BTreeMap<u64, &Fired> = seen.of("tx-frame").chain(seen.of("decap")).map(|fired| (fired.number("frame"), fired)).collect();
    let mut parts: BTreeMap<u64, Vec<&Fired>> = BTreeMap::new();
    seen.of("frame-bytes").for_each(|part| parts.entry(part.number("frame")).or_default().push(part));
    assert!(frames.keys().all(|frame| parts.contains_key(frame)), "a frame without bytes");
    for (frame, parts) in parts {
        let len = parts[0].number("len");
        let offsets: Vec<u64> = parts.iter().map(|part| part.number("offset")).collect();
        assert_eq!(offsets, if len > 96 { vec![0, 96] } else { vec![0] }, "{parts:?}");
        // What a plugin sends has no probe of its own with both addresses.
        let Some(fired) = frames.get(&frame) else { continue };
        assert_eq!((fired.number("len"), fired.number("vni")), (len, parts[0].number("vni")), "{parts:?}");
        let direction = u64::from(fired.probe.name == "decap");
        assert_eq!(parts[0].number("direction"), direction);
        let addresses = [fired.text("vl2_dst"), fired.text("vl2_src")].concat().replace(':', "");
        assert!(parts[0].text("hex").starts_with(&addresses), "{:?} of {fired:?}", parts[0]);
    }
}

fn echoes(stack: &Stack) {
    let (here, there) = (stack.tenant(1, 1), stack.tenant(2, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let report = here.udp_send(&UdpLoad::new(echo.at(), ECHOES, ECHO as usize)).expect("datagrams");
    assert_eq!((report.answered, echo.counted()), (ECHOES, ECHOES.into()));
    assert!(here.ping(there.ipv6().into()).expect("a ping").answered > 0, "{}", stack.hosts[0].log());
}

/// On the same host: switched; and a broadcast that nobody answers, which the neighbour gets all the same.
fn neighbours(stack: &Stack) {
    let (here, there) = (stack.tenant(1, 1), stack.tenant(1, 2));
    assert!(here.ping(there.ipv4().into()).expect("a ping").all_answered());
    let flooded = || stack.hosts[0].overlayd.client.status().expect("a status").counters.flooded;
    let before = flooded();
    here.send_frame("t0", &arp(&bytes(here.mac()), here.ipv4().octets(), [10, 0, 0, 200]), 1).expect("a frame");
    // It asks whether anybody else has its address, which no proxy may answer.
    here.send_frame("t0", &arp(&bytes(here.mac()), here.ipv4().octets(), here.ipv4().octets()), 1).expect("a frame");
    stack.hosts[0].wait("the neighbour to get both", || flooded() >= before + 2);
}

/// An ARP request (RFC 826).
fn arp(from: &[u8], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let message = [&[0, 1, 8, 0, 6, 4, 0, 1], from, &sender, &[0; 6], &target].concat();
    frame(&[0xff; 6], from, 0x0806, &message, 60)
}

/// Destinations that nobody knows: each is asked for once.
fn strangers(stack: &Stack) {
    let here = stack.tenant(1, 1);
    for last in 1..=STRANGERS {
        here.send_frame("t0", &frame(&[2, 0, 0, 0, 7, last], &bytes(here.mac()), EXPERIMENT, &[], 60), 1).expect("a frame");
    }
    wait_dropped(&stack.hosts[0], "refused", STRANGERS.into());
}

fn wait_dropped(host: &Host, reason: &str, least: u64) {
    let dropped = || host.overlayd.client.status().expect("a status").counters.drops.get(reason).copied().unwrap_or(0);
    host.wait(reason, || dropped() >= least);
}

/// Datagrams for a virtual network that nobody has.
fn foreigners(stack: &Stack) {
    let to = SocketAddr::new(underlay(&stack.lab, 1, Family::V4), 4789);
    let [_, high, middle, low] = FOREIGN_VNI.to_be_bytes();
    let datagram = [&[8, 0, 0, 0, high, middle, low, 0][..], &frame(&[2; 6], &[4; 6], EXPERIMENT, &[], 60)].concat();
    let send = || -> std::io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        (0..FOREIGN).try_for_each(|_| socket.send_to(&datagram, to).map(drop))
    };
    stack.lab.host(2).enter(send).expect("a namespace").expect("datagrams");
    wait_dropped(&stack.hosts[0], "unknown-vni", FOREIGN.into());
}

/// Frames that are larger than the overlay carries.
fn too_big(stack: &Stack) {
    let (here, there) = (stack.tenant(1, 1), stack.tenant(2, 1));
    here.ip(&["link set t0 mtu 1450".into()]).expect("an MTU can be set");
    let large = frame(&bytes(there.mac()), &bytes(here.mac()), EXPERIMENT, &[], 14 + 1431);
    here.send_frame("t0", &large, TOO_BIG).expect("frames");
    wait_dropped(&stack.hosts[0], "too-big", TOO_BIG.into());
    here.ip(&["link set t0 mtu 1430".into()]).expect("an MTU can be set");
}

/// A mapping that cannot be read is refused, and mended.
fn mapping(stack: &Stack) {
    let host = &stack.hosts[0];
    host.write(VNI, "{");
    host.wait_degraded(VNI, "json");
    host.map(VNI, &stack.mapping());
    host.wait_up(VNI);
}

/// A request for an address is sent to the server that the mapping names.
fn dhcp(stack: &Stack) {
    let (client, server) = (stack.tenant(1, 1), stack.tenant(2, 1));
    let mut mapping = stack.mapping();
    mapping[client.mac()]["dhcp-proxy"] = json!(server.mac());
    stack.hosts[0].map(VNI, &mapping);
    assert_eq!(stack.hosts[0].varpd.reload(&link(&overlay(VNI))).expect("it is read").entries, Some(4));
    client.send_frame("t0", &discover(&bytes(client.mac())), 1).expect("a frame");
    stack.hosts[0].wait("the request to be sent on", || stack.hosts[0].instance(VNI).counters.resent == 1);
}

/// Super-frames: cut where they leave, joined where they arrive.
fn bulk(stack: &Stack) {
    let (here, there) = (stack.tenant(1, 1), stack.tenant(2, 1));
    let connection = connect(here, there, there.ipv4().into());
    send(&connection.client, &connection.server, 200_000, 1);
    send(&connection.server, &connection.client, 200_000, 2);
}

/// Overlayd asks the overlayd of the other host.
fn pinged(stack: &Stack) {
    let there = underlay(&stack.lab, 2, Family::V4);
    let request = PingRequest {
        to: Some(PingTarget::Ul3(Ul3 { ip: there, port: None })),
        count: PINGS,
        interval_ms: 10,
        timeout_ms: CEILING.as_millis() as u32,
        search: false,
        ..PingRequest::default()
    };
    let events: Vec<_> = stack.hosts[0].overlayd.client.ping(&link(&overlay(VNI)), &request).expect("a ping").collect();
    let answered = events.iter().filter(|event| matches!(event, Ok(PingEvent::Answer { .. }))).count();
    assert_eq!(answered, PINGS as usize, "{events:?}");
}

/// Another overlay, with an underlay of its own, whose table is made too small: some entries go, and those set by hand cannot.
fn table(stack: &Stack) {
    let host = &stack.hosts[0];
    let listen = underlay(&stack.lab, 1, Family::V4).to_string();
    let config = host.file(VNI).display().to_string();
    let properties = [("vxlan/listen_ip", &*listen), ("vxlan/listen_port", "4799"), ("files/config", &*config), ("mtu", "1400")];
    let client = &host.overlayd.client;
    client
        .create_overlay(&NewOverlay {
            name: link("ov78"),
            encapsulation: "vxlan".parse().expect("a module"),
            search: "files".parse().expect("a module"),
            vnetid: "78".parse().expect("a VNI"),
            properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            temporary: true,
        })
        .expect("an overlay");
    let mac = [2, 0, 0, 0, 78, 1];
    let vnic = NewVnic {
        name: link("v78"),
        overlay: link("ov78"),
        mac: Some("02:00:00:00:4e:01".parse().expect("a MAC")),
        mtu: None,
        namespace: None,
        temporary: true,
    };
    client.create_vnic(&vnic).expect("a VNIC");
    let inside = stack.lab.host(1);
    inside.ip(&["link set v78 addrgenmode none".into(), "link set v78 up".into()]).expect("a link can be set up");
    let entries = || client.targets(&link("ov78"), &TargetQuery::default()).expect("a table").rows.len();
    for last in 1..=5 {
        // The VNIC's state is looked at once a second; until it is up, frames go nowhere.
        let sent = || inside.send_frame("v78", &frame(&[2, 0, 0, 0, 8, last], &mac, EXPERIMENT, &[], 60), 1).is_ok();
        host.wait("an entry", || sent() && entries() >= last.into());
    }
    let evictions = || client.overlay(&link("ov78")).expect("an overlay").counters.evictions;
    host.overlayd.set("ov78", "target/max", "2").expect("a size");
    host.wait("three to go", || evictions() >= 3);
    let reach = SetTarget { to: StaticTarget::Reach(vec![format!("{listen}:4789").parse().expect("a UL3")]) };
    for last in 1..=3 {
        client.set_target(&link("ov78"), format!("02:00:00:00:09:0{last}").parse().expect("a MAC"), &reach).expect("a target");
    }
    host.overlayd.set("ov78", "mtu", "1410").expect("an MTU");
    client.delete_vnic(&link("v78")).expect("it goes");
    client.delete_overlay(&link("ov78")).expect("it goes");
    // What varpd is told of it comes a little later.
    host.wait("the instance to go", || host.varpd.instance(&link("ov78")).is_err());
}

/// Who is no varpd is not let in.
fn somebody_else(host: &Host) {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    let address = UnixAddr::new(&host.overlayd.paths.lookup_socket()).expect("an address");
    reach(fd.as_raw_fd(), &address).expect("a connection");
    let mut stream = UnixStream::from(fd);
    stream.write_all(b"good day").expect("overlayd reads");
    stream.set_read_timeout(Some(CEILING)).expect("a timeout");
    let mut said = [0; 1024];
    assert!(stream.read(&mut said).expect("a refusal") > 0);
}

/// Answers that come too late, or not at all.
fn answers(stack: &mut Stack) {
    let (host, name) = (&mut stack.hosts[0], link(&overlay(VNI)));
    let client = host.overlayd.client.clone();
    let here = stack.lab.tenant(1, VNI, 1);
    let ask = |last: u8| {
        here.send_frame("t0", &frame(&[2, 0, 0, 0, 9, last], &bytes(here.mac()), EXPERIMENT, &[], 60), 1).expect("a frame");
    };
    // It is asked for, forgotten, and then answered.
    host.signal(Signal::STOP);
    ask(1);
    let late = "02:00:00:00:09:01".parse().expect("a MAC");
    host.wait("the question", || client.targets(&name, &TargetQuery::default()).expect("a table").rows.iter().any(|row| row.mac == late));
    client.remove_target(&name, late).expect("it is there");
    host.signal(Signal::CONT);
    host.wait("an answer that nobody waits for", || client.status().expect("a status").answerer.late_answers >= 1);
    // It is asked for, and varpd does not come back in time.
    host.signal(Signal::STOP);
    ask(2);
    host.wait("varpd to be given up", || !client.status().expect("a status").answerer.attached);
    wait_dropped(host, "lookup-timeout", 1);
    host.signal(Signal::CONT);
    host.wait("varpd to be back", || client.status().expect("a status").answerer.attached);
    host.wait_up(NETWORK.0);
}

/// More datagrams than a socket has room for, while nobody reads.
fn overflow(stack: &mut Stack) {
    let to = SocketAddr::new(underlay(&stack.lab, 1, Family::V4), 4789);
    let datagram = [8; 1400];
    stack.hosts[0].overlayd.signal(Signal::STOP);
    let lab = &stack.lab;
    let send = || -> std::io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // The sockets have 16 MiB of room, which the kernel doubles for what it needs itself.
        (0..30_000).try_for_each(|_| socket.send_to(&datagram, to).map(drop))
    };
    let sent = lab.host(2).enter(send).expect("a namespace");
    stack.hosts[0].overlayd.signal(Signal::CONT);
    sent.expect("datagrams");
    let host = &stack.hosts[0];
    wait_until("the loss to be told", CEILING, || host.overlayd.log().contains("came faster than they were read"))
        .unwrap_or_else(|error| panic!("{error}\n{}", host.overlayd.log()));
    // So that the last of them are counted, too.
    std::thread::sleep(Duration::from_millis(200));
}

/// The memory of a process (proc_pid_maps(5)).
fn mapped(process: u32) -> Vec<std::ops::Range<u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("a process");
    let range = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        Some(u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?)
    };
    let maps: Vec<_> = maps.lines().filter_map(range).collect();
    assert!(maps.len() > 10, "{maps:?}");
    maps
}
