//! Which tunnel devices are there in all these namespaces, and which UDP ports do they use?

use std::collections::BTreeMap;

use overlay_decoder::UdpTunnel;

use super::error::HostError;
use super::kernel::Kernel;
use super::link::Link;
use super::namespace::Namespace;
use super::tunnel::Tunnel;

/// The interfaces of several namespaces at about the same time.
#[derive(Debug, Default)]
pub struct Survey {
    /// Those that could be asked, in the order in which they were given.
    pub namespaces: Vec<Surveyed>,
    /// Those that could not, with the reason. One that ended meanwhile is in neither list.
    pub skipped: Vec<HostError>,
}

/// One namespace and its interfaces.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// The namespace.
    pub namespace: Namespace,
    /// Its interfaces, in the kernel's order.
    pub links: Vec<Link>,
    /// Numbers by which it knows others, with their places in the survey.
    ids: BTreeMap<i32, Namespace>,
}

/// A tunnel device and where it is.
#[derive(Clone, Copy, Debug)]
pub struct TunnelDevice<'a> {
    /// The namespace that the device is in: where its inner packets are.
    pub namespace: &'a Namespace,
    /// The namespace where its outer packets are sent and received, which its UDP port and [`Tunnel::lower`] belong to; absent where that is
    /// none of those in the survey.
    pub underlay: Option<&'a Namespace>,
    /// The device as an interface.
    pub link: &'a Link,
    /// How it encapsulates.
    pub tunnel: &'a Tunnel,
}

impl Survey {
    /// Asks each of `namespaces` for its interfaces.
    #[must_use]
    pub fn of(namespaces: &[Namespace]) -> Self {
        let mut survey = Self::default();
        for namespace in namespaces {
            match Surveyed::ask(namespace, namespaces) {
                Ok(surveyed) => survey.namespaces.push(surveyed),
                Err(error) if error.is_gone() => {}
                Err(error) => survey.skipped.push(error),
            }
        }
        survey
    }

    /// Every tunnel device.
    pub fn tunnels(&self) -> impl Iterator<Item = TunnelDevice<'_>> {
        self.namespaces.iter().flat_map(Surveyed::tunnels)
    }

    /// The UDP ports of the devices and what they carry, each port once, in ascending order: what the decoder's configuration should know
    /// (`overlay_decoder::Config::add_port`). Where two namespaces use one port for two encapsulations, the one that was given first wins.
    #[must_use]
    pub fn known_ports(&self) -> Vec<(u16, UdpTunnel)> {
        let mut ports = BTreeMap::new();
        for device in self.tunnels() {
            if let (Some(port), Some(udp)) = (device.tunnel.port, device.tunnel.udp()) {
                ports.entry(port).or_insert(udp);
            }
        }
        ports.into_iter().collect()
    }
}

impl Surveyed {
    fn ask(namespace: &Namespace, others: &[Namespace]) -> Result<Self, HostError> {
        let mut kernel = Kernel::open(namespace)?;
        let links = kernel.links()?;
        let mut ids = BTreeMap::new();
        if links.iter().any(|link| link.tunnel.is_some() && link.lower_namespace_id.is_some()) {
            for other in others {
                // One that cannot be looked at has no number for us: the devices that it carries say that their underlay is unknown.
                if let Ok(Some(id)) = kernel.id_of(other) {
                    ids.insert(id, other.clone());
                }
            }
        }
        Ok(Self { namespace: namespace.clone(), links, ids })
    }

    /// Its tunnel devices.
    pub fn tunnels(&self) -> impl Iterator<Item = TunnelDevice<'_>> {
        self.links.iter().filter_map(|link| {
            let underlay = match link.lower_namespace_id {
                None => Some(&self.namespace),
                Some(id) => self.ids.get(&id),
            };
            Some(TunnelDevice { namespace: &self.namespace, underlay, link, tunnel: link.tunnel.as_ref()? })
        })
    }
}

/// The UDP ports of all tunnel devices in `namespaces`; [`Survey::known_ports`] without the rest. Namespaces that cannot be asked are left
/// out: take a [`Survey`] to hear of them.
#[must_use]
pub fn known_ports(namespaces: &[Namespace]) -> Vec<(u16, UdpTunnel)> {
    Survey::of(namespaces).known_ports()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::{MessageBuilder, Messages, append_attribute};

    fn device(kind: &str, port_attribute: u16, port: u16, more: &[(u16, &[u8])]) -> Link {
        let (mut data, mut info) = (Vec::new(), Vec::new());
        append_attribute(&mut data, port_attribute, &port.to_be_bytes());
        for (kind, value) in more {
            append_attribute(&mut data, *kind, value);
        }
        append_attribute(&mut info, 1, kind.as_bytes());
        append_attribute(&mut info, 2, &data);
        let message = MessageBuilder::new(16, 0, 0, &[0; 16]).attribute(3, b"device").attribute(18 | 0x8000, &info).bytes();
        Link::from_message(Messages::new(&message).next().unwrap().body).unwrap()
    }

    fn surveyed(links: Vec<Link>) -> Surveyed {
        Surveyed { namespace: Namespace::current().unwrap(), links, ids: BTreeMap::new() }
    }

    #[test]
    fn ports_come_once_in_order_and_the_first_namespace_wins() {
        let first = surveyed(vec![
            device("vxlan", 15, 12345, &[]),
            device("vxlan", 15, 12345, &[]),
            device("vxlan", 15, 4790, &[(25, &[1]), (27, &[])]),
            device("geneve", 5, 6082, &[]),
            device("gretap", 17, 5555, &[(14, &[1, 0])]),
            device("veth", 15, 1, &[]),
        ]);
        let second = surveyed(vec![device("vxlan", 15, 4790, &[]), device("vxlan", 15, 1024, &[])]);
        let survey = Survey { namespaces: vec![first, second], skipped: vec![] };
        let expected = [(1024, UdpTunnel::Vxlan), (4790, UdpTunnel::VxlanGpe), (6082, UdpTunnel::Geneve), (12345, UdpTunnel::Vxlan)];
        assert_eq!(survey.known_ports(), expected);
        assert_eq!(survey.tunnels().count(), 7);
    }

    #[test]
    fn an_underlay_that_cannot_be_seen_is_not_taken_for_the_own_namespace() {
        let mut hidden = device("vxlan", 15, 4789, &[]);
        hidden.lower_namespace_id = Some(3);
        let namespace = surveyed(vec![hidden, device("vxlan", 15, 4789, &[])]);
        let underlays: Vec<bool> = namespace.tunnels().map(|tunnel| tunnel.underlay.is_some()).collect();
        assert_eq!(underlays, [false, true]);
    }
}
