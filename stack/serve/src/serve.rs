//! How is the API kept going, whoever connects? A thread with a small runtime; a task for each connection.

use crate::called::{Begun, Called};
use crate::patient::Patient;
use crate::{ControlSocket, Peer};
use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};

/// Largest head of a request in bytes.
const HEAD_MAX_BYTES: usize = 32 * 1024;
/// How long to wait before the next attempt when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much of others' slowness is borne.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Connections at one time. More wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may have nothing to ask.
    pub head: Duration,
    /// How long a request's body may take.
    pub body: Duration,
    /// How long a reader may take nothing of its answer. It has all of it then, or nothing more.
    pub answer: Duration,
    /// How long calls that have begun are waited for at the end.
    pub end: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            end: Duration::from_secs(2),
        }
    }
}

/// What all calls share.
#[derive(Debug)]
pub struct Api<R> {
    /// Who does what is asked.
    pub rooms: Arc<R>,
    gid: u32,
    patience: Patience,
    /// Calls that were refused because of who made them.
    refused: AtomicU64,
    stop: watch::Receiver<bool>,
}

/// The state of the routes.
pub type Shared<R> = Arc<Api<R>>;

impl<R> Api<R> {
    /// The group that may change things.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// How much of others' slowness is borne.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Calls that were refused because of who made them.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Says that it is over.
    pub(crate) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }
}

/// The API, running.
#[derive(Debug)]
pub struct ApiThread {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl ApiThread {
    /// Ends it: the socket is gone at once, calls that have begun get a moment to end. Streams of events end.
    pub fn stop(self) {
        // It fails if the thread has ended, which is what is wanted.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the control socket's thread has panicked");
        }
    }
}

/// Answers what comes over `socket` from now on by the routes of `router`, and tells `called` of each, until [`ApiThread::stop`] or the end of what this returns.
///
/// # Errors
/// The system has no thread or no descriptor left.
pub fn start<R: Send + Sync + 'static>(
    socket: ControlSocket,
    rooms: Arc<R>,
    router: impl FnOnce(Shared<R>) -> Router + Send + 'static,
    called: Called,
) -> io::Result<ApiThread> {
    start_with(socket, rooms, router, called, Patience::default())
}

/// As [`start`], with other bounds.
///
/// # Errors
/// As [`start`].
pub fn start_with<R: Send + Sync + 'static>(
    socket: ControlSocket,
    rooms: Arc<R>,
    router: impl FnOnce(Shared<R>) -> Router + Send + 'static,
    called: Called,
    patience: Patience,
) -> io::Result<ApiThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let listener = {
        let _inside = runtime.enter();
        UnixListener::from_std(socket.listener()?)?
    };
    let thread = Builder::new().name("api".to_owned()).spawn(move || {
        let api = Api { rooms, gid: socket.gid(), patience, refused: AtomicU64::new(0), stop: stopped.clone() };
        let router = router(Arc::new(api));
        runtime.block_on(serve(listener, socket, router, called, patience, stopped));
        // What is left are connections that had their time.
        runtime.shutdown_background();
    })?;
    Ok(ApiThread { stop, thread })
}

async fn serve(
    listener: UnixListener,
    socket: ControlSocket,
    router: Router,
    called: Called,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(patience.connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience.head).max_header_size(HEAD_MAX_BYTES);
    loop {
        let accepted = tokio::select! {
            accepted = async {
                // The semaphore is never closed, so this is a place.
                let place = Arc::clone(&places).acquire_owned().await.ok();
                (listener.accept().await, place)
            } => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, place) = match accepted {
            (Ok((stream, _)), place) => (stream, place),
            (Err(error), _) => {
                tracing::warn!("control socket: cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match Peer::of(&stream) {
            Ok(peer) => Arc::new(peer),
            Err(error) => {
                tracing::warn!("control socket: cannot tell who is at the other end: {error}; the connection is closed");
                continue;
            }
        };
        let routes = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let begun = Begun { method: request.method().clone(), uri: request.uri().clone(), at: Instant::now() };
            let peer = Arc::clone(&peer);
            request.extensions_mut().insert(Arc::clone(&peer));
            let answer = routes.call(request);
            async move {
                let answer = answer.await?;
                begun.answered(&peer, answer.status(), called);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Patient::new(stream, patience.answer)), service));
        tokio::spawn(async move {
            // Hung up, too slow, not HTTP: the other end's business.
            if let Err(error) = connection.await {
                tracing::debug!("control socket: {error}");
            }
            drop(place);
        });
    }
    drop((listener, socket));
    if tokio::time::timeout(patience.end, graceful.shutdown()).await.is_err() {
        tracing::warn!("control socket: calls that did not end within {:?} are cut off", patience.end);
    }
}
