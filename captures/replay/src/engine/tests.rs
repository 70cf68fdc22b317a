use super::*;
use crate::edit::{self, Recipe};
use overlay_captures::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A host with one overlay and a VNIC, and a capture to carry through it.
struct Host {
    folder: TempDir,
    plan: Plan,
}

const CONFIG: &str = r#"{"version": 1,
    "devices": [{"name": "ov77", "encapsulation": "vxlan", "search": "files", "vnetid": 77,
                 "properties": {"vxlan/listen_ip": "10.88.0.1", "files/config": "MAP"}}],
    "vnics": [{"name": "vnic0", "device": "ov77", "mac": "02:08:20:0a:00:01"}], "entries": []}"#;
const MAP: &str = r#"{"2:8:20:a:0:2": {"arp": "10.0.0.2", "ip": "10.88.0.2", "port": 4789}}"#;

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name)
}

impl Host {
    /// With what a tenant has sent, out of its tunnel: `kernel-vxlan-ipv4.pcap` of the corpus.
    fn with_frames() -> Self {
        let host = Self::with(&corpus("kernel-vxlan-ipv4.pcap"));
        let frames = host.path("frames.pcap");
        let report = edit::run(&Recipe { decap: 1, ..Recipe::default() }, &host.plan.input, &frames, None).unwrap();
        assert!(report.is_complete(), "{report}");
        Self { plan: Plan { input: frames, ..host.plan }, folder: host.folder }
    }

    fn with(input: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("host.json"), CONFIG.replace("MAP", path("map.json").to_str().unwrap())).unwrap();
        fs::write(path("map.json"), MAP).unwrap();
        let plan = Plan {
            config: path("host.json"),
            mappings: vec![],
            table: None,
            script: None,
            assigned: vec![],
            underlay_mtu: 1500,
            seed: 0,
            tells: Tells::Packets,
            only: None,
            lines: path("lines.json"),
            packets: None,
            input: input.to_owned(),
        };
        Self { folder, plan }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> Option<PathBuf> {
        fs::write(self.path(name), text).unwrap();
        Some(self.path(name))
    }

    fn lines(&self) -> Vec<Value> {
        run(&self.plan).unwrap();
        let text = fs::read_to_string(self.path("lines.json")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `NUMBER VERDICT ...`, a line each.
    fn fates(&self) -> Vec<String> {
        let packets = self.lines().into_iter().filter(|line| line["kind"] == "packet");
        let words = packets.map(|line| {
            let mut text = format!("{} {}", line["number"], line["verdict"].as_str().unwrap());
            for key in ["by", "reason", "waited_ns"] {
                if let Some(value) = line.get(key).filter(|value| **value != 0) {
                    text.push_str(&format!(" {}", value.to_string().trim_matches('"')));
                }
            }
            if let Some(to) = line["to"].as_array() {
                text.extend(to.iter().map(|to| format!(" {}", to.as_str().unwrap())));
            }
            text
        });
        words.collect()
    }

    fn error(&self) -> String {
        let root = format!("{}/", self.folder.path().display());
        run(&self.plan).unwrap_err().to_string().replace(&root, "")
    }
}

#[test]
fn the_first_frame_asks_and_the_others_know() {
    let host = Host::with_frames();
    let to = "transmit 10.88.0.2:4789";
    let expected = [
        "1 pending".to_owned(),
        "1 answered inject".to_owned(),
        "3 pending".to_owned(),
        format!("3 {to}"),
        format!("5 {to}"),
        format!("7 {to}"),
        format!("9 {to}"),
        format!("11 {to}"),
        format!("13 {to}"),
        format!("14 {to}"),
        format!("16 {to}"),
        format!("18 {to}"),
    ];
    assert_eq!(host.fates(), expected);
    let lines = host.lines();
    let all = lines.iter().find(|line| line["kind"] == "counters").unwrap();
    let count = |key: &str| all[key].as_u64().unwrap();
    assert_eq!(["frames_in", "sent", "answered", "made", "lookups", "answers"].map(count), [10, 9, 1, 1, 2, 2]);
    assert_eq!((&all["drops"], count("datagrams_in")), (&serde_json::json!({}), 0));
    let target = lines.last().unwrap();
    assert_eq!((target["kind"].as_str(), target["mac"].as_str()), (Some("target"), Some("02:08:20:0a:00:02")));
    assert_eq!((target["state"].as_str(), target["hits"].as_u64()), (Some("valid"), Some(9)));
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let mut host = Host::with_frames();
    host.plan.packets = Some(host.path("sent.pcapng"));
    host.plan.tells = Tells::Trace;
    let outcome = |host: &Host| {
        run(&host.plan).unwrap();
        (fs::read(host.path("lines.json")).unwrap(), fs::read(host.path("sent.pcapng")).unwrap())
    };
    let first = outcome(&host);
    assert_eq!(outcome(&host), first);
    host.plan.seed = 1;
    let other = outcome(&host);
    assert_eq!(other.0, first.0, "the fates do not depend on the seed");
    assert_ne!(other.1, first.1, "the source ports do");
}

#[test]
fn what_is_sent_can_be_received() {
    let mut host = Host::with_frames();
    host.plan.packets = Some(host.path("sent.pcapng"));
    run(&host.plan).unwrap();
    // The other host: what was sent to it is delivered to its tenant.
    let config = CONFIG.replace("10.88.0.1", "10.88.0.2").replace("0a:00:01", "0a:00:02");
    let config = config.replace("MAP", host.path("map.json").to_str().unwrap());
    host.plan.config = host.file("other.json", &config).unwrap();
    (host.plan.input, host.plan.packets) = (host.path("sent.pcapng"), Some(host.path("delivered.pcapng")));
    let fates = run(&host.plan).unwrap();
    assert_eq!(fates.verdicts.get("deliver"), Some(&9));
    let bytes = |name: &str| {
        let mut reader = Reader::open(host.path(name)).unwrap();
        let mut chunk = Chunk::new();
        let mut all = Vec::new();
        while reader.next_chunk(&mut chunk).unwrap() {
            all.extend(chunk.records().map(|record| record.bytes.to_vec()));
        }
        all
    };
    let sent = bytes("frames.pcap");
    let frames: Vec<_> = [3, 5, 7, 9, 11, 13, 14, 16, 18].map(|number: usize| sent[number - 1].clone()).into();
    assert_eq!(bytes("delivered.pcapng"), frames);
}

#[test]
fn an_answer_that_takes_time_lets_frames_wait_in_their_order() {
    let mut host = Host::with_frames();
    host.plan.script = host.file("script.json", r#"{"version": 1, "lookups": [{"destination": "2:8:20:a:0:2", "delay_ns": 800000000}]}"#);
    let fates = host.fates();
    let to = "10.88.0.2:4789";
    assert_eq!(
        fates[2..8],
        [
            "3 pending".to_owned(),
            "5 pending".to_owned(),
            "7 pending".to_owned(),
            format!("3 transmit 800000000 {to}"),
            format!("5 transmit 426815000 {to}"),
            format!("7 transmit 84105000 {to}"),
        ]
    );
    assert_eq!(fates[8], format!("9 transmit {to}"), "the rest knows");
}

#[test]
fn a_lost_answer_is_a_timeout_and_the_next_frame_asks_again() {
    let mut host = Host::with_frames();
    host.plan.script = host.file("script.json", r#"{"version": 1, "lookups": [{"destination": "2:8:20:a:0:2", "lose": true}]}"#);
    let fates = host.fates();
    let dropped: Vec<_> = fates.iter().filter(|fate| fate.contains("lookup-timeout")).collect();
    assert_eq!(dropped.len(), 9, "{fates:?}");
    // Ten seconds after the first one asked, which is long after the capture has ended.
    assert_eq!(*dropped[0], "3 drop lookup-timeout 10000000000");
}

#[test]
fn questions_wait_for_an_answerer_that_is_away() {
    let mut host = Host::with_frames();
    host.plan.tells = Tells::Trace;
    host.plan.script =
        host.file("script.json", r#"{"version": 1, "answerer": [{"at_ns": 1, "away": "varpd restarts"}, {"at_ns": 500000000}]}"#);
    let fates = host.fates();
    assert_eq!(fates[4..6], ["3 transmit 499834000 10.88.0.2:4789", "5 transmit 126649000 10.88.0.2:4789"]);
    let states: Vec<_> = host.lines().into_iter().filter(|line| line["kind"] == "state").map(|line| line["degraded"].clone()).collect();
    assert!(states.iter().any(|reason| reason.as_str().is_some_and(|reason| reason.contains("varpd restarts"))), "{states:?}");
    assert_eq!(states.last(), Some(&Value::Null));
}

#[test]
fn a_saved_table_is_known_from_the_start() {
    let mut host = Host::with_frames();
    let lines = host.lines();
    let mut table = lines.last().unwrap().clone();
    table["state"] = "renewing".into();
    table["source"] = "static".into();
    host.plan.table = host.file("table.json", &format!("{table}\n\n"));
    assert_eq!(host.fates()[2], "3 transmit 10.88.0.2:4789");
    host.plan.table = host.file("table.json", "{\"overlay\":\"ov77\",\"mac\":\"*:*:*:*:*:*\",\"ul3\":[\"10.0.0.2\"]}\n{}\n");
    assert_eq!(host.error(), "table.json: line 2: missing field `overlay` at line 1 column 2");
}

#[test]
fn datagrams_come_in_as_the_kernel_would_let_them() {
    // All of them go to a port where nobody listens here, or to an address of nobody.
    let host = Host::with(&corpus("kernel-vxlan-8472.pcap"));
    assert_eq!(host.fates(), [""; 0]);
    let host = Host::with(&corpus("vxlan-fragments.pcap"));
    let config = CONFIG.replace("10.88.0.1", "10.88.0.2").replace("MAP", host.path("map.json").to_str().unwrap());
    fs::write(host.path("host.json"), config).unwrap();
    let fates = run(&host.plan).unwrap();
    assert_eq!(fates.skipped.get("a fragment: the kernel puts it together before an overlay gets it"), Some(&1), "{fates}");
    // Of another virtual network than the host has.
    let host = Host::with(&corpus("kernel-vxlan-ipv4.pcap"));
    let config = fs::read_to_string(host.path("host.json")).unwrap().replace("\"vnetid\": 77", "\"vnetid\": 78");
    fs::write(host.path("host.json"), config).unwrap();
    assert!(host.fates().iter().all(|fate| fate.ends_with("drop unknown-vni")), "{:?}", host.fates());
}

#[test]
fn an_interface_can_stand_for_a_vnic() {
    let mut host = Host::with_frames();
    host.plan.assigned = vec![(None, Some("vnic0".parse().unwrap()))];
    // Frames of the other tenant go to the VNIC's own address.
    assert!(host.fates().contains(&"2 drop self-addressed".to_owned()), "{:?}", host.fates());
    host.plan.assigned = vec![(Some("eth0".to_owned()), Some("vnic0".parse().unwrap()))];
    assert_eq!(host.fates().len(), 12, "a pcap file names no interface, and addresses decide");
    host.plan.assigned = vec![(None, Some("vnic1".parse().unwrap()))];
    assert_eq!(host.error(), "vnic vnic1: not in the configuration; it has vnic0");
}

#[test]
fn one_packet_alone_is_carried_and_kept() {
    let mut host = Host::with_frames();
    host.plan.only = Some(14);
    assert_eq!(host.fates(), ["14 pending", "14 transmit 10.88.0.2:4789"]);
    save(&host.plan.input, 14, &host.path("one.pcap")).unwrap();
    (host.plan.input, host.plan.only) = (host.path("one.pcap"), None);
    assert_eq!(host.fates(), ["1 pending", "1 transmit 10.88.0.2:4789"]);
    host.plan.only = Some(2);
    assert_eq!(host.error(), "one.pcap: packet 2: there are 1");
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let mut host = Host::with_frames();
    host.plan.mappings = vec![("ov7".parse().unwrap(), host.path("map.json"))];
    assert_eq!(host.error(), "--mapping: overlay ov7: not in the configuration; it has ov77");
    host.plan.mappings = vec![("ov77".parse().unwrap(), host.path("nowhere.json"))];
    assert!(host.error().ends_with("--mapping ov77=FILE names another file"), "{}", host.error());
    host.plan.mappings = vec![];
    host.plan.script = host.file("script.json", r#"{"version": 1, "lookups": [{"overlay": "ov9"}]}"#);
    assert_eq!(host.error(), "--script: overlay ov9: not in the configuration; it has ov77");
    host.plan.script = None;
    host.plan.input = corpus("pcap-cut-in-data.pcap");
    assert!(host.error().contains("cut off"), "{}", host.error());
    host.plan.input = host.path("host.json");
    assert!(host.error().starts_with("host.json: not a capture"), "{}", host.error());
    assert!(!host.path("lines.json").exists());
}

/// A table whose entries end after so many milliseconds, some of them never; the first is where the frames go.
fn table(ends: &[Option<u64>]) -> String {
    let row = |(number, end): (usize, &Option<u64>)| {
        let mut row = json!({"overlay": "ov77", "mac": format!("02:08:20:0a:{:02x}:{:02x}", number >> 8, (number + 2) & 0xff), "ul3": ["10.88.0.2:4789"],
            "state": "valid", "age_ns": 0, "idle_ns": 0, "hits": 0, "bytes": 0, "pending_bytes": 0, "source": "plugin"});
        if let Some(end) = end {
            row["expires_ns"] = json!(end * 1_000_000);
        }
        format!("{row}\n")
    };
    ends.iter().enumerate().map(row).collect()
}

/// The frames of the host with so many milliseconds before each, none of a time for `None`.
fn with_gaps(host: &mut Host, gaps: &[Option<u64>]) {
    let mut reader = Reader::open(&host.plan.input).unwrap();
    let mut chunk = Chunk::new();
    let path = host.path("gaps.pcapng");
    let mut ms = 1_700_000_000_000;
    Output::write(&path, Format::Pcapng, |writer| {
        while reader.next_chunk(&mut chunk).unwrap() {
            for (record, gap) in chunk.records().zip(gaps) {
                ms += gap.unwrap_or(0);
                let mut moved = Record::new(record.link, Timestamp::default(), record.bytes);
                moved.timestamp = gap.map(|_| Timestamp::new((ms / 1000) as i64, (ms % 1000 * 1_000_000) as u32));
                writer.write(&moved).unwrap();
            }
        }
        Ok(())
    })
    .unwrap();
    host.plan.input = path;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_left_out_of_a_gap_changes_nothing(
        gaps in prop::collection::vec(prop_oneof![0..3_000_u64, 0..200_000_u64, 0..3_000_000_u64], 18),
        ends in prop::collection::vec(prop::option::of(prop_oneof![0..10_000_u64, 0..3_000_000_u64]), 1..60),
        away in prop::option::of(0..3_000_000_000_000_u64),
    ) {
        let mut host = Host::with_frames();
        with_gaps(&mut host, &gaps.into_iter().map(Some).collect::<Vec<_>>());
        host.plan.table = host.file("table.json", &table(&ends));
        let away = away.map(|at| json!({"version": 1, "answerer": [{"at_ns": at, "away": "gone"}, {"at_ns": at + 900_000_000_000_u64}]}));
        host.plan.script = away.and_then(|script| host.file("script.json", &script.to_string()));
        host.plan.tells = Tells::Trace;
        let lines = |jump_ns| {
            run_from(&host.plan, jump_ns).unwrap();
            fs::read_to_string(host.path("lines.json")).unwrap()
        };
        let (every_sweep, jumping) = (lines(u64::MAX), lines(gap::JUMP_NS));
        prop_assert_eq!(every_sweep, jumping);
    }
}

#[test]
fn a_gap_of_four_hundred_years_is_passed_at_once() {
    let mut host = Host::with_frames();
    let mut gaps = [Some(1_000); 18];
    // Until 2106, by 32 bits, and on.
    (gaps[9], gaps[12]) = (Some(2_594_967_295_000), Some(12_000_000_000_000));
    with_gaps(&mut host, &gaps);
    let ends: Vec<_> = (0..2_000).map(|number| (number % 3 > 0).then_some(number * 1_000_000)).collect();
    host.plan.table = host.file("table.json", &table(&ends));
    let (fates, lines) = (host.fates(), host.lines());
    assert_eq!(fates.iter().filter(|fate| fate.contains("transmit")).count(), 9, "{fates:?}");
    // Those without an end are still there.
    assert_eq!(lines.iter().filter(|line| line["kind"] == "target").count(), ends.iter().filter(|end| end.is_none()).count());
}

#[test]
fn time_begins_with_the_first_packet_that_has_one() {
    let mut host = Host::with_frames();
    let mut gaps = [Some(1_000); 18];
    (gaps[0], gaps[1]) = (None, None);
    with_gaps(&mut host, &gaps);
    let lines = host.lines();
    let times: Vec<_> = lines.iter().filter_map(|line| Some(line.get("timestamp")?.as_str()?.to_owned())).collect();
    assert_eq!(times[0], "1700000001.000000000", "taken to be captured with the first of which it is known");
    assert_eq!(times.last().unwrap(), "1700000016.000000000");
}

#[test]
fn where_a_packet_could_not_be_saved_nothing_is_carried() {
    let folder = TempDir::new().unwrap();
    let [file, nowhere, dash] = [folder.path().join("a"), folder.path().join("b/a"), PathBuf::from("-")];
    assert_eq!(check_save(&file, &file, &dash), Ok(()));
    assert_eq!(check_save(&file, Path::new("a.pcap"), &dash), Ok(()));
    assert!(check_save(&dash, &file, &file).unwrap_err().starts_with("--save: standard input"));
    assert!(check_save(&file, &dash, &dash).unwrap_err().contains("cannot both go"));
    assert!(check_save(&file, &nowhere, &file).unwrap_err().ends_with("/b is no folder that is there"));
}

#[test]
fn frames_that_are_no_packet_on_a_wire_are_counted_at_the_end() {
    let fates = Fates { read: 3, unwritten: 2, ..Fates::default() };
    let said = fates.to_string();
    assert!(said.ends_with("\nnot written 2: sent, but longer than an IP packet can be: on a wire it is many packets\n"), "{said}");
}
