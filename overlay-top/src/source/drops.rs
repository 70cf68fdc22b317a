//! What does the kernel itself drop, and why does it say so? Its named reasons (skb_drop_reason), counted by bpftrace.
//!
//! A script of one line counts in the kernel, so that a flood costs an addition each; its sums come once a second. It counts in all network
//! namespaces, whichever is looked at: a packet is dropped before it is known whose it was. The names come from the kernel's own description of
//! the tracepoint, so that those of a newer kernel are there, too.

use super::{Source, Telling};
use crate::rows::Report;
use crate::wish::Wish;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Its name: that of the tracepoint.
pub(crate) const NAME: &str = "kfree_skb";
/// Reasons up to this number are none: consumed, or not said.
const UNNAMED_MAX: u64 = 2;
/// Where the kernel describes its tracepoints, by how tracefs is mounted.
const FORMATS: [&str; 2] = ["/sys/kernel/tracing/events/skb/kfree_skb/format", "/sys/kernel/debug/tracing/events/skb/kfree_skb/format"];
/// Most bytes of what a program says about its failure.
const SAID_MAX_BYTES: u64 = 64 << 10;

/// What has been heard so far.
#[derive(Debug, Default)]
struct Heard {
    /// By the kernel's number; none before the first line.
    counts: Option<BTreeMap<u64, u64>>,
    fault: Option<String>,
}

/// The kernel's drops.
pub(crate) struct KernelDrops {
    child: Option<Child>,
    /// What it prints and what it says, until somebody listens.
    unheard: Option<(Option<ChildStdout>, Option<ChildStderr>)>,
    heard: Arc<Mutex<Heard>>,
    names: BTreeMap<u64, String>,
}

impl KernelDrops {
    /// Starts to count. What is wrong is told as any source's fault.
    pub(crate) fn start() -> Self {
        let text = FORMATS.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let names = text.as_deref().map(names).unwrap_or_default();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let program = format!(
            "tracepoint:skb:kfree_skb /args->reason > {UNNAMED_MAX}/ {{ @[args->reason] = count(); }} interval:s:1 {{ print(@); }}"
        );
        let mut command = Command::new("bpftrace");
        command.args(["-f", "json", "-e", &program]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().inspect_err(|error| lock(&heard).fault = Some(fault(&format!("bpftrace cannot be started: {error}")))).ok();
        let unheard = child.as_mut().map(|child| (child.stdout.take(), child.stderr.take()));
        Self { child, unheard, heard, names }
    }
}

/// A thread that panicked with the lock has left whole counts.
fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fault(why: &str) -> String {
    format!("the kernel's reasons cannot be counted: {why}; that needs root and bpftrace")
}

/// Hears until bpftrace has ended.
fn listen(out: Option<impl Read>, said: Option<impl Read>, heard: &Mutex<Heard>) {
    for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
        if let Some(counts) = counts(&line) {
            lock(heard).counts = Some(counts);
        }
    }
    let mut text = String::new();
    let read = said.map(|said| said.take(SAID_MAX_BYTES).read_to_string(&mut text));
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).filter(|_| matches!(read, Some(Ok(_))));
    lock(heard).fault = Some(fault(&format!("bpftrace has ended: {}", last.unwrap_or("it does not say why").trim())));
}

/// Of a line of bpftrace, the counts by their numbers; none if it says something else.
fn counts(line: &str) -> Option<BTreeMap<u64, u64>> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "type")]
        kind: String,
        data: BTreeMap<String, serde_json::Value>,
    }
    // All other lines have no map there, or one without this name.
    let line: Line = serde_json::from_str(line).ok().filter(|line: &Line| line.kind == "map")?;
    let counts = line.data.get("@")?.as_object()?;
    counts.iter().map(|(reason, count)| Some((reason.parse().ok()?, count.as_u64()?))).collect()
}

/// The kernel's names: `__print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, ..`.
fn names(format: &str) -> BTreeMap<u64, String> {
    let symbols = format.split("__print_symbolic(REC->reason,").nth(1).unwrap_or_default();
    let pair = |part: &str| {
        let (number, name) = part.split_once(',')?;
        let name = name.split('"').nth(1)?;
        Some((number.trim().parse().ok()?, name.to_owned()))
    };
    symbols.split('{').filter_map(pair).collect()
}

impl Source for KernelDrops {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn look(&mut self, _: &Wish, telling: &mut Telling<'_>) {
        // A thread of ours has no rights that are not needed; at the start there still were.
        if let Some((out, said)) = self.unheard.take() {
            let heard = Arc::clone(&self.heard);
            std::thread::spawn(move || listen(out, said, &heard));
        }
        let heard = lock(&self.heard);
        telling.say(Report::Health { fault: heard.fault.clone() });
        if heard.fault.is_some() {
            return;
        }
        let starting = || format!("{NAME}: bpftrace is starting; what the kernel drops until then is not counted");
        telling.say(Report::Notes { sentences: heard.counts.is_none().then(starting).into_iter().collect() });
        let named = |(reason, count): (&u64, &u64)| {
            let name = self.names.get(reason).cloned();
            (name.unwrap_or_else(|| format!("REASON_{reason}")), *count)
        };
        let unattributed = heard.counts.iter().flatten().map(named).collect();
        telling.say(Report::Overlays { rows: Vec::new(), unattributed });
    }

    fn targets(&mut self, _: &Wish, _: &mut Telling<'_>) {}
}

impl Drop for KernelDrops {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_names_are_read_and_everything_else_is_passed_over() {
        let line = r#"{"type": "map", "data": {"@": {"5": 17, "105": 2}}}"#;
        assert_eq!(counts(line), Some([(5, 17), (105, 2)].into()));
        assert_eq!(counts(r#"{"type": "map", "data": {"@": {}}}"#), Some(BTreeMap::new()));
        for other in [r#"{"type": "attached_probes", "data": {"probes": 2}}"#, "", "{", r#"{"type":"map","data":{"@":{"x":1}}}"#] {
            assert_eq!(counts(other), None, "{other}");
        }
        let format =
            "print fmt: \"reason: %s\", REC->location, __print_symbolic(REC->reason, { 2, \"NOT_SPECIFIED\" }, { 3, \"NO_SOCKET\" })";
        assert_eq!(names(format), [(2, "NOT_SPECIFIED".to_owned()), (3, "NO_SOCKET".to_owned())].into());
        assert_eq!(names("nothing of the kind { 3, \"A\" }"), BTreeMap::new());
    }

    #[test]
    fn an_end_is_a_fault_with_the_last_thing_that_was_said() {
        let heard = Mutex::new(Heard::default());
        listen(Some(&b"{\"type\": \"map\", \"data\": {\"@\": {\"7\": 1}}}\n"[..]), Some(&b"a\nERROR: not permitted\n\n"[..]), &heard);
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard.counts, Some([(7, 1)].into()));
        let said = "the kernel's reasons cannot be counted: bpftrace has ended: ERROR: not permitted; that needs root and bpftrace";
        assert_eq!(heard.fault.as_deref(), Some(said));
    }
}
