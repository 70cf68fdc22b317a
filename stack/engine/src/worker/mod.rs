//! What becomes of the frames and datagrams that a data path thread has in hand? The worker: no lock, no hand-off and no allocation
//! for what the target table knows.

mod receive;
mod transmit;

pub(crate) use transmit::question;

use crate::counters::Counters;
use crate::examples::Example;
use crate::outbox::{Deliver, Outbox, Part, Transmit};
use crate::time::Time;
use crate::world::{Device, Shared, World};
use overlay_api::DropReason;
use std::fmt;
use std::sync::Arc;

/// Frame ids: the worker in the upper 16 bits, a count in the lower 48.
const WORKER_SHIFT: u32 = 48;

/// The half of the engine that every data path thread has one of.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    ids: FrameIds,
    /// Of the last batch: what the driver could not send or deliver was of that one.
    moment: Time,
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        Self { index, shared, ids: FrameIds::of(index), moment: Time::ZERO }
    }

    /// Which worker it is, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The driver could not send: `reason` is [`DropReason::SocketFull`] or [`DropReason::SendFailed`].
    pub fn lost(&self, transmit: &Transmit, len: usize, reason: DropReason) {
        let world = self.shared.world.load();
        let device = world.devices.get(&transmit.device);
        overlay_probes::drop(transmit.frame, reason.direction() as u8, transmit.vni.get(), clamp(len), reason, transmit.outer.to);
        device.map_or(&self.shared.nobody[self.index], |device| device.count(self.index)).drop(reason);
        self.keep(reason, || Example {
            peer: Some(transmit.outer.to),
            ..Example::new(reason, self.moment, Some(transmit.vni), clamp(len))
        });
    }

    /// The deliveries of `out` were carried out, but for `untaken`: their places in [`Outbox::delivers`], in rising order, where the VNIC
    /// had a full queue or refused the frame. Only now they are counted, so that no number has to be taken back. To be called once for each
    /// batch, before `out` is cleared.
    pub fn settle(&self, out: &Outbox, untaken: &[u32]) {
        if out.delivers.is_empty() {
            return;
        }
        let world = self.shared.world.load();
        let mut untaken = untaken.iter().copied().peekable();
        let mut place = 0;
        for copies in out.delivers.chunk_by(|one, next| one.frame == next.frame) {
            let mut taken = false;
            for deliver in copies {
                let failed = untaken.next_if_eq(&place).is_some();
                place += 1;
                taken |= !failed;
                self.count_delivery(&world, deliver, failed);
            }
            if let Some(deliver) = copies.first() {
                let counters = self.counters_of(world.devices.get(&deliver.device));
                match (deliver.part, taken) {
                    (Part::Received, true) => counters.delivered.add(1),
                    (Part::Local, true) => counters.local.add(1),
                    (Part::Received | Part::Local, false) => counters.drop(deliver.part.failure()),
                    (Part::Copy | Part::Made, _) => {}
                }
            }
        }
    }

    fn count_delivery(&self, world: &World, deliver: &Deliver, failed: bool) {
        let device = world.devices.get(&deliver.device);
        let port = device.and_then(|device| device.port(deliver.port)).map(|port| &port.counters[self.index]);
        if failed {
            let (reason, vni) = (deliver.part.failure(), device.map_or(overlay_probes::VNI_UNKNOWN, |device| device.vni.get()));
            let to = format_args!("port {}", deliver.port);
            overlay_probes::drop(deliver.frame, reason.direction() as u8, vni, deliver.len, reason, to);
            port.inspect(|counters| counters.drop(reason));
            self.keep(reason, || Example {
                destination: Some(deliver.to),
                ..Example::new(reason, self.moment, device.map(|device| device.vni), deliver.len)
            });
            return;
        }
        if deliver.part == Part::Received {
            let vni = device.map_or(overlay_probes::VNI_UNKNOWN, |device| device.vni.get());
            overlay_probes::rx_deliver(deliver.frame, vni, deliver.port.0, deliver.len, deliver.to);
        }
        for counters in [Some(self.counters_of(device)), port].into_iter().flatten() {
            if deliver.part == Part::Made {
                counters.made.add(1);
            } else {
                counters.frames_out.add(1);
                counters.frames_out_bytes.add(deliver.len.into());
            }
        }
    }

    /// Keeps what was dropped as the example of its reason.
    #[cold]
    fn keep(&self, reason: DropReason, example: impl FnOnce() -> Example) {
        self.shared.examples[self.index].keep(reason, self.moment, example);
    }

    /// This worker's counters of a device, or of nobody.
    fn counters_of<'a>(&'a self, device: Option<&'a Arc<Device>>) -> &'a Counters {
        device.map_or(&self.shared.nobody[self.index], |device| device.count(self.index))
    }
}

/// Gives frames their ids.
#[derive(Debug)]
pub(crate) struct FrameIds(u64);

impl FrameIds {
    /// The ids of one worker.
    pub(crate) fn of(worker: usize) -> Self {
        Self((worker as u64) << WORKER_SHIFT)
    }

    /// The next one.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        let worker = self.0 >> WORKER_SHIFT << WORKER_SHIFT;
        // After 2^48 frames of a worker the count starts again.
        self.0 = worker | (self.0.wrapping_add(1) & !(u64::MAX << WORKER_SHIFT));
        self.0
    }
}

/// Lengths as probes take them.
#[inline]
pub(crate) fn clamp(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Underlay addresses for a person: one, or how many.
pub(crate) struct Shown<'a>(pub(crate) &'a [overlay_decoder::Ul3]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [one] => one.fmt(f),
            [first, rest @ ..] => write!(f, "{first} and {} more", rest.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_ids_carry_their_worker_and_do_not_run_into_the_next_one() {
        let mut ids = FrameIds::of(3);
        assert_eq!((ids.next(), ids.next()), (3 << 48 | 1, 3 << 48 | 2));
        let mut last = FrameIds(3 << 48 | ((1 << 48) - 1));
        assert_eq!(last.next(), 3 << 48);
    }
}
