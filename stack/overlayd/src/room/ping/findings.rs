//! What follows from a ping? Sentences, with what to look at or to do.

use super::Begun;
use crate::sys::{Told, Why};
use overlay_api::control::{OverlayState, PingEnd, PingRequest};
use overlay_decoder::Ul3;
use std::fmt;
use std::net::IpAddr;

/// Who says that a ping is too big, and that IP packets of so many bytes are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    /// This host's own link.
    Link(Option<u32>),
    /// This host, which was told before.
    Known(u32),
    /// Somebody on the way, now; 0 is that he does not say how many.
    Told(IpAddr, u32),
}

impl Limit {
    /// Bytes of the largest IP packet, if that is known.
    pub(super) fn packet(&self) -> Option<u32> {
        match self {
            Self::Link(packet) => *packet,
            Self::Known(packet) | Self::Told(_, packet) => Some(*packet),
        }
        .filter(|packet| *packet > 0)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(Some(packet)) => write!(f, "this host's link takes IP packets of {packet} bytes"),
            Self::Link(None) => f.write_str("this host's link takes no packets of that size"),
            Self::Known(packet) => write!(f, "this host knows that the way takes IP packets of {packet} bytes"),
            Self::Told(by, 0) => write!(f, "{by} says that the next link takes no packets of that size (ICMP)"),
            Self::Told(by, packet) => write!(f, "{by} says that the next link takes IP packets of {packet} bytes (ICMP)"),
        }
    }
}

/// What was seen beside answers.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Why ICMP could not be heard.
    pub(super) deaf: Option<String>,
    /// ICMP errors, each once.
    pub(super) told: Vec<Told>,
    /// Who limits the size.
    pub(super) limit: Option<Limit>,
    /// Why the last one was not sent.
    pub(super) unsent: Option<String>,
    /// Why the search for the largest had to end: one could not be sent.
    pub(super) unsearched: Option<String>,
    /// The smallest ping was answered where the wanted size was not.
    pub(super) small_passes: bool,
}

/// An ICMP error, in words.
pub(super) fn said(why: Why, to: Ul3) -> String {
    match (why, to.port) {
        (Why::NobodyListens, Some(port)) => format!("nobody listens at UDP port {port} (ICMP port unreachable)"),
        (Why::NobodyListens, None) => "the host does not take this encapsulation (ICMP protocol unreachable)".to_owned(),
        (Why::Prohibited, _) => "a firewall refuses it (ICMP administratively prohibited)".to_owned(),
        (Why::NoWay, _) => "there is no way there, or the host is not there (ICMP unreachable)".to_owned(),
        (Why::TooBig(0), _) => "it is too big for the next link (ICMP)".to_owned(),
        (Why::TooBig(packet), _) => format!("it is too big for the next link, which takes IP packets of {packet} bytes (ICMP)"),
        (Why::HopsUsedUp, _) => "its hops are used up (ICMP time exceeded): a loop in the underlay, or outer/ttl is too small".to_owned(),
    }
}

/// What follows.
pub(super) fn findings(begun: &Begun, request: &PingRequest, end: &PingEnd, seen: &Seen) -> Vec<String> {
    let mut all = Vec::new();
    let name = &begun.overlay;
    if begun.state != OverlayState::Up {
        all.push(format!("overlay {name} is {}: {}", begun.state, begun.reason.as_deref().unwrap_or("no reason is known")));
    }
    if end.answered == 0 && !seen.small_passes {
        all.push(no_answer(begun, seen));
    } else if end.answered == 0 {
        all.push(format!("pings of {} bytes are not answered, but small ones are: a smaller MTU on the way", request.size));
    } else if end.answered < end.sent {
        all.push(format!(
            "{} of {} pings were not answered: the way loses packets, or one of several ways does",
            end.sent - end.answered,
            end.sent
        ));
    }
    if let Some(reason) = &seen.unsearched {
        all.push(format!("how large packets may be is not known, as a ping could not be sent: {reason}"));
    }
    if let Some(largest) = end.largest {
        all.push(size(begun, largest, seen));
    }
    if let Some(far) = end.far_mtu.filter(|far| *far != begun.mtu) {
        let (mtu, smaller) = (begun.mtu, far.min(begun.mtu));
        all.push(format!(
            "the other end's overlay has an MTU of {far} bytes, this one {mtu}: packets of more than {smaller} pass in one direction only, or \
             not at all; make them equal (overlayadm set-prop -p mtu={smaller} {name})"
        ));
    }
    all
}

fn no_answer(begun: &Begun, seen: &Seen) -> String {
    let to = begun.to;
    if let Some(reason) = &seen.unsent {
        return format!("nothing was sent: {reason}");
    }
    // The most telling message first.
    if let Some(told) = seen.told.iter().min_by_key(|told| told.why) {
        let what = said(told.why, to);
        return match told.why {
            Why::NobodyListens => format!(
                "{} says: {what}. overlayd does not run there, its overlay listens elsewhere (overlayadm show-overlay -f -o link,listen), \
                 or a rule rejects the packets (nft list ruleset)",
                told.by
            ),
            Why::Prohibited => format!("{} says: {what}. Allow it in its rules (nft list ruleset)", told.by),
            _ => format!("{} says: {what}", told.by),
        };
    }
    if let Some(limit) = seen.limit {
        return format!("no ping arrives: {limit}");
    }
    let what = match to.port {
        Some(port) => format!("UDP port {port}"),
        None => "IP protocol 47 (GRE)".to_owned(),
    };
    let deaf = seen.deaf.as_ref().map(|why| format!(" (ICMP could not be listened to: {why})")).unwrap_or_default();
    format!(
        "nothing came back, and nobody says why{deaf}. Most often a rule drops {what}, on the way or on one of both ends (nft list ruleset; \
         overlayadm doctor). Or {} is not there, has no overlay with this vnetid at this address, does not allow this source, does not answer \
         (ping/answer=off), or runs no overlayd: others never answer pings",
        to.ip
    )
}

fn size(begun: &Begun, largest: u32, seen: &Seen) -> String {
    let (name, mtu, packet) = (&begun.overlay, begun.mtu, largest + begun.around);
    if largest >= mtu {
        return format!("packets of {largest} bytes pass, {packet} on the underlay: all that the overlay's MTU of {mtu} allows");
    }
    let who = match &seen.limit {
        Some(limit) if limit.packet().is_none_or(|said| said == packet) => limit.to_string(),
        Some(limit) => format!("{limit}, but even smaller ones disappear"),
        None => "nobody says so: larger ones disappear (a link with a smaller MTU behind something that filters ICMP)".to_owned(),
    };
    let fragments = if begun.fragments { "; larger ones are fragmented (outer/df=clear), which is slow and often filtered" } else { "" };
    format!(
        "packets of {largest} bytes pass, {} do not, though the overlay's MTU is {mtu}: {packet} bytes fit the underlay, {} are needed. {who}. \
         Raise the MTU of the underlay, or: overlayadm set-prop -p mtu={largest} {name}{fragments}",
        largest + 1,
        mtu + begun.around
    )
}
