//! What did the user ask of the mapping in the store? `overlayadm map`.

use super::examples as text;
use crate::flags::Print;
use clap::{ArgGroup, Args, Subcommand};
use overlay_api::LinkName;
use overlay_decoder::{Mac, Ul3, Vni};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// What to do with the mapping of a virtual network.
#[derive(Subcommand, Debug)]
pub(crate) enum MapCommand {
    /// Write one entry, in place of the one that is there.
    #[command(after_help = text::PUT)]
    Put(Put),
    /// Show what is known of one inner address.
    #[command(after_help = text::GET)]
    Get(Get),
    /// Delete entries.
    #[command(after_help = text::DELETE)]
    Delete(Delete),
    /// Show the entries.
    #[command(after_help = text::LIST)]
    List(List),
    /// Show each change as it comes.
    #[command(after_help = text::WATCH)]
    Watch(Watch),
    /// Write the entries of a mapping file: all of them, or nothing.
    #[command(after_help = text::IMPORT)]
    Import(Import),
    /// Write the entries as a mapping file.
    #[command(after_help = text::EXPORT)]
    Export(Export),
}

/// Which network, and in which store.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("network").required(true).args(["vnetid", "overlay"]))]
pub(crate) struct Network {
    /// The virtual network: VNI or VSID, 0-16777215.
    #[arg(short = 'v', long, value_name = "VNETID")]
    pub(crate) vnetid: Option<Vni>,

    /// The network of this overlay of overlayd, and the store that its etcd properties say.
    #[arg(short = 'l', long = "link", value_name = "OVERLAY")]
    pub(crate) overlay: Option<LinkName>,

    /// Where etcd listens: URLs with commas between them. http://127.0.0.1:2379 unless told otherwise.
    #[arg(long, value_name = "URL,..", env = "OVERLAY_ETCD_ENDPOINTS", help_heading = "Store", hide_env_values = true)]
    pub(crate) endpoints: Option<String>,

    /// What the keys begin with.
    #[arg(long, value_name = "PREFIX", env = "OVERLAY_ETCD_PREFIX", help_heading = "Store", hide_env_values = true)]
    pub(crate) prefix: Option<String>,

    /// Who asks, where etcd wants to know.
    #[arg(long, value_name = "USER", env = "OVERLAY_ETCD_USER", help_heading = "Store", hide_env_values = true)]
    pub(crate) user: Option<String>,

    /// The file with the user's password, on its first line.
    #[arg(long, value_name = "FILE", env = "OVERLAY_ETCD_PASSWORD_FILE", help_heading = "Store", hide_env_values = true)]
    pub(crate) password_file: Option<PathBuf>,

    /// The certificates, in PEM, that etcd's has to be signed by; with https.
    #[arg(long, value_name = "FILE", env = "OVERLAY_ETCD_CA", help_heading = "Store", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,

    /// A certificate of our own, in PEM, where etcd wants one.
    #[arg(long, value_name = "FILE", env = "OVERLAY_ETCD_CERT", help_heading = "Store", hide_env_values = true)]
    pub(crate) cert: Option<PathBuf>,

    /// Its key.
    #[arg(long, value_name = "FILE", env = "OVERLAY_ETCD_KEY", help_heading = "Store", hide_env_values = true)]
    pub(crate) key: Option<PathBuf>,
}

/// `map put`.
#[derive(Args, Debug)]
pub(crate) struct Put {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// Answer ARP for these inner IPv4 addresses with the MAC.
    #[arg(long, value_name = "IP,..", value_delimiter = ',')]
    pub(crate) arp: Vec<Ipv4Addr>,

    /// Answer neighbour solicitations for these inner IPv6 addresses with the MAC.
    #[arg(long, value_name = "IP,..", value_delimiter = ',')]
    pub(crate) ndp: Vec<Ipv6Addr>,

    /// The DHCP server that broadcast requests from the MAC go to.
    #[arg(long, value_name = "MAC")]
    pub(crate) dhcp_proxy: Option<Mac>,

    /// The inner address, and where frames for it go; for a group address also a list with commas.
    #[arg(value_name = "MAC=UL3")]
    pub(crate) entry: PutEntry,
}

/// `MAC=UL3[,UL3..]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PutEntry {
    /// The inner address (VL2).
    pub(crate) mac: Mac,
    /// Where frames for it go; at least one.
    pub(crate) to: Vec<Ul3>,
}

impl FromStr for PutEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mac, to) = text.split_once('=').ok_or("MAC=UL3 is expected, as in 02:08:20:0a:00:01=10.0.0.2:4789")?;
        let mac = mac.parse::<Mac>().map_err(|error| error.to_string())?;
        let to = to.split(',').map(str::parse::<Ul3>).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Self { mac, to })
    }
}

/// An inner address of either kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inner {
    /// VL2.
    Mac(Mac),
    /// VL3.
    Ip(IpAddr),
}

impl FromStr for Inner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mac = text.parse().map(Self::Mac).ok();
        // A full IPv6 address has eight groups and a MAC six: nothing is both.
        mac.or_else(|| text.parse().map(Self::Ip).ok()).ok_or_else(|| {
            format!("{text:?} is not allowed; a MAC address or an inner IP address is, as in 02:08:20:0a:00:01 or 192.168.0.2")
        })
    }
}

/// `map get`.
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// For scripts: values with ":" between them, "\:" and "\\" within them; no heading. Needs -o.
    #[arg(short = 'p', long, requires = "output", conflicts_with = "json")]
    pub(crate) parsable: bool,

    /// How.
    #[command(flatten)]
    pub(crate) print: Print,

    /// The inner address.
    #[arg(value_name = "MAC|VL3")]
    pub(crate) inner: Inner,
}

/// `map delete`.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// Which.
    #[arg(value_name = "MAC", required = true)]
    pub(crate) macs: Vec<Mac>,
}

/// `map list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// For scripts: values with ":" between them, "\:" and "\\" within them; no heading. Needs -o.
    #[arg(short = 'p', long, requires = "output", conflicts_with = "json")]
    pub(crate) parsable: bool,

    /// How.
    #[command(flatten)]
    pub(crate) print: Print,

    /// Only those that have one of these words in a MAC, an inner or an underlay address.
    #[arg(value_name = "WORD")]
    pub(crate) words: Vec<String>,
}

/// `map watch`.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// Print a JSON object a change.
    #[arg(long)]
    pub(crate) json: bool,

    /// End after so many changes.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// `map import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// Leave entries that the file does not have as they are. So it is unless told otherwise.
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,

    /// Delete entries that the file does not have; those that hosts registered stay.
    #[arg(long)]
    pub(crate) replace: bool,

    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Go on where another import began and did not end.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) take_over: bool,

    /// Print a JSON object a change, and one with the counts.
    #[arg(long)]
    pub(crate) json: bool,

    /// The mapping file; "-" is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `map export`.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// Where.
    #[command(flatten)]
    pub(crate) network: Network,

    /// Also those that hosts registered. Imported again they would stay when their hosts go.
    #[arg(long)]
    pub(crate) registered: bool,

    /// The mapping file to be written; standard output without.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Command, Flags};
    use clap::Parser;

    fn parsed(line: &str) -> Result<MapCommand, String> {
        let words = ["overlayadm", "map"].into_iter().chain(line.split_ascii_whitespace());
        match Flags::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Some(Command::Map { command }) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_network_is_a_number_or_an_overlay_and_never_both() {
        assert!(parsed("list -v 7").is_ok() && parsed("list -l ov7 --endpoints http://10.0.0.1:2379").is_ok());
        assert!(parsed("list").unwrap_err().contains("--vnetid <VNETID>|--link <OVERLAY>"));
        assert!(parsed("list -v 7 -l ov7").unwrap_err().contains("cannot be used with"));
        assert!(parsed("list -v 16777216").unwrap_err().contains("larger than 24 bits"));
    }

    #[test]
    fn an_entry_is_written_as_a_target_is_set() {
        let Ok(MapCommand::Put(put)) = parsed("put -v 7 2:8:20:a:0:1=[fd00::2]:4789 --arp 192.168.0.1,192.168.0.2 --ndp fd07::1") else {
            panic!()
        };
        assert_eq!(put.entry, PutEntry { mac: "2:8:20:a:0:1".parse().unwrap(), to: vec!["[fd00::2]:4789".parse().unwrap()] });
        assert_eq!((put.arp.len(), put.ndp.len()), (2, 1));
        assert!(parsed("put -v 7 2:8:20:a:0:1").unwrap_err().contains("MAC=UL3 is expected"));
        assert!(parsed("put -v 7 2:8:20:a:0:1=drop").unwrap_err().contains("drop: not an underlay address"));
    }

    #[test]
    fn an_inner_address_is_of_either_kind() {
        assert_eq!("2:8:20:a:0:1".parse(), Ok(Inner::Mac("2:8:20:a:0:1".parse().unwrap())));
        assert_eq!("fd07::1".parse(), Ok(Inner::Ip("fd07::1".parse().unwrap())));
        assert!(parsed("get -v 7 blue").unwrap_err().contains("\"blue\" is not allowed; a MAC address or an inner IP address is"));
    }

    #[test]
    fn an_import_merges_or_replaces() {
        assert!(parsed("import -v 7 --replace --dry-run --json map.json").is_ok());
        assert!(parsed("import -v 7 --replace --merge map.json").unwrap_err().contains("cannot be used with"));
        assert!(parsed("import -v 7 --dry-run --take-over map.json").unwrap_err().contains("cannot be used with"));
    }
}
