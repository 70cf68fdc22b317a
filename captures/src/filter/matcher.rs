//! Does a decoded packet match?

use std::sync::Arc;

use overlay_decoder::packet::Segment;
use overlay_decoder::{Config, LayerKind, LinkType, Packet};

use super::error::FilterError;
use super::expression::{Node, Place};
use super::program::{Program, Refusal, expected};
use super::{Shared, prefilter};

/// A filter at work in one thread: it remembers the programs for the link types that it has met. Made by
/// [`Filter::matcher`](super::Filter::matcher).
#[derive(Clone, Debug)]
pub struct Matcher {
    shared: Arc<Shared>,
    config: Config,
    links: Vec<Link>,
    scratch: Vec<u8>,
}

/// The programs for one link type.
#[derive(Clone, Debug)]
struct Link {
    link: LinkType,
    programs: Result<Programs, FilterError>,
}

#[derive(Clone, Debug)]
struct Programs {
    /// One per expression of the filter that is for the outer packet; `None` where no packet of the link type can match, and for
    /// expressions that are for other packets.
    outer: Vec<Option<Program>>,
    /// What lets every packet through that may hold a tunnel; `None` lets everything through.
    carrier: Option<Program>,
}

/// The packet at hand as it was captured.
#[derive(Clone, Copy)]
struct Outer<'m> {
    bytes: &'m [u8],
    wire_len: u32,
    shared: &'m Shared,
    programs: &'m Programs,
}

impl Matcher {
    pub(super) fn new(shared: Arc<Shared>, config: &Config) -> Self {
        Self { shared, config: config.clone(), links: Vec::new(), scratch: Vec::new() }
    }

    /// Whether a decoded packet matches.
    ///
    /// # Errors
    ///
    /// When an expression for the outer packet cannot be asked of the packet's link type, such as `ether host` of raw IP; the first
    /// time and every time.
    pub fn matches(&mut self, packet: &Packet<'_>) -> Result<bool, FilterError> {
        let index = self.link(packet.link);
        let programs = self.links[index].programs.as_ref().map_err(Clone::clone)?;
        let bytes = expected(packet.bytes, packet.link, &mut self.scratch);
        let outer = Outer { bytes, wire_len: packet.wire_len, shared: &self.shared, programs };
        Ok(outer.exact(&self.shared.expression.root, packet))
    }

    /// Whether a packet may match by what is seen without decoding it: `false` is a promise, `true` is none, unless
    /// [`Filter::needs_decode`](super::Filter::needs_decode) says that this is the whole answer.
    ///
    /// For a question about tunnels this costs about as much as decoding. It pays where the answer decides more than that.
    ///
    /// # Errors
    ///
    /// As [`matches`](Self::matches).
    pub fn prefilter_matches(&mut self, bytes: &[u8], wire_len: u32, link: LinkType) -> Result<bool, FilterError> {
        let index = self.link(link);
        let programs = self.links[index].programs.as_ref().map_err(Clone::clone)?;
        let wire_len = wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let bytes = expected(bytes, link, &mut self.scratch);
        let outer = Outer { bytes, wire_len, shared: &self.shared, programs };
        Ok(outer.possible(&self.shared.expression.root, false))
    }

    #[inline]
    fn link(&mut self, link: LinkType) -> usize {
        match self.links.iter().position(|known| known.link == link) {
            Some(index) => index,
            None => {
                self.links.push(Link { link, programs: programs(&self.shared, &self.config, link) });
                self.links.len() - 1
            }
        }
    }
}

#[cold]
fn programs(shared: &Shared, config: &Config, link: LinkType) -> Result<Programs, FilterError> {
    let compile = |(index, pcap): (usize, &super::expression::Pcap)| {
        if !pcap.place.is_outer() {
            return Ok(None);
        }
        match Program::compile(&pcap.text, link) {
            Ok(program) => Ok(Some(program)),
            Err(Refusal::RejectsAll) => Ok(None),
            Err(refusal) => Err(shared.refused(index, Some(link), &refusal)),
        }
    };
    let outer = shared.expression.pcaps.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
    Ok(Programs { outer, carrier: prefilter::carrier(config, link).and_then(|text| Program::compile(&text, link).ok()) })
}

impl Outer<'_> {
    /// What the filter means.
    fn exact(&self, node: &Node, packet: &Packet<'_>) -> bool {
        match node {
            Node::All => true,
            Node::Vni { first, last } => packet.vnis().any(|vni| (*first..=*last).contains(&vni)),
            Node::Tunnel(kind) => packet.layers.iter().any(|layer| layer.kind() == *kind && layer.body.is_tunnel()),
            Node::Stopped(kind) => packet.stop.is_some_and(|stop| kind.is_none_or(|kind| stop.kind == kind)),
            Node::Pcap(index) => match self.shared.expression.pcaps[*index].place {
                Place::Outer | Place::Layer(1) => self.outer(*index),
                Place::Inner => packet.segments().skip(1).any(|segment| self.inner(*index, &segment)),
                Place::Layer(number) => packet.segments().nth(usize::from(number) - 1).is_some_and(|segment| self.inner(*index, &segment)),
            },
            Node::Not(node) => !self.exact(node, packet),
            Node::And(parts) => parts.iter().all(|part| self.exact(part, packet)),
            Node::Or(parts) => parts.iter().any(|part| self.exact(part, packet)),
        }
    }

    /// Whether `node`, or its negation, can be true of the packet: each expression for the outer packet is asked by itself, so that
    /// one that reads beyond the captured bytes says nothing about the others.
    fn possible(&self, node: &Node, negated: bool) -> bool {
        match node {
            Node::All => !negated,
            Node::Stopped(_) => true,
            Node::Pcap(index) if self.shared.expression.pcaps[*index].place.is_outer() => self.outer(*index) != negated,
            Node::Vni { .. } | Node::Tunnel(_) | Node::Pcap(_) => {
                negated || self.programs.carrier.as_ref().is_none_or(|carrier| carrier.matches(self.bytes, self.wire_len))
            }
            Node::Not(node) => self.possible(node, !negated),
            Node::And(parts) if negated => parts.iter().any(|part| self.possible(part, true)),
            Node::Or(parts) if negated => parts.iter().all(|part| self.possible(part, true)),
            Node::And(parts) => parts.iter().all(|part| self.possible(part, false)),
            Node::Or(parts) => parts.iter().any(|part| self.possible(part, false)),
        }
    }

    #[inline]
    fn outer(&self, index: usize) -> bool {
        self.programs.outer[index].as_ref().is_some_and(|program| program.matches(self.bytes, self.wire_len))
    }

    /// Whether a packet behind a tunnel matches. One of which no header could be read matches nothing.
    fn inner(&self, index: usize, segment: &Segment<'_>) -> bool {
        let Some((bytes, link)) = segment.frame() else { return false };
        let Some(programs) = &self.shared.inner[index] else { return false };
        let program = if link == LinkType::ETHERNET { &programs.ethernet } else { &programs.raw };
        program.as_ref().is_some_and(|program| program.matches(bytes, wire_len(segment)))
    }
}

/// Bytes of a packet behind a tunnel by the lengths in its headers, captured or not: from the header that its frame starts with.
fn wire_len(segment: &Segment<'_>) -> u32 {
    let first = segment.layers.iter().find(|layer| matches!(layer.kind(), LayerKind::Ethernet | LayerKind::Ipv4 | LayerKind::Ipv6));
    first.map_or(0, |layer| layer.length.saturating_add(layer.claimed))
}
