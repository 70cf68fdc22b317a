//! How did a process end? In words: which signal, which call that did not return, which status.

use crate::host::call_of;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Waits for a process that has hung up, and ends it if that takes longer than `patience`; how it ended, in words. `ceiling` is what its
/// calls may take.
pub(super) fn reap(mut child: Child, patience: Duration, ceiling: Duration) -> String {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return how(status, ceiling),
            Ok(None) if begun.elapsed() < patience => std::thread::sleep(LOOK),
            Ok(None) => break,
            Err(error) => return format!("it is not known how it ended: {error}"),
        }
    }
    // It fails if it has ended meanwhile, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
    "it hung up and did not end".to_owned()
}

fn how(status: ExitStatus, ceiling: Duration) -> String {
    if let Some(signal) = status.signal() {
        return match name(signal) {
            Some(name) => format!("it was ended by signal {signal} ({name})"),
            None => format!("it was ended by signal {signal}"),
        };
    }
    match status.code() {
        Some(code) => match call_of(code) {
            Some(call) => format!("its call {call} did not return within {} ms", ceiling.as_millis()),
            None => format!("it ended by itself, with status {code}"),
        },
        None => format!("it ended: {status}"),
    }
}

/// signal(7), on x86 and ARM.
const fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        2 => "SIGINT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn ended(script: &str, patience: Duration) -> String {
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
        reap(child, patience, Duration::from_secs(10))
    }

    #[test]
    fn an_end_is_told_in_words() {
        let patience = Duration::from_secs(20);
        assert_eq!(ended("kill -SEGV $$", patience), "it was ended by signal 11 (SIGSEGV)");
        assert_eq!(ended("kill -USR1 $$", patience), "it was ended by signal 10");
        assert_eq!(ended("exit 3", patience), "it ended by itself, with status 3");
        assert_eq!(ended("exit 71", patience), "its call lookup did not return within 10000 ms");
        assert_eq!(ended("sleep 60", Duration::ZERO), "it hung up and did not end");
    }
}
