//! What is too big, and who says so?

use crate::can_run;
use crate::daemon::{Daemon, link, new_vnic, way};
use crate::traffic::all_answered;
use overlay_api::control::NewVnic;
use overlay_lab::{Family, Lab, Node, Overlay, Ping};
use std::process::Command;
use std::time::Duration;

/// A lab with overlayd on host 1, whose overlay carries `mtu` bytes.
fn start(name: &str, mtu: &str) -> (Lab, Daemon) {
    let lab = Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", mtu)]);
    (lab, daemon)
}

/// What ping prints of two requests of this packet size that may not be fragmented.
pub(crate) fn ping_says(from: &Node, to: &str, headers: u32, packet: u32) -> String {
    let mut ping = Command::new("ping");
    ping.args(["-n", "-c", "2", "-i", "0.1", "-W", "1", "-M", "do", "-s", &(packet - headers).to_string(), to]).env("LC_ALL", "C");
    let output = from.enter(|| ping.output()).expect("a namespace").expect("ping runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_packet_of_a_byte_too_much_is_answered_with_the_size_that_fits() {
    if !can_run("a_packet_of_a_byte_too_much_is_answered_with_the_size_that_fits") {
        return;
    }
    let (lab, daemon) = start("ovd_too_big", "1400");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    // With the lab's MTU of 1450 on its interface, the tenant believes in more than the overlay carries.
    daemon.tenant("v77", "ov77", here);
    for (to, headers, said) in
        [(there.ipv4().to_string(), 28, "Frag needed and DF set (mtu = 1400)"), (there.ipv6().to_string(), 48, "Packet too big: mtu=1400")]
    {
        let fits = ping_says(here, &to, headers, 1400);
        assert!(fits.contains("2 received") || fits.contains("1 received"), "{fits}");
        let answer = ping_says(here, &to, headers, 1401);
        assert!(answer.contains(said) && answer.contains(" 0 received"), "{answer}\n{:?}\n{}", daemon.vnic("v77").counters, daemon.log());
    }
    let counters = daemon.vnic("v77").counters;
    assert!(counters.made >= 2, "{counters:?}");
    // What the tenant's stack has learned from it is right: the same in fragments passes.
    let ping = Ping { size: 1401, ..Ping::default() };
    there.ip(&["link set t0 mtu 1400".into()]).expect("an MTU can be set");
    all_answered(here, there.ipv4().into(), &ping).unwrap();
    all_answered(here, there.ipv6().into(), &ping).unwrap();
}

#[test]
fn an_overlay_does_not_sink_below_its_vnics() {
    if !can_run("an_overlay_does_not_sink_below_its_vnics") {
        return;
    }
    let (lab, daemon) = start("ovd_lower", "1450");
    let here = lab.tenant(1, 77, 1);
    daemon.client.create_vnic(&NewVnic { mtu: Some(1300), ..new_vnic("v77", "ov77", here) }).expect("a VNIC");
    let refused = daemon.set("ov77", "mtu", "1299").expect_err("it is refused");
    assert!(refused.contains("mtu") && refused.contains("1299") && refused.contains("v77") && refused.contains("1300"), "{refused}");
    assert_eq!(daemon.client.overlay(&link("ov77")).expect("an overlay").mtu, 1450, "a refusal changes nothing");
    assert_eq!(daemon.set("ov77", "mtu", "1300"), Ok(()));
    assert_eq!(daemon.client.overlay(&link("ov77")).expect("an overlay").mtu, 1300);
    // Nor does a VNIC rise above its overlay.
    let new = NewVnic { mac: None, mtu: Some(1301), ..new_vnic("v78", "ov77", here) };
    let refused = daemon.client.create_vnic(&new).expect_err("it is refused").to_string();
    assert!(refused.contains("1301") && refused.contains("1300"), "{refused}");
}

#[test]
fn what_the_tenant_sets_is_noticed() {
    if !can_run("what_the_tenant_sets_is_noticed") {
        return;
    }
    let (lab, daemon) = start("ovd_noticed", "1450");
    let here = lab.tenant(1, 77, 1);
    daemon.tenant("v77", "ov77", here);
    assert_eq!(daemon.vnic("v77").mtu, 1450);
    here.ip(&["link set t0 mtu 1280".into()]).expect("an MTU can be set");
    daemon.wait("the tenant's MTU", || daemon.vnic("v77").mtu == 1280);
    here.ip(&["link set t0 down".into()]).expect("a link can be set down");
    daemon.wait("the tenant's choice", || daemon.vnic("v77").state.name() == "down");
    here.ip(&["link set t0 address 02:08:20:0a:00:77".into(), "link set t0 up".into()]).expect("an address can be set");
    daemon.wait("the tenant's address", || daemon.vnic("v77").mac.to_string() == "02:08:20:0a:00:77");
}

#[test]
fn a_raised_mtu_lets_larger_packets_pass_while_traffic_flows() {
    if !can_run("a_raised_mtu_lets_larger_packets_pass_while_traffic_flows") {
        return;
    }
    let (lab, daemon) = start("ovd_raise", "1300");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    daemon.tenant("v77", "ov77", here);
    here.ip(&["link set t0 mtu 1300".into()]).expect("an MTU can be set");
    let large = Ping { size: 1450 - 28, dont_fragment: true, wait: Duration::from_millis(300), ..Ping::default() };
    assert_eq!(here.ping_with(there.ipv4().into(), &large).map(|report| report.answered).unwrap_or(0), 0);
    let flow = Ping { count: 150, ..Ping::default() };
    std::thread::scope(|scope| {
        // Over IPv6, so that the others are counted apart.
        let flow = scope.spawn(|| all_answered(here, there.ipv6().into(), &flow));
        assert_eq!(daemon.set("ov77", "mtu", "1450"), Ok(()));
        here.ip(&["link set t0 mtu 1450".into()]).expect("an MTU can be set");
        daemon.wait("the new MTU", || daemon.vnic("v77").mtu == 1450);
        all_answered(here, there.ipv4().into(), &large).unwrap();
        flow.join().expect("no panic").unwrap();
    });
}
