//! What does a shared object declare, and would it be loaded? `varpd --check FILE`, for whoever writes one.

use crate::flags::Flags;
use crate::remote::{Remote, Settings, check_file, check_folder, check_name};
use overlay_api::channel::PluginInfo;
use overlay_varpd::plugin::Plugin;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Loads it, prints what it declares, and ends it.
///
/// # Errors
/// A sentence: it would not be loaded where it is, and so does not run here either; it cannot be loaded; what it declares cannot be.
pub(crate) fn run(flags: &Flags, file: &Path) -> Result<(), String> {
    let wrong = |problem: String| format!("{}: {problem}", file.display());
    let whole = place(file).map_err(wrong)?;
    let remote = Remote::start(&whole, &Settings::of_question(flags)).map_err(wrong)?;
    remote.end();
    check_name(&remote.info()).map_err(wrong)?;
    let text = shown(file, &remote.info());
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

/// The file by its whole name, if that would be loaded as it is given: a symbolic link would not.
fn place(file: &Path) -> Result<PathBuf, String> {
    file.symlink_metadata().map_err(|error| error.to_string())?;
    let from_here = |problem: String| format!("from here it would not be loaded: {problem}");
    check_file(file).map_err(from_here)?;
    let name = file.file_name().ok_or("it has no name")?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    check_folder(&folder).map_err(from_here)?;
    Ok(folder.join(name))
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
