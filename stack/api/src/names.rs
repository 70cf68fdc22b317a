//! What may a thing be called? Names that are checked once and then cannot be wrong.

use crate::json::shown;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Why a text is no name: a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $check:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(problem) => Err(NameError(format!("{}: {problem}", shown(text)))),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The name of a device or a VNIC: 1 to 15 bytes of `A-Z a-z 0-9 . _ -`, not `.` or `..`, and not beginning with `-`.
    /// 15 is what an interface's name may have on Linux (IFNAMSIZ with its NUL).
    LinkName, check_link
}

name! {
    /// The name of a network namespace, as ip-netns(8) has it: a file of `/run/netns`, so 1 to 255 bytes without `/` and control
    /// characters, not `.` or `..`, and not beginning with `-`.
    NamespaceName, check_namespace
}

name! {
    /// The name of an encapsulation or a lookup plugin, and the first half of its properties' names: 1 to 31 bytes of
    /// `a-z 0-9 _ -`, beginning with a letter.
    ModuleName, check_module
}

fn check_link(text: &str) -> Result<(), &'static str> {
    match text.as_bytes() {
        [] => Err("a link's name has 1 to 15 bytes, this one none"),
        [_, rest @ ..] if rest.len() >= 15 => Err("a link's name has at most 15 bytes"),
        [b'-', ..] => Err("a link's name must not begin with \"-\": it would be taken for an option"),
        b"." | b".." => Err("\".\" and \"..\" are directories, not names of links"),
        bytes if bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b)) => Ok(()),
        _ => Err("a link's name has letters, digits, \".\", \"_\" and \"-\" only"),
    }
}

fn check_namespace(text: &str) -> Result<(), &'static str> {
    match text.as_bytes() {
        [] => Err("a network namespace's name has 1 to 255 bytes, this one none"),
        [_, rest @ ..] if rest.len() >= 255 => Err("a network namespace's name has at most 255 bytes"),
        [b'-', ..] => Err("a network namespace's name must not begin with \"-\": it would be taken for an option"),
        b"." | b".." => Err("\".\" and \"..\" are directories, not names of network namespaces"),
        _ if text.chars().any(|c| c == '/' || c.is_control()) => {
            Err("a network namespace's name has neither \"/\" nor control characters: it is a file in /run/netns")
        }
        _ => Ok(()),
    }
}

fn check_module(text: &str) -> Result<(), &'static str> {
    match text.as_bytes() {
        [] => Err("a module's name has 1 to 31 bytes, this one none"),
        [_, rest @ ..] if rest.len() >= 31 => Err("a module's name has at most 31 bytes"),
        [first, rest @ ..] if first.is_ascii_lowercase() => {
            let known = rest.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(b));
            if known { Ok(()) } else { Err("a module's name has lower-case letters, digits, \"_\" and \"-\" only") }
        }
        _ => Err("a module's name begins with a lower-case letter"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links_are_names_of_interfaces() {
        for good in ["a", "ov0", "Overlay-1.7_x", "...", "a23456789012345"] {
            assert_eq!(good.parse::<LinkName>().unwrap().as_str(), good);
        }
        for (bad, said) in [
            ("", "\"\": a link's name has 1 to 15 bytes, this one none"),
            ("a234567890123456", "\"a234567890123456\": a link's name has at most 15 bytes"),
            ("-v", "\"-v\": a link's name must not begin with \"-\": it would be taken for an option"),
            (".", "\".\": \".\" and \"..\" are directories, not names of links"),
            ("..", "\"..\": \".\" and \"..\" are directories, not names of links"),
            ("a/b", "\"a/b\": a link's name has letters, digits, \".\", \"_\" and \"-\" only"),
            ("a\n", "\"a\\n\": a link's name has letters, digits, \".\", \"_\" and \"-\" only"),
            ("é", "\"é\": a link's name has letters, digits, \".\", \"_\" and \"-\" only"),
        ] {
            assert_eq!(bad.parse::<LinkName>().unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn names_of_namespaces_stay_in_their_directory() {
        for good in ["blue", "zone 1", "café", &"x".repeat(255)] {
            assert!(good.parse::<NamespaceName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "-x", "a\u{1b}", "a\0", &"x".repeat(256)] {
            assert!(bad.parse::<NamespaceName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_modules_begin_with_a_letter() {
        for good in ["vxlan", "my-plugin_2", "x", &"x".repeat(31)] {
            assert!(good.parse::<ModuleName>().is_ok(), "{good}");
        }
        for bad in ["", "2x", "-x", "Vxlan", "vXlan", "a/b", "../x", "a.so", &"x".repeat(32)] {
            assert!(bad.parse::<ModuleName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_checked_wherever_it_comes_from() {
        assert!(serde_json::from_str::<LinkName>("\"ov0\"").is_ok());
        assert!(serde_json::from_str::<LinkName>("\"../ov0\"").is_err());
        assert_eq!(serde_json::to_string(&"ov0".parse::<LinkName>().unwrap()).unwrap(), "\"ov0\"");
    }
}
