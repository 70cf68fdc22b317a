//! How does a thread wait for work? It looks again for a while, letting others run, and only then sleeps until it is woken.
//!
//! Waking a sleeping thread costs tens of microseconds on a virtual machine; looking costs a core. Thirty microseconds of looking
//! give back most of the round trip, and nothing of a host that is idle. Where another thread wants the core, such as the tenant's program
//! that is to answer, looking would only take it away: then the thread sleeps at once.

use crate::clock::Clock;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use overlay_engine::Time;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A call of sched_yield(2) that took longer has let another thread run.
const OTHERS_NS: u64 = 5_000;
/// Descriptors that become ready in one call.
const EVENTS: usize = 64;

/// What is waited for: descriptors with a number each.
#[derive(Debug)]
pub(crate) struct Waiter {
    epoll: Epoll,
    /// Kept open as long as they are waited for: a duplicate leaves the interest list with its last descriptor.
    watched: Vec<OwnedFd>,
    events: Vec<EpollEvent>,
    idle_since: Option<Time>,
    /// How long the last call of [`Waiter::wait`] slept, in nanoseconds; none if it only looked.
    slept_ns: Option<u64>,
}

impl Waiter {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            watched: Vec::new(),
            events: vec![EpollEvent::empty(); EVENTS],
            idle_since: None,
            slept_ns: None,
        })
    }

    /// Waits for this one, too.
    pub(crate) fn watch(&mut self, fd: impl AsFd, number: u64) -> io::Result<()> {
        let own = fd.as_fd().try_clone_to_owned()?;
        self.epoll.add(&own, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        self.watched.push(own);
        Ok(())
    }

    /// The numbers of those that are ready. `busy` says whether there was anything to do since the last call.
    pub(crate) fn wait(&mut self, busy: bool, clock: Clock, spin_ns: u64) -> io::Result<impl Iterator<Item = u64>> {
        let now = clock.now();
        if busy {
            self.idle_since = None;
        }
        let since = *self.idle_since.get_or_insert(now);
        let looking = now.since(since) < spin_ns;
        let timeout = if busy || looking { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        let ready = match self.epoll.wait(&mut self.events, timeout) {
            Ok(ready) => ready,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        self.slept_ns = (!busy && !looking).then(|| clock.now().since(now));
        if ready == 0 && looking {
            let before = clock.now();
            std::thread::yield_now();
            if clock.now().since(before) > OTHERS_NS {
                self.idle_since = Some(Time(before.0.saturating_sub(spin_ns)));
            }
        }
        Ok(self.events.iter().take(ready).map(EpollEvent::data))
    }

    /// How long the last call of [`wait`](Self::wait) slept, in nanoseconds; none if it only looked.
    pub(crate) fn slept_ns(&self) -> Option<u64> {
        self.slept_ns
    }
}
