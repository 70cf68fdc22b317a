//! What stands in a cell? One value with all of its faces: text of a fixed width, JSON, CSV, and an order.

use overlay_decoder::{Mac, Ul3};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A cell.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    /// Not known; in every order behind what is.
    None,
    Text(Cow<'a, str>),
    Mac(Mac),
    Ul3(&'a [Ul3]),
    /// A number that is shown digit by digit: a VNI, an MTU.
    Number(u64),
    /// A count, shortened where it has more than seven digits.
    Count(u64),
    /// Bytes, in steps of 1024.
    Bytes(u64),
    /// Something per second.
    Rate(f64),
    /// Bits per second, in steps of 1000.
    Bits(f64),
    /// Nanoseconds that passed.
    Age(u64),
    /// Nanoseconds that something took, also less than a millisecond.
    Wait(u64),
    /// A moment, as the reader's clock shows it.
    Time(u64),
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn maybe_text(text: Option<&'a str>) -> Self {
        text.map_or(Self::None, Self::text)
    }

    pub(crate) fn maybe<T>(number: Option<T>, kind: fn(T) -> Self) -> Self {
        number.map_or(Self::None, kind)
    }

    /// As it is shown to a person. A time needs the reader's zone, so `clock` prints it.
    pub(crate) fn shown(&self, clock: &dyn Fn(u64) -> String) -> String {
        match self {
            Self::None => "-".to_owned(),
            Self::Text(text) => printable(text),
            Self::Mac(mac) => mac.to_string(),
            Self::Ul3([]) => "-".to_owned(),
            Self::Ul3([one]) => one.to_string(),
            Self::Ul3([first, rest @ ..]) => format!("{first} +{}", rest.len()),
            Self::Number(number) => number.to_string(),
            Self::Count(number) => count(*number),
            Self::Bytes(bytes) => short(*bytes as f64, 1024.0),
            Self::Rate(rate) | Self::Bits(rate) => short(*rate, 1000.0),
            Self::Age(nanoseconds) => age(*nanoseconds),
            Self::Wait(nanoseconds) => wait(*nanoseconds),
            Self::Time(moment) => clock(*moment),
        }
    }

    /// The whole value, for programs.
    pub(crate) fn json(&self) -> Json {
        match self {
            Self::None => Json::Null,
            Self::Text(text) => text.as_ref().into(),
            Self::Mac(mac) => mac.to_string().into(),
            Self::Ul3(all) => all.iter().map(ToString::to_string).collect(),
            Self::Number(n) | Self::Count(n) | Self::Bytes(n) | Self::Age(n) | Self::Wait(n) => (*n).into(),
            Self::Rate(rate) | Self::Bits(rate) => ((rate * 1000.0).round() / 1000.0).into(),
            Self::Time(moment) => format!("{}.{:09}", moment / 1_000_000_000, moment % 1_000_000_000).into(),
        }
    }

    /// The same as a field of RFC 4180: quoted where it has to be, several addresses with blanks between.
    pub(crate) fn csv(&self) -> String {
        let text = match self.json() {
            Json::Null => String::new(),
            Json::String(text) => text,
            Json::Array(all) => all.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        // Whatever opens it in a spreadsheet must not take it for a formula.
        let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
        if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    }

    /// Which of two comes first, the smaller one before; what is not known comes last whatever the direction.
    pub(crate) fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::None, Self::None) => return Ordering::Equal,
            (Self::None, _) => return Ordering::Greater,
            (_, Self::None) => return Ordering::Less,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Mac(a), Self::Mac(b)) => a.cmp(b),
            (Self::Ul3(a), Self::Ul3(b)) => a.cmp(b),
            (a, b) => a.number().total_cmp(&b.number()),
        };
        if descending { order.reverse() } else { order }
    }

    /// A number for its order; counters beyond 2^53 that differ by less than that are taken as equal.
    fn number(&self) -> f64 {
        match self {
            Self::Number(n) | Self::Count(n) | Self::Bytes(n) | Self::Age(n) | Self::Wait(n) | Self::Time(n) => *n as f64,
            Self::Rate(rate) | Self::Bits(rate) => *rate,
            Self::None | Self::Text(_) | Self::Mac(_) | Self::Ul3(_) => 0.0,
        }
    }
}

/// Without what would steer a terminal, or would turn the order of its letters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if steers(letter) { '?' } else { letter }).collect()
}

/// Lines without what would steer a terminal; they stay lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.chars().map(|letter| if letter != '\n' && steers(letter) { '?' } else { letter }).collect()
}

fn steers(letter: char) -> bool {
    // UAX 9: embeddings, overrides and isolates.
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All digits up to seven, then as [`short`].
fn count(number: u64) -> String {
    if number < 10_000_000 { number.to_string() } else { short(number as f64, 1000.0) }
}

/// At most six characters: `0`, `999`, `1.00K`, `99.9M`.
pub(crate) fn short(number: f64, step: f64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let (mut left, mut unit) = (number.max(0.0), 0);
    // Rounding must not show 1000 of a unit where the next one begins.
    while left >= 999.5 && unit + 1 < UNITS.len() {
        left /= step;
        unit += 1;
    }
    match (unit, left) {
        (0, left) if left >= 10.0 || left.fract() == 0.0 => format!("{left:.0}"),
        (0, left) => format!("{left:.1}"),
        (_, left) if left < 9.995 => format!("{left:.2}{}", UNITS[unit]),
        (_, left) if left < 99.95 => format!("{left:.1}{}", UNITS[unit]),
        (_, left) => format!("{left:.0}{}", UNITS[unit]),
    }
}

/// At most six characters: `12ms`, `3.4s`, `59s`, `12m05s`, `3h12m`, `12d3h`, `999d`.
pub(crate) fn age(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..=9 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ if seconds < 86_400 * 100 => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// At most six characters: `0us`, `850us`, `3.4ms`, `12ms`, then as [`age`].
pub(crate) fn wait(nanoseconds: u64) -> String {
    match nanoseconds / 1000 {
        microseconds @ 0..=999 => format!("{microseconds}us"),
        microseconds @ 1000..=9999 => format!("{}.{}ms", microseconds / 1000, microseconds % 1000 / 100),
        _ => age(nanoseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_grow_out_of_their_column() {
        let shown = [0.0, 0.4, 9.96, 10.4, 999.4, 999.6, 1000.0, 9994.0, 9996.0, 99_960.0, 999_499.0, 999_501.0, 1.8e19];
        let shown: Vec<String> = shown.iter().map(|number| short(*number, 1000.0)).collect();
        assert_eq!(
            shown,
            ["0", "0.4", "10.0", "10", "999", "1.00K", "1.00K", "9.99K", "10.0K", "100K", "999K", "1.00M", "18.0E"],
            "the last digit may be rounded, the width may not change"
        );
        for power in 0..64 {
            for number in [(1_u64 << power) - 1, 1 << power] {
                assert!(short(number as f64, 1024.0).len() <= 6, "{number}");
                assert!(count(number).len() <= 7, "{number}");
                assert!(age(number).len() <= 7, "{number}: {}", age(number));
            }
        }
    }

    #[test]
    fn ages_are_told_in_two_units_at_most() {
        let shown = [12_000_000, 3_400_000_000, 59_999_999_999, 725 * 1_000_000_000, 11_520 * 1_000_000_000, 1_047_600 * 1_000_000_000];
        assert_eq!(shown.map(age), ["12ms", "3.4s", "59s", "12m05s", "3h12m", "12d03h"]);
    }

    #[test]
    fn waits_are_told_in_the_unit_that_they_are_of() {
        assert_eq!([900, 850_999, 3_450_000, 12_000_000, 3_400_000_000].map(wait), ["0us", "850us", "3.4ms", "12ms", "3.4s"]);
    }

    #[test]
    fn what_is_not_known_comes_last_in_both_directions() {
        let (none, one, two) = (Value::None, Value::Count(1), Value::Count(2));
        assert_eq!(one.compare(&two, false), Ordering::Less);
        assert_eq!(one.compare(&two, true), Ordering::Greater);
        assert_eq!(none.compare(&two, false), Ordering::Greater);
        assert_eq!(none.compare(&two, true), Ordering::Greater);
    }

    #[test]
    fn a_field_of_csv_is_quoted_where_it_has_to_be_and_is_no_formula() {
        assert_eq!(Value::text("a,\"b\"").csv(), "\"a,\"\"b\"\"\"");
        assert_eq!(Value::text("=1+1").csv(), "'=1+1");
        assert_eq!(Value::Count(12_345_678).csv(), "12345678");
        assert_eq!(Value::None.csv(), "");
        let all = ["10.0.0.1:4789".parse().unwrap(), "[fd00::1]:4789".parse().unwrap()];
        assert_eq!(Value::Ul3(&all).csv(), "10.0.0.1:4789 [fd00::1]:4789");
        assert_eq!(Value::Ul3(&all).shown(&|_| String::new()), "10.0.0.1:4789 +1");
    }

    #[test]
    fn nothing_that_was_told_steers_the_terminal() {
        assert_eq!(Value::text("a\x1b[2Jb\n").shown(&|_| String::new()), "a?[2Jb?");
        assert_eq!(printable("\u{9b}2J \u{202e}fdp \u{2066}a\u{2069} \u{e9}"), "?2J ?fdp ?a? \u{e9}");
        assert_eq!(printable_lines("a\r\nb\x1b[0m\n"), "a?\nb?[0m\n");
    }
}
