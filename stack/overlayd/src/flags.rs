//! What is the daemon told when it starts?

use clap::Parser;
use std::path::PathBuf;

/// The overlay data path: VNICs, encapsulation, target tables.
///
/// overlayd runs in the foreground and says on stderr when it is ready. It takes calls on RUN/overlayd.sock, from overlayadm or with
/// `curl --unix-socket`; what is configured is kept below /var/lib/overlay and comes back at the next start. VNICs and their connections
/// stay while overlayd is away.
#[derive(Parser, Debug)]
#[command(name = "overlayd", version, disable_help_subcommand = true)]
pub(crate) struct Flags {
    /// Keep all directories below DIR: DIR/run/overlay, DIR/var/lib/overlay, DIR/etc/overlay
    #[arg(long, value_name = "DIR", env = "OVERLAY_ROOT")]
    pub(crate) root: Option<PathBuf>,

    /// The group whose members may change things through the control socket; others may look
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// Pairs of data path threads, and queues of each VNIC [default: one for every two processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) queues: Option<u16>,

    /// Microseconds to look for work before going to sleep; 0 spares hosts that are idle
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) spin: u32,

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
