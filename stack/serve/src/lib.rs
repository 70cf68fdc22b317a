//! How is a daemon of the suite called? HTTP and JSON on a Unix socket: everything of it that does not depend on which calls there are.
//!
//! ```text
//!  curl, overlayadm ──► socket ──► serve ──► the daemon's router ──► whoever does it (`R`)
//!                       (who may    (one task  │ answer:  JSON in and out, each refusal a Problem
//!                        open it)    each)     │ peer:    who may change something
//!                                              │ routes:  paths and methods that there are not
//!                                              │ events:  lines of what happens
//!                                              └ metrics: numbers for Prometheus
//! ```
//!
//! All of it is one thread of its own. Nothing here decides what a call does; it only checks what can be said without knowing that: the
//! body's form and size, and whether the caller may.

mod answer;
mod called;
mod events;
mod groups;
mod metrics;
mod patient;
mod peer;
mod routes;
mod serve;
mod socket;

pub use answer::{Answered, Asked, Json, Named, NamedTarget, Refused, created, done, ok, unchanged};
pub use called::{Call, Called};
pub use events::{lines, lines_of};
pub use metrics::{Page, page};
pub use peer::{Operator, Peer};
pub use routes::{Route, with_refusals};
pub use serve::{Api, ApiThread, Patience, Shared, start, start_with};
pub use socket::{ControlSocket, SocketError, group_id};
