//! Who wants to answer lookups? Connections are accepted, known by what the kernel says of them, greeted, and then read.
//!
//! ```text
//!  accept ─► root or --varpd-user? ─► hello within 2 s? ─► a version of ours? ─► the room: nobody else attached? ─► packets
//!              │ no                      │ no                 │ no                   │ no
//!              └─────────────────────────┴────────────────────┴──────────────────────┴──► refused: a sentence, a log line, a count
//! ```

use super::clean;
use super::link::{self, Link, Peer};
use crate::room::Door;
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use overlay_api::channel::{FromVarpd, Hello, PACKET_MAX, VERSION, answers};
use overlay_serve::ControlSocket;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long a connection may take to say hello.
const HELLO: Duration = Duration::from_secs(2);
/// Packets of a connection that are read ahead of the room.
const AHEAD: usize = 8;
/// Connections at one time; one of them can be attached.
const CONNECTIONS_MAX: usize = 16;
/// How long to wait before the next attempt when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The lookup socket, listened on.
#[derive(Debug)]
pub(crate) struct LookupThread {
    listener: UnixListener,
    thread: JoinHandle<()>,
}

impl LookupThread {
    /// Nobody else is let in, and the socket's file goes. Who is attached stays so until the room ends.
    pub(crate) fn stop(self) {
        // A listener that is shut down accepts nothing any more, and says so to whoever waits there.
        if let Err(error) = shutdown(self.listener.as_raw_fd(), Shutdown::Both) {
            tracing::warn!("lookup socket: cannot be shut down: {error}");
        } else if self.thread.join().is_err() {
            tracing::error!("the lookup socket's thread has panicked");
        }
    }
}

/// Lets root and the user `uid` in from now on.
///
/// # Errors
/// The system has no thread or no descriptor left.
pub(crate) fn start(socket: ControlSocket, door: Door, uid: Option<u32>) -> io::Result<LookupThread> {
    let (listener, accepting) = (socket.listener()?, socket.listener()?);
    accepting.set_nonblocking(false)?;
    let thread = Builder::new().name("lookup".to_owned()).spawn(move || {
        accept(&accepting, &door, uid);
        drop(socket);
    })?;
    Ok(LookupThread { listener, thread })
}

fn accept(listener: &UnixListener, door: &Door, uid: Option<u32>) {
    let open = Arc::new(AtomicUsize::new(0));
    for id in 1.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => return,
            Err(error) => {
                tracing::warn!("lookup socket: cannot accept a connection: {error}");
                std::thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        let place = Place::take(&open);
        let door = door.clone();
        let thread = Builder::new().name("answers".to_owned()).spawn(move || {
            serve(id, stream, &door, uid, &place);
        });
        if let Err(error) = thread {
            tracing::warn!("lookup socket: no thread for a connection: {error}");
        }
    }
}

/// One of the connections that there are.
struct Place {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        Self { open: Arc::clone(open), number: open.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection from its beginning to its end.
fn serve(id: u64, stream: UnixStream, door: &Door, uid: Option<u32>, place: &Place) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => return tracing::warn!("lookup socket: cannot tell who is at the other end: {error}; the connection is closed"),
    };
    let mut buffer = vec![0; PACKET_MAX + 1];
    match greet(&stream, peer, uid, place, &mut buffer) {
        Ok(Some((hello, length))) => {
            let stream = Arc::new(stream);
            let link = Link::new(id, peer, Arc::clone(&stream));
            let called = door.call(move |room| {
                room.attach(link, &hello);
                // Whatever it says in one packet with its hello.
                room.hear(id, buffer.get(..length).unwrap_or(&[]), 1);
            });
            if called.is_ok() {
                read(id, &stream, door);
            }
        }
        Ok(None) => tracing::debug!("lookup socket: {peer}: hung up without a word"),
        Err(sentence) => {
            tracing::warn!("lookup socket: {peer} is refused: {sentence}");
            // The daemon is ending if it cannot be counted.
            let said = sentence.clone();
            let _ = door.call(move |room| room.count_refused(peer, &said));
            link::refuse(&stream, &sentence);
            while let Ok(1..) = (&stream).read(&mut buffer) {}
        }
    }
}

/// Who is it? Its hello, and how many bytes the packet has that the hello is the first message of; none if it hung up.
fn greet(stream: &UnixStream, peer: Peer, uid: Option<u32>, place: &Place, buffer: &mut [u8]) -> Result<Option<(Hello, usize)>, String> {
    if peer.uid != 0 && Some(peer.uid) != uid {
        let user = uid.map(|uid| format!(" and uid {uid}")).unwrap_or_default();
        return Err(format!("uid {} may not answer lookups; root{user} may (--varpd-user)", peer.uid));
    }
    if place.number > CONNECTIONS_MAX {
        return Err(format!("{CONNECTIONS_MAX} connections are open already; no more are possible"));
    }
    stream.set_read_timeout(Some(HELLO)).map_err(|error| error.to_string())?;
    let length = match (&mut &*stream).read(buffer) {
        Ok(0) => return Ok(None),
        Ok(length) => length,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return Err(format!("has not said hello within {} s", HELLO.as_secs()));
        }
        Err(error) => return Err(error.to_string()),
    };
    stream.set_read_timeout(None).map_err(|error| error.to_string())?;
    let first = buffer.get(..length).filter(|packet| packet.len() <= PACKET_MAX).and_then(|packet| answers(packet).next());
    match first.transpose().map_err(|error| clean(&error.to_string()))? {
        Some(FromVarpd::Hello(hello)) if hello.versions.contains(&VERSION) => Ok(Some((hello, length))),
        Some(FromVarpd::Hello(hello)) => {
            Err(clean(&format!("it speaks versions {:?} of the protocol; version {VERSION} is spoken here", hello.versions)))
        }
        _ => Err("the first message is not hello".to_owned()),
    }
}

/// Hands packets to the room until either side hangs up. After the room has ended the connection, what was still on its way is read and
/// handed over too, and counts for nothing there.
fn read(id: u64, stream: &UnixStream, door: &Door) {
    let (give, free) = mpsc::channel();
    for _ in 0..AHEAD {
        // The other end is a few lines below.
        let _ = give.send(vec![0; PACKET_MAX + 1]);
    }
    while let Ok(mut buffer) = free.recv() {
        let length = loop {
            match (&mut &*stream).read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let called = match length {
            Ok(0) => return drop(door.call(move |room| room.hung_up(id, "it hung up"))),
            Err(error) => return drop(door.call(move |room| room.hung_up(id, &error.to_string()))),
            Ok(length) => {
                let give = give.clone();
                door.call(move |room| {
                    room.hear(id, buffer.get(..length).unwrap_or(&[]), 0);
                    // The reader may have ended meanwhile.
                    let _ = give.send(buffer);
                })
            }
        };
        if called.is_err() {
            return;
        }
    }
}
