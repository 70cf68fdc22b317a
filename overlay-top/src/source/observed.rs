//! What does traffic show? The virtual networks that packets belong to, and behind which underlay address each station is.
//!
//! A station is where its frames come from: the outer source of a frame says where its inner source is. One that was only sent to is
//! where it was sent, unless that was a group.

use crate::rows::{EventRow, Moment, OverlayRow, TargetRow};
use overlay_captures::{Direction, Record};
use overlay_decoder::{Body, Mac, Packet, Timestamp, Ul3};
use std::collections::HashMap;
use std::net::IpAddr;

/// Stations and networks that are kept: traffic may make up any number of them.
const STATIONS_MAX: usize = 1 << 18;
const NETWORKS_MAX: usize = 1 << 16;
/// Events that wait to be told.
const EVENTS_MAX: usize = 1000;
/// After which time without a frame a station is stale, as a kernel's table has it.
const STALE_NS: u64 = 300 * crate::rows::SECOND;

/// A virtual network.
type Network = (&'static str, u32);

#[derive(Clone, Copy, Debug)]
struct Station {
    ul3: Option<Ul3>,
    /// Whether it sent something itself.
    heard: bool,
    since: Moment,
    used: Moment,
    hits: u64,
    bytes: u64,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Observed {
    from: String,
    networks: HashMap<Network, OverlayRow>,
    stations: HashMap<(Network, Mac), Station>,
    events: Vec<EventRow>,
    /// When the last packet was captured.
    pub(super) at: Moment,
    pub(super) packets: u64,
    left_out: u64,
}

/// The outer packet of a tunnel.
#[derive(Default)]
struct Outer {
    ends: Option<(IpAddr, IpAddr)>,
    port: Option<u16>,
}

impl Observed {
    pub(super) fn new(from: &str) -> Self {
        Self { from: from.to_owned(), ..Self::default() }
    }

    /// Takes a packet.
    pub(super) fn take(&mut self, record: &Record<'_>, packet: &Packet<'_>) {
        if let Some(at) = record.timestamp.map(moment) {
            self.at = self.at.max(at);
        }
        self.packets += 1;
        let is_sent = record.direction() == Some(Direction::Outbound);
        let mut outer = Outer::default();
        for segment in packet.segments() {
            if let Some(tunnel) = segment.tunnel
                && let Some(vni) = tunnel.body.vni()
            {
                let network = (tunnel.kind().name(), vni.get());
                let bytes = tunnel.claimed.into();
                if self.count(network, bytes, is_sent) {
                    let ethernet = segment.layers.iter().find_map(|layer| match &layer.body {
                        Body::Ethernet(header) => Some((header.src, header.dst)),
                        _ => None,
                    });
                    if let Some((src, dst)) = ethernet {
                        self.stations_of(network, &outer, src, dst, bytes);
                    }
                }
            }
            outer = Outer::default();
            for layer in segment.layers {
                match &layer.body {
                    Body::Ipv4(header) => outer.ends = Some((header.src.into(), header.dst.into())),
                    Body::Ipv6(header) => outer.ends = Some((header.src.into(), header.dst.into())),
                    Body::Udp(header) => outer.port = Some(header.dst_port),
                    _ => {}
                }
            }
        }
        // On a tunnel device itself the frame has no outer packet.
        if let Some(vni) = packet.device_vni {
            self.count(("device", vni.get()), u64::from(packet.wire_len), is_sent);
        }
    }

    /// Whether there was room for it.
    fn count(&mut self, network: Network, bytes: u64, is_sent: bool) -> bool {
        if self.networks.len() >= NETWORKS_MAX && !self.networks.contains_key(&network) {
            self.left_out += 1;
            return false;
        }
        let row = self.networks.entry(network).or_insert_with(|| OverlayRow {
            from: self.from.clone(),
            name: format!("{}{}", network.0, network.1),
            vni: Some(network.1),
            encapsulation: network.0.to_owned(),
            search: "observed".to_owned(),
            state: "observed".to_owned(),
            targets: Some(0),
            ..OverlayRow::default()
        });
        if is_sent {
            row.tx_packets += 1;
            row.tx_bytes += bytes;
        } else {
            row.rx_packets += 1;
            row.rx_bytes += bytes;
        }
        true
    }

    fn stations_of(&mut self, network: Network, outer: &Outer, src: Mac, dst: Mac, bytes: u64) {
        let Some((from, to)) = outer.ends else { return };
        let at = self.at;
        let ul3 = |ip: IpAddr| Ul3 { ip, port: outer.port };
        if !src.is_group() {
            let from = ul3(from);
            let moved = self.station(network, src).and_then(|station| {
                station.used = at;
                let old = station.ul3.filter(|old| station.heard && *old != from);
                if old.is_some() {
                    station.since = at;
                }
                (station.ul3, station.heard) = (Some(from), true);
                old
            });
            if let Some(old) = moved
                && self.events.len() < EVENTS_MAX
            {
                let (subject, text) = (src.to_string(), format!("moved from {old} to {from} in {} {}", network.0, network.1));
                self.events.push(EventRow { at, from: self.from.clone(), event: "station-moved".to_owned(), subject, text });
            }
        }
        if !dst.is_group()
            && let Some(station) = self.station(network, dst)
        {
            station.used = at;
            station.hits += 1;
            station.bytes += bytes;
            if !station.heard && !to.is_multicast() {
                station.ul3 = Some(ul3(to));
            }
        }
    }

    /// The station, if there is room for it.
    fn station(&mut self, network: Network, mac: Mac) -> Option<&mut Station> {
        let key = (network, mac);
        if self.stations.len() >= STATIONS_MAX && !self.stations.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        let (at, networks) = (self.at, &mut self.networks);
        Some(self.stations.entry(key).or_insert_with(|| {
            if let Some(row) = networks.get_mut(&network) {
                *row.targets.get_or_insert(0) += 1;
            }
            Station { ul3: None, heard: false, since: at, used: at, hits: 0, bytes: 0 }
        }))
    }

    pub(super) fn overlays(&self) -> Vec<OverlayRow> {
        self.networks.values().cloned().collect()
    }

    /// The stations as they are at `now`.
    pub(super) fn targets(&self, now: Moment) -> Vec<TargetRow> {
        let row = |(((kind, vni), mac), station): (&(Network, Mac), &Station)| {
            let idle = now.saturating_sub(station.used);
            TargetRow {
                from: self.from.clone(),
                overlay: format!("{kind}{vni}"),
                vni: Some(*vni),
                mac: *mac,
                ul3: station.ul3.into_iter().collect(),
                state: if idle > STALE_NS { "stale" } else { "valid" }.to_owned(),
                age_ns: Some(now.saturating_sub(station.since)),
                idle_ns: Some(idle),
                hits: Some(station.hits),
                bytes: Some(station.bytes),
                pending_bytes: None,
                source: "observed".to_owned(),
                expires_ns: None,
                flags: String::new(),
            }
        };
        self.stations.iter().map(row).collect()
    }

    pub(super) fn take_events(&mut self) -> Vec<EventRow> {
        std::mem::take(&mut self.events)
    }

    /// What there was no room for.
    pub(super) fn note(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "{}: {STATIONS_MAX} stations of {NETWORKS_MAX} networks are kept; {} sightings of others are not shown",
                self.from, self.left_out
            )
        })
    }
}

/// Nanoseconds since 1970; 0 before.
pub(super) fn moment(time: Timestamp) -> Moment {
    Moment::try_from(time.seconds).unwrap_or(0).saturating_mul(crate::rows::SECOND).saturating_add(time.nanoseconds.into())
}
