//! Messages into packets.

use super::describe::{InstanceState, Refusal};
use super::{DESTINATION, DESTINATIONS_MAX, FRAME_MAX, FromOverlayd, FromVarpd, HEADER, PACKET_MAX, TTL_DEFAULT, VLAN_NONE, kind};
use crate::{Answer, DeviceId, Lookup, RequestId};
use overlay_decoder::Ul3;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// Packets that are to be sent, filled one after the other.
///
/// What does not fit a packet of its own is cut or left out, and said so by the result of the call: a frame to [`FRAME_MAX`] bytes, a list
/// of destinations to [`DESTINATIONS_MAX`]. JSON that does not fit is not sent.
#[derive(Clone, Default, Debug)]
pub struct Packets {
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Packets {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next packet to be sent.
    #[must_use]
    pub fn front(&self) -> Option<&[u8]> {
        self.packets.front().map(Vec::as_slice)
    }

    /// The next packet was sent.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len();
        Some(packet)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes of all packets.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what overlayd says. Whether all of it fitted.
    pub fn ask(&mut self, message: &FromOverlayd) -> bool {
        match message {
            FromOverlayd::Welcome(welcome) => self.json(kind::WELCOME, welcome),
            FromOverlayd::Refused(problem) => self.json(kind::REFUSED, &Refusal { problem: Cow::Borrowed(problem) }),
            FromOverlayd::Instance(instance) => self.json(kind::INSTANCE, instance),
            FromOverlayd::InstanceRemoved(DeviceId(device)) => self.message(kind::INSTANCE_REMOVED, 4, |body| body.u32(*device)),
            FromOverlayd::Complete => self.message(kind::COMPLETE, 0, |_| {}),
            FromOverlayd::Lookup(lookup) => self.lookup(lookup),
            FromOverlayd::Withdraw(RequestId(request)) => self.message(kind::WITHDRAW, 8, |body| body.u64(*request)),
            FromOverlayd::Verify(request) => self.json(kind::VERIFY, request),
            FromOverlayd::Ping(token) => self.message(kind::PING, 8, |body| body.u64(*token)),
            FromOverlayd::VnicAdded(vnic) => self.json(kind::VNIC_ADDED, vnic),
            FromOverlayd::VnicRemoved(vnic) => self.json(kind::VNIC_REMOVED, vnic),
            FromOverlayd::VnicChanged(vnic) => self.json(kind::VNIC_CHANGED, vnic),
        }
    }

    /// Adds what varpd says. Whether all of it fitted.
    pub fn say(&mut self, message: &FromVarpd) -> bool {
        match message {
            FromVarpd::Hello(hello) => self.json(kind::HELLO, hello),
            FromVarpd::Answer(request, answer) => self.answer(*request, answer),
            FromVarpd::State { device, degraded } => self.json(kind::STATE, &InstanceState { device: *device, degraded: degraded.clone() }),
            FromVarpd::Verified(verified) => self.json(kind::VERIFIED, verified),
            FromVarpd::TargetSet { device, mac, to, ttl_ns } => {
                let all = to.len();
                let to = to.get(..DESTINATIONS_MAX).unwrap_or(to);
                self.message(kind::TARGET_SET, 24 + to.len() * DESTINATION, |body| {
                    body.u32(device.0);
                    body.bytes(&mac.0);
                    body.u16(to.len() as u16);
                    body.u32(0);
                    body.u64(ttl_ns.map_or(TTL_DEFAULT, milliseconds));
                    body.destinations(to);
                }) && to.len() == all
            }
            FromVarpd::TargetInvalidate { device, mac } => self.message(kind::TARGET_INVALIDATE, 12, |body| {
                body.u32(device.0);
                body.bytes(&mac.0);
                body.u16(0);
            }),
            FromVarpd::TargetFlush(device) => self.message(kind::TARGET_FLUSH, 4, |body| body.u32(device.0)),
            FromVarpd::Inject { device, frame } => self.device_frame(kind::DEVICE_INJECT, *device, frame),
            FromVarpd::Resend { device, frame } => self.device_frame(kind::DEVICE_RESEND, *device, frame),
            FromVarpd::Pong(token) => self.message(kind::PONG, 8, |body| body.u64(*token)),
        }
    }

    fn lookup(&mut self, lookup: &Lookup) -> bool {
        let (frame, question) = (lookup.frame.get(..FRAME_MAX).unwrap_or(&lookup.frame), &lookup.question);
        self.message(kind::LOOKUP, 40 + frame.len(), |body| {
            body.u64(lookup.request.0);
            body.u32(lookup.device.0);
            body.u32(lookup.vni.get());
            body.u32(question.len);
            body.u16(question.ethertype);
            body.u16(question.vlan.unwrap_or(VLAN_NONE));
            body.bytes(&question.source.0);
            body.bytes(&question.destination.0);
            body.u32(frame.len() as u32);
            body.bytes(frame);
        }) && frame.len() == lookup.frame.len()
    }

    fn answer(&mut self, RequestId(request): RequestId, answer: &Answer) -> bool {
        match answer {
            Answer::Reach { to, ttl_ns } => {
                let list = to.get(..DESTINATIONS_MAX).unwrap_or(to);
                self.message(kind::REACH, 24 + list.len() * DESTINATION, |body| {
                    body.u64(request);
                    body.u64(ttl_ns.map_or(TTL_DEFAULT, milliseconds));
                    body.u16(list.len() as u16);
                    body.bytes(&[0; 6]);
                    body.destinations(list);
                }) && list.len() == to.len()
            }
            Answer::Drop { ttl_ns } => self.message(kind::DROP, 16, |body| {
                body.u64(request);
                body.u64(ttl_ns.map_or(TTL_DEFAULT, milliseconds));
            }),
            Answer::Inject(frame) => self.frame(kind::INJECT, request, frame),
            Answer::Resend(frame) => self.frame(kind::RESEND, request, frame),
        }
    }

    fn frame(&mut self, kind: u16, request: u64, frame: &[u8]) -> bool {
        let most = frame.get(..FRAME_MAX).unwrap_or(frame);
        self.message(kind, 16 + most.len(), |body| {
            body.u64(request);
            body.u32(most.len() as u32);
            body.u32(0);
            body.bytes(most);
        }) && most.len() == frame.len()
    }

    fn device_frame(&mut self, kind: u16, device: DeviceId, frame: &[u8]) -> bool {
        let most = frame.get(..FRAME_MAX).unwrap_or(frame);
        self.message(kind, 8 + most.len(), |body| {
            body.u32(device.0);
            body.u32(most.len() as u32);
            body.bytes(most);
        }) && most.len() == frame.len()
    }

    fn json(&mut self, kind: u16, value: &impl Serialize) -> bool {
        // What is told has no map with keys that are no text, the one thing that cannot be written.
        let Ok(text) = serde_json::to_vec(value) else { return false };
        text.len() <= PACKET_MAX - HEADER && self.message(kind, text.len(), |body| body.bytes(&text))
    }

    /// Adds a message whose body has `len` bytes: to the last packet, or to a new one.
    fn message(&mut self, kind: u16, len: usize, write: impl FnOnce(&mut Body<'_>)) -> bool {
        let len = HEADER + len;
        if self.packets.back().is_none_or(|packet| packet.len() + len > PACKET_MAX) {
            self.packets.push_back(Vec::with_capacity(len.max(1024)));
        }
        let Some(packet) = self.packets.back_mut() else { return false };
        let start = packet.len();
        let mut body = Body(packet);
        body.u32(len as u32);
        body.u16(kind);
        body.u16(0);
        write(&mut body);
        debug_assert_eq!(packet.len() - start, len, "the length that was told");
        self.bytes += packet.len() - start;
        true
    }
}

/// Whole milliseconds, rounded up; never the number that says "default".
const fn milliseconds(ns: u64) -> u64 {
    ns.div_ceil(MS)
}

/// Appends numbers to a packet.
struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    fn u16(&mut self, number: u16) {
        self.bytes(&number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn destinations(&mut self, to: &[Ul3]) {
        for ul3 in to {
            let ip = match ul3.ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            self.bytes(&ip.octets());
            self.u16(ul3.port.unwrap_or(0));
            self.u16(0);
        }
    }
}
