//! What is a lookup plugin? The contract between varpd and whoever knows where frames go.
//!
//! | call | when | thread |
//! |---|---|---|
//! | [`Plugin::verify`] | before an overlay is made or changed | any; may take its time, callers have a deadline |
//! | [`Plugin::start`] | an overlay names the plugin | any; several at once for several overlays |
//! | [`Answerer::lookup`] | between start and the drop of the instance | the one that reads from overlayd: must not wait for anything |
//! | [`Answerer::vnic`] | a VNIC came or went | the same |
//! | [`Answerer::addresses`] | the interface of a VNIC has other inner addresses | the same |
//! | [`Answerer::reload`] | an operator wants it | any |
//! | [`Answerer::leave`], then drop | the overlay has other properties, and the same plugin | any; [`Plugin::go_on`] follows |
//! | drop | the overlay is gone, or has other properties | any; the instance with the new properties starts after it |
//!
//! An instance says what it knows through its [`Host`], at any time and from any thread.

use overlay_api::channel::{FromVarpd, Instance, PluginInfo, VnicInfo};
use overlay_api::control::Clashes;
use overlay_api::{Answer, DeviceId, LinkName, Lookup, ModuleName, RequestId};
use overlay_decoder::{Mac, Ul3};
use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

/// The number that probes have of an overlay while there is no connection that would give it one.
const NO_DEVICE: u32 = u32::MAX;

/// A kind of lookup: it makes instances.
pub trait Plugin: Send + Sync {
    /// Its name, what destinations it has, and its properties.
    fn info(&self) -> PluginInfo;

    /// Whether an instance would start.
    ///
    /// # Errors
    /// A sentence with what was found and what is allowed.
    fn verify(&self, instance: &Instance) -> Result<(), String>;

    /// Starts an instance. One that cannot do its work yet (a file that is not there, a service that does not answer) starts, degraded,
    /// and tries again.
    ///
    /// # Errors
    /// What no waiting will mend: a property that cannot be.
    fn start(&self, instance: &Instance, host: Host) -> Result<Box<dyn Answerer>, String>;

    /// Starts an instance in the place of one of the same overlay, which had other properties and has left this behind
    /// ([`Answerer::leave`]). What it does not go on with it drops.
    ///
    /// # Errors
    /// As those of [`Plugin::start`].
    fn go_on(&self, instance: &Instance, host: Host, left: Box<dyn Any + Send>) -> Result<Box<dyn Answerer>, String> {
        drop(left);
        self.start(instance, host)
    }
}

/// An instance.
pub trait Answerer: Send + Sync {
    /// Where does this frame go? The answer may come later; there is a deadline, after which it is of no use.
    fn lookup(&self, lookup: &Lookup, reply: Reply);

    /// A VNIC of the overlay came or went.
    fn vnic(&self, vnic: &VnicInfo, there: bool) {
        let _ = (vnic, there);
    }

    /// The interface of a VNIC that it was told of has these inner addresses now, and no others.
    fn addresses(&self, vnic: &VnicInfo) {
        let _ = vnic;
    }

    /// Looks at what it knows anew, as if that had changed.
    ///
    /// # Errors
    /// A sentence: why it goes on with what it knew. It is not the plugin's to be looked at anew, unless it says otherwise.
    fn reload(&self) -> Result<(), String> {
        Err("this plugin has nothing to look at anew".to_owned())
    }

    /// It ends because another instance of the same plugin takes its place at once: what that one may go on with. None: nothing.
    fn leave(&self) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// How many destinations it knows, if it can say.
    fn entries(&self) -> Option<u64> {
        None
    }
}

/// Who takes what varpd says: one connection to overlayd. What is said after its end is forgotten.
pub trait Outlet: Send + Sync {
    /// Says this. Does not wait for anything.
    fn say(&self, message: FromVarpd);
}

/// Who wants to know what becomes of instances, besides overlayd: the control API.
pub trait Observer: Send + Sync {
    /// This has happened to the instance of an overlay.
    fn happened(&self, overlay: &LinkName, plugin: &ModuleName, what: Happening<'_>);
}

/// What can happen to an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening<'a> {
    /// It was started.
    Started,
    /// It has ended: the overlay is gone, or has other properties.
    Stopped,
    /// It does not do what it should, for this reason; or it does again.
    State(Option<&'a str>),
    /// What it knows has changed: so many destinations are elsewhere, new or gone.
    Changed(usize),
}

/// Nobody wants to know.
impl Observer for () {
    fn happened(&self, _: &LinkName, _: &ModuleName, _: Happening<'_>) {}
}

/// What an instance has done since it started.
#[derive(Default, Debug)]
pub struct Counters {
    /// Lookups that it was asked.
    pub lookups: AtomicU64,
    /// Answered with destinations.
    pub reached: AtomicU64,
    /// Answered with drop.
    pub dropped: AtomicU64,
    /// Answered with a frame for whoever asked.
    pub injected: AtomicU64,
    /// Answered with a frame to be sent instead.
    pub resent: AtomicU64,
    /// Not answered on purpose: withdrawn, or left to overlayd's time limit.
    pub abandoned: AtomicU64,
    /// Never answered: the reply was lost, and drop was said in its place.
    pub missing: AtomicU64,
    /// Answered a second time, or after the deadline of the plugin: without effect.
    pub late: AtomicU64,
}

/// The overlay's number in a connection, and that connection.
#[derive(Clone)]
struct Line {
    device: DeviceId,
    outlet: Arc<dyn Outlet>,
}

/// What an instance and its host share.
struct Binding {
    /// None between two connections: what is said then concerns nobody, because overlayd asks anew for all that it has learned before.
    line: RwLock<Option<Line>>,
    observer: Arc<dyn Observer>,
    name: LinkName,
    plugin: ModuleName,
    counters: Counters,
    condition: Mutex<Condition>,
}

/// How an instance is.
#[derive(Default)]
struct Condition {
    /// Why it does not do what it should.
    degraded: Option<String>,
    /// What stands in the way of what it would write.
    clashes: Option<Clashes>,
    /// It was stopped: what it still does concerns nobody, and would be taken for the next one's.
    ended: bool,
}

/// What an instance can say unasked.
#[derive(Clone)]
pub struct Host(Arc<Binding>);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for overlay {} ({:?})", self.plugin(), self.name(), self.device())
    }
}

impl Host {
    /// The host of an instance, without a connection yet.
    #[must_use]
    pub fn new(instance: &Instance, observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Binding {
            line: RwLock::new(None),
            observer,
            name: instance.name.clone(),
            plugin: instance.search.clone(),
            counters: Counters::default(),
            condition: Mutex::default(),
        }))
    }

    /// The overlay is called so, in this connection. A state that is not good is said again: to an overlayd that has not heard it.
    pub fn bind(&self, device: DeviceId, outlet: Arc<dyn Outlet>) {
        // In this order, and with the state locked: a change meanwhile is said once before, to nobody, or once after.
        let condition = self.condition();
        if let Some(reason) = &condition.degraded {
            outlet.say(FromVarpd::State { device, degraded: Some(reason.clone()) });
        }
        *self.0.line.write().unwrap_or_else(PoisonError::into_inner) = Some(Line { device, outlet });
    }

    /// There is no connection any more, or the overlay is none of it.
    pub fn unbind(&self) {
        *self.0.line.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.0.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> Option<Line> {
        self.0.line.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, message: impl FnOnce(DeviceId) -> FromVarpd) {
        if let Some(Line { device, outlet }) = self.line() {
            outlet.say(message(device));
        }
    }

    /// The overlay's number, if there is a connection.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        self.line().map(|line| line.device)
    }

    /// The same for probes.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.device().map_or(NO_DEVICE, |device| device.0)
    }

    /// The overlay's name.
    #[must_use]
    pub fn name(&self) -> &LinkName {
        &self.0.name
    }

    /// The plugin's name.
    #[must_use]
    pub fn plugin(&self) -> &ModuleName {
        &self.0.plugin
    }

    /// What the instance has done.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// A destination is there (none: drop), for so many nanoseconds or without limit.
    pub fn set_target(&self, mac: Mac, to: Vec<Ul3>, ttl_ns: Option<u64>) {
        self.say(|device| FromVarpd::TargetSet { device, mac, to, ttl_ns });
    }

    /// What was answered about a destination no longer holds.
    pub fn invalidate(&self, mac: Mac) {
        self.say(|device| FromVarpd::TargetInvalidate { device, mac });
    }

    /// The same for all destinations.
    pub fn flush(&self) {
        self.say(FromVarpd::TargetFlush);
    }

    /// A frame for a VNIC of the overlay.
    pub fn inject(&self, frame: Vec<u8>) {
        self.say(|device| FromVarpd::Inject { device, frame });
    }

    /// A frame that is sent as if a VNIC of the overlay had.
    pub fn resend(&self, frame: Vec<u8>) {
        self.say(|device| FromVarpd::Resend { device, frame });
    }

    /// So many destinations are elsewhere, new or gone: for whoever watches varpd. Overlayd is told by the calls above.
    pub fn changed(&self, destinations: usize) {
        let condition = self.condition();
        if !condition.ended {
            self.happened(Happening::Changed(destinations));
        }
    }

    /// The instance does not do what it should, for this reason; or it does again. The same reason twice is said once.
    pub fn degrade(&self, reason: Option<String>) {
        let mut condition = self.condition();
        if condition.ended || condition.degraded == reason {
            return;
        }
        match &reason {
            Some(reason) => tracing::warn!("{} for overlay {}: {reason}", self.plugin(), self.name()),
            None => tracing::info!("{} for overlay {}: works again", self.plugin(), self.name()),
        }
        overlay_probes::varpd::instance_state(self.number(), u8::from(reason.is_some()), self.plugin(), reason.as_deref().unwrap_or(""));
        self.happened(Happening::State(reason.as_deref()));
        condition.degraded.clone_from(&reason);
        self.say(|device| FromVarpd::State { device, degraded: reason });
    }

    /// Why the instance does not do what it should; none if it does.
    #[must_use]
    pub fn degraded(&self) -> Option<String> {
        self.condition().degraded.clone()
    }

    /// This stands in the way of what the instance would write for this host; or nothing does. It works all the same.
    pub fn clash(&self, clashes: Option<Clashes>) {
        self.condition().clashes = clashes;
    }

    /// What stands in the way of what the instance would write; none if nothing does.
    #[must_use]
    pub fn clashes(&self) -> Option<Clashes> {
        self.condition().clashes.clone()
    }

    /// It works, whatever overlayd has last heard of another instance of the overlay.
    pub(crate) fn say_good(&self) {
        let condition = self.condition();
        if condition.degraded.is_none() {
            self.say(|device| FromVarpd::State { device, degraded: None });
        }
    }

    /// It has ended. Whoever watches hears nothing of it after that, even if it goes on for a while where it is dropped.
    pub(crate) fn end(&self) {
        let mut condition = self.condition();
        condition.ended = true;
        self.happened(Happening::Stopped);
        self.unbind();
    }

    pub(crate) fn happened(&self, what: Happening<'_>) {
        self.0.observer.happened(self.name(), self.plugin(), what);
    }

    /// The reply to a lookup that came over the present connection. Without one nobody hears it.
    #[must_use]
    pub fn reply(&self, request: RequestId) -> Reply {
        self.counters().lookups.fetch_add(1, Relaxed);
        let line = self.line().map(|Line { device, outlet }| (device, Arc::downgrade(&outlet)));
        Reply { request, host: self.clone(), line, open: true }
    }
}

/// The answer that a lookup waits for: exactly one. One that is dropped without an answer says drop.
///
/// It goes to the connection that the lookup came from, or nowhere: another one has other lookups under the same numbers.
pub struct Reply {
    request: RequestId,
    host: Host,
    /// Who waits for long must not keep the connection, with what it has not sent, after its end.
    line: Option<(DeviceId, Weak<dyn Outlet>)>,
    open: bool,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reply to lookup {} of {:?}", self.request, self.host)
    }
}

impl Reply {
    /// The lookup.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Whether the connection that the lookup came from is still there. If not, there is no use in an answer.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.line.as_ref().is_some_and(|(_, outlet)| outlet.strong_count() > 0)
    }

    /// Answers.
    pub fn answer(mut self, answer: Answer) {
        let counters = self.host.counters();
        let counter = match &answer {
            Answer::Reach { .. } => &counters.reached,
            Answer::Drop { .. } => &counters.dropped,
            Answer::Inject(_) => &counters.injected,
            Answer::Resend(_) => &counters.resent,
        };
        counter.fetch_add(1, Relaxed);
        self.say(answer);
    }

    /// Leaves it to overlayd's time limit: new destinations get nothing then, as with drop, but what was known of others stays in use.
    pub fn abandon(mut self) {
        self.host.counters().abandoned.fetch_add(1, Relaxed);
        self.open = false;
    }

    fn say(&mut self, answer: Answer) {
        self.open = false;
        let Some((device, outlet)) = self.line.as_ref().and_then(|(device, outlet)| Some((device, outlet.upgrade()?))) else { return };
        overlay_probes::varpd::answer(self.request.0, device.0, answer.name(), self.host.plugin());
        outlet.say(FromVarpd::Answer(self.request, answer));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.open {
            self.host.counters().missing.fetch_add(1, Relaxed);
            tracing::warn!("{} for overlay {}: lookup {} was not answered: dropped", self.host.plugin(), self.host.name(), self.request);
            overlay_probes::varpd::answer_missing(self.request.0, self.host.number(), self.host.plugin());
            self.say(Answer::Drop { ttl_ns: None });
        }
    }
}
