//! Can the ends of tunnels in a namespace send and receive? The same questions for the kernel's devices and for overlayd's overlays.

use super::finding::{Finding, Severity};
use super::look::{Bound, Place};
use super::rules::{Fate, Packet, Rules, Traffic};
use overlay_captures::host::{Link, Namespace};
use std::collections::{BTreeMap, BTreeSet};
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

impl End {
    /// Whether it has outer packets of a family.
    fn has(&self, ipv6: bool) -> bool {
        match self.local.filter(|ip| !ip.is_unspecified()) {
            Some(ip) => ip.is_ipv6() == ipv6,
            None => self.remotes.is_empty() || self.remotes.iter().any(|ip| ip.is_ipv6() == ipv6),
        }
    }

    /// Whether its socket has that address, too. Those of the kernel's devices are at all addresses of a family, whatever the device's is.
    fn listens_at(&self, ip: IpAddr) -> bool {
        // A socket at all addresses of IPv6 most often has those of IPv4, too.
        let family = self.has(ip.is_ipv6()) || (ip.is_ipv6() && ip.is_unspecified());
        let own = self.local.filter(|local| self.ours && !local.is_unspecified());
        family && (ip.is_unspecified() || own.is_none_or(|own| own == ip))
    }

    /// Whether both want one socket.
    fn meets(&self, other: &Self) -> bool {
        let specified = |end: &Self| end.local.filter(|local| end.ours && !local.is_unspecified());
        match (specified(self), specified(other)) {
            (_, Some(ip)) => self.listens_at(ip),
            (Some(ip), None) => other.listens_at(ip),
            (None, None) => [false, true].into_iter().any(|ipv6| self.has(ipv6) && other.has(ipv6)),
        }
    }
}

/// How a program is run in a namespace.
pub(crate) fn run_in(namespace: &Namespace, program: &str) -> String {
    let label = namespace.to_string();
    match label.strip_prefix("pid ").and_then(|pid| pid.split(' ').next()) {
        _ if namespace.is_current() => program.to_owned(),
        Some(pid) => format!("nsenter --net --target {pid} {program}"),
        None if label.contains('/') => format!("nsenter --net={label} {program}"),
        None if matches!(program, "ip" | "bridge") => format!("{program} -n {label}"),
        None => format!("ip netns exec {label} {program}"),
    }
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
        findings.push(overflowed(place, ends));
    }
}

/// Sockets of programs, overlayd's among them; what the kernel's own tunnels take comes by none.
fn overflowed(place: &Place, ends: &[&End]) -> Finding {
    let found = format!("{} datagrams were lost because the buffer of a socket was full", place.overflowed);
    let why = "Packets that came were thrown away before anybody saw them. The count is since the namespace is there, of all programs.";
    let see = format!("see whether `{} -az UdpRcvbufErrors` still grows", run_in(&place.namespace, "nstat"));
    let (severity, repair) = match ends.iter().any(|end| end.ours) {
        // It takes 16 MiB, whatever rmem_max is.
        true => {
            (Severity::Note, format!("{see}, and `{} -uamn`, which socket it is (the number behind d)", run_in(&place.namespace, "ss")))
        }
        false => (Severity::Warning, format!("sysctl -w net.core.rmem_max=16777216, and {see}")),
    };
    Finding::new(severity, "receive-buffer", format!("UDP sockets of {}", netns(&place.namespace)), found).why(why).repair(repair)
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
            let bits = if ip.is_ipv6() { 64 } else { 24 };
            let repair = format!("{} address add {ip}/{bits} dev INTERFACE", run_in(&place.namespace, "ip"));
            findings.push(finding.why(why).repair(repair));
        }
        Some(link) if !link.up || !link.lower_up => {
            let ip_program = run_in(&place.namespace, "ip");
            let (what, repair) = match link.up {
                true => {
                    ("has no carrier", format!("look at its cable, or at what it is connected to: {ip_program} -s link show {}", link.name))
                }
                false => ("is down", format!("{ip_program} link set {} up", link.name)),
            };
            let found = format!("interface {}, which has its underlay address {ip}, {what}", link.name);
            let finding = Finding::new(Severity::Error, "address", thing, found);
            findings.push(finding.why("Nothing passes.").repair(repair));
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
    let program = run_in(&place.namespace, "ip");
    let repair = format!("{} (or {program} link set {} mtu {needed})", end.set_mtu.replace("MTU", &fits.to_string()), link.name);
    findings.push(
        Finding::new(Severity::Warning, "mtu", format!("{} in {}", end.thing, netns(&place.namespace)), found).why(why).repair(repair),
    );
}

fn reverse_path(place: &Place, end: &End, findings: &mut Vec<Finding>) {
    // Where none is fixed, packets may come by any, also to an address of this one.
    let Some(link) = end.lower.and_then(|number| place.link(number)) else { return };
    // Nothing comes by these from elsewhere.
    if link.name == "lo" || link.kind.as_deref() == Some("dummy") {
        return;
    }
    let of = |name: &str| place.filters.get(name).copied().unwrap_or(0);
    // The kernel takes the larger of both (ip-sysctl).
    if of("all").max(of(&link.name)) != STRICT {
        return;
    }
    let remotes = end.remotes.iter().copied().filter(|ip| ip.is_ipv4() && !ip.is_multicast());
    let Some((ip, way)) = place.ways(remotes).into_iter().find(|(_, way)| *way != link.name) else { return };
    let found = format!("rp_filter of {} is strict, but the way to {ip} is over {way}", link.name);
    let why = "Packets that come in by another interface than answers would leave by are dropped without a word.";
    // Loose in one of both is loose; sysctl(8) has a slash for the dot of a name.
    let setting = format!("net.ipv4.conf.{}.rp_filter=2", link.name.replace('.', "/"));
    let repair = format!("{} -w {setting}, or a route over {}", run_in(&place.namespace, "sysctl"), link.name);
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
        let shared = |other: &End| other.ours == end.ours && other.kind == end.kind;
        // Two of the kernel that are up have what they want, whatever it looks like.
        let wants = |other: &End| !end.up || !other.up || (end.ours && other.ours);
        let differs = |other: &&&End| other.traffic == end.traffic && !shared(other) && wants(other) && end.meets(other);
        if let Some(other) = ends.iter().skip(number + 1).find(differs) {
            let found = format!("UDP port {port} is wanted by {} ({}), too", other.thing, other.kind);
            add(findings, found, format!("give one of them another port, or delete it: {}", other.thing));
            continue;
        }
        let Ok(sockets) = &place.sockets else { continue };
        // overlayd's own socket, which several overlays have.
        let own = ends.iter().any(|other| end.ours && other.up && other.traffic == end.traffic && shared(other) && end.meets(other));
        let takes = |socket: &&Bound| socket.port == port && end.listens_at(socket.ip) && socket.inode != 0;
        if let Some(socket) = sockets.iter().find(takes).filter(|_| !end.up && !own) {
            let found = format!("it is down, and a program has UDP port {port} at {}", socket.ip);
            add(
                findings,
                found,
                format!("{} -lunp 'sport = :{port}' says which program (socket inode {})", run_in(&place.namespace, "ss"), socket.inode),
            );
        }
    }
    if let (Err(problem), true) = (&place.sockets, !ends.is_empty()) {
        findings.push(Finding::unknown("port-clash", netns(&place.namespace), problem));
    }
}

fn rules(place: &Place, ends: &[&End], findings: &mut Vec<Finding>) {
    let thing = format!("firewall of {}", netns(&place.namespace));
    let ruleset = match &place.rules {
        Ok(ruleset) => ruleset,
        Err(problem) => return findings.push(Finding::unknown("rules", thing, problem)),
    };
    if place.legacy {
        let problem = "there are rules of iptables-legacy, which nft does not show; iptables-legacy-save does";
        findings.push(Finding::unknown("rules", thing.clone(), problem));
    }
    let rules = Rules::new(ruleset);
    // Whom it concerns.
    let mut all: BTreeMap<(Traffic, Fate), BTreeSet<&str>> = BTreeMap::new();
    let mut seen: BTreeMap<Packet, Vec<Fate>> = BTreeMap::new();
    for end in ends {
        let link = lower(place, end).map(|link| link.name.clone());
        for ipv6 in [false, true].into_iter().filter(|ipv6| end.has(*ipv6)) {
            let packet = Packet { traffic: end.traffic, ipv6, link: link.clone() };
            for fate in seen.entry(packet).or_insert_with_key(|packet| rules.fates(packet)).iter() {
                all.entry((end.traffic, fate.clone())).or_default().insert(&end.thing);
            }
        }
    }
    for ((traffic, fate), things) in all {
        let (what, accept) = match traffic {
            Traffic::Udp(port) => (format!("UDP port {port}"), format!("udp dport {port} accept")),
            Traffic::Gre => ("GRE (IP protocol 47)".to_owned(), "meta l4proto gre accept".to_owned()),
        };
        let (severity, found, why) = match fate {
            Fate::Dropped(rule) => {
                (Severity::Error, format!("{what} is dropped: {rule}"), "Packets of the overlay disappear without a word.")
            }
            // Most hosts with rules have such; nothing is wrong with that.
            Fate::Perhaps(rule) => (
                Severity::Note,
                format!("{what} may be dropped, if all that the rules ask for is so: {rule}"),
                "Only a packet can tell: overlayadm ping, or nft monitor trace.",
            ),
        };
        let things: Vec<_> = things.into_iter().collect();
        let nft = run_in(&place.namespace, "nft");
        let repair =
            format!("{nft} -a list ruleset shows it; before it: {nft} insert rule FAMILY TABLE CHAIN {accept} (for {})", things.join(", "));
        findings.push(Finding::new(severity, "rules", thing.clone(), found).why(why).repair(repair));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_captures::host::Address;

    fn place() -> Place {
        Place {
            namespace: Namespace::current().unwrap(),
            links: Ok(Vec::new()),
            addresses: Vec::new(),
            tables: BTreeMap::new(),
            sockets: Ok(Vec::new()),
            filters: BTreeMap::new(),
            overflowed: 0,
            rules: Ok(serde_json::Value::Null),
            legacy: false,
        }
    }

    fn end(ours: bool, kind: &str, up: bool, local: &str) -> End {
        End {
            thing: format!("{kind} at {local}"),
            name: kind.to_owned(),
            ours,
            kind: kind.to_owned(),
            namespace: Namespace::current().unwrap(),
            up,
            traffic: Traffic::Udp(4789),
            local: local.parse().ok(),
            lower: None,
            remotes: BTreeSet::new(),
            mtu: 1450,
            around: 50,
            set_mtu: String::new(),
        }
    }

    fn found(place: &Place, ends: &[End]) -> Vec<(Severity, &'static str, String)> {
        let mut findings = Vec::new();
        let ends: Vec<_> = ends.iter().collect();
        clashes(place, &ends, &mut findings);
        findings.into_iter().map(|finding| (finding.severity, finding.check, finding.found)).collect()
    }

    #[test]
    fn two_of_one_port_clash_only_where_they_meet_and_one_of_them_has_not_got_it() {
        let count = |ends: &[End]| found(&place(), ends).len();
        let ours = |kind, up, local| end(true, kind, up, local);
        let device = |up, local| end(false, "vxlan", up, local);
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), device(false, "10.0.0.2")]), 1, "the kernel's is at all addresses");
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), device(true, "10.0.0.2")]), 0, "both are up");
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), device(false, "fd00::2")]), 0, "another family");
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), ours("geneve", true, "10.0.0.1")]), 1);
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), ours("geneve", true, "10.0.0.2")]), 0, "another address");
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), ours("geneve", true, "")]), 1, "all addresses");
        assert_eq!(count(&[ours("vxlan", true, "10.0.0.1"), ours("vxlan", true, "10.0.0.1")]), 0, "they share a socket");
    }

    #[test]
    fn a_program_that_has_the_port_is_told_and_overlayds_own_socket_is_not() {
        let mut place = place();
        place.sockets = Ok(vec![Bound { ip: "10.0.0.1".parse().unwrap(), port: 4789, inode: 7 }]);
        let down = end(true, "vxlan", false, "10.0.0.1");
        assert_eq!(found(&place, std::slice::from_ref(&down)).len(), 1);
        assert_eq!(found(&place, &[down, end(true, "vxlan", true, "10.0.0.1")]), [], "another overlay has it");
        assert_eq!(found(&place, &[end(true, "vxlan", false, "10.0.0.2")]), []);
        assert_eq!(found(&place, &[end(false, "vxlan", false, "10.0.0.2")]).len(), 1, "the kernel wants all addresses");
    }

    #[test]
    fn a_link_without_carrier_is_not_told_to_be_switched_on() {
        let mut place = place();
        // An interface message (rtnetlink(7)): Ethernet, number 3, IFF_UP, and its name.
        let mut body = [[0, 0], 1_u16.to_ne_bytes()].concat();
        body.extend([3_u32, 1, 0].into_iter().flat_map(u32::to_ne_bytes));
        body.extend([10_u16, 3].into_iter().flat_map(u16::to_ne_bytes));
        body.extend(b"ul.10\0\0\0");
        let link = Link::from_message(&body).unwrap();
        assert_eq!((link.name.as_str(), link.up, link.lower_up), ("ul.10", true, false));
        place.addresses = vec![Address { link: link.index, ip: "10.0.0.1".parse().unwrap(), prefix_len: 24 }];
        place.links = Ok(vec![link]);
        let mut findings = Vec::new();
        address(&place, &end(true, "vxlan", true, "10.0.0.1"), &mut findings);
        assert!(findings.len() == 1 && findings[0].repair.starts_with("look at its cable"), "{findings:?}");
        address(&place, &end(true, "vxlan", true, "fd00::1"), &mut findings);
        assert!(findings[1].repair.ends_with("address add fd00::1/64 dev INTERFACE"), "{findings:?}");
    }

    #[test]
    fn lost_datagrams_are_a_note_where_overlayd_takes_all_the_room_it_can_have() {
        let severity = |ours| overflowed(&place(), &[&end(ours, "vxlan", true, "")]).severity;
        assert_eq!((severity(true), severity(false)), (Severity::Note, Severity::Warning));
    }
}
