//! How is a plugin asked that is a shared object? Over a socket, as overlayd asks varpd: it is in a process of its own.
//!
//! ```text
//!  Instances ── lookup ──► Shared: what is open, until when ──► process: varpd --host FILE ──► the plugin
//!      ▲                      │ answers, the first of each; second and late ones are counted   │ crashes, hangs
//!      └───────── Reply ◄─────┘ drop at the deadline                                           ▼
//!                               keeper: starts it again, its instances, what is open   ◄── how it ended
//! ```
//!
//! Nothing of a plugin reaches the others: not its memory, not its waiting, not its end.

mod ended;
mod folder;
mod keeper;
mod log;
mod shared;

pub(crate) use folder::{check_file, check_folder, check_name, load_all};

use crate::flags::Flags;
use overlay_api::Lookup;
use overlay_api::channel::{Instance, PluginInfo, VnicInfo};
use overlay_api::{DeviceId, Paths};
use overlay_varpd::plugin::{Answerer, Host, Plugin, Reply};
use shared::Shared;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What all shared objects have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    /// How long a lookup may take; a call, twice that.
    pub(crate) deadline: Duration,
    /// Where plugins keep what they save; none where nothing is kept.
    pub(crate) cache: Option<PathBuf>,
}

impl Settings {
    /// As the flags have it, for the daemon.
    pub(crate) fn of(flags: &Flags) -> Self {
        let cache = Paths::chosen(flags.root.clone(), None).caches();
        Self { cache: Some(cache), ..Self::of_question(flags) }
    }

    /// The same for who only asks: what a daemon keeps is none of its business.
    pub(crate) fn of_question(flags: &Flags) -> Self {
        Self { deadline: Duration::from_millis(flags.deadline), cache: None }
    }
}

/// A plugin that is a shared object.
pub(crate) struct Remote {
    info: PluginInfo,
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Remote {
    /// Starts its process.
    ///
    /// # Errors
    /// A sentence: it cannot be loaded, or what it declares cannot be.
    pub(crate) fn start(path: &Path, settings: &Settings) -> Result<Arc<Self>, String> {
        let shared = Arc::new(Shared::new(path, settings));
        let (info, keeper) = keeper::start(&shared)?;
        Ok(Arc::new(Self { info, shared, keeper: Mutex::new(Some(keeper)) }))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Ends its process: its instances may save what they know.
    pub(crate) fn end(&self) {
        self.shared.stop();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A keeper that panicked has ended, too.
        drop(keeper.map(JoinHandle::join));
    }
}

impl Plugin for Remote {
    fn info(&self) -> PluginInfo {
        self.info.clone()
    }

    fn verify(&self, instance: &Instance) -> Result<(), String> {
        self.shared.verify(instance)
    }

    fn start(&self, instance: &Instance, host: Host) -> Result<Box<dyn Answerer>, String> {
        let device = self.shared.seat(instance, host);
        Ok(Box::new(Seated { device, shared: Arc::clone(&self.shared) }))
    }
}

/// An instance.
struct Seated {
    device: DeviceId,
    shared: Arc<Shared>,
}

impl Answerer for Seated {
    fn lookup(&self, lookup: &Lookup, reply: Reply) {
        self.shared.ask(self.device, lookup, reply);
    }

    fn vnic(&self, vnic: &VnicInfo, there: bool) {
        self.shared.vnic(self.device, vnic, there);
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.shared.unseat(self.device);
    }
}
