//! Which plugins has an answerer, and what do they say an instance has to be? What can be checked without asking them.

use super::clean;
use overlay_api::channel::{Hello, Instance, PluginInfo};
use overlay_api::config::PROPERTY_NAME_MAX;
use overlay_api::{Kind, ModuleName, PropertySpec, nearest};
use std::collections::BTreeMap;

/// A plugin, with its declarations as everybody checks them.
#[derive(Debug)]
struct Plugin {
    info: PluginInfo,
    specs: Vec<PropertySpec>,
}

/// The plugins of an answerer.
#[derive(Debug, Default)]
pub(crate) struct Plugins {
    plugins: BTreeMap<ModuleName, Plugin>,
    /// Who has them, for sentences.
    owner: String,
}

impl Plugins {
    /// What an answerer says that it has. `taken` are names of modules that are none of its own.
    ///
    /// # Errors
    /// A sentence about the first plugin or declaration that cannot be.
    pub(crate) fn of(hello: &Hello, taken: &[&str]) -> Result<Self, String> {
        let mut plugins = BTreeMap::new();
        for info in &hello.plugins {
            let name = info.name.as_str();
            if taken.contains(&name) {
                return Err(format!("plugin {name}: this name is overlayd's own; another one is needed"));
            }
            let specs = info.specs();
            for (index, spec) in specs.iter().enumerate() {
                check(name, spec).map_err(|problem| format!("plugin {name}: property {:?}: {problem}", spec.name))?;
                if specs.iter().take(index).any(|other| other.name == spec.name) {
                    return Err(format!("plugin {name}: property {}: is declared twice", spec.name));
                }
            }
            if plugins.insert(info.name.clone(), Plugin { info: info.clone(), specs }).is_some() {
                return Err(format!("plugin {name}: is there twice"));
            }
        }
        Ok(Self { plugins, owner: clean(&hello.name) })
    }

    /// Their names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ModuleName> {
        self.plugins.keys()
    }

    /// What a plugin declares; nothing of one that there is not.
    pub(crate) fn specs(&self, plugin: &ModuleName) -> &[PropertySpec] {
        self.plugins.get(plugin).map_or(&[], |plugin| &plugin.specs)
    }

    /// Whether there can be an instance, as far as the declarations say.
    ///
    /// # Errors
    /// A sentence: what was found and what is allowed.
    pub(crate) fn check(&self, instance: &Instance) -> Result<(), String> {
        let search = &instance.search;
        if let Some(plugin) = self.plugins.get(search) {
            return plugin.info.check(instance);
        }
        let names: Vec<&str> = self.names().map(ModuleName::as_str).collect();
        let hint = nearest(search.as_str(), names.iter().copied()).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let all = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(format!("search {search}: {} has no plugin of that name{hint} (there are direct, and of plugins {all})", self.owner))
    }
}

/// Whether a declaration can be. The error goes on after the property's name.
fn check(plugin: &str, spec: &PropertySpec) -> Result<(), String> {
    let own = spec.name.strip_prefix(plugin).and_then(|rest| rest.strip_prefix('/'));
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if !own.is_some_and(word) || spec.name.len() > PROPERTY_NAME_MAX {
        return Err(format!(
            "{plugin}/NAME is needed, NAME of lower-case letters, digits, \"_\" and \"-\", of at most {PROPERTY_NAME_MAX} bytes together"
        ));
    }
    match &spec.kind {
        Kind::Uint { min, max } if min > max => return Err(format!("the smallest value, {min}, is above the largest, {max}")),
        Kind::Choice(words) if words.is_empty() => return Err("a choice of no words".to_owned()),
        _ => {}
    }
    spec.default.as_deref().map_or(Ok(()), |text| spec.parse(text).map(drop).map_err(|error| format!("its default: {}", error.problem)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_api::DeviceId;
    use overlay_decoder::Vni;

    fn hello(plugins: &str) -> Hello {
        serde_json::from_str(&format!(r#"{{"versions":[1],"name":"varpd","plugins":{plugins}}}"#)).unwrap()
    }

    const FILES: &str = r#"[{"name":"files","without_port":false,"properties":[
        {"name":"files/config","type":"text","max":20,"required":true},{"name":"files/every","type":"uint","min":1,"max":9,"default":"3"}]}]"#;

    #[test]
    fn an_instance_is_checked_by_what_its_plugin_declares() {
        let plugins = Plugins::of(&hello(FILES), &["direct"]).unwrap();
        let files: ModuleName = "files".parse().unwrap();
        let check = |search: &str, with_port, properties: &[(&str, &str)]| {
            plugins.check(&Instance {
                device: DeviceId(1),
                name: "ov0".parse().unwrap(),
                search: search.parse().unwrap(),
                encapsulation: "nvgre".parse().unwrap(),
                with_port,
                vnetid: Vni::new(7).unwrap(),
                mtu: 1400,
                ul3: None,
                properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
                vnics: Vec::new(),
            })
        };
        let wrong = |search, with_port, properties: &[(&str, &str)]| check(search, with_port, properties).unwrap_err();
        assert_eq!(check("files", true, &[("files/config", "/etc/m.json"), ("files/every", "9")]), Ok(()));
        assert_eq!(
            wrong("fils", true, &[]),
            "search fils: varpd has no plugin of that name; did you mean files? (there are direct, and of plugins files)"
        );
        let fits_not = "nvgre has destinations of an address alone; plugin files has those of an address and a port";
        assert_eq!(wrong("files", false, &[]), fits_not);
        assert_eq!(wrong("files", true, &[]), "property files/config: is required and not set; text of at most 20 bytes is allowed");
        assert_eq!(wrong("files", true, &[("files/every", "10")]), "property files/every: \"10\" is not allowed; 1-9 is");
        let typed = "property files/confg: there is no such property; did you mean files/config?";
        assert_eq!(wrong("files", true, &[("files/confg", "x")]), typed);
        assert_eq!(plugins.specs(&files).len(), 2);
        assert!(plugins.specs(&"vxlan".parse().unwrap()).is_empty());
    }

    #[test]
    fn a_plugin_that_cannot_be_is_told_why() {
        let of = |plugins: &str| Plugins::of(&hello(plugins), &["direct", "vxlan"]).unwrap_err();
        let with = |declared: &str| of(&format!(r#"[{{"name":"a","properties":[{declared}]}}]"#));
        assert_eq!(of(r#"[{"name":"vxlan"}]"#), "plugin vxlan: this name is overlayd's own; another one is needed");
        assert_eq!(of(r#"[{"name":"a"},{"name":"a"}]"#), "plugin a: is there twice");
        for name in ["b/x", "a", "a/", "a/X", "a/x/y", "a/\\u001b"] {
            let said = with(&format!(r#"{{"name":"{name}","type":"ip"}}"#));
            assert!(said.contains("a/NAME is needed") && !said.contains(char::is_control), "{said}");
        }
        assert_eq!(
            with(r#"{"name":"a/x","type":"ip","default":"y"}"#),
            r#"plugin a: property "a/x": its default: "y" is not allowed; an IP address is"#
        );
        assert_eq!(
            with(r#"{"name":"a/x","type":"uint","min":2,"max":1}"#),
            r#"plugin a: property "a/x": the smallest value, 2, is above the largest, 1"#
        );
        assert_eq!(with(r#"{"name":"a/x","type":"choice","words":[]}"#), r#"plugin a: property "a/x": a choice of no words"#);
        assert_eq!(with(r#"{"name":"a/x","type":"ip"},{"name":"a/x","type":"ip"}"#), "plugin a: property a/x: is declared twice");
    }
}
