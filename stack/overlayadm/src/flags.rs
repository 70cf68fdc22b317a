//! What did the user ask for? Commands and options as typed; parsing only validates and opens nothing.

use crate::examples as text;
use crate::map::MapCommand;
use crate::typed::{EtherType, Seconds, SetEntry, VnicMtu};
use clap::{ArgGroup, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use overlay_api::control::{PING_COUNT_MAX, PingTarget};
use overlay_api::{Assignment, LinkName, ModuleName, NamespaceName};
use overlay_decoder::{Mac, Vni};
use std::path::PathBuf;

/// Makes, changes and shows overlays and their VNICs.
///
/// overlayadm asks overlayd, which has to run. What it changes holds at once, and after a restart too unless it was made temporary. Who
/// may change something is root and whoever is in the group of overlayd's socket.
#[derive(Parser, Debug)]
#[command(name = "overlayadm", version, after_help = text::EXAMPLES, max_term_width = 100, color = ColorChoice::Never,
    disable_help_subcommand = true, override_usage = "overlayadm [--root DIR] COMMAND [OPTIONS] [NAME]"
)]
pub(crate) struct Flags {
    /// Ask the overlayd whose directories are below DIR; otherwise OVERLAY_ROOT says, or it is the host's own.
    #[arg(long, value_name = "DIR", global = true, display_order = 900)]
    pub(crate) root: Option<PathBuf>,

    /// Print the man page or a shell's completions.
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<GenerateFlag>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make an overlay.
    #[command(after_help = text::CREATE_OVERLAY)]
    CreateOverlay(CreateOverlay),
    /// Delete an overlay that has no VNICs.
    #[command(after_help = text::DELETE_OVERLAY)]
    DeleteOverlay {
        /// Which.
        #[arg(value_name = "OVERLAY")]
        name: LinkName,
    },
    /// Set, delete or flush entries of an overlay's target table.
    #[command(after_help = text::MODIFY_OVERLAY, override_usage = "overlayadm modify-overlay <-d MAC | -f | -s MAC=UL3|drop> OVERLAY")]
    ModifyOverlay(ModifyOverlay),
    /// Show overlays: their properties, their targets or their faults.
    #[command(after_help = text::SHOW_OVERLAY)]
    ShowOverlay(ShowOverlay),
    /// Make a VNIC on an overlay.
    #[command(after_help = text::CREATE_VNIC)]
    CreateVnic(CreateVnic),
    /// Delete a VNIC, with its interface.
    #[command(after_help = text::DELETE_VNIC)]
    DeleteVnic {
        /// Which.
        #[arg(value_name = "VNIC")]
        name: LinkName,
    },
    /// Show VNICs.
    #[command(after_help = text::SHOW_VNIC)]
    ShowVnic(ShowVnic),
    /// Set a property of an overlay or a VNIC.
    #[command(after_help = text::SET_PROP)]
    SetProp {
        /// Which property, and to what.
        #[arg(short = 'p', long = "prop", value_name = "PROP=VALUE")]
        prop: Assignment,
        /// Of which overlay or VNIC.
        #[arg(value_name = "LINK")]
        link: LinkName,
    },
    /// Set a property of an overlay or a VNIC to its default.
    #[command(after_help = text::RESET_PROP)]
    ResetProp {
        /// Which property.
        #[arg(short = 'p', long = "prop", value_name = "PROP")]
        prop: String,
        /// Of which overlay or VNIC.
        #[arg(value_name = "LINK")]
        link: LinkName,
    },
    /// Show properties of overlays and VNICs.
    #[command(after_help = text::SHOW_PROP)]
    ShowProp(ShowProp),
    /// Say where a frame would go, and why.
    #[command(after_help = text::TRACE)]
    Trace(Trace),
    /// Say whether the other end answers, how fast, and up to which size.
    #[command(after_help = text::PING)]
    Ping(Ping),
    /// Show and change the mapping that is in etcd.
    #[command(after_help = crate::map::MAP, disable_help_subcommand = true, subcommand_required = true)]
    Map {
        /// What to do with it.
        #[command(subcommand)]
        command: MapCommand,
    },
    /// Say what is wrong with this host's overlays and tunnel devices, and what to do.
    #[command(after_help = text::DOCTOR)]
    Doctor(Doctor),
}

/// `create-overlay`.
#[derive(Args, Debug)]
pub(crate) struct CreateOverlay {
    /// How frames are put on the wire: vxlan, geneve or nvgre.
    #[arg(short = 'e', long, value_name = "ENCAP")]
    pub(crate) encap: ModuleName,

    /// Where frames go: direct (all to one place), files, etcd or a plugin.
    #[arg(short = 's', long, value_name = "SEARCH")]
    pub(crate) search: ModuleName,

    /// The virtual network: VNI or VSID, 0-16777215.
    #[arg(short = 'v', long, value_name = "VNETID")]
    pub(crate) vnetid: Vni,

    /// Set a property; repeatable. docs/properties.md has them all.
    #[arg(short = 'p', long = "prop", value_name = "PROP=VALUE")]
    pub(crate) props: Vec<Assignment>,

    /// Do not keep it over a restart of overlayd.
    #[arg(short = 't', long)]
    pub(crate) temporary: bool,

    /// What to call it.
    #[arg(value_name = "OVERLAY")]
    pub(crate) name: LinkName,
}

/// `modify-overlay`.
#[derive(Args, Debug)]
pub(crate) struct ModifyOverlay {
    /// What to do with the table.
    #[command(flatten)]
    pub(crate) change: Change,

    /// Of which overlay.
    #[arg(value_name = "OVERLAY")]
    pub(crate) name: LinkName,
}

/// Exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Change {
    /// Forget what is known of MAC.
    #[arg(short = 'd', long = "delete-entry", value_name = "MAC")]
    pub(crate) delete: Option<Mac>,

    /// Forget all entries, those set by hand too.
    #[arg(short = 'f', long = "flush-table")]
    pub(crate) flush: bool,

    /// Send frames for MAC to UL3 (for a group address also a list with commas), or drop them. It stays until it is deleted.
    #[arg(short = 's', long = "set-entry", value_name = "MAC=UL3|drop")]
    pub(crate) set: Option<SetEntry>,
}

/// How to print what is shown.
#[derive(Args, Debug)]
pub(crate) struct Print {
    /// Show these fields, or all.
    #[arg(short = 'o', long = "output", value_name = "FIELD,..")]
    pub(crate) output: Option<String>,

    /// Print a JSON object a line, with all fields, as overlayd says them.
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
}

/// `show-overlay`.
#[derive(Args, Debug)]
pub(crate) struct ShowOverlay {
    /// Show the target table.
    #[arg(short = 't', long, conflicts_with = "fault")]
    pub(crate) target: bool,

    /// Show whether something is wrong, and what.
    #[arg(short = 'f', long = "fma", alias = "fault")]
    pub(crate) fault: bool,

    /// For scripts: values with ":" between them, "\:" and "\\" within them; no heading. Needs -o.
    #[arg(short = 'p', long, requires = "output", conflicts_with = "json")]
    pub(crate) parsable: bool,

    /// How.
    #[command(flatten)]
    pub(crate) print: Print,

    /// Which; all without.
    #[arg(value_name = "OVERLAY")]
    pub(crate) names: Vec<LinkName>,
}

/// `create-vnic`.
#[derive(Args, Debug)]
pub(crate) struct CreateVnic {
    /// The overlay that it shall be on.
    #[arg(short = 'l', long = "link", value_name = "OVERLAY")]
    pub(crate) overlay: LinkName,

    /// Its address; overlayd chooses one otherwise.
    #[arg(short = 'm', long = "mac-address", value_name = "MAC")]
    pub(crate) mac: Option<Mac>,

    /// The network namespace that it shall be in.
    #[arg(short = 'n', long, value_name = "NETNS")]
    pub(crate) netns: Option<NamespaceName>,

    /// Its MTU in bytes; the overlay's otherwise.
    #[arg(short = 'p', long = "prop", value_name = "mtu=N")]
    pub(crate) mtu: Option<VnicMtu>,

    /// Do not keep it over a restart of overlayd.
    #[arg(short = 't', long)]
    pub(crate) temporary: bool,

    /// What to call it, and its interface.
    #[arg(value_name = "VNIC")]
    pub(crate) name: LinkName,
}

/// `show-vnic`.
#[derive(Args, Debug)]
pub(crate) struct ShowVnic {
    /// Only those on this overlay.
    #[arg(short = 'l', long = "link", value_name = "OVERLAY", conflicts_with = "names")]
    pub(crate) overlay: Option<LinkName>,

    /// For scripts: values with ":" between them, "\:" and "\\" within them; no heading. Needs -o.
    #[arg(short = 'p', long, requires = "output", conflicts_with = "json")]
    pub(crate) parsable: bool,

    /// How.
    #[command(flatten)]
    pub(crate) print: Print,

    /// Which; all without.
    #[arg(value_name = "VNIC")]
    pub(crate) names: Vec<LinkName>,
}

/// `show-prop`.
#[derive(Args, Debug)]
pub(crate) struct ShowProp {
    /// Show these; all without.
    #[arg(short = 'p', long = "prop", value_name = "PROP,..", value_delimiter = ',')]
    pub(crate) props: Vec<String>,

    /// For scripts: values with ":" between them, "\:" and "\\" within them; no heading. Needs -o.
    #[arg(short = 'c', long, requires = "output", conflicts_with = "json")]
    pub(crate) parsable: bool,

    /// How.
    #[command(flatten)]
    pub(crate) print: Print,

    /// Of which overlays and VNICs; of all without.
    #[arg(value_name = "LINK")]
    pub(crate) links: Vec<LinkName>,
}

/// `trace`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("frames").required(true).args(["dst", "frame", "pcap"]))]
pub(crate) struct Trace {
    /// The frame from its Ethernet header on, in hexadecimal digits; blanks, ":" and "-" between bytes are allowed.
    #[arg(long, value_name = "HEX", conflicts_with_all = ["src", "vlan", "ethertype", "size"])]
    pub(crate) frame: Option<String>,

    /// Each frame of a capture: pcap, pcapng or snoop, also compressed; "-" is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,

    /// A frame to this inner address.
    #[arg(long, value_name = "MAC")]
    pub(crate) dst: Option<Mac>,

    /// From this inner address; the VNIC's otherwise.
    #[arg(long, value_name = "MAC", requires = "dst")]
    pub(crate) src: Option<Mac>,

    /// With a VLAN tag.
    #[arg(long, value_name = "ID", requires = "dst", value_parser = clap::value_parser!(u16).range(0..=4094))]
    pub(crate) vlan: Option<u16>,

    /// Of this EtherType: 0x86dd and the like, ipv4 (unless told otherwise), arp or ipv6.
    #[arg(long, value_name = "TYPE", requires = "dst")]
    pub(crate) ethertype: Option<EtherType>,

    /// With a packet of so many bytes behind Ethernet header and tag; 64 unless told otherwise.
    #[arg(long, value_name = "BYTES", requires = "dst")]
    pub(crate) size: Option<u32>,

    /// Sent by this VNIC; by none of the overlay's otherwise.
    #[arg(long, value_name = "VNIC")]
    pub(crate) vnic: Option<LinkName>,

    /// Print a JSON object for each frame.
    #[arg(long)]
    pub(crate) json: bool,

    /// Over which overlay.
    #[arg(value_name = "OVERLAY")]
    pub(crate) name: LinkName,
}

/// `ping`.
#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// The other end: its underlay address, or a MAC of a VNIC there. A direct overlay has only one.
    #[arg(long, value_name = "UL3|MAC")]
    pub(crate) to: Option<PingTarget>,

    /// Bytes of the inner packet, behind its Ethernet header: 46-65000.
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(46..=65_000))]
    pub(crate) size: u32,

    /// How many to send, before the largest is looked for.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(PING_COUNT_MAX)))]
    pub(crate) count: u32,

    /// Seconds from one to the next: 0.01-60.
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub(crate) interval: Seconds,

    /// Seconds that an answer is waited for: 0.01-60.
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub(crate) timeout: Seconds,

    /// Do not look for the largest that passes.
    #[arg(long)]
    pub(crate) no_search: bool,

    /// Print a JSON object for each event, as overlayd says it.
    #[arg(long)]
    pub(crate) json: bool,

    /// Over which overlay.
    #[arg(value_name = "OVERLAY")]
    pub(crate) name: LinkName,
}

/// `doctor`.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Look into this network namespace: a name, a path or the number of a process; repeatable. Otherwise where this program runs, where
    /// overlayd does, and where its overlays send.
    #[arg(long, value_name = "NETNS", conflicts_with = "all_netns")]
    pub(crate) netns: Vec<String>,

    /// Look into all network namespaces.
    #[arg(long)]
    pub(crate) all_netns: bool,

    /// Print a JSON object for each finding.
    #[arg(long)]
    pub(crate) json: bool,
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
    use overlay_api::StaticTarget;

    fn parsed(line: &str) -> Result<Command, String> {
        let words = std::iter::once("overlayadm").chain(line.split_ascii_whitespace());
        Flags::try_parse_from(words).map(|flags| flags.command.unwrap()).map_err(|error| error.to_string())
    }

    fn refused(line: &str) -> String {
        parsed(line).unwrap_err()
    }

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn an_overlay_is_made_with_dladms_letters() {
        let line = "create-overlay -e vxlan -s direct -v 7 -p mtu=1400 -p vxlan/listen_ip=10.0.0.1 -t ov7";
        let Ok(Command::CreateOverlay(new)) = parsed(line) else { panic!("{line}") };
        assert_eq!((new.name.as_str(), new.encap.as_str(), new.search.as_str(), new.vnetid.get()), ("ov7", "vxlan", "direct", 7));
        assert_eq!(new.props[1], Assignment { name: "vxlan/listen_ip".to_owned(), value: "10.0.0.1".to_owned() });
        assert!(new.temporary);
        let long = "create-overlay --encap vxlan --search direct --vnetid 7 --prop mtu=1400 --temporary ov7";
        assert!(parsed(long).is_ok());
    }

    #[test]
    fn a_bad_value_dies_at_the_prompt_with_what_is_allowed() {
        let with = |rest: &str| refused(&format!("create-overlay -e vxlan -s direct {rest}"));
        assert!(with("-v 16777216 ov7").contains("vni 16777216: larger than 24 bits (max 16777215)"));
        assert!(with("-v 7 a/b").contains("a link's name has letters"));
        assert!(with("-v 7 -p mtu ov7").contains("PROP=VALUE is expected"));
        assert!(with("ov7").contains("--vnetid"));
    }

    #[test]
    fn a_table_is_changed_in_exactly_one_way() {
        let Ok(Command::ModifyOverlay(modify)) = parsed("modify-overlay -s 2:8:20:a:0:1=[fd00::2]:4789 ov7") else { panic!() };
        let set = modify.change.set.unwrap();
        assert_eq!(set.to, StaticTarget::Reach(vec!["[fd00::2]:4789".parse().unwrap()]));
        assert!(parsed("modify-overlay -f ov7").is_ok() && parsed("modify-overlay -d 2:8:20:a:0:1 ov7").is_ok());
        assert!(refused("modify-overlay ov7").contains("--flush-table"));
        assert!(refused("modify-overlay -f -d 2:8:20:a:0:1 ov7").contains("cannot be used with"));
        assert!(refused("modify-overlay -s 2:8:20:a:0:1 ov7").contains("MAC=UL3 or MAC=drop is expected"));
    }

    #[test]
    fn scripts_say_which_fields_they_want() {
        assert!(refused("show-overlay -p ov7").contains("--output"));
        assert!(refused("show-overlay -t -f").contains("cannot be used with"));
        assert!(refused("show-vnic --json -o link").contains("cannot be used with"));
        assert!(parsed("show-overlay -t -p -o target,ul3 ov7 ov8").is_ok());
        let Ok(Command::ShowProp(show)) = parsed("show-prop -p mtu,vnetid -c -o value ov7") else { panic!() };
        assert_eq!(show.props, ["mtu", "vnetid"]);
    }

    #[test]
    fn a_frame_is_traced_from_hex_or_from_words() {
        assert!(parsed("trace ov7 --frame 0208200a0001 --vnic vnic0").is_ok());
        assert!(parsed("trace ov7 --dst 2:8:20:a:0:1 --src 2:8:20:a:0:2 --vlan 5 --ethertype 0x86dd --size 1400").is_ok());
        assert!(parsed("trace ov7 --pcap frames.pcap --vnic vnic0 --json").is_ok());
        assert!(refused("trace ov7").contains("--frame"));
        assert!(refused("trace ov7 --pcap frames.pcap --frame 02").contains("cannot be used with"));
        assert!(refused("trace ov7 --pcap frames.pcap --dst 2:8:20:a:0:1").contains("cannot be used with"));
        assert!(refused("trace ov7 --frame 02 --dst 2:8:20:a:0:1").contains("cannot be used with"));
        assert!(refused("trace ov7 --src 2:8:20:a:0:1").contains("required"));
        assert!(refused("trace ov7 --dst 2:8:20:a:0:1 --vlan 4095").contains("4094"));
    }

    #[test]
    fn the_root_stands_before_or_behind_the_command() {
        for line in [["overlayadm", "--root", "/a", "show-vnic"], ["overlayadm", "show-vnic", "--root", "/a"]] {
            assert_eq!(Flags::try_parse_from(line).unwrap().root, Some(PathBuf::from("/a")));
        }
    }
}
