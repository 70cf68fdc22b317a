//! How is a plan carried out so that all of it happens, or nothing? One transaction if it fits, else several under a mark.
//!
//! ```text
//!  mark absent ─► batch 1 + mark ─► batch 2 + mark ─► .. ─► last batch, mark deleted
//!                      │ a key is not what it was, or etcd refuses
//!                      ▼
//!                 undo, the last batch first ─► mark deleted: nothing has changed
//! ```
//!
//! The mark says who imports and which batch was the last; it is written in the transaction of each batch. So whoever lost the answer to a
//! transaction reads whether it happened, and nobody else imports, puts or deletes meanwhile. What hosts register goes on, and is
//! what a batch can find changed.

use super::plan::{BATCH_MAX, Held, Key, Plan, Write};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Time that etcd may be away in the middle of an import, before a part of it is left.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Who imports, and how far it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Host and process.
    pub(crate) by: String,
    /// Seconds since 1970 when it began.
    pub(crate) began: u64,
    /// The last batch that was written, from 1.
    pub(crate) batch: usize,
    /// All batches.
    pub(crate) batches: usize,
}

/// A mark as it is stored; none where the value is none of ours.
pub(crate) type StoredMark = (Option<Mark>, i64);

/// What becomes of the mark in a transaction.
#[derive(Clone, Debug)]
pub(crate) enum MarkTo<'a> {
    /// It stays as it is.
    Stay,
    /// It says this.
    Say(&'a Mark),
    /// It is deleted.
    Gone,
}

/// Where transactions happen.
pub(crate) trait Transact {
    /// Writes all, if the mark was written at this revision (none: is absent) and each key is what it was. The revision of the writes;
    /// none if something was not so.
    fn transact(&mut self, mark_was: Option<i64>, mark: &MarkTo<'_>, writes: &[Write]) -> Result<Option<i64>, String>;

    /// The mark.
    fn mark(&mut self) -> Result<Option<StoredMark>, String>;
}

/// Why an import did not happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Somebody has changed an entry since it was read. Nothing has changed; it can be tried again.
    Changed,
    /// For this reason; nothing has changed.
    Nothing(String),
    /// For this reason; a part has been written.
    Part(String),
}

/// The sentence for a mark that is there.
pub(crate) fn marked(mark: &StoredMark) -> String {
    match &mark.0 {
        Some(Mark { by, batch, batches, .. }) => format!(
            "an import by {by} is under way, or ended in the middle (part {batch} of {batches}); wait for it, or finish it with --take-over"
        ),
        None => "there is a mark of an import that cannot be read; finish it with --take-over".to_owned(),
    }
}

/// Carries `plan` out. `mark` is who does; `over` the mark of an import that is taken over; `progress` hears of each batch.
pub(crate) fn apply(
    store: &mut impl Transact,
    plan: &Plan,
    mut mark: Mark,
    over: Option<i64>,
    mut progress: impl FnMut(usize, usize),
) -> Result<(), Failure> {
    let batches = plan.batches();
    mark.batches = batches.len();
    let mut done: Vec<(&[Write], i64)> = Vec::new();
    let mut was = over;
    if batches.is_empty() && over.is_some() {
        return match store.transact(over, &MarkTo::Gone, &[]) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Failure::Changed),
            Err(problem) => Err(Failure::Nothing(problem)),
        };
    }
    for (at, batch) in batches.iter().enumerate() {
        mark.batch = at + 1;
        let last = at + 1 == batches.len();
        let to = match (last, was) {
            (true, None) => MarkTo::Stay,
            (true, Some(_)) => MarkTo::Gone,
            (false, _) => MarkTo::Say(&mark),
        };
        let result = match store.transact(was, &to, batch) {
            Err(problem) => lost(store, &mark, last, was).unwrap_or(Err(problem)),
            said => said,
        };
        match result {
            Ok(Some(revision)) => {
                done.push((batch, revision));
                was = (!last).then_some(revision);
                progress(at + 1, batches.len());
            }
            Ok(None) if done.is_empty() => {
                return Err(store
                    .mark()
                    .ok()
                    .flatten()
                    .filter(|_| over.is_none())
                    .map_or(Failure::Changed, |mark| Failure::Nothing(marked(&mark))));
            }
            Err(problem) if done.is_empty() => return Err(Failure::Nothing(problem)),
            Ok(None) => {
                undo(store, &done, &mut mark, was)?;
                return Err(Failure::Changed);
            }
            Err(problem) => {
                undo(store, &done, &mut mark, was).map_err(|failure| {
                    if let Failure::Part(text) = failure { Failure::Part(format!("{problem}; {text}")) } else { failure }
                })?;
                return Err(Failure::Nothing(problem));
            }
        }
    }
    Ok(())
}

/// What became of a transaction whose answer was lost, as the mark says; none if that cannot be read either.
fn lost(store: &mut impl Transact, mark: &Mark, last: bool, was: Option<i64>) -> Option<Result<Option<i64>, String>> {
    let begun = Instant::now();
    loop {
        match store.mark() {
            Ok(Some((Some(there), revision))) if there == *mark => return Some(Ok(Some(revision))),
            // Deleted with the last batch. Of a single one there never was one: etcd's refusal is what there is to say.
            Ok(None) if last && was.is_some() => return Some(Ok(Some(0))),
            Ok(_) => return None,
            Err(_) if was.is_some() && begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(_) => return None,
        }
    }
}

/// Takes back what was written, the last batch first.
fn undo(store: &mut impl Transact, done: &[(&[Write], i64)], mark: &mut Mark, mut was: Option<i64>) -> Result<(), Failure> {
    let mut kept: Vec<Key> = Vec::new();
    for (at, (batch, revision)) in done.iter().enumerate().rev() {
        mark.batch = at;
        let to = if at == 0 { MarkTo::Gone } else { MarkTo::Say(mark) };
        let back: Vec<Write> = batch.iter().map(|write| reverse(write, *revision)).collect();
        let result = patiently(|| store.transact(was, &to, &back));
        match result {
            Ok(Some(revision)) => was = Some(revision),
            // Some are not ours any more: those that are go back one by one.
            Ok(None) => {
                for write in &back {
                    match patiently(|| store.transact(was, &MarkTo::Stay, std::slice::from_ref(write))) {
                        Ok(Some(_)) => {}
                        Ok(None) => kept.push(write.key),
                        Err(problem) => return Err(part(at + 1, &problem)),
                    }
                }
                match patiently(|| store.transact(was, &to, &[])) {
                    Ok(Some(revision)) => was = Some(revision),
                    Ok(None) => return Err(part(at, "somebody else has taken the import over")),
                    Err(problem) => return Err(part(at, &problem)),
                }
            }
            Err(problem) => return Err(part(at + 1, &problem)),
        }
    }
    if kept.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = kept.iter().take(10).map(ToString::to_string).collect();
    let more = kept.len().saturating_sub(10);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Failure::Part(format!("what was written is undone, but for {}{more}, which somebody else has written meanwhile", names.join(", "))))
}

fn part(batches: usize, problem: &str) -> Failure {
    let keys = batches * BATCH_MAX;
    Failure::Part(format!(
        "the first {batches} parts (up to {keys} keys) are written and cannot be undone: {problem}; import the file again with --take-over to finish it"
    ))
}

/// The write that takes another back, which was done at this revision.
fn reverse(write: &Write, revision: i64) -> Write {
    let (to, lease) = write.was.as_ref().map_or((None, 0), |held| (Some(held.value.clone()), held.lease));
    let was = write.to.as_ref().map(|value| Held { value: value.clone(), revision, lease: write.lease });
    Write { key: write.key, to, lease, was }
}

fn patiently<T>(mut what: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match what() {
            Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_decoder::Mac;
    use std::collections::BTreeMap;

    /// A store in memory that fails when it should: etcd does not at a chosen transaction.
    #[derive(Default)]
    struct Memory {
        revision: i64,
        keys: BTreeMap<Key, Held>,
        mark: Option<(Mark, i64)>,
        /// What happens in the transactions to come.
        faults: Vec<Fault>,
        transactions: usize,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        /// It is refused.
        Refused,
        /// It happens, and nobody hears of it.
        Lost,
        /// Somebody else writes this key before it.
        Write(Key),
    }

    impl Transact for Memory {
        fn transact(&mut self, mark_was: Option<i64>, mark: &MarkTo<'_>, writes: &[Write]) -> Result<Option<i64>, String> {
            self.transactions += 1;
            assert!(writes.len() <= BATCH_MAX);
            let fault = if self.faults.is_empty() { Fault::None } else { self.faults.remove(0) };
            if fault == Fault::Refused {
                return Err("etcd: it is refused".to_owned());
            }
            if let Fault::Write(key) = fault {
                self.revision += 1;
                self.keys.insert(key, Held { value: b"theirs".to_vec(), revision: self.revision, lease: 9 });
            }
            let same = |write: &Write| self.keys.get(&write.key).map(|held| held.revision) == write.was.as_ref().map(|held| held.revision);
            if self.mark.as_ref().map(|(_, revision)| *revision) != mark_was || !writes.iter().all(same) {
                return Ok(None);
            }
            self.revision += 1;
            let revision = self.revision;
            for write in writes {
                match &write.to {
                    Some(value) => drop(self.keys.insert(write.key, Held { value: value.clone(), revision, lease: write.lease })),
                    None => drop(self.keys.remove(&write.key)),
                }
            }
            match mark {
                MarkTo::Stay => {}
                MarkTo::Say(mark) => self.mark = Some(((*mark).clone(), revision)),
                MarkTo::Gone => self.mark = None,
            }
            if fault == Fault::Lost { Err("etcd: no answer".to_owned()) } else { Ok(Some(revision)) }
        }

        fn mark(&mut self) -> Result<Option<StoredMark>, String> {
            Ok(self.mark.clone().map(|(mark, revision)| (Some(mark), revision)))
        }
    }

    fn key(number: usize) -> Key {
        Key::Vl2(Mac([2, 8, 0, 0, (number >> 8) as u8, number as u8]))
    }

    /// A plan that adds so many keys, changes the first, and deletes the last but one and last of `there`.
    fn world(adds: usize) -> (Memory, Plan) {
        let mut memory = Memory { revision: 10, ..Memory::default() };
        let held = |number: i64, lease| Held { value: format!("old{number}").into_bytes(), revision: number, lease };
        memory.keys = BTreeMap::from([(key(0), held(1, 0)), (key(60_000), held(2, 7)), (key(60_001), held(3, 0))]);
        let mut writes = vec![Write { key: key(0), to: Some(b"new".to_vec()), lease: 0, was: Some(held(1, 0)) }];
        writes.extend((1..=adds).map(|number| Write { key: key(number), to: Some(b"new".to_vec()), lease: 0, was: None }));
        writes.push(Write { key: key(60_000), to: None, lease: 0, was: Some(held(2, 7)) });
        writes.push(Write { key: key(60_001), to: None, lease: 0, was: Some(held(3, 0)) });
        (memory, Plan { writes, ..Plan::default() })
    }

    fn mark() -> Mark {
        Mark { by: "host1 (pid 7)".to_owned(), began: 5, batch: 0, batches: 0 }
    }

    /// Keys with values and leases, without revisions: what a restored store has in common with the one before.
    fn said(memory: &Memory) -> Vec<(Key, Vec<u8>, i64)> {
        memory.keys.iter().map(|(key, held)| (*key, held.value.clone(), held.lease)).collect()
    }

    fn applied(memory: &mut Memory, plan: &Plan) -> Result<(), Failure> {
        apply(memory, plan, mark(), None, |_, _| {})
    }

    #[test]
    fn what_fits_is_one_transaction_and_needs_no_mark() {
        let (mut memory, plan) = world(100);
        assert_eq!(applied(&mut memory, &plan), Ok(()));
        assert_eq!((memory.transactions, memory.keys.len(), memory.mark), (1, 101, None));
    }

    #[test]
    fn what_does_not_fit_is_several_under_a_mark_that_goes_with_the_last() {
        let (mut memory, plan) = world(400);
        let mut heard = Vec::new();
        assert_eq!(apply(&mut memory, &plan, mark(), None, |at, of| heard.push((at, of))), Ok(()));
        assert_eq!((memory.keys.len(), memory.mark.clone()), (401, None));
        assert_eq!(heard, [(1, 4), (2, 4), (3, 4), (4, 4)]);
    }

    #[test]
    fn a_refusal_in_the_middle_leaves_nothing_behind() {
        for at in 1..4 {
            let (mut memory, plan) = world(400);
            let before = said(&memory);
            memory.faults = [vec![Fault::None; at], vec![Fault::Refused]].concat();
            assert_eq!(applied(&mut memory, &plan), Err(Failure::Nothing("etcd: it is refused".to_owned())));
            assert_eq!((said(&memory), memory.mark), (before, None), "at transaction {at}");
        }
    }

    #[test]
    fn an_entry_that_changes_meanwhile_ends_the_import_and_stays() {
        let (mut memory, plan) = world(400);
        let before = said(&memory);
        memory.faults = vec![Fault::None, Fault::None, Fault::Write(key(300))];
        assert_eq!(applied(&mut memory, &plan), Err(Failure::Changed));
        let after: Vec<_> = said(&memory).into_iter().filter(|(key, ..)| *key != self::key(300)).collect();
        assert_eq!((after, memory.mark), (before, None));
    }

    #[test]
    fn what_somebody_else_wrote_over_ours_is_not_undone_and_named() {
        let (mut memory, plan) = world(400);
        // The third is refused, and before the second is undone one of its keys gets another owner.
        memory.faults = vec![Fault::None, Fault::None, Fault::Refused, Fault::Write(key(200))];
        let Err(Failure::Part(text)) = applied(&mut memory, &plan) else { panic!() };
        assert!(text.contains("but for 02:08:00:00:00:c8, which somebody else has written meanwhile"), "{text}");
        assert_eq!((memory.keys.len(), memory.mark), (4, None));
    }

    #[test]
    fn a_lost_answer_is_read_from_the_mark() {
        for at in 0..4 {
            let (mut memory, plan) = world(400);
            memory.faults = [vec![Fault::None; at], vec![Fault::Lost]].concat();
            assert_eq!(applied(&mut memory, &plan), Ok(()), "at transaction {at}");
            assert_eq!((memory.keys.len(), memory.mark), (401, None));
        }
    }

    #[test]
    fn two_imports_do_not_mix_and_a_dead_one_is_taken_over() {
        let (mut memory, plan) = world(400);
        memory.mark = Some((Mark { batch: 2, batches: 9, ..mark() }, 10));
        let Err(Failure::Nothing(text)) = applied(&mut memory, &plan) else { panic!() };
        assert!(text.starts_with("an import by host1 (pid 7) is under way, or ended in the middle (part 2 of 9)"), "{text}");
        let (_, small) = world(1);
        assert!(matches!(applied(&mut memory, &small), Err(Failure::Nothing(_))), "a put");
        assert_eq!(apply(&mut memory, &plan, mark(), Some(10), |_, _| {}), Ok(()));
        assert_eq!((memory.keys.len(), memory.mark.clone()), (401, None));
        // Nothing was left to do: the mark goes all the same.
        memory.mark = Some((mark(), 10));
        assert_eq!(apply(&mut memory, &Plan::default(), mark(), Some(10), |_, _| {}), Ok(()));
        assert_eq!(memory.mark, None);
    }
}
