//! How is the store asked? One call, one answer, at whichever endpoint answers.

use crate::txn::{Txn, TxnEnd};
use crate::wire::{
    AuthenticateRequest, AuthenticateResponse, CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, HeaderResponse, KeyValue,
    LeaseGrantRequest, LeaseRequest, LeaseResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader, StatusRequest,
    StatusResponse, TxnRequest, TxnResponse, WatchCreateRequest, WatchOf, WatchRequest,
};
use crate::{Config, Error, Watch};
use futures_util::stream;
use http::uri::PathAndQuery;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// How long an answer is waited for, unless [`Client::with_deadline`] says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of one answer, at most: a page of mappings is a thousandth of it, and a store that sends more is none of ours.
const ANSWER_MAX: usize = 64 << 20;

/// A key of the store with its value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The store's revision when the key was made.
    pub created: i64,
    /// The store's revision when it was changed last.
    pub changed: i64,
    /// The lease that it goes with; 0 for none.
    pub lease: i64,
}

impl From<KeyValue> for Entry {
    fn from(found: KeyValue) -> Self {
        Self { key: found.key, value: found.value, created: found.create_revision, changed: found.mod_revision, lease: found.lease }
    }
}

/// Keys of one prefix, in order, as they were at one revision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The store's revision when it answered.
    pub revision: i64,
    /// What was found.
    pub entries: Vec<Entry>,
    /// Whether there are more behind the last.
    pub more: bool,
    /// How many there are in all.
    pub count: u64,
}

/// What a member of the store says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberStatus {
    /// The version of etcd.
    pub version: String,
    /// The store's revision.
    pub revision: i64,
    /// Bytes of the store on disk.
    pub size: u64,
    /// Whether the cluster has a leader.
    pub has_leader: bool,
}

/// A store to ask. Clones share connections and the token of the user.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    endpoints: Vec<(String, Channel)>,
    /// The endpoint that answered last: the next call begins there.
    current: AtomicUsize,
    user: Option<(String, String)>,
    /// What the store gave for name and password.
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

impl Client {
    /// A client of this store. Nothing is connected before the first call; connections are made again when they are lost.
    ///
    /// It belongs to the tokio runtime it is made in, and must be made in one.
    ///
    /// # Errors
    /// Where the configuration cannot be: see [`Config::check`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        let user = match (&config.user, &config.password) {
            (Some(user), password) => Some((user.clone(), password.clone().unwrap_or_default())),
            (None, Some(_)) => return Err(Error::Config("a password without a user; give etcd/user, too".to_owned())),
            (None, None) => None,
        };
        let endpoints = config.channels()?;
        let shared = Shared { endpoints, current: AtomicUsize::new(0), user, token: Mutex::new(None) };
        Ok(Self { shared: Arc::new(shared), deadline: DEADLINE })
    }

    /// The same store, with another time to wait for an answer of an endpoint.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The endpoint that answered last, or is asked first.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        let endpoints = &self.shared.endpoints;
        endpoints.get(self.shared.current.load(Ordering::Relaxed)).or(endpoints.first()).map_or("", |(name, _)| name)
    }

    /// The keys from `key` up to and without `end`, at most `limit` (0: all), as they were at `revision` (0: now).
    ///
    /// # Errors
    /// Those of any call; [`Error::Compacted`] if the revision is no longer kept.
    pub async fn range(&self, key: Vec<u8>, end: Vec<u8>, limit: u32, revision: i64) -> Result<Page, Error> {
        let request = RangeRequest { key, range_end: end, limit: limit.into(), revision, ..RangeRequest::default() };
        let answer: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(Page {
            revision: revision_of(answer.header.as_ref()),
            entries: answer.kvs.into_iter().map(Entry::from).collect(),
            more: answer.more,
            count: answer.count.try_into().unwrap_or(0),
        })
    }

    /// One key, and the store's revision when it answered.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn get(&self, key: Vec<u8>) -> Result<(Option<Entry>, i64), Error> {
        let page = self.range(key, Vec::new(), 1, 0).await?;
        Ok((page.entries.into_iter().next(), page.revision))
    }

    /// How many keys begin with a prefix.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn count(&self, prefix: &[u8]) -> Result<u64, Error> {
        let request = RangeRequest { key: prefix.to_vec(), range_end: prefix_end(prefix), count_only: true, ..RangeRequest::default() };
        let answer: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(answer.count.try_into().unwrap_or(0))
    }

    /// Gives every key that begins with `prefix` to `take`, `page` of them at a time, all as they were at one revision, which is returned:
    /// a watch from the next one on misses nothing.
    ///
    /// # Errors
    /// Those of any call; [`Error::Compacted`] if the store forgot the revision in the meantime: begin anew.
    pub async fn load(&self, prefix: &[u8], page: u32, mut take: impl FnMut(Vec<Entry>)) -> Result<i64, Error> {
        let end = prefix_end(prefix);
        let (mut from, mut revision) = (prefix.to_vec(), 0);
        loop {
            let found = self.range(from, end.clone(), page, revision).await?;
            if revision == 0 {
                revision = found.revision;
            }
            let Some(last) = found.entries.last().filter(|_| found.more) else {
                take(found.entries);
                return Ok(revision);
            };
            // The next key is the last one with a zero behind it.
            from = [&last.key[..], &[0]].concat();
            take(found.entries);
        }
    }

    /// Writes a key, with a lease (0: none), and says the store's revision then.
    ///
    /// # Errors
    /// Those of any call; [`Error::NoLease`].
    pub async fn put(&self, key: Vec<u8>, value: Vec<u8>, lease: i64) -> Result<i64, Error> {
        let answer: PutResponse = self.call("/etcdserverpb.KV/Put", PutRequest { key, value, lease }).await?;
        Ok(revision_of(answer.header.as_ref()))
    }

    /// Removes the keys from `key` up to and without `end` (empty: only `key`), and says the store's revision then, and how many they were.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn delete(&self, key: Vec<u8>, end: Vec<u8>) -> Result<(i64, u64), Error> {
        let answer: DeleteRangeResponse = self.call("/etcdserverpb.KV/DeleteRange", DeleteRangeRequest { key, range_end: end }).await?;
        Ok((revision_of(answer.header.as_ref()), answer.deleted.try_into().unwrap_or(0)))
    }

    /// Does all of a transaction's writes, if all of its conditions hold, or none. Asked once: who loses the connection meanwhile looks
    /// whether it was done.
    ///
    /// # Errors
    /// Those of any call; [`Error::Refused`] for more operations than the store takes at once (128 unless it is told otherwise).
    pub async fn txn(&self, txn: Txn) -> Result<TxnEnd, Error> {
        let request: TxnRequest = txn.into();
        let first = self.shared.current.load(Ordering::Relaxed);
        let answer: TxnResponse = self.call_at(first, "/etcdserverpb.KV/Txn", request).await?;
        Ok(TxnEnd::of(answer))
    }

    /// Makes a lease of so many seconds; keys that go with it go away unless it is kept alive.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn grant(&self, seconds: u32) -> Result<i64, Error> {
        let answer: LeaseResponse = self.call("/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest { ttl: seconds.into(), id: 0 }).await?;
        Ok(answer.id)
    }

    /// Keeps a lease alive once, and says for how many seconds from now.
    ///
    /// # Errors
    /// Those of any call; [`Error::NoLease`] if it has expired.
    pub async fn keep_alive(&self, lease: i64) -> Result<u32, Error> {
        let index = self.shared.current.load(Ordering::Relaxed);
        let (name, _) = self.endpoint_at(index)?;
        let once = stream::iter([LeaseRequest { id: lease }]);
        let asked = async {
            let mut answers: Streaming<LeaseResponse> = self.stream_at(index, "/etcdserverpb.Lease/LeaseKeepAlive", once).await?;
            answers.message().await.map_err(|status| Error::of(&status, name))
        };
        match tokio::time::timeout(self.deadline, asked).await {
            Err(_) => Err(self.leave(index, Error::Deadline(format!("{name} did not answer in time")))),
            Ok(Err(error)) => Err(self.leave(index, error)),
            Ok(Ok(Some(answer))) if answer.ttl > 0 => Ok(answer.ttl.try_into().unwrap_or(u32::MAX)),
            Ok(Ok(Some(_))) => Err(Error::NoLease(lease)),
            Ok(Ok(None)) => Err(self.leave(index, Error::Away(format!("{name} ended the call without an answer")))),
        }
    }

    /// Ends a lease, and with it its keys.
    ///
    /// # Errors
    /// Those of any call; [`Error::NoLease`].
    pub async fn revoke(&self, lease: i64) -> Result<(), Error> {
        let ended: Result<HeaderResponse, Error> = self.call("/etcdserverpb.Lease/LeaseRevoke", LeaseRequest { id: lease }).await;
        match ended {
            Err(Error::NoLease(_)) => Err(Error::NoLease(lease)),
            other => other.map(|_| ()),
        }
    }

    /// What the member that answers says of itself.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn status(&self) -> Result<MemberStatus, Error> {
        let answer: StatusResponse = self.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await?;
        Ok(MemberStatus {
            version: answer.version,
            revision: revision_of(answer.header.as_ref()),
            size: answer.db_size.try_into().unwrap_or(0),
            has_leader: answer.leader != 0,
        })
    }

    /// Lets the store forget what was before a revision.
    ///
    /// # Errors
    /// Those of any call; [`Error::Compacted`] if it has.
    pub async fn compact(&self, revision: i64) -> Result<(), Error> {
        let _: HeaderResponse = self.call("/etcdserverpb.KV/Compact", CompactionRequest { revision, physical: true }).await?;
        Ok(())
    }

    /// Follows the keys that begin with `prefix`, from the change of this revision on (0: from now on).
    ///
    /// # Errors
    /// Those of any call. That the revision is no longer kept is said by the watch.
    pub async fn watch(&self, prefix: &[u8], revision: i64) -> Result<Watch, Error> {
        let count = self.shared.endpoints.len();
        let first = self.shared.current.load(Ordering::Relaxed);
        let mut last = Error::Config("no endpoint".to_owned());
        for index in (0..count).map(|step| (first + step) % count) {
            match self.watch_at(index, prefix, revision).await {
                Ok(watch) => return Ok(watch),
                Err(error) if error.is_passing() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn watch_at(&self, index: usize, prefix: &[u8], revision: i64) -> Result<Watch, Error> {
        let (name, _) = self.endpoint_at(index)?;
        let (sender, mut receiver) = mpsc::channel(4);
        let create = WatchCreateRequest {
            key: prefix.to_vec(),
            range_end: prefix_end(prefix),
            start_revision: revision,
            progress_notify: true,
            fragment: true,
        };
        let create = WatchRequest { request: Some(WatchOf::Create(create)) };
        sender.try_send(create).map_err(|_| Error::Garbage("a new queue took no message".to_owned()))?;
        let requests = stream::poll_fn(move |context| receiver.poll_recv(context));
        let opened = self.stream_at(index, "/etcdserverpb.Watch/Watch", requests);
        match tokio::time::timeout(self.deadline, opened).await {
            Ok(Ok(answers)) => {
                self.shared.current.store(index, Ordering::Relaxed);
                Ok(Watch::new(name.clone(), answers, sender))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Deadline(format!("{name} did not answer in time"))),
        }
    }

    /// Asks the endpoint that answered last, and those behind it while nobody answers. For what can be asked twice.
    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let count = self.shared.endpoints.len();
        let first = self.shared.current.load(Ordering::Relaxed);
        let mut last = Error::Config("no endpoint".to_owned());
        for index in (0..count).map(|step| (first + step) % count) {
            match self.call_at(index, path, request.clone()).await {
                Err(error) if error.is_passing() => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// Asks one endpoint; with a new token, if the one at hand is no longer taken.
    async fn call_at<Q, A>(&self, index: usize, path: &'static str, request: Q) -> Result<A, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let (name, _) = self.endpoint_at(index)?;
        let asked = async {
            let token = self.token(index).await?;
            match self.unary(index, path, request.clone(), token.as_ref()).await {
                Err(status) if token.is_some() && is_of_an_old_token(&status) => {
                    self.shared.token.lock().await.take();
                    let token = self.token(index).await?;
                    self.unary(index, path, request, token.as_ref()).await.map_err(|status| Error::of(&status, name))
                }
                other => other.map_err(|status| Error::of(&status, name)),
            }
        };
        match tokio::time::timeout(self.deadline, asked).await {
            Ok(Ok(answer)) => {
                self.shared.current.store(index, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.leave(index, error)),
            Err(_) => Err(self.leave(index, Error::Deadline(format!("{name} did not answer in time")))),
        }
    }

    /// Lets the next call begin at the next endpoint, if this one is away.
    fn leave(&self, index: usize, error: Error) -> Error {
        if error.is_passing() {
            self.shared.current.store((index + 1) % self.shared.endpoints.len().max(1), Ordering::Relaxed);
        }
        error
    }

    fn endpoint_at(&self, index: usize) -> Result<&(String, Channel), Error> {
        self.shared.endpoints.get(index).ok_or_else(|| Error::Config("no endpoint".to_owned()))
    }

    /// What stands for name and password; asked for once.
    async fn token(&self, index: usize) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let Some((user, password)) = &self.shared.user else { return Ok(None) };
        let mut held = self.shared.token.lock().await;
        if let Some(token) = &*held {
            return Ok(Some(token.clone()));
        }
        let (name, _) = self.endpoint_at(index)?;
        let request = AuthenticateRequest { name: user.clone(), password: password.clone() };
        let answer: Result<AuthenticateResponse, Status> = self.unary(index, "/etcdserverpb.Auth/Authenticate", request, None).await;
        let answer = answer.map_err(|status| Error::of(&status, name))?;
        let token: MetadataValue<Ascii> =
            answer.token.parse().map_err(|_| Error::Garbage(format!("{name} gave a token that is no text")))?;
        *held = Some(token.clone());
        Ok(Some(token))
    }

    async fn unary<Q, A>(&self, index: usize, path: &'static str, request: Q, token: Option<&MetadataValue<Ascii>>) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc(index).await?;
        let answer = grpc.unary(with_token(request, token), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }

    /// Opens a call of many messages; with a new token, if the one at hand is no longer taken, next time.
    async fn stream_at<S, A>(&self, index: usize, path: &'static str, requests: S) -> Result<Streaming<A>, Error>
    where
        S: stream::Stream + Send + 'static,
        S::Item: Message + 'static,
        A: Message + Default + 'static,
    {
        let (name, _) = self.endpoint_at(index)?;
        let token = self.token(index).await?;
        let opened = async {
            let mut grpc = self.grpc(index).await?;
            let codec = ProstCodec::<S::Item, A>::default();
            grpc.streaming(with_token(requests, token.as_ref()), PathAndQuery::from_static(path), codec).await
        };
        match opened.await {
            Ok(answers) => Ok(answers.into_inner()),
            Err(status) => {
                if is_of_an_old_token(&status) {
                    self.shared.token.lock().await.take();
                }
                Err(Error::of(&status, name))
            }
        }
    }

    async fn grpc(&self, index: usize) -> Result<Grpc<Channel>, Status> {
        let (_, channel) = self.shared.endpoints.get(index).ok_or_else(|| Status::unavailable("no endpoint"))?;
        let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(ANSWER_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }
}

/// Where the keys that begin with a prefix end: the first one behind them; `[0]`, for all that follow, where there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let Some(last) = prefix.iter().rposition(|byte| *byte < u8::MAX) else { return vec![0] };
    let mut end = prefix.get(..=last).unwrap_or_default().to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    end
}

fn with_token<T>(message: T, token: Option<&MetadataValue<Ascii>>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.clone());
    }
    request
}

/// Whether a new token may help: tokens end with time, with a restart of the store, and with every change of its users.
fn is_of_an_old_token(status: &Status) -> bool {
    ["invalid auth token", "revision in header is old", "revision of auth store is old"].iter().any(|part| status.message().contains(part))
}

pub(crate) fn revision_of(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}
