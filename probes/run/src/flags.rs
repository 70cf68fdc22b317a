//! What did the user ask for? Parsing only validates and opens nothing.

use crate::manual::EXAMPLES;
use clap::{ArgGroup, Parser, ValueEnum};
use overlay_decoder::{Mac, Vni};
use std::path::PathBuf;

/// Asks the overlay stack's probes a question, while it runs.
///
/// Each question is a script for bpftrace, and one for DTrace. overlay-trace finds the daemons and runs the script until Ctrl-C, or until
/// COUNT intervals are over; then it prints what was counted. Nothing is changed, and what is not watched costs nothing.
#[derive(Parser, Debug)]
#[command(name = "overlay-trace", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
#[command(override_usage = "overlay-trace [OPTIONS] NAME [INTERVAL [COUNT]]\n       overlay-trace --list | --probes [GLOB] | --show NAME")]
#[command(group = ArgGroup::new("what").required(true).args(["name", "list", "probes", "show", "generate"]))]
pub(crate) struct Flags {
    /// The question; --list names them
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Show the totals every INTERVAL seconds
    #[arg(value_name = "INTERVAL", requires = "name", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) interval: Option<u32>,

    /// End after COUNT intervals
    #[arg(value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: Option<u32>,

    /// List the questions
    #[arg(long, conflicts_with_all = ["vni", "mac", "json", "pid", "write", "root"])]
    pub(crate) list: bool,

    /// List the probes whose PROVIDER:PROBE or name matches GLOB (with * and ?), with their arguments; without GLOB, all
    #[arg(long, value_name = "GLOB", num_args = 0..=1, default_missing_value = "*", conflicts_with_all = ["vni", "mac", "json", "pid", "write", "root"])]
    pub(crate) probes: Option<String>,

    /// Print a question's script
    #[arg(long, value_name = "NAME", conflicts_with_all = ["vni", "mac", "json", "pid", "write", "root"])]
    pub(crate) show: Option<String>,

    /// Look at this virtual network only
    #[arg(long, value_name = "VNI", requires = "name")]
    pub(crate) vni: Option<Vni>,

    /// Look at frames from or to this MAC only
    #[arg(long, value_name = "MAC", requires = "name")]
    pub(crate) mac: Option<Mac>,

    /// Print a JSON object a line: `type`, and `data` by the script's names
    #[arg(long, requires = "name")]
    pub(crate) json: bool,

    /// Write the frames into FILE (pcapng); for the question `frames`
    #[arg(short, long, value_name = "FILE", requires = "name", conflicts_with = "json")]
    pub(crate) write: Option<PathBuf>,

    /// Watch this process; twice, an overlayd and a varpd
    #[arg(long, value_name = "PID", requires = "name", value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(crate) pid: Vec<u32>,

    /// Watch the daemons whose directories are below DIR; otherwise OVERLAY_ROOT says, or it is those that run
    #[arg(long, value_name = "DIR", requires = "name", conflicts_with = "pid")]
    pub(crate) root: Option<PathBuf>,

    /// Take the scripts from DIR: NAME.bt, NAME.d
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Trace with this; otherwise with what the system has
    #[arg(long, value_enum)]
    pub(crate) tracer: Option<TracerFlag>,

    /// Print the man page, that of the question --of NAME, or a shell's completions
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<Generate>,

    /// The question whose man page is to be printed
    #[arg(long, hide = true, value_name = "NAME", requires = "generate")]
    pub(crate) of: Option<String>,
}

/// Programs that run scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TracerFlag {
    /// bpftrace, on Linux.
    Bpftrace,
    /// DTrace, on illumos, macOS, FreeBSD and, where it is installed, Linux.
    Dtrace,
}

/// What `--generate` makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Generate {
    /// The man page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Flags::command().debug_assert();
    }

    #[test]
    fn one_thing_is_asked_for() {
        for wrong in [&["overlay-trace"][..], &["overlay-trace", "--list", "drops"], &["overlay-trace", "--list", "--vni", "7"]] {
            assert!(Flags::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
        for bad in [["--vni", "16777216"], ["--mac", "02:08"], ["--pid", "0"]] {
            assert!(Flags::try_parse_from(["overlay-trace", "drops"].into_iter().chain(bad)).is_err(), "{bad:?}");
        }
        let flags = Flags::try_parse_from(["overlay-trace", "drops", "2", "5", "--vni", "77"]).unwrap();
        assert_eq!((flags.interval, flags.count), (Some(2), Some(5)));
        assert_eq!(Flags::try_parse_from(["overlay-trace", "--probes"]).unwrap().probes.as_deref(), Some("*"));
    }
}
