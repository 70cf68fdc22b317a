//! What does overlay-top cost while it watches 1,000 virtual networks with 100,000 targets, and how long does a picture take?
//!
//! overlayd is given them in its configuration, overlay-top runs in a terminal of script(1) and looks once a second. Its processor time is that
//! of /proc; how long it draws, it says itself at its end (`--timing`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::live::cpu_seconds;
use super::measure::machine;
use super::page;
use crate::run::{Outcome, Workspace, checked, output_of, step};

const NETWORKS: u32 = 1_000;
const TARGETS_EACH: u32 = 100;
/// How long each screen is watched; `--quick` makes it short.
const SECONDS: u64 = 20;
const QUICK_SECONDS: u64 = 5;
/// Until the first looks are over.
const WARM: Duration = Duration::from_secs(3);
/// How long overlayd may take to come up with all that.
const CEILING: Duration = Duration::from_secs(120);
/// Goals of DESIGN section 11.
const CPU_GOAL: f64 = 5.0;
const FRAME_GOAL_MS: f64 = 16.0;

/// What one screen cost.
struct Cost {
    screen: &'static str,
    top: f64,
    overlayd: f64,
    mean_ms: f64,
    longest_ms: f64,
}

/// A process that is ended when it is not needed any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds, measures, prints, and writes the page.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Outcome {
    let is_quick = match words {
        [] => false,
        [only] if only == "--quick" => true,
        [first, ..] => return Err(format!("`bench top` takes `--quick` or nothing, found `{first}`")),
    };
    let programs = step("build", || programs(workspace))?;
    let machine = machine(&[]);
    println!("\nmachine: {}", machine.join("; "));
    let folder = workspace.target.join("bench/top");
    let _ = std::fs::remove_dir_all(&folder);
    let seconds = if is_quick { QUICK_SECONDS } else { SECONDS };
    let costs = step("measure", || measure(&programs, &folder, seconds));
    let _ = std::fs::remove_dir_all(&folder);
    let report = report(&costs?, seconds, &machine);
    println!("\n{report}");
    // A quick run shows that the benchmark works; its figures are no result.
    if is_quick { Ok(()) } else { page::write_part(&workspace.root.join("docs/benchmarks.md"), "top", &report) }
}

/// The folder with overlayd and overlay-top; `OVERLAY_BIN` names one that has them already.
fn programs(workspace: &Workspace) -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("OVERLAY_BIN") {
        return Ok(folder.into());
    }
    checked(&mut workspace.cargo(&["build", "--release", "--package", "overlayd", "--package", "overlay-top"]))?;
    Ok(workspace.target.join("release"))
}

/// A configuration of overlays that nobody answers for, with targets that were set by hand.
fn configuration() -> String {
    let (mut devices, mut entries) = (Vec::new(), Vec::new());
    for vni in 1..=NETWORKS {
        devices.push(format!(
            r#"{{"name":"ov{vni}","encapsulation":"vxlan","search":"files","vnetid":{vni},"properties":{{"files/config":"/none","vxlan/listen_ip":"127.0.0.1"}}}}"#
        ));
        for target in 0..TARGETS_EACH {
            let [.., high, low] = vni.to_be_bytes();
            entries.push(format!(
                r#"{{"device":"ov{vni}","mac":"02:00:{high:02x}:{low:02x}:00:{target:02x}","to":["10.{high}.{low}.{}:4789"]}}"#,
                target + 1
            ));
        }
    }
    format!(r#"{{"version":1,"devices":[{}],"vnics":[],"entries":[{}]}}"#, devices.join(",\n"), entries.join(",\n"))
}

fn measure(programs: &Path, folder: &Path, seconds: u64) -> Outcome<Vec<Cost>> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let (root, state) = (folder.join("root"), folder.join("root/var/lib/overlay"));
    std::fs::create_dir_all(&state).map_err(failed)?;
    std::fs::write(state.join("overlayd.json"), configuration()).map_err(failed)?;
    let log = std::fs::File::create(folder.join("overlayd.log")).map_err(failed)?;
    // In a namespace of its own: the port may be somebody else's here.
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" --root \"$1\""]).arg(programs.join("overlayd")).arg(&root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let overlayd = Running(command.spawn().map_err(|error| format!("unshare cannot be started: {error}"))?);
    wait_for_targets(programs, &root, folder)?;
    ["overlays", "targets"].into_iter().map(|screen| cost(programs, folder, &root, &overlayd, screen, seconds)).collect()
}

/// Waits until overlayd has all that it was given.
fn wait_for_targets(programs: &Path, root: &Path, folder: &Path) -> Outcome {
    let begun = Instant::now();
    let all = format!("\"total\":{}", NETWORKS * TARGETS_EACH);
    loop {
        let mut command = Command::new(programs.join("overlay-top"));
        command.args(["--batch", "-n", "1", "--json", "--limit", "1", "--screen", "targets", "--root"]).arg(root).stderr(Stdio::null());
        if output_of(&mut command).is_ok_and(|printed| printed.contains(&all)) {
            return Ok(());
        }
        if begun.elapsed() > CEILING {
            let log = std::fs::read_to_string(folder.join("overlayd.log")).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it says nothing");
            return Err(format!("overlayd has not all targets after {} s: {last}", CEILING.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Runs overlay-top on a screen for a while.
fn cost(programs: &Path, folder: &Path, root: &Path, overlayd: &Running, screen: &'static str, seconds: u64) -> Outcome<Cost> {
    let (own, timing) = (folder.join("pid"), folder.join("timing"));
    let _ = std::fs::remove_file(&own);
    let line = format!(
        "stty rows 50 cols 160; echo $$ >{own}; exec {top} --root {root} --screen {screen} --timing 2>{timing}",
        own = own.display(),
        top = programs.join("overlay-top").display(),
        root = root.display(),
        timing = timing.display()
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--command", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut script = Running(command.spawn().map_err(|error| format!("script cannot be started: {error}"))?);
    std::thread::sleep(WARM);
    let text = std::fs::read_to_string(&own).map_err(|error| format!("{}: {error}", own.display()))?;
    let top: u32 = text.trim().parse().map_err(|_| format!("`{}` is no process", text.trim()))?;
    let before = (cpu_seconds(top)?, cpu_seconds(overlayd.0.id())?, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let after = (cpu_seconds(top)?, cpu_seconds(overlayd.0.id())?, before.2.elapsed().as_secs_f64());
    checked(Command::new("kill").args(["-TERM", &top.to_string()]))?;
    script.0.wait().map_err(|error| format!("script cannot be waited for: {error}"))?;
    let said = std::fs::read_to_string(&timing).map_err(|error| format!("{}: {error}", timing.display()))?;
    let (mean_ms, longest_ms) = timing_in(&said).ok_or_else(|| format!("overlay-top does not say how long it drew: `{}`", said.trim()))?;
    let share = |before: f64, now: f64| (now - before) / after.2 * 100.0;
    Ok(Cost { screen, top: share(before.0, after.0), overlayd: share(before.1, after.1), mean_ms, longest_ms })
}

/// Of `frames 21 mean_us 530 longest_us 1900`, the mean and the longest in milliseconds.
fn timing_in(said: &str) -> Option<(f64, f64)> {
    let mut words = said.lines().find(|line| line.starts_with("frames "))?.split_whitespace();
    let mut after = |name: &str| {
        words.find(|word| *word == name)?;
        words.next()?.parse::<f64>().ok().map(|microseconds| microseconds / 1000.0)
    };
    Some((after("mean_us")?, after("longest_us")?))
}

fn report(costs: &[Cost], seconds: u64, machine: &[String]) -> String {
    let mut rows = String::new();
    for Cost { screen, top, overlayd, mean_ms, longest_ms } in costs {
        let _ = writeln!(
            rows,
            "| {screen} | {top:.1} % | {CPU_GOAL:.0} % | {mean_ms:.1} ms | {longest_ms:.1} ms | {FRAME_GOAL_MS:.0} ms | {overlayd:.1} % |"
        );
    }
    format!(
        "## overlay-top\n\n{NETWORKS} virtual networks with {TARGETS_EACH} targets each, looked at once a second for {seconds} s in a terminal of 160 x 50. \
         Shares are of one core.\n\nMachine: {}.\n\n| screen | overlay-top | goal | a picture, mean | longest | goal | overlayd for it |\n\
         |---|---:|---:|---:|---:|---:|---:|\n{rows}\nCommand:\n\n```sh\noverlay-top --root DIR --screen SCREEN --timing\n```\n",
        machine.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlay_top_says_at_its_end_is_read() {
        assert_eq!(timing_in("frames 21 mean_us 530 longest_us 1900\n"), Some((0.53, 1.9)));
        assert_eq!(timing_in("overlay-top: output: broken\n"), None);
    }

    #[test]
    fn the_configuration_fits_into_overlayds_file() {
        let text = configuration();
        assert!(text.len() < 16 << 20, "{}", text.len());
        assert_eq!(text.matches("\"vnetid\":").count(), 1_000);
        assert_eq!(text.matches("\"mac\":").count(), 100_000);
    }
}
