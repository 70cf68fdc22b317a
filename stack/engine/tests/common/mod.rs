//! What does a test need of a host? An engine, a driver that carries out what it puts out, and a bookkeeper who checks every number
//! after every step.
//!
//! ```text
//!   test ── frames ──► Worker 0..n ── Outbox ──┐
//!        ── datagrams ─►   │                   ├──► Done: sent, given, lookups, withdrawn, events
//!        ── answers ──► Control ── Output ─────┘       and Fates: what became of each frame, compared with the counters
//! ```
//!
//! A host prints its whole state when a test fails while it is alive.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use overlay_api::{Answer, DeviceId, Direction, DropReason, Lookup, PortId, RequestId, UnderlayId, Verdict};
use overlay_decoder::layer::number::ethertype;
use overlay_decoder::layer::{Ethernet, Ipv4, Ipv6, Udp};
use overlay_decoder::{Mac, Ul3, Vni, checksum};
use overlay_engine::encap::Registry;
use overlay_engine::ping::{Ping, PingSpec};
use overlay_engine::{
    AnswerError, Arrival, Config, Control, Datagrams, Delivery, DeviceSpec, Event, Frames, Offload, Outbox, Output, PortSpec, Refusal,
    Search, Sending, Time, Totals, Worker,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes that a buffer takes: a super-frame of 64 KiB and its headers.
const BUFFER: usize = 66_000;
/// Frames of a batch at most.
pub(crate) const BATCH: usize = 128;

/// Counters by name, without those that are 0; drops as `drop REASON`.
pub(crate) type Counts = BTreeMap<String, i64>;

/// All counters of some totals.
pub(crate) fn counts_of(totals: &Totals) -> Counts {
    let serde_json::Value::Object(fields) = serde_json::to_value(totals).unwrap() else { panic!("totals are an object") };
    let mut counts = Counts::new();
    for (name, value) in fields {
        match value {
            serde_json::Value::Object(drops) => counts.extend(drops.iter().map(|(name, n)| (format!("drop {name}"), n.as_i64().unwrap()))),
            number => drop(counts.insert(name, number.as_i64().unwrap())),
        }
    }
    counts.retain(|_, count| *count != 0);
    counts
}

/// Counters as a test expects them.
pub(crate) fn counts<const N: usize>(expected: [(&str, i64); N]) -> Counts {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).filter(|(_, count)| *count != 0).collect()
}

/// What was counted between two moments.
pub(crate) fn grown(before: &Counts, after: &Counts) -> Counts {
    let mut grown = after.clone();
    for (name, count) in before {
        *grown.entry(name.clone()).or_default() -= count;
    }
    grown.retain(|_, count| *count != 0);
    grown
}

/// What the driver was told to do and did, since it was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// On the wire, by workers and control half, in this order.
    pub(crate) sent: Vec<Sending>,
    /// Into ports, likewise.
    pub(crate) given: Vec<Delivery>,
    /// Asked.
    pub(crate) lookups: Vec<Lookup>,
    /// No longer of use.
    pub(crate) withdrawn: Vec<RequestId>,
    /// What changed.
    pub(crate) events: Vec<Event>,
    /// What became of frames and datagrams, by their ids.
    pub(crate) verdicts: Vec<(u64, Verdict)>,
}

impl Done {
    /// Whether nothing went anywhere and nothing was asked.
    pub(crate) fn is_silent(&self) -> bool {
        self.sent.is_empty() && self.given.is_empty() && self.lookups.is_empty() && self.withdrawn.is_empty()
    }
}

/// What became of all that was put in, kept apart from the engine's own counters.
#[derive(Debug, Default)]
struct Fates {
    frames_in: u64,
    frames_in_bytes: u64,
    frames_in_packets: u64,
    datagrams_in: u64,
    datagrams_in_bytes: u64,
    /// Frames and datagrams with their last verdict.
    ended: HashSet<u64>,
    /// Frames that wait, with their lengths.
    waiting: HashMap<u64, usize>,
    transmitted: u64,
    delivered_here: u64,
    answered: u64,
    received: u64,
    pinged: u64,
    pings_out: u64,
    drops: BTreeMap<DropReason, u64>,
    /// Of what the control half sent in place of another frame: those with a last verdict.
    resent: u64,
    datagrams_out: u64,
    datagrams_out_bytes: u64,
    given: u64,
}

impl Fates {
    fn note(&mut self, id: u64, verdict: &Verdict, direction: Direction, len: Option<usize>) {
        match verdict {
            Verdict::Pending { .. } => drop(self.waiting.insert(id, len.unwrap_or(0))),
            _ => {
                self.waiting.remove(&id);
                assert!(self.ended.insert(id), "frame {id:#x} has a second fate: {verdict}");
            }
        }
        match (verdict, direction) {
            (Verdict::Pending { .. }, _) => {}
            (Verdict::Transmit { .. }, _) => self.transmitted += 1,
            (Verdict::Deliver { .. }, Direction::Transmit) => self.delivered_here += 1,
            (Verdict::Deliver { .. }, Direction::Receive) => self.received += 1,
            (Verdict::Answered { .. }, Direction::Transmit) => self.answered += 1,
            (Verdict::Answered { by, .. }, Direction::Receive) => {
                assert_eq!(*by, "ping", "frame {id:#x}");
                self.pinged += 1;
            }
            (Verdict::Drop { reason, .. }, _) => *self.drops.entry(*reason).or_default() += 1,
        }
    }
}

/// An engine with a driver.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) control: Control,
    pub(crate) workers: Vec<Worker>,
    /// The time of the next call.
    pub(crate) now: Time,
    /// What was done since the last [`Host::take`].
    pub(crate) done: Done,
    fates: Fates,
    frames: Frames,
    datagrams: Datagrams,
    out: Outbox,
    /// Set when a check found something, so that the state is printed once.
    explained: bool,
}

impl Host {
    /// A host with one worker and the encapsulations that are built in.
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), Registry::default())
    }

    /// A host as the test wants it. Verdicts are always wanted.
    pub(crate) fn with(config: Config, registry: Registry) -> Self {
        let (control, workers) = Control::new(&Config { explain: true, ..config }, registry).unwrap();
        Self {
            name: "host".to_owned(),
            control,
            workers,
            now: Time(1_000_000),
            done: Done::default(),
            fates: Fates::default(),
            frames: Frames::new(BATCH, BUFFER),
            datagrams: Datagrams::new(BATCH, BUFFER),
            out: Outbox::explaining(),
            explained: false,
        }
    }

    /// Makes a device. Its underlay is not open yet.
    pub(crate) fn device(&mut self, spec: DeviceSpec) -> DeviceId {
        let id = self.control.create_device(spec, self.now).unwrap_or_else(|refusal| panic!("{refusal}"));
        self.drain();
        id
    }

    /// Adds a port with the device's MTU.
    pub(crate) fn port(&mut self, device: DeviceId, name: &str, mac: Mac) -> PortId {
        let mtu = self.control.device(device).unwrap().mtu;
        self.control.add_port(device, &PortSpec { name: name.to_owned(), mac, mtu }).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// Opens every underlay that is not open; their links take IP packets of `mtu` bytes.
    pub(crate) fn open(&mut self, mtu: u32) {
        let closed: Vec<_> = self.control.underlays().filter(|underlay| !underlay.open).map(|underlay| underlay.id).collect();
        for id in closed {
            self.control.handle_underlay(id, Ok(mtu), self.now);
        }
        self.drain();
    }

    /// Somebody answers lookups from now on.
    pub(crate) fn attach(&mut self) {
        self.control.answerer_attached(self.now);
        self.drain();
    }

    /// The underlay of a device.
    pub(crate) fn underlay(&self, device: DeviceId) -> UnderlayId {
        self.control.device(device).unwrap().underlay
    }

    /// A port gives a frame to the first worker; what it hands over is dealt with at once.
    pub(crate) fn frame(&mut self, port: PortId, bytes: &[u8]) {
        self.batch(0, port, &[(bytes.to_vec(), Offload::default())]);
        self.misses();
    }

    /// A port gives frames to a worker. What is handed over stays in the queue until [`Host::misses`].
    pub(crate) fn batch(&mut self, worker: usize, port: PortId, batch: &[(Vec<u8>, Offload)]) {
        for (bytes, offload) in batch {
            assert!(self.frames.push_copy(bytes, *offload), "a frame of {} bytes", bytes.len());
            self.fates.frames_in += 1;
            self.fates.frames_in_bytes += bytes.len() as u64;
            self.fates.frames_in_packets += u64::from(offload.packets(bytes.len()));
        }
        self.workers[worker].handle_frames(port, &mut self.frames, self.now, &mut self.out);
        for transmit in &self.out.transmits {
            self.done.sent.push(Sending {
                frame: transmit.frame,
                underlay: transmit.underlay,
                device: transmit.device,
                vni: transmit.vni,
                outer: transmit.outer,
                bytes: self.frames.with_header(transmit.item, transmit.header_len.into()).to_vec(),
                header_len: transmit.header_len,
                offload: self.frames.items()[transmit.item as usize].meta,
            });
            self.fates.datagrams_out += 1;
            self.fates.datagrams_out_bytes += self.done.sent.last().unwrap().bytes.len() as u64;
        }
        for deliver in &self.out.delivers {
            let made = matches!(deliver.content, overlay_engine::Content::Made(_));
            let item = match deliver.content {
                overlay_engine::Content::Item { item, .. } => item as usize,
                overlay_engine::Content::Made(_) => 0,
            };
            self.done.given.push(Delivery {
                frame: deliver.frame,
                port: deliver.port,
                device: deliver.device,
                bytes: self.out.content(deliver, &self.frames).to_vec(),
                offload: if made { Offload::default() } else { self.frames.items()[item].meta },
                made,
            });
            self.fates.given += 1;
        }
        self.workers[worker].settle(&self.out, &[]);
        self.end_batch(Direction::Transmit, batch.len());
        self.frames.clear();
        self.check();
    }

    /// The underlay gives a datagram to the first worker.
    pub(crate) fn datagram(&mut self, underlay: UnderlayId, from: &str, bytes: &[u8]) {
        let arrival = Arrival { from: ul3(from), tos: 0, offload: Offload::default() };
        self.datagrams(0, underlay, &[(bytes.to_vec(), arrival)]);
    }

    /// The underlay gives datagrams to a worker.
    pub(crate) fn datagrams(&mut self, worker: usize, underlay: UnderlayId, batch: &[(Vec<u8>, Arrival)]) {
        for (bytes, arrival) in batch {
            assert!(self.datagrams.push_copy(bytes, *arrival), "a datagram of {} bytes", bytes.len());
            self.fates.datagrams_in += 1;
            self.fates.datagrams_in_bytes += bytes.len() as u64;
        }
        self.workers[worker].handle_datagrams(underlay, &mut self.datagrams, self.now, &mut self.out);
        assert!(self.out.transmits.is_empty(), "a datagram is never sent on");
        for deliver in &self.out.delivers {
            let overlay_engine::Content::Item { item, .. } = deliver.content else { panic!("a datagram is never answered: {deliver:?}") };
            self.done.given.push(Delivery {
                frame: deliver.frame,
                port: deliver.port,
                device: deliver.device,
                bytes: self.out.content(deliver, &self.datagrams).to_vec(),
                offload: self.datagrams.items()[item as usize].meta.offload,
                made: false,
            });
            self.fates.given += 1;
        }
        self.workers[worker].settle(&self.out, &[]);
        self.end_batch(Direction::Receive, batch.len());
        self.datagrams.clear();
        self.check();
    }

    fn end_batch(&mut self, direction: Direction, items: usize) {
        assert_eq!(self.out.verdicts.len(), items, "every item has one verdict: {:?}", self.out.verdicts);
        for (index, (id, verdict)) in self.out.verdicts.drain(..).enumerate() {
            let len = if direction == Direction::Transmit { self.frames.bytes(index as u32).len() } else { 0 };
            self.fates.note(id, &verdict, direction, Some(len));
            self.done.verdicts.push((id, verdict));
        }
        self.out.clear();
    }

    /// The control half deals with all that workers have handed over.
    pub(crate) fn misses(&mut self) {
        while self.control.handle_misses(self.now) {
            self.drain();
        }
        self.drain();
    }

    /// Carries out what the control half puts out.
    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.control.poll_output(self.now) {
            match output {
                Output::Lookup(lookup) => self.done.lookups.push(lookup),
                Output::Withdraw(request) => self.done.withdrawn.push(request),
                Output::Transmit(sending) if Ping::parse(&sending.bytes[sending.header_len.into()..]).is_some() => {
                    self.fates.pings_out += 1;
                    self.done.sent.push(sending);
                }
                Output::Transmit(sending) => {
                    self.fates.datagrams_out += 1;
                    self.fates.datagrams_out_bytes += sending.bytes.len() as u64;
                    self.done.sent.push(sending);
                }
                Output::Deliver(delivery) => {
                    self.fates.given += 1;
                    self.done.given.push(delivery);
                }
                Output::Verdict(id, verdict) => {
                    if id >> 48 == self.workers.len() as u64 && verdict.is_final() {
                        self.fates.resent += 1;
                    }
                    self.fates.note(id, &verdict, Direction::Transmit, None);
                    self.done.verdicts.push((id, verdict));
                }
                Output::Event(event) => self.done.events.push(event),
            }
        }
        self.check();
    }

    /// A ping is sent.
    pub(crate) fn ping(&mut self, device: DeviceId, spec: &PingSpec) -> Result<Sending, Refusal> {
        let sent = self.control.ping(device, spec);
        self.fates.pings_out += u64::from(sent.is_ok());
        self.check();
        sent
    }

    /// A lookup is answered.
    pub(crate) fn answer(&mut self, request: RequestId, answer: Answer) -> Result<(), AnswerError> {
        let said = self.control.handle_answer(request, answer, self.now);
        self.drain();
        said
    }

    /// Answers the only lookup that was asked: frames go there.
    pub(crate) fn reach(&mut self, to: &str) {
        let lookups = std::mem::take(&mut self.done.lookups);
        let [lookup] = &lookups[..] else { panic!("one question is asked: {lookups:?}") };
        self.answer(lookup.request, Answer::Reach { to: vec![ul3(to)], ttl_ns: None }).unwrap();
    }

    /// Time passes, and the control half is called whenever it wants to be.
    pub(crate) fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        while let Some(due) = self.control.poll_timeout().filter(|due| *due <= end) {
            // An entry that cannot be opened yet is due again at once.
            self.now = due.max(self.now + 1);
            self.control.handle_timeout(self.now);
            self.drain();
        }
        self.now = end.max(self.now);
        self.control.handle_timeout(self.now);
        self.drain();
    }

    /// What was done since the last call.
    pub(crate) fn take(&mut self) -> Done {
        std::mem::take(&mut self.done)
    }

    /// All counters.
    pub(crate) fn counts(&self) -> Counts {
        counts_of(&self.control.totals())
    }

    /// The counters of a device.
    pub(crate) fn device_counts(&self, device: DeviceId) -> Counts {
        counts_of(&self.control.device_totals(device).unwrap())
    }

    /// Frames that wait, as the test saw them go in.
    pub(crate) fn waiting(&self) -> u64 {
        self.fates.waiting.len() as u64 + self.control.totals().resent - self.fates.resent
    }

    /// Compares what was seen with what the engine counted: both equations of `counters.rs` and all that hangs on them.
    pub(crate) fn check(&mut self) {
        let totals = self.control.totals();
        let fates = &self.fates;
        let mut wrong = String::new();
        let mut same = |what: &str, counted: u64, seen: u64| {
            if counted != seen {
                let _ = writeln!(wrong, "{what}: {counted} counted, {seen} seen");
            }
        };
        same("frames_in", totals.frames_in, fates.frames_in);
        same("frames_in_bytes", totals.frames_in_bytes, fates.frames_in_bytes);
        same("frames_in_packets", totals.frames_in_packets, fates.frames_in_packets);
        same("sent", totals.sent, fates.transmitted);
        same("local + flooded", totals.local + totals.flooded, fates.delivered_here);
        same("answered", totals.answered, fates.answered);
        same("datagrams_in", totals.datagrams_in, fates.datagrams_in);
        same("datagrams_in_bytes", totals.datagrams_in_bytes, fates.datagrams_in_bytes);
        same("delivered", totals.delivered, fates.received);
        same("pings_in", totals.pings_in, fates.pinged);
        same("pings_out", totals.pings_out, fates.pings_out);
        same("datagrams_out", totals.datagrams_out, fates.datagrams_out);
        same("datagrams_out_bytes", totals.datagrams_out_bytes, fates.datagrams_out_bytes);
        same("frames_out + made", totals.frames_out + totals.made, fates.given);
        for reason in DropReason::ALL.iter().filter(|reason| !LATE.contains(reason)) {
            same(reason.name(), totals.dropped(*reason), fates.drops.get(reason).copied().unwrap_or(0));
        }
        let settled = totals.sent + totals.local + totals.flooded + totals.answered + totals.dropped_on(Direction::Transmit);
        same("frames in = settled + waiting", totals.frames_in + totals.resent, settled + self.waiting());
        same("waiting", totals.waiting(), self.waiting());
        same(
            "datagrams in = delivered + drops",
            totals.datagrams_in,
            totals.delivered + totals.pings_in + totals.dropped_on(Direction::Receive),
        );
        if !wrong.is_empty() && !std::thread::panicking() {
            self.explained = true;
            panic!("{wrong}{}", self.state());
        }
    }

    /// Everything that can be seen from outside.
    pub(crate) fn state(&self) -> String {
        let mut text = format!("--- {} at {}\n", self.name, self.now);
        for underlay in self.control.underlays() {
            let _ = writeln!(text, "{underlay:?}");
        }
        for info in self.control.devices() {
            let _ = writeln!(text, "device {} {:?} mtu {} degraded {:?}", info.id, info.spec, info.mtu, info.degraded);
            let _ = writeln!(text, "  waiting: {} bytes, {} lookups", info.pending_bytes, info.lookups);
            for port in &info.ports {
                let port_counts = self.control.port_totals(port.id).map(|totals| counts_of(&totals)).unwrap_or_default();
                let _ = writeln!(text, "  port {} {} {} mtu {} {port_counts:?}", port.id, port.name, port.mac, port.mtu);
            }
            if let Some(totals) = self.control.device_totals(info.id) {
                let _ = writeln!(text, "  {:?}", counts_of(&totals));
            }
            if let Some(targets) = self.control.targets(info.id) {
                let _ = writeln!(text, "  {} targets", targets.len());
                let mut rows = Vec::new();
                targets.for_each(self.now, |row| rows.push(row));
                rows.sort_by_key(|row| row.mac);
                for row in rows.iter().take(50) {
                    let _ = writeln!(text, "    {row:?}");
                }
            }
        }
        let _ = writeln!(text, "nobody's: {:?}", counts_of(&self.control.nobodys_totals()));
        let _ = writeln!(text, "all: {:?}", self.counts());
        let _ = writeln!(text, "frames that wait: {} of workers, {} in all", self.fates.waiting.len(), self.control.totals().waiting());
        let done = &self.done;
        let _ = write!(text, "done since: {} sent, {} given, {} withdrawn", done.sent.len(), done.given.len(), done.withdrawn.len());
        let _ = writeln!(
            text,
            ", lookups {:?}, events {:?}",
            done.lookups.iter().map(|l| (l.request, l.question)).collect::<Vec<_>>(),
            done.events
        );
        text
    }

    /// The state is in the message of a panic already.
    pub(crate) fn explained(&mut self) {
        self.explained = true;
    }
}

impl Drop for Host {
    #[allow(clippy::print_stderr, reason = "it is what a failed test says")]
    fn drop(&mut self) {
        if std::thread::panicking() && !self.explained {
            eprintln!("{}", self.state());
        }
    }
}

/// Reasons that the driver reports, not the engine.
pub(crate) const LATE: [DropReason; 4] =
    [DropReason::SocketFull, DropReason::SendFailed, DropReason::DeliverFailed, DropReason::LocalFailed];

/// A device as a test writes it: `red vxlan 77`, its mode and its properties.
pub(crate) fn spec(name: &str, encapsulation: &str, vni: u32, search: Search, properties: &[(&str, &str)]) -> DeviceSpec {
    DeviceSpec {
        name: name.to_owned(),
        encapsulation: encapsulation.to_owned(),
        vni: Vni::new(vni).unwrap(),
        search,
        properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// An underlay address.
pub(crate) fn ul3(text: &str) -> Ul3 {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The MAC with that number.
pub(crate) fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 8, a, b, c, d])
}

/// A frame of no protocol that anybody knows.
pub(crate) fn frame(from: Mac, to: Mac, content: &[u8]) -> Vec<u8> {
    [&Ethernet { src: from, dst: to, ethertype: 0x88b5 }.emit()[..], content].concat()
}

/// A UDP datagram over IPv4 in a frame, from 10.0.0.1 to 10.0.0.2. Its UDP checksum is left out.
pub(crate) fn udp4(from: Mac, to: Mac, ports: (u16, u16), content: &[u8]) -> Vec<u8> {
    let len = content.len() + Udp::LENGTH;
    let udp = Udp { src_port: ports.0, dst_port: ports.1, length: len as u16, checksum: 0 }.emit();
    frame_of(from, to, ethertype::IPV4, &[&ipv4_header(17, len)[..], &udp, content].concat())
}

/// The same over IPv6, from fd00::1 to fd00::2.
pub(crate) fn udp6(from: Mac, to: Mac, ports: (u16, u16), content: &[u8]) -> Vec<u8> {
    let len = content.len() + Udp::LENGTH;
    let udp = Udp { src_port: ports.0, dst_port: ports.1, length: len as u16, checksum: 0 }.emit();
    let [src, dst] = [1, 2].map(|low| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low));
    let payload_length = u16::try_from(len).unwrap_or(0);
    let header = Ipv6 { traffic_class: 0, flow_label: 0, payload_length, next_header: 17, hop_limit: 64, src, dst, upper_protocol: 17 };
    frame_of(from, to, ethertype::IPV6, &[&header.emit()[..], &udp, content].concat())
}

/// A frame with that EtherType.
pub(crate) fn frame_of(from: Mac, to: Mac, ethertype: u16, packet: &[u8]) -> Vec<u8> {
    [&Ethernet { src: from, dst: to, ethertype }.emit()[..], packet].concat()
}

/// A sound IPv4 header from 10.0.0.1 to 10.0.0.2 with DF, for `len` bytes behind it.
pub(crate) fn ipv4_header(protocol: u8, len: usize) -> Vec<u8> {
    let mut header = Ipv4 {
        header_length: 20,
        tos: 0,
        total_length: u16::try_from(len + Ipv4::LENGTH).unwrap_or(0),
        id: 9,
        dont_fragment: true,
        more_fragments: false,
        reserved_flag: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        checksum: 0,
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
    };
    header.checksum = checksum::internet(&header.emit());
    header.emit().to_vec()
}

/// Numbers that look random and come from a seed (splitmix64): small, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The next number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// Whether something happens that happens so many times in a hundred.
    pub(crate) fn percent(&mut self, times: u64) -> bool {
        self.below(100) < times
    }
}
