//! A mapping file is written, replaced, broken and taken away; the plugin's answers and what overlayd is told follow.

use super::*;
use overlay_api::channel::{FromOverlayd, FromVarpd};
use overlay_api::{Answer, DeviceId, Question, RequestId};
use overlay_decoder::{Mac, Ul3};
use overlay_varpd::instances::Instances;
use overlay_varpd::plugin::Outlet;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The promise is a second; a busy machine gets more.
const CEILING: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Heard(Mutex<Vec<FromVarpd>>);

impl Outlet for Heard {
    fn say(&self, message: FromVarpd) {
        self.0.lock().unwrap().push(message);
    }
}

/// An instance of the plugin on a file of its own.
struct World {
    instances: Instances,
    heard: Arc<Heard>,
    folder: tempfile::TempDir,
    asked: u64,
}

fn mac(last: u8) -> Mac {
    Mac([2, 8, 32, 10, 0, last])
}

fn ul3(text: &str) -> Ul3 {
    text.parse().unwrap()
}

fn entry(last: u8, ip: &str) -> String {
    format!("\"2:8:20:a:0:{last:x}\": {{\"ip\": \"{ip}\", \"port\": 4789}}")
}

impl World {
    /// With this in the file; without one if there is nothing.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let heard = Arc::new(Heard::default());
        let mut instances = Instances::new(vec![Arc::new(Files::start().unwrap())], Arc::new(()));
        instances.connected(Arc::<Heard>::clone(&heard));
        let mut world = Self { instances, heard, folder, asked: 0 };
        if !text.is_empty() {
            fs::write(world.path(), text).unwrap();
        }
        world.instances.hear(FromOverlayd::Instance(world.instance()));
        world.instances.run_tasks();
        world
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("map.json")
    }

    fn instance(&self) -> Instance {
        Instance {
            device: DeviceId(1),
            name: "ov0".parse().unwrap(),
            search: "files".parse().unwrap(),
            encapsulation: "vxlan".parse().unwrap(),
            with_port: true,
            vnetid: "77".parse().unwrap(),
            mtu: 1450,
            ul3: None,
            properties: BTreeMap::from([(CONFIG.to_owned(), self.path().display().to_string())]),
            vnics: Vec::new(),
        }
    }

    /// Takes another file's place in one step.
    fn replace(&self, text: &str) {
        let beside = self.folder.path().join("beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path()).unwrap();
    }

    fn ask(&mut self, destination: Mac) {
        self.asked += 1;
        let question = Question { source: mac(1), destination, ethertype: 0x0800, vlan: None, len: 60 };
        let frame = [&destination.0[..], &mac(1).0, &[8, 0]].concat();
        let (request, device, vni) = (RequestId(self.asked), DeviceId(1), "77".parse().unwrap());
        self.instances.hear(FromOverlayd::Lookup(Lookup { request, device, vni, question, frame }));
    }

    fn answer(&mut self, destination: Mac) -> Answer {
        self.ask(destination);
        let asked = self.asked;
        let answers = self.take(|message| matches!(message, FromVarpd::Answer(request, _) if request.0 == asked));
        match &answers[..] {
            [FromVarpd::Answer(_, answer)] => answer.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn reach(to: &str) -> Answer {
        Answer::Reach { to: vec![ul3(to)], ttl_ns: None }
    }

    /// What was said of this kind, and is forgotten.
    fn take(&self, wanted: impl Fn(&FromVarpd) -> bool) -> Vec<FromVarpd> {
        let mut heard = self.heard.0.lock().unwrap();
        let (taken, left) = heard.drain(..).partition(|message| wanted(message));
        *heard = left;
        taken
    }

    /// Waits for something to be said.
    fn wait(&self, wanted: impl Fn(&FromVarpd) -> bool) -> FromVarpd {
        let begun = Instant::now();
        loop {
            if let Some(message) = self.take(&wanted).pop() {
                return message;
            }
            assert!(begun.elapsed() < CEILING, "not said: {:?}", self.heard.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_state(&self) -> Option<String> {
        match self.wait(|message| matches!(message, FromVarpd::State { .. })) {
            FromVarpd::State { degraded, .. } => degraded,
            other => panic!("{other:?}"),
        }
    }

    fn reload(&self) -> Result<(), String> {
        self.instances.get(&"ov0".parse().unwrap()).unwrap().answerer().unwrap().reload()
    }
}

#[test]
fn a_moved_destination_is_told_and_no_other() {
    let mut world = World::new(&format!("{{{}, {}, {}}}", entry(1, "10.0.0.1"), entry(2, "10.0.0.2"), entry(3, "10.0.0.3")));
    assert_eq!(world.wait_state(), None);
    for (last, answer) in [(2, World::reach("10.0.0.2:4789")), (3, World::reach("10.0.0.3:4789")), (4, Answer::Drop { ttl_ns: None })] {
        assert_eq!(world.answer(mac(last)), answer);
    }
    // 1 was never asked for, and moves, too.
    world.replace(&format!("{{{}, {}, {}}}", entry(1, "10.0.0.9"), entry(2, "10.0.0.9"), entry(4, "10.0.0.4")));
    world.wait(|message| *message == FromVarpd::TargetInvalidate { device: DeviceId(1), mac: mac(4) });
    let told = world.take(|message| !matches!(message, FromVarpd::Answer(..)));
    let device = DeviceId(1);
    let moved = FromVarpd::TargetSet { device, mac: mac(2), to: vec![ul3("10.0.0.9:4789")], ttl_ns: None };
    assert_eq!(told, [moved, FromVarpd::TargetInvalidate { device, mac: mac(3) }]);
    assert_eq!((world.answer(mac(4)), world.answer(mac(3))), (World::reach("10.0.0.4:4789"), Answer::Drop { ttl_ns: None }));
}

#[test]
fn a_broken_file_is_reported_with_line_and_key_and_the_mapping_of_before_stays() {
    let mut world = World::new(&format!("{{{}}}", entry(2, "10.0.0.2")));
    assert_eq!(world.wait_state(), None);
    world.replace("{\n  \"2:8:20:a:0:2\": {\"ip\": \"10.0.0.2\", \"port\": 0}}");
    let path = world.path().display().to_string();
    let problem = format!("{path}:2:46: 2:8:20:a:0:2.port: the number 0 is not allowed; a whole number 1-65535 is");
    let reason = format!("{problem}; the mapping of before stays in use (1 entries)");
    assert_eq!(world.wait_state(), Some(reason.clone()));
    assert_eq!(world.answer(mac(2)), World::reach("10.0.0.2:4789"));
    assert_eq!(world.reload(), Err(reason));
    // Without a port it parses, and is none for this encapsulation.
    world.replace("{\"2:8:20:a:0:2\": {\"ip\": \"10.0.0.2\"}}");
    assert!(world.wait_state().unwrap().contains(":1:2: 02:08:20:0a:00:02.port: 10.0.0.2 has no port"));
    fs::remove_file(world.path()).unwrap();
    assert!(world.wait_state().unwrap().contains("cannot be read: No such file"));
    fs::write(world.path(), format!("{{{}}}", entry(2, "10.0.0.3"))).unwrap();
    assert_eq!(world.wait_state(), None);
    assert_eq!((world.answer(mac(2)), world.reload()), (World::reach("10.0.0.3:4789"), Ok(())));
}

#[test]
fn lookups_wait_for_a_file_that_comes_later() {
    let mut world = World::new("");
    assert!(world.wait_state().unwrap().ends_with("No such file or directory (os error 2); there is no mapping to answer from"));
    world.ask(mac(2));
    // More than can wait: the oldest is left to overlayd's time limit.
    for _ in 0..1024 {
        world.ask(mac(3));
    }
    assert_eq!(world.take(|_| true), []);
    fs::write(world.path(), format!("{{{}}}", entry(3, "10.0.0.3"))).unwrap();
    assert_eq!(world.wait_state(), None);
    let answers = world.take(|_| true);
    let expected: Vec<_> = (2..=1025).map(|request| FromVarpd::Answer(RequestId(request), World::reach("10.0.0.3:4789"))).collect();
    assert!(answers == expected, "{} answers", answers.len());
}

#[test]
fn lookups_of_a_connection_that_has_ended_do_not_wait() {
    let mut world = World::new("");
    world.ask(mac(2));
    world.ask(mac(3));
    world.heard = Arc::default();
    world.instances.connected(Arc::<Heard>::clone(&world.heard));
    world.instances.hear(FromOverlayd::Instance(world.instance()));
    world.ask(mac(3));
    let running = world.instances.get(&"ov0".parse().unwrap()).unwrap();
    let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let counters = running.host().counters();
    assert_eq!((counted(&counters.lookups), counted(&counters.abandoned)), (3, 2));
    fs::write(world.path(), format!("{{{}}}", entry(3, "10.0.0.3"))).unwrap();
    world.wait(|message| *message == FromVarpd::Answer(RequestId(3), World::reach("10.0.0.3:4789")));
}

#[test]
fn a_file_is_followed_however_it_changes() {
    let mut world = World::new(&format!("{{{}}}", entry(2, "10.0.0.1")));
    let mut number = 1;
    let mut changes = |world: &mut World, how: &str, change: &dyn Fn(&World, &str)| {
        assert_eq!(world.answer(mac(2)), World::reach(&format!("10.0.0.{number}:4789")), "{how}");
        number += 1;
        change(world, &format!("{{{}}}", entry(2, &format!("10.0.0.{number}"))));
        let moved = world.wait(|message| matches!(message, FromVarpd::TargetSet { .. }));
        let to = vec![ul3(&format!("10.0.0.{number}:4789"))];
        assert_eq!(moved, FromVarpd::TargetSet { device: DeviceId(1), mac: mac(2), to, ttl_ns: None }, "{how}");
    };
    changes(&mut world, "written over", &|world, text| fs::write(world.path(), text).unwrap());
    changes(&mut world, "of the same size, at once", &|world, text| fs::write(world.path(), text).unwrap());
    changes(&mut world, "renamed", &|world, text| world.replace(text));
    changes(&mut world, "removed and made", &|world, text| {
        fs::remove_file(world.path()).unwrap();
        fs::write(world.path(), text).unwrap();
    });
    let link = |from: &Path, to: &Path| std::os::unix::fs::symlink(from, to).unwrap();
    // As Kubernetes has it: map.json -> ..data/map.json, ..data -> a directory that is another one each time.
    changes(&mut world, "made a link", &|world, text| {
        let folder = world.folder.path();
        fs::create_dir(folder.join("..1")).unwrap();
        fs::write(folder.join("..1/map.json"), text).unwrap();
        link(Path::new("..1"), &folder.join("..data"));
        link(Path::new("..data/map.json"), &folder.join("beside"));
        fs::rename(folder.join("beside"), world.path()).unwrap();
    });
    changes(&mut world, "a link on the way is another one", &|world, text| {
        let folder = world.folder.path();
        fs::create_dir(folder.join("..2")).unwrap();
        fs::write(folder.join("..2/map.json"), text).unwrap();
        link(Path::new("..2"), &folder.join("..tmp"));
        fs::rename(folder.join("..tmp"), folder.join("..data")).unwrap();
        fs::remove_dir_all(folder.join("..1")).unwrap();
    });
    // None of it was ever bad.
    let states = world.take(|message| matches!(message, FromVarpd::State { .. }));
    assert!(states.iter().all(|state| matches!(state, FromVarpd::State { degraded: None, .. })), "{states:?}");
}

#[test]
fn what_cannot_be_a_mapping_file_is_refused_with_a_sentence() {
    let world = World::new("{}");
    let files = Files::start().unwrap();
    let verify = |path: &str| {
        let instance = Instance { properties: BTreeMap::from([(CONFIG.to_owned(), path.to_owned())]), ..world.instance() };
        files.verify(&instance).unwrap_err()
    };
    let path = world.path().display().to_string();
    assert_eq!(files.verify(&world.instance()), Ok(()));
    assert!(verify("map.json").starts_with("property files/config: \"map.json\" is not allowed; an absolute path is"));
    assert!(verify("/nowhere/map.json").starts_with("/nowhere/map.json: cannot be read: No such file"));
    let folder = world.folder.path().display().to_string();
    assert_eq!(verify(&folder), format!("{folder}: is no regular file; a file of JSON is allowed"));
    let fifo = world.folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(verify(&fifo.display().to_string()).ends_with("is no regular file; a file of JSON is allowed"));
    fs::write(world.path(), b"{\n \"\xff\": 1}").unwrap();
    assert_eq!(verify(&path), format!("{path}:2:3: is not UTF-8; JSON has to be"));
    fs::File::create(world.path()).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(verify(&path), format!("{path}: has 104857600 bytes; at most 67108864 are allowed"));
}

#[test]
fn instances_of_one_file_read_it_once_each_for_its_encapsulation() {
    let mut world = World::new(&format!("{{{}}}", entry(2, "10.0.0.2")));
    let bare = Instance {
        device: DeviceId(2),
        name: "ov1".parse().unwrap(),
        encapsulation: "nvgre".parse().unwrap(),
        with_port: false,
        ..world.instance()
    };
    assert_eq!(world.wait_state(), None);
    world.instances.hear(FromOverlayd::Instance(bare));
    world.instances.run_tasks();
    assert!(world.wait_state().unwrap().contains("10.0.0.2:4789 has a port; the device's encapsulation has none"));
    assert_eq!(world.answer(mac(2)), World::reach("10.0.0.2:4789"));
    world.instances.hear(FromOverlayd::InstanceRemoved(DeviceId(1)));
    world.instances.run_tasks();
    world.replace("{\"2:8:20:a:0:2\": {\"ip\": \"10.0.0.2\"}}");
    assert_eq!(world.wait_state(), None);
    assert_eq!(world.instances.iter().count(), 1);
}
