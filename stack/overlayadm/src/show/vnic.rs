//! Which VNICs are there, and how are they? The table of `show-vnic`.

use super::Shape;
use super::overlay::yes;
use crate::Refusal;
use crate::flags::ShowVnic;
use crate::table::{Column, on_request};
use overlay_api::control::Vnic;
use overlay_client::Client;
use std::io::Write;

const COLUMNS: &[Column<Vnic>] = &[
    Column::words("LINK", 15, |vnic, _| Some(vnic.name.to_string())),
    Column::words("OVER", 15, |vnic, _| Some(vnic.overlay.to_string())),
    Column::words("MACADDRESS", 17, |vnic, _| Some(vnic.mac.to_string())),
    Column::numbers("MTU", 5, |vnic, _| Some(vnic.mtu.to_string())),
    Column::words("NETNS", 15, |vnic, _| vnic.namespace.as_ref().map(ToString::to_string)),
    Column::words("STATE", 6, |vnic, _| Some(vnic.state.to_string())),
    on_request(Column::words("DETAILS", 0, |vnic, _| vnic.reason.clone())),
    on_request(Column::words("PERSISTENT", 10, |vnic, _| Some(yes(!vnic.temporary)))),
    on_request(Column::numbers("FRAMES_IN", 10, |vnic, _| Some(vnic.counters.frames_in.to_string()))),
    on_request(Column::numbers("FRAMES_IN_BYTES", 13, |vnic, _| Some(vnic.counters.frames_in_bytes.to_string()))),
    on_request(Column::numbers("FRAMES_OUT", 10, |vnic, _| Some(vnic.counters.frames_out.to_string()))),
    on_request(Column::numbers("FRAMES_OUT_BYTES", 13, |vnic, _| Some(vnic.counters.frames_out_bytes.to_string()))),
    on_request(Column::numbers("DROPS", 8, |vnic, _| Some(vnic.counters.all_dropped().to_string()))),
];

/// `show-vnic`.
pub(crate) fn vnics(client: &Client, show: &ShowVnic, out: &mut dyn Write) -> Result<(), Refusal> {
    let mut shape = Shape::new(COLUMNS, &show.print, show.parsable)?;
    let mut rows: Vec<Vnic> =
        if show.names.is_empty() { client.vnics()? } else { show.names.iter().map(|name| client.vnic(name)).collect::<Result<_, _>>()? };
    if let Some(overlay) = &show.overlay {
        // An overlay without VNICs is one thing, a name that is wrong another.
        client.overlay(overlay)?;
        rows.retain(|vnic| vnic.overlay == *overlay);
    }
    shape.print(out, &rows)
}
