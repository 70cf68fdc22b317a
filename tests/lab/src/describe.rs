//! What will it look like? The topology drawn from the plan, before anything is built.

use crate::plan::{Attach, Extension, Family, Join, Offloads, Overlay, Plan, Targets, host_addresses, host_role, tenant_role};

impl Plan {
    /// Draws it, with all names and addresses: one line per host, tunnel and tenant.
    #[must_use]
    pub fn describe(&self) -> String {
        let offloads = match self.offloads {
            Offloads::On => "all offloads",
            Offloads::WireLike => "wire-like (no offloads)",
        };
        let between = match self.join {
            Join::Direct => "one veth pair",
            Join::Switch => "the bridge of namespace sw",
        };
        let hosts = if self.hosts == 1 { "1 host".to_owned() } else { format!("{} hosts", self.hosts) };
        let mut lines = vec![format!("lab {}: {hosts} on {between}, mtu {}, {offloads}", self.name, self.mtu)];
        for host in 1..=self.hosts {
            let (knot, spine) = if host == self.hosts { ("`--", "   ") } else { ("+--", "|  ") };
            let who = host_addresses(host);
            let role = host_role(host);
            lines.push("|".to_owned());
            lines.push(format!("{knot} {role}  ul0 {}  {}  {}", who.ipv4, who.ipv6, who.mac));
            for (place, overlay) in self.overlays.iter().enumerate() {
                let (knot, inner) = if place + 1 == self.overlays.len() { ("`--", "   ") } else { ("+--", "|  ") };
                lines.push(format!("{spine} {knot} {}", overlay.describe_on(host)));
                lines.extend(overlay.describe_tenants(host).into_iter().map(|line| format!("{spine} {inner} {line}")));
            }
        }
        lines.join("\n") + "\n"
    }
}

impl Overlay {
    fn describe_on(&self, host: u16) -> String {
        let family = match self.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let extension = match self.extension {
            Extension::Plain => "",
            Extension::GroupPolicy => ", group policy",
            Extension::External => ", external",
        };
        let head = format!("vni {} port {} over {family}{extension}", self.vni, self.port);
        if !self.has_tunnel_on(host) {
            return format!("{head}: no tunnel here, a program brings it");
        }
        let device = match (self.attach, self.tenants) {
            (_, 0) => format!("device {}", self.device()),
            (Attach::Bridge, _) => format!("device {} in bridge br{}", self.device(), self.vni),
            (Attach::Device, _) => "its device is the tenant's t0".to_owned(),
        };
        let targets = match (self.extension, self.targets) {
            (Extension::External, _) => "routes say where to",
            (_, Targets::Learn) => "floods and learns",
            (_, Targets::StaticAndFlood) => "static targets, floods the rest",
            (_, Targets::Static) => "static targets only",
        };
        format!("{head}: {device}, {targets}")
    }

    fn describe_tenants(&self, host: u16) -> Vec<String> {
        let line = |tenant| {
            let (role, who) = (tenant_role(host, self.vni, tenant), self.tenant_addresses(host, tenant));
            let knot = if tenant == self.tenants { '`' } else { '+' };
            let device = if self.has_tunnel_on(host) { "t0" } else { "(no t0)" };
            format!("{knot}-- {role}  {device} {}  {}  {}", who.ipv4, who.ipv6, who.mac)
        };
        (1..=self.tenants).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    #[test]
    fn the_drawing_names_everything_that_will_be_there() {
        let overlays = vec![
            Overlay::vxlan(100).tenants(2),
            Overlay::vxlan(200).port(8472).family(Family::V6).attach(Attach::Device).targets(Targets::Static).no_tunnel_on(2),
        ];
        let expected = "\
lab demo: 2 hosts on one veth pair, mtu 1500, all offloads
|
+-- h1  ul0 10.88.0.1  fd00:88::1  02:00:00:88:00:01
|   +-- vni 100 port 4789 over IPv4: device vx100 in bridge br100, floods and learns
|   |   +-- h1v100t1  t0 10.0.0.1  2001:db8::1  02:08:20:0a:00:01
|   |   `-- h1v100t2  t0 10.0.0.2  2001:db8::2  02:08:20:0a:00:02
|   `-- vni 200 port 8472 over IPv6: its device is the tenant's t0, static targets only
|       `-- h1v200t1  t0 10.0.0.1  2001:db8::1  02:08:20:0a:00:01
|
`-- h2  ul0 10.88.0.2  fd00:88::2  02:00:00:88:00:02
    +-- vni 100 port 4789 over IPv4: device vx100 in bridge br100, floods and learns
    |   +-- h2v100t1  t0 10.0.0.3  2001:db8::3  02:08:20:0a:00:03
    |   `-- h2v100t2  t0 10.0.0.4  2001:db8::4  02:08:20:0a:00:04
    `-- vni 200 port 8472 over IPv6: no tunnel here, a program brings it
        `-- h2v200t1  (no t0) 10.0.0.2  2001:db8::2  02:08:20:0a:00:02
";
        assert_eq!(plan(overlays).describe(), expected);
    }

    #[test]
    fn every_role_is_in_the_drawing() {
        let plan = Plan { hosts: 3, join: Join::Switch, offloads: Offloads::WireLike, ..plan(vec![Overlay::vxlan(7).tenants(3)]) };
        let drawing = plan.describe();
        assert!(drawing.starts_with("lab demo: 3 hosts on the bridge of namespace sw, mtu 1500, wire-like (no offloads)\n"), "{drawing}");
        for role in plan.roles() {
            assert!(drawing.split_whitespace().any(|word| word.trim_end_matches(',') == role), "{role} is not in\n{drawing}");
        }
    }
}
