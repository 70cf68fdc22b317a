//! The calls, one function each. `docs/control-api.md` says what they do; each fails as [`ClientError`] says.

use crate::{Client, ClientError};
use overlay_api::LinkName;
use overlay_api::control::{
    Flushed, ListQuery, NewOverlay, NewVnic, Order, Overlay, OverlayQuery, Part, Property, SetProperty, SetTarget, Status, TARGETS_MAX,
    TargetPage, TargetQuery, TargetSort, Trace, TraceRequest, TracesRequest, Vnic, VnicQuery,
};
use overlay_decoder::Mac;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;

/// A call without a body.
const NOTHING: Option<&()> = None;

#[allow(clippy::missing_errors_doc, reason = "each fails as the type of its error says")]
impl Client {
    /// How the daemon is.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.ask("GET", "/v1/status", NOTHING)
    }

    /// All overlays, in the order of their names.
    pub fn overlays(&self) -> Result<Vec<Overlay>, ClientError> {
        self.some_overlays(&OverlayQuery::default())
    }

    /// A part of the overlays, in the order that is asked for.
    pub fn some_overlays(&self, query: &OverlayQuery) -> Result<Vec<Overlay>, ClientError> {
        self.part("/v1/overlays", &ListQuery { since: None, ..query.clone() }).map(|part| part.map_or_else(Vec::new, |part| part.rows))
    }

    /// The same with their generation; none if that is still the one that the query knows.
    pub fn overlays_since(&self, query: &OverlayQuery) -> Result<Option<Part<Overlay>>, ClientError> {
        self.part("/v1/overlays", query)
    }

    fn part<S: Serialize, T: DeserializeOwned>(&self, path: &str, query: &ListQuery<S>) -> Result<Option<Part<T>>, ClientError> {
        let response = self.send("GET", &format!("{path}{}", query_text(query)), NOTHING)?;
        if response.status == 304 {
            return Ok(None);
        }
        // A daemon that tells none is asked for everything each time.
        let generation = response.generation.unwrap_or(0);
        let rows = serde_json::from_slice(&self.read_all(response)?);
        let rows = rows.map_err(|error| self.not_understood(format!("GET {path}: {error}")))?;
        Ok(Some(Part { generation, rows }))
    }

    /// One overlay.
    pub fn overlay(&self, name: &LinkName) -> Result<Overlay, ClientError> {
        self.ask("GET", &format!("/v1/overlays/{name}"), NOTHING)
    }

    /// Makes an overlay.
    pub fn create_overlay(&self, new: &NewOverlay) -> Result<Overlay, ClientError> {
        self.ask("POST", "/v1/overlays", Some(new))
    }

    /// Deletes an overlay.
    pub fn delete_overlay(&self, name: &LinkName) -> Result<(), ClientError> {
        self.tell("DELETE", &format!("/v1/overlays/{name}"), NOTHING)
    }

    /// All properties of an overlay.
    pub fn overlay_properties(&self, name: &LinkName) -> Result<Vec<Property>, ClientError> {
        self.ask("GET", &format!("/v1/overlays/{name}/properties"), NOTHING)
    }

    /// Sets or resets a property of an overlay.
    pub fn set_overlay_property(&self, name: &LinkName, set: &SetProperty) -> Result<Property, ClientError> {
        self.ask("POST", &format!("/v1/overlays/{name}/properties"), Some(set))
    }

    /// A part of an overlay's target table.
    pub fn targets(&self, overlay: &LinkName, query: &TargetQuery) -> Result<TargetPage, ClientError> {
        self.ask("GET", &format!("/v1/overlays/{overlay}/targets{}", query_text(query)), NOTHING)
    }

    /// All of an overlay's target table that `filter` lets through, in the order of the MACs, page by page to `each`. What changes
    /// meanwhile is there or not; nothing is there twice.
    ///
    /// # Errors
    /// As all; `each` has had what came before.
    pub fn all_targets(&self, overlay: &LinkName, filter: &str, mut each: impl FnMut(TargetPage)) -> Result<(), ClientError> {
        let filter = filter.to_owned();
        let mut query = TargetQuery { sort: TargetSort::Mac, order: Order::Ascending, filter, offset: 0, limit: TARGETS_MAX };
        let mut last: Option<Mac> = None;
        loop {
            let mut page = self.targets(overlay, &query)?;
            let rows = page.rows.len();
            // Entries that came since have moved others back, onto this page.
            page.rows.retain(|row| last.is_none_or(|last| row.mac > last));
            last = page.rows.last().map(|row| row.mac).or(last);
            each(page);
            if rows < query.limit {
                return Ok(());
            }
            query.offset += rows;
        }
    }

    /// Sets a target by hand.
    pub fn set_target(&self, overlay: &LinkName, mac: Mac, set: &SetTarget) -> Result<(), ClientError> {
        self.tell("PUT", &format!("/v1/overlays/{overlay}/targets/{mac}"), Some(set))
    }

    /// Forgets a target.
    pub fn remove_target(&self, overlay: &LinkName, mac: Mac) -> Result<(), ClientError> {
        self.tell("DELETE", &format!("/v1/overlays/{overlay}/targets/{mac}"), NOTHING)
    }

    /// Forgets all targets of an overlay.
    pub fn flush(&self, overlay: &LinkName) -> Result<Flushed, ClientError> {
        self.ask("POST", &format!("/v1/overlays/{overlay}/flush"), NOTHING)
    }

    /// Follows a frame without sending it.
    pub fn trace(&self, overlay: &LinkName, request: &TraceRequest) -> Result<Trace, ClientError> {
        self.ask("POST", &format!("/v1/overlays/{overlay}/trace"), Some(request))
    }

    /// Follows frames without sending them: one trace for each, in their order.
    pub fn traces(&self, overlay: &LinkName, request: &TracesRequest) -> Result<Vec<Trace>, ClientError> {
        self.ask("POST", &format!("/v1/overlays/{overlay}/traces"), Some(request))
    }

    /// All VNICs, in the order of their names.
    pub fn vnics(&self) -> Result<Vec<Vnic>, ClientError> {
        self.some_vnics(&VnicQuery::default())
    }

    /// A part of the VNICs, in the order that is asked for.
    pub fn some_vnics(&self, query: &VnicQuery) -> Result<Vec<Vnic>, ClientError> {
        self.part("/v1/vnics", &ListQuery { since: None, ..query.clone() }).map(|part| part.map_or_else(Vec::new, |part| part.rows))
    }

    /// The same with their generation; none if that is still the one that the query knows.
    pub fn vnics_since(&self, query: &VnicQuery) -> Result<Option<Part<Vnic>>, ClientError> {
        self.part("/v1/vnics", query)
    }

    /// One VNIC.
    pub fn vnic(&self, name: &LinkName) -> Result<Vnic, ClientError> {
        self.ask("GET", &format!("/v1/vnics/{name}"), NOTHING)
    }

    /// Makes a VNIC.
    pub fn create_vnic(&self, new: &NewVnic) -> Result<Vnic, ClientError> {
        self.ask("POST", "/v1/vnics", Some(new))
    }

    /// Deletes a VNIC.
    pub fn delete_vnic(&self, name: &LinkName) -> Result<(), ClientError> {
        self.tell("DELETE", &format!("/v1/vnics/{name}"), NOTHING)
    }

    /// All properties of a VNIC.
    pub fn vnic_properties(&self, name: &LinkName) -> Result<Vec<Property>, ClientError> {
        self.ask("GET", &format!("/v1/vnics/{name}/properties"), NOTHING)
    }

    /// Sets or resets a property of a VNIC.
    pub fn set_vnic_property(&self, name: &LinkName, set: &SetProperty) -> Result<Property, ClientError> {
        self.ask("POST", &format!("/v1/vnics/{name}/properties"), Some(set))
    }

    /// All numbers in Prometheus' text format.
    pub fn metrics(&self) -> Result<String, ClientError> {
        let bytes = self.ask_for_bytes("GET", "/metrics", NOTHING)?;
        String::from_utf8(bytes).map_err(|_| self.not_understood("GET /metrics: it is not UTF-8"))
    }
}

/// `?key=value&..` of a type whose keys have texts and numbers; nothing where none is set.
fn query_text(query: &impl Serialize) -> String {
    let mut text = String::new();
    let value = serde_json::to_value(query).unwrap_or_default();
    for (key, value) in value.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                // RFC 3986 2.3.
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte as char),
                // Writing into a String cannot fail.
                _ => {
                    let _ = write!(text, "%{byte:02X}");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_spelled_so_that_it_cannot_become_another_one() {
        let query = OverlayQuery { filter: Some("a&b=c d/é".to_owned()), offset: 3, since: Some(7), ..OverlayQuery::default() };
        assert_eq!(query_text(&query), "?filter=a%26b%3Dc%20d%2F%C3%A9&offset=3&order=ascending&since=7&sort=name");
        let query = TargetQuery { sort: TargetSort::PendingBytes, ..TargetQuery::default() };
        assert_eq!(query_text(&query), "?filter=&limit=1000&offset=0&order=ascending&sort=pending_bytes");
    }
}
