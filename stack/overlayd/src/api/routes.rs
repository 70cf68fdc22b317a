//! Which paths are there, and who does what they ask?

use super::answer::{Answered, Asked, Json, Named, NamedTarget, Refused, created, done, no_method, no_path, ok};
use super::peer::Operator;
use super::serve::Patience;
use super::{Rooms, events, metrics};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Uri};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use overlay_api::control::{BODY_MAX_BYTES, ListQuery, NewOverlay, NewVnic, SetProperty, SetTarget, TargetQuery, TraceRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::watch;

/// What all calls share.
#[derive(Debug)]
pub(super) struct Api<R> {
    pub(super) rooms: Arc<R>,
    /// The group that may change things.
    pub(super) gid: u32,
    /// How long a body is waited for.
    pub(super) patience: Patience,
    /// Calls that were refused because of who made them.
    pub(super) refused: AtomicU64,
    /// Says that it is over.
    pub(super) stop: watch::Receiver<bool>,
}

pub(super) type Shared<R> = Arc<Api<R>>;

/// The paths and their methods: what a refusal names. `docs/control-api.md` has the same; a test sees to both.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("/v1/status", &["GET"]),
    ("/v1/overlays", &["GET", "POST"]),
    ("/v1/overlays/{name}", &["GET", "DELETE"]),
    ("/v1/overlays/{name}/properties", &["GET", "POST"]),
    ("/v1/overlays/{name}/targets", &["GET"]),
    ("/v1/overlays/{name}/targets/{mac}", &["PUT", "DELETE"]),
    ("/v1/overlays/{name}/flush", &["POST"]),
    ("/v1/overlays/{name}/trace", &["POST"]),
    ("/v1/vnics", &["GET", "POST"]),
    ("/v1/vnics/{name}", &["GET", "DELETE"]),
    ("/v1/vnics/{name}/properties", &["GET", "POST"]),
    ("/v1/events", &["GET"]),
    ("/metrics", &["GET"]),
];

/// All of them, with who does it.
pub(super) fn router<R: Rooms>(api: Shared<R>) -> Router {
    Router::new()
        .route("/v1/status", get(status::<R>))
        .route("/v1/overlays", get(overlays::<R>).post(create_overlay::<R>))
        .route("/v1/overlays/{name}", get(overlay::<R>).delete(delete_overlay::<R>))
        .route("/v1/overlays/{name}/properties", get(overlay_properties::<R>).post(set_overlay_property::<R>))
        .route("/v1/overlays/{name}/targets", get(targets::<R>))
        .route("/v1/overlays/{name}/targets/{mac}", put(set_target::<R>).merge(delete(remove_target::<R>)))
        .route("/v1/overlays/{name}/flush", post(flush::<R>))
        .route("/v1/overlays/{name}/trace", post(trace::<R>))
        .route("/v1/vnics", get(vnics::<R>).post(create_vnic::<R>))
        .route("/v1/vnics/{name}", get(vnic::<R>).delete(delete_vnic::<R>))
        .route("/v1/vnics/{name}/properties", get(vnic_properties::<R>).post(set_vnic_property::<R>))
        .route("/v1/events", get(all_events::<R>))
        .route("/metrics", get(all_metrics::<R>))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(api)
}

async fn unknown_path(uri: Uri) -> Refused {
    no_path(uri.path(), ROUTES.iter().map(|(path, _)| *path))
}

async fn unknown_method(method: Method, uri: Uri) -> Refused {
    let route = ROUTES.iter().find(|(pattern, _)| fits(pattern, uri.path()));
    no_method(&method, uri.path(), route.map_or(&[], |(_, methods)| methods))
}

/// Whether a path is one of a pattern whose parts in braces stand for any text.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut parts, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (parts.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(text)) if part == text || (part.starts_with('{') && !text.is_empty()) => {}
            _ => return false,
        }
    }
}

async fn status<R: Rooms>(State(api): State<Shared<R>>) -> Answered {
    let mut status = api.rooms.status().await?;
    status.refused_calls = api.refused.load(Relaxed);
    ok(&status)
}

async fn overlays<R: Rooms>(State(api): State<Shared<R>>, Asked(query): Asked<ListQuery>) -> Answered {
    ok(&query.part(api.rooms.overlays().await?, |overlay| &overlay.name))
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

async fn vnics<R: Rooms>(State(api): State<Shared<R>>, Asked(query): Asked<ListQuery>) -> Answered {
    ok(&query.part(api.rooms.vnics().await?, |vnic| &vnic.name))
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
    let body = events::body(api.rooms.events(), api.stop.clone());
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))], body).into_response())
}

async fn all_metrics<R: Rooms>(State(api): State<Shared<R>>) -> Answered {
    let mut status = api.rooms.status().await?;
    status.refused_calls = api.refused.load(Relaxed);
    let text = metrics::text(&status, &api.rooms.overlays().await?, &api.rooms.vnics().await?);
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_pattern_only() {
        let of = |path: &str| ROUTES.iter().find(|(pattern, _)| fits(pattern, path)).map(|(pattern, _)| *pattern);
        assert_eq!(of("/v1/overlays"), Some("/v1/overlays"));
        assert_eq!(of("/v1/overlays/ov0"), Some("/v1/overlays/{name}"));
        assert_eq!(of("/v1/overlays/ov0/targets/2:8:20:a:0:1"), Some("/v1/overlays/{name}/targets/{mac}"));
        for path in ["", "/", "/v1", "/v1/overlays/", "/v1/overlays//targets", "/v1/status/x", "v1/status"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
