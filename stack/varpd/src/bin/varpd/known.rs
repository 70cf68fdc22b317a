//! What may overlayd have been told? A set of destinations that forgets nothing and takes no room for it: sometimes it says yes where it
//! should not.

use overlay_decoder::Mac;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of a word.
const WORD: usize = 64;
/// Words: 4 KiB for an instance.
const WORDS: usize = 512;

/// Destinations that were asked for (a Bloom filter with one hash).
pub(crate) struct Known([AtomicU64; WORDS]);

impl Known {
    /// None.
    pub(crate) fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    fn place(&self, mac: Mac) -> Option<(&AtomicU64, u64)> {
        let [a, b, c, d, e, f] = mac.0;
        // Fibonacci hashing: the upper bits depend on all of the address.
        let hash = u64::from_be_bytes([0, 0, a, b, c, d, e, f]).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 15);
        let bit = hash as usize % (WORDS * WORD);
        Some((self.0.get(bit / WORD)?, 1 << (bit % WORD)))
    }

    /// It was asked for.
    pub(crate) fn add(&self, mac: Mac) {
        if let Some((word, bit)) = self.place(mac)
            && word.load(Relaxed) & bit == 0
        {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// Whether it may have been asked for. Never no where it was.
    pub(crate) fn may_have(&self, mac: Mac) -> bool {
        self.place(mac).is_none_or(|(word, bit)| word.load(Relaxed) & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_never_forgotten_and_little_else_is_remembered() {
        let mac = |number: u32| {
            let [a, b, c, d] = number.to_be_bytes();
            Mac([2, 8, a, b, c, d])
        };
        let known = Known::new();
        (0..1000).for_each(|number| known.add(mac(number)));
        assert!((0..1000).all(|number| known.may_have(mac(number))));
        let mistaken = (1000..11_000).filter(|number| known.may_have(mac(*number))).count();
        assert!(mistaken < 1000, "{mistaken} of 10,000");
    }
}
