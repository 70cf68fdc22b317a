//! Traffic whose amount is known: pings, and UDP datagrams that are counted at both ends.
//!
//! Send a prime number of datagrams (101, 997): where the same number turns up in a counter, it is these and no others.

use crate::error::command_line;
use crate::{LabError, Namespace};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long an echo server may take to see that it is to end.
const TICK: Duration = Duration::from_millis(20);
/// Datagrams on their way at a time, so that no queue of a default size overflows.
const WINDOW: u32 = 16;
/// A datagram not answered by then makes room in the window; its answer still counts.
const WINDOW_WAIT: Duration = Duration::from_millis(50);
/// What a datagram starts with: its number.
const NUMBER_BYTES: usize = 4;
/// RFC 768: the length field, less its own header.
const PAYLOAD_MAX: usize = 65_507;

/// Echo requests to be sent by `ping` (iputils).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ping {
    /// How many, 10 ms apart.
    pub count: u32,
    /// ICMP payload, in bytes.
    pub size: u16,
    /// Sent from this address; else the kernel chooses.
    pub from: Option<IpAddr>,
    /// Never fragmented on the way; a request that does not fit is not answered.
    pub dont_fragment: bool,
    /// How long an answer may take.
    pub wait: Duration,
}

impl Default for Ping {
    fn default() -> Self {
        Self { count: 3, size: 56, from: None, dont_fragment: false, wait: Duration::from_secs(2) }
    }
}

/// What came of a [`Ping`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u32,
    /// Requests answered.
    pub answered: u32,
}

impl PingReport {
    /// Whether something was sent and nothing lost.
    #[must_use]
    pub fn all_answered(self) -> bool {
        self.sent > 0 && self.answered == self.sent
    }

    /// From iputils' closing line: `3 packets transmitted, 2 received, ..`.
    fn parse(printed: &str) -> Option<Self> {
        let line = printed.lines().find(|line| line.contains(" packets transmitted, "))?;
        let mut numbers = line.split(", ").map(|part| part.split(' ').next().and_then(|word| word.parse().ok()));
        Some(Self { sent: numbers.next()??, answered: numbers.next()?? })
    }
}

impl Namespace {
    /// Three echo requests from here, of the usual size.
    ///
    /// # Errors
    ///
    /// As [`Namespace::ping_with`].
    pub fn ping(&self, to: IpAddr) -> Result<PingReport, LabError> {
        self.ping_with(to, &Ping::default())
    }

    /// Echo requests from here.
    ///
    /// # Errors
    ///
    /// When `ping` cannot be run. Unanswered requests are none.
    pub fn ping_with(&self, to: IpAddr, ping: &Ping) -> Result<PingReport, LabError> {
        let mut command = Command::new("ping");
        // -n: no names; -q: the closing lines only.
        command.args(["-n", "-q", "-i", "0.01", "-c", &ping.count.to_string(), "-s", &ping.size.to_string()]);
        command.args(["-W", &format!("{:.3}", ping.wait.as_secs_f64())]);
        if let Some(from) = ping.from {
            command.args(["-I", &from.to_string()]);
        }
        if ping.dont_fragment {
            command.args(["-M", "do"]);
        }
        command.arg(to.to_string());
        let output = self.enter(|| command.env("LC_ALL", "C").output())?;
        let output = output.map_err(|source| LabError::NoProgram { program: "ping".into(), source })?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // Status 1 is "no answer", which is a result. Without a closing line it did not come to sending.
        PingReport::parse(&printed).ok_or_else(|| {
            let (command, stderr) = (command_line(&command), String::from_utf8_lossy(&output.stderr).into_owned());
            match output.status.success() {
                true => LabError::Output { command, printed },
                false => LabError::Tool { command, status: output.status.to_string(), stderr },
            }
        })
    }

    /// Starts [`UdpEcho`] here.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn udp_echo(&self, at: SocketAddr) -> Result<UdpEcho, LabError> {
        self.enter(|| UdpEcho::start(at))?
    }

    /// [`UdpLoad::send`] from here.
    ///
    /// # Errors
    ///
    /// As [`UdpLoad::send`].
    pub fn udp_send(&self, load: &UdpLoad) -> Result<UdpReport, LabError> {
        self.enter(|| load.send())?
    }
}

/// A UDP server that sends every datagram back, until it is dropped.
#[derive(Debug)]
pub struct UdpEcho {
    at: SocketAddr,
    counted: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpEcho {
    /// Starts it in the current namespace. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn start(at: SocketAddr) -> Result<Self, LabError> {
        let doing = || LabError::io(format!("serve UDP at {at}"));
        let socket = UdpSocket::bind(at).map_err(doing())?;
        socket.set_read_timeout(Some(TICK)).map_err(doing())?;
        let at = socket.local_addr().map_err(doing())?;
        let (counted, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end) = (Arc::clone(&counted), Arc::clone(&ended));
        let serve = move || {
            let mut buffer = vec![0; PAYLOAD_MAX];
            while !end.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    counter.fetch_add(1, Ordering::Relaxed);
                    // One who cannot be answered counts it as lost, as a peer would.
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        };
        Ok(Self { at, counted, ended, thread: Some(std::thread::spawn(serve)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Datagrams received until now.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Its loop cannot panic, and if it did there would be nobody to tell.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Whether the sender wants its datagrams back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    /// Collected until all have come, or none has for this long.
    Collect(Duration),
    /// Sent as fast as the socket takes them; nothing is received.
    Ignore,
}

/// UDP datagrams to be sent; each starts with its number (from 0, 4 bytes, big-endian), then bytes 0xa5.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UdpLoad {
    /// Where to.
    pub to: SocketAddr,
    /// How many.
    pub count: u32,
    /// Payload of each, 4 to 65,507 bytes.
    pub size: usize,
    /// 0: the kernel chooses.
    pub source_port: u16,
    /// Whether they come back.
    pub answers: Answers,
}

/// What came of a [`UdpLoad`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UdpReport {
    /// Datagrams that the socket took.
    pub sent: u32,
    /// Different ones that came back whole.
    pub answered: u32,
}

impl UdpLoad {
    /// Datagrams that [`UdpEcho`] is to send back within two seconds.
    #[must_use]
    pub fn new(to: SocketAddr, count: u32, size: usize) -> Self {
        Self { to, count, size, source_port: 0, answers: Answers::Collect(Duration::from_secs(2)) }
    }

    /// Sends them from the current namespace.
    ///
    /// # Errors
    ///
    /// When the size is not allowed, or the socket refuses. Unanswered datagrams are none.
    pub fn send(&self) -> Result<UdpReport, LabError> {
        let doing = || LabError::io(format!("send {} datagrams of {} bytes to {}", self.count, self.size, self.to));
        if !(NUMBER_BYTES..=PAYLOAD_MAX).contains(&self.size) {
            let allowed = format!("a payload is {NUMBER_BYTES} to {PAYLOAD_MAX} bytes");
            return Err(doing()(io::Error::new(io::ErrorKind::InvalidInput, allowed)));
        }
        let any: IpAddr = if self.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, self.source_port)).map_err(doing())?;
        let mut answered = Answered { seen: vec![false; self.count as usize], count: 0, buffer: vec![0; PAYLOAD_MAX] };
        let mut payload = vec![0xa5; self.size];
        let mut forgiven = 0;
        for number in 0..self.count {
            payload[..NUMBER_BYTES].copy_from_slice(&number.to_be_bytes());
            socket.send_to(&payload, self.to).map_err(doing())?;
            while self.answers != Answers::Ignore && number + 1 - answered.count.max(forgiven) >= WINDOW {
                if !answered.receive(&socket, self, &payload, WINDOW_WAIT).map_err(doing())? {
                    forgiven = number + 1;
                }
            }
        }
        if let Answers::Collect(wait) = self.answers {
            while answered.count < self.count && answered.receive(&socket, self, &payload, wait).map_err(doing())? {}
        }
        Ok(UdpReport { sent: self.count, answered: answered.count })
    }
}

struct Answered {
    seen: Vec<bool>,
    count: u32,
    buffer: Vec<u8>,
}

impl Answered {
    /// Takes one answer; whether one came in time. What is not an answer of this load is passed over.
    fn receive(&mut self, socket: &UdpSocket, load: &UdpLoad, payload: &[u8], wait: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + wait;
        loop {
            // A timeout of zero would be none at all.
            socket.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))))?;
            let (length, from) = match socket.recv_from(&mut self.buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(false),
                received => received?,
            };
            let Some((number, rest)) = self.buffer[..length].split_first_chunk() else { continue };
            if from != load.to || length != load.size || *rest != payload[NUMBER_BYTES..] {
                continue;
            }
            if let Some(seen @ false) = self.seen.get_mut(u32::from_be_bytes(*number) as usize) {
                *seen = true;
                self.count += 1;
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn every_datagram_comes_back_once_and_is_counted() {
        let echo = UdpEcho::start(HERE).unwrap();
        let report = UdpLoad::new(echo.at(), 101, 1200).send().unwrap();
        assert_eq!((report, echo.counted()), (UdpReport { sent: 101, answered: 101 }, 101));
    }

    #[test]
    fn nobody_there_is_a_report_and_not_an_error() {
        let silent = UdpSocket::bind(HERE).unwrap();
        let answers = Answers::Collect(Duration::from_millis(10));
        let load = UdpLoad { answers, ..UdpLoad::new(silent.local_addr().unwrap(), 37, 4) };
        assert_eq!(load.send().unwrap(), UdpReport { sent: 37, answered: 0 });
    }

    #[test]
    fn a_size_without_room_for_the_number_is_refused() {
        let error = UdpLoad::new(HERE, 1, 3).send().unwrap_err().to_string();
        assert_eq!(error, "cannot send 1 datagrams of 3 bytes to 127.0.0.1:0: a payload is 4 to 65507 bytes");
    }

    #[test]
    fn the_closing_line_of_ping_is_read() {
        let printed = "PING 10.0.0.2 ..\n\n--- statistics ---\n7 packets transmitted, 5 received, 28.5714% packet loss, time 63ms\n";
        assert_eq!(PingReport::parse(printed), Some(PingReport { sent: 7, answered: 5 }));
        let errors = "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n";
        assert_eq!(PingReport::parse(errors), Some(PingReport { sent: 1, answered: 0 }));
        assert_eq!(PingReport::parse("ping: bad number\n"), None);
    }
}
