//! Which processes are asked? By process id, by the directories of a host, or whoever runs.

use crate::Refusal;
use overlay_api::Paths;
use overlay_client::{Client, VarpdClient};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a daemon may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// A daemon of the suite; its name is that of its program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Daemon {
    /// Fires the provider `overlay`.
    Overlayd,
    /// Fires the provider `varpd`.
    Varpd,
}

impl Daemon {
    pub(crate) const BOTH: [Self; 2] = [Self::Overlayd, Self::Varpd];

    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Overlayd => "overlay",
            Self::Varpd => "varpd",
        }
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlayd => "overlayd",
            Self::Varpd => "varpd",
        })
    }
}

/// A daemon that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) daemon: Daemon,
    pub(crate) pid: u32,
    /// What it was told with `--root`, where that can be seen.
    root: Option<PathBuf>,
}

impl Found {
    const fn new(daemon: Daemon, pid: u32) -> Self {
        Self { daemon, pid, root: None }
    }
}

/// How the user says which.
pub(crate) enum Choice<'a> {
    /// By process id.
    Pids(&'a [u32]),
    /// By the directories.
    Root(Paths),
    /// Whoever runs.
    Any,
}

/// The daemons of `wanted` that are to be watched, each once. A part of a question may be left out because its daemon does not run; it is
/// the second value then.
///
/// # Errors
/// When none is there, or it is not clear which.
pub(crate) fn find(choice: &Choice<'_>, wanted: &[Daemon]) -> Result<(Vec<Found>, Vec<String>), Refusal> {
    let found = match choice {
        Choice::Pids(pids) => return by_pid(pids, wanted).map(|found| (found, Vec::new())),
        Choice::Root(paths) => wanted.iter().map(|daemon| by_root(paths, *daemon)).collect(),
        Choice::Any => by_looking(&running(), wanted)?,
    };
    let mut absent = Vec::new();
    let mut here = Vec::new();
    for one in found {
        match one {
            Ok(found) => here.push(found),
            Err(sentence) => absent.push(sentence),
        }
    }
    if here.is_empty() { Err(Refusal::Failed(absent.join("; "))) } else { Ok((here, absent)) }
}

fn by_pid(pids: &[u32], wanted: &[Daemon]) -> Result<Vec<Found>, Refusal> {
    let mut found: Vec<Found> = Vec::new();
    for &pid in pids {
        let daemon = match program_of(pid) {
            Program::Gone => return Err(Refusal::Failed(format!("there is no process {pid}, or it cannot be seen"))),
            Program::Daemon(daemon) => daemon,
            Program::Other(name) => {
                return Err(Refusal::Failed(format!("process {pid} runs {name}; expected overlayd or varpd")));
            }
        };
        if !wanted.contains(&daemon) {
            let wanted = names(wanted);
            return Err(Refusal::Failed(format!("process {pid} is {daemon}; this question is asked of {wanted}")));
        }
        if let Some(before) = found.iter().find(|found| found.daemon == daemon) {
            return Err(Refusal::Usage(format!("processes {} and {pid} are both {daemon}; watch one of them", before.pid)));
        }
        found.push(Found::new(daemon, pid));
    }
    Ok(found)
}

fn by_root(paths: &Paths, daemon: Daemon) -> Result<Found, String> {
    let pid = match daemon {
        Daemon::Overlayd => Client::overlayd(paths).with_timeout(PATIENCE).status().map(|status| status.pid),
        Daemon::Varpd => VarpdClient::new(paths).status().map(|status| status.pid),
    };
    pid.map(|pid| Found::new(daemon, pid)).map_err(|error| error.to_string())
}

/// Of those that run, the one of each kind.
fn by_looking(running: &[Found], wanted: &[Daemon]) -> Result<Vec<Result<Found, String>>, Refusal> {
    let of = |daemon: Daemon| running.iter().filter(move |found| found.daemon == daemon);
    if wanted.iter().any(|daemon| of(*daemon).count() > 1) {
        let mut sentence = "several daemons run; choose with --root or --pid:".to_owned();
        for Found { daemon, pid, root } in wanted.iter().flat_map(|daemon| of(*daemon)) {
            let root = root.as_ref().map(|root| format!("  --root {}", root.display())).unwrap_or_default();
            sentence.push_str(format!("\n  --pid {pid:<8} {daemon:<8}{root}").trim_end());
        }
        return Err(Refusal::Usage(sentence));
    }
    Ok(wanted.iter().map(|daemon| of(*daemon).next().cloned().ok_or_else(|| format!("{daemon} does not run"))).collect())
}

fn names(daemons: &[Daemon]) -> String {
    daemons.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// What a process runs.
enum Program {
    Daemon(Daemon),
    Other(String),
    Gone,
}

fn program_of(pid: u32) -> Program {
    let Ok(exe) = std::fs::read_link(format!("/proc/{pid}/exe")) else { return Program::Gone };
    let exe = exe.to_string_lossy();
    // An update has replaced the file that still runs.
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe);
    let name = exe.rsplit('/').next().unwrap_or(exe);
    Daemon::BOTH.into_iter().find(|daemon| daemon.to_string() == name).map_or_else(|| Program::Other(name.to_owned()), Program::Daemon)
}

/// The daemons that run, by process id.
fn running() -> Vec<Found> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let found = |pid: u32| match program_of(pid) {
        Program::Daemon(daemon) => Some(Found { daemon, pid, root: root_of(pid) }),
        Program::Other(_) | Program::Gone => None,
    };
    pids.into_iter().filter_map(found).collect()
}

/// The directories that a process was told.
fn root_of(pid: u32) -> Option<PathBuf> {
    let words = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()
    };
    let command = words("cmdline");
    let flag = command.iter().find_map(|word| word.strip_prefix("--root="));
    let flag = flag.or_else(|| command.windows(2).find(|pair| pair[0] == "--root").map(|pair| &*pair[1]));
    let environment = words("environ");
    let variable = || environment.iter().find_map(|word| word.strip_prefix("OVERLAY_ROOT="));
    flag.or_else(variable).filter(|root| !root.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
pub(crate) fn test_pair(overlayd: u32, varpd: u32) -> Vec<Found> {
    vec![Found::new(Daemon::Overlayd, overlayd), Found::new(Daemon::Varpd, varpd)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_daemons_are_listed_to_choose_from() {
        let running = [
            Found { daemon: Daemon::Overlayd, pid: 17, root: Some("/tmp/h1".into()) },
            Found { daemon: Daemon::Overlayd, pid: 19, root: None },
            Found { daemon: Daemon::Varpd, pid: 23, root: None },
        ];
        let Err(Refusal::Usage(sentence)) = by_looking(&running, &[Daemon::Overlayd]) else { panic!("it chose") };
        assert!(sentence.ends_with("\n  --pid 17       overlayd  --root /tmp/h1\n  --pid 19       overlayd"), "{sentence}");
        let one = by_looking(&running, &[Daemon::Varpd]).unwrap();
        assert_eq!(one, [Ok(running[2].clone())]);
    }

    #[test]
    fn who_does_not_run_is_said() {
        let alone = [Found::new(Daemon::Overlayd, 17)];
        let found = by_looking(&alone, &Daemon::BOTH).unwrap();
        assert_eq!(found, [Ok(alone[0].clone()), Err("varpd does not run".to_owned())]);
    }

    #[test]
    fn a_process_that_is_no_daemon_is_refused_by_its_name() {
        let own = std::process::id();
        let refusal = find(&Choice::Pids(&[own]), &Daemon::BOTH).unwrap_err();
        assert!(matches!(&refusal, Refusal::Failed(text) if text.starts_with(&format!("process {own} runs overlay_trace"))), "{refusal:?}");
        let refusal = find(&Choice::Pids(&[4_194_304]), &Daemon::BOTH).unwrap_err();
        assert!(matches!(&refusal, Refusal::Failed(text) if text.contains("no process 4194304")), "{refusal:?}");
    }

    #[test]
    fn without_a_socket_the_daemon_is_not_there() {
        let refusal = find(&Choice::Root(Paths::under("/nonexistent")), &[Daemon::Overlayd]).unwrap_err();
        assert!(matches!(&refusal, Refusal::Failed(text) if text.contains("overlayd")), "{refusal:?}");
    }
}
