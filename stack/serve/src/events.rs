//! What happens, as it happens: a line of JSON each, until the reader hangs up or the daemon ends.

use crate::Api;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use std::convert::Infallible;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// The answer to `GET /v1/events`. The reader's own pace holds it up; what it misses by that is one line, `missed`, that says how much.
pub fn lines<R, E: Serialize + Clone + Send + 'static>(api: &Api<R>, events: Receiver<E>, missed: fn(u64) -> E) -> Response {
    let body = Body::from_stream(stream::unfold((events, api.stop()), move |(mut events, mut stop)| async move {
        let event = tokio::select! {
            event = events.recv() => event,
            // Also when whoever could say so is gone.
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(count)) => missed(count),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, Infallible>(line(&event)), (events, stop)))
    }));
    ([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))], body).into_response()
}

/// An answer in lines that ends when there are no more: what one caller asked for, as it happens. A reader that hangs up is noticed by
/// whoever holds the other end of `events`.
pub fn lines_of<R, E: Serialize + Send + 'static>(api: &Api<R>, events: mpsc::Receiver<E>) -> Response {
    let body = Body::from_stream(stream::unfold((events, api.stop()), move |(mut events, mut stop)| async move {
        let event = tokio::select! {
            event = events.recv() => event?,
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        Some((Ok::<_, Infallible>(line(&event)), (events, stop)))
    }));
    ([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))], body).into_response()
}

fn line(event: &impl Serialize) -> Bytes {
    // Nothing of an event cannot be written; an empty line would be skipped by its reader.
    let mut bytes = serde_json::to_vec(event).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
