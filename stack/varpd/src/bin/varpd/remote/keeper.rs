//! Who keeps a plugin's process going? A thread that starts it, reads what it says, finds out how it ended, and starts it again.
//!
//! ```text
//!  start ─► hello ─► instances, what is open ─► answers .. ─► it ended, is silent, does not make sense
//!    ▲                                                          │ degraded, plugin-crash, one line in the log
//!    └──────────── pause: 100 ms, doubling up to 30 s ◄─────────┘
//! ```

use super::ended::{has_ended, reap};
use super::log;
use super::shared::{SILENCE, Shared};
use crate::host::{ITSELF, LOAD_MAX};
use crate::outlet::Speech;
use overlay_api::channel::{FromOverlayd, FromVarpd, PACKET_MAX, PluginInfo, answers};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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
/// How long it is read what a process has said before its end.
const LAST_WORDS: Duration = Duration::from_secs(2);
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
    /// Varpd ends, and it has not even said hello.
    Unwanted,
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
                Ok((child, stream, gone)) => {
                    let pid = child.id();
                    let how = self.keep(child, stream);
                    gone.store(true, Relaxed);
                    (pid, how)
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

    /// Starts it: the process, its socket, and what is to be said when it has ended.
    fn spawn(&self) -> Result<(Child, UnixStream, Arc<AtomicBool>), String> {
        let cannot = |error: &dyn std::fmt::Display| format!("its process cannot be started: {error}");
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(|error| cannot(&error))?;
        sockopt::set_socket_timeout(&ours, Timeout::Recv, Some(TICK)).map_err(|error| cannot(&error))?;
        let settings = &self.shared.settings;
        // What runs now, also when its file was replaced.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("varpd").arg("--deadline").arg(settings.deadline.as_millis().to_string());
        if let Some(cache) = &settings.cache {
            command.arg("--cache").arg(cache);
        }
        command.arg("--host").arg(&self.shared.path);
        // A group of its own: what a terminal sends to varpd is varpd's to pass on.
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| cannot(&error))?;
        let gone = Arc::new(AtomicBool::new(false));
        if let Some(stderr) = child.stderr.take() {
            let (shared, gone) = (Arc::clone(&self.shared), Arc::clone(&gone));
            // Without a thread for it, it has no log.
            let _ = Builder::new().name("log".to_owned()).spawn(move || log::pass_on(stderr, &shared, &gone));
        }
        Ok((child, UnixStream::from(ours), gone))
    }

    /// From the hello of a process to its end: how it ended.
    fn keep(&mut self, child: Child, stream: UnixStream) -> String {
        let end = match stream.try_clone() {
            Ok(writing) => {
                let speech = Arc::new(Speech::new(writing, self.shared.name()));
                let writer = Arc::clone(&speech);
                let thread = Builder::new().name("writer".to_owned()).spawn(move || writer.send_all());
                let end = match &thread {
                    Ok(_) => self.converse(&stream, &speech, &child),
                    Err(error) => End::Misspoke(format!("no thread is left: {error}")),
                };
                speech.end();
                drop(thread.map(JoinHandle::join));
                end
            }
            Err(error) => End::Misspoke(format!("no descriptor is left: {error}")),
        };
        drop(stream);
        let patience = match &end {
            End::Refused(_) => Duration::from_millis(500),
            End::HungUp => Duration::from_millis(2500),
            End::Silent | End::Misspoke(_) | End::Unwanted => Duration::ZERO,
        };
        let how = reap(child, patience, self.shared.settings.deadline * 2);
        match end {
            End::Refused(problem) => problem,
            End::Misspoke(why) => format!("it was ended: {why}"),
            // How it has ended says more than that it has not spoken since.
            End::Silent => how.unwrap_or_else(|| format!("it was silent for {} s and was ended", SILENCE.as_secs())),
            End::HungUp => how.unwrap_or_else(|| "it hung up and did not end".to_owned()),
            End::Unwanted => how.unwrap_or_else(|| "it was ended before its hello".to_owned()),
        }
    }

    fn converse(&mut self, stream: &UnixStream, speech: &Arc<Speech>, child: &Child) -> End {
        let mut buffer = vec![0; PACKET_MAX + 1];
        let (mut heard, mut pinged, mut ticked) = (Instant::now(), Instant::now(), Instant::now());
        let (begun, mut greeted) = (Instant::now(), false);
        let (mut second, mut spoken) = (begun, 0);
        let load = (self.shared.settings.deadline * 2).min(LOAD_MAX);
        let mut ended: Option<Instant> = None;
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
                                let info = match self.greeted(hello.plugins) {
                                    Ok(info) => info,
                                    Err(end) => return end,
                                };
                                overlay_probes::varpd::plugin_load(child.id(), 1, self.shared.name(), "");
                                self.shared.attach(speech);
                                if let Some(first) = self.first.take() {
                                    // Whoever has started it waits, and may ask it at once.
                                    let _ = first.send(Ok(info));
                                }
                            }
                            Ok(message) if greeted => self.shared.hear(message),
                            Ok(_) => return End::Misspoke("it spoke before its hello".to_owned()),
                            Err(error) => return End::Misspoke(error.to_string()),
                        }
                    }
                }
                // Others may have its end of the socket, so that this is no end of file: nothing comes any more from itself.
                Err(Errno::AGAIN) if ended.is_some() => return End::HungUp,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return End::Misspoke(error.to_string()),
            }
            if ticked.elapsed() >= TICK {
                self.shared.tick();
                ticked = Instant::now();
                if ended.is_none() && has_ended(child) {
                    ended = Some(ticked);
                }
                if !greeted && self.shared.is_over_after(Duration::ZERO) {
                    return End::Unwanted;
                }
            }
            if ended.is_some_and(|ended| ended.elapsed() >= LAST_WORDS) {
                return End::HungUp;
            }
            // Before its hello it is busy with the loader, for as long as that may take: the watch in it sees to that.
            let silence = if greeted { heard.elapsed() } else { begun.elapsed().saturating_sub(load) };
            if silence >= SILENCE {
                return End::Silent;
            }
            if greeted && pinged.elapsed() >= PING {
                speech.ask(&FromOverlayd::Ping(1));
                pinged = Instant::now();
            }
        }
    }

    /// What it declares: the same again each time that it is started.
    fn greeted(&self, plugins: Vec<PluginInfo>) -> Result<PluginInfo, End> {
        let Ok([info]) = <[PluginInfo; 1]>::try_from(plugins) else {
            return Err(End::Misspoke("it said hello with another number of plugins than one".to_owned()));
        };
        if self.shared.info.get_or_init(|| info.clone()) != &info {
            return Err(End::Misspoke("its file has changed and declares something else; varpd has to be started again".to_owned()));
        }
        Ok(info)
    }
}
