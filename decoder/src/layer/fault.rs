//! What is wrong inside a header that is there? An option beyond its list, a name that never ends, a record cut by the capture.
//!
//! Only the first fault of a header counts. It is found by the parsers that the renderings use, so that what is shown and what is
//! at fault cannot disagree.

use super::View;
use crate::stop::StopKind;

/// The first fault inside a header. The walk notes it and goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// Whose fault it is.
    pub(crate) kind: StopKind,
    /// Where it is, in bytes from the start of the header.
    pub(crate) offset: usize,
    /// Bytes needed from there; 0 where no length is at fault.
    pub(crate) need: usize,
    /// Bytes there are from there.
    pub(crate) have: usize,
    /// What is wrong, where it is more than a lack of captured bytes.
    pub(crate) reason: Option<&'static str>,
}

impl Fault {
    /// A field that says what it must not say.
    pub(super) const fn wrong(offset: usize, reason: &'static str) -> Self {
        Self { kind: StopKind::Malformed, offset, need: 0, have: 0, reason: Some(reason) }
    }
}

/// How far a header and what belongs to it go, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Room {
    /// What was captured.
    pub(super) captured: usize,
    /// What there is by the lengths in the headers around it.
    pub(super) claimed: usize,
}

impl Room {
    /// That of something whole.
    pub(super) const fn whole(length: usize) -> Self {
        Self { captured: length, claimed: length }
    }

    /// That of a header which the walk has seen whole, with its options.
    pub(super) const fn header(view: View<'_>) -> Self {
        Self::whole(view.header.len())
    }

    /// That of a header and all that is behind it.
    pub(super) const fn message(view: View<'_>) -> Self {
        Self { captured: view.header.len() + view.payload.len(), claimed: view.header.len() + view.claimed as usize }
    }

    /// The fault of something that takes `need` bytes from `at` on, unless they are there; `reason` is the sender's.
    pub(super) fn lacking(self, at: usize, need: usize, reason: &'static str) -> Option<Fault> {
        let end = at.saturating_add(need);
        if end > self.claimed {
            let have = self.claimed.saturating_sub(at);
            Some(Fault { kind: StopKind::Malformed, offset: at, need, have, reason: Some(reason) })
        } else if end > self.captured {
            let have = self.captured.saturating_sub(at);
            Some(Fault { kind: StopKind::Truncated, offset: at, need, have, reason: None })
        } else {
            None
        }
    }

    /// The fault of a list that was read up to `at`, where another item takes `need` bytes at least: bytes of it are left.
    pub(super) fn left(self, at: usize, need: usize, reason: &'static str) -> Option<Fault> {
        if at < self.claimed { self.lacking(at, need, reason) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_on_the_wire_is_the_captures_fault_and_what_was_not_the_senders() {
        let room = Room { captured: 10, claimed: 14 };
        assert_eq!(room.lacking(4, 6, "no"), None);
        let fault = |kind, need, have, reason| Some(Fault { kind, offset: 4, need, have, reason });
        assert_eq!(room.lacking(4, 7, "beyond"), fault(StopKind::Truncated, 7, 6, None));
        assert_eq!(room.lacking(4, 11, "beyond"), fault(StopKind::Malformed, 11, 10, Some("beyond")));
        assert_eq!(room.left(14, 4, "beyond"), None, "a list that ends where it must");
        assert_eq!(room.lacking(usize::MAX, 2, "beyond").map(|fault| fault.have), Some(0));
    }
}
