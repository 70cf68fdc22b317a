//! Two hosts with both daemons each, and tenants of one virtual network.

use crate::daemon::link;
use crate::host::{Host, overlay, underlay};
use overlay_lab::{Family, Join, Lab, Node, Overlay};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The virtual network.
pub(crate) const VNI: u32 = 77;
/// The network and what it goes over.
pub(crate) const NETWORK: (u32, Family) = (VNI, Family::V4);

/// Two hosts; the lab has two tenants on each.
pub(crate) struct Stack {
    // Daemons before the lab that they run in.
    pub(crate) hosts: [Host; 2],
    pub(crate) lab: Lab,
}

impl Stack {
    /// Starts the daemons. There is no overlay yet: [`Stack::join`] makes them, so that a watcher can be there before.
    pub(crate) fn start(name: &str) -> Self {
        let overlay = Overlay::vxlan(VNI).tenants(2).no_tunnel_on(1).no_tunnel_on(2);
        let lab = Lab::builder(name).hosts(2).join(Join::Switch).overlay(overlay).build().expect("a lab comes up");
        let hosts = [1, 2].map(|host| Host::start(lab.host(host)));
        Self { hosts, lab }
    }

    /// Makes the overlay on both hosts, with all tenants, and waits until it is up.
    pub(crate) fn join(&self) {
        for (host, number) in self.hosts.iter().zip(1..) {
            host.map(VNI, &self.mapping());
            host.overlay(&self.lab, number, NETWORK);
            for tenant in 1..=2 {
                host.overlayd.tenant(&format!("v{tenant}"), &overlay(VNI), self.tenant(number, tenant));
            }
            host.wait_up(VNI);
        }
    }

    /// A tenant, counted from 1, as hosts are.
    pub(crate) fn tenant(&self, host: u16, tenant: u16) -> &Node {
        self.lab.tenant(host, VNI, tenant)
    }

    /// Where all tenants are.
    pub(crate) fn mapping(&self) -> Map<String, Value> {
        let entry = |(host, number)| {
            let (tenant, to): (&Node, IpAddr) = (self.tenant(host, number), underlay(&self.lab, host, Family::V4));
            (tenant.mac().to_owned(), json!({"ip": to, "port": 4789, "arp": tenant.ipv4(), "ndp": tenant.ipv6()}))
        };
        [(1, 1), (1, 2), (2, 1), (2, 2)].map(entry).into_iter().collect()
    }

    /// Nothing is said any more: tenants on both hosts are taken off.
    pub(crate) fn silence(&self) {
        for (host, tenant) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            self.tenant(host, tenant).ip(&["link set t0 down".into()]).expect("a link can be set down");
        }
        let quiet = |host: &Host| {
            let vnics = [1, 2].map(|tenant| host.overlayd.client.vnic(&link(&format!("v{tenant}"))).expect("a VNIC"));
            vnics.iter().all(|vnic| vnic.state.name() == "down")
        };
        for host in &self.hosts {
            host.wait("silence", || quiet(host));
        }
    }
}

/// The bytes of a MAC.
pub(crate) fn bytes(mac: &str) -> Vec<u8> {
    mac.split(':').map(|part| u8::from_str_radix(part, 16).expect("a MAC")).collect()
}

/// An Ethernet frame of `len` bytes.
pub(crate) fn frame(to: &[u8], from: &[u8], ethertype: u16, payload: &[u8], len: usize) -> Vec<u8> {
    let mut frame = [to, from, &ethertype.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(len), 0);
    frame
}
