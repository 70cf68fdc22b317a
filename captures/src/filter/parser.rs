//! How are our words told from pcap-filter's? By where they stand.
//!
//! ```text
//! expression = operand { ("and" | "&&" | "or" | "||") operand }        equally strong, from the left, as in pcap-filter(7)
//! operand    = { "not" | "!" } ( "(" expression ")" | own )
//! own        = "vni" NUMBER[-NUMBER] | "tunnel" KIND | "stopped" [REASON]
//!            | "outer" "(" PCAP ")" | "inner" "(" PCAP ")" | "layer" NUMBER "(" PCAP ")"
//! ```
//!
//! A word is ours only where a primitive may start: at the beginning, behind an operator, behind a parenthesis that stands in such a
//! place itself. So `host inner` and `host (vni or tunnel)` are libpcap's, and `\inner` always is. When no word of ours is found, the
//! whole text goes to libpcap as it is.

use overlay_decoder::{StopKind, Vni};

use super::error::{FilterError, quoted};
use super::expression::{Expression, Node, Pcap, Place, STOPS, TUNNELS};
use super::lexer::{Lexeme, MAX_DEPTH, Token, lex};

/// Operators that one pcap-filter expression may have. libpcap's time grows with more than the square of their number (a minute
/// at 512 ports) and its stack with their number; the same question asked in several `outer(...)` takes a fraction of the time.
pub const MAX_OPERATORS: usize = 512;
/// The longest pcap-filter expression, in bytes.
pub const MAX_PCAP_BYTES: usize = 32 << 10;
/// The highest number for `layer`: the outer packet and one behind each tunnel that a walk can be told to enter.
const MAX_LAYER: u16 = u8::MAX as u16 + 1;

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let tokens = lex(text)?;
    let mut parser = Parser { text, tokens: &tokens, at: 0, pcaps: Vec::new(), beside: String::new() };
    let (root, bare) = match parser.own_word(0, tokens.len()) {
        None if tokens.is_empty() => (Node::All, false),
        None => (parser.pcap(Place::Outer, 0, 0, tokens.len())?, true),
        Some(first) => {
            parser.beside = parser.example(first);
            (parser.chain(tokens.len(), 0)?.node, false)
        }
    };
    let pcaps = parser.pcaps;
    Ok(Expression { text: text.into(), root, bare, pcaps })
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Lexeme],
    /// The next token.
    at: usize,
    pcaps: Vec<Pcap>,
    /// A word of ours in this expression, with its argument, for the sentence about bare primitives.
    beside: String,
}

/// A node and how many levels it has, so that nothing that descends into it can exhaust the stack.
struct Deep {
    node: Node,
    levels: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

impl Parser<'_> {
    /// The text of the tokens from `from` up to `to`.
    fn span(&self, from: usize, to: usize) -> &str {
        match (self.tokens.get(from), self.tokens.get(..to).and_then(<[Lexeme]>::last)) {
            (Some(first), Some(last)) if from < to => &self.text[first.start..last.end],
            _ => "",
        }
    }

    fn word(&self, index: usize) -> Option<&str> {
        let lexeme = self.tokens.get(index).filter(|lexeme| lexeme.token == Token::Word)?;
        Some(&self.text[lexeme.start..lexeme.end])
    }

    /// An error at a token; behind the last one when there is no such token.
    fn error(&self, index: usize, sentence: impl Into<String>) -> FilterError {
        let at = self.tokens.get(index).map_or(self.text.trim_end().len(), |lexeme| lexeme.start);
        FilterError::new(self.text, at, sentence)
    }

    /// The first word of ours where a primitive may start, among the tokens from `from` up to `to`.
    fn own_word(&self, from: usize, to: usize) -> Option<usize> {
        let mut starts = true;
        let mut index = from;
        while index < to {
            match self.tokens[index].token {
                Token::Open(_) if starts => {}
                Token::Open(close) => index = close,
                Token::And | Token::Or | Token::Not => starts = true,
                Token::Word if starts && self.is_own(index) => return Some(index),
                Token::Word | Token::Other | Token::Close => starts = false,
            }
            index += 1;
        }
        None
    }

    fn is_own(&self, index: usize) -> bool {
        matches!(self.word(index), Some("vni" | "tunnel" | "outer" | "inner" | "layer" | "stopped"))
    }

    /// A word of ours with as much of its argument as fits a sentence.
    fn example(&self, index: usize) -> String {
        let words = match self.word(index) {
            Some("outer" | "inner") => return quoted(self.span(index, index + 1)) + "(...)",
            Some("vni" | "tunnel" | "layer") => 2,
            _ => 1,
        };
        quoted(self.span(index, (index + words).min(self.tokens.len())))
    }

    /// Operands joined by operators, up to token `end`.
    fn chain(&mut self, end: usize, depth: usize) -> Result<Deep, FilterError> {
        let mut left = self.operand(end, depth)?;
        while self.at < end {
            let operator = match self.tokens[self.at].token {
                Token::And => Operator::And,
                Token::Or => Operator::Or,
                _ => {
                    let mut to = self.at + 1;
                    while to < end && !matches!(self.tokens[to].token, Token::And | Token::Or) {
                        to += 1;
                    }
                    let sentence = format!("{}: 'and' or 'or' must stand before it", quoted(self.span(self.at, to)));
                    return Err(self.error(self.at, sentence));
                }
            };
            self.at += 1;
            let operator_at = self.at - 1;
            let right = self.operand(end, depth)?;
            left = join(operator, left, right);
            if depth + left.levels > MAX_DEPTH {
                let sentence = format!("'and' and 'or' alternate, or parentheses nest, more than {MAX_DEPTH} levels deep");
                return Err(self.error(operator_at, sentence));
            }
        }
        Ok(left)
    }

    fn operand(&mut self, end: usize, depth: usize) -> Result<Deep, FilterError> {
        let first = self.at;
        let mut negated = false;
        while self.at < end && self.tokens[self.at].token == Token::Not {
            negated = !negated;
            self.at += 1;
        }
        if self.at == end {
            return Err(match self.tokens.get(first.wrapping_sub(1)).map(|lexeme| lexeme.token) {
                _ if first < end => self.error(end, "nothing follows 'not'"),
                Some(Token::And) => self.error(end, "nothing follows 'and'"),
                _ => self.error(end, "nothing follows 'or'"),
            });
        }
        let operand = match self.tokens[self.at].token {
            Token::And => return Err(self.error(self.at, "'and' joins two questions; there is none before it")),
            Token::Or => return Err(self.error(self.at, "'or' joins two questions; there is none before it")),
            Token::Open(close) if close == self.at + 1 => return Err(self.error(self.at, "there is nothing in the parentheses")),
            Token::Open(close) if self.own_word(self.at + 1, close).is_some() => {
                self.at += 1;
                let inside = self.chain(close, depth + 1)?;
                self.at = close + 1;
                inside
            }
            Token::Word if self.is_own(self.at) => Deep { node: self.own(end)?, levels: 0 },
            _ => return Err(self.bare(first, end)),
        };
        Ok(match negated {
            true => Deep { node: Node::Not(Box::new(operand.node)), levels: operand.levels + 1 },
            false => operand,
        })
    }

    /// The word at the cursor, which is ours, and its argument.
    fn own(&mut self, end: usize) -> Result<Node, FilterError> {
        let start = self.at;
        self.at += 1;
        match self.word(start).unwrap_or_default() {
            "vni" => self.vni(),
            "tunnel" => {
                let names = || TUNNELS.map(|kind| kind.name()).join(", ");
                let Some(name) = self.word(self.at) else {
                    return Err(self.error(self.at, format!("'tunnel' needs a kind: {}", names())));
                };
                let Some(kind) = TUNNELS.into_iter().find(|kind| kind.name() == name) else {
                    return Err(self.error(self.at, format!("tunnel {}: no such kind; {} are known", quoted(name), names())));
                };
                self.at += 1;
                Ok(Node::Tunnel(kind))
            }
            "stopped" => {
                let Some(name) = self.word(self.at).filter(|_| self.at < end) else { return Ok(Node::Stopped(None)) };
                let Some(kind) = STOPS.into_iter().find(|kind| kind.name() == name) else {
                    let names = STOPS.map(StopKind::name).join(", ");
                    return Err(self.error(self.at, format!("stopped {}: no such reason; {names} are known", quoted(name))));
                };
                self.at += 1;
                Ok(Node::Stopped(Some(kind)))
            }
            "layer" => {
                let Some(number) = self.word(self.at) else {
                    return Err(self.error(self.at, "'layer' needs a number and an expression, as in layer 2 (tcp port 80)"));
                };
                let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                match number.parse::<u16>() {
                    Ok(number @ 1..=MAX_LAYER) if digits => {
                        self.at += 1;
                        self.parenthesised(Place::Layer(number), start)
                    }
                    _ => {
                        let sentence = format!("layer {}: 1, the outer packet, to {MAX_LAYER} is allowed", quoted(number));
                        Err(self.error(self.at, sentence))
                    }
                }
            }
            "outer" => self.parenthesised(Place::Outer, start),
            _ => self.parenthesised(Place::Inner, start),
        }
    }

    fn vni(&mut self) -> Result<Node, FilterError> {
        let Some(argument) = self.word(self.at) else {
            return Err(self.error(self.at, "'vni' needs a number or a range, as in vni 77 or vni 100-200"));
        };
        let read = |text: &str| text.parse::<Vni>().map_err(|error| self.error(self.at, quoted(&error.to_string())));
        let (first, last) = match argument.split_once('-') {
            Some((first, last)) if !first.is_empty() && !last.is_empty() => (first, last),
            _ => (argument, argument),
        };
        let (first, last) = (read(first)?, read(last)?);
        if first > last {
            return Err(self.error(self.at, format!("vni {first}-{last}: the range is reversed; write vni {last}-{first}")));
        }
        self.at += 1;
        Ok(Node::Vni { first, last })
    }

    /// The pcap-filter expression in the parentheses at the cursor, for the word at `start`.
    fn parenthesised(&mut self, place: Place, start: usize) -> Result<Node, FilterError> {
        let word = quoted(self.span(start, self.at));
        let blank = if matches!(place, Place::Layer(_)) { " " } else { "" };
        let Some(&Lexeme { token: Token::Open(close), .. }) = self.tokens.get(self.at) else {
            let sentence = format!("'{word}' needs a pcap-filter expression in parentheses, as in {word}{blank}(tcp port 80)");
            return Err(self.error(self.at, sentence));
        };
        let from = self.at + 1;
        if from == close {
            return Err(self.error(self.at, format!("{word}{blank}(): a pcap-filter expression must stand in the parentheses")));
        }
        if let Some(own) = self.own_word(from, close) {
            let sentence =
                format!("{}: may not stand in {word}{blank}(...), which takes pcap-filter only; join it with 'and'", self.example(own));
            return Err(self.error(own, sentence));
        }
        self.at = close + 1;
        self.pcap(place, self.tokens[start].start, from, close)
    }

    /// Takes the tokens from `from` up to `to` as pcap-filter's.
    fn pcap(&mut self, place: Place, at: usize, from: usize, to: usize) -> Result<Node, FilterError> {
        let text = self.span(from, to).to_owned();
        let operators = self.tokens[from..to].iter().filter(|lexeme| matches!(lexeme.token, Token::And | Token::Or | Token::Not)).count();
        if operators > MAX_OPERATORS || text.len() > MAX_PCAP_BYTES {
            let sentence = format!(
                "pcap-filter in {} bytes with {operators} operators; at most {MAX_PCAP_BYTES} and {MAX_OPERATORS} are compiled at once: \
                 join several outer(...)",
                text.len()
            );
            return Err(self.error(from, sentence));
        }
        self.pcaps.push(Pcap { text, place, at });
        Ok(Node::Pcap(self.pcaps.len() - 1))
    }

    /// The sentence about primitives of pcap-filter that stand beside our words: they could be about the outer or the inner packet.
    fn bare(&self, first: usize, end: usize) -> FilterError {
        let mut to = self.at;
        while to < end {
            match self.tokens[to].token {
                Token::Open(close) => to = close + 1,
                Token::And | Token::Or if self.is_own_operand(to + 1, end) => break,
                _ => to += 1,
            }
        }
        // An operator without anything behind it is no part of what to write.
        while to > first + 1 && matches!(self.tokens[to - 1].token, Token::And | Token::Or) {
            to -= 1;
        }
        let run = quoted(self.span(first, to));
        if run.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return self.error(first, format!("{run}: a number needs its word, as in vni {run}"));
        }
        let sentence = format!("{run}: beside '{}' it could mean outer({run}) or inner({run}); write one of them", self.beside);
        self.error(first, sentence)
    }

    /// Whether the operand at `index` holds a word of ours.
    fn is_own_operand(&self, mut index: usize, end: usize) -> bool {
        while index < end && self.tokens[index].token == Token::Not {
            index += 1;
        }
        match self.tokens.get(index).map(|lexeme| lexeme.token) {
            Some(Token::Open(close)) => self.own_word(index + 1, close).is_some(),
            Some(Token::Word) => self.is_own(index),
            _ => false,
        }
    }
}

/// Joins from the left; a chain of one operator stays one level.
fn join(operator: Operator, left: Deep, right: Deep) -> Deep {
    let mut levels = 0;
    let mut parts = Vec::new();
    for side in [left, right] {
        match (operator, side.node) {
            (Operator::And, Node::And(mut inside)) | (Operator::Or, Node::Or(mut inside)) => {
                levels = levels.max(side.levels);
                if parts.is_empty() { parts = inside } else { parts.append(&mut inside) }
            }
            (_, other) => {
                levels = levels.max(side.levels + 1);
                parts.push(other);
            }
        }
    }
    Deep { node: if operator == Operator::And { Node::And(parts) } else { Node::Or(parts) }, levels }
}

#[cfg(test)]
mod tests;
