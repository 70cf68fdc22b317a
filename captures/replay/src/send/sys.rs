//! Which system calls have no safe wrapper that fits? A packet socket bound to an interface, and many packets in one call: the crate's only
//! `unsafe`.
//!
//! Only addresses of memory that outlives the call are handed to the kernel (packet(7), sendmmsg(2)).
#![allow(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// Packets of one call: more do not make it faster.
pub(super) const BATCH: usize = 64;

/// A packet socket that sends whole frames on the interface with this index and receives nothing, closed on exec.
///
/// `direct` hands frames to the interface itself, not to what queues and shapes for it.
pub(super) fn packet_socket(index: u32, direct: bool) -> io::Result<OwnedFd> {
    // SAFETY: three numbers. Protocol 0 receives nothing.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    if direct {
        set(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
    }
    // As much as the kernel allows: where it is less, sending waits more often.
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 4 << 20)?;
    // SAFETY: a struct of numbers and bytes: all zeros are a value of each.
    let mut place: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    place.sll_family = libc::AF_PACKET as u16;
    place.sll_ifindex = index.cast_signed();
    // SAFETY: the descriptor is open, and the kernel reads as many bytes as the address has, which outlives the call.
    let bound = unsafe { libc::bind(fd, ptr::from_ref(&place).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn set(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads `len` bytes of the value, which outlives the call.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(&value).cast(), len) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends packets in order, as many as go, at most [`BATCH`], and does not wait; an error is about the first of them.
pub(super) fn send(socket: BorrowedFd<'_>, packets: &[&[u8]]) -> io::Result<usize> {
    // SAFETY: a struct of numbers and pointers: all zeros are a value of each.
    let mut parts: [libc::iovec; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the same.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
    for ((header, part), packet) in headers.iter_mut().zip(&mut parts).zip(packets) {
        // The kernel only reads it, though the struct, which also serves to receive, has it mutable.
        *part = libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
    }
    let count = packets.len().min(BATCH) as libc::c_uint;
    // SAFETY: the descriptor is open; `count` headers are filled in, and what they point to (`parts`, the packets) outlives the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent.unsigned_abs() as usize) }
}
