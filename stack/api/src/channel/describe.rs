//! What is told in JSON: who talks, which plugins there are, which instances are wanted. Keys that are not known here are ignored.

use crate::{Access, DeviceId, Kind, LinkName, ModuleName, Properties, PropertySpec};
use overlay_decoder::{Mac, Ul3, Vni};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who wants to answer lookups.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The versions of the protocol that it speaks.
    pub versions: Vec<u32>,
    /// Its name, for logs.
    pub name: String,
    /// Its version, for logs.
    #[serde(default)]
    pub version: String,
    /// The plugins that it has.
    #[serde(default)]
    pub plugins: Vec<PluginInfo>,
}

/// The connection is taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that is spoken from now on.
    pub version: u32,
    /// Overlayd's own version, for logs.
    pub overlayd: String,
    /// Milliseconds that a lookup waits for its answer.
    pub timeout_ms: u64,
    /// Milliseconds of silence after which a varpd counts as gone.
    pub silence_ms: u64,
}

/// A lookup plugin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Its name, as in `create-overlay -s NAME`.
    pub name: ModuleName,
    /// Whether it has destinations of an address and a port (VXLAN, Geneve).
    #[serde(default = "yes")]
    pub with_port: bool,
    /// Whether it has destinations of an address alone (NVGRE).
    #[serde(default = "yes")]
    pub without_port: bool,
    /// Its properties; their names begin with the plugin's and `/`.
    #[serde(default)]
    pub properties: Vec<Declaration>,
}

impl PluginInfo {
    /// The declarations of its properties.
    #[must_use]
    pub fn specs(&self) -> Vec<PropertySpec> {
        self.properties.iter().map(Declaration::spec).collect()
    }

    /// Whether an instance fits what the plugin declares: the kind of destination, the names and values of properties, those that are
    /// required.
    ///
    /// # Errors
    /// A sentence with what was found and what is allowed.
    pub fn check(&self, instance: &Instance) -> Result<(), String> {
        let (has, needs) =
            if instance.with_port { (self.with_port, "an address and a port") } else { (self.without_port, "an address alone") };
        if !has {
            let other = if instance.with_port { "an address alone" } else { "an address and a port" };
            let encapsulation = &instance.encapsulation;
            return Err(format!("{encapsulation} has destinations of {needs}; plugin {} has those of {other}", self.name));
        }
        let specs = self.specs();
        let mut set = Properties::new();
        for (name, text) in &instance.properties {
            set.set(&specs, name, text).map_err(|error| error.to_string())?;
        }
        set.complete(&specs).map_err(|error| error.to_string())
    }
}

const fn yes() -> bool {
    true
}

/// The declaration of a plugin's property.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Declaration {
    /// `plugin/name`.
    pub name: String,
    /// What values it takes.
    #[serde(flatten)]
    pub kind: DeclaredKind,
    /// Whether an instance cannot start without it.
    #[serde(default)]
    pub required: bool,
    /// The value without being set, as it would be typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it does: one or two sentences.
    #[serde(default)]
    pub doc: String,
}

/// What values a plugin's property takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum DeclaredKind {
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
    Choice {
        /// The words.
        words: Vec<String>,
    },
    /// Text of at most so many bytes.
    Text {
        /// Largest length in bytes.
        max: usize,
    },
}

impl Declaration {
    /// The same for whoever shows and checks properties. A plugin's property can change on the running overlay: the instance is told.
    #[must_use]
    pub fn spec(&self) -> PropertySpec {
        let kind = match &self.kind {
            DeclaredKind::Uint { min, max } => Kind::Uint { min: *min, max: *max },
            DeclaredKind::Ip => Kind::Ip,
            DeclaredKind::Choice { words } => Kind::Choice(words.iter().cloned().map(Cow::Owned).collect()),
            DeclaredKind::Text { max } => Kind::Text { max: *max },
        };
        PropertySpec {
            name: Cow::Owned(self.name.clone()),
            kind,
            access: Access::Live,
            required: self.required,
            default: self.default.clone().map(Cow::Owned),
            doc: Cow::Owned(self.doc.clone()),
        }
    }
}

/// An instance of a plugin: the one that answers an overlay's lookups.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The overlay. Its number holds as long as the connection does, its name longer.
    pub device: DeviceId,
    /// The overlay's name.
    pub name: LinkName,
    /// Name of the plugin.
    pub search: ModuleName,
    /// Name of the encapsulation.
    pub encapsulation: ModuleName,
    /// Whether its destinations have a port.
    pub with_port: bool,
    /// The virtual network.
    pub vnetid: Vni,
    /// Largest packet that a frame of the overlay carries.
    pub mtu: u32,
    /// Where other hosts reach the overlay: the address that it listens at. None if it listens at all of the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ul3: Option<Ul3>,
    /// The plugin's properties that were set, as typed.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// The VNICs that there are.
    #[serde(default)]
    pub vnics: Vec<VnicInfo>,
}

/// A VNIC of an overlay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VnicInfo {
    /// The overlay.
    pub device: DeviceId,
    /// The VNIC's name.
    pub name: LinkName,
    /// Its address.
    pub mac: Mac,
    /// The inner addresses (VL3) that its interface has on this host, in order; none where it is bridged, or handed to a virtual machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

/// Would this instance start?
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The number that the answer repeats.
    pub token: u64,
    /// The instance; its `device` says nothing, because the overlay may not be there yet.
    pub instance: Instance,
}

/// Whether an instance would start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verified {
    /// The number of the question.
    pub token: u64,
    /// Why not: what was found and what is allowed; none if it would.
    #[serde(default)]
    pub problem: Option<String>,
}

/// The sentence of a refusal.
#[derive(Serialize, Deserialize)]
pub(super) struct Refusal<'a> {
    #[serde(borrow)]
    pub(super) problem: Cow<'a, str>,
}

/// The state of an instance.
#[derive(Serialize, Deserialize)]
pub(super) struct InstanceState {
    pub(super) device: DeviceId,
    pub(super) degraded: Option<String>,
}
