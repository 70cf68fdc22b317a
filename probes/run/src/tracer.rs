//! Who runs the script? bpftrace or DTrace: found, started so that Ctrl-C ends it in an orderly way, its lines handed on.

use crate::Refusal;
use crate::flags::TracerFlag;
use crate::question::Language;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Where tracers are that are not on everybody's PATH.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/usr/local/bin"];
/// bpftrace 0.17 misses a signal that comes while it prints: it is told again, and again.
const AGAIN: Duration = Duration::from_secs(3);
/// After so many times it is ended for good: it hangs.
const TIMES: u32 = 10;

/// What runs scripts of a language.
#[derive(Debug)]
pub(crate) struct Tracer {
    pub(crate) program: PathBuf,
    pub(crate) language: Language,
}

impl Tracer {
    /// The one that was asked for, or else that the system has.
    pub(crate) fn find(asked: Option<TracerFlag>) -> Result<Self, Refusal> {
        let bpftrace = || on_path("bpftrace").map(|program| Self { program, language: Language::Bpftrace });
        let dtrace = || on_path("dtrace").filter(is_dtrace).map(|program| Self { program, language: Language::Dtrace });
        let (found, sentence) = match asked {
            Some(TracerFlag::Bpftrace) => (bpftrace(), "bpftrace is not installed (Debian, Fedora and others: package bpftrace)"),
            Some(TracerFlag::Dtrace) => {
                (dtrace(), "DTrace is not installed (what SystemTap installs as `dtrace` makes headers, and is another program)")
            }
            None => (bpftrace().or_else(dtrace), "neither bpftrace nor DTrace is installed (Debian, Fedora and others: package bpftrace)"),
        };
        found.ok_or_else(|| Refusal::Failed(sentence.to_owned()))
    }
}

/// What the kernel lets nobody do, or us not.
///
/// # Errors
/// A sentence for the first thing that forbids tracing.
pub(crate) fn may_trace() -> Result<(), Refusal> {
    if !rustix::process::geteuid().is_root() {
        return Err(Refusal::Failed("tracing needs root: try sudo overlay-trace, or doas".to_owned()));
    }
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    lockdown_refuses(&lockdown).map_or(Ok(()), |sentence| Err(Refusal::Failed(sentence)))
}

/// `none [integrity] confidentiality`: only the last forbids BPF to read memory (kernel_lockdown(7)).
fn lockdown_refuses(lockdown: &str) -> Option<String> {
    lockdown.contains("[confidentiality]").then(|| {
        "the kernel is locked down (confidentiality, see kernel_lockdown(7)) and lets no tracer read memory; it is set when the host boots"
            .to_owned()
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    folders.chain(SYSTEM_FOLDERS.map(PathBuf::from)).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether a `dtrace` is DTrace: it says `dtrace: Sun D 1.13` or `dtrace: Oracle D 2.0`; SystemTap's says neither.
fn is_dtrace(program: &PathBuf) -> bool {
    let said = Command::new(program).arg("-V").stdin(Stdio::null()).stderr(Stdio::piped()).output();
    said.is_ok_and(|said| {
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        text.starts_with("dtrace: ") && text.contains(" D ")
    })
}

/// A line of what the tracer says.
enum Line {
    Output(String),
    Message(String),
    /// One of its two outputs is at its end.
    End,
    /// Somebody asks us to end.
    Stop,
}

/// Runs a tracer to its end; each line of its output goes to `output`, of its messages to `message`. SIGINT, SIGTERM and SIGHUP to us end it.
///
/// # Errors
/// When it cannot be started or fails; what `output` gives ends the tracer and comes back.
pub(crate) fn watch(
    mut command: Command,
    mut output: impl FnMut(&str) -> Result<(), Refusal>,
    mut message: impl FnMut(&str),
) -> Result<(), Refusal> {
    let name = command.get_program().to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned();
    let failed = |what: &str, error: std::io::Error| Refusal::Failed(format!("{name} {what}: {error}"));
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| failed("cannot be stopped", error))?;
    // In a group of its own: Ctrl-C at a terminal would tell it once more, and a second signal ends it before it has printed.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed("cannot be started", error))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || pass_on(stdout, &sender, Line::Output));
    }
    if let Some(stderr) = child.stderr.take() {
        let sender = sender.clone();
        thread::spawn(move || pass_on(stderr, &sender, Line::Message));
    }
    thread::spawn(move || {
        for _ in &mut signals {
            if sender.send(Line::Stop).is_err() {
                return;
            }
        }
    });
    let mut end = End { child, told: 0, next: None };
    let (mut open, mut result) = (2, Ok(()));
    while open > 0 {
        match lines.recv_timeout(end.patience()) {
            Ok(Line::Output(line)) if result.is_ok() => {
                result = output(&line);
                if result.is_err() {
                    end.ask();
                }
            }
            Ok(Line::Output(_)) => {}
            Ok(Line::Message(line)) => message(&line),
            Ok(Line::End) => open -= 1,
            // Whoever asks again does not ask the tracer again: that would cost what it prints at its end.
            Ok(Line::Stop) if end.told == 0 => end.ask(),
            Ok(Line::Stop) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => end.ask_again(),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = end.child.wait().map_err(|error| failed("cannot be waited for", error))?;
    result?;
    // Told to end, it may say so with its status.
    if status.success() || end.told > 0 { Ok(()) } else { Err(Refusal::Failed(format!("{name} has failed ({status})"))) }
}

/// How a tracer is ended.
struct End {
    child: Child,
    told: u32,
    next: Option<Instant>,
}

impl End {
    fn patience(&self) -> Duration {
        self.next.map_or(Duration::from_secs(3600), |next| next.saturating_duration_since(Instant::now()))
    }

    fn ask(&mut self) {
        self.told += 1;
        self.next = Some(Instant::now() + AGAIN);
        if self.told > TIMES {
            let _ = self.child.kill();
        } else if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It is ours and not waited for, so that the number is not another's. One that has ended needs no signal.
            let _ = kill_process(pid, Signal::INT);
        }
    }

    fn ask_again(&mut self) {
        if self.next.is_some_and(|next| next <= Instant::now()) {
            self.ask();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Nothing is to be done about one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(pipe: impl Read, sender: &mpsc::Sender<Line>, line: fn(String) -> Line) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while matches!(pipe.read_until(b'\n', &mut bytes), Ok(1..)) {
        let text = String::from_utf8_lossy(&bytes);
        if sender.send(line(text.trim_end_matches('\n').to_owned())).is_err() {
            return;
        }
        bytes.clear();
    }
    let _ = sender.send(Line::End);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(script: &str) -> (Result<(), Refusal>, Vec<String>, Vec<String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let (mut out, mut said) = (Vec::new(), Vec::new());
        let result = watch(
            command,
            |line| {
                out.push(line.to_owned());
                Ok(())
            },
            |line| said.push(line.to_owned()),
        );
        (result, out, said)
    }

    #[test]
    fn lines_and_messages_come_in_order_and_a_failure_is_told() {
        let (result, out, said) = lines_of("echo one; echo two; echo no >&2");
        assert!(result.is_ok(), "{result:?}");
        assert_eq!((out, said), (vec!["one".to_owned(), "two".to_owned()], vec!["no".to_owned()]));
        let (result, ..) = lines_of("exit 3");
        assert!(matches!(&result, Err(Refusal::Failed(text)) if text.starts_with("sh has failed")), "{result:?}");
    }

    #[test]
    fn an_output_that_cannot_be_written_ends_the_tracer() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'exit 0' INT; echo one; while :; do sleep 0.05; done"]);
        let broken = |_: &str| Err(Refusal::Output(std::io::ErrorKind::BrokenPipe.into()));
        let result = watch(command, broken, |_| {});
        assert!(matches!(result, Err(Refusal::Output(_))), "{result:?}");
    }

    #[test]
    fn only_confidentiality_forbids_tracing() {
        assert_eq!(lockdown_refuses("none [integrity] confidentiality\n"), None);
        assert_eq!(lockdown_refuses(""), None);
        assert!(lockdown_refuses("none integrity [confidentiality]\n").is_some());
    }
}
