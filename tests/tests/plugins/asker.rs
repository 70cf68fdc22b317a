//! An overlayd that asks what a test wants to know, and a varpd of its own that answers.

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use overlay_api::channel::{FromOverlayd, FromVarpd, Hello, Instance, PACKET_MAX, Packets, VERSION, VnicInfo, Welcome, answers};
use overlay_api::control::InstanceStatus;
use overlay_api::{Answer, DeviceId, Lookup, Paths, Question, RequestId};
use overlay_client::VarpdClient;
use overlay_decoder::{Mac, Vni};
use overlay_tests::{Ended, Run, Running, program};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far more than an answer takes, also on a busy machine.
const CEILING: Duration = Duration::from_secs(30);

/// The virtual network of all overlays here.
pub(crate) const VNI: u32 = 77;

/// Both.
pub(crate) struct Asker {
    /// What `--root` says; the plugins are in it.
    pub(crate) root: TempDir,
    listener: UnixListener,
    stream: Option<UnixStream>,
    heard: VecDeque<FromVarpd>,
    /// What varpd said of itself.
    pub(crate) hello: Option<Hello>,
    varpd: Option<Running>,
    flags: Vec<String>,
    devices: u32,
    requests: u64,
}

impl Asker {
    /// Listens; `fill` puts plugins into the folder.
    pub(crate) fn listening(fill: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).expect("rights");
        let paths = Paths::under(root.path());
        for folder in [paths.run(), paths.plugins()] {
            std::fs::create_dir_all(&folder).expect("a folder");
        }
        for above in paths.plugins().ancestors().take_while(|above| *above != root.path()) {
            std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o755)).expect("rights");
        }
        fill(&paths.plugins());
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        bind(listener.as_raw_fd(), &UnixAddr::new(&paths.lookup_socket()).expect("an address")).expect("a socket");
        listen(&listener, Backlog::new(4).expect("a number")).expect("a socket");
        let (heard, flags) = (VecDeque::new(), Vec::new());
        Self { root, listener: listener.into(), stream: None, heard, hello: None, varpd: None, flags, devices: 0, requests: 0 }
    }

    /// With a varpd that has said hello.
    pub(crate) fn start(flags: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let mut asker = Self::listening(fill);
        asker.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        asker.start_varpd();
        asker
    }

    /// Starts a varpd and hears its hello.
    pub(crate) fn start_varpd(&mut self) {
        let root = self.root.path().display().to_string();
        self.start_program(Run::new(program("varpd")).args(["--root", &*root]).args(&self.flags).env("NO_COLOR", "1"));
    }

    /// The same with another program that connects.
    pub(crate) fn start_program(&mut self, run: Run) {
        self.varpd = Some(run.start());
        self.accept();
    }

    /// Waits for the end of varpd.
    pub(crate) fn end(&mut self) -> Ended {
        self.stream = None;
        self.varpd.take().expect("a varpd was started").end_with_open_input()
    }

    /// kill -9 of varpd.
    pub(crate) fn kill(&mut self) {
        let varpd = self.varpd.take().expect("a varpd was started");
        varpd.signal("KILL");
        let ended = varpd.end_with_open_input();
        assert_eq!(ended.code, -9, "{}", ended.stderr);
    }

    /// Whoever connects is the varpd that is asked.
    pub(crate) fn accept(&mut self) {
        // What a listener of the standard library accepts has the type of its socket, whatever that is.
        let (stream, _) = self.listener.accept().expect("somebody connects");
        self.heard.clear();
        self.stream = Some(stream);
        match self.hear() {
            FromVarpd::Hello(hello) => self.hello = Some(hello),
            other => panic!("{other:?}"),
        }
        let welcome = Welcome { version: VERSION, overlayd: "test".to_owned(), timeout_ms: 60_000, silence_ms: 60_000 };
        self.say([FromOverlayd::Welcome(welcome), FromOverlayd::Complete]);
    }

    /// varpd's process.
    pub(crate) fn varpd(&mut self) -> &mut Running {
        self.varpd.as_mut().expect("a varpd was started")
    }

    /// Waits until varpd has logged something.
    pub(crate) fn wait_log(&mut self, words: &str) -> String {
        self.varpd().wait_for_message(words, |log| log.contains(words))
    }

    /// What varpd has logged.
    pub(crate) fn log(&mut self) -> String {
        self.varpd().wait_for_message("a line", |log| log.contains("ready: "))
    }

    pub(crate) fn say(&self, messages: impl IntoIterator<Item = FromOverlayd>) {
        let mut packets = Packets::new();
        for message in messages {
            assert!(packets.ask(&message), "{message:?} fits a packet");
        }
        while let Some(packet) = packets.pop() {
            let mut stream = self.stream.as_ref().expect("a varpd is there");
            stream.write_all(&packet).expect("varpd reads");
        }
    }

    /// The next message.
    pub(crate) fn hear(&mut self) -> FromVarpd {
        let begun = Instant::now();
        loop {
            if let Some(message) = self.heard.pop_front() {
                return message;
            }
            assert!(begun.elapsed() < CEILING, "varpd says nothing: {}", self.varpd.as_mut().map(all_said).unwrap_or_default());
            let mut stream = self.stream.as_ref().expect("a varpd is there");
            stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
            let mut packet = vec![0; PACKET_MAX];
            match stream.read(&mut packet) {
                Ok(0) => panic!("varpd hung up: {}", self.varpd.as_mut().map(all_said).unwrap_or_default()),
                Ok(length) => self.heard.extend(answers(&packet[..length]).map(|message| message.expect("varpd speaks the protocol"))),
                Err(_) => {}
            }
        }
    }

    /// The state of an overlay's instance that is said next; all else is passed over.
    pub(crate) fn hear_state(&mut self, of: DeviceId) -> Option<String> {
        loop {
            if let FromVarpd::State { device, degraded } = self.hear()
                && device == of
            {
                return degraded;
            }
        }
    }

    /// Makes an overlay with a plugin.
    pub(crate) fn tell(&mut self, plugin: &str, properties: &[(&str, &str)]) -> DeviceId {
        self.devices += 1;
        let device = DeviceId(self.devices);
        self.say([FromOverlayd::Instance(instance(device, plugin, properties))]);
        device
    }

    /// Tells an overlay to another varpd.
    pub(crate) fn tell_again(&mut self, plugin: &str, device: DeviceId, properties: &[(&str, &str)]) {
        self.say([FromOverlayd::Instance(instance(device, plugin, properties))]);
    }

    /// The same, and waits until it is well.
    pub(crate) fn tell_well(&mut self, plugin: &str, properties: &[(&str, &str)]) -> DeviceId {
        let device = self.tell(plugin, properties);
        // Where the machine is slow, it says first that it has not started yet.
        while self.hear_state(device).is_some() {}
        device
    }

    /// Asks about a frame; the number of the question.
    pub(crate) fn ask(&mut self, device: DeviceId, frame: Vec<u8>) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.say([FromOverlayd::Lookup(lookup(request, device, frame))]);
        request
    }

    /// The answer to a question; states and the answers to others are passed over.
    pub(crate) fn answer_to(&mut self, request: RequestId) -> Answer {
        loop {
            match self.hear() {
                FromVarpd::Answer(answered, answer) if answered == request => return answer,
                FromVarpd::Answer(..) | FromVarpd::State { .. } => {}
                other => panic!("{other:?}: not asked"),
            }
        }
    }

    /// The next answer to whatever question.
    pub(crate) fn next_answer(&mut self) -> (RequestId, Answer) {
        loop {
            if let FromVarpd::Answer(request, answer) = self.hear() {
                return (request, answer);
            }
        }
    }

    /// Asks and hears.
    pub(crate) fn asked(&mut self, device: DeviceId, frame: Vec<u8>) -> Answer {
        let request = self.ask(device, frame);
        self.answer_to(request)
    }

    /// What varpd says of an instance.
    pub(crate) fn status(&self, device: DeviceId) -> InstanceStatus {
        let name = name(device).parse().expect("a name");
        VarpdClient::new(&Paths::under(self.root.path())).instance(&name).expect("an instance")
    }
}

impl Drop for Asker {
    /// The world, where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            overlay_tests::say(&self.varpd.as_mut().map(all_said).unwrap_or_default());
        }
    }
}

fn all_said(varpd: &mut Running) -> String {
    varpd.wait_for_message("anything", |_| true)
}

/// What overlayd says of an overlay.
pub(crate) fn instance(device: DeviceId, plugin: &str, properties: &[(&str, &str)]) -> Instance {
    Instance {
        device,
        name: name(device).parse().expect("a name"),
        search: plugin.parse().expect("a module"),
        encapsulation: "vxlan".parse().expect("a module"),
        with_port: true,
        vnetid: Vni::new(VNI).expect("24 bits"),
        mtu: 1450,
        ul3: None,
        properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        vnics: Vec::new(),
    }
}

/// An overlay's name.
pub(crate) fn name(device: DeviceId) -> String {
    format!("ov{device}")
}

/// A VNIC.
pub(crate) fn vnic(device: DeviceId, name: &str, mac: Mac) -> VnicInfo {
    VnicInfo { device, name: name.parse().expect("a name"), mac, addresses: Vec::new() }
}

/// A question about an untagged frame.
pub(crate) fn lookup(request: RequestId, device: DeviceId, frame: Vec<u8>) -> Lookup {
    let (destination, source) = (Mac(frame[..6].try_into().expect("six")), Mac(frame[6..12].try_into().expect("six")));
    let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
    let question = Question { source, destination, ethertype, vlan: None, len: frame.len() as u32 };
    Lookup { request, device, vni: Vni::new(VNI).expect("24 bits"), question, frame }
}

/// An empty IPv4 frame for a station.
pub(crate) fn frame_for(destination: Mac) -> Vec<u8> {
    let mut frame = [&destination.0[..], &[2, 0, 0, 0, 0, 0x99], &[8, 0]].concat();
    frame.resize(60, 0);
    frame
}

/// The same for one whose last byte says what is wanted.
pub(crate) fn frame_that(wants: u8) -> Vec<u8> {
    frame_for(Mac([2, 0, 0, 0, 0, wants]))
}
