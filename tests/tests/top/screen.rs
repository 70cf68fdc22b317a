//! A terminal that a test can look at and type into: a session of tmux, on a server of its own.

use overlay_lab::wait_until;
use overlay_tests::{Peer, Run, say};
use std::time::Duration;

/// Far more than anything takes, also on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(30);

/// A terminal with a program in it; dropping it ends both.
pub(crate) struct Screen {
    server: String,
}

impl Screen {
    /// Runs a command of the shell in a terminal of that size; none, and counted as skipped, where there is no tmux.
    pub(crate) fn open(test: &str, (width, height): (u16, u16), command: &str) -> Option<Self> {
        Peer::find(&format!("top::{test}"), "tmux")?;
        let screen = Self { server: format!("ovtop-{}-{test}", std::process::id()) };
        let size = ["-x", &width.to_string(), "-y", &height.to_string()].map(str::to_owned);
        let words = ["-f", "/dev/null", "new-session", "-d"].map(str::to_owned);
        let ended = screen.run(words.into_iter().chain(size).chain([command.to_owned()]));
        assert_eq!(ended.0, 0, "{}", ended.1);
        Some(screen)
    }

    fn run(&self, words: impl IntoIterator<Item = String>) -> (i32, String) {
        let server = ["-L".to_owned(), self.server.clone()];
        let run =
            Run::new("tmux").args(server.into_iter().chain(words)).env("TERM", "screen-256color").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        let ended = run.end();
        (ended.code, ended.stdout + &ended.stderr)
    }

    fn words(&self, words: &[&str]) -> (i32, String) {
        self.run(words.iter().map(|word| (*word).to_owned()))
    }

    /// Presses keys, by tmux's names.
    pub(crate) fn press(&self, keys: &[&str]) {
        let ended = self.words(&[&["send-keys"], keys].concat());
        assert_eq!(ended.0, 0, "{}", ended.1);
    }

    /// The process that was started in it.
    pub(crate) fn shell(&self) -> String {
        self.words(&["display-message", "-p", "#{pane_pid}"]).1.trim().to_owned()
    }

    /// Changes its size.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        let ended = self.words(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
        assert_eq!(ended.0, 0, "{}", ended.1);
    }

    /// What it shows.
    pub(crate) fn text(&self) -> String {
        self.words(&["capture-pane", "-p"]).1
    }

    /// Waits until it shows something; gives that.
    pub(crate) fn wait(&self, what: &str, shown: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        let waited = wait_until(what, CEILING, || {
            text = self.text();
            shown(&text)
        });
        waited.unwrap_or_else(|error| panic!("{error}; it shows\n{text}"));
        text
    }

    /// Waits until a line has all of these words.
    pub(crate) fn wait_line(&self, words: &[&str]) -> String {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        let text = self.wait(&format!("a line with {words:?}"), |text| text.lines().any(has));
        text.lines().find(|line| has(line)).unwrap_or_default().to_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!("the terminal shows\n{}", self.text()));
        }
        self.words(&["kill-server"]);
    }
}
