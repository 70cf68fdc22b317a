//! What is under the keys of a network? etcd asked, one call after the other.

use super::apply::{Mark, MarkTo, StoredMark, Transact};
use super::keys_of;
use super::place::Place;
use super::plan::{Held, Key, Stored, Write};
use crate::Refusal;
use overlay_api::mapping::MappingEntry;
use overlay_decoder::{Mac, Vni};
use overlay_etcd::{Client, Config, ENDPOINT, Entry, Error, Layout, PREFIX, Txn, endpoints, password};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Keys of one page.
const PAGE: u32 = 5_000;
/// How long etcd may take for one answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// The keys of one network.
pub(super) struct Network {
    layout: Layout,
    vnetid: Vni,
}

impl Network {
    /// What all its keys begin with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        self.layout.vnet(self.vnetid).into_bytes()
    }

    /// What a key is, or why it is none of a mapping.
    pub(super) fn read(&self, key: &[u8]) -> Result<Key, String> {
        match self.layout.read(key).map_err(|error| error.to_string())? {
            overlay_etcd::Key::Vl2(_, mac) => Ok(Key::Vl2(mac)),
            overlay_etcd::Key::Vl3(_, ip) => Ok(Key::Vl3(ip)),
            other => Err(format!("{}: is none of a network", self.layout.key(&other))),
        }
    }

    fn key(&self, key: Key) -> Vec<u8> {
        let key = match key {
            Key::Vl2(mac) => overlay_etcd::Key::Vl2(self.vnetid, mac),
            Key::Vl3(ip) => overlay_etcd::Key::Vl3(self.vnetid, ip),
        };
        self.layout.key(&key).into_bytes()
    }

    /// Not below the network's own prefix: hosts that watch it have no use for it.
    fn import_mark(&self) -> Vec<u8> {
        self.layout.key(&overlay_etcd::Key::Import(self.vnetid)).into_bytes()
    }
}

/// A network in a store that answers.
pub(super) struct Store {
    runtime: Runtime,
    client: Client,
    network: Network,
}

fn refused(error: impl ToString) -> Refusal {
    Refusal::Failed(error.to_string())
}

/// The error with what it is about: the settings are named as they are typed here, not as the overlay's properties.
fn asked(error: &Error) -> String {
    let text = error.to_string();
    if text.starts_with("etcd") { text } else { format!("etcd: {text}") }
}

impl Store {
    /// With nothing asked yet.
    pub(super) fn open(place: &Place) -> Result<Self, Refusal> {
        let word = |name: &str| place.settings.get(name).cloned();
        let path = |name: &str| word(name).map(PathBuf::from);
        let config = Config {
            endpoints: endpoints(word("endpoints").as_deref().unwrap_or(ENDPOINT)),
            user: word("user"),
            password: path("password_file").map(|path| password(&path)).transpose().map_err(refused)?,
            ca: path("ca"),
            cert: path("cert"),
            key: path("key"),
        };
        let layout = Layout::new(&word("prefix").unwrap_or_else(|| PREFIX.to_owned())).map_err(refused)?;
        let network = Network { layout, vnetid: place.vnetid };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let entered = runtime.enter();
        let client = Client::new(&config).map_err(|error| Refusal::Failed(asked(&error)))?.with_deadline(DEADLINE);
        drop(entered);
        Ok(Self { runtime, client, network })
    }

    /// The runtime, and what is asked in it.
    pub(super) fn parts(&self) -> (&Runtime, &Client, &Network) {
        (&self.runtime, &self.client, &self.network)
    }

    /// All of the network as it was at one revision, and what of it cannot be read.
    pub(super) fn read(&mut self) -> Result<(Stored, Vec<String>), Refusal> {
        self.read_at().map(|(stored, garbage, _)| (stored, garbage))
    }

    /// The same with the revision.
    pub(super) fn read_at(&self) -> Result<(Stored, Vec<String>, i64), Refusal> {
        let (mut stored, mut garbage) = (Stored::default(), Vec::new());
        let prefix = self.network.prefix();
        let load = self.client.load(&prefix, PAGE, |entries| {
            entries.into_iter().for_each(|entry| take(&self.network, &mut stored, &mut garbage, entry));
        });
        let revision = self.runtime.block_on(load).map_err(|error| Refusal::Failed(asked(&error)))?;
        Ok((stored, garbage, revision))
    }

    /// Who has an inner address.
    pub(super) fn owner(&mut self, ip: IpAddr) -> Result<Option<(Option<Mac>, Held)>, Refusal> {
        let mut stored = Stored::default();
        self.get(&mut stored, Key::Vl3(ip))?;
        Ok(stored.owners.remove(&ip))
    }

    /// These entries with all that concerns them: their inner addresses, and those that they will have.
    pub(super) fn read_some<'a>(&mut self, macs: impl IntoIterator<Item = (Mac, Option<&'a MappingEntry>)>) -> Result<Stored, Refusal> {
        let mut stored = Stored::default();
        for (mac, after) in macs {
            self.get(&mut stored, Key::Vl2(mac))?;
            let before = stored.entries.get(&mac).and_then(|(entry, _)| entry.clone());
            let keys = [keys_of(mac, before.as_ref()), keys_of(mac, after)].concat();
            for key in keys.into_iter().filter(|key| matches!(key, Key::Vl3(ip) if !stored.owners.contains_key(ip))).collect::<Vec<_>>() {
                self.get(&mut stored, key)?;
            }
        }
        Ok(stored)
    }

    fn get(&self, stored: &mut Stored, key: Key) -> Result<(), Refusal> {
        let (found, _) = self.runtime.block_on(self.client.get(self.network.key(key))).map_err(|error| Refusal::Failed(asked(&error)))?;
        if let Some(entry) = found {
            take(&self.network, stored, &mut Vec::new(), entry);
        }
        Ok(())
    }
}

/// The entry under a key.
pub(super) fn entry_of(mac: Mac, value: &[u8]) -> Option<MappingEntry> {
    MappingEntry::parse(mac, value).ok()
}

fn take(network: &Network, stored: &mut Stored, garbage: &mut Vec<String>, Entry { key, value, changed, lease, .. }: Entry) {
    let held = |value| Held { value, revision: changed, lease };
    match network.read(&key) {
        Ok(Key::Vl2(mac)) => {
            let entry = entry_of(mac, &value);
            if entry.is_none() {
                garbage.push(format!("key {}: what is there is no entry; it is ignored", String::from_utf8_lossy(&key)));
            }
            stored.entries.insert(mac, (entry, held(value)));
        }
        Ok(Key::Vl3(ip)) => {
            let owner = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
            if owner.is_none() {
                garbage.push(format!("key {}: what is there is no MAC address; it is ignored", String::from_utf8_lossy(&key)));
            }
            stored.owners.insert(ip, (owner, held(value)));
        }
        Err(why) => garbage.push(format!("key {why}; it is ignored")),
    }
}

impl Transact for Store {
    fn transact(&mut self, mark_was: Option<i64>, mark: &MarkTo<'_>, writes: &[Write]) -> Result<Option<i64>, String> {
        let mark_key = self.network.import_mark();
        let mut txn = Txn::new().if_unchanged(mark_key.clone(), mark_was.unwrap_or(0));
        for write in writes {
            txn = txn.if_unchanged(self.network.key(write.key), write.was.as_ref().map_or(0, |held| held.revision));
        }
        for write in writes {
            let key = self.network.key(write.key);
            txn = match &write.to {
                Some(value) => txn.put(key, value.clone(), write.lease),
                None => txn.delete(key),
            };
        }
        txn = match mark {
            MarkTo::Stay => txn,
            MarkTo::Say(mark) => txn.put(mark_key, serde_json::to_vec(mark).unwrap_or_default(), 0),
            MarkTo::Gone => txn.delete(mark_key),
        };
        let end = self.runtime.block_on(self.client.txn(txn)).map_err(|error| asked(&error))?;
        Ok(end.done.then_some(end.revision))
    }

    fn mark(&mut self) -> Result<Option<StoredMark>, String> {
        let (found, _) = self.runtime.block_on(self.client.get(self.network.import_mark())).map_err(|error| asked(&error))?;
        Ok(found.map(|entry| (serde_json::from_slice::<Mark>(&entry.value).ok(), entry.changed)))
    }
}
