//! Can the ends of tunnels in a namespace send and receive? The same questions for the kernel's devices and for overlayd's overlays.

use super::finding::{Finding, Severity};
use super::look::Place;
use super::rules::{Fate, Rules, Traffic};
use overlay_captures::host::{Link, Namespace};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Packets only from where answers would go (ip-sysctl).
const STRICT: u8 = 1;

/// One end of tunnels: a device of the kernel, or an overlay.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// What it is called: `overlay ov7`, `device vxlan0`.
    pub(crate) thing: String,
    /// Its name alone.
    pub(crate) name: String,
    /// Whether it is overlayd's.
    pub(crate) ours: bool,
    /// `vxlan`, `geneve` ..
    pub(crate) kind: String,
    /// Where its outer packets are.
    pub(crate) namespace: Namespace,
    /// Whether it can be used at all.
    pub(crate) up: bool,
    /// What its packets are.
    pub(crate) traffic: Traffic,
    /// The underlay address that it is at, if it is fixed.
    pub(crate) local: Option<IpAddr>,
    /// The interface that packets leave by, if it is fixed.
    pub(crate) lower: Option<u32>,
    /// Other ends, as far as they are known.
    pub(crate) remotes: BTreeSet<IpAddr>,
    /// Largest inner packet.
    pub(crate) mtu: u32,
    /// Bytes of the outer packet that are not the inner one.
    pub(crate) around: u32,
    /// How `mtu` is changed: the command, without the number.
    pub(crate) set_mtu: String,
}

/// A namespace, in words.
pub(crate) fn netns(namespace: &Namespace) -> String {
    match namespace.to_string().as_str() {
        "current" => "this network namespace".to_owned(),
        name => format!("netns {name}"),
    }
}

/// All checks of what is in a place.
pub(crate) fn check(place: &Place, ends: &[&End], findings: &mut Vec<Finding>) {
    if let Err(problem) = &place.links {
        findings.push(Finding::unknown("links", netns(&place.namespace), problem));
    }
    if ends.is_empty() {
        return;
    }
    for end in ends {
        address(place, end, findings);
        mtu(place, end, findings);
        reverse_path(place, end, findings);
    }
    clashes(place, ends, findings);
    rules(place, ends, findings);
    if place.overflowed > 0 {
        let found = format!("{} datagrams were lost because the buffer of a socket was full", place.overflowed);
        let finding = Finding::new(Severity::Warning, "receive-buffer", format!("UDP sockets of {}", netns(&place.namespace)), found);
        let why = "Packets that came were thrown away before anybody saw them. The count is since the namespace is there, of all programs.";
        findings
            .push(finding.why(why).repair("sysctl -w net.core.rmem_max=16777216, and see whether `nstat -az UdpRcvbufErrors` still grows"));
    }
}

/// The interface that packets leave by.
fn lower<'a>(place: &'a Place, end: &End) -> Option<&'a Link> {
    end.lower.and_then(|number| place.link(number)).or_else(|| end.local.and_then(|ip| place.link_of(ip)))
}

fn address(place: &Place, end: &End, findings: &mut Vec<Finding>) {
    let Some(ip) = end.local.filter(|ip| !ip.is_unspecified() && place.links.is_ok()) else { return };
    let thing = format!("{} in {}", end.thing, netns(&place.namespace));
    match place.link_of(ip) {
        None => {
            let finding = Finding::new(Severity::Error, "address", thing, format!("no interface has its underlay address, {ip}"));
            let why = "Nothing can be sent from there, and nothing that is sent there arrives.";
            findings.push(finding.why(why).repair(format!("ip address add {ip}/24 dev INTERFACE")));
        }
        Some(link) if !link.up || !link.lower_up => {
            let what = if link.up { "has no carrier" } else { "is down" };
            let found = format!("interface {}, which has its underlay address {ip}, {what}", link.name);
            let finding = Finding::new(Severity::Error, "address", thing, found);
            findings.push(finding.why("Nothing passes.").repair(format!("ip link set {} up", link.name)));
        }
        Some(_) => {}
    }
}

fn mtu(place: &Place, end: &End, findings: &mut Vec<Finding>) {
    let Some(link) = lower(place, end) else { return };
    let needed = end.mtu + end.around;
    if link.mtu == 0 || needed <= link.mtu {
        return;
    }
    let found = format!(
        "its MTU of {} needs packets of {needed} bytes ({} around each); interface {} takes {}",
        end.mtu, end.around, link.name, link.mtu
    );
    let why = match end.ours {
        true => "Larger packets of tenants are refused with an ICMP message, which some of them do not heed.",
        false => "Larger packets are fragmented or dropped: connections open, and then hang.",
    };
    let fits = link.mtu.saturating_sub(end.around);
    let repair = format!("{} (or ip link set {} mtu {needed})", end.set_mtu.replace("MTU", &fits.to_string()), link.name);
    findings.push(
        Finding::new(Severity::Warning, "mtu", format!("{} in {}", end.thing, netns(&place.namespace)), found).why(why).repair(repair),
    );
}

fn reverse_path(place: &Place, end: &End, findings: &mut Vec<Finding>) {
    let Some(link) = lower(place, end) else { return };
    let of = |name: &str| place.filters.get(name).copied().unwrap_or(0);
    // The kernel takes the larger of both (ip-sysctl).
    if of("all").max(of(&link.name)) != STRICT {
        return;
    }
    let remotes = end.remotes.iter().copied().filter(|ip| ip.is_ipv4() && !ip.is_multicast());
    let Some((ip, way)) = place.ways(remotes).into_iter().find(|(_, way)| *way != link.name) else { return };
    let found = format!("rp_filter of {} is strict, but the way to {ip} is over {way}", link.name);
    let why = "Packets that come in by another interface than answers would leave by are dropped without a word.";
    let repair = format!("sysctl -w net.ipv4.conf.{}.rp_filter=2 net.ipv4.conf.all.rp_filter=2, or a route over {}", link.name, link.name);
    let thing = format!("{} in {}", end.thing, netns(&place.namespace));
    findings.push(Finding::new(Severity::Warning, "rp-filter", thing, found).why(why).repair(repair));
}

/// Two that want one UDP port.
fn clashes(place: &Place, ends: &[&End], findings: &mut Vec<Finding>) {
    for (number, end) in ends.iter().enumerate() {
        let Traffic::Udp(port) = end.traffic else { continue };
        let thing = format!("{} in {}", end.thing, netns(&place.namespace));
        let add = |findings: &mut Vec<Finding>, found: String, repair: String| {
            let why = "One address and port can have one owner; which of both gets it is decided by who comes first.";
            findings.push(Finding::new(Severity::Error, "port-clash", thing.clone(), found).why(why).repair(repair));
        };
        let differs = |other: &&&End| other.traffic == end.traffic && (other.ours != end.ours || other.kind != end.kind);
        if let Some(other) = ends.iter().skip(number + 1).find(differs) {
            let found = format!("UDP port {port} is wanted by {} ({}), too", other.thing, other.kind);
            add(findings, found, format!("give one of them another port, or delete it: {}", other.thing));
            continue;
        }
        let Ok(sockets) = &place.sockets else { continue };
        let same = |ip: IpAddr| ip.is_unspecified() || end.local.is_none_or(|local| local.is_unspecified() || local == ip);
        if let Some(socket) = sockets.iter().find(|socket| !end.up && socket.port == port && same(socket.ip) && socket.inode != 0) {
            let found = format!("it is down, and a program has UDP port {port} at {}", socket.ip);
            add(findings, found, format!("ss -lunp 'sport = :{port}' says which program (socket inode {})", socket.inode));
        }
    }
    if let (Err(problem), true) = (&place.sockets, !ends.is_empty()) {
        findings.push(Finding::unknown("port-clash", netns(&place.namespace), problem));
    }
}

fn rules(place: &Place, ends: &[&End], findings: &mut Vec<Finding>) {
    let traffics: BTreeSet<Traffic> = ends.iter().map(|end| end.traffic).collect();
    let ruleset = match &place.rules {
        Ok(ruleset) => ruleset,
        Err(problem) => return findings.push(Finding::unknown("rules", format!("firewall of {}", netns(&place.namespace)), problem)),
    };
    if place.legacy {
        let problem = "there are rules of iptables-legacy, which nft does not show; iptables-legacy-save does";
        findings.push(Finding::unknown("rules", format!("firewall of {}", netns(&place.namespace)), problem));
    }
    let rules = Rules::new(ruleset);
    for traffic in traffics {
        let things: Vec<_> = ends.iter().filter(|end| end.traffic == traffic).map(|end| end.thing.as_str()).collect();
        let (what, accept) = match traffic {
            Traffic::Udp(port) => (format!("UDP port {port}"), format!("udp dport {port} accept")),
            Traffic::Gre => ("GRE (IP protocol 47)".to_owned(), "meta l4proto gre accept".to_owned()),
        };
        for fate in rules.fates(traffic) {
            let (severity, found) = match fate {
                Fate::Dropped(rule) => (Severity::Error, format!("{what} is dropped: {rule}")),
                Fate::Perhaps(rule) => (Severity::Warning, format!("{what} may be dropped, if all that the rule asks for is so: {rule}")),
            };
            let finding = Finding::new(severity, "rules", format!("firewall of {}", netns(&place.namespace)), found);
            let repair =
                format!("nft -a list ruleset shows it; before it: nft insert rule FAMILY TABLE CHAIN {accept} (for {})", things.join(", "));
            findings.push(finding.why("Packets of the overlay disappear without a word.").repair(repair));
        }
    }
}
