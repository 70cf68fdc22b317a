//! Which keys are there? One table, which the keyboard, the help and the manual page go by.

use crate::column::Screen;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};

/// What can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Quit,
    Help,
    Said,
    Screen(Screen),
    NextScreen,
    PreviousScreen,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    SortRight,
    SortLeft,
    Reverse,
    Filter,
    Pause,
    Detail,
    Targets,
    Back,
    Faster,
    Slower,
    JumpForward,
    JumpBack,
    Snapshot,
    Redraw,
    Suspend,
}

/// What the user did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Press {
    /// A key: what it does, if it does anything, and what it types.
    Key(Option<Action>, Option<char>),
    /// The terminal has so many columns and rows.
    Size(u16, u16),
    /// The left button, at a column and a row.
    Click(u16, u16),
    /// The wheel, by so many lines.
    Scroll(isize),
}

/// A row of the table.
pub(crate) struct Binding {
    /// As they are shown.
    pub(crate) keys: &'static str,
    pub(crate) does: &'static str,
    codes: &'static [(KeyCode, Action)],
}

const fn c(letter: char) -> KeyCode {
    KeyCode::Char(letter)
}

/// All keys.
pub(crate) const BINDINGS: &[Binding] = &[
    Binding {
        keys: "1 .. 6",
        does: "screens",
        codes: &[
            (c('1'), Action::Screen(Screen::Overlays)),
            (c('2'), Action::Screen(Screen::Targets)),
            (c('3'), Action::Screen(Screen::Vnics)),
            (c('4'), Action::Screen(Screen::Lookups)),
            (c('5'), Action::Screen(Screen::Drops)),
            (c('6'), Action::Screen(Screen::Events)),
        ],
    },
    Binding {
        keys: "Tab, Shift-Tab",
        does: "next, previous screen",
        codes: &[(KeyCode::Tab, Action::NextScreen), (KeyCode::BackTab, Action::PreviousScreen)],
    },
    Binding {
        keys: "Up Down, k j",
        does: "choose a line",
        codes: &[(KeyCode::Up, Action::Up), (c('k'), Action::Up), (KeyCode::Down, Action::Down), (c('j'), Action::Down)],
    },
    Binding {
        keys: "PageUp PageDown",
        does: "a page up, down",
        codes: &[(KeyCode::PageUp, Action::PageUp), (KeyCode::PageDown, Action::PageDown)],
    },
    Binding {
        keys: "Home End, g G",
        does: "first, last line",
        codes: &[(KeyCode::Home, Action::First), (c('g'), Action::First), (KeyCode::End, Action::Last), (c('G'), Action::Last)],
    },
    Binding {
        keys: "Left Right, s",
        does: "sort by another column",
        codes: &[(KeyCode::Left, Action::SortLeft), (KeyCode::Right, Action::SortRight), (c('s'), Action::SortRight)],
    },
    Binding { keys: "S, r", does: "reverse the order", codes: &[(c('S'), Action::Reverse), (c('r'), Action::Reverse)] },
    Binding { keys: "/", does: "filter: vni:77 state:pending hits>9 !x /re/", codes: &[(c('/'), Action::Filter)] },
    Binding { keys: "Enter", does: "details of the line", codes: &[(KeyCode::Enter, Action::Detail)] },
    Binding { keys: "t", does: "targets of the overlay", codes: &[(c('t'), Action::Targets)] },
    Binding { keys: "Esc", does: "close details, filter, overlay", codes: &[(KeyCode::Esc, Action::Back)] },
    Binding { keys: "p, Space", does: "pause, go on", codes: &[(c('p'), Action::Pause), (c(' '), Action::Pause)] },
    Binding { keys: "+ -", does: "play a file faster, slower", codes: &[(c('+'), Action::Faster), (c('-'), Action::Slower)] },
    Binding { keys: "[ ]", does: "10 s back, forward in a file", codes: &[(c('['), Action::JumpBack), (c(']'), Action::JumpForward)] },
    Binding { keys: "!", does: "everything that is wrong right now", codes: &[(c('!'), Action::Said)] },
    Binding { keys: "w", does: "write what is shown, as JSON", codes: &[(c('w'), Action::Snapshot)] },
    Binding { keys: "? h", does: "this help", codes: &[(c('?'), Action::Help), (c('h'), Action::Help)] },
    Binding { keys: "q", does: "end", codes: &[(c('q'), Action::Quit)] },
];

/// Keys with Ctrl.
pub(crate) const CONTROL: &[(char, Action, &str, &str)] = &[
    ('l', Action::Redraw, "Ctrl-L", "draw everything again"),
    ('z', Action::Suspend, "Ctrl-Z", "to the shell; fg comes back"),
    ('c', Action::Quit, "Ctrl-C", "end"),
];

/// Actions by the names that the configuration file has for them.
pub(crate) const NAMES: &[(&str, Action)] = &[
    ("overlays", Action::Screen(Screen::Overlays)),
    ("targets", Action::Screen(Screen::Targets)),
    ("vnics", Action::Screen(Screen::Vnics)),
    ("lookups", Action::Screen(Screen::Lookups)),
    ("drops", Action::Screen(Screen::Drops)),
    ("events", Action::Screen(Screen::Events)),
    ("next-screen", Action::NextScreen),
    ("previous-screen", Action::PreviousScreen),
    ("up", Action::Up),
    ("down", Action::Down),
    ("page-up", Action::PageUp),
    ("page-down", Action::PageDown),
    ("first", Action::First),
    ("last", Action::Last),
    ("sort-left", Action::SortLeft),
    ("sort-right", Action::SortRight),
    ("reverse", Action::Reverse),
    ("filter", Action::Filter),
    ("details", Action::Detail),
    ("overlay-targets", Action::Targets),
    ("back", Action::Back),
    ("pause", Action::Pause),
    ("faster", Action::Faster),
    ("slower", Action::Slower),
    ("jump-back", Action::JumpBack),
    ("jump-forward", Action::JumpForward),
    ("wrong", Action::Said),
    ("snapshot", Action::Snapshot),
    ("help", Action::Help),
    ("quit", Action::Quit),
];

/// Keys that are no letters, by their names.
const SPECIAL: [(&str, KeyCode); 16] = [
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("PageUp", KeyCode::PageUp),
    ("PageDown", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("Shift-Tab", KeyCode::BackTab),
    ("Backspace", KeyCode::Backspace),
    ("Insert", KeyCode::Insert),
    ("Delete", KeyCode::Delete),
    ("Space", KeyCode::Char(' ')),
];

/// The key of that name: a character, a name of [`SPECIAL`], F1 to F12.
///
/// # Errors
/// What would be one.
pub(crate) fn key(name: &str) -> Result<KeyCode, String> {
    let special = SPECIAL.iter().find(|(known, _)| *known == name).map(|(_, code)| *code);
    let function = || name.strip_prefix('F')?.parse().ok().filter(|number| (1..=12).contains(number)).map(KeyCode::F);
    let mut letters = name.chars();
    let letter = || match (letters.next(), letters.next()) {
        (Some(letter), None) if !letter.is_control() && letter != ' ' => Some(c(letter)),
        _ => None,
    };
    special.or_else(function).or_else(letter).ok_or_else(|| {
        let names: Vec<&str> = SPECIAL.iter().map(|(name, _)| *name).collect();
        format!("`{name}` is no key; one character is, or {}, F1 to F12", names.join(", "))
    })
}

fn name_of(code: KeyCode) -> String {
    match (SPECIAL.iter().find(|(_, known)| *known == code), code) {
        (Some((name, _)), _) => (*name).to_owned(),
        (None, KeyCode::Char(letter)) => letter.to_string(),
        (None, KeyCode::F(number)) => format!("F{number}"),
        (None, _) => "-".to_owned(),
    }
}

/// What the keys do: as the table says, or as the configuration file does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keys {
    codes: Vec<(KeyCode, Action)>,
    /// Actions whose keys are not those of the table.
    changed: Vec<Action>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { codes: BINDINGS.iter().flat_map(|binding| binding.codes).copied().collect(), changed: Vec::new() }
    }
}

impl Keys {
    /// An action has these keys and no others.
    pub(crate) fn set(&mut self, action: Action, codes: impl IntoIterator<Item = KeyCode>) {
        self.codes.retain(|(_, known)| *known != action);
        self.codes.extend(codes.into_iter().map(|code| (code, action)));
        self.changed.push(action);
    }

    /// The names of an action's keys.
    pub(crate) fn of(&self, action: Action) -> Vec<String> {
        self.codes.iter().filter(|(_, known)| *known == action).map(|(code, _)| name_of(*code)).collect()
    }

    /// A key that two actions have, with both; none if there is none.
    pub(crate) fn twice(&self) -> Option<(String, &'static str, &'static str)> {
        let name = |action: Action| NAMES.iter().find(|(_, known)| *known == action).map_or("-", |(name, _)| *name);
        self.codes.iter().enumerate().find_map(|(place, (code, action))| {
            let (_, first) = self.codes[..place].iter().find(|(known, _)| known == code)?;
            Some((name_of(*code), name(*first), name(*action)))
        })
    }

    fn action(&self, code: KeyCode) -> Option<Action> {
        self.codes.iter().find(|(known, _)| *known == code).map(|(_, action)| *action)
    }

    /// Keys and what they do, for the help and the manual.
    pub(crate) fn all(&self) -> Vec<(String, &'static str)> {
        let plain = BINDINGS.iter().map(|binding| {
            let mut actions: Vec<Action> = binding.codes.iter().map(|(_, action)| *action).collect();
            actions.dedup();
            let keys = if actions.iter().any(|action| self.changed.contains(action)) {
                actions.iter().flat_map(|action| self.of(*action)).collect::<Vec<_>>().join(" ")
            } else {
                binding.keys.to_owned()
            };
            (keys, binding.does)
        });
        plain.chain(CONTROL.iter().map(|(_, _, keys, does)| ((*keys).to_owned(), *does))).collect()
    }
}

/// What an event of the terminal means; nothing for those that mean nothing.
pub(crate) fn press(event: &Event, keys: &Keys) -> Option<Press> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(key_press(*key, keys)),
        Event::Resize(width, height) => Some(Press::Size(*width, *height)),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => Some(Press::Click(mouse.column, mouse.row)),
            MouseEventKind::ScrollUp => Some(Press::Scroll(-3)),
            MouseEventKind::ScrollDown => Some(Press::Scroll(3)),
            _ => None,
        },
        _ => None,
    }
}

fn key_press(key: KeyEvent, keys: &Keys) -> Press {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        let letter = match key.code {
            KeyCode::Char(letter) => letter.to_ascii_lowercase(),
            _ => return Press::Key(None, None),
        };
        let action = CONTROL.iter().find(|(known, ..)| *known == letter).map(|(_, action, ..)| *action);
        // What a shell's line takes, too.
        let typed = match letter {
            'u' => Some('\x15'),
            'h' => Some('\x08'),
            _ => None,
        };
        return Press::Key(action, typed);
    }
    let action = keys.action(key.code);
    let typed = match key.code {
        KeyCode::Char(letter) => Some(letter),
        KeyCode::Enter => Some('\n'),
        KeyCode::Esc => Some('\x1b'),
        KeyCode::Backspace => Some('\x08'),
        _ => None,
    };
    Press::Key(action, typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let codes: Vec<KeyCode> = BINDINGS.iter().flat_map(|binding| binding.codes).map(|(code, _)| *code).collect();
        for (place, code) in codes.iter().enumerate() {
            assert!(!codes[..place].contains(code), "{code:?}");
        }
    }

    #[test]
    fn every_action_of_the_table_has_a_name_and_every_key_too() {
        for (code, action) in BINDINGS.iter().flat_map(|binding| binding.codes) {
            assert!(NAMES.iter().any(|(_, known)| known == action), "{action:?}");
            assert_eq!(key(&name_of(*code)), Ok(*code));
        }
        assert_eq!((key("F12"), key("é")), (Ok(KeyCode::F(12)), Ok(c('é'))));
        for wrong in ["", "F13", "F0", "ab", " ", "\u{1b}", "up"] {
            assert!(key(wrong).unwrap_err().starts_with(&format!("`{wrong}` is no key; one character is, or Up, ")), "{wrong}");
        }
    }

    #[test]
    fn a_changed_key_is_in_the_help_and_one_that_is_given_away_is_found() {
        let mut keys = Keys::default();
        keys.set(Action::Quit, [c('x'), KeyCode::F(10)]);
        assert_eq!((keys.action(c('x')), keys.action(c('q')), keys.twice()), (Some(Action::Quit), None, None));
        assert!(keys.all().contains(&("x F10".to_owned(), "end")));
        keys.set(Action::Help, [c('x')]);
        assert_eq!(keys.twice(), Some(("x".to_owned(), "quit", "help")));
    }

    #[test]
    fn keys_type_and_act() {
        let key = |code, modifiers| press(&Event::Key(KeyEvent::new(code, modifiers)), &Keys::default());
        assert_eq!(key(c('q'), KeyModifiers::NONE), Some(Press::Key(Some(Action::Quit), Some('q'))));
        assert_eq!(key(c('c'), KeyModifiers::CONTROL), Some(Press::Key(Some(Action::Quit), None)));
        assert_eq!(key(c('G'), KeyModifiers::SHIFT), Some(Press::Key(Some(Action::Last), Some('G'))));
        assert_eq!(key(KeyCode::Enter, KeyModifiers::NONE), Some(Press::Key(Some(Action::Detail), Some('\n'))));
        assert_eq!(key(c('x'), KeyModifiers::NONE), Some(Press::Key(None, Some('x'))));
        assert_eq!(press(&Event::FocusLost, &Keys::default()), None);
    }
}
