//! An overlayd on a host of a lab, and what a test asks of it.

use overlay_api::control::{NewOverlay, NewVnic, Overlay, SetProperty, Vnic};
use overlay_api::{LinkName, Paths};
use overlay_client::Client;
use overlay_lab::{Lab, Namespace, Node, Running, Signal, wait_until};
use overlay_tests::{program, say};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Far more than a start or an end takes, also on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(20);

/// A running overlayd; dropping it kills it and leaves its interfaces to the lab.
pub(crate) struct Daemon {
    pub(crate) client: Client,
    pub(crate) paths: Paths,
    host: Namespace,
    flags: Vec<String>,
    running: Running,
}

impl Daemon {
    /// Starts one in a host, with its files in the host's folder of the lab.
    pub(crate) fn start(host: &Namespace) -> Self {
        Self::start_with(host, &[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(host: &Namespace, flags: &[&str]) -> Self {
        let paths = Paths::under(host.folder().expect("a lab has folders").join("root"));
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let running = run(host, &paths, &flags);
        Self { client: Client::overlayd(&paths), paths, host: host.clone(), flags, running }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.running.signal(Signal::KILL).expect("a process can be killed");
        self.running.wait(CEILING).expect("it ends");
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.running.signal(signal).expect("a process can be signalled");
    }

    /// Waits for its end, for whatever reason.
    pub(crate) fn has_ended(&mut self) {
        self.running.wait(CEILING).expect("it ends");
    }

    /// Asks it to end, which it does with status 0.
    pub(crate) fn end(&mut self) {
        self.running.signal(Signal::TERM).expect("a process can be asked");
        let status = self.running.wait(CEILING).expect("it ends");
        assert!(status.success(), "{status}: {}", self.running.log());
    }

    /// Starts another with the same files.
    pub(crate) fn start_again(&mut self) {
        assert!(!self.running.is_running(), "the one before still runs");
        self.running = run(&self.host, &self.paths, &self.flags);
    }

    /// The same, as the last arguments of another program, which it is then ended with.
    pub(crate) fn start_again_under(&mut self, wrapper: &[&str]) {
        assert!(!self.running.is_running(), "the one before still runs");
        let (program, root) = (program("overlayd").display().to_string(), self.paths.root().display().to_string());
        let words = wrapper[1..].iter().copied().chain([&*program, "--root", &*root]).chain(self.flags.iter().map(String::as_str));
        self.running = self.host.spawn(wrapper[0], words).expect("a program can be started");
        self.running.wait_for_log("ready: ", CEILING).expect("overlayd gets ready");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.running.log()
    }

    /// Makes a direct VXLAN with properties of `listen_ip` and `dest_ip`, and others.
    pub(crate) fn overlay(&self, name: &str, vni: u32, way: (IpAddr, IpAddr), others: &[(&str, &str)]) -> Overlay {
        let (listen, dest) = (way.0.to_string(), way.1.to_string());
        let own = [("vxlan/listen_ip", &*listen), ("direct/dest_ip", &*dest), ("direct/dest_port", "4789")];
        self.overlay_by("vxlan", name, vni, &[&own, others].concat())
    }

    /// Makes a direct overlay of any encapsulation.
    pub(crate) fn overlay_by(&self, encapsulation: &str, name: &str, vni: u32, properties: &[(&str, &str)]) -> Overlay {
        let new = NewOverlay {
            name: link(name),
            encapsulation: encapsulation.parse().expect("a module"),
            search: "direct".parse().expect("a module"),
            vnetid: vni.to_string().parse().expect("a VNI"),
            properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            temporary: false,
        };
        self.client.create_overlay(&new).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Makes a VNIC with a tenant's MAC in the tenant's namespace; it is `t0` there from then on, with the tenant's addresses.
    pub(crate) fn tenant(&self, name: &str, overlay: &str, tenant: &Node) -> Vnic {
        let vnic = self.client.create_vnic(&new_vnic(name, overlay, tenant)).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        tenant.configure(name).expect("a VNIC can be configured");
        vnic
    }

    /// A VNIC.
    pub(crate) fn vnic(&self, name: &str) -> Vnic {
        self.client.vnic(&link(name)).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Sets a property of an overlay: the sentence of the refusal, if it is one.
    pub(crate) fn set(&self, overlay: &str, name: &str, value: &str) -> Result<(), String> {
        let set = SetProperty { name: name.into(), value: Some(value.into()) };
        self.client.set_overlay_property(&link(overlay), &set).map(drop).map_err(|error| error.to_string())
    }

    /// Waits for something to be so.
    pub(crate) fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        wait_until(what, CEILING, condition).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }
}

impl Drop for Daemon {
    /// The world, where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let overlays = self.client.overlays().unwrap_or_default();
            let counters: Vec<_> = overlays.iter().map(|overlay| (overlay.name.as_str(), overlay.state, &overlay.counters)).collect();
            let status = self.client.status().map(|status| status.counters);
            let kernel = self.host.run("nstat", ["-a", "-s"]).unwrap_or_default();
            say(&format!("overlayd of {}: {counters:#?}\nall: {status:#?}\n{}\n{kernel}", self.host.role(), self.log()));
        }
    }
}

fn run(host: &Namespace, paths: &Paths, flags: &[String]) -> Running {
    let root = ["--root".to_owned(), paths.root().display().to_string()];
    let running = host.spawn(program("overlayd"), root.iter().chain(flags)).expect("overlayd can be started");
    running.wait_for_log("ready: ", CEILING).expect("overlayd gets ready");
    running
}

/// What the overlays of each daemon have dropped, by the reason. Something may be lost before a test begins: a tenant says its first words
/// (MLD, for example) as soon as it has an interface, and the other end may not be there yet.
pub(crate) fn dropped(daemons: &[Daemon]) -> Vec<BTreeMap<String, u64>> {
    let overlays = daemons.iter().flat_map(|daemon| daemon.client.overlays().expect("overlays"));
    overlays.map(|overlay| overlay.counters.drops).collect()
}

/// Both ends of a lab's underlay, seen from `host`.
pub(crate) fn way(lab: &Lab, host: u16, family: overlay_lab::Family) -> (IpAddr, IpAddr) {
    let at = |host| match family {
        overlay_lab::Family::V4 => IpAddr::from(lab.host(host).ipv4()),
        overlay_lab::Family::V6 => IpAddr::from(lab.host(host).ipv6()),
    };
    (at(host), at(3 - host))
}

/// A VNIC with a tenant's MAC in the tenant's namespace.
pub(crate) fn new_vnic(name: &str, overlay: &str, tenant: &Node) -> NewVnic {
    NewVnic {
        name: link(name),
        overlay: link(overlay),
        mac: Some(tenant.mac().parse().expect("a MAC")),
        mtu: None,
        namespace: Some(tenant.name().parse().expect("a namespace's name")),
        temporary: false,
    }
}

/// A name.
pub(crate) fn link(name: &str) -> LinkName {
    name.parse().expect("a name")
}
