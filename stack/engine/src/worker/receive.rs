//! From the underlay towards a port: whose is each datagram of a batch, and does the device take it?
//!
//! ```text
//!  datagram ──► header ──► VNI ──► device up? ──► header and source allowed? ──► inner frame ──► came back, tag, checksum? ──► ECN ──► ports
//!                drop      drop      drop            drop                          drop            drop         drop     drop
//! ```

use super::{Worker, clamp};
use crate::batch::{Arrival, Datagrams, Item, Offload};
use crate::control::miss::Miss;
use crate::ecn;
use crate::examples::Example;
use crate::inner::Inner;
use crate::outbox::{Content, Deliver, Outbox, Part};
use crate::ping::{Kind, Ping, Pong};
use crate::time::Time;
use crate::world::{Device, Port};
use overlay_api::{Direction, DropReason, UnderlayId, Verdict};
use overlay_decoder::{Ul3, Vni};
use std::sync::Arc;

/// Why a datagram goes no further, and whose it was as far as is known.
struct Refusal<'a> {
    reason: DropReason,
    vni: Option<Vni>,
    device: Option<&'a Device>,
}

impl Refusal<'_> {
    const fn unknown(reason: DropReason) -> Self {
        Self { reason, vni: None, device: None }
    }
}

/// A datagram that a device takes.
struct Taken<'a> {
    device: &'a Device,
    inner: Inner,
    /// Bytes in front of the inner frame.
    skip: usize,
}

impl Worker {
    /// Datagrams have come from an underlay. Carry out what is in `out` afterwards, then clear both.
    /// Every item ends in exactly one way: delivered to at least one port, taken as a ping, or dropped with a reason; each is counted so, what is delivered
    /// when [`Worker::settle`] is told.
    pub fn handle_datagrams(&mut self, underlay: UnderlayId, datagrams: &mut Datagrams, now: Time, out: &mut Outbox) {
        self.moment = now;
        let shared = Arc::clone(&self.shared);
        let world = shared.world.load();
        let place = world.underlays.get(&underlay);
        let mut bytes = 0;
        for index in 0..datagrams.items().len() {
            let Some(&Item { len, meta: arrival, .. }) = datagrams.items().get(index) else { break };
            bytes += u64::from(len);
            let (item, id) = (index as u32, self.ids.next());
            overlay_probes::rx_datagram(id, underlay.0, len, arrival.from);
            let taken = match place {
                Some(place) => self.take(place, datagrams, item, &arrival),
                None => Err(Refusal::unknown(DropReason::OverlayNotReady)),
            };
            let refused = match taken {
                Ok(taken) => {
                    let device = taken.device;
                    self.count_in(Some(device), len);
                    let inner_len = clamp((len as usize).saturating_sub(taken.skip));
                    overlay_probes::decap(id, device.vni.get(), inner_len, taken.inner.source, taken.inner.destination, arrival.from);
                    let (batch, skip) = (&*datagrams, taken.skip);
                    overlay_probes::frame_parts(id, device.vni.get(), Direction::Receive as u8, inner_len, move || {
                        batch.bytes(item).get(skip..).unwrap_or_default()
                    });
                    let refused = match self.deliver(&taken, id, item, len as usize, &arrival, out) {
                        Err(DropReason::NoPort) => self.take_ping(&taken, id, datagrams.bytes(item), arrival.from, now, out).err(),
                        other => other.err(),
                    };
                    refused.map(|reason| Refusal { reason, vni: Some(device.vni), device: Some(device) })
                }
                Err(refusal) => {
                    self.count_in(refusal.device, len);
                    Some(refusal)
                }
            };
            if let Some(refusal) = refused {
                self.refuse(&refusal, id, len, arrival.from, out);
                self.keep(refusal.reason, || {
                    let header =
                        place.and_then(|place| place.encapsulation.decap(datagrams.bytes(item)).ok()).map(|decap| decap.header_len);
                    let frame = header.and_then(|header| datagrams.bytes(item).get(header..)).unwrap_or_default();
                    let example = Example { peer: Some(arrival.from), ..Example::new(refusal.reason, now, refusal.vni, len) };
                    example.of(frame)
                });
            }
        }
        overlay_probes::rx_batch(clamp(self.index), underlay.0, clamp(datagrams.items().len()), bytes);
    }

    /// For datagrams that hold more than a port takes as one packet: a peer on a virtual link may have left a super-frame uncut, and only
    /// the driver can find out. Calls `find` with each such datagram's inner frame and the largest packet that its device's ports
    /// all take, and keeps what that says is left to do. Call it before [`handle_datagrams`](Self::handle_datagrams).
    pub fn find_uncut(&self, underlay: UnderlayId, datagrams: &mut Datagrams, find: impl Fn(&[u8], u32) -> Option<Offload>) {
        let world = self.shared.world.load();
        let Some(place) = world.underlays.get(&underlay) else { return };
        for item in 0..clamp(datagrams.items().len()) {
            let bytes = datagrams.bytes(item);
            if bytes.len() <= place.smallest_mtu as usize {
                continue;
            }
            let Ok(decap) = place.encapsulation.decap(bytes) else { continue };
            let (Some(device), Some(frame)) = (place.devices.get(&decap.vni), bytes.get(decap.header_len..)) else { continue };
            let mtu = device.smallest_mtu();
            if Inner::parse(frame).is_some_and(|inner| frame.len() - inner.l3 > mtu as usize)
                && let Some(offload) = find(frame, mtu)
            {
                datagrams.set_meta(item, |meta| meta.offload = offload);
            }
        }
    }

    /// Finds out whose a datagram is, and marks congestion in its inner header.
    fn take<'a>(
        &self,
        place: &'a crate::world::Underlay,
        datagrams: &mut Datagrams,
        item: u32,
        arrival: &Arrival,
    ) -> Result<Taken<'a>, Refusal<'a>> {
        let bytes = datagrams.bytes(item);
        let decap = place.encapsulation.decap(bytes).map_err(Refusal::unknown)?;
        let Some(device) = place.devices.get(&decap.vni) else {
            return Err(Refusal { reason: DropReason::UnknownVni, vni: Some(decap.vni), device: None });
        };
        let refuse = |reason| Refusal { reason, vni: Some(decap.vni), device: Some(device) };
        if !device.up {
            return Err(refuse(DropReason::OverlayNotReady));
        }
        let Some((header, frame)) = bytes.split_at_checked(decap.header_len) else {
            return Err(refuse(DropReason::DatagramTooShort));
        };
        device.codec.check(header, arrival.from.ip).map_err(refuse)?;
        let inner = Inner::parse(frame).ok_or_else(|| refuse(DropReason::DatagramTooShort))?;
        if device.port_of(inner.source).is_some() {
            return Err(refuse(DropReason::Loop));
        }
        if !device.carries_tags && inner.is_tagged() {
            return Err(refuse(DropReason::VlanNotTaken));
        }
        if !device.trusts_partial && inner.is_partial(frame) {
            return Err(refuse(DropReason::PartialChecksum));
        }
        if let Some(tos) = inner.tos() {
            let (had, marked) = (tos & ecn::CE, ecn::decapsulate(arrival.tos & ecn::CE, tos & ecn::CE).map_err(refuse)?);
            if marked != had {
                let (_, bytes) = datagrams.split(item, 0);
                if let Some(frame) = bytes.get_mut(decap.header_len..) {
                    ecn::mark(frame, &inner, marked);
                }
            }
        }
        Ok(Taken { device, inner, skip: decap.header_len })
    }

    /// Hands an inner frame to the ports that it is for.
    fn deliver(&self, taken: &Taken<'_>, id: u64, item: u32, len: usize, arrival: &Arrival, out: &mut Outbox) -> Result<(), DropReason> {
        let Taken { device, inner, skip } = taken;
        let len = len.saturating_sub(*skip);
        let size = clamp(arrival.offload.largest(len).saturating_sub(inner.l3));
        let mut hand_to = |port: &Port| {
            let content = Content::Item { item, skip: clamp(*skip) };
            let part = Part::Received;
            let to = inner.destination;
            out.delivers.push(Deliver { frame: id, port: port.id, device: device.id, content, len: clamp(len), to, part });
        };
        if inner.destination.is_group() {
            let mut fits = device.ports.iter().filter(|port| size <= port.mtu).peekable();
            if fits.peek().is_none() {
                return Err(if device.ports.is_empty() { DropReason::NoPort } else { DropReason::PortMtu });
            }
            fits.for_each(&mut hand_to);
        } else {
            let port = device.port_of(inner.destination).ok_or(DropReason::NoPort)?;
            if size > port.mtu {
                return Err(DropReason::PortMtu);
            }
            hand_to(port);
        }
        out.explain(id, || {
            let takers = device.ports.iter().filter(|port| match inner.destination.is_group() {
                true => size <= port.mtu,
                false => port.mac == inner.destination,
            });
            Verdict::Deliver { vni: device.vni, ports: takers.map(|port| port.name.to_string()).collect() }
        });
        Ok(())
    }

    /// A frame has found no port. It may be a ping, which the control half answers, or waits for.
    #[cold]
    fn take_ping(&self, taken: &Taken<'_>, id: u64, datagram: &[u8], from: Ul3, now: Time, out: &mut Outbox) -> Result<(), DropReason> {
        let Taken { device, inner, skip } = taken;
        let frame = datagram.get(*skip..).unwrap_or(&[]);
        let ping = Ping::parse(frame).ok_or(DropReason::NoPort)?;
        let wanted = match ping.kind {
            // Before it is in the queue, which tenants' frames need.
            Kind::Ask => device.answers_pings && device.pings.take(now),
            Kind::Answer => device.pings.awaits(ping.id) && device.pings.take_answer(now),
        };
        let pong = Pong { device: device.id, ping, size: clamp(frame.len().saturating_sub(inner.l3)), from, at: now };
        if !wanted || self.shared.misses.push(Miss::Ping(id, pong)).is_err() {
            return Err(DropReason::PingIgnored);
        }
        out.misses += 1;
        device.count(self.index).pings_in.add(1);
        out.explain(id, || Verdict::Answered { vni: device.vni, by: "ping" });
        Ok(())
    }

    fn count_in(&self, device: Option<&Device>, len: u32) {
        let counters = device.map_or(&self.shared.nobody[self.index], |device| device.count(self.index));
        counters.datagrams_in.add(1);
        counters.datagrams_in_bytes.add(len.into());
    }

    fn refuse(&self, refusal: &Refusal<'_>, id: u64, len: u32, from: Ul3, out: &mut Outbox) {
        let Refusal { reason, vni, device } = *refusal;
        device.map_or(&self.shared.nobody[self.index], |device| device.count(self.index)).drop(reason);
        let shown = vni.map_or(overlay_probes::VNI_UNKNOWN, Vni::get);
        overlay_probes::drop(id, Direction::Receive as u8, shown, len, reason, from);
        out.explain(id, || Verdict::Drop { vni, reason });
    }
}
