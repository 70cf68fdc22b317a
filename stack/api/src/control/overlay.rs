//! Which overlays are there, and how are they?

use super::Counters;
use super::property::texts;
use crate::{LinkName, ModuleName};
use overlay_decoder::{Ul3, Vni};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How an overlay is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlayState {
    /// All is well.
    Up,
    /// It passes frames, but something is missing: nobody answers lookups, or the plugin says so.
    Degraded,
    /// It passes no frames: its underlay is not open.
    Down,
}

impl OverlayState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Up, Self::Degraded, Self::Down];

    /// The name: one word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for OverlayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An overlay device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overlay {
    /// Its name.
    pub name: LinkName,
    /// Its number in probes; a new one after a restart of the daemon.
    pub id: u32,
    /// How frames are put on the wire: `vxlan`, `geneve`, `nvgre`.
    pub encapsulation: ModuleName,
    /// Where frames go: `direct`, `files`, `etcd` or a plugin.
    pub search: ModuleName,
    /// The virtual network.
    pub vnetid: Vni,
    /// Largest packet that a frame carries behind its Ethernet header and VLAN tags, in bytes.
    pub mtu: u32,
    /// How it is.
    pub state: OverlayState,
    /// Why it is degraded or down; none while it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Nanoseconds for which it has been so; none while it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ns: Option<u64>,
    /// Where it listens for datagrams.
    pub listen: Ul3,
    /// How many VNICs it has.
    pub vnics: usize,
    /// How many entries its target table has; 0 for a direct one.
    pub targets: usize,
    /// Bytes of frames that wait for answers.
    pub pending_bytes: u64,
    /// Lookups that are not answered yet.
    pub lookups: u64,
    /// How long answers to its lookups took.
    #[serde(default)]
    pub waits: Waits,
    /// What was counted since it was made, or since the daemon started.
    pub counters: Counters,
    /// Whether it is gone after a restart of the daemon.
    pub temporary: bool,
}

/// How long answers to lookups took: counts since the overlay was made, shares of the last one to two minutes. Lookups that ran out of time
/// are not in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Waits {
    /// Answers.
    pub answers: u64,
    /// Nanoseconds that they took together.
    pub sum_ns: u64,
    /// Half of the answers of the last minutes took at most so many nanoseconds (at most an eighth too large); none if there were none, as
    /// the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<u64>,
    /// 99 of 100 of them took at most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<u64>,
    /// The slowest took so many; exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<u64>,
}

/// How long the answers of a plugin took, for all overlays that have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PluginWaits {
    /// The plugin.
    pub plugin: ModuleName,
    /// Lookups that are not answered yet.
    pub lookups: u64,
    /// How long its answers took.
    #[serde(flatten)]
    pub waits: Waits,
}

/// An overlay to make: `POST /v1/overlays`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOverlay {
    /// Its name; no other overlay or VNIC has it.
    pub name: LinkName,
    /// `vxlan`, `geneve` or `nvgre`.
    pub encapsulation: ModuleName,
    /// `direct`, `files`, `etcd` or a plugin.
    pub search: ModuleName,
    /// The virtual network.
    pub vnetid: Vni,
    /// What to set, by name, as it would be typed; a number may be a number.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Whether it is gone after a restart of the daemon.
    #[serde(default)]
    pub temporary: bool,
}
