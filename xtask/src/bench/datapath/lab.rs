//! Who carries the frames? Two hosts joined by one veth pair, a tenant on each, and between the tenants a tunnel of one kind.
//!
//! ```text
//!  h1v5000t1               h1                                h2               h2v5000t1
//!  t0 10.0.0.1 ── overlayd, kernel or OVS ── ul0 ══ veth ══ ul0 ── overlayd, kernel or OVS ── t0 10.0.0.2
//!  iperf3 -c, ping                                                             iperf3 -s
//! ```
//!
//! Each way has a lab of its own, and all of them stand for the whole of the run: those that are not measured sleep.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::install::find_program;
use crate::run::{Outcome, Workspace, cannot_start, line_of, output_of, succeeds};

/// The virtual network of every tunnel: one that NVGRE has, too (RFC 7637 3.2).
const VNI: &str = "5000";
/// How long a daemon may take to get ready, and a tunnel to answer.
const CEILING: Duration = Duration::from_secs(20);
/// Payload that Ethernet (1500) has left below VXLAN over IPv4: the kernel's device sees to it itself, OVS and a link without a tunnel do not.
const INNER_MTU: &str = "1450";
/// Where a Debian package keeps the schema of OVS's database.
const OVS_SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// The link between the hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// No offloads: every frame fits the MTU and has its checksums, as on a wire.
    Wire,
    /// All offloads of a veth pair: super-frames cross it whole.
    Full,
}

impl Link {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire-like",
            Self::Full => "all offloads",
        }
    }
}

/// What is at one end of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The kernel's VXLAN device.
    Kernel,
    /// overlayd: the module, and more words for its command line.
    Ours(&'static str, &'static [&'static str]),
    /// overlayd without probes, VXLAN.
    OursNoProbes,
    /// Open vSwitch's user-space datapath.
    Ovs,
    /// Nothing: the tenant has the link itself.
    Nothing,
}

/// A tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// What it is called in the tables.
    pub(super) name: &'static str,
    /// At which ends there is what.
    pub(super) ends: [End; 2],
}

/// The programs.
pub(super) struct Programs {
    pub(super) lab: PathBuf,
    pub(super) overlayd: PathBuf,
    pub(super) overlayadm: PathBuf,
    /// overlayd whose probes are compiled to nothing, if there is one.
    pub(super) no_probes: Option<PathBuf>,
}

/// A tunnel that stands; dropping it ends its processes and removes the lab.
pub(super) struct Lab<'a> {
    workspace: &'a Workspace,
    programs: &'a Programs,
    name: String,
    folder: PathBuf,
    running: Vec<Running>,
    /// Process ids of overlayd, by host.
    overlayds: Vec<(u16, u32)>,
    /// Commands that made it, as they could be typed.
    pub(super) commands: Vec<String>,
}

/// A process that is killed with its lab.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is to be done about one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        self.running.clear();
        if !succeeds(Command::new(&self.programs.lab).args(["down", &self.name])) {
            println!("(the lab {} could not be removed; `overlay-lab clean` does)", self.name);
        }
        // What is left of it is in the target folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Lab<'a> {
    /// Builds the hosts, the tunnel and its tenants, and waits until they reach each other.
    pub(super) fn build(workspace: &'a Workspace, programs: &'a Programs, way: Way, link: Link, number: usize) -> Outcome<Self> {
        let name = format!("dp{}_{number}", std::process::id());
        // Short: a socket's path has 107 bytes.
        let folder = PathBuf::from(format!("/tmp/overlay-{name}"));
        let mut up = Command::new(&programs.lab);
        up.args(["up", "--attach", "device", "--vni", VNI]);
        if link == Link::Wire {
            up.arg("--wire-like");
        }
        for (host, end) in ["1", "2"].iter().zip(way.ends) {
            if end != End::Kernel {
                up.args(["--no-tunnel-on", host]);
            }
        }
        up.arg(&name);
        output_of(&mut up)?;
        let commands = vec![line_of(&up).replace(&name, "bench")];
        let mut lab = Self { workspace, programs, name, folder, running: Vec::new(), overlayds: Vec::new(), commands };
        std::fs::create_dir_all(&lab.folder).map_err(|error| format!("{} cannot be created: {error}", lab.folder.display()))?;
        for (host, end) in [1, 2].into_iter().zip(way.ends) {
            // Router solicitations and the like would be in the figures.
            for role in [format!("h{host}"), tenant(host)] {
                lab.run(&role, &["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"])?;
            }
            match end {
                End::Kernel => {}
                End::Ours(module, flags) => lab.ours(host, &lab.programs.overlayd, module, flags)?,
                End::OursNoProbes => {
                    let program = lab.programs.no_probes.as_ref().ok_or("there is no overlayd without probes")?;
                    lab.ours(host, program, "vxlan", &[])?;
                }
                End::Ovs => lab.ovs(host)?,
                End::Nothing => lab.nothing(host)?,
            }
        }
        let mut server = lab.command(&tenant(2), &["iperf3", "-s"]);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        lab.running.push(Running(server.spawn().map_err(|error| cannot_start(&server, &error))?));
        within_ceiling(&format!("{}, {}: the tenants do not reach each other", way.name, link.name()), || {
            succeeds(&mut lab.command(&tenant(1), &["ping", "-c", "1", "-W", "1", ADDRESS]))
        })?;
        within_ceiling("iperf3 does not listen", || {
            succeeds(&mut lab.command(&tenant(2), &["sh", "-c", "ss -Hltn sport = :5201 | grep -q ."]))
        })?;
        Ok(lab)
    }

    /// The process id of a host's overlayd, if it has one.
    pub(super) fn overlayd(&self, host: u16) -> Option<u32> {
        self.overlayds.iter().find(|(known, _)| *known == host).map(|(_, process)| *process)
    }

    /// A program in a namespace of the lab; its process id is the program's own.
    pub(super) fn command(&self, role: &str, words: &[&str]) -> Command {
        let mut command = self.workspace.command(&self.programs.lab);
        command.args(["exec", &self.name, role]).args(words);
        command
    }

    /// Runs one and notes it.
    fn run(&mut self, role: &str, words: &[&str]) -> Outcome<String> {
        output_of(&mut self.command(role, words))
    }

    /// Starts overlayd on a host and gives the tenant its VNIC.
    fn ours(&mut self, host: u16, program: &Path, module: &str, flags: &[&str]) -> Outcome {
        let root = self.folder.join(format!("h{host}"));
        let (shown, path) = (root.display().to_string(), program.display().to_string());
        let words: Vec<&str> = [&[&*path, "--root", &*shown], flags].concat();
        let log = self.start(&format!("h{host}"), &words, &format!("overlayd{host}"))?;
        self.overlayds.extend(self.running.last().map(|running| (host, running.0.id())));
        within_ceiling("overlayd does not get ready", || std::fs::read_to_string(&log).is_ok_and(|said| said.contains("ready: ")))?;
        let own = |word: &str| format!("{module}/{word}");
        let mut props = vec![format!("{}=10.88.0.{host}", own("listen_ip")), format!("direct/dest_ip=10.88.0.{}", 3 - host)];
        match module {
            // Of RFC 7348 8, and RFC 8926 3.3; NVGRE has none.
            "vxlan" => props.push("direct/dest_port=4789".to_owned()),
            "geneve" => props.push("direct/dest_port=6081".to_owned()),
            _ => {}
        }
        let mut create = vec!["create-overlay", "-e", module, "-s", "direct", "-v", VNI];
        props.iter().for_each(|prop| create.extend(["-p", prop]));
        create.push("ov0");
        self.administer(host, &root, &create)?;
        let (netns, mac) = (format!("ovlab-up-{}-{}", self.name, tenant(host)), format!("02:08:20:0a:00:0{host}"));
        self.administer(host, &root, &["create-vnic", "-l", "ov0", "-m", &mac, "-n", &netns, "t0"])?;
        self.address(host, &[])
    }

    /// Gives the tenant the link.
    fn nothing(&mut self, host: u16) -> Outcome {
        let netns = format!("ovlab-up-{}-{}", self.name, tenant(host));
        self.run(&format!("h{host}"), &["ip", "link", "set", "ul0", "netns", &netns, "name", "t0"])?;
        self.address(host, &["mtu", INNER_MTU])
    }

    fn administer(&mut self, host: u16, root: &Path, words: &[&str]) -> Outcome {
        let mut command = Command::new(&self.programs.overlayadm);
        command.args(words);
        if host == 1 {
            self.commands.push(line_of(&command).replace(&self.name, "bench"));
        }
        output_of(command.arg("--root").arg(root)).map(drop)
    }

    /// Gives the tenant's interface its address.
    fn address(&mut self, host: u16, more: &[&str]) -> Outcome {
        let address = format!("10.0.0.{host}/16");
        self.run(&tenant(host), &["ip", "address", "add", &address, "dev", "t0"])?;
        self.run(&tenant(host), &[&["ip", "link", "set", "t0", "up"], more].concat())?;
        Ok(())
    }

    /// Starts a daemon in a host; its stderr goes to the file that is returned.
    fn start(&mut self, role: &str, words: &[&str], log: &str) -> Outcome<PathBuf> {
        let path = self.folder.join(format!("{log}.log"));
        let file = File::create(&path).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        let mut command = self.command(role, words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        self.running.push(Running(command.spawn().map_err(|error| cannot_start(&command, &error))?));
        Ok(path)
    }

    /// Starts Open vSwitch with files of its own: the link in one bridge, which has the host's address, the tenant in another.
    ///
    /// ```text
    ///  t0 ── br-int ── vxlan port ┄┄ route ┄┄ br-ul 10.88.0.HOST ── ul0
    /// ```
    fn ovs(&mut self, host: u16) -> Outcome {
        let folder = self.folder.join(format!("ovs{host}"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be created: {error}", folder.display()))?;
        let at = |name: &str| folder.join(name).display().to_string();
        let role = format!("h{host}");
        let (database, socket) = (at("conf.db"), format!("unix:{}", at("db.sock")));
        output_of(Command::new("ovsdb-tool").args(["create", &database, OVS_SCHEMA]))?;
        let server = needed("ovsdb-server")?;
        let (listen, control) = (format!("--remote=p{socket}"), format!("--unixctl={}", at("db.ctl")));
        self.start(&role, &[&server, &database, &listen, &control], &format!("ovsdb{host}"))?;
        within_ceiling("ovsdb-server does not get ready", || folder.join("db.sock").exists())?;
        let switch = needed("ovs-vswitchd")?;
        let control = format!("--unixctl={}", at("switch.ctl"));
        self.start(&role, &[&switch, &socket, &control, "--disable-system"], &format!("ovs{host}"))?;
        within_ceiling("ovs-vswitchd does not get ready", || folder.join("switch.ctl").exists())?;
        let (remote, key) = (format!("options:remote_ip=10.88.0.{}", 3 - host), format!("options:key={VNI}"));
        let database = format!("--db={socket}");
        let mut words = vec!["ovs-vsctl", &*database, "--no-wait", "init", "--"];
        for bridge in ["br-ul", "br-int"] {
            words.extend(["add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=standalone", "--"]);
        }
        words.extend(["add-port", "br-ul", "ul0", "--", "add-port", "br-int", "p0", "--"]);
        words.extend(["add-port", "br-int", "vx0", "--", "set", "interface", "vx0", "type=vxlan", &remote, &key]);
        // The tenant's interface is one end of a veth pair: OVS reads its peer like any interface. It cannot finish what a sender left undone.
        let netns = format!("ovlab-up-{}-{}", self.name, tenant(host));
        self.run(&role, &["ip", "link", "add", "p0", "up", "type", "veth", "peer", "name", "t0", "netns", &netns])?;
        self.run(&tenant(host), &["ethtool", "-K", "t0", "tx", "off", "tso", "off", "gso", "off"])?;
        self.run(&role, &["ethtool", "-K", "ul0", "gro", "off", "tx", "off", "tso", "off", "gso", "off"])?;
        self.run(&role, &words)?;
        if host == 1 {
            self.commands.push(words.join(" ").replace(&format!("{database} "), ""));
        }
        within_ceiling("OVS makes no bridge", || succeeds(&mut self.command(&role, &["ip", "link", "show", "br-ul"])))?;
        let address = format!("10.88.0.{host}/24");
        self.run(&role, &["ip", "address", "flush", "dev", "ul0"])?;
        self.run(&role, &["ip", "address", "add", &address, "dev", "br-ul"])?;
        self.run(&role, &["ip", "link", "set", "br-ul", "up"])?;
        self.address(host, &["mtu", INNER_MTU])
    }
}

/// The address of the second tenant.
pub(super) const ADDRESS: &str = "10.0.0.2";

/// A tenant's namespace, as overlay-lab calls it.
pub(super) fn tenant(host: u16) -> String {
    format!("h{host}v{VNI}t1")
}

fn needed(program: &str) -> Outcome<String> {
    find_program(program).map(|path| path.display().to_string()).ok_or_else(|| format!("{program} is missing"))
}

fn within_ceiling(otherwise: &str, mut holds: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + CEILING;
    while !holds() {
        if Instant::now() >= deadline {
            return Err(format!("{otherwise} within {} s", CEILING.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
