//! What is there? Rows from overlayd, as a table or as a JSON object a line.

mod overlay;
mod property;
mod target;
mod vnic;

pub(crate) use overlay::overlays;
pub(crate) use property::properties;
pub(crate) use vnic::vnics;

use crate::Refusal;
use crate::table::{Column, Reader, Table};
use overlay_api::control::ProblemKind;
use overlay_client::ClientError;
use serde::Serialize;
use std::io::Write;

/// How rows are printed.
enum Shape<'c, R> {
    /// A JSON object a line.
    Json,
    /// A table for either reader.
    Table(Table<'c, R>),
}

impl<'c, R> Shape<'c, R> {
    fn new(columns: &'c [Column<R>], print: &crate::flags::Print, parsable: bool) -> Result<Self, Refusal> {
        if print.json {
            return Ok(Self::Json);
        }
        let reader = if parsable { Reader::Script } else { Reader::Person };
        Table::new(columns, print.output.as_deref(), reader).map(Self::Table).map_err(Refusal::Usage)
    }

    fn print(&mut self, out: &mut dyn Write, rows: &[R]) -> Result<(), Refusal>
    where
        R: Serialize,
    {
        match self {
            Self::Json => rows.iter().try_for_each(|row| object(out, row)),
            Self::Table(table) => Ok(table.print(out, rows)?),
        }
    }
}

/// Prints one JSON object and ends the line.
pub(crate) fn object(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Refusal> {
    serde_json::to_writer(&mut *out, value).map_err(|error| Refusal::Output(error.into()))?;
    Ok(writeln!(out)?)
}

/// What overlayd says of one of all links; nothing if the link has gone since they were listed.
fn unless_gone<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(error) if error.problem().is_some_and(|problem| problem.kind == ProblemKind::Unknown) => Ok(None),
        other => other.map(Some),
    }
}
