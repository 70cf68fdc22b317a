//! Is there an overlayd, and what does it say? One connection after the other, each read by the same thread.
//!
//! ```text
//!  connect ─► hello ─► welcome ─► packets ─► hung up, refused, not understood ─► pause: 50 ms, doubling up to 2 s ─► connect
//! ```

use crate::Varpd;
use crate::outlet::Speech;
use crate::workers::Workers;
use overlay_api::channel::{FromOverlayd, FromVarpd, Hello, PACKET_MAX, VERSION, questions};
use overlay_api::control::{OverlaydLink, Timestamp, VarpdHappening};
use overlay_varpd::plugin::Outlet;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, socket_with, sockopt};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// The first pause between two attempts, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A connection that has lasted so long was a good one: the next attempt comes soon.
const GOOD: Duration = Duration::from_secs(5);
/// Bytes of the socket's send buffer that are asked for: some full packets.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// The way to overlayd.
pub(crate) struct Link {
    path: PathBuf,
    state: Mutex<State>,
    /// It is over.
    stopped: Condvar,
}

struct State {
    shown: OverlaydLink,
    speech: Option<Arc<Speech>>,
    stop: bool,
}

impl Link {
    /// The way to the overlayd that listens at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        let shown = OverlaydLink { reason: Some("not connected yet".to_owned()), since: now(), ..OverlaydLink::default() };
        Self { path, state: Mutex::new(State { shown, speech: None, stop: false }), stopped: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is.
    pub(crate) fn shown(&self) -> OverlaydLink {
        self.state().shown.clone()
    }

    /// Ends the connection, and there is no other one.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        if let Some(speech) = &state.speech {
            speech.end();
        }
        self.stopped.notify_all();
    }

    /// Whether it is over; waits for that as long as told.
    fn is_over_after(&self, pause: Duration) -> bool {
        let (state, _) = self.stopped.wait_timeout_while(self.state(), pause, |state| !state.stop).unwrap_or_else(PoisonError::into_inner);
        state.stop
    }

    /// This is what [`Link::stop`] ends from now on; false if it has been called already.
    fn take(&self, speech: Option<Arc<Speech>>) -> bool {
        let mut state = self.state();
        state.speech = speech;
        !state.stop
    }
}

/// Connects, and connects again, until [`Link::stop`].
///
/// # Errors
/// The system has no thread left.
pub(crate) fn start(varpd: &Arc<Varpd>, workers: Workers) -> io::Result<JoinHandle<()>> {
    let reader = Reader { varpd: Arc::clone(varpd), workers };
    Builder::new().name("reader".to_owned()).spawn(move || reader.run())
}

struct Reader {
    varpd: Arc<Varpd>,
    workers: Workers,
}

impl Reader {
    fn run(self) {
        let mut pause = PAUSE;
        let mut last = None;
        loop {
            let begun = Instant::now();
            let why = match self.open() {
                Ok(stream) => self.talk(stream),
                Err(error) => format!("{}: {error}", self.varpd.link.path.display()),
            };
            if self.varpd.link.is_over_after(Duration::ZERO) {
                return self.lost("varpd is ending", false);
            }
            // Once a second the same sentence would hide what else is there.
            let news = last.as_ref() != Some(&why);
            self.lost(&why, news);
            last = Some(why);
            if begun.elapsed() >= GOOD {
                (pause, last) = (PAUSE, None);
            }
            if self.varpd.link.is_over_after(jittered(pause)) {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// There is no connection, for this reason.
    fn lost(&self, why: &str, news: bool) {
        let mut instances = self.varpd.instances();
        instances.disconnected();
        let running = instances.iter().count() as u32;
        drop(instances);
        if self.varpd.link.shown().connected || news {
            tracing::warn!("no overlayd: {why}; trying again");
            overlay_probes::varpd::connection(0, running, why);
            self.varpd.journal.tell(VarpdHappening::Connection { connected: false, reason: Some(why.to_owned()) });
        }
        let mut state = self.varpd.link.state();
        let since = if state.shown.connected { now() } else { state.shown.since };
        state.shown = OverlaydLink { connected: false, reason: Some(why.to_owned()), since, version: None, ..state.shown.clone() };
    }

    fn open(&self) -> Result<UnixStream, Errno> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Less is slower, and nothing else.
        let _ = sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES);
        connect(&socket, &SocketAddrUnix::new(&self.varpd.link.path)?)?;
        Ok(UnixStream::from(socket))
    }

    /// A connection from its hello to its end: why it ended.
    fn talk(&self, stream: UnixStream) -> String {
        let reading = match stream.try_clone() {
            Ok(reading) => reading,
            Err(error) => return format!("no descriptor is left: {error}"),
        };
        let speech = Arc::new(Speech::new(stream, "overlayd"));
        if !self.varpd.link.take(Some(Arc::clone(&speech))) {
            return "varpd is ending".to_owned();
        }
        let why = std::thread::scope(|scope| {
            let writer = Builder::new().name("writer".to_owned()).spawn_scoped(scope, || speech.send_all());
            let why = match writer {
                Ok(_) => self.converse(&reading, &speech),
                Err(error) => format!("no thread is left: {error}"),
            };
            speech.end();
            why
        });
        self.varpd.link.take(None);
        why
    }

    fn converse(&self, stream: &UnixStream, speech: &Arc<Speech>) -> String {
        let plugins = self.varpd.instances().plugins().collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        speech.say(FromVarpd::Hello(Hello { versions: vec![VERSION], name: "varpd".to_owned(), version, plugins }));
        // One byte more, so that a packet that is too long can be told from one that is not.
        let mut buffer = vec![0; PACKET_MAX + 1];
        loop {
            let length = match recv(stream, &mut *buffer, RecvFlags::empty()) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return "it hung up".to_owned(),
                Ok((_, length)) if length > PACKET_MAX => {
                    return format!("a packet of {length} bytes came; at most {PACKET_MAX} are allowed");
                }
                Ok((_, length)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => return error.to_string(),
            };
            speech.cork();
            let heard = self.hear(buffer.get(..length).unwrap_or(&[]), speech);
            speech.uncork();
            if let Err(why) = heard {
                return why;
            }
        }
    }

    /// What a packet says. An error is why the connection ends.
    fn hear(&self, packet: &[u8], speech: &Arc<Speech>) -> Result<(), String> {
        let mut instances = self.varpd.instances();
        let heard = questions(packet).try_for_each(|message| {
            match message.map_err(|error| format!("what it says is not understood: {error}"))? {
                FromOverlayd::Ping(token) => speech.say(FromVarpd::Pong(token)),
                FromOverlayd::Refused(why) => return Err(format!("it refuses: {why}")),
                FromOverlayd::Welcome(welcome) if welcome.version != VERSION => {
                    return Err(format!("it speaks version {} of the protocol; version {VERSION} is spoken here", welcome.version));
                }
                FromOverlayd::Welcome(welcome) => {
                    instances.connected(Arc::<Speech>::clone(speech));
                    self.welcome(&welcome.overlayd, instances.iter().count());
                }
                message => instances.hear(message),
            }
            Ok(())
        });
        self.workers.give_all(&mut instances);
        heard
    }

    fn welcome(&self, version: &str, running: usize) {
        tracing::info!("connected to overlayd {version}");
        overlay_probes::varpd::connection(1, running as u32, "");
        self.varpd.journal.tell(VarpdHappening::Connection { connected: true, reason: None });
        let mut state = self.varpd.link.state();
        let connections = state.shown.connections + 1;
        state.shown = OverlaydLink { connected: true, reason: None, since: now(), version: Some(version.to_owned()), connections };
    }
}

/// A quarter more or less, so that the varpds of many hosts do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause.mul_f64(0.75 + 0.5 * (random % 1024) as f64 / 1024.0)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_stays_near_what_was_asked() {
        for _ in 0..1000 {
            let pause = jittered(PAUSE);
            assert!((PAUSE * 3 / 4..=PAUSE * 5 / 4).contains(&pause), "{pause:?}");
        }
    }
}
