//! What becomes of the frames and datagrams that a data path thread has in hand? The worker: no lock, no hand-off and no allocation
//! for what the target table knows.

mod receive;
mod transmit;

pub(crate) use transmit::question;

use crate::outbox::{Deliver, Transmit};
use crate::time::Time;
use crate::world::Shared;
use overlay_api::DropReason;
use std::fmt;
use std::sync::Arc;

/// Frame ids: the worker in the upper 16 bits, a count in the lower 48.
const WORKER_SHIFT: u32 = 48;

/// Packet-too-big replies in a burst, and nanoseconds until the next one may follow it (RFC 4443 2.4 (f) wants a limit).
const REPLIES_BURST: u64 = 64;
const REPLY_NS: u64 = 1_000_000;

/// The half of the engine that every data path thread has one of.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    ids: FrameIds,
    replies: Replies,
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        Self { index, shared, ids: FrameIds::of(index), replies: Replies::default() }
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
        let vni = device.map_or(overlay_probes::VNI_UNKNOWN, |device| device.vni.get());
        overlay_probes::drop(transmit.frame, reason.direction() as u8, vni, clamp(len), reason, transmit.outer.to);
        device.map_or(&self.shared.nobody[self.index], |device| device.count(self.index)).drop(reason);
    }

    /// The driver could not deliver: the VNIC took no more, or refused the frame.
    pub fn undelivered(&self, deliver: &Deliver, len: usize) {
        let reason = DropReason::DeliverFailed;
        let world = self.shared.world.load();
        let device = world.devices.get(&deliver.device);
        let vni = device.map_or(overlay_probes::VNI_UNKNOWN, |device| device.vni.get());
        overlay_probes::drop(deliver.frame, reason.direction() as u8, vni, clamp(len), reason, format_args!("port {}", deliver.port));
        device.map_or(&self.shared.nobody[self.index], |device| device.count(self.index)).drop(reason);
        if let Some(port) = device.and_then(|device| device.port(deliver.port)) {
            port.counters[self.index].drop(reason);
        }
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

/// How many packet-too-big replies may be sent now.
#[derive(Debug, Default)]
struct Replies {
    /// When all of the burst will be there again.
    full_at: Time,
}

impl Replies {
    /// Whether there is one.
    fn any(&self, now: Time) -> bool {
        self.full_at.since(now) <= (REPLIES_BURST - 1) * REPLY_NS
    }

    /// Takes one.
    fn take(&mut self, now: Time) {
        self.full_at = now.max(self.full_at) + REPLY_NS;
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

    #[test]
    fn replies_come_in_a_burst_and_then_one_a_millisecond() {
        let mut replies = Replies::default();
        let mut taken = |now| (0..1000).filter(|_| replies.any(Time(now)).then(|| replies.take(Time(now))).is_some()).count() as u64;
        assert_eq!(taken(5), REPLIES_BURST);
        assert_eq!(taken(5 + 3 * REPLY_NS), 3);
        assert_eq!(taken(5 + 3000 * REPLY_NS), REPLIES_BURST);
    }
}
