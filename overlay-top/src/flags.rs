//! What did the user ask for? Options as typed; parsing only validates and opens nothing.

use crate::column::Screen;
use crate::filter::Filter;
use crate::view::theme::ThemeName;
use clap::builder::Styles;
use clap::{ArgGroup, ColorChoice, Parser, ValueEnum};
use overlay_decoder::UdpTunnel;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  overlay-top                                    what overlayd knows, or else the kernel
  sudo overlay-top --all-netns                   the kernel's tunnels in every namespace
  sudo overlay-top --kernel -i eth0              and which stations are seen on eth0
  overlay-top -r capture.pcapng                  a capture, played; + - [ ] change its time
  overlay-top --batch -n 1 --json | jq .rows     once, for a program
  overlay-top --batch --screen targets --filter state:pending --csv
  overlay-top --record monday.ndjson; overlay-top --replay monday.ndjson

Filters:
  vni:77  vni:10-20  name=ov1  mac:02:08  state:pending  hits>100  age<5  !source:static  /10\\.0\\.[12]/
  All words must hold. COLUMN:TEXT is contained, COLUMN=TEXT is all of it; a word alone is looked for in every column.

Exit status:
  0  ended as asked    1  nothing or not all can be shown, or output cannot be written    2  wrong usage";

/// Shows overlay networks as they are right now: counters, targets, drops, lookups.
///
/// Without options it asks overlayd if that is there, and else the kernel. Sources can be combined. Keys: ? shows them.
#[derive(Parser, Debug)]
#[command(name = "overlay-top", version, after_help = EXAMPLES, max_term_width = 100, color = ColorChoice::Never, styles = Styles::plain())]
#[command(group(ArgGroup::new("live").args(["overlayd", "kernel", "netns", "all_netns", "interfaces", "kernel_drops"]).multiple(true)))]
pub(crate) struct Flags {
    /// Ask overlayd.
    #[arg(long, help_heading = "Sources")]
    pub(crate) overlayd: bool,

    /// Ask the overlayd whose directories are below DIR; otherwise OVERLAY_ROOT says, or it is the host's own.
    #[arg(long, value_name = "DIR", help_heading = "Sources")]
    pub(crate) root: Option<PathBuf>,

    /// Ask the kernel for its tunnel devices and their tables.
    #[arg(long, help_heading = "Sources")]
    pub(crate) kernel: bool,

    /// Look at the kernel and at interfaces of this namespace: a name, a path, or a process; repeatable.
    #[arg(long, value_name = "NETNS", help_heading = "Sources")]
    pub(crate) netns: Vec<String>,

    /// Look at the kernel in every namespace.
    #[arg(long, conflicts_with = "netns", help_heading = "Sources")]
    pub(crate) all_netns: bool,

    /// Learn from the traffic of this interface, or of any; repeatable.
    #[arg(short = 'i', long = "interface", value_name = "IFACE", help_heading = "Sources")]
    pub(crate) interfaces: Vec<String>,

    /// Count the kernel's own drop reasons, too, in all namespaces (needs root and bpftrace).
    #[arg(long, help_heading = "Sources")]
    pub(crate) kernel_drops: bool,

    /// Play a capture (pcap, pcapng, snoop; also compressed).
    #[arg(short = 'r', long = "read", value_name = "FILE", conflicts_with_all = ["live", "replay"], help_heading = "Sources")]
    pub(crate) read: Option<PathBuf>,

    /// Play what --record has written.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["live", "record"], help_heading = "Sources")]
    pub(crate) replay: Option<PathBuf>,

    /// A tunnel's UDP port beside the usual ones, as in 4788=vxlan; repeatable.
    #[arg(long, value_name = "PORT=TUNNEL", value_parser = port, help_heading = "Sources")]
    pub(crate) port: Vec<(u16, UdpTunnel)>,

    /// Write everything that is told into FILE, which must not exist.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Seconds between two looks.
    #[arg(short = 'd', long = "delay", value_name = "SECS", default_value = "1", value_parser = delay)]
    pub(crate) delay: Duration,

    /// The screen to begin with.
    #[arg(long, value_name = "SCREEN", value_enum, default_value = "overlays", hide_default_value = true)]
    pub(crate) screen: Screen,

    /// Sort that screen by this column: numbers with the largest first, texts from A on.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sort: Option<String>,

    /// Sort the other way round.
    #[arg(long)]
    pub(crate) reverse: bool,

    /// Only lines for which all of these words hold.
    #[arg(long, value_name = "WORDS")]
    pub(crate) filter: Option<String>,

    /// Print instead of drawing: a table, JSON or CSV, again and again.
    #[arg(short = 'b', long, help_heading = "Without a terminal")]
    pub(crate) batch: bool,

    /// End after so many times.
    #[arg(short = 'n', long = "count", value_name = "N", requires = "batch", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Without a terminal")]
    pub(crate) count: Option<u64>,

    /// One JSON object a line, each time.
    #[arg(long, requires = "batch", conflicts_with = "csv", help_heading = "Without a terminal")]
    pub(crate) json: bool,

    /// Comma-separated values with one line of names.
    #[arg(long, requires = "batch", help_heading = "Without a terminal")]
    pub(crate) csv: bool,

    /// At most so many lines each time; otherwise all.
    #[arg(long, value_name = "N", requires = "batch", help_heading = "Without a terminal")]
    pub(crate) limit: Option<usize>,

    /// Colours for a dark or a light terminal, or none (as NO_COLOR does).
    #[arg(long, value_name = "THEME", value_enum, default_value = "dark", hide_default_value = true)]
    pub(crate) theme: ThemeName,

    /// Show times in UTC.
    #[arg(long)]
    pub(crate) utc: bool,

    /// Take keys and columns from FILE; otherwise from $XDG_CONFIG_HOME/overlay/top.toml if that is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print the man page, a shell's completions, or a configuration file with all that it may have.
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<GenerateFlag>,

    /// Say at the end how long drawing took.
    #[arg(long, hide = true)]
    pub(crate) timing: bool,
}

/// What can be generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum GenerateFlag {
    Man,
    Bash,
    Config,
    Zsh,
    Fish,
}

impl Flags {
    /// The column to sort the first screen by, and whether the largest comes first; none where nothing is said.
    ///
    /// # Errors
    /// A sentence, when there is no such column.
    pub(crate) fn order(&self) -> Result<Option<(String, bool)>, String> {
        let heads = self.screen.heads();
        let Some(name) = &self.sort else {
            return Ok(None);
        };
        let names: Vec<&str> = heads.iter().map(|head| head.name).collect();
        match heads.iter().find(|head| head.name == name) {
            Some(head) => Ok(Some((name.clone(), head.largest_first() != self.reverse))),
            None => Err(format!("--sort {name}: not a column of {}; there are {}", self.screen.name(), names.join(", "))),
        }
    }

    /// The filter of the first screen.
    ///
    /// # Errors
    /// A sentence, when it is not understood.
    pub(crate) fn words(&self) -> Result<Filter, String> {
        Filter::parse(self.filter.as_deref().unwrap_or(""), self.screen).map_err(|sentence| format!("--filter: {sentence}"))
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err("0.1 to 86400 seconds are allowed".to_owned())
}

fn port(text: &str) -> Result<(u16, UdpTunnel), String> {
    let wrong = || format!("PORT=TUNNEL is expected, as in 4788=vxlan; tunnels are {}", UdpTunnel::ALL.map(UdpTunnel::name).join(", "));
    let (port, name) = text.split_once('=').ok_or_else(wrong)?;
    let tunnel = UdpTunnel::ALL.into_iter().find(|tunnel| tunnel.name() == name).ok_or_else(wrong)?;
    match port.parse() {
        Ok(0) | Err(_) => Err(format!("{port} is no port; 1-65535 is")),
        Ok(port) => Ok((port, tunnel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn refused(arguments: &[&str]) -> String {
        Flags::try_parse_from(["overlay-top"].iter().chain(arguments)).unwrap_err().to_string()
    }

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn what_is_wrong_is_said_at_the_prompt() {
        assert!(refused(&["-d", "0"]).contains("0.1 to 86400 seconds are allowed"));
        assert!(refused(&["-d", "NaN"]).contains("0.1 to 86400"));
        assert!(refused(&["--json"]).contains("--batch"));
        assert!(refused(&["-b", "--json", "--csv"]).contains("cannot be used with"));
        assert!(refused(&["-r", "a", "--kernel"]).contains("cannot be used with"));
        assert!(refused(&["--port", "4788"]).contains("as in 4788=vxlan"));
        assert!(refused(&["--port", "0=vxlan"]).contains("1-65535"));
        assert!(refused(&["-b", "-n", "0"]).contains("0 is not in 1.."));
        let flags = Flags::parse_from(["overlay-top", "--screen", "targets", "--sort", "macs"]);
        assert!(flags.order().unwrap_err().starts_with("--sort macs: not a column of targets; there are overlay, vni, mac, "));
    }

    #[test]
    fn numbers_are_sorted_from_the_largest_on_and_texts_from_a_on() {
        let order = |arguments: &[&str]| Flags::parse_from(["overlay-top"].iter().chain(arguments)).order().unwrap();
        assert_eq!(order(&[]), None);
        assert_eq!(order(&["--sort", "drops"]), Some(("drops".to_owned(), true)));
        assert_eq!(order(&["--sort", "drops", "--reverse"]), Some(("drops".to_owned(), false)));
        assert_eq!(order(&["--sort", "name"]), Some(("name".to_owned(), false)));
    }
}
