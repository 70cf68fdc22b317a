//! Which VNICs are there, and how are they?

use super::Counters;
use crate::{LinkName, NamespaceName};
use overlay_decoder::Mac;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a VNIC is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VnicState {
    /// Its interface is up.
    Up,
    /// Its interface is there, and set down by whoever has it.
    Down,
    /// Its interface is not there: it could not be made, or its namespace is gone.
    Failed,
}

impl VnicState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Failed];

    /// The name: one word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for VnicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A VNIC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vnic {
    /// Its name, which is its interface's.
    pub name: LinkName,
    /// The overlay that it is on.
    pub overlay: LinkName,
    /// Its address (VL2).
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The network namespace that it is in; none is the daemon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// How it is.
    pub state: VnicState,
    /// Why it failed; none otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was counted since it was made, or since the daemon started.
    pub counters: Counters,
    /// Whether it is gone after a restart of the daemon.
    pub temporary: bool,
}

/// A VNIC to make: `POST /v1/vnics`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVnic {
    /// Its name; no other overlay or VNIC has it.
    pub name: LinkName,
    /// The overlay that it shall be on.
    pub overlay: LinkName,
    /// Its address (VL2); none lets the daemon choose one, which stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its MTU in bytes; none is the overlay's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The network namespace that it shall be in; none is the daemon's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// Whether it is gone after a restart of the daemon.
    #[serde(default)]
    pub temporary: bool,
}
