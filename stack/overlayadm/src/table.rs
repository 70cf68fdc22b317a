//! How is a table printed? Columns for people, `:` between fields for scripts.
//!
//! For people: a heading, columns as wide as dladm has them or as wide as what is in them, numbers flush right, `--` where there is
//! nothing. For scripts (parsable): the fields that were asked for and nothing else, in one line a row; of several fields, `:` and `\`
//! within one are escaped with `\`; where there is nothing a field is empty. As `ofmt(3OFMT)` does it.

use overlay_api::nearest;
use std::io::{self, Write};

/// Between columns.
const GAP: &str = " ";

/// For whom a value is spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// Units, short.
    Person,
    /// Whole values, plain numbers.
    Script,
}

/// On which side of its column a value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flush {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table with rows `R`.
#[derive(Debug)]
pub(crate) struct Column<R> {
    /// The heading; `-o` names it in any case.
    pub(crate) name: &'static str,
    /// Least width in characters.
    pub(crate) width: usize,
    /// Where values stand.
    pub(crate) flush: Flush,
    /// Whether it is shown when no `-o` says otherwise.
    pub(crate) usual: bool,
    /// What a row has there.
    pub(crate) value: fn(&R, Reader) -> Option<String>,
}

impl<R> Column<R> {
    /// A column of words that is shown unless `-o` says otherwise.
    pub(crate) const fn words(name: &'static str, width: usize, value: fn(&R, Reader) -> Option<String>) -> Self {
        Self { name, width, flush: Flush::Left, usual: true, value }
    }

    /// A column of numbers that is shown unless `-o` says otherwise.
    pub(crate) const fn numbers(name: &'static str, width: usize, value: fn(&R, Reader) -> Option<String>) -> Self {
        Self { name, width, flush: Flush::Right, usual: true, value }
    }
}

/// The same column, shown only when `-o` names it.
pub(crate) const fn on_request<R>(mut column: Column<R>) -> Column<R> {
    column.usual = false;
    column
}

/// A table that is being printed.
#[derive(Debug)]
pub(crate) struct Table<'c, R> {
    columns: Vec<&'c Column<R>>,
    reader: Reader,
    widths: Vec<usize>,
    headed: bool,
}

impl<'c, R> Table<'c, R> {
    /// A table with the columns that `fields` names, in that order; `all` is all of them, none the usual ones.
    ///
    /// # Errors
    /// A field that there is not, with those that there are: a sentence.
    pub(crate) fn new(all: &'c [Column<R>], fields: Option<&str>, reader: Reader) -> Result<Self, String> {
        let columns: Vec<_> = match fields {
            None => all.iter().filter(|column| column.usual).collect(),
            Some(list) if list.eq_ignore_ascii_case("all") => all.iter().collect(),
            Some(list) => list.split(',').map(|field| find(all, field.trim())).collect::<Result<_, _>>()?,
        };
        let widths = columns.iter().map(|column| column.width.max(column.name.len())).collect();
        Ok(Self { columns, reader, widths, headed: false })
    }

    /// Prints rows; a heading comes before the first ones, and only if there are any.
    pub(crate) fn print(&mut self, out: &mut dyn Write, rows: &[R]) -> io::Result<()> {
        if self.reader == Reader::Script {
            return rows.iter().try_for_each(|row| self.parsable(out, row));
        }
        let cells: Vec<Vec<String>> = rows.iter().map(|row| self.cells(row)).collect();
        for row in &cells {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.headed && !cells.is_empty() {
            self.headed = true;
            let headings: Vec<_> = self.columns.iter().map(|column| column.name.to_owned()).collect();
            self.line(out, &headings)?;
        }
        cells.iter().try_for_each(|row| self.line(out, row))
    }

    fn cells(&self, row: &R) -> Vec<String> {
        let cell = |column: &&Column<R>| match (column.value)(row, self.reader) {
            Some(text) if !text.is_empty() => printable(text),
            _ => "--".to_owned(),
        };
        self.columns.iter().map(cell).collect()
    }

    fn line(&self, out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(&self.widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            match column.flush {
                Flush::Left => line.push_str(&format!("{cell:<width$}")),
                Flush::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        writeln!(out, "{}", line.trim_end())
    }

    fn parsable(&self, out: &mut dyn Write, row: &R) -> io::Result<()> {
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.write_all(b":")?;
            }
            let text = printable((column.value)(row, self.reader).unwrap_or_default());
            // One field alone is the whole line.
            let text = if self.columns.len() > 1 { text.replace('\\', "\\\\").replace(':', "\\:") } else { text };
            out.write_all(text.as_bytes())?;
        }
        out.write_all(b"\n")
    }
}

fn find<'c, R>(all: &'c [Column<R>], field: &str) -> Result<&'c Column<R>, String> {
    let names = || all.iter().map(|column| column.name);
    all.iter().find(|column| column.name.eq_ignore_ascii_case(field)).ok_or_else(|| {
        let lower = |name: &str| name.to_ascii_lowercase();
        match nearest(field, names()) {
            Some(name) => format!("-o {field:?}: there is no such field; did you mean {}?", lower(name)),
            None => {
                format!("-o {field:?}: there is no such field; there are {}, and all", names().map(lower).collect::<Vec<_>>().join(", "))
            }
        }
    })
}

/// Without control characters: what others wrote steers no terminal, and a row stays a line.
pub(crate) fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Nanoseconds: for people in units that fit six characters, for scripts seconds with nine decimals.
pub(crate) fn duration(ns: u64, reader: Reader) -> String {
    let seconds = ns / 1_000_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match reader {
        Reader::Script => format!("{seconds}.{:09}", ns % 1_000_000_000),
        Reader::Person if minutes == 0 => format!("{seconds}.{}s", ns % 1_000_000_000 / 100_000_000),
        Reader::Person if hours == 0 => format!("{minutes}m{:02}s", seconds % 60),
        Reader::Person if days == 0 => format!("{hours}h{:02}m", minutes % 60),
        Reader::Person => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static str, Option<u64>);

    const COLUMNS: &[Column<Row>] = &[
        Column::words("LINK", 6, |row, _| Some(row.0.to_owned())),
        Column::numbers("HITS", 6, |row, _| row.1.map(|number| number.to_string())),
        on_request(Column::words("DETAILS", 8, |row, reader| Some(format!("{reader:?} {}", row.0)))),
    ];

    fn printed(fields: Option<&str>, reader: Reader, rows: &[Row]) -> String {
        let mut out = Vec::new();
        Table::new(COLUMNS, fields, reader).unwrap().print(&mut out, rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_at_least_as_wide_as_said_and_numbers_stand_right() {
        let text = printed(None, Reader::Person, &[("ov7", Some(12)), ("ov8", None)]);
        assert_eq!(text, "LINK     HITS\nov7        12\nov8        --\n");
    }

    #[test]
    fn what_is_wider_moves_the_whole_column() {
        let text = printed(Some("link,details,hits"), Reader::Person, &[("longlink", Some(12_345_678)), ("", Some(1))]);
        assert_eq!(
            text,
            "LINK     DETAILS             HITS\n\
             longlink Person longlink 12345678\n\
             --       Person                 1\n"
        );
    }

    #[test]
    fn a_table_that_comes_in_parts_has_one_heading_and_an_empty_one_none() {
        let mut table = Table::new(COLUMNS, Some("LINK"), Reader::Person).unwrap();
        let mut out = Vec::new();
        table.print(&mut out, &[]).unwrap();
        assert!(out.is_empty());
        table.print(&mut out, &[("a", None)]).unwrap();
        table.print(&mut out, &[("b", None)]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "LINK\na\nb\n");
    }

    #[test]
    fn scripts_get_escapes_where_there_are_several_fields_and_nothing_where_there_is_nothing() {
        let rows = [("02:08\\", None)];
        assert_eq!(printed(Some("link,hits"), Reader::Script, &rows), "02\\:08\\\\:\n");
        assert_eq!(printed(Some("link"), Reader::Script, &rows), "02:08\\\n");
        assert_eq!(printed(Some("hits"), Reader::Script, &rows), "\n");
    }

    #[test]
    fn a_value_cannot_steer_a_terminal_or_begin_another_row() {
        assert_eq!(printed(Some("link"), Reader::Script, &[("a\nb\u{1b}[2J", None)]), "a\\nb\\u{1b}[2J\n");
        assert_eq!(printed(Some("link"), Reader::Person, &[("a\nb", None)]), "LINK\na\\nb\n");
    }

    #[test]
    fn a_field_that_is_not_there_is_answered_with_the_nearest_or_all() {
        let refused = |fields| Table::new(COLUMNS, Some(fields), Reader::Script).unwrap_err();
        assert_eq!(refused("link,hist"), "-o \"hist\": there is no such field; did you mean hits?");
        assert_eq!(refused("colour"), "-o \"colour\": there is no such field; there are link, hits, details, and all");
        assert!(refused("").contains("there are link") && refused("link,").contains("there are link"));
        assert_eq!(printed(Some("ALL"), Reader::Script, &[("a", Some(1))]), "a:1:Script a\n");
    }

    #[test]
    fn times_are_short_for_people_and_exact_for_scripts() {
        const SECOND: u64 = 1_000_000_000;
        for (ns, person, script) in [
            (0, "0.0s", "0.000000000"),
            (SECOND - 1, "0.9s", "0.999999999"),
            (59 * SECOND, "59.0s", "59.000000000"),
            (60 * SECOND, "1m00s", "60.000000000"),
            (3600 * SECOND, "1h00m", "3600.000000000"),
            (90_061 * SECOND, "1d01h", "90061.000000000"),
            (u64::MAX, "213503d23h", "18446744073.709551615"),
        ] {
            assert_eq!((duration(ns, Reader::Person).as_str(), duration(ns, Reader::Script).as_str()), (person, script));
        }
    }
}
