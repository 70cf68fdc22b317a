//! Which address is meant? The suite's address types and their one spelling each.
//!
//! Three words end every "which address?": **VL2** is an inner MAC, **VL3** an inner IP, **UL3** an underlay IP, with a
//! UDP port where the encapsulation has one. What is printed here can be pasted back as an argument anywhere in the suite.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Why a text is no address: a sentence that says what was found and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError(String);

impl AddressError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

/// A 48-bit Ethernet address, printed padded (`02:08:20:0a:00:01`), read padded or unpadded (`2:8:20:a:0:1`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the group bit is set: a multicast or the broadcast address (IEEE 802-2014 8.2).
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// The spelling without leading zeros that ether_ntoa(3) prints (`2:8:20:a:0:1`).
    #[must_use]
    pub fn unpadded(self) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong =
            || AddressError::new(format!("{text}: not a MAC address; six hexadecimal octets with colons are, as in 02:08:20:0a:00:01"));
        let mut octets = [0u8; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(wrong)?;
            // from_str_radix alone would take a sign.
            if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(octets)) }
    }
}

/// A 24-bit virtual network identifier (RFC 7348 5, RFC 8926 3.3; the VSID of RFC 7637 3.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Vni(u32);

impl Vni {
    /// The largest identifier that 24 bits hold.
    pub const MAX: Self = Self(0x00ff_ffff);

    /// A checked identifier: `None` above [`Vni::MAX`].
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        if id <= Self::MAX.0 { Some(Self(id)) } else { None }
    }

    /// From the three bytes of a header, most significant first.
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
    }

    /// The three bytes of a header, most significant first.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// The identifier as a number, at most 16,777,215.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Vni {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError::new(format!("vni {text}: not a number; 0 to {} is allowed", Self::MAX)));
        }
        text.parse::<u32>()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| AddressError::new(format!("vni {text}: larger than 24 bits (max {})", Self::MAX)))
    }
}

/// An underlay address: an IP, with a UDP port where the encapsulation has one (`10.0.0.2:4789`, `[fd00::2]:4789`, `10.0.0.2`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ul3 {
    /// The underlay IP address.
    pub ip: IpAddr,
    /// The UDP port; `None` for encapsulations without one (NVGRE).
    pub port: Option<u16>,
}

impl fmt::Display for Ul3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl FromStr for Ul3 {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self { ip, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(Self { ip: address.ip(), port: Some(address.port()) }),
            Err(_) => Err(AddressError::new(format!(
                "{text}: not an underlay address; an IP with or without a port is, as in 10.0.0.2:4789, [fd00::2]:4789 or 10.0.0.2"
            ))),
        }
    }
}

/// Addresses as text, in their one spelling, in JSON and everything else that serde writes.
#[cfg(feature = "serde")]
mod with_serde {
    use super::{Mac, Ul3, Vni};
    use serde::de::{Deserialize, Deserializer, Error, Visitor};
    use serde::ser::{Serialize, Serializer};
    use std::fmt;
    use std::marker::PhantomData;
    use std::str::FromStr;

    struct Text<T>(PhantomData<T>, &'static str);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.1)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    impl Serialize for Mac {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Mac {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(Text(PhantomData, "a MAC address"))
        }
    }

    impl Serialize for Ul3 {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Ul3 {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(Text(PhantomData, "an underlay address"))
        }
    }

    impl Serialize for Vni {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u32(self.get())
        }
    }

    impl<'de> Deserialize<'de> for Vni {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let id = u32::deserialize(deserializer)?;
            Self::new(id).ok_or_else(|| D::Error::custom(format_args!("vni {id}: larger than 24 bits (max {})", Self::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bad_vni_says_what_was_found_and_what_is_allowed() {
        assert_eq!("16777216".parse::<Vni>().unwrap_err().to_string(), "vni 16777216: larger than 24 bits (max 16777215)");
        assert_eq!("99999999999".parse::<Vni>().unwrap_err().to_string(), "vni 99999999999: larger than 24 bits (max 16777215)");
        assert_eq!("-1".parse::<Vni>().unwrap_err().to_string(), "vni -1: not a number; 0 to 16777215 is allowed");
        assert_eq!("16777215".parse::<Vni>(), Ok(Vni::MAX));
        assert_eq!(Vni::new(1 << 24), None);
    }

    #[test]
    fn a_mac_is_read_padded_and_unpadded_and_nothing_else_is() {
        let mac = Mac([2, 8, 0x20, 10, 0, 1]);
        assert_eq!("02:08:20:0a:00:01".parse(), Ok(mac));
        assert_eq!("2:8:20:a:0:1".parse(), Ok(mac));
        for bad in ["", "2:8:20:a:0", "2:8:20:a:0:1:2", "002:8:20:a:0:1", "+2:8:20:a:0:1", "g:8:20:a:0:1", "2-8-20-a-0-1", "2:8:20:a:0:"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn an_underlay_address_is_spelled_one_way() {
        for text in ["10.0.0.2:4789", "[fd00::2]:4789", "10.0.0.2", "fd00::2"] {
            assert_eq!(text.parse::<Ul3>().unwrap().to_string(), text);
        }
        for bad in ["", "10.0.0.2:", "10.0.0:4789", "fd00::2:port", "10.0.0.2:65536"] {
            assert!(bad.parse::<Ul3>().is_err(), "{bad} was taken");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(octets: [u8; 6], id in 0..=Vni::MAX.get()) {
            let mac = Mac(octets);
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
            prop_assert_eq!(mac.unpadded().parse(), Ok(mac));
            let vni = Vni::new(id).unwrap();
            prop_assert_eq!(vni.to_string().parse(), Ok(vni));
            prop_assert_eq!(Vni::from_be_bytes(vni.to_be_bytes()), vni);
        }
    }
}
