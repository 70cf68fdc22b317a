//! Does the target table stay quick while it grows to a million entries, and what does an entry take?

use super::engine::{build, printed_by};
use super::measure::machine;
use super::page;
use crate::run::{Outcome, Workspace, step};

/// The line before which the benchmark's tables stand.
const MEMORY: &str = "memory: ";
/// Bytes of an idle entry, at most.
const BYTES: f64 = 150.0;

/// Builds, measures, prints, and writes the page.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let program = step("build", || build(workspace, "overlay-engine", "table", None))?;
    let machine = machine(&[]);
    println!("\nmachine: {}", machine.join("; "));
    let printed = step("measure", || printed_by(workspace, &program))?;
    let report = report(&printed, &machine)?;
    println!("\n{report}");
    page::write_part(&workspace.root.join("docs/benchmarks.md"), "table", &report)
}

/// The part of the page: what the benchmark printed, and the goals.
fn report(printed: &str, machine: &[String]) -> Outcome<String> {
    let bytes = bytes_in(printed).ok_or("the benchmark does not say how much an entry takes")?;
    Ok(format!(
        "## The target table\n\nA million destinations are learned one by one: a frame to an unknown destination (its worker makes the entry), \
         then question and answer (the control half). Meanwhile another worker forwards single frames to known destinations, all over the \
         table. Latencies are of one call, in nanoseconds, the clock's own 30 included; each row is the median of ten windows of 10,000. On a \
         machine that others use too, the largest are the time slices of others.\n\nMachine: {}.\n\n{}\n\n| | measured | goal |\n\
         |---|---:|---:|\n| bytes of an idle entry (at most) | {bytes:.0} | {BYTES:.0} |\n\nCommand:\n\n```sh\n\
         cargo bench -p overlay-engine --bench table\n```\n",
        machine.join("; "),
        printed.trim(),
    ))
}

/// `memory: 116.2 bytes ..`
fn bytes_in(printed: &str) -> Option<f64> {
    printed.lines().find_map(|line| line.strip_prefix(MEMORY)?.split(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_stands_beside_what_was_measured() {
        let printed = "| entries | p50 |\n|---:|---:|\n| 1 | 2 |\n\nmemory: 116.2 bytes an idle entry\n";
        let report = report(printed, &["2 cores".to_owned()]).unwrap();
        assert!(report.contains("| bytes of an idle entry (at most) | 116 | 150 |") && report.contains("| 1 | 2 |"), "{report}");
        assert!(super::report("nothing", &[]).is_err());
    }
}
