//! What can be set, by whom, when, and to what? Properties: typed, described, checked.
//!
//! An encapsulation, a plugin or the device itself declares its properties as [`PropertySpec`]s; everything that shows, checks,
//! sets or documents them works from those. Names are `module/name` (`vxlan/listen_ip`), those of the device itself have no
//! module (`mtu`).

use crate::nearest::meant_or_all;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Who may change it, and when. The PERM column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Access {
    /// `r-`: shown, never set by hand.
    #[serde(rename = "r-")]
    ReadOnly,
    /// `rc`: set when the device is created, and fixed from then on.
    #[serde(rename = "rc")]
    Create,
    /// `rw`: changes on the running device.
    #[serde(rename = "rw")]
    Live,
}

impl Access {
    /// As the PERM column shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "r-",
            Self::Create => "rc",
            Self::Live => "rw",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What values a property takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number within bounds, both allowed.
    Uint {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// An IP address.
    Ip,
    /// One of some words.
    Choice(Cow<'static, [Cow<'static, str>]>),
    /// Text of at most so many bytes.
    Text {
        /// Largest length in bytes.
        max: usize,
    },
    /// A list of IP prefixes with commas between; an address alone is a prefix of its whole length. May be empty.
    Prefixes,
}

impl fmt::Display for Kind {
    /// The POSSIBLE column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint { min, max } => write!(f, "{min}-{max}"),
            Self::Ip => f.write_str("an IP address"),
            Self::Choice(words) => f.write_str(&words.join(",")),
            Self::Text { max } => write!(f, "text of at most {max} bytes"),
            Self::Prefixes => f.write_str("IP prefixes with commas between"),
        }
    }
}

/// The declaration of a property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PropertySpec {
    /// `module/name`.
    pub name: Cow<'static, str>,
    /// What values it takes.
    pub kind: Kind,
    /// Who may change it.
    pub access: Access,
    /// Whether a device cannot start without it.
    pub required: bool,
    /// The value without being set, as it would be typed.
    pub default: Option<Cow<'static, str>>,
    /// One or two sentences.
    pub doc: Cow<'static, str>,
}

impl PropertySpec {
    /// A declaration in a `const` or `static`.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, access: Access, default: Option<&'static str>, doc: &'static str) -> Self {
        let default = match default {
            Some(text) => Some(Cow::Borrowed(text)),
            None => None,
        };
        Self { name: Cow::Borrowed(name), kind, access, required: false, default, doc: Cow::Borrowed(doc) }
    }

    /// The same, required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Reads a value of this property.
    ///
    /// # Errors
    /// A sentence with what was found and what is allowed.
    pub fn parse(&self, text: &str) -> Result<Value, PropertyError> {
        let wrong = || PropertyError::new(&self.name, format!("{:?} is not allowed; {} is", shown(text), self.kind));
        match &self.kind {
            Kind::Uint { min, max } => {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                let number = digits.then(|| text.parse::<u64>().ok()).flatten().filter(|n| (min..=max).contains(&n));
                number.map(Value::Uint).ok_or_else(wrong)
            }
            Kind::Ip => text.parse().map(Value::Ip).map_err(|_| wrong()),
            Kind::Choice(words) => words.iter().any(|word| word == text).then(|| Value::Text(text.to_owned())).ok_or_else(wrong),
            Kind::Text { max } => {
                let clean = text.len() <= *max && !text.chars().any(char::is_control);
                clean.then(|| Value::Text(text.to_owned())).ok_or_else(wrong)
            }
            Kind::Prefixes => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts
                    .map(|part| part.parse::<Prefix>().map_err(|error| PropertyError::new(&self.name, error)))
                    .collect::<Result<Vec<_>, _>>()
                    .map(Value::Prefixes)
            }
        }
    }
}

/// A value that its declaration allows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Value {
    /// Of [`Kind::Uint`].
    Uint(u64),
    /// Of [`Kind::Ip`].
    Ip(IpAddr),
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Prefixes`].
    Prefixes(Vec<Prefix>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(number) => number.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Prefixes(prefixes) => {
                for (index, prefix) in prefixes.iter().enumerate() {
                    write!(f, "{}{prefix}", if index > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// An IP prefix: an address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// Whether `ip` is in it. An IPv4 address is not in an IPv6 prefix, mapped or not.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0,
            _ => false,
        }
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{:?} is not an IP prefix; an address with or without a length is, as in 10.0.0.0/8 or fd00::1", shown(text));
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        let prefix = Self { address, bits };
        if bits > most {
            return Err(format!("{text:?}: a prefix of this family has at most {most} bits"));
        }
        // A prefix with bits behind its length is a slip of the pen more often than not.
        let network = match address {
            IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into()),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into()),
        };
        if network != address {
            return Err(format!("{text:?} has bits behind its length; {network}/{bits} has none"));
        }
        // Sources are compared as what they are, so nothing would ever be in it.
        if let IpAddr::V6(ip) = address
            && let (Some(ip), Some(bits)) = (ip.to_ipv4_mapped(), bits.checked_sub(96))
        {
            return Err(format!("{text:?} is an IPv4 prefix mapped into IPv6; as IPv4 it is {ip}/{bits}"));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.bits == whole { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.bits) }
    }
}

/// Why a property cannot be that: a sentence with its name, what was found and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PropertyError {
    /// The property.
    pub name: String,
    /// What was found and what is allowed.
    pub problem: String,
}

impl PropertyError {
    /// An error of the property `name`.
    #[must_use]
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "property {}: {}", shown(&self.name).escape_debug(), self.problem)
    }
}

/// Characters of something typed that a sentence repeats.
const SHOWN_MAX: usize = 100;

/// The beginning of something typed, whole if it is not long: errors go to logs, whatever was typed.
fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

impl std::error::Error for PropertyError {}

/// The values that were set, by name, each checked against its declaration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Properties {
    values: BTreeMap<String, Value>,
}

impl Properties {
    /// Nothing set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to what `text` says.
    ///
    /// # Errors
    /// A name that `specs` does not have (with the nearest one, or all of them), or a value that is not allowed. Nothing changes then.
    pub fn set(&mut self, specs: &[PropertySpec], name: &str, text: &str) -> Result<(), PropertyError> {
        let spec = specs.iter().find(|spec| spec.name == name).ok_or_else(|| {
            let names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
            PropertyError::new(name, format!("there is no such property; {}", meant_or_all(name, &names)))
        })?;
        let value = spec.parse(text)?;
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Forgets what was set: the default holds again.
    pub fn reset(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    /// What was set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// What was set, or else the default; none where there is neither.
    #[must_use]
    pub fn effective(&self, spec: &PropertySpec) -> Option<Value> {
        self.get(&spec.name).cloned().or_else(|| spec.default.as_deref().and_then(|text| spec.parse(text).ok()))
    }

    /// All that was set, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether every required property has a value.
    ///
    /// # Errors
    /// Names the first that has none.
    pub fn complete(&self, specs: &[PropertySpec]) -> Result<(), PropertyError> {
        match specs.iter().find(|spec| spec.required && self.effective(spec).is_none()) {
            Some(spec) => Err(PropertyError::new(&spec.name, format!("is required and not set; {} is allowed", spec.kind))),
            None => Ok(()),
        }
    }
}

/// `PROP=VALUE`, as it is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The property's name.
    pub name: String,
    /// Its value. It may be empty, and may have commas and `=` in it.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("PROP=VALUE is expected, as in mtu=1400".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
