//! What did a handle see, and what was lost? Counts of 32 bits that go on over 2^32, and the interface's own.
//!
//! libpcap adds up what the kernel says, in 32 bits: after 4,294,967,295 packets, which a busy link passes within the hour, it starts
//! again at 0. So a count is asked for more often than that, and differences are added up here.
//!
//! What the interface lost before the kernel saw it, libpcap would read from /sys/class/net: those of the namespace that /sys was
//! mounted in, whichever is captured in, and nothing at all once the process may open no files. Netlink tells it of the right interface,
//! at any time.

use crate::host::Kernel;
use crate::live::{ANY, Place};
use pcap::Stat;

/// What a handle saw.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Packets that were handed over.
    pub captured: u64,
    /// Packets that the kernel half of the filter let through: those captured, those dropped, and those that wait in the ring.
    pub received: u64,
    /// Packets that found no room in the ring.
    pub dropped: u64,
    /// Packets that the interface itself had no room for; 0 for `any`, and where the kernel does not tell.
    pub interface_dropped: u64,
}

/// The counts of one handle in the making.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Counts,
    received: Wrapping,
    dropped: Wrapping,
    is_any: bool,
    interface: Option<InterfaceLosses>,
}

impl Tally {
    /// Starts to count. An interface that cannot be asked is told to have lost nothing.
    pub(super) fn start(place: &Place) -> Self {
        let (received, dropped) = Default::default();
        let is_any = place.interface == ANY;
        Self { counts: Counts::default(), received, dropped, is_any, interface: InterfaceLosses::since_now(place) }
    }

    /// Leaves out what came before: until a filter is set, everything that passes is offered to the handle, and counted.
    pub(super) fn start_over(&mut self, stat: &Stat) {
        self.received = Wrapping { last: stat.received, total: 0 };
        self.dropped = Wrapping { last: stat.dropped, total: 0 };
    }

    /// Packets were handed over.
    pub(super) fn add_captured(&mut self, packets: u64) {
        self.counts.captured += packets;
    }

    /// Whether the interface is there no more, or down. `any` always is there.
    pub(super) fn is_interface_away(&mut self) -> bool {
        match &mut self.interface {
            Some(interface) => interface.kernel.link(interface.index).is_ok_and(|link| link.is_none_or(|link| !link.up)),
            // Gone before it could be asked for the first time.
            None => !self.is_any,
        }
    }

    /// What is known now; `stat` is what libpcap says, if it does.
    pub(super) fn update(&mut self, stat: Option<Stat>) -> Counts {
        if let Some(stat) = stat {
            self.counts.dropped = self.dropped.at(stat.dropped);
            // A packet that came before the filter and passes it is handed over, too.
            self.counts.received = self.received.at(stat.received).max(self.counts.captured + self.counts.dropped);
        }
        if let Some(lost) = self.interface.as_mut().and_then(InterfaceLosses::ask) {
            self.counts.interface_dropped = lost;
        }
        self.counts
    }
}

/// A count that starts again at 0 after 2^32 - 1.
#[derive(Clone, Copy, Default, Debug)]
struct Wrapping {
    last: u32,
    total: u64,
}

impl Wrapping {
    /// The whole count, when the lower 32 bits are `now`. Fewer than 2^32 must have been counted since the last time.
    fn at(&mut self, now: u32) -> u64 {
        self.total += u64::from(now.wrapping_sub(self.last));
        self.last = now;
        self.total
    }
}

/// What an interface has lost since the capture began.
#[derive(Debug)]
struct InterfaceLosses {
    kernel: Kernel,
    index: u32,
    before: u64,
}

impl InterfaceLosses {
    fn since_now(place: &Place) -> Option<Self> {
        let mut kernel = Kernel::open(&place.namespace).ok()?;
        let link = kernel.link_named(&place.interface).ok()??;
        Some(Self { kernel, index: link.index, before: link.counters.rx_missed })
    }

    /// `None` when the interface is gone.
    fn ask(&mut self) -> Option<u64> {
        let link = self.kernel.link(self.index).ok()??;
        // A driver that was loaded anew starts at 0.
        Some(link.counters.rx_missed.saturating_sub(self.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Namespace;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_count_goes_on_over_32_bits(steps in prop::collection::vec(prop_oneof![any::<u32>(), Just(u32::MAX), 0..9_u32], 0..50)) {
            let (mut counted, mut whole) = (Wrapping::default(), 0_u64);
            for step in steps {
                whole += u64::from(step);
                // What libpcap shows: the lower half.
                prop_assert_eq!(counted.at(whole as u32), whole);
            }
        }
    }

    fn place(interface: &str) -> Place {
        let namespace = Namespace::current().unwrap();
        Place { namespace, interface: interface.into(), label: interface.into(), mac: None, vni: None }
    }

    #[test]
    fn what_libpcap_does_not_say_stays_as_it_was() {
        let mut tally = Tally::start(&place("any"));
        tally.add_captured(5);
        let stat = |received, dropped| Some(Stat { received, dropped, if_dropped: 9 });
        let first = Counts { captured: 5, received: 8, dropped: 2, interface_dropped: 0 };
        assert_eq!(tally.update(stat(8, 2)), first, "'any' has no losses of its own, whatever libpcap makes of it");
        assert_eq!(tally.update(None), first);
        let second = Counts { received: (1 << 32) + 1, ..first };
        assert_eq!((tally.update(stat(1, 2)), tally.update(stat(1, 3)).dropped), (second, 3));
    }

    #[test]
    fn what_came_before_the_filter_is_not_counted() {
        let mut tally = Tally::start(&place("any"));
        let stat = |received, dropped| Stat { received, dropped, if_dropped: 0 };
        tally.start_over(&stat(u32::MAX, 3));
        assert_eq!(tally.update(Some(stat(12, 4))), Counts { received: 13, dropped: 1, ..Counts::default() });
        // Two of those before it passed it.
        tally.add_captured(14);
        assert_eq!(tally.update(Some(stat(12, 4))), Counts { captured: 14, received: 15, dropped: 1, interface_dropped: 0 });
    }

    #[test]
    fn an_interface_that_nobody_finds_is_away_and_any_never_is() {
        let away = |interface: &str| Tally::start(&place(interface)).is_interface_away();
        assert_eq!([away("no-such-one"), away("any")], [true, false]);
    }

    #[test]
    fn an_interface_is_asked_through_netlink() {
        let mut losses = InterfaceLosses::since_now(&place("lo")).unwrap();
        assert_eq!((losses.index, losses.ask()), (1, Some(0)), "a loop loses nothing");
        assert!(InterfaceLosses::since_now(&place("no-such-one")).is_none());
    }
}
