//! Numbered datagrams, and where each of them ended: what a receiver saw in which order, and what interfaces, queues and sockets lost.

use overlay_lab::Namespace;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a receiver may take to see that it is to end.
const TICK: Duration = Duration::from_millis(20);
/// A sender that waits longer for its receiver to catch up sends all the same: what is missing is missing.
const CATCH_UP: Duration = Duration::from_secs(5);
/// What a datagram starts with: its number, big-endian.
const NUMBER_BYTES: usize = 4;

/// Receives numbered datagrams until it is dropped.
pub(crate) struct Sink {
    at: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    count: AtomicUsize,
    numbers: Mutex<Vec<u32>>,
    ended: AtomicBool,
}

impl Sink {
    /// Starts to receive in a namespace, at an address and any port.
    pub(crate) fn start(namespace: &Namespace, at: std::net::IpAddr) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind((at, 0))).expect("a namespace").expect("an address to receive at");
        socket.set_read_timeout(Some(TICK)).expect("a timeout");
        let at = socket.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !own.ended.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                let number = number_of(&buffer[..length]).unwrap_or_else(|| panic!("{:x?} was not sent so", &buffer[..length]));
                own.numbers.lock().expect("no panic").push(number);
                own.count.fetch_add(1, Ordering::Release);
            }
        });
        Self { at, shared, thread: Some(thread) }
    }

    /// How many have come.
    pub(crate) fn count(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// The numbers that have come, in their order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.shared.numbers.lock().expect("no panic").clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            joined.transpose().expect("each datagram came as it was sent");
        }
    }
}

/// The number, and bytes that follow from it.
fn fill(datagram: &mut [u8], number: u32) {
    let (head, rest) = datagram.split_at_mut(NUMBER_BYTES);
    head.copy_from_slice(&number.to_be_bytes());
    rest.fill(number.to_le_bytes()[0]);
}

fn number_of(datagram: &[u8]) -> Option<u32> {
    let (head, rest) = datagram.split_first_chunk::<NUMBER_BYTES>()?;
    let number = u32::from_be_bytes(*head);
    rest.iter().all(|byte| *byte == number.to_le_bytes()[0]).then_some(number)
}

/// Sends datagrams with these numbers from a namespace, of these payload sizes in turn, as fast as the socket takes them. With a window
/// (and numbers from 0 on), no more than so many are ahead of the receiver.
pub(crate) fn send_numbered(from: &Namespace, to: &Sink, numbers: Range<u32>, sizes: &[usize], window: Option<usize>) {
    let any: SocketAddr = if to.at.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = from.enter(|| UdpSocket::bind(any)).expect("a namespace").expect("a socket");
    let mut buffer = vec![0; sizes.iter().copied().max().expect("a size")];
    for (number, size) in numbers.zip(sizes.iter().cycle()) {
        let datagram = &mut buffer[..*size];
        fill(datagram, number);
        socket.send_to(datagram, to.at).unwrap_or_else(|error| panic!("datagram {number} of {size} bytes to {}: {error}", to.at));
        if let Some(window) = window {
            let waited = Instant::now();
            while number as usize + 1 - to.count().min(number as usize) > window && waited.elapsed() < CATCH_UP {
                std::thread::yield_now();
            }
        }
    }
}

/// What `ip -s link` counts for an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinkCounters {
    /// Towards its namespace.
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    /// Out of its namespace.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    /// Of those out of its namespace, what found no room.
    pub(crate) sent_dropped: u64,
}

impl LinkCounters {
    pub(crate) fn of(namespace: &Namespace, interface: &str) -> Self {
        let printed = namespace.run("ip", ["-s", "-j", "link", "show", interface]).expect("ip runs");
        let json: Value = serde_json::from_str(&printed).expect("JSON");
        let number =
            |way: &str, name: &str| json[0]["stats64"][way][name].as_u64().unwrap_or_else(|| panic!("no {way} {name} in {printed}"));
        Self {
            received: number("rx", "packets"),
            received_bytes: number("rx", "bytes"),
            sent: number("tx", "packets"),
            sent_bytes: number("tx", "bytes"),
            sent_dropped: number("tx", "dropped"),
        }
    }
}

/// What the queueing discipline of an interface has dropped.
pub(crate) fn queue_dropped(namespace: &Namespace, interface: &str) -> u64 {
    let printed = namespace.run("tc", ["-s", "-j", "qdisc", "show", "dev", interface]).expect("tc runs");
    let json: Value = serde_json::from_str(&printed).expect("JSON");
    // That of a root is the sum of all below it.
    let roots = json.as_array().into_iter().flatten().filter(|queue| queue["root"] == true);
    roots.map(|queue| queue["drops"].as_u64().unwrap_or_else(|| panic!("no drops in {printed}"))).sum()
}
