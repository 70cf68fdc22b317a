//! A scripted session for tests: two overlays, one of which loses its answerer, drops, a VNIC that fails.

use super::State;
use crate::column::Screen;
use crate::rows::{EventRow, ExampleRow, LookupRow, OverlayRow, Report, SECOND, TargetRow, Told, VnicRow};
use crate::wish::{Wish, select};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// 2026-01-02 03:04:05 UTC.
pub(crate) const BEGIN: u64 = 1_767_323_045 * SECOND;

pub(crate) fn told(second: u64, by: &str, report: Report) -> Told {
    Told { at: BEGIN + second * SECOND, by: by.to_owned(), report }
}

fn drops(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
    all.iter().filter(|(_, count)| *count > 0).map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}

/// Overlays after some seconds; from the fourth on, ov77 has nobody to ask.
pub(crate) fn overlays(second: u64) -> Vec<OverlayRow> {
    let away = second >= 4;
    let one = OverlayRow {
        from: "overlayd".into(),
        name: "ov77".into(),
        vni: Some(77),
        encapsulation: "vxlan".into(),
        search: "files".into(),
        state: if away { "degraded" } else { "up" }.into(),
        reason: away.then(|| "varpd is away: it was killed".into()),
        since_ns: away.then(|| (second - 4) * SECOND),
        listen: Some("10.88.0.1:4789".into()),
        mtu: Some(1430),
        vnics: Some(2),
        targets: Some(4),
        pending: Some(if away { 2 } else { 0 }),
        oldest_pending_ns: away.then(|| (second - 4) * SECOND),
        pending_bytes: Some(if away { 300 } else { 0 }),
        misses: Some(10 + second),
        tx_packets: 1_000_000 + 1500 * second,
        tx_bytes: 900_000_000 + 1_500_000 * second,
        rx_packets: 2_000 + 20 * second,
        rx_bytes: 100_000 + 2_000 * second,
        drops: drops(&[("no-port", 3), ("pending-full", 7 * second.saturating_sub(3))]),
        counters: [("frames_in".to_owned(), 1_000_100 + 1500 * second)].into(),
    };
    let other = OverlayRow {
        name: "ov16777215".into(),
        vni: Some(16_777_215),
        encapsulation: "geneve".into(),
        search: "direct".into(),
        state: "up".into(),
        reason: None,
        since_ns: None,
        targets: Some(0),
        pending: Some(0),
        oldest_pending_ns: None,
        tx_packets: 12_345_678_901,
        rx_packets: 0,
        rx_bytes: 0,
        drops: BTreeMap::new(),
        ..one.clone()
    };
    vec![one, other]
}

/// Targets of ov77: two that are valid, and two that wait.
pub(crate) fn targets() -> Vec<TargetRow> {
    let row = |last: u8, state: &str, ul3: &[&str]| TargetRow {
        from: "overlayd".into(),
        overlay: "ov77".into(),
        vni: Some(77),
        mac: overlay_decoder::Mac([2, 8, 0x20, 10, 0, last]),
        ul3: ul3.iter().map(|text| text.parse().unwrap()).collect(),
        state: state.into(),
        age_ns: Some(u64::from(last) * 7 * SECOND),
        idle_ns: Some(12_000_000),
        hits: Some(u64::from(last) * 1_234_567),
        bytes: Some(u64::from(last) * 987_654_321),
        pending_bytes: Some(if state == "pending" { 150 } else { 0 }),
        source: "lookup".into(),
        expires_ns: None,
        flags: String::new(),
    };
    vec![
        row(1, "valid", &["10.88.0.2:4789"]),
        row(2, "stale", &["10.88.0.2:4789", "[fd00::3]:4789"]),
        row(3, "pending", &[]),
        row(4, "pending", &[]),
    ]
}

/// Everything that overlayd says in one second.
pub(crate) fn second(second: u64, wish: &Wish) -> Vec<Told> {
    let mut unattributed = BTreeMap::new();
    unattributed.insert("unknown-vni".to_owned(), 5);
    let vnic = |name: &str, state: &str| VnicRow {
        from: "overlayd".into(),
        name: name.into(),
        overlay: "ov77".into(),
        mac: Some("02:08:20:0a:00:01".parse().unwrap()),
        netns: Some("blue".into()),
        mtu: Some(1430),
        state: state.into(),
        reason: (state == "failed").then(|| "netns red: no such namespace".into()),
        tx_packets: 700 * second,
        tx_bytes: 700_000 * second,
        rx_packets: 20 * second,
        ..VnicRow::default()
    };
    let away = second >= 4;
    let lookup = LookupRow {
        from: "overlayd".into(),
        overlay: "ov77".into(),
        plugin: "files".into(),
        state: if away { "away" } else { "up" }.into(),
        reason: away.then(|| "varpd is away: it was killed".into()),
        in_flight: if away { 2 } else { 0 },
        oldest_ns: away.then(|| (second - 4) * SECOND),
        asked: 10 + second,
        answered: 10,
        entries: Some(12),
        p50_ns: Some(850_000),
        p99_ns: Some(12_000_000),
        max_ns: Some(3_400_000_000),
        of_plugin: Some("plugin files, all overlays together: half of the answers of the last minutes took at most 850us".into()),
        ..LookupRow::default()
    };
    let mut reports = vec![
        Report::Health { fault: None },
        Report::Overlays { rows: overlays(second), unattributed },
        Report::Examples {
            rows: vec![ExampleRow {
                reason: "unknown-vni".into(),
                vni: Some(99),
                at: BEGIN,
                text: "VNI 99, 02:00:00:00:00:01 to 02:00:00:00:00:02, other end 10.88.0.2:4789, 68 bytes".into(),
            }],
        },
        Report::Vnics { rows: vec![vnic("v77", "up"), vnic("w77", "failed")] },
        Report::Lookups { rows: vec![lookup] },
        Report::Targets(select(&targets(), wish)),
        Report::Done { wish: wish.number },
    ];
    if second == 4 {
        let event = |event: &str, subject: &str, text: &str| {
            let (event, subject, text) = (event.to_owned(), subject.to_owned(), text.to_owned());
            Report::Event { event: EventRow { at: BEGIN + 4 * SECOND, from: "overlayd".into(), event, subject, text } }
        };
        reports.push(event("answerer", "varpd", "away: it was killed"));
        reports.push(event("overlay-state", "ov77", "degraded: varpd is away: it was killed"));
    }
    reports.into_iter().map(|report| told(second, "overlayd", report)).collect()
}

/// The state after `seconds` seconds in a terminal of that size.
pub(crate) fn session(size: (u16, u16), screen: Screen, seconds: u64) -> State {
    let mut state = State::new(["overlayd".to_owned()], size, TimeZone::UTC);
    state.go(screen);
    state.settle();
    for number in 0..=seconds {
        let wish = state.wish().clone();
        state.handle_all(second(number, &wish));
    }
    state
}
