//! What is known of a virtual network in the store, and how is that changed? `overlayadm map`.
//!
//! ```text
//! flags ─► place: which network, which etcd ─► store: keys ─┬─► rows: list, get, watch
//!                                   file ─► plan: what is different ─► apply: all of it, or nothing
//! ```

mod apply;
mod examples;
mod flags;
mod place;
mod plan;
mod rows;
mod store;
mod watch;

pub(crate) use examples::MAP;
pub(crate) use flags::MapCommand;

use crate::Refusal;
use crate::table::{Reader, Table};
use apply::{Failure, Mark, apply, marked};
use flags::{Delete, Export, Get, Import, Inner, List, Put};
use overlay_api::mapping::{MAPPING_MAX_BYTES, Mapping, MappingEntry};
use overlay_api::{ParseError, file};
use overlay_client::Client;
use overlay_decoder::Mac;
use place::Place;
use plan::{Key, Plan, Remove, Stored, addresses, plan, wanted};
use rows::{COLUMNS, Row, Shape, owns};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Store;

/// Tries of a change that others interfere with.
const TRIES: usize = 3;

/// Does `command`.
pub(crate) fn run(client: &Client, command: MapCommand, out: &mut dyn Write) -> Result<(), Refusal> {
    match command {
        MapCommand::Put(asked) => put(client, asked),
        MapCommand::Get(asked) => get(client, asked, out),
        MapCommand::Delete(asked) => delete(client, asked),
        MapCommand::List(asked) => list(client, asked, out),
        MapCommand::Watch(asked) => watch::watch(client, asked, out),
        MapCommand::Import(asked) => import(client, asked, out),
        MapCommand::Export(asked) => export(client, asked, out),
    }
}

/// Says something on standard error that is no failure.
fn note(sentence: &str) {
    let _ = writeln!(io::stderr(), "overlayadm: {sentence}");
}

fn failed(problem: impl ToString) -> Refusal {
    Refusal::Failed(problem.to_string())
}

/// The mistake in something typed: there is no file that it stands in.
fn in_words(error: &ParseError) -> Refusal {
    Refusal::Failed(format!("{}: {}", error.place.path, error.problem))
}

fn put(client: &Client, asked: Put) -> Result<(), Refusal> {
    let Put { network, arp, ndp, dhcp_proxy, entry } = asked;
    let place = Place::find(client, network)?;
    let object = |ul3: &overlay_decoder::Ul3| match ul3.port {
        Some(port) => json!({"ip": ul3.ip, "port": port}),
        None => json!({"ip": ul3.ip}),
    };
    let mut value = match &entry.to[..] {
        [one] => object(one),
        several => json!({"replicate": several.iter().map(object).collect::<Vec<_>>()}),
    };
    let mut add = |key: &str, of: Value| {
        if let Some(value) = value.as_object_mut() {
            value.insert(key.to_owned(), of);
        }
    };
    if !arp.is_empty() {
        add("arp", json!(arp));
    }
    if !ndp.is_empty() {
        add("ndp", json!(ndp));
    }
    if let Some(server) = dhcp_proxy {
        add("dhcp-proxy", json!(server.to_string()));
    }
    let text = Value::Object(Map::from_iter([(entry.mac.to_string(), value)])).to_string();
    let mapping = Mapping::parse("the entry", &text).map_err(|error| in_words(&error))?;
    place.check(&mapping).map_err(|error| in_words(&error))?;
    let wanted = wanted(&mapping);
    let mut store = Store::open(&place)?;
    change(&mut store, None, |store| {
        let stored = store.read_some(wanted.iter().map(|(mac, (entry, _))| (*mac, Some(entry))))?;
        planned(&stored, &wanted, &Remove::Nothing)
    })
    .map(drop)
}

fn delete(client: &Client, asked: Delete) -> Result<(), Refusal> {
    let mut store = Store::open(&Place::find(client, asked.network)?)?;
    let macs: BTreeSet<Mac> = asked.macs.into_iter().collect();
    change(&mut store, None, |store| {
        let stored = store.read_some(macs.iter().map(|mac| (*mac, None)))?;
        if let Some(mac) = macs.iter().find(|mac| !stored.entries.contains_key(mac)) {
            return Err(Refusal::Failed(format!("{mac}: is not there; nothing was deleted")));
        }
        planned(&stored, &BTreeMap::new(), &Remove::These(macs.clone()))
    })
    .map(drop)
}

/// What has to happen, or all that is in the way, a line each.
fn planned(stored: &Stored, wanted: &BTreeMap<Mac, (MappingEntry, String)>, remove: &Remove) -> Result<Plan, Refusal> {
    plan(stored, wanted, remove).map_err(|refused| {
        refused.iter().for_each(|sentence| note(sentence));
        let count = refused.len();
        Refusal::Failed(format!("{count} {} refused; nothing was written", if count == 1 { "entry is" } else { "entries are" }))
    })
}

/// Plans and applies, again if somebody else was quicker.
fn change(store: &mut Store, over: Option<i64>, mut planned: impl FnMut(&mut Store) -> Result<Plan, Refusal>) -> Result<Plan, Refusal> {
    for _ in 0..TRIES {
        let plan = planned(store)?;
        match apply(store, &plan, ours(), over, progress()) {
            Ok(()) => return Ok(plan),
            Err(Failure::Changed) => {}
            Err(Failure::Nothing(problem)) => return Err(Refusal::Failed(format!("{problem}; nothing has changed"))),
            Err(Failure::Part(problem)) => return Err(Refusal::Failed(problem)),
        }
    }
    Err(failed("somebody else goes on changing the same entries; nothing has changed, try again"))
}

/// A mark of this process.
fn ours() -> Mark {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Mark { by: format!("{} (pid {})", host.trim(), std::process::id()), began, batch: 0, batches: 0 }
}

/// Says on a terminal how far it is.
fn progress() -> impl FnMut(usize, usize) {
    let shown = io::stderr().is_terminal();
    move |done, of| {
        if shown && of > 1 {
            let end = if done == of { "\n" } else { "" };
            let _ = write!(io::stderr(), "\rwritten: {:3} %{end}", done * 100 / of);
        }
    }
}

fn shape(print: &crate::flags::Print, parsable: bool) -> Result<Shape, Refusal> {
    if print.json {
        return Ok(Shape::Json);
    }
    let reader = if parsable { Reader::Script } else { Reader::Person };
    Table::new(COLUMNS, print.output.as_deref(), reader).map(Shape::Table).map_err(Refusal::Usage)
}

fn get(client: &Client, asked: Get, out: &mut dyn Write) -> Result<(), Refusal> {
    let mut shape = shape(&asked.print, asked.parsable)?;
    let place = Place::find(client, asked.network)?;
    let mut store = Store::open(&place)?;
    let mac = match asked.inner {
        Inner::Mac(mac) => mac,
        Inner::Ip(ip) => match store.owner(ip)? {
            Some((Some(mac), _)) => mac,
            Some((None, _)) => return Err(Refusal::Failed(format!("{ip}: what is under its key is no MAC address"))),
            None => return Err(Refusal::Failed(format!("{ip}: nobody has this inner address in network {}", place.vnetid))),
        },
    };
    let stored = store.read_some([(mac, None)])?;
    let rows = match stored.entries.get(&mac) {
        Some((Some(entry), held)) => [Row::new(place.vnetid, mac, entry, held)],
        Some((None, _)) => return Err(Refusal::Failed(format!("{mac}: what is under its key is no entry"))),
        None => return Err(Refusal::Failed(format!("{mac}: is not known in network {}", place.vnetid))),
    };
    if let (Inner::Ip(ip), Some((Some(entry), _))) = (asked.inner, stored.entries.get(&mac))
        && !owns(entry, ip)
    {
        note(&format!("{mac}: its entry does not have {ip}, whose key says that it has"));
    }
    shape.print(out, &rows)
}

fn list(client: &Client, asked: List, out: &mut dyn Write) -> Result<(), Refusal> {
    let mut shape = shape(&asked.print, asked.parsable)?;
    let place = Place::find(client, asked.network)?;
    let (stored, garbage) = Store::open(&place)?.read()?;
    let entries = stored.entries.iter().filter_map(|(mac, (entry, held))| Some(Row::new(place.vnetid, *mac, entry.as_ref()?, held)));
    let rows: Vec<Row> = entries.filter(|row| row.has(&asked.words)).collect();
    shape.print(out, &rows)?;
    out.flush()?;
    complain_of(&garbage);
    Ok(())
}

/// Keys that are none of a mapping, or whose values are none.
fn complain_of(garbage: &[String]) {
    garbage.iter().take(10).for_each(|sentence| note(sentence));
    if garbage.len() > 10 {
        note(&format!("{} more keys cannot be read", garbage.len() - 10));
    }
}

fn import(client: &Client, asked: Import, out: &mut dyn Write) -> Result<(), Refusal> {
    let text = read(&asked.file)?;
    let mapping = Mapping::parse(&asked.file.display().to_string(), &text).map_err(failed)?;
    let place = Place::find(client, asked.network)?;
    place.check(&mapping).map_err(failed)?;
    mapping.notes().iter().for_each(|ignored| note(&ignored.to_string()));
    let wanted = wanted(&mapping);
    let remove = if asked.replace { Remove::Others } else { Remove::Nothing };
    let mut store = Store::open(&place)?;
    let over = match apply::Transact::mark(&mut store).map_err(Refusal::Failed)? {
        Some((_, revision)) if asked.take_over => Some(revision),
        Some(mark) if !asked.dry_run => return Err(Refusal::Failed(format!("{}; nothing has changed", marked(&mark)))),
        mark => {
            if let Some(mark) = mark {
                note(&marked(&mark));
            }
            None
        }
    };
    let diff = |store: &mut Store| planned(&store.read()?.0, &wanted, &remove);
    if asked.dry_run {
        let plan = diff(&mut store)?;
        rows::changes(out, &plan, asked.json)?;
        return rows::counts(out, &plan, false, asked.json);
    }
    let plan = change(&mut store, over, diff)?;
    if asked.json {
        rows::changes(out, &plan, true)?;
    }
    rows::counts(out, &plan, true, asked.json)
}

/// A mapping file, or standard input.
fn read(path: &Path) -> Result<String, Refusal> {
    let name = path.display();
    let wrong = |error: io::Error| Refusal::Failed(format!("{name}: {error}"));
    let source: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(std::fs::File::open(path).map_err(wrong)?) };
    let mut text = String::new();
    source.take(MAPPING_MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(wrong)?;
    Ok(text)
}

fn export(client: &Client, asked: Export, out: &mut dyn Write) -> Result<(), Refusal> {
    let place = Place::find(client, asked.network)?;
    let (stored, garbage) = Store::open(&place)?.read()?;
    let entries = stored.entries.iter().filter(|(_, (entry, held))| entry.is_some() && (asked.registered || held.lease == 0));
    let value = |(mac, (_, held)): (&Mac, &(Option<MappingEntry>, plan::Held))| {
        let value: Value = serde_json::from_slice(&held.value).ok()?;
        Some((mac.to_string(), value))
    };
    let object: Map<String, Value> = entries.filter_map(value).collect();
    let text = format!("{:#}\n", Value::Object(object));
    complain_of(&garbage);
    match &asked.file {
        None => Ok(out.write_all(text.as_bytes())?),
        Some(path) => file::write(path, text.as_bytes(), file::Mode::Public).map_err(failed),
    }
}

/// The keys that an entry and its inner addresses have.
fn keys_of(mac: Mac, entry: Option<&MappingEntry>) -> Vec<Key> {
    let ips = entry.into_iter().flat_map(|entry| addresses(entry).map(Key::Vl3));
    std::iter::once(Key::Vl2(mac)).chain(ips).collect()
}
