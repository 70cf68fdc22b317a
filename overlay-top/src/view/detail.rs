//! What is known of the chosen line? Sentences, graphs, then every value with its name.

use super::{cut, put};
use crate::state::State;
use crate::value::{printable, short};
use crate::view::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

/// Width of a value with its name.
const PAIR: usize = 26;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn draw(buffer: &mut Buffer, state: &State, theme: Theme, top: u16, height: u16) {
    let width = usize::from(buffer.area.width);
    let Some(detail) = state.detail() else {
        put(buffer, top, Line::styled(rule("nothing is chosen", width), theme.quiet()), buffer.area.width);
        return;
    };
    let mut lines = vec![Line::styled(rule(&detail.title, width), theme.head())];
    for sentence in &detail.sentences {
        lines.extend(wrap(&printable(sentence), width.saturating_sub(2)).into_iter().map(|text| Line::raw(format!(" {text}"))));
    }
    for (title, graph) in &detail.graphs {
        let room = width.saturating_sub(20).min(crate::state::GRAPH_MAX);
        let most = graph.iter().rev().take(room).max().copied().unwrap_or(0);
        let text = format!(" {title:<7}{:<room$} max {:>6}", bars(graph, room, most), short(most as f64, 1000.0));
        lines.push(Line::raw(text));
    }
    let columns = (width / PAIR).max(1);
    for row in detail.pairs.chunks(columns) {
        let spans = row.iter().flat_map(|(name, value)| {
            let name = cut(&printable(name), PAIR - 4);
            let room = PAIR.saturating_sub(name.len() + 3);
            let value = cut(value, room.max(1));
            let gap = " ".repeat(PAIR.saturating_sub(2 + name.chars().count() + value.chars().count()));
            [Span::styled(format!(" {name} "), theme.quiet()), Span::raw(format!("{value}{gap}"))]
        });
        lines.push(Line::from(spans.collect::<Vec<_>>()));
    }
    for (row, line) in (top..top + height).zip(lines) {
        put(buffer, row, line, buffer.area.width);
    }
}

/// `── ov77 ─────────`
fn rule(title: &str, width: usize) -> String {
    let title = cut(title, width.saturating_sub(6));
    let used = 4 + Span::raw(&title).width();
    format!("── {title} {}", "─".repeat(width.saturating_sub(used)))
}

/// The newest values as bars, the newest at the right.
fn bars(graph: &[u64], width: usize, most: u64) -> String {
    let skipped = graph.len().saturating_sub(width);
    let shown = &graph[skipped..];
    let gap = " ".repeat(width - shown.len());
    let bar = |value: &u64| match (*value, most) {
        (0, _) | (_, 0) => ' ',
        // 1 to 8 of 8: what is not nothing is seen.
        (value, most) => BARS[usize::try_from((u128::from(value) * 7).div_ceil(u128::from(most))).unwrap_or(7).min(7)],
    };
    gap + &shown.iter().map(bar).collect::<String>()
}

/// Lines of a sentence, broken at blanks.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            *line = cut(word, width);
        } else if Span::raw(line.as_str()).width() + 1 + Span::raw(word).width() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(cut(word, width));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_relative_to_the_most_and_anything_is_more_than_nothing() {
        assert_eq!(bars(&[0, 1, 500, 1000], 6, 1000), "   ▂▅█");
        assert_eq!(bars(&[5; 10], 4, 5), "████");
        assert_eq!(bars(&[], 3, 0), "   ");
    }

    #[test]
    fn sentences_are_broken_at_blanks() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 5), ["abcd…", "k"]);
    }
}
