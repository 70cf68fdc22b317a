//! What does the state look like without a terminal? A table, JSON or CSV: the same lines, columns, order and filters.

use crate::column::Head;
use crate::state::State;
use serde_json::{Map, Value as Json, json};
use std::fmt::Write as _;

/// How it is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Table,
    Json,
    Csv,
}

/// The version of the JSON.
const SCHEMA: u32 = 1;

/// Everything that the state shows, at most `limit` lines of it.
pub(crate) fn text(state: &State, format: Format, limit: usize, first: bool) -> String {
    match format {
        Format::Table => table(state, limit, first),
        Format::Json => format!("{}\n", object(state, limit)),
        Format::Csv => csv(state, limit, first),
    }
}

/// What is shown, as one object; also what the key for a snapshot writes.
pub(crate) fn object(state: &State, limit: usize) -> Json {
    let heads = state.lines.heads();
    let rows = state.lines.rows(0, limit).into_iter().map(|row| {
        let cells = heads.iter().zip(&row.cells).map(|(head, value)| (head.name.to_owned(), value.json()));
        Json::Object(cells.collect::<Map<_, _>>())
    });
    json!({
        "schema": SCHEMA,
        "timestamp": crate::value::Value::Time(state.now).json(),
        "screen": state.screen.name(),
        "total": state.total,
        "rows": rows.collect::<Vec<_>>(),
        "diagnoses": state.diagnoses(),
    })
}

fn table(state: &State, limit: usize, first: bool) -> String {
    let heads = state.lines.heads();
    let clock = |moment| state.clock(moment);
    let rows: Vec<Vec<String>> =
        state.lines.rows(0, limit).iter().map(|row| row.cells.iter().map(|value| value.shown(&clock)).collect()).collect();
    // There is no edge to fit into: a column is as wide as its widest cell, and at least as it is on a screen.
    let width = |place: usize, head: &Head| {
        let longest = rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.chars().count()).max();
        longest.unwrap_or(0).max(head.width.into())
    };
    let widths: Vec<usize> = heads.iter().enumerate().map(|(place, head)| width(place, head)).collect();
    let mut text = if first { String::new() } else { "\n".to_owned() };
    let _ = writeln!(text, "{}  {}: {}", clock(state.now), state.screen.name(), state.total);
    for sentence in state.diagnoses() {
        let _ = writeln!(text, "! {}", crate::value::printable(&sentence));
    }
    let titles: Vec<String> = heads.iter().map(|head| head.title.to_owned()).collect();
    for cells in std::iter::once(&titles).chain(&rows) {
        let mut line = String::new();
        for ((cell, head), width) in cells.iter().zip(&heads).zip(&widths) {
            let _ = if head.right { write!(line, "{cell:>width$} ") } else { write!(line, "{cell:<width$} ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn csv(state: &State, limit: usize, first: bool) -> String {
    let heads = state.lines.heads();
    let mut text = String::new();
    if first {
        let names: Vec<&str> = std::iter::once("timestamp").chain(heads.iter().map(|head| head.name)).collect();
        let _ = writeln!(text, "{}", names.join(","));
    }
    let time = crate::value::Value::Time(state.now).csv();
    for row in state.lines.rows(0, limit) {
        let cells: Vec<String> = std::iter::once(time.clone()).chain(row.cells.iter().map(|value| value.csv())).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Screen;
    use crate::filter::Filter;
    use crate::state::sample::session;

    fn state(screen: Screen) -> State {
        let mut state = session((80, 24), screen, 10);
        state.sort_by(screen, "tx_packets", true);
        state.settle();
        state
    }

    #[test]
    fn json_has_all_columns_with_all_digits() {
        let object = object(&state(Screen::Overlays), usize::MAX);
        assert_eq!(object["timestamp"], "1767323055.000000000");
        assert_eq!((&object["schema"], &object["screen"], &object["total"]), (&json!(1), &json!("overlays"), &json!(2)));
        let row = &object["rows"][0];
        assert_eq!((&row["name"], &row["tx_packets"], &row["reason"]), (&json!("ov16777215"), &json!(12_345_678_901_u64), &Json::Null));
        assert_eq!((&object["rows"][1]["tx_pps"], &object["rows"][1]["drops"]), (&json!(1500.0), &json!(52)));
        assert_eq!(object["diagnoses"][0], "2 targets wait on ov77, the oldest for 6.0s: varpd is away: it was killed");
        let targets = super::object(&state(Screen::Targets), usize::MAX);
        assert_eq!(targets["rows"][1]["ul3"], json!(["10.88.0.2:4789", "[fd00::3]:4789"]));
    }

    #[test]
    fn csv_has_its_names_once_and_a_line_for_each_row() {
        let state = state(Screen::Drops);
        let text = text(&state, Format::Csv, 2, true) + &text(&state, Format::Csv, usize::MAX, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 2 + 3);
        assert!(lines[0].starts_with("timestamp,reason,overlay,vni,direction,count,rate,last,from,example,explanation"), "{text}");
        assert!(lines[1].starts_with("1767323055.000000000,pending-full,ov77,77,transmit,49,7.0,1767323055.000000000,overlayd,"), "{text}");
    }

    #[test]
    fn a_table_is_for_people() {
        let mut state = state(Screen::Overlays);
        state.filter_by(Screen::Overlays, Filter::parse("state=degraded", Screen::Overlays).unwrap());
        state.settle();
        let text = text(&state, Format::Table, usize::MAX, true);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "03:04:15  overlays: 1");
        assert!(lines[1].starts_with("! 2 targets wait on ov77"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("OVERLAY ")) && lines.last().unwrap().starts_with("ov77 "), "{text}");
    }
}
