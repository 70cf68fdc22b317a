//! Reads a configuration file: each key, what it may be, and where it was wrong.

use super::{
    CONFIG_MAX_BYTES, CONFIG_VERSION, Conflict, DeviceConfig, HostConfig, StaticEntry, StaticTarget, VNIC_MTU_MAX, VNIC_MTU_MIN,
    VnicConfig, check_property_name,
};
use crate::json::{Members, Node, ParseError, Path, Text, shown};
use crate::{NameError, NamespaceName};
use overlay_decoder::Vni;
use std::collections::BTreeMap;

impl HostConfig {
    /// Reads a configuration. `file` is its name in errors.
    ///
    /// # Errors
    /// The first mistake, with its line, column and key.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let text = Text::new(file, text);
        let tree = text.parse(CONFIG_MAX_BYTES)?;
        let root = Node::root(&text, &tree);
        // The version first: a newer file may have keys that are unknown here, and that is not what is wrong with it.
        let members = root.object()?;
        let version = members.require("version", &format!("the number {CONFIG_VERSION}"))?;
        if version.number(0, u64::MAX)? != CONFIG_VERSION {
            return Err(version.wrong(&format!("version {CONFIG_VERSION}")));
        }
        let members = root.object_of(&["version", "devices", "vnics", "entries"])?;
        let config = Self {
            devices: list(&members, "devices", device)?,
            vnics: list(&members, "vnics", vnic)?,
            entries: list(&members, "entries", entry)?,
        };
        config.check().map_err(|conflict| conflict.in_file(&text, &members))?;
        Ok(config)
    }
}

impl Conflict {
    /// The same, with the place of the key (or, should that be left out, of the element) in the file.
    fn in_file(self, text: &Text<'_>, members: &Members<'_, '_>) -> ParseError {
        let fallback = || text.error(0, &Path::Root, self.to_string());
        let Some(list) = members.get(self.list) else { return fallback() };
        let Ok(mut elements) = list.elements() else { return fallback() };
        let Some(element) = elements.nth(self.index) else { return fallback() };
        let Ok(members) = element.object() else { return fallback() };
        match members.get(self.key) {
            Some(value) => value.error(&self.problem),
            None => fallback(),
        }
    }
}

/// Reads the elements of a list that may be left out.
fn list<T>(members: &Members<'_, '_>, key: &str, read: impl Fn(Node<'_, '_>) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
    match members.get(key) {
        Some(list) => list.elements()?.map(read).collect(),
        None => Ok(Vec::new()),
    }
}

const A_LINK: &str = "a link's name of 1 to 15 letters, digits, \".\", \"_\" and \"-\"";
const A_MAC: &str = "a MAC address, as in \"02:08:20:0a:00:01\"";
const A_UL3: &str = "an underlay address, as in \"10.0.0.2:4789\"";

fn device(node: Node<'_, '_>) -> Result<DeviceConfig, ParseError> {
    let members = node.object_of(&["name", "encapsulation", "search", "vnetid", "properties"])?;
    let module = |key, examples: &str| members.require(key, examples)?.parsed(examples);
    Ok(DeviceConfig {
        name: members.require("name", A_LINK)?.parsed(A_LINK)?,
        encapsulation: module("encapsulation", "the name of an encapsulation, as in \"vxlan\"")?,
        search: module("search", "the name of a lookup plugin, as in \"direct\"")?,
        vnetid: vnetid(&members)?,
        properties: match members.get("properties") {
            Some(node) => properties(&node)?,
            None => BTreeMap::new(),
        },
    })
}

fn vnetid(members: &Members<'_, '_>) -> Result<Vni, ParseError> {
    let allowed = format!("a whole number 0-{}", Vni::MAX);
    let node = members.require("vnetid", &allowed)?;
    let digits = node.value.as_number_lit().map(|number| number.value).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let Some(digits) = digits else { return Err(node.wrong(&allowed)) };
    digits.parse().ok().and_then(Vni::new).ok_or_else(|| {
        let digits = shown(digits);
        node.error(format!("{} is larger than 24 bits (max {})", digits.replace('"', ""), Vni::MAX))
    })
}

fn properties(node: &Node<'_, '_>) -> Result<BTreeMap<String, String>, ParseError> {
    let mut properties = BTreeMap::new();
    for member in node.object()?.iter() {
        check_property_name(member.name).map_err(|problem| member.error_at_name(problem))?;
        let text = match member.node.value.as_number_lit() {
            Some(number) => number.value,
            None => member.node.string("a string or a number")?,
        };
        properties.insert(member.name.to_owned(), text.to_owned());
    }
    Ok(properties)
}

fn vnic(node: Node<'_, '_>) -> Result<VnicConfig, ParseError> {
    let members = node.object_of(&["name", "device", "mac", "mtu", "namespace"])?;
    let mtu = |node: Node<'_, '_>| node.number(VNIC_MTU_MIN.into(), VNIC_MTU_MAX.into()).map(|mtu| mtu as u32);
    Ok(VnicConfig {
        name: members.require("name", A_LINK)?.parsed(A_LINK)?,
        device: members.require("device", A_LINK)?.parsed(A_LINK)?,
        mac: members.require("mac", A_MAC)?.parsed(A_MAC)?,
        mtu: members.get("mtu").map(mtu).transpose()?,
        namespace: members.get("namespace").map(|node| namespace(&node)).transpose()?,
    })
}

/// As [`Node::parsed`], but for names that may be longer than what an error repeats: theirs cut it themselves.
fn namespace(node: &Node<'_, '_>) -> Result<NamespaceName, ParseError> {
    let text = node.string("the name of a network namespace")?;
    text.parse().map_err(|error: NameError| node.error(error.to_string()))
}

fn entry(node: Node<'_, '_>) -> Result<StaticEntry, ParseError> {
    let members = node.object_of(&["device", "mac", "to"])?;
    let allowed = "a list of underlay addresses or \"drop\"";
    let to = members.require("to", allowed)?;
    let to = if to.value.as_string_lit().is_some_and(|text| text.value == "drop") {
        StaticTarget::Drop
    } else if to.value.as_array().is_some() {
        StaticTarget::Reach(to.elements()?.map(|node| node.parsed(A_UL3)).collect::<Result<_, _>>()?)
    } else {
        return Err(to.wrong(allowed));
    };
    let device = members.require("device", A_LINK)?.parsed(A_LINK)?;
    Ok(StaticEntry { device, mac: members.require("mac", A_MAC)?.parsed(A_MAC)?, to })
}
