//! Who answers lookups now? One answerer at a time: it is attached, heard, asked whether it is still there, and lost.
//!
//! ```text
//!            hello, nobody else is attached
//!   away ────────────────────────────────────► attached ──┐ packets: answers, states, targets
//!    ▲   welcome, instances, complete, lookups     │  ▲     │ every second: ping
//!    │                                             │  └─────┘
//!    └─────────────────────────────────────────────┘
//!      hung up · silent for 3 s · not of the protocol · does not read
//! ```
//!
//! While it is away the engine keeps what it knows in use and what is asked for the next one; the overlays say that they are degraded.

use super::Room;
use super::instances::Standing;
use crate::lookup::{Link, Peer, Plugins, clean};
use overlay_api::channel::{FromOverlayd, FromVarpd, Hello, PACKET_MAX, VERSION, Welcome, answers};
use overlay_api::control::{Answerer, Happening, Timestamp};
use overlay_api::{DeviceId, Lookup, RequestId, Source};
use overlay_engine::{AnswerError, Limits, SetTarget, Time};
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::SystemTime;
use tokio::sync::oneshot;

/// Nanoseconds from one ping to the next.
const PING_NS: u64 = 1_000_000_000;
/// Pings after which an answerer that says nothing counts as gone. Counted and not timed: a daemon that was itself stopped for a while
/// has not heard anybody, and that is nobody's fault.
const PINGS: u32 = 3;
/// Nanoseconds between two log lines about what cannot be used.
const LOG_NS: u64 = 1_000_000_000;

/// Who answers, and what came of it.
pub(crate) struct Answerers {
    pub(super) attached: Option<Attached>,
    /// Overlays that ask, and how they stand with their plugin.
    pub(super) standings: BTreeMap<DeviceId, Standing>,
    /// Since when somebody or nobody has been attached.
    since: Timestamp,
    /// Counts of the answerers that have gone, and of this one.
    counts: Counts,
    /// When the next line about something that cannot be used may be logged.
    next_line: Time,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    refused: u64,
    lookups: u64,
    answers: u64,
    unusable: u64,
    protocol_errors: u64,
}

/// The answerer that is connected.
pub(crate) struct Attached {
    pub(super) link: Link,
    pub(super) plugins: Plugins,
    name: String,
    version: String,
    /// Pings since it was last heard.
    unheard: u32,
    next_ping: Time,
    /// Of pings and of questions whether an instance would start.
    next_token: u64,
    /// Lookups of overlays that the answerer has no instance for. The engine bounds them: they are open, or withdrawn.
    held: BTreeMap<RequestId, Lookup>,
    /// Who waits to hear whether an instance would start.
    pub(super) verifying: BTreeMap<u64, oneshot::Sender<Option<String>>>,
}

impl Answerers {
    pub(super) fn new() -> Self {
        Self {
            attached: None,
            standings: BTreeMap::new(),
            since: SystemTime::now().into(),
            counts: Counts::default(),
            next_line: Time::ZERO,
        }
    }

    /// To be asked: now, or when the answerer has an instance for it. What is never asked runs out of time.
    pub(super) fn ask(&mut self, lookup: Lookup) {
        let Some(attached) = &mut self.attached else { return };
        match self.standings.get(&lookup.device) {
            Some(standing) if standing.told => attached.link.ask(lookup),
            _ => drop(attached.held.insert(lookup.request, lookup)),
        }
    }

    /// What was held for an overlay is asked: the answerer has an instance for it now.
    pub(super) fn ask_held(&mut self, device: DeviceId) {
        let Some(attached) = &mut self.attached else { return };
        for (request, lookup) in std::mem::take(&mut attached.held) {
            if lookup.device == device {
                attached.link.ask(lookup);
            } else {
                attached.held.insert(request, lookup);
            }
        }
    }

    pub(super) fn withdraw(&mut self, request: RequestId) {
        if let Some(attached) = &mut self.attached
            && attached.held.remove(&request).is_none()
        {
            attached.link.withdraw(request);
        }
    }

    /// When there is something to be done about the answerer, if nothing else happens before.
    pub(super) fn next(&self) -> Option<Time> {
        self.attached.as_ref().map(|attached| attached.next_ping)
    }

    /// The socket, if something waits for room in it.
    pub(super) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.attached.as_ref()?.link.blocked()
    }
}

impl Attached {
    pub(super) fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }
}

impl Room {
    /// Somebody wants to answer. It has said hello; its version and user are right.
    pub(crate) fn attach(&mut self, link: Link, hello: &Hello) {
        let plugins = {
            let encapsulations: Vec<_> = self.registry.names().collect();
            let taken: Vec<&str> = super::search::TAKEN.into_iter().chain(encapsulations).collect();
            Plugins::of(hello, &taken)
        };
        let (plugins, peer) = match (plugins, self.answerers.attached.as_ref()) {
            (Ok(plugins), None) => (plugins, link.peer),
            (Ok(_), Some(other)) => {
                let who = format!("{} (pid {})", other.name, other.link.peer.pid);
                return self.refuse(link, &format!("another varpd is attached: {who}; one at a time can be"));
            }
            (Err(problem), _) => return self.refuse(link, &clean(&problem)),
        };
        let (name, version) = (clean(&hello.name), clean(&hello.version));
        tracing::info!("{name} {version} ({peer}) answers lookups from now on");
        overlay_probes::answerer(peer.pid as u32, peer.uid, "attached", "");
        let now = self.clock.now();
        let attached = Attached {
            link,
            plugins,
            name,
            version,
            unheard: 0,
            next_ping: now + PING_NS,
            next_token: 0,
            held: BTreeMap::new(),
            verifying: BTreeMap::new(),
        };
        let attached = self.answerers.attached.insert(attached);
        attached.link.say(&FromOverlayd::Welcome(Welcome {
            version: VERSION,
            overlayd: env!("CARGO_PKG_VERSION").to_owned(),
            timeout_ms: Limits::default().lookup_timeout_ns / 1_000_000,
            silence_ms: u64::from(PINGS) * PING_NS / 1_000_000,
        }));
        self.answerers.since = SystemTime::now().into();
        // Before the engine says that all is well: what is wrong with an instance is known from the first moment.
        self.tell_instances();
        if let Some(attached) = &mut self.answerers.attached {
            attached.link.say(&FromOverlayd::Complete);
        }
        self.control.answerer_attached(now);
        self.tell(Happening::Answerer { attached: true, reason: None });
    }

    fn refuse(&mut self, link: Link, sentence: &str) {
        tracing::warn!("lookup socket: {} is refused: {sentence}", link.peer);
        self.count_refused(link.peer, sentence);
        link.refuse(sentence);
    }

    /// Somebody was not let in.
    pub(crate) fn count_refused(&mut self, peer: Peer, why: &str) {
        self.answerers.counts.refused += 1;
        overlay_probes::answerer(peer.pid as u32, peer.uid, "refused", why);
    }

    /// A packet of connection `id`, whose first `skip` messages have been heard.
    pub(crate) fn hear(&mut self, id: u64, packet: &[u8], skip: usize) {
        let now = self.clock.now();
        match self.answerers.attached.as_mut().filter(|attached| attached.link.id == id) {
            Some(attached) => attached.unheard = 0,
            // It has been told why.
            None => return,
        }
        if packet.len() > PACKET_MAX {
            return self.is_no_varpd(&format!("a packet of more than {PACKET_MAX} bytes"));
        }
        for message in answers(packet).skip(skip) {
            match message {
                Ok(FromVarpd::Hello(_)) => return self.is_no_varpd("hello was said twice; it is the first message and no other"),
                Ok(message) => {
                    self.take(message, now);
                    // One after the other: what a packet of small messages causes may be a hundred times as large as it is.
                    self.carry_out_outputs();
                }
                Err(error) => return self.is_no_varpd(&clean(&error.to_string())),
            }
        }
    }

    /// It says what is not of the protocol.
    fn is_no_varpd(&mut self, problem: &str) {
        self.answerers.counts.protocol_errors += 1;
        self.lose(problem);
    }

    fn take(&mut self, message: FromVarpd, now: Time) {
        match message {
            FromVarpd::Answer(request, answer) => {
                self.answerers.counts.answers += 1;
                match self.control.handle_answer(request, answer, now) {
                    Ok(()) => {}
                    // The engine counts those.
                    Err(error @ AnswerError::Unknown(_)) => self.log_unusable(&error, now),
                    Err(error @ AnswerError::Invalid { .. }) => self.unusable(error, now),
                }
            }
            FromVarpd::State { device, degraded } => self.instance_is(device, degraded.as_deref().map(clean)),
            FromVarpd::Verified(verified) => {
                let waits = self.answerers.attached.as_mut().and_then(|attached| attached.verifying.remove(&verified.token));
                if let Some(waits) = waits {
                    // Whoever asked may have had enough.
                    let _ = waits.send(verified.problem.as_deref().map(clean));
                }
            }
            FromVarpd::TargetSet { device, mac, to, ttl_ns } => {
                let target = if to.is_empty() { SetTarget::Drop } else { SetTarget::Reach(to) };
                if let Err(refusal) = self.control.set_target(device, mac, &target, Source::Plugin, ttl_ns, now) {
                    // Wherever it is now, it is no longer where it was.
                    let _ = self.control.invalidate(device, mac, now);
                    self.unusable(refusal, now);
                }
            }
            FromVarpd::TargetInvalidate { device, mac } => self.usable(now, |room| room.control.invalidate(device, mac, now)),
            FromVarpd::TargetFlush(device) => self.usable(now, |room| room.control.invalidate_all(device, now)),
            FromVarpd::Inject { device, frame } => self.usable(now, |room| room.control.inject(device, &frame)),
            FromVarpd::Resend { device, frame } => self.usable(now, |room| room.control.resend(device, &frame, now)),
            // That it was heard is all there is to it.
            FromVarpd::Pong(_) | FromVarpd::Hello(_) => {}
        }
    }

    fn usable<T, E: fmt::Display>(&mut self, now: Time, use_it: impl FnOnce(&mut Self) -> Result<T, E>) {
        if let Err(error) = use_it(self) {
            self.unusable(error, now);
        }
    }

    /// It says something that cannot be used. That is no reason to end the connection: overlays come and go while it speaks.
    pub(super) fn unusable(&mut self, why: impl fmt::Display, now: Time) {
        self.answerers.counts.unusable += 1;
        self.log_unusable(&why, now);
    }

    fn log_unusable(&mut self, why: &dyn fmt::Display, now: Time) {
        if now >= self.answerers.next_line {
            self.answerers.next_line = now + LOG_NS;
            tracing::debug!("lookup socket: {why}");
        }
    }

    /// Connection `id` has ended.
    pub(crate) fn hung_up(&mut self, id: u64, why: &str) {
        if self.answerers.attached.as_ref().is_some_and(|attached| attached.link.id == id) {
            self.lose(why);
        }
    }

    /// Nobody answers any more. `why` is said to it, to the log and at the overlays.
    pub(super) fn lose(&mut self, why: &str) {
        let Some(mut attached) = self.answerers.attached.take() else { return };
        tracing::warn!("{} ({}) answers no lookups any more: {why}", attached.name, attached.link.peer);
        overlay_probes::answerer(attached.link.peer.pid as u32, attached.link.peer.uid, "lost", why);
        self.answerers.counts.lookups += attached.link.take_asked();
        self.answerers.since = SystemTime::now().into();
        attached.link.refuse(why);
        let reason = format!("varpd is away: {why}");
        self.control.answerer_lost(&reason, self.clock.now());
        self.forget_instances();
        self.tell(Happening::Answerer { attached: false, reason: Some(reason) });
    }

    /// Sends what the answerer is to be told. Says whether that changed nothing for the engine.
    pub(super) fn put_questions(&mut self) -> bool {
        let Some(attached) = &mut self.answerers.attached else { return true };
        let sent = attached.link.send();
        self.answerers.counts.lookups += attached.link.take_asked();
        match sent {
            Ok(()) => true,
            Err(why) => {
                self.lose(&why);
                false
            }
        }
    }

    /// Is it still there?
    pub(super) fn look_at_answerer(&mut self, now: Time) {
        let Some(attached) = self.answerers.attached.as_mut().filter(|attached| attached.next_ping <= now) else { return };
        if attached.unheard >= PINGS {
            return self.lose(&format!("silent for {PINGS} s"));
        }
        attached.unheard += 1;
        attached.next_ping = now + PING_NS;
        let token = attached.token();
        attached.link.say(&FromOverlayd::Ping(token));
    }

    /// Who answers, as `GET /v1/status` shows it.
    pub(super) fn answerer(&self) -> Answerer {
        let Counts { refused, lookups, answers, unusable, protocol_errors } = self.answerers.counts;
        let attached = self.answerers.attached.as_ref();
        let peer: Option<Peer> = attached.map(|attached| attached.link.peer);
        Answerer {
            attached: attached.is_some(),
            reason: self.control.answerer().map(|(reason, _)| reason),
            since: self.answerers.since,
            name: attached.map(|attached| attached.name.clone()),
            version: attached.map(|attached| attached.version.clone()),
            pid: peer.map(|peer| peer.pid),
            uid: peer.map(|peer| peer.uid),
            plugins: attached.map_or_else(Vec::new, |attached| attached.plugins.names().cloned().collect()),
            refused,
            waits: super::waits::of_plugins(self),
            lookups,
            answers,
            late_answers: self.control.nobodys_totals().late_answers,
            unusable,
            protocol_errors,
        }
    }
}
