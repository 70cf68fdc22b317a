//! Who is asked where frames go, and what becomes of the answers? With the Python program of the documentation, and with scripts.

use crate::answerer::{Answerer, dynamic};
use crate::can_run;
use crate::daemon::{CEILING, Daemon, link};
use crate::traffic::{all_answered, connect, send};
use overlay_api::channel::{FromOverlayd, FromVarpd};
use overlay_api::control::{OverlayState, TargetQuery};
use overlay_api::{Answer, DropReason, EntryState, RequestId, Source};
use overlay_decoder::{Mac, Ul3};
use overlay_lab::{Lab, Namespace, Overlay, Ping, Running, Signal};
use overlay_tests::{Peer, workspace};
use std::path::Path;
use std::time::Duration;

const NOTHING_MORE: Duration = Duration::from_millis(300);

fn mac(text: &str) -> Mac {
    text.parse().expect("a MAC")
}

/// Host 1 has overlayd and a script as its varpd, host 2 the kernel's VXLAN.
fn scripted(name: &str) -> (Lab, Daemon, Answerer) {
    let lab = Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    dynamic(&daemon, "ov77", 77, lab.host(1).ipv4().into(), "script", &[("script/id", "7")]).unwrap_or_else(|error| panic!("{error}"));
    daemon.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    let (answerer, instances) = Answerer::attach(&daemon);
    assert_eq!(instances.len(), 1);
    let instance = &instances[0];
    assert_eq!((instance.name.as_str(), instance.vnetid.get(), instance.mtu, instance.with_port), ("ov77", 77, 1450, true));
    assert_eq!(instance.properties, [("script/id".to_owned(), "7".to_owned())].into());
    assert_eq!(instance.vnics.iter().map(|vnic| vnic.mac).collect::<Vec<_>>(), [mac(lab.tenant(1, 77, 1).mac())]);
    daemon.wait("the overlay", || state(&daemon, "ov77") == (OverlayState::Up, String::new()));
    (lab, daemon, answerer)
}

fn state(daemon: &Daemon, overlay: &str) -> (OverlayState, String) {
    let overlay = daemon.client.overlay(&link(overlay)).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
    (overlay.state, overlay.reason.unwrap_or_default())
}

fn dropped(daemon: &Daemon, reason: DropReason) -> u64 {
    daemon.client.overlay(&link("ov77")).expect("an overlay").counters.dropped(reason)
}

/// Where host 2 listens.
fn there(lab: &Lab) -> Vec<Ul3> {
    vec![Ul3 { ip: lab.host(2).ipv4().into(), port: Some(4789) }]
}

/// A frame from the tenant of host 1, of an EtherType for experiments (IEEE 802, 0x88b5).
fn frame(lab: &Lab, to: Mac, text: &[u8]) -> Vec<u8> {
    [&to.0[..], &mac(lab.tenant(1, 77, 1).mac()).0, &[0x88, 0xb5], text, &[0; 46]].concat()
}

/// The frames of that EtherType that come to the tenant of a host, without their padding.
fn texts(namespace: &Namespace) -> impl FnMut() -> Option<(Mac, String)> {
    let mut frames = namespace.frames("t0", "ether proto 0x88b5").expect("frames can be heard");
    move || {
        let frame = frames.next(Duration::from_secs(2)).expect("a capture")?;
        let text = String::from_utf8_lossy(&frame[14..]).trim_end_matches('\0').to_owned();
        Some((Mac(frame[..6].try_into().expect("six bytes")), text))
    }
}

#[test]
fn a_lookup_is_asked_once_and_its_answer_holds() {
    if !can_run("a_lookup_is_asked_once_and_its_answer_holds") {
        return;
    }
    let (lab, daemon, mut varpd) = scripted("ovl_reach");
    let (here, peer) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let to = mac(peer.mac());
    let mut heard = texts(peer);
    here.send_frame("t0", &frame(&lab, to, b"one"), 1).expect("a frame");
    let lookup = varpd.lookup(to);
    assert_eq!((lookup.vni.get(), lookup.question.ethertype, lookup.question.source), (77, 0x88b5, mac(here.mac())));
    assert!(lookup.frame.starts_with(&frame(&lab, to, b"one")[..17]));
    for text in [b"two", b"thr"] {
        here.send_frame("t0", &frame(&lab, to, text), 1).expect("a frame");
    }
    // Its stack asks for neighbours meanwhile.
    while let Ok(message) = varpd.hear_within(NOTHING_MORE) {
        let again = matches!(&message, Some(FromOverlayd::Lookup(lookup)) if lookup.question.destination == to);
        assert!(!again, "one question for all that wait");
    }
    varpd.answer(lookup.request, Answer::Reach { to: there(&lab), ttl_ns: None });
    for text in ["one", "two", "thr"] {
        assert_eq!(heard(), Some((to, text.to_owned())), "{}", daemon.log());
    }
    // An answer more, one that is late, one to nobody's question: counted, and nothing else.
    varpd.answer(lookup.request, Answer::Drop { ttl_ns: None });
    varpd.answer(RequestId(1 << 40), Answer::Drop { ttl_ns: None });
    daemon.wait("the count", || daemon.client.status().is_ok_and(|status| status.answerer.late_answers == 2));
    here.send_frame("t0", &frame(&lab, to, b"fou"), 1).expect("a frame");
    assert_eq!(heard(), Some((to, "fou".to_owned())));
    // The plugin says otherwise, unasked: dropped at once; then it no longer knows, and is asked again.
    let device = lookup.device;
    varpd.say([FromVarpd::TargetSet { device, mac: to, to: vec![], ttl_ns: None }]);
    let rows = || daemon.client.targets(&link("ov77"), &TargetQuery::default()).expect("a table").rows;
    daemon.wait("the entry", || rows().iter().any(|row| row.mac == to && row.state == EntryState::Drop && row.source == Source::Plugin));
    here.send_frame("t0", &frame(&lab, to, b"fiv"), 1).expect("a frame");
    daemon.wait("the drop", || dropped(&daemon, DropReason::Refused) == 1);
    varpd.say([FromVarpd::TargetInvalidate { device, mac: to }]);
    daemon.wait("the entry to go", || rows().iter().all(|row| row.mac != to));
    here.send_frame("t0", &frame(&lab, to, b"six"), 1).expect("a frame");
    let lookup = varpd.lookup(to);
    varpd.answer(lookup.request, Answer::Reach { to: there(&lab), ttl_ns: None });
    assert_eq!(heard(), Some((to, "six".to_owned())));
    varpd.say([FromVarpd::TargetFlush(device)]);
    daemon.wait("the table to be empty", || rows().is_empty());
    // An answer that the overlay cannot use: the frame is dropped for that reason.
    here.send_frame("t0", &frame(&lab, to, b"sev"), 1).expect("a frame");
    let lookup = varpd.lookup(to);
    varpd.answer(
        lookup.request,
        Answer::Reach { to: vec![Ul3 { ip: "fd00::1".parse().expect("an address"), port: Some(1) }], ttl_ns: None },
    );
    daemon.wait("the drop", || dropped(&daemon, DropReason::AnswerInvalid) == 1);
    let answerer = daemon.client.status().expect("a status").answerer;
    assert_eq!(
        (answerer.name.as_deref(), answerer.version.as_deref(), answerer.pid),
        (Some("scripted"), Some("7"), Some(std::process::id() as i32))
    );
    assert_eq!((answerer.lookups >= 3, answerer.unusable, answerer.protocol_errors), (true, 1, 0), "{answerer:?}");
    let metrics = daemon.client.metrics().expect("metrics");
    assert!(metrics.contains("\noverlayd_answerer_attached 1\n") && metrics.contains("\noverlayd_answerer_late_answers_total 2\n"));
}

#[test]
fn a_frame_is_dropped_answered_or_replaced_as_varpd_says() {
    if !can_run("a_frame_is_dropped_answered_or_replaced_as_varpd_says") {
        return;
    }
    let (lab, daemon, mut varpd) = scripted("ovl_actions");
    let (here, peer) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let (own, to, nobody) = (mac(here.mac()), mac(peer.mac()), mac("2:0:0:0:0:99"));
    let (mut at_home, mut abroad) = (texts(here), texts(peer));
    let ask = |varpd: &mut Answerer, text: &[u8]| {
        here.send_frame("t0", &frame(&lab, nobody, text), 1).expect("a frame");
        varpd.lookup(nobody)
    };
    // Dropped, for as long as it says.
    let lookup = ask(&mut varpd, b"one");
    varpd.answer(lookup.request, Answer::Drop { ttl_ns: Some(500_000_000) });
    daemon.wait("the drop", || dropped(&daemon, DropReason::Refused) == 1);
    here.send_frame("t0", &frame(&lab, nobody, b"two"), 1).expect("a frame");
    daemon.wait("the drop", || dropped(&daemon, DropReason::Refused) == 2);
    std::thread::sleep(Duration::from_millis(600));
    // Answered by a frame for whoever asked, as a proxied ARP request is.
    let lookup = ask(&mut varpd, b"thr");
    assert_eq!(at_home().map(|(_, text)| text).as_deref(), Some("one"), "the capture sees what is sent, too");
    assert_eq!((at_home().map(|(_, text)| text), at_home().map(|(_, text)| text)), (Some("two".into()), Some("thr".into())));
    let reply = [&own.0[..], &nobody.0, &[0x88, 0xb5], b"reply", &[0; 46]].concat();
    varpd.answer(lookup.request, Answer::Inject(reply.clone()));
    assert_eq!(at_home(), Some((own, "reply".to_owned())));
    // Replaced by another frame, which asks for itself.
    let lookup = ask(&mut varpd, b"fou");
    assert_eq!(at_home().map(|(_, text)| text).as_deref(), Some("fou"));
    varpd.answer(lookup.request, Answer::Resend(frame(&lab, to, b"instead")));
    let lookup = varpd.lookup(to);
    varpd.answer(lookup.request, Answer::Reach { to: there(&lab), ttl_ns: None });
    assert_eq!(abroad(), Some((to, "instead".to_owned())), "{}", daemon.log());
    // The same unasked.
    varpd.say([
        FromVarpd::Inject { device: lookup.device, frame: reply },
        FromVarpd::Resend { device: lookup.device, frame: frame(&lab, to, b"unasked") },
    ]);
    assert_eq!((at_home(), abroad()), (Some((own, "reply".to_owned())), Some((to, "unasked".to_owned()))));
    // A broadcast asks for itself alone, or gets a list that holds.
    let broadcast = Mac([0xff; 6]);
    for (text, ttl_ns) in [("six", None), ("sev", Some(60_000_000_000))] {
        here.send_frame("t0", &frame(&lab, broadcast, text.as_bytes()), 1).expect("a frame");
        let lookup = varpd.lookup(broadcast);
        varpd.answer(lookup.request, Answer::Reach { to: there(&lab), ttl_ns });
        assert_eq!(abroad(), Some((broadcast, text.to_owned())));
    }
    here.send_frame("t0", &frame(&lab, broadcast, b"eig"), 1).expect("a frame");
    assert_eq!(abroad(), Some((broadcast, "eig".to_owned())), "nobody was asked");
    // What waits is no longer of use when its network goes.
    let lookup = ask(&mut varpd, b"nin");
    daemon.set("ov77", "vnetid", "79").expect("a property that changes live");
    let withdrawn =
        varpd.until("the withdrawal", |message| if let FromOverlayd::Withdraw(request) = message { Some(request) } else { None });
    assert_eq!(withdrawn, lookup.request);
    let told = varpd.until("the change", |message| if let FromOverlayd::Instance(instance) = message { Some(instance) } else { None });
    assert_eq!((told.device, told.vnetid.get()), (lookup.device, 79));
    daemon.client.delete_vnic(&link("v77")).expect("a VNIC");
    let gone = varpd.until("the VNIC", |message| if let FromOverlayd::VnicRemoved(vnic) = message { Some(vnic) } else { None });
    assert_eq!((gone.name.as_str(), gone.mac), ("v77", own));
    daemon.client.delete_overlay(&link("ov77")).expect("an overlay");
    let gone = varpd.until("the end", |message| if let FromOverlayd::InstanceRemoved(device) = message { Some(device) } else { None });
    assert_eq!(gone, lookup.device);
}

/// The program of `docs/lookup-protocol.md`, beside a daemon.
fn python(host: &Namespace, daemon: &Daemon) -> Running {
    let arguments = ["-u".into(), workspace().join("docs/examples/lookup.py"), daemon.paths.lookup_socket()];
    host.spawn("python3", arguments).expect("python runs")
}

/// A mapping of both hosts' tenants, in a file of the lab.
fn mapping(lab: &Lab, file: &Path, hosts: &[u16]) {
    let entry = |host: &u16| {
        let (tenant, at) = (lab.tenant(*host, 77, 1), lab.host(*host).ipv4());
        format!(r#""{}":{{"ip":"{at}","port":4789,"arp":"{}"}}"#, tenant.mac(), tenant.ipv4())
    };
    let text = format!("{{{}}}", hosts.iter().map(entry).collect::<Vec<_>>().join(","));
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file)).expect("a file can be written");
}

#[test]
fn a_hundred_lines_of_python_are_a_varpd_that_comes_and_goes() {
    let name = "a_hundred_lines_of_python_are_a_varpd_that_comes_and_goes";
    if !can_run(name) || Peer::find(name, "python3").is_none() {
        return;
    }
    let lab = Lab::builder("ovl_python").overlay(Overlay::vxlan(77).no_tunnel_on(1).no_tunnel_on(2)).build().expect("a lab comes up");
    let file = lab.host(1).folder().expect("a folder").join("map.json");
    let config = file.display().to_string();
    mapping(&lab, &file, &[1, 2]);
    let mut daemons = [1, 2].map(|host| {
        let daemon = Daemon::start(lab.host(host));
        let made = dynamic(&daemon, "ov77", 77, lab.host(host).ipv4().into(), "python", &[("python/config", &config)]);
        let made = made.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((made.state, made.reason.as_deref()), (OverlayState::Degraded, Some("nobody answers lookups yet")));
        daemon.tenant("v77", "ov77", lab.tenant(host, 77, 1));
        daemon
    });
    let mut varpds = [1, 2].map(|host| python(lab.host(host), &daemons[usize::from(host) - 1]));
    let up = |daemon: &Daemon| daemon.wait("the overlay", || state(daemon, "ov77") == (OverlayState::Up, String::new()));
    daemons.iter().for_each(up);
    let (here, peer) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    // No broadcast crosses the underlay: ARP is answered where it is asked. VXLAN 8 bytes, Ethernet 12 (RFC 7348 5).
    let mut arps = lab.host(1).frames("ul0", "udp port 4789 and udp[28:2] = 0x806 and udp[16:4] = 0xffffffff").expect("a capture");
    let reached =
        |count| all_answered(here, peer.ipv4().into(), &Ping { count, ..Ping::default() }).unwrap_or_else(|error| panic!("{error}"));
    reached(3);
    let connection = connect(here, peer, peer.ipv4().into());
    send(&connection.client, &connection.server, 1_000_000, 1);
    assert_eq!(arps.next(NOTHING_MORE).expect("a capture"), None);

    // kill -9: known destinations go on, and the overlay says what is missing.
    varpds[0].signal(Signal::KILL).expect("a process can be killed");
    daemons[0].wait("the reason", || state(&daemons[0], "ov77") == (OverlayState::Degraded, "varpd is away: it hung up".to_owned()));
    reached(200);
    varpds[0] = python(lab.host(1), &daemons[0]);
    up(&daemons[0]);
    reached(3);
    // SIGSTOP: nothing is lost in the seconds until it is noticed, nor after.
    varpds[0].signal(Signal::STOP).expect("a process can be stopped");
    reached(450);
    daemons[0].wait("the reason", || state(&daemons[0], "ov77") == (OverlayState::Degraded, "varpd is away: silent for 3 s".to_owned()));
    // A new destination waits until it is back.
    here.ip(&["neighbour flush all".into()]).expect("neighbours can be forgotten");
    daemons[0].client.flush(&link("ov77")).expect("a table can be flushed");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| all_answered(here, peer.ipv4().into(), &Ping { count: 2, wait: CEILING, ..Ping::default() }));
        std::thread::sleep(Duration::from_millis(500));
        varpds[0].signal(Signal::CONT).expect("a process can go on");
        waiting.join().expect("no panic").unwrap_or_else(|error| panic!("{error}\n{}", daemons[0].log()));
    });
    up(&daemons[0]);
    // overlayd restarts, and varpd finds it again.
    daemons[0].kill();
    daemons[0].start_again();
    up(&daemons[0]);
    send(&connection.server, &connection.client, 1_000_000, 2);
    reached(3);
    // The file changes: the flow is dropped; and changes back.
    mapping(&lab, &file, &[1]);
    daemons[0].wait("the drops", || {
        let _ = here.ping_with(peer.ipv4().into(), &Ping { count: 1, wait: Duration::from_millis(100), ..Ping::default() });
        dropped(&daemons[0], DropReason::Refused) > 0
    });
    std::fs::write(&file, "{").expect("a file can be broken");
    daemons[0].wait("the reason", || state(&daemons[0], "ov77").1.starts_with("python: Expecting"));
    mapping(&lab, &file, &[1, 2]);
    up(&daemons[0]);
    daemons[0].client.flush(&link("ov77")).expect("a table can be flushed");
    reached(3);
    // What the plugin would not start is not made.
    let refused =
        dynamic(&daemons[0], "ov78", 78, lab.host(1).ipv4().into(), "python", &[("python/config", "/nowhere")]).expect_err("it is refused");
    assert_eq!(refused.to_string(), "python: [Errno 2] No such file or directory: '/nowhere'");
    assert_eq!(daemons[0].client.overlays().expect("overlays").len(), 1);
}
