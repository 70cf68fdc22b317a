//! How is the terminal taken, and given back whatever happens? A guard; a panic, a signal and an error all end in its drop.

use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::io::{self, Stdout};

/// What is drawn on.
pub(crate) type Screen = Terminal<CrosstermBackend<Stdout>>;

/// A terminal that was taken.
pub(crate) struct Taken {
    pub(crate) screen: Screen,
}

impl Taken {
    /// Takes the terminal: raw, on its other screen, with the mouse.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn take() -> io::Result<Self> {
        take_over()?;
        let screen = size().and_then(empty).inspect_err(|_| give_back())?;
        Ok(Self { screen })
    }

    /// Forgets what is drawn, and draws on a terminal of that size from now on.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn start_over(&mut self, size: (u16, u16)) -> io::Result<()> {
        self.screen = empty(size)?;
        Ok(())
    }

    /// Gives it back for a while, stops the process, and takes it again when the process goes on.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        take_over()?;
        // It may have another size by now, which nobody has told a process that stood still.
        self.start_over(size()?)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// An empty terminal. ratatui's own ways to clear one, or to follow its size, ask it where the cursor is; the answer comes in among the
/// keys, where another thread takes it.
fn empty((width, height): (u16, u16)) -> io::Result<Screen> {
    execute!(io::stdout(), Clear(ClearType::All))?;
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(CrosstermBackend::new(io::stdout()), TerminalOptions { viewport })
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, cursor::Hide).inspect_err(|_| give_back())
}

/// Everything is tried, whatever fails: there is nobody left to tell.
fn give_back() {
    let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// Has a panic of this thread give the terminal back before it is told: on the other screen nobody would see it. One of another thread
/// does not end the program: what it means is shown like any fault, and must not be written over the screen.
pub(crate) fn give_back_on_panic() {
    let usual = std::panic::take_hook();
    let own = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == own {
            give_back();
            usual(panic);
        }
    }));
}
