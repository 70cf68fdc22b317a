//! Which number is free? The one allocator of ids: devices, ports, underlays, lookups.
//!
//! It keeps the *free* numbers as ranges, so that a full restart ([`Ids::claim`] for everything that was persisted), a wrap and a hole
//! are the same case: a number is granted only out of a free range. Each call costs O(log r), r the number of free ranges, which is at
//! most one more than there are ids outstanding.
//!
//! ```
//! use overlay_api::{Ids, PortId};
//! let mut ids: Ids<PortId> = Ids::new(1, 3);
//! ids.claim(PortId(1)).unwrap();                   // restart: this one was persisted
//! assert_eq!(ids.next(), Ok(PortId(2)));
//! assert_eq!(ids.next(), Ok(PortId(3)));
//! assert_eq!(ids.next().unwrap_err().to_string(), "port ids: all of 1-3 are in use");
//! ids.free(PortId(2)).unwrap();
//! assert_eq!(ids.next(), Ok(PortId(2)));           // after the wrap only what was freed
//! ```

use crate::{DeviceId, PortId, RequestId, UnderlayId};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// An id that [`Ids`] can grant: a number with a name.
pub trait Id: Copy {
    /// What it names, in one word, for errors.
    const KIND: &'static str;
    /// The largest number that the type holds.
    const MAX: u64;

    /// The id of that number, which is at most [`Id::MAX`].
    fn from_number(number: u64) -> Self;

    /// Its number.
    fn number(self) -> u64;
}

macro_rules! ids {
    ($($name:ident($inner:ty) = $kind:literal;)+) => {
        $(impl Id for $name {
            const KIND: &'static str = $kind;
            const MAX: u64 = <$inner>::MAX as u64;

            fn from_number(number: u64) -> Self {
                // No number above MAX is ever asked for; should it be, the largest id is a harmless answer and a wrong one is not.
                Self(<$inner>::try_from(number).unwrap_or(<$inner>::MAX))
            }

            fn number(self) -> u64 {
                self.0.into()
            }
        })+
    };
}

ids! {
    DeviceId(u32) = "device";
    PortId(u32) = "port";
    UnderlayId(u32) = "underlay";
    RequestId(u64) = "request";
}

/// Why an id could not be granted or given back: a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdError {
    /// Nothing is free.
    Exhausted {
        /// [`Id::KIND`].
        kind: &'static str,
        /// Smallest number.
        min: u64,
        /// Largest number.
        max: u64,
    },
    /// Claimed, but somebody has it.
    InUse {
        /// [`Id::KIND`].
        kind: &'static str,
        /// The number.
        number: u64,
    },
    /// Given back, but nobody had it.
    NotInUse {
        /// [`Id::KIND`].
        kind: &'static str,
        /// The number.
        number: u64,
    },
    /// Outside of what is granted here.
    OutOfBounds {
        /// [`Id::KIND`].
        kind: &'static str,
        /// The number.
        number: u64,
        /// Smallest number.
        min: u64,
        /// Largest number.
        max: u64,
    },
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { kind, min, max } => write!(f, "{kind} ids: all of {min}-{max} are in use"),
            Self::InUse { kind, number } => write!(f, "{kind} id {number}: already in use; only a free one can be claimed"),
            Self::NotInUse { kind, number } => write!(f, "{kind} id {number}: not in use; only a granted one can be freed"),
            Self::OutOfBounds { kind, number, min, max } => write!(f, "{kind} id {number}: not allowed; {min}-{max} is"),
        }
    }
}

impl std::error::Error for IdError {}

/// The allocator of one kind of id.
#[derive(Clone, Debug)]
pub struct Ids<I> {
    min: u64,
    max: u64,
    /// Free ranges, first to last number; never empty ones, never two that touch.
    free: BTreeMap<u64, u64>,
    /// Where the next search begins. Going up instead of reusing at once keeps an id's old name out of logs for as long as possible.
    cursor: u64,
    in_use: u64,
    kind: PhantomData<fn() -> I>,
}

impl<I: Id> Ids<I> {
    /// Grants numbers from `min` to `max`, both included; none where `max` is smaller. More than [`Id::MAX`] is never granted.
    #[must_use]
    pub fn new(min: u64, max: u64) -> Self {
        let max = max.min(I::MAX);
        let free = if min <= max { BTreeMap::from([(min, max)]) } else { BTreeMap::new() };
        Self { min, max, free, cursor: min, in_use: 0, kind: PhantomData }
    }

    /// Grants the free number that follows the one granted last by this call, from the largest on to the smallest again.
    ///
    /// # Errors
    /// [`IdError::Exhausted`]: all are in use.
    // Not an iterator: that it can fail today and succeed tomorrow is its point.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<I, IdError> {
        let within = self.free.range(..=self.cursor).next_back().filter(|(_, last)| **last >= self.cursor).map(|_| self.cursor);
        let after = || self.free.range(self.cursor..).next().map(|(first, _)| *first);
        let number = within.or_else(after).or_else(|| self.first()).ok_or(self.exhausted())?;
        self.cursor = if number < self.max { number + 1 } else { self.min };
        self.take(number);
        Ok(I::from_number(number))
    }

    /// Grants the smallest free number.
    ///
    /// # Errors
    /// [`IdError::Exhausted`]: all are in use.
    pub fn first_fit(&mut self) -> Result<I, IdError> {
        let number = self.first().ok_or(self.exhausted())?;
        self.take(number);
        Ok(I::from_number(number))
    }

    /// Grants this one: what a restart does with the ids that it finds persisted.
    ///
    /// # Errors
    /// [`IdError::InUse`], [`IdError::OutOfBounds`].
    pub fn claim(&mut self, id: I) -> Result<(), IdError> {
        let number = self.bounded(id)?;
        if self.is_free(number) {
            self.take(number);
            Ok(())
        } else {
            Err(IdError::InUse { kind: I::KIND, number })
        }
    }

    /// Takes a granted id back.
    ///
    /// # Errors
    /// [`IdError::NotInUse`], [`IdError::OutOfBounds`].
    pub fn free(&mut self, id: I) -> Result<(), IdError> {
        let number = self.bounded(id)?;
        if self.is_free(number) {
            return Err(IdError::NotInUse { kind: I::KIND, number });
        }
        let below = number.checked_sub(1).and_then(|below| self.range_of(below)).map(|(first, _)| first);
        let above = number.checked_add(1).and_then(|above| self.free.remove(&above));
        self.free.insert(below.unwrap_or(number), above.unwrap_or(number));
        self.in_use -= 1;
        Ok(())
    }

    /// Whether `id` is granted at the moment.
    #[must_use]
    pub fn is_in_use(&self, id: I) -> bool {
        self.bounded(id).is_ok_and(|number| !self.is_free(number))
    }

    /// How many are granted at the moment.
    #[must_use]
    pub const fn in_use(&self) -> u64 {
        self.in_use
    }

    fn bounded(&self, id: I) -> Result<u64, IdError> {
        let (number, min, max) = (id.number(), self.min, self.max);
        if (min..=max).contains(&number) { Ok(number) } else { Err(IdError::OutOfBounds { kind: I::KIND, number, min, max }) }
    }

    const fn exhausted(&self) -> IdError {
        IdError::Exhausted { kind: I::KIND, min: self.min, max: self.max }
    }

    fn first(&self) -> Option<u64> {
        self.free.first_key_value().map(|(first, _)| *first)
    }

    /// The free range that `number` is in.
    fn range_of(&self, number: u64) -> Option<(u64, u64)> {
        self.free.range(..=number).next_back().map(|(first, last)| (*first, *last)).filter(|(_, last)| *last >= number)
    }

    fn is_free(&self, number: u64) -> bool {
        self.range_of(number).is_some()
    }

    /// Cuts `number` out of its free range.
    fn take(&mut self, number: u64) {
        let Some((first, last)) = self.range_of(number) else { return };
        if first < number {
            self.free.insert(first, number - 1);
        } else {
            self.free.remove(&first);
        }
        if number < last {
            self.free.insert(number + 1, last);
        }
        self.in_use += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_restart_claims_what_was_persisted_and_new_ids_keep_clear_of_it() {
        let mut ids: Ids<DeviceId> = Ids::new(1, 5);
        for persisted in [2, 3, 5] {
            ids.claim(DeviceId(persisted)).unwrap();
        }
        assert_eq!(ids.claim(DeviceId(3)).unwrap_err().to_string(), "device id 3: already in use; only a free one can be claimed");
        assert_eq!((ids.next(), ids.next()), (Ok(DeviceId(1)), Ok(DeviceId(4))));
        assert_eq!(ids.next().unwrap_err().to_string(), "device ids: all of 1-5 are in use");
        assert_eq!(ids.first_fit().unwrap_err().to_string(), "device ids: all of 1-5 are in use");
        assert_eq!(ids.in_use(), 5);
    }

    #[test]
    fn a_wrap_goes_around_what_is_outstanding() {
        let mut ids: Ids<RequestId> = Ids::new(u64::MAX - 3, u64::MAX);
        let all: Vec<u64> = (0..4).map(|_| ids.next().unwrap().0).collect();
        assert_eq!(all, [u64::MAX - 3, u64::MAX - 2, u64::MAX - 1, u64::MAX]);
        ids.free(RequestId(u64::MAX - 1)).unwrap();
        assert_eq!(ids.next(), Ok(RequestId(u64::MAX - 1)), "all others are outstanding");
        assert!(ids.next().is_err());
    }

    #[test]
    fn a_freed_id_is_not_granted_again_at_once() {
        let mut ids: Ids<PortId> = Ids::new(0, 9);
        let first = ids.next().unwrap();
        ids.free(first).unwrap();
        assert_eq!(ids.next(), Ok(PortId(1)));
        assert_eq!(ids.first_fit(), Ok(PortId(0)), "the smallest one is asked for by name");
        assert!(ids.is_in_use(PortId(0)) && !ids.is_in_use(PortId(7)) && !ids.is_in_use(PortId(10)));
    }

    #[test]
    fn what_was_not_granted_is_not_taken_back() {
        let mut ids: Ids<UnderlayId> = Ids::new(1, 9);
        assert_eq!(ids.free(UnderlayId(4)).unwrap_err().to_string(), "underlay id 4: not in use; only a granted one can be freed");
        assert_eq!(ids.free(UnderlayId(0)).unwrap_err().to_string(), "underlay id 0: not allowed; 1-9 is");
        assert_eq!(ids.claim(UnderlayId(10)).unwrap_err().to_string(), "underlay id 10: not allowed; 1-9 is");
        let id = ids.next().unwrap();
        ids.free(id).unwrap();
        assert!(ids.free(id).is_err(), "twice");
        assert_eq!(ids.in_use(), 0);
    }

    #[test]
    fn bounds_that_the_type_does_not_hold_are_cut_and_empty_ones_grant_nothing() {
        let mut ids: Ids<PortId> = Ids::new(u64::from(u32::MAX), u64::MAX);
        assert_eq!(ids.next(), Ok(PortId(u32::MAX)));
        assert!(ids.next().is_err());
        assert!(Ids::<PortId>::new(5, 4).next().is_err());
    }

    #[test]
    fn a_million_ids_cost_one_range() {
        let mut ids: Ids<RequestId> = Ids::new(1, u64::MAX);
        for _ in 0..1_000_000 {
            ids.next().unwrap();
        }
        assert_eq!(ids.free.len(), 1);
        for number in 1..=1_000_000 {
            ids.free(RequestId(number)).unwrap();
        }
        assert_eq!(ids.free, BTreeMap::from([(1, u64::MAX)]), "what touches is joined again");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Next,
        FirstFit,
        Claim(u64),
        Free(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![Just(Step::Next), Just(Step::FirstFit), (0..20u64).prop_map(Step::Claim), (0..20u64).prop_map(Step::Free)]
    }

    proptest! {
        #[test]
        fn it_grants_what_a_set_would(min in 0..6u64, size in 1..12u64, steps in proptest::collection::vec(step(), 0..200)) {
            let max = min + size - 1;
            let mut ids: Ids<RequestId> = Ids::new(min, max);
            let (mut granted, mut cursor) = (BTreeSet::new(), min);
            let bounds = min..=max;
            for step in steps {
                match step {
                    Step::Next => {
                        let expected = (cursor..=max).chain(min..cursor).find(|n| !granted.contains(n));
                        prop_assert_eq!(ids.next().ok().map(|id| id.0), expected);
                        if let Some(number) = expected {
                            granted.insert(number);
                            cursor = if number == max { min } else { number + 1 };
                        }
                    }
                    Step::FirstFit => {
                        let expected = bounds.clone().find(|n| !granted.contains(n));
                        prop_assert_eq!(ids.first_fit().ok().map(|id| id.0), expected);
                        granted.extend(expected);
                    }
                    Step::Claim(n) => prop_assert_eq!(ids.claim(RequestId(n)).is_ok(), bounds.contains(&n) && granted.insert(n)),
                    Step::Free(n) => prop_assert_eq!(ids.free(RequestId(n)).is_ok(), granted.remove(&n)),
                }
                prop_assert_eq!(ids.in_use(), granted.len() as u64);
                prop_assert!((0..20).all(|n| ids.is_in_use(RequestId(n)) == granted.contains(&n)));
                let mut last_end = None;
                for (first, last) in &ids.free {
                    prop_assert!(first <= last && last_end.is_none_or(|end| *first > end + 1), "{:?}", ids.free);
                    last_end = Some(*last);
                }
            }
        }
    }
}
