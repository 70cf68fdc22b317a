//! How does a record become text? Filter, decode and render, one record at a time; one of these per thread.

use crate::clock::Clock;
use overlay_captures::filter::{FilterError, Matcher};
use overlay_captures::{Direction, Record};
use overlay_decoder::names::Names;
use overlay_decoder::render::{self, Style};
use overlay_decoder::text::Text;
use overlay_decoder::{Layer, Meta, Packet, Walker};
use std::borrow::Cow;
use std::sync::Arc;

/// What is printed of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    /// One line.
    Line,
    /// A line per layer.
    Layers,
    /// Every field.
    Tree,
    /// A JSON object.
    Json,
}

/// What is printed of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bytes {
    /// Whether the outer link header is part of it.
    pub(crate) link_header: bool,
    /// Whether ASCII stands beside the hex.
    pub(crate) ascii: bool,
}

/// Everything that decides what a packet looks like.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) view: View,
    pub(crate) bytes: Option<Bytes>,
    pub(crate) names: Option<Arc<Names>>,
    pub(crate) color: bool,
    pub(crate) link_level: bool,
    pub(crate) verify: bool,
    pub(crate) number: bool,
    /// Whether the line names the interface.
    pub(crate) interfaces: bool,
}

impl Look {
    /// What the renderings are asked for.
    #[inline]
    fn style(&self) -> Style<'_> {
        Style { names: self.names.as_deref(), color: self.color, link_level: self.link_level, verify: self.verify }
    }
}

/// Filters and decodes records; each thread has its own. Two parts, because a decoded packet borrows the one and is shown to the other.
pub(crate) struct Sieve {
    pub(crate) walker: Walker,
    pub(crate) mesh: Mesh,
}

impl Sieve {
    pub(crate) const fn new(walker: Walker, matcher: Option<Matcher>, needs_decode: bool) -> Self {
        Self { walker, mesh: Mesh { matcher, needs_decode } }
    }
}

/// Decodes a record.
#[inline(always)]
pub(crate) fn decode<'a>(walker: &'a mut Walker, record: &Record<'a>) -> Packet<'a> {
    let mut packet = walker.walk(record.bytes, record.len, record.link);
    packet.device_vni = record.interface.and_then(|interface| interface.vni);
    packet
}

/// The filter, if there is one.
pub(crate) struct Mesh {
    matcher: Option<Matcher>,
    /// Whether the filter needs the decoded packet; else it is asked first, and what it refuses is not decoded.
    needs_decode: bool,
}

impl Mesh {
    /// Whether a record is worth decoding: asks the filter what it can tell from the bytes alone.
    ///
    /// # Errors
    ///
    /// When the filter asks what packets of this link type cannot answer.
    #[inline(always)]
    pub(crate) fn passes_bytes(&mut self, record: &Record<'_>) -> Result<bool, FilterError> {
        match &mut self.matcher {
            Some(matcher) if !self.needs_decode => matcher.prefilter_matches(record.bytes, record.len, record.link),
            _ => Ok(true),
        }
    }

    /// Whether the filter has been asked all before a record is decoded.
    pub(crate) const fn needs_no_decode(&self) -> bool {
        self.matcher.is_none() || !self.needs_decode
    }

    /// Whether the filter lets a decoded packet through.
    ///
    /// # Errors
    ///
    /// As [`Mesh::passes_bytes`].
    #[inline(always)]
    pub(crate) fn passes(&mut self, packet: &Packet<'_>) -> Result<bool, FilterError> {
        match &mut self.matcher {
            Some(matcher) if self.needs_decode => matcher.matches(packet),
            _ => Ok(true),
        }
    }
}

/// Renders packets.
#[derive(Clone)]
pub(crate) struct Show {
    look: Look,
    clock: Clock,
}

/// What stands between two packets of which each layer has a line, as in snoop.
const RULE: &str = "________________________________\n";

impl Show {
    pub(crate) const fn new(look: Look, clock: Clock) -> Self {
        Self { look, clock }
    }

    /// Writes a packet with its line ends; `again` says that it was seen on another interface before.
    #[inline]
    pub(crate) fn packet(&mut self, record: &Record<'_>, packet: &Packet<'_>, again: bool, out: &mut Text) {
        match self.look.view {
            View::Line => self.line(record, packet, again, out),
            View::Json => self.json(record, packet, again, out),
            View::Layers => self.layers(record, packet, out),
            View::Tree => {
                heading(record, again, &mut self.clock, out);
                render::tree(packet, &self.look.style(), out);
            }
        }
        if let Some(bytes) = self.look.bytes {
            render::hex(self::bytes(packet, bytes.link_header), bytes.ascii, out);
        }
        if self.look.view == View::Tree {
            out.byte(b'\n');
        }
    }

    /// Whether all that is printed is JSON without a look into payloads: such records need no walk if they are as usual.
    pub(crate) fn is_plain_json(&self) -> bool {
        self.look.view == View::Json && self.look.bytes.is_none() && !self.look.verify
    }

    /// Writes what [`Show::packet`] writes of a record that is as usual, without decoding it layer by layer; else writes nothing, and says
    /// `false`. Only for what [is plain JSON](Show::is_plain_json).
    #[inline(always)]
    pub(crate) fn unwalked(walker: &Walker, record: &Record<'_>, out: &mut Text) -> bool {
        if record.may_have_comments() || record.interface.is_some_and(|interface| interface.vni.is_some()) {
            return false;
        }
        let written = render::json_unwalked(walker.config(), record.bytes, record.len, record.link, &meta(record, false), out);
        if written {
            out.byte(b'\n');
        }
        written
    }

    fn line(&mut self, record: &Record<'_>, packet: &Packet<'_>, again: bool, out: &mut Text) {
        if self.look.number {
            number(record.number, out);
        }
        self.clock.write(record.timestamp, out);
        if let (true, Some(name)) = (self.look.interfaces, record.interface.and_then(|interface| interface.name.as_deref())) {
            out.printable(name.as_bytes());
            out.byte(b' ');
        }
        render::line(packet, &self.look.style(), out);
        if again {
            out.text(" [seen before]");
        }
        out.byte(b'\n');
    }

    fn json(&self, record: &Record<'_>, packet: &Packet<'_>, again: bool, out: &mut Text) {
        let meta = meta(record, again);
        let style = self.look.style();
        // Comments are rare, and so is the allocation.
        if record.may_have_comments() {
            let comments: Vec<Cow<'_, str>> = record.comments().collect();
            render::json(packet, &Meta { comments: &comments, ..meta }, &style, out);
        } else {
            render::json(packet, &meta, &style, out);
        }
        out.byte(b'\n');
    }

    fn layers(&mut self, record: &Record<'_>, packet: &Packet<'_>, out: &mut Text) {
        let mut prefix = Text::new();
        number(record.number, &mut prefix);
        self.clock.write(record.timestamp, &mut prefix);
        out.text(RULE);
        render::layers(packet, prefix.as_bytes(), &self.look.style(), out);
    }
}

/// What JSON says of a record beside its packet; comments are left out.
#[inline(always)]
fn meta<'r>(record: &Record<'r>, again: bool) -> Meta<'r> {
    Meta {
        number: record.number,
        timestamp: record.timestamp,
        interface: record.interface.and_then(|interface| interface.name.as_deref()),
        direction: record.direction().map(word),
        comments: &[],
        again,
    }
}

fn heading(record: &Record<'_>, again: bool, clock: &mut Clock, out: &mut Text) {
    out.text("packet ");
    out.num(record.number);
    out.text(", ");
    clock.write_date(record.timestamp, out);
    out.text("  ");
    out.num(record.bytes.len() as u64);
    out.text(" of ");
    out.num(record.len.into());
    out.text(" bytes, ");
    out.display(&record.link);
    if let Some(name) = record.interface.and_then(|interface| interface.name.as_deref()) {
        out.text(", on ");
        out.printable(name.as_bytes());
    }
    if let Some(direction) = record.direction() {
        out.text(", ");
        out.text(word(direction));
    }
    if let Some(dropped) = record.dropped().filter(|dropped| *dropped > 0) {
        out.text(", ");
        out.num(dropped);
        out.text(" lost before it");
    }
    if again {
        out.text(", seen before");
    }
    out.byte(b'\n');
    for comment in record.comments() {
        out.text("comment: ");
        out.printable(comment.as_bytes());
        out.byte(b'\n');
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    }
}

fn number(number: u64, out: &mut Text) {
    out.num(number);
    out.text("  ");
}

/// The bytes to dump: all, or what follows the outer link header, as tcpdump has it.
fn bytes<'a>(packet: &Packet<'a>, link_header: bool) -> &'a [u8] {
    let skip = if link_header { 0 } else { packet.layers.first().map_or(0, link_header_length) };
    packet.bytes.get(skip..).unwrap_or(&[])
}

fn link_header_length(first: &Layer) -> usize {
    use overlay_decoder::LayerKind::{Ethernet, Null, Sll, Sll2};
    if matches!(first.kind(), Ethernet | Sll | Sll2 | Null) { first.end() } else { 0 }
}
