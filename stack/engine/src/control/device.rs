//! Which devices, ports and underlays are there? Commands that change them, and the snapshot that workers get afterwards.
//!
//! A command either does all of what it says or nothing, and then says why.

use super::compile::{Compiled, compile, specs_of};
use super::underlay::Place;
use super::{Control, Event, Output};
use crate::config::{DeviceSpec, Limits, Search};
use crate::counters::{Counters, Totals};
use crate::encap::Encapsulation;
use crate::ping::Pings;
use crate::target::{Ring, Route, Table, Targets};
use crate::time::Time;
use crate::toobig::Replies;
use crate::world::{Device, Map, Mode, Port, Underlay, World, sets};
use overlay_api::{Access, DeviceId, DropReason, IdError, Kind, PortId, Properties, PropertyError, PropertySpec, UnderlayId};
use overlay_decoder::{Mac, Ul3};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};

/// Why a command was refused: a sentence. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(String);

impl Refusal {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl From<IdError> for Refusal {
    fn from(error: IdError) -> Self {
        Self(error.to_string())
    }
}

impl From<PropertyError> for Refusal {
    fn from(error: PropertyError) -> Self {
        Self(error.to_string())
    }
}

/// What a device suffers from. The first of them is what is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// The underlay is not open: nothing passes.
    Underlay,
    /// Nobody answers lookups: what is known is still used.
    Answerer,
    /// The plugin says so.
    Plugin,
}

/// What a device suffers from, why, and since when.
pub(super) type Faults = BTreeMap<Fault, (String, Time)>;

/// What is asked of a new port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSpec {
    /// Its name.
    pub name: String,
    /// Its address.
    pub mac: Mac,
    /// Its MTU, at most the device's.
    pub mtu: u32,
}

/// What a device is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceInfo {
    /// Its id.
    pub id: DeviceId,
    /// How it was made, with its properties as they are now.
    pub spec: DeviceSpec,
    /// Its underlay.
    pub underlay: UnderlayId,
    /// Largest packet behind an inner Ethernet header and tags.
    pub mtu: u32,
    /// Why it is degraded and since when; none if it is not.
    pub degraded: Option<(String, Time)>,
    /// Its ports.
    pub ports: Vec<PortInfo>,
    /// Bytes that wait for answers.
    pub pending_bytes: usize,
    /// Lookups that are not answered yet.
    pub lookups: usize,
}

/// What a port is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortInfo {
    /// Its id.
    pub id: PortId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub mac: Mac,
    /// Its MTU.
    pub mtu: u32,
}

/// Frames that wait for answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    pub(super) bytes: usize,
    frames: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, frame: usize) {
        self.bytes += frame;
        self.frames += 1;
    }

    pub(super) fn take(&mut self, frames: usize, bytes: usize) {
        self.bytes -= bytes;
        self.frames -= frames;
    }

    /// Whether a frame of so many bytes may wait, too.
    pub(super) fn has_room(self, frame: usize, limits: &Limits) -> bool {
        self.bytes + frame <= limits.pending_bytes_per_device && self.frames < limits.pending_frames_per_device
    }
}

/// A device, as the control half has it.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) spec: DeviceSpec,
    properties: Properties,
    encapsulation: Arc<dyn Encapsulation>,
    /// What workers see of it.
    pub(super) view: Arc<Device>,
    pub(super) faults: Faults,
    pub(super) queues: HashMap<Mac, super::target::Queue>,
    /// What waits for answers.
    pub(super) waiting: Waiting,
    pub(super) lookups: usize,
    /// How long answers took.
    pub(super) waits: crate::waits::Waits,
    pub(super) ring: Ring,
    routes: HashMap<Route, Weak<Route>>,
    pub(super) ttl_ns: u64,
    pub(super) negative_ttl_ns: u64,
}

impl Machine {
    /// The same route for equal destinations, so that a million entries to a thousand hosts hold a thousand routes.
    pub(super) fn route(&mut self, to: &[Ul3]) -> Arc<Route> {
        // An IPv4 address mapped into IPv6 is an IPv4 address: in the table, on the wire, and when a router reports its path's MTU.
        let to: Route = to.iter().map(|ul3| Ul3 { ip: ul3.ip.to_canonical(), port: ul3.port }).collect();
        if let Some(known) = self.routes.get(&to).and_then(Weak::upgrade) {
            return known;
        }
        if self.routes.len() > 64 && self.routes.len() == self.routes.capacity() {
            self.routes.retain(|_, route| route.strong_count() > 0);
        }
        let route = Arc::new(to.clone());
        self.routes.insert(to, Arc::downgrade(&route));
        route
    }

    pub(super) fn table(&self) -> Option<Arc<Table>> {
        self.view.table().cloned()
    }

    pub(super) fn has_entries(&self) -> bool {
        self.view.table().is_some_and(|table| table.len() > 0)
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.view.counters.iter().for_each(|set| totals.add(set));
        totals
    }

    fn degraded(&self) -> Option<(String, Time)> {
        self.faults.values().next().cloned()
    }
}

impl Control {
    /// All properties that a device with that encapsulation and search has; none for an encapsulation that is not registered.
    #[must_use]
    pub fn property_specs(&self, encapsulation: &str, search: Search) -> Option<Vec<PropertySpec>> {
        let mut specs = specs_of(self.registry.get(encapsulation)?.as_ref(), search);
        // Those that are built in stand in the declaration; here may be more.
        let names = self.registry.names().map(Cow::Borrowed).collect();
        if let Some(spec) = specs.iter_mut().find(|spec| spec.name == "encap") {
            spec.kind = Kind::Choice(Cow::Owned(names));
        }
        Some(specs)
    }

    /// Makes a device. It passes frames as soon as its underlay is open.
    ///
    /// # Errors
    /// A name, encapsulation or property that is wrong or missing; a virtual network that another device has on this underlay.
    pub fn create_device(&mut self, spec: DeviceSpec, now: Time) -> Result<DeviceId, Refusal> {
        if let Some((id, _)) = self.machines.iter().find(|(_, machine)| machine.spec.name == spec.name) {
            return Err(Refusal::new(format!("overlay {}: there is one of that name already (id {id})", spec.name)));
        }
        let Some(encapsulation) = self.registry.get(&spec.encapsulation).cloned() else {
            let known: Vec<_> = self.registry.names().collect();
            return Err(Refusal::new(format!(
                "encapsulation {}: there is none of that name; there are {}",
                spec.encapsulation,
                known.join(", ")
            )));
        };
        let specs = specs_of(encapsulation.as_ref(), spec.search);
        let mut properties = Properties::new();
        for (name, text) in &spec.properties {
            let fixed = specs.iter().any(|spec| spec.name == *name && spec.access == Access::ReadOnly);
            if fixed || name == "vnetid" {
                return Err(PropertyError::new(name, "is given in another way when an overlay is made").into());
            }
            properties.set(&specs, name, text)?;
        }
        properties.set(&specs, "vnetid", &spec.vni.to_string())?;
        let compiled = compile(encapsulation.as_ref(), spec.search, &properties)?;
        self.check_network(None, &encapsulation, &compiled)?;
        let id = self.ids_in_use.devices.next()?;
        let underlay = self.place(&encapsulation, &compiled, now).inspect_err(|_| {
            let _ = self.ids_in_use.devices.free(id);
        })?;
        let table = (spec.search == Search::Dynamic).then(|| Arc::new(Table::new(self.seed ^ u64::from(id.0), compiled.targets.0)));
        if let Some(table) = &table {
            table.trust_since(self.lookups.trusted_since());
        }
        let counters: Arc<[Counters]> = sets(self.writer).into();
        let view = self.view(id, &encapsulation, &compiled, underlay, table, counters, (Arc::default(), Arc::default()), Vec::new());
        let machine = Machine {
            spec,
            properties,
            encapsulation,
            view: Arc::new(view),
            faults: BTreeMap::new(),
            queues: HashMap::new(),
            waiting: Waiting::default(),
            lookups: 0,
            waits: crate::waits::Waits::default(),
            ring: Ring::default(),
            routes: HashMap::new(),
            ttl_ns: compiled.targets.1,
            negative_ttl_ns: compiled.targets.2,
        };
        self.machines.insert(id, machine);
        self.refresh_faults(id);
        self.publish();
        Ok(id)
    }

    /// Deletes a device: what waits in it is dropped and counted.
    ///
    /// # Errors
    /// If there is none, or if it has ports.
    pub fn delete_device(&mut self, id: DeviceId, now: Time) -> Result<(), Refusal> {
        let machine = self.machine(id)?;
        if !machine.view.ports.is_empty() {
            let names: Vec<_> = machine.view.ports.iter().map(|port| &*port.name).collect();
            return Err(Refusal::new(format!("overlay {}: has VNICs: {}; delete them first", machine.spec.name, names.join(", "))));
        }
        // What workers have handed over is in the queue, or was before this call.
        self.handle_all_misses(now);
        self.withdraw_all(id, DropReason::OverlayRemoved);
        let Some(mut machine) = self.machines.remove(&id) else { return Ok(()) };
        let queues = std::mem::take(&mut machine.queues);
        for parcel in queues.into_values().flat_map(|queue| queue.parcels) {
            self.drop_parcel(&machine.view, &parcel, DropReason::OverlayRemoved);
        }
        self.draining.retain(|(device, _), _| *device != id);
        self.retired.merge(&machine.totals());
        let (name, vni) = (machine.spec.name.clone(), machine.view.vni.get());
        overlay_probes::device_state(id.0, vni, &name, state_name(&machine.faults), "deleted", "");
        let underlay = machine.view.underlay;
        drop(machine);
        let _ = self.ids_in_use.devices.free(id);
        self.publish();
        self.leave_place(underlay);
        Ok(())
    }

    /// Changes a property on the running device: counters, ports and target table stay.
    ///
    /// # Errors
    /// If the property or the value is not allowed, cannot be changed, or does not fit the rest.
    pub fn set_property(&mut self, id: DeviceId, name: &str, text: &str, now: Time) -> Result<(), Refusal> {
        self.change_property(id, name, now, |properties, specs| properties.set(specs, name, text))
    }

    /// Lets the default of a property hold again.
    ///
    /// # Errors
    /// As [`set_property`](Self::set_property); and for a property that is required.
    pub fn reset_property(&mut self, id: DeviceId, name: &str, now: Time) -> Result<(), Refusal> {
        self.change_property(id, name, now, |properties, specs| match specs.iter().find(|spec| spec.name == name) {
            Some(_) => {
                properties.reset(name);
                Ok(())
            }
            None => properties.set(specs, name, ""),
        })
    }

    /// The value of a property that holds, as text.
    ///
    /// # Errors
    /// If there is no such device or property.
    pub fn property(&self, id: DeviceId, name: &str) -> Result<Option<String>, Refusal> {
        let machine = self.machine(id)?;
        if name == "encap" {
            return Ok(Some(machine.spec.encapsulation.clone()));
        }
        let specs = specs_of(machine.encapsulation.as_ref(), machine.spec.search);
        let spec = specs.iter().find(|spec| spec.name == name);
        let spec = spec.ok_or_else(|| Refusal::new(format!("property {name}: overlay {} has none of that name", machine.spec.name)))?;
        Ok(machine.properties.effective(spec).map(|value| value.to_string()))
    }

    fn change_property(
        &mut self,
        id: DeviceId,
        name: &str,
        now: Time,
        change: impl FnOnce(&mut Properties, &[PropertySpec]) -> Result<(), PropertyError>,
    ) -> Result<(), Refusal> {
        let machine = self.machine(id)?;
        let specs = specs_of(machine.encapsulation.as_ref(), machine.spec.search);
        if let Some(spec) = specs.iter().find(|spec| spec.name == name && spec.access != Access::Live) {
            return Err(PropertyError::new(name, format!("cannot be changed (PERM {})", spec.access)).into());
        }
        let mut properties = machine.properties.clone();
        change(&mut properties, &specs)?;
        let compiled = compile(machine.encapsulation.as_ref(), machine.spec.search, &properties)?;
        if let Some(port) = machine.view.ports.iter().find(|port| port.mtu > compiled.mtu) {
            let problem = format!("{} is below the MTU of VNIC {}, {}", compiled.mtu, port.name, port.mtu);
            return Err(PropertyError::new("mtu", problem).into());
        }
        let encapsulation = Arc::clone(&machine.encapsulation);
        self.check_network(Some(id), &encapsulation, &compiled)?;
        let old = Arc::clone(&machine.view);
        let table = machine.table();
        let underlay = self.place(&encapsulation, &compiled, now)?;
        let (counters, budgets) = (Arc::clone(&old.counters), (Arc::clone(&old.replies), Arc::clone(&old.pings)));
        let view = self.view(id, &encapsulation, &compiled, underlay, table.clone(), counters, budgets, old.ports.clone());
        if old.mtu != compiled.mtu {
            overlay_probes::device_mtu(id.0, compiled.vni.get(), old.mtu, compiled.mtu, &self.machine(id)?.spec.name);
        }
        if let Some(table) = &table {
            if table.cap() != compiled.targets.0 {
                let (vni, name) = (compiled.vni.get(), &self.machine(id)?.spec.name);
                overlay_probes::target_resize(id.0, vni, table.len() as u64, table.cap(), compiled.targets.0, name);
            }
            table.set_cap(compiled.targets.0);
        }
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.spec.vni = compiled.vni;
            let shown = properties.iter().filter(|(name, _)| *name != "vnetid");
            machine.spec.properties = shown.map(|(name, value)| (name.to_owned(), value.to_string())).collect();
            machine.properties = properties;
            machine.view = Arc::new(view);
            machine.ttl_ns = compiled.targets.1;
            machine.negative_ttl_ns = compiled.targets.2;
        }
        if old.underlay != underlay {
            self.leave_place(old.underlay);
        }
        self.refresh_faults(id);
        self.publish();
        if old.vni != compiled.vni {
            self.forget_network(id, now);
        }
        Ok(())
    }

    /// What was learned in another virtual network says nothing about this one, nor will answers to what was asked there. What the operator
    /// set for the device stays.
    fn forget_network(&mut self, id: DeviceId, now: Time) {
        // Only a device without a table refuses, and that has learned nothing.
        let _ = self.flush(id, true, now);
        self.withdraw_all(id, DropReason::EntryRemoved);
    }

    /// Attaches a port to a device.
    ///
    /// # Errors
    /// A name or address that the device has already, a group address, an MTU above the device's.
    pub fn add_port(&mut self, id: DeviceId, spec: &PortSpec) -> Result<PortId, Refusal> {
        let machine = self.machine(id)?;
        let refuse = |problem: String| Err(Refusal::new(format!("VNIC {}: {problem}", spec.name)));
        if machine.view.ports.iter().any(|port| *port.name == spec.name) {
            return refuse(format!("overlay {} has one of that name already", machine.spec.name));
        }
        self.check_mac(machine, spec.mac, None)?;
        if spec.mtu > machine.view.mtu {
            return refuse(format!("an MTU of {} is above that of overlay {}, {}", spec.mtu, machine.spec.name, machine.view.mtu));
        }
        let vni = machine.view.vni.get();
        let port = self.ids_in_use.ports.next()?;
        let counters: Arc<[Counters]> = sets(self.writer).into();
        overlay_probes::port_state(port.0, id.0, vni, &spec.name, spec.mac, "added");
        self.ports.insert(port, id);
        self.change_view(id, |view| {
            view.ports.push(Port { id: port, name: spec.name.as_str().into(), mac: spec.mac, mtu: spec.mtu, counters });
        });
        Ok(port)
    }

    /// Detaches a port. Its frames that wait for an answer are still sent.
    ///
    /// # Errors
    /// If there is none.
    pub fn remove_port(&mut self, port: PortId) -> Result<(), Refusal> {
        let Some(device) = self.ports.remove(&port) else { return Err(Refusal::new(format!("port {port}: there is none of that id"))) };
        let _ = self.ids_in_use.ports.free(port);
        self.change_view(device, |view| {
            if let Some(gone) = view.port(port) {
                overlay_probes::port_state(port.0, device.0, view.vni.get(), &gone.name, gone.mac, "removed");
            }
            view.ports.retain(|other| other.id != port);
        });
        Ok(())
    }

    /// Changes the address or the MTU of a port.
    ///
    /// # Errors
    /// As [`add_port`](Self::add_port).
    pub fn change_port(&mut self, port: PortId, mac: Mac, mtu: u32) -> Result<(), Refusal> {
        let Some(device) = self.ports.get(&port).copied() else {
            return Err(Refusal::new(format!("port {port}: there is none of that id")));
        };
        let machine = self.machine(device)?;
        self.check_mac(machine, mac, Some(port))?;
        if mtu > machine.view.mtu {
            return Err(Refusal::new(format!(
                "VNIC {}: an MTU of {mtu} is above that of overlay {}, {}",
                machine.view.port(port).map_or("?", |port| &*port.name),
                machine.spec.name,
                machine.view.mtu
            )));
        }
        self.change_view(device, |view| {
            let vni = view.vni.get();
            if let Some(found) = view.ports.iter_mut().find(|other| other.id == port) {
                (found.mac, found.mtu) = (mac, mtu);
                overlay_probes::port_state(port.0, device.0, vni, &found.name, mac, "changed");
            }
        });
        Ok(())
    }

    /// A plugin says that a device is degraded, and why, or no longer.
    pub fn degrade(&mut self, id: DeviceId, reason: Option<String>, now: Time) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let before = machine.faults.clone();
        match reason {
            Some(reason) if machine.faults.get(&Fault::Plugin).is_some_and(|(known, _)| *known == reason) => {}
            Some(reason) => drop(machine.faults.insert(Fault::Plugin, (reason, now))),
            None => drop(machine.faults.remove(&Fault::Plugin)),
        }
        self.announce(id, &before);
    }

    /// All devices, in the order of their ids.
    pub fn devices(&self) -> impl Iterator<Item = DeviceInfo> {
        self.machines.keys().filter_map(|id| self.device(*id))
    }

    /// What a device is like.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<DeviceInfo> {
        let machine = self.machines.get(&id)?;
        let info = |port: &Port| PortInfo { id: port.id, name: port.name.to_string(), mac: port.mac, mtu: port.mtu };
        Some(DeviceInfo {
            id,
            spec: machine.spec.clone(),
            underlay: machine.view.underlay,
            mtu: machine.view.mtu,
            degraded: machine.degraded(),
            ports: machine.view.ports.iter().map(info).collect(),
            pending_bytes: machine.waiting.bytes,
            lookups: machine.lookups,
        })
    }

    /// The device of that name.
    #[must_use]
    pub fn device_named(&self, name: &str) -> Option<DeviceId> {
        self.machines.iter().find(|(_, machine)| machine.spec.name == name).map(|(id, _)| *id)
    }

    /// The target table of a device, for reading from any thread; none for a device with [`Search::Direct`].
    #[must_use]
    pub fn targets(&self, id: DeviceId) -> Option<Targets> {
        self.machines.get(&id)?.table().map(Targets::new)
    }

    pub(super) fn machine(&self, id: DeviceId) -> Result<&Machine, Refusal> {
        self.machines.get(&id).ok_or_else(|| Refusal::new(format!("overlay {id}: there is none of that id")))
    }

    fn check_mac(&self, machine: &Machine, mac: Mac, but: Option<PortId>) -> Result<(), Refusal> {
        if mac.is_group() || mac == Mac([0; 6]) {
            return Err(Refusal::new(format!("{mac}: a VNIC's address cannot be a group address or zero")));
        }
        match machine.view.ports.iter().find(|port| port.mac == mac && Some(port.id) != but) {
            Some(port) => Err(Refusal::new(format!("{mac}: VNIC {} of overlay {} has this address", port.name, machine.spec.name))),
            None => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is a different part of what makes up a view")]
    fn view(
        &self,
        id: DeviceId,
        encapsulation: &Arc<dyn Encapsulation>,
        compiled: &Compiled,
        underlay: UnderlayId,
        table: Option<Arc<Table>>,
        counters: Arc<[Counters]>,
        (replies, pings): (Arc<Replies>, Arc<Pings>),
        ports: Vec<Port>,
    ) -> Device {
        let place = self.places.get(&underlay);
        let mode = match (compiled.point, table) {
            (Some(point), _) => Mode::Point(point),
            // A device that is not a point has a table; without one it would have nothing in it.
            (None, table) => Mode::Dynamic(table.unwrap_or_else(|| Arc::new(Table::new(self.seed, 0)))),
        };
        let mut device = Device {
            id,
            vni: compiled.vni,
            up: place.is_some_and(|place| place.state.is_ok()),
            encapsulation: encapsulation.name(),
            codec: Arc::clone(&compiled.codec),
            header_len: compiled.codec.header_len(),
            carrier: encapsulation.carrier(),
            rules: compiled.rules,
            underlay,
            listen: compiled.listen,
            mtu: compiled.mtu,
            underlay_mtu: place.map_or(u32::MAX, |place| place.mtu),
            mode,
            ports,
            by_mac: Map::default(),
            counters,
            replies,
            pings,
            answers_pings: compiled.answers_pings,
            trusts_partial: compiled.trusts_partial,
            carries_tags: compiled.codec.carries_tags(),
        };
        index_ports(&mut device);
        device
    }

    fn change_view(&mut self, id: DeviceId, change: impl FnOnce(&mut Device)) {
        if let Some(machine) = self.machines.get_mut(&id) {
            let mut view = Device::clone(&machine.view);
            change(&mut view);
            index_ports(&mut view);
            machine.view = Arc::new(view);
        }
        self.publish();
    }

    /// Gives workers a new snapshot.
    pub(super) fn publish(&mut self) {
        let mut world = World { paths: Arc::clone(&self.paths), ..World::default() };
        for (id, place) in &self.places {
            world.underlays.insert(
                *id,
                Arc::new(Underlay { encapsulation: Arc::clone(&place.encapsulation), devices: Map::default(), smallest_mtu: u32::MAX }),
            );
        }
        for (id, machine) in &self.machines {
            world.devices.insert(*id, Arc::clone(&machine.view));
            for port in &machine.view.ports {
                world.ports.insert(port.id, Arc::clone(&machine.view));
            }
            if let Some(underlay) = world.underlays.get_mut(&machine.view.underlay) {
                let underlay = Arc::make_mut(underlay);
                underlay.devices.insert(machine.view.vni, Arc::clone(&machine.view));
                underlay.smallest_mtu = underlay.smallest_mtu.min(machine.view.smallest_mtu());
            }
        }
        self.shared.world.store(Arc::new(world));
    }

    /// Works out anew what a device suffers from because of others.
    pub(super) fn refresh_faults(&mut self, id: DeviceId) {
        let answerer = self.lookups.away();
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let before = machine.faults.clone();
        let underlay = match self.places.get(&machine.view.underlay) {
            Some(Place { state: Err(reason), since, .. }) => Some((reason.clone(), *since)),
            _ => None,
        };
        let answerer = answerer.filter(|_| machine.spec.search == Search::Dynamic);
        for (fault, found) in [(Fault::Underlay, underlay), (Fault::Answerer, answerer)] {
            match found {
                Some((reason, since)) => drop(machine.faults.insert(fault, (reason, since))),
                None => drop(machine.faults.remove(&fault)),
            }
        }
        self.announce(id, &before);
    }

    /// Tells of a device's state, if it has changed.
    fn announce(&mut self, id: DeviceId, before: &Faults) {
        let Some(machine) = self.machines.get(&id).filter(|machine| machine.faults != *before) else { return };
        let degraded = machine.degraded().map(|(reason, _)| reason);
        let (old, new, reason) = (state_name(before), state_name(&machine.faults), degraded.as_deref().unwrap_or(""));
        overlay_probes::device_state(id.0, machine.view.vni.get(), &machine.spec.name, old, new, reason);
        self.outputs.push_back(Output::Event(Event::Device { device: id, degraded }));
    }
}

/// One word for a device's state.
fn state_name(faults: &Faults) -> &'static str {
    match faults.keys().next() {
        None => "up",
        Some(Fault::Underlay) => "down",
        Some(_) => "degraded",
    }
}

fn index_ports(device: &mut Device) {
    device.by_mac = device.ports.iter().enumerate().map(|(index, port)| (port.mac, index)).collect();
}
