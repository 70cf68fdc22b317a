//! How does one bpftrace watch two daemons? Its `-p` takes one process, so each probe is given the daemon's file and a condition. And how does
//! it watch one that was built without some of the probes? Their clauses are left out, or bpftrace would refuse the whole script.

use crate::daemons::Found;
use std::collections::BTreeSet;

/// The script without the clauses whose probes `has` denies, and the names of those probes.
pub(crate) fn without(script: &str, has: impl Fn(&str, &str) -> bool) -> (String, BTreeSet<String>) {
    let mut kept = String::with_capacity(script.len());
    let (mut missing, mut left_out) = (BTreeSet::new(), false);
    for piece in pieces(script) {
        match piece {
            Piece::Between(text) => kept.push_str(text),
            Piece::Body(body) => {
                if !left_out {
                    kept.push_str(body);
                }
                left_out = false;
            }
            Piece::Head(head) => {
                let (probes, _) = split_predicate(head);
                let names = probes.split("usdt:*:").skip(1).filter_map(|probe| {
                    let (provider, name) = probe.split_once(':')?;
                    Some((provider, name.split(|c: char| c == ',' || c.is_whitespace()).next()?))
                });
                let absent: Vec<String> =
                    names.filter(|(provider, name)| !has(provider, name)).map(|(provider, name)| format!("{provider}:{name}")).collect();
                left_out = !absent.is_empty();
                missing.extend(absent);
                if !left_out {
                    kept.push_str(head);
                }
            }
        }
    }
    (kept, missing)
}

/// The script with every `usdt:*:PROVIDER:` of the daemons given as the file of their process, and only that process.
///
/// ```text
/// usdt:*:varpd:answer              usdt:/proc/23/exe:varpd:answer
/// /@begun[arg0]/            ──►    /pid == 23 && (@begun[arg0])/
/// ```
///
/// `conditions` says whether process ids mean the same to the kernel and to us; without them, other processes of the same file are watched
/// too. Probes of a daemon that does not run are left out with their clauses, because no file could be named.
pub(crate) fn join(script: &str, daemons: &[Found], conditions: bool) -> Result<String, String> {
    let mut joined = String::with_capacity(script.len() * 2);
    let mut left_out = false;
    for piece in pieces(script) {
        let head = match piece {
            Piece::Head(head) => head,
            Piece::Body(body) => {
                if !left_out {
                    joined.push_str(body);
                }
                left_out = false;
                continue;
            }
            Piece::Between(text) => {
                joined.push_str(text);
                continue;
            }
        };
        if !head.contains("usdt:*:") {
            joined.push_str(head);
            continue;
        }
        let (probes, predicate) = split_predicate(head);
        let providers: Vec<&str> = probes.split("usdt:*:").skip(1).filter_map(|probe| probe.split(':').next()).collect();
        let provider = providers[0];
        if providers.iter().any(|other| *other != provider) {
            return Err(format!(
                "one clause watches probes of {}; both daemons are watched with a clause for each",
                providers.join(" and ")
            ));
        }
        let Some(found) = daemons.iter().find(|found| found.daemon.provider() == provider) else {
            left_out = true;
            continue;
        };
        joined.push_str(&probes.replace("usdt:*:", &format!("usdt:/proc/{}/exe:", found.pid)));
        match (predicate, conditions) {
            (Some(predicate), true) => joined.push_str(&format!("/pid == {} && ({predicate})/\n", found.pid)),
            (None, true) => joined.push_str(&format!("\n/pid == {}/\n", found.pid)),
            (Some(predicate), false) => joined.push_str(&format!("/{predicate}/\n")),
            (None, false) => {}
        }
    }
    Ok(joined)
}

/// The clause that ends the script with the process that started it, however that ends.
pub(crate) fn ends_with(pid: u32) -> String {
    format!("\ntracepoint:sched:sched_process_exit /pid == {pid} && tid == {pid}/ {{ exit(); }}\n")
}

/// Whether process ids are the same for the kernel and for us: its first namespace of processes has this fixed number
/// (`PROC_PID_INIT_INO` of linux/proc_ns.h).
pub(crate) fn pids_are_the_kernels() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

/// Parts of a script, in order; together they are the script.
enum Piece<'a> {
    /// Comments before a clause.
    Between(&'a str),
    /// The probes of a clause, and its predicate.
    Head(&'a str),
    /// Braces and what is in them.
    Body(&'a str),
}

fn pieces(script: &str) -> Vec<Piece<'_>> {
    let bytes = script.as_bytes();
    let mut pieces = Vec::new();
    let (mut at, mut start, mut depth) = (0, 0, 0_usize);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"/*") || rest.starts_with(b"//") && depth > 0 || rest.starts_with(b"#!") {
            let close: &[u8] = if rest[0] == b'/' && rest[1] == b'*' { b"*/" } else { b"\n" };
            let end =
                rest[2..].windows(close.len()).position(|window| window == close).map_or(bytes.len(), |found| at + 2 + found + close.len());
            if depth == 0 && script[start..at].trim().is_empty() {
                pieces.push(Piece::Between(&script[start..end]));
                start = end;
            }
            at = end;
            continue;
        }
        match rest[0] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => {
                if depth == 0 {
                    pieces.push(Piece::Head(&script[start..at]));
                    start = at;
                }
                depth += 1;
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    pieces.push(Piece::Body(&script[start..=at]));
                    start = at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(Piece::Between(script.get(start..).unwrap_or_default()));
    pieces
}

/// The probes of a head with the white space around them, and what stands between the slashes behind them.
fn split_predicate(head: &str) -> (&str, Option<&str>) {
    let trimmed = head.trim_end();
    let Some(inner) = trimmed.strip_suffix('/') else { return (head, None) };
    // Our probes have no slash: their path is a star.
    inner.split_once('/').map_or((head, None), |(probes, predicate)| (probes, Some(predicate)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Questions;

    fn both() -> Vec<Found> {
        crate::daemons::test_pair(17, 23)
    }

    #[test]
    fn each_clause_gets_the_file_and_the_condition_of_its_daemon() {
        let script = "/* {usdt:*:x} */\nBEGIN { printf(\"}\"); }\nusdt:*:overlay:drop,\nusdt:*:overlay:local { @ = count(); }\nusdt:*:varpd:answer\n/@b[arg0] || 1/\n{\n\tif (1) { @x = 1; }\n}\n";
        let expected = "/* {usdt:*:x} */\nBEGIN { printf(\"}\"); }\nusdt:/proc/17/exe:overlay:drop,\nusdt:/proc/17/exe:overlay:local \n/pid == 17/\n{ @ = count(); }\nusdt:/proc/23/exe:varpd:answer\n/pid == 23 && (@b[arg0] || 1)/\n{\n\tif (1) { @x = 1; }\n}\n";
        assert_eq!(join(script, &both(), true).unwrap(), expected);
        let without = join(script, &both(), false).unwrap();
        assert!(!without.contains("pid ==") && without.contains("answer\n/@b[arg0] || 1/\n{"), "{without}");
    }

    #[test]
    fn clauses_of_a_daemon_that_does_not_run_are_left_out() {
        let script = "usdt:*:overlay:drop { @d = count(); }\nusdt:*:varpd:answer { @a = count(); }\nEND { clear(@d); }\n";
        let joined = join(script, &both()[..1], true).unwrap();
        assert_eq!(joined, "usdt:/proc/17/exe:overlay:drop \n/pid == 17/\n{ @d = count(); }\nEND { clear(@d); }\n");
    }

    #[test]
    fn clauses_of_probes_that_were_not_built_in_are_left_out() {
        let script =
            "/* x */\nBEGIN { a }\nusdt:*:overlay:drop\n/1/\n{ @d = count(); }\nusdt:*:varpd:new { @n[str(arg2)] = count(); }\nEND { b }\n";
        let (kept, missing) = without(script, |provider, name| (provider, name) != ("varpd", "new"));
        assert_eq!(kept, "/* x */\nBEGIN { a }\nusdt:*:overlay:drop\n/1/\n{ @d = count(); }\nEND { b }\n");
        assert_eq!(missing, ["varpd:new".to_owned()].into());
        assert_eq!(without(script, |_, _| true), (script.to_owned(), BTreeSet::new()));
    }

    #[test]
    fn a_clause_of_both_daemons_is_refused() {
        let error = join("usdt:*:overlay:a,usdt:*:varpd:b { }", &both(), true).unwrap_err();
        assert!(error.contains("overlay and varpd"), "{error}");
    }

    #[test]
    fn every_script_of_two_daemons_can_be_joined() {
        for question in Questions::of(None).all().unwrap() {
            let joined = join(&question.script, &both(), true).unwrap();
            let code = joined.split_once("*/").unwrap().1;
            assert!(!code.contains("usdt:*:"), "{}: {joined}", question.name);
            let clauses = question.script.split_once("*/").unwrap().1.matches("usdt:*:").count();
            assert_eq!(joined.matches("/pid == ").count(), clauses, "{}", question.name);
        }
    }

    #[test]
    fn no_text_is_too_broken_to_be_cut_into_pieces() {
        for text in ["", "{", "}", "}}{", "\"", "\"\\", "/*", "//", "#!", "usdt:*:", "usdt:*:{", "a /b/ {", "{ // }", "/**/ /x/ {}"] {
            let _ = join(text, &both(), true);
            let whole: String = pieces(text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Between(text) | Piece::Head(text) | Piece::Body(text) => text,
                })
                .collect();
            assert_eq!(whole, text);
        }
    }
}
