//! Each call does what it says, and each refusal is a sentence with a status that fits.

use super::fake::{event, name};
use super::{Lab, can, has_program};
use crate::api::routes::ROUTES;
use overlay_api::control::{
    FrameWords, Happening, NewOverlay, NewVnic, OverlayQuery, OverlaySort, Problem, ProblemKind, SetProperty, SetTarget, TargetQuery,
    TargetSort, TraceFrame, TraceRequest, TracesRequest,
};
use overlay_api::{EntryState, StaticTarget, Verdict};
use overlay_client::ClientError;
use overlay_decoder::{Mac, Vni};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

fn new_overlay(called: &str, vni: u32) -> NewOverlay {
    NewOverlay {
        name: name(called),
        encapsulation: "vxlan".parse().unwrap(),
        search: "files".parse().unwrap(),
        vnetid: Vni::new(vni).unwrap(),
        properties: BTreeMap::from([("vxlan/listen_ip".to_owned(), "10.0.0.1".to_owned())]),
        temporary: true,
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result.unwrap_err() {
        ClientError::Refused(problem) => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn an_overlay_lives_from_its_making_to_its_end() {
    let lab = Lab::start();
    let (client, ov0) = (&lab.client, name("ov0"));
    let made = client.create_overlay(&new_overlay("ov0", 7)).unwrap();
    assert_eq!((made.name.as_str(), made.vnetid.get(), made.temporary), ("ov0", 7, true));
    assert_eq!(client.overlay(&ov0).unwrap(), made);
    client.create_overlay(&new_overlay("blue", 8)).unwrap();
    let names = |query: &OverlayQuery| client.some_overlays(query).unwrap().iter().map(|one| one.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&OverlayQuery::default()), ["blue", "ov0"]);
    assert_eq!(names(&OverlayQuery { offset: 1, limit: Some(5), ..OverlayQuery::default() }), ["ov0"]);
    assert_eq!(names(&OverlayQuery { sort: OverlaySort::Vnetid, ..OverlayQuery::default() }), ["ov0", "blue"]);
    // Asked again, the list is told only if it has changed; a counter is no change.
    let first = client.overlays_since(&OverlayQuery::default()).unwrap().unwrap();
    let again = OverlayQuery { since: Some(first.generation), ..OverlayQuery::default() };
    lab.rooms.world().overlays.get_mut(&ov0).unwrap().counters.sent = 9;
    assert_eq!(client.overlays_since(&again).unwrap(), None);
    assert_eq!(client.some_overlays(&again).unwrap().len(), 2, "who does not ask for a change gets all");
    lab.rooms.world().overlays.get_mut(&ov0).unwrap().mtu = 1500;
    assert_eq!(client.overlays_since(&again).unwrap().map(|part| part.rows.len()), Some(2));
    assert_eq!(names(&OverlayQuery { filter: Some("lu".to_owned()), ..OverlayQuery::default() }), ["blue"]);

    let set = |value: Option<&str>| SetProperty { name: "mtu".to_owned(), value: value.map(str::to_owned) };
    let property = client.set_overlay_property(&ov0, &set(Some("1500"))).unwrap();
    assert_eq!((property.value.as_deref(), property.set), (Some("1500"), true));
    assert_eq!(client.overlay_properties(&ov0).unwrap(), [property]);
    assert!(!client.set_overlay_property(&ov0, &set(None)).unwrap().set);
    let problem = refused(client.set_overlay_property(&ov0, &set(Some("9001"))));
    assert_eq!(problem, Problem::wrong("property mtu: \"9001\" is not allowed; 576-9000 is"));

    client.delete_overlay(&ov0).unwrap();
    assert_eq!(refused(client.overlay(&ov0)).kind, ProblemKind::Unknown);
}

#[test]
fn targets_are_set_shown_forgotten_and_flushed() {
    let lab = Lab::start();
    let (client, ov0) = (&lab.client, name("ov0"));
    client.create_overlay(&new_overlay("ov0", 7)).unwrap();
    let mac = |n: u8| Mac([2, 0, 0, 0, 0, n]);
    for n in 0..10 {
        let to = if n % 2 == 0 { StaticTarget::Drop } else { StaticTarget::Reach(vec![format!("[fd00::{n}]:4789").parse().unwrap()]) };
        client.set_target(&ov0, mac(n), &SetTarget { to }).unwrap();
    }
    let query =
        TargetQuery { filter: "state:valid fd00::".to_owned(), sort: TargetSort::Ul3, offset: 1, limit: 2, ..TargetQuery::default() };
    let page = client.targets(&ov0, &query).unwrap();
    assert_eq!((page.total, page.generation, page.states), (5, 3, BTreeMap::from([(EntryState::Valid, 5)])));
    assert_eq!(page.rows.iter().map(|row| row.ul3[0].to_string()).collect::<Vec<_>>(), ["[fd00::3]:4789", "[fd00::5]:4789"]);
    let mut all = Vec::new();
    client.all_targets(&ov0, "", |page| all.extend(page.rows.into_iter().map(|row| row.mac))).unwrap();
    assert_eq!(all, (0..10).map(mac).collect::<Vec<_>>());
    client.remove_target(&ov0, mac(3)).unwrap();
    assert_eq!(refused(client.remove_target(&ov0, mac(3))).error, "target 02:00:00:00:00:03: there is none of that name");
    assert_eq!(client.flush(&ov0).unwrap().flushed, 9);
    assert_eq!(client.flush(&ov0).unwrap().flushed, 0);
}

#[test]
fn a_frame_is_traced_in_both_spellings() {
    let lab = Lab::start();
    lab.client.create_overlay(&new_overlay("ov0", 7)).unwrap();
    let words = FrameWords { dst: Mac::BROADCAST, src: None, ethertype: None, vlan: Some(5), size: Some(100) };
    for (frame, bytes) in [(TraceFrame::Hex("00 11:22".to_owned()), 3), (TraceFrame::Words(words), 118)] {
        let trace = lab.client.trace(&name("ov0"), &TraceRequest { frame, vnic: None }).unwrap();
        assert_eq!(trace.steps, [format!("a frame of {bytes} bytes")]);
        assert_eq!(trace.verdict, Verdict::Pending { vni: Vni::new(7).unwrap(), request: None });
    }
}

#[test]
fn many_frames_are_traced_in_one_call_and_too_many_are_refused() {
    let lab = Lab::start();
    lab.client.create_overlay(&new_overlay("ov0", 7)).unwrap();
    let ask = |frames: &[&str]| {
        let frames = frames.iter().map(|hex| TraceFrame::Hex((*hex).to_owned())).collect();
        lab.client.traces(&name("ov0"), &TracesRequest { frames, vnic: None })
    };
    let steps: Vec<String> = ask(&["00", "0011", ""]).unwrap().into_iter().flat_map(|trace| trace.steps).collect();
    assert_eq!(steps, ["a frame of 1 bytes", "a frame of 2 bytes", "a frame of 0 bytes"]);
    assert_eq!(ask(&[]).unwrap(), []);
    assert_eq!(ask(&["00", "0"]).unwrap_err().to_string(), "frames[1]: ends in the middle of a byte; two hexadecimal digits make one");
    assert_eq!(ask(&["00"; 256]).unwrap().len(), 256);
    assert_eq!(ask(&["00"; 257]).unwrap_err().to_string(), "frames: 257 are not allowed in one call; 0-256 are");
}

#[test]
fn a_vnic_lives_from_its_making_to_its_end() {
    let lab = Lab::start();
    let (client, v0) = (&lab.client, name("v0"));
    client.create_overlay(&new_overlay("ov0", 7)).unwrap();
    let namespace = Some("blue zone".parse().unwrap());
    let new = NewVnic { name: v0.clone(), overlay: name("ov0"), mac: None, mtu: None, namespace, temporary: false };
    let made = client.create_vnic(&new).unwrap();
    assert_eq!(made.namespace, new.namespace);
    assert_eq!((client.vnic(&v0).unwrap(), client.vnics().unwrap()), (made.clone(), vec![made]));
    let property = client.set_vnic_property(&v0, &SetProperty { name: "mtu".to_owned(), value: Some("600".to_owned()) }).unwrap();
    assert_eq!(client.vnic_properties(&v0).unwrap(), [property]);
    assert_eq!(refused(client.delete_overlay(&name("ov0"))), Problem::clash("overlay ov0: has VNICs; delete them first"));
    client.delete_vnic(&v0).unwrap();
    assert_eq!(refused(client.delete_vnic(&v0)).kind, ProblemKind::Unknown);
}

#[test]
fn each_refusal_is_a_sentence_and_changes_nothing() {
    if !can("each_refusal_is_a_sentence_and_changes_nothing", "curl", has_program("curl")) {
        return;
    }
    let lab = Lab::start();
    lab.client.create_overlay(&new_overlay("ov0", 7)).unwrap();
    let before = lab.rooms.world().changes;
    let long = format!("/{}", "x".repeat(500));
    let new = r#"{"name":"ov0","encapsulation":"vxlan","search":"files","vnetid":7}"#;
    let post = |body| vec!["--data-binary", body];
    for (path, more, status, said) in [
        ("/v1/overlays/ov1", vec![], 404, "overlay ov1: there is none of that name; did you mean ov0?"),
        ("/v1/overlays/a%20b", vec![], 400, "\"a b\": a link's name has letters, digits, \".\", \"_\" and \"-\" only"),
        ("/v1/overlays/%ff", vec![], 400, "path: "),
        ("/v1/overlays/ov0/targets/2:8", vec!["-XDELETE"], 400, "2:8: not a MAC address; six hexadecimal octets"),
        ("/v1/overlays/ov0/targets?limit=many", vec![], 400, "query: limit: invalid digit found in string"),
        ("/v1/overlays/ov0/targets?limit=65537", vec![], 400, "limit: 65537 is not allowed; 0-65536 is"),
        ("/v1/overlays/ov0/targets?sort=colour", vec![], 400, "query: sort: unknown variant `colour`, expected one of `mac`,"),
        ("/v1/overlays?filtr=x", vec![], 400, "query: filtr: unknown field `filtr`, expected one of `sort`, `order`, `filter`,"),
        ("/v1/overlays", post(""), 400, "body: is empty; a JSON object is needed"),
        ("/v1/overlays", post("{\"name\":"), 400, "body: EOF while parsing a value at line 1 column 8"),
        ("/v1/overlays", post("\u{1}"), 400, "body: expected value at line 1 column 1"),
        ("/v1/overlays", post("{\"vnet\":1}"), 400, "body: unknown field `vnet`, expected one of `name`,"),
        ("/v1/overlays/ov0/flush", vec![], 405, "/v1/overlays/ov0/flush: there is no GET; there is POST"),
        ("/v1/overlays/ov0", vec!["-XPATCH"], 405, "/v1/overlays/ov0: there is no PATCH; there is GET, DELETE"),
        ("/v1/overlay", vec![], 404, "/v1/overlay: there is no such path; there are /v1/status, /v1/overlays,"),
        ("/v1/overlays/", vec![], 404, "/v1/overlays/: there is no such path; there are /v1/status, /v1/overlays,"),
        (&long, vec![], 404, "/xxxxxxxxxx"),
    ] {
        let (found, body) = lab.curl(path, &more).unwrap();
        let problem: Problem = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(found, status, "{path} {more:?}: {problem}");
        assert!(problem.error.starts_with(said), "{path} {more:?}: {problem}");
    }
    assert_eq!(lab.rooms.world().changes, before);
    let (status, body) = lab.curl("/v1/overlays", &post(new)).unwrap();
    assert_eq!((status, body.as_str()), (409, "{\"error\":\"overlay ov0: there is one of that name already\"}\n"));
}

#[test]
fn curl_shows_what_the_client_shows() {
    if !can("curl_shows_what_the_client_shows", "curl", has_program("curl")) {
        return;
    }
    let lab = Lab::start();
    let body = r#"{"name":"ov0","encapsulation":"vxlan","search":"direct","vnetid":7,"properties":{"mtu":1400}}"#;
    let (status, made) = lab.curl("/v1/overlays", &["-d", body]).unwrap();
    assert_eq!(status, 201);
    assert_eq!(serde_json::from_str::<overlay_api::control::Overlay>(&made).unwrap(), lab.client.overlay(&name("ov0")).unwrap());
    assert_eq!(lab.curl("/v1/overlays/ov0", &["-XDELETE"]), Some((204, String::new())));
    let (status, text) = lab.curl("/v1/status", &[]).unwrap();
    assert_eq!((status, serde_json::from_str(&text).ok()), (200, lab.client.status().ok()));
    let (status, head) = lab.curl("/v1/status", &["--head"]).unwrap();
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    let (_, metrics) = lab.curl("/metrics", &[]).unwrap();
    assert!(metrics.contains("\noverlayd_workers 2\n"), "{metrics}");
    assert_eq!(metrics, lab.client.metrics().unwrap());
}

#[test]
fn the_list_of_routes_is_what_the_router_has_and_the_documentation_says() {
    if !can("the_list_of_routes_is_what_the_router_has_and_the_documentation_says", "curl", has_program("curl")) {
        return;
    }
    let lab = Lab::start();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/control-api.md")).unwrap();
    for (pattern, methods) in ROUTES {
        let path = pattern.replace("{name}", "ov0").replace("{mac}", "2:8:20:a:0:1");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let documented = page.contains(&format!("`{method} {pattern}`"));
            assert_eq!(documented, methods.contains(&method), "docs/control-api.md: {method} {pattern}");
            if (*pattern, method) == ("/v1/events", "GET") {
                continue;
            }
            let (status, body) = lab.curl(&path, &["-X", method]).unwrap();
            assert_eq!(status == 405, !methods.contains(&method), "{method} {path}: {status} {body}");
            assert!(!body.contains("no such path"), "{method} {path}: {body}");
        }
    }
}

#[test]
fn events_come_as_they_happen_and_end_with_the_daemon() {
    let mut lab = Lab::start();
    let mut events = lab.client.events().unwrap();
    lab.rooms.events.send(event(1)).unwrap();
    assert_eq!(events.next().unwrap().unwrap(), event(1));
    assert!(events.next_within(Duration::from_millis(10)).unwrap().is_none(), "nothing happened");
    assert!(!events.is_over());
    for number in 2..6 {
        lab.rooms.events.send(event(number)).unwrap();
    }
    for number in 2..6 {
        assert_eq!(events.next_within(Duration::from_secs(60)).unwrap(), Some(event(number)));
    }
    let reader = thread::spawn(move || events.next().is_none());
    lab.stop();
    assert!(reader.join().unwrap(), "an end is no event and no error");
    let error = lab.client.events().unwrap_err();
    assert!(error.to_string().starts_with("overlayd is not running: "), "{error}");
}

#[test]
fn a_reader_of_events_that_sleeps_is_told_how_much_it_missed() {
    let lab = Lab::start();
    let mut events = lab.client.events().unwrap();
    // More than the socket and the channel hold together. Who reads nothing holds up nobody else.
    let many = 40_000;
    for number in 0..many {
        lab.rooms.events.send(event(number)).unwrap();
        if number % 1000 == 0 {
            lab.client.status().unwrap();
        }
    }
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < u64::from(many) {
        match events.next_within(Duration::from_secs(60)).unwrap().expect("an event within a minute").what {
            Happening::Missed { missed: more } => missed += more,
            Happening::OverlayCreated { .. } => shown += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(shown + missed, u64::from(many));
    assert!(missed > 0, "all {shown} were shown");
}

#[test]
fn events_end_when_the_reader_hangs_up() {
    let lab = Lab::start();
    let mut events = lab.client.events().unwrap();
    let hangup = events.hangup().unwrap();
    let reader = thread::spawn(move || events.next().map(|event| event.map(|_| ())));
    hangup.hang_up();
    assert!(!matches!(reader.join().unwrap(), Some(Ok(()))));
    // The daemon notices without an event to send.
    let end = Instant::now() + Duration::from_secs(60);
    while lab.rooms.events.receiver_count() > 0 {
        assert!(Instant::now() < end, "the stream is still there");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_hundred_clients_at_once_are_all_answered() {
    let lab = Lab::start();
    thread::scope(|scope| {
        for number in 0..200 {
            let client = &lab.client;
            scope.spawn(move || {
                let new = new_overlay(&format!("ov{number}"), number);
                assert_eq!(client.create_overlay(&new).unwrap().name, new.name);
                assert_eq!(client.overlay(&new.name).unwrap().vnetid.get(), number);
                assert!(client.overlays().unwrap().iter().any(|overlay| overlay.name == new.name));
            });
        }
    });
    assert_eq!(lab.client.overlays().unwrap().len(), 200);
}
