//! How does time pass? From packet to packet, with everything in between that the engine waits for: answers, and time running out.
//!
//! ```text
//!   packet at t ──► advance(t): the next thing before t, again and again ──► worker ──► outputs, answers at t ──► next packet
//! ```
//!
//! Where the engine only looks again and again whether an entry's time is over, [`gap`] says how far the next time is that it is.
//!
//! The engine's third driver: no clock but the capture's, no sockets, and a worker that takes one frame at a time, so that what one frame
//! causes is done before the next one comes.

use super::entrance::{Entrance, LONGEST};
use super::gap;
use super::script::{Answers, Fate, Happening};
use super::setup::{START, Stage};
use overlay_api::{Answer, LinkName, PortId, RequestId, UnderlayId, Verdict};
use overlay_decoder::Ul3;
use overlay_engine::encap::Carrier;
use overlay_engine::outer::{EmitError, Outer, Stations, emit_frame};
use overlay_engine::{Arrival, Batch, Event, Frames, Outbox, OuterHeader, Output, Time};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// What happens, as it happens. A break ends it all: whoever writes it down cannot.
pub(crate) trait Sink {
    /// Whether packets that are sent are wanted; if not, none is put together.
    fn keeps_packets(&self) -> bool;
    /// A packet's fate, or that it waits. `waited` is there if it has waited.
    fn verdict(&mut self, packet: Packet, waited: Option<u64>, now: Time, verdict: &Verdict) -> ControlFlow<()>;
    /// A packet leaves on an underlay.
    fn sent(&mut self, packet: Option<Packet>, now: Time, underlay: UnderlayId, to: Ul3, frame: &[u8]) -> ControlFlow<()>;
    /// A frame reaches a VNIC.
    fn delivered(&mut self, packet: Option<Packet>, now: Time, port: PortId, made: bool, frame: &[u8]) -> ControlFlow<()>;
    /// Something is asked, and what becomes of it.
    fn asked(
        &mut self,
        packet: Option<Packet>,
        now: Time,
        overlay: &LinkName,
        lookup: &overlay_api::Lookup,
        fate: &Fate,
    ) -> ControlFlow<()>;
    /// Something is answered; or the answer does not count, and why.
    fn answered(&mut self, now: Time, request: RequestId, answer: &Answer, problem: Option<String>) -> ControlFlow<()>;
    /// An overlay's state changes.
    fn state(&mut self, now: Time, overlay: &str, degraded: Option<&str>) -> ControlFlow<()>;
}

/// A packet of the capture, as the engine knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    /// Its number in the capture.
    pub(crate) number: u64,
    /// The frame id that it got.
    pub(crate) frame: u64,
}

/// Drives an engine.
pub(crate) struct Driver {
    pub(crate) stage: Stage,
    answers: Answers,
    frames: Frames,
    datagrams: Batch<Arrival>,
    out: Outbox,
    now: Time,
    /// Frames that wait, by their ids: the packet's number, and since when.
    waiting: HashMap<u64, (u64, Time)>,
    /// The packet that the engine has in hand.
    current: Option<u64>,
    /// When the control half wants to be called, asked again only when something has reached it: to ask is to look at every overlay.
    timeout: Option<Option<Time>>,
    /// Outer packets are written here.
    wire: Vec<u8>,
    stations: Stations,
    /// Gaps of so many nanoseconds are passed without every sweep.
    jump_ns: u64,
    /// Until then every sweep counts.
    busy_until: Time,
    /// Frames that are too long for an outer packet, and are many of them on a wire.
    pub(crate) unwritten: u64,
}

/// So many turns without time passing are enough for everything; more would be forever.
const TURNS_MAX: usize = 100_000;

impl Driver {
    pub(crate) fn new(stage: Stage, answers: Answers, jump_ns: u64) -> Self {
        Self {
            stage,
            answers,
            frames: Frames::new(1, LONGEST),
            datagrams: Batch::new(1, LONGEST),
            out: Outbox::explaining(),
            now: START,
            waiting: HashMap::new(),
            current: None,
            timeout: None,
            wire: Vec::new(),
            stations: crate::edit::tunnel::STATIONS,
            jump_ns,
            busy_until: START + gap::BUSY_NS,
            unwritten: 0,
        }
    }

    /// A packet comes at a time; one before the last is taken to come with it.
    pub(crate) fn packet(
        &mut self,
        number: u64,
        at: Time,
        entrance: &Entrance,
        bytes: &[u8],
        len: usize,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        self.advance(at, sink)?;
        self.now = self.now.max(at);
        self.current = Some(number);
        self.busy_until = self.now + gap::BUSY_NS;
        let now = self.now;
        match entrance {
            Entrance::Nowhere(_) => {}
            Entrance::Frame(port, offload) => {
                fill(&mut self.frames, bytes, len, *offload);
                self.stage.worker.handle_frames(*port, &mut self.frames, now, &mut self.out);
            }
            Entrance::Datagram(underlay, arrival, range) => {
                let payload = bytes.get(range.start.min(bytes.len())..range.end.min(bytes.len())).unwrap_or_default();
                fill(&mut self.datagrams, payload, range.len(), *arrival);
                self.stage.worker.handle_datagrams(*underlay, &mut self.datagrams, now, &mut self.out);
            }
        }
        self.work_done(number, sink)?;
        self.settle(sink)?;
        self.current = None;
        ControlFlow::Continue(())
    }

    /// Writes down what the worker wants, and gives it back its room.
    fn work_done(&mut self, number: u64, sink: &mut dyn Sink) -> ControlFlow<()> {
        let now = self.now;
        for (frame, verdict) in &self.out.verdicts {
            if !verdict.is_final() {
                self.waiting.insert(*frame, (number, now));
            }
            sink.verdict(Packet { number, frame: *frame }, None, now, verdict)?;
        }
        let keeps_packets = sink.keeps_packets();
        for transmit in self.out.transmits.iter().filter(|_| keeps_packets) {
            let payload = self.frames.with_header(transmit.item, transmit.header_len.into());
            let packet = Some(Packet { number, frame: transmit.frame });
            let source = listen(&self.stage, transmit.underlay);
            match write(&mut self.wire, self.stations, source, &transmit.outer, payload) {
                Ok(()) => sink.sent(packet, now, transmit.underlay, transmit.outer.to, &self.wire)?,
                Err(_) => self.unwritten += 1,
            }
        }
        for deliver in &self.out.delivers {
            // Frames of the two batches are never in hand together.
            let content = if self.datagrams.is_empty() {
                self.out.content(deliver, &self.frames)
            } else {
                self.out.content(deliver, &self.datagrams)
            };
            let made = matches!(deliver.content, overlay_engine::Content::Made(_));
            sink.delivered(Some(Packet { number, frame: deliver.frame }), now, deliver.port, made, content)?;
        }
        self.stage.worker.settle(&self.out, &[]);
        if self.out.misses > 0 {
            self.timeout = None;
        }
        self.out.clear();
        self.frames.clear();
        self.datagrams.clear();
        ControlFlow::Continue(())
    }

    /// Lets time pass up to a moment.
    pub(crate) fn advance(&mut self, to: Time, sink: &mut dyn Sink) -> ControlFlow<()> {
        let mut floor = self.now;
        loop {
            let next = [self.poll_timeout(), self.answers.next()].into_iter().flatten().min();
            let Some(next) = next.map(|next| next.max(floor)).filter(|next| *next <= to) else { return ControlFlow::Continue(()) };
            let next = self.skip(next, to);
            self.now = next;
            if self.answers.next().is_none_or(|at| at > next) {
                self.stage.control.handle_timeout(next);
                self.timeout = None;
                // Whatever still wants the same moment gets the next one.
                floor = Time(next.0.saturating_add(1));
            }
            self.settle(sink)?;
        }
    }

    /// The last of the moments from `next` to `to` before which the engine would be called for nothing.
    fn skip(&mut self, next: Time, to: Time) -> Time {
        let to = self.answers.next().map_or(to, |at| at.min(to));
        if next < self.busy_until || to.since(next) < self.jump_ns || !self.waiting.is_empty() {
            return next;
        }
        let (next, busy_until) = gap::skip(&self.stage.control, self.now, next, to);
        self.busy_until = busy_until;
        next
    }

    /// Lets time pass until nothing waits any more; gives the time.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) -> (Time, ControlFlow<()>) {
        // Every lookup ends by its time limit; a frame waits for one, or for another frame before it.
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && (!self.waiting.is_empty() || self.answers.is_waiting()) {
            let next = [self.poll_timeout(), self.answers.next()].into_iter().flatten().min();
            let Some(next) = next else { break };
            if next > self.now + FINISH_NS {
                break;
            }
            flow = self.advance(next.max(Time(self.now.0.saturating_add(1))), sink);
        }
        (self.now, flow)
    }

    /// Carries out everything that the engine wants now.
    fn settle(&mut self, sink: &mut dyn Sink) -> ControlFlow<()> {
        for _ in 0..TURNS_MAX {
            while let Some(output) = self.stage.control.poll_output(self.now) {
                self.carry_out(output, sink)?;
            }
            if let Some(happening) = self.answers.due(self.now) {
                self.happen(happening, sink)?;
            } else if !self.stage.control.handle_misses(self.now) {
                // What the frames asked may have been put out.
                match self.stage.control.poll_output(self.now) {
                    Some(output) => self.carry_out(output, sink)?,
                    None => return ControlFlow::Continue(()),
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// When the control half wants to be called.
    fn poll_timeout(&mut self) -> Option<Time> {
        *self.timeout.get_or_insert_with(|| self.stage.control.poll_timeout())
    }

    fn happen(&mut self, happening: Happening, sink: &mut dyn Sink) -> ControlFlow<()> {
        self.timeout = None;
        self.busy_until = self.now + gap::BUSY_NS;
        match happening {
            Happening::Answer(lookup, answer) => {
                let said = self.stage.control.handle_answer(lookup.request, answer.clone(), self.now);
                sink.answered(self.now, lookup.request, &answer, said.err().map(|error| error.to_string()))
            }
            Happening::Away(why) => {
                self.stage.control.answerer_lost(&why, self.now);
                ControlFlow::Continue(())
            }
            Happening::Back => {
                self.stage.control.answerer_attached(self.now);
                ControlFlow::Continue(())
            }
        }
    }

    fn carry_out(&mut self, output: Output, sink: &mut dyn Sink) -> ControlFlow<()> {
        let now = self.now;
        self.timeout = None;
        self.busy_until = now + gap::BUSY_NS;
        match output {
            Output::Verdict(frame, verdict) => {
                let known = if verdict.is_final() { self.waiting.remove(&frame) } else { self.waiting.get(&frame).copied() };
                let (number, since) = known.unwrap_or((self.current.unwrap_or(0), now));
                sink.verdict(Packet { number, frame }, known.map(|_| now.since(since)), now, &verdict)
            }
            Output::Transmit(sending) => {
                let source = listen(&self.stage, sending.underlay);
                let packet = self.packet_of(sending.frame);
                match write(&mut self.wire, self.stations, source, &sending.outer, &sending.bytes) {
                    Ok(()) => sink.sent(packet, now, sending.underlay, sending.outer.to, &self.wire),
                    Err(_) => {
                        self.unwritten += 1;
                        ControlFlow::Continue(())
                    }
                }
            }
            Output::Deliver(delivery) => {
                let packet = self.packet_of(delivery.frame);
                sink.delivered(packet, now, delivery.port, delivery.made, &delivery.bytes)
            }
            Output::Lookup(lookup) => {
                let name = self.stage.control.device(lookup.device).and_then(|info| info.spec.name.parse::<LinkName>().ok());
                let Some(overlay) = name else { return ControlFlow::Continue(()) };
                let packet = self.current.map(|number| Packet { number, frame: 0 });
                let fate = self.answers.ask(&overlay, lookup.clone(), now);
                sink.asked(packet, now, &overlay, &lookup, &fate)
            }
            // An answer to it will not count, which the engine says then.
            Output::Withdraw(_) => ControlFlow::Continue(()),
            Output::Event(Event::Device { device, degraded }) => match self.stage.control.device(device) {
                Some(info) => sink.state(now, &info.spec.name, degraded.as_deref()),
                None => ControlFlow::Continue(()),
            },
            Output::Event(_) => ControlFlow::Continue(()),
        }
    }

    fn packet_of(&self, frame: u64) -> Option<Packet> {
        let number = self.waiting.get(&frame).map(|(number, _)| *number).or(self.current)?;
        Some(Packet { number, frame })
    }
}

/// How long after the last packet frames may wait: the longest lookup, and the longest delay that a script may have.
const FINISH_NS: u64 = 3_600_000_000_000;

/// Puts bytes into a batch, with zeros where the capture cut off the rest.
fn fill<M: Copy>(batch: &mut Batch<M>, bytes: &[u8], len: usize, meta: M) {
    batch.clear();
    let space = batch.space(0);
    let len = len.min(space.len());
    let (there, missing) = space[..len].split_at_mut(bytes.len().min(len));
    there.copy_from_slice(&bytes[..there.len()]);
    missing.fill(0);
    batch.push(0, 0..len, meta);
}

/// Where an underlay listens.
fn listen(stage: &Stage, underlay: UnderlayId) -> Option<(IpAddr, Carrier)> {
    stage.listeners.iter().find(|listener| listener.id == underlay).map(|listener| (listener.listen.ip, listener.carrier))
}

/// Writes the outer packet in an Ethernet frame.
fn write(
    wire: &mut Vec<u8>,
    stations: Stations,
    from: Option<(IpAddr, Carrier)>,
    outer: &OuterHeader,
    payload: &[u8],
) -> Result<(), EmitError> {
    wire.clear();
    let (ip, carrier) = from.unwrap_or((Ipv4Addr::UNSPECIFIED.into(), Carrier::Udp));
    // A socket that listens everywhere sends from an address that the kernel chooses; nobody chooses here.
    let ip = match (ip.is_ipv4(), outer.to.ip.is_ipv4()) {
        (true, false) => Ipv6Addr::UNSPECIFIED.into(),
        (false, true) => Ipv4Addr::UNSPECIFIED.into(),
        _ => ip,
    };
    let fields = Outer {
        source: Ul3 { ip, port: (carrier == Carrier::Udp).then_some(outer.source_port) },
        destination: outer.to,
        tos: outer.tos,
        ttl: outer.ttl,
        dont_fragment: outer.dont_fragment,
        identification: 0,
        flow_label: outer.flow_label,
        carrier,
    };
    emit_frame(wire, stations, &fields, payload)
}
