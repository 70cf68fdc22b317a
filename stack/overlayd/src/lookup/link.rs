//! What is said to an answerer, and when? The room's end of its connection: what is to be sent, and what did not fit yet.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, send, setsockopt, sockopt};
use overlay_api::channel::{FromOverlayd, PACKET_MAX, Packets};
use overlay_api::{Lookup, RequestId};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Bytes that wait to be sent, besides lookups, before an answerer counts as one that does not read.
const UNSENT_MAX_BYTES: usize = 16 << 20;
/// Bytes of the socket's send buffer that are asked for: some full packets, so that a busy answerer finds the next one waiting.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// The process at the other end, as it was when it connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

impl Peer {
    /// Asks the kernel (unix(7), SO_PEERCRED).
    pub(super) fn of(stream: &UnixStream) -> Result<Self, Errno> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials)?;
        Ok(Self { pid: credentials.pid(), uid: credentials.uid() })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}, uid {}", self.pid, self.uid)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its number: never used again.
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    stream: Arc<UnixStream>,
    packets: Packets,
    /// Lookups that are in no packet yet.
    lookups: BTreeMap<RequestId, Lookup>,
    /// Whether the socket had no room when it was last tried.
    blocked: bool,
    /// Lookups that were put into packets.
    asked: u64,
}

impl Link {
    pub(super) fn new(id: u64, peer: Peer, stream: Arc<UnixStream>) -> Self {
        // Without it packets wait here instead of in the socket, which is slower and nothing else.
        let _ = setsockopt(&*stream, sockopt::SndBufForce, &SEND_BUFFER_BYTES);
        Self { id, peer, stream, packets: Packets::new(), lookups: BTreeMap::new(), blocked: false, asked: 0 }
    }

    /// To be said, before any lookup that was not sent yet. Whether it fits a packet.
    pub(crate) fn say(&mut self, message: &FromOverlayd) -> bool {
        self.packets.ask(message)
    }

    /// To be asked.
    pub(crate) fn ask(&mut self, lookup: Lookup) {
        self.lookups.insert(lookup.request, lookup);
    }

    /// No longer to be asked; what was asked already is withdrawn.
    pub(crate) fn withdraw(&mut self, request: RequestId) {
        if self.lookups.remove(&request).is_none() {
            self.packets.ask(&FromOverlayd::Withdraw(request));
        }
    }

    /// Lookups that were asked since the last time that this was called.
    pub(crate) fn take_asked(&mut self) -> u64 {
        std::mem::take(&mut self.asked)
    }

    /// Sends as much as the socket takes.
    ///
    /// # Errors
    /// Why the connection is of no use any more: the rest of a sentence that begins with its name.
    pub(crate) fn send(&mut self) -> Result<(), String> {
        loop {
            while self.packets.bytes() < PACKET_MAX
                && let Some((_, lookup)) = self.lookups.pop_first()
            {
                self.packets.ask(&FromOverlayd::Lookup(lookup));
                self.asked += 1;
            }
            let Some(packet) = self.packets.front() else {
                self.blocked = false;
                return Ok(());
            };
            match send(self.stream.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => drop(self.packets.pop()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.packets.bytes() <= UNSENT_MAX_BYTES => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(Errno::EAGAIN) => return Err(format!("it does not read: {} bytes wait for it", self.packets.bytes())),
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err("it hung up".to_owned()),
                Err(error) => return Err(format!("nothing can be sent to it: {error}")),
            }
        }
    }

    /// The socket, if something waits for room in it.
    pub(crate) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.blocked.then(|| self.stream.as_fd())
    }

    /// Ends the connection, with a last sentence if there is room for it. What was to be sent is forgotten.
    pub(crate) fn refuse(self, sentence: &str) {
        refuse(&self.stream, sentence);
    }
}

/// Ends a connection. What the other end has said already is left to be read by whoever reads: a connection that is closed with something
/// unread in it would be reset, and the sentence lost.
pub(super) fn refuse(stream: &UnixStream, sentence: &str) {
    let mut packets = Packets::new();
    packets.ask(&FromOverlayd::Refused(sentence.to_owned()));
    if let Some(packet) = packets.front() {
        // Whoever does not read, or has gone, does not learn why.
        let _ = send(stream.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    }
    // It fails if the other end has hung up, which is what is wanted.
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use overlay_api::channel::questions;
    use overlay_api::{DeviceId, Question};
    use overlay_decoder::{Mac, Vni};
    use std::io::Read;

    fn pair() -> (Link, UnixStream) {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let stream = Arc::new(UnixStream::from(one));
        let peer = Peer::of(&stream).unwrap();
        (Link::new(1, peer, stream), UnixStream::from(other))
    }

    fn lookup(request: u64) -> Lookup {
        let question = Question { source: Mac([2; 6]), destination: Mac([4; 6]), ethertype: 0x0800, vlan: None, len: 1000 };
        Lookup { request: RequestId(request), device: DeviceId(1), vni: Vni::new(7).unwrap(), question, frame: vec![0; 1000] }
    }

    /// What comes out at the other end until nothing is left there.
    fn heard(other: &UnixStream) -> Vec<FromOverlayd> {
        other.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; PACKET_MAX];
        let mut all = Vec::new();
        while let Ok(length @ 1..) = (&*other).read(&mut buffer) {
            all.extend(questions(&buffer[..length]).map(Result::unwrap));
        }
        all
    }

    #[test]
    fn what_is_said_comes_before_lookups_and_those_in_their_order() {
        let (mut link, other) = pair();
        for request in 1..=3 {
            link.ask(lookup(request));
        }
        link.say(&FromOverlayd::Complete);
        link.withdraw(RequestId(2));
        link.withdraw(RequestId(9));
        link.send().unwrap();
        let said = [FromOverlayd::Complete, FromOverlayd::Withdraw(RequestId(9))];
        let asked = [FromOverlayd::Lookup(lookup(1)), FromOverlayd::Lookup(lookup(3))];
        assert_eq!((heard(&other), link.take_asked(), link.take_asked()), ([said, asked].concat(), 2, 0));
    }

    #[test]
    fn who_does_not_read_holds_up_nobody_and_misses_nothing() {
        let (mut link, other) = pair();
        let count = 10_000;
        for request in 1..=count {
            link.ask(lookup(request));
        }
        link.send().unwrap();
        assert!(link.blocked().is_some(), "10 MB do not fit a socket");
        // What has timed out meanwhile was never asked.
        link.withdraw(RequestId(count));
        let mut all = Vec::new();
        while link.blocked().is_some() {
            all.extend(heard(&other));
            link.send().unwrap();
        }
        all.extend(heard(&other));
        let expected: Vec<_> = (1..count).map(|request| FromOverlayd::Lookup(lookup(request))).collect();
        assert!(all == expected, "{} of {}", all.len(), expected.len());
    }

    #[test]
    fn who_never_reads_is_given_up() {
        let (mut link, _other) = pair();
        let why = (0..).find_map(|token| {
            link.say(&FromOverlayd::Refused("x".repeat(60_000)));
            if token < 1000 { link.send().err() } else { Some("never".to_owned()) }
        });
        assert!(why.as_ref().is_some_and(|why| why.starts_with("it does not read: 16")), "{why:?}");
    }

    #[test]
    fn the_last_sentence_is_heard_whatever_was_left_unread() {
        let (mut link, mut other) = pair();
        std::io::Write::write_all(&mut other, b"something").unwrap();
        let stream = Arc::clone(&link.stream);
        link.say(&FromOverlayd::Complete);
        link.refuse("no");
        assert_eq!((&*stream).read(&mut [0; 100]).unwrap(), 9, "left to whoever reads");
        drop(stream);
        assert_eq!(heard(&other), [FromOverlayd::Refused("no".to_owned())]);
        let (mut link, other) = pair();
        drop(other);
        link.say(&FromOverlayd::Complete);
        assert_eq!(link.send(), Err("it hung up".to_owned()));
    }
}
