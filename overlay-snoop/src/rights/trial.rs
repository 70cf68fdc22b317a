//! How does a test give up its rights without taking them from the tests after it? It runs itself again, in a process of its own.
//!
//! A test asks [`role`] first. Without one it is the test: it starts [`again`] with a role and looks at what came of it. With
//! one it is that process, alone in its test program, on the main thread.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const ROLE: &str = "OVERLAY_SNOOP_TEST_ROLE";
const LACKS: &str = "lacks: ";

/// What this process is to be; `None` for the test itself.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// This test program, to run one test with a role. `test` is `concat!(module_path!(), "::NAME")`.
pub(crate) fn again(test: &str, role: &str) -> Command {
    let (_, path) = test.split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

/// Runs a role to its end with `input` on its standard input; it must succeed. What it lacks is counted as skipped.
pub(crate) fn play(test: &str, role: &str, input: &[u8]) {
    let mut command = again(test, role);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let Output { status, stdout, stderr } = process.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && stdout.contains("1 passed"), "{role}: {status}\n{stdout}\n{stderr}");
    stdout.lines().filter_map(|line| line.strip_prefix(LACKS)).for_each(|reason| skip(test, reason));
}

/// Says from inside a role that something cannot be tested here: a role has no right to write the list of skips.
pub(crate) fn lacks(reason: &str) {
    let _ = writeln!(std::io::stdout(), "\n{LACKS}{reason}");
}

/// Whether this is root; otherwise the test is counted as skipped.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(test, "only root has rights to drop");
    }
    root
}

/// A skip is visible and counted, never a silent success.
pub(crate) fn skip(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
    if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}

/// The value of a field of a `/proc/PID/status`, words set apart by one space.
pub(crate) fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.unwrap_or_else(|| panic!("no {name} in {status}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes landlock unknown to this process and its children, as some containers do.
pub(crate) fn forbid_landlock() {
    use nix::libc;
    use seccompiler::{SeccompAction, SeccompFilter, apply_filter};
    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into_iter().collect();
    let refusal = SeccompAction::Errno(libc::ENOSYS as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
    apply_filter(&Vec::<seccompiler::sock_filter>::try_from(filter).unwrap()).unwrap();
}
