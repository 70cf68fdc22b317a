//! What should the target table of one device do? Written from the description (the states of the illumos overlay device, and what this
//! project adds: draining, stale marking, limits, eviction), with nothing in it that is fast, shared or concurrent.

use crate::target_host::{Did, HEADER, SECOND, ul3};
use overlay_api::{DropReason, EntryState, RequestId, Source};
use overlay_decoder::Mac;
use overlay_engine::{Limits, Totals};
use std::collections::{BTreeMap, VecDeque};

pub(crate) const NEVER: u64 = u64::MAX;

/// A frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) to: Mac,
    pub(crate) content: u8,
    pub(crate) len: u64,
    /// A plugin sent it in place of another one.
    pub(crate) resent: bool,
}

/// An answer. Destinations are the last byte of an underlay address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Reach(u8, Option<u64>),
    Drop(Option<u64>),
    Inject(u8),
    Resend(Frame),
    Invalid,
}

/// What the device knows of a destination.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) state: EntryState,
    pub(crate) to: Option<u8>,
    pub(crate) source: Source,
    pub(crate) since: u64,
    pub(crate) used: u64,
    pub(crate) expires: u64,
    pub(crate) hits: u64,
    pub(crate) bytes: u64,
    pub(crate) queue: VecDeque<Frame>,
    request: Option<RequestId>,
    /// Frames on their way to the control half.
    in_flight: u32,
    drains_since: u64,
    held: bool,
}

#[derive(Clone, Debug)]
enum Miss {
    Closed(Frame),
    Renew(Mac),
}

#[derive(Clone, Debug)]
struct Asked {
    about: Mac,
    at: u64,
    resent: bool,
}

pub(crate) struct Model {
    limits: Limits,
    cap: usize,
    negative_ttl: u64,
    pub(crate) now: u64,
    away: bool,
    trusted: u64,
    next_sweep: u64,
    pub(crate) entries: BTreeMap<Mac, Entry>,
    misses: VecDeque<Miss>,
    open: BTreeMap<RequestId, Asked>,
    unasked: Vec<RequestId>,
    last: u64,
    pub(crate) totals: Totals,
    pub(crate) did: Vec<Did>,
    /// Destinations that the engine no longer knows, to choose among those that may as well be evicted.
    pub(crate) gone: Vec<Mac>,
}

impl Model {
    pub(crate) fn new(limits: Limits, cap: usize, negative_ttl: u64) -> Self {
        Self {
            limits,
            cap,
            negative_ttl,
            now: 0,
            away: false,
            trusted: 0,
            next_sweep: 0,
            entries: BTreeMap::new(),
            misses: VecDeque::new(),
            open: BTreeMap::new(),
            unasked: Vec::new(),
            last: 0,
            totals: Totals::default(),
            did: Vec::new(),
            gone: Vec::new(),
        }
    }

    pub(crate) fn lookups(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn pending_bytes(&self) -> u64 {
        self.entries.values().flat_map(|entry| &entry.queue).map(|frame| frame.len).sum()
    }

    /// Frames without a fate.
    pub(crate) fn waiting(&self) -> u64 {
        let queued: usize = self.entries.values().map(|entry| entry.queue.len()).sum();
        (queued + self.misses.iter().filter(|miss| matches!(miss, Miss::Closed(_))).count()) as u64
    }

    /// The state that is shown: what no frame has noticed yet included.
    pub(crate) fn shown(&self, entry: &Entry) -> EntryState {
        match entry.state {
            EntryState::Valid if self.over(entry) => EntryState::Stale,
            EntryState::Drop if self.now >= entry.expires => EntryState::Absent,
            state => state,
        }
    }

    /// Whether a valid entry no longer holds: by its own limit, or as it was learned from one who has gone since.
    fn over(&self, entry: &Entry) -> bool {
        let untrusted = self.away || entry.since < self.trusted;
        self.now >= entry.expires || (untrusted && entry.source != Source::Static)
    }

    fn drop(&mut self, frames: usize, reason: DropReason) {
        self.totals.drops[reason.index()] += frames as u64;
    }

    fn send(&mut self, frame: Frame) {
        let entry = self.entries.get_mut(&frame.to).unwrap();
        entry.hits += 1;
        entry.bytes += frame.len;
        entry.used = self.now;
        self.did.push(Did::Send(frame.content, ul3(entry.to.unwrap())));
        self.totals.sent += 1;
        self.totals.sent_bytes += frame.len;
        self.totals.datagrams_out += 1;
        self.totals.datagrams_out_packets += 1;
        self.totals.datagrams_out_bytes += frame.len + HEADER;
    }

    /// The entry, made if it is not there.
    fn entry(&mut self, mac: Mac) -> &mut Entry {
        let now = self.now;
        self.entries.entry(mac).or_insert_with(|| Entry {
            state: EntryState::Absent,
            to: None,
            source: Source::Lookup,
            since: now,
            used: now,
            expires: NEVER,
            hits: 0,
            bytes: 0,
            queue: VecDeque::new(),
            request: None,
            in_flight: 0,
            drains_since: 0,
            held: false,
        })
    }

    fn change(&mut self, mac: Mac, state: EntryState) {
        let now = self.now;
        let entry = self.entry(mac);
        (entry.state, entry.since, entry.held) = (state, now, false);
        entry.drains_since = now;
    }

    /// Nothing is known any more. An entry with frames on their way stays for them.
    fn forget(&mut self, mac: Mac) {
        self.change(mac, EntryState::Absent);
        let entry = self.entry(mac);
        (entry.to, entry.source, entry.expires, entry.hits, entry.bytes) = (None, Source::Lookup, NEVER, 0, 0);
        if entry.in_flight == 0 {
            self.entries.remove(&mac);
        }
    }

    fn ask(&mut self, mac: Mac, resent: bool) {
        self.last += 1;
        let request = RequestId(self.last);
        self.open.insert(request, Asked { about: mac, at: self.now, resent });
        self.entry(mac).request = Some(request);
        self.totals.lookups += 1;
        match self.away {
            true => self.unasked.push(request),
            false => self.did.push(Did::Ask(request, mac)),
        }
    }

    fn may_ask(&self) -> bool {
        !self.away && self.open.len() < self.limits.lookups_per_device
    }

    fn withdraw(&mut self, mac: Mac) {
        if let Some(request) = self.entry(mac).request.take() {
            self.open.remove(&request);
            self.did.push(Did::Withdraw(request));
        }
    }

    fn take_queue(&mut self, mac: Mac) -> Vec<Frame> {
        self.entry(mac).queue.drain(..).collect()
    }

    fn drop_queue(&mut self, mac: Mac, reason: DropReason) {
        let frames = self.take_queue(mac).len();
        self.drop(frames, reason);
    }

    fn learn(&mut self, mac: Mac, to: Option<u8>, source: Source, ttl: Option<u64>) {
        let expires = ttl.map_or(NEVER, |ttl| self.now + ttl);
        let entry = self.entry(mac);
        (entry.to, entry.source, entry.expires) = (to, source, expires);
    }

    fn evict(&mut self) {
        for _ in 0..4 {
            if self.entries.len() <= self.cap {
                return;
            }
            let goes = |entry: &Entry| matches!(entry.state, EntryState::Valid | EntryState::Stale | EntryState::Drop);
            let may_go = |(_, entry): &(&Mac, &Entry)| entry.source != Source::Static && goes(entry);
            let Some(used) = self.entries.iter().filter(may_go).map(|(_, entry)| entry.used).min() else { return };
            let oldest: Vec<Mac> =
                self.entries.iter().filter(may_go).filter(|(_, entry)| entry.used == used).map(|(mac, _)| *mac).collect();
            let victim = oldest.iter().find(|mac| self.gone.contains(mac)).unwrap_or(&oldest[0]);
            self.totals.evictions += 1;
            self.forget(*victim);
        }
    }

    /// The port gives a frame to a worker.
    pub(crate) fn frame(&mut self, frame: Frame) {
        self.totals.frames_in += 1;
        self.totals.frames_in_bytes += frame.len;
        self.totals.frames_in_packets += 1;
        let (room, now) = (self.misses.len() < self.limits.miss_queue, self.now);
        let mac = frame.to;
        if let Some(entry) = self.entries.get(&mac).cloned() {
            if entry.state == EntryState::Valid && self.over(&entry) {
                self.change(mac, EntryState::Stale);
            }
            let state = self.entry(mac).state;
            if matches!(state, EntryState::Valid | EntryState::Stale | EntryState::Renewing) {
                if state == EntryState::Stale && !self.away && room {
                    self.change(mac, EntryState::Renewing);
                    self.misses.push_back(Miss::Renew(mac));
                }
                return self.send(frame);
            }
            if state == EntryState::Drop && now < entry.expires {
                self.entry(mac).used = now;
                return self.drop(1, DropReason::Refused);
            }
            if entry.held {
                return self.drop(1, DropReason::PendingFull);
            }
        }
        if !room {
            return self.drop(1, DropReason::MissQueueFull);
        }
        self.entry(mac).in_flight += 1;
        self.misses.push_back(Miss::Closed(frame));
    }

    /// The control half takes one of the frames that were handed over.
    pub(crate) fn miss(&mut self) {
        match self.misses.pop_front() {
            None => {}
            Some(Miss::Closed(frame)) => {
                self.frame_for(frame);
                let entry = self.entry(frame.to);
                entry.in_flight -= 1;
                if entry.state == EntryState::Absent && entry.in_flight == 0 {
                    self.entries.remove(&frame.to);
                }
            }
            Some(Miss::Renew(mac)) => {
                let entry = self.entries.get(&mac).filter(|entry| entry.state == EntryState::Renewing && entry.request.is_none());
                match (entry.is_some(), self.may_ask()) {
                    (true, true) => self.ask(mac, false),
                    (true, false) => self.entry(mac).state = EntryState::Stale,
                    (false, _) => {}
                }
            }
        }
    }

    fn all_misses(&mut self) {
        while !self.misses.is_empty() {
            self.miss();
        }
    }

    /// A frame in the control half: a worker's, or a plugin's.
    fn frame_for(&mut self, frame: Frame) {
        let mac = frame.to;
        if let Some(entry) = self.entries.get(&mac).cloned() {
            self.entry(mac).used = self.now;
            match entry.state {
                EntryState::Valid if self.over(&entry) => self.change(mac, EntryState::Stale),
                EntryState::Drop if self.now >= entry.expires => self.forget(mac),
                _ => {}
            }
        }
        let state = self.entries.get(&mac).map_or(EntryState::Absent, |entry| entry.state);
        let device_full = self.pending_bytes() + frame.len > self.limits.pending_bytes_per_device as u64;
        match state {
            EntryState::Absent => {
                if device_full || self.open.len() >= self.limits.lookups_per_device {
                    return self.drop(1, DropReason::OverlayFull);
                }
                self.entry(mac).queue.push_back(frame);
                self.ask(mac, frame.resent);
                self.change(mac, EntryState::Pending);
                self.evict();
            }
            EntryState::Pending => {
                let waits: u64 = self.entry(mac).queue.iter().map(|frame| frame.len).sum();
                if waits + frame.len > self.limits.pending_bytes_per_entry as u64 {
                    return self.drop(1, DropReason::PendingFull);
                }
                if device_full {
                    return self.drop(1, DropReason::OverlayFull);
                }
                self.entry(mac).queue.push_back(frame);
            }
            EntryState::Draining | EntryState::Valid | EntryState::Renewing => self.send(frame),
            EntryState::Stale => {
                self.send(frame);
                if self.may_ask() {
                    self.ask(mac, frame.resent);
                    self.change(mac, EntryState::Renewing);
                }
            }
            EntryState::Drop => self.drop(1, DropReason::Refused),
        }
    }

    /// A plugin sends a frame into the device.
    pub(crate) fn resend(&mut self, frame: Frame) {
        self.totals.resent += 1;
        self.frame_for(frame);
    }

    /// A plugin gives the port a frame.
    pub(crate) fn inject(&mut self, content: u8) {
        self.did.push(Did::Deliver(content));
        self.totals.made += 1;
    }

    /// Says whether the answer counts.
    pub(crate) fn answer(&mut self, request: RequestId, reply: Reply) -> bool {
        // What waits for the next who answers has been asked of nobody.
        let asked = if self.unasked.contains(&request) { None } else { self.open.remove(&request) };
        let Some(asked) = asked else {
            self.totals.late_answers += 1;
            return false;
        };
        self.totals.answers += 1;
        let mac = asked.about;
        self.entry(mac).request = None;
        let waits = self.entry(mac).state == EntryState::Pending;
        match reply {
            Reply::Reach(to, ttl) => {
                self.learn(mac, Some(to), Source::Lookup, ttl);
                self.take_queue(mac).into_iter().for_each(|frame| self.send(frame));
                self.change(mac, if waits { EntryState::Draining } else { EntryState::Valid });
            }
            Reply::Drop(ttl) => {
                self.learn(mac, None, Source::Lookup, Some(ttl.unwrap_or(self.negative_ttl)));
                self.drop_queue(mac, DropReason::Refused);
                self.change(mac, EntryState::Drop);
            }
            Reply::Inject(_) | Reply::Resend(_) if waits => {
                self.entry(mac).queue.pop_front();
                let circle = asked.resent && matches!(reply, Reply::Resend(_));
                match circle {
                    true => self.drop(1, DropReason::ResendLoop),
                    false => self.totals.answered += 1,
                }
                match self.entry(mac).queue.front().map(|frame| frame.resent) {
                    Some(resent) => self.ask(mac, resent),
                    None => self.forget(mac),
                }
            }
            Reply::Invalid if waits => {
                self.drop_queue(mac, DropReason::AnswerInvalid);
                self.forget(mac);
            }
            Reply::Inject(_) | Reply::Resend(_) | Reply::Invalid => self.change(mac, EntryState::Stale),
        }
        match reply {
            Reply::Inject(content) => self.inject(content),
            Reply::Resend(frame) if !asked.resent => self.resend(frame),
            _ => {}
        }
        !matches!(reply, Reply::Invalid)
    }

    fn set_by_hand(&self, mac: Mac) -> bool {
        self.entries.get(&mac).is_some_and(|entry| entry.source == Source::Static && self.shown(entry) != EntryState::Absent)
    }

    /// Sets a destination, or drop. Says whether that was taken.
    pub(crate) fn set(&mut self, mac: Mac, to: Option<u8>, source: Source, ttl: Option<u64>) -> bool {
        if source != Source::Static && self.set_by_hand(mac) {
            return false;
        }
        self.all_misses();
        self.notice(mac);
        let old = self.entry(mac).state;
        self.withdraw(mac);
        self.learn(mac, to, source, ttl);
        match to {
            Some(_) => {
                self.take_queue(mac).into_iter().for_each(|frame| self.send(frame));
                let open = matches!(old, EntryState::Valid | EntryState::Stale | EntryState::Renewing);
                self.change(mac, if open { EntryState::Valid } else { EntryState::Draining });
            }
            None => {
                self.drop_queue(mac, DropReason::Refused);
                self.change(mac, EntryState::Drop);
            }
        }
        if old == EntryState::Absent {
            self.evict();
        }
        true
    }

    /// A refusal that is over is none.
    fn notice(&mut self, mac: Mac) {
        if self.entries.get(&mac).is_some_and(|entry| self.shown(entry) == EntryState::Absent) {
            self.forget(mac);
        }
    }

    /// Says whether anything was known.
    pub(crate) fn remove(&mut self, mac: Mac) -> bool {
        self.all_misses();
        self.notice(mac);
        let known = self.entries.contains_key(&mac);
        if known {
            self.withdraw(mac);
            self.drop_queue(mac, DropReason::EntryRemoved);
            self.forget(mac);
        }
        known
    }

    pub(crate) fn invalidate(&mut self, mac: Mac) -> bool {
        self.all_misses();
        // What waits for its first answer goes on waiting.
        let pending = self.entries.get(&mac).is_some_and(|entry| entry.state == EntryState::Pending);
        !self.set_by_hand(mac) && !pending && self.remove(mac)
    }

    /// Says how many were known.
    pub(crate) fn flush(&mut self, learned_only: bool) -> usize {
        self.all_misses();
        let stays = |entry: &Entry| learned_only && entry.source == Source::Static;
        let all: Vec<Mac> = self.entries.iter().filter(|(_, entry)| !stays(entry)).map(|(mac, _)| *mac).collect();
        all.into_iter().filter(|mac| self.remove(*mac)).count()
    }

    pub(crate) fn lost(&mut self) {
        self.away = true;
        for (request, asked) in self.open.clone() {
            if self.entry(asked.about).state == EntryState::Renewing {
                self.withdraw(asked.about);
                self.change(asked.about, EntryState::Stale);
            } else if !self.unasked.contains(&request) {
                self.unasked.push(request);
            }
        }
    }

    pub(crate) fn attached(&mut self) {
        (self.away, self.trusted) = (false, self.now);
        let mut again = std::mem::take(&mut self.unasked);
        again.sort();
        for request in again {
            if let Some(asked) = self.open.get(&request) {
                self.did.push(Did::Ask(request, asked.about));
            }
        }
    }

    /// Time has passed: lookups run out of it.
    pub(crate) fn timeouts(&mut self) {
        for (request, asked) in self.open.clone() {
            if self.now < asked.at + self.limits.lookup_timeout_ns {
                continue;
            }
            self.open.remove(&request);
            let mac = asked.about;
            self.entry(mac).request = None;
            match self.entry(mac).state {
                EntryState::Pending => {
                    self.drop_queue(mac, DropReason::LookupTimeout);
                    self.forget(mac);
                }
                _ => self.change(mac, EntryState::Stale),
            }
            self.did.push(Did::Withdraw(request));
        }
    }

    /// Once a second what is over is noticed, and room made if there is too little.
    pub(crate) fn sweep(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.now + SECOND;
        for (mac, entry) in self.entries.clone() {
            match entry.state {
                EntryState::Valid if self.now >= entry.expires => self.change(mac, EntryState::Stale),
                EntryState::Drop if self.now >= entry.expires => self.forget(mac),
                _ => {}
            }
        }
        self.evict();
    }

    /// All outputs have been carried out: what drained and has nothing on its way opens.
    pub(crate) fn settle(&mut self) {
        let draining: Vec<Mac> =
            self.entries.iter().filter(|(_, entry)| entry.state == EntryState::Draining).map(|(mac, _)| *mac).collect();
        for mac in draining {
            let entry = self.entry(mac);
            if entry.in_flight == 0 {
                self.change(mac, EntryState::Valid);
            } else if self.now - self.entry(mac).drains_since >= self.limits.drain_ns {
                self.entry(mac).held = true;
            }
        }
    }

    /// Port and device go.
    pub(crate) fn delete(&mut self) {
        self.all_misses();
        let all: Vec<Mac> = self.entries.keys().copied().collect();
        all.into_iter().for_each(|mac| self.drop_queue(mac, DropReason::OverlayRemoved));
    }
}
