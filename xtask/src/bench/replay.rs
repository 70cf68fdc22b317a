//! How fast does overlay-replay send, how well does it keep the time, and how fast does it carry a capture through the engine?
//!
//! ```text
//! a: overlay-replay send | tcpreplay ── out ══ veth ══ in ── b: overlay-snoop -w (its timestamps judge the pace)
//! ```
//!
//! Top speeds are what each program says of itself, and hold only if everything arrived at the other end.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::decode::thousands;
use super::measure::{Contender, machine};
use super::page;
use crate::install::find_program;
use crate::run::{Outcome, Workspace, cannot_start, checked, line_of, output_of, step, succeeds};

/// Packets a second at which the pace is judged.
const RATE: u64 = 100_000;
/// Times as fast as tcpreplay at top speed, at least.
const TOP_GOAL: f64 = 1.0;
/// Packets a second through the engine, at least; and what would be better.
const ENGINE_GOAL: (f64, f64) = (1e6, 3e6);
/// Until all that was sent is in the file.
const SETTLE: Duration = Duration::from_millis(500);

/// How much is sent.
struct Scale {
    packets: u64,
    paced: u64,
    rounds: usize,
}

const FULL: Scale = Scale { packets: 1_000_000, paced: 300_000, rounds: 5 };
const QUICK: Scale = Scale { packets: 100_000, paced: 50_000, rounds: 1 };

/// Two namespaces and a pair of interfaces between them, removed whatever happens.
struct Wire {
    from: String,
    to: String,
}

impl Wire {
    fn make() -> Outcome<Self> {
        let name = |end: &str| format!("ovreplay{}{end}", std::process::id());
        let wire = Self { from: name("a"), to: name("b") };
        for namespace in [&wire.from, &wire.to] {
            ip(&["netns", "add", namespace])?;
            // Nothing but what is sent is to be on the wire.
            let quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
            output_of(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", quiet]))?;
        }
        ip(&["-n", &wire.from, "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", &wire.to])?;
        ip(&["-n", &wire.from, "link", "set", "out", "up"])?;
        ip(&["-n", &wire.to, "link", "set", "in", "up"])?;
        Ok(wire)
    }

    /// Packets that have arrived until now.
    fn arrived(&self) -> Outcome<u64> {
        let said = output_of(Command::new("ip").args(["-n", &self.to, "-s", "-j", "link", "show", "in"]))?;
        arrived_in(&said).ok_or_else(|| format!("`ip` does not say how many packets arrived: {said}"))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.from, &self.to] {
            if !succeeds(Command::new("ip").args(["netns", "del", namespace])) {
                println!("(the namespace {namespace} could not be removed; `ip netns del {namespace}` does)");
            }
        }
    }
}

/// Builds, measures, prints, and writes the page.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Outcome {
    let (is_quick, scale) = match words {
        [] => (false, FULL),
        [only] if only == "--quick" => (true, QUICK),
        [first, ..] => return Err(format!("`bench replay` takes `--quick` or nothing, found `{first}`")),
    };
    if output_of(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err("the benchmark `replay` makes network namespaces, which needs root".to_owned());
    }
    let programs = step("build", || programs(workspace))?;
    let (replay, snoop) = (programs.join("overlay-replay"), programs.join("overlay-snoop"));
    let tcpreplay = find_program("tcpreplay").ok_or("tcpreplay is missing")?;
    let folder = workspace.target.join("bench/replay");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be created: {error}", workspace.shown(&folder)))?;
    let mut machine = machine(&[&replay]);
    // Its first line, which it says on the wrong stream.
    let version = Command::new(&tcpreplay).arg("--version").output().map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
    machine.extend(String::from_utf8_lossy(&version).lines().next().map(|line| line.replace("version: ", "")));
    println!("\nmachine: {}", machine.join("; "));

    let file = |name: &str| folder.join(name).display().to_string();
    step("captures", || {
        let make = |words: &[&str]| checked(workspace.command(&replay).arg("generate").args(words));
        let (packets, paced) = (scale.packets.to_string(), scale.paced.to_string());
        make(&["--packets", &packets, "--size", "74", "--encap", "vxlan", "-w", &file("small.pcap")])?;
        make(&["--packets", &paced, "--size", "74", "--encap", "vxlan", "-w", &file("paced.pcap")])?;
        let host = ["--vnis", "10", "--targets", "100", "--packets", &packets];
        make(&[&host[..], &["--host", &file("host"), "-w", &file("frames.pcap")]].concat())?;
        make(&[&host[..], &["--encap", "vxlan", "-w", &file("datagrams.pcap")]].concat())
    })?;
    let senders = Senders { workspace, wire: Wire::make()?, replay: replay.clone(), tcpreplay };
    let tops = step("top speed", || tops(&senders, &file("small.pcap"), &scale))?;
    let paces = step("pace", || paces(&senders, &snoop, &file("paced.pcap"), &file("heard.pcap"), scale.paced))?;
    drop(senders);
    let engines = step("engine", || Ok(engines(workspace, &replay, &file, &scale)))?;
    let report = report(workspace, &tops, &paces, &engines, &scale, &machine);
    let _ = std::fs::remove_dir_all(&folder);
    let report = report?;
    println!("\n{report}");
    // A quick run shows that the benchmark works; its figures are no result.
    if is_quick { Ok(()) } else { page::write_part(&workspace.root.join("docs/benchmarks.md"), "replay", &report) }
}

/// The folder with the programs; `OVERLAY_BIN` names one that has them already.
fn programs(workspace: &Workspace) -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("OVERLAY_BIN") {
        return Ok(folder.into());
    }
    checked(&mut workspace.cargo(&["build", "--release", "--package", "overlay-replay", "--package", "overlay-snoop"]))?;
    Ok(workspace.target.join("release"))
}

fn ip(words: &[&str]) -> Outcome {
    output_of(Command::new("ip").args(words)).map(drop)
}

/// Both programs at one end of the wire.
struct Senders<'a> {
    workspace: &'a Workspace,
    wire: Wire,
    replay: PathBuf,
    tcpreplay: PathBuf,
}

impl Senders<'_> {
    fn ours(&self, pace: &[&str], capture: &str) -> Command {
        let mut command = self.inside(&self.replay);
        command.args(["send", "--json"]).args(pace).arg(format!("{capture}=out"));
        command
    }

    fn theirs(&self, pace: &[&str], capture: &str) -> Command {
        let mut command = self.inside(&self.tcpreplay);
        command.args(pace).args(["-i", "out", capture]);
        command
    }

    fn inside(&self, program: &Path) -> Command {
        let mut command = self.workspace.command("ip");
        command.args(["netns", "exec", &self.wire.from]).arg(program);
        command
    }
}

/// Who sends at top speed: a name, packets a second of each round, and the command.
struct Top {
    name: &'static str,
    rates: Vec<f64>,
    command: String,
}

fn tops(senders: &Senders<'_>, capture: &str, scale: &Scale) -> Outcome<Vec<Top>> {
    let contenders = [
        ("overlay-replay send", senders.ours(&["--topspeed"], capture)),
        ("overlay-replay send --queue", senders.ours(&["--topspeed", "--queue"], capture)),
        ("tcpreplay", senders.theirs(&["--topspeed"], capture)),
    ];
    let mut tops: Vec<Top> = Vec::new();
    for round in 0..scale.rounds {
        for (index, (name, command)) in contenders.iter().enumerate() {
            let before = senders.wire.arrived()?;
            let said = output_of(&mut again(command))?;
            let arrived = senders.wire.arrived()? - before;
            if arrived != scale.packets {
                return Err(format!("{name}: {arrived} of {} packets arrived", scale.packets));
            }
            let rate = rate_in(&said).ok_or_else(|| format!("`{}` does not say how fast it was: {said}", line_of(command)))?;
            println!("{name:<28} {:>10} packets/s", thousands(rate));
            if round == 0 {
                tops.push(Top { name, rates: Vec::new(), command: typed(senders, command) });
            }
            tops[index].rates.push(rate);
        }
    }
    Ok(tops)
}

/// The same command once more.
fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

/// A command as it could be typed inside the namespace.
fn typed(senders: &Senders<'_>, command: &Command) -> String {
    let words: Vec<String> = command.get_args().skip(3).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut shown = Command::new(&words[0]);
    shown.args(words[1..].iter().map(|word| senders.workspace.shown(Path::new(word))));
    line_of(&shown)
}

/// How far packets arrived behind their time, in microseconds.
struct Pace {
    name: &'static str,
    /// p50, p99 and the largest; or why there are none.
    behind: Result<[f64; 3], String>,
    command: String,
}

fn paces(senders: &Senders<'_>, snoop: &Path, capture: &str, heard: &str, packets: u64) -> Outcome<Vec<Pace>> {
    let rate = RATE.to_string();
    let contenders =
        [("overlay-replay send", senders.ours(&["--pps", &rate], capture)), ("tcpreplay", senders.theirs(&["--pps", &rate], capture))];
    let mut paces = Vec::new();
    for (name, command) in contenders {
        let mut listening = listen(snoop, &senders.wire.to, heard)?;
        let sent = output_of(&mut again(&command));
        std::thread::sleep(SETTLE);
        // SIGINT, for which std has no call.
        let stopped = output_of(Command::new("kill").args(["-INT", &listening.id().to_string()]));
        let ended = listening.wait().map_err(|error| format!("overlay-snoop: {error}"));
        sent?;
        stopped?;
        ended?;
        let bytes = std::fs::read(heard).map_err(|error| format!("{heard}: {error}"))?;
        let times = times_in(&bytes)?;
        let behind = match times.len() as u64 {
            all if all == packets => Ok(behind(&times, 1e9 / RATE as f64)),
            some => Err(format!("{some} of {packets} packets captured")),
        };
        match &behind {
            Ok([p50, p99, most]) => println!("{name:<28} behind: p50 {p50:.1} us, p99 {p99:.1} us, at most {most:.1} us"),
            Err(why) => println!("{name:<28} not judged: {why}"),
        }
        paces.push(Pace { name, behind, command: typed(senders, &command) });
    }
    Ok(paces)
}

/// A capture at the other end, which listens already.
fn listen(snoop: &Path, namespace: &str, file: &str) -> Outcome<Child> {
    let mut command = Command::new(snoop);
    // A ring that holds all of it, so that a busy machine loses nothing.
    command.args(["--netns", namespace, "-i", "in", "-B", "131072", "-w", file]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    let Some(stderr) = child.stderr.take() else { return Ok(child) };
    let mut said = BufReader::new(stderr);
    let mut line = String::new();
    while said.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.contains("listening") {
            // Its last words must find a reader.
            std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
            return Ok(child);
        }
    }
    let _ = child.wait();
    Err(format!("overlay-snoop does not listen: {}", line.trim()))
}

/// Rows of the engine: what comes in, what comes out, and how long it takes.
fn engines(workspace: &Workspace, replay: &Path, file: &impl Fn(&str) -> String, scale: &Scale) -> Vec<Contender> {
    let config = format!("{}/host.json", file("host"));
    let row = |name, capture: &str, counts: &[&str]| {
        let replay = replay.display().to_string();
        let words = ["-c", "0", &replay, "engine", "--config", &config, "-o", "/dev/null"];
        let capture = file(capture);
        Contender::new(name, scale.packets, "taskset".into(), &[&words[..], counts, &[&capture]].concat())
    };
    let mut rows = vec![
        row("frames, a line each", "frames.pcap", &[]),
        row("frames, --counts", "frames.pcap", &["--counts"]),
        row("datagrams, a line each", "datagrams.pcap", &[]),
        row("datagrams, --counts", "datagrams.pcap", &["--counts"]),
    ];
    for _ in 0..scale.rounds {
        rows.iter_mut().for_each(|row| row.run(workspace));
    }
    rows
}

/// The part of the page.
fn report(
    workspace: &Workspace,
    tops: &[Top],
    paces: &[Pace],
    engines: &[Contender],
    scale: &Scale,
    machine: &[String],
) -> Outcome<String> {
    let median = |rates: &[f64]| {
        let mut rates = rates.to_vec();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(0.0)
    };
    let theirs = tops.iter().find(|top| top.name == "tcpreplay").map(|top| median(&top.rates)).ok_or("tcpreplay has no result")?;
    let mut text = format!(
        "## Replay\n\nA capture of {} packets of VXLAN, 124 bytes on average, onto one end of a veth pair, at top speed: the median of {} rounds, by \
         what each program says of itself, all of it at the other end.\n\nMachine: {}.\n\n| | packets/s | tcpreplay = 1 | goal |\n|---|---:|---:|---:|\n",
        thousands(scale.packets as f64),
        scale.rounds,
        machine.join("; ")
    );
    for top in tops {
        let rate = median(&top.rates);
        let goal = if top.name == "tcpreplay" { String::new() } else { format!("{TOP_GOAL:.1}") };
        let _ = writeln!(text, "| {} | {} | {:.2} | {goal} |", top.name, thousands(rate), rate / theirs);
    }
    let _ = write!(
        text,
        "\n{} packets at {} a second, by the kernel's timestamps at the other end: how far packets arrived behind their time, which is that of \
         the one that was the least behind.\n\n| | p50 | p99 | at most |\n|---|---:|---:|---:|\n",
        thousands(scale.paced as f64),
        thousands(RATE as f64)
    );
    for pace in paces {
        let _ = match &pace.behind {
            Ok([p50, p99, most]) => writeln!(text, "| {} | {p50:.1} us | {p99:.1} us | {most:.1} us |", pace.name),
            Err(why) => writeln!(text, "| {} | {why} | | |", pace.name),
        };
    }
    let _ = write!(
        text,
        "\n{} packets of 10 virtual networks with 100 targets each through the engine, on one core, from the start of the program to its end, \
         reading and lookups included: with a line of JSON for each packet, and with counters and tables alone (`--counts`).\n\n\
         | | packets/s | goal | stretch |\n|---|---:|---:|---:|\n",
        thousands(scale.packets as f64)
    );
    let (goal, stretch) = ENGINE_GOAL;
    for row in engines {
        let rate = match (row.rate(), &row.failure) {
            (Some(rate), _) => thousands(rate),
            (None, why) => why.clone().unwrap_or_default(),
        };
        let _ = writeln!(text, "| {} | {rate} | {} | {} |", row.name, thousands(goal), thousands(stretch));
    }
    text.push_str("\nCommands:\n\n```sh\n");
    tops.iter().map(|top| &top.command).chain(paces.iter().map(|pace| &pace.command)).for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
    engines.iter().for_each(|row| {
        let _ = writeln!(text, "{}", row.line(workspace));
    });
    text.push_str("```\n");
    Ok(text)
}

/// `"packets_per_second":530294.1,` of ours, or `Rated: 31580195.0 Bps, 252.64 Mbps, 256003.60 pps` of tcpreplay.
fn rate_in(said: &str) -> Option<f64> {
    let ours = said.split_once("\"packets_per_second\":").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
    ours.or_else(|| {
        said.lines().find_map(|line| line.trim().strip_prefix("Rated: ")?.strip_suffix(" pps")?.rsplit(' ').next()?.parse().ok())
    })
}

/// `"rx":{"bytes":1,"packets":2,` of `ip -s -j link`.
fn arrived_in(said: &str) -> Option<u64> {
    let (_, received) = said.split_once("\"rx\":{")?;
    received.split_once("\"packets\":")?.1.split([',', '}']).next()?.trim().parse().ok()
}

/// The times of a pcap file in this machine's order, in nanoseconds.
fn times_in(bytes: &[u8]) -> Outcome<Vec<f64>> {
    let number = |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes);
    let unit = match number(0) {
        Some(0xa1b2_3c4d) => 1.0,
        Some(0xa1b2_c3d4) => 1e3,
        found => return Err(format!("the captured file is no pcap of this machine: {found:?}")),
    };
    let (mut at, mut times) = (24, Vec::new());
    // Seconds from the first one on, so that a float has all nanoseconds.
    let first = number(at).unwrap_or(0);
    while let (Some(seconds), Some(parts), Some(length)) = (number(at), number(at + 4), number(at + 8)) {
        times.push(f64::from(seconds.wrapping_sub(first)) * 1e9 + f64::from(parts) * unit);
        at += 16 + length as usize;
    }
    Ok(times)
}

/// How far each is behind a clock of that period that none is ahead of: p50, p99 and the largest, in microseconds.
fn behind(times: &[f64], period: f64) -> [f64; 3] {
    let mut off: Vec<f64> = times.iter().enumerate().map(|(index, time)| time - index as f64 * period).collect();
    off.sort_by(f64::total_cmp);
    let at = |share: f64| off.get(((off.len() as f64 * share) as usize).min(off.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let least = at(0.0);
    [at(0.5), at(0.99), at(1.0)].map(|time| (time - least) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_programs_and_ip_say_is_read() {
        assert_eq!(rate_in("{\"packets\":5,\"packets_per_second\":530294.5,\"megabits_per_second\":1.0}"), Some(530_294.5));
        let theirs = "Actual: 1000000 packets (123358400 bytes) sent in 3.90 seconds\nRated: 31580195.0 Bps, 252.64 Mbps, 256003.60 pps\n";
        assert_eq!(rate_in(theirs), Some(256_003.6));
        assert_eq!(rate_in("nothing"), None);
        assert_eq!(arrived_in("[{\"stats64\":{\"rx\":{\"bytes\":140,\"packets\":2,\"errors\":0},\"tx\":{\"packets\":7}}}]"), Some(2));
    }

    #[test]
    fn a_packet_is_behind_by_the_least_late_one() {
        let times: Vec<f64> = (0..100).map(|index| 5e6 + f64::from(index) * 1e4 + if index == 50 { 7e3 } else { 1e3 }).collect();
        assert_eq!(behind(&times, 1e4), [0.0, 6.0, 6.0]);
    }

    #[test]
    fn times_of_a_pcap_are_read_in_its_unit() {
        let mut file = vec![0; 24];
        file[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_ne_bytes());
        for (seconds, parts) in [(9_u32, 5_u32), (10, 6)] {
            [seconds, parts, 2, 2].into_iter().for_each(|word| file.extend(word.to_ne_bytes()));
            file.extend([0, 0]);
        }
        assert_eq!(times_in(&file), Ok(vec![5.0, 1e9 + 6.0]));
        assert!(times_in(b"text").is_err());
    }
}
