//! Is what was written what is read? For every format, whatever the packets, however slowly the bytes arrive, and wherever the
//! file is cut off.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};

use overlay_captures::{Chunk, Direction, Format, Interface, LinkType, ReadError, Reader, Record, Timestamp, Writer};
use proptest::prelude::*;

const FORMATS: [Format; 4] = [Format::Pcap, Format::PcapNano, Format::Pcapng, Format::Snoop];

/// A record that owns what it says.
#[derive(Clone, PartialEq, Debug)]
struct Packet {
    timestamp: Option<Timestamp>,
    len: u32,
    bytes: Vec<u8>,
    link: LinkType,
    /// Name, description and snaplen of its interface.
    interface: Option<(Option<String>, Option<String>, u32)>,
    comments: Vec<String>,
    direction: Option<Direction>,
    dropped: Option<u64>,
}

impl Packet {
    fn of(record: &Record<'_>) -> Self {
        Self {
            timestamp: record.timestamp,
            len: record.len,
            bytes: record.bytes.to_vec(),
            link: record.link,
            interface: record.interface.map(|i| (i.name.clone(), i.description.clone(), i.snaplen)),
            comments: record.comments().map(String::from).collect(),
            direction: record.direction(),
            dropped: record.dropped(),
        }
    }

    /// What `format` keeps of this packet.
    fn kept_by(&self, format: Format) -> Self {
        let cut = |unit: u32| self.timestamp.map(|t| Timestamp::new(t.seconds, t.nanoseconds / unit * unit));
        let bare = Self { interface: None, comments: Vec::new(), direction: None, dropped: None, ..self.clone() };
        match format {
            Format::Pcap => Self { timestamp: cut(1_000), ..bare },
            Format::PcapNano => bare,
            Format::Pcapng => self.clone(),
            // Zero means "not counted" in snoop.
            Format::Snoop => Self { timestamp: cut(1_000), dropped: self.dropped.filter(|d| *d > 0), ..bare },
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9]{1,9}", "\\PC{0,40}"]
}

fn packet(max_bytes: usize) -> impl Strategy<Value = Packet> {
    let bytes = prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..max_bytes), 1 => Just(Vec::new())];
    let time = (0..=u32::MAX, 0..1_000_000_000_u32).prop_map(|(s, ns)| Timestamp::new(s.into(), ns));
    let comments = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(text(), 1..4)];
    let direction = prop::option::of(prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)]);
    (time, any::<u32>(), bytes, 0..4_u32, comments, direction, prop::option::of(0..1_000_u64)).prop_map(
        |(time, len, bytes, interface, comments, direction, dropped)| {
            let name = (interface > 0).then(|| format!("eth{interface}"));
            let description = (interface > 1).then(|| "second".to_owned());
            let interface = Some((name, description, interface * 1_000_000));
            Packet { timestamp: Some(time), len, bytes, link: LinkType::ETHERNET, interface, comments, direction, dropped }
        },
    )
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(format: Format, packets: &[Packet]) -> Vec<u8> {
    let sink = Shared::default();
    let mut writer = Writer::new(sink.clone(), format);
    for (i, packet) in packets.iter().enumerate() {
        let (name, description, snaplen) = packet.interface.clone().unwrap_or_default();
        let interface = Interface { name, description, snaplen, ..Interface::unnamed(packet.link) };
        let comments: Vec<&str> = packet.comments.iter().map(String::as_str).collect();
        let mut record = Record::new(packet.link, Timestamp::default(), &packet.bytes).with_len(packet.len).with_interface(&interface);
        record.timestamp = packet.timestamp;
        record = record.with_comments(&comments);
        if let Some(direction) = packet.direction {
            record = record.with_direction(direction);
        }
        if let Some(dropped) = packet.dropped {
            record = record.with_dropped(dropped);
        }
        writer.write(&record).unwrap();
        assert_eq!(writer.records(), i as u64 + 1);
    }
    let length = writer.finish().unwrap();
    let bytes = sink.0.lock().unwrap().clone();
    assert_eq!(length, bytes.len() as u64);
    bytes
}

/// All packets, and the error at the end.
fn read(source: impl Read + Send + 'static) -> (Vec<Packet>, Option<ReadError>) {
    let mut packets = Vec::new();
    let mut chunk = Chunk::new();
    let mut reader = match Reader::new(source) {
        Ok(reader) => reader,
        Err(error) => return (packets, Some(error)),
    };
    loop {
        match reader.next_chunk(&mut chunk) {
            Ok(true) => {
                for record in chunk.records() {
                    packets.push(Packet::of(&record));
                    assert_eq!(record.number, packets.len() as u64);
                }
            }
            Ok(false) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

/// Gives at most `piece` bytes at a time.
struct Dribble(Cursor<Vec<u8>>, usize);

impl Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = self.1.min(into.len());
        self.0.read(&mut into[..piece])
    }
}

/// Where a file may end without being cut off: after its header, its records, its blocks. Walked here a second time, because
/// what the reader takes for an end is the question.
fn sound_ends(format: Format, bytes: &[u8]) -> BTreeSet<usize> {
    let word = |at: usize| -> [u8; 4] { bytes[at..at + 4].try_into().unwrap() };
    let (mut at, length): (usize, Box<dyn Fn(usize) -> usize>) = match format {
        Format::Pcap | Format::PcapNano => (24, Box::new(|at| 16 + u32::from_le_bytes(word(at + 8)) as usize)),
        Format::Pcapng => (0, Box::new(|at| u32::from_le_bytes(word(at + 4)) as usize)),
        Format::Snoop => (16, Box::new(|at| u32::from_be_bytes(word(at + 8)) as usize)),
    };
    let mut ends = BTreeSet::from([at]);
    while at < bytes.len() {
        at += length(at);
        ends.insert(at);
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_what_is_read(packets in prop::collection::vec(packet(3_000), 0..60)) {
        for format in FORMATS {
            let (found, error) = read(Cursor::new(written(format, &packets)));
            prop_assert!(error.is_none(), "{}: {:?}", format, error);
            let expected: Vec<_> = packets.iter().map(|packet| packet.kept_by(format)).collect();
            prop_assert_eq!(found, expected, "{}", format);
        }
    }

    #[test]
    fn bytes_that_arrive_slowly_are_the_same_packets(packets in prop::collection::vec(packet(300), 0..12), piece in 1..40_usize) {
        for format in FORMATS {
            let bytes = written(format, &packets);
            let expected = read(Cursor::new(bytes.clone())).0;
            for piece in [1, piece] {
                let (found, error) = read(Dribble(Cursor::new(bytes.clone()), piece));
                prop_assert!(error.is_none(), "{}: {:?}", format, error);
                prop_assert_eq!(&found, &expected, "{} in pieces of {}", format, piece);
            }
        }
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_what_is_whole_and_says_that_it_is_cut(packets in prop::collection::vec(packet(60), 0..6)) {
        for format in FORMATS {
            let bytes = written(format, &packets);
            let whole = read(Cursor::new(bytes.clone())).0;
            let ends = sound_ends(format, &bytes);
            for length in 1..=bytes.len() {
                let (found, error) = read(Cursor::new(bytes[..length].to_vec()));
                prop_assert_eq!(&found[..], &whole[..found.len()]);
                match error {
                    None => prop_assert!(ends.contains(&length), "{} of {} bytes of {} pass for whole", length, bytes.len(), format),
                    Some(error) => {
                        prop_assert!(error.is_cut_off(), "{}", error);
                        prop_assert!(!ends.contains(&length), "{}: {} is an end, but {}", format, length, error);
                    }
                }
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic_and_never_cost_what_comes_before(
        packets in prop::collection::vec(packet(60), 1..6), place in any::<prop::sample::Index>(), value in any::<u8>()
    ) {
        for format in FORMATS {
            let mut bytes = written(format, &packets);
            let place = place.index(bytes.len());
            let before = read(Cursor::new(bytes[..place].to_vec())).0.len();
            bytes[place] = value;
            let (found, error) = read(Cursor::new(bytes));
            prop_assert!(found.len() >= before, "{}: {} of {} packets, {:?}", format, found.len(), before, error);
        }
    }
}

#[test]
fn a_packet_without_a_time_is_a_simple_packet_of_the_first_interface_and_has_time_zero_elsewhere() {
    let packet = |interface: &str, len: u32| Packet {
        timestamp: None,
        len,
        bytes: vec![1, 2, 3, 4, 5],
        link: LinkType::RAW,
        interface: Some((Some(interface.to_owned()), None, 0)),
        comments: Vec::new(),
        direction: None,
        dropped: None,
    };
    let packets = [packet("a", 5), packet("a", 6), packet("b", 5)];
    let (found, error) = read(Cursor::new(written(Format::Pcapng, &packets)));
    assert!(error.is_none(), "{error:?}");
    let times: Vec<_> = found.iter().map(|p| p.timestamp).collect();
    // The second was captured in part without a snaplen that explains it, the third is of another interface.
    assert_eq!(times, [None, Some(Timestamp::default()), Some(Timestamp::default())]);
    let bytes = written(Format::Pcap, &packets);
    assert!(read(Cursor::new(bytes)).0.iter().all(|p| p.timestamp == Some(Timestamp::default())));
}

#[test]
fn several_link_types_make_several_interfaces_of_pcapng() {
    let links = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL2, LinkType(147), LinkType::ETHERNET];
    let sink = Shared::default();
    let mut writer = Writer::new(sink.clone(), Format::Pcapng);
    for link in links {
        writer.write(&Record::new(link, Timestamp::new(1, 1), &[0; 60])).unwrap();
    }
    writer.finish().unwrap();
    let bytes = sink.0.lock().unwrap().clone();
    let mut reader = Reader::new(Cursor::new(bytes)).unwrap();
    let mut chunk = Chunk::new();
    assert!(reader.next_chunk(&mut chunk).unwrap());
    let found: Vec<_> = chunk.records().map(|r| (r.link, r.interface.unwrap().index)).collect();
    let indexes = [0, 1, 2, 3, 0];
    assert_eq!(found, links.into_iter().zip(indexes).collect::<Vec<_>>());
}
