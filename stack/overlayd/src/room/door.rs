//! How is the owner thread called? With a closure, whose result comes back.

use super::Room;
use crate::bell::Bell;
use std::fmt;
use std::sync::{Arc, mpsc};

/// A call: it has the room for itself while it runs.
pub(super) type Call = Box<dyn FnOnce(&mut Room) + Send>;

/// The way into the room, for any thread.
#[derive(Clone)]
pub(crate) struct Door {
    calls: mpsc::Sender<Call>,
    bell: Arc<Bell>,
}

/// The room is closed: the daemon is ending.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("overlayd is ending")
    }
}

impl Door {
    pub(super) fn new(calls: mpsc::Sender<Call>, bell: Arc<Bell>) -> Self {
        Self { calls, bell }
    }

    /// Calls, and waits for the result without holding up others.
    pub(crate) async fn ask<T: Send + 'static>(&self, call: impl FnOnce(&mut Room) -> T + Send + 'static) -> Result<T, Closed> {
        let (answer, result) = tokio::sync::oneshot::channel();
        // Who asked may have gone; what was asked is done all the same.
        self.call(move |room| drop(answer.send(call(room))))?;
        result.await.map_err(|_| Closed)
    }

    /// Calls, without waiting.
    pub(crate) fn call(&self, call: impl FnOnce(&mut Room) + Send + 'static) -> Result<(), Closed> {
        self.calls.send(Box::new(call)).map_err(|_| Closed)?;
        self.bell.ring();
        Ok(())
    }
}
