//! Which paths are there, and who does what they ask?

use super::{Rooms, metrics};
use axum::Router;
use axum::extract::State;
use axum::http::header::HeaderValue;
use axum::routing::{delete, get, post, put};
use overlay_api::control::{
    Event, GENERATION_HEADER, Happening, ListQuery, NewOverlay, NewVnic, OverlayQuery, Part, PingRequest, SetProperty, SetTarget,
    TargetQuery, TraceRequest, TracesRequest, VnicQuery,
};
use overlay_serve::{
    Answered, ApiThread, Asked, Call, ControlSocket, Json, Named, NamedTarget, Operator, Route, Shared, created, done, lines, lines_of, ok,
    page, unchanged, with_refusals,
};
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

/// Answers what comes over `socket` from now on.
///
/// # Errors
/// The system has no thread or no descriptor left.
pub(crate) fn start<R: Rooms>(socket: ControlSocket, rooms: Arc<R>) -> io::Result<ApiThread> {
    overlay_serve::start(socket, rooms, router, called)
}

/// A call was answered.
fn called(call: &Call<'_>) {
    let ns = u64::try_from(call.took.as_nanos()).unwrap_or(u64::MAX);
    overlay_probes::control_call(call.pid.unwrap_or(0), call.uid, call.status.as_u16(), ns, call.method, call.path);
}

/// The paths and their methods: what a refusal names. `docs/control-api.md` has the same; a test sees to both.
pub(super) const ROUTES: &[Route] = &[
    ("/v1/status", &["GET"]),
    ("/v1/overlays", &["GET", "POST"]),
    ("/v1/overlays/{name}", &["GET", "DELETE"]),
    ("/v1/overlays/{name}/properties", &["GET", "POST"]),
    ("/v1/overlays/{name}/targets", &["GET"]),
    ("/v1/overlays/{name}/targets/{mac}", &["PUT", "DELETE"]),
    ("/v1/overlays/{name}/flush", &["POST"]),
    ("/v1/overlays/{name}/trace", &["POST"]),
    ("/v1/overlays/{name}/traces", &["POST"]),
    ("/v1/overlays/{name}/ping", &["POST"]),
    ("/v1/vnics", &["GET", "POST"]),
    ("/v1/vnics/{name}", &["GET", "DELETE"]),
    ("/v1/vnics/{name}/properties", &["GET", "POST"]),
    ("/v1/events", &["GET"]),
    ("/metrics", &["GET"]),
];

/// All of them, with who does it.
pub(super) fn router<R: Rooms>(api: Shared<R>) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status::<R>))
        .route("/v1/overlays", get(overlays::<R>).post(create_overlay::<R>))
        .route("/v1/overlays/{name}", get(overlay::<R>).delete(delete_overlay::<R>))
        .route("/v1/overlays/{name}/properties", get(overlay_properties::<R>).post(set_overlay_property::<R>))
        .route("/v1/overlays/{name}/targets", get(targets::<R>))
        .route("/v1/overlays/{name}/targets/{mac}", put(set_target::<R>).merge(delete(remove_target::<R>)))
        .route("/v1/overlays/{name}/flush", post(flush::<R>))
        .route("/v1/overlays/{name}/trace", post(trace::<R>))
        .route("/v1/overlays/{name}/traces", post(traces::<R>))
        .route("/v1/overlays/{name}/ping", post(ping::<R>))
        .route("/v1/vnics", get(vnics::<R>).post(create_vnic::<R>))
        .route("/v1/vnics/{name}", get(vnic::<R>).delete(delete_vnic::<R>))
        .route("/v1/vnics/{name}/properties", get(vnic_properties::<R>).post(set_vnic_property::<R>))
        .route("/v1/events", get(all_events::<R>))
        .route("/metrics", get(all_metrics::<R>));
    with_refusals(router, ROUTES).with_state(api)
}

async fn status<R: Rooms>(State(api): State<Shared<R>>) -> Answered {
    let mut status = api.rooms.status().await?;
    status.refused_calls = api.refused();
    ok(&status)
}

/// The rows, unless the caller has them already, and their generation.
fn listed<S, T: Serialize>(query: &ListQuery<S>, part: Part<T>) -> Answered {
    let mut answer = if query.since == Some(part.generation) { unchanged() } else { ok(&part.rows) }?;
    answer.headers_mut().insert(GENERATION_HEADER, HeaderValue::from(part.generation));
    Ok(answer)
}

async fn overlays<R: Rooms>(State(api): State<Shared<R>>, Asked(query): Asked<OverlayQuery>) -> Answered {
    listed(&query, query.part(api.rooms.overlays().await?))
}

async fn overlay<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    ok(&api.rooms.overlay(name).await?)
}

async fn create_overlay<R: Rooms>(_: Operator, State(api): State<Shared<R>>, Json(new): Json<NewOverlay>) -> Answered {
    created(&api.rooms.create_overlay(new).await?)
}

async fn delete_overlay<R: Rooms>(_: Operator, State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    api.rooms.delete_overlay(name).await?;
    done()
}

async fn overlay_properties<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    ok(&api.rooms.overlay_properties(name).await?)
}

async fn set_overlay_property<R: Rooms>(
    _: Operator,
    State(api): State<Shared<R>>,
    Named(name): Named,
    Json(set): Json<SetProperty>,
) -> Answered {
    ok(&api.rooms.set_overlay_property(name, set).await?)
}

async fn targets<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named, Asked(query): Asked<TargetQuery>) -> Answered {
    ok(&api.rooms.targets(name, query).await?)
}

async fn set_target<R: Rooms>(
    _: Operator,
    State(api): State<Shared<R>>,
    NamedTarget(name, mac): NamedTarget,
    Json(set): Json<SetTarget>,
) -> Answered {
    api.rooms.set_target(name, mac, set).await?;
    done()
}

async fn remove_target<R: Rooms>(_: Operator, State(api): State<Shared<R>>, NamedTarget(name, mac): NamedTarget) -> Answered {
    api.rooms.remove_target(name, mac).await?;
    done()
}

async fn flush<R: Rooms>(_: Operator, State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    ok(&api.rooms.flush(name).await?)
}

/// It has a body, so it is a POST, but it changes nothing: everybody may.
async fn trace<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named, Json(request): Json<TraceRequest>) -> Answered {
    ok(&api.rooms.trace(name, request).await?)
}

/// As [`trace`], for many.
async fn traces<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named, Json(request): Json<TracesRequest>) -> Answered {
    ok(&api.rooms.traces(name, request).await?)
}

/// It changes nothing here, but it sends.
async fn ping<R: Rooms>(_: Operator, State(api): State<Shared<R>>, Named(name): Named, Json(request): Json<PingRequest>) -> Answered {
    Ok(lines_of(&api, api.rooms.ping(name, request).await?))
}

async fn vnics<R: Rooms>(State(api): State<Shared<R>>, Asked(query): Asked<VnicQuery>) -> Answered {
    listed(&query, query.part(api.rooms.vnics().await?))
}

async fn vnic<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    ok(&api.rooms.vnic(name).await?)
}

async fn create_vnic<R: Rooms>(_: Operator, State(api): State<Shared<R>>, Json(new): Json<NewVnic>) -> Answered {
    created(&api.rooms.create_vnic(new).await?)
}

async fn delete_vnic<R: Rooms>(_: Operator, State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    api.rooms.delete_vnic(name).await?;
    done()
}

async fn vnic_properties<R: Rooms>(State(api): State<Shared<R>>, Named(name): Named) -> Answered {
    ok(&api.rooms.vnic_properties(name).await?)
}

async fn set_vnic_property<R: Rooms>(
    _: Operator,
    State(api): State<Shared<R>>,
    Named(name): Named,
    Json(set): Json<SetProperty>,
) -> Answered {
    ok(&api.rooms.set_vnic_property(name, set).await?)
}

async fn all_events<R: Rooms>(State(api): State<Shared<R>>) -> Answered {
    let missed = |missed| Event { timestamp: SystemTime::now().into(), what: Happening::Missed { missed } };
    Ok(lines(&api, api.rooms.events(), missed))
}

async fn all_metrics<R: Rooms>(State(api): State<Shared<R>>) -> Answered {
    let mut status = api.rooms.status().await?;
    status.refused_calls = api.refused();
    Ok(page(metrics::numbers(&status, &api.rooms.overlays().await?, &api.rooms.vnics().await?)))
}
