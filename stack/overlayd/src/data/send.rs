//! To the underlay: super-frames are cut, frames of one size to one place go in one message.

use super::{Io, Shared, Steps};
use crate::pieces::recycle;
use crate::segment::{Chunk, Cutter, Follows};
use crate::sys::{Loss, Message, SendReport};
use overlay_api::{DropReason, UnderlayId};
use overlay_decoder::Ul3;
use overlay_engine::{Frames, Outbox, Sending, Transmit, Worker};
use std::io::IoSlice;

/// Messages that are given to the kernel at once.
const MESSAGES: usize = 64;

/// Sends what the engine encapsulated. Keep it and use it again: it keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    cutter: Cutter,
    report: SendReport,
    slices: Vec<IoSlice<'static>>,
    /// Which transmits were lost, by their places.
    lost: Vec<bool>,
}

impl Sender {
    /// Sends what the outbox holds for the underlay.
    pub(crate) fn send(&mut self, shared: &Shared, io: &Io, queue: usize, frames: &Frames, out: &Outbox, worker: &Worker) {
        self.cutter.clear();
        self.lost.clear();
        self.lost.resize(out.transmits.len(), false);
        let mut before: Option<&Transmit> = None;
        for (key, transmit) in out.transmits.iter().enumerate() {
            let bytes = frames.with_header(transmit.item, transmit.header_len.into());
            let offload = frames.items().get(transmit.item as usize).map(|item| item.meta).unwrap_or_default();
            let limits = shared.steps.limits(io.underlays.get(&transmit.underlay).map(|underlay| underlay.encapsulation.carrier()));
            let same = before.is_some_and(|before| before.underlay == transmit.underlay && before.outer == transmit.outer);
            let follows = if same { Follows::Same } else { Follows::Other };
            match self.cutter.cut(key as u32, bytes, transmit.header_len.into(), &offload, follows, limits) {
                Ok(()) => before = Some(transmit),
                Err(error) => {
                    tracing::debug!("a frame of a VNIC cannot be cut: {error}");
                    worker.lost(transmit, bytes.len(), DropReason::SendFailed);
                    if let Some(lost) = self.lost.get_mut(key) {
                        *lost = true;
                    }
                    before = None;
                }
            }
        }
        let bytes_of = |key: u32| {
            let transmit = out.transmits.get(key as usize);
            transmit.map_or(&[][..], |transmit| frames.with_header(transmit.item, transmit.header_len.into()))
        };
        let mut rest = self.cutter.chunks();
        while let Some(first) = rest.first().and_then(|chunk| out.transmits.get(chunk.first as usize)) {
            let alike = |chunk: &&Chunk| out.transmits.get(chunk.first as usize).is_some_and(|other| other.underlay == first.underlay);
            let count = rest.iter().take(MESSAGES).take_while(alike).count().max(1);
            let (now, later) = rest.split_at(count.min(rest.len()));
            rest = later;
            let mut lose = |chunk: &Chunk, reason: DropReason| {
                for key in chunk.first..=chunk.last {
                    // A transmit that is cut into several messages is lost once.
                    if let Some(lost) = self.lost.get_mut(key as usize)
                        && !std::mem::replace(lost, true)
                        && let Some(transmit) = out.transmits.get(key as usize)
                    {
                        worker.lost(transmit, bytes_of(key).len(), reason);
                    }
                }
            };
            let Some(underlay) = io.underlays.get(&first.underlay) else {
                now.iter().for_each(|chunk| lose(chunk, DropReason::SendFailed));
                continue;
            };
            let mut slices = recycle(std::mem::take(&mut self.slices));
            now.iter().for_each(|chunk| self.cutter.slices(chunk, bytes_of, &mut slices));
            let mut messages = Vec::with_capacity(now.len());
            let mut at = 0;
            for chunk in now {
                let Some(transmit) = out.transmits.get(chunk.first as usize) else { continue };
                let end = at + chunk.slices();
                let parts = slices.get(at..end).unwrap_or(&[]);
                messages.push(Message { outer: transmit.outer, segment_size: chunk.segment_size(), parts });
                at = end;
            }
            self.report.clear();
            underlay.sockets.queue(queue).send(&messages, &mut self.report);
            for (index, loss) in &self.report.lost {
                if let Some(chunk) = now.get(*index) {
                    if let (Loss::TooBig { mtu: Some(mtu) }, Some(transmit)) = (loss, out.transmits.get(chunk.first as usize)) {
                        shared.report_small_path(transmit.underlay, transmit.outer.to.ip, *mtu);
                    }
                    lose(chunk, reason_of(*loss));
                }
            }
            drop(messages);
            for (index, chunk) in now.iter().enumerate() {
                if let Some(transmit) = out.transmits.get(chunk.first as usize)
                    && !self.report.has_lost(index)
                {
                    taken(worker.index(), transmit.underlay, chunk, transmit.outer.to);
                }
            }
            self.slices = recycle(slices);
        }
        for (key, transmit) in out.transmits.iter().enumerate() {
            if let Some(item) = frames.items().get(transmit.item as usize)
                && self.lost.get(key) == Some(&false)
            {
                transmit.sent(item.len as usize, &item.meta);
            }
        }
    }
}

/// The kernel has taken a message of a worker.
fn taken(worker: usize, underlay: UnderlayId, chunk: &Chunk, to: Ul3) {
    let frames = chunk.last - chunk.first + 1;
    overlay_probes::tx_message(worker as u32, underlay.0, frames, chunk.segments.into(), chunk.bytes.into(), to);
}

/// Sends one frame of the control half, which in probes is the worker behind all others. Says why it could not.
pub(crate) fn send_one(io: &Io, sending: &Sending, worker: usize) -> Result<(), DropReason> {
    try_send(io, sending, worker).map_err(|loss| loss.map_or(DropReason::SendFailed, reason_of))
}

/// The same with what the kernel said; none is that it was not asked.
pub(crate) fn try_send(io: &Io, sending: &Sending, worker: usize) -> Result<(), Option<Loss>> {
    let underlay = io.underlays.get(&sending.underlay).ok_or(None)?;
    let limits = Steps::Full.limits(Some(underlay.encapsulation.carrier()));
    let mut cutter = Cutter::default();
    let cut = cutter.cut(0, &sending.bytes, sending.header_len.into(), &sending.offload, Follows::Other, limits);
    cut.map_err(|_| None)?;
    let mut report = SendReport::default();
    for chunk in cutter.chunks() {
        let mut slices = Vec::with_capacity(chunk.slices());
        cutter.slices(chunk, |_| &sending.bytes, &mut slices);
        let message = Message { outer: sending.outer, segment_size: chunk.segment_size(), parts: &slices };
        let lost = report.lost.len();
        underlay.sockets.queue(0).send(&[message], &mut report);
        if report.lost.len() == lost {
            taken(worker, sending.underlay, chunk, sending.outer.to);
        }
    }
    match report.lost.first() {
        Some((_, loss)) => Err(Some(*loss)),
        None => {
            sending.sent();
            Ok(())
        }
    }
}

pub(crate) const fn reason_of(loss: Loss) -> DropReason {
    match loss {
        Loss::Full => DropReason::SocketFull,
        Loss::TooBig { .. } | Loss::Failed(_) => DropReason::SendFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Limits;
    use overlay_engine::{Offload, SegmentKind, Segments};

    /// Ethernet, IPv4 without options, TCP without options.
    const HEADERS: usize = 14 + 20 + 20;
    /// RFC 7348 5.
    const VXLAN: usize = 8;

    /// A super-frame as a VNIC hands it over; 60 KB of payload.
    fn super_frame(space: &mut [u8]) -> (usize, Offload) {
        let len = HEADERS + 60_000;
        space[12..14].copy_from_slice(&[8, 0]);
        space[14] = 0x45;
        space[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
        space[23] = 6;
        space[46] = 0x50;
        let segments = Segments { size: 1396, header_len: HEADERS as u16, kind: SegmentKind::Tcp4 };
        (len, Offload { checksum: Some((34, 16)), segments: Some(segments) })
    }

    #[test]
    fn payload_is_sent_from_where_it_was_read() {
        let mut frames = Frames::new(1, 65_535);
        let (len, offload) = super_frame(frames.space(0));
        let read = frames.space(0).as_ptr_range();
        let payload = read.start as usize + HEADERS..read.start as usize + len;
        assert!(frames.push(0, 0..len, offload));

        let mut cutter = Cutter::default();
        let bytes = frames.with_header(0, VXLAN);
        cutter.cut(0, bytes, VXLAN, &offload, Follows::Other, Limits::GSO).expect("a super-frame");
        let mut slices = Vec::new();
        cutter.chunks().iter().for_each(|chunk| cutter.slices(chunk, |_| bytes, &mut slices));

        // What is not in the buffer is headers; and of the payload each byte is sent once, in order, from its place.
        let (mut next, mut segments) = (payload.start, 0);
        for slice in slices {
            let at = slice.as_ptr() as usize;
            if payload.contains(&at) {
                assert_eq!(at, next, "segment {segments} begins elsewhere");
                next = at + slice.len();
            } else {
                assert_eq!(slice.len(), VXLAN + HEADERS, "segment {segments}");
                segments += 1;
            }
        }
        assert_eq!((next, segments), (payload.end, 60_000usize.div_ceil(1396)));
    }
}
