//! What does an instance answer, and what has overlayd to be told when the store changes?

use super::index::{Effect, Index};
use crate::known::Known;
use crate::waiting::Waiting;
use overlay_api::{Answer, Lookup};
use overlay_decoder::Mac;
use overlay_varpd::knowledge::{self, Knowledge};
use overlay_varpd::plugin::{Host, Reply};
use overlay_varpd::proxy::{gratuitous_arp, unsolicited_advertisement};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use tokio::sync::mpsc;

/// Lookups that wait for the store to be asked; more are left to overlayd's time limit.
const MISSES_MAX: usize = 1024;
/// Changes that are told one by one. More, and overlayd had better ask anew for everything.
const TOLD_MAX: usize = 65_536;
/// Addresses that are announced at once, at most: a change of more is none of stations that move.
const ANNOUNCED_MAX: usize = 1024;

/// A lookup about a MAC that is not in the index.
pub(super) struct Miss {
    pub(super) lookup: Lookup,
    pub(super) reply: Reply,
}

/// What an instance knows.
pub(super) struct Table {
    host: Host,
    with_port: bool,
    known: Known,
    held: RwLock<Held>,
    /// As long as nothing is known. Answering drop would cut off what overlayd knows from an earlier varpd.
    waiting: Mutex<Waiting>,
    misses: mpsc::Sender<Miss>,
}

#[derive(Default)]
struct Held {
    index: Option<Index>,
    /// The store is followed: what is not in the index may be asked for.
    live: bool,
}

impl Table {
    /// Nothing yet; and the lookups that the store is to be asked about.
    pub(super) fn new(host: Host, with_port: bool) -> (Arc<Self>, mpsc::Receiver<Miss>) {
        let (sender, receiver) = mpsc::channel(MISSES_MAX);
        let table = Self { host, with_port, known: Known::new(), held: RwLock::default(), waiting: Mutex::default(), misses: sender };
        (Arc::new(table), receiver)
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn with_port(&self) -> bool {
        self.with_port
    }

    /// How many destinations there are, once something is known.
    pub(super) fn entries(&self) -> Option<u64> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).index.as_ref().map(|index| index.len() as u64)
    }

    /// Why the store is not followed.
    pub(super) fn problem(&self) -> Option<String> {
        self.host.degraded()
    }

    fn held(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers.
    pub(super) fn lookup(&self, lookup: &Lookup, reply: Reply) {
        // Before it is looked up: a change that comes between the two is told, or seen here.
        self.known.add(lookup.question.destination);
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match &held.index {
            Some(index) => self.answer(index, held.live, lookup, reply),
            None => {
                drop(held);
                self.wait(lookup, reply);
            }
        }
    }

    fn answer(&self, index: &Index, live: bool, lookup: &Lookup, reply: Reply) {
        let destination = lookup.question.destination;
        let answer = knowledge::answer(index, lookup);
        if !matches!(answer, Answer::Drop { .. }) || destination.is_group() || index.target(destination).is_some() {
            return reply.answer(answer);
        }
        if !live {
            // It may be there by now. What overlayd knows of it stays in use.
            return reply.abandon();
        }
        // It may have been written a moment ago.
        if let Err(full) = self.misses.try_send(Miss { lookup: lookup.clone(), reply }) {
            full.into_inner().reply.abandon();
        }
    }

    fn wait(&self, lookup: &Lookup, reply: Reply) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &held.index {
            return self.answer(index, held.live, lookup, reply);
        }
        waiting.push(lookup, reply);
    }

    /// Whether the store is followed.
    pub(super) fn set_live(&self, live: bool) {
        self.held().live = live;
    }

    /// All is as this index says. Gives the number of destinations that have changed.
    pub(super) fn replace(&self, index: Index, live: bool) -> usize {
        let mut effects = Vec::new();
        let old = {
            // Nobody begins to wait from here on.
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let mut held = self.held();
            if let Some(old) = &held.index {
                index.since(old, &mut |effect| effects.push(effect));
            }
            let old = held.index.replace(index);
            held.live = live;
            if let Some(index) = &held.index {
                for (lookup, reply) in waiting.take() {
                    self.answer(index, live, &lookup, reply);
                }
            }
            old
        };
        drop(old);
        self.tell(&effects)
    }

    /// Changes what is known. Gives the number of destinations that have changed.
    pub(super) fn change(&self, change: impl FnOnce(&mut Index, &mut Vec<Effect>)) -> usize {
        let mut effects = Vec::new();
        if let Some(index) = &mut self.held().index {
            change(index, &mut effects);
        }
        self.tell(&effects)
    }

    /// Gives what is known to `read`.
    pub(super) fn with_index<T>(&self, read: impl FnOnce(&Index) -> T) -> Option<T> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).index.as_ref().map(read)
    }

    /// Tells overlayd what it may know otherwise. Groups are asked for each time: nothing is known of them.
    fn tell(&self, effects: &[Effect]) -> usize {
        let mac = |effect: &Effect| match effect {
            Effect::Moved(mac, _) | Effect::Turned(mac) => Some(*mac),
            Effect::Announce(..) => None,
        };
        let changed = effects.iter().filter(|effect| mac(effect).is_some()).count();
        let known = || effects.iter().filter(|effect| mac(effect).is_some_and(|mac| !mac.is_group() && self.known.may_have(mac)));
        if known().count() > TOLD_MAX {
            self.host.flush();
        } else {
            for effect in known() {
                match effect {
                    // At once, so that the flow goes on at the new place without a frame that waits.
                    Effect::Moved(mac, to) => self.host.set_target(*mac, to.clone(), None),
                    // It was refused before, which overlayd remembers for a while; or it is to be refused.
                    Effect::Turned(mac) => self.host.invalidate(*mac),
                    Effect::Announce(..) => {}
                }
            }
        }
        // Behind the targets: who hears of the new station can reach it.
        let announced = effects.iter().filter_map(|effect| match effect {
            Effect::Announce(ip, mac) => Some((*ip, *mac)),
            _ => None,
        });
        for (ip, mac) in announced.take(ANNOUNCED_MAX) {
            self.host.inject(match ip {
                IpAddr::V4(ip) => gratuitous_arp(ip, mac, Mac::BROADCAST, None),
                IpAddr::V6(ip) => unsolicited_advertisement(ip, mac, None),
            });
        }
        if changed > 0 {
            self.host.changed(changed);
        }
        changed
    }
}
