//! Which part of a target table is wanted, and who hears of it? State says it, sources wait for it.
//!
//! A table may have a million rows, so a source is asked for the visible ones and for totals. [`select`] makes that of rows that are in
//! memory; overlayd does the same on its side of the socket.

use crate::column::{Column, Line, Screen, TargetLine};
use crate::filter::Filter;
use crate::rows::{TargetPart, TargetRow};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a file is played.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Pace {
    /// Seconds of the file in a second.
    pub(crate) speed: f64,
    /// Seconds that were asked to be gone forward (or back) by, ever.
    pub(crate) jumps: i64,
}

/// What sources are asked for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Wish {
    /// Another one for each wish: [`Report::Done`](crate::rows::Report::Done) repeats it.
    pub(crate) number: u64,
    pub(crate) screen: Screen,
    /// The overlay whose targets are wanted, and the source that tells of it; none is all.
    pub(crate) overlay: Option<(String, String)>,
    /// The column of targets by which they are sorted.
    pub(crate) sort: usize,
    pub(crate) descending: bool,
    pub(crate) filter: Filter,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    /// Whether all tables are to be asked each time, however many there are.
    pub(crate) thorough: bool,
    /// Whether only wishes are answered, and nothing is looked at by itself.
    pub(crate) paused: bool,
    pub(crate) pace: Pace,
}

impl Wish {
    pub(crate) fn first() -> Self {
        Self {
            number: 0,
            screen: Screen::Overlays,
            overlay: None,
            sort: 0,
            descending: false,
            filter: Filter::default(),
            offset: 0,
            limit: 0,
            thorough: false,
            paused: false,
            pace: Pace { speed: 1.0, jumps: 0 },
        }
    }

    /// Whether an overlay's targets are wanted.
    pub(crate) fn wants(&self, from: &str, overlay: &str) -> bool {
        self.overlay.as_ref().is_none_or(|(source, name)| source == from && name == overlay)
    }
}

/// Where the wish is left for the sources.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<(Mutex<Option<Wish>>, Condvar)>);

impl Board {
    pub(crate) fn new(wish: Wish) -> Self {
        Self(Arc::new((Mutex::new(Some(wish)), Condvar::new())))
    }

    /// A thread that panicked with the lock has left a whole wish.
    fn lock(&self) -> MutexGuard<'_, Option<Wish>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, wish: Wish) {
        *self.lock() = Some(wish);
        self.0.1.notify_all();
    }

    /// Ends all sources.
    pub(crate) fn close(&self) {
        *self.lock() = None;
        self.0.1.notify_all();
    }

    /// Waits for a wish of another number than `known`, or for the time; none when it is closed.
    pub(crate) fn wait(&self, known: u64, until: Instant) -> Option<Wish> {
        let mut held = self.lock();
        loop {
            let wish = held.as_ref()?;
            let left = until.saturating_duration_since(Instant::now());
            if wish.number != known || left == Duration::ZERO {
                return Some(wish.clone());
            }
            held = self.0.1.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The wanted part of rows in memory. It looks at each row once, and sorts no more than it has to.
pub(crate) fn select<'r>(rows: impl IntoIterator<Item = &'r TargetRow>, wish: &Wish) -> TargetPart {
    let mut part = TargetPart { wish: wish.number, ..TargetPart::default() };
    let mut kept: Vec<TargetLine> = Vec::new();
    let needed = wish.offset.saturating_add(wish.limit);
    for row in rows {
        if !wish.wants(&row.from, &row.overlay) {
            continue;
        }
        let line = TargetLine { row: row.clone(), stale: false };
        if !wish.filter.passes(&line, &|_| String::new()) {
            continue;
        }
        part.total += 1;
        *part.states.entry(line.row.state.clone()).or_default() += 1;
        kept.push(line);
        if kept.len() > needed.saturating_mul(2).max(1024) {
            kept.select_nth_unstable_by(needed, |a, b| order(a, b, wish));
            kept.truncate(needed);
        }
    }
    kept.sort_unstable_by(|a, b| order(a, b, wish));
    part.offset = wish.offset.min(kept.len()) as u64;
    part.rows = kept.into_iter().skip(wish.offset).take(wish.limit).map(|line| line.row).collect();
    part
}

/// Which of two targets comes first: by the wanted column, then by overlay and address.
pub(crate) fn order(a: &TargetLine, b: &TargetLine, wish: &Wish) -> Ordering {
    let column: Option<&Column<TargetLine>> = TargetLine::COLUMNS.get(wish.sort);
    let wanted = column.map_or(Ordering::Equal, |column| (column.value)(a).compare(&(column.value)(b), wish.descending));
    let (a, b) = (&a.row, &b.row);
    wanted.then_with(|| (&a.from, &a.overlay, a.vni, a.mac).cmp(&(&b.from, &b.overlay, b.vni, b.mac)))
}

/// One part of several sources' parts, each from the first row on.
pub(crate) fn merge<'p>(parts: impl IntoIterator<Item = &'p TargetPart>, wish: &Wish) -> TargetPart {
    let (mut total, mut states, mut remarks) = (0_u64, BTreeMap::<String, u64>::new(), Vec::new());
    let mut rows = Vec::new();
    for part in parts {
        total = total.saturating_add(part.total);
        for (state, count) in &part.states {
            let sum = states.entry(state.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        remarks.extend(part.remark.as_deref());
        rows.extend(part.rows.iter());
    }
    let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
    TargetPart { total, states, remark, ..select(rows, wish) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u32) -> Vec<TargetRow> {
        let row = |number: u32| TargetRow {
            from: "kernel".into(),
            overlay: format!("vx{}", number % 2),
            vni: Some(number % 2),
            mac: overlay_decoder::Mac([2, 0, 0, 0, (number >> 8) as u8, number as u8]),
            ul3: vec![],
            state: if number.is_multiple_of(10) { "stale" } else { "valid" }.into(),
            age_ns: None,
            idle_ns: None,
            hits: Some(u64::from(number.wrapping_mul(2_654_435_761) >> 20)),
            bytes: None,
            pending_bytes: None,
            source: "learned".into(),
            expires_ns: None,
            flags: String::new(),
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_window_is_what_sorting_everything_gives() {
        let rows = rows(5000);
        let hits = Screen::Targets.heads().iter().position(|head| head.name == "hits").unwrap();
        for descending in [false, true] {
            let all = Wish { sort: hits, descending, limit: usize::MAX, ..Wish::first() };
            let all = select(&rows, &all);
            assert_eq!((all.total, all.rows.len(), all.states["stale"]), (5000, 5000, 500));
            for offset in [0, 1, 999, 2500, 4990, 6000] {
                let wish = Wish { sort: hits, descending, offset, limit: 20, ..Wish::first() };
                let part = select(&rows, &wish);
                let expected: Vec<&TargetRow> = all.rows.iter().skip(offset).take(20).collect();
                assert_eq!(part.rows.iter().collect::<Vec<_>>(), expected, "{offset}");
                assert_eq!(part.total, 5000);
            }
        }
    }

    #[test]
    fn totals_are_of_what_the_filter_lets_through() {
        let rows = rows(100);
        let filter = Filter::parse("state:stale vni:0", Screen::Targets).unwrap();
        let wish = Wish { filter, limit: 3, overlay: Some(("kernel".into(), "vx0".into())), ..Wish::first() };
        let part = select(&rows, &wish);
        assert_eq!((part.total, part.rows.len()), (10, 3));
        assert_eq!(part.states, [("stale".to_owned(), 10)].into());
    }

    #[test]
    fn several_tables_become_one() {
        let rows = rows(100);
        let wish = Wish { limit: 10, ..Wish::first() };
        let parts = [select(&rows[..50], &wish), select(&rows[50..], &wish)];
        assert_eq!(merge(&parts, &wish), select(&rows, &wish));
    }

    #[test]
    fn whoever_waits_hears_of_a_new_wish_and_of_the_end() {
        let board = Board::new(Wish::first());
        assert_eq!(board.wait(0, Instant::now()).unwrap().number, 0, "the time was over");
        let waiting = {
            let board = board.clone();
            std::thread::spawn(move || board.wait(0, Instant::now() + Duration::from_secs(60)).map(|wish| wish.number))
        };
        board.set(Wish { number: 1, ..Wish::first() });
        assert_eq!(waiting.join().unwrap(), Some(1));
        board.close();
        assert_eq!(board.wait(1, Instant::now() + Duration::from_secs(60)), None);
    }
}
