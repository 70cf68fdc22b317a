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

/// Keys and what they do, for the help and the manual.
pub(crate) fn all() -> Vec<(&'static str, &'static str)> {
    let plain = BINDINGS.iter().map(|binding| (binding.keys, binding.does));
    plain.chain(CONTROL.iter().map(|(_, _, keys, does)| (*keys, *does))).collect()
}

/// What an event of the terminal means; nothing for those that mean nothing.
pub(crate) fn press(event: &Event) -> Option<Press> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(key_press(*key)),
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

fn key_press(key: KeyEvent) -> Press {
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
    let codes = BINDINGS.iter().flat_map(|binding| binding.codes);
    let action = codes.into_iter().find(|(code, _)| *code == key.code).map(|(_, action)| *action);
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
    fn keys_type_and_act() {
        let key = |code, modifiers| press(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(c('q'), KeyModifiers::NONE), Some(Press::Key(Some(Action::Quit), Some('q'))));
        assert_eq!(key(c('c'), KeyModifiers::CONTROL), Some(Press::Key(Some(Action::Quit), None)));
        assert_eq!(key(c('G'), KeyModifiers::SHIFT), Some(Press::Key(Some(Action::Last), Some('G'))));
        assert_eq!(key(KeyCode::Enter, KeyModifiers::NONE), Some(Press::Key(Some(Action::Detail), Some('\n'))));
        assert_eq!(key(c('x'), KeyModifiers::NONE), Some(Press::Key(None, Some('x'))));
        assert_eq!(press(&Event::FocusLost), None);
    }
}
