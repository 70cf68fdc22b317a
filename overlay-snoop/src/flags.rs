//! What did the user ask for? Flags as typed; parsing only validates and opens nothing.

use crate::clock::TimeFormat;
use clap::{ArgAction, Parser, ValueEnum};
use overlay_decoder::UdpTunnel;
use std::path::PathBuf;
use std::str::FromStr;

const EXAMPLES: &str = "\
Filter:
  The expression is pcap-filter(7) for the outer packet, as for tcpdump. These
  words see through tunnels, and combine with and, or, not and parentheses:
    vni 77, vni 100-200      a virtual network, or a range of them
    tunnel geneve            vxlan, vxlan-gpe, geneve, nvgre, gre, erspan or ipip
    outer(EXPR)              pcap-filter on the outer packet
    inner(EXPR)              pcap-filter on any packet inside a tunnel
    layer 2 (EXPR)           on the packet behind the first tunnel; 1 is the outer
    stopped                  packets that could not be decoded to their end

Examples:
  overlay-snoop                  what carries the host's tunnels, live
  overlay-snoop -i eth0 'vni 77 and inner(icmp)'
  overlay-snoop -r trace.pcap
  overlay-snoop -r trace.pcap 'vni 77 and inner(tcp port 443)'
  overlay-snoop -r trace.pcap -V | grep geneve
  overlay-snoop -r trace.pcap --json | jq .vni
  overlay-snoop -r trace.pcap --stats
  overlay-snoop -r all.pcapng -w some.pcap 'vni 77'
  ssh host tcpdump -w - udp port 4789 | overlay-snoop -r -

Exit status:
    0  the whole capture was read, or capturing ended as asked
    1  a capture could not be opened, read or written to its end; what was good
       has been delivered
    2  the command line or the filter is wrong
  130  interrupted";

/// Decodes VXLAN, Geneve, NVGRE and GRE traffic, outer and inner.
///
/// Reads a capture (pcap, pcapng or snoop; plain, gzip or zstd), or captures on interfaces, and prints a line per packet that keeps
/// the outer packet, the tunnel with its VNI, and the inner packet apart. Captures know the host's tunnel devices: their ports are
/// decoded without an option. On SIGUSR1, a capture says what it has counted.
#[derive(Parser, Debug)]
#[command(name = "overlay-snoop", version, after_help = EXAMPLES, max_term_width = 120, disable_help_flag = true,
    disable_version_flag = true
)]
pub(crate) struct Flags {
    /// Read packets from FILE; - is standard input.
    #[arg(short = 'r', long = "read", value_name = "FILE", conflicts_with_all = ["interfaces", "list", "direction", "duration"], help_heading = "Source")]
    pub(crate) read: Option<PathBuf>,

    /// Capture on IFACE, or on any; repeatable. Without -i and -r: on what carries the host's own tunnels.
    #[arg(short = 'i', long = "interface", value_name = "IFACE", help_heading = "Source")]
    pub(crate) interfaces: Vec<String>,

    /// List the interfaces and tunnel devices, and stop.
    #[arg(short = 'D', long = "list-interfaces", help_heading = "Source")]
    pub(crate) list: bool,

    /// Capture in the network namespace with this name, process id or path; repeatable.
    #[arg(long, value_name = "NAME|PID|PATH", conflicts_with_all = ["read", "all_netns"], help_heading = "Source")]
    pub(crate) netns: Vec<String>,

    /// Capture in every network namespace that can be read, containers' too.
    #[arg(long, conflicts_with = "read", help_heading = "Source")]
    pub(crate) all_netns: bool,

    /// Capture only packets that come in, or go out.
    #[arg(short = 'Q', long = "direction", value_enum, value_name = "in|out|inout", help_heading = "Source")]
    pub(crate) direction: Option<DirectionFlag>,

    /// Capture at most BYTES of each packet.
    #[arg(short = 's', long = "snapshot-length", value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=1_048_576), help_heading = "Source")]
    pub(crate) snaplen: u32,

    /// Memory for packets that wait to be read, per interface.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", default_value_t = 32_768, value_parser = clap::value_parser!(u32).range(64..=1_048_576), help_heading = "Source")]
    pub(crate) buffer: u32,

    /// Do not put interfaces into promiscuous mode.
    #[arg(short = 'p', long = "no-promiscuous-mode", help_heading = "Source")]
    pub(crate) no_promiscuous: bool,

    /// Stop after SECONDS of capturing.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Source")]
    pub(crate) duration: Option<u64>,

    /// Leave out packets that were seen on another interface a moment before; without it they are marked.
    #[arg(long, conflicts_with = "read", help_heading = "Source")]
    pub(crate) dedupe: bool,

    /// Stop after COUNT packets that match.
    #[arg(short = 'c', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Source")]
    pub(crate) count_limit: Option<u64>,

    /// Decode UDP port N as TUNNEL (vxlan, vxlan-gpe or geneve), beside 4789, 8472, 4790 and 6081; repeatable.
    #[arg(long = "port", value_name = "TUNNEL=N", help_heading = "Decoding")]
    pub(crate) ports: Vec<PortFlag>,

    /// Do not look for tunnels on other ports. The guess is strict, and marked where it is made.
    #[arg(long, help_heading = "Decoding")]
    pub(crate) no_guess: bool,

    /// Follow at most N tunnels in a packet.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=32), help_heading = "Decoding")]
    pub(crate) depth: u8,

    /// Verify checksums in every output, not only in the tree.
    #[arg(long, overrides_with = "no_checksums", help_heading = "Decoding")]
    pub(crate) verify: bool,

    /// Do not verify checksums in the tree.
    #[arg(short = 'K', overrides_with = "verify", help_heading = "Decoding")]
    pub(crate) no_checksums: bool,

    /// Print addresses, not the names that /etc/ethers and /etc/hosts have for them. Names are never asked of the network.
    #[arg(short = 'n', action = ArgAction::Count, help_heading = "Output")]
    pub(crate) numeric: u8,

    /// Print the tree: every field with byte offsets, checksums verified. -vv adds the bytes.
    #[arg(short = 'v', action = ArgAction::Count, conflicts_with_all = ["layers", "json", "stats"], help_heading = "Output")]
    pub(crate) verbose: u8,

    /// Print one line per layer.
    #[arg(short = 'V', conflicts_with_all = ["json", "stats"], help_heading = "Output")]
    pub(crate) layers: bool,

    /// Print a JSON object per packet and line (NDJSON); with --stats, one object.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Print who talked instead of packets: per virtual network and per conversation, the VNI part of each.
    #[arg(long, help_heading = "Output")]
    pub(crate) stats: bool,

    /// Print only the number of packets.
    #[arg(long, conflicts_with_all = ["json", "stats", "verbose", "layers", "hex", "ascii"], help_heading = "Output")]
    pub(crate) count: bool,

    /// Print the MAC addresses of each packet in the packet.
    #[arg(short = 'e', help_heading = "Output")]
    pub(crate) link_level: bool,

    /// Print the number of each packet in the capture.
    #[arg(short = '#', long = "number", help_heading = "Output")]
    pub(crate) number: bool,

    /// Print the bytes in hex, without the outer link header; -xx with it.
    #[arg(short = 'x', action = ArgAction::Count, conflicts_with_all = ["json", "stats"], help_heading = "Output")]
    pub(crate) hex: u8,

    /// Print the bytes in hex and ASCII, without the outer link header; -XX with it.
    #[arg(short = 'X', action = ArgAction::Count, conflicts_with_all = ["json", "stats"], help_heading = "Output")]
    pub(crate) ascii: u8,

    /// -t no time, -tt seconds since 1970, -ttt since the packet before, -tttt with the date, -ttttt since the first.
    #[arg(short = 't', action = ArgAction::Count, help_heading = "Output")]
    pub(crate) time: u8,

    /// Print times in UTC instead of the local zone.
    #[arg(long, help_heading = "Output")]
    pub(crate) utc: bool,

    /// Print nanoseconds.
    #[arg(long, help_heading = "Output")]
    pub(crate) nano: bool,

    /// Colour what stands out; auto is on a terminal and without NO_COLOR.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorFlag::Auto, help_heading = "Output")]
    pub(crate) color: ColorFlag,

    /// Write each packet out at once instead of in blocks.
    #[arg(short = 'l', help_heading = "Output")]
    pub(crate) line_buffered: bool,

    /// Decode with N threads; the order of the output stays. Default: the cores, at most 4, and 1 for pipes and small files.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Output")]
    pub(crate) threads: Option<u8>,

    /// Write the packets to FILE instead of printing them; .pcapng and .snoop choose the format, - is standard output.
    #[arg(short = 'w', long = "write", value_name = "FILE", conflicts_with_all = ["json", "stats", "count", "layers"], help_heading = "Files")]
    pub(crate) write: Option<PathBuf>,

    /// Bring each packet to the file at once instead of in blocks.
    #[arg(short = 'U', long = "packet-buffered", requires = "write", help_heading = "Files")]
    pub(crate) packet_buffered: bool,

    /// Start another file after MEGABYTES (of 1,000,000 bytes): FILE-00001, FILE-00002 ...
    #[arg(short = 'C', value_name = "MEGABYTES", requires = "write", conflicts_with = "read", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Files")]
    pub(crate) file_size: Option<u64>,

    /// Start another file after SECONDS; %H, %s and the like in FILE become the time of its first packet, as in strftime(3).
    #[arg(short = 'G', value_name = "SECONDS", requires = "write", conflicts_with = "read", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Files")]
    pub(crate) file_seconds: Option<u64>,

    /// Keep the newest COUNT files of -C and -G, and remove the others.
    #[arg(short = 'W', value_name = "COUNT", requires = "write", conflicts_with = "read", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Files")]
    pub(crate) file_count: Option<u32>,

    /// Become USER once everything is open: nobody, unless told otherwise. Only root can.
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER", conflicts_with = "read", help_heading = "Rights")]
    pub(crate) user: Option<String>,

    /// Refuse to run where not every right can be given up (user, capabilities, landlock, seccomp).
    #[arg(long, conflicts_with = "read", help_heading = "Rights")]
    pub(crate) strict_sandbox: bool,

    /// Show what of the filter runs before decoding and what after, and stop.
    #[arg(long, help_heading = "Source")]
    pub(crate) explain: bool,

    /// Print help.
    #[arg(short = 'h', long, action = ArgAction::Help, help_heading = "Other")]
    pub(crate) help: Option<bool>,

    /// Print the version.
    #[arg(long, action = ArgAction::Version, help_heading = "Other")]
    pub(crate) version: Option<bool>,

    /// Print the man page or a shell's completions.
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<GenerateFlag>,

    /// pcap-filter(7) for the outer packet, and the words below.
    #[arg(value_name = "EXPRESSION")]
    pub(crate) filter: Vec<String>,
}

impl Flags {
    /// The filter expression; its words are joined as tcpdump joins them.
    pub(crate) fn filter_text(&self) -> String {
        self.filter.join(" ")
    }

    /// How often `-t` was given, as a format.
    pub(crate) fn time_format(&self) -> TimeFormat {
        match self.time {
            0 => TimeFormat::TimeOfDay,
            1 => TimeFormat::None,
            2 => TimeFormat::Epoch,
            3 => TimeFormat::SincePrevious,
            4 => TimeFormat::Date,
            _ => TimeFormat::SinceFirst,
        }
    }
}

/// A UDP port and what it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PortFlag {
    /// What it carries.
    pub(crate) tunnel: UdpTunnel,
    /// The UDP port.
    pub(crate) port: u16,
}

impl FromStr for PortFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once('=').ok_or("TUNNEL=N is expected, as in vxlan=12345")?;
        let tunnel = UdpTunnel::ALL.into_iter().find(|tunnel| tunnel.name() == name);
        let tunnel = tunnel.ok_or_else(|| format!("'{name}' has no UDP port; vxlan, vxlan-gpe and geneve have"))?;
        match number.parse() {
            Ok(port) if port > 0 => Ok(Self { tunnel, port }),
            _ => Err(format!("'{number}' is no UDP port; 1 to 65535 are")),
        }
    }
}

/// Which way packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DirectionFlag {
    /// Received.
    In,
    /// Sent.
    Out,
    /// Both.
    Inout,
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ColorFlag {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `--generate` makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum GenerateFlag {
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
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_port_names_its_tunnel_and_a_bad_one_says_what_is_allowed() {
        assert_eq!("vxlan-gpe=99".parse(), Ok(PortFlag { tunnel: UdpTunnel::VxlanGpe, port: 99 }));
        assert_eq!("nvgre=99".parse::<PortFlag>().unwrap_err(), "'nvgre' has no UDP port; vxlan, vxlan-gpe and geneve have");
        assert_eq!("vxlan=65536".parse::<PortFlag>().unwrap_err(), "'65536' is no UDP port; 1 to 65535 are");
        assert_eq!("vxlan=0".parse::<PortFlag>().unwrap_err(), "'0' is no UDP port; 1 to 65535 are");
        assert_eq!("vxlan".parse::<PortFlag>().unwrap_err(), "TUNNEL=N is expected, as in vxlan=12345");
    }

    #[test]
    fn tcpdumps_letters_combine() {
        let flags = Flags::try_parse_from(["overlay-snoop", "-nnevvttttr", "x.pcap", "udp", "port", "53"]).unwrap();
        assert_eq!((flags.numeric, flags.verbose, flags.time_format()), (2, 2, TimeFormat::Date));
        assert!(flags.link_level);
        assert_eq!(flags.filter_text(), "udp port 53");
    }
}
