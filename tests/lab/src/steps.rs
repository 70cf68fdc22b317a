//! How is a plan built? The commands, in order; nothing here runs them.

use crate::LabId;
use crate::plan::{
    Addresses, Attach, Extension, Family, Join, Offloads, Overlay, Plan, SWITCH, Targets, host_addresses, host_role, tenant_role,
};

/// Settings of every namespace: no automatic addresses, router searches or duplicate detection, so that few packets are on a wire
/// that no test asked for (multicast listener reports of fresh addresses remain: filter for what you sent); and a link that went
/// down keeps its IPv6 addresses for when it comes back.
pub(crate) const SYSCTLS: &[(&str, &str)] = &[
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/keep_addr_on_down", "1"),
    ("ipv6/conf/default/keep_addr_on_down", "1"),
];

/// What ethtool turns off for [`Offloads::WireLike`].
const OFFLOADS: &[&str] =
    &["tso", "gso", "gro", "tx", "rx", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-udp-segmentation", "tx-gso-partial"];

/// MAC of a VXLAN device's flood entries (bridge(8)).
const FLOOD: &str = "00:00:00:00:00:00";

/// A command, or a batch of them, in one namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Lines for `ip -batch`.
    Ip { role: String, lines: Vec<String> },
    /// Lines for `bridge -batch`.
    Bridge { role: String, lines: Vec<String> },
    /// Arguments for `ethtool`.
    Ethtool { role: String, arguments: Vec<String> },
}

impl Plan {
    /// Everything after the namespaces have been made and [`SYSCTLS`] been set.
    pub(crate) fn steps(&self, lab: &LabId) -> Vec<Step> {
        let mut steps = self.underlay(lab);
        for overlay in &self.overlays {
            for host in (1..=self.hosts).filter(|&host| overlay.has_tunnel_on(host)) {
                steps.push(Step::Ip { role: host_role(host), lines: self.tunnel(lab, overlay, host) });
                let (role, device) = overlay.device_place(host);
                steps.push(Step::Bridge { role, lines: self.targets(overlay, host, &device) });
            }
            for (host, tenant, who) in overlay.everyone(self.hosts) {
                let mut lines = vec!["link set lo up".to_owned()];
                if overlay.has_tunnel_on(host) {
                    lines.extend(self.tenant(overlay, host, &who, "t0"));
                }
                steps.push(Step::Ip { role: tenant_role(host, overlay.vni, tenant), lines });
            }
        }
        steps
    }

    /// Hosts, and what is between them.
    fn underlay(&self, lab: &LabId) -> Vec<Step> {
        let mtu = self.mtu;
        let end = |host| format!("name ul0 address {} mtu {mtu} netns {}", host_addresses(host).mac, lab.namespace(&host_role(host)));
        let mut steps = Vec::new();
        let mut ports: Vec<(String, String)> = (1..=self.hosts).map(|host| (host_role(host), "ul0".to_owned())).collect();
        match self.join {
            Join::Direct => {
                let mac = host_addresses(1).mac;
                let pair = format!("link add ul0 address {mac} mtu {mtu} type veth peer {}", end(2));
                steps.push(Step::Ip { role: host_role(1), lines: vec![pair] });
            }
            Join::Switch => {
                // Without snooping the bridge sends no queries of its own and drops no group it has not heard of.
                let bridge = format!("link add br0 mtu {mtu} type bridge mcast_snooping 0");
                let mut lines = vec!["link set lo up".to_owned(), bridge, "link set br0 up".to_owned()];
                for host in 1..=self.hosts {
                    lines.push(format!("link add p{host} mtu {mtu} type veth peer {}", end(host)));
                    lines.push(format!("link set p{host} master br0 up"));
                    ports.push((SWITCH.to_owned(), format!("p{host}")));
                }
                steps.push(Step::Ip { role: SWITCH.to_owned(), lines });
            }
        }
        for host in 1..=self.hosts {
            let who = host_addresses(host);
            let lines = vec![
                "link set lo up".to_owned(),
                format!("address add {}/24 dev ul0", who.ipv4),
                format!("address add {}/64 dev ul0 nodad", who.ipv6),
                "link set ul0 up".to_owned(),
            ];
            steps.push(Step::Ip { role: host_role(host), lines });
        }
        if self.offloads == Offloads::WireLike {
            steps.extend(ports.into_iter().map(|(role, port)| {
                let switches = OFFLOADS.iter().flat_map(|name| [(*name).to_owned(), "off".to_owned()]);
                Step::Ethtool { role, arguments: ["-K".to_owned(), port].into_iter().chain(switches).collect() }
            }));
        }
        steps
    }

    /// The VXLAN device of a host and the way to its tenants.
    fn tunnel(&self, lab: &LabId, overlay: &Overlay, host: u16) -> Vec<String> {
        let (vni, port, device, mtu) = (overlay.vni, overlay.port, overlay.device(), self.inner_mtu(overlay));
        let local = host_addresses(host).of(overlay.family);
        let learning = if overlay.targets == Targets::Learn { "learning" } else { "nolearning" };
        let kind = match overlay.extension {
            Extension::Plain => format!("id {vni} local {local} dev ul0 {learning}"),
            Extension::GroupPolicy => format!("id {vni} local {local} dev ul0 {learning} gbp"),
            // Over IPv6 its socket is one of both families; it has no lower device, as routes choose.
            Extension::External => "external".to_owned(),
        };
        let tenant = |tenant| lab.namespace(&tenant_role(host, vni, tenant));
        let mac = |tenant| overlay.tenant_addresses(host, tenant).mac;
        if overlay.attach == Attach::Device && overlay.tenants == 1 {
            return vec![
                format!("link add {device} address {} mtu {mtu} type vxlan {kind} dstport {port}", mac(1)),
                format!("link set {device} netns {} name t0", tenant(1)),
            ];
        }
        let mut lines = vec![format!("link add {device} mtu {mtu} type vxlan {kind} dstport {port}")];
        if overlay.tenants > 0 {
            lines.push(format!("link add br{vni} mtu {mtu} type bridge mcast_snooping 0"));
            lines.push(format!("link set {device} master br{vni}"));
            lines.push(format!("link set br{vni} up"));
        }
        for number in 1..=overlay.tenants {
            let peer = format!("name t0 address {} mtu {mtu} netns {}", mac(number), tenant(number));
            lines.push(format!("link add t{vni}.{number} mtu {mtu} type veth peer {peer}"));
            lines.push(format!("link set t{vni}.{number} master br{vni} up"));
        }
        lines.push(format!("link set {device} up"));
        lines
    }

    /// What the device of a host is told about the others.
    fn targets(&self, overlay: &Overlay, host: u16, device: &str) -> Vec<String> {
        if overlay.extension == Extension::External {
            return Vec::new();
        }
        let entry = |mac: &str, host| {
            let target = host_addresses(host).of(overlay.family);
            format!("fdb append {mac} dev {device} dst {target} self permanent")
        };
        let mut lines = Vec::new();
        if overlay.targets != Targets::Static {
            lines.extend((1..=self.hosts).filter(|&other| other != host).map(|other| entry(FLOOD, other)));
        }
        if overlay.targets != Targets::Learn {
            let others = overlay.everyone(self.hosts).filter(|(other, ..)| *other != host);
            lines.extend(others.map(|(other, _, who)| entry(&who.mac, other)));
        }
        lines
    }

    /// The tenant's own side: addresses on an interface, and where ARP does not reach, neighbours and routes.
    pub(crate) fn tenant(&self, overlay: &Overlay, host: u16, who: &Addresses, interface: &str) -> Vec<String> {
        let mut lines = vec![
            format!("address add {}/16 dev {interface}", who.ipv4),
            format!("address add {}/64 dev {interface} nodad", who.ipv6),
            format!("link set {interface} up"),
        ];
        let others = overlay.everyone(self.hosts).filter(|(.., other)| other != who);
        for (other_host, _, other) in others.filter(|_| overlay.needs_neighbours()) {
            for address in [other.of(Family::V4), other.of(Family::V6)] {
                lines.push(format!("neighbour replace {address} lladdr {} dev {interface} nud permanent", other.mac));
                if overlay.extension == Extension::External && other_host != host && overlay.has_tunnel_on(host) {
                    // Without `csum` the outer checksum is 0, which a receiver over IPv6 refuses (RFC 8200 8.1).
                    let (encap, checksum) = if overlay.family == Family::V4 { ("ip", "") } else { ("ip6", " csum") };
                    let target = host_addresses(other_host).of(overlay.family);
                    lines.push(format!("route add {address} dev {interface} encap {encap} id {} dst {target}{checksum}", overlay.vni));
                }
            }
        }
        lines
    }

    /// What fits into the tunnel, in bytes.
    pub(crate) fn inner_mtu(&self, overlay: &Overlay) -> u32 {
        self.mtu - overlay.overhead()
    }
}

impl Overlay {
    /// Where its device on a host ends up, and under which name.
    fn device_place(&self, host: u16) -> (String, String) {
        if self.attach == Attach::Device && self.tenants == 1 {
            (tenant_role(host, self.vni, 1), "t0".to_owned())
        } else {
            (host_role(host), self.device())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;
    use crate::plan::tests::plan;
    use std::collections::BTreeSet;

    fn steps(plan: &Plan) -> Vec<Step> {
        plan.check().unwrap();
        plan.steps(&LabId { owner: Owner::Process { pid: 1, count: 1 }, name: plan.name.clone() })
    }

    fn lines(plan: &Plan) -> Vec<String> {
        let of = |step| match step {
            Step::Ip { role, lines } | Step::Bridge { role, lines } => {
                lines.into_iter().map(|line| format!("{role}: {line}")).collect::<Vec<_>>()
            }
            Step::Ethtool { role, arguments } => vec![format!("{role}: {}", arguments.join(" "))],
        };
        steps(plan).into_iter().flat_map(of).collect()
    }

    fn count(plan: &Plan, part: &str) -> usize {
        lines(plan).iter().filter(|line| line.contains(part)).count()
    }

    #[test]
    fn targets_are_flooded_listed_or_both() {
        let with = |targets| Plan { hosts: 3, join: Join::Switch, ..plan(vec![Overlay::vxlan(9).tenants(2).targets(targets)]) };
        // Each of three hosts: two others to flood to, four other tenants to list.
        for (targets, floods, listed, neighbours) in
            [(Targets::Learn, 6, 0, 0), (Targets::StaticAndFlood, 6, 12, 0), (Targets::Static, 0, 12, 60)]
        {
            let plan = with(targets);
            assert_eq!(
                (count(&plan, FLOOD), count(&plan, "fdb append 02:08:"), count(&plan, "neighbour ")),
                (floods, listed, neighbours),
                "{targets:?}"
            );
        }
    }

    #[test]
    fn a_host_without_tunnel_is_still_a_target_of_the_others() {
        let plan = plan(vec![Overlay::vxlan(9).no_tunnel_on(2)]);
        let lines = lines(&plan);
        assert!(lines.contains(&"h1: fdb append 00:00:00:00:00:00 dev vx9 dst 10.88.0.2 self permanent".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"h2v9t1: link set lo up".to_owned()), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.starts_with("h2: link add") || line.contains("-h2v9t1")), "{lines:#?}");
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        let plan = Plan { hosts: 250, join: Join::Switch, ..plan(vec![Overlay::vxlan((1 << 24) - 1).tenants(2)]) };
        let lines = lines(&plan);
        let named =
            |line: &String| ["link add ", "peer name "].map(|before| line.split_once(before)?.1.split(' ').next().map(str::to_owned));
        let names: BTreeSet<String> = lines.iter().flat_map(named).flatten().collect();
        assert!(names.contains("t16777215.2") && names.iter().all(|name| name.len() <= 15), "{names:?}");
    }

    #[test]
    fn the_tunnel_leaves_room_for_its_headers() {
        let plan = plan(vec![Overlay::vxlan(1), Overlay::vxlan(2).family(Family::V6)]);
        // Bridge, device, and both ends of the tenant's pair, on two hosts.
        assert_eq!((count(&plan, "mtu 1450 type"), count(&plan, "mtu 1430 type")), (6, 6));
        assert_eq!((count(&plan, "mtu 1450 netns"), count(&plan, "mtu 1430 netns")), (2, 2));
    }

    #[test]
    fn both_ends_of_a_wire_like_link_are_plain() {
        let direct = Plan { offloads: Offloads::WireLike, ..plan(vec![]) };
        assert_eq!(count(&direct, "-K ul0 tso off gso off"), 2);
        let switch = Plan { join: Join::Switch, ..direct };
        assert_eq!((count(&switch, "-K ul0"), count(&switch, "sw: -K p")), (2, 2));
    }
}
