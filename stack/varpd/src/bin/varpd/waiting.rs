//! Which lookups wait until something is known? A bounded queue: answering drop would cut off what overlayd knows from an earlier varpd.

use overlay_api::Lookup;
use overlay_varpd::plugin::Reply;
use std::collections::VecDeque;

/// Lookups that wait; more are left to overlayd's time limit, the oldest first.
const MAX: usize = 1024;

/// Lookups that nobody can answer yet. Those that are in it at its end are left to overlayd's time limit.
#[derive(Default)]
pub(crate) struct Waiting(VecDeque<(Lookup, Reply)>);

impl Waiting {
    /// One more waits.
    pub(crate) fn push(&mut self, lookup: &Lookup, reply: Reply) {
        // A connection that has ended hears no answer, and its lookups would push those of the next one out.
        if self.0.iter().any(|(_, reply)| !reply.is_heard()) {
            let (heard, gone): (VecDeque<_>, VecDeque<_>) = self.0.drain(..).partition(|(_, reply)| reply.is_heard());
            self.0 = heard;
            gone.into_iter().for_each(|(_, reply)| reply.abandon());
        }
        if self.0.len() >= MAX
            && let Some((_, oldest)) = self.0.pop_front()
        {
            oldest.abandon();
        }
        self.0.push_back((lookup.clone(), reply));
    }

    /// They wait no longer, in the order in which they came.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (Lookup, Reply)> + '_ {
        self.0.drain(..)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.take().for_each(|(_, reply)| reply.abandon());
    }
}
