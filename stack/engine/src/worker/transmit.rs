//! From a port towards the underlay: which way does each frame of a batch take?
//!
//! ```text
//!  frame ──► too short? ──► own address? ──► another port's? ──► too big? ──► group? ── copies to the other ports
//!              drop           drop             deliver             drop,        │         │
//!                                                                  ICMP         │         ▼
//!                                                                               └──► target: point, or the table
//!                                                    drop ◄── drop ── state of the entry ── absent, pending, draining ──► control
//!                                                                             │                                            half
//!                                                          valid, stale, renewing ──► header ──► Transmit
//! ```

use super::{Shown, Worker, clamp};
use crate::batch::{Frames, Item, Offload};
use crate::control::miss::{Miss, Parcel};
use crate::counters::Counters;
use crate::encap::HEADROOM;
use crate::examples::Example;
use crate::inner::Inner;
use crate::outbox::{Content, Deliver, Outbox, OuterHeader, Part, Transmit};
use crate::target::{Entry, Event, OnFrame, Passage, Pinned, Route, Table, on_frame};
use crate::time::Time;
use crate::toobig;
use crate::world::{Device, Mode, NoWay, Port, Ways, World};
use overlay_api::{Direction, DropReason, EntryState, PortId, Question, Verdict};
use overlay_decoder::{Mac, Ul3};
use std::sync::Arc;

/// Bytes of a frame that a question to renew an entry carries.
const RENEW_SNAPSHOT: usize = 256;

impl Worker {
    /// Frames have come from a port. Carry out what is in `out` afterwards, then clear both.
    ///
    /// Every item ends in exactly one way: sent, delivered to ports of this host, handed to the control half, or dropped with a
    /// reason; each is counted so.
    pub fn handle_frames(&mut self, port: PortId, frames: &mut Frames, now: Time, out: &mut Outbox) {
        self.moment = now;
        let shared = Arc::clone(&self.shared);
        let world = shared.world.load();
        let Some((device, from)) = world.ports.get(&port).and_then(|device| Some((device, device.port(port)?))) else {
            self.nobodys(port, frames, out);
            return;
        };
        let (mut bytes, mut packets) = (0, 0);
        for item in frames.items() {
            bytes += u64::from(item.len);
            packets += u64::from(item.meta.packets(item.len as usize));
        }
        let count = frames.items().len() as u64;
        for counters in [device.count(self.index), &from.counters[self.index]] {
            counters.frames_in.add(count);
            counters.frames_in_bytes.add(bytes);
            counters.frames_in_packets.add(packets);
        }
        let pinned = device.table().map(|table| (table, table.pin()));
        let table = pinned.as_ref().map(|(table, pinned)| (table.as_ref(), pinned));
        let sent = Sent::default();
        let mut pass = Pass { worker: self, world: &world, device, from, table, frames, now, out, remote: None, ways: None, sent, item: 0 };
        let mut last = None;
        for index in 0..pass.frames.items().len() {
            pass.frame(index, &mut last);
        }
        settle(&mut last, now);
        let sent = pass.sent;
        sent.count(device.count(self.index), &from.counters[self.index]);
        overlay_probes::tx_batch(clamp(self.index), port.0, clamp(frames.items().len()), bytes);
    }

    /// Frames of a port that is no longer there.
    fn nobodys(&mut self, port: PortId, frames: &Frames, out: &mut Outbox) {
        let (reason, counters) = (DropReason::PortGone, &self.shared.nobody[self.index]);
        for (index, item) in frames.items().iter().enumerate() {
            let id = self.ids.next();
            counters.frames_in.add(1);
            counters.frames_in_bytes.add(item.len.into());
            counters.frames_in_packets.add(item.meta.packets(item.len as usize).into());
            counters.drop(reason);
            self.shared.examples[self.index]
                .keep(reason, self.moment, || Example::new(reason, self.moment, None, item.len).of(frames.bytes(index as u32)));
            let unknown = overlay_probes::VNI_UNKNOWN;
            overlay_probes::drop(id, Direction::Transmit as u8, unknown, item.len, reason, format_args!("port {port}"));
            out.explain(id, || Verdict::Drop { vni: None, reason });
        }
    }
}

/// A frame in hand.
#[derive(Clone, Copy)]
struct Hand {
    /// Its id.
    id: u64,
    /// Its place in the batch.
    item: u32,
    inner: Inner,
    len: usize,
    offload: Offload,
}

/// The entry that the frame before used: most frames of a batch go where the one before went.
struct Last<'p> {
    mac: Mac,
    entry: &'p Entry,
    route: arc_swap::Guard<Option<Arc<Route>>>,
    ways: Option<Ways>,
    state: EntryState,
    /// Sent since, and not yet counted in the entry.
    frames: u64,
    bytes: u64,
}

/// What a batch has sent so far. Counted at its end: a store a counter and batch instead of one a frame.
#[derive(Clone, Copy, Default)]
struct Sent {
    frames: u64,
    bytes: u64,
    datagrams: u64,
    left_out: u64,
    packets: u64,
    datagram_bytes: u64,
}

impl Sent {
    fn count(&self, device: &Counters, port: &Counters) {
        if self.frames == 0 {
            return;
        }
        for counters in [device, port] {
            counters.sent.add(self.frames);
            counters.sent_bytes.add(self.bytes);
        }
        device.datagrams_out.add(self.datagrams);
        device.left_out.add(self.left_out);
        device.datagrams_out_packets.add(self.packets);
        device.datagrams_out_bytes.add(self.datagram_bytes);
    }
}

/// One batch on its way through.
struct Pass<'a, 'p> {
    worker: &'a mut Worker,
    world: &'a World,
    device: &'a Device,
    from: &'a Port,
    table: Option<(&'a Table, &'p Pinned<'p>)>,
    frames: &'a mut Frames,
    now: Time,
    out: &'a mut Outbox,
    /// The destination of a frame before this one, which no port of the device has.
    remote: Option<Mac>,
    /// The way of a point device, which has one only.
    ways: Option<Ways>,
    sent: Sent,
    /// The frame in hand.
    item: u32,
}

impl<'p> Pass<'_, 'p> {
    fn frame(&mut self, index: usize, last: &mut Option<Last<'p>>) {
        let id = self.worker.ids.next();
        let Some(&Item { len, meta: offload, .. }) = self.frames.items().get(index) else { return };
        let (item, len) = (index as u32, len as usize);
        self.item = item;
        let vni = self.device.vni.get();
        let Some(inner) = Inner::parse(self.frames.bytes(item)) else {
            return self.drop_it(id, len, DropReason::FrameTooShort, "");
        };
        overlay_probes::tx_frame(id, vni, self.from.id.0, clamp(len), inner.source, inner.destination);
        let frames = &*self.frames;
        overlay_probes::frame_parts(id, vni, Direction::Transmit as u8, clamp(len), move || frames.bytes(item));
        let hand = Hand { id, item, inner, len, offload };
        let to = inner.destination;
        if !self.device.up {
            return self.drop_it(id, len, DropReason::OverlayDown, to);
        }
        if self.remote != Some(to) {
            if to.is_group() {
                return self.group(&hand);
            }
            if let Some(port) = self.device.port_of(to) {
                return self.local(&hand, port);
            }
            self.remote = Some(to);
        }
        let device = self.device;
        match &device.mode {
            Mode::Point(point) => drop(self.send_to_point(&hand, point, None)),
            Mode::Dynamic(_) => self.target(&hand, last),
        }
    }

    /// To another port of the same device.
    fn local(&mut self, hand: &Hand, port: &Port) {
        let to = hand.inner.destination;
        if port.id == self.from.id {
            return self.drop_it(hand.id, hand.len, DropReason::SelfAddressed, to);
        }
        let limit = port.mtu.min(self.device.mtu);
        if self.size(hand) > limit {
            return self.too_big(hand, limit);
        }
        self.hand_to(hand, port, Part::Local);
        overlay_probes::local(hand.id, self.device.vni.get(), port.id.0, clamp(hand.len), to);
        let vni = self.device.vni;
        self.out.explain(hand.id, || Verdict::Deliver { vni, ports: vec![port.name.to_string()] });
    }

    /// To all who listen: the device's other ports, and the underlay as the point or the lookup says.
    fn group(&mut self, hand: &Hand) {
        if self.size(hand) > self.device.mtu {
            return self.too_big(hand, self.device.mtu);
        }
        let (device, size) = (self.device, self.size(hand));
        let mut copies = 0;
        // A port with a smaller MTU misses what is too big for it, as it would on a switch.
        for port in device.ports.iter().filter(|port| port.id != self.from.id && size <= port.mtu) {
            self.hand_to(hand, port, Part::Copy);
            copies += 1;
        }
        match (&device.mode, self.table) {
            (Mode::Point(point), _) => {
                overlay_probes::flood(hand.id, device.vni.get(), copies, 1, hand.inner.destination);
                self.send_to_point(hand, point, Some(copies));
            }
            (Mode::Dynamic(_), Some((table, pinned))) => self.group_target(hand, table, pinned, copies),
            (Mode::Dynamic(_), None) => self.drop_it(hand.id, hand.len, DropReason::NoReceiver, hand.inner.destination),
        }
    }

    /// A group address has an entry only if a replication list was answered or set. Else every frame asks for itself: two ARP
    /// requests have one destination and different answers.
    fn group_target(&mut self, hand: &Hand, table: &Table, pinned: &'p Pinned<'p>, copies: u32) {
        let to = hand.inner.destination;
        let trusted = table.trusted_since();
        let found = pinned.get(&to).and_then(|entry| Some((entry, entry.state(self.now, trusted)?)));
        match found.map(|(entry, state)| (entry, state, on_frame(state))) {
            Some((entry, state, OnFrame::Forward | OnFrame::Renew)) => {
                let route = entry.route();
                let many = route.as_ref().map_or(&[][..], |route| route.as_slice());
                overlay_probes::target_hit(hand.id, self.device.vni.get(), to, Shown(many), state);
                overlay_probes::flood(hand.id, self.device.vni.get(), copies, clamp(many.len()), to);
                if on_frame(state) == OnFrame::Renew {
                    self.expire(to, entry);
                    self.renew(hand, entry, trusted);
                }
                if self.send(hand, many, &mut None, Some(copies)) {
                    entry.count(1, hand.len as u64, self.now);
                }
            }
            Some((_, _, OnFrame::Reject(reason))) if copies == 0 => self.drop_it(hand.id, hand.len, reason, to),
            Some((_, _, OnFrame::Reject(_))) => self.flooded(hand, copies),
            Some((_, _, OnFrame::HandOver)) | None => {
                overlay_probes::target_miss(hand.id, self.device.vni.get(), EntryState::Absent, to);
                let mut parcel = self.parcel(hand, hand.len);
                parcel.copies = copies;
                match self.hand_over(Miss::Group(self.device.id, parcel)) {
                    true => self.pending(hand),
                    // What the other ports got is what became of it.
                    false if copies > 0 => self.flooded(hand, copies),
                    false => self.drop_it(hand.id, hand.len, DropReason::MissQueueFull, to),
                }
            }
        }
    }

    /// Only ports of this device got it.
    fn flooded(&mut self, hand: &Hand, copies: u32) {
        self.counters().flooded.add(1);
        overlay_probes::flood(hand.id, self.device.vni.get(), copies, 0, hand.inner.destination);
        let (vni, device, from) = (self.device.vni, self.device, self.from.id);
        self.out.explain(hand.id, || Verdict::Deliver { vni, ports: names(device, from) });
    }

    /// To where the target table says.
    fn target(&mut self, hand: &Hand, last: &mut Option<Last<'p>>) {
        let to = hand.inner.destination;
        if let Some(last) = last.as_mut().filter(|last| last.mac == to) {
            return self.again(hand, last);
        }
        let Some((table, pinned)) = self.table else {
            return self.drop_it(hand.id, hand.len, DropReason::OverlayDown, to);
        };
        let (now, trusted) = (self.now, table.trusted_since());
        let alone = |entry: &Entry, state| match on_frame(state) {
            OnFrame::HandOver => false,
            // Whether a drop is still to be one is for the control half to say.
            OnFrame::Reject(_) => !entry.is_over(now, Time::ZERO),
            OnFrame::Forward | OnFrame::Renew => true,
        };
        let vni = self.device.vni.get();
        let Some((entry, passage)) = table.enter(pinned, to, now, alone) else {
            overlay_probes::target_full(vni, table.len() as u64, to);
            return self.drop_it(hand.id, hand.len, DropReason::TableFull, to);
        };
        match passage {
            Passage::Open(mut state) => {
                if state == EntryState::Valid && entry.is_over(now, trusted) {
                    state = self.expire(to, entry);
                }
                match on_frame(state) {
                    OnFrame::Reject(reason) => {
                        entry.touch(now);
                        return self.drop_it(hand.id, hand.len, reason, to);
                    }
                    OnFrame::Renew => self.renew(hand, entry, trusted),
                    OnFrame::Forward | OnFrame::HandOver => {}
                }
                settle(last, now);
                self.again(hand, last.insert(Last { mac: to, entry, route: entry.route(), ways: None, state, frames: 0, bytes: 0 }));
            }
            Passage::Registered => {
                let state = entry.gate.state().unwrap_or(EntryState::Absent);
                overlay_probes::target_miss(hand.id, vni, state, to);
                let parcel = self.parcel(hand, hand.len);
                if self.hand_over(Miss::Closed(self.device.id, parcel)) {
                    self.pending(hand);
                } else {
                    entry.gate.leave();
                    // An entry that was made for this frame knows nothing and nobody has asked.
                    table.remove(pinned, to, entry, EntryState::Absent);
                    self.drop_it(hand.id, hand.len, DropReason::MissQueueFull, to);
                }
            }
            Passage::Held | Passage::Dead => self.drop_it(hand.id, hand.len, DropReason::PendingFull, to),
        }
    }

    /// To where the frame before went.
    fn again(&mut self, hand: &Hand, last: &mut Last<'_>) {
        let (to, vni) = (last.mac, self.device.vni.get());
        match last.route.as_ref() {
            Some(route) => {
                overlay_probes::target_hit(hand.id, vni, to, Shown(route), last.state);
                if self.send(hand, route, &mut last.ways, None) {
                    last.frames += 1;
                    last.bytes += hand.len as u64;
                }
            }
            // Between the state and the destination that were read, the entry was closed.
            None => self.drop_it(hand.id, hand.len, DropReason::EntryRemoved, to),
        }
    }

    /// What is known no longer holds.
    fn expire(&self, mac: Mac, entry: &Entry) -> EntryState {
        let event = if entry.is_over(self.now, Time::ZERO) { Event::Expire } else { Event::Lost };
        let to = crate::target::step(EntryState::Valid, event).to;
        if entry.gate.change(EntryState::Valid, to) {
            entry.touch_state(self.now);
            let route = entry.route();
            let shown = Shown(route.as_ref().map_or(&[], |route| route.as_slice()));
            overlay_probes::target_state(self.device.vni.get(), mac, EntryState::Valid, to, event.name(), shown);
        }
        entry.gate.state().unwrap_or(to)
    }

    /// Has the lookup asked again for a stale entry, if anyone answers.
    fn renew(&mut self, hand: &Hand, entry: &Entry, trusted: Time) {
        if trusted == Time::NEVER || !entry.gate.change(EntryState::Stale, EntryState::Renewing) {
            return;
        }
        let mac = hand.inner.destination;
        let parcel = self.parcel(hand, RENEW_SNAPSHOT);
        if self.hand_over(Miss::Renew(self.device.id, parcel)) {
            let route = entry.route();
            let shown = Shown(route.as_ref().map_or(&[], |route| route.as_slice()));
            let (old, new) = (EntryState::Stale, EntryState::Renewing);
            overlay_probes::target_state(self.device.vni.get(), mac, old, new, Event::Frame.name(), shown);
        } else {
            // The next frame tries again.
            entry.gate.change(EntryState::Renewing, EntryState::Stale);
        }
    }

    fn send_to_point(&mut self, hand: &Hand, point: &Ul3, copies: Option<u32>) -> bool {
        let mut ways = self.ways;
        let sent = self.send(hand, std::slice::from_ref(point), &mut ways, copies);
        self.ways = ways;
        sent
    }

    /// Encapsulates a frame and sends it. `ways` are those to `to`, if a frame before has found them; `copies` is how many ports of this
    /// device got the frame, for a group. Says whether it was sent.
    fn send(&mut self, hand: &Hand, to: &[Ul3], ways: &mut Option<Ways>, copies: Option<u32>) -> bool {
        let device = self.device;
        let vni = device.vni;
        let ways = match *ways {
            Some(ways) if ways.l2_len == hand.inner.l3 => ways,
            _ => *ways.insert(device.ways(to, hand.inner.l3, &self.world.paths)),
        };
        let size = self.size(hand);
        let tag = !device.carries_tags && hand.inner.is_tagged();
        if tag || ways.refuse(size).is_some() {
            match (copies, ways.refuse(size)) {
                // What cannot leave has still reached the other ports.
                (Some(copies @ 1..), _) => self.flooded(hand, copies),
                _ if tag => self.drop_it(hand.id, hand.len, DropReason::VlanNotCarried, hand.inner.destination),
                (_, Some(NoWay::TooBig(limit))) => self.too_big(hand, limit),
                _ => self.drop_it(hand.id, hand.len, DropReason::Unreachable, hand.inner.destination),
            }
            return false;
        }
        let header_len = device.header_len;
        let (header, frame) = self.frames.split(hand.item, header_len);
        let flow = hand.inner.flow_hash(frame, self.worker.shared.seed);
        device.codec.write(header, flow);
        let packets = hand.offload.packets(hand.len);
        let paths = &self.world.paths;
        let passes = |ul3: &&Ul3| device.passes(**ul3, size, &ways, paths);
        let mut datagrams = 0;
        for ul3 in to.iter().filter(passes) {
            datagrams += 1;
            overlay_probes::encap(hand.id, vni.get(), clamp(hand.len), packets, device.encapsulation, *ul3);
            self.out.transmits.push(Transmit {
                frame: hand.id,
                item: hand.item,
                header_len: header_len as u16,
                underlay: device.underlay,
                device: device.id,
                vni,
                outer: OuterHeader::new(&device.rules, &hand.inner, flow, *ul3),
            });
        }
        let left_out = to.len() as u64 - datagrams;
        if left_out > 0 {
            // One receiver behind a small path does not hold back all.
            overlay_probes::too_big(hand.id, vni.get(), clamp(hand.len), ways.all.unwrap_or(0), 0, hand.inner.destination);
        }
        self.sent.frames += 1;
        self.sent.bytes += hand.len as u64;
        self.sent.datagrams += datagrams;
        self.sent.left_out += left_out;
        self.sent.packets += datagrams * u64::from(packets);
        self.sent.datagram_bytes += datagrams * (hand.len + header_len) as u64;
        let from = self.from.id;
        self.out.explain(hand.id, || {
            let ports = if copies.is_some() { names(device, from) } else { Vec::new() };
            Verdict::Transmit { vni, to: to.iter().filter(passes).copied().collect(), ports }
        });
        true
    }

    /// Bytes that the largest packet of a frame has behind its Ethernet header and tags.
    fn size(&self, hand: &Hand) -> u32 {
        clamp(hand.offload.largest(hand.len).saturating_sub(hand.inner.l3))
    }

    /// Drops a frame that is larger than `limit`, and tells its sender if that is an IP host.
    fn too_big(&mut self, hand: &Hand, limit: u32) {
        let (vni, to) = (self.device.vni.get(), hand.inner.destination);
        let start = self.out.made.len();
        let replies = &self.device.replies;
        let told = replies.any(self.now)
            && toobig::reply(self.frames.bytes(hand.item), &hand.inner, limit, &mut self.out.made)
            && replies.take(self.now);
        if told {
            let made = start..self.out.made.len();
            self.give(hand.id, self.from, (made.len(), hand.inner.source), Content::Made(made), Part::Made);
        } else {
            // Another worker may have taken the last reply while this one was written.
            self.out.made.truncate(start);
        }
        overlay_probes::too_big(hand.id, vni, clamp(hand.len), limit, u8::from(told), to);
        self.drop_it(hand.id, hand.len, DropReason::TooBig, to);
    }

    /// Hands a frame to a port.
    fn hand_to(&mut self, hand: &Hand, port: &Port, part: Part) {
        self.give(hand.id, port, (hand.len, hand.inner.destination), Content::Item { item: hand.item, skip: 0 }, part);
    }

    fn give(&mut self, frame: u64, port: &Port, (len, to): (usize, Mac), content: Content, part: Part) {
        self.out.delivers.push(Deliver { frame, port: port.id, device: self.device.id, content, len: clamp(len), to, part });
    }

    /// A copy of a frame, for the control half.
    fn parcel(&self, hand: &Hand, most: usize) -> Parcel {
        let frame = self.frames.bytes(hand.item);
        let frame = frame.get(..most).unwrap_or(frame);
        let mut buffer = Vec::with_capacity(HEADROOM + frame.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(frame);
        Parcel {
            id: hand.id,
            port: Some(self.from.id),
            buffer,
            offload: hand.offload,
            question: question(&hand.inner, hand.len),
            copies: 0,
            resent: false,
        }
    }

    /// Gives the control half a frame. Says whether there was room.
    fn hand_over(&mut self, miss: Miss) -> bool {
        let taken = self.worker.shared.misses.push(miss).is_ok();
        self.out.misses += usize::from(taken);
        taken
    }

    /// The control half has the frame.
    fn pending(&mut self, hand: &Hand) {
        let vni = self.device.vni;
        self.out.explain(hand.id, || Verdict::Pending { vni, request: None });
    }

    fn drop_it(&mut self, id: u64, len: usize, reason: DropReason, to: impl std::fmt::Display) {
        self.counters().drop(reason);
        self.from.counters[self.worker.index].drop(reason);
        overlay_probes::drop(id, Direction::Transmit as u8, self.device.vni.get(), clamp(len), reason, to);
        let vni = Some(self.device.vni);
        let frame = self.frames.bytes(self.item);
        self.worker.keep(reason, || Example::new(reason, self.now, vni, clamp(len)).of(frame));
        self.out.explain(id, || Verdict::Drop { vni, reason });
    }

    fn counters(&self) -> &Counters {
        self.device.count(self.worker.index)
    }
}

/// Counts in its entry what was sent by it.
fn settle(last: &mut Option<Last<'_>>, now: Time) {
    if let Some(last) = last.take()
        && last.frames > 0
    {
        last.entry.count(last.frames, last.bytes, now);
    }
}

/// The question that a frame asks.
pub(crate) fn question(inner: &Inner, len: usize) -> Question {
    Question { source: inner.source, destination: inner.destination, ethertype: inner.ethertype, vlan: inner.vlan, len: clamp(len) }
}

/// The names of all ports but one.
fn names(device: &Device, but: PortId) -> Vec<String> {
    device.ports.iter().filter(|port| port.id != but).map(|port| port.name.to_string()).collect()
}
