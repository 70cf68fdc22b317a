//! `overlay-lab`: network-namespace labs from the command line, and the traffic for them.
#![forbid(unsafe_code)]

use clap::{Args, Parser, Subcommand, ValueEnum};
use overlay_lab::{
    Answers, Attach, Builder, Extension, Family, Join, Lab, LabError, LabId, Namespace, Offloads, Overlay, StateFolder, Stored, Targets,
    UdpEcho, UdpLoad, VxlanFlood, clean, need_root, send_frame, stored,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::Duration;

/// Builds, shows and removes network-namespace labs: hosts, a kernel VXLAN between them, tenants.
///
/// Needs root and iproute2. Everything is made in namespaces of its own; the host's interfaces are never touched.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Draw a lab, build it, and let it stay until `down`
    Up(Up),
    /// List the labs on this machine, drawn, with the commands that enter them
    Show,
    /// Run a command in a namespace of a lab
    Exec {
        /// The lab, as `show` names it
        lab: String,
        /// The host or tenant, such as h1 or h1v100t1
        host: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Remove a lab, and end the programs in it
    Down {
        /// The lab, as `show` names it
        lab: String,
    },
    /// Remove the labs whose owner process is gone
    Clean,
    /// Send an Ethernet frame on an interface of the current namespace
    SendFrame {
        /// The interface
        interface: String,
        /// The frame from the destination MAC on, in hexadecimal, VLAN tags included; `:` and blanks may part it
        hex: Frame,
        /// How often
        #[arg(default_value_t = 1)]
        count: u32,
    },
    /// Send every UDP datagram back, until stopped
    UdpEcho {
        /// Where to listen: 10.0.0.2:7 or [2001:db8::2]:7
        at: SocketAddr,
    },
    /// Send UDP datagrams and count those that come back
    UdpSend {
        /// Where to: 10.0.0.2:7 or [2001:db8::2]:7
        to: SocketAddr,
        /// How many; a prime number is recognised in counters
        count: u32,
        /// Payload of each, 4 to 65507 bytes
        size: usize,
        /// The source port; 0 lets the kernel choose
        #[arg(default_value_t = 0)]
        source_port: u16,
        /// Send only: nobody is expected to answer
        #[arg(long)]
        one_way: bool,
    },
    /// Send VXLAN packets at a steady rate; each is a frame of its own on links of `up --wire-like`
    Flood {
        /// Where to: 10.88.0.2:4789
        to: SocketAddr,
        /// Packets per second
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// How long
        seconds: u64,
    },
}

#[derive(Args)]
struct Up {
    /// What to call it: a lower-case letter, then letters, digits, underscores
    name: String,
    /// A VNI, with the same tenants as the others; can be repeated [default: 100]
    #[arg(long = "vni", value_name = "N")]
    vnis: Vec<u32>,
    /// UDP port of the tunnels
    #[arg(long, default_value_t = 4789)]
    port: u16,
    /// Tunnels over IPv6
    #[arg(long)]
    ipv6: bool,
    /// Group policy extension
    #[arg(long)]
    gbp: bool,
    /// Metadata-mode devices, steered by the tenants' routes; needs --attach device
    #[arg(long, conflicts_with = "gbp")]
    external: bool,
    /// What the tunnels know of the other tenants
    #[arg(long, value_enum, default_value_t = TargetsWord::Learn)]
    targets: TargetsWord,
    /// How tenants hang on the tunnel
    #[arg(long, value_enum, default_value_t = AttachWord::Bridge)]
    attach: AttachWord,
    /// Tenants per host and VNI
    #[arg(long, default_value_t = 1, value_name = "N")]
    tenants: u16,
    /// How many hosts; other than two are joined by a switch
    #[arg(long, default_value_t = 2, value_name = "N")]
    hosts: u16,
    /// Join the hosts by a switch even if they are two
    #[arg(long)]
    switch: bool,
    /// No kernel tunnel on this host: another program brings it; can be repeated
    #[arg(long, value_name = "HOST")]
    no_tunnel_on: Vec<u16>,
    /// Underlay links without offloads, as a plain wire
    #[arg(long)]
    wire_like: bool,
    /// Largest packet on the underlay, in bytes
    #[arg(long, default_value_t = 1500, value_name = "BYTES")]
    mtu: u32,
    /// Draw it only
    #[arg(long)]
    dry_run: bool,
    /// Stay in the foreground, and remove the lab at SIGINT, SIGTERM or SIGHUP
    #[arg(long)]
    foreground: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum TargetsWord {
    /// Flood, and learn from traffic
    Learn,
    /// An entry per MAC, and flooding
    StaticAndFlood,
    /// An entry per MAC only
    Static,
}

#[derive(Clone, Copy, ValueEnum)]
enum AttachWord {
    /// Through a bridge
    Bridge,
    /// The tunnel device itself is the tenant's
    Device,
}

#[derive(Clone)]
struct Frame(Vec<u8>);

impl std::str::FromStr for Frame {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
        let value = |digit: &char| digit.to_digit(16).ok_or_else(|| format!("{digit:?} is no hexadecimal digit"));
        let values: Vec<u32> = digits.iter().map(value).collect::<Result<_, _>>()?;
        let (pairs, rest) = values.as_chunks::<2>();
        // Two addresses and an EtherType (IEEE 802.3 3.1.1).
        if !rest.is_empty() || pairs.len() < 14 {
            return Err(format!("{} hexadecimal digits: an even number is needed, 28 at least (the Ethernet header)", values.len()));
        }
        // Two digits of 0 to 15 fit a byte.
        Ok(Self(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect()))
    }
}

impl Up {
    fn builder(&self) -> Builder {
        let mut builder = Lab::builder(&self.name).hosts(self.hosts).mtu(self.mtu);
        if self.switch {
            builder = builder.join(Join::Switch);
        }
        if self.wire_like {
            builder = builder.offloads(Offloads::WireLike);
        }
        let vnis = if self.vnis.is_empty() { &[100][..] } else { &self.vnis };
        vnis.iter().fold(builder, |builder, &vni| builder.overlay(self.overlay(vni)))
    }

    fn overlay(&self, vni: u32) -> Overlay {
        let extension = match (self.gbp, self.external) {
            (true, _) => Extension::GroupPolicy,
            (false, true) => Extension::External,
            (false, false) => Extension::Plain,
        };
        let targets = match self.targets {
            TargetsWord::Learn => Targets::Learn,
            TargetsWord::StaticAndFlood => Targets::StaticAndFlood,
            TargetsWord::Static => Targets::Static,
        };
        let attach = match self.attach {
            AttachWord::Bridge => Attach::Bridge,
            AttachWord::Device => Attach::Device,
        };
        let family = if self.ipv6 { Family::V6 } else { Family::V4 };
        let overlay =
            Overlay::vxlan(vni).port(self.port).family(family).extension(extension).targets(targets).attach(attach).tenants(self.tenants);
        self.no_tunnel_on.iter().fold(overlay, |overlay, &host| overlay.no_tunnel_on(host))
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        // A reader that has seen enough, such as `head`.
        Err(LabError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "overlay-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode, LabError> {
    if matches!(task, Task::Exec { .. } | Task::Down { .. } | Task::Clean) {
        need_root()?;
    }
    match task {
        Task::Up(up) => return build(&up).map(|()| ExitCode::SUCCESS),
        Task::Show => show()?,
        Task::Exec { lab, host, command } => {
            let lab = find(&lab)?;
            let mut words = command.into_iter();
            // clap has seen to it that there is one.
            let mut inside = lab.namespace(&host)?.command(words.next().unwrap_or_default());
            let source = inside.args(words).exec();
            return Err(LabError::NoProgram { program: "nsenter".into(), source });
        }
        Task::Down { lab } => find(&lab)?.remove()?,
        Task::Clean => {
            for id in clean(&StateFolder::default())? {
                say(&format!("removed {}\n", id.label()))?;
            }
        }
        Task::SendFrame { interface, hex, count } => send_frame(&interface, &hex.0, count)?,
        Task::UdpEcho { at } => {
            let echo = UdpEcho::start(at)?;
            say(&format!("ready {}\n", echo.at()))?;
            wait_for_signal()?;
            say(&format!("received {}\n", echo.counted()))?;
        }
        Task::UdpSend { to, count, size, source_port, one_way } => {
            let answers = if one_way { Answers::Ignore } else { Answers::Collect(Duration::from_secs(2)) };
            let report = UdpLoad { to, count, size, source_port, answers }.send()?;
            say(&format!("sent {} answered {}\n", report.sent, report.answered))?;
        }
        Task::Flood { to, rate, seconds } => {
            let report = VxlanFlood { to, rate, duration: Duration::from_secs(seconds) }.send()?;
            let (elapsed, latest) = (report.elapsed.as_secs_f64(), report.latest.as_micros());
            say(&format!("sent {} in {elapsed:.3} s, at most {latest} us late\n", report.sent))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn build(up: &Up) -> Result<(), LabError> {
    let builder = up.builder();
    builder.plan().check()?;
    say(&builder.describe())?;
    if up.dry_run {
        return Ok(());
    }
    if up.foreground {
        // From before the first namespace on: a signal that comes while the lab is being built must not leave half of one.
        let mut signals = signals()?;
        let lab = builder.build()?;
        say(&format!("\nready {}\n", lab.id().label()))?;
        signals.forever().next();
        return lab.remove();
    }
    let id = builder.build_and_keep()?;
    say(&format!("\nready {}; `overlay-lab show` tells how to enter it, `overlay-lab down {}` removes it\n", id.label(), id.label()))
}

fn show() -> Result<(), LabError> {
    let labs = stored(&StateFolder::default())?;
    if labs.is_empty() {
        return say("no labs\n");
    }
    let shown: Vec<String> = labs.iter().map(describe).collect();
    say(&shown.join("\n"))
}

fn describe(lab: &Stored) -> String {
    let label = lab.id.label();
    let stale = if lab.is_stale() { "  (its owner is gone: `overlay-lab clean` removes it)" } else { "" };
    let drawing = lab.topology().unwrap_or_else(|| "(its drawing is in another state folder)\n".to_owned());
    let enter = |namespace: &Namespace| {
        format!("  overlay-lab exec {label} {} bash    # ip netns exec {} bash\n", namespace.role(), namespace.name())
    };
    format!("== {label}{stale}\n{drawing}\n{}", lab.namespaces.iter().map(enter).collect::<String>())
}

fn find(label: &str) -> Result<Stored, LabError> {
    let id = LabId::of_label(label).ok_or_else(|| LabError::Missing(label.to_owned()))?;
    let found = stored(&StateFolder::default())?.into_iter().find(|lab| lab.id == id);
    found.ok_or_else(|| LabError::Missing(label.to_owned()))
}

fn wait_for_signal() -> Result<(), LabError> {
    signals()?.forever().next();
    Ok(())
}

/// The signals that ask for an end, held back from now on until they are looked at.
fn signals() -> Result<signal_hook::iterator::Signals, LabError> {
    let failed = |source| LabError::Io { doing: "wait for a signal".into(), source };
    signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)
}

/// Flushed at once: who waits for "ready" reads a pipe.
fn say(text: &str) -> Result<(), LabError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|source| LabError::Io { doing: "print".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_frame_is_hexadecimal_and_has_a_header() {
        let tagged = "02:08:20:0a:00:02 02:08:20:0a:00:01 8100000a 0800";
        assert_eq!(tagged.parse::<Frame>().map(|frame| frame.0.len()), Ok(18));
        let refused = |text: &str| text.parse::<Frame>().map(|_| ()).unwrap_err();
        assert_eq!(refused("0g"), "'g' is no hexadecimal digit");
        assert!(refused("0208").starts_with("4 hexadecimal digits"));
        assert!(refused("02082080a000202082080a00018100000a0800a").contains("even number"));
    }

    #[test]
    fn options_become_the_plan() {
        let Task::Up(up) =
            Cli::parse_from(["overlay-lab", "up", "x", "--vni", "5", "--vni", "6", "--ipv6", "--hosts", "3", "--no-tunnel-on", "2"]).task
        else {
            panic!("up")
        };
        let drawing = up.builder().describe();
        assert!(drawing.contains("3 hosts") && drawing.contains("vni 5 port 4789 over IPv6: device vx5"), "{drawing}");
        assert!(drawing.contains("vni 6 port 4789 over IPv6: no tunnel here"), "{drawing}");
    }
}
