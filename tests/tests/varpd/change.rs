//! What becomes of the traffic when a mapping changes, or breaks?

use crate::can_run;
use crate::host::{Flow, all_up, lab, mapping, overlay};
use crate::traffic::all_answered;
use overlay_api::EntryState;
use overlay_api::control::OverlayState;
use overlay_lab::{Family, Ping, UdpLoad};
use std::net::IpAddr;

const NETWORK: (u32, Family) = (77, Family::V4);

#[test]
fn a_changed_mapping_moves_a_flow_that_runs() {
    if !can_run("a_changed_mapping_moves_a_flow_that_runs") {
        return;
    }
    let lab = lab("vpd_move", 3, &[NETWORK]);
    let hosts = all_up(&lab, 3, &[NETWORK]);
    let (here, there, twin) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1), lab.tenant(3, 77, 1));
    // Host 3's tenant becomes what host 2's is: the same MAC and addresses, as after the move of a machine.
    twin.ip(&[
        "link set t0 down".into(),
        format!("link set t0 address {}", there.mac()),
        "link set t0 up".into(),
        format!("address add {}/24 dev t0", there.ipv4()),
    ])
    .expect("addresses");
    // Overlayd looks at its interfaces once a second.
    hosts[2].wait("overlayd to notice", || hosts[2].overlayd.vnic("v77").mac.to_string() == there.mac());
    let (first, second) = {
        let at = (IpAddr::from(there.ipv4()), 7).into();
        (there.udp_echo(at).expect("an echo server"), twin.udp_echo(at).expect("an echo server"))
    };
    let flow = Flow::start(here, first.at());
    assert_eq!(second.counted(), 0);
    let moved = mapping(&lab, NETWORK, 3, |host| if host == 2 { 3 } else { host });
    let reached = hosts[0].instance(77).counters.reached;
    hosts[0].map(77, &moved);
    hosts[0].wait("the flow to be there", || second.counted() > 200);
    let before = first.counted();
    hosts[0].wait("the flow to go on", || second.counted() > 400);
    assert_eq!(first.counted(), before, "nothing goes to the old place any more");
    flow.end_whole();
    // Told, not asked: no frame had to wait.
    assert_eq!(hosts[0].instance(77).counters.reached, reached);
}

#[test]
fn another_file_is_another_mapping_at_once() {
    if !can_run("another_file_is_another_mapping_at_once") {
        return;
    }
    let lab = lab("vpd_config", 2, &[NETWORK]);
    let hosts = all_up(&lab, 2, &[NETWORK]);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let answered = || here.udp_send(&UdpLoad::new(echo.at(), 50, 100)).expect("datagrams").answered;
    all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();
    assert_eq!(answered(), 50);
    // The first file stays as it is; in the second there is nobody but this host's own tenant.
    let mut less = mapping(&lab, NETWORK, 2, |host| host);
    less.remove(there.mac());
    hosts[0].map(79, &less);
    let first = hosts[0].file(77).display().to_string();
    let second = hosts[0].file(79).display().to_string();
    hosts[0].overlayd.set(&overlay(77), "files/config", &second).expect("a property");
    hosts[0].wait("the other file", || hosts[0].instance(77).entries == Some(1));
    hosts[0].wait_no_longer(77, there.mac(), EntryState::Valid);
    hosts[0].wait_up(77);
    assert_eq!(answered(), 0, "what the first file said is still in use");
    hosts[0].overlayd.set(&overlay(77), "files/config", &first).expect("a property");
    hosts[0].wait("the first file", || hosts[0].instance(77).entries == Some(2));
    hosts[0].wait_no_longer(77, there.mac(), EntryState::Drop);
    hosts[0].wait_up(77);
    assert_eq!(answered(), 50, "what the second file refused is still refused");
}

#[test]
fn a_broken_file_keeps_serving_and_is_reported_with_key_and_line() {
    if !can_run("a_broken_file_keeps_serving_and_is_reported_with_key_and_line") {
        return;
    }
    let lab = lab("vpd_broken", 2, &[NETWORK]);
    let hosts = all_up(&lab, 2, &[NETWORK]);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let flow = Flow::start(here, echo.at());
    let name = hosts[0].file(77).display().to_string();
    // One digit of an octet, as illumos has it, and a port that there is not.
    hosts[0].write(77, "{\n  \"2:8:20:a:0:2\": {\"ip\": \"10.88.0.2\",\n    \"port\": 65536}\n}");
    let problem = format!("{name}:3:13: 2:8:20:a:0:2.port: the number 65536 is not allowed; a whole number 1-65535 is");
    let reason = hosts[0].wait_degraded(77, &problem);
    assert!(reason.ends_with("the mapping of before stays in use (2 entries)"), "{reason}");
    assert_eq!(hosts[0].instance(77).reason.as_deref().map(|reason| reason.starts_with(&problem)), Some(true));
    assert!(hosts[0].log().contains(&problem), "{}", hosts[0].log());
    // Also for who was not asked for before.
    hosts[0].overlayd.client.flush(&overlay(77).parse().unwrap()).expect("a flush");
    all_answered(here, there.ipv4().into(), &Ping::default()).unwrap();
    let reload = hosts[0].varpd.reload(&overlay(77).parse().unwrap()).unwrap_err().to_string();
    assert!(reload.contains(&problem), "{reload}");
    // Mended: an unknown key is kept and said, not refused.
    let mut mended = mapping(&lab, NETWORK, 2, |host| host);
    mended[there.mac()]["prot"] = 17.into();
    hosts[0].map(77, &mended);
    hosts[0].wait_up(77);
    let note = format!("{}.prot: this key is reserved and has no meaning here; did you mean port?", there.mac());
    assert_eq!(hosts[0].log().matches(&note).count(), 1, "{}", hosts[0].log());
    let (sent, missing) = flow.end();
    // The flush let frames wait, and lost none.
    assert!(sent > 100 && missing.is_empty(), "{missing:?} of {sent}");
}

#[test]
fn an_overlay_is_refused_with_the_plugins_own_sentence() {
    if !can_run("an_overlay_is_refused_with_the_plugins_own_sentence") {
        return;
    }
    let lab = lab("vpd_refuse", 2, &[NETWORK]);
    let mut host = crate::host::Host::start(lab.host(1));
    let create = |host: &crate::host::Host, config: &str| host.create(&lab, 1, NETWORK, config).map_err(|error| error.to_string());
    let refused = create(&host, "/nowhere/map.json").unwrap_err();
    assert!(refused.contains("/nowhere/map.json: cannot be read: No such file"), "{refused}");
    let refused = create(&host, "map.json").unwrap_err();
    assert!(refused.contains("an absolute path is"), "{refused}");
    host.write(77, "{\n\"2:8:20:a:0:2\": {}}");
    let config = host.file(77).display().to_string();
    let refused = create(&host, &config).unwrap_err();
    assert!(refused.contains(&format!("{config}:2:17: 2:8:20:a:0:2.ip: is missing")), "{refused}");
    assert_eq!(host.overlayd.client.overlays().expect("overlays"), []);
    assert_eq!(host.varpd.instances().expect("instances"), []);
    // Nobody checks it now: it is made, and degraded when somebody does.
    host.end();
    host.wait("varpd to be missed", || host.overlayd.client.status().is_ok_and(|status| !status.answerer.attached));
    let made = create(&host, &config).expect("it is made");
    assert_eq!(made.state, OverlayState::Degraded);
    host.start_again();
    host.wait_degraded(77, "2:8:20:a:0:2.ip: is missing");
    host.map(77, &mapping(&lab, NETWORK, 2, |host| host));
    host.wait_up(77);
    host.overlayd.client.delete_overlay(&overlay(77).parse().unwrap()).expect("it is deleted");
    host.wait("the instance to go", || host.varpd.instances().is_ok_and(|instances| instances.is_empty()));
}
