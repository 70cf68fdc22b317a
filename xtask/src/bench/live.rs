//! Does a live capture keep up, and at what cost, against `tcpdump -w`?
//!
//! ```text
//! h1: overlay-lab flood (core 0) ── ul0 ══ veth, no offloads ══ ul0 ── h2: the tool (last core)
//! ```
//!
//! The kernel copies packets into the ring of the tool on the core of the sender; what is measured is the tool's own time, user and
//! system. A run is good when every packet that was sent is in the tool's count and, with `-w`, in the file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::decode::thousands;
use super::measure::{free_kib, machine};
use super::page;
use crate::install::find_program;
use crate::run::{Outcome, Workspace, cannot_start, checked, line_of, output_of, step, succeeds};

/// The rate of the goal, in packets per second.
const RATE: u32 = 400_000;
/// Rates that are tried for the highest, in this order.
const RATES: &[u32] = &[100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 1_000_000];
/// Seconds of traffic in a run.
const SECONDS: u32 = 5;
/// Rounds; each contender runs once in each, at each rate.
const ROUNDS: usize = 3;
/// Bytes of the ring, in KiB, for every tool.
const BUFFER_KIB: &str = "32768";
/// Bytes of a packet that are kept, for every tool: all.
const SNAPLEN: &str = "262144";
/// Where tunnels of the lab listen, and whose packets are counted.
const TUNNEL_PORT: u16 = 4789;
/// A sender that reached less of its rate was the limit itself.
const REACHED: f64 = 0.99;
/// After the last packet: tcpdump's ring gives a block up after a second at most, and what it still holds at the end is lost.
const SETTLE: Duration = Duration::from_millis(2500);
/// How long a tool may take to listen, and to end.
const CEILING: Duration = Duration::from_secs(20);
/// Free space asked for: the file of one run, and some.
const FREE_KIB: u64 = 2 * 1024 * 1024;
/// Ticks of /proc/PID/stat in a second, the same on every Linux that Rust runs on (USER_HZ).
const TICKS: f64 = 100.0;

/// A way to capture.
struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// What stands before the number of packets that it took, and of those that the kernel dropped, in its last words.
    taken: &'static str,
    dropped: &'static str,
    writes: bool,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    sent: u64,
    /// Seconds in which they were sent.
    seconds: f64,
    taken: u64,
    dropped: u64,
    in_file: Option<u64>,
    cpu_seconds: f64,
}

impl Sample {
    /// Packets that were sent and are not where they should be.
    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.in_file.unwrap_or(self.taken))
    }

    /// Percent of a core while packets were sent.
    fn share(&self) -> f64 {
        100.0 * self.cpu_seconds / self.seconds
    }

    fn rate(&self) -> f64 {
        self.sent as f64 / self.seconds
    }
}

/// The lab, which is taken down whatever happens.
struct Lab<'a> {
    workspace: &'a Workspace,
    program: PathBuf,
    name: String,
}

impl Lab<'_> {
    /// Runs a program in a host; its process id is the program's own.
    fn command(&self, host: &str, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(&self.program);
        command.args(["exec", &self.name, host]).args(arguments);
        command
    }

    /// Nothing but the flood is to be on the wire.
    fn quiet(&self) -> Outcome {
        for (host, other) in [("h1", "2"), ("h2", "1")] {
            output_of(&mut self.command(host, &["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]))?;
            let (address, mac) = (format!("10.88.0.{other}"), format!("02:00:00:88:00:0{other}"));
            output_of(&mut self.command(host, &["ip", "neigh", "replace", &address, "lladdr", &mac, "dev", "ul0", "nud", "permanent"]))?;
        }
        Ok(())
    }

    /// Sends; how many, in how many seconds.
    fn flood(&self, rate: u32) -> Outcome<(u64, f64)> {
        let (lab, to, rate, seconds) =
            (self.program.display().to_string(), format!("10.88.0.2:{TUNNEL_PORT}"), rate.to_string(), SECONDS.to_string());
        let said = output_of(&mut self.command("h1", &["taskset", "-c", "0", &lab, "flood", &to, &rate, &seconds]))?;
        let numbers = said.strip_prefix("sent ").and_then(|rest| {
            let (sent, rest) = rest.split_once(" in ")?;
            Some((sent.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
        });
        numbers.ok_or_else(|| format!("overlay-lab flood said `{}`", said.trim()))
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        if !succeeds(Command::new(&self.program).args(["down", &self.name])) {
            println!("(the lab {} could not be removed; `overlay-lab clean` does)", self.name);
        }
    }
}

/// Builds, measures, prints, and writes the page.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    if output_of(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err("the benchmark `live` makes network namespaces, which needs root".to_owned());
    }
    let programs = step("build", || {
        checked(&mut workspace.cargo(&["build", "--release", "--package", "overlay-lab", "--bin", "overlay-lab"]))?;
        workspace.build_programs()
    })?;
    let folder = workspace.target.join("bench");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be created: {error}", workspace.shown(&folder)))?;
    if free_kib(&folder)? < FREE_KIB {
        return Err(format!("{} has less than {} MB free, which a captured file may need", workspace.shown(&folder), FREE_KIB / 1024));
    }
    let tcpdump = find_program("tcpdump").ok_or("tcpdump is missing")?;
    let snoop = programs.join("overlay-snoop");
    let machine = machine(&[&tcpdump, &snoop]);
    println!("\nmachine: {}", machine.join("; "));

    let lab = Lab { workspace, program: programs.join("overlay-lab"), name: format!("bench{}", std::process::id()) };
    checked(workspace.command(&lab.program).args(["up", "--wire-like", &lab.name]))?;
    lab.quiet()?;
    let copy = contender("tcpdump, copy to /dev/null", &tcpdump, &tcpdump_words(&["-w", "/dev/null"]));
    let contenders = contenders(&tcpdump, &snoop, &workspace.target.join("bench/live.pcap").display().to_string());
    println!("\ncommands:");
    commands(workspace, &contenders).iter().for_each(|line| println!("  {line}"));

    let (highest, limit) = step("the highest rate at which `tcpdump -w /dev/null` loses nothing", || highest(&lab, &copy))?;
    let rates = if highest == RATE { vec![RATE] } else { vec![RATE, highest] };
    let mut results: Vec<(u32, Vec<Vec<Sample>>)> = rates.iter().map(|&rate| (rate, vec![Vec::new(); contenders.len()])).collect();
    step("measure", || {
        for round in 1..=ROUNDS {
            for (rate, samples) in &mut results {
                println!("round {round} of {ROUNDS}, {rate} packets a second");
                for (contender, samples) in contenders.iter().zip(samples) {
                    samples.push(contender.run(&lab, *rate)?);
                }
            }
        }
        Ok(())
    })?;
    drop(lab);
    let report = report(workspace, &contenders, &results, (highest, limit), &machine);
    println!("\n{report}");
    page::write_part(&workspace.root.join("docs/benchmarks.md"), "live", &report)
}

/// What was in the way of a higher rate.
#[derive(Clone, Copy)]
enum Limit {
    /// `tcpdump -w /dev/null` lost packets.
    Loss,
    /// The sender was slower than its rate.
    Sender,
    /// No higher one was tried.
    Untried,
}

/// Goes up until a packet is lost or the sender does not keep up.
fn highest(lab: &Lab<'_>, copy: &Contender) -> Outcome<(u32, Limit)> {
    let mut highest = RATES[0];
    for &rate in RATES {
        let sample = copy.run(lab, rate)?;
        if sample.lost() > 0 {
            return Ok((highest, Limit::Loss));
        }
        if sample.rate() < REACHED * f64::from(rate) {
            return Ok((highest, Limit::Sender));
        }
        highest = rate;
    }
    Ok((highest, Limit::Untried))
}

fn contender(name: &'static str, program: &Path, arguments: &[String]) -> Contender {
    let ours = name.starts_with("overlay-snoop");
    Contender {
        name,
        program: program.to_owned(),
        arguments: arguments.to_vec(),
        taken: if ours { " matched" } else { " packets captured" },
        dropped: if ours { " dropped by the kernel" } else { " packets dropped by kernel" },
        writes: arguments.last().is_some_and(|last| last.ends_with(".pcap")),
    }
}

/// `-Z root`: the user `tcpdump` may not write into every folder that programs are built in.
fn tcpdump_words(words: &[&str]) -> Vec<String> {
    [&["-i", "ul0", "-s", SNAPLEN, "-B", BUFFER_KIB, "-Z", "root"], words].concat().into_iter().map(str::to_owned).collect()
}

fn snoop_words(words: &[&str]) -> Vec<String> {
    [&["-i", "ul0", "-s", SNAPLEN, "-B", BUFFER_KIB], words].concat().into_iter().map(str::to_owned).collect()
}

// Indexes of the contenders, in the order in which a round runs them.
const TCPDUMP_FILE: usize = 0;
const OURS_FILE: usize = 1;
const OURS_TEXT: usize = 3;

fn contenders(tcpdump: &Path, snoop: &Path, file: &str) -> Vec<Contender> {
    vec![
        contender("tcpdump, to a file", tcpdump, &tcpdump_words(&["-w", file])),
        contender("overlay-snoop, to a file", snoop, &snoop_words(&["-w", file])),
        contender("tcpdump, text", tcpdump, &tcpdump_words(&["-nn"])),
        contender("overlay-snoop, text", snoop, &snoop_words(&["-n"])),
        contender("overlay-snoop, NDJSON", snoop, &snoop_words(&["-n", "--json"])),
    ]
}

/// A process that is killed when something else fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is to be done about one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Contender {
    fn run(&self, lab: &Lab<'_>, rate: u32) -> Outcome<Sample> {
        let errors = lab.workspace.target.join("bench/stderr.txt");
        let stderr = File::create(&errors).map_err(|error| format!("{} cannot be written: {error}", lab.workspace.shown(&errors)))?;
        let core = (std::thread::available_parallelism().map_or(1, usize::from) - 1).to_string();
        let mut command = lab.command("h2", &["taskset", "-c", &core]);
        command.arg(&self.program).args(&self.arguments).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut tool = Running(command.spawn().map_err(|error| cannot_start(&command, &error))?);
        let said = || std::fs::read_to_string(&errors).unwrap_or_default();
        within_ceiling(&format!("{} does not listen", self.name), || said().contains("listening on"))?;
        // Rights are given up, and the ring is mapped.
        std::thread::sleep(Duration::from_millis(300));
        let before = cpu_seconds(tool.0.id())?;
        let (sent, seconds) = lab.flood(rate)?;
        std::thread::sleep(SETTLE);
        let cpu_seconds = cpu_seconds(tool.0.id())? - before;
        output_of(Command::new("kill").args(["-INT", &tool.0.id().to_string()]))?;
        within_ceiling(&format!("{} does not end", self.name), || matches!(tool.0.try_wait(), Ok(Some(_))))?;
        let words = said();
        let number = |what: &str| number_before(&words, what).ok_or_else(|| format!("{} told no number of{what}: {words}", self.name));
        let in_file = match self.arguments.last() {
            Some(file) if self.writes => {
                let counted = File::open(file).and_then(|file| count_tunnelled(BufReader::with_capacity(1 << 20, file)));
                let removed = std::fs::remove_file(file);
                Some(counted.and_then(|count| removed.map(|()| count)).map_err(|error| format!("{file}: {error}"))?)
            }
            _ => None,
        };
        let sample = Sample { sent, seconds, taken: number(self.taken)?, dropped: number(self.dropped)?, in_file, cpu_seconds };
        println!(
            "{:<26} {:>9.0}/s  sent {}  taken {}  dropped {}  lost {}  {:>5.1} % of a core",
            self.name,
            sample.rate(),
            sample.sent,
            sample.taken,
            sample.dropped,
            sample.lost(),
            sample.share()
        );
        Ok(sample)
    }
}

fn within_ceiling(otherwise: &str, mut holds: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + CEILING;
    while !holds() {
        if Instant::now() >= deadline {
            return Err(format!("{otherwise} within {} s", CEILING.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The time of a process, user and system, as getrusage(2) would give it.
pub(super) fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    ticks_in(&text).map(|ticks| ticks as f64 / TICKS).ok_or_else(|| format!("{path} has no times: `{}`", text.trim()))
}

/// proc_pid_stat(5): utime and stime are fields 14 and 15; the second one, the name, may hold blanks and parentheses.
fn ticks_in(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The number in front of some words, anywhere in a text.
fn number_before(text: &str, words: &str) -> Option<u64> {
    let (before, _) = text.split_once(words)?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The packets of a little-endian pcap file that go to the tunnel's port: read without any of the tools.
fn count_tunnelled(mut file: impl Read) -> io::Result<u64> {
    // The header of the file, then 16 bytes before each packet, of which the third word is the length in the file.
    let (mut header, mut packet, mut count) = ([0; 24], Vec::new(), 0);
    file.read_exact(&mut header)?;
    loop {
        let mut record = [0; 16];
        match file.read_exact(&mut record) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(count),
            Err(error) => return Err(error),
        }
        packet.resize(u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize, 0);
        file.read_exact(&mut packet)?;
        // Ethernet, IPv4 without options, UDP.
        let is_ours = packet.get(12..14) == Some(&[8, 0]) && packet.get(36..38) == Some(&TUNNEL_PORT.to_be_bytes());
        count += u64::from(is_ours);
    }
}

fn commands(workspace: &Workspace, contenders: &[Contender]) -> Vec<String> {
    let line = |contender: &Contender| {
        let mut command = Command::new(&contender.program);
        command.args(contender.arguments.iter().map(|argument| workspace.shown(Path::new(argument))));
        let output = if contender.writes { "" } else { " > /dev/null" };
        format!("TZ=UTC {}{output}", line_of(&command))
    };
    let flood = format!("overlay-lab flood 10.88.0.2:{TUNNEL_PORT} {RATE} {SECONDS}");
    ["overlay-lab up --wire-like bench".to_owned()].into_iter().chain(contenders.iter().map(line)).chain([flood]).collect()
}

/// The median share of a core.
fn share(samples: &[Sample]) -> f64 {
    let mut shares: Vec<f64> = samples.iter().map(Sample::share).collect();
    shares.sort_by(f64::total_cmp);
    shares[shares.len() / 2]
}

/// Packets lost in all rounds.
fn lost(samples: &[Sample]) -> u64 {
    samples.iter().map(Sample::lost).sum()
}

/// The part of the page: how it was measured, results, goals, commands.
fn report(
    workspace: &Workspace,
    contenders: &[Contender],
    results: &[(u32, Vec<Vec<Sample>>)],
    (highest, limit): (u32, Limit),
    machine: &[String],
) -> String {
    let mut text = format!(
        "## Capturing live\n\nVXLAN packets of 168 bytes (192 VNIs, inner TCP), sent at a steady rate for {SECONDS} s from one network namespace to \
         another over a veth pair without offloads, so that each is captured by itself. The sender has the first core, the tool the last. Every \
         tool has a ring of {BUFFER_KIB} KiB and keeps whole packets. {ROUNDS} rounds, contenders in turn: packets are those of all rounds; \
         the share of a core is the tool's own time, user and system, by the time of sending, the median. A packet is lost when it was sent and is neither \
         in the file nor, for text, in the tool's count. The highest rate at which `tcpdump -w /dev/null` lost nothing was {} packets a \
         second{}.\n\nMachine: {}.\n",
        thousands(highest.into()),
        match limit {
            Limit::Loss => "",
            Limit::Sender => ": at the next one the sender, which shares the machine, did not keep up",
            Limit::Untried => ", the highest that was tried",
        },
        machine.join("; ")
    );
    for (rate, samples) in results {
        text.push_str(&format!(
            "\n| at {} packets a second | sent | dropped by its own count | lost | share of a core |\n",
            thousands((*rate).into())
        ));
        text.push_str("|---|---:|---:|---:|---:|\n");
        for (contender, samples) in contenders.iter().zip(samples) {
            let sum = |field: fn(&Sample) -> u64| thousands(samples.iter().map(field).sum::<u64>() as f64);
            let (sent, dropped, lost) = (sum(|sample| sample.sent), sum(|sample| sample.dropped), sum(Sample::lost));
            text.push_str(&format!("| {} | {sent} | {dropped} | {lost} | {:.1} % |\n", contender.name, share(samples)));
        }
    }
    text.push_str("\n| | measured | goal | stretch |\n|---|---:|---:|---:|\n");
    for (rate, samples) in results {
        let (rate, peer) = (thousands((*rate).into()), &samples[TCPDUMP_FILE]);
        for (what, index) in [("to a file", OURS_FILE), ("text", OURS_TEXT)] {
            let (lost, peers) = (lost(&samples[index]), lost(peer));
            text.push_str(&format!("| lost at {rate} packets a second, {what} (`tcpdump -w`: {peers}) | {lost} | 0 | 0 |\n"));
            let ratio = share(&samples[index]) / share(peer);
            text.push_str(&format!(
                "| time at {rate} packets a second, {what}, to that of `tcpdump -w` to a file | {ratio:.1} x | - | - |\n"
            ));
        }
    }
    if let Some((rate, samples)) = results.iter().find(|(rate, _)| *rate == RATE) {
        let rate = thousands((*rate).into());
        for (what, index) in [("to a file", OURS_FILE), ("text", OURS_TEXT)] {
            let share = share(&samples[index]);
            text.push_str(&format!("| share of a core at {rate} packets a second, {what} (at most) | {share:.1} % | - | 20 % |\n"));
        }
    }
    text.push_str("\nCommands, the sender in `h1`, the tools in `h2` (`overlay-lab exec bench h2 ..`):\n\n```sh\n");
    commands(workspace, contenders).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text.push_str("```\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(taken: u64, in_file: Option<u64>, cpu_seconds: f64) -> Sample {
        Sample { sent: 1000, seconds: 5.0, taken, dropped: 0, in_file, cpu_seconds }
    }

    #[test]
    fn a_packet_is_lost_when_it_is_not_in_the_file_whatever_the_tool_says() {
        assert_eq!(sample(1000, Some(990), 0.5).lost(), 10);
        assert_eq!(sample(998, None, 0.5).lost(), 2);
        assert_eq!(sample(1003, None, 0.5).lost(), 0, "others may have sent, too");
        assert_eq!(share(&[sample(1, None, 5.0), sample(1, None, 0.5), sample(1, None, 0.25)]), 10.0);
    }

    #[test]
    fn last_words_of_both_tools_are_read() {
        let ours = "overlay-snoop: listening on ul0 (ethernet)\noverlay-snoop: 7 matched, 9 captured, 2 dropped by the kernel, 0 dropped by interfaces\n";
        assert_eq!((number_before(ours, " matched"), number_before(ours, " dropped by the kernel")), (Some(7), Some(2)));
        let peer = "12 packets captured\n14 packets received by filter\n2 packets dropped by kernel\n";
        assert_eq!((number_before(peer, " packets captured"), number_before(peer, " packets dropped by kernel")), (Some(12), Some(2)));
        assert_eq!(number_before("no packets captured", " packets captured"), None);
    }

    #[test]
    fn times_of_a_process_are_found_behind_any_name() {
        let stat = "71 (a b) c) R 1 71 71 0 -1 4194304 90 0 0 0 123 45 0 0 20 0 1 0 900 0 0";
        assert_eq!(ticks_in(stat), Some(168));
        assert!(cpu_seconds(std::process::id()).is_ok());
        assert_eq!(ticks_in("71 (x) R 1"), None);
    }

    #[test]
    fn packets_to_the_tunnel_are_counted_without_the_others() {
        let mut packet = [0; 60];
        packet[12..14].copy_from_slice(&[8, 0]);
        packet[36..38].copy_from_slice(&TUNNEL_PORT.to_be_bytes());
        let mut file = vec![0; 24];
        for last in [TUNNEL_PORT, TUNNEL_PORT, 53] {
            packet[36..38].copy_from_slice(&last.to_be_bytes());
            file.extend([0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0]);
            file.extend(packet);
        }
        assert_eq!(count_tunnelled(&file[..]).unwrap(), 2);
        assert!(count_tunnelled(&file[..file.len() - 1]).is_err(), "a file that is cut off is no good one");
    }

    #[test]
    fn goals_compare_ours_with_tcpdump() {
        let contenders = contenders(Path::new("tcpdump"), Path::new("overlay-snoop"), "live.pcap");
        let at = |index: usize| (contenders[index].name, contenders[index].writes);
        assert_eq!(at(TCPDUMP_FILE), ("tcpdump, to a file", true));
        assert_eq!((at(OURS_FILE), at(OURS_TEXT)), (("overlay-snoop, to a file", true), ("overlay-snoop, text", false)));
    }
}
