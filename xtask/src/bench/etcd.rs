//! How long does a change in etcd take to reach all who follow it, and what does a mapping there cost?

use super::engine::build;
use super::measure::machine;
use super::page;
use crate::run::{Outcome, Workspace, output_of, step};

/// The 99th percentile of the time until all have a change, in milliseconds; bytes of a mapping; seconds of the load: at most.
const GOALS: (f64, f64, f64) = (1000.0, 200.0, 30.0);

/// Builds, measures, prints, and writes the page; with `--quick` a small measurement, and no page.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Outcome {
    let quick = match words {
        [] => false,
        [word] if word == "--quick" => true,
        _ => return Err(format!("this benchmark takes --quick, found `{}`", words.join(" "))),
    };
    let program = step("build", || build(workspace, "overlay-varpd", "followers", None))?;
    let machine = machine(&[]);
    println!("\nmachine: {}", machine.join("; "));
    let printed = step("measure", || {
        let mut command = workspace.command(&program);
        command.arg("--bench");
        if quick {
            command.env("OVERLAY_BENCH_QUICK", "1");
        }
        output_of(&mut command)
    })?;
    let report = report(&printed, &machine)?;
    println!("\n{report}");
    if quick { Ok(()) } else { page::write_part(&workspace.root.join("docs/benchmarks.md"), "etcd", &report) }
}

/// The part of the page: what the benchmark printed, and the goals.
fn report(printed: &str, machine: &[String]) -> Outcome<String> {
    let cells: Vec<&str> = printed.lines().nth(2).unwrap_or("").trim_matches('|').split('|').map(str::trim).collect();
    let number = |column: usize, place: usize| -> Option<f64> {
        cells.get(column)?.split([',', ' ']).filter_map(|word| word.parse().ok()).nth(place)
    };
    let (Some(client), Some(varpd), Some(bytes), Some(reach)) = (number(2, 0), number(3, 0), number(4, 0), number(6, 1)) else {
        return Err(format!("the benchmark printed no table, but: {printed}"));
    };
    let (reach_goal, bytes_goal, load_goal) = GOALS;
    Ok(format!(
        "## A mapping in etcd\n\nOne etcd, in its own folder and with its own fsync, holds one network; followers are connections of the real client, \
         each with its watch, all in one program; a change is done when the last of them has it. varpd is a built one that follows the \
         network; its memory is that beyond what it needs for an empty one. Everything shares the machine's cores.\n\nMachine: {}.\n\n{}\n\n\
         | | measured | goal |\n|---|---:|---:|\n| a change reaches all, p99 | {reach:.1} ms | {reach_goal:.0} ms |\n\
         | memory of a mapping in varpd | {bytes:.0} bytes | {bytes_goal:.0} bytes |\n\
         | all mappings are read by the client | {client:.1} s | {load_goal:.0} s |\n\
         | all mappings are served by varpd | {varpd:.1} s | {load_goal:.0} s |\n\nCommand:\n\n```sh\n\
         cargo bench -p overlay-varpd --bench followers\n```\n",
        machine.join("; "),
        printed.trim(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_stands_beside_its_goal() {
        let printed = "| mappings | .. |\n|---:|\n| 1000000 | 9.1 s | 3.5 s | 8.2 s | 120 | 200 | 4.1, 9.5, 12.0 ms |\n";
        let report = report(printed, &["2 cores".to_owned()]).unwrap();
        for line in ["p99 | 9.5 ms | 1000 ms |", "in varpd | 120 bytes | 200 bytes |", "client | 3.5 s | 30 s |", "varpd | 8.2 s | 30 s |"]
        {
            assert!(report.contains(line), "{report}");
        }
        assert!(super::report("nothing", &[]).is_err());
    }
}
