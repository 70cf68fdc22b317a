//! What does an instance answer, and what has overlayd to be told when its mapping changes?

use super::read::ReadProblem;
use crate::known::Known;
use crate::waiting::Waiting;
use arc_swap::ArcSwapOption;
use overlay_api::Lookup;
use overlay_api::mapping::{Change, Mapping, diff};
use overlay_varpd::knowledge;
use overlay_varpd::plugin::{Host, Reply};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Changes that are told one by one. More, and overlayd had better ask anew for everything.
const TOLD_MAX: usize = 65_536;

/// What an instance knows.
pub(crate) struct Table {
    host: Host,
    with_port: bool,
    path: PathBuf,
    mapping: ArcSwapOption<Mapping>,
    known: Known,
    /// As long as there is no mapping. Answering drop would cut off what overlayd knows from an earlier varpd.
    waiting: Mutex<Waiting>,
}

impl Table {
    /// Nothing yet.
    pub(crate) fn new(host: Host, with_port: bool, path: &Path) -> Self {
        let (path, mapping, known, waiting) = (path.to_owned(), ArcSwapOption::empty(), Known::new(), Mutex::default());
        Self { host, with_port, path, mapping, known, waiting }
    }

    /// How many destinations there are, once there is a mapping.
    pub(crate) fn entries(&self) -> Option<u64> {
        self.mapping.load().as_ref().map(|mapping| mapping.len() as u64)
    }

    /// Why the file that is there now is not what is answered from.
    pub(crate) fn problem(&self) -> Option<String> {
        self.host.degraded()
    }

    /// Answers.
    pub(crate) fn lookup(&self, lookup: &Lookup, reply: Reply) {
        // Before it is looked up: a change that comes between the two is told, or seen here.
        self.known.add(lookup.question.destination);
        match &*self.mapping.load() {
            Some(mapping) => reply.answer(knowledge::answer(&**mapping, lookup)),
            None => self.wait(lookup, reply),
        }
    }

    fn wait(&self, lookup: &Lookup, reply: Reply) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = &*self.mapping.load() {
            return reply.answer(knowledge::answer(&**mapping, lookup));
        }
        waiting.push(lookup, reply);
    }

    /// The file was read: what is there, or why that cannot be used.
    pub(crate) fn take(&self, read: &Result<Arc<Mapping>, ReadProblem>) {
        let read = match read {
            Ok(mapping) => mapping.check(self.with_port).map(|()| Arc::clone(mapping)).map_err(|error| error.to_string()),
            Err(problem) => Err(problem.sentence.clone()),
        };
        match read {
            Ok(mapping) => self.replace(mapping),
            Err(problem) => {
                let entries = self.entries();
                overlay_probes::varpd::mapping(self.host.number(), entries.unwrap_or(0) as u32, 0, 0, self.path.display());
                let still = match entries {
                    Some(entries) => format!("the mapping of before stays in use ({entries} entries)"),
                    None => "there is no mapping to answer from".to_owned(),
                };
                self.host.degrade(Some(format!("{problem}; {still}")));
            }
        }
    }

    fn replace(&self, mapping: Arc<Mapping>) {
        let old = {
            // Nobody begins to wait from here on.
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let old = self.mapping.swap(Some(Arc::clone(&mapping)));
            for (lookup, reply) in waiting.take() {
                reply.answer(knowledge::answer(&*mapping, &lookup));
            }
            old
        };
        let changes = old.as_deref().map(|old| diff(old, &mapping)).unwrap_or_default();
        self.tell(&changes);
        overlay_probes::varpd::mapping(self.host.number(), mapping.len() as u32, changes.len() as u32, 1, self.path.display());
        if !changes.is_empty() {
            let (name, path, entries) = (self.host.name(), self.path.display(), mapping.len());
            tracing::info!("files for overlay {name}: {path}: {} of now {entries} destinations have changed", changes.len());
            self.host.changed(changes.len());
        }
        self.host.degrade(None);
    }

    /// Tells overlayd what it may know otherwise. Groups are asked for each time: nothing is known of them.
    fn tell(&self, changes: &[Change]) {
        let known = || changes.iter().filter(|change| !change.mac().is_group() && self.known.may_have(change.mac()));
        if known().count() > TOLD_MAX {
            return self.host.flush();
        }
        for change in known() {
            match change {
                // At once, so that the flow goes on at the new place without a frame that waits.
                Change::Moved(mac, to) => self.host.set_target(*mac, to.destinations().to_vec(), None),
                // It was refused before, which overlayd remembers for a while; or it is to be refused.
                Change::Added(mac, _) | Change::Removed(mac) => self.host.invalidate(*mac),
            }
        }
    }
}
