//! How does what is said get to the other end, overlayd or a plugin's process? In packets with many messages, and without anybody waiting for
//! it who has better to do.
//!
//! While the reader works on a packet it holds the cork: the answers to a packet of lookups are one packet too, which the reader sends
//! itself. What is said at other times is sent by a thread of its own, so that a plugin never waits for an overlayd that does not read.

use overlay_api::channel::{FromOverlayd, FromVarpd, Packets};
use overlay_varpd::plugin::Outlet;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that wait to be sent before the other end counts as one that does not read.
pub(crate) const UNSENT_MAX_BYTES: usize = 64 << 20;

/// What a connection has to say.
#[derive(Debug)]
pub(crate) struct Speech {
    /// Where a sentence about it goes.
    warn: fn(&str),
    /// What is done before the connection is ended when so many bytes wait.
    flooded: fn(usize),
    stream: UnixStream,
    /// Who hears it, for the log.
    to: String,
    state: Mutex<State>,
    /// Something is there to be sent, or it is over.
    news: Condvar,
}

#[derive(Default, Debug)]
struct State {
    packets: Packets,
    /// The reader is at work, and sends what comes of it.
    corked: bool,
    /// Somebody sends, and will find what is added meanwhile.
    sending: bool,
    /// Nothing can be sent any more.
    over: bool,
}

impl Speech {
    /// Of a connection that has not said anything.
    pub(crate) fn new(stream: UnixStream, to: impl Into<String>) -> Self {
        let to = to.into();
        Self { warn: |text| tracing::warn!("{text}"), flooded: |_| {}, stream, to, state: Mutex::default(), news: Condvar::new() }
    }

    /// The same in a plugin's process, which has a log of its own, and does not go on where varpd does not read.
    pub(crate) fn of_host(stream: UnixStream, warn: fn(&str), flooded: fn(usize)) -> Self {
        Self { warn, flooded, ..Self::new(stream, "varpd") }
    }

    /// Says what overlayd would say: to a plugin's process. Whether it fitted a packet.
    pub(crate) fn ask(&self, message: &FromOverlayd) -> bool {
        self.add(|packets| packets.ask(message))
    }

    /// Adds to the packets, and has them sent. Whether it fitted.
    fn add(&self, message: impl FnOnce(&mut Packets) -> bool) -> bool {
        let mut state = self.state();
        if state.over {
            return true;
        }
        let fitted = message(&mut state.packets);
        if state.packets.bytes() > UNSENT_MAX_BYTES {
            let bytes = state.packets.bytes();
            drop(state);
            (self.flooded)(bytes);
            (self.warn)(&format!("{} does not read: {bytes} bytes wait for it; the connection is ended", self.to));
            self.end();
        } else if !state.corked && !state.sending {
            drop(state);
            self.news.notify_all();
        }
        fitted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said from now on waits for [`uncork`](Self::uncork).
    pub(crate) fn cork(&self) {
        self.state().corked = true;
    }

    /// Sends what was said.
    pub(crate) fn uncork(&self) {
        let mut state = self.state();
        state.corked = false;
        drop(self.send(state));
    }

    /// Sends what is said at other times, until the end of the connection.
    pub(crate) fn send_all(&self) {
        let mut state = self.state();
        loop {
            let nothing = |state: &mut State| !state.over && (state.corked || state.sending || state.packets.is_empty());
            state = self.news.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
            if state.over {
                return;
            }
            state = self.send(state);
        }
    }

    /// It is over: nothing is sent any more, and whoever reads or sends is told so by the socket.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.over = true;
        state.packets = Packets::new();
        // It fails if the other end has hung up, which is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.news.notify_all();
    }

    /// Sends until nothing is left. The lock is not held while the socket takes its time.
    fn send<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.sending {
            return state;
        }
        state.sending = true;
        while let Some(packet) = state.packets.pop() {
            drop(state);
            let sent = loop {
                match send(&self.stream, &packet, SendFlags::NOSIGNAL) {
                    Err(Errno::INTR) => {}
                    other => break other,
                }
            };
            state = self.state();
            if let Err(error) = sent {
                if !state.over {
                    tracing::debug!("{} cannot be told anything: {error}", self.to);
                }
                state.over = true;
                state.packets = Packets::new();
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        }
        state.sending = false;
        state
    }
}

impl Outlet for Speech {
    fn say(&self, message: FromVarpd) {
        if !self.add(|packets| packets.say(&message)) {
            (self.warn)(&format!("something was too long to be told to {} whole: {}", self.to, name(&message)));
        }
    }
}

/// What a message is about, without what it carries.
const fn name(message: &FromVarpd) -> &'static str {
    match message {
        FromVarpd::Hello(_) => "hello",
        FromVarpd::Answer(_, answer) => answer.name(),
        FromVarpd::State { .. } => "state",
        FromVarpd::Verified(_) => "verified",
        FromVarpd::TargetSet { .. } => "target-set",
        FromVarpd::TargetInvalidate { .. } => "target-invalidate",
        FromVarpd::TargetFlush(_) => "target-flush",
        FromVarpd::Inject { .. } => "inject",
        FromVarpd::Resend { .. } => "resend",
        FromVarpd::Pong(_) => "pong",
    }
}
