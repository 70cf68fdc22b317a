//! What does a thread of the data path do? Both directions of one queue, a batch of one source after the other.
//!
//! What a batch causes is often there when it is done: the tenant's stack has answered on the way. A thread that serves both directions
//! takes the answer along, where one of two would wake the other first; for an echo that is one wake-up of four less.

use super::receive::{self, Receive};
use super::transmit::Transmit;
use super::wait::Waiter;
use super::{Io, Shared};
use crate::bell::Bell;
use crate::sys::TapQueue;
use overlay_api::PortId;
use overlay_engine::Worker;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The number of the bell among what is waited for.
const BELL: u64 = u64::MAX;

/// How long to wait before what could not be watched is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What frames or datagrams come from.
enum Source {
    Vnic(PortId, Arc<TapQueue>),
    Underlay(receive::Source),
}

/// Runs until it is stopped.
pub(super) fn run(shared: &Shared, mut worker: Worker, queue: usize, bell: &Bell) -> io::Result<()> {
    let (mut transmit, mut receive) = (Transmit::new(shared), Receive::new(shared));
    let mut io = shared.io.load_full();
    let (mut waiter, mut sources) = watch(&io, queue, bell)?;
    let (mut busy, mut ready) = (false, Vec::new());
    while !shared.stopped() {
        ready.clear();
        ready.extend(waiter.wait(busy, shared.clock, shared.spin_ns)?);
        busy = false;
        if let (Some(slept_ns), Some(first)) = (waiter.slept_ns(), ready.first()) {
            let (what, id) = match usize::try_from(*first).ok().and_then(|number| sources.get(number)) {
                Some(Source::Vnic(port, _)) => ("vnic", port.0),
                Some(Source::Underlay((underlay, ..))) => ("underlay", underlay.0),
                None => ("bell", 0),
            };
            overlay_probes::worker_wake(queue as u32, ready.len() as u32, id, slept_ns, what);
        }
        for number in &ready {
            if *number == BELL {
                bell.hear();
                io = shared.io.load_full();
                match watch(&io, queue, bell) {
                    Ok(new) => (waiter, sources) = new,
                    Err(error) => {
                        // Descriptors are short, for example. Without this thread the flows of its queue would go nowhere, so what
                        // was watched stays watched until there is room.
                        tracing::error!("queue {queue}: cannot watch what has changed: {error}; it is tried again");
                        std::thread::sleep(AGAIN);
                        bell.ring();
                    }
                }
                busy = true;
                break;
            }
            busy |= match usize::try_from(*number).ok().and_then(|number| sources.get(number)) {
                Some(Source::Vnic(port, tap)) => transmit.turn(shared, &io, queue, (*port, tap), &mut worker),
                Some(Source::Underlay(source)) => receive.turn(shared, &io, queue, source, &mut worker),
                None => false,
            };
        }
    }
    Ok(())
}

fn watch(io: &Io, queue: usize, bell: &Bell) -> io::Result<(Waiter, Vec<Source>)> {
    let mut waiter = Waiter::new()?;
    waiter.watch(bell, BELL)?;
    let vnics = io.taps.iter().filter_map(|(port, queues)| Some(Source::Vnic(*port, Arc::clone(queues.get(queue)?))));
    let underlays = io.underlays.iter().filter_map(|(id, underlay)| receive::mine(*id, underlay, queue)).map(Source::Underlay);
    let sources: Vec<Source> = vnics.chain(underlays).collect();
    for (number, source) in sources.iter().enumerate() {
        match source {
            Source::Vnic(_, tap) => waiter.watch(tap.as_ref(), number as u64)?,
            Source::Underlay((_, _, sockets)) => waiter.watch(sockets.as_ref(), number as u64)?,
        }
    }
    Ok((waiter, sources))
}
