//! Every screen in three sizes, letter by letter and style by style, against files in `golden/`; `OVERLAY_UPDATE=1` renews them.

use super::draw;
use super::theme::{Theme, ThemeName};
use crate::column::Screen;
use crate::keys::{Action, Press};
use crate::state::State;
use crate::state::sample::session;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;
use std::path::Path;

fn drawn(state: &State, theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| draw(frame, state, theme)).unwrap();
    terminal.backend().buffer().clone()
}

/// The letters, then for each line that has any the styles: `b` bold, `d` dim, `r` reversed, `S` the accent, capital where reversed too.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    let width = buffer.area.width;
    for row in 0..buffer.area.height {
        let line: String = (0..width).map(|column| buffer[(column, row)].symbol()).collect();
        let styles: String = (0..width)
            .map(|column| {
                let cell = &buffer[(column, row)];
                let has = |modifier| cell.modifier.contains(modifier);
                match (cell.fg, has(Modifier::REVERSED)) {
                    (Color::Reset, true) if has(Modifier::DIM) => 'D',
                    (Color::Reset, true) => 'r',
                    (Color::Reset, false) if has(Modifier::BOLD) => 'b',
                    (Color::Reset, false) if has(Modifier::DIM) => 'd',
                    (Color::Reset, false) => ' ',
                    (_, true) => 'A',
                    (_, false) => 'S',
                }
            })
            .collect();
        let _ = writeln!(text, "{}", line.trim_end());
        if !styles.trim().is_empty() {
            let _ = writeln!(text, "\u{a6}{}", styles.trim_end());
        }
    }
    text
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("OVERLAY_UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{name}, line {}; OVERLAY_UPDATE=1 renews it", number + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "{name}");
}

fn press(state: &mut State, action: Action) {
    state.handle_press(Press::Key(Some(action), None));
}

/// All screens of one size after ten seconds, then help and details.
fn all_screens(size: (u16, u16)) -> String {
    let theme = Theme::new(ThemeName::Dark);
    let mut all = String::new();
    for screen in Screen::ALL {
        let _ = write!(all, "== {}\n{}", screen.name(), text(&drawn(&session(size, screen, 10), theme)));
    }
    let mut help = session(size, Screen::Overlays, 1);
    press(&mut help, Action::Help);
    let _ = write!(all, "== help\n{}", text(&drawn(&help, theme)));
    let mut said = session(size, Screen::Overlays, 10);
    press(&mut said, Action::Said);
    let _ = write!(all, "== what is wrong\n{}", text(&drawn(&said, theme)));
    for screen in [Screen::Overlays, Screen::Drops] {
        let mut detail = session(size, screen, 10);
        press(&mut detail, Action::Down);
        press(&mut detail, Action::Detail);
        let _ = write!(all, "== details of {}\n{}", screen.name(), text(&drawn(&detail, theme)));
    }
    all
}

#[test]
fn eighty_by_twenty_four() {
    compare("80x24.txt", &all_screens((80, 24)));
}

#[test]
fn wide() {
    compare("120x40.txt", &all_screens((120, 40)));
}

#[test]
fn small() {
    compare("40x10.txt", &all_screens((40, 10)));
}

#[test]
fn without_colour_nothing_has_one_and_signals_are_bold() {
    let state = session((80, 24), Screen::Overlays, 10);
    let buffer = drawn(&state, Theme::new(ThemeName::Mono));
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let colored = drawn(&state, Theme::new(ThemeName::Dark));
    let pairs = colored.content().iter().zip(buffer.content());
    assert!(pairs.clone().any(|(cell, _)| cell.fg == Color::Yellow));
    for (cell, mono) in pairs {
        assert_eq!(cell.symbol(), mono.symbol());
        assert!(cell.fg != Color::Yellow || mono.modifier.contains(Modifier::BOLD));
    }
}

#[test]
fn below_the_smallest_size_there_is_one_sentence() {
    for size in [(39, 24), (80, 9), (1, 1), (20, 3)] {
        let state = session(size, Screen::Overlays, 1);
        let shown = text(&drawn(&state, Theme::new(ThemeName::Dark)));
        let sentence = format!("40 x 10 at least; this is {} x {}", size.0, size.1);
        assert_eq!(shown.lines().next().unwrap(), super::cut(&sentence, size.0.into()));
        assert_eq!(shown.trim().lines().count(), 1);
    }
}

#[test]
fn nothing_moves_when_numbers_grow() {
    let columns = |second: u64| {
        let shown = text(&drawn(&session((120, 40), Screen::Overlays, second), Theme::new(ThemeName::Dark)));
        let heads = shown.lines().find(|line| line.contains("OVERLAY")).unwrap().to_owned();
        let row = shown.lines().find(|line| line.starts_with("ov16777215")).unwrap().to_owned();
        (heads, row.find("geneve"))
    };
    assert_eq!(columns(1), columns(900));
}

#[test]
fn every_size_can_be_drawn_with_every_mode() {
    for width in (1..130).step_by(7) {
        for height in 1..42 {
            for screen in Screen::ALL {
                let mut state = session((width, height), screen, 5);
                drawn(&state, Theme::new(ThemeName::Dark));
                press(&mut state, Action::Detail);
                drawn(&state, Theme::new(ThemeName::Dark));
                press(&mut state, Action::Help);
                drawn(&state, Theme::new(ThemeName::Dark));
            }
        }
    }
}
