//! Who says where a host's VNICs are? The host: it writes an entry for each under a lease, so that what it said goes when it does.
//!
//! ```text
//!  VNIC added, address heard ─► wanted ─► settle: read, decide, write if unchanged ─► entry with our lease
//!  VNIC removed ──────────────► withdrawn: entry and addresses deleted, if they are ours
//!  every third of the lease ──► keep-alive; gone ─► another lease, all written again
//! ```
//!
//! **Precedence.** What is written by hand (without a lease) is never overwritten, and said once. Between hosts the later one wins: a VNIC
//! that comes takes its entry over from the host that it was on, which yields from then on. The same for inner addresses, each for itself.

use crate::{Client, Entry, Error, Key, Layout, Txn};
use overlay_decoder::{Mac, Ul3, Vni};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};

/// Seconds that what a host said outlives it.
pub const LEASE_SECONDS: u32 = 30;
/// Inner addresses of one VNIC that are registered; what it claims beyond them is ignored.
pub const ADDRESSES_MAX: usize = 64;
/// Between two keep-alives.
const BEAT: Duration = Duration::from_secs(LEASE_SECONDS as u64 / 3);
/// Beats after which all entries are read again: somebody may have deleted one.
const LOOK_AGAIN: u32 = 6;
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Writes of one entry that somebody else was quicker with.
const TRIES: usize = 5;
/// For the end: nobody waits longer for a store that is away.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a registration has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// The entry is in the store.
    Registered(Mac),
    /// It is none of ours any more.
    Withdrawn(Mac),
    /// It is somebody else's, or one of its addresses is. Said once, until it is ours again.
    Clash(Mac, Clash),
    /// Nothing stands in its way any more, or it has gone.
    Clear(Mac),
    /// All that was to be written and withdrawn until now is.
    Settled,
    /// The store cannot be asked, for this reason; or it can again.
    Trouble(Option<Error>),
}

/// What stands in the way of a VNIC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clash {
    /// The key that is somebody else's.
    pub key: String,
    /// A sentence: what is not registered, and whose the key is.
    pub why: String,
}

/// Tells a registration about VNICs. Dropping it withdraws all.
#[derive(Clone, Debug)]
pub struct Registrar(UnboundedSender<Told>);

#[derive(Debug)]
enum Told {
    Vnic(Mac, bool),
    Claim(Mac, IpAddr),
    Unclaim(Mac, IpAddr),
}

impl Registrar {
    /// A VNIC with this address came or went.
    pub fn vnic(&self, mac: Mac, there: bool) {
        // Without a registration there is nobody to tell.
        let _ = self.0.send(Told::Vnic(mac, there));
    }

    /// A VNIC was heard to have this inner address. Of others, and what was heard before, nothing happens.
    pub fn claim(&self, mac: Mac, ip: IpAddr) {
        let _ = self.0.send(Told::Claim(mac, ip));
    }

    /// A VNIC has an inner address no more.
    pub fn unclaim(&self, mac: Mac, ip: IpAddr) {
        let _ = self.0.send(Told::Unclaim(mac, ip));
    }
}

/// The registration of a host's VNICs on one overlay: a future that ends when its registrar is dropped.
pub struct Registration<R> {
    client: Client,
    layout: Layout,
    vnet: Vni,
    ul3: Ul3,
    told: UnboundedReceiver<Told>,
    report: R,
    lease: Option<i64>,
    wanted: BTreeMap<Mac, Wanted>,
    dirty: BTreeSet<Mac>,
    gone: BTreeMap<Mac, BTreeSet<IpAddr>>,
    troubled: bool,
}

/// What shall be known of a VNIC.
#[derive(Default)]
struct Wanted {
    ips: BTreeSet<IpAddr>,
    /// What it has no more, to be withdrawn.
    lost: BTreeSet<IpAddr>,
    /// Those of them, and itself (none), that were ours once: whoever has them now took them after us.
    had: BTreeSet<Option<IpAddr>>,
    registered: bool,
    clash: Option<Clash>,
}

/// What can be done about a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum May {
    /// It is ours.
    Have,
    /// It is nobody's, or may be taken.
    Take,
    /// It was written by hand, or somebody took it after us.
    Yield,
}

/// What can be done about a key with this lease and value; `ours` is our lease, `same` whether the value could be ours, `had` whether the
/// key was.
fn may(held: Option<(i64, bool)>, ours: i64, had: bool) -> May {
    match held {
        None => May::Take,
        Some((0, _)) => May::Yield,
        Some((lease, true)) if lease == ours => May::Have,
        // Of ours with another value; or what this host has said before it was started again.
        Some((lease, same)) if lease == ours || same || !had => May::Take,
        Some(_) => May::Yield,
    }
}

impl<R: FnMut(Report)> Registration<R> {
    /// The VNICs are reached at `ul3`. What becomes of them `report` hears, in the future's thread.
    pub fn new(client: Client, layout: Layout, vnet: Vni, ul3: Ul3, report: R) -> (Registrar, Self) {
        let (sender, told) = unbounded_channel();
        let registration = Self {
            client,
            layout,
            vnet,
            ul3,
            told,
            report,
            lease: None,
            wanted: BTreeMap::new(),
            dirty: BTreeSet::new(),
            gone: BTreeMap::new(),
            troubled: false,
        };
        (Registrar(sender), registration)
    }

    /// Registers until the registrar is dropped, then withdraws all.
    pub async fn run(mut self) {
        let (mut next, mut beats) = (Instant::now() + BEAT, 0_u32);
        loop {
            let wait = match self.settle().await {
                Ok(()) => next.saturating_duration_since(Instant::now()),
                Err(error) => {
                    self.fail(error);
                    PAUSE
                }
            };
            match timeout(wait, self.told.recv()).await {
                Ok(None) => return self.end().await,
                Ok(Some(told)) => {
                    self.hear(told);
                    while let Ok(told) = self.told.try_recv() {
                        self.hear(told);
                    }
                }
                Err(_) => {}
            }
            if Instant::now() >= next {
                (next, beats) = (Instant::now() + BEAT, beats.wrapping_add(1));
                if let Err(error) = self.beat(beats).await {
                    self.fail(error);
                }
            }
        }
    }

    fn vl2(&self, mac: Mac) -> Vec<u8> {
        self.layout.key(&Key::Vl2(self.vnet, mac)).into_bytes()
    }

    fn vl3(&self, ip: IpAddr) -> Vec<u8> {
        self.layout.key(&Key::Vl3(self.vnet, ip)).into_bytes()
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Vnic(mac, true) => {
                self.wanted.entry(mac).or_default();
                self.dirty.insert(mac);
            }
            Told::Vnic(mac, false) => {
                if let Some(wanted) = self.wanted.remove(&mac) {
                    if wanted.clash.is_some() {
                        (self.report)(Report::Clear(mac));
                    }
                    self.gone.insert(mac, &wanted.ips | &wanted.lost);
                }
            }
            Told::Claim(mac, ip) => {
                if let Some(wanted) = self.wanted.get_mut(&mac)
                    && wanted.ips.len() < ADDRESSES_MAX
                    && wanted.ips.insert(ip)
                {
                    wanted.lost.remove(&ip);
                    self.dirty.insert(mac);
                }
            }
            Told::Unclaim(mac, ip) => {
                if let Some(wanted) = self.wanted.get_mut(&mac)
                    && wanted.ips.remove(&ip)
                {
                    wanted.had.remove(&Some(ip));
                    wanted.lost.insert(ip);
                    self.dirty.insert(mac);
                }
            }
        }
    }

    /// Keeps the lease; now and then looks whether all is as it was written.
    async fn beat(&mut self, beats: u32) -> Result<(), Error> {
        if let Some(lease) = self.lease {
            self.client.keep_alive(lease).await?;
        }
        let all = beats.is_multiple_of(LOOK_AGAIN);
        self.dirty.extend(self.wanted.iter().filter(|(_, wanted)| all || wanted.clash.is_some()).map(|(mac, _)| *mac));
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        if matches!(error, Error::NoLease(_)) {
            // It expired while the store was away: with it went all that was written.
            self.lease = None;
            self.dirty.extend(self.wanted.keys().copied());
        } else if !self.troubled {
            self.troubled = true;
            (self.report)(Report::Trouble(Some(error)));
        }
    }

    /// Writes and withdraws what has to be.
    async fn settle(&mut self) -> Result<(), Error> {
        if self.dirty.is_empty() && self.gone.is_empty() {
            return Ok(());
        }
        let lease = match self.lease {
            Some(lease) => lease,
            None => {
                let lease = self.client.grant(LEASE_SECONDS).await?;
                self.lease = Some(lease);
                lease
            }
        };
        while let Some((mac, ips)) = self.gone.first_key_value().map(|(mac, ips)| (*mac, ips.clone())) {
            self.withdraw(mac, &ips, lease).await?;
            self.gone.remove(&mac);
        }
        while let Some(mac) = self.dirty.first().copied() {
            self.register(mac, lease).await?;
            self.dirty.remove(&mac);
        }
        if std::mem::take(&mut self.troubled) {
            (self.report)(Report::Trouble(None));
        }
        (self.report)(Report::Settled);
        Ok(())
    }

    async fn register(&mut self, mac: Mac, lease: i64) -> Result<(), Error> {
        while let Some(ip) = self.wanted.get(&mac).and_then(|wanted| wanted.lost.first().copied()) {
            self.release(mac, ip, lease).await?;
            if let Some(wanted) = self.wanted.get_mut(&mac) {
                wanted.lost.remove(&ip);
            }
        }
        for _ in 0..TRIES {
            if self.try_register(mac, lease).await? {
                return Ok(());
            }
        }
        // Somebody goes on writing it: the next look tells whose it is.
        Ok(())
    }

    /// Whether nobody else wrote it meanwhile.
    async fn try_register(&mut self, mac: Mac, lease: i64) -> Result<bool, Error> {
        let Some(wanted) = self.wanted.get(&mac) else { return Ok(true) };
        let (mut txn, mut clash) = (Txn::new(), None);
        let entry_key = self.vl2(mac);
        let (entry, _) = self.client.get(entry_key.clone()).await?;
        let here = entry.as_ref().map(|held| (held.lease, is_at(&held.value, self.ul3)));
        if may(here, lease, wanted.had.contains(&None)) == May::Yield {
            let whose = entry.as_ref().map_or_else(String::new, whose);
            let key = self.layout.key(&Key::Vl2(self.vnet, mac));
            self.clash(mac, Clash { key, why: format!("{mac} is not registered: its entry is {whose}") });
            return Ok(true);
        }
        let mut owned = Vec::new();
        for ip in &wanted.ips {
            let key = self.vl3(*ip);
            let (held, _) = self.client.get(key.clone()).await?;
            let said = held.as_ref().map(|held| (held.lease, held.value == mac.to_string().into_bytes()));
            match may(said, lease, wanted.had.contains(&Some(*ip))) {
                May::Have => owned.push(*ip),
                May::Take => {
                    txn = txn.if_unchanged(key.clone(), revision(held.as_ref())).put(key, mac.to_string().into_bytes(), lease);
                    owned.push(*ip);
                }
                // By hand, but for us.
                May::Yield if said.is_some_and(|(_, same)| same) => owned.push(*ip),
                May::Yield => {
                    let owner = held.map(|held| String::from_utf8_lossy(&held.value).into_owned()).unwrap_or_default();
                    let why = format!("{mac} is registered without {ip}, which is {owner:.17}'s");
                    clash.get_or_insert(Clash { key: self.layout.key(&Key::Vl3(self.vnet, *ip)), why });
                }
            }
        }
        let value = entry_json(self.ul3, &owned).into_bytes();
        if entry.as_ref().is_none_or(|held| held.value != value || held.lease != lease) {
            txn = txn.if_unchanged(entry_key.clone(), revision(entry.as_ref())).put(entry_key, value, lease);
        }
        if !txn.is_empty() && !self.client.txn(txn).await?.done {
            return Ok(false);
        }
        let Some(wanted) = self.wanted.get_mut(&mac) else { return Ok(true) };
        wanted.had.extend(owned.into_iter().map(Some).chain([None]));
        if !std::mem::replace(&mut wanted.registered, true) {
            (self.report)(Report::Registered(mac));
        }
        match clash {
            Some(clash) => self.clash(mac, clash),
            None if wanted.clash.take().is_some() => (self.report)(Report::Clear(mac)),
            None => {}
        }
        Ok(true)
    }

    fn clash(&mut self, mac: Mac, clash: Clash) {
        let Some(wanted) = self.wanted.get_mut(&mac) else { return };
        if wanted.clash.as_ref() != Some(&clash) {
            wanted.clash = Some(clash.clone());
            (self.report)(Report::Clash(mac, clash));
        }
    }

    async fn withdraw(&mut self, mac: Mac, ips: &BTreeSet<IpAddr>, lease: i64) -> Result<(), Error> {
        for ip in ips {
            self.release(mac, *ip, lease).await?;
        }
        let key = self.vl2(mac);
        // Each for itself: what is not ours any more stays.
        self.client.txn(Txn::new().if_leased(key.clone(), lease).delete(key)).await?;
        (self.report)(Report::Withdrawn(mac));
        Ok(())
    }

    /// An inner address is withdrawn, unless somebody else has it by now, who may be another VNIC of this host.
    async fn release(&self, mac: Mac, ip: IpAddr, lease: i64) -> Result<(), Error> {
        let key = self.vl3(ip);
        let (held, _) = self.client.get(key.clone()).await?;
        let is_ours = |held: &Entry| held.lease == lease && held.value == mac.to_string().into_bytes();
        if held.as_ref().is_some_and(is_ours) {
            // Written between the two by whoever has it now: it is theirs.
            self.client.txn(Txn::new().if_unchanged(key.clone(), revision(held.as_ref())).delete(key)).await?;
        }
        Ok(())
    }

    /// With the lease goes all that was written under it.
    async fn end(self) {
        if let Some(lease) = self.lease {
            // If it is not heard, the lease ends by itself.
            let _ = timeout(FAREWELL, self.client.revoke(lease)).await;
        }
    }
}

/// The revision that a key has to have still when it is written; 0 if it is absent.
fn revision(held: Option<&Entry>) -> i64 {
    held.map_or(0, |held| held.changed)
}

/// Whose an entry is that is not ours.
fn whose(held: &Entry) -> String {
    let at = serde_json::from_slice::<Value>(&held.value).ok();
    let ip = at.as_ref().and_then(|value| value.get("ip")).and_then(Value::as_str).unwrap_or("nowhere that can be read");
    if held.lease == 0 { format!("written by hand, to {ip:.45}, and stays") } else { format!("another host's, at {ip:.45}") }
}

/// The entry of a VNIC at `ul3` with these inner addresses.
fn entry_json(ul3: Ul3, ips: &[IpAddr]) -> String {
    let mut object = Map::from_iter([("ip".to_owned(), json!(ul3.ip))]);
    object.extend(ul3.port.map(|port| ("port".to_owned(), json!(port))));
    let list = |v4: bool| ips.iter().filter(|ip| ip.is_ipv4() == v4).map(ToString::to_string).collect::<Vec<_>>();
    for (key, list) in [("arp", list(true)), ("ndp", list(false))] {
        if !list.is_empty() {
            object.insert(key.to_owned(), json!(list));
        }
    }
    Value::Object(object).to_string()
}

/// Whether an entry says that its VNIC is at `ul3`.
fn is_at(value: &[u8], ul3: Ul3) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(value) else { return false };
    value.get("ip").and_then(Value::as_str).and_then(|ip| ip.parse().ok()) == Some(ul3.ip)
        && value.get("port").and_then(Value::as_u64) == ul3.port.map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_stays_and_between_hosts_the_later_one_wins() {
        const OURS: i64 = 7;
        for (held, had, what) in [
            (None, false, May::Take),
            (None, true, May::Take),
            (Some((0, false)), false, May::Yield),
            (Some((0, true)), false, May::Yield),
            (Some((OURS, true)), true, May::Have),
            (Some((OURS, false)), true, May::Take),
            // The VNIC comes from another host.
            (Some((8, false)), false, May::Take),
            // It has gone to another host.
            (Some((8, false)), true, May::Yield),
            // This host, before it was started again.
            (Some((8, true)), true, May::Take),
        ] {
            assert_eq!(may(held, OURS, had), what, "{held:?} had {had}");
        }
    }

    #[test]
    fn an_entry_is_one_of_a_mapping_file() {
        let ips: Vec<IpAddr> = ["192.168.0.1", "fd07::1", "192.168.0.2"].iter().map(|ip| ip.parse().unwrap()).collect();
        let ul3 = "10.0.0.1:4789".parse().unwrap();
        let text = entry_json(ul3, &ips);
        assert_eq!(text, r#"{"arp":["192.168.0.1","192.168.0.2"],"ip":"10.0.0.1","ndp":["fd07::1"],"port":4789}"#);
        assert!(is_at(text.as_bytes(), ul3) && !is_at(text.as_bytes(), "10.0.0.1:4790".parse().unwrap()) && !is_at(b"{", ul3));
        assert_eq!(entry_json("fd00::1".parse().unwrap(), &[]), r#"{"ip":"fd00::1"}"#);
    }
}
