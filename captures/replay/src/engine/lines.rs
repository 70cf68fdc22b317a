//! What is written down? A JSON object a line: the fate of every packet, then counters and tables.
//!
//! A packet that waits for an answer has two lines: in its place that it is pending, and, when it is known, what became of it.

use super::drive::{Packet, Sink};
use super::script::Fate;
use super::text::push_packet;
use crate::output::OutputError;
use overlay_api::{Answer, DropReason, LinkName, Lookup, PortId, RequestId, TargetRow, UnderlayId, Verdict};
use overlay_captures::{Interface, LinkType, Record, Timestamp, Writer};
use overlay_decoder::{Mac, Ul3};
use overlay_engine::{Time, Totals};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;

/// One line.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Line<'a> {
    /// Written by hand (`text`), which a test compares with this.
    #[cfg(test)]
    Packet(PacketLine<'a>),
    Skipped {
        number: u64,
        timestamp: When,
        why: &'a str,
    },
    Lookup {
        timestamp: When,
        request: RequestId,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        overlay: &'a str,
        source: Mac,
        destination: Mac,
        /// `reach`, `drop`, `inject`, `resend` or `lost`.
        answer: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        delay_ns: Option<u64>,
    },
    Answer {
        timestamp: When,
        request: RequestId,
        answer: &'a str,
        #[serde(skip_serializing_if = "<[Ul3]>::is_empty")]
        to: &'a [Ul3],
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    State {
        timestamp: When,
        overlay: &'a str,
        degraded: Option<&'a str>,
    },
    Counters {
        #[serde(skip_serializing_if = "Option::is_none")]
        overlay: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        vnic: Option<&'a str>,
        #[serde(flatten)]
        totals: &'a Totals,
    },
    Target {
        overlay: &'a str,
        #[serde(flatten)]
        row: &'a TargetRow,
    },
}

/// The line of a packet.
#[cfg_attr(test, derive(Serialize))]
pub(super) struct PacketLine<'a> {
    pub(super) number: u64,
    pub(super) timestamp: When,
    /// The VNIC that sent it.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub(super) vnic: Option<&'a str>,
    /// Where it came from on the underlay.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub(super) underlay: Option<Ul3>,
    /// The frame id, as probes have it.
    pub(super) frame: u64,
    /// What was taken for it, where it was not captured as it came.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub(super) taken: Option<&'a str>,
    /// How long it has waited.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub(super) waited_ns: Option<u64>,
    #[cfg_attr(test, serde(flatten))]
    pub(super) verdict: &'a Verdict,
}

/// A time as text: seconds and nine decimals, as overlay-snoop has it.
#[derive(Clone, Copy)]
pub(super) struct When(pub(super) Timestamp);

impl Serialize for When {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.seconds, self.0.nanoseconds)
    }
}

/// How packets ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fates {
    /// Packets that were read.
    pub(crate) read: u64,
    /// By the verdict's name.
    pub(crate) verdicts: BTreeMap<&'static str, u64>,
    /// By the reason.
    pub(crate) drops: BTreeMap<&'static str, u64>,
    /// Packets that came in nowhere, and why.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Packets that still wait.
    pub(crate) pending: u64,
    /// Frames that were sent, but are no single packet that could be written.
    pub(crate) unwritten: u64,
}

/// Writes lines, and packets that the engine sends.
pub(crate) struct Recorder<'a> {
    out: &'a mut dyn Write,
    packets: Option<Packets<'a>>,
    /// Where time zero of the engine is.
    pub(crate) origin: Timestamp,
    tells: Tells,
    /// The line in hand.
    text: Vec<u8>,
    vnics: HashMap<PortId, LinkName>,
    /// Of the packet in hand.
    pub(crate) vnic: Option<PortId>,
    pub(crate) underlay: Option<Ul3>,
    pub(crate) taken: Option<String>,
    pub(crate) fates: Fates,
    /// What went wrong with the output.
    pub(crate) problem: Option<OutputError>,
}

/// What lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tells {
    /// What is known at the end.
    Counts,
    /// Also what becomes of each packet.
    Packets,
    /// Also what is asked and answered.
    Trace,
}

/// A capture of what the engine sends and delivers.
struct Packets<'a> {
    writer: &'a mut Writer,
    underlays: HashMap<UnderlayId, Interface>,
    vnics: HashMap<PortId, Interface>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        out: &'a mut dyn Write,
        writer: Option<&'a mut Writer>,
        vnics: &[(LinkName, PortId)],
        underlays: &[(UnderlayId, Ul3)],
        origin: Timestamp,
        tells: Tells,
    ) -> Self {
        let mut index = 0;
        let mut named = |name: String| {
            index += 1;
            Interface { index: index - 1, ..Interface::named(name, LinkType::ETHERNET) }
        };
        let packets = writer.map(|writer| Packets {
            writer,
            underlays: underlays.iter().map(|(id, listen)| (*id, named(format!("underlay {listen}")))).collect(),
            vnics: vnics.iter().map(|(name, port)| (*port, named(name.to_string()))).collect(),
        });
        Self {
            out,
            packets,
            origin,
            tells,
            text: Vec::new(),
            vnics: vnics.iter().map(|(name, port)| (*port, name.clone())).collect(),
            vnic: None,
            underlay: None,
            taken: None,
            fates: Fates::default(),
            problem: None,
        }
    }

    /// When a moment of the engine was, by the clock of the capture.
    fn when(&self, now: Time) -> When {
        let ns = now.since(super::setup::START);
        let seconds = self.origin.seconds.saturating_add_unsigned(ns / 1_000_000_000);
        When(Timestamp::new(seconds, self.origin.nanoseconds + (ns % 1_000_000_000) as u32))
    }

    fn line(&mut self, line: &Line<'_>) -> ControlFlow<()> {
        self.text.clear();
        if let Err(error) = serde_json::to_writer(&mut self.text, line) {
            self.problem.get_or_insert(OutputError(format!("a line: {error}")));
            return ControlFlow::Break(());
        }
        self.write()
    }

    /// Writes the line in hand.
    fn write(&mut self) -> ControlFlow<()> {
        self.text.push(b'\n');
        match self.out.write_all(&self.text) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.problem.get_or_insert(OutputError::of_io("the lines", &error));
                ControlFlow::Break(())
            }
        }
    }

    /// A packet comes in nowhere.
    pub(crate) fn skipped(&mut self, number: u64, at: Time, why: &str) -> ControlFlow<()> {
        match self.fates.skipped.get_mut(why) {
            Some(count) => *count += 1,
            None => drop(self.fates.skipped.insert(why.to_owned(), 1)),
        }
        if self.tells == Tells::Counts {
            return ControlFlow::Continue(());
        }
        let timestamp = self.when(at);
        self.line(&Line::Skipped { number, timestamp, why })
    }

    /// What was counted, of an overlay, a VNIC or all.
    pub(crate) fn counters(&mut self, overlay: Option<&str>, vnic: Option<&str>, totals: &Totals) -> ControlFlow<()> {
        self.line(&Line::Counters { overlay, vnic, totals })
    }

    /// What the table knows at the end.
    pub(crate) fn target(&mut self, overlay: &str, row: &TargetRow) -> ControlFlow<()> {
        self.line(&Line::Target { overlay, row })
    }

    fn keep(&mut self, now: Time, comment: &str, frame: &[u8], of: impl FnOnce(&Packets<'_>) -> Option<Interface>) -> ControlFlow<()> {
        let timestamp = self.when(now).0;
        let Some(packets) = &mut self.packets else { return ControlFlow::Continue(()) };
        let Some(interface) = of(packets) else { return ControlFlow::Continue(()) };
        let comments = [comment];
        let record = Record::new(LinkType::ETHERNET, timestamp, frame).with_interface(&interface).with_comments(&comments);
        match packets.writer.write(&record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.problem.get_or_insert(OutputError(error.to_string()));
                ControlFlow::Break(())
            }
        }
    }
}

/// `packet 7 frame 12: `.
fn whose(packet: Option<Packet>) -> String {
    packet.map_or_else(String::new, |Packet { number, frame }| format!("packet {number} frame {frame}: "))
}

impl Sink for Recorder<'_> {
    fn keeps_packets(&self) -> bool {
        self.packets.is_some()
    }

    fn verdict(&mut self, packet: Packet, waited: Option<u64>, now: Time, verdict: &Verdict) -> ControlFlow<()> {
        let name = match verdict {
            Verdict::Transmit { .. } => "transmit",
            Verdict::Deliver { .. } => "deliver",
            Verdict::Pending { .. } => "pending",
            Verdict::Answered { .. } => "answered",
            Verdict::Drop { .. } => "drop",
        };
        match (verdict, waited) {
            (Verdict::Pending { .. }, None) => self.fates.pending += 1,
            (Verdict::Pending { .. }, Some(_)) => {}
            (_, waited) => {
                self.fates.pending -= u64::from(waited.is_some()).min(self.fates.pending);
                *self.fates.verdicts.entry(name).or_insert(0) += 1;
                if let Verdict::Drop { reason, .. } = verdict {
                    *self.fates.drops.entry(DropReason::name(*reason)).or_insert(0) += 1;
                }
            }
        }
        if self.tells == Tells::Counts {
            return ControlFlow::Continue(());
        }
        // What a packet came as is said in its place.
        let first = waited.is_none();
        let line = PacketLine {
            number: packet.number,
            timestamp: self.when(now),
            vnic: self.vnic.filter(|_| first).and_then(|port| self.vnics.get(&port)).map(LinkName::as_str),
            underlay: self.underlay.filter(|_| first),
            frame: packet.frame,
            taken: self.taken.as_deref().filter(|_| first),
            waited_ns: waited,
            verdict,
        };
        self.text.clear();
        push_packet(&mut self.text, &line);
        self.write()
    }

    fn sent(&mut self, packet: Option<Packet>, now: Time, underlay: UnderlayId, to: Ul3, frame: &[u8]) -> ControlFlow<()> {
        if self.packets.is_none() {
            return ControlFlow::Continue(());
        }
        let comment = format!("{}transmit to {to}", whose(packet));
        self.keep(now, &comment, frame, |packets| packets.underlays.get(&underlay).cloned())
    }

    fn delivered(&mut self, packet: Option<Packet>, now: Time, port: PortId, made: bool, frame: &[u8]) -> ControlFlow<()> {
        if self.packets.is_none() {
            return ControlFlow::Continue(());
        }
        let name = self.vnics.get(&port).map_or("?", LinkName::as_str);
        let comment = format!("{}{} {name}", whose(packet), if made { "made for" } else { "deliver to" });
        self.keep(now, &comment, frame, |packets| packets.vnics.get(&port).cloned())
    }

    fn asked(&mut self, packet: Option<Packet>, now: Time, overlay: &LinkName, lookup: &Lookup, fate: &Fate) -> ControlFlow<()> {
        if self.tells != Tells::Trace {
            return ControlFlow::Continue(());
        }
        let (answer, delay_ns) = match fate {
            Fate::Answer(answer, delay) => (answer.name(), Some(*delay)),
            Fate::Lost => ("lost", None),
        };
        let (timestamp, request) = (self.when(now), lookup.request);
        let (source, destination) = (lookup.question.source, lookup.question.destination);
        let number = packet.map(|packet| packet.number);
        self.line(&Line::Lookup { timestamp, request, number, overlay: overlay.as_str(), source, destination, answer, delay_ns })
    }

    fn answered(&mut self, now: Time, request: RequestId, answer: &Answer, problem: Option<String>) -> ControlFlow<()> {
        if self.tells != Tells::Trace {
            return ControlFlow::Continue(());
        }
        let to: &[Ul3] = if let Answer::Reach { to, .. } = answer { to } else { &[] };
        let timestamp = self.when(now);
        self.line(&Line::Answer { timestamp, request, answer: answer.name(), to, problem })
    }

    fn state(&mut self, now: Time, overlay: &str, degraded: Option<&str>) -> ControlFlow<()> {
        if self.tells != Tells::Trace {
            return ControlFlow::Continue(());
        }
        let timestamp = self.when(now);
        self.line(&Line::State { timestamp, overlay, degraded })
    }
}
