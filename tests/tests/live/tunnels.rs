//! Are tunnels seen as the host knows them: ports, VNIs, devices, namespaces?

use crate::{can_run, counted, frame, lab, listen, listening, path, ping, stop};
use overlay_lab::{Lab, Overlay, Ping};
use overlay_tests::{Run, ndjson, program, snoop};
use serde_json::{Value, json};

fn names(packet: &Value) -> Vec<&str> {
    packet["layers"].as_array().into_iter().flatten().filter_map(|layer| layer["layer"].as_str()).collect()
}

#[test]
fn inner_pings_appear_with_their_vni_and_are_selected_exactly() {
    if !can_run("inner_pings_appear_with_their_vni_and_are_selected_exactly") {
        return;
    }
    let lab = lab("live_vni");
    let capture = |arguments: &[&str]| listen(lab.host(1), ["-i", "ul0", "-n", "-t"].iter().chain(arguments));
    let chosen = capture(&["vni 77 and inner(icmp)"]);
    let number = capture(&["--count", "vni", "77", "and", "inner(icmp)"]);
    let stats = capture(&["--stats", "--json", "inner(icmp)"]);
    ping(&lab, 77, 7);
    ping(&lab, 78, 11);
    let (chosen, number, stats) = (stop(chosen), stop(number), stop(stats));
    let lines: Vec<&str> = chosen.stdout.lines().collect();
    assert_eq!((lines.len(), counted(&chosen, "matched")), (14, 14), "{}", chosen.stdout);
    assert!(lines.iter().all(|line| line.contains(" vxlan 77 | ") && line.contains(" icmp echo re")), "{}", chosen.stdout);
    assert_eq!(lines[0].split(" id ").next(), Some("10.88.0.1 > 10.88.0.2 vxlan 77 | 10.0.0.1 > 10.0.0.2 icmp echo request"));
    assert_eq!(number.stdout, "14 packets\n");
    // Equal addresses in both networks, and still two conversations.
    let stats = &ndjson(&stats.stdout)[0];
    let rows = stats["conversations"].as_array().unwrap();
    let mut packets: Vec<u64> = rows.iter().map(|row| row["packets"].as_u64().unwrap()).collect();
    packets.sort_unstable();
    assert_eq!(packets, [14, 22], "{stats}");
}

#[test]
fn ports_that_the_host_uses_are_decoded_without_an_option() {
    if !can_run("ports_that_the_host_uses_are_decoded_without_an_option") {
        return;
    }
    let lab = Lab::builder("live_ports").overlay(Overlay::vxlan(1).port(8472)).overlay(Overlay::vxlan(2).port(12_345)).build().unwrap();
    let capture = |options: &[&str]| listen(lab.host(1), ["-i", "ul0", "--json", "udp"].iter().chain(options));
    let runs = [capture(&[]), capture(&["--no-guess"])];
    let only = listen(lab.host(1), ["-i", "ul0", "--no-guess", "--count", "vni 2 and inner(icmp)"]);
    ping(&lab, 1, 3);
    ping(&lab, 2, 5);
    for run in runs {
        let ended = stop(run);
        let packets = ndjson(&ended.stdout);
        let pings = |vni: u32| packets.iter().filter(|packet| packet["vni"] == json!([vni]) && names(packet).contains(&"icmp")).count();
        assert_eq!((pings(1), pings(2)), (6, 10), "{}", ended.stdout);
        assert!(!ended.stdout.contains("guessed"), "the host says so: {}", ended.stdout);
    }
    assert_eq!(stop(only).stdout, "10 packets\n");
}

#[test]
fn tagged_and_ipv6_inner_frames_are_decoded() {
    if !can_run("tagged_and_ipv6_inner_frames_are_decoded") {
        return;
    }
    let lab = lab("live_inner");
    let from = lab.tenant(1, 77, 1);
    let capture = listen(lab.host(1), ["-i", "ul0", "--json", "vni 77"]);
    from.ping_with(lab.tenant(2, 77, 1).ipv6().into(), &Ping { count: 3, ..Ping::default() }).unwrap();
    // 802.1Q, id 10, then an EtherType for local experiments (IEEE 802 9.2.4).
    from.send_frame("t0", &frame(from, &[0x81, 0, 0, 10, 0x88, 0xb5, 1, 2, 3]), 5).unwrap();
    let ended = stop(capture);
    let packets = ndjson(&ended.stdout);
    let tagged = |packet: &&Value| packet["layers"].as_array().unwrap().iter().any(|layer| layer["layer"] == "vlan" && layer["id"] == 10);
    assert_eq!(packets.iter().filter(tagged).count(), 5, "{}", ended.stdout);
    let echo = |kind: u64| {
        let is = |layer: &Value| layer["layer"] == "icmpv6" && layer["type"] == kind;
        packets.iter().filter(|packet| packet["layers"].as_array().unwrap().iter().any(is)).count()
    };
    // RFC 4443 4: echo request and reply.
    assert_eq!((echo(128), echo(129)), (3, 3), "{}", ended.stdout);
    assert!(packets.iter().all(|packet| packet["vni"] == json!([77])), "{}", ended.stdout);
}

#[test]
fn a_tunnel_device_gives_its_vni_to_what_passes_it() {
    if !can_run("a_tunnel_device_gives_its_vni_to_what_passes_it") {
        return;
    }
    let lab = lab("live_device");
    let all = listen(lab.host(1), ["-i", "vx77", "--json", "icmp"]);
    let ours = listen(lab.host(1), ["-i", "vx77", "--count", "vni 77 and outer(icmp)"]);
    let others = listen(lab.host(1), ["-i", "vx77", "--count", "vni 78"]);
    ping(&lab, 77, 3);
    let all = stop(all);
    let packets = ndjson(&all.stdout);
    assert_eq!(packets.len(), 6, "{}", all.stdout);
    for packet in packets {
        assert_eq!((&packet["vni"], &packet["vni_source"], &packet["interface"]), (&json!([77]), &json!("device"), &json!("vx77")));
    }
    assert_eq!((stop(ours).stdout.as_str(), stop(others).stdout.as_str()), ("6 packets\n", "0 packets\n"));
}

#[test]
fn a_packet_that_passes_several_interfaces_is_marked_and_left_out_on_request() {
    if !can_run("a_packet_that_passes_several_interfaces_is_marked_and_left_out_on_request") {
        return;
    }
    let lab = lab("live_any");
    let all = listen(lab.host(1), ["-i", "any", "-n", "-t", "icmp"]);
    let json = listen(lab.host(1), ["-i", "any", "--json", "icmp"]);
    let once = listen(lab.host(1), ["-i", "any", "-n", "-t", "--dedupe", "icmp"]);
    ping(&lab, 77, 5);
    let (all, json, once) = (stop(all), stop(json), stop(once));
    // On the bridge, its two ports: each packet is seen more than once.
    let marked = all.stdout.lines().filter(|line| line.ends_with(" [seen before]")).count();
    let again = ndjson(&json.stdout).iter().filter(|packet| packet["again"] == true).count();
    let lines = |text: &str| text.lines().count();
    assert!(marked > 0, "{}", all.stdout);
    assert_eq!((lines(&once.stdout), marked), (10, again), "{}", once.stdout);
    assert_eq!(lines(&all.stdout) - marked, 10, "{}", all.stdout);
    assert!(!once.stdout.contains("[seen before]"));
}

#[test]
fn without_an_interface_the_tunnels_are_named_and_their_underlay_captured() {
    if !can_run("without_an_interface_the_tunnels_are_named_and_their_underlay_captured") {
        return;
    }
    let lab = lab("live_none");
    let running = listen(lab.host(1), ["-n", "vni 78 and inner(icmp)"]);
    ping(&lab, 78, 3);
    let ended = stop(running);
    let first = ended.stderr.lines().next().unwrap_or_default();
    assert!(first.contains("tunnel devices: vx77 (vxlan id 77") && first.contains("vx78 (vxlan id 78"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 6, "{}", ended.stdout);
    // And the list.
    let list = crate::snoop_in(lab.host(1), ["-D"]).end().good();
    let line = |name: &str| list.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_else(|| panic!("no {name} in {list}"));
    assert!(line("vx77").contains(" up ") && line("vx77").contains("vxlan id 77") && line("vx77").contains("dstport 4789"), "{list}");
    assert!(line("ul0").contains("mtu 1500") && line("lo").contains("loopback"), "{list}");
}

#[test]
fn other_namespaces_are_captured_by_name_process_and_path() {
    if !can_run("other_namespaces_are_captured_by_name_process_and_path") {
        return;
    }
    let lab = lab("live_netns");
    let host = lab.host(1);
    // An interface that no other namespace has: other labs come and go while this one is captured.
    let only = format!("only{}", std::process::id());
    host.ip(&[format!("link add {only} type veth peer name other0"), "link set other0 up".into(), format!("link set {only} up")]).unwrap();
    let sleeper = host.spawn("sleep", ["1000"]).unwrap();
    let places = [host.name().to_owned(), sleeper.id().to_string(), path(&host.path())];
    let from_outside = |arguments: &[&str]| listening(snoop(["-B", "2048"].iter().chain(arguments)));
    let runs: Vec<_> =
        places.iter().map(|place| from_outside(&["--netns", place, "-i", "ul0", "-n", "--json", "vni 77 and inner(icmp)"])).collect();
    let all = from_outside(&["--all-netns", "-i", &only, "--json", "-c", "3"]);
    ping(&lab, 77, 3);
    host.send_frame(&only, &frame(lab.tenant(1, 77, 1), &[0x88, 0xb5]), 3).unwrap();
    for run in runs {
        let ended = stop(run);
        let packets = ndjson(&ended.stdout);
        assert_eq!(packets.len(), 6, "{}", ended.stderr);
        let name = packets[0]["interface"].as_str().unwrap();
        assert!(name.ends_with("/ul0"), "{name}");
    }
    let ended = all.end();
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 3), "{}", ended.stderr);
    assert_eq!(ndjson(&ended.stdout)[0]["interface"], json!(format!("{}/{only}", host.name())));
    let ended = Run::new(program("overlay-snoop")).args(["--netns", "no-such-namespace", "-D"]).end();
    assert!(ended.code == 1 && ended.stderr.contains("no-such-namespace"), "{}", ended.stderr);
}
