//! What can be asked of the daemon? Each call does all of what it says, or nothing and then says why.

use super::search::{self, change, is_of_plugin};
use super::{Room, Vnic};
use crate::sys::{Tap, TapSpec};
use overlay_api::config::{StaticEntry, StaticTarget, VNIC_MTU_MIN};
use overlay_api::control::{
    Counters, DropExample, Flushed, Happening, NewOverlay, NewVnic, Overlay, OverlayState, Problem, Property, SetProperty, SetTarget,
    Status, Trace, TraceRequest, TracesRequest, VnicState,
};
use overlay_api::{Access, DeviceConfig, DeviceId, Kind, LinkName, PropertySpec, Source, VnicConfig, control};
use overlay_decoder::Mac;
use overlay_engine::{DeviceInfo, DeviceSpec, Example, PortSpec, Search, SetTarget as Target, Targets, Time, Totals};
use std::io::Read;
use std::sync::Arc;

/// The search that asks nobody.
pub(super) const DIRECT: &str = "direct";

fn shown_example(example: Example, now: Time) -> DropExample {
    let Example { reason, at, vni, source, destination, peer, len } = example;
    DropExample { reason, age_ns: now.since(at), vni, source, destination, peer, len }
}

impl Room {
    pub(crate) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since,
            workers: self.queues,
            answerer: self.answerer(),
            counters: counters(&self.control.totals()),
            unattributed: counters(&self.control.nobodys_totals()),
            examples: self.control.examples().into_iter().map(|example| shown_example(example, self.clock.now())).collect(),
            refused_calls: 0,
        }
    }

    pub(crate) fn overlays(&self) -> Vec<Overlay> {
        self.config.devices.iter().filter_map(|device| self.overlay(&device.name).ok()).collect()
    }

    pub(crate) fn overlay(&self, name: &LinkName) -> Result<Overlay, Problem> {
        let (config, info) = self.named(name)?;
        let wanted = self.underlays.get(&info.underlay);
        let down = wanted.is_none_or(|wanted| wanted.problem.is_some());
        let now = self.clock.now();
        Ok(Overlay {
            name: name.clone(),
            id: info.id.0,
            encapsulation: config.encapsulation.clone(),
            search: config.search.clone(),
            vnetid: info.spec.vni,
            mtu: info.mtu,
            state: match (&info.degraded, down) {
                (None, _) => OverlayState::Up,
                (Some(_), true) => OverlayState::Down,
                (Some(_), false) => OverlayState::Degraded,
            },
            since_ns: info.degraded.as_ref().map(|(_, since)| now.since(*since)),
            reason: info.degraded.map(|(reason, _)| reason),
            listen: self
                .control
                .underlays()
                .find(|underlay| underlay.id == info.underlay)
                .map_or_else(unlistened, |underlay| underlay.listen),
            vnics: info.ports.len(),
            targets: self.control.targets(info.id).map_or(0, |targets| targets.len()),
            pending_bytes: info.pending_bytes as u64,
            lookups: info.lookups as u64,
            waits: super::waits::of_overlay(self, info.id, now),
            counters: counters(&self.control.device_totals(info.id).unwrap_or_default()),
            temporary: self.temporary.contains(name),
        })
    }

    /// Makes an overlay. `doubt` is what is wrong with it until its plugin says how it is.
    pub(crate) fn create_overlay(&mut self, new: NewOverlay, doubt: Option<String>) -> Result<Overlay, Problem> {
        self.name_is_free(&new.name)?;
        let config = DeviceConfig {
            name: new.name.clone(),
            encapsulation: new.encapsulation,
            search: new.search,
            vnetid: new.vnetid,
            properties: new.properties,
        };
        let id = self.make_device(&config)?;
        self.config.devices.push(config);
        if new.temporary {
            self.temporary.insert(new.name.clone());
        }
        if let Err(problem) = self.save() {
            self.config.devices.retain(|device| device.name != new.name);
            self.temporary.remove(&new.name);
            // It has no ports: nothing stands in the way of deleting it.
            let _ = self.control.delete_device(id, self.clock.now());
            return Err(problem);
        }
        self.tell(Happening::OverlayCreated { overlay: new.name.clone() });
        self.tell_instance(&new.name, doubt);
        self.carry_out();
        self.overlay(&new.name)
    }

    /// Makes the engine's part of an overlay.
    pub(super) fn make_device(&mut self, config: &DeviceConfig) -> Result<DeviceId, Problem> {
        let search = search_of(config);
        let properties = config.properties.iter().filter(|(name, _)| !is_of_plugin(config, name));
        let spec = DeviceSpec {
            name: config.name.to_string(),
            encapsulation: config.encapsulation.to_string(),
            vni: config.vnetid,
            search,
            properties: properties.map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        self.control.create_device(spec, self.clock.now()).map_err(Problem::wrong)
    }

    pub(crate) fn delete_overlay(&mut self, name: &LinkName) -> Result<(), Problem> {
        // What could not be made at the start is configured and nothing else.
        let id = match self.named(name) {
            Ok((_, info)) => Some(info.id),
            Err(_) if self.config.devices.iter().any(|device| device.name == *name) => None,
            Err(unknown) => return Err(unknown),
        };
        let unmade = |vnic: &&VnicConfig| vnic.device == *name && !self.vnics.contains_key(&vnic.name);
        if let Some(vnic) = self.config.vnics.iter().find(unmade) {
            return Err(Problem::clash(format_args!("overlay {name}: has VNICs: {}; delete them first", vnic.name)));
        }
        if let Some(id) = id {
            self.control.delete_device(id, self.clock.now()).map_err(Problem::clash)?;
            self.forget_instance(id);
        }
        self.config.devices.retain(|device| device.name != *name);
        self.config.entries.retain(|entry| entry.device != *name);
        self.temporary.remove(name);
        self.tell(Happening::OverlayDeleted { overlay: name.clone() });
        self.carry_out();
        self.save()
    }

    pub(crate) fn properties(&self, name: &LinkName) -> Result<Vec<Property>, Problem> {
        let (config, info) = self.named(name)?;
        let specs = self.control.property_specs(config.encapsulation.as_str(), search_of(config)).unwrap_or_default();
        let of = |spec: &overlay_api::PropertySpec| match &*spec.name {
            "vnetid" => Some(info.spec.vni.to_string()),
            "encap" => Some(config.encapsulation.to_string()),
            name => info.spec.properties.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone()),
        };
        let mut all: Vec<_> = specs.iter().map(|spec| Property::new(spec, of(spec))).collect();
        all.extend(search::properties(config, self.declared(config)));
        Ok(all)
    }

    /// Sets or resets a property of an overlay. `doubt` is what is wrong with it until its plugin says how it is.
    pub(crate) fn set_property(&mut self, name: &LinkName, set: &SetProperty, doubt: Option<String>) -> Result<Property, Problem> {
        search::refuse_change(&set.name)?;
        let (config, info) = self.named(name)?;
        let plugins = is_of_plugin(config, &set.name);
        let now = self.clock.now();
        let before = self.config.clone();
        let old = match set.name.as_str() {
            "vnetid" => Some(info.spec.vni.to_string()),
            name => info.spec.properties.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone()),
        };
        let changed = match &set.value {
            // Its declaration has been asked, if there is one.
            _ if plugins => Ok(()),
            Some(value) => self.control.set_property(info.id, &set.name, value, now),
            None => self.control.reset_property(info.id, &set.name, now),
        };
        changed.map_err(Problem::wrong)?;
        if let (Some(config), Some(info)) =
            (self.config.devices.iter_mut().find(|device| device.name == *name), self.control.device(info.id))
        {
            config.vnetid = info.spec.vni;
            if set.name != "vnetid" {
                change(config, set);
            }
        }
        self.carry_out();
        if let Err(problem) = self.save() {
            self.config = before;
            if !plugins {
                // It could be so a moment ago.
                let _ = match &old {
                    Some(value) => self.control.set_property(info.id, &set.name, value, now),
                    None => self.control.reset_property(info.id, &set.name, now),
                };
                self.carry_out();
            }
            return Err(problem);
        }
        if set.name == "mtu" {
            self.follow_mtu(info.id);
        }
        self.tell_instance(name, doubt);
        let all = self.properties(name)?;
        let property = all.into_iter().find(|property| property.name == set.name);
        // One that no plugin declares is gone with its value.
        let property = match property {
            Some(property) => property,
            None => search::undeclared(self.named(name)?.0, &set.name, None),
        };
        self.tell(Happening::PropertyChanged { link: name.clone(), name: set.name.clone(), value: property.value.clone() });
        Ok(property)
    }

    /// VNICs without an MTU of their own have the overlay's.
    fn follow_mtu(&mut self, device: DeviceId) {
        let Some(mtu) = self.control.device(device).map(|info| info.mtu) else { return };
        for (name, vnic) in self.vnics.iter().filter(|(_, vnic)| vnic.device == device && vnic.config.mtu.is_none()) {
            if let Ok(tap) = &vnic.tap
                && let Err(error) = tap.set_mtu(mtu)
            {
                tracing::warn!("{error}");
            }
            if let Err(refusal) = self.control.change_port(vnic.port, vnic.config.mac, mtu) {
                tracing::warn!("vnic {name}: {refusal}");
            }
        }
    }

    /// The target table of an overlay, for reading elsewhere: (generation, table, now).
    pub(crate) fn target_table(&self, name: &LinkName) -> Result<(u64, Targets, Time), Problem> {
        let (_, info) = self.named(name)?;
        let now = self.clock.now();
        let targets = self.control.targets(info.id);
        let targets = targets.ok_or_else(|| Problem::wrong(format_args!("overlay {name}: is direct, and has no target table")))?;
        Ok((now.0, targets, now))
    }

    pub(crate) fn set_target(&mut self, name: &LinkName, mac: Mac, set: SetTarget) -> Result<(), Problem> {
        let (_, info) = self.named(name)?;
        let to = set.to;
        let target = match &to {
            StaticTarget::Reach(to) => Target::Reach(to.clone()),
            StaticTarget::Drop => Target::Drop,
        };
        self.control.set_target(info.id, mac, &target, Source::Static, None, self.clock.now()).map_err(Problem::wrong)?;
        let is_it = |entry: &StaticEntry| entry.device == *name && entry.mac == mac;
        let before = self.config.entries.iter().position(is_it).map(|at| self.config.entries.remove(at));
        self.config.entries.push(StaticEntry { device: name.clone(), mac, to });
        self.carry_out();
        if let Err(problem) = self.save() {
            self.config.entries.pop();
            let now = self.clock.now();
            // Both were possible a moment ago.
            let _ = match &before {
                Some(StaticEntry { to: StaticTarget::Reach(to), .. }) => {
                    self.control.set_target(info.id, mac, &Target::Reach(to.clone()), Source::Static, None, now)
                }
                Some(_) => self.control.set_target(info.id, mac, &Target::Drop, Source::Static, None, now),
                None => self.control.remove_target(info.id, mac, now).map(drop),
            };
            self.config.entries.extend(before);
            self.carry_out();
            return Err(problem);
        }
        self.tell(Happening::TargetSet { overlay: name.clone(), mac });
        Ok(())
    }

    pub(crate) fn delete_target(&mut self, name: &LinkName, mac: Mac) -> Result<(), Problem> {
        let (_, info) = self.named(name)?;
        let known = self.control.remove_target(info.id, mac, self.clock.now()).map_err(Problem::wrong)?;
        if !known {
            return Err(Problem::new(control::ProblemKind::Unknown, format!("target {mac} of overlay {name}: nothing is known of it")));
        }
        self.config.entries.retain(|entry| entry.device != *name || entry.mac != mac);
        self.tell(Happening::TargetDeleted { overlay: name.clone(), mac });
        self.carry_out();
        self.save()
    }

    pub(crate) fn flush(&mut self, name: &LinkName) -> Result<Flushed, Problem> {
        let (_, info) = self.named(name)?;
        let flushed = self.control.flush(info.id, false, self.clock.now()).map_err(Problem::wrong)?;
        self.config.entries.retain(|entry| entry.device != *name);
        self.tell(Happening::TargetsFlushed { overlay: name.clone(), flushed });
        self.carry_out();
        self.save()?;
        Ok(Flushed { flushed })
    }

    pub(crate) fn trace(&self, name: &LinkName, request: &TraceRequest) -> Result<Trace, Problem> {
        let (device, vnic) = self.sender(name, request.vnic.as_ref())?;
        let frame = request.frame.bytes(vnic.map_or(Mac::default(), |vnic| vnic.config.mac))?;
        self.follow(name, device, vnic, &frame)
    }

    pub(crate) fn traces(&self, name: &LinkName, request: &TracesRequest) -> Result<Vec<Trace>, Problem> {
        let (device, vnic) = self.sender(name, request.vnic.as_ref())?;
        let frames = request.bytes(vnic.map_or(Mac::default(), |vnic| vnic.config.mac))?;
        frames.iter().map(|frame| self.follow(name, device, vnic, frame)).collect()
    }

    /// An overlay, and the VNIC on it that would give a frame.
    fn sender(&self, overlay: &LinkName, vnic: Option<&LinkName>) -> Result<(DeviceId, Option<&Vnic>), Problem> {
        let device = self.named(overlay)?.1.id;
        let Some(name) = vnic else { return Ok((device, None)) };
        let on_it = || self.vnics.iter().filter(|(_, vnic)| vnic.device == device);
        let found = on_it().find(|(own, _)| *own == name).map(|(_, vnic)| vnic);
        let found = found.ok_or_else(|| Problem::unknown("vnic", name.as_str(), on_it().map(|(own, _)| own.as_str())))?;
        Ok((device, Some(found)))
    }

    fn follow(&self, overlay: &LinkName, device: DeviceId, vnic: Option<&Vnic>, frame: &[u8]) -> Result<Trace, Problem> {
        let trace = self.control.trace(device, vnic.map(|vnic| vnic.port), frame, self.clock.now());
        let trace = trace.ok_or_else(|| Problem::failed(format_args!("overlay {overlay}: has gone")))?;
        Ok(Trace { steps: trace.steps, verdict: trace.verdict })
    }

    pub(crate) fn vnics(&self) -> Vec<control::Vnic> {
        self.vnics.keys().filter_map(|name| self.vnic(name).ok()).collect()
    }

    pub(crate) fn vnic(&self, name: &LinkName) -> Result<control::Vnic, Problem> {
        let vnic = self.vnics.get(name).ok_or_else(|| Problem::unknown("vnic", name.as_str(), self.vnics.keys().map(LinkName::as_str)))?;
        let info = self.control.device(vnic.device);
        let port = info.and_then(|info| info.ports.into_iter().find(|port| port.id == vnic.port));
        let (state, reason) = match &vnic.tap {
            Ok(tap) => match tap.link() {
                Ok(link) if link.up => (VnicState::Up, vnic.trouble.clone()),
                Ok(_) => (VnicState::Down, vnic.trouble.clone()),
                Err(error) => (VnicState::Failed, Some(error.to_string())),
            },
            Err(reason) => (VnicState::Failed, Some(reason.clone())),
        };
        Ok(control::Vnic {
            name: name.clone(),
            overlay: vnic.config.device.clone(),
            mac: vnic.config.mac,
            mtu: port.map_or(0, |port| port.mtu),
            namespace: vnic.config.namespace.clone(),
            state,
            reason,
            counters: counters(&self.control.port_totals(vnic.port).unwrap_or_default()),
            temporary: self.temporary.contains(name),
        })
    }

    pub(crate) fn create_vnic(&mut self, new: NewVnic) -> Result<control::Vnic, Problem> {
        self.name_is_free(&new.name)?;
        let mac = match new.mac {
            Some(mac) => mac,
            None => random_mac().map_err(|error| Problem::failed(format_args!("no random address: {error}")))?,
        };
        let config = VnicConfig { name: new.name.clone(), device: new.overlay, mac, mtu: new.mtu, namespace: new.namespace };
        self.add_vnic(&config)?;
        self.config.vnics.push(config.clone());
        if new.temporary {
            self.temporary.insert(new.name.clone());
        }
        // Written before there is an interface: one that a daemon makes and does not live to know of would stay for ever.
        let made = self.save().and_then(|()| {
            self.open_vnic(&new.name);
            let reason = self.vnics.get(&new.name).and_then(|vnic| vnic.tap.as_ref().err().cloned());
            reason.map_or(Ok(()), |reason| Err(Problem::clash(reason)))
        });
        if let Err(problem) = made {
            self.config.vnics.retain(|vnic| vnic.name != new.name);
            self.temporary.remove(&new.name);
            self.unmake_vnic(&new.name);
            if let Err(problem) = self.save() {
                tracing::error!("vnic {}: was not made, and may be there after a restart: {problem}", new.name);
            }
            return Err(problem);
        }
        self.tell(Happening::VnicCreated { vnic: new.name.clone(), overlay: config.device });
        self.vnic(&new.name)
    }

    /// Makes the port and the interface of a VNIC. Without an interface the VNIC is there and says why it has none.
    pub(super) fn make_vnic(&mut self, config: &VnicConfig) -> Result<(), Problem> {
        self.add_vnic(config)?;
        self.open_vnic(&config.name);
        Ok(())
    }

    /// Makes the port of a VNIC, which has no interface yet.
    fn add_vnic(&mut self, config: &VnicConfig) -> Result<(), Problem> {
        let (_, info) = self.named(&config.device)?;
        let mtu = config.mtu.unwrap_or(info.mtu);
        let spec = PortSpec { name: config.name.to_string(), mac: config.mac, mtu };
        let port = self.control.add_port(info.id, &spec).map_err(Problem::wrong)?;
        let vnic = Vnic {
            config: config.clone(),
            device: info.id,
            port,
            tap: Err("the interface is not open yet".to_owned()),
            trouble: None,
            addresses: Vec::new(),
        };
        self.vnics.insert(config.name.clone(), vnic);
        self.tell_vnic(info.id, &config.name, config.mac, true);
        Ok(())
    }

    /// Opens the interface of a VNIC.
    pub(super) fn open_vnic(&mut self, name: &LinkName) {
        let queues = self.queues;
        let mtu = self.vnic(name).map_or(0, |vnic| vnic.mtu);
        let Some(vnic) = self.vnics.get_mut(name) else { return };
        let spec = TapSpec {
            stays: !self.temporary.contains(name) && !self.temporary.contains(&vnic.config.device),
            name: name.to_string(),
            mac: vnic.config.mac,
            mtu,
            netns: vnic.config.namespace.as_ref().map(ToString::to_string),
            queues,
        };
        match Tap::open(&spec) {
            Ok(tap) => {
                let all: Arc<[_]> = (0..tap.queues()).map(|queue| tap.queue(queue)).collect();
                let port = vnic.port;
                let addresses = tap.link().ok().and_then(|link| link.addresses);
                vnic.tap = Ok(tap);
                self.threads.change(|io| drop(io.taps.insert(port, all)));
                self.notice_addresses(name, addresses);
            }
            Err(error) => {
                let reason = error.to_string();
                if vnic.tap.as_ref().err() != Some(&reason) {
                    tracing::warn!("{reason}");
                }
                vnic.tap = Err(reason);
            }
        }
    }

    pub(crate) fn delete_vnic(&mut self, name: &LinkName) -> Result<(), Problem> {
        // What could not be made at the start is configured and nothing else.
        let overlay = match (self.vnic(name), self.config.vnics.iter().find(|vnic| vnic.name == *name)) {
            (Ok(vnic), _) => vnic.overlay,
            (Err(_), Some(config)) => config.device.clone(),
            (Err(unknown), None) => return Err(unknown),
        };
        self.unmake_vnic(name);
        self.config.vnics.retain(|vnic| vnic.name != *name);
        self.temporary.remove(name);
        self.tell(Happening::VnicDeleted { vnic: name.clone(), overlay });
        self.save()
    }

    /// Takes a VNIC away: first from the data path, then from the system.
    fn unmake_vnic(&mut self, name: &LinkName) {
        let Some(vnic) = self.vnics.remove(name) else { return };
        self.tell_vnic(vnic.device, name, vnic.config.mac, false);
        self.threads.change(|io| drop(io.taps.remove(&vnic.port)));
        if let Err(refusal) = self.control.remove_port(vnic.port) {
            tracing::error!("vnic {name}: {refusal}");
        }
        if let Ok(tap) = vnic.tap
            && let Err(error) = tap.remove()
        {
            tracing::warn!("{error}");
        }
        self.carry_out();
    }

    pub(crate) fn vnic_properties(&self, name: &LinkName) -> Result<Vec<Property>, Problem> {
        let known = self.vnic(name)?;
        let Some(vnic) = self.vnics.get(name) else { return Err(Problem::failed("has gone")) };
        let most = self.control.device(vnic.device).map_or(known.mtu, |info| info.mtu);
        let mtu = PropertySpec {
            name: "mtu".into(),
            kind: Kind::Uint { min: VNIC_MTU_MIN.into(), max: most.into() },
            access: Access::Live,
            required: false,
            default: Some(most.to_string().into()),
            doc: "Largest packet that the VNIC carries; at most the overlay's.".into(),
        };
        Ok(vec![Property::new(&mtu, vnic.config.mtu.map(|mtu| mtu.to_string()))])
    }

    pub(crate) fn set_vnic_property(&mut self, name: &LinkName, set: &SetProperty) -> Result<Property, Problem> {
        let known = self.vnic(name)?;
        if set.name != "mtu" {
            return Err(Problem::unknown("property", &set.name, ["mtu"]));
        }
        let Some(vnic) = self.vnics.get(name) else { return Err(Problem::failed("has gone")) };
        let most = self.control.device(vnic.device).map_or(0, |info| info.mtu);
        let mtu = match &set.value {
            None => most,
            Some(text) => text.parse().ok().filter(|mtu| (VNIC_MTU_MIN..=most).contains(mtu)).ok_or_else(|| {
                Problem::wrong(format_args!(
                    "property mtu: {text:?} is not allowed; {VNIC_MTU_MIN}-{most} is, the MTU of overlay {}",
                    known.overlay
                ))
            })?,
        };
        if let Ok(tap) = &vnic.tap {
            tap.set_mtu(mtu).map_err(Problem::failed)?;
        }
        self.control.change_port(vnic.port, vnic.config.mac, mtu).map_err(Problem::wrong)?;
        let own = set.value.is_some().then_some(mtu);
        if let Some(vnic) = self.vnics.get_mut(name) {
            vnic.config.mtu = own;
        }
        if let Some(config) = self.config.vnics.iter_mut().find(|vnic| vnic.name == *name) {
            config.mtu = own;
        }
        self.tell(Happening::PropertyChanged { link: name.clone(), name: set.name.clone(), value: Some(mtu.to_string()) });
        self.save()?;
        self.vnic_properties(name)?.pop().ok_or_else(|| Problem::failed("the property is set, and not there"))
    }

    /// What the device of that name was told, and how it is.
    pub(super) fn named(&self, name: &LinkName) -> Result<(&DeviceConfig, DeviceInfo), Problem> {
        let unknown = || Problem::unknown("overlay", name.as_str(), self.config.devices.iter().map(|device| device.name.as_str()));
        let config = self.config.devices.iter().find(|device| device.name == *name).ok_or_else(unknown)?;
        let info = self.control.device_named(name.as_str()).and_then(|id| self.control.device(id)).ok_or_else(unknown)?;
        Ok((config, info))
    }

    pub(super) fn name_is_free(&self, name: &LinkName) -> Result<(), Problem> {
        if self.config.devices.iter().any(|device| device.name == *name) {
            return Err(Problem::clash(format_args!("{name}: an overlay has this name")));
        }
        if self.vnics.contains_key(name) {
            return Err(Problem::clash(format_args!("{name}: a VNIC has this name")));
        }
        Ok(())
    }

    pub(super) fn save(&self) -> Result<(), Problem> {
        self.store.save(&self.config, &self.temporary).map_err(Problem::failed)
    }
}

pub(super) fn search_of(config: &DeviceConfig) -> Search {
    if config.search.as_str() == DIRECT { Search::Direct } else { Search::Dynamic }
}

/// What stands where an address cannot be known any more.
fn unlistened() -> overlay_decoder::Ul3 {
    overlay_decoder::Ul3 { ip: std::net::Ipv4Addr::UNSPECIFIED.into(), port: None }
}

/// The engine's counters, as they are told.
pub(crate) fn counters(totals: &Totals) -> Counters {
    // The names are the same on both sides; a test compares them.
    serde_json::to_value(totals).and_then(serde_json::from_value).unwrap_or_default()
}

/// A random unicast address with the local bit (IEEE 802c).
fn random_mac() -> std::io::Result<Mac> {
    let mut bytes = [0; 6];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    bytes[0] = bytes[0] & 0xfc | 0x02;
    Ok(Mac(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_of_the_engine_is_told() {
        let mut names: Vec<String> = serde_json::to_value(Totals::default()).unwrap().as_object().unwrap().keys().cloned().collect();
        let mut told: Vec<String> = Counters::NAMES.iter().map(|(name, _)| (*name).to_owned()).chain(["drops".to_owned()]).collect();
        names.sort();
        told.sort();
        assert_eq!(names, told);
    }

    #[test]
    fn a_made_address_is_a_local_unicast_one() {
        for _ in 0..100 {
            let mac = random_mac().unwrap();
            assert_eq!(mac.0[0] & 3, 2, "{mac}");
        }
    }
}
