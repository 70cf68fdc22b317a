//! What do scripts say that has to be true of the catalogue? Clauses of bpftrace and of D, read just far enough to see their probes and arguments.

use overlay_probes::{CATALOGUE, Kind, Probe};

/// A clause: its probes, and its predicate and body as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Clause {
    /// As written.
    pub(crate) probes: Vec<String>,
    /// Predicate and body.
    pub(crate) code: String,
}

/// A script without comments and with empty strings: what is left is code.
pub(crate) fn code_of(script: &str) -> String {
    let mut code = String::new();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else if rest.starts_with("#!") || rest.starts_with("//") {
            rest.find('\n')
        } else if first == '"' {
            code.push_str("\"\"");
            let mut escaped = true;
            let end = rest.char_indices().find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.map(|(end, _)| end + 1)
        } else {
            code.push(first);
            Some(first.len_utf8())
        };
        rest = &rest[skipped.unwrap_or(rest.len())..];
    }
    code
}

/// The clauses of a script.
///
/// # Panics
/// When braces or parentheses do not pair.
pub(crate) fn clauses(name: &str, code: &str) -> Vec<Clause> {
    let mut found = Vec::new();
    let (mut head, mut body, mut open) = (String::new(), String::new(), Vec::new());
    for letter in code.lines().filter(|line| !line.starts_with("#pragma")).flat_map(|line| line.chars().chain(['\n'])) {
        match letter {
            '{' | '(' | '[' => open.push(letter),
            '}' | ')' | ']' => {
                let pair = open.pop();
                assert!(
                    matches!((pair, letter), (Some('{'), '}') | (Some('('), ')') | (Some('['), ']')),
                    "{name}: `{letter}` closes {pair:?} in {head}{body}"
                );
            }
            _ => {}
        }
        let inside = open.contains(&'{') || letter == '}';
        if inside {
            body.push(letter);
        } else {
            head.push(letter);
        }
        if letter == '}' && open.is_empty() {
            let (probes, predicate) = head.split_once("\n/").map_or((&*head, ""), |(probes, predicate)| (probes, predicate));
            let probes = probes.split(',').map(|probe| probe.trim().to_owned()).collect();
            found.push(Clause { probes, code: format!("{predicate}{body}") });
            (head, body) = (String::new(), String::new());
        }
    }
    assert!(open.is_empty() && head.trim().is_empty(), "{name}: `{}` is open at its end", head.trim());
    found
}

/// The probe of that provider and name.
///
/// # Panics
/// When the catalogue has none.
pub(crate) fn probe(name: &str, provider: &str, probe: &str) -> &'static Probe {
    let found = CATALOGUE.iter().find(|known| known.provider == provider && known.name == probe);
    found.unwrap_or_else(|| panic!("{name}: the catalogue has no {provider}:{probe}"))
}

/// Holds the arguments in a clause to its probe: there are so many, and texts are read as texts, integers never. `read` is `str` or `copyinstr`.
pub(crate) fn check_arguments(name: &str, probe: &Probe, code: &str, read: &str) {
    for (at, _) in code.match_indices("arg") {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let after = &code[at + 3..];
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if before.is_alphanumeric() || before == '_' || digits == 0 {
            continue;
        }
        let number: usize = after[..digits].parse().expect("digits");
        let argument = probe.arguments.get(number).unwrap_or_else(|| panic!("{name}: {} has no arg{number}", probe.name));
        let as_text = code[..at].ends_with(&format!("{read}(")) && after[digits..].starts_with(')');
        assert_eq!(
            as_text,
            argument.kind == Kind::Text,
            "{name}: {}: arg{number} ({}) is a {}",
            probe.name,
            argument.name,
            argument.kind.name()
        );
    }
}

#[test]
fn code_is_what_is_left_without_words() {
    assert_eq!(code_of("#!x\n/* { */a \"{\\\"\" // }\n{ b }"), "\na \"\" \n{ b }");
    let found = clauses("x", "a:b,\nc:d\n/e[1] || f(2)/\n{\n\tif (1) { g; }\n}\nEND { h }\n");
    let code = "e[1] || f(2)/\n{\n\tif (1) { g; }\n}".to_owned();
    assert_eq!(found[0], Clause { probes: vec!["a:b".into(), "c:d".into()], code });
    assert_eq!(found[1].probes, ["END"]);
}

#[test]
fn an_argument_of_the_wrong_kind_is_noticed() {
    let drop = probe("x", "overlay", "drop");
    check_arguments("x", drop, "@[arg1, str(arg4), str(arg5)] = sum(arg3);", "str");
    for wrong in ["@[arg4] = count();", "str(arg1)", "arg6", "f(arg5)"] {
        let wrong = std::panic::catch_unwind(|| check_arguments("x", drop, wrong, "str"));
        assert!(wrong.is_err());
    }
}
