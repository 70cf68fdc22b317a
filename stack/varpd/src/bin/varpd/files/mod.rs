//! The plugin `files`: a mapping file says where frames go, and is looked at again and again.
//!
//! ```text
//!  map.json ──► watch: one thread for all files ──► Table of each instance that names it ──► lookups, from whatever holds now
//!               a file that does not parse: degraded, with line and key; the mapping of before stays
//! ```

mod read;
mod table;
mod watch;

use overlay_api::channel::{Declaration, DeclaredKind, Instance, PluginInfo, VnicInfo};
use overlay_api::{Lookup, ModuleName};
use overlay_varpd::plugin::{Answerer, Host, Plugin, Reply};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use table::Table;
use watch::{Watch, Watcher};

/// The name of the plugin.
const NAME: &str = "files";
/// The property that names the file.
const CONFIG: &str = "files/config";
/// Longest path, as on illumos.
const PATH_MAX_BYTES: usize = 255;

/// The plugin.
pub(crate) struct Files {
    name: ModuleName,
    watcher: Watcher,
}

impl Files {
    /// With its thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start() -> io::Result<Self> {
        let name = NAME.parse().map_err(io::Error::other)?;
        Ok(Self { name, watcher: Watcher::start()? })
    }
}

/// The file of an instance.
fn path_of(instance: &Instance) -> Result<PathBuf, String> {
    let text = instance.properties.get(CONFIG).ok_or_else(|| format!("property {CONFIG}: is required and not set"))?;
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("property {CONFIG}: {text:?} is not allowed; an absolute path is, because varpd runs in no folder of yours"));
    }
    Ok(path.to_owned())
}

impl Plugin for Files {
    fn info(&self) -> PluginInfo {
        let config = Declaration {
            name: CONFIG.to_owned(),
            kind: DeclaredKind::Text { max: PATH_MAX_BYTES },
            required: true,
            default: None,
            doc: "The mapping file: an absolute path on the host of varpd. It is looked at again within a second after it changes."
                .to_owned(),
        };
        PluginInfo { name: self.name.clone(), with_port: true, without_port: true, properties: vec![config] }
    }

    fn verify(&self, instance: &Instance) -> Result<(), String> {
        let mapping = read::read(&path_of(instance)?).map_err(|problem| problem.sentence)?;
        mapping.check(instance.with_port).map_err(|error| error.to_string())
    }

    fn start(&self, instance: &Instance, host: Host) -> Result<Box<dyn Answerer>, String> {
        let path = path_of(instance)?;
        let table = Arc::new(Table::new(host, instance.with_port, &path));
        let watch = self.watcher.watch(&path, &table);
        Ok(Box::new(Served { table, watch }))
    }
}

/// An instance.
struct Served {
    table: Arc<Table>,
    watch: Watch,
}

impl Answerer for Served {
    fn lookup(&self, lookup: &Lookup, reply: Reply) {
        self.table.lookup(lookup, reply);
    }

    fn vnic(&self, _: &VnicInfo, _: bool) {
        // The file says where everybody is, also who is here.
    }

    fn reload(&self) -> Result<(), String> {
        self.watch.look_now();
        self.table.problem().map_or(Ok(()), Err)
    }

    fn entries(&self) -> Option<u64> {
        self.table.entries()
    }
}

#[cfg(test)]
mod tests;
