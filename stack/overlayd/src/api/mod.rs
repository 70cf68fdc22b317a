//! Who asks what of this daemon? HTTP and JSON on a Unix socket; the answers come from [`Rooms`].
//!
//! ```text
//!  curl, overlayadm ──► overlay-serve ──► routes ──► Rooms: whoever owns the engine
//!                        socket, rights,   └ metrics: the same numbers for Prometheus
//!                        limits, JSON
//! ```
//!
//! All of it is one thread of its own, away from the data path. What does not depend on which calls there are is in overlay-serve, which
//! varpd has, too.

mod metrics;
mod routes;

pub(crate) use routes::start;

use overlay_api::LinkName;
use overlay_api::control::{
    Event, Flushed, NewOverlay, NewVnic, Overlay, PingEvent, PingRequest, Problem, Property, SetProperty, SetTarget, Status, TargetPage,
    TargetQuery, Trace, TraceRequest, TracesRequest, Vnic,
};
use overlay_decoder::Mac;
use std::future::Future;
use tokio::sync::{broadcast, mpsc};

/// What a call comes back with.
pub(crate) type Reply<T> = Result<T, Problem>;

/// Who does what is asked. Each call does all of it or nothing, and says why not.
///
/// The futures run on the thread of the API, which all calls share: what takes long (a page of a million targets) has to be done
/// elsewhere and waited for. A future that is dropped, because its caller has hung up, does not undo what has begun.
pub(crate) trait Rooms: Send + Sync + 'static {
    /// How the daemon is. `refused_calls` is filled in by the API.
    fn status(&self) -> impl Future<Output = Reply<Status>> + Send;
    /// All overlays, in any order.
    fn overlays(&self) -> impl Future<Output = Reply<Vec<Overlay>>> + Send;
    /// One overlay.
    fn overlay(&self, name: LinkName) -> impl Future<Output = Reply<Overlay>> + Send;
    /// Makes an overlay, and says how it is then.
    fn create_overlay(&self, new: NewOverlay) -> impl Future<Output = Reply<Overlay>> + Send;
    /// Deletes an overlay that has no VNICs.
    fn delete_overlay(&self, name: LinkName) -> impl Future<Output = Reply<()>> + Send;
    /// All properties of an overlay.
    fn overlay_properties(&self, name: LinkName) -> impl Future<Output = Reply<Vec<Property>>> + Send;
    /// Sets or resets a property of an overlay, and says how it is then.
    fn set_overlay_property(&self, name: LinkName, set: SetProperty) -> impl Future<Output = Reply<Property>> + Send;
    /// A part of the target table; [`TargetQuery::page`] cuts it out.
    fn targets(&self, overlay: LinkName, query: TargetQuery) -> impl Future<Output = Reply<TargetPage>> + Send;
    /// Sets a target by hand.
    fn set_target(&self, overlay: LinkName, mac: Mac, set: SetTarget) -> impl Future<Output = Reply<()>> + Send;
    /// Forgets a target.
    fn remove_target(&self, overlay: LinkName, mac: Mac) -> impl Future<Output = Reply<()>> + Send;
    /// Forgets all targets.
    fn flush(&self, overlay: LinkName) -> impl Future<Output = Reply<Flushed>> + Send;
    /// Follows a frame without sending it.
    fn trace(&self, overlay: LinkName, request: TraceRequest) -> impl Future<Output = Reply<Trace>> + Send;
    /// Follows frames without sending them: one trace for each, in their order.
    fn traces(&self, overlay: LinkName, request: TracesRequest) -> impl Future<Output = Reply<Vec<Trace>>> + Send;
    /// Pings another end: what happens, as it happens.
    fn ping(&self, overlay: LinkName, request: PingRequest) -> impl Future<Output = Reply<mpsc::Receiver<PingEvent>>> + Send;
    /// All VNICs, in any order.
    fn vnics(&self) -> impl Future<Output = Reply<Vec<Vnic>>> + Send;
    /// One VNIC.
    fn vnic(&self, name: LinkName) -> impl Future<Output = Reply<Vnic>> + Send;
    /// Makes a VNIC, and says how it is then.
    fn create_vnic(&self, new: NewVnic) -> impl Future<Output = Reply<Vnic>> + Send;
    /// Deletes a VNIC.
    fn delete_vnic(&self, name: LinkName) -> impl Future<Output = Reply<()>> + Send;
    /// All properties of a VNIC.
    fn vnic_properties(&self, name: LinkName) -> impl Future<Output = Reply<Vec<Property>>> + Send;
    /// Sets or resets a property of a VNIC, and says how it is then.
    fn set_vnic_property(&self, name: LinkName, set: SetProperty) -> impl Future<Output = Reply<Property>> + Send;
    /// What happens from now on. A reader that falls behind the channel's room is told how much it missed.
    fn events(&self) -> broadcast::Receiver<Event>;
}

#[cfg(test)]
mod tests;
