//! What does a shared object declare, and would it be loaded? `varpd --check FILE`, for whoever writes one.

use crate::flags::Flags;
use crate::remote::{Remote, Settings, check_file};
use overlay_api::channel::PluginInfo;
use overlay_varpd::plugin::Plugin;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Loads it, prints what it declares, and ends it.
///
/// # Errors
/// A sentence: it cannot be loaded, what it declares cannot be, or it would not be loaded where it is.
pub(crate) fn run(flags: &Flags, file: &Path) -> Result<(), String> {
    let wrong = |problem: String| format!("{}: {problem}", file.display());
    let whole = file.canonicalize().map_err(|error| wrong(error.to_string()))?;
    let remote = Remote::start(&whole, &Settings::of(flags)).map_err(wrong)?;
    remote.end();
    let text = shown(file, &remote.info());
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))?;
    check_file(&whole).map_err(|problem| wrong(format!("from here it would not be loaded: {problem}")))
}

fn shown(file: &Path, info: &PluginInfo) -> String {
    let kinds = match (info.with_port, info.without_port) {
        (true, true) => "an address and a port (vxlan, geneve), or an address alone (nvgre)",
        (true, false) => "an address and a port (vxlan, geneve)",
        (false, _) => "an address alone (nvgre)",
    };
    let mut text = format!("{}: plugin {}\ndestinations: {kinds}\n", file.display(), info.name);
    for spec in info.specs() {
        let required = if spec.required { ", required" } else { "" };
        let default = spec.default.as_deref().map(|default| format!(", by default {default}")).unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "property {}: {}{required}{default}\n    {}", spec.name, spec.kind, spec.doc);
    }
    text
}
