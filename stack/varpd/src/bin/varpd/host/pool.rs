//! Who asks the plugin? A few threads, so that a lookup that waits for something holds up only some of the others.

use super::room::{Room, say_line};
use overlay_api::{Answer, Lookup};
use overlay_varpd::abi::{Calls, Level, Looked, Object};
use overlay_varpd::proxy::{self, Asked};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Lookups that the plugin is asked at once.
const THREADS: usize = 4;
/// Holds for no time at all: the next frame asks again.
const DROP_ONCE: Answer = Answer::Drop { ttl_ns: Some(0) };

/// The threads. Varpd keeps what waits for them within bounds.
pub(super) struct Pool(Sender<(Lookup, Instant)>);

impl Pool {
    /// Starts them.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(room: &'static Room, deadline: Duration) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = Arc::clone(&receiver);
            Builder::new().name("lookup".to_owned()).spawn(move || work(room, deadline, &receiver))?;
        }
        Ok(Self(sender))
    }

    /// Has a lookup asked that came at this time.
    pub(super) fn ask(&self, lookup: Lookup, came: Instant) {
        // A thread takes it: none ends before the process does.
        let _ = self.0.send((lookup, came));
    }
}

fn work(room: &Room, deadline: Duration, lookups: &Mutex<Receiver<(Lookup, Instant)>>) {
    loop {
        let next = lookups.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((lookup, came)) = next else { return };
        let left = deadline.saturating_sub(came.elapsed());
        // Too late for an answer: varpd has said drop.
        if !left.is_zero() {
            ask(room, &lookup, left);
        }
    }
}

fn ask(room: &Room, lookup: &Lookup, left: Duration) {
    let query = lookup.request.0;
    let seat = room.seat(lookup.device.0.into());
    // Who waited here for one that ends, which waits for its lookups, would keep all others waiting, too.
    let object = seat.as_ref().and_then(|seat| match seat.object.try_read() {
        Ok(object) => Some(object),
        Err(TryLockError::Poisoned(object)) => Some(object.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    });
    let Some(object) = object.as_ref().and_then(|object| object.as_ref()) else {
        // It ends, has ended since, or did not start.
        room.answer(query, DROP_ONCE);
        return;
    };
    let looked = {
        let _call = room.calls.begin("lookup");
        object.lookup(query, lookup, left.as_millis() as u64)
    };
    match looked {
        Looked::Answer => {}
        Looked::Proxy => {
            room.answer(query, proxied(room, object, lookup).unwrap_or(DROP_ONCE));
        }
        Looked::Other(number) => {
            say_line(
                Level::Warn,
                &format!("lookup returned {number}; 0 and 1 are allowed. Unless it is answered, it is dropped at its deadline"),
            );
        }
    }
}

/// What is answered in somebody's name; none if the frame asks nothing, must not be answered, or the plugin does not know.
fn proxied(room: &Room, object: &Object<'_>, lookup: &Lookup) -> Option<Answer> {
    let (request, vni, source) = (lookup.request.0, lookup.vni.get(), lookup.question.source);
    match proxy::asked(&lookup.frame) {
        Ok(None) => None,
        Ok(Some(Asked::Arp(asked))) => {
            let _call = room.calls.begin("arp");
            let mac = object.arp(asked.target());
            overlay_probes::varpd::proxy_arp(request, vni, u8::from(mac.is_some()), asked.target());
            // Whoever asks whether its own address is taken must not be told so by us.
            mac.filter(|mac| *mac != source).map(|mac| Answer::Inject(asked.reply(mac)))
        }
        Ok(Some(Asked::Ndp(asked))) => {
            let _call = room.calls.begin("ndp");
            let mac = object.ndp(asked.target());
            overlay_probes::varpd::proxy_ndp(request, vni, u8::from(mac.is_some()), asked.target());
            mac.filter(|mac| *mac != source).map(|mac| Answer::Inject(asked.reply(mac)))
        }
        Ok(Some(Asked::Dhcp(asked))) => {
            let _call = room.calls.begin("dhcp");
            let server = object.dhcp(source);
            overlay_probes::varpd::proxy_dhcp(request, vni, u8::from(server.is_some()), source);
            server.map(|server| Answer::Resend(asked.redirect(server)))
        }
        Err(why) => {
            overlay_probes::varpd::proxy_refused(request, vni, why, source);
            None
        }
    }
}
