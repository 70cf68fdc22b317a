//! How many lookups does a built varpd answer from a `files` mapping, and how long does one take? `cargo xtask bench lookup`.
//!
//! ```text
//!  this program, in overlayd's place ── lookup.sock ──► varpd (release) ── files: a mapping of N entries
//! ```
//!
//! Lookups are for addresses all over the mapping, each with a copy of the frame, as overlayd sends them. The rate is taken with a bounded
//! number outstanding; the times one by one, and at a steady rate.
#![forbid(unsafe_code)]

use overlay_api::channel::{FromOverlayd, FromVarpd, Instance, PACKET_MAX, Packets, VERSION, Welcome, answers};
use overlay_api::{Answer, DeviceId, Lookup, Question, RequestId};
use overlay_decoder::Mac;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, sockopt};
use rustix::net::{accept, bind, listen, recv, send, socket};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Entries of the mappings.
const ENTRIES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// Bytes of the frame in a lookup: a SYN.
const FRAME: usize = 74;
/// Lookups outstanding when the rate is taken.
const OUTSTANDING: u64 = 256;
/// How long the rate is taken.
const RATE_TIME: Duration = Duration::from_secs(3);
/// Lookups one by one.
const SINGLE: u64 = 20_000;
/// Lookups a second at the steady rate, and for how many seconds.
const STEADY: (u64, u64) = (100_000, 2);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut table = String::from(
        "| entries | read in | memory | lookups a second | one by one: p50, p99 | at 100,000 a second: p50, p99, largest |\n|---:|---:|---:|---:|---:|---:|\n",
    );
    for entries in ENTRIES {
        let mut rig = Rig::new(entries)?;
        let memory = rig.memory()?;
        let rate = rig.rate()?;
        let single = rig.one_by_one()?;
        let steady = rig.steady()?;
        writeln!(
            table,
            "| {entries} | {:.2} s | {memory} MiB | {rate:.0} | {}, {} us | {}, {}, {} us |",
            rig.read_in.as_secs_f64(),
            micros(&single, 500),
            micros(&single, 990),
            micros(&steady, 500),
            micros(&steady, 990),
            micros(&steady, 1000),
        )?;
    }
    Ok(io::stdout().lock().write_all(table.as_bytes())?)
}

/// The time that so many of a thousand stay below, in microseconds.
fn micros(sorted: &[Duration], per_mille: usize) -> u128 {
    let at = (sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0, Duration::as_micros)
}

/// A varpd with a mapping, and the end of its channel. The program is ended with it.
struct Rig {
    varpd: Child,
    socket: OwnedFd,
    entries: u32,
    read_in: Duration,
    asked: u64,
    _root: tempfile::TempDir,
}

impl Rig {
    fn new(entries: u32) -> Result<Self, Failure> {
        let root = tempfile::tempdir()?;
        let run = root.path().join("run/overlay");
        std::fs::create_dir_all(&run)?;
        let mapping = root.path().join("mapping.json");
        std::fs::write(&mapping, mapping_of(entries)?)?;
        let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
        bind(&listener, &SocketAddrUnix::new(run.join("lookup.sock"))?)?;
        listen(&listener, 1)?;
        let varpd = Command::new(env!("CARGO_BIN_EXE_varpd")).arg("--root").arg(root.path()).spawn()?;
        let socket = accept(&listener)?;
        sockopt::set_socket_send_buffer_size(&socket, 1 << 20)?;
        let mut rig = Self { varpd, socket, entries, read_in: Duration::ZERO, asked: 0, _root: root };
        rig.start(&mapping)?;
        Ok(rig)
    }

    /// Takes the greeting, hands over the instance, and waits until it is started.
    fn start(&mut self, mapping: &Path) -> Result<(), Failure> {
        let mut buffer = vec![0; PACKET_MAX];
        recv(&self.socket, &mut *buffer, RecvFlags::empty())?;
        let mapping = mapping.to_str().ok_or("the path of a temporary file is no text")?;
        let instance = Instance {
            device: DeviceId(1),
            name: "ov0".parse()?,
            search: "files".parse()?,
            encapsulation: "vxlan".parse()?,
            with_port: true,
            vnetid: "7".parse()?,
            mtu: 1450,
            ul3: None,
            properties: [("files/config".to_owned(), mapping.to_owned())].into(),
            vnics: Vec::new(),
        };
        let begun = Instant::now();
        let mut packets = Packets::new();
        let welcome = Welcome { version: VERSION, overlayd: "bench".to_owned(), timeout_ms: 60_000, silence_ms: 60_000 };
        for message in [FromOverlayd::Welcome(welcome), FromOverlayd::Instance(instance), FromOverlayd::Complete] {
            packets.ask(&message);
        }
        send_all(&self.socket, &mut packets)?;
        // The first lookup is answered when the mapping has been read.
        self.ask(&mut packets);
        send_all(&self.socket, &mut packets)?;
        while answered(&self.socket, &mut buffer)?.is_empty() {}
        self.read_in = begun.elapsed();
        Ok(())
    }

    /// Adds the next lookup.
    fn ask(&mut self, packets: &mut Packets) {
        self.asked += 1;
        ask(packets, self.asked, self.entries);
    }

    /// Resident memory in MiB.
    fn memory(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.varpd.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the process has no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    }

    /// Lookups a second, with [`OUTSTANDING`] unanswered at any time.
    fn rate(&mut self) -> Result<f64, Failure> {
        let (done, total) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let (first, entries, mut sent) = (self.asked, self.entries, 0);
        let begun = Instant::now();
        thread::scope(|scope| -> Result<(), Failure> {
            let (socket, done, total) = (&self.socket, &done, &total);
            let receiver = scope.spawn(move || {
                let mut buffer = vec![0; PACKET_MAX];
                while done.load(Ordering::Relaxed) < total.load(Ordering::Relaxed) {
                    match answered(socket, &mut buffer) {
                        Ok(requests) => done.fetch_add(requests.len() as u64, Ordering::Relaxed),
                        Err(error) => return Err(error.to_string()),
                    };
                }
                Ok(())
            });
            let mut packets = Packets::new();
            while begun.elapsed() < RATE_TIME {
                while sent < done.load(Ordering::Relaxed) + OUTSTANDING {
                    for _ in 0..32 {
                        sent += 1;
                        ask(&mut packets, first + sent, entries);
                    }
                    send_all(socket, &mut packets)?;
                }
                thread::yield_now();
            }
            // One more, so that the receiver is awake when it learns how many there are.
            sent += 1;
            total.store(sent, Ordering::Relaxed);
            ask(&mut packets, first + sent, entries);
            send_all(socket, &mut packets)?;
            receiver.join().map_err(|_| "the receiver panicked")?.map_err(Into::into)
        })?;
        self.asked += sent;
        Ok(sent as f64 / begun.elapsed().as_secs_f64())
    }

    /// The times of lookups of which each waits for the one before, sorted.
    fn one_by_one(&mut self) -> Result<Vec<Duration>, Failure> {
        let (mut packets, mut buffer, mut times) = (Packets::new(), vec![0; PACKET_MAX], Vec::new());
        for _ in 0..SINGLE {
            self.ask(&mut packets);
            let begun = Instant::now();
            send_all(&self.socket, &mut packets)?;
            while answered(&self.socket, &mut buffer)?.is_empty() {}
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    }

    /// The times of lookups at a steady rate, from the call that sends one to the return of that which receives its answer, sorted.
    fn steady(&mut self) -> Result<Vec<Duration>, Failure> {
        let (per_second, seconds) = STEADY;
        let (count, first, entries) = (per_second * seconds, self.asked + 1, self.entries);
        let sent: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let begun = Instant::now();
        let now = || u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut times = thread::scope(|scope| -> Result<Vec<Duration>, Failure> {
            let (socket, sent) = (&self.socket, &sent);
            let receiver = scope.spawn(move || {
                let (mut buffer, mut times) = (vec![0; PACKET_MAX], Vec::new());
                while (times.len() as u64) < count {
                    let requests = answered(socket, &mut buffer).map_err(|error| error.to_string())?;
                    let received = now();
                    for request in requests {
                        let sent = sent.get((request.saturating_sub(first)) as usize).map_or(0, |sent| sent.load(Ordering::Acquire));
                        times.push(Duration::from_nanos(received.saturating_sub(sent)));
                    }
                }
                Ok::<_, String>(times)
            });
            let (mut packets, mut next) = (Packets::new(), 0);
            while next < count {
                let due = (now() * per_second / 1_000_000_000).min(count);
                let at = now();
                for number in next..due {
                    if let Some(sent) = sent.get(number as usize) {
                        sent.store(at, Ordering::Release);
                    }
                    ask(&mut packets, first + number, entries);
                }
                send_all(socket, &mut packets)?;
                next = due;
                thread::sleep(Duration::from_micros(50));
            }
            receiver.join().map_err(|_| "the receiver panicked")?.map_err(Into::into)
        })?;
        self.asked += count;
        times.sort_unstable();
        Ok(times)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // It has nothing to save; that it has ended already shows in the figures.
        let _ = self.varpd.kill();
        let _ = self.varpd.wait();
    }
}

/// Adds a lookup for an address somewhere in the mapping.
fn ask(packets: &mut Packets, request: u64, entries: u32) {
    // Knuth's multiplicative hash: neighbours in time are none in the mapping.
    let entry = (request.wrapping_mul(2_654_435_761) % u64::from(entries)) as u32;
    let question = Question { source: Mac([2; 6]), destination: station(entry), ethertype: 0x0800, vlan: None, len: FRAME as u32 };
    let vni = overlay_decoder::Vni::MAX;
    packets.ask(&FromOverlayd::Lookup(Lookup { request: RequestId(request), device: DeviceId(1), vni, question, frame: vec![0; FRAME] }));
}

fn station(entry: u32) -> Mac {
    let [a, b, c, d] = entry.to_be_bytes();
    Mac([2, 8, a, b, c, d])
}

fn mapping_of(entries: u32) -> Result<String, std::fmt::Error> {
    let mut text = String::from("{");
    for entry in 0..entries {
        let comma = if entry == 0 { "" } else { ",\n" };
        write!(text, "{comma}\"{}\":{{\"ip\":\"10.0.{}.{}\",\"port\":4789}}", station(entry), entry / 250 % 250, 1 + entry % 250)?;
    }
    text.push('}');
    Ok(text)
}

fn send_all(socket: &OwnedFd, packets: &mut Packets) -> Result<(), rustix::io::Errno> {
    while let Some(packet) = packets.pop() {
        send(socket, &packet, SendFlags::empty())?;
    }
    Ok(())
}

/// Receives a packet, and gives the requests that it answers with a destination. Any other answer is a failure: the mapping has them all.
fn answered(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Vec<u64>, Failure> {
    let (length, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
    if length == 0 {
        return Err("varpd has hung up".into());
    }
    let mut requests = Vec::new();
    for message in answers(buffer.get(..length).unwrap_or_default()) {
        match message? {
            FromVarpd::Answer(request, Answer::Reach { .. }) => requests.push(request.0),
            FromVarpd::Answer(request, other) => return Err(format!("request {request} was answered with {other:?}").into()),
            _ => {}
        }
    }
    Ok(requests)
}
