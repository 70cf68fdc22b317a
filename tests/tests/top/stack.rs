//! What does overlay-top show of a host with overlayd and varpd, when things go wrong and when they are well again?

use crate::daemon::link;
use crate::host::{Host, all_up, lab, overlay};
use crate::screen::Screen;
use crate::{can_run, top};
use overlay_lab::{Family, Lab, Ping, UdpLoad};
use overlay_tests::{ndjson, program};
use serde_json::Value;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

const NETWORK: (u32, Family) = (77, Family::V4);

fn start(test: &str, host: &Host, size: (u16, u16)) -> Option<Screen> {
    let root = host.overlayd.paths.root().display().to_string();
    Screen::open(test, size, &format!("exec {} --root {root} -d 0.2 --utc", program("overlay-top").display()))
}

/// A datagram of VXLAN with a VNI that nobody has.
pub(crate) fn send_unknown_vni(lab: &Lab) {
    let to = (lab.host(1).ipv4(), 4789);
    let mut datagram = vec![8, 0, 0, 0, 0, 0, 99, 0];
    datagram.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    datagram.extend([0; 46]);
    let socket = lab.host(2).enter(|| UdpSocket::bind(("0.0.0.0", 0))).expect("a namespace").expect("a socket");
    socket.send_to(&datagram, to).expect("a datagram can be sent");
}

#[test]
fn a_session_with_a_host_that_loses_its_answerer_and_gets_it_back() {
    const NAME: &str = "a_session_with_a_host_that_loses_its_answerer_and_gets_it_back";
    if !can_run(NAME) {
        return;
    }
    let lab = lab("top_life", 3, &[NETWORK]);
    let mut hosts = all_up(&lab, 3, &[NETWORK]);
    let (here, second, third) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1), lab.tenant(3, 77, 1));
    let Some(screen) = start("life", &hosts[0], (120, 40)) else { return };

    // Counters that rise.
    screen.wait_line(&["ov77", "up", "vxlan"]);
    let echo = second.udp_echo((IpAddr::from(second.ipv4()), 0).into()).expect("an echo server");
    let report = here.udp_send(&UdpLoad::new(echo.at(), 500, 100)).expect("datagrams can be sent");
    assert_eq!((report.sent, report.answered), (500, 500));
    screen.wait("500 packets both ways", |text| {
        let row = text.lines().find(|line| line.starts_with("ov77")).unwrap_or_default();
        let big = row.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).filter(|number| *number >= 500).count();
        big >= 2
    });

    // The table.
    screen.press(&["2"]);
    screen.wait_line(&[second.mac(), "10.88.0.2:4789", "valid", "lookup"]);

    // Nobody answers: what is known goes on, what is not known waits, and both are said.
    let host = &mut hosts[0];
    host.kill();
    host.wait_degraded(77, "varpd is away");
    let _ = host.overlayd.client.remove_target(&link(&overlay(77)), third.mac().parse().expect("a MAC"));
    here.ip(&[format!("neigh replace {} lladdr {} dev t0 nud permanent", third.ipv4(), third.mac())]).expect("a neighbour");
    std::thread::scope(|scope| {
        let patient = Ping { count: 1, wait: Duration::from_secs(9), ..Ping::default() };
        let waiting = scope.spawn(move || here.ping_with(third.ipv4().into(), &patient));
        screen.wait_line(&[third.mac(), "pending"]);
        screen.press(&["1"]);
        screen.wait_line(&["ov77", "degraded"]);
        screen.wait("a sentence", |text| text.contains("ov77 is degraded for") || text.contains("1 target waits on ov77, the oldest for"));
        screen.press(&["4"]);
        screen.wait_line(&["ov77", "files", "away"]);
        hosts[0].start_again();
        waiting.join().expect("no panic").expect("ping runs");
    });
    hosts[0].wait_up(77);
    screen.wait_line(&["ov77", "files", "up"]);
    screen.press(&["1"]);
    screen.wait("no sentence", |text| !text.contains("degraded") && !text.contains("waits"));

    // A drop, under its reason.
    screen.press(&["5"]);
    send_unknown_vni(&lab);
    screen.wait_line(&["unknown-vni", "(none)", "receive", "1"]);
    screen.press(&["/", "reason=unknown-vni", "Enter"]);
    screen.wait("no other reason", |text| text.contains("/reason=unknown-vni") && !text.contains("no-receiver"));
    screen.press(&["Enter"]);
    screen.wait("what it means", |text| {
        text.contains("── ") && text.lines().filter(|line| line.contains("No overlay on this socket")).count() >= 1
    });
    screen.wait_line(&["last example, ", "VNI 99, 02:00:00:00:00:02 to 02:00:00:00:00:01, other end 10.88.0.2:", ", 68 bytes"]);
    screen.press(&["Escape"]);
    // A key that comes at once would be taken for one with Alt.
    screen.wait("no details", |text| !text.contains("── "));

    // What happened.
    screen.press(&["6"]);
    screen.wait_line(&["overlay-state", "ov77", "degraded: varpd is away"]);
    screen.wait_line(&["answerer", "varpd", "attached"]);

    // overlayd itself.
    screen.press(&["1"]);
    hosts[0].overlayd.kill();
    screen.wait("a sentence", |text| text.contains("overlayd is gone since") && text.contains("the last values are shown"));
    screen.wait_line(&["ov77"]);
    hosts[0].overlayd.start_again();
    screen.wait("overlayd again", |text| !text.contains("is gone") && text.lines().any(|line| line.starts_with("ov77")));

    // A filter, and a terminal that gets small.
    screen.press(&["/", "state=down", "Enter"]);
    screen.wait("nothing", |text| text.contains("no line passes the filter"));
    screen.press(&["Escape"]);
    screen.wait("the overlay again", |text| text.lines().any(|line| line.starts_with("ov77") && line.contains(" up ")));
    screen.resize(40, 10);
    screen.wait("a small screen", |text| text.contains("? help  q end") && text.contains("ov77"));
    screen.resize(30, 5);
    screen.wait("a sentence", |text| text.contains("40 x 10 at least; this is 30 x") || text.contains("40 x 10 at least"));
}

/// Once, as JSON.
fn batch(host: &Host, words: &[&str]) -> Value {
    let root = host.overlayd.paths.root().display().to_string();
    let ended = top(["--root", &*root, "--batch", "-n", "1", "--json"].iter().chain(words));
    ndjson(&ended.good()).remove(0)
}

#[test]
fn counters_equal_the_load_to_the_packet() {
    if !can_run("counters_equal_the_load_to_the_packet") {
        return;
    }
    let lab = lab("top_count", 2, &[NETWORK]);
    let hosts = all_up(&lab, 2, &[NETWORK]);
    let (here, there) = (lab.tenant(1, 77, 1), lab.tenant(2, 77, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let warm = here.udp_send(&UdpLoad::new(echo.at(), 1, 100)).expect("a datagram can be sent");
    assert_eq!(warm.answered, 1);
    let counted = |host: &Host| {
        let counters = host.overlayd.client.overlay(&link("ov77")).expect("an overlay").counters;
        (counters.datagrams_out_packets, counters.datagrams_in, counters.all_dropped())
    };
    // A tenant's stack says something of its own now and then: of rounds in which it did not, one is enough.
    let exact = (0..10).any(|_| {
        let before = counted(&hosts[0]);
        let report = here.udp_send(&UdpLoad::new(echo.at(), 1000, 200)).expect("datagrams can be sent");
        assert_eq!((report.sent, report.answered), (1000, 1000));
        let shown = batch(&hosts[0], &[]);
        let after = counted(&hosts[0]);
        let row = &shown["rows"][0];
        assert_eq!((row["name"].as_str(), row["vni"].as_u64(), row["state"].as_str()), (Some("ov77"), Some(77), Some("up")));
        let shown = (row["tx_packets"].as_u64().unwrap(), row["rx_packets"].as_u64().unwrap(), row["drops"].as_u64().unwrap());
        assert!(shown.0 >= before.0 + 1000 && shown.1 >= before.1 + 1000, "{before:?} {shown:?} {after:?}");
        shown == after && (shown.0, shown.1) == (before.0 + 1000, before.1 + 1000)
    });
    assert!(exact, "in ten rounds there was always something else");
    // The window of targets, filtered by overlayd and here.
    for filter in ["state:valid", "mac:02:08 !state:pending", "/10\\.88\\.0\\.2:4789/"] {
        let shown = batch(&hosts[0], &["--screen", "targets", "--filter", filter, "--sort", "hits"]);
        assert_eq!(shown["total"], 1, "{filter}: {shown}");
        assert_eq!((&shown["rows"][0]["mac"], &shown["rows"][0]["ul3"][0]), (&there.mac().into(), &"10.88.0.2:4789".into()), "{filter}");
    }
    assert_eq!(batch(&hosts[0], &["--screen", "targets", "--filter", "vni:78"])["total"], 0);
    let vnics = batch(&hosts[0], &["--screen", "vnics"]);
    assert_eq!(
        (&vnics["rows"][0]["name"], &vnics["rows"][0]["overlay"], &vnics["rows"][0]["state"]),
        (&"v77".into(), &"ov77".into(), &"up".into())
    );
    let lookups = batch(&hosts[0], &["--screen", "lookups"]);
    assert_eq!(
        (&lookups["rows"][0]["plugin"], &lookups["rows"][0]["state"], &lookups["rows"][0]["entries"]),
        (&"files".into(), &"up".into(), &2.into())
    );
}
