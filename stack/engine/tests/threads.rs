//! What holds when workers, control half and readers really run at the same time? Bounded work, no clock, no sleep: whatever order the
//! machine chooses, the same must hold.

use overlay_api::{Answer, PortId, Source};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::Registry;
use overlay_engine::{
    Config, Control, DeviceSpec, Event, Frames, Limits, Offload, Outbox, Output, PortSpec, Search, SetTarget, Time, Worker,
};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

fn mac(kind: u8, number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, kind, a, b, c, d])
}

fn ul3() -> Ul3 {
    "10.88.0.2:4789".parse().unwrap()
}

/// An engine with one dynamic device that is up, and a port for each worker.
fn engine(workers: usize, limits: Limits) -> (Control, Vec<Worker>, overlay_api::DeviceId, Vec<PortId>) {
    let (mut control, workers) = Control::new(&Config { workers, limits, ..Config::default() }, Registry::default()).unwrap();
    let spec = DeviceSpec {
        name: "red".into(),
        encapsulation: "vxlan".into(),
        vni: Vni::new(77).unwrap(),
        search: Search::Dynamic,
        properties: vec![("vxlan/listen_ip".into(), "10.88.0.1".into())],
    };
    let device = control.create_device(spec, Time::ZERO).unwrap();
    let port = |(number, _): (usize, &Worker)| PortSpec { name: format!("vnic{number}"), mac: mac(0xff, number as u32), mtu: 1400 };
    let ports: Vec<_> = workers.iter().enumerate().map(|each| control.add_port(device, &port(each)).unwrap()).collect();
    control.answerer_attached(Time::ZERO);
    while let Some(output) = control.poll_output(Time::ZERO) {
        if let Output::Event(Event::UnderlayOpen { underlay, .. }) = output {
            control.handle_underlay(underlay, Ok(1500), Time::ZERO);
        }
    }
    (control, workers, device, ports)
}

const TARGETS: u32 = 400;
const ROUNDS: u32 = 40;
const BATCH: u32 = 16;

/// A frame that says which one of its worker's to this destination it is.
fn numbered(to: Mac, worker: usize, number: u32) -> Vec<u8> {
    [&to.0[..], &mac(0xff, worker as u32).0, &[0x88, 0xb5], &number.to_be_bytes()].concat()
}

fn read(frame: &[u8]) -> (Mac, Mac, u32) {
    let at = |range: std::ops::Range<usize>| Mac(frame[range].try_into().unwrap());
    (at(0..6), at(6..12), u32::from_be_bytes(frame[14..18].try_into().unwrap()))
}

/// Two workers send to 400 destinations of which nothing is known, while the control half asks, answers, drains and opens: from nothing
/// known to valid, no frame of a flow passes one before it, and every frame is accounted for.
#[test]
fn frames_keep_their_order_while_entries_open_under_them() {
    let (mut control, workers, device, ports) = engine(2, Limits { drain_ns: u64::MAX, miss_queue: 1 << 16, ..Limits::default() });
    let clock = AtomicU64::new(1);
    let now = || Time(clock.fetch_add(1, SeqCst));
    let wire: Mutex<Vec<(Mac, Mac, u32)>> = Mutex::default();
    let working = AtomicUsize::new(workers.len());
    thread::scope(|scope| {
        for (mut worker, port) in workers.into_iter().zip(ports) {
            let (wire, now, working) = (&wire, &now, &working);
            scope.spawn(move || {
                let (mut frames, mut out) = (Frames::new(BATCH as usize, 100), Outbox::new());
                for first in (0..TARGETS).step_by(BATCH as usize) {
                    for number in 0..ROUNDS {
                        for target in first..first + BATCH {
                            assert!(frames.push_copy(&numbered(mac(1, target), worker.index(), number), Offload::default()));
                        }
                        worker.handle_frames(port, &mut frames, now(), &mut out);
                        let sent = out.transmits.iter().map(|transmit| read(frames.bytes(transmit.item)));
                        wire.lock().unwrap().extend(sent);
                        if out.misses > 0 {
                            // Let the control half run, so that more entries open under running workers.
                            thread::yield_now();
                        }
                        frames.clear();
                        out.clear();
                    }
                }
                working.fetch_sub(1, SeqCst);
            });
        }
        loop {
            let last = working.load(SeqCst) == 0;
            control.handle_misses(now());
            let mut asked = Vec::new();
            while let Some(output) = control.poll_output(now()) {
                match output {
                    Output::Lookup(lookup) => asked.push(lookup.request),
                    Output::Transmit(sending) => wire.lock().unwrap().push(read(&sending.bytes[sending.header_len.into()..])),
                    _ => {}
                }
            }
            let quiet = asked.is_empty();
            for request in asked {
                control.handle_answer(request, Answer::Reach { to: vec![ul3()], ttl_ns: None }, now()).unwrap();
            }
            if last && quiet && control.device_totals(device).unwrap().waiting() == 0 {
                break;
            }
            thread::yield_now();
        }
        while control.poll_output(now()).is_some() {}
    });
    let totals = control.totals();
    let all = u64::from(2 * TARGETS * ROUNDS);
    assert_eq!((totals.frames_in, totals.sent, totals.lookups), (all, all, u64::from(TARGETS)), "{totals:?}");
    let mut last: HashMap<(Mac, Mac), u32> = HashMap::new();
    let wire = wire.into_inner().unwrap();
    assert_eq!(wire.len() as u64, totals.sent);
    for (to, from, number) in wire {
        if let Some(before) = last.insert((to, from), number) {
            assert!(before < number, "from {from} to {to}: frame {number} came behind {before}");
        }
    }
    let mut rows = HashMap::new();
    control.targets(device).unwrap().for_each(now(), |row| drop(rows.insert(row.mac, row)));
    assert_eq!(rows.len() as u32, TARGETS);
    assert!(rows.values().all(|row| row.state.name() == "valid"), "{rows:#?}");
    assert_eq!(rows.values().map(|row| row.hits).sum::<u64>(), totals.sent);
}

const STABLE: u32 = 100_000;

/// Dumps run while a worker makes entries, the control half sets and removes others, and the table grows to twice its size: what is
/// there all the time is listed exactly once, what comes or goes at most once.
#[test]
fn a_dump_lists_each_stable_entry_once_while_others_come_and_go() {
    let limits = Limits { lookups_per_device: 64, ..Limits::default() };
    let (mut control, mut workers, device, ports) = engine(1, limits);
    let to = SetTarget::Reach(vec![ul3()]);
    for number in 0..STABLE {
        control.set_target(device, mac(1, number), &to, Source::Plugin, None, Time(1)).unwrap();
    }
    while control.poll_output(Time(2)).is_some() {}
    let targets = control.targets(device).unwrap();
    let (stop, dumps) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            let (targets, stop, dumps) = (targets.clone(), &stop, &dumps);
            scope.spawn(move || {
                let mut once = false;
                while !once || !stop.load(SeqCst) {
                    once = true;
                    let mut seen = vec![0u8; STABLE as usize];
                    let mut others: HashMap<Mac, u8> = HashMap::new();
                    targets.for_each(Time(3), |row| match row.mac.0 {
                        [2, 1, a, b, c, d] => seen[u32::from_be_bytes([a, b, c, d]) as usize] += 1,
                        _ => *others.entry(row.mac).or_default() += 1,
                    });
                    let wrong: Vec<_> = seen.iter().enumerate().filter(|(_, times)| **times != 1).take(5).collect();
                    assert!(wrong.is_empty(), "stable entries and how often they were listed: {wrong:?}");
                    let twice: Vec<_> = others.iter().filter(|(_, times)| **times > 1).take(5).collect();
                    assert!(twice.is_empty(), "entries that come or go, listed more than once: {twice:?}");
                    dumps.fetch_add(1, SeqCst);
                }
            });
        }
        let (mut frames, mut out) = (Frames::new(BATCH as usize, 100), Outbox::new());
        for number in 0..STABLE {
            // The worker's: asked, and refused for want of room or answered with nothing.
            if frames.push_copy(&numbered(mac(3, number), 0, number), Offload::default()) && frames.items().len() == BATCH as usize {
                workers[0].handle_frames(ports[0], &mut frames, Time(4), &mut out);
                frames.clear();
                out.clear();
                control.handle_misses(Time(4));
            }
            control.set_target(device, mac(2, number), &to, Source::Plugin, None, Time(4)).unwrap();
            if number % 3 == 0 {
                control.remove_target(device, mac(2, number / 2), Time(4)).unwrap();
            }
            while control.poll_output(Time(4)).is_some() {}
        }
        stop.store(true, SeqCst);
    });
    assert!(dumps.into_inner() >= 2);
}
