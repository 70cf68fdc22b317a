//! To the VNICs: what came in consecutive frames of one flow goes out as one.

use super::Io;
use crate::coalesce::{Frame, Joiner, Rules};
use crate::pieces::recycle;
use overlay_api::PortId;
use overlay_engine::{Batch, Content, Offload, Outbox, Worker};
use std::io::IoSlice;

/// Gives VNICs their frames. Keep it and use it again: it keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Giver {
    joiner: Joiner,
    ports: Vec<PortId>,
    slices: Vec<IoSlice<'static>>,
}

impl Giver {
    /// Gives what the outbox holds for VNICs. `offload` says for an item what is left to do to it.
    pub(crate) fn give<M: Copy>(
        &mut self,
        io: &Io,
        queue: usize,
        batch: &Batch<M>,
        out: &Outbox,
        worker: &Worker,
        offload: impl Fn(u32) -> Option<Offload>,
    ) {
        self.ports.clear();
        for deliver in &out.delivers {
            if !self.ports.contains(&deliver.port) {
                self.ports.push(deliver.port);
            }
        }
        for port in &self.ports {
            let mine = out.delivers.iter().enumerate().filter(|(_, deliver)| deliver.port == *port);
            let Some(tap) = io.taps.get(port).and_then(|queues| queues.get(queue).or_else(|| queues.first())) else {
                mine.for_each(|(_, deliver)| worker.undelivered(deliver, out.content(deliver, batch).len()));
                continue;
            };
            let frames = mine.map(|(key, deliver)| {
                let offload = match deliver.content {
                    Content::Item { item, .. } => offload(item).unwrap_or_default(),
                    Content::Made(_) => Offload::default(),
                };
                Frame { key: key as u32, bytes: out.content(deliver, batch), offload }
            });
            self.joiner.clear();
            self.joiner.join(frames, Rules { trust_partial: true, join_udp: true });
            let bytes_of = |key: u32| out.delivers.get(key as usize).map_or(&[][..], |deliver| out.content(deliver, batch));
            let mut slices = recycle(std::mem::take(&mut self.slices));
            let mut left = out.delivers.iter().filter(|deliver| deliver.port == *port);
            for write in self.joiner.writes() {
                slices.clear();
                self.joiner.slices(write, bytes_of, &mut slices);
                let written = tap.write(&slices, &write.offload);
                let frames = left.by_ref().take(write.frames as usize);
                match written {
                    Ok(true) => frames.for_each(drop),
                    Ok(false) => frames.for_each(|deliver| worker.undelivered(deliver, out.content(deliver, batch).len())),
                    Err(error) => {
                        tracing::debug!("a VNIC takes no frame: {error}");
                        frames.for_each(|deliver| worker.undelivered(deliver, out.content(deliver, batch).len()));
                    }
                }
            }
            self.slices = recycle(slices);
        }
    }
}
