//! The kernel's own tunnel devices: VXLAN, Geneve and GRE with Ethernet, made by ip(8), a network manager or a container's network.

use super::checks::{End, netns, run_in};
use super::finding::{Finding, Severity};
use super::look::Place;
use super::rules::Traffic;
use overlay_captures::host::{FdbEntry, Survey, TunnelDevice, TunnelKind};
use std::collections::BTreeSet;

/// Its own port, where messages say none (RFC 7348 8).
const VXLAN_PORT: u16 = 4789;
/// Ethernet.
const L2: u32 = 14;

/// The ends that the kernel has, and what is wrong with their tables.
pub(crate) fn ends(survey: &Survey, places: &[Place], findings: &mut Vec<Finding>) -> Vec<End> {
    let mut ends = Vec::new();
    for device in survey.tunnels() {
        let table =
            places.iter().find(|place| place.namespace.is_same(device.namespace)).and_then(|place| place.tables.get(&device.link.index));
        let table = table.map_or(&[][..], Vec::as_slice);
        let Some(end) = end(&device, table) else { continue };
        knows_nobody(&device, &end, table, findings);
        ends.push(end);
    }
    ends
}

fn end(device: &TunnelDevice<'_>, table: &[FdbEntry]) -> Option<End> {
    let (link, tunnel) = (device.link, device.tunnel);
    let (traffic, header) = match tunnel.kind {
        // UDP and the header of RFC 7348 or RFC 8926.
        TunnelKind::Vxlan | TunnelKind::VxlanGpe | TunnelKind::Geneve => (Traffic::Udp(tunnel.port.unwrap_or(VXLAN_PORT)), 16),
        // RFC 2784, and a key where there is one (RFC 2890).
        // Those that are down are mostly the kernel's own, one in every namespace, which nobody uses.
        TunnelKind::Gretap | TunnelKind::Ip6gretap if link.up => (Traffic::Gre, if tunnel.key_out.is_some() { 8 } else { 4 }),
        _ => return None,
    };
    let remotes = table.iter().filter_map(|entry| entry.dst).chain(tunnel.remote).collect::<BTreeSet<_>>();
    let ipv6 = tunnel.local.or(remotes.first().copied()).is_some_and(|ip| ip.is_ipv6()) || tunnel.kind == TunnelKind::Ip6gretap;
    let inside = if device.namespace.is_current() { String::new() } else { format!(" of {}", netns(device.namespace)) };
    Some(End {
        thing: format!("device {}{inside}", link.name),
        name: link.name.clone(),
        ours: false,
        kind: link.kind.clone().unwrap_or_default(),
        namespace: device.underlay?.clone(),
        up: link.up,
        traffic,
        local: tunnel.local,
        lower: tunnel.lower,
        remotes,
        mtu: link.mtu,
        around: if ipv6 { 40 } else { 20 } + header + L2,
        set_mtu: format!("{} link set {} mtu MTU", run_in(device.namespace, "ip"), link.name),
    })
}

/// A device that has nobody to send to.
fn knows_nobody(device: &TunnelDevice<'_>, end: &End, table: &[FdbEntry], findings: &mut Vec<Finding>) {
    let tunnel = device.tunnel;
    let vxlan = matches!(tunnel.kind, TunnelKind::Vxlan | TunnelKind::VxlanGpe);
    let someone = tunnel.remote.is_some() || tunnel.external || table.iter().any(|entry| entry.dst.is_some() || entry.nexthop.is_some());
    if !vxlan || someone || !device.link.up {
        return;
    }
    let found = "its forwarding database is empty, and it has neither a remote nor a group";
    let why = match tunnel.learning {
        true => "Broadcasts and frames to unknown stations go nowhere: it can only answer who has spoken first.",
        false => "It does not learn either: nothing ever leaves it.",
    };
    let repair =
        format!("{} fdb append 00:00:00:00:00:00 dev {} dst ADDRESS, for each other end", run_in(device.namespace, "bridge"), end.name);
    findings.push(Finding::new(Severity::Warning, "empty-fdb", end.thing.clone(), found).why(why).repair(repair));
}
