//! Why was a call refused? A sentence, and a status that says of which kind it is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Of which kind a refusal is: the HTTP status, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ProblemKind {
    /// 400: something of the request is not allowed as it is.
    Wrong,
    /// 403: whoever asked may not change anything.
    Forbidden,
    /// 404: there is none of that name.
    Unknown,
    /// 405: there is such a path, but not with this method.
    Method,
    /// 408: the request did not arrive in time.
    Slow,
    /// 409: it is taken, in use, or not possible in the state that things are in.
    Clash,
    /// 413: the request is too large.
    TooLarge,
    /// 503: there is something that is not there right now; the same call may succeed later.
    Away,
    /// 500: the daemon failed.
    #[default]
    Failed,
}

impl ProblemKind {
    /// All kinds.
    pub const ALL: [Self; 9] =
        [Self::Wrong, Self::Forbidden, Self::Unknown, Self::Method, Self::Slow, Self::Clash, Self::TooLarge, Self::Away, Self::Failed];

    /// The HTTP status (RFC 9110 15).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Wrong => 400,
            Self::Forbidden => 403,
            Self::Unknown => 404,
            Self::Method => 405,
            Self::Slow => 408,
            Self::Clash => 409,
            Self::TooLarge => 413,
            Self::Failed => 500,
            Self::Away => 503,
        }
    }

    /// The kind that an HTTP status stands for. One that is not used here is the request's fault below 500, and the daemon's from there on.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.status() == status);
        known.unwrap_or(if status < 500 { Self::Wrong } else { Self::Failed })
    }
}

/// Why a call was refused. Nothing has changed then. Its JSON is `{"error":"..."}`; the kind is the HTTP status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status. Not in the JSON.
    #[serde(skip)]
    pub kind: ProblemKind,
    /// A sentence: which thing, what was found, what is allowed.
    pub error: String,
}

impl Problem {
    /// A refusal.
    #[must_use]
    pub fn new(kind: ProblemKind, error: impl Into<String>) -> Self {
        Self { kind, error: error.into() }
    }

    /// 400: `error` is what is not allowed, and what is.
    #[must_use]
    pub fn wrong(error: impl fmt::Display) -> Self {
        Self::new(ProblemKind::Wrong, error.to_string())
    }

    /// 404: there is no `thing` (`overlay`, `vnic`) called `name`; with the nearest one of those that there are.
    #[must_use]
    pub fn unknown<'a>(thing: &str, name: &str, there_are: impl IntoIterator<Item = &'a str>) -> Self {
        let hint = crate::nearest::hint(name, there_are);
        Self::new(ProblemKind::Unknown, format!("{thing} {name}: there is none of that name{hint}"))
    }

    /// 409: it is taken or in use.
    #[must_use]
    pub fn clash(error: impl fmt::Display) -> Self {
        Self::new(ProblemKind::Clash, error.to_string())
    }

    /// 500: the daemon failed.
    #[must_use]
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::new(ProblemKind::Failed, error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for Problem {}
