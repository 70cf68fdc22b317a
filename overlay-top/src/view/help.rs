//! Which keys are there? The table of keys, as much of it as fits.

use super::detail::wrap;
use super::{cut, put};
use crate::keys::Keys;
use crate::value::printable;
use crate::view::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

const KEYS: usize = 15;

/// Below the tabs, from line `first` of the table on.
pub(super) fn draw(buffer: &mut Buffer, theme: Theme, keys: &Keys, first: usize, height: u16) {
    let all = keys.all();
    let width = buffer.area.width;
    let rows = usize::from(height.saturating_sub(2)).max(1);
    let first = first.min(all.len().saturating_sub(rows));
    for ((keys, does), row) in all.iter().skip(first).zip(1..height - 1) {
        let does = cut(does, usize::from(width).saturating_sub(KEYS + 2));
        put(buffer, row, Line::from(vec![Span::styled(format!(" {keys:<KEYS$} "), theme.head()), Span::raw(does)]), width);
    }
    let more = if all.len() > rows { " Up Down: more; any other key goes back" } else { " any key goes back" };
    put(buffer, height - 1, Line::styled(more, theme.quiet()), width);
}

/// Every sentence about what is wrong, whole.
pub(super) fn draw_said(buffer: &mut Buffer, theme: Theme, said: &[String], height: u16) {
    let width = buffer.area.width;
    let mut row = 2;
    for sentence in said {
        for (place, text) in wrap(&printable(sentence), usize::from(width).saturating_sub(4)).into_iter().enumerate() {
            if row + 1 >= height {
                break;
            }
            let mark = if place == 0 { " ! " } else { "   " };
            put(buffer, row, Line::from(vec![Span::styled(mark, theme.signal()), Span::raw(text)]), width);
            row += 1;
        }
    }
    if said.is_empty() {
        put(buffer, row, Line::raw(" nothing is wrong that could be seen from here"), width);
    }
    put(buffer, height - 1, Line::styled(" any key goes back", theme.quiet()), width);
}
