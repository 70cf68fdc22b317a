//! How is a request sent and an answer read? As much of HTTP/1.1 (RFC 9112) as one request on one connection needs.
//!
//! A body is as long as its Content-Length says, or comes in chunks, or ends with the connection. Everything has a bound, so that
//! whatever listens there cannot make this grow or wait without end.

use crate::Client;
use crate::error::ClientError;
use overlay_api::control::{GENERATION_HEADER, Problem, ProblemKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Largest head of an answer in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Most header fields of an answer.
const FIELDS_MAX: usize = 64;
/// Largest answer in bytes: four times the largest page of targets.
const BODY_MAX_BYTES: u64 = 128 << 20;
/// Longest line before or after a chunk, in bytes.
const LINE_MAX_BYTES: usize = 1024;

/// Where in a body the reader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// So many bytes are left, and it is over then.
    Exactly(u64),
    /// Until the connection ends.
    ToTheEnd,
    /// Before the line that says how long the next chunk is.
    ChunkSize,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// Before the line break that ends a chunk.
    ChunkEnd,
    /// In the lines after the last chunk.
    Trailer,
    /// It is over.
    Over,
}

/// An answer whose head has been read. Reading on after a timeout loses nothing.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The generation of the list that it is, if it is one.
    pub(crate) generation: Option<u64>,
    stream: BufReader<UnixStream>,
    place: Place,
    /// The part of a chunk's line that has come so far.
    line: Vec<u8>,
}

impl Client {
    /// Asks, and reads the answer as a `T`.
    pub(crate) fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Result<T, ClientError> {
        let bytes = self.ask_for_bytes(method, path, body)?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(format!("{method} {path}: {error}")))
    }

    /// Asks, and does not care for the answer but that it is good.
    pub(crate) fn tell(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Result<(), ClientError> {
        self.ask_for_bytes(method, path, body).map(drop)
    }

    pub(crate) fn ask_for_bytes(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Result<Vec<u8>, ClientError> {
        let response = self.send(method, path, body)?;
        self.read_all(response)
    }

    /// Asks, and comes back with an answer whose status is good and whose body has not been read.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Result<Response, ClientError> {
        let body = match body {
            Some(body) => {
                serde_json::to_vec(body).map_err(|error| self.not_understood(format!("the request cannot be written: {error}")))?
            }
            None => Vec::new(),
        };
        let mut stream = self.connect()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.daemon,
            body.len()
        );
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        // A daemon that refuses without reading the body has answered and closed: the answer says more than the broken pipe.
        let sent = match sent {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Some(error),
            other => {
                other.map_err(|source| self.broken("sending the request", source))?;
                None
            }
        };
        let response = self.read_head(stream).map_err(|error| match sent {
            Some(source) => self.broken("sending the request", source),
            None => error,
        })?;
        // 304: what was asked for is what the caller has.
        if (200..300).contains(&response.status) || response.status == 304 { Ok(response) } else { Err(self.refused(response)) }
    }

    fn connect(&self) -> Result<UnixStream, ClientError> {
        let (daemon, socket) = (self.daemon, self.socket.clone());
        let stream = UnixStream::connect(&socket).map_err(|source| match source.kind() {
            ErrorKind::PermissionDenied => ClientError::NotAllowed { daemon, socket, source },
            _ => ClientError::NotRunning { daemon, socket, source },
        })?;
        stream
            .set_read_timeout(Some(self.timeout))
            .and_then(|()| stream.set_write_timeout(Some(self.timeout)))
            .map_err(|source| self.broken("connecting", source))?;
        Ok(stream)
    }

    fn read_head(&self, stream: UnixStream) -> Result<Response, ClientError> {
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        // Up to the empty line. What follows it stays in the reader's buffer.
        loop {
            let room = (HEAD_MAX_BYTES - head.len()) as u64;
            let read = (&mut stream).take(room).read_until(b'\n', &mut head);
            let read = read.map_err(|source| self.broken("waiting for the answer", source))?;
            if head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n") {
                break;
            }
            if head.len() >= HEAD_MAX_BYTES {
                return Err(self.not_understood(format!("its head is larger than {HEAD_MAX_BYTES} bytes")));
            }
            if read == 0 {
                return Err(self.broken("waiting for the answer", cut_off()));
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        match parsed.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(self.not_understood("its head is no HTTP")),
            Err(error) => return Err(self.not_understood(format!("its head is no HTTP: {error}"))),
        }
        let status = parsed.code.unwrap_or(0);
        let place = body_of(status, parsed.headers).map_err(|problem| self.not_understood(problem))?;
        let field = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case(GENERATION_HEADER));
        let generation = field.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
        Ok(Response { status, generation, stream, place, line: Vec::new() })
    }

    fn refused(&self, response: Response) -> ClientError {
        let status = response.status;
        let bytes = match self.read_all(response) {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        let kind = ProblemKind::of_status(status);
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => ClientError::Refused(Problem { kind, ..problem }),
            // What HTTP itself refuses has no sentence.
            Err(_) => ClientError::Refused(Problem::new(kind, format!("{} refused the request with HTTP status {status}", self.daemon))),
        }
    }

    pub(crate) fn read_all(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        let read = (&mut response).take(BODY_MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| self.broken("reading the answer", source))?;
        if bytes.len() as u64 > BODY_MAX_BYTES {
            return Err(self.not_understood(format!("it is larger than {BODY_MAX_BYTES} bytes")));
        }
        Ok(bytes)
    }

    pub(crate) fn broken(&self, doing: &'static str, source: io::Error) -> ClientError {
        ClientError::Broken { daemon: self.daemon, doing, source }
    }

    pub(crate) fn not_understood(&self, problem: impl Into<String>) -> ClientError {
        ClientError::NotUnderstood { daemon: self.daemon, problem: problem.into() }
    }
}

/// RFC 9112 6.3.
fn body_of(status: u16, fields: &[httparse::Header<'_>]) -> Result<Place, String> {
    if status == 204 || status == 304 || (100..200).contains(&status) {
        return Ok(Place::Over);
    }
    let text = |name: &str| {
        let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| String::from_utf8_lossy(field.value).trim().to_ascii_lowercase())
    };
    match (text("transfer-encoding"), text("content-length")) {
        (Some(coding), _) if coding == "chunked" => Ok(Place::ChunkSize),
        (Some(coding), _) => Err(format!("its transfer coding is {coding:?}; chunked is understood")),
        (None, Some(length)) if length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(Place::Exactly).map_err(|_| format!("its length is {length:?}"))
        }
        (None, Some(length)) => Err(format!("its length is {length:?}")),
        (None, None) => Ok(Place::ToTheEnd),
    }
}

impl Response {
    /// The connection, for changes of its timeouts.
    pub(crate) fn connection(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    /// Goes on to the next bytes of the body (RFC 9112 7.1), and says how many there are at most; none if it is over.
    fn advance(&mut self) -> io::Result<Option<u64>> {
        let invalid = |problem: &'static str| io::Error::new(ErrorKind::InvalidData, problem);
        loop {
            self.place = match self.place {
                Place::Over | Place::Exactly(0) => return Ok(None),
                Place::Exactly(left) => return Ok(Some(left)),
                Place::ToTheEnd => return Ok(Some(u64::MAX)),
                Place::Chunk(0) => Place::ChunkEnd,
                Place::Chunk(left) => return Ok(Some(left)),
                Place::ChunkEnd => match self.next_line()?.as_slice() {
                    [] => Place::ChunkSize,
                    _ => return Err(invalid("a chunk is longer than it says")),
                },
                Place::ChunkSize => match chunk_size(&self.next_line()?) {
                    Some(0) => Place::Trailer,
                    Some(size) => Place::Chunk(size),
                    None => return Err(invalid("a chunk does not say how long it is")),
                },
                Place::Trailer => match self.next_line()?.as_slice() {
                    [] => Place::Over,
                    _ => Place::Trailer,
                },
            };
        }
    }

    /// A line, without its end. Of one that has not all come, what has is kept for the next call.
    fn next_line(&mut self) -> io::Result<Vec<u8>> {
        let room = LINE_MAX_BYTES.saturating_sub(self.line.len()) as u64;
        (&mut self.stream).take(room).read_until(b'\n', &mut self.line)?;
        let mut line = std::mem::take(&mut self.line);
        if line.pop() != Some(b'\n') {
            return Err(cut_off());
        }
        line.pop_if(|last| *last == b'\r');
        Ok(line)
    }
}

/// What the line before a chunk says. Extensions are ignored (RFC 9112 7.1.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii();
    let text = std::str::from_utf8(digits).ok()?;
    // from_str_radix alone would take a sign.
    if text.bytes().all(|b| b.is_ascii_hexdigit()) { u64::from_str_radix(text, 16).ok() } else { None }
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it was closed before the answer was complete")
}

/// The body.
impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.advance()? else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        match &mut self.place {
            Place::Exactly(_) | Place::Chunk(_) if read == 0 => return Err(cut_off()),
            Place::Exactly(left) | Place::Chunk(left) => *left -= read as u64,
            _ => {}
        }
        Ok(read)
    }
}
