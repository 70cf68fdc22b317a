//! Where is captured? Flags and what the host knows become a list of interfaces.

use crate::flags::Flags;
use crate::rights::{Need, missing_capability};
use overlay_captures::host::{HostError, Link, Namespace, Survey};
use overlay_captures::live::Place;
use overlay_decoder::text::Text;
use std::fmt::Write as _;

/// The interface of libpcap that stands for all of a namespace.
const ANY: &str = "any";

/// The namespaces that the flags name, and what is in them.
pub(crate) struct Host {
    /// Where is captured.
    pub(crate) chosen: Vec<Namespace>,
    /// All that could be looked into: tunnels of other namespaces have ports, too.
    pub(crate) survey: Survey,
}

impl Host {
    /// Looks at the host.
    ///
    /// # Errors
    ///
    /// A sentence, when a namespace that was named is not there or cannot be entered.
    pub(crate) fn look(flags: &Flags) -> Result<Self, String> {
        let refuse = |error: HostError| match missing_capability(Need::Namespace) {
            Some(sentence) if !flags.netns.is_empty() => format!("{error}: {sentence}"),
            _ => error.to_string(),
        };
        let all = Namespace::all().map_err(refuse)?.readable;
        let chosen = if flags.all_netns {
            all.clone()
        } else if flags.netns.is_empty() {
            vec![Namespace::current().map_err(refuse)?]
        } else {
            flags.netns.iter().map(|text| Namespace::find(text).map_err(refuse)).collect::<Result<_, _>>()?
        };
        // What was asked for comes first: in a conflict over a port, it is right.
        let mut surveyed = chosen.clone();
        surveyed.extend(all.into_iter().filter(|namespace| !chosen.iter().any(|known| known.is_same(namespace))));
        Ok(Self { chosen, survey: Survey::of(&surveyed) })
    }

    fn links<'a>(&'a self, namespace: &Namespace) -> &'a [Link] {
        let found = self.survey.namespaces.iter().find(|surveyed| surveyed.namespace.is_same(namespace));
        found.map_or(&[], |surveyed| surveyed.links.as_slice())
    }

    fn place(&self, namespace: &Namespace, name: &str) -> Option<Place> {
        let link = self.links(namespace).iter().find(|link| link.name == name);
        if link.is_none() && name != ANY {
            return None;
        }
        let label = if namespace.is_current() { name.to_owned() } else { format!("{namespace}/{name}") };
        Some(Place {
            namespace: namespace.clone(),
            interface: name.to_owned(),
            label,
            mac: link.and_then(|link| link.mac),
            vni: link.and_then(|link| link.tunnel.as_ref()).and_then(|tunnel| tunnel.vni),
        })
    }

    /// The interfaces to capture on.
    ///
    /// # Errors
    ///
    /// A sentence, when one is not there, or when none is named and no tunnel device says which would be of use.
    pub(crate) fn places(&self, flags: &Flags) -> Result<Vec<Place>, String> {
        let mut places = Vec::new();
        for name in &flags.interfaces {
            let found: Vec<Place> = self.chosen.iter().filter_map(|namespace| self.place(namespace, name)).collect();
            if found.is_empty() || (found.len() < self.chosen.len() && !flags.all_netns) {
                let missing = self.chosen.iter().find(|namespace| self.place(namespace, name).is_none());
                return Err(missing.map_or_else(|| format!("{name}: no such interface"), |namespace| self.no_such(namespace, name)));
            }
            places.extend(found);
        }
        if flags.interfaces.is_empty() {
            places = self.underlays();
            if places.is_empty() {
                return Err("no tunnel device was found that would say where to capture; -i IFACE captures on an interface, -D lists them, -r reads a file".into());
            }
        }
        Ok(places)
    }

    fn no_such(&self, namespace: &Namespace, name: &str) -> String {
        let names: Vec<&str> = self.links(namespace).iter().map(|link| link.name.as_str()).collect();
        let place = if namespace.is_current() { String::new() } else { format!(" in namespace {namespace}") };
        format!("{name}: no such interface{place}; there are any, {}", names.join(", "))
    }

    /// The interfaces that carry the tunnels of the chosen namespaces: the lower device of each, or all of its underlay's namespace
    /// where the kernel routes each packet.
    fn underlays(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for device in self.survey.tunnels() {
            if !self.chosen.iter().any(|namespace| namespace.is_same(device.namespace)) {
                continue;
            }
            let namespace = device.underlay.unwrap_or(device.namespace);
            let lower = device.tunnel.lower.or(device.link.lower);
            let name = lower.and_then(|index| self.links(namespace).iter().find(|link| link.index == index)).map_or(ANY, |link| &link.name);
            let known = |place: &Place| place.namespace.is_same(namespace) && place.interface == name;
            if !places.iter().any(known) {
                places.extend(self.place(namespace, name));
            }
        }
        // `any` of a namespace has what its other interfaces have.
        let with_any: Vec<Namespace> = places.iter().filter(|place| place.interface == ANY).map(|place| place.namespace.clone()).collect();
        places.retain(|place| place.interface == ANY || !with_any.iter().any(|namespace| namespace.is_same(&place.namespace)));
        places
    }

    /// Writes the interfaces of the chosen namespaces, a line each.
    pub(crate) fn list(&self, out: &mut Text) {
        for namespace in &self.chosen {
            for link in self.links(namespace) {
                let label = if namespace.is_current() { link.name.clone() } else { format!("{namespace}/{}", link.name) };
                let state = if link.up { "up" } else { "down" };
                let kind = match &link.tunnel {
                    Some(tunnel) => tunnel.to_string(),
                    None => link.kind.clone().unwrap_or_else(|| link.hardware.to_string()),
                };
                // Writing into memory does not fail.
                let _ = writeln!(out, "{label:<24} {state:<5} mtu {:<6} {kind}", link.mtu);
            }
        }
        for skipped in &self.survey.skipped {
            let _ = writeln!(out, "not looked into: {skipped}");
        }
    }

    /// Writes the tunnel devices of the chosen namespaces, a sentence for standard error.
    pub(crate) fn tunnels(&self) -> Option<String> {
        let mut names: Vec<String> = Vec::new();
        for device in self.survey.tunnels().filter(|device| self.chosen.iter().any(|namespace| namespace.is_same(device.namespace))) {
            let label =
                if device.namespace.is_current() { device.link.name.clone() } else { format!("{}/{}", device.namespace, device.link.name) };
            names.push(format!("{label} ({})", device.tunnel));
        }
        (!names.is_empty()).then(|| format!("tunnel devices: {}", names.join(", ")))
    }
}
