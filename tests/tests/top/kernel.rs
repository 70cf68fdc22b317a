//! What does overlay-top show of a host that runs none of our daemons? The kernel's tunnels and their tables, and what traffic shows.

use crate::can_run;
use crate::stack::send_unknown_vni;
use overlay_lab::{Lab, Namespace, Overlay, UdpLoad};
use overlay_tests::{Peer, ndjson, program};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

/// Once, in a host, as JSON.
fn batch(host: &Namespace, words: &[&str]) -> Value {
    let words = ["--batch", "-n", "1", "--json"].iter().chain(words);
    let printed = host.run(&program("overlay-top").display().to_string(), words).expect("overlay-top ends well");
    ndjson(&printed).remove(0)
}

fn row<'v>(shown: &'v Value, key: &str, value: &Value) -> &'v Value {
    let rows = shown["rows"].as_array().expect("rows");
    rows.iter().find(|row| row[key] == *value).unwrap_or_else(|| panic!("no row with {key} {value} in {shown}"))
}

#[test]
fn the_kernels_table_with_its_other_ends() {
    if !can_run("the_kernels_table_with_its_other_ends") {
        return;
    }
    let lab = Lab::builder("top_kernel").overlay(Overlay::vxlan(77)).overlay(Overlay::vxlan(78)).build().expect("a lab comes up");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let host = lab.host(1);
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let counted = || {
        let shown = batch(host, &[]);
        let row = row(&shown, "vni", &json!(77));
        assert_eq!((&row["name"], &row["from"], &row["state"]), (&json!("vx77"), &json!("kernel"), &json!("up")));
        (row["tx_packets"].as_u64().unwrap(), row["rx_packets"].as_u64().unwrap())
    };
    // A tenant's stack says something of its own now and then: of rounds in which it did not, one is enough.
    let exact = (0..10).any(|_| {
        let before = counted();
        let report = here.udp_send(&UdpLoad::new(echo.at(), 1000, 200)).expect("datagrams can be sent");
        assert_eq!((report.sent, report.answered), (1000, 1000));
        let after = counted();
        assert!(after.0 >= before.0 + 1000 && after.1 >= before.1 + 1000, "{before:?} {after:?}");
        after == (before.0 + 1000, before.1 + 1000)
    });
    assert!(exact, "in ten rounds there was always something else");
    let targets = batch(host, &["--screen", "targets", "--filter", "vni:77"]);
    let station = row(&targets, "mac", &json!(there.mac()));
    assert_eq!((&station["overlay"], &station["ul3"], &station["state"]), (&json!("vx77"), &json!(["10.88.0.2:4789"]), &json!("valid")));
    assert!(targets["rows"].as_array().unwrap().iter().all(|row| row["vni"] == 77), "{targets}");
    let ports = batch(host, &["--screen", "vnics"]);
    assert_eq!(row(&ports, "overlay", &json!("vx77"))["state"], "up");
}

#[test]
fn a_device_without_a_table_is_said_to_have_none_and_traffic_fills_in() {
    if !can_run("a_device_without_a_table_is_said_to_have_none_and_traffic_fills_in") {
        return;
    }
    let lab = Lab::builder("top_extern").overlay(Overlay::vxlan(77)).build().expect("a lab comes up");
    let host = lab.host(1);
    host.ip(&["link add ext0 type vxlan external dstport 4790".to_owned(), "link set ext0 up".to_owned()]).expect("a device");
    let shown = batch(host, &["--kernel"]);
    let said = "ext0 is external: the kernel keeps no table, each packet says where it goes; -i IFACE fills in what its traffic shows";
    assert!(shown["diagnoses"].as_array().unwrap().contains(&json!(said)), "{shown}");
    assert_eq!(row(&shown, "name", &json!("ext0"))["vni"], Value::Null);

    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let words = ["--kernel", "-i", "ul0", "--batch", "--json", "--screen", "targets", "--filter", "source:observed", "-d", "0.3"];
    let watching = host.spawn(program("overlay-top"), words).expect("overlay-top can be started");
    let seen = |text: &str| {
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|shown| {
            shown["rows"].as_array().is_some_and(|rows| {
                rows.iter().any(|row| {
                    row["mac"] == there.mac() && row["ul3"] == json!(["10.88.0.2:4789"]) && row["vni"] == 77 && row["from"] == "ul0"
                })
            })
        })
    };
    overlay_lab::wait_until("the other tenant to be seen", Duration::from_secs(30), || {
        let _ = here.ping(there.ipv4().into());
        seen(&watching.log())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", watching.log()));
}

#[test]
fn a_list_of_vnis_has_a_row_for_each() {
    if !can_run("a_list_of_vnis_has_a_row_for_each") {
        return;
    }
    let lab = Lab::builder("top_filter").build().expect("a lab comes up");
    let host = lab.host(1);
    host.ip(&["link add vf0 type vxlan external vnifilter local 10.88.0.1 dstport 4789".to_owned(), "link set vf0 up".to_owned()])
        .expect("a device");
    host.bridge(&["vni add vni 100 dev vf0".to_owned(), "vni add vni 102 dev vf0".to_owned()]).expect("VNIs");
    let shown = batch(host, &["--filter", "name=vf0", "--sort", "vni"]);
    let vnis: Vec<&Value> = shown["rows"].as_array().unwrap().iter().map(|row| &row["vni"]).collect();
    assert_eq!(vnis, [&json!(100), &json!(102)], "{shown}");
}

#[test]
fn the_kernels_own_reason_for_a_drop_is_named() {
    const NAME: &str = "the_kernels_own_reason_for_a_drop_is_named";
    const SENT: u64 = 17;
    if !can_run(NAME) || Peer::find(&format!("top::{NAME}"), "bpftrace").is_none() {
        return;
    }
    let lab = Lab::builder("top_reason").overlay(Overlay::vxlan(77)).build().expect("a lab comes up");
    let words = ["--kernel", "--kernel-drops", "--batch", "--json", "--screen", "drops", "-d", "0.5"];
    let watching = lab.host(1).spawn(program("overlay-top"), words).expect("overlay-top can be started");
    let last = || watching.log().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).next_back();
    let wait = |what: &str, mut so: Box<dyn FnMut(&Value) -> bool + '_>| {
        overlay_lab::wait_until(what, Duration::from_secs(60), || last().is_some_and(|shown| so(&shown)))
            .unwrap_or_else(|error| panic!("{error}\n{}", watching.log()));
    };
    let starts = "kfree_skb: bpftrace is starting; what the kernel drops until then is not counted";
    wait("bpftrace", Box::new(|shown| !shown["diagnoses"].as_array().is_some_and(|said| said.contains(&json!(starts)))));
    let count = |shown: &Value| {
        let rows = shown["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["from"] == "kfree_skb" && row["reason"] == "VXLAN_VNI_NOT_FOUND");
        row.map_or(0, |row| row["count"].as_u64().expect("a count"))
    };
    let before = last().map_or(0, |shown| count(&shown));
    (0..SENT).for_each(|_| send_unknown_vni(&lab));
    // Others may send such datagrams, too: the reason is the host's.
    wait("the reason", Box::new(|shown| count(shown) >= before + SENT));
}

#[test]
fn without_the_right_to_count_reasons_one_sentence_says_so() {
    const NAME: &str = "without_the_right_to_count_reasons_one_sentence_says_so";
    if !can_run(NAME) || Peer::find(&format!("top::{NAME}"), "setpriv").is_none() {
        return;
    }
    let lab = Lab::builder("top_noright").overlay(Overlay::vxlan(77)).build().expect("a lab comes up");
    let top = program("overlay-top").display().to_string();
    let words =
        ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", &top, "--kernel", "--kernel-drops", "--batch", "--json", "-d", "0.5"];
    let watching = lab.host(1).spawn("setpriv", words).expect("overlay-top can be started");
    let said =
        |text: &str| text.contains("kfree_skb is gone since ") && text.contains("; that needs root and bpftrace") && text.contains("vx77");
    overlay_lab::wait_until("the sentence", Duration::from_secs(60), || said(&watching.log()))
        .unwrap_or_else(|error| panic!("{error}\n{}", watching.log()));
}
