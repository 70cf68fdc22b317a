//! Who may change anything? Processes of other users try.

use super::fake::name;
use super::{Lab, can, has_program};
use crate::api::routes::ROUTES;
use overlay_api::control::Problem;
use overlay_serve::Patience;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

/// What was logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes to [`LOG`].
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A user and a group that nobody else here is in.
const STRANGER: &str = "64999";
const GROUP: u32 = 64998;

fn possible(test: &str) -> bool {
    can(test, "root", nix::unistd::geteuid().is_root()) && can(test, "curl and setpriv", has_program("curl") && has_program("setpriv"))
}

fn by<'a>(gid: &'a str, groups: &'a str) -> [&'a str; 6] {
    ["setpriv", "--reuid", STRANGER, "--regid", gid, groups]
}

fn open_to_all(lab: &Lab) {
    std::fs::set_permissions(&lab.socket, std::fs::Permissions::from_mode(0o666)).unwrap();
}

#[test]
fn a_stranger_cannot_even_connect() {
    if !possible("a_stranger_cannot_even_connect") {
        return;
    }
    let lab = Lab::start_with(Patience::default(), Some(GROUP));
    assert_eq!(lab.curl_as(&by(STRANGER, "--clear-groups"), "/v1/status", &[]), None);
    assert!(lab.curl("/v1/status", &[]).is_some());
}

#[test]
fn where_the_operator_lets_strangers_connect_they_read_and_change_nothing() {
    if !possible("where_the_operator_lets_strangers_connect_they_read_and_change_nothing") {
        return;
    }
    let lab = Lab::start_with(Patience::default(), Some(GROUP));
    open_to_all(&lab);
    let stranger = by(STRANGER, "--clear-groups");
    let call = |path: &str, more: &[&str]| lab.curl_as(&stranger, path, more).unwrap();
    let mut tried = 0;
    for (pattern, methods) in ROUTES {
        let path = pattern.replace("{name}", "ov0").replace("{mac}", "2:8:20:a:0:1");
        for method in *methods {
            let reads = *method == "GET" || pattern.ends_with("/trace") || pattern.ends_with("/traces");
            if *pattern == "/v1/events" {
                continue;
            }
            let (status, body) = call(&path, &["-X", method, "-d", "not even JSON"]);
            if reads {
                assert_ne!(status, 403, "{method} {path}");
                continue;
            }
            tried += 1;
            let problem: Problem = serde_json::from_str(&body).unwrap();
            let expected = format!("uid {STRANGER} may not change anything; root and members of group {GROUP} may");
            assert_eq!((status, problem.error), (403, expected), "{method} {path}");
        }
    }
    assert_eq!(tried, 10, "everything but GET, trace and traces");
    assert_eq!(lab.rooms.world().changes, 0);
    assert_eq!(lab.client.status().unwrap().refused_calls, tried);
    assert!(lab.client.metrics().unwrap().contains(&format!("\noverlayd_refused_calls_total {tried}\n")));
}

#[test]
fn members_of_the_group_may_by_their_first_group_or_another() {
    if !possible("members_of_the_group_may_by_their_first_group_or_another") {
        return;
    }
    let lab = Lab::start_with(Patience::default(), Some(GROUP));
    let (group, others) = (GROUP.to_string(), format!("--groups=64990,{GROUP}"));
    for (number, who) in [by(&group, "--clear-groups"), by(STRANGER, &others)].iter().enumerate() {
        let body = format!(r#"{{"name":"ov{number}","encapsulation":"vxlan","search":"direct","vnetid":7}}"#);
        let (status, body) = lab.curl_as(who, "/v1/overlays", &["-d", &body]).unwrap();
        assert_eq!(status, 201, "{who:?}: {body}");
    }
    assert!(lab.client.overlay(&name("ov1")).is_ok());
    open_to_all(&lab);
    let (status, _) = lab.curl_as(&by(STRANGER, "--groups=64990,64991"), "/v1/overlays/ov1", &["-XDELETE"]).unwrap();
    assert_eq!(status, 403, "other groups do not count");
}

#[test]
fn a_refused_call_is_logged_with_who_made_it() {
    if !possible("a_refused_call_is_logged_with_who_made_it") {
        return;
    }
    // The only subscriber of this process: the daemon's own is set up in its main function.
    tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).init();
    let lab = Lab::start_with(Patience::default(), Some(GROUP));
    open_to_all(&lab);
    let (status, _) = lab.curl_as(&by(STRANGER, "--clear-groups"), "/v1/overlays/logged", &["-XDELETE"]).unwrap();
    assert_eq!(status, 403);
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("refused: DELETE /v1/overlays/logged")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" WARN ") && line.contains(&format!(" uid={STRANGER} pid=")), "{line}");
}
