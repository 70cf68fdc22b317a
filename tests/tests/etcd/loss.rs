//! What becomes of the traffic while the store is gone, comes back, hangs, or has forgotten?

use crate::can_run;
use crate::host::{Flow, lab, overlay};
use crate::store::{Store, VNI, all_up, vl2};
use crate::traffic::all_answered;
use overlay_lab::{Family, Ping, Signal};
use std::net::IpAddr;

const NETWORK: (u32, Family) = (VNI, Family::V4);

#[test]
fn a_flow_lives_through_a_store_that_hangs_dies_and_returns() {
    if !can_run("a_flow_lives_through_a_store_that_hangs_dies_and_returns") {
        return;
    }
    let lab = lab("etc_loss", 3, &[NETWORK]);
    let mut store = Store::start(&lab);
    let mut hosts = all_up(&lab, 3, &store);
    let (here, there, third) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1), lab.tenant(3, VNI, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let flow = Flow::start(here, echo.at());

    // Nothing is closed, and nothing comes.
    store.signal(Signal::STOP);
    let reason = hosts[0].wait_degraded(VNI, "the store is lost since ");
    assert!(reason.contains("stay in use") && reason.contains("3 entries"), "{reason}");
    store.signal(Signal::CONT);
    hosts[0].wait_up(VNI);

    store.kill();
    hosts[0].wait_degraded(VNI, "Connection refused");
    // Whom nobody has asked for is known all the same.
    all_answered(here, third.ipv4().into(), &Ping::default()).unwrap();

    // A varpd that starts now has what the last one knew.
    hosts[0].kill();
    hosts[0].start_again();
    hosts[0].wait_degraded(VNI, "3 entries of ");
    hosts[0].overlayd.client.flush(&overlay(VNI).parse().unwrap()).expect("a flush");
    for to in [there, third] {
        all_answered(here, to.ipv4().into(), &Ping::default()).unwrap();
    }
    let (sent, missing) = flow.end();
    // The flush let frames wait, and lost none.
    assert!(sent > 100 && missing.is_empty(), "{} of {sent} were lost", missing.len());

    store.start_again();
    for host in &hosts {
        host.wait_up(VNI);
    }
    store.put(&vl2("02:08:20:ff:ff:01"), "{\"ip\":\"10.88.0.2\",\"port\":4789}");
    for host in &hosts {
        host.wait("the new entry", || host.instance(VNI).entries == Some(4));
    }
}

#[test]
fn a_host_that_was_cut_off_while_the_store_forgot_reads_all_anew() {
    if !can_run("a_host_that_was_cut_off_while_the_store_forgot_reads_all_anew") {
        return;
    }
    let lab = lab("etc_part", 3, &[NETWORK]);
    let store = Store::start(&lab);
    let hosts = all_up(&lab, 3, &store);
    let (here, there, third) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1), lab.tenant(3, VNI, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let flow = Flow::start(here, echo.at());
    all_answered(here, third.ipv4().into(), &Ping::default()).unwrap();

    lab.host(1).nft("add table inet cut\nadd chain inet cut out { type filter hook output priority 0; }\nadd rule inet cut out tcp dport 2379 drop\n").expect("a rule");
    hosts[0].wait_degraded(VNI, "the store is lost since ");
    assert!(hosts[1].instance(VNI).reason.is_none(), "only one host is cut off");
    // Meanwhile: an entry goes, others come, and how that came to be is forgotten.
    store.delete(&vl2(third.mac()));
    for number in 1..=50 {
        store.put(&vl2(&format!("02:08:20:ff:ff:{number:02x}")), "{\"ip\":\"10.88.0.2\",\"port\":4789}");
    }
    store.compact();
    hosts[1].wait("the others to follow", || hosts[1].instance(VNI).entries == Some(52));
    assert_eq!(hosts[0].instance(VNI).entries, Some(3));

    lab.host(1).nft("delete table inet cut\n").expect("no rule");
    hosts[0].wait_up(VNI);
    assert_eq!(hosts[0].instance(VNI).entries, Some(52));
    hosts[0].wait_no_longer(VNI, third.mac(), overlay_api::EntryState::Valid);
    flow.end_whole();
}
