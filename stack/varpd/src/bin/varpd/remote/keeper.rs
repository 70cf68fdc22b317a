//! Who keeps a plugin's process going? A thread that starts it, reads what it says, finds out how it ended, and starts it again.
//!
//! ```text
//!  start ─► hello ─► instances, what is open ─► answers .. ─► it ended, is silent, does not make sense
//!    ▲                                                          │ degraded, plugin-crash, one line in the log
//!    └──────────── pause: 100 ms, doubling up to 30 s ◄─────────┘
//! ```

use super::ended::reap;
use super::log;
use super::shared::{SILENCE, Shared};
use crate::host::ITSELF;
use crate::outlet::Speech;
use overlay_api::channel::{FromOverlayd, FromVarpd, PACKET_MAX, PluginInfo, answers};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// The first pause before it is started again, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A process that has lived so long was a good one: the next comes soon.
const GOOD: Duration = Duration::from_secs(10);
/// How often deadlines are seen to.
const TICK: Duration = Duration::from_millis(100);
/// How often the process is asked whether it is there.
const PING: Duration = Duration::from_secs(1);
/// Bytes that are read from a process in a second. What overlayd does not read in time ends its connection, which is everybody's; so one that
/// never stops talking has to wait for its own words.
const SPOKEN_MAX: usize = 16 << 20;

/// How a conversation ended.
enum End {
    /// Its own sentence: it cannot be loaded.
    Refused(String),
    /// It does not answer.
    Silent,
    /// What it says is not understood, for this reason.
    Misspoke(String),
    /// It hung up, or varpd did.
    HungUp,
}

/// Starts the process and waits for what the plugin declares.
///
/// # Errors
/// A sentence: it cannot be loaded, or what it declares cannot be.
pub(super) fn start(shared: &Arc<Shared>) -> Result<(PluginInfo, JoinHandle<()>), String> {
    let (sender, first) = channel();
    let mut keeper = Keeper { shared: Arc::clone(shared), first: Some(sender) };
    let thread =
        Builder::new().name("keeper".to_owned()).spawn(move || keeper.run()).map_err(|error| format!("no thread is left: {error}"))?;
    // It always says something: the process has its own limits of time.
    match first.recv() {
        Ok(info) => info.map(|info| (info, thread)),
        Err(_) => Err("its thread has ended".to_owned()),
    }
}

struct Keeper {
    shared: Arc<Shared>,
    /// Waits for what the first process says.
    first: Option<Sender<Result<PluginInfo, String>>>,
}

impl Keeper {
    fn run(&mut self) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let (pid, how) = match self.spawn() {
                Ok((child, stream)) => {
                    let pid = child.id();
                    (pid, self.keep(child, stream))
                }
                Err(problem) => (0, problem),
            };
            let lookups = self.shared.detach(&how);
            if let Some(first) = self.first.take() {
                overlay_probes::varpd::plugin_load(pid, 0, self.shared.name(), &how);
                // Whoever has started it takes its sentence; there is no second try.
                let _ = first.send(Err(how));
                return;
            }
            if begun.elapsed() >= GOOD {
                pause = PAUSE;
            }
            if self.shared.is_over_after(Duration::ZERO) {
                return;
            }
            let name = self.shared.name();
            tracing::error!("{name}: {how} (pid {pid}, {lookups} lookups open); it is started again in {} ms", pause.as_millis());
            overlay_probes::varpd::plugin_crash(pid, lookups as u32, name, how);
            if self.shared.is_over_after(pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn spawn(&self) -> Result<(Child, UnixStream), String> {
        let cannot = |error: &dyn std::fmt::Display| format!("its process cannot be started: {error}");
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(|error| cannot(&error))?;
        sockopt::set_socket_timeout(&ours, Timeout::Recv, Some(TICK)).map_err(|error| cannot(&error))?;
        let settings = &self.shared.settings;
        // What runs now, also when its file was replaced.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("varpd").arg("--deadline").arg(settings.deadline.as_millis().to_string()).arg("--cache").arg(&settings.cache);
        command.arg("--host").arg(&self.shared.path);
        // A group of its own: what a terminal sends to varpd is varpd's to pass on.
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| cannot(&error))?;
        if let Some(stderr) = child.stderr.take() {
            let shared = Arc::clone(&self.shared);
            // It ends with whoever holds the other end, which may be a process that the plugin has left behind.
            let _ = Builder::new().name("log".to_owned()).spawn(move || log::pass_on(stderr, &shared));
        }
        Ok((child, UnixStream::from(ours)))
    }

    /// From the hello of a process to its end: how it ended.
    fn keep(&mut self, child: Child, stream: UnixStream) -> String {
        let end = match stream.try_clone() {
            Ok(writing) => {
                let speech = Arc::new(Speech::new(writing, self.shared.name()));
                let writer = Arc::clone(&speech);
                let thread = Builder::new().name("writer".to_owned()).spawn(move || writer.send_all());
                let end = match &thread {
                    Ok(_) => self.converse(&stream, &speech, child.id()),
                    Err(error) => End::Misspoke(format!("no thread is left: {error}")),
                };
                speech.end();
                drop(thread.map(JoinHandle::join));
                end
            }
            Err(error) => End::Misspoke(format!("no descriptor is left: {error}")),
        };
        drop(stream);
        let (patience, otherwise) = match &end {
            End::Refused(problem) => (Duration::from_millis(500), Some(problem.clone())),
            End::Silent => (Duration::ZERO, Some(format!("it was silent for {} s and was ended", SILENCE.as_secs()))),
            End::Misspoke(why) => (Duration::ZERO, Some(format!("it was ended: {why}"))),
            End::HungUp => (Duration::from_millis(2500), None),
        };
        let how = reap(child, patience, self.shared.settings.deadline * 2);
        otherwise.unwrap_or(how)
    }

    fn converse(&mut self, stream: &UnixStream, speech: &Arc<Speech>, pid: u32) -> End {
        let mut buffer = vec![0; PACKET_MAX + 1];
        let (mut heard, mut pinged, mut ticked) = (Instant::now(), Instant::now(), Instant::now());
        let (begun, mut greeted) = (Instant::now(), false);
        let (mut second, mut spoken) = (begun, 0);
        loop {
            if second.elapsed() >= Duration::from_secs(1) {
                (second, spoken) = (Instant::now(), 0);
            } else if spoken > SPOKEN_MAX && self.shared.is_over_after(Duration::from_secs(1).saturating_sub(second.elapsed())) {
                return End::HungUp;
            }
            match recv(stream, &mut *buffer, RecvFlags::empty()) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return End::HungUp,
                Ok((_, length)) if length > PACKET_MAX => return End::Misspoke(format!("it sent a packet of {length} bytes")),
                Ok((_, length)) => {
                    heard = Instant::now();
                    spoken += length;
                    for message in answers(buffer.get(..length).unwrap_or(&[])) {
                        match message {
                            Ok(FromVarpd::Verified(verified)) if verified.token == ITSELF => {
                                return End::Refused(verified.problem.unwrap_or_default());
                            }
                            Ok(FromVarpd::Hello(hello)) if !greeted => {
                                greeted = true;
                                if let Err(end) = self.greeted(hello.plugins) {
                                    return end;
                                }
                                overlay_probes::varpd::plugin_load(pid, 1, self.shared.name(), "");
                                self.shared.attach(speech);
                            }
                            Ok(message) if greeted => self.shared.hear(message),
                            Ok(_) => return End::Misspoke("it spoke before its hello".to_owned()),
                            Err(error) => return End::Misspoke(error.to_string()),
                        }
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return End::Misspoke(error.to_string()),
            }
            if ticked.elapsed() >= TICK {
                self.shared.tick();
                ticked = Instant::now();
            }
            // Before its hello it is busy with the loader, for as long as a call may take: the watch in it sees to that.
            let silence = if greeted { heard.elapsed() } else { begun.elapsed().saturating_sub(self.shared.settings.deadline * 2) };
            if silence >= SILENCE {
                return End::Silent;
            }
            if greeted && pinged.elapsed() >= PING {
                speech.ask(&FromOverlayd::Ping(1));
                pinged = Instant::now();
            }
        }
    }

    /// What it declares: the first time for whoever has started it, later the same again.
    fn greeted(&mut self, plugins: Vec<PluginInfo>) -> Result<(), End> {
        let Ok([info]) = <[PluginInfo; 1]>::try_from(plugins) else {
            return Err(End::Misspoke("it said hello with another number of plugins than one".to_owned()));
        };
        if self.shared.info.get_or_init(|| info.clone()) != &info {
            return Err(End::Misspoke("its file has changed and declares something else; varpd has to be started again".to_owned()));
        }
        if let Some(first) = self.first.take() {
            // Whoever has started it waits.
            let _ = first.send(Ok(info));
        }
        Ok(())
    }
}
