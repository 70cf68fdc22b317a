//! Which columns has a screen? One table each, which the terminal, JSON, CSV, sorting and filters all go by.

use crate::rows::{EventRow, ExampleRow, LookupRow, Moment, OverlayRow, TargetRow, VnicRow};
use crate::value::Value;

/// What can be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, clap::ValueEnum)]
pub(crate) enum Screen {
    #[default]
    Overlays,
    Targets,
    Vnics,
    Lookups,
    Drops,
    Events,
}

impl Screen {
    pub(crate) const ALL: [Self; 6] = [Self::Overlays, Self::Targets, Self::Vnics, Self::Lookups, Self::Drops, Self::Events];

    /// Its name in options and JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Overlays => "overlays",
            Self::Targets => "targets",
            Self::Vnics => "vnics",
            Self::Lookups => "lookups",
            Self::Drops => "drops",
            Self::Events => "events",
        }
    }

    /// Its name for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Overlays => "Overlays",
            Self::Targets => "Targets",
            Self::Vnics => "VNICs",
            Self::Lookups => "Lookups",
            Self::Drops => "Drops",
            Self::Events => "Events",
        }
    }

    /// Its columns.
    pub(crate) fn heads(self) -> Vec<&'static Head> {
        match self {
            Self::Overlays => heads::<OverlayLine>(),
            Self::Targets => heads::<TargetLine>(),
            Self::Vnics => heads::<VnicLine>(),
            Self::Lookups => heads::<LookupLine>(),
            Self::Drops => heads::<DropLine>(),
            Self::Events => heads::<EventRow>(),
        }
    }
}

fn heads<L: Line>() -> Vec<&'static Head> {
    L::COLUMNS.iter().map(|column| &column.head).collect()
}

/// The head of a column.
#[derive(Debug)]
pub(crate) struct Head {
    /// As in `--sort`, filters, JSON and CSV.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Its width in characters, whatever is in it; of the last column, the least.
    pub(crate) width: u16,
    /// Whether its cells are numbers, flush right.
    pub(crate) right: bool,
    /// Columns of a lower number stay longer when the terminal gets narrow.
    pub(crate) priority: u8,
}

impl Head {
    /// Whether the largest is what one looks for: of counts and rates, not of names and numbers that are names.
    pub(crate) fn largest_first(&self) -> bool {
        (self.right || self.name == "time" || self.name == "last") && self.name != "vni" && self.name != "mtu"
    }
}

/// A column: its head, and how its value is read from a line.
pub(crate) struct Column<L: 'static> {
    pub(crate) head: Head,
    pub(crate) value: fn(&L) -> Value<'_>,
}

/// Why a line, or a cell, does not look like the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Signal {
    #[default]
    None,
    /// It is not as it should be, right now.
    Attention,
    /// It was so when it was last told.
    Stale,
}

/// A line of a screen.
pub(crate) trait Line: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];

    fn signal(&self) -> Signal;
}

const fn left(name: &'static str, title: &'static str, width: u16, priority: u8) -> Head {
    Head { name, title, width, right: false, priority }
}

const fn right(name: &'static str, title: &'static str, width: u16, priority: u8) -> Head {
    Head { name, title, width, right: true, priority }
}

macro_rules! columns {
    ($line:ty: $($side:ident($name:literal, $title:literal, $width:literal, $priority:literal) = |$l:ident| $value:expr;)+) => {
        const COLUMNS: &'static [Column<Self>] =
            &[$(Column { head: $side($name, $title, $width, $priority), value: |$l: &$line| $value }),+];
    };
}

/// What passes in a second; none before the second time that it is told.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) tx_packets: Option<f64>,
    pub(crate) tx_bits: Option<f64>,
    pub(crate) rx_packets: Option<f64>,
    pub(crate) rx_bits: Option<f64>,
    pub(crate) drops: Option<f64>,
    pub(crate) misses: Option<f64>,
}

/// An overlay with its rates.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct OverlayLine {
    pub(crate) row: OverlayRow,
    pub(crate) rates: Rates,
    pub(crate) stale: bool,
}

impl Line for OverlayLine {
    columns! { Self:
        left("name", "OVERLAY", 15, 0) = |l| Value::text(&l.row.name);
        right("vni", "VNI", 8, 0) = |l| Value::maybe(l.row.vni.map(u64::from), Value::Number);
        left("state", "STATE", 8, 0) = |l| Value::text(&l.row.state);
        right("tx_pps", "TX/s", 6, 1) = |l| Value::maybe(l.rates.tx_packets, Value::Rate);
        right("rx_pps", "RX/s", 6, 1) = |l| Value::maybe(l.rates.rx_packets, Value::Rate);
        right("tx_bps", "TXb/s", 6, 2) = |l| Value::maybe(l.rates.tx_bits, Value::Bits);
        right("rx_bps", "RXb/s", 6, 2) = |l| Value::maybe(l.rates.rx_bits, Value::Bits);
        right("drops", "DROPS", 7, 1) = |l| Value::Count(l.row.dropped());
        right("pending", "PEND", 5, 2) = |l| Value::maybe(l.row.pending, Value::Count);
        right("drops_ps", "DROP/s", 6, 4) = |l| Value::maybe(l.rates.drops, Value::Rate);
        right("targets", "TARGETS", 7, 3) = |l| Value::maybe(l.row.targets, Value::Count);
        right("misses", "MISSES", 7, 6) = |l| Value::maybe(l.row.misses, Value::Count);
        right("tx_packets", "TX", 7, 4) = |l| Value::Count(l.row.tx_packets);
        right("rx_packets", "RX", 7, 4) = |l| Value::Count(l.row.rx_packets);
        right("tx_bytes", "TX B", 6, 7) = |l| Value::Bytes(l.row.tx_bytes);
        right("rx_bytes", "RX B", 6, 7) = |l| Value::Bytes(l.row.rx_bytes);
        right("vnics", "VNICS", 5, 8) = |l| Value::maybe(l.row.vnics, Value::Count);
        right("mtu", "MTU", 5, 9) = |l| Value::maybe(l.row.mtu.map(u64::from), Value::Number);
        left("encapsulation", "ENCAP", 6, 5) = |l| Value::text(&l.row.encapsulation);
        left("search", "SEARCH", 8, 6) = |l| Value::text(&l.row.search);
        left("from", "FROM", 9, 7) = |l| Value::text(&l.row.from);
        right("since", "SINCE", 6, 9) = |l| Value::maybe(l.row.since_ns, Value::Age);
        left("reason", "REASON", 24, 10) = |l| Value::maybe_text(l.row.reason.as_deref());
    }

    fn signal(&self) -> Signal {
        let quiet = matches!(self.row.state.as_str(), "up" | "observed");
        match self.stale {
            true => Signal::Stale,
            false if quiet && self.rates.drops.unwrap_or(0.0) <= 0.0 => Signal::None,
            false => Signal::Attention,
        }
    }
}

/// A target, and whether it is what it was when its source was last there.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct TargetLine {
    pub(crate) row: TargetRow,
    pub(crate) stale: bool,
}

impl Line for TargetLine {
    columns! { Self:
        left("overlay", "OVERLAY", 12, 2) = |l| Value::text(&l.row.overlay);
        right("vni", "VNI", 8, 3) = |l| Value::maybe(l.row.vni.map(u64::from), Value::Number);
        left("mac", "MAC", 17, 0) = |l| Value::Mac(l.row.mac);
        left("ul3", "UL3", 21, 0) = |l| Value::Ul3(&l.row.ul3);
        left("state", "STATE", 8, 1) = |l| Value::text(&l.row.state);
        right("age", "AGE", 6, 3) = |l| Value::maybe(l.row.age_ns, Value::Age);
        right("hits", "HITS", 7, 4) = |l| Value::maybe(l.row.hits, Value::Count);
        right("bytes", "BYTES", 6, 5) = |l| Value::maybe(l.row.bytes, Value::Bytes);
        right("pending", "PEND B", 6, 5) = |l| Value::maybe(l.row.pending_bytes, Value::Bytes);
        left("source", "SOURCE", 8, 5) = |l| Value::text(&l.row.source);
        right("idle", "IDLE", 6, 6) = |l| Value::maybe(l.row.idle_ns, Value::Age);
        right("expires", "EXPIRES", 7, 7) = |l| Value::maybe(l.row.expires_ns, Value::Age);
        left("from", "FROM", 9, 8) = |l| Value::text(&l.row.from);
        left("flags", "FLAGS", 12, 9) = |l| Value::text(&l.row.flags);
    }

    fn signal(&self) -> Signal {
        match self.row.state.as_str() {
            _ if self.stale => Signal::Stale,
            "pending" | "draining" => Signal::Attention,
            "stale" => Signal::Stale,
            _ => Signal::None,
        }
    }
}

/// A VNIC with its rates.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct VnicLine {
    pub(crate) row: VnicRow,
    pub(crate) rates: Rates,
    pub(crate) stale: bool,
}

impl VnicLine {
    fn dropped(&self) -> u64 {
        self.row.drops.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Line for VnicLine {
    columns! { Self:
        left("name", "VNIC", 15, 0) = |l| Value::text(&l.row.name);
        left("overlay", "OVERLAY", 12, 1) = |l| Value::text(&l.row.overlay);
        left("state", "STATE", 6, 0) = |l| Value::text(&l.row.state);
        left("mac", "MAC", 17, 3) = |l| Value::maybe(l.row.mac, Value::Mac);
        right("tx_pps", "TX/s", 6, 1) = |l| Value::maybe(l.rates.tx_packets, Value::Rate);
        right("rx_pps", "RX/s", 6, 1) = |l| Value::maybe(l.rates.rx_packets, Value::Rate);
        right("drops", "DROPS", 7, 2) = |l| Value::Count(l.dropped());
        right("tx_bps", "TXb/s", 6, 4) = |l| Value::maybe(l.rates.tx_bits, Value::Bits);
        right("rx_bps", "RXb/s", 6, 4) = |l| Value::maybe(l.rates.rx_bits, Value::Bits);
        right("tx_packets", "TX", 7, 5) = |l| Value::Count(l.row.tx_packets);
        right("rx_packets", "RX", 7, 5) = |l| Value::Count(l.row.rx_packets);
        right("tx_bytes", "TX B", 6, 7) = |l| Value::Bytes(l.row.tx_bytes);
        right("rx_bytes", "RX B", 6, 7) = |l| Value::Bytes(l.row.rx_bytes);
        right("mtu", "MTU", 5, 6) = |l| Value::maybe(l.row.mtu.map(u64::from), Value::Number);
        left("netns", "NETNS", 12, 6) = |l| Value::maybe_text(l.row.netns.as_deref());
        left("from", "FROM", 9, 8) = |l| Value::text(&l.row.from);
        left("reason", "REASON", 24, 9) = |l| Value::maybe_text(l.row.reason.as_deref());
    }

    fn signal(&self) -> Signal {
        match (self.stale, self.row.state.as_str()) {
            (true, _) => Signal::Stale,
            (false, "up") if self.rates.drops.unwrap_or(0.0) <= 0.0 => Signal::None,
            _ => Signal::Attention,
        }
    }
}

/// An overlay's lookups with their rate.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LookupLine {
    pub(crate) row: LookupRow,
    pub(crate) rate: Option<f64>,
    pub(crate) stale: bool,
}

impl Line for LookupLine {
    columns! { Self:
        left("overlay", "OVERLAY", 15, 0) = |l| Value::text(&l.row.overlay);
        left("plugin", "PLUGIN", 8, 0) = |l| Value::text(&l.row.plugin);
        left("state", "STATE", 8, 0) = |l| Value::text(&l.row.state);
        right("in_flight", "FLIGHT", 7, 0) = |l| Value::Count(l.row.in_flight);
        right("oldest", "OLDEST", 6, 1) = |l| Value::maybe(l.row.oldest_ns, Value::Age);
        right("rate", "ASK/s", 6, 1) = |l| Value::maybe(l.rate, Value::Rate);
        right("p50", "P50", 6, 1) = |l| Value::maybe(l.row.p50_ns, Value::Wait);
        right("p99", "P99", 6, 1) = |l| Value::maybe(l.row.p99_ns, Value::Wait);
        right("max", "MAX", 6, 2) = |l| Value::maybe(l.row.max_ns, Value::Wait);
        right("asked", "ASKED", 7, 2) = |l| Value::Count(l.row.asked);
        right("answered", "ANSWERS", 7, 2) = |l| Value::Count(l.row.answered);
        right("timeouts", "TIMEOUT", 7, 3) = |l| Value::Count(l.row.timeouts);
        right("late", "LATE", 6, 4) = |l| Value::Count(l.row.late);
        right("reached", "REACHED", 7, 5) = |l| Value::maybe(l.row.reached, Value::Count);
        right("refused", "REFUSED", 7, 5) = |l| Value::maybe(l.row.refused, Value::Count);
        right("entries", "ENTRIES", 7, 6) = |l| Value::maybe(l.row.entries, Value::Count);
        left("from", "FROM", 9, 8) = |l| Value::text(&l.row.from);
        left("reason", "REASON", 24, 7) = |l| Value::maybe_text(l.row.reason.as_deref());
    }

    fn signal(&self) -> Signal {
        match (self.stale, self.row.state.as_str()) {
            (true, _) => Signal::Stale,
            (false, "up" | "-") => Signal::None,
            _ => Signal::Attention,
        }
    }
}

/// What an overlay, a VNIC or nobody in particular dropped, for one reason.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct DropLine {
    pub(crate) from: String,
    pub(crate) subject: String,
    pub(crate) vni: Option<u32>,
    pub(crate) reason: String,
    pub(crate) direction: &'static str,
    pub(crate) count: u64,
    pub(crate) rate: Option<f64>,
    /// When it was last seen to grow.
    pub(crate) last: Option<Moment>,
    pub(crate) explanation: &'static str,
    pub(crate) example: Option<ExampleRow>,
    pub(crate) stale: bool,
}

impl Line for DropLine {
    columns! { Self:
        left("reason", "REASON", 18, 0) = |l| Value::text(&l.reason);
        left("overlay", "OVERLAY", 15, 1) = |l| Value::text(&l.subject);
        right("vni", "VNI", 8, 3) = |l| Value::maybe(l.vni.map(u64::from), Value::Number);
        left("direction", "WAY", 8, 3) = |l| Value::text(l.direction);
        right("count", "DROPS", 7, 0) = |l| Value::Count(l.count);
        right("rate", "DROP/s", 6, 0) = |l| Value::maybe(l.rate, Value::Rate);
        left("last", "LAST", 8, 2) = |l| Value::maybe(l.last, Value::Time);
        left("from", "FROM", 9, 5) = |l| Value::text(&l.from);
        left("example", "EXAMPLE", 30, 7) = |l| Value::maybe_text(l.example.as_ref().map(|example| example.text.as_str()));
        left("explanation", "MEANING", 30, 6) = |l| Value::text(l.explanation);
    }

    fn signal(&self) -> Signal {
        match self.stale {
            true => Signal::Stale,
            false if self.rate.unwrap_or(0.0) > 0.0 => Signal::Attention,
            false => Signal::None,
        }
    }
}

impl Line for EventRow {
    columns! { Self:
        left("time", "TIME", 8, 0) = |l| Value::Time(l.at);
        left("event", "EVENT", 16, 1) = |l| Value::text(&l.event);
        left("subject", "SUBJECT", 15, 0) = |l| Value::text(&l.subject);
        left("from", "FROM", 9, 3) = |l| Value::text(&l.from);
        left("text", "WHAT", 12, 0) = |l| Value::text(&l.text);
    }

    fn signal(&self) -> Signal {
        Signal::None
    }
}

/// The columns that fit into `width` characters with one between each two, by priority; the last one gets what is left.
pub(crate) fn fit(heads: &[&'static Head], width: u16) -> Vec<(usize, u16)> {
    let mut order: Vec<usize> = (0..heads.len()).collect();
    order.sort_by_key(|&index| heads[index].priority);
    let (mut used, mut chosen) = (0, Vec::new());
    for index in order {
        let needed = heads[index].width + u16::from(used > 0);
        // No column of a lower rank takes the place of one that did not fit: what is shown depends on the width alone.
        if used + needed > width {
            break;
        }
        used += needed;
        chosen.push(index);
    }
    chosen.sort_unstable();
    let left = width.saturating_sub(used);
    let last = chosen.len().saturating_sub(1);
    chosen
        .iter()
        .enumerate()
        .map(|(place, &index)| {
            let is_text = !heads[index].right && place == last;
            (index, heads[index].width + if is_text { left } else { 0 })
        })
        .collect()
}

/// The chosen columns, from the left on as far as they fit into `width` characters, and at least one; the last one gets what is left.
pub(crate) fn fit_chosen(heads: &[&'static Head], chosen: &[usize], width: u16) -> Vec<(usize, u16)> {
    let (mut used, mut fitting) = (0, Vec::new());
    for (index, head) in chosen.iter().filter_map(|index| Some((*index, heads.get(*index)?))) {
        let needed = head.width + u16::from(used > 0);
        if used > 0 && used + needed > width {
            break;
        }
        used += needed;
        fitting.push((index, head.width));
    }
    if let Some((index, last)) = fitting.last_mut()
        && !heads[*index].right
    {
        *last += width.saturating_sub(used);
    }
    fitting
}

/// The lines in the order of a column; those that are equal stay as they are.
pub(crate) fn sort<L: Line>(lines: &mut [L], column: usize, descending: bool) {
    if let Some(column) = L::COLUMNS.get(column) {
        lines.sort_by(|a, b| (column.value)(a).compare(&(column.value)(b), descending));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_columns_of_every_screen_fit_into_forty_characters_and_no_name_is_there_twice() {
        for screen in Screen::ALL {
            let heads = screen.heads();
            let needed: u16 = heads.iter().filter(|head| head.priority == 0).map(|head| head.width + 1).sum();
            assert!(needed <= 42, "{}: {needed}", screen.name());
            let names: std::collections::BTreeSet<_> = heads.iter().map(|head| head.name).collect();
            assert_eq!(names.len(), heads.len(), "{}", screen.name());
            assert!(heads.iter().all(|head| head.title.len() <= head.width.into()), "{}", screen.name());
        }
    }

    #[test]
    fn chosen_columns_stand_as_they_were_chosen_and_end_at_the_edge() {
        let heads = Screen::Drops.heads();
        let at = |name: &str| heads.iter().position(|head| head.name == name).unwrap();
        let chosen = [at("count"), at("reason"), at("overlay")];
        assert_eq!(fit_chosen(&heads, &chosen, 60), [(at("count"), 7), (at("reason"), 18), (at("overlay"), 33)]);
        assert_eq!(fit_chosen(&heads, &chosen, 40), [(at("count"), 7), (at("reason"), 32)]);
        assert_eq!(fit_chosen(&heads, &chosen, 5), [(at("count"), 7)], "one at least; the edge cuts it");
    }

    #[test]
    fn columns_are_hidden_whole_and_the_widths_depend_on_the_terminal_alone() {
        let heads = Screen::Overlays.heads();
        for width in 40..=250 {
            let fitting = fit(&heads, width);
            let sum: u16 = fitting.iter().map(|(_, width)| *width).sum::<u16>() + fitting.len() as u16 - 1;
            assert!(sum <= width, "{width}: {fitting:?}");
            assert!(fitting.iter().all(|(index, width)| *width >= heads[*index].width));
        }
        assert_eq!(fit(&heads, 250).len(), heads.len());
        let names: Vec<&str> = fit(&heads, 40).iter().map(|(index, _)| heads[*index].name).collect();
        assert_eq!(names, ["name", "vni", "state", "tx_pps"]);
    }
}
