//! How are the overlays? `show-overlay` chooses between properties, targets and faults; the faults are here.

use super::{Shape, property, target, unless_gone};
use crate::Refusal;
use crate::flags::ShowOverlay;
use crate::table::{Column, duration, on_request};
use overlay_api::LinkName;
use overlay_api::control::{Clashes, Overlay};
use overlay_client::{Client, VarpdClient};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

/// An overlay, with what varpd has to say of it.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    overlay: Overlay,
    /// The overlay is none the worse for these; whose VNICs are not registered is.
    #[serde(skip_serializing_if = "Option::is_none")]
    clashes: Option<Clashes>,
}

/// The first three as dladm has them.
const FAULTS: &[Column<Row>] = &[
    Column::words("LINK", 19, |row, _| Some(row.overlay.name.to_string())),
    Column::words("STATUS", 8, |row, _| Some(row.overlay.state.to_string())),
    Column::words("DETAILS", 0, |row, _| row.overlay.reason.clone().or_else(|| row.clashes.as_ref().map(ToString::to_string))),
    on_request(Column::numbers("SINCE", 7, |row, reader| row.overlay.since_ns.map(|ns| duration(ns, reader)))),
    on_request(Column::words("ENCAP", 6, |row, _| Some(row.overlay.encapsulation.to_string()))),
    on_request(Column::words("SEARCH", 6, |row, _| Some(row.overlay.search.to_string()))),
    on_request(Column::numbers("VNETID", 8, |row, _| Some(row.overlay.vnetid.to_string()))),
    on_request(Column::numbers("MTU", 5, |row, _| Some(row.overlay.mtu.to_string()))),
    on_request(Column::words("LISTEN", 21, |row, _| Some(row.overlay.listen.to_string()))),
    on_request(Column::numbers("VNICS", 5, |row, _| Some(row.overlay.vnics.to_string()))),
    on_request(Column::numbers("TARGETS", 7, |row, _| Some(row.overlay.targets.to_string()))),
    on_request(Column::numbers("PENDING", 8, |row, _| Some(row.overlay.pending_bytes.to_string()))),
    on_request(Column::numbers("LOOKUPS", 7, |row, _| Some(row.overlay.lookups.to_string()))),
    on_request(Column::words("PERSISTENT", 10, |row, _| Some(yes(!row.overlay.temporary)))),
];

/// `show-overlay`.
pub(crate) fn overlays(client: &Client, varpd: &VarpdClient, show: &ShowOverlay, out: &mut dyn Write) -> Result<(), Refusal> {
    if show.target {
        let mut shape = Shape::new(target::COLUMNS, &show.print, show.parsable)?;
        return chosen(client, show)?.iter().try_for_each(|overlay| target::print(client, overlay, &mut shape, out));
    }
    if show.fault {
        let mut shape = Shape::new(FAULTS, &show.print, show.parsable)?;
        let overlays = chosen(client, show)?;
        // Whether varpd can be asked is not for here: where it is away, the overlay says so.
        let asks = overlays.iter().any(|overlay| overlay.search.as_str() != "direct");
        let instances = if asks { varpd.instances().unwrap_or_default() } else { Vec::new() };
        let mut clashes: BTreeMap<LinkName, Clashes> =
            instances.into_iter().filter_map(|instance| Some((instance.overlay, instance.clashes?))).collect();
        let row = |overlay: Overlay| Row { clashes: clashes.remove(&overlay.name), overlay };
        return shape.print(out, &overlays.into_iter().map(row).collect::<Vec<_>>());
    }
    let mut shape = Shape::new(property::COLUMNS, &show.print, show.parsable)?;
    let mut rows = Vec::new();
    for overlay in chosen(client, show)? {
        let properties = unless_gone(client.overlay_properties(&overlay.name))?.unwrap_or_default();
        rows.extend(property::rows(&overlay.name, properties));
    }
    shape.print(out, &rows)
}

/// Those that were named, or all. All are known before anything is printed.
fn chosen(client: &Client, show: &ShowOverlay) -> Result<Vec<Overlay>, Refusal> {
    if show.names.is_empty() {
        return Ok(client.overlays()?);
    }
    show.names.iter().map(|name| Ok(client.overlay(name)?)).collect()
}

/// As dladm's REQ column spells it.
pub(super) fn yes(whether: bool) -> String {
    if whether { "y" } else { "-" }.to_owned()
}
