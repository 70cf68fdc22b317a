//! What happens, as it happens: a line of JSON each, until the reader hangs up or the daemon ends.

use axum::body::{Body, Bytes};
use futures_util::stream;
use overlay_api::control::{Event, Happening, Timestamp};
use std::convert::Infallible;
use std::time::SystemTime;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// The body of `GET /v1/events`. The reader's own pace holds it up; what it misses by that is one line that says how much.
pub(super) fn body(events: Receiver<Event>, stop: watch::Receiver<bool>) -> Body {
    Body::from_stream(stream::unfold((events, stop), |(mut events, mut stop)| async move {
        let event = tokio::select! {
            event = events.recv() => event,
            // Also when whoever could say so is gone.
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => Event { timestamp: Timestamp::from(SystemTime::now()), what: Happening::Missed { missed } },
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, Infallible>(line(&event)), (events, stop)))
    }))
}

fn line(event: &Event) -> Bytes {
    // Nothing of an event cannot be written; an empty line would be skipped by its reader.
    let mut bytes = serde_json::to_vec(event).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
