//! Does `overlayadm ping` say whether the other end answers, up to which size, and if not, why?

use crate::can_run;
use crate::daemon::{Daemon, way};
use overlay_lab::{Family, Join, Lab, Overlay};
use overlay_tests::{Ended, Run, ndjson, program};
use serde_json::Value;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Fewer and faster than usual: each is waited for anyway.
const QUICK: [&str; 6] = ["--count", "2", "--interval", "0.05", "--timeout", "0.5"];

/// What a ping of a daemon says.
fn ping(daemon: &Daemon, words: &[&str]) -> Ended {
    let root = daemon.paths.root().display().to_string();
    let given = |word: &str| words.contains(&word);
    let quick = QUICK.chunks(2).filter(|pair| !given(pair[0])).flatten();
    Run::new(program("overlayadm")).args(["--root", &root, "ping"]).args(quick).args(words).end()
}

/// The last line of `--json`.
fn end(ended: &Ended) -> Value {
    let mut lines = ndjson(&ended.stdout);
    let end = lines.pop().unwrap_or_else(|| panic!("no line: {ended:?}"));
    assert_eq!(end["event"], "end", "{ended:?}");
    end
}

fn findings(end: &Value) -> String {
    end["findings"].as_array().expect("a list").iter().map(|text| format!("{}\n", text.as_str().expect("a text"))).collect()
}

/// Two hosts with an overlayd each, and an overlay of `encapsulation`.
fn start(name: &str, encapsulation: &str, family: Family) -> (Lab, [Daemon; 2]) {
    let overlay = Overlay::vxlan(5077).no_tunnel_on(1).no_tunnel_on(2).no_tunnel_on(3);
    let lab = Lab::builder(name).hosts(3).join(Join::Switch).overlay(overlay).build().expect("a lab comes up");
    let daemons = [1, 2].map(|host| {
        let daemon = Daemon::start(lab.host(host));
        let (listen, to) = way(&lab, host, family);
        let (listen, to, listen_ip) = (listen.to_string(), to.to_string(), format!("{encapsulation}/listen_ip"));
        let mut properties = vec![(&*listen_ip, &*listen), ("direct/dest_ip", &*to)];
        match encapsulation {
            "vxlan" => properties.push(("direct/dest_port", "4789")),
            "geneve" => properties.push(("direct/dest_port", "6081")),
            _ => {}
        }
        daemon.overlay_by(encapsulation, "ov", 5077, &properties);
        daemon
    });
    (lab, daemons)
}

#[test]
fn every_encapsulation_is_pinged_over_both_families_up_to_the_overlays_mtu() {
    if !can_run("every_encapsulation_is_pinged_over_both_families_up_to_the_overlays_mtu") {
        return;
    }
    for (encapsulation, name) in [("vxlan", "vx"), ("geneve", "gn"), ("nvgre", "nv")] {
        for (family, number) in [(Family::V4, 4), (Family::V6, 6)] {
            let (_lab, [here, there]) = start(&format!("png_{name}{number}"), encapsulation, family);
            let ended = ping(&here, &["ov", "--json"]);
            let end = end(&ended);
            assert!(ended.code == 0 && end["sent"] == 2 && end["answered"] == 2 && end["largest"] == 1400, "{ended:?}");
            assert!(end["min_ns"].as_u64() > Some(0) && end["min_ns"].as_u64() <= end["max_ns"].as_u64(), "{ended:?}");
            assert!(findings(&end).contains("all that the overlay's MTU of 1400 allows"), "{ended:?}");
            let both = [&here, &there].map(|daemon| daemon.client.overlays().expect("overlays").remove(0).counters);
            assert_eq!((both[0].pings_out, both[0].pings_in), (both[1].pings_in, both[1].pings_out), "{both:?}");
            assert_eq!((both[0].pings_in, both[0].datagrams_in, both[0].delivered), (3, 3, 0), "two, and the largest: {both:?}");
            assert!(both.iter().all(|counters| counters.drops.is_empty()), "{both:?}");
        }
    }
}

#[test]
fn a_rule_that_drops_vxlan_is_found_and_one_that_rejects_it_is_named() {
    if !can_run("a_rule_that_drops_vxlan_is_found_and_one_that_rejects_it_is_named") {
        return;
    }
    let (lab, [here, there]) = start("png_rule", "vxlan", Family::V4);
    let rules = |what: &str| format!("table ip t {{ chain c {{ type filter hook input priority 0; udp dport 4789 {what}; }}; }}");
    lab.host(2).nft(&rules("drop")).expect("a rule");
    let dropped = ping(&here, &["ov", "--json"]);
    let said = findings(&end(&dropped));
    assert!(dropped.code == 1 && said.contains("a rule drops UDP port 4789") && said.contains("overlayd"), "{dropped:?}");
    lab.host(2).nft(&format!("flush ruleset; {}", rules("reject with icmp type admin-prohibited"))).expect("a rule");
    let rejected = ping(&here, &["ov", "--json"]);
    let said = findings(&end(&rejected));
    let by = lab.host(2).ipv4();
    assert!(rejected.code == 1 && said.contains(&format!("{by} says: a firewall refuses it")), "{rejected:?}");
    lab.host(2).nft("flush ruleset").expect("no rules");
    let people = ping(&here, &["ov", "--no-search"]);
    assert!(people.code == 0 && people.stdout.contains("2 sent, 2 answered, 0% lost; min/avg/max "), "{people:?}");
    // Nobody listens: the kernel says so.
    drop(there);
    let closed = ping(&here, &["ov", "--json"]);
    let said = findings(&end(&closed));
    assert!(closed.code == 1 && said.contains("nobody listens at UDP port 4789 (ICMP port unreachable)"), "{closed:?}");
}

#[test]
fn a_path_with_a_smaller_mtu_is_measured_and_its_router_named() {
    if !can_run("a_path_with_a_smaller_mtu_is_measured_and_its_router_named") {
        return;
    }
    for (name, family, encapsulation) in
        [("png_mtu4", Family::V4, "vxlan"), ("png_mtu6", Family::V6, "geneve"), ("png_mtun", Family::V4, "nvgre")]
    {
        let (lab, [here, _there]) = start(name, encapsulation, family);
        let router = route(&lab, family);
        // Neighbours have to find each other first.
        here.wait("the way over the router", || ping(&here, &["ov", "--no-search", "--count", "1"]).code == 0);
        let over = ping(&here, &["ov", "--json", "--size", "1000"]);
        let end_of = end(&over);
        // 8 for the encapsulation's header, 8 for UDP, 14 for Ethernet.
        let around = if family == Family::V4 { 20 } else { 40 } + 8 + 14 + if encapsulation == "nvgre" { 0 } else { 8 };
        assert_eq!((over.code, end_of["largest"].as_u64()), (0, Some(1300 - around)), "{over:?}");
        let said = findings(&end_of);
        assert!(said.contains("IP packets of 1300 bytes") && said.contains(&format!("set-prop -p mtu={} ov", 1300 - around)), "{said}");
        assert!(ndjson(&over.stdout).iter().any(|line| line["event"] == "told" && line["by"] == *router), "{over:?}");
    }
}

#[test]
fn where_nobody_says_that_packets_are_too_big_the_largest_is_found_all_the_same() {
    if !can_run("where_nobody_says_that_packets_are_too_big_the_largest_is_found_all_the_same") {
        return;
    }
    let (lab, [here, _there]) = start("png_black", "vxlan", Family::V4);
    let rule = "table ip t { chain c { type filter hook input priority 0; ip length > 1300 drop; }; }";
    lab.host(2).nft(rule).expect("a rule");
    // Too big from the beginning: small ones tell that it is the size.
    let ended = ping(&here, &["ov", "--json", "--size", "1400", "--count", "1"]);
    let end = end(&ended);
    assert_eq!((ended.code, end["largest"].as_u64()), (1, Some(1250)), "{ended:?}");
    let said = findings(&end);
    assert!(said.contains("but small ones are: a smaller MTU on the way") && said.contains("nobody says so"), "{said}");
}

#[test]
fn what_cannot_be_pinged_is_said_with_status_2() {
    if !can_run("what_cannot_be_pinged_is_said_with_status_2") {
        return;
    }
    let (_lab, [here, there]) = start("png_not", "vxlan", Family::V4);
    for (words, said) in [
        (&["ov9"][..], "overlay ov9: there is none of that name"),
        (&["ov", "--to", "fd00::9"], "is of another family than the address"),
        (&["ov", "--to", "h2"], "an underlay address is expected"),
        (&["ov", "--size", "45"], "45 is not in 46..=65000"),
        (&["ov", "--interval", "0"], "0.01 to 60 seconds are"),
        (&["ov", "--to", "ff:ff:ff:ff:ff:ff"], "is a group address"),
    ] {
        let ended = ping(&here, words);
        assert!(ended.code == 2 && ended.stderr.contains(said), "{words:?}: {ended:?}");
    }
    // It is told to be silent, and may be told otherwise while it runs.
    there.set("ov", "ping/answer", "off").expect("a property");
    let silent = ping(&here, &["ov", "--json"]);
    assert!(silent.code == 1 && findings(&end(&silent)).contains("ping/answer=off"), "{silent:?}");
    let drops = there.client.overlays().expect("overlays").remove(0).counters.drops;
    assert!(drops["ping-ignored"] >= 2 && drops.len() == 1, "{drops:?}");
    there.set("ov", "ping/answer", "on").expect("a property");
    assert_eq!(ping(&here, &["ov", "--to", &there_of(&here), "--no-search"]).code, 0);
    here.set("ov", "vxlan/listen_ip", "192.0.2.1").expect("a property");
    let down = ping(&here, &["ov"]);
    assert!(down.code == 2 && down.stderr.contains("overlay ov: is down, so nothing can be sent"), "{down:?}");
}

/// The other end's address, without a port.
fn there_of(daemon: &Daemon) -> String {
    let name = "ov".parse().expect("a name");
    let all = daemon.client.overlay_properties(&name).expect("properties");
    all.into_iter().find(|property| property.name == "direct/dest_ip").and_then(|property| property.value).expect("it is direct")
}

/// Makes the third host the router between the two others, whose links take packets of 1300 bytes. Says its address.
fn route(lab: &Lab, family: Family) -> String {
    let of = |host| match family {
        Family::V4 => lab.host(host).ipv4().to_string(),
        Family::V6 => lab.host(host).ipv6().to_string(),
    };
    let bits = if family == Family::V4 { 32 } else { 128 };
    let router = lab.host(3);
    let quiet = [("ipv4/conf/all/send_redirects", "0"), ("ipv4/conf/ul0/send_redirects", "0")];
    router.sysctl(&[&quiet[..], &[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]].concat()).expect("settings");
    // A router looks for neighbours from a link-local address, which labs do not give.
    router.ip(&["address add fe80::3/64 dev ul0 nodad".into()]).expect("an address");
    for host in [1, 2] {
        let refuse = [("ipv4/conf/ul0/accept_redirects", "0"), ("ipv6/conf/ul0/accept_redirects", "0")];
        lab.host(host).sysctl(&refuse).expect("settings");
        lab.host(host).ip(&[format!("route add {}/{bits} via {} dev ul0", of(3 - host), of(3))]).expect("a route");
        router.ip(&[format!("route add {}/{bits} dev ul0 mtu lock 1300", of(host))]).expect("a route");
    }
    of(3)
}

#[test]
fn callers_who_go_at_once_leave_no_ping_under_way() {
    if !can_run("callers_who_go_at_once_leave_no_ping_under_way") {
        return;
    }
    let (_lab, [here, _there]) = start("png_gone", "vxlan", Family::V4);
    let body = r#"{"count":10000,"interval_ms":60000}"#;
    let head = format!("Host: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let asked = format!("POST /v1/overlays/ov/ping HTTP/1.1\r\n{head}\r\n{body}");
    // Some go before it has begun, some while it does, some behind.
    for number in 0..100 {
        let mut stream = UnixStream::connect(here.paths.overlayd_socket()).expect("overlayd listens");
        stream.write_all(asked.as_bytes()).expect("it is taken");
        std::thread::sleep(Duration::from_micros(number * 20));
    }
    here.wait("all four are free", || {
        let pings: Vec<_> = (0..4).map(|_| ["ov", "--no-search", "--count", "4"]).collect();
        std::thread::scope(|scope| {
            let all: Vec<_> = pings.iter().map(|words| scope.spawn(|| ping(&here, words).code)).collect();
            all.into_iter().all(|one| one.join().is_ok_and(|code| code == 0))
        })
    });
}
