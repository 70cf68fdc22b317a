//! What becomes of answers that should not be?

use crate::asker::{Asker, frame_that, vnic};
use crate::objects::{badly, fixed};
use overlay_api::channel::{FromOverlayd, FromVarpd};
use overlay_api::control::InstanceCounters;
use overlay_api::{Answer, DeviceId};
use overlay_decoder::Mac;

const TO: &str = "10.0.0.9:4789";

pub(crate) fn reach(ttl_ms: Option<u64>) -> Answer {
    Answer::Reach { to: vec![TO.parse().expect("an address")], ttl_ns: ttl_ms.map(|ms| ms * 1_000_000) }
}

pub(crate) fn drop_for(ttl_ms: Option<u64>) -> Answer {
    Answer::Drop { ttl_ns: ttl_ms.map(|ms| ms * 1_000_000) }
}

#[test]
fn one_answer_counts_and_the_others_are_counted() {
    let mut asker = Asker::start(&["--deadline", "2000"], |folder| drop(badly(folder, "badly.so", &[])));
    let device = asker.tell_well("badly", &[]);
    // A good one, the first of two, one to nobody, one that cannot be and then one that can.
    assert_eq!(asker.asked(device, frame_that(0x20)), reach(None));
    assert_eq!(asker.asked(device, frame_that(3)), reach(Some(7000)));
    assert_eq!(asker.asked(device, frame_that(6)), drop_for(Some(0)));
    assert_eq!(asker.asked(device, frame_that(8)), drop_for(Some(3000)));
    assert_eq!(asker.asked(device, frame_that(12)), Answer::Resend(frame_that(12)));
    // None, at the deadline; one that comes after it; a number that says nothing.
    let never = asker.ask(device, frame_that(4));
    let late = asker.ask(device, frame_that(5));
    let nonsense = asker.ask(device, frame_that(7));
    for request in [never, late, nonsense] {
        assert_eq!(asker.answer_to(request), drop_for(None));
    }
    let log = asker.wait_log(&format!("badly for overlay ov1: lookup {late} was answered after its deadline: ignored"));
    for line in [
        "badly for overlay ov1: lookup 2 was answered a second time: ignored".to_owned(),
        format!("badly for overlay ov1: lookup {never} was not answered: dropped"),
        format!("badly for overlay ov1: lookup {nonsense} was not answered: dropped"),
        "which is not known: ignored".to_owned(),
        "lookup returned 42; 0 and 1 are allowed".to_owned(),
    ] {
        assert!(log.contains(&line), "{line} is not in\n{log}");
    }
    let expected = InstanceCounters { lookups: 8, reached: 2, dropped: 2, resent: 1, missing: 3, late: 2, ..InstanceCounters::default() };
    assert_eq!(asker.status(device).counters, expected);
    // Nothing of it has ended its process.
    assert!(!log.contains("started again"), "{log}");
}

#[test]
fn what_a_plugin_says_unasked_arrives() {
    let mut asker = Asker::start(&[], |folder| drop(badly(folder, "badly.so", &[])));
    let device = asker.tell_well("badly", &[]);
    let mac = Mac([2, 0, 0, 0, 0, 0x77]);
    asker.say([FromOverlayd::VnicAdded(vnic(device, "v0", mac))]);
    let frame = |to: [u8; 6]| [&to[..], &[2, 0, 0, 0, 0, 1, 0x88, 0xb5], b"hello"].concat();
    let to = vec![TO.parse().expect("an address")];
    let expected = [
        FromVarpd::State { device, degraded: Some("v0 came".to_owned()) },
        FromVarpd::TargetSet { device, mac, to, ttl_ns: Some(5_000_000_000) },
        FromVarpd::TargetSet { device, mac, to: Vec::new(), ttl_ns: None },
        FromVarpd::Inject { device, frame: frame([0xff; 6]) },
        FromVarpd::Resend { device, frame: frame([2, 0, 0, 0, 0, 2]) },
    ];
    assert_eq!(std::array::from_fn(|_| asker.hear()), expected);
    assert_eq!(asker.status(device).reason.as_deref(), Some("v0 came"));
    asker.say([FromOverlayd::VnicRemoved(vnic(device, "v0", mac))]);
    let expected =
        [FromVarpd::TargetInvalidate { device, mac }, FromVarpd::TargetFlush(device), FromVarpd::State { device, degraded: None }];
    assert_eq!(std::array::from_fn(|_| asker.hear()), expected);
}

#[test]
fn properties_are_refused_in_the_plugins_words() {
    let mut asker = Asker::start(&[], |folder| {
        badly(folder, "badly.so", &[]);
        fixed(folder);
    });
    let device = asker.tell("fixed", &[("fixed/hosts", "nobody")]);
    let why = loop {
        // Where the machine is slow, it says first that it has not started yet.
        match asker.hear_state(device).expect("a reason") {
            early if early.contains("has not said yet") => {}
            why => break why,
        }
    };
    assert_eq!(why, "fixed: it does not start: property fixed/hosts: nobody: MAC,ADDRESS:PORT or MAC,ADDRESS:PORT,IPV4 is allowed");
    // Not for long: it may start with its next properties.
    assert_eq!(asker.asked(device, frame_that(9)), drop_for(Some(0)));
    let mut verify = |token, how: &str| {
        let mut instance = crate::asker::instance(DeviceId(99), "badly", &[("badly/how", how)]);
        instance.name = "new".parse().expect("a name");
        asker.say([FromOverlayd::Verify(overlay_api::channel::Request { token, instance })]);
        loop {
            match asker.hear() {
                FromVarpd::Verified(verified) => break (verified.token, verified.problem),
                FromVarpd::State { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(verify(7, "good"), (7, None));
    assert_eq!(verify(8, "bad"), (8, Some("badly: property badly/how: a bad value".to_owned())));
    // It crashes: nobody knows, which shows when the instance is started. And then it is asked again.
    assert_eq!(verify(9, "crash"), (9, None));
    asker.wait_log("badly: it was ended by signal 6 (SIGABRT)");
}

#[test]
fn a_log_that_is_flooded_is_cut_and_has_no_orders_for_terminals() {
    let mut asker = Asker::start(&[], |folder| drop(badly(folder, "badly.so", &[])));
    let device = asker.tell_well("badly", &[]);
    assert_eq!(asker.asked(device, frame_that(11)), reach(None));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(asker.asked(device, frame_that(11)), reach(None));
    let log = asker.wait_log("more lines of its log are left out");
    assert!(log.contains("badly: for overlay ov1: again [2J and again") && !log.contains('\u{1b}'), "{log}");
    assert!(log.lines().filter(|line| line.contains("and again")).count() < 1500, "{log}");
}

#[test]
fn one_that_never_stops_talking_does_not_take_the_connection_with_it() {
    let mut asker = Asker::start(&[], |folder| {
        badly(folder, "badly.so", &[]);
        fixed(folder);
    });
    let bad = asker.tell_well("badly", &[]);
    let good = asker.tell_well("fixed", &[("fixed/hosts", "2:0:0:0:0:9,10.0.0.9:4789")]);
    asker.ask(bad, frame_that(13));
    // Somebody reads, slowly; the other plugin is heard all the same, on the same connection.
    let mut injected = 0;
    for _ in 0..3 {
        let request = asker.ask(good, frame_that(9));
        loop {
            match asker.hear() {
                FromVarpd::Answer(answered, answer) if answered == request => break assert_eq!(answer, reach(None)),
                FromVarpd::Inject { .. } => injected += 1,
                FromVarpd::Answer(..) | FromVarpd::State { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1500));
    }
    assert!(injected > 100, "{injected}");
    asker.wait_log("badly: it talked without end, faster than varpd reads (pid ");
}

#[test]
fn what_one_does_not_answer_is_bounded_and_the_others_are_heard() {
    // Most that is open at once: a constant of varpd, which docs/plugins.md has, too.
    const OPEN: u64 = 4096;
    let mut asker = Asker::start(&["--deadline", "600000"], |folder| {
        badly(folder, "badly.so", &[]);
        fixed(folder);
    });
    let bad = asker.tell_well("badly", &[]);
    let good = asker.tell_well("fixed", &[("fixed/hosts", "2:0:0:0:0:9,10.0.0.9:4789")]);
    for _ in 0..OPEN + 100 {
        asker.ask(bad, frame_that(4));
    }
    assert_eq!(asker.asked(good, frame_that(9)), reach(None));
    let expected = InstanceCounters { lookups: OPEN + 100, abandoned: 100, ..InstanceCounters::default() };
    assert_eq!(asker.status(bad).counters, expected);
}

#[test]
fn an_instance_that_flaps_is_heard_ten_times_a_second_and_its_last_word_counts() {
    let mut asker = Asker::start(&[], |folder| drop(badly(folder, "badly.so", &[])));
    let device = asker.tell_well("badly", &[]);
    let request = asker.ask(device, frame_that(14));
    let mut states = 0;
    let answer = loop {
        match asker.hear() {
            FromVarpd::State { degraded: Some(_), .. } => states += 1,
            FromVarpd::Answer(answered, answer) if answered == request => break answer,
            FromVarpd::State { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer, reach(None));
    // A thousand times this and that; the reason that was said last comes when the second is over.
    while asker.hear_state(device).as_deref() != Some("for good") {
        states += 1;
    }
    assert!(states < 100, "{states}");
    assert_eq!(asker.status(device).reason.as_deref(), Some("for good"));
}
