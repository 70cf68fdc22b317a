//! What was a device told? Properties read as the types that their declarations promise.

use overlay_api::{Prefix, Properties, PropertyError, PropertySpec, Value};
use std::net::IpAddr;

/// The values of some properties, with their declarations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'a> {
    specs: &'a [PropertySpec],
    properties: &'a Properties,
}

impl<'a> Settings<'a> {
    pub(crate) const fn new(specs: &'a [PropertySpec], properties: &'a Properties) -> Self {
        Self { specs, properties }
    }

    pub(crate) fn ip(&self, name: &str) -> Result<IpAddr, PropertyError> {
        self.value(name, |value| if let Value::Ip(ip) = value { Some(ip) } else { None })
    }

    pub(crate) fn uint<T: TryFrom<u64>>(&self, name: &str) -> Result<T, PropertyError> {
        self.value(name, |value| if let Value::Uint(number) = value { T::try_from(number).ok() } else { None })
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, PropertyError> {
        self.value(name, |value| if let Value::Text(text) = value { Some(text) } else { None })
    }

    pub(crate) fn prefixes(&self, name: &str) -> Result<Vec<Prefix>, PropertyError> {
        self.value(name, |value| if let Value::Prefixes(prefixes) = value { Some(prefixes) } else { None })
    }

    /// What was set or else the default, if it is of the type that is asked for. It is not where `properties` were checked against
    /// other declarations than these.
    fn value<T>(&self, name: &str, read: impl Fn(Value) -> Option<T>) -> Result<T, PropertyError> {
        let spec = self.specs.iter().find(|spec| spec.name == name);
        let spec = spec.ok_or_else(|| PropertyError::new(name, "there is no such property"))?;
        let value = self.properties.effective(spec);
        let value = value.ok_or_else(|| PropertyError::new(name, format!("is required and not set; {} is allowed", spec.kind)))?;
        let found = value.to_string();
        read(value).ok_or_else(|| PropertyError::new(name, format!("{found:?} is not allowed; {} is", spec.kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_api::{Access, Kind};

    #[test]
    fn a_value_is_what_was_set_or_the_default_or_a_sentence() {
        let port = PropertySpec::new("x/port", Kind::Uint { min: 1, max: 65535 }, Access::Live, Some("7"), "");
        let specs = [port, PropertySpec::new("x/ip", Kind::Ip, Access::Live, None, "").required()];
        let mut properties = Properties::new();
        assert_eq!(Settings::new(&specs, &properties).uint::<u16>("x/port"), Ok(7));
        properties.set(&specs, "x/port", "9").unwrap();
        let settings = Settings::new(&specs, &properties);
        assert_eq!(settings.uint::<u16>("x/port"), Ok(9));
        let said = |error: Result<_, PropertyError>| error.unwrap_err().to_string();
        assert_eq!(said(settings.ip("x/ip").map(drop)), "property x/ip: is required and not set; an IP address is allowed");
        assert_eq!(said(settings.ip("x/port").map(drop)), "property x/port: \"9\" is not allowed; 1-65535 is");
        assert_eq!(said(settings.text("x/y").map(drop)), "property x/y: there is no such property");
    }
}
