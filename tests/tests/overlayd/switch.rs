//! Open vSwitch's user-space datapath at the other end: a process of its own in a host's namespace, with its files in the host's folder.

use crate::daemon::CEILING;
use overlay_lab::{Node, Running, wait_until};
use overlay_tests::{Peer, Run};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running switch with a bridge to the underlay (`br-ul`) and one for tenants (`br-t`); dropping it ends it.
pub(crate) struct OpenVswitch {
    folder: PathBuf,
    daemon: Running,
    _database: Running,
}

impl OpenVswitch {
    /// Whether it is installed; if not, `test` is counted as skipped.
    pub(crate) fn is_there(test: &str) -> bool {
        let programs = ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl"];
        programs.iter().all(|program| Peer::find(test, program).is_some())
    }

    /// Starts it in a host, and gives its bridges the addresses of the host and of a tenant.
    pub(crate) fn start(host: &Node, tenant: &Node) -> Self {
        let folder = host.folder().expect("a lab has folders").join("ovs");
        std::fs::create_dir(&folder).expect("a folder");
        let file = |name: &str| folder.join(name).display().to_string();
        let (database, socket) = (file("conf.db"), file("db.sock"));
        let _ = Run::new("ovsdb-tool").args(["create", &database, SCHEMA]).end().good();
        // Logs and pid files, too, are below its own folder.
        let with_folder = |program: &str, arguments: &[&str]| {
            let run = format!("OVS_RUNDIR={0} OVS_LOGDIR={0} OVS_DBDIR={0} exec \"$0\" \"$@\"", folder.display());
            host.spawn("sh", ["-c", &run, program].iter().chain(arguments)).unwrap_or_else(|error| panic!("{error}"))
        };
        let server =
            with_folder("ovsdb-server", &[&database, &format!("--remote=punix:{socket}"), &format!("--unixctl={}", file("db.ctl"))]);
        wait_until("the switch's database", CEILING, || Path::new(&socket).exists()).expect("a database");
        let daemon = with_folder("ovs-vswitchd", &[&format!("unix:{socket}"), &format!("--unixctl={}", file("vs.ctl"))]);
        let switch = Self { folder, daemon, _database: server };
        switch.control("--no-wait init");
        // The underlay's address moves to the bridge's own interface: that is how the user-space datapath finds its route.
        host.ip(&["address flush dev ul0".into()]).expect("an address can be taken away");
        let bridge = |name: &str, mac: &str| {
            switch.control(&format!("add-br {name} -- set bridge {name} datapath_type=netdev other-config:hwaddr={mac}"));
        };
        bridge("br-ul", host.mac());
        switch.control("add-port br-ul ul0");
        bridge("br-t", tenant.mac());
        host.ip(&[
            format!("address add {}/24 dev br-ul", host.ipv4()),
            "link set br-ul up".into(),
            format!("address add {}/16 dev br-t", tenant.ipv4()),
            format!("address add {}/64 dev br-t nodad", tenant.ipv6()),
            "link set br-t mtu 1450 up".into(),
        ])
        .unwrap_or_else(|error| panic!("{error}\n{}", switch.log()));
        switch
    }

    /// Adds a tunnel to the tenants' bridge.
    pub(crate) fn tunnel(&self, kind: &str, vni: u32, to: Ipv4Addr) {
        self.control(&format!("add-port br-t tun0 -- set interface tun0 type={kind} options:remote_ip={to} options:key={vni}"));
        let error = self.control("get interface tun0 error");
        assert_eq!(error.trim(), "[]", "{}", self.log());
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }

    fn control(&self, words: &str) -> String {
        let database = format!("--db=unix:{}", self.folder.join("db.sock").display());
        let arguments = [&*database, "--timeout=20"].into_iter().chain(words.split(' '));
        let ended = Run::new("ovs-vsctl").args(arguments).end();
        assert_eq!(ended.code, 0, "ovs-vsctl {words}: {}\n{}", ended.stderr, self.log());
        ended.stdout
    }
}
