//! What is set on a link, and what can be?

use crate::{Access, Kind, PropertySpec};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A property of an overlay or a VNIC, as `show-prop` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, DeriveDeserialize)]
pub struct Property {
    /// `module/name`; those of the link itself have no module.
    pub name: String,
    /// `uint`, `ip`, `choice`, `text` or `prefixes`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What values it takes, in words.
    pub possible: String,
    /// Who may change it, and when: `r-`, `rc`, `rw`.
    pub perm: Access,
    /// Whether the link cannot be without it.
    pub required: bool,
    /// The value without being set, as it would be typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The value that holds, as it would be typed; none where there is neither a set one nor a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether the value was set; if not, it is the default.
    pub set: bool,
    /// What it does: one or two sentences.
    pub doc: String,
}

impl Property {
    /// The property that `spec` declares, with what was set.
    #[must_use]
    pub fn new(spec: &PropertySpec, set: Option<String>) -> Self {
        let kind = match spec.kind {
            Kind::Uint { .. } => "uint",
            Kind::Ip => "ip",
            Kind::Choice(_) => "choice",
            Kind::Text { .. } => "text",
            Kind::Prefixes => "prefixes",
        };
        let default = spec.default.as_deref().map(str::to_owned);
        Self {
            name: spec.name.clone().into_owned(),
            kind: kind.to_owned(),
            possible: spec.kind.to_string(),
            perm: spec.access,
            required: spec.required,
            set: set.is_some(),
            value: set.or_else(|| default.clone()),
            default,
            doc: spec.doc.clone().into_owned(),
        }
    }
}

/// A property to set or to reset: `POST /v1/overlays/NAME/properties`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub struct SetProperty {
    /// Which.
    pub name: String,
    /// The value, as it would be typed; a number may be a number. `null` resets it to the default. It has to be there: a call that
    /// forgot it must not reset anything.
    #[serde(deserialize_with = "text_or_null")]
    pub value: Option<String>,
}

/// A text, or a number that is meant as one.
struct Typed(String);

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Typed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property's value: a text or a whole number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Typed, E> {
                Ok(Typed(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Typed, E> {
                Ok(Typed(number.to_string()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Typed>::deserialize(deserializer)?.map(|typed| typed.0))
}

/// Values by name. A name that is given twice is refused: one of the two would be lost.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Map;
    impl<'de> Visitor<'de> for Map {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of properties by name")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, Typed(value))) = access.next_entry::<String, Typed>()? {
                if map.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("property {name} is given twice; once is allowed")));
                }
                map.insert(name, value);
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Map)
}
