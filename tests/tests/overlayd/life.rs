//! What survives overlayd's end, and what does overlayd survive?

use crate::can_run;
use crate::daemon::{CEILING, Daemon, link, new_vnic, way};
use crate::traffic::{all_answered, connect, send};
use overlay_api::control::{OverlayState, VnicState};
use overlay_lab::{Family, Lab, Namespace, Overlay, Ping, wait_until};
use overlay_tests::Run;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A lab with overlayd on host 1, with the kernel at the other end.
fn start(name: &str) -> (Lab, Daemon) {
    let lab = Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    (lab, daemon)
}

fn is_reached(lab: &Lab) -> bool {
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &Ping::default()).is_ok()
}

/// Names of the interfaces of a namespace.
pub(crate) fn interfaces(namespace: &Namespace) -> BTreeSet<String> {
    let lines = namespace.run("ip", ["-o", "link", "show"]).expect("ip runs");
    // `t0@if5` is the end `t0` of a pair.
    lines.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next()).map(str::to_owned).collect()
}

/// Interface, addresses and routes of a tenant, without the flags of its carrier, which is ours.
fn belongings(tenant: &Namespace) -> String {
    let ip = |arguments: &[&str]| tenant.run("ip", arguments).expect("ip runs");
    let link = ip(&["-o", "link", "show", "t0"]);
    let words: Vec<&str> = link.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|at| *at == word).and_then(|at| words.get(at + 1).copied());
    let link = format!("{:?} mtu {:?} mac {:?}", words.first().zip(words.get(1)), after("mtu"), after("link/ether"));
    let routes = ip(&["route"]) + &ip(&["-6", "route"]);
    let routes: Vec<String> = routes.lines().map(|line| line.replace(" linkdown", "").trim_end().to_owned()).collect();
    let addresses = ip(&["-o", "address", "show", "t0"]);
    let addresses: Vec<String> =
        addresses.lines().map(|line| line.split_whitespace().skip(1).take(3).collect::<Vec<_>>().join(" ")).collect();
    format!("{link}\n{}\n{}", addresses.join("\n"), routes.join("\n"))
}

/// Descriptors that a process has open.
pub(crate) fn descriptors(process: u32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).expect("a process that runs");
    entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
}

#[test]
fn a_tenant_hardly_notices_that_overlayd_was_killed() {
    if !can_run("a_tenant_hardly_notices_that_overlayd_was_killed") {
        return;
    }
    let (lab, mut daemon) = start("ovd_kill");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    daemon.tenant("v77", "ov77", here);
    here.ip(&[format!("route add 10.99.0.0/16 via {}", there.ipv4())]).expect("a route");
    let vnic = daemon.vnic("v77");
    let before = belongings(here);
    assert!(before.contains("10.99.0.0/16") && before.contains(here.mac()) && before.contains("Some(\"1450\")"), "{before}");
    let connection = connect(here, there, there.ipv4().into());
    send(&connection.client, &connection.server, 1_000_000, 1);
    for round in 0..2 {
        if round == 0 {
            daemon.kill();
        } else {
            daemon.end();
        }
        assert_eq!(belongings(here), before, "while it is away");
        // On its way while nobody carries it.
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| send(&connection.client, &connection.server, 1_000_000, 2 + round));
            daemon.start_again();
            sending.join().expect("no panic");
        });
        send(&connection.server, &connection.client, 1_000_000, 9);
        assert_eq!(belongings(here), before);
        let now = daemon.vnic("v77");
        assert_eq!((&now.mac, now.mtu, &now.namespace, now.state), (&vnic.mac, vnic.mtu, &vnic.namespace, VnicState::Up));
        assert_eq!(daemon.client.overlay(&link("ov77")).expect("an overlay").state, OverlayState::Up);
    }
}

#[test]
fn a_torn_state_file_is_set_aside_and_the_daemon_starts() {
    if !can_run("a_torn_state_file_is_set_aside_and_the_daemon_starts") {
        return;
    }
    let (lab, mut daemon) = start("ovd_torn");
    daemon.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    daemon.kill();
    let file = daemon.paths.state().join("overlayd.json");
    let whole = std::fs::read(&file).expect("a state file");
    let torn = &whole[..whole.len() / 2];
    std::fs::write(&file, torn).expect("a state file can be torn");
    daemon.start_again();
    assert_eq!(daemon.client.overlays().expect("overlays"), []);
    let aside = || {
        let files = std::fs::read_dir(daemon.paths.state()).expect("a folder").filter_map(|entry| Some(entry.ok()?.path()));
        files.filter(|path| *path != file).filter(|path| std::fs::read(path).is_ok_and(|bytes| bytes == torn)).collect::<Vec<_>>()
    };
    assert_eq!(aside().len(), 1, "{}", daemon.log());
    let name = overlay_tests::name(&aside()[0]);
    assert!(daemon.log().contains(&name), "{name} is not in {}", daemon.log());
    // What was made before is there to be made again, with the tenant's addresses still on its interface.
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    daemon.client.create_vnic(&new_vnic("v77", "ov77", lab.tenant(1, 77, 1))).expect("the interface is taken up again");
    assert!(is_reached(&lab), "{}", daemon.log());
}

#[test]
fn a_listen_address_may_come_later() {
    if !can_run("a_listen_address_may_come_later") {
        return;
    }
    let lab = Lab::builder("ovd_later").overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    let overlay = daemon.overlay("ov77", 77, ("10.88.0.99".parse().expect("an address"), lab.host(2).ipv4().into()), &[("mtu", "1450")]);
    let reason = overlay.reason.expect("a reason");
    assert!(overlay.state == OverlayState::Down && reason.contains("10.88.0.99"), "{}: {reason}", overlay.state);
    daemon.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    lab.host(1).ip(&["address add 10.88.0.99/24 dev ul0".into()]).expect("an address");
    daemon.wait("the overlay", || daemon.client.overlay(&link("ov77")).is_ok_and(|overlay| overlay.state == OverlayState::Up));
    assert!(is_reached(&lab), "{}", daemon.log());
}

#[test]
fn a_name_that_is_taken_is_refused_and_nothing_changes() {
    if !can_run("a_name_that_is_taken_is_refused_and_nothing_changes") {
        return;
    }
    let (lab, daemon) = start("ovd_taken");
    let here = lab.tenant(1, 77, 1);
    here.ip(&["link add v77 type veth peer name other0".into(), "tuntap add dev v78 mode tap".into()]).expect("interfaces of others");
    let before = here.run("ip", ["-d", "link", "show"]).expect("ip runs");
    for name in ["v77", "v78"] {
        let refused = daemon.client.create_vnic(&new_vnic(name, "ov77", here)).expect_err("it is refused").to_string();
        assert!(refused.contains(name) && refused.contains("name of its own"), "{refused}");
    }
    let taken = daemon.client.create_vnic(&new_vnic("ov77", "ov77", here)).expect_err("it is refused").to_string();
    assert!(taken.contains("ov77") && taken.contains("overlay"), "{taken}");
    assert_eq!(here.run("ip", ["-d", "link", "show"]).expect("ip runs"), before);
    assert_eq!(daemon.client.vnics().expect("VNICs"), []);
    assert_eq!(daemon.client.overlay(&link("ov77")).expect("an overlay").vnics, 0);
    // And then it is not taken any more.
    here.ip(&["link del v77".into()]).expect("a link can be deleted");
    daemon.tenant("v77", "ov77", here);
    assert!(is_reached(&lab));
}

#[test]
fn an_interface_deleted_under_a_vnic_comes_back() {
    if !can_run("an_interface_deleted_under_a_vnic_comes_back") {
        return;
    }
    let (lab, daemon) = start("ovd_deleted");
    let here = lab.tenant(1, 77, 1);
    daemon.tenant("v77", "ov77", here);
    here.ip(&["link del t0".into()]).expect("a link can be deleted");
    daemon.wait("the interface", || interfaces(here).contains("v77") && daemon.vnic("v77").state == VnicState::Up);
    here.configure("v77").expect("it can be configured");
    assert!(is_reached(&lab), "{}", daemon.log());
}

#[test]
fn a_namespace_deleted_under_a_vnic_harms_no_other() {
    if !can_run("a_namespace_deleted_under_a_vnic_harms_no_other") {
        return;
    }
    let (lab, mut daemon) = start("ovd_netns");
    daemon.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    let other = Other::make(&format!("ovd-other-{}", std::process::id()));
    let new = overlay_api::control::NewVnic { mac: None, namespace: other.0.parse().ok(), ..new_vnic("v78", "ov77", lab.tenant(1, 77, 1)) };
    daemon.client.create_vnic(&new).expect("a VNIC");
    other.delete();
    assert!(is_reached(&lab), "{}", daemon.log());
    // Nobody can make a VNIC where there is no namespace.
    let refused =
        daemon.client.create_vnic(&overlay_api::control::NewVnic { name: link("v79"), ..new }).expect_err("it is refused").to_string();
    assert!(refused.contains(&other.0) && refused.contains("netns"), "{refused}");
    // What was made there waits for it.
    daemon.end();
    daemon.start_again();
    let failed = daemon.vnic("v78");
    assert!(failed.state == VnicState::Failed && failed.reason.as_ref().is_some_and(|reason| reason.contains(&other.0)), "{failed:?}");
    assert!(is_reached(&lab), "{}", daemon.log());
    let other = Other::make(&other.0);
    daemon.wait("the VNIC", || daemon.vnic("v78").state == VnicState::Up);
    let now = daemon.vnic("v78");
    assert_eq!((now.mac, now.mtu), (failed.mac, failed.mtu));
    other.delete();
    daemon.client.delete_vnic(&link("v78")).expect("a VNIC can be deleted without its namespace");
    assert_eq!(daemon.client.vnics().expect("VNICs").len(), 1);
    assert!(is_reached(&lab), "{}", daemon.log());
}

/// A namespace that is no part of a lab; dropping it deletes it.
struct Other(String);

impl Other {
    fn make(name: &str) -> Self {
        let _ = Run::new("ip").args(["netns", "add", name]).end().good();
        Self(name.to_owned())
    }

    fn delete(&self) {
        let _ = Run::new("ip").args(["netns", "del", &self.0]).end().good();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = Run::new("ip").args(["netns", "del", &self.0]).end();
    }
}

#[test]
fn vnics_come_and_go_without_a_trace() {
    if !can_run("vnics_come_and_go_without_a_trace") {
        return;
    }
    let (lab, daemon) = start("ovd_loop");
    let here = lab.tenant(1, 77, 1);
    let round = || {
        daemon.overlay("ov78", 78, way(&lab, 1, Family::V4), &[]);
        let names: Vec<String> = (0..20).map(|number| format!("v{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let mac = format!("02:08:20:0b:00:{number:02x}").parse().ok();
            let overlay = if number % 2 == 0 { "ov77" } else { "ov78" };
            let new = overlay_api::control::NewVnic { mac, ..new_vnic(name, overlay, here) };
            daemon.client.create_vnic(&new).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
        }
        assert_eq!(interfaces(here).len(), 21, "the loopback and twenty");
        for name in &names {
            daemon.client.delete_vnic(&link(name)).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
        }
        daemon.client.delete_overlay(&link("ov78")).expect("an overlay without VNICs");
    };
    // The first may open what stays.
    round();
    let settled = |count: usize| wait_until("", CEILING, || descriptors(daemon.id()).len() <= count);
    let (open, threads) = (descriptors(daemon.id()).len(), tasks(daemon.id()));
    for _ in 0..3 {
        round();
    }
    settled(open).unwrap_or_else(|_| panic!("{open} descriptors before, now {:#?}", descriptors(daemon.id())));
    assert_eq!(tasks(daemon.id()), threads);
    assert_eq!(interfaces(here), BTreeSet::from(["lo".to_owned()]));
    assert_eq!(interfaces(lab.host(1)).len(), 2, "{:?}", interfaces(lab.host(1)));
    assert_eq!(daemon.client.vnics().expect("VNICs"), []);
}

/// Threads of a process.
pub(crate) fn tasks(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/task")).expect("a process that runs").count()
}
