//! Running programs without leaving any behind.

use crate::LabError;
use crate::error::command_line;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// After SIGKILL: only a process stuck in the kernel takes longer.
const KILL_CEILING: Duration = Duration::from_secs(5);

/// Runs a program to its end; its standard output.
///
/// # Errors
///
/// When it cannot be started, or ends with a status other than 0.
pub(crate) fn run(command: &mut Command) -> Result<String, LabError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| not_started(command, source))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(LabError::Tool { command: command_line(command), status: output.status.to_string(), stderr })
}

/// Runs `ip` or `bridge` once for many lines, in a namespace or (to make and delete namespaces) in none.
///
/// # Errors
///
/// When it cannot be started, or a line fails; the lines after that one are not done.
pub(crate) fn batch(program: &str, namespace: Option<&str>, lines: &[String]) -> Result<(), LabError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(program);
    command.args(namespace.map(|name| ["-n", name]).into_iter().flatten()).args(["-batch", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| not_started(&command, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A batch that stops at a bad line closes its input; its status tells, not this.
        let _ = stdin.write_all((lines.join("\n") + "\n").as_bytes());
    }
    let output = child.wait_with_output().map_err(LabError::io(format!("wait for {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let within = namespace.map(|name| format!(" -n {name}")).unwrap_or_default();
    let failed = failed_line(&stderr, lines).map_or_else(|| "-batch -".to_owned(), str::to_owned);
    Err(LabError::Tool { command: format!("{program}{within} {failed}"), status: output.status.to_string(), stderr })
}

/// iproute2 says `Command failed -:3` for the third line of a batch on standard input.
fn failed_line<'a>(stderr: &str, lines: &'a [String]) -> Option<&'a str> {
    let number: usize = stderr.lines().find_map(|line| line.strip_prefix("Command failed -:")?.trim().parse().ok())?;
    lines.get(number.checked_sub(1)?).map(String::as_str)
}

fn not_started(command: &Command, source: std::io::Error) -> LabError {
    LabError::NoProgram { program: command.get_program().to_string_lossy().into_owned(), source }
}

/// A program that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    log: Option<PathBuf>,
}

impl Running {
    /// Starts a command, whose standard streams are as the caller set them.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Result<Self, LabError> {
        let child = command.spawn().map_err(|source| not_started(&command, source))?;
        Ok(Self { child, line: command_line(&command), log: None })
    }

    /// Starts a command without standard input, whose standard output and standard error go into the file `log`.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, or the command not be started.
    pub fn start_logged(mut command: Command, log: PathBuf) -> Result<Self, LabError> {
        let make = || std::fs::File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = make().map_err(LabError::io(format!("make {}", log.display())))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let mut running = Self::start(command)?;
        running.log = Some(log);
        Ok(running)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed until now; nothing when it was not started with a log.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = self.log.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until its log holds `text`.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`], with what it did print.
    pub fn wait_for_log(&self, text: &str, ceiling: Duration) -> Result<(), LabError> {
        let what = || format!("{text:?} from `{}`, which printed {:?}", self.line, self.log());
        crate::wait_until(text, ceiling, || self.log().contains(text)).map_err(|_| LabError::Timeout { what: what(), ceiling })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// When it cannot be sent; not when the program has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<(), LabError> {
        // Not waited for yet, so the id still is its own.
        if !self.is_running() {
            return Ok(());
        }
        let sent = Pid::from_raw(self.child.id().cast_signed()).map_or(Ok(()), |pid| rustix::process::kill_process(pid, signal));
        sent.map_err(|error| LabError::Io { doing: format!("signal `{}`", self.line), source: error.into() })
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] when it runs on; it is killed when dropped.
    pub fn wait(&mut self, ceiling: Duration) -> Result<ExitStatus, LabError> {
        let (mut ended, child) = (None, &mut self.child);
        crate::wait_until(&format!("the end of `{}`", self.line), ceiling, || {
            ended = child.try_wait().transpose();
            ended.is_some()
        })?;
        ended
            .unwrap_or_else(|| child.try_wait().and_then(|status| status.ok_or_else(|| std::io::ErrorKind::WouldBlock.into())))
            .map_err(LabError::io(format!("wait for `{}`", self.line)))
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] when it runs on; it is killed when dropped.
    pub fn stop(mut self, ceiling: Duration) -> Result<ExitStatus, LabError> {
        self.signal(Signal::TERM)?;
        self.wait(ceiling)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is to be done about a program that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills the processes whose network namespace is one of these files, and waits for their end. This process is spared.
///
/// # Errors
///
/// When one survives.
pub(crate) fn kill_inside(namespaces: &[PathBuf]) -> Result<(), LabError> {
    let inodes: Vec<_> = namespaces.iter().filter_map(|path| identity(path)).collect();
    if inodes.is_empty() {
        return Ok(());
    }
    let (mut left, mut killed) = (Vec::new(), Vec::new());
    // More than one round: a process may fork between being listed and being killed.
    let gone = crate::wait_until("", KILL_CEILING, || {
        left = inside(&inodes);
        killed.extend(left.iter().filter_map(|&pid| Some((pid, kill_if_inside(pid, &inodes)?))));
        left.is_empty()
    });
    // A process leaves its namespace a moment before its end.
    left.extend(killed.iter().filter(|(_, held)| !has_ended(held)).map(|(pid, _)| pid));
    if gone.is_ok() && left.is_empty() {
        return Ok(());
    }
    Err(LabError::Timeout { what: format!("the end of the processes {left:?} in the lab"), ceiling: KILL_CEILING })
}

fn inside(inodes: &[(u64, u64)]) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| pid != std::process::id() && is_inside(pid, inodes)).collect()
}

fn is_inside(pid: u32, inodes: &[(u64, u64)]) -> bool {
    identity(&Path::new("/proc").join(pid.to_string()).join("ns/net")).is_some_and(|found| inodes.contains(&found))
}

/// A namespace is known by device and inode (namespaces(7)).
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

/// Looks again with the process held by a file descriptor: the id may have passed to another process since it was listed.
fn kill_if_inside(pid: u32, inodes: &[(u64, u64)]) -> Option<OwnedFd> {
    let held = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    // An error: it has ended by itself, and the descriptor says so.
    is_inside(pid, inodes).then(|| pidfd_send_signal(&held, Signal::KILL)).map(|_| held)
}

/// pidfd_open(2): readable once the process has ended.
fn has_ended(held: &OwnedFd) -> bool {
    let ceiling = Timespec { tv_sec: KILL_CEILING.as_secs().cast_signed(), tv_nsec: 0 };
    retry_on_intr(|| poll(&mut [PollFd::new(held, PollFlags::IN)], Some(&ceiling))).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_a_sentence_with_its_command_and_words() {
        let error = run(Command::new("sh").args(["-c", "echo bad luck >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'echo bad luck >&2; exit 3'` ended with exit status: 3: bad luck");
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().starts_with("no-such-program cannot be started: "), "{error}");
    }

    #[test]
    fn a_batch_names_the_line_that_failed() {
        let lines = ["one", "two"].map(str::to_owned);
        assert_eq!(failed_line("Error: Unknown device type.\nCommand failed -:2\n", &lines), Some("two"));
        assert_eq!(failed_line("Command failed -:0\n", &lines), None);
        assert_eq!(failed_line("Command failed -:3\n", &lines), None);
        assert_eq!(failed_line("", &lines), None);
    }

    #[test]
    fn a_dropped_program_is_gone_and_a_stopped_one_says_how_it_ended() {
        use std::os::unix::process::ExitStatusExt;
        let sleep = || {
            let mut command = Command::new("sleep");
            command.arg("100");
            Running::start(command).unwrap()
        };
        let (dropped, stopped) = (sleep(), sleep());
        let pid = dropped.id();
        drop(dropped);
        assert!(!crate::names::is_running(pid));
        assert_eq!(stopped.stop(Duration::from_secs(20)).unwrap().signal(), Some(15));
    }

    #[test]
    fn a_log_is_read_while_the_program_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; echo also >&2; exec sleep 100"]);
        let running = Running::start_logged(command, folder.path().join("log")).unwrap();
        running.wait_for_log("also", Duration::from_secs(20)).unwrap();
        assert_eq!(running.log(), "ready\nalso\n");
        let error = running.wait_for_log("never", Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("ready") && error.contains("never"), "{error}");
    }
}
