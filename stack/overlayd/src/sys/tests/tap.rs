//! TAPs: what survives, what is refused, what is noticed, and what a tenant's TCP hands over.

use super::{CEILING, DESCRIPTORS, SILENCE, can_run, eventually, ip, lab, reopen, shown, turn};
use crate::sys::error::Kind;
use crate::sys::tap::{LinkState, Whereabouts};
use crate::sys::{Tap, TapQueue, TapSpec, calls};
use nix::libc;
use overlay_decoder::Mac;
use overlay_engine::{Offload, SegmentKind};
use overlay_lab::Namespace;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Room for any frame.
const SPACE: usize = 70_000;

fn spec(name: &str, namespace: &Namespace) -> TapSpec {
    TapSpec { name: name.into(), mac: Mac([2, 8, 0x20, 0, 0, 1]), mtu: 1450, netns: Some(namespace.name().into()), queues: 1, stays: true }
}

/// The next frame for which `wanted` holds: the kernel's own (IPv6 neighbour discovery) pass by.
fn next(queue: &TapQueue, wanted: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Offload) {
    let mut space = vec![0; SPACE];
    eventually("a frame from the tenant", || match queue.read(&mut space).unwrap() {
        Some((len, offload)) => Some((space[TapQueue::ROOM..][..len].to_vec(), offload)).filter(|(frame, _)| wanted(frame)),
        _ => None,
    })
}

/// A frame to a stranger with an ethertype for experiments (RFC 9542 B.2).
fn frame(mark: u8) -> Vec<u8> {
    [&[2, 8, 0x20, 0, 0, 9, 2, 8, 0x20, 0, 0, 1, 0x88, 0xb5][..], &[mark; 46]].concat()
}

#[test]
fn a_vnic_survives_the_daemon_with_its_addresses_and_routes() {
    let Some(_turn) = turn("a_vnic_survives_the_daemon_with_its_addresses_and_routes") else { return };
    let lab = lab("stays");
    let host = lab.host(1);
    let spec = spec("v0", host);
    let tap = Tap::open(&spec).unwrap();
    for line in ["address add 10.99.0.1/24 dev v0", "address add fd00:99::1/64 dev v0 nodad", "route add 10.98.0.0/16 via 10.99.0.2"] {
        ip(host, line);
    }
    let home = |name: &str| {
        let (mac, whereabouts, addresses) = (spec.mac, Whereabouts::Home, None);
        LinkState { name: name.into(), mac, mtu: 1450, up: true, carrier: true, whereabouts, addresses }
    };
    let link = |tap: &Tap| LinkState { addresses: None, ..tap.link().unwrap() };
    assert_eq!(link(&tap), home("v0"));
    let facts = || {
        let routes = shown(host, &["route", "show", "via", "10.99.0.2"]).replace(" linkdown", "");
        // What changes is the carrier; the number of the interface must not.
        let link = shown(host, &["-o", "link", "show", "v0"]);
        let addresses = ["-4", "-6"].map(|family| shown(host, &[family, "-o", "address", "show", "dev", "v0", "scope", "global"]));
        (link.split(':').next().map(str::to_owned), addresses, routes)
    };
    let before = facts();
    drop(tap);
    assert_eq!(facts(), before);
    // The tenant sees a cable pulled out.
    eventually("a pulled cable", || shown(host, &["link", "show", "v0"]).contains("NO-CARRIER").then_some(()));

    // The next daemon: the same interface, carrying frames both ways.
    let tap = reopen(|| Tap::open(&spec));
    assert_eq!((link(&tap), facts()), (home("v0"), before));
    let mut seen = host.frames("v0", "ether proto 0x88b5").unwrap();
    host.send_frame("v0", &frame(7), 1).unwrap();
    assert_eq!(next(&tap.queue(0), |bytes| bytes[12..14] == [0x88, 0xb5]), (frame(7), Offload::default()));
    assert_eq!(seen.next(CEILING).unwrap(), Some(frame(7)));
    assert!(tap.queue(0).write(&[IoSlice::new(&frame(8)[..20]), IoSlice::new(&frame(8)[20..])], &Offload::default()).unwrap());
    assert_eq!(seen.next(CEILING).unwrap(), Some(frame(8)));
    drop(tap);

    // The tenant gives it another name, and sets it down; it is found all the same, and left down.
    ip(host, "link set v0 down");
    ip(host, "link set v0 name eth0");
    let tap = reopen(|| Tap::open(&TapSpec { mtu: 1400, ..spec.clone() }));
    assert_eq!(link(&tap), LinkState { up: false, carrier: false, mtu: 1400, ..home("eth0") });
    tap.remove().unwrap();
    assert_eq!(shown(host, &["-o", "link", "show", "type", "tun"]), "");
}

#[test]
fn the_addresses_of_a_vnic_are_those_that_its_tenant_may_use() {
    let Some(_turn) = turn("the_addresses_of_a_vnic_are_those_that_its_tenant_may_use") else { return };
    let lab = lab("addresses");
    let host = lab.host(1);
    let tap = Tap::open(&spec("v0", host)).unwrap();
    let global = || {
        let all = tap.link().unwrap().addresses.expect("nobody changes them meanwhile").into_iter();
        all.map(|ip| ip.to_string()).filter(|ip| !ip.starts_with("fe80:")).collect::<Vec<_>>()
    };
    assert_eq!(global(), [""; 0]);
    for line in ["10.99.0.1/24", "10.99.0.7/32", "fd00:99::1/64 nodad"] {
        ip(host, &format!("address add {} dev v0 {}", line.split(' ').next().unwrap(), line.split(' ').nth(1).unwrap_or("")));
    }
    // On a point-to-point link the peer's address is not the host's.
    ip(host, "address add 10.97.0.1 peer 10.97.0.2 dev v0");
    assert_eq!(global(), ["10.97.0.1", "10.99.0.1", "10.99.0.7", "fd00:99::1"]);
    ip(host, "address del 10.99.0.1/24 dev v0");
    assert_eq!(global(), ["10.97.0.1", "10.99.0.7", "fd00:99::1"]);
    for line in ["net.ipv6.conf.v0.accept_dad=1", "net.ipv6.conf.v0.dad_transmits=2"] {
        host.run("sysctl", ["-q", "-w", line]).unwrap();
    }
    // One that nobody has yet defended is not the tenant's: detecting duplicates takes a second.
    ip(host, "address add fd00:99::2/64 dev v0");
    assert!(!global().contains(&"fd00:99::2".to_owned()));
    eventually("the address", || global().contains(&"fd00:99::2".to_owned()).then_some(()));
    tap.remove().unwrap();
}

#[test]
fn a_vnic_that_is_not_to_stay_goes_with_the_daemon() {
    let Some(_turn) = turn("a_vnic_that_is_not_to_stay_goes_with_the_daemon") else { return };
    let lab = lab("goes");
    let host = lab.host(1);
    let passing = TapSpec { stays: false, ..spec("v0", host) };
    let is_gone = || shown(host, &["-o", "link", "show", "type", "tun"]).is_empty().then_some(());
    let tap = Tap::open(&passing).unwrap();
    assert!(tap.link().unwrap().up);
    drop(tap);
    eventually("an interface that goes", is_gone);
    // So does one that an earlier daemon left.
    drop(Tap::open(&spec("v0", host)).unwrap());
    assert_eq!(is_gone(), None);
    drop(reopen(|| Tap::open(&passing)));
    eventually("an interface that goes", is_gone);
}

#[test]
fn a_vnic_that_is_moved_works_on_and_is_opened_again_where_it_is() {
    let Some(_turn) = turn("a_vnic_that_is_moved_works_on_and_is_opened_again_where_it_is") else { return };
    let lab = lab("moved");
    let (own, tenant) = (lab.host(1), lab.host(2));
    // The daemon's own namespace is the caller's.
    let tap = own.enter(|| Tap::open(&TapSpec { netns: None, ..spec("v0", own) })).unwrap().unwrap();
    assert_eq!(tap.link().unwrap().whereabouts, Whereabouts::Home);
    ip(own, &format!("link set v0 netns {}", tenant.name()));
    ip(tenant, "link set v0 up");
    let link = tap.link().unwrap();
    assert_eq!((link.whereabouts, link.name.as_str(), link.mtu, link.up), (Whereabouts::Moved, "v0", 1450, true));
    tap.set_mtu(1300).unwrap();
    assert_eq!(tap.link().unwrap().mtu, 1300);
    tenant.send_frame("v0", &frame(1), 1).unwrap();
    next(&tap.queue(0), |bytes| bytes == frame(1));
    ip(tenant, "address add 10.99.0.1/24 dev v0");
    drop(tap);
    let tap = reopen(|| Tap::open(&spec("v0", tenant)));
    assert_eq!(tap.link().unwrap().whereabouts, Whereabouts::Home);
    assert!(shown(tenant, &["address", "show", "v0"]).contains("10.99.0.1/24"));
    // It can be removed from afar, too.
    ip(tenant, &format!("link set v0 netns {}", own.name()));
    assert_eq!(tap.link().unwrap().whereabouts, Whereabouts::Moved);
    tap.remove().unwrap();
    assert_eq!([own, tenant].map(|host| shown(host, &["-o", "link", "show", "type", "tun"])), ["", ""]);
}

#[test]
fn every_frame_comes_once_through_one_of_several_queues() {
    let Some(_turn) = turn("every_frame_comes_once_through_one_of_several_queues") else { return };
    let lab = lab("queues");
    let host = lab.host(1);
    let tap = Tap::open(&TapSpec { queues: 4, ..spec("v0", host) }).unwrap();
    ip(host, "address add 10.99.0.1/24 dev v0");
    ip(host, "neigh add 10.99.0.2 lladdr 02:08:20:00:00:02 dev v0");
    let socket = host.enter(|| UdpSocket::bind("10.99.0.1:0")).unwrap().unwrap();
    for port in 1000..1064u16 {
        socket.send_to(&port.to_be_bytes(), ("10.99.0.2", port)).unwrap();
    }
    let mut space = vec![0; SPACE];
    let (mut ports, mut used) = (Vec::new(), Vec::new());
    for number in 0..tap.queues() {
        let queue = tap.queue(number);
        let before = ports.len();
        while let Some((len, _)) = queue.read(&mut space).unwrap() {
            // Ethernet, IPv4, UDP, two bytes of payload.
            let frame = &space[TapQueue::ROOM..][..len];
            if len == 14 + 20 + 8 + 2 && frame[23] == 17 {
                ports.push(u16::from_be_bytes([frame[42], frame[43]]));
            }
        }
        used.push(ports.len() - before);
    }
    ports.sort_unstable();
    assert_eq!(ports, (1000..1064).collect::<Vec<_>>(), "by queue: {used:?}");
    assert!(used.iter().filter(|count| **count > 0).count() > 1, "{used:?}");
    drop(tap);
    // Fewer queues than it had, after a restart with fewer threads.
    reopen(|| Tap::open(&TapSpec { queues: 2, ..spec("v0", host) })).remove().unwrap();
}

/// Carries frames between two VNICs until `stop`; the largest number of bytes of each kind that one frame was to be cut into.
fn wire(one: &TapQueue, other: &TapQueue, stop: &AtomicBool) -> Vec<(SegmentKind, u16, u16, usize)> {
    let (mut space, mut cut) = (vec![0; SPACE], Vec::new());
    while !stop.load(Relaxed) {
        let mut idle = true;
        for (from, to) in [(one, other), (other, one)] {
            while let Some((len, offload)) = from.read(&mut space).unwrap() {
                idle = false;
                cut.extend(offload.segments.map(|segments| (segments.kind, segments.size, segments.header_len, len)));
                assert!(to.write(&[IoSlice::new(&space[TapQueue::ROOM..][..len])], &offload).unwrap());
            }
        }
        if idle {
            std::thread::yield_now();
        }
    }
    cut
}

#[test]
fn tcp_and_udp_of_tenants_cross_in_super_frames_and_arrive_whole() {
    let Some(_turn) = turn("tcp_and_udp_of_tenants_cross_in_super_frames_and_arrive_whole") else { return };
    let lab = lab("super");
    let taps = [1, 2].map(|host| Tap::open(&TapSpec { mac: Mac([2, 8, 0x20, 0, 0, host as u8]), ..spec("v0", lab.host(host)) }).unwrap());
    for host in [1, 2] {
        ip(lab.host(host), &format!("address add 10.99.0.{host}/24 dev v0"));
        ip(lab.host(host), &format!("address add fd00:99::{host}/64 dev v0 nodad"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let carrier = {
        let (one, two, stop) = (taps[0].queue(0), taps[1].queue(0), Arc::clone(&stop));
        std::thread::spawn(move || wire(&one, &two, &stop))
    };
    let sent: Vec<u8> = (0..4_000_000u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for address in ["10.99.0.2:7000", "[fd00:99::2]:7000"] {
        let listener = lab.host(2).enter(|| TcpListener::bind(address)).unwrap().unwrap();
        let mut client = lab.host(1).enter(|| TcpStream::connect(address)).unwrap().unwrap();
        let bytes = sent.clone();
        let sender = std::thread::spawn(move || client.write_all(&bytes).unwrap());
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        sender.join().unwrap();
        assert!(received == sent, "{address}: {} bytes came, or others", received.len());
    }
    // Three datagrams and a shorter one, cut from one send (UDP_SEGMENT).
    let receiver = lab.host(2).enter(|| UdpSocket::bind("10.99.0.2:7001")).unwrap().unwrap();
    receiver.set_read_timeout(Some(CEILING)).unwrap();
    let sender = lab.host(1).enter(|| UdpSocket::bind("10.99.0.1:0")).unwrap().unwrap();
    calls::set_option(&sender, libc::SOL_UDP, libc::UDP_SEGMENT, 1000).unwrap();
    sender.send_to(&sent[..3500], "10.99.0.2:7001").unwrap();
    let mut space = [0; 2000];
    for datagram in sent[..3500].chunks(1000) {
        let len = receiver.recv(&mut space).unwrap();
        assert_eq!(&space[..len], datagram);
    }
    stop.store(true, Relaxed);
    let cut = carrier.join().unwrap();
    // MTU 1450 less IP 20 or 40, TCP 20, timestamps 12; Ethernet 14.
    for (kind, size, header_len) in [(SegmentKind::Tcp4, 1398, 66), (SegmentKind::Tcp6, 1378, 86), (SegmentKind::Udp, 1000, 42)] {
        let largest = cut.iter().filter(|frame| (frame.0, frame.1, frame.2) == (kind, size, header_len)).map(|frame| frame.3).max();
        let enough = if kind == SegmentKind::Udp { 3542 } else { 30_000 };
        assert!(largest.is_some_and(|largest| (enough..=60_000 + 100).contains(&largest)), "{kind:?}: {largest:?} of {cut:?}");
    }
}

#[test]
fn a_name_that_is_taken_is_refused_and_nothing_changes() {
    let Some(_turn) = turn("a_name_that_is_taken_is_refused_and_nothing_changes") else { return };
    let lab = lab("taken");
    let host = lab.host(1);
    ip(host, "tuntap add alien mode tap multi_queue vnet_hdr");
    let open = |name: &str| Tap::open(&spec(name, host)).map(drop).map_err(|error| (error.kind(), error.to_string()));
    // The state follows what has happened after a while, and may change without us.
    let states = ["UP", "DOWN", "UNKNOWN", "LOWERLAYERDOWN"];
    let words = |text: String| text.split(' ').filter(|word| !states.contains(word)).map(str::to_owned).collect::<Vec<_>>();
    let links = || words(shown(host, &["-o", "link"]));
    // A child of another test has all descriptors until it becomes its program: what was refused here is there as long.
    let nothing_changed = |before: &[String]| eventually("the interfaces of before", || (links() == before).then_some(()));
    let before = links();
    let netns = host.name();
    let refusal = format!("vnic ul0 in netns {netns}: there is another interface ul0 (kind: veth); a VNIC needs a name of its own");
    assert_eq!(open("ul0"), Err((Kind::NameTaken, refusal)));
    let (kind, text) = open("alien").unwrap_err();
    assert!(kind == Kind::NameTaken && text.contains("a TAP alien that overlayd did not make"), "{text}");
    nothing_changed(&before);
    let tap = Tap::open(&spec("v0", host)).unwrap();
    let (kind, text) = open("v0").unwrap_err();
    assert!(kind == Kind::NameTaken && text.contains("v0 is in use") && text.contains("1 of its queues"), "{text}");
    // The first is not disturbed.
    host.send_frame("v0", &frame(1), 1).unwrap();
    next(&tap.queue(0), |bytes| bytes == frame(1));
    tap.remove().unwrap();
    for name in ["", "sixteen-bytes-xx"] {
        assert_eq!(open(name).unwrap_err().0, Kind::Wrong);
    }
    // What the kernel refuses leaves nothing behind.
    let wrong = Tap::open(&TapSpec { mtu: 70_000, ..spec("v1", host) }).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        format!("vnic v1 in netns {netns}: cannot have address 02:08:20:00:00:01 and MTU 70000: EINVAL: Invalid argument")
    );
    let wrong = Tap::open(&TapSpec { mac: Mac::BROADCAST, ..spec("v2", host) }).unwrap_err();
    assert!(wrong.to_string().contains("EADDRNOTAVAIL"), "{wrong}");
    nothing_changed(&before);
}

/// A namespace of its own name, removed in the end.
struct Named(String);

impl Named {
    fn new(name: &str) -> Self {
        let named = Self(format!("overlayd-{name}-{}", std::process::id()));
        named.ip("add");
        named
    }

    fn ip(&self, verb: &str) {
        let status = Command::new("ip").args(["netns", verb, &self.0]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).stderr(std::process::Stdio::null()).status();
    }
}

#[test]
fn a_namespace_that_is_gone_is_said() {
    let Some(_turn) = turn("a_namespace_that_is_gone_is_said") else { return };
    let named = Named::new("gone");
    let open = |netns: &str| {
        let mac = Mac([2, 8, 0x20, 0, 0, 1]);
        Tap::open(&TapSpec { name: "v0".into(), mac, mtu: 1450, netns: Some(netns.into()), queues: 1, stays: true })
    };
    let refused = |netns: &str| open(netns).map(drop).map_err(|error| (error.kind(), error.to_string())).unwrap_err();
    let (kind, text) = refused("overlayd-no-such");
    assert_eq!(kind, Kind::Namespace);
    assert_eq!(text, "vnic v0: netns overlayd-no-such: cannot be found at /run/netns/overlayd-no-such: ENOENT: No such file or directory");
    assert!(refused("/etc/hostname").1.ends_with("/etc/hostname is not a network namespace (yet)"), "{:?}", refused("/etc/hostname"));
    let other = refused("/proc/self/ns/uts");
    assert!(other.1.contains("cannot be entered: EINVAL"), "{other:?}");
    assert_eq!(refused("..").0, Kind::Wrong);

    let tap = open(&named.0).unwrap();
    assert_eq!(tap.link().unwrap().whereabouts, Whereabouts::Home);
    named.ip("delete");
    // The open TAP keeps the namespace alive; its name is gone.
    let link = tap.link().unwrap();
    assert!(matches!(&link.whereabouts, Whereabouts::Unnamed(why) if why.contains("ENOENT")), "{link:?}");
    named.ip("add");
    let link = tap.link().unwrap();
    assert!(matches!(&link.whereabouts, Whereabouts::Unnamed(why) if why.contains("another namespace than before")), "{link:?}");
    tap.set_mtu(1300).unwrap();
    tap.remove().unwrap();
    // A path does as well as a name.
    open(&format!("/run/netns/{}", named.0)).unwrap().remove().unwrap();
}

#[test]
fn what_a_tenant_changes_is_noticed() {
    let Some(_turn) = turn("what_a_tenant_changes_is_noticed") else { return };
    let lab = lab("noticed");
    let host = lab.host(1);
    let tap = Tap::open(&spec("v0", host)).unwrap();
    let queue = tap.queue(0);
    ip(host, "link set v0 mtu 1300 address 02:08:20:00:00:77");
    let link = tap.link().unwrap();
    assert_eq!((link.mtu, link.mac), (1300, Mac([2, 8, 0x20, 0, 0, 0x77])));
    tap.set_mtu(9000).unwrap();
    tap.set_carrier(false).unwrap();
    let link = tap.link().unwrap();
    assert_eq!((link.mtu, link.mac, link.up, link.carrier), (9000, Mac([2, 8, 0x20, 0, 0, 0x77]), true, false));
    tap.set_carrier(true).unwrap();
    assert!(tap.link().unwrap().carrier);
    let refused = tap.set_mtu(10).unwrap_err().to_string();
    assert_eq!(refused, format!("vnic v0 in netns {}: cannot have MTU 10: EINVAL: Invalid argument", host.name()));

    ip(host, "link set v0 down");
    assert!(!tap.link().unwrap().up);
    let down = queue.write(&[IoSlice::new(&frame(1))], &Offload::default()).unwrap_err();
    assert_eq!(down.raw_os_error(), Some(libc::EIO));
    ip(host, "link set v0 up");
    // No frame: too short for an Ethernet header.
    let short = queue.write(&[IoSlice::new(&[0; 13])], &Offload::default()).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidInput);

    ip(host, "link delete v0");
    let gone = tap.link().unwrap_err();
    assert!(gone.kind() == Kind::Gone && gone.to_string().contains("EBADFD"), "{gone}");
    assert_eq!(queue.read(&mut [0; 100]).unwrap_err().raw_os_error(), Some(libc::EBADFD));
    assert_eq!(tap.set_mtu(1400).unwrap_err().kind(), Kind::Gone);
    tap.remove().unwrap();
}

#[test]
fn fifty_vnics_made_and_removed_leave_nothing() {
    if !can_run("fifty_vnics_made_and_removed_leave_nothing") {
        return;
    }
    let _alone = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    let lab = lab("fifty");
    let host = lab.host(1);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let links = || shown(host, &["-o", "link"]);
    let before = (descriptors(), links());
    let start = Instant::now();
    for _ in 0..2 {
        let taps: Vec<_> = (0..50).map(|number| Tap::open(&TapSpec { queues: 2, ..spec(&format!("v{number}"), host) }).unwrap()).collect();
        assert_eq!(links().lines().count(), before.1.lines().count() + 50);
        // Refusals hold nothing either.
        assert!((0..50).all(|number| Tap::open(&spec(&format!("v{number}"), host)).is_err()));
        taps.into_iter().for_each(|tap| tap.remove().unwrap());
        assert_eq!((descriptors(), links()), before);
    }
    assert!(start.elapsed() < CEILING * 3, "{:?}", start.elapsed());
    std::thread::sleep(SILENCE);
    assert_eq!((descriptors(), links()), before);
}
