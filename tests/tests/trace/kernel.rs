//! Do the scripts for hosts without the suite count what the kernel's own tunnels do? Two hosts with the kernel's VXLAN, exactly.

use crate::trace::{Told, Trace, can_trace};
use overlay_lab::{Join, Lab, Overlay};
use std::net::UdpSocket;

const VNI: u32 = 77;
/// How often things happen: numbers that do not come about by chance.
/// No other test sends it: sent packets are counted in all namespaces.
const UNKNOWN_VNI: u32 = 9241;
const UNKNOWN: u32 = 17;
const INVALID: u32 = 13;
const CARRIED: u32 = 19;
/// Fewer than the kernel answers in a burst (`icmp_ratelimit`: 6).
const CLOSED: u32 = 5;
const FULL: u32 = 11;

/// Sends datagrams from one host of the lab to another one.
fn send(lab: &Lab, datagram: &[u8], port: u16, count: u32) {
    let to = (lab.host(1).ipv4(), port);
    let send = || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for _ in 0..count {
            socket.send_to(datagram, to).expect("a datagram can be sent");
        }
    };
    lab.host(2).enter(send).expect("a namespace");
}

/// A VXLAN datagram with an inner frame from nobody to nobody.
fn vxlan(flags: u8, vni: u32) -> Vec<u8> {
    let inner = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5][..], &[0; 46]].concat();
    [&[flags, 0, 0, 0][..], &vni.to_be_bytes()[1..], &[0], &inner].concat()
}

/// The number that the kernel gives the namespace of a host.
fn number(lab: &Lab, host: u16) -> String {
    let link = lab.host(host).enter(|| std::fs::read_link("/proc/thread-self/ns/net")).expect("a namespace").expect("a link");
    link.to_string_lossy().trim_start_matches("net:[").trim_end_matches(']').to_owned()
}

#[test]
fn what_the_kernels_tunnels_drop_carry_and_refuse_is_counted() {
    if !can_trace("what_the_kernels_tunnels_drop_carry_and_refuse_is_counted") {
        return;
    }
    let lab = Lab::builder("trc_kernel").hosts(2).join(Join::Direct).overlay(Overlay::vxlan(VNI)).build().expect("a lab comes up");
    let names = ["kernel-drops", "kernel-talkers", "kernel-sizes", "kernel-errors"];
    let mut traces = names.map(|name| Trace::ask([name]));
    traces.iter_mut().for_each(Trace::attached);

    send(&lab, &vxlan(8, UNKNOWN_VNI), 4789, UNKNOWN);
    send(&lab, &vxlan(0, VNI), 4789, INVALID);
    let (here, there) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1));
    let ping = overlay_lab::Ping { count: CARRIED, ..overlay_lab::Ping::default() };
    let report = here.ping_with(there.ipv4().into(), &ping).expect("pings");
    assert!(report.all_answered(), "{report:?}");
    // Nobody listens to the other tunnels' ports.
    send(&lab, &[0; 20], 6081, CLOSED);
    // As long as the card takes, and in two fragments each.
    let mtu = 1500;
    send(&lab, &vec![0; mtu], 9, FULL);
    let [drops, talkers, sizes, errors]: [Told; 4] = traces.map(Trace::end);

    let [ns1, ns2] = [1, 2].map(|host| number(&lab, host));
    let of = |name: &str| -> Vec<(String, u64)> {
        let all = drops.map("@tunnel").into_iter();
        all.filter(|(key, _)| key.starts_with(name) && key.ends_with(&*ns1)).map(|(key, count)| (key.to_owned(), count)).collect()
    };
    assert!(matches!(&of("VXLAN_VNI_NOT_FOUND")[..], [(_, count)] if *count == u64::from(UNKNOWN)), "{drops:?}");
    assert!(matches!(&of("VXLAN_INVALID_HDR")[..], [(_, count)] if *count == u64::from(INVALID)), "{drops:?}");

    // Requests and answers pass one card each way; ARP and ND of the tenants go the same way.
    let (one, two) = (lab.host(1).ipv4(), lab.host(2).ipv4());
    for (from, to) in [(one, two), (two, one)] {
        let way = format!(",{VNI},{from},{to}");
        let carried: u64 = talkers.map("@packets").into_iter().filter(|(key, _)| key.ends_with(&*way)).map(|(_, count)| count).sum();
        assert!(carried >= CARRIED.into(), "{way}: {talkers:?}");
    }
    let foreign: u64 =
        talkers.map("@packets").into_iter().filter(|(key, _)| key.contains(&format!(",{UNKNOWN_VNI},"))).map(|(_, count)| count).sum();
    assert_eq!(foreign, u64::from(UNKNOWN), "{talkers:?}");

    let fragments: u64 = sizes.map("@fragments").into_iter().filter(|(key, _)| key.ends_with(&*ns2)).map(|(_, count)| count).sum();
    assert_eq!(fragments, u64::from(FULL) * 2, "{sizes:?}");
    let closed: Vec<_> =
        errors.map("@icmp_errors").into_iter().filter(|(key, _)| key.starts_with("3,3,") && key.ends_with(",6081")).collect();
    assert!(closed.iter().map(|(_, count)| *count).sum::<u64>() >= u64::from(CLOSED), "{errors:?}");
}
