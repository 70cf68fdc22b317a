//! What is the daemon told when it starts, or asked instead of starting?

use clap::{ArgGroup, Parser, ValueEnum};
use overlay_api::{Assignment, ModuleName};
use overlay_decoder::{Mac, Vni};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

const EXAMPLES: &str = "\
EXAMPLES:
  varpd                                        run the daemon
  curl --unix-socket /run/overlay/varpd.sock http://localhost/v1/instances
  varpd --query -s files -p files/config=/etc/overlay/map.json -v 77 --dst 02:08:20:0a:00:02
  varpd --query -s files -p files/config=/etc/overlay/map.json -v 77 --arp 192.168.0.2 --json
  varpd --check ./acme.so
  varpd --plugins . --query -s acme -p acme/zone=east -v 77 --dst 02:08:20:0a:00:02";

/// Answers overlayd's question where frames go, through plugins.
///
/// varpd runs in the foreground and says on stderr when it is ready. It connects to RUN/lookup.sock, where overlayd tells it which
/// overlays want which plugin, and again whenever overlayd comes back. It takes calls on RUN/varpd.sock, and needs no privilege: overlayd
/// lets in root and the user of its --varpd-user. With --query it asks a plugin once, without overlayd, and prints the answer.
///
/// The plugins "files" and "etcd" are built in. Others are shared objects, each in a process of its own; varpd_plugin(7) says how one is written.
#[derive(Parser, Debug)]
#[command(name = "varpd", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
#[command(group = ArgGroup::new("question").args(["dst", "frame", "arp", "ndp"]).multiple(true))]
pub(crate) struct Flags {
    /// Keep all directories below DIR: DIR/run/overlay, DIR/etc/overlay
    #[arg(long, value_name = "DIR", env = "OVERLAY_ROOT")]
    pub(crate) root: Option<PathBuf>,

    /// The group whose members may use the control socket (mode 0660); without it, varpd's own
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// Say more; twice, everything. The running daemon is told by PUT /v1/log
    #[arg(long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Load the shared objects (*.so) of DIR as plugins [default: /usr/lib/overlay/plugins, below --root]. Nobody but root and the user that
    /// varpd runs as may be able to write to it
    #[arg(long, value_name = "DIR", help_heading = "Plugins")]
    pub(crate) plugins: Option<PathBuf>,

    /// Milliseconds that a shared object has for an answer; a call that takes twice as long ends its process, which is started again
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(100..=600_000), help_heading = "Plugins")]
    pub(crate) deadline: u64,

    /// Load FILE in a process of its own, print what it declares or what is wrong with it, and end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["query", "plugins"], help_heading = "Plugins")]
    pub(crate) check: Option<PathBuf>,

    /// Be the process of a shared object
    #[arg(long, value_name = "FILE", hide = true, conflicts_with_all = ["query", "check", "plugins"])]
    pub(crate) host: Option<PathBuf>,

    /// Where the shared object of --host keeps what it saves
    #[arg(long, value_name = "DIR", hide = true, requires = "host")]
    pub(crate) cache: Option<PathBuf>,

    /// Ask a plugin once, print the answer and the time it took, and end
    #[arg(long, requires_all = ["search", "vnetid", "question"], help_heading = "Query")]
    query: bool,

    /// The plugin
    #[arg(short, long, value_name = "PLUGIN", requires = "query", help_heading = "Query")]
    search: Option<ModuleName>,

    /// The virtual network
    #[arg(short, long, value_name = "VNETID", requires = "query", help_heading = "Query")]
    vnetid: Option<Vni>,

    /// A property of the plugin; repeat it for more
    #[arg(short = 'p', long = "prop", value_name = "PROP=VALUE", requires = "query", help_heading = "Query")]
    props: Vec<Assignment>,

    /// The encapsulation: nvgre's destinations have no port
    #[arg(short, long, value_name = "MODULE", default_value = "vxlan", requires = "query", help_heading = "Query")]
    encap: Encapsulation,

    /// The inner destination (VL2)
    #[arg(long, value_name = "MAC", requires = "query", conflicts_with_all = ["frame", "arp", "ndp"], help_heading = "Query")]
    dst: Option<Mac>,

    /// The inner source (VL2) [default: 02:00:00:00:00:01]
    #[arg(long, value_name = "MAC", requires = "query", conflicts_with = "frame", help_heading = "Query")]
    src: Option<Mac>,

    /// The EtherType of the frame, in hexadecimal [default: 0x0800]
    #[arg(long, value_name = "NUMBER", requires = "dst", value_parser = ethertype, help_heading = "Query")]
    ethertype: Option<u16>,

    /// The whole frame, from its Ethernet header on
    #[arg(long, value_name = "HEX", requires = "query", conflicts_with_all = ["arp", "ndp"], help_heading = "Query")]
    frame: Option<Frame>,

    /// An ARP request for this inner address
    #[arg(long, value_name = "IPV4", requires = "query", conflicts_with = "ndp", help_heading = "Query")]
    arp: Option<Ipv4Addr>,

    /// A neighbour solicitation for this inner address
    #[arg(long, value_name = "IPV6", requires = "query", help_heading = "Query")]
    ndp: Option<Ipv6Addr>,

    /// Print the answer as JSON
    #[arg(long, requires = "query", help_heading = "Query")]
    pub(crate) json: bool,

    /// Print the man page or a shell's completions
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<GenerateFlag>,
}

/// What can be generated.
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

/// A question to a plugin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Query {
    pub(crate) search: ModuleName,
    pub(crate) vnetid: Vni,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) props: Vec<Assignment>,
    pub(crate) asked: Asked,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// About a frame with this header and nothing in it.
    Header { source: Mac, destination: Mac, ethertype: u16 },
    /// About this frame.
    Frame(Vec<u8>),
    /// About an ARP request.
    Arp { source: Mac, target: Ipv4Addr },
    /// About a neighbour solicitation.
    Ndp { source: Mac, target: Ipv6Addr },
}

impl Flags {
    /// The question, if there is one.
    pub(crate) fn query(&self) -> Option<Query> {
        let (Some(search), Some(vnetid), true) = (&self.search, self.vnetid, self.query) else { return None };
        let source = self.src.unwrap_or(Mac([2, 0, 0, 0, 0, 1]));
        let asked = match (self.dst, &self.frame, self.arp, self.ndp) {
            (_, _, Some(target), _) => Asked::Arp { source, target },
            (_, _, _, Some(target)) => Asked::Ndp { source, target },
            (_, Some(frame), ..) => Asked::Frame(frame.0.clone()),
            (Some(destination), ..) => Asked::Header { source, destination, ethertype: self.ethertype.unwrap_or(0x0800) },
            (None, None, None, None) => return None,
        };
        Some(Query { search: search.clone(), vnetid, encapsulation: self.encap, props: self.props.clone(), asked })
    }
}

/// How destinations are addressed, by the name of an encapsulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Encapsulation {
    /// RFC 7348: address and port.
    Vxlan,
    /// RFC 8926: address and port.
    Geneve,
    /// RFC 7637: an address alone.
    Nvgre,
}

impl Encapsulation {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Nvgre => "nvgre",
        }
    }
}

/// A frame in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl FromStr for Frame {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':').collect();
        let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        let pair = |pair: &[u8]| match *pair {
            [high, low] => Some(value(high)? << 4 | value(low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        match bytes {
            Some(bytes) if (14..=9216).contains(&bytes.len()) => Ok(Self(bytes)),
            Some(bytes) => Err(format!("it has {} bytes; an Ethernet frame of 14-9216 is allowed", bytes.len())),
            None => Err("pairs of hexadecimal digits are expected, with or without blanks and colons between".to_owned()),
        }
    }
}

/// An EtherType (IEEE 802.3 3.2.6).
fn ethertype(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let number = u16::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    number.filter(|number| *number >= 0x0600).ok_or_else(|| "0x0600-0xffff is allowed, as in 0x86dd".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn query(words: &str) -> Result<Option<Query>, String> {
        let words = std::iter::once("varpd").chain(words.split(' ').filter(|word| !word.is_empty()));
        Flags::try_parse_from(words).map(|flags| flags.query()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Flags::command().debug_assert();
        assert_eq!(query(""), Ok(None));
    }

    #[test]
    fn a_question_is_whole_or_refused() {
        let asked = |words: &str| query(&format!("--query -s files -v 77 {words}")).map(|query| query.unwrap().asked);
        let source = Mac([2, 0, 0, 0, 0, 1]);
        let destination = "2:8:20:a:0:2".parse().unwrap();
        assert_eq!(asked("--dst 2:8:20:a:0:2 --ethertype 86dd"), Ok(Asked::Header { source, destination, ethertype: 0x86dd }));
        assert_eq!(asked("--arp 10.0.0.1 --src 2:8:20:a:0:2"), Ok(Asked::Arp { source: destination, target: Ipv4Addr::new(10, 0, 0, 1) }));
        assert_eq!(
            asked("--frame 00:01:02:03:04:05060708090a0b0800"),
            Ok(Asked::Frame([&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &[8, 0][..]].concat()))
        );
        for (words, why) in [
            ("", "--dst"),
            ("--dst 2:8:20:a:0:2 --arp 10.0.0.1", "cannot be used with"),
            ("--frame 0102", "it has 2 bytes"),
            ("--frame 01020", "pairs of hexadecimal digits"),
            ("--dst 2:8:20:a:0:2 --ethertype 0x05ff", "0x0600-0xffff"),
            ("--dst 2:8:20:a:0:2 -p files", "PROP=VALUE"),
            ("--dst 2:8:20:a:0:2 -e vxlam", "vxlan"),
        ] {
            let refused = asked(words).unwrap_err();
            assert!(refused.contains(why), "{words}: {refused}");
        }
        assert!(query("-s files").is_err() && query("--query --dst 2:8:20:a:0:2").is_err());
    }
}
