//! What has changed between two runs? The first line that is not the same, in words.

use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Bytes of a line at most: an entry of a table with all its destinations has far fewer.
const LINE_MAX: u64 = 1 << 20;

/// Compares two files of lines. `None` if they are the same, else what differs first.
///
/// # Errors
/// A sentence, if one cannot be read.
pub(crate) fn diff(one: &Path, other: &Path) -> Result<Option<String>, String> {
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(|error| format!("{}: {error}", name(path)));
    let (mut left, mut right) = (open(one)?, open(other)?);
    let mut number = 0u64;
    loop {
        number += 1;
        let a = line(&mut left).map_err(|error| format!("{}: line {number}: {error}", name(one)))?;
        let b = line(&mut right).map_err(|error| format!("{}: line {number}: {error}", name(other)))?;
        match (a, b) {
            (None, None) => return Ok(None),
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return Ok(Some(format!("line {number}: {}", compare(&a, &b)))),
            (Some(a), None) => return Ok(Some(format!("line {number}: {}; {} has no more", what(&a), name(other)))),
            (None, Some(b)) => return Ok(Some(format!("line {number}: {} has no more; {}", name(one), what(&b)))),
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    let read = io::Read::take(&mut *from, LINE_MAX).read_line(&mut text)?;
    if read as u64 == LINE_MAX {
        return Err(io::Error::other(format!("longer than {LINE_MAX} bytes: no file that engine writes")));
    }
    Ok((read > 0).then(|| text.trim_end().to_owned()))
}

/// Without control characters: what stands in a file steers no terminal, and a sentence stays a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn name(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// What a line is about: `packet 7`, `counters of ov7`.
fn subject(object: &Map<String, Value>) -> String {
    let text = |key: &str| object.get(key).map(|value| printable(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    let kind = text("kind").unwrap_or_else(|| "object".to_owned());
    match (text("number"), text("vnic"), text("overlay"), text("mac")) {
        (Some(number), ..) if kind != "lookup" => format!("packet {number}"),
        (_, _, Some(overlay), Some(mac)) => format!("{kind} {mac} of {overlay}"),
        (_, Some(vnic), ..) => format!("{kind} of {vnic}"),
        (_, _, Some(overlay), _) => format!("{kind} of {overlay}"),
        _ => kind,
    }
}

fn what(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(object)) => subject(&object),
        _ => printable(line),
    }
}

fn compare(a: &str, b: &str) -> String {
    let (Ok(Value::Object(left)), Ok(Value::Object(right))) = (serde_json::from_str(a), serde_json::from_str(b)) else {
        return format!("{}\nthere: {}", printable(a), printable(b));
    };
    let (one, other) = (subject(&left), subject(&right));
    if one != other {
        return format!("{one} here, {other} there");
    }
    let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let show = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), |value| printable(&value.to_string()));
    let differ = keys.into_iter().filter(|key| left.get(*key) != right.get(*key));
    let words: Vec<_> =
        differ.map(|key| format!("{} {} here, {} there", printable(key), show(left.get(key)), show(right.get(key)))).collect();
    format!("{one}: {}", if words.is_empty() { "the same, written in another way".to_owned() } else { words.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(a: &str, b: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&one, a).unwrap();
        std::fs::write(&other, b).unwrap();
        let root = format!("{}/", folder.path().display());
        diff(&one, &other).unwrap().map(|said| said.replace(&root, ""))
    }

    #[test]
    fn the_first_packet_that_differs_is_named_with_what_differs() {
        let a = "{\"kind\":\"packet\",\"number\":1,\"verdict\":\"deliver\"}\n{\"kind\":\"packet\",\"number\":2,\"verdict\":\"drop\",\"reason\":\"loop\"}\n";
        assert_eq!(said(a, a), None);
        let b = a.replace("\"drop\",\"reason\":\"loop\"", "\"deliver\"");
        assert_eq!(said(a, &b).unwrap(), "line 2: packet 2: reason \"loop\" here, absent there; verdict \"drop\" here, \"deliver\" there");
        assert_eq!(said(a, a.lines().next().unwrap()).unwrap(), "line 2: packet 2; b has no more");
        assert_eq!(said("", a).unwrap(), "line 1: a has no more; packet 1");
        assert_eq!(said(a, "no object\n").unwrap().lines().count(), 2);
    }

    #[test]
    fn counters_and_targets_are_named_by_whose_they_are() {
        let line = |sent: u32| format!("{{\"kind\":\"counters\",\"overlay\":\"ov7\",\"sent\":{sent}}}\n");
        assert_eq!(said(&line(1), &line(2)).unwrap(), "line 1: counters of ov7: sent 1 here, 2 there");
        let target = "{\"kind\":\"target\",\"overlay\":\"ov7\",\"mac\":\"02:00:00:00:00:01\"}\n";
        assert_eq!(said(&line(1), target).unwrap(), "line 1: counters of ov7 here, target 02:00:00:00:00:01 of ov7 there");
        assert!(diff(Path::new("/nowhere/a"), Path::new("/nowhere/b")).unwrap_err().starts_with("/nowhere/a: "));
    }

    #[test]
    fn what_stands_in_a_file_steers_no_terminal() {
        let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\r";
        let json = "{\"kind\":\"packet\",\"number\":\"\u{7f}\",\"a\\n\u{9b}\":\"\u{9b}\",\"v\":1}\n";
        let overlay = "{\"kind\":\"counters\",\"overlay\":\"\\u001b[2J\\n\"}\n";
        for (a, b) in
            [(evil, "x\n"), ("", evil), (json, overlay), (json, &json.replace(":1", ":2")), (overlay, ""), (json, "{\"kind\":1}\n")]
        {
            let said = said(a, b).unwrap();
            assert!(!said.contains(|c: char| c.is_control() && c != '\n') && said.lines().count() <= 2, "{said:?}");
        }
        let sentence = diff(Path::new("/nowhere/\u{1b}[2J"), Path::new("/nowhere/b")).unwrap_err();
        assert!(sentence.starts_with("/nowhere/\\u{1b}[2J: "), "{sentence}");
    }
}
