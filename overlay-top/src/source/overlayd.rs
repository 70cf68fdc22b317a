//! What does overlayd know? Its control socket is asked for all overlays and VNICs, and for the wanted part of target tables.
//!
//! A table is asked for a window: its daemon filters, sorts and cuts. All tables together are a merge of the first rows of each. Where there
//! are many, some are asked each time and the others shown as they were, so that a thousand overlays cost no thousand calls a second.
//! What a filter asks that overlayd does not understand is asked here, of as many rows as a page can have.

use super::{Input, Source, Telling, guarded, now};
use crate::column::{Line, Screen, TargetLine};
use crate::filter::{Test, Word};
use crate::rows::{EventRow, ExampleRow, LookupRow, Moment, OverlayRow, Report, TargetPart, TargetRow, Told, VnicRow};
use crate::state::MERGED_MAX;
use crate::value::wait;
use crate::wish::{Wish, merge, order, select};
use overlay_api::control::{
    DropExample, Event, Happening, Order, Overlay, PluginWaits, Status, TARGETS_MAX, TargetQuery, TargetSort, Vnic,
};
use overlay_api::{DropReason, EntryState, Paths};
use overlay_client::{Client, ClientError, VarpdClient};
use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// Its name.
pub(crate) const NAME: &str = "overlayd";
/// How long it is waited for: one that hangs is worth a sentence soon.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tables that are asked in one look.
const TABLES_MAX: usize = 64;
/// Columns in which all targets of an overlay have the same value.
const CONSTANT: [&str; 3] = ["overlay", "vni", "from"];
/// How long after its end it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// overlayd, and varpd beside it.
pub(crate) struct Overlayd {
    client: Client,
    varpd: VarpdClient,
    /// The overlays of the last look.
    overlays: Vec<Overlay>,
    /// What was asked of each table, and for which wish.
    parts: HashMap<String, TargetPart>,
    /// The wish, but for its window, that the parts answer.
    parts_for: Option<Wish>,
    /// Which table is asked next, and which overlay how many of its targets wait.
    turn: usize,
    waiting_turn: usize,
}

/// What was asked about targets that wait.
#[derive(Default)]
struct Waiting {
    /// Of each overlay that was asked: how many targets wait, and how long the oldest has.
    asked: HashMap<String, (u64, u64)>,
    /// How many overlays have lookups under way, and were left for another time.
    left: usize,
}

impl Waiting {
    /// Of an overlay: targets that wait, and how long the oldest has; none where that was not asked.
    fn of(&self, name: &str, is_busy: bool) -> (Option<u64>, Option<u64>) {
        match self.asked.get(name) {
            Some((count, oldest)) => (Some(*count), (*count > 0).then_some(*oldest)),
            None => ((!is_busy).then_some(0), None),
        }
    }

    fn notes(&self) -> Vec<String> {
        let sentence = |left: usize| {
            let overlays = if left == 1 { "1 overlay has".to_owned() } else { format!("{left} overlays have") };
            format!("{NAME}: {overlays} lookups under way and will be asked next time how many targets wait; - is shown until then")
        };
        (self.left > 0).then(|| sentence(self.left)).into_iter().collect()
    }
}

impl Overlayd {
    pub(crate) fn new(paths: &Paths) -> Self {
        Self {
            client: Client::overlayd(paths).with_timeout(PATIENCE),
            varpd: VarpdClient::new(paths),
            overlays: Vec::new(),
            parts: HashMap::new(),
            parts_for: None,
            turn: 0,
            waiting_turn: 0,
        }
    }

    fn try_look(&mut self, wish: &Wish, telling: &mut Telling<'_>) -> Result<(), ClientError> {
        let status = self.client.status()?;
        self.overlays = self.client.overlays()?;
        let vnics = self.client.vnics()?;
        let waiting = self.waiting(wish.thorough)?;
        telling.say(Report::Health { fault: None });
        let rows = self.overlays.iter().map(|overlay| overlay_row(overlay, &waiting)).collect();
        telling.say(Report::Overlays { rows, unattributed: status.unattributed.drops.clone() });
        let at = telling.at;
        telling.say(Report::Examples { rows: status.examples.iter().map(|example| example_row(example, at)).collect() });
        telling.say(Report::Vnics { rows: vnics.into_iter().map(vnic_row).collect() });
        telling.say(Report::Lookups { rows: self.lookup_rows(&status, &waiting) });
        telling.say(Report::Notes { sentences: waiting.notes() });
        if wish.limit > 0 {
            let part = self.part(wish)?;
            telling.say(Report::Targets(part));
        }
        Ok(())
    }

    /// Asks overlays that have lookups under way how many targets wait: some of them each time, or all.
    fn waiting(&mut self, all: bool) -> Result<Waiting, ClientError> {
        let filter = format!("state:{}", EntryState::Pending);
        let query = TargetQuery { filter, sort: TargetSort::AgeNs, order: Order::Descending, offset: 0, limit: 1 };
        let busy: Vec<&Overlay> = self.overlays.iter().filter(|overlay| is_busy(overlay)).collect();
        let mut waiting = Waiting::default();
        let round = round(&mut self.waiting_turn, busy.len(), if all { usize::MAX } else { TABLES_MAX });
        waiting.left = busy.len() - round.len();
        for overlay in round.into_iter().filter_map(|place| busy.get(place)) {
            if let Some(page) = there(self.client.targets(&overlay.name, &query))? {
                let oldest = page.rows.first().map_or(0, |row| row.age_ns);
                waiting.asked.insert(overlay.name.to_string(), (page.total as u64, oldest));
            }
        }
        Ok(waiting)
    }

    fn lookup_rows(&self, status: &Status, waiting: &Waiting) -> Vec<LookupRow> {
        // varpd may be away, or of another user: what it would tell is left out then.
        let instances = if status.answerer.attached { self.varpd.instances().unwrap_or_default() } else { Vec::new() };
        let asked = self.overlays.iter().filter(|overlay| overlay.search.as_str() != "direct");
        let row = |overlay: &Overlay| {
            let instance = instances.iter().find(|instance| instance.overlay == overlay.name);
            let counters = instance.map(|instance| instance.counters);
            let (state, reason) = match (status.answerer.attached, instance) {
                (false, _) => ("away".to_owned(), status.answerer.reason.clone()),
                (true, Some(instance)) => (instance.state.to_string(), instance.reason.clone()),
                (true, None) => ("-".to_owned(), None),
            };
            LookupRow {
                from: NAME.to_owned(),
                overlay: overlay.name.to_string(),
                plugin: overlay.search.to_string(),
                state,
                reason,
                in_flight: overlay.lookups,
                oldest_ns: waiting.of(overlay.name.as_str(), is_busy(overlay)).1,
                asked: overlay.counters.lookups,
                answered: overlay.counters.answers,
                late: overlay.counters.late_answers,
                timeouts: overlay.counters.dropped(DropReason::LookupTimeout),
                reached: counters.map(|counters| counters.reached),
                refused: counters.map(|counters| counters.dropped),
                entries: instance.and_then(|instance| instance.entries),
                p50_ns: overlay.waits.p50_ns,
                p99_ns: overlay.waits.p99_ns,
                max_ns: overlay.waits.max_ns,
                of_plugin: status.answerer.waits.iter().find(|of| of.plugin == overlay.search).and_then(of_plugin),
            }
        };
        asked.map(row).collect()
    }

    /// The wished part of the wished tables.
    fn part(&mut self, wish: &Wish) -> Result<TargetPart, ClientError> {
        let with_entries = |overlay: &&Overlay| overlay.targets > 0 && wish.wants(NAME, overlay.name.as_str());
        let tables: Vec<Overlay> = self.overlays.iter().filter(with_entries).filter(|overlay| may_have(overlay, wish)).cloned().collect();
        if let [table] = tables.as_slice() {
            return self.window(table, wish, wish.offset, wish.limit);
        }
        let pushed = push_down(wish.filter.words());
        if is_constant(wish.sort) && pushed.exact && pushed.text.is_empty() {
            return self.one_after_the_other(tables, wish);
        }
        // The first rows of each, up to the window's end.
        let needed = if wish.limit > MERGED_MAX { usize::MAX } else { (wish.offset + wish.limit).min(MERGED_MAX) };
        // Another window, or another screen, is answered from the same rows.
        let same = Wish { number: 0, screen: Screen::Targets, offset: 0, limit: needed, paused: false, ..wish.clone() };
        if self.parts_for.as_ref() != Some(&same) {
            self.parts.clear();
            self.parts_for = Some(same);
        }
        self.parts.retain(|name, _| tables.iter().any(|table| table.name.as_str() == name));
        let round = round(&mut self.turn, tables.len(), if wish.thorough { usize::MAX } else { TABLES_MAX });
        for table in round.into_iter().filter_map(|place| tables.get(place)) {
            let part = self.window(table, wish, 0, needed)?;
            self.parts.insert(table.name.to_string(), part);
        }
        let mut part = merge(self.parts.values(), wish);
        let all: u64 = tables.iter().map(|table| table.targets as u64).sum();
        if self.parts.len() < tables.len() {
            part.remark = Some(format!("{} of {} tables have been asked so far", self.parts.len(), tables.len()));
        } else if !wish.thorough && all > MERGED_MAX as u64 && wish.filter.is_empty() {
            part.remark = Some(format!(
                "the first {MERGED_MAX} of {all} targets can be scrolled to in this order; sorted by overlay or VNI all can, and t on an overlay \
                 shows all of its own"
            ));
            part.total = part.total.min(MERGED_MAX as u64);
        }
        Ok(part)
    }

    /// A window of all tables where each is sorted by what all of its rows have in common: they follow one another, and those are asked that
    /// the window is in. So a million targets can be scrolled through.
    fn one_after_the_other(&self, mut tables: Vec<Overlay>, wish: &Wish) -> Result<TargetPart, ClientError> {
        let line = |table: &Overlay| TargetLine { row: empty_row(table), stale: false };
        tables.sort_by(|a, b| order(&line(a), &line(b), wish));
        let total = tables.iter().map(|table| table.targets as u64).sum();
        let mut part = TargetPart { wish: wish.number, offset: wish.offset as u64, total, ..TargetPart::default() };
        // Within a table addresses rise, whichever way the tables go.
        let (rising, end) = (Wish { descending: false, ..wish.clone() }, wish.offset.saturating_add(wish.limit));
        let mut first = 0;
        for table in &tables {
            let (offset, last) = (wish.offset.saturating_sub(first), first + table.targets);
            if first < end && last > wish.offset {
                part.rows.extend(self.window(table, &rising, offset, end.min(last) - first - offset)?.rows);
            }
            first = last;
        }
        Ok(part)
    }

    /// Rows of one table from `offset` on.
    fn window(&self, table: &Overlay, wish: &Wish, offset: usize, limit: usize) -> Result<TargetPart, ClientError> {
        let pushed = push_down(wish.filter.words());
        let (sort, order) = (sort_of(wish.sort), if wish.descending { Order::Descending } else { Order::Ascending });
        let mut query = TargetQuery { sort, order, filter: pushed.text, offset, limit: limit.min(TARGETS_MAX) };
        if !pushed.exact {
            (query.offset, query.limit) = (0, TARGETS_MAX);
        }
        let mut part = TargetPart { wish: wish.number, offset: offset as u64, ..TargetPart::default() };
        loop {
            let Some(page) = there(self.client.targets(&table.name, &query))? else { return Ok(part) };
            let rows = page.rows.len();
            part.total = page.total as u64;
            part.states = page.states.iter().map(|(state, count)| (state.name().to_owned(), *count as u64)).collect();
            part.rows.extend(page.rows.into_iter().map(|row| target_row(table, row)));
            query.offset += rows;
            query.limit = limit.saturating_sub(part.rows.len()).min(TARGETS_MAX);
            if !pushed.exact || query.limit == 0 || rows == 0 || query.offset >= page.total {
                break;
            }
        }
        if pushed.exact {
            return Ok(part);
        }
        let looked_at = part.rows.len() as u64;
        let remark = (looked_at < part.total).then(|| {
            format!(
                "{}: the filter was asked of the first {looked_at} of {} targets; only a whole state, as in state:pending, is asked of all",
                table.name, part.total
            )
        });
        let wish = Wish { offset, limit, ..wish.clone() };
        Ok(TargetPart { remark, ..select(&part.rows, &wish) })
    }
}

impl Source for Overlayd {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn look(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        if let Err(error) = self.try_look(wish, telling) {
            telling.say(Report::Health { fault: Some(error.to_string()) });
        }
    }

    fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        // An error is told by the next look.
        if wish.limit > 0
            && let Ok(part) = self.part(wish)
        {
            telling.say(Report::Targets(part));
        }
    }
}

/// `VNI 99, 02:00:00:00:00:01 to 02:00:00:00:00:02, other end 10.0.0.2:4789, 60 bytes`
fn example_row(example: &DropExample, now: Moment) -> ExampleRow {
    let mut parts: Vec<String> = example.vni.iter().map(|vni| format!("VNI {vni}")).collect();
    match (example.source, example.destination) {
        (Some(source), Some(destination)) => parts.push(format!("{source} to {destination}")),
        (None, Some(destination)) => parts.push(format!("to {destination}")),
        _ => {}
    }
    parts.extend(example.peer.map(|peer| format!("other end {peer}")));
    parts.push(format!("{} bytes", example.len));
    let (reason, vni) = (example.reason.to_string(), example.vni.map(|vni| vni.get()));
    ExampleRow { reason, vni, at: now.saturating_sub(example.age_ns), text: parts.join(", ") }
}

/// How long a plugin's answers take, for all of its overlays; none if it gave none in the last minutes.
fn of_plugin(of: &PluginWaits) -> Option<String> {
    let shown = |ns: Option<u64>| ns.map(wait);
    let (half, most, slowest) = (shown(of.waits.p50_ns)?, shown(of.waits.p99_ns)?, shown(of.waits.max_ns)?);
    Some(format!(
        "plugin {}, all overlays together: half of the answers of the last minutes took at most {half}, 99 of 100 {most}, the slowest {slowest}; \
         {} in flight, {} answered",
        of.plugin, of.lookups, of.waits.answers
    ))
}

/// Whether anything may wait for an answer.
fn is_busy(overlay: &Overlay) -> bool {
    overlay.lookups > 0 || overlay.pending_bytes > 0
}

/// Places of those of `count` whose turn it is, at most `most`; the turn goes on behind them.
fn round(turn: &mut usize, count: usize, most: usize) -> Vec<usize> {
    let begin = *turn % count.max(1);
    let length = count.min(most);
    *turn = (begin + length) % count.max(1);
    (begin..begin + length).map(|place| place % count).collect()
}

/// An overlay that was deleted between two calls has nothing.
fn there<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Err(ClientError::Refused(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// A filter in overlayd's words, and whether these say all of it.
struct Pushed {
    text: String,
    exact: bool,
}

fn push_down(words: &[Word]) -> Pushed {
    let column = |name: &str| TargetLine::COLUMNS.iter().position(|column| column.head.name == name);
    let (state, mac, ul3) = (column("state"), column("mac"), column("ul3"));
    let constant = ["overlay", "vni", "from"].map(column);
    let (mut text, mut exact) = (Vec::new(), true);
    for word in words {
        match &word.test {
            Test::Is(at, wanted) if !word.negated && Some(*at) == state && EntryState::ALL.iter().any(|state| state.name() == wanted) => {
                text.push(format!("state:{wanted}"));
            }
            Test::Contains(at, wanted)
                if !word.negated && Some(*at) == state && EntryState::ALL.iter().any(|state| state.name() == wanted) =>
            {
                text.push(format!("state:{wanted}"));
            }
            // A part of either address: more than is wanted, so that the rest is looked at here.
            Test::Contains(at, wanted) if !word.negated && (Some(*at) == mac || Some(*at) == ul3) => {
                text.push(wanted.clone());
                exact = false;
            }
            // The same for all rows of a table, and looked at before.
            Test::Contains(at, _) | Test::Is(at, _) | Test::Within(at, ..) if constant.contains(&Some(*at)) => {}
            _ => exact = false,
        }
    }
    Pushed { text: text.join(" "), exact }
}

/// Whether rows of a table can pass what the filter says of the overlay itself.
fn may_have(overlay: &Overlay, wish: &Wish) -> bool {
    let constant: Vec<usize> =
        CONSTANT.iter().filter_map(|name| TargetLine::COLUMNS.iter().position(|column| column.head.name == *name)).collect();
    let of_overlay =
        |word: &&Word| matches!(&word.test, Test::Contains(at, _) | Test::Is(at, _) | Test::Within(at, ..) if constant.contains(at));
    let words: Vec<&Word> = wish.filter.words().iter().filter(of_overlay).collect();
    let line = TargetLine { row: empty_row(overlay), stale: false };
    words.iter().all(|word| word.passes(&line, &|_| String::new()))
}

/// Whether all targets of an overlay have the same value in a column.
fn is_constant(column: usize) -> bool {
    TargetLine::COLUMNS.get(column).is_some_and(|column| CONSTANT.contains(&column.head.name))
}

fn sort_of(column: usize) -> TargetSort {
    match TargetLine::COLUMNS.get(column).map(|column| column.head.name) {
        Some("ul3") => TargetSort::Ul3,
        Some("state") => TargetSort::State,
        Some("age") => TargetSort::AgeNs,
        Some("idle") => TargetSort::IdleNs,
        Some("hits") => TargetSort::Hits,
        Some("bytes") => TargetSort::Bytes,
        Some("pending") => TargetSort::PendingBytes,
        Some("source") => TargetSort::Source,
        Some("expires") => TargetSort::ExpiresNs,
        _ => TargetSort::Mac,
    }
}

fn empty_row(overlay: &Overlay) -> TargetRow {
    TargetRow {
        from: NAME.to_owned(),
        overlay: overlay.name.to_string(),
        vni: Some(overlay.vnetid.get()),
        mac: overlay_decoder::Mac::default(),
        ul3: Vec::new(),
        state: String::new(),
        age_ns: None,
        idle_ns: None,
        hits: None,
        bytes: None,
        pending_bytes: None,
        source: String::new(),
        expires_ns: None,
        flags: String::new(),
    }
}

fn target_row(overlay: &Overlay, row: overlay_api::TargetRow) -> TargetRow {
    TargetRow {
        mac: row.mac,
        ul3: row.ul3,
        state: row.state.to_string(),
        age_ns: Some(row.age_ns),
        idle_ns: Some(row.idle_ns),
        hits: Some(row.hits),
        bytes: Some(row.bytes),
        pending_bytes: Some(row.pending_bytes),
        source: row.source.to_string(),
        expires_ns: row.expires_ns,
        ..empty_row(overlay)
    }
}

fn overlay_row(overlay: &Overlay, waiting: &Waiting) -> OverlayRow {
    let (pending, oldest_pending_ns) = waiting.of(overlay.name.as_str(), is_busy(overlay));
    let counters = &overlay.counters;
    let is_asked = overlay.search.as_str() != "direct";
    OverlayRow {
        from: NAME.to_owned(),
        name: overlay.name.to_string(),
        vni: Some(overlay.vnetid.get()),
        encapsulation: overlay.encapsulation.to_string(),
        search: overlay.search.to_string(),
        state: overlay.state.to_string(),
        reason: overlay.reason.clone(),
        since_ns: overlay.since_ns,
        listen: Some(overlay.listen.to_string()),
        mtu: Some(overlay.mtu),
        vnics: Some(overlay.vnics as u64),
        targets: Some(overlay.targets as u64),
        pending: pending.filter(|_| is_asked),
        oldest_pending_ns,
        pending_bytes: Some(overlay.pending_bytes),
        misses: is_asked.then_some(counters.lookups),
        tx_packets: counters.datagrams_out_packets,
        tx_bytes: counters.datagrams_out_bytes,
        rx_packets: counters.datagrams_in,
        rx_bytes: counters.datagrams_in_bytes,
        drops: counters.drops.clone(),
        counters: counters.iter().map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

fn vnic_row(vnic: Vnic) -> VnicRow {
    let counters = vnic.counters;
    VnicRow {
        from: NAME.to_owned(),
        name: vnic.name.to_string(),
        overlay: vnic.overlay.to_string(),
        mac: Some(vnic.mac),
        netns: vnic.namespace.map(|namespace| namespace.to_string()),
        mtu: Some(vnic.mtu),
        state: vnic.state.to_string(),
        reason: vnic.reason,
        tx_packets: counters.frames_in_packets,
        tx_bytes: counters.frames_in_bytes,
        rx_packets: counters.frames_out,
        rx_bytes: counters.frames_out_bytes,
        drops: counters.drops,
    }
}

/// Passes on what happens, in a thread, for as long as somebody hears it; connects again where the connection ended.
pub(crate) fn follow(paths: &Paths, inputs: SyncSender<Input>) {
    let client = Client::overlayd(paths).with_timeout(PATIENCE);
    std::thread::spawn(move || {
        if let Err(why) = guarded(|| pass_on(&client, &inputs)) {
            let text = format!("events are not heard any more: {why}");
            let (from, event, subject) = (NAME.to_owned(), "missed".to_owned(), NAME.to_owned());
            let event = EventRow { at: now(), from, event, subject, text };
            let told = Told { at: event.at, by: NAME.to_owned(), report: Report::Event { event } };
            // Whoever hears no more has ended.
            let _ = inputs.send(Input::Told(vec![told]));
        }
    });
}

fn pass_on(client: &Client, inputs: &SyncSender<Input>) {
    loop {
        // Why it cannot be asked is told by who asks for numbers.
        for event in client.events().into_iter().flatten() {
            let Ok(event) = event else { break };
            let told = Told { at: now(), by: NAME.to_owned(), report: Report::Event { event: event_row(event) } };
            if inputs.send(Input::Told(vec![told])).is_err() {
                return;
            }
        }
        std::thread::sleep(TRY_AGAIN);
        if inputs.send(Input::Told(Vec::new())).is_err() {
            return;
        }
    }
}

fn event_row(event: Event) -> EventRow {
    let because =
        |state: &str, reason: &Option<String>| reason.as_ref().map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
    let (name, subject, text) = match event.what {
        Happening::OverlayCreated { overlay } => ("overlay-created", overlay.to_string(), "was made".to_owned()),
        Happening::OverlayDeleted { overlay } => ("overlay-deleted", overlay.to_string(), "was deleted".to_owned()),
        Happening::OverlayState { overlay, state, reason } => ("overlay-state", overlay.to_string(), because(state.name(), &reason)),
        Happening::VnicCreated { vnic, overlay } => ("vnic-created", vnic.to_string(), format!("was made on {overlay}")),
        Happening::VnicDeleted { vnic, overlay } => ("vnic-deleted", vnic.to_string(), format!("was deleted from {overlay}")),
        Happening::VnicState { vnic, state, reason } => ("vnic-state", vnic.to_string(), because(state.name(), &reason)),
        Happening::PropertyChanged { link, name, value } => {
            ("property-changed", link.to_string(), format!("{name} is {}", value.as_deref().unwrap_or("not set")))
        }
        Happening::TargetSet { overlay, mac } => ("target-set", overlay.to_string(), format!("{mac} was set by hand")),
        Happening::TargetDeleted { overlay, mac } => ("target-deleted", overlay.to_string(), format!("{mac} was deleted by hand")),
        Happening::TargetsFlushed { overlay, flushed } => {
            ("targets-flushed", overlay.to_string(), format!("{flushed} targets were forgotten"))
        }
        Happening::Answerer { attached, reason } => {
            ("answerer", "varpd".to_owned(), reason.unwrap_or_else(|| if attached { "attached" } else { "away" }.to_owned()))
        }
        Happening::Missed { missed } => ("missed", NAME.to_owned(), format!("{missed} events came too fast to be shown")),
    };
    let at = event.timestamp.seconds.saturating_mul(crate::rows::SECOND).saturating_add(event.timestamp.nanoseconds.into());
    EventRow { at, from: NAME.to_owned(), event: name.to_owned(), subject, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    fn pushed(text: &str) -> (String, bool) {
        let filter = Filter::parse(text, Screen::Targets).unwrap();
        let pushed = push_down(filter.words());
        (pushed.text, pushed.exact)
    }

    #[test]
    fn what_overlayd_understands_is_left_to_it() {
        assert_eq!(pushed(""), (String::new(), true));
        assert_eq!(pushed("state:pending vni:77 overlay=ov1"), ("state:pending".to_owned(), true));
        assert_eq!(pushed("state=valid mac:02:08"), ("state:valid 02:08".to_owned(), false));
        assert_eq!(pushed("!state:valid hits>3 /x/ state:pend"), (String::new(), false));
    }

    #[test]
    fn everybody_has_a_turn_and_who_had_none_is_not_taken_for_idle() {
        let mut turn = 0;
        assert_eq!(round(&mut turn, 5, 2), [0, 1]);
        assert_eq!(round(&mut turn, 5, 2), [2, 3]);
        assert_eq!(round(&mut turn, 5, 2), [4, 0]);
        assert_eq!(round(&mut turn, 5, usize::MAX), [1, 2, 3, 4, 0]);
        // Others came and went.
        assert_eq!((round(&mut turn, 1, 64), round(&mut turn, 0, 64), turn), (vec![0], vec![], 0));
        let waiting = Waiting { asked: [("a".to_owned(), (3, 7)), ("b".to_owned(), (0, 0))].into(), left: 1 };
        assert_eq!([waiting.of("a", true), waiting.of("b", true)], [(Some(3), Some(7)), (Some(0), None)]);
        assert_eq!([waiting.of("busy", true), waiting.of("idle", false)], [(None, None), (Some(0), None)]);
        assert!(waiting.notes()[0].starts_with("overlayd: 1 overlay has lookups under way and will be asked next time"));
        assert_eq!(Waiting::default().notes(), Vec::<String>::new());
    }

    #[test]
    fn events_are_sentences_with_a_subject() {
        let event = Event {
            timestamp: "7.000000001".parse().unwrap(),
            what: Happening::Answerer { attached: false, reason: Some("it was closed".to_owned()) },
        };
        let row = event_row(event);
        assert_eq!((row.at, row.event.as_str(), row.text.as_str()), (7_000_000_001, "answerer", "it was closed"));
    }

    #[test]
    fn nobody_there_is_a_fault_and_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let mut overlayd = Overlayd::new(&Paths::under(folder.path()));
        let mut telling = Telling { at: 1, by: NAME, told: Vec::new() };
        overlayd.look(&Wish::first(), &mut telling);
        let [told] = telling.told.as_slice() else { panic!("{:?}", telling.told) };
        let Report::Health { fault: Some(fault) } = &told.report else { panic!("{told:?}") };
        assert!(fault.starts_with("overlayd is not running: "), "{fault}");
    }
}
