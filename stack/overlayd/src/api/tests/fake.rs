//! A daemon without an engine: it remembers what it is told.

use crate::api::{Reply, Rooms};
use overlay_api::control::{
    Answerer, Counters, Event, Flushed, Happening, NewOverlay, NewVnic, Overlay, OverlayState, PingEnd, PingEvent, PingRequest, Problem,
    Property, SetProperty, SetTarget, Status, TargetPage, TargetQuery, Timestamp, Trace, TraceRequest, TracesRequest, Vnic, VnicState,
};
use overlay_api::{Access, DropReason, EntryState, Kind, LinkName, PropertySpec, Source, StaticTarget, TargetRow, Verdict};
use overlay_decoder::{Mac, Vni};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::{broadcast, mpsc};

/// How many events wait for a reader.
pub(crate) const EVENTS: usize = 8;

const MTU: PropertySpec = PropertySpec::new("mtu", Kind::Uint { min: 576, max: 9000 }, Access::Live, Some("1400"), "Largest packet.");

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) overlays: BTreeMap<LinkName, Overlay>,
    pub(crate) vnics: BTreeMap<LinkName, Vnic>,
    pub(crate) targets: BTreeMap<(LinkName, Mac), StaticTarget>,
    pub(crate) mtus: BTreeMap<LinkName, String>,
    /// Calls that change something and got as far as here.
    pub(crate) changes: usize,
}

#[derive(Debug)]
pub(crate) struct Fake {
    world: Mutex<World>,
    pub(crate) events: broadcast::Sender<Event>,
}

pub(crate) fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

pub(crate) fn status() -> Status {
    let answerer =
        Answerer { attached: false, reason: Some("nobody has connected".to_owned()), since: Timestamp::default(), ..Answerer::default() };
    let since = Timestamp { seconds: 7, nanoseconds: 0 };
    Status {
        version: "0.1.0".to_owned(),
        pid: 1,
        since,
        workers: 2,
        answerer,
        counters: Counters::default(),
        unattributed: Counters::default(),
        examples: Vec::new(),
        refused_calls: 0,
    }
}

pub(crate) fn overlay(called: &str, vni: u32) -> Overlay {
    Overlay {
        name: name(called),
        id: 1,
        encapsulation: "vxlan".parse().unwrap(),
        search: "direct".parse().unwrap(),
        vnetid: Vni::new(vni).unwrap(),
        mtu: 1400,
        state: OverlayState::Up,
        reason: None,
        since_ns: None,
        listen: "10.0.0.1:4789".parse().unwrap(),
        vnics: 0,
        targets: 0,
        pending_bytes: 0,
        lookups: 0,
        waits: overlay_api::control::Waits::default(),
        counters: Counters::default(),
        temporary: false,
    }
}

pub(crate) fn vnic(called: &str, on: &str) -> Vnic {
    Vnic {
        name: name(called),
        overlay: name(on),
        mac: Mac([2, 8, 0x20, 10, 0, 1]),
        mtu: 1400,
        namespace: None,
        state: VnicState::Up,
        reason: None,
        counters: Counters::default(),
        temporary: false,
    }
}

pub(crate) fn event(number: u32) -> Event {
    Event { timestamp: Timestamp::default(), what: Happening::OverlayCreated { overlay: name(&format!("ov{number}")) } }
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self { world: Mutex::default(), events: broadcast::channel(EVENTS).0 }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Counts a change.
    fn change(&self) -> MutexGuard<'_, World> {
        let mut world = self.world();
        world.changes += 1;
        world
    }
}

impl World {
    fn overlay(&self, name: &LinkName) -> Reply<&Overlay> {
        let known = || self.overlays.keys().map(LinkName::as_str);
        self.overlays.get(name).ok_or_else(|| Problem::unknown("overlay", name.as_str(), known()))
    }

    fn vnic(&self, name: &LinkName) -> Reply<&Vnic> {
        self.vnics.get(name).ok_or_else(|| Problem::unknown("vnic", name.as_str(), self.vnics.keys().map(LinkName::as_str)))
    }

    fn property(&self, link: &LinkName) -> Property {
        Property::new(&MTU, self.mtus.get(link).cloned())
    }

    fn set(&mut self, link: LinkName, set: SetProperty) -> Reply<Property> {
        if set.name != "mtu" {
            return Err(Problem::wrong(format_args!("property {}: there is no such property; there are mtu", set.name)));
        }
        match set.value {
            Some(text) => {
                MTU.parse(&text).map_err(Problem::wrong)?;
                self.mtus.insert(link.clone(), text);
            }
            None => drop(self.mtus.remove(&link)),
        }
        Ok(self.property(&link))
    }
}

impl Rooms for Fake {
    async fn status(&self) -> Reply<Status> {
        Ok(status())
    }

    async fn overlays(&self) -> Reply<Vec<Overlay>> {
        // Not in the order of the names.
        Ok(self.world().overlays.values().rev().cloned().collect())
    }

    async fn overlay(&self, name: LinkName) -> Reply<Overlay> {
        self.world().overlay(&name).cloned()
    }

    async fn create_overlay(&self, new: NewOverlay) -> Reply<Overlay> {
        let mut world = self.change();
        if world.overlays.contains_key(&new.name) {
            return Err(Problem::clash(format_args!("overlay {}: there is one of that name already", new.name)));
        }
        let made = Overlay { temporary: new.temporary, ..overlay(new.name.as_str(), new.vnetid.get()) };
        world.overlays.insert(new.name, made.clone());
        Ok(made)
    }

    async fn delete_overlay(&self, name: LinkName) -> Reply<()> {
        let mut world = self.change();
        world.overlay(&name)?;
        if world.vnics.values().any(|vnic| vnic.overlay == name) {
            return Err(Problem::clash(format_args!("overlay {name}: has VNICs; delete them first")));
        }
        world.overlays.remove(&name);
        Ok(())
    }

    async fn overlay_properties(&self, name: LinkName) -> Reply<Vec<Property>> {
        let world = self.world();
        world.overlay(&name)?;
        Ok(vec![world.property(&name)])
    }

    async fn set_overlay_property(&self, name: LinkName, set: SetProperty) -> Reply<Property> {
        let mut world = self.change();
        world.overlay(&name)?;
        world.set(name, set)
    }

    async fn targets(&self, overlay: LinkName, query: TargetQuery) -> Reply<TargetPage> {
        let world = self.world();
        world.overlay(&overlay)?;
        let rows = world.targets.iter().filter(|((of, _), _)| *of == overlay).map(|((_, mac), to)| {
            let (ul3, state) = match to {
                StaticTarget::Reach(to) => (to.clone(), EntryState::Valid),
                StaticTarget::Drop => (vec![], EntryState::Drop),
            };
            let (mac, source) = (*mac, Source::Static);
            TargetRow { mac, ul3, state, age_ns: 0, idle_ns: 0, hits: 0, bytes: 0, pending_bytes: 0, source, expires_ns: None }
        });
        query.page(3, rows)
    }

    async fn set_target(&self, overlay: LinkName, mac: Mac, set: SetTarget) -> Reply<()> {
        let mut world = self.change();
        world.overlay(&overlay)?;
        world.targets.insert((overlay, mac), set.to);
        Ok(())
    }

    async fn remove_target(&self, overlay: LinkName, mac: Mac) -> Reply<()> {
        let mut world = self.change();
        world.overlay(&overlay)?;
        let found = world.targets.remove(&(overlay.clone(), mac)).is_some();
        if found { Ok(()) } else { Err(Problem::unknown("target", &mac.to_string(), [])) }
    }

    async fn flush(&self, overlay: LinkName) -> Reply<Flushed> {
        let mut world = self.change();
        world.overlay(&overlay)?;
        let before = world.targets.len();
        world.targets.retain(|(of, _), _| *of != overlay);
        Ok(Flushed { flushed: before - world.targets.len() })
    }

    async fn trace(&self, overlay: LinkName, request: TraceRequest) -> Reply<Trace> {
        let vni = self.world().overlay(&overlay)?.vnetid;
        let frame = request.frame.bytes(Mac([2, 0, 0, 0, 0, 9]))?;
        Ok(Trace { steps: vec![format!("a frame of {} bytes", frame.len())], verdict: Verdict::Pending { vni, request: None } })
    }

    async fn traces(&self, overlay: LinkName, request: TracesRequest) -> Reply<Vec<Trace>> {
        let vni = self.world().overlay(&overlay)?.vnetid;
        let frames = request.bytes(Mac([2, 0, 0, 0, 0, 9]))?;
        let verdict = Verdict::Drop { vni: Some(vni), reason: DropReason::TooBig };
        let trace = |frame: Vec<u8>| Trace { steps: vec![format!("a frame of {} bytes", frame.len())], verdict: verdict.clone() };
        Ok(frames.into_iter().map(trace).collect())
    }

    async fn ping(&self, _: LinkName, request: PingRequest) -> Reply<mpsc::Receiver<PingEvent>> {
        self.world().changes += 1;
        let (send, lines) = mpsc::channel(1);
        let end = PingEnd { sent: request.count, ..PingEnd::default() };
        send.try_send(PingEvent::End(end)).expect("room for one");
        Ok(lines)
    }

    async fn vnics(&self) -> Reply<Vec<Vnic>> {
        Ok(self.world().vnics.values().rev().cloned().collect())
    }

    async fn vnic(&self, name: LinkName) -> Reply<Vnic> {
        self.world().vnic(&name).cloned()
    }

    async fn create_vnic(&self, new: NewVnic) -> Reply<Vnic> {
        let mut world = self.change();
        world.overlay(&new.overlay)?;
        let made = Vnic { namespace: new.namespace, ..vnic(new.name.as_str(), new.overlay.as_str()) };
        world.vnics.insert(new.name, made.clone());
        Ok(made)
    }

    async fn delete_vnic(&self, name: LinkName) -> Reply<()> {
        let mut world = self.change();
        world.vnic(&name)?;
        world.vnics.remove(&name);
        Ok(())
    }

    async fn vnic_properties(&self, name: LinkName) -> Reply<Vec<Property>> {
        let world = self.world();
        world.vnic(&name)?;
        Ok(vec![world.property(&name)])
    }

    async fn set_vnic_property(&self, name: LinkName, set: SetProperty) -> Reply<Property> {
        let mut world = self.change();
        world.vnic(&name)?;
        world.set(name, set)
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
