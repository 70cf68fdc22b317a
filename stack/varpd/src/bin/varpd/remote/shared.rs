//! What has a plugin's process been asked and told, and what of that is still open? This outlives the process.
//!
//! A lookup has a number of its own here, never used again: overlayd's begin anew with each connection, and the plugin may answer late.
//! It is asked again once, of the process that comes after one that has died; what kills two processes is dropped.

use super::Settings;
use super::log::Limit;
use crate::outlet::Speech;
use overlay_api::channel::{FromOverlayd, FromVarpd, Instance, PluginInfo, Request, VERSION, VnicInfo, Welcome};
use overlay_api::{Answer, DeviceId, Lookup, RequestId};
use overlay_varpd::plugin::{Host, Reply};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Lookups that are open at once; more are left to overlayd's time limit.
const OPEN_MAX: usize = 4096;
/// Lookups that are remembered when they are closed, to say what a late answer was about.
const CLOSED_MAX: usize = 4096;
/// How often a lookup is asked.
const ASKED_MAX: u8 = 2;
/// How long the start of an instance, and the question whether it would start, wait for the plugin. Overlayd waits 2 s for the latter.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a start waits: what takes longer goes on, and the instance counts as degraded until then.
const START_PATIENCE: Duration = Duration::from_millis(500);
/// How often an instance may say in a second how it is; of what it says beyond that, the last word counts, when the second is over.
const STATES_MAX: u32 = 10;
/// Silence after which the process counts as one that hangs.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// See above.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) settings: Settings,
    pub(super) info: OnceLock<PluginInfo>,
    /// Of what varpd says about its answers.
    warnings: Limit,
    state: Mutex<State>,
    /// Something has come that somebody may wait for.
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// The process that is there.
    line: Option<Arc<Speech>>,
    stop: bool,
    seats: BTreeMap<DeviceId, Seat>,
    devices: u32,
    queries: u64,
    open: BTreeMap<u64, Open>,
    /// Deadlines, in their order.
    due: VecDeque<(Instant, u64)>,
    closed: HashMap<u64, Closed>,
    closed_order: VecDeque<u64>,
    tokens: u64,
    verified: HashMap<u64, Option<Option<String>>>,
}

/// An instance.
struct Seat {
    told: Instance,
    host: Host,
    /// The process that is there has said how it is: lookups may come.
    heard: bool,
    states: States,
}

/// How often an instance has said how it is, and what of that waits.
struct States {
    second: Instant,
    count: u32,
    waits: Option<Option<String>>,
}

impl States {
    fn new() -> Self {
        Self { second: Instant::now(), count: 0, waits: None }
    }

    /// What it says now may be passed on; or it waits for [`due`](Self::due).
    fn say(&mut self, degraded: Option<String>, now: Instant) -> Option<Option<String>> {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= STATES_MAX {
            self.waits = None;
            return Some(degraded);
        }
        self.waits = Some(degraded);
        None
    }

    /// What has waited long enough.
    fn due(&mut self, now: Instant) -> Option<Option<String>> {
        let is_over = now.saturating_duration_since(self.second) >= Duration::from_secs(1);
        if is_over && self.waits.is_some() {
            (self.second, self.count) = (now, 1);
        }
        self.waits.take_if(|_| is_over)
    }
}

/// A lookup that waits for its answer.
struct Open {
    lookup: Lookup,
    reply: Reply,
    /// How often it was asked.
    asked: u8,
    /// The process that is there has been asked.
    is_asked: bool,
}

/// A lookup that does not wait any more.
struct Closed {
    request: RequestId,
    host: Host,
    why: Why,
}

/// Why a lookup does not wait any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Answered,
    TooLate,
    /// Its instance has ended, or its process: an answer is nobody's mistake.
    Ended,
}

impl Shared {
    /// Without a process.
    pub(super) fn new(path: &Path, settings: &Settings) -> Self {
        let (path, settings) = (path.to_owned(), settings.clone());
        Self { path, settings, info: OnceLock::new(), warnings: Limit::new(), state: Mutex::default(), news: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plugin's name, or its file's as long as it has said none.
    pub(super) fn name(&self) -> String {
        let file = || self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned();
        self.info.get().map_or_else(file, |info| info.name.to_string())
    }

    /// It is all over: the process may end.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        if let Some(line) = &state.line {
            line.end();
        }
        self.news.notify_all();
    }

    /// Whether it is over; waits for that so long, and sees to deadlines meanwhile.
    pub(super) fn is_over_after(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            self.tick();
            let left = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
            let (state, _) = self.news.wait_timeout_while(self.state(), left, |state| !state.stop).unwrap_or_else(PoisonError::into_inner);
            if state.stop || Instant::now() >= until {
                return state.stop;
            }
        }
    }

    /// An instance is wanted. It is as good as started: what it is asked waits until it is.
    pub(super) fn seat(&self, instance: &Instance, host: Host) -> DeviceId {
        let mut state = self.state();
        state.devices += 1;
        let device = DeviceId(state.devices);
        let told = Instance { device, ..instance.clone() };
        if let Some(line) = &state.line {
            tell(line, &told);
        }
        state.seats.insert(device, Seat { told, host: host.clone(), heard: false, states: States::new() });
        let waits = |state: &mut State| !state.stop && state.seats.get(&device).is_some_and(|seat| !seat.heard);
        let (state, result) = self.news.wait_timeout_while(state, START_PATIENCE, waits).unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            // With the lock, so that what the plugin says comes after this.
            host.degrade(Some(format!("{}: it has not said yet that it has started", self.name())));
        }
        drop(state);
        device
    }

    /// An instance is not wanted any more.
    pub(super) fn unseat(&self, device: DeviceId) {
        let mut state = self.state();
        let Some(seat) = state.seats.remove(&device) else { return };
        if let Some(line) = &state.line {
            line.ask(&FromOverlayd::InstanceRemoved(device));
        }
        let queries: Vec<u64> = state.open.iter().filter(|(_, open)| open.lookup.device == device).map(|(query, _)| *query).collect();
        let replies: Vec<Reply> = queries.into_iter().filter_map(|query| state.close(query, &seat.host, Why::Ended)).collect();
        drop(state);
        replies.into_iter().for_each(Reply::abandon);
    }

    /// A VNIC came or went.
    pub(super) fn vnic(&self, device: DeviceId, vnic: &VnicInfo, there: bool) {
        let mut state = self.state();
        let State { seats, line, .. } = &mut *state;
        let Some(seat) = seats.get_mut(&device) else { return };
        let vnic = VnicInfo { device, ..vnic.clone() };
        seat.told.vnics.retain(|other| other.name != vnic.name);
        if there {
            seat.told.vnics.push(vnic.clone());
        }
        if let Some(line) = line {
            line.ask(&if there { FromOverlayd::VnicAdded(vnic) } else { FromOverlayd::VnicRemoved(vnic) });
        }
    }

    /// Would this instance start?
    ///
    /// # Errors
    /// The plugin's sentence.
    pub(super) fn verify(&self, instance: &Instance) -> Result<(), String> {
        let mut state = self.state();
        state.tokens += 1;
        let token = state.tokens;
        // Without a process nobody knows: it shows when the instance is started.
        let Some(line) = state.line.clone() else { return Ok(()) };
        state.verified.insert(token, None);
        line.ask(&FromOverlayd::Verify(Request { token, instance: instance.clone() }));
        let waits = |state: &mut State| state.line.is_some() && !state.stop && matches!(state.verified.get(&token), Some(None));
        let (mut state, _) = self.news.wait_timeout_while(state, PATIENCE, waits).unwrap_or_else(PoisonError::into_inner);
        let problem = state.verified.remove(&token).flatten().flatten();
        problem.map_or(Ok(()), |problem| Err(format!("{}: {problem}", self.name())))
    }

    /// Where does this frame go?
    pub(super) fn ask(&self, device: DeviceId, lookup: &Lookup, reply: Reply) {
        let mut state = self.state();
        if state.open.len() >= OPEN_MAX || !state.seats.contains_key(&device) {
            drop(state);
            return reply.abandon();
        }
        state.queries += 1;
        let query = state.queries;
        let lookup = Lookup { request: RequestId(query), device, ..lookup.clone() };
        state.open.insert(query, Open { lookup, reply, asked: 0, is_asked: false });
        state.due.push_back((Instant::now() + self.settings.deadline, query));
        state.send(query);
    }

    /// A process is there: it is told what it has to do.
    pub(super) fn attach(&self, line: &Arc<Speech>) {
        let mut state = self.state();
        if state.stop {
            return line.end();
        }
        let ms = |time: Duration| time.as_millis() as u64;
        let overlayd = env!("CARGO_PKG_VERSION").to_owned();
        let welcome = Welcome { version: VERSION, overlayd, timeout_ms: ms(self.settings.deadline), silence_ms: ms(SILENCE) };
        line.ask(&FromOverlayd::Welcome(welcome));
        state.seats.values().for_each(|seat| tell(line, &seat.told));
        line.ask(&FromOverlayd::Complete);
        state.line = Some(Arc::clone(line));
    }

    /// The process has ended: how many lookups it has not answered.
    pub(super) fn detach(&self, how: &str) -> usize {
        let mut state = self.state();
        state.line = None;
        let unanswered = state.open.values().filter(|open| open.is_asked).count();
        let mut hopeless = Vec::new();
        for (query, open) in &mut state.open {
            open.is_asked = false;
            if open.asked >= ASKED_MAX {
                hopeless.push(*query);
            }
        }
        let replies: Vec<Reply> = hopeless.into_iter().filter_map(|query| state.close_of(query, Why::Ended)).collect();
        let stop = state.stop;
        for seat in state.seats.values_mut() {
            seat.heard = false;
            seat.states.waits = None;
            if !stop {
                seat.host.degrade(Some(format!("{}: {how}; it is started again", self.name())));
            }
        }
        self.news.notify_all();
        drop(state);
        // For the time of a refusal: what kills a process twice had better not come back at once.
        replies.into_iter().for_each(|reply| reply.answer(Answer::Drop { ttl_ns: None }));
        unanswered
    }

    /// Deadlines that are over.
    pub(super) fn tick(&self) {
        let mut state = self.state();
        let (mut late, mut unasked) = (Vec::new(), Vec::new());
        let now = Instant::now();
        for seat in state.seats.values_mut() {
            if let Some(degraded) = seat.states.due(now) {
                seat.host.degrade(degraded);
            }
        }
        while let Some((due, query)) = state.due.front().copied() {
            if due > now {
                break;
            }
            state.due.pop_front();
            let Some(open) = state.open.get(&query) else { continue };
            let was_asked = open.is_asked;
            if let (Some(line), true) = (&state.line, was_asked) {
                line.ask(&FromOverlayd::Withdraw(RequestId(query)));
            }
            let reply = state.close_of(query, if was_asked { Why::TooLate } else { Why::Ended });
            if was_asked { late.extend(reply) } else { unasked.extend(reply) }
        }
        drop(state);
        // A reply that is dropped says drop, and that it is missing.
        drop(late);
        // Nobody could be asked: what was known of others stays in use.
        unasked.into_iter().for_each(Reply::abandon);
    }

    /// The process has said this.
    pub(super) fn hear(&self, message: FromVarpd) {
        match message {
            FromVarpd::Answer(RequestId(query), answer) => self.answered(query, answer),
            FromVarpd::State { device, degraded } => {
                let mut state = self.state();
                let Some(seat) = state.seats.get_mut(&device) else { return };
                let first = !std::mem::replace(&mut seat.heard, true);
                if let Some(degraded) = seat.states.say(degraded, Instant::now()) {
                    seat.host.degrade(degraded);
                }
                if first {
                    let waiting: Vec<u64> =
                        state.open.iter().filter(|(_, open)| open.lookup.device == device).map(|(query, _)| *query).collect();
                    waiting.into_iter().for_each(|query| state.send(query));
                    self.news.notify_all();
                }
            }
            FromVarpd::Verified(verified) => {
                if let Some(waiting) = self.state().verified.get_mut(&verified.token) {
                    *waiting = Some(verified.problem);
                    self.news.notify_all();
                }
            }
            FromVarpd::TargetSet { device, mac, to, ttl_ns } => self.with(device, |host| host.set_target(mac, to, ttl_ns)),
            FromVarpd::TargetInvalidate { device, mac } => self.with(device, |host| host.invalidate(mac)),
            FromVarpd::TargetFlush(device) => self.with(device, Host::flush),
            FromVarpd::Inject { device, frame } => self.with(device, |host| host.inject(frame)),
            FromVarpd::Resend { device, frame } => self.with(device, |host| host.resend(frame)),
            FromVarpd::Hello(_) | FromVarpd::Pong(_) => {}
        }
    }

    /// With the lock, so that an instance that has ended says nothing after its end.
    fn with(&self, device: DeviceId, say: impl FnOnce(&Host)) {
        if let Some(seat) = self.state().seats.get(&device) {
            say(&seat.host);
        }
    }

    fn answered(&self, query: u64, answer: Answer) {
        let mut state = self.state();
        if let Some(reply) = state.close_of(query, Why::Answered) {
            drop(state);
            return reply.answer(answer);
        }
        let name = self.name();
        let Some(closed) = state.closed.get(&query) else {
            drop(state);
            if self.warnings.admits(self) {
                tracing::warn!("{name}: an answer to query {query}, which is not known: ignored");
            }
            return;
        };
        let how = match closed.why {
            Why::Answered => "a second time",
            Why::TooLate => "after its deadline",
            Why::Ended => return,
        };
        let (host, request) = (closed.host.clone(), closed.request);
        // What follows takes its time, and the plugin says how often.
        drop(state);
        host.counters().late.fetch_add(1, Relaxed);
        if self.warnings.admits(self) {
            tracing::warn!("{name} for overlay {}: lookup {request} was answered {how}: ignored", host.name());
        }
        overlay_probes::varpd::answer_late(request.0, host.number(), name);
    }
}

impl State {
    /// Asks, if there is somebody who can be.
    fn send(&mut self, query: u64) {
        let Some(line) = &self.line else { return };
        let Some(open) = self.open.get_mut(&query) else { return };
        if !open.is_asked && self.seats.get(&open.lookup.device).is_some_and(|seat| seat.heard) {
            (open.is_asked, open.asked) = (true, open.asked + 1);
            line.ask(&FromOverlayd::Lookup(open.lookup.clone()));
        }
    }

    fn close_of(&mut self, query: u64, why: Why) -> Option<Reply> {
        let device = self.open.get(&query)?.lookup.device;
        let host = self.seats.get(&device)?.host.clone();
        self.close(query, &host, why)
    }

    /// A lookup does not wait any more.
    fn close(&mut self, query: u64, host: &Host, why: Why) -> Option<Reply> {
        let open = self.open.remove(&query)?;
        self.closed.insert(query, Closed { request: open.reply.request(), host: host.clone(), why });
        self.closed_order.push_back(query);
        if self.closed_order.len() > CLOSED_MAX
            && let Some(oldest) = self.closed_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        Some(open.reply)
    }
}

/// Tells a process of an instance. With too many VNICs for a packet each follows by itself.
fn tell(line: &Speech, told: &Instance) {
    if !line.ask(&FromOverlayd::Instance(told.clone())) {
        line.ask(&FromOverlayd::Instance(Instance { vnics: Vec::new(), ..told.clone() }));
        for vnic in &told.vnics {
            line.ask(&FromOverlayd::VnicAdded(vnic.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_instance_that_flaps_the_last_word_counts() {
        let (mut states, begun) = (States::new(), Instant::now());
        let word = |number: u32| Some(number.to_string());
        let passed: Vec<_> = (0..100).filter_map(|number| states.say(word(number), begun)).collect();
        assert_eq!(passed, (0..STATES_MAX).map(word).collect::<Vec<_>>());
        assert_eq!(states.due(begun), None);
        let later = begun + Duration::from_secs(2);
        assert_eq!(states.due(later), Some(word(99)));
        assert_eq!(states.due(later), None, "once");
        assert_eq!(states.say(None, later), Some(None));
    }
}
