//! Which lines are wanted? Words that all must hold, in the manner of `vni:77 mac:02:08 state:pending hits>100 !local /10\.0\.[12]/`.
//!
//! ```text
//! COLUMN:TEXT   the cell contains TEXT; a number is TEXT, or in the range A-B       COLUMN=TEXT   the cell is TEXT
//! COLUMN>N      a number is larger, COLUMN<N smaller                                TEXT          any cell contains TEXT
//! /REGEX/       the cells, with a blank between each two, match                     !WORD         the word does not hold
//! ```

use crate::column::{Line, Screen};
use crate::value::Value;
use regex::{Regex, RegexBuilder};

/// Longest filter, in bytes.
const LENGTH_MAX: usize = 500;
/// What a regular expression may take when compiled.
const REGEX_BYTES: usize = 1 << 18;

/// A filter for the lines of one screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    text: String,
    words: Vec<Word>,
}

/// One condition.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) negated: bool,
    pub(crate) test: Test,
}

/// What a word asks. Texts are in lower case.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Any(String),
    Matches(Regex),
    Contains(usize, String),
    Is(usize, String),
    Within(usize, f64, f64),
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Filter {
    /// Reads a filter for the columns of `screen`.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn parse(text: &str, screen: Screen) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > LENGTH_MAX {
            return Err(format!("the filter has {} bytes; {LENGTH_MAX} are allowed", text.len()));
        }
        let words = split(text)?.into_iter().map(|word| Word::parse(word, screen)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), words })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// As it was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn words(&self) -> &[Word] {
        &self.words
    }

    /// Whether it lets a line through. `clock` prints times.
    pub(crate) fn passes<L: Line>(&self, line: &L, clock: &dyn Fn(u64) -> String) -> bool {
        self.words.iter().all(|word| word.passes(line, clock))
    }
}

/// Words with blanks between, but for those in a regular expression.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let body = rest.strip_prefix('!').unwrap_or(rest);
        let start = rest.len() - body.len();
        let end = match body.strip_prefix('/') {
            Some(inside) => {
                let mut escaped = false;
                let end = inside.char_indices().find(|(_, c)| {
                    let ends = *c == '/' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    ends
                });
                let (end, _) = end.ok_or_else(|| format!("{rest}: a regular expression ends with a slash, as in /10\\.0/"))?;
                start + 1 + end + 1
            }
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

impl Word {
    fn parse(word: &str, screen: Screen) -> Result<Self, String> {
        let (negated, body) = word.strip_prefix('!').map_or((false, word), |body| (true, body));
        if body.is_empty() {
            return Err("!: something to be left out follows it, as in !state:valid".to_owned());
        }
        let inside = body.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let test = match inside {
            Some(pattern) => Test::Matches(
                RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .size_limit(REGEX_BYTES)
                    .build()
                    .map_err(|error| format!("{body}: not a regular expression: {}", last_line(&error.to_string())))?,
            ),
            None => Self::condition(body, screen)?,
        };
        Ok(Self { negated, test })
    }

    fn condition(body: &str, screen: Screen) -> Result<Test, String> {
        let lower = body.to_lowercase();
        let Some(at) = lower.find([':', '=', '<', '>']) else { return Ok(Test::Any(lower)) };
        let (name, operator, wanted) = (&lower[..at], &lower[at..=at], &lower[at + 1..]);
        let heads = screen.heads();
        let Some(column) = heads.iter().position(|head| head.name == name) else {
            // The beginning of an address looks like a column; what has letters in front of `=`, `<`, `>` does not.
            return match operator {
                ":" if name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'[' || b == b'.') => Ok(Test::Any(lower)),
                _ => Err(format!("{name}: not a column of {}; there are {}", screen.name(), names(&heads))),
            };
        };
        if wanted.is_empty() {
            return Err(format!("{body}: nothing is behind {operator}"));
        }
        let number = |text: &str| {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| format!("{body}: {text} is not a number"))
        };
        let range = wanted.split_once('-').and_then(|(a, b)| Some((a.parse::<u64>().ok()?, b.parse::<u64>().ok()?)));
        Ok(match operator {
            ">" => Test::Within(column, number(wanted)?.next_up(), f64::MAX),
            "<" => Test::Within(column, f64::MIN, number(wanted)?.next_down()),
            _ if heads[column].right => match range {
                Some((from, to)) => Test::Within(column, from as f64, to as f64),
                None => number(wanted).map(|number| Test::Within(column, number, number))?,
            },
            "=" => Test::Is(column, wanted.to_owned()),
            _ => Test::Contains(column, wanted.to_owned()),
        })
    }

    /// Whether it holds for a line.
    pub(crate) fn passes<L: Line>(&self, line: &L, clock: &dyn Fn(u64) -> String) -> bool {
        let value = |column: usize| L::COLUMNS.get(column).map_or(Value::None, |column| (column.value)(line));
        let holds = match &self.test {
            Test::Any(text) => L::COLUMNS.iter().any(|column| lower(&(column.value)(line), clock).contains(text)),
            Test::Matches(regex) => {
                let cells: Vec<String> = L::COLUMNS.iter().map(|column| whole(&(column.value)(line), clock)).collect();
                regex.is_match(&cells.join(" "))
            }
            Test::Contains(column, text) => lower(&value(*column), clock).contains(text),
            Test::Is(column, text) => lower(&value(*column), clock) == *text,
            Test::Within(column, from, to) => match value(*column) {
                Value::Number(n) | Value::Count(n) | Value::Bytes(n) => (*from..=*to).contains(&(n as f64)),
                // Times are said in seconds.
                Value::Age(n) | Value::Time(n) => (*from..=*to).contains(&(n as f64 / 1e9)),
                Value::Rate(n) | Value::Bits(n) => (*from..=*to).contains(&n),
                _ => false,
            },
        };
        holds != self.negated
    }
}

fn lower(value: &Value<'_>, clock: &dyn Fn(u64) -> String) -> String {
    whole(value, clock).to_lowercase()
}

/// What is searched: the text, but all digits of a number, and all addresses.
fn whole(value: &Value<'_>, clock: &dyn Fn(u64) -> String) -> String {
    match value {
        Value::None => String::new(),
        Value::Number(n) | Value::Count(n) | Value::Bytes(n) => n.to_string(),
        Value::Ul3(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        other => other.shown(clock),
    }
}

fn names(heads: &[&crate::column::Head]) -> String {
    heads.iter().map(|head| head.name).collect::<Vec<_>>().join(", ")
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::TargetLine;
    use crate::rows::TargetRow;

    fn line() -> TargetLine {
        let row = TargetRow {
            from: "overlayd".into(),
            overlay: "ov77".into(),
            vni: Some(77),
            mac: "02:08:20:0a:00:01".parse().unwrap(),
            ul3: vec!["10.88.0.2:4789".parse().unwrap()],
            state: "pending".into(),
            age_ns: Some(3_500_000_000),
            idle_ns: None,
            hits: Some(120),
            bytes: Some(1),
            pending_bytes: Some(2),
            source: "lookup".into(),
            expires_ns: None,
            flags: String::new(),
        };
        TargetLine { row, stale: false }
    }

    fn passes(text: &str) -> bool {
        Filter::parse(text, Screen::Targets).unwrap_or_else(|error| panic!("{text}: {error}")).passes(&line(), &|_| String::new())
    }

    #[test]
    fn all_words_must_hold() {
        for good in [
            "",
            "vni:77",
            "vni:70-80",
            "mac:02:08",
            "mac=02:08:20:0A:00:01",
            "state:pend",
            "hits>100",
            "hits<121",
            "age>3",
            "10.88",
            "02:08:20",
            "!state=valid",
            "/10\\.88\\.0\\.[12]:4789/",
            "!/ov7[89]/",
            "ov77 lookup hits:120",
            "/ov77 77/",
            "ul3:10.88.0.2:4789",
            "PENDING",
        ] {
            assert!(passes(good), "{good}");
        }
        for bad in ["vni:7", "vni:78-80", "state=pend", "hits>120", "age>4", "!ov77", "idle>0", "/^77/", "ov77 nothing", "expires<5"] {
            assert!(!passes(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_is_a_sentence() {
        let refused = |text: &str| Filter::parse(text, Screen::Targets).unwrap_err();
        assert!(refused("vnid:77").starts_with("vnid: not a column of targets; there are overlay, vni, mac, "));
        assert_eq!(refused("hits>many"), "hits>many: many is not a number");
        assert_eq!(refused("state:"), "state:: nothing is behind :");
        assert_eq!(refused("/ab"), "/ab: a regular expression ends with a slash, as in /10\\.0/");
        assert!(refused("/(/").starts_with("/(/: not a regular expression: "));
        assert!(refused("!").starts_with("!: something"));
        assert_eq!(refused(&"x".repeat(501)), "the filter has 501 bytes; 500 are allowed");
        assert!(refused("/a{900}{900}{900}/").contains("not a regular expression"));
    }
}
