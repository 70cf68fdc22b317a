//! How long do answers take? What the engine has measured, for an overlay and for all overlays of a plugin.

use super::Room;
use super::calls::DIRECT;
use overlay_api::control::{PluginWaits, Waits};
use overlay_api::{DeviceConfig, DeviceId, ModuleName};
use overlay_engine::{Time, Waited};
use std::collections::BTreeMap;

/// What is told of an overlay's lookups.
pub(super) fn of_overlay(room: &Room, device: DeviceId, now: Time) -> Waits {
    shown(overlay_engine::Waits::figures(room.control.device_waits(device), now))
}

/// What is told of each plugin that an overlay asks.
pub(super) fn of_plugins(room: &Room) -> Vec<PluginWaits> {
    let now = room.clock.now();
    let mut plugins: BTreeMap<&ModuleName, Vec<&DeviceConfig>> = BTreeMap::new();
    for device in room.config.devices.iter().filter(|device| device.search.as_str() != DIRECT) {
        plugins.entry(&device.search).or_default().push(device);
    }
    let told = |(plugin, devices): (&ModuleName, Vec<&DeviceConfig>)| {
        let infos: Vec<_> = devices.into_iter().filter_map(|device| Some(room.named(&device.name).ok()?.1)).collect();
        PluginWaits {
            plugin: plugin.clone(),
            lookups: infos.iter().map(|info| info.lookups as u64).sum(),
            waits: shown(overlay_engine::Waits::figures(infos.iter().filter_map(|info| room.control.device_waits(info.id)), now)),
        }
    };
    plugins.into_iter().map(told).collect()
}

fn shown(waited: Waited) -> Waits {
    let recent = waited.recent;
    Waits {
        answers: waited.answers,
        sum_ns: waited.sum_ns,
        p50_ns: recent.map(|recent| recent.p50_ns),
        p99_ns: recent.map(|recent| recent.p99_ns),
        max_ns: recent.map(|recent| recent.max_ns),
    }
}
