//! Which mistakes has this kind of system made before? One test for each defect of the illumos overlay device that an engine could
//! repeat, named after it. What illumos did is in the comment; what the test shows is that it does not happen here.

mod target_host;

use overlay_api::{Answer, DropReason, EntryState, Source};
use overlay_decoder::{Mac, Vni};
use overlay_engine::{AnswerError, DeviceSpec, Limits, Search, SetTarget, Time, Totals};
use target_host::{A, B, C, Did, FRAME, Host, SECOND, count_drops, count_in, count_sent, frame, reach, totals, ul3};

fn to(host: u8) -> SetTarget {
    SetTarget::Reach(vec![ul3(host)])
}

#[track_caller]
fn counted(host: &Host, change: impl FnOnce(&mut Totals)) {
    assert_eq!(host.totals(), totals(change), "{}", host.world());
}

/// CACHE_SET with a destination set the flag *valid* and left the flag *drop*, which the data path looked at first: a MAC that was
/// once dropped stayed dropped until it was removed.
#[test]
fn set_cannot_undo_drop() {
    let mut host = Host::new();
    host.set(B, &SetTarget::Drop);
    host.send(B, 1);
    host.set(B, &to(2));
    host.carry_out();
    host.send(B, 2);
    assert_eq!(host.did(), [Did::Send(2, ul3(2))], "{}", host.world());
    assert_eq!(host.state(B), EntryState::Valid);
    // And back again.
    host.set(B, &SetTarget::Drop);
    host.send(B, 3);
    counted(&host, |totals| {
        count_in(totals, 3);
        count_sent(totals, 1);
        count_drops(totals, DropReason::Refused, 2);
    });
    host.delete();
}

/// An entry that was made valid by CACHE_SET while its lookup was still in the queue was skipped when the lookup was taken out, and the
/// count of outstanding lookups stayed one too high; deleting the device waited for zero for ever.
#[test]
fn count_leak_on_dequeue() {
    let mut host = Host::new();
    host.control.answerer_lost("restarting", host.now);
    host.send(B, 1);
    assert_eq!((host.control.device(host.device).unwrap().lookups, host.did()), (1, vec![]), "asked, but nobody is there to be told");
    let request = overlay_api::RequestId(1);
    host.set(B, &to(2));
    host.carry_out();
    assert_eq!(host.did(), [Did::Withdraw(request), Did::Send(1, ul3(2))]);
    host.control.answerer_attached(host.now);
    host.carry_out();
    assert_eq!(host.did(), [], "what is known is not asked");
    let device = host.control.device(host.device).unwrap();
    assert_eq!((device.lookups, device.pending_bytes), (0, 0), "{}", host.world());
    host.delete();
}

/// INJECT and RESEND that named the device took a hold on it that nothing released: delete returned EBUSY from then on.
#[test]
fn hold_leak_on_inject() {
    let mut host = Host::new();
    for content in 0..10 {
        host.control.inject(host.device, &frame(A, content)).unwrap();
        host.control.resend(host.device, &frame(B, content), host.now).unwrap();
        host.carry_out();
    }
    host.answer(Answer::Inject(frame(A, 50))).unwrap();
    host.answer(Answer::Resend(frame(C, 51))).unwrap();
    host.delete();
    counted(&host, |totals| {
        (totals.made, totals.resent, totals.answered) = (11, 10, 1);
        // The second question was sent back by the next frame in the queue, which a plugin had sent itself.
        (totals.lookups, totals.answers) = (3, 2);
        count_drops(totals, DropReason::ResendLoop, 1);
        count_drops(totals, DropReason::OverlayRemoved, 8);
    });
}

/// When the encapsulation or the sending of one frame failed, the rest of its chain was freed with it, silently.
#[test]
fn chain_dropped_after_one_failure() {
    let mut host = Host::new();
    host.set(B, &to(2));
    host.carry_out();
    let (long, ok) = ([frame(B, 0), vec![0; 1401 - 1]].concat(), |content| frame(B, content));
    host.give(0, &[&ok(1), &[2, 0, 0], &ok(2), &long, &ok(3), &frame(A, 9), &ok(4)]);
    assert_eq!(host.did(), [1, 2, 3, 4].map(|content| Did::Send(content, ul3(2))), "{}", host.world());
    counted(&host, |totals| {
        count_in(totals, 7);
        totals.frames_in_bytes = 5 * FRAME + 3 + long.len() as u64;
        count_sent(totals, 4);
        for reason in [DropReason::FrameTooShort, DropReason::TooBig, DropReason::SelfAddressed] {
            count_drops(totals, reason, 1);
        }
    });
    host.delete();
}

/// The same with frames that wait: one that turned out to be too big took the others with it.
#[test]
fn queue_dropped_after_one_failure() {
    let mut host = Host::new();
    let long = [frame(B, 0), vec![0; 1400]].concat();
    host.give(0, &[&frame(B, 1), &long, &frame(B, 2)]);
    host.control.handle_misses(host.now);
    host.carry_out();
    host.did();
    host.answer(reach(2)).unwrap();
    assert_eq!(host.did(), [1, 2].map(|content| Did::Send(content, ul3(2))), "{}", host.world());
    let row = host.row(B).unwrap();
    assert_eq!((row.hits, row.bytes), (2, 2 * FRAME), "what was not sent is no hit\n{}", host.world());
    host.delete();
}

/// ASSOCIATE, which a restarted varpd called, installed a fresh target table and leaked the old one: everything was asked again at
/// once, and nothing passed until it was answered.
#[test]
fn cache_lost_when_varpd_restarts() {
    let mut host = Host::new();
    for (mac, at) in [(B, 2), (C, 3)] {
        host.send(mac, 1);
        host.answer(reach(at)).unwrap();
    }
    host.control.answerer_lost("varpd is restarting", host.now);
    host.did();
    host.send(B, 2);
    host.pass(1000 * SECOND);
    host.send(B, 3);
    assert_eq!(host.did(), [Did::Send(2, ul3(2)), Did::Send(3, ul3(2))], "what is known is used for as long as it takes\n{}", host.world());
    assert_eq!((host.state(B), host.state(C)), (EntryState::Stale, EntryState::Stale));
    host.control.answerer_attached(host.now);
    host.carry_out();
    assert_eq!(host.did(), [], "nothing is asked that nobody uses");
    host.send(B, 4);
    let request = host.request();
    assert_eq!(host.did(), [Did::Send(4, ul3(2)), Did::Ask(request, B)], "verified on use");
    host.answer(reach(7)).unwrap();
    host.send(B, 5);
    host.send(C, 6);
    assert_eq!(host.did()[..2], [Did::Send(5, ul3(7)), Did::Send(6, ul3(3))], "{}", host.world());
    counted(&host, |totals| {
        count_in(totals, 7);
        count_sent(totals, 7);
        (totals.lookups, totals.answers) = (4, 3);
    });
    host.delete();
}

/// `dladm show-overlay -t` of a point device with an IPv6 destination walked garbage, and rows that say drop carried bytes of the
/// kernel's memory where the address should be.
#[test]
fn show_with_ipv6_destination() {
    let mut host = Host::new();
    let spec = |name: &str, search, more: &[(&str, &str)]| DeviceSpec {
        name: name.into(),
        encapsulation: "vxlan".into(),
        vni: Vni::new(5).unwrap(),
        search,
        properties: [("vxlan/listen_ip", "fd00::1")].iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    };
    let point =
        host.control.create_device(spec("point", Search::Direct, &[("direct/dest_ip", "fd00::2"), ("direct/dest_port", "4789")]), host.now);
    let point = point.unwrap();
    assert!(host.control.targets(point).is_none(), "a point has no table");
    assert_eq!(host.control.property(point, "direct/dest_ip"), Ok(Some("fd00::2".into())));
    host.control.delete_device(point, host.now).unwrap();
    let table = host.control.create_device(spec("table", Search::Dynamic, &[]), host.now).unwrap();
    let six = |text: &str| SetTarget::Reach(vec![text.parse().unwrap()]);
    for (mac, target) in [(B, six("[fd00::2]:4789")), (C, SetTarget::Drop), (Mac::BROADCAST, six("[ff05::7]:4789"))] {
        host.control.set_target(table, mac, &target, Source::Static, None, host.now).unwrap();
    }
    host.carry_out();
    let mut rows = Vec::new();
    host.control.targets(table).unwrap().for_each(host.now, |row| rows.push((row.mac, row.state.name(), format!("{:?}", row.ul3))));
    rows.sort();
    let shown = |text: &str| format!("{:?}", [text.parse::<overlay_decoder::Ul3>().unwrap()]);
    let expected =
        [(B, "valid", shown("[fd00::2]:4789")), (C, "drop", "[]".to_owned()), (Mac::BROADCAST, "valid", shown("[ff05::7]:4789"))];
    assert_eq!(rows, expected);
}

/// A queue that was over its 128 KiB (the comment said 1 MB) dropped frames without a trace.
#[test]
fn queue_overflow_is_silent() {
    let mut host = Host::with(1, Limits { pending_bytes_per_entry: 100, pending_bytes_per_device: 150, ..Limits::default() }, &[]);
    for content in 1..=8 {
        host.send(B, content);
    }
    // 6 frames of 15 bytes are 90, 7 would be 105. With 4 more for another destination the device is at its 150.
    for content in 1..=8 {
        host.send(C, content);
    }
    counted(&host, |totals| {
        count_in(totals, 16);
        totals.lookups = 2;
        count_drops(totals, DropReason::PendingFull, 2);
        count_drops(totals, DropReason::OverlayFull, 4);
    });
    assert_eq!([B, C].map(|mac| host.row(mac).unwrap().pending_bytes), [90, 60]);
    assert_eq!(host.control.device(host.device).unwrap().pending_bytes, 150);
    host.delete();
}

/// The cap did not hold for the first frame of an entry: nothing could ever be asked otherwise. That much was right; but it has to hold
/// for every other one, and the device's has to hold for the first, too.
#[test]
fn first_frame_over_the_cap() {
    let mut host = Host::with(1, Limits { pending_bytes_per_entry: 10, pending_bytes_per_device: 40, ..Limits::default() }, &[]);
    for mac in [B, B, C, Mac([2, 0, 0, 0, 0, 4])] {
        host.send(mac, 1);
    }
    counted(&host, |totals| {
        count_in(totals, 4);
        totals.lookups = 2;
        count_drops(totals, DropReason::PendingFull, 1);
        count_drops(totals, DropReason::OverlayFull, 1);
    });
    assert_eq!(host.targets().len(), 2, "what found no room left no entry\n{}", host.world());
    host.answer(Answer::Inject(frame(A, 9))).unwrap();
    host.send(C, 2);
    assert_eq!(host.state(C), EntryState::Pending);
    host.delete();
}

/// An entry that was set while its lookup was under way: the answer came afterwards and what it did depended on the order of two
/// flags.
#[test]
fn pending_set_wins_race_against_answer() {
    for late in [reach(9), Answer::Drop { ttl_ns: None }, Answer::Inject(frame(A, 9)), Answer::Resend(frame(C, 9))] {
        let mut host = Host::new();
        host.send(B, 1);
        host.set(B, &to(2));
        let error = host.answer(late.clone()).unwrap_err();
        assert_eq!(error, AnswerError::Unknown(host.request()));
        host.send(B, 2);
        let row = host.row(B).unwrap();
        assert_eq!((row.state, row.source, row.ul3), (EntryState::Valid, Source::Static, vec![ul3(2)]), "{late:?}\n{}", host.world());
        counted(&host, |totals| {
            count_in(totals, 2);
            count_sent(totals, 2);
            (totals.lookups, totals.late_answers) = (1, 1);
        });
        host.delete();
    }
}

/// DROP freed the frame at the head of the queue only, and asked again for each of those behind it.
#[test]
fn drop_takes_only_the_head() {
    let mut host = Host::new();
    for content in 1..=5 {
        host.send(B, content);
    }
    host.answer(Answer::Drop { ttl_ns: None }).unwrap();
    counted(&host, |totals| {
        count_in(totals, 5);
        (totals.lookups, totals.answers) = (1, 1);
        count_drops(totals, DropReason::Refused, 5);
    });
    host.delete();
}

/// CACHE_REMOVE and CACHE_FLUSH only cleared flags: the entries stayed until the device was deleted.
#[test]
fn flush_does_not_free() {
    let mut host = Host::new();
    for n in 0..100 {
        host.control.set_target(host.device, Mac([2, 0, 0, 0, 1, n]), &to(2), Source::Plugin, None, host.now).unwrap();
    }
    host.set(C, &to(3));
    host.carry_out();
    assert_eq!(host.targets().len(), 101);
    assert_eq!(host.control.flush(host.device, true, host.now), Ok(100));
    assert_eq!((host.targets().len(), host.state(C)), (1, EntryState::Valid), "what is set by hand stays");
    assert_eq!(host.control.flush(host.device, false, host.now), Ok(1));
    assert!(host.targets().is_empty(), "{}", host.world());
    host.delete();
}

/// There was neither a time limit nor an eviction nor a cap: a table only grew.
#[test]
fn table_only_grows() {
    let mut host = Host::with(1, Limits::default(), &[("target/max", "10"), ("target/ttl", "1")]);
    for n in 0..200 {
        let mac = Mac([2, 0, 0, 0, 1, n]);
        host.now = host.now + 1;
        host.send(mac, 1);
        host.answer(reach(2)).unwrap();
        assert!(host.targets().len() <= 10, "{}", host.world());
    }
    assert_eq!(host.totals().evictions, 190);
    for _ in 0..20 {
        host.pass(100 * SECOND);
    }
    assert!(host.targets().is_empty(), "what nobody uses is forgotten\n{}", host.world());
    counted(&host, |totals| {
        count_in(totals, 200);
        count_sent(totals, 200);
        (totals.lookups, totals.answers, totals.evictions) = (200, 200, 190);
    });
    host.delete();
}

/// Setting the largest virtual network id worked at creation and not later (`>=` for `>`); and properties that were shown as `rw` could
/// not be set at all once the device was active. Counters and table survive the change (OS-4086: stats were lost).
#[test]
fn properties_frozen_though_shown_writable() {
    let mut host = Host::new();
    host.set(B, &to(2));
    host.carry_out();
    host.send(B, 1);
    let before = host.totals();
    host.control.set_property(host.device, "vnetid", "16777215", host.now).unwrap();
    host.control.set_property(host.device, "mtu", "1401", host.now).unwrap();
    assert_eq!(host.control.device(host.device).unwrap().spec.vni, Vni::MAX);
    assert_eq!((host.totals(), host.state(B)), (before, EntryState::Valid));
    host.send(B, 2);
    assert_eq!(host.row(B).unwrap().hits, 2);
    let too_large = host.control.set_property(host.device, "vnetid", "16777216", host.now).unwrap_err();
    assert!(too_large.to_string().contains("16777216"), "{too_large}");
    host.delete();
}

/// A second answer, or one to nothing, aborted varpd or the lookup's thread; a lookup that was lost leaked its query (OS-6980).
#[test]
fn wrong_answers_end_the_answerer() {
    let mut host = Host::new();
    host.send(B, 1);
    host.answer(reach(2)).unwrap();
    for _ in 0..3 {
        assert_eq!(host.answer(Answer::Drop { ttl_ns: None }), Err(AnswerError::Unknown(host.request())));
    }
    assert_eq!(host.state(B), EntryState::Valid);
    host.send(C, 2);
    host.pass(10 * SECOND);
    host.carry_out();
    host.answer(reach(3)).unwrap_err();
    assert_eq!((host.state(C), host.control.device(host.device).unwrap().lookups), (EntryState::Absent, 0));
    counted(&host, |totals| {
        count_in(totals, 2);
        count_sent(totals, 1);
        (totals.lookups, totals.answers, totals.late_answers) = (2, 1, 4);
        count_drops(totals, DropReason::LookupTimeout, 1);
    });
    host.delete();
}

/// Frames behind a full socket blocked everything (OS-7088); now the driver says that it lost one, and that is counted beside what was
/// sent, on the device.
#[test]
fn a_full_socket_is_counted() {
    let mut host = Host::new();
    let transmit = host.first_transmit(B, &to(2));
    host.workers[0].lost(&transmit, 23, DropReason::SocketFull);
    counted(&host, |totals| {
        count_in(totals, 1);
        count_sent(totals, 1);
        count_drops(totals, DropReason::SocketFull, 1);
    });
    assert_eq!(host.totals().waiting(), 0, "what was sent and then lost has not come back");
    host.delete();
}

/// A clock that stands still, or answers at the very moment at which everything ends, leaves nothing behind.
#[test]
fn everything_at_one_moment() {
    let mut host = Host::with(1, Limits { lookup_timeout_ns: 0, ..Limits::default() }, &[("target/negative_ttl", "0")]);
    host.send(B, 1);
    host.pass(0);
    host.carry_out();
    host.answer(reach(2)).unwrap_err();
    host.send(B, 2);
    host.answer(Answer::Drop { ttl_ns: Some(0) }).unwrap();
    host.send(B, 3);
    host.answer(Answer::Reach { to: vec![ul3(2)], ttl_ns: Some(0) }).unwrap();
    assert_eq!(host.state(B), EntryState::Stale, "over as soon as it is known, and used\n{}", host.world());
    host.send(B, 4);
    host.send(B, 5);
    counted(&host, |totals| {
        count_in(totals, 5);
        count_sent(totals, 3);
        (totals.lookups, totals.answers, totals.late_answers) = (4, 2, 1);
        count_drops(totals, DropReason::LookupTimeout, 1);
        count_drops(totals, DropReason::Refused, 1);
    });
    assert_eq!(host.now, Time::ZERO);
    host.delete();
}
