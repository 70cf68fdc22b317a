//! Which packets does the user want? pcap-filter(7) for the outer packet, and words of ours for what is inside.
//!
//! ```text
//!                       Filter::parse
//! "vni 77 and inner(tcp)" ──► Expression ──► libpcap checks each pcap-filter part
//!                                 │
//!             ┌───────────────────┴────────────────────┐
//!   kernel half: Filter::prefilter           exact half: Matcher::matches
//!   pcap-filter text that lets through       asked of the decoded packet
//!   at least the packets that match
//! ```
//!
//! An expression without our words is pcap-filter's alone, for the packet as captured. Our words combine with `and`, `or`, `not`, `&&`,
//! `||`, `!` and parentheses:
//!
//! | word | matches a packet |
//! |---|---|
//! | `vni 77`, `vni 100-200` | that names this VNI (or VSID of NVGRE), or one of the range, in any of its tunnels |
//! | `tunnel KIND` | that has such a tunnel, at any depth: vxlan, vxlan-gpe, geneve, nvgre, gre, erspan, ipip |
//! | `outer(EXPR)` | whose outer packet matches: the whole packet as captured, on the capture's link type |
//! | `inner(EXPR)` | in which a packet behind at least one tunnel matches, at any depth |
//! | `layer N (EXPR)` | whose N-th packet matches: 1 is the outer one, 2 the one behind the first tunnel |
//! | `stopped`, `stopped REASON` | whose decoding ended early, or has a wrong length: truncated, malformed, unsupported, depth |
//!
//! `EXPR` is pcap-filter(7), asked of a packet behind a tunnel as of a capture of its own that starts with its Ethernet header or, where
//! it has none, its IP header. GRE in front of ERSPAN is half of one tunnel: `tunnel gre` does not match it.
//!
//! ```
//! use overlay_captures::filter::Filter;
//! use overlay_decoder::{Config, LinkType, Walker};
//!
//! let filter = Filter::parse("vni 100-200 and not inner(tcp port 22)")?;
//! let (mut matcher, mut walker) = (filter.matcher(&Config::default()), Walker::default());
//! let bytes = [0; 60];
//! assert!(!matcher.matches(&walker.walk(&bytes, 60, LinkType::ETHERNET))?);
//!
//! let error = Filter::parse("vni 77 and port 80").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "filter, column 12: port 80: beside 'vni 77' it could mean outer(port 80) or inner(port 80); write one of them"
//! );
//! # Ok::<(), overlay_captures::filter::FilterError>(())
//! ```

mod error;
mod expression;
mod lexer;
mod matcher;
mod parser;
mod prefilter;
mod program;

use std::fmt;
use std::sync::Arc;

use overlay_decoder::{Config, LinkType};

pub use error::FilterError;
pub use expression::Expression;
pub use lexer::{MAX_BYTES, MAX_DEPTH};
pub use matcher::Matcher;
pub use parser::{MAX_OPERATORS, MAX_PCAP_BYTES};

use error::quoted;
use expression::{Node, Place};
use program::{Program, Refusal, called};

/// Words of pcap-filter(7) for which way a packet goes.
const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];

/// A filter whose every part is known to be right. Cheap to clone, shared between threads; each makes its own [`Matcher`].
///
/// Displays in the suite's one spelling, see [`Expression`].
#[derive(Clone, Debug)]
pub struct Filter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    expression: Expression,
    /// The programs of each pcap-filter part that is for packets behind a tunnel, by its number.
    inner: Vec<Option<InnerPrograms>>,
}

/// The programs for packets behind a tunnel; `None` where no packet that starts so can match.
#[derive(Debug)]
struct InnerPrograms {
    ethernet: Option<Program>,
    raw: Option<Program>,
}

impl Filter {
    /// Reads and checks an expression; the empty one matches every packet. Host and port names are looked up as by tcpdump, which
    /// may take as long as a name server does.
    ///
    /// # Errors
    ///
    /// Those of [`Expression::parse`], and libpcap's about the parts that are pcap-filter's.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut shared = Shared { expression: Expression::parse(text)?, inner: Vec::new() };
        for index in 0..shared.expression.pcaps.len() {
            let programs = if shared.expression.pcaps[index].place.is_outer() {
                shared.check_outer(index)?;
                None
            } else {
                Some(shared.compile_inner(index)?)
            };
            shared.inner.push(programs);
        }
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The parsed expression.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.shared.expression
    }

    /// The exact half, for one thread. `config` is the one that the packets are decoded with: what can be dropped before decoding
    /// depends on it.
    #[must_use]
    pub fn matcher(&self, config: &Config) -> Matcher {
        Matcher::new(Arc::clone(&self.shared), config)
    }

    /// Whether the answer needs the decoded packet. Else [`Matcher::prefilter_matches`] is exact; and if the expression has no word of
    /// ours, so is a program of the text of [`prefilter`](Self::prefilter), where there is one.
    #[must_use]
    pub fn needs_decode(&self) -> bool {
        fn needs(expression: &Expression, node: &Node) -> bool {
            match node {
                Node::All => false,
                Node::Vni { .. } | Node::Tunnel(_) | Node::Stopped(_) => true,
                Node::Pcap(index) => !expression.pcaps[*index].place.is_outer(),
                Node::Not(node) => needs(expression, node),
                Node::And(parts) | Node::Or(parts) => parts.iter().any(|part| needs(expression, part)),
            }
        }
        needs(&self.shared.expression, &self.shared.expression.root)
    }

    /// The kernel half: pcap-filter text for packets of `link` that lets through every packet that can match when it is decoded with
    /// `config`. `None` lets everything through; [`explain`](Self::explain) says why.
    ///
    /// It holds for whole packets, as the kernel sees them. For packets of a file, which may be cut, ask
    /// [`Matcher::prefilter_matches`].
    #[must_use]
    pub fn prefilter(&self, config: &Config, link: LinkType) -> Option<String> {
        prefilter::prefilter(&self.shared, config, link).text
    }

    /// Whether only the kernel can answer on a live capture: the expression is pcap-filter's alone and asks which way a packet goes,
    /// which is not in the packet.
    #[must_use]
    pub fn is_for_the_kernel_alone(&self) -> bool {
        let Shared { expression, .. } = &*self.shared;
        let asks_direction = |text: &str| text.split(|char: char| !char.is_alphanumeric()).any(|word| DIRECTIONS.contains(&word));
        expression.bare && expression.pcaps.iter().any(|pcap| asks_direction(&pcap.text))
    }

    /// The kernel half on a live capture. The network card may have taken the VLAN tag off a frame before the kernel's filter looks, while
    /// the decoder sees it put back: on Ethernet every tagged frame passes as well, unless the filter
    /// [`is_for_the_kernel_alone`](Self::is_for_the_kernel_alone).
    #[must_use]
    pub fn live_prefilter(&self, config: &Config, link: LinkType) -> Option<String> {
        let text = self.prefilter(config, link)?;
        Some(if self.passes_tagged(link) { format!("({text}) or vlan") } else { text })
    }

    fn passes_tagged(&self, link: LinkType) -> bool {
        link == LinkType::ETHERNET && !self.is_for_the_kernel_alone()
    }

    /// Both halves of a live capture in words: what the kernel drops, and what is decided, or decided again, after that.
    #[must_use]
    pub fn explain_live(&self, config: &Config, link: LinkType) -> String {
        let half = prefilter::prefilter(&self.shared, config, link);
        let on = called(link);
        let alone = half.text.is_some() && self.is_for_the_kernel_alone();
        let mut notes = Vec::new();
        let kernel = match self.live_prefilter(config, link) {
            Some(text) => {
                if half.instructions == 0 && !alone {
                    notes.push(format!("libpcap refuses it on {on}"));
                } else {
                    notes.push(format!("on {on}"));
                }
                if self.passes_tagged(link) {
                    notes.push("a frame with a VLAN tag always passes, because the network card may have taken the tag off".into());
                }
                if self.needs_decode() {
                    notes.push("on a tunnel device everything passes".into());
                }
                text
            }
            None => {
                notes.push(half.why);
                "everything".into()
            }
        };
        let exact = match &self.shared.expression.root {
            Node::All => "everything".into(),
            _ if alone => "none\n    (only the kernel knows which way a packet goes)".into(),
            _ if self.needs_decode() => self.to_string(),
            _ => format!("{self}\n    (decided again, of the packet with its VLAN tag put back)"),
        };
        format!("kernel half: {kernel}\n    ({})\nexact half:  {exact}\n", notes.join("; "))
    }

    /// Both halves in words, for a file: what can be refused before decoding, in how many BPF instructions, and what decides in the end.
    /// A live capture asks more: [`explain_live`](Self::explain_live).
    #[must_use]
    pub fn explain(&self, config: &Config, link: LinkType) -> String {
        let half = prefilter::prefilter(&self.shared, config, link);
        let kernel = match &half.text {
            Some(text) if half.instructions == 0 => format!("{text}\n    (libpcap refuses it on {})", called(link)),
            Some(text) => format!("{text}\n    ({} BPF instructions on {})", half.instructions, called(link)),
            None => format!("everything\n    ({})", half.why),
        };
        let exact = match &self.shared.expression.root {
            Node::All => "everything".into(),
            _ if self.shared.expression.bare && half.text.is_some() => "none; the kernel half is exact".into(),
            _ => self.to_string(),
        };
        format!("kernel half: {kernel}\nexact half:  {exact}\n")
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.expression.fmt(f)
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl Shared {
    /// Refuses an expression for the outer packet that holds on no link type. Which one it will be is not known yet.
    fn check_outer(&self, index: usize) -> Result<(), FilterError> {
        let text = &self.expression.pcaps[index].text;
        let Err(first) = Program::compile(text, LinkType::ETHERNET) else { return Ok(()) };
        if !matches!(first, Refusal::Wrong(_)) && LinkType::KNOWN.iter().any(|link| Program::compile(text, *link).is_ok()) {
            return Ok(());
        }
        Err(self.refused(index, None, &first))
    }

    fn compile_inner(&self, index: usize) -> Result<InnerPrograms, FilterError> {
        let text = &self.expression.pcaps[index].text;
        let ethernet = Program::compile(text, LinkType::ETHERNET);
        if let Err(refusal @ Refusal::Wrong(_)) = &ethernet {
            return Err(self.refused(index, None, refusal));
        }
        match (ethernet, Program::compile(text, LinkType::RAW)) {
            (Err(refusal), Err(_)) => Err(self.refused(index, None, &refusal)),
            (ethernet, raw) => Ok(InnerPrograms { ethernet: ethernet.ok(), raw: raw.ok() }),
        }
    }

    /// libpcap's refusal as a sentence of ours.
    fn refused(&self, index: usize, link: Option<LinkType>, refusal: &Refusal) -> FilterError {
        let pcap = &self.expression.pcaps[index];
        let text = quoted(&pcap.text);
        let part = match pcap.place {
            Place::Outer if self.expression.bare => text,
            Place::Outer => format!("outer({text})"),
            Place::Inner => format!("inner({text})"),
            Place::Layer(number) => format!("layer {number} ({text})"),
        };
        let on = link.map(|link| format!("on {}: ", called(link))).unwrap_or_default();
        FilterError::new(&self.expression.text, pcap.at, format!("{part}: {on}{}", refusal.sentence()))
    }
}
