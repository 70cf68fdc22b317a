//! Where are this host's VNICs? A thread of an instance says it in the store, with what the VNICs themselves say of their inner addresses.

use super::setup::Setup;
use overlay_api::channel::Instance;
use overlay_decoder::Mac;
use overlay_etcd::{Client, Registrar, Registration, Report};
use overlay_varpd::plugin::Host;
use overlay_varpd::proxy::claimed;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use tokio::runtime;

/// Inner addresses of one VNIC that are listened to.
const HEARD_MAX: usize = overlay_etcd::ADDRESSES_MAX;

/// The VNICs of an instance. All are withdrawn when this is dropped.
pub(super) struct Registered {
    registrar: Registrar,
    /// What each VNIC was heard to have: said once.
    heard: Mutex<BTreeMap<Mac, BTreeSet<IpAddr>>>,
}

impl Registered {
    /// Starts the thread; none where nothing is to be registered.
    ///
    /// # Errors
    /// The system has no thread left, or the store cannot be asked with these properties.
    pub(super) fn start(setup: &Setup, instance: &Instance, host: &Host) -> io::Result<Option<Self>> {
        if !setup.registers {
            return Ok(None);
        }
        let overlay = host.name().clone();
        let Some(ul3) = instance.ul3 else {
            tracing::warn!(
                "etcd for overlay {overlay}: VNICs are not registered: it listens at all addresses, and which one others reach is not known"
            );
            return Ok(None);
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let client = Client::new(&setup.config).map_err(io::Error::other)?;
        drop(entered);
        let report = move |report| match report {
            Report::Registered(mac) => tracing::info!("etcd for overlay {overlay}: {mac} is registered, at {ul3}"),
            Report::Withdrawn(mac) => tracing::info!("etcd for overlay {overlay}: {mac} is withdrawn"),
            Report::Clash(_, sentence) => tracing::warn!("etcd for overlay {overlay}: {sentence}"),
            Report::Trouble(Some(error)) => tracing::warn!("etcd for overlay {overlay}: VNICs cannot be registered: {error}"),
            Report::Trouble(None) => tracing::info!("etcd for overlay {overlay}: VNICs can be registered again"),
        };
        let (registrar, registration) = Registration::new(client, setup.layout.clone(), setup.vnet, ul3, report);
        Builder::new().name("register".to_owned()).spawn(move || runtime.block_on(registration.run()))?;
        let registered = Self { registrar, heard: Mutex::default() };
        instance.vnics.iter().for_each(|vnic| registered.vnic(vnic.mac, true));
        Ok(Some(registered))
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<Mac, BTreeSet<IpAddr>>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A VNIC came or went.
    pub(super) fn vnic(&self, mac: Mac, there: bool) {
        if there {
            self.heard().entry(mac).or_default();
        } else {
            self.heard().remove(&mac);
        }
        self.registrar.vnic(mac, there);
    }

    /// A VNIC has sent this frame, which may say which inner address it has.
    pub(super) fn hear(&self, frame: &[u8]) {
        let Some((mac, ip)) = claimed(frame) else { return };
        // Only a VNIC of ours is believed, and only so many addresses.
        let is_new = self.heard().get_mut(&mac).is_some_and(|ips| ips.len() < HEARD_MAX && ips.insert(ip));
        if is_new {
            self.registrar.claim(mac, ip);
        }
    }
}
