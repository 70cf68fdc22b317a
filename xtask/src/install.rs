//! Which packages does a task need, and which of them are missing?
//!
//! A machine with rustup's cargo, a C compiler and git is enough to start; [`NEEDS`] names the rest. When all of it is
//! there, apt is not called at all.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Task;
use crate::run::{Outcome, Workspace, checked, output_of, succeeds};

/// How the presence of a package is seen without asking a package manager.
enum Presence {
    /// A program on PATH (or in an sbin folder, which not every PATH has).
    Program(&'static str),
    /// A file.
    File(&'static str),
}

/// One Debian package.
struct Need {
    package: &'static str,
    presence: Presence,
    tasks: &'static [Task],
}

const NEEDS: &[Need] = &[
    // overlay-captures links it: whatever builds the suite needs it.
    Need {
        package: "libpcap-dev",
        presence: Presence::File("/usr/include/pcap/pcap.h"),
        tasks: &[Task::Demo, Task::Test, Task::Bench, Task::Fuzz, Task::Dist],
    },
    // The peers of the benchmark, and the second opinions of the end-to-end tests.
    Need { package: "tcpdump", presence: Presence::Program("tcpdump"), tasks: &[Task::Test, Task::Bench] },
    Need { package: "tshark", presence: Presence::Program("tshark"), tasks: &[Task::Test, Task::Bench] },
    // End-to-end tests read compressed captures through pipes.
    Need { package: "gzip", presence: Presence::Program("gzip"), tasks: &[Task::Test, Task::Dist] },
    Need { package: "zstd", presence: Presence::Program("zstd"), tasks: &[Task::Test] },
    // Labs: namespaces with links as on a wire, pings, dropped packets; and a program started as somebody without rights, or on one core.
    Need { package: "iproute2", presence: Presence::Program("ip"), tasks: &[Task::Demo, Task::Test, Task::Bench] },
    Need { package: "iputils-ping", presence: Presence::Program("ping"), tasks: &[Task::Demo, Task::Test, Task::Bench] },
    // Sessions of the README ask for JSON, and pipe it.
    // Debian's own: one that every user may run answers lookups as somebody else.
    Need { package: "python3", presence: Presence::File("/usr/bin/python3"), tasks: &[Task::Test] },
    Need { package: "curl", presence: Presence::Program("curl"), tasks: &[Task::Test] },
    // Say whether the unit of systemd and the manual pages are sound.
    Need { package: "groff", presence: Presence::Program("groff"), tasks: &[Task::Test] },
    Need { package: "systemd", presence: Presence::Program("systemd-analyze"), tasks: &[Task::Test] },
    Need { package: "nftables", presence: Presence::Program("nft"), tasks: &[Task::Test] },
    Need { package: "ethtool", presence: Presence::Program("ethtool"), tasks: &[Task::Test, Task::Bench] },
    Need { package: "util-linux", presence: Presence::Program("setpriv"), tasks: &[Task::Demo, Task::Test, Task::Bench] },
    // A terminal that a test can look at, and the process in it.
    Need { package: "tmux", presence: Presence::Program("tmux"), tasks: &[Task::Test] },
    Need { package: "procps", presence: Presence::Program("pgrep"), tasks: &[Task::Test] },
    // Watches the probes; readelf reads the notes that announce them.
    Need { package: "bpftrace", presence: Presence::Program("bpftrace"), tasks: &[Task::Test, Task::Bench] },
    // Plugins of the tests are compiled as their authors would.
    Need { package: "gcc", presence: Presence::Program("cc"), tasks: &[Task::Test] },
    Need { package: "g++", presence: Presence::Program("g++"), tasks: &[Task::Test] },
    Need { package: "pkg-config", presence: Presence::Program("pkg-config"), tasks: &[Task::Test] },
    Need { package: "binutils", presence: Presence::Program("readelf"), tasks: &[Task::Test] },
    // The store that mappings are kept in, and its own tool; and certificates that have expired.
    Need { package: "etcd-server", presence: Presence::Program("etcd"), tasks: &[Task::Test] },
    Need { package: "etcd-client", presence: Presence::Program("etcdctl"), tasks: &[Task::Test] },
    Need { package: "openssl", presence: Presence::Program("openssl"), tasks: &[Task::Test] },
    // Kills a daemon at a chosen system call.
    Need { package: "strace", presence: Presence::Program("strace"), tasks: &[Task::Test] },
    // A peer with Geneve, and the load of the data path's benchmark.
    Need { package: "openvswitch-switch", presence: Presence::Program("ovs-vswitchd"), tasks: &[Task::Test, Task::Bench] },
    Need { package: "iperf3", presence: Presence::Program("iperf3"), tasks: &[Task::Bench] },
    // A terminal for a program that is measured.
    Need { package: "bsdutils", presence: Presence::Program("script"), tasks: &[Task::Bench] },
    // GNU time reads a child's peak memory.
    Need { package: "time", presence: Presence::Program("time"), tasks: &[Task::Bench] },
    // Counts instructions, where a clock on a shared machine cannot tell one per cent.
    Need { package: "valgrind", presence: Presence::Program("valgrind"), tasks: &[Task::Bench] },
];

/// rustup components that a minimal toolchain lacks: (component, how cargo calls it).
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// Installs what `task` needs and this machine lacks.
pub(crate) fn packages_for(workspace: &Workspace, task: Task) -> Outcome {
    let missing = missing_for(task);
    if !missing.is_empty() {
        apt_install(&missing)?;
    }
    if task == Task::Test {
        for (component, word) in COMPONENTS {
            if !succeeds(workspace.cargo(&[word, "--version"]).stdin(Stdio::null())) {
                checked(workspace.command("rustup").args(["component", "add", component]))?;
            }
        }
    }
    Ok(())
}

/// Installs Debian packages, through sudo when not root.
pub(crate) fn apt_install(packages: &[&str]) -> Outcome {
    let list = packages.join(" ");
    if find_program("apt-get").is_none() {
        return Err(format!("this machine has no apt-get; install what these Debian packages hold, then run this again: {list}"));
    }
    println!("Missing packages: {list}");
    let sudo = sudo(&list)?;
    let privileged = |arguments: &[&str]| {
        let mut words = sudo.clone();
        // Behind `env`, because sudo drops the environment.
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive"]);
        words.extend(arguments);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    };
    checked(&mut privileged(&["apt-get", "update", "--quiet"]))?;
    if packages.contains(&"tshark") {
        // Answers its one question ("may users capture?") with its own default.
        let answer = "echo wireshark-common wireshark-common/install-setuid boolean false | debconf-set-selections";
        checked(&mut privileged(&["sh", "-c", answer]))?;
    }
    let mut install = vec!["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(packages);
    checked(&mut privileged(&install))
}

/// The words before a command that make it run as root.
fn sudo(packages: &str) -> Outcome<Vec<&'static str>> {
    if output_of(Command::new("id").arg("-u"))?.trim() == "0" {
        return Ok(Vec::new());
    }
    if find_program("sudo").is_some() {
        if succeeds(Command::new("sudo").args(["-n", "true"])) {
            return Ok(vec!["sudo", "-n"]);
        }
        // sudo asks on the terminal itself, so a stdin that is /dev/null does not matter.
        if succeeds(Command::new("sh").args(["-c", ": < /dev/tty"])) {
            println!("sudo will ask for your password to run: apt-get update; apt-get install {packages}");
            return Ok(vec!["sudo"]);
        }
    }
    Err(format!("root is needed to install packages; run this as root, then try again: apt-get update && apt-get install --yes {packages}"))
}

fn missing_for(task: Task) -> Vec<&'static str> {
    NEEDS.iter().filter(|need| need.tasks.contains(&task) && !need.presence.holds()).map(|need| need.package).collect()
}

impl Presence {
    fn holds(&self) -> bool {
        match self {
            Self::Program(name) => find_program(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
        }
    }
}

/// A program on PATH or in the usual sbin folders.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_and_an_invented_one_is_not() {
        assert!(Presence::Program("sh").holds());
        assert!(!Presence::Program("no-such-program-anywhere").holds());
        assert!(Presence::File("/proc/self/stat").holds());
    }

    #[test]
    fn a_package_is_listed_once_and_used_by_some_task() {
        for (index, need) in NEEDS.iter().enumerate() {
            assert!(!need.tasks.is_empty(), "{} is used by no task", need.package);
            assert!(NEEDS[..index].iter().all(|other| other.package != need.package), "{} is listed twice", need.package);
        }
    }
}
