//! What changes in the store? A stream that ends with a reason, and never silently.

use crate::wire::{self, EVENT_DELETE, WatchOf, WatchRequest, WatchResponse};
use crate::{Entry, Error};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Streaming;

/// A change of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It was written.
    Put(Entry),
    /// It went away: deleted, or with its lease.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// Changes of one revision or of several, in order; all of those revisions' changes that were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// The revision that all changes up to it are known of now: a new watch begins at the next one.
    pub revision: i64,
    /// What changed; empty where the store only says that it is there.
    pub changes: Vec<Change>,
}

/// Follows a part of the store.
#[derive(Debug)]
pub struct Watch {
    endpoint: String,
    answers: Streaming<WatchResponse>,
    requests: mpsc::Sender<WatchRequest>,
    /// The changes of revisions that are not whole yet.
    begun: Vec<Change>,
    /// The last revision of which a change was seen.
    seen: i64,
}

impl Watch {
    pub(crate) const fn new(endpoint: String, answers: Streaming<WatchResponse>, requests: mpsc::Sender<WatchRequest>) -> Self {
        Self { endpoint, answers, requests, begun: Vec::new(), seen: 0 }
    }

    /// The endpoint that it is at.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next changes. A store that is silent for `patience` is asked whether it is there; after as long again without a word it is away.
    ///
    /// # Errors
    /// [`Error::Compacted`] where changes that were asked for are no longer kept: all has to be read anew. [`Error::Away`] when the stream
    /// ends, in whatever way; [`Error::Deadline`] for silence; others as the store says. After an error there are no more changes.
    pub async fn next(&mut self, patience: Duration) -> Result<Changes, Error> {
        let mut asked = false;
        loop {
            let message = match tokio::time::timeout(patience, self.answers.message()).await {
                Ok(message) => message.map_err(|status| Error::of(&status, &self.endpoint))?,
                Err(_) if asked => return Err(Error::Deadline(format!("{} is silent", self.endpoint))),
                Err(_) => {
                    asked = true;
                    let progress = WatchRequest { request: Some(WatchOf::Progress(wire::WatchProgressRequest {})) };
                    // A full queue means that the one before was not even taken.
                    let _ = self.requests.try_send(progress);
                    continue;
                }
            };
            // A clean end of the stream is a failure like any other: who takes it for none is deaf from then on.
            let message = message.ok_or_else(|| Error::Away(format!("{} ended the watch", self.endpoint)))?;
            if let Some(changes) = self.take(message)? {
                return Ok(changes);
            }
        }
    }

    /// What a message says, if it is whole.
    fn take(&mut self, message: WatchResponse) -> Result<Option<Changes>, Error> {
        if message.compact_revision > 0 {
            return Err(Error::Compacted(message.compact_revision));
        }
        if message.canceled {
            let said = message.cancel_reason;
            let text = format!("{} ended the watch: {}", self.endpoint, if said.is_empty() { "no reason given" } else { &said });
            let by = |part: &str| said.contains(part);
            return Err(match () {
                () if by("permission denied") => Error::Permission(text),
                () if by("auth token") || by("user name is empty") || by("revision of auth") => Error::Credentials(text),
                () if by("compacted") => Error::Compacted(0),
                () => Error::Away(text),
            });
        }
        for event in message.events {
            let Some(found) = event.kv else { continue };
            self.seen = self.seen.max(found.mod_revision);
            self.begun.push(if event.kind == EVENT_DELETE { Change::Delete { key: found.key } } else { Change::Put(found.into()) });
        }
        if message.fragment {
            return Ok(None);
        }
        // The revision of the head may be ahead of changes that are still to come (etcd issue 15220): only what was seen counts.
        Ok(Some(Changes { revision: self.seen, changes: std::mem::take(&mut self.begun) }))
    }
}
