//! Who talked? Packets and bytes per virtual network and per conversation.

use overlay_captures::Record;
use overlay_decoder::flow::{FlowKey, TunnelPath};
use overlay_decoder::text::Text;
use overlay_decoder::{Packet, Timestamp};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hash;

/// Rows that a table keeps; what comes later is counted in a row `(other)`. Sixteen bytes of a hostile capture make a new
/// conversation, so that without a cap the capture would choose how much memory is used.
const ROWS_MAX: usize = 65_536;
/// Rows that are printed of the conversations as text; JSON has all.
const SHOWN: usize = 100;

#[derive(Clone, Copy, Default, Debug)]
struct Count {
    packets: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }
}

/// One row: both directions apart, and when it was seen.
#[derive(Clone, Copy, Default, Debug)]
struct Row {
    forward: Count,
    backward: Count,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Row {
    fn add(&mut self, bytes: u32, forward: bool, time: Option<Timestamp>) {
        if forward {
            self.forward.add(bytes)
        } else {
            self.backward.add(bytes)
        }
        self.first = self.first.or(time);
        self.last = time.or(self.last);
    }

    fn packets(&self) -> u64 {
        self.forward.packets + self.backward.packets
    }

    fn bytes(&self) -> u64 {
        self.forward.bytes + self.backward.bytes
    }
}

/// A capped table.
struct Table<K> {
    rows: HashMap<K, Row>,
    other: Row,
}

impl<K: Hash + Eq + Ord + Copy> Table<K> {
    fn new() -> Self {
        Self { rows: HashMap::new(), other: Row::default() }
    }

    fn row(&mut self, key: K) -> &mut Row {
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key) { &mut self.other } else { self.rows.entry(key).or_default() }
    }

    /// The rows, most bytes first, equal ones by their key so that the output is the same every time.
    fn sorted(&self) -> Vec<(K, Row)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(key, row)| (*key, *row)).collect();
        rows.sort_by(|a, b| b.1.bytes().cmp(&a.1.bytes()).then(a.0.cmp(&b.0)));
        rows
    }

    fn other(&self) -> Option<Row> {
        (self.other.packets() > 0).then_some(self.other)
    }
}

/// Statistics of a capture.
pub(crate) struct Stats {
    total: Row,
    stopped: u64,
    networks: Table<TunnelPath>,
    flows: Table<FlowKey>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self { total: Row::default(), stopped: 0, networks: Table::new(), flows: Table::new() }
    }

    /// Counts a packet.
    pub(crate) fn add(&mut self, record: &Record<'_>, packet: &Packet<'_>) {
        self.total.add(record.len, true, record.timestamp);
        self.stopped += u64::from(packet.stop.is_some());
        self.networks.row(TunnelPath::of(packet)).add(record.len, true, record.timestamp);
        if let Some((key, forward)) = FlowKey::of(packet) {
            self.flows.row(key).add(record.len, forward, record.timestamp);
        }
    }

    /// Writes the tables for people.
    pub(crate) fn text(&self, out: &mut Text) {
        let networks = self.networks.sorted();
        let flows = self.flows.sorted();
        let plural = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let tunnelled = networks.iter().filter(|(path, _)| !path.is_empty()).count() as u64;
        let head = [
            plural(self.total.packets(), "packet", "packets"),
            plural(self.total.bytes(), "byte", "bytes"),
            plural(tunnelled, "virtual network", "virtual networks"),
            plural(flows.len() as u64, "conversation", "conversations"),
            format!("{} not decoded to the end", self.stopped),
        ];
        line(out, format_args!("{}", head.join(", ")));
        out.byte(b'\n');

        line(out, format_args!("{:<32} {:>12} {:>15} {:>12}", "NETWORK", "PACKETS", "BYTES", "SECONDS"));
        let other = self.networks.other();
        let names = networks.iter().map(|(path, row)| (if path.is_empty() { "(no tunnel)".into() } else { path.to_string() }, *row));
        for (name, row) in names.chain(other.map(|row| ("(other)".into(), row))) {
            line(out, format_args!("{name:<32} {:>12} {:>15} {:>12}", row.packets(), row.bytes(), seconds(&row)));
        }
        out.byte(b'\n');

        let path_width = flows.iter().take(SHOWN).map(|(key, _)| key.path.to_string().len()).max().unwrap_or(0).max("NETWORK".len());
        let ends = |key: &FlowKey| format!("{} {} <> {}", key.protocol, key.a, key.b);
        let ends_width = flows.iter().take(SHOWN).map(|(key, _)| ends(key).len()).max().unwrap_or(0).max("CONVERSATION".len());
        line(
            out,
            format_args!(
                "{:<path_width$}  {:<ends_width$} {:>10} {:>13} {:>10} {:>13} {:>12}",
                "NETWORK", "CONVERSATION", "PACKETS >", "BYTES >", "PACKETS <", "BYTES <", "SECONDS"
            ),
        );
        let row_line = |out: &mut Text, path: &str, ends: &str, row: &Row| {
            line(
                out,
                format_args!(
                    "{path:<path_width$}  {ends:<ends_width$} {:>10} {:>13} {:>10} {:>13} {:>12}",
                    row.forward.packets,
                    row.forward.bytes,
                    row.backward.packets,
                    row.backward.bytes,
                    seconds(row)
                ),
            );
        };
        for (key, row) in flows.iter().take(SHOWN) {
            row_line(out, &key.path.to_string(), &ends(key), row);
        }
        if let Some(row) = self.flows.other() {
            row_line(out, "(other)", "", &row);
        }
        if flows.len() > SHOWN {
            line(out, format_args!("... and {} more; --json has all", flows.len() - SHOWN));
        }
    }

    /// Writes one JSON object.
    pub(crate) fn json(&self, out: &mut Text) {
        out.text("{\"schema\":1,\"total\":{");
        counts(&self.total, out);
        out.text(",\"stopped\":");
        out.num(self.stopped);
        out.text("},\"networks\":[");
        let mut gap = "";
        for (path, row) in self.networks.sorted() {
            out.text(gap);
            gap = ",";
            out.text("{\"network\":");
            string_or_null((!path.is_empty()).then(|| path.to_string()), out);
            out.byte(b',');
            counts(&row, out);
            out.byte(b'}');
        }
        out.text("],\"networks_other\":{");
        counts(&self.networks.other, out);
        out.text("},\"conversations\":[");
        gap = "";
        for (key, row) in self.flows.sorted() {
            out.text(gap);
            gap = ",";
            out.text("{\"network\":");
            string_or_null((!key.path.is_empty()).then(|| key.path.to_string()), out);
            for (name, value) in [("protocol", key.protocol.to_string()), ("a", key.a.to_string()), ("b", key.b.to_string())] {
                out.text(",\"");
                out.text(name);
                out.text("\":");
                out.json_string(value.as_bytes());
            }
            for (name, count) in [("a_to_b", row.forward), ("b_to_a", row.backward)] {
                out.text(",\"");
                out.text(name);
                out.text("\":{\"packets\":");
                out.num(count.packets);
                out.text(",\"bytes\":");
                out.num(count.bytes);
                out.byte(b'}');
            }
            out.byte(b',');
            counts(&row, out);
            out.byte(b'}');
        }
        out.text("],\"conversations_other\":{");
        counts(&self.flows.other, out);
        out.text("}}\n");
    }
}

fn line(out: &mut Text, arguments: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = out.write_fmt(arguments);
    let kept = out.as_bytes().trim_ascii_end().len();
    out.truncate(kept);
    out.byte(b'\n');
}

fn string_or_null(text: Option<String>, out: &mut Text) {
    match text {
        Some(text) => out.json_string(text.as_bytes()),
        None => out.text("null"),
    }
}

fn counts(row: &Row, out: &mut Text) {
    out.text("\"packets\":");
    out.num(row.packets());
    out.text(",\"bytes\":");
    out.num(row.bytes());
    for (name, time) in [("first", row.first), ("last", row.last)] {
        out.text(",\"");
        out.text(name);
        match time {
            Some(time) => {
                out.text("\":\"");
                out.signed(time.seconds);
                out.byte(b'.');
                out.nanoseconds(time.nanoseconds);
                out.byte(b'"');
            }
            None => out.text("\":null"),
        }
    }
}

/// How long a row was seen, in seconds with three digits.
fn seconds(row: &Row) -> String {
    let (Some(first), Some(last)) = (row.first, row.last) else { return "-".into() };
    let milliseconds = last.since(first) / 1_000_000;
    let sign = if milliseconds < 0 { "-" } else { "" };
    let milliseconds = milliseconds.unsigned_abs();
    format!("{sign}{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}
