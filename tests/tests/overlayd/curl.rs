//! Does `curl --unix-socket` show what overlayadm shows? The same objects, key by key.

use crate::can_run;
use crate::daemon::{Daemon, way};
use crate::traffic::all_answered;
use overlay_lab::{Family, Lab, Overlay, Ping};
use overlay_tests::{Peer, Run, ndjson, program};
use serde_json::{Value, json};

const MAC: &str = "02:08:20:0a:00:99";

/// Values that are others a moment later.
const TIMES: [&str; 4] = ["age_ns", "idle_ns", "expires_ns", "since_ns"];

struct Host {
    lab: Lab,
    daemon: Daemon,
}

impl Host {
    /// The status, and the object that came with it.
    fn curl(&self, path: &str, more: &[&str]) -> (String, Value) {
        let (socket, url) = (self.daemon.paths.overlayd_socket().display().to_string(), format!("http://localhost{path}"));
        let fixed = ["-s", "-S", "-g", "-w", "%{http_code}", "--unix-socket", &socket, &url];
        let printed = Run::new("curl").args(fixed.iter().chain(more)).end().good();
        let (body, status) = printed.split_at(printed.len() - 3);
        (
            status.to_owned(),
            if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")) },
        )
    }

    /// A list that curl gets, with what overlayadm says beside each.
    fn list(&self, path: &str, rows: Option<&str>, beside: Option<(&str, &str)>) -> Vec<Value> {
        let (status, body) = self.curl(path, &[]);
        assert_eq!(status, "200", "{path}: {body}");
        let rows = rows.map_or(&body, |rows| &body[rows]);
        let mut rows = rows.as_array().unwrap_or_else(|| panic!("{path} is no list: {body}")).clone();
        for row in &mut rows {
            timeless(row);
            if let Some((key, value)) = beside {
                row[key] = value.into();
            }
        }
        rows
    }

    /// What overlayadm prints, an object a line.
    fn admin(&self, words: &str) -> Vec<Value> {
        let root = self.daemon.paths.root().display().to_string();
        let mut rows = ndjson(&Run::new(program("overlayadm")).args(["--root", &root]).args(words.split(' ')).end().good());
        rows.iter_mut().for_each(timeless);
        rows
    }

    /// What overlayadm says of what is refused.
    fn refused(&self, words: &str) -> String {
        let root = self.daemon.paths.root().display().to_string();
        let ended = Run::new(program("overlayadm")).args(["--root", &root]).args(words.split(' ')).end();
        assert_ne!(ended.code, 0, "{words}: {}", ended.stdout);
        ended.stderr
    }
}

fn timeless(row: &mut Value) {
    if let Some(row) = row.as_object_mut() {
        TIMES.iter().for_each(|time| drop(row.remove(*time)));
    }
}

#[test]
fn curl_shows_what_overlayadm_shows() {
    let test = "curl_shows_what_overlayadm_shows";
    if !can_run(test) || Peer::find(test, "curl").is_none() {
        return;
    }
    let lab = Lab::builder("ovd_curl").overlay(Overlay::vxlan(77).no_tunnel_on(1)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    daemon.overlay("ov77", 77, way(&lab, 1, Family::V4), &[("mtu", "1450")]);
    daemon.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    all_answered(lab.tenant(1, 77, 1), lab.tenant(2, 77, 1).ipv4().into(), &Ping::default()).unwrap();
    // Nothing that a tenant still has to say changes a counter between two looks.
    lab.tenant(1, 77, 1).ip(&["link set t0 down".into()]).expect("a link can be set down");
    lab.tenant(2, 77, 1).ip(&["link set t0 down".into()]).expect("a link can be set down");
    let host = Host { lab, daemon };
    // What is made with curl, overlayadm shows, and the other way round.
    let dynamic = json!({"name": "ov78", "encapsulation": "geneve", "search": "files", "vnetid": 78,
        "properties": {"geneve/listen_ip": host.lab.host(1).ipv4().to_string(), "mtu": 1400}});
    let (status, made) = host.curl("/v1/overlays", &["-d", &dynamic.to_string()]);
    assert_eq!((&*status, &made["name"], &made["state"]), ("201", &json!("ov78"), &json!("degraded")), "{made}");
    let (status, nothing) = host.curl(&format!("/v1/overlays/ov78/targets/{MAC}"), &["-X", "PUT", "-d", r#"{"to":["10.88.0.2:6081"]}"#]);
    assert_eq!((&*status, nothing), ("204", Value::Null));
    host.admin("modify-overlay -s 02:08:20:0a:00:98=drop ov78");
    host.admin("create-vnic -l ov78 -m 02:08:20:0a:00:97 v78");
    host.daemon.wait("the interface's word to be heard", || host.daemon.vnic("v77").state.name() == "down");

    let overlays = host.list("/v1/overlays", None, None);
    assert_eq!(overlays.len(), 2);
    assert_eq!(host.admin("show-overlay -f --json"), overlays);
    assert!(overlays[0]["counters"]["sent"].as_u64() > Some(3) && overlays[1]["targets"] == 2, "{overlays:#?}");
    assert_eq!(host.admin("show-overlay -f --json ov78"), [overlays[1].clone()]);
    let mut one = host.curl("/v1/overlays/ov78", &[]).1;
    timeless(&mut one);
    assert_eq!(one, overlays[1]);
    let vnics = host.list("/v1/vnics", None, None);
    assert_eq!(vnics.len(), 2);
    // The daemon's own namespace is a host's: what it says there by itself (MLD, for example) counts.
    let without_counters = |mut rows: Vec<Value>| {
        rows.iter_mut().for_each(|row| drop(row.as_object_mut().map(|row| row.remove("counters"))));
        rows
    };
    assert_eq!(without_counters(host.admin("show-vnic --json")), without_counters(vnics));
    assert_eq!(host.admin("show-vnic --json v77"), [host.curl("/v1/vnics/v77", &[]).1]);
    let mut all = Vec::new();
    for (link, kind) in [("ov77", "overlays"), ("ov78", "overlays"), ("v77", "vnics"), ("v78", "vnics")] {
        let properties = host.list(&format!("/v1/{kind}/{link}/properties"), None, Some(("link", link)));
        assert_eq!(host.admin(&format!("show-prop --json {link}")), properties);
        if kind == "overlays" {
            assert_eq!(host.admin(&format!("show-overlay --json {link}")), properties);
        }
        all.extend(properties);
    }
    assert_eq!(host.admin("show-prop --json"), all);
    let targets = host.list("/v1/overlays/ov78/targets", Some("rows"), Some(("overlay", "ov78")));
    assert_eq!(targets.len(), 2, "{targets:?}");
    assert_eq!(host.admin("show-overlay -t --json ov78"), targets);
    let (status, trace) = host.curl("/v1/overlays/ov78/trace", &["-d", &json!({"frame": {"dst": MAC}}).to_string()]);
    assert_eq!(status, "200", "{trace}");
    assert_eq!(host.admin(&format!("trace --json ov78 --dst {MAC}")), [trace]);
    // A refusal is the same sentence.
    for (path, more, words, status) in [
        ("/v1/overlays/ov7", &[][..], "show-overlay ov7", "404"),
        ("/v1/overlays/ov77/flush", &["-X", "POST"], "modify-overlay -f ov77", "400"),
        ("/v1/overlays/ov77/properties", &["-d", r#"{"name":"mtu","value":"1"}"#], "set-prop -p mtu=1 ov77", "400"),
        ("/v1/overlays/ov77", &["-X", "DELETE"], "delete-overlay ov77", "409"),
        ("/v1/vnics/v7", &[], "show-vnic v7", "404"),
    ] {
        let (found, body) = host.curl(path, more);
        let sentence = body["error"].as_str().unwrap_or_else(|| panic!("no sentence in {body}"));
        let said = host.refused(words);
        assert_eq!(found, status, "{path}: {body}");
        assert!(said.trim_end().ends_with(sentence), "{said} does not say {sentence}");
    }
    // And what is deleted with one is gone for the other.
    host.admin("delete-vnic v78");
    assert_eq!(host.curl("/v1/overlays/ov78", &["-X", "DELETE"]).0, "204");
    assert_eq!(host.admin("show-overlay -f --json").len(), 1);
    assert_eq!(host.list("/v1/vnics", None, None).len(), 1);
}
