//! Where was a packet captured, and what do the ticks of its clock mean?
//!
//! Source: pcapng (draft-ietf-opsawg-pcapng) 4.2, Interface Description Block.

use overlay_decoder::{LinkType, Mac, Timestamp, Vni};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// One capture interface, as a pcapng file or a live capture describes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Interface {
    /// Number of its section in the file, from 0. Interface numbers start again in every section.
    pub section: u32,
    /// Number within its section, from 0.
    pub index: u32,
    /// `if_name`, for example `eth0`.
    pub name: Option<String>,
    /// `if_description`.
    pub description: Option<String>,
    /// Link type of all its packets.
    pub link: LinkType,
    /// Most bytes captured of one packet; 0 means no limit.
    pub snaplen: u32,
    /// Unit of its timestamps in the file (`if_tsresol`).
    pub resolution: Resolution,
    /// Seconds to add to every timestamp in the file (`if_tsoffset`). A record's time already includes them.
    pub offset_seconds: i64,
    /// Its own address, where a live capture knows it: what it sends has it as source.
    pub mac: Option<Mac>,
    /// The virtual network of a tunnel device, where a live capture knows it: its packets carry no tunnel header.
    pub vni: Option<Vni>,
}

impl Interface {
    /// An interface about which nothing but the link type is known.
    #[must_use]
    pub const fn unnamed(link: LinkType) -> Self {
        Self {
            section: 0,
            index: 0,
            name: None,
            description: None,
            link,
            snaplen: 0,
            resolution: Resolution::NANOSECONDS,
            offset_seconds: 0,
            mac: None,
            vni: None,
        }
    }

    /// An interface with a name, for example of a live capture.
    #[must_use]
    pub fn named(name: impl Into<String>, link: LinkType) -> Self {
        Self { name: Some(name.into()), ..Self::unnamed(link) }
    }
}

/// Unit of a timestamp, in the encoding of pcapng's `if_tsresol`: the low seven bits are the negative exponent, of 2 where the
/// high bit is set, else of 10.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Resolution(pub u8);

impl Resolution {
    /// Millionths of a second, what a pcapng file without `if_tsresol` uses.
    pub const MICROSECONDS: Self = Self(6);
    /// Billionths of a second.
    pub const NANOSECONDS: Self = Self(9);

    /// The time that is `ticks` of this unit and `offset_seconds` after 1970. Exact down to the nanosecond, finer parts are cut;
    /// a time beyond the 64-bit seconds stops at their end.
    #[must_use]
    #[inline]
    pub fn timestamp(self, ticks: u64, offset_seconds: i64) -> Timestamp {
        let (seconds, nanoseconds) = match self {
            Self::NANOSECONDS => (ticks / NANOSECONDS_PER_SECOND, ticks % NANOSECONDS_PER_SECOND),
            Self::MICROSECONDS => (ticks / 1_000_000, ticks % 1_000_000 * 1_000),
            _ => self.split(ticks),
        };
        // Nanoseconds are below 10^9, so that the cast is exact.
        Timestamp { seconds: offset_seconds.saturating_add_unsigned(seconds), nanoseconds: nanoseconds as u32 }
    }

    /// Whole seconds and nanoseconds of `ticks` for the units that no common writer uses.
    fn split(self, ticks: u64) -> (u64, u64) {
        let exponent = u32::from(self.0 & 0x7f);
        if self.0 & 0x80 != 0 {
            let wide = u128::from(ticks) * u128::from(NANOSECONDS_PER_SECOND); // below 2^94
            let seconds = ticks.checked_shr(exponent).unwrap_or(0);
            let nanoseconds = (wide >> exponent) % u128::from(NANOSECONDS_PER_SECOND);
            return (seconds, nanoseconds as u64);
        }
        // 10^20 is beyond any u64 of ticks: less than one second, and from 10^-29 on less than a nanosecond.
        match 10_u64.checked_pow(exponent) {
            Some(unit) => {
                let nanoseconds = u128::from(ticks % unit) * u128::from(NANOSECONDS_PER_SECOND) / u128::from(unit);
                (ticks / unit, nanoseconds as u64)
            }
            None => (0, 10_u64.checked_pow(exponent - 9).map_or(0, |unit| ticks / unit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(resolution: u8, ticks: u64) -> (i64, u32) {
        let time = Resolution(resolution).timestamp(ticks, 0);
        (time.seconds, time.nanoseconds)
    }

    #[test]
    fn powers_of_ten_are_exact_to_the_nanosecond() {
        assert_eq!(at(0, 1_700_000_000), (1_700_000_000, 0));
        assert_eq!(at(3, 1_700_000_000_123), (1_700_000_000, 123_000_000));
        assert_eq!(at(6, 1_700_000_000_000_001), (1_700_000_000, 1_000));
        assert_eq!(at(9, 1_700_000_000_000_000_001), (1_700_000_000, 1));
        assert_eq!(at(12, 1_700_000_000_999), (1, 700_000_000));
        assert_eq!(at(19, u64::MAX), (1, 844_674_407));
        assert_eq!(at(20, u64::MAX), (0, 184_467_440));
        assert_eq!(at(28, u64::MAX), (0, 1));
        assert_eq!(at(29, u64::MAX), (0, 0));
        assert_eq!(at(127, u64::MAX), (0, 0));
    }

    #[test]
    fn powers_of_two_are_exact_to_the_nanosecond() {
        assert_eq!(at(0x80, 5), (5, 0));
        assert_eq!(at(0x80 | 20, (7 << 20) | (1 << 19)), (7, 500_000_000));
        assert_eq!(at(0x80 | 30, (3 << 30) | 1), (3, 0));
        assert_eq!(at(0x80 | 32, (3 << 32) | 5), (3, 1));
        assert_eq!(at(0x80 | 63, u64::MAX), (1, 999_999_999));
        assert_eq!(at(0x80 | 64, u64::MAX), (0, 999_999_999));
        assert_eq!(at(0xff, u64::MAX), (0, 0));
    }

    #[test]
    fn an_offset_may_be_negative_and_the_ends_do_not_wrap() {
        assert_eq!(Resolution::MICROSECONDS.timestamp(1_500_000, -3), Timestamp { seconds: -2, nanoseconds: 500_000_000 });
        assert_eq!(Resolution(0).timestamp(u64::MAX, i64::MAX).seconds, i64::MAX);
        assert_eq!(Resolution(0).timestamp(0, i64::MIN).seconds, i64::MIN);
    }
}
