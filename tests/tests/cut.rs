//! What is left of a capture that ends anywhere? Every prefix of every file of the corpus, and every prefix of every packet.
//!
//! In this process, over the libraries: hundreds of thousands of cuts are no job for a child process each.

use overlay_captures::{Chunk, ReadError, Reader, Record};
use overlay_decoder::render::{self, Style};
use overlay_decoder::text::Text;
use overlay_decoder::{Layer, LinkType, Meta, Packet, Stop, StopKind, Timestamp, Walker};
use overlay_tests::{bytes_of, corpus, name};
use std::borrow::Cow;
use std::io::Cursor;

/// Files up to here are cut at every byte; of longer ones the first so many, and then every [`STRIDE`]th.
const EVERY_BYTE: usize = 8 * 1024;
/// Odd, so that no field of a power of two is always cut at the same place.
const STRIDE: usize = 7;

/// What a record says, kept beyond its chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Kept {
    timestamp: Option<Timestamp>,
    len: u32,
    bytes: Vec<u8>,
    link: LinkType,
}

/// All renderings of a packet, one after the other.
fn render_all(packet: &Packet<'_>, record: Option<&Record<'_>>, out: &mut Text) {
    out.clear();
    let comments: Vec<Cow<'_, str>> = record.map(|record| record.comments().collect()).unwrap_or_default();
    let meta = Meta { number: 1, timestamp: record.and_then(|record| record.timestamp), comments: &comments, ..Meta::default() };
    for verify in [false, true] {
        let style = Style { verify, link_level: verify, ..Style::default() };
        render::line(packet, &style, out);
        render::layers(packet, b"", &style, out);
        render::tree(packet, &style, out);
        render::json(packet, &meta, &style, out);
    }
    render::hex(packet.bytes, true, out);
}

/// Reads, decodes and renders a capture; gives its records and how it ended.
fn read(bytes: &[u8]) -> (Vec<Kept>, Result<(), ReadError>) {
    let mut reader = match Reader::new(Cursor::new(bytes.to_vec())) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut chunk, mut walker, mut out, mut kept) = (Chunk::new(), Walker::default(), Text::new(), Vec::new());
    loop {
        match reader.next_chunk(&mut chunk) {
            Ok(true) => {}
            Ok(false) => return (kept, Ok(())),
            Err(error) => return (kept, Err(error)),
        }
        for record in chunk.records() {
            render_all(&walker.walk(record.bytes, record.len, record.link), Some(&record), &mut out);
            kept.push(Kept { timestamp: record.timestamp, len: record.len, bytes: record.bytes.to_vec(), link: record.link });
        }
    }
}

fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length.min(EVERY_BYTE)).chain((EVERY_BYTE..length).step_by(STRIDE))
}

#[test]
fn a_capture_cut_anywhere_gives_the_packets_before_the_cut_and_says_where_it_ends() {
    for path in corpus() {
        let (capture, bytes) = (name(&path), bytes_of(&path));
        let (whole, whole_end) = read(&bytes);
        let mut clean_ends = 0;
        for at in cuts(bytes.len()) {
            let (records, end) = read(&bytes[..at]);
            assert!(whole.starts_with(&records), "{capture} cut at {at}: its records are no prefix of the whole file's");
            match end {
                // A cut between two records is the end of a shorter capture.
                Ok(()) => clean_ends += 1,
                Err(error) => {
                    let sentence = error.to_string();
                    let cut_off = error.is_cut_off() || (at == 0 && sentence.contains("empty"));
                    let as_whole = whole_end.as_ref().is_err_and(|whole| whole.to_string() == sentence);
                    // The first bytes of a file that was never a capture are no cut-off capture either.
                    let never_one = sentence.contains("not a capture") && whole_end.is_err();
                    assert!(cut_off || as_whole || never_one, "{capture} cut at {at}: {sentence}");
                }
            }
        }
        // A cut ends a capture cleanly behind its header and behind each whole record or block, nowhere else; compressed ones never.
        let blocks_max = 2 * whole.len() + 16;
        assert!(clean_ends <= blocks_max, "{capture}: {clean_ends} of {} cuts went unnoticed", bytes.len());
    }
}

/// Whether the shorter walk found what the longer one did, as far as its bytes go. The last layer may have seen less.
fn is_prefix(short: &[Layer], whole: &[Layer]) -> bool {
    let same = |one: &Layer, other: &Layer| (one.kind(), one.offset) == (other.kind(), other.offset);
    match short.split_last() {
        None => true,
        Some((last, before)) => {
            short.len() <= whole.len()
                && before.iter().zip(whole).all(|(one, other)| same(one, other) && one.length == other.length)
                && (same(last, &whole[before.len()]) || last.kind().name() == "payload")
        }
    }
}

#[test]
fn a_packet_cut_anywhere_keeps_its_layers_and_blames_the_capture() {
    let (mut walker, mut whole_walker, mut out) = (Walker::default(), Walker::default(), Text::new());
    let (mut packets, mut wrong) = (0, Vec::new());
    for path in corpus() {
        let (records, _) = read(&bytes_of(&path));
        for (index, record) in records.iter().enumerate() {
            packets += 1;
            let len = record.len.max(record.bytes.len() as u32);
            let whole = whole_walker.walk(&record.bytes, len, record.link);
            for at in 0..record.bytes.len() {
                let cut = walker.walk(&record.bytes[..at], len, record.link);
                render_all(&cut, None, &mut out);
                let own_fault = |stop: &Stop| whole.stop.is_some_and(|known| known.kind == stop.kind);
                let blamed = cut.stop.is_none_or(|stop| stop.kind == StopKind::Truncated || own_fault(&stop));
                if !(is_prefix(cut.layers, whole.layers) && blamed || guess_was_lost(&cut, &whole)) {
                    wrong.push(format!("{} packet {} cut at {at}: {} of {}", name(&path), index + 1, told(&cut), told(&whole)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cuts:\n{}", wrong.len(), wrong.join("\n"));
    assert!(packets > 300, "only {packets} packets were cut");
}

/// The layers and the stop of a packet in a few words.
fn told(packet: &Packet<'_>) -> String {
    let layers: Vec<String> =
        packet.layers.iter().map(|layer| format!("{}@{}+{}", layer.kind().name(), layer.offset, layer.length)).collect();
    let stop = packet.stop.map(|stop| format!("[{} {stop}]", stop.kind.name())).unwrap_or_default();
    layers.join(" ") + &stop
}

/// A tunnel on a port that nobody named is only guessed with its inner header at hand: cut before that, it is payload.
fn guess_was_lost(cut: &Packet<'_>, whole: &Packet<'_>) -> bool {
    use overlay_decoder::Body;
    let guessed = |layer: &Layer| matches!(&layer.body, Body::Vxlan(h) if h.guessed) || matches!(&layer.body, Body::Geneve(h) if h.guessed);
    let Some(at) = whole.layers.iter().position(guessed) else { return false };
    cut.layers.len() <= at + 1 && is_prefix(&cut.layers[..cut.layers.len().min(at)], whole.layers)
}

/// The oracle of the test above must be able to say no.
#[test]
fn another_packet_is_no_prefix() {
    let path = corpus().into_iter().find(|path| name(path) == "vxlan.pcap").unwrap();
    let (records, _) = read(&bytes_of(&path));
    let (mut one, mut other) = (Walker::default(), Walker::default());
    let arp = one.walk(&records[0].bytes, records[0].len, records[0].link);
    let tcp = other.walk(&records[1].bytes, records[1].len, records[1].link);
    assert!(!is_prefix(arp.layers, tcp.layers) && !is_prefix(tcp.layers, arp.layers));
    assert!(is_prefix(&tcp.layers[..3], tcp.layers));
}
