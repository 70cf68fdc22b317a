//! Which groups is the process in that is at the other end of a Unix socket?
#![allow(unsafe_code, reason = "no crate wraps SO_PEERGROUPS; the one block says why it is sound")]

use nix::errno::Errno;
use nix::libc::{self, c_int, gid_t, socklen_t};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// The supplementary groups that the peer of a connected Unix socket had when it connected (unix(7), SO_PEERGROUPS; Linux 4.13).
///
/// # Errors
/// What the kernel refuses: a socket of another kind, for example.
pub(crate) fn peer_groups(socket: &impl AsFd) -> Result<Vec<u32>, Errno> {
    // First asked without room: the answer is how much is needed. The groups of a connection do not change, so that fits.
    let mut length: socklen_t = 0;
    match ask(socket, ptr::null_mut(), &mut length) {
        Err(Errno::ERANGE) => {}
        Ok(()) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let mut groups: Vec<gid_t> = vec![0; length as usize / size_of::<gid_t>()];
    // Exactly the room that there is, whatever was said.
    length = (groups.len() * size_of::<gid_t>()) as socklen_t;
    ask(socket, groups.as_mut_ptr(), &mut length)?;
    groups.truncate(length as usize / size_of::<gid_t>());
    Ok(groups)
}

/// getsockopt(2) of SO_PEERGROUPS. `length` is the room at `groups` in bytes before, and what was or would be written after.
fn ask(socket: &impl AsFd, groups: *mut gid_t, length: &mut socklen_t) -> Result<(), Errno> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call; `groups` has room for `*length` bytes, which both callers see to (none for the
    // null pointer), and the kernel writes no more than that (net/core/sock.c answers ERANGE instead).
    let result: c_int = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERGROUPS, groups.cast(), length) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_to_ourselves_has_our_groups() {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut ours: Vec<u32> = nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        let mut theirs = peer_groups(&one).unwrap();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(theirs, ours);
    }

    #[test]
    fn a_file_has_no_peer() {
        assert_eq!(peer_groups(&std::fs::File::open("/dev/null").unwrap()), Err(Errno::ENOTSOCK));
    }
}
