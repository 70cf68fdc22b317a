//! Do two engines with a wire between them lose, double, reorder or mix up anything?
//!
//! `OVERLAY_SEEDS=1000` runs more seeds than usual, `OVERLAY_SEED=7` that one alone.

mod common;
#[path = "common/net.rs"]
mod net;

use common::*;
use net::{Net, Scenario};
use overlay_api::{Answer, DropReason};
use overlay_decoder::Mac;
use overlay_engine::outer::Family;
use overlay_engine::{Offload, Search, SegmentKind, Segments};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// Runs a scenario with each encapsulation, over IPv4 and IPv6, with several seeds.
fn everywhere(change: impl Fn(&mut Scenario)) -> Vec<Net> {
    let seeds = match number("OVERLAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("OVERLAY_SEEDS").unwrap_or(4),
    };
    let mut nets = Vec::new();
    for seed in seeds {
        for encapsulation in ["vxlan", "geneve", "nvgre"] {
            for family in [Family::V4, Family::V6] {
                let mut scenario = Scenario::calm(encapsulation, family, seed);
                change(&mut scenario);
                let mut net = Net::new(scenario);
                net.run();
                nets.push(net);
            }
        }
    }
    nets
}

fn sum(nets: &[Net], what: impl Fn(&Net) -> u64) -> u64 {
    nets.iter().map(what).sum()
}

fn dropped(nets: &[Net], reason: DropReason) -> u64 {
    sum(nets, |net| net.hosts.iter().map(|host| host.control.totals().dropped(reason)).sum())
}

#[test]
fn on_a_good_day_every_frame_arrives_once_and_in_order() {
    let nets = everywhere(|_| {});
    assert_eq!(sum(&nets, |net| net.wire.lost + net.wire.oversize + net.wire.astray), 0);
    // Those that are too big, and those to the stranger.
    for reason in DropReason::ALL.iter().filter(|reason| !matches!(reason, DropReason::TooBig | DropReason::Refused)) {
        assert_eq!(dropped(&nets, *reason), 0, "{reason}");
    }
    assert!(dropped(&nets, DropReason::TooBig) > 0 && sum(&nets, |net| net.told) > 0, "some frames are too big, and their senders told");
}

#[test]
fn one_worker_is_enough() {
    everywhere(|scenario| scenario.workers = 1);
}

#[test]
fn who_answers_is_late_silent_wrong_or_away_and_the_order_is_kept() {
    let nets = everywhere(|scenario| (scenario.calm, scenario.batches) = (false, 800));
    for reason in [DropReason::LookupTimeout, DropReason::AnswerInvalid, DropReason::Refused, DropReason::EntryRemoved] {
        assert!(dropped(&nets, reason) > 0, "it did not come to {reason}");
    }
    let late = sum(&nets, |net| net.hosts.iter().map(|host| host.control.totals().late_answers).sum());
    let resent = sum(&nets, |net| net.hosts.iter().map(|host| host.control.totals().resent).sum());
    assert!(late > 0 && resent > 0 && sum(&nets, |net| net.proxied) > 0 && sum(&nets, |net| net.wire.astray) > 0);
}

#[test]
fn a_wire_that_loses_and_reorders_is_not_made_worse() {
    let nets = everywhere(|scenario| (scenario.loss, scenario.reordering, scenario.calm) = (10, true, false));
    assert!(sum(&nets, |net| net.wire.lost) > 0);
}

#[test]
fn what_a_smaller_link_swallows_is_missing_and_nothing_else() {
    let nets = everywhere(|scenario| scenario.link_mtu = 1300);
    assert!(sum(&nets, |net| net.wire.oversize) > 0);
}

#[test]
fn a_smaller_link_that_is_reported_swallows_little_and_the_senders_are_told() {
    let silent = everywhere(|scenario| scenario.link_mtu = 1300);
    let reported = everywhere(|scenario| (scenario.link_mtu, scenario.reports) = (1300, true));
    let [before, after] = [&silent, &reported].map(|nets| sum(nets, |net| net.wire.oversize));
    // One datagram of each direction, and what was under way with it.
    assert!(after > 0 && after * 4 < before, "{before} without reports, {after} with");
    assert!(sum(&reported, |net| net.told) > sum(&silent, |net| net.told));
}

#[test]
fn a_super_frame_is_one_question_one_transmit_and_keeps_its_offload() {
    for (encapsulation, to) in [("vxlan", "10.88.0.2:4789"), ("geneve", "10.88.0.2:6081"), ("nvgre", "10.88.0.2")] {
        let mut host = Host::new();
        let device =
            host.device(spec("red", encapsulation, 5077, Search::Dynamic, &[(&format!("{encapsulation}/listen_ip"), "10.88.0.1")]));
        let port = host.port(device, "vnic0", mac(1));
        host.open(1500);
        host.attach();
        let offload =
            Offload { checksum: Some((34, 16)), segments: Some(Segments { size: 1346, header_len: 54, kind: SegmentKind::Tcp4 }) };
        let packet = [ipv4_header(6, 65_000), vec![7; 65_000]].concat();
        let bytes = frame_of(mac(1), mac(2), 0x0800, &packet);
        host.batch(0, port, &[(bytes.clone(), offload)]);
        host.misses();
        assert_eq!(host.done.lookups.len(), 1);
        host.reach(to);
        host.batch(0, port, &[(bytes.clone(), offload), (bytes.clone(), offload)]);
        let done = host.take();
        assert_eq!(done.sent.len(), 3, "one waited, two pass");
        for sending in &done.sent {
            assert_eq!((&sending.bytes[usize::from(sending.header_len)..], sending.offload), (&bytes[..], offload));
        }
        let (len, packets) = (bytes.len() as i64, 65_000_i64.div_euclid(1346) + 1);
        assert_eq!(offload.packets(bytes.len()), packets as u32);
        let expected = counts([
            ("frames_in", 3),
            ("frames_in_bytes", 3 * len),
            ("frames_in_packets", 3 * packets),
            ("lookups", 1),
            ("answers", 1),
            ("sent", 3),
            ("sent_bytes", 3 * len),
            ("datagrams_out", 3),
            ("datagrams_out_packets", 3 * packets),
            ("datagrams_out_bytes", 3 * (len + 8)),
        ]);
        assert_eq!(host.device_counts(device), expected, "{encapsulation}");
        // One byte more in a segment is too much for the device.
        let larger = Segments { size: 1347 + 14, ..offload.segments.unwrap() };
        host.batch(0, port, &[(bytes.clone(), Offload { segments: Some(larger), ..offload })]);
        assert_eq!(host.take().sent.len(), 0);
        assert_eq!(host.control.totals().dropped(DropReason::TooBig), 1);
    }
}

#[test]
fn a_broadcast_is_sent_once_to_each_of_a_list_and_handed_once_to_each_port() {
    let mut host = Host::new();
    let device = host.device(spec("red", "vxlan", 77, Search::Dynamic, &[("vxlan/listen_ip", "10.88.0.1")]));
    let ports = [1, 2, 3].map(|n| host.port(device, &format!("vnic{n}"), mac(n)));
    host.open(1500);
    host.attach();
    let bytes = frame(mac(1), Mac::BROADCAST, b"hello");
    let list = ["10.88.0.2:4789", "10.88.0.3:4789", "10.88.0.4:4789"].map(ul3).to_vec();
    host.frame(ports[0], &bytes);
    let request = host.done.lookups[0].request;
    host.answer(request, Answer::Reach { to: list.clone(), ttl_ns: Some(1_000_000_000) }).unwrap();
    let done = host.take();
    assert_eq!(done.sent.iter().map(|sending| sending.outer.to).collect::<Vec<_>>(), list);
    assert_eq!(done.given.iter().map(|delivery| delivery.port).collect::<Vec<_>>(), ports[1..]);
    // The list is known now: nobody is asked.
    host.frame(ports[1], &bytes);
    let done = host.take();
    assert_eq!((done.sent.len(), done.given.len(), done.lookups.len()), (3, 2, 0));
    let len = bytes.len() as i64;
    let expected = counts([
        ("frames_in", 2),
        ("frames_in_bytes", 2 * len),
        ("frames_in_packets", 2),
        ("lookups", 1),
        ("answers", 1),
        ("sent", 2),
        ("sent_bytes", 2 * len),
        ("datagrams_out", 6),
        ("datagrams_out_packets", 6),
        ("datagrams_out_bytes", 6 * (len + 8)),
        ("frames_out", 4),
        ("frames_out_bytes", 4 * len),
    ]);
    assert_eq!(host.counts(), expected);
}
