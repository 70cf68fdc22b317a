//! How are the overlays? `show-overlay` chooses between properties, targets and faults; the faults are here.

use super::{Shape, property, target, unless_gone};
use crate::Refusal;
use crate::flags::ShowOverlay;
use crate::table::{Column, duration, on_request};
use overlay_api::control::Overlay;
use overlay_client::Client;
use std::io::Write;

/// The first three as dladm has them.
const FAULTS: &[Column<Overlay>] = &[
    Column::words("LINK", 19, |overlay, _| Some(overlay.name.to_string())),
    Column::words("STATUS", 8, |overlay, _| Some(overlay.state.to_string())),
    Column::words("DETAILS", 0, |overlay, _| overlay.reason.clone()),
    on_request(Column::numbers("SINCE", 7, |overlay, reader| overlay.since_ns.map(|ns| duration(ns, reader)))),
    on_request(Column::words("ENCAP", 6, |overlay, _| Some(overlay.encapsulation.to_string()))),
    on_request(Column::words("SEARCH", 6, |overlay, _| Some(overlay.search.to_string()))),
    on_request(Column::numbers("VNETID", 8, |overlay, _| Some(overlay.vnetid.to_string()))),
    on_request(Column::numbers("MTU", 5, |overlay, _| Some(overlay.mtu.to_string()))),
    on_request(Column::words("LISTEN", 21, |overlay, _| Some(overlay.listen.to_string()))),
    on_request(Column::numbers("VNICS", 5, |overlay, _| Some(overlay.vnics.to_string()))),
    on_request(Column::numbers("TARGETS", 7, |overlay, _| Some(overlay.targets.to_string()))),
    on_request(Column::numbers("PENDING", 8, |overlay, _| Some(overlay.pending_bytes.to_string()))),
    on_request(Column::numbers("LOOKUPS", 7, |overlay, _| Some(overlay.lookups.to_string()))),
    on_request(Column::words("PERSISTENT", 10, |overlay, _| Some(yes(!overlay.temporary)))),
];

/// `show-overlay`.
pub(crate) fn overlays(client: &Client, show: &ShowOverlay, out: &mut dyn Write) -> Result<(), Refusal> {
    if show.target {
        let mut shape = Shape::new(target::COLUMNS, &show.print, show.parsable)?;
        return chosen(client, show)?.iter().try_for_each(|overlay| target::print(client, overlay, &mut shape, out));
    }
    if show.fault {
        let mut shape = Shape::new(FAULTS, &show.print, show.parsable)?;
        return shape.print(out, &chosen(client, show)?);
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
