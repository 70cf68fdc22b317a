//! What do probes cost: while nobody watches, and while a script does?
//!
//! Two tunnels of `overlayd` stand side by side, one of a build without probes. Rounds of both in turn say what the probes cost that nobody
//! watches; then each script watches the sending end for a while, between two figures without it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::lab::{Lab, Link};
use super::measure::{Measure, median};
use super::{NO_PROBES, OURS, processors, programs, stolen};
use crate::bench::measure::machine;
use crate::bench::page;
use crate::install::find_program;
use crate::run::{Outcome, Workspace, cannot_start, output_of, step};

/// Rounds of the unwatched figures and of each script, and seconds of a figure.
const ROUNDS: (usize, usize, u32) = (5, 3, 3);
/// The same with `--quick`.
const QUICK: (usize, usize, u32) = (1, 1, 2);
/// How long bpftrace may take to attach, and to end.
const CEILING: Duration = Duration::from_secs(30);
/// What is measured unwatched: super-frames, and small frames, which fire most.
const UNWATCHED: [Measure; 2] = [Measure::Tcp, Measure::Udp];

/// What a script has that watches overlayd; those without watch varpd alone.
const OF_OVERLAYD: &str = "usdt:*:overlay:";

/// What was asked for on the command line.
struct Options {
    rounds: usize,
    script_rounds: usize,
    seconds: u32,
    /// Names of scripts; all if there are none.
    only: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let (rounds, script_rounds, seconds) = ROUNDS;
        let mut options = Self { rounds, script_rounds, seconds, only: Vec::new() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => (options.rounds, options.script_rounds, options.seconds) = QUICK,
                "--only" => {
                    let names = words.next().ok_or("--only takes names of scripts such as drops, separated by commas")?;
                    options.only.extend(names.split(',').map(str::to_owned));
                }
                other => return Err(format!("`bench probes` takes --quick and --only SCRIPT,.. and not `{other}`")),
            }
        }
        Ok(options)
    }

    /// The scripts in `folder` that are wanted and watch overlayd, by name.
    fn scripts(&self, folder: &Path) -> Outcome<Vec<(String, PathBuf)>> {
        let failed = |error| format!("{} cannot be read: {error}", folder.display());
        let mut all: Vec<(String, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|end| end == "bt") {
                all.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path));
            }
        }
        all.sort();
        if let Some(unknown) = self.only.iter().find(|name| all.iter().all(|(known, _)| known != *name)) {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!("there is no script `{unknown}`; there are: {}", names.join(", ")));
        }
        all.retain(|(name, _)| self.only.is_empty() || self.only.contains(name));
        let mut on_the_way = Vec::new();
        for (name, path) in all {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            if text.contains(OF_OVERLAYD) {
                on_the_way.push((name, path));
            }
        }
        Ok(on_the_way)
    }
}

/// A bpftrace that watches; dropping it ends it.
struct Watching {
    child: Child,
    /// What it prints.
    said: PathBuf,
}

impl Watching {
    /// Attaches a script to a process, and waits until it says so.
    fn start(workspace: &Workspace, script: &Path, process: u32) -> Outcome<Self> {
        let said = workspace.target.join("bench/watching.out");
        let file = File::create(&said).map_err(|error| format!("{} cannot be written: {error}", workspace.shown(&said)))?;
        let errors = file.try_clone().map_err(|error| format!("{}: {error}", workspace.shown(&said)))?;
        let mut command = workspace.command("bpftrace");
        command.args(["-B", "line", "-p", &process.to_string()]).arg(script);
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let mut watching = Self { child, said };
        let deadline = Instant::now() + CEILING;
        while !watching.printed().contains("Tracing ") {
            let ended = watching.child.try_wait().map_err(|error| format!("bpftrace cannot be waited for: {error}"))?.is_some();
            if ended || Instant::now() > deadline {
                return Err(watching.printed().lines().last().unwrap_or("it says nothing").to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(watching)
    }

    fn printed(&self) -> String {
        std::fs::read(&self.said).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // The kernel takes the probes off with the process. Nothing is to be done about one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script's figures: thousands of frames a second, (without it, with it) for each round; or why there are none.
struct Row {
    name: String,
    figures: Outcome<Vec<(f64, f64)>>,
}

impl Row {
    /// Percent of the frames that are left, and nanoseconds a frame more: medians of the rounds.
    fn cost(&self) -> Option<(f64, f64)> {
        let rounds = self.figures.as_ref().ok()?;
        let left = median(rounds.iter().map(|(without, with)| 100.0 * with / without).collect())?;
        let more = median(rounds.iter().map(|(without, with)| 1e6 / with - 1e6 / without).collect())?;
        Some((left, more))
    }
}

/// Builds, measures, prints, and writes the page, unless only some scripts were asked for.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let folder = workspace.root.join("probes/bpftrace");
    let scripts = if folder.is_dir() { options.scripts(&folder)? } else { Vec::new() };
    if output_of(std::process::Command::new("id").arg("-u"))?.trim() != "0" {
        return Err("the benchmark `probes` makes network namespaces and watches processes, which needs root".to_owned());
    }
    let bpftrace = find_program("bpftrace").ok_or("bpftrace is missing (Debian package `bpftrace`)")?;
    let programs = step("build", || programs(workspace, true))?;
    let machine = machine(&[programs.overlayd.as_path(), bpftrace.as_path()]);
    println!("\nmachine: {}", machine.join("; "));
    std::fs::create_dir_all(workspace.target.join("bench")).map_err(|error| format!("target/bench cannot be made: {error}"))?;
    let ours = step("lab", || Lab::build(workspace, &programs, OURS, Link::Full, 0))?;
    let before = processors()?;
    let mut unwatched: Vec<(Measure, Vec<(f64, f64)>)> = UNWATCHED.map(|measure| (measure, Vec::new())).into();
    if programs.no_probes.is_some() {
        let without = step("lab without probes", || Lab::build(workspace, &programs, NO_PROBES, Link::Full, 1))?;
        step("nobody watches", || {
            for round in 1..=options.rounds {
                for (measure, rounds) in &mut unwatched {
                    let (off, on) = (measure.take(&without, options.seconds)?, measure.take(&ours, options.seconds)?);
                    println!("round {round}: {:<4} {off:>8.2} without probes, {on:>8.2} {} with them", measure.name(), measure.unit());
                    rounds.push((off, on));
                }
            }
            Ok(())
        })?;
    } else {
        println!("(there is no overlayd without probes in that folder: what unwatched ones cost is not measured)");
    }
    let process = ours.overlayd(1).ok_or("there is no overlayd in the lab")?;
    let mut rows = Vec::new();
    step("scripts", || {
        for (name, script) in &scripts {
            let row = Row { name: name.clone(), figures: figures(workspace, &ours, script, process, &options) };
            match (row.cost(), &row.figures) {
                (Some((left, more)), _) => println!("  {name:<12} {left:>5.1} % of the frames, {more:>6.0} ns a frame"),
                (None, figures) => println!("  {name:<12} {}", figures.as_ref().err().map_or("no figure", String::as_str)),
            }
            rows.push(row);
        }
        Ok(())
    })?;
    let report = report(&unwatched, &rows, &options, &machine, stolen(before, processors()?));
    println!("\n{report}");
    if options.only.is_empty() { page::write_part(&workspace.root.join("docs/benchmarks.md"), "probes", &report) } else { Ok(()) }
}

/// Each round: a figure without the script, and one with it.
fn figures(workspace: &Workspace, lab: &Lab<'_>, script: &Path, process: u32, options: &Options) -> Outcome<Vec<(f64, f64)>> {
    let mut rounds = Vec::new();
    for _ in 0..options.script_rounds {
        let without = Measure::Udp.take(lab, options.seconds)?;
        let watching = Watching::start(workspace, script, process)?;
        let with = Measure::Udp.take(lab, options.seconds)?;
        drop(watching);
        rounds.push((without, with));
    }
    Ok(rounds)
}

/// The part of the page: machine, unwatched, each script, commands.
fn report(unwatched: &[(Measure, Vec<(f64, f64)>)], rows: &[Row], options: &Options, machine: &[String], stolen: f64) -> String {
    let mut text = format!(
        "## What probes cost\n\nTwo hosts on one veth pair with all offloads, overlayd at both ends. Ratios are of figures of the same round, {} rounds of {} s; \
         with each script, {}. What the engine alone pays for probes that nobody watches is counted in instructions above.\n\nMachine: {}; {stolen:.1} % of \
         its time was stolen.\n\n| nobody watches | without probes | with probes | costs | goal |\n|---|---:|---:|---:|---:|\n",
        options.rounds,
        options.seconds,
        options.script_rounds,
        machine.join("; ")
    );
    for (measure, rounds) in unwatched {
        let of = |pick: fn(&(f64, f64)) -> f64| median(rounds.iter().map(pick).collect());
        if let (Some(off), Some(on), Some(ratio)) = (of(|round| round.0), of(|round| round.1), of(|round| round.1 / round.0)) {
            let costs = 100.0 * (1.0 - ratio);
            text.push_str(&format!("| {} | {off:.2} | {on:.2} | {costs:+.1} % | 1 % |\n", measure.title()));
        }
    }
    text.push_str(
        "\nWith a script that watches the sending end, frames of 64 bytes of payload as fast as the sender can: how many of them still arrive, and what a frame \
         costs more. What fires only for lookups or changes costs nothing here, where there are none; what watches varpd alone is left out, as no frame passes it.\n\n| script | frames that are left | ns a frame |\n|---|---:|---:|\n",
    );
    for row in rows {
        match (row.cost(), &row.figures) {
            (Some((left, more)), _) => text.push_str(&format!("| `{}` | {left:.0} % | {more:+.0} |\n", row.name)),
            (None, Err(why)) => text.push_str(&format!("| `{}` | - | not attached: {} |\n", row.name, why.replace('|', "\\|"))),
            (None, Ok(_)) => text.push_str(&format!("| `{}` | - | - |\n", row.name)),
        }
    }
    text.push_str("\nCommands:\n\n```sh\n");
    UNWATCHED.iter().for_each(|measure| text.push_str(&format!("{}\n", measure.words(options.seconds).join(" "))));
    text.push_str("bpftrace -p PID probes/bpftrace/SCRIPT.bt\n```\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_costs_what_it_adds_to_a_frame_in_the_middle_round() {
        let row = Row { name: "drops".to_owned(), figures: Ok(vec![(200.0, 100.0), (1000.0, 500.0), (100.0, 100.0)]) };
        // 200,000 a second are 5,000 ns each.
        assert_eq!(row.cost(), Some((50.0, 1000.0)));
        let row = Row { name: "none".to_owned(), figures: Err("no such probe".to_owned()) };
        assert_eq!(row.cost(), None);
        let options = Options::parse(&["--quick".to_owned()]).unwrap();
        let text = report(&[(Measure::Udp, vec![(100.0, 99.0)])], &[row], &options, &["a machine".to_owned()], 0.0);
        assert!(
            text.contains("| 100.00 | 99.00 | +1.0 % | 1 % |") && text.contains("| `none` | - | not attached: no such probe |"),
            "{text}"
        );
    }

    #[test]
    fn words_that_are_not_known_are_refused() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(Options::parse(&words(&["--only"])).is_err());
        assert!(Options::parse(&words(&["--rounds", "2"])).is_err());
        let options = Options::parse(&words(&["--only", "drops,none"])).unwrap();
        let folder = std::env::temp_dir().join(format!("overlay-bench-probes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("drops.bt"), "usdt:*:overlay:drop {}").unwrap();
        std::fs::write(folder.join("proxies.bt"), "usdt:*:varpd:proxy-arp {}").unwrap();
        let refusal = options.scripts(&folder).unwrap_err();
        let found = Options::parse(&[]).unwrap().scripts(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(refusal, "there is no script `none`; there are: drops, proxies");
        assert_eq!(found.unwrap(), [("drops".to_owned(), folder.join("drops.bt"))]);
    }
}
