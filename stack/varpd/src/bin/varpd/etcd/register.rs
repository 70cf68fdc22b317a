//! Where are this host's VNICs? A thread of an instance says it in the store, with what the VNICs themselves say of their inner addresses.

use super::setup::Setup;
use overlay_api::channel::Instance;
use overlay_api::control::Clashes;
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_etcd::{Clash, Client, Config, Layout, Registrar, Registration, Report};
use overlay_varpd::plugin::Host;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use tokio::runtime;

/// Inner addresses of one VNIC that are listened to.
const HEARD_MAX: usize = overlay_etcd::ADDRESSES_MAX;

/// The VNICs of an instance. All are withdrawn when this is dropped.
pub(super) struct Registered {
    registrar: Registrar,
    store: Store,
    voice: Arc<Mutex<Voice>>,
    /// What each VNIC was heard to have: said once.
    heard: Mutex<BTreeMap<Mac, BTreeSet<IpAddr>>>,
}

/// Where and as what VNICs are registered: while that is the same, what is registered stays.
#[derive(Clone, PartialEq, Eq)]
struct Store {
    config: Config,
    layout: Layout,
    vnet: Vni,
    ul3: Ul3,
}

/// What is to be told about the registration, and through whom.
struct Voice {
    host: Host,
    clashes: BTreeMap<Mac, Clash>,
    /// The store cannot be asked.
    is_troubled: bool,
}

impl Voice {
    fn tell(&self) {
        let first = self.clashes.values().next();
        self.host.clash(first.map(|Clash { key, why }| Clashes { count: self.clashes.len(), key: key.clone(), why: why.clone() }));
    }

    fn hear(&mut self, report: Report, ul3: Ul3) {
        let overlay = self.host.name();
        match report {
            Report::Registered(mac) => tracing::info!("etcd for overlay {overlay}: {mac} is registered, at {ul3}"),
            Report::Withdrawn(mac) => tracing::info!("etcd for overlay {overlay}: {mac} is withdrawn"),
            Report::Clash(mac, clash) => {
                tracing::warn!("etcd for overlay {overlay}: {}", clash.why);
                self.clashes.insert(mac, clash);
                self.tell();
            }
            Report::Clear(mac) => {
                tracing::info!("etcd for overlay {overlay}: nothing stands in the way of {mac} any more");
                self.clashes.remove(&mac);
                self.tell();
            }
            Report::Trouble(Some(error)) => {
                self.is_troubled = true;
                tracing::warn!("etcd for overlay {overlay}: VNICs cannot be registered: {error}");
            }
            Report::Trouble(None) => {
                self.is_troubled = false;
                tracing::info!("etcd for overlay {overlay}: VNICs can be registered again");
            }
            Report::Settled => {}
        }
    }
}

impl Registered {
    /// Starts the thread; none where nothing is to be registered. What one of other properties has `left` stays registered: with its lease
    /// where the store is the same, else until this one has registered all.
    ///
    /// # Errors
    /// The system has no thread left, or the store cannot be asked with these properties.
    pub(super) fn start(setup: &Setup, instance: &Instance, host: &Host, left: Option<Self>) -> io::Result<Option<Self>> {
        if !setup.registers {
            return Ok(None);
        }
        let overlay = host.name();
        let Some(ul3) = instance.ul3 else {
            tracing::warn!(
                "etcd for overlay {overlay}: VNICs are not registered: it listens at all addresses, and which one others reach is not known"
            );
            return Ok(None);
        };
        let store = Store { config: setup.config.clone(), layout: setup.layout.clone(), vnet: setup.vnet, ul3 };
        let mut before = match left {
            // One that is in trouble begins anew, with what the files of its properties have now.
            Some(left) if left.store == store && !voice(&left.voice).is_troubled => {
                left.go_on(instance, host);
                return Ok(Some(left));
            }
            other => other.filter(|_| !instance.vnics.is_empty()),
        };
        let known = before.as_ref().map(|left| left.heard().clone()).unwrap_or_default();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let client = Client::new(&setup.config).map_err(io::Error::other)?;
        drop(entered);
        let shared = Arc::new(Mutex::new(Voice { host: host.clone(), clashes: BTreeMap::new(), is_troubled: false }));
        let told = Arc::clone(&shared);
        let report = move |report| {
            if matches!(report, Report::Settled | Report::Trouble(Some(_))) {
                // Under a lease of its own: what this one has taken over from it stays.
                drop(before.take());
            }
            voice(&told).hear(report, ul3);
        };
        let (registrar, registration) = Registration::new(client, setup.layout.clone(), setup.vnet, ul3, report);
        Builder::new().name("register".to_owned()).spawn(move || runtime.block_on(registration.run()))?;
        let registered = Self { registrar, store, voice: shared, heard: Mutex::default() };
        instance.vnics.iter().for_each(|vnic| registered.vnic(vnic.mac, true));
        // A VNIC says once for long what it has.
        known.into_iter().for_each(|(mac, ips)| ips.into_iter().for_each(|ip| registered.claim(mac, ip)));
        Ok(Some(registered))
    }

    /// Goes on for an instance with other properties.
    fn go_on(&self, instance: &Instance, host: &Host) {
        {
            let mut voice = voice(&self.voice);
            voice.host = host.clone();
            voice.tell();
        }
        let now: BTreeSet<Mac> = instance.vnics.iter().map(|vnic| vnic.mac).collect();
        let had: BTreeSet<Mac> = self.heard().keys().copied().collect();
        had.difference(&now).for_each(|mac| self.vnic(*mac, false));
        now.difference(&had).for_each(|mac| self.vnic(*mac, true));
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

    /// Who has this MAC says of itself that it has this inner address.
    pub(super) fn claim(&self, mac: Mac, ip: IpAddr) {
        // Only a VNIC of ours is believed, and only so many addresses.
        let is_new = self.heard().get_mut(&mac).is_some_and(|ips| ips.len() < HEARD_MAX && ips.insert(ip));
        if is_new {
            self.registrar.claim(mac, ip);
        }
    }
}

fn voice(voice: &Mutex<Voice>) -> MutexGuard<'_, Voice> {
    voice.lock().unwrap_or_else(PoisonError::into_inner)
}
