//! Do two networks with equal tenants ever meet?

use crate::can_run;
use crate::daemon::{Daemon, way};
use crate::traffic::{all_answered, connect, send};
use overlay_lab::{Family, Lab, Overlay, Ping, UdpLoad};
use std::time::Duration;

const VNIS: [u32; 2] = [77, 78];

fn start(name: &str, hosts: &[u16]) -> (Lab, Vec<Daemon>) {
    let overlay = |vni| hosts.iter().fold(Overlay::vxlan(vni), |overlay, &host| overlay.no_tunnel_on(host));
    let lab = VNIS.into_iter().fold(Lab::builder(name), |lab, vni| lab.overlay(overlay(vni))).build().expect("a lab comes up");
    let daemons = hosts.iter().map(|&host| {
        let daemon = Daemon::start(lab.host(host));
        for vni in VNIS {
            daemon.overlay(&format!("ov{vni}"), vni, way(&lab, host, Family::V4), &[("mtu", "1450")]);
            daemon.tenant(&format!("v{vni}"), &format!("ov{vni}"), lab.tenant(host, vni, 1));
        }
        daemon
    });
    let daemons = daemons.collect();
    (lab, daemons)
}

/// Each network says how many it is, to a peer of the same address: who hears which number?
fn each_hears_its_own(lab: &Lab) {
    let at = (lab.tenant(2, 77, 1).ipv4(), 7000).into();
    assert_eq!(lab.tenant(1, 77, 1).mac(), lab.tenant(1, 78, 1).mac());
    assert_eq!(lab.tenant(2, 77, 1).ipv4(), lab.tenant(2, 78, 1).ipv4());
    let echoes = VNIS.map(|vni| lab.tenant(2, vni, 1).udp_echo(at).expect("an echo server"));
    for (vni, count) in [(77, 101), (78, 997)] {
        // A known source port: nothing but the VNI tells one flow from the other.
        let load = UdpLoad { source_port: 7001, ..UdpLoad::new(at, count, 500) };
        let report = lab.tenant(1, vni, 1).udp_send(&load).expect("datagrams can be sent");
        assert_eq!((report.sent, report.answered), (count, count), "in {vni}");
    }
    assert_eq!(echoes.map(|echo| echo.counted()), [101, 997]);
    // Both at a time, with other bytes in each.
    let connections = VNIS.map(|vni| connect(lab.tenant(1, vni, 1), lab.tenant(2, vni, 1), lab.tenant(2, vni, 1).ipv4().into()));
    std::thread::scope(|scope| {
        for (connection, seed) in connections.iter().zip([77, 78]) {
            scope.spawn(move || send(&connection.client, &connection.server, 4_000_000, seed));
            scope.spawn(move || send(&connection.server, &connection.client, 4_000_000, seed + 10));
        }
    });
    // A broadcast, too, stays: the peer of the other network hears nothing of this one's.
    let mut other = lab.tenant(2, 78, 1).frames("t0", "icmp or arp").expect("frames can be heard");
    let ping = Ping { count: 5, wait: Duration::from_millis(300), ..Ping::default() };
    lab.tenant(1, 77, 1).ip(&["neighbour flush all".into()]).expect("neighbours can be forgotten");
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &ping).unwrap();
    while let Some(frame) = other.next(Duration::from_millis(300)).expect("a capture") {
        // The reverse check of an entry that TCP made is its own network's: only from its own kernel, and never an echo.
        assert_eq!(frame[12..14], [8, 6], "{frame:x?}");
    }
    // With its peer gone, one asks in vain; nobody of the other network answers in its place.
    lab.tenant(2, 78, 1).ip(&["link set t0 down".into()]).expect("a link can be set down");
    let report = lab.tenant(1, 78, 1).ping_with(lab.tenant(2, 78, 1).ipv4().into(), &ping).expect("ping runs");
    assert_eq!(report.answered, 0);
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &ping).unwrap();
}

#[test]
fn equal_tenants_of_two_networks_never_meet_beside_the_kernel() {
    if can_run("equal_tenants_of_two_networks_never_meet_beside_the_kernel") {
        let (lab, _daemons) = start("ovd_two_kernel", &[1]);
        each_hears_its_own(&lab);
    }
}

#[test]
fn equal_tenants_of_two_networks_never_meet_beside_ours() {
    if can_run("equal_tenants_of_two_networks_never_meet_beside_ours") {
        let (lab, _daemons) = start("ovd_two_ours", &[1, 2]);
        each_hears_its_own(&lab);
    }
}
