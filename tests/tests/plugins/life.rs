//! What if a plugin crashes, hangs, ends, or varpd does?

use crate::asker::{Asker, frame_that};
use crate::bad::{drop_for, reach};
use crate::objects::{badly, fixed};
use overlay_api::channel::{FromOverlayd, FromVarpd};
use overlay_api::control::InstanceCounters;
use overlay_api::{Answer, DeviceId};
use overlay_tests::{Run, program};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const HOSTS: (&str, &str) = ("fixed/hosts", "2:0:0:0:0:9,10.0.0.9:4789");

fn both(flags: &[&str]) -> (Asker, DeviceId, DeviceId) {
    let mut asker = Asker::start(flags, |folder| {
        badly(folder, "badly.so", &[]);
        fixed(folder);
    });
    let bad = asker.tell_well("badly", &[]);
    let good = asker.tell_well("fixed", &[HOSTS]);
    (asker, bad, good)
}

/// The processes of shared objects that a varpd has started, by file.
pub(crate) fn children(varpd: u32, file: &str) -> Vec<u32> {
    let listed = std::fs::read_dir("/proc").expect("Linux has /proc");
    let pids = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = status.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent == Some(varpd) && String::from_utf8_lossy(&line).trim_end_matches('\0').ends_with(&format!("/{file}"))
    };
    pids.filter(is_one).collect()
}

/// Asks the one that does its work, which never notices, until the other has said what is waited for.
fn meanwhile<T>(asker: &mut Asker, good: DeviceId, mut until: impl FnMut(FromVarpd) -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        let request = asker.ask(good, frame_that(9));
        loop {
            match asker.hear() {
                FromVarpd::Answer(answered, answer) if answered == request => {
                    assert_eq!(answer, reach(None));
                    break;
                }
                FromVarpd::State { device, .. } if device == good => panic!("the good one has noticed"),
                other => {
                    if let Some(found) = until(other) {
                        return found;
                    }
                }
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks something that ends the process each time: it is asked twice, dropped, and the instance is well again.
fn ends(asker: &mut Asker, bad: DeviceId, good: DeviceId, wants: u8, how: &str) {
    let request = asker.ask(bad, frame_that(wants));
    let mut reasons = Vec::new();
    let answer = meanwhile(asker, good, |said| match said {
        FromVarpd::State { device, degraded } if device == bad => {
            reasons.extend(degraded);
            None
        }
        FromVarpd::Answer(answered, answer) if answered == request => Some(answer),
        _ => None,
    });
    assert_eq!(answer, drop_for(None));
    let degraded = format!("badly: {how}; it is started again");
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == degraded), "{reasons:?}");
    // It comes back, with its instance.
    meanwhile(asker, good, |said| matches!(said, FromVarpd::State { device, degraded: None } if device == bad).then_some(()));
    assert_eq!(asker.asked(bad, frame_that(0x20)), reach(None));
}

#[test]
fn a_plugin_that_crashes_comes_back_and_the_others_do_not_notice() {
    let (mut asker, bad, good) = both(&[]);
    let varpd = asker.varpd().id();
    let [other] = children(varpd, "fixed.so")[..] else { panic!("one process for each object") };
    ends(&mut asker, bad, good, 1, "it was ended by signal 11 (SIGSEGV)");
    ends(&mut asker, bad, good, 9, "it ended by itself, with status 3");
    let log = asker.wait_log("badly: it ended by itself, with status 3 (pid ");
    assert!(
        log.contains("badly: it was ended by signal 11 (SIGSEGV) (pid ") && log.contains(", 1 lookups open); it is started again in "),
        "{log}"
    );
    let counters = asker.status(bad).counters;
    assert_eq!(counters, InstanceCounters { lookups: 4, reached: 2, dropped: 2, ..InstanceCounters::default() });
    let counters = asker.status(good).counters;
    assert_eq!(counters, InstanceCounters { lookups: counters.reached, reached: counters.reached, ..InstanceCounters::default() });
    assert_eq!(children(varpd, "fixed.so"), [other]);
}

#[test]
fn a_call_that_does_not_return_is_the_end_of_its_process() {
    let (mut asker, bad, good) = both(&["--deadline", "2000"]);
    let request = asker.ask(bad, frame_that(2));
    let answer = meanwhile(&mut asker, good, |said| match said {
        FromVarpd::Answer(answered, answer) if answered == request => Some(answer),
        _ => None,
    });
    // At its deadline; its process ends later, and was not asked again.
    assert_eq!(answer, drop_for(None));
    let reason = meanwhile(&mut asker, good, |said| match said {
        FromVarpd::State { device, degraded } if device == bad => degraded,
        _ => None,
    });
    assert_eq!(reason, "badly: its call lookup did not return within 4000 ms; it is started again");
    meanwhile(&mut asker, good, |said| matches!(said, FromVarpd::State { device, degraded: None } if device == bad).then_some(()));
    assert_eq!(asker.asked(bad, frame_that(0x20)), reach(None));
    let expected = InstanceCounters { lookups: 2, reached: 1, missing: 1, ..InstanceCounters::default() };
    assert_eq!(asker.status(bad).counters, expected);
}

#[test]
fn a_process_that_is_stopped_is_silent_and_is_ended() {
    let (mut asker, bad, good) = both(&[]);
    let [pid] = children(asker.varpd().id(), "badly.so")[..] else { panic!("one process for each object") };
    assert_eq!(Run::new("kill").args(["-STOP", &pid.to_string()]).end().code, 0);
    let reason = meanwhile(&mut asker, good, |said| match said {
        FromVarpd::State { device, degraded } if device == bad => degraded,
        _ => None,
    });
    assert_eq!(reason, "badly: it was silent for 5 s and was ended; it is started again");
    meanwhile(&mut asker, good, |said| matches!(said, FromVarpd::State { device, degraded: None } if device == bad).then_some(()));
    assert_ne!(children(asker.varpd().id(), "badly.so"), [pid]);
}

#[test]
fn what_a_plugin_saves_it_is_given_again() {
    let (mut asker, bad, _) = both(&[]);
    let kept = |answer| match answer {
        Answer::Drop { ttl_ns: Some(ns) } => ns / 1_000_000,
        other => panic!("{other:?}"),
    };
    assert_eq!(kept(asker.asked(bad, frame_that(10))), 1);
    // Varpd ends as asked: the instance saves before it is destroyed.
    asker.varpd().signal("TERM");
    assert_eq!(asker.end().code, 0);
    let file: PathBuf = asker.root.path().join("var/cache/overlay/badly/ov1");
    assert_eq!(std::fs::read(&file).expect("a file"), [1]);
    asker.start_varpd();
    asker.tell_again("badly", bad, &[]);
    while asker.hear_state(bad).is_some() {}
    assert_eq!(kept(asker.asked(bad, frame_that(10))), 2);
}

#[test]
fn an_instance_that_ends_keeps_no_lookup_of_another_waiting() {
    let (mut asker, ending, _) = both(&[]);
    let other = asker.tell_well("badly", &[]);
    // Three lookups take their time, one waits for the other instance, and more wait for a thread when the instance ends.
    for wants in [19, 19, 19, 17, 0x20, 0x20, 0x20, 0x20] {
        asker.ask(ending, frame_that(wants));
    }
    assert_eq!(asker.hear_state(ending).as_deref(), Some("waits"));
    asker.say([FromOverlayd::InstanceRemoved(ending)]);
    assert_eq!(asker.asked(other, frame_that(18)), reach(None));
    assert!(!asker.log().contains("did not return"), "{}", asker.log());
}

#[test]
fn what_a_plugin_keeps_no_more_is_removed() {
    let (mut asker, bad, _) = both(&[]);
    let file: PathBuf = asker.root.path().join("var/cache/overlay/badly/ov1");
    let folder = file.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(&file, [7]).expect("a file");
    assert_eq!(asker.asked(bad, frame_that(16)), reach(None));
    asker.varpd().signal("TERM");
    assert_eq!(asker.end().code, 0);
    assert_eq!(folder.read_dir().expect("a folder").count(), 0);
}

#[test]
fn who_is_asked_to_end_by_a_signal_leaves_that_to_varpd() {
    let (mut asker, bad, _) = both(&[]);
    let [pid] = children(asker.varpd().id(), "badly.so")[..] else { panic!("one process for each object") };
    for signal in ["-TERM", "-INT", "-HUP"] {
        assert_eq!(Run::new("kill").args([signal, &pid.to_string()]).end().code, 0);
    }
    assert_eq!(asker.asked(bad, frame_that(0x20)), reach(None));
    assert_eq!(children(asker.varpd().id(), "badly.so"), [pid]);
    // Its socket is nobody else's: what it starts would have standard input.
    let stdin = std::fs::read_link(format!("/proc/{pid}/fd/0")).expect("a descriptor");
    assert_eq!(stdin, PathBuf::from("/dev/null"));
}

#[test]
fn what_a_plugin_has_started_ends_with_it_and_hides_nothing() {
    let (mut asker, bad, good) = both(&[]);
    ends(&mut asker, bad, good, 15, "it was ended by signal 6 (SIGABRT)");
    // Both processes that it has left behind have its command line, and another parent.
    let file = asker.root.path().display().to_string();
    let pids = || {
        let listed = std::fs::read_dir("/proc").expect("Linux has /proc").flatten();
        listed.filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains(&file) && line.trim_end_matches('\0').ends_with("/badly.so")
        })
    };
    assert_eq!(pids().count(), 1);
}

#[test]
fn no_process_stays_behind() {
    let (mut asker, ..) = both(&[]);
    let varpd = asker.varpd().id();
    let pids: Vec<u32> = ["badly.so", "fixed.so"].iter().flat_map(|file| children(varpd, file)).collect();
    assert_eq!(pids.len(), 2);
    asker.kill();
    let begun = Instant::now();
    // A process that has ended and that nobody has waited for is no longer of its name.
    let alive = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b".so\0"));
    while pids.iter().any(alive) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{pids:?} are left of {}", program("varpd").display());
        std::thread::sleep(Duration::from_millis(20));
    }
}
