//! A steady stream of VXLAN packets, as many a second as asked for: what a live capture is measured with, and made to drop by.
//!
//! One system call hands the kernel a burst, which UDP segmentation cuts into datagrams (udp(7), UDP_SEGMENT): a call for each would
//! end at a fraction of the rate. On a link without segmentation offload ([`Offloads::WireLike`](crate::Offloads::WireLike)) every
//! datagram is a packet of its own; on a plain veth pair a burst would cross, and be captured, as one super-frame.

use crate::{LabError, Namespace};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Datagrams of a burst: few, so that the stream is steady, and enough that the rate is reached.
const BURST: u32 = 16;
/// VNIs in use, from [`VNI_FIRST`] on: whole bursts, so that one buffer holds the stream.
const VNIS: u32 = 12 * BURST;
/// The first VNI.
pub(crate) const VNI_FIRST: u32 = 5000;
/// Bytes of TCP payload in each inner packet.
const INNER_PAYLOAD_BYTES: usize = 64;
/// VXLAN 8 (RFC 7348 5), Ethernet 14, IPv4 20 (RFC 791), TCP 20 (RFC 9293 3.1).
const DATAGRAM_BYTES: usize = 8 + 14 + 20 + 20 + INNER_PAYLOAD_BYTES;
/// A wait shorter than this is spent looking at the clock: the kernel wakes a sleeper some 50 microseconds late.
const SPIN: Duration = Duration::from_micros(200);

/// VXLAN packets (RFC 7348) to be sent: inner TCP over IPv4, 64 bytes of payload, 192 VNIs from 5000 on in turn; 126 bytes of UDP
/// payload each, which is a frame of 168 bytes over IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VxlanFlood {
    /// Where to, the port of a tunnel.
    pub to: SocketAddr,
    /// Packets per second.
    pub rate: u32,
    /// How long.
    pub duration: Duration,
}

/// What came of a [`VxlanFlood`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FloodReport {
    /// Packets that the socket took.
    pub sent: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// The most that a burst was behind its time; what was missed is sent at once, so that this is how uneven the stream was.
    pub latest: Duration,
}

impl VxlanFlood {
    /// Sends them from the current namespace. Where the rate cannot be reached, as many are sent, later.
    ///
    /// # Errors
    ///
    /// When the rate is 0, the kernel cannot cut datagrams (before 4.18, or on a link without checksum offload before 6.11), or the
    /// socket refuses.
    pub fn send(&self) -> Result<FloodReport, LabError> {
        let doing = || LabError::io(format!("send {} VXLAN packets a second to {}", self.rate, self.to));
        if self.rate == 0 {
            return Err(doing()(io::Error::new(io::ErrorKind::InvalidInput, "a rate is 1 packet a second or more")));
        }
        let any: IpAddr = if self.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).map_err(doing())?;
        // 126 fits every integer.
        setsockopt(&socket, UdpGsoSegment, &(DATAGRAM_BYTES as i32)).map_err(|errno| doing()(errno.into()))?;
        let stream = stream();
        let bursts = (self.duration.as_nanos() * u128::from(self.rate)).div_ceil(u128::from(BURST) * 1_000_000_000);
        let (mut latest, mut sent) = (Duration::ZERO, 0);
        let start = Instant::now();
        // The iterator never ends; the number of bursts does.
        for (_, burst) in (0..bursts).zip(stream.chunks_exact(BURST as usize * DATAGRAM_BYTES).cycle()) {
            let due = start + Duration::from_nanos(sent * 1_000_000_000 / u64::from(self.rate));
            latest = latest.max(wait_until_due(due));
            socket.send_to(burst, self.to).map_err(doing())?;
            sent += u64::from(BURST);
        }
        Ok(FloodReport { sent, elapsed: start.elapsed(), latest })
    }
}

/// Returns at the time, or at once when it is over; how late it is then.
fn wait_until_due(due: Instant) -> Duration {
    loop {
        let now = Instant::now();
        match due.checked_duration_since(now) {
            None | Some(Duration::ZERO) => return now.saturating_duration_since(due),
            Some(left) if left > SPIN => std::thread::sleep(left - SPIN),
            Some(_) => std::hint::spin_loop(),
        }
    }
}

/// A datagram for each VNI, one behind the other.
fn stream() -> Vec<u8> {
    (VNI_FIRST..VNI_FIRST + VNIS).flat_map(datagram).collect()
}

/// What UDP carries: VXLAN header and inner frame, from one tenant to another.
fn datagram(vni: u32) -> Vec<u8> {
    let [_, high, middle, low] = vni.to_be_bytes();
    let mut bytes = vec![8, 0, 0, 0, high, middle, low, 0];
    bytes.extend([2, 8, 0x20, 10, 0, 2, 2, 8, 0x20, 10, 0, 1, 8, 0]);
    // 40 bytes of headers and the payload fit 16 bits.
    let [length_high, length_low] = ((40 + INNER_PAYLOAD_BYTES) as u16).to_be_bytes();
    let mut ip = [0x45, 0, length_high, length_low, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let checksum = !sum(&ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    // Ports 50,000 and 5201, data offset 5 words, PSH and ACK.
    let mut tcp =
        [&[0xc3, 0x50, 0x14, 0x51, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0][..], &[0xa5; INNER_PAYLOAD_BYTES]].concat();
    // 84 bytes fit 16 bits.
    let [high, low] = (tcp.len() as u16).to_be_bytes();
    let pseudo_header = [&ip[12..20], &[0, 6, high, low]].concat();
    let checksum = !sum(&[&pseudo_header[..], &tcp].concat());
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    [bytes, ip.to_vec(), tcp].concat()
}

/// The one's complement sum of 16-bit words (RFC 1071); the length is even.
fn sum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    // 100 words at most: the sum fits, and its carries are folded in twice at most.
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

impl Namespace {
    /// [`VxlanFlood::send`] from here.
    ///
    /// # Errors
    ///
    /// As [`VxlanFlood::send`].
    pub fn vxlan_flood(&self, flood: &VxlanFlood) -> Result<FloodReport, LabError> {
        self.enter(|| flood.send())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn datagrams_arrive_one_by_one_at_the_rate_that_was_asked_for() {
        let receiver = UdpSocket::bind(HERE).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let flood = VxlanFlood { to: receiver.local_addr().unwrap(), rate: 800, duration: Duration::from_millis(100) };
        let report = flood.send().unwrap();
        assert_eq!(report.sent, 80);
        // The last burst starts 64 packets after the first.
        assert!(report.elapsed >= Duration::from_millis(80), "{report:?}");
        let mut buffer = [0; 2048];
        for number in 0..80 {
            assert_eq!(receiver.recv(&mut buffer).unwrap(), DATAGRAM_BYTES);
            assert_eq!(buffer[..8], [8, 0, 0, 0, 0, 0x13, 0x88 + number, 0], "packet {number}");
        }
    }

    #[test]
    fn the_inner_packet_is_sound() {
        let datagram = datagram(VNI_FIRST);
        assert_eq!((datagram.len(), stream().len()), (DATAGRAM_BYTES, VNIS as usize * DATAGRAM_BYTES));
        let (ip, tcp) = (&datagram[22..42], &datagram[42..]);
        let pseudo_header = [&ip[12..20], &[0, 6, 0, 84]].concat();
        // A sum over its own checksum is all ones.
        assert_eq!((sum(ip), sum(&[&pseudo_header, tcp].concat())), (0xffff, 0xffff));
    }

    #[test]
    fn no_packets_a_second_is_refused() {
        let error = VxlanFlood { to: HERE, rate: 0, duration: Duration::ZERO }.send().unwrap_err().to_string();
        assert_eq!(error, "cannot send 0 VXLAN packets a second to 127.0.0.1:0: a rate is 1 packet a second or more");
    }
}
