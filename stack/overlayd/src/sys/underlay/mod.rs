//! How do datagrams get onto and off the underlay? Sockets at the listen address, and some more that only send.
//!
//! ```text
//!             queue 0                                      queue 1 ..
//!  listen     [UDP 10.0.0.1:4789] SO_REUSEPORT             [UDP 10.0.0.1:4789]     receive: recvmmsg, UDP_GRO
//!  sources    [:49152] [:50176] [:51200] ..                [:49664] [:50688] ..    send: sendmmsg, UDP_SEGMENT
//! ```
//!
//! The source port tells routers and receiving cards the flows apart (RFC 7348 5). A socket sends from one port, so each queue has a few
//! sockets, spread over the allowed ports; a flow always takes the same one and keeps its order. An IP protocol without ports (NVGRE)
//! has one raw socket for everything, because each raw socket gets a copy of each packet.
//!
//! The kernel keeps path MTUs (IP_PMTUDISC_DO): what is too big for a path is refused here with EMSGSIZE, and `IP_MTU` says how much
//! would have gone. Errors of one destination are no business of the others: that is why IP_RECVERR is off, with which an ICMP message
//! about one destination fails the next datagram to any.

mod open;
mod refusals;
mod send;

pub(crate) use refusals::{Listening, Refusals, Told, Why};
pub(crate) use send::{Loss, Message, SendReport};

use super::calls::{self, BATCH, Incoming, Name};
use super::error::{Kind, SysError};
use super::link::Netlink;
use super::netns::Netns;
use nix::errno::Errno;
use nix::libc;
use overlay_decoder::Ul3;
use overlay_engine::encap::Carrier;
use overlay_engine::{Arrival, Datagrams, Offload};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest IP packet.
const PACKET_MAX: u32 = 65_535;

/// What is asked of an underlay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UnderlaySpec {
    /// What carries the encapsulation.
    pub(crate) carrier: Carrier,
    /// Where to listen; with a port exactly if the carrier has ports.
    pub(crate) listen: Ul3,
    /// The name or path of the namespace; none is overlayd's own.
    pub(crate) netns: Option<String>,
    /// How many threads serve it, each with a queue of its own. A carrier without ports has one queue in any case.
    pub(crate) queues: usize,
    /// From which ports to send.
    pub(crate) source_ports: RangeInclusive<u16>,
    /// How many of them each queue uses.
    pub(crate) sources: usize,
}

impl UnderlaySpec {
    /// An underlay with one queue, in overlayd's own namespace, with source ports as RFC 7348 5 has them.
    pub(crate) fn new(carrier: Carrier, listen: Ul3) -> Self {
        Self { carrier, listen, netns: None, queues: 1, source_ports: 49152..=65535, sources: 16 }
    }
}

/// An open underlay. Its sockets close when it and all of its queues are dropped.
#[derive(Debug)]
pub(crate) struct Underlay {
    label: String,
    listen: IpAddr,
    home: Netns,
    netlink: Mutex<Netlink>,
    queues: Vec<Arc<UnderlayQueue>>,
}

impl Underlay {
    /// Opens the sockets.
    ///
    /// # Errors
    /// When the namespace or the listen address is not there (yet), the port is in use, or the kernel refuses.
    pub(crate) fn open(spec: &UnderlaySpec) -> Result<Self, SysError> {
        let what = match spec.carrier {
            Carrier::Udp => format!("underlay {}", spec.listen),
            Carrier::Ip(protocol) => format!("underlay {} (IP protocol {protocol})", spec.listen),
        };
        let home = Netns::find(spec.netns.as_deref()).map_err(|error| SysError::new(error.kind(), format!("{what}: {error}")))?;
        let label = format!("{what} in {home}");
        let (netlink, queues) = home.run(|| {
            let netlink = Netlink::open().map_err(|errno| SysError::system(&label, "cannot open a netlink socket", errno))?;
            Ok::<_, SysError>((netlink, open::queues(spec, &label)?))
        })??;
        Ok(Self { label, listen: spec.listen.ip, home, netlink: Mutex::new(netlink), queues })
    }

    /// One of its queues, counted from 0; beyond the last, the first again.
    pub(crate) fn queue(&self, queue: usize) -> Arc<UnderlayQueue> {
        Arc::clone(&self.queues[queue % self.queues.len()])
    }

    /// How many queues it has.
    pub(crate) fn queues(&self) -> usize {
        self.queues.len()
    }

    /// The largest IP packet that the link with the listen address takes; the largest there is if it listens on all.
    ///
    /// # Errors
    /// When no link has the address any more, its link is down, or the namespace has lost its name.
    pub(crate) fn mtu(&self) -> Result<u32, SysError> {
        self.home.check().map_err(|error| SysError::new(error.kind(), format!("{}: {error}", self.label)))?;
        if self.listen.is_unspecified() {
            return Ok(PACKET_MAX);
        }
        let found = self.netlink.lock().unwrap_or_else(PoisonError::into_inner).with_address(self.listen);
        match found.map_err(|errno| SysError::system(&self.label, "cannot look for its link", errno))? {
            Some(link) if link.up => Ok(link.mtu.min(PACKET_MAX)),
            Some(link) => Err(SysError::new(Kind::AddressMissing, format!("{}: interface {} is down", self.label, link.name))),
            None => Err(SysError::system(&self.label, "has lost its address", Errno::EADDRNOTAVAIL)),
        }
    }

    /// The largest IP packet that is known to reach `to`; none if there is no way at all.
    pub(crate) fn path_mtu(&self, to: IpAddr) -> Option<u32> {
        self.queues[0].path_mtu(to)
    }

    /// Datagrams that came and for which the kernel had no room, since the sockets are open; it begins again at 2^32 for each socket.
    pub(crate) fn overflowed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.overflowed()).sum()
    }

    /// Datagrams that were longer than a buffer and are lost.
    pub(crate) fn cut(&self) -> u64 {
        self.queues.iter().map(|queue| queue.cut.load(Relaxed)).sum()
    }
}

/// A socket that sends, and what it does with too long a packet.
#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    /// Whether packets may not be fragmented. Held while sending, because it is a property of the socket and not of the message.
    whole: Mutex<bool>,
}

/// The sockets of one thread. They never block; wait for arrivals with poll(2).
#[derive(Debug)]
pub(crate) struct UnderlayQueue {
    listen: Arc<Socket>,
    sources: Vec<Arc<Socket>>,
    /// Asked for the path MTU; it never sends.
    asker: Mutex<OwnedFd>,
    carrier: Carrier,
    ipv6: bool,
    /// Whether flow labels are refused: somebody in the namespace has one for itself (IPV6_FL_S_EXCL), and from then on all must be leased.
    unlabelled: AtomicBool,
    cut: AtomicU64,
}

impl UnderlayQueue {
    /// Receives what is there, at most `max` messages, one into each buffer of `batch`, in place of what is in it. A message may be
    /// several datagrams of one length (UDP_GRO), each of which is an item. `whole` is asked about such a message before it is divided, with
    /// its bytes and that length: what it says is left to do, if it is one datagram after all. Says how many messages came: 0 if there
    /// was nothing.
    ///
    /// # Errors
    /// What recvmmsg(2) says, if nothing came.
    pub(crate) fn receive(&self, batch: &mut Datagrams, max: usize, whole: impl Fn(&[u8], u16) -> Option<Offload>) -> Result<usize, Errno> {
        batch.clear();
        let max = max.min(batch.buffers());
        let mut incoming = [Incoming::EMPTY; BATCH];
        let mut received = 0;
        while received < max {
            let asked = (max - received).min(BATCH);
            let count = match calls::receive(self.listen.fd.as_fd(), batch, received, asked, &mut incoming) {
                Ok(count) => count,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => continue,
                // It says nothing about what has come; a fault that stays is told by the next call.
                Err(_) if received > 0 => break,
                Err(errno) => return Err(errno),
            };
            for (at, message) in incoming.iter().enumerate().take(count) {
                if message.cut {
                    self.cut.fetch_add(1, Relaxed);
                } else {
                    self.push(batch, received + at, message, &whole);
                }
            }
            received += count;
            if count < asked {
                break;
            }
        }
        Ok(received)
    }

    fn push(&self, batch: &mut Datagrams, buffer: usize, message: &Incoming, whole: &impl Fn(&[u8], u16) -> Option<Offload>) {
        let Some(address) = message.from.address() else { return };
        let (mut tos, mut segment) = (0, message.len);
        for (level, kind, value) in message.control.messages() {
            match (level, kind, value) {
                // One byte of IPv4, a number of IPv6.
                (libc::IPPROTO_IP, libc::IP_TOS, [value, ..]) => tos = *value,
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, value) => tos = number(value) as u8,
                (libc::SOL_UDP, libc::UDP_GRO, value) => segment = number(value) as usize,
                _ => {}
            }
        }
        let port = (self.carrier == Carrier::Udp).then_some(address.port());
        // A raw socket of IPv4 gives the IP header, too (raw(7)); its length is in 4-byte words.
        let skip = match self.carrier {
            Carrier::Ip(_) if !self.ipv6 => usize::from(batch.space(buffer)[0] & 15) * 4,
            _ => 0,
        };
        let mut meta = Arrival { from: Ul3 { ip: address.ip(), port }, tos, offload: Offload::default() };
        let size = u16::try_from(segment).ok().filter(|_| segment < message.len);
        if let Some(offload) = size.and_then(|size| whole(batch.space(buffer).get(..message.len)?, size)) {
            (meta.offload, segment) = (offload, message.len);
        }
        let mut start = skip.min(message.len);
        while start < message.len {
            let end = message.len.min(start + segment.max(1));
            batch.push(buffer, start..end, meta);
            start = end;
        }
    }

    /// Asks the routing table.
    fn path_mtu(&self, to: IpAddr) -> Option<u32> {
        let asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is sent: the port, discard, only has to be one.
        calls::connect(asker.as_fd(), &Name::new(to, 9, 0)).ok()?;
        let (level, option) = if self.ipv6 { (libc::IPPROTO_IPV6, libc::IPV6_MTU) } else { (libc::IPPROTO_IP, libc::IP_MTU) };
        calls::option::<1>(&*asker, level, option).ok().map(|[mtu]| mtu)
    }

    fn overflowed(&self) -> u64 {
        const SO_MEMINFO: i32 = 55; // asm-generic/socket.h; since Linux 4.12
        const DROPS: usize = 8; // SK_MEMINFO_DROPS, linux/sock_diag.h
        calls::option::<9>(&self.listen.fd, libc::SOL_SOCKET, SO_MEMINFO).map_or(0, |values| values[DROPS].into())
    }
}

impl AsFd for UnderlayQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listen.fd.as_fd()
    }
}

fn number(value: &[u8]) -> i32 {
    value.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}
