//! Every probe of a process, watched by bpftrace: what fired, when, on which thread, with what.

use overlay_client::{Client, VarpdClient};
use overlay_probes::{CATALOGUE, Kind, Probe};
use overlay_tests::{Ended, Peer, Running, is_root, skip};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Far more than a story takes, also on a busy machine.
const STORY: Duration = Duration::from_secs(300);
/// Names that a watcher understands when they are asked for at the watched daemon's control socket.
const QUIET: &str = "watcher-quiet";
const END: &str = "watcher-end";

/// bpftrace, where it can be used.
pub(crate) fn bpftrace(test: &str) -> Option<Peer> {
    let test = format!("trace::{test}");
    if !is_root() {
        skip(&test, "not root");
        return None;
    }
    Peer::find(&test, "bpftrace")
}

/// A daemon that is watched, and is told so through its control socket: then all that it has done before has been seen.
pub(crate) trait Watched {
    /// The provider of its probes.
    const PROVIDER: &'static str;
    /// The list that a name is asked in.
    const LIST: &'static str;

    /// Asks for something that is not there.
    fn ask(&self, name: &str);
}

impl Watched for Client {
    const PROVIDER: &'static str = "overlay";
    const LIST: &'static str = "/v1/overlays";

    fn ask(&self, name: &str) {
        self.overlay(&name.parse().expect("a name")).expect_err("there is none of that name");
    }
}

impl Watched for VarpdClient {
    const PROVIDER: &'static str = "varpd";
    const LIST: &'static str = "/v1/instances";

    fn ask(&self, name: &str) {
        self.instance(&name.parse().expect("a name")).expect_err("there is none of that name");
    }
}

/// What only plugins of others make varpd fire.
pub(crate) const BY_PLUGINS: [&str; 4] = ["answer-missing", "answer-late", "plugin-load", "plugin-crash"];
/// Where it is tested that they fire.
pub(crate) const PLUGINS: &str = "tests/tests/plugins";
/// What only a mapping in etcd makes varpd fire, and where that is tested.
pub(crate) const BY_STORE: [&str; 4] = ["store-resync", "store-change", "store-lost", "store-garbage"];
pub(crate) const STORE: &str = "tests/tests/etcd";

/// The probes of a provider that the daemons have. Their places are numbers in what bpftrace runs: names would take room that a program for
/// the kernel does not have.
pub(crate) fn probes_of(provider: &str) -> Vec<&'static Probe> {
    CATALOGUE.iter().filter(|probe| probe.provider == provider).collect()
}

/// A bpftrace at work.
pub(crate) struct Watch<'a, W: Watched> {
    watched: &'a W,
    running: Running,
}

/// All that was seen.
pub(crate) struct Seen {
    /// Firings, in the order of time.
    pub(crate) fired: Vec<Fired>,
    /// How often each probe fired, those after [`Watch::be_quiet`] included.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// A firing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fired {
    /// Which probe.
    pub(crate) probe: &'static Probe,
    /// When, in nanoseconds since the boot.
    pub(crate) at: u64,
    /// On which thread.
    pub(crate) thread: u64,
    /// Its arguments.
    values: Vec<String>,
}

impl Fired {
    /// An argument by its name.
    pub(crate) fn text(&self, name: &str) -> &str {
        let place = self.probe.arguments.iter().position(|argument| argument.name == name);
        let place = place.unwrap_or_else(|| panic!("{} has no argument {name}", self.probe.name));
        &self.values[place]
    }

    /// An integer by its name.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_else(|error| panic!("{name} of {self:?}: {error}"))
    }

    /// All integers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let integers = self.probe.arguments.iter().zip(&self.values).filter(|(argument, _)| argument.kind != Kind::Text);
        integers.map(|(argument, _)| self.number(argument.name))
    }
}

impl Seen {
    /// The firings of a probe.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &Fired> {
        assert!(self.counts.contains_key(name), "{name} is no probe that was watched");
        self.fired.iter().filter(move |fired| fired.probe.name == name)
    }

    /// The sum of an argument over all firings of a probe.
    pub(crate) fn sum(&self, name: &str, argument: &str) -> u64 {
        self.of(name).map(|fired| fired.number(argument)).sum()
    }
}

impl<'a, W: Watched> Watch<'a, W> {
    /// Watches all that process `id` does from now on.
    pub(crate) fn start(bpftrace: &Peer, id: u32, watched: &'a W) -> Self {
        let script = script::<W>();
        let run = bpftrace.run(Path::new("/"), ["-B", "line", "-p", &id.to_string(), "-e", &script]);
        // Room for what all processors fire at once.
        let mut running = run.env("BPFTRACE_PERF_RB_PAGES", "1024").within(STORY).start();
        // It says "Attaching" before it has; BEGIN runs after.
        running.wait_for("bpftrace to attach", |printed| printed.contains("watching\n"));
        Self { watched, running }
    }

    /// From now on firings are counted, and no longer listed.
    pub(crate) fn be_quiet(&self) {
        self.watched.ask(QUIET);
    }

    /// Ends it: what was seen.
    pub(crate) fn end(self) -> Seen {
        self.watched.ask(END);
        let Ended { code, stdout, stderr } = self.running.end();
        assert_eq!(code, 0, "{stderr}");
        assert!(!stdout.contains("Lost ") && !stderr.contains("Lost "), "{stderr}");
        let probes = probes_of(W::PROVIDER);
        let mut counts: BTreeMap<_, _> = probes.iter().map(|probe| (probe.name, 0)).collect();
        let mut fired: Vec<Fired> = Vec::new();
        for line in stdout.lines() {
            if let Some(count) = line.strip_prefix("@n[") {
                let (number, count) = count.split_once("]: ").expect("a number and its count");
                let number: usize = number.parse().expect("a number");
                counts.insert(probes[number].name, count.parse().expect("a count"));
            } else if let Some(event) = line.strip_prefix("E\t") {
                let mut words = event.split('\t');
                let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_else(|| panic!("{line:?}"));
                let (at, thread, probe) = (number(), number(), probes[number() as usize]);
                let values: Vec<String> = words.map(str::to_owned).collect();
                assert_eq!(values.len(), probe.arguments.len(), "{line:?}");
                fired.push(Fired { probe, at, thread, values });
            }
        }
        // Each processor's lines come in their order, those of several in any.
        fired.sort_by_key(|fired| fired.at);
        Seen { fired, counts }
    }
}

/// A program that counts all probes of a provider and lists their firings.
fn script<W: Watched>() -> String {
    let mut script = String::from("BEGIN { @quiet = 0; @end = 0; printf(\"watching\\n\"); }\n");
    for (number, Probe { provider, name, arguments, .. }) in probes_of(W::PROVIDER).into_iter().enumerate() {
        let formats = arguments.iter().map(|argument| match argument.kind {
            Kind::Text => "\\t%s",
            Kind::U64 => "\\t%lu",
            Kind::U8 | Kind::U16 | Kind::U32 => "\\t%u",
        });
        let formats: String = formats.collect();
        let values = arguments.iter().enumerate().map(|(place, argument)| match argument.kind {
            Kind::Text => format!(", str(arg{place})"),
            _ => format!(", arg{place}"),
        });
        let values: String = values.collect();
        let _ = writeln!(
            script,
            "usdt:*:{provider}:{name} {{ @n[{number}] = count(); \
             if (@quiet == 0) {{ printf(\"E\\t%lu\\t%lu\\t{number}{formats}\\n\", nsecs, tid{values}); }} }}"
        );
    }
    for (name, variable) in [(QUIET, "quiet"), (END, "end")] {
        let (provider, path) = (W::PROVIDER, format!("{}/{name}", W::LIST));
        let _ = writeln!(script, "usdt:*:{provider}:control-call /str(arg5) == \"{path}\"/ {{ @{variable} = 1; }}");
    }
    // A while after the end, so that what other processors have to say is heard, too.
    script + "interval:s:1 /@end == 1/ { @end = 2; } interval:ms:700 /@end == 2/ { exit(); }\n"
}
