//! Is every property that the documentation names there, and does it do something? `docs/properties.md` is generated here from the
//! declarations, and each of them is changed to see what else changes.

mod common;

use common::{Host, frame, mac, spec, ul3};
use overlay_api::document::{Section, properties};
use overlay_api::{Access, Answer, Kind, PropertySpec};
use overlay_engine::encap::{Encapsulation, Geneve, Nvgre, Vxlan};
use overlay_engine::outer::OUTER;
use overlay_engine::ping::{self, Ping};
use overlay_engine::{Arrival, DEVICE, DIRECT, DYNAMIC, Offload, PortSpec, Search, UNDERLAY};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

const SECOND: u64 = 1_000_000_000;

/// The page, from the declarations alone.
fn page() -> String {
    let (vxlan, geneve, nvgre) = (Vxlan, Geneve, Nvgre);
    let sections = [
        Section {
            title: "Every overlay",
            text: "`vnetid` and `encap` are options of `create-overlay` (`-v`, `-e`) and are not given with `-p`. A virtual network has one overlay \
                   on an underlay address; the networks that an encapsulation reserves are named in its section.",
            specs: DEVICE,
        },
        Section {
            title: "underlay",
            text: "Where the encapsulated packets are. Overlays with equal values of `underlay/namespace` and of the listening properties share one \
                   underlay.",
            specs: UNDERLAY,
        },
        Section {
            title: "direct",
            text: "With `-s direct`: all frames go to one place, and nobody is asked. `direct/dest_port` is required where UDP carries \
                   (`vxlan`, `geneve`), and is not a property of `nvgre` overlays.",
            specs: DIRECT,
        },
        Section { title: "target", text: "With every other `-s`: frames go where lookups say.", specs: DYNAMIC },
        Section {
            title: "outer",
            text: "What the outer header says. The source ports are those of encapsulations that UDP carries; `nvgre` has none.",
            specs: OUTER,
        },
        Section { title: "vxlan", text: "RFC 7348. All networks are free, 0 to 16777215.", specs: vxlan.properties() },
        Section { title: "geneve", text: "RFC 8926. All networks are free, 0 to 16777215.", specs: geneve.properties() },
        Section {
            title: "nvgre",
            text: "RFC 7637. Networks 0 to 4095 and 16777215 are reserved (section 3.2). IP itself carries it, without ports.",
            specs: nvgre.properties(),
        },
    ];
    let source = "This page is generated from the declarations in `stack/engine/src` (`config.rs`, `outer.rs`, `encap/`);\n\
                  `OVERLAY_UPDATE=1 cargo test -p overlay-engine --test properties` writes it.";
    properties(&sections, source)
}

#[test]
fn the_page_of_properties_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/properties.md");
    if std::env::var_os("OVERLAY_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "docs/properties.md is not what is generated; run with OVERLAY_UPDATE=1 and read the difference");
}

/// A property with a value that is not its default, on a device where it counts.
struct Row {
    encapsulation: &'static str,
    search: Search,
    name: &'static str,
    value: &'static str,
}

const fn direct(encapsulation: &'static str, name: &'static str, value: &'static str) -> Row {
    Row { encapsulation, search: Search::Direct, name, value }
}

const fn dynamic(encapsulation: &'static str, name: &'static str, value: &'static str) -> Row {
    Row { encapsulation, search: Search::Dynamic, name, value }
}

const ROWS: &[Row] = &[
    direct("vxlan", "mtu", "1300"),
    direct("geneve", "vnetid", "5002"),
    direct("geneve", "ping/answer", "off"),
    direct("vxlan", "underlay/namespace", "blue"),
    direct("geneve", "underlay/trust_partial_checksum", "off"),
    direct("vxlan", "direct/dest_ip", "192.0.2.3"),
    direct("geneve", "direct/dest_port", "7777"),
    dynamic("vxlan", "target/max", "1"),
    dynamic("geneve", "target/ttl", "10"),
    dynamic("nvgre", "target/negative_ttl", "100"),
    direct("nvgre", "outer/ttl", "63"),
    direct("vxlan", "outer/dscp", "46"),
    dynamic("geneve", "outer/ecn", "compatibility"),
    direct("nvgre", "outer/df", "clear"),
    direct("vxlan", "outer/srcport_min", "65000"),
    direct("geneve", "outer/srcport_max", "50000"),
    direct("vxlan", "vxlan/listen_ip", "192.0.2.9"),
    direct("vxlan", "vxlan/listen_port", "8472"),
    direct("vxlan", "vxlan/reserved_bits", "strict"),
    direct("vxlan", "vxlan/allowed_sources", "192.0.2.2"),
    direct("geneve", "geneve/listen_ip", "192.0.2.9"),
    direct("geneve", "geneve/listen_port", "6082"),
    direct("geneve", "geneve/reserved_bits", "strict"),
    direct("geneve", "geneve/allowed_sources", "192.0.2.0/30"),
    direct("geneve", "geneve/options", "0102:80:00000001"),
    direct("nvgre", "nvgre/listen_ip", "192.0.2.9"),
    direct("nvgre", "nvgre/reserved_bits", "strict"),
    direct("nvgre", "nvgre/allowed_sources", "192.0.2.2/32,10.0.0.0/8"),
    direct("nvgre", "nvgre/inner_vlan", "drop"),
];

/// When a property gets its value.
#[derive(Clone, Copy)]
enum When {
    Creation,
    Later,
}

/// What can be seen of a device from outside, without ids, after the same things have happened to it: where it listens, what it sends
/// for what, what it takes of what comes, what it asks when.
fn observe(encapsulation: &str, search: Search, set: Option<(&str, &str, When)>) -> String {
    let mut host = Host::new();
    let port = if encapsulation == "nvgre" { "" } else { ":4789" };
    let listen = format!("{encapsulation}/listen_ip");
    let (mut vni, mut given) = (5001, vec![(listen.as_str(), "192.0.2.1")]);
    if search == Search::Direct {
        given.push(("direct/dest_ip", "192.0.2.2"));
        given.extend((encapsulation != "nvgre").then_some(("direct/dest_port", "4789")));
    }
    match set {
        Some(("vnetid", value, When::Creation)) => vni = value.parse().unwrap(),
        Some((name, value, When::Creation)) => {
            given.retain(|(other, _)| *other != name);
            given.push((name, value));
        }
        _ => {}
    }
    let device = host.device(spec("red", encapsulation, vni, search, &given));
    let vnic = host.control.add_port(device, &PortSpec { name: "vnic0".into(), mac: mac(1), mtu: 1000 }).unwrap();
    host.open(9000);
    host.attach();
    if let Some((name, value, When::Later)) = set {
        host.control.set_property(device, name, value, host.now).unwrap();
        host.drain();
        host.open(9000);
    }
    host.take();
    let mut seen = String::new();
    for underlay in host.control.underlays() {
        let _ = writeln!(seen, "listens at {} in {:?} for {}", underlay.listen, underlay.namespace, underlay.encapsulation);
    }
    let known = match search {
        Search::Direct => vec![],
        Search::Dynamic => vec![Answer::Reach { to: vec![ul3(&format!("192.0.2.2{port}"))], ttl_ns: None }, Answer::Drop { ttl_ns: None }],
    };
    let tell = |host: &mut Host, what: &str, seen: &mut String| {
        let done = host.take();
        for sending in &done.sent {
            let header = &sending.bytes[..sending.header_len.into()];
            let _ = writeln!(seen, "{what}: {header:02x?} {} bytes with {:?}", sending.bytes.len(), sending.outer);
        }
        for (_, verdict) in &done.verdicts {
            let _ = writeln!(seen, "{what}: {verdict}");
        }
        let _ =
            writeln!(seen, "{what}: {} replies, asks {:?}", done.given.len(), done.lookups.iter().map(|l| l.question).collect::<Vec<_>>());
        for lookup in done.lookups {
            let answer = known.get((lookup.question.destination != mac(2)) as usize).unwrap();
            host.answer(lookup.request, answer.clone()).unwrap();
        }
        for sending in &host.take().sent {
            let _ = writeln!(seen, "{what}, asked: {} bytes with {:?}", sending.bytes.len(), sending.outer);
        }
    };
    for (what, to, source, len) in
        [("small", 2, 1, 100), ("fits", 2, 2, 1400), ("too big", 2, 3, 1401), ("another", 3, 1, 100), ("third", 4, 1, 60)]
    {
        let mut bytes = common::udp4(mac(1), mac(to), (source, 9), &vec![0; len - 28]);
        // DSCP 10, ECT(0).
        bytes[15] = 0x2a;
        host.frame(vnic, &bytes);
        tell(&mut host, what, &mut seen);
    }
    // 802.1Q, id 10.
    let tagged = [&frame(mac(1), mac(2), &[])[..12], &[0x81, 0, 0, 10, 0x88, 0xb5], &[0; 50]].concat();
    host.frame(vnic, &tagged);
    tell(&mut host, "tagged", &mut seen);
    let underlay = host.underlay(device);
    let inner = frame(mac(2), mac(1), b"content");
    let mut partial = common::udp4(mac(2), mac(1), (9, 9), b"content");
    // The sum of 10.0.0.1, 10.0.0.2, UDP and 15 bytes: RFC 768.
    partial[40..42].copy_from_slice(&(2 * 0x0a00_u16 + 1 + 2 + 17 + 15).to_be_bytes());
    let datagrams: &[(&str, &[u8])] = match encapsulation {
        "vxlan" => &[("plain", &[8, 0, 0, 0, 0, 0x13, 0x89, 0]), ("bits", &[8, 0, 0, 1, 0, 0x13, 0x89, 0])],
        "geneve" => &[
            ("plain", &[0, 0, 0x65, 0x58, 0, 0x13, 0x89, 0]),
            ("bits", &[0, 1, 0x65, 0x58, 0, 0x13, 0x89, 0]),
            ("critical", &[1, 0x40, 0x65, 0x58, 0, 0x13, 0x89, 0, 1, 2, 0x80, 0]),
        ],
        _ => &[("plain", &[0x20, 0, 0x65, 0x58, 0, 0x13, 0x89, 7]), ("bits", &[0x20, 0x08, 0x65, 0x58, 0, 0x13, 0x89, 7])],
    };
    for (what, header) in datagrams {
        for from in ["192.0.2.2", "198.51.100.1"] {
            let arrival = Arrival { from: ul3(&format!("{from}{port}")), tos: 0, offload: Offload::default() };
            host.datagrams(0, underlay, &[([*header, &inner].concat(), arrival)]);
            tell(&mut host, &format!("{what} from {from}"), &mut seen);
        }
    }
    let arrival = Arrival { from: ul3(&format!("192.0.2.2{port}")), tos: 0, offload: Offload::default() };
    host.datagrams(0, underlay, &[([datagrams[0].1, &partial].concat(), arrival)]);
    tell(&mut host, "partial", &mut seen);
    let mut asking = Vec::new();
    Ping { kind: ping::Kind::Ask, mtu: 0, id: 7, sequence: 1 }.write(100, &mut asking);
    host.datagram(underlay, &format!("192.0.2.2{port}"), &[datagrams[0].1, &asking].concat());
    host.misses();
    tell(&mut host, "ping", &mut seen);
    for seconds in [3, 4, 200] {
        host.pass(seconds * SECOND);
        for to in [2, 3] {
            host.frame(vnic, &frame(mac(1), mac(to), b"later"));
            tell(&mut host, &format!("after {seconds} s more, to {to}"), &mut seen);
        }
    }
    let _ = writeln!(seen, "{:?} targets", host.control.targets(device).map(|targets| targets.len()));
    seen
}

#[test]
fn changing_a_property_changes_something_the_same_at_creation_and_later() {
    for Row { encapsulation, search, name, value } in ROWS {
        let without = observe(encapsulation, *search, None);
        assert_eq!(observe(encapsulation, *search, None), without, "{encapsulation}: nothing is left to chance");
        let later = observe(encapsulation, *search, Some((name, value, When::Later)));
        assert_ne!(later, without, "{encapsulation}: {name} = {value} changes nothing");
        let at_once = observe(encapsulation, *search, Some((name, value, When::Creation)));
        assert_eq!(at_once, later, "{encapsulation}: {name} = {value} at creation and later");
    }
}

/// All declarations of all devices.
fn all() -> Vec<(&'static str, Search, PropertySpec)> {
    let host = Host::new();
    let kinds = ["vxlan", "geneve", "nvgre"].into_iter().flat_map(|name| [Search::Direct, Search::Dynamic].map(|search| (name, search)));
    let specs = |(name, search)| host.control.property_specs(name, search).unwrap().into_iter().map(move |spec| (name, search, spec));
    kinds.flat_map(specs).collect()
}

#[test]
fn no_property_is_left_out() {
    let declared: BTreeSet<String> = all().iter().map(|(_, _, spec)| spec.name.to_string()).collect();
    let mut changed: BTreeSet<String> = ROWS.iter().map(|row| row.name.to_owned()).collect();
    // It says how the device was made.
    changed.insert("encap".into());
    assert_eq!(declared, changed);
    let page = page();
    for (_, _, spec) in all() {
        assert_eq!(page.matches(&format!("\n| `{}` | `{}` |", spec.name, spec.access)).count(), 1, "{}", spec.name);
    }
}

#[test]
fn a_default_that_is_written_down_is_the_default() {
    for (encapsulation, search, spec) in all() {
        let Some(default) = spec.default.as_deref() else { continue };
        for when in [When::Creation, When::Later] {
            let with = observe(encapsulation, search, Some((&spec.name, default, when)));
            assert_eq!(with, observe(encapsulation, search, None), "{encapsulation}: {} = {default}", spec.name);
        }
    }
}

#[test]
fn both_ends_of_a_range_are_values_and_what_is_beyond_is_not() {
    for (encapsulation, search, declared) in all() {
        let (Kind::Uint { min, max }, Access::Live) = (&declared.kind, declared.access) else { continue };
        let mut host = Host::new();
        let listen = format!("{encapsulation}/listen_ip");
        let mut given = vec![(listen.as_str(), "192.0.2.1"), ("outer/srcport_min", "1")];
        given.extend((search == Search::Direct).then_some(("direct/dest_ip", "192.0.2.2")));
        given.extend((search == Search::Direct && encapsulation != "nvgre").then_some(("direct/dest_port", "4789")));
        given.retain(|(name, _)| encapsulation != "nvgre" || *name != "outer/srcport_min");
        let device = host.device(spec("red", encapsulation, 5001, search, &given));
        let reserved = encapsulation == "nvgre" && declared.name == "vnetid";
        for (value, good) in [(Some(*min), !reserved), (Some(*max), !reserved), (min.checked_sub(1), false), (Some(max + 1), false)] {
            let Some(value) = value else { continue };
            let said = host.control.set_property(device, &declared.name, &value.to_string(), host.now);
            assert_eq!(said.is_ok(), good, "{encapsulation}: {} = {value}: {said:?}", declared.name);
            if good {
                assert_eq!(host.control.property(device, &declared.name).unwrap(), Some(value.to_string()));
            }
        }
    }
}

#[test]
fn what_cannot_be_changed_says_so() {
    let mut host = Host::new();
    let device = host.device(spec("red", "vxlan", 5001, Search::Dynamic, &[("vxlan/listen_ip", "192.0.2.1")]));
    let said = host.control.set_property(device, "encap", "geneve", host.now).unwrap_err().to_string();
    assert_eq!(said, "property encap: cannot be changed (PERM r-)");
    assert_eq!(host.control.property(device, "encap").unwrap().as_deref(), Some("vxlan"));
    let said = host.control.reset_property(device, "vxlan/listen_ip", host.now).unwrap_err().to_string();
    assert!(said.starts_with("property vxlan/listen_ip: is required"), "{said}");
}
