//! Does an entry outlive its removal for those who hold it, and no longer? With real threads, which meet at barriers.
//!
//! Every entry has a route of its own, of which the test keeps a reference: how many there are says whether the entry has been freed.
//! (Freeing one twice is a fault that safe code cannot make; freeing none is what could happen.)

use super::super::Route;
use super::{Evicted, Pinned, Ring, Table};
use crate::time::Time;
use overlay_api::{EntryState, Source};
use overlay_decoder::{Mac, Ul3};
use std::sync::{Arc, Barrier};
use std::thread;

const READERS: usize = 3;
const ENTRIES: u32 = 900;

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn route(number: u32) -> Arc<Route> {
    Arc::new(Route::from_slice(&[Ul3 { ip: std::net::Ipv4Addr::from_bits(number).into(), port: Some(4789) }]))
}

/// A valid entry with that route.
fn insert(table: &Table, pinned: &Pinned<'_>, number: u32, route: &Arc<Route>) {
    let entry = table.keep(pinned, mac(number), Time(number.into()));
    entry.set_route(Some(Arc::clone(route)), Source::Lookup, Time::NEVER);
    entry.gate.set(EntryState::Valid);
    entry.gate.leave();
}

#[test]
fn what_is_removed_evicted_or_moved_while_it_is_held_stays_readable_and_is_freed_once() {
    let table = Table::new(7, 1 << 20);
    let routes: Vec<_> = (0..ENTRIES).map(route).collect();
    let mut ring = Ring::default();
    {
        let pinned = table.pin();
        for number in 0..ENTRIES {
            insert(&table, &pinned, number, &routes[number as usize]);
            ring.list(mac(number), pinned.get(&mac(number)).unwrap());
        }
    }
    let (held, done) = (Barrier::new(READERS + 1), Barrier::new(READERS + 1));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let pinned = table.pin();
                let entries: Vec<_> = (0..ENTRIES).map(|number| pinned.get(&mac(number)).expect("all are there")).collect();
                held.wait();
                // Meanwhile a third is removed, a third evicted, and the map grows to fifty times its size.
                for (entry, route) in entries.iter().zip(&routes).cycle().take(20 * routes.len()) {
                    assert_eq!(entry.route().as_ref(), Some(route));
                }
                done.wait();
                for (number, (entry, route)) in entries.iter().zip(&routes).enumerate() {
                    assert_eq!(entry.route().as_ref(), Some(route), "entry {number}");
                    assert_eq!((entry.gate.is_dead(), entry.used()), (number % 3 != 2, Time(number as u64)), "entry {number}");
                    assert!(Arc::strong_count(route) >= 2, "entry {number} is held");
                }
            });
        }
        scope.spawn(|| {
            held.wait();
            let pinned = table.pin();
            for number in (0..ENTRIES).step_by(3) {
                let entry = pinned.get(&mac(number)).unwrap();
                ring.unlist(&pinned, entry);
                assert!(table.remove(&pinned, mac(number), entry, EntryState::Valid));
            }
            // Those with a remainder of 1: nothing else may go.
            for number in (2..ENTRIES).step_by(3) {
                pinned.get(&mac(number)).unwrap().gate.set(EntryState::Stale);
            }
            for _ in 0..ENTRIES {
                // It looks at a few entries at a time, and may find nothing among them.
                let Evicted::Victim(mac) = ring.victim(&pinned, |state| state == EntryState::Valid) else { continue };
                let entry = pinned.get(&mac).unwrap();
                ring.unlist(&pinned, entry);
                assert!(table.remove(&pinned, mac, entry, EntryState::Valid));
            }
            let common = route(u32::MAX);
            for number in 0..50 * ENTRIES {
                insert(&table, &pinned, ENTRIES + number, &common);
            }
            done.wait();
        });
    });
    let left = (0..ENTRIES).filter(|number| table.pin().get(&mac(*number)).is_some()).collect::<Vec<_>>();
    assert_eq!(left, (2..ENTRIES).step_by(3).collect::<Vec<_>>(), "what is gone is not found");
    drop(table);
    for (number, route) in routes.iter().enumerate() {
        assert_eq!(Arc::strong_count(route), 1, "entry {number} was not freed");
    }
}

#[test]
fn what_is_gone_is_given_back_while_the_table_lives() {
    let table = Table::new(7, 1 << 20);
    let common = route(1);
    let mut most = 0;
    for number in 0..200_000 {
        let pinned = table.pin();
        insert(&table, &pinned, number % 16, &common);
        let entry = pinned.get(&mac(number % 16)).unwrap();
        assert!(table.remove(&pinned, mac(number % 16), entry, EntryState::Valid));
        most = most.max(Arc::strong_count(&common));
    }
    assert_eq!(table.len(), 0);
    assert!(most < 10_000, "{most} of 200,000 dead entries were kept at a time");
}
