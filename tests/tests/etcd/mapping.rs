//! What becomes of the traffic when the mapping in the store changes?

use crate::can_run;
use crate::host::{Flow, lab};
use crate::store::{Store, VNI, all_up, vl2};
use crate::traffic::all_answered;
use overlay_api::EntryState;
use overlay_lab::{Family, Ping};
use std::net::IpAddr;
use std::time::Duration;

const NETWORK: (u32, Family) = (VNI, Family::V4);

#[test]
fn mappings_are_made_moved_and_deleted_under_traffic_and_every_host_follows() {
    if !can_run("mappings_are_made_moved_and_deleted_under_traffic_and_every_host_follows") {
        return;
    }
    let lab = lab("etc_move", 3, &[NETWORK]);
    let store = Store::start(&lab);
    let hosts = all_up(&lab, 3, &store);
    let (here, there, twin) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1), lab.tenant(3, VNI, 1));
    for to in [there, twin] {
        all_answered(here, to.ipv4().into(), &Ping::default()).unwrap();
    }

    // Host 3's tenant becomes what host 2's is: the same MAC and addresses, as after the move of a machine.
    let third = twin.mac().to_owned();
    twin.ip(&[
        "link set t0 down".into(),
        format!("link set t0 address {}", there.mac()),
        "link set t0 up".into(),
        format!("address add {}/24 dev t0", there.ipv4()),
    ])
    .expect("addresses");
    hosts[2].wait("overlayd to notice", || hosts[2].overlayd.vnic("v77").mac.to_string() == there.mac());
    let at = (IpAddr::from(there.ipv4()), 7).into();
    let (first, second) = (there.udp_echo(at).expect("an echo server"), twin.udp_echo(at).expect("an echo server"));
    let flow = Flow::start(here, first.at());
    assert_eq!(second.counted(), 0);
    let reached = hosts[0].instance(VNI).counters.reached;
    store.map(there, lab.host(3).ipv4());
    hosts[0].wait("the flow to be there", || second.counted() > 200);
    let before = first.counted();
    hosts[0].wait("the flow to go on", || second.counted() > 400);
    assert_eq!(first.counted(), before, "nothing goes to the old place any more");
    // Told, not asked: no frame had to wait.
    assert_eq!(hosts[0].instance(VNI).counters.reached, reached);
    flow.end_whole();

    // Gone, for every host; and the others stay.
    store.delete(&vl2(&third));
    for host in &hosts {
        host.wait("the entry to go", || host.instance(VNI).entries == Some(2));
    }
    hosts[0].wait_no_longer(VNI, &third, EntryState::Valid);
    // One that is written is there at once, although it was asked for and refused before.
    here.ip(&[format!("neigh replace 10.0.0.99 lladdr {third} dev t0 nud permanent")]).expect("a neighbour");
    let unheard = Ping { count: 1, wait: Duration::from_millis(300), ..Ping::default() };
    all_answered(here, "10.0.0.99".parse().unwrap(), &unheard).unwrap_err();
    twin.ip(&["link set t0 down".into(), format!("link set t0 address {third}"), "link set t0 up".into()]).expect("a MAC");
    twin.ip(&["address replace 10.0.0.99/24 dev t0".into()]).expect("an address");
    hosts[2].wait("overlayd to notice", || hosts[2].overlayd.vnic("v77").mac.to_string() == third);
    store.put(&vl2(&third), &format!("{{\"ip\":\"{}\",\"port\":4789}}", lab.host(3).ipv4()));
    hosts[0].wait("the new station", || all_answered(here, "10.0.0.99".parse().unwrap(), &unheard).is_ok());
}

#[test]
fn an_address_that_moves_is_announced_to_stations() {
    if !can_run("an_address_that_moves_is_announced_to_stations") {
        return;
    }
    let lab = lab("etc_arp", 3, &[NETWORK]);
    let store = Store::start(&lab);
    let hosts = all_up(&lab, 3, &store);
    let (here, there, other) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1), lab.tenant(3, VNI, 1));
    let key = |ip: &str| format!("/overlay/v1/vnets/77/vl3/{ip}");
    let mut segments = there.ipv6().segments();
    segments[7] = 0x50;
    let addresses = ["10.0.0.50".to_owned(), std::net::Ipv6Addr::from(segments).to_string()];
    for address in &addresses {
        store.put(&key(address), there.mac());
    }
    there
        .ip(&[format!("address add {}/24 dev t0", addresses[0]), format!("address add {}/64 dev t0 nodad", addresses[1])])
        .expect("addresses");
    let patient = Ping { count: 1, wait: Duration::from_secs(1), ..Ping::default() };
    for address in &addresses {
        let address: IpAddr = address.parse().unwrap();
        hosts[0].wait("an answer", || all_answered(here, address, &patient).is_ok());
    }
    let neighbour = |address: &str| here.run("ip", ["neigh", "show", "to", address, "dev", "t0"]).expect("ip answers");
    for address in &addresses {
        assert!(neighbour(address).contains(there.mac()), "{}", neighbour(address));
        store.put(&key(address), other.mac());
        hosts[0].wait("the station to hear of it", || neighbour(address).contains(other.mac()));
    }
}

#[test]
fn garbage_is_reported_and_ignored_and_what_ends_with_a_lease_goes() {
    if !can_run("garbage_is_reported_and_ignored_and_what_ends_with_a_lease_goes") {
        return;
    }
    let lab = lab("etc_garb", 2 + 1, &[NETWORK]);
    let store = Store::start(&lab);
    // Before the first load, and after it.
    store.put("/overlay/v1/vnets/77/vl2/elephant", "{}");
    let hosts = all_up(&lab, 3, &store);
    let (here, there) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1));
    for (key, value, said) in [
        ("/overlay/v1/vnets/77/vl2/elephant", "{}", "\"elephant\" is no MAC; one as in 02:08:20:0a:00:02 is"),
        ("/overlay/v1/vnets/77/vl2/02:08:20:ff:ff:01", "{\"ip\":", "02:08:20:ff:ff:01: "),
        ("/overlay/v1/vnets/77/vl2/02:08:20:ff:ff:02", "{\"ip\":\"10.88.0.2\",\"port\":65536}", "the number 65536 is not allowed"),
        ("/overlay/v1/vnets/77/vl2/02:08:20:ff:ff:03", "{\"ip\":\"10.88.0.2\"}", "port"),
        ("/overlay/v1/vnets/77/vl3/10.0.0.77", "mouse", "mouse: not a MAC address"),
    ] {
        store.put(key, value);
        hosts[0].wait(said, || hosts[0].log().lines().any(|line| line.contains(key) && line.contains(said)));
    }
    hosts[0].wait_up(VNI);
    assert_eq!(hosts[0].instance(VNI).entries, Some(3));
    all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();

    let lease = store.ask(async |client| client.grant(2).await).expect("a lease");
    let leased = vl2("02:08:20:ff:ff:04");
    let value = "{\"ip\":\"10.88.0.2\",\"port\":4789}";
    store.ask(async |client| client.put(leased.into(), value.into(), lease).await).expect("a key is written");
    hosts[0].wait("the entry", || hosts[0].instance(VNI).entries == Some(4));
    hosts[0].wait("the lease to end", || hosts[0].instance(VNI).entries == Some(3));
}
