//! The calls of varpd, one function each. `docs/varpd-api.md` says what they do; each fails as [`ClientError`] says.

use crate::{Client, ClientError, Events};
use overlay_api::control::{InstanceStatus, LogLevel, LogSettings, PluginStatus, VarpdEvent, VarpdStatus};
use overlay_api::{LinkName, Paths};
use std::path::PathBuf;

/// A call without a body.
const NOTHING: Option<&()> = None;

/// varpd, to be called. It holds no connection: a daemon that restarts is not noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VarpdClient(Client);

#[allow(clippy::missing_errors_doc, reason = "each fails as the type of its error says")]
impl VarpdClient {
    /// varpd, where it listens by `paths`.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self::at(paths.varpd_socket())
    }

    /// The varpd that listens at `socket`.
    #[must_use]
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self(Client::new("varpd", socket))
    }

    /// How the daemon is.
    pub fn status(&self) -> Result<VarpdStatus, ClientError> {
        self.0.ask("GET", "/v1/status", NOTHING)
    }

    /// The plugins, in the order of their names.
    pub fn plugins(&self) -> Result<Vec<PluginStatus>, ClientError> {
        self.0.ask("GET", "/v1/plugins", NOTHING)
    }

    /// All instances, in the order of their overlays' names.
    pub fn instances(&self) -> Result<Vec<InstanceStatus>, ClientError> {
        self.0.ask("GET", "/v1/instances", NOTHING)
    }

    /// The instance of an overlay.
    pub fn instance(&self, overlay: &LinkName) -> Result<InstanceStatus, ClientError> {
        self.0.ask("GET", &format!("/v1/instances/{overlay}"), NOTHING)
    }

    /// Has an instance look at what it knows anew.
    pub fn reload(&self, overlay: &LinkName) -> Result<InstanceStatus, ClientError> {
        self.0.ask("POST", &format!("/v1/instances/{overlay}/reload"), NOTHING)
    }

    /// How much is logged.
    pub fn log(&self) -> Result<LogLevel, ClientError> {
        self.0.ask::<LogSettings>("GET", "/v1/log", NOTHING).map(|settings| settings.level)
    }

    /// Has that much logged from now on.
    pub fn set_log(&self, level: LogLevel) -> Result<(), ClientError> {
        self.0.ask::<LogSettings>("PUT", "/v1/log", Some(&LogSettings { level })).map(drop)
    }

    /// What happens from now on.
    pub fn events(&self) -> Result<Events<VarpdEvent>, ClientError> {
        self.0.events_of()
    }

    /// All numbers in Prometheus' text format.
    pub fn metrics(&self) -> Result<String, ClientError> {
        self.0.metrics()
    }
}
