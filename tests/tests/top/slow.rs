//! Does a slow plugin show?

use crate::answerer::{Answerer, dynamic};
use crate::daemon::{Daemon, link};
use crate::{can_run, top};
use overlay_api::Answer;
use overlay_lab::{Lab, Overlay};
use overlay_tests::ndjson;
use std::time::Duration;

const SLOW: Duration = Duration::from_millis(400);

#[test]
fn a_slow_answer_is_the_longest_wait_of_its_plugin_and_its_overlay() {
    if !can_run("a_slow_answer_is_the_longest_wait_of_its_plugin_and_its_overlay") {
        return;
    }
    let lab = Lab::builder("top_slow").overlay(Overlay::vxlan(77).no_tunnel_on(1).no_tunnel_on(2)).build().expect("a lab comes up");
    let daemon = Daemon::start(lab.host(1));
    let listen = lab.host(1).ipv4().into();
    dynamic(&daemon, "ov77", 77, listen, "script", &[("script/id", "7")]).unwrap_or_else(|error| panic!("{error}"));
    daemon.tenant("v77", "ov77", lab.tenant(1, 77, 1));
    let (mut varpd, _) = Answerer::attach(&daemon);
    let here = lab.tenant(1, 77, 1);
    let own: overlay_decoder::Mac = here.mac().parse().expect("a MAC");
    let before = daemon.client.overlay(&link("ov77")).expect("an overlay").waits;
    assert_eq!((before.answers, before.max_ns), (0, None), "nothing was answered yet");
    // The first is answered late, and nine others at once.
    for number in 1..=10 {
        let to = overlay_decoder::Mac([2, 0, 0, 0, 9, number]);
        let frame = [&to.0[..], &own.0, &[0x88, 0xb5], &[0; 50]].concat();
        here.send_frame("t0", &frame, 1).expect("a frame");
        let lookup = varpd.lookup(to);
        if number == 1 {
            std::thread::sleep(SLOW);
        }
        varpd.answer(lookup.request, Answer::Drop { ttl_ns: None });
    }
    daemon.wait("the answers", || daemon.client.overlay(&link("ov77")).expect("an overlay").waits.answers >= 10);
    let waits = daemon.client.overlay(&link("ov77")).expect("an overlay").waits;
    let slow = u64::try_from(SLOW.as_nanos()).expect("a time");
    let (half, most, longest) = (waits.p50_ns.expect("half"), waits.p99_ns.expect("most"), waits.max_ns.expect("all"));
    assert!(longest >= slow && most >= slow && most <= longest && half <= most, "{waits:?}");
    assert!(waits.sum_ns >= longest && waits.sum_ns <= longest * waits.answers, "{waits:?}");
    let status = daemon.client.status().expect("a status");
    let of: Vec<_> = status.answerer.waits.iter().map(|of| (of.plugin.as_str(), of.waits.answers, of.waits.max_ns)).collect();
    assert_eq!(of, [("script", waits.answers, waits.max_ns)]);

    let root = daemon.paths.root().display().to_string();
    let shown = ndjson(&top(["--root", &root, "--batch", "-n", "1", "--json", "--screen", "lookups"]).good()).remove(0);
    let row = &shown["rows"][0];
    assert_eq!((row["plugin"].as_str(), row["max"].as_u64()), (Some("script"), Some(longest)), "{shown}");
    assert!(row["p99"].as_u64() >= Some(slow), "{shown}");
    assert_eq!(row["in_flight"].as_u64(), Some(daemon.client.overlay(&link("ov77")).expect("an overlay").lookups), "{shown}");
}
