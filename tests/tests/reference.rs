//! Do we read other people's captures as tshark does? Every field of every frame against the reference decodes.
//!
//! The captures and their decodes lie beside the checkout, with the table of names (`mapping.json`) that says where each value
//! stands in our JSON. Frames that the reference marks as ambiguous or malformed are left out; everything else must agree, or
//! stand in [`EXCEPTIONS`] with a reason.

use overlay_tests::{Run, name, ndjson, program, references};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Where we differ on purpose. One that is not needed any more fails the test.
struct Exception {
    capture: &'static str,
    frame: u64,
    fields: &'static [&'static str],
    reason: &'static str,
}

const SNAP160: &str = "gen__given-geneve-options-gpe-snap160.pcap";

/// A header is decoded when all of its fixed part was captured; the reference reads single fields out of the rest.
const CUT_HEADER: &str = "the snaplen cut this header; we show its stop instead of a part of it";

const EXCEPTIONS: &[Exception] = &[
    Exception { capture: SNAP160, frame: 5, fields: &["inner.ip_version", "innermost.ip_version"], reason: CUT_HEADER },
    Exception {
        capture: SNAP160,
        frame: 6,
        fields: &[
            "inner.ip_version",
            "inner.ip_src",
            "inner.ip_proto",
            "inner.ip_nxt",
            "innermost.ip_version",
            "innermost.ip_src",
            "innermost.ip_proto",
            "innermost.ip_nxt",
        ],
        reason: CUT_HEADER,
    },
    Exception {
        capture: SNAP160,
        frame: 16,
        fields: &[
            "inner.l4",
            "inner.src_port",
            "inner.dst_port",
            "inner.tcp_flags",
            "innermost.l4",
            "innermost.src_port",
            "innermost.dst_port",
            "innermost.tcp_flags",
        ],
        reason: "the snaplen cut the tcp options, so the header is not whole",
    },
    Exception {
        capture: "tcpdump__gre-heapoverflow-1.pcap",
        frame: 2,
        fields: &["outer.ip_version"],
        reason: "the version is 0; the reference takes any packet of ethertype 0x0800 for version 4",
    },
    Exception {
        capture: "tcpdump__udp-length-heapoverflow.pcap",
        frame: 1,
        fields: &["outer.l4", "outer.src_port", "outer.dst_port"],
        reason: CUT_HEADER,
    },
];

/// What becomes of a packet's layers when the reference's shape is asked for.
struct Shape<'a> {
    mapping: &'a Value,
}

impl Shape<'_> {
    /// The value of a layer that the mapping calls `field`, under the first of its spellings.
    fn field(&self, place: &Value, layer: &Value, field: &str) -> Value {
        let spellings = match &place[field] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => panic!("mapping.json has no {field} in {place}"),
        };
        spellings.into_iter().find_map(|spelling| layer.get(spelling)).cloned().unwrap_or(Value::Null)
    }

    fn has_name(place: &Value, layer: &str) -> bool {
        place["names"].as_array().is_some_and(|names| names.iter().any(|name| name == layer))
    }

    fn layer_name<'l>(&self, layer: &'l Value) -> &'l str {
        let spellings = self.mapping["layer_name"].as_array().expect("a list of spellings");
        spellings.iter().find_map(|spelling| layer.get(spelling.as_str()?)?.as_str()).expect("a layer has a name")
    }

    /// The reference's word for a tunnel layer, `ipip` included; `None` for a layer that is no tunnel. GRE in front of ERSPAN is a
    /// part of the same tunnel.
    fn tunnel_kind(&self, layers: &[Value], index: usize) -> Option<String> {
        let layer = self.layer_name(&layers[index]);
        if layer == "ipip" {
            return Some("ipip".into());
        }
        let (kind, _) = self.mapping["tunnels"].as_object()?.iter().find(|(_, place)| Self::has_name(place, layer))?;
        let before_erspan = kind == "gre" && layers.get(index + 1).is_some_and(|next| self.layer_name(next) == "erspan");
        (!before_erspan).then(|| kind.clone())
    }

    /// One packet of the packet as the reference writes it.
    fn segment(&self, layers: &[Value]) -> Value {
        let mut segment = json!({
            "eth_src": null, "eth_dst": null, "ethertype": null, "payload_ethertype": null, "vlan_ids": [], "ip_version": null,
            "ip_src": null, "ip_dst": null, "ip_proto": null, "ip_nxt": null, "l4": null, "src_port": null, "dst_port": null,
            "tcp_flags": null, "icmp_type": null, "icmp_code": null, "arp_op": null,
        });
        let places = self.mapping["layers"].as_object().expect("mapping.json lists layers");
        for layer in layers {
            let named = self.layer_name(layer);
            let Some((kind, place)) = places.iter().find(|(_, place)| Self::has_name(place, named)) else { continue };
            let take = |field: &str| self.field(place, layer, field);
            match kind.as_str() {
                "ethernet" => {
                    (segment["eth_src"], segment["eth_dst"]) = (take("src"), take("dst"));
                    (segment["ethertype"], segment["payload_ethertype"]) = (take("ethertype"), take("ethertype"));
                }
                "vlan" => {
                    segment["vlan_ids"].as_array_mut().expect("made above").push(take("id"));
                    segment["payload_ethertype"] = take("ethertype");
                }
                "ipv4" | "ipv6" => {
                    segment["ip_version"] = json!(if kind == "ipv4" { 4 } else { 6 });
                    (segment["ip_src"], segment["ip_dst"], segment["ip_proto"]) = (take("src"), take("dst"), take("proto"));
                    segment["ip_nxt"] = if kind == "ipv4" { take("proto") } else { layer["next_header"].clone() };
                }
                "udp" | "tcp" | "sctp" => {
                    (segment["l4"], segment["src_port"], segment["dst_port"]) = (json!(kind), take("src_port"), take("dst_port"));
                    if kind == "tcp" {
                        segment["tcp_flags"] = take("flags");
                    }
                }
                "icmp" | "icmpv6" => {
                    (segment["l4"], segment["icmp_type"], segment["icmp_code"]) = (json!(kind), take("type"), take("code"));
                }
                "arp" => segment["arp_op"] = take("op"),
                _ => {}
            }
        }
        segment
    }

    /// A tunnel header as the reference writes it; only what both have.
    fn tunnel(&self, kind: &str, layer: &Value, before: Option<&Value>) -> Map<String, Value> {
        let mut tunnel = Map::new();
        let mut put = |field: &str, value: Value| tunnel.insert(field.into(), value);
        put("kind", json!(kind));
        let place = &self.mapping["tunnels"][kind];
        put("vni", if kind == "ipip" || place["vni"].is_null() { Value::Null } else { self.field(place, layer, "vni") });
        let flag = |name: &str| json!(i32::from(layer[name].as_bool().unwrap_or(false)));
        // The I bit is 0x08 in VXLAN (RFC 7348 5) and in GPE.
        let i_flag = json!(i32::from(layer["flags"].as_u64().unwrap_or_default() & 8 != 0));
        match kind {
            "vxlan" => drop(put("i_flag", i_flag)),
            "vxlan-gpe" => {
                put("i_flag", i_flag);
                put("next_proto", layer["next_protocol"].clone());
            }
            "geneve" => {
                put("proto", layer["protocol"].clone());
                put("options", json!(layer["options"].as_array().map_or(0, Vec::len)));
                put("oam", flag("oam"));
                put("critical", flag("critical"));
            }
            "nvgre" => {
                let vsid = layer["vsid"].as_u64().unwrap_or_default();
                put("flow_id", layer["flow_id"].clone());
                put("key", json!(vsid << 8 | layer["flow_id"].as_u64().unwrap_or_default()));
                put("proto", json!(0x6558));
            }
            "gre" => {
                put("proto", self.field(place, layer, "protocol"));
                put("key", self.field(place, layer, "key"));
            }
            "erspan" => {
                let gre = before.expect("ERSPAN stands behind GRE");
                put("proto", gre["protocol"].clone());
                put("key", gre.get("key").cloned().unwrap_or_default());
                put("session", layer["session"].clone());
                put("erspan_version", json!(layer["type"].as_u64().unwrap_or_default() - 1));
            }
            _ => {}
        }
        tunnel
    }

    /// A whole packet as the reference writes it.
    fn frame(&self, packet: &Value) -> Value {
        let layers = packet["layers"].as_array().expect("a packet has layers");
        let (mut segments, mut tunnels, mut start) = (Vec::new(), Vec::new(), 0);
        for index in 0..layers.len() {
            if let Some(kind) = self.tunnel_kind(layers, index) {
                segments.push(self.segment(&layers[start..index]));
                let before = index.checked_sub(1).map(|before| &layers[before]);
                tunnels.push(Value::Object(self.tunnel(&kind, &layers[index], before)));
                start = index + 1;
            }
        }
        segments.push(self.segment(&layers[start..]));
        let place = &self.mapping["packet"];
        let own = |field: &str| self.field(place, packet, field);
        let mut frame = json!({
            "number": own("number"), "time_epoch": own("time_epoch"), "len": own("len"), "caplen": own("caplen"),
            "outer": segments[0], "inner": segments.get(1), "innermost": (segments.len() > 1).then(|| segments.last()),
            "tunnel": tunnels.first().map(|tunnel| &tunnel["kind"]), "vni": tunnels.first().map(|tunnel| &tunnel["vni"]),
            "depth": tunnels.len(), "tunnels": tunnels, "truncated": own("caplen").as_u64() < own("len").as_u64(),
        });
        if segments.len() > 2 {
            frame["segments"] = json!(segments);
        }
        frame
    }
}

/// What the reference says about its own decode, not about the packet.
const REMARKS: [&str; 7] = ["link", "protocols", "ambiguous", "malformed", "fragment", "patched", "tshark_number"];

/// Every place where two values differ, as `path: reference, ours`.
fn differences(path: &str, reference: &Value, ours: &Value, found: &mut Vec<(String, String)>) {
    match (reference, ours) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys.into_iter().filter(|key| !(path.is_empty() && REMARKS.contains(&key.as_str()))) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differences(&below, left.get(key).unwrap_or(&Value::Null), right.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (one, other)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}[{index}]"), one, other, found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push((path.to_owned(), format!("{one} in the reference, {other} here"))),
    }
}

fn frames_of(truth: &Path) -> Vec<Value> {
    ndjson(&std::fs::read_to_string(truth).unwrap())
}

#[test]
fn every_field_of_every_frame_agrees_with_the_reference() {
    let Some(folder) = references("every_field_of_every_frame_agrees_with_the_reference") else { return };
    let mapping: Value = serde_json::from_slice(&std::fs::read(folder.join("mapping.json")).unwrap()).unwrap();
    let shape = Shape { mapping: &mapping };
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<(&str, u64, &str)> =
        EXCEPTIONS.iter().flat_map(|entry| entry.fields.iter().map(|field| (entry.capture, entry.frame, *field))).collect();
    let mut compared = 0;
    for capture in overlay_tests::reference_captures(&folder) {
        let short = name(&capture);
        let truths = frames_of(&folder.join(format!("truth/{short}.jsonl")));
        let ended = Run::new(program("overlay-snoop")).args(["-r", &short, "--json"]).folder(&folder).end();
        let packets = ndjson(&ended.good());
        assert_eq!(packets.len(), truths.len(), "{short}: packets here, and frames of the reference");
        for (truth, packet) in truths.iter().zip(&packets) {
            if truth["ambiguous"] == true || truth["malformed"] == true {
                continue;
            }
            compared += 1;
            let mut found = Vec::new();
            differences("", truth, &shape.frame(packet), &mut found);
            let number = truth["number"].as_u64().unwrap();
            for (field, what) in found {
                let excused =
                    |entry: &&Exception| entry.capture == short && entry.frame == number && entry.fields.contains(&field.as_str());
                match EXCEPTIONS.iter().find(excused) {
                    Some(entry) => {
                        // A header that is left out must at least be missed aloud.
                        assert!(!packet["stop"].is_null(), "{short} frame {number}: {}, but there is no stop", entry.reason);
                        unused.retain(|known| *known != (entry.capture, number, field.as_str()));
                    }
                    None => wrong.push(format!("{short} frame {number}: {field}: {what}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} fields differ in {compared} frames:\n{}", wrong.len(), wrong.join("\n"));
    assert!(unused.is_empty(), "exceptions that nothing needs any more: {unused:?}");
    assert!(compared >= 300, "only {compared} frames were compared");
}

/// A comparison that finds nothing must be able to find something.
#[test]
fn a_changed_field_is_found() {
    let reference = json!({"number": 1, "outer": {"ip_src": "10.0.0.1", "vlan_ids": [1, 2]}, "malformed": false});
    let ours = json!({"number": 1, "outer": {"ip_src": "10.0.0.2", "vlan_ids": [1, 3]}});
    let mut found = Vec::new();
    differences("", &reference, &ours, &mut found);
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["outer.ip_src", "outer.vlan_ids[1]"]);
}
