//! How is varpd, and how are its instances? The JSON of its control socket.
//!
//! ```text
//!  GET  /v1/status                     VarpdStatus
//!  GET  /v1/plugins                    PluginStatus, a list
//!  GET  /v1/instances[/NAME]           InstanceStatus
//!  POST /v1/instances/NAME/reload      InstanceStatus
//!  GET  /v1/log    PUT /v1/log         LogSettings
//!  GET  /v1/events                     VarpdEvent, one a line
//! ```

use super::Timestamp;
use crate::channel::{Declaration, PluginInfo, VnicInfo};
use crate::{LinkName, ModuleName};
use overlay_decoder::Vni;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The daemon, as `GET /v1/status` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VarpdStatus {
    /// Its version, as `--version` prints it.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub since: Timestamp,
    /// The connection to overlayd.
    pub overlayd: OverlaydLink,
    /// Instances that there are.
    pub instances: usize,
    /// Those of them that do not do what they should.
    pub degraded: usize,
    /// What is logged.
    pub log: LogLevel,
    /// Calls that were refused because whoever made them may not change anything.
    pub refused_calls: u64,
}

/// A connection to overlayd, or why there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OverlaydLink {
    /// Whether there is one.
    pub connected: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
    /// Overlayd's version, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Connections that there have been.
    pub connections: u64,
}

/// A plugin that overlays can name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PluginStatus {
    /// Its name, as in `create-overlay -s NAME`.
    pub name: ModuleName,
    /// Whether overlayd does it alone: no instance of it is ever asked for.
    pub in_overlayd: bool,
    /// Whether it has destinations of an address and a port (VXLAN, Geneve).
    pub with_port: bool,
    /// Whether it has destinations of an address alone (NVGRE).
    pub without_port: bool,
    /// Its properties.
    pub properties: Vec<Declaration>,
}

impl From<PluginInfo> for PluginStatus {
    fn from(info: PluginInfo) -> Self {
        let PluginInfo { name, with_port, without_port, properties } = info;
        Self { name, in_overlayd: false, with_port, without_port, properties }
    }
}

/// In which state an instance is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// It is being started; lookups wait.
    Starting,
    /// It answers as it should.
    Up,
    /// It answers, but not as it should.
    Degraded,
    /// It did not start: its lookups are answered with drop.
    Failed,
}

impl InstanceState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Up, Self::Degraded, Self::Failed];

    /// One word, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An instance of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// The overlay.
    pub overlay: LinkName,
    /// The plugin.
    pub plugin: ModuleName,
    /// The overlay's encapsulation.
    pub encapsulation: ModuleName,
    /// The overlay's virtual network.
    pub vnetid: Vni,
    /// How it is.
    pub state: InstanceState,
    /// Since when.
    pub since: Timestamp,
    /// Why it is degraded or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plugin's properties that were set.
    pub properties: BTreeMap<String, String>,
    /// The overlay's VNICs.
    pub vnics: Vec<VnicInfo>,
    /// Destinations that it knows; none if it cannot say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// What others have in the mapping that this host would write there; absent where nothing is. The instance is none the worse for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clashes: Option<Clashes>,
    /// What it has done since it started.
    pub counters: InstanceCounters,
}

/// VNICs that are not registered as they should, because somebody else's entry stands in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Clashes {
    /// VNICs that it concerns.
    pub count: usize,
    /// The key that is somebody else's: of the first of them, in the order of MACs.
    pub key: String,
    /// What is not registered, and whose the key is: a sentence.
    pub why: String,
}

impl fmt::Display for Clashes {
    /// `2 clashes; first 02:08:20:0a:00:01 is not registered: its entry is written by hand, to 10.0.0.9, and stays (/overlay/..)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, key, why } = self;
        match count {
            1 => write!(f, "1 clash: {why} ({key})"),
            _ => write!(f, "{count} clashes; the first: {why} ({key})"),
        }
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident,)+) => {
        /// What an instance has done since it started.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct InstanceCounters {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl InstanceCounters {
            /// Name and meaning of all of them, in their order.
            pub const NAMES: &[(&'static str, &'static str)] = &[$((stringify!($field), concat!($($doc),+).trim_ascii()),)+];

            /// All of them, in the order of [`InstanceCounters::NAMES`].
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Lookups that it was asked.
    lookups,
    /// Lookups answered with destinations.
    reached,
    /// Lookups answered with drop.
    dropped,
    /// Lookups answered with a frame for whoever asked.
    injected,
    /// Lookups answered with a frame to be sent instead.
    resent,
    /// Lookups left to overlayd's time limit: withdrawn, or nothing was known yet that could be answered from.
    abandoned,
    /// Lookups that the plugin lost; drop was said in its place.
    missing,
    /// Answers of the plugin that came a second time or after its deadline, and have no effect.
    late,
}

/// How much is logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What does not work.
    Error,
    /// And what may not.
    Warn,
    /// And what happens now and then.
    Info,
    /// And what happens often.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// One word, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What is logged: the body of `PUT /v1/log`, and the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How much.
    pub level: LogLevel,
}

/// Something that happened, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VarpdEvent {
    /// When.
    pub timestamp: Timestamp,
    /// What; its keys stand beside the time's.
    #[serde(flatten)]
    pub what: VarpdHappening,
}

/// What happened. The key `event` says which of these it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum VarpdHappening {
    /// The connection to overlayd came or went.
    Connection {
        /// Whether there is one now.
        connected: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An instance was started.
    InstanceStarted {
        /// Of which overlay.
        overlay: LinkName,
        /// Of which plugin.
        plugin: ModuleName,
    },
    /// An instance has ended.
    InstanceStopped {
        /// Of which overlay.
        overlay: LinkName,
        /// Of which plugin.
        plugin: ModuleName,
    },
    /// An instance does not do what it should, or does again.
    InstanceState {
        /// Of which overlay.
        overlay: LinkName,
        /// Of which plugin.
        plugin: ModuleName,
        /// Why it does not; none if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What an instance knows has changed.
    Changed {
        /// Of which overlay.
        overlay: LinkName,
        /// Of which plugin.
        plugin: ModuleName,
        /// How many destinations are elsewhere, new or gone.
        changes: usize,
    },
    /// So much is logged from now on.
    Log {
        /// How much.
        level: LogLevel,
    },
    /// This reader was too slow: so many events before the next one are not shown to it.
    Missed {
        /// How many.
        missed: u64,
    },
}
