//! How many lookups does varpd answer, and how fast?

use super::engine::{build, printed_by};
use super::measure::machine;
use super::page;
use crate::run::{Outcome, Workspace, step};

/// Lookups a second, at least; and what would be better.
const RATE: (f64, f64) = (100_000.0, 300_000.0);
/// The 99th percentile of the time that a lookup adds, in microseconds, at most.
const ADDED: f64 = 200.0;

/// Builds, measures, prints, and writes the page.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let program = step("build", || build(workspace, "overlay-varpd", "lookups", None))?;
    let machine = machine(&[]);
    println!("\nmachine: {}", machine.join("; "));
    let printed = step("measure", || printed_by(workspace, &program))?;
    let report = report(&printed, &machine)?;
    println!("\n{report}");
    page::write_part(&workspace.root.join("docs/benchmarks.md"), "lookup", &report)
}

/// The part of the page: what the benchmark printed, and the goals.
fn report(printed: &str, machine: &[String]) -> Outcome<String> {
    let rows: Vec<Vec<&str>> = printed.lines().skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let slowest = rows.iter().filter_map(|row| row.get(3)?.parse::<f64>().ok()).reduce(f64::min);
    let added = |column: usize| rows.iter().filter_map(|row| second(row.get(column)?)).reduce(f64::max);
    let (Some(slowest), Some(single), Some(steady)) = (slowest, added(4), added(5)) else {
        return Err(format!("the benchmark printed no table, but: {printed}"));
    };
    let (goal, stretch) = RATE;
    Ok(format!(
        "## Lookups\n\nA built varpd with the plugin `files` answers a program in overlayd's place over the lookup channel: frames of 74 bytes, \
         destinations all over the mapping. Lookups a second with 256 outstanding; the times are from the call that sends a lookup to the \
         return of that which receives the answer. Everything shares the machine's cores.\n\nMachine: {}.\n\n{}\n\n\
         | | measured | goal | stretch |\n|---|---:|---:|---:|\n| lookups a second, of the rows the least | {slowest:.0} | {goal:.0} | {stretch:.0} |\n\
         | added latency, p99, one by one, the largest | {single:.0} us | | {ADDED:.0} us |\n\
         | added latency, p99, at 100,000 a second, the largest | {steady:.0} us | | {ADDED:.0} us |\n\nCommand:\n\n```sh\n\
         cargo bench -p overlay-varpd --bench lookups\n```\n",
        machine.join("; "),
        printed.trim(),
    ))
}

/// The second number of `12, 34 us`.
fn second(cell: &str) -> Option<f64> {
    cell.split([',', ' ']).filter_map(|word| word.parse().ok()).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_the_rows_stands_beside_the_goals() {
        let printed = "| entries | read in |\n|---:|---:|\n| 1000 | 0.01 s | 5 MiB | 1900000 | 8, 16 us | 60, 190, 400 us |\n\
                       | 100000 | 0.30 s | 50 MiB | 544000 | 9, 17 us | 61, 180, 300 us |\n";
        let report = report(printed, &["2 cores".to_owned()]).unwrap();
        assert!(report.contains("the least | 544000 | 100000 | 300000 |"), "{report}");
        assert!(report.contains("one by one, the largest | 17 us |") && report.contains("a second, the largest | 190 us |"), "{report}");
        assert!(super::report("nothing", &[]).is_err());
    }
}
