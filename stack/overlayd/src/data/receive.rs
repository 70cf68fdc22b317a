//! From the underlay to VNICs.

use super::{BYTES, FRAME_MAX, Giver, Io, OpenUnderlay, Shared};
use crate::coalesce::{SegmentSize, super_frame};
use crate::sys::UnderlayQueue;
use overlay_api::UnderlayId;
use overlay_engine::encap::Encapsulation;
use overlay_engine::{Datagrams, Offload, Outbox, Worker};
use std::sync::Arc;

/// Bytes of a datagram below which it is a packet by itself, and no part of what a sender's TCP gave away in one piece.
const SMALL: usize = 512;
/// Small datagrams of a batch. They arrive at the tenant in one piece, too, and more of them at once is more than its socket may have
/// room for before its program runs.
const FEW: usize = 32;

/// What a thread needs to receive. Keep it and use it again: it keeps its memory.
#[derive(Debug)]
pub(super) struct Receive {
    datagrams: Datagrams,
    out: Outbox,
    giver: Giver,
    /// Messages to ask for: as many as a batch may have bytes, if they are like those before.
    most: usize,
}

/// A socket, and how its datagrams are read.
pub(super) type Source = (UnderlayId, Arc<dyn Encapsulation>, Arc<UnderlayQueue>);

impl Receive {
    pub(super) fn new(shared: &Shared) -> Self {
        let most = shared.steps.datagrams();
        Self { datagrams: Datagrams::new(most, FRAME_MAX), out: Outbox::new(), giver: Giver::new(shared.steps), most }
    }

    /// Takes a batch of an underlay's datagrams to where they go. Says whether there were any.
    pub(super) fn turn(
        &mut self,
        shared: &Shared,
        io: &Io,
        queue: usize,
        (id, encapsulation, sockets): &Source,
        worker: &mut Worker,
    ) -> bool {
        let Self { datagrams, out, giver, most } = self;
        let read = match sockets.receive(datagrams, *most, |bytes, size| uncut_udp(encapsulation.as_ref(), bytes, size)) {
            Ok(read) => read,
            Err(error) => {
                // What an earlier datagram came to, such as a port that nobody listens at: it says nothing about this socket.
                tracing::debug!("underlay {id}: {error}");
                0
            }
        };
        if read == 0 {
            return false;
        }
        let bytes: usize = datagrams.items().iter().map(|item| item.len as usize).sum();
        *most = messages_like(read, bytes).min(datagrams.buffers());
        worker.find_uncut(*id, datagrams, |frame, mtu| {
            let segments = super_frame(frame, SegmentSize::FitsMtu(mtu))?;
            Some(Offload { checksum: None, segments: Some(segments) })
        });
        worker.handle_datagrams(*id, datagrams, shared.clock.now(), out);
        if out.misses > 0 {
            shared.room.ring();
        }
        let offload = |item| datagrams.items().get(item as usize).map(|item| item.meta.offload);
        if giver.give(io, queue, datagrams, out, worker, offload) {
            *most = few(read, datagrams.items().len());
        }
        datagrams.clear();
        out.clear();
        true
    }
}

/// How many messages to ask for after `read` of them had so many bytes together.
fn messages_like(read: usize, bytes: usize) -> usize {
    let fit = (BYTES * read / bytes.max(1)).max(1);
    if bytes < read * SMALL { fit.min(FEW) } else { fit }
}

/// How many messages to ask for after `read` of them were so many small datagrams (UDP_GRO makes up to 64 of a sender one message).
fn few(read: usize, datagrams: usize) -> usize {
    (FEW * read / datagrams.max(1)).clamp(1, FEW)
}

/// Whether what the kernel took for datagrams of one size is one datagram with a super-frame of inner UDP, whose size that is.
fn uncut_udp(encapsulation: &dyn Encapsulation, bytes: &[u8], size: u16) -> Option<Offload> {
    let decap = encapsulation.decap(bytes).ok()?;
    let segments = super_frame(bytes.get(decap.header_len..)?, SegmentSize::Known(size))?;
    Some(Offload { checksum: None, segments: Some(segments) })
}

/// The queue of an underlay that this thread serves; none if it has fewer queues than there are threads.
pub(super) fn mine(id: UnderlayId, underlay: &OpenUnderlay, queue: usize) -> Option<Source> {
    (queue < underlay.sockets.queues()).then(|| (id, Arc::clone(&underlay.encapsulation), underlay.sockets.queue(queue)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_whole_super_frames_and_few_small_datagrams() {
        // 45 datagrams of 1,450 bytes are a super-frame; one that comes whole is of 62 KB.
        assert_eq!((messages_like(32, 32 * 1450), messages_like(1, 62_000)), (180, 4));
        assert_eq!((messages_like(32, 32 * 114), messages_like(1, 0), messages_like(2, 2 << 20)), (32, 32, 1));
        assert_eq!((few(32, 32), few(4, 256), few(16, 64), few(1, 0)), (32, 1, 8, 32));
    }
}
