//! How long does the engine take for a frame, and what do probes cost that nobody watches?
//!
//! The same benchmark (`stack/engine/benches/path.rs`) is built with probes and without, and both run in turn. A shared machine cannot
//! tell one per cent by the clock, so that the instructions of some rows are counted as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::measure::machine;
use super::page;
use crate::run::{Outcome, Workspace, output_of, step};

/// Rounds; each build runs once in each.
const ROUNDS: usize = 3;
/// Frames of a batch in the benchmark: what its times are of.
const BATCH: f64 = 64.0;
/// How each run is timed.
const TIMED: [&str; 9] =
    ["--bench", "--noplot", "--discard-baseline", "--warm-up-time", "0.5", "--measurement-time", "1", "--sample-size", "30"];
/// Rows whose instructions are counted.
const COUNTED: [&str; 4] =
    ["transmit/point, 64 B", "transmit/one destination, 64 B", "transmit/64 destinations of 1,000, 64 B", "receive/64 B"];
/// The row that the goals are about, and the one with destinations at random.
const ONE: &str = "transmit/one destination, 64 B";
const RANDOM: &str = "transmit/64 destinations of 1,000, 64 B";

/// The benchmark, built in one way.
struct Build {
    program: PathBuf,
    /// Nanoseconds a frame, one figure a round, by row.
    times: BTreeMap<String, Vec<f64>>,
    /// Instructions a frame, by row.
    instructions: BTreeMap<&'static str, f64>,
    /// Rows in their order.
    rows: Vec<String>,
}

impl Build {
    fn new(program: PathBuf) -> Self {
        Self { program, times: BTreeMap::new(), instructions: BTreeMap::new(), rows: Vec::new() }
    }

    fn time(&mut self, workspace: &Workspace) -> Outcome {
        let text = output_of(workspace.command(&self.program).args(TIMED).env("CRITERION_HOME", workspace.target.join("bench/criterion")))?;
        for (row, batch) in times_in(&text) {
            if !self.times.contains_key(&row) {
                self.rows.push(row.clone());
            }
            self.times.entry(row).or_default().push(batch / BATCH);
        }
        if self.rows.is_empty() { Err("the benchmark printed no times".to_owned()) } else { Ok(()) }
    }

    fn count(&mut self, workspace: &Workspace) -> Outcome {
        for row in COUNTED {
            let report = workspace.target.join("bench/callgrind.out");
            let mut command = workspace.command("valgrind");
            command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", report.display())).arg(&self.program);
            command.args(["--bench", "--profile-time", "1", "--exact", row]);
            output_of(command.env("CRITERION_HOME", workspace.target.join("bench/criterion")))?;
            let text = std::fs::read_to_string(&report).map_err(|error| format!("{} cannot be read: {error}", workspace.shown(&report)))?;
            let (calls, instructions) =
                calls_in(&text, |function| function.contains("rig::Rig::frames") || function.contains("rig::Rig::datagrams"));
            if calls == 0 {
                return Err(format!("callgrind saw no batch of `{row}`"));
            }
            self.instructions.insert(row, instructions as f64 / calls as f64 / BATCH);
        }
        Ok(())
    }

    /// The median of the rounds.
    fn median(&self, row: &str) -> Option<f64> {
        let mut times = self.times.get(row)?.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    }
}

/// Builds, measures, prints, and writes the page.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let probes = step("build with probes", || build(workspace, "overlay-engine", "path", None))?;
    let off = step("build without probes", || build(workspace, "overlay-engine", "path", Some("probes-off")))?;
    std::fs::create_dir_all(workspace.target.join("bench")).map_err(|error| format!("target/bench cannot be made: {error}"))?;
    let machine = machine(&[]);
    println!("\nmachine: {}", machine.join("; "));
    let mut builds = [Build::new(probes), Build::new(off)];
    step("instructions", || builds.iter_mut().try_for_each(|build| build.count(workspace)))?;
    step("measure", || {
        for round in 1..=ROUNDS {
            println!("round {round} of {ROUNDS}");
            builds.iter_mut().try_for_each(|build| build.time(workspace))?;
        }
        Ok(())
    })?;
    let report = report(&builds, &machine);
    println!("\n{report}");
    page::write_part(&workspace.root.join("docs/benchmarks.md"), "engine", &report)
}

/// Builds a benchmark of the engine: says where the program is.
pub(super) fn build(workspace: &Workspace, package: &str, bench: &str, feature: Option<&str>) -> Outcome<PathBuf> {
    let mut command = workspace.cargo(&["bench", "--package", package, "--bench", bench, "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    if let Some(feature) = feature {
        command.args(["--features", feature]);
    }
    let messages = output_of(&mut command)?;
    executable_in(&messages, bench).map(PathBuf::from).ok_or_else(|| format!("cargo does not say where benchmark `{bench}` is"))
}

/// The program in cargo's messages, one JSON object a line.
fn executable_in<'a>(messages: &'a str, bench: &str) -> Option<&'a str> {
    let (kind, name) = (r#""reason":"compiler-artifact""#, format!(r#""name":"{bench}""#));
    let line = messages.lines().find(|line| line.contains(kind) && line.contains(&name) && line.contains(r#""executable":""#))?;
    line.split_once(r#""executable":""#)?.1.split_once('"').map(|(path, _)| path)
}

/// The rows of criterion's output and their middle estimates in nanoseconds.
///
/// ```text
/// transmit/point, 64 B    time:   [4.8496 µs 5.4919 µs 6.2632 µs]
/// transmit/one destination, 64 B
///                         time:   [5.2567 µs 5.6375 µs 6.1204 µs]
/// ```
fn times_in(text: &str) -> Vec<(String, f64)> {
    let (mut rows, mut before) = (Vec::new(), "");
    for line in text.lines() {
        if let Some((name, times)) = line.split_once(" time: ") {
            let name = if name.trim().is_empty() { before } else { name.trim() };
            if let Some(time) = middle(times) {
                rows.push((name.to_owned(), time));
            }
        } else if !line.trim().is_empty() {
            before = line.trim();
        }
    }
    rows
}

/// The second time of `[a unit b unit c unit]`, in nanoseconds.
fn middle(times: &str) -> Option<f64> {
    let words: Vec<&str> = times.trim().strip_prefix('[')?.strip_suffix(']')?.split_whitespace().collect();
    let [_, _, time, unit, _, _] = words[..] else { return None };
    let scale = match unit {
        "ps" => 1e-3,
        "ns" => 1.0,
        "µs" | "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(time.parse::<f64>().ok()? * scale)
}

/// How often functions of a callgrind report were called, and how many instructions they took with all that they called.
///
/// A name is given once, as `(number) name`, and by its number afterwards; the line behind `calls=` has the cost.
fn calls_in(report: &str, wanted: impl Fn(&str) -> bool) -> (u64, u64) {
    let mut names: BTreeMap<&str, bool> = BTreeMap::new();
    let (mut callee, mut call, mut sums) = (false, None, (0, 0));
    for line in report.lines() {
        if let Some(count) = call.take() {
            if callee {
                let cost = line.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                sums = (sums.0 + count, sums.1 + cost);
            }
        } else if let Some(name) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            if !name.is_empty() {
                names.insert(number, wanted(name));
            }
            if line.starts_with('c') {
                callee = names.get(number).copied().unwrap_or(false);
            }
        } else if let Some(numbers) = line.strip_prefix("calls=") {
            call = numbers.split(' ').next().and_then(|word| word.parse::<u64>().ok());
        }
    }
    sums
}

/// The part of the page: machine, times, instructions, goals, commands.
fn report([probes, off]: &[Build; 2], machine: &[String]) -> String {
    let mut text = format!(
        "## The engine's path of a frame\n\nOne worker, batches of 64 frames or datagrams, VXLAN over IPv4, no I/O; times are of one frame, a \
         super-frame as one. Median of {ROUNDS} rounds of both builds in turn. A miss is the whole of a frame to an unknown destination, its \
         question, the answer, and the frame going out.\n\nMachine: {}.\n\n",
        machine.join("; ")
    );
    text.push_str("| way | ns a frame | ns, probes off | instructions | instructions, probes off |\n|---|---:|---:|---:|---:|\n");
    let shown = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.0}"));
    for row in &probes.rows {
        let instructions = [probes, off].map(|build| shown(build.instructions.get(row.as_str()).copied()));
        let times = [probes, off].map(|build| shown(build.median(row)));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            row.replacen('/', ": ", 1),
            times[0],
            times[1],
            instructions[0],
            instructions[1]
        ));
    }
    let more = |with: Option<f64>, without: Option<f64>| match (with, without) {
        (Some(with), Some(without)) if without > 0.0 => format!("{:+.1} %", (with / without - 1.0) * 100.0),
        _ => "-".to_owned(),
    };
    text.push_str("\n| | measured | goal |\n|---|---:|---:|\n");
    text.push_str(&format!("| 64 bytes, one destination (at most) | {} ns | 100 ns |\n", shown(probes.median(ONE))));
    text.push_str(&format!("| 64 bytes, destinations at random, small table (at most) | {} ns | 150 ns |\n", shown(probes.median(RANDOM))));
    for row in COUNTED {
        let what = row.replacen('/', ": ", 1);
        let (time, count) = (more(probes.median(row), off.median(row)), more(get(probes, row), get(off, row)));
        text.push_str(&format!("| probes that nobody watches, {what}: time; instructions | {time}; {count} | - |\n"));
    }
    text.push_str("\nThe goal for probes that nobody watches, 1 %, is one of the data path, where a frame costs a microsecond and more: see what probes cost.\n");
    text.push_str("\nCommands:\n\n```sh\ncargo bench -p overlay-engine --bench path\ncargo bench -p overlay-engine --bench path --features probes-off\n");
    text.push_str("valgrind --tool=callgrind PROGRAM --bench --profile-time 1 --exact 'transmit/one destination, 64 B'\n```\n");
    text
}

fn get(build: &Build, row: &str) -> Option<f64> {
    build.instructions.get(row).copied()
}

/// Runs a built benchmark without options of its own: what it prints.
pub(super) fn printed_by(workspace: &Workspace, program: &Path) -> Outcome<String> {
    output_of(workspace.command(program).arg("--bench"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_criterion_are_read_with_their_units() {
        let text = "Benchmarking transmit/point, 64 B\n\
            transmit/point, 64 B    time:   [4.8496 µs 5.5000 µs 6.2632 µs]\n                        thrpt:  [1 Melem/s 2 Melem/s 3 Melem/s]\n\n\
            transmit/one destination, 64 B\n                        time:   [525.67 ns 563.75 ns 6.1204 µs]\n\
            \x20                       time:   [-1.0% +2.0% +3.0%] (p = 0.3)\n";
        assert_eq!(times_in(text), [("transmit/point, 64 B".to_owned(), 5500.0), ("transmit/one destination, 64 B".to_owned(), 563.75)]);
    }

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"overlay_engine"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"path"},"executable":"/t/path-1","fresh":true}"#
        );
        assert_eq!(executable_in(messages, "path"), Some("/t/path-1"));
        assert_eq!(executable_in(messages, "table"), None);
    }

    #[test]
    fn calls_are_summed_over_all_callers() {
        let report = "fn=(1) main\n5 10\ncfn=(2) path::rig::Rig::frames\ncalls=3 7\n+1 3000\ncfn=(3) other\ncalls=1 1\n6 50\nfn=(4) again\n\
            cfn=(2)\ncalls=1 9\n* 1000\n";
        assert_eq!(calls_in(report, |name| name.contains("Rig::frames")), (4, 4000));
    }
}
