//! From the underlay to VNICs.

use super::wait::Waiter;
use super::{BATCH, FRAME_MAX, Giver, Io, OpenUnderlay, Shared};
use crate::bell::Bell;
use crate::coalesce::{SegmentSize, super_frame};
use crate::sys::UnderlayQueue;
use overlay_api::UnderlayId;
use overlay_engine::encap::Encapsulation;
use overlay_engine::{Datagrams, Offload, Outbox, Worker};
use std::io;
use std::sync::Arc;

const BELL: u64 = u64::MAX;
/// Batches of one socket before the others have their turn.
const TURN: usize = 8;

/// Runs until it is stopped.
pub(super) fn run(shared: &Shared, mut worker: Worker, queue: usize, bell: &Bell) -> io::Result<()> {
    let mut datagrams = Datagrams::new(BATCH, FRAME_MAX);
    let mut out = Outbox::new();
    let mut giver = Giver::default();
    let mut io = shared.io.load_full();
    let (mut waiter, mut underlays) = watch(&io, queue, bell)?;
    let (mut busy, mut ready) = (false, Vec::new());
    while !shared.stopped() {
        ready.clear();
        ready.extend(waiter.wait(busy, shared.clock, shared.spin_ns)?);
        busy = false;
        for number in &ready {
            if *number == BELL {
                bell.hear();
                io = shared.io.load_full();
                (waiter, underlays) = watch(&io, queue, bell)?;
                busy = true;
                break;
            }
            let Some((id, encapsulation, sockets)) = usize::try_from(*number).ok().and_then(|number| underlays.get(number)) else {
                continue;
            };
            for _ in 0..TURN {
                let read = match sockets.receive(&mut datagrams, BATCH, |bytes, size| uncut_udp(encapsulation.as_ref(), bytes, size)) {
                    Ok(read) => read,
                    Err(error) => {
                        // What an earlier datagram came to, such as a port that nobody listens at: it says nothing about this socket.
                        tracing::debug!("underlay {id}: {error}");
                        0
                    }
                };
                if read == 0 {
                    break;
                }
                worker.find_uncut(*id, &mut datagrams, |frame, mtu| {
                    let segments = super_frame(frame, SegmentSize::FitsMtu(mtu))?;
                    Some(Offload { checksum: None, segments: Some(segments) })
                });
                worker.handle_datagrams(*id, &mut datagrams, shared.clock.now(), &mut out);
                giver
                    .give(&io, queue, &datagrams, &out, &worker, |item| datagrams.items().get(item as usize).map(|item| item.meta.offload));
                datagrams.clear();
                out.clear();
                busy = true;
                if read < datagrams.buffers() {
                    break;
                }
            }
        }
    }
    Ok(())
}

type Underlays = Vec<(UnderlayId, Arc<dyn Encapsulation>, Arc<UnderlayQueue>)>;

fn watch(io: &Io, queue: usize, bell: &Bell) -> io::Result<(Waiter, Underlays)> {
    let mut waiter = Waiter::new()?;
    waiter.watch(bell, BELL)?;
    let underlays: Underlays = io.underlays.iter().filter_map(|(id, underlay)| mine(*id, underlay, queue)).collect();
    for (number, (_, _, sockets)) in underlays.iter().enumerate() {
        waiter.watch(sockets.as_ref(), number as u64)?;
    }
    Ok((waiter, underlays))
}

/// Whether what the kernel took for datagrams of one size is one datagram with a super-frame of inner UDP, whose size that is.
fn uncut_udp(encapsulation: &dyn Encapsulation, bytes: &[u8], size: u16) -> Option<Offload> {
    let decap = encapsulation.decap(bytes).ok()?;
    let segments = super_frame(bytes.get(decap.header_len..)?, SegmentSize::Known(size))?;
    Some(Offload { checksum: None, segments: Some(segments) })
}

/// The queue of an underlay that this thread serves; none if it has fewer queues than there are threads.
fn mine(id: UnderlayId, underlay: &OpenUnderlay, queue: usize) -> Option<(UnderlayId, Arc<dyn Encapsulation>, Arc<UnderlayQueue>)> {
    (queue < underlay.sockets.queues()).then(|| (id, Arc::clone(&underlay.encapsulation), underlay.sockets.queue(queue)))
}
