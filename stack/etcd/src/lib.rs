//! How is the mapping of virtual networks kept in etcd? Which keys there are, and a client that says why it cannot.
//!
//! ```text
//! Config ─► Client ─► range, load, get, put, delete, txn, grant, keep_alive ..
//!              └────► Watch::next: changes, until it ends with a reason
//! Layout: keys of networks, MACs, addresses          Backoff: when to try again
//! ```
//!
//! It speaks gRPC to etcd 3.4 and later. What other clients leave to those who use them is done here: a call goes to the next endpoint where
//! one does not answer; every call has a deadline; a watch that is silent is asked whether it is there, and its end is never taken for
//! silence; a token that ran out is replaced; and [`Error`] tells absence, TLS, credentials, rights and compaction apart.
//!
//! It needs a tokio runtime with time and I/O, and holds nothing but connections and the user's token.
#![forbid(unsafe_code)]

mod backoff;
mod client;
mod config;
mod error;
mod layout;
mod register;
mod txn;
mod watch;
mod wire;

pub use backoff::Backoff;
pub use client::{Client, DEADLINE, Entry, MemberStatus, Page, prefix_end};
pub use config::{Config, ENDPOINT, endpoints, password};
pub use error::Error;
pub use layout::{Key, KeyError, Layout, PREFIX, PREFIX_MAX, VALUE_MAX};
pub use register::{ADDRESSES_MAX, Clash, LEASE_SECONDS, Registrar, Registration, Report};
pub use txn::{TXN_OPERATIONS, Txn, TxnEnd};
pub use watch::{Change, Changes, Watch};
