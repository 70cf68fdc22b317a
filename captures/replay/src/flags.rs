//! What did the user ask for? Commands and options as typed; parsing only validates and opens nothing.

use crate::edit::place::{Map, Set};
use crate::edit::tunnel::{Encapsulation, STATIONS, Tunnel};
use crate::edit::{OnRefusal, Recipe};
use crate::engine::{Plan, Tells};
use crate::examples as text;
use crate::generate::{FaultRate, Order, SIZE_MIN, TARGETS_MAX};
use crate::send::{self, Pace};
use clap::{ArgGroup, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use overlay_api::LinkName;
use overlay_captures::Format;
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::outer::Stations;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Edits captures of overlay networks, sends them, and carries them through the overlay stack offline.
///
/// Captures are pcap, pcapng and snoop files, compressed or not; - is standard input or output. What is written as a file is there
/// whole, or not at all.
#[derive(Parser, Debug)]
#[command(name = "overlay-replay", version, after_help = text::EXAMPLES, max_term_width = 100, color = ColorChoice::Never,
    disable_help_subcommand = true, override_usage = "overlay-replay COMMAND [OPTIONS] CAPTURE"
)]
pub(crate) struct Flags {
    /// Print the man page or a shell's completions.
    #[arg(long, hide = true, value_enum)]
    pub(crate) generate: Option<GenerateFlag>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to generate.
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

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Put packets into tunnels and take them out, change addresses and networks, cut, make anonymous.
    #[command(after_help = text::EDIT, override_usage = "overlay-replay edit [OPTIONS] -w FILE CAPTURE")]
    Edit(Edit),
    /// Carry packets through the engine offline, and say what becomes of each.
    #[command(after_help = text::ENGINE, override_usage = "overlay-replay engine [OPTIONS] --config FILE CAPTURE")]
    Engine(Engine),
    /// Send captures on interfaces, at the times that they had or at a rate.
    #[command(after_help = text::SEND, override_usage = "overlay-replay send [OPTIONS] CAPTURE=INTERFACE...")]
    Send(Send),
    /// Make a capture of synthetic traffic, and the host that goes with it.
    #[command(after_help = text::GENERATE, override_usage = "overlay-replay generate [OPTIONS] -w FILE")]
    Generate(Generate),
    /// Say what differs first between two files that engine wrote.
    #[command(after_help = text::DIFF)]
    Diff {
        /// One file.
        #[arg(value_name = "FILE")]
        one: PathBuf,
        /// The other.
        #[arg(value_name = "OTHER")]
        other: PathBuf,
    },
}

/// `edit`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("work").required(true).multiple(true).args(["decap", "encap", "vni_map", "set", "map", "anonymise", "mtu"]))]
pub(crate) struct Edit {
    /// Take the outermost tunnel off, or the N outermost ones.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) decap: Option<u8>,

    /// Put each packet into a tunnel: vxlan, geneve or nvgre.
    #[arg(long, value_name = "ENCAP", requires_all = ["vni", "from", "to"], value_enum, hide_possible_values = true)]
    pub(crate) encap: Option<Encapsulation>,

    /// The virtual network of the tunnel.
    #[arg(long, requires = "encap")]
    pub(crate) vni: Option<Vni>,

    /// Where the tunnel begins.
    #[arg(long, value_name = "IP", requires = "encap")]
    pub(crate) from: Option<IpAddr>,

    /// Where it ends, with a port if it is another than 4789 (vxlan) or 6081 (geneve).
    #[arg(long, value_name = "UL3", requires = "encap")]
    pub(crate) to: Option<Ul3>,

    /// The outer Ethernet source.
    #[arg(long, value_name = "MAC", requires = "encap", default_value_t = STATIONS.source)]
    pub(crate) from_mac: Mac,

    /// The outer Ethernet destination.
    #[arg(long, value_name = "MAC", requires = "encap", default_value_t = STATIONS.destination)]
    pub(crate) to_mac: Mac,

    /// The outer TTL or hop limit.
    #[arg(long, value_name = "HOPS", requires = "encap", default_value_t = 64, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) ttl: u8,

    /// Give virtual networks other numbers, at any depth.
    #[arg(long, value_name = "OLD=NEW,..", value_delimiter = ',')]
    pub(crate) vni_map: Vec<VniPair>,

    /// Write a value to a place; repeatable.
    #[arg(long, value_name = "PLACE=VALUE")]
    pub(crate) set: Vec<Set>,

    /// Replace a value, or the prefix of an address, where it is found at a place; repeatable.
    #[arg(long, value_name = "PLACE=OLD=NEW")]
    pub(crate) map: Vec<Map>,

    /// Give all stations other addresses, the same ones everywhere, and blank what packets carry.
    #[arg(long)]
    pub(crate) anonymise: bool,

    /// What decides who becomes whom, 32 hexadecimal digits; random otherwise. Whoever has it can find out.
    #[arg(long, value_name = "HEX", requires = "anonymise")]
    pub(crate) key: Option<Key>,

    /// Cut packets whose outer IP packet is longer than this.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=65535))]
    pub(crate) mtu: Option<u32>,

    /// What becomes of packets that cannot be edited: keep them as they were, drop them, or fail and write nothing.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnRefusal::Keep, hide_possible_values = true)]
    pub(crate) refused: OnRefusal,

    /// The format to write: pcap, pcapng or snoop; otherwise what FILE ends in, or that of CAPTURE.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatName>,

    /// The file to write.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// The capture to read.
    #[arg(value_name = "CAPTURE")]
    pub(crate) input: PathBuf,
}

impl Edit {
    /// What is done to each packet, with this key if none was given.
    pub(crate) fn recipe(&self, random: impl FnOnce() -> Result<[u8; 16], String>) -> Result<Recipe, String> {
        let encap = match (self.encap, self.vni, self.from, self.to) {
            (Some(encapsulation), Some(vni), Some(from), Some(to)) => {
                let to = match (encapsulation.port(), to.port) {
                    (None, Some(port)) => return Err(format!("--to: nvgre has no ports; {} without :{port} is allowed", to.ip)),
                    (port, None) => Ul3 { port, ..to },
                    (Some(_), Some(_)) => to,
                };
                if from.is_ipv4() != to.ip.is_ipv4() {
                    return Err(format!("--from {from} and --to {to}: one is IPv4, the other IPv6; two of one family are expected"));
                }
                let stations = Stations { source: self.from_mac, destination: self.to_mac };
                Some(Tunnel { encapsulation, vni, from, to, stations, ttl: self.ttl })
            }
            _ => None,
        };
        let anonymise = match (self.anonymise, self.key) {
            (false, _) => None,
            (true, Some(Key(key))) => Some(key),
            (true, None) => Some(random()?),
        };
        Ok(Recipe {
            decap: self.decap.unwrap_or(0).into(),
            encap,
            vni_map: self.vni_map.iter().map(|pair| (pair.0, pair.1)).collect(),
            sets: self.set.clone(),
            maps: self.map.clone(),
            anonymise,
            mtu: self.mtu,
            refused: self.refused,
        })
    }
}

/// `engine`.
#[derive(Args, Debug)]
pub(crate) struct Engine {
    /// The configuration of a host, as overlayd keeps it: overlays, VNICs, hand-set entries.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// The mapping that answers an overlay's lookups, in place of its files/config; repeatable.
    #[arg(long, value_name = "OVERLAY=FILE")]
    pub(crate) mapping: Vec<MappingFile>,

    /// What is known from the start: what overlayadm show-overlay -t --json has printed.
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,

    /// What becomes of lookups: answers, delays, losses.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// What was captured on INTERFACE (everything without) are frames that VNIC sends, or with the word underlay datagrams; repeatable.
    #[arg(long = "as", value_name = "[INTERFACE=]VNIC")]
    pub(crate) assigned: Vec<Assignment>,

    /// The MTU of the underlay, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(576..=65535))]
    pub(crate) underlay_mtu: u32,

    /// The seed of the flow hashes, from which source ports come.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Also write down lookups, their answers and the overlays' states.
    #[arg(long)]
    pub(crate) trace: bool,

    /// Write counters and tables only, no line for each packet.
    #[arg(long, conflicts_with = "trace")]
    pub(crate) counts: bool,

    /// Carry this packet alone.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) only: Option<u64>,

    /// Write that packet to a capture of its own.
    #[arg(long, value_name = "FILE", requires = "only")]
    pub(crate) save: Option<PathBuf>,

    /// The file for the lines; standard output otherwise.
    #[arg(short = 'o', long = "output", value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) lines: PathBuf,

    /// The file for packets that are sent and delivered: pcapng, with the reason as comment.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub(crate) packets: Option<PathBuf>,

    /// The capture to read.
    #[arg(value_name = "CAPTURE")]
    pub(crate) input: PathBuf,
}

impl Engine {
    /// What is carried through what.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        if self.lines.as_os_str() == "-" && self.packets.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            return Err("lines and packets cannot both go to standard output; -o FILE writes the lines elsewhere".to_owned());
        }
        Ok(Plan {
            config: self.config.clone(),
            mappings: self.mapping.iter().map(|mapping| (mapping.0.clone(), mapping.1.clone())).collect(),
            table: self.table.clone(),
            script: self.script.clone(),
            assigned: self.assigned.iter().map(|rule| (rule.0.clone(), rule.1.clone())).collect(),
            underlay_mtu: self.underlay_mtu,
            seed: self.seed,
            tells: match (self.trace, self.counts) {
                (true, _) => Tells::Trace,
                (false, true) => Tells::Counts,
                (false, false) => Tells::Packets,
            },
            only: self.only,
            lines: self.lines.clone(),
            packets: self.packets.clone(),
            input: self.input.clone(),
        })
    }
}

/// `send`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("pace").args(["speed", "pps", "mbps", "topspeed"]))]
pub(crate) struct Send {
    /// So many times as fast as it was captured: 2 is twice as fast, 0.5 half.
    #[arg(long, value_name = "X")]
    pub(crate) speed: Option<Rate>,

    /// So many packets a second, on all interfaces together.
    #[arg(long, value_name = "N")]
    pub(crate) pps: Option<Rate>,

    /// So many million bits a second, of frames without their checksums, on all interfaces together.
    #[arg(long, value_name = "N")]
    pub(crate) mbps: Option<Rate>,

    /// As fast as the kernel takes them.
    #[arg(long)]
    pub(crate) topspeed: bool,

    /// So often, one after the other; 0 is without end.
    #[arg(long = "loop", value_name = "N", default_value_t = 1)]
    pub(crate) passes: u64,

    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: Option<Rate>,

    /// Send zeros for what the capture cut off; such packets are left out otherwise.
    #[arg(long)]
    pub(crate) pad: bool,

    /// Go through what queues and shapes for the interface; slower, but captures on the interface see it, and its limits hold.
    #[arg(long)]
    pub(crate) queue: bool,

    /// The network namespace of the interfaces, by its name, a process in it or its path.
    #[arg(long, value_name = "NAME|PID|PATH")]
    pub(crate) netns: Option<String>,

    /// Write the report as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    /// A capture and the interface to send it on; several are sent in step.
    #[arg(value_name = "CAPTURE=INTERFACE", required = true)]
    pub(crate) pairs: Vec<Pair>,
}

impl Send {
    /// What is sent, and how.
    pub(crate) fn plan(&self) -> Result<send::Plan, String> {
        let pipes = self.pairs.iter().filter(|pair| pair.0 == Path::new("-")).count();
        if pipes > 1 || pipes == 1 && self.passes != 1 {
            return Err("standard input can be read only once; a file as CAPTURE is expected".to_owned());
        }
        let pace = match (self.speed, self.pps, self.mbps) {
            (Some(Rate(speed)), _, _) => Pace::Capture(speed),
            (_, Some(Rate(rate)), _) => Pace::Packets(rate),
            (_, _, Some(Rate(rate))) => Pace::Megabits(rate),
            _ if self.topspeed => Pace::Top,
            _ => Pace::Capture(1.0),
        };
        // Of a duration that is too long for a clock the longest is left.
        let duration = self.duration.map(|Rate(seconds)| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        Ok(send::Plan {
            pairs: self.pairs.iter().map(|pair| (pair.0.clone(), pair.1.clone())).collect(),
            namespace: self.netns.clone(),
            pace,
            passes: self.passes,
            duration: duration.map(|most| most.min(Duration::from_nanos(u64::MAX))),
            pad: self.pad,
            queue: self.queue,
        })
    }
}

/// A number above 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Rate(pub(crate) f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(Self(number)),
            _ => Err(format!("{text}: a number above 0 is expected")),
        }
    }
}

/// `CAPTURE=INTERFACE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pair(pub(crate) PathBuf, pub(crate) String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A path may have any character; an interface has no "/", and none has "=" in its name that is not asking for trouble.
        match text.rsplit_once('=') {
            Some((path, interface)) if !path.is_empty() && !interface.is_empty() => Ok(Self(path.into(), interface.to_owned())),
            _ => Err(format!("{text}: CAPTURE=INTERFACE is expected, as in frames.pcap=eth0")),
        }
    }
}

/// `generate`.
#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// What decides all that is random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// How many packets.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) packets: u64,

    /// How many virtual networks.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub(crate) vnis: u32,

    /// The number of the first one.
    #[arg(long, value_name = "VNI", default_value = "1")]
    pub(crate) first_vni: Vni,

    /// How many targets each of them has.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(TARGETS_MAX)))]
    pub(crate) targets: u32,

    /// Packets a second, by their times.
    #[arg(long, value_name = "PPS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,

    /// Bytes of a tenant's frame; otherwise 64, 576 and 1464 as 7 to 4 to 1.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(i64::from(SIZE_MIN)..=9000))]
    pub(crate) size: Option<u16>,

    /// As datagrams that the host gets, in vxlan, geneve or nvgre; otherwise as frames that its VNICs send.
    #[arg(long, value_name = "ENCAP", value_enum, hide_possible_values = true)]
    pub(crate) encap: Option<Encapsulation>,

    /// Make N of 1000 packets wrong: truncated, checksum, unknown-vni, unknown-mac; repeatable.
    #[arg(long = "fault", value_name = "FAULT=N")]
    pub(crate) faults: Vec<FaultRate>,

    /// Write host.json and the mappings that go with it into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) host: Option<PathBuf>,

    /// The format to write: pcap, pcapng or snoop; otherwise what FILE ends in, or pcap.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatName>,

    /// The file to write.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub(crate) output: PathBuf,
}

impl Generate {
    /// What is made.
    pub(crate) fn order(&self) -> Order {
        Order {
            seed: self.seed,
            packets: self.packets,
            vnis: self.vnis,
            first_vni: self.first_vni,
            targets: self.targets,
            rate: self.rate,
            size: self.size,
            encap: self.encap,
            faults: self.faults.clone(),
        }
    }
}

/// `OVERLAY=FILE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MappingFile(pub(crate) LinkName, pub(crate) PathBuf);

impl FromStr for MappingFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (overlay, path) = text.split_once('=').ok_or("OVERLAY=FILE is expected, as in ov7=mapping.json")?;
        Ok(Self(overlay.parse().map_err(|error: overlay_api::NameError| error.to_string())?, path.into()))
    }
}

/// `[INTERFACE=]VNIC`, or `[INTERFACE=]underlay`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Assignment(pub(crate) Option<String>, pub(crate) Option<LinkName>);

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An interface may have any name, a VNIC has no "=" in its.
        let (interface, what) = text.rsplit_once('=').map_or((None, text), |(interface, what)| (Some(interface.to_owned()), what));
        let vnic = match what {
            "underlay" => None,
            name => Some(name.parse().map_err(|error: overlay_api::NameError| error.to_string())?),
        };
        Ok(Self(interface, vnic))
    }
}

/// `OLD=NEW` of virtual networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VniPair(pub(crate) Vni, pub(crate) Vni);

impl FromStr for VniPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (old, new) = text.split_once('=').ok_or_else(|| format!("{text}: OLD=NEW is expected, as in 77=78"))?;
        let vni = |text: &str| text.parse::<Vni>().map_err(|error| error.to_string());
        Ok(Self(vni(old)?, vni(new)?))
    }
}

/// A key of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 16]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{} characters; 32 hexadecimal digits are expected", text.chars().count()));
        }
        u128::from_str_radix(text, 16).map(|key| Self(key.to_be_bytes())).map_err(|error| error.to_string())
    }
}

/// A format by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FormatName(pub(crate) Format);

impl FromStr for FormatName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pcap" => Ok(Self(Format::Pcap)),
            "pcapng" => Ok(Self(Format::Pcapng)),
            "snoop" => Ok(Self(Format::Snoop)),
            _ => Err(format!("{text}: no format; pcap, pcapng and snoop are")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn edit(arguments: &str) -> Result<Edit, String> {
        let words = format!("overlay-replay edit {arguments} -w out.pcap in.pcap");
        match Flags::try_parse_from(words.split_whitespace()) {
            Ok(Flags { command: Some(Command::Edit(edit)), .. }) => Ok(edit),
            Ok(_) => Err("another command".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_flags_are_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn something_has_to_be_done_and_a_tunnel_has_two_ends() {
        assert!(edit("").is_err());
        assert!(edit("--encap vxlan --vni 7 --from 10.0.0.1").unwrap_err().contains("--to"));
        assert!(edit("--decap --ttl 3").is_err(), "a TTL without a tunnel");
        let made = edit("--encap vxlan --vni 7 --from 10.0.0.1 --to 10.0.0.2").unwrap().recipe(|| Err("no need".to_owned())).unwrap();
        assert_eq!(made.encap.unwrap().to.to_string(), "10.0.0.2:4789");
        let refused = |text: &str| edit(text).unwrap().recipe(|| Err("no need".to_owned())).unwrap_err();
        assert_eq!(
            refused("--encap nvgre --vni 7 --from 10.0.0.1 --to 10.0.0.2:4789"),
            "--to: nvgre has no ports; 10.0.0.2 without :4789 is allowed"
        );
        assert!(refused("--encap vxlan --vni 7 --from fd00::1 --to 10.0.0.2").contains("two of one family are expected"));
    }

    fn sent(arguments: &str) -> Result<send::Plan, String> {
        let words = format!("overlay-replay send {arguments}");
        match Flags::try_parse_from(words.split_whitespace()) {
            Ok(Flags { command: Some(Command::Send(send)), .. }) => send.plan(),
            Ok(_) => Err("another command".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn packets_are_sent_as_they_were_captured_unless_one_pace_is_given() {
        let plan = sent("a=b.pcap=eth0 two.pcap=eth1").unwrap();
        assert_eq!(plan.pairs, [("a=b.pcap".into(), "eth0".to_owned()), ("two.pcap".into(), "eth1".to_owned())]);
        assert_eq!((plan.pace, plan.passes, plan.duration), (Pace::Capture(1.0), 1, None));
        assert_eq!(sent("--pps 1e5 --loop 0 --duration 0.5 a=eth0").unwrap().pace, Pace::Packets(100_000.0));
        assert_eq!(sent("--duration 1e300 a=eth0").unwrap().duration, Some(Duration::from_nanos(u64::MAX)));
        for (words, said) in [
            ("", "CAPTURE=INTERFACE"),
            ("a.pcap", "CAPTURE=INTERFACE is expected"),
            ("=eth0", "CAPTURE=INTERFACE is expected"),
            ("--pps 0 a=eth0", "a number above 0 is expected"),
            ("--mbps nan a=eth0", "a number above 0 is expected"),
            ("--pps 5 --topspeed a=eth0", "cannot be used with"),
            ("--loop 2 -- -=eth0", "standard input can be read only once"),
            ("-- -=eth0 -=eth1", "standard input can be read only once"),
        ] {
            let refusal = sent(words).unwrap_err();
            assert!(refusal.contains(said), "{words}: {refusal}");
        }
    }

    #[test]
    fn a_key_is_not_shown_and_a_bad_one_neither() {
        let key: Key = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        assert_eq!((key.0[15], format!("{key:?}").as_str()), (15, "Key(..)"));
        assert_eq!("secret".parse::<Key>().unwrap_err(), "6 characters; 32 hexadecimal digits are expected");
        assert!("+00102030405060708090a0b0c0d0e0f".parse::<Key>().is_err());
    }
}
