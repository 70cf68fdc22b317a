//! From VNICs to the underlay.

use super::{BYTES, FRAME_MAX, Giver, Io, Sender, Shared};
use crate::sys::TapQueue;
use overlay_api::PortId;
use overlay_engine::{Frames, Outbox, Worker};

/// What a thread needs to send. Keep it and use it again: it keeps its memory.
#[derive(Debug)]
pub(super) struct Transmit {
    frames: Frames,
    out: Outbox,
    sender: Sender,
    giver: Giver,
}

impl Transmit {
    pub(super) fn new(shared: &Shared) -> Self {
        let frames = Frames::new(shared.steps.frames(), FRAME_MAX);
        Self { frames, out: Outbox::new(), sender: Sender::default(), giver: Giver::new(shared.steps) }
    }

    /// Takes a batch of a VNIC's frames to where they go. Says whether there were any.
    pub(super) fn turn(&mut self, shared: &Shared, io: &Io, queue: usize, (port, tap): (PortId, &TapQueue), worker: &mut Worker) -> bool {
        let Self { frames, out, sender, giver } = self;
        read(tap, frames);
        if frames.is_empty() {
            return false;
        }
        worker.handle_frames(port, frames, shared.clock.now(), out);
        sender.send(shared, io, queue, frames, out, worker);
        giver.give(io, queue, frames, out, worker, |item| frames.items().get(item as usize).map(|item| item.meta));
        if out.misses > 0 {
            shared.room.ring();
        }
        frames.clear();
        out.clear();
        true
    }
}

/// Reads what there is, up to a batch.
fn read(tap: &TapQueue, frames: &mut Frames) {
    let mut bytes = 0;
    for buffer in 0..frames.buffers() {
        match tap.read(frames.space_with_room(buffer, TapQueue::ROOM)) {
            Ok(Some((len, offload))) => {
                frames.push(buffer, 0..len, offload);
                bytes += len;
                if bytes >= BYTES {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                // The VNIC is being removed: its owner will say so.
                tracing::debug!("a VNIC cannot be read: {error}");
                return;
            }
        }
    }
}
