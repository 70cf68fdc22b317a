//! Do instances live as overlayd wants, whatever their plugins do, and is every lookup answered exactly once?
#![forbid(unsafe_code)]

use overlay_api::channel::{FromOverlayd, FromVarpd, Instance, PluginInfo, Request, Verified, VnicInfo};
use overlay_api::{Answer, DeviceId, Lookup, Question, RequestId};
use overlay_decoder::Mac;
use overlay_varpd::instances::{Instances, Stage, Task, WAITING_MAX};
use overlay_varpd::plugin::{Answerer, Happening, Host, Observer, Outlet, Plugin, Reply};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

/// What was said on one connection.
#[derive(Default)]
struct Heard(Mutex<Vec<FromVarpd>>);

impl Heard {
    fn take(&self) -> Vec<FromVarpd> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Outlet for Heard {
    fn say(&self, message: FromVarpd) {
        self.0.lock().unwrap().push(message);
    }
}

/// What the plugin and its instances went through, and what the test holds in its hands.
#[derive(Default)]
struct Story {
    lines: Mutex<Vec<String>>,
    held: Mutex<Vec<Reply>>,
    hosts: Mutex<Vec<Host>>,
}

impl Story {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Observer for Story {
    fn happened(&self, overlay: &overlay_api::LinkName, plugin: &overlay_api::ModuleName, what: Happening<'_>) {
        self.add(format!("{plugin} {overlay}: {what:?}"));
    }
}

/// A plugin that does to a lookup what the instance's property says.
struct Toy(Arc<Story>);

impl Plugin for Toy {
    fn info(&self) -> PluginInfo {
        let text =
            r#"{"name": "toy", "without_port": false, "properties": [{"name": "toy/does", "type": "text", "max": 9, "required": true}]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn verify(&self, instance: &Instance) -> Result<(), String> {
        match &*instance.properties["toy/does"] {
            "fail" => Err("it would fail".to_owned()),
            _ => Ok(()),
        }
    }

    fn start(&self, instance: &Instance, host: Host) -> Result<Box<dyn Answerer>, String> {
        let does = instance.properties["toy/does"].clone();
        self.0.add(format!("start {} {does}", instance.name));
        self.0.hosts.lock().unwrap().push(host);
        if does == "fail" {
            return Err("it failed".to_owned());
        }
        Ok(Box::new(Instanced { story: Arc::clone(&self.0), does }))
    }
}

struct Instanced {
    story: Arc<Story>,
    does: String,
}

impl Answerer for Instanced {
    fn lookup(&self, _: &Lookup, reply: Reply) {
        match &*self.does {
            "lose" => drop(reply),
            "hold" => self.story.held.lock().unwrap().push(reply),
            _ => reply.answer(Answer::Resend(self.does.clone().into_bytes())),
        }
    }

    fn vnic(&self, vnic: &VnicInfo, there: bool) {
        self.story.add(format!("vnic {} {there}", vnic.name));
    }

    fn addresses(&self, vnic: &VnicInfo) {
        self.story.add(format!("addresses {} {:?}", vnic.name, vnic.addresses));
    }
}

impl Drop for Instanced {
    fn drop(&mut self) {
        self.story.add(format!("end {}", self.does));
    }
}

struct World {
    instances: Instances,
    story: Arc<Story>,
    heard: Arc<Heard>,
}

impl World {
    fn new() -> Self {
        let story = Arc::new(Story::default());
        let instances = Instances::new(vec![Arc::new(Toy(Arc::clone(&story)))], Arc::<Story>::clone(&story));
        let mut world = Self { instances, story, heard: Arc::default() };
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.heard = Arc::default();
        self.instances.connected(Arc::<Heard>::clone(&self.heard));
    }

    fn hear(&mut self, message: FromOverlayd) -> Vec<FromVarpd> {
        self.instances.hear(message);
        self.instances.run_tasks();
        self.heard.take()
    }

    /// Hears, and leaves the tasks to the test.
    fn hear_only(&mut self, message: FromOverlayd) -> Vec<Task> {
        self.instances.hear(message);
        std::iter::from_fn(|| self.instances.poll_task()).collect()
    }

    fn run(&mut self, tasks: Vec<Task>) {
        for done in tasks.into_iter().filter_map(Task::run) {
            self.instances.handle_done(done);
        }
    }
}

fn told(device: u32, name: &str, does: &str) -> Instance {
    Instance {
        device: DeviceId(device),
        name: name.parse().unwrap(),
        search: "toy".parse().unwrap(),
        encapsulation: "vxlan".parse().unwrap(),
        with_port: true,
        vnetid: "7".parse().unwrap(),
        mtu: 1450,
        ul3: None,
        properties: BTreeMap::from([("toy/does".to_owned(), does.to_owned())]),
        vnics: Vec::new(),
    }
}

fn instance(device: u32, name: &str, does: &str) -> FromOverlayd {
    FromOverlayd::Instance(told(device, name, does))
}

fn lookup(request: u64, device: u32) -> FromOverlayd {
    let question = Question { source: Mac([2; 6]), destination: Mac([4; 6]), ethertype: 0x0800, vlan: None, len: 60 };
    let (request, device, vni) = (RequestId(request), DeviceId(device), "7".parse().unwrap());
    FromOverlayd::Lookup(Lookup { request, device, vni, question, frame: vec![0; 60] })
}

fn answered(request: u64, text: &str) -> FromVarpd {
    FromVarpd::Answer(RequestId(request), Answer::Resend(text.as_bytes().to_vec()))
}

fn dropped(request: u64, ttl_ns: Option<u64>) -> FromVarpd {
    FromVarpd::Answer(RequestId(request), Answer::Drop { ttl_ns })
}

fn state(device: u32, reason: Option<&str>) -> FromVarpd {
    FromVarpd::State { device: DeviceId(device), degraded: reason.map(str::to_owned) }
}

#[test]
fn an_instance_is_asked_between_its_start_and_its_end() {
    let mut world = World::new();
    assert_eq!(world.hear(instance(1, "a", "x")), [state(1, None)]);
    assert_eq!(world.hear(lookup(9, 1)), [answered(9, "x")]);
    let vnic = VnicInfo { device: DeviceId(1), name: "v0".parse().unwrap(), mac: Mac([2; 6]), addresses: vec![] };
    world.hear(FromOverlayd::VnicAdded(vnic.clone()));
    world.hear(FromOverlayd::VnicRemoved(vnic));
    assert_eq!(world.hear(FromOverlayd::InstanceRemoved(DeviceId(1))), []);
    // It was on its way when the overlay went.
    assert_eq!(world.hear(lookup(10, 1)), [dropped(10, Some(0))]);
    assert_eq!(world.story.take(), ["start a x", "toy a: Started", "vnic v0 true", "vnic v0 false", "toy a: Stopped", "end x"]);
}

#[test]
fn a_new_connection_finds_the_instances_of_the_old_one() {
    let mut world = World::new();
    for (device, name) in [(1, "a"), (2, "b"), (3, "c")] {
        world.hear(instance(device, name, "x"));
    }
    world.story.hosts.lock().unwrap()[0].degrade(Some("a has a cold".to_owned()));
    world.story.take();
    let before = Arc::clone(&world.heard);
    before.take();
    world.connect();
    // Between two connections: nobody hears it, whatever number it would have had.
    world.story.hosts.lock().unwrap()[1].flush();
    let mut new = told(1, "b", "x");
    new.vnics.push(VnicInfo { device: DeviceId(1), name: "v0".parse().unwrap(), mac: Mac([2; 6]), addresses: vec![] });
    // The same but for its number and a VNIC; with other properties; not told any more.
    assert_eq!(world.hear(FromOverlayd::Instance(new)), [state(1, None)], "good as ever: overlayd may have doubted it");
    assert_eq!(world.hear(instance(2, "a", "x")), [state(2, Some("a has a cold"))]);
    assert_eq!(world.hear(FromOverlayd::Complete), []);
    assert_eq!(world.story.take(), ["vnic v0 true", "toy c: Stopped", "end x"]);
    assert_eq!((world.hear(lookup(1, 1)), world.hear(lookup(2, 2))), (vec![answered(1, "x")], vec![answered(2, "x")]));
    world.story.hosts.lock().unwrap()[1].flush();
    assert_eq!((world.heard.take(), before.take()), (vec![FromVarpd::TargetFlush(DeviceId(1))], vec![]));
    // What the old one answered is to be asked for anew.
    assert_eq!(world.hear(instance(1, "b", "y")), [FromVarpd::TargetFlush(DeviceId(1)), state(1, None)]);
    assert_eq!(world.story.take(), ["toy b: Stopped", "end x", "start b y", "toy b: Started"], "the old one ends first");
}

#[test]
fn an_answer_goes_to_the_connection_that_asked_or_nowhere() {
    let mut world = World::new();
    world.hear(instance(1, "a", "hold"));
    world.hear(lookup(5, 1));
    let before = Arc::clone(&world.heard);
    world.connect();
    world.hear(instance(1, "a", "hold"));
    world.hear(lookup(5, 1));
    let held = std::mem::take(&mut *world.story.held.lock().unwrap());
    // The older first: taken for the newer one's, it would answer another question.
    for (number, reply) in held.into_iter().enumerate() {
        reply.answer(Answer::Inject(vec![number as u8]));
    }
    let inject = |number| vec![FromVarpd::Answer(RequestId(5), Answer::Inject(vec![number]))];
    assert_eq!((before.take(), world.heard.take()), (inject(0), inject(1)));
}

#[test]
fn a_lookup_that_is_lost_is_dropped_and_counted() {
    let mut world = World::new();
    world.hear(instance(1, "a", "lose"));
    assert_eq!(world.hear(lookup(1, 1)), [dropped(1, None)]);
    let counters = |world: &World| {
        let running = world.instances.get(&"a".parse().unwrap()).unwrap();
        let counters = running.host().counters();
        [&counters.lookups, &counters.missing, &counters.abandoned, &counters.dropped].map(|counter| counter.load(Relaxed))
    };
    assert_eq!(counters(&world), [1, 1, 0, 0]);
    world.hear(instance(1, "a", "hold"));
    world.hear(lookup(2, 1));
    // On purpose: overlayd goes on with what it knows.
    world.story.held.lock().unwrap().pop().unwrap().abandon();
    assert_eq!((world.heard.take(), counters(&world)), (vec![], [1, 0, 1, 0]));
}

#[test]
fn lookups_wait_for_the_start_and_for_no_other() {
    let mut world = World::new();
    world.hear(instance(2, "b", "y"));
    let tasks = world.hear_only(instance(1, "a", "x"));
    assert_eq!(world.instances.iter().map(overlay_varpd::instances::Running::stage).collect::<Vec<_>>(), [Stage::Starting, Stage::Started]);
    for request in 1..=3 {
        assert_eq!(world.hear_only(lookup(request, 1)).len(), 0);
    }
    world.hear_only(FromOverlayd::Withdraw(RequestId(2)));
    assert_eq!((world.hear(lookup(4, 2)), world.story.take().pop()), (vec![answered(4, "y")], Some("toy b: Started".to_owned())));
    world.run(tasks);
    assert_eq!(world.heard.take(), [state(1, None), answered(1, "x"), answered(3, "x")]);
}

#[test]
fn a_flood_before_the_start_is_bounded() {
    let mut world = World::new();
    let tasks = world.hear_only(instance(1, "a", "x"));
    let all = WAITING_MAX as u64 + 100;
    for request in 1..=all {
        world.hear_only(lookup(request, 1));
    }
    world.run(tasks);
    let answers: Vec<_> = (101..=all).map(|request| answered(request, "x")).collect();
    assert!(world.heard.take()[1..] == answers, "the oldest are left to overlayd's time limit");
}

#[test]
fn what_changes_while_it_starts_starts_again() {
    let mut world = World::new();
    let first = world.hear_only(instance(1, "a", "x"));
    world.hear_only(lookup(1, 1));
    let second = world.hear_only(instance(1, "a", "y"));
    assert_eq!(world.heard.take(), [dropped(1, Some(0)), FromVarpd::TargetFlush(DeviceId(1))]);
    world.hear_only(lookup(2, 1));
    world.run(second);
    world.run(first);
    world.instances.run_tasks();
    assert_eq!(world.heard.take(), [state(1, None), answered(2, "y")]);
    assert_eq!(world.story.take()[..], ["toy a: Stopped", "start a y", "toy a: Started", "start a x", "end x"]);
    assert_eq!(world.hear(lookup(3, 1)), [answered(3, "y")]);
    // Gone before it was there.
    let third = world.hear_only(instance(1, "a", "z"));
    world.hear_only(FromOverlayd::InstanceRemoved(DeviceId(1)));
    world.run(third);
    world.instances.run_tasks();
    assert_eq!((world.instances.iter().count(), world.story.take().pop()), (0, Some("end z".to_owned())));
}

#[test]
fn what_does_not_start_is_degraded_and_answers_drop() {
    let mut world = World::new();
    assert_eq!(world.hear(instance(1, "a", "fail")), [state(1, Some("it failed"))]);
    assert_eq!(world.hear(lookup(1, 1)), [dropped(1, Some(0))]);
    let nearly = Instance { search: "toi".parse().unwrap(), ..told(2, "b", "x") };
    assert_eq!(world.hear(FromOverlayd::Instance(nearly)), [state(2, Some("there is no plugin toi; there are toy; did you mean toy?"))]);
    let bare = Instance { with_port: false, encapsulation: "nvgre".parse().unwrap(), ..told(3, "c", "x") };
    let why = "nvgre has destinations of an address alone; plugin toy has those of an address and a port";
    assert_eq!(world.hear(FromOverlayd::Instance(bare)), [state(3, Some(why))]);
    let unset = Instance { properties: BTreeMap::new(), ..told(4, "d", "x") };
    let why = "property toy/does: is required and not set; text of at most 9 bytes is allowed";
    assert_eq!(world.hear(FromOverlayd::Instance(unset)), [state(4, Some(why))]);
    // With properties that are good it starts; and overlayd hears that it is well.
    assert_eq!(world.hear(instance(4, "d", "x")), [FromVarpd::TargetFlush(DeviceId(4)), state(4, None)]);
    // And so does one that failed, when it is told once more.
    assert_eq!(world.hear(instance(1, "a", "fail")), [FromVarpd::TargetFlush(DeviceId(1)), state(1, Some("it failed"))]);
}

#[test]
fn vnics_that_come_and_go_while_it_starts_are_told_when_it_has() {
    let mut world = World::new();
    let mut new = told(1, "a", "x");
    new.vnics = vec![vnic("v0", 0), vnic("v1", 1)];
    let tasks = world.hear_only(FromOverlayd::Instance(new));
    world.hear_only(FromOverlayd::VnicRemoved(vnic("v0", 0)));
    world.hear_only(FromOverlayd::VnicAdded(vnic("v2", 2)));
    assert_eq!(world.story.take(), [""; 0]);
    world.run(tasks);
    assert_eq!(world.story.take(), ["start a x", "toy a: Started", "vnic v0 false", "vnic v2 true"]);
}

/// A VNIC without an address.
fn vnic(name: &str, last: u8) -> VnicInfo {
    VnicInfo { device: DeviceId(1), name: name.parse().unwrap(), mac: Mac([2, 0, 0, 0, 0, last]), addresses: vec![] }
}

#[test]
fn addresses_of_a_vnic_are_told_when_they_change() {
    let mut world = World::new();
    let with = |name: &str, last, ip: &str| VnicInfo { addresses: vec![ip.parse().unwrap()], ..vnic(name, last) };
    let mut new = told(1, "a", "x");
    new.vnics = vec![with("v0", 0, "192.168.0.1"), vnic("v1", 1)];
    let tasks = world.hear_only(FromOverlayd::Instance(new.clone()));
    // While it starts: told when it has. What is of no VNIC, or of one with another MAC, is of no use.
    world.hear_only(FromOverlayd::VnicChanged(with("v1", 1, "192.168.0.2")));
    world.hear_only(FromOverlayd::VnicChanged(with("v9", 9, "192.168.0.9")));
    world.hear_only(FromOverlayd::VnicChanged(with("v0", 7, "192.168.0.9")));
    world.run(tasks);
    assert_eq!(world.story.take(), ["start a x", "toy a: Started", "addresses v1 [192.168.0.2]"]);
    world.hear_only(FromOverlayd::VnicChanged(vnic("v0", 0)));
    assert_eq!(world.story.take(), ["addresses v0 []"]);
    // Told again as a whole, as overlayd does when it connects: what differs is told.
    new.vnics = vec![vnic("v0", 0), with("v1", 1, "192.168.0.3")];
    world.hear(FromOverlayd::Instance(new));
    assert_eq!(world.story.take(), ["addresses v1 [192.168.0.3]"]);
}

#[test]
fn a_stopped_instance_has_nothing_more_to_say() {
    let mut world = World::new();
    world.hear(instance(1, "a", "x"));
    world.hear(instance(1, "a", "y"));
    world.story.take();
    world.heard.take();
    let host = world.story.hosts.lock().unwrap()[0].clone();
    host.degrade(Some("it still runs".to_owned()));
    host.changed(3);
    host.flush();
    assert_eq!((world.story.take(), world.heard.take(), host.degraded()), (vec![], vec![], None));
}

#[test]
fn a_reply_knows_whether_anybody_hears_it_and_keeps_no_connection() {
    let mut world = World::new();
    world.hear(instance(1, "a", "hold"));
    world.hear(lookup(5, 1));
    let reply = world.story.held.lock().unwrap().pop().unwrap();
    assert!(reply.is_heard());
    let before = Arc::downgrade(&world.heard);
    world.connect();
    assert!(!reply.is_heard() && before.upgrade().is_none());
    reply.answer(Answer::Drop { ttl_ns: None });
    assert_eq!(world.heard.take(), []);
}

#[test]
fn a_state_is_said_once() {
    let mut world = World::new();
    world.hear(instance(1, "a", "x"));
    let host = world.story.hosts.lock().unwrap()[0].clone();
    for reason in [None, Some("why"), Some("why"), Some("other"), None, None] {
        host.degrade(reason.map(str::to_owned));
    }
    assert_eq!(world.heard.take(), [state(1, Some("why")), state(1, Some("other")), state(1, None)]);
}

#[test]
fn a_question_before_the_overlay_is_there_is_urgent_and_answered() {
    let mut world = World::new();
    let ask = |token, does| FromOverlayd::Verify(Request { token, instance: told(0, "a", does) });
    let tasks = world.hear_only(ask(1, "fail"));
    assert!(tasks.len() == 1 && tasks[0].is_urgent());
    world.run(tasks);
    let verified = |token, problem: Option<&str>| FromVarpd::Verified(Verified { token, problem: problem.map(str::to_owned) });
    assert_eq!(world.heard.take(), [verified(1, Some("it would fail"))]);
    assert_eq!(world.hear(ask(2, "x")), [verified(2, None)]);
    let too_long = "property toy/does: \"too long by far\" is not allowed; text of at most 9 bytes is";
    assert_eq!(world.hear(ask(3, "too long by far")), [verified(3, Some(too_long))]);
    assert_eq!(world.instances.iter().count(), 0);
}
