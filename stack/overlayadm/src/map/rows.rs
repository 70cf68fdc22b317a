//! How is an entry of the store shown? Rows of `map list` and `map get`, changes of `map watch` and `map import`.

use super::plan::{EntryChange, Happens, Held, Plan, addresses};
use crate::Refusal;
use crate::show::object;
use crate::table::{Column, Table, on_request, printable};
use overlay_api::mapping::MappingEntry;
use overlay_decoder::{Mac, Ul3, Vni};
use serde::Serialize;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who wrote an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// Somebody by hand: it stays.
    Static,
    /// The host of a VNIC: it goes with its lease.
    Host,
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Host => "host",
        }
    }
}

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Row {
    /// The network.
    pub(crate) vnetid: Vni,
    /// The inner address (VL2).
    pub(crate) mac: Mac,
    /// Where frames for it go.
    pub(crate) ul3: Vec<Ul3>,
    /// Inner IPv4 addresses (VL3).
    pub(crate) arp: Vec<Ipv4Addr>,
    /// Inner IPv6 addresses (VL3).
    pub(crate) ndp: Vec<Ipv6Addr>,
    /// The DHCP server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dhcp_proxy: Option<Mac>,
    /// Who wrote it.
    pub(crate) source: Origin,
    /// The lease in hexadecimal digits, as etcdctl has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<String>,
    /// The store's revision when it was written.
    pub(crate) revision: i64,
}

impl Row {
    /// Of an entry as it is stored.
    pub(crate) fn new(vnetid: Vni, mac: Mac, entry: &MappingEntry, held: &Held) -> Self {
        Self {
            vnetid,
            mac,
            ul3: entry.to.destinations().to_vec(),
            arp: entry.arp.clone(),
            ndp: entry.ndp.clone(),
            dhcp_proxy: entry.dhcp_proxy,
            source: if held.lease == 0 { Origin::Static } else { Origin::Host },
            lease: (held.lease != 0).then(|| format!("{:x}", held.lease)),
            revision: held.revision,
        }
    }

    /// Whether one of these words is in one of its addresses. Without words, yes.
    pub(crate) fn has(&self, words: &[String]) -> bool {
        let texts = || {
            let mac = std::iter::once(self.mac.to_string());
            let ips = self.arp.iter().map(ToString::to_string).chain(self.ndp.iter().map(ToString::to_string));
            mac.chain(ips).chain(self.ul3.iter().map(ToString::to_string))
        };
        words.is_empty() || texts().any(|text| words.iter().any(|word| text.contains(&word.to_ascii_lowercase())))
    }
}

fn list<T: ToString>(of: &[T]) -> Option<String> {
    Some(of.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
}

/// Of `map list` and `map get`.
pub(crate) const COLUMNS: &[Column<Row>] = &[
    Column::words("MAC", 17, |row, _| Some(row.mac.to_string())),
    Column::words("UL3", 21, |row, _| list(&row.ul3)),
    Column::words("ARP", 15, |row, _| list(&row.arp)),
    Column::words("NDP", 10, |row, _| list(&row.ndp)),
    Column::words("SOURCE", 6, |row, _| Some(row.source.name().to_owned())),
    on_request(Column::words("DHCP_PROXY", 17, |row, _| row.dhcp_proxy.map(|mac| mac.to_string()))),
    on_request(Column::numbers("REVISION", 8, |row, _| Some(row.revision.to_string()))),
    on_request(Column::words("LEASE", 16, |row, _| row.lease.clone())),
];

/// How rows are printed.
pub(crate) enum Shape {
    /// A JSON object a line.
    Json,
    /// Columns.
    Table(Table<'static, Row>),
}

impl Shape {
    /// Prints rows.
    pub(crate) fn print(&mut self, out: &mut dyn Write, rows: &[Row]) -> Result<(), Refusal> {
        match self {
            Self::Json => rows.iter().try_for_each(|row| object(out, row)),
            Self::Table(table) => Ok(table.print(out, rows)?),
        }
    }
}

/// An entry in one line.
pub(crate) fn line(entry: &MappingEntry) -> String {
    let mut text = list(entry.to.destinations()).unwrap_or_default();
    let mut add = |what: &str, of: Option<String>| {
        if let Some(of) = of {
            text.push_str(&format!(" {what} {of}"));
        }
    };
    add("arp", list(&entry.arp));
    add("ndp", list(&entry.ndp));
    add("dhcp-proxy", entry.dhcp_proxy.map(|mac| mac.to_string()));
    text
}

/// A change of an import, as JSON says it.
#[derive(Serialize)]
struct ChangeObject<'a> {
    change: &'static str,
    mac: Mac,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<EntryObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<EntryObject<'a>>,
}

/// An entry, as JSON says it.
#[derive(Serialize)]
pub(crate) struct EntryObject<'a> {
    ul3: &'a [Ul3],
    arp: &'a [Ipv4Addr],
    ndp: &'a [Ipv6Addr],
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp_proxy: Option<Mac>,
}

impl<'a> From<&'a MappingEntry> for EntryObject<'a> {
    fn from(entry: &'a MappingEntry) -> Self {
        Self { ul3: entry.to.destinations(), arp: &entry.arp, ndp: &entry.ndp, dhcp_proxy: entry.dhcp_proxy }
    }
}

/// The counts of an import, as JSON says them.
#[derive(Serialize)]
struct Counts {
    added: usize,
    changed: usize,
    removed: usize,
    unchanged: usize,
    registered: usize,
    written: bool,
}

/// Prints what changes, entry by entry.
pub(crate) fn changes(out: &mut dyn Write, plan: &Plan, json: bool) -> Result<(), Refusal> {
    for EntryChange { mac, happens, before, after } in &plan.changes {
        if json {
            let [before, after] = [before, after].map(|entry| entry.as_ref().map(EntryObject::from));
            object(out, &ChangeObject { change: happens.name(), mac: *mac, before, after })?;
            continue;
        }
        let text = match (before, after) {
            (Some(before), Some(after)) => format!("{} -> {}", line(before), line(after)),
            (None, Some(after)) => line(after),
            (Some(before), None) => line(before),
            (None, None) => "what is there is no entry".to_owned(),
        };
        writeln!(out, "{} {mac} {}", happens.sign(), printable(text))?;
    }
    Ok(())
}

/// Prints the counts. `written` is whether it has happened.
pub(crate) fn counts(out: &mut dyn Write, plan: &Plan, written: bool, json: bool) -> Result<(), Refusal> {
    let [added, changed, removed] = [Happens::Added, Happens::Changed, Happens::Removed].map(|happens| plan.count(happens));
    let Plan { unchanged, registered, .. } = *plan;
    if json {
        return object(out, &Counts { added, changed, removed, unchanged, registered, written });
    }
    let would = if written { "" } else { " (nothing was written)" };
    let kept = if registered > 0 { format!(", {registered} of hosts left alone") } else { String::new() };
    Ok(writeln!(out, "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged{kept}{would}")?)
}

/// Whether an entry has an inner address.
pub(crate) fn owns(entry: &MappingEntry, ip: IpAddr) -> bool {
    addresses(entry).any(|own| own == ip)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Remove, Stored, plan, wanted};
    use super::*;
    use crate::table::Reader;
    use overlay_api::mapping::Mapping;

    fn rows() -> Vec<Row> {
        let text = r#"{"2:8:20:a:0:1":{"ip":"10.0.0.1","port":4789,"arp":["192.168.0.1","192.168.0.11"],"ndp":"fd07::1"},
                       "ff:ff:ff:ff:ff:ff":{"replicate":[{"ip":"fd00::2","port":4789},{"ip":"10.0.0.3","port":4789}]}}"#;
        let mapping = Mapping::parse("map.json", text).unwrap();
        let held = |lease| Held { value: Vec::new(), revision: 12, lease };
        let leases = [0x7587_8d3d_9c3a_2f01, 0];
        mapping.iter().zip(leases).map(|((mac, entry), lease)| Row::new(Vni::new(7).unwrap(), mac, entry, &held(lease))).collect()
    }

    fn printed(fields: Option<&str>, reader: Reader) -> String {
        let mut out = Vec::new();
        Table::new(COLUMNS, fields, reader).unwrap().print(&mut out, &rows()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_shows_whose_each_entry_is() {
        assert_eq!(
            printed(None, Reader::Person),
            "\
MAC               UL3                          ARP                      NDP        SOURCE
02:08:20:0a:00:01 10.0.0.1:4789                192.168.0.1,192.168.0.11 fd07::1    host
ff:ff:ff:ff:ff:ff 10.0.0.3:4789,[fd00::2]:4789 --                       --         static
"
        );
        assert_eq!(
            printed(Some("mac,lease,revision"), Reader::Script),
            "02\\:08\\:20\\:0a\\:00\\:01:75878d3d9c3a2f01:12\nff\\:ff\\:ff\\:ff\\:ff\\:ff::12\n"
        );
    }

    #[test]
    fn a_word_finds_entries_by_any_address() {
        let found = |word: &str| rows().iter().filter(|row| row.has(&[word.to_owned()])).count();
        assert_eq!((found("20:0A"), found("192.168.0.11"), found("10.0.0.3"), found("fd0"), found("blue")), (1, 1, 1, 2, 0));
        assert!(rows()[0].has(&[]));
    }

    #[test]
    fn a_diff_is_a_line_a_change_and_the_counts() {
        let map = |text: &str| wanted(&Mapping::parse("map.json", text).unwrap());
        let mut stored = Stored::default();
        for (mac, (entry, text)) in map(r#"{"2:8:20:a:0:1":{"ip":"10.0.0.1","port":4789},"2:8:20:a:0:2":{"ip":"10.0.0.2","port":4789}}"#) {
            stored.entries.insert(mac, (Some(entry), Held { value: text.into_bytes(), revision: 3, lease: 0 }));
        }
        let new = map(r#"{"2:8:20:a:0:2":{"ip":"10.0.0.9","port":4789},"2:8:20:a:0:3":{"ip":"10.0.0.3","port":4789,"arp":"192.168.0.3"}}"#);
        let plan = plan(&stored, &new, &Remove::Others).unwrap();
        let mut out = Vec::new();
        changes(&mut out, &plan, false).unwrap();
        counts(&mut out, &plan, false, false).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
~ 02:08:20:0a:00:02 10.0.0.2:4789 -> 10.0.0.9:4789
+ 02:08:20:0a:00:03 10.0.0.3:4789 arp 192.168.0.3
- 02:08:20:0a:00:01 10.0.0.1:4789
1 added, 1 changed, 1 removed, 0 unchanged (nothing was written)
"
        );
        let mut out = Vec::new();
        changes(&mut out, &plan, true).unwrap();
        counts(&mut out, &plan, true, true).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(r#"{"change":"changed","mac":"02:08:20:0a:00:02","before":{"ul3":["10.0.0.2:4789"],"arp":[],"ndp":[]},"#),
            "{text}"
        );
        assert!(text.ends_with("{\"added\":1,\"changed\":1,\"removed\":1,\"unchanged\":0,\"registered\":0,\"written\":true}\n"), "{text}");
    }
}
