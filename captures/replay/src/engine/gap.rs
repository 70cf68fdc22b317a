//! How is a night passed in which nothing happens? The engine goes round its tables every second, and does nothing as long as no entry's
//! time is over. A capture may have a gap of years, by a clock that was set or by a damaged record: the rounds before the next entry whose
//! time ends are left out.
//!
//! ```text
//!   last packet ──► BUSY_NS: every sweep ──► left out ──► an entry ends: BUSY_NS: every sweep ──► left out ──► next packet
//! ```
//!
//! What is left out changes nothing. In a table so large that one sweep does not see all of it, it may change which part is seen first,
//! and so when the end of an entry is noticed, by some seconds.

use overlay_engine::{Config, Control, Time};

/// The shortest gap that is worth a look at all entries.
pub(crate) const JUMP_NS: u64 = 120 * SWEEP_NS;
/// For so long after something has happened, more may follow: a lookup that runs out of time, and a round through a large table.
pub(crate) const BUSY_NS: u64 = 40 * SWEEP_NS;
/// From one sweep to the next.
const SWEEP_NS: u64 = 1_000_000_000;

/// With sweeps due at `next` and every second after it, and nothing else before `to`: the one to go on with, and until when none may be
/// left out again.
pub(crate) fn skip(control: &Control, now: Time, next: Time, to: Time) -> (Time, Time) {
    let ends = ends(control, now);
    let mut ends = ends.iter().skip_while(|end| **end < now).copied();
    let Some(first) = ends.next() else { return (sweep_before(next, to), to) };
    // One end after the other, until there is a pause in which the engine has seen the last one.
    let mut last = first;
    for end in ends {
        if end > last + BUSY_NS {
            break;
        }
        last = end;
    }
    (sweep_before(next, first.min(to)), last + BUSY_NS)
}

fn sweep_before(next: Time, end: Time) -> Time {
    next + end.since(next) / SWEEP_NS * SWEEP_NS
}

/// When something could end, in order: what is known of an entry, or its stay without use.
fn ends(control: &Control, now: Time) -> Vec<Time> {
    let idle_ns = Config::default().limits.idle_ns;
    let mut ends = Vec::new();
    for device in control.devices() {
        let Some(targets) = control.targets(device.id) else { continue };
        targets.for_each(now, |row| {
            ends.extend(row.expires_ns.map(|left| now + left));
            ends.push(Time((now.0 + idle_ns).saturating_sub(row.idle_ns)));
        });
    }
    ends.sort_unstable();
    ends
}
