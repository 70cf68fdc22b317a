//! What is known, what is looked at, and what is asked for? Pure: reports, keys and the time go in; lines, a wish and effects come out.
//!
//! ```text
//!  sources ─► Told ──┐                          ┌─► lines, diagnoses ─► view, batch
//!  terminal ─► Key ──┼─► State::handle_* ─► State ──► wish ─► sources
//!  clock ─► moment ──┘                          └─► effects ─► terminal
//! ```

mod act;
mod diagnose;
mod history;
mod lines;
#[cfg(test)]
pub(crate) mod sample;
mod tell;
#[cfg(test)]
mod tests;

use crate::column::{self, DropLine, LookupLine, OverlayLine, Screen, TargetLine, VnicLine};
use crate::config::Config;
use crate::filter::Filter;
use crate::rows::{EventRow, ExampleRow, LookupRow, Moment, OverlayRow, Playback, TargetPart, VnicRow};
use crate::wish::Wish;
pub(crate) use history::GRAPH_MAX;
use history::History;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Events that are kept.
const EVENTS_MAX: usize = 5_000;
/// Targets that are shown of several tables together.
pub(crate) const MERGED_MAX: usize = 2_000;

/// What is known of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Why it cannot be asked, and since when.
    pub(crate) fault: Option<(String, Moment)>,
    pub(crate) overlays: Vec<OverlayRow>,
    /// Dropped for no overlay, by reason.
    pub(crate) unattributed: BTreeMap<String, u64>,
    pub(crate) examples: Vec<ExampleRow>,
    pub(crate) vnics: Vec<VnicRow>,
    pub(crate) lookups: Vec<LookupRow>,
    pub(crate) targets: TargetPart,
    pub(crate) notes: Vec<String>,
    pub(crate) playback: Option<Playback>,
    /// The last wish of which it has told everything.
    pub(crate) done: Option<u64>,
}

/// How a screen is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) sort: usize,
    pub(crate) descending: bool,
    pub(crate) filter: Filter,
    /// The chosen line, and the first that is shown.
    pub(crate) cursor: usize,
    pub(crate) top: usize,
}

/// What the keys mean at the moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Mode {
    #[default]
    Table,
    /// A filter is being typed.
    Typing(String),
    /// All sentences about what is wrong.
    Said,
    /// The help, from this line on.
    Help(usize),
}

/// Something for the terminal to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    Quit,
    Suspend,
    Redraw,
    Snapshot,
}

/// The lines of the screen that is looked at.
#[derive(Clone, Debug)]
pub(crate) enum Lines {
    Overlays(Vec<OverlayLine>),
    /// From the one at the first number on.
    Targets(usize, Vec<TargetLine>),
    Vnics(Vec<VnicLine>),
    Lookups(Vec<LookupLine>),
    Drops(Vec<DropLine>),
    Events(Vec<EventRow>),
}

/// When, and how much, a reason's drops grew.
#[derive(Clone, Copy, Debug, Default)]
struct Grown {
    at: Moment,
    count: u64,
    rate: Option<f64>,
    last: Option<Moment>,
}

/// Source, overlay or VNIC, virtual network.
type Key = (String, String, Option<u32>);

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) now: Moment,
    zone: TimeZone,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) screen: Screen,
    pub(crate) mode: Mode,
    pub(crate) detail: bool,
    pub(crate) paused: bool,
    pub(crate) speed: f64,
    jumps: i64,
    pub(crate) sources: BTreeMap<String, Known>,
    looks: BTreeMap<Screen, Look>,
    /// The overlay whose targets are looked at, and its source.
    pub(crate) scope: Option<(String, String)>,
    pub(crate) events: VecDeque<EventRow>,
    histories: HashMap<Key, History>,
    vnic_histories: HashMap<Key, History>,
    lookup_histories: HashMap<Key, History>,
    grown: BTreeMap<(Key, String), Grown>,
    pub(crate) lines: Lines,
    /// How many lines there are, before and after the filter.
    pub(crate) total: usize,
    /// Something to be said once, until a key is pressed.
    pub(crate) message: Option<String>,
    wish: Wish,
    effects: Vec<Effect>,
    /// Those that answer wishes; a recording tells of others.
    asked: Vec<String>,
    /// Whether everything that is wanted is asked for, whatever is visible.
    everything: bool,
    /// What the user's file says.
    pub(crate) config: Config,
}

impl State {
    /// A state that knows nothing but whom it hears from.
    pub(crate) fn new(sources: impl IntoIterator<Item = String>, size: (u16, u16), zone: TimeZone) -> Self {
        let asked: Vec<String> = sources.into_iter().collect();
        let mut state = Self {
            now: 0,
            zone,
            size,
            screen: Screen::Overlays,
            mode: Mode::Table,
            detail: false,
            paused: false,
            speed: 1.0,
            jumps: 0,
            sources: asked.iter().map(|name| (name.clone(), Known::default())).collect(),
            looks: Screen::ALL.into_iter().map(|screen| (screen, Look::default())).collect(),
            scope: None,
            events: VecDeque::new(),
            histories: HashMap::new(),
            vnic_histories: HashMap::new(),
            lookup_histories: HashMap::new(),
            grown: BTreeMap::new(),
            lines: Lines::Overlays(Vec::new()),
            total: 0,
            message: None,
            wish: Wish::first(),
            effects: Vec::new(),
            asked,
            everything: false,
            config: Config::default(),
        };
        // What grows, and what is new, is looked for first.
        for (screen, column) in [(Screen::Drops, "count"), (Screen::Events, "time")] {
            state.sort_by(screen, column, true);
        }
        state.sort_by(Screen::Targets, "mac", false);
        state.settle();
        state
    }

    /// The same, with the keys, columns and orders of the user's file.
    pub(crate) fn with_config(mut self, config: Config) -> Self {
        for (screen, column, descending) in &config.orders {
            self.sort_by(*screen, column, *descending);
        }
        self.config = config;
        self
    }

    /// The columns that fit into `width` characters: the user's as far as there is room, or else those of the highest rank.
    pub(crate) fn fitting(&self, width: u16) -> Vec<(usize, u16)> {
        let heads = self.lines.heads();
        match self.config.columns.get(&self.lines.screen()) {
            Some(chosen) => column::fit_chosen(&heads, chosen, width),
            None => column::fit(&heads, width),
        }
    }

    /// The same, for somebody who wants up to `limit` targets, whatever is visible: no terminal, or a recording.
    pub(crate) fn with_all_targets(mut self, limit: usize) -> Self {
        self.everything = true;
        self.wish.limit = limit;
        self
    }

    /// The time of day of a moment, as the reader's clock shows it.
    pub(crate) fn clock(&self, moment: Moment) -> String {
        let nanoseconds = i128::from(moment);
        jiff::Timestamp::from_nanosecond(nanoseconds)
            .map_or_else(|_| "-".to_owned(), |time| time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string())
    }

    /// How the screen is looked at.
    pub(crate) fn look(&self) -> &Look {
        // Every screen has one from the start on.
        self.looks.get(&self.screen).unwrap_or(&NO_LOOK)
    }

    fn look_mut(&mut self) -> &mut Look {
        self.looks.entry(self.screen).or_default()
    }

    /// Sorts a screen by a column.
    pub(crate) fn sort_by(&mut self, screen: Screen, column: &str, descending: bool) {
        let column = screen.heads().iter().position(|head| head.name == column);
        if let (Some(column), Some(look)) = (column, self.looks.get_mut(&screen)) {
            (look.sort, look.descending) = (column, descending);
        }
    }

    /// By which column a screen is sorted, and whether the largest comes first.
    pub(crate) fn order_of(&self, screen: Screen) -> (&'static column::Head, bool) {
        let look = self.looks.get(&screen).unwrap_or(&NO_LOOK);
        let heads = screen.heads();
        (heads.get(look.sort).copied().unwrap_or(heads[0]), look.descending)
    }

    /// Filters a screen.
    pub(crate) fn filter_by(&mut self, screen: Screen, filter: Filter) {
        if let Some(look) = self.looks.get_mut(&screen) {
            look.filter = filter;
            (look.cursor, look.top) = (0, 0);
        }
    }

    /// What the sources shall tell: another number than before where that changed.
    pub(crate) fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Wishes the same again.
    pub(crate) fn wish_again(&mut self) {
        self.wish.number += 1;
    }

    /// What the terminal has to do; each is told once.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Whether every source has told everything of the present wish.
    pub(crate) fn is_complete(&self) -> bool {
        let number = self.wish.number;
        self.asked.iter().all(|name| self.sources.get(name).and_then(|known| known.done).is_some_and(|done| done >= number))
    }

    /// Brings lines, cursor and wish in line with everything else: the end of each `handle_*`.
    pub(crate) fn settle(&mut self) {
        self.rebuild();
        let visible = crate::layout::Layout::of(self).lines;
        let total = self.total;
        let look = self.look_mut();
        look.cursor = look.cursor.min(total.saturating_sub(1));
        look.top = look.top.min(look.cursor).max((look.cursor + 1).saturating_sub(visible.max(1)));
        look.top = look.top.min(total.saturating_sub(visible.max(1)));
        let targets = self.looks.get(&Screen::Targets).unwrap_or(&NO_LOOK);
        let several = self.sources.len() > 1;
        let mut wish = Wish {
            number: self.wish.number,
            screen: self.screen,
            overlay: self.scope.clone(),
            sort: targets.sort,
            descending: targets.descending,
            filter: targets.filter.clone(),
            offset: if several || self.everything { 0 } else { targets.top },
            limit: match (self.everything, self.screen) {
                (true, _) => self.wish.limit,
                (false, Screen::Targets) if several => (targets.top + visible).min(MERGED_MAX),
                (false, Screen::Targets) => visible,
                (false, _) => 0,
            },
            thorough: self.everything,
            paused: self.paused,
            pace: crate::wish::Pace { speed: self.speed, jumps: self.jumps },
        };
        if wish != self.wish {
            wish.number += 1;
            self.wish = wish;
        }
    }
}

static NO_LOOK: std::sync::LazyLock<Look> = std::sync::LazyLock::new(Look::default);
