//! How fast is the data path, next to the kernel's VXLAN device and Open vSwitch's user-space datapath?
//!
//! All tunnels stand at the same time ([`lab`]); a round measures each once, one after the other, so that what else happens on the machine
//! happens to all. A ratio is one of figures of the same round, and the median of the rounds' ratios is compared with the goal.

mod lab;
mod measure;
pub(super) mod probes;
mod report;

use std::path::PathBuf;

use self::lab::{End, Lab, Link, Programs, Way};
use self::measure::{Measure, median};
use super::measure::machine;
use super::page;
use crate::install::find_program;
use crate::run::{Outcome, Workspace, checked, output_of, step, succeeds};

/// Rounds, and seconds of a TCP or UDP figure.
const ROUNDS: usize = 5;
const SECONDS: u32 = 3;
/// The same with `--quick`.
const QUICK: (usize, u32) = (1, 2);

const VXLAN: End = End::Ours("vxlan", &[]);
const KERNEL: Way = Way { name: "kernel", ends: [End::Kernel, End::Kernel] };
const OURS: Way = Way { name: "ours", ends: [VXLAN, VXLAN] };
const MIXED: Way = Way { name: "ours, peer kernel", ends: [VXLAN, End::Kernel] };
const OVS: Way = Way { name: "OVS", ends: [End::Ovs, End::Ovs] };
const GENEVE: Way = Way { name: "ours, geneve", ends: [End::Ours("geneve", &[]), End::Ours("geneve", &[])] };
const NVGRE: Way = Way { name: "ours, nvgre", ends: [End::Ours("nvgre", &[]), End::Ours("nvgre", &[])] };
const NO_PROBES: Way = Way { name: "ours, probes off", ends: [End::OursNoProbes, End::OursNoProbes] };
/// What the machine can do at most: whoever carries frames comes on top of it.
const NO_TUNNEL: Way = Way { name: "no tunnel", ends: [End::Nothing, End::Nothing] };
const NO_SPIN: Way = Way { name: "ours, spin 0", ends: [End::Ours("vxlan", &["--spin", "0"]), End::Ours("vxlan", &["--spin", "0"])] };

/// The steps that made it what it is, each with those before it (`overlayd --data-path`).
const STEPS: [Way; 3] = [
    step_of("ours, plain", &["--data-path", "plain"]),
    step_of("ours, batched", &["--data-path", "batched"]),
    step_of("ours, gso", &["--data-path", "gso"]),
];

const fn step_of(name: &'static str, flags: &'static [&'static str]) -> Way {
    Way { name, ends: [End::Ours("vxlan", flags), End::Ours("vxlan", flags)] }
}

/// A figure of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Figure {
    way: Way,
    link: Link,
    measure: Measure,
}

impl Figure {
    /// As `--only` names it: `tcp/wire-like/ours`.
    fn label(&self) -> String {
        format!("{}/{}/{}", self.measure.name(), self.link.name(), self.way.name).replace(", ", "-").replace(' ', "-")
    }
}

/// What is measured, in the order of a round: what is compared stands together.
fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |measure, link, ways: &[Way]| figures.extend(ways.iter().map(|&way| Figure { way, link, measure }));
    for link in [Link::Wire, Link::Full] {
        add(Measure::Tcp, link, &[NO_TUNNEL, KERNEL, OURS, MIXED]);
        add(Measure::TcpBack, link, &[MIXED]);
        add(Measure::Tcp, link, &[OVS, GENEVE, NVGRE, NO_PROBES, NO_SPIN]);
        add(Measure::Tcp, link, &STEPS);
        add(Measure::Udp, link, &[NO_TUNNEL, KERNEL, OURS, OVS, GENEVE, NVGRE, NO_PROBES, NO_SPIN]);
        add(Measure::Udp, link, &STEPS);
    }
    for measure in [Measure::Idle, Measure::Awake] {
        add(measure, Link::Full, &[NO_TUNNEL, KERNEL, OURS, OVS, NO_SPIN]);
    }
    figures
}

/// What the figures came to: one for each round, in the order of [`figures`].
struct Results {
    figures: Vec<(Figure, Vec<f64>)>,
}

impl Results {
    /// The median of the rounds.
    fn median(&self, figure: Figure) -> Option<f64> {
        median(self.rounds(figure)?.to_vec())
    }

    /// The median of the rounds' ratios.
    fn ratio(&self, one: Figure, other: Figure) -> Option<f64> {
        let pairs = self.rounds(one)?.iter().zip(self.rounds(other)?);
        median(pairs.map(|(one, other)| one / other).collect())
    }

    fn rounds(&self, figure: Figure) -> Option<&[f64]> {
        self.figures.iter().find(|(known, _)| *known == figure).map(|(_, rounds)| rounds.as_slice())
    }
}

/// What was asked for on the command line.
struct Options {
    rounds: usize,
    seconds: u32,
    /// Labels, or their first parts; all if there are none.
    only: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut options = Self { rounds: ROUNDS, seconds: SECONDS, only: Vec::new() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => (options.rounds, options.seconds) = QUICK,
                "--rounds" => {
                    let number = words.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                    options.rounds = number.ok_or("--rounds takes a number, 1 or more")?;
                }
                "--only" => {
                    let labels = words.next().ok_or("--only takes labels such as tcp/wire-like/ours or tcp, separated by commas")?;
                    options.only.extend(labels.split(',').map(str::to_owned));
                }
                other => return Err(format!("`bench datapath` takes --quick, --rounds N and --only LABEL,.. and not `{other}`")),
            }
        }
        Ok(options)
    }

    fn figures(&self) -> Outcome<Vec<Figure>> {
        let is_below = |label: &str, wanted: &str| label.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let wanted = |figure: &Figure| self.only.is_empty() || self.only.iter().any(|wanted| is_below(&figure.label(), wanted));
        let chosen: Vec<Figure> = figures().into_iter().filter(wanted).collect();
        if chosen.is_empty() {
            let labels: Vec<String> = figures().iter().map(Figure::label).collect();
            return Err(format!("no figure is called {}; there are:\n  {}", self.only.join(" or "), labels.join("\n  ")));
        }
        Ok(chosen)
    }
}

/// Builds, measures, prints, and writes the page, unless only some figures were asked for.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let figures = options.figures()?;
    if output_of(std::process::Command::new("id").arg("-u"))?.trim() != "0" {
        return Err("the benchmark `datapath` makes network namespaces, which needs root".to_owned());
    }
    let without_probes = figures.iter().any(|figure| figure.way == NO_PROBES);
    let programs = step("build", || programs(workspace, without_probes))?;
    let mut peers = vec![programs.overlayd.clone()];
    peers.extend(["iperf3", "ovs-vswitchd"].iter().filter_map(|name| find_program(name)));
    let machine = machine(&peers.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    println!("\nmachine: {}", machine.join("; "));

    let mut labs: Vec<((Way, Link), Lab<'_>)> = Vec::new();
    step("labs", || {
        for figure in &figures {
            let key = (figure.way, figure.link);
            if !labs.iter().any(|(known, _)| *known == key) {
                labs.push((key, Lab::build(workspace, &programs, figure.way, figure.link, labs.len())?));
            }
        }
        Ok(())
    })?;
    let mut results = Results { figures: figures.iter().map(|&figure| (figure, Vec::new())).collect() };
    let before = processors()?;
    step("measure", || {
        for round in 1..=options.rounds {
            println!("round {round} of {}", options.rounds);
            for (figure, rounds) in &mut results.figures {
                let lab = labs.iter().find(|(key, _)| *key == (figure.way, figure.link)).map(|(_, lab)| lab);
                let value = figure.measure.take(lab.ok_or("there is no such lab")?, options.seconds)?;
                println!("  {:<42} {value:>8.2} {}", figure.label(), figure.measure.unit());
                rounds.push(value);
            }
        }
        Ok(())
    })?;
    let stolen = stolen(before, processors()?);
    let commands: Vec<((Way, Link), Vec<String>)> = labs.iter().map(|(key, lab)| (*key, lab.commands.clone())).collect();
    drop(labs);
    let report = report::report(&results, &options, &machine, stolen, &commands);
    println!("\n{report}");
    if options.only.is_empty() { page::write_part(&workspace.root.join("docs/benchmarks.md"), "datapath", &report) } else { Ok(()) }
}

/// Builds the programs: ours, and ours without probes; `OVERLAY_BIN` names a folder that has them already.
fn programs(workspace: &Workspace, without_probes: bool) -> Outcome<Programs> {
    if let Some(folder) = std::env::var_os("OVERLAY_BIN").map(PathBuf::from) {
        let at = |name: &str| folder.join(name);
        let no_probes = Some(at("overlayd-no-probes")).filter(|program| program.is_file());
        return Ok(Programs { lab: at("overlay-lab"), overlayd: at("overlayd"), overlayadm: at("overlayadm"), no_probes });
    }
    let folder = workspace.target.join("release");
    let no_probes = workspace.target.join("bench/overlayd-no-probes");
    if without_probes {
        // The other build has the same name and comes after it.
        checked(&mut workspace.cargo(&["build", "--release", "--package", "overlayd", "--features", "overlay-probes/off"]))?;
        std::fs::create_dir_all(workspace.target.join("bench")).map_err(|error| format!("target/bench cannot be made: {error}"))?;
        std::fs::copy(folder.join("overlayd"), &no_probes).map_err(|error| format!("overlayd without probes cannot be kept: {error}"))?;
    }
    checked(&mut workspace.cargo(&["build", "--release", "--package", "overlayd", "--package", "overlayadm", "--package", "overlay-lab"]))?;
    if !succeeds(std::process::Command::new("iperf3").arg("--version")) {
        return Err("iperf3 is missing (Debian package `iperf3`)".to_owned());
    }
    let at = |name: &str| folder.join(name);
    Ok(Programs {
        lab: at("overlay-lab"),
        overlayd: at("overlayd"),
        overlayadm: at("overlayadm"),
        no_probes: Some(no_probes).filter(|_| without_probes),
    })
}

/// Ticks of all processors: in all, and stolen by the host of a virtual machine.
fn processors() -> Outcome<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/stat").map_err(|error| format!("/proc/stat cannot be read: {error}"))?;
    ticks_in(&text).ok_or_else(|| "/proc/stat has no times".to_owned())
}

/// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; the two behind them are in user already.
fn ticks_in(stat: &str) -> Option<(u64, u64)> {
    let numbers: Vec<u64> =
        stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
    Some((numbers.iter().sum(), *numbers.get(7)?))
}

/// Percent of the time that was stolen.
fn stolen(before: (u64, u64), after: (u64, u64)) -> f64 {
    100.0 * (after.1 - before.1) as f64 / (after.0 - before.0).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_one_of_figures_of_the_same_round() {
        let [one, other] = [KERNEL, OURS].map(|way| Figure { way, link: Link::Wire, measure: Measure::Tcp });
        // The machine was ten times as fast in the first round: a ratio of medians would say 4.
        let results = Results { figures: vec![(one, vec![40.0, 2.0, 4.0]), (other, vec![20.0, 1.0, 1.0])] };
        assert_eq!((results.median(one), results.ratio(one, other)), (Some(4.0), Some(2.0)));
        assert_eq!(results.median(Figure { measure: Measure::Udp, ..one }), None);
    }

    #[test]
    fn a_label_that_does_not_exist_is_refused_with_those_that_do() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let options =
            Options::parse(&words(&["--rounds", "2", "--only", "tcp/wire-like/ours,udp/all-offloads/ours-spin-0,rtt-idle"])).unwrap();
        assert_eq!((options.rounds, options.figures().unwrap().len()), (2, 7));
        let refusal = Options::parse(&words(&["--only", "tc"])).unwrap().figures().unwrap_err();
        assert!(refusal.starts_with("no figure is called tc; there are:\n  tcp/wire-like/no-tunnel\n  tcp/wire-like/kernel"), "{refusal}");
        assert!(Options::parse(&words(&["--rounds", "0"])).is_err());
        assert!(Options::parse(&words(&["fast"])).is_err());
    }

    #[test]
    fn stolen_time_is_the_eighth_number() {
        let before = ticks_in("cpu  10 0 10 70 0 0 5 5 0 0\ncpu0 1 1 1\n").unwrap();
        assert_eq!(before, (100, 5));
        assert_eq!(stolen(before, (200, 30)), 25.0);
        assert_eq!(ticks_in("intr 5"), None);
    }
}
