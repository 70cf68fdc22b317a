//! What do a daemon and its clients say to each other? The JSON of the control sockets: one type for each thing that goes over them.
//!
//! The daemon writes these, `overlay-client` reads them, `curl --unix-socket` shows them as they are. `docs/control-api.md` has the calls.
//!
//! ```text
//!  GET  /v1/status                          Status
//!  GET  /v1/overlays[/NAME]                 Overlay          POST NewOverlay
//!  GET  /v1/overlays/NAME/properties        Property         POST SetProperty
//!  GET  /v1/overlays/NAME/targets           TargetPage       PUT  SetTarget   (…/targets/MAC)
//!  POST /v1/overlays/NAME/flush             Flushed
//!  POST /v1/overlays/NAME/trace             TraceRequest  ►  Trace
//!  POST /v1/overlays/NAME/traces            TracesRequest ►  Trace, a list
//!  POST /v1/overlays/NAME/ping              PingRequest   ►  PingEvent, one a line
//!  GET  /v1/vnics[/NAME]                    Vnic             POST NewVnic
//!  GET  /v1/events                          Event, one a line
//!  any of them, refused                     Problem
//! ```
//!
//! What is asked (`New..`, `Set..`, queries) refuses keys that it does not know: they are slips of the pen. What is answered does not:
//! a client of today reads a daemon of tomorrow.

mod counters;
mod event;
mod list;
mod overlay;
mod ping;
mod problem;
mod property;
mod status;
mod target;
mod time;
mod trace;
mod varpd;
mod vnic;

pub use counters::Counters;
pub use event::{Event, Happening};
pub use list::{ListQuery, Listed, OverlayQuery, OverlaySort, Part, VnicQuery, VnicSort};
pub use overlay::{NewOverlay, Overlay, OverlayState, PluginWaits, Waits};
pub use ping::{PING_COUNT_MAX, PING_INTERVAL_MIN_MS, PING_WAIT_MAX_MS, PingEnd, PingEvent, PingRequest, PingTarget};
pub use problem::{Problem, ProblemKind};
pub use property::{Property, SetProperty};
pub use status::{Answerer, DropExample, Status};
pub use target::{Flushed, Order, Pager, SetTarget, TARGETS_DEFAULT, TARGETS_MAX, TargetPage, TargetQuery, TargetSort};
pub use time::Timestamp;
pub use trace::{FRAME_MAX_BYTES, FrameWords, TRACES_MAX, Trace, TraceFrame, TraceRequest, TracesRequest};
pub use varpd::{
    Clashes, InstanceCounters, InstanceState, InstanceStatus, LogLevel, LogSettings, OverlaydLink, PluginStatus, VarpdEvent,
    VarpdHappening, VarpdStatus,
};
pub use vnic::{NewVnic, Vnic, VnicState};

/// The header field of an answer that tells a list's generation.
pub const GENERATION_HEADER: &str = "overlay-generation";

/// Largest body of a request in bytes. A larger one is refused unread.
pub const BODY_MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
