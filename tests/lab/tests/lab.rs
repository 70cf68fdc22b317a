//! Do labs come up, carry what they should, and leave nothing behind? Needs root; says so where it is not.

use overlay_lab::{
    Answers, Attach, Extension, Family, Frames, Join, Lab, LabId, Namespace, Node, Offloads, Overlay, Owner, Ping, Running, Signal,
    StateFolder, Targets, UdpLoad, UdpReport, clean, need_root, stored, wait_until,
};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than anything here takes: only what never happens gets there.
const CEILING: Duration = Duration::from_secs(20);
/// Long enough for a frame to have come if it were to come; shorter only makes the test weaker.
const SILENCE: Duration = Duration::from_millis(150);

/// Whether the test can run; if not, it is said and counted. A program is the Debian package's to name.
fn can_run(test: &str, programs: &[&str]) -> bool {
    let root = need_root().is_ok();
    let there = |program: &&str| Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let missing = ["ip", "nsenter"].iter().chain(programs).find(|program| !there(program));
    let reason = match (root, missing) {
        (false, _) => "not root".to_owned(),
        (true, Some(program)) => format!("{program} is not installed"),
        (true, None) => return true,
    };
    say(&format!("SKIPPED: {test}: {reason}"));
    if let Some(file) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
    false
}

#[allow(clippy::print_stdout, reason = "the output of a test is where its reader looks")]
fn say(remark: &str) {
    println!("{remark}");
}

/// Pings in both families, in both directions; the sentence of the first that is not answered whole.
fn reach_each_other(one: &Node, other: &Node) -> Result<(), String> {
    for (from, to) in [(one, other), (other, one)] {
        for address in [IpAddr::V4(to.ipv4()), IpAddr::V6(to.ipv6())] {
            let report = from.ping(address).map_err(|error| error.to_string())?;
            if !report.all_answered() {
                return Err(format!("{} to {} {address}: {report:?}", from.role(), to.role()));
            }
        }
    }
    Ok(())
}

fn interfaces(namespace: Option<&Namespace>) -> Vec<String> {
    let within = namespace.map(|namespace| ["-n", namespace.name()]).into_iter().flatten();
    let output = Command::new("ip").args(within).args(["-o", "link"]).output().unwrap();
    // "2: eth0@if3: <..": the number and the name.
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn exists(id: &LabId) -> bool {
    stored(&StateFolder::default()).unwrap().iter().any(|lab| lab.id == *id)
}

#[test]
fn pings_of_both_families_cross_the_tunnel_soon_after_the_start() {
    if !can_run("lab::pings_of_both_families_cross_the_tunnel_soon_after_the_start", &["ping"]) {
        return;
    }
    let start = Instant::now();
    let lab = Lab::builder("ping").overlay(Overlay::vxlan(100)).build().unwrap();
    let took = start.elapsed();
    say(&format!("up after {took:?}"));
    // A tenth of a second on an idle machine; the ceiling is for busy ones.
    assert!(took < CEILING, "{took:?}");
    let (one, two) = (lab.tenant(1, 100, 1), lab.tenant(2, 100, 1));
    // From the first echo request on: nothing is lost to links that are not ready yet.
    let mut frames = lab.host(2).frames("ul0", "udp port 4789").unwrap();
    reach_each_other(one, two).unwrap();
    let seen = frames.next(CEILING).unwrap().expect("the pings crossed the underlay inside VXLAN");
    // RFC 7348 5: I flag, then VNI 100 in three bytes, after Ethernet 14, IPv4 20, UDP 8.
    assert_eq!(seen[42..50], [8, 0, 0, 0, 0, 0, 100, 0]);
    // What fits exactly crosses in one piece, one byte more cannot: the tenants' MTU is the underlay's less the tunnel's headers.
    let ping = |size, wait| Ping { count: 1, size, dont_fragment: true, wait, ..Ping::default() };
    let crosses = |size, wait| one.ping_with(two.ipv4().into(), &ping(size, wait)).unwrap().all_answered();
    assert_eq!((crosses(1450 - 28, CEILING), crosses(1450 - 27, SILENCE)), (true, false));
}

#[test]
fn every_kind_of_tunnel_carries_pings() {
    if !can_run("lab::every_kind_of_tunnel_carries_pings", &["ping"]) {
        return;
    }
    let device = |vni| Overlay::vxlan(vni).attach(Attach::Device);
    let kinds = [
        Overlay::vxlan(1).port(8472).tenants(2),
        Overlay::vxlan(2).family(Family::V6).targets(Targets::StaticAndFlood),
        Overlay::vxlan(3).targets(Targets::Static).port(4000).tenants(2),
        device(4).family(Family::V6).port(4001),
        device(5).targets(Targets::Static).port(4002),
        Overlay::vxlan(6).extension(Extension::GroupPolicy).port(4003),
        device(7).extension(Extension::External).port(4004),
        device(8).extension(Extension::External).family(Family::V6).port(4005),
    ];
    let lab = kinds.into_iter().fold(Lab::builder("kinds"), |lab, overlay| lab.overlay(overlay)).build().unwrap();
    let mut failed = Vec::new();
    for vni in 1..=8 {
        failed.extend(reach_each_other(lab.tenant(1, vni, 1), lab.tenant(2, vni, 1)).err());
    }
    // Neighbours on one host, through its bridge.
    failed.extend(reach_each_other(lab.tenant(1, 1, 1), lab.tenant(1, 1, 2)).err());
    failed.extend(reach_each_other(lab.tenant(2, 3, 1), lab.tenant(2, 3, 2)).err());
    assert!(failed.is_empty(), "{failed:#?}\n{}", lab.describe());
}

#[test]
fn two_vnis_with_equal_tenants_do_not_mix() {
    if !can_run("lab::two_vnis_with_equal_tenants_do_not_mix", &[]) {
        return;
    }
    let lab = Lab::builder("equal").overlay(Overlay::vxlan(100)).overlay(Overlay::vxlan(200)).build().unwrap();
    let [one, other] = [100, 200].map(|vni| (lab.tenant(1, vni, 1), lab.tenant(2, vni, 1)));
    assert_eq!((one.1.ipv4(), one.1.mac()), (other.1.ipv4(), other.1.mac()));
    let at = SocketAddr::new(one.1.ipv4().into(), 7);
    let echoes = [one, other].map(|(_, server)| server.udp_echo(at).unwrap());
    let sent = |client: &Node, count| client.udp_send(&UdpLoad::new(at, count, 600)).unwrap();
    assert_eq!(sent(one.0, 101), UdpReport { sent: 101, answered: 101 });
    assert_eq!([0, 1].map(|place| echoes[place].counted()), [101, 0]);
    assert_eq!(sent(other.0, 37), UdpReport { sent: 37, answered: 37 });
    assert_eq!([0, 1].map(|place| echoes[place].counted()), [101, 37]);
}

#[test]
fn a_tagged_frame_crosses_as_it_is_in_its_vni_only() {
    if !can_run("lab::a_tagged_frame_crosses_as_it_is_in_its_vni_only", &[]) {
        return;
    }
    let lab = Lab::builder("vlan").overlay(Overlay::vxlan(100)).overlay(Overlay::vxlan(200)).build().unwrap();
    let (from, to, elsewhere) = (lab.tenant(1, 100, 1), lab.tenant(2, 100, 1), lab.tenant(2, 200, 1));
    // 802.1Q, id 10, then an EtherType for local experiments (IEEE 802 9.2.4).
    let mut frame = [&[2, 8, 0x20, 10, 0, 2, 2, 8, 0x20, 10, 0, 1, 0x81, 0, 0, 10, 0x88, 0xb5][..], b"tagged"].concat();
    frame.resize(60, 0);
    let listen = |node: &Node| -> Frames { node.frames("t0", "ether dst 02:08:20:0a:00:02").unwrap() };
    let (mut here, mut there) = (listen(to), listen(elsewhere));
    from.send_frame("t0", &frame, 3).unwrap();
    for _ in 0..3 {
        assert_eq!(here.next(CEILING).unwrap().as_ref(), Some(&frame));
    }
    assert_eq!((here.next(SILENCE).unwrap(), there.next(SILENCE).unwrap()), (None, None));
    // The same through the program, for scripts.
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    from.run(env!("CARGO_BIN_EXE_overlay-lab"), ["send-frame", "t0", &hex, "2"]).unwrap();
    for _ in 0..2 {
        assert_eq!(here.next(CEILING).unwrap().as_ref(), Some(&frame));
    }
}

#[test]
fn datagrams_of_the_program_are_sent_back_by_the_program() {
    if !can_run("lab::datagrams_of_the_program_are_sent_back_by_the_program", &[]) {
        return;
    }
    let program = env!("CARGO_BIN_EXE_overlay-lab");
    let lab = Lab::builder("udp").overlay(Overlay::vxlan(100)).build().unwrap();
    let (client, server) = (lab.tenant(1, 100, 1), lab.tenant(2, 100, 1));
    let at = format!("[{}]:7", server.ipv6());
    let mut echo = server.spawn(program, ["udp-echo", &at]).unwrap();
    echo.wait_for_log("ready", CEILING).unwrap();
    assert_eq!(client.run(program, ["udp-send", &at, "101", "1000", "40000"]).unwrap(), "sent 101 answered 101\n");
    echo.signal(Signal::INT).unwrap();
    assert!(echo.wait(CEILING).unwrap().success());
    assert_eq!(echo.log(), format!("ready {at}\nreceived 101\n"));
    assert_eq!(client.run(program, ["udp-send", &at, "3", "10", "--one-way"]).unwrap(), "sent 3 answered 0\n");
}

#[test]
fn nothing_is_left_even_after_a_panic_and_the_host_is_never_touched() {
    if !can_run("lab::nothing_is_left_even_after_a_panic_and_the_host_is_never_touched", &[]) {
        return;
    }
    let before = interfaces(None);
    let mut built: Option<(LabId, Running)> = None;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = Lab::builder("panic").hosts(3).overlay(Overlay::vxlan(100)).build().unwrap();
        assert_eq!(interfaces(None), before, "while a lab is there");
        let ours = interfaces(Some(lab.host(1)));
        assert!(ours.iter().any(|name| name.contains("ul0")) && ours.iter().any(|name| name.contains("vx100")), "{ours:?}");
        // It outlives this closure, and would outlive the lab.
        let sleeper = lab.tenant(1, 100, 1).spawn("sleep", ["1000"]).unwrap();
        built = Some((lab.id().clone(), sleeper));
        assert!(exists(lab.id()));
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let (id, mut sleeper) = built.expect("the lab was built");
    assert!(!sleeper.is_running(), "a program in the lab ends with it");
    assert!(!exists(&id), "{id:?} is still there");
    assert!(!StateFolder::default().of(&id).exists());
    assert_eq!(interfaces(None), before);
}

#[test]
fn a_lab_that_cannot_be_completed_leaves_nothing() {
    if !can_run("lab::a_lab_that_cannot_be_completed_leaves_nothing", &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The kernel has one socket per port, and it either reads group policies or does not.
    let broken = Lab::builder("broken").overlay(Overlay::vxlan(1)).overlay(Overlay::vxlan(2).extension(Extension::GroupPolicy));
    let error = broken.state_folder(folder.path()).build().map(drop).unwrap_err().to_string();
    assert!(error.starts_with("`ip -n ovlab-") && error.contains("-broken-h1 link set vx2 up` ended with "), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(stored(&StateFolder::default()).unwrap().iter().all(|lab| lab.id.name != "broken"));
}

#[test]
fn labs_of_one_name_live_side_by_side() {
    if !can_run("lab::labs_of_one_name_live_side_by_side", &["ping"]) {
        return;
    }
    let one = || {
        let lab = Lab::builder("twin").overlay(Overlay::vxlan(100)).build().unwrap();
        reach_each_other(lab.tenant(1, 100, 1), lab.tenant(2, 100, 1)).unwrap();
        lab
    };
    let (first, second) = std::thread::scope(|scope| {
        let threads = [scope.spawn(one), scope.spawn(one)];
        let [first, second] = threads.map(|thread| thread.join().unwrap());
        (first, second)
    });
    assert_ne!(first.id(), second.id());
    first.remove().unwrap();
    reach_each_other(second.tenant(1, 100, 1), second.tenant(2, 100, 1)).unwrap();
}

#[test]
fn the_lab_of_a_killed_process_is_swept_and_no_other() {
    if !can_run("lab::the_lab_of_a_killed_process_is_swept_and_no_other", &[]) {
        return;
    }
    let mine = Lab::builder("mine").overlay(Overlay::vxlan(100)).build().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_overlay-lab"));
    command.args(["up", "killed", "--foreground"]).stdout(Stdio::piped());
    let mut running = Running::start(command).unwrap();
    let stdout = BufReader::new(running.child().stdout.take().unwrap());
    let label = stdout.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("ready ").map(str::to_owned)).expect("it comes up");
    let id = LabId::of_label(&label).unwrap();
    assert_eq!(id.owner, Owner::Process { pid: running.id(), count: 1 });
    let state = StateFolder::default();
    clean(&state).unwrap();
    assert!(exists(&id), "its owner is alive");

    // A program in it that goes on after the owner's end.
    let lab = stored(&state).unwrap().into_iter().find(|lab| lab.id == id).unwrap();
    let mut sleeper = lab.namespace("h1").unwrap().spawn("sleep", ["1000"]).unwrap();
    drop(running); // killed: SIGKILL leaves it no time to remove anything
    assert!(exists(&id));
    clean(&state).unwrap();
    assert!(!exists(&id) && !state.of(&id).exists());
    wait_until("the end of its program", CEILING, || !sleeper.is_running()).unwrap();
    assert!(exists(mine.id()), "a living process keeps its lab");
}

#[test]
fn a_kept_lab_stays_until_it_is_taken_down() {
    if !can_run("lab::a_kept_lab_stays_until_it_is_taken_down", &["ping"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = format!("kept{}", std::process::id());
    let lab = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overlay-lab"));
        let output = command.args(arguments).env("OVERLAY_LAB_DIR", folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, printed, errors) = lab(&["up", &name, "--vni", "77", "--ipv6", "--wire-like"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{printed}");
    assert!(printed.contains("vni 77 port 4789 over IPv6") && printed.contains(&format!("ready {name};")), "{printed}");
    let (code, _, errors) = lab(&["up", &name]);
    assert_eq!((code, errors), (Some(1), format!("overlay-lab: lab {name}: there is one already; `overlay-lab down {name}` removes it\n")));
    let (_, shown, _) = lab(&["show"]);
    let enter = format!("overlay-lab exec {name} h2v77t1 bash    # ip netns exec ovlab-up-{name}-h2v77t1 bash");
    assert!(shown.contains(&format!("== {name}\n")) && shown.contains(&enter), "{shown}");
    assert!(shown.contains("`-- h2  ul0 10.88.0.2"), "{shown}");
    lab(&["clean"]);
    let (code, printed, errors) = lab(&["exec", &name, "h1v77t1", "ping", "-c", "1", "10.0.0.2"]);
    assert_eq!(code, Some(0), "{printed}{errors}");
    let (code, _, errors) = lab(&["exec", &name, "h9", "true"]);
    assert_eq!((code, errors.contains("h9 in lab")), (Some(1), true), "{errors}");
    assert_eq!(lab(&["down", &name]), (Some(0), String::new(), String::new()));
    assert!(!lab(&["show"]).1.contains(&format!("== {name}\n")));
    assert_eq!(lab(&["down", &name]).0, Some(1));
}

#[test]
fn a_wire_like_link_does_nothing_for_the_stack() {
    if !can_run("lab::a_wire_like_link_does_nothing_for_the_stack", &["ethtool"]) {
        return;
    }
    let lab = Lab::builder("wire").join(Join::Switch).offloads(Offloads::WireLike).mtu(9000).overlay(Overlay::vxlan(100)).build().unwrap();
    let switch = lab.switch().unwrap();
    let features = |namespace: &Namespace, port| namespace.run("ethtool", ["-k", port]).unwrap();
    for text in [features(lab.host(1), "ul0"), features(lab.host(2), "ul0"), features(&switch, "p1"), features(&switch, "p2")] {
        for feature in
            ["tcp-segmentation-offload", "generic-segmentation-offload", "generic-receive-offload", "tx-checksumming", "rx-checksumming"]
        {
            assert!(text.contains(&format!("{feature}: off")), "{feature} in {text}");
        }
        assert!(text.contains("tx-udp_tnl-segmentation: off") && text.contains("tx-udp_tnl-csum-segmentation: off"), "{text}");
    }
    // Cutting the wire at the switch and mending it.
    let (one, two) = (lab.tenant(1, 100, 1), lab.tenant(2, 100, 1));
    let at = SocketAddr::new(two.ipv6().into(), 7);
    let echo = two.udp_echo(at).unwrap();
    let answered = |count| one.udp_send(&UdpLoad { answers: Answers::Collect(SILENCE), ..UdpLoad::new(at, count, 8000) }).unwrap().answered;
    wait_until("the first answer", CEILING, || answered(1) == 1).unwrap();
    switch.ip(&["link set p2 down".to_owned()]).unwrap();
    let counted = echo.counted();
    assert_eq!((answered(11), echo.counted()), (0, counted));
    switch.ip(&["link set p2 up".to_owned()]).unwrap();
    wait_until("answers on the mended wire", CEILING, || answered(1) == 1).unwrap();
}

#[test]
fn loss_is_made_with_nft_and_rate_with_tc() {
    if !can_run("lab::loss_is_made_with_nft_and_rate_with_tc", &["nft", "tc"]) {
        return;
    }
    let lab = Lab::builder("loss").overlay(Overlay::vxlan(100)).build().unwrap();
    let (client, server, host) = (lab.tenant(1, 100, 1), lab.tenant(2, 100, 1), lab.host(2));
    let at = SocketAddr::new(server.ipv4().into(), 7);
    let _echo = server.udp_echo(at).unwrap();
    let answered = || client.udp_send(&UdpLoad { answers: Answers::Collect(SILENCE), ..UdpLoad::new(at, 11, 100) }).unwrap().answered;
    wait_until("the first answers", CEILING, || answered() == 11).unwrap();
    host.nft("table inet lab {\n chain in {\n type filter hook input priority 0\n udp dport 4789 drop\n }\n}").unwrap();
    assert_eq!(answered(), 0);
    host.nft("flush ruleset").unwrap();
    wait_until("answers again", CEILING, || answered() == 11).unwrap();
    host.tc(&["qdisc", "add", "dev", "ul0", "root", "tbf", "rate", "100mbit", "burst", "16kb", "latency", "50ms"]).unwrap();
    wait_until("answers at a lower rate", CEILING, || answered() == 11).unwrap();
    let error = host.nft("add rule inet nowhere in drop").unwrap_err().to_string();
    assert!(error.contains("nft 'add rule inet nowhere in drop'"), "{error}");
}

#[test]
fn an_interface_of_a_program_becomes_the_tenants() {
    if !can_run("lab::an_interface_of_a_program_becomes_the_tenants", &["ping"]) {
        return;
    }
    let lab = Lab::builder("program").overlay(Overlay::vxlan(100).no_tunnel_on(2)).build().unwrap();
    let (host, tenant) = (lab.host(2), lab.tenant(2, 100, 1));
    assert_eq!(interfaces(Some(tenant)), ["1 lo"]);
    // Stands in for a program under test: a tunnel made by hand, moved to the tenant under another name.
    let add = "link add vnic0 type vxlan id 100 local 10.88.0.2 remote 10.88.0.1 dev ul0 dstport 4789".to_owned();
    host.ip(&[add, format!("link set vnic0 netns {}", tenant.name())]).unwrap();
    tenant.configure("vnic0").unwrap();
    reach_each_other(lab.tenant(1, 100, 1), tenant).unwrap();
    let folder = host.folder().unwrap();
    assert!(folder.is_dir());
    lab.remove().unwrap();
    assert!(!folder.exists());
}
