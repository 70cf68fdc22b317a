//! What is said of the lookup? `search`, and the properties of its plugin: the engine knows neither.

use super::calls::search_of;
use overlay_api::config::DeviceConfig;
use overlay_api::control::{Problem, Property, SetProperty};
use overlay_api::{Access, Kind, PropertySpec};
use overlay_engine::Search;

/// Longest value of a plugin's property in bytes; the plugin may allow less.
pub(super) const TEXT_MAX_BYTES: usize = 4096;

/// What no plugin can be called: properties of that name are the overlay's own.
pub(super) const TAKEN: [&str; 4] = ["direct", "outer", "target", "underlay"];

/// How frames find their way.
const SEARCH: PropertySpec = PropertySpec::new(
    "search",
    Kind::Text { max: 31 },
    Access::ReadOnly,
    None,
    "Who says where frames go: direct, or the plugin that is asked.",
);

/// The rows of `show-overlay` for the lookup: `search`, then the properties of its plugin: those that are declared, and those that were set
/// while nobody was there to know better.
pub(super) fn properties(config: &DeviceConfig, declared: &[PropertySpec]) -> Vec<Property> {
    let mut rows = vec![Property { possible: "direct or a plugin".to_owned(), ..Property::new(&SEARCH, Some(config.search.to_string())) }];
    rows.extend(declared.iter().map(|spec| Property::new(spec, config.properties.get(&*spec.name).cloned())));
    let others = config.properties.iter().filter(|(name, _)| declared.iter().all(|spec| spec.name != name.as_str()));
    rows.extend(others.filter(|(name, _)| is_of_plugin(config, name)).map(|(name, value)| undeclared(config, name, Some(value.clone()))));
    rows
}

/// A property of a plugin that nobody declares now.
pub(super) fn undeclared(config: &DeviceConfig, name: &str, value: Option<String>) -> Property {
    let spec = PropertySpec {
        name: name.to_owned().into(),
        kind: Kind::Text { max: TEXT_MAX_BYTES },
        access: Access::Live,
        required: false,
        default: None,
        doc: format!("A property of the plugin {}.", config.search).into(),
    };
    Property { possible: format!("what {} allows", config.search), ..Property::new(&spec, value) }
}

/// Refuses a change of what is fixed once the overlay is there.
pub(super) fn refuse_change(name: &str) -> Result<(), Problem> {
    match name == SEARCH.name {
        true => Err(Problem::wrong(format_args!("property {name}: cannot be changed (PERM {})", SEARCH.access))),
        false => Ok(()),
    }
}

/// Whether a property is the plugin's of that overlay. Those of `direct` are the engine's.
pub(super) fn is_of_plugin(config: &DeviceConfig, name: &str) -> bool {
    search_of(config) == Search::Dynamic && name.split_once('/').is_some_and(|(module, _)| module == config.search.as_str())
}

/// Sets or resets what was set.
pub(super) fn change(config: &mut DeviceConfig, set: &SetProperty) {
    match &set.value {
        Some(value) => drop(config.properties.insert(set.name.clone(), value.clone())),
        None => drop(config.properties.remove(&set.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(search: &str) -> DeviceConfig {
        let set = [("files/config", "/etc/o.json"), ("mtu", "1400"), ("direct/dest_ip", "10.0.0.2")];
        DeviceConfig {
            name: "ov7".parse().unwrap(),
            encapsulation: "vxlan".parse().unwrap(),
            search: search.parse().unwrap(),
            vnetid: "7".parse().unwrap(),
            properties: set.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    fn rows(search: &str, declared: &[PropertySpec]) -> Vec<(String, &'static str, String)> {
        let rows = properties(&config(search), declared).into_iter();
        rows.map(|row| (row.name, row.perm.name(), row.value.unwrap_or_default())).collect()
    }

    fn row(name: &str, perm: &'static str, value: &str) -> (String, &'static str, String) {
        (name.to_owned(), perm, value.to_owned())
    }

    #[test]
    fn what_was_set_for_the_plugin_is_shown_behind_search() {
        assert_eq!(rows("files", &[]), [row("search", "r-", "files"), row("files/config", "rw", "/etc/o.json")]);
        assert_eq!(rows("direct", &[]), [row("search", "r-", "direct")], "the engine shows the properties of direct");
        assert_eq!(rows("file", &[]), [row("search", "r-", "file")]);
    }

    #[test]
    fn what_the_plugin_declares_is_shown_whether_it_is_set_or_not() {
        let every = PropertySpec::new("files/every", Kind::Uint { min: 1, max: 9 }, Access::Live, Some("3"), "How often.");
        let config = PropertySpec::new("files/config", Kind::Text { max: 255 }, Access::Live, None, "Which.");
        let both = [row("search", "r-", "files"), row("files/every", "rw", "3"), row("files/config", "rw", "/etc/o.json")];
        assert_eq!(rows("files", &[every.clone(), config]), both);
        assert_eq!(rows("files", &[every]), both);
    }

    #[test]
    fn who_is_asked_does_not_change_later() {
        let refused = |name| refuse_change(name).map_err(|problem| problem.error);
        assert_eq!(refused("search"), Err("property search: cannot be changed (PERM r-)".to_owned()));
        assert_eq!((refused("mtu"), refused("files/config")), (Ok(()), Ok(())));
    }
}
