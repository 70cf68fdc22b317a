//! What becomes of the traffic while varpd is gone, comes back, hangs, or is asked too much?

use crate::can_run;
use crate::daemon::{CEILING, link};
use crate::host::{Flow, all_up, lab, overlay};
use crate::traffic::all_answered;
use overlay_api::control::TargetQuery;
use overlay_lab::{Family, Lab, Ping, Signal, wait_until};
use overlay_tests::program;
use std::net::IpAddr;
use std::time::Duration;

const NETWORK: (u32, Family) = (77, Family::V4);
const BOTH: [(u32, Family); 2] = [(77, Family::V4), (78, Family::V6)];

/// A line of /proc/PID/status in kB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("a process that runs").count()
}

/// A ping that waits long enough for varpd to come back.
fn patient() -> Ping {
    Ping { count: 1, wait: Duration::from_secs(9), ..Ping::default() }
}

fn echo_of(lab: &Lab, host: u16) -> overlay_lab::UdpEcho {
    let tenant = lab.tenant(host, 77, 1);
    tenant.udp_echo((IpAddr::from(tenant.ipv4()), 0).into()).expect("an echo server")
}

#[test]
fn established_targets_lose_nothing_and_new_ones_wait() {
    if !can_run("established_targets_lose_nothing_and_new_ones_wait") {
        return;
    }
    let lab = lab("vpd_loss", 3, &[NETWORK]);
    let mut hosts = all_up(&lab, 3, &[NETWORK]);
    let (here, third) = (lab.tenant(1, 77, 1), lab.tenant(3, 77, 1));
    let echo = echo_of(&lab, 2);
    // Its neighbour is known, its target is not: the frame itself waits.
    here.ip(&[format!("neigh replace {} lladdr {} dev t0 nud permanent", third.ipv4(), third.mac())]).expect("a neighbour");
    let flow = Flow::start(here, echo.at());
    for hang in [false, true] {
        let host = &mut hosts[0];
        if hang {
            host.signal(Signal::STOP);
            host.wait_degraded(77, "silent");
        } else {
            host.kill();
            host.wait_degraded(77, "varpd is away");
        }
        // Nothing is known of it at first.
        let _ = host.overlayd.client.remove_target(&link(&overlay(77)), third.mac().parse().unwrap());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| all_answered(here, third.ipv4().into(), &patient()));
            let host = &mut hosts[0];
            let table = || host.overlayd.client.targets(&link(&overlay(77)), &TargetQuery::default()).expect("a table").rows;
            let pending = |mac: &str| table().iter().any(|row| row.mac.to_string() == mac && row.pending_bytes > 0);
            host.wait("the new target to wait", || pending(third.mac()));
            if hang {
                host.signal(Signal::CONT);
            } else {
                host.start_again();
            }
            waiting.join().expect("no panic").unwrap();
        });
        hosts[0].wait_up(77);
        assert_eq!(hosts[0].overlayd.client.overlay(&link(&overlay(77))).expect("an overlay").lookups, 0);
    }
    flow.end_whole();
}

#[test]
fn ten_restarts_leave_nothing_behind() {
    if !can_run("ten_restarts_leave_nothing_behind") {
        return;
    }
    let lab = lab("vpd_ten", 2, &[NETWORK]);
    let mut hosts = all_up(&lab, 2, &[NETWORK]);
    let echo = echo_of(&lab, 2);
    let flow = Flow::start(lab.tenant(1, 77, 1), echo.at());
    let overlayd = hosts[0].overlayd.id();
    let (mut open, mut resident) = (0, 0);
    for round in 0..10 {
        if round % 2 == 0 {
            hosts[0].kill();
        } else {
            hosts[0].end();
        }
        hosts[0].start_again();
        hosts[0].wait_up(77);
        // The first rounds may open what stays.
        if round == 1 {
            (open, resident) = (descriptors(overlayd), memory(overlayd));
        }
    }
    flow.end_whole();
    wait_until("descriptors to be closed", CEILING, || descriptors(overlayd) <= open)
        .unwrap_or_else(|_| panic!("{open} descriptors before, now {}", descriptors(overlayd)));
    assert!(memory(overlayd) < resident + 16 * 1024, "{resident} kB before, now {}", memory(overlayd));
    let answerer = hosts[0].overlayd.client.status().expect("a status").answerer;
    assert_eq!((answerer.attached, answerer.protocol_errors, answerer.unusable), (true, 0, 0), "{answerer:?}");
    assert_eq!(hosts[0].varpd.instances().expect("instances").len(), 1);
    // The other way round: overlayd goes, and the instance stays with what it has.
    let varpd = hosts[0].id();
    let lookups = hosts[0].instance(77).counters.lookups;
    let open = descriptors(varpd);
    for _ in 0..3 {
        hosts[0].overlayd.kill();
        hosts[0].wait("varpd to notice", || hosts[0].varpd.status().is_ok_and(|status| !status.overlayd.connected));
        hosts[0].overlayd.start_again();
        hosts[0].wait_up(77);
    }
    assert!(hosts[0].instance(77).counters.lookups >= lookups && hosts[0].log().matches("started").count() == 1, "{}", hosts[0].log());
    // The calls of this test are connections, too, which varpd closes when it comes to it.
    wait_until("descriptors to be closed", CEILING, || descriptors(varpd) <= open)
        .unwrap_or_else(|_| panic!("{open} descriptors before, now {}", descriptors(varpd)));
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &patient()).unwrap();
}

#[test]
fn a_second_varpd_is_refused_and_counted() {
    if !can_run("a_second_varpd_is_refused_and_counted") {
        return;
    }
    let lab = lab("vpd_second", 2, &[NETWORK]);
    let mut hosts = all_up(&lab, 2, &[NETWORK]);
    let folder = lab.host(1).folder().expect("a folder").join("second");
    let run = folder.join("run/overlay");
    std::fs::create_dir_all(&run).expect("a folder");
    // Directories of its own, and the same overlayd.
    std::os::unix::fs::symlink(hosts[0].overlayd.paths.lookup_socket(), run.join("lookup.sock")).expect("a link");
    let root = folder.display().to_string();
    let second = lab.host(1).spawn(program("varpd"), ["--root", &*root]).expect("varpd can be started");
    let said = format!("it refuses: another varpd is attached: varpd (pid {})", hosts[0].id());
    second.wait_for_log(&said, CEILING).unwrap_or_else(|error| panic!("{error}: {}", second.log()));
    hosts[0].wait("the count", || hosts[0].overlayd.client.status().is_ok_and(|status| status.answerer.refused > 1));
    assert_eq!(second.log().matches("it refuses").count(), 1, "the same is said once: {}", second.log());
    assert_eq!(hosts[0].overlayd.client.status().expect("a status").answerer.pid, Some(hosts[0].id() as i32));
    // With the same directories it does not even start.
    let root = hosts[0].overlayd.paths.root().display().to_string();
    let mut third = lab.host(1).spawn(program("varpd"), ["--root", &*root]).expect("varpd can be started");
    assert!(!third.wait(CEILING).expect("it ends").success());
    assert!(third.log().contains("another daemon (pid "), "{}", third.log());
    // It waits for its turn.
    hosts[0].end();
    second.wait_for_log("connected to overlayd", CEILING).unwrap_or_else(|error| panic!("{error}: {}", second.log()));
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &patient()).unwrap();
}

#[test]
fn a_flood_of_unknown_destinations_is_answered_and_bounded() {
    if !can_run("a_flood_of_unknown_destinations_is_answered_and_bounded") {
        return;
    }
    let lab = lab("vpd_flood", 2, &BOTH);
    let hosts = all_up(&lab, 2, &BOTH);
    let (flooder, here, there) = (lab.tenant(1, 78, 1), lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    all_answered(here, there.ipv4().into(), &patient()).unwrap();
    let before = (memory(hosts[0].id()), memory(hosts[0].overlayd.id()));
    let count = 20_000_u32;
    // Frames of nobody's, to as many destinations; in a burst the tenant's own queue would lose them.
    let script = "import socket, sys, time\n\
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
        link.bind(('t0', 0))\n\
        source = bytes.fromhex(sys.argv[1].replace(':', ''))\n\
        for number in range(int(sys.argv[2])):\n\
        \x20   link.send(b'\\x02\\x09\\x00' + number.to_bytes(3, 'big') + source + b'\\x88\\xb5' + bytes(1000))\n\
        \x20   number % 100 or time.sleep(0.01)\n";
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| flooder.run("python3", ["-c", script, flooder.mac(), &count.to_string()]).expect("a flood"));
        for _ in 0..5 {
            // New destinations, too: what is known is forgotten.
            hosts[0].overlayd.client.flush(&link(&overlay(77))).expect("a flush");
            all_answered(here, there.ipv4().into(), &patient()).unwrap();
        }
        let _ = flood.join().expect("no panic");
    });
    hosts[0].wait("the answers", || {
        let counters = hosts[0].instance(78).counters;
        counters.dropped + counters.abandoned == counters.lookups - counters.injected - counters.reached
    });
    assert!(hosts[0].instance(78).counters.dropped > u64::from(count) / 2, "{:?}", hosts[0].instance(78).counters);
    let now = (memory(hosts[0].id()), memory(hosts[0].overlayd.id()));
    assert!(now.0 < before.0 + 32 * 1024 && now.1 < before.1 + 64 * 1024, "kB of varpd and overlayd: {before:?} before, {now:?} now");
}
