//! Packets into messages.

use super::describe::{InstanceState, Refusal};
use super::{DESTINATION, DESTINATIONS_MAX, FromOverlayd, FromVarpd, HEADER, PACKET_MAX, TTL_DEFAULT, VLAN_NONE, kind};
use crate::{Answer, DeviceId, Lookup, Question, RequestId};
use overlay_decoder::{Mac, Ul3, Vni};
use serde::Deserialize;
use std::fmt;
use std::net::Ipv6Addr;

/// A packet that is none of this protocol: a sentence with what was found and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelError(String);

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ChannelError {}

/// What overlayd said in a packet, in order. After an error there is nothing more.
pub fn questions(packet: &[u8]) -> impl Iterator<Item = Result<FromOverlayd, ChannelError>> {
    messages(packet, question)
}

/// What varpd said in a packet, in order. After an error there is nothing more.
pub fn answers(packet: &[u8]) -> impl Iterator<Item = Result<FromVarpd, ChannelError>> {
    messages(packet, answer)
}

type Read<T> = fn(u16, &mut Body<'_>) -> Result<Option<T>, ChannelError>;

fn messages<T>(packet: &[u8], read: Read<T>) -> impl Iterator<Item = Result<T, ChannelError>> {
    let mut rest = packet;
    let mut offset = 0;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let step = split(rest, offset).and_then(|(kind, body, len)| Ok((read(kind, &mut Body { kind, offset, rest: body })?, len)));
            match step {
                Ok((message, len)) => {
                    rest = rest.get(len..).unwrap_or(&[]);
                    offset += len;
                    if let Some(message) = message {
                        return Some(Ok(message));
                    }
                }
                Err(error) => {
                    rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    })
}

/// Type, body and length of the first message.
fn split(rest: &[u8], offset: usize) -> Result<(u16, &[u8], usize), ChannelError> {
    let Some((header, _)) = rest.split_first_chunk::<HEADER>() else {
        return Err(ChannelError(format!("at byte {offset} of a packet: {} bytes are left; a message has at least {HEADER}", rest.len())));
    };
    let [a, b, c, d, e, f, ..] = *header;
    let (len, kind) = (u32::from_le_bytes([a, b, c, d]) as usize, u16::from_le_bytes([e, f]));
    match rest.get(HEADER..len) {
        Some(body) => Ok((kind, body, len)),
        None => {
            let left = rest.len().min(PACKET_MAX);
            Err(ChannelError(format!(
                "at byte {offset} of a packet: message of type {kind} says {len} bytes; {HEADER} to {left} are possible"
            )))
        }
    }
}

fn question(kind: u16, body: &mut Body<'_>) -> Result<Option<FromOverlayd>, ChannelError> {
    Ok(Some(match kind {
        kind::WELCOME => FromOverlayd::Welcome(body.json()?),
        kind::REFUSED => FromOverlayd::Refused(body.json::<Refusal<'_>>()?.problem.into_owned()),
        kind::INSTANCE => FromOverlayd::Instance(body.json()?),
        kind::INSTANCE_REMOVED => FromOverlayd::InstanceRemoved(DeviceId(body.u32()?)),
        kind::COMPLETE => FromOverlayd::Complete,
        kind::LOOKUP => FromOverlayd::Lookup(body.lookup()?),
        kind::WITHDRAW => FromOverlayd::Withdraw(RequestId(body.u64()?)),
        kind::VERIFY => FromOverlayd::Verify(body.json()?),
        kind::PING => FromOverlayd::Ping(body.u64()?),
        kind::VNIC_ADDED => FromOverlayd::VnicAdded(body.json()?),
        kind::VNIC_REMOVED => FromOverlayd::VnicRemoved(body.json()?),
        kind::VNIC_CHANGED => FromOverlayd::VnicChanged(body.json()?),
        _ => return Ok(None),
    }))
}

fn answer(kind: u16, body: &mut Body<'_>) -> Result<Option<FromVarpd>, ChannelError> {
    Ok(Some(match kind {
        kind::HELLO => FromVarpd::Hello(body.json()?),
        kind::REACH => {
            let (request, ttl_ns, count) = (RequestId(body.u64()?), body.ttl()?, body.u16()?);
            body.array::<6>()?;
            FromVarpd::Answer(request, Answer::Reach { to: body.destinations(count)?, ttl_ns })
        }
        kind::DROP => FromVarpd::Answer(RequestId(body.u64()?), Answer::Drop { ttl_ns: body.ttl()? }),
        kind::INJECT => FromVarpd::Answer(RequestId(body.u64()?), Answer::Inject(body.answered_frame()?)),
        kind::RESEND => FromVarpd::Answer(RequestId(body.u64()?), Answer::Resend(body.answered_frame()?)),
        kind::STATE => {
            let InstanceState { device, degraded } = body.json()?;
            FromVarpd::State { device, degraded }
        }
        kind::VERIFIED => FromVarpd::Verified(body.json()?),
        kind::TARGET_SET => {
            let (device, mac, count) = (DeviceId(body.u32()?), Mac(body.array()?), body.u16()?);
            body.u32()?;
            let ttl_ns = body.ttl()?;
            FromVarpd::TargetSet { device, mac, to: body.destinations(count)?, ttl_ns }
        }
        kind::TARGET_INVALIDATE => FromVarpd::TargetInvalidate { device: DeviceId(body.u32()?), mac: Mac(body.array()?) },
        kind::TARGET_FLUSH => FromVarpd::TargetFlush(DeviceId(body.u32()?)),
        kind::DEVICE_INJECT => FromVarpd::Inject { device: DeviceId(body.u32()?), frame: body.frame()? },
        kind::DEVICE_RESEND => FromVarpd::Resend { device: DeviceId(body.u32()?), frame: body.frame()? },
        kind::PONG => FromVarpd::Pong(body.u64()?),
        _ => return Ok(None),
    }))
}

/// What is left of a message's body.
struct Body<'a> {
    kind: u16,
    offset: usize,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn wrong(&self, problem: impl fmt::Display) -> ChannelError {
        ChannelError(format!("at byte {} of a packet: message of type {}: {problem}", self.offset, self.kind))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ChannelError> {
        let Some((part, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.wrong(format_args!("{} bytes are left where {len} are needed", self.rest.len())));
        };
        self.rest = rest;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ChannelError> {
        let part = self.take(N)?;
        part.try_into().map_err(|_| self.wrong("cut short"))
    }

    fn u16(&mut self) -> Result<u16, ChannelError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ChannelError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ChannelError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Milliseconds on the wire, nanoseconds here.
    fn ttl(&mut self) -> Result<Option<u64>, ChannelError> {
        let ms = self.u64()?;
        Ok((ms != TTL_DEFAULT).then(|| ms.saturating_mul(1_000_000)))
    }

    fn destinations(&mut self, count: u16) -> Result<Vec<Ul3>, ChannelError> {
        let count = usize::from(count);
        if count > DESTINATIONS_MAX {
            return Err(self.wrong(format_args!("{count} destinations; at most {DESTINATIONS_MAX} are allowed")));
        }
        let list = self.take(count * DESTINATION)?;
        let one = |part: &[u8]| {
            let (ip, port) = part.split_first_chunk::<16>()?;
            let [low, high, ..] = *port else { return None };
            let port = u16::from_le_bytes([low, high]);
            Some(Ul3 { ip: Ipv6Addr::from(*ip).to_canonical(), port: (port != 0).then_some(port) })
        };
        Ok(list.chunks_exact(DESTINATION).filter_map(one).collect())
    }

    fn answered_frame(&mut self) -> Result<Vec<u8>, ChannelError> {
        let len = self.u32()?;
        self.u32()?;
        self.take(len as usize).map(<[u8]>::to_vec)
    }

    fn frame(&mut self) -> Result<Vec<u8>, ChannelError> {
        let len = self.u32()?;
        self.take(len as usize).map(<[u8]>::to_vec)
    }

    fn lookup(&mut self) -> Result<Lookup, ChannelError> {
        let (request, device, vni, len) = (RequestId(self.u64()?), DeviceId(self.u32()?), self.u32()?, self.u32()?);
        let vni = Vni::new(vni).ok_or_else(|| self.wrong(format_args!("vnetid {vni}; 0 to {} are allowed", Vni::MAX)))?;
        let (ethertype, vlan) = (self.u16()?, self.u16()?);
        let (source, destination) = (Mac(self.array()?), Mac(self.array()?));
        let question = Question { source, destination, ethertype, vlan: (vlan != VLAN_NONE).then_some(vlan), len };
        Ok(Lookup { request, device, vni, question, frame: self.frame()? })
    }

    fn json<T: Deserialize<'a>>(&mut self) -> Result<T, ChannelError> {
        serde_json::from_slice(self.rest).map_err(|error| self.wrong(error))
    }
}
