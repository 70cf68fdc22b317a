//! Where do frames go? The target table of `show-overlay -t`.

use super::Shape;
use crate::Refusal;
use crate::table::{Column, duration, on_request};
use overlay_api::control::Overlay;
use overlay_api::{LinkName, TargetRow};
use overlay_client::Client;
use serde::Serialize;
use std::io::Write;

/// What stands for all inner destinations, as dladm shows it.
const EVERYTHING: &str = "*:*:*:*:*:*";

/// A row: an entry of a table, or where a direct overlay sends everything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Row {
    /// An entry.
    Entry {
        /// Of which overlay.
        overlay: LinkName,
        /// The entry.
        #[serde(flatten)]
        target: TargetRow,
    },
    /// All there is to know of a direct overlay.
    Point {
        /// Which overlay.
        overlay: LinkName,
        /// [`EVERYTHING`].
        mac: &'static str,
        /// The one place, as it would be typed.
        ul3: Vec<String>,
    },
}

impl Row {
    fn overlay(&self) -> &LinkName {
        match self {
            Self::Entry { overlay, .. } | Self::Point { overlay, .. } => overlay,
        }
    }

    fn entry<T>(&self, of: impl FnOnce(&TargetRow) -> T) -> Option<T> {
        match self {
            Self::Entry { target, .. } => Some(of(target)),
            Self::Point { .. } => None,
        }
    }

    fn mac(&self) -> String {
        match self {
            Self::Entry { target, .. } => target.mac.to_string(),
            Self::Point { mac, .. } => (*mac).to_owned(),
        }
    }

    fn ul3(&self) -> String {
        match self {
            Self::Entry { target, .. } => target.ul3.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Self::Point { ul3, .. } => ul3.join(","),
        }
    }
}

/// A row of a common table fits 80 columns.
pub(super) const COLUMNS: &[Column<Row>] = &[
    Column::words("LINK", 6, |row, _| Some(row.overlay().to_string())),
    Column::words("TARGET", 17, |row, _| Some(row.mac())),
    Column::words("UL3", 15, |row, _| Some(row.ul3())),
    Column::words("STATE", 8, |row, _| row.entry(|target| target.state.to_string())),
    Column::numbers("AGE", 6, |row, reader| row.entry(|target| duration(target.age_ns, reader))),
    Column::numbers("HITS", 6, |row, _| row.entry(|target| target.hits.to_string())),
    Column::numbers("BYTES", 8, |row, _| row.entry(|target| target.bytes.to_string())),
    Column::words("SOURCE", 6, |row, _| row.entry(|target| target.source.to_string())),
    on_request(Column::numbers("PENDING", 8, |row, _| row.entry(|target| target.pending_bytes.to_string()))),
    on_request(Column::numbers("IDLE", 7, |row, reader| row.entry(|target| duration(target.idle_ns, reader)))),
    on_request(Column::numbers("EXPIRES", 7, |row, reader| row.entry(|target| target.expires_ns)?.map(|ns| duration(ns, reader)))),
];

/// Prints the table of one overlay, page by page: it may have a million rows.
pub(super) fn print(client: &Client, overlay: &Overlay, shape: &mut Shape<'_, Row>, out: &mut dyn Write) -> Result<(), Refusal> {
    let name = &overlay.name;
    if overlay.search.as_str() == "direct" {
        return shape.print(out, &[point(client, name)?]);
    }
    let mut printed = Ok(());
    client.all_targets(name, "", |page| {
        if printed.is_ok() {
            let rows: Vec<_> = page.rows.into_iter().map(|target| Row::Entry { overlay: name.clone(), target }).collect();
            printed = shape.print(out, &rows);
        }
    })?;
    printed
}

fn point(client: &Client, overlay: &LinkName) -> Result<Row, Refusal> {
    let properties = client.overlay_properties(overlay)?;
    let value = |name: &str| properties.iter().find(|property| property.name == name).and_then(|property| property.value.clone());
    let ul3 = value("direct/dest_ip").map(|ip| match value("direct/dest_port") {
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
        None => ip,
    });
    Ok(Row::Point { overlay: overlay.clone(), mac: EVERYTHING, ul3: ul3.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Reader, Table};
    use overlay_api::{EntryState, Source};

    fn rows() -> Vec<Row> {
        let target = TargetRow {
            mac: "2:8:20:a:0:1".parse().unwrap(),
            ul3: vec!["[fd00::2]:4789".parse().unwrap()],
            state: EntryState::Valid,
            age_ns: 90_500_000_000,
            idle_ns: 1,
            hits: 3,
            bytes: 4_000_000_000_000,
            pending_bytes: 0,
            source: Source::Static,
            expires_ns: None,
        };
        let waits = TargetRow {
            mac: "2:8:20:a:0:2".parse().unwrap(),
            ul3: vec![],
            state: EntryState::Pending,
            source: Source::Lookup,
            expires_ns: Some(5_000_000_000),
            ..target.clone()
        };
        let overlay: LinkName = "ov7".parse().unwrap();
        let point = Row::Point { overlay: overlay.clone(), mac: EVERYTHING, ul3: vec!["10.0.0.2:4789".to_owned()] };
        vec![Row::Entry { overlay: overlay.clone(), target }, Row::Entry { overlay, target: waits }, point]
    }

    fn printed(fields: Option<&str>, reader: Reader) -> String {
        let mut out = Vec::new();
        Table::new(COLUMNS, fields, reader).unwrap().print(&mut out, &rows()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn entries_that_wait_are_shown_and_addresses_are_padded() {
        assert_eq!(
            printed(None, Reader::Person),
            "\
LINK   TARGET            UL3             STATE       AGE   HITS         BYTES SOURCE
ov7    02:08:20:0a:00:01 [fd00::2]:4789  valid     1m30s      3 4000000000000 static
ov7    02:08:20:0a:00:02 --              pending   1m30s      3 4000000000000 lookup
ov7    *:*:*:*:*:*       10.0.0.2:4789   --           --     --            -- --
"
        );
    }

    #[test]
    fn a_script_gets_whole_times_and_what_it_asked_for() {
        assert_eq!(
            printed(Some("target,ul3,age,expires"), Reader::Script),
            "\
02\\:08\\:20\\:0a\\:00\\:01:[fd00\\:\\:2]\\:4789:90.500000000:
02\\:08\\:20\\:0a\\:00\\:02::90.500000000:5.000000000
*\\:*\\:*\\:*\\:*\\:*:10.0.0.2\\:4789::
"
        );
    }

    #[test]
    fn an_object_is_the_apis_with_the_overlay() {
        let text = |row: &Row| serde_json::to_string(row).unwrap();
        let rows = rows();
        assert!(text(&rows[0]).starts_with(r#"{"overlay":"ov7","mac":"02:08:20:0a:00:01","ul3":["[fd00::2]:4789"],"state":"valid""#));
        assert_eq!(text(&rows[2]), r#"{"overlay":"ov7","mac":"*:*:*:*:*:*","ul3":["10.0.0.2:4789"]}"#);
    }
}
