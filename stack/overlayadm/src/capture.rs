//! Where would each frame of a capture go, and why? `trace --pcap`: a verdict a line, or a JSON object.
//!
//! Frames go to overlayd in lots, because a call for each would take longer than all the decisions. What is no Ethernet frame stands in
//! its place among the lines and says that it was not traced.

use crate::Refusal;
use crate::show;
use crate::table::printable;
use overlay_api::control::{FRAME_MAX_BYTES, TRACES_MAX, Timestamp, Trace, TraceFrame, TracesRequest};
use overlay_api::{LinkName, Verdict};
use overlay_captures::{Chunk, Reader, Record};
use overlay_client::Client;
use overlay_decoder::{LinkType, Mac, Packet, Walker};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Most bytes of frames in one lot. They are sent as digits, two for each, and a request may have 1 MiB.
const LOT_MAX_BYTES: usize = 400_000;
/// What of a frame of many segments is traced, in bytes: any network carries that, as it will carry each segment.
const SEGMENT_BYTES: usize = 14 + 576;

/// A frame of the capture, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Line {
    /// Its place in the capture, from 1.
    number: u64,
    /// When it was captured.
    timestamp: Option<Timestamp>,
    /// Who sent it (VL2).
    #[serde(skip_serializing_if = "Option::is_none")]
    src: Option<Mac>,
    /// To whom (VL2).
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<Mac>,
    /// The tunnels in it, outermost first, such as `vxlan 77`: a tenant's frame has none as a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    encapsulated: Option<String>,
    /// What was taken for it, where it was not captured as it would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<String>,
    /// Why it was not traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_traced: Option<String>,
    /// Its way.
    #[serde(flatten)]
    trace: Option<Trace>,
}

/// Lines that wait for their traces.
#[derive(Default)]
struct Lot {
    lines: Vec<Line>,
    /// Those of the lines that are traced, in their order.
    frames: Vec<TraceFrame>,
    bytes: usize,
}

/// Traces each frame of the capture in `file`, as `vnic` would send it.
pub(crate) fn trace(
    client: &Client,
    overlay: &LinkName,
    vnic: Option<LinkName>,
    file: &Path,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let failed = |error: overlay_captures::ReadError| Refusal::Failed(error.to_string());
    let mut reader = Reader::open(file).map_err(failed)?;
    let (mut chunk, mut walker, mut lot) = (Chunk::new(), Walker::default(), Lot::default());
    let mut ask = |lot: Lot| -> Result<(), Refusal> {
        // Asked also for nothing: a name that is wrong is wrong with an empty capture, too.
        let traces = client.traces(overlay, &TracesRequest { frames: lot.frames, vnic: vnic.clone() })?;
        let mut traces = traces.into_iter();
        for mut line in lot.lines {
            if line.not_traced.is_none() {
                line.trace =
                    Some(traces.next().ok_or_else(|| Refusal::Failed("overlayd: answers fewer frames than were asked".to_owned()))?);
            }
            match json {
                true => show::object(out, &line)?,
                false => writeln!(out, "{}", printable(line.text()))?,
            }
        }
        Ok(())
    };
    loop {
        let more = reader.next_chunk(&mut chunk);
        for record in chunk.records() {
            lot.add(&record, &mut walker);
            if lot.frames.len() >= TRACES_MAX || lot.lines.len() >= TRACES_MAX || lot.bytes + FRAME_MAX_BYTES > LOT_MAX_BYTES {
                ask(std::mem::take(&mut lot))?;
            }
        }
        match more {
            Ok(true) => {}
            Ok(false) => return ask(lot),
            // What came before the fault is shown before it is told.
            Err(error) => return ask(lot).and(Err(failed(error))),
        }
    }
}

impl Lot {
    fn add(&mut self, record: &Record<'_>, walker: &mut Walker) {
        let (line, frame) = read(record, walker);
        if let Some(frame) = frame {
            self.bytes += frame.len();
            self.frames.push(TraceFrame::Hex(hex(&frame)));
        }
        self.lines.push(line);
    }
}

/// What is known of a frame before it is traced, and its bytes if it can be.
fn read(record: &Record<'_>, walker: &mut Walker) -> (Line, Option<Vec<u8>>) {
    // A time before 1970 is one that was not known.
    let time = |at: overlay_decoder::Timestamp| Some(Timestamp { seconds: at.seconds.try_into().ok()?, nanoseconds: at.nanoseconds });
    let timestamp = record.timestamp.and_then(time);
    let mut line =
        Line { number: record.number, timestamp, src: None, dst: None, encapsulated: None, taken: None, not_traced: None, trace: None };
    if record.link != LinkType::ETHERNET {
        let name = record.link.name().map_or_else(|| record.link.0.to_string(), str::to_owned);
        line.not_traced = Some(format!("link type {name}; an Ethernet frame is needed"));
        return (line, None);
    }
    let mac = |at: usize| record.bytes.get(at..at + 6).and_then(|bytes| Some(Mac(bytes.try_into().ok()?)));
    (line.dst, line.src) = (mac(0), mac(6));
    let packet = walker.walk(record.bytes, record.len, record.link);
    line.encapsulated = tunnels(&packet);
    let (captured, whole) = (record.bytes.len(), record.len as usize);
    let mut frame = record.bytes.to_vec();
    if packet.gso.is_some() {
        line.taken = Some(format!("of {whole} bytes, many segments, the first one"));
        frame.truncate(SEGMENT_BYTES);
    } else if whole > FRAME_MAX_BYTES {
        line.not_traced = Some(format!("{whole} bytes; at most {FRAME_MAX_BYTES} can be"));
        return (line, None);
    } else if captured < whole {
        line.taken = Some(format!("zeros behind the {captured} bytes that were captured of {whole}"));
        frame.resize(whole, 0);
    }
    frame.truncate(FRAME_MAX_BYTES);
    (line, Some(frame))
}

/// The tunnels of a packet in words; none if it has none.
fn tunnels(packet: &Packet<'_>) -> Option<String> {
    let headers = packet.layers.iter().filter(|layer| layer.body.is_tunnel());
    let words: Vec<String> = headers
        .map(|layer| match layer.body.vni() {
            Some(vni) => format!("{} {vni}", layer.kind().name()),
            None => layer.kind().name().to_owned(),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS[usize::from(value & 15)] as char;
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

impl Line {
    /// `NUMBER SRC > DST: VERDICT; WHY`.
    fn text(&self) -> String {
        let mut text = self.number.to_string();
        if let (Some(src), Some(dst)) = (self.src, self.dst) {
            // Writing into a String cannot fail, here and below.
            let _ = write!(text, " {src} > {dst}");
        }
        match (&self.trace, &self.not_traced) {
            (Some(trace), _) => {
                let _ = write!(text, ": {}", trace.verdict);
                if let Some(why) = why(trace) {
                    let _ = write!(text, "; {why}");
                }
            }
            (None, why) => {
                let _ = write!(text, ": not traced: {}", why.as_deref().unwrap_or("not asked"));
            }
        }
        if let Some(tunnels) = &self.encapsulated {
            let _ = write!(text, " [encapsulated already: {tunnels}; this is its outer frame]");
        }
        if let Some(taken) = &self.taken {
            let _ = write!(text, " [taken: {taken}]");
        }
        text
    }
}

/// What decided: the steps behind the two that say which overlay and which frame it is, for these are the same on every line. The last
/// one of a frame that is sent says how, and the verdict where to.
fn why(trace: &Trace) -> Option<String> {
    let from = trace.steps.len().saturating_sub(1).min(2);
    let steps = &trace.steps[from..];
    let decided = match (&trace.verdict, steps) {
        (Verdict::Transmit { .. }, [decided @ .., _]) if !decided.is_empty() => decided,
        _ => steps,
    };
    Some(decided.join("; ")).filter(|why| !why.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_api::DropReason;
    use overlay_decoder::Vni;

    const FRAME: [u8; 20] = [2, 8, 0x20, 10, 0, 1, 2, 8, 0x20, 10, 0, 2, 8, 0, 1, 2, 3, 4, 5, 6];

    fn read_one(record: &Record<'_>) -> (Line, Option<Vec<u8>>) {
        read(record, &mut Walker::default())
    }

    fn record(bytes: &[u8]) -> Record<'_> {
        Record::new(LinkType::ETHERNET, overlay_decoder::Timestamp::new(7, 5), bytes)
    }

    #[test]
    fn a_frame_that_was_cut_is_traced_at_its_length() {
        let (line, frame) = read_one(&record(&FRAME).with_len(1514));
        assert_eq!(frame.unwrap().len(), 1514);
        assert_eq!(line.taken.as_deref(), Some("zeros behind the 20 bytes that were captured of 1514"));
        let (line, frame) = read_one(&record(&FRAME));
        assert_eq!((line.taken, frame.as_deref()), (None, Some(&FRAME[..])));
        let (line, frame) = read_one(&record(&FRAME[..3]));
        assert_eq!((line.src, line.dst, frame.as_deref()), (None, None, Some(&FRAME[..3])), "overlayd says what it is");
    }

    #[test]
    fn what_cannot_be_a_frame_of_a_vnic_is_not_traced() {
        let raw = Record::new(LinkType::RAW, overlay_decoder::Timestamp::new(7, 5), &FRAME);
        let (line, frame) = read_one(&raw);
        assert_eq!((frame, line.text().as_str()), (None, "0: not traced: link type raw; an Ethernet frame is needed"));
    }

    #[test]
    fn a_frame_of_many_segments_is_traced_as_one_of_them() {
        // RFC 791: version and header length, and a total length of 60,000.
        let mut bytes = FRAME[..14].to_vec();
        bytes.extend([0x45, 0, 0xea, 0x60, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.resize(60_014, 0);
        let (line, frame) = read_one(&record(&bytes));
        assert_eq!(frame.unwrap().len(), SEGMENT_BYTES);
        assert_eq!(line.taken.as_deref(), Some("of 60014 bytes, many segments, the first one"));
    }

    #[test]
    fn a_line_is_who_verdict_and_what_decided() {
        let steps = ["overlay ov7", "frame from", "it is too big"].map(str::to_owned).to_vec();
        let verdict = Verdict::Drop { vni: Vni::new(7), reason: DropReason::TooBig };
        let mut line = read_one(&record(&FRAME)).0;
        line.trace = Some(Trace { steps, verdict });
        assert_eq!(line.text(), "0 02:08:20:0a:00:02 > 02:08:20:0a:00:01: drop vni 7 too-big; it is too big");
        line.encapsulated = Some("vxlan 77".to_owned());
        assert!(line.text().ends_with(" [encapsulated already: vxlan 77; this is its outer frame]"));
    }

    #[test]
    fn what_decided_is_said_and_nothing_twice() {
        let drop = Verdict::Drop { vni: Vni::new(7), reason: DropReason::TooBig };
        let sent = Verdict::Transmit { vni: Vni::MAX, to: vec![], ports: vec![] };
        for (steps, verdict, said) in [
            (&["overlay", "frame", "it is known", "it is too big", "told"][..], &drop, Some("it is known; it is too big; told")),
            (&["overlay", "frame", "it is known", "vxlan header"], &sent, Some("it is known")),
            (&["overlay", "frame", "sent"], &sent, Some("sent")),
            (&["overlay", "too short"], &drop, Some("too short")),
            (&[], &drop, None),
        ] {
            let steps = steps.iter().map(|step| (*step).to_owned()).collect();
            assert_eq!(why(&Trace { steps, verdict: verdict.clone() }).as_deref(), said);
        }
    }

    #[test]
    fn digits_are_the_frame() {
        assert_eq!(hex(&[0, 0x9f, 0xff]), "009fff");
        let frames = vec![TraceFrame::Hex(hex(&FRAME))];
        assert_eq!(TracesRequest { frames, vnic: None }.bytes(Mac::default()).unwrap(), [FRAME.to_vec()]);
    }
}
