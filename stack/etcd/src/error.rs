//! Why could the store not be asked? Absence, refusal and damage are different things, and have different cures.

use std::error::Error as _;
use std::fmt;
use tonic::{Code, Status};

/// Why a call failed. Each is a sentence for the user when displayed; it names the endpoint where one is at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// What was asked cannot be: an endpoint that is no address, a file that is no certificate.
    Config(String),
    /// Nobody answered there: refused, unreachable, gone in the midst of it, or without a leader.
    Away(String),
    /// No answer in time. What was written may have been written.
    Deadline(String),
    /// TLS failed: an expired certificate, an unknown authority, another name, or a client certificate that is not taken.
    Tls(String),
    /// Name and password are not taken, or are needed and not given.
    Credentials(String),
    /// The user may not do this with these keys.
    Permission(String),
    /// The changes from the asked revision on are no longer kept; the store has those from this one on, or did not say (0).
    Compacted(i64),
    /// The lease is not there: it expired or was revoked.
    NoLease(i64),
    /// The store says no for another reason: too large, too many operations, no space.
    Refused(String),
    /// The answer is none of etcd's.
    Garbage(String),
}

impl Error {
    /// Whether another endpoint, or the same one later, may do it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Deadline(_))
    }

    /// A word for logs, probes and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Away(_) => "away",
            Self::Deadline(_) => "deadline",
            Self::Tls(_) => "tls",
            Self::Credentials(_) => "credentials",
            Self::Permission(_) => "permission",
            Self::Compacted(_) => "compacted",
            Self::NoLease(_) => "no-lease",
            Self::Refused(_) => "refused",
            Self::Garbage(_) => "garbage",
        }
    }

    /// What a call's status means, at this endpoint.
    pub(crate) fn of(status: &Status, endpoint: &str) -> Self {
        let said = status.message();
        if let Some(why) = tls_reason(status) {
            return Self::Tls(format!("{endpoint}: {why}"));
        }
        // etcd tells most of its errors apart by text alone: several are InvalidArgument, FailedPrecondition or Unknown.
        let has = |part: &str| said.contains(part);
        if has("required revision has been compacted") {
            return Self::Compacted(0);
        }
        if has("authentication failed") || has("invalid auth token") || has("user name is empty") || has("authentication is not enabled") {
            return Self::Credentials(format!("{endpoint}: {}", without_prefix(said)));
        }
        if has("requested lease not found") {
            return Self::NoLease(0);
        }
        match status.code() {
            Code::Unauthenticated => Self::Credentials(format!("{endpoint}: {}", without_prefix(said))),
            Code::PermissionDenied => Self::Permission(format!("{endpoint}: {}", without_prefix(said))),
            Code::DeadlineExceeded => Self::Deadline(format!("{endpoint} did not answer in time")),
            Code::Cancelled if has("Timeout expired") => Self::Deadline(format!("{endpoint} did not answer in time")),
            Code::Unavailable | Code::Cancelled | Code::Aborted => Self::Away(format!("{endpoint}: {}", reason(status))),
            // What the transport says of a connection that ended in the midst of a call.
            Code::Unknown | Code::Internal if status.source().is_some() || has("h2 protocol error") || has("transport error") => {
                Self::Away(format!("{endpoint}: {}", reason(status)))
            }
            Code::Unimplemented | Code::DataLoss | Code::Internal => {
                Self::Garbage(format!("{endpoint} answers, but not as etcd does: {said}"))
            }
            _ => Self::Refused(format!("{endpoint}: {}", without_prefix(said))),
        }
    }
}

/// The sentence without etcd's own name, which each of its errors begins with.
fn without_prefix(said: &str) -> &str {
    said.strip_prefix("etcdserver: ").unwrap_or(said)
}

/// The innermost reason: those around it say that there was an error.
fn reason(status: &Status) -> String {
    let mut innermost: Option<&dyn std::error::Error> = status.source();
    while let Some(next) = innermost.and_then(|error| error.source()) {
        innermost = Some(next);
    }
    innermost.map_or_else(|| without_prefix(status.message()).to_owned(), ToString::to_string)
}

/// What TLS found wrong, if it is that.
fn tls_reason(status: &Status) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = status.source();
    while let Some(error) = next {
        let inside = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let inside: Option<&(dyn std::error::Error + 'static)> = inside.map(|error| error as _);
        for error in [Some(error), inside].into_iter().flatten() {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Some(tls_sentence(error));
            }
        }
        next = error.source();
    }
    None
}

fn tls_sentence(error: &rustls::Error) -> String {
    use rustls::{AlertDescription, CertificateError};
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "its certificate is not valid yet".to_owned()
        }
        // The second is an authority that was made anew under its old name.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate was signed by none of the authorities in etcd/ca".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate is for another name".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::BadCertificate) => {
            "it wants a certificate of ours that it trusts (etcd/cert, etcd/key)".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => "our certificate has expired".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::UnknownCA) => "it does not know who signed our certificate".to_owned(),
        rustls::Error::InvalidMessage(_) => "it does not speak TLS (http:// instead of https://?)".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) | Self::Away(what) | Self::Deadline(what) | Self::Tls(what) => f.write_str(what),
            Self::Credentials(what) => write!(f, "credentials: {what}"),
            Self::Permission(what) => write!(f, "permission: {what}"),
            Self::Compacted(0) => f.write_str("the changes since the revision that is known here are no longer kept"),
            Self::Compacted(revision) => write!(f, "the changes before revision {revision} are no longer kept"),
            Self::NoLease(0) => f.write_str("the lease is not there: it expired or was revoked"),
            Self::NoLease(lease) => write!(f, "lease {lease:x} is not there: it expired or was revoked"),
            Self::Refused(what) | Self::Garbage(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
