//! Where do packets leave? An interface with a packet socket, and what the kernel said of each packet.

use super::sys;
use crate::output::OutputError;
use overlay_captures::host::{Hardware, HostError, Kernel, Link, Namespace};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Numbers of packets that are told of each reason.
pub(crate) const TOLD_MAX: usize = 16;
/// How long to wait at once for room in the socket.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Packets that did not leave for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lost {
    /// How many.
    pub(crate) count: u64,
    /// Their numbers in the capture, the first of them, each once.
    pub(crate) numbers: Vec<u64>,
}

impl Lost {
    /// One more.
    pub(crate) fn add(&mut self, number: u64) {
        self.count += 1;
        if self.numbers.len() < TOLD_MAX && !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
    }
}

/// What became of an attempt to send.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// So many were taken.
    Taken(usize),
    /// There is no room in the socket; it was waited for.
    Full,
    /// The interface has no room for the first one.
    Busy,
    /// The first one is not taken, and why.
    Refused(String),
    /// None ever will be.
    Over(String),
}

/// An interface.
pub(crate) struct Port {
    /// Its name.
    pub(crate) name: String,
    mtu: u32,
    socket: OwnedFd,
    /// What the kernel refused, by its reason.
    pub(crate) refused: BTreeMap<String, Lost>,
    /// Packets and bytes that it took.
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// How often the interface had no room.
    pub(crate) busy: u64,
}

impl Port {
    /// Opens an interface of a namespace; `direct` passes by what queues for it.
    pub(crate) fn open(namespace: &Namespace, name: &str, direct: bool) -> Result<Self, OutputError> {
        let host = |error: HostError| OutputError(format!("{name}: {error}"));
        let mut kernel = Kernel::open(namespace).map_err(host)?;
        let Some(link) = kernel.link_named(name).map_err(host)? else {
            let there: Vec<_> = kernel.links().map_err(host)?.into_iter().map(|link| link.name).collect();
            return Err(OutputError(format!("{name}: no such interface in the namespace; it has {}", there.join(", "))));
        };
        if let Some(why) = why_not(&link) {
            return Err(OutputError(format!("{name}: {why}")));
        }
        let opened = namespace.run(|| sys::packet_socket(link.index, direct)).map_err(host)?;
        let socket = opened.map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                OutputError(format!("{name}: sending packets needs the capability CAP_NET_RAW, which root has"))
            }
            Some(libc::ENODEV) => OutputError(format!("{name}: the interface was removed meanwhile")),
            _ => OutputError(format!("{name}: {error}")),
        })?;
        let name = name.to_owned();
        Ok(Self { name, mtu: link.mtu, socket, refused: BTreeMap::new(), packets: 0, bytes: 0, busy: 0 })
    }

    /// Hands packets to the kernel, in order.
    pub(crate) fn send(&mut self, packets: &[&[u8]]) -> Attempt {
        let error = match sys::send(self.socket.as_fd(), packets) {
            Ok(taken) => return Attempt::Taken(taken),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EINTR) => Attempt::Full,
            Some(libc::EAGAIN) => {
                // Whatever it says, the next attempt will tell.
                let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&NAP));
                Attempt::Full
            }
            Some(libc::ENOBUFS) => Attempt::Busy,
            Some(libc::EMSGSIZE) => Attempt::Refused(format!("longer than the MTU of {} allows", self.mtu)),
            Some(libc::EINVAL) => Attempt::Refused("no frame that the interface can send".to_owned()),
            Some(libc::ENETDOWN) => Attempt::Over("the interface went down".to_owned()),
            Some(libc::ENXIO | libc::ENODEV) => Attempt::Over("the interface was removed".to_owned()),
            _ => Attempt::Over(sentence(&error)),
        }
    }

    /// A packet was not taken.
    pub(crate) fn refuse(&mut self, why: &str, number: u64) {
        // Not `entry`: its key would be made again for every packet.
        match self.refused.get_mut(why) {
            Some(lost) => lost.add(number),
            None => self.refused.entry(why.to_owned()).or_default().add(number),
        }
    }
}

/// Why nothing can be sent on an interface.
fn why_not(link: &Link) -> Option<String> {
    if link.hardware != Hardware::ETHERNET && link.hardware != Hardware::LOOPBACK {
        return Some("no Ethernet interface; frames can be sent on those only".to_owned());
    }
    match (link.up, link.lower_up) {
        (false, _) => Some(format!("the interface is down; `ip link set {} up` brings it up", link.name)),
        (true, false) => Some("the interface has no carrier: nobody is at its other end".to_owned()),
        (true, true) => None,
    }
}

fn sentence(error: &io::Error) -> String {
    format!("the kernel takes no packets: {error}")
}
