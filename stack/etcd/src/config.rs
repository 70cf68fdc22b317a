//! Where is the store, and how is it reached?

use crate::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How often an open connection is asked whether the other end is there, and how long it has for that. The store hangs up on who asks
/// more often than every 5 s.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of a certificate file, at most.
const PEM_MAX: u64 = 1 << 20;

/// The endpoint of a store on this host: where it is asked unless told otherwise.
pub const ENDPOINT: &str = "http://127.0.0.1:2379";

/// Bytes of a password file, at most.
const PASSWORD_MAX: u64 = 4096;

/// The endpoints in a text with commas between them.
#[must_use]
pub fn endpoints(text: &str) -> Vec<String> {
    text.split(',').map(|endpoint| endpoint.trim().to_owned()).collect()
}

/// The password on the first line of a file.
///
/// # Errors
/// [`Error::Config`] with the file: it cannot be read, is too large, or has no password.
pub fn password(path: &Path) -> Result<String, Error> {
    let wrong = |why: String| Error::Config(format!("{}: {why}", path.display()));
    let unread = |error: io::Error| wrong(format!("cannot be read: {error}"));
    let size = fs::metadata(path).map_err(unread)?.len();
    if size > PASSWORD_MAX {
        return Err(wrong(format!("{size} bytes; {PASSWORD_MAX} is the most for a password")));
    }
    let text = fs::read_to_string(path).map_err(unread)?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(wrong("there is no password on its first line".to_owned())),
    }
}

/// Where the store is, and who asks.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `http://HOST:PORT` or `https://HOST:PORT`, at least one: members of one cluster.
    pub endpoints: Vec<String>,
    /// A user, where the store asks for one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A file with certificates of authorities, PEM, that sign the store's. Needed for https.
    pub ca: Option<PathBuf>,
    /// A file with our own certificate, PEM; with `key`.
    pub cert: Option<PathBuf>,
    /// A file with the key of our certificate, PEM.
    pub key: Option<PathBuf>,
}

impl std::fmt::Debug for Config {
    /// All but the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoints, user, password: _, ca, cert, key } = self;
        f.debug_struct("Config")
            .field("endpoints", endpoints)
            .field("user", user)
            .field("ca", ca)
            .field("cert", cert)
            .field("key", key)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A connection for each endpoint, made when it is used.
    ///
    /// # Errors
    /// Those of [`Config::check`].
    pub(crate) fn channels(&self) -> Result<Vec<(String, Channel)>, Error> {
        self.check()?;
        self.endpoints.iter().map(|name| Ok((name.clone(), self.endpoint(name)?.connect_lazy()))).collect()
    }

    /// Whether a client can be made of it. Nobody is asked; it needs no runtime.
    ///
    /// # Errors
    /// [`Error::Config`] without an endpoint, for one that is no `http://HOST:PORT` or `https://HOST:PORT`, for a file that cannot be read,
    /// holds no PEM, or is missing.
    pub fn check(&self) -> Result<(), Error> {
        if self.endpoints.is_empty() {
            return Err(Error::Config("no endpoint; at least one is needed, as in http://127.0.0.1:2379".to_owned()));
        }
        self.endpoints.iter().try_for_each(|name| self.endpoint(name).map(drop))
    }

    fn endpoint(&self, endpoint: &str) -> Result<Endpoint, Error> {
        let wrong = || Error::Config(format!("{endpoint}: not an endpoint; http://HOST:PORT and https://HOST:PORT are"));
        let (scheme, place) = endpoint.split_once("://").ok_or_else(wrong)?;
        let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") || host.is_empty() || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        let channel = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| wrong())?;
        let channel = channel
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ALIVE_EVERY)
            .keep_alive_timeout(ALIVE_WITHIN)
            .keep_alive_while_idle(true)
            // A page of the mapping is a megabyte: the window must not be what it waits for.
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20);
        if scheme == "https" { channel.tls_config(self.tls(endpoint)?).map_err(|error| unusable(&error)) } else { Ok(channel) }
    }

    fn tls(&self, endpoint: &str) -> Result<ClientTlsConfig, Error> {
        let ca = self.ca.as_ref();
        let ca =
            ca.ok_or_else(|| Error::Config(format!("{endpoint} needs etcd/ca: a file with the authorities that sign its certificate")))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(ca, "CERTIFICATE")?));
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(tls.identity(Identity::from_pem(pem(cert, "CERTIFICATE")?, pem(key, "PRIVATE KEY")?))),
            (None, None) => Ok(tls),
            (Some(_), None) => Err(Error::Config("etcd/cert without etcd/key; both are needed, or none".to_owned())),
            (None, Some(_)) => Err(Error::Config("etcd/key without etcd/cert; both are needed, or none".to_owned())),
        }
    }
}

fn unusable(error: &tonic::transport::Error) -> Error {
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Error::Config(format!("the certificates cannot be used: {reason}"))
}

/// The text of a file that holds something of this label.
fn pem(path: &Path, label: &str) -> Result<String, Error> {
    let shown = path.display();
    let size = fs::metadata(path).map_err(|error| Error::Config(format!("{shown}: {error}")))?.len();
    if size > PEM_MAX {
        return Err(Error::Config(format!("{shown}: {size} bytes; {PEM_MAX} is the most for certificates")));
    }
    let text = fs::read_to_string(path).map_err(|error| Error::Config(format!("{shown}: {error}")))?;
    if text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(label)) {
        Ok(text)
    } else {
        Err(Error::Config(format!("{shown}: no {label} in it; PEM is needed")))
    }
}
