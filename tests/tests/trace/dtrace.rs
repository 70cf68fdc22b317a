//! Are the scripts legal where they are to run? All are held to the catalogue, those for DTrace to the D that every DTrace has.

use crate::language::{check_arguments, clauses, code_of, probe};
use crate::trace::overlay_trace;
use overlay_tests::{Peer, Run, is_root, name, skip, workspace};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What DTrace for Linux does not have, and what D never had.
const NOT_CORE: [&str; 12] =
    ["json(", "strtoll(", "tracemem(", "if (", "if(", "else", "for (", "while (", "strsize(", "system(", "copyin(", "walltimestamp"];

fn scripts(folder: &str, end: &str) -> Vec<(String, String)> {
    let folder = workspace().join("probes").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == end));
    paths.sort();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("a script"))).collect()
}

#[test]
fn scripts_for_bpftrace_watch_probes_that_there_are_and_read_their_arguments() {
    for (name, script) in scripts("bpftrace", "bt").into_iter().chain(scripts("bpftrace/joined", "bt")) {
        let mut watched = 0;
        for clause in clauses(&name, &code_of(&script)) {
            for spec in &clause.probes {
                match spec.split(':').collect::<Vec<_>>()[..] {
                    ["usdt", "*", provider, known] => check_arguments(&name, probe(&name, provider, known), &clause.code, "str"),
                    ["BEGIN" | "END"] | ["interval", "s", "1"] => continue,
                    _ => panic!("{name}: {spec} is no probe of the suite"),
                }
                watched += 1;
            }
        }
        assert!(watched > 0, "{name} watches nothing");
    }
}

#[test]
fn scripts_for_the_kernel_use_tracepoints_only() {
    let found = scripts("bpftrace/kernel", "bt");
    assert!(found.len() >= 4, "{}", found.len());
    for (name, script) in found {
        for clause in clauses(&name, &code_of(&script)) {
            for spec in &clause.probes {
                let known = ["tracepoint:net:", "tracepoint:skb:", "tracepoint:udp:", "tracepoint:icmp:", "tracepoint:neigh:"];
                let legal = ["BEGIN", "END", "interval:s:1"].contains(&&**spec) || known.iter().any(|start| spec.starts_with(start));
                assert!(legal, "{name}: {spec}");
            }
        }
    }
}

#[test]
fn scripts_for_dtrace_are_core_d_and_ask_what_those_for_bpftrace_ask() {
    let bpftrace = scripts("bpftrace", "bt");
    let dtrace = scripts("dtrace", "d");
    let stems = |scripts: &[(String, String)]| {
        scripts.iter().map(|(name, _)| name.split('.').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(stems(&dtrace), stems(&bpftrace));
    for ((name, script), (_, twin)) in dtrace.iter().zip(&bpftrace) {
        let code = code_of(script);
        for word in NOT_CORE {
            assert!(!code.contains(word), "{name}: `{word}` is not in every DTrace");
        }
        let defaults = script.lines().any(|line| line == "#pragma D option defaultargs");
        assert!(defaults, "{name}: without defaultargs, an argument that is left out is an error");
        let mut watched = BTreeSet::new();
        for clause in clauses(name, &code) {
            for spec in &clause.probes {
                let Some((provider, known)) = spec.split_once(":::") else { panic!("{name}: {spec} is no PROVIDER:::PROBE") };
                match provider {
                    "dtrace" => assert!(["BEGIN", "END"].contains(&known), "{name}: {spec}"),
                    "profile" => assert_eq!(known, "tick-1s", "{name}"),
                    _ => {
                        // The process id is the watched one, or the first and second argument.
                        let plain = provider.trim_end_matches("$target").trim_end_matches("$1").trim_end_matches("$2");
                        assert!(plain != provider, "{name}: {spec} has no process id");
                        assert!(!known.contains(['*', '?']), "{name}: {spec}: parts of names are no names on Linux");
                        check_arguments(name, probe(name, plain, known), &clause.code, "copyinstr");
                        watched.insert((plain.to_owned(), known.to_owned()));
                    }
                }
            }
            one_function_each(name, &clause.code);
        }
        let joined = workspace().join("probes/bpftrace/joined").join(name.replace(".d", ".bt"));
        let twin = code_of(twin) + &code_of(&std::fs::read_to_string(joined).unwrap_or_default());
        let twins = clauses(name, &twin).into_iter().flat_map(|clause| clause.probes);
        let twins: BTreeSet<(String, String)> = twins
            .filter_map(|spec| {
                let mut words = spec.strip_prefix("usdt:*:")?.split(':').map(str::to_owned);
                Some((words.next()?, words.next()?))
            })
            .collect();
        assert_eq!(watched, twins, "{name}");
    }
}

/// An aggregation has one function everywhere, or no DTrace takes it; so it is checked over all clauses of a script by its first one.
fn one_function_each(name: &str, code: &str) {
    for (at, _) in code.match_indices("] = ").filter(|(at, _)| code[..*at].rfind('@') > code[..*at].rfind(';')) {
        let function = code[at + 4..].split('(').next().unwrap_or_default();
        let known = ["count", "sum", "max", "quantize", "lquantize"];
        assert!(known.contains(&function), "{name}: {function} is no aggregating function that is used here");
    }
}

#[test]
fn what_is_listed_is_what_there_is() {
    let listed = overlay_trace(["--list"]).end().good();
    let listed: BTreeSet<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let stem = |(name, _): (String, String)| name.trim_end_matches(".bt").to_owned();
    let of_the_stack = scripts("bpftrace", "bt").into_iter().map(stem);
    let files: BTreeSet<String> =
        of_the_stack.chain(scripts("bpftrace/kernel", "bt").into_iter().map(|script| format!("kernel-{}", stem(script)))).collect();
    assert_eq!(listed, files.iter().map(String::as_str).collect());
    assert!(files.len() >= 18, "{}", files.len());
    let readme = std::fs::read_to_string(workspace().join("probes/README.md")).expect("a README");
    let rows: BTreeSet<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| [")?.split_once("?](#")?.1.split(')').next()).collect();
    assert_eq!(rows, listed);
    for name in &listed {
        let shown = overlay_trace(["--show", name]).end().good();
        let file = name.strip_prefix("kernel-").map_or_else(|| format!("{name}.bt"), |name| format!("kernel/{name}.bt"));
        assert!(shown.starts_with(&std::fs::read_to_string(workspace().join("probes/bpftrace").join(file)).expect("a script")), "{name}");
    }
}

#[test]
fn every_page_is_sound() {
    let Some(groff) = Peer::find("trace::every_page_is_sound", "groff") else { return };
    let listed = overlay_trace(["--list"]).end().good();
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let page = overlay_trace(["--generate", "man", "--of", name]).end().good();
        let checked = groff.run(Path::new("/"), ["-man", "-Tutf8", "-ww", "-z"]).stdin(page).end();
        assert!(checked.code == 0 && checked.stderr.is_empty(), "{name}: {}", checked.stderr);
    }
}

#[test]
fn a_real_dtrace_takes_every_script() {
    let test = "trace::a_real_dtrace_takes_every_script";
    if !is_root() {
        return skip(test, "not root");
    }
    let Some(dtrace) = Peer::find(test, "dtrace") else { return };
    let said = dtrace.says(Path::new("/"), ["-V"]);
    if !(said.starts_with("dtrace: ") && said.contains(" D ")) {
        return skip(test, "dtrace is not DTrace (SystemTap's makes headers)");
    }
    for (name, script) in scripts("dtrace", "d") {
        // -e: compiled and not run. A process that is not there has no probes, which -Z allows.
        let arguments = if script.contains("$target") { vec!["-p", "1"] } else { vec!["1", "1"] };
        let file = workspace().join("probes/dtrace").join(&name).display().to_string();
        let ended = Run::new("dtrace").args(["-Z", "-e", "-s", &file]).args(arguments).end();
        assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
    }
}
