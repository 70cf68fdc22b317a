//! What does the answerer know of the overlays, and what do their plugins say to that?
//!
//! An overlay whose search is not `direct` wants an instance of a plugin. The answerer is told of it when it connects and whenever something
//! of it changes, if its declarations allow it. Whether an instance would start is asked before an overlay is made or a property of its
//! plugin changed; while nobody is connected both are done unasked, and what is wrong shows at the overlay later.

use super::Room;
use super::calls::search_of;
use super::search::{TAKEN, TEXT_MAX_BYTES, change, is_of_plugin};
use overlay_api::channel::{FromOverlayd, Instance, Request, VnicInfo};
use overlay_api::control::{NewOverlay, Problem, SetProperty};
use overlay_api::{DeviceConfig, DeviceId, LinkName, PropertySpec};
use overlay_decoder::{Mac, Ul3};
use overlay_engine::encap::Carrier;
use overlay_engine::{DEVICE, Search};
use std::borrow::Cow;
use std::net::IpAddr;
use tokio::sync::oneshot;

/// How an overlay stands with its plugin.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Whether the answerer has been told of it.
    pub(super) told: bool,
    /// Why it was not.
    wrong: Option<String>,
    /// What the plugin says is wrong.
    degraded: Option<String>,
}

/// The question whether an instance would start: what comes back is what is wrong with it.
pub(crate) type Verifying = oneshot::Receiver<Option<String>>;

impl Room {
    /// May there be this overlay? None if nobody can say.
    ///
    /// # Errors
    /// A name that is taken, a plugin that there is not, a property that its declaration does not allow.
    pub(crate) fn begin_create(&mut self, new: &NewOverlay) -> Result<Option<Verifying>, Problem> {
        self.name_is_free(&new.name)?;
        let search = new.search.as_str();
        if search != super::calls::DIRECT && (TAKEN.contains(&search) || self.registry.get(search).is_some()) {
            return Err(Problem::wrong(format_args!("search {search}: is no plugin; properties of that name are the overlay's own")));
        }
        if let Some((name, value)) = new.properties.iter().find(|(_, value)| value.len() > TEXT_MAX_BYTES) {
            let length = value.len();
            return Err(Problem::wrong(format_args!("property {name}: a value of {length} bytes; at most {TEXT_MAX_BYTES} are allowed")));
        }
        let config = DeviceConfig {
            name: new.name.clone(),
            encapsulation: new.encapsulation.clone(),
            search: new.search.clone(),
            vnetid: new.vnetid,
            properties: new.properties.clone(),
        };
        self.verify(&config)
    }

    /// May this property change so? None if nobody can say, or if it is none of a plugin.
    ///
    /// # Errors
    /// An overlay or property that there is not, a value that its declaration does not allow.
    pub(crate) fn begin_set(&mut self, name: &LinkName, set: &SetProperty) -> Result<Option<Verifying>, Problem> {
        let (config, _) = self.named(name)?;
        if let Some(length) = set.value.as_ref().map(String::len).filter(|length| *length > TEXT_MAX_BYTES) {
            let name = &set.name;
            return Err(Problem::wrong(format_args!("property {name}: a value of {length} bytes; at most {TEXT_MAX_BYTES} are allowed")));
        }
        if !is_of_plugin(config, &set.name) {
            return Ok(None);
        }
        let mut config = config.clone();
        change(&mut config, set);
        self.verify(&config)
    }

    fn verify(&mut self, config: &DeviceConfig) -> Result<Option<Verifying>, Problem> {
        if search_of(config) == Search::Direct || self.answerers.attached.is_none() {
            return Ok(None);
        }
        let instance = self.instance(config, None);
        let Some(attached) = &mut self.answerers.attached else { return Ok(None) };
        attached.plugins.check(&instance).map_err(Problem::wrong)?;
        // Those who had enough of waiting.
        attached.verifying.retain(|_, waits| !waits.is_closed());
        let token = attached.token();
        if !attached.link.say(&FromOverlayd::Verify(Request { token, instance })) {
            return Err(Problem::wrong(format_args!("search {}: its properties are too long together", config.search)));
        }
        let (waits, answer) = oneshot::channel();
        attached.verifying.insert(token, waits);
        Ok(Some(answer))
    }

    /// Whether destinations of an overlay have a port.
    fn has_port(&self, config: &DeviceConfig) -> bool {
        self.registry.get(config.encapsulation.as_str()).is_none_or(|encapsulation| encapsulation.carrier() == Carrier::Udp)
    }

    /// Where other hosts reach an overlay; none if it listens at all of the host's addresses, or what it was given is no address.
    fn listens_at(&self, config: &DeviceConfig) -> Option<Ul3> {
        let encapsulation = config.encapsulation.as_str();
        let value = |what: &str| {
            let name = format!("{encapsulation}/{what}");
            let default = || self.registry.get(encapsulation)?.properties().iter().find(|spec| spec.name == name)?.default.clone();
            config.properties.get(&name).cloned().or_else(|| default().map(Cow::into_owned))
        };
        let ip = value("listen_ip")?.parse::<IpAddr>().ok()?.to_canonical();
        let port = if self.has_port(config) { Some(value("listen_port")?.parse().ok()?) } else { None };
        (!ip.is_unspecified()).then_some(Ul3 { ip, port })
    }

    /// An overlay, as the answerer is told of it; without a device, one that is not there yet.
    fn instance(&self, config: &DeviceConfig, device: Option<DeviceId>) -> Instance {
        let info = device.and_then(|device| self.control.device(device));
        let wanted = || {
            let default = DEVICE.iter().find(|spec| spec.name == "mtu").and_then(|spec| spec.default.clone());
            let text = config.properties.get("mtu").map(|text| Cow::from(text.clone())).or(default);
            // What is no number is refused by the engine, whatever the plugin says.
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let device = device.unwrap_or(DeviceId(0));
        let vnic = |(name, vnic): (&LinkName, &super::Vnic)| {
            let addresses = vnic.addresses.clone();
            VnicInfo { device, name: name.clone(), mac: vnic.config.mac, addresses }
        };
        Instance {
            device,
            name: config.name.clone(),
            search: config.search.clone(),
            encapsulation: config.encapsulation.clone(),
            with_port: self.has_port(config),
            vnetid: config.vnetid,
            mtu: info.as_ref().map_or_else(wanted, |info| info.mtu),
            ul3: self.listens_at(config),
            properties: config
                .properties
                .iter()
                .filter(|(name, _)| is_of_plugin(config, name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            vnics: self.vnics.iter().filter(|(_, vnic)| info.is_some() && vnic.device == device).map(vnic).collect(),
        }
    }

    /// The answerer is told of all overlays that ask.
    pub(super) fn tell_instances(&mut self) {
        let names: Vec<LinkName> = self.config.devices.iter().map(|device| device.name.clone()).collect();
        names.iter().for_each(|name| self.tell_instance(name, None));
    }

    /// The answerer, if there is one, is told how an overlay is now. `doubt` is what is wrong with it until the plugin says how it is.
    pub(super) fn tell_instance(&mut self, name: &LinkName, doubt: Option<String>) {
        let Ok((config, info)) = self.named(name) else { return };
        if search_of(config) == Search::Direct || self.answerers.attached.is_none() {
            return;
        }
        let device = info.id;
        let instance = self.instance(config, Some(device));
        let standing = self.answerers.standings.entry(device).or_default();
        let Some(attached) = &mut self.answerers.attached else { return };
        match attached.plugins.check(&instance) {
            Ok(()) => {
                (standing.wrong, standing.told) = (None, true);
                if doubt.is_some() {
                    standing.degraded = doubt;
                }
                if !attached.link.say(&FromOverlayd::Instance(instance.clone())) {
                    // A packet takes some hundred VNICs with an overlay; more follow it one by one.
                    let bare = Instance { vnics: Vec::new(), ..instance };
                    standing.told = attached.link.say(&FromOverlayd::Instance(bare));
                    for vnic in instance.vnics.into_iter().filter(|_| standing.told) {
                        attached.link.say(&FromOverlayd::VnicAdded(vnic));
                    }
                    standing.wrong = (!standing.told).then(|| "the properties are too long together".to_owned());
                }
            }
            Err(problem) => {
                if standing.told {
                    attached.link.say(&FromOverlayd::InstanceRemoved(device));
                }
                *standing = Standing { told: false, wrong: Some(problem), degraded: None };
            }
        }
        if standing.told {
            self.answerers.ask_held(device);
        }
        self.show_standing(device);
    }

    /// What is wrong with an instance shows at its overlay.
    fn show_standing(&mut self, device: DeviceId) {
        let standing = self.answerers.standings.get(&device);
        let reason = standing.and_then(|standing| standing.wrong.clone().or_else(|| standing.degraded.clone()));
        self.control.degrade(device, reason, self.clock.now());
    }

    /// The answerer says how an instance is.
    pub(super) fn instance_is(&mut self, device: DeviceId, degraded: Option<String>) {
        match self.answerers.standings.get_mut(&device).filter(|standing| standing.told) {
            Some(standing) => standing.degraded = degraded,
            None => return self.unusable(format_args!("the state of device {device}, which has no instance"), self.clock.now()),
        }
        self.show_standing(device);
    }

    /// An overlay has been deleted.
    pub(super) fn forget_instance(&mut self, device: DeviceId) {
        let told = self.answerers.standings.remove(&device).is_some_and(|standing| standing.told);
        if let Some(attached) = self.answerers.attached.as_mut().filter(|_| told) {
            attached.link.say(&FromOverlayd::InstanceRemoved(device));
        }
    }

    /// Nobody says any more how instances are.
    pub(super) fn forget_instances(&mut self) {
        for device in std::mem::take(&mut self.answerers.standings).into_keys() {
            self.show_standing(device);
        }
    }

    /// A VNIC has been made, if `there`, or is about to go.
    pub(super) fn tell_vnic(&mut self, device: DeviceId, name: &LinkName, mac: Mac, there: bool) {
        if self.answerers.standings.get(&device).is_some_and(|standing| standing.told)
            && let Some(attached) = &mut self.answerers.attached
        {
            let addresses = self.vnics.get(name).filter(|_| there).map(|vnic| vnic.addresses.clone()).unwrap_or_default();
            let vnic = VnicInfo { device, name: name.clone(), mac, addresses };
            attached.link.say(&if there { FromOverlayd::VnicAdded(vnic) } else { FromOverlayd::VnicRemoved(vnic) });
        }
    }

    /// The interface of a VNIC has other inner addresses.
    pub(super) fn tell_addresses(&mut self, name: &LinkName) {
        if let Some(vnic) = self.vnics.get(name)
            && self.answerers.standings.get(&vnic.device).is_some_and(|standing| standing.told)
            && let Some(attached) = &mut self.answerers.attached
        {
            let (mac, addresses) = (vnic.config.mac, vnic.addresses.clone());
            attached.link.say(&FromOverlayd::VnicChanged(VnicInfo { device: vnic.device, name: name.clone(), mac, addresses }));
        }
    }

    /// What the plugin of an overlay declares; nothing while nobody is there who knows.
    pub(super) fn declared(&self, config: &DeviceConfig) -> &[PropertySpec] {
        self.answerers.attached.as_ref().map_or(&[], |attached| attached.plugins.specs(&config.search))
    }
}
