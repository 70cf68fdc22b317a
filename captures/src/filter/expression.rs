//! What does an expression ask? The tree that the parser builds, and its one spelling.

use std::fmt;

use overlay_decoder::{LayerKind, StopKind, Vni};

use super::error::FilterError;
use super::parser;

/// The tunnels that `tunnel` knows.
pub(super) const TUNNELS: [LayerKind; 7] =
    [LayerKind::Vxlan, LayerKind::VxlanGpe, LayerKind::Geneve, LayerKind::Nvgre, LayerKind::Gre, LayerKind::Erspan, LayerKind::Ipip];

/// The reasons that `stopped` knows.
pub(super) const STOPS: [StopKind; 4] = [StopKind::Truncated, StopKind::Malformed, StopKind::Unsupported, StopKind::Depth];

/// An expression whose grammar holds; libpcap has not seen its part yet. [`Filter::parse`](super::Filter::parse) asks it.
///
/// Displays in the suite's one spelling: what is printed reads back as the same expression. `and` and `or` bind equally strong and
/// group from the left, as in pcap-filter(7); the spelling shows the grouping by parentheses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expression {
    pub(super) text: String,
    pub(super) root: Node,
    /// Whether this is one pcap-filter expression for the outer packet, without a word of ours.
    pub(super) bare: bool,
    pub(super) pcaps: Vec<Pcap>,
}

/// A pcap-filter expression, which stands in the text as it is or within `inner(...)` and its like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pcap {
    pub(super) text: String,
    pub(super) place: Place,
    /// Where it, or the word that introduces it, starts in the text, in bytes.
    pub(super) at: usize,
}

/// Which packets of a packet a pcap-filter expression is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Outer,
    Inner,
    /// Counts from 1, the outer packet.
    Layer(u16),
}

impl Place {
    /// Whether this is the packet as it was captured.
    pub(super) const fn is_outer(self) -> bool {
        matches!(self, Self::Outer | Self::Layer(1))
    }
}

/// One question, or several that are joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Node {
    /// The empty expression.
    All,
    Vni {
        first: Vni,
        last: Vni,
    },
    Tunnel(LayerKind),
    /// Index in [`Expression::pcaps`].
    Pcap(usize),
    Stopped(Option<StopKind>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

impl Expression {
    /// Reads an expression; the empty one matches every packet.
    ///
    /// # Errors
    ///
    /// When the grammar does not hold, a word of ours has a wrong argument, or a primitive of pcap-filter stands beside our words so
    /// that it could mean the outer or the inner packet.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text)
    }

    /// Whether a word of ours is in it. An expression without is wholly pcap-filter's, for the outer packet.
    #[must_use]
    pub const fn has_own_words(&self) -> bool {
        !self.bare && !matches!(self.root, Node::All)
    }

    /// The spelling of one part.
    pub(super) fn show<'e>(&'e self, node: &'e Node) -> impl fmt::Display + 'e {
        Shown { expression: self, node, nested: false }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(&self.root).fmt(f)
    }
}

struct Shown<'e> {
    expression: &'e Expression,
    node: &'e Node,
    /// Whether it is a part of something, so that joined questions need parentheses.
    nested: bool,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nested = |node| Shown { expression: self.expression, node, nested: true };
        let (parts, operator) = match self.node {
            Node::All => return Ok(()),
            Node::Vni { first, last } if first == last => return write!(f, "vni {first}"),
            Node::Vni { first, last } => return write!(f, "vni {first}-{last}"),
            Node::Tunnel(kind) => return write!(f, "tunnel {}", kind.name()),
            Node::Stopped(None) => return f.write_str("stopped"),
            Node::Stopped(Some(kind)) => return write!(f, "stopped {}", kind.name()),
            Node::Pcap(index) => {
                let Pcap { text, place, .. } = &self.expression.pcaps[*index];
                return match place {
                    Place::Outer if self.expression.bare => f.write_str(text),
                    Place::Outer => write!(f, "outer({text})"),
                    Place::Inner => write!(f, "inner({text})"),
                    Place::Layer(number) => write!(f, "layer {number} ({text})"),
                };
            }
            Node::Not(node) => return write!(f, "not {}", nested(node)),
            Node::And(parts) => (parts, " and "),
            Node::Or(parts) => (parts, " or "),
        };
        if self.nested {
            f.write_str("(")?;
        }
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(operator)?;
            }
            nested(part).fmt(f)?;
        }
        if self.nested { f.write_str(")") } else { Ok(()) }
    }
}
