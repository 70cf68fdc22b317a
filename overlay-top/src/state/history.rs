//! How fast does it grow? Counters and when they were told become rates, and the last of these a graph.

use crate::column::Rates;
use crate::rows::{Moment, SECOND};
use std::collections::VecDeque;

/// Rates that a graph has at most.
pub(crate) const GRAPH_MAX: usize = 240;

/// Counters that only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) drops: u64,
    pub(crate) misses: u64,
}

/// What was told of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    last: Option<(Moment, Counts)>,
    rates: Rates,
    /// Frames a second to the underlay, from it, and drops a second; the newest last.
    pub(crate) tx: VecDeque<u64>,
    pub(crate) rx: VecDeque<u64>,
    pub(crate) drops: VecDeque<u64>,
}

impl History {
    /// Takes what was counted until `at`, and says how much that is a second. Counters that fell have started again: a rate is not
    /// known then.
    pub(crate) fn tell(&mut self, at: Moment, counts: Counts) -> Rates {
        let Some((before, old)) = self.last else {
            self.last = Some((at, counts));
            return self.rates;
        };
        if at <= before {
            return self.rates;
        }
        self.last = Some((at, counts));
        let seconds = (at - before) as f64 / SECOND as f64;
        let rate = |new: u64, old: u64| new.checked_sub(old).map(|grown| grown as f64 / seconds);
        self.rates = Rates {
            tx_packets: rate(counts.tx_packets, old.tx_packets),
            tx_bits: rate(counts.tx_bytes, old.tx_bytes).map(|bytes| bytes * 8.0),
            rx_packets: rate(counts.rx_packets, old.rx_packets),
            rx_bits: rate(counts.rx_bytes, old.rx_bytes).map(|bytes| bytes * 8.0),
            drops: rate(counts.drops, old.drops),
            misses: rate(counts.misses, old.misses),
        };
        push(&mut self.tx, self.rates.tx_packets);
        push(&mut self.rx, self.rates.rx_packets);
        push(&mut self.drops, self.rates.drops);
        self.rates
    }

    pub(crate) fn rates(&self) -> Rates {
        self.rates
    }
}

fn push(graph: &mut VecDeque<u64>, rate: Option<f64>) {
    if graph.len() == GRAPH_MAX {
        graph.pop_front();
    }
    graph.push_back(rate.unwrap_or(0.0).round() as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_grew_in_the_time_between() {
        let mut history = History::default();
        let counts = |tx_packets| Counts { tx_packets, tx_bytes: tx_packets * 100, ..Counts::default() };
        assert_eq!(history.tell(SECOND, counts(1000)), Rates::default(), "one time is none");
        let rates = history.tell(3 * SECOND, counts(1500));
        assert_eq!((rates.tx_packets, rates.tx_bits, rates.rx_packets), (Some(250.0), Some(200_000.0), Some(0.0)));
        assert_eq!(history.tell(3 * SECOND, counts(9000)), rates, "no time has passed");
        let rates = history.tell(4 * SECOND, counts(10));
        assert_eq!((rates.tx_packets, rates.rx_packets), (None, Some(0.0)), "the counters began again");
        assert_eq!(history.tell(5 * SECOND, counts(20)).tx_packets, Some(10.0));
        assert_eq!(history.tx, [250, 0, 10]);
        for second in 0..1000 {
            history.tell((6 + second) * SECOND, counts(20));
        }
        assert_eq!(history.tx.len(), GRAPH_MAX);
    }
}
