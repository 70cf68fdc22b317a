//! How do lines of the script `frames` become a capture? Parts of a frame are put together by its id and written as pcapng.

use crate::Refusal;
use overlay_captures::{Direction, Format, Interface, Record, Writer};
use overlay_decoder::{LinkType, Mac, Timestamp, Vni};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Frames that wait for their second part at most; of the oldest, what is there is written. Parts come together but for other threads'.
const OPEN_MAX: usize = 4096;
/// Bytes of a frame that the probe gives.
const BYTES_MAX: u32 = 192;
/// A frame is at most a super-frame (64 KiB), its header and tags.
const LEN_MAX: u32 = 1 << 17;

/// A capture that grows.
pub(crate) struct Frames {
    writer: Writer,
    interfaces: BTreeMap<u32, Interface>,
    open: BTreeMap<u64, Frame>,
    chosen: (Option<Vni>, Option<Mac>),
    /// Nanoseconds from boot to 1970, to be added to the tracer's clock.
    booted: i128,
    strange: u64,
    lost: u64,
    name: String,
}

/// What is there of a frame.
#[derive(Debug)]
struct Frame {
    ns: u64,
    vni: u32,
    direction: Direction,
    len: u32,
    bytes: Vec<u8>,
}

/// A part of a frame.
struct Part {
    id: u64,
    offset: u32,
    frame: Frame,
}

impl Frames {
    /// Creates the file.
    pub(crate) fn create(file: &Path, vni: Option<Vni>, mac: Option<Mac>) -> Result<Self, Refusal> {
        let writer = Writer::create(file, Format::Pcapng).map_err(|error| Refusal::Failed(error.to_string()))?;
        let nanoseconds = |clock| {
            let time = clock_gettime(clock);
            i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
        };
        let booted = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime);
        Ok(Self::over(writer, (vni, mac), booted, file.display().to_string()))
    }

    fn over(writer: Writer, chosen: (Option<Vni>, Option<Mac>), booted: i128, name: String) -> Self {
        Self { writer, interfaces: BTreeMap::new(), open: BTreeMap::new(), chosen, booted, strange: 0, lost: 0, name }
    }

    /// Takes a line of the tracer.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Refusal> {
        // `Lost 17 events`: bpftrace's buffer was full.
        if let Some(lost) = line.strip_prefix("Lost ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok()) {
            self.lost = self.lost.saturating_add(lost);
            return Ok(());
        }
        if line.starts_with("Tracing ") {
            let _ = writeln!(io::stderr(), "overlay-trace: writing {}... Ctrl-C ends", self.name);
            return Ok(());
        }
        let Some(part) = part(line) else {
            self.strange += u64::from(line.starts_with(|first: char| first.is_ascii_digit()));
            return Ok(());
        };
        let Part { id, offset, frame } = part;
        let frame = match self.open.remove(&id) {
            None if offset == 0 => frame,
            // Its first part was lost, or did not fit in what is open: these bytes are no beginning of a frame.
            None => {
                self.strange += 1;
                return Ok(());
            }
            Some(mut first) if offset as usize == first.bytes.len() => {
                first.bytes.extend(frame.bytes);
                first
            }
            // A part that does not follow: the first one alone is true.
            Some(first) => {
                self.strange += 1;
                self.write(id, &first)?;
                return Ok(());
            }
        };
        if frame.bytes.len() >= frame.len.min(BYTES_MAX) as usize {
            return self.write(id, &frame);
        }
        self.open.insert(id, frame);
        if self.open.len() > OPEN_MAX
            && let Some((id, oldest)) = self.open.pop_first()
        {
            return self.write(id, &oldest);
        }
        Ok(())
    }

    fn write(&mut self, id: u64, frame: &Frame) -> Result<(), Refusal> {
        let (vni, mac) = self.chosen;
        let from_or_to = |mac: Mac| frame.bytes.get(..12).is_some_and(|macs| macs[..6] == mac.0 || macs[6..] == mac.0);
        if vni.is_some_and(|vni| vni.get() != frame.vni) || mac.is_some_and(|mac| !from_or_to(mac)) {
            return Ok(());
        }
        let count = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        let interface = self.interfaces.entry(frame.vni).or_insert_with(|| Interface {
            index: count,
            description: Some(format!("inner frames of virtual network {}, first {BYTES_MAX} bytes", frame.vni)),
            snaplen: BYTES_MAX,
            ..Interface::named(format!("vni{}", frame.vni), LinkType::ETHERNET)
        });
        let since = self.booted + i128::from(frame.ns);
        let (seconds, nanoseconds) = (since.div_euclid(1_000_000_000), since.rem_euclid(1_000_000_000));
        // The remainder is below 10^9; a clock set to a year beyond 64 bits of seconds is none.
        let timestamp = Timestamp::new(i64::try_from(seconds).unwrap_or_default(), u32::try_from(nanoseconds).unwrap_or_default());
        let comment = format!("frame {id:016x}");
        let comments = [&*comment];
        let record = Record::new(LinkType::ETHERNET, timestamp, &frame.bytes).with_len(frame.len).with_interface(interface);
        let record = record.with_direction(frame.direction).with_comments(&comments);
        self.writer.write(&record).and_then(|()| self.writer.flush()).map_err(|error| Refusal::Failed(error.to_string()))
    }

    /// Writes what is left; says what is in the file.
    pub(crate) fn finish(mut self) -> Result<String, Refusal> {
        while let Some((id, frame)) = self.open.pop_first() {
            self.write(id, &frame)?;
        }
        let (frames, networks) = (self.writer.records(), self.interfaces.len());
        self.writer.finish().map_err(|error| Refusal::Failed(error.to_string()))?;
        let mut sentence = format!("{}: {frames} frames of {networks} networks", self.name);
        if self.lost > 0 {
            sentence.push_str(&format!("; bpftrace lost {} lines", self.lost));
        }
        if self.strange > 0 {
            sentence.push_str(&format!("; {} lines were not understood", self.strange));
        }
        Ok(sentence)
    }
}

/// `NS FRAME VNI DIRECTION LEN OFFSET HEX`.
fn part(line: &str) -> Option<Part> {
    let mut words = line.split(' ');
    let mut number = |radix| u64::from_str_radix(words.next()?, radix).ok();
    let (ns, id) = (number(10)?, number(16)?);
    let (vni, direction, len, offset) = (number(10)?, number(10)?, number(10)?, number(10)?);
    let direction = match direction {
        0 => Direction::Outbound,
        1 => Direction::Inbound,
        _ => return None,
    };
    let (vni, len, offset) = (u32::try_from(vni).ok()?, u32::try_from(len).ok()?, u32::try_from(offset).ok()?);
    let hex = words.next().unwrap_or_default();
    let pairs = hex.as_bytes().chunks_exact(2);
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect();
    let bytes = bytes.filter(|bytes| bytes.len() <= BYTES_MAX as usize && hex.len().is_multiple_of(2))?;
    let fits = words.next().is_none() && len <= LEN_MAX && offset <= BYTES_MAX && bytes.len() <= len.saturating_sub(offset) as usize;
    fits.then_some(Part { id, offset, frame: Frame { ns, vni, direction, len, bytes } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Bytes, length, time, interface, comment.
    type Found = (Vec<u8>, u32, i64, String, String);

    /// What a reader of captures finds, and what is said at the end.
    fn read_back(lines: &[String], chosen: (Option<Vni>, Option<Mac>)) -> (Vec<Found>, String) {
        let shared = Shared::default();
        let mut frames = Frames::over(Writer::new(shared.clone(), Format::Pcapng), chosen, 1_000_000_000_000, "f".into());
        lines.iter().for_each(|line| frames.line(line).unwrap());
        let sentence = frames.finish().unwrap();
        let bytes = shared.0.lock().unwrap().clone();
        let mut reader = overlay_captures::Reader::new(std::io::Cursor::new(bytes)).unwrap();
        let mut found = Vec::new();
        let mut chunk = overlay_captures::Chunk::new();
        while reader.next_chunk(&mut chunk).unwrap() {
            for record in chunk.records() {
                let comment = record.comments().next().unwrap().into_owned();
                let name = record.interface.unwrap().name.clone().unwrap();
                found.push((record.bytes.to_vec(), record.len, record.timestamp.unwrap().seconds, name, comment));
            }
        }
        (found, sentence)
    }

    fn line(id: u64, vni: u32, len: u32, offset: u32, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {id:016x} {vni} 0 {len} {offset} {hex}", 7_000_000_000_u64)
    }

    #[test]
    fn parts_become_frames_also_out_of_each_others_way() {
        let (a, b) = ((0..150).collect::<Vec<u8>>(), vec![9; 60]);
        let lines = [line(1, 77, 150, 0, &a[..96]), line(2, 78, 60, 0, &b), line(1, 77, 150, 96, &a[96..])];
        let (found, sentence) = read_back(&lines, (None, None));
        let expected = [
            (b, 60, 1007, "vni78".to_owned(), "frame 0000000000000002".to_owned()),
            (a, 150, 1007, "vni77".to_owned(), "frame 0000000000000001".to_owned()),
        ];
        assert_eq!((found.as_slice(), &*sentence), (&expected[..], "f: 2 frames of 2 networks"));
    }

    #[test]
    fn a_long_frame_is_cut_and_says_so_and_a_lost_part_costs_no_more() {
        let bytes = [5; 96];
        let lines = [line(1, 7, 9000, 0, &bytes), line(1, 7, 9000, 96, &bytes), line(2, 7, 200, 0, &bytes), "Lost 3 events".into()];
        let (found, sentence) = read_back(&lines, (None, None));
        assert_eq!(found.iter().map(|frame| (frame.0.len(), frame.1)).collect::<Vec<_>>(), [(192, 9000), (96, 200)]);
        assert_eq!(sentence, "f: 2 frames of 1 networks; bpftrace lost 3 lines");
    }

    #[test]
    fn what_is_chosen_is_written() {
        let mac: Mac = "02:00:00:00:00:01".parse().unwrap();
        let mine = [&[2, 0, 0, 0, 0, 1][..], &[3; 54]].concat();
        let lines = [line(1, 7, 60, 0, &mine), line(2, 7, 60, 0, &[3; 60]), line(3, 8, 60, 0, &mine)];
        let names = |chosen| read_back(&lines, chosen).0.into_iter().map(|frame| frame.4).collect::<Vec<_>>();
        assert_eq!(names((Some("7".parse().unwrap()), Some(mac))), ["frame 0000000000000001"]);
        assert_eq!(names((None, Some(mac))).len(), 2);
    }

    #[test]
    fn no_line_is_too_strange() {
        let long = format!("1 1 1 0 60 0 {}", "ab".repeat(200));
        for strange in
            ["", "Tracing", "1", "1 2 3 4 5 6 7", "1 1 1 0 60 0 abc", "1 1 1 0 60 0 zz", "1 1 1 0 1 0 abab", "1 1 1 0 99999999 0 ab", &long]
        {
            assert!(part(strange).is_none(), "{strange}");
            assert_eq!(read_back(&[strange.to_owned()], (None, None)).0.len(), 0);
        }
    }

    #[test]
    fn a_part_without_its_beginning_is_no_frame() {
        let lines = [line(1, 7, 150, 96, &[1; 54]), line(2, 7, 60, 0, &[2; 60]), line(1, 7, 150, 96, &[1; 54])];
        let (found, sentence) = read_back(&lines, (None, None));
        assert_eq!(found.iter().map(|frame| &*frame.4).collect::<Vec<_>>(), ["frame 0000000000000002"]);
        assert_eq!(sentence, "f: 1 frames of 1 networks; 2 lines were not understood");
    }
}
