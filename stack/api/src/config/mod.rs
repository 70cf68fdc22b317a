//! What does a host look like? Devices, VNICs and hand-set entries: what overlayd persists and replay loads.
//!
//! `docs/configuration.md` describes the file. Reading checks everything that can be said without the modules that a device names:
//! values of properties are texts here; the engine and the plugin check them against their declarations.

mod read;

use crate::json::shown;
use crate::nearest::hint;
use crate::{LinkName, ModuleName, NamespaceName};
use overlay_decoder::{Mac, Ul3, Vni};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

/// The version of the file that is written here.
pub const CONFIG_VERSION: u64 = 1;
/// Largest configuration file in bytes: about a hundred thousand hand-set entries.
pub const CONFIG_MAX_BYTES: usize = 16 << 20;
/// Smallest MTU of a VNIC: what IPv4 needs at least (RFC 791 3.2).
pub const VNIC_MTU_MIN: u32 = 68;
/// Largest MTU of a VNIC: what a TAP takes (65,535 less the Ethernet header).
pub const VNIC_MTU_MAX: u32 = 65_521;
/// Longest name of a property in bytes.
pub const PROPERTY_NAME_MAX: usize = 64;

/// Everything that is configured on one host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostConfig {
    /// The overlay devices.
    pub devices: Vec<DeviceConfig>,
    /// The VNICs on them.
    pub vnics: Vec<VnicConfig>,
    /// What the operator set in target tables.
    pub entries: Vec<StaticEntry>,
}

/// An overlay device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DeviceConfig {
    /// Its name; no other device or VNIC has it.
    pub name: LinkName,
    /// How frames are put on the wire: `vxlan`, `geneve`, `nvgre`.
    pub encapsulation: ModuleName,
    /// Where frames go: `direct`, `files`, `etcd` or a plugin.
    pub search: ModuleName,
    /// The virtual network.
    pub vnetid: Vni,
    /// What was set, by name, as it would be typed. Not checked against declarations.
    pub properties: BTreeMap<String, String>,
}

/// A VNIC: an interface of this host on a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VnicConfig {
    /// Its name; no other device or VNIC has it.
    pub name: LinkName,
    /// The device that it is on.
    pub device: LinkName,
    /// Its address (VL2), which never changes: no group address, not all zeros, and no other VNIC's on that device.
    pub mac: Mac,
    /// Its MTU in bytes; none is the device's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The network namespace that it is in; none is overlayd's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
}

/// An entry that the operator set in a device's target table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StaticEntry {
    /// The device.
    pub device: LinkName,
    /// The inner destination (VL2).
    pub mac: Mac,
    /// What becomes of frames for it.
    pub to: StaticTarget,
}

/// What becomes of frames for a hand-set destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StaticTarget {
    /// They are sent there: one underlay address, for group addresses also several.
    Reach(Vec<Ul3>),
    /// They are dropped.
    Drop,
}

impl Serialize for StaticTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Reach(to) => to.serialize(serializer),
            Self::Drop => serializer.serialize_str("drop"),
        }
    }
}

/// What two parts of a configuration, or a part alone, cannot be. Its Display is `devices[1].name: ...`, without a place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// `devices`, `vnics` or `entries`.
    pub list: &'static str,
    /// Which of the list.
    pub index: usize,
    /// The key that has to change.
    pub key: &'static str,
    /// What was found and what is allowed.
    pub problem: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}].{}: {}", self.list, self.index, self.key, self.problem)
    }
}

impl std::error::Error for Conflict {}

impl HostConfig {
    /// The file: an element of each list on a line or more of its own, in the order of the lists, always the same for the same configuration.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct File<'a> {
            version: u64,
            devices: &'a [DeviceConfig],
            vnics: &'a [VnicConfig],
            entries: &'a [StaticEntry],
        }
        let file = File { version: CONFIG_VERSION, devices: &self.devices, vnics: &self.vnics, entries: &self.entries };
        // Nothing in there can fail: no map with keys other than texts, no writer but a string.
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Checks what the types leave open. [`HostConfig::parse`] has done it; a configuration that was put together by a program has to
    /// pass before it is written, or it could not be read back.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn check(&self) -> Result<(), Conflict> {
        let devices: HashSet<&str> = self.devices.iter().map(|device| device.name.as_str()).collect();
        let known = |name: &LinkName| if devices.contains(name.as_str()) { Ok(()) } else { Err(self.no_device(name)) };
        let mut links = HashMap::new();
        for (index, device) in self.devices.iter().enumerate() {
            let conflict = |key, problem| Conflict { list: "devices", index, key, problem };
            let owner = format!("devices[{index}]");
            once(&mut links, device.name.as_str(), owner).map_err(|other| conflict("name", taken(&device.name, &other)))?;
            for name in device.properties.keys() {
                check_property_name(name).map_err(|problem| conflict("properties", format!("{}: {problem}", shown(name))))?;
            }
        }
        let mut macs = HashMap::new();
        for (index, vnic) in self.vnics.iter().enumerate() {
            let conflict = |key, problem| Conflict { list: "vnics", index, key, problem };
            once(&mut links, vnic.name.as_str(), format!("vnics[{index}]")).map_err(|other| conflict("name", taken(&vnic.name, &other)))?;
            known(&vnic.device).map_err(|problem| conflict("device", problem))?;
            check_station(vnic.mac).map_err(|problem| conflict("mac", problem))?;
            once(&mut macs, (&vnic.device, vnic.mac), vnic.name.clone()).map_err(|other| {
                conflict("mac", format!("{} is {other}'s on device {}; one of its own is required", vnic.mac, vnic.device))
            })?;
            if let Some(mtu) = vnic.mtu.filter(|mtu| !(VNIC_MTU_MIN..=VNIC_MTU_MAX).contains(mtu)) {
                return Err(conflict("mtu", format!("{mtu} is not allowed; {VNIC_MTU_MIN}-{VNIC_MTU_MAX} is")));
            }
        }
        let mut targets = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let conflict = |key, problem| Conflict { list: "entries", index, key, problem };
            known(&entry.device).map_err(|problem| conflict("device", problem))?;
            once(&mut targets, (&entry.device, entry.mac), index).map_err(|other| {
                conflict("mac", format!("{} is set on device {} by entries[{other}] already; once is allowed", entry.mac, entry.device))
            })?;
            if let StaticTarget::Reach(to) = &entry.to {
                check_destinations(entry.mac, to).map_err(|problem| conflict("to", problem))?;
            }
        }
        Ok(())
    }

    fn no_device(&self, name: &LinkName) -> String {
        format!("there is no device {name}{}", hint(name.as_str(), self.devices.iter().map(|device| device.name.as_str())))
    }
}

/// Enters `key`, or says who has it.
fn once<K: Eq + Hash, O>(owners: &mut HashMap<K, O>, key: K, owner: O) -> Result<(), O> {
    match owners.insert(key, owner) {
        None => Ok(()),
        Some(other) => Err(other),
    }
}

fn taken(name: &LinkName, other: &str) -> String {
    format!("{name} is the name of {other} already; devices and VNICs each have a name of their own")
}

/// Whether `mac` can be the address of an interface.
fn check_station(mac: Mac) -> Result<(), String> {
    match mac {
        Mac([0, 0, 0, 0, 0, 0]) => Err(format!("{mac} is nobody's address; one that is not all zeros is required")),
        group if group.is_group() => {
            Err(format!("{mac} is a group address; one without the group bit is required, as in 02:08:20:0a:00:01"))
        }
        _ => Ok(()),
    }
}

/// Whether frames can be sent to `ul3`.
pub(crate) fn check_destination(ul3: Ul3) -> Result<(), String> {
    if ul3.ip.is_unspecified() {
        Err(format!("{ul3} is nobody's address; the underlay address of a host is required"))
    } else if ul3.port == Some(0) {
        Err(format!("{ul3}: port 0 is not allowed; 1-65535 is"))
    } else {
        Ok(())
    }
}

fn check_destinations(mac: Mac, to: &[Ul3]) -> Result<(), String> {
    if to.is_empty() {
        return Err("no underlay address is given; at least one is required, or \"drop\"".to_owned());
    }
    if to.len() > 1 && !mac.is_group() {
        return Err(format!("{} underlay addresses for {mac}; only broadcast and multicast can have more than one", to.len()));
    }
    let mut seen = HashMap::new();
    for (index, ul3) in to.iter().enumerate() {
        check_destination(*ul3)?;
        once(&mut seen, ul3, index).map_err(|other| format!("{ul3} is given twice, as number {} and {}", other + 1, index + 1))?;
    }
    Ok(())
}

fn check_property_name(name: &str) -> Result<(), String> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-/".contains(&b);
    if (1..=PROPERTY_NAME_MAX).contains(&name.len()) && name.bytes().all(known) {
        Ok(())
    } else {
        Err(format!(
            "no name of a property; 1 to {PROPERTY_NAME_MAX} lower-case letters, digits, \"_\", \"-\" and \"/\" are, as in vxlan/listen_ip"
        ))
    }
}

#[cfg(test)]
mod tests;
