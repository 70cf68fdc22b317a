//! What happens, as it happens? Lines of JSON, until the daemon ends or the connection is hung up.

use crate::Client;
use crate::error::{ClientError, is_timeout};
use crate::http::Response;
use overlay_api::LinkName;
use overlay_api::control::{Event, PingEvent, PingRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Read};
use std::marker::PhantomData;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longest line in bytes.
const LINE_MAX_BYTES: usize = 1 << 20;

/// What happens, as it happens: events of overlayd, or those of another daemon. It ends when the daemon does; an error is the last item.
#[derive(Debug)]
pub struct Events<T = Event> {
    client: Client,
    response: Response,
    /// What has come and has not been shown.
    bytes: Vec<u8>,
    over: bool,
    kind: PhantomData<fn() -> T>,
}

/// Ends a stream of events from another thread.
#[derive(Debug)]
pub struct Hangup(UnixStream);

impl Hangup {
    /// Ends it: whoever waits for the next event is told that there is none.
    pub fn hang_up(&self) {
        // It fails where the daemon has hung up already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Client {
    /// What happens from now on.
    ///
    /// # Errors
    /// The daemon cannot be asked, or refuses.
    pub fn events(&self) -> Result<Events, ClientError> {
        self.events_of()
    }

    /// Pings another end: what happens, as it happens; the last is [`PingEvent::End`].
    ///
    /// # Errors
    /// The daemon cannot be asked, or refuses.
    pub fn ping(&self, overlay: &LinkName, request: &PingRequest) -> Result<Events<PingEvent>, ClientError> {
        self.stream("POST", &format!("/v1/overlays/{overlay}/ping"), Some(request))
    }

    /// The same of any daemon.
    pub(crate) fn events_of<T: DeserializeOwned>(&self) -> Result<Events<T>, ClientError> {
        self.stream("GET", "/v1/events", None::<&()>)
    }

    fn stream<T: DeserializeOwned>(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Result<Events<T>, ClientError> {
        let response = self.send(method, path, body)?;
        // Nothing may happen for a long time.
        response.connection().set_read_timeout(None).map_err(|source| self.broken("waiting for events", source))?;
        Ok(Events { client: self.clone(), response, bytes: Vec::new(), over: false, kind: PhantomData })
    }
}

impl<T: DeserializeOwned> Events<T> {
    /// What ends it.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn hangup(&self) -> Result<Hangup, ClientError> {
        self.response.connection().try_clone().map(Hangup).map_err(|source| self.client.broken("waiting for events", source))
    }

    /// The next event, if it comes within `timeout`: `Ok(None)` is that it did not come, or that there is none any more
    /// ([`Events::is_over`]).
    ///
    /// # Errors
    /// The connection broke, or what came is no event. It is over then.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<T>, ClientError> {
        self.wait_at_most(Some(timeout.max(Duration::from_millis(1))))?;
        match self.next_event() {
            Err(ClientError::Broken { source, .. }) if is_timeout(&source) => Ok(None),
            Err(error) => {
                self.over = true;
                Err(error)
            }
            Ok(event) => Ok(event),
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn wait_at_most(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.response.connection().set_read_timeout(timeout).map_err(|source| self.client.broken("waiting for events", source))
    }

    fn next_event(&mut self) -> Result<Option<T>, ClientError> {
        let mut seen = 0;
        while !self.over {
            if let Some(end) = self.bytes[seen..].iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=seen + end).collect();
                seen = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let event = serde_json::from_slice(&line);
                return event.map(Some).map_err(|error| self.client.not_understood(format!("an event: {error}")));
            }
            seen = self.bytes.len();
            if seen > LINE_MAX_BYTES {
                return Err(self.client.not_understood(format!("an event is longer than {LINE_MAX_BYTES} bytes")));
            }
            let mut buffer = [0; 4096];
            match self.response.read(&mut buffer) {
                Ok(0) => self.over = true,
                Ok(read) => self.bytes.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.client.broken("waiting for events", source)),
            }
        }
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let source = io::Error::new(ErrorKind::UnexpectedEof, "it was closed in the middle of an event");
        self.bytes.clear();
        Err(self.client.broken("waiting for events", source))
    }
}

impl<T: DeserializeOwned> Iterator for Events<T> {
    type Item = Result<T, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let event = self.wait_at_most(None).and_then(|()| self.next_event());
        if event.is_err() {
            self.over = true;
        }
        event.transpose()
    }
}
