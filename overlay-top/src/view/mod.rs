//! What does the terminal show? The state, drawn; nothing here changes it.

mod detail;
mod help;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod theme;

use crate::column::Screen;
use crate::layout::{Layout, MIN};
use crate::state::{Mode, State};
use crate::value::printable;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use std::ops::Range;
use theme::Theme;

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State, theme: Theme) {
    let area = frame.area();
    let (width, height) = (area.width, area.height);
    let buffer = frame.buffer_mut();
    if width < MIN.0 || height < MIN.1 {
        let text = format!("{} x {} at least; this is {width} x {height}", MIN.0, MIN.1);
        put(buffer, 0, Line::raw(cut(&text, width.into())), width);
        return;
    }
    put(buffer, 0, tab_line(state, theme, width), width);
    if let Mode::Help(first) = state.mode {
        help::draw(buffer, theme, &state.config.keys, first, height);
        return;
    }
    if state.mode == Mode::Said {
        help::draw_said(buffer, theme, &state.diagnoses(), height);
        return;
    }
    let layout = Layout::of(state);
    put(buffer, 1, status(state, theme, width), width);
    let said = state.diagnoses();
    for (line, text) in diagnoses(&said, layout.diagnoses.into(), width) {
        let style = if state.has_faults(&said) { theme.signal() } else { theme.quiet() };
        put(buffer, 2 + line, Line::styled(text, style), width);
    }
    let heads = 2 + layout.diagnoses;
    table::draw(buffer, state, theme, heads, layout.lines);
    if layout.detail > 0 {
        detail::draw(buffer, state, theme, height - 1 - layout.detail, layout.detail);
    }
    put(buffer, height - 1, footer(state, theme, width, layout.lines), width);
    if let Mode::Typing(text) = &state.mode {
        let shown = tail(text, usize::from(width).saturating_sub(2));
        frame.set_cursor_position((1 + u16::try_from(Span::raw(shown).width()).unwrap_or(0), height - 1));
    }
}

/// Puts a line into a row of the terminal.
fn put(buffer: &mut Buffer, row: u16, line: Line<'_>, width: u16) {
    buffer.set_line(0, row, &line, width);
}

/// A name of a screen, and the columns of the terminal where it is.
pub(crate) struct Tab {
    pub(crate) screen: Screen,
    text: String,
    pub(crate) range: Range<u16>,
}

/// The names of the screens; in a narrow terminal only the number of those that are not shown.
pub(crate) fn tabs(state: &State) -> Vec<Tab> {
    let mut start = 0;
    let name = |(place, screen): (usize, Screen)| {
        let text = if state.size.0 >= 74 || screen == state.screen {
            format!(" {} {} ", place + 1, screen.title())
        } else {
            format!(" {} ", place + 1)
        };
        let range = start..start + text.len() as u16;
        start = range.end;
        Tab { screen, text, range }
    };
    Screen::ALL.into_iter().enumerate().map(name).collect()
}

fn tab_line(state: &State, theme: Theme, width: u16) -> Line<'static> {
    let spans = tabs(state).into_iter().map(|tab| {
        let style = if tab.screen == state.screen { theme.chosen() } else { Style::new() };
        Span::styled(tab.text, style)
    });
    let left: Vec<Span<'_>> = spans.collect();
    spread(left, vec![Span::raw(state.clock(state.now))], width)
}

/// Spans at the left, and others flush right if there is room.
fn spread(mut left: Vec<Span<'static>>, right: Vec<Span<'static>>, width: u16) -> Line<'static> {
    let used: usize = left.iter().chain(&right).map(Span::width).sum();
    if let Some(gap) = usize::from(width).checked_sub(used).filter(|gap| *gap > 0) {
        left.push(Span::raw(" ".repeat(gap)));
        left.extend(right);
    }
    Line::from(left)
}

fn status(state: &State, theme: Theme, width: u16) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = vec![Span::raw(" ")];
    let mut add = |text: String, style: Style| {
        let gap = if spans.len() > 1 { "  " } else { "" };
        spans.push(Span::styled(format!("{gap}{text}"), style));
    };
    if state.paused {
        add("PAUSED".to_owned(), theme.signal());
    }
    for (name, known) in &state.sources {
        match &known.fault {
            Some(_) => add(format!("{} gone", printable(name)), theme.signal()),
            None => add(printable(name), Style::new()),
        }
        if let Some(playback) = &known.playback {
            let at = playback.at.saturating_sub(playback.begin);
            let end = if playback.over { ", at its end" } else { "" };
            add(format!("{}x, {} in{end}", state.speed, crate::value::age(at)), Style::new());
        }
    }
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    if let (Screen::Targets, Some((_, overlay))) = (state.screen, &state.scope) {
        add(format!("targets of {}", printable(overlay)), theme.head());
    }
    let overlays = state.sources.values().map(|known| known.overlays.len()).sum();
    let vnics = state.sources.values().map(|known| known.vnics.len()).sum();
    let rows = state.sources.values().flat_map(|known| &known.overlays);
    let targets = rows.filter_map(|row| row.targets).fold(0, u64::saturating_add);
    add(count(overlays, "overlay"), theme.quiet());
    add(count(usize::try_from(targets).unwrap_or(usize::MAX), "target"), theme.quiet());
    add(count(vnics, "VNIC"), theme.quiet());
    let line = Line::from(spans);
    if line.width() > width.into() { Line::raw(cut(&line.to_string(), width.into())) } else { line }
}

/// The sentences that there is room for; the last one says how many more there are.
fn diagnoses(all: &[String], lines: usize, width: u16) -> Vec<(u16, String)> {
    let more = all.len().saturating_sub(lines);
    let shown = all.iter().take(lines).enumerate();
    let text = |(place, sentence): (usize, &String)| {
        let rest = if place + 1 == lines && more > 0 { format!(" (+{more} !)") } else { String::new() };
        let room = usize::from(width).saturating_sub(1 + rest.len());
        (place as u16, format!(" {}{rest}", cut(&printable(sentence), room)))
    };
    shown.map(text).collect()
}

fn footer(state: &State, theme: Theme, width: u16, lines: usize) -> Line<'static> {
    if let Some(message) = &state.message {
        return Line::styled(format!(" {}", cut(&printable(message), usize::from(width).saturating_sub(1))), theme.signal());
    }
    if let Mode::Typing(text) = &state.mode {
        return Line::raw(format!("/{}", printable(tail(text, usize::from(width).saturating_sub(2)))));
    }
    let look = state.look();
    let place = match state.total {
        0 => "0".to_owned(),
        total => format!("{}-{} of {total}", look.top + 1, (look.top + lines).min(total)),
    };
    let filter = if look.filter.is_empty() { String::new() } else { format!("/{}  ", look.filter.text()) };
    let hints = if width >= 74 { " ? help  / filter  s sort  Enter details  t targets  p pause  q end" } else { " ? help  q end" };
    let left = if filter.is_empty() { Span::styled(hints, theme.quiet()) } else { Span::raw(format!(" {}", printable(&filter))) };
    spread(vec![left], vec![Span::styled(place, theme.quiet())], width)
}

/// The first part of a text that is `width` wide, with a mark where something is left out.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width).collect();
    while !kept.is_empty() && Span::raw(&kept).width() + 1 > width {
        kept.pop();
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// The last part of a text, as far as it fits.
fn tail(text: &str, width: usize) -> &str {
    let mut shown = text;
    while Span::raw(shown).width() > width {
        let mut letters = shown.chars();
        letters.next();
        shown = letters.as_str();
    }
    shown
}
