//! Can varpd be looked into, asked, and run by somebody without rights?

use crate::can_run;
use crate::daemon::{CEILING, Daemon, link};
use crate::host::{Flow, Host, all_up, create, lab, mapping, overlay};
use crate::traffic::all_answered;
use overlay_api::Paths;
use overlay_api::control::{InstanceState, LogLevel, VarpdHappening};
use overlay_client::VarpdClient;
use overlay_lab::{Family, Ping};
use overlay_tests::{Run, program};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::Duration;

const NETWORK: (u32, Family) = (77, Family::V4);
const STRANGER: u32 = 64_999;

#[test]
fn what_varpd_says_of_itself_is_what_it_does() {
    if !can_run("what_varpd_says_of_itself_is_what_it_does") {
        return;
    }
    let lab = lab("vpd_api", 2, &[NETWORK]);
    let hosts = all_up(&lab, 2, &[NETWORK]);
    let (host, name) = (&hosts[0], link(&overlay(77)));
    let mut events = host.varpd.events().expect("events");
    let plugins = host.varpd.plugins().expect("plugins");
    let shown: Vec<_> = plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.in_overlayd, plugin.properties.len())).collect();
    assert_eq!(shown, [("direct", true, 0), ("etcd", false, 9), ("files", false, 1)]);
    let status = host.varpd.status().expect("a status");
    assert_eq!((status.instances, status.degraded, status.log, status.pid), (1, 0, LogLevel::Info, host.id()));
    assert!(status.overlayd.connected && status.overlayd.connections == 1 && status.overlayd.version.is_some(), "{status:?}");
    let instance = host.instance(77);
    assert_eq!((instance.state, instance.entries, instance.vnics.len()), (InstanceState::Up, Some(2), 1));
    assert_eq!(instance.properties.keys().collect::<Vec<_>>(), ["files/config"]);
    let unknown = host.varpd.instance(&link("ov78")).unwrap_err().to_string();
    assert_eq!(unknown, "instance ov78: there is none of that name; did you mean ov77?");
    // Overlayd's part shows what the plugin declares.
    let rows = host.overlayd.client.overlay_properties(&name).expect("properties");
    let config = rows.iter().find(|row| row.name == "files/config").expect("the plugin's property");
    assert_eq!(config.value.as_deref(), Some(&*host.file(77).display().to_string()));
    // The log, live.
    assert!(!host.log().contains("DEBUG"));
    host.varpd.set_log(LogLevel::Trace).expect("it can be set");
    assert_eq!(host.varpd.log().expect("a level"), LogLevel::Trace);
    host.varpd.set_log(LogLevel::Info).expect("it can be set");
    // A change is told.
    let echo_at = (IpAddr::from(lab.tenant(2, 77, 1).ipv4()), 0).into();
    let echo = lab.tenant(2, 77, 1).udp_echo(echo_at).expect("an echo server");
    Flow::start(lab.tenant(1, 77, 1), echo.at()).end();
    let mut less = mapping(&lab, NETWORK, 2, |host| host);
    less.remove(lab.tenant(2, 77, 1).mac());
    host.map(77, &less);
    let mut seen = Vec::new();
    while let Ok(Some(event)) = events.next_within(Duration::from_secs(5)) {
        let last = matches!(event.what, VarpdHappening::Changed { changes: 1, .. });
        seen.push(event.what);
        if last {
            break;
        }
    }
    let log = |level| VarpdHappening::Log { level };
    let changed = VarpdHappening::Changed { overlay: name, plugin: "files".parse().unwrap(), changes: 1 };
    assert_eq!(seen, [log(LogLevel::Trace), log(LogLevel::Info), changed]);
    let metrics = host.varpd.metrics().expect("metrics");
    for line in ["varpd_overlayd_connected 1", "varpd_instance_entries{overlay=\"ov77\",plugin=\"files\",vni=\"77\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
}

#[test]
fn varpd_needs_no_rights() {
    if !can_run("varpd_needs_no_rights") {
        return;
    }
    let lab = lab("vpd_rights", 2, &[NETWORK]);
    let there = Host::start(lab.host(2));
    let user = STRANGER.to_string();
    let overlayd = Daemon::start_with(lab.host(1), &["--varpd-user", &user]);
    // Where the stranger may write, and the mapping that it may read.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("rights");
    let run = folder.path().join("run/overlay");
    std::fs::create_dir_all(&run).expect("a folder");
    chown(&run, Some(STRANGER), Some(STRANGER)).expect("rights");
    let socket = folder.path().join("lookup.sock");
    // A link to a socket whose folders are not the stranger's to walk through: the file itself, where it can.
    std::fs::hard_link(overlayd.paths.lookup_socket(), &socket)
        .or_else(|_| symlink(overlayd.paths.lookup_socket(), &socket))
        .expect("a link");
    symlink(&socket, run.join("lookup.sock")).expect("a link");
    let text = Value::Object(mapping(&lab, NETWORK, 2, |host| host)).to_string();
    let file = folder.path().join("map.json");
    std::fs::write(&file, text).expect("a file");
    let root = folder.path().display().to_string();
    let arguments = ["--reuid", &user, "--regid", &user, "--clear-groups", "--bounding-set=-all", "--no-new-privs"];
    let varpd = program("varpd").display().to_string();
    let running = lab.host(1).spawn("setpriv", arguments.into_iter().chain([&*varpd, "--root", &root])).expect("it starts");
    running.wait_for_log("connected to overlayd", CEILING).unwrap_or_else(|error| panic!("{error}: {}", running.log()));
    let client = VarpdClient::new(&Paths::under(folder.path()));
    let made = create(&overlayd, &lab, 1, NETWORK, &file.display().to_string());
    made.unwrap_or_else(|error| panic!("{error}\n{}", running.log()));
    overlayd.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    assert_eq!(client.instance(&link("ov77")).map(|instance| instance.state).ok(), Some(InstanceState::Up), "{}", running.log());
    there.map(77, &mapping(&lab, NETWORK, 2, |host| host));
    there.overlay(&lab, 2, NETWORK);
    there.overlayd.tenant("v77", "ov77", lab.tenant(2, 77, 1));
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &Ping { wait: Duration::from_secs(5), ..Ping::default() })
        .unwrap();
}

#[test]
fn a_plugin_is_asked_without_overlayd_and_without_root() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("rights");
    let file = folder.path().join("map.json");
    let map = json!({"2:8:20:a:0:2": {"ip": "10.0.0.2", "port": 4789, "arp": "192.168.0.2", "ndp": "fd00::2"}, "2:8:20:a:0:3": {"ip": "fd88::3", "port": 4790}});
    std::fs::write(&file, map.to_string()).expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("rights");
    let config = format!("files/config={}", file.display());
    let ask = |words: &[&str]| {
        let own = ["--query", "-s", "files", "-v", "77", "-p", &*config];
        Run::new(program("varpd")).args(own.iter().chain(words)).end()
    };
    let said = |words: &[&str]| ask(words).good().lines().next().unwrap_or_default().to_owned();
    assert_eq!(said(&["--dst", "2:8:20:a:0:2"]), "reach 10.0.0.2:4789");
    assert_eq!(said(&["--dst", "2:8:20:a:0:3"]), "reach [fd88::3]:4790");
    assert_eq!(said(&["--dst", "2:8:20:a:0:4"]), "drop");
    assert_eq!(said(&["--dst", "ff:ff:ff:ff:ff:ff"]), "drop");
    let json: Value = serde_json::from_str(&ask(&["--arp", "192.168.0.2", "--json"]).good()).expect("JSON");
    assert_eq!(json["answer"], "inject");
    assert!(json["frame"].as_str().is_some_and(|frame| frame.starts_with("0200000000010208200a0002")), "{json}");
    assert!(json["time_ns"].as_u64().is_some_and(|time| time > 0));
    assert!(said(&["--ndp", "fd00::2"]).starts_with("inject "));
    assert_eq!(said(&["--ndp", "fd00::3"]), "drop");
    for (words, why) in [
        (&["--dst", "2:8:20:a:0:2", "-e", "nvgre"][..], "10.0.0.2:4789 has a port; the device's encapsulation has none"),
        (&["--dst", "2:8:20:a:0:2", "-p", "files/confg=x"], "there is no such property; did you mean files/config?"),
    ] {
        let refused = ask(words);
        assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:?}");
    }
    let nobody = ["--query", "-s", "fils", "-v", "77", "--dst", "2:8:20:a:0:2"];
    let refused = Run::new(program("varpd")).args(nobody).end();
    assert!(
        refused.code == 1 && refused.stderr.contains("there is no plugin fils; there are files, etcd; did you mean files?"),
        "{refused:?}"
    );
}
