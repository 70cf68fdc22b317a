//! How are pings sent and answered? See [`crate::ping`] for what they are.

use super::compile::check_destination;
use super::device::Refusal;
use super::{Control, Event, Output, Sending};
use crate::batch::Offload;
use crate::encap::{Carrier, HEADROOM};
use crate::inner::Inner;
use crate::outbox::OuterHeader;
use crate::ping::{ADDRESS, ETHERTYPE, Kind, PINGS_MAX, Ping, PingSpec, Pong, SIZE_MAX, SIZE_MIN};
use crate::worker::clamp;
use crate::world::{Device, Mode};
use overlay_api::DeviceId;
use overlay_decoder::Ul3;
use std::net::IpAddr;
use std::sync::Arc;

/// Bytes of the Ethernet header of a ping.
const L2: usize = 14;

impl Control {
    /// A ping begins: answers with this id count from now on. `id` is random, so that nobody can guess it, and not 0.
    ///
    /// # Errors
    /// If there is no such device, or as many pings are under way as may be.
    pub fn open_ping(&mut self, device: DeviceId, id: u64) -> Result<(), Refusal> {
        let machine = self.machine(device)?;
        match id != 0 && machine.view.pings.open(id) {
            true => Ok(()),
            false => {
                let name = &machine.spec.name;
                Err(Refusal::new(format!("overlay {name}: {PINGS_MAX} pings are under way; no more are allowed at one time")))
            }
        }
    }

    /// A ping is over.
    pub fn close_ping(&mut self, device: DeviceId, id: u64) {
        if let Some(machine) = self.machines.get(&device) {
            machine.view.pings.close(id);
        }
    }

    /// Where pings to an address go: at the port that frames go to, if it has none.
    #[must_use]
    pub fn ping_target(&self, device: DeviceId, to: Ul3) -> Option<Ul3> {
        let view = &self.machines.get(&device)?.view;
        Some(if to.port.is_some() { to } else { there(view, to.ip) })
    }

    /// Bytes of the IP packet that a ping with an inner packet of `size` bytes is in the underlay.
    #[must_use]
    pub fn ping_packet(&self, device: DeviceId, to: IpAddr, size: u32) -> Option<u32> {
        let view = &self.machines.get(&device)?.view;
        Some(size.saturating_add(clamp(view.overhead(to) + L2)))
    }

    /// Whether such a ping can be sent.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn check_ping(&self, device: DeviceId, spec: &PingSpec) -> Result<(), Refusal> {
        let machine = self.machine(device)?;
        let (name, view) = (&machine.spec.name, &machine.view);
        if !view.up {
            let reasons: Vec<_> = machine.faults.values().map(|(reason, _)| reason.as_str()).collect();
            return Err(Refusal::new(format!("overlay {name}: is down: {}", reasons.join("; "))));
        }
        if !(SIZE_MIN..=SIZE_MAX).contains(&spec.size) {
            return Err(Refusal::new(format!("size {}: is not allowed; {SIZE_MIN} to {SIZE_MAX} is", spec.size)));
        }
        let udp = view.carrier == Carrier::Udp;
        check_destination(spec.to, view.listen, udp, false).map_err(|problem| Refusal::new(format!("{} {problem}", spec.to)))
    }

    /// One ping, for the driver to send at once. Nothing is said about whether it fits the way: that is what is to be found out.
    ///
    /// # Errors
    /// If there is no such device, if it is down, or if it cannot send there.
    pub fn ping(&mut self, device: DeviceId, spec: &PingSpec) -> Result<Sending, Refusal> {
        self.check_ping(device, spec)?;
        let view = Arc::clone(&self.machine(device)?.view);
        let ping = Ping { kind: Kind::Ask, mtu: 0, id: spec.id, sequence: spec.sequence };
        let mut sending = self.ping_sending(&view, &ping, spec.size, spec.to);
        sending.outer.dont_fragment |= spec.whole;
        self.note_ping(&view, sending.frame, &ping, spec.size, "ask", spec.to);
        Ok(sending)
    }

    /// A worker took a ping that is to be answered, or an answer.
    pub(super) fn handle_ping(&mut self, frame: u64, pong: Pong) {
        let Some(view) = self.machines.get(&pong.device).map(|machine| Arc::clone(&machine.view)) else { return };
        let Pong { ping, size, from, .. } = pong;
        if ping.kind == Kind::Answer {
            overlay_probes::ping(frame, view.vni.get(), size, ping.sequence, "pong", from);
            self.outputs.push_back(Output::Event(Event::Pong(pong)));
            return;
        }
        let to = there(&view, from.ip);
        let reachable = view.up && view.ways(&[to], L2, &self.paths).any.is_some();
        if !reachable {
            return;
        }
        if size > view.room(to.ip, L2, &self.paths) {
            overlay_probes::ping(frame, view.vni.get(), size, ping.sequence, "answer-too-big", to);
            return;
        }
        // All MTUs that a device can have fit 16 bits.
        let answer = Ping { kind: Kind::Answer, mtu: u16::try_from(view.mtu).unwrap_or(u16::MAX), ..ping };
        let sending = self.ping_sending(&view, &answer, size, to);
        self.note_ping(&view, sending.frame, &answer, size, "answer", to);
        self.outputs.push_back(Output::Transmit(sending));
    }

    fn note_ping(&self, view: &Device, frame: u64, ping: &Ping, size: u32, what: &'static str, to: Ul3) {
        view.count(self.writer).pings_out.add(1);
        overlay_probes::ping(frame, view.vni.get(), size, ping.sequence, what, to);
    }

    /// Encapsulates a ping.
    fn ping_sending(&mut self, view: &Device, ping: &Ping, size: u32, to: Ul3) -> Sending {
        let flow = ping.flow();
        let header_len = view.header_len.min(HEADROOM);
        let mut bytes = vec![0; header_len];
        view.codec.write(&mut bytes, flow);
        ping.write(size, &mut bytes);
        let inner = Inner {
            source: ADDRESS,
            destination: ADDRESS,
            vlan: None,
            ethertype: ETHERTYPE,
            l3: L2,
            network: crate::inner::Network::Other,
        };
        Sending {
            frame: self.ids.next(),
            underlay: view.underlay,
            device: view.id,
            vni: view.vni,
            outer: OuterHeader::new(&view.rules, &inner, flow, to),
            bytes,
            // At most HEADROOM.
            header_len: header_len as u16,
            offload: Offload::default(),
        }
    }
}

/// Where a host listens, by all that is known of it: a direct device's other end where it was told, anybody else at the port that this device
/// listens at, too. Not where the source port says: nobody listens there, and it is a stranger's word.
fn there(view: &Device, ip: IpAddr) -> Ul3 {
    let ip = ip.to_canonical();
    match &view.mode {
        Mode::Point(point) if point.ip == ip => *point,
        _ => Ul3 { ip, port: view.listen.port },
    }
}
