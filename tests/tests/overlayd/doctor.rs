//! Does `overlayadm doctor` find what is wrong, on hosts with overlayd and without, and is it content after the repair?

use crate::can_run;
use crate::daemon::{CEILING, Daemon, way};
use overlay_api::control::NewOverlay;
use overlay_lab::{Family, Join, Lab, Namespace, wait_until};
use overlay_tests::{ndjson, program};
use serde_json::Value;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

/// A host to look at, and the root that its daemons would have.
struct Patient<'a> {
    host: &'a Namespace,
    root: PathBuf,
}

impl<'a> Patient<'a> {
    fn new(host: &'a Namespace) -> Self {
        Self { host, root: host.folder().expect("a lab has folders").join("root") }
    }

    /// All findings, and the exit status.
    fn look(&self, words: &[&str]) -> (Vec<Value>, Option<i32>) {
        let mut command = self.host.command(program("overlayadm"));
        command.arg("--root").arg(&self.root).args(["doctor", "--json"]).args(words);
        let output = command.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.is_empty(), "{stderr}");
        (ndjson(&String::from_utf8_lossy(&output.stdout)), output.status.code())
    }

    /// Errors and warnings.
    fn complaints(&self) -> Vec<Value> {
        let (all, code) = self.look(&[]);
        let complaints: Vec<_> =
            all.into_iter().filter(|finding| finding["severity"] == "error" || finding["severity"] == "warning").collect();
        assert_eq!(code, Some(i32::from(!complaints.is_empty())), "{complaints:#?}");
        complaints
    }

    /// Exactly this is found, and says so.
    fn suffers_from(&self, check: &str, said: &[&str]) {
        let complaints = self.complaints();
        let [finding] = &complaints[..] else { panic!("{check}: {complaints:#?}") };
        assert_eq!(finding["check"], check, "{finding:#}");
        let text = finding.to_string();
        assert!(said.iter().all(|said| text.contains(said)), "{said:?}: {finding:#}");
        assert!(finding["repair"].as_str().is_some_and(|repair| !repair.is_empty()), "{finding:#}");
    }

    /// Nothing is found.
    fn is_well(&self) {
        assert_eq!(self.complaints(), [] as [Value; 0]);
    }
}

fn ip(host: &Namespace, lines: &[String]) {
    host.ip(lines).expect("ip");
}

/// A host with a VXLAN device of the kernel that has nothing to complain of.
fn kernel(name: &str) -> Lab {
    let lab = Lab::builder(name).hosts(2).join(Join::Direct).build().expect("a lab comes up");
    let (own, other) = (lab.host(1).ipv4(), lab.host(2).ipv4());
    ip(
        lab.host(1),
        &[format!("link add vx77 mtu 1450 type vxlan id 77 local {own} dev ul0 dstport 4789 nolearning"), "link set vx77 up".into()],
    );
    lab.host(1).bridge(&[format!("fdb append 00:00:00:00:00:00 dev vx77 dst {other}")]).expect("an entry");
    lab
}

#[test]
fn what_is_wrong_with_the_kernels_own_tunnels_is_found_and_gone_after_the_repair() {
    if !can_run("what_is_wrong_with_the_kernels_own_tunnels_is_found_and_gone_after_the_repair") {
        return;
    }
    let lab = kernel("doc_kernel");
    let (host, other) = (lab.host(1), lab.host(2).ipv4());
    let patient = Patient::new(host);
    patient.is_well();
    let (all, code) = patient.look(&[]);
    assert!(code == Some(0) && all.iter().any(|note| note["check"] == "overlayd" && note["severity"] == "note"), "{all:#?}");

    // The kernel looks when a device is made, and not when its lower one changes.
    ip(host, &["link set ul0 mtu 1499".into()]);
    patient.suffers_from("mtu", &["device vx77", "its MTU of 1450", "1500", "ul0 takes 1499", "link set vx77 mtu 1449"]);
    ip(host, &["link set vx77 mtu 1449".into()]);
    patient.is_well();

    host.bridge(&[format!("fdb del 00:00:00:00:00:00 dev vx77 dst {other}")]).expect("an entry");
    patient.suffers_from("empty-fdb", &["device vx77", "nothing ever leaves it", "bridge", "fdb append 00:00:00:00:00:00 dev vx77"]);
    host.bridge(&[format!("fdb append 00:00:00:00:00:00 dev vx77 dst {other}")]).expect("an entry");
    patient.is_well();

    host.nft("table inet t { chain c { type filter hook input priority 0; udp dport 4789 drop; }; }").expect("a rule");
    patient.suffers_from("rules", &["UDP port 4789 is dropped", "chain inet t c", "hook input", "device vx77"]);
    host.nft("flush ruleset; table inet t { chain c { type filter hook output priority 0; policy drop; }; }").expect("a rule");
    patient.suffers_from("rules", &["policy drop", "hook output"]);
    host.nft("flush ruleset").expect("no rules");
    patient.is_well();

    // A host with a firewall that lets it in, as such are written: nothing is wrong.
    let healthy = "table inet t {
        chain user { udp dport 4789 accept; }
        chain not_local { fib daddr type local return; drop; }
        chain zone { goto user; }
        chain c {
            type filter hook input priority 0; policy drop;
            ct state vmap { established : accept, invalid : drop }
            iif lo accept
            tcp dport != 22 drop
            meta nfproto ipv6 drop
            jump not_local
            jump zone
            reject
        }
    }
    table arp a { chain c { type filter hook input priority 0; policy drop; }; }";
    host.nft(healthy).expect("rules");
    patient.is_well();
    let (all, _) = patient.look(&[]);
    assert!(all.iter().any(|finding| finding["check"] == "rules" && finding["severity"] == "note"), "{all:#?}");
    host.nft("flush ruleset").expect("no rules");

    // The way out is another one than the device's.
    ip(
        host,
        &[
            "link add dm0 type veth peer name dm1".into(),
            "link set dm0 up".into(),
            "link set dm1 up".into(),
            format!("route add {other}/32 dev dm0"),
        ],
    );
    host.sysctl(&[("ipv4/conf/ul0/rp_filter", "1")]).expect("a setting");
    patient.suffers_from("rp-filter", &["rp_filter of ul0 is strict", "is over dm0"]);
    host.sysctl(&[("ipv4/conf/ul0/rp_filter", "2")]).expect("a setting");
    patient.is_well();

    ip(host, &["link set vx77 down".into()]);
    let thief = host.enter(|| UdpSocket::bind("0.0.0.0:4789")).expect("a namespace").expect("the port is free");
    patient.suffers_from("port-clash", &["device vx77", "a program has UDP port 4789", "ss -lunp"]);
    drop(thief);
    ip(host, &["link set vx77 up".into()]);
    patient.is_well();

    ip(host, &["link set ul0 down".into()]);
    patient.suffers_from("address", &["device vx77", "interface ul0", "is down"]);
    ip(host, &["link set ul0 up".into()]);
    wait_until("the link", CEILING, || patient.complaints().is_empty()).expect("it is up");

    // More than any default buffer holds, and nobody reads.
    host.enter(|| {
        let full = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let to = full.local_addr().expect("an address");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        (0..4000).for_each(|_| drop(sender.send_to(&[0; 1400], to)));
    })
    .expect("a namespace");
    patient.suffers_from("receive-buffer", &["datagrams were lost", "net.core.rmem_max"]);
}

#[test]
fn what_is_wrong_with_overlayd_is_found_and_gone_after_the_repair() {
    if !can_run("what_is_wrong_with_overlayd_is_found_and_gone_after_the_repair") {
        return;
    }
    let lab = Lab::builder("doc_ours").hosts(2).join(Join::Direct).build().expect("a lab comes up");
    let host = lab.host(1);
    let mut daemon = Daemon::start(host);
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    let six = way(&lab, 1, Family::V6);
    let (listen, to) = (six.0.to_string(), six.1.to_string());
    daemon.overlay_by("nvgre", "ov5078", 5078, &[("nvgre/listen_ip", &listen), ("direct/dest_ip", &to), ("mtu", "1438")]);
    let patient = Patient::new(host);
    patient.is_well();

    for (overlay, fits, over) in [("ov77", "1450", "1451"), ("ov5078", "1438", "1439")] {
        daemon.set(overlay, "mtu", over).expect("a property");
        patient.suffers_from("mtu", &[overlay, over, "1501", &format!("set-prop -p mtu={fits} {overlay}")]);
        daemon.set(overlay, "mtu", fits).expect("a property");
    }
    patient.is_well();

    host.nft("table inet t { chain c { type filter hook input priority 0; meta l4proto gre drop; }; }").expect("a rule");
    patient.suffers_from("rules", &["GRE (IP protocol 47) is dropped", "overlay ov5078"]);
    host.nft("flush ruleset").expect("no rules");

    // A device of the kernel that is still down wants the same port.
    ip(host, &["link add vx78 mtu 1400 type vxlan id 78 dev ul0 dstport 4789 remote 10.88.0.2".into()]);
    patient.suffers_from("port-clash", &["UDP port 4789 is wanted by", "device vx78", "overlay ov77"]);
    ip(host, &["link del vx78".into()]);
    patient.is_well();

    daemon.set("ov77", "vxlan/listen_ip", "192.0.2.7").expect("a property");
    let complaints = patient.complaints();
    let found = |check: &str| complaints.iter().any(|finding| finding["check"] == check && finding.to_string().contains("192.0.2.7"));
    assert!(complaints.len() == 2 && found("address") && found("overlay"), "{complaints:#?}");
    ip(host, &["address add 192.0.2.7/32 dev ul0".into()]);
    wait_until("the address is noticed", CEILING, || patient.complaints().is_empty()).expect("it is");

    // Nobody answers lookups.
    let dynamic = NewOverlay {
        name: "ov79".parse().expect("a name"),
        encapsulation: "vxlan".parse().expect("a module"),
        search: "files".parse().expect("a module"),
        vnetid: "79".parse().expect("a VNI"),
        properties: [("vxlan/listen_ip".to_owned(), way(&lab, 1, Family::V4).0.to_string())].into(),
        temporary: false,
    };
    daemon.client.create_overlay(&dynamic).expect("an overlay");
    let complaints = patient.complaints();
    let found = |check: &str| complaints.iter().any(|finding| finding["check"] == check && finding.to_string().contains("ov79"));
    assert!(complaints.len() == 2 && found("varpd") && found("overlay"), "{complaints:#?}");
    daemon.client.delete_overlay(&dynamic.name).expect("it can go");
    patient.is_well();

    // Whoever can write there would run code in varpd.
    let plugins = daemon.paths.plugins();
    std::fs::create_dir_all(&plugins).expect("a folder");
    set_mode(&plugins, 0o777);
    patient.suffers_from("plugins", &["mode 0777", "chown root:root"]);
    set_mode(&plugins, 0o755);
    patient.is_well();

    daemon.kill();
    patient.suffers_from("overlayd", &["overlayd is not running", "systemctl start overlayd"]);
    daemon.start_again();
    wait_until("it is up again", CEILING, || patient.complaints().is_empty()).expect("it is");
}

#[test]
fn who_may_not_look_is_told_what_was_not_looked_at() {
    if !can_run("who_may_not_look_is_told_what_was_not_looked_at") {
        return;
    }
    let lab = kernel("doc_nobody");
    // What root built may not be readable for others: a copy is.
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("overlayadm");
    std::fs::copy(program("overlayadm"), &copy).expect("a copy");
    set_mode(folder.path(), 0o755);
    let mut command = lab.host(1).command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]);
    let output = command.arg(copy).args(["--root", "/nonexistent", "doctor", "--json"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let unknown: Vec<_> =
        ndjson(&String::from_utf8_lossy(&output.stdout)).into_iter().filter(|finding| finding["severity"] == "unknown").collect();
    assert!(output.status.code() == Some(0) && unknown.iter().any(|finding| finding["check"] == "rules"), "{said}");
}

fn set_mode(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn other_namespaces_are_looked_into_when_asked() {
    if !can_run("other_namespaces_are_looked_into_when_asked") {
        return;
    }
    let lab = kernel("doc_netns");
    ip(lab.host(1), &["link set ul0 mtu 1400".into()]);
    // From the other host, which has nothing.
    let patient = Patient::new(lab.host(2));
    patient.is_well();
    let name = lab.host(1).name();
    let (all, code) = patient.look(&["--netns", name]);
    let found = all.iter().find(|finding| finding["check"] == "mtu").unwrap_or_else(|| panic!("{all:#?}"));
    let repair = found["repair"].as_str().unwrap_or_default();
    assert!(code == Some(1) && repair.contains(&format!("ip -n {name} link set vx77 mtu 1350")), "{found:#}");
}
