//! Where is each inner address? The mapping file of the `files` plugin: VL2 to UL3, and what ARP, NDP and DHCP are answered with.
//!
//! It is the illumos file, read unchanged, and a little more; `docs/mapping.md` describes it.

use crate::config::check_destination;
use crate::json::{Member, Members, Node, ParseError, Path, Place, Position, Text};
use overlay_decoder::{Mac, Ul3};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Largest mapping file in bytes: room for a million entries.
pub const MAPPING_MAX_BYTES: usize = 64 << 20;
/// Notes that are kept of one file; the others are counted.
pub const NOTES_MAX: usize = 100;

const ENTRY_KEYS: [&str; 6] = ["ip", "port", "arp", "ndp", "dhcp-proxy", "replicate"];
const A_MAC: &str = "a MAC address, as in \"02:08:20:0a:00:01\"";
const AN_IP: &str = "an underlay IP address, as in \"10.0.0.2\" or \"fd00::2\"";

/// A mapping: what is known of each inner destination.
///
/// Two are equal when they say the same, wherever in their files it stands.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    file: String,
    entries: BTreeMap<Mac, MappingEntry>,
    /// Where each entry's key stands, in the order of `entries`.
    positions: Vec<Position>,
    arp: HashMap<Ipv4Addr, Mac>,
    ndp: HashMap<Ipv6Addr, Mac>,
    notes: Vec<Note>,
    notes_left_out: usize,
}

/// What is known of one inner destination (VL2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappingEntry {
    /// Where frames for it go.
    pub to: MappingTarget,
    /// Inner IPv4 addresses (VL3) that ARP is answered for with this MAC.
    pub arp: Vec<Ipv4Addr>,
    /// Inner IPv6 addresses (VL3) that neighbour solicitations are answered for with this MAC.
    pub ndp: Vec<Ipv6Addr>,
    /// The DHCP server (VL2) that broadcast DHCP requests *from* this MAC are redirected to.
    pub dhcp_proxy: Option<Mac>,
}

/// Where frames for an inner destination go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MappingTarget {
    /// To one underlay address.
    One(Ul3),
    /// To each of several; only broadcast and multicast have it. Sorted, none twice, at least one.
    Replicate(Vec<Ul3>),
}

impl MappingTarget {
    /// The underlay addresses, at least one.
    #[must_use]
    pub fn destinations(&self) -> &[Ul3] {
        match self {
            Self::One(ul3) => std::slice::from_ref(ul3),
            Self::Replicate(to) => to,
        }
    }
}

/// Something in the file that has no meaning to us but is no mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Mapping {}

impl Mapping {
    /// Reads a mapping. `file` is its name in errors.
    ///
    /// # Errors
    /// The first mistake, with its line, column and key.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let text = Text::new(file, text);
        let tree = text.parse(MAPPING_MAX_BYTES)?;
        let root = Node::root(&text, &tree).object()?;
        let mut reader = Reader { text: &text, macs: HashMap::new(), arp: HashMap::new(), ndp: HashMap::new(), mapping: Self::default() };
        for member in root.iter() {
            reader.entry(&member)?;
        }
        let Reader { macs, arp, ndp, mut mapping, .. } = reader;
        mapping.file = file.to_owned();
        // Every MAC in the mapping came with its place.
        mapping.positions = mapping.entries.keys().filter_map(|mac| macs.get(mac)).map(|(_, position)| *position).collect();
        mapping.arp = arp.into_iter().map(|(ip, (mac, _))| (ip, mac)).collect();
        mapping.ndp = ndp.into_iter().map(|(ip, (mac, _))| (ip, mac)).collect();
        Ok(mapping)
    }

    /// The file: an object with the MACs in order, in the suite's spelling; one that illumos reads where no list is needed.
    #[must_use]
    pub fn to_json(&self) -> String {
        let object: Map<String, Value> = self.entries.iter().map(|(mac, entry)| (mac.to_string(), entry.to_value())).collect();
        format!("{:#}\n", Value::Object(object))
    }

    /// What is known of `mac`.
    #[must_use]
    pub fn get(&self, mac: Mac) -> Option<&MappingEntry> {
        self.entries.get(&mac)
    }

    /// All entries, in the order of their MACs.
    pub fn iter(&self) -> impl Iterator<Item = (Mac, &MappingEntry)> {
        self.entries.iter().map(|(mac, entry)| (*mac, entry))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The MAC that ARP is answered with for `ip`.
    #[must_use]
    pub fn by_arp(&self, ip: Ipv4Addr) -> Option<Mac> {
        self.arp.get(&ip).copied()
    }

    /// The MAC that a neighbour solicitation is answered with for `ip`.
    #[must_use]
    pub fn by_ndp(&self, ip: Ipv6Addr) -> Option<Mac> {
        self.ndp.get(&ip).copied()
    }

    /// Keys that have no meaning to us, at most [`NOTES_MAX`].
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How many notes there would have been beyond [`NOTES_MAX`].
    #[must_use]
    pub const fn notes_left_out(&self) -> usize {
        self.notes_left_out
    }

    /// Checks that each destination has what the device's encapsulation needs: a port, or none.
    ///
    /// # Errors
    /// The first that has not, in the order of the MACs, with the place of its entry.
    pub fn check(&self, needs_port: bool) -> Result<(), ParseError> {
        for ((mac, entry), (line, column)) in self.entries.iter().zip(&self.positions) {
            if let Err(problem) = entry.check(needs_port) {
                let place = Place { file: self.file.clone(), line: *line, column: *column, path: format!("{mac}.port") };
                return Err(ParseError { place, problem });
            }
        }
        Ok(())
    }
}

impl MappingEntry {
    /// Reads an entry as it stands in a mapping file behind its MAC.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, in the words that a file with this entry alone would get.
    pub fn parse(mac: Mac, value: &[u8]) -> Result<Self, String> {
        let value = std::str::from_utf8(value).map_err(|_| "not UTF-8; an entry is JSON".to_owned())?;
        let mapping = Mapping::parse("value", &format!("{{\"{mac}\":{value}}}")).map_err(|error| error.to_string())?;
        match (mapping.get(mac), mapping.len()) {
            (Some(entry), 1) => Ok(entry.clone()),
            // What closes the brace too early, and goes on.
            _ => Err("not one entry; an object as in {\"ip\":\"10.0.0.2\",\"port\":4789} is".to_owned()),
        }
    }

    /// Checks that each destination has what the device's encapsulation needs: a port, or none.
    ///
    /// # Errors
    /// A sentence about the first that has not.
    pub fn check(&self, needs_port: bool) -> Result<(), String> {
        match self.to.destinations().iter().find(|ul3| ul3.port.is_some() != needs_port) {
            None => Ok(()),
            Some(wrong) if needs_port => Err(format!("{wrong} has no port; the device's encapsulation needs one, 1-65535 is allowed")),
            Some(wrong) => Err(format!("{wrong} has a port; the device's encapsulation has none, the IP alone is allowed")),
        }
    }

    /// The entry as it stands in a mapping file behind its MAC.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut object = match &self.to {
            MappingTarget::One(ul3) => destination_value(*ul3),
            MappingTarget::Replicate(to) => {
                let list = to.iter().map(|ul3| Value::Object(destination_value(*ul3))).collect();
                Map::from_iter([("replicate".to_owned(), Value::Array(list))])
            }
        };
        let mut list = |key: &str, texts: Vec<String>| match &texts[..] {
            [] => {}
            // The one that illumos reads.
            [one] => drop(object.insert(key.to_owned(), json!(one))),
            _ => drop(object.insert(key.to_owned(), json!(texts))),
        };
        list("arp", self.arp.iter().map(Ipv4Addr::to_string).collect());
        list("ndp", self.ndp.iter().map(Ipv6Addr::to_string).collect());
        list("dhcp-proxy", self.dhcp_proxy.iter().map(Mac::to_string).collect());
        Value::Object(object)
    }
}

fn destination_value(ul3: Ul3) -> Map<String, Value> {
    let ip = ("ip".to_owned(), json!(ul3.ip));
    Map::from_iter([ip].into_iter().chain(ul3.port.map(|port| ("port".to_owned(), json!(port)))))
}

/// What has to happen to a target table when a mapping takes the place of another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing was known of this destination, so that its frames were dropped; now it is there.
    Added(Mac, MappingTarget),
    /// This destination is somewhere else now.
    Moved(Mac, MappingTarget),
    /// Nothing is known of this destination any more.
    Removed(Mac),
}

impl Change {
    /// The destination.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        match self {
            Self::Added(mac, _) | Self::Moved(mac, _) | Self::Removed(mac) => *mac,
        }
    }
}

/// The destinations whose target is another one in `new` than in `old`, in the order of their MACs. What changed in the answers to ARP,
/// NDP and DHCP is none: these are asked for each time, no table keeps them.
#[must_use]
pub fn diff(old: &Mapping, new: &Mapping) -> Vec<Change> {
    let (mut before, mut after) = (old.entries.iter().peekable(), new.entries.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let gone = if order.is_le() { before.next() } else { None };
        let here = if order.is_ge() { after.next() } else { None };
        match (gone, here) {
            (Some((_, old)), Some((mac, new))) if old.to != new.to => changes.push(Change::Moved(*mac, new.to.clone())),
            (Some((mac, _)), None) => changes.push(Change::Removed(*mac)),
            (None, Some((mac, new))) => changes.push(Change::Added(*mac, new.to.clone())),
            _ => {}
        }
    }
}

/// What was read so far, and where: for what must not be there twice.
struct Reader<'n, 't> {
    text: &'n Text<'t>,
    /// Each MAC's key as it was spelled, and its place.
    macs: HashMap<Mac, (String, Position)>,
    arp: HashMap<Ipv4Addr, (Mac, usize)>,
    ndp: HashMap<Ipv6Addr, (Mac, usize)>,
    mapping: Mapping,
}

impl Reader<'_, '_> {
    fn entry(&mut self, member: &Member<'_, '_>) -> Result<(), ParseError> {
        let mac = match member.name {
            "broadcast" => Mac::BROADCAST,
            name if name.len() > 17 || name.chars().any(char::is_control) => {
                return Err(member.error_at_name(format!("no MAC address; {A_MAC} is allowed, or \"broadcast\"")));
            }
            name => match name.parse::<Mac>() {
                Ok(mac) => mac,
                Err(error) => return Err(member.error_at_name(error.to_string())),
            },
        };
        let position = self.text.position(member.name_offset);
        if let Some((spelled, (line, column))) = self.macs.insert(mac, (member.name.to_owned(), position)) {
            return Err(member.error_at_name(format!("{mac} is there twice, first as {spelled} at {line}:{column}; once is allowed")));
        }
        let members = member.node.object()?;
        for key in members.iter().filter(|key| !ENTRY_KEYS.contains(&key.name)) {
            self.note(&key);
        }
        let to = if mac.is_group() { group_target(&members)? } else { station_target(&members)? };
        let mut entry = MappingEntry { to, arp: Vec::new(), ndp: Vec::new(), dhcp_proxy: None };
        if let Some(node) = members.get("arp") {
            entry.arp = addresses(&node, "an inner IPv4 address, as in \"192.168.0.2\"", check_arp)?;
            unique(self.text, &mut self.arp, &node, mac, &entry.arp)?;
        }
        if let Some(node) = members.get("ndp") {
            entry.ndp = addresses(&node, "an inner IPv6 address, as in \"fd00::2\"", check_ndp)?;
            unique(self.text, &mut self.ndp, &node, mac, &entry.ndp)?;
        }
        if let Some(node) = members.get("dhcp-proxy") {
            let server: Mac = node.parsed(A_MAC)?;
            if server.is_group() {
                return Err(node.error(format!("{server} is a group address; the MAC address of one DHCP server is allowed")));
            }
            entry.dhcp_proxy = Some(server);
        }
        self.mapping.entries.insert(mac, entry);
        Ok(())
    }

    fn note(&mut self, key: &Member<'_, '_>) {
        if self.mapping.notes.len() == NOTES_MAX {
            self.mapping.notes_left_out += 1;
            return;
        }
        let hint = crate::nearest::hint(key.name, ENTRY_KEYS);
        let place = self.text.place(key.name_offset, &key.node.path);
        self.mapping.notes.push(Note { place, text: format!("this key is reserved and has no meaning here{hint}") });
    }
}

/// The target of one station: `ip`, and `port` where the encapsulation has one.
fn station_target(members: &Members<'_, '_>) -> Result<MappingTarget, ParseError> {
    if let Some(node) = members.get("replicate") {
        return Err(node.error("a single station has one \"ip\"; \"replicate\" is allowed for broadcast and multicast"));
    }
    destination(members).map(MappingTarget::One)
}

/// The target of a group address: `ip` as for a station (a multicast group of the underlay, for example), or `replicate`.
fn group_target(members: &Members<'_, '_>) -> Result<MappingTarget, ParseError> {
    for key in ["arp", "ndp", "dhcp-proxy"] {
        if let Some(node) = members.get(key) {
            // RFC 1812 3.3.2: an ARP reply with a group address is not to be believed.
            return Err(node.error(format!("a group address has no {key:?}; only single stations are asked for")));
        }
    }
    let Some(list) = members.get("replicate") else { return destination(members).map(MappingTarget::One) };
    for key in ["ip", "port"] {
        if let Some(node) = members.get(key) {
            return Err(node.error(format!("there is {key:?} and \"replicate\"; one of them is allowed")));
        }
    }
    let mut to: Vec<Ul3> = Vec::new();
    let mut seen = HashMap::new();
    for node in list.elements()? {
        let ul3 = destination(&node.object_of(&["ip", "port"])?)?;
        if let Some(other) = seen.insert(ul3, to.len()) {
            return Err(node.error(format!("{ul3} is there twice, first as number {}; once is allowed", other + 1)));
        }
        to.push(ul3);
    }
    if to.is_empty() {
        return Err(list.error("the list is empty; leave the whole entry out to drop these frames"));
    }
    if to.len() > crate::DESTINATIONS_MAX {
        return Err(list.error(format!("{} addresses; at most {} are allowed", to.len(), crate::DESTINATIONS_MAX)));
    }
    to.sort_unstable();
    Ok(MappingTarget::Replicate(to))
}

fn destination(members: &Members<'_, '_>) -> Result<Ul3, ParseError> {
    let node = members.require("ip", AN_IP)?;
    let text = node.string(AN_IP)?;
    let ip: IpAddr = text.parse().map_err(|_| node.wrong(AN_IP))?;
    let port = members.get("port").map(|node| node.number(1, u16::MAX.into())).transpose()?;
    // As on illumos, an IPv4 address may be written as the IPv6 address that it is mapped to; sockets here tell the two apart.
    let ul3 = Ul3 { ip: ip.to_canonical(), port: port.map(|port| port as u16) };
    check_destination(ul3).map_err(|problem| node.error(problem))?;
    Ok(ul3)
}

/// One address, or a list of them.
fn addresses<T: std::str::FromStr>(
    node: &Node<'_, '_>,
    allowed: &str,
    check: fn(&T) -> Result<(), &'static str>,
) -> Result<Vec<T>, ParseError> {
    let read = |node: &Node<'_, '_>| {
        let ip: T = node.string(allowed)?.parse().map_err(|_| node.wrong(allowed))?;
        check(&ip).map_err(|problem| node.error(problem))?;
        Ok(ip)
    };
    if node.value.as_array().is_some() { node.elements()?.map(|node| read(&node)).collect() } else { Ok(vec![read(node)?]) }
}

fn check_arp(ip: &Ipv4Addr) -> Result<(), &'static str> {
    if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() {
        Err("0.0.0.0, multicast and broadcast are never asked for; the address of one host is allowed")
    } else {
        Ok(())
    }
}

fn check_ndp(ip: &Ipv6Addr) -> Result<(), &'static str> {
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || ip.to_ipv4_mapped().is_some() {
        Err("::, ::1, multicast and IPv4-mapped addresses are never asked for; the address of one host is allowed")
    } else {
        Ok(())
    }
}

/// Enters addresses as `mac`'s, or says where they were given before.
fn unique<T: Copy + Eq + Hash + fmt::Display>(
    text: &Text<'_>,
    owners: &mut HashMap<T, (Mac, usize)>,
    node: &Node<'_, '_>,
    mac: Mac,
    ips: &[T],
) -> Result<(), ParseError> {
    for (index, ip) in ips.iter().enumerate() {
        let path = if node.value.as_array().is_some() { Path::Index(&node.path, index) } else { node.path };
        let offset = node.offset_of(index);
        if let Some((other, earlier)) = owners.insert(*ip, (mac, offset)) {
            let (line, column) = text.position(earlier);
            let problem = format!("{ip} is there twice, first for {other} at {line}:{column}; one MAC address is allowed for it");
            return Err(text.error(offset, &path, problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
