//! Is every field of the JSON documented, and every documented field real? Output, JSON Schema and docs/json.md against each other.

use jsonschema::Validator;
use overlay_decoder::LayerKind;
use overlay_tests::{Run, corpus, name, ndjson, program, reference_captures, references, snoop, workspace};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each layer has in front of its own fields.
const COMMON: [&str; 3] = ["layer", "offset", "length"];

/// Documented fields that no capture of the corpus shows, by reason. `more` of any list is one of them: it takes over 64 items.
const NEVER_SEEN: &[(&str, &[&str])] = &[
    (
        "options of clouds, whose traffic the lab cannot make",
        &[
            "geneve.options[].attachment",
            "geneve.options[].egress",
            "geneve.options[].endpoint",
            "geneve.options[].flow_cookie",
            "geneve.options[].mss",
            "geneve.options[].network",
            "geneve.options[].profile",
            "geneve.options[].replication",
        ],
    ),
    (
        "reserved bits and versions that nobody sends",
        &[
            "geneve.options[].reserved_bits_set",
            "geneve.reserved_bits_set",
            "ipv4.reserved_flag",
            "nsh.reserved_bits_set",
            "nsh.version",
            "stp.protocol",
            "vxlan-gpe.reserved_bits_set",
        ],
    ),
    ("a guess that no capture needs", &["geneve.guessed", "vxlan-gpe.guessed"]),
    (
        "EDNS stands among the additionals; only a faulty server answers with it",
        &["dns.answers[].dnssec_ok", "dns.answers[].edns_version", "dns.answers[].extended_rcode", "dns.answers[].udp_size"],
    ),
    (
        "rare values of messages that the corpus has",
        &[
            "dhcp.flags",
            "dhcp.hops",
            "dhcp.server_ip",
            "dhcpv6.leases[].prefix",
            "dhcpv6.leases[].prefix_length",
            "dhcpv6.status",
            "dns.truncated",
            "icmp.pointer",
            "icmpv6.options[].address",
            "icmpv6.pointer",
            "icmpv6.records[].sources",
            "icmpv6.records[].sources[].address",
            "icmpv6.sources",
            "icmpv6.sources[].address",
            "sll.address",
            "sll2.address",
            "vlan.payload_length",
        ],
    ),
];

/// Why a documented field need not be in the corpus.
fn never_seen(field: &str) -> bool {
    field.ends_with("[].more") || NEVER_SEEN.iter().any(|(_, fields)| fields.contains(&field))
}

fn schema() -> Value {
    let path = workspace().join("docs/overlay-snoop.schema.json");
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn page() -> String {
    std::fs::read_to_string(workspace().join("docs/json.md")).unwrap()
}

/// One definition of the schema, with the others at hand.
fn validator(definition: &str) -> Validator {
    let mut whole = schema();
    let root = whole.as_object_mut().unwrap();
    root.remove("oneOf");
    root.insert("$ref".into(), json!(format!("#/$defs/{definition}")));
    jsonschema::options().should_validate_formats(true).build(&whole).unwrap_or_else(|error| panic!("{definition}: {error}"))
}

/// Validators for a packet and, because a packet's own error only says "none of the layers", for each layer.
struct Schemas {
    packet: Validator,
    statistics: Validator,
    layers: BTreeMap<&'static str, Validator>,
}

impl Schemas {
    fn new() -> Self {
        let layer = |kind: &LayerKind| (kind.name(), validator(&format!("layer_{}", kind.name())));
        Self { packet: validator("packet"), statistics: validator("statistics"), layers: LayerKind::ALL.iter().map(layer).collect() }
    }

    fn faults(&self, packet: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for layer in packet["layers"].as_array().into_iter().flatten() {
            match layer["layer"].as_str().and_then(|name| self.layers.get(name)) {
                Some(schema) => faults.extend(schema.iter_errors(layer).map(|error| format!("{error} in {layer}"))),
                None => faults.push(format!("no layer of that name: {layer}")),
            }
        }
        if faults.is_empty() {
            faults.extend(self.packet.iter_errors(packet).map(|error| format!("{error} at {}", error.instance_path())));
        }
        faults
    }
}

fn captures(test: &str) -> Vec<PathBuf> {
    let mut captures = corpus();
    captures.extend(references(test).iter().flat_map(|folder| reference_captures(folder)));
    captures
}

fn packets(path: &Path, flags: &[&str]) -> Vec<Value> {
    // A damaged capture ends with status 1, behind good lines.
    ndjson(&snoop(["-r"]).args([path]).args(["--json"]).args(flags).end().stdout)
}

#[test]
fn every_packet_of_every_capture_satisfies_the_schema() {
    let schemas = Schemas::new();
    let mut faults = BTreeSet::new();
    let mut count = 0;
    for path in captures("every_packet_of_every_capture_satisfies_the_schema") {
        for flags in [&[][..], &["--verify"]] {
            for packet in packets(&path, flags) {
                count += 1;
                faults.extend(
                    schemas.faults(&packet).into_iter().map(|fault| format!("{} packet {}: {fault}", name(&path), packet["number"])),
                );
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults in {count} packets:\n{}",
        faults.len(),
        faults.into_iter().take(40).collect::<Vec<_>>().join("\n")
    );
    assert!(count > 1000, "only {count} packets");
}

#[test]
fn statistics_of_every_capture_satisfy_the_schema() {
    let schemas = Schemas::new();
    for path in captures("statistics_of_every_capture_satisfy_the_schema") {
        let ended = Run::new(program("overlay-snoop")).args(["--stats", "--json", "-r"]).args([&path]).end();
        // A file that is no capture has none.
        for statistics in ndjson(&ended.stdout) {
            let faults: Vec<String> =
                schemas.statistics.iter_errors(&statistics).map(|e| format!("{e} at {}", e.instance_path())).collect();
            assert!(faults.is_empty(), "{}: {faults:?}", name(&path));
        }
    }
}

/// The schema must be able to say no.
#[test]
fn a_field_that_nobody_documented_is_found() {
    let schemas = Schemas::new();
    let good = packets(&corpus().into_iter().find(|path| name(path) == "vxlan.pcap").unwrap(), &[]).swap_remove(1);
    assert_eq!(schemas.faults(&good), Vec::<String>::new());
    let changes: [(&str, Value); 5] = [
        ("/new", json!(1)),
        ("/layers/3/new", json!(1)),
        ("/layers/3/vni", json!(1 << 24)),
        ("/layers/0/src", json!("2:0:0:0:0:1")),
        ("/number", json!(null)),
    ];
    for (place, value) in changes {
        let mut bad = good.clone();
        let (parent, field) = place.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(field.into(), value);
        assert!(!schemas.faults(&bad).is_empty(), "{place} went unnoticed");
    }
}

/// Every object with properties in the schema, and whether it and they are described.
fn undescribed(place: &str, value: &Value, found: &mut Vec<String>) {
    if let Some(properties) = value["properties"].as_object() {
        for (name, property) in properties {
            if property["description"].as_str().is_none_or(|text| text.len() < 4) {
                found.push(format!("{place}.{name}"));
            }
        }
        if value["additionalProperties"] != false {
            found.push(format!("{place} allows further fields"));
        }
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, below)| undescribed(&format!("{place}.{key}"), below, found)),
        Value::Array(list) => list.iter().for_each(|below| undescribed(place, below, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_schema_is_described_and_no_object_is_open() {
    let mut found = Vec::new();
    undescribed("", &schema(), &mut found);
    assert_eq!(found, Vec::<String>::new());
    jsonschema::meta::validate(&schema()).unwrap_or_else(|error| panic!("not a JSON Schema: {error}"));
}

/// The fields of an object of the schema as the page writes them: `options[].class`.
fn fields_of(properties: &Map<String, Value>, prefix: &str, found: &mut BTreeSet<String>) {
    for (name, property) in properties {
        if prefix.is_empty() && COMMON.contains(&name.as_str()) {
            continue;
        }
        found.insert(format!("{prefix}{name}"));
        if let Some(below) = property["items"]["properties"].as_object() {
            fields_of(below, &format!("{prefix}{name}[]."), found);
        }
    }
}

/// The fields of the tables of a page, by heading.
fn tables(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
    let mut heading = String::new();
    for line in page.lines() {
        if let Some(text) = line.strip_prefix('#') {
            heading = text.trim_start_matches('#').trim().to_owned();
            tables.entry(heading.clone()).or_default();
        } else if let Some((field, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once("` |")) {
            tables.entry(heading.clone()).or_default().insert(field.to_owned());
        }
    }
    tables
}

#[test]
fn the_page_and_the_schema_name_the_same_layers_and_fields() {
    let (schema, tables) = (schema(), tables(&page()));
    let properties = |definition: &str| {
        let mut fields = BTreeSet::new();
        fields_of(schema["$defs"][definition]["properties"].as_object().unwrap_or_else(|| panic!("no {definition}")), "", &mut fields);
        fields
    };
    for kind in LayerKind::ALL {
        let heading = format!("Layer `{}`", kind.name());
        let table = tables.get(&heading).unwrap_or_else(|| panic!("docs/json.md has no heading {heading}"));
        assert_eq!(table, &properties(&format!("layer_{}", kind.name())), "{heading}: the page, then the schema");
    }
    let documented = tables.keys().filter(|heading| heading.starts_with("Layer ")).count();
    assert_eq!(documented, LayerKind::ALL.len(), "docs/json.md documents a layer that does not exist");
    let names: Vec<&str> = LayerKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(schema["$defs"]["layer_name"]["enum"], json!(names));
    for (heading, definition) in [("Packet", "packet"), ("`gso`", "gso"), ("`stop`", "stop")] {
        let mut fields = properties(definition);
        // The helper leaves these out of layers only.
        fields.extend(
            COMMON.iter().filter(|name| schema["$defs"][definition]["properties"].get(**name).is_some()).map(|name| (*name).to_owned()),
        );
        assert_eq!(tables[heading], fields, "{heading}: the page, then the schema");
    }
    let mut statistics = BTreeSet::new();
    collect_names(&schema["$defs"]["statistics"], &schema, &mut statistics);
    assert_eq!(tables["Statistics"], statistics, "Statistics: the page, then the schema");
}

/// Every field name at any depth of a definition.
fn collect_names(value: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(target) = value["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
        collect_names(&schema["$defs"][target], schema, found);
    }
    for (name, property) in value["properties"].as_object().into_iter().flatten() {
        found.insert(name.clone());
        collect_names(property, schema, found);
    }
    if value["items"].is_object() {
        collect_names(&value["items"], schema, found);
    }
}

#[test]
fn every_documented_field_occurs_in_the_corpus() {
    let mut seen = BTreeSet::new();
    for path in corpus() {
        for packet in packets(&path, &["--verify"]) {
            for layer in packet["layers"].as_array().unwrap() {
                note(layer.as_object().unwrap(), layer["layer"].as_str().unwrap(), &mut seen);
            }
        }
    }
    let page = page();
    let documented = tables(&page).into_iter().filter_map(|(heading, fields)| {
        let layer = heading.strip_prefix("Layer `")?.strip_suffix('`')?.to_owned();
        Some(fields.into_iter().map(move |field| format!("{layer}.{field}")))
    });
    let missing: Vec<String> = documented.flatten().filter(|field| !seen.contains(field) && !never_seen(field)).collect();
    assert_eq!(missing, Vec::<String>::new(), "documented, but in no packet of the corpus: add a capture, or a reason to NEVER_SEEN");
    let back: Vec<_> = NEVER_SEEN.iter().flat_map(|(_, fields)| *fields).filter(|field| seen.contains(**field)).collect();
    assert!(back.is_empty(), "NEVER_SEEN, but the corpus has them: {back:?}");
}

fn note(object: &Map<String, Value>, place: &str, seen: &mut BTreeSet<String>) {
    for (name, value) in object {
        seen.insert(format!("{place}.{name}"));
        for item in value.as_array().into_iter().flatten().filter_map(Value::as_object) {
            note(item, &format!("{place}.{name}[]"), seen);
        }
    }
}

#[test]
fn the_example_on_the_page_is_what_the_program_prints() {
    let page = page();
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("docs/json.md has an example");
    let example: Value = serde_json::from_str(example).unwrap();
    let capture = corpus().into_iter().find(|path| name(path) == "vxlan.pcap").unwrap();
    assert_eq!(example, packets(&capture, &[])[0]);
}
