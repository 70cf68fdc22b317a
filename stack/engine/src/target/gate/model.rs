//! Does the gate keep its promises in every interleaving? Loom goes through them: two workers, the control half, and all orders in
//! which their reads and writes of the word can happen (with two or three preemptions).
//!
//! What is modelled beside the gate is the least that the promises are about: the queue of misses, the outputs that the control half
//! has pushed and not carried out yet, the wire, and who is in the map.

use super::{Gate, Passage, Word};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use overlay_api::EntryState;
use std::collections::VecDeque;

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn replace(&self, current: u64, new: u64) -> Result<(), u64> {
        self.compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

/// A frame: its worker, and which one of that worker's it is.
type Frame = (usize, usize);

const WORKERS: usize = 2;

/// A table with room for one destination. An entry that dies is followed by the next one.
struct Model {
    /// Frames of each worker.
    each: usize,
    entries: Vec<Gate<AtomicU64>>,
    /// Which entry is in the map; the lock stands for the map's own.
    mapped: Mutex<Option<usize>>,
    made: Mutex<usize>,
    misses: Mutex<VecDeque<(Frame, usize)>>,
    wire: Mutex<Vec<Frame>>,
    dropped: Mutex<Vec<Frame>>,
}

fn open(state: EntryState) -> bool {
    state == EntryState::Valid
}

impl Model {
    /// One entry in that state, and spare ones.
    fn new(state: EntryState, each: usize) -> Self {
        let entries = (0..4).map(|entry| Gate::new(if entry == 0 { state } else { EntryState::Absent })).collect();
        let (mapped, made) = (Mutex::new(Some(0)), Mutex::new(1));
        Self { each, entries, mapped, made, misses: Mutex::default(), wire: Mutex::default(), dropped: Mutex::default() }
    }

    /// The entry in the map; if there is none, a new one, for which `registered` is done before anybody else sees it.
    fn find(&self, registered: impl Fn(&Gate<AtomicU64>)) -> (usize, bool) {
        let mut mapped = self.mapped.lock().unwrap();
        if let Some(entry) = *mapped {
            return (entry, false);
        }
        let mut made = self.made.lock().unwrap();
        let entry = *made;
        *made += 1;
        registered(&self.entries[entry]);
        *mapped = Some(entry);
        (entry, true)
    }

    /// Takes a dead entry out of the map.
    fn bury(&self, entry: usize) {
        let mut mapped = self.mapped.lock().unwrap();
        if *mapped == Some(entry) {
            *mapped = None;
        }
    }

    /// What `Table::enter` and the worker do with each frame. `room` says whether the queue takes it.
    fn worker(&self, worker: usize, room: bool) {
        for number in 0..self.each {
            let frame = (worker, number);
            let (entry, passage) = loop {
                let (entry, mine) = self.find(|gate| assert_eq!(gate.enter(|_| false), Passage::Registered));
                let passage = if mine { Passage::Registered } else { self.entries[entry].enter(open) };
                if passage != Passage::Dead {
                    break (entry, passage);
                }
                self.bury(entry);
            };
            match passage {
                Passage::Open(_) => self.wire.lock().unwrap().push(frame),
                Passage::Registered if room => self.misses.lock().unwrap().push_back((frame, entry)),
                Passage::Registered => {
                    self.entries[entry].leave();
                    if self.entries[entry].kill(EntryState::Absent) {
                        self.bury(entry);
                    }
                    self.dropped.lock().unwrap().push(frame);
                }
                Passage::Held | Passage::Dead => self.dropped.lock().unwrap().push(frame),
            }
        }
    }

    /// What the control half does with the frames handed over to an entry that is not pending: it pushes outputs, lets the frames
    /// leave, carries the outputs out, and only then opens what drains.
    fn control(&self) {
        let handed: Vec<_> = self.misses.lock().unwrap().drain(..).collect();
        let mut outputs = Vec::new();
        for (frame, entry) in handed {
            let gate = &self.entries[entry];
            // The promise of `kill`: the frame finds the entry that it registered with.
            assert!(!gate.is_dead(), "frame {frame:?} is in flight to a dead entry");
            assert_eq!(*self.mapped.lock().unwrap(), Some(entry), "frame {frame:?} is in flight to an entry that is not in the map");
            if gate.state() == Some(EntryState::Absent) {
                gate.set(EntryState::Draining);
            }
            outputs.push(frame);
            gate.leave();
        }
        self.wire.lock().unwrap().extend(outputs);
        for gate in &self.entries {
            gate.publish();
        }
    }

    /// When all threads have ended: everything can be brought to an end, and nothing is lost, doubled or out of order.
    fn check(&self) {
        self.control();
        let (wire, dropped) = (self.wire.lock().unwrap(), self.dropped.lock().unwrap());
        for worker in 0..WORKERS {
            let mine =
                |frames: &[Frame]| -> Vec<usize> { frames.iter().filter(|(from, _)| *from == worker).map(|(_, number)| *number).collect() };
            let (sent, lost) = (mine(&wire), mine(&dropped));
            assert!(sent.is_sorted(), "the order of worker {worker}: {sent:?}");
            let mut all = [sent, lost].concat();
            all.sort_unstable();
            assert_eq!(all, (0..self.each).collect::<Vec<_>>(), "each frame of worker {worker} has one fate");
        }
        for gate in &self.entries {
            assert_eq!(gate.in_flight(), 0);
            assert_ne!(gate.state(), Some(EntryState::Draining), "nothing is in flight, and it has not opened");
        }
    }
}

/// Goes through all interleavings of the workers and of what the control half does. With room for them, workers have two frames each,
/// so that there is an order.
fn explore(state: EntryState, room: bool, control: impl Fn(&Model) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Without room there are more steps a frame.
    builder.preemption_bound = Some(if room { 3 } else { 2 });
    builder.check(move || {
        let model = Arc::new(Model::new(state, if room { 2 } else { 1 }));
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.worker(worker, room))
            })
            .collect();
        control(&model);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        model.check();
    });
}

/// An answer comes while two workers hand over frames and, as soon as the entry is open, pass directly.
#[test]
fn no_frame_overtakes_one_of_its_worker_when_an_entry_opens() {
    explore(EntryState::Pending, true, |model| {
        model.entries[0].set(EntryState::Draining);
        model.control();
        model.control();
    });
}

/// The same, but the flow is held: what comes meanwhile is dropped, and counted.
#[test]
fn a_held_entry_opens_in_order_and_every_frame_of_it_is_accounted_for() {
    explore(EntryState::Pending, true, |model| {
        model.entries[0].set(EntryState::Draining);
        model.entries[0].hold();
        model.control();
        model.control();
    });
}

/// An open entry is removed and its destination asked for and answered again, while frames pass it.
#[test]
fn an_entry_dies_only_with_nothing_in_flight_and_the_order_survives_it() {
    explore(EntryState::Valid, true, |model| {
        model.entries[0].set(EntryState::Absent);
        if model.entries[0].kill(EntryState::Absent) {
            model.bury(0);
        }
        model.control();
    });
}

/// The queue to the control half is full, so workers take the entries that they have made out again; meanwhile an operator sets
/// the destination.
#[test]
fn a_destination_that_is_set_is_not_lost_to_a_worker_that_takes_its_entry_out() {
    explore(EntryState::Absent, false, |model| {
        let entry = loop {
            let (entry, mine) = model.find(|gate| assert!(gate.keep()));
            if mine || model.entries[entry].keep() {
                break entry;
            }
            model.bury(entry);
        };
        assert_eq!(model.entries[entry].set(EntryState::Draining), Some(EntryState::Absent));
        model.entries[entry].leave();
        assert_eq!(*model.mapped.lock().unwrap(), Some(entry), "what was set is in the map");
        model.control();
    });
}

/// The model finds what it is there for: what is not kept while it is set can be lost.
#[test]
#[should_panic(expected = "lost to a worker")]
fn a_destination_that_is_not_kept_while_it_is_set_is_found_out() {
    explore(EntryState::Absent, false, |model| {
        let (entry, _) = model.find(|_| {});
        assert!(model.entries[entry].set(EntryState::Draining).is_some(), "lost to a worker");
    });
}

/// The model finds what it is there for: without the rule that an entry opens only while nothing is in flight, frames overtake others.
#[test]
#[should_panic(expected = "the order of worker")]
fn an_entry_that_opens_too_early_is_found_out() {
    explore(EntryState::Pending, true, |model| {
        model.entries[0].set(EntryState::Valid);
        model.control();
    });
}
