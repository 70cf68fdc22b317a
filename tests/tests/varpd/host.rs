//! A host with overlayd and varpd, and the mapping file that both ends of an overlay have.

use crate::daemon::{CEILING, Daemon, link};
use overlay_api::EntryState;
use overlay_api::control::{InstanceState, InstanceStatus, NewOverlay, Overlay, OverlayState, TargetQuery};
use overlay_client::{ClientError, VarpdClient};
use overlay_lab::{Family, Join, Lab, Namespace, Node, Running, Signal, wait_until};
use overlay_tests::{program, say};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The virtual networks, and what they go over.
pub(crate) const NETWORKS: [(u32, Family); 2] = [(77, Family::V4), (78, Family::V6)];

/// Hosts without tunnels of the kernel, each with a tenant in each network.
pub(crate) fn lab(name: &str, hosts: u16, networks: &[(u32, Family)]) -> Lab {
    let mut builder = Lab::builder(name).hosts(hosts).join(Join::Switch);
    for (vni, _) in networks {
        let without = (1..=hosts).fold(overlay_lab::Overlay::vxlan(*vni), overlay_lab::Overlay::no_tunnel_on);
        builder = builder.overlay(without);
    }
    builder.build().expect("a lab comes up")
}

/// Where a host listens.
pub(crate) fn underlay(lab: &Lab, host: u16, family: Family) -> IpAddr {
    match family {
        Family::V4 => lab.host(host).ipv4().into(),
        Family::V6 => lab.host(host).ipv6().into(),
    }
}

/// The mapping of a network: the tenant of each host. `at` says on which host it is.
pub(crate) fn mapping(lab: &Lab, (vni, family): (u32, Family), hosts: u16, at: impl Fn(u16) -> u16) -> Map<String, Value> {
    let entry = |host| {
        let tenant = lab.tenant(host, vni, 1);
        let to = underlay(lab, at(host), family);
        (tenant.mac().to_owned(), json!({"ip": to, "port": 4789, "arp": tenant.ipv4(), "ndp": tenant.ipv6()}))
    };
    (1..=hosts).map(entry).collect()
}

/// A host of a lab; dropping it ends its daemons.
pub(crate) struct Host {
    pub(crate) overlayd: Daemon,
    pub(crate) varpd: VarpdClient,
    namespace: Namespace,
    running: Running,
}

impl Host {
    /// Starts both daemons.
    pub(crate) fn start(host: &Namespace) -> Self {
        let overlayd = Daemon::start(host);
        let running = run(host, overlayd.paths.root());
        let host = Self { varpd: VarpdClient::new(&overlayd.paths), overlayd, namespace: host.clone(), running };
        host.wait("varpd to be attached", || host.varpd.status().is_ok_and(|status| status.overlayd.connected));
        host
    }

    /// The file of a network.
    pub(crate) fn file(&self, vni: u32) -> PathBuf {
        self.overlayd.paths.root().join(format!("map{vni}.json"))
    }

    /// Puts a mapping into the place of the one before.
    pub(crate) fn map(&self, vni: u32, mapping: &Map<String, Value>) {
        self.write(vni, &format!("{:#}", Value::Object(mapping.clone())));
    }

    /// The same, whatever it is.
    pub(crate) fn write(&self, vni: u32, text: &str) {
        let beside = self.file(vni).with_extension("new");
        std::fs::write(&beside, text).expect("a file");
        std::fs::rename(beside, self.file(vni)).expect("a file");
    }

    /// Makes the overlay of a network; its mapping has to be there.
    pub(crate) fn overlay(&self, lab: &Lab, host: u16, network: (u32, Family)) -> Overlay {
        let config = self.file(network.0).display().to_string();
        let made = self.create(lab, host, network, &config);
        made.unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.overlayd.log(), self.log()))
    }

    /// The same with another file.
    pub(crate) fn create(&self, lab: &Lab, host: u16, network: (u32, Family), config: &str) -> Result<Overlay, ClientError> {
        create(&self.overlayd, lab, host, network, config)
    }

    /// What varpd says of an overlay's instance.
    pub(crate) fn instance(&self, vni: u32) -> InstanceStatus {
        self.varpd.instance(&link(&overlay(vni))).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// How overlayd says that an overlay is, and why.
    pub(crate) fn state(&self, vni: u32) -> (OverlayState, String) {
        let overlay = self.overlayd.client.overlay(&link(&overlay(vni))).unwrap_or_else(|error| panic!("{error}"));
        (overlay.state, overlay.reason.unwrap_or_default())
    }

    /// Waits until an overlay is as it should be, on both sides.
    pub(crate) fn wait_up(&self, vni: u32) {
        self.wait("the overlay", || {
            self.state(vni) == (OverlayState::Up, String::new())
                && self.varpd.instance(&link(&overlay(vni))).is_ok_and(|instance| instance.state == InstanceState::Up)
        });
    }

    /// Waits until overlayd says that an overlay is degraded, for a reason with these words.
    pub(crate) fn wait_degraded(&self, vni: u32, words: &str) -> String {
        self.wait(words, || matches!(self.state(vni), (OverlayState::Degraded, reason) if reason.contains(words)));
        self.state(vni).1
    }

    /// Sends varpd a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.running.signal(signal).expect("a process can be signalled");
    }

    /// kill -9 of varpd.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.running.wait(CEILING).expect("it ends");
    }

    /// Asks varpd to end, which it does with status 0.
    pub(crate) fn end(&mut self) {
        self.signal(Signal::TERM);
        let status = self.running.wait(CEILING).expect("it ends");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Starts another varpd.
    pub(crate) fn start_again(&mut self) {
        assert!(!self.running.is_running(), "the one before still runs");
        self.running = run(&self.namespace, self.overlayd.paths.root());
    }

    /// varpd's process.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// What varpd has said.
    pub(crate) fn log(&self) -> String {
        self.running.log()
    }

    /// Waits until overlayd has a destination in that state no longer: what varpd has revoked has arrived.
    pub(crate) fn wait_no_longer(&self, vni: u32, mac: &str, state: EntryState) {
        let name = overlay(vni).parse().expect("a name");
        let rows = || self.overlayd.client.targets(&name, &TargetQuery::default()).expect("a table").rows;
        self.wait("the table to forget", || rows().iter().all(|row| row.state != state || row.mac.to_string() != mac));
    }

    /// Waits for something to be so.
    pub(crate) fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        wait_until(what, CEILING, condition).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.overlayd.log(), self.log()));
    }
}

impl Drop for Host {
    /// The world, where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let instances = self.varpd.instances();
            say(&format!("varpd of {}: {instances:#?}\n{}", self.namespace.role(), self.log()));
        }
    }
}

fn run(host: &Namespace, root: &Path) -> Running {
    let root = root.display().to_string();
    let running = host.spawn(program("varpd"), ["--root", &*root]).expect("varpd can be started");
    running.wait_for_log("ready: ", CEILING).expect("varpd gets ready");
    running
}

/// Makes the overlay of a network.
pub(crate) fn create(daemon: &Daemon, lab: &Lab, host: u16, (vni, family): (u32, Family), config: &str) -> Result<Overlay, ClientError> {
    let listen = underlay(lab, host, family).to_string();
    let properties = [("vxlan/listen_ip", &*listen), ("files/config", config), ("mtu", "1430")];
    daemon.client.create_overlay(&NewOverlay {
        name: link(&overlay(vni)),
        encapsulation: "vxlan".parse().expect("a module"),
        search: "files".parse().expect("a module"),
        vnetid: vni.to_string().parse().expect("a VNI"),
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        temporary: false,
    })
}

/// The name of a network's overlay.
pub(crate) fn overlay(vni: u32) -> String {
    format!("ov{vni}")
}

/// Hosts with all networks and their tenants, up.
pub(crate) fn all_up(lab: &Lab, hosts: u16, networks: &[(u32, Family)]) -> Vec<Host> {
    let up = |number: u16| {
        let host = Host::start(lab.host(number));
        for network in networks {
            let vni = network.0;
            host.map(vni, &mapping(lab, *network, hosts, |host| host));
            host.overlay(lab, number, *network);
            host.overlayd.tenant(&format!("v{vni}"), &overlay(vni), lab.tenant(number, vni, 1));
            host.wait_up(vni);
        }
        host
    };
    (1..=hosts).map(up).collect()
}

/// Numbered datagrams, one each millisecond, which come back.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<u32>,
    receiving: JoinHandle<Vec<u32>>,
}

impl Flow {
    /// From a tenant to an echo server of another; begins when the first has come back.
    pub(crate) fn start(from: &Node, to: SocketAddr) -> Self {
        let local: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = from.enter(|| UdpSocket::bind(local)).expect("a namespace").expect("a socket");
        socket.connect(to).expect("a route");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        // The first one waits for lookups.
        wait_until("the first echo", CEILING, || {
            let _ = socket.send(&u32::MAX.to_be_bytes());
            socket.recv(&mut [0; 4]).is_ok()
        })
        .expect("an echo");
        let stop = Arc::new(AtomicBool::new(false));
        let (over, out) = (Arc::clone(&stop), socket.try_clone().expect("a socket"));
        let sending = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                out.send(&u32::to_be_bytes(number)).expect("a datagram can be sent");
                number += 1;
                std::thread::sleep((begun + Duration::from_millis(number.into())).saturating_duration_since(Instant::now()));
            }
            number
        });
        let over = Arc::clone(&stop);
        let receiving = std::thread::spawn(move || {
            let (mut came, mut last) = (Vec::new(), Instant::now());
            // A while longer than the sender.
            while !over.load(Ordering::Relaxed) || last.elapsed() < Duration::from_secs(1) {
                let mut number = [0; 4];
                if socket.recv(&mut number).is_ok() {
                    came.push(u32::from_be_bytes(number));
                    last = Instant::now();
                }
            }
            came
        });
        Self { stop, sending, receiving }
    }

    /// Ends it: how many were sent, and which of them did not come back.
    pub(crate) fn end(self) -> (u32, Vec<u32>) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sending.join().expect("no panic");
        let came = self.receiving.join().expect("no panic");
        let mut missing = vec![true; sent as usize];
        came.iter().filter(|number| **number < sent).for_each(|number| missing[*number as usize] = false);
        (sent, (0..sent).filter(|number| missing[*number as usize]).collect())
    }

    /// Ends it; none may be lost.
    pub(crate) fn end_whole(self) {
        let (sent, missing) = self.end();
        assert!(sent > 100 && missing.is_empty(), "{} of {sent} were lost: {missing:?}", missing.len());
    }
}

/// DHCPDISCOVER (RFC 2131 2), in UDP without a checksum, which IPv4 allows (RFC 768).
pub(crate) fn discover(client: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..8].copy_from_slice(&[1, 1, 6, 0, 1, 2, 3, 4]);
    message[28..34].copy_from_slice(client);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, 1, 255]);
    let udp = [&[0, 68, 0, 67][..], &(8 + message.len() as u16).to_be_bytes(), &[0, 0]].concat();
    let mut ip =
        [&[0x45, 0][..], &(28 + message.len() as u16).to_be_bytes(), &[0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]].concat();
    let sum = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [&[0xff; 6][..], client, &[8, 0], &ip, &udp, &message].concat()
}
