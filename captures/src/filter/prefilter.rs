//! Which packets can be dropped before they are decoded? A pcap-filter expression that lets through at least what the filter matches.
//!
//! What is asked of the outer packet is pcap-filter already. What is asked of a tunnel becomes "could carry one" ([`carrier`]), which
//! follows every way that the walk has into a tunnel. Negations move inwards first, down to single questions: "not a tunnel" becomes
//! everything, because a packet that could carry a tunnel may carry none.
//!
//! Two properties of libpcap make joining expressions more than text:
//!
//! - A program that reads beyond the packet rejects it, whatever else it would have asked. So `A or B` starts with `len < N or`, where
//!   `N` is what `A` reads at most; and so does `not A`.
//! - `vlan`, `mpls`, `pppoes`, `geneve` and `vxlan` move the offsets of all that stands behind them in the text, parentheses or not.
//!   An expression with one of them goes last, and there is one at most.

use overlay_decoder::layer::number::{ip, port};
use overlay_decoder::{Config, LinkType};

use super::Shared;
use super::expression::Node;
use super::program::{Program, Refusal, called};

/// Words of pcap-filter(7) that change what stands behind them, those of newer versions of libpcap included.
const MOVING: [&str; 5] = ["vlan", "mpls", "pppoes", "geneve", "vxlan"];

/// Why the kernel is not asked for `protochain`.
const LOOPS: &str = "'protochain' follows headers in a loop, which the kernel does not run";

/// Words of pcap-filter(7) that ask for the length of the packet.
const LENGTHS: [&str; 4] = ["len", "length", "less", "greater"];

/// What is known of a part of the filter before decoding.
enum Part {
    /// Packets for which this pcap-filter text does not hold cannot match.
    Text(Text),
    /// Any packet may match; why.
    Everything(String),
    /// No packet of the link type can match.
    Nothing,
}

struct Text {
    text: String,
    /// What it reads at most, from the start of the packet; `None` when that depends on the packet.
    bytes_needed: Option<usize>,
    /// Whether it moves the offsets of what stands behind it.
    moving: bool,
}

/// The kernel's half of a filter on one link type.
pub(super) struct Prefilter {
    /// The expression; `None` lets everything through.
    pub(super) text: Option<String>,
    /// Instructions of its program.
    pub(super) instructions: usize,
    /// Why everything is let through.
    pub(super) why: String,
}

/// Builds the kernel's half.
pub(super) fn prefilter(shared: &Shared, config: &Config, link: LinkType) -> Prefilter {
    let everything = |why: String| Prefilter { text: None, instructions: 0, why };
    let (text, bare) = match &shared.expression.root {
        Node::All => return everything("an empty expression matches every packet".into()),
        // Exactly what tcpdump would hand to the kernel, with libpcap's own errors, if any, left to the capture.
        Node::Pcap(index) if shared.expression.bare => (shared.expression.pcaps[*index].text.clone(), true),
        root => match (Builder { shared, config, link }).part(root, false) {
            Part::Text(text) => (text.text, false),
            Part::Everything(why) => return everything(why),
            Part::Nothing => return everything(format!("no packet of {} can match", called(link))),
        },
    };
    match Program::compile(&text, link) {
        Ok(program) if program.loops() => everything(LOOPS.into()),
        Ok(program) => Prefilter { text: Some(text), instructions: program.len(), why: String::new() },
        Err(_) if bare => Prefilter { text: Some(text), instructions: 0, why: String::new() },
        Err(refusal) => everything(format!("libpcap refuses the joined expression on {}: {}", called(link), refusal.sentence())),
    }
}

/// The packets of a link type that may hold a tunnel, as the walk enters them. `None` when any may, or when the walk does not
/// know the link type.
///
/// On a live capture the kernel may have taken the outermost VLAN tag out of the frame before its filter runs; `ip` is then true of
/// the frame inside, which the same alternatives judge.
pub(super) fn carrier(config: &Config, link: LinkType) -> Option<String> {
    if !LinkType::KNOWN.contains(&link) {
        return None;
    }
    // Behind the first fragment's IPv4 header: tunnels over IP, MPLS (which may carry IP), and AH, behind which all of them may stand.
    let over_ipv4 = [ip::IPV4, ip::IPV6, ip::GRE, ip::AH, ip::MPLS];
    // The same, and each extension header: what is behind it is not looked for here.
    let extensions = [ip::HOP_BY_HOP, ip::ROUTING, ip::FRAGMENT, ip::DESTINATION, ip::MOBILITY, ip::HIP, ip::SHIM6];
    let mut text = String::new();
    let mut add = |alternative: String| {
        if !text.is_empty() {
            text.push_str(" or ");
        }
        text.push_str(&alternative);
    };
    if link != LinkType::IPV4 && link != LinkType::IPV6 {
        // Tags, MPLS, NSH, 802.3, and Ethernet in Ethernet; ARP carries nothing.
        let never = if matches!(link, LinkType::ETHERNET | LinkType::LINUX_SLL | LinkType::LINUX_SLL2) { " and not arp" } else { "" };
        add(format!("(not ip and not ip6{never})"));
    }
    let udp: &[u8] = if config.guess { &[ip::UDP] } else { &[] };
    if link != LinkType::IPV6 {
        over_ipv4.iter().chain(udp).for_each(|number| add(format!("ip[9] = {number}")));
    }
    if link != LinkType::IPV4 {
        over_ipv4.iter().chain(&extensions).chain(udp).for_each(|number| add(format!("ip6[6] = {number}")));
    }
    if !config.guess {
        let mut ports: Vec<u16> = config.ports().iter().map(|known| known.0).chain([port::MPLS]).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.iter().for_each(|number| add(format!("udp dst port {number}")));
    }
    Some(text)
}

struct Builder<'f> {
    shared: &'f Shared,
    config: &'f Config,
    link: LinkType,
}

impl Builder<'_> {
    fn part(&self, node: &Node, negated: bool) -> Part {
        match node {
            Node::All if negated => Part::Nothing,
            Node::All => Part::Everything("an empty expression matches every packet".into()),
            Node::Stopped(_) => Part::Everything(format!("'{}' is known only after decoding", self.shown(node))),
            Node::Pcap(index) if self.shared.expression.pcaps[*index].place.is_outer() => self.outer(*index, node, negated),
            Node::Vni { .. } | Node::Tunnel(_) | Node::Pcap(_) if negated => {
                Part::Everything(format!("'not {}' is also true of packets without a tunnel", self.shown(node)))
            }
            Node::Vni { .. } | Node::Tunnel(_) | Node::Pcap(_) => {
                let text = carrier(self.config, self.link);
                match text.map(|text| (Program::compile(&text, self.link), text)) {
                    Some((Ok(program), text)) => Part::Text(Text { text, bytes_needed: program.bytes_needed(), moving: false }),
                    _ => Part::Everything(format!("on {} any packet might carry a tunnel", called(self.link))),
                }
            }
            Node::Not(node) => self.part(node, !negated),
            Node::And(parts) if negated => self.any(parts, true),
            Node::Or(parts) if negated => self.all(parts, true),
            Node::And(parts) => self.all(parts, false),
            Node::Or(parts) => self.any(parts, false),
        }
    }

    fn shown(&self, node: &Node) -> String {
        self.shared.expression.show(node).to_string()
    }

    /// An expression for the outer packet, which is pcap-filter already.
    fn outer(&self, index: usize, node: &Node, negated: bool) -> Part {
        let text = &self.shared.expression.pcaps[index].text;
        let bytes_needed = match Program::compile(text, self.link) {
            Ok(program) if program.loops() => return Part::Everything(LOOPS.into()),
            Ok(program) => program.bytes_needed(),
            Err(Refusal::RejectsAll) if negated => {
                return Part::Everything(format!("'not {}' is true of every packet of {}", self.shown(node), called(self.link)));
            }
            Err(Refusal::RejectsAll) => return Part::Nothing,
            Err(refusal) => return Part::Everything(format!("'{}' on {}: {}", self.shown(node), called(self.link), refusal.sentence())),
        };
        let has_word_of = |words: &[&str]| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.contains(&word));
        if matches!(self.link, LinkType::LINUX_SLL | LinkType::LINUX_SLL2) && has_word_of(&LENGTHS) {
            let (shown, link) = (self.shown(node), called(self.link));
            return Part::Everything(format!("'{shown}' counts the header of {link}, which the kernel does not"));
        }
        let moving = has_word_of(&MOVING);
        match bytes_needed {
            _ if !negated => Part::Text(Text { text: text.clone(), bytes_needed, moving }),
            Some(0) => Part::Text(Text { text: format!("not ({text})"), bytes_needed, moving }),
            Some(needed) => Part::Text(Text { text: format!("len < {needed} or not ({text})"), bytes_needed, moving }),
            None => Part::Everything(format!("'{}' reads at places that depend on the packet, and 'not' is before it", self.shown(node))),
        }
    }

    /// All of the parts must hold: the ones that can be asked before decoding are.
    fn all(&self, parts: &[Node], negated: bool) -> Part {
        let mut texts: Vec<Text> = Vec::new();
        let mut moving = None;
        let mut why = None;
        for part in parts {
            match self.part(part, negated) {
                Part::Nothing => return Part::Nothing,
                Part::Everything(reason) => why = why.or(Some(reason)),
                // A second one would be moved by the first; without it more packets pass, which is allowed.
                Part::Text(text) if text.moving => moving = moving.or(Some(text)),
                Part::Text(text) if texts.iter().any(|known| known.text == text.text) => {}
                Part::Text(text) => texts.push(text),
            }
        }
        texts.extend(moving);
        match texts.len() {
            0 => Part::Everything(why.unwrap_or_default()),
            _ => Part::Text(joined(texts, " and ", None)),
        }
    }

    /// One of the parts must hold: all of them must be askable before decoding.
    fn any(&self, parts: &[Node], negated: bool) -> Part {
        let mut texts: Vec<Text> = Vec::new();
        for part in parts {
            match self.part(part, negated) {
                Part::Nothing => {}
                Part::Everything(reason) => return Part::Everything(reason),
                Part::Text(text) if texts.iter().any(|known| known.text == text.text) => {}
                Part::Text(text) => texts.push(text),
            }
        }
        // Last what moves the others, else what reads farthest: nothing behind it can be lost.
        texts.sort_by_key(|text| (text.moving, text.bytes_needed.unwrap_or(usize::MAX)));
        let Some((_, before)) = texts.split_last() else { return Part::Nothing };
        if before.iter().any(|text| text.moving) {
            return Part::Everything(
                "two parts joined by 'or' use vlan, mpls, pppoes, geneve or vxlan, which change what stands behind".into(),
            );
        }
        let needed = before.iter().try_fold(0, |most, text| text.bytes_needed.map(|needed| needed.max(most)));
        match needed {
            Some(_) if before.is_empty() => Part::Text(joined(texts, " or ", None)),
            Some(needed) => Part::Text(joined(texts, " or ", Some(needed))),
            None => Part::Everything("two parts joined by 'or' read at places that depend on the packet".into()),
        }
    }
}

/// Joins texts; packets with fewer than `guard` bytes pass before any text is asked.
fn joined(mut texts: Vec<Text>, operator: &str, guard: Option<usize>) -> Text {
    let bytes_needed = texts.iter().try_fold(0, |most, text| text.bytes_needed.map(|needed| needed.max(most)));
    let moving = texts.iter().any(|text| text.moving);
    if texts.len() == 1 {
        return texts.remove(0);
    }
    let guard = guard.filter(|bytes| *bytes > 0).map(|bytes| format!("len < {bytes}"));
    let parts: Vec<_> = guard.into_iter().chain(texts.into_iter().map(|text| format!("({})", text.text))).collect();
    Text { text: parts.join(operator), bytes_needed, moving }
}
