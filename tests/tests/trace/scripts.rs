//! Do the scripts answer their questions with the right numbers? One story, watched by every script at once, through overlay-trace.
//!
//! Frames are of an EtherType for experiments, which no proxy looks into and nobody else sends. Scripts listen before there is an overlay, and
//! tenants are taken off before the scripts end: so what one script counts is what another one and the daemon count.

use crate::daemon::link;
use crate::stack::{Stack, VNI, bytes, frame};
use crate::trace::{Told, Trace, can_trace, overlay_trace};
use overlay_api::control::Counters;
use overlay_lab::Signal;
use overlay_tests::{Run, ndjson, program, skip, workspace};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

/// How often things happen: numbers that do not come about by chance, nor as the multiple of another one.
const KNOWN: u64 = 17;
const BACK: u64 = 13;
const REFUSED: u64 = 7;
const FOREIGN: u64 = 11;
const WAITING: u64 = 5;
const LOCAL: u64 = 19;
const FLOODED: u64 = 23;
const TOO_BIG: u64 = 3;
const CALLS: u64 = 29;
/// The first mapping and two that take its place.
const RELOADS: u64 = 3;

/// For local experiments (RFC 5342 B.2).
const EXPERIMENT: u16 = 0x88b5;
/// Bytes of a frame of the story.
const LEN: usize = 131;
/// Nobody has them; the second is set for the story, so that frames wait for it.
const STRANGER: &str = "02:00:00:00:07:01";
const NEWCOMER: &str = "02:00:00:00:07:02";
/// Their sender; nothing else is ever sent from it.
const SENDER: &str = "02:00:00:00:07:99";
const FOREIGN_VNI: u32 = 4242;

/// Questions of the stack: those of the kernel have tests of their own.
fn questions() -> Vec<String> {
    let listed = overlay_trace(["--list"]).end().good();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| !name.starts_with("kernel-")).map(str::to_owned).collect()
}

#[test]
fn every_script_counts_what_happened() {
    if !can_trace("every_script_counts_what_happened") {
        return;
    }
    let mut stack = Stack::start("trc_scripts");
    let root = stack.hosts[0].overlayd.paths.root().display().to_string();
    let capture = stack.hosts[0].overlayd.paths.root().join("frames.pcapng").display().to_string();
    let names: Vec<String> = questions().into_iter().filter(|name| name != "frames").collect();
    assert!(names.len() >= 14, "{names:?}");
    let mut traces: BTreeMap<&str, Trace> = names.iter().map(|name| (&**name, Trace::ask([name, "--root", &root]))).collect();
    // The same questions about less.
    traces.insert("drops of one", Trace::ask(["drops", "--root", &root, "--vni", &VNI.to_string(), "--mac", STRANGER]));
    traces.insert("path of one", Trace::ask(["path", "--root", &root, "--vni", &VNI.to_string(), "--mac", NEWCOMER]));
    traces.insert("talkers of none", Trace::ask(["talkers", "--root", &root, "--vni", "4241"]));
    let mut frames = overlay_trace(["frames", "-w", &capture, "--root", &root, "--mac", SENDER]).start();
    frames.wait_for_message("it to listen", |said| said.contains("writing"));
    for trace in traces.values_mut() {
        trace.attached();
    }

    stack.join();
    story(&mut stack);
    stack.silence();
    let counters = last_counters(&stack);
    let told: BTreeMap<&str, Told> = traces.into_iter().map(|(name, trace)| (name, trace.end())).collect();

    talk(&stack, &told, &counters);
    drops(&told, &counters);
    table(&stack, &told, &counters);
    lookups(&stack, &told, &counters);
    one_path(&told["path of one"]);
    data_path(&told, &counters);
    control(&stack, &told);

    frames.signal("INT");
    let ended = frames.end_with_open_input();
    assert_eq!((ended.code, &*ended.stdout), (0, ""), "{}", ended.stderr);
    let sent = KNOWN + REFUSED + WAITING + LOCAL + FLOODED + TOO_BIG;
    assert!(ended.stderr.ends_with(&format!("overlay-trace: {capture}: {sent} frames of 1 networks\n")), "{}", ended.stderr);
    captured(&stack, &capture);
}

/// What host 1 has counted when the last frame has gone its way: a tenant that is taken off may have spoken just before.
fn last_counters(stack: &Stack) -> Counters {
    let counted = || stack.hosts[0].overlayd.client.status().expect("a status").counters;
    let mut before = counted();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let after = counted();
        if after == before {
            return after;
        }
        before = after;
    }
}

/// All that happens on host 1.
fn story(stack: &mut Stack) {
    let host = &stack.hosts[0];
    let mac = |host, tenant| stack.tenant(host, tenant).mac().to_owned();
    let sender = stack.tenant(1, 1);
    let send = |to: &str, len: usize, count: u64| {
        sender.send_frame("t0", &frame(&bytes(to), &bytes(SENDER), EXPERIMENT, b"", len), count as u32).expect("frames can be sent");
    };
    let counted = || host.overlayd.client.status().expect("a status").counters;
    let overlay = link("ov77");

    // A mapping with the newcomer, one that is broken, and the good one again: the one before serves on.
    let mut more = stack.mapping();
    let beside = json!({"ip": stack.lab.host(2).ipv4(), "port": 4789});
    more.insert(NEWCOMER.into(), beside.clone());
    host.map(VNI, &more);
    host.wait("the mapping", || host.instance(VNI).entries == Some(5));
    host.write(VNI, "{");
    host.wait("the refusal", || !host.state(VNI).1.is_empty());
    more.insert("02:00:00:00:07:03".into(), beside);
    host.map(VNI, &more);
    host.wait("the other mapping", || host.instance(VNI).entries == Some(6));
    host.wait_up(VNI);

    send(&mac(2, 1), LEN, KNOWN);
    let back = frame(&bytes(&mac(1, 1)), &bytes(&mac(2, 1)), EXPERIMENT, b"", LEN);
    stack.tenant(2, 1).send_frame("t0", &back, BACK as u32).expect("frames can be sent");
    host.wait("what comes back", || counted().delivered == BACK);
    send(STRANGER, LEN, REFUSED);
    host.wait("the refusals", || counted().drops.get("refused") == Some(&REFUSED));
    send(&mac(1, 2), LEN, LOCAL);
    host.wait("the neighbour", || counted().local == LOCAL);
    send("ff:ff:ff:ff:ff:ff", LEN, FLOODED);

    // While nobody answers, frames wait.
    let varpd = host.varpd.status().expect("a status").pid.to_string();
    let signal = |signal: &str| assert_eq!(Run::new("kill").args([signal, &varpd]).end().code, 0);
    signal("-STOP");
    let sent = counted().sent;
    send(NEWCOMER, LEN, WAITING);
    host.wait("frames to wait", || {
        let rows = host.overlayd.client.targets(&overlay, &Default::default()).expect("a table").rows;
        rows.iter().any(|row| row.mac.to_string() == NEWCOMER && row.pending_bytes >= WAITING * LEN as u64)
    });
    signal("-CONT");
    host.wait("frames to leave", || counted().sent == sent + WAITING);

    let foreign = [&[8, 0, 0, 0][..], &FOREIGN_VNI.to_be_bytes()[1..], &[0], &back].concat();
    let to = (stack.lab.host(1).ipv4(), 4789);
    let send_foreign = || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for _ in 0..FOREIGN {
            socket.send_to(&foreign, to).expect("a datagram can be sent");
        }
    };
    stack.lab.host(2).enter(send_foreign).expect("a namespace");
    host.wait("what is foreign", || counted().drops.get("unknown-vni") == Some(&FOREIGN));

    // The VNIC would send more than the overlay takes.
    sender.ip(&["link set t0 mtu 3000".into()]).expect("an MTU can be set");
    send(&mac(2, 2), 2000, TOO_BIG);
    host.wait("what is too big", || counted().drops.get("too-big") == Some(&TOO_BIG));

    for (vl3, count) in [(stack.tenant(2, 2).ipv4().octets(), 3), ([10, 0, 0, 99], 2)] {
        let request = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &bytes(sender.mac()), &sender.ipv4().octets(), &[0; 6], &vl3].concat();
        let request = frame(&[0xff; 6], &bytes(sender.mac()), 0x0806, &request, 60);
        sender.send_frame("t0", &request, count).expect("frames can be sent");
    }
    for _ in 0..CALLS {
        host.overlayd.client.overlay(&link("nosuch")).expect_err("there is none");
        host.varpd.instance(&link("nosuch")).expect_err("there is none");
    }
}

fn talk(stack: &Stack, told: &BTreeMap<&str, Told>, counters: &Counters) {
    let (told, none) = (&told["talkers"], &told["talkers of none"]);
    let pair = |from: &str, host, tenant| format!("{VNI},{from},{}", stack.tenant(host, tenant).mac());
    let bytes_of = |count: u64| count * LEN as u64;
    assert_eq!(told.count("@bytes_sent_by_pair", &pair(SENDER, 2, 1)), bytes_of(KNOWN));
    assert_eq!(told.count("@bytes_sent_by_pair", &pair(SENDER, 1, 2)), bytes_of(LOCAL));
    assert_eq!(told.map("@bytes_received_by_pair"), [(&*pair(stack.tenant(2, 1).mac(), 1, 1), bytes_of(BACK))].into());
    assert_eq!(told.map("@frames_sent"), [("77", counters.frames_in)].into());
    assert_eq!(told.map("@bytes_sent"), [("77", counters.frames_in_bytes)].into());
    assert_eq!(told.map("@frames_sent_to"), [("77,10.88.0.2:4789", counters.datagrams_out)].into());
    assert_eq!((told.sum("@frames_received"), told.sum("@frames_received_from")), (BACK, BACK));
    assert_eq!((none.sum("@frames_sent"), none.sum("@bytes_received")), (0, 0), "of a network that nobody has: {none:?}");
}

fn drops(told: &BTreeMap<&str, Told>, counters: &Counters) {
    let by_reason = |maps: [&str; 2]| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (key, count) in maps.into_iter().flat_map(|map| told["drops"].map(map)) {
            *sums.entry(key.split(',').nth(1).expect("a reason").to_owned()).or_default() += count;
        }
        sums
    };
    let with_peers = by_reason(["@dropped_tx", "@dropped_rx"]);
    let mut by_reason = by_reason(["@dropped_tx_by_reason", "@dropped_rx_by_reason"]);
    assert_eq!(with_peers, by_reason, "{:?}", told["drops"]);
    // A copy of a multicast frame that a VNIC on its way down refuses is the VNIC's loss: the overlay's counter has the frame as flooded.
    if !counters.drops.contains_key("local-failed") {
        by_reason.remove("local-failed");
    }
    assert_eq!(by_reason, counters.drops, "{:?}", told["drops"]);
    let refused = format!("{VNI},refused,{STRANGER}");
    assert_eq!(told["drops"].count("@dropped_tx", &refused), REFUSED);
    assert_eq!((told["drops of one"].map("@dropped_tx"), told["drops of one"].sum("@dropped_rx")), ([(&*refused, REFUSED)].into(), 0));
    let unknown = told["drops"].map("@dropped_rx");
    let unknown: Vec<_> = unknown.into_iter().filter(|(key, _)| key.contains(",unknown-vni,10.88.0.2:")).collect();
    assert!(matches!(unknown[..], [(_, FOREIGN)]), "{unknown:?}");
}

fn table(stack: &Stack, told: &BTreeMap<&str, Told>, counters: &Counters) {
    let misses = &told["misses"];
    let of = |mac: &str, state: &str| misses.count("@misses", &format!("{VNI},{mac},{state}"));
    // A worker may not see at once that somebody else has made the entry.
    let absent = of(NEWCOMER, "absent");
    assert!(absent >= 1 && absent + of(NEWCOMER, "pending") == WAITING, "{misses:?}");
    assert_eq!(misses.sum("@misses"), misses.sum("@misses_in_second"));
    assert_eq!(misses.sum("@lookups_by_vnic"), counters.lookups);

    let (pending, newcomer) = (&told["pending"], format!("{VNI},{NEWCOMER}"));
    assert_eq!(pending.count("@waited", &newcomer), WAITING);
    assert_eq!(pending.count("@deepest_frames", &newcomer), WAITING);
    assert!(pending.count("@deepest_bytes", &newcomer) >= WAITING * LEN as u64, "{pending:?}");
    assert!(pending.in_histogram("@us_waited") >= WAITING, "{pending:?}");

    let churn = &told["churn"];
    assert_eq!(churn.count("@changes_of_entry", &newcomer), 3, "asked for, answered, drained: {churn:?}");
    assert_eq!(churn.sum("@changes"), churn.sum("@changes_of_entry"));
    assert_eq!(churn.sum("@evicted"), counters.evictions);

    let floods = &told["floods"];
    let everybody = format!("{VNI},ff:ff:ff:ff:ff:ff");
    assert_eq!(floods.count("@local_frames", &format!("{VNI},{}", stack.tenant(1, 2).mac())), LOCAL);
    assert!(floods.count("@floods", &everybody) >= FLOODED, "{floods:?}");
    assert_eq!(floods.count("@copies_to_underlay", &everybody), 0);
}

fn lookups(stack: &Stack, told: &BTreeMap<&str, Told>, counters: &Counters) {
    let (lookups, plugins) = (&told["lookups"], &told["plugins"]);
    let instance = stack.hosts[0].instance(VNI).counters;
    assert_eq!(lookups.map("@asked"), [("77", counters.lookups)].into());
    assert_eq!(lookups.sum("@answers"), counters.answers);
    assert_eq!(lookups.in_histogram("@us_lookup"), counters.answers);
    assert_eq!(lookups.in_histogram("@us_lookup_by_plugin"), counters.answers);
    assert_eq!(lookups.in_histogram("@us_outside_plugin"), counters.answers);
    assert_eq!(lookups.in_histogram("@us_plugin"), instance.lookups);
    assert_eq!(lookups.sum("@answers_of_plugin"), instance.lookups);
    assert!(lookups.map("@answers_of_plugin").keys().all(|key| key.starts_with("files,")), "{lookups:?}");
    assert_eq!(plugins.map("@lookups"), [("files", instance.lookups)].into());
    assert_eq!((plugins.sum("@answers"), plugins.in_histogram("@us")), (instance.lookups, instance.lookups));
    let proxies = &told["proxies"];
    assert_eq!(proxies.count("@verdicts", "77,arp,known"), 3);
    assert_eq!((proxies.count("@verdicts", "77,arp,unknown"), proxies.map("@unknown_arp")), (2, [("77,10.0.0.99", 2)].into()));
}

/// What one frame that waited went through, joined over both daemons.
fn one_path(told: &Told) {
    assert_eq!(told.sum("@sent"), WAITING, "{told:?}");
    let mut steps: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
    for line in &told.lines {
        let mut words = line.split_whitespace();
        let (Some(frame), Some(us)) = (words.next(), words.next()) else { continue };
        let Ok(us) = us.parse() else { continue };
        let step = words.next().expect("a probe");
        steps.entry(frame).or_default().push((us, step));
    }
    assert_eq!(steps.len() as u64, WAITING, "{steps:?}");
    // Lines of two processors may come in any order; time puts them right, but for what happens in the same microsecond.
    let mut asked = 0;
    for (frame, steps) in &mut steps {
        steps.sort_by_key(|(us, _)| *us);
        let mut names: Vec<&str> = steps.iter().map(|(_, step)| *step).collect();
        assert_eq!((names.first(), names.last()), (Some(&"tx-frame"), Some(&"tx-send")), "{frame}: {steps:?}");
        names.sort_unstable();
        let waits = ["encap", "target-miss", "target-queue", "tx-frame", "tx-send"];
        let asks =
            ["encap", "lookup-done", "lookup-start", "target-miss", "target-queue", "tx-frame", "tx-send", "varpd-answer", "varpd-lookup"];
        asked += u32::from(names == asks);
        assert!(names == waits || names == asks, "{frame}: {steps:?}");
    }
    assert_eq!(asked, 1, "one of them asks: {steps:?}");
}

fn data_path(told: &BTreeMap<&str, Told>, counters: &Counters) {
    let (batches, workers, sizes) = (&told["batches"], &told["workers"], &told["sizes"]);
    assert_eq!(batches.sum("@tx_frames"), counters.frames_in);
    assert_eq!(batches.sum("@tx_datagrams"), counters.datagrams_out_packets);
    assert_eq!(batches.sum("@rx_datagrams"), counters.datagrams_in);
    assert_eq!(batches.in_histogram("@frames_per_tx_batch"), batches.sum("@tx_batches"));
    assert_eq!(batches.in_histogram("@datagrams_per_message"), batches.sum("@tx_messages"));
    assert_eq!(workers.sum("@frames"), counters.frames_in);
    assert_eq!(workers.sum("@datagrams"), counters.datagrams_in);
    assert!(workers.sum("@wakes") > 0 && workers.sum("@wakes") == workers.in_histogram("@us_slept"), "{workers:?}");
    assert_eq!(sizes.sum("@datagrams"), counters.datagrams_out_packets);
    assert_eq!((sizes.sum("@too_big_told"), sizes.sum("@too_big_not_told")), (0, TOO_BIG), "nobody speaks IP: {sizes:?}");
    assert!(sizes.map("@too_big_largest").values().all(|largest| *largest == 2000), "{sizes:?}");
    let path = &told["path"];
    let paths = [("@sent", counters.datagrams_out), ("@delivered", counters.delivered), ("@local", counters.local)];
    for (map, counter) in paths {
        assert!(path.sum(map) == counter || map == "@local" && path.sum(map) >= counter, "{map}: {} and {counter}", path.sum(map));
    }
}

fn control(stack: &Stack, told: &BTreeMap<&str, Told>) {
    let calls = &told["calls"];
    for (daemon, path) in [("overlayd", "/v1/overlays/nosuch"), ("varpd", "/v1/instances/nosuch")] {
        assert_eq!(calls.count("@calls", &format!("{daemon},GET,{path},404")), CALLS, "{calls:?}");
    }
    assert_eq!(calls.sum("@calls"), calls.sum("@callers"));
    assert_eq!(calls.sum("@calls"), calls.in_histogram("@us"));

    let mappings = &told["mappings"];
    assert_eq!((mappings.sum("@taken"), mappings.sum("@refused")), (RELOADS, 1), "{mappings:?}");
    assert_eq!(mappings.lines.len() as u64, 2 + RELOADS + 1, "{mappings:?}");

    let states = &told["states"];
    assert_eq!(states.lines.len() as u64, 2 + states.sum("@changes"), "{states:?}");
    assert_eq!(states.count("@changes", "instance-start"), 1);
    let tenants = [1, 2].map(|tenant| stack.tenant(1, tenant).mac().to_owned());
    assert!(tenants.iter().all(|mac| states.lines.iter().any(|line| line.contains(mac.as_str()))), "{states:?}");
    assert!(states.lines.iter().any(|line| line.contains("degraded")), "the broken mapping: {states:?}");
}

/// The capture is one for overlay-snoop, byte for byte.
fn captured(stack: &Stack, capture: &str) {
    let packets = ndjson(&Run::new(program("overlay-snoop")).args(["-r", capture, "--json"]).end().good());
    let mut found: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for packet in &packets {
        let ethernet = &packet["layers"][0];
        assert_eq!((ethernet["src"].as_str(), ethernet["ethertype"].as_u64()), (Some(SENDER), Some(EXPERIMENT.into())), "{packet}");
        assert_eq!(packet["interface"], "vni77", "{packet}");
        assert_eq!(packet["caplen"].as_u64(), packet["len"].as_u64().map(|len| len.min(192)), "{packet}");
        *found.entry((ethernet["dst"].as_str().unwrap_or_default().to_owned(), packet["len"].as_u64().unwrap_or_default())).or_default() +=
            1;
    }
    let (mac, len) = (|host, tenant| stack.tenant(host, tenant).mac().to_owned(), LEN as u64);
    let expected = [
        ((mac(2, 1), len), KNOWN),
        ((mac(1, 2), len), LOCAL),
        ((mac(2, 2), 2000), TOO_BIG),
        ((STRANGER.to_owned(), len), REFUSED),
        ((NEWCOMER.to_owned(), len), WAITING),
        (("ff:ff:ff:ff:ff:ff".to_owned(), len), FLOODED),
    ];
    assert_eq!(found, expected.into());
}

#[test]
fn every_script_runs_with_bpftrace_alone() {
    if !can_trace("every_script_runs_with_bpftrace_alone") {
        return;
    }
    let stack = Stack::start("trc_alone");
    let pids = [stack.hosts[0].overlayd.id(), stack.hosts[0].varpd.status().expect("a status").pid];
    let running: Vec<_> = questions()
        .into_iter()
        .map(|name| {
            let file = workspace().join(format!("probes/bpftrace/{name}.bt")).display().to_string();
            let varpds = ["mappings", "plugins", "proxies"].contains(&&*name);
            let pid = pids[usize::from(varpds)].to_string();
            let run = Run::new("bpftrace").args(["-p", &pid, &file, "1", "1"]).within(Duration::from_secs(300));
            let run = if name == "frames" { run.env("BPFTRACE_STRLEN", "200") } else { run };
            (name, run.start())
        })
        .collect();
    for (name, running) in running {
        let ended = running.end();
        // bpftrace takes no script that reads arguments of a probe which a program does not have; overlay-trace leaves such a part out.
        if let Some((_, missing)) = ended.stderr.split_once("couldn't get argument ") {
            let test = format!("trace::every_script_runs_with_bpftrace_alone::{name}");
            skip(&test, &format!("the daemon was built without a probe: {}", missing.trim()));
            continue;
        }
        assert!(ended.code == 0 && ended.stdout.contains("\nTracing "), "{name}: {} {}{}", ended.code, ended.stdout, ended.stderr);
        let complaints: Vec<&str> = ended.stderr.lines().filter(|line| !line.contains("RLIMIT_MEMLOCK")).collect();
        assert!(complaints.is_empty(), "{name}: {complaints:?}");
        let wide: Vec<&str> = ended.stdout.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{name}: {wide:?}");
    }
}

#[test]
fn an_interval_and_a_count_end_a_script() {
    if !can_trace("an_interval_and_a_count_end_a_script") {
        return;
    }
    let stack = Stack::start("trc_interval");
    stack.join();
    let root = stack.hosts[0].overlayd.paths.root().display().to_string();
    let printed = overlay_trace(["talkers", "1", "2", "--root", &root]).end().good();
    let times = printed.lines().filter(|line| line.len() == 8 && line.as_bytes()[2] == b':').count();
    assert_eq!((printed.lines().next(), times), (Some("Tracing frames between VNICs and the underlay... Ctrl-C ends."), 2), "{printed}");
}

#[test]
fn a_tracer_ends_with_whoever_started_it() {
    if !can_trace("a_tracer_ends_with_whoever_started_it") {
        return;
    }
    let stack = Stack::start("trc_orphan");
    let root = stack.hosts[0].overlayd.paths.root().display().to_string();
    let mut trace = Trace::ask(["states", "--root", &root]);
    trace.attached();
    let child = trace.child();
    trace.kill();
    stack.hosts[0].wait("bpftrace to end", || !std::path::Path::new(&format!("/proc/{child}")).exists());
}

#[test]
fn which_daemon_is_meant_has_to_be_clear() {
    if !can_trace("which_daemon_is_meant_has_to_be_clear") {
        return;
    }
    let mut stack = Stack::start("trc_which");
    let ended = overlay_trace(["drops"]).end();
    // Both hosts have one, and other tests may have more.
    assert_eq!(ended.code, 2, "{ended:?}");
    for host in &stack.hosts {
        let row = format!("--pid {:<8} overlayd  --root {}", host.overlayd.id(), host.overlayd.paths.root().display());
        assert!(ended.stderr.contains(&row), "{row}: {}", ended.stderr);
    }
    let varpd = stack.hosts[0].varpd.status().expect("a status").pid.to_string();
    let ended = overlay_trace(["drops", "--pid", &varpd]).end();
    assert!(ended.code == 1 && ended.stderr.contains("is varpd; this question is asked of overlayd"), "{ended:?}");
    let root = stack.hosts[0].overlayd.paths.root().display().to_string();
    stack.hosts[0].overlayd.signal(Signal::TERM);
    stack.hosts[0].overlayd.has_ended();
    let ended = overlay_trace(["drops", "--root", &root]).end();
    assert!(ended.code == 1 && ended.stderr.starts_with("overlay-trace: overlayd"), "{ended:?}");
}
