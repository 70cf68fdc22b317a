//! Which lines are on the screen? What is known, filtered and in the chosen order.

use super::tell::is_of;
use super::{Key, Known, Lines, State};
use crate::column::{self, DropLine, Head, Line, LookupLine, OverlayLine, Rates, Screen, Signal, TargetLine, VnicLine};
use crate::rows::{ExampleRow, LookupRow, OverlayRow, VnicRow};
use crate::value::{Value, printable};
use crate::wish;
use overlay_api::DropReason;

/// Whose drops they are when they are no overlay's.
pub(super) const NOBODY: &str = "(none)";

pub(super) fn overlay_key(row: &OverlayRow) -> Key {
    (row.from.clone(), row.name.clone(), row.vni)
}

pub(super) fn vnic_key(row: &VnicRow) -> Key {
    (row.from.clone(), row.name.clone(), None)
}

pub(super) fn lookup_key(row: &LookupRow) -> Key {
    (row.from.clone(), row.overlay.clone(), None)
}

/// What the kernel calls its drops; everything else is a [`DropReason`].
const KERNEL: [(&str, &str, &str); 5] = [
    ("tx-dropped", "transmit", "The kernel's device dropped what it was to send: nowhere to send it to, or no memory."),
    ("tx-errors", "transmit", "The kernel's device could not send: no route to the other end, a packet too big, or no carrier."),
    ("rx-dropped", "receive", "The kernel's device dropped what it received: no memory, a full queue, or a VNI that it does not take."),
    ("rx-errors", "receive", "What the kernel's device received was not valid: its header, its length, or its own address as the source."),
    ("rx-missed", "receive", "The kernel's device had no room for what came."),
];

/// What all of the kernel's named reasons have in common.
const NAMED: &str = "The kernel's own reason (skb_drop_reason), for packets of all network namespaces since overlay-top was started.";

/// The direction and the meaning of a reason.
fn meaning(reason: &str) -> (&'static str, &'static str) {
    match DropReason::from_name(reason) {
        Some(known) => (known.direction().name(), known.explanation()),
        None if reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') => ("-", NAMED),
        None => KERNEL.iter().find(|(name, ..)| *name == reason).map_or(("-", ""), |(_, way, meaning)| (way, meaning)),
    }
}

impl State {
    /// Makes the lines of the screen that is looked at.
    pub(super) fn rebuild(&mut self) {
        let made = match self.screen {
            Screen::Overlays => {
                let lines = self.sources.values().flat_map(|known| {
                    known.overlays.iter().map(|row| OverlayLine { row: row.clone(), rates: self.rates(row), stale: known.fault.is_some() })
                });
                self.chosen(lines.collect(), Lines::Overlays)
            }
            Screen::Targets => self.target_lines(),
            Screen::Vnics => {
                let lines = self.sources.values().flat_map(|known| {
                    known.vnics.iter().map(|row| {
                        let rates = self.vnic_histories.get(&vnic_key(row)).map_or(Rates::default(), |history| history.rates());
                        VnicLine { row: row.clone(), rates, stale: known.fault.is_some() }
                    })
                });
                self.chosen(lines.collect(), Lines::Vnics)
            }
            Screen::Lookups => {
                let lines = self.sources.values().flat_map(|known| {
                    known.lookups.iter().map(|row| {
                        let rate = self.lookup_histories.get(&lookup_key(row)).and_then(|history| history.rates().misses);
                        LookupLine { row: row.clone(), rate, stale: known.fault.is_some() }
                    })
                });
                self.chosen(lines.collect(), Lines::Lookups)
            }
            Screen::Drops => self.chosen(self.drop_lines(), Lines::Drops),
            Screen::Events => self.chosen(self.events.iter().rev().cloned().collect(), Lines::Events),
        };
        (self.lines, self.total) = made;
    }

    fn chosen<L: Line>(&self, mut lines: Vec<L>, make: fn(Vec<L>) -> Lines) -> (Lines, usize) {
        let look = self.look();
        if !look.filter.is_empty() {
            lines.retain(|line| look.filter.passes(line, &|moment| self.clock(moment)));
        }
        column::sort(&mut lines, look.sort, look.descending);
        let total = lines.len();
        (make(lines), total)
    }

    fn target_lines(&self) -> (Lines, usize) {
        let stale = |known: &Known| known.fault.is_some();
        let mut sources = self.sources.values();
        if let (Some(only), None) = (sources.next(), sources.next()) {
            let lines = only.targets.rows.iter().map(|row| TargetLine { row: row.clone(), stale: stale(only) }).collect();
            return (Lines::Targets(usize::try_from(only.targets.offset).unwrap_or(0), lines), to_usize(only.targets.total));
        }
        let wish = wish::Wish { offset: 0, limit: usize::MAX, ..self.wish.clone() };
        let part = wish::merge(self.sources.values().map(|known| &known.targets), &wish);
        let gone: Vec<&String> = self.sources.iter().filter(|(_, known)| stale(known)).map(|(name, _)| name).collect();
        let line = |row: crate::rows::TargetRow| {
            let stale = gone.iter().any(|name| is_of(&row.from, name));
            TargetLine { row, stale }
        };
        let total = if self.wish.limit >= super::MERGED_MAX && !self.everything { part.rows.len() } else { to_usize(part.total) };
        (Lines::Targets(0, part.rows.into_iter().map(line).collect()), total)
    }

    pub(super) fn rates(&self, row: &OverlayRow) -> Rates {
        self.histories.get(&overlay_key(row)).map_or(Rates::default(), |history| history.rates())
    }

    /// Every reason that anything was dropped for.
    pub(crate) fn drop_lines(&self) -> Vec<DropLine> {
        let mut lines = Vec::new();
        for (name, known) in &self.sources {
            let mut push = |key: Key, reason: &str, count: u64| {
                let (direction, explanation) = meaning(reason);
                let (from, subject, vni) = key.clone();
                let grown = self.grown.get(&(key, reason.to_owned())).copied().unwrap_or_default();
                let stale = known.fault.is_some();
                let of = |example: &&ExampleRow| example.reason == reason && (vni.is_none() || example.vni == vni);
                let example = known.examples.iter().find(of).cloned();
                let (reason, rate) = (reason.to_owned(), grown.rate);
                lines.push(DropLine { from, subject, vni, reason, direction, count, rate, last: grown.last, explanation, example, stale });
            };
            for row in &known.overlays {
                row.drops.iter().for_each(|(reason, count)| push(overlay_key(row), reason, *count));
            }
            let nobody = (name.clone(), NOBODY.to_owned(), None);
            known.unattributed.iter().for_each(|(reason, count)| push(nobody.clone(), reason, *count));
        }
        lines.retain(|line| line.count > 0);
        lines
    }

    /// Everything that is known of the chosen line, by the titles of the columns; nothing where there is none.
    pub(crate) fn detail(&self) -> Option<Detail> {
        let cursor = self.look().cursor;
        let mut detail = match &self.lines {
            Lines::Overlays(lines) => {
                let line = lines.get(cursor)?;
                let mut detail = self.pairs(line, &line.row.name);
                detail.pairs.extend(line.row.listen.iter().map(|listen| ("LISTEN".to_owned(), printable(listen))));
                detail.pairs.extend(line.row.counters.iter().map(|(name, count)| (name.clone(), count.to_string())));
                if let Some(history) = self.histories.get(&overlay_key(&line.row)) {
                    let graph = |graph: &std::collections::VecDeque<u64>| graph.iter().copied().collect();
                    detail.graphs = vec![("TX/s", graph(&history.tx)), ("RX/s", graph(&history.rx)), ("DROP/s", graph(&history.drops))];
                }
                detail
            }
            Lines::Targets(first, lines) => {
                let line = lines.get(cursor.checked_sub(*first)?)?;
                let mut detail = self.pairs(line, &line.row.mac.to_string());
                let all: Vec<String> = line.row.ul3.iter().map(ToString::to_string).collect();
                if all.len() > 1 {
                    detail.sentences.push(format!("replicated to {}", all.join(", ")));
                }
                detail
            }
            Lines::Vnics(lines) => lines.get(cursor).map(|line| self.pairs(line, &line.row.name))?,
            Lines::Lookups(lines) => {
                let line = lines.get(cursor)?;
                let mut detail = self.pairs(line, &line.row.overlay);
                detail.sentences.extend(line.row.of_plugin.clone());
                detail
            }
            Lines::Drops(lines) => {
                let line = lines.get(cursor)?;
                let mut detail = self.pairs(line, &line.reason);
                detail.sentences.push(line.explanation.to_owned());
                let example = line.example.as_ref().map(|example| format!("last example, {}: {}", self.clock(example.at), example.text));
                detail.sentences.extend(example);
                detail
            }
            Lines::Events(lines) => {
                let line = lines.get(cursor)?;
                let mut detail = self.pairs(line, &line.subject);
                detail.sentences.push(line.text.clone());
                detail
            }
        };
        detail.sentences.retain(|sentence| !sentence.is_empty());
        detail.sentences.iter_mut().for_each(|sentence| *sentence = printable(sentence));
        Some(detail)
    }

    fn pairs<L: Line>(&self, line: &L, title: &str) -> Detail {
        let clock = |moment| self.clock(moment);
        let long = |value: &Value<'_>| value.shown(&clock).len() > 24;
        let cells = L::COLUMNS.iter().map(|column| (&column.head, (column.value)(line)));
        let (texts, pairs): (Vec<_>, Vec<_>) = cells.filter(|(_, value)| *value != Value::None).partition(|(_, value)| long(value));
        let pairs =
            pairs.into_iter().map(|(head, value)| (head.title.to_owned(), full(&value, &clock))).filter(|(_, text)| !text.is_empty());
        let skip = ["explanation", "example", "text"];
        let sentences = texts.into_iter().filter(|(head, _)| !skip.contains(&head.name));
        Detail {
            title: printable(title),
            pairs: pairs.collect(),
            sentences: sentences.map(|(head, value)| format!("{}: {}", head.title.to_lowercase(), value.shown(&clock))).collect(),
            graphs: Vec::new(),
        }
    }
}

/// Counts with all of their digits: there is room for them.
fn full(value: &Value<'_>, clock: &dyn Fn(u64) -> String) -> String {
    match value {
        Value::Count(count) => count.to_string(),
        other => other.shown(clock),
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What is known of one line.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Detail {
    pub(crate) title: String,
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) sentences: Vec<String>,
    /// What happened each time that it was told; the newest last.
    pub(crate) graphs: Vec<(&'static str, Vec<u64>)>,
}

/// A line's cells, and what it signals.
pub(crate) struct Row<'a> {
    pub(crate) cells: Vec<Value<'a>>,
    pub(crate) signal: Signal,
}

impl Lines {
    /// `count` lines from line `first` on, as far as they are known.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Vec<Row<'_>> {
        fn of<L: Line>(lines: &[L], first: usize, count: usize) -> Vec<Row<'_>> {
            let row = |line| Row { cells: L::COLUMNS.iter().map(|column| (column.value)(line)).collect(), signal: L::signal(line) };
            lines.iter().skip(first).take(count).map(row).collect()
        }
        match self {
            Self::Overlays(lines) => of(lines, first, count),
            Self::Targets(start, lines) => {
                // Those before the first that is known have been asked for.
                let missing = start.saturating_sub(first);
                of(lines, first.saturating_sub(*start), count.saturating_sub(missing))
            }
            Self::Vnics(lines) => of(lines, first, count),
            Self::Lookups(lines) => of(lines, first, count),
            Self::Drops(lines) => of(lines, first, count),
            Self::Events(lines) => of(lines, first, count),
        }
    }

    /// Lines that the view leaves empty at the top, because their answer has not come yet.
    pub(crate) fn missing_before(&self, first: usize) -> usize {
        match self {
            Self::Targets(start, _) => start.saturating_sub(first),
            _ => 0,
        }
    }

    /// The columns of these lines.
    pub(crate) fn heads(&self) -> Vec<&'static Head> {
        self.screen().heads()
    }

    pub(crate) const fn screen(&self) -> Screen {
        match self {
            Self::Overlays(_) => Screen::Overlays,
            Self::Targets(..) => Screen::Targets,
            Self::Vnics(_) => Screen::Vnics,
            Self::Lookups(_) => Screen::Lookups,
            Self::Drops(_) => Screen::Drops,
            Self::Events(_) => Screen::Events,
        }
    }
}
