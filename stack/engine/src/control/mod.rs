//! What is configured, what is known, what is asked? The control half: one owner, one input at a time, outputs to drain.
//!
//! ```text
//!  commands ────────┐                       ┌──► Lookup, Withdraw      to who answers
//!  handle_misses ───┤                       ├──► Transmit              frames that waited
//!  handle_answer ───┼──► Control ──► poll_output ──► Deliver           injected frames
//!  handle_timeout ──┤                       ├──► Verdict               if wanted
//!  underlay, answerer                       └──► Event                 what changed
//!                                    poll_timeout ──► when handle_timeout wants to be called
//! ```
//!
//! **An output has to be carried out before the next call.** The order of frames hangs on it: an entry opens to the workers only after the
//! frames that waited for it have been taken out and [`Control::poll_output`] was called again.

mod compile;
mod device;
mod explain;
mod forward;
mod lookup;
pub(crate) mod miss;
mod output;
mod ping;
mod target;
mod underlay;

pub use device::{DeviceInfo, Fault, PortInfo, PortSpec, Refusal};
pub use explain::Trace;
pub use lookup::AnswerError;
pub use output::{Delivery, Event, Output, Sending};
pub use target::SetTarget;
pub use underlay::UnderlayInfo;

use crate::config::{Config, Limits};
use crate::counters::{Counters, Totals};
use crate::encap::Registry;
use crate::examples::{Example, Examples};
use crate::inner::Inner;
use crate::time::Time;
use crate::worker::{FrameIds, Worker, clamp};
use crate::world::{Paths, Shared, World, sets};
use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use device::Machine;
use lookup::Lookups;
use overlay_api::{DeviceId, DropReason, Ids, PortId, UnderlayId, Verdict};
use overlay_decoder::{Mac, Vni};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use underlay::Place;

/// Nanoseconds between two rounds through the tables for entries whose time is over.
const SWEEP_NS: u64 = 1_000_000_000;
/// Nanoseconds until an entry that could not be opened is tried again.
const SETTLE_NS: u64 = 1_000_000;
/// Most workers that there can be: their number is part of a frame's id.
const WORKERS_MAX: usize = u16::MAX as usize;

/// The half of the engine that there is one of.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
    registry: Registry,
    limits: Limits,
    explain: bool,
    seed: u64,
    /// Workers; also the index of the control half's own counters.
    writer: usize,
    ids: FrameIds,
    machines: BTreeMap<DeviceId, Machine>,
    ports: BTreeMap<PortId, DeviceId>,
    places: BTreeMap<UnderlayId, Place>,
    ids_in_use: IdsInUse,
    paths: Arc<Paths>,
    lookups: Lookups,
    outputs: VecDeque<Output>,
    /// Entries that open as soon as nothing is in flight, and since when they drain.
    draining: BTreeMap<(DeviceId, Mac), Time>,
    /// When to try again to open them.
    next_settle: Time,
    next_sweep: Time,
    /// Counters of devices that were deleted.
    retired: Totals,
    /// When it was last called: what is dropped between calls was dropped then.
    moment: Time,
}

/// Ids are granted in turn, so that one comes again only after all others: frames that were under way when its owner was deleted are
/// long through.
#[derive(Debug)]
struct IdsInUse {
    devices: Ids<DeviceId>,
    ports: Ids<PortId>,
    underlays: Ids<UnderlayId>,
}

impl Default for IdsInUse {
    fn default() -> Self {
        let most = u64::from(u32::MAX);
        Self { devices: Ids::new(1, most), ports: Ids::new(1, most), underlays: Ids::new(1, most) }
    }
}

impl Control {
    /// An engine: its control half, and a worker for each data path thread.
    ///
    /// # Errors
    /// A sentence, for a number of workers that cannot be.
    pub fn new(config: &Config, registry: Registry) -> Result<(Self, Vec<Worker>), String> {
        let workers = config.workers;
        if workers == 0 || workers >= WORKERS_MAX {
            return Err(format!("{workers} workers: 1 to {} are allowed", WORKERS_MAX - 1));
        }
        let shared = Arc::new(Shared {
            world: ArcSwap::from_pointee(World::default()),
            misses: ArrayQueue::new(config.limits.miss_queue.max(1)),
            seed: config.seed,
            nobody: sets(workers),
            examples: Examples::sets(workers),
        });
        let all = (0..workers).map(|index| Worker::new(index, Arc::clone(&shared))).collect();
        let control = Self {
            shared,
            registry,
            limits: config.limits,
            explain: config.explain,
            seed: config.seed,
            writer: workers,
            ids: FrameIds::of(workers),
            machines: BTreeMap::new(),
            ports: BTreeMap::new(),
            places: BTreeMap::new(),
            ids_in_use: IdsInUse::default(),
            paths: Arc::default(),
            lookups: Lookups::default(),
            outputs: VecDeque::new(),
            draining: BTreeMap::new(),
            next_settle: Time::ZERO,
            next_sweep: Time::ZERO,
            retired: Totals::default(),
            moment: Time::ZERO,
        };
        Ok((control, all))
    }

    /// Time has passed: lookups run out of it, entries too.
    pub fn handle_timeout(&mut self, now: Time) {
        self.moment = now;
        self.settle(now);
        self.time_out_lookups(now);
        if now >= self.next_sweep {
            self.sweep(now);
            self.next_sweep = now + SWEEP_NS;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let sweep = self.machines.values().any(Machine::has_entries).then_some(self.next_sweep);
        let settle = (!self.draining.is_empty()).then_some(self.next_settle);
        [self.lookups.next_deadline(self.limits.lookup_timeout_ns), sweep, settle].into_iter().flatten().min()
    }

    /// The next thing to do. It has to be done before the next call of anything here.
    pub fn poll_output(&mut self, now: Time) -> Option<Output> {
        self.moment = now;
        if self.outputs.is_empty() {
            self.settle(now);
        }
        self.outputs.pop_front()
    }

    /// Everything counted since the start, of devices that were deleted too.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.retired.clone();
        self.shared.nobody.iter().for_each(|set| totals.add(set));
        self.machines.values().for_each(|machine| totals.merge(&machine.totals()));
        totals
    }

    /// What was counted for no device: unknown virtual networks, ports that were gone.
    #[must_use]
    pub fn nobodys_totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.shared.nobody.iter().for_each(|set| totals.add(set));
        totals
    }

    /// What was counted for a device.
    #[must_use]
    pub fn device_totals(&self, device: DeviceId) -> Option<Totals> {
        self.machines.get(&device).map(Machine::totals)
    }

    /// How long answers to the lookups of a device took.
    #[must_use]
    pub fn device_waits(&self, device: DeviceId) -> Option<&crate::Waits> {
        self.machines.get(&device).map(|machine| &machine.waits)
    }

    /// The last example of what was dropped for each reason, of all devices; at most a tenth of a second older than the last drop.
    #[must_use]
    pub fn examples(&self) -> Vec<Example> {
        Examples::last(&self.shared.examples)
    }

    /// What was counted for a port.
    #[must_use]
    pub fn port_totals(&self, port: PortId) -> Option<Totals> {
        let machine = self.machines.get(self.ports.get(&port)?)?;
        let mut totals = Totals::default();
        machine.view.port(port)?.counters.iter().for_each(|set| totals.add(set));
        Some(totals)
    }

    /// Why nobody answers lookups and since when; none if somebody does.
    #[must_use]
    pub fn answerer(&self) -> Option<(String, Time)> {
        self.lookups.away()
    }

    /// The driver could not send what the control half gave it: `reason` is
    /// [`DropReason::SocketFull`](overlay_api::DropReason::SocketFull) or [`DropReason::SendFailed`](overlay_api::DropReason::SendFailed).
    pub fn lost(&mut self, sending: &Sending, reason: DropReason) {
        let machine = self.machines.get(&sending.device);
        machine.map_or_else(|| self.nobody(), |machine| machine.view.count(self.writer)).drop(reason);
        self.keep(
            Example { peer: Some(sending.outer.to), ..Example::new(reason, self.moment, Some(sending.vni), clamp(sending.bytes.len())) },
            sending.bytes.get(sending.header_len.into()..).unwrap_or_default(),
        );
        overlay_probes::drop(
            sending.frame,
            reason.direction() as u8,
            sending.vni.get(),
            clamp(sending.bytes.len()),
            reason,
            sending.outer.to,
        );
    }

    /// The driver could not deliver what the control half gave it.
    pub fn undelivered(&mut self, delivery: &Delivery) {
        let local = !delivery.made;
        let reason = if local { DropReason::LocalFailed } else { DropReason::DeliverFailed };
        // Nobody else has read the numbers since they were counted: they are read through here.
        let machine = self.machines.get(&delivery.device);
        let port = machine.and_then(|machine| machine.view.port(delivery.port)).map(|port| &port.counters[self.writer]);
        let device = machine.map_or_else(|| self.nobody(), |machine| machine.view.count(self.writer));
        for counters in [Some(device), port].into_iter().flatten() {
            if local {
                counters.frames_out.take_back(1);
                counters.frames_out_bytes.take_back(delivery.bytes.len() as u64);
            } else {
                counters.made.take_back(1);
            }
        }
        if local && Inner::parse(&delivery.bytes).is_some_and(|inner| !inner.destination.is_group()) {
            device.local.take_back(1);
            device.drop(reason);
        }
        port.inspect(|counters| counters.drop(reason));
        let vni = machine.map(|machine| machine.view.vni);
        self.keep(Example::new(reason, self.moment, vni, clamp(delivery.bytes.len())), &delivery.bytes);
        let vni = vni.map_or(overlay_probes::VNI_UNKNOWN, Vni::get);
        let port = format_args!("port {}", delivery.port);
        overlay_probes::drop(delivery.frame, reason.direction() as u8, vni, clamp(delivery.bytes.len()), reason, port);
    }

    /// The control half's own counters of what belongs to no device.
    fn nobody(&self) -> &Counters {
        &self.shared.nobody[self.writer]
    }

    /// Keeps what was dropped as the example of its reason.
    fn keep(&self, example: Example, frame: &[u8]) {
        self.shared.examples[self.writer].keep(example.reason, example.at, || example.of(frame));
    }

    fn explained(&mut self, frame: u64, verdict: impl FnOnce() -> Verdict) {
        if self.explain {
            self.outputs.push_back(Output::Verdict(frame, verdict()));
        }
    }
}
