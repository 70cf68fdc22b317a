//! Bytes through TCP that are compared with what was sent, and the checksum counters of a stack.

use overlay_lab::{Namespace, Node, Ping, UdpLoad, wait_until};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A connection over which nothing comes for this long is broken.
const STALLED: Duration = Duration::from_secs(20);
/// An answer that takes longer is lost.
const ANSWERED: Duration = Duration::from_secs(5);

/// xorshift64* (Vigna 2014): bytes that no tunnel can make right by chance, the same at both ends.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next bytes; the same ones however they are asked for in pieces of 8.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            piece.copy_from_slice(&self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[..piece.len()]);
        }
    }
}

/// A TCP connection from one tenant to another.
pub(crate) struct Connection {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

/// Connects two tenants.
pub(crate) fn connect(from: &Namespace, to: &Namespace, at: IpAddr) -> Connection {
    let listener = to.enter(|| TcpListener::bind((at, 0))).expect("a namespace").expect("an address to listen at");
    let at: SocketAddr = listener.local_addr().expect("an address");
    let client = from.enter(|| TcpStream::connect_timeout(&at, STALLED)).expect("a namespace");
    let client = client.unwrap_or_else(|error| panic!("from {} to {at}: {error}", from.role()));
    let (server, _) = listener.accept().expect("a connection that the client has");
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(STALLED)).expect("a timeout");
        stream.set_write_timeout(Some(STALLED)).expect("a timeout");
    }
    Connection { client, server }
}

/// Sends random bytes, a multiple of 8, and compares each that comes; how long it took.
pub(crate) fn send(from: &TcpStream, to: &TcpStream, bytes: usize, seed: u64) -> Duration {
    const PIECE: usize = 1 << 16;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut random, mut piece, mut left) = (Random::new(seed), vec![0; PIECE], bytes);
            while left > 0 {
                let length = left.min(PIECE);
                random.fill(&mut piece[..length]);
                (&mut &*from).write_all(&piece[..length]).unwrap_or_else(|error| panic!("after {} bytes: {error}", bytes - left));
                left -= length;
            }
        });
        let (mut random, mut expected, mut piece, mut left) = (Random::new(seed), vec![0; PIECE], vec![0; PIECE], bytes);
        while left > 0 {
            let length = left.min(PIECE);
            random.fill(&mut expected[..length]);
            (&mut &*to).read_exact(&mut piece[..length]).unwrap_or_else(|error| panic!("{} of {bytes} bytes came: {error}", bytes - left));
            assert!(piece[..length] == expected[..length], "other bytes than were sent, after {} of them", bytes - left);
            left -= length;
        }
    });
    begun.elapsed()
}

/// Whether each of these echo requests is answered. ping itself waits for the last answer no longer than the others took, whatever `-W`
/// says, which on a busy machine is too short: here the sender's stack is asked what came.
pub(crate) fn all_answered(from: &Namespace, at: IpAddr, ping: &Ping) -> Result<(), String> {
    let name = if at.is_ipv4() { "IcmpInEchoReps" } else { "Icmp6InEchoReplies" };
    let came = || counters(from).into_iter().find(|(counter, _)| counter == name).map_or(0, |(_, value)| value);
    let before = came();
    let report = from.ping_with(at, ping).expect("ping runs");
    wait_until(name, ANSWERED, || came() >= before + u64::from(ping.count))
        .map_err(|_| format!("{} to {at}, {} bytes: {report:?}, {} answers came", from.role(), ping.size, came() - before))
}

/// Pings of many sizes over IPv4 and IPv6, up to the largest packet and beyond, in fragments; each must be answered.
pub(crate) fn pings(from: &Node, to: &Node, mtu: u16) {
    // ICMP and IP headers: RFC 792, RFC 791; RFC 4443, RFC 8200.
    for (at, headers) in [(IpAddr::from(to.ipv4()), 28), (to.ipv6().into(), 48)] {
        for size in [56, 1000, mtu - headers - 1, mtu - headers] {
            all_answered(from, at, &Ping { count: 5, size, dont_fragment: true, ..Ping::default() }).unwrap();
        }
        // In fragments.
        all_answered(from, at, &Ping { size: 4000, ..Ping::default() }).unwrap();
    }
}

/// UDP datagrams of many sizes; each must come back.
pub(crate) fn datagrams(from: &Node, to: &Node, mtu: u16) {
    for (at, headers) in [(IpAddr::from(to.ipv4()), 28), (to.ipv6().into(), 48)] {
        let echo = to.udp_echo((at, 0).into()).expect("an echo server");
        for size in [4, 1000, mtu - headers, 3001] {
            let report = from.udp_send(&UdpLoad::new(echo.at(), 101, size.into())).expect("datagrams can be sent");
            assert_eq!((report.sent, report.answered), (101, 101), "{} to {at}, {size} bytes", from.role());
        }
    }
}

/// One of a stack's counters.
pub(crate) fn counter(namespace: &Namespace, name: &str) -> u64 {
    let found = counters(namespace).into_iter().find(|(counter, _)| counter == name);
    found.unwrap_or_else(|| panic!("this kernel does not count {name}")).1
}

/// What a namespace's stack has counted, by name: /proc/net/snmp, netstat and snmp6.
fn counters(namespace: &Namespace) -> Vec<(String, u64)> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
    let (snmp, netstat, snmp6) = namespace.enter(|| (read("snmp"), read("netstat"), read("snmp6"))).expect("a namespace");
    assert!(!snmp.is_empty() && !snmp6.is_empty(), "no counters in {}", namespace.role());
    let mut found: Vec<(String, u64)> = Vec::new();
    // A line of names, and a line of numbers.
    for text in [&snmp, &netstat] {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let names = pair[0].split(' ').skip(1);
            let kind = pair[0].split(':').next().unwrap_or_default();
            found.extend(names.zip(pair[1].split(' ').skip(1)).map(|(name, value)| (format!("{kind}{name}"), value.parse().unwrap_or(0))));
        }
    }
    found.extend(snmp6.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    }));
    found
}

/// Checksum and header errors that a namespace's stack has counted, by name; those without any are left out.
pub(crate) fn bad_packets(namespace: &Namespace) -> Vec<(String, u64)> {
    let mut found = counters(namespace);
    for name in ["TcpInCsumErrors", "UdpInCsumErrors", "IcmpInCsumErrors", "Udp6InCsumErrors", "Icmp6InCsumErrors", "IpExtInCsumErrors"] {
        assert!(found.iter().any(|(counter, _)| counter == name), "this kernel does not count {name}");
    }
    found.retain(|(name, value)| *value > 0 && ["CsumErrors", "InHdrErrors", "TcpInErrs"].iter().any(|end| name.ends_with(end)));
    found
}
