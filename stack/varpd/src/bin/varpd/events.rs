//! What happens in the daemon, for whoever watches it: since when each instance is as it is, and a line for each event.

use overlay_api::control::{Timestamp, VarpdEvent, VarpdHappening};
use overlay_api::{LinkName, ModuleName};
use overlay_varpd::plugin::{Happening, Observer};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::broadcast;

/// Events that a slow reader may be behind.
const ROOM: usize = 1024;

/// What has happened.
#[derive(Debug)]
pub(crate) struct Journal {
    events: broadcast::Sender<VarpdEvent>,
    since: Mutex<BTreeMap<LinkName, Timestamp>>,
}

impl Journal {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { events: broadcast::channel(ROOM).0, since: Mutex::default() }
    }

    /// Tells who listens.
    pub(crate) fn tell(&self, what: VarpdHappening) -> Timestamp {
        let timestamp = Timestamp::from(SystemTime::now());
        // Nobody listening is no failure.
        let _ = self.events.send(VarpdEvent { timestamp, what });
        timestamp
    }

    /// What happens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<VarpdEvent> {
        self.events.subscribe()
    }

    /// Since when an overlay's instance is as it is; now if nothing is known.
    pub(crate) fn since(&self, overlay: &LinkName) -> Timestamp {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get(overlay).copied().unwrap_or_else(|| SystemTime::now().into())
    }
}

impl Observer for Journal {
    fn happened(&self, overlay: &LinkName, plugin: &ModuleName, what: Happening<'_>) {
        let (overlay, plugin) = (overlay.clone(), plugin.clone());
        let name = overlay.clone();
        let timestamp = self.tell(match what {
            Happening::Started => VarpdHappening::InstanceStarted { overlay, plugin },
            Happening::Stopped => VarpdHappening::InstanceStopped { overlay, plugin },
            Happening::State(reason) => VarpdHappening::InstanceState { overlay, plugin, reason: reason.map(str::to_owned) },
            Happening::Changed(changes) => VarpdHappening::Changed { overlay, plugin, changes },
        });
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Happening::Stopped => drop(since.remove(&name)),
            Happening::Started | Happening::State(_) => drop(since.insert(name, timestamp)),
            Happening::Changed(_) => {}
        }
    }
}
