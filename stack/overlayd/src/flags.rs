//! What is the daemon told when it starts?

use crate::data::Steps;
use crate::manual::{Generate, below_help};
use clap::Parser;
use std::path::PathBuf;

/// The overlay data path: VNICs, encapsulation, target tables.
///
/// overlayd runs in the foreground and says on stderr when it is ready. It takes calls on /run/overlay/overlayd.sock, from overlayadm or with
/// `curl --unix-socket`; what is configured is kept below /var/lib/overlay and comes back at the next start. VNICs and their connections
/// stay while overlayd is away.
#[derive(Parser, Debug)]
#[command(name = "overlayd", version, disable_help_subcommand = true, max_term_width = 100, after_long_help = below_help())]
pub(crate) struct Flags {
    /// Keep all directories below DIR: DIR/run/overlay, DIR/var/lib/overlay, DIR/etc/overlay
    #[arg(long, value_name = "DIR", env = "OVERLAY_ROOT")]
    pub(crate) root: Option<PathBuf>,

    /// The group whose members may connect to the control socket, and change things; without it only root and its group may
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// The user, besides root, who may answer lookups on RUN/lookup.sock: a name or a number
    #[arg(long, value_name = "USER")]
    pub(crate) varpd_user: Option<String>,

    /// Threads of the data path, and queues of each VNIC [default: one for every two processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) queues: Option<u16>,

    /// Microseconds to look for work before going to sleep; 0 spares hosts that are idle
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) spin: u32,

    /// Do less at once, to measure what each step brings
    #[arg(long, hide = true, value_enum, default_value_t = Steps::Full)]
    pub(crate) data_path: Steps,

    /// Print the man page or a shell's completions
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<Generate>,

    /// Say more; twice, everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Flags::command().debug_assert();
    }
}
