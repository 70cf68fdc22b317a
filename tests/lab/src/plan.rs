//! What is to be built: hosts, underlay, overlays, tenants, and all of their addresses. Nothing here touches the machine.

use crate::names;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts at most: their number is one byte of an address.
pub(crate) const HOSTS_MAX: u16 = 250;
/// Tenants per host and overlay at most.
pub(crate) const TENANTS_MAX: u16 = 250;
/// RFC 7348 5: 24 bits.
const VNI_MAX: u32 = (1 << 24) - 1;
/// Underlay MTU, in bytes: IPv6 needs 1280 inside (RFC 8200 5), and 70 go to the tunnel; veth allows no more than the upper end.
const MTU_RANGE: std::ops::RangeInclusive<u32> = 1350..=65_535;

/// A lab on paper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What the lab is called: a lower-case letter, then letters, digits, underscores; 20 characters at most.
    pub name: String,
    /// How many hosts, 1 to 250; they are numbered from 1.
    pub hosts: u16,
    /// Largest IP packet on the underlay, in bytes.
    pub mtu: u32,
    /// What the underlay's interfaces do for the stack.
    pub offloads: Offloads,
    /// What is between the hosts.
    pub join: Join,
    /// The tunnels and their tenants.
    pub overlays: Vec<Overlay>,
}

/// What the underlay's interfaces do for the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offloads {
    /// All that a veth pair can: super-frames and unfinished checksums cross it whole.
    On,
    /// None, as on a plain wire: every frame fits the MTU and carries its final checksums.
    WireLike,
}

/// What is between the hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    /// One veth pair; two hosts only.
    Direct,
    /// A namespace `sw` with a bridge, whose ports `p1`, `p2`, .. lead to the hosts.
    Switch,
}

/// IP of the underlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// 10.88.0.HOST
    V4,
    /// fd00:88::HOST
    V6,
}

/// How tenants hang on the tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attach {
    /// Through a veth pair and a bridge on the host, so that a host can have several.
    Bridge,
    /// The VXLAN device itself is moved to the tenant: one tenant per host.
    Device,
}

/// What the kernel's VXLAN device is told about the other tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Targets {
    /// Flood entries to every other host; it learns the rest from traffic.
    Learn,
    /// One entry per MAC, and flood entries; it learns nothing.
    StaticAndFlood,
    /// One entry per MAC only: nothing floods, so tenants have permanent neighbours.
    Static,
}

/// Variants of the encapsulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension {
    /// RFC 7348.
    Plain,
    /// Group policy (draft-smith-vxlan-group-policy): the socket mark travels along.
    GroupPolicy,
    /// The device has no VNI and no table: the tenant's routes say where to (`encap ip`). With [`Attach::Device`] only.
    External,
}

/// One VNI on all hosts, and its tenants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overlay {
    pub(crate) vni: u32,
    pub(crate) port: u16,
    pub(crate) family: Family,
    pub(crate) extension: Extension,
    pub(crate) targets: Targets,
    pub(crate) attach: Attach,
    pub(crate) tenants: u16,
    pub(crate) without: BTreeSet<u16>,
}

impl Overlay {
    /// A VXLAN: port 4789, IPv4 underlay, [`Extension::Plain`], [`Targets::Learn`], [`Attach::Bridge`], one tenant per host.
    #[must_use]
    pub fn vxlan(vni: u32) -> Self {
        let (extension, targets, attach) = (Extension::Plain, Targets::Learn, Attach::Bridge);
        Self { vni, port: 4789, family: Family::V4, extension, targets, attach, tenants: 1, without: BTreeSet::new() }
    }

    /// The UDP port: 4789 (RFC 7348), 8472 (Linux's old default), any.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The underlay's IP.
    #[must_use]
    pub fn family(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// The variant of the encapsulation.
    #[must_use]
    pub fn extension(self, extension: Extension) -> Self {
        Self { extension, ..self }
    }

    /// What the devices know of the other tenants.
    #[must_use]
    pub fn targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// How tenants hang on the tunnel.
    #[must_use]
    pub fn attach(self, attach: Attach) -> Self {
        Self { attach, ..self }
    }

    /// How many tenants on each host, 0 to 250 (with [`Attach::Device`] 0 or 1). Without tenants the device stays on the host.
    #[must_use]
    pub fn tenants(self, per_host: u16) -> Self {
        Self { tenants: per_host, ..self }
    }

    /// This host gets no kernel tunnel, and its tenants no `t0`: a program under test brings them.
    #[must_use]
    pub fn no_tunnel_on(mut self, host: u16) -> Self {
        self.without.insert(host);
        self
    }

    /// What encapsulation adds to a tenant's IP packet, in bytes: outer IP (20, RFC 791; 40, RFC 8200), UDP 8 (RFC 768),
    /// VXLAN 8 (RFC 7348 5), inner Ethernet 14.
    #[must_use]
    pub fn overhead(&self) -> u32 {
        match self.family {
            Family::V4 => 50,
            Family::V6 => 70,
        }
    }

    /// The kernel's device on the host, unless it was moved.
    pub(crate) fn device(&self) -> String {
        format!("vx{}", self.vni)
    }

    pub(crate) fn has_tunnel_on(&self, host: u16) -> bool {
        !self.without.contains(&host)
    }

    /// Whether a tenant's ARP and neighbour discovery would reach nobody.
    pub(crate) fn needs_neighbours(&self) -> bool {
        self.targets == Targets::Static || self.extension == Extension::External
    }

    /// Numbers tenants through the whole overlay, from 1: equal in every overlay of equal size.
    pub(crate) fn tenant_addresses(&self, host: u16, tenant: u16) -> Addresses {
        // At most 250 x 250, so it fits, and the subnet's broadcast address is out of reach.
        let number = (host - 1) * self.tenants + tenant;
        let [high, low] = number.to_be_bytes();
        Addresses {
            ipv4: Ipv4Addr::new(10, 0, high, low),
            ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number),
            mac: format!("02:08:20:0a:{high:02x}:{low:02x}"),
        }
    }

    /// Host, tenant and addresses of everyone in it.
    pub(crate) fn everyone(&self, hosts: u16) -> impl Iterator<Item = (u16, u16, Addresses)> + '_ {
        (1..=hosts).flat_map(move |host| (1..=self.tenants).map(move |tenant| (host, tenant, self.tenant_addresses(host, tenant))))
    }
}

/// Who one is: on the underlay (UL3), or as a tenant (VL3 and VL2).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Addresses {
    /// In 10.88.0.0/24 or, for tenants, 10.0.0.0/16.
    pub ipv4: Ipv4Addr,
    /// In fd00:88::/64 or, for tenants, `2001:db8::/64`.
    pub ipv6: Ipv6Addr,
    /// Lower case with colons.
    pub mac: String,
}

impl Addresses {
    pub(crate) fn of(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.ipv4.into(),
            Family::V6 => self.ipv6.into(),
        }
    }
}

/// A host on the underlay.
pub(crate) fn host_addresses(host: u16) -> Addresses {
    let number = host.to_be_bytes()[1];
    Addresses {
        ipv4: Ipv4Addr::new(10, 88, 0, number),
        // Written as a decimal, so that host 10 is fd00:88::10 and not fd00:88::a: numbers in a lab are read by people.
        ipv6: Ipv6Addr::new(0xfd00, 0x88, 0, 0, 0, 0, 0, read_as_hex(host)),
        mac: format!("02:00:00:88:00:{number:02x}"),
    }
}

/// 12 becomes 0x12.
fn read_as_hex(number: u16) -> u16 {
    number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10
}

pub(crate) fn host_role(host: u16) -> String {
    format!("h{host}")
}

pub(crate) fn tenant_role(host: u16, vni: u32, tenant: u16) -> String {
    format!("h{host}v{vni}t{tenant}")
}

/// The namespace of [`Join::Switch`].
pub(crate) const SWITCH: &str = "sw";

impl Plan {
    /// All namespaces, hosts first.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        let mut roles: Vec<String> = (1..=self.hosts).map(host_role).collect();
        if self.join == Join::Switch {
            roles.push(SWITCH.to_owned());
        }
        for overlay in &self.overlays {
            roles.extend(overlay.everyone(self.hosts).map(|(host, tenant, _)| tenant_role(host, overlay.vni, tenant)));
        }
        roles
    }

    /// Whether it can be built.
    ///
    /// # Errors
    ///
    /// The first thing that is not allowed.
    pub fn check(&self) -> Result<(), PlanError> {
        if !names::is_name(&self.name) {
            return Err(PlanError::Name(self.name.clone()));
        }
        if !(1..=HOSTS_MAX).contains(&self.hosts) {
            return Err(PlanError::Hosts(self.hosts));
        }
        if self.join == Join::Direct && self.hosts != 2 {
            return Err(PlanError::Direct(self.hosts));
        }
        if !MTU_RANGE.contains(&self.mtu) {
            return Err(PlanError::Mtu(self.mtu));
        }
        let (mut vnis, mut ports) = (BTreeSet::new(), BTreeMap::new());
        for overlay in &self.overlays {
            let vni = overlay.vni;
            self.check_overlay(overlay)?;
            if !vnis.insert(vni) {
                return Err(PlanError::Twice(vni));
            }
            // The kernel: a device without VNI takes the port's packets of all VNIs that have no device.
            if overlay.extension == Extension::External && ports.insert(overlay.port, vni).is_some() {
                return Err(PlanError::ExternalPort { vni, port: overlay.port });
            }
        }
        Ok(())
    }

    fn check_overlay(&self, overlay: &Overlay) -> Result<(), PlanError> {
        let (vni, tenants) = (overlay.vni, overlay.tenants);
        if vni > VNI_MAX {
            return Err(PlanError::Vni(vni));
        }
        if overlay.port == 0 {
            return Err(PlanError::Port(vni));
        }
        let max = if overlay.attach == Attach::Device { 1 } else { TENANTS_MAX };
        if tenants > max {
            return Err(PlanError::Tenants { vni, tenants, max });
        }
        if overlay.extension == Extension::External && (overlay.attach == Attach::Bridge || tenants == 0) {
            return Err(PlanError::External(vni));
        }
        match overlay.without.iter().find(|&&host| host == 0 || host > self.hosts) {
            Some(&host) => Err(PlanError::NoHost { vni, host, hosts: self.hosts }),
            None => Ok(()),
        }
    }
}

/// What a plan may not be.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are those of the sentence in Display")]
pub enum PlanError {
    Name(String),
    Hosts(u16),
    Direct(u16),
    Mtu(u32),
    Vni(u32),
    Twice(u32),
    Port(u32),
    Tenants { vni: u32, tenants: u16, max: u16 },
    External(u32),
    ExternalPort { vni: u32, port: u16 },
    NoHost { vni: u32, host: u16, hosts: u16 },
}

impl fmt::Display for PlanError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                out,
                "lab name {name:?}: a lower-case letter, then lower-case letters, digits and underscores, {} at most, and not \"up\"",
                names::NAME_MAX
            ),
            Self::Hosts(hosts) => write!(out, "{hosts} hosts: 1 to {HOSTS_MAX} are allowed"),
            Self::Direct(hosts) => write!(out, "{hosts} hosts on one veth pair: it has two ends; a switch joins any number"),
            Self::Mtu(mtu) => write!(out, "underlay mtu {mtu}: {} to {} are allowed", MTU_RANGE.start(), MTU_RANGE.end()),
            Self::Vni(vni) => write!(out, "vni {vni}: larger than 24 bits (max {VNI_MAX})"),
            Self::Twice(vni) => write!(out, "vni {vni}: asked for twice, but interfaces are named after it"),
            Self::Port(vni) => write!(out, "vni {vni}: port 0 cannot be sent to"),
            Self::Tenants { vni, tenants, max } => {
                write!(out, "vni {vni}: {tenants} tenants per host, at most {max} with this way to attach them")
            }
            Self::External(vni) => {
                write!(out, "vni {vni}: an external device needs its one tenant directly on it, because routes of the tenant steer it")
            }
            Self::ExternalPort { vni, port } => {
                write!(out, "vni {vni}: a second external device on port {port} of a host is refused by the kernel")
            }
            Self::NoHost { vni, host, hosts } => write!(out, "vni {vni}: no tunnel on host {host}, but hosts are numbered 1 to {hosts}"),
        }
    }
}

impl std::error::Error for PlanError {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(overlays: Vec<Overlay>) -> Plan {
        Plan { name: "demo".into(), hosts: 2, mtu: 1500, offloads: Offloads::On, join: Join::Direct, overlays }
    }

    #[test]
    fn overlays_of_equal_size_have_equal_tenants() {
        let (a, b) = (Overlay::vxlan(100).tenants(3), Overlay::vxlan(200).tenants(3));
        assert_eq!(a.tenant_addresses(2, 1), b.tenant_addresses(2, 1));
        let found = a.tenant_addresses(2, 1);
        assert_eq!(
            (found.ipv4.to_string(), found.ipv6.to_string(), found.mac.as_str()),
            ("10.0.0.4".into(), "2001:db8::4".into(), "02:08:20:0a:00:04")
        );
        let everyone: BTreeSet<_> = a.everyone(2).map(|(_, _, who)| who.ipv4).collect();
        assert_eq!(everyone.len(), 6);
        let last = Overlay::vxlan(1).tenants(TENANTS_MAX).tenant_addresses(HOSTS_MAX, TENANTS_MAX);
        assert_eq!(last.ipv4, Ipv4Addr::new(10, 0, 244, 36));
    }

    #[test]
    fn hosts_are_numbered_alike_in_both_families() {
        let ten = host_addresses(12);
        assert_eq!(
            (ten.ipv4.to_string(), ten.ipv6.to_string(), ten.mac.as_str()),
            ("10.88.0.12".into(), "fd00:88::12".into(), "02:00:00:88:00:0c")
        );
        assert_eq!(host_addresses(250).ipv6.to_string(), "fd00:88::250");
    }

    #[test]
    fn what_cannot_be_built_is_a_sentence() {
        let said = |plan: Plan| plan.check().unwrap_err().to_string();
        assert!(said(Plan { name: "a-b".into(), ..plan(vec![]) }).starts_with("lab name \"a-b\": "));
        assert_eq!(said(Plan { hosts: 0, join: Join::Switch, ..plan(vec![]) }), "0 hosts: 1 to 250 are allowed");
        assert!(said(Plan { hosts: 3, ..plan(vec![]) }).starts_with("3 hosts on one veth pair"));
        assert_eq!(said(Plan { mtu: 1000, ..plan(vec![]) }), "underlay mtu 1000: 1350 to 65535 are allowed");
        assert_eq!(said(plan(vec![Overlay::vxlan(1 << 24)])), "vni 16777216: larger than 24 bits (max 16777215)");
        assert!(said(plan(vec![Overlay::vxlan(1), Overlay::vxlan(1).port(8472)])).starts_with("vni 1: asked for twice"));
        assert!(said(plan(vec![Overlay::vxlan(1).port(0)])).starts_with("vni 1: port 0"));
        assert!(said(plan(vec![Overlay::vxlan(1).attach(Attach::Device).tenants(2)])).starts_with("vni 1: 2 tenants per host, at most 1"));
        assert!(said(plan(vec![Overlay::vxlan(1).extension(Extension::External)])).starts_with("vni 1: an external device"));
        let external = |vni| Overlay::vxlan(vni).extension(Extension::External).attach(Attach::Device);
        assert!(said(plan(vec![external(1), external(2)])).starts_with("vni 2: a second external device on port 4789"));
        assert_eq!(said(plan(vec![Overlay::vxlan(1).no_tunnel_on(3)])), "vni 1: no tunnel on host 3, but hosts are numbered 1 to 2");
        assert_eq!(plan(vec![external(1), external(2).port(4790)]).check(), Ok(()));
    }

    #[test]
    fn every_namespace_has_its_role() {
        let mut plan = plan(vec![Overlay::vxlan(100).tenants(2)]);
        assert_eq!(plan.roles(), ["h1", "h2", "h1v100t1", "h1v100t2", "h2v100t1", "h2v100t2"]);
        (plan.join, plan.overlays) = (Join::Switch, vec![]);
        assert_eq!(plan.roles(), ["h1", "h2", "sw"]);
    }
}
