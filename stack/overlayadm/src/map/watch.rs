//! What changes in a network? A line a change, for as long as somebody looks.

use super::flags::Watch;
use super::place::Place;
use super::plan::Key;
use super::rows::{EntryObject, line};
use super::store::{Store, entry_of};
use super::{failed, note};
use crate::Refusal;
use crate::show::object;
use crate::table::printable;
use overlay_api::mapping::MappingEntry;
use overlay_client::Client;
use overlay_decoder::Mac;
use overlay_etcd::{Backoff, Change, Error};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// Silence after which etcd is asked whether it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change, as JSON says it.
#[derive(Serialize)]
struct ChangeObject<'a> {
    change: &'static str,
    mac: Mac,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<EntryObject<'a>>,
}

/// What was shown last of each entry: what a gap is compared with.
struct Shown<'o> {
    entries: BTreeMap<Mac, Option<MappingEntry>>,
    out: &'o mut dyn Write,
    json: bool,
    /// Changes that are still to be shown, if there is a limit.
    left: Option<u64>,
}

impl Shown<'_> {
    /// `after` is what there is now: nothing, or an entry, or something that is none.
    fn show(&mut self, mac: Mac, after: Option<Option<MappingEntry>>, revision: i64) -> Result<(), Refusal> {
        if self.is_over() || self.entries.get(&mac) == after.as_ref() {
            return Ok(());
        }
        let change = match (self.entries.contains_key(&mac), &after) {
            (_, None) => "removed",
            (false, Some(_)) => "added",
            (true, Some(_)) => "changed",
        };
        let entry = after.as_ref().and_then(Option::as_ref);
        if self.json {
            object(self.out, &ChangeObject { change, mac, revision, entry: entry.map(EntryObject::from) })?;
        } else {
            let text = match (&after, entry) {
                (_, Some(entry)) => format!(" {}", line(entry)),
                (Some(_), None) => " (what is there is no entry)".to_owned(),
                (None, None) => String::new(),
            };
            writeln!(self.out, "{change:<7} {mac}{}", printable(text))?;
        }
        self.out.flush()?;
        match after {
            Some(after) => drop(self.entries.insert(mac, after)),
            None => drop(self.entries.remove(&mac)),
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.left == Some(0)
    }
}

/// `map watch`.
pub(super) fn watch(client: &Client, asked: Watch, out: &mut dyn Write) -> Result<(), Refusal> {
    let store = Store::open(&Place::find(client, asked.network)?)?;
    let (stored, garbage, mut revision) = store.read_at()?;
    super::complain_of(&garbage);
    let entries = stored.entries.into_iter().map(|(mac, (entry, _))| (mac, entry)).collect();
    let mut shown = Shown { entries, out, json: asked.json, left: asked.count };
    note(&format!("watching {} entries", shown.entries.len()));
    let (mut backoff, mut away) = (Backoff::new(), false);
    while !shown.is_over() {
        let error = match follow(&store, &mut shown, &mut revision, &mut away) {
            Ok(()) => return Ok(()),
            Err(End::Refused(refusal)) => return Err(refusal),
            Err(End::Store(error)) => error,
        };
        match error {
            Error::Compacted(_) => revision = catch_up(&store, &mut shown)?,
            error if error.is_passing() => {
                if !std::mem::replace(&mut away, true) {
                    note(&format!("etcd: {error}; it is tried again"));
                    backoff.worked();
                }
                std::thread::sleep(backoff.failed());
            }
            other => return Err(failed(format!("etcd: {other}"))),
        }
    }
    Ok(())
}

/// Why following ended.
enum End {
    Store(Error),
    Refused(Refusal),
}

/// Shows changes from the one after `revision` on, until there is an error, or enough was shown.
fn follow(store: &Store, shown: &mut Shown<'_>, revision: &mut i64, away: &mut bool) -> Result<(), End> {
    let (runtime, client, network) = store.parts();
    runtime.block_on(async {
        let mut watch = client.watch(&network.prefix(), *revision + 1).await.map_err(End::Store)?;
        loop {
            let changes = watch.next(PATIENCE).await.map_err(End::Store)?;
            if std::mem::take(away) {
                note("etcd is there again");
            }
            for change in changes.changes {
                let (key, after) = match &change {
                    Change::Put(entry) => (&entry.key, Some(&entry.value)),
                    Change::Delete { key } => (key, None),
                };
                if let Ok(Key::Vl2(mac)) = network.read(key) {
                    let after = after.map(|value| entry_of(mac, value));
                    shown.show(mac, after, changes.revision).map_err(End::Refused)?;
                }
            }
            // A word that it is there has no revision.
            *revision = changes.revision.max(*revision);
            if shown.is_over() {
                return Ok(());
            }
        }
    })
}

/// Shows what is different, where the changes are no longer kept.
fn catch_up(store: &Store, shown: &mut Shown<'_>) -> Result<i64, Refusal> {
    let (stored, _, revision) = store.read_at()?;
    let gone: Vec<Mac> = shown.entries.keys().filter(|mac| !stored.entries.contains_key(mac)).copied().collect();
    for mac in gone {
        shown.show(mac, None, revision)?;
    }
    for (mac, (entry, _)) in stored.entries {
        shown.show(mac, Some(entry), revision)?;
    }
    Ok(revision)
}
