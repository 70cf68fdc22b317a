//! Where in the file is the mistake? Reading JSON so that every error names file, line, column and key.
//!
//! Strict JSON (RFC 8259): no comments, no trailing commas, no key twice. The syntax tree of jsonc-parser knows where each value
//! stands; as it is made for a larger language and lets some of it pass (form feeds between values, raw control characters in
//! strings, a comma too many), serde_json has the last word on what is JSON.
//!
//! Input may be hostile: its size and its depth are checked before anything recurses into it.

use crate::nearest::meant_or_all;
use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::str::FromStr;

/// Deepest nesting of arrays and objects that is read. No file of ours needs more than five.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most values in one file: a million entries of a mapping, each with `ip` and `port`. A tree needs far more room than its text; this
/// and the size of the file keep it below about a gigabyte whatever is in it.
pub(crate) const MAX_VALUES: usize = 4_000_000;
/// Characters of a text from the file that are repeated in an error.
const SHOWN_MAX: usize = 64;

/// Up to so many keys of an object are compared with each other; more are looked up.
const FEW_KEYS: usize = 16;

/// A place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// From 1 on.
    pub line: u32,
    /// From 1 on, in characters.
    pub column: u32,
    /// The keys that lead there (`devices[0].vnetid`); empty for the whole file and where it is no JSON.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, ": {}", self.path) }
    }
}

/// Why a file is not taken: where, what was found, what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What was found and what is allowed.
    pub problem: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for ParseError {}

/// Line and column, both from 1 on.
pub(crate) type Position = (u32, u32);

/// The text of a file, with its name.
pub(crate) struct Text<'t> {
    file: &'t str,
    text: &'t str,
    /// The place asked for last. Places are mostly asked for in their order; going on from there makes all of them cost one pass.
    last: Cell<(usize, Position)>,
}

impl<'t> Text<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, last: Cell::new((0, (1, 1))) }
    }

    /// Reads the syntax tree.
    pub(crate) fn parse(&self, max_bytes: usize) -> Result<Value<'t>, ParseError> {
        if self.text.len() > max_bytes {
            let problem = format!("the file has {} bytes; at most {max_bytes} are allowed", self.text.len());
            return Err(self.error(0, &Path::Root, problem));
        }
        let control = self.scan()?;
        let options = ParseOptions {
            allow_comments: false,
            allow_loose_object_property_names: false,
            allow_trailing_commas: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let no_json = |offset: usize, what: &str| self.error(offset, &Path::Root, format!("{what}; strict JSON is allowed"));
        let tree = parse_to_ast(self.text, &CollectOptions::default(), &options)
            .map_err(|error| no_json(error.range().start, &uncapitalized(&error.kind().to_string())))?;
        if let Some(offset) = control {
            return Err(no_json(offset, "a control character in a string must be escaped, as in \\n or \\u0007"));
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(self.text) {
            let what = error.to_string();
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            return Err(no_json(self.offset(error.line(), error.column()), what));
        }
        // serde_json refused an empty text above.
        let value = tree.value.ok_or_else(|| no_json(0, "the file is empty"))?;
        Node { text: self, value: &value, path: Path::Root }.check_twins()?;
        Ok(value)
    }

    /// Refuses what is nested too deep or has too many values, and finds the first raw control character in a string. Text that this reads otherwise than the
    /// parser does (a quote in a comment) is refused by the parser at that place, before it goes deeper.
    fn scan(&self) -> Result<Option<usize>, ParseError> {
        let (mut depth, mut values, mut in_string, mut escaped, mut control) = (0usize, 1usize, false, false, None);
        for (offset, byte) in self.text.bytes().enumerate() {
            match byte {
                0..0x20 if in_string => control = control.or(Some(offset)),
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'[' | b'{' if depth == MAX_DEPTH => {
                    let problem = format!("nested deeper than {MAX_DEPTH} arrays and objects, which is the most allowed");
                    return Err(self.error(offset, &Path::Root, problem));
                }
                b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
                b',' => values += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if values > MAX_VALUES {
                return Err(self.error(
                    offset,
                    &Path::Root,
                    format!("the file has more than {MAX_VALUES} values, which is the most allowed"),
                ));
            }
        }
        Ok(control)
    }

    /// The byte offset of what serde_json calls line and column: both from 1 on, columns in bytes, 0 for the line's end before.
    fn offset(&self, line: usize, column: usize) -> usize {
        let before: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        before + column.saturating_sub(1)
    }

    /// Line and column of a byte offset.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let offset = (0..=offset.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let (start, (mut line, mut column)) = if self.last.get().0 <= offset { self.last.get() } else { (0, (1, 1)) };
        for character in self.text[start..offset].chars() {
            (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        self.last.set((offset, (line, column)));
        (line, column)
    }

    pub(crate) fn place(&self, offset: usize, path: &Path<'_>) -> Place {
        let (line, column) = self.position(offset);
        Place { file: self.file.to_owned(), line, column, path: path.to_string() }
    }

    pub(crate) fn error(&self, offset: usize, path: &Path<'_>, problem: impl Into<String>) -> ParseError {
        ParseError { place: self.place(offset, path), problem: problem.into() }
    }
}

/// The sentences of jsonc-parser begin sentences; ours go on behind a colon.
fn uncapitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

/// The keys that lead to a value, linked from the value to the root: nothing is allocated until an error needs them.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(parent, key) => {
                parent.fmt(f)?;
                if !matches!(parent, Self::Root) {
                    f.write_char('.')?;
                }
                let plain = !key.is_empty() && key.len() <= SHOWN_MAX && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
                if plain { f.write_str(key) } else { f.write_str(&shown(key)) }
            }
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A text from the file for an error: quoted, so that it steers no terminal, and not endless.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((cut, _)) => format!("{:?}...", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// A value with the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Node<'n, 't> {
    pub(crate) text: &'n Text<'t>,
    pub(crate) value: &'n Value<'t>,
    pub(crate) path: Path<'n>,
}

impl<'n, 't> Node<'n, 't> {
    pub(crate) fn root(text: &'n Text<'t>, value: &'n Value<'t>) -> Self {
        Self { text, value, path: Path::Root }
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> ParseError {
        self.text.error(self.value.start(), &self.path, problem)
    }

    /// Not what is allowed: says what was found.
    pub(crate) fn wrong(&self, allowed: &str) -> ParseError {
        let found = match self.value {
            Value::StringLit(text) => format!("the string {}", shown(&text.value)),
            Value::NumberLit(number) => format!("the number {}", shown(number.value).trim_matches('"')),
            Value::BooleanLit(word) => word.value.to_string(),
            Value::NullKeyword(_) => "null".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "an array".to_owned(),
        };
        self.error(format!("{found} is not allowed; {allowed} is"))
    }

    /// The object that it is, whatever its keys are.
    pub(crate) fn object(self) -> Result<Members<'n, 't>, ParseError> {
        self.value.as_object().map(|object| Members { node: self, object }).ok_or_else(|| self.wrong("an object"))
    }

    /// The object that it is, with none but these keys.
    pub(crate) fn object_of(self, keys: &[&str]) -> Result<Members<'n, 't>, ParseError> {
        let members = self.object()?;
        for member in members.iter() {
            if !keys.contains(&member.name) {
                return Err(member.unknown(keys));
            }
        }
        Ok(members)
    }

    /// The elements of the array that it is. Their paths begin at `self`, so it must outlive them.
    pub(crate) fn elements(&self) -> Result<impl Iterator<Item = Node<'_, 't>>, ParseError> {
        let array = self.value.as_array().ok_or_else(|| self.wrong("an array"))?;
        let node = |(index, value)| Node { text: self.text, value, path: Path::Index(&self.path, index) };
        Ok(array.elements.iter().enumerate().map(node))
    }

    /// Where element `index` of the array that it is stands; where it stands itself, if it is none.
    pub(crate) fn offset_of(&self, index: usize) -> usize {
        self.value.as_array().and_then(|array| array.elements.get(index)).map_or(self.value.start(), Ranged::start)
    }

    pub(crate) fn string(&self, allowed: &str) -> Result<&'n str, ParseError> {
        self.value.as_string_lit().map(|text| &*text.value).ok_or_else(|| self.wrong(allowed))
    }

    /// A string that a type reads; its error is a sentence that repeats what it read.
    pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(&self, allowed: &str) -> Result<T, ParseError> {
        let text = self.string(allowed)?;
        // Such errors repeat the text as it is. What could steer a terminal or fill it is none of them.
        if text.len() > SHOWN_MAX || text.chars().any(char::is_control) {
            return Err(self.wrong(allowed));
        }
        text.parse().map_err(|error: T::Err| self.error(error.to_string()))
    }

    /// A whole number within bounds, both allowed. Written as digits alone: `1e3` and `5.0` are numbers of JSON, but not of ours.
    pub(crate) fn number(&self, min: u64, max: u64) -> Result<u64, ParseError> {
        let number = self.value.as_number_lit().and_then(|number| number.value.parse().ok());
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| self.wrong(&format!("a whole number {min}-{max}")))
    }

    /// No object may have a key twice: parsers disagree on which of them counts.
    fn check_twins(&self) -> Result<(), ParseError> {
        match self.value {
            Value::Object(object) => {
                let properties = &object.properties;
                // Most objects have a few keys, and there may be a million of them.
                let mut known = HashMap::with_capacity(if properties.len() > FEW_KEYS { properties.len() } else { 0 });
                for (index, property) in properties.iter().enumerate() {
                    let (key, path) = (property.name.as_str(), Path::Key(&self.path, property.name.as_str()));
                    let earlier = if properties.len() > FEW_KEYS {
                        known.insert(key, index)
                    } else {
                        properties[..index].iter().position(|earlier| earlier.name.as_str() == key)
                    };
                    if let Some(earlier) = earlier {
                        let (line, column) = self.text.position(properties[earlier].name.start());
                        let problem = format!("this key is given twice, first at {line}:{column}; once is allowed");
                        return Err(self.text.error(property.name.start(), &path, problem));
                    }
                    Node { text: self.text, value: &property.value, path }.check_twins()?;
                }
                Ok(())
            }
            Value::Array(array) => {
                for (index, value) in array.elements.iter().enumerate() {
                    Node { text: self.text, value, path: Path::Index(&self.path, index) }.check_twins()?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// An object and its members.
pub(crate) struct Members<'n, 't> {
    pub(crate) node: Node<'n, 't>,
    object: &'n Object<'t>,
}

/// One member of an object.
pub(crate) struct Member<'m, 't> {
    pub(crate) name: &'m str,
    pub(crate) name_offset: usize,
    pub(crate) node: Node<'m, 't>,
}

impl Member<'_, '_> {
    /// A key that is not known, and the one that may have been meant.
    pub(crate) fn unknown(&self, keys: &[&str]) -> ParseError {
        self.error_at_name(format!("there is no such key; {}", meant_or_all(self.name, keys)))
    }

    pub(crate) fn error_at_name(&self, problem: impl Into<String>) -> ParseError {
        self.node.text.error(self.name_offset, &self.node.path, problem)
    }
}

impl<'t> Members<'_, 't> {
    /// All members, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Member<'_, 't>> {
        self.object.properties.iter().map(|property| self.member(property))
    }

    fn member<'m>(&'m self, property: &'m ObjectProp<'t>) -> Member<'m, 't> {
        let path = Path::Key(&self.node.path, property.name.as_str());
        let node = Node { text: self.node.text, value: &property.value, path };
        Member { name: property.name.as_str(), name_offset: property.name.start(), node }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Node<'_, 't>> {
        self.object.get(key).map(|property| self.member(property).node)
    }

    pub(crate) fn require(&self, key: &str, allowed: &str) -> Result<Node<'_, 't>, ParseError> {
        self.get(key).ok_or_else(|| {
            let path = Path::Key(&self.node.path, key);
            self.node.text.error(self.node.value.start(), &path, format!("is missing; {allowed} is required"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        Text::new("f", text).parse(1 << 20).expect_err(text).to_string()
    }

    #[test]
    fn only_strict_json_is_json() {
        assert_eq!(said("{\n  // why\n}"), "f:2:3: comments are not allowed; strict JSON is allowed");
        assert_eq!(said("[1,]"), "f:1:3: trailing commas are not allowed; strict JSON is allowed");
        assert_eq!(said(""), "f:1:1: EOF while parsing a value; strict JSON is allowed");
        for text in [
            "/**/1",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "[1]]",
            "[1][2]",
            "{\"a\":1,,}",
            "[,]",
            "'a'",
            "{a:1}",
            "0x10",
            "+1",
            ".5",
            "5.",
            "01",
            "-",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e",
            "tru",
            "True",
            "nul",
            "\"\\x41\"",
            "\"\\'\"",
            "\"a\nb\"",
            "\"\t\"",
            "\"\u{1}\"",
            "\"",
            "\u{b}1",
            "\u{c}1",
            "\u{a0}1",
            "\u{feff}1",
            "[",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "{\"a\":}",
            "[1,\u{c}2]",
            "{\"a\":1,}",
            "{,}",
            "}",
            "]",
            ":",
            ",",
            "[1:2]",
            "{1:2}",
            "{null:2}",
            "\\",
        ] {
            let said = said(text);
            assert!(said.starts_with("f:") && said.ends_with("; strict JSON is allowed"), "{said}");
        }
    }

    #[test]
    fn places_are_lines_and_characters() {
        assert_eq!(said("{\"é\": \"ü\", \"b\": tru}"), "f:1:17: unexpected token; strict JSON is allowed");
        let said = said("{\"é\": \"ü\",\r\n \"b\": \"\t\"}");
        assert_eq!(said, "f:2:8: a control character in a string must be escaped, as in \\n or \\u0007; strict JSON is allowed");
        let text = Text::new("f", "a\nbé\nc");
        // Forwards, backwards, in the middle of a character, beyond the end.
        for (offset, position) in [(0, (1, 1)), (5, (2, 3)), (2, (2, 1)), (4, (2, 2)), (6, (3, 1)), (99, (3, 2)), (0, (1, 1))] {
            assert_eq!(text.position(offset), position, "{offset}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded_before_anything_recurses() {
        for open in ["[", "{\"a\":", "[[", "[{\"[\":"] {
            let said = said(&open.repeat(100_000));
            assert!(said.ends_with("nested deeper than 32 arrays and objects, which is the most allowed"), "{said}");
        }
        let deepest = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(Text::new("f", &deepest).parse(1 << 20).is_ok());
        assert!(Text::new("f", &format!("[{}]", "[],".repeat(1000) + "[]")).parse(1 << 20).is_ok(), "beside is not below");
        assert!(Text::new("f", &format!("[\"{}\"]", "[".repeat(1000))).parse(1 << 20).is_ok(), "nor is in a string");
        assert!(Text::new("f", &format!("[\"\\\"{}\"]", "[".repeat(1000))).parse(1 << 20).is_ok(), "nor behind an escaped quote");
        assert!(said(&format!("/* \" */ {}", "[".repeat(100_000))).contains("comments are not allowed"));
        assert!(said(&format!("'\"' {}", "[".repeat(100_000))).contains("single-quoted"));
        let most = format!("[{}0]", "0,".repeat(MAX_VALUES - 2));
        assert!(Text::new("f", &most).scan().is_ok());
        assert_eq!(
            Text::new("f", &most.replacen("0,", "0,0,", 1)).scan().unwrap_err().problem,
            "the file has more than 4000000 values, which is the most allowed"
        );
        let error = Text::new("f", "[1,2]").parse(4).unwrap_err();
        assert_eq!(error.to_string(), "f:1:1: the file has 5 bytes; at most 4 are allowed");
    }

    #[test]
    fn a_key_given_twice_is_refused_wherever_it_is() {
        assert_eq!(said("{\"a\": 1,\n \"a\": 2}"), "f:2:2: a: this key is given twice, first at 1:2; once is allowed");
        let many: String = (0..100).map(|n| format!("\"k{n}\": 0,\n")).collect();
        assert!(Text::new("f", &format!("{{{many}\"x\": 0}}")).parse(1 << 20).is_ok());
        assert_eq!(said(&format!("{{{many}\"k7\": 0}}")), "f:101:1: k7: this key is given twice, first at 8:1; once is allowed");
        assert_eq!(said("[{\"b\": [{\"a\": 1, \"\\u0061\": 2}]}]").split(": ").nth(1), Some("[0].b[0].a"), "the same, spelled otherwise");
    }

    #[test]
    fn hostile_keys_and_texts_steer_no_terminal_and_are_cut() {
        let long = "x".repeat(1000);
        for key in ["\\u001b[2J", &long, ""] {
            let said = said(&format!("{{\"{key}\": 1, \"{key}\": 1}}"));
            assert!(!said.contains(char::is_control) && said.len() < 200, "{said}");
        }
    }
}
