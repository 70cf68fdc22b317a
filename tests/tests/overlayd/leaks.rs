//! What is left behind by all that comes and goes, and by an overlayd that is killed again and again? Nothing, in the process or the host.
//!
//! `OVERLAY_SOAK=n` asks for n rounds instead of a few; memory may grow no more in a thousand than in fifty.

use crate::can_run;
use crate::daemon::{CEILING, Daemon, link, new_vnic, way};
use crate::life::{descriptors, interfaces, tasks};
use crate::traffic::all_answered;
use overlay_api::control::{NewVnic, VnicState};
use overlay_lab::{Family, Lab, Namespace, Overlay, Ping, wait_until};
use overlay_tests::{Peer, Run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rounds after which whatever is kept for the next time has been made.
const WARM: usize = 10;
/// Memory that an allocator may or may not have given back.
const GROWTH_MAX_KIB: u64 = 4096;

/// How many rounds are asked for.
fn rounds(usual: usize) -> usize {
    std::env::var("OVERLAY_SOAK").map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("OVERLAY_SOAK={text}: a number is needed")))
}

/// What a process and its host have at the moment.
#[derive(Debug)]
struct Belongings {
    descriptors: usize,
    threads: usize,
    interfaces: Vec<BTreeSet<String>>,
    files: BTreeSet<PathBuf>,
}

impl Belongings {
    fn of(daemon: &Daemon, namespaces: &[&Namespace]) -> Self {
        let mut files = BTreeSet::new();
        list(daemon.paths.root(), &mut files);
        let interfaces = namespaces.iter().map(|namespace| interfaces(namespace)).collect();
        Self { descriptors: descriptors(daemon.id()).len(), threads: tasks(daemon.id()), interfaces, files }
    }

    /// Whether there is nothing more than before. A connection that was just being closed then may be missing.
    fn is_no_more_than(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors
            && (self.threads, &self.interfaces, &self.files) == (before.threads, &before.interfaces, &before.files)
    }
}

fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            list(&path, files);
        }
        files.insert(path);
    }
}

/// Resident memory in KiB (proc_pid_status(5)).
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A lab with overlayd on host 1, with the kernel at the other end.
fn start(name: &str) -> (Lab, Daemon) {
    let lab = Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    (lab, daemon)
}

/// A namespace of its own, with one end of a veth pair, whose other end `witness` goes when the namespace is really gone: a name can be
/// deleted while something still holds what it named.
fn passing_namespace(name: &str, witness: &Namespace) {
    let _ = Run::new("ip").args(["netns", "add", name]).end().good();
    witness.ip(&[format!("link add witness type veth peer name w0 netns {name}")]).expect("a veth pair");
}

#[test]
fn overlays_vnics_and_namespaces_come_and_go_without_a_trace() {
    if !can_run("overlays_vnics_and_namespaces_come_and_go_without_a_trace") {
        return;
    }
    let (lab, daemon) = start("ovd_leaks");
    let here = lab.tenant(1, 77, 1);
    let namespace = format!("ovd-leaks-{}", std::process::id());
    let _gone = Passing(&namespace);
    let round = |number: usize| {
        // Of each kind, on a socket that others have, or on one of its own.
        let kind = ["vxlan", "geneve", "nvgre"][number % 3];
        let (listen, to) = (lab.host(1).ipv4().to_string(), lab.host(2).ipv4().to_string());
        let (listen_ip, listen_port) = (format!("{kind}/listen_ip"), format!("{kind}/listen_port"));
        let port = (if kind == "vxlan" { 4789 } else { 6081 } + number % 2).to_string();
        let mut properties = vec![(&*listen_ip, &*listen), ("direct/dest_ip", &*to)];
        if kind != "nvgre" {
            properties.extend([(&*listen_port, &*port), ("direct/dest_port", "4789")]);
        }
        daemon.overlay_by(kind, "ov5078", 5078, &properties);
        passing_namespace(&namespace, here);
        let elsewhere = NewVnic { mac: None, namespace: namespace.parse().ok(), ..new_vnic("v1", "ov5078", here) };
        for new in [new_vnic("v0", "ov5078", here), elsewhere] {
            daemon.client.create_vnic(&new).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
        }
        assert_eq!(daemon.client.overlay(&link("ov5078")).expect("an overlay").vnics, 2);
        for name in ["v0", "v1"] {
            daemon.client.delete_vnic(&link(name)).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
        }
        let _ = Run::new("ip").args(["netns", "del", &namespace]).end().good();
        daemon.wait("the namespace to be gone", || !interfaces(here).contains("witness"));
        daemon.client.delete_overlay(&link("ov5078")).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
    };
    (0..WARM).for_each(round);
    let (before, memory_before) = (Belongings::of(&daemon, &[here, lab.host(1)]), memory(daemon.id()));
    let all = rounds(50);
    (WARM..all.max(WARM + 1)).for_each(round);
    let same = || Belongings::of(&daemon, &[here, lab.host(1)]).is_no_more_than(&before);
    wait_until("", CEILING, same).unwrap_or_else(|_| {
        let after = Belongings::of(&daemon, &[here, lab.host(1)]);
        panic!("before {before:#?}\nafter {all} rounds {after:#?}\n{:#?}\n{}", descriptors(daemon.id()), daemon.log())
    });
    let grown = memory(daemon.id()).saturating_sub(memory_before);
    overlay_tests::say(&format!("{all} rounds: {memory_before} KiB and {grown} KiB more"));
    assert!(grown <= GROWTH_MAX_KIB, "{grown} KiB more than {memory_before} after {all} rounds");
    // And it still does what it is for.
    daemon.tenant("v77", "ov77", here);
    all_answered(here, lab.tenant(2, 77, 1).ipv4().into(), &Ping::default()).unwrap();
}

/// A namespace that may be there; dropping this deletes it.
struct Passing<'a>(&'a str);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        let _ = Run::new("ip").args(["netns", "del", self.0]).end();
    }
}

#[test]
fn an_overlayd_that_is_killed_again_and_again_leaves_nothing_more_each_time() {
    if !can_run("an_overlayd_that_is_killed_again_and_again_leaves_nothing_more_each_time") {
        return;
    }
    let (lab, mut daemon) = start("ovd_kills");
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    daemon.tenant("v77", "ov77", here);
    daemon.kill();
    daemon.start_again();
    let namespaces = [&**here, &**lab.host(1)];
    let (before, memory_before) = (Belongings::of(&daemon, &namespaces), memory(daemon.id()));
    let all = rounds(20).min(1000);
    for round in 0..all {
        daemon.kill();
        daemon.start_again();
        all_answered(here, there.ipv4().into(), &Ping { count: 1, ..Ping::default() }).unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    wait_until("", CEILING, || Belongings::of(&daemon, &namespaces).is_no_more_than(&before))
        .unwrap_or_else(|_| panic!("before {before:#?}\nafter {all} {:#?}", Belongings::of(&daemon, &namespaces)));
    let grown = memory(daemon.id()).saturating_sub(memory_before);
    assert!(grown <= GROWTH_MAX_KIB, "{grown} KiB more than {memory_before} after {all} restarts");
}

#[test]
fn killed_at_any_write_of_a_call_it_knows_each_interface_that_it_has_made() {
    let test = "killed_at_any_write_of_a_call_it_knows_each_interface_that_it_has_made";
    if !can_run(test) || Peer::find(test, "strace").is_none() {
        return;
    }
    let (lab, mut daemon) = start("ovd_writes");
    let here = lab.tenant(1, 77, 1);
    daemon.end();
    // Each time one write further, until all three calls come to their end. Whoever gets no answer cannot tell what was done, but it was done
    // wholly or not at all: there is no interface that nobody knows, and none that is known and not there.
    for write in 1.. {
        let inject = format!("inject=fsync:signal=KILL:when={write}");
        daemon.start_again_under(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", &inject]);
        let process = daemon.client.status().expect("a status").pid.to_string();
        let temporary = NewVnic { mac: None, temporary: true, ..new_vnic("w1", "ov77", here) };
        let calls = [
            daemon.client.create_vnic(&temporary).is_ok(),
            daemon.client.create_vnic(&new_vnic("w0", "ov77", here)).is_ok(),
            daemon.client.delete_vnic(&link("w0")).is_ok(),
        ];
        let done = calls == [true; 3];
        if done {
            assert!(write > 4, "each write is two: of the file and of its folder");
            let _ = Run::new("kill").args(["-9", &process]).end().good();
        }
        daemon.has_ended();
        daemon.start_again();
        let known: BTreeSet<String> = daemon.client.vnics().expect("VNICs").into_iter().map(|vnic| vnic.name.to_string()).collect();
        let there: BTreeSet<String> = interfaces(here).into_iter().filter(|name| name != "lo").collect();
        assert_eq!(there, known, "write {write}, {calls:?}: on the left the interfaces, on the right the VNICs\n{}", daemon.log());
        if known.contains("w0") {
            daemon.wait("the VNIC", || daemon.vnic("w0").state == VnicState::Up);
            daemon.client.delete_vnic(&link("w0")).expect("it can be deleted");
        }
        assert_eq!(interfaces(here), BTreeSet::from(["lo".to_owned()]), "write {write}");
        daemon.end();
        if done {
            break;
        }
    }
}
