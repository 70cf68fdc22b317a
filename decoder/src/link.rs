//! What kind of bytes does a capture hold, and when were they seen?
//!
//! Source of the numbers: the registry of link-layer header types of the tcpdump group
//! (`LINKTYPE_` values, the ones stored in files, not libpcap's `DLT_` ones).

use std::fmt;

/// Link-layer header type of a captured packet: the `LINKTYPE_` number that pcap and pcapng files store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: four bytes of address family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet II or 802.3.
    pub const ETHERNET: Self = Self(1);
    /// Bare IPv4 or IPv6.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: four bytes of address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Bare IPv4.
    pub const IPV4: Self = Self(228);
    /// Bare IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// The link types that the walk can start from.
    pub const KNOWN: [Self; 8] =
        [Self::NULL, Self::ETHERNET, Self::RAW, Self::LOOP, Self::LINUX_SLL, Self::IPV4, Self::IPV6, Self::LINUX_SLL2];

    /// The name the suite prints, or `None` for a type that the walk does not know.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NULL => "null",
            Self::ETHERNET => "ethernet",
            Self::RAW => "raw",
            Self::LOOP => "loop",
            Self::LINUX_SLL => "sll",
            Self::IPV4 => "ipv4",
            Self::IPV6 => "ipv6",
            Self::LINUX_SLL2 => "sll2",
            _ => return None,
        })
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "link type {}", self.0),
        }
    }
}

/// When a packet was captured: seconds and nanoseconds since 1970-01-01T00:00:00Z.
///
/// The order of the fields makes the derived order chronological; `nanoseconds` is below 1,000,000,000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A time from whole seconds and nanoseconds; surplus nanoseconds carry into the seconds.
    #[must_use]
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        const PER_SECOND: u32 = 1_000_000_000;
        Self { seconds: seconds.saturating_add((nanoseconds / PER_SECOND) as i64), nanoseconds: nanoseconds % PER_SECOND }
    }

    /// Nanoseconds from `earlier` to `self`; negative when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i128 {
        (self.seconds as i128 - earlier.seconds as i128) * 1_000_000_000 + self.nanoseconds as i128 - earlier.nanoseconds as i128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surplus_nanoseconds_carry_and_order_is_chronological() {
        assert_eq!(Timestamp::new(1, 2_500_000_000), Timestamp { seconds: 3, nanoseconds: 500_000_000 });
        assert!(Timestamp::new(-1, 999_999_999) < Timestamp::new(0, 0));
        assert_eq!(Timestamp::new(2, 1).since(Timestamp::new(1, 2)), 999_999_999);
        assert_eq!(Timestamp::new(1, 2).since(Timestamp::new(2, 1)), -999_999_999);
        assert_eq!(Timestamp::new(i64::MAX, u32::MAX).seconds, i64::MAX);
    }

    #[test]
    fn every_known_link_type_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = LinkType::KNOWN.iter().filter_map(|l| l.name()).collect();
        assert_eq!(names.len(), LinkType::KNOWN.len());
        assert_eq!(LinkType(147).to_string(), "link type 147");
    }
}
