//! How is the store followed? Load it, watch it, and when it is away go on with what is known, and say so.
//!
//! ```text
//!            ┌──────────── compacted, or another store ─────────────┐
//!            ▼                                                      │
//!  snapshot ─► load ── all at one revision ──► watch from the next ─┴─ changes
//!            ▲ │ fails: degraded, wait          │ fails: degraded, wait, watch again from the last revision
//!            └─┘                                └──────────────────────┘
//! ```

use super::index::{Effect, Index, entry};
use super::setup::Setup;
use super::snapshot;
use super::table::{Miss, Table};
use jiff::Timestamp;
use overlay_api::{Answer, file};
use overlay_decoder::Mac;
use overlay_etcd::{Backoff, Change, Changes, Client, Error, Key};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// A store that is silent for so long is asked whether it is there, and has as long again for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Keys of one page.
const PAGE: u32 = 10_000;
/// Time between two snapshots, at least; more where they take long.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(2);
/// MACs that the store is asked about at once.
const ASKED_MAX: usize = 64;

/// The thread of an instance. It ends after this is dropped.
pub(super) struct Follower {
    anew: Arc<Notify>,
    /// Dropped with it: that is the sign.
    _running: watch::Sender<()>,
}

impl Follower {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread left, or no descriptor.
    pub(super) fn start(setup: Setup, table: &Arc<Table>, misses: mpsc::Receiver<Miss>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let anew = Arc::new(Notify::new());
        let (running, ended) = watch::channel(());
        let following = Following {
            setup,
            table: Arc::downgrade(table),
            anew: Arc::clone(&anew),
            revision: 0,
            away_since: None,
            at: String::new(),
            written: None,
            dirty: false,
        };
        Builder::new().name("etcd".to_owned()).spawn(move || runtime.block_on(following.run(misses, ended)))?;
        Ok(Self { anew, _running: running })
    }

    /// Reads all anew.
    pub(super) fn read_anew(&self) {
        self.anew.notify_one();
    }
}

struct Following {
    setup: Setup,
    /// The instance may be gone while the store is waited for.
    table: Weak<Table>,
    anew: Arc<Notify>,
    /// The revision up to which all is known; 0 for nothing.
    revision: i64,
    /// Since when there is no contact; none while there is.
    away_since: Option<String>,
    /// When what is known was true.
    at: String,
    /// When the last snapshot was written, and how long that took.
    written: Option<(Instant, Duration)>,
    /// Something has changed since.
    dirty: bool,
}

/// Why a watch ended.
enum End {
    /// The store is away: watch again from the last revision.
    Failed(Error),
    /// What is known may be wrong, or is to be looked at: load.
    Anew,
}

impl Following {
    async fn run(mut self, misses: mpsc::Receiver<Miss>, mut ended: watch::Receiver<()>) {
        self.serve_snapshot();
        // Setup::of has checked all that can be wrong with it, but files change.
        let client = loop {
            match Client::new(&self.setup.config) {
                Ok(client) => break client,
                Err(error) => {
                    self.away(&error);
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(5)) => {}
                        _ = ended.changed() => return,
                    }
                }
            }
        };
        let asking = tokio::spawn(ask(client.clone(), self.setup.clone(), self.table.clone(), misses));
        tokio::select! {
            () = self.follow(&client) => {}
            // The sender is gone: the instance has ended.
            _ = ended.changed() => {}
        }
        asking.abort();
    }

    /// Follows without an end.
    async fn follow(&mut self, client: &Client) {
        let mut backoff = Backoff::new();
        loop {
            let outcome = if self.revision == 0 { self.load(client).await } else { Ok(()) };
            let error = match outcome {
                Ok(()) => match self.watch(client, &mut backoff).await {
                    End::Anew => {
                        self.revision = 0;
                        continue;
                    }
                    End::Failed(error) => error,
                },
                Err(error) => error,
            };
            self.away(&error);
            self.keep();
            tokio::select! {
                () = tokio::time::sleep(backoff.failed()) => {}
                () = self.anew.notified() => self.revision = 0,
            }
        }
    }

    /// Reads all keys, as they were at one revision.
    async fn load(&mut self, client: &Client) -> Result<(), Error> {
        let Some(with_port) = self.table.upgrade().map(|table| table.with_port()) else { return Ok(()) };
        let (mut index, setup, prefix) = (Index::default(), &self.setup, self.setup.layout.vnet(self.setup.vnet));
        let take = |entries: Vec<overlay_etcd::Entry>| {
            for found in entries {
                if let Err(why) = index.put(&setup.layout, &found.key, &found.value, with_port, &mut |_| {}) {
                    tracing::warn!("etcd: {why}");
                }
            }
        };
        self.revision = client.load(prefix.as_bytes(), PAGE, take).await?;
        let Some(table) = self.table.upgrade() else { return Ok(()) };
        let entries = index.len();
        let changed = table.replace(index, true);
        let host = table.host();
        overlay_probes::varpd::store_resync(host.number(), self.revision as u64, entries as u32, changed as u32, client.endpoint());
        tracing::info!("etcd for overlay {}: {entries} destinations at revision {} of {}", host.name(), self.revision, client.endpoint());
        self.contact();
        self.dirty = true;
        self.keep();
        Ok(())
    }

    /// Takes changes until the watch ends.
    async fn watch(&mut self, client: &Client, backoff: &mut Backoff) -> End {
        // A store that was set up anew counts from the start: it would not say a word before it comes to our revision.
        let prefix = self.setup.layout.vnet(self.setup.vnet);
        let mut is_behind = match client.get(prefix.clone().into_bytes()).await {
            Ok((_, revision)) if revision < self.revision => return End::Anew,
            Ok((_, revision)) => revision > self.revision,
            Err(error) => return End::Failed(error),
        };
        let mut watch = match client.watch(prefix.as_bytes(), self.revision + 1).await {
            Ok(watch) => watch,
            Err(error) => return End::Failed(error),
        };
        let mut is_new = true;
        loop {
            let changes = tokio::select! {
                changes = watch.next(PATIENCE) => changes,
                () = self.anew.notified() => return End::Anew,
            };
            match changes {
                Ok(changes) => {
                    self.take(changes);
                    // The first word is only that there is a watch. Whether what was missed can be had is said after it.
                    if is_new && !is_behind {
                        is_new = false;
                        backoff.worked();
                        self.contact();
                    }
                    is_behind = false;
                    self.keep();
                }
                Err(Error::Compacted(_)) => return End::Anew,
                Err(error) => return End::Failed(error),
            }
        }
    }

    fn take(&mut self, changes: Changes) {
        self.at = now();
        if changes.changes.is_empty() {
            return;
        }
        let Some(table) = self.table.upgrade() else { return };
        let (layout, with_port) = (&self.setup.layout, table.with_port());
        let mut problems = Vec::new();
        let changed = table.change(|index, effects: &mut Vec<Effect>| {
            for change in &changes.changes {
                match change {
                    Change::Put(entry) => {
                        if let Err(why) = index.put(layout, &entry.key, &entry.value, with_port, &mut |effect| effects.push(effect)) {
                            problems.push(why);
                        }
                    }
                    Change::Delete { key } => index.delete(layout, key, &mut |effect| effects.push(effect)),
                }
            }
        });
        for why in problems {
            tracing::warn!("etcd for overlay {}: {why}; the key counts as not there", table.host().name());
            overlay_probes::varpd::store_garbage(table.host().number(), why);
        }
        self.revision = self.revision.max(changes.revision);
        overlay_probes::varpd::store_change(table.host().number(), self.revision as u64, changes.changes.len() as u32, changed as u32);
        self.dirty = true;
    }

    /// The store answers.
    fn contact(&mut self) {
        self.away_since = None;
        self.at = now();
        let Some(table) = self.table.upgrade() else { return };
        table.set_live(true);
        table.host().degrade(None);
    }

    /// The store does not answer, or not as it should.
    fn away(&mut self, error: &Error) {
        let since = self.away_since.get_or_insert_with(now).clone();
        let Some(table) = self.table.upgrade() else { return };
        table.set_live(false);
        let still = match table.entries() {
            Some(entries) => format!("{entries} entries of {} stay in use", self.at),
            None => "there is nothing to answer from".to_owned(),
        };
        overlay_probes::varpd::store_lost(table.host().number(), self.revision as u64, error.word(), error);
        table.host().degrade(Some(format!("the store is lost since {since}: {error}; {still}")));
    }

    /// Answers from what was known when the last varpd ended.
    fn serve_snapshot(&mut self) {
        let (Some(path), Some(table)) = (self.setup.snapshot.clone(), self.table.upgrade()) else { return };
        match snapshot::read(&self.setup, &path, table.with_port()) {
            Ok(None) => {}
            Ok(Some(found)) => {
                self.at = found.at;
                let entries = found.index.len();
                table.replace(found.index, false);
                tracing::info!("etcd for overlay {}: {entries} destinations of {} until the store answers", table.host().name(), self.at);
            }
            Err(why) => match file::quarantine(&path, &why) {
                Ok(aside) => tracing::warn!("etcd: {aside}"),
                Err(error) => tracing::warn!("etcd: {}: {why}; and {error}", path.display()),
            },
        }
    }

    /// Writes a snapshot, if there is something new, and the last one was not a moment ago.
    fn keep(&mut self) {
        let (Some(path), true) = (self.setup.snapshot.as_ref(), self.dirty) else { return };
        // A thirtieth of the time at most.
        let due = self.written.is_none_or(|(when, took)| when.elapsed() > SNAPSHOT_EVERY.max(took * 30));
        if !due {
            return;
        }
        let Some(table) = self.table.upgrade() else { return };
        let begun = Instant::now();
        let written = table.with_index(|index| snapshot::write(&self.setup, path, index, self.revision, &self.at));
        if let Some(Err(why)) = written {
            tracing::warn!("etcd for overlay {}: no snapshot: {why}", table.host().name());
        }
        // Also after a failure: a full disk is not asked each second.
        self.dirty = false;
        self.written = Some((begun, begun.elapsed()));
    }
}

/// Asks the store about MACs that were not in the index, each once for all who wait for it.
async fn ask(client: Client, setup: Setup, table: Weak<Table>, mut misses: mpsc::Receiver<Miss>) {
    while let Some(first) = misses.recv().await {
        let mut asked: HashMap<Mac, Vec<Miss>> = HashMap::new();
        let mut next = Some(first);
        while let Some(miss) = next {
            asked.entry(miss.lookup.question.destination).or_default().push(miss);
            next = if asked.len() < ASKED_MAX { misses.try_recv().ok() } else { None };
        }
        let mut calls = JoinSet::new();
        for (mac, waiting) in asked {
            let (client, key) = (client.clone(), setup.layout.key(&Key::Vl2(setup.vnet, mac)));
            calls.spawn(async move { (mac, waiting, client.get(key.into_bytes()).await) });
        }
        while let Some(done) = calls.join_next().await {
            let Ok((mac, waiting, found)) = done else { continue };
            let Some(with_port) = table.upgrade().map(|table| table.with_port()) else { return };
            let to = match found {
                Ok((found, _)) => Ok(found.and_then(|found| entry(mac, &found.value, with_port).ok())),
                Err(error) => Err(error),
            };
            for Miss { reply, .. } in waiting {
                match &to {
                    Ok(Some(entry)) => reply.answer(Answer::Reach { to: entry.to.destinations().to_vec(), ttl_ns: None }),
                    Ok(None) => reply.answer(Answer::Drop { ttl_ns: None }),
                    Err(_) => reply.abandon(),
                }
            }
        }
    }
}

/// The time of day, to the second.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
