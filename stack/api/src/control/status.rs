//! How is the daemon?

use super::{Counters, PluginWaits, Timestamp};
use crate::{DropReason, ModuleName};
use overlay_decoder::{Mac, Ul3, Vni};
use serde::{Deserialize, Serialize};

/// A daemon, as `GET /v1/status` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its version, as `--version` prints it.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub since: Timestamp,
    /// Data path threads.
    pub workers: usize,
    /// Who answers lookups.
    pub answerer: Answerer,
    /// What was counted since the start: for all overlays, those that are deleted, and for none.
    pub counters: Counters,
    /// What of that was counted for no overlay: virtual networks that nobody has, ports that were gone.
    #[serde(default)]
    pub unattributed: Counters,
    /// The last example of what was dropped, for each reason that anything was dropped for; in the order of the reasons.
    #[serde(default)]
    pub examples: Vec<DropExample>,
    /// Calls that were refused because whoever made them may not change anything.
    pub refused_calls: u64,
}

/// Something that was dropped: the last for its reason, or one that was dropped at most a tenth of a second before that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DropExample {
    /// Why.
    pub reason: DropReason,
    /// Nanoseconds since.
    pub age_ns: u64,
    /// The virtual network; none if nothing says which, as the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<Vni>,
    /// The inner source (VL2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Mac>,
    /// The inner destination (VL2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Mac>,
    /// The other end (UL3): who sent it, or who was to get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Ul3>,
    /// Bytes: of the frame, or of the datagram where it came from the underlay.
    pub len: u32,
}

/// Who answers lookups, and what came of it. Counts are since the daemon started, whoever answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Answerer {
    /// Whether one is connected.
    pub attached: bool,
    /// Why not; none while one is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it has been so.
    pub since: Timestamp,
    /// Its name, as it says; none while none is connected, as the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The plugins that it has.
    #[serde(default)]
    pub plugins: Vec<ModuleName>,
    /// Connections that were refused: a foreign user, no greeting, another version, one too many.
    #[serde(default)]
    pub refused: u64,
    /// How long answers took, for each plugin that an overlay asks.
    #[serde(default)]
    pub waits: Vec<PluginWaits>,
    /// Lookups that were sent to it.
    #[serde(default)]
    pub lookups: u64,
    /// Answers that came.
    #[serde(default)]
    pub answers: u64,
    /// Those of them that came when nobody asked any more, or never had.
    #[serde(default)]
    pub late_answers: u64,
    /// What it said that could not be used: an address that the overlay cannot reach, an overlay that there is not.
    #[serde(default)]
    pub unusable: u64,
    /// Connections that ended because something was said that is not of the protocol.
    #[serde(default)]
    pub protocol_errors: u64,
}
