//! What does a plugin's process write? Its log, a line each with the level in front (sd-daemon(3)), and whatever else plugins print.

use super::shared::Shared;
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

/// Bytes of a line; what is longer is cut into several.
const LINE_MAX: u64 = 2048;
/// Lines of a second; more are counted only, or a plugin could fill the disk.
const LINES_MAX: u32 = 100;

/// Passes lines on to varpd's log until the process has closed its end.
pub(super) fn pass_on(stderr: impl Read, shared: &Shared) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let (mut second, mut lines) = (Instant::now(), 0_u32);
    loop {
        line.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if second.elapsed() >= Duration::from_secs(1) {
            if lines > LINES_MAX {
                tracing::warn!("{}: {} more lines of its log are left out", shared.name(), lines - LINES_MAX);
            }
            (second, lines) = (Instant::now(), 0);
        }
        lines += 1;
        if lines <= LINES_MAX {
            say(&shared.name(), &line);
        }
    }
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
