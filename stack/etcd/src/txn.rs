//! What is done together or not at all?

use crate::client::{Entry, revision_of};
use crate::wire::{
    CompareOp, DeleteRangeRequest, EQUAL, PutRequest, RangeRequest, Request, RequestOp, Response, TARGET_CREATE, TARGET_LEASE, TARGET_MOD,
    Target, TxnRequest, TxnResponse,
};

/// Operations of one transaction, at most, unless the store is told otherwise (`--max-txn-ops`); conditions count apart.
pub const TXN_OPERATIONS: usize = 128;

/// Conditions, and what is written if all hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Txn {
    conditions: Vec<CompareOp>,
    operations: Vec<RequestOp>,
    otherwise: Vec<RequestOp>,
}

impl Txn {
    /// A transaction that does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it does nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Only if the key was changed last at this revision; 0: only if it is not there.
    #[must_use]
    pub fn if_unchanged(mut self, key: Vec<u8>, revision: i64) -> Self {
        let target = Some(Target::ModRevision(revision));
        self.conditions.push(CompareOp { result: EQUAL, target: TARGET_MOD, key, target_union: target });
        self
    }

    /// Only if the key is not there.
    #[must_use]
    pub fn if_absent(mut self, key: Vec<u8>) -> Self {
        let target = Some(Target::CreateRevision(0));
        self.conditions.push(CompareOp { result: EQUAL, target: TARGET_CREATE, key, target_union: target });
        self
    }

    /// Only if the key goes with this lease.
    #[must_use]
    pub fn if_leased(mut self, key: Vec<u8>, lease: i64) -> Self {
        let target = Some(Target::Lease(lease));
        self.conditions.push(CompareOp { result: EQUAL, target: TARGET_LEASE, key, target_union: target });
        self
    }

    /// Writes a key, with a lease (0: none).
    #[must_use]
    pub fn put(mut self, key: Vec<u8>, value: Vec<u8>, lease: i64) -> Self {
        self.operations.push(operation(Request::Put(PutRequest { key, value, lease })));
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn delete(mut self, key: Vec<u8>) -> Self {
        self.operations.push(operation(Request::DeleteRange(DeleteRangeRequest { key, range_end: Vec::new() })));
        self
    }

    /// Reads a key if a condition does not hold: [`TxnEnd::found`].
    #[must_use]
    pub fn or_get(mut self, key: Vec<u8>) -> Self {
        self.otherwise.push(operation(Request::Range(RangeRequest { key, ..RangeRequest::default() })));
        self
    }
}

const fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

impl From<Txn> for TxnRequest {
    fn from(txn: Txn) -> Self {
        Self { compare: txn.conditions, success: txn.operations, failure: txn.otherwise }
    }
}

/// How a transaction ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxnEnd {
    /// Whether all conditions held, and all was done.
    pub done: bool,
    /// The store's revision then.
    pub revision: i64,
    /// Where they did not hold: what [`Txn::or_get`] asked for, of keys that are there.
    pub found: Vec<Entry>,
}

impl TxnEnd {
    pub(crate) fn of(answer: TxnResponse) -> Self {
        let found = answer.responses.into_iter().filter_map(|response| match response.response {
            Some(Response::Range(range)) => Some(range.kvs),
            _ => None,
        });
        let found = found.flatten().map(Entry::from).collect();
        Self { done: answer.succeeded, revision: revision_of(answer.header.as_ref()), found }
    }
}
