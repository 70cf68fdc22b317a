//! How does a request become a type, and a type an answer? JSON both ways; whatever is wrong is a [`Problem`].

use crate::Shared;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use overlay_api::LinkName;
use overlay_api::control::{BODY_MAX_BYTES, Problem, ProblemKind};
use overlay_decoder::Mac;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A refusal on its way out.
#[derive(Debug)]
pub struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        json(status_of(self.0.kind), &self.0)
    }
}

fn status_of(kind: ProblemKind) -> StatusCode {
    StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What a handler comes back with.
pub type Answered = Result<Response, Refused>;

/// 200 with `body`.
///
/// # Errors
/// None: it is the type that handlers need.
pub fn ok(body: &impl Serialize) -> Answered {
    Ok(json(StatusCode::OK, body))
}

/// 201 with what was made.
///
/// # Errors
/// None: it is the type that handlers need.
pub fn created(body: &impl Serialize) -> Answered {
    Ok(json(StatusCode::CREATED, body))
}

/// 204: done, and there is nothing to say about it.
///
/// # Errors
/// None: it is the type that handlers need.
pub fn done() -> Answered {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 304: the caller has it already.
///
/// # Errors
/// None: it is the type that handlers need.
pub fn unchanged() -> Answered {
    Ok(StatusCode::NOT_MODIFIED.into_response())
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            // For whoever reads it in a terminal.
            bytes.push(b'\n');
            (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
        }
        // No type of `control` has keys that are no texts, the only thing that cannot be written.
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{{\"error\":\"the answer cannot be written: {error}\"}}\n")).into_response()
        }
    }
}

/// A body of JSON, whatever its Content-Type says: `curl -d` sets none that would fit.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, R: Send + Sync + 'static> FromRequest<Shared<R>> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Shared<R>) -> Result<Self, Refused> {
        let too_large = || {
            let problem = format!("body: is larger than {BODY_MAX_BYTES} bytes, the largest that is allowed");
            Refused::from(Problem::new(ProblemKind::TooLarge, problem))
        };
        // Said by Content-Length: not even waited for.
        if request.body().size_hint().lower() > BODY_MAX_BYTES as u64 {
            return Err(too_large());
        }
        let read = tokio::time::timeout(api.patience().body, Bytes::from_request(request, api)).await;
        let bytes = match read {
            Err(_) => {
                let problem = format!("body: has not arrived within {:?}", api.patience().body);
                return Err(Problem::new(ProblemKind::Slow, problem).into());
            }
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
            Ok(Err(rejection)) => return Err(Problem::wrong(format_args!("body: {}", rejection.body_text())).into()),
            Ok(Ok(bytes)) => bytes,
        };
        if bytes.is_empty() {
            return Err(Problem::wrong("body: is empty; a JSON object is needed").into());
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::wrong(format_args!("body: {error}")).into())
    }
}

/// The query of a request, without one the default.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::wrong(format_args!("query: {}", cause(&rejection))).into()),
        }
    }
}

/// The innermost reason, which is the one about the text.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The name in a path.
#[derive(Debug)]
pub struct Named(pub LinkName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path(name) = path::<String, S>(parts, state).await?;
        name.parse().map(Self).map_err(|error| Problem::wrong(error).into())
    }
}

/// The name and the inner destination in a path.
#[derive(Debug)]
pub struct NamedTarget(pub LinkName, pub Mac);

impl<S: Send + Sync> FromRequestParts<S> for NamedTarget {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path((name, mac)) = path::<(String, String), S>(parts, state).await?;
        let name = name.parse().map_err(Problem::wrong)?;
        let mac = mac.parse().map_err(Problem::wrong)?;
        Ok(Self(name, mac))
    }
}

async fn path<T: DeserializeOwned + Send, S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Path<T>, Refused> {
    Path::from_request_parts(parts, state).await.map_err(|error| Problem::wrong(format_args!("path: {}", error.body_text())).into())
}

/// 404: there is no such path.
pub(crate) fn no_path(path: &str, paths: impl Iterator<Item = &'static str>) -> Refused {
    let paths: Vec<_> = paths.collect();
    Problem::new(ProblemKind::Unknown, format!("{}: there is no such path; there are {}", shown(path), paths.join(", "))).into()
}

/// 405: the path has other methods.
pub(crate) fn no_method(method: &Method, path: &str, methods: &[&str]) -> Refused {
    let method = shown(method.as_str());
    Problem::new(ProblemKind::Method, format!("{}: there is no {method}; there is {}", shown(path), methods.join(", "))).into()
}

/// A text of a stranger, short enough for a sentence. A URI has no control characters.
fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
