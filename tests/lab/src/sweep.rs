//! An echo request of each size: is there a length of packet that does not come back? One socket instead of a `ping` for each.

use crate::{LabError, Namespace};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Requests on their way at a time, so that no queue of a default size overflows.
const WINDOW: usize = 32;
/// A request not answered by then makes room in the window; its answer still counts.
const WINDOW_WAIT: Duration = Duration::from_millis(50);
/// Type, code, checksum, identifier, sequence number (RFC 792, RFC 4443 4.1).
const HEADER_BYTES: usize = 8;
/// Larger than any answer.
const PACKET_BYTES: usize = 1 << 16;

impl Namespace {
    /// Sends one echo request of each ICMP payload size from here, unfragmented; the sizes whose answer did not come back byte by byte
    /// before none had come for `wait`.
    ///
    /// # Errors
    ///
    /// When the kernel has no ping socket (icmp(7)), or refuses to send: a size is larger than the way takes, for example.
    pub fn ping_each(&self, to: IpAddr, sizes: RangeInclusive<u16>, wait: Duration) -> Result<Vec<u16>, LabError> {
        // Ping sockets are for groups that this names; here, root's.
        self.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
        let doing = format!("send echo requests of {} to {} bytes from {} to {to}", sizes.start(), sizes.end(), self.role());
        self.enter(|| ping_each(to, sizes, wait))?.map_err(LabError::io(doing))
    }
}

fn ping_each(to: IpAddr, sizes: RangeInclusive<u16>, wait: Duration) -> io::Result<Vec<u16>> {
    let (family, protocol, request) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
    };
    // Not UDP; but it sends and receives as that does.
    let socket = UdpSocket::from(socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?);
    socket.connect(SocketAddr::new(to, 0))?;
    let mut missing: BTreeSet<u16> = sizes.clone().collect();
    let (mut sent, mut forgiven, mut buffer) = (0, 0, vec![0; PACKET_BYTES]);
    let all = missing.len();
    for size in sizes {
        // The kernel fills in identifier and checksum.
        socket.send(&packet(request, size))?;
        sent += 1;
        while sent - (all - missing.len()).max(forgiven) >= WINDOW {
            if !receive(&socket, &mut missing, &mut buffer, WINDOW_WAIT)? {
                forgiven = sent;
            }
        }
    }
    while !missing.is_empty() && receive(&socket, &mut missing, &mut buffer, wait)? {}
    Ok(missing.into_iter().collect())
}

/// Its sequence number is its size, and so is what each byte is counted from.
fn packet(kind: u8, size: u16) -> Vec<u8> {
    let [high, low] = size.to_be_bytes();
    let payload = (0..size).map(|at| (at ^ size.wrapping_mul(31)).to_be_bytes()[1]);
    [kind, 0, 0, 0, 0, 0, high, low].into_iter().chain(payload).collect()
}

/// Takes one answer; whether one came in time. One that is not what was sent is passed over.
fn receive(socket: &UdpSocket, missing: &mut BTreeSet<u16>, buffer: &mut [u8], wait: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + wait;
    loop {
        // A timeout of zero would be none at all.
        socket.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))))?;
        let length = match socket.recv(buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(false),
            received => received?,
        };
        let Some((header, payload)) = buffer[..length].split_first_chunk::<HEADER_BYTES>() else { continue };
        let size = u16::from_be_bytes([header[6], header[7]]);
        if packet(0, size)[HEADER_BYTES..] == *payload && missing.remove(&size) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_different_sizes_differ_from_their_first_bytes_on() {
        let (one, other) = (packet(8, 100), packet(8, 101));
        assert_eq!((one.len(), one[..8].to_vec()), (108, vec![8, 0, 0, 0, 0, 0, 0, 100]));
        assert_ne!(one[8..16], other[8..16]);
    }
}
