//! What becomes of a host's own entries when others stand in the way, and when its overlay changes?

use crate::can_run;
use crate::daemon::{CEILING, link};
use crate::host::{Host, lab, overlay};
use crate::store::{Store, VNI, entry, overlay_of, vl2};
use overlay_api::control::InstanceState;
use overlay_etcd::{Change, Error};
use overlay_lab::{Family, Lab};
use overlay_tests::{Run, program};
use std::time::Duration;

const NETWORK: (u32, Family) = (VNI, Family::V4);

/// A host that registers its tenant.
fn up(lab: &Lab, store: &Store) -> Host {
    let host = Host::start(lab.host(1));
    overlay_of(&host, lab, 1, &store.endpoint(), &[("etcd/register", "on")]);
    host.overlayd.tenant(&format!("v{VNI}"), &overlay(VNI), lab.tenant(1, VNI, 1));
    host.wait_up(VNI);
    host
}

/// Which key.
fn key_of(change: &Change) -> &[u8] {
    match change {
        Change::Put(entry) => &entry.key,
        Change::Delete { key } => key,
    }
}

/// What overlayadm prints about it.
fn shown(host: &Host, words: &str) -> String {
    let root = host.overlayd.paths.root().display().to_string();
    Run::new(program("overlayadm")).args(["--root", &root]).args(words.split(' ')).end().stdout
}

#[test]
fn an_entry_by_hand_in_the_way_is_shown_and_the_overlay_is_none_the_worse() {
    if !can_run("an_entry_by_hand_in_the_way_is_shown_and_the_overlay_is_none_the_worse") {
        return;
    }
    let lab = lab("etc_clash", 3, &[NETWORK]);
    let store = Store::start(&lab);
    let mac = lab.tenant(1, VNI, 1).mac().to_owned();
    store.put(&vl2(&mac), "{\"ip\":\"10.99.0.1\",\"port\":4789}");
    let host = up(&lab, &store);
    host.wait("the clash", || host.instance(VNI).clashes.is_some());
    let instance = host.instance(VNI);
    let clashes = instance.clashes.expect("it was there");
    let why = format!("{mac} is not registered: its entry is written by hand, to 10.99.0.1, and stays");
    assert_eq!((clashes.count, &*clashes.key, &*clashes.why), (1, &*vl2(&mac), &*why));
    assert_eq!((instance.state, instance.reason), (InstanceState::Up, None));
    host.wait_up(VNI);
    let said = format!("1 clash: {why} ({})", vl2(&mac));
    assert_eq!(shown(&host, "show-overlay -f -p -o status,details").trim().replace('\\', ""), format!("up:{said}"));
    let doctor = shown(&host, "doctor");
    assert!(doctor.contains(&format!("note: overlay ov77: {said}")), "{doctor}");

    // It is still told of after the overlay has changed, by the instance that goes on.
    host.overlayd.set("ov77", "etcd/cache", "off").expect("a property");
    host.wait("the same clash", || host.instance(VNI).clashes.as_ref() == Some(&clashes));
    // When it goes, the host's own takes its place, and nothing more is said.
    store.delete(&vl2(&mac));
    host.wait("nothing in the way", || host.instance(VNI).clashes.is_none());
    host.wait("the host's own entry", || host.instance(VNI).entries == Some(1));
    assert_eq!(shown(&host, "show-overlay -f -p -o status,details").trim(), "up:");
}

#[test]
fn an_address_is_known_of_a_tenant_that_has_never_said_a_word_and_goes_with_it() {
    if !can_run("an_address_is_known_of_a_tenant_that_has_never_said_a_word_and_goes_with_it") {
        return;
    }
    let lab = lab("etc_mute", 3, &[NETWORK]);
    let store = Store::start(&lab);
    let (tenant, mut host) = (lab.tenant(1, VNI, 1), up(&lab, &store));
    let has = |ip: &str| {
        let key = format!("/overlay/v1/vnets/{VNI}/vl3/{ip}");
        let held = store.ask(async |client| client.get(key.clone().into()).await).expect("an answer").0;
        held.map(|held| String::from_utf8(held.value).expect("a MAC"))
    };
    let ip = |line: &str| tenant.ip(&[line.to_owned()]).unwrap_or_else(|error| panic!("{line}: {error}"));
    let ours = Some(tenant.mac().to_owned());
    // Nothing asks in this network: IPv4 addresses are never said of themselves.
    host.wait("the tenant's address", || has(&tenant.ipv4().to_string()) == ours);
    host.wait("the tenant's other address", || has(&tenant.ipv6().to_string()) == ours);

    // overlayd is killed and comes back: nothing is withdrawn for a moment, as the key still is the one that was made first.
    let made = |ip: &str| {
        let key = format!("/overlay/v1/vnets/{VNI}/vl3/{ip}");
        store.ask(async |client| client.get(key.clone().into()).await).expect("an answer").0.map(|held| held.changed)
    };
    let first = made(&tenant.ipv4().to_string());
    host.overlayd.kill();
    host.overlayd.start_again();
    host.wait_up(VNI);
    ip("address add 10.55.0.9/32 dev t0");
    host.wait("an address after the restart", || has("10.55.0.9") == ours);
    assert_eq!(made(&tenant.ipv4().to_string()), first);

    // One more comes, and goes to another VNIC of the same tenant, which has it from then on: also when the first one has gone.
    ip("address add 10.55.0.1/32 dev t0");
    host.wait("an address that comes", || has("10.55.0.1") == ours);
    let (namespace, other) = (tenant.name(), "02:08:20:ff:ff:09");
    let said = shown(&host, &format!("create-vnic -l ov77 -m {other} -n {namespace} w77"));
    assert_eq!(said, "");
    ip("address add 10.55.0.1/32 dev w77");
    host.wait("an address that moves", || has("10.55.0.1").as_deref() == Some(other));
    ip("address add 10.55.0.2/32 dev t0");
    ip("address del 10.55.0.1/32 dev t0");
    host.wait("what was told after it", || has("10.55.0.2") == ours);
    assert_eq!(has("10.55.0.1").as_deref(), Some(other));
    ip("address del 10.55.0.2/32 dev t0");
    host.wait("an address that goes", || has("10.55.0.2").is_none());
    host.overlayd.client.delete_vnic(&link("v77")).expect("a VNIC goes");
    host.wait("its addresses to go with it", || has(&tenant.ipv4().to_string()).is_none());
    assert_eq!(has("10.55.0.1").as_deref(), Some(other));

    ip("address del 10.55.0.1/32 dev w77");
    host.wait("the last address to go", || has("10.55.0.1").is_none());
}

#[test]
fn what_is_registered_stays_when_the_overlay_changes() {
    if !can_run("what_is_registered_stays_when_the_overlay_changes") {
        return;
    }
    let lab = lab("etc_stay", 3, &[NETWORK]);
    let store = Store::start(&lab);
    let host = up(&lab, &store);
    let (key, other) = (vl2(lab.tenant(1, VNI, 1).mac()), lab.tenant(2, VNI, 1));
    let lease = || store.ask(async |client| client.get(key.clone().into()).await).expect("an answer").0.map(|found| found.lease);
    host.wait("the entry", || lease().is_some());
    let (first, revision) = (lease(), store.put("/elsewhere", "0"));

    // A change that the store has nothing to do with: the same entry under the same lease.
    host.overlayd.set("ov77", "etcd/cache", "off").expect("a property");
    store.map(other, lab.host(2).ipv4());
    host.wait("the new instance", || host.instance(VNI).entries == Some(2));
    assert_eq!(lease(), first);
    // Another way to the same store: another lease, and no moment without an entry.
    host.overlayd.set("ov77", "etcd/endpoints", &format!("{0},{0}", store.endpoint())).expect("a property");
    host.wait("another lease", || lease() != first);
    host.wait("the new instance", || host.instance(VNI).entries == Some(2));
    let is_gone = || matches!(store.ask(async |client| client.keep_alive(first.unwrap_or(0)).await), Err(Error::NoLease(_)));
    host.wait("the end of the first lease", is_gone);
    // The VNIC goes with the overlay's last instance.
    host.overlayd.client.delete_vnic(&link("v77")).expect("a VNIC goes");
    host.wait("it to be withdrawn", || lease().is_none());

    let last = store.put(&vl2("02:08:20:ff:ff:09"), &entry(other, lab.host(2).ipv4()));
    let told = store.ask(async |client| {
        let mut watch = client.watch(b"/overlay/v1/vnets/77/vl2/", revision + 1).await?;
        let mut told = Vec::new();
        loop {
            let changes = watch.next(CEILING.min(Duration::from_secs(60))).await?;
            told.extend(changes.changes);
            if changes.revision >= last {
                return Ok(told);
            }
        }
    });
    let told: Vec<_> = told.expect("what has happened").into_iter().filter(|change| key_of(change) == key.as_bytes()).collect();
    // Written anew for the other lease and for each address that is heard; deleted with the VNIC, and never before.
    let deletions = told.iter().enumerate().filter(|(_, change)| matches!(change, Change::Delete { .. })).map(|(at, _)| at);
    assert_eq!(deletions.collect::<Vec<_>>(), [told.len() - 1], "{told:?}");
    assert!(told.len() > 1, "{told:?}");
}
