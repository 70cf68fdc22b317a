//! Entries written, read, compared, imported and watched, over etcd.

use crate::etcd::Etcd;
use overlay_tests::ndjson;
use serde_json::{Map, Value, json};

const TWO: &str = r#"{"2:8:20:a:0:1":{"ip":"10.0.0.1","port":4789,"arp":"192.168.0.1"},
    "2:8:20:a:0:2":{"ip":"10.0.0.2","port":4789,"arp":["192.168.0.2","192.168.0.3"],"ndp":"fd07::2"}}"#;

#[test]
fn an_entry_is_put_found_by_either_address_and_deleted() {
    let Some(etcd) = Etcd::start("an_entry_is_put_found_by_either_address_and_deleted") else { return };
    assert_eq!(etcd.good("put -v 7 --arp 192.168.0.1 --ndp fd07::1 2:8:20:a:0:1=10.0.0.1:4789"), "");
    assert_eq!(etcd.good("get -v 7 -p -o ul3 192.168.0.1"), "10.0.0.1:4789\n");
    assert_eq!(etcd.good("get -v 7 -p -o ul3 fd07::1"), "10.0.0.1:4789\n");
    // It moves, and loses an address.
    etcd.good("put -v 7 --arp 192.168.0.1 2:8:20:a:0:1=10.0.0.9:4789");
    assert_eq!(etcd.good("get -v 7 -p -o ul3,arp,ndp,source 2:8:20:a:0:1"), "10.0.0.9\\:4789:192.168.0.1::static\n");
    assert!(etcd.refused("get -v 7 fd07::1").contains("fd07::1: nobody has this inner address in network 7"));
    assert!(etcd.refused("get -v 8 2:8:20:a:0:1").contains("02:08:20:0a:00:01: is not known in network 8"));
    let thief = etcd.refused("put -v 7 --arp 192.168.0.1 2:8:20:a:0:2=10.0.0.2:4789");
    assert!(thief.contains("its inner address 192.168.0.1 is 02:08:20:0a:00:01's in the store"), "{thief}");
    let both = etcd.refused("delete -v 7 2:8:20:a:0:1 2:8:20:a:0:5");
    assert!(both.contains("02:08:20:0a:00:05: is not there; nothing was deleted"), "{both}");
    etcd.good("delete -v 7 2:8:20:a:0:1");
    assert_eq!(etcd.good("list -v 7"), "");
    assert!(etcd.refused("get -v 7 192.168.0.1").contains("nobody has"));
}

#[test]
fn what_is_imported_is_exported_and_a_dry_run_writes_nothing() {
    let Some(etcd) = Etcd::start("what_is_imported_is_exported_and_a_dry_run_writes_nothing") else { return };
    etcd.file("map.json", TWO);
    assert!(etcd.good("import -v 7 --dry-run map.json").ends_with("2 added, 0 changed, 0 removed, 0 unchanged (nothing was written)\n"));
    assert_eq!(etcd.good("export -v 7"), "{}\n");
    assert_eq!(etcd.good("import -v 7 map.json"), "2 added, 0 changed, 0 removed, 0 unchanged\n");
    let exported: Value = serde_json::from_str(&etcd.good("export -v 7")).unwrap();
    assert_eq!(exported["02:08:20:0a:00:02"]["arp"], json!(["192.168.0.2", "192.168.0.3"]));
    etcd.good("export -v 7 out.json");
    assert_eq!(etcd.good("import -v 7 --replace out.json"), "0 added, 0 changed, 0 removed, 2 unchanged\n");
    // Another network has the same, and nothing of the first.
    assert_eq!(etcd.good("import -v 8 out.json"), "2 added, 0 changed, 0 removed, 0 unchanged\n");
    etcd.file("one.json", r#"{"2:8:20:a:0:1":{"ip":"10.0.0.7","port":4789,"arp":"192.168.0.3"}}"#);
    let refused = etcd.refused("import -v 7 one.json");
    assert!(
        refused.contains("192.168.0.3 is 02:08:20:0a:00:02's") && refused.contains("1 entry is refused; nothing was written"),
        "{refused}"
    );
    let diff = ndjson(&etcd.good("import -v 7 --replace --dry-run --json one.json"));
    let kinds: Vec<&str> = diff.iter().filter_map(|change| change["change"].as_str()).collect();
    assert_eq!((kinds, diff[2]["written"].clone()), (vec!["changed", "removed"], json!(false)));
    assert_eq!(etcd.good("import -v 7 --replace one.json"), "0 added, 1 changed, 1 removed, 0 unchanged\n");
    assert_eq!(etcd.good("list -v 7 -p -o mac,ul3,arp"), "02\\:08\\:20\\:0a\\:00\\:01:10.0.0.7\\:4789:192.168.0.3\n");
    assert_eq!(etcd.good("list -v 8 -p -o mac").lines().count(), 2);
    // A mistake is said with its line and key.
    etcd.file("bad.json", "{\"2:8:20:a:0:1\":{\"ip\":\"10.0.0.7\",\"port\":4789},\n\"2:8:20:a:0:2\":{\"ip\":\"10.0.0\"}}");
    let bad = etcd.refused("import -v 7 bad.json");
    assert!(bad.contains("bad.json:2:") && bad.contains("2:8:20:a:0:2.ip"), "{bad}");
}

/// A mapping of so many, on so many hosts, moved by some.
fn many(count: u32, moved: u32) -> String {
    let entry = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        let host = (number + moved) % 200;
        (
            format!("02:08:20:{a:02x}:{b:02x}:{c:02x}"),
            json!({"ip": format!("10.0.0.{host}"), "port": 4789, "arp": format!("10.{a}.{b}.{c}")}),
        )
    };
    Value::Object((1..=count).map(entry).collect::<Map<_, _>>()).to_string()
}

#[test]
fn an_import_larger_than_a_transaction_happens_and_ends_without_a_mark() {
    let Some(etcd) = Etcd::start("an_import_larger_than_a_transaction_happens_and_ends_without_a_mark") else { return };
    etcd.file("many.json", &many(5_000, 0));
    assert_eq!(etcd.good("import -v 7 many.json"), "5000 added, 0 changed, 0 removed, 0 unchanged\n");
    etcd.file("many.json", &many(4_000, 1));
    assert_eq!(etcd.good("import -v 7 --replace many.json"), "0 added, 4000 changed, 1000 removed, 0 unchanged\n");
    assert_eq!(etcd.good("list -v 7 -p -o mac").lines().count(), 4_000);
    // Nothing is in the way of the next one.
    assert_eq!(etcd.good("import -v 7 --replace many.json"), "0 added, 0 changed, 0 removed, 4000 unchanged\n");
    etcd.good("delete -v 7 2:8:20:0:0:1");
}

#[test]
fn an_import_that_is_killed_is_said_and_finished() {
    let Some(etcd) = Etcd::start("an_import_that_is_killed_is_said_and_finished") else { return };
    etcd.file("many.json", &many(30_000, 0));
    let import = etcd.run("import -v 7 many.json").start();
    let begun = std::time::Instant::now();
    while etcd.good("list -v 7 -p -o mac 02:08:20:00:00:01").is_empty() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "nothing is written");
    }
    import.signal("KILL");
    drop(import.end());
    let refused = etcd.refused("import -v 7 many.json");
    assert!(refused.contains("an import by ") && refused.contains("finish it with --take-over"), "{refused}");
    assert!(etcd.refused("put -v 7 2:8:20:a:0:1=10.0.0.1:4789").contains("an import by "));
    let finished = etcd.good("import -v 7 --take-over many.json");
    assert!(finished.contains(" added, 0 changed, 0 removed, "), "{finished}");
    assert_eq!(etcd.good("import -v 7 --replace many.json"), "0 added, 0 changed, 0 removed, 30000 unchanged\n");
    etcd.good("put -v 7 2:8:20:a:0:1=10.0.0.1:4789");
}

#[test]
fn changes_are_shown_as_they_come() {
    let Some(etcd) = Etcd::start("changes_are_shown_as_they_come") else { return };
    etcd.good("put -v 7 2:8:20:a:0:1=10.0.0.1:4789");
    let mut watch = etcd.run("watch -v 7 -n 3").start();
    watch.wait_for_message("it to watch", |said| said.contains("watching 1 entries"));
    // Until the watch is open nothing is shown: what it begins with was read before.
    etcd.good("put -v 7 --arp 192.168.0.1 2:8:20:a:0:1=10.0.0.2:4789");
    etcd.good("put -v 7 2:8:20:a:0:2=10.0.0.2:4789");
    etcd.good("put -v 8 2:8:20:a:0:3=10.0.0.2:4789");
    etcd.good("delete -v 7 2:8:20:a:0:1");
    let ended = watch.end();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            0,
            "changed 02:08:20:0a:00:01 10.0.0.2:4789 arp 192.168.0.1\nadded   02:08:20:0a:00:02 10.0.0.2:4789\nremoved 02:08:20:0a:00:01\n"
        )
    );
}

#[test]
fn a_store_that_is_not_there_is_said() {
    let Some(etcd) = Etcd::start("a_store_that_is_not_there_is_said") else { return };
    let nobody = etcd.refused("list -v 7 --endpoints http://127.0.0.1:1");
    assert!(nobody.contains("overlayadm: etcd: http://127.0.0.1:1: "), "{nobody}");
    let wrong = etcd.refused("list -v 7 --endpoints 127.0.0.1:1");
    assert!(wrong.contains("127.0.0.1:1: not an endpoint; http://HOST:PORT and https://HOST:PORT are"), "{wrong}");
    assert!(etcd.refused("list -v 7 --password-file nowhere --user u").contains("nowhere: cannot "));
}
