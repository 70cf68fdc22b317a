//! Where are this host's VNICs? A thread of an instance says it in the store, with the inner addresses that their interfaces have, and those
//! that the VNICs themselves say are theirs.

use super::setup::Setup;
use overlay_api::channel::{Instance, VnicInfo};
use overlay_api::control::Clashes;
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_etcd::{Clash, Client, Config, Layout, Registrar, Registration, Report};
use overlay_varpd::plugin::Host;
use overlay_varpd::proxy::is_of_a_station;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use tokio::runtime;

/// Inner addresses of one VNIC that are registered.
const KNOWN_MAX: usize = overlay_etcd::ADDRESSES_MAX;

/// The VNICs of an instance. All are withdrawn when this is dropped.
pub(super) struct Registered {
    registrar: Registrar,
    store: Store,
    voice: Arc<Mutex<Voice>>,
    /// What each VNIC has.
    known: Mutex<BTreeMap<Mac, Known>>,
}

/// The inner addresses of a VNIC.
#[derive(Clone, Default)]
struct Known {
    /// All: what it was heard to say and what its interface has. Each is told once.
    ips: BTreeSet<IpAddr>,
    /// What its interface has.
    interface: BTreeSet<IpAddr>,
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

impl Known {
    /// Whether an address is new, and one of not too many.
    fn add(&mut self, ip: IpAddr) -> bool {
        self.ips.len() < KNOWN_MAX && self.ips.insert(ip)
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
        let known = before.as_ref().map(|left| left.known().clone()).unwrap_or_default();
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
        let registered = Self { registrar, store, voice: shared, known: Mutex::default() };
        for vnic in &instance.vnics {
            registered.vnic(vnic, true);
            // A VNIC says once for long what it has; what its interface had and has no more is not of it.
            if let Some(Known { ips, interface }) = known.get(&vnic.mac) {
                ips.difference(interface).for_each(|ip| registered.claim(vnic.mac, *ip));
            }
        }
        Ok(Some(registered))
    }

    /// Goes on for an instance with other properties.
    fn go_on(&self, instance: &Instance, host: &Host) {
        {
            let mut voice = voice(&self.voice);
            voice.host = host.clone();
            voice.tell();
        }
        let had: BTreeSet<Mac> = self.known().keys().copied().collect();
        had.iter().filter(|mac| !instance.vnics.iter().any(|vnic| vnic.mac == **mac)).for_each(|mac| self.withdraw(*mac));
        for vnic in &instance.vnics {
            if had.contains(&vnic.mac) {
                self.addresses(vnic);
            } else {
                self.vnic(vnic, true);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Mac, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A VNIC came or went.
    pub(super) fn vnic(&self, vnic: &VnicInfo, there: bool) {
        if !there {
            return self.withdraw(vnic.mac);
        }
        self.known().entry(vnic.mac).or_default();
        self.registrar.vnic(vnic.mac, true);
        self.addresses(vnic);
    }

    fn withdraw(&self, mac: Mac) {
        self.known().remove(&mac);
        self.registrar.vnic(mac, false);
    }

    /// The interface of a VNIC has these inner addresses. What it has lost is the VNIC's no more, until that is heard to say it again.
    pub(super) fn addresses(&self, vnic: &VnicInfo) {
        let now: BTreeSet<IpAddr> = vnic.addresses.iter().copied().filter(|ip| is_of_a_station(*ip)).collect();
        let mut all = self.known();
        let Some(known) = all.get_mut(&vnic.mac) else { return };
        let before = std::mem::replace(&mut known.interface, now.clone());
        for gone in before.difference(&now) {
            known.ips.remove(gone);
            self.registrar.unclaim(vnic.mac, *gone);
        }
        for ip in now {
            if known.add(ip) {
                self.registrar.claim(vnic.mac, ip);
            }
        }
    }

    /// Who has this MAC says of itself that it has this inner address.
    pub(super) fn claim(&self, mac: Mac, ip: IpAddr) {
        // Only a VNIC of ours is believed, and only so many addresses.
        if self.known().get_mut(&mac).is_some_and(|known| known.add(ip)) {
            self.registrar.claim(mac, ip);
        }
    }
}

fn voice(voice: &Mutex<Voice>) -> MutexGuard<'_, Voice> {
    voice.lock().unwrap_or_else(PoisonError::into_inner)
}
