//! What has to be written so that the store says what it should? Compared key by key with what is there, nothing is written twice.

use overlay_api::mapping::{Mapping, MappingEntry};
use overlay_decoder::Mac;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Writes of one transaction: etcd takes 128 comparisons and 128 writes unless configured otherwise, and one comparison is the mark's.
pub(crate) const BATCH_MAX: usize = 127;
/// Bytes of one transaction: etcd takes 1.5 MiB, keys and frames included.
const BATCH_MAX_BYTES: usize = 512 << 10;

/// A key of a network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    /// An entry.
    Vl2(Mac),
    /// Whose an inner address is.
    Vl3(IpAddr),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vl2(mac) => mac.fmt(f),
            Self::Vl3(ip) => ip.fmt(f),
        }
    }
}

/// What is under a key now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    /// The value.
    pub(crate) value: Vec<u8>,
    /// The store's revision when it was written.
    pub(crate) revision: i64,
    /// The lease that it goes with; 0 is none.
    pub(crate) lease: i64,
}

/// What is known of a network, or the part of it that a change concerns.
#[derive(Clone, Default, Debug)]
pub(crate) struct Stored {
    /// Entries; none where the value is not one.
    pub(crate) entries: BTreeMap<Mac, (Option<MappingEntry>, Held)>,
    /// Owners of inner addresses; none where the value is no MAC.
    pub(crate) owners: BTreeMap<IpAddr, (Option<Mac>, Held)>,
}

/// What shall be gone.
#[derive(Clone, Debug)]
pub(crate) enum Remove {
    /// Nothing.
    Nothing,
    /// What is not wanted, but for what hosts have registered.
    Others,
    /// These entries, whoever wrote them.
    These(BTreeSet<Mac>),
}

/// What happens to an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Happens {
    /// There was none.
    Added,
    /// It says something else.
    Changed,
    /// It is gone.
    Removed,
}

impl Happens {
    /// The word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }

    /// What stands before a line of a diff.
    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
        }
    }
}

/// A change of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EntryChange {
    /// Whose.
    pub(crate) mac: Mac,
    /// What.
    pub(crate) happens: Happens,
    /// What was known, if it could be read.
    pub(crate) before: Option<MappingEntry>,
    /// What will be.
    pub(crate) after: Option<MappingEntry>,
}

/// A key that is written or deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    /// Which.
    pub(crate) key: Key,
    /// The value; none is deleted.
    pub(crate) to: Option<Vec<u8>>,
    /// The lease that it goes with; 0 is none, as all has that is written by hand.
    pub(crate) lease: i64,
    /// What is there now, and has to be there still when it is written.
    pub(crate) was: Option<Held>,
}

/// All that has to happen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Plan {
    /// In the order of their MACs; those that are gone last.
    pub(crate) changes: Vec<EntryChange>,
    /// New and changed keys first, so that no destination is missing meanwhile.
    pub(crate) writes: Vec<Write>,
    /// Entries that are as they should be.
    pub(crate) unchanged: usize,
    /// Entries that hosts have registered and that stay.
    pub(crate) registered: usize,
}

impl Plan {
    /// How many entries this happens to.
    pub(crate) fn count(&self, happens: Happens) -> usize {
        self.changes.iter().filter(|change| change.happens == happens).count()
    }

    /// The writes, a transaction each.
    pub(crate) fn batches(&self) -> Vec<&[Write]> {
        let mut batches = Vec::new();
        let (mut from, mut bytes) = (0, 0);
        for (at, write) in self.writes.iter().enumerate() {
            let size = 128 + write.to.as_ref().map_or(0, Vec::len);
            if at - from == BATCH_MAX || (at > from && bytes + size > BATCH_MAX_BYTES) {
                batches.extend(self.writes.get(from..at));
                (from, bytes) = (at, 0);
            }
            bytes += size;
        }
        batches.extend(self.writes.get(from..).filter(|rest| !rest.is_empty()));
        batches
    }
}

/// Entries with their JSON, as it is stored.
pub(crate) fn wanted(mapping: &Mapping) -> BTreeMap<Mac, (MappingEntry, String)> {
    let texts: BTreeMap<String, Value> = serde_json::from_str(&mapping.to_json()).unwrap_or_default();
    let text = |mac: Mac| texts.get(&mac.to_string()).map(Value::to_string).unwrap_or_default();
    mapping.iter().map(|(mac, entry)| (mac, (entry.clone(), text(mac)))).collect()
}

/// The inner addresses of an entry.
pub(crate) fn addresses(entry: &MappingEntry) -> impl Iterator<Item = IpAddr> + '_ {
    entry.arp.iter().copied().map(IpAddr::from).chain(entry.ndp.iter().copied().map(IpAddr::from))
}

/// What has to happen so that the store has `wanted`, and not what is to be removed.
///
/// # Errors
/// Inner addresses that would have two owners written by hand, each with both: sentences.
pub(crate) fn plan(stored: &Stored, wanted: &BTreeMap<Mac, (MappingEntry, String)>, remove: &Remove) -> Result<Plan, Vec<String>> {
    let owners: BTreeMap<IpAddr, Mac> = wanted.iter().flat_map(|(mac, (entry, _))| addresses(entry).map(|ip| (ip, *mac))).collect();
    let goes = |mac: &Mac, held: &Held| match remove {
        _ if wanted.contains_key(mac) => false,
        Remove::Nothing => false,
        Remove::Others => held.lease == 0,
        Remove::These(macs) => macs.contains(mac),
    };
    let mut refused = Vec::new();
    for (ip, mac) in &owners {
        let Some((Some(owner), held)) = stored.owners.get(ip) else { continue };
        let stays = !wanted.contains_key(owner) && stored.entries.get(owner).is_none_or(|(_, entry)| !goes(owner, entry));
        // What a host has registered yields to what is written by hand.
        if owner != mac && stays && held.lease == 0 {
            refused.push(format!("{mac}: its inner address {ip} is {owner}'s in the store; one MAC address is allowed for it"));
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut plan = Plan::default();
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for (mac, (entry, text)) in wanted {
        let held = stored.entries.get(mac);
        let same = held.is_some_and(|(now, held)| now.as_ref() == Some(entry) && held.lease == 0);
        if same {
            plan.unchanged += 1;
        } else {
            let happens = if held.is_some() { Happens::Changed } else { Happens::Added };
            let before = held.and_then(|(now, _)| now.clone());
            plan.changes.push(EntryChange { mac: *mac, happens, before, after: Some(entry.clone()) });
            puts.push(Write {
                key: Key::Vl2(*mac),
                to: Some(text.clone().into_bytes()),
                lease: 0,
                was: held.map(|(_, held)| held.clone()),
            });
        }
        for ip in addresses(entry) {
            let held = stored.owners.get(&ip);
            if held.is_none_or(|(owner, held)| *owner != Some(*mac) || held.lease != 0) {
                puts.push(Write {
                    key: Key::Vl3(ip),
                    to: Some(mac.to_string().into_bytes()),
                    lease: 0,
                    was: held.map(|(_, held)| held.clone()),
                });
            }
        }
    }
    for (mac, (entry, held)) in &stored.entries {
        if goes(mac, held) {
            plan.changes.push(EntryChange { mac: *mac, happens: Happens::Removed, before: entry.clone(), after: None });
            deletes.push(Write { key: Key::Vl2(*mac), to: None, lease: 0, was: Some(held.clone()) });
        } else if held.lease != 0 && !wanted.contains_key(mac) {
            plan.registered += 1;
        }
    }
    // What was an entry's and is nobody's now, and what nobody's entry says.
    for (ip, (owner, held)) in stored.owners.iter().filter(|(ip, _)| !owners.contains_key(ip)) {
        let entry = owner.and_then(|mac| stored.entries.get(&mac).map(|found| (mac, found)));
        let orphan = match entry {
            Some((mac, (_, entry))) => wanted.contains_key(&mac) || goes(&mac, entry),
            None => matches!(remove, Remove::Others) && held.lease == 0,
        };
        if orphan {
            deletes.push(Write { key: Key::Vl3(*ip), to: None, lease: 0, was: Some(held.clone()) });
        }
    }
    plan.writes = puts;
    plan.writes.append(&mut deletes);
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac([2, 8, 0x20, 10, 0, last])
    }

    fn mapping(text: &str) -> BTreeMap<Mac, (MappingEntry, String)> {
        wanted(&Mapping::parse("map.json", text).unwrap())
    }

    /// A store that has these entries, each under a lease.
    fn stored(text: &str, leases: &[i64]) -> Stored {
        let mut stored = Stored::default();
        for ((mac, (entry, text)), lease) in mapping(text).into_iter().zip(leases) {
            let held = |value: String| Held { value: value.into_bytes(), revision: 5, lease: *lease };
            for ip in addresses(&entry) {
                stored.owners.insert(ip, (Some(mac), held(mac.to_string())));
            }
            stored.entries.insert(mac, (Some(entry), held(text)));
        }
        stored
    }

    /// What is written where.
    fn written(plan: &Plan) -> Vec<(Key, Option<&str>)> {
        plan.writes.iter().map(|write| (write.key, write.to.as_deref().map(|text| std::str::from_utf8(text).unwrap()))).collect()
    }

    const TWO: &str = r#"{"2:8:20:a:0:1":{"ip":"10.0.0.1","port":4789,"arp":"192.168.0.1"},
                          "2:8:20:a:0:2":{"ip":"10.0.0.2","port":4789,"arp":["192.168.0.2","192.168.0.20"]}}"#;

    #[test]
    fn what_is_there_is_not_written_again() {
        let plan = plan(&stored(TWO, &[0, 0]), &mapping(TWO), &Remove::Others).unwrap();
        assert_eq!(plan, Plan { unchanged: 2, ..Plan::default() });
        assert!(plan.batches().is_empty());
    }

    #[test]
    fn an_entry_that_moves_takes_its_addresses_along_and_leaves_none_behind() {
        let new = mapping(r#"{"2:8:20:a:0:2":{"ip":"10.0.0.9","port":4789,"arp":["192.168.0.2","192.168.0.3"]}}"#);
        let plan = plan(&stored(TWO, &[0, 0]), &new, &Remove::Nothing).unwrap();
        let text = r#"{"arp":["192.168.0.2","192.168.0.3"],"ip":"10.0.0.9","port":4789}"#;
        let two = mac(2).to_string();
        assert_eq!(
            written(&plan),
            [
                (Key::Vl2(mac(2)), Some(text)),
                (Key::Vl3("192.168.0.3".parse().unwrap()), Some(two.as_str())),
                (Key::Vl3("192.168.0.20".parse().unwrap()), None),
            ]
        );
        assert_eq!((plan.count(Happens::Added), plan.count(Happens::Changed), plan.count(Happens::Removed)), (0, 1, 0));
        assert_eq!(plan.writes[0].was.as_ref().map(|held| held.revision), Some(5));
    }

    #[test]
    fn to_replace_deletes_what_the_file_has_not_but_never_what_a_host_registered() {
        let none = mapping("{}");
        let plan = plan(&stored(TWO, &[0, 77]), &none, &Remove::Others).unwrap();
        assert_eq!(written(&plan), [(Key::Vl2(mac(1)), None), (Key::Vl3("192.168.0.1".parse().unwrap()), None)]);
        assert_eq!((plan.count(Happens::Removed), plan.registered), (1, 1));
    }

    #[test]
    fn what_is_written_by_hand_takes_the_place_of_what_a_host_registered_even_if_it_says_the_same() {
        let plan = plan(&stored(TWO, &[77, 77]), &mapping(TWO), &Remove::Nothing).unwrap();
        assert_eq!((plan.count(Happens::Changed), plan.unchanged, plan.writes.len()), (2, 0, 5));
    }

    #[test]
    fn an_inner_address_does_not_get_a_second_owner() {
        let thief = mapping(r#"{"2:8:20:a:0:3":{"ip":"10.0.0.3","port":4789,"arp":"192.168.0.1"}}"#);
        let refused = plan(&stored(TWO, &[0, 0]), &thief, &Remove::Nothing).unwrap_err();
        assert_eq!(
            refused,
            ["02:08:20:0a:00:03: its inner address 192.168.0.1 is 02:08:20:0a:00:01's in the store; one MAC address is allowed for it"]
        );
        // Whose owner goes, or is a host's word, may have a new one.
        assert_eq!(plan(&stored(TWO, &[0, 0]), &thief, &Remove::Others).unwrap().count(Happens::Removed), 2);
        let yields = plan(&stored(TWO, &[77, 77]), &thief, &Remove::Nothing).unwrap();
        assert_eq!(yields.writes.len(), 2);
    }

    #[test]
    fn an_entry_is_deleted_with_its_addresses_whoever_wrote_it() {
        let these = Remove::These(BTreeSet::from([mac(2)]));
        let plan = plan(&stored(TWO, &[0, 77]), &mapping("{}"), &these).unwrap();
        assert_eq!(plan.writes.len(), 3);
        assert!(plan.writes.iter().all(|write| write.to.is_none()));
    }

    #[test]
    fn a_transaction_takes_so_many_writes_and_so_many_bytes() {
        let writes = |count: usize, bytes: usize| Plan {
            writes: vec![Write { key: Key::Vl2(mac(1)), to: Some(vec![b'x'; bytes]), lease: 0, was: None }; count],
            ..Plan::default()
        };
        let sizes = |plan: Plan| plan.batches().iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(sizes(writes(128, 10)), [127, 1]);
        assert_eq!(sizes(writes(254, 10)), [127, 127]);
        assert_eq!(sizes(writes(3, 300 << 10)), [1, 1, 1]);
        assert_eq!(sizes(writes(0, 0)), [0; 0]);
    }
}
