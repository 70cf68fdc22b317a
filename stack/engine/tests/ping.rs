//! Does the other end answer, whom, and how often?

mod common;

use common::{Host, counts, frame, grown, mac, spec, ul3};
use overlay_api::DeviceId;
use overlay_decoder::Ul3;
use overlay_engine::ping::{ADDRESS, Kind, PINGS_MAX, Ping, PingSpec, Pong, SIZE_MAX};
use overlay_engine::{Event, Search, Sending};

const ID: u64 = 0x5077_0000_0000_0001;

/// A host with one direct device towards the other.
fn host(encapsulation: &str, own: &str, other: &str) -> (Host, DeviceId) {
    let mut host = Host::new();
    let listen = format!("{encapsulation}/listen_ip");
    let mut given = vec![(listen.as_str(), own), ("direct/dest_ip", other)];
    if encapsulation != "nvgre" {
        given.push(("direct/dest_port", if encapsulation == "vxlan" { "4789" } else { "6081" }));
    }
    let device = host.device(spec("red", encapsulation, 5077, Search::Direct, &given));
    host.open(1500);
    host.take();
    (host, device)
}

fn asked(to: &str, size: u32, sequence: u32) -> PingSpec {
    PingSpec { id: ID, sequence, size, to: ul3(to), whole: true }
}

/// What was sent comes to `host`, from an address with the source port that it was sent from.
fn arrive(host: &mut Host, device: DeviceId, sending: &Sending, from: &str) {
    let from = Ul3 { ip: from.parse().unwrap(), port: sending.outer.to.port.map(|_| sending.outer.source_port) }.to_string();
    host.datagram(host.underlay(device), &from, &sending.bytes);
    host.misses();
}

#[test]
fn a_ping_goes_there_and_back_with_every_encapsulation_over_both_families() {
    for encapsulation in ["vxlan", "geneve", "nvgre"] {
        for (near_ip, far_ip) in [("10.88.0.1", "10.88.0.2"), ("fd00:88::1", "fd00:88::2")] {
            let (mut near, red) = host(encapsulation, near_ip, far_ip);
            let (mut far, blue) = host(encapsulation, far_ip, near_ip);
            let to = near.control.ping_target(red, ul3(far_ip)).unwrap();
            near.control.open_ping(red, ID).unwrap();
            let (near_before, far_before) = (near.device_counts(red), far.device_counts(blue));
            let ask = near.ping(red, &PingSpec { to, ..asked(far_ip, 1000, 7) }).unwrap();
            assert!(ask.outer.dont_fragment && ask.outer.to == to);
            arrive(&mut far, blue, &ask, near_ip);
            let answers = far.take().sent;
            let [answer] = &answers[..] else { panic!("one answer: {answers:?}") };
            // To where the other end listens; nobody listens at the source port.
            assert_eq!(answer.outer.to, far.control.ping_target(blue, ul3(near_ip)).unwrap());
            assert_eq!(answer.bytes.len(), ask.bytes.len(), "an answer is as long as what was asked");
            arrive(&mut near, red, answer, far_ip);
            let events = near.take().events;
            let [Event::Pong(Pong { device, ping, size: 1000, at, .. })] = events[..] else { panic!("{events:?}") };
            assert_eq!((device, ping), (red, Ping { kind: Kind::Answer, mtu: 1400, id: ID, sequence: 7 }));
            assert_eq!(at, near.now);
            let len = ask.bytes.len() as i64;
            let both = counts([("pings_out", 1), ("pings_in", 1), ("datagrams_in", 1), ("datagrams_in_bytes", len)]);
            assert_eq!(grown(&near_before, &near.device_counts(red)), both);
            assert_eq!(grown(&far_before, &far.device_counts(blue)), both);
        }
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    near.control.open_ping(red, ID).unwrap();
    let ask = near.ping(red, &asked("10.88.0.2:4789", 64, 1)).unwrap();
    arrive(&mut far, blue, &ask, "10.88.0.1");
    let answer = far.take().sent.remove(0);
    near.control.close_ping(red, ID);
    let before = near.device_counts(red);
    arrive(&mut near, red, &answer, "10.88.0.2");
    let len = answer.bytes.len() as i64;
    let dropped = counts([("datagrams_in", 1), ("datagrams_in_bytes", len), ("drop ping-ignored", 1)]);
    assert_eq!((grown(&before, &near.device_counts(red)), near.take().events), (dropped, vec![]));
}

#[test]
fn a_flood_of_answers_with_a_known_id_is_taken_up_to_the_budget() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    near.control.open_ping(red, ID).unwrap();
    let ask = near.ping(red, &asked("10.88.0.2:4789", 64, 1)).unwrap();
    arrive(&mut far, blue, &ask, "10.88.0.1");
    let answer = far.take().sent.remove(0);
    let before = near.device_counts(red);
    (0..1000).for_each(|_| near.datagram(near.underlay(red), "10.88.0.2:50000", &answer.bytes));
    near.misses();
    let taken = near.take().events.len() as i64;
    assert_eq!(taken, 128, "a burst");
    let len = 1000 * answer.bytes.len() as i64;
    let all = [("datagrams_in", 1000), ("datagrams_in_bytes", len), ("pings_in", taken), ("drop ping-ignored", 1000 - taken)];
    assert_eq!(grown(&before, &near.device_counts(red)), counts(all));
}

#[test]
fn a_flood_of_pings_is_answered_up_to_the_budget_and_leaves_the_queue_to_tenants() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    near.control.open_ping(red, ID).unwrap();
    let ask = near.ping(red, &asked("10.88.0.2:4789", 64, 1)).unwrap();
    let before = far.device_counts(blue);
    (0..1000).for_each(|_| far.datagram(far.underlay(blue), "10.88.0.1:50000", &ask.bytes));
    far.misses();
    let answered = far.take().sent.len() as i64;
    assert_eq!(answered, 128, "a burst");
    let len = 1000 * ask.bytes.len() as i64;
    let all = counts([
        ("datagrams_in", 1000),
        ("datagrams_in_bytes", len),
        ("pings_in", answered),
        ("pings_out", answered),
        ("drop ping-ignored", 1000 - answered),
    ]);
    assert_eq!(grown(&before, &far.device_counts(blue)), all);
    far.pass(10_000_000);
    (0..10).for_each(|_| far.datagram(far.underlay(blue), "10.88.0.1:50000", &ask.bytes));
    far.misses();
    assert_eq!(far.take().sent.len(), 2, "one every five milliseconds");
}

#[test]
fn a_device_that_shall_not_answer_does_not_and_can_be_told_while_it_runs() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    near.control.open_ping(red, ID).unwrap();
    let ask = near.ping(red, &asked("10.88.0.2:4789", 64, 1)).unwrap();
    for (value, answers) in [("off", 0), ("on", 1)] {
        far.control.set_property(blue, "ping/answer", value, far.now).unwrap();
        far.drain();
        arrive(&mut far, blue, &ask, "10.88.0.1");
        assert_eq!(far.take().sent.len(), answers, "{value}");
    }
}

#[test]
fn a_port_with_the_address_of_pings_gets_its_frames() {
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    far.port(blue, "vnic0", ADDRESS);
    let inner = frame(mac(9), ADDRESS, &[0; 100]);
    let vxlan = [&[8, 0, 0, 0, 0, 0x13, 0xd5, 0], &inner[..]].concat();
    far.datagram(far.underlay(blue), "10.88.0.1:50000", &vxlan);
    assert_eq!(far.take().given.len(), 1);
}

#[test]
fn an_answer_goes_to_where_this_device_sends_and_not_to_a_port_of_the_strangers_choice() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    near.control.open_ping(red, ID).unwrap();
    let ask = near.ping(red, &asked("10.88.0.2:4789", 64, 1)).unwrap();
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    far.control.set_property(blue, "direct/dest_port", "8472", far.now).unwrap();
    far.drain();
    for (from, to) in [("10.88.0.1:9", "10.88.0.1:8472"), ("10.88.0.77:9", "10.88.0.77:4789")] {
        far.datagram(far.underlay(blue), from, &ask.bytes);
        far.misses();
        assert_eq!(far.take().sent[0].outer.to, ul3(to), "{from}");
    }
}

#[test]
fn what_does_not_fit_the_way_back_is_not_answered() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    near.control.open_ping(red, ID).unwrap();
    let (mut far, blue) = host("vxlan", "10.88.0.2", "10.88.0.1");
    far.control.handle_path_mtu(far.underlay(blue), "10.88.0.1".parse().unwrap(), Some(1000));
    for (size, answers) in [(950, 1), (951, 0)] {
        let ask = near.ping(red, &asked("10.88.0.2:4789", size, size)).unwrap();
        arrive(&mut far, blue, &ask, "10.88.0.1");
        assert_eq!(far.take().sent.len(), answers, "{size}: 20 + 8 + 8 + 14 bytes around it");
    }
    assert_eq!(near.control.ping_packet(red, "10.88.0.2".parse().unwrap(), 950), Some(1000));
}

#[test]
fn what_cannot_be_sent_is_a_sentence() {
    let (mut near, red) = host("vxlan", "10.88.0.1", "10.88.0.2");
    let said = |host: &mut Host, spec: &PingSpec| host.ping(red, spec).unwrap_err().to_string();
    let size = asked("10.88.0.2:4789", SIZE_MAX + 1, 1);
    assert_eq!(said(&mut near, &size), "size 65001: is not allowed; 46 to 65000 is");
    let family = asked("[fd00::2]:4789", 64, 1);
    assert!(said(&mut near, &family).starts_with("[fd00::2]:4789 is of another family than the address"));
    let group = asked("239.1.1.1:4789", 64, 1);
    assert!(said(&mut near, &group).contains("is a multicast address"));
    (1..=PINGS_MAX as u64).for_each(|id| near.control.open_ping(red, id).unwrap());
    assert_eq!(
        near.control.open_ping(red, 9).unwrap_err().to_string(),
        "overlay red: 4 pings are under way; no more are allowed at one time"
    );
    let underlay = near.underlay(red);
    near.control.handle_underlay(underlay, Err("address 10.88.0.1 is not there".to_owned()), near.now);
    near.drain();
    assert_eq!(said(&mut near, &asked("10.88.0.2:4789", 64, 1)), "overlay red: is down: address 10.88.0.1 is not there");
}
