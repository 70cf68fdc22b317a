use super::*;
use crate::{Access, DropReason, EntryState, Kind, PropertySpec, Source, StaticTarget, TargetRow, Verdict};
use overlay_decoder::{Mac, Vni};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use std::time::{Duration, UNIX_EPOCH};

fn row(number: u32) -> TargetRow {
    let [_, a, b, c] = number.to_be_bytes();
    TargetRow {
        mac: Mac([2, 0, 0, a, b, c]),
        ul3: if number.is_multiple_of(7) { vec![] } else { vec![format!("10.0.{}.2:4789", number % 5).parse().unwrap()] },
        state: EntryState::ALL[number as usize % EntryState::ALL.len()],
        age_ns: u64::from(number % 11),
        idle_ns: u64::from(number % 13),
        hits: u64::from(number.wrapping_mul(2_654_435_761)),
        bytes: u64::from(number % 17),
        pending_bytes: 0,
        source: if number.is_multiple_of(3) { Source::Static } else { Source::Lookup },
        expires_ns: number.is_multiple_of(2).then_some(u64::from(number % 19)),
    }
}

fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
    serde_json::from_str::<T>(json).unwrap_err().to_string()
}

#[test]
fn a_problem_is_one_sentence_and_its_kind_is_the_status() {
    let problem = Problem::unknown("overlay", "ov1", ["ov0", "blue"]);
    assert_eq!(serde_json::to_string(&problem).unwrap(), r#"{"error":"overlay ov1: there is none of that name; did you mean ov0?"}"#);
    assert_eq!(problem.kind.status(), 404);
    for kind in ProblemKind::ALL {
        assert_eq!(ProblemKind::of_status(kind.status()), kind);
    }
    assert_eq!((ProblemKind::of_status(431), ProblemKind::of_status(502)), (ProblemKind::Wrong, ProblemKind::Failed));
}

#[test]
fn a_time_is_spelled_as_in_a_capture() {
    let time = Timestamp::from(UNIX_EPOCH + Duration::new(1_368_908_505, 838_156_000));
    assert_eq!(serde_json::to_string(&time).unwrap(), "\"1368908505.838156000\"");
    assert_eq!(serde_json::from_str::<Timestamp>("\"1368908505.838156000\"").unwrap(), time);
    assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::default());
    for bad in ["", "1", "1.", "1.5", "-1.000000000", "+1.000000000", "1.+00000000", "99999999999999999999.000000000"] {
        assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
    }
}

#[test]
fn a_new_overlay_takes_numbers_for_texts_and_nothing_unknown() {
    let new: NewOverlay = serde_json::from_str(
        r#"{"name":"ov0","encapsulation":"vxlan","search":"direct","vnetid":7,"properties":{"mtu":1400,"direct/dest_ip":"10.0.0.2"}}"#,
    )
    .unwrap();
    assert_eq!((new.properties["mtu"].as_str(), new.temporary), ("1400", false));
    assert_eq!(serde_json::from_str::<NewOverlay>(&serde_json::to_string(&new).unwrap()).unwrap(), new);
    let with = |more: &str| format!(r#"{{"name":"ov0","encapsulation":"vxlan","search":"direct",{more}}}"#);
    for (more, said) in [
        (r#""vnetid":16777216"#, "vni 16777216: larger than 24 bits (max 16777215)"),
        (r#""vnet":7"#, "unknown field `vnet`"),
        (r#""temporary":true"#, "missing field `vnetid`"),
        (r#""vnetid":7,"properties":{"mtu":[]}"#, "a property's value: a text or a whole number"),
        (r#""vnetid":7,"properties":{"mtu":1400,"mtu":"1"}"#, "property mtu is given twice"),
    ] {
        assert!(refused::<NewOverlay>(&with(more)).contains(said), "{}", refused::<NewOverlay>(&with(more)));
    }
    assert!(refused::<NewVnic>(r#"{"name":"a/b","overlay":"ov0"}"#).contains("a link's name has letters"));
}

#[test]
fn resetting_a_property_has_to_be_said() {
    let set = |json| serde_json::from_str::<SetProperty>(json).unwrap().value;
    assert_eq!(set(r#"{"name":"mtu","value":null}"#), None);
    assert_eq!(set(r#"{"name":"mtu","value":"1400"}"#).as_deref(), Some("1400"));
    assert_eq!(set(r#"{"name":"mtu","value":1400}"#).as_deref(), Some("1400"));
    assert!(refused::<SetProperty>(r#"{"name":"mtu"}"#).contains("missing field `value`"));
    assert!(refused::<SetProperty>(r#"{"name":"mtu","value":true}"#).contains("a text or a whole number"));
}

#[test]
fn a_property_shows_what_holds_and_whether_it_was_set() {
    let spec = PropertySpec::new("mtu", Kind::Uint { min: 576, max: 9000 }, Access::Live, Some("1400"), "Largest packet.");
    let json = r#"{"name":"mtu","type":"uint","possible":"576-9000","perm":"rw","required":false,"default":"1400","value":"1400","set":false,"doc":"Largest packet."}"#;
    let property = Property::new(&spec, None);
    assert_eq!(serde_json::to_string(&property).unwrap(), json);
    assert_eq!(serde_json::from_str::<Property>(json).unwrap(), property);
    let property = Property::new(&spec, Some("1500".to_owned()));
    assert_eq!((property.value.as_deref(), property.default.as_deref(), property.set), (Some("1500"), Some("1400"), true));
}

#[test]
fn a_target_is_set_to_addresses_or_to_drop() {
    let set = |json| serde_json::from_str::<SetTarget>(json).unwrap().to;
    let one = StaticTarget::Reach(vec!["[fd00::2]:4789".parse().unwrap()]);
    assert_eq!(set(r#"{"to":["[fd00::2]:4789"]}"#), one);
    assert_eq!(set(r#"{"to":"[fd00::2]:4789"}"#), one);
    assert_eq!(set(r#"{"to":"drop"}"#), StaticTarget::Drop);
    assert_eq!(serde_json::to_string(&SetTarget { to: one }).unwrap(), r#"{"to":["[fd00::2]:4789"]}"#);
    assert!(refused::<SetTarget>(r#"{"to":"dorp"}"#).contains("dorp: not an underlay address"));
    assert!(refused::<SetTarget>(r#"{"to":7}"#).contains("a list of underlay addresses, or \"drop\""));
}

#[test]
fn counters_are_one_object_that_older_and_newer_daemons_may_write() {
    let mut counters = Counters { frames_in: 3, ..Counters::default() };
    counters.drops.insert(DropReason::TooBig.name().to_owned(), 2);
    let json = serde_json::to_value(&counters).unwrap();
    assert_eq!((&json["frames_in"], &json["drops"]["too-big"]), (&3.into(), &2.into()));
    assert_eq!(serde_json::from_value::<Counters>(json).unwrap(), counters);
    assert_eq!((counters.dropped(DropReason::TooBig), counters.all_dropped()), (2, 2));
    let newer = serde_json::from_str::<Counters>(r#"{"frames_in":3,"marvels":9,"drops":{"too-big":2,"not-invented":1}}"#).unwrap();
    assert_eq!((newer.frames_in, newer.all_dropped()), (3, 3));
    let names: Vec<_> = Counters::NAMES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, counters.iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert!(Counters::NAMES.iter().all(|(_, doc)| doc.ends_with('.')));
}

#[test]
fn an_event_is_a_flat_object() {
    let event = Event {
        timestamp: Timestamp { seconds: 5, nanoseconds: 7 },
        what: Happening::OverlayState { overlay: "ov0".parse().unwrap(), state: OverlayState::Down, reason: Some("gone".to_owned()) },
    };
    let json = r#"{"timestamp":"5.000000007","event":"overlay-state","overlay":"ov0","state":"down","reason":"gone"}"#;
    assert_eq!(serde_json::to_string(&event).unwrap(), json);
    assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
}

#[test]
fn states_have_one_name_in_json_and_in_print() {
    for state in OverlayState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
    }
    for state in VnicState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
    }
}

#[test]
fn a_frame_is_traced_from_its_digits_or_from_words() {
    let request = |json: &str| serde_json::from_str::<TraceRequest>(json).unwrap().frame;
    let source = Mac([2, 0, 0, 0, 0, 9]);
    let hex = request(r#"{"frame":"02 00:00-0000 01"}"#);
    assert_eq!(hex.bytes(source).unwrap(), [2, 0, 0, 0, 0, 1]);
    let words = request(r#"{"frame":{"dst":"2:0:0:0:0:1","vlan":5,"ethertype":34525,"size":3},"vnic":"v0"}"#);
    assert_eq!(words.bytes(source).unwrap(), [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x81, 0, 0, 5, 0x86, 0xdd, 0, 0, 0]);
    let plain = request(r#"{"frame":{"dst":"2:0:0:0:0:1"}}"#).bytes(source).unwrap();
    assert_eq!((plain.len(), &plain[12..14]), (14 + 64, &[8, 0][..]));
    for (json, said) in [
        (r#"{"frame":"0"}"#, "frame: ends in the middle of a byte; two hexadecimal digits make one"),
        (r#"{"frame":"0 0"}"#, "frame: ' ' at character 2 is no hexadecimal digit, or in the middle of a byte"),
        (r#"{"frame":"0é"}"#, "frame: 'é' at character 2 is no hexadecimal digit, or in the middle of a byte"),
        (r#"{"frame":{"dst":"2:0:0:0:0:1","vlan":4095}}"#, "frame.vlan: 4095 is not allowed; 0-4094 is"),
        (r#"{"frame":{"dst":"2:0:0:0:0:1","size":4294967295}}"#, "frame.size: 4294967295 is not allowed; 0-65531 is"),
    ] {
        assert_eq!(request(json).bytes(source).unwrap_err(), Problem::wrong(said));
    }
    let endless = TraceFrame::Hex("00".repeat(70_000)).bytes(source).unwrap_err();
    assert_eq!(endless.error, "frame: is larger than 65549 bytes");
    let many = |json: &str| serde_json::from_str::<TracesRequest>(json).unwrap().bytes(source).map_err(|problem| problem.error);
    let all = many(r#"{"frames":["0001",{"dst":"2:0:0:0:0:1","size":0}],"vnic":"v0"}"#).unwrap();
    assert_eq!(all, [vec![0, 1], vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]]);
    let said = many(r#"{"frames":["00",{"dst":"2:0:0:0:0:1","vlan":4095}]}"#).unwrap_err();
    assert_eq!(said, "frames[1].vlan: 4095 is not allowed; 0-4094 is");
    assert!(refused::<TracesRequest>(r#"{"frame":"00"}"#).contains("unknown field `frame`"));
    assert!(refused::<TraceRequest>(r#"{"frame":{"dst":"2:0:0:0:0"}}"#).contains("2:0:0:0:0: not a MAC address"));
    assert!(refused::<TraceRequest>(r#"{"frame":{"to":"x"}}"#).contains("unknown field `to`"));
    assert!(refused::<TraceRequest>(r#"{"frame":7}"#).contains("a frame: hexadecimal digits, or an object"));
}

#[test]
fn a_trace_is_steps_and_a_verdict_side_by_side() {
    let trace = Trace { steps: vec!["one".to_owned()], verdict: Verdict::Drop { vni: Vni::new(7), reason: DropReason::TooBig } };
    let json = r#"{"steps":["one"],"verdict":"drop","vni":7,"reason":"too-big"}"#;
    assert_eq!(serde_json::to_string(&trace).unwrap(), json);
    assert_eq!(serde_json::from_str::<Trace>(json).unwrap(), trace);
}

#[test]
fn a_filter_is_words_that_all_hold() {
    let rows = || (0..1000).map(row);
    let page = |filter: &str| TargetQuery { filter: filter.to_owned(), ..TargetQuery::default() }.page(9, rows()).unwrap();
    assert_eq!((page("").total, page("").generation, page("").states.values().sum()), (1000, 9, 1000));
    assert_eq!(page("state:valid").states.into_keys().collect::<Vec<_>>(), [EntryState::Valid]);
    assert!(
        page("state:valid source:static 10.0.1.")
            .rows
            .iter()
            .all(|row| { row.state == EntryState::Valid && row.source == Source::Static && row.ul3[0].to_string() == "10.0.1.2:4789" })
    );
    assert_eq!(page("02:00:00:00:01:00").total, 1);
    assert_eq!(page("nowhere").total, 0);
    let wrong = |filter: &str| TargetQuery { filter: filter.to_owned(), ..TargetQuery::default() }.page(9, rows()).unwrap_err().error;
    assert!(wrong("state:happy").starts_with("filter: \"state:happy\" is not allowed; absent, pending,"), "{}", wrong("state:happy"));
    assert_eq!(wrong("source:"), "filter: \"source:\" is not allowed; lookup, static, plugin are");
    let most = TargetQuery { limit: TARGETS_MAX + 1, ..TargetQuery::default() };
    assert_eq!(most.page(9, rows()).unwrap_err().error, "limit: 65537 is not allowed; 0-65536 is");
}

const SORTS: [TargetSort; 10] = [
    TargetSort::Mac,
    TargetSort::Ul3,
    TargetSort::State,
    TargetSort::AgeNs,
    TargetSort::IdleNs,
    TargetSort::Hits,
    TargetSort::Bytes,
    TargetSort::PendingBytes,
    TargetSort::Source,
    TargetSort::ExpiresNs,
];

proptest! {
    #[test]
    fn a_page_is_a_part_of_the_whole_table_in_order(
        rows in 0u32..6000, step in 1u32..50, offset in 0usize..4000, limit in 0usize..1500, sort in 0..SORTS.len(), down: bool,
    ) {
        // Rows in another order than that of their MACs, as a hash table has them.
        let table = || (0..rows).map(|n| row((n * step) % rows.max(1))).collect::<Vec<_>>();
        let order = if down { Order::Descending } else { Order::Ascending };
        let query = TargetQuery { sort: SORTS[sort], order, offset, limit, ..TargetQuery::default() };
        let mut whole = table();
        whole.sort_by(|a, b| query.compare(a, b));
        let page = query.page(1, table()).unwrap();
        prop_assert_eq!(page.total, rows as usize);
        let expected: Vec<_> = whole.into_iter().skip(offset).take(limit).collect();
        prop_assert_eq!(page.rows, expected);
    }
}
