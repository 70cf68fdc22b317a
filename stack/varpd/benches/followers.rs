//! How long does a change in etcd take to reach all who follow it, and what does a mapping there cost? `cargo xtask bench etcd`.
//!
//! ```text
//!  this program ── put ──► etcd ── watch ──► FOLLOWERS connections of the real client in this program
//!               ── lookup.sock, in overlayd's place ──► varpd (release) ── etcd: ENTRIES mappings
//! ```
//!
//! Everything shares the machine's cores, and etcd writes to its disk as it does for others.
#![forbid(unsafe_code)]

use overlay_api::channel::{FromOverlayd, FromVarpd, Instance, PACKET_MAX, Packets, VERSION, Welcome, answers};
use overlay_api::{DeviceId, Lookup, Question, RequestId};
use overlay_decoder::{Mac, Vni};
use overlay_etcd::{Change, Client, Config, Key, Layout, TXN_OPERATIONS, Txn};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
use rustix::net::{accept, bind, listen, recv, send, socket};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The whole measurement, and the quick one: mappings, followers, changes.
const WHOLE: (u32, usize, u32) = (1_000_000, 200, 200);
const QUICK: (u32, usize, u32) = (50_000, 50, 40);
/// Time between two changes.
const EVERY: Duration = Duration::from_millis(50);
/// Transactions under way at once while the mapping is written.
const WRITERS: usize = 16;
/// How long anything may take.
const CEILING: Duration = Duration::from_secs(300);

type Failure = Box<dyn std::error::Error>;

/// A program that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Failure> {
    let quick = std::env::var_os("OVERLAY_BENCH_QUICK").is_some();
    let (entries, followers, changes) = if quick { QUICK } else { WHOLE };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (_etcd, endpoint) = etcd(folder.path())?;
    let config = Config { endpoints: vec![endpoint.clone()], ..Config::default() };
    let (written, loaded, times) = runtime.block_on(async {
        let client = ready(&config).await?;
        let written = write(&client, entries).await?;
        let begun = Instant::now();
        let mut count = 0u64;
        client.load(Layout::default().vnet(vnet()).as_bytes(), 10_000, |page| count += page.len() as u64).await?;
        let loaded = begun.elapsed();
        if count != u64::from(entries) {
            return Err(Failure::from(format!("{count} keys were read, and {entries} written")));
        }
        let times = follow(&config, &client, followers, changes).await?;
        Ok((written, loaded, times))
    })?;
    let (few, _) = varpd(&endpoint, Vni::MAX)?;
    let (many, served) = varpd(&endpoint, vnet())?;
    let bytes = many.saturating_sub(few) as f64 * 1024.0 / f64::from(entries);
    let at =
        |per_mille: usize| times.get((times.len() * per_mille / 1000).min(times.len() - 1)).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let text = format!(
        "| mappings | written in | read by the client in | served by varpd after | bytes of varpd each | followers | a change reaches all: p50, p99, largest |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n\
         | {entries} | {:.1} s | {:.1} s | {:.1} s | {bytes:.0} | {followers} | {:.1}, {:.1}, {:.1} ms |\n",
        written.as_secs_f64(),
        loaded.as_secs_f64(),
        served.as_secs_f64(),
        at(500),
        at(990),
        at(1000),
    );
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// The network that is measured.
fn vnet() -> Vni {
    Vni::new(7).unwrap_or(Vni::MAX)
}

/// An etcd in a folder, with ports that were free.
fn etcd(folder: &std::path::Path) -> Result<(Ended, String), Failure> {
    let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [client, peer] = [free[0].local_addr()?, free[1].local_addr()?].map(|address| format!("http://{address}"));
    drop(free);
    let child = Command::new("etcd")
        .args(["--name", "bench", "--data-dir"])
        .arg(folder.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", &peer])
        .args([
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &format!("bench={peer}"),
            "--quota-backend-bytes",
            "8589934592",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("etcd cannot be started: {error}"))?;
    Ok((Ended(child), client))
}

/// A client of an etcd that answers.
async fn ready(config: &Config) -> Result<Client, Failure> {
    let client = Client::new(config)?.with_deadline(Duration::from_secs(60));
    let begun = Instant::now();
    while let Err(error) = client.status().await {
        if begun.elapsed() > CEILING {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(client)
}

fn station(entry: u32) -> Mac {
    let [a, b, c, d] = entry.to_be_bytes();
    Mac([2, 8, a, b, c, d])
}

fn key(entry: u32) -> Vec<u8> {
    Layout::default().key(&Key::Vl2(vnet(), station(entry))).into_bytes()
}

fn value(entry: u32) -> Vec<u8> {
    format!("{{\"ip\":\"10.0.{}.{}\",\"port\":4789}}", entry / 250 % 250, 1 + entry % 250).into_bytes()
}

/// Writes the mapping, as many in a transaction as there can be.
async fn write(client: &Client, entries: u32) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut writing = tokio::task::JoinSet::new();
    for first in (0..entries).step_by(TXN_OPERATIONS) {
        if writing.len() >= WRITERS
            && let Some(done) = writing.join_next().await
        {
            done??;
        }
        let last = entries.min(first + TXN_OPERATIONS as u32);
        let txn = (first..last).fold(Txn::new(), |txn, entry| txn.put(key(entry), value(entry), 0));
        let client = client.clone();
        writing.spawn(async move { client.txn(txn).await });
    }
    while let Some(done) = writing.join_next().await {
        done??;
    }
    Ok(begun.elapsed())
}

/// The times from the call that writes a change until the last follower has it, sorted.
async fn follow(config: &Config, client: &Client, followers: usize, changes: u32) -> Result<Vec<Duration>, Failure> {
    let prefix = Layout::default().vnet(vnet());
    let (sender, mut came) = mpsc::unbounded_channel::<u32>();
    for _ in 0..followers {
        // A connection of its own, as a host has.
        let mut watch = Client::new(config)?.watch(prefix.as_bytes(), 0).await?;
        watch.next(CEILING).await?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Ok(changes) = watch.next(CEILING).await {
                for change in changes.changes {
                    let number = match &change {
                        Change::Put(entry) => std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()),
                        Change::Delete { .. } => None,
                    };
                    if number.is_some_and(|number| sender.send(number).is_err()) {
                        return;
                    }
                }
            }
        });
    }
    let mut times = Vec::new();
    for number in 0..changes {
        let begun = Instant::now();
        client.put(key(number), number.to_string().into_bytes(), 0).await?;
        for _ in 0..followers {
            let arrived = tokio::time::timeout(CEILING, came.recv()).await?;
            if arrived != Some(number) {
                return Err(format!("change {number} was waited for, and {arrived:?} came").into());
            }
        }
        times.push(begun.elapsed());
        tokio::time::sleep(EVERY).await;
    }
    // As it was: varpd is to find mappings.
    for number in 0..changes {
        client.put(key(number), value(number), 0).await?;
    }
    times.sort_unstable();
    Ok(times)
}

/// Memory of a varpd that follows a network, in KiB, and how long after its start it answers.
fn varpd(endpoint: &str, vnet: Vni) -> Result<(u64, Duration), Failure> {
    let root = tempfile::tempdir()?;
    let run = root.path().join("run/overlay");
    std::fs::create_dir_all(&run)?;
    let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    bind(&listener, &SocketAddrUnix::new(run.join("lookup.sock"))?)?;
    listen(&listener, 1)?;
    let varpd = Ended(Command::new(env!("CARGO_BIN_EXE_varpd")).arg("--root").arg(root.path()).stderr(Stdio::null()).spawn()?);
    let socket = accept(&listener)?;
    let mut buffer = vec![0; PACKET_MAX];
    recv(&socket, &mut *buffer, RecvFlags::empty())?;
    let properties = [("etcd/endpoints", endpoint), ("etcd/cache", "off"), ("etcd/register", "off")];
    let instance = Instance {
        device: DeviceId(1),
        name: "ov0".parse()?,
        search: "etcd".parse()?,
        encapsulation: "vxlan".parse()?,
        with_port: true,
        vnetid: vnet,
        mtu: 1450,
        ul3: None,
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        vnics: Vec::new(),
    };
    let question = Question { source: Mac([2; 6]), destination: station(1), ethertype: 0x0800, vlan: None, len: 64 };
    let lookup = Lookup { request: RequestId(1), device: DeviceId(1), vni: vnet, question, frame: vec![0; 64] };
    let welcome = Welcome { version: VERSION, overlayd: "bench".to_owned(), timeout_ms: 300_000, silence_ms: 300_000 };
    let begun = Instant::now();
    let mut packets = Packets::new();
    for message in [FromOverlayd::Welcome(welcome), FromOverlayd::Instance(instance), FromOverlayd::Complete, FromOverlayd::Lookup(lookup)]
    {
        packets.ask(&message);
    }
    while let Some(packet) = packets.pop() {
        send(&socket, &packet, SendFlags::empty())?;
    }
    loop {
        let (length, _) = recv(&socket, &mut *buffer, RecvFlags::empty())?;
        if length == 0 {
            return Err("varpd has hung up".into());
        }
        for message in answers(buffer.get(..length).unwrap_or_default()) {
            if matches!(message?, FromVarpd::Answer(..)) {
                let served = begun.elapsed();
                let status = std::fs::read_to_string(format!("/proc/{}/status", varpd.0.id()))?;
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the process has no memory")?;
                return Ok((line.trim().trim_end_matches(" kB").parse()?, served));
            }
        }
    }
}
