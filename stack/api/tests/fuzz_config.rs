//! Can any file or text make the readers panic, or take something that is then written otherwise? One target per kind of input.
//! `OVERLAY_FUZZ_SECONDS` sets how long each runs; without it each takes two seconds.
//!
//! Random bytes are hardly ever JSON, so the targets also damage sound files, and put sound and wrong pieces together.

use overlay_api::config::HostConfig;
use overlay_api::mapping::{self, Mapping};
use overlay_api::{Access, Kind, ParseError, PropertySpec, nearest};
use overlay_decoder::Mac;
use std::borrow::Cow;
use std::time::Duration;

const CONFIG: &str = r#"{"version":1,"devices":[{"name":"ov0","encapsulation":"vxlan","search":"files","vnetid":77,
"properties":{"files/config":"/etc/ov0.json","mtu":1450}}],"vnics":[{"name":"vnic0","device":"ov0","mac":"2:8:20:a:0:1","mtu":1400,
"namespace":"blue"}],"entries":[{"device":"ov0","mac":"2:8:20:a:0:2","to":["10.0.0.2:4789"]},{"device":"ov0","mac":"2:8:20:a:0:3","to":"drop"},
{"device":"ov0","mac":"ff:ff:ff:ff:ff:ff","to":["10.0.0.2:4789","[fd00::2]:4789"]}]}"#;
const MAPPING: &str = r#"{"2:8:20:a:0:1":{"ip":"10.0.0.1","port":4789,"arp":"192.168.0.1","ndp":["fd00::1","fd00::3"],"x":{"y":[]}},
"02:08:20:0a:00:02":{"ip":"fd88::2","port":4789,"arp":["192.168.0.2"],"dhcp-proxy":"2:8:20:a:0:1"},
"broadcast":{"replicate":[{"ip":"10.0.0.2","port":4789},{"ip":"::ffff:10.0.0.1"}]},"1:0:5e:0:0:fb":{"ip":"239.1.1.1","port":4789}}"#;
/// Pieces of which files are put together, sound and wrong.
const PIECES: [&str; 48] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "0",
    "1",
    "16777215",
    "16777216",
    "-1",
    "1e9",
    "1.0",
    "\"version\":1",
    "\"devices\":[",
    "\"vnics\":[",
    "\"entries\":[",
    "\"name\":\"a\"",
    "\"name\":\"-a\"",
    "\"encapsulation\":\"vxlan\"",
    "\"search\":\"direct\"",
    "\"vnetid\":7",
    "\"properties\":{",
    "\"mtu\":1400",
    "\"device\":\"a\"",
    "\"mac\":\"2:0:0:0:0:1\"",
    "\"namespace\":\"n\"",
    "\"to\":[\"1.2.3.4:5\"]",
    "\"to\":\"drop\"",
    "\"2:0:0:0:0:1\":{",
    "\"02:00:00:00:00:01\":{",
    "\"broadcast\":{",
    "\"ip\":\"10.0.0.1\"",
    "\"port\":4789",
    "\"arp\":[\"1.2.3.4\"]",
    "\"ndp\":\"fd00::1\"",
    "\"dhcp-proxy\":\"2:0:0:0:0:2\"",
    "\"replicate\":[",
    "\"reserved\":",
    "\u{1b}",
    "\u{e9}",
    "\\u0061",
    "//",
    " \n",
];

fn fuzz(look: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(2));
    bolero::check!().with_iterations(usize::MAX).with_test_time(time).with_max_len(1024).for_each(|input: &[u8]| look(input));
}

/// Reads `text` both ways. Says which of them took it.
fn look(text: &str) -> (bool, bool) {
    let config = match HostConfig::parse("f", text) {
        Ok(config) => {
            assert_eq!(config.check(), Ok(()), "{text}");
            let written = config.to_json();
            assert_eq!(HostConfig::parse("g", &written), Ok(config), "{text}\n{written}");
            true
        }
        Err(error) => {
            look_at_error(text, &error);
            false
        }
    };
    let mapping = match Mapping::parse("f", text) {
        Ok(mapping) => {
            let written = mapping.to_json();
            let again = Mapping::parse("g", &written).unwrap_or_else(|error| panic!("{error}: {text}\n{written}"));
            assert_eq!(again, mapping, "{text}\n{written}");
            assert_eq!(mapping::diff(&mapping, &again), []);
            assert_eq!(mapping::diff(&Mapping::default(), &mapping).len(), mapping.len());
            for (mac, entry) in mapping.iter() {
                assert!(entry.arp.iter().all(|ip| mapping.by_arp(*ip) == Some(mac)), "{text}");
                assert!(entry.ndp.iter().all(|ip| mapping.by_ndp(*ip) == Some(mac)), "{text}");
                assert!(entry.to.destinations().len() == 1 || mac.is_group(), "{text}");
            }
            let ported = |wanted: bool| mapping.iter().flat_map(|(_, e)| e.to.destinations()).all(|ul3| ul3.port.is_some() == wanted);
            assert_eq!((mapping.check(true).is_ok(), mapping.check(false).is_ok()), (ported(true), ported(false)), "{text}");
            for note in mapping.notes() {
                assert!(!note.to_string().contains(char::is_control), "{note:?}");
            }
            true
        }
        Err(error) => {
            look_at_error(text, &error);
            false
        }
    };
    (config, mapping)
}

/// It is one line that steers nothing, and its place is in the text.
fn look_at_error(text: &str, error: &ParseError) {
    let said = error.to_string();
    assert!(!said.contains(char::is_control) && !error.problem.is_empty(), "{said:?}");
    assert!(said.len() < 2048, "{} bytes: {said}", said.len());
    let line = text.split('\n').nth(error.place.line as usize - 1).unwrap_or_else(|| panic!("no such line: {said}"));
    assert!((1..=line.chars().count() + 1).contains(&(error.place.column as usize)), "no such column: {said}\n{text}");
}

#[test]
fn the_sound_files_are_sound() {
    assert_eq!((look(CONFIG), look(MAPPING)), ((true, false), (false, true)));
}

#[test]
fn any_text() {
    fuzz(|input| {
        look(&String::from_utf8_lossy(input));
    });
}

#[test]
fn damaged_files() {
    fuzz(|input| {
        for sound in [CONFIG, MAPPING] {
            let mut bytes = sound.as_bytes().to_vec();
            for change in input.chunks_exact(3).take(6) {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
                match change[2] {
                    0..128 => bytes[place] = change[2],
                    128..160 => drop(bytes.remove(place)),
                    // Another byte of the file: digits become digits, brackets brackets.
                    other => bytes[place] = sound.as_bytes()[usize::from(other) * 7 % sound.len()],
                }
            }
            look(&String::from_utf8_lossy(&bytes));
        }
    });
}

#[test]
fn pieces_put_together() {
    fuzz(|input| {
        let text: String = input.iter().map(|byte| PIECES[usize::from(*byte) % PIECES.len()]).collect();
        look(&text);
        // With what opens them closed again, more of them are JSON.
        let mut open = Vec::new();
        for bracket in text.chars() {
            match bracket {
                '{' => open.push('}'),
                '[' => open.push(']'),
                '}' | ']' => drop(open.pop()),
                _ => {}
            }
        }
        look(&text.chars().chain(open.into_iter().rev()).collect::<String>());
    });
}

#[test]
fn files_of_sound_and_wrong_entries() {
    let macs = ["2:0:0:0:0:1", "02:00:00:00:00:01", "2:0:0:0:0:2", "2:0:0:0:0:3", "broadcast", "1:0:0:0:0:0", "ff:ff:ff:ff:ff:ff", "x"];
    let members = [
        "\"ip\":\"10.0.0.1\"",
        "\"ip\":\"fd00::1\"",
        "\"ip\":\"::\"",
        "\"port\":1",
        "\"port\":65536",
        "\"arp\":\"1.2.3.4\"",
        "\"arp\":[\"1.2.3.5\",\"1.2.3.6\"]",
        "\"ndp\":\"fd00::1\"",
        "\"ndp\":[]",
        "\"dhcp-proxy\":\"2:0:0:0:0:9\"",
        "\"replicate\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]",
        "\"later\":{\"a\":[null]}",
    ];
    fuzz(|input| {
        let entry = |bytes: &[u8]| {
            let picked: Vec<&str> = bytes[1..].iter().map(|byte| members[usize::from(*byte) % members.len()]).collect();
            format!("\"{}\":{{{}}}", macs[usize::from(bytes[0]) % macs.len()], picked.join(","))
        };
        let entries: Vec<String> = input.chunks_exact(3).take(4).map(entry).collect();
        look(&format!("{{{}}}", entries.join(",\n")));
    });
}

#[test]
fn texts_of_properties() {
    let kinds = [
        Kind::Uint { min: 1, max: 65_535 },
        Kind::Ip,
        Kind::Choice(Cow::Owned(vec![Cow::Borrowed("strict"), Cow::Borrowed("lenient")])),
        Kind::Text { max: 64 },
        Kind::Prefixes,
    ];
    let specs = kinds.map(|kind| PropertySpec::new("m/p", kind, Access::Live, None, "A property."));
    fuzz(|input| {
        let text = String::from_utf8_lossy(input);
        let narrow: String = text.chars().map(|c| char::from(b"0123456789abcdef:./,"[c as usize % 20])).collect();
        for text in [&*text, &narrow] {
            for spec in &specs {
                match spec.parse(text) {
                    Ok(value) => assert_eq!(spec.parse(&value.to_string()), Ok(value), "{text:?}"),
                    Err(error) => assert!(error.to_string().starts_with("property m/p: ") && !error.to_string().contains(char::is_control)),
                }
            }
            let names = ["vxlan/listen_ip", "vxlan/listen_port", "mtu", text];
            if let Some(name) = nearest(text, names) {
                assert!(names.contains(&name));
            }
            assert!(text.parse::<Mac>().is_err() || text.len() <= 17);
        }
    });
}
