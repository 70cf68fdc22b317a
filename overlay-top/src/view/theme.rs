//! Which style says what? One accent colour, for signals only; all else is bold, dim, reversed or plain.

use ratatui::style::{Color, Modifier, Style};

/// The styles of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Theme {
    /// None where colours are not wanted: bold stands for it.
    accent: Option<Color>,
}

/// What the terminal looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum ThemeName {
    /// Light letters on a dark ground.
    #[default]
    Dark,
    /// Dark letters on a light ground.
    Light,
    /// No colour, as with NO_COLOR.
    Mono,
}

impl Theme {
    pub(crate) const fn new(name: ThemeName) -> Self {
        let accent = match name {
            ThemeName::Dark => Some(Color::Yellow),
            ThemeName::Light => Some(Color::Blue),
            ThemeName::Mono => None,
        };
        Self { accent }
    }

    /// Something that is not as it should be.
    pub(crate) fn signal(self) -> Style {
        match self.accent {
            Some(color) => Style::new().fg(color),
            None => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// What is not of now, or not of importance.
    pub(crate) const fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Heads and titles.
    pub(crate) const fn head(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is chosen.
    pub(crate) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
