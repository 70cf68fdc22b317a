//! What does a tunnel device encapsulate, and how? What IFLA_INFO_DATA says of vxlan, geneve, gre and ipip devices.
//!
//! Sources: linux/if_link.h (vxlan, geneve), linux/if_tunnel.h (gre, ipip); ip-link(8) for the meaning.

use std::fmt;
use std::net::IpAddr;

use overlay_decoder::{UdpTunnel, Vni};

use super::netlink::Attributes;

/// VXLAN's registered port, RFC 7348 8. The kernel says the port of every vxlan device, so this is for messages without one.
const VXLAN_PORT: u16 = 4789;
/// Geneve's registered port, RFC 8926 6.
const GENEVE_PORT: u16 = 6081;
/// GRE_KEY in the flags of a gre device, in network order.
const GRE_KEY: u16 = 0x2000;

/// How a device encapsulates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tunnel {
    /// Its encapsulation.
    pub kind: TunnelKind,
    /// The VNI of everything that passes it; absent where each packet has its own (`external`), and for kinds without VNI.
    pub vni: Option<Vni>,
    /// Whether routes, filters or programs say VNI and addresses for each packet (`external`): the device's own table is empty then.
    pub external: bool,
    /// Whether it takes only the VNIs on a list (`vnifilter`).
    pub vni_filter: bool,
    /// UDP destination port; absent for kinds that are not over UDP.
    pub port: Option<u16>,
    /// UL3 address that it sends from, where it is fixed.
    pub local: Option<IpAddr>,
    /// UL3 address of the other end, or the multicast group for unknown stations.
    pub remote: Option<IpAddr>,
    /// Interface that outer packets leave by, where it is fixed; its number in the namespace of the outer packets.
    pub lower: Option<u32>,
    /// Time to live of outer packets.
    pub ttl: OuterField,
    /// Type of service, or traffic class, of outer packets.
    pub tos: OuterField,
    /// Whether it learns where stations are from what it receives.
    pub learning: bool,
    /// How long a learned station is remembered, in seconds; 0 is for ever.
    pub ageing_seconds: Option<u32>,
    /// Whether it carries a group policy id (VXLAN-GBP).
    pub gbp: bool,
    /// GRE key that it accepts.
    pub key_in: Option<u32>,
    /// GRE key that it sends.
    pub key_out: Option<u32>,
}

impl Tunnel {
    /// Reads the data of a device of kind `kind` (IFLA_INFO_KIND); nothing where that is no tunnel that we know.
    #[must_use]
    pub fn from_attributes(kind: &str, data: Attributes<'_>) -> Option<Self> {
        let mut tunnel = Self::new(TunnelKind::from_name(kind)?);
        match tunnel.kind {
            TunnelKind::Vxlan | TunnelKind::VxlanGpe => tunnel.read_vxlan(data),
            TunnelKind::Geneve => tunnel.read_geneve(data),
            TunnelKind::Ipip | TunnelKind::Ip6tnl | TunnelKind::Sit => tunnel.read_ipip(data),
            _ => tunnel.read_gre(data),
        }
        if tunnel.external {
            // The kernel shows id 0 for vxlan, which would be a VNI like any other.
            tunnel.vni = None;
        }
        Some(tunnel)
    }

    const fn new(kind: TunnelKind) -> Self {
        Self {
            kind,
            vni: None,
            external: false,
            vni_filter: false,
            port: match kind {
                TunnelKind::Vxlan | TunnelKind::VxlanGpe => Some(VXLAN_PORT),
                TunnelKind::Geneve => Some(GENEVE_PORT),
                _ => None,
            },
            local: None,
            remote: None,
            lower: None,
            ttl: OuterField::Auto,
            tos: OuterField::Auto,
            learning: false,
            ageing_seconds: None,
            gbp: false,
            key_in: None,
            key_out: None,
        }
    }

    /// What its UDP port carries; nothing for kinds that are not over UDP.
    #[must_use]
    pub const fn udp(&self) -> Option<UdpTunnel> {
        match self.kind {
            TunnelKind::Vxlan => Some(UdpTunnel::Vxlan),
            TunnelKind::VxlanGpe => Some(UdpTunnel::VxlanGpe),
            TunnelKind::Geneve => Some(UdpTunnel::Geneve),
            _ => None,
        }
    }

    /// Whether [`Self::remote`] is a multicast group.
    #[must_use]
    pub fn has_group(&self) -> bool {
        self.remote.is_some_and(|remote| remote.is_multicast())
    }

    fn read_vxlan(&mut self, data: Attributes<'_>) {
        let mut inherit_ttl = false;
        for attribute in data {
            match attribute.kind {
                1 => self.vni = attribute.u32().and_then(Vni::new),
                2 | 16 => self.remote = attribute.ip().filter(is_set),
                3 => self.lower = attribute.u32().filter(|&index| index != 0),
                4 | 17 => self.local = attribute.ip().filter(is_set),
                5 => self.ttl = OuterField::with_auto(attribute.u8()),
                6 => self.tos = OuterField::tos(attribute.u8()),
                7 => self.learning = attribute.is_on(),
                8 => self.ageing_seconds = attribute.u32(),
                15 => self.port = attribute.u16_be().or(self.port),
                23 => self.gbp = attribute.is_on(),
                25 => self.external = attribute.is_on(),
                27 if attribute.is_on() => self.kind = TunnelKind::VxlanGpe,
                28 => inherit_ttl = attribute.is_on(),
                30 => self.vni_filter = attribute.is_on(),
                _ => {}
            }
        }
        if inherit_ttl {
            self.ttl = OuterField::Inherit;
        }
    }

    fn read_geneve(&mut self, data: Attributes<'_>) {
        let mut inherit_ttl = false;
        for attribute in data {
            match attribute.kind {
                1 => self.vni = attribute.u32().and_then(Vni::new),
                2 | 7 => self.remote = attribute.ip().filter(is_set),
                3 => self.ttl = OuterField::with_auto(attribute.u8()),
                4 => self.tos = OuterField::tos(attribute.u8()),
                5 => self.port = attribute.u16_be().or(self.port),
                6 => self.external = attribute.is_on(),
                12 => inherit_ttl = attribute.is_on(),
                _ => {}
            }
        }
        if inherit_ttl {
            self.ttl = OuterField::Inherit;
        }
    }

    fn read_gre(&mut self, data: Attributes<'_>) {
        let (mut flags_in, mut flags_out) = (0, 0);
        let mut outer = Outer::default();
        for attribute in data {
            match attribute.kind {
                1 => self.lower = attribute.u32().filter(|&index| index != 0),
                2 => flags_in = attribute.u16_be().unwrap_or_default(),
                3 => flags_out = attribute.u16_be().unwrap_or_default(),
                4 => self.key_in = attribute.u32_be(),
                5 => self.key_out = attribute.u32_be(),
                6 => self.local = attribute.ip().filter(is_set),
                7 => self.remote = attribute.ip().filter(is_set),
                8 => self.ttl = OuterField::with_inherit(attribute.u8()),
                9 => self.tos = OuterField::tos(attribute.u8()),
                14 => outer.encapsulated = attribute.u16().is_some_and(|kind| kind != 0),
                17 => outer.port = attribute.u16_be(),
                18 => self.external = attribute.is_on(),
                _ => {}
            }
        }
        // The keys are there always; the flags say whether they count.
        self.key_in = self.key_in.filter(|_| flags_in & GRE_KEY != 0);
        self.key_out = self.key_out.filter(|_| flags_out & GRE_KEY != 0);
        self.port = outer.udp_port();
    }

    fn read_ipip(&mut self, data: Attributes<'_>) {
        let mut outer = Outer::default();
        for attribute in data {
            match attribute.kind {
                1 => self.lower = attribute.u32().filter(|&index| index != 0),
                2 => self.local = attribute.ip().filter(is_set),
                3 => self.remote = attribute.ip().filter(is_set),
                4 => self.ttl = OuterField::with_inherit(attribute.u8()),
                5 => self.tos = OuterField::tos(attribute.u8()),
                15 => outer.encapsulated = attribute.u16().is_some_and(|kind| kind != 0),
                18 => outer.port = attribute.u16_be(),
                19 => self.external = attribute.is_on(),
                _ => {}
            }
        }
        self.port = outer.udp_port();
    }
}

/// In the words of `ip link`, for example `vxlan id 77 remote 10.0.0.2 dstport 4789`.
impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.external {
            f.write_str(" external")?;
        }
        if self.vni_filter {
            f.write_str(" vnifilter")?;
        }
        if let Some(vni) = self.vni {
            write!(f, " id {vni}")?;
        }
        if let Some(key) = self.key_out.or(self.key_in) {
            write!(f, " key {key}")?;
        }
        if let Some(remote) = self.remote {
            write!(f, " {} {remote}", if self.has_group() { "group" } else { "remote" })?;
        }
        if let Some(local) = self.local {
            write!(f, " local {local}")?;
        }
        self.port.map_or(Ok(()), |port| write!(f, " dstport {port}"))
    }
}

/// GRE or IP inside UDP (FOU, GUE): its port counts where the type of the extra encapsulation is not 0.
#[derive(Default)]
struct Outer {
    encapsulated: bool,
    port: Option<u16>,
}

impl Outer {
    fn udp_port(&self) -> Option<u16> {
        self.port.filter(|_| self.encapsulated)
    }
}

/// The kernel writes an address that is not set as 0.0.0.0 or ::.
fn is_set(address: &IpAddr) -> bool {
    !address.is_unspecified()
}

/// Encapsulation of a tunnel device, by the names of `ip link`, but for a vxlan device in GPE mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TunnelKind {
    /// VXLAN, RFC 7348.
    Vxlan,
    /// A vxlan device with `gpe`: VXLAN-GPE.
    VxlanGpe,
    /// Geneve, RFC 8926.
    Geneve,
    /// IP in GRE over IPv4.
    Gre,
    /// Ethernet in GRE over IPv4, which NVGRE is too.
    Gretap,
    /// IP in GRE over IPv6.
    Ip6gre,
    /// Ethernet in GRE over IPv6.
    Ip6gretap,
    /// ERSPAN over IPv4.
    Erspan,
    /// ERSPAN over IPv6.
    Ip6erspan,
    /// IPv4 (or MPLS) in IPv4.
    Ipip,
    /// IP in IPv6.
    Ip6tnl,
    /// IPv6 (or IPv4, MPLS) in IPv4.
    Sit,
}

impl TunnelKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Vxlan,
        Self::VxlanGpe,
        Self::Geneve,
        Self::Gre,
        Self::Gretap,
        Self::Ip6gre,
        Self::Ip6gretap,
        Self::Erspan,
        Self::Ip6erspan,
        Self::Ipip,
        Self::Ip6tnl,
        Self::Sit,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::VxlanGpe => "vxlan-gpe",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Gretap => "gretap",
            Self::Ip6gre => "ip6gre",
            Self::Ip6gretap => "ip6gretap",
            Self::Erspan => "erspan",
            Self::Ip6erspan => "ip6erspan",
            Self::Ipip => "ipip",
            Self::Ip6tnl => "ip6tnl",
            Self::Sit => "sit",
        }
    }

    /// The kind that the kernel calls `name`; GPE is no kind of its own there but a mode of vxlan.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name && *kind != Self::VxlanGpe)
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a field of the outer header comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OuterField {
    /// The kernel's default.
    Auto,
    /// From the inner packet.
    Inherit,
    /// Always this.
    Fixed(u8),
}

impl OuterField {
    const fn with_auto(value: Option<u8>) -> Self {
        match value {
            None | Some(0) => Self::Auto,
            Some(value) => Self::Fixed(value),
        }
    }

    const fn with_inherit(value: Option<u8>) -> Self {
        match value {
            None => Self::Auto,
            Some(0) => Self::Inherit,
            Some(value) => Self::Fixed(value),
        }
    }

    /// 1 stands for `inherit`: it cannot be a type of service, its lowest bits being ECN.
    const fn tos(value: Option<u8>) -> Self {
        match value {
            None => Self::Auto,
            Some(1) => Self::Inherit,
            Some(value) => Self::Fixed(value),
        }
    }
}

impl fmt::Display for OuterField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Inherit => f.write_str("inherit"),
            Self::Fixed(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::append_attribute;

    fn read(kind: &str, attributes: &[(u16, &[u8])]) -> Tunnel {
        let mut data = Vec::new();
        for (kind, value) in attributes {
            append_attribute(&mut data, *kind, value);
        }
        Tunnel::from_attributes(kind, Attributes::new(&data)).unwrap()
    }

    const ONE: [u8; 4] = 1_u32.to_ne_bytes();

    #[test]
    fn a_vxlan_device_with_everything() {
        let tunnel = read(
            "vxlan",
            &[
                (1, &77_u32.to_ne_bytes()),
                (2, &[239, 0, 0, 1]),
                (3, &5_u32.to_ne_bytes()),
                (4, &[10, 0, 0, 1]),
                (5, &[64]),
                (6, &[1]),
                (7, &[1]),
                (8, &300_u32.to_ne_bytes()),
                (15, &12345_u16.to_be_bytes()),
                (23, &[]),
                (25, &[0]),
            ],
        );
        let expected = Tunnel {
            vni: Vni::new(77),
            port: Some(12345),
            local: Some([10, 0, 0, 1].into()),
            remote: Some([239, 0, 0, 1].into()),
            lower: Some(5),
            ttl: OuterField::Fixed(64),
            tos: OuterField::Inherit,
            learning: true,
            ageing_seconds: Some(300),
            gbp: true,
            ..Tunnel::new(TunnelKind::Vxlan)
        };
        assert_eq!(tunnel, expected);
        assert_eq!(tunnel.to_string(), "vxlan id 77 group 239.0.0.1 local 10.0.0.1 dstport 12345");
        assert_eq!(tunnel.udp(), Some(UdpTunnel::Vxlan));
    }

    #[test]
    fn an_external_vxlan_device_has_no_vni_though_the_kernel_says_0() {
        let tunnel = read("vxlan", &[(1, &[0; 4]), (15, &4800_u16.to_be_bytes()), (25, &[1]), (30, &[1])]);
        assert_eq!((tunnel.vni, tunnel.external, tunnel.vni_filter), (None, true, true));
        assert_eq!(tunnel.to_string(), "vxlan external vnifilter dstport 4800");
    }

    #[test]
    fn a_vxlan_device_in_gpe_mode_is_another_encapsulation() {
        let tunnel = read("vxlan", &[(25, &[1]), (27, &[]), (15, &4790_u16.to_be_bytes()), (28, &[1]), (5, &[0])]);
        assert_eq!((tunnel.kind, tunnel.udp(), tunnel.ttl), (TunnelKind::VxlanGpe, Some(UdpTunnel::VxlanGpe), OuterField::Inherit));
    }

    #[test]
    fn geneve_over_ipv6_and_external() {
        let remote = std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        let tunnel = read("geneve", &[(1, &0xff_ffff_u32.to_ne_bytes()), (7, &remote.octets()), (5, &6082_u16.to_be_bytes()), (3, &[9])]);
        assert_eq!(tunnel.to_string(), "geneve id 16777215 remote fd00::2 dstport 6082");
        assert_eq!((tunnel.ttl, tunnel.external), (OuterField::Fixed(9), false));
        let external = read("geneve", &[(1, &[0; 4]), (6, &[])]);
        assert_eq!(external.to_string(), "geneve external dstport 6081", "the registered port where none is said");
        assert_eq!(external.udp(), Some(UdpTunnel::Geneve));
    }

    #[test]
    fn a_vni_over_24_bits_is_none() {
        assert_eq!(read("geneve", &[(1, &0x0100_0000_u32.to_ne_bytes())]).vni, None);
    }

    #[test]
    fn gre_keys_count_where_their_flag_is_set() {
        let keys: [(u16, &[u8]); 4] = [(4, &[0, 0x13, 0x89, 7]), (5, &[0, 0, 0, 9]), (6, &[10, 0, 0, 1]), (7, &[10, 0, 0, 2])];
        let without = read("gretap", &keys);
        assert_eq!((without.key_in, without.key_out, without.port), (None, None, None));
        let with = read("gretap", &[&keys[..], &[(2, &[0x20, 0]), (3, &[0x20, 0])]].concat());
        assert_eq!((with.key_in, with.key_out), (Some(0x0013_8907), Some(9)));
        assert_eq!(with.to_string(), "gretap key 9 remote 10.0.0.2 local 10.0.0.1");
        assert_eq!(with.udp(), None);
    }

    #[test]
    fn every_kind_is_known_by_its_name_and_the_external_ones_of_gre_are_marked() {
        for kind in TunnelKind::ALL.into_iter().filter(|kind| *kind != TunnelKind::VxlanGpe) {
            assert_eq!(read(kind.name(), &[]).kind, kind);
        }
        for name in ["gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"] {
            assert!(read(name, &[(18, &[])]).external, "{name}");
        }
        for name in ["veth", "vxlan-gpe", ""] {
            assert_eq!(Tunnel::from_attributes(name, Attributes::new(&[])), None, "{name}");
        }
    }

    #[test]
    fn ipip_and_its_relatives() {
        let tunnel = read("sit", &[(1, &ONE), (2, &[10, 0, 0, 1]), (3, &[0; 4]), (4, &[0]), (5, &[1]), (18, &[0x15, 0xb3])]);
        assert_eq!((tunnel.lower, tunnel.remote, tunnel.port), (Some(1), None, None), "no port without its encapsulation type");
        assert_eq!((tunnel.ttl, tunnel.tos), (OuterField::Inherit, OuterField::Inherit));
        let fou = read("ipip", &[(15, &1_u16.to_ne_bytes()), (18, &5555_u16.to_be_bytes()), (19, &[])]);
        assert_eq!(fou.to_string(), "ipip external dstport 5555");
    }
}
