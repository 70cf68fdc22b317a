//! Where do the words of an expression start and end? As fine as our words need it: what lies between them is libpcap's.
//!
//! `and`, `or`, `not`, `&&`, `||`, `!` and parentheses are tokens as in pcap-filter(7), which knows neither quotes nor comments.
//! Anything else is a word or a single other character.

use super::error::{FilterError, quoted};

/// The longest expression, in bytes.
pub const MAX_BYTES: usize = 64 << 10;
/// How deep parentheses may nest.
pub const MAX_DEPTH: usize = 64;

/// What a piece of the expression is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// `(`, and the index of the token that closes it.
    Open(usize),
    Close,
    And,
    Or,
    Not,
    Word,
    /// An operator of pcap-filter's arithmetic, or a character that nothing knows.
    Other,
}

/// A token and its place in the expression, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Splits an expression and pairs its parentheses.
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, FilterError> {
    if text.len() > MAX_BYTES {
        let sentence = format!("the expression has {} bytes; at most {MAX_BYTES} are read", text.len());
        return Err(FilterError::new(text, MAX_BYTES, sentence));
    }
    let mut lexemes: Vec<Lexeme> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((start, character)) = characters.next() {
        let mut end = start + character.len_utf8();
        let token = match character {
            // isspace(3) of the C locale but for vertical tab and form feed: what libpcap's scanner skips.
            ' ' | '\t' | '\n' | '\r' => continue,
            c if c.is_control() => {
                let sentence = format!("U+{:04X}: a control character; an expression is printable text", u32::from(c));
                return Err(FilterError::new(text, start, sentence));
            }
            '(' => {
                if open.len() == MAX_DEPTH {
                    return Err(FilterError::new(text, start, format!("parentheses nest deeper than {MAX_DEPTH}")));
                }
                open.push(lexemes.len());
                Token::Open(usize::MAX)
            }
            ')' => {
                let Some(opening) = open.pop() else {
                    return Err(FilterError::new(text, start, "this ')' closes nothing"));
                };
                lexemes[opening].token = Token::Open(lexemes.len());
                Token::Close
            }
            '&' | '|' if characters.next_if(|(_, next)| *next == character).is_some() => {
                end += 1;
                if character == '&' { Token::And } else { Token::Or }
            }
            '!' if characters.next_if(|(_, next)| *next == '=').is_some() => {
                end += 1;
                Token::Other
            }
            '!' => Token::Not,
            c if is_word(c) => {
                while let Some((at, next)) = characters.next_if(|(_, next)| is_word(*next)) {
                    end = at + next.len_utf8();
                }
                match &text[start..end] {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    _ => Token::Word,
                }
            }
            _ => Token::Other,
        };
        lexemes.push(Lexeme { token, start, end });
    }
    match open.pop() {
        Some(opening) => {
            let start = lexemes[opening].start;
            Err(FilterError::new(text, start, format!("{}: this '(' is never closed", quoted(&text[start..]))))
        }
        None => Ok(lexemes),
    }
}

/// Names, numbers, addresses, ranges, and pcap-filter's escaped names (`\tcp`). A colon is no end of a word: MAC and IPv6 addresses.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | ':' | '\\' | '$') || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> String {
        let shown = |lexeme: &Lexeme| match lexeme.token {
            Token::Open(close) => format!("({close}"),
            Token::Close => ")".into(),
            Token::And => "AND".into(),
            Token::Or => "OR".into(),
            Token::Not => "NOT".into(),
            Token::Word => text[lexeme.start..lexeme.end].into(),
            Token::Other => format!("<{}>", &text[lexeme.start..lexeme.end]),
        };
        lex(text).unwrap().iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn operators_need_no_blanks_and_arithmetic_is_not_mistaken_for_them() {
        assert_eq!(tokens("vni 77&&!(ip||arp)"), "vni 77 AND NOT (8 ip OR arp )");
        assert_eq!(tokens("ip[6:2] & 0x1fff != 0"), "ip <[> 6:2 <]> <&> 0x1fff <!=> 0");
        assert_eq!(tokens("tcp[13]|1=3 and host an.d or\tnotes"), "tcp <[> 13 <]> <|> 1 <=> 3 AND host an.d OR notes");
        assert_eq!(tokens("ether host 02:00:5e:0:0:1 or ip6 net fd00::/8"), "ether host 02:00:5e:0:0:1 OR ip6 net fd00:: </> 8");
        assert_eq!(tokens("AND \\and größe"), "AND \\and größe");
    }

    #[test]
    fn parentheses_are_paired_or_pointed_at() {
        assert_eq!(tokens("((a) (b))"), "(7 (3 a ) (6 b ) )");
        for (text, sentence) in [
            ("ip and (tcp", "filter, column 8: (tcp: this '(' is never closed"),
            ("(ip))", "filter, column 5: this ')' closes nothing"),
            ("ip\0", "filter, column 3: U+0000: a control character; an expression is printable text"),
        ] {
            assert_eq!(lex(text).unwrap_err().to_string(), sentence);
        }
        let nested = |depth: usize| lex(&("(".repeat(depth) + &")".repeat(depth)));
        assert!(nested(MAX_DEPTH).is_ok());
        assert_eq!(nested(MAX_DEPTH + 1).unwrap_err().to_string(), "filter, column 65: parentheses nest deeper than 64");
        assert!(lex(&" ".repeat(MAX_BYTES)).is_ok());
        assert_eq!(lex(&" ".repeat(MAX_BYTES + 1)).unwrap_err().column(), MAX_BYTES + 1);
    }
}
