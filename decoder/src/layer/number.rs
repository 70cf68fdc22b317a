//! Which number means what? The protocol numbers that the walk dispatches on, and the names that people read.

macro_rules! numbers {
    ($(#[$doc:meta])* $module:ident: $type:ty { $($constant:ident = $value:literal, $name:literal;)* }) => {
        $(#[$doc])*
        pub mod $module {
            $(#[doc = $name] pub const $constant: $type = $value;)*

            /// The name of a number, where the suite knows one.
            #[must_use]
            pub const fn name(number: $type) -> Option<&'static str> {
                Some(match number { $($value => $name,)* _ => return None })
            }
        }
    };
}

numbers! {
    /// EtherTypes (IEEE 802 numbers, registry of IANA).
    ethertype: u16 {
        IPV4 = 0x0800, "ipv4";
        ARP = 0x0806, "arp";
        TEB = 0x6558, "ethernet";
        VLAN = 0x8100, "vlan";
        IPV6 = 0x86dd, "ipv6";
        ERSPAN_II = 0x88be, "erspan";
        ERSPAN_III = 0x22eb, "erspan-iii";
        MPLS = 0x8847, "mpls";
        MPLS_MULTICAST = 0x8848, "mpls-multicast";
        PROVIDER_VLAN = 0x88a8, "802.1ad";
        OLD_QINQ = 0x9100, "qinq";
        NSH = 0x894f, "nsh";
        LLDP = 0x88cc, "lldp";
        PPP = 0x880b, "ppp";
        SLOW = 0x8809, "slow";
        EAPOL = 0x888e, "eapol";
        MACSEC = 0x88e5, "macsec";
        PTP = 0x88f7, "ptp";
        PPPOE_DISCOVERY = 0x8863, "pppoe-discovery";
        PPPOE_SESSION = 0x8864, "pppoe";
        LOOPBACK = 0x9000, "loopback";
    }
}

numbers! {
    /// IP protocol numbers and IPv6 extension headers (registry of IANA).
    ip: u8 {
        HOP_BY_HOP = 0, "hop-by-hop";
        ICMP = 1, "icmp";
        IGMP = 2, "igmp";
        IPV4 = 4, "ipv4";
        TCP = 6, "tcp";
        EGP = 8, "egp";
        UDP = 17, "udp";
        DCCP = 33, "dccp";
        IPV6 = 41, "ipv6";
        ROUTING = 43, "routing";
        FRAGMENT = 44, "fragment";
        RSVP = 46, "rsvp";
        GRE = 47, "gre";
        ESP = 50, "esp";
        AH = 51, "ah";
        ICMPV6 = 58, "icmpv6";
        NO_NEXT = 59, "no-next-header";
        DESTINATION = 60, "destination";
        EIGRP = 88, "eigrp";
        OSPF = 89, "ospf";
        ETHERIP = 97, "etherip";
        PIM = 103, "pim";
        VRRP = 112, "vrrp";
        L2TP = 115, "l2tp";
        SCTP = 132, "sctp";
        MOBILITY = 135, "mobility";
        UDPLITE = 136, "udp-lite";
        MPLS = 137, "mpls";
        HIP = 139, "hip";
        SHIM6 = 140, "shim6";
        ETHERNET = 143, "ethernet";
    }
}

/// UDP and TCP ports that the walk dispatches on (registry of IANA; SVP: illumos `svp/port`).
pub mod port {
    /// DNS, over UDP and TCP.
    pub const DNS: u16 = 53;
    /// Multicast DNS (RFC 6762).
    pub const MDNS: u16 = 5353;
    /// DHCPv4 server (RFC 2131).
    pub const DHCP_SERVER: u16 = 67;
    /// DHCPv4 client (RFC 2131).
    pub const DHCP_CLIENT: u16 = 68;
    /// DHCPv6 client (RFC 8415).
    pub const DHCPV6_CLIENT: u16 = 546;
    /// DHCPv6 server (RFC 8415).
    pub const DHCPV6_SERVER: u16 = 547;
    /// VXLAN (RFC 7348).
    pub const VXLAN: u16 = 4789;
    /// VXLAN as Linux had it before the RFC; flannel still uses it.
    pub const VXLAN_LINUX: u16 = 8472;
    /// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe).
    pub const VXLAN_GPE: u16 = 4790;
    /// Geneve (RFC 8926).
    pub const GENEVE: u16 = 6081;
    /// MPLS in UDP (RFC 7510).
    pub const MPLS: u16 = 6635;
    /// SVP, the lookup protocol of SmartOS, over TCP.
    pub const SVP: u16 = 1296;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_people_read() {
        assert_eq!(ethertype::name(ethertype::TEB), Some("ethernet"));
        assert_eq!(ip::name(ip::ICMPV6), Some("icmpv6"));
        assert_eq!(ip::name(200), None);
    }
}
