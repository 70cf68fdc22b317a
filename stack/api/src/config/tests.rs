use super::*;
use crate::ParseError;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const EXAMPLE: &str = r#"{
  "version": 1,
  "devices": [
    {
      "name": "ov0",
      "encapsulation": "vxlan",
      "search": "files",
      "vnetid": 77,
      "properties": {
        "files/config": "/etc/overlay/ov0.json",
        "mtu": "1450",
        "vxlan/listen_ip": "10.0.0.1"
      }
    }
  ],
  "vnics": [
    {
      "name": "vnic0",
      "device": "ov0",
      "mac": "02:08:20:0a:00:01",
      "mtu": 1400,
      "namespace": "blue"
    }
  ],
  "entries": [
    {
      "device": "ov0",
      "mac": "02:08:20:0a:00:02",
      "to": [
        "10.0.0.2:4789"
      ]
    },
    {
      "device": "ov0",
      "mac": "02:08:20:0a:00:03",
      "to": "drop"
    }
  ]
}
"#;

fn parse(text: &str) -> Result<HostConfig, ParseError> {
    HostConfig::parse("overlay.json", text)
}

/// The sentence for the example with `from` (which must be in it) made `to`.
fn said(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    parse(&EXAMPLE.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn a_host_is_read_and_written_as_it_was() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.to_json(), EXAMPLE);
    assert_eq!(config.devices[0].vnetid.get(), 77);
    assert_eq!(config.vnics[0].namespace.as_ref().unwrap().as_str(), "blue");
    assert_eq!(config.entries[0].to, StaticTarget::Reach(vec!["10.0.0.2:4789".parse().unwrap()]));
    assert_eq!(config.entries[1].to, StaticTarget::Drop);
}

#[test]
fn a_host_with_nothing_is_one() {
    assert_eq!(parse("{\"version\": 1}").unwrap(), HostConfig::default());
    assert_eq!(parse(&HostConfig::default().to_json()).unwrap(), HostConfig::default());
}

#[test]
fn numbers_of_properties_are_kept_as_they_were_typed() {
    for typed in ["1450", "1e3", "-5.0"] {
        let config = parse(&EXAMPLE.replace("\"1450\"", typed)).unwrap();
        assert_eq!(config.devices[0].properties["mtu"], typed);
    }
}

#[test]
fn a_mistake_in_a_device_is_named_with_its_place() {
    for (from, to, expected) in [
        ("77", "16777216", "8:17: devices[0].vnetid: 16777216 is larger than 24 bits (max 16777215)"),
        ("77", "99999999999999999999", "8:17: devices[0].vnetid: 99999999999999999999 is larger than 24 bits (max 16777215)"),
        ("77", "-1", "8:17: devices[0].vnetid: the number -1 is not allowed; a whole number 0-16777215 is"),
        ("77", "7.0", "8:17: devices[0].vnetid: the number 7.0 is not allowed; a whole number 0-16777215 is"),
        ("77", "\"77\"", "8:17: devices[0].vnetid: the string \"77\" is not allowed; a whole number 0-16777215 is"),
        ("\"vnetid\": 77,", "", "4:5: devices[0].vnetid: is missing; a whole number 0-16777215 is required"),
        ("\"vnetid\"", "\"vnet-id\"", "8:7: devices[0].vnet-id: there is no such key; did you mean vnetid?"),
        (
            "\"vnetid\"",
            "\"colour\"",
            "8:7: devices[0].colour: there is no such key; there are name, encapsulation, search, vnetid, properties",
        ),
        ("\"devices\"", "\"device\"", "3:3: device: there is no such key; did you mean devices?"),
        ("\"ov0\"", "\"-v\"", "5:15: devices[0].name: \"-v\": a link's name must not begin with \"-\": it would be taken for an option"),
        (
            "\"ov0\"",
            "null",
            "5:15: devices[0].name: null is not allowed; a link's name of 1 to 15 letters, digits, \".\", \"_\" and \"-\" is",
        ),
        ("\"vxlan\"", "\"VXLAN\"", "6:24: devices[0].encapsulation: \"VXLAN\": a module's name begins with a lower-case letter"),
        ("\"files\"", "true", "7:17: devices[0].search: true is not allowed; the name of a lookup plugin, as in \"direct\" is"),
        ("\"1450\"", "[]", "11:16: devices[0].properties.mtu: an array is not allowed; a string or a number is"),
        (
            "\"mtu\"",
            "\"MTU\"",
            "11:9: devices[0].properties.MTU: no name of a property; 1 to 64 lower-case letters, digits, \"_\", \"-\" and \"/\" are, as in vxlan/listen_ip",
        ),
        (
            "\"mtu\": \"1450\"",
            "\"mtu\": 1, \"mtu\": 2",
            "11:19: devices[0].properties.mtu: this key is given twice, first at 11:9; once is allowed",
        ),
    ] {
        assert_eq!(said(from, to), format!("overlay.json:{expected}"));
    }
}

#[test]
fn a_mistake_in_the_file_itself_is_named_with_its_place() {
    assert_eq!(said("\"version\": 1", "\"version\": 2"), "overlay.json:2:14: version: the number 2 is not allowed; version 1 is");
    assert_eq!(said("\"version\": 1,", ""), "overlay.json:1:1: version: is missing; the number 1 is required");
    assert_eq!(said("77,", "77, // why"), "overlay.json:8:21: comments are not allowed; strict JSON is allowed");
    assert_eq!(said("\"10.0.0.1\"\n", "\"10.0.0.1\",\n"), "overlay.json:12:38: trailing commas are not allowed; strict JSON is allowed");
    assert_eq!(parse("[]").unwrap_err().to_string(), "overlay.json:1:1: an array is not allowed; an object is");
    let newer = parse("{\"version\": 2, \"overlays\": []}").unwrap_err().to_string();
    assert_eq!(newer, "overlay.json:1:13: version: the number 2 is not allowed; version 1 is", "not that it has unknown keys");
}

#[test]
fn a_mistake_in_a_vnic_is_named_with_its_place() {
    for (from, to, expected) in [
        (
            "\"vnic0\"",
            "\"ov0\"",
            "18:15: vnics[0].name: ov0 is the name of devices[0] already; devices and VNICs each have a name of their own",
        ),
        ("\"device\": \"ov0\"", "\"device\": \"ov1\"", "19:17: vnics[0].device: there is no device ov1; did you mean ov0?"),
        (
            "0a:00:01",
            "0a:00",
            "20:14: vnics[0].mac: 02:08:20:0a:00: not a MAC address; six hexadecimal octets with colons are, as in 02:08:20:0a:00:01",
        ),
        (
            "02:08:20:0a:00:01",
            "01:00:5e:00:00:01",
            "20:14: vnics[0].mac: 01:00:5e:00:00:01 is a group address; one without the group bit is required, as in 02:08:20:0a:00:01",
        ),
        (
            "02:08:20:0a:00:01",
            "0:0:0:0:0:0",
            "20:14: vnics[0].mac: 00:00:00:00:00:00 is nobody's address; one that is not all zeros is required",
        ),
        ("1400", "67", "21:14: vnics[0].mtu: the number 67 is not allowed; a whole number 68-65521 is"),
        ("1400", "1e3", "21:14: vnics[0].mtu: the number 1e3 is not allowed; a whole number 68-65521 is"),
        (
            "\"blue\"",
            "\"../blue\"",
            "22:20: vnics[0].namespace: \"../blue\": a network namespace's name has neither \"/\" nor control characters: it is a file in /run/netns",
        ),
    ] {
        assert_eq!(said(from, to), format!("overlay.json:{expected}"));
    }
    let twin = "}\n  ],\n  \"entries\"";
    let second = ", {\"name\": \"vnic1\", \"device\": \"ov0\", \"mac\": \"2:8:20:a:0:1\"}";
    assert!(
        said(twin, &twin.replacen('}', &format!("}}{second}"), 1))
            .ends_with("vnics[1].mac: 02:08:20:0a:00:01 is vnic0's on device ov0; one of its own is required")
    );
}

#[test]
fn a_mistake_in_an_entry_is_named_with_its_place() {
    let to = "[\n        \"10.0.0.2:4789\"\n      ]";
    for (from, to, expected) in [
        (to, "[]", "29:13: entries[0].to: no underlay address is given; at least one is required, or \"drop\""),
        (to, "\"Drop\"", "29:13: entries[0].to: the string \"Drop\" is not allowed; a list of underlay addresses or \"drop\" is"),
        (to, "[7]", "29:14: entries[0].to[0]: the number 7 is not allowed; an underlay address, as in \"10.0.0.2:4789\" is"),
        (to, "[\"0.0.0.0:4789\"]", "29:13: entries[0].to: 0.0.0.0:4789 is nobody's address; the underlay address of a host is required"),
        (to, "[\"[fd00::2]:0\"]", "29:13: entries[0].to: [fd00::2]:0: port 0 is not allowed; 1-65535 is"),
        (
            to,
            "[\"10.0.0.2:1\", \"10.0.0.3:1\"]",
            "29:13: entries[0].to: 2 underlay addresses for 02:08:20:0a:00:02; only broadcast and multicast can have more than one",
        ),
        ("0a:00:03", "0a:00:02", "35:14: entries[1].mac: 02:08:20:0a:00:02 is set on device ov0 by entries[0] already; once is allowed"),
    ] {
        assert_eq!(said(from, to), format!("overlay.json:{expected}"));
    }
    let steers = said("10.0.0.2:4789", "10.0.0.2\\u001b[2J");
    assert!(
        !steers.contains(char::is_control) && steers.contains("entries[0].to[0]: the string \"10.0.0.2\\u{1b}[2J\" is not allowed"),
        "{steers}"
    );
}

#[test]
fn broadcast_may_go_to_several_but_to_each_once() {
    let group = EXAMPLE.replace("02:08:20:0a:00:02", "ff:ff:ff:ff:ff:ff");
    assert!(parse(&group.replace("\"10.0.0.2:4789\"", "\"10.0.0.2:4789\", \"[fd00::2]:4789\"")).is_ok());
    let twice = parse(&group.replace("\"10.0.0.2:4789\"", "\"10.0.0.2:4789\", \"10.0.0.2:4789\"")).unwrap_err().to_string();
    assert!(twice.ends_with("entries[0].to: 10.0.0.2:4789 is given twice, as number 1 and 2"), "{twice}");
}

#[test]
fn what_a_program_put_together_wrongly_is_told_before_it_is_written() {
    let mut config = parse(EXAMPLE).unwrap();
    config.vnics[0].mtu = Some(65_522);
    assert_eq!(config.check().unwrap_err().to_string(), "vnics[0].mtu: 65522 is not allowed; 68-65521 is");
    config.vnics.clear();
    config.devices[0].properties.insert("No Such\u{7}".to_owned(), String::new());
    let said = config.check().unwrap_err().to_string();
    assert!(said.starts_with("devices[0].properties: \"No Such\\u{7}\": no name of a property"), "{said}");
    config.devices.clear();
    assert_eq!(config.check().unwrap_err().to_string(), "entries[0].device: there is no device ov0");
}

#[test]
fn a_large_configuration_is_checked_in_one_pass() {
    let device = |n: usize| format!("{{\"name\":\"d{n}\",\"encapsulation\":\"vxlan\",\"search\":\"files\",\"vnetid\":{n}}}");
    let entry = |n: usize| format!("{{\"device\":\"d{n}\",\"mac\":\"2:0:0:0:{:x}:{:x}\",\"to\":\"drop\"}}", n >> 8, n & 0xff);
    let devices: Vec<String> = (0..20_000).map(device).collect();
    let entries: Vec<String> = (0..20_000).map(entry).collect();
    let text = format!("{{\"version\":1,\"devices\":[{}],\"entries\":[{}]}}", devices.join(","), entries.join(","));
    assert_eq!(parse(&text).unwrap().entries.len(), 20_000);
}

fn ul3() -> impl Strategy<Value = Ul3> {
    let ip = prop_oneof![
        any::<u32>().prop_map(|n| Ipv4Addr::from_bits(n | 1).into()),
        any::<u128>().prop_map(|n| Ipv6Addr::from_bits(n | 1).into())
    ];
    (ip, option::of(1..=u16::MAX)).prop_map(|(ip, port)| Ul3 { ip, port })
}

fn target() -> impl Strategy<Value = StaticTarget> {
    prop_oneof![Just(StaticTarget::Drop), ul3().prop_map(|ul3| StaticTarget::Reach(vec![ul3]))]
}

prop_compose! {
    fn device()(
        encapsulation in "[a-z][a-z0-9_-]{0,30}",
        search in "[a-z][a-z0-9_-]{0,30}",
        vnetid in 0..=Vni::MAX.get(),
        properties in btree_map("[a-z0-9_/-]{1,64}", any::<String>(), 0..4),
    ) -> DeviceConfig {
        DeviceConfig {
            name: "x".parse().unwrap(),
            encapsulation: encapsulation.parse().unwrap(),
            search: search.parse().unwrap(),
            vnetid: Vni::new(vnetid).unwrap(),
            properties,
        }
    }
}

prop_compose! {
    fn vnic()(mac: [u8; 6], mtu in option::of(VNIC_MTU_MIN..=VNIC_MTU_MAX), namespace in option::of("[^-./\\p{Cc}][^/\\p{Cc}]{0,60}")) -> VnicConfig {
        let mac = Mac([mac[0] & 0xfe | 2, mac[1], mac[2], mac[3], mac[4], mac[5]]);
        let name: LinkName = "x".parse().unwrap();
        VnicConfig { name: name.clone(), device: name, mac, mtu, namespace: namespace.map(|name| name.parse().unwrap()) }
    }
}

prop_compose! {
    /// Parts as they come, then given names of their own, and devices that are there.
    fn host()(
        mut devices in vec(device(), 1..5),
        mut vnics in vec(vnic(), 0..5),
        mut entries in vec((any::<[u8; 4]>(), target()), 0..5),
        many in vec(ul3(), 2..5),
    ) -> HostConfig {
        for (index, device) in devices.iter_mut().enumerate() {
            device.name = format!("ov{index}").parse().unwrap();
        }
        let count = devices.len();
        for (index, vnic) in vnics.iter_mut().enumerate() {
            vnic.name = format!("vnic{index}").parse().unwrap();
            vnic.device = devices[index % count].name.clone();
            vnic.mac.0[5] = index as u8;
        }
        let mut entries: Vec<StaticEntry> = entries
            .drain(..)
            .enumerate()
            .map(|(index, ([a, b, c, d], to))| {
                StaticEntry { device: devices[index % count].name.clone(), mac: Mac([a, b, c, d, 0, index as u8]), to }
            })
            .collect();
        let mut many = many;
        many.sort();
        many.dedup();
        entries.push(StaticEntry { device: devices[0].name.clone(), mac: Mac::BROADCAST, to: StaticTarget::Reach(many) });
        HostConfig { devices, vnics, entries }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read_back(config in host()) {
        prop_assert_eq!(config.check(), Ok(()));
        let text = config.to_json();
        prop_assert_eq!(parse(&text).map_err(|error| format!("{error}\n{text}")), Ok(config));
    }
}
