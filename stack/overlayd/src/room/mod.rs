//! Who owns the engine? One thread: it takes calls, misses and answers one after the other, and carries out what the engine wants.
//!
//! ```text
//!   control API ──call──┐                       ┌──► Transmit: underlay sockets
//!   data path ──misses──┼──► Room ──► Control ──┼──► Deliver: VNICs
//!   lookups ───answers──┘    one thread         ├──► Lookup, Withdraw: who answers
//!                                               └──► Event: open and close sockets, tell who listens
//! ```
//!
//! What is configured is written to disk before a call is answered (see [`crate::store`]); a call that is refused has changed nothing.

mod answerer;
mod calls;
mod carry;
mod door;
mod instances;
mod ping;
mod restore;
mod rooms;
mod search;
mod waits;

pub(crate) use door::{Closed, Door};
pub(crate) use instances::Verifying;
pub(crate) use rooms::Calls;

use crate::bell::Bell;
use crate::clock::Clock;
use crate::data::Threads;
use crate::store::Store;
use crate::sys::Tap;
use answerer::Answerers;
use door::Call;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use overlay_api::config::{HostConfig, VnicConfig};
use overlay_api::control::{Event, Happening, Timestamp};
use overlay_api::{DeviceId, LinkName, PortId, UnderlayId};
use overlay_engine::encap::Encapsulation;
use overlay_engine::{Control, Time};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

/// Nanoseconds until an underlay that could not be opened is tried again, and a VNIC's interface is looked at again.
const LOOK_NS: u64 = 1_000_000_000;
/// Calls that are answered before anything else has its turn: whoever answers lookups may have more to say than can be heard.
const CALLS: usize = 64;

/// A VNIC.
pub(crate) struct Vnic {
    pub(crate) config: VnicConfig,
    pub(crate) device: DeviceId,
    pub(crate) port: PortId,
    /// Its interface, or why it has none (any more).
    pub(crate) tap: Result<Tap, String>,
    /// What is odd about the interface: where it is, or what somebody has made of it.
    pub(crate) trouble: Option<String>,
    /// The inner addresses of its interface, as the answerer was told.
    pub(crate) addresses: Vec<IpAddr>,
}

/// An underlay that the engine wants.
pub(crate) struct Wanted {
    /// The network namespace, by name or path; none is the daemon's own.
    pub(crate) namespace: Option<String>,
    pub(crate) listen: overlay_decoder::Ul3,
    pub(crate) encapsulation: Arc<dyn Encapsulation>,
    /// Why it is not open; none if it is.
    pub(crate) problem: Option<String>,
    /// Whether opening it again could go better.
    pub(crate) retry: bool,
    /// Datagrams that the kernel lost for want of room, as last told.
    pub(crate) overflowed: u64,
    /// Largest IP packet of its link, as the engine was told.
    pub(crate) mtu: u32,
}

/// The owner of the engine.
pub(crate) struct Room {
    pub(crate) control: Control,
    pub(crate) clock: Clock,
    pub(crate) threads: Threads,
    pub(crate) store: Store,
    /// What is configured, temporary things included.
    pub(crate) config: HostConfig,
    /// Names of devices and VNICs that are not written to disk.
    pub(crate) temporary: BTreeSet<LinkName>,
    pub(crate) vnics: BTreeMap<LinkName, Vnic>,
    pub(crate) underlays: BTreeMap<UnderlayId, Wanted>,
    pub(crate) registry: overlay_engine::encap::Registry,
    /// Threads of the data path, and queues of each VNIC.
    pub(crate) queues: usize,
    pub(crate) since: Timestamp,
    events: tokio::sync::broadcast::Sender<Event>,
    calls: mpsc::Receiver<Call>,
    bell: Arc<Bell>,
    /// Paths that are smaller than their underlay.
    pub(crate) small_paths: BTreeMap<(UnderlayId, IpAddr), u32>,
    /// Pings that are under way, by their ids.
    pings: BTreeMap<u64, ping::Pinging>,
    /// Who answers lookups.
    answerers: Answerers,
    next_look: Time,
    stopping: bool,
}

/// What a room is made of.
pub(crate) struct Parts {
    pub(crate) control: Control,
    pub(crate) registry: overlay_engine::encap::Registry,
    pub(crate) clock: Clock,
    pub(crate) threads: Threads,
    pub(crate) store: Store,
    pub(crate) queues: usize,
    pub(crate) bell: Arc<Bell>,
    pub(crate) events: tokio::sync::broadcast::Sender<Event>,
}

impl Room {
    /// A room, and the door through which others call.
    pub(crate) fn new(parts: Parts) -> (Self, Door) {
        let (send, calls) = mpsc::channel();
        let door = Door::new(send, Arc::clone(&parts.bell));
        let room = Self {
            control: parts.control,
            registry: parts.registry,
            clock: parts.clock,
            threads: parts.threads,
            store: parts.store,
            config: HostConfig::default(),
            temporary: BTreeSet::new(),
            vnics: BTreeMap::new(),
            underlays: BTreeMap::new(),
            queues: parts.queues,
            since: SystemTime::now().into(),
            events: parts.events,
            calls,
            bell: parts.bell,
            small_paths: BTreeMap::new(),
            pings: BTreeMap::new(),
            answerers: Answerers::new(),
            next_look: Time::ZERO,
            stopping: false,
        };
        (room, door)
    }

    /// Runs until [`Room::stop`] is called.
    pub(crate) fn run(mut self) {
        while !self.stopping {
            let mut more = true;
            for _ in 0..CALLS {
                let Ok(call) = self.calls.try_recv() else {
                    more = false;
                    break;
                };
                call(&mut self);
                self.carry_out();
            }
            self.learn_small_paths();
            let now = self.clock.now();
            more |= self.control.handle_misses(now);
            self.carry_out();
            if self.control.poll_timeout().is_some_and(|when| when <= now) {
                self.control.handle_timeout(now);
                self.carry_out();
            }
            self.look_at_answerer(now);
            self.carry_out();
            if now >= self.next_look {
                self.next_look = now + LOOK_NS;
                self.look_at_underlays();
                self.look_at_vnics();
                self.carry_out();
            }
            if !more && !self.stopping {
                self.wait();
            }
        }
        self.threads.stop();
    }

    /// Ends [`Room::run`] after this call. VNICs stay: their addresses and connections survive a restart.
    pub(crate) fn stop(&mut self) {
        self.lose("overlayd is ending");
        self.stopping = true;
    }

    /// Tells who listens.
    pub(crate) fn tell(&self, what: Happening) {
        // Nobody listening is no failure.
        let _ = self.events.send(Event { timestamp: SystemTime::now().into(), what });
    }

    /// Sleeps until the bell rings or time has come for something.
    fn wait(&self) {
        let until = [self.control.poll_timeout(), self.answerers.next()].into_iter().flatten().fold(self.next_look, Time::min);
        let most = self.clock.until(until).min(Duration::from_secs(3600));
        // A millisecond more rather than one less: else the last part of it would be spent looking.
        let timeout = PollTimeout::try_from(most.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let bell = PollFd::new(self.bell.as_fd(), PollFlags::POLLIN);
        let blocked = self.answerers.blocked().map(|socket| PollFd::new(socket, PollFlags::POLLOUT));
        let mut fds: SmallVec<[PollFd<'_>; 2]> = [bell].into_iter().chain(blocked).collect();
        match nix::poll::poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => tracing::error!("cannot wait: {error}"),
        }
        self.bell.hear();
    }
}
