//! From VNICs to the underlay.

use super::wait::Waiter;
use super::{BATCH, FRAME_MAX, Giver, Io, Sender, Shared};
use crate::bell::Bell;
use crate::sys::TapQueue;
use overlay_api::PortId;
use overlay_engine::{Frames, Outbox, Worker};
use std::io;
use std::sync::Arc;

/// The number of the bell among what is waited for.
const BELL: u64 = u64::MAX;
/// Batches of one VNIC before the others have their turn.
const TURN: usize = 8;

/// Runs until it is stopped.
pub(super) fn run(shared: &Shared, mut worker: Worker, queue: usize, bell: &Bell) -> io::Result<()> {
    let mut frames = Frames::new(BATCH, FRAME_MAX);
    let mut out = Outbox::new();
    let (mut sender, mut giver) = (Sender::default(), Giver::default());
    let mut io = shared.io.load_full();
    let (mut waiter, mut taps) = watch(&io, queue, bell)?;
    let (mut busy, mut ready) = (false, Vec::new());
    while !shared.stopped() {
        ready.clear();
        ready.extend(waiter.wait(busy, shared.clock, shared.spin_ns)?);
        busy = false;
        for number in &ready {
            if *number == BELL {
                bell.hear();
                io = shared.io.load_full();
                (waiter, taps) = watch(&io, queue, bell)?;
                busy = true;
                break;
            }
            let Some((port, tap)) = usize::try_from(*number).ok().and_then(|number| taps.get(number)) else { continue };
            for _ in 0..TURN {
                let full = read(tap, &mut frames);
                if frames.is_empty() {
                    break;
                }
                worker.handle_frames(*port, &mut frames, shared.clock.now(), &mut out);
                sender.send(shared, &io, queue, &frames, &out, &worker);
                giver.give(&io, queue, &frames, &out, &worker, |item| frames.items().get(item as usize).map(|item| item.meta));
                if out.misses > 0 {
                    shared.room.ring();
                }
                frames.clear();
                out.clear();
                busy = true;
                if !full {
                    break;
                }
            }
        }
    }
    Ok(())
}

type Taps = Vec<(PortId, Arc<TapQueue>)>;

fn watch(io: &Io, queue: usize, bell: &Bell) -> io::Result<(Waiter, Taps)> {
    let mut waiter = Waiter::new()?;
    waiter.watch(bell, BELL)?;
    let mine = io.taps.iter().filter_map(|(port, queues)| Some((*port, Arc::clone(queues.get(queue)?))));
    let taps: Taps = mine.collect();
    for (number, (_, tap)) in taps.iter().enumerate() {
        waiter.watch(tap.as_ref(), number as u64)?;
    }
    Ok((waiter, taps))
}

/// Reads what there is, up to a batch. Says whether there may be more.
fn read(tap: &TapQueue, frames: &mut Frames) -> bool {
    for buffer in 0..frames.buffers() {
        match tap.read(frames.space(buffer)) {
            Ok(Some((len, offload))) => {
                frames.push(buffer, 0..len, offload);
            }
            Ok(None) => return false,
            Err(error) => {
                // The VNIC is being removed: its owner will say so.
                tracing::debug!("a VNIC cannot be read: {error}");
                return false;
            }
        }
    }
    true
}
