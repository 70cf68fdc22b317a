//! What comes back after a restart, and what has changed behind our back?

use super::Room;
use crate::sys::{LinkState, SysError, Whereabouts};
use overlay_api::config::StaticTarget;
use overlay_api::control::{Happening, VnicState};
use overlay_api::{LinkName, Source};
use overlay_decoder::Mac;
use overlay_engine::SetTarget;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Inner addresses of an interface that are told: a packet takes them all.
const ADDRESSES_MAX: usize = 64;

impl Room {
    /// Makes everything that is configured. What cannot be made is told and kept in the configuration: a later version, plugin or
    /// namespace may be able to.
    pub(crate) fn restore(&mut self) {
        let config = self.store.load();
        let now = self.clock.now();
        for device in &config.devices {
            if let Err(problem) = self.make_device(device) {
                tracing::error!("overlay {}: {problem}", device.name);
            }
        }
        self.config = config.clone();
        self.carry_out();
        for vnic in &config.vnics {
            if let Err(problem) = self.make_vnic(vnic) {
                tracing::error!("vnic {}: {problem}", vnic.name);
            }
        }
        for entry in &config.entries {
            let target = match &entry.to {
                StaticTarget::Reach(to) => SetTarget::Reach(to.clone()),
                StaticTarget::Drop => SetTarget::Drop,
            };
            let Some(device) = self.control.device_named(entry.device.as_str()) else { continue };
            if let Err(refusal) = self.control.set_target(device, entry.mac, &target, Source::Static, None, now) {
                tracing::error!("{refusal}");
            }
        }
        self.carry_out();
    }

    /// Looks whether interfaces have gone, come, or been changed by somebody else.
    pub(super) fn look_at_vnics(&mut self) {
        let names: Vec<LinkName> = self.vnics.keys().cloned().collect();
        for name in names {
            let Some(vnic) = self.vnics.get(&name) else { continue };
            let Ok(tap) = &vnic.tap else {
                self.open_vnic(&name);
                if self.vnics.get(&name).is_some_and(|vnic| vnic.tap.is_ok()) {
                    self.tell(Happening::VnicState { vnic: name, state: VnicState::Up, reason: None });
                }
                continue;
            };
            let link = tap.link().and_then(|link| match link.whereabouts {
                // What is left of it would keep a namespace alive that nobody can reach.
                Whereabouts::Unnamed(why) => Err(SysError::gone(why)),
                _ => Ok(link),
            });
            match link {
                Ok(link) => {
                    self.notice(&name, &link);
                    self.notice_addresses(&name, link.addresses);
                }
                Err(error) => {
                    let reason = error.to_string();
                    tracing::warn!("{reason}");
                    self.tell(Happening::VnicState { vnic: name.clone(), state: VnicState::Failed, reason: Some(reason.clone()) });
                    if let Some(vnic) = self.vnics.get_mut(&name) {
                        vnic.tap = Err(reason);
                        let port = vnic.port;
                        self.threads.change(|io| drop(io.taps.remove(&port)));
                        self.notice_addresses(&name, Some(BTreeSet::new()));
                    }
                }
            }
        }
    }

    /// Somebody has changed the interface of a VNIC, or has not.
    fn notice(&mut self, name: &LinkName, link: &LinkState) {
        let Some(vnic) = self.vnics.get(name) else { return };
        let (port, mac, own) = (vnic.port, vnic.config.mac, vnic.config.mtu);
        let Some(info) = self.control.device(vnic.device) else { return };
        let known = info.ports.iter().find(|other| other.id == port).map_or(info.mtu, |port| port.mtu);
        // More than the overlay carries is the tenant's wish alone: its frames are told what is too big.
        let mtu = link.mtu.min(info.mtu);
        let mut trouble = (link.mtu > info.mtu)
            .then(|| format!("the interface has an MTU of {}, overlay {} one of {}", link.mtu, vnic.config.device, info.mtu));
        if matches!(link.whereabouts, Whereabouts::Moved) {
            trouble = Some("the interface was moved to another namespace".to_owned());
        }
        if (mtu, link.mac) != (known, mac) {
            match self.control.change_port(port, link.mac, mtu) {
                Ok(()) => {
                    tracing::info!("vnic {name}: is {} with an MTU of {mtu} now", link.mac);
                    let own = if mtu == info.mtu { own.filter(|own| *own == mtu) } else { Some(mtu) };
                    self.keep_vnic(name, link.mac, own);
                }
                Err(refusal) => trouble = Some(format!("the interface has address {}: {refusal}", link.mac)),
            }
        }
        if let Some(vnic) = self.vnics.get_mut(name)
            && vnic.trouble != trouble
        {
            if let Some(trouble) = &trouble {
                tracing::warn!("vnic {name}: {trouble}");
            }
            vnic.trouble = trouble;
        }
    }

    /// The interface of a VNIC has these inner addresses now; none if nobody knows.
    pub(super) fn notice_addresses(&mut self, name: &LinkName, now: Option<BTreeSet<IpAddr>>) {
        let Some((vnic, now)) = self.vnics.get_mut(name).zip(now) else { return };
        let now: Vec<IpAddr> = now.into_iter().take(ADDRESSES_MAX).collect();
        if vnic.addresses != now {
            vnic.addresses = now;
            self.tell_addresses(name);
        }
    }

    /// What a tenant has made of its VNIC is what comes back after a restart.
    fn keep_vnic(&mut self, name: &LinkName, mac: Mac, mtu: Option<u32>) {
        let before = self.vnics.get(name).map(|vnic| (vnic.device, vnic.config.mac));
        if let Some((device, old)) = before.filter(|(_, old)| *old != mac) {
            self.tell_vnic(device, name, old, false);
            self.tell_vnic(device, name, mac, true);
        }
        if let Some(vnic) = self.vnics.get_mut(name) {
            (vnic.config.mac, vnic.config.mtu) = (mac, mtu);
        }
        if let Some(config) = self.config.vnics.iter_mut().find(|vnic| vnic.name == *name) {
            (config.mac, config.mtu) = (mac, mtu);
        }
        if let Err(problem) = self.save() {
            tracing::error!("{problem}");
        }
    }
}
