//! A question that is being asked: overlay-trace at work, and what it has printed when it was ended.

use overlay_tests::{Ended, Peer, Run, Running, is_root, ndjson, program, skip};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Far more than a story takes, also on a busy machine.
const STORY: Duration = Duration::from_secs(300);

/// Whether scripts can be run here; if not, it is said and counted.
pub(crate) fn can_trace(test: &str) -> bool {
    let test = format!("trace::{test}");
    if !is_root() {
        skip(&test, "not root");
        return false;
    }
    Peer::find(&test, "bpftrace").is_some()
}

/// overlay-trace with some arguments, to be run.
pub(crate) fn overlay_trace<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Run {
    Run::new(program("overlay-trace")).args(arguments).within(STORY)
}

/// A question that is being asked.
pub(crate) struct Trace {
    running: Running,
}

impl Trace {
    /// Asks it with JSON. It need not have begun to listen: [`Trace::attached`] waits.
    pub(crate) fn ask<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { running: overlay_trace(arguments.into_iter().chain(["--json"])).start() }
    }

    /// Waits until it listens.
    pub(crate) fn attached(&mut self) {
        self.running.wait_for("the first line of the script", |printed| printed.contains("Tracing "));
    }

    /// The tracer that it has started.
    pub(crate) fn child(&self) -> String {
        let id = self.running.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it runs");
        children.trim().to_owned()
    }

    /// Ends it as nothing can be caught.
    pub(crate) fn kill(self) {
        self.running.signal("KILL");
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn end(self) -> Told {
        self.running.signal("INT");
        let Ended { code, stdout, stderr } = self.running.end_with_open_input();
        // Probes that no place in the daemons fires have no note there; what is asked of them is left out, and that is said.
        let clean = stderr.lines().all(|line| line.contains(" were built without "));
        assert!(code == 0 && clean, "exit status {code}: {stderr}\n{stdout}");
        let mut told = Told::default();
        for object in ndjson(&stdout) {
            let data = &object["data"];
            match object["type"].as_str().expect("every line has a type") {
                "printf" => told.lines.push(data.as_str().expect("a text").trim_end().to_owned()),
                "map" | "hist" | "stats" => {
                    let maps = data.as_object().expect("maps by their names");
                    told.maps.extend(maps.iter().map(|(name, map)| (name.clone(), map.clone())));
                }
                "attached_probes" | "time" => {}
                other => panic!("an unknown type {other}: {object}"),
            }
        }
        told
    }
}

/// What a question was answered with.
#[derive(Default, Debug)]
pub(crate) struct Told {
    /// Maps by their names, which begin with `@`; the last state of each.
    maps: BTreeMap<String, Value>,
    /// Lines.
    pub(crate) lines: Vec<String>,
}

impl Told {
    /// The counts of a map, by its keys.
    pub(crate) fn map(&self, name: &str) -> BTreeMap<&str, u64> {
        let entries = self.maps.get(name).and_then(Value::as_object).into_iter().flatten();
        entries.map(|(key, value)| (&**key, value.as_u64().unwrap_or_else(|| panic!("{name}[{key}]: {value}")))).collect()
    }

    /// One count; 0 where there is none.
    pub(crate) fn count(&self, name: &str, key: &str) -> u64 {
        self.map(name).get(key).copied().unwrap_or_default()
    }

    /// The sum of a map; of one without keys, its value.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.maps.get(name).and_then(Value::as_u64).unwrap_or_else(|| self.map(name).values().sum())
    }

    /// How much is in a histogram, all keys together.
    pub(crate) fn in_histogram(&self, name: &str) -> u64 {
        let Some(map) = self.maps.get(name) else { return 0 };
        let buckets: Vec<&Value> = match map {
            Value::Array(buckets) => buckets.iter().collect(),
            _ => map.as_object().into_iter().flatten().filter_map(|(_, buckets)| buckets.as_array()).flatten().collect(),
        };
        buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap_or_else(|| panic!("{name}: {bucket}"))).sum()
    }
}
