//! What does a program say to a daemon of the suite? Calls with types, over the control socket, one connection each.
//!
//! ```text
//!  Client::status, overlays, create_vnic ..  ─► calls ─► http: one request, one answer
//!  Client::events                            ─► stream: lines, as they come
//!  VarpdClient::status, instances ..         ─► varpd: the same for the daemon that answers lookups
//! ```
//!
//! It blocks; a program with other things to do has a thread for it. Each error is a sentence for the user ([`ClientError`]): that the daemon
//! is not there, that it refused and why, or what is wrong with its answer.
//!
//! ```no_run
//! use overlay_api::Paths;
//! use overlay_client::Client;
//!
//! let client = Client::overlayd(&Paths::system());
//! for overlay in client.overlays()? {
//!     println!("{} {}", overlay.name, overlay.state);
//! }
//! # Ok::<(), overlay_client::ClientError>(())
//! ```
#![forbid(unsafe_code)]

mod calls;
mod error;
mod http;
mod stream;
mod varpd;

pub use error::ClientError;
pub use stream::{Events, Hangup};
pub use varpd::VarpdClient;

use overlay_api::Paths;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer is waited for, unless [`Client::with_timeout`] says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A daemon to call. It holds no connection: a daemon that restarts is not noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// The daemon's name, for sentences.
    daemon: &'static str,
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// overlayd, where it listens by `paths`.
    #[must_use]
    pub fn overlayd(paths: &Paths) -> Self {
        Self::new("overlayd", paths.overlayd_socket())
    }

    /// The daemon called `daemon` that listens at `socket`.
    #[must_use]
    pub fn new(daemon: &'static str, socket: impl Into<PathBuf>) -> Self {
        Self { daemon, socket: socket.into(), timeout: TIMEOUT }
    }

    /// The same, with another time to wait for each part of an answer. Zero is taken as one millisecond.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}
