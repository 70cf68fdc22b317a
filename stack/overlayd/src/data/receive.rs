//! From the underlay to VNICs.

use super::{BYTES, FRAME_MAX, Giver, Io, OpenUnderlay, Shared};
use crate::coalesce::{SegmentSize, super_frame};
use crate::sys::UnderlayQueue;
use overlay_api::UnderlayId;
use overlay_engine::encap::Encapsulation;
use overlay_engine::{Datagrams, Offload, Outbox, Worker};
use std::sync::Arc;

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
        *most = (BYTES * read / bytes.max(1)).clamp(1, datagrams.buffers());
        worker.find_uncut(*id, datagrams, |frame, mtu| {
            let segments = super_frame(frame, SegmentSize::FitsMtu(mtu))?;
            Some(Offload { checksum: None, segments: Some(segments) })
        });
        worker.handle_datagrams(*id, datagrams, shared.clock.now(), out);
        if out.misses > 0 {
            shared.room.ring();
        }
        giver.give(io, queue, datagrams, out, worker, |item| datagrams.items().get(item as usize).map(|item| item.meta.offload));
        datagrams.clear();
        out.clear();
        true
    }
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
