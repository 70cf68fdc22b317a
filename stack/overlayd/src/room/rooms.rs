//! The API's calls go through the door.

use super::ping;
use super::{Closed, Door, Room, Verifying};
use crate::api::{Reply, Rooms};
use overlay_api::LinkName;
use overlay_api::control::{
    Event, Flushed, NewOverlay, NewVnic, Overlay, PingEvent, PingRequest, Problem, ProblemKind, Property, SetProperty, SetTarget, Status,
    TargetPage, TargetQuery, Trace, TraceRequest, TracesRequest, Vnic,
};
use overlay_decoder::Mac;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

/// How long a plugin may take to say whether an instance would start.
const VERIFY: Duration = Duration::from_secs(2);

/// What a plugin says to a question whether an instance would start: nothing, or, if it does not answer, what is doubtful.
async fn verified(asked: Option<Verifying>) -> Reply<Option<String>> {
    let Some(asked) = asked else { return Ok(None) };
    match tokio::time::timeout(VERIFY, asked).await {
        Ok(Ok(Some(problem))) => Err(Problem::wrong(problem)),
        // The second: varpd has gone, which shows in another way.
        Ok(Ok(None) | Err(_)) => Ok(None),
        Err(_) => Ok(Some(format!("its plugin has not said within {} s whether it can do this", VERIFY.as_secs()))),
    }
}

/// The rooms of the API: the door, and what happens.
#[derive(Clone)]
pub(crate) struct Calls {
    door: Door,
    events: broadcast::Sender<Event>,
}

impl Calls {
    pub(crate) fn new(door: Door, events: broadcast::Sender<Event>) -> Arc<Self> {
        Arc::new(Self { door, events })
    }

    async fn ask<T: Send + 'static>(&self, call: impl FnOnce(&mut Room) -> Reply<T> + Send + 'static) -> Reply<T> {
        self.door.ask(call).await.unwrap_or_else(|closed: Closed| Err(Problem::new(ProblemKind::Away, closed.to_string())))
    }
}

impl Rooms for Calls {
    async fn status(&self) -> Reply<Status> {
        self.ask(|room| Ok(room.status())).await
    }

    async fn overlays(&self) -> Reply<Vec<Overlay>> {
        self.ask(|room| Ok(room.overlays())).await
    }

    async fn overlay(&self, name: LinkName) -> Reply<Overlay> {
        self.ask(move |room| room.overlay(&name)).await
    }

    async fn create_overlay(&self, new: NewOverlay) -> Reply<Overlay> {
        let begun = new.clone();
        let doubt = verified(self.ask(move |room| room.begin_create(&begun)).await?).await?;
        self.ask(move |room| room.create_overlay(new, doubt)).await
    }

    async fn delete_overlay(&self, name: LinkName) -> Reply<()> {
        self.ask(move |room| room.delete_overlay(&name)).await
    }

    async fn overlay_properties(&self, name: LinkName) -> Reply<Vec<Property>> {
        self.ask(move |room| room.properties(&name)).await
    }

    async fn set_overlay_property(&self, name: LinkName, set: SetProperty) -> Reply<Property> {
        let (link, begun) = (name.clone(), set.clone());
        let doubt = verified(self.ask(move |room| room.begin_set(&link, &begun)).await?).await?;
        self.ask(move |room| room.set_property(&name, &set, doubt)).await
    }

    async fn targets(&self, overlay: LinkName, query: TargetQuery) -> Reply<TargetPage> {
        // The table is read outside of the owner thread: a million rows would keep it from its work.
        let (generation, targets, now) = self.ask(move |room| room.target_table(&overlay)).await?;
        let page = tokio::task::spawn_blocking(move || {
            let mut pager = query.pager(generation)?;
            targets.for_each(now, |row| pager.push(row));
            Ok(pager.finish())
        });
        page.await.unwrap_or_else(|error| Err(Problem::failed(error)))
    }

    async fn set_target(&self, overlay: LinkName, mac: Mac, set: SetTarget) -> Reply<()> {
        self.ask(move |room| room.set_target(&overlay, mac, set)).await
    }

    async fn remove_target(&self, overlay: LinkName, mac: Mac) -> Reply<()> {
        self.ask(move |room| room.delete_target(&overlay, mac)).await
    }

    async fn flush(&self, overlay: LinkName) -> Reply<Flushed> {
        self.ask(move |room| room.flush(&overlay)).await
    }

    async fn trace(&self, overlay: LinkName, request: TraceRequest) -> Reply<Trace> {
        self.ask(move |room| room.trace(&overlay, &request)).await
    }

    async fn traces(&self, overlay: LinkName, request: TracesRequest) -> Reply<Vec<Trace>> {
        self.ask(move |room| room.traces(&overlay, &request)).await
    }

    async fn ping(&self, overlay: LinkName, request: PingRequest) -> Reply<mpsc::Receiver<PingEvent>> {
        ping::run(self.door.clone(), overlay, request).await
    }

    async fn vnics(&self) -> Reply<Vec<Vnic>> {
        self.ask(|room| Ok(room.vnics())).await
    }

    async fn vnic(&self, name: LinkName) -> Reply<Vnic> {
        self.ask(move |room| room.vnic(&name)).await
    }

    async fn create_vnic(&self, new: NewVnic) -> Reply<Vnic> {
        self.ask(move |room| room.create_vnic(new)).await
    }

    async fn delete_vnic(&self, name: LinkName) -> Reply<()> {
        self.ask(move |room| room.delete_vnic(&name)).await
    }

    async fn vnic_properties(&self, name: LinkName) -> Reply<Vec<Property>> {
        self.ask(move |room| room.vnic_properties(&name)).await
    }

    async fn set_vnic_property(&self, name: LinkName, set: SetProperty) -> Reply<Property> {
        self.ask(move |room| room.set_vnic_property(&name, &set)).await
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
