//! How long does a command take, and how much memory at its peak?

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::install::find_program;
use crate::run::{Outcome, Workspace, cannot_start, line_of, output_of, succeeded};

/// One run of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Peak resident set, in KiB.
    pub(crate) peak_kib: u64,
}

/// A command that is measured in rounds.
pub(crate) struct Contender {
    /// Who it is in the table: `tcpdump text`.
    pub(crate) name: &'static str,
    /// Packets it reads.
    pub(crate) packets: u64,
    program: PathBuf,
    arguments: Vec<String>,
    samples: Vec<Sample>,
    /// Why it has no result: its first failure.
    pub(crate) failure: Option<String>,
}

impl Contender {
    pub(crate) fn new(name: &'static str, packets: u64, program: PathBuf, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { name, packets, program, arguments, samples: Vec::new(), failure: None }
    }

    /// Runs it on another, smaller capture and insists on one line per packet: a fast program that prints less is not faster.
    pub(crate) fn expect_lines(&mut self, workspace: &Workspace, capture: &str, instead: &str, packets: u64) {
        let arguments = self.arguments.iter().map(|argument| if argument == capture { instead } else { argument });
        let result = output_of(workspace.command(&self.program).args(arguments).env("TZ", "UTC"));
        self.failure = match result.map(|output| output.lines().count() as u64) {
            Ok(lines) if lines == packets => None,
            Ok(lines) => Some(format!("prints {lines} lines for {packets} packets of {instead}")),
            Err(message) => Some(message),
        };
        if let Some(message) = &self.failure {
            println!("{:<24} FAILED: {message}", self.name);
        }
    }

    /// Runs it once more and keeps the sample; after a failure it does not run again.
    pub(crate) fn run(&mut self, workspace: &Workspace) {
        if self.failure.is_some() {
            return;
        }
        match measured(workspace, &self.program, &self.arguments) {
            Ok(sample) => {
                println!("{:<24} {:>8.2} s  {:>8.1} MB", self.name, sample.seconds, megabytes(sample.peak_kib));
                self.samples.push(sample);
            }
            Err(message) => {
                println!("{:<24} FAILED: {message}", self.name);
                self.failure = Some(message);
            }
        }
    }

    /// The median of the rounds: time and memory each.
    pub(crate) fn median(&self) -> Option<Sample> {
        if self.failure.is_some() || self.samples.is_empty() {
            return None;
        }
        let mut seconds: Vec<f64> = self.samples.iter().map(|sample| sample.seconds).collect();
        let mut peaks: Vec<u64> = self.samples.iter().map(|sample| sample.peak_kib).collect();
        seconds.sort_by(f64::total_cmp);
        peaks.sort_unstable();
        Some(Sample { seconds: seconds[seconds.len() / 2], peak_kib: peaks[peaks.len() / 2] })
    }

    /// Packets per second.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.median().map(|sample| self.packets as f64 / sample.seconds)
    }

    /// The command as it could be typed in the root; a target folder elsewhere is written as `target`.
    pub(crate) fn line(&self, workspace: &Workspace) -> String {
        let mut command = Command::new(&self.program);
        command.args(self.arguments.iter().map(|argument| workspace.shown(Path::new(argument))));
        format!("TZ=UTC {} > /dev/null", line_of(&command))
    }
}

/// KiB to the MB (10^6 bytes) of the tables.
pub(crate) fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// Runs a program below GNU time, which reports the peak memory of its child.
fn measured(workspace: &Workspace, program: &Path, arguments: &[String]) -> Outcome<Sample> {
    let time = find_program("time").ok_or("GNU time is missing (Debian package `time`)")?;
    let report = workspace.target.join("bench/time.txt");
    let errors = workspace.target.join("bench/stderr.txt");
    let stderr = File::create(&errors).map_err(|error| format!("{} cannot be written: {error}", workspace.shown(&errors)))?;
    let mut command = workspace.command(time);
    command.args(["--format", "%M", "--output"]).arg(&report).arg(program).args(arguments);
    // TZ=UTC is the peers' best case: without it tcpdump looks at /etc/localtime for every packet.
    command.env("TZ", "UTC").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let begun = Instant::now();
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    let seconds = begun.elapsed().as_secs_f64();
    let said = || std::fs::read_to_string(&errors).unwrap_or_default().lines().last().unwrap_or_default().to_owned();
    succeeded(Command::new(program).args(arguments), status).map_err(|error| format!("{error}: {}", said()))?;
    let text = std::fs::read_to_string(&report).map_err(|error| format!("{} cannot be read: {error}", workspace.shown(&report)))?;
    let peak_kib = peak_in(&text).ok_or_else(|| format!("GNU time reported no memory: `{}`", text.trim()))?;
    Ok(Sample { seconds, peak_kib })
}

/// The report's last line; notes about a child's exit come before it.
fn peak_in(report: &str) -> Option<u64> {
    report.lines().last()?.trim().parse().ok()
}

/// Kilobytes free in the file system of a folder.
pub(crate) fn free_kib(folder: &Path) -> Outcome<u64> {
    let table = output_of(Command::new("df").arg("-Pk").arg(folder))?;
    available_in(&table).ok_or_else(|| format!("`df` does not say how much is free: `{}`", table.trim()))
}

/// POSIX `df -P`: one line per file system, the fourth column is what is available.
fn available_in(table: &str) -> Option<u64> {
    table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// Cores, processor, kernel, load (anything near the number of cores spoils the figures) and the first line of each `--version`.
pub(crate) fn machine(programs: &[&Path]) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown processor", |(_, name)| name);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let mut lines = vec![format!("{cores} cores ({model}), Linux {}, load before {load}", kernel.trim())];
    for program in programs {
        let version = output_of(Command::new(program).arg("--version")).unwrap_or_default();
        if let Some(first) = version.lines().next() {
            lines.push(first.trim().trim_end_matches('.').to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(seconds: &[f64]) -> Contender {
        let mut contender = Contender::new("ours", 1000, PathBuf::from("/bin/true"), &["-r", "/t/a.pcap"]);
        contender.samples = seconds.iter().map(|&seconds| Sample { seconds, peak_kib: (seconds * 10.0) as u64 }).collect();
        contender
    }

    #[test]
    fn one_slow_round_does_not_move_the_result() {
        let contender = contender(&[2.0, 90.0, 1.0]);
        assert_eq!(contender.median(), Some(Sample { seconds: 2.0, peak_kib: 20 }));
        assert_eq!(contender.rate(), Some(500.0));
    }

    #[test]
    fn a_contender_that_failed_once_has_no_result() {
        let mut contender = contender(&[2.0]);
        contender.failure = Some("exit status: 1".to_owned());
        assert_eq!(contender.median(), None);
    }

    #[test]
    fn the_printed_command_names_the_program_without_its_folder() {
        let workspace = Workspace { root: PathBuf::from("/r"), target: PathBuf::from("/t") };
        assert_eq!(contender(&[]).line(&workspace), "TZ=UTC true -r target/a.pcap > /dev/null");
    }

    #[test]
    fn reports_of_time_and_df_are_read() {
        assert_eq!(peak_in("Command exited with non-zero status 1\n5120\n"), Some(5120));
        assert_eq!(peak_in(""), None);
        let table = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 100 40 60 40% /\n";
        assert_eq!(available_in(table), Some(60));
    }
}
