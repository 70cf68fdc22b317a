//! What is going wrong right now? Sentences, the most important first.

use super::{Known, State};
use crate::column::{DropLine, Screen};
use crate::rows::SECOND;
use crate::value::{age, short};

/// How long a target may wait before it is worth a sentence.
const PENDING_NS: u64 = 3 * SECOND;

impl State {
    /// What is not as it should be; nothing where all is well.
    pub(crate) fn diagnoses(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (name, known) in &self.sources {
            if let Some((fault, since)) = &known.fault {
                let shown = if known.overlays.is_empty() { "" } else { ", the last values are shown" };
                said.push(format!("{name} is gone since {}{shown}: {fault}", self.clock(*since)));
            }
        }
        let current: Vec<&Known> = self.sources.values().filter(|known| known.fault.is_none()).collect();
        said.extend(waiting(&current));
        said.extend(faults(&current));
        said.extend(drops(&self.drop_lines()));
        said.extend(self.remarks());
        said
    }

    /// What is no fault, and still worth knowing.
    fn remarks(&self) -> Vec<String> {
        let current = self.sources.values().filter(|known| known.fault.is_none());
        let remark = |known: &Known| known.targets.remark.clone().filter(|_| self.screen == Screen::Targets);
        current.flat_map(|known| known.notes.iter().cloned().chain(remark(known))).collect()
    }

    /// Whether one of these is a fault, and not only a remark.
    pub(crate) fn has_faults(&self, said: &[String]) -> bool {
        said.len() > self.remarks().len()
    }
}

/// `12 targets pending for more than 3.0s, the oldest for 8.1s: varpd is away`
fn waiting(current: &[&Known]) -> Option<String> {
    let overlays = current.iter().flat_map(|known| &known.overlays);
    let late: Vec<_> = overlays.filter(|row| row.oldest_pending_ns.is_some_and(|age| age >= PENDING_NS)).collect();
    let oldest = late.iter().max_by_key(|row| row.oldest_pending_ns)?;
    let count = late.iter().filter_map(|row| row.pending).fold(0, u64::saturating_add);
    let what = if count == 1 { "1 target waits".to_owned() } else { format!("{count} targets wait") };
    let why = oldest.reason.as_deref().unwrap_or("its lookup is not answered");
    let place = if late.len() == 1 { format!(" on {}", oldest.name) } else { format!(" on {} overlays", late.len()) };
    Some(format!("{what}{place}, the oldest for {}: {why}", age(oldest.oldest_pending_ns.unwrap_or(0))))
}

/// `ov77 is degraded for 12s: varpd is away`
fn faults(current: &[&Known]) -> Vec<String> {
    let mut said = Vec::new();
    for wanted in ["down", "degraded"] {
        let rows: Vec<_> = current.iter().flat_map(|known| &known.overlays).filter(|row| row.state == wanted).collect();
        let Some(first) = rows.first() else { continue };
        let since = first.since_ns.map(|since| format!(" for {}", age(since))).unwrap_or_default();
        let why = first.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let others = match rows.len() {
            1 => String::new(),
            2 => ", and another one".to_owned(),
            more => format!(", and {} others", more - 1),
        };
        said.push(format!("{} is {wanted}{since}{others}{why}", first.name));
    }
    let failed: Vec<_> = current.iter().flat_map(|known| &known.vnics).filter(|row| row.state == "failed").collect();
    if let Some(first) = failed.first() {
        let others = if failed.len() > 1 { format!(" (and {} more)", failed.len() - 1) } else { String::new() };
        said.push(format!("VNIC {} failed{others}: {}", first.name, first.reason.as_deref().unwrap_or("no reason is told")));
    }
    said
}

/// `ov77 drops 12/s: no-port, no port of the overlay has the inner destination`
fn drops(lines: &[DropLine]) -> Option<String> {
    let worst = lines.iter().filter(|line| !line.stale && line.rate.unwrap_or(0.0) > 0.0);
    let worst = worst.max_by(|a, b| a.rate.unwrap_or(0.0).total_cmp(&b.rate.unwrap_or(0.0)))?;
    let meaning = worst.explanation.trim_end_matches('.');
    let meaning = if meaning.is_empty() { String::new() } else { format!(". {meaning}") };
    Some(format!("{} drops {}/s for {}{meaning}", worst.subject, short(worst.rate.unwrap_or(0.0), 1000.0), worst.reason))
}
