//! Who has called what, and what came of it? For whoever watches: a daemon passes a function that is told of each call.

use crate::Peer;
use axum::http::{Method, StatusCode, Uri};
use std::time::Duration;

/// A call that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The process that called; none where it is not visible from here.
    pub pid: Option<u32>,
    /// The user that it runs as.
    pub uid: u32,
    /// What was to be done.
    pub method: &'a Method,
    /// Its path; a query is not part of it.
    pub path: &'a str,
    /// What came of it.
    pub status: StatusCode,
    /// From the end of the request's head to the beginning of the answer.
    pub took: Duration,
}

/// Is told of each call.
pub type Called = fn(&Call<'_>);

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) at: std::time::Instant,
}

impl Begun {
    /// It was answered.
    pub(crate) fn answered(&self, peer: &Peer, status: StatusCode, called: Called) {
        let pid = peer.pid.and_then(|pid| u32::try_from(pid).ok());
        called(&Call { pid, uid: peer.uid, method: &self.method, path: self.uri.path(), status, took: self.at.elapsed() });
    }
}
