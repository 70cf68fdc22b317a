//! The plugin `etcd`: the mapping is in a store that many hosts share, and is followed.
//!
//! ```text
//!  etcd ──► follow: load, then watch ──► Table: Index ──► lookups, from whatever holds now
//!              │ ▲                         │ miss ──► point read of the store
//!              ▼ │                         └ change ──► overlayd: set, invalidate; announcements for VNICs
//!           snapshot: what was known last, for a start without the store
//! ```
//!
//! Each instance has a thread of its own: a network of a million entries that is read anew keeps no other waiting.

mod follow;
mod index;
mod register;
mod setup;
mod snapshot;
mod table;

use follow::Follower;
use overlay_api::channel::{Instance, PluginInfo, VnicInfo};
use overlay_api::{Lookup, ModuleName};
use overlay_varpd::plugin::{Answerer, Host, Plugin, Reply};
use overlay_varpd::proxy::claimed;
use register::Registered;
use setup::Setup;
use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::Table;

/// The name of the plugin.
const NAME: &str = "etcd";

/// The plugin.
pub(crate) struct Etcd {
    name: ModuleName,
    /// Where snapshots are kept.
    cache: PathBuf,
}

impl Etcd {
    /// A plugin that keeps snapshots in this folder.
    ///
    /// # Errors
    /// None: its name is a name.
    pub(crate) fn new(cache: PathBuf) -> io::Result<Self> {
        Ok(Self { name: NAME.parse().map_err(io::Error::other)?, cache })
    }
}

impl Plugin for Etcd {
    fn info(&self) -> PluginInfo {
        PluginInfo { name: self.name.clone(), with_port: true, without_port: true, properties: setup::declarations() }
    }

    fn verify(&self, instance: &Instance) -> Result<(), String> {
        Setup::of(instance, &self.cache).map(|_| ())
    }

    fn start(&self, instance: &Instance, host: Host) -> Result<Box<dyn Answerer>, String> {
        self.start_with(instance, host, None)
    }

    fn go_on(&self, instance: &Instance, host: Host, left: Box<dyn Any + Send>) -> Result<Box<dyn Answerer>, String> {
        self.start_with(instance, host, left.downcast().ok().map(|left| *left))
    }
}

impl Etcd {
    /// Starts an instance; `left` is what one of the same overlay had registered.
    fn start_with(&self, instance: &Instance, host: Host, left: Option<Registered>) -> Result<Box<dyn Answerer>, String> {
        let setup = Setup::of(instance, &self.cache)?;
        let registered =
            Registered::start(&setup, instance, &host, left).map_err(|error| format!("its VNICs cannot be registered: {error}"))?;
        let (table, misses) = Table::new(host, instance.with_port);
        let follower = Follower::start(setup, &table, misses).map_err(|error| format!("its thread cannot be started: {error}"))?;
        Ok(Box::new(Served { table, follower, registered: Mutex::new(registered) }))
    }
}

/// An instance.
struct Served {
    table: Arc<Table>,
    follower: Follower,
    /// None where VNICs are not registered.
    registered: Mutex<Option<Registered>>,
}

impl Served {
    fn registered(&self) -> MutexGuard<'_, Option<Registered>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answerer for Served {
    fn lookup(&self, lookup: &Lookup, reply: Reply) {
        // Looked for first: lookups of all workers would wait for each other here.
        if let Some((mac, ip)) = claimed(&lookup.frame)
            && let Some(registered) = &*self.registered()
        {
            registered.claim(mac, ip);
        }
        self.table.lookup(lookup, reply);
    }

    fn vnic(&self, vnic: &VnicInfo, there: bool) {
        if let Some(registered) = &*self.registered() {
            registered.vnic(vnic, there);
        }
    }

    fn addresses(&self, vnic: &VnicInfo) {
        if let Some(registered) = &*self.registered() {
            registered.addresses(vnic);
        }
    }

    fn reload(&self) -> Result<(), String> {
        self.follower.read_anew();
        self.table.problem().map_or(Ok(()), Err)
    }

    /// Its VNICs stay where they are: withdrawn and written again they would be nowhere for a moment.
    fn leave(&self) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(self.registered().take()?))
    }

    fn entries(&self) -> Option<u64> {
        self.table.entries()
    }
}
