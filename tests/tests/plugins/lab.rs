//! Does an overlay with a plugin of somebody else carry traffic, with overlayd itself and a tenant who pings? Needs root.

use crate::daemon::{CEILING, Daemon, link};
use crate::life::children;
use crate::objects::{badly, fixed};
use overlay_api::control::{InstanceState, NewOverlay, OverlayState};
use overlay_client::{ClientError, VarpdClient};
use overlay_lab::{Join, Lab, Ping, Running, wait_until};
use overlay_tests::{Run, is_root, program, skip};
use std::time::Duration;

const VNI: u32 = 77;

/// Both daemons of a host.
struct Host {
    overlayd: Daemon,
    varpd: VarpdClient,
    running: Running,
}

impl Host {
    fn start(lab: &Lab, number: u16) -> Self {
        let overlayd = Daemon::start(lab.host(number));
        let folder = overlayd.paths.plugins();
        std::fs::create_dir_all(&folder).expect("a folder");
        fixed(&folder);
        badly(&folder, "badly.so", &[]);
        let root = overlayd.paths.root().display().to_string();
        let running = lab.host(number).spawn(program("varpd"), ["--root", &*root]).expect("varpd can be started");
        running.wait_for_log("connected to overlayd", CEILING).unwrap_or_else(|error| panic!("{error}: {}", running.log()));
        Self { varpd: VarpdClient::new(&overlayd.paths), overlayd, running }
    }

    fn create(&self, lab: &Lab, number: u16, (name, plugin): (&str, &str), properties: &[(&str, &str)]) -> Result<(), ClientError> {
        let listen = lab.host(number).ipv4().to_string();
        let own = [("vxlan/listen_ip", &*listen), ("mtu", "1430")];
        let vni = if plugin == "fixed" { VNI } else { VNI + 1 };
        let new = NewOverlay {
            name: link(name),
            encapsulation: "vxlan".parse().expect("a module"),
            search: plugin.parse().expect("a module"),
            vnetid: vni.to_string().parse().expect("a VNI"),
            properties: own.iter().chain(properties).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            temporary: false,
        };
        self.overlayd.client.create_overlay(&new).map(drop)
    }

    fn log(&self) -> String {
        format!("{}\n{}", self.overlayd.log(), self.running.log())
    }
}

fn ping() -> Ping {
    Ping { wait: Duration::from_secs(5), ..Ping::default() }
}

#[test]
fn an_overlay_of_the_example_carries_pings_while_another_plugin_crashes() {
    if !is_root() {
        return skip("plugins::an_overlay_of_the_example_carries_pings_while_another_plugin_crashes", "not root");
    }
    let without = (1..=2).fold(overlay_lab::Overlay::vxlan(VNI), overlay_lab::Overlay::no_tunnel_on);
    let lab = Lab::builder("plg_carry").hosts(2).join(Join::Switch).overlay(without).build().expect("a lab comes up");
    let station = |host| {
        let tenant = lab.tenant(host, VNI, 1);
        format!("{},{}:4789,{}", tenant.mac(), lab.host(host).ipv4(), tenant.ipv4())
    };
    let hosts = format!("{};{}", station(1), station(2));
    let both: Vec<Host> = (1..=2).map(|number| Host::start(&lab, number)).collect();
    for (host, number) in both.iter().zip(1..) {
        host.create(&lab, number, ("ov77", "fixed"), &[("fixed/hosts", &hosts)]).unwrap_or_else(|error| panic!("{error}\n{}", host.log()));
        host.overlayd.tenant("v77", "ov77", lab.tenant(number, VNI, 1));
    }
    let one = &both[0];
    let reach = || pinged(&lab);
    reach();
    // What is declared shows, and is checked.
    let root = one.overlayd.paths.root().display().to_string();
    let shown = Run::new(program("overlayadm")).args(["--root", &*root, "show-overlay", "ov77"]).end().good();
    let row = shown.lines().find(|line| line.contains("fixed/hosts")).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains(&lab.tenant(2, VNI, 1).mac().to_owned()), "{row}");
    for (properties, why) in [
        (&[][..], "property fixed/hosts: is required and not set"),
        (&[("fixed/hosts", "nobody")], "fixed: property fixed/hosts: nobody: MAC,ADDRESS:PORT or MAC,ADDRESS:PORT,IPV4 is allowed"),
        (&[("fixed/host", "x")], "did you mean fixed/hosts?"),
    ] {
        let refused = one.create(&lab, 1, ("ovx", "fixed"), properties).expect_err("it is refused").to_string();
        assert!(refused.contains(why), "{refused}");
    }
    // Another plugin of the same varpd dies each time that it is asked.
    one.create(&lab, 1, ("ov78", "badly"), &[]).unwrap_or_else(|error| panic!("{error}\n{}", one.log()));
    let up = || one.overlayd.client.overlay(&link("ov78")).is_ok_and(|overlay| overlay.state == OverlayState::Up);
    wait_until("the other overlay", CEILING, up).unwrap_or_else(|error| panic!("{error}\n{}", one.log()));
    let badly = "badly.so";
    let [pid] = children(one.running.id(), badly)[..] else { panic!("one process for each object") };
    assert_eq!(Run::new("kill").args(["-KILL", &pid.to_string()]).end().code, 0);
    reach();
    let crashed = || one.running.log().contains("badly: it was ended by signal 9 (SIGKILL)");
    wait_until("the log", CEILING, crashed).unwrap_or_else(|error| panic!("{error}\n{}", one.log()));
    wait_until("it to come back", CEILING, up).unwrap_or_else(|error| panic!("{error}\n{}", one.log()));
    let instance = one.varpd.instance(&link("ov77")).expect("an instance");
    let counters = instance.counters;
    assert_eq!(instance.state, InstanceState::Up);
    assert!(counters.injected >= 1 && counters.reached >= 1, "{counters:?}");
    assert_eq!((counters.missing, counters.late), (0, 0));
    reach();
}

/// From the tenant of the first host to that of the second.
fn pinged(lab: &Lab) {
    crate::traffic::all_answered(lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1).ipv4().into(), &ping()).unwrap();
}
