//! How is a batch sent, and what became of it?

use super::open::set_whole;
use super::{Socket, UnderlayQueue};
use crate::sys::calls::{self, BATCH, Control, Name, Outgoing};
use nix::errno::Errno;
use nix::libc;
use overlay_decoder::Ul3;
use overlay_engine::OuterHeader;
use overlay_engine::encap::Carrier;
use smallvec::SmallVec;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// What is to be sent: the bytes behind the outer UDP or IP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The outer header.
    pub(crate) outer: OuterHeader,
    /// Of how many bytes each datagram is, but for a shorter last one, if they are several: at most 64 of them, 65,000 bytes together.
    pub(crate) segment_size: Option<u16>,
    /// The bytes, in at most 1,024 pieces.
    pub(crate) parts: &'a [IoSlice<'a>],
}

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loss {
    /// The socket, or the queue of the link, had no room.
    Full,
    /// It may not be fragmented and is longer than the path takes: IP packets of so many bytes, if that is known.
    TooBig {
        /// The largest IP packet that would have gone.
        mtu: Option<u32>,
    },
    /// The kernel refused.
    Failed(Errno),
}

/// What became of messages. Keep it and use it again: clearing keeps the memory.
#[derive(Debug, Default)]
pub(crate) struct SendReport {
    /// How many were sent.
    pub(crate) sent: usize,
    /// Which were not, by their place in the batch, and why.
    pub(crate) lost: Vec<(usize, Loss)>,
}

impl SendReport {
    /// Forgets everything in it.
    pub(crate) fn clear(&mut self) {
        self.sent = 0;
        self.lost.clear();
    }

    /// Whether the message at a place of the batch was lost.
    pub(crate) fn has_lost(&self, place: usize) -> bool {
        self.lost.iter().any(|(lost, _)| *lost == place)
    }
}

impl UnderlayQueue {
    /// Sends messages; never waits. Those of one source port go in order. Adds to the report what became of them.
    pub(crate) fn send(&self, messages: &[Message<'_>], report: &mut SendReport) {
        for (number, batch) in messages.chunks(BATCH).enumerate() {
            // Bits of messages that still wait. Those that share a socket, and how it treats long packets, go together.
            let mut waiting = u32::MAX >> (BATCH - batch.len());
            while waiting != 0 {
                let first = waiting.trailing_zeros() as usize;
                let key = self.key(&batch[first].outer);
                let group: SmallVec<[usize; BATCH]> =
                    (first..batch.len()).filter(|at| waiting & 1 << at != 0 && self.key(&batch[*at].outer) == key).collect();
                for at in &group {
                    waiting &= !(1 << at);
                }
                self.send_group(batch, &group, number * BATCH, report);
            }
        }
    }

    /// Which socket, and whether packets stay whole.
    #[inline]
    fn key(&self, outer: &OuterHeader) -> (usize, bool) {
        (usize::from(outer.source_port) % self.sources.len(), outer.dont_fragment)
    }

    fn send_group(&self, batch: &[Message<'_>], group: &[usize], base: usize, report: &mut SendReport) {
        let (source, whole) = self.key(&batch[group[0]].outer);
        let socket = &self.sources[source];
        let mut state = socket.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != whole {
            if let Err(errno) = set_whole(&socket.fd, self.ipv6, whole) {
                report.lost.extend(group.iter().map(|at| (base + at, Loss::Failed(errno))));
                return;
            }
            *state = whole;
        }
        let mut outgoing: SmallVec<[Outgoing<'_>; BATCH]> = SmallVec::new();
        outgoing.extend(group.iter().map(|at| self.outgoing(&batch[*at], batch[*at].parts, batch[*at].segment_size)));
        let mut done = 0;
        while done < group.len() {
            match calls::send(socket.fd.as_fd(), &outgoing[done..]) {
                Ok(sent) => {
                    report.sent += sent;
                    done += sent;
                }
                Err(Errno::EINTR) => {}
                // Room is counted before a message is looked at: the others would not go either.
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    report.lost.extend(group[done..].iter().map(|at| (base + at, Loss::Full)));
                    break;
                }
                Err(errno) => {
                    match self.send_again(socket, &batch[group[done]], errno) {
                        Ok(()) => report.sent += 1,
                        Err(loss) => report.lost.push((base + group[done], loss)),
                    }
                    done += 1;
                }
            }
        }
    }

    /// A message was refused: it goes in another way, or it is lost.
    #[cold]
    fn send_again(&self, socket: &Socket, message: &Message<'_>, errno: Errno) -> Result<(), Loss> {
        let alone = |parts: &[IoSlice<'_>], segment_size| loop {
            match calls::send(socket.fd.as_fd(), &[self.outgoing(message, parts, segment_size)]) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        };
        let mut errno = errno;
        // RFC 6437 leaves it to the sender whether packets have labels. Those of this batch had theirs before the first was refused.
        if errno == Errno::EINVAL && self.ipv6 && message.outer.flow_label != 0 {
            let before = self.unlabelled.swap(true, Relaxed);
            match alone(message.parts, message.segment_size) {
                Ok(()) => return Ok(()),
                Err(other) => {
                    // It was not the label.
                    self.unlabelled.store(before, Relaxed);
                    errno = other;
                }
            }
        }
        if let Some(size) = message.segment_size {
            let mtu = self.path_mtu(message.outer.to.ip);
            let fits = mtu.is_none_or(|mtu| self.headers() + u32::from(size) <= mtu);
            // Datagrams longer than the path takes (EMSGSIZE, EINVAL before Linux 6.12) cannot be cut from one message even if they may be
            // fragmented, and some links cannot cut at all (EIO): then each goes alone.
            if matches!(errno, Errno::EMSGSIZE | Errno::EINVAL | Errno::EIO) && (fits || !message.outer.dont_fragment) {
                let mut result = Ok(());
                for datagram in datagrams(message.parts, size.into()) {
                    // What can be sent is, as on a wire that loses one of several packets.
                    result = alone(&datagram, None).map_err(|errno| self.loss(message, errno)).and(result);
                }
                return result;
            }
            if !fits {
                return Err(Loss::TooBig { mtu });
            }
        }
        Err(self.loss(message, errno))
    }

    fn loss(&self, message: &Message<'_>, errno: Errno) -> Loss {
        match errno {
            Errno::EAGAIN | Errno::ENOBUFS => Loss::Full,
            Errno::EMSGSIZE if message.outer.dont_fragment => Loss::TooBig { mtu: self.path_mtu(message.outer.to.ip) },
            errno => Loss::Failed(errno),
        }
    }

    /// Bytes of the outer headers that the kernel writes.
    fn headers(&self) -> u32 {
        (if self.ipv6 { 40 } else { 20 }) + if self.carrier == Carrier::Udp { 8 } else { 0 }
    }

    #[inline]
    fn outgoing<'a>(&self, message: &Message<'_>, parts: &'a [IoSlice<'a>], segment_size: Option<u16>) -> Outgoing<'a> {
        let outer = &message.outer;
        let Ul3 { ip, port } = outer.to;
        let mut control = Control::EMPTY;
        let (tos, ttl) = (i32::from(outer.tos).to_ne_bytes(), i32::from(outer.ttl).to_ne_bytes());
        if self.ipv6 {
            control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos);
            control.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &ttl);
        } else {
            control.push(libc::IPPROTO_IP, libc::IP_TOS, &tos);
            control.push(libc::IPPROTO_IP, libc::IP_TTL, &ttl);
        }
        if let Some(size) = segment_size {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        }
        let flow_label = if self.unlabelled.load(Relaxed) { 0 } else { outer.flow_label };
        Outgoing { to: Name::new(ip, port.unwrap_or(0), flow_label), control, parts }
    }
}

/// The datagrams of `size` bytes that `parts` are, but for a shorter last one.
fn datagrams<'a>(parts: &'a [IoSlice<'_>], size: usize) -> Vec<Vec<IoSlice<'a>>> {
    let mut all = vec![Vec::new()];
    let mut room = size.max(1);
    for part in parts {
        let mut rest: &[u8] = part;
        while !rest.is_empty() {
            if room == 0 {
                all.push(Vec::new());
                room = size.max(1);
            }
            let (piece, behind) = rest.split_at(rest.len().min(room));
            if let Some(datagram) = all.last_mut() {
                datagram.push(IoSlice::new(piece));
            }
            rest = behind;
            room -= piece.len();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_cut_across_pieces() {
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defgh"), IoSlice::new(b"i")];
        let cut = |size| -> Vec<Vec<u8>> {
            datagrams(&parts, size).iter().map(|parts| parts.iter().flat_map(|part| part.iter().copied()).collect()).collect()
        };
        let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<Vec<u8>>>();
        assert_eq!(cut(4), texts(&["abcd", "efgh", "i"]));
        assert_eq!(cut(3), texts(&["abc", "def", "ghi"]));
        assert_eq!(cut(9), texts(&["abcdefghi"]));
        assert_eq!(cut(100), texts(&["abcdefghi"]));
        assert_eq!(cut(0).len(), 9);
    }
}
