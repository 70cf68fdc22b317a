//! Doing things inside one network namespace.

use crate::process::{self, Running};
use crate::{LabError, LabId};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where iproute2 keeps named namespaces (ip-netns(8)).
pub(crate) const NETNS: &str = "/run/netns";

/// One network namespace of a lab. A handle: dropping it removes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    role: String,
    name: String,
    state: PathBuf,
}

impl Namespace {
    /// `state` is the lab's folder.
    pub(crate) fn new(lab: &LabId, role: &str, state: &Path) -> Self {
        Self { role: role.to_owned(), name: lab.namespace(role), state: state.to_owned() }
    }

    /// What it is in its lab: `h1`, `h1v100t1` (host 1, VNI 100, tenant 1), `sw`.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// What `ip netns` calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(NETNS).join(&self.name)
    }

    /// A folder for the files of programs that run here, removed with the lab; made when first asked for.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn folder(&self) -> Result<PathBuf, LabError> {
        let folder = self.state.join(&self.role);
        std::fs::create_dir_all(&folder).map_err(LabError::io(format!("make {}", folder.display())))?;
        Ok(folder)
    }

    /// A command that will run here, through nsenter; a moment after its start it may not have entered yet. Only the network is another: files, `/proc` and also `/sys` are the host's, so that
    /// tracing and control groups work; `/proc/sys/net` is this namespace's all the same.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        // nsenter replaces itself by the program: the process id is the program's own.
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// As [`Namespace::command`], with a `/sys` that shows this namespace's `/sys/class/net`: `ip netns exec`, which mounts a new
    /// one, without what was mounted below it (tracefs, cgroups, bpf).
    #[must_use]
    pub fn command_with_own_sys(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program here to its end; its standard output.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends with a status other than 0.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Result<String, LabError> {
        let mut command = Command::new(program);
        command.args(arguments);
        self.enter(|| process::run(&mut command))?
    }

    /// Starts a program here; it is killed when the result, or the lab, is dropped. Its output goes to [`Running::log`].
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Result<Running, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let log = self.folder()?.join(format!("log.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(program);
        command.args(arguments);
        // Born here: nsenter would enter a moment after its start, and a lab removed in that moment would not find it.
        self.enter(|| Running::start_logged(command, log))?
    }

    /// Does `work` in a thread that is in this namespace. Sockets that it opens stay here wherever they are used later.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let doing = || format!("enter the namespace {}", self.name);
        let file = File::open(self.path()).map_err(LabError::io(doing()))?;
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|error| LabError::Io { doing: doing(), source: error.into() })?;
            Ok(work())
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs `ip` here, once, with many lines: `link set t0 down`.
    ///
    /// # Errors
    ///
    /// When a line fails; the lines after it are not done.
    pub fn ip(&self, lines: &[String]) -> Result<(), LabError> {
        process::batch("ip", Some(&self.name), lines)
    }

    /// Runs `bridge` here, once, with many lines: `fdb append .. dev vx100 dst 10.88.0.2`.
    ///
    /// # Errors
    ///
    /// When a line fails; the lines after it are not done.
    pub fn bridge(&self, lines: &[String]) -> Result<(), LabError> {
        process::batch("bridge", Some(&self.name), lines)
    }

    /// Loads nftables rules here, `script` as for `nft -f`. For loss, delay and partition between hosts.
    ///
    /// # Errors
    ///
    /// When they are refused.
    pub fn nft(&self, script: &str) -> Result<(), LabError> {
        // As one argument: nft parses it as it would a file.
        self.run("nft", [script]).map(drop)
    }

    /// Runs `tc` here: `["qdisc", "add", "dev", "ul0", "root", "tbf", ..]`.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn tc(&self, arguments: &[&str]) -> Result<(), LabError> {
        self.run("tc", arguments).map(drop)
    }

    /// Sets `/proc/sys/net/KEY`, such as `ipv4/ip_forward`.
    ///
    /// # Errors
    ///
    /// When there is no such key, or it does not take the value.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<(), LabError> {
        self.enter(|| {
            settings.iter().try_for_each(|(key, value)| {
                let path = Path::new("/proc/sys/net").join(key);
                std::fs::write(&path, value).map_err(LabError::io(format!("write {value} to {} in {}", path.display(), self.name)))
            })
        })?
    }
}
