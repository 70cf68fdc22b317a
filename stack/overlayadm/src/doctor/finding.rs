//! What was found: how bad it is, what it is about, why it matters, and what to do.

use crate::table::printable;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// All checks, as `docs/troubleshooting.md` has them.
const CHECKS: &[&str] = &[
    "overlayd",
    "varpd",
    "varpd-refused",
    "clash",
    "version",
    "rights",
    "tun",
    "plugins",
    "overlay",
    "vnic",
    "unknown-vni",
    "namespace",
    "links",
    "address",
    "mtu",
    "port-clash",
    "empty-fdb",
    "rp-filter",
    "rules",
    "receive-buffer",
    "nothing",
];

/// How bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Something does not work.
    Error,
    /// Something may not work, or not always.
    Warning,
    /// Something could not be looked at.
    Unknown,
    /// Good to know.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Note => "note",
        })
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(crate) struct Finding {
    /// How bad.
    pub(crate) severity: Severity,
    /// Which check found it: a word that stays the same.
    pub(crate) check: &'static str,
    /// The thing, with its namespace where it has one.
    pub(crate) thing: String,
    /// What was found.
    pub(crate) found: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) why: &'static str,
    /// What to do: a command, if there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) repair: String,
}

impl Finding {
    /// A finding.
    pub(crate) fn new(severity: Severity, check: &'static str, thing: impl Into<String>, found: impl Into<String>) -> Self {
        debug_assert!(CHECKS.contains(&check), "{check}: not in the list");
        Self { severity, check, thing: thing.into(), found: found.into(), why: "", repair: String::new() }
    }

    /// With why it matters.
    pub(crate) fn why(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    /// With what to do.
    pub(crate) fn repair(mut self, repair: impl Into<String>) -> Self {
        self.repair = repair.into();
        self
    }

    /// What could not be looked at.
    pub(crate) fn unknown(check: &'static str, thing: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self::new(Severity::Unknown, check, thing, format!("could not be looked at: {problem}"))
    }

    /// For people.
    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}: {}", self.severity, printable(self.thing.clone()), printable(self.found.clone()))?;
        if !self.why.is_empty() {
            writeln!(out, "  why: {}", self.why)?;
        }
        if !self.repair.is_empty() {
            writeln!(out, "  do:  {}", printable(self.repair.clone()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_why_and_what_to_do() {
        let finding = Finding::new(Severity::Error, "mtu", "device vx\u{1b}0", "too big").why("It hangs.").repair("ip link");
        let mut out = Vec::new();
        finding.print(&mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(said, "error: device vx\\u{1b}0: too big\n  why: It hangs.\n  do:  ip link\n");
        let json = serde_json::to_value(Finding::unknown("links", "x", "no")).unwrap();
        let expected = serde_json::json!({"severity": "unknown", "check": "links", "thing": "x", "found": "could not be looked at: no"});
        assert_eq!(json, expected);
    }

    #[test]
    fn the_page_has_every_check() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubleshooting.md");
        let page = std::fs::read_to_string(path).unwrap();
        let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(check, _)| check).collect();
        assert_eq!(rows, CHECKS);
    }
}
