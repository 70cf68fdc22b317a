//! Who is at the other end, and may they change anything? Root and the group of the socket may.

use crate::groups::peer_groups;
use crate::{Refused, Shared};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use overlay_api::control::{Problem, ProblemKind};
use std::sync::Arc;
use tokio::net::UnixStream;

/// The process at the other end, as it was when it connected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    pub(crate) uid: u32,
    /// Its process id; none where it is not visible from here.
    pub(crate) pid: Option<i32>,
    /// All of its groups, the primary one too.
    groups: Vec<u32>,
}

impl Peer {
    /// Asks the kernel (SO_PEERCRED, SO_PEERGROUPS).
    pub(crate) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let mut groups = peer_groups(stream)?;
        groups.push(credentials.gid());
        Ok(Self { uid: credentials.uid(), pid: credentials.pid(), groups })
    }

    /// Whether it may change anything, on a socket of group `gid`.
    #[must_use]
    pub fn may_change(&self, gid: u32) -> bool {
        self.uid == 0 || self.groups.contains(&gid)
    }
}

/// Somebody who may change things. A handler that changes something takes this as its first argument: without it, the call never gets
/// as far as its body.
#[derive(Debug)]
pub struct Operator;

impl<R: Send + Sync + 'static> FromRequestParts<Shared<R>> for Operator {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Shared<R>) -> Result<Self, Refused> {
        let peer = parts.extensions.get::<Arc<Peer>>();
        let (method, path) = (&parts.method, parts.uri.path());
        match peer {
            Some(peer) if peer.may_change(api.gid()) => {
                tracing::debug!(uid = peer.uid, pid = peer.pid, "{method} {path}");
                Ok(Self)
            }
            _ => {
                api.count_refused();
                let uid = peer.map(|peer| peer.uid);
                let who = uid.map_or_else(|| "whoever asks".to_owned(), |uid| format!("uid {uid}"));
                tracing::warn!(uid, pid = peer.and_then(|peer| peer.pid), "refused: {method} {path}");
                let problem = format!("{who} may not change anything; root and members of group {} may", api.gid());
                Err(Problem::new(ProblemKind::Forbidden, problem).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_group_may_and_nobody_else() {
        let peer = |uid, groups: &[u32]| Peer { uid, pid: None, groups: groups.to_vec() };
        assert!(peer(0, &[]).may_change(7));
        assert!(peer(1000, &[5, 7]).may_change(7));
        assert!(!peer(1000, &[5, 6]).may_change(7));
        assert!(!peer(7, &[]).may_change(7), "a user's number is no group's");
    }
}
