//! What does a key do? Actions change how things are looked at, never what is known.

use super::{Effect, Lines, Mode, State};
use crate::column::Screen;
use crate::filter::Filter;
use crate::keys::{Action, Press};
use crate::layout::{Layout, MIN};

/// Seconds that a jump in a file goes over.
const JUMP: i64 = 10;
/// Longest filter that can be typed, in bytes.
const FILTER_MAX: usize = 1000;
/// How fast a file may be played.
const SPEEDS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

impl State {
    /// Takes a key, or whatever else the user does.
    pub(crate) fn handle_press(&mut self, press: Press) {
        match press {
            Press::Size(width, height) => self.size = (width, height),
            Press::Click(column, line) => self.clicked(column, line),
            Press::Key(action, letter) => {
                self.message = None;
                match std::mem::take(&mut self.mode) {
                    Mode::Typing(text) => self.type_on(text, action, letter),
                    // Any key but those that move, and the one that ends the program, closes it.
                    Mode::Help(_) if action == Some(Action::Quit) => self.effects.push(Effect::Quit),
                    Mode::Help(top) if matches!(action, Some(Action::Down | Action::PageDown)) => {
                        self.mode = Mode::Help(top.saturating_add(4))
                    }
                    Mode::Help(top) if matches!(action, Some(Action::Up | Action::PageUp)) => self.mode = Mode::Help(top.saturating_sub(4)),
                    Mode::Said if action == Some(Action::Quit) => self.effects.push(Effect::Quit),
                    Mode::Help(_) | Mode::Said => {}
                    Mode::Table => {
                        if let Some(action) = action {
                            self.act(action);
                        }
                    }
                }
            }
            Press::Scroll(lines) => self.step(lines),
        }
        self.settle();
    }

    fn act(&mut self, action: Action) {
        let page = isize::try_from(Layout::of(self).lines.max(1)).unwrap_or(isize::MAX);
        match action {
            Action::Quit => self.effects.push(Effect::Quit),
            Action::Suspend => self.effects.push(Effect::Suspend),
            Action::Redraw => self.effects.push(Effect::Redraw),
            Action::Snapshot => self.effects.push(Effect::Snapshot),
            Action::Help => self.mode = Mode::Help(0),
            Action::Said => self.mode = Mode::Said,
            Action::Filter => self.mode = Mode::Typing(self.look().filter.text().to_owned()),
            Action::Screen(screen) => self.go(screen),
            Action::NextScreen => self.go(beside(self.screen, 1)),
            Action::PreviousScreen => self.go(beside(self.screen, Screen::ALL.len() - 1)),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-page),
            Action::PageDown => self.step(page),
            Action::First => self.look_mut().cursor = 0,
            Action::Last => {
                let last = self.total.saturating_sub(1);
                self.look_mut().cursor = last;
            }
            Action::SortRight => self.sort_beside(1),
            Action::SortLeft => self.sort_beside(-1),
            Action::Reverse => {
                let look = self.look_mut();
                look.descending = !look.descending;
            }
            Action::Pause => self.paused = !self.paused,
            Action::Detail => self.detail = !self.detail,
            Action::Targets => self.go_to_targets(),
            Action::Back => self.go_back(),
            Action::Faster => self.change_speed(1),
            Action::Slower => self.change_speed(-1),
            Action::JumpForward => self.jump(JUMP),
            Action::JumpBack => self.jump(-JUMP),
        }
    }

    /// Looks at another screen.
    pub(crate) fn go(&mut self, screen: Screen) {
        self.screen = screen;
        self.message = None;
    }

    fn step(&mut self, lines: isize) {
        let last = self.total.saturating_sub(1);
        let look = self.look_mut();
        look.cursor = look.cursor.saturating_add_signed(lines).min(last);
    }

    /// Sorts by the next column that is visible: one that is not would look like no order at all.
    fn sort_beside(&mut self, by: isize) {
        let heads = self.lines.heads();
        let visible = self.fitting(self.size.0);
        let look = self.look_mut();
        let place = visible.iter().position(|(index, _)| *index == look.sort).unwrap_or(0);
        let length = visible.len().max(1);
        let next = (place + length).saturating_add_signed(by) % length;
        if let Some((column, _)) = visible.get(next) {
            look.sort = *column;
            look.descending = heads.get(*column).is_some_and(|head| head.largest_first());
        }
    }

    fn go_to_targets(&mut self) {
        let Lines::Overlays(lines) = &self.lines else {
            self.go(Screen::Targets);
            return;
        };
        let Some(line) = lines.get(self.look().cursor) else { return };
        self.scope = Some((line.row.from.clone(), line.row.name.clone()));
        self.go(Screen::Targets);
        let look = self.look_mut();
        (look.cursor, look.top) = (0, 0);
    }

    /// Closes what is open, the innermost first.
    fn go_back(&mut self) {
        if self.detail {
            self.detail = false;
        } else if !self.look().filter.is_empty() {
            let screen = self.screen;
            self.filter_by(screen, Filter::default());
        } else if self.screen == Screen::Targets && self.scope.is_some() {
            self.scope = None;
        }
    }

    fn change_speed(&mut self, by: isize) {
        let place = SPEEDS.iter().position(|speed| *speed >= self.speed).unwrap_or(SPEEDS.len() - 1);
        let next = place.saturating_add_signed(by).min(SPEEDS.len() - 1);
        if self.is_playing() {
            self.speed = SPEEDS[next];
        }
    }

    fn jump(&mut self, seconds: i64) {
        if self.is_playing() {
            self.jumps += seconds;
        }
    }

    /// Whether a source has a time of its own; if not, that is said.
    fn is_playing(&mut self) -> bool {
        let plays = self.sources.values().any(|known| known.playback.is_some());
        if !plays {
            self.message = Some("only a file has a speed and a place: -r FILE, --replay FILE".to_owned());
        }
        plays
    }

    fn type_on(&mut self, mut text: String, action: Option<Action>, letter: Option<char>) {
        match (letter, action) {
            (Some('\n'), _) => match Filter::parse(&text, self.screen) {
                Ok(filter) => {
                    let screen = self.screen;
                    self.filter_by(screen, filter);
                }
                Err(sentence) => {
                    self.message = Some(sentence);
                    self.mode = Mode::Typing(text);
                }
            },
            (Some('\x1b'), _) => {}
            (Some('\x08'), _) => {
                text.pop();
                self.mode = Mode::Typing(text);
            }
            (Some('\x15'), _) => self.mode = Mode::Typing(String::new()),
            (Some(letter), _) if !letter.is_control() => {
                if text.len() + letter.len_utf8() <= FILTER_MAX {
                    text.push(letter);
                } else {
                    self.message = Some(format!("a filter has {FILTER_MAX} bytes at most"));
                }
                self.mode = Mode::Typing(text);
            }
            (_, Some(Action::Quit)) => self.effects.push(Effect::Quit),
            _ => self.mode = Mode::Typing(text),
        }
    }

    fn clicked(&mut self, column: u16, line: u16) {
        if matches!(self.mode, Mode::Help(_) | Mode::Said) {
            self.mode = Mode::Table;
            return;
        }
        if line == 0 {
            let tab = crate::view::tabs(self).into_iter().find(|tab| tab.range.contains(&column));
            if let Some(tab) = tab {
                self.go(tab.screen);
            }
            return;
        }
        let layout = Layout::of(self);
        let heads = 2 + layout.diagnoses;
        if line == heads {
            self.clicked_head(column);
        } else if let Some(below) = line.checked_sub(heads + 1).filter(|below| usize::from(*below) < layout.lines) {
            let chosen = self.look().top + usize::from(below);
            if chosen < self.total {
                // The second click opens what the first one chose.
                let again = self.look().cursor == chosen;
                self.look_mut().cursor = chosen;
                self.detail |= again;
            }
        }
    }

    fn clicked_head(&mut self, column: u16) {
        let mut start = 0;
        let heads = self.lines.heads();
        for (index, width) in self.fitting(self.size.0.max(MIN.0)) {
            if (start..=start + width).contains(&column) {
                let first = heads.get(index).is_some_and(|head| head.largest_first());
                let look = self.look_mut();
                look.descending = if look.sort == index { !look.descending } else { first };
                look.sort = index;
                return;
            }
            start += width + 1;
        }
    }
}

fn beside(screen: Screen, by: usize) -> Screen {
    let place = Screen::ALL.iter().position(|known| *known == screen).unwrap_or(0);
    Screen::ALL[(place + by) % Screen::ALL.len()]
}
