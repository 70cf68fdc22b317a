//! What survives a restart? The configuration, in one file, written whole or not at all.

use overlay_api::config::{CONFIG_MAX_BYTES, HostConfig};
use overlay_api::{LinkName, file};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The file.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    /// The configuration of the state directory `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// A sentence with the path.
    pub(crate) fn open(folder: &std::path::Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: cannot be made: {error}", folder.display()))?;
        Ok(Self { path: folder.join("overlayd.json") })
    }

    /// Reads what is configured. A file that cannot be read is set aside, never deleted, and the daemon starts without it.
    pub(crate) fn load(&self) -> HostConfig {
        if let Err(error) = file::clean(&self.path) {
            tracing::warn!("{error}");
        }
        if !self.path.exists() {
            return HostConfig::default();
        }
        let parsed = file::read(&self.path, CONFIG_MAX_BYTES as u64).map_err(|error| error.to_string());
        let parsed = parsed.and_then(|text| HostConfig::parse(&self.path.display().to_string(), &text).map_err(|error| error.to_string()));
        match parsed {
            Ok(config) => config,
            Err(why) => {
                match file::quarantine(&self.path, &why) {
                    Ok(quarantined) => tracing::error!("{quarantined}"),
                    Err(error) => tracing::error!("{why}; and it could not be set aside: {error}"),
                }
                HostConfig::default()
            }
        }
    }

    /// Writes what is configured, but for what is temporary.
    ///
    /// # Errors
    /// A sentence; what was on disk is still there then.
    pub(crate) fn save(&self, config: &HostConfig, temporary: &BTreeSet<LinkName>) -> Result<(), String> {
        let mut kept = config.clone();
        kept.devices.retain(|device| !temporary.contains(&device.name));
        kept.vnics.retain(|vnic| !temporary.contains(&vnic.name) && !temporary.contains(&vnic.device));
        kept.entries.retain(|entry| !temporary.contains(&entry.device));
        kept.check().map_err(|conflict| conflict.to_string())?;
        let text = kept.to_json();
        if text.len() > CONFIG_MAX_BYTES {
            return Err(format!("{}: would have {} bytes; at most {CONFIG_MAX_BYTES} are read back", self.path.display(), text.len()));
        }
        file::write(&self.path, text.as_bytes(), file::Mode::Private).map_err(|error| error.to_string())
    }
}
