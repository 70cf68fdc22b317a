//! What happens to the entries of the target tables? The control half carries out the table of states.

use super::compile::check_destination;
use super::device::{Machine, Refusal};
use super::lookup::About;
use super::miss::{Miss, Parcel};
use super::{Control, Output, SETTLE_NS};
use crate::config::DESTINATIONS_MAX;
use crate::encap::Carrier;
use crate::target::{Action, Entry, Event, Evicted, OnFrame, Route, on_frame, step};
use crate::time::Time;
use crate::worker::{Shown, clamp};
use crate::world::Device;
use overlay_api::{DeviceId, DropReason, EntryState, RequestId, Source};
use overlay_decoder::{Mac, Ul3};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries that one insertion evicts at most: more than one, so that a table that has grown over its cap comes down again.
const EVICTIONS: usize = 4;
/// Entries of a table that a sweep looks at: this many, or a part of them, whichever is more.
const SWEPT: usize = 64;
const SWEPT_PART: usize = 16;

/// What an operator or a plugin wants of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetTarget {
    /// Its frames go there.
    Reach(Vec<Ul3>),
    /// Its frames are dropped.
    Drop,
}

/// Frames that wait for the answer to one lookup.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Oldest first.
    pub(super) parcels: VecDeque<Parcel>,
    pub(super) bytes: usize,
    /// The lookup. Also of a renewal, where nothing waits.
    pub(super) request: Option<RequestId>,
}

/// What an event brings with it.
#[derive(Debug, Default)]
pub(super) struct With {
    pub(super) parcel: Option<Parcel>,
    pub(super) route: Option<NewRoute>,
}

/// What is known from now on.
#[derive(Debug)]
pub(super) struct NewRoute {
    pub(super) to: Option<Arc<Route>>,
    pub(super) source: Source,
    pub(super) expires: Time,
}

impl Control {
    /// Workers have handed over frames. Says whether there are more than one call takes.
    pub fn handle_misses(&mut self, now: Time) -> bool {
        self.moment = now;
        for _ in 0..self.limits.misses_per_call.max(1) {
            let Some(miss) = self.shared.misses.pop() else { return false };
            self.handle_miss(miss, now);
        }
        !self.shared.misses.is_empty()
    }

    /// Takes all that is in the queue now.
    pub(super) fn handle_all_misses(&mut self, now: Time) {
        for _ in 0..self.shared.misses.len() {
            let Some(miss) = self.shared.misses.pop() else { return };
            self.handle_miss(miss, now);
        }
    }

    fn handle_miss(&mut self, miss: Miss, now: Time) {
        match miss {
            Miss::Closed(device, parcel) => self.handle_closed(device, parcel, now),
            Miss::Group(device, parcel) => self.handle_group(device, parcel, now),
            Miss::Renew(device, parcel) => self.handle_renewal(device, &parcel, now),
            Miss::Ping(frame, pong) => self.handle_ping(frame, pong),
        }
    }

    /// A frame whose entry was not open. It is registered at the entry's gate.
    fn handle_closed(&mut self, device: DeviceId, parcel: Parcel, now: Time) {
        let mac = parcel.question.destination;
        let Some(table) = self.machines.get(&device).and_then(Machine::table) else {
            return self.drop_nobodys(&parcel, DropReason::OverlayRemoved);
        };
        let pinned = table.pin();
        self.frame_for(device, mac, parcel, now);
        if let Some(entry) = pinned.get(&mac) {
            entry.gate.leave();
            // Nothing came of it, and nobody else is at the gate.
            table.remove(&pinned, mac, entry, EntryState::Absent);
        }
    }

    /// A frame for one destination, from a worker or from a plugin.
    pub(super) fn frame_for(&mut self, device: DeviceId, mac: Mac, parcel: Parcel, now: Time) {
        let Some(machine) = self.machines.get(&device) else { return self.drop_nobodys(&parcel, DropReason::OverlayRemoved) };
        let Some(table) = machine.table() else { return };
        let view = Arc::clone(&machine.view);
        let pinned = table.pin();
        if let Some(entry) = pinned.get(&mac) {
            entry.touch(now);
        }
        self.notice(device, mac, now);
        let state = pinned.get(&mac).and_then(|entry| entry.gate.state()).unwrap_or(EntryState::Absent);
        if state == EntryState::Stale && !self.may_ask(device) {
            // It stays in use until it can be asked for again.
            let found = pinned.get(&mac).map(|entry| (entry, entry.route()));
            return match found.as_ref().and_then(|(entry, route)| Some((entry, route.as_ref()?))) {
                Some((entry, route)) => self.send_by(entry, &view, parcel, route, now),
                None => self.drop_parcel(&view, &parcel, DropReason::EntryRemoved),
            };
        }
        if step(state, Event::Frame).actions.contains(&Action::Queue)
            && let Err(reason) = self.room_for(device, mac, &parcel)
        {
            return self.drop_parcel(&view, &parcel, reason);
        }
        self.apply(device, mac, Event::Frame, With { parcel: Some(parcel), route: None }, now);
    }

    /// What an entry says may be over without anybody having noticed yet.
    fn notice(&mut self, device: DeviceId, mac: Mac, now: Time) {
        let Some(table) = self.machines.get(&device).and_then(Machine::table) else { return };
        let over = table.pin().get(&mac).is_some_and(|entry| match entry.gate.state() {
            Some(EntryState::Valid) => entry.is_over(now, table.trusted_since()),
            // A refusal holds for its time, whoever answers now.
            Some(EntryState::Drop) => entry.is_over(now, Time::ZERO),
            _ => false,
        });
        if over {
            self.apply(device, mac, Event::Expire, With::default(), now);
        }
    }

    /// Sends a frame to its entry's destination.
    fn send_by(&mut self, entry: &Entry, view: &Device, parcel: Parcel, route: &Route, now: Time) {
        let len = parcel.len();
        if self.send_parcel(view, parcel, route, now) {
            entry.count(1, len as u64, now);
        }
    }

    /// Whether a question may be asked that nothing waits for.
    fn may_ask(&self, device: DeviceId) -> bool {
        let free = |machine: &Machine| machine.lookups < self.limits.lookups_per_device;
        self.lookups.away().is_none() && self.machines.get(&device).is_some_and(free)
    }

    /// Whether a frame may wait.
    fn room_for(&self, device: DeviceId, mac: Mac, parcel: &Parcel) -> Result<(), DropReason> {
        let Some(machine) = self.machines.get(&device) else { return Err(DropReason::OverlayRemoved) };
        let queue = machine.queues.get(&mac);
        // The first frame always fits its entry, whatever its size: nothing could ever be asked otherwise.
        let waiting = queue.map_or(0, |queue| queue.bytes);
        if waiting > 0 && waiting + parcel.len() > self.limits.pending_bytes_per_entry {
            return Err(DropReason::PendingFull);
        }
        let asks = queue.is_none_or(|queue| queue.request.is_none());
        if !machine.waiting.has_room(parcel.len(), &self.limits) || (asks && machine.lookups >= self.limits.lookups_per_device) {
            return Err(DropReason::OverlayFull);
        }
        Ok(())
    }

    /// A broadcast or multicast frame without a replication list.
    pub(super) fn handle_group(&mut self, device: DeviceId, parcel: Parcel, now: Time) {
        let mac = parcel.question.destination;
        let Some(machine) = self.machines.get(&device) else { return self.drop_nobodys(&parcel, DropReason::OverlayRemoved) };
        let Some(table) = machine.table() else { return };
        let view = Arc::clone(&machine.view);
        let pinned = table.pin();
        // A list may have come since, or the word that nobody gets it.
        if let Some(entry) = pinned.get(&mac)
            && let Some(state) = entry.state(now, table.trusted_since())
        {
            match (on_frame(state), entry.route().as_ref()) {
                (OnFrame::Forward | OnFrame::Renew, Some(route)) => return self.send_by(entry, &view, parcel, route, now),
                (OnFrame::Reject(reason), _) => return self.drop_group(&view, &parcel, reason),
                _ => {}
            }
        }
        let full = machine.lookups >= self.limits.lookups_per_device || !machine.waiting.has_room(parcel.len(), &self.limits);
        if full {
            return self.drop_group(&view, &parcel, DropReason::OverlayFull);
        }
        self.ask(device, About::Frame(Box::new(parcel)), None, now);
    }

    /// A stale entry is in use.
    fn handle_renewal(&mut self, device: DeviceId, parcel: &Parcel, now: Time) {
        let mac = parcel.question.destination;
        let Some(machine) = self.machines.get(&device) else { return };
        let Some(table) = machine.table() else { return };
        let pinned = table.pin();
        let Some(entry) = pinned.get(&mac).filter(|entry| entry.gate.state() == Some(EntryState::Renewing)) else { return };
        if machine.queues.get(&mac).is_some_and(|queue| queue.request.is_some()) {
            return;
        }
        if !self.may_ask(device) {
            entry.gate.change(EntryState::Renewing, EntryState::Stale);
            return;
        }
        self.ask(device, About::Entry(mac), Some(parcel), now);
    }

    /// Sets a destination by hand ([`Source::Static`]) or for a plugin that was not asked ([`Source::Plugin`]). `ttl_ns` without a
    /// value is without limit.
    ///
    /// # Errors
    /// If the device has no table, or an address that it cannot use is among the destinations.
    pub fn set_target(
        &mut self,
        device: DeviceId,
        mac: Mac,
        target: &SetTarget,
        source: Source,
        ttl_ns: Option<u64>,
        now: Time,
    ) -> Result<(), Refusal> {
        let machine = self.dynamic(device)?;
        let refuse = |problem: &str| Refusal::new(format!("target {mac} of overlay {}: {problem}", machine.spec.name));
        if mac == Mac([0; 6]) {
            return Err(refuse("no frame has this destination"));
        }
        if let SetTarget::Reach(to) = target {
            check_route(machine, mac, to).map_err(|problem| refuse(&problem))?;
        }
        if source != Source::Static && self.is_set_by_hand(device, mac, now) {
            return Err(refuse("is set by hand, which comes first"));
        }
        let expires = ttl_ns.map_or(Time::NEVER, |ttl| now + ttl);
        self.handle_all_misses(now);
        self.notice(device, mac, now);
        let (event, to) = match target {
            SetTarget::Reach(to) => (Event::Set, self.machines.get_mut(&device).map(|machine| machine.route(to))),
            SetTarget::Drop => (Event::SetDrop, None),
        };
        self.apply(device, mac, event, With { parcel: None, route: Some(NewRoute { to, source, expires }) }, now);
        Ok(())
    }

    /// Forgets a destination: the next frame asks. Says whether anything was known.
    ///
    /// # Errors
    /// If the device has no table.
    pub fn remove_target(&mut self, device: DeviceId, mac: Mac, now: Time) -> Result<bool, Refusal> {
        self.dynamic(device)?;
        self.handle_all_misses(now);
        self.notice(device, mac, now);
        let old = self.apply(device, mac, Event::Remove, With::default(), now);
        Ok(old.is_some_and(|state| state != EntryState::Absent))
    }

    /// A plugin says that what it answered about a destination no longer holds. What is set by hand stays, and so does what waits for its
    /// first answer: that one comes after this. Says whether anything was forgotten.
    ///
    /// # Errors
    /// If the device has no table.
    pub fn invalidate(&mut self, device: DeviceId, mac: Mac, now: Time) -> Result<bool, Refusal> {
        self.dynamic(device)?;
        self.handle_all_misses(now);
        let stays = self.is_set_by_hand(device, mac, now) || self.is_pending(device, mac);
        if stays { Ok(false) } else { self.remove_target(device, mac, now) }
    }

    /// The same of all destinations. Says how many were forgotten.
    ///
    /// # Errors
    /// If the device has no table.
    pub fn invalidate_all(&mut self, device: DeviceId, now: Time) -> Result<usize, Refusal> {
        self.handle_all_misses(now);
        self.forget(device, |entry| entry.source() == Source::Static || is_pending(entry), now)
    }

    fn is_pending(&self, device: DeviceId, mac: Mac) -> bool {
        let table = self.machines.get(&device).and_then(Machine::table);
        table.is_some_and(|table| table.pin().get(&mac).is_some_and(is_pending))
    }

    pub(super) fn is_set_by_hand(&self, device: DeviceId, mac: Mac, now: Time) -> bool {
        let table = self.machines.get(&device).and_then(Machine::table);
        table.is_some_and(|table| {
            let known = |entry: &Entry| entry.state(now, Time::ZERO).is_some_and(|state| state != EntryState::Absent);
            table.pin().get(&mac).is_some_and(|entry| entry.source() == Source::Static && known(entry))
        })
    }

    /// Forgets all destinations; with `learned_only`, those set by hand stay. Says how many.
    ///
    /// # Errors
    /// If the device has no table.
    pub fn flush(&mut self, device: DeviceId, learned_only: bool, now: Time) -> Result<usize, Refusal> {
        self.dynamic(device)?;
        self.handle_all_misses(now);
        self.forget(device, |entry| learned_only && entry.source() == Source::Static, now)
    }

    /// Forgets all destinations but those that stay. Says how many.
    fn forget(&mut self, device: DeviceId, stays: impl Fn(&Entry) -> bool, now: Time) -> Result<usize, Refusal> {
        let Some(table) = self.dynamic(device)?.table() else { return Ok(0) };
        let pinned = table.pin();
        let all: Vec<Mac> = pinned.iter().filter(|(_, entry)| !stays(entry)).map(|(mac, _)| *mac).collect();
        let known = |control: &mut Self, mac| {
            control.notice(device, mac, now);
            let old = control.apply(device, mac, Event::Remove, With::default(), now);
            old.is_some_and(|state| state != EntryState::Absent)
        };
        Ok(all.into_iter().filter(|mac| known(self, *mac)).count())
    }

    fn dynamic(&self, device: DeviceId) -> Result<&Machine, Refusal> {
        let machine = self.machine(device)?;
        match machine.view.table() {
            Some(_) => Ok(machine),
            None => Err(Refusal::new(format!("overlay {}: is direct, and has no target table", machine.spec.name))),
        }
    }

    /// Something happens to an entry. Says in which state it was; none if there is no entry and the event makes none.
    pub(super) fn apply(&mut self, device: DeviceId, mac: Mac, event: Event, mut with: With, now: Time) -> Option<EntryState> {
        let view = Arc::clone(&self.machines.get(&device)?.view);
        let table = Arc::clone(view.table()?);
        let pinned = table.pin();
        let makes = matches!(event, Event::Frame | Event::Set | Event::SetDrop);
        let entry = if makes { table.keep(&pinned, mac, now) } else { pinned.get(&mac)? };
        let old = entry.gate.state()?;
        let next = step(old, event);
        // What a question would carry, before the frame goes its way.
        let asking = with.parcel.clone().filter(|_| next.actions.contains(&Action::Ask) && !next.actions.contains(&Action::Queue));
        let mut forget = false;
        for action in next.actions {
            match *action {
                Action::Queue => self.enqueue(device, mac, entry, with.parcel.take()),
                Action::Ask => self.ask_for(device, mac, asking.as_ref(), now),
                Action::Forward | Action::ForwardBehind => {
                    if let Some(parcel) = with.parcel.take() {
                        match entry.route().as_ref() {
                            Some(route) => self.send_by(entry, &view, parcel, route, now),
                            None => self.drop_parcel(&view, &parcel, DropReason::EntryRemoved),
                        }
                    }
                }
                Action::Reject(reason) => {
                    if let Some(parcel) = with.parcel.take() {
                        self.drop_parcel(&view, &parcel, reason);
                    }
                }
                Action::Route => {
                    if let Some(NewRoute { to, source, expires }) = with.route.take() {
                        entry.set_route(to, source, expires);
                    }
                }
                Action::SendQueue => {
                    let route = entry.route();
                    for parcel in self.take_queue(device, mac, entry) {
                        match route.as_ref() {
                            Some(route) => self.send_by(entry, &view, parcel, route, now),
                            None => self.drop_parcel(&view, &parcel, DropReason::EntryRemoved),
                        }
                    }
                }
                Action::DropQueue(reason) => {
                    for parcel in self.take_queue(device, mac, entry) {
                        self.drop_parcel(&view, &parcel, reason);
                    }
                }
                Action::TakeHead => self.take_head(device, mac, entry),
                Action::Withdraw => self.withdraw_for(device, mac),
                Action::Requeue => self.requeue_for(device, mac),
                Action::Forget => forget = true,
            }
        }
        let to = next.to;
        let changed = to != old || next.actions.contains(&Action::Route);
        if changed {
            entry.gate.set(to);
            entry.touch_state(now);
            let route = entry.route();
            let shown = Shown(route.as_ref().map_or(&[], |route| route.as_slice()));
            overlay_probes::target_state(view.vni.get(), mac, old, to, event.name(), shown);
        }
        if makes {
            entry.gate.leave();
        }
        if to == EntryState::Draining && changed {
            self.draining.insert((device, mac), now);
            self.next_settle = now;
        }
        let machine = self.machines.get_mut(&device)?;
        if forget {
            entry.forget();
            machine.ring.unlist(&pinned, entry);
            table.remove(&pinned, mac, entry, EntryState::Absent);
        } else {
            machine.ring.list(mac, entry);
            if to != EntryState::Absent && old == EntryState::Absent {
                self.evict(device, now);
            }
        }
        Some(old)
    }

    fn enqueue(&mut self, device: DeviceId, mac: Mac, entry: &Entry, parcel: Option<Parcel>) {
        let (Some(machine), Some(parcel)) = (self.machines.get_mut(&device), parcel) else { return };
        let len = parcel.len();
        let queue = machine.queues.entry(mac).or_default();
        queue.bytes += len;
        machine.waiting.add(len);
        overlay_probes::target_queue(parcel.id, machine.view.vni.get(), queue.bytes as u64, clamp(queue.parcels.len() + 1), mac);
        queue.parcels.push_back(parcel);
        entry.set_pending(queue.bytes);
    }

    /// The frames that wait, which do so no longer.
    fn take_queue(&mut self, device: DeviceId, mac: Mac, entry: &Entry) -> VecDeque<Parcel> {
        entry.set_pending(0);
        let Some(machine) = self.machines.get_mut(&device) else { return VecDeque::new() };
        let queue = machine.queues.remove(&mac).unwrap_or_default();
        machine.waiting.take(queue.parcels.len(), queue.bytes);
        queue.parcels
    }

    /// The oldest frame has been answered in another way, and counted.
    fn take_head(&mut self, device: DeviceId, mac: Mac, entry: &Entry) {
        let Some(machine) = self.machines.get_mut(&device) else { return };
        if let Some(queue) = machine.queues.get_mut(&mac)
            && let Some(parcel) = queue.parcels.pop_front()
        {
            queue.bytes -= parcel.len();
            machine.waiting.take(1, parcel.len());
            entry.set_pending(queue.bytes);
            if queue.parcels.is_empty() {
                machine.queues.remove(&mac);
            }
        }
    }

    /// Opens the entries whose frames are out. Outputs must have been carried out.
    pub(super) fn settle(&mut self, now: Time) {
        if self.draining.is_empty() || !self.outputs.is_empty() {
            return;
        }
        let drain_ns = self.limits.drain_ns;
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|(device, mac), since| {
            let Some(machine) = self.machines.get(device) else { return false };
            let Some(table) = machine.view.table() else { return false };
            let pinned = table.pin();
            let Some(entry) = pinned.get(mac).filter(|entry| entry.gate.state() == Some(EntryState::Draining)) else { return false };
            if entry.gate.publish() {
                entry.touch_state(now);
                let (old, to) = (EntryState::Draining, step(EntryState::Draining, Event::Drained).to);
                let route = entry.route();
                let shown = Shown(route.as_ref().map_or(&[], |route| route.as_slice()));
                overlay_probes::target_state(machine.view.vni.get(), *mac, old, to, Event::Drained.name(), shown);
                return false;
            }
            if now.since(*since) >= drain_ns {
                entry.gate.hold();
            }
            true
        });
        self.draining = draining;
        self.next_settle = now + SETTLE_NS;
    }

    /// Makes room if the table is over its cap.
    fn evict(&mut self, device: DeviceId, now: Time) {
        for _ in 0..EVICTIONS {
            let Some(machine) = self.machines.get_mut(&device) else { return };
            let Some(table) = machine.table() else { return };
            if table.len() as u64 <= table.cap() {
                return;
            }
            let pinned = table.pin();
            let goes = |state| step(state, Event::Evict).actions.contains(&Action::Forget);
            let Evicted::Victim(mac) = machine.ring.victim(&pinned, goes) else {
                overlay_probes::target_full(machine.view.vni.get(), table.len() as u64, "");
                return;
            };
            let idle = pinned.get(&mac).map_or(0, |entry| now.since(entry.used()));
            overlay_probes::target_evict(machine.view.vni.get(), idle, mac);
            machine.view.count(self.writer).evictions.add(1);
            self.apply(device, mac, Event::Evict, With::default(), now);
        }
    }

    /// Goes a little further round each table: what is over becomes stale or goes.
    pub(super) fn sweep(&mut self, now: Time) {
        let devices: Vec<DeviceId> = self.machines.keys().copied().collect();
        let away = self.lookups.away().is_some();
        for device in devices {
            let Some(machine) = self.machines.get_mut(&device) else { continue };
            let Some(table) = machine.table() else { continue };
            let pinned = table.pin();
            let listed = machine.ring.len();
            for _ in 0..(listed / SWEPT_PART).max(SWEPT).min(listed) {
                let Some(machine) = self.machines.get_mut(&device) else { break };
                let Some(mac) = machine.ring.next() else { break };
                let Some(entry) = pinned.get(&mac) else { continue };
                let over = entry.is_over(now, Time::ZERO);
                let event = match entry.gate.state() {
                    Some(EntryState::Valid | EntryState::Drop) if over => Event::Expire,
                    // While nobody answers, nothing is forgotten: it could not be learned again.
                    Some(EntryState::Stale) if !away && now.since(entry.used()) > self.limits.idle_ns => Event::Evict,
                    _ => continue,
                };
                self.apply(device, mac, event, With::default(), now);
            }
            self.evict(device, now);
        }
    }

    /// Cancels all that is asked for a device; frames that ask for themselves are dropped for that reason.
    pub(super) fn withdraw_all(&mut self, device: DeviceId, reason: DropReason) {
        for request in self.lookups.of(device) {
            if let Some(About::Frame(parcel)) = self.close(request).map(|asked| asked.about)
                && let Some(machine) = self.machines.get(&device)
            {
                let view = Arc::clone(&machine.view);
                self.drop_group(&view, &parcel, reason);
            }
            self.outputs.push_back(Output::Withdraw(request));
        }
    }
}

/// Whether an entry waits for its first answer.
fn is_pending(entry: &Entry) -> bool {
    entry.gate.state() == Some(EntryState::Pending)
}

/// Whether frames for `mac` can go to these places. The error goes on after the destination's name.
pub(super) fn check_route(machine: &Machine, mac: Mac, to: &[Ul3]) -> Result<(), String> {
    let udp = machine.view.carrier == Carrier::Udp;
    match to {
        [] => return Err("no underlay address is given; at least one is needed".to_owned()),
        [_, _, ..] if !mac.is_group() => {
            return Err(format!("{} underlay addresses are given; only broadcast and multicast destinations have more than one", to.len()));
        }
        _ if to.len() > DESTINATIONS_MAX => {
            return Err(format!("{} underlay addresses are given; a list has at most {DESTINATIONS_MAX}", to.len()));
        }
        _ => {}
    }
    if to.len() > 1 {
        let mut sorted = to.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{} is given twice; once is allowed", pair[0]));
        }
    }
    to.iter()
        .try_for_each(|ul3| check_destination(*ul3, machine.view.listen, udp, mac.is_group()).map_err(|problem| format!("{ul3} {problem}")))
}
