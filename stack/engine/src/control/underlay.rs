//! Where do devices listen? The places in the underlay that they share, and what is known of the ways from there.
//!
//! A place is a network namespace, an address and port in it, and an encapsulation. Equal addresses in two namespaces are two places:
//! nothing that is known of one says anything about the other.

use super::compile::Compiled;
use super::device::Refusal;
use super::{Control, Event, Output};
use crate::encap::Encapsulation;
use crate::time::Time;
use crate::world::{Device, Map};
use overlay_api::{DeviceId, PropertyError, UnderlayId};
use overlay_decoder::Ul3;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Paths whose MTU is remembered.
const PATHS_MAX: usize = 4096;

/// What an underlay is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnderlayInfo {
    /// Its id.
    pub id: UnderlayId,
    /// The encapsulation, by name.
    pub encapsulation: &'static str,
    /// The network namespace, by name or path; none is the driver's own.
    pub namespace: Option<String>,
    /// Where it listens.
    pub listen: Ul3,
    /// Whether the driver has it open.
    pub open: bool,
}

/// The listening parameters that devices share.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) encapsulation: Arc<dyn Encapsulation>,
    namespace: Option<String>,
    listen: Ul3,
    /// Whether it is open, or why not.
    pub(super) state: Result<(), String>,
    pub(super) since: Time,
    pub(super) mtu: u32,
}

impl Place {
    /// Whether it is where a device wants to listen.
    fn is_at(&self, compiled: &Compiled) -> bool {
        self.listen == compiled.listen && self.namespace == compiled.namespace
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in netns {namespace}", self.listen),
            None => self.listen.fmt(f),
        }
    }
}

impl Control {
    /// The driver has opened an underlay (with the largest IP packet that its link takes), could not, or lost it (with the reason).
    pub fn handle_underlay(&mut self, id: UnderlayId, state: Result<u32, String>, now: Time) {
        let Some(place) = self.places.get_mut(&id) else { return };
        let what = if state.is_ok() { "up" } else { "down" };
        overlay_probes::underlay(id.0, what, place.encapsulation.name(), place.listen);
        // A driver that tries again and again says the same again and again: it has been so since the first time.
        if place.state.as_ref().err() != state.as_ref().err() {
            place.since = now;
        }
        match state {
            Ok(mtu) => (place.state, place.mtu) = (Ok(()), mtu),
            Err(reason) => place.state = Err(reason),
        }
        let (up, mtu) = (place.state.is_ok(), place.mtu);
        let devices: Vec<_> = self.machines.iter().filter(|(_, machine)| machine.view.underlay == id).map(|(id, _)| *id).collect();
        for device in devices {
            if let Some(machine) = self.machines.get_mut(&device) {
                let mut view = Device::clone(&machine.view);
                (view.up, view.underlay_mtu) = (up, mtu);
                machine.view = Arc::new(view);
            }
            self.refresh_faults(device);
        }
        self.publish();
    }

    /// A router reported that packets from an underlay to `to` may have at most `mtu` bytes; none forgets that.
    pub fn handle_path_mtu(&mut self, underlay: UnderlayId, to: IpAddr, mtu: Option<u32>) {
        // A socket of both families spells IPv4 addresses as mapped IPv6 addresses; destinations are never spelled so.
        let to = to.to_canonical();
        let mut paths = Map::clone(&self.paths);
        match mtu {
            // A flood of forged reports is bounded; those that are known stay.
            Some(_) if paths.len() >= PATHS_MAX && !paths.contains_key(&(underlay, to)) => return,
            // What is late is nobody's.
            Some(_) if !self.places.contains_key(&underlay) => return,
            // RFC 791 3.2 and RFC 8200 5: no link has less. A forged report cannot make a path useless.
            Some(mtu) => drop(paths.insert((underlay, to), mtu.max(if to.is_ipv4() { 576 } else { 1280 }))),
            None => drop(paths.remove(&(underlay, to))),
        }
        self.paths = Arc::new(paths);
        self.publish();
    }

    /// All underlays, in the order of their ids.
    pub fn underlays(&self) -> impl Iterator<Item = UnderlayInfo> {
        self.places.iter().map(|(id, place)| UnderlayInfo {
            id: *id,
            encapsulation: place.encapsulation.name(),
            namespace: place.namespace.clone(),
            listen: place.listen,
            open: place.state.is_ok(),
        })
    }

    /// A virtual network has one device on an underlay, and a place has one encapsulation.
    pub(super) fn check_network(
        &self,
        but: Option<DeviceId>,
        encapsulation: &Arc<dyn Encapsulation>,
        compiled: &Compiled,
    ) -> Result<(), Refusal> {
        for (id, place) in &self.places {
            let name = place.encapsulation.name();
            let alone = self.machines.iter().all(|(device, machine)| machine.view.underlay != *id || Some(*device) == but);
            let clashes = place.encapsulation.carrier() == encapsulation.carrier() && name != encapsulation.name();
            if place.is_at(compiled) && clashes && !alone {
                return Err(Refusal::new(format!("{place}: is in use by {name}; one address and port can have one encapsulation")));
            }
        }
        for (id, machine) in &self.machines {
            let Some(place) = self.places.get(&machine.view.underlay) else { continue };
            let same = place.is_at(compiled) && place.encapsulation.name() == encapsulation.name();
            if Some(*id) != but && same && machine.view.vni == compiled.vni {
                let problem = format!("{} is that of overlay {}, which listens at {place} too", compiled.vni, machine.spec.name);
                return Err(PropertyError::new("vnetid", problem).into());
            }
        }
        Ok(())
    }

    /// The underlay with these parameters, opened if nobody had it.
    pub(super) fn place(&mut self, encapsulation: &Arc<dyn Encapsulation>, compiled: &Compiled, now: Time) -> Result<UnderlayId, Refusal> {
        let same = |place: &Place| place.is_at(compiled) && place.encapsulation.name() == encapsulation.name();
        if let Some((id, _)) = self.places.iter().find(|(_, place)| same(place)) {
            return Ok(*id);
        }
        let id = self.ids_in_use.underlays.next()?;
        let place = Place {
            encapsulation: Arc::clone(encapsulation),
            namespace: compiled.namespace.clone(),
            listen: compiled.listen,
            state: Err("the underlay is not open yet".to_owned()),
            since: now,
            mtu: u32::MAX,
        };
        self.places.insert(id, place);
        let name = encapsulation.name();
        overlay_probes::underlay(id.0, "open", name, compiled.listen);
        self.outputs.push_back(Output::Event(Event::UnderlayOpen {
            underlay: id,
            encapsulation: name.to_owned(),
            carrier: encapsulation.carrier(),
            namespace: compiled.namespace.clone(),
            listen: compiled.listen,
        }));
        Ok(id)
    }

    /// Closes an underlay that no device has any more.
    pub(super) fn leave_place(&mut self, id: UnderlayId) {
        if self.machines.values().any(|machine| machine.view.underlay == id) {
            return;
        }
        if let Some(place) = self.places.remove(&id) {
            let _ = self.ids_in_use.underlays.free(id);
            if self.paths.keys().any(|(underlay, _)| *underlay == id) {
                let mut paths = Map::clone(&self.paths);
                paths.retain(|(underlay, _), _| *underlay != id);
                self.paths = Arc::new(paths);
            }
            overlay_probes::underlay(id.0, "close", place.encapsulation.name(), place.listen);
            self.outputs.push_back(Output::Event(Event::UnderlayClose { underlay: id }));
        }
        self.publish();
    }
}
