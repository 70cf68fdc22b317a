//! How is the daemon?

use super::{Counters, Timestamp};
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
    /// What was counted for no overlay: virtual networks that nobody has, ports that were gone.
    pub counters: Counters,
    /// Calls that were refused because whoever made them may not change anything.
    pub refused_calls: u64,
}

/// Who answers lookups.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answerer {
    /// Whether one is connected.
    pub attached: bool,
    /// Why not; none while one is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it has been so.
    pub since: Timestamp,
}
