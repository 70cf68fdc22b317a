//! What did the user type? Arguments as the things they mean, so that a bad one is refused before anything is asked.

use overlay_api::{Assignment, StaticTarget};
use overlay_decoder::{Mac, Ul3};
use std::str::FromStr;

/// `mtu=N`: what a VNIC can be told when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VnicMtu(pub(crate) u32);

impl FromStr for VnicMtu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Assignment { name, value } = text.parse()?;
        if name != "mtu" {
            return Err(format!("a VNIC has no property {name:?}; mtu it has"));
        }
        value.parse().map(Self).map_err(|_| format!("mtu {value:?} is not allowed; a number of bytes is, as in mtu=1400"))
    }
}

/// A time as it is typed: seconds with a fraction, kept in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seconds {
    /// Milliseconds, 10 to 60,000.
    pub(crate) ms: u32,
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ms = text.parse::<f64>().ok().map(|seconds| (seconds * 1000.0).round());
        match ms {
            // Within bounds that any integer holds.
            Some(ms) if (10.0..=60_000.0).contains(&ms) => Ok(Self { ms: ms as u32 }),
            _ => Err(format!("{text:?} is not allowed; 0.01 to 60 seconds are")),
        }
    }
}

/// `MAC=UL3[,UL3..]` or `MAC=drop`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SetEntry {
    /// The inner destination (VL2).
    pub(crate) mac: Mac,
    /// Where frames for it go.
    pub(crate) to: StaticTarget,
}

impl FromStr for SetEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A MAC and an IPv6 address have colons, neither has "=".
        let expected = "MAC=UL3 or MAC=drop is expected, as in 02:08:20:0a:00:01=10.0.0.2:4789";
        let (mac, to) = text.split_once('=').ok_or(expected)?;
        let mac = mac.parse::<Mac>().map_err(|error| error.to_string())?;
        let to = match to {
            "drop" => StaticTarget::Drop,
            list => {
                let list: Result<Vec<_>, _> = list.split(',').map(str::parse::<Ul3>).collect();
                StaticTarget::Reach(list.map_err(|error| format!("{error}, and so is the word drop"))?)
            }
        };
        Ok(Self { mac, to })
    }
}

/// An EtherType: `0x86dd`, as it is shown, or a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EtherType(pub(crate) u16);

impl FromStr for EtherType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // IEEE 802 numbers, as IANA lists them.
        let number = match text {
            "ipv4" => Some(0x0800),
            "arp" => Some(0x0806),
            "ipv6" => Some(0x86dd),
            _ => text.strip_prefix("0x").and_then(|digits| {
                let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
                u16::from_str_radix(digits, 16).ok()
            }),
        };
        number.map(Self).ok_or_else(|| "0x0000 to 0xffff, ipv4, arp and ipv6 are allowed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(list: &[&str]) -> StaticTarget {
        StaticTarget::Reach(list.iter().map(|ul3| ul3.parse().unwrap()).collect())
    }

    #[test]
    fn an_entry_is_split_at_the_equals_sign_so_that_ipv6_fits() {
        for (text, to) in [
            ("2:8:20:a:0:1=10.0.0.2:4789", reach(&["10.0.0.2:4789"])),
            ("2:8:20:a:0:1=[fd00::2]:4789", reach(&["[fd00::2]:4789"])),
            ("2:8:20:a:0:1=fd00::2", reach(&["fd00::2"])),
            ("2:8:20:a:0:1=[fd00::2]:1,10.0.0.2:2", reach(&["[fd00::2]:1", "10.0.0.2:2"])),
            ("2:8:20:a:0:1=drop", StaticTarget::Drop),
        ] {
            assert_eq!(text.parse(), Ok(SetEntry { mac: Mac([2, 8, 0x20, 10, 0, 1]), to }), "{text}");
        }
    }

    #[test]
    fn a_bad_entry_says_which_half_is_wrong() {
        for (text, said) in [
            ("2:8:20:a:0:1", "MAC=UL3 or MAC=drop is expected"),
            ("2:8:20:a:0:1:10.0.0.2:4789", "MAC=UL3 or MAC=drop is expected"),
            ("", "MAC=UL3 or MAC=drop is expected"),
            ("2:8:20:a:0=drop", "2:8:20:a:0: not a MAC address"),
            ("2:8:20:a:0:1=dorp", "dorp: not an underlay address"),
            ("2:8:20:a:0:1=", ": not an underlay address"),
            ("2:8:20:a:0:1=10.0.0.2:4789,", ": not an underlay address"),
            ("2:8:20:a:0:1=fd00::2:4789:65536", "not an underlay address"),
        ] {
            let error = text.parse::<SetEntry>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_property_keeps_all_behind_the_first_equals_sign() {
        let parsed = |text: &str| text.parse::<Assignment>().map(|assignment| (assignment.name, assignment.value));
        assert_eq!(parsed("files/config=/a=b,c"), Ok(("files/config".to_owned(), "/a=b,c".to_owned())));
        assert_eq!(parsed("x/list="), Ok(("x/list".to_owned(), String::new())));
        assert!(parsed("mtu").is_err() && parsed("=7").is_err() && parsed("").is_err());
    }

    #[test]
    fn a_vnic_is_told_its_mtu_and_nothing_else() {
        assert_eq!("mtu=1400".parse(), Ok(VnicMtu(1400)));
        assert_eq!("mac=1".parse::<VnicMtu>().unwrap_err(), "a VNIC has no property \"mac\"; mtu it has");
        assert_eq!("mtu=-1".parse::<VnicMtu>().unwrap_err(), "mtu \"-1\" is not allowed; a number of bytes is, as in mtu=1400");
    }

    #[test]
    fn a_time_is_in_seconds() {
        assert_eq!(["0.01", "1", "0.25", "60"].map(|text| text.parse::<Seconds>().unwrap().ms), [10, 1000, 250, 60_000]);
        for bad in ["0", "61", "-1", "nan", "inf", "1s", ""] {
            assert_eq!(bad.parse::<Seconds>().unwrap_err(), format!("{bad:?} is not allowed; 0.01 to 60 seconds are"));
        }
    }

    #[test]
    fn an_ethertype_is_typed_as_it_is_shown() {
        assert_eq!("0x86dd".parse(), Ok(EtherType(0x86dd)));
        assert_eq!("arp".parse(), Ok(EtherType(0x0806)));
        for bad in ["86dd", "0x", "0x1ffff", "0x+800", "2048", "ip"] {
            assert!(bad.parse::<EtherType>().is_err(), "{bad}");
        }
    }
}
