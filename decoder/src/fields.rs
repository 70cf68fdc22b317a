//! What does a header say? Each header names its fields once; the tree and the JSON both read them from there.
//!
//! A [`Fields`] visitor is a type parameter, not an object: for JSON, a field is one copy of a constant key and one number.

use crate::addr::Mac;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The name of a field, with the form that JSON wants prepared at compile time. Made by the macro `key!`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name, as in DESIGN and in the schema.
    pub name: &'static str,
    /// `,"name":`
    pub json: &'static str,
    /// `,"name":"`
    pub quoted: &'static str,
}

/// A [`Key`] from a literal.
macro_rules! key {
    ($name:literal) => {
        const { $crate::fields::Key { name: $name, json: concat!(",\"", $name, "\":"), quoted: concat!(",\"", $name, "\":\"") } }
    };
}
pub(crate) use key;

/// Up to eight letters, or other ASCII that JSON does not escape, out of a table: a copy of constant size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Letters {
    /// The letters, and after them anything.
    pub(crate) text: [u8; 8],
    /// How many there are.
    pub(crate) len: u8,
}

impl Letters {
    /// The letters.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len.into()).unwrap_or(&self.text)
    }
}

/// Takes the fields of one header, in order.
pub trait Fields {
    /// A number, decimal in every rendering.
    fn num(&mut self, key: Key, value: u64);
    /// A number that people read in hexadecimal with `width` digits; decimal in JSON.
    fn hex(&mut self, key: Key, value: u64, width: usize);
    /// A number that has a name; JSON carries the number only.
    fn named(&mut self, key: Key, value: u64, name: Option<&'static str>) {
        let _ = name;
        self.num(key, value);
    }
    /// A number with a name, in hexadecimal with `width` digits where people read it; JSON carries the number only.
    fn hex_named(&mut self, key: Key, value: u64, width: usize, name: Option<&'static str>) {
        let _ = name;
        self.hex(key, value, width);
    }
    /// True or false.
    fn flag(&mut self, key: Key, value: bool);
    /// A MAC address.
    fn mac(&mut self, key: Key, value: Mac);
    /// An IPv4 address.
    fn ipv4(&mut self, key: Key, value: Ipv4Addr);
    /// An IPv6 address.
    fn ipv6(&mut self, key: Key, value: Ipv6Addr);
    /// Text of ours or of the packet; the visitor escapes it.
    fn text(&mut self, key: Key, value: &[u8]);
    /// A short text of ours, which needs no escaping.
    fn letters(&mut self, key: Key, letters: Letters) {
        self.text(key, letters.as_bytes());
    }
    /// Bytes without further meaning, as hexadecimal digits.
    fn bytes(&mut self, key: Key, value: &[u8]);
    /// Opens an array of objects.
    fn open_list(&mut self, key: Key);
    /// Opens the next object of the array.
    fn open_item(&mut self);
    /// Closes the object.
    fn close_item(&mut self);
    /// Closes the array.
    fn close_list(&mut self);
    /// Whether this visitor is after everything, or only after what is worth a field of JSON.
    ///
    /// Details that only people read (DHCP vendor options, say) ask first.
    fn wants_details(&self) -> bool {
        false
    }
}
