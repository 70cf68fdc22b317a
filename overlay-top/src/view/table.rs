//! How is a screen's table drawn? Heads, then lines; fixed columns, numbers flush right, colour for what signals.

use super::{cut, put};
use crate::column::{Head, Screen, Signal};
use crate::state::State;
use crate::value::Value;
use crate::view::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

/// The columns that carry a line's signal; the others stay as they are.
const SIGNALLING: [&str; 10] = ["state", "drops", "drops_ps", "pending", "rate", "last", "in_flight", "oldest", "reason", "count"];

pub(super) fn draw(buffer: &mut Buffer, state: &State, theme: Theme, top: u16, lines: usize) {
    let width = buffer.area.width;
    let heads = state.lines.heads();
    let columns = state.fitting(width);
    let look = state.look();
    let mut spans = Vec::new();
    for (place, (index, width)) in columns.iter().enumerate() {
        let head = heads[*index];
        let arrow = if look.descending { "▼" } else { "▲" };
        let gap = if place == 0 { "" } else { " " };
        // The arrow stands in the gap, so that no head moves.
        let text = match (*index == look.sort, head.right, place) {
            (true, true, 1..) => format!("{:>width$}", format!("{arrow}{}", head.title), width = usize::from(*width) + 1),
            (true, ..) => format!("{gap}{:<width$}", cut(&format!("{}{arrow}", head.title), (*width).into()), width = usize::from(*width)),
            (false, ..) => format!("{gap}{}", pad(head.title, *width, head.right)),
        };
        spans.push(Span::styled(text, if *index == look.sort { theme.head() } else { theme.quiet() }));
    }
    put(buffer, top, Line::from(spans), width);

    let clock = |moment| state.clock(moment);
    let rows = state.lines.rows(look.top, lines);
    if rows.is_empty() {
        put(buffer, top + 1, Line::styled(format!(" {}", cut(&nothing(state), usize::from(width) - 1)), theme.quiet()), width);
    }
    let missing = state.lines.missing_before(look.top);
    for (place, row) in rows.iter().enumerate() {
        let line = place + missing;
        let is_chosen = look.top + line == look.cursor;
        let mut spans = Vec::new();
        for (place, (index, width)) in columns.iter().enumerate() {
            let head = heads[*index];
            let value = row.cells.get(*index).unwrap_or(&Value::None);
            let text = cell(&value.shown(&clock), *width, head.right);
            let gap = if place == 0 { "" } else { " " };
            let mut style = style(head, value, row.signal, theme);
            // Reversed, a colour would be patches behind the words: what is chosen signals in bold.
            if is_chosen && style.fg.take().is_some() {
                style = style.add_modifier(Modifier::BOLD);
            }
            spans.push(Span::styled(format!("{gap}{text}"), style));
        }
        let mut line_of_row = Line::from(spans);
        if is_chosen {
            line_of_row = line_of_row.style(theme.chosen());
        }
        let Ok(line) = u16::try_from(line) else { continue };
        if usize::from(line) < lines {
            put(buffer, top + 1 + line, line_of_row, width);
            if is_chosen {
                // To the right end, too: what is chosen is a line, not some words.
                buffer.set_style(ratatui::layout::Rect::new(0, top + 1 + line, width, 1), theme.chosen());
            }
        }
    }
}

fn style(head: &Head, value: &Value<'_>, signal: Signal, theme: Theme) -> Style {
    let is_zero =
        matches!(value, Value::None | Value::Count(0) | Value::Bytes(0)) || matches!(value, Value::Rate(r) | Value::Bits(r) if *r == 0.0);
    match signal {
        Signal::Stale => theme.quiet(),
        _ if is_zero => theme.quiet(),
        Signal::Attention if SIGNALLING.contains(&head.name) => theme.signal(),
        Signal::Attention | Signal::None => Style::new(),
    }
}

/// Why there is no line.
fn nothing(state: &State) -> String {
    if !state.look().filter.is_empty() {
        return "no line passes the filter; Esc takes it away".to_owned();
    }
    if !state.is_complete() {
        return "waiting for the first answer".to_owned();
    }
    match state.screen {
        Screen::Overlays => "no overlay",
        Screen::Targets => "no target",
        Screen::Vnics => "no VNIC",
        Screen::Lookups => "nobody is asked: only overlays of overlayd that are not direct have lookups",
        Screen::Drops => "nothing was dropped",
        Screen::Events => "nothing has happened since this program started",
    }
    .to_owned()
}

/// A text of exactly that width.
fn cell(text: &str, width: u16, right: bool) -> String {
    pad(&cut(text, width.into()), width, right)
}

fn pad(text: &str, width: u16, right: bool) -> String {
    let gap = " ".repeat(usize::from(width).saturating_sub(Span::raw(text).width()));
    if right { format!("{gap}{text}") } else { format!("{text}{gap}") }
}
