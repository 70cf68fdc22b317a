//! Does the kernel's half of a filter ever lose a match? Two captures at a time, one filtered live and one not, must agree.

use crate::{can_run, counted, frame, lab, listen, path, ping, read, stop};
use overlay_lab::{Answers, UdpLoad};
use overlay_tests::{difference, ndjson};
use std::net::SocketAddr;

/// Expressions that are joined in pairs below; ports and addresses of the lab.
const PARTS: &[&str] = &[
    "vni 77",
    "vni 70-77",
    "tunnel vxlan",
    "inner(icmp)",
    "inner(udp port 7)",
    "outer(udp port 4789)",
    "layer 2 (host 10.0.0.2)",
    "inner(vlan 10)",
    "outer(arp)",
    "inner(ip6)",
    "inner(greater 200)",
    "outer(vlan)",
    "outer(less 100)",
    "stopped",
];

/// Expressions of pcap-filter(7) alone, which the kernel decides.
const PLAIN: &[&str] = &["udp port 4789", "not udp", "host 10.88.0.2 and icmp", "vlan 5", "ether proto 0x88b5", "greater 200 or arp"];

/// xorshift64, so that every run asks the same.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % 1_000_003).unwrap_or_default()
}

fn generated(count: usize) -> Vec<String> {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let part = |state: &mut u64| {
        let not = if next(state).is_multiple_of(3) { "not " } else { "" };
        format!("{not}{}", PARTS[next(state) % PARTS.len()])
    };
    (0..count)
        .map(|_| {
            let (one, other, third) = (part(&mut state), part(&mut state), part(&mut state));
            let [first, second] = [next(&mut state), next(&mut state)].map(|number| if number.is_multiple_of(2) { "and" } else { "or" });
            format!("({one} {first} {other}) {second} {third}")
        })
        .collect()
}

#[test]
fn a_filter_prints_live_what_it_prints_of_everything_captured() {
    if !can_run("a_filter_prints_live_what_it_prints_of_everything_captured") {
        return;
    }
    let lab = lab("live_filter");
    let folder = tempfile::tempdir().unwrap();
    let everything = folder.path().join("everything.pcapng");
    let filters: Vec<String> = PLAIN.iter().chain(&PARTS[..8]).map(|text| (*text).to_owned()).chain(generated(12)).collect();
    let runs: Vec<_> = filters.iter().map(|filter| listen(lab.host(1), ["-i", "ul0", "--json", filter])).collect();
    let all = listen(lab.host(1), ["-i", "ul0", "-w", &path(&everything)]);
    let start = now();

    let host = lab.host(1);
    for vni in crate::VNIS {
        let (from, to) = (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1));
        ping(&lab, vni, 3);
        from.ping(to.ipv6().into()).unwrap();
        for (port, size) in [(7, 20), (9, 300), (4789, 64)] {
            let at = SocketAddr::new(to.ipv4().into(), port);
            from.udp_send(&UdpLoad { answers: Answers::Ignore, ..UdpLoad::new(at, 7, size) }).unwrap();
        }
        from.send_frame("t0", &frame(from, &[0x81, 0, 0, 10, 0x88, 0xb5, 1]), 3).unwrap();
        from.send_frame("t0", &frame(from, &[0x88, 0xb5, 2]), 2).unwrap();
    }
    // The underlay's own: plain, tagged, tagged twice, and VXLAN within a tag.
    host.ping(lab.host(2).ipv4().into()).unwrap();
    host.send_frame("ul0", &frame(host, &[0x88, 0xb5, 3]), 2).unwrap();
    host.send_frame("ul0", &frame(host, &[0x81, 0, 0, 5, 0x88, 0xb5, 4]), 3).unwrap();
    host.send_frame("ul0", &frame(host, &[0x88, 0xa8, 0, 6, 0x81, 0, 0, 5, 0x88, 0xb5, 5]), 2).unwrap();
    host.send_frame("ul0", &frame(host, &[&[0x81, 0, 0, 5][..], &VXLAN_77].concat()), 4).unwrap();
    // The same from the other side: a tag that arrives has been taken off by the kernel.
    let peer = lab.host(2);
    peer.send_frame("ul0", &frame(peer, &[&[0x81, 0, 0, 5][..], &VXLAN_77].concat()), 4).unwrap();
    peer.send_frame("ul0", &frame(peer, &[0x81, 0, 0, 5, 0x88, 0xb5, 6]), 3).unwrap();

    let window = start..now();
    let all = stop(all);
    assert_eq!(counted(&all, "dropped by the kernel"), 0);
    assert!(counted(&all, "captured") > 100, "{}", all.stderr);
    let mut seen = 0;
    for (filter, run) in filters.iter().zip(runs) {
        let live = stop(run);
        assert_eq!(counted(&live, "dropped by the kernel"), 0, "{filter}");
        let expected = within(&window, &read(&everything, ["--json", filter]).good());
        if let Some(difference) = difference(&expected, &within(&window, &live.stdout)) {
            panic!("{filter}: {difference}");
        }
        seen += usize::from(!expected.is_empty());
    }
    assert!(seen * 3 > filters.len() * 2, "only {seen} of {} filters matched anything", filters.len());
}

/// Seconds since 1970.
fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The packets of the time in which all captured, without number and time: hosts that have just come up send of their own accord,
/// also while captures start and end. As a set, sorted: what leaves and what arrives at one moment comes to two rings in either order.
fn within(window: &std::ops::Range<f64>, printed: &str) -> String {
    let mut lines = Vec::new();
    for mut packet in ndjson(printed) {
        if window.contains(&packet["timestamp"].as_str().unwrap().parse().unwrap()) {
            let fields = packet.as_object_mut().unwrap();
            fields.retain(|key, _| key != "number" && key != "timestamp");
            lines.push(format!("{packet}\n"));
        }
    }
    lines.sort();
    lines.concat()
}

/// From the EtherType on: IPv4 10.88.0.1 > 10.88.0.2, UDP to 4789 (RFC 7348 5), VNI 77, an inner frame of local experiments.
const VXLAN_77: [u8; 52] = [
    8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0x66, 0x0c, 10, 88, 0, 1, 10, 88, 0, 2, 0xc0, 0, 0x12, 0xb5, 0, 30, 0, 0, 8, 0, 0, 0, 0, 0,
    77, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5,
];
