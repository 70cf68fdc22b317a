//! How fast does overlay-snoop decode a capture file, against tcpdump and tshark?

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::measure::{Contender, free_kib, machine, megabytes};
use super::{page, traffic};
use crate::install::find_program;
use crate::run::{Outcome, Workspace, step};

/// Packets of the large capture, about 1.5 GB.
const PACKETS: u64 = 2_000_000;
/// Packets of tshark's capture: at about 5,000 packets a second it would need minutes for all.
const CUT: u64 = 100_000;
/// Rounds; each contender runs once in each.
const ROUNDS: usize = 3;
/// Free space asked for before a capture is written.
const FREE_KIB: u64 = 2 * 1024 * 1024;
/// Changed with the generator, so that captures of an older one are not used.
const GENERATION: u32 = 1;

/// A row of the table of goals.
struct Goal {
    what: &'static str,
    /// Index of ours and of the peer among the contenders.
    ours: usize,
    peer: usize,
    goal: &'static str,
    stretch: &'static str,
}

// Indexes of the contenders, in the order in which a round runs them.
const TCPDUMP_TEXT: usize = 0;
const OURS_ONE: usize = 1;
const TCPDUMP_COPY: usize = 2;
const OURS_TWO: usize = 3;
const TSHARK_JSON: usize = 4;
const OURS_JSON: usize = 5;

const GOALS: &[Goal] = &[
    Goal { what: "text, one thread, to `tcpdump -nn`", ours: OURS_ONE, peer: TCPDUMP_TEXT, goal: "8 x", stretch: "12 x" },
    Goal { what: "text, two threads, to `tcpdump -nn`", ours: OURS_TWO, peer: TCPDUMP_TEXT, goal: "13 x", stretch: "17 x" },
    Goal {
        what: "text, one thread, to `tcpdump -w /dev/null`, which only copies",
        ours: OURS_ONE,
        peer: TCPDUMP_COPY,
        goal: "-",
        stretch: "1 x",
    },
    Goal { what: "NDJSON, one thread, to `tshark -T json`", ours: OURS_JSON, peer: TSHARK_JSON, goal: "500 x", stretch: "900 x" },
];

/// Peak memory while streaming a plain file.
const MEMORY_GOAL: (&str, &str) = ("20 MB", "12 MB");

/// Builds, generates, measures, prints, and writes the page when every contender has a result.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let programs = step("build overlay-snoop", || workspace.build_programs())?;
    let snoop = programs.join("overlay-snoop");
    let (large, cut) = step("captures", || Ok((capture(workspace, PACKETS)?, capture(workspace, CUT)?)))?;
    let tools: Vec<PathBuf> = ["tcpdump", "tshark"].into_iter().filter_map(find_program).chain([snoop.clone()]).collect();
    let machine = machine(&tools.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    println!("\nmachine: {}", machine.join("; "));
    let peer = |name: &str| find_program(name).ok_or_else(|| format!("{name} is missing"));
    let mut contenders = contenders(&snoop, &peer("tcpdump")?, &peer("tshark")?, &large, &cut);
    println!("\ncommands:");
    contenders.iter().for_each(|contender| println!("  {}", contender.line(workspace)));
    step("every packet is printed", || {
        [OURS_ONE, OURS_TWO, OURS_JSON].iter().for_each(|&ours| contenders[ours].expect_lines(workspace, &large, &cut, CUT));
        Ok(())
    })?;
    step("measure", || {
        for file in [&large, &cut] {
            warm(&workspace.root.join(file))?;
        }
        for round in 1..=ROUNDS {
            println!("round {round} of {ROUNDS}");
            contenders.iter_mut().for_each(|contender| contender.run(workspace));
        }
        Ok(())
    })?;
    let report = report(workspace, &contenders, &machine);
    println!("\n{report}");
    if let Some(failed) = contenders.iter().find(|contender| contender.failure.is_some()) {
        return Err(format!("{} gave no result, so docs/benchmarks.md is left as it was", failed.name));
    }
    page::write_part(&workspace.root.join("docs/benchmarks.md"), "decode", &report)
}

fn contenders(snoop: &Path, tcpdump: &Path, tshark: &Path, large: &str, cut: &str) -> Vec<Contender> {
    let contender = |name, packets, program: &Path, arguments: &[&str]| Contender::new(name, packets, program.to_path_buf(), arguments);
    vec![
        contender("tcpdump, text", PACKETS, tcpdump, &["-nn", "-r", large]),
        contender("overlay-snoop, 1 thread", PACKETS, snoop, &["-n", "-r", large, "--utc", "--threads", "1"]),
        contender("tcpdump, copy", PACKETS, tcpdump, &["-r", large, "-w", "/dev/null"]),
        contender("overlay-snoop, 2 threads", PACKETS, snoop, &["-n", "-r", large, "--utc", "--threads", "2"]),
        contender("tshark, JSON", CUT, tshark, &["-T", "json", "-n", "-r", cut]),
        contender("overlay-snoop, NDJSON", PACKETS, snoop, &["-n", "-r", large, "--json", "--threads", "1"]),
    ]
}

/// Makes a capture unless it is there; gives its path as the commands use it, relative to the root where possible.
fn capture(workspace: &Workspace, packets: u64) -> Outcome<String> {
    let folder = workspace.target.join("bench");
    let path = folder.join(format!("vxlan-{packets}-v{GENERATION}.pcap"));
    let shown = path.strip_prefix(&workspace.root).unwrap_or(&path).display().to_string();
    if path.is_file() {
        println!("{shown}: there already");
        return Ok(shown);
    }
    let failed = |error: std::io::Error| format!("{shown} cannot be written: {error}");
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let free = free_kib(&folder)?;
    if free < FREE_KIB {
        return Err(format!(
            "{} has {} MB free; the captures of this benchmark need {} MB",
            workspace.shown(&folder),
            free / 1024,
            FREE_KIB / 1024
        ));
    }
    // Renamed when complete: a run that was stopped leaves no short capture under the final name.
    let partial = path.with_extension("partial");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(failed)?);
    traffic::write_capture(&mut out, packets, |count| println!("{shown}: {count} of {packets} packets")).map_err(failed)?;
    out.flush().map_err(failed)?;
    std::fs::rename(&partial, &path).map_err(failed)?;
    Ok(shown)
}

/// Reads a file once, so that every contender finds it in the page cache.
fn warm(path: &Path) -> Outcome {
    let copied = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
    copied.map(drop).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// The part of the page: machine, results, goals, commands.
fn report(workspace: &Workspace, contenders: &[Contender], machine: &[String]) -> String {
    let mut text = format!(
        "## Decoding a capture file\n\n{PACKETS} VXLAN packets (about 1.5 GB, 200 VNIs with overlapping tenant addresses, inner TCP, UDP and ICMP \
         over IPv4 and IPv6), generated, in the page cache. Median of {ROUNDS} rounds, contenders in turn. tshark reads the first {CUT} packets only, \
         because all of them would take minutes; its rate falls on larger files.\n\nMachine: {}.\n\n",
        machine.join("; ")
    );
    text.push_str("| tool | packets/s | seconds | peak MB |\n|---|---:|---:|---:|\n");
    for contender in contenders {
        match (contender.median(), contender.rate()) {
            (Some(median), Some(rate)) => {
                let peak = megabytes(median.peak_kib);
                text.push_str(&format!("| {} | {} | {:.2} | {peak:.1} |\n", contender.name, thousands(rate), median.seconds));
            }
            _ => text.push_str(&format!("| {} | failed | - | - |\n", contender.name)),
        }
    }
    text.push_str("\n| ratio | measured | goal | stretch |\n|---|---:|---:|---:|\n");
    for row in GOALS {
        let measured = match (contenders[row.ours].rate(), contenders[row.peer].rate()) {
            (Some(ours), Some(peer)) => format!("{:.1} x", ours / peer),
            _ => "-".to_owned(),
        };
        text.push_str(&format!("| {} | {measured} | {} | {} |\n", row.what, row.goal, row.stretch));
    }
    let peak = contenders[OURS_ONE].median().map_or("-".to_owned(), |median| format!("{:.1} MB", megabytes(median.peak_kib)));
    let (goal, stretch) = MEMORY_GOAL;
    text.push_str(&format!("| peak memory, text, one thread (at most) | {peak} | {goal} | {stretch} |\n"));
    text.push_str("\nCommands:\n\n```sh\n");
    contenders.iter().for_each(|contender| text.push_str(&format!("{}\n", contender.line(workspace))));
    text.push_str("```\n");
    text
}

/// `1234567.8` as `1,234,568`.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_compare_ours_with_a_peer() {
        let contenders = contenders(Path::new("overlay-snoop"), Path::new("tcpdump"), Path::new("tshark"), "large.pcap", "cut.pcap");
        for goal in GOALS {
            assert!(contenders[goal.ours].name.starts_with("overlay-snoop"), "{}", goal.what);
            assert!(!contenders[goal.peer].name.starts_with("overlay-snoop"), "{}", goal.what);
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1_234_567.8), "1,234,568");
    }
}
