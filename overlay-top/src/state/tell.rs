//! What does a report change? Rows take the place of those before; what grew becomes rates.

use super::history::Counts;
use super::lines::{NOBODY, lookup_key, overlay_key, vnic_key};
use super::{EVENTS_MAX, Grown, Key, State};
use crate::rows::{EventRow, LookupRow, Moment, OverlayRow, Report, SECOND, Told, VnicRow};
use std::collections::{BTreeMap, HashSet};

impl State {
    /// Takes what sources say.
    pub(crate) fn handle_all(&mut self, all: impl IntoIterator<Item = Told>) {
        all.into_iter().for_each(|told| self.tell(told));
        self.settle();
    }

    fn tell(&mut self, Told { at, by, report }: Told) {
        let frozen = self.paused
            && matches!(
                report,
                Report::Overlays { .. } | Report::Examples { .. } | Report::Vnics { .. } | Report::Lookups { .. } | Report::Restart
            );
        if frozen {
            return;
        }
        self.now = self.now.max(at);
        let known = self.sources.entry(by.clone()).or_default();
        match report {
            Report::Overlays { rows, unattributed } => {
                known.overlays = rows.clone();
                known.unattributed.clone_from(&unattributed);
                self.count_overlays(at, &by, &rows, &unattributed);
            }
            Report::Vnics { rows } => {
                known.vnics = rows.clone();
                self.count_vnics(at, &by, &rows);
            }
            Report::Lookups { rows } => {
                known.lookups = rows.clone();
                self.count_lookups(at, &by, &rows);
            }
            Report::Examples { rows } => known.examples = rows,
            // One that was asked for before, and comes late, would make the lines jump.
            Report::Targets(part) if part.wish < known.targets.wish => {}
            Report::Targets(part) => known.targets = part,
            Report::Event { event } => self.happened(event),
            Report::Health { fault } => self.heard_of(at, &by, fault),
            Report::Notes { sentences } => known.notes = sentences,
            Report::Playback(playback) => known.playback = Some(playback),
            Report::Restart => {
                known.overlays.clear();
                known.unattributed.clear();
                known.examples.clear();
                known.vnics.clear();
                known.lookups.clear();
                // All of it is told again, up to the place.
                self.histories.retain(|key, _| !is_of(&key.0, &by));
                self.vnic_histories.retain(|key, _| !is_of(&key.0, &by));
                self.lookup_histories.retain(|key, _| !is_of(&key.0, &by));
                self.grown.retain(|(key, _), _| !is_of(&key.0, &by));
                self.events.retain(|event| !is_of(&event.from, &by));
                // A file that is played from an earlier place has an earlier time.
                self.now = at;
            }
            Report::Done { wish } => known.done = Some(wish),
        }
    }

    fn heard_of(&mut self, at: Moment, by: &str, fault: Option<String>) {
        let known = self.sources.entry(by.to_owned()).or_default();
        let (event, text) = match (&known.fault, &fault) {
            (None, Some(fault)) => ("source-gone", fault.clone()),
            (Some(_), None) => ("source-back", "it can be asked again".to_owned()),
            _ => {
                // Still gone, though perhaps for another reason.
                if let (Some((told, _)), Some(fault)) = (&mut known.fault, fault) {
                    *told = fault;
                }
                return;
            }
        };
        known.fault = fault.map(|fault| (fault, at));
        self.happened(EventRow { at, from: by.to_owned(), event: event.to_owned(), subject: by.to_owned(), text });
    }

    fn happened(&mut self, event: EventRow) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn count_overlays(&mut self, at: Moment, by: &str, rows: &[OverlayRow], unattributed: &BTreeMap<String, u64>) {
        let nobody: Key = (by.to_owned(), NOBODY.to_owned(), None);
        let mut drops: Vec<(Key, &BTreeMap<String, u64>)> = vec![(nobody, unattributed)];
        for row in rows {
            let key = overlay_key(row);
            let counts = Counts {
                tx_packets: row.tx_packets,
                tx_bytes: row.tx_bytes,
                rx_packets: row.rx_packets,
                rx_bytes: row.rx_bytes,
                drops: row.dropped(),
                misses: row.misses.unwrap_or(0),
            };
            self.histories.entry(key.clone()).or_default().tell(at, counts);
            drops.push((key, &row.drops));
        }
        let told: HashSet<&Key> = drops.iter().map(|(key, _)| key).collect();
        let known: Vec<&OverlayRow> = self.sources.values().flat_map(|known| &known.overlays).collect();
        let alive: HashSet<Key> = known.into_iter().map(overlay_key).collect();
        self.histories.retain(|key, _| alive.contains(key));
        self.grown.retain(|(key, _), _| alive.contains(key) || told.contains(key) || key.1 == NOBODY);
        for (key, by_reason) in drops {
            // One that was told before, and had not this reason, has it since then.
            for (reason, count) in by_reason {
                let mut known = self.grown.range((key.clone(), String::new())..);
                let is_known = known.next().is_some_and(|((known, _), _)| *known == key);
                let first = !is_known && !self.has_history(&key);
                let grown = self.grown.entry((key.clone(), reason.clone())).or_insert_with(|| Grown {
                    at: if first { 0 } else { at.saturating_sub(SECOND) },
                    count: if first { *count } else { 0 },
                    ..Grown::default()
                });
                grown.tell(at, *count);
            }
        }
    }

    /// Whether an overlay was told at least twice.
    fn has_history(&self, key: &Key) -> bool {
        self.histories.get(key).is_some_and(|history| !history.tx.is_empty())
    }

    fn count_vnics(&mut self, at: Moment, by: &str, rows: &[VnicRow]) {
        for row in rows {
            let counts = Counts {
                tx_packets: row.tx_packets,
                tx_bytes: row.tx_bytes,
                rx_packets: row.rx_packets,
                rx_bytes: row.rx_bytes,
                drops: row.drops.values().fold(0, |sum, count| sum.saturating_add(*count)),
                misses: 0,
            };
            self.vnic_histories.entry(vnic_key(row)).or_default().tell(at, counts);
        }
        let alive: HashSet<Key> = rows.iter().map(vnic_key).collect();
        self.vnic_histories.retain(|key, _| !is_of(&key.0, by) || alive.contains(key));
    }

    fn count_lookups(&mut self, at: Moment, by: &str, rows: &[LookupRow]) {
        for row in rows {
            let counts = Counts { misses: row.asked, ..Counts::default() };
            self.lookup_histories.entry(lookup_key(row)).or_default().tell(at, counts);
        }
        let alive: HashSet<Key> = rows.iter().map(lookup_key).collect();
        self.lookup_histories.retain(|key, _| !is_of(&key.0, by) || alive.contains(key));
    }
}

/// Whether a row's `from` is a source, or a part of it: `kernel red` is of `kernel`, and `eth10` is not of `eth1`.
pub(super) fn is_of(from: &str, source: &str) -> bool {
    from.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

impl Grown {
    fn tell(&mut self, at: Moment, count: u64) {
        if self.at == 0 {
            (self.at, self.count) = (at, count);
            return;
        }
        if at <= self.at {
            return;
        }
        let grown = count.checked_sub(self.count);
        self.rate = grown.map(|grown| grown as f64 * SECOND as f64 / (at - self.at) as f64);
        if grown.is_some_and(|grown| grown > 0) {
            self.last = Some(at);
        }
        (self.at, self.count) = (at, count);
    }
}
