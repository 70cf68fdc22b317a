//! Which system calls have no safe wrapper that fits? The ones here: the crate's only `unsafe`.
//!
//! - ioctl(2) of a TAP, from linux/if_tun.h.
//! - sendmmsg(2) and recvmmsg(2). Those of nix share one set of control messages among all messages of a call, and do not give the space
//!   for control messages back before the next; a batch goes to many places with many traffic classes, again and again.
//! - Options of sockets that nix does not know, and sockets of any protocol number.
//!
//! Everything that can be done with bytes is: only addresses of memory that outlives the call are handed to the kernel.
#![allow(unsafe_code, reason = "system calls; each block says why it is sound")]

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void};
use overlay_engine::Datagrams;
use std::fs::File;
use std::io::IoSlice;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// Messages of one call.
pub(super) const BATCH: usize = 32;

const WORD: usize = size_of::<usize>();
/// Bytes of a control message's header (struct cmsghdr): length, level, kind.
const CONTROL_HEADER: usize = WORD + 8;
/// Bytes that one control message with a number takes.
const CONTROL_NUMBER: usize = CONTROL_HEADER + 8;
/// sizeof(struct sockaddr_in6), the larger of the two.
const NAME: usize = 28;

nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, libc::ifreq);
nix::ioctl_read_bad!(tun_get_iff, libc::TUNGETIFF, libc::ifreq);
nix::ioctl_write_int_bad!(tun_set_persist, libc::TUNSETPERSIST);
nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);
nix::ioctl_write_ptr_bad!(tun_set_header, libc::TUNSETVNETHDRSZ, c_int);
nix::ioctl_write_ptr_bad!(tun_set_little_endian, libc::TUNSETVNETLE, c_int);
nix::ioctl_none_bad!(tun_get_netns, libc::TUNGETDEVNETNS);

/// Makes `file`, an open /dev/net/tun, a queue of the TAP `name`; with `new`, only if there is none of that name.
pub(super) fn tap_attach(file: &File, name: &str, new: bool) -> Result<(), Errno> {
    let mut request = empty_request();
    // One byte stays for the terminating zero.
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
    let flags = if new { flags | libc::IFF_TUN_EXCL } else { flags };
    // The flags are 16 bits of which the upper is the sign.
    request.ifr_ifru.ifru_flags = flags as u16 as i16;
    // SAFETY: the descriptor is open, and TUNSETIFF reads a struct ifreq, which the request is.
    unsafe { tun_set_iff(file.as_raw_fd(), &request) }.map(drop)
}

/// What the interface of a TAP's queue is called now. EBADFD says that it has been removed.
pub(super) fn tap_name(file: &File) -> Result<String, Errno> {
    let mut request = empty_request();
    // SAFETY: the descriptor is open, and TUNGETIFF writes a struct ifreq, which the request is.
    unsafe { tun_get_iff(file.as_raw_fd(), &mut request) }?;
    let name: Vec<u8> = request.ifr_name.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Whether the TAP stays when nobody has it open.
pub(super) fn tap_persist(file: &File, stays: bool) -> Result<(), Errno> {
    // SAFETY: the descriptor is open; the argument is a number, not an address.
    unsafe { tun_set_persist(file.as_raw_fd(), stays.into()) }.map(drop)
}

/// What the reader of the TAP does in place of a network card: bits of TUN_F_*.
pub(super) fn tap_offload(file: &File, features: c_int) -> Result<(), Errno> {
    // SAFETY: the descriptor is open; the argument is a number, not an address.
    unsafe { tun_set_offload(file.as_raw_fd(), features) }.map(drop)
}

/// How long the header before each frame is; its numbers are little-endian from here on.
pub(super) fn tap_header(file: &File, len: c_int) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and both read an int, which outlives the calls.
    unsafe {
        tun_set_header(file.as_raw_fd(), &len)?;
        tun_set_little_endian(file.as_raw_fd(), &1).map(drop)
    }
}

/// The namespace in which the TAP's interface is now.
pub(super) fn tap_netns(file: &File) -> Result<File, Errno> {
    // SAFETY: the descriptor is open, and TUNGETDEVNETNS takes no argument.
    let fd = unsafe { tun_get_netns(file.as_raw_fd()) }?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn empty_request() -> libc::ifreq {
    // SAFETY: a struct of bytes, numbers and a union of such with a pointer: all zeros are a value of each.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// A socket, closed on exec and not blocking.
pub(super) fn socket(family: c_int, kind: c_int, protocol: c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: three numbers.
    let fd = Errno::result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) })?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option that is a number.
pub(super) fn set_option(socket: impl AsFd, level: c_int, option: c_int, value: c_int) -> Result<(), Errno> {
    let fd = socket.as_fd().as_raw_fd();
    let len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads `len` bytes of the value, which outlives the call.
    Errno::result(unsafe { libc::setsockopt(fd, level, option, ptr::from_ref(&value).cast(), len) }).map(drop)
}

/// Reads an option that is numbers: as many as there are, up to `N`; the others are 0.
pub(super) fn option<const N: usize>(socket: impl AsFd, level: c_int, option: c_int) -> Result<[u32; N], Errno> {
    let mut values = [0u32; N];
    let mut len = size_of::<[u32; N]>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes, which is the size of the values.
    Errno::result(unsafe { libc::getsockopt(fd, level, option, ptr::from_mut(&mut values).cast(), &mut len) })?;
    Ok(values)
}

/// Binds a socket.
pub(super) fn bind(socket: impl AsFd, name: &Name) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the kernel reads `len` of the name's bytes, which outlive the call.
    Errno::result(unsafe { libc::bind(socket.as_fd().as_raw_fd(), name.bytes.as_ptr().cast(), name.len as libc::socklen_t) }).map(drop)
}

/// Connects a datagram socket, which sends nothing.
pub(super) fn connect(socket: impl AsFd, name: &Name) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the kernel reads `len` of the name's bytes, which outlive the call.
    Errno::result(unsafe { libc::connect(socket.as_fd().as_raw_fd(), name.bytes.as_ptr().cast(), name.len as libc::socklen_t) }).map(drop)
}

/// An address as the kernel spells it: struct sockaddr_in or sockaddr_in6.
#[derive(Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; NAME],
    len: usize,
}

impl Name {
    const EMPTY: Self = Self { bytes: [0; NAME], len: NAME };

    /// The name of an address; the flow label counts for IPv6 alone.
    #[inline]
    pub(super) fn new(ip: IpAddr, port: u16, flow_label: u32) -> Self {
        let mut bytes = [0; NAME];
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        let (family, len) = match ip {
            IpAddr::V4(ip) => {
                bytes[4..8].copy_from_slice(&ip.octets());
                (libc::AF_INET, 16)
            }
            IpAddr::V6(ip) => {
                bytes[4..8].copy_from_slice(&flow_label.to_be_bytes());
                bytes[8..24].copy_from_slice(&ip.octets());
                (libc::AF_INET6, NAME)
            }
        };
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        Self { bytes, len }
    }

    /// The address that the kernel has written.
    #[inline]
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let bytes = &self.bytes;
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        match c_int::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
            libc::AF_INET => Some((Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]), port).into()),
            libc::AF_INET6 => {
                let octets: [u8; 16] = bytes[8..24].try_into().ok()?;
                Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, 0).into())
            }
            _ => None,
        }
    }
}

/// Control messages, as the kernel spells them: struct cmsghdr each, with a number.
#[derive(Clone, Copy)]
pub(super) struct Control {
    bytes: [u8; 4 * CONTROL_NUMBER],
    len: usize,
}

impl Control {
    pub(super) const EMPTY: Self = Self { bytes: [0; 4 * CONTROL_NUMBER], len: 0 };

    /// Adds a control message; there is room for four.
    #[inline]
    pub(super) fn push(&mut self, level: c_int, kind: c_int, value: &[u8]) {
        let Some(to) = self.bytes.get_mut(self.len..self.len + CONTROL_NUMBER) else { return };
        to[..WORD].copy_from_slice(&(CONTROL_HEADER + value.len()).to_ne_bytes());
        to[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        to[WORD + 4..CONTROL_HEADER].copy_from_slice(&kind.to_ne_bytes());
        to[CONTROL_HEADER..CONTROL_HEADER + value.len()].copy_from_slice(value);
        self.len += CONTROL_NUMBER;
    }

    /// The control messages that the kernel has written: level, kind, value.
    #[inline]
    pub(super) fn messages(&self) -> impl Iterator<Item = (c_int, c_int, &[u8])> {
        let mut rest = self.bytes.get(..self.len).unwrap_or_default();
        std::iter::from_fn(move || {
            let len = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
            let level = c_int::from_ne_bytes(rest.get(WORD..WORD + 4)?.try_into().ok()?);
            let kind = c_int::from_ne_bytes(rest.get(WORD + 4..CONTROL_HEADER)?.try_into().ok()?);
            let value = rest.get(CONTROL_HEADER..len)?;
            rest = rest.get(len.next_multiple_of(WORD)..).unwrap_or_default();
            Some((level, kind, value))
        })
    }
}

/// A message to send.
pub(super) struct Outgoing<'a> {
    pub(super) to: Name,
    pub(super) control: Control,
    pub(super) parts: &'a [IoSlice<'a>],
}

/// Sends messages in order, as many as go, at most [`BATCH`]; an error is about the first of them.
pub(super) fn send(socket: BorrowedFd<'_>, messages: &[Outgoing<'_>]) -> Result<usize, Errno> {
    let mut headers = [empty_header(); BATCH];
    for (header, message) in headers.iter_mut().zip(messages) {
        let header = &mut header.msg_hdr;
        // The kernel only reads all three, though the struct, which also serves to receive, has them mutable.
        header.msg_name = message.to.bytes.as_ptr().cast_mut().cast();
        header.msg_namelen = message.to.len as libc::socklen_t;
        // IoSlice is guaranteed to be laid out as struct iovec.
        header.msg_iov = message.parts.as_ptr().cast_mut().cast();
        header.msg_iovlen = message.parts.len() as _;
        header.msg_control = message.control.bytes.as_ptr().cast_mut().cast();
        header.msg_controllen = message.control.len as _;
    }
    let count = messages.len().min(BATCH) as u32;
    // SAFETY: the descriptor is open; `count` headers are filled in, and the names, slices and control messages that they point to are
    // borrowed from `messages`, which outlives the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _) };
    Errno::result(sent).map(|sent| sent as usize)
}

/// A message that came.
#[derive(Clone, Copy)]
pub(super) struct Incoming {
    pub(super) from: Name,
    pub(super) control: Control,
    pub(super) len: usize,
    /// Whether the buffer was too small for it.
    pub(super) cut: bool,
}

impl Incoming {
    pub(super) const EMPTY: Self = Self { from: Name::EMPTY, control: Control::EMPTY, len: 0, cut: false };
}

/// Receives what is there into the spaces of `batch` from the buffer `first` on, at most `max` messages and as many as there are in
/// `incoming`; their number.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    batch: &mut Datagrams,
    first: usize,
    max: usize,
    incoming: &mut [Incoming; BATCH],
) -> Result<usize, Errno> {
    let count = max.min(batch.buffers().saturating_sub(first)).min(BATCH);
    let mut headers = [empty_header(); BATCH];
    let mut spaces = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    for (at, (header, message)) in headers.iter_mut().zip(incoming.iter_mut()).take(count).enumerate() {
        let space = batch.space(first + at);
        spaces[at] = libc::iovec { iov_base: space.as_mut_ptr().cast::<c_void>(), iov_len: space.len() };
        let header = &mut header.msg_hdr;
        header.msg_name = message.from.bytes.as_mut_ptr().cast();
        header.msg_namelen = NAME as libc::socklen_t;
        header.msg_iov = &mut spaces[at];
        header.msg_iovlen = 1;
        header.msg_control = message.control.bytes.as_mut_ptr().cast();
        header.msg_controllen = message.control.bytes.len() as _;
    }
    let flags = (libc::MSG_DONTWAIT | libc::MSG_WAITFORONE) as _;
    // SAFETY: the descriptor is open; `count` headers are filled in. Each points to a slice of its own on this stack, to the space of a
    // buffer of its own in `batch`, and to the name and control messages of its own in `incoming`; both are borrowed mutably for the
    // whole call, and the lengths are theirs.
    let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, flags, ptr::null_mut()) };
    let received = Errno::result(received)? as usize;
    for (header, message) in headers.iter().zip(incoming.iter_mut()).take(received) {
        message.len = header.msg_len as usize;
        message.cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        #[allow(clippy::unnecessary_cast, reason = "musl has 32 bits here")]
        let control_len = header.msg_hdr.msg_controllen as usize;
        message.control.len = control_len.min(message.control.bytes.len());
    }
    Ok(received)
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: a struct of numbers and pointers: all zeros are a value of each.
    unsafe { MaybeUninit::zeroed().assume_init() }
}
