//! What does an interface carry right now? Captured in a thread of its own, so that nothing is lost between two looks.

use super::observed::Observed;
use super::{Source, Telling, guarded};
use crate::rows::Report;
use crate::wish::{Wish, select};
use overlay_captures::Chunk;
use overlay_captures::filter::Filter;
use overlay_captures::host::{Namespace, Survey};
use overlay_captures::live::{Live, LiveError, Missing, Options, Place};
use overlay_decoder::{Config, Walker};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Headers of two packets in each other, with options.
const SNAPLEN: u32 = 256;
const BUFFER_BYTES: u32 = 8 << 20;
/// How long is waited at most: an interface that went down is noticed when it is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Every packet with a VNI.
const WANTED: &str = "vni 0-16777215";

/// What the capturing thread has found so far.
#[derive(Debug)]
struct Found {
    observed: Observed,
    /// Why interfaces cannot be captured on any more.
    ended: Vec<String>,
    over: bool,
    /// Packets that the kernel had no room for.
    lost: u64,
}

/// Interfaces that are captured on.
pub(crate) struct Interfaces {
    name: String,
    found: Arc<Mutex<Found>>,
    /// What is captured with, until the first look.
    waiting: Option<(Live, Walker)>,
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(error: &LiveError) -> String {
    if error.is_permission {
        return format!("{}: capturing needs CAP_NET_RAW; run it with sudo", error.label);
    }
    error.to_string()
}

impl Interfaces {
    /// Starts to capture on `names` in `namespaces`.
    ///
    /// # Errors
    /// A sentence, when one of them cannot be captured on.
    pub(crate) fn open(names: &[String], namespaces: &[Namespace], mut config: Config) -> Result<Self, String> {
        let survey = Survey::of(namespaces);
        survey.known_ports().into_iter().for_each(|(port, tunnel)| config.add_port(port, tunnel));
        let mut places = Vec::new();
        for name in names {
            let known = places.len();
            for surveyed in &survey.namespaces {
                let link = surveyed.links.iter().find(|link| link.name == *name);
                if link.is_none() && name != "any" {
                    continue;
                }
                let namespace = surveyed.namespace.clone();
                let label = if namespace.is_current() { name.clone() } else { format!("{namespace}/{name}") };
                let vni = link.and_then(|link| link.tunnel.as_ref()).and_then(|tunnel| tunnel.vni);
                places.push(Place { namespace, interface: name.clone(), label, mac: link.and_then(|link| link.mac), vni });
            }
            if places.len() == known {
                let links = survey.namespaces.iter().flat_map(|surveyed| &surveyed.links);
                let there: Vec<&str> = links.map(|link| link.name.as_str()).collect();
                return Err(format!("{name}: no such interface; there are any, {}", there.join(", ")));
            }
        }
        let options = Options { snaplen: SNAPLEN, promiscuous: false, buffer_bytes: BUFFER_BYTES, direction: None };
        let mut live = Live::open(&places, options, Missing::Refuse).map_err(|error| refusal(&error))?;
        let filter = Filter::parse(WANTED).map_err(|error| error.to_string())?;
        live.set_filter(filter.needs_decode(), |link| filter.live_prefilter(&config, link)).map_err(|error| refusal(&error))?;
        let name = names.join(",");
        let found = Found { observed: Observed::new(&name), ended: Vec::new(), over: false, lost: 0 };
        let found = Arc::new(Mutex::new(found));
        Ok(Self { name, found, waiting: Some((live, Walker::new(config))) })
    }

    /// Starts the thread that captures, if it was not started yet: only now rights have been given up, which it is not to have.
    fn start(&mut self) {
        let Some((live, walker)) = self.waiting.take() else { return };
        let thread = Arc::clone(&self.found);
        std::thread::spawn(move || {
            if let Err(why) = guarded(|| capture(live, walker, &thread)) {
                let mut held = lock(&thread);
                held.ended.push(why);
                held.over = true;
            }
        });
    }
}

/// Captures until no interface is left; ends with the process.
fn capture(mut live: Live, mut walker: Walker, found: &Mutex<Found>) {
    let mut chunk = Chunk::new();
    loop {
        live.fill(&mut chunk);
        let ended = live.take_ended();
        let lost = live.counts().iter().map(|(_, counts)| counts.dropped).sum();
        let mut held = lock(found);
        held.lost = lost;
        held.ended.extend(ended.iter().map(refusal));
        for record in chunk.records() {
            let mut packet = walker.walk(record.bytes, record.len, record.link);
            packet.device_vni = record.interface.and_then(|interface| interface.vni);
            held.observed.take(&record, &packet);
        }
        held.over = live.is_over();
        if held.over {
            return;
        }
        drop(held);
        if chunk.is_empty()
            && let Err(error) = live.wait(&[], Some(LOOK_AGAIN))
        {
            let mut held = lock(found);
            held.ended.push(format!("waiting for packets: {error}"));
            held.over = true;
            return;
        }
    }
}

impl Source for Interfaces {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn look(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        self.start();
        let (overlays, events, notes, fault) = {
            let mut held = lock(&self.found);
            let lost =
                (held.lost > 0).then(|| format!("{}: {} packets were lost, the machine is too busy to look at all", self.name, held.lost));
            let notes: Vec<String> = held.ended.iter().cloned().chain(held.observed.note()).chain(lost).collect();
            let fault = held.over.then(|| format!("no interface is left to capture on ({})", held.ended.join("; ")));
            (held.observed.overlays(), held.observed.take_events(), notes, fault)
        };
        telling.say(Report::Health { fault });
        telling.say(Report::Overlays { rows: overlays, unattributed: BTreeMap::new() });
        events.into_iter().for_each(|event| telling.say(Report::Event { event }));
        telling.say(Report::Notes { sentences: notes });
        self.targets(wish, telling);
    }

    fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
        if wish.limit > 0 {
            let rows = lock(&self.found).observed.targets(telling.at);
            telling.say(Report::Targets(select(&rows, wish)));
        }
    }
}
