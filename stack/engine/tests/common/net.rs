//! What happens between two hosts? Two engines, a wire, somebody who answers lookups and is not always right, and virtual time.
//!
//! ```text
//!   ports ─► workers ─► Host 0 ─┐   latency, loss, reordering,   ┌─ Host 1 ◄─ workers ◄─ ports
//!                        │      └──  a link with a smaller MTU ──┘    │
//!                     answerer                                     answerer    late, double, wrong, silent, away
//! ```
//!
//! On each host two devices, `red` and `blue`, in two virtual networks with equal MACs, share an underlay. All that happens comes from
//! a queue of events in the order of their times, and all chance from one seed. When something fails, scenario and seed are printed,
//! and each host prints its state.

use crate::common::*;
use overlay_api::{Answer, DeviceId, Lookup, PortId, RequestId, Source};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::{Carrier, Registry};
use overlay_engine::outer::{Family, overhead};
use overlay_engine::{AnswerError, Arrival, Config, Delivery, Limits, Offload, Search, SegmentKind, Segments, Sending, SetTarget};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

/// The devices of each host.
const NETWORKS: [(&str, u32); 2] = [("red", 5077), ("blue", 5078)];
/// Nanoseconds of a microsecond.
const US: u64 = 1_000;
/// Nobody's.
const STRANGER: u32 = 0x99;
/// The largest packet behind an inner Ethernet header.
const MTU: usize = 1400;
/// What a proxied answer carries as its EtherType.
const PROXIED: u16 = 0x88b6;

/// How things go.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) registry: Registry,
    pub(crate) encapsulation: &'static str,
    /// Properties of both devices beside the listening address.
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) family: Family,
    pub(crate) workers: usize,
    /// Batches of frames that ports give.
    pub(crate) batches: u64,
    /// Datagrams in a hundred that the wire loses.
    pub(crate) loss: u64,
    /// Whether datagrams overtake each other on the wire.
    pub(crate) reordering: bool,
    /// Largest IP packet of a link in the middle.
    pub(crate) link_mtu: u32,
    /// Whether the router in front of that link says so.
    pub(crate) reports: bool,
    /// Whether lookups are answered at once and rightly, and nobody meddles.
    pub(crate) calm: bool,
}

impl Scenario {
    /// A good day.
    pub(crate) fn calm(encapsulation: &'static str, family: Family, seed: u64) -> Self {
        Self {
            seed,
            registry: Registry::default(),
            encapsulation,
            properties: Vec::new(),
            family,
            workers: 3,
            batches: 300,
            loss: 0,
            reordering: false,
            link_mtu: 1500,
            reports: false,
            calm: true,
        }
    }

    fn address(&self, host: usize) -> IpAddr {
        let text = match self.family {
            Family::V4 => format!("10.88.0.{}", host + 1),
            Family::V6 => format!("fd00:88::{}", host + 1),
        };
        text.parse().unwrap()
    }

    fn carrier(&self) -> Carrier {
        self.registry.get(self.encapsulation).unwrap().carrier()
    }
}

/// A frame that a port gave.
#[derive(Debug)]
struct Record {
    flow: usize,
    /// Its place in its flow.
    number: u64,
    bytes: Vec<u8>,
    offload: Offload,
    /// Where it came out.
    arrived: Vec<(usize, PortId)>,
    /// Whether the answer to its lookup was to send it once more: behind the others, and perhaps beside itself.
    again: bool,
}

/// Frames that must stay in their order.
#[derive(Debug)]
struct Flow {
    host: usize,
    network: usize,
    port: usize,
    to: Mac,
    worker: usize,
    given: u64,
    /// The number of the last frame that came out, for each port.
    last: HashMap<(usize, PortId), u64>,
}

/// Something that happens.
#[derive(Debug)]
enum Happening {
    /// A port gives a few frames to a worker.
    Give { host: usize, worker: usize, network: usize, port: usize },
    /// The control half takes what workers have handed over.
    Control(usize),
    /// A datagram is at the other end of the wire.
    Arrive { host: usize, bytes: Vec<u8>, arrival: Arrival },
    /// A worker reads what has arrived.
    Read { host: usize, worker: usize },
    /// An answer to a lookup comes.
    Answer { host: usize, request: RequestId, answer: Answer, usable: bool },
    /// Who answers goes away.
    Away(usize),
    /// Who answers is there again.
    Back(usize),
    /// An operator changes a target table.
    Meddle(usize),
}

/// Datagrams in a socket's buffer.
type Unread = VecDeque<(Vec<u8>, Arrival)>;

/// What the wire did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    pub(crate) lost: u64,
    pub(crate) oversize: u64,
    /// To an address that nobody has.
    pub(crate) astray: u64,
}

/// Both hosts and all between them.
pub(crate) struct Net {
    pub(crate) scenario: Scenario,
    pub(crate) hosts: [Host; 2],
    devices: [[DeviceId; 2]; 2],
    ports: [[[PortId; 2]; 2]; 2],
    dice: Dice,
    now: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    queued: u64,
    /// What has arrived at each worker of each host and is not read yet.
    read: [Vec<Unread>; 2],
    /// The time until which the wire towards a host is taken, where it keeps the order.
    busy: [u64; 2],
    flows: Vec<Flow>,
    records: Vec<Record>,
    pub(crate) wire: Wire,
    /// Whether nobody answers. What an answerer said before it went may still come.
    away: [bool; 2],
    /// Whether the control half will look for what workers have handed over.
    woken: [bool; 2],
    /// Packet-too-big replies that ports got.
    pub(crate) told: u64,
    /// Proxied answers that ports got.
    pub(crate) proxied: u64,
    ending: bool,
}

/// The MAC of a host's port; the same in both networks.
fn address_of(host: usize, port: usize) -> Mac {
    mac(0x10 * (host as u32 + 1) + port as u32)
}

/// Whose MAC it is.
fn owner(mac: Mac) -> Option<usize> {
    (0..2).find(|host| (0..2).any(|port| address_of(*host, port) == mac))
}

impl Net {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let limits = Limits {
            lookup_timeout_ns: 20_000 * US,
            // On a good day nothing may be dropped, however long the answer takes.
            pending_bytes_per_entry: if scenario.calm { 8 << 20 } else { 128 << 10 },
            pending_bytes_per_device: 16 << 20,
            misses_per_call: 7,
            ..Limits::default()
        };
        let config = Config { workers: scenario.workers, seed: scenario.seed, explain: true, limits };
        let mut hosts = [0, 1].map(|_| Host::with(config, scenario.registry.clone()));
        let mut devices = [[DeviceId(0); 2]; 2];
        let mut ports = [[[PortId(0); 2]; 2]; 2];
        let mut flows = Vec::new();
        for (index, host) in hosts.iter_mut().enumerate() {
            host.name = format!("host {index}");
            for (network, (name, vni)) in NETWORKS.iter().enumerate() {
                let listen = (format!("{}/listen_ip", scenario.encapsulation), scenario.address(index).to_string());
                let mut spec = spec(name, scenario.encapsulation, *vni, Search::Dynamic, &[]);
                spec.properties = scenario.properties.iter().cloned().chain([listen]).collect();
                let device = host.device(spec);
                devices[index][network] = device;
                for (port, id) in ports[index][network].iter_mut().enumerate() {
                    *id = host.port(device, &format!("vnic{port}"), address_of(index, port));
                    let all =
                        [address_of(1 - index, 0), address_of(1 - index, 1), address_of(index, 1 - port), mac(STRANGER), Mac::BROADCAST];
                    for to in all.into_iter().flat_map(|to| [to; 2]) {
                        let worker = flows.len() % scenario.workers;
                        flows.push(Flow { host: index, network, port, to, worker, given: 0, last: HashMap::new() });
                    }
                }
            }
            assert_eq!(host.control.underlays().count(), 1, "both devices share it");
            host.open(1500);
            host.attach();
        }
        let read = [0, 1].map(|_| (0..scenario.workers).map(|_| VecDeque::new()).collect());
        let dice = Dice(scenario.seed);
        Self {
            scenario,
            hosts,
            devices,
            ports,
            dice,
            now: 1_000 * US,
            queue: BTreeMap::new(),
            queued: 0,
            read,
            busy: [0; 2],
            flows,
            records: Vec::new(),
            wire: Wire::default(),
            away: [false; 2],
            woken: [false; 2],
            told: 0,
            proxied: 0,
            ending: false,
        }
    }

    /// Lets everything happen, and checks at the end that nothing is missing.
    pub(crate) fn run(&mut self) {
        self.plan();
        while let Some(((at, _), happening)) = self.next() {
            self.now = at;
            self.happen(happening);
            self.carry_out();
        }
        self.ending = true;
        for host in 0..2 {
            if self.away[host] {
                self.happen(Happening::Back(host));
                self.carry_out();
            }
        }
        // What waits is answered, or out of time.
        while let Some(((at, _), happening)) = self.next() {
            self.now = at;
            self.happen(happening);
            self.carry_out();
        }
        self.finish();
    }

    /// What the ports, the answerers and the operators do, all of it by chance.
    fn plan(&mut self) {
        let mut at = self.now;
        for _ in 0..self.scenario.batches {
            at += self.dice.below(20 * US);
            let [host, network, port] = [0; 3].map(|_| self.dice.below(2) as usize);
            let worker = self.dice.below(self.scenario.workers as u64) as usize;
            self.at(at, Happening::Give { host, worker, network, port });
            if self.scenario.calm {
                continue;
            }
            if self.dice.percent(3) {
                self.at(at, Happening::Away(host));
                let back = at + self.dice.below(3_000 * US);
                self.at(back, Happening::Back(host));
            }
            if self.dice.percent(5) {
                self.at(at, Happening::Meddle(host));
            }
        }
    }

    fn at(&mut self, at: u64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at, self.queued), happening);
    }

    /// The next thing that happens; hosts whose time has come before it are called first.
    fn next(&mut self) -> Option<((u64, u64), Happening)> {
        loop {
            let first = self.queue.first_key_value().map(|((at, _), _)| *at);
            // A sweep is due for as long as there are entries: at the end only what waits is waited for.
            let waits = |host: &Host| host.waiting() > 0 || first.is_some();
            let due = self.hosts.iter().enumerate().filter(|(_, host)| waits(host));
            let due = due.filter_map(|(index, host)| Some((host.control.poll_timeout()?.0, index))).min();
            match (due, first) {
                (Some((due, host)), first) if first.is_none_or(|first| due < first) => {
                    // An entry that cannot be opened yet is due at once again.
                    self.now = due.max(self.now + US);
                    self.hosts[host].now = overlay_engine::Time(self.now);
                    self.hosts[host].control.handle_timeout(overlay_engine::Time(self.now));
                    self.hosts[host].drain();
                    self.carry_out();
                    if first.is_some_and(|first| first <= self.now) {
                        return self.pop();
                    }
                }
                (_, Some(_)) => return self.pop(),
                (_, None) => return None,
            }
        }
    }

    fn pop(&mut self) -> Option<((u64, u64), Happening)> {
        self.queue.pop_first().map(|((at, number), happening)| ((at.max(self.now), number), happening))
    }

    fn happen(&mut self, happening: Happening) {
        for host in &mut self.hosts {
            host.now = overlay_engine::Time(self.now);
        }
        match happening {
            Happening::Give { host, worker, network, port } => self.give(host, worker, network, port),
            Happening::Control(host) => {
                self.woken[host] = false;
                self.hosts[host].misses();
            }
            Happening::Arrive { host, bytes, arrival } => {
                // As SO_REUSEPORT does: a flow has one source port, and a source port one worker.
                let worker = usize::from(arrival.from.port.unwrap_or(0)) % self.scenario.workers;
                self.read[host][worker].push_back((bytes, arrival));
                let at = self.now + self.dice.below(30 * US);
                self.at(at, Happening::Read { host, worker });
            }
            Happening::Read { host, worker } => {
                let count = self.read[host][worker].len().min(BATCH);
                let batch: Vec<_> = self.read[host][worker].drain(..count).collect();
                let underlay = self.hosts[host].underlay(self.devices[host][0]);
                self.hosts[host].datagrams(worker, underlay, &batch);
            }
            Happening::Answer { host, request, answer, usable } => {
                let said = self.hosts[host].answer(request, answer);
                assert!(!matches!((&said, usable), (Ok(()), false) | (Err(AnswerError::Invalid { .. }), true)), "{said:?}");
            }
            Happening::Away(host) => {
                self.away[host] = true;
                let now = self.hosts[host].now;
                self.hosts[host].control.answerer_lost("gone", now);
                self.hosts[host].drain();
            }
            Happening::Back(host) => {
                self.away[host] = false;
                self.hosts[host].attach();
            }
            Happening::Meddle(host) => self.meddle(host),
        }
    }

    fn meddle(&mut self, host: usize) {
        let device = self.devices[host][self.dice.below(2) as usize];
        let to = address_of(1 - host, self.dice.below(2) as usize);
        let there = SetTarget::Reach(vec![self.ul3(1 - host)]);
        let (now, kind) = (self.hosts[host].now, self.dice.below(6));
        let control = &mut self.hosts[host].control;
        match kind {
            0 => drop(control.flush(device, true, now).unwrap()),
            1 => control.set_target(device, to, &SetTarget::Drop, Source::Plugin, Some(500 * US), now).unwrap(),
            2 => control.set_target(device, to, &there, Source::Plugin, Some(900 * US), now).unwrap(),
            3 => control.set_target(device, Mac::BROADCAST, &there, Source::Plugin, Some(900 * US), now).unwrap(),
            _ => drop(control.remove_target(device, to, now).unwrap()),
        }
        self.hosts[host].drain();
    }

    /// The address at which a host listens.
    fn ul3(&self, host: usize) -> Ul3 {
        let info = self.hosts[host].control.underlays().next().unwrap();
        info.listen
    }

    /// Some frames of a port's flows, as one batch.
    fn give(&mut self, host: usize, worker: usize, network: usize, port: usize) {
        let mine = |flow: &Flow| (flow.host, flow.worker, flow.network, flow.port) == (host, worker, network, port);
        let flows: Vec<usize> = (0..self.flows.len()).filter(|flow| mine(&self.flows[*flow])).collect();
        let mut batch = Vec::new();
        for _ in 0..=self.dice.below(7) {
            if flows.is_empty() {
                return;
            }
            let flow = flows[self.dice.below(flows.len() as u64) as usize];
            let (bytes, offload) = self.frame_of(flow);
            self.flows[flow].given += 1;
            let number = self.flows[flow].given;
            self.records.push(Record { flow, number, bytes: bytes.clone(), offload, arrived: Vec::new(), again: false });
            batch.push((bytes, offload));
        }
        let port = self.ports[host][network][port];
        self.hosts[host].batch(worker, port, &batch);
        // The control half has other things to do: meanwhile answers come, and entries open or change.
        if !std::mem::replace(&mut self.woken[host], true) {
            let at = self.now + self.dice.below(400 * US);
            self.at(at, Happening::Control(host));
        }
    }

    /// The next frame of a flow: its number among all frames, and content by chance.
    fn frame_of(&mut self, flow: usize) -> (Vec<u8>, Offload) {
        let id = (self.records.len() as u64).to_be_bytes();
        // All frames of a flow are of one kind, or they would be several flows; what is not IP is in no super-frame.
        let kind = flow / 3 % 3;
        let chance = if kind == 0 { 20 } else { self.dice.below(100) };
        let len = match chance {
            0..10 => MTU - 28 - id.len() - self.dice.below(30) as usize,
            10..13 => MTU - 28,
            13..20 => 2_000 + self.dice.below(20_000) as usize,
            _ => self.dice.below(300) as usize,
        };
        let padding = self.dice.roll();
        let content: Vec<u8> = id.into_iter().chain((0..len).map(|n| (padding >> (n % 56)) as u8)).collect();
        let (from, to) = (address_of(self.flows[flow].host, self.flows[flow].port), self.flows[flow].to);
        let super_frame = (13..20).contains(&chance);
        let ports = (10_000 + flow as u16, 443);
        match kind {
            0 => (frame(from, to, &content), Offload::default()),
            1 => (udp6(from, to, ports, &content), super_frame.then_some(62).map(offload).unwrap_or_default()),
            _ => (udp4(from, to, ports, &content), super_frame.then_some(42).map(offload).unwrap_or_default()),
        }
    }

    /// Takes what the hosts put out.
    fn carry_out(&mut self) {
        for host in 0..2 {
            let done = self.hosts[host].take();
            for sending in done.sent {
                self.transmit(host, sending);
            }
            for delivery in done.given {
                self.arrive(host, &delivery);
            }
            for lookup in done.lookups {
                self.asked(host, &lookup);
            }
        }
    }

    /// A host puts a datagram on the wire.
    fn transmit(&mut self, from: usize, sending: Sending) {
        self.wire.sent += 1;
        let decap = self.scenario.registry.get(self.scenario.encapsulation).unwrap().decap(&sending.bytes).unwrap();
        let network = self.devices[from].iter().position(|device| *device == sending.device).unwrap();
        assert_eq!((decap.vni.get(), decap.header_len), (NETWORKS[network].1, sending.header_len.into()));
        let frame = &sending.bytes[decap.header_len..];
        let record = &self.records[number_of(frame).expect("only frames of ports are sent")];
        assert_eq!(self.flows[record.flow].network, network, "sent in the network of its port");
        assert_eq!((frame, sending.offload), (&record.bytes[..], record.offload), "one frame, one datagram");

        let to = sending.outer.to.ip;
        let Some(host) = (0..2).find(|host| self.scenario.address(*host) == to) else {
            self.wire.astray += 1;
            return;
        };
        let packet = overhead(self.scenario.family, self.scenario.carrier(), decap.header_len) + sending.offload.largest(frame.len());
        if packet > self.scenario.link_mtu as usize {
            self.wire.oversize += 1;
            if self.scenario.reports {
                self.hosts[from].control.handle_path_mtu(sending.underlay, to, Some(self.scenario.link_mtu));
            }
            return;
        }
        if self.dice.percent(self.scenario.loss) {
            self.wire.lost += 1;
            return;
        }
        let mut at = self.now + 20 * US + self.dice.below(100 * US);
        if !self.scenario.reordering {
            at = at.max(self.busy[host]);
            self.busy[host] = at;
        }
        let port = (self.scenario.carrier() == Carrier::Udp).then_some(sending.outer.source_port);
        let from = Ul3 { ip: self.scenario.address(from), port };
        let arrival = Arrival { from, tos: sending.outer.tos, offload: sending.offload };
        self.wire.arrived += 1;
        self.at(at, Happening::Arrive { host, bytes: sending.bytes, arrival });
    }

    /// A port gets a frame.
    fn arrive(&mut self, host: usize, delivery: &Delivery) {
        let network = self.devices[host].iter().position(|device| *device == delivery.device).unwrap();
        let port = self.ports[host][network].iter().position(|port| *port == delivery.port).expect("a port of the frame's own network");
        if is_icmp(&delivery.bytes) {
            self.told += 1;
            assert_eq!(delivery.bytes[..6], address_of(host, port).0, "the reply is for who sent the frame");
            return;
        }
        if delivery.bytes[12..14] == PROXIED.to_be_bytes() {
            self.proxied += 1;
            return;
        }
        let number = number_of(&delivery.bytes).expect("a frame that some port gave");
        let record = &mut self.records[number];
        let flow = &mut self.flows[record.flow];
        assert_eq!(flow.network, network, "frame {number} is in the wrong virtual network");
        assert_eq!((&delivery.bytes, delivery.offload), (&record.bytes, record.offload), "frame {number} is not what was given");
        let right = flow.to == Mac::BROADCAST || flow.to == address_of(host, port);
        assert!(right && (host, port) != (flow.host, flow.port), "frame {number} is at the wrong port");
        assert!(!record.arrived.contains(&(host, delivery.port)) || record.again, "frame {number} of {flow:?} is there twice");
        record.arrived.push((host, delivery.port));
        // Every broadcast asks for itself, so that two of them may get answers in any order.
        if flow.to != Mac::BROADCAST && !self.scenario.reordering && !record.again {
            let last = flow.last.insert((host, delivery.port), record.number).unwrap_or(0);
            assert!(record.number > last, "frame {number} of {flow:?} comes behind its successor, {last}");
        }
    }

    /// A lookup is asked; whether, when and how it is answered is chance.
    fn asked(&mut self, host: usize, lookup: &Lookup) {
        let to = lookup.question.destination;
        assert!(NETWORKS.iter().any(|(_, vni)| Vni::new(*vni) == Some(lookup.vni)));
        let there = match owner(to) {
            Some(other) => Answer::Reach { to: vec![self.ul3(other)], ttl_ns: None },
            None if to.is_group() => Answer::Reach { to: vec![self.ul3(1 - host)], ttl_ns: None },
            None => Answer::Drop { ttl_ns: Some(300 * US) },
        };
        let delay = self.dice.below(400 * US);
        let request = lookup.request;
        let right = |answer| Happening::Answer { host, request, answer, usable: true };
        let wrong = |answer| Happening::Answer { host, request, answer, usable: false };
        if self.scenario.calm || self.ending {
            return self.at(self.now + delay, right(there));
        }
        let with_ttl = |answer, ttl| match answer {
            Answer::Reach { to, .. } => Answer::Reach { to, ttl_ns: Some(ttl) },
            other => other,
        };
        match self.dice.below(20) {
            // Silence.
            0 => {}
            // Too late.
            1 => self.at(self.now + 30_000 * US, right(there)),
            // Twice, and the second one says something else.
            2 => {
                self.at(self.now + delay, right(there));
                self.at(self.now + 2 * delay, right(Answer::Drop { ttl_ns: None }));
            }
            // To a lookup that nobody asked.
            3 => {
                let answer = there.clone();
                self.at(self.now, Happening::Answer { host, request: RequestId(u64::MAX), answer, usable: true });
                self.at(self.now + delay, right(there));
            }
            // Unusable.
            4 => self.at(self.now + delay, wrong(Answer::Reach { to: vec![], ttl_ns: None })),
            5 => self.at(self.now + delay, wrong(Answer::Reach { to: vec![self.ul3(host)], ttl_ns: None })),
            // To somebody who is not there.
            6 => {
                let nobody = Ul3 { ip: self.scenario.address(7), ..self.ul3(host) };
                self.at(self.now + delay, right(Answer::Reach { to: vec![nobody], ttl_ns: Some(400 * US) }));
            }
            7 => self.at(self.now + delay, right(Answer::Drop { ttl_ns: Some(300 * US) })),
            8 => {
                let proxied = frame_of(to, lookup.question.source, PROXIED, &[0; 46]);
                self.at(self.now + delay, right(Answer::Inject(proxied)));
            }
            // The frame itself, sent again: it asks again, and may be answered so again.
            9 if lookup.frame.len() == lookup.question.len as usize && lookup.frame.len() <= MTU => {
                let number = number_of(&lookup.frame).expect("frames of ports ask");
                self.records[number].again = true;
                self.at(self.now + delay, right(Answer::Resend(lookup.frame.clone())));
            }
            10..15 => self.at(self.now + delay, right(with_ttl(there, 600 * US))),
            _ => self.at(self.now + delay, right(there)),
        }
    }

    /// Nothing is under way any more: is everything accounted for?
    fn finish(&mut self) {
        let totals = self.hosts.each_ref().map(|host| host.control.totals());
        for host in &mut self.hosts {
            host.check();
            assert_eq!(host.waiting(), 0, "{} has frames that wait", host.name);
            for info in host.control.devices() {
                assert_eq!((info.pending_bytes, info.lookups), (0, 0), "device {}", info.spec.name);
            }
        }
        assert_eq!(self.wire.sent, totals[0].datagrams_out + totals[1].datagrams_out);
        assert_eq!(self.wire.arrived, totals[0].datagrams_in + totals[1].datagrams_in);
        assert_eq!(self.wire.sent, self.wire.arrived + self.wire.lost + self.wire.oversize + self.wire.astray, "{:?}", self.wire);
        let given: usize = self.records.len();
        assert_eq!(given as u64, totals[0].frames_in + totals[1].frames_in);
        let arrivals: usize = self.records.iter().map(|record| record.arrived.len()).sum();
        assert_eq!(arrivals as u64, totals[0].frames_out + totals[1].frames_out);
        let undisturbed = self.scenario.calm && self.scenario.loss == 0 && self.scenario.link_mtu >= 1500;
        for (number, record) in self.records.iter().enumerate().filter(|_| undisturbed) {
            let flow = &self.flows[record.flow];
            let fits = record.offload.largest(record.bytes.len()) - 14 <= MTU;
            let expected = match flow.to {
                _ if !fits => 0,
                // The other port here, and two there.
                Mac::BROADCAST => 3,
                to if owner(to).is_some() => 1,
                _ => 0,
            };
            assert_eq!(record.arrived.len(), expected, "frame {number} of {flow:?}, {} bytes", record.bytes.len());
        }
    }
}

impl Drop for Net {
    #[allow(clippy::print_stderr, reason = "it is what a failed test says")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- at {} ns, {:?}, in the scenario {:?}", self.now, self.wire, self.scenario);
        }
    }
}

/// A super-frame with so many bytes of headers.
fn offload(header_len: u16) -> Offload {
    Offload { checksum: Some((header_len - 8, 6)), segments: Some(Segments { size: 1200, header_len, kind: SegmentKind::Udp }) }
}

/// The number of a frame among all that ports gave; none for one that none gave.
fn number_of(frame: &[u8]) -> Option<usize> {
    let at = match frame.get(12..14)? {
        [0x08, 0x00] => 42,
        [0x86, 0xdd] => 62,
        [0x88, 0xb5] => 14,
        _ => return None,
    };
    frame.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes) as usize)
}

fn is_icmp(frame: &[u8]) -> bool {
    match &frame[12..14] {
        [0x08, 0x00] => frame[23] == 1,
        [0x86, 0xdd] => frame[20] == 58,
        _ => false,
    }
}
