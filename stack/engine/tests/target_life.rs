//! What else can go wrong in the life of a target? Stories that the table of states alone does not tell: renewals that answer
//! themselves, lists for groups, long absences, and commands that meet frames on their way.

mod target_host;

use overlay_api::{Answer, DropReason, EntryState, Source};
use overlay_decoder::Mac;
use overlay_engine::{Limits, SetTarget};
use target_host::{A, B, C, Did, FRAME, Host, SECOND, count_drops, count_in, count_sent, frame, reach, totals, ul3};

const ALL: Mac = Mac::BROADCAST;

fn to(host: u8) -> SetTarget {
    SetTarget::Reach(vec![ul3(host)])
}

/// A host that knows B for ten seconds, which are over.
fn stale() -> Host {
    let mut host = Host::new();
    host.send(B, 1);
    host.answer(Answer::Reach { to: vec![ul3(2)], ttl_ns: Some(10 * SECOND) }).unwrap();
    host.pass(10 * SECOND);
    host.carry_out();
    assert_eq!(host.state(B), EntryState::Stale);
    host.did();
    host
}

/// The answer to every renewal is "send this frame instead", to the same stale destination, which asks again: the second time the circle
/// ends. The frames that asked have been sent, so nothing is dropped.
#[test]
fn a_renewal_that_is_answered_by_resending_does_not_go_in_circles() {
    let mut host = stale();
    host.send(B, 2);
    for _ in 0..5 {
        let _ = host.answer(Answer::Resend(frame(B, 3)));
    }
    let (first, second) = (overlay_api::RequestId(2), overlay_api::RequestId(3));
    let (two, three) = (Did::Send(2, ul3(2)), Did::Send(3, ul3(2)));
    assert_eq!(host.did(), [two, Did::Ask(first, B), three, Did::Ask(second, B)], "{}", host.world());
    let expected = totals(|totals| {
        count_in(totals, 2);
        count_sent(totals, 3);
        (totals.resent, totals.lookups, totals.answers, totals.late_answers) = (1, 3, 3, 3);
    });
    assert_eq!(host.totals(), expected, "{}", host.world());
    host.delete();
}

/// The list of a group is asked for again, as any destination: when its time is over, and when who answered was away.
#[test]
fn the_list_of_a_group_is_renewed_on_use() {
    let mut host = Host::new();
    host.send(ALL, 1);
    let list = |ttl| Answer::Reach { to: vec![ul3(2), ul3(3)], ttl_ns: Some(ttl) };
    host.answer(list(SECOND)).unwrap();
    host.send(ALL, 2);
    let both = |content| [Did::Send(content, ul3(2)), Did::Send(content, ul3(3))];
    assert_eq!(host.did()[1..], [both(1), both(2)].concat(), "{}", host.world());
    // Nobody has swept the table yet.
    host.now = host.now + SECOND;
    host.send(ALL, 3);
    let request = host.request();
    let asked = Did::Ask(request, ALL);
    assert_eq!(host.did(), [&both(3)[..], std::slice::from_ref(&asked)].concat(), "{}", host.world());
    host.answer(list(1000 * SECOND)).unwrap();
    assert_eq!(host.state(ALL), EntryState::Valid);
    host.control.answerer_lost("away", host.now);
    host.now = host.now + SECOND;
    host.control.answerer_attached(host.now);
    host.carry_out();
    host.send(ALL, 4);
    let asked = Did::Ask(host.request(), ALL);
    assert_eq!(host.did(), [&both(4)[..], std::slice::from_ref(&asked)].concat(), "{}", host.world());
    let row = host.row(ALL).unwrap();
    assert_eq!((row.state, row.hits, row.bytes), (EntryState::Renewing, 3, 3 * FRAME), "the first one was sent by its own answer");
    host.delete();
}

/// The operator says that broadcasts get nothing: that holds for those that a plugin sends, too.
#[test]
fn a_group_that_is_dropped_by_hand_is_not_asked_about() {
    let mut host = Host::new();
    host.set(ALL, &SetTarget::Drop);
    host.carry_out();
    host.send(ALL, 1);
    let mut resent = frame(ALL, 2);
    resent[6..12].copy_from_slice(&C.0);
    host.control.resend(host.device, &resent, host.now).unwrap();
    host.carry_out();
    assert_eq!(host.did(), [Did::Deliver(2)], "the port gets a plugin's broadcast, and nobody is asked\n{}", host.world());
    let expected = totals(|totals| {
        count_in(totals, 1);
        (totals.resent, totals.flooded, totals.frames_out, totals.frames_out_bytes) = (1, 1, 1, FRAME);
        count_drops(totals, DropReason::Refused, 1);
    });
    assert_eq!(host.totals(), expected, "{}", host.world());
    host.delete();
}

/// While nobody answers, nothing is forgotten, however long it lasts and whoever is idle: it could not be learned again.
#[test]
fn nothing_is_forgotten_while_nobody_answers() {
    let mut host = stale();
    host.control.answerer_lost("away", host.now);
    for _ in 0..50 {
        host.pass(1000 * SECOND);
        host.carry_out();
    }
    assert_eq!(host.state(B), EntryState::Stale, "{}", host.world());
    host.send(B, 2);
    assert_eq!(host.did(), [Did::Send(2, ul3(2))]);
    host.control.answerer_attached(host.now);
    host.pass(1000 * SECOND);
    host.carry_out();
    assert_eq!(host.state(B), EntryState::Absent, "somebody answers again, and nobody has used it for long\n{}", host.world());
    host.delete();
}

/// Lookups that nobody answers while nobody is there run out of time as all others do, and are not put to the next one.
#[test]
fn questions_that_ran_out_of_time_are_not_put_to_the_next_who_answers() {
    let mut host = Host::new();
    host.control.answerer_lost("away", host.now);
    for round in 0..20 {
        host.send(Mac([2, 0, 0, 0, 5, round]), round);
        host.pass(SECOND);
        host.carry_out();
    }
    host.did();
    host.control.answerer_attached(host.now);
    host.carry_out();
    let asked: Vec<_> = host.did().into_iter().map(|did| if let Did::Ask(_, mac) = did { mac.0[5] } else { panic!("{did:?}") }).collect();
    assert_eq!(asked, (11..20).collect::<Vec<_>>(), "those of the last ten seconds, in their order\n{}", host.world());
    assert_eq!(host.totals().dropped(DropReason::LookupTimeout), 11);
    host.delete();
}

/// What is not sent is no hit: neither when the worker finds a frame too big nor when the control half does.
#[test]
fn hits_are_frames_that_were_sent() {
    let mut host = Host::new();
    let long = [frame(B, 0), vec![0; 1400]].concat();
    host.give(0, &[&long, &frame(B, 1)]);
    host.control.handle_misses(host.now);
    host.carry_out();
    host.give_one(B, 2);
    host.give(0, &[&long]);
    host.answer(reach(2)).unwrap();
    host.control.handle_misses(host.now);
    host.carry_out();
    host.give(0, &[&long, &frame(B, 3)]);
    let row = host.row(B).unwrap();
    assert_eq!((row.state, row.hits, row.bytes), (EntryState::Valid, 3, 3 * FRAME), "{}", host.world());
    assert_eq!((host.totals().sent, host.totals().dropped(DropReason::TooBig)), (3, 3));
    host.delete();
}

/// A flow that never pauses keeps an entry from opening; after a while its frames are held (dropped, and counted) until it has.
#[test]
fn a_flow_that_never_pauses_cannot_keep_an_entry_closed() {
    let mut host = Host::with(1, Limits { drain_ns: SECOND, ..Limits::default() }, &[]);
    host.send(B, 1);
    host.give_one(B, 2);
    host.answer(reach(2)).unwrap();
    for content in 3..10 {
        // One comes for each that goes.
        host.give_one(B, content);
        host.control.handle_misses(host.now);
        host.give_one(B, 100 + content);
        host.carry_out();
        assert_eq!(host.state(B), EntryState::Draining);
    }
    host.pass(SECOND);
    host.carry_out();
    host.give_one(B, 50);
    assert_eq!(host.totals().dropped(DropReason::PendingFull), 1, "held\n{}", host.world());
    host.control.handle_misses(host.now);
    host.carry_out();
    assert_eq!(host.state(B), EntryState::Valid, "{}", host.world());
    let sent: Vec<u8> =
        host.did().into_iter().filter_map(|did| if let Did::Send(content, _) = did { Some(content) } else { None }).collect();
    assert_eq!(sent, [1, 2, 3, 103, 4, 104, 5, 105, 6, 106, 7, 107, 8, 108, 9, 109], "in their order");
    host.delete();
}

/// A command that comes while frames are on their way to the control half comes behind them.
#[test]
fn frames_on_their_way_come_before_a_command() {
    for (command, drops) in [("set", 0), ("drop", 2), ("remove", 2), ("flush", 2)] {
        let mut host = Host::new();
        host.give(0, &[&frame(B, 1), &frame(B, 2)]);
        match command {
            "set" => host.set(B, &to(2)),
            "drop" => host.set(B, &SetTarget::Drop),
            "remove" => assert_eq!(host.control.remove_target(host.device, B, host.now), Ok(true)),
            _ => assert_eq!(host.control.flush(host.device, false, host.now), Ok(1)),
        }
        host.carry_out();
        let totals = host.totals();
        let dropped = totals.dropped(DropReason::Refused) + totals.dropped(DropReason::EntryRemoved);
        assert_eq!((totals.sent, dropped, totals.waiting()), (2 - drops, drops, 0), "{command}\n{}", host.world());
        assert_eq!(host.control.device(host.device).unwrap().lookups, 0, "{command}");
        host.delete();
    }
}

/// What is set by hand comes first: before a plugin that was not asked, and before the time when it was over.
#[test]
fn a_plugin_does_not_undo_what_is_set_by_hand() {
    let mut host = Host::new();
    host.set(B, &to(2));
    host.control.set_target(host.device, C, &SetTarget::Drop, Source::Static, Some(SECOND), host.now).unwrap();
    host.carry_out();
    for mac in [B, C] {
        let refused = host.control.set_target(host.device, mac, &to(9), Source::Plugin, None, host.now).unwrap_err();
        assert_eq!(refused.to_string(), format!("target {mac} of overlay red: is set by hand, which comes first"));
        assert_eq!(host.control.invalidate(host.device, mac, host.now), Ok(false));
    }
    host.now = host.now + SECOND;
    host.control.set_target(host.device, C, &to(9), Source::Plugin, None, host.now).unwrap();
    host.carry_out();
    let row = host.row(C).unwrap();
    assert_eq!((row.state, row.source), (EntryState::Valid, Source::Plugin), "its time was over\n{}", host.world());
    assert_eq!(host.control.invalidate(host.device, C, host.now), Ok(true));
    assert_eq!(host.control.remove_target(host.device, B, host.now), Ok(true));
    assert_eq!(host.control.remove_target(host.device, B, host.now), Ok(false), "there is nothing left");
    assert!(host.targets().is_empty());
    host.send(A, 1);
    assert_eq!(host.totals().dropped(DropReason::SelfAddressed), 1);
    host.delete();
}
