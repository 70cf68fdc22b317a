//! Do hosts that register their VNICs find one another without a mapping written by hand? Needs root.

use crate::daemon::link;
use crate::host::{Host, lab, overlay, underlay};
use crate::traffic::{all_answered, connect, send};
use overlay_api::control::NewOverlay;
use overlay_lab::{Family, Lab, Ping, Signal, wait_until};
use overlay_tests::{Peer, is_root, program, skip};
use std::time::Duration;

const VNI: u32 = 77;
/// A lease and its end, on a machine that is busy.
const LEASE_CEILING: Duration = Duration::from_secs(120);

/// Makes the overlay of a host; its tenant is in it.
fn up(lab: &Lab, number: u16, endpoint: &str) -> Host {
    let host = Host::start(lab.host(number));
    let listen = underlay(lab, number, Family::V4).to_string();
    let properties = [("vxlan/listen_ip", &*listen), ("etcd/endpoints", endpoint), ("mtu", "1430")];
    let made = host.overlayd.client.create_overlay(&NewOverlay {
        name: link(&overlay(VNI)),
        encapsulation: "vxlan".parse().expect("a module"),
        search: "etcd".parse().expect("a module"),
        vnetid: VNI.to_string().parse().expect("a VNI"),
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        temporary: false,
    });
    made.unwrap_or_else(|error| panic!("{error}\n{}\n{}", host.overlayd.log(), host.log()));
    host.overlayd.tenant(&format!("v{VNI}"), &overlay(VNI), lab.tenant(number, VNI, 1));
    host.wait_up(VNI);
    host
}

#[test]
fn two_hosts_need_no_mapping_by_hand_and_leave_none_behind() {
    let test = "two_hosts_need_no_mapping_by_hand_and_leave_none_behind";
    if !is_root() {
        return skip(test, "not root");
    }
    if Peer::find(test, "etcd").is_none() {
        return;
    }
    let lab = lab("map_reg", 2, &[(VNI, Family::V4)]);
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = format!("http://{}:2379", lab.host(1).ipv4());
    let data = folder.path().join("data").display().to_string();
    let flags = ["--data-dir", &data, "--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint, "--unsafe-no-fsync"];
    let etcd = lab.host(1).spawn("etcd", flags).expect("etcd can be started");
    let map = |words: &str| {
        let words = ["map"].into_iter().chain(words.split(' ')).chain(["--endpoints", &endpoint]);
        lab.host(2).run(&program("overlayadm").display().to_string(), words).map_err(|error| error.to_string())
    };
    wait_until("etcd to answer", LEASE_CEILING, || map("list -v 77").is_ok()).unwrap_or_else(|error| panic!("{error}\n{}", etcd.log()));
    let mut hosts = [1, 2].map(|number| up(&lab, number, &endpoint));
    let (here, there) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1));
    let listed = || map("list -v 77 -p -o mac,source").expect("a list");
    hosts[0].wait("both to be registered", || listed().matches(":host\n").count() == 2);

    // Each says its address with its first question, which nobody can answer yet; then they know each other.
    let ping = Ping { count: 1, wait: Duration::from_millis(500), ..Ping::default() };
    hosts[0].wait("an answer", || {
        let [one, other] = [(here, there), (there, here)].map(|(from, to)| all_answered(from, to.ipv4().into(), &ping).is_ok());
        one && other
    });
    let owner = map(&format!("get -v 77 -p -o ul3 {}", there.ipv4())).expect("an entry");
    assert_eq!(owner.trim(), format!("{}:4789", lab.host(2).ipv4()));
    let connection = connect(here, there, there.ipv4().into());
    send(&connection.client, &connection.server, 100_000, 1);
    send(&connection.server, &connection.client, 100_000, 2);
    drop(connection);

    // What is written by hand goes before, and is left alone.
    let mac = there.mac().replace(':', "\\:");
    let by_hand = format!("{}=10.99.0.1:4789", there.mac());
    map(&format!("put -v 77 {by_hand}")).expect("an entry");
    hosts[1].wait("it to be by hand", || listed().contains(&format!("{mac}:static")));
    hosts[1].overlayd.client.delete_vnic(&link("v77")).expect("a VNIC goes");
    hosts[1].wait("it to be withdrawn", || hosts[1].log().contains("is withdrawn"));
    assert!(listed().contains(&format!("{mac}:static")));
    map(&format!("delete -v 77 {}", there.mac())).expect("an entry");
    assert_eq!(listed().lines().count(), 1);

    // Nobody says goodbye: the lease ends.
    hosts[0].overlayd.signal(Signal::KILL);
    hosts[0].kill();
    assert_eq!(listed().lines().count(), 1, "it outlives its host for a while");
    wait_until("the lease to end", LEASE_CEILING, || listed().is_empty()).expect("nothing is left");
}
