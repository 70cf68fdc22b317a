//! Which paths are there? What a refusal of one that is not names.

use crate::answer::{no_method, no_path};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use overlay_api::control::BODY_MAX_BYTES;

/// A path, whose parts in braces stand for any text, and its methods.
pub type Route = (&'static str, &'static [&'static str]);

/// The router, with refusals of paths and methods that are not among `routes`, and of bodies that are too large.
pub fn with_refusals<S: Clone + Send + Sync + 'static>(router: Router<S>, routes: &'static [Route]) -> Router<S> {
    let unknown_path = async move |uri: Uri| no_path(uri.path(), routes.iter().map(|(path, _)| *path));
    let unknown_method = async move |method: Method, uri: Uri| {
        let route = routes.iter().find(|(pattern, _)| fits(pattern, uri.path()));
        no_method(&method, uri.path(), route.map_or(&[], |(_, methods)| *methods))
    };
    router.fallback(unknown_path).method_not_allowed_fallback(unknown_method).layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
}

/// Whether a path is one of a pattern whose parts in braces stand for any text.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut parts, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (parts.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(text)) if part == text || (part.starts_with('{') && !text.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_pattern_only() {
        let patterns = ["/v1/overlays", "/v1/overlays/{name}", "/v1/overlays/{name}/targets/{mac}", "/v1/status"];
        let of = |path: &str| patterns.into_iter().find(|pattern| fits(pattern, path));
        assert_eq!(of("/v1/overlays"), Some("/v1/overlays"));
        assert_eq!(of("/v1/overlays/ov0"), Some("/v1/overlays/{name}"));
        assert_eq!(of("/v1/overlays/ov0/targets/2:8:20:a:0:1"), Some("/v1/overlays/{name}/targets/{mac}"));
        for path in ["", "/", "/v1", "/v1/overlays/", "/v1/overlays//targets", "/v1/status/x", "v1/status"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
