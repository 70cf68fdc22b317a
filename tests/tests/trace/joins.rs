//! Can what happened to one frame, and to one lookup, be put together again?

use crate::stack::{Stack, bytes, frame};
use crate::watch::{Fired, Seen, Watch, bpftrace};
use std::time::Duration;

/// For local experiments (RFC 5342 B.2).
const EXPERIMENT: u16 = 0x88b5;
/// Bytes of the frame that is followed: no other is as long.
const FOLLOWED: usize = 333;

/// The names of the probes that carry this id, in the order of time.
fn story(seen: &Seen, key: &str, id: u64) -> Vec<&'static str> {
    let carries = |fired: &&Fired| fired.probe.arguments.iter().any(|argument| argument.name == key) && fired.number(key) == id;
    seen.fired.iter().filter(carries).map(|fired| fired.probe.name).filter(|name| *name != "frame-bytes").collect()
}

fn only<'a>(mut found: impl Iterator<Item = &'a Fired>, what: &str) -> &'a Fired {
    let one = found.next().unwrap_or_else(|| panic!("no {what}"));
    assert_eq!(found.next(), None, "more than one {what}");
    one
}

#[test]
fn a_frame_that_waits_is_joined_by_its_id_from_port_to_kernel_and_on_the_other_host_on_one_thread() {
    let Some(bpftrace) = bpftrace("a_frame_that_waits_is_joined_by_its_id_from_port_to_kernel_and_on_the_other_host_on_one_thread") else {
        return;
    };
    let stack = Stack::start("trc_join");
    stack.join();
    let [first, second] = &stack.hosts;
    let watch = Watch::start(&bpftrace, first.overlayd.id(), &first.overlayd.client);
    let watch_varpd = Watch::start(&bpftrace, first.id(), &first.varpd);
    let watch_other = Watch::start(&bpftrace, second.overlayd.id(), &second.overlayd.client);

    let (here, there) = (stack.tenant(1, 1), stack.tenant(2, 1));
    let mut arrived = there.frames("t0", "ether proto 0x88b5").expect("frames can be heard");
    let followed = frame(&bytes(there.mac()), &bytes(here.mac()), EXPERIMENT, b"follow me", FOLLOWED);
    here.send_frame("t0", &followed, 1).expect("a frame");
    assert_eq!(arrived.next(Duration::from_secs(10)).expect("a capture"), Some(followed));
    let (seen, seen_varpd, seen_other) = (watch.end(), watch_varpd.end(), watch_other.end());

    let sent = only(seen.of("tx-frame").filter(|fired| fired.number("len") == FOLLOWED as u64), "frame");
    let id = sent.number("frame");
    let path = ["tx-frame", "target-miss", "target-queue", "lookup-start", "encap", "tx-send"];
    assert_eq!(story(&seen, "frame", id), path);
    let asked = only(seen.of("lookup-start").filter(|fired| fired.number("frame") == id), "lookup");
    let request = asked.number("request");
    assert_eq!(story(&seen, "request", request), ["lookup-start", "lookup-done"]);
    assert_eq!(story(&seen_varpd, "request", request), ["lookup", "answer"]);
    // The same clock counts for both daemons.
    let at = |seen: &Seen, name: &str| only(seen.of(name).filter(|fired| fired.number("request") == request), name).at;
    let times = [asked.at, at(&seen_varpd, "lookup"), at(&seen_varpd, "answer"), at(&seen, "lookup-done")];
    assert!(times.is_sorted(), "{times:?}");
    let left = only(seen.of("tx-send").filter(|fired| fired.number("frame") == id), "sending");
    assert!(times[3] < left.at);
    assert_eq!((left.number("datagrams"), left.number("bytes")), (1, FOLLOWED as u64 + 8));
    assert_eq!(left.text("ul3"), format!("{}:4789", stack.lab.host(2).ipv4()));

    let came = only(seen_other.of("decap").filter(|fired| fired.number("len") == FOLLOWED as u64), "arrival");
    let id = came.number("frame");
    assert_eq!(story(&seen_other, "frame", id), ["rx-datagram", "decap", "rx-deliver"]);
    let threads: Vec<u64> = ["rx-datagram", "decap", "rx-deliver"]
        .map(|name| only(seen_other.of(name).filter(|fired| fired.number("frame") == id), name).thread)
        .into();
    assert!(threads.iter().all(|thread| *thread == came.thread), "{threads:?}");
    // Its bytes are its own, also in parts.
    let parts: String = seen_other.of("frame-bytes").filter(|fired| fired.number("frame") == id).map(|fired| fired.text("hex")).collect();
    assert!(parts.starts_with(&format!("{}{}88b5", there.mac(), here.mac()).replace(':', "")), "{parts}");
}
