//! What is wrong with this host's overlay set-up? Looks, changes nothing, and says what to do.
//!
//! ```text
//!  stack: overlayd, varpd ──┐
//!  kernel: tunnel devices ──┼──► End: a device that sends and receives ──► checks, with what is in its namespace (look, rules)
//!                           └────────────────────────────────────────────► Finding: how bad, what, why, what to do
//! ```
//!
//! It works without overlayd: then it is the kernel's own tunnel devices that are looked at. What may not be looked at is a finding, too.

mod checks;
mod finding;
mod kernel;
mod look;
mod rules;
mod stack;

use crate::flags::Doctor;
use crate::{Refusal, show};
use checks::End;
use finding::{Finding, Severity};
use look::Place;
use overlay_api::Paths;
use overlay_captures::host::{Namespace, Survey};
use std::io::Write;

/// Looks, and prints what was found.
pub(crate) fn doctor(paths: &Paths, asked: &Doctor, out: &mut dyn Write) -> Result<(), Refusal> {
    let mut findings = Vec::new();
    let stack = stack::Stack::ask(paths, &mut findings);
    let namespaces = namespaces(asked, &stack, &mut findings)?;
    let survey = Survey::of(&namespaces);
    findings.extend(survey.skipped.iter().map(|error| Finding::unknown("namespace", "network namespace", error)));
    let mut places = Vec::new();
    for namespace in &namespaces {
        match Place::look(namespace) {
            Ok(place) => places.push(place),
            Err(problem) => findings.push(Finding::unknown("namespace", checks::netns(namespace), problem)),
        }
    }
    let mut ends = kernel::ends(&survey, &places, &mut findings);
    ends.extend(stack.ends());
    for place in &places {
        let here: Vec<&End> = ends.iter().filter(|end| end.namespace.is_same(&place.namespace)).collect();
        checks::check(place, &here, &mut findings);
    }
    if ends.is_empty() {
        let found = format!("no tunnel device and no overlay in {} network namespace(s)", places.len());
        let note = Finding::new(Severity::Note, "nothing", "this host", found);
        findings.push(note.repair("overlayadm doctor --all-netns looks everywhere; overlayadm create-overlay makes one"));
    }
    findings.sort();
    findings.dedup();
    print(&findings, asked.json, ends.len(), out)
}

/// Where to look: what was asked for, or here and where overlayd is and sends.
fn namespaces(asked: &Doctor, stack: &stack::Stack, findings: &mut Vec<Finding>) -> Result<Vec<Namespace>, Refusal> {
    let failed = |error: overlay_captures::host::HostError| Refusal::Untried(error.to_string());
    if asked.all_netns {
        let all = Namespace::all().map_err(failed)?;
        if all.unreadable_processes > 0 {
            let problem = format!("{} processes of other users may not be looked at; root may", all.unreadable_processes);
            findings.push(Finding::unknown("namespace", "network namespaces without a name", problem));
        }
        return Ok(all.readable);
    }
    if !asked.netns.is_empty() {
        return asked.netns.iter().map(|name| Namespace::find(name).map_err(failed)).collect();
    }
    let mut all = vec![Namespace::current().map_err(failed)?];
    for namespace in stack.namespaces() {
        if !all.iter().any(|known| known.is_same(namespace)) {
            all.push(namespace.clone());
        }
    }
    Ok(all)
}

fn print(findings: &[Finding], json: bool, ends: usize, out: &mut dyn Write) -> Result<(), Refusal> {
    for finding in findings {
        if json {
            show::object(out, finding)?;
        } else {
            finding.print(out)?;
        }
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if !json {
        let unknown = count(Severity::Unknown);
        writeln!(out, "{ends} tunnel ends: {errors} errors, {warnings} warnings, {unknown} could not be looked at")?;
    }
    out.flush()?;
    if errors + warnings > 0 { Err(Refusal::Said) } else { Ok(()) }
}
