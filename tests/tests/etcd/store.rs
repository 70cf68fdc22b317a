//! An etcd on a host of the lab, and hosts whose overlays follow it.

use crate::daemon::{CEILING, link};
use crate::host::{Host, overlay, underlay};
use overlay_api::control::NewOverlay;
use overlay_etcd::{Client, Config, Error, Key, Layout};
use overlay_lab::{Family, Lab, Namespace, Node, Running, Signal, wait_until};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The virtual network.
pub(crate) const VNI: u32 = 77;

/// A running etcd; dropping it ends it.
pub(crate) struct Store {
    host: Namespace,
    address: Ipv4Addr,
    folder: tempfile::TempDir,
    more: Vec<String>,
    scheme: &'static str,
    running: Running,
}

impl Store {
    /// Starts one on the third host.
    pub(crate) fn start(lab: &Lab) -> Self {
        let store = Self::start_with(lab, "http", &[]);
        store.wait();
        store
    }

    /// The same with these flags; nobody waits for it.
    pub(crate) fn start_with(lab: &Lab, scheme: &'static str, more: &[String]) -> Self {
        let host = lab.host(3);
        let folder = tempfile::tempdir().expect("a folder");
        let running = run(host, host.ipv4(), folder.path().join("data"), scheme, more);
        Self { host: (**host).clone(), address: host.ipv4(), folder, more: more.to_vec(), scheme, running }
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}:2379", self.scheme, self.address)
    }

    /// Waits until it answers.
    pub(crate) fn wait(&self) {
        wait_until("etcd to answer", CEILING, || self.ask(async |client| client.status().await).is_ok())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.running.log()));
    }

    /// Asks it something, from its own host.
    pub(crate) fn ask<T: Send>(&self, ask: impl AsyncFnOnce(Client) -> Result<T, Error> + Send) -> Result<T, Error> {
        let config = Config { endpoints: vec![self.endpoint()], ..Config::default() };
        let asked = self.host.enter(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { ask(Client::new(&config)?).await })
        });
        asked.expect("a namespace")
    }

    /// Writes a key, and says the revision.
    pub(crate) fn put(&self, key: &str, value: &str) -> i64 {
        self.ask(async |client| client.put(key.into(), value.into(), 0).await).expect("a key is written")
    }

    /// Says where a tenant is: its entry, with its addresses in it.
    pub(crate) fn map(&self, tenant: &Node, to: Ipv4Addr) -> i64 {
        self.put(&vl2(tenant.mac()), &entry(tenant, to))
    }

    /// Removes a key.
    pub(crate) fn delete(&self, key: &str) {
        let (_, count) = self.ask(async |client| client.delete(key.into(), Vec::new()).await).expect("a key is removed");
        assert_eq!(count, 1, "{key}");
    }

    /// Forgets what was before now.
    pub(crate) fn compact(&self) {
        let done = self.ask(async |client| {
            let revision = client.status().await?.revision;
            client.compact(revision).await
        });
        done.expect("it forgets");
    }

    /// Runs etcdctl against it.
    pub(crate) fn etcdctl(&self, words: &str) -> String {
        let endpoint = self.endpoint();
        let words = ["--endpoints", &endpoint].into_iter().chain(words.split(' '));
        self.host.run("etcdctl", words).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.running.signal(signal).expect("a process can be signalled");
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.running.wait(CEILING).expect("it ends");
    }

    /// Starts it again with what it had.
    pub(crate) fn start_again(&mut self) {
        self.running = run(&self.host, self.address, self.folder.path().join("data"), self.scheme, &self.more);
        self.wait();
    }
}

fn run(host: &Namespace, address: Ipv4Addr, data: PathBuf, scheme: &str, more: &[String]) -> Running {
    let (client, peer) = (format!("{scheme}://{address}:2379"), "http://127.0.0.1:2380");
    let fixed = ["--name", "store", "--data-dir", &data.display().to_string(), "--unsafe-no-fsync", "--logger", "zap"].map(str::to_owned);
    let cluster = format!("store={peer}");
    let places = [
        ["--listen-client-urls", &client],
        ["--advertise-client-urls", &client],
        ["--listen-peer-urls", peer],
        ["--initial-advertise-peer-urls", peer],
        ["--initial-cluster", &cluster],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned);
    host.spawn("etcd", fixed.into_iter().chain(places).chain(more.iter().cloned())).expect("etcd can be started")
}

/// The entry of a tenant on a host.
pub(crate) fn entry(tenant: &Node, to: Ipv4Addr) -> String {
    format!("{{\"ip\":\"{to}\",\"port\":4789,\"arp\":\"{}\",\"ndp\":\"{}\"}}", tenant.ipv4(), tenant.ipv6())
}

/// The key of a MAC.
pub(crate) fn vl2(mac: &str) -> String {
    Layout::default().key(&Key::Vl2(VNI.to_string().parse().expect("a VNI"), mac.parse().expect("a MAC")))
}

/// Makes the overlay of a host, with more properties than the endpoint.
pub(crate) fn overlay_of(host: &Host, lab: &Lab, number: u16, endpoint: &str, more: &[(&str, &str)]) {
    let listen = underlay(lab, number, Family::V4).to_string();
    let fixed = [("vxlan/listen_ip", &*listen), ("etcd/endpoints", endpoint), ("etcd/register", "off"), ("mtu", "1430")];
    let made = host.overlayd.client.create_overlay(&NewOverlay {
        name: link(&overlay(VNI)),
        encapsulation: "vxlan".parse().expect("a module"),
        search: "etcd".parse().expect("a module"),
        vnetid: VNI.to_string().parse().expect("a VNI"),
        properties: fixed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        temporary: false,
    });
    made.unwrap_or_else(|error| panic!("{error}\n{}\n{}", host.overlayd.log(), host.log()));
}

/// Hosts with the network and their tenants, whose mapping is in the store, up.
pub(crate) fn all_up(lab: &Lab, hosts: u16, store: &Store) -> Vec<Host> {
    for number in 1..=hosts {
        store.map(lab.tenant(number, VNI, 1), lab.host(number).ipv4());
    }
    all_follow(lab, hosts, &store.endpoint())
}

/// The same, where the mapping is in whatever store is there.
pub(crate) fn all_follow(lab: &Lab, hosts: u16, endpoints: &str) -> Vec<Host> {
    let up = |number: u16| {
        let host = Host::start(lab.host(number));
        overlay_of(&host, lab, number, endpoints, &[]);
        host.overlayd.tenant(&format!("v{VNI}"), &overlay(VNI), lab.tenant(number, VNI, 1));
        host.wait_up(VNI);
        host.wait("the mapping", || host.instance(VNI).entries == Some(hosts.into()));
        host
    };
    (1..=hosts).map(up).collect()
}
