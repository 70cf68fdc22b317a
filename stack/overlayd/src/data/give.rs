//! To the VNICs: what came in consecutive frames of one flow goes out as one.

use super::{Io, Steps};
use crate::coalesce::{Frame, Joiner, Rules};
use crate::pieces::recycle;
use overlay_api::PortId;
use overlay_engine::{Batch, Content, Offload, Outbox, Worker};
use std::io::IoSlice;

/// Bytes of payload of the smallest datagram that is joined with others. A joined one is taken apart where the tenant's program reads, all of
/// it at once, and a socket has room for a few hundred small datagrams by default: more of them were lost there than the joining had saved.
const JOINED_FROM: usize = 512;
/// So many small datagrams in one batch are no question or answer, but a stream.
const STREAM: usize = 5;

/// Gives VNICs their frames. Keep it and use it again: it keeps its memory.
#[derive(Debug)]
pub(crate) struct Giver {
    steps: Steps,
    joiner: Joiner,
    ports: Vec<PortId>,
    slices: Vec<IoSlice<'static>>,
    /// Places of deliveries that were in vain.
    untaken: Vec<u32>,
}

impl Giver {
    pub(crate) fn new(steps: Steps) -> Self {
        Self { steps, joiner: Joiner::default(), ports: Vec::new(), slices: Vec::new(), untaken: Vec::new() }
    }

    /// Gives what the outbox holds for VNICs, and has the worker count it. `offload` says for an item what is left to do to it. Says whether
    /// it was a stream of small datagrams: then whoever reads them has had the chance to run.
    pub(crate) fn give<M: Copy>(
        &mut self,
        io: &Io,
        queue: usize,
        batch: &Batch<M>,
        out: &Outbox,
        worker: &Worker,
        offload: impl Fn(u32) -> Option<Offload>,
    ) -> bool {
        let mut small = 0;
        self.ports.clear();
        self.untaken.clear();
        for deliver in &out.delivers {
            if !self.ports.contains(&deliver.port) {
                self.ports.push(deliver.port);
            }
        }
        for port in &self.ports {
            let mine =
                out.delivers.iter().enumerate().filter(|(_, deliver)| deliver.port == *port).map(|(key, deliver)| (key as u32, deliver));
            let Some(tap) = io.taps.get(port).and_then(|queues| queues.get(queue).or_else(|| queues.first())) else {
                self.untaken.extend(mine.map(|(key, _)| key));
                continue;
            };
            let frames = mine.clone().map(|(key, deliver)| {
                let offload = match deliver.content {
                    Content::Item { item, .. } => offload(item).unwrap_or_default(),
                    Content::Made(_) => Offload::default(),
                };
                Frame { key, bytes: out.content(deliver, batch), offload }
            });
            self.joiner.clear();
            // What is not to be trusted the engine has dropped.
            let rules = Rules { trust_partial: true, udp_from: JOINED_FROM };
            if self.steps.joins() {
                self.joiner.join(frames, rules);
            } else {
                frames.for_each(|frame| self.joiner.join([frame], rules));
            }
            small += self.joiner.small();
            let bytes_of = |key: u32| out.delivers.get(key as usize).map_or(&[][..], |deliver| out.content(deliver, batch));
            let mut slices = recycle(std::mem::take(&mut self.slices));
            let mut left = mine.map(|(key, _)| key);
            for write in self.joiner.writes() {
                slices.clear();
                self.joiner.slices(write, bytes_of, &mut slices);
                let written = tap.write(&slices, &write.offload);
                let frames = left.by_ref().take(write.frames as usize);
                match written {
                    Ok(true) => {
                        let bytes = slices.iter().map(|slice| slice.len() as u64).sum();
                        overlay_probes::rx_write(worker.index() as u32, port.0, write.frames, bytes);
                        frames.for_each(drop);
                    }
                    Ok(false) => self.untaken.extend(frames),
                    Err(error) => {
                        tracing::debug!("a VNIC takes no frame: {error}");
                        self.untaken.extend(frames);
                    }
                }
            }
            self.slices = recycle(slices);
        }
        // They are in the order of the ports.
        self.untaken.sort_unstable();
        worker.settle(out, &self.untaken);
        let is_stream = small >= STREAM;
        if is_stream {
            // The reader was woken by the first of them, maybe on this processor: what it has no time for is lost.
            std::thread::yield_now();
        }
        is_stream
    }
}
