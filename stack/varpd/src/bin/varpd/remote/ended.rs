//! How did a process end? In words: which signal, which call that did not return, which status.

use crate::host::{TALKED, call_of};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Waits for a process that has hung up, and ends it if that takes longer than `patience`, with all that it has started in its group; how
/// it ended, in words, or nothing if it had to be ended. `ceiling` is what its calls may take.
pub(super) fn reap(mut child: Child, patience: Duration, ceiling: Duration) -> Option<String> {
    let begun = Instant::now();
    let by_itself = loop {
        match has_ended(&child) {
            true => break true,
            false if begun.elapsed() >= patience => break false,
            false => std::thread::sleep(LOOK),
        }
    };
    // Not waited for yet, it keeps the number of its group from being given to somebody else. That fails if nobody is left.
    if let Some(group) = pid(&child) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    match child.wait() {
        Ok(status) => by_itself.then(|| how(status, ceiling)),
        Err(error) => Some(format!("it is not known how it ended: {error}")),
    }
}

/// Whether a process has ended. It is not waited for.
pub(super) fn has_ended(child: &Child) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error says that there is no such process.
    pid(child).is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), look), Ok(None)))
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

fn how(status: ExitStatus, ceiling: Duration) -> String {
    if let Some(signal) = status.signal() {
        return match name(signal) {
            Some(name) => format!("it was ended by signal {signal} ({name})"),
            None => format!("it was ended by signal {signal}"),
        };
    }
    match status.code() {
        Some(TALKED) => "it talked without end, faster than varpd reads".to_owned(),
        Some(code) => match call_of(code, ceiling) {
            Some((call, ceiling)) => format!("its call {call} did not return within {} ms", ceiling.as_millis()),
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
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    fn ended(script: &str, patience: Duration) -> Option<String> {
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).process_group(0).spawn().unwrap();
        reap(child, patience, Duration::from_secs(10))
    }

    #[test]
    fn an_end_is_told_in_words() {
        let patience = Duration::from_secs(20);
        let said = |script: &str| ended(script, patience).unwrap();
        assert_eq!(said("kill -SEGV $$"), "it was ended by signal 11 (SIGSEGV)");
        assert_eq!(said("kill -USR1 $$"), "it was ended by signal 10");
        assert_eq!(said("exit 3"), "it ended by itself, with status 3");
        assert_eq!(said("exit 64"), "it ended by itself, with status 64");
        assert_eq!(said("exit 207"), "its call lookup did not return within 10000 ms");
        assert_eq!(said("exit 230"), "it talked without end, faster than varpd reads");
        assert_eq!(ended("sleep 60", Duration::ZERO), None);
    }

    #[test]
    fn what_a_process_has_started_ends_with_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & exit 5"]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        assert_eq!(reap(child, Duration::from_secs(20), Duration::ZERO).unwrap(), "it ended by itself, with status 5");
        // It ends when nobody is left who could write.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
