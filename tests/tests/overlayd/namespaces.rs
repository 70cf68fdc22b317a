//! Where are underlay, VNICs and control? Each may be in a network namespace of its own.
//!
//! ```text
//!  h1v79t1                    h1                                    h2
//!  overlayd ── opens there ── ul0 10.88.0.1 ────────── 10.88.0.2 ul0 ── the kernel's VXLAN
//!   │                                                                  │
//!  t0 10.0.0.1  h1v77t1                                               t0 10.0.0.2  h2v77t1
//!  t0 10.0.0.1  h1v78t1                                               t0 10.0.0.2  h2v78t1
//! ```
//!
//! The calls come from the test's own namespace, a fifth one.

use crate::can_run;
use crate::daemon::{Daemon, link, way};
use crate::traffic::{all_answered, bad_packets, connect, datagrams, pings, send};
use overlay_api::DropReason;
use overlay_api::control::OverlayState;
use overlay_lab::{Family, Lab, Overlay, Ping, UdpLoad};
use std::process::Command;

/// The port of VXLAN as /proc/net/udp has it.
const PORT: &str = ":12B5 ";

/// A lab with overlayd in a namespace that has nothing but it.
fn start(name: &str) -> (Lab, Daemon) {
    let overlays = [77, 78, 79].map(|vni| Overlay::vxlan(vni).no_tunnel_on(1));
    let lab = overlays.into_iter().fold(Lab::builder(name), overlay_lab::Builder::overlay).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.tenant(1, 79, 1));
    (lab, daemon)
}

/// State of an overlay and the reason for it.
fn state(daemon: &Daemon, name: &str) -> (OverlayState, String) {
    let overlay = daemon.client.overlay(&link(name)).expect("an overlay");
    (overlay.state, overlay.reason.unwrap_or_default())
}

#[test]
fn underlay_vnics_and_control_are_in_four_namespaces() {
    if !can_run("underlay_vnics_and_control_are_in_four_namespaces") {
        return;
    }
    let (lab, mut daemon) = start("ovd_four");
    let underlay = [("underlay/namespace", lab.host(1).name()), ("mtu", "1450")];
    for vni in [77, 78] {
        daemon.overlay(&format!("ov{vni}"), vni, way(&lab, 1, Family::V4), &underlay);
        daemon.tenant(&format!("v{vni}"), &format!("ov{vni}"), lab.tenant(1, vni, 1));
    }
    let listens = |node: &overlay_lab::Namespace| {
        node.enter(|| std::fs::read_to_string("/proc/thread-self/net/udp").unwrap_or_default().contains(PORT)).expect("a namespace")
    };
    assert_eq!((listens(lab.host(1)), listens(lab.tenant(1, 79, 1))), (true, false));
    for round in ["new", "started again"] {
        for vni in [77, 78] {
            let (here, there) = (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1));
            pings(here, there, 1450);
            datagrams(there, here, 1450);
            let connection = connect(here, there, there.ipv4().into());
            send(&connection.client, &connection.server, 2_000_000, vni.into());
            send(&connection.server, &connection.client, 2_000_000, u64::from(vni) + 10);
            assert_eq!(bad_packets(here), [], "{round}");
            let counters = daemon.client.overlay(&link(&format!("ov{vni}"))).expect("an overlay").counters;
            // The peer's stack announces its groups, maybe before there is a VNIC to take that.
            let lost = counters.drops.keys().filter(|reason| **reason != DropReason::NoPort.name()).count();
            assert!(lost == 0 && counters.delivered > 0, "{round}: {counters:?}");
        }
        if round == "new" {
            daemon.end();
            daemon.start_again();
            daemon.wait("the underlay", || state(&daemon, "ov77").0 == OverlayState::Up);
        }
    }
}

/// A namespace beside the lab's; dropping it removes it.
struct Other(String);

impl Other {
    fn ip(arguments: &[&str]) {
        let done = Command::new("ip").args(arguments).output().expect("ip runs");
        assert!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// With an interface that has this address.
    fn make(&self, address: &str) {
        Self::ip(&["netns", "add", &self.0]);
        Self::ip(&["-n", &self.0, "link", "add", "ul0", "type", "veth", "peer", "name", "ul1"]);
        Self::ip(&["-n", &self.0, "link", "set", "ul1", "up"]);
        Self::ip(&["-n", &self.0, "address", "add", &format!("{address}/24"), "dev", "ul0"]);
        Self::ip(&["-n", &self.0, "link", "set", "ul0", "up"]);
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).output();
    }
}

#[test]
fn a_namespace_comes_and_goes_under_an_overlay() {
    if !can_run("a_namespace_comes_and_goes_under_an_overlay") {
        return;
    }
    let (lab, daemon) = start("ovd_comes");
    let other = Other(format!("ovd-comes-{}", std::process::id()));
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let way = way(&lab, 1, Family::V4);
    daemon.overlay("ov77", 77, way, &[("underlay/namespace", lab.host(1).name()), ("mtu", "1450")]);
    daemon.tenant("v77", "ov77", here);
    pings(here, there, 1450);
    // The same network at the same address, in a namespace that is not there.
    daemon.overlay("away", 77, way, &[("underlay/namespace", &other.0)]);
    let (down, reason) = state(&daemon, "away");
    assert!(down == OverlayState::Down && reason.contains(&other.0) && reason.contains("cannot be found"), "{down}: {reason}");
    for _ in 0..2 {
        other.make(&way.0.to_string());
        daemon.wait("the namespace that came", || state(&daemon, "away").0 == OverlayState::Up);
        Other::ip(&["netns", "delete", &other.0]);
        daemon.wait("the namespace that went", || state(&daemon, "away").0 == OverlayState::Down);
        assert!(state(&daemon, "away").1.contains(&other.0), "{:?}", state(&daemon, "away"));
    }
    // A path is as good as a name, and a refusal changes nothing.
    let refused = daemon.set("away", "underlay/namespace", "a/b").expect_err("it is refused");
    assert!(refused.contains("underlay/namespace") && refused.contains("absolute path"), "{refused}");
    let refused = daemon.set("away", "underlay/namespace", lab.host(1).name()).expect_err("the network is there already");
    assert!(refused.contains("77") && refused.contains("ov77"), "{refused}");
    other.make(&way.0.to_string());
    assert_eq!(daemon.set("away", "underlay/namespace", &format!("/run/netns/{}", other.0)), Ok(()));
    daemon.wait("the path", || state(&daemon, "away").0 == OverlayState::Up);
    // All the while the other one worked, and it moves while it runs.
    pings(here, there, 1450);
    assert_eq!(daemon.set("ov77", "vnetid", "80"), Ok(()));
    assert_eq!(daemon.set("ov77", "underlay/namespace", &other.0), Ok(()));
    daemon.wait("the other place", || state(&daemon, "ov77").0 == OverlayState::Up);
    assert_eq!(daemon.set("ov77", "underlay/namespace", lab.host(1).name()), Ok(()));
    assert_eq!(daemon.set("ov77", "vnetid", "77"), Ok(()));
    daemon.wait("the place before", || state(&daemon, "ov77").0 == OverlayState::Up);
    all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();
}

#[test]
fn a_checksum_that_nobody_finished_is_believed_or_not() {
    if !can_run("a_checksum_that_nobody_finished_is_believed_or_not") {
        return;
    }
    // veth with all offloads: the peer's kernel leaves inner checksums of UDP and TCP to hardware that is not there.
    let (lab, daemon) = start("ovd_trust");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let own = [("underlay/namespace", lab.host(1).name()), ("underlay/trust_partial_checksum", "off"), ("mtu", "1450")];
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &own);
    daemon.tenant("v77", "ov77", here);
    let dropped = || daemon.client.overlay(&link("ov77")).expect("an overlay").counters.dropped(DropReason::PartialChecksum);
    let echo = here.udp_echo((here.ipv4(), 0).into()).expect("an echo server");
    let load = UdpLoad::new(echo.at(), 20, 500);
    // ICMP is never left to hardware.
    all_answered(there, here.ipv4().into(), &Ping::default()).unwrap();
    assert_eq!(dropped(), 0);
    let report = there.udp_send(&load).expect("datagrams can be sent");
    assert_eq!((report.sent, report.answered, echo.counted()), (20, 0, 0));
    assert_eq!(dropped(), 20);
    assert_eq!(daemon.set("ov77", "underlay/trust_partial_checksum", "on"), Ok(()));
    let report = there.udp_send(&load).expect("datagrams can be sent");
    assert_eq!((report.answered, dropped()), (20, 20));
    assert_eq!(bad_packets(here), []);
}
