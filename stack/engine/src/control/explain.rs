//! Where would this frame go, and why? The way of a frame, followed without sending it or changing anything.

use super::Control;
use crate::inner::Inner;
use crate::target::{Event, step};
use crate::time::Time;
use crate::worker::{Shown, clamp};
use crate::world::Mode;
use overlay_api::{DeviceId, DropReason, EntryState, PortId, Verdict};
use serde::Serialize;

/// The way of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Trace {
    /// One sentence a decision, in their order.
    pub steps: Vec<String>,
    /// What would become of it now.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Control {
    /// Follows a frame that `port` would give to `device`; without a port, one that comes from none. None if there is no such device.
    #[must_use]
    pub fn trace(&self, device: DeviceId, port: Option<PortId>, frame: &[u8], now: Time) -> Option<Trace> {
        let machine = self.machines.get(&device)?;
        let view = &machine.view;
        let vni = view.vni;
        let mut steps = vec![format!("overlay {}: {} {vni}, MTU {}", machine.spec.name, view.encapsulation, view.mtu)];
        let end = |steps, verdict| Some(Trace { steps, verdict });
        let dropped = |mut steps: Vec<String>, reason: DropReason| {
            steps.push(reason.explanation().to_owned());
            end(steps, Verdict::Drop { vni: Some(vni), reason })
        };
        let Some(inner) = Inner::parse(frame) else { return dropped(steps, DropReason::FrameTooShort) };
        let to = inner.destination;
        let size = frame.len().saturating_sub(inner.l3);
        steps.push(format!("frame from {} to {to}, EtherType {:#06x}, a packet of {size} bytes", inner.source, inner.ethertype));
        if !view.up {
            let reasons: Vec<_> = machine.faults.values().map(|(reason, _)| reason.clone()).collect();
            steps.push(format!("the overlay is down: {}", reasons.join("; ")));
            return dropped(steps, DropReason::OverlayDown);
        }
        let others: Vec<_> = view.ports.iter().filter(|other| Some(other.id) != port).map(|other| other.name.to_string()).collect();
        if !to.is_group()
            && let Some(local) = view.port_of(to)
        {
            if Some(local.id) == port {
                return dropped(steps, DropReason::SelfAddressed);
            }
            steps.push(format!("{to} is VNIC {} of this overlay: local switching", local.name));
            if size > local.mtu.min(view.mtu) as usize {
                return dropped(steps, DropReason::TooBig);
            }
            return end(steps, Verdict::Deliver { vni, ports: vec![local.name.to_string()] });
        }
        let ports = if to.is_group() { others } else { Vec::new() };
        let route = match &view.mode {
            Mode::Point(point) => {
                steps.push(format!("the overlay is direct: everything goes to {point}"));
                vec![*point]
            }
            Mode::Dynamic(table) => {
                let pinned = table.pin();
                let entry = pinned.get(&to);
                let state = entry.and_then(|entry| entry.state(now, table.trusted_since())).unwrap_or(EntryState::Absent);
                let route = entry.and_then(|entry| entry.route().as_ref().map(|route| route.to_vec())).unwrap_or_default();
                steps.push(format!("target {to} is {state}: {}", step(state, Event::Frame).words));
                match step(state, Event::Frame).to {
                    EntryState::Drop if ports.is_empty() => return dropped(steps, DropReason::Refused),
                    EntryState::Valid | EntryState::Renewing => route,
                    EntryState::Drop => return end(steps, Verdict::Deliver { vni, ports }),
                    _ => {
                        if let Some((reason, _)) = self.lookups.away() {
                            steps.push(format!("the question waits: {reason}"));
                        }
                        return end(steps, Verdict::Pending { vni, request: None });
                    }
                }
            }
        };
        let ways = view.ways(&route, inner.l3, &self.paths);
        if ways.any.is_none() {
            steps.push(format!("a socket that listens at {} cannot send to {}", view.listen, Shown(&route)));
            return if ports.is_empty() { dropped(steps, DropReason::Unreachable) } else { end(steps, Verdict::Deliver { vni, ports }) };
        }
        if !view.carries_tags && inner.is_tagged() {
            steps.push(format!("{} carries no VLAN tag here (property {}/inner_vlan)", view.encapsulation, view.encapsulation));
            return if ports.is_empty() { dropped(steps, DropReason::VlanNotCarried) } else { end(steps, Verdict::Deliver { vni, ports }) };
        }
        let limit = ways.any.unwrap_or(view.mtu);
        if size > limit as usize && !ports.is_empty() {
            steps.push(format!("the packet has {size} bytes; {limit} fit the way to {}, so only ports of this host get it", Shown(&route)));
            return end(steps, Verdict::Deliver { vni, ports });
        }
        if size > limit as usize {
            steps.push(format!("the packet has {size} bytes; {limit} fit the way to {}", Shown(&route)));
            return dropped(steps, DropReason::TooBig);
        }
        let all = route.len();
        let route: Vec<_> = route.into_iter().filter(|ul3| view.passes(*ul3, clamp(size), &ways, &self.paths)).collect();
        if route.len() < all {
            steps.push(format!(
                "{} of {all} destinations are left out: the packet is too big for the way there, or there is none",
                all - route.len()
            ));
        }
        let flow = inner.flow_hash(frame, self.shared.seed);
        let port = view.rules.source_port(flow);
        steps.push(format!("{} header of {} bytes, source port {port}, to {}", view.encapsulation, view.codec.header_len(), Shown(&route)));
        end(steps, Verdict::Transmit { vni, to: route, ports })
    }
}
