//! What does the outer header say? DSCP, ECN, TTL, don't-fragment, source port and flow label, by the device's properties.
//!
//! | field | from | source |
//! |---|---|---|
//! | DSCP | the inner packet, or a fixed one | RFC 2983 |
//! | ECN | the inner packet, or Not-ECT | RFC 6040 4.1, 4.3 |
//! | TTL, hop limit | a property | RFC 7348 gives none; not the inner one, which counts other hops |
//! | DF | a property | RFC 7348 4.3, RFC 8926 4.1.1: not to be fragmented |
//! | UDP source port | hash of the inner flow | RFC 7348 5, RFC 8926 3.3 |
//! | IPv6 flow label | hash of the inner flow | RFC 6438 |
//!
//! [`emit()`] writes whole outer packets, for replay, captures and tests; a socket's driver hands the fields to the kernel instead.

mod emit;

pub use emit::{EmitError, Outer, Stations, emit, emit_frame};

use crate::ecn;
use crate::encap::Carrier;
use crate::inner::Inner;
use crate::settings::Settings;
use overlay_api::{Access, Kind, Properties, PropertyError, PropertySpec};
use overlay_decoder::layer::{Ipv4, Ipv6, Udp};
use std::borrow::Cow;
use std::net::IpAddr;

macro_rules! words {
    ($($word:literal)*) => { Kind::Choice(Cow::Borrowed(const { &[$(Cow::Borrowed($word)),*] })) };
}

/// The properties of the outer header, which every device has.
pub static OUTER: &[PropertySpec] = &[
    PropertySpec::new(
        "outer/ttl",
        Kind::Uint { min: 1, max: 255 },
        Access::Live,
        Some("64"),
        "Hops that an encapsulated packet may take in the underlay (TTL of IPv4, hop limit of IPv6). The inner packet's own is carried \
         unchanged: the overlay is one hop, or none.",
    ),
    PropertySpec::new(
        "outer/dscp",
        words! {
            "inherit" "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14" "15" "16" "17" "18" "19" "20" "21" "22" "23" "24"
            "25" "26" "27" "28" "29" "30" "31" "32" "33" "34" "35" "36" "37" "38" "39" "40" "41" "42" "43" "44" "45" "46" "47" "48" "49"
            "50" "51" "52" "53" "54" "55" "56" "57" "58" "59" "60" "61" "62" "63"
        },
        Access::Live,
        Some("inherit"),
        "The class of service of an encapsulated packet: the inner packet's (inherit, the uniform model of RFC 2983; 0 for what is not IP), \
         or one for all of the overlay's packets (the pipe model). A received packet keeps its inner one.",
    ),
    PropertySpec::new(
        "outer/ecn",
        words! { "normal" "compatibility" },
        Access::Live,
        Some("normal"),
        "Whether congestion marks of the underlay reach the inner receiver (normal), or the underlay is told that nobody understands them \
         (compatibility, for peers that would lose them). RFC 6040 4.1 and 4.3.",
    ),
    PropertySpec::new(
        "outer/df",
        words! { "set" "clear" },
        Access::Live,
        Some("set"),
        "Whether routers of the underlay must not fragment encapsulated packets. Clear lets an underlay with too small an MTU work, \
         slowly; IPv6 routers never fragment.",
    ),
    PropertySpec::new(
        "outer/srcport_min",
        Kind::Uint { min: 1, max: 65535 },
        Access::Live,
        Some("49152"),
        "The smallest UDP source port. Ports are chosen by the inner flow, so that the underlay can spread flows and keep each in order.",
    ),
    PropertySpec::new(
        "outer/srcport_max",
        Kind::Uint { min: 1, max: 65535 },
        Access::Live,
        Some("65535"),
        "The largest UDP source port, not below outer/srcport_min. Both alike make it one port for all flows.",
    ),
];

/// The properties of the outer header, ready for use per frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OuterRules {
    ttl: u8,
    /// None inherits.
    dscp: Option<u8>,
    ecn: ecn::Mode,
    dont_fragment: bool,
    first_port: u16,
    /// How many ports there are, at least one.
    ports: u32,
}

impl OuterRules {
    /// Reads the properties [`OUTER`].
    ///
    /// # Errors
    /// Source ports whose smallest is larger than the largest.
    pub fn compile(properties: &Properties) -> Result<Self, PropertyError> {
        let settings = Settings::new(OUTER, properties);
        let (first, last): (u16, u16) = (settings.uint("outer/srcport_min")?, settings.uint("outer/srcport_max")?);
        if first > last {
            let problem = format!("{first} is larger than outer/srcport_max, {last}; at most that is allowed");
            return Err(PropertyError::new("outer/srcport_min", problem));
        }
        Ok(Self {
            ttl: settings.uint("outer/ttl")?,
            // The other words are numbers up to 63.
            dscp: settings.text("outer/dscp")?.parse().ok(),
            ecn: if settings.text("outer/ecn")? == "normal" { ecn::Mode::Normal } else { ecn::Mode::Compatibility },
            dont_fragment: settings.text("outer/df")? == "set",
            first_port: first,
            ports: u32::from(last - first) + 1,
        })
    }

    /// The TOS byte or traffic class: DSCP and ECN.
    #[must_use]
    #[inline]
    pub fn tos(&self, inner: &Inner) -> u8 {
        let inner = inner.tos();
        let dscp = self.dscp.unwrap_or(inner.unwrap_or(0) >> 2);
        dscp << 2 | ecn::encapsulate(self.ecn, inner)
    }

    /// The UDP source port of a flow, from the upper bits of its hash ([`Inner::flow_hash`]).
    #[must_use]
    #[inline]
    pub const fn source_port(&self, flow: u32) -> u16 {
        // The range is scaled by the hash: no division, and the sum stays within the range.
        self.first_port + ((flow as u64 * self.ports as u64) >> 32) as u16
    }

    /// The IPv6 flow label of a flow, from the lower bits of its hash. Never 0, which is to say that there is none (RFC 6437 2).
    #[must_use]
    #[inline]
    pub const fn flow_label(&self, flow: u32) -> u32 {
        let label = flow & 0x000f_ffff;
        if label == 0 { 1 } else { label }
    }

    /// TTL or hop limit.
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Whether DF is set.
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }
}

/// Which IP the underlay speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address; that of IPv4 mapped into IPv6 is IPv4, as it will be on the wire.
    #[must_use]
    #[inline]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_none() => Self::V6,
            _ => Self::V4,
        }
    }
}

/// Bytes that encapsulation adds to a frame: outer IP, UDP where it carries, and `header_len` of the encapsulation. The inner Ethernet
/// header counts as the frame's own: the largest inner IP packet has the underlay's MTU less this, less 14 and less 4 for each VLAN tag.
#[must_use]
pub const fn overhead(family: Family, carrier: Carrier, header_len: usize) -> usize {
    let ip = match family {
        Family::V4 => Ipv4::LENGTH,
        Family::V6 => Ipv6::LENGTH,
    };
    let udp = match carrier {
        Carrier::Udp => Udp::LENGTH,
        Carrier::Ip(_) => 0,
    };
    ip + udp + header_len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner::samples::{ethernet, ipv4, ipv6, parse};
    use overlay_decoder::layer::number::ethertype;
    use proptest::prelude::*;

    fn rules(set: &[(&str, &str)]) -> Result<OuterRules, PropertyError> {
        let mut properties = Properties::new();
        for (name, text) in set {
            properties.set(OUTER, name, text)?;
        }
        OuterRules::compile(&properties)
    }

    fn tos(set: &[(&str, &str)], inner_tos: u8) -> [u8; 2] {
        let rules = rules(set).unwrap();
        let v4 = ethernet(ethertype::IPV4, &ipv4(17, &[0; 8], |ip| ip.tos = inner_tos));
        let v6 = ethernet(ethertype::IPV6, &ipv6(17, &[0; 8], |ip| ip.traffic_class = inner_tos));
        [v4, v6].map(|frame| rules.tos(&parse(&frame)))
    }

    #[test]
    fn without_a_word_the_class_and_the_marks_are_the_inner_packets() {
        let rules = rules(&[]).unwrap();
        assert_eq!((rules.ttl(), rules.dont_fragment()), (64, true));
        assert_eq!([rules.source_port(0), rules.source_port(u32::MAX)], [49152, 65535]);
        for inner in 0..=u8::MAX {
            assert_eq!(tos(&[], inner), [inner; 2]);
        }
        assert_eq!(rules.tos(&parse(&ethernet(ethertype::ARP, &[0xff; 28]))), 0);
    }

    #[test]
    fn class_and_marks_are_set_apart_from_each_other() {
        assert_eq!(tos(&[("outer/dscp", "46")], 0x29), [46 << 2 | 1; 2], "DSCP fixed, ECN copied");
        assert_eq!(tos(&[("outer/ecn", "compatibility")], 0x2b), [0x28; 2], "DSCP inherited, no marks");
        assert_eq!(tos(&[("outer/dscp", "0"), ("outer/ecn", "compatibility")], 0xff), [0; 2]);
        let arp = ethernet(ethertype::ARP, &[0; 28]);
        assert_eq!(rules(&[("outer/dscp", "63")]).unwrap().tos(&parse(&arp)), 63 << 2, "a fixed one is for all packets");
    }

    #[test]
    fn every_class_can_be_said_and_nothing_else() {
        for dscp in 0..64u8 {
            assert_eq!(tos(&[("outer/dscp", &dscp.to_string())], 0), [dscp << 2; 2]);
        }
        for bad in ["64", "-1", "00", "", "Inherit"] {
            let said = rules(&[("outer/dscp", bad)]).unwrap_err().to_string();
            assert!(said.starts_with(&format!("property outer/dscp: {bad:?} is not allowed; inherit,0,1,")), "{said}");
        }
        assert_eq!(rules(&[("outer/df", "clear"), ("outer/ttl", "255")]).map(|r| (r.dont_fragment(), r.ttl())), Ok((false, 255)));
        assert_eq!(rules(&[("outer/ttl", "0")]).unwrap_err().to_string(), "property outer/ttl: \"0\" is not allowed; 1-255 is");
    }

    #[test]
    fn source_ports_stay_within_their_range() {
        let said = rules(&[("outer/srcport_min", "50000"), ("outer/srcport_max", "49999")]).unwrap_err().to_string();
        assert_eq!(said, "property outer/srcport_min: 50000 is larger than outer/srcport_max, 49999; at most that is allowed");
        let one = rules(&[("outer/srcport_min", "4789"), ("outer/srcport_max", "4789")]).unwrap();
        assert_eq!([0, 1, u32::MAX].map(|flow| one.source_port(flow)), [4789; 3]);
        let all = rules(&[("outer/srcport_min", "1")]).unwrap();
        assert_eq!([all.source_port(0), all.source_port(u32::MAX)], [1, 65535]);
    }

    #[test]
    fn overhead_is_what_an_operator_subtracts() {
        // The 50 and 70 bytes of VXLAN that every guide names, with the 14 of the inner Ethernet header.
        assert_eq!([Family::V4, Family::V6].map(|family| overhead(family, Carrier::Udp, 8) + 14), [50, 70]);
        assert_eq!(overhead(Family::V4, Carrier::Ip(47), 8) + 14, 42);
        assert_eq!(overhead(Family::V6, Carrier::Udp, 260), 308);
        let families = ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"].map(|ip| Family::of(ip.parse().unwrap()));
        assert_eq!(families, [Family::V4, Family::V6, Family::V4]);
    }

    proptest! {
        #[test]
        fn a_flow_has_one_port_and_one_label(flow: u32, a in 1u16.., b in 1u16..) {
            let (first, last) = (a.min(b), a.max(b));
            let rules = rules(&[("outer/srcport_min", &first.to_string()), ("outer/srcport_max", &last.to_string())]).unwrap();
            prop_assert!((first..=last).contains(&rules.source_port(flow)));
            prop_assert!((1..1 << 20).contains(&rules.flow_label(flow)));
        }

        #[test]
        fn every_port_of_the_range_is_used_by_some_flow(first in 1u16..60000, span in 0u16..500) {
            let last = first + span;
            let rules = rules(&[("outer/srcport_min", &first.to_string()), ("outer/srcport_max", &last.to_string())]).unwrap();
            let step = u32::MAX / (u32::from(span) + 1) / 2;
            let ports: std::collections::BTreeSet<u16> = (0..=u32::MAX).step_by(step as usize).map(|flow| rules.source_port(flow)).collect();
            prop_assert_eq!(ports.len(), usize::from(span) + 1);
        }
    }
}
