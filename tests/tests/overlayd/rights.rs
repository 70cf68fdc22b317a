//! Who may change something, and what may overlayd itself do?

use crate::can_run;
use crate::daemon::{Daemon, link, new_vnic, way};
use overlay_lab::{Family, Lab, Overlay};
use overlay_tests::{Ended, Peer, Run, program};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A user and a group that nobody else here is in.
const STRANGER: &str = "64997";
const GROUP: &str = "64996";
const MAC: &str = "02:08:20:0a:00:99";

/// A lab with overlayd on host 1, which has a direct overlay with a VNIC, and a dynamic one with a target.
fn start(name: &str, flags: &[&str]) -> (Lab, Daemon) {
    let lab = Lab::builder(name).overlay(Overlay::vxlan(77).no_tunnel_on(1).no_tunnel_on(2)).build().expect("a lab comes up");
    let daemon = Daemon::start_with(lab.host(1), flags);
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    daemon.client.create_vnic(&new_vnic("v77", "ov77", lab.tenant(1, 77, 1))).expect("a VNIC");
    let listen = format!("vxlan/listen_ip={}", lab.host(1).ipv4());
    let to = format!("{MAC}=10.88.0.2:4789");
    for line in
        [&["create-overlay", "-e", "vxlan", "-s", "files", "-v", "78", "-p", &listen, "ov78"][..], &["modify-overlay", "-s", &to, "ov78"]]
    {
        let _ = Run::new(program("overlayadm")).args(["--root", &root(&daemon)]).args(line).end().good();
    }
    (lab, daemon)
}

fn root(daemon: &Daemon) -> String {
    daemon.paths.root().display().to_string()
}

/// overlayadm where anybody can reach it, which the folder that it was built in need not be.
struct Admin {
    folder: tempfile::TempDir,
    root: String,
}

impl Admin {
    fn new(daemon: &Daemon) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions can be set");
        std::fs::copy(program("overlayadm"), folder.path().join("overlayadm")).expect("a program can be copied");
        Self { folder, root: root(daemon) }
    }

    /// As another user, of one group.
    fn by(&self, group: &str, words: &str) -> Ended {
        let who = ["--reuid", STRANGER, "--regid", group, "--clear-groups"];
        let program: PathBuf = self.folder.path().join("overlayadm");
        Run::new("setpriv").args(who).args([program]).args(["--root", &self.root]).args(words.split(' ')).end()
    }
}

/// Each thing that can be changed; a call of each kind.
fn changes(lab: &Lab) -> [String; 9] {
    [
        format!(
            "create-overlay -e vxlan -s direct -v 79 -p vxlan/listen_ip={} -p direct/dest_ip={} -p direct/dest_port=4789 ov79",
            lab.host(1).ipv4(),
            lab.host(2).ipv4()
        ),
        "delete-overlay ov78".into(),
        format!("modify-overlay -s {MAC}=drop ov78"),
        format!("modify-overlay -d {MAC} ov78"),
        "modify-overlay -f ov78".into(),
        "create-vnic -l ov77 v79".into(),
        "delete-vnic v77".into(),
        "set-prop -p mtu=1400 v77".into(),
        "reset-prop -p vxlan/listen_port ov77".into(),
    ]
}

/// All that can be looked at.
const LOOKS: [&str; 7] = [
    "show-overlay --json",
    "show-overlay -f",
    "show-overlay -t",
    "show-vnic --json",
    "show-prop ov77",
    "show-prop v77",
    "trace ov78 --dst 02:08:20:0a:00:99",
];

/// What is configured, and what there is of it.
fn world(lab: &Lab, daemon: &Daemon) -> String {
    let file = std::fs::read_to_string(daemon.paths.state().join("overlayd.json")).expect("a state file");
    let names = |namespace: &overlay_lab::Namespace| namespace.run("ip", ["-o", "-br", "link"]).expect("ip runs");
    let targets = daemon.client.overlay(&link("ov78")).expect("an overlay").targets;
    format!("{file}\n{}\n{}\n{targets}", names(lab.host(1)), names(lab.tenant(1, 77, 1)))
}

#[test]
fn a_stranger_looks_only_where_the_socket_lets_him_and_changes_nothing() {
    let test = "a_stranger_looks_only_where_the_socket_lets_him_and_changes_nothing";
    if !can_run(test) || Peer::find(test, "setpriv").is_none() {
        return;
    }
    let (lab, daemon) = start("ovd_stranger", &[]);
    let (admin, before) = (Admin::new(&daemon), world(&lab, &daemon));
    let changes = changes(&lab);
    // As it is made, the socket is not his.
    for words in LOOKS.into_iter().chain(changes.iter().map(String::as_str)) {
        let ended = admin.by(STRANGER, words);
        assert!(ended.code != 0 && ended.stderr.contains("root and members of the socket's group may"), "{words}: {ended:?}");
    }
    assert_eq!(daemon.client.status().expect("a status").refused_calls, 0, "who cannot connect does not call");
    // Where the operator opens it, everybody looks.
    std::fs::set_permissions(daemon.paths.overlayd_socket(), PermissionsExt::from_mode(0o666)).expect("permissions can be set");
    for words in LOOKS {
        let _ = admin.by(STRANGER, words).good();
    }
    assert_eq!(daemon.client.status().expect("a status").refused_calls, 0);
    for (words, refused) in changes.iter().zip(1..) {
        let ended = admin.by(STRANGER, words);
        assert!(ended.code != 0 && ended.stderr.contains(&format!("uid {STRANGER} may not change anything")), "{words}: {ended:?}");
        assert_eq!(daemon.client.status().expect("a status").refused_calls, refused, "{words}");
        let log = daemon.log();
        let last = log.lines().rfind(|line| line.contains("refused: ")).unwrap_or_else(|| panic!("{words} is not in {log}"));
        assert!(last.contains(&format!("uid={STRANGER}")) && last.contains("pid="), "{words}: {last}");
    }
    let log = daemon.log();
    assert_eq!(log.lines().filter(|line| line.contains("refused: ")).count(), changes.len(), "{log}");
    assert_eq!(world(&lab, &daemon), before);
}

#[test]
fn a_member_of_the_sockets_group_may_do_all_of_it() {
    let test = "a_member_of_the_sockets_group_may_do_all_of_it";
    if !can_run(test) || Peer::find(test, "setpriv").is_none() {
        return;
    }
    let (lab, daemon) = start("ovd_group", &["--group", GROUP]);
    let admin = Admin::new(&daemon);
    for words in LOOKS {
        let _ = admin.by(GROUP, words).good();
        assert_ne!(admin.by(STRANGER, words).code, 0, "{words}");
    }
    // In an order in which each is possible: what is deleted goes last.
    let mut changes = changes(&lab);
    changes.sort_by_key(|words| words.starts_with("delete-"));
    for words in changes {
        let _ = admin.by(GROUP, &words).good();
    }
    assert_eq!(daemon.client.status().expect("a status").refused_calls, 0);
    let names: Vec<_> = daemon.client.overlays().expect("overlays").into_iter().map(|overlay| overlay.name.to_string()).collect();
    assert_eq!(names, ["ov77", "ov79"]);
    let names: Vec<_> = daemon.client.vnics().expect("VNICs").into_iter().map(|vnic| vnic.name.to_string()).collect();
    assert_eq!(names, ["v79"]);
}

#[test]
fn every_thread_has_the_three_capabilities_and_no_other() {
    if !can_run("every_thread_has_the_three_capabilities_and_no_other") {
        return;
    }
    let (lab, daemon) = start("ovd_caps", &[]);
    // Threads that are started later, for a page of a target table for example, are no exception.
    daemon.client.all_targets(&link("ov78"), "", |_| ()).expect("targets");
    // CAP_NET_ADMIN 12, CAP_NET_RAW 13, CAP_SYS_ADMIN 21 (capability.h).
    let needed = 1_u64 << 12 | 1 << 13 | 1 << 21;
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).expect("a process that runs");
    let mut threads = Vec::new();
    for task in tasks {
        let status = std::fs::read_to_string(task.expect("a thread").path().join("status")).expect("a thread that runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
        };
        let set = |name: &str| u64::from_str_radix(&field(name), 16).expect("a set");
        let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(set);
        assert_eq!(sets, [0, needed, needed, 0], "{}", field("Name"));
        threads.push(field("Name"));
    }
    for name in ["overlayd", "room", "api", "queue-0"] {
        assert!(threads.iter().any(|thread| thread == name), "{name} is not among {threads:?}");
    }
    assert!(threads.len() > 3, "no data path among {threads:?}");
    // With those it does what it has to: a VNIC in another's namespace, and a raw socket.
    daemon.overlay_by("nvgre", "ov5079", 5079, &[("nvgre/listen_ip", "10.88.0.1"), ("direct/dest_ip", "10.88.0.2")]);
    let new = overlay_api::control::NewVnic { mac: None, ..new_vnic("v5079", "ov5079", lab.tenant(1, 77, 1)) };
    daemon.client.create_vnic(&new).unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
    assert!(Path::new(&format!("/proc/{}", daemon.id())).exists());
}
