//! Does `host` find what the kernel has? Against devices that `ip` and `bridge` made, in namespaces of each test's own.
//!
//! ```text
//! namespace "far"                         this test's namespace
//!   vx77  vxlan 77, port 12345            asks through a socket there
//!   vxe   vxlan external, vnifilter
//! ```

use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use overlay_captures::host::{
    FdbEntry, FdbFlags, FdbState, Hardware, HostErrorKind, Kernel, Link, Namespace, Survey, TunnelKind, VniFilterEntry, known_ports,
};
use overlay_captures::live::{Live, Missing, Options, Place};
use overlay_decoder::{Mac, UdpTunnel, Vni};

/// A namespace of a test's own, removed at its end.
struct Lab {
    name: String,
}

impl Lab {
    /// Nothing where this host does not let us make one: the test is skipped then, and says so.
    fn new(test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("overlay-host-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        match run("ip", &["netns", "add", &name], "") {
            Ok(output) if output.status.success() => Some(Self { name }),
            Ok(output) => skip(test, &format!("ip netns add: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => skip(test, &format!("ip: {error}")),
        }
    }

    fn namespace(&self) -> Namespace {
        Namespace::by_name(&self.name).unwrap()
    }

    /// Runs `ip -n NAME ...`.
    fn ip(&self, arguments: &str) {
        self.tool("ip", arguments, "");
    }

    fn tool(&self, program: &str, arguments: &str, input: &str) {
        let arguments: Vec<&str> = ["-n", &self.name].into_iter().chain(arguments.split(' ')).collect();
        let output = run(program, &arguments, input).unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn link(&self, name: &str) -> Link {
        let links = Kernel::open(&self.namespace()).unwrap().links().unwrap();
        let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
        links.into_iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A test may have removed it itself.
        let _ = run("ip", &["netns", "del", &self.name], "");
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().unwrap().write_all(input.as_bytes())?;
    child.wait_with_output()
}

/// Says that a test cannot run here, and has xtask count it.
#[allow(clippy::print_stdout, reason = "the output of a test is where its reader looks")]
fn skip<T>(test: &str, reason: &str) -> Option<T> {
    println!("SKIPPED: {test}: {reason}");
    if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        // In one write: other tests append at the same time.
        file.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
    None
}

fn vni(id: u32) -> Vni {
    Vni::new(id).unwrap()
}

#[test]
fn a_vxlan_device_is_found_from_another_namespace_with_its_port_and_vni() {
    let Some(lab) = Lab::new("a_vxlan_device_is_found_from_another_namespace_with_its_port_and_vni") else { return };
    lab.ip("link add br0 type bridge");
    lab.ip("link add vx77 address 02:08:20:0a:00:01 mtu 1450 type vxlan id 77 dstport 12345 remote 10.0.0.9 local 10.0.0.1 ttl 9 gbp");
    lab.ip("link set vx77 master br0 up");
    let survey = Survey::of(&[Namespace::current().unwrap(), lab.namespace()]);
    assert!(survey.skipped.is_empty(), "{:?}", survey.skipped);
    let device = survey.tunnels().find(|device| device.namespace.is_same(&lab.namespace())).unwrap();
    assert_eq!(device.link.name, "vx77");
    assert_eq!((device.namespace.to_string(), device.namespace.is_current()), (lab.name.clone(), false));
    assert!(device.underlay.unwrap().is_same(&lab.namespace()));
    assert_eq!(device.tunnel.to_string(), "vxlan id 77 remote 10.0.0.9 local 10.0.0.1 dstport 12345");
    assert_eq!((device.tunnel.vni, device.tunnel.port), (Some(vni(77)), Some(12345)));
    assert_eq!((device.tunnel.ttl.to_string().as_str(), device.tunnel.learning, device.tunnel.gbp), ("9", true, true));
    assert_eq!(device.tunnel.ageing_seconds, Some(300));
    let link = device.link;
    assert_eq!((link.mtu, link.mac, link.up, link.hardware), (1450, Some(Mac([2, 8, 0x20, 0xa, 0, 1])), true, Hardware::ETHERNET));
    assert_eq!((link.kind.as_deref(), link.master), (Some("vxlan"), Some(lab.link("br0").index)));
    assert_eq!(known_ports(&[lab.namespace()]), [(12345, UdpTunnel::Vxlan)]);
    // The bridge's table is told apart from the device's own.
    let entries = Kernel::open(&lab.namespace()).unwrap().fdb(link.index).unwrap();
    let (bridge, own): (Vec<&FdbEntry>, Vec<&FdbEntry>) = entries.iter().partition(|entry| entry.is_of_bridge());
    assert!(bridge.iter().any(|entry| Some(entry.mac) == link.mac && entry.master == link.master), "{bridge:?}");
    assert!(own.len() == 1 && own[0].is_default(), "{own:?}");
}

#[test]
fn a_device_that_was_moved_tells_where_its_outer_packets_are() {
    let Some(outer) = Lab::new("a_device_that_was_moved_tells_where_its_outer_packets_are") else { return };
    let Some(inner) = Lab::new("a_device_that_was_moved_tells_where_its_outer_packets_are") else { return };
    outer.ip("link add vx5 type vxlan id 5 dstport 4789");
    outer.ip(&format!("link set vx5 netns {}", inner.name));
    let both = Survey::of(&[outer.namespace(), inner.namespace()]);
    let device = both.tunnels().next().unwrap();
    assert!(device.namespace.is_same(&inner.namespace()) && device.underlay.unwrap().is_same(&outer.namespace()));
    let alone = Survey::of(&[inner.namespace()]);
    assert!(alone.tunnels().next().unwrap().underlay.is_none(), "the other namespace was not in this survey");
}

#[test]
fn ten_thousand_stations_are_read_each_with_its_destination() {
    const STATIONS: u32 = 10_000;
    let Some(lab) = Lab::new("ten_thousand_stations_are_read_each_with_its_destination") else { return };
    lab.ip("link add vx77 type vxlan id 77 dstport 4789 remote 10.0.0.9");
    lab.ip("link add vx78 type vxlan id 78 dstport 4789");
    let mut batch = String::from("fdb append 02:ff:00:00:00:01 dev vx78 dst 10.9.9.9 dynamic router\n");
    for station in 0..STATIONS {
        let [_, _, high, low] = station.to_be_bytes();
        batch.push_str(&format!("fdb append 02:00:00:00:{high:02x}:{low:02x} dev vx77 dst 10.1.{high}.{low} self permanent\n"));
    }
    batch.push_str("fdb append 02:ff:00:00:00:02 dev vx77 dst 10.0.0.3 port 4800 vni 99 self static\n");
    batch.push_str("fdb append 00:00:00:00:00:00 dev vx77 dst 10.0.0.4 self permanent\n");
    lab.tool("bridge", "-batch -", &batch);

    let device = lab.link("vx77");
    let tunnel = device.tunnel.as_ref().unwrap();
    let mut kernel = Kernel::open(&lab.namespace()).unwrap();
    let entries = kernel.fdb(device.index).unwrap();
    // And one that is sent with another VNI, and the default's two destinations.
    assert_eq!(entries.len(), STATIONS as usize + 1 + 2);
    assert!(entries.iter().all(|entry| entry.link == device.index && entry.flags.has(FdbFlags::OWN) && entry.ages.is_some()));
    let of = |mac: [u8; 6]| entries.iter().filter(|entry| entry.mac == Mac(mac)).collect::<Vec<&FdbEntry>>();
    for station in [0, 1, 255, 256, STATIONS - 1] {
        let [_, _, high, low] = station.to_be_bytes();
        let [entry] = of([2, 0, 0, 0, high, low])[..] else { panic!("station {station}") };
        assert_eq!(entry.ul3(tunnel).unwrap().to_string(), format!("10.1.{high}.{low}:4789"));
        assert_eq!((entry.state.to_string().as_str(), entry.sent_vni(tunnel)), ("noarp permanent", Some(vni(77))));
    }
    let [other] = of([2, 0xff, 0, 0, 0, 2])[..] else { panic!("one entry with another VNI") };
    assert_eq!((other.ul3(tunnel).unwrap().to_string().as_str(), other.sent_vni(tunnel)), ("10.0.0.3:4800", Some(vni(99))));
    assert!(other.state.is_static() && !other.is_default());
    let mut replicated: Vec<String> = of([0; 6]).iter().map(|entry| entry.ul3(tunnel).unwrap().to_string()).collect();
    replicated.sort();
    assert_eq!(replicated, ["10.0.0.4:4789", "10.0.0.9:4789"]);

    // The other device's table has its own entry only, and the memory of a table is used again.
    let mut again = entries;
    kernel.fdb_into(lab.link("vx78").index, &mut again).unwrap();
    assert_eq!(again.iter().map(|entry| entry.mac).collect::<Vec<_>>(), [Mac([2, 0xff, 0, 0, 0, 1])]);
    assert!(again[0].flags.has(FdbFlags::ROUTER) && again[0].state.has(FdbState::REACHABLE), "{}, {}", again[0].flags, again[0].state);
    assert_eq!(kernel.inconsistent_dumps(), 0);
    kernel.fdb_into(4_000_000, &mut again).unwrap();
    assert!(again.is_empty(), "an interface that does not exist");
}

#[test]
fn an_external_device_is_marked_and_its_filter_is_read() {
    let Some(lab) = Lab::new("an_external_device_is_marked_and_its_filter_is_read") else { return };
    lab.ip("link add vxe type vxlan external vnifilter dstport 4800");
    lab.ip("link add gpe type vxlan external gpe dstport 4790");
    lab.ip("link set vxe up");
    lab.tool("bridge", "vni add vni 100-110 dev vxe", "");
    lab.tool("bridge", "vni add vni 200 remote 10.1.1.1 dev vxe", "");
    let device = lab.link("vxe");
    let tunnel = device.tunnel.as_ref().unwrap();
    assert_eq!((tunnel.kind, tunnel.vni, tunnel.external, tunnel.vni_filter), (TunnelKind::Vxlan, None, true, true));
    let gpe = lab.link("gpe");
    assert_eq!(gpe.tunnel.unwrap().to_string(), "vxlan-gpe external dstport 4790");
    assert_eq!(known_ports(&[lab.namespace()]), [(4790, UdpTunnel::VxlanGpe), (4800, UdpTunnel::Vxlan)]);
    let mut kernel = Kernel::open(&lab.namespace()).unwrap();
    let filter: Vec<VniFilterEntry> = kernel.vni_filter(device.index).unwrap();
    let vnis: Vec<u32> = filter.iter().flat_map(|entry| entry.first.get()..=entry.last.get()).collect();
    assert_eq!(vnis, (100..=110).chain([200]).collect::<Vec<_>>());
    assert_eq!(filter.last().unwrap().remote, Some([10, 1, 1, 1].into()));
    let refused = kernel.vni_filter(gpe.index).unwrap_err();
    assert!(refused.to_string().starts_with(&format!("netns {}: VNI filter of interface {}: ", lab.name, gpe.index)), "{refused}");
}

#[test]
fn counters_of_a_vni_move_when_something_arrives_with_it() {
    let Some(lab) = Lab::new("counters_of_a_vni_move_when_something_arrives_with_it") else { return };
    lab.ip("link set lo up");
    lab.ip("link add vxe type vxlan external vnifilter dstport 4800");
    lab.ip("link set vxe up");
    lab.tool("bridge", "vni add vni 300 dev vxe", "");
    lab.tool("bridge", "vni add vni 301 dev vxe", "");
    // RFC 7348 5: flags, VNI 300, and an inner frame of 60 bytes from 02:00:00:00:00:01 to everyone.
    let datagram = [&[8, 0, 0, 0, 0, 1, 44, 0][..], &[0xff; 6], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb5], &[0; 46]].concat();
    // The socket is made inside; it stays there when it is used outside.
    let socket = lab.namespace().run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    for _ in 0..3 {
        socket.send_to(&datagram, "127.0.0.1:4800").unwrap();
    }
    let mut kernel = Kernel::open(&lab.namespace()).unwrap();
    let index = lab.link("vxe").index;
    let begun = std::time::Instant::now();
    let mut filter = kernel.vni_filter(index).unwrap();
    while filter[0].counters.rx_packets < 3 && begun.elapsed().as_secs() < 10 {
        filter = kernel.vni_filter(index).unwrap();
    }
    let seen: Vec<(u32, u64, u64)> = filter.iter().map(|e| (e.first.get(), e.counters.rx_packets, e.counters.rx_bytes)).collect();
    assert_eq!(seen.iter().map(|vni| (vni.0, vni.1)).collect::<Vec<_>>(), [(300, 3), (301, 0)], "{filter:?}");
    assert!(seen[0].2 >= 3 * 46, "{filter:?}");
}

#[test]
fn a_namespace_that_ends_in_between_is_no_error_for_the_others() {
    let Some(stays) = Lab::new("a_namespace_that_ends_in_between_is_no_error_for_the_others") else { return };
    let Some(ends) = Lab::new("a_namespace_that_ends_in_between_is_no_error_for_the_others") else { return };
    stays.ip("link add vx1 type vxlan id 1 dstport 12346");
    ends.ip("link add vx2 type vxlan id 2 dstport 12347");
    let namespaces = [ends.namespace(), stays.namespace()];
    assert_eq!(known_ports(&namespaces), [(12346, UdpTunnel::Vxlan), (12347, UdpTunnel::Vxlan)]);
    drop(ends);
    let survey = Survey::of(&namespaces);
    assert_eq!(survey.known_ports(), [(12346, UdpTunnel::Vxlan)]);
    assert!(survey.skipped.is_empty() && survey.namespaces.len() == 1, "{survey:?}");
    let error = Kernel::open(&namespaces[0]).unwrap_err();
    assert!(error.is_gone() && error.to_string().ends_with(": has ended meanwhile"), "{error}");
}

#[test]
fn what_ends_between_looking_and_opening_is_told_and_the_others_are_opened() {
    const TEST: &str = "what_ends_between_looking_and_opening_is_told_and_the_others_are_opened";
    let labs = (Lab::new(TEST), Lab::new(TEST), Lab::new(TEST));
    let (Some(stays), Some(ends), Some(loses)) = labs else { return };
    let labels = [&stays, &ends, &loses].map(|lab| {
        for arguments in ["link add one0 type veth peer name other0", "link set other0 up", "link set one0 up"] {
            lab.ip(arguments);
        }
        format!("{}/one0", lab.name)
    });
    let places: Vec<Place> = [&stays, &ends, &loses]
        .into_iter()
        .zip(&labels)
        .map(|(lab, label)| Place { namespace: lab.namespace(), interface: "one0".into(), label: label.clone(), mac: None, vni: None })
        .collect();
    drop(ends);
    loses.ip("link del one0");
    let options = Options { snaplen: 128, promiscuous: false, buffer_bytes: 1 << 20, direction: None };
    let mut live = Live::open(&places, options, Missing::LeaveOut).unwrap();
    let open: Vec<&str> = live.interfaces().filter_map(|interface| interface.name.as_deref()).collect();
    assert_eq!(open, [labels[0].as_str()]);
    let told: Vec<String> = live.take_ended().iter().map(ToString::to_string).collect();
    let expected =
        [format!("{}: netns {}: has ended meanwhile", labels[1], places[1].namespace), format!("{}: was removed meanwhile", labels[2])];
    assert_eq!(told, expected);
    // What was asked for by name is an error, and so is it when nothing is left.
    let refused = |places: &[Place], missing| Live::open(places, options, missing).map(drop).unwrap_err().to_string();
    assert_eq!(refused(&places, Missing::Refuse), expected[0]);
    assert_eq!(refused(&places[1..], Missing::LeaveOut), expected[1]);
    // One that goes between opening and its filter is one that ended.
    stays.ip("link del one0");
    live.set_filter(false, |_| Some("udp".to_owned())).unwrap();
    let told: Vec<String> = live.take_ended().iter().map(ToString::to_string).collect();
    assert!(live.is_over() && told.len() == 1 && told[0].starts_with(&format!("{}: ", labels[0])), "{told:?}");
}

#[test]
fn a_name_that_comes_again_is_another_namespace() {
    let Some(lab) = Lab::new("a_name_that_comes_again_is_another_namespace") else { return };
    let before = lab.namespace();
    // A process keeps the old one alive, so that its number cannot come again.
    let mut keeper = Command::new("ip").args(["netns", "exec", &lab.name, "sleep", "60"]).spawn().unwrap();
    while !Namespace::by_pid(keeper.id()).is_ok_and(|namespace| namespace.is_same(&before)) {
        std::thread::yield_now();
    }
    for action in ["del", "add"] {
        assert!(run("ip", &["netns", action, &lab.name], "").unwrap().status.success());
    }
    assert!(!lab.namespace().is_same(&before));
    assert!(before.run(|| ()).unwrap_err().is_gone(), "the name leads elsewhere now");
    // Through the process it can still be found.
    let all = Namespace::all().unwrap();
    let found = all.readable.iter().find(|namespace| namespace.is_same(&before)).unwrap();
    assert_eq!(found.to_string(), format!("pid {} (sleep)", keeper.id()));
    assert_eq!(Kernel::open(found).unwrap().links().unwrap().iter().filter(|link| link.name == "lo").count(), 1);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
}

#[test]
fn all_namespaces_are_found_once_and_a_wrong_name_says_which_there_are() {
    let Some(lab) = Lab::new("all_namespaces_are_found_once_and_a_wrong_name_says_which_there_are") else { return };
    let all = Namespace::all().unwrap();
    assert!(all.readable[0].is_current());
    let found: Vec<&Namespace> = all.readable.iter().filter(|namespace| namespace.is_same(&lab.namespace())).collect();
    assert_eq!(found.iter().map(|namespace| namespace.to_string()).collect::<Vec<_>>(), [lab.name.as_str()]);
    let error = Namespace::find("overlay-no-such").unwrap_err();
    let HostErrorKind::NoSuchNamespace { found } = &error.kind else { panic!("{error}") };
    assert!(found.contains(&lab.name), "{error}");
    assert!(Namespace::find(&lab.name).unwrap().is_same(&lab.namespace()));
    assert!(Namespace::find(&format!("/run/netns/{}", lab.name)).unwrap().is_same(&lab.namespace()));
}

#[test]
fn a_task_runs_inside_and_its_thread_alone_is_there() {
    let Some(lab) = Lab::new("a_task_runs_inside_and_its_thread_alone_is_there") else { return };
    let before = Namespace::current().unwrap();
    // It may borrow, and what it opens there stays there.
    let namespace = lab.namespace();
    let (inside, sockets) =
        namespace.run(|| (namespace.is_current(), std::fs::read_to_string(Path::new("/proc/thread-self/net/dev")).unwrap())).unwrap();
    assert!(inside && sockets.lines().count() == 3, "two lines of headings and lo: {sockets}");
    assert!(before.is_current() && !namespace.is_current());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| namespace.run(|| panic!("in there"))));
    assert!(panicked.is_err() && before.is_current());
}

#[test]
fn without_the_right_to_enter_there_is_a_sentence() {
    const TEST: &str = "without_the_right_to_enter_there_is_a_sentence";
    const PART: &str = "OVERLAY_HOST_TEST_UNPRIVILEGED";
    // The test starts itself again with that right dropped: below is what that process sees.
    if let Ok(name) = std::env::var(PART) {
        let namespace = Namespace::by_name(&name).unwrap();
        let survey = Survey::of(&[Namespace::current().unwrap(), namespace]);
        assert_eq!(survey.namespaces.len(), 1, "the own namespace is read");
        let [refused] = &survey.skipped[..] else { panic!("{survey:?}") };
        assert_eq!(refused.to_string(), format!("netns {name}: not permitted; needs CAP_SYS_ADMIN (to enter another network namespace)"));
        return;
    }
    let Some(lab) = Lab::new(TEST) else { return };
    let itself = std::env::current_exe().unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]).arg(itself).args([TEST, "--exact"]);
    let output = command.env(PART, &lab.name).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
