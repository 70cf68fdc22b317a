//! Where does the text go? Standard output without `std`'s line buffer, and in order when several threads write.

use overlay_decoder::text::Text;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard};

/// Standard output.
pub(crate) struct Output {
    file: File,
}

impl Output {
    /// Standard output as a plain file: `io::Stdout` would look for line ends in everything.
    pub(crate) fn stdout() -> io::Result<Self> {
        Ok(Self { file: File::from(io::stdout().as_fd().try_clone_to_owned()?) })
    }

    /// Writes the text out and clears it.
    pub(crate) fn write(&mut self, text: &mut Text) -> io::Result<()> {
        let written = self.file.write_all(text.as_bytes());
        text.clear();
        written
    }
}

/// An output that takes texts in the order of their tickets, whoever brings them first.
pub(crate) struct Ordered {
    state: Mutex<State>,
    turn: Condvar,
}

struct State {
    output: Output,
    next: u64,
    failed: Option<io::Error>,
}

impl Ordered {
    pub(crate) fn new(output: Output) -> Self {
        Self { state: Mutex::new(State { output, next: 0, failed: None }), turn: Condvar::new() }
    }

    /// Waits for the turn of `ticket`, writes, and passes the turn on. `false` when writing has failed: nobody need go on.
    ///
    /// Every ticket must be brought, in any order; a missing one would block all later ones.
    pub(crate) fn write(&self, ticket: u64, text: &mut Text) -> bool {
        let mut state = self.lock();
        while state.next != ticket {
            state = self.turn.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if state.failed.is_none() {
            state.failed = state.output.write(text).err();
        }
        text.clear();
        state.next += 1;
        let going = state.failed.is_none();
        drop(state);
        self.turn.notify_all();
        going
    }

    /// The output, or why it failed.
    pub(crate) fn into_result(self) -> io::Result<()> {
        let state = self.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.failed.map_or(Ok(()), Err)
    }

    /// A thread that panicked leaves a state that is still whole: nothing in it is changed in two steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
