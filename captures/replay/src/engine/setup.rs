//! What is the engine like before the first packet? What the configuration of a host, its mappings and a saved table say.

use overlay_api::config::{CONFIG_MAX_BYTES, StaticTarget};
use overlay_api::mapping::MAPPING_MAX_BYTES;
use overlay_api::{EntryState, HostConfig, LinkName, Mapping, PortId, Source, TargetRow, UnderlayId, file};
use overlay_decoder::{Mac, Ul3};
use overlay_engine::encap::{Carrier, Registry};
use overlay_engine::{Config, Control, DeviceSpec, Event, Output, PortSpec, Search, SetTarget, Time, Worker};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Where an overlay listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listener {
    /// Its id.
    pub(crate) id: UnderlayId,
    /// What carries datagrams there.
    pub(crate) carrier: Carrier,
    /// Address, and port if it is UDP.
    pub(crate) listen: Ul3,
}

/// An engine that is ready for packets, and what is known about it.
pub(crate) struct Stage {
    /// The control half.
    pub(crate) control: Control,
    /// The other.
    pub(crate) worker: Worker,
    /// Where overlays listen.
    pub(crate) listeners: Vec<Listener>,
    /// The VNICs by their names, in the order of the configuration.
    pub(crate) vnics: Vec<(LinkName, PortId)>,
    /// The VNICs by their addresses: of two overlays' equal ones, the first.
    pub(crate) by_mac: HashMap<[u8; 6], PortId>,
    /// Their MTUs.
    pub(crate) mtus: HashMap<PortId, u32>,
}

/// The time of the first packet: one second, so that what is set before is older.
pub(crate) const START: Time = Time(1_000_000_000);

/// Who says where the frames of a direct overlay go: nobody else.
const DIRECT: &str = "direct";

/// A row of `overlayadm show-overlay -t --json`.
#[derive(Deserialize)]
struct Row {
    overlay: LinkName,
    #[serde(flatten)]
    target: TargetRow,
}

/// Reads the configuration of a host.
pub(crate) fn config(path: &Path) -> Result<HostConfig, String> {
    let text = file::read(path, CONFIG_MAX_BYTES as u64).map_err(|error| error.to_string())?;
    HostConfig::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())
}

/// The mapping of every overlay that has one: what was said, else its property `files/config`.
pub(crate) fn mappings(config: &HostConfig, said: &[(LinkName, PathBuf)]) -> Result<HashMap<LinkName, Mapping>, String> {
    let mut paths: BTreeMap<&LinkName, &Path> = BTreeMap::new();
    for device in config.devices.iter().filter(|device| device.search.as_str() == "files") {
        if let Some(path) = device.properties.get("files/config") {
            paths.insert(&device.name, Path::new(path));
        }
    }
    for (overlay, path) in said {
        known(config, overlay, "--mapping")?;
        paths.insert(overlay, path);
    }
    let mut mappings = HashMap::new();
    for (overlay, path) in paths {
        let read = |error: &dyn std::fmt::Display| format!("overlay {overlay}: {error}; --mapping {overlay}=FILE names another file");
        let text = file::read(path, MAPPING_MAX_BYTES as u64).map_err(|error| read(&error))?;
        let mapping = Mapping::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())?;
        let is_ip = config.devices.iter().any(|device| device.name == *overlay && device.encapsulation.as_str() == "nvgre");
        mapping.check(!is_ip).map_err(|error| error.to_string())?;
        mappings.insert(overlay.clone(), mapping);
    }
    Ok(mappings)
}

/// Whether there is such an overlay.
pub(crate) fn known(config: &HostConfig, overlay: &LinkName, option: &str) -> Result<(), String> {
    if config.devices.iter().any(|device| device.name == *overlay) {
        return Ok(());
    }
    let all: Vec<_> = config.devices.iter().map(|device| device.name.as_str()).collect();
    Err(format!("{option}: overlay {overlay}: not in the configuration; it has {}", all.join(", ")))
}

impl Stage {
    /// An engine with everything that is configured.
    pub(crate) fn new(config: &HostConfig, underlay_mtu: u32, seed: u64) -> Result<Self, String> {
        let settings = Config { workers: 1, seed, explain: true, ..Config::default() };
        let (control, mut workers) = Control::new(&settings, Registry::default())?;
        let worker = workers.pop().ok_or("an engine without a worker")?;
        let mut stage = Self { control, worker, listeners: Vec::new(), vnics: Vec::new(), by_mac: HashMap::new(), mtus: HashMap::new() };
        for device in &config.devices {
            let search = if device.search.as_str() == DIRECT { Search::Direct } else { Search::Dynamic };
            // What belongs to a plugin is not the engine's.
            let own =
                |name: &str| search == Search::Direct || name.split_once('/').is_none_or(|(module, _)| module != device.search.as_str());
            let spec = DeviceSpec {
                name: device.name.to_string(),
                encapsulation: device.encapsulation.to_string(),
                vni: device.vnetid,
                search,
                properties: device
                    .properties
                    .iter()
                    .filter(|(name, _)| own(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            };
            stage.control.create_device(spec, Time::ZERO).map_err(|error| error.to_string())?;
            stage.open(underlay_mtu);
        }
        stage.control.answerer_attached(Time::ZERO);
        stage.open(underlay_mtu);
        for vnic in &config.vnics {
            let id = stage.control.device_named(vnic.device.as_str());
            let info = id
                .and_then(|id| stage.control.device(id))
                .ok_or_else(|| format!("vnic {}: overlay {} is not there", vnic.name, vnic.device))?;
            let mtu = vnic.mtu.unwrap_or(info.mtu).min(info.mtu);
            let spec = PortSpec { name: vnic.name.to_string(), mac: vnic.mac, mtu };
            let port = stage.control.add_port(info.id, &spec).map_err(|error| error.to_string())?;
            stage.vnics.push((vnic.name.clone(), port));
            stage.by_mac.entry(vnic.mac.0).or_insert(port);
            stage.mtus.insert(port, mtu);
        }
        for entry in &config.entries {
            let target = match &entry.to {
                StaticTarget::Reach(to) => SetTarget::Reach(to.clone()),
                StaticTarget::Drop => SetTarget::Drop,
            };
            stage.set(&entry.device, entry.mac, &target, Source::Static, None)?;
        }
        stage.open(underlay_mtu);
        Ok(stage)
    }

    /// Opens what the engine wants to be open.
    fn open(&mut self, mtu: u32) {
        while let Some(output) = self.control.poll_output(Time::ZERO) {
            if let Output::Event(Event::UnderlayOpen { underlay, carrier, listen, .. }) = output {
                self.listeners.push(Listener { id: underlay, carrier, listen });
                self.control.handle_underlay(underlay, Ok(mtu), Time::ZERO);
            }
        }
    }

    fn set(&mut self, overlay: &LinkName, mac: Mac, target: &SetTarget, source: Source, ttl_ns: Option<u64>) -> Result<(), String> {
        let id = self.control.device_named(overlay.as_str()).ok_or_else(|| format!("overlay {overlay}: is not there"))?;
        self.control.set_target(id, mac, target, source, ttl_ns, START).map_err(|error| error.to_string())
    }

    /// Takes over what `overlayadm show-overlay -t --json` has said of a host. Gives how many entries it knew.
    pub(crate) fn load_table(&mut self, name: &str, text: &str, config: &HostConfig) -> Result<usize, String> {
        let mut taken = 0;
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let place = |error: &dyn std::fmt::Display| format!("{name}: line {number}: {error}");
            let row: Row = match serde_json::from_str(line) {
                Ok(row) => row,
                // Where a direct overlay sends everything: its configuration says it, too.
                Err(_) if line.contains("\"*:*:*:*:*:*\"") => continue,
                Err(error) => return Err(place(&error)),
            };
            known(config, &row.overlay, "--table").map_err(|error| place(&error))?;
            let target = match row.target.state {
                EntryState::Valid | EntryState::Stale | EntryState::Renewing | EntryState::Draining if !row.target.ul3.is_empty() => {
                    SetTarget::Reach(row.target.ul3)
                }
                EntryState::Drop => SetTarget::Drop,
                // Nothing was known of it.
                _ => continue,
            };
            // What was learned could be learned again: as from a plugin that was not asked, it can be replaced by an answer.
            let source = if row.target.source == Source::Static { Source::Static } else { Source::Plugin };
            self.set(&row.overlay, row.target.mac, &target, source, row.target.expires_ns).map_err(|error| place(&error))?;
            taken += 1;
        }
        Ok(taken)
    }

    /// The VNIC of a name.
    pub(crate) fn vnic(&self, name: &LinkName) -> Result<PortId, String> {
        self.vnics.iter().find(|(known, _)| known == name).map(|(_, port)| *port).ok_or_else(|| {
            let all: Vec<_> = self.vnics.iter().map(|(name, _)| name.as_str()).collect();
            format!("vnic {name}: not in the configuration; it has {}", if all.is_empty() { "none".to_owned() } else { all.join(", ") })
        })
    }
}
