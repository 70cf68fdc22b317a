//! Which field of which packet is meant? `inner.ip.src`: a packet in the packet, a field, an end.

use overlay_decoder::Mac;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Which of the packets in a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// What is not in a tunnel.
    Outer,
    /// What is behind the last tunnel header.
    Inner,
    /// The packet behind this many tunnel headers.
    Depth(usize),
    /// All of them.
    Any,
}

impl Which {
    /// Whether it is the packet behind `depth` tunnel headers, of `packets`.
    pub(crate) const fn is(self, depth: usize, packets: usize) -> bool {
        match self {
            Self::Outer => depth == 0,
            Self::Inner => packets > 1 && depth + 1 == packets,
            Self::Depth(wanted) => depth == wanted,
            Self::Any => true,
        }
    }
}

/// Which field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    /// Ethernet addresses.
    Mac,
    /// IPv4 and IPv6 addresses.
    Ip,
    /// Ports of UDP, TCP and SCTP.
    Port,
    /// The identifier of a VLAN tag.
    Vlan,
}

/// Which of the two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The sender's.
    Src,
    /// The receiver's.
    Dst,
}

/// Fields of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// In which packet.
    pub(crate) which: Which,
    /// Which field.
    pub(crate) field: Field,
    /// One end, or both.
    pub(crate) end: Option<End>,
}

impl Place {
    /// Whether this end is meant.
    pub(crate) fn has(&self, end: End) -> bool {
        self.end.is_none_or(|wanted| wanted == end)
    }
}

const EXPECTED: &str = "PACKET.FIELD.END is expected: outer, inner, any or the packet's number from 1; mac, ip, port or vlan; src or dst, \
    as in inner.ip.src";

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| format!("{text}: {part:?} is not known; {EXPECTED}");
        let mut parts = text.split('.');
        let which = match parts.next().unwrap_or_default() {
            "outer" => Which::Outer,
            "inner" => Which::Inner,
            "any" => Which::Any,
            number => match number.parse::<usize>() {
                Ok(number @ 1..=255) => Which::Depth(number - 1),
                _ => return Err(wrong(number)),
            },
        };
        let field = match parts.next() {
            Some("mac") => Field::Mac,
            Some("ip") => Field::Ip,
            Some("port") => Field::Port,
            Some("vlan") => Field::Vlan,
            other => return Err(wrong(other.unwrap_or_default())),
        };
        let end = match parts.next() {
            None => None,
            Some("src") if field != Field::Vlan => Some(End::Src),
            Some("dst") if field != Field::Vlan => Some(End::Dst),
            Some(other) => return Err(wrong(other)),
        };
        match parts.next() {
            Some(more) => Err(wrong(more)),
            None => Ok(Self { which, field, end }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.which {
            Which::Outer => f.write_str("outer")?,
            Which::Inner => f.write_str("inner")?,
            Which::Any => f.write_str("any")?,
            Which::Depth(depth) => write!(f, "{}", depth + 1)?,
        }
        f.write_str(match self.field {
            Field::Mac => ".mac",
            Field::Ip => ".ip",
            Field::Port => ".port",
            Field::Vlan => ".vlan",
        })?;
        f.write_str(match self.end {
            None => "",
            Some(End::Src) => ".src",
            Some(End::Dst) => ".dst",
        })
    }
}

/// What a field shall hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// Of `mac`.
    Mac(Mac),
    /// Of `ip`.
    Ip(IpAddr),
    /// Of `port` and `vlan`.
    Number(u16),
}

impl Field {
    /// A value of this field.
    fn parse(self, text: &str) -> Result<Value, String> {
        let number = |max: u16| match text.parse::<u16>() {
            Ok(number) if number <= max => Ok(Value::Number(number)),
            _ => Err(format!("{text:?}: not allowed; a number from 0 to {max} is")),
        };
        match self {
            Self::Mac => text.parse().map(Value::Mac).map_err(|error| format!("{error}")),
            Self::Ip => text.parse().map(Value::Ip).map_err(|_| format!("{text:?}: not an IP address; 10.0.0.1 or fd00::1 are")),
            Self::Port => number(u16::MAX),
            Self::Vlan => number(4094),
        }
    }
}

/// `PLACE=VALUE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Set {
    /// Where.
    pub(crate) place: Place,
    /// What.
    pub(crate) value: Value,
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, value) = text.split_once('=').ok_or("PLACE=VALUE is expected, as in inner.ip.src=10.0.0.9")?;
        let place: Place = place.parse()?;
        if place.end.is_none() && place.field != Field::Vlan {
            return Err(format!("{place}: one end is expected, as in {place}.src; --map changes both"));
        }
        Ok(Self { place, value: place.field.parse(value)? })
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// `PLACE=OLD=NEW`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Map {
    /// Where.
    pub(crate) place: Place,
    rule: Rule,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Value(Value, Value),
    /// The first bits of an address, and how many.
    Prefix(IpAddr, IpAddr, u8),
}

impl FromStr for Map {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '=');
        let (Some(place), Some(old), Some(new)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("PLACE=OLD=NEW is expected, as in inner.ip=10.0.0.0/24=10.9.0.0/24".to_owned());
        };
        let place: Place = place.parse()?;
        let rule = match (place.field, old.split_once('/'), new.split_once('/')) {
            (Field::Ip, Some((old, bits)), Some((new, new_bits))) if bits == new_bits => {
                let (Value::Ip(from), Value::Ip(to)) = (place.field.parse(old)?, place.field.parse(new)?) else {
                    return Err(format!("{text}: an address is expected before the /"));
                };
                let width = if from.is_ipv4() { 32 } else { 128 };
                let bits = bits.parse::<u8>().ok().filter(|bits| *bits <= width);
                let bits = bits.ok_or_else(|| format!("{text}: a prefix length from 0 to {width} is expected"))?;
                Rule::Prefix(from, to, bits)
            }
            (Field::Ip, None, None) | (Field::Mac | Field::Port | Field::Vlan, _, _) => {
                Rule::Value(place.field.parse(old)?, place.field.parse(new)?)
            }
            _ => return Err(format!("{text}: two prefixes of the same length are expected, as in 10.0.0.0/24=10.9.0.0/24")),
        };
        let families = match rule {
            Rule::Prefix(from, to, _) | Rule::Value(Value::Ip(from), Value::Ip(to)) => from.is_ipv4() == to.is_ipv4(),
            Rule::Value(..) => true,
        };
        if families { Ok(Self { place, rule }) } else { Err(format!("{text}: two addresses of one family are expected")) }
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl Map {
    /// What stands for this address, port or tag.
    pub(crate) fn of(&self, value: Value) -> Option<Value> {
        match (self.rule, value) {
            (Rule::Value(old, new), value) => (old == value).then_some(new),
            (Rule::Prefix(IpAddr::V4(old), IpAddr::V4(new), bits), Value::Ip(IpAddr::V4(ip))) => {
                let kept = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
                ((ip.to_bits() ^ old.to_bits()) & !kept == 0)
                    .then(|| Value::Ip(IpAddr::V4((new.to_bits() & !kept | ip.to_bits() & kept).into())))
            }
            (Rule::Prefix(IpAddr::V6(old), IpAddr::V6(new), bits), Value::Ip(IpAddr::V6(ip))) => {
                let kept = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
                ((ip.to_bits() ^ old.to_bits()) & !kept == 0)
                    .then(|| Value::Ip(IpAddr::V6((new.to_bits() & !kept | ip.to_bits() & kept).into())))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_shown() {
        for text in ["outer.mac", "inner.ip.src", "2.port.dst", "any.vlan", "1.mac.dst"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for bad in ["", "inner", "inner.ttl", "0.ip", "256.ip", "inner.ip.both", "inner.vlan.src", "inner.ip.src.x"] {
            let said = bad.parse::<Place>().unwrap_err();
            assert!(said.contains("as in inner.ip.src"), "{said}");
        }
    }

    #[test]
    fn what_is_set_is_one_end() {
        assert_eq!("inner.ip=1.2.3.4".parse::<Set>().unwrap_err(), "inner.ip: one end is expected, as in inner.ip.src; --map changes both");
        assert_eq!("inner.ip.src=1.2.3".parse::<Set>().unwrap_err(), "\"1.2.3\": not an IP address; 10.0.0.1 or fd00::1 are");
        assert_eq!("any.vlan=4095".parse::<Set>().unwrap_err(), "\"4095\": not allowed; a number from 0 to 4094 is");
        assert_eq!("outer.port.dst=8472".parse::<Set>().unwrap().value, Value::Number(8472));
    }

    #[test]
    fn prefixes_are_mapped_and_the_rest_of_an_address_stays() {
        let ip = |text: &str| Value::Ip(text.parse().unwrap());
        let map: Map = "inner.ip=10.0.0.0/24=172.16.9.0/24".parse().unwrap();
        assert_eq!(map.of(ip("10.0.0.77")), Some(ip("172.16.9.77")));
        assert_eq!((map.of(ip("10.0.1.77")), map.of(ip("fd00::1"))), (None, None));
        let map: Map = "any.ip=fd00::/8=fd11:2200::/8".parse().unwrap();
        assert_eq!(map.of(ip("fd7f::1")), Some(ip("fd7f::1")), "only the prefix is replaced");
        let all: Map = "any.ip=0.0.0.0/0=1.2.3.4/0".parse().unwrap();
        assert_eq!(all.of(ip("10.0.0.1")), Some(ip("10.0.0.1")));
        let one: Map = "any.ip=10.0.0.1/32=10.0.0.2/32".parse().unwrap();
        assert_eq!((one.of(ip("10.0.0.1")), one.of(ip("10.0.0.3"))), (Some(ip("10.0.0.2")), None));
        let mac: Map = "inner.mac=02:08:20:0a:00:01=02:08:20:0b:00:01".parse().unwrap();
        assert_eq!(mac.of(Value::Mac(Mac([2, 8, 0x20, 10, 0, 1]))), Some(Value::Mac(Mac([2, 8, 0x20, 11, 0, 1]))));
        for bad in
            ["inner.ip=10.0.0.0/24=10.0.0.0/25", "inner.ip=10.0.0.0/33=10.0.0.0/33", "inner.ip=10.0.0.1=fd00::1", "inner.ip=10.0.0.1"]
        {
            assert!(bad.parse::<Map>().is_err(), "{bad}");
        }
    }
}
