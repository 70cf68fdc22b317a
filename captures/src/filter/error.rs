//! What is wrong with a filter, and at which column?

use std::fmt;
use std::sync::Arc;

/// Characters of the expression that [`FilterError::pointed`] shows on each side of the column.
const SHOWN_AROUND: usize = 60;
/// Characters of the expression that a sentence quotes at most.
const QUOTED: usize = 60;

/// Why an expression is no filter, or none for the packets at hand. Displays as one sentence with the column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterError {
    expression: Arc<str>,
    column: usize,
    sentence: String,
}

impl FilterError {
    /// An error at byte `at` of `expression`; a place inside a character or behind the end counts as the next one before it.
    pub(super) fn new(expression: &str, at: usize, sentence: impl Into<String>) -> Self {
        let column = 1 + expression.char_indices().take_while(|(start, _)| *start < at).count();
        Self { expression: expression.into(), column, sentence: sentence.into() }
    }

    /// Where in the expression the fault is, in characters from 1; one more than there are when something is missing at the end.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What was found and what is allowed, without the column.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The expression, and below it a caret at the column. Of a long expression only the part around the fault.
    ///
    /// ```text
    /// vni 77 and port 80
    ///            ^
    /// ```
    #[must_use]
    pub fn pointed(&self) -> String {
        let start = (self.column - 1).saturating_sub(SHOWN_AROUND);
        let mut shown = String::new();
        if start > 0 {
            shown.push_str("...");
        }
        let caret = shown.len() + self.column - 1 - start;
        shown.extend(self.expression.chars().skip(start).take(2 * SHOWN_AROUND).map(printable));
        if self.expression.chars().nth(start + 2 * SHOWN_AROUND).is_some() {
            shown.push_str("...");
        }
        format!("{shown}\n{:caret$}^", "")
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter, column {}: {}", self.column, self.sentence)
    }
}

impl std::error::Error for FilterError {}

/// A part of the expression for a sentence: one line, without control characters, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut out: String = text.trim().chars().take(QUOTED).map(printable).collect();
    if text.trim().chars().nth(QUOTED).is_some() {
        out.push_str("...");
    }
    out
}

/// One column wide where the terminal agrees; white space of any kind is a blank, so that the caret stays in its column.
fn printable(character: char) -> char {
    match character {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_fault() {
        let error = FilterError::new("vni 77 and\tport 80", 11, "no");
        assert_eq!(error.to_string(), "filter, column 12: no");
        assert_eq!(error.pointed(), "vni 77 and port 80\n           ^");
        assert_eq!(FilterError::new("not", 3, "ends early").pointed(), "not\n   ^");
        assert_eq!(FilterError::new("", 0, "empty").pointed(), "\n^");
    }

    #[test]
    fn columns_count_characters_and_a_long_expression_is_cut() {
        let text = format!("{}x{}", "ä".repeat(200), "ö".repeat(200));
        let error = FilterError::new(&text, 400, "here");
        assert_eq!(error.column(), 201);
        let pointed = error.pointed();
        let (line, caret) = pointed.split_once('\n').unwrap();
        assert_eq!(line.chars().nth(caret.chars().count() - 1), Some('x'), "{pointed}");
        assert!(line.starts_with("...") && line.ends_with("...") && line.chars().count() == 126);
    }

    #[test]
    fn nothing_quoted_can_write_to_the_terminal() {
        assert_eq!(quoted(" port\x1b[2J\n80 "), "port\u{fffd}[2J 80");
        assert_eq!(quoted(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
    }
}
