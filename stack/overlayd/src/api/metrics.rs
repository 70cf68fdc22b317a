//! The same numbers for Prometheus: its text format, version 0.0.4.
//!
//! A name is `overlay_COUNTER_total` with the labels `overlay` and `vni`, and `overlay_vnic_COUNTER_total` with `vnic` and `overlay`. Drops
//! have `direction` and `reason`, and are there from the first scrape on, so that a rate sees the first one. What belongs to no overlay
//! is `overlay_unattributed_drops_total`; what is about the daemon begins with `overlayd_`.

use overlay_api::DropReason;
use overlay_api::control::{Counters, Overlay, OverlayState, Status, Vnic, VnicState};
use overlay_serve::Page;

/// What a VNIC counts. The rest belongs to the overlay as a whole.
const OF_VNICS: &[&str] =
    &["frames_in", "frames_in_bytes", "frames_in_packets", "sent", "sent_bytes", "frames_out", "frames_out_bytes", "made"];

/// The answer to `GET /metrics`.
pub(super) fn numbers(status: &Status, overlays: &[Overlay], vnics: &[Vnic]) -> Page {
    let mut page = Page::default();
    of_daemon(&mut page, status);
    of_overlays(&mut page, overlays);
    of_vnics(&mut page, vnics);
    page
}

fn of_daemon(page: &mut Page, status: &Status) {
    page.gauge("overlayd_info", "Always 1; the version is a label.");
    page.sample("overlayd_info", &[("version", &status.version)], 1);
    page.gauge("overlayd_start_time_seconds", "When the daemon started, in seconds since 1970.");
    page.sample("overlayd_start_time_seconds", &[], status.since);
    page.gauge("overlayd_workers", "Data path threads.");
    page.sample("overlayd_workers", &[], status.workers);
    page.gauge("overlayd_answerer_attached", "Whether somebody answers lookups.");
    page.sample("overlayd_answerer_attached", &[], u8::from(status.answerer.attached));
    let answerer: [(&str, &str, u64); 6] = [
        ("refused_connections", "Connections of whoever wanted to answer lookups that were refused.", status.answerer.refused),
        ("lookups", "Lookups that were sent to whoever answers.", status.answerer.lookups),
        ("answers", "Answers to lookups.", status.answerer.answers),
        ("late_answers", "Answers to lookups that nobody asks any more.", status.answerer.late_answers),
        ("unusable", "What whoever answers said that could not be used.", status.answerer.unusable),
        ("protocol_errors", "Connections that ended because of something that is not of the protocol.", status.answerer.protocol_errors),
    ];
    for (what, help, count) in answerer {
        let name = format!("overlayd_answerer_{what}_total");
        page.counter(&name, help);
        page.sample(&name, &[], count);
    }
    let name = "overlayd_lookup_seconds";
    page.summary(
        name,
        "How long answers to lookups took: shares of the last one to two minutes, sum and count of the overlays that there are.",
    );
    let seconds = |ns: u64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    for of in &status.answerer.waits {
        let plugin = ("plugin", of.plugin.as_str());
        for (share, ns) in [("0.5", of.waits.p50_ns), ("0.99", of.waits.p99_ns), ("1", of.waits.max_ns)] {
            // What nobody has seen is not a number, in Prometheus' words.
            page.sample(name, &[plugin, ("quantile", share)], ns.map_or_else(|| "NaN".to_owned(), seconds));
        }
        page.sample("overlayd_lookup_seconds_sum", &[plugin], seconds(of.waits.sum_ns));
        page.sample("overlayd_lookup_seconds_count", &[plugin], of.waits.answers);
    }
    page.counter("overlayd_refused_calls_total", "Calls that were refused because whoever made them may not change anything.");
    page.sample("overlayd_refused_calls_total", &[], status.refused_calls);
    let name = "overlay_unattributed_drops_total";
    page.counter(name, "Frames and datagrams that were dropped and belong to no overlay.");
    drops(page, name, &[], &status.unattributed, |_| true);
}

fn of_overlays(page: &mut Page, overlays: &[Overlay]) {
    let vnis: Vec<String> = overlays.iter().map(|overlay| overlay.vnetid.to_string()).collect();
    let all = || overlays.iter().zip(&vnis).map(|(overlay, vni)| (overlay, [("overlay", overlay.name.as_str()), ("vni", vni.as_str())]));
    page.gauge("overlay_state", "1 for the state that the overlay is in, 0 for the others.");
    for (overlay, [name, vni]) in all() {
        for state in OverlayState::ALL {
            page.sample("overlay_state", &[name, vni, ("state", state.name())], u8::from(overlay.state == state));
        }
    }
    type Gauge = (&'static str, &'static str, fn(&Overlay) -> u64);
    let gauges: [Gauge; 5] = [
        ("overlay_mtu_bytes", "Largest packet that a frame carries.", |overlay| overlay.mtu.into()),
        ("overlay_vnics", "VNICs.", |overlay| overlay.vnics as u64),
        ("overlay_targets", "Entries of the target table.", |overlay| overlay.targets as u64),
        ("overlay_pending_bytes", "Bytes of frames that wait for answers.", |overlay| overlay.pending_bytes),
        ("overlay_lookups_waiting", "Lookups that are not answered yet.", |overlay| overlay.lookups),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help);
        all().for_each(|(overlay, labels)| page.sample(name, &labels, value(overlay)));
    }
    for (counter, help) in Counters::NAMES {
        let name = format!("overlay_{counter}_total");
        page.counter(&name, help);
        all().for_each(|(overlay, labels)| page.sample(&name, &labels, value_of(&overlay.counters, counter)));
    }
    page.counter("overlay_drops_total", "Frames and datagrams that were dropped.");
    all().for_each(|(overlay, labels)| drops(page, "overlay_drops_total", &labels, &overlay.counters, |_| true));
}

fn of_vnics(page: &mut Page, vnics: &[Vnic]) {
    let all = || vnics.iter().map(|vnic| (vnic, [("vnic", vnic.name.as_str()), ("overlay", vnic.overlay.as_str())]));
    page.gauge("overlay_vnic_state", "1 for the state that the VNIC is in, 0 for the others.");
    for (vnic, [name, overlay]) in all() {
        for state in VnicState::ALL {
            page.sample("overlay_vnic_state", &[name, overlay, ("state", state.name())], u8::from(vnic.state == state));
        }
    }
    for (counter, help) in Counters::NAMES.iter().filter(|(counter, _)| OF_VNICS.contains(counter)) {
        let name = format!("overlay_vnic_{counter}_total");
        page.counter(&name, help);
        all().for_each(|(vnic, labels)| page.sample(&name, &labels, value_of(&vnic.counters, counter)));
    }
    page.counter("overlay_vnic_drops_total", "Frames that were dropped; reasons without any are left out.");
    all().for_each(|(vnic, labels)| drops(page, "overlay_vnic_drops_total", &labels, &vnic.counters, |count| count > 0));
}

fn value_of(counters: &Counters, name: &str) -> u64 {
    counters.iter().find(|(counter, _)| *counter == name).map_or(0, |(_, value)| value)
}

/// A line for each reason whose count is `shown`.
fn drops(page: &mut Page, name: &str, labels: &[(&str, &str)], counters: &Counters, shown: impl Fn(u64) -> bool) {
    for reason in DropReason::ALL {
        let count = counters.dropped(*reason);
        if shown(count) {
            let own = [("direction", reason.direction().name()), ("reason", reason.name())];
            page.sample(name, &[labels, own.as_slice()].concat(), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fake;
    use overlay_api::control::{PluginWaits, Waits};
    use overlay_engine::Totals;
    use std::collections::HashSet;

    #[test]
    fn what_the_engine_counts_is_what_is_told() {
        let totals = serde_json::to_value(Totals::default()).unwrap();
        let counted: HashSet<&str> = totals.as_object().unwrap().keys().map(String::as_str).filter(|name| *name != "drops").collect();
        assert_eq!(counted, Counters::NAMES.iter().map(|(name, _)| *name).collect());
        assert!(serde_json::from_value::<Counters>(totals.clone()).is_ok());
        assert!(OF_VNICS.iter().all(|name| counted.contains(name)));
    }

    #[test]
    fn a_page_has_each_name_declared_once_before_its_samples() {
        let (mut overlay, mut vnic) = (fake::overlay("ov0", 7), fake::vnic("v0", "ov0"));
        overlay.counters.frames_in = 5;
        overlay.counters.drops.insert("too-big".to_owned(), 2);
        vnic.counters.drops.insert("refused".to_owned(), 3);
        let mut status = fake::status();
        let waits = Waits { answers: 3, sum_ns: 1_500_000_000, p50_ns: Some(1_200_000), ..Waits::default() };
        status.answerer.waits = vec![PluginWaits { plugin: "files".parse().unwrap(), lookups: 0, waits }];
        let page = numbers(&status, &[overlay, fake::overlay("ov1", 8)], &[vnic]).into_text();
        for line in [
            "overlay_frames_in_total{overlay=\"ov0\",vni=\"7\"} 5",
            "overlay_frames_in_total{overlay=\"ov1\",vni=\"8\"} 0",
            "overlay_drops_total{overlay=\"ov0\",vni=\"7\",direction=\"transmit\",reason=\"too-big\"} 2",
            "overlay_drops_total{overlay=\"ov1\",vni=\"8\",direction=\"receive\",reason=\"unknown-vni\"} 0",
            "overlay_vnic_drops_total{vnic=\"v0\",overlay=\"ov0\",direction=\"transmit\",reason=\"refused\"} 3",
            "overlay_state{overlay=\"ov0\",vni=\"7\",state=\"up\"} 1",
            "overlay_state{overlay=\"ov0\",vni=\"7\",state=\"down\"} 0",
            "overlayd_answerer_attached 0",
            "overlayd_lookup_seconds{plugin=\"files\",quantile=\"0.5\"} 0.001200000",
            "overlayd_lookup_seconds{plugin=\"files\",quantile=\"0.99\"} NaN",
            "overlayd_lookup_seconds_sum{plugin=\"files\"} 1.500000000",
            "overlayd_lookup_seconds_count{plugin=\"files\"} 3",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        let (mut declared, mut current) = (HashSet::new(), "");
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split(' ').next().unwrap();
                assert!(declared.insert(current), "{current} is declared twice");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let name =
                    if current == "overlayd_lookup_seconds" { name.trim_end_matches("_sum").trim_end_matches("_count") } else { name };
                assert_eq!(name, current, "{line}");
            }
        }
    }
}
