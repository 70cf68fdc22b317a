//! What do the threads of a plugin's process share? The instances, the queries that are open, and the way to varpd.

use super::watch::Watch;
use crate::outlet::Speech;
use overlay_api::channel::FromVarpd;
use overlay_api::{Answer, DeviceId, Lookup, RequestId};
use overlay_varpd::abi::{Calls, Level, Object, Outcome, Said};
use overlay_varpd::plugin::Outlet;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// See above.
pub(super) struct Room {
    speech: Arc<Speech>,
    pub(super) calls: Watch,
    seats: RwLock<HashMap<u64, Arc<Seat>>>,
    /// Queries, and the instances that were asked.
    open: Mutex<HashMap<u64, u64>>,
}

/// An instance.
pub(super) struct Seat {
    /// The number that the plugin knows it by.
    pub(super) number: u64,
    vnetid: u32,
    name: String,
    /// Its overlay; none for one that is made to see whether it could be.
    device: Option<DeviceId>,
    /// The plugin's part, between start and stop. Lookups hold the lock to be read, so that stop waits for them.
    pub(super) object: RwLock<Option<Object<'static>>>,
    condition: Mutex<Condition>,
}

/// How an instance is.
#[derive(Default)]
struct Condition {
    /// Varpd has been told that it has started, or why it has not.
    told: bool,
    degraded: Option<String>,
}

impl Seat {
    /// An instance that was not started.
    pub(super) fn new(number: u64, told: &overlay_api::channel::Instance, device: Option<DeviceId>) -> Self {
        let (vnetid, name) = (told.vnetid.get(), told.name.to_string());
        Self { number, vnetid, name, device, object: RwLock::default(), condition: Mutex::default() }
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Without instances.
    pub(super) fn new(speech: Arc<Speech>, calls: Watch) -> Self {
        Self { speech, calls, seats: RwLock::default(), open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells varpd something.
    pub(super) fn say_to_varpd(&self, message: FromVarpd) {
        self.speech.say(message);
    }

    /// A lookup came.
    pub(super) fn opened(&self, lookup: &Lookup) {
        self.open().insert(lookup.request.0, lookup.device.0.into());
    }

    /// An answer is of no use any more.
    pub(super) fn close(&self, query: u64) {
        self.open().remove(&query);
    }

    /// An instance.
    pub(super) fn seat(&self, number: u64) -> Option<Arc<Seat>> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// All instances.
    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The plugin may speak for an instance from now on.
    pub(super) fn add(&self, seat: Arc<Seat>) {
        self.seats.write().unwrap_or_else(PoisonError::into_inner).insert(seat.number, seat);
    }

    /// An instance is none any more.
    pub(super) fn remove(&self, number: u64) -> Option<Arc<Seat>> {
        self.open().retain(|_, of| *of != number);
        self.seats.write().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }

    /// An instance has started, or has not for this reason: varpd hears of it, or of what the plugin has said of it meanwhile.
    pub(super) fn has_started(&self, seat: &Seat, problem: Option<String>) {
        let mut condition = seat.condition();
        condition.told = true;
        if problem.is_some() {
            condition.degraded = problem;
        }
        self.tell(seat, &condition);
    }

    fn tell(&self, seat: &Seat, condition: &Condition) {
        if let (Some(device), true) = (seat.device, condition.told) {
            self.speech.say(FromVarpd::State { device, degraded: condition.degraded.clone() });
        }
    }
}

impl Calls for Room {
    fn answer(&self, query: u64, answer: Answer) -> Outcome {
        let was_open = self.open().remove(&query).is_some();
        // What is not open is told, too: varpd counts it, and knows whose it was.
        self.speech.say(FromVarpd::Answer(RequestId(query), answer));
        if was_open { Outcome::Done } else { Outcome::Closed }
    }

    fn say(&self, instance: u64, said: Said) -> Outcome {
        let Some(seat) = self.seat(instance) else { return Outcome::Unknown };
        // Nothing may come of an instance that is only tried.
        let Some(device) = seat.device else { return Outcome::Done };
        let message = match said {
            Said::Inject(frame) => FromVarpd::Inject { device, frame },
            Said::Resend(frame) => FromVarpd::Resend { device, frame },
            Said::Target { mac, to, ttl_ns } => FromVarpd::TargetSet { device, mac, to, ttl_ns },
            Said::Invalidate(mac) => FromVarpd::TargetInvalidate { device, mac },
            Said::Flush => FromVarpd::TargetFlush(device),
            Said::State(degraded) => {
                let mut condition = seat.condition();
                condition.degraded = degraded;
                self.tell(&seat, &condition);
                return Outcome::Done;
            }
        };
        self.speech.say(message);
        Outcome::Done
    }

    fn log(&self, instance: u64, level: Level, text: &str) {
        match self.seat(instance) {
            Some(seat) => say_line(level, &format!("for overlay {}: {text}", seat.name)),
            None => say_line(level, text),
        }
    }

    fn vnetid(&self, instance: u64) -> Option<u32> {
        self.seat(instance).map(|seat| seat.vnetid)
    }
}

/// A line for varpd's log, with its level in front as sd-daemon(3) has it.
pub(super) fn say_line(level: Level, text: &str) {
    // Without varpd nobody reads.
    let _ = io_line(level, text);
}

fn io_line(level: Level, text: &str) -> std::io::Result<()> {
    // One write for each line: other threads and the plugin itself write, too.
    std::io::stderr().write_all(format!("<{}>{text}\n", level as i32).as_bytes())
}
