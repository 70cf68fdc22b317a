//! What does overlayd bear from who answers lookups? Nonsense, silence, strangers, refusals, floods.

use crate::answerer::{Answerer, dynamic, hello};
use crate::can_run;
use crate::daemon::{Daemon, link};
use crate::traffic::all_answered;
use overlay_api::channel::{FromOverlayd, FromVarpd, PACKET_MAX, VERSION, Verified};
use overlay_api::control::{OverlayState, SetTarget};
use overlay_api::{Answer, StaticTarget};
use overlay_decoder::Ul3;
use overlay_lab::{Family, Lab, Overlay, Ping};
use overlay_tests::{Peer, Run, skip, workspace};

fn lab(name: &str) -> Lab {
    Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up")
}

fn reason(daemon: &Daemon, overlay: &str) -> String {
    let overlay = daemon.client.overlay(&link(overlay)).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
    overlay.reason.unwrap_or_default()
}

#[test]
fn who_is_no_varpd_is_told_so_and_counted() {
    if !can_run("who_is_no_varpd_is_told_so_and_counted") {
        return;
    }
    let lab = lab("ovl_refused");
    let daemon = Daemon::start(lab.host(1));
    dynamic(&daemon, "ov77", 77, lab.host(1).ipv4().into(), "script", &[("script/id", "7")]).unwrap_or_else(|error| panic!("{error}"));
    let refused = |first: &[u8]| {
        let answerer = Answerer::connect(&daemon);
        answerer.send(first);
        answerer.refused()
    };
    assert_eq!(refused(b"GET /"), "at byte 0 of a packet: 5 bytes are left; a message has at least 8");
    assert_eq!(refused(&[8, 0, 0, 0, 99, 0, 0, 0]), "the first message is not hello");
    assert!(refused(&[9, 0, 0, 0, 1, 0, 0, 0, b'x']).starts_with("at byte 0 of a packet: message of type 1: expected value"));
    let other = Answerer::connect(&daemon);
    other.say([hello(&[2, 3])]);
    assert_eq!(other.refused(), "it speaks versions [2, 3] of the protocol; version 1 is spoken here");
    let early = Answerer::connect(&daemon);
    early.say([FromVarpd::Pong(1)]);
    assert_eq!(early.refused(), "the first message is not hello");
    assert_eq!(Answerer::connect(&daemon).refused(), "has not said hello within 2 s");
    let (varpd, _) = Answerer::attach(&daemon);
    let second = Answerer::connect(&daemon);
    second.say([hello(&[VERSION])]);
    let pid = std::process::id();
    assert_eq!(second.refused(), format!("another varpd is attached: scripted (pid {pid}); one at a time can be"));
    let answerer = daemon.client.status().expect("a status").answerer;
    assert_eq!((answerer.attached, answerer.refused, answerer.protocol_errors), (true, 7, 0));
    assert!(daemon.log().contains(&format!("lookup socket: pid {pid}, uid 0 is refused: another varpd is attached")), "{}", daemon.log());
    // What the attached one says that is none of it ends the connection, and nothing else.
    varpd.say([hello(&[VERSION])]);
    assert_eq!(varpd.refused(), "hello was said twice; it is the first message and no other");
    for (said, why) in
        [(vec![0; 100], "says 0 bytes; 8 to 100 are possible"), (vec![0; PACKET_MAX + 1], "a packet of more than 65536 bytes")]
    {
        let (varpd, _) = Answerer::attach(&daemon);
        varpd.send(&said);
        let told = varpd.refused();
        assert!(told.ends_with(why), "{told}");
        daemon.wait("the reason", || reason(&daemon, "ov77") == format!("varpd is away: {told}"));
    }
    assert_eq!(daemon.client.status().expect("a status").answerer.protocol_errors, 3);
    drop(Answerer::attach(&daemon));
    daemon.wait("the reason", || reason(&daemon, "ov77") == "varpd is away: it hung up");
}

#[test]
fn a_stranger_may_not_answer_but_the_user_of_the_option_may() {
    let name = "a_stranger_may_not_answer_but_the_user_of_the_option_may";
    if !can_run(name) || Peer::find(name, "setpriv").is_none() {
        return;
    }
    // One that every user may run; the first on PATH may be root's own.
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        return skip(name, "there is no /usr/bin/python3");
    }
    let lab = lab("ovl_uid");
    let daemon = Daemon::start_with(lab.host(1), &["--varpd-user", "65534"]);
    // A short way that everybody may go, and a mode that lets strangers get as far as the question who they are.
    let short = tempfile::Builder::new().prefix("ovl").tempdir_in("/tmp").expect("a folder");
    let place = |program: &str| short.path().join(program);
    let open = |mode: &str, what: &std::path::Path| assert_eq!(Run::new("chmod").args([mode.as_ref(), what.as_os_str()]).end().code, 0);
    open("755", short.path());
    std::fs::copy(workspace().join("docs/examples/lookup.py"), place("lookup.py")).expect("a copy");
    let socket = daemon.paths.lookup_socket();
    std::fs::hard_link(&socket, place("sock")).or_else(|_| std::os::unix::fs::symlink(&socket, place("sock"))).expect("a link");
    let start = |uid: &str| {
        let program = [format!("--reuid={uid}"), "--regid=65533".into(), "--clear-groups".into(), python.into(), "-u".into()];
        let program = program.into_iter().chain([place("lookup.py"), place("sock")].map(|path| path.display().to_string()));
        Run::new("setpriv").args(program).start()
    };
    start("65532").wait_for("to be kept out", |said| said.contains("Permission denied"));
    open("666", &socket);
    start("65532")
        .wait_for("the refusal", |said| said.contains("refused: uid 65532 may not answer lookups; root and uid 65534 may (--varpd-user)"));
    let mut own = start("65534");
    own.wait_for("to be let in", |said| said.contains("attached"));
    let answerer = daemon.client.status().expect("a status").answerer;
    assert_eq!((answerer.uid, answerer.refused >= 1, answerer.plugins.len()), (Some(65534), true, 1));
}

#[test]
fn what_the_plugin_does_not_allow_is_refused_and_changes_nothing() {
    if !can_run("what_the_plugin_does_not_allow_is_refused_and_changes_nothing") {
        return;
    }
    let lab = lab("ovl_verify");
    let daemon = Daemon::start(lab.host(1));
    let listen = lab.host(1).ipv4().into();
    let make = |name: &str, vni, search: &str, own: &[(&str, &str)]| {
        dynamic(&daemon, name, vni, listen, search, own).map_err(|error| error.to_string())
    };
    // While nobody is there, all of it is taken; what is wrong shows when somebody comes.
    make("lost", 70, "scrpt", &[("scrpt/x", "1")]).expect("nobody knows better");
    make("wrong", 71, "script", &[("script/id", "10")]).expect("nobody knows better");
    make("right", 72, "script", &[("script/id", "9")]).expect("nobody knows better");
    let (mut varpd, instances) = Answerer::attach(&daemon);
    assert_eq!(instances.iter().map(|instance| instance.name.as_str()).collect::<Vec<_>>(), ["right"]);
    let unknown = "search scrpt: scripted has no plugin of that name; did you mean script? (there are direct, and of plugins script)";
    daemon.wait("the reasons", || (reason(&daemon, "lost"), reason(&daemon, "right")) == (unknown.to_owned(), String::new()));
    assert_eq!(reason(&daemon, "wrong"), "property script/id: \"10\" is not allowed; 1-9 is");
    // With somebody there, it is refused at once.
    assert_eq!(make("ov78", 78, "scrpt", &[]), Err(unknown.to_owned()));
    assert_eq!(make("ov78", 78, "script", &[]), Err("property script/id: is required and not set; 1-9 is allowed".to_owned()));
    let typed = "property script/zome: there is no such property; did you mean script/zone?";
    assert_eq!(make("ov78", 78, "script", &[("script/id", "1"), ("script/zome", "a")]), Err(typed.to_owned()));
    // The plugin itself is asked, and may say no, yes, or nothing.
    let verify = |varpd: &mut Answerer| {
        varpd.until("the question", |message| if let FromOverlayd::Verify(request) = message { Some(request) } else { None })
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| make("ov78", 78, "script", &[("script/id", "1"), ("script/zone", "b")]));
        let request = verify(&mut varpd);
        assert_eq!((request.instance.name.as_str(), request.instance.vnetid.get(), request.instance.properties.len()), ("ov78", 78, 2));
        varpd.say([FromVarpd::Verified(Verified { token: request.token, problem: Some("zone b: is full".into()) })]);
        assert_eq!(asked.join().expect("no panic"), Err("zone b: is full".to_owned()));
    });
    assert_eq!(daemon.client.overlays().expect("overlays").len(), 3);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| make("ov78", 78, "script", &[("script/id", "1")]));
        let token = verify(&mut varpd).token;
        varpd.say([FromVarpd::Verified(Verified { token, problem: None })]);
        assert_eq!(asked.join().expect("no panic").expect("an overlay").state, OverlayState::Up);
    });
    let told = varpd.until("the instance", |message| if let FromOverlayd::Instance(instance) = message { Some(instance) } else { None });
    assert_eq!(told.name.as_str(), "ov78");
    varpd.say([FromVarpd::State { device: told.device, degraded: Some("zone a: is\nslow".into()) }]);
    daemon.wait("the reason", || reason(&daemon, "ov78") == "zone a: is slow");
    varpd.say([FromVarpd::State { device: told.device, degraded: None }]);
    daemon.wait("the overlay", || reason(&daemon, "ov78").is_empty());
    let doubtful = std::thread::scope(|scope| {
        let asked = scope.spawn(|| make("ov79", 79, "script", &[("script/id", "1")]));
        verify(&mut varpd);
        asked.join().expect("no panic").expect("an overlay")
    });
    assert_eq!(doubtful.reason.as_deref(), Some("its plugin has not said within 2 s whether it can do this"));
    // Properties of the plugin: shown with what it declares, checked, asked, told.
    let shown = |name: &str| {
        let all = daemon.client.overlay_properties(&link("ov78")).expect("properties");
        all.into_iter().find(|property| property.name == name).map(|property| (property.possible, property.value, property.set))
    };
    assert_eq!(shown("script/zone"), Some(("a,b".into(), Some("a".into()), false)));
    assert_eq!(daemon.set("ov78", "script/zone", "c"), Err("property script/zone: \"c\" is not allowed; a,b is".to_owned()));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| daemon.set("ov78", "script/zone", "b"));
        let request = verify(&mut varpd);
        varpd.say([FromVarpd::Verified(Verified { token: request.token, problem: None })]);
        assert_eq!(
            (asked.join().expect("no panic"), request.instance.properties.get("script/zone").map(String::as_str)),
            (Ok(()), Some("b"))
        );
    });
    assert_eq!(shown("script/zone"), Some(("a,b".into(), Some("b".into()), true)));
    let told = varpd.until("the change", |message| if let FromOverlayd::Instance(instance) = message { Some(instance) } else { None });
    assert_eq!(told.properties.get("script/zone").map(String::as_str), Some("b"));
    assert_eq!(daemon.set("ov78", "search", "direct"), Err("property search: cannot be changed (PERM r-)".to_owned()));
}

#[test]
fn a_flood_of_unknown_destinations_waits_in_its_own_bounds() {
    let name = "a_flood_of_unknown_destinations_waits_in_its_own_bounds";
    if !can_run(name) || Peer::find(name, "python3").is_none() {
        return;
    }
    let lab = Lab::builder("ovl_flood").overlay(Overlay::vxlan(77).no_tunnel_on(1)).overlay(Overlay::vxlan(78).no_tunnel_on(1));
    let lab = lab.build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    let (listen, there) = crate::daemon::way(&lab, 1, Family::V4);
    for vni in [77, 78] {
        let name = format!("ov{vni}");
        dynamic(&daemon, &name, vni, listen, "script", &[("script/id", "7")]).unwrap_or_else(|error| panic!("{error}"));
        daemon.tenant(&format!("v{vni}"), &name, lab.tenant(1, vni, 1));
    }
    let to = Ul3 { ip: there, port: Some(4789) };
    let all = StaticTarget::Reach(vec![to]);
    for mac in [lab.tenant(2, 77, 1).mac(), "ff:ff:ff:ff:ff:ff"] {
        daemon.client.set_target(&link("ov77"), mac.parse().expect("a MAC"), &SetTarget { to: all.clone() }).expect("a target");
    }
    let (mut varpd, _) = Answerer::attach(&daemon);
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    let before = memory();
    // 10,000 destinations that nobody knows, with long frames, while varpd reads nothing at all.
    let flooder = lab.tenant(1, 78, 1);
    let script = "import socket, struct, time\n\
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
        raw.bind(('t0', 0))\n\
        for number in range(10000):\n    \
            raw.send(struct.pack('>HI6sH', 0x0209, number, bytes.fromhex('0208200b0001'), 0x88b5) + bytes(1000))\n    \
            time.sleep(0.001 if number % 20 == 0 else 0)\n";
    flooder.run("python3", ["-c", script]).expect("python sends");
    let overlay = || daemon.client.overlay(&link("ov78")).expect("an overlay");
    daemon.wait("the caps", || overlay().lookups > 5000);
    let waiting = overlay();
    assert!(waiting.lookups <= 8192 && waiting.pending_bytes <= 8 << 20, "{waiting:?}");
    assert!(memory() < before + 64 * 1024, "{} kB before, {} kB now", before, memory());
    // The other overlay has its own.
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &Ping { count: 20, ..Ping::default() }).unwrap();
    // And when varpd reads again, it finds all that is still asked.
    let mut answered = 0;
    while answered < 5000 {
        let lookup = varpd.until("a lookup", |message| if let FromOverlayd::Lookup(lookup) = message { Some(lookup) } else { None });
        varpd.answer(lookup.request, Answer::Drop { ttl_ns: None });
        answered += 1;
    }
    assert_eq!(daemon.client.status().expect("a status").answerer.protocol_errors, 0);
}
