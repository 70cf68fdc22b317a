//! A varpd that says what a test wants it to say, and remembers what it was told.

use crate::daemon::{CEILING, Daemon, link};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use overlay_api::Answer;
use overlay_api::channel::{FromOverlayd, FromVarpd, Hello, Instance, PACKET_MAX, Packets, VERSION, Welcome, questions};
use overlay_api::control::{NewOverlay, Overlay};
use overlay_api::{Lookup, RequestId};
use overlay_client::ClientError;
use overlay_decoder::Mac;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The plugin that a test's varpd has.
pub(crate) const PLUGINS: &str = r#"[{"name":"script","properties":[
    {"name":"script/zone","type":"choice","words":["a","b"],"default":"a","doc":"Which."},
    {"name":"script/id","type":"uint","min":1,"max":9,"required":true}]}]"#;

/// A connection to the lookup socket.
pub(crate) struct Answerer {
    stream: UnixStream,
    heard: VecDeque<FromOverlayd>,
}

impl Answerer {
    /// Connects, and says nothing.
    pub(crate) fn connect(daemon: &Daemon) -> Self {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        let address = UnixAddr::new(&daemon.paths.lookup_socket()).expect("an address");
        connect(fd.as_raw_fd(), &address).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
        Self { stream: UnixStream::from(fd), heard: VecDeque::new() }
    }

    /// Connects and says hello; what it is told until all instances are told.
    pub(crate) fn attach(daemon: &Daemon) -> (Self, Vec<Instance>) {
        let mut answerer = Self::connect(daemon);
        answerer.say([hello(&[VERSION])]);
        let welcome = answerer.hear();
        assert!(matches!(welcome, Some(FromOverlayd::Welcome(Welcome { version: VERSION, silence_ms: 3000, .. }))), "{welcome:?}");
        let mut instances = Vec::new();
        loop {
            match answerer.hear() {
                Some(FromOverlayd::Instance(instance)) => instances.push(instance),
                Some(FromOverlayd::Complete) => return (answerer, instances),
                other => panic!("{other:?}\n{}", daemon.log()),
            }
        }
    }

    /// All of it in as few packets as it fits.
    pub(crate) fn say(&self, messages: impl IntoIterator<Item = FromVarpd>) {
        let mut packets = Packets::new();
        for message in messages {
            assert!(packets.say(&message), "{message:?} fits a packet");
        }
        while let Some(packet) = packets.pop() {
            self.send(&packet);
        }
    }

    /// Any bytes as one packet.
    pub(crate) fn send(&self, packet: &[u8]) {
        (&self.stream).write_all(packet).expect("overlayd reads");
    }

    pub(crate) fn answer(&self, request: RequestId, answer: Answer) {
        self.say([FromVarpd::Answer(request, answer)]);
    }

    /// The next message; none if overlayd has hung up. Pings are answered, and no message of their own.
    pub(crate) fn hear(&mut self) -> Option<FromOverlayd> {
        self.hear_within(CEILING).expect("something is said")
    }

    /// The same; an error if nothing is said for so long.
    pub(crate) fn hear_within(&mut self, ceiling: Duration) -> Result<Option<FromOverlayd>, ()> {
        let deadline = Instant::now() + ceiling;
        loop {
            match self.heard.pop_front() {
                Some(FromOverlayd::Ping(token)) => self.say([FromVarpd::Pong(token)]),
                Some(message) => return Ok(Some(message)),
                None => {
                    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                    self.stream.set_read_timeout(Some(left)).expect("a timeout");
                    let mut packet = vec![0; PACKET_MAX];
                    match self.stream.read(&mut packet) {
                        Ok(0) => return Ok(None),
                        Ok(length) => {
                            self.heard.extend(questions(&packet[..length]).map(|message| message.expect("overlayd speaks the protocol")))
                        }
                        Err(_) if Instant::now() >= deadline => return Err(()),
                        Err(_) => {}
                    }
                }
            }
        }
    }

    /// Waits until `wanted` finds what it looks for; what is said meanwhile is lost.
    pub(crate) fn until<T>(&mut self, what: &str, wanted: impl Fn(FromOverlayd) -> Option<T>) -> T {
        let deadline = Instant::now() + CEILING;
        while let Some(message) = self.hear() {
            if let Some(found) = wanted(message) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited for {what}");
        }
        panic!("waited for {what}, and overlayd hung up");
    }

    /// The next lookup of frames to `destination`.
    pub(crate) fn lookup(&mut self, destination: Mac) -> Lookup {
        self.until("a lookup", |message| match message {
            FromOverlayd::Lookup(lookup) if lookup.question.destination == destination => Some(lookup),
            _ => None,
        })
    }

    /// What overlayd says before it hangs up.
    pub(crate) fn refused(mut self) -> String {
        let why = self.until("a refusal", |message| match message {
            FromOverlayd::Refused(why) => Some(why),
            _ => None,
        });
        assert_eq!(self.hear(), None, "nothing follows");
        why
    }
}

/// A greeting with [`PLUGINS`].
pub(crate) fn hello(versions: &[u32]) -> FromVarpd {
    let plugins = serde_json::from_str(PLUGINS).expect("plugins");
    FromVarpd::Hello(Hello { versions: versions.to_vec(), name: "scripted".into(), version: "7".into(), plugins })
}

/// A dynamic VXLAN of 1450 bytes, or why there is none.
pub(crate) fn dynamic(
    daemon: &Daemon,
    name: &str,
    vni: u32,
    listen: IpAddr,
    search: &str,
    own: &[(&str, &str)],
) -> Result<Overlay, ClientError> {
    let listen = listen.to_string();
    let properties = [("vxlan/listen_ip", &*listen), ("mtu", "1450")].into_iter().chain(own.iter().copied());
    daemon.client.create_overlay(&NewOverlay {
        name: link(name),
        encapsulation: "vxlan".parse().expect("a module"),
        search: search.parse().expect("a module"),
        vnetid: vni.to_string().parse().expect("a VNI"),
        properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        temporary: false,
    })
}
