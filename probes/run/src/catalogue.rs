//! Which probes are there to be watched? The catalogue that the daemons are built with, as text for people.

use crate::Refusal;
use overlay_api::nearest;
use overlay_probes::{CATALOGUE, Kind, Probe};
use std::fmt::Write;

/// Widest line.
const COLUMNS: usize = 79;

/// The probes that match, with their arguments.
///
/// # Errors
/// When none does: the nearest name is said.
pub(crate) fn listing(glob: &str) -> Result<String, Refusal> {
    let full = |probe: &Probe| format!("{}:{}", probe.provider, probe.name);
    let found: Vec<&Probe> = CATALOGUE.iter().filter(|probe| matches(glob, &full(probe)) || matches(glob, probe.name)).collect();
    if found.is_empty() {
        let names: Vec<String> = CATALOGUE.iter().map(full).collect();
        let either = names.iter().map(String::as_str).chain(CATALOGUE.iter().map(|probe| probe.name));
        let close = nearest(glob, either).map(|close| format!("; did you mean {close}?"));
        let close = close.unwrap_or_else(|| ";".to_owned());
        return Err(Refusal::Usage(format!("no probe is called {glob:?}{close} --probes lists them all")));
    }
    let mut text = String::new();
    for probe in found {
        let _ = writeln!(text, "{}", full(probe));
        wrap(&mut text, "    ", probe.fires);
        for (number, argument) in probe.arguments.iter().enumerate() {
            let read = if argument.kind == Kind::Text { format!("str(arg{number})") } else { format!("arg{number}") };
            let head = format!("    {read:<9} {:<4} {:<13} ", argument.kind.name(), argument.name);
            wrap(&mut text, &head, argument.meaning);
        }
        text.push('\n');
    }
    text.pop();
    Ok(text)
}

/// Words behind a head; further lines are indented as deep as the head is long.
fn wrap(text: &mut String, head: &str, words: &str) {
    let mut line = head.to_owned();
    let indent = head.chars().count();
    for word in words.split_whitespace() {
        let used = line.chars().count();
        if used + word.chars().count() > COLUMNS && used > indent {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Whether a name matches: `*` is any number of characters, `?` is one.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < name.len() {
        match glob.get(at.0) {
            Some(b'*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => {
                // The last star takes one character more.
                let Some((from, taken)) = star else { return false };
                star = Some((from, taken + 1));
                at = (from + 1, taken + 1);
            }
        }
    }
    glob[at.0..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_probes_are_listed_with_all_arguments_in_narrow_lines() {
        let text = listing("*").unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        for Probe { provider, name, arguments, .. } in CATALOGUE {
            let (_, part) = text.split_once(&format!("{provider}:{name}\n")).unwrap_or_else(|| panic!("{name} is missing"));
            let part = part.split("\n\n").next().unwrap_or_default();
            for argument in *arguments {
                assert!(part.contains(&format!(" {} ", argument.name)), "{name}: {} is not in\n{part}", argument.name);
            }
        }
    }

    #[test]
    fn a_glob_chooses() {
        let names = |glob| listing(glob).unwrap().lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).count();
        assert_eq!(names("drop"), 1);
        assert_eq!(names("overlay:drop"), 1);
        assert_eq!(names("*:control-call"), 2);
        assert_eq!(names("varpd:*"), CATALOGUE.iter().filter(|probe| probe.provider == "varpd").count());
        for (glob, name, expected) in [("a*b*c", "a1b2bc", true), ("a?c", "ac", false), ("", "", true), ("*", "", true), ("a*", "b", false)]
        {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_the_nearest() {
        for (wrong, near) in [("tx-frames", "tx-frame"), ("overlay:dropp", "overlay:drop"), ("lookup_done", "lookup-done")] {
            let refusal = listing(wrong).unwrap_err();
            assert!(matches!(&refusal, Refusal::Usage(text) if text.contains(&format!("did you mean {near}?"))), "{refusal:?}");
        }
        let refusal = listing(&"x".repeat(100_000)).unwrap_err();
        assert!(matches!(&refusal, Refusal::Usage(text) if !text.contains("did you mean")), "{refusal:?}");
    }
}
