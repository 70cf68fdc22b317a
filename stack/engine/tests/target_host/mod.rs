//! One dynamic device, one port, some workers: what the tests of the target table drive. Nothing happens by itself: frames are handed
//! over, outputs carried out and time passes only when a test says so.
#![allow(dead_code, reason = "every test file uses a part of it")]

use overlay_api::{Answer, DeviceId, DropReason, EntryState, Lookup, PortId, RequestId, Source, TargetRow};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::Registry;
use overlay_engine::{
    AnswerError, Config, Content, Control, DeviceSpec, Event, Frames, Limits, Offload, Outbox, Output, PortSpec, Search, SetTarget,
    Targets, Time, Totals, Transmit, Worker,
};
use std::fmt::Write as _;

/// The address of the port.
pub(crate) const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// The destination that most tests are about.
pub(crate) const B: Mac = Mac([2, 0, 0, 0, 0, 2]);
/// Another one.
pub(crate) const C: Mac = Mac([2, 0, 0, 0, 0, 3]);

/// Bytes of a test frame: an Ethernet header and one byte of content.
pub(crate) const FRAME: u64 = 15;
/// Bytes of a VXLAN header.
pub(crate) const HEADER: u64 = 8;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// An underlay address that differs from others by `host`.
pub(crate) fn ul3(host: u8) -> Ul3 {
    format!("10.88.0.{host}:4789").parse().unwrap()
}

/// "It is there", without a time limit.
pub(crate) fn reach(host: u8) -> Answer {
    Answer::Reach { to: vec![ul3(host)], ttl_ns: None }
}

/// A frame from the port with one byte of content.
pub(crate) fn frame(to: Mac, content: u8) -> Vec<u8> {
    [&to.0[..], &A.0, &[0x88, 0xb5, content]].concat()
}

/// What a driver would have been asked to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Did {
    Ask(RequestId, Mac),
    Withdraw(RequestId),
    /// The last byte of the frame, and where it went.
    Send(u8, Ul3),
    /// The last byte of the frame.
    Deliver(u8),
}

pub(crate) struct Host {
    pub(crate) control: Control,
    pub(crate) workers: Vec<Worker>,
    pub(crate) device: DeviceId,
    pub(crate) port: PortId,
    pub(crate) now: Time,
    pub(crate) lookups: Vec<Lookup>,
    frames: Frames,
    out: Outbox,
    did: Vec<Did>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(1, Limits::default(), &[])
    }

    /// A host whose device is up and whose lookups somebody answers, at time 0.
    pub(crate) fn with(workers: usize, limits: Limits, properties: &[(&str, &str)]) -> Self {
        let config = Config { workers, limits, ..Config::default() };
        let (mut control, workers) = Control::new(&config, Registry::default()).unwrap();
        let mut spec = DeviceSpec {
            name: "red".into(),
            encapsulation: "vxlan".into(),
            vni: Vni::new(77).unwrap(),
            search: Search::Dynamic,
            properties: vec![("vxlan/listen_ip".into(), "10.88.0.1".into())],
        };
        spec.properties.extend(properties.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let device = control.create_device(spec, Time::ZERO).unwrap();
        let port = control.add_port(device, &PortSpec { name: "vnic0".into(), mac: A, mtu: 1400 }).unwrap();
        control.answerer_attached(Time::ZERO);
        while let Some(output) = control.poll_output(Time::ZERO) {
            if let Output::Event(Event::UnderlayOpen { underlay, .. }) = output {
                control.handle_underlay(underlay, Ok(1500), Time::ZERO);
            }
        }
        let (frames, out) = (Frames::new(64, 2000), Outbox::new());
        Self { control, workers, device, port, now: Time::ZERO, lookups: Vec::new(), frames, out, did: Vec::new() }
    }

    /// A worker takes these frames; what it hands over stays in the queue.
    pub(crate) fn give(&mut self, worker: usize, frames: &[&[u8]]) {
        for bytes in frames {
            assert!(self.frames.push_copy(bytes, Offload::default()), "{} bytes do not fit the test's buffers", bytes.len());
        }
        self.workers[worker].handle_frames(self.port, &mut self.frames, self.now, &mut self.out);
        for transmit in &self.out.transmits {
            let content = *self.frames.bytes(transmit.item).last().unwrap();
            self.did.push(Did::Send(content, transmit.outer.to));
        }
        for deliver in &self.out.delivers {
            assert!(matches!(deliver.content, Content::Made(_) | Content::Item { .. }));
            self.did.push(Did::Deliver(*self.out.content(deliver, &self.frames).last().unwrap()));
        }
        self.frames.clear();
        self.out.clear();
    }

    /// Sets a destination and sends a frame there: what the worker would have sent.
    pub(crate) fn first_transmit(&mut self, mac: Mac, target: &SetTarget) -> Transmit {
        self.set(mac, target);
        self.carry_out();
        assert!(self.frames.push_copy(&frame(mac, 1), Offload::default()));
        self.workers[0].handle_frames(self.port, &mut self.frames, self.now, &mut self.out);
        let transmit = self.out.transmits[0];
        self.frames.clear();
        self.out.clear();
        transmit
    }

    /// The first worker takes a frame; if it hands it over, it stays in the queue.
    pub(crate) fn give_one(&mut self, to: Mac, content: u8) {
        self.give(0, &[&frame(to, content)]);
    }

    /// A frame goes all its way.
    pub(crate) fn send(&mut self, to: Mac, content: u8) {
        self.give_one(to, content);
        self.control.handle_misses(self.now);
        self.carry_out();
    }

    /// Carries out all outputs.
    pub(crate) fn carry_out(&mut self) {
        while let Some(output) = self.control.poll_output(self.now) {
            match output {
                Output::Lookup(lookup) => {
                    self.did.push(Did::Ask(lookup.request, lookup.question.destination));
                    self.lookups.push(lookup);
                }
                Output::Withdraw(request) => self.did.push(Did::Withdraw(request)),
                Output::Transmit(sending) => self.did.push(Did::Send(*sending.bytes.last().unwrap(), sending.outer.to)),
                Output::Deliver(delivery) => self.did.push(Did::Deliver(*delivery.bytes.last().unwrap())),
                Output::Verdict(..) | Output::Event(_) => {}
            }
        }
    }

    /// What the driver was asked to do since the last call.
    pub(crate) fn did(&mut self) -> Vec<Did> {
        std::mem::take(&mut self.did)
    }

    /// The newest lookup.
    pub(crate) fn request(&self) -> RequestId {
        self.lookups.last().map_or(RequestId(999_999), |lookup| lookup.request)
    }

    /// Answers the newest lookup and carries out what follows.
    pub(crate) fn answer(&mut self, answer: Answer) -> Result<(), AnswerError> {
        let done = self.control.handle_answer(self.request(), answer, self.now);
        self.carry_out();
        done
    }

    /// Sets a destination by hand; what follows is not carried out yet.
    pub(crate) fn set(&mut self, mac: Mac, target: &SetTarget) {
        self.control.set_target(self.device, mac, target, Source::Static, None, self.now).unwrap();
    }

    /// Time passes; what follows is not carried out yet.
    pub(crate) fn pass(&mut self, ns: u64) {
        self.now = self.now + ns;
        self.control.handle_timeout(self.now);
    }

    pub(crate) fn targets(&self) -> Targets {
        self.control.targets(self.device).unwrap()
    }

    pub(crate) fn row(&self, mac: Mac) -> Option<TargetRow> {
        self.targets().get(mac, self.now)
    }

    pub(crate) fn state(&self, mac: Mac) -> EntryState {
        self.row(mac).map_or(EntryState::Absent, |row| row.state)
    }

    pub(crate) fn totals(&self) -> Totals {
        self.control.totals()
    }

    /// Everything, for a test that fails.
    pub(crate) fn world(&self) -> String {
        let mut text =
            format!("at {}: {:#?}\nnext timeout {:?}\n", self.now, self.control.device(self.device), self.control.poll_timeout());
        if let Some(targets) = self.control.targets(self.device) {
            let _ = writeln!(text, "{} entries", targets.len());
            targets.for_each(self.now, |row| text.push_str(&format!("{row:?}\n")));
        }
        let _ = writeln!(text, "{}\ndone: {:?}", serde_json::to_string(&self.totals()).unwrap(), self.did);
        text
    }

    /// Ports go, then the device: that always succeeds and leaves nothing open.
    pub(crate) fn delete(&mut self) {
        self.control.remove_port(self.port).unwrap();
        self.control.delete_device(self.device, self.now).unwrap_or_else(|refusal| panic!("{refusal}\n{}", self.world()));
        self.carry_out();
        let totals = self.totals();
        assert_eq!(totals.waiting(), 0, "a frame is unaccounted for\n{}", self.world());
        assert!(self.control.device(self.device).is_none() && self.control.targets(self.device).is_none());
        assert_eq!(self.control.poll_timeout(), None, "something of the deleted device still waits");
    }
}

/// Totals in which only some fields are not zero, as a difference to add.
pub(crate) fn totals(change: impl FnOnce(&mut Totals)) -> Totals {
    let mut totals = Totals::default();
    change(&mut totals);
    totals
}

/// Counts `count` frames of the usual size as sent, each to one destination.
pub(crate) fn count_sent(totals: &mut Totals, count: u64) {
    totals.sent += count;
    totals.sent_bytes += count * FRAME;
    totals.datagrams_out += count;
    totals.datagrams_out_packets += count;
    totals.datagrams_out_bytes += count * (FRAME + HEADER);
}

/// Counts `count` frames of the usual size as given by the port.
pub(crate) fn count_in(totals: &mut Totals, count: u64) {
    totals.frames_in += count;
    totals.frames_in_bytes += count * FRAME;
    totals.frames_in_packets += count;
}

/// Counts drops.
pub(crate) fn count_drops(totals: &mut Totals, reason: DropReason, count: u64) {
    totals.drops[reason.index()] += count;
}
