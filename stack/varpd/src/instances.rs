//! Which instances are there, and who hears what overlayd says? One connection after the other, the instances stay.
//!
//! ```text
//!                    told ──► starting ── task ──► running ──► stopped
//!                              │  ▲                 │ told with other properties
//!                              ▼  └─────────────────┘
//!                     lookups wait in its queue
//! ```
//!
//! An overlay is known by its name; its number holds as long as the connection does. When overlayd tells an instance that runs already,
//! unchanged, it goes on under the new number with all that it has learned.
//!
//! What may take long (start, verify, the end of an instance) comes out as a [`Task`], to be run by whoever has a thread for it; lookups
//! never wait for the tasks of other overlays. Who has no threads runs them at once ([`Instances::run_tasks`]).

use crate::plugin::{Answerer, Happening, Host, Observer, Outlet, Plugin, Reply};
use overlay_api::channel::{FromOverlayd, FromVarpd, Instance, PluginInfo, Request, Verified, VnicInfo};
use overlay_api::{Answer, DeviceId, LinkName, Lookup, RequestId, nearest};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Lookups that wait for the start of one instance; more are left to overlayd's time limit, the oldest first.
pub const WAITING_MAX: usize = 1024;

/// Holds for no time at all: the next frame asks again.
const DROP_ONCE: Answer = Answer::Drop { ttl_ns: Some(0) };

/// The plugins and their instances.
pub struct Instances {
    plugins: Vec<Arc<dyn Plugin>>,
    observer: Arc<dyn Observer>,
    /// The present connection.
    outlet: Option<Arc<dyn Outlet>>,
    running: BTreeMap<LinkName, Running>,
    /// Names by the numbers of the present connection.
    numbers: HashMap<DeviceId, LinkName>,
    tasks: VecDeque<Task>,
    /// Starts until now.
    starts: u64,
}

/// An instance that overlayd wants.
pub struct Running {
    instance: Instance,
    host: Host,
    part: Part,
    /// Whether the present connection has told it.
    told: bool,
}

/// The plugin's part of an instance.
enum Part {
    /// A task starts it; lookups wait.
    Starting { number: u64, waiting: VecDeque<(Lookup, Reply)> },
    /// It answers.
    Started(Arc<dyn Answerer>),
    /// There is no such plugin, or it does not start; the host says why.
    Failed,
}

/// In which part of its life an instance is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It is being started.
    Starting,
    /// It answers; whether as it should its host says.
    Started,
    /// It did not start, and answers drop.
    Failed,
}

impl Running {
    /// What overlayd said of it.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Its counters and its state.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// In which part of its life it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.part {
            Part::Starting { .. } => Stage::Starting,
            Part::Started(_) => Stage::Started,
            Part::Failed => Stage::Failed,
        }
    }

    /// The plugin's part, once it was started.
    #[must_use]
    pub fn answerer(&self) -> Option<&Arc<dyn Answerer>> {
        match &self.part {
            Part::Started(answerer) => Some(answerer),
            Part::Starting { .. } | Part::Failed => None,
        }
    }
}

/// Something that may take long. It needs nothing of [`Instances`] while it runs.
#[must_use = "what is not run never happens"]
pub struct Task(Work);

enum Work {
    /// `before` is the instance that this one takes the place of: it ends first, two of one overlay would say different things.
    Start {
        number: u64,
        plugin: Arc<dyn Plugin>,
        instance: Box<Instance>,
        host: Host,
        before: Option<Arc<dyn Answerer>>,
        /// Whether that one is of the same plugin: then it may leave something to go on with.
        same_plugin: bool,
    },
    Verify {
        plugin: Arc<dyn Plugin>,
        request: Box<Request>,
        outlet: Arc<dyn Outlet>,
    },
    End(Arc<dyn Answerer>),
}

impl Task {
    /// Whether somebody waits for it with a watch in hand: it should not have to wait for others.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        matches!(self.0, Work::Verify { .. })
    }

    /// Does it. What comes of it is for [`Instances::handle_done`].
    #[must_use]
    pub fn run(self) -> Option<Done> {
        match self.0 {
            Work::Start { number, plugin, instance, host, before, same_plugin } => {
                let left = before.as_ref().filter(|_| same_plugin).and_then(|before| before.leave());
                drop(before);
                let result = match left {
                    Some(left) => plugin.go_on(&instance, host, left),
                    None => plugin.start(&instance, host),
                };
                Some(Done { number, name: instance.name, vnics: instance.vnics, result })
            }
            Work::Verify { plugin, request, outlet } => {
                let problem = plugin.verify(&request.instance).err();
                outlet.say(FromVarpd::Verified(Verified { token: request.token, problem }));
                None
            }
            Work::End(answerer) => {
                drop(answerer);
                None
            }
        }
    }
}

/// What came of a start.
pub struct Done {
    number: u64,
    name: LinkName,
    /// Those that it was started with.
    vnics: Vec<VnicInfo>,
    result: Result<Box<dyn Answerer>, String>,
}

impl Instances {
    /// None yet, of these plugins.
    #[must_use]
    pub fn new(plugins: Vec<Arc<dyn Plugin>>, observer: Arc<dyn Observer>) -> Self {
        Self { plugins, observer, outlet: None, running: BTreeMap::new(), numbers: HashMap::new(), tasks: VecDeque::new(), starts: 0 }
    }

    /// The plugins.
    pub fn plugins(&self) -> impl Iterator<Item = PluginInfo> {
        self.plugins.iter().map(|plugin| plugin.info())
    }

    /// The instances, in the order of their overlays' names.
    pub fn iter(&self) -> impl Iterator<Item = &Running> {
        self.running.values()
    }

    /// The instance of an overlay.
    #[must_use]
    pub fn get(&self, name: &LinkName) -> Option<&Running> {
        self.running.get(name)
    }

    /// A connection begins: no number of an earlier one holds. What is said goes to `outlet`.
    pub fn connected(&mut self, outlet: Arc<dyn Outlet>) {
        self.disconnected();
        self.outlet = Some(outlet);
    }

    /// The connection has ended. Instances go on.
    pub fn disconnected(&mut self) {
        self.outlet = None;
        self.numbers.clear();
        for running in self.running.values_mut() {
            running.told = false;
            running.host.unbind();
            // Their answers would reach nobody.
            if let Part::Starting { waiting, .. } = &mut running.part {
                waiting.drain(..).for_each(|(_, reply)| reply.abandon());
            }
        }
    }

    /// Overlayd has said this. What belongs to the connection itself (welcome, refused, ping) is not for here.
    pub fn hear(&mut self, message: FromOverlayd) {
        match message {
            FromOverlayd::Lookup(lookup) => self.lookup(lookup),
            FromOverlayd::Withdraw(request) => self.withdraw(request),
            FromOverlayd::Instance(instance) => self.tell(instance),
            FromOverlayd::InstanceRemoved(device) => {
                if let Some(name) = self.numbers.remove(&device) {
                    self.stop(&name);
                }
            }
            FromOverlayd::Complete => {
                let gone: Vec<LinkName> = self.running.iter().filter(|(_, running)| !running.told).map(|(name, _)| name.clone()).collect();
                for name in gone {
                    self.stop(&name);
                }
            }
            FromOverlayd::Verify(request) => self.verify(request),
            FromOverlayd::VnicAdded(vnic) => self.vnic(&vnic, true),
            FromOverlayd::VnicRemoved(vnic) => self.vnic(&vnic, false),
            FromOverlayd::VnicChanged(vnic) => self.addresses(vnic),
            FromOverlayd::Welcome(_) | FromOverlayd::Refused(_) | FromOverlayd::Ping(_) => {}
        }
    }

    /// The next task.
    pub fn poll_task(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    /// What came of a task.
    pub fn handle_done(&mut self, Done { number, name, vnics, result }: Done) {
        let running = self.running.get_mut(&name);
        let ours = running.filter(|running| matches!(&running.part, Part::Starting { number: ours, .. } if *ours == number));
        let Some(running) = ours else {
            // The overlay has gone or changed meanwhile.
            return self.tasks.extend(result.ok().map(|answerer| Task(Work::End(answerer.into()))));
        };
        let Instance { vnetid, search, .. } = &running.instance;
        let host = &running.host;
        overlay_probes::varpd::instance_start(host.number(), vnetid.get(), u8::from(result.is_ok()), search, &name);
        let part = match result {
            Ok(answerer) => {
                tracing::info!("{search} for overlay {name}: started");
                host.happened(Happening::Started);
                host.say_good();
                compare_vnics(&*answerer, &vnics, &running.instance.vnics);
                Part::Started(answerer.into())
            }
            Err(problem) => {
                host.degrade(Some(problem));
                Part::Failed
            }
        };
        let Part::Starting { waiting, .. } = std::mem::replace(&mut running.part, part) else { return };
        for (lookup, reply) in waiting {
            match running.answerer() {
                Some(answerer) => answerer.lookup(&lookup, reply),
                None => reply.answer(DROP_ONCE),
            }
        }
    }

    /// Runs all tasks here and now.
    pub fn run_tasks(&mut self) {
        while let Some(task) = self.poll_task() {
            if let Some(done) = task.run() {
                self.handle_done(done);
            }
        }
    }

    fn lookup(&mut self, lookup: Lookup) {
        let running = self.numbers.get(&lookup.device).and_then(|name| self.running.get_mut(name));
        let Some(running) = running else {
            // Overlayd tells an instance before it asks: this is about one that it has removed since.
            if let Some(outlet) = &self.outlet {
                outlet.say(FromVarpd::Answer(lookup.request, DROP_ONCE));
            }
            return;
        };
        let question = &lookup.question;
        let (request, vni) = (lookup.request.0, lookup.vni.get());
        overlay_probes::varpd::lookup(request, vni, u32::from(question.ethertype), running.host.plugin(), question.destination);
        let reply = running.host.reply(lookup.request);
        match &mut running.part {
            Part::Started(answerer) => answerer.lookup(&lookup, reply),
            // Not for long: it may start with its next properties.
            Part::Failed => reply.answer(DROP_ONCE),
            Part::Starting { waiting, .. } => {
                if waiting.len() >= WAITING_MAX
                    && let Some((_, oldest)) = waiting.pop_front()
                {
                    oldest.abandon();
                }
                waiting.push_back((lookup, reply));
            }
        }
    }

    /// Only what waits for a start can be taken back: other plugins have their lookups already, and what they answer late overlayd counts.
    fn withdraw(&mut self, request: RequestId) {
        for running in self.running.values_mut() {
            if let Part::Starting { waiting, .. } = &mut running.part
                && let Some(at) = waiting.iter().position(|(lookup, _)| lookup.request == request)
            {
                if let Some((_, reply)) = waiting.remove(at) {
                    reply.abandon();
                }
                return;
            }
        }
    }

    fn vnic(&mut self, vnic: &VnicInfo, there: bool) {
        let running = self.numbers.get(&vnic.device).and_then(|name| self.running.get_mut(name));
        let Some(running) = running else { return };
        running.instance.vnics.retain(|other| other.name != vnic.name);
        if there {
            running.instance.vnics.push(vnic.clone());
        }
        if let Some(answerer) = running.answerer() {
            answerer.vnic(vnic, there);
        }
    }

    fn addresses(&mut self, vnic: VnicInfo) {
        let running = self.numbers.get(&vnic.device).and_then(|name| self.running.get_mut(name));
        let Some(running) = running else { return };
        let Some(known) = running.instance.vnics.iter_mut().find(|known| is_same_vnic(known, &vnic)) else { return };
        known.addresses = vnic.addresses;
        let known = known.clone();
        if let Some(answerer) = running.answerer() {
            answerer.addresses(&known);
        }
    }

    fn tell(&mut self, instance: Instance) {
        let Some(outlet) = self.outlet.clone() else { return };
        self.numbers.insert(instance.device, instance.name.clone());
        if let Some(running) = self.running.get_mut(&instance.name)
            && !matches!(running.part, Part::Failed)
            && is_same(&running.instance, &instance)
        {
            running.host.bind(instance.device, outlet);
            if let Part::Started(answerer) = &running.part {
                compare_vnics(&**answerer, &running.instance.vnics, &instance.vnics);
                // Overlayd doubts an instance that it has told, until it hears of it.
                running.host.say_good();
            }
            (running.instance, running.told) = (instance, true);
            return;
        }
        let was_told = self.running.get(&instance.name).is_some_and(|running| running.told);
        let same_plugin = self.running.get(&instance.name).is_some_and(|running| running.instance.search == instance.search);
        let before = self.take(&instance.name);
        let host = Host::new(&instance, Arc::clone(&self.observer));
        host.bind(instance.device, outlet);
        if was_told {
            // What the one before has answered would stay in use: another file has other destinations.
            host.flush();
        }
        self.starts += 1;
        let number = self.starts;
        let part = match self.checked(&instance) {
            Ok(plugin) => {
                let (plugin, instance, host) = (Arc::clone(plugin), Box::new(instance.clone()), host.clone());
                self.tasks.push_back(Task(Work::Start { number, plugin, instance, host, before, same_plugin }));
                Part::Starting { number, waiting: VecDeque::new() }
            }
            Err(problem) => {
                self.tasks.extend(before.map(|before| Task(Work::End(before))));
                overlay_probes::varpd::instance_start(instance.device.0, instance.vnetid.get(), 0, &instance.search, &instance.name);
                host.degrade(Some(problem));
                Part::Failed
            }
        };
        self.running.insert(instance.name.clone(), Running { instance, host, part, told: true });
    }

    fn stop(&mut self, name: &LinkName) {
        let answerer = self.take(name);
        self.tasks.extend(answerer.map(|answerer| Task(Work::End(answerer))));
    }

    /// An instance is none of ours any more: what is left is to be dropped where that may take long.
    fn take(&mut self, name: &LinkName) -> Option<Arc<dyn Answerer>> {
        let Running { instance, host, part, .. } = self.running.remove(name)?;
        tracing::info!("{} for overlay {name}: stopped", instance.search);
        overlay_probes::varpd::instance_stop(host.number(), instance.vnetid.get(), &instance.search, name);
        host.end();
        match part {
            Part::Started(answerer) => Some(answerer),
            Part::Starting { waiting, .. } => {
                waiting.into_iter().for_each(|(_, reply)| reply.answer(DROP_ONCE));
                None
            }
            Part::Failed => None,
        }
    }

    fn verify(&mut self, request: Request) {
        let Some(outlet) = self.outlet.clone() else { return };
        match self.checked(&request.instance) {
            Ok(plugin) => {
                let plugin = Arc::clone(plugin);
                self.tasks.push_back(Task(Work::Verify { plugin, request: Box::new(request), outlet }));
            }
            Err(problem) => outlet.say(FromVarpd::Verified(Verified { token: request.token, problem: Some(problem) })),
        }
    }

    /// The plugin of an instance, if it fits what the plugin declares.
    ///
    /// # Errors
    /// A sentence with what was found and what is allowed.
    pub fn checked(&self, instance: &Instance) -> Result<&Arc<dyn Plugin>, String> {
        let infos: Vec<PluginInfo> = self.plugins().collect();
        let Some((plugin, info)) = self.plugins.iter().zip(&infos).find(|(_, info)| info.name == instance.search) else {
            let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
            let hint =
                nearest(instance.search.as_str(), names.iter().copied()).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            return Err(format!("there is no plugin {}; there are {}{hint}", instance.search, names.join(", ")));
        };
        info.check(instance)?;
        Ok(plugin)
    }
}

/// Whether an instance can go on as it is: VNICs are told one by one.
fn is_same(one: &Instance, other: &Instance) -> bool {
    let key =
        |instance: &Instance| (instance.search.clone(), instance.with_port, instance.vnetid, instance.ul3, instance.properties.clone());
    key(one) == key(other)
}

fn is_same_vnic(one: &VnicInfo, other: &VnicInfo) -> bool {
    one.name == other.name && one.mac == other.mac
}

/// Tells an instance which VNICs came, went and changed while it was not told, or was being started.
fn compare_vnics(answerer: &dyn Answerer, before: &[VnicInfo], now: &[VnicInfo]) {
    for gone in before.iter().filter(|old| !now.iter().any(|new| is_same_vnic(old, new))) {
        answerer.vnic(gone, false);
    }
    for new in now {
        match before.iter().find(|old| is_same_vnic(old, new)) {
            Some(old) if old.addresses == new.addresses => {}
            Some(_) => answerer.addresses(new),
            None => answerer.vnic(new, true),
        }
    }
}
