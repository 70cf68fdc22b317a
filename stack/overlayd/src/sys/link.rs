//! What does the kernel say of an interface, and how is it told otherwise? A routing netlink socket.
//!
//! The socket belongs to the namespace where it was opened and can be asked from any thread. Sources: netlink(7), rtnetlink(7),
//! linux/if_link.h for the numbers.

use super::calls::set_option;
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrLike, recvfrom, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use overlay_decoder::Mac;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

const NEW_LINK: u16 = 16; // RTM_NEWLINK and so on.
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_LINK_PROPERTY: u16 = 108;
const ERROR: u16 = 2; // NLMSG_ERROR
const DONE: u16 = 3; // NLMSG_DONE
const REQUEST: u16 = 1; // NLM_F_REQUEST and so on.
const ACK: u16 = 4;
const DUMP_INTERRUPTED: u16 = 0x10;
const DUMP: u16 = 0x300;
const CREATE_NEW: u16 = 0x600; // NLM_F_CREATE | NLM_F_EXCL

const ADDRESS: u16 = 1; // IFLA_ADDRESS and so on.
const NAME: u16 = 3;
const MTU: u16 = 4;
const LINK_INFO: u16 = 18;
const CARRIER: u16 = 33;
const GSO_MAX_SIZE: u16 = 41;
const PROPERTIES: u16 = 52;
const OTHER_NAME: u16 = 53;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const TUN_TYPE: u16 = 3; // IFLA_TUN_TYPE
const TUN_QUEUES: u16 = 8; // IFLA_TUN_NUM_QUEUES
const TUN_IS_TAP: u8 = 2; // IFF_TAP
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const UP: u32 = 1; // IFF_UP
const TENTATIVE: u8 = 0x40; // IFA_F_TENTATIVE: nobody knows yet whether another has it.
const DUPLICATE: u8 = 0x08; // IFA_F_DADFAILED
const LOWER_UP: u32 = 0x1_0000; // IFF_LOWER_UP
const NESTED: u16 = 0x8000; // NLA_F_NESTED
const LEVEL: i32 = 270; // SOL_NETLINK
const STRICT: i32 = 12; // NETLINK_GET_STRICT_CHK

const HEADER: usize = 16; // struct nlmsghdr
const LINK_HEADER: usize = 16; // struct ifinfomsg
const ADDRESS_HEADER: usize = 8; // struct ifaddrmsg

/// The kernel fills at most 32 KiB per datagram of a dump; a single message may be larger.
const BUFFER_BYTES: usize = 64 << 10;
/// The kernel answers at once, but for a lock that others may hold while they remove many devices.
const PATIENCE_SECONDS: i64 = 30;
/// Tries of a dump that changes while it is read.
const TRIES: usize = 4;

/// An interface, as the kernel has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) other_names: Vec<String>,
    pub(super) mac: Mac,
    pub(super) mtu: u32,
    pub(super) up: bool,
    pub(super) carrier: bool,
    /// What `ip -d link` calls it: `tun`, `veth`; empty for hardware.
    pub(super) kind: String,
    pub(super) is_tap: bool,
    /// Queues of a TAP that programs have open.
    pub(super) open_queues: u32,
}

/// Which interface.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    Index(u32),
    /// Its name, or one of its other names.
    Name(&'a str),
}

/// What to change; what is none stays.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Change {
    pub(super) mac: Option<Mac>,
    pub(super) mtu: Option<u32>,
    pub(super) up: Option<bool>,
    pub(super) carrier: Option<bool>,
    pub(super) gso_max_size: Option<u32>,
}

/// A socket to ask.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// A socket in the calling thread's namespace.
    pub(super) fn open() -> Result<Self, Errno> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
        // A dump is of what was asked for; kernels before 4.20 dump all, of which is taken what was asked for.
        let _ = set_option(&socket, LEVEL, STRICT, 1);
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER_BYTES] })
    }

    /// An interface; none if there is none.
    pub(super) fn link(&mut self, which: Which<'_>) -> Result<Option<Link>, Errno> {
        let mut body = link_header(if let Which::Index(index) = which { index } else { 0 }, 0, 0);
        if let Which::Name(name) = which {
            put(&mut body, OTHER_NAME, &terminated(name));
        }
        let mut found = None;
        let asked = self.ask(GET_LINK, 0, body, &mut |kind, body| {
            if kind == NEW_LINK {
                found = Some(read_link(body));
            }
        });
        match asked {
            Ok(_) => Ok(found),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Changes an interface.
    pub(super) fn change(&mut self, index: u32, change: &Change) -> Result<(), Errno> {
        let (flags, mask) = (if change.up == Some(true) { UP } else { 0 }, if change.up.is_some() { UP } else { 0 });
        let mut body = link_header(index, flags, mask);
        for (kind, value) in [(MTU, change.mtu), (GSO_MAX_SIZE, change.gso_max_size)] {
            if let Some(value) = value {
                put(&mut body, kind, &value.to_ne_bytes());
            }
        }
        if let Some(Mac(octets)) = change.mac {
            put(&mut body, ADDRESS, &octets);
        }
        if let Some(carrier) = change.carrier {
            put(&mut body, CARRIER, &[carrier.into()]);
        }
        self.ask(NEW_LINK, ACK, body, &mut |_, _| {}).map(drop)
    }

    /// Gives an interface one more name.
    pub(super) fn add_name(&mut self, index: u32, name: &str) -> Result<(), Errno> {
        let mut body = link_header(index, 0, 0);
        let mut names = Vec::new();
        put(&mut names, OTHER_NAME, &terminated(name));
        put(&mut body, PROPERTIES | NESTED, &names);
        self.ask(NEW_LINK_PROPERTY, ACK | CREATE_NEW, body, &mut |_, _| {}).map(drop)
    }

    /// Removes an interface.
    pub(super) fn remove(&mut self, index: u32) -> Result<(), Errno> {
        self.ask(DELETE_LINK, ACK, link_header(index, 0, 0), &mut |_, _| {}).map(drop)
    }

    /// The interface that has this address; none if none has.
    pub(super) fn with_address(&mut self, address: IpAddr) -> Result<Option<Link>, Errno> {
        let mut index = None;
        for _ in 0..TRIES {
            // struct ifaddrmsg: a family of 0 is all.
            let whole = self.ask(GET_ADDRESS, DUMP, vec![0; ADDRESS_HEADER], &mut |kind, body| {
                if kind == NEW_ADDRESS && read_address(body) == Some(address) {
                    index = number(body, 4);
                }
            })?;
            if whole || index.is_some() {
                break;
            }
        }
        match index {
            Some(index) => self.link(Which::Index(index)),
            None => Ok(None),
        }
    }

    /// The addresses of an interface that it may use, in order; none if they changed whenever they were read.
    pub(super) fn addresses(&mut self, wanted: u32) -> Result<Option<BTreeSet<IpAddr>>, Errno> {
        // struct ifaddrmsg.
        let body = [[0; 4], wanted.to_ne_bytes()].concat();
        for _ in 0..TRIES {
            let mut found = BTreeSet::new();
            let whole = self.ask(GET_ADDRESS, DUMP, body.clone(), &mut |kind, body| {
                let usable = body.get(2).is_some_and(|flags| flags & (TENTATIVE | DUPLICATE) == 0);
                if kind == NEW_ADDRESS && usable && number(body, 4) == Some(wanted) {
                    found.extend(read_address(body));
                }
            })?;
            if whole {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Asks, and has `take` see every message of the answer. Says whether the answer is whole: what is dumped may change meanwhile.
    fn ask(&mut self, kind: u16, flags: u16, body: Vec<u8>, take: &mut dyn FnMut(u16, &[u8])) -> Result<bool, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let len = (HEADER + body.len()) as u32;
        let mut request = Vec::with_capacity(HEADER + body.len());
        request.extend_from_slice(&len.to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        request.extend_from_slice(&self.sequence.to_ne_bytes());
        request.extend_from_slice(&[0; 4]);
        request.extend_from_slice(&body);
        let fd = self.socket.as_raw_fd();
        again(|| sendto(fd, &request, &NetlinkAddr::new(0, 0), MsgFlags::empty()))?;
        let mut whole = true;
        loop {
            let (len, from) = again(|| recvfrom::<NetlinkAddr>(fd, &mut self.buffer))?;
            // A tenant with rights in its namespace could send to this socket, too. The kernel is number 0.
            if from.is_none_or(|from| from.family() != Some(AddressFamily::Netlink) || from.pid() != 0) {
                continue;
            }
            let mut rest = self.buffer.get(..len).unwrap_or_default();
            while let (Some(size), Some(kind), Some(flags)) = (number(rest, 0), half(rest, 4), half(rest, 6)) {
                let size = (size as usize).clamp(HEADER, rest.len().max(HEADER));
                let Some(message) = rest.get(HEADER..size) else { break };
                let ours = number(rest, 8) == Some(self.sequence);
                rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
                if !ours {
                    continue;
                }
                whole &= flags & DUMP_INTERRUPTED == 0;
                match kind {
                    // A negative error number, or 0 for an acknowledgement.
                    ERROR => match number(message, 0).map(u32::cast_signed) {
                        Some(0) => return Ok(whole),
                        errno => return Err(Errno::from_raw(errno.unwrap_or(0).wrapping_neg())),
                    },
                    DONE => return Ok(whole),
                    kind => {
                        take(kind, message);
                        // What is not a dump and not acknowledged is answered by one message.
                        if flags & 2 == 0 {
                            return Ok(whole);
                        }
                    }
                }
            }
        }
    }
}

fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

fn read_link(body: &[u8]) -> Link {
    let flags = number(body, 8).unwrap_or(0);
    let mut link = Link { index: number(body, 4).unwrap_or(0), up: flags & UP != 0, carrier: flags & LOWER_UP != 0, ..Link::default() };
    for (kind, value) in attributes(body.get(LINK_HEADER..).unwrap_or_default()) {
        match kind {
            NAME => link.name = text(value),
            MTU => link.mtu = number(value, 0).unwrap_or(0),
            ADDRESS => link.mac = value.try_into().map(Mac).unwrap_or_default(),
            PROPERTIES => {
                link.other_names = attributes(value).filter(|(kind, _)| *kind == OTHER_NAME).map(|(_, name)| text(name)).collect()
            }
            LINK_INFO => {
                for (kind, value) in attributes(value) {
                    match kind {
                        INFO_KIND => link.kind = text(value),
                        // The kind comes before its data.
                        INFO_DATA if link.kind == "tun" => {
                            for (kind, value) in attributes(value) {
                                match kind {
                                    TUN_TYPE => link.is_tap = value == [TUN_IS_TAP],
                                    TUN_QUEUES => link.open_queues = number(value, 0).unwrap_or(0),
                                    _ => {}
                                }
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link
}

/// The host's own address in a message about addresses.
fn read_address(body: &[u8]) -> Option<IpAddr> {
    let attributes = || attributes(body.get(ADDRESS_HEADER..).unwrap_or_default());
    // On a point-to-point link ADDRESS is the peer's and LOCAL ours; IPv6 has ADDRESS alone where there is no peer.
    let local = attributes().find(|(kind, _)| *kind == IFA_LOCAL).or_else(|| attributes().find(|(kind, _)| *kind == IFA_ADDRESS));
    let octets = local?.1;
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// struct ifinfomsg.
fn link_header(index: u32, flags: u32, mask: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), mask.to_ne_bytes()].concat()
}

/// Appends an attribute: its length, kind and value, filled up to four bytes.
fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = (usize::from(half(rest, 0)?), half(rest, 2)?);
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        // The upper two bits are flags.
        Some((kind & 0x3fff, value))
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}
