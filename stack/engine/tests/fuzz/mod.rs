//! What do the fuzz targets of the engine do to it? A host with three devices, whose every input is accounted for after each step.

use overlay_api::{Answer, DeviceId, Direction, PortId, RequestId, UnderlayId, Verdict};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::Registry;
use overlay_engine::{
    Arrival, Config, Control, Datagrams, DeviceSpec, Event, Frames, Limits, Offload, Outbox, Output, PortSpec, Search, SegmentKind,
    Segments, Time, Totals, Worker,
};
use std::collections::{BTreeMap, BTreeSet};

/// Small bounds, so that a short input reaches them.
pub(crate) const LIMITS: Limits = Limits {
    miss_queue: 6,
    pending_bytes_per_entry: 300,
    pending_bytes_per_device: 700,
    pending_frames_per_device: 9,
    lookups_per_device: 5,
    lookup_timeout_ns: 1000,
    lookup_snapshot: 40,
    drain_ns: 10,
    idle_ns: 5000,
    misses_per_call: 3,
};
/// Entries that a table may have. What comes on top: frames in flight of workers that made entries (a sixteenth and 64).
pub(crate) const TARGETS: u64 = 6;
/// Bytes of the longest frame here.
pub(crate) const FRAME_MAX: usize = 800;
/// Buffers of a batch.
const BATCH: usize = 8;

/// The input, read as choices; behind its end there are zeros, the simplest choice of each kind.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn half(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    /// True for `n` of 8.
    pub(crate) fn often(&mut self, n: u8) -> bool {
        self.below(8) >= 8 - n
    }

    /// Up to `most` bytes as they are.
    pub(crate) fn bytes(&mut self, most: u8) -> &'a [u8] {
        let len = usize::from(self.below(most)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// An address of a few: ports, destinations, groups, zero.
    pub(crate) fn mac(&mut self) -> Mac {
        match self.below(16) {
            n @ 0..4 => own(n),
            15 => Mac::BROADCAST,
            14 => Mac([1, 0, 0x5e, 0, 0, 1]),
            13 => Mac([0; 6]),
            n => Mac([2, 0, 0, 0, 1, n]),
        }
    }

    /// Underlay addresses, sound and wrong.
    pub(crate) fn ul3(&mut self) -> Ul3 {
        let ip = match self.below(8) {
            0..4 => [10, 88, 0, 2 + self.below(3)].into(),
            4 => [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(self.below(3))].into(),
            5 => [224, 0, 0, 1].into(),
            6 => [0, 0, 0, self.byte()].into(),
            _ => [10, 88, 0, 1].into(),
        };
        Ul3 { ip, port: [Some(4789), Some(4789), Some(4789), Some(0), None][usize::from(self.below(5))] }
    }

    pub(crate) fn offload(&mut self) -> Offload {
        let checksum = self.often(2).then(|| (self.half(), self.half()));
        let kind = [SegmentKind::Tcp4, SegmentKind::Tcp6, SegmentKind::Udp][usize::from(self.below(3))];
        let segments = self.often(2).then(|| Segments { size: self.half() % 600, header_len: self.half() % 100, kind });
        Offload { checksum, segments }
    }

    /// A frame: bytes as they are, or behind sound addresses.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        if self.often(1) {
            return self.bytes(60).to_vec();
        }
        let (to, from) = (self.mac(), self.mac());
        let kind: [u8; 2] = [[0x08, 0], [0x86, 0xdd], [0x81, 0], [0x08, 6], [0x12, 0x34]][usize::from(self.below(5))];
        let first = [0x45, 0x60, self.byte()][usize::from(self.below(3))];
        let mut frame = [&to.0[..], &from.0, &kind, &[first]].concat();
        // An input that is spent on contents has few frames.
        frame.extend(self.bytes(30));
        let len = match self.below(8) {
            0 => usize::from(self.byte()) * 3,
            n => usize::from(n) * 10,
        };
        frame.resize(frame.len().max(len), 0);
        frame
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let ttl_ns = self.often(3).then(|| u64::from(self.half()));
        match self.below(8) {
            0..4 => Answer::Reach { to: (0..if self.often(2) { self.below(4) } else { 1 }).map(|_| self.ul3()).collect(), ttl_ns },
            4 | 5 => Answer::Drop { ttl_ns },
            6 => Answer::Inject(self.frame()),
            _ => Answer::Resend(self.frame()),
        }
    }
}

/// The address of a port.
pub(crate) fn own(n: u8) -> Mac {
    Mac([6, 0, 0, 0, 0, n])
}

/// A host, and what was given to it.
pub(crate) struct Host {
    pub(crate) control: Control,
    pub(crate) workers: Vec<Worker>,
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) ports: Vec<PortId>,
    pub(crate) underlays: Vec<UnderlayId>,
    pub(crate) now: Time,
    /// Questions that came out, answered or not.
    pub(crate) asked: Vec<RequestId>,
    /// Questions that are open.
    pub(crate) open: BTreeSet<RequestId>,
    frames_in: u64,
    datagrams_in: u64,
    /// Verdicts by frame id.
    fates: BTreeMap<u64, Verdict>,
    sent: u64,
    delivered: u64,
    frames: Frames,
    datagrams: Datagrams,
    out: Outbox,
}

impl Host {
    /// A dynamic VXLAN device with three ports, a dynamic strict Geneve device with one, a direct NVGRE device with two.
    pub(crate) fn new() -> Self {
        let config = Config { workers: 2, seed: 3, explain: true, limits: LIMITS };
        let (control, workers) = Control::new(&config, Registry::default()).unwrap();
        let mut host = Self {
            control,
            workers,
            devices: Vec::new(),
            ports: Vec::new(),
            underlays: Vec::new(),
            now: Time(1),
            asked: Vec::new(),
            open: BTreeSet::new(),
            frames_in: 0,
            datagrams_in: 0,
            fates: BTreeMap::new(),
            sent: 0,
            delivered: 0,
            frames: Frames::new(BATCH, FRAME_MAX),
            datagrams: Datagrams::new(BATCH, FRAME_MAX + 100),
            out: Outbox::explaining(),
        };
        host.make_device(0);
        host.make_device(1);
        host.make_device(2);
        for (device, mac) in [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)] {
            host.make_port(device, own(mac));
        }
        host.control.answerer_attached(host.now);
        host.drain();
        host
    }

    /// Makes a device of the kind `which`, if there is none.
    pub(crate) fn make_device(&mut self, which: usize) {
        let (encapsulation, search, more) = [
            ("vxlan", Search::Dynamic, &[][..]),
            ("geneve", Search::Dynamic, &[("target/negative_ttl", "0"), ("target/ttl", "1")][..]),
            ("nvgre", Search::Direct, &[("direct/dest_ip", "10.88.0.9")][..]),
        ][which];
        let mut properties = vec![(format!("{encapsulation}/listen_ip"), "10.88.0.1".to_owned()), ("mtu".to_owned(), "576".to_owned())];
        properties.extend(more.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        if search == Search::Dynamic {
            properties.push(("target/max".to_owned(), TARGETS.to_string()));
        }
        let (name, vni) = (format!("{encapsulation}{which}"), Vni::new(5000).unwrap());
        let spec = DeviceSpec { name, encapsulation: encapsulation.to_owned(), vni, search, properties };
        if let Ok(device) = self.control.create_device(spec, self.now) {
            self.devices.push(device);
        }
        self.drain();
    }

    /// Adds a port, if the device takes it.
    pub(crate) fn make_port(&mut self, device: usize, mac: Mac) {
        let name = format!("p{}", self.ports.len());
        if let Some(device) = self.devices.get(device)
            && let Ok(port) = self.control.add_port(*device, &PortSpec { name, mac, mtu: 500 })
        {
            self.ports.push(port);
        }
        self.drain();
    }

    /// Carries out what the control half wants done, until it wants nothing more.
    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.control.poll_output(self.now) {
            match output {
                Output::Lookup(lookup) => {
                    assert!(lookup.frame.len() <= LIMITS.lookup_snapshot);
                    self.asked.push(lookup.request);
                    self.open.insert(lookup.request);
                }
                Output::Withdraw(request) => drop(self.open.remove(&request)),
                Output::Transmit(sending) => {
                    assert!(sending.bytes.len() >= usize::from(sending.header_len));
                    self.sent += 1;
                }
                Output::Deliver(_) => self.delivered += 1,
                Output::Verdict(frame, verdict) => self.fate(frame, verdict),
                Output::Event(Event::UnderlayOpen { underlay, .. }) => {
                    self.underlays.push(underlay);
                    self.control.handle_underlay(underlay, Ok(700), self.now);
                }
                Output::Event(Event::UnderlayClose { underlay }) => self.underlays.retain(|known| *known != underlay),
                Output::Event(Event::Device { .. } | Event::Pong(_)) => {}
            }
        }
    }

    fn fate(&mut self, frame: u64, verdict: Verdict) {
        let before = self.fates.insert(frame, verdict);
        let (after, first) = (&self.fates[&frame], before.is_none());
        assert!(before.as_ref().is_none_or(|before| !before.is_final()), "frame {frame:#x} ended as {before:?} and again as {after:?}");
        assert!(first || after.is_final(), "frame {frame:#x} was said to wait, and again");
    }

    /// Frames pass a worker. A port that is not there is one choice.
    pub(crate) fn send(&mut self, worker: usize, port: PortId, frames: &[(Vec<u8>, Offload)]) {
        for (frame, offload) in frames.iter().take(BATCH) {
            assert!(self.frames.push_copy(frame, *offload), "{} bytes", frame.len());
            self.frames_in += 1;
        }
        let before = self.totals();
        self.workers[worker].handle_frames(port, &mut self.frames, self.now, &mut self.out);
        self.workers[worker].settle(&self.out, &[]);
        for transmit in &self.out.transmits {
            let bytes = self.frames.with_header(transmit.item, transmit.header_len.into());
            assert_eq!(bytes.len(), self.frames.bytes(transmit.item).len() + usize::from(transmit.header_len));
        }
        self.sent += self.out.transmits.len() as u64;
        for deliver in &self.out.delivers {
            assert!(!self.out.content(deliver, &self.frames).is_empty());
        }
        self.delivered += self.out.delivers.len() as u64;
        assert_eq!(self.totals().frames_in - before.frames_in, self.frames.items().len() as u64);
        self.frames.clear();
        self.finish();
    }

    /// Datagrams pass a worker. An underlay that is not there is one choice.
    pub(crate) fn receive(&mut self, worker: usize, underlay: UnderlayId, datagrams: &[(Vec<u8>, Arrival)]) {
        for (datagram, arrival) in datagrams.iter().take(BATCH) {
            assert!(self.datagrams.push_copy(datagram, *arrival), "{} bytes", datagram.len());
            self.datagrams_in += 1;
        }
        let before = self.totals();
        self.workers[worker].handle_datagrams(underlay, &mut self.datagrams, self.now, &mut self.out);
        self.workers[worker].settle(&self.out, &[]);
        assert!(self.out.transmits.is_empty(), "what was received is not sent on");
        for deliver in &self.out.delivers {
            assert!(self.out.content(deliver, &self.datagrams).len() >= 14);
        }
        self.delivered += self.out.delivers.len() as u64;
        let (after, came) = (self.totals(), self.datagrams.items().len() as u64);
        let of = |totals: &Totals| totals.delivered + totals.pings_in + totals.dropped_on(Direction::Receive);
        let ended = of(&after) - of(&before);
        assert_eq!(self.out.misses as u64, after.pings_in - before.pings_in, "only pings are handed over");
        assert_eq!((after.datagrams_in - before.datagrams_in, ended), (came, came), "{before:?}\n{after:?}");
        self.datagrams.clear();
        self.finish();
    }

    fn finish(&mut self) {
        let verdicts = std::mem::take(&mut self.out.verdicts);
        self.out.clear();
        verdicts.into_iter().for_each(|(frame, verdict)| self.fate(frame, verdict));
    }

    /// Takes all that the workers have handed over.
    pub(crate) fn misses(&mut self) {
        loop {
            let more = self.control.handle_misses(self.now);
            self.drain();
            if !more {
                return;
            }
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        self.control.totals()
    }

    /// Every frame and every datagram is accounted for, and nothing has grown over its cap.
    pub(crate) fn check(&self) {
        let totals = self.totals();
        let (came, ended) = (totals.frames_in + totals.resent, self.ended(&totals));
        assert!(ended <= came, "more frames ended than came: {totals:?}");
        assert_eq!((totals.frames_in, totals.datagrams_in), (self.frames_in, self.datagrams_in), "{totals:?}");
        assert_eq!(totals.datagrams_in, totals.delivered + totals.pings_in + totals.dropped_on(Direction::Receive), "{totals:?}");
        assert_eq!((totals.datagrams_out + totals.pings_out, totals.frames_out + totals.made), (self.sent, self.delivered), "{totals:?}");
        let undecided = self.fates.values().filter(|verdict| !verdict.is_final()).count() as u64;
        let decided = self.fates.len() as u64 - undecided;
        assert_eq!(decided, ended + totals.datagrams_in, "a fate each: {:?}\n{totals:?}", self.fates);
        for device in self.control.devices() {
            assert!(device.pending_bytes <= LIMITS.pending_bytes_per_device, "{device:?}");
            assert!(device.lookups <= LIMITS.lookups_per_device, "{device:?}");
            let Some(targets) = self.control.targets(device.id) else { continue };
            let mut rows = 0;
            targets.for_each(self.now, |row| {
                rows += 1;
                assert!(row.pending_bytes <= (LIMITS.pending_bytes_per_entry.max(FRAME_MAX)) as u64, "{row:?}");
            });
            assert!(rows <= targets.len());
        }
    }

    fn ended(&self, totals: &Totals) -> u64 {
        totals.sent + totals.local + totals.flooded + totals.answered + totals.dropped_on(Direction::Transmit)
    }

    /// Time goes by until nothing waits; then all devices go. Every frame has ended.
    pub(crate) fn end(mut self) {
        self.misses();
        for _ in 0..3 {
            self.now = self.now + LIMITS.lookup_timeout_ns;
            self.control.handle_timeout(self.now);
            self.drain();
            self.misses();
        }
        self.check();
        let totals = self.totals();
        assert_eq!(self.ended(&totals), totals.frames_in + totals.resent, "nobody asks, and frames wait: {totals:?}");
        for device in self.control.devices() {
            assert_eq!((device.pending_bytes, device.lookups), (0, 0), "{device:?}");
        }
        for port in std::mem::take(&mut self.ports) {
            let _ = self.control.remove_port(port);
        }
        for device in std::mem::take(&mut self.devices) {
            if self.control.device(device).is_some() {
                self.control.delete_device(device, self.now).expect("a device without ports goes");
            }
        }
        self.drain();
        self.check();
        assert_eq!((self.control.devices().count(), self.control.underlays().count()), (0, 0));
    }
}
