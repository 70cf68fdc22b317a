//! How do frames move? The threads of the data path, and what they share.
//!
//! ```text
//!                  ┌────────────── a thread per queue, run to completion ──────────────┐
//!   VNICs ──read──►│ transmit ──► Worker ──► Sender: cut, sealed ───────────────────── │──► underlay sockets
//!   sockets ─recv─►│ receive ───► Worker ──► Giver: verified, joined ───────────────── │──► VNICs
//!                  └─────────────────│─────────────────────────────────────────────────┘
//!                                    └─ misses ─► rings the bell of the owner thread (`room`)
//! ```
//!
//! A thread reads until nothing is left, or a batch is full, then lets the engine decide, then sends; nothing is handed from
//! thread to thread but what the engine does not know. Between two batches it looks again for a while before it sleeps ([`wait`]).
//! Payload stays in the buffer that it was read into until the kernel takes it from there.

mod give;
mod queue;
mod receive;
mod send;
mod steps;
mod transmit;
pub(crate) mod wait;

pub(crate) use give::Giver;
pub(crate) use send::{Sender, reason_of, send_one, try_send};
pub(crate) use steps::Steps;

use crate::bell::Bell;
use crate::clock::Clock;
use crate::sys::{TapQueue, Underlay};
use arc_swap::ArcSwap;
use overlay_api::{PortId, UnderlayId};
use overlay_engine::Worker;
use overlay_engine::encap::Encapsulation;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Bytes after which a batch is complete: what is read should still be in the processor's second-level cache when it is sent.
const BYTES: usize = 256 << 10;
/// Bytes of the largest frame: a super-frame of IP, with an Ethernet header and two tags.
const FRAME_MAX: usize = 65_535 + 14 + 8;

/// What there is to read from and to write to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Io {
    /// The queues of each VNIC.
    pub(crate) taps: BTreeMap<PortId, Arc<[Arc<TapQueue>]>>,
    /// The sockets of each underlay.
    pub(crate) underlays: BTreeMap<UnderlayId, OpenUnderlay>,
}

/// An underlay that is open.
#[derive(Clone, Debug)]
pub(crate) struct OpenUnderlay {
    /// Its sockets.
    pub(crate) sockets: Arc<Underlay>,
    /// How its datagrams are read.
    pub(crate) encapsulation: Arc<dyn Encapsulation>,
}

/// What all threads of the data path share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Replaced as a whole when something is opened or closed.
    pub(crate) io: ArcSwap<Io>,
    pub(crate) clock: Clock,
    /// Wakes the owner thread.
    pub(crate) room: Arc<Bell>,
    /// How long to look before going to sleep, in nanoseconds.
    pub(crate) spin_ns: u64,
    /// What is done at once.
    pub(crate) steps: Steps,
    /// Paths that turned out to be smaller than their underlay, for the owner thread: (underlay, destination, bytes of an IP packet).
    too_small: Mutex<Vec<(UnderlayId, IpAddr, u32)>>,
    stop: AtomicBool,
}

/// Reports of small paths that wait to be heard; more of them say nothing new.
const TOO_SMALL_MAX: usize = 256;

/// The threads.
#[derive(Debug)]
pub(crate) struct Threads {
    shared: Arc<Shared>,
    bells: Vec<Arc<Bell>>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread for each worker.
    pub(crate) fn start(workers: Vec<Worker>, clock: Clock, room: Arc<Bell>, spin_ns: u64, steps: Steps) -> io::Result<Self> {
        let io = ArcSwap::from_pointee(Io::default());
        let shared = Arc::new(Shared { io, clock, room, spin_ns, steps, too_small: Mutex::default(), stop: AtomicBool::new(false) });
        let mut threads = Self { shared, bells: Vec::new(), running: Vec::new() };
        for (queue, worker) in workers.into_iter().enumerate() {
            let bell = Arc::new(Bell::new()?);
            let (shared, own) = (Arc::clone(&threads.shared), Arc::clone(&bell));
            let body = move || {
                if let Err(error) = queue::run(&shared, worker, queue, &own) {
                    tracing::error!("a thread of the data path ended: {error}");
                }
            };
            threads.bells.push(bell);
            threads.running.push(std::thread::Builder::new().name(format!("queue-{queue}")).spawn(body)?);
        }
        Ok(threads)
    }

    /// What they share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Changes what there is to read and write. A thread may use what it had for the batch that it has in hand.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Io)) {
        let mut io = Io::clone(&self.shared.io.load());
        change(&mut io);
        self.shared.io.store(Arc::new(io));
        self.bells.iter().for_each(|bell| bell.ring());
    }

    /// Ends all threads and waits for them.
    pub(crate) fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.bells.iter().for_each(|bell| bell.ring());
        for thread in self.running.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the data path panicked");
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// A packet was longer than the way to its destination takes.
    fn report_small_path(&self, underlay: UnderlayId, to: IpAddr, mtu: u32) {
        let mut reports = self.too_small.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() < TOO_SMALL_MAX && !reports.contains(&(underlay, to, mtu)) {
            reports.push((underlay, to, mtu));
            self.room.ring();
        }
    }

    /// What was reported since the last call.
    pub(crate) fn small_paths(&self) -> Vec<(UnderlayId, IpAddr, u32)> {
        std::mem::take(&mut *self.too_small.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
