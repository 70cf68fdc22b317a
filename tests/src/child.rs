//! How is a program run without ever hanging a test? A command with a ceiling of time, whose output is read while it runs.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Far more than anything here takes, also on a busy machine: only a program that hangs gets there.
const CEILING: Duration = Duration::from_secs(60);
/// How often an ended output is checked for the end of its process, which follows at once.
const POLL: Duration = Duration::from_millis(2);

/// The number of read(2), as /proc shows it.
#[cfg(target_arch = "x86_64")]
const READ: &str = "0";
#[cfg(not(target_arch = "x86_64"))]
const READ: &str = "63";

/// A command to be run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    stdin: Vec<u8>,
    ceiling: Duration,
}

/// What came of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The exit status; negative for a signal.
    pub code: i32,
    /// Standard output, other than UTF-8 replaced.
    pub stdout: String,
    /// Standard error, other than UTF-8 replaced.
    pub stderr: String,
}

impl Ended {
    /// The standard output, after status 0 and no message.
    ///
    /// # Panics
    ///
    /// When it ended otherwise.
    #[must_use]
    pub fn good(self) -> String {
        assert!(self.code == 0 && self.stderr.is_empty(), "exit status {}: {}", self.code, self.stderr);
        self.stdout
    }
}

impl Run {
    /// A program by path, or by name on `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), stdin: Vec::new(), ceiling: CEILING }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Starts it in this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it this long instead of a minute: for what runs beside a longer story.
    #[must_use]
    pub fn within(mut self, ceiling: Duration) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// Gives it bytes on standard input, and then its end.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sends its standard output into a file.
    ///
    /// # Panics
    ///
    /// When the file cannot be opened for writing.
    #[must_use]
    pub fn stdout_into(mut self, path: impl Into<PathBuf>) -> Running {
        let path = path.into();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.command.stdout(file);
        self.spawn()
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not end.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let stdin = std::mem::take(&mut self.stdin);
        self.command.stdout(Stdio::piped());
        let mut running = self.spawn();
        let mut pipe = running.child.stdin.take();
        // In a thread of its own: a program that writes before it has read everything would wait for us, and we for it.
        let writer = std::thread::spawn(move || {
            if let Some(pipe) = &mut pipe {
                // A program that does not want its input has closed it; what that means is the test's business.
                let _ = pipe.write_all(&stdin);
            }
        });
        let ended = running.end();
        writer.join().expect("writing to a pipe does not panic");
        ended
    }

    /// Starts it, with a pipe for its input and its output, to be talked to while it runs.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Running {
        self.command.stdout(Stdio::piped());
        self.spawn()
    }

    fn spawn(mut self) -> Running {
        let program = self.command.get_program().to_string_lossy().into_owned();
        self.command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let stdout = child.stdout.take();
        let (sender, arrived) = mpsc::channel();
        if let Some(stdout) = stdout {
            let sender = sender.clone();
            std::thread::spawn(move || pass_on(stdout, &sender, Piece::Stdout));
        }
        std::thread::spawn(move || pass_on(stderr, &sender, Piece::Stderr));
        Running { program, child, arrived, stdout: Vec::new(), stderr: Vec::new(), deadline: Instant::now() + self.ceiling }
    }
}

enum Piece {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

fn pass_on(mut pipe: impl Read, sender: &mpsc::Sender<Piece>, piece: fn(Vec<u8>) -> Piece) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        if sender.send(piece(buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

/// A program that runs. It is ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
    arrived: mpsc::Receiver<Piece>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    deadline: Instant,
}

impl Running {
    /// Writes to its standard input.
    ///
    /// # Panics
    ///
    /// When the program does not read any more, or its input was closed.
    pub fn write(&mut self, bytes: &[u8]) {
        let pipe = self.child.stdin.as_mut().expect("standard input is open");
        pipe.write_all(bytes).and_then(|()| pipe.flush()).unwrap_or_else(|error| panic!("{}: {error}", self.program));
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until `enough` holds of what it has printed until now; gives that.
    ///
    /// # Panics
    ///
    /// When it ends, or the time does, before that.
    pub fn wait_for(&mut self, what: &str, enough: impl Fn(&str) -> bool) -> String {
        loop {
            let printed = String::from_utf8_lossy(&self.stdout).into_owned();
            if enough(&printed) {
                return printed;
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.arrived.recv_timeout(left) {
                Ok(piece) => self.take(piece),
                Err(_) => panic!("{}: waited for {what}, got {printed:?} and {:?}", self.program, String::from_utf8_lossy(&self.stderr)),
            }
        }
    }

    /// Waits until `enough` holds of what it has said on standard error until now; gives that.
    ///
    /// # Panics
    ///
    /// When it ends, or the time does, before that.
    pub fn wait_for_message(&mut self, what: &str, enough: impl Fn(&str) -> bool) -> String {
        loop {
            let said = String::from_utf8_lossy(&self.stderr).into_owned();
            if enough(&said) {
                return said;
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.arrived.recv_timeout(left) {
                Ok(piece) => self.take(piece),
                Err(_) => panic!("{}: waited for {what}, got {said:?} and {:?}", self.program, String::from_utf8_lossy(&self.stdout)),
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub fn signal(&self, signal: &str) {
        let sent = Run::new("sh").args(["-c", &format!("kill -{signal} {}", self.child.id())]).end();
        assert_eq!(sent.code, 0, "{}", sent.stderr);
    }

    /// Waits until it has read everything that was written to its standard input and asks for more: it sleeps in a read.
    ///
    /// # Panics
    ///
    /// When it does not get there.
    pub fn wait_until_read(&mut self) {
        // Which system call a thread sleeps in, and its first argument (proc_pid_syscall(5)); read(2) of descriptor 0 or a copy of it.
        let sleeps_in_read = |task: &Path| {
            let call = std::fs::read_to_string(task.join("syscall")).unwrap_or_default();
            let mut words = call.split(' ');
            let (number, descriptor) = (words.next(), words.next().and_then(|word| word.strip_prefix("0x")));
            let pipe = descriptor.and_then(|hex| i32::from_str_radix(hex, 16).ok());
            let same = |fd: i32| {
                let folder = format!("/proc/{}/fd", self.child.id());
                std::fs::read_link(format!("{folder}/{fd}"))
                    .ok()
                    .is_some_and(|link| std::fs::read_link(format!("{folder}/0")).is_ok_and(|stdin| stdin == link))
            };
            number == Some(READ) && pipe.is_some_and(same)
        };
        while Instant::now() < self.deadline {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
            if tasks.into_iter().any(|task| sleeps_in_read(&task.path())) {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!("{} does not wait for its input; it printed {:?}", self.program, String::from_utf8_lossy(&self.stdout));
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    #[must_use]
    pub fn end(mut self) -> Ended {
        self.close_stdin();
        self.end_with_open_input()
    }

    /// Waits for its end without ending its standard input: it must end for another reason, such as a signal.
    ///
    /// # Panics
    ///
    /// When it does not end.
    #[must_use]
    pub fn end_with_open_input(mut self) -> Ended {
        while let Ok(piece) = self.arrived.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            self.take(piece);
        }
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < self.deadline => std::thread::sleep(POLL),
                _ => panic!("{} does not end; it printed {:?}", self.program, String::from_utf8_lossy(&self.stdout)),
            }
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: code(status), stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }

    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Stdout(bytes) => self.stdout.extend(bytes),
            Piece::Stderr(bytes) => self.stderr.extend(bytes),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is to be done about a program that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_message_and_status_come_back() {
        let ended = Run::new("sh").args(["-c", "cat; echo no >&2; exit 3"]).stdin("in").end();
        assert_eq!(ended, Ended { code: 3, stdout: "in".into(), stderr: "no\n".into() });
    }

    #[test]
    fn a_running_program_is_talked_to_and_signalled() {
        let mut cat = Run::new("cat").start();
        cat.write(b"one\n");
        assert_eq!(cat.wait_for("the line", |printed| printed.ends_with('\n')), "one\n");
        cat.signal("TERM");
        assert_eq!(cat.end().code, -15);
    }
}
