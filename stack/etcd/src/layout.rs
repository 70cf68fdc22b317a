//! Under which key is what? The layout of the mapping in the store, version 1.
//!
//! ```text
//! PREFIX/v1/vnets/<vnetid>/vl2/<mac>   an entry of the mapping file, as JSON: {"ip":"10.0.0.2","port":4789}
//! PREFIX/v1/vnets/<vnetid>/vl3/<ip>    the MAC that has the address: 02:08:20:0a:00:02
//! PREFIX/v1/imports/<vnetid>           the mark of an import under way; whoever follows the network has no use for it
//! ```
//!
//! A virtual network is one range of keys: it is read and followed as one, users of the store are given rights to it as one, and it can
//! move to a store of its own. The number of a network is decimal without leading zeros, MACs are of six padded octets in small letters,
//! and addresses are spelled as in RFC 5952: each thing has one key. What is spelled in another way is reported, and has no meaning.

use overlay_decoder::{Mac, Vni};
use std::fmt;
use std::net::IpAddr;

/// What stands in front of every key unless the operator says otherwise.
pub const PREFIX: &str = "/overlay";

/// Bytes of a prefix, at most.
pub const PREFIX_MAX: usize = 255;

/// Bytes of a value, at most: a replication list of 256 addresses fits many times.
pub const VALUE_MAX: usize = 64 << 10;

/// A part of the store that holds mappings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Without a slash at its end.
    prefix: String,
}

/// What a key stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    /// Where frames for a tenant's MAC go.
    Vl2(Vni, Mac),
    /// Which MAC has a tenant's address.
    Vl3(Vni, IpAddr),
    /// The mark of an import into a network.
    Import(Vni),
}

/// A key that means nothing here, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyError {
    /// The key, as far as it can be shown.
    pub key: String,
    /// What is wrong with it, and what is allowed.
    pub why: String,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.why)
    }
}

impl std::error::Error for KeyError {}

impl Default for Layout {
    fn default() -> Self {
        Self { prefix: PREFIX.to_owned() }
    }
}

impl Layout {
    /// The layout below a prefix; slashes at its end do not count.
    ///
    /// # Errors
    /// A sentence for a prefix that is empty, longer than [`PREFIX_MAX`], or has bytes that are no printable ASCII.
    pub fn new(prefix: &str) -> Result<Self, String> {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() || prefix.len() > PREFIX_MAX || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{prefix:?}: not a prefix of keys; 1 to {PREFIX_MAX} printable ASCII characters are, as in {PREFIX}"));
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// The prefix, without a slash at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the keys of everything begin with.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}/v1/", self.prefix)
    }

    /// What the keys of a virtual network begin with.
    #[must_use]
    pub fn vnet(&self, vnet: Vni) -> String {
        format!("{}/v1/vnets/{vnet}/", self.prefix)
    }

    /// What the keys of a virtual network's MACs begin with.
    #[must_use]
    pub fn vl2s(&self, vnet: Vni) -> String {
        format!("{}vl2/", self.vnet(vnet))
    }

    /// What the keys of a virtual network's addresses begin with.
    #[must_use]
    pub fn vl3s(&self, vnet: Vni) -> String {
        format!("{}vl3/", self.vnet(vnet))
    }

    /// The key that stands for something.
    #[must_use]
    pub fn key(&self, key: &Key) -> String {
        match key {
            Key::Vl2(vnet, mac) => format!("{}{mac}", self.vl2s(*vnet)),
            Key::Vl3(vnet, ip) => format!("{}{ip}", self.vl3s(*vnet)),
            Key::Import(vnet) => format!("{}/v1/imports/{vnet}", self.prefix),
        }
    }

    /// What a key stands for.
    ///
    /// # Errors
    /// A key of another prefix or version, with something that is no number, MAC or address, or with one that is not spelled as
    /// [`Layout::key`] does.
    pub fn read(&self, key: &[u8]) -> Result<Key, KeyError> {
        let shown = || String::from_utf8_lossy(key.get(..key.len().min(300)).unwrap_or_default()).escape_debug().to_string();
        let wrong = |why: String| KeyError { key: shown(), why };
        let text = std::str::from_utf8(key).map_err(|_| wrong("not UTF-8".to_owned()))?;
        let rest = text.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix("/v1/"));
        let rest = rest.ok_or_else(|| wrong(format!("not below {}", self.all())))?;
        let network = |vnet: &str| {
            let number = vnet.parse::<u32>().ok().and_then(Vni::new);
            number.ok_or_else(|| wrong(format!("{vnet:?} is no virtual network; 0 to 16777215 are")))
        };
        let found = match rest.split('/').collect::<Vec<_>>()[..] {
            ["vnets", vnet, "vl2", name] => {
                let mac = name.parse().map_err(|_| wrong(format!("{name:?} is no MAC; one as in 02:08:20:0a:00:02 is")));
                Key::Vl2(network(vnet)?, mac?)
            }
            ["vnets", vnet, "vl3", name] => {
                let ip = name.parse().map_err(|_| wrong(format!("{name:?} is no address; one as in 192.168.0.2 or fd00::2 is")));
                Key::Vl3(network(vnet)?, ip?)
            }
            ["imports", vnet] => Key::Import(network(vnet)?),
            _ => return Err(wrong("neither vnets/<vnetid>/vl2/<mac>, vnets/<vnetid>/vl3/<ip> nor imports/<vnetid>".to_owned())),
        };
        let canonical = self.key(&found);
        if canonical == text { Ok(found) } else { Err(wrong(format!("not spelled as keys are; {canonical} is"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = Key> {
        let vni = (0u32..1 << 24).prop_map(|vni| Vni::new(vni).unwrap());
        prop_oneof![
            (vni.clone(), any::<[u8; 6]>()).prop_map(|(vni, mac)| Key::Vl2(vni, Mac(mac))),
            (vni.clone(), any::<IpAddr>()).prop_map(|(vni, ip)| Key::Vl3(vni, ip)),
            vni.prop_map(Key::Import),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_read_as_it_was_written(key in keys(), prefix in "/[a-z0-9/]{0,20}[a-z]") {
            let layout = Layout::new(&prefix).unwrap();
            prop_assert_eq!(layout.read(layout.key(&key).as_bytes()), Ok(key));
        }

        #[test]
        fn each_thing_has_one_key(bytes in prop::collection::vec(any::<u8>(), 0..60), part in "(vnets|imports)/0?[0-9]{1,9}/(vl2|vl3)/[0-9a-fA-F:.]{1,20}") {
            let layout = Layout::default();
            for key in [bytes, format!("/overlay/v1/{part}").into_bytes()] {
                if let Ok(found) = layout.read(&key) {
                    prop_assert_eq!(layout.key(&found).into_bytes(), key);
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said() {
        let layout = Layout::default();
        for (key, why) in [
            ("/elsewhere/v1/vnets/77/vl2/02:08:20:0a:00:02", "not below /overlay/v1/"),
            ("/overlay/v2/vnets/77/vl2/02:08:20:0a:00:02", "not below /overlay/v1/"),
            ("/overlay/v1/vnets/16777216/vl2/02:08:20:0a:00:02", "\"16777216\" is no virtual network; 0 to 16777215 are"),
            ("/overlay/v1/vnets/77/vl2/elephant", "\"elephant\" is no MAC; one as in 02:08:20:0a:00:02 is"),
            ("/overlay/v1/vnets/77/vl3/10.0.0", "\"10.0.0\" is no address; one as in 192.168.0.2 or fd00::2 is"),
            ("/overlay/v1/vnets/77/vl2/2:8:20:a:0:2", "not spelled as keys are; /overlay/v1/vnets/77/vl2/02:08:20:0a:00:02 is"),
            ("/overlay/v1/vnets/077/vl2/02:08:20:0a:00:02", "not spelled as keys are; /overlay/v1/vnets/77/vl2/02:08:20:0a:00:02 is"),
            ("/overlay/v1/vnets/77", "neither vnets/<vnetid>/vl2/<mac>, vnets/<vnetid>/vl3/<ip> nor imports/<vnetid>"),
        ] {
            assert_eq!(layout.read(key.as_bytes()).unwrap_err().why, why, "{key}");
        }
        for prefix in ["", "/", "/with space", "/caf\u{e9}", &"x".repeat(256)] {
            assert!(Layout::new(prefix).is_err(), "{prefix:?}");
        }
        assert_eq!(Layout::new("/a/").unwrap().vnet(Vni::MAX), "/a/v1/vnets/16777215/");
    }
}
