//! Which part of a target table is wanted, and what does it look like? Pages of up to a million rows, in memory for one page.

use super::Problem;
use crate::{EntryState, Source, StaticTarget, TargetRow};
use overlay_decoder::Ul3;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Rows of a page where the query does not say.
pub const TARGETS_DEFAULT: usize = 1_000;
/// Most rows of a page.
pub const TARGETS_MAX: usize = 65_536;

/// A part of a target table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetPage {
    /// A number that is another one when entries have come, gone or changed their state or destination.
    pub generation: u64,
    /// How many rows the filter lets through.
    pub total: usize,
    /// Those of them that were asked for, in the order that was asked for.
    pub rows: Vec<TargetRow>,
    /// How many of those that the filter lets through are in each state; states that none is in are left out.
    pub states: BTreeMap<EntryState, usize>,
}

/// Which part of a target table: `GET /v1/overlays/NAME/targets?sort=bytes&order=descending&limit=20&filter=state:valid`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetQuery {
    /// By what to sort; rows that are equal are in the order of their MAC.
    pub sort: TargetSort,
    /// In which direction.
    pub order: Order,
    /// Words with blanks between that all must hold: `state:NAME`, `source:NAME`, or a part of the MAC or a destination as they are
    /// printed. Empty lets all through.
    pub filter: String,
    /// How many rows to leave out at the beginning.
    pub offset: usize,
    /// How many rows at most: up to [`TARGETS_MAX`].
    pub limit: usize,
}

impl Default for TargetQuery {
    fn default() -> Self {
        Self { sort: TargetSort::Mac, order: Order::Ascending, filter: String::new(), offset: 0, limit: TARGETS_DEFAULT }
    }
}

/// By what a target table is sorted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetSort {
    /// The inner destination (VL2).
    Mac,
    /// Where frames for it go; those that go nowhere come first.
    Ul3,
    /// The state, in the order of [`EntryState::ALL`].
    State,
    /// Time since it came into its state.
    AgeNs,
    /// Time since a frame last used it.
    IdleNs,
    /// Frames that were sent by it.
    Hits,
    /// Bytes of those frames.
    Bytes,
    /// Bytes of frames that wait.
    PendingBytes,
    /// Who said so.
    Source,
    /// Time until it becomes stale; those without a limit come last.
    ExpiresNs,
}

/// In which direction a list is sorted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The smallest first.
    #[default]
    Ascending,
    /// The largest first.
    Descending,
}

impl TargetQuery {
    /// The page of a table that has these rows.
    ///
    /// # Errors
    /// As [`TargetQuery::pager`].
    pub fn page(&self, generation: u64, rows: impl IntoIterator<Item = TargetRow>) -> Result<TargetPage, Problem> {
        let mut pager = self.pager(generation)?;
        rows.into_iter().for_each(|row| pager.push(row));
        Ok(pager.finish())
    }

    /// Makes the page of a table whose rows are pushed one after the other, in any order.
    ///
    /// # Errors
    /// A filter or a limit that is not allowed.
    pub fn pager(&self, generation: u64) -> Result<Pager<'_>, Problem> {
        if self.limit > TARGETS_MAX {
            return Err(Problem::wrong(format_args!("limit: {} is not allowed; 0-{TARGETS_MAX} is", self.limit)));
        }
        let filter = Filter::parse(&self.filter)?;
        let page = TargetPage { generation, total: 0, rows: Vec::new(), states: BTreeMap::new() };
        Ok(Pager { query: self, filter, needed: self.offset.saturating_add(self.limit), page, text: String::new() })
    }

    pub(super) fn compare(&self, a: &TargetRow, b: &TargetRow) -> Ordering {
        let order = match self.sort {
            TargetSort::Mac => a.mac.cmp(&b.mac),
            TargetSort::Ul3 => a.ul3.cmp(&b.ul3),
            TargetSort::State => a.state.cmp(&b.state),
            TargetSort::AgeNs => a.age_ns.cmp(&b.age_ns),
            TargetSort::IdleNs => a.idle_ns.cmp(&b.idle_ns),
            TargetSort::Hits => a.hits.cmp(&b.hits),
            TargetSort::Bytes => a.bytes.cmp(&b.bytes),
            TargetSort::PendingBytes => a.pending_bytes.cmp(&b.pending_bytes),
            TargetSort::Source => a.source.cmp(&b.source),
            TargetSort::ExpiresNs => a.expires_ns.unwrap_or(u64::MAX).cmp(&b.expires_ns.unwrap_or(u64::MAX)),
        };
        let order = match self.order {
            Order::Ascending => order,
            Order::Descending => order.reverse(),
        };
        order.then_with(|| a.mac.cmp(&b.mac))
    }
}

/// A page in the making. It looks at each row once and keeps no more than twice what the page and the rows in front of it need: for a deep
/// page of a large table that is a moment of work, so not on a thread that others wait for.
#[derive(Debug)]
pub struct Pager<'q> {
    query: &'q TargetQuery,
    filter: Filter<'q>,
    /// Rows up to the page's end.
    needed: usize,
    page: TargetPage,
    /// Room to print addresses into.
    text: String,
}

impl Pager<'_> {
    /// The next row.
    pub fn push(&mut self, row: TargetRow) {
        let Self { query, filter, needed, page, text } = self;
        if !filter.lets_through(&row, text) {
            return;
        }
        page.total += 1;
        *page.states.entry(row.state).or_default() += 1;
        if *needed > 0 {
            page.rows.push(row);
        }
        // Twice as many as needed before the worse half goes: each row is then looked at a bounded number of times on average.
        if page.rows.len() >= needed.saturating_mul(2).max(TARGETS_DEFAULT) && *needed < page.rows.len() {
            page.rows.select_nth_unstable_by(*needed, |a, b| query.compare(a, b));
            page.rows.truncate(*needed);
        }
    }

    /// The page, when there are no more rows.
    #[must_use]
    pub fn finish(self) -> TargetPage {
        let Self { query, needed, mut page, .. } = self;
        page.rows.sort_unstable_by(|a, b| query.compare(a, b));
        page.rows.truncate(needed);
        page.rows.drain(..query.offset.min(page.rows.len()));
        page
    }
}

/// A filter, read.
#[derive(Debug, Default)]
struct Filter<'a> {
    state: Option<EntryState>,
    source: Option<Source>,
    parts: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    fn parse(text: &'a str) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for word in text.split_ascii_whitespace() {
            if let Some(name) = word.strip_prefix("state:") {
                let state = EntryState::ALL.iter().find(|state| state.name() == name);
                filter.state = Some(*state.ok_or_else(|| unknown(word, EntryState::ALL.iter().map(|state| state.name())))?);
            } else if let Some(name) = word.strip_prefix("source:") {
                let all = [Source::Lookup, Source::Static, Source::Plugin];
                let source = all.into_iter().find(|source| source.name() == name);
                filter.source = Some(source.ok_or_else(|| unknown(word, all.iter().map(|source| source.name())))?);
            } else {
                filter.parts.push(word);
            }
        }
        Ok(filter)
    }

    /// `text` is room to print addresses into, of which there may be a million.
    fn lets_through(&self, row: &TargetRow, text: &mut String) -> bool {
        if self.state.is_some_and(|state| state != row.state) || self.source.is_some_and(|source| source != row.source) {
            return false;
        }
        if self.parts.is_empty() {
            return true;
        }
        text.clear();
        // Writing into a String cannot fail.
        let _ = write!(text, "{}", row.mac);
        for ul3 in &row.ul3 {
            let _ = write!(text, " {ul3}");
        }
        self.parts.iter().all(|part| text.contains(part))
    }
}

fn unknown<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Problem {
    let names: Vec<_> = names.collect();
    Problem::wrong(format_args!("filter: {word:?} is not allowed; {} are", names.join(", ")))
}

/// What becomes of frames for a destination: `PUT /v1/overlays/NAME/targets/MAC` with `{"to":["10.0.0.2:4789"]}` or `{"to":"drop"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetTarget {
    /// Where they go, or that they are dropped.
    pub to: StaticTarget,
}

/// What was forgotten: the answer to `POST /v1/overlays/NAME/flush`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flushed {
    /// How many entries.
    pub flushed: usize,
}

/// A list of addresses, one address, or the word `drop`. Whether the addresses can be used is for the overlay to say.
impl<'de> Deserialize<'de> for StaticTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StaticTarget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of underlay addresses, or \"drop\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StaticTarget, E> {
                match text {
                    "drop" => Ok(StaticTarget::Drop),
                    _ => text.parse::<Ul3>().map(|ul3| StaticTarget::Reach(vec![ul3])).map_err(E::custom),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<StaticTarget, A::Error> {
                let mut to = Vec::new();
                while let Some(ul3) = list.next_element()? {
                    to.push(ul3);
                }
                Ok(StaticTarget::Reach(to))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
