//! How is the daemon?

use super::{Counters, Timestamp};
use crate::ModuleName;
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
    /// Calls that were refused because whoever made them may not change anything.
    pub refused_calls: u64,
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
