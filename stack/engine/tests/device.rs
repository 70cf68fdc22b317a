//! What can be done to a device, what is refused, and what stays as it is?

mod common;

use common::*;
use overlay_api::{DeviceId, DropReason, PortId, Source, UnderlayId};
use overlay_decoder::{Mac, Ul3};
use overlay_engine::encap::Carrier;
use overlay_engine::{Control, Event, PortSpec, Refusal, Search, SetTarget, Time};

const LISTEN: (&str, &str) = ("vxlan/listen_ip", "10.88.0.1");

/// A dynamic device `red` with VNI 77 and a port, open, with somebody who answers.
fn red() -> (Host, DeviceId, PortId) {
    let mut host = Host::new();
    let device = host.device(spec("red", "vxlan", 77, Search::Dynamic, &[LISTEN]));
    let port = host.port(device, "vnic0", mac(1));
    host.open(1500);
    host.attach();
    host.take();
    (host, device, port)
}

/// The same with a direct device `blue` with VNI 78 on the same underlay and another one `green` on one of its own.
fn three() -> (Host, [DeviceId; 3], PortId) {
    let (mut host, red, port) = red();
    let direct = [("direct/dest_ip", "10.88.0.2"), ("direct/dest_port", "4789")];
    let blue = host.device(spec("blue", "vxlan", 78, Search::Direct, &[LISTEN, direct[0], direct[1]]));
    let green = host.device(spec("green", "geneve", 77, Search::Dynamic, &[("geneve/listen_ip", "10.88.0.1")]));
    host.open(1500);
    host.take();
    (host, [red, blue, green], port)
}

/// Everything that the control half knows and that workers see.
fn world(host: &Host) -> String {
    let infos: Vec<_> = host.control.devices().collect();
    let underlays: Vec<_> = host.control.underlays().collect();
    format!("{infos:?} {underlays:?} {:?}", host.control)
}

/// A command is refused with that sentence, and nothing has changed.
fn refused<T: std::fmt::Debug>(host: &mut Host, sentence: &str, command: impl FnOnce(&mut Control) -> Result<T, Refusal>) {
    let before = world(host);
    let said = command(&mut host.control).expect_err(sentence).to_string();
    assert_eq!(said, sentence);
    assert_eq!(world(host), before, "something has changed: {sentence}");
    host.drain();
    assert!(host.done.events.is_empty() && host.done.is_silent(), "{sentence}: {:?}", host.done);
}

const NOW: Time = Time(5_000_000);

#[test]
fn a_device_that_cannot_be_made_leaves_nothing() {
    let (mut host, ..) = three();
    let direct = |properties: &[(&str, &str)]| spec("x", "vxlan", 1, Search::Direct, &[&[LISTEN], properties].concat());
    let dynamic = |properties: &[(&str, &str)]| spec("x", "vxlan", 1, Search::Dynamic, properties);
    let there = [("direct/dest_ip", "10.88.0.2"), ("direct/dest_port", "4789")];
    for (sentence, spec) in [
        ("overlay red: there is one of that name already (id 1)", spec("red", "vxlan", 1, Search::Dynamic, &[LISTEN])),
        ("encapsulation stt: there is none of that name; there are vxlan, geneve, nvgre", spec("x", "stt", 1, Search::Dynamic, &[])),
        (
            "property vxlan/listen_io: there is no such property; did you mean vxlan/listen_ip?",
            dynamic(&[("vxlan/listen_io", "10.88.0.1")]),
        ),
        ("property mtu: \"575\" is not allowed; 576-65000 is", dynamic(&[LISTEN, ("mtu", "575")])),
        ("property mtu: \"65001\" is not allowed; 576-65000 is", dynamic(&[LISTEN, ("mtu", "65001")])),
        ("property vnetid: is given in another way when an overlay is made", dynamic(&[LISTEN, ("vnetid", "1")])),
        ("property encap: is given in another way when an overlay is made", dynamic(&[LISTEN, ("encap", "vxlan")])),
        ("property vxlan/listen_ip: is required and not set; an IP address is allowed", dynamic(&[])),
        ("property vxlan/listen_ip: \"here\" is not allowed; an IP address is", dynamic(&[("vxlan/listen_ip", "here")])),
        (
            "property vxlan/listen_ip: 239.1.1.1 is a multicast address; a unicast address of this host is allowed, or 0.0.0.0 or :: for all \
             of them",
            dynamic(&[("vxlan/listen_ip", "239.1.1.1")]),
        ),
        ("property vxlan/reserved_bits: \"maybe\" is not allowed; lenient,strict is", dynamic(&[LISTEN, ("vxlan/reserved_bits", "maybe")])),
        ("property target/max: \"0\" is not allowed; 1-16777216 is", dynamic(&[LISTEN, ("target/max", "0")])),
        ("property direct/dest_ip: is required and not set; an IP address is allowed", direct(&there[1..])),
        ("property direct/dest_port: is required and not set; 1-65535 is allowed", direct(&there[..1])),
        (
            "property direct/dest_ip: 0.0.0.0 is no address that anything could be sent to",
            direct(&[("direct/dest_ip", "0.0.0.0"), there[1]]),
        ),
        (
            "property direct/dest_ip: fd00::2 is of another family than the address that the overlay listens at, 10.88.0.1",
            direct(&[("direct/dest_ip", "fd00::2"), there[1]]),
        ),
        (
            "property direct/dest_ip: 10.88.0.1 is the address that the overlay listens at itself",
            direct(&[("direct/dest_ip", "10.88.0.1"), there[1]]),
        ),
        (
            "property outer/srcport_min: 9 is larger than outer/srcport_max, 8; at most that is allowed",
            dynamic(&[LISTEN, ("outer/srcport_min", "9"), ("outer/srcport_max", "8")]),
        ),
        (
            "property vnetid: 77 is that of overlay red, which listens at 10.88.0.1:4789 too",
            spec("x", "vxlan", 77, Search::Dynamic, &[LISTEN]),
        ),
        (
            "10.88.0.1:4789: is in use by vxlan; one address and port can have one encapsulation",
            spec("x", "geneve", 1, Search::Dynamic, &[("geneve/listen_ip", "10.88.0.1"), ("geneve/listen_port", "4789")]),
        ),
        (
            "property vnetid: vni 4095: NVGRE reserves it (RFC 7637 3.2); 4096 to 16777214 is allowed",
            spec("x", "nvgre", 4095, Search::Dynamic, &[("nvgre/listen_ip", "10.88.0.1")]),
        ),
        (
            "property direct/dest_port: there is no such property; did you mean direct/dest_ip?",
            spec("x", "nvgre", 4096, Search::Direct, &[("nvgre/listen_ip", "10.88.0.1"), there[0], there[1]]),
        ),
        (
            "property geneve/options: option 1, \"x\": CLASS:TYPE:DATA is allowed, as in 0102:80:00010002; DATA may be empty",
            spec("x", "geneve", 1, Search::Dynamic, &[("geneve/listen_ip", "10.88.0.1"), ("geneve/options", "x")]),
        ),
    ] {
        refused(&mut host, sentence, |control| control.create_device(spec, NOW));
    }
}

#[test]
fn a_device_with_ports_is_not_deleted_and_one_that_is_not_there_not_changed() {
    let (mut host, [red, ..], _) = three();
    host.port(red, "vnic1", mac(2));
    refused(&mut host, "overlay red: has VNICs: vnic0, vnic1; delete them first", |control| control.delete_device(red, NOW));
    let gone = DeviceId(77);
    let sentence = "overlay 77: there is none of that id";
    refused(&mut host, sentence, |control| control.delete_device(gone, NOW));
    refused(&mut host, sentence, |control| control.set_property(gone, "mtu", "1400", NOW));
    refused(&mut host, sentence, |control| control.reset_property(gone, "mtu", NOW));
    refused(&mut host, sentence, |control| control.property(gone, "mtu"));
    refused(&mut host, sentence, |control| control.add_port(gone, &PortSpec { name: "x".to_owned(), mac: mac(9), mtu: 1400 }));
    refused(&mut host, sentence, |control| control.set_target(gone, mac(9), &SetTarget::Drop, Source::Static, None, NOW));
    refused(&mut host, sentence, |control| control.remove_target(gone, mac(9), NOW));
    refused(&mut host, sentence, |control| control.flush(gone, false, NOW));
    refused(&mut host, sentence, |control| control.inject(gone, &[0; 60]));
    refused(&mut host, sentence, |control| control.resend(gone, &[0; 60], NOW));
}

#[test]
fn a_property_that_does_not_fit_is_not_set() {
    let (mut host, [red, blue, green], _) = three();
    let nvgre = host.device(spec("grey", "nvgre", 5077, Search::Dynamic, &[("nvgre/listen_ip", "10.88.0.1")]));
    host.open(1500);
    host.take();
    for (device, name, value, sentence) in [
        (red, "encap", "geneve", "property encap: cannot be changed (PERM r-)"),
        (red, "mtux", "1400", "property mtux: there is no such property; did you mean mtu?"),
        (red, "mtu", "1399", "property mtu: 1399 is below the MTU of VNIC vnic0, 1400"),
        (red, "mtu", "", "property mtu: \"\" is not allowed; 576-65000 is"),
        (red, "vnetid", "16777216", "property vnetid: \"16777216\" is not allowed; 0-16777215 is"),
        (red, "vnetid", "78", "property vnetid: 78 is that of overlay blue, which listens at 10.88.0.1:4789 too"),
        (nvgre, "vnetid", "1", "property vnetid: vni 1: NVGRE reserves it (RFC 7637 3.2); 4096 to 16777214 is allowed"),
        (red, "vxlan/listen_port", "0", "property vxlan/listen_port: \"0\" is not allowed; 1-65535 is"),
        (red, "vxlan/listen_port", "6081", "10.88.0.1:6081: is in use by geneve; one address and port can have one encapsulation"),
        (green, "geneve/listen_port", "4789", "10.88.0.1:4789: is in use by vxlan; one address and port can have one encapsulation"),
        (blue, "direct/dest_ip", "10.88.0.1", "property direct/dest_ip: 10.88.0.1 is the address that the overlay listens at itself"),
        (blue, "vxlan/listen_ip", "10.88.0.2", "property direct/dest_ip: 10.88.0.2 is the address that the overlay listens at itself"),
        (
            blue,
            "vxlan/listen_ip",
            "fd00::1",
            "property direct/dest_ip: 10.88.0.2 is of another family than the address that the overlay listens at, fd00::1",
        ),
        (blue, "direct/dest_port", "0", "property direct/dest_port: \"0\" is not allowed; 1-65535 is"),
        (
            blue,
            "target/max",
            "5",
            "property target/max: there is no such property; there are mtu, vnetid, encap, ping/answer, underlay/namespace, underlay/trust_partial_checksum, direct/dest_ip, direct/dest_port, outer/ttl, \
             outer/dscp, outer/ecn, outer/df, outer/srcport_min, outer/srcport_max, vxlan/listen_ip, vxlan/listen_port, \
             vxlan/reserved_bits, vxlan/allowed_sources",
        ),
        (red, "outer/srcport_max", "9", "property outer/srcport_min: 49152 is larger than outer/srcport_max, 9; at most that is allowed"),
        (
            red,
            "vxlan/allowed_sources",
            "10.0.0.1/8",
            "property vxlan/allowed_sources: \"10.0.0.1/8\" has bits behind its length; 10.0.0.0/8 has none",
        ),
    ] {
        refused(&mut host, sentence, |control| control.set_property(device, name, value, NOW));
    }
    for (device, name, sentence) in [
        (red, "vxlan/listen_ip", "property vxlan/listen_ip: is required and not set; an IP address is allowed"),
        (red, "vnetid", "property vnetid: is required and not set; 0-16777215 is allowed"),
        (red, "encap", "property encap: cannot be changed (PERM r-)"),
        (red, "mtux", "property mtux: there is no such property; did you mean mtu?"),
        (blue, "direct/dest_ip", "property direct/dest_ip: is required and not set; an IP address is allowed"),
        (blue, "direct/dest_port", "property direct/dest_port: is required and not set; 1-65535 is allowed"),
    ] {
        refused(&mut host, sentence, |control| control.reset_property(device, name, NOW));
    }
    refused(&mut host, "property mtux: overlay red has none of that name", |control| control.property(red, "mtux"));
    // The default is below the port's MTU once that has grown.
    host.control.set_property(red, "mtu", "1450", NOW).unwrap();
    host.control.change_port(PortId(1), mac(1), 1450).unwrap();
    host.drain();
    host.take();
    refused(&mut host, "property mtu: 1400 is below the MTU of VNIC vnic0, 1450", |control| control.reset_property(red, "mtu", NOW));
}

#[test]
fn a_port_that_does_not_fit_is_not_added_or_changed() {
    let (mut host, [red, blue, _], port) = three();
    host.port(red, "vnic1", mac(2));
    let of = |name: &str, mac, mtu| PortSpec { name: name.to_owned(), mac, mtu };
    let group = "ff:ff:ff:ff:ff:ff: a VNIC's address cannot be a group address or zero";
    let zero = "00:00:00:00:00:00: a VNIC's address cannot be a group address or zero";
    let taken = "02:08:00:00:00:02: VNIC vnic1 of overlay red has this address";
    for (sentence, spec) in [
        ("VNIC vnic0: overlay red has one of that name already", of("vnic0", mac(9), 1400)),
        (group, of("x", Mac::BROADCAST, 1400)),
        (zero, of("x", Mac([0; 6]), 1400)),
        (taken, of("x", mac(2), 1400)),
        ("VNIC x: an MTU of 1401 is above that of overlay red, 1400", of("x", mac(9), 1401)),
    ] {
        refused(&mut host, sentence, |control| control.add_port(red, &spec));
    }
    for (sentence, mac, mtu) in [
        (group, Mac::BROADCAST, 1400),
        (zero, Mac([0; 6]), 1400),
        (taken, mac(2), 1400),
        ("VNIC vnic0: an MTU of 1401 is above that of overlay red, 1400", mac(1), 1401),
    ] {
        refused(&mut host, sentence, |control| control.change_port(port, mac, mtu));
    }
    refused(&mut host, "port 77: there is none of that id", |control| control.change_port(PortId(77), mac(9), 1400));
    refused(&mut host, "port 77: there is none of that id", |control| control.remove_port(PortId(77)));
    // Its own address and another device's ports are in nobody's way.
    host.control.change_port(port, mac(1), 600).unwrap();
    host.control.add_port(blue, &of("vnic0", mac(1), 1400)).unwrap();
}

#[test]
fn targets_that_do_not_fit_are_not_set() {
    let (mut host, [red, blue, _], _) = three();
    let direct = "overlay blue: is direct, and has no target table";
    refused(&mut host, direct, |control| control.set_target(blue, mac(9), &SetTarget::Drop, Source::Static, None, NOW));
    refused(&mut host, direct, |control| control.remove_target(blue, mac(9), NOW));
    refused(&mut host, direct, |control| control.flush(blue, false, NOW));
    let of = |rest: &str| format!("target 02:08:00:00:00:09 of overlay red: {rest}");
    for (to, rest) in [
        (&[][..], "no underlay address is given; at least one is needed"),
        (
            &["10.88.0.2:4789", "10.88.0.3:4789"],
            "2 underlay addresses are given; only broadcast and multicast destinations have more than one",
        ),
        (&["10.88.0.2"], "10.88.0.2 has no port; this encapsulation needs one"),
        (&["0.0.0.0:4789"], "0.0.0.0:4789 is no address that anything could be sent to"),
        (&["239.1.1.1:4789"], "239.1.1.1:4789 is a multicast address; only broadcast and multicast frames may go to one"),
        (&["10.88.0.1:4789"], "10.88.0.1:4789 is the address that the overlay listens at itself"),
        (&["[fd00::2]:4789"], "[fd00::2]:4789 is of another family than the address that the overlay listens at, 10.88.0.1"),
    ] {
        let target = SetTarget::Reach(to.iter().map(|text| ul3(text)).collect());
        refused(&mut host, &of(rest), |control| control.set_target(red, mac(9), &target, Source::Static, None, NOW));
    }
    let zero = "target 00:00:00:00:00:00 of overlay red: no frame has this destination";
    refused(&mut host, zero, |control| control.set_target(red, Mac([0; 6]), &SetTarget::Drop, Source::Static, None, NOW));
    refused(&mut host, "overlay red: a frame of 13 bytes is shorter than an Ethernet header, 14", |control| control.inject(red, &[0; 13]));
    refused(
        &mut host,
        "overlay red: a frame of 1423 bytes; at most 1422 are allowed (the overlay's MTU and an Ethernet header)",
        |control| control.resend(red, &[0; 1423], NOW),
    );
    let stray = frame(mac(1), mac(9), &[0; 46]);
    refused(&mut host, "overlay red: no VNIC has the destination of the frame", |control| control.inject(red, &stray));
}

#[test]
fn an_ipv4_socket_reaches_no_ipv6_even_if_it_listens_everywhere() {
    let mut host = Host::new();
    let device = host.device(spec("red", "vxlan", 77, Search::Dynamic, &[("vxlan/listen_ip", "0.0.0.0")]));
    let six = SetTarget::Reach(vec![ul3("[fd00::2]:4789")]);
    let sentence = "target 02:08:00:00:00:09 of overlay red: [fd00::2]:4789 is of another family than the address that the overlay listens at, \
                    0.0.0.0";
    host.take();
    refused(&mut host, sentence, |control| control.set_target(device, mac(9), &six, Source::Static, None, NOW));
    // One that listens at :: speaks both.
    host.control.set_property(device, "vxlan/listen_ip", "::", NOW).unwrap();
    let four = SetTarget::Reach(vec![ul3("10.88.0.2:4789")]);
    for target in [&six, &four] {
        host.control.set_target(device, mac(9), target, Source::Static, None, NOW).unwrap();
    }
}

/// What was learned in one virtual network would send frames of another one to the wrong hosts.
#[test]
fn another_network_forgets_what_was_learned_in_the_old_one() {
    let (mut host, device, port) = red();
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    host.reach("10.88.0.2:4789");
    host.take();
    let to = SetTarget::Reach(vec!["10.88.0.3:4789".parse().unwrap()]);
    host.control.set_target(device, mac(3), &to, Source::Static, None, host.now).unwrap();
    host.frame(port, &frame(mac(1), mac(4), &[7]));
    host.take();
    let before = host.device_counts(device);
    host.control.set_property(device, "vnetid", "79", host.now).unwrap();
    host.drain();
    host.take();
    let targets = host.control.targets(device).unwrap();
    assert!(targets.get(mac(2), host.now).is_none(), "learned in the old network");
    assert!(targets.get(mac(3), host.now).is_some(), "set by hand for the device");
    let info = host.control.device(device).unwrap();
    assert_eq!((info.lookups, info.pending_bytes), (0, 0), "what was asked in the old network is withdrawn");
    assert_ne!(host.device_counts(device), before, "the frame that waited is counted as a drop");
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    host.take();
    assert_eq!(host.control.device(device).unwrap().lookups, 1, "the next frame asks");
}

#[test]
fn whatever_changes_counters_ports_and_targets_stay() {
    let (mut host, device, port) = red();
    host.control.set_property(device, "vnetid", "79", host.now).unwrap();
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    host.reach("10.88.0.2:4789");
    host.take();
    for (name, value) in [
        ("mtu", "1450"),
        ("vxlan/listen_ip", "10.88.0.7"),
        ("vxlan/listen_port", "4790"),
        ("vxlan/reserved_bits", "strict"),
        ("vxlan/allowed_sources", "10.88.0.0/24"),
        ("outer/ttl", "9"),
        ("outer/dscp", "46"),
        ("outer/ecn", "compatibility"),
        ("outer/df", "clear"),
        ("outer/srcport_min", "50000"),
        ("outer/srcport_max", "50000"),
        ("target/max", "10"),
        ("target/ttl", "10"),
        ("target/negative_ttl", "10"),
    ] {
        let of = |host: &Host| {
            let info = host.control.device(device).unwrap();
            let row = host.control.targets(device).unwrap().get(mac(2), host.now).unwrap();
            (host.device_counts(device), counts_of(&host.control.port_totals(port).unwrap()), info.ports, row)
        };
        let before = of(&host);
        host.control.set_property(device, name, value, host.now).unwrap();
        host.open(1500);
        assert_eq!(of(&host), before, "{name}");
        assert_eq!(host.control.property(device, name), Ok(Some(value.to_owned())));
        host.take();
        host.frame(port, &frame(mac(1), mac(2), &[7]));
        assert_eq!(host.take().sent.len(), 1, "{name}: frames pass");
    }
    // All of it is seen in what is sent, and shown.
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    let sent = host.take().sent;
    let outer = sent[0].outer;
    assert_eq!((outer.ttl, outer.tos, outer.dont_fragment, outer.source_port), (9, 46 << 2, false, 50_000));
    assert_eq!(sent[0].bytes[..8], [8, 0, 0, 0, 0, 0, 79, 0]);
    let info = host.control.device(device).unwrap();
    assert_eq!((info.mtu, info.spec.vni.get(), info.spec.properties.len()), (1450, 79, 14));
    assert!(info.spec.properties.contains(&("vxlan/listen_ip".to_owned(), "10.88.0.7".to_owned())));
    // And the defaults come back.
    for (name, value) in [("mtu", "1400"), ("outer/ttl", "64"), ("outer/srcport_max", "65535"), ("vxlan/listen_port", "4789")] {
        host.control.reset_property(device, name, host.now).unwrap();
        assert_eq!(host.control.property(device, name), Ok(Some(value.to_owned())));
    }
}

#[test]
fn a_device_as_it_is_shown_can_be_made_again() {
    let (mut host, device, port) = red();
    host.control.remove_port(port).unwrap();
    host.control.set_property(device, "vnetid", "79", NOW).unwrap();
    host.control.set_property(device, "vxlan/allowed_sources", "10.0.0.0/8, fd00::1", NOW).unwrap();
    let shown = host.control.device(device).unwrap().spec;
    host.control.delete_device(device, NOW).unwrap();
    let again = host.device(shown.clone());
    assert_eq!(host.control.device(again).unwrap().spec, shown);
    assert_ne!(again, device, "an id is not used again");
}

#[test]
fn another_vni_is_another_network() {
    let (mut host, device, port) = red();
    let underlay = host.underlay(device);
    let datagram = |vni: u8| [&[8, 0, 0, 0, 0, 0, vni, 0][..], &frame(mac(9), mac(1), &[7; 6])].concat();
    host.control.set_property(device, "vnetid", "79", NOW).unwrap();
    host.drain();
    assert_eq!(host.underlay(device), underlay, "the socket stays");
    assert!(host.take().events.is_empty(), "nothing about the underlay or the device's state has changed");
    host.datagram(underlay, "10.88.0.2:50000", &datagram(77));
    assert!(host.take().given.is_empty());
    assert_eq!(host.control.nobodys_totals().dropped(DropReason::UnknownVni), 1);
    host.datagram(underlay, "10.88.0.2:50000", &datagram(79));
    assert_eq!(host.take().given[0].port, port);
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    assert_eq!(host.done.lookups[0].vni.get(), 79);
    // The old one is free.
    host.device(spec("blue", "vxlan", 77, Search::Dynamic, &[LISTEN]));
}

#[test]
fn a_device_that_listens_elsewhere_opens_there_first_and_then_leaves() {
    let (mut host, device, port) = red();
    let old = host.underlay(device);
    for (name, value, listen) in [("vxlan/listen_port", "4790", "10.88.0.1:4790"), ("vxlan/listen_ip", "fd00::1", "[fd00::1]:4790")] {
        let old = host.underlay(device);
        host.control.set_property(device, name, value, NOW).unwrap();
        host.drain();
        let new = host.underlay(device);
        let reason = "the underlay is not open yet".to_owned();
        let opened = Event::UnderlayOpen {
            underlay: new,
            encapsulation: "vxlan".to_owned(),
            carrier: Carrier::Udp,
            namespace: None,
            listen: ul3(listen),
        };
        let closed = Event::UnderlayClose { underlay: old };
        let degraded = Event::Device { device, degraded: Some(reason.clone()) };
        assert_eq!(host.take().events, [opened, closed, degraded]);
        assert_eq!(host.control.device(device).unwrap().degraded, Some((reason, NOW)));
        host.frame(port, &frame(mac(1), mac(2), &[7]));
        assert!(host.take().is_silent());
        host.open(1500);
        assert_eq!(host.take().events, [Event::Device { device, degraded: None }]);
        assert_eq!(host.control.device(device).unwrap().degraded, None);
        let places: Vec<Ul3> = host.control.underlays().map(|underlay| underlay.listen).collect();
        assert_eq!(places, [ul3(listen)]);
    }
    assert_eq!(host.control.totals().dropped(DropReason::OverlayDown), 2);
    // A report about what was closed moves nothing.
    host.control.handle_underlay(old, Err("closed".to_owned()), NOW);
    host.drain();
    assert!(host.take().events.is_empty());
}

#[test]
fn devices_share_an_underlay_until_the_last_one_leaves() {
    let (mut host, [red, blue, green], port) = three();
    let shared = host.underlay(red);
    assert_eq!((host.underlay(blue), host.control.underlays().count()), (shared, 2));
    assert_ne!(host.underlay(green), shared);
    assert_eq!(host.control.device(blue).unwrap().degraded, None, "it was open already");
    host.control.remove_port(port).unwrap();
    host.control.delete_device(red, NOW).unwrap();
    host.drain();
    assert!(host.take().events.is_empty(), "blue is still there");
    // Where another device listens already, nothing needs to be opened.
    host.control.set_property(blue, "vxlan/listen_port", "4790", NOW).unwrap();
    let lilac = host.device(spec("lilac", "vxlan", 80, Search::Dynamic, &[LISTEN]));
    host.open(1500);
    host.take();
    host.control.set_property(blue, "vxlan/listen_port", "4789", NOW).unwrap();
    host.drain();
    assert_eq!(host.underlay(blue), host.underlay(lilac));
    let events = host.take().events;
    assert!(matches!(events[..], [Event::UnderlayClose { .. }]), "{events:?}");
    for device in [blue, lilac, green] {
        host.control.delete_device(device, NOW).unwrap();
    }
    host.drain();
    let closed: Vec<_> = host.take().events;
    assert!(matches!(closed[..], [Event::UnderlayClose { .. }, Event::UnderlayClose { .. }]), "{closed:?}");
    assert_eq!((host.control.underlays().count(), host.control.devices().count()), (0, 0));
}

/// Why a device is degraded and since when.
fn degraded(host: &Host, device: DeviceId) -> Option<(String, u64)> {
    host.control.device(device).unwrap().degraded.map(|(reason, since)| (reason, since.0))
}

fn why(reason: &str, since: u64) -> Option<(String, u64)> {
    Some((reason.to_owned(), since))
}

#[test]
fn a_lost_underlay_degrades_all_who_share_it_and_is_named_with_its_time() {
    let (mut host, [red, blue, green], port) = three();
    let shared = host.underlay(red);
    host.control.handle_underlay(shared, Err("10.88.0.1 is gone".to_owned()), Time(6_000_000));
    host.drain();
    let of = |device, degraded: Option<&str>| Event::Device { device, degraded: degraded.map(str::to_owned) };
    assert_eq!(host.take().events, [of(red, Some("10.88.0.1 is gone")), of(blue, Some("10.88.0.1 is gone"))]);
    // The driver tries again and again; that is no news.
    for now in [7_000_000, 8_000_000] {
        host.control.handle_underlay(shared, Err("10.88.0.1 is gone".to_owned()), Time(now));
    }
    host.drain();
    assert!(host.take().events.is_empty());
    let since = why("10.88.0.1 is gone", 6_000_000);
    assert_eq!([red, blue, green].map(|device| degraded(&host, device)), [since.clone(), since, None]);
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    host.control.handle_underlay(shared, Ok(1500), Time(9_000_000));
    host.drain();
    assert_eq!(host.take().events, [of(red, None), of(blue, None)]);
    assert_eq!(host.control.totals().dropped(DropReason::OverlayDown), 1);
    // Open with another MTU: frames obey it, nobody is degraded.
    host.control.handle_underlay(shared, Ok(1400), Time(9_500_000));
    host.drain();
    assert!(host.take().events.is_empty());
    let blue_port = host.port(blue, "vnic0", mac(1));
    host.frame(blue_port, &frame(mac(1), mac(2), &[7; 1400 - 50]));
    assert_eq!(host.take().sent.len(), 1);
    host.frame(blue_port, &frame(mac(1), mac(2), &[7; 1401 - 50]));
    assert_eq!(host.take().sent.len(), 0);
    host.control.handle_underlay(UnderlayId(77), Err("nobody's".to_owned()), Time(9_900_000));
    host.drain();
    assert!(host.take().events.is_empty());
}

#[test]
fn without_an_answerer_only_those_who_ask_are_degraded() {
    let (mut host, [red, blue, green], _) = three();
    host.control.answerer_lost("varpd went away", Time(6_000_000));
    host.drain();
    let of = |device, degraded: Option<&str>| Event::Device { device, degraded: degraded.map(str::to_owned) };
    assert_eq!(host.take().events, [of(red, Some("varpd went away")), of(green, Some("varpd went away"))]);
    assert_eq!(degraded(&host, red), why("varpd went away", 6_000_000));
    assert_eq!((degraded(&host, blue), degraded(&host, green)), (None, why("varpd went away", 6_000_000)));
    // The underlay is worse, and shown first; the other one is not forgotten.
    host.control.handle_underlay(host.underlay(red), Err("no link".to_owned()), Time(7_000_000));
    assert_eq!(degraded(&host, red), why("no link", 7_000_000));
    host.control.handle_underlay(host.underlay(red), Ok(1500), Time(8_000_000));
    assert_eq!(degraded(&host, red), why("varpd went away", 6_000_000));
    // A device that is made meanwhile suffers from it since it began.
    let late = host.device(spec("late", "vxlan", 99, Search::Dynamic, &[LISTEN]));
    assert_eq!(degraded(&host, late), why("varpd went away", 6_000_000));
    host.drain();
    host.take();
    host.control.answerer_attached(Time(9_000_000));
    host.drain();
    assert_eq!(host.take().events, [of(red, None), of(green, None), of(late, None)]);
    assert_eq!([red, blue, green, late].map(|device| degraded(&host, device)), [None, None, None, None]);
}

#[test]
fn a_plugin_may_say_that_a_device_is_degraded() {
    let (mut host, [red, blue, _], _) = three();
    host.control.degrade(red, Some("the mapping file is broken".to_owned()), Time(6_000_000));
    host.drain();
    let of = |degraded: Option<&str>| Event::Device { device: red, degraded: degraded.map(str::to_owned) };
    assert_eq!(host.take().events, [of(Some("the mapping file is broken"))]);
    host.control.degrade(red, Some("the mapping file is broken".to_owned()), Time(7_000_000));
    assert_eq!((degraded(&host, red), degraded(&host, blue)), (why("the mapping file is broken", 6_000_000), None));
    // Changing a property does not heal it.
    host.control.set_property(red, "outer/ttl", "9", NOW).unwrap();
    host.drain();
    assert!(host.take().events.is_empty());
    host.control.degrade(red, None, Time(8_000_000));
    host.drain();
    assert_eq!((host.take().events, degraded(&host, red)), (vec![of(None)], None));
    host.control.degrade(DeviceId(77), None, Time(8_000_000));
}

#[test]
fn what_a_deleted_device_counted_is_not_lost() {
    let (mut host, device, port) = red();
    host.frame(port, &frame(mac(1), mac(2), &[7]));
    host.reach("10.88.0.2:4789");
    host.frame(port, &frame(mac(1), mac(3), &[7]));
    let before = host.counts();
    host.control.remove_port(port).unwrap();
    host.control.delete_device(device, NOW).unwrap();
    host.drain();
    assert_eq!(grown(&before, &host.counts()), counts([("drop overlay-removed", 1)]), "the frame that waited");
    assert_eq!((host.control.device(device), host.control.device_totals(device)), (None, None));
    assert_eq!(host.take().withdrawn.len(), 1);
    assert!(host.control.poll_timeout().is_none_or(|due| due > host.now), "nothing of it is left to be timed");
}
