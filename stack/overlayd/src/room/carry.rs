//! What the engine wants is carried out: frames out, sockets opened and closed.

use super::{Room, Wanted};
use crate::data::{OpenUnderlay, send_one};
use crate::sys::{Underlay, UnderlaySpec};
use overlay_api::UnderlayId;
use overlay_api::control::{Happening, OverlayState};
use overlay_engine::{Delivery, Event, Output};
use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;

impl Room {
    /// Carries out everything that the engine wants, one after the other: the order of frames hangs on it.
    pub(super) fn carry_out(&mut self) {
        loop {
            self.carry_out_outputs();
            if self.put_questions() {
                return;
            }
        }
    }

    /// The same, but for the questions that wait to be put: they go together.
    pub(super) fn carry_out_outputs(&mut self) {
        while let Some(output) = self.control.poll_output(self.clock.now()) {
            match output {
                Output::Transmit(sending) => {
                    let io = self.threads.shared().io.load();
                    if let Err(reason) = send_one(&io, &sending, self.queues) {
                        self.control.lost(&sending, reason);
                    }
                }
                Output::Deliver(delivery) => self.deliver(&delivery),
                Output::Lookup(lookup) => self.answerers.ask(lookup),
                Output::Withdraw(request) => self.answerers.withdraw(request),
                // Only wanted where the engine is replayed.
                Output::Verdict(..) => {}
                Output::Event(event) => self.happened(event),
            }
        }
    }

    fn deliver(&mut self, delivery: &Delivery) {
        let io = self.threads.shared().io.load();
        let tap = io.taps.get(&delivery.port).and_then(|queues| queues.first());
        let written = tap.is_some_and(|tap| tap.write(&[IoSlice::new(&delivery.bytes)], &delivery.offload).unwrap_or(false));
        if !written {
            self.control.undelivered(delivery);
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::UnderlayOpen { underlay, encapsulation, namespace, listen, .. } => {
                let Some(encapsulation) = self.registry.get(&encapsulation).cloned() else { return };
                let (problem, retry) = (Some(String::new()), true);
                let wanted = Wanted { namespace, listen, encapsulation, problem, retry, overflowed: 0, mtu: 0 };
                self.underlays.insert(underlay, wanted);
                self.open_underlay(underlay);
            }
            Event::UnderlayClose { underlay } => {
                self.underlays.remove(&underlay);
                self.threads.change(|io| drop(io.underlays.remove(&underlay)));
            }
            // Answers to pings are forwarded where they wait.
            Event::Pong(pong) => self.handle_pong(&pong),
            Event::Device { device, degraded } => {
                let Some(info) = self.control.device(device) else { return };
                let Ok(overlay) = info.spec.name.parse() else { return };
                let down = self.underlays.get(&info.underlay).is_none_or(|wanted| wanted.problem.is_some());
                let state = match (&degraded, down) {
                    (None, _) => OverlayState::Up,
                    (Some(_), true) => OverlayState::Down,
                    (Some(_), false) => OverlayState::Degraded,
                };
                // The tenants' interfaces show it, as one without a cable would.
                for vnic in self.vnics.values().filter(|vnic| vnic.device == device) {
                    if let Ok(tap) = &vnic.tap
                        && let Err(error) = tap.set_carrier(state != OverlayState::Down)
                    {
                        tracing::debug!("{error}");
                    }
                }
                tracing::info!("overlay {overlay}: {state}{}", degraded.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default());
                self.tell(Happening::OverlayState { overlay, state, reason: degraded });
            }
        }
    }

    /// Tries again those that are not open (an address may have appeared), and looks whether the others still are what they were.
    pub(super) fn look_at_underlays(&mut self) {
        let io = self.threads.shared().io.load_full();
        let all: Vec<(UnderlayId, bool)> = self.underlays.iter().map(|(id, wanted)| (*id, wanted.problem.is_none())).collect();
        for (id, open) in all {
            match io.underlays.get(&id).filter(|_| open) {
                Some(underlay) => self.look_at(id, &underlay.sockets),
                None => self.open_underlay(id),
            }
        }
        // The kernel forgets a small path after a while (ten minutes), and so do we.
        let known: Vec<_> = self.small_paths.iter().map(|(path, mtu)| (*path, *mtu)).collect();
        for ((id, to), mtu) in known {
            let now = io.underlays.get(&id).and_then(|underlay| underlay.sockets.path_mtu(to));
            if now != Some(mtu) {
                self.small_paths.remove(&(id, to));
                self.control.handle_path_mtu(id, to, None);
            }
        }
    }

    fn look_at(&mut self, id: UnderlayId, sockets: &Underlay) {
        let Some(wanted) = self.underlays.get_mut(&id) else { return };
        let lost = sockets.overflowed() + sockets.cut();
        if lost > wanted.overflowed {
            let more = lost - wanted.overflowed;
            overlay_probes::rx_overflow(id.0, more, wanted.listen);
            tracing::warn!("underlay {}: {more} datagrams came faster than they were read, or longer than any can be", wanted.listen);
        }
        wanted.overflowed = lost;
        match sockets.mtu() {
            Ok(mtu) if mtu == wanted.mtu => {}
            Ok(mtu) => {
                wanted.mtu = mtu;
                self.control.handle_underlay(id, Ok(mtu), self.clock.now());
            }
            Err(error) => {
                let problem = error.to_string();
                tracing::warn!("{problem}");
                wanted.problem = Some(problem.clone());
                self.threads.change(|io| drop(io.underlays.remove(&id)));
                self.control.handle_underlay(id, Err(problem), self.clock.now());
            }
        }
    }

    /// What the data path found out about paths.
    pub(super) fn learn_small_paths(&mut self) {
        for (id, to, mtu) in self.threads.shared().small_paths() {
            self.note_small_path(id, to, mtu);
        }
    }

    /// A path is smaller than its underlay.
    pub(super) fn note_small_path(&mut self, id: UnderlayId, to: IpAddr, mtu: u32) {
        if self.small_paths.insert((id, to), mtu) != Some(mtu) {
            tracing::info!("the path to {to} takes packets of {mtu} bytes");
        }
        self.control.handle_path_mtu(id, to, Some(mtu));
    }

    fn open_underlay(&mut self, id: UnderlayId) {
        let Some(wanted) = self.underlays.get_mut(&id).filter(|wanted| wanted.retry) else { return };
        let netns = wanted.namespace.clone();
        let spec = UnderlaySpec { queues: self.queues, netns, ..UnderlaySpec::new(wanted.encapsulation.carrier(), wanted.listen) };
        match Underlay::open(&spec).and_then(|sockets| Ok((sockets.mtu()?, sockets))) {
            Ok((mtu, sockets)) => {
                (wanted.problem, wanted.mtu) = (None, mtu);
                let open = OpenUnderlay { sockets: Arc::new(sockets), encapsulation: Arc::clone(&wanted.encapsulation) };
                self.threads.change(|io| drop(io.underlays.insert(id, open)));
                self.control.handle_underlay(id, Ok(mtu), self.clock.now());
            }
            Err(error) => {
                let problem = error.to_string();
                wanted.retry = error.is_retryable();
                if wanted.problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}{}", if wanted.retry { "; it is tried again every second" } else { "" });
                    self.control.handle_underlay(id, Err(problem.clone()), self.clock.now());
                    wanted.problem = Some(problem);
                }
            }
        }
    }
}
