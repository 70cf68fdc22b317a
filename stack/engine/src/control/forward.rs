//! How do frames leave that the control half has? Those that waited, and those that plugins give.

use super::device::Refusal;
use super::miss::Parcel;
use super::{Control, Delivery, Output, Sending};
use crate::batch::Offload;
use crate::encap::HEADROOM;
use crate::examples::Example;
use crate::inner::Inner;
use crate::outbox::OuterHeader;
use crate::time::Time;
use crate::toobig;
use crate::worker::{clamp, question};
use crate::world::{Device, Mode, NoWay, Port};
use overlay_api::{DeviceId, Direction, DropReason, PortId, RequestId, Verdict};
use overlay_decoder::Ul3;
use std::sync::Arc;

/// Bytes of an Ethernet header with two VLAN tags.
const L2_MAX: usize = 14 + 2 * 4;

impl Control {
    /// A plugin gives a frame to the ports of a device, without having been asked.
    ///
    /// # Errors
    /// If there is no such device, if the frame is too short or too long for the device or its port, or if no port has its destination.
    pub fn inject(&mut self, device: DeviceId, frame: &[u8]) -> Result<(), Refusal> {
        let machine = self.machine(device)?;
        check_frame(machine.view.mtu, frame).map_err(|problem| Refusal::new(format!("overlay {}: {problem}", machine.spec.name)))?;
        let view = Arc::clone(&machine.view);
        let refuse = |problem: &str| Refusal::new(format!("overlay {}: {problem}", machine.spec.name));
        let takers = takers(&view, None, frame).map_err(|problem| refuse(&problem))?;
        if takers.is_empty() {
            return Err(refuse("no VNIC has the destination of the frame"));
        }
        for port in takers {
            self.inject_into(&view, RequestId(0), port, frame);
        }
        Ok(())
    }

    /// A plugin sends a frame into a device, as if a port had.
    ///
    /// # Errors
    /// If there is no such device, or if the frame is too short or too long.
    pub fn resend(&mut self, device: DeviceId, frame: &[u8], now: Time) -> Result<(), Refusal> {
        let machine = self.machine(device)?;
        check_frame(machine.view.mtu, frame).map_err(|problem| Refusal::new(format!("overlay {}: {problem}", machine.spec.name)))?;
        self.resend_for(device, RequestId(0), None, frame, now);
        Ok(())
    }

    /// The answer to a lookup is a frame for the port that asked.
    pub(super) fn inject_for(&mut self, device: DeviceId, request: RequestId, port: Option<PortId>, frame: &[u8]) {
        let Some(machine) = self.machines.get(&device) else { return };
        let view = Arc::clone(&machine.view);
        // A frame that is too long for them was refused as an answer.
        for port in takers(&view, port, frame).unwrap_or_default() {
            self.inject_into(&view, request, port, frame);
        }
    }

    /// Hands a frame that a plugin made to a port.
    fn inject_into(&mut self, view: &Device, request: RequestId, port: &Port, frame: &[u8]) {
        let id = self.ids.next();
        overlay_probes::inject(request.0, id, view.vni.get(), clamp(frame.len()), port.id.0);
        self.give(id, view, port, frame);
    }

    /// Hands a frame that came from nowhere to a port.
    fn give(&mut self, id: u64, view: &Device, port: &Port, frame: &[u8]) {
        for counters in [view.count(self.writer), &port.counters[self.writer]] {
            counters.made.add(1);
        }
        self.outputs.push_back(Output::Deliver(Delivery {
            frame: id,
            port: port.id,
            device: view.id,
            bytes: frame.to_vec(),
            offload: Offload::default(),
            made: true,
        }));
    }

    /// The answer to a lookup is another frame to be sent, as if the asking port had sent it.
    pub(super) fn resend_for(&mut self, device: DeviceId, request: RequestId, port: Option<PortId>, frame: &[u8], now: Time) {
        let Some(machine) = self.machines.get(&device) else { return };
        let Some(inner) = Inner::parse(frame) else { return };
        let view = Arc::clone(&machine.view);
        let id = self.ids.next();
        overlay_probes::resend(request.0, id, view.vni.get(), clamp(frame.len()), inner.destination);
        overlay_probes::frame_parts(id, view.vni.get(), Direction::Transmit as u8, clamp(frame.len()), move || frame);
        view.count(self.writer).resent.add(1);
        let mut buffer = vec![0; HEADROOM];
        buffer.extend_from_slice(frame);
        let parcel =
            Parcel { id, port, buffer, offload: Offload::default(), question: question(&inner, frame.len()), copies: 0, resent: true };
        self.route_parcel(&view, parcel, now);
    }

    /// A frame that the control half has takes its way from the beginning.
    fn route_parcel(&mut self, view: &Arc<Device>, mut parcel: Parcel, now: Time) {
        let to = parcel.question.destination;
        let Some(inner) = Inner::parse(parcel.frame()) else { return self.drop_parcel(view, &parcel, DropReason::FrameTooShort) };
        if !view.up {
            return self.drop_parcel(view, &parcel, DropReason::OverlayDown);
        }
        let size = clamp(parcel.offload.largest(parcel.len()).saturating_sub(inner.l3));
        if to.is_group() {
            // A port with a smaller MTU misses what is too big for it, as with any other frame.
            let others: Vec<_> = view.ports.iter().filter(|port| Some(port.id) != parcel.port && size <= port.mtu).collect();
            for port in others {
                self.hand_parcel(view, &parcel, port);
                parcel.copies += 1;
            }
        } else if let Some(port) = view.port_of(to) {
            let limit = port.mtu.min(view.mtu);
            if size > limit {
                return self.too_big(view, &parcel, &inner, limit, now);
            }
            self.hand_parcel(view, &parcel, port);
            view.count(self.writer).local.add(1);
            overlay_probes::local(parcel.id, view.vni.get(), port.id.0, clamp(parcel.len()), to);
            let vni = view.vni;
            return self.explained(parcel.id, || Verdict::Deliver { vni, ports: vec![port.name.to_string()] });
        }
        match &view.mode {
            Mode::Point(point) => drop(self.send_parcel(view, parcel, std::slice::from_ref(point), now)),
            Mode::Dynamic(_) if to.is_group() => self.handle_group(view.id, parcel, now),
            Mode::Dynamic(_) => self.frame_for(view.id, to, parcel, now),
        }
    }

    fn hand_parcel(&mut self, view: &Device, parcel: &Parcel, port: &Port) {
        for counters in [view.count(self.writer), &port.counters[self.writer]] {
            counters.frames_out.add(1);
            counters.frames_out_bytes.add(parcel.len() as u64);
        }
        self.outputs.push_back(Output::Deliver(Delivery {
            frame: parcel.id,
            port: port.id,
            device: view.id,
            bytes: parcel.frame().to_vec(),
            offload: parcel.offload,
            made: false,
        }));
    }

    /// Encapsulates a frame and sends it. Says whether it was sent; if not, it is dropped and counted.
    pub(super) fn send_parcel(&mut self, view: &Device, mut parcel: Parcel, to: &[Ul3], now: Time) -> bool {
        let len = parcel.len();
        let Some(inner) = Inner::parse(parcel.frame()) else {
            self.drop_parcel(view, &parcel, DropReason::FrameTooShort);
            return false;
        };
        if !view.up {
            self.drop_group(view, &parcel, DropReason::OverlayDown);
            return false;
        }
        if !view.carries_tags && inner.is_tagged() {
            self.drop_group(view, &parcel, DropReason::VlanNotCarried);
            return false;
        }
        let size = clamp(parcel.offload.largest(len).saturating_sub(inner.l3));
        let ways = view.ways(to, inner.l3, &self.paths);
        match ways.refuse(size) {
            None => {}
            Some(NoWay::Unreachable) => {
                self.drop_group(view, &parcel, DropReason::Unreachable);
                return false;
            }
            Some(NoWay::TooBig(limit)) => {
                self.too_big(view, &parcel, &inner, limit, now);
                return false;
            }
        }
        let all = to.len() as u64;
        let to: Vec<Ul3> = to.iter().filter(|ul3| view.passes(**ul3, size, &ways, &self.paths)).copied().collect();
        let flow = inner.flow_hash(parcel.frame(), self.shared.seed);
        let header_len = view.codec.header_len();
        let start = HEADROOM - header_len;
        if let Some(header) = parcel.buffer.get_mut(start..HEADROOM) {
            view.codec.write(header, flow);
        }
        let (vni, packets) = (view.vni, parcel.offload.packets(len));
        for ul3 in &to {
            overlay_probes::encap(parcel.id, view.vni.get(), clamp(len), packets, view.encapsulation, *ul3);
            self.outputs.push_back(Output::Transmit(Sending {
                frame: parcel.id,
                underlay: view.underlay,
                device: view.id,
                vni: view.vni,
                outer: OuterHeader::new(&view.rules, &inner, flow, *ul3),
                bytes: parcel.buffer.get(start..).unwrap_or(&[]).to_vec(),
                header_len: header_len as u16,
                offload: parcel.offload,
            }));
        }
        let datagrams = to.len() as u64;
        if datagrams < all {
            // One receiver behind a small path does not hold back all.
            overlay_probes::too_big(parcel.id, vni.get(), clamp(len), ways.all.unwrap_or(0), 0, inner.destination);
        }
        let counters = view.count(self.writer);
        counters.left_out.add(all - datagrams);
        counters.sent.add(1);
        counters.sent_bytes.add(len as u64);
        counters.datagrams_out.add(datagrams);
        counters.datagrams_out_packets.add(datagrams * u64::from(packets));
        counters.datagrams_out_bytes.add(datagrams * (len + header_len) as u64);
        if let Some(port) = parcel.port.and_then(|port| view.port(port)) {
            port.counters[self.writer].sent.add(1);
            port.counters[self.writer].sent_bytes.add(len as u64);
        }
        let group = parcel.question.destination.is_group();
        let ports: Vec<_> =
            view.ports.iter().filter(|port| group && Some(port.id) != parcel.port).map(|port| port.name.to_string()).collect();
        self.explained(parcel.id, || Verdict::Transmit { vni, to, ports });
        true
    }

    /// A frame that waited turns out to be larger than the way to its destination.
    fn too_big(&mut self, view: &Device, parcel: &Parcel, inner: &Inner, limit: u32, now: Time) {
        let mut reply = Vec::new();
        let port = parcel.port.and_then(|port| view.port(port));
        let told =
            port.is_some() && view.replies.any(now) && toobig::reply(parcel.frame(), inner, limit, &mut reply) && view.replies.take(now);
        overlay_probes::too_big(parcel.id, view.vni.get(), clamp(parcel.len()), limit, u8::from(told), inner.destination);
        if let (Some(port), true) = (port, told) {
            let id = self.ids.next();
            self.give(id, view, port, &reply);
        }
        self.drop_group(view, parcel, DropReason::TooBig);
    }

    /// Drops a frame that is not for a group, or of which no port got a copy.
    pub(super) fn drop_parcel(&mut self, view: &Device, parcel: &Parcel, reason: DropReason) {
        view.count(self.writer).drop(reason);
        if let Some(port) = parcel.port.and_then(|port| view.port(port)) {
            port.counters[self.writer].drop(reason);
        }
        let vni = view.vni;
        self.keep(Example::new(reason, self.moment, Some(vni), clamp(parcel.len())), parcel.frame());
        overlay_probes::drop(parcel.id, Direction::Transmit as u8, vni.get(), clamp(parcel.len()), reason, parcel.question.destination);
        self.explained(parcel.id, || Verdict::Drop { vni: Some(vni), reason });
    }

    /// The same; but a frame of which other ports got copies has reached them.
    pub(super) fn drop_group(&mut self, view: &Device, parcel: &Parcel, reason: DropReason) {
        if parcel.copies == 0 {
            return self.drop_parcel(view, parcel, reason);
        }
        view.count(self.writer).flooded.add(1);
        overlay_probes::flood(parcel.id, view.vni.get(), parcel.copies, 0, parcel.question.destination);
        let vni = view.vni;
        let ports: Vec<_> = view.ports.iter().filter(|port| Some(port.id) != parcel.port).map(|port| port.name.to_string()).collect();
        self.explained(parcel.id, || Verdict::Deliver { vni, ports });
    }

    /// Drops a frame of a device that is gone: its counters are, too.
    pub(super) fn drop_nobodys(&mut self, parcel: &Parcel, reason: DropReason) {
        self.nobody().drop(reason);
        self.keep(Example::new(reason, self.moment, None, clamp(parcel.len())), parcel.frame());
        let unknown = overlay_probes::VNI_UNKNOWN;
        overlay_probes::drop(parcel.id, Direction::Transmit as u8, unknown, clamp(parcel.len()), reason, parcel.question.destination);
        self.explained(parcel.id, || Verdict::Drop { vni: None, reason });
    }
}

/// The ports that a plugin's frame is for: the one that asked, or else those of its destination. There may be none; if there are and the
/// frame is too long for all of them, the error goes on after the device's name.
pub(super) fn takers<'a>(view: &'a Device, asking: Option<PortId>, frame: &[u8]) -> Result<Vec<&'a Port>, String> {
    let Some(inner) = Inner::parse(frame) else { return Ok(Vec::new()) };
    let mut takers: Vec<_> = match asking.and_then(|port| view.port(port)) {
        Some(port) => vec![port],
        None if inner.destination.is_group() => view.ports.iter().collect(),
        None => view.port_of(inner.destination).into_iter().collect(),
    };
    let size = clamp(frame.len().saturating_sub(inner.l3));
    let most = takers.iter().max_by_key(|port| port.mtu).map(|port| (port.mtu, Arc::clone(&port.name)));
    takers.retain(|port| size <= port.mtu);
    match most {
        Some((mtu, name)) if takers.is_empty() => {
            Err(format!("a frame with a packet of {size} bytes; at most {mtu} are allowed, the MTU of VNIC {name}"))
        }
        _ => Ok(takers),
    }
}

/// Whether a plugin may give this frame. The error goes on after the device's name.
pub(super) fn check_frame(mtu: u32, frame: &[u8]) -> Result<(), String> {
    let most = mtu as usize + L2_MAX;
    match frame.len() {
        len if len < 14 => Err(format!("a frame of {len} bytes is shorter than an Ethernet header, 14")),
        len if len > most => Err(format!("a frame of {len} bytes; at most {most} are allowed (the overlay's MTU and an Ethernet header)")),
        _ => Ok(()),
    }
}
