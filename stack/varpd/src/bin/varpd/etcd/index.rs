//! What is known of a virtual network? The keys of the store in memory, small: a mapping is a MAC, where it is, and mostly nothing more.

use overlay_api::mapping::{MappingEntry, MappingTarget};
use overlay_decoder::{Mac, Ul3};
use overlay_etcd::{Key, Layout, VALUE_MAX};
use overlay_varpd::knowledge::Knowledge;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where frames for a MAC go, and what few entries have besides.
struct Vl2 {
    to: MappingTarget,
    more: Option<Box<More>>,
}

struct More {
    arp: Vec<Ipv4Addr>,
    ndp: Vec<Ipv6Addr>,
    dhcp_proxy: Option<Mac>,
}

/// The keys of a virtual network.
#[derive(Default)]
pub(super) struct Index {
    vl2: HashMap<Mac, Vl2>,
    /// By the keys below `vl3/`.
    vl3: HashMap<IpAddr, Mac>,
    /// By the lists in entries, which `vl3/` overrules; of several the lowest MAC answers.
    listed: BTreeSet<(IpAddr, Mac)>,
}

/// What a change of the store means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Frames for the MAC go there now: overlayd may know another place.
    Moved(Mac, Vec<Ul3>),
    /// The MAC is known now, or no longer.
    Turned(Mac),
    /// The tenant's address is that of another MAC now.
    Announce(IpAddr, Mac),
}

impl Vl2 {
    fn of(entry: &MappingEntry) -> Self {
        let MappingEntry { to, arp, ndp, dhcp_proxy } = entry;
        let has_more = !arp.is_empty() || !ndp.is_empty() || dhcp_proxy.is_some();
        let more = has_more.then(|| Box::new(More { arp: arp.clone(), ndp: ndp.clone(), dhcp_proxy: *dhcp_proxy }));
        Self { to: to.clone(), more }
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let more = self.more.iter();
        more.flat_map(|more| more.arp.iter().copied().map(IpAddr::from).chain(more.ndp.iter().copied().map(IpAddr::from)))
    }

    fn entry(&self) -> MappingEntry {
        let (arp, ndp, dhcp_proxy) =
            self.more.as_ref().map_or((Vec::new(), Vec::new(), None), |more| (more.arp.clone(), more.ndp.clone(), more.dhcp_proxy));
        MappingEntry { to: self.to.clone(), arp, ndp, dhcp_proxy }
    }
}

impl Index {
    /// How many destinations there are.
    pub(super) fn len(&self) -> usize {
        self.vl2.len()
    }

    /// A key was written. What that means is told to `effect`.
    ///
    /// # Errors
    /// Why the key or its value has no meaning; the key counts as not there then.
    pub(super) fn put(
        &mut self,
        layout: &Layout,
        key: &[u8],
        value: &[u8],
        with_port: bool,
        effect: &mut impl FnMut(Effect),
    ) -> Result<(), String> {
        let read = layout.read(key).map_err(|error| error.to_string())?;
        let taken = match &read {
            Key::Vl2(_, mac) => entry(*mac, value, with_port).map(|entry| self.put_vl2(*mac, Some(Vl2::of(&entry)), effect)),
            Key::Vl3(_, ip) => owner(value).map(|mac| self.put_vl3(*ip, Some(mac), effect)),
            Key::Import(_) => Ok(()),
        };
        taken.map_err(|why| {
            self.forget(&read, effect);
            format!("{}: {why}", layout.key(&read))
        })
    }

    /// A key went away.
    pub(super) fn delete(&mut self, layout: &Layout, key: &[u8], effect: &mut impl FnMut(Effect)) {
        if let Ok(read) = layout.read(key) {
            self.forget(&read, effect);
        }
    }

    fn forget(&mut self, key: &Key, effect: &mut impl FnMut(Effect)) {
        match key {
            Key::Vl2(_, mac) => self.put_vl2(*mac, None, effect),
            Key::Vl3(_, ip) => self.put_vl3(*ip, None, effect),
            Key::Import(_) => {}
        }
    }

    fn put_vl2(&mut self, mac: Mac, new: Option<Vl2>, effect: &mut impl FnMut(Effect)) {
        let old = self.vl2.remove(&mac);
        let mut touched: Vec<IpAddr> = old.iter().chain(&new).flat_map(Vl2::addresses).collect();
        touched.sort_unstable();
        touched.dedup();
        let before: Vec<Option<Mac>> = touched.iter().map(|ip| self.by_ip(*ip)).collect();
        for ip in old.iter().flat_map(Vl2::addresses) {
            self.listed.remove(&(ip, mac));
        }
        for ip in new.iter().flat_map(Vl2::addresses) {
            self.listed.insert((ip, mac));
        }
        match (&old, &new) {
            (Some(old), Some(new)) if old.to == new.to => {}
            (Some(_), Some(new)) => effect(Effect::Moved(mac, new.to.destinations().to_vec())),
            (None, None) => {}
            _ => effect(Effect::Turned(mac)),
        }
        if let Some(new) = new {
            self.vl2.insert(mac, new);
        }
        for (ip, before) in touched.into_iter().zip(before) {
            self.announce(ip, before, effect);
        }
    }

    fn put_vl3(&mut self, ip: IpAddr, new: Option<Mac>, effect: &mut impl FnMut(Effect)) {
        let before = self.by_ip(ip);
        match new {
            Some(mac) => self.vl3.insert(ip, mac),
            None => self.vl3.remove(&ip),
        };
        self.announce(ip, before, effect);
    }

    fn announce(&self, ip: IpAddr, before: Option<Mac>, effect: &mut impl FnMut(Effect)) {
        if let (Some(before), Some(now)) = (before, self.by_ip(ip))
            && before != now
        {
            effect(Effect::Announce(ip, now));
        }
    }

    fn by_ip(&self, ip: IpAddr) -> Option<Mac> {
        let listed = || self.listed.range((ip, Mac::default())..).next().filter(|(found, _)| *found == ip).map(|(_, mac)| *mac);
        self.vl3.get(&ip).copied().or_else(listed)
    }

    /// What has changed from an index to this one.
    pub(super) fn since(&self, old: &Self, effect: &mut impl FnMut(Effect)) {
        for (mac, new) in &self.vl2 {
            match old.vl2.get(mac) {
                Some(old) if old.to == new.to => {}
                Some(_) => effect(Effect::Moved(*mac, new.to.destinations().to_vec())),
                None => effect(Effect::Turned(*mac)),
            }
        }
        old.vl2.keys().filter(|mac| !self.vl2.contains_key(mac)).for_each(|mac| effect(Effect::Turned(*mac)));
        let addresses = old.vl3.keys().copied().chain(old.listed.iter().map(|(ip, _)| *ip));
        for ip in addresses {
            self.announce(ip, old.by_ip(ip), effect);
        }
    }

    /// All keys with their values, without what stands in front of `vl2/` and `vl3/`: what a snapshot holds.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let vl2 = self.vl2.iter().map(|(mac, vl2)| format!("vl2/{mac} {}", vl2.entry().to_value()));
        vl2.chain(self.vl3.iter().map(|(ip, mac)| format!("vl3/{ip} {mac}")))
    }
}

impl Knowledge for Index {
    fn target(&self, mac: Mac) -> Option<&[Ul3]> {
        self.vl2.get(&mac).map(|vl2| vl2.to.destinations())
    }

    fn by_arp(&self, ip: Ipv4Addr) -> Option<Mac> {
        self.by_ip(ip.into())
    }

    fn by_ndp(&self, ip: Ipv6Addr) -> Option<Mac> {
        self.by_ip(ip.into())
    }

    fn dhcp_server(&self, client: Mac) -> Option<Mac> {
        self.vl2.get(&client).and_then(|vl2| vl2.more.as_ref()).and_then(|more| more.dhcp_proxy)
    }
}

/// The entry that a value is.
pub(super) fn entry(mac: Mac, value: &[u8], with_port: bool) -> Result<MappingEntry, String> {
    if value.len() > VALUE_MAX {
        return Err(format!("{} bytes; {VALUE_MAX} is the most for an entry", value.len()));
    }
    let entry = MappingEntry::parse(mac, value)?;
    entry.check(with_port)?;
    Ok(entry)
}

fn owner(value: &[u8]) -> Result<Mac, String> {
    let text = std::str::from_utf8(value).map_err(|_| "not UTF-8; a MAC is text".to_owned())?;
    text.trim_end().parse::<Mac>().map_err(|error| error.to_string())
}
