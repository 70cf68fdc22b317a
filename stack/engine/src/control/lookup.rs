//! Which questions are open, and what follows from their answers?
//!
//! Exactly one answer counts to each: the first one that comes in time. Whoever answers may be slow, wrong or gone: open questions are
//! capped per device, run out of time, and are put again to the next who answers.

use super::device::Machine;
use super::forward::{check_frame, takers};
use super::miss::Parcel;
use super::target::{NewRoute, With, check_route};
use super::{Control, Output};
use crate::target::Event;
use crate::time::Time;
use crate::worker::Shown;
use overlay_api::{Answer, DeviceId, DropReason, Ids, Lookup, Question, RequestId, Source, Verdict};
use overlay_decoder::{Mac, Vni};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Why an answer did not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnswerError {
    /// Nobody asks that (any more): it was answered, withdrawn, out of time, or never asked.
    Unknown(RequestId),
    /// It cannot be used; the frames that waited for it were dropped.
    Invalid {
        /// Which lookup.
        request: RequestId,
        /// What was found and what is allowed.
        problem: String,
    },
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(request) => write!(f, "lookup {request}: is not open; it was answered, withdrawn or out of time, or never asked"),
            Self::Invalid { request, problem } => write!(f, "lookup {request}: the answer cannot be used: {problem}"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// What a question is about.
#[derive(Debug)]
pub(super) enum About {
    /// An entry, in whose queue the frames wait.
    Entry(Mac),
    /// This broadcast or multicast frame.
    Frame(Box<Parcel>),
}

/// An open question.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) device: DeviceId,
    pub(super) about: About,
    question: Question,
    vni: Vni,
    at: Time,
    /// The port whose frame asks.
    port: Option<overlay_api::PortId>,
    /// Whether that frame was itself sent in place of another one.
    resent: bool,
}

/// All open questions.
#[derive(Debug)]
pub(super) struct Lookups {
    /// Their ids.
    ids: Ids<RequestId>,
    /// All have the same time to be answered in, so the first is the next to run out of it.
    open: BTreeMap<RequestId, Asked>,
    /// To be put when somebody answers again.
    unasked: BTreeSet<RequestId>,
    /// Why nobody answers and since when; none if somebody does.
    away: Option<(String, Time)>,
    /// Since when somebody does.
    since: Time,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            ids: Ids::new(1, u64::MAX),
            open: BTreeMap::new(),
            unasked: BTreeSet::new(),
            away: Some(("nobody answers lookups yet".to_owned(), Time::ZERO)),
            since: Time::ZERO,
        }
    }
}

impl Lookups {
    /// What was learned before this is not trusted.
    pub(super) fn trusted_since(&self) -> Time {
        if self.away.is_some() { Time::NEVER } else { self.since }
    }

    pub(super) fn away(&self) -> Option<(String, Time)> {
        self.away.clone()
    }

    /// When the oldest question has waited for `timeout_ns`.
    pub(super) fn next_deadline(&self, timeout_ns: u64) -> Option<Time> {
        self.open.first_key_value().map(|(_, asked)| asked.at + timeout_ns)
    }

    pub(super) fn of(&self, device: DeviceId) -> Vec<RequestId> {
        self.open.iter().filter(|(_, asked)| asked.device == device).map(|(id, _)| *id).collect()
    }

    pub(super) fn remove(&mut self, request: RequestId) -> Option<Asked> {
        self.unasked.remove(&request);
        let _ = self.ids.free(request);
        self.open.remove(&request)
    }
}

impl Control {
    /// Asks about a destination whose frames wait, or that is being renewed because of `renewing`; or about one frame.
    pub(super) fn ask(&mut self, device: DeviceId, about: About, renewing: Option<&Parcel>, now: Time) {
        let Some(machine) = self.machines.get_mut(&device) else { return };
        let first = match &about {
            About::Frame(parcel) => Some(&**parcel),
            About::Entry(mac) => renewing.or_else(|| machine.queues.get(mac).and_then(|queue| queue.parcels.front())),
        };
        let Some(first) = first else { return };
        let (id, question, port, resent, vni) = (first.id, first.question, first.port, first.resent, machine.view.vni);
        // 2^64 - 1 of them cannot be open: the caps on lookups are far below.
        let Ok(request) = self.lookups.ids.next() else { return };
        let frame = snapshot(first, self.limits.lookup_snapshot);
        machine.lookups += 1;
        machine.view.count(self.writer).lookups.add(1);
        overlay_probes::lookup_start(request.0, id, vni.get(), question.len, question.source, question.destination);
        match &about {
            About::Entry(mac) => machine.queues.entry(*mac).or_default().request = Some(request),
            About::Frame(parcel) => machine.waiting.add(parcel.len()),
        }
        self.lookups.open.insert(request, Asked { device, about, question, vni, at: now, port, resent });
        if self.lookups.away.is_some() {
            self.lookups.unasked.insert(request);
        } else {
            self.outputs.push_back(Output::Lookup(Lookup { request, device, vni, question, frame }));
        }
    }

    /// Asks for an entry.
    pub(super) fn ask_for(&mut self, device: DeviceId, mac: Mac, renewing: Option<&Parcel>, now: Time) {
        self.ask(device, About::Entry(mac), renewing, now);
    }

    /// A question about an entry no longer counts.
    pub(super) fn withdraw_for(&mut self, device: DeviceId, mac: Mac) {
        let queue = self.machines.get_mut(&device).and_then(|machine| machine.queues.get_mut(&mac));
        let Some(request) = queue.and_then(|queue| queue.request.take()) else { return };
        self.close(request);
        self.outputs.push_back(Output::Withdraw(request));
        self.forget_empty_queue(device, mac);
    }

    /// A question about an entry is put again to the next who answers.
    pub(super) fn requeue_for(&mut self, device: DeviceId, mac: Mac) {
        let queue = self.machines.get(&device).and_then(|machine| machine.queues.get(&mac));
        let Some(request) = queue.and_then(|queue| queue.request) else { return };
        self.requeue(request);
    }

    fn requeue(&mut self, request: RequestId) {
        let Some(asked) = self.lookups.open.get(&request) else { return };
        if self.lookups.unasked.insert(request) {
            overlay_probes::lookup_requeue(request.0, asked.vni.get(), "answerer lost", asked.question.destination);
        }
    }

    /// A question is no longer open. Its queue, if it has one, stays.
    pub(super) fn close(&mut self, request: RequestId) -> Option<Asked> {
        let asked = self.lookups.remove(request)?;
        if let Some(machine) = self.machines.get_mut(&asked.device) {
            machine.lookups -= 1;
            match &asked.about {
                About::Entry(mac) => {
                    if let Some(queue) = machine.queues.get_mut(mac) {
                        queue.request = None;
                    }
                }
                About::Frame(parcel) => machine.waiting.take(1, parcel.len()),
            }
        }
        Some(asked)
    }

    /// A queue without frames and without a question is none.
    fn forget_empty_queue(&mut self, device: DeviceId, mac: Mac) {
        if let Some(machine) = self.machines.get_mut(&device)
            && machine.queues.get(&mac).is_some_and(|queue| queue.parcels.is_empty() && queue.request.is_none())
        {
            machine.queues.remove(&mac);
        }
    }

    /// A lookup was answered.
    ///
    /// # Errors
    /// If the answer does not count. The engine has dealt with it; this is for the log.
    pub fn handle_answer(&mut self, request: RequestId, answer: Answer, now: Time) -> Result<(), AnswerError> {
        self.moment = now;
        self.settle(now);
        // What waits for the next who answers has been asked of nobody: an answer is a guess, or meant an earlier question.
        let asked = if self.lookups.unasked.contains(&request) { None } else { self.close(request) };
        let Some(asked) = asked else {
            self.nobody().late_answers.add(1);
            overlay_probes::lookup_late(request.0, answer.name());
            return Err(AnswerError::Unknown(request));
        };
        let Some(machine) = self.machines.get_mut(&asked.device) else { return Err(AnswerError::Unknown(request)) };
        machine.waits.add(now.since(asked.at), now);
        machine.view.count(self.writer).answers.add(1);
        let shown: &[overlay_decoder::Ul3] = if let Answer::Reach { to, .. } = &answer { to } else { &[] };
        let (waited, destination) = (now.since(asked.at), asked.question.destination);
        overlay_probes::lookup_done(request.0, asked.vni.get(), waited, answer.name(), destination, Shown(shown));
        let problem = check_answer(machine, &asked, &answer).err();
        match asked.about {
            About::Entry(mac) => {
                let from = (asked.port, asked.resent);
                self.answer_entry(asked.device, mac, request, from, answer, problem.is_some(), now);
            }
            About::Frame(parcel) => self.answer_frame(asked.device, request, *parcel, answer, problem.is_some(), now),
        }
        problem.map_or(Ok(()), |problem| Err(AnswerError::Invalid { request, problem }))
    }

    #[allow(clippy::too_many_arguments, reason = "a question has as many parts")]
    fn answer_entry(
        &mut self,
        device: DeviceId,
        mac: Mac,
        request: RequestId,
        (port, resent): (Option<overlay_api::PortId>, bool),
        answer: Answer,
        invalid: bool,
        now: Time,
    ) {
        let Some(machine) = self.machines.get_mut(&device) else { return };
        let (ttl_ns, negative_ttl_ns) = (machine.ttl_ns, machine.negative_ttl_ns);
        let lookup = |to, expires| Some(NewRoute { to, source: Source::Lookup, expires });
        let (event, route, instead) = match answer {
            _ if invalid => (Event::Invalid, None, None),
            Answer::Reach { to, ttl_ns: own } => {
                let limit = own.or((ttl_ns > 0).then_some(ttl_ns));
                (Event::Reach, lookup(Some(machine.route(&to)), limit.map_or(Time::NEVER, |ttl| now + ttl)), None)
            }
            Answer::Drop { ttl_ns: own } => (Event::Refuse, lookup(None, now + own.unwrap_or(negative_ttl_ns)), None),
            Answer::Inject(frame) => (Event::Take, None, Some((frame, false))),
            Answer::Resend(frame) => (Event::Take, None, Some((frame, true))),
        };
        let queue = machine.queues.get(&mac);
        let head = queue.and_then(|queue| queue.parcels.front()).cloned();
        let event = match event {
            Event::Take if queue.is_none_or(|queue| queue.parcels.len() <= 1) => Event::TakeLast,
            event => event,
        };
        if let (Some((_, resend)), Some(head)) = (&instead, &head) {
            let view = Arc::clone(&machine.view);
            self.taken(&view, head, *resend);
        }
        self.apply(device, mac, event, With { parcel: None, route }, now);
        self.forget_empty_queue(device, mac);
        match instead {
            Some((frame, false)) => self.inject_for(device, request, port, &frame),
            // A renewal's frame has gone its way, so nothing is dropped here; but the circle ends.
            Some((frame, true)) if !resent => self.resend_for(device, request, port, &frame, now),
            _ => {}
        }
    }

    fn answer_frame(&mut self, device: DeviceId, request: RequestId, parcel: Parcel, answer: Answer, invalid: bool, now: Time) {
        let Some(machine) = self.machines.get_mut(&device) else { return };
        let view = Arc::clone(&machine.view);
        match answer {
            _ if invalid => self.drop_group(&view, &parcel, DropReason::AnswerInvalid),
            Answer::Reach { to, ttl_ns } => {
                let mac = parcel.question.destination;
                let route = machine.route(&to);
                // Without a time limit the answer is for this frame alone: the next one may ask something else.
                if let Some(ttl) = ttl_ns
                    && !self.is_set_by_hand(device, mac, now)
                {
                    let known = NewRoute { to: Some(Arc::clone(&route)), source: Source::Lookup, expires: now + ttl };
                    self.apply(device, mac, Event::Set, With { parcel: None, route: Some(known) }, now);
                }
                self.send_parcel(&view, parcel, &route, now);
            }
            Answer::Drop { .. } => self.drop_group(&view, &parcel, DropReason::NoReceiver),
            Answer::Inject(frame) => {
                self.taken(&view, &parcel, false);
                self.inject_for(device, request, parcel.port, &frame);
            }
            Answer::Resend(frame) => {
                self.taken(&view, &parcel, true);
                if !parcel.resent {
                    self.resend_for(device, request, parcel.port, &frame, now);
                }
            }
        }
    }

    /// A frame was answered by another one in its place.
    fn taken(&mut self, view: &crate::world::Device, parcel: &Parcel, resend: bool) {
        if resend && parcel.resent {
            return self.drop_group(view, parcel, DropReason::ResendLoop);
        }
        view.count(self.writer).answered.add(1);
        let (vni, by) = (view.vni, if resend { "resend" } else { "inject" });
        self.explained(parcel.id, || Verdict::Answered { vni, by });
    }

    /// Questions that have waited too long.
    pub(super) fn time_out_lookups(&mut self, now: Time) {
        let timeout_ns = self.limits.lookup_timeout_ns;
        while self.lookups.next_deadline(timeout_ns).is_some_and(|deadline| deadline <= now) {
            let Some(request) = self.lookups.open.keys().next().copied() else { return };
            let Some(asked) = self.close(request) else { return };
            overlay_probes::lookup_timeout(request.0, asked.vni.get(), now.since(asked.at), asked.question.destination);
            match asked.about {
                About::Entry(mac) => {
                    self.apply(asked.device, mac, Event::Timeout, With::default(), now);
                    self.forget_empty_queue(asked.device, mac);
                }
                About::Frame(parcel) => {
                    if let Some(machine) = self.machines.get(&asked.device) {
                        let view = Arc::clone(&machine.view);
                        self.drop_group(&view, &parcel, DropReason::LookupTimeout);
                    }
                }
            }
            self.outputs.push_back(Output::Withdraw(request));
        }
    }

    /// Somebody answers lookups from now on. What was learned from an earlier one is asked for again on its next use.
    pub fn answerer_attached(&mut self, now: Time) {
        self.lookups.away = None;
        self.lookups.since = now;
        self.trust();
        for request in std::mem::take(&mut self.lookups.unasked) {
            let Some(asked) = self.lookups.open.get(&request) else { continue };
            let machine = self.machines.get(&asked.device);
            let first = match &asked.about {
                About::Frame(parcel) => Some(&**parcel),
                About::Entry(mac) => machine.and_then(|machine| machine.queues.get(mac)?.parcels.front()),
            };
            let frame = first.map(|first| snapshot(first, self.limits.lookup_snapshot)).unwrap_or_default();
            let lookup = Lookup { request, device: asked.device, vni: asked.vni, question: asked.question, frame };
            self.outputs.push_back(Output::Lookup(lookup));
        }
    }

    /// Nobody answers lookups any more, for that reason. What is known stays in use; what is asked waits for the next who answers.
    pub fn answerer_lost(&mut self, reason: &str, now: Time) {
        // The same reason once more is no news: it has been so since the first time.
        if self.lookups.away.as_ref().is_none_or(|(known, _)| known != reason) {
            self.lookups.away = Some((reason.to_owned(), now));
        }
        self.trust();
        let open: Vec<_> = self.lookups.open.iter().map(|(request, asked)| (*request, asked.device, asked.destination())).collect();
        for (request, device, entry) in open {
            match entry {
                Some(mac) => drop(self.apply(device, mac, Event::Lost, With::default(), now)),
                None => self.requeue(request),
            }
        }
    }

    /// Tells tables and devices whether somebody answers.
    fn trust(&mut self) {
        let since = self.lookups.trusted_since();
        let devices: Vec<_> = self.machines.keys().copied().collect();
        for device in devices {
            if let Some(table) = self.machines.get(&device).and_then(Machine::table) {
                table.trust_since(since);
                self.refresh_faults(device);
            }
        }
    }
}

impl Asked {
    /// The entry that it is about; none if it is about a frame.
    fn destination(&self) -> Option<Mac> {
        match self.about {
            About::Entry(mac) => Some(mac),
            About::Frame(_) => None,
        }
    }
}

/// The beginning of a frame, for a question.
fn snapshot(parcel: &Parcel, most: usize) -> Vec<u8> {
    let frame = parcel.frame();
    frame.get(..most).unwrap_or(frame).to_vec()
}

/// Whether a device can use an answer.
fn check_answer(machine: &Machine, asked: &Asked, answer: &Answer) -> Result<(), String> {
    match answer {
        Answer::Reach { to, .. } => check_route(machine, asked.question.destination, to),
        Answer::Drop { .. } => Ok(()),
        Answer::Inject(frame) => {
            check_frame(machine.view.mtu, frame)?;
            takers(&machine.view, asked.port, frame).map(drop)
        }
        Answer::Resend(frame) => check_frame(machine.view.mtu, frame),
    }
}
