//! What does a plugin's process write? Its log, a line each with the level in front (sd-daemon(3)), and whatever else plugins print.

use super::shared::Shared;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of a line; what is longer is cut into several.
const LINE_MAX: usize = 2048;
/// Lines of a second; more are counted only, or a plugin could fill the disk.
const LINES_MAX: u32 = 100;
/// How often it is looked whether the process has ended.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// How long it is read after that: what it has left behind may write for ever.
const AFTER: Duration = Duration::from_secs(1);

/// Keeps the log from being filled with lines about one plugin.
pub(super) struct Limit(Mutex<(Instant, u32)>);

impl Limit {
    /// Nothing was said yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new((Instant::now(), 0)))
    }

    /// Whether one more line may be logged. That some were left out is logged first, in the name of the plugin.
    pub(super) fn admits(&self, shared: &Shared) -> bool {
        let (admitted, left_out) = self.count(Instant::now());
        if left_out > 0 {
            tracing::warn!("{}: {left_out} more lines of its log are left out", shared.name());
        }
        admitted
    }

    /// Whether one more is admitted, and how many were not in the second that is over.
    fn count(&self, now: Instant) -> (bool, u32) {
        let (second, lines) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        if now.saturating_duration_since(*second) >= Duration::from_secs(1) {
            left_out = lines.saturating_sub(LINES_MAX);
            (*second, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        (*lines <= LINES_MAX, left_out)
    }
}

/// Passes lines on to varpd's log until the process has closed its end, or is `gone`: others may still have that end.
pub(super) fn pass_on(mut stderr: impl Read + AsFd, shared: &Shared, gone: &AtomicBool) {
    let limit = Limit::new();
    let (mut waiting, mut chunk) = (Vec::new(), [0; LINE_MAX]);
    let mut until: Option<Instant> = None;
    loop {
        if until.is_none() && gone.load(Relaxed) {
            until = Some(Instant::now() + AFTER);
        }
        // An interrupted one is looked at again.
        let ready = poll(&mut [PollFd::new(&stderr, PollFlags::IN)], Some(&LOOK)).unwrap_or(0) > 0;
        if until.is_some_and(|until| !ready || Instant::now() >= until) {
            break;
        }
        if !ready {
            continue;
        }
        match stderr.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => waiting.extend_from_slice(chunk.get(..length).unwrap_or(&[])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        while let Some(line) = line_of(&mut waiting) {
            if limit.admits(shared) {
                say(&shared.name(), &line);
            }
        }
    }
    if !waiting.is_empty() && limit.admits(shared) {
        say(&shared.name(), &waiting);
    }
}

/// Takes the next whole line, or as much as a line may have.
fn line_of(waiting: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = waiting.iter().take(LINE_MAX).position(|byte| *byte == b'\n').map(|at| at + 1);
    let length = end.or((waiting.len() >= LINE_MAX).then_some(LINE_MAX))?;
    Some(waiting.drain(..length).collect())
}

fn say(name: &str, line: &[u8]) {
    let (level, text) = match line {
        [b'<', level @ b'0'..=b'7', b'>', text @ ..] => (level - b'0', text),
        text => (6, text),
    };
    let text = String::from_utf8_lossy(text);
    let text: String = text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match level {
        ..=3 => tracing::error!("{name}: {text}"),
        4 => tracing::warn!("{name}: {text}"),
        5 | 6 => tracing::info!("{name}: {text}"),
        _ => tracing::debug!("{name}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use std::io::Write;
    use std::path::Path;

    #[test]
    fn lines_are_cut_where_they_end_or_are_too_long() {
        let mut waiting = b"one\n\ntwo".to_vec();
        assert_eq!(line_of(&mut waiting).unwrap(), b"one\n");
        assert_eq!(line_of(&mut waiting).unwrap(), b"\n");
        assert_eq!(line_of(&mut waiting), None);
        waiting.resize(LINE_MAX + 1, b'x');
        assert_eq!(line_of(&mut waiting).unwrap().len(), LINE_MAX);
        assert_eq!((line_of(&mut waiting), waiting.len()), (None, 1));
    }

    #[test]
    fn who_is_left_behind_with_the_pipe_does_not_keep_it_open() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"<7>one\nlast words").unwrap();
        let settings = Settings { deadline: Duration::ZERO, cache: None };
        pass_on(reader, &Shared::new(Path::new("/nowhere/acme.so"), &settings), &AtomicBool::new(true));
        assert_eq!(writer.write_all(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_second_has_so_many_lines_and_the_others_are_counted() {
        let limit = Limit::new();
        let begun = Instant::now();
        let admitted = (0..LINES_MAX + 50).filter(|_| limit.count(begun).0).count();
        assert_eq!(admitted, LINES_MAX as usize);
        assert_eq!(limit.count(begun + Duration::from_secs(2)), (true, 50));
        assert_eq!(limit.count(begun + Duration::from_secs(2)), (true, 0));
    }
}
