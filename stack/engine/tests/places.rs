//! Where is an underlay, and who gets a frame that goes to many?

mod common;

use common::{Host, counts, frame, grown, mac, spec, ul3};
use overlay_api::{Answer, DeviceId, PortId, Source};
use overlay_decoder::Mac;
use overlay_engine::{DESTINATIONS_MAX, Event, Search, SetTarget};

const LISTEN: (&str, &str) = ("vxlan/listen_ip", "10.88.0.1");

fn in_namespace(name: &str, vni: u32, namespace: &str) -> overlay_engine::DeviceSpec {
    spec(name, "vxlan", vni, Search::Dynamic, &[LISTEN, ("underlay/namespace", namespace)])
}

#[test]
fn equal_addresses_in_two_namespaces_are_two_underlays() {
    let mut host = Host::new();
    // One virtual network in each, as two hosts would have it.
    let devices = ["", "blue", "/proc/1/ns/net"].map(|namespace| host.device(in_namespace(&format!("of{namespace}"), 77, namespace)));
    let opened = host.take().events.into_iter().filter_map(|event| match event {
        Event::UnderlayOpen { namespace, listen, .. } => Some((namespace, listen.to_string())),
        _ => None,
    });
    let opened: Vec<_> = opened.collect();
    assert_eq!(opened, [None, Some("blue"), Some("/proc/1/ns/net")].map(|name| (name.map(str::to_owned), "10.88.0.1:4789".to_owned())));
    assert_eq!(host.control.underlays().count(), 3);
    // A second network in one of them shares its underlay; the same network is refused.
    let shared = host.device(in_namespace("shared", 78, "blue"));
    assert_eq!(host.underlay(shared), host.underlay(devices[1]));
    let refused = host.control.create_device(in_namespace("again", 77, "blue"), host.now).unwrap_err().to_string();
    assert_eq!(refused, "property vnetid: 77 is that of overlay ofblue, which listens at 10.88.0.1:4789 in netns blue too");
    // What one namespace's router says is nothing to the other.
    host.open(1500);
    host.attach();
    let ports = [0, 1].map(|index| host.port(devices[index], "vnic0", mac(1)));
    for device in &devices[..2] {
        let there = SetTarget::Reach(vec![ul3("10.88.0.2:4789")]);
        host.control.set_target(*device, mac(2), &there, Source::Static, None, host.now).unwrap();
        host.drain();
    }
    host.control.handle_path_mtu(host.underlay(devices[1]), "10.88.0.2".parse().unwrap(), Some(600));
    host.take();
    for (port, sent) in [(ports[0], 1), (ports[1], 0)] {
        host.frame(port, &frame(mac(1), mac(2), &[0; 1000]));
        assert_eq!(host.take().sent.len(), sent);
    }
    // To move where the network is already is refused.
    let refused = host.control.set_property(devices[1], "underlay/namespace", "", host.now).unwrap_err().to_string();
    assert_eq!(refused, "property vnetid: 77 is that of overlay of, which listens at 10.88.0.1:4789 too");
}

#[test]
fn an_overlay_moves_from_one_namespace_to_another() {
    let mut host = Host::new();
    let device = host.device(in_namespace("red", 77, "blue"));
    host.open(1500);
    let old = host.underlay(device);
    host.take();
    host.control.set_property(device, "underlay/namespace", "green", host.now).unwrap();
    host.drain();
    let events = host.take().events;
    assert!(matches!(&events[0], Event::UnderlayOpen { namespace: Some(namespace), .. } if namespace == "green"), "{events:?}");
    assert_eq!(events[1], Event::UnderlayClose { underlay: old });
    for (wrong, said) in [("a/b", "it is a file in /run/netns"), ("..", "are directories"), ("-x", "taken for an option")] {
        let refused = host.control.set_property(device, "underlay/namespace", wrong, host.now).unwrap_err().to_string();
        assert!(refused.starts_with("property underlay/namespace: ") && refused.contains(said), "{refused}");
        assert!(refused.ends_with("a name that `ip netns` lists or an absolute path is allowed"), "{refused}");
    }
}

/// A device with a list of three receivers for broadcasts, the way to one of which takes packets of 600 bytes.
fn list() -> (Host, DeviceId, PortId) {
    let mut host = Host::new();
    let device = host.device(spec("red", "vxlan", 77, Search::Dynamic, &[LISTEN]));
    let port = host.port(device, "vnic0", mac(1));
    host.open(1500);
    host.attach();
    let list = SetTarget::Reach(["10.88.0.2:4789", "10.88.0.3:4789", "10.88.0.4:4789"].map(ul3).to_vec());
    host.control.set_target(device, Mac::BROADCAST, &list, Source::Static, None, host.now).unwrap();
    host.drain();
    host.control.handle_path_mtu(host.underlay(device), "10.88.0.3".parse().unwrap(), Some(600));
    host.take();
    (host, device, port)
}

#[test]
fn one_receiver_behind_a_small_path_does_not_hold_back_all() {
    let (mut host, device, port) = list();
    let send = |host: &mut Host, len: usize| {
        let before = host.device_counts(device);
        host.frame(port, &frame(mac(1), Mac::BROADCAST, &vec![7; len]));
        let sent: Vec<_> = host.take().sent.iter().map(|sending| sending.outer.to.ip.to_string()).collect();
        let grown = grown(&before, &host.device_counts(device));
        let count = |name: &str| grown.get(name).copied().unwrap_or(0);
        (sent.join(" "), ["sent", "datagrams_out", "left_out", "drop too-big"].map(count))
    };
    // 600 bytes less the headers of IP, UDP, VXLAN and Ethernet.
    assert_eq!(send(&mut host, 550), ("10.88.0.2 10.88.0.3 10.88.0.4".to_owned(), [1, 3, 0, 0]));
    assert_eq!(send(&mut host, 551), ("10.88.0.2 10.88.0.4".to_owned(), [1, 2, 1, 0]));
    for last in ["10.88.0.2", "10.88.0.4"] {
        host.control.handle_path_mtu(host.underlay(device), last.parse().unwrap(), Some(700));
    }
    // A frame that fits nobody is dropped once.
    assert_eq!(send(&mut host, 651), (String::new(), [0, 0, 0, 1]));
    let trace = host.control.trace(device, Some(port), &frame(mac(1), Mac::BROADCAST, &[7; 551]), host.now).unwrap();
    assert!(trace.steps.iter().any(|step| step.starts_with("1 of 3 destinations are left out")), "{:?}", trace.steps);
}

#[test]
fn a_list_that_was_answered_leaves_out_alike() {
    let mut host = Host::new();
    let device = host.device(spec("red", "vxlan", 77, Search::Dynamic, &[LISTEN]));
    let port = host.port(device, "vnic0", mac(1));
    host.open(1500);
    host.attach();
    host.control.handle_path_mtu(host.underlay(device), "10.88.0.3".parse().unwrap(), Some(600));
    host.frame(port, &frame(mac(1), Mac::BROADCAST, &[7; 1000]));
    let before = host.device_counts(device);
    let lookup = host.take().lookups[0].request;
    host.answer(lookup, Answer::Reach { to: ["10.88.0.2:4789", "10.88.0.3:4789"].map(ul3).to_vec(), ttl_ns: None }).unwrap();
    assert_eq!(host.take().sent.len(), 1);
    let more = grown(&before, &host.device_counts(device));
    let expected = [("sent", 1), ("sent_bytes", 1014), ("datagrams_out", 1), ("datagrams_out_packets", 1), ("datagrams_out_bytes", 1022)];
    assert_eq!(more, counts([expected[0], expected[1], expected[2], expected[3], expected[4], ("left_out", 1), ("answers", 1)]));
}

#[test]
fn a_list_has_an_end() {
    let (mut host, device, _) = list();
    let many = |count: usize| SetTarget::Reach((0..count).map(|n| ul3(&format!("10.88.{}.{}:4789", 1 + n / 250, 1 + n % 250))).collect());
    let set = |host: &mut Host, count| host.control.set_target(device, Mac::BROADCAST, &many(count), Source::Static, None, host.now);
    assert_eq!(set(&mut host, DESTINATIONS_MAX), Ok(()));
    let refused = set(&mut host, DESTINATIONS_MAX + 1).unwrap_err().to_string();
    assert_eq!(refused, "target ff:ff:ff:ff:ff:ff of overlay red: 257 underlay addresses are given; a list has at most 256");
    host.drain();
}
