//! What does the kernel know? Its tunnel devices, their counters and tables, asked through netlink in one namespace or in all.
//!
//! A device with a VNI is a row; a `vnifilter` device has a row for each VNI on its list; an `external` one has a row without a VNI, and
//! keeps no table: a note says so.

use super::{Source, Telling};
use crate::rows::{EventRow, OverlayRow, Report, TargetRow, VnicRow};
use crate::wish::{Wish, select};
use overlay_captures::host::{FdbEntry, FdbFlags, FdbState, HostError, HostErrorKind, Kernel, Link, Namespace, Tunnel, VniFilterEntry};
use overlay_decoder::Vni;
use std::collections::{BTreeMap, HashMap};

/// Its name.
pub(crate) const NAME: &str = "kernel";

/// Which namespaces are looked at.
#[derive(Clone, Debug)]
pub(crate) enum Where {
    These(Vec<Namespace>),
    /// All that can be found; they come and go.
    All,
}

/// The kernel's tables.
pub(crate) struct KernelTables {
    namespaces: Where,
    /// Whether a device without a table is somebody else's: traffic is looked at, too.
    observed: bool,
    targets: Vec<TargetRow>,
    /// The devices of the look before, with their state.
    before: Option<BTreeMap<(String, String), String>>,
}

impl KernelTables {
    pub(crate) const fn new(namespaces: Where, observed: bool) -> Self {
        Self { namespaces, observed, targets: Vec::new(), before: None }
    }

    fn places(&self) -> Result<Vec<Namespace>, HostError> {
        match &self.namespaces {
            Where::These(these) => Ok(these.clone()),
            Where::All => Namespace::all().map(|all| all.readable),
        }
    }

    /// What happened to devices since the look before.
    fn changes(&mut self, rows: &[OverlayRow], telling: &mut Telling<'_>) {
        let now: BTreeMap<(String, String), String> =
            rows.iter().map(|row| ((row.from.clone(), row.name.clone()), row.state.clone())).collect();
        let before = self.before.replace(now.clone());
        let Some(before) = before else { return };
        let at = telling.at;
        let mut say = |key: &(String, String), event: &str, text: String| {
            let (from, subject) = key.clone();
            telling.say(Report::Event { event: EventRow { at, from, event: event.to_owned(), subject, text } });
        };
        for (key, state) in &now {
            match before.get(key) {
                None => say(key, "device-created", format!("is there, {state}")),
                Some(old) if old != state => say(key, "device-state", state.clone()),
                Some(_) => {}
            }
        }
        before.keys().filter(|key| !now.contains_key(key)).for_each(|key| say(key, "device-deleted", "is there no more".to_owned()));
    }
}

impl Source for KernelTables {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn look(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        let places = match self.places() {
            Ok(places) => places,
            Err(error) => return telling.say(Report::Health { fault: Some(sentence(&error)) }),
        };
        let mut seen = Seen::default();
        let (mut notes, mut fault, mut asked) = (Vec::new(), None, 0);
        for place in &places {
            match seen.ask(place, self.observed) {
                Ok(()) => asked += 1,
                Err(error) if error.is_gone() && matches!(self.namespaces, Where::All) => {}
                Err(error) => {
                    notes.push(sentence(&error));
                    fault = Some(sentence(&error));
                }
            }
        }
        if asked == 0
            && let Some(fault) = fault
        {
            return telling.say(Report::Health { fault: Some(fault) });
        }
        notes.append(&mut seen.notes);
        telling.say(Report::Health { fault: None });
        self.changes(&seen.overlays, telling);
        telling.say(Report::Overlays { rows: seen.overlays, unattributed: BTreeMap::new() });
        telling.say(Report::Vnics { rows: seen.vnics });
        telling.say(Report::Notes { sentences: notes });
        self.targets = seen.targets;
        self.targets(wish, telling);
    }

    fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        if wish.limit > 0 {
            telling.say(Report::Targets(select(&self.targets, wish)));
        }
    }
}

/// The error, and what would help.
fn sentence(error: &HostError) -> String {
    match error.kind {
        HostErrorKind::NotPermitted { .. } => format!("{error}; run it with sudo"),
        _ => error.to_string(),
    }
}

/// What was seen in all namespaces.
#[derive(Default)]
struct Seen {
    overlays: Vec<OverlayRow>,
    vnics: Vec<VnicRow>,
    targets: Vec<TargetRow>,
    notes: Vec<String>,
}

impl Seen {
    fn ask(&mut self, place: &Namespace, observed: bool) -> Result<(), HostError> {
        let from = if place.is_current() { NAME.to_owned() } else { format!("{NAME} {place}") };
        let mut kernel = Kernel::open(place)?;
        let links = kernel.links()?;
        let mut entries = Vec::new();
        for link in &links {
            let Some(tunnel) = &link.tunnel else { continue };
            kernel.fdb_into(link.index, &mut entries)?;
            let own = entries.iter().filter(|entry| !entry.is_of_bridge());
            let before = self.targets.len();
            self.targets.extend(own.map(|entry| target_row(&from, link, tunnel, entry)));
            let targets = (self.targets.len() - before) as u64;
            if tunnel.vni_filter {
                // A device that went meanwhile has no list.
                let vnis = kernel.vni_filter(link.index).unwrap_or_default();
                let counts = counts(&self.targets[before..]);
                let row = |vni| {
                    let row = filter_row(&from, link, tunnel, vni);
                    OverlayRow { targets: Some(counts.get(&row.vni).copied().unwrap_or(0)), ..row }
                };
                self.overlays.extend(vnis.iter().map(row));
            } else {
                self.overlays.push(overlay_row(&from, link, tunnel, targets));
            }
            if tunnel.external && !tunnel.vni_filter && targets == 0 {
                let remedy =
                    if observed { "its targets are those seen in its traffic" } else { "-i IFACE fills in what its traffic shows" };
                let name = &link.name;
                self.notes.push(format!("{name} is external: the kernel keeps no table, each packet says where it goes; {remedy}"));
            }
            if let Some(bridge) = link.master {
                let ports = links.iter().filter(|port| port.master == Some(bridge) && port.tunnel.is_none());
                self.vnics.extend(ports.map(|port| vnic_row(&from, link, port)));
            }
        }
        Ok(())
    }
}

/// How many targets each VNI has, of one device.
fn counts(targets: &[TargetRow]) -> HashMap<Option<u32>, u64> {
    let mut counts = HashMap::new();
    targets.iter().for_each(|target| *counts.entry(target.vni).or_default() += 1);
    counts
}

fn state(link: &Link) -> &'static str {
    match (link.up, link.lower_up) {
        (true, true) => "up",
        (true, false) => "degraded",
        (false, _) => "down",
    }
}

fn overlay_row(from: &str, link: &Link, tunnel: &Tunnel, targets: u64) -> OverlayRow {
    let counters = &link.counters;
    let drops = [
        ("tx-dropped", counters.tx_dropped),
        ("tx-errors", counters.tx_errors),
        ("rx-dropped", counters.rx_dropped),
        ("rx-errors", counters.rx_errors),
        ("rx-missed", counters.rx_missed),
    ];
    let reason = match state(link) {
        "down" => Some("the device is set down".to_owned()),
        "degraded" => Some("the device has no carrier".to_owned()),
        _ => None,
    };
    OverlayRow {
        from: from.to_owned(),
        name: link.name.clone(),
        vni: tunnel.vni.map(Vni::get),
        encapsulation: tunnel.kind.to_string(),
        search: if tunnel.external {
            "external"
        } else if tunnel.learning {
            "learning"
        } else {
            "static"
        }
        .to_owned(),
        state: state(link).to_owned(),
        reason,
        listen: tunnel
            .port
            .map(|port| tunnel.local.map_or_else(|| format!("*:{port}"), |ip| std::net::SocketAddr::new(ip, port).to_string())),
        mtu: Some(link.mtu),
        targets: Some(targets),
        tx_packets: counters.tx_packets,
        tx_bytes: counters.tx_bytes,
        rx_packets: counters.rx_packets,
        rx_bytes: counters.rx_bytes,
        drops: drops.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect(),
        ..OverlayRow::default()
    }
}

fn filter_row(from: &str, link: &Link, tunnel: &Tunnel, entry: &VniFilterEntry) -> OverlayRow {
    let counters = &entry.counters;
    let drops = [
        ("tx-dropped", counters.tx_drops),
        ("tx-errors", counters.tx_errors),
        ("rx-dropped", counters.rx_drops),
        ("rx-errors", counters.rx_errors),
    ];
    OverlayRow {
        vni: Some(entry.first.get()),
        tx_packets: counters.tx_packets,
        tx_bytes: counters.tx_bytes,
        rx_packets: counters.rx_packets,
        rx_bytes: counters.rx_bytes,
        drops: drops.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect(),
        search: "vnifilter".to_owned(),
        ..overlay_row(from, link, tunnel, 0)
    }
}

fn vnic_row(from: &str, tunnel: &Link, port: &Link) -> VnicRow {
    let counters = &port.counters;
    let drops = [("tx-dropped", counters.tx_dropped), ("rx-dropped", counters.rx_dropped)];
    VnicRow {
        from: from.to_owned(),
        name: port.name.clone(),
        overlay: tunnel.name.clone(),
        mac: port.mac,
        netns: None,
        mtu: Some(port.mtu),
        state: if state(port) == "up" { "up" } else { "down" }.to_owned(),
        reason: None,
        // What the bridge's port receives is what the tenant sends.
        tx_packets: counters.rx_packets,
        tx_bytes: counters.rx_bytes,
        rx_packets: counters.tx_packets,
        rx_bytes: counters.tx_bytes,
        drops: drops.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

fn target_row(from: &str, link: &Link, tunnel: &Tunnel, entry: &FdbEntry) -> TargetRow {
    let nanoseconds = |age: std::time::Duration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    let source = match entry {
        entry if entry.flags.has(FdbFlags::EXT_LEARNED) => "control",
        entry if entry.is_default() => "default",
        entry if entry.state.is_static() => "static",
        _ => "learned",
    };
    let state = if entry.state.has(FdbState::STALE) { "stale" } else { "valid" };
    TargetRow {
        from: from.to_owned(),
        overlay: link.name.clone(),
        vni: entry.sent_vni(tunnel).map(Vni::get),
        mac: entry.mac,
        ul3: entry.ul3(tunnel).into_iter().collect(),
        state: state.to_owned(),
        age_ns: entry.ages.map(|ages| nanoseconds(ages.updated.duration())),
        idle_ns: entry.ages.map(|ages| nanoseconds(ages.used.duration())),
        hits: None,
        bytes: None,
        pending_bytes: None,
        source: source.to_owned(),
        expires_ns: None,
        flags: entry.flags.to_string(),
    }
}
