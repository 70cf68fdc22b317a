//! What do workers see? A snapshot of all devices, ports and underlays, replaced as a whole when something changes.
//!
//! Configuration changes are rare and frames are not: so a change makes a new [`World`] out of shared pieces and publishes it, and a
//! worker takes one reference a batch. What changes with every frame (target table, counters) is shared between the snapshots.

use crate::control::miss::Miss;
use crate::counters::Counters;
use crate::encap::{Carrier, Codec, Encapsulation};
use crate::examples::Examples;
use crate::outer::{Family, OuterRules, overhead};
use crate::ping::Pings;
use crate::target::Table;
use crate::toobig::Replies;
use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use overlay_api::{DeviceId, PortId, UnderlayId};
use overlay_decoder::{Mac, Ul3, Vni};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Maps of configured things: keys that an operator chose.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// Bytes of the largest IP packet from an underlay to a destination.
pub(crate) type Paths = Map<(UnderlayId, IpAddr), u32>;

/// What the control half and all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The snapshot.
    pub(crate) world: ArcSwap<World>,
    /// From workers to the control half.
    pub(crate) misses: ArrayQueue<Miss>,
    /// Seed of the flow hash.
    pub(crate) seed: u64,
    /// Counters of what belongs to no device: one set a worker, the last one the control half's.
    pub(crate) nobody: Box<[Counters]>,
    /// Examples of what was dropped, in the same order.
    pub(crate) examples: Box<[Examples]>,
}

/// A snapshot of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// By [`DeviceId`].
    pub(crate) devices: Map<DeviceId, Arc<Device>>,
    /// By [`PortId`]: the device that a port belongs to.
    pub(crate) ports: Map<PortId, Arc<Device>>,
    /// By [`UnderlayId`].
    pub(crate) underlays: Map<UnderlayId, Arc<Underlay>>,
    /// Path MTUs that are smaller than their underlay's.
    pub(crate) paths: Arc<Paths>,
}

/// The listening parameters that devices share, and whose they are.
#[derive(Clone, Debug)]
pub(crate) struct Underlay {
    /// How its datagrams are read.
    pub(crate) encapsulation: Arc<dyn Encapsulation>,
    /// The device of each virtual network.
    pub(crate) devices: Map<Vni, Arc<Device>>,
    /// The smallest MTU of their ports; what is no longer fits all.
    pub(crate) smallest_mtu: u32,
}

/// Where a device's frames go.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// All to one place.
    Point(Ul3),
    /// Each where the table says.
    Dynamic(Arc<Table>),
}

/// A device as workers see it.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) vni: Vni,
    /// Whether frames may pass: the underlay is open and nothing is being changed.
    pub(crate) up: bool,
    pub(crate) encapsulation: &'static str,
    pub(crate) codec: Arc<dyn Codec>,
    /// Bytes of the codec's header: the same for every frame, so that nobody has to ask the codec for it each time.
    pub(crate) header_len: usize,
    pub(crate) carrier: Carrier,
    pub(crate) rules: OuterRules,
    pub(crate) underlay: UnderlayId,
    /// Where its underlay listens.
    pub(crate) listen: Ul3,
    /// Largest inner packet: what an Ethernet frame carries behind its tags.
    pub(crate) mtu: u32,
    /// Largest IP packet of the underlay.
    pub(crate) underlay_mtu: u32,
    pub(crate) mode: Mode,
    /// In the order of their ids.
    pub(crate) ports: Vec<Port>,
    pub(crate) by_mac: Map<Mac, usize>,
    /// One set a worker, the last one the control half's. They outlive every snapshot.
    pub(crate) counters: Arc<[Counters]>,
    /// How many packet-too-big replies may still be sent, by whomever. It outlives every snapshot, too.
    pub(crate) replies: Arc<Replies>,
    /// What is known of pings. It outlives every snapshot, too.
    pub(crate) pings: Arc<Pings>,
    /// Whether those of others are answered.
    pub(crate) answers_pings: bool,
    /// Whether the underlay is believed when it says that hardware will see to an inner checksum.
    pub(crate) trusts_partial: bool,
    /// Whether frames with a VLAN tag pass.
    pub(crate) carries_tags: bool,
}

/// A port as workers see it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) id: PortId,
    pub(crate) name: Arc<str>,
    pub(crate) mac: Mac,
    /// Largest packet that it takes, as the device's.
    pub(crate) mtu: u32,
    /// One set a worker, the last one the control half's.
    pub(crate) counters: Arc<[Counters]>,
}

/// The ways to a frame's destinations: the same for all frames of a batch with headers of one length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    /// Bytes of the inner headers in front of the packet.
    pub(crate) l2_len: usize,
    /// The largest inner packet that gets to all of them; none if nothing does.
    pub(crate) all: Option<u32>,
    /// The largest inner packet that gets to any of them; none if nothing does.
    pub(crate) any: Option<u32>,
}

impl Ways {
    /// Why an inner packet of `size` bytes gets nowhere; none if it does.
    #[inline]
    pub(crate) fn refuse(&self, size: u32) -> Option<NoWay> {
        match self.any {
            None => Some(NoWay::Unreachable),
            Some(limit) if size > limit => Some(NoWay::TooBig(limit)),
            Some(_) => None,
        }
    }
}

/// Why a frame gets nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoWay {
    /// The socket cannot send to its destinations.
    Unreachable,
    /// Its packet has more bytes than this.
    TooBig(u32),
}

impl Device {
    /// The port of that id.
    pub(crate) fn port(&self, id: PortId) -> Option<&Port> {
        self.ports.iter().find(|port| port.id == id)
    }

    /// The port with that address.
    #[inline]
    pub(crate) fn port_of(&self, mac: Mac) -> Option<&Port> {
        self.by_mac.get(&mac).and_then(|index| self.ports.get(*index))
    }

    /// Bytes of the outer IP packet that are not the inner Ethernet frame.
    pub(crate) fn overhead(&self, to: IpAddr) -> usize {
        overhead(Family::of(to), self.carrier, self.header_len)
    }

    /// Largest inner packet to `to`, for frames whose headers in front of it have `l2_len` bytes: the device's MTU, or what the
    /// underlay's path leaves of its own.
    #[inline]
    fn limit(&self, to: IpAddr, l2_len: usize, paths: &Paths) -> u32 {
        self.mtu.min(self.room(to, l2_len, paths))
    }

    /// What the underlay's path leaves for an inner packet, whatever the device's MTU is.
    #[inline]
    pub(crate) fn room(&self, to: IpAddr, l2_len: usize, paths: &Paths) -> u32 {
        let path = match paths.is_empty() {
            true => self.underlay_mtu,
            false => paths.get(&(self.underlay, to)).map_or(self.underlay_mtu, |path| self.underlay_mtu.min(*path)),
        };
        let inner = (path as usize).saturating_sub(self.overhead(to) + l2_len);
        u32::try_from(inner).unwrap_or(u32::MAX)
    }

    /// Whether its socket can send there. It was checked when it became known, but where the device listens may have changed since.
    #[inline]
    fn reaches(&self, to: Ul3) -> bool {
        let everywhere = self.listen.ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        (everywhere || Family::of(to.ip) == Family::of(self.listen.ip)) && to != self.listen
    }

    /// Largest inner packet that gets to `to`; none if nothing does.
    #[inline]
    fn passing(&self, to: Ul3, l2_len: usize, paths: &Paths) -> Option<u32> {
        self.reaches(to).then(|| self.limit(to.ip, l2_len, paths))
    }

    /// The ways to these destinations, for frames whose headers in front of the packet have `l2_len` bytes.
    pub(crate) fn ways(&self, to: &[Ul3], l2_len: usize, paths: &Paths) -> Ways {
        let limits = || to.iter().map(|ul3| self.passing(*ul3, l2_len, paths));
        // None is less than every number.
        Ways { l2_len, all: limits().min().flatten(), any: limits().max().flatten() }
    }

    /// Whether an inner packet of `size` bytes gets to `to`.
    pub(crate) fn passes(&self, to: Ul3, size: u32, ways: &Ways, paths: &Paths) -> bool {
        ways.all.is_some_and(|limit| size <= limit) || self.passing(to, ways.l2_len, paths).is_some_and(|limit| size <= limit)
    }

    /// The smallest MTU of its ports, or its own.
    pub(crate) fn smallest_mtu(&self) -> u32 {
        self.ports.iter().map(|port| port.mtu).min().unwrap_or(self.mtu).min(self.mtu)
    }

    /// The writer's own counters.
    #[inline]
    pub(crate) fn count(&self, writer: usize) -> &Counters {
        &self.counters[writer]
    }

    /// The table, of a dynamic device.
    pub(crate) fn table(&self) -> Option<&Arc<Table>> {
        match &self.mode {
            Mode::Dynamic(table) => Some(table),
            Mode::Point(_) => None,
        }
    }
}

/// A set of counters for each worker and one for the control half.
pub(crate) fn sets(workers: usize) -> Box<[Counters]> {
    (0..=workers).map(|_| Counters::default()).collect()
}
