use super::*;
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;

/// Spelled as on illumos: digits without padding.
const EXAMPLE: &str = r#"{
  "2:8:20:a:0:1": { "ip": "10.0.0.1", "port": 4789, "arp": "192.168.0.1", "ndp": "fd00::1" },
  "02:08:20:0a:00:02": {
    "ip": "fd88::2",
    "port": 4789,
    "arp": ["192.168.0.2", "192.168.0.3"],
    "ndp": ["fd00::2"],
    "dhcp-proxy": "2:8:20:a:0:1"
  },
  "broadcast": { "replicate": [{"ip": "10.0.0.2", "port": 4789}, {"ip": "10.0.0.1", "port": 4789}] },
  "01:00:5e:00:00:fb": { "ip": "239.1.1.1", "port": 4789 }
}
"#;

fn parse(text: &str) -> Result<Mapping, ParseError> {
    Mapping::parse("map.json", text)
}

fn said(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

/// The sentence for the example with `from` (which must be in it) made `to`.
fn said_of(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    said(&EXAMPLE.replacen(from, to, 1))
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

#[test]
fn an_illumos_file_is_read_and_what_we_add_to_it() {
    let mapping = parse(EXAMPLE).unwrap();
    let (first, second) = (mac("2:8:20:a:0:1"), mac("2:8:20:a:0:2"));
    assert_eq!(mapping.len(), 4);
    assert_eq!(mapping.get(first).unwrap().to, MappingTarget::One("10.0.0.1:4789".parse().unwrap()));
    assert_eq!(mapping.get(second).unwrap().dhcp_proxy, Some(first));
    assert_eq!(mapping.by_arp("192.168.0.3".parse().unwrap()), Some(second));
    assert_eq!(mapping.by_arp("192.168.0.4".parse().unwrap()), None);
    assert_eq!(mapping.by_ndp("fd00::1".parse().unwrap()), Some(first));
    let all: Vec<String> = mapping.get(Mac::BROADCAST).unwrap().to.destinations().iter().map(Ul3::to_string).collect();
    assert_eq!(all, ["10.0.0.1:4789", "10.0.0.2:4789"], "sorted");
    assert_eq!(mapping.get(mac("01:00:5e:00:00:fb")).unwrap().to.destinations().len(), 1);
    assert!(mapping.notes().is_empty());
    assert!(parse("{}").unwrap().is_empty());
}

#[test]
fn an_ipv4_address_in_ipv6_spelling_is_the_ipv4_address() {
    let mapping = parse("{\"2:0:0:0:0:1\": {\"ip\": \"::ffff:10.0.0.1\", \"port\": 1}}").unwrap();
    assert_eq!(mapping.get(mac("2:0:0:0:0:1")).unwrap().to.destinations()[0].to_string(), "10.0.0.1:1");
}

#[test]
fn reserved_keys_are_noted_and_not_refused() {
    let mapping = parse("{\n \"2:0:0:0:0:1\": {\"ip\": \"10.0.0.1\",\n  \"prot\": 4789, \"x-owner\": {\"team\": [1, null]}}}").unwrap();
    let notes: Vec<String> = mapping.notes().iter().map(Note::to_string).collect();
    assert_eq!(
        notes,
        [
            "map.json:3:3: 2:0:0:0:0:1.prot: this key is reserved and has no meaning here; did you mean port?",
            "map.json:3:17: 2:0:0:0:0:1.x-owner: this key is reserved and has no meaning here",
        ]
    );
    let many: Vec<String> = (0..150).map(|n| format!("\"2:0:0:0:0:{n:x}\":{{\"ip\":\"10.0.0.1\",\"x\":0}}")).collect();
    let mapping = parse(&format!("{{{}}}", many.join(","))).unwrap();
    assert_eq!((mapping.notes().len(), mapping.notes_left_out()), (NOTES_MAX, 50));
}

#[test]
fn a_mac_in_two_spellings_is_the_same_and_refused_with_both_places() {
    for (from, to, expected) in [
        (
            "02:08:20:0a:00:02",
            "02:08:20:0a:00:01",
            "3:3: 02:08:20:0a:00:01: 02:08:20:0a:00:01 is there twice, first as 2:8:20:a:0:1 at 2:3; once is allowed",
        ),
        (
            "01:00:5e:00:00:fb",
            "FF:ff:ff:ff:ff:ff",
            "11:3: FF:ff:ff:ff:ff:ff: ff:ff:ff:ff:ff:ff is there twice, first as broadcast at 10:3; once is allowed",
        ),
        ("02:08:20:0a:00:02", "2:8:20:a:0:1", "3:3: 2:8:20:a:0:1: this key is given twice, first at 2:3; once is allowed"),
    ] {
        assert_eq!(said_of(from, to), format!("map.json:{expected}"));
    }
}

#[test]
fn an_inner_ip_of_two_stations_is_refused_with_both_places() {
    assert_eq!(
        said_of("192.168.0.3", "192.168.0.1"),
        "map.json:6:28: 02:08:20:0a:00:02.arp[1]: 192.168.0.1 is there twice, first for 02:08:20:0a:00:01 at 2:60; one MAC address is allowed for it"
    );
    assert_eq!(
        said_of("[\"fd00::2\"]", "\"fd00:0::1\""),
        "map.json:7:12: 02:08:20:0a:00:02.ndp: fd00::1 is there twice, first for 02:08:20:0a:00:01 at 2:82; one MAC address is allowed for it"
    );
    assert!(said_of("192.168.0.3", "192.168.0.2").contains("192.168.0.2 is there twice, first for 02:08:20:0a:00:02 at 6:13"));
}

#[test]
fn a_mistake_in_an_entry_is_named_with_its_place() {
    for (from, to, expected) in [
        (
            "\"10.0.0.1\"",
            "\"10.0.0\"",
            "2:27: 2:8:20:a:0:1.ip: the string \"10.0.0\" is not allowed; an underlay IP address, as in \"10.0.0.2\" or \"fd00::2\" is",
        ),
        (
            "\"ip\": \"10.0.0.1\", ",
            "",
            "2:19: 2:8:20:a:0:1.ip: is missing; an underlay IP address, as in \"10.0.0.2\" or \"fd00::2\" is required",
        ),
        (
            "\"10.0.0.1\"",
            "\"0.0.0.0\"",
            "2:27: 2:8:20:a:0:1.ip: 0.0.0.0:4789 is nobody's address; the underlay address of a host is required",
        ),
        ("4789", "0", "2:47: 2:8:20:a:0:1.port: the number 0 is not allowed; a whole number 1-65535 is"),
        ("4789", "\"4789\"", "2:47: 2:8:20:a:0:1.port: the string \"4789\" is not allowed; a whole number 1-65535 is"),
        (
            "\"192.168.0.1\"",
            "\"fd00::1\"",
            "2:60: 2:8:20:a:0:1.arp: the string \"fd00::1\" is not allowed; an inner IPv4 address, as in \"192.168.0.2\" is",
        ),
        (
            "\"192.168.0.1\"",
            "\"224.0.0.1\"",
            "2:60: 2:8:20:a:0:1.arp: 0.0.0.0, multicast and broadcast are never asked for; the address of one host is allowed",
        ),
        (
            "\"fd00::1\"",
            "\"::ffff:1.2.3.4\"",
            "2:82: 2:8:20:a:0:1.ndp: ::, ::1, multicast and IPv4-mapped addresses are never asked for; the address of one host is allowed",
        ),
        (
            "[\"192.168.0.2\", \"192.168.0.3\"]",
            "[\"192.168.0.2\", null]",
            "6:28: 02:08:20:0a:00:02.arp[1]: null is not allowed; an inner IPv4 address, as in \"192.168.0.2\" is",
        ),
        (
            "\"dhcp-proxy\": \"2:8:20:a:0:1\"",
            "\"dhcp-proxy\": \"broadcast\"",
            "8:19: 02:08:20:0a:00:02.dhcp-proxy: broadcast: not a MAC address; six hexadecimal octets with colons are, as in 02:08:20:0a:00:01",
        ),
        (
            "\"dhcp-proxy\": \"2:8:20:a:0:1\"",
            "\"dhcp-proxy\": \"1:0:0:0:0:0\"",
            "8:19: 02:08:20:0a:00:02.dhcp-proxy: 01:00:00:00:00:00 is a group address; the MAC address of one DHCP server is allowed",
        ),
        (
            "\"2:8:20:a:0:1\":",
            "\"2:8:20:a:0\":",
            "2:3: 2:8:20:a:0: 2:8:20:a:0: not a MAC address; six hexadecimal octets with colons are, as in 02:08:20:0a:00:01",
        ),
        (
            "\"2:8:20:a:0:1\":",
            "\"2:8:20:a:0:1\\u001b[2J\":",
            "2:3: \"2:8:20:a:0:1\\u{1b}[2J\": no MAC address; a MAC address, as in \"02:08:20:0a:00:01\" is allowed, or \"broadcast\"",
        ),
        (
            "{\"ip\": \"10.0.0.2\", \"port\": 4789}",
            "{\"ip\": \"10.0.0.2\", \"prot\": 4789}",
            "10:51: broadcast.replicate[0].prot: there is no such key; did you mean port?",
        ),
        ("10.0.0.2", "10.0.0.1", "10:66: broadcast.replicate[1]: 10.0.0.1:4789 is there twice, first as number 1; once is allowed"),
        (
            "[{\"ip\": \"10.0.0.2\", \"port\": 4789}, {\"ip\": \"10.0.0.1\", \"port\": 4789}]",
            "[]",
            "10:31: broadcast.replicate: the list is empty; leave the whole entry out to drop these frames",
        ),
        (
            "\"replicate\":",
            "\"port\": 1, \"replicate\":",
            "10:26: broadcast.port: there is \"port\" and \"replicate\"; one of them is allowed",
        ),
        (
            "\"ip\": \"239.1.1.1\"",
            "\"ip\": \"239.1.1.1\", \"arp\": \"1.2.3.4\"",
            "11:52: 01:00:5e:00:00:fb.arp: a group address has no \"arp\"; only single stations are asked for",
        ),
        (
            "\"broadcast\"",
            "\"2:8:20:a:0:9\"",
            "10:34: 2:8:20:a:0:9.replicate: a single station has one \"ip\"; \"replicate\" is allowed for broadcast and multicast",
        ),
    ] {
        assert_eq!(said_of(from, to), format!("map.json:{expected}"));
    }
    assert_eq!(said("{\"2:0:0:0:0:1\": 7}"), "map.json:1:17: 2:0:0:0:0:1: the number 7 is not allowed; an object is");
    assert_eq!(said("7"), "map.json:1:1: the number 7 is not allowed; an object is");
}

#[test]
fn destinations_have_the_port_that_the_encapsulation_needs() {
    let mapping = parse(EXAMPLE).unwrap();
    assert_eq!(mapping.check(true), Ok(()));
    let said = mapping.check(false).unwrap_err().to_string();
    assert_eq!(
        said,
        "map.json:11:3: 01:00:5e:00:00:fb.port: 239.1.1.1:4789 has a port; the device's encapsulation has none, the IP alone is allowed"
    );
    let mapping = parse(&EXAMPLE.replace("\"10.0.0.1\", \"port\": 4789, \"arp\"", "\"10.0.0.1\", \"arp\"")).unwrap();
    let said = mapping.check(true).unwrap_err().to_string();
    assert_eq!(
        said,
        "map.json:2:3: 02:08:20:0a:00:01.port: 10.0.0.1 has no port; the device's encapsulation needs one, 1-65535 is allowed"
    );
}

#[test]
fn what_is_written_is_the_illumos_file_where_it_can_be() {
    let text =
        "{\"2:0:0:0:0:1\": {\"ip\": \"10.0.0.1\", \"port\": 4789, \"arp\": [\"1.2.3.4\"], \"ndp\": [], \"dhcp-proxy\": \"2:0:0:0:0:2\"}}";
    let expected = r#"{
  "02:00:00:00:00:01": {
    "arp": "1.2.3.4",
    "dhcp-proxy": "02:00:00:00:00:02",
    "ip": "10.0.0.1",
    "port": 4789
  }
}
"#;
    assert_eq!(parse(text).unwrap().to_json(), expected);
}

#[test]
fn a_reload_changes_what_changed_and_nothing_else() {
    let old = parse(EXAMPLE).unwrap();
    let swapped = "[{\"ip\": \"10.0.0.1\", \"port\": 4789}, {\"ip\": \"10.0.0.2\", \"port\": 4789}]";
    let listed = "[{\"ip\": \"10.0.0.2\", \"port\": 4789}, {\"ip\": \"10.0.0.1\", \"port\": 4789}]";
    for same in [EXAMPLE.replace("192.168.0.3", "192.168.0.9"), EXAMPLE.replace(listed, swapped), EXAMPLE.replace("0a:00:02", "a:0:2")] {
        assert_eq!(diff(&old, &parse(&same).unwrap()), []);
    }
    let new = EXAMPLE.replace("fd88::2", "fd88::3").replace("01:00:5e:00:00:fb", "01:00:5e:00:00:fc");
    let multicast = MappingTarget::One("239.1.1.1:4789".parse().unwrap());
    assert_eq!(
        diff(&old, &parse(&new).unwrap()),
        [
            Change::Removed(mac("01:00:5e:00:00:fb")),
            Change::Added(mac("01:00:5e:00:00:fc"), multicast),
            Change::Moved(mac("02:08:20:0a:00:02"), MappingTarget::One("[fd88::3]:4789".parse().unwrap())),
        ]
    );
}

fn ul3() -> impl Strategy<Value = Ul3> {
    // Few addresses, so that two mappings often agree.
    let ip = prop_oneof![(1..4u32).prop_map(|n| Ipv4Addr::from_bits(n).into()), (2..5u128).prop_map(|n| Ipv6Addr::from_bits(n).into())];
    (ip, option::of(1..3u16)).prop_map(|(ip, port)| Ul3 { ip, port })
}

prop_compose! {
    fn mapping()(
        stations in btree_map(0..12u8, (ul3(), 0..3u32, 0..3u128, option::of(any::<u8>())), 0..8),
        groups in btree_map(0..4u8, btree_set(ul3(), 1..4), 0..3),
    ) -> Mapping {
        let mut mapping = Mapping::default();
        for (index, (to, arp, ndp, server)) in stations {
            // Inner addresses are given by the index, so that none is there twice.
            let host = u32::from(index) * 4;
            let entry = MappingEntry {
                to: MappingTarget::One(to),
                arp: (1..=arp).map(|n| Ipv4Addr::from_bits(host + n)).collect(),
                ndp: (2..2 + ndp).map(|n| Ipv6Addr::from_bits(u128::from(host) + n)).collect(),
                dhcp_proxy: server.map(|byte| Mac([2, 0, 0, 0, 1, byte])),
            };
            mapping.entries.insert(Mac([2, 0, 0, 0, 0, index]), entry);
        }
        for (index, to) in groups {
            let to = MappingTarget::Replicate(to.into_iter().collect());
            mapping.entries.insert(Mac([1, 0, 0, 0, 0, index]), MappingEntry { to, arp: Vec::new(), ndp: Vec::new(), dhcp_proxy: None });
        }
        mapping
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(mapping in mapping()) {
        let text = mapping.to_json();
        let again = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&again, &mapping);
        for (mac, entry) in mapping.iter() {
            prop_assert!(entry.arp.iter().all(|ip| again.by_arp(*ip) == Some(mac)));
            prop_assert!(entry.ndp.iter().all(|ip| again.by_ndp(*ip) == Some(mac)));
        }
    }

    #[test]
    fn the_changes_make_the_new_targets_out_of_the_old(old in mapping(), new in mapping()) {
        let targets = |mapping: &Mapping| -> BTreeMap<Mac, MappingTarget> { mapping.iter().map(|(mac, entry)| (mac, entry.to.clone())).collect() };
        let (mut made, expected) = (targets(&old), targets(&new));
        let changes = diff(&old, &new);
        prop_assert!(changes.windows(2).all(|pair| pair[0].mac() < pair[1].mac()), "in order, each once: {changes:?}");
        for change in changes {
            match change {
                Change::Added(mac, to) => prop_assert_eq!(made.insert(mac, to), None),
                Change::Moved(mac, to) => {
                    let before = made.insert(mac, to.clone());
                    prop_assert!(before.is_some_and(|before| before != to));
                }
                Change::Removed(mac) => prop_assert!(made.remove(&mac).is_some()),
            }
        }
        prop_assert_eq!(made, expected);
        prop_assert_eq!(diff(&new, &new), vec![]);
    }
}
