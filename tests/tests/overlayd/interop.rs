//! Does overlayd understand the kernel's VXLAN device, and another overlayd, bit by bit?

use crate::can_run;
use crate::daemon::{Daemon, dropped, way};
use crate::traffic::{bad_packets, connect, datagrams, pings, send};
use overlay_lab::{Family, Lab, Offloads, Overlay, Signal};
use overlay_tests::Peer;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// VNI, underlay, and what the tunnel leaves of 1500 bytes.
const OVERLAYS: [(u32, Family, u16); 2] = [(77, Family::V4, 1450), (78, Family::V6, 1430)];
/// Bytes of random data in one connection of each network, and in each other. They are compared one by one at the other end, which says
/// more than two equal hashes.
const MOST_BYTES: usize = 100_000_000;
const BYTES: usize = 5_000_000;

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Kernel,
    Overlayd,
}

/// A lab with overlayd on its first host, and perhaps on the second.
fn start(name: &str, offloads: Offloads, other: Other) -> (Lab, Vec<Daemon>) {
    let lab = OVERLAYS.into_iter().fold(Lab::builder(name).offloads(offloads), |lab, (vni, family, _)| {
        let overlay = Overlay::vxlan(vni).family(family).no_tunnel_on(1);
        lab.overlay(if other == Other::Kernel { overlay } else { overlay.no_tunnel_on(2) })
    });
    let lab = lab.build().expect("a lab comes up");
    let hosts = if other == Other::Kernel { 1..=1 } else { 1..=2 };
    let daemons = hosts.map(|host| {
        let daemon = Daemon::start(lab.host(host));
        for (vni, family, mtu) in OVERLAYS {
            daemon.overlay(&format!("ov{vni}"), vni, way(&lab, host, family), &[("mtu", &mtu.to_string())]);
            daemon.tenant(&format!("v{vni}"), &format!("ov{vni}"), lab.tenant(host, vni, 1));
        }
        daemon
    });
    let daemons = daemons.collect();
    (lab, daemons)
}

/// No stack may have seen a bad checksum, and no overlayd a frame or datagram that it could not use.
fn all_was_well(lab: &Lab, daemons: &[Daemon], before: &[BTreeMap<String, u64>]) {
    for host in 1..=2 {
        assert_eq!(bad_packets(lab.host(host)), [], "in host {host}");
        for (vni, ..) in OVERLAYS {
            assert_eq!(bad_packets(lab.tenant(host, vni, 1)), [], "in the tenant of host {host} in {vni}");
        }
    }
    assert_eq!(dropped(daemons), before);
    for daemon in daemons {
        for overlay in daemon.client.overlays().expect("overlays") {
            assert!(overlay.counters.sent > 0 && overlay.counters.delivered > 0, "{:?}", overlay.counters);
        }
    }
}

fn exchange(name: &str, offloads: Offloads, other: Other) {
    let (lab, daemons) = start(name, offloads, other);
    let before = dropped(&daemons);
    for (vni, family, mtu) in OVERLAYS {
        let (here, there) = (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1));
        pings(here, there, mtu);
        pings(there, here, mtu);
        datagrams(here, there, mtu);
        datagrams(there, here, mtu);
        for at in [IpAddr::from(there.ipv4()), there.ipv6().into()] {
            let connection = connect(here, there, at);
            let bytes = if at.is_ipv4() { MOST_BYTES } else { BYTES };
            let forth = send(&connection.client, &connection.server, bytes, vni.into());
            let back = send(&connection.server, &connection.client, BYTES, 1 << 32 | u64::from(vni));
            let rate = |bytes: usize, took: Duration| bytes as f64 * 8e-9 / took.as_secs_f64();
            let (forth, back) = (rate(bytes, forth), rate(BYTES, back));
            overlay_tests::say(&format!("{name}: {family:?} outside, to {at}: {forth:.2} and {back:.2} Gbit/s"));
        }
    }
    all_was_well(&lab, &daemons, &before);
}

#[test]
fn the_kernel_and_we_understand_each_other_over_virtual_links() {
    if can_run("the_kernel_and_we_understand_each_other_over_virtual_links") {
        exchange("ovd_kernel", Offloads::On, Other::Kernel);
    }
}

#[test]
fn the_kernel_and_we_understand_each_other_over_plain_wires() {
    if can_run("the_kernel_and_we_understand_each_other_over_plain_wires") {
        exchange("ovd_kernel_wire", Offloads::WireLike, Other::Kernel);
    }
}

#[test]
fn two_of_us_understand_each_other_over_virtual_links() {
    if can_run("two_of_us_understand_each_other_over_virtual_links") {
        exchange("ovd_ours", Offloads::On, Other::Overlayd);
    }
}

#[test]
fn two_of_us_understand_each_other_over_plain_wires() {
    if can_run("two_of_us_understand_each_other_over_plain_wires") {
        exchange("ovd_ours_wire", Offloads::WireLike, Other::Overlayd);
    }
}

#[test]
fn tagged_frames_cross_with_their_tags() {
    if !can_run("tagged_frames_cross_with_their_tags") {
        return;
    }
    let (lab, _daemons) = start("ovd_vlan", Offloads::On, Other::Kernel);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    for (from, to) in [(here, there), (there, here)] {
        pings(from, to, 1450);
        let mut heard = to.frames("t0", "vlan 10 and ether proto 0x88b5").expect("frames can be heard");
        let mac = |text: &str| text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect::<Vec<u8>>();
        // 802.1Q, id 10; an EtherType for local experiments (IEEE 802 9.2.4); a full packet.
        let mut frame = [mac(to.mac()), mac(from.mac()), vec![0x81, 0, 0, 10, 0x88, 0xb5]].concat();
        frame.extend((0..1446_u32).map(|byte| (byte % 251) as u8));
        from.send_frame("t0", &frame, 3).expect("frames can be sent");
        for _ in 0..3 {
            let came = heard.next(Duration::from_secs(10)).expect("a capture").unwrap_or_else(|| panic!("nothing came to {}", to.role()));
            assert_eq!(came, frame);
        }
    }
}

#[test]
fn tshark_finds_nothing_wrong_on_the_wire_to_the_kernel() {
    let test = "tshark_finds_nothing_wrong_on_the_wire_to_the_kernel";
    if can_run(test) {
        is_right_on_the_wire(test, "ovd_tshark", Other::Kernel);
    }
}

#[test]
fn tshark_finds_nothing_wrong_on_the_wire_between_two_of_us() {
    let test = "tshark_finds_nothing_wrong_on_the_wire_between_two_of_us";
    if can_run(test) {
        is_right_on_the_wire(test, "ovd_tshark_ours", Other::Overlayd);
    }
}

fn is_right_on_the_wire(test: &str, name: &str, other: Other) {
    let Some(tshark) = Peer::find(test, "tshark") else { return };
    let (lab, _daemons) = start(name, Offloads::WireLike, other);
    let folder = lab.host(2).folder().expect("a folder");
    let file = folder.join("wire.pcap");
    let file_name = file.display().to_string();
    let mut capture = lab.host(2).spawn("tcpdump", ["-i", "ul0", "-U", "-B", "32768", "-Z", "root", "-w", &*file_name]).expect("tcpdump");
    capture.wait_for_log("listening on", crate::daemon::CEILING).expect("it listens");
    for (vni, _, mtu) in OVERLAYS {
        let (here, there) = (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1));
        pings(here, there, mtu);
        datagrams(here, there, mtu);
        for at in [IpAddr::from(there.ipv4()), there.ipv6().into()] {
            let connection = connect(here, there, at);
            send(&connection.client, &connection.server, 500_000, 1);
            send(&connection.server, &connection.client, 500_000, 2);
        }
    }
    capture.signal(Signal::INT).expect("a signal");
    capture.wait(crate::daemon::CEILING).expect("tcpdump ends");
    let check = ["ip", "udp", "tcp"].map(|layer| format!("{layer}.check_checksum:TRUE"));
    let options = check.iter().flat_map(|check| ["-o", check]).collect::<Vec<_>>();
    let ask = |filter: &str| tshark.run(&folder, ["-n", "-r", &*file_name, "-Y", filter].iter().chain(&options)).end().stdout;
    // 0 is "bad". An expert's "error" is a malformed header or a length that does not fit.
    let wrong = "ip.checksum.status==0 || udp.checksum.status==0 || tcp.checksum.status==0 || icmp.checksum.status==0 || \
                 icmpv6.checksum.status==0 || _ws.malformed || _ws.expert.severity==0x800000";
    let found = ask(wrong);
    assert!(found.is_empty(), "{} packets, the first:\n{}", found.lines().count(), found.lines().take(10).collect::<Vec<_>>().join("\n"));
    // And it did look: there are inner checksums of all kinds, that are good.
    for right in ["vxlan && tcp.checksum.status==1", "vxlan && icmp.checksum.status==1", "vxlan && icmpv6.checksum.status==1"] {
        assert!(ask(right).lines().count() > 5, "{right} in {file_name}");
    }
}
