//! Do the probes of a built program arrive at a tracer as they were fired, and does nobody pay who does not look?
//!
//! ```text
//!  this test ── "1" ──► examples/fire ── prints what it fires, and how many texts it made ──► compared
//!                            ▲ -p                                                                ▲
//!                         bpftrace ── prints what arrived ───────────────────────────────────────┘
//! ```
//!
//! Programs and arguments for bpftrace are made from the catalogue, so that a new probe is tested when it is declared.
#![forbid(unsafe_code)]

use overlay_probes::{CATALOGUE, Kind, Probe};
use overlay_tests::{Ended, Peer, Run, Running, difference, is_root, program, skip};
use std::path::Path;

/// At how many places in the program each probe is fired.
const SITES: usize = 2;

/// The tracer, where it can be used.
fn bpftrace(test: &str) -> Option<Peer> {
    let test = format!("probes::{test}");
    if !is_root() {
        skip(&test, "not root");
        return None;
    }
    Peer::find(&test, "bpftrace")
}

/// The program that fires, on one core, ready to be told how often.
fn fire() -> Running {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a process may run somewhere").trim();
    let core = cores.split([',', '-']).next().expect("a split gives something");
    let mut fire = Run::new("taskset").args(["--cpu-list", core, path(&program("examples/fire"))]).start();
    fire.wait_for("its start", |printed| printed == "ready\n");
    fire
}

/// Has every probe fired once at each place; what was fired, and how many texts were made for watchers.
fn fire_once(fire: &mut Running) -> (Vec<String>, usize) {
    let so_far = fire.wait_for("anything", |printed| !printed.is_empty()).len();
    fire.write(b"1\n");
    let done =
        |printed: &str| printed.ends_with('\n') && printed[so_far..].lines().next_back().is_some_and(|line| line.starts_with("displayed "));
    let printed = fire.wait_for("the firings", done);
    let mut lines: Vec<String> = printed[so_far..].lines().map(str::to_owned).collect();
    let displayed = lines.pop().and_then(|line| line.strip_prefix("displayed ")?.parse().ok()).expect("the last line is the number");
    (lines, displayed)
}

/// A bpftrace that has attached to the process.
fn watch(bpftrace: &Peer, watched: &Running, script: &str) -> Running {
    let begin = format!("BEGIN {{ printf(\"watching\\n\"); }}\n{script}");
    // It says "Attaching" before it has; BEGIN runs after. Attaching to all sites takes it seconds.
    let mut running = bpftrace.run(Path::new("/"), ["-B", "line", "-p", &watched.id().to_string(), "-e", &begin]).start();
    running.wait_for("bpftrace to attach", |printed| printed.contains("watching\n"));
    running
}

/// What a bpftrace printed behind the line of BEGIN until it ended, without empty lines.
fn shown(running: Running) -> Vec<String> {
    let Ended { code, stdout, stderr } = running.end();
    // What it says on standard error here is harmless (RLIMIT_MEMLOCK, a tracefs that is not mounted).
    assert_eq!(code, 0, "{stderr}");
    let (_, arrived) = stdout.split_once("watching\n").expect("it was watching");
    arrived.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The probe that is fired last, and whose first argument is the place.
fn last() -> &'static Probe {
    CATALOGUE.last().expect("there are probes")
}

/// The clause of the last probe, so that bpftrace ends with the last firing.
///
/// Not by SIGINT: bpftrace 0.17 throws away then what it has not printed, and misses a signal that comes while it prints. All firings come
/// from one core, so the end stands behind them in the same buffer.
fn ending(clause: &str) -> String {
    let open = clause.trim_end().strip_suffix('}').expect("a clause ends with a brace");
    format!("{open} if (arg0 == {SITES}) {{ exit(); }} }}\n")
}

/// A clause that prints a probe as the firing program does, texts in quotes and integers by their size, and counts it.
fn printing(Probe { provider, name, arguments, .. }: &Probe) -> String {
    let formats = arguments.iter().map(|argument| match argument.kind {
        Kind::Text => " \\\"%s\\\"",
        Kind::U64 => " %lu",
        Kind::U8 | Kind::U16 | Kind::U32 => " %u",
    });
    let values = arguments.iter().enumerate().map(|(number, argument)| match argument.kind {
        Kind::Text => format!(", str(arg{number})"),
        _ => format!(", arg{number}"),
    });
    let (formats, values) = (formats.collect::<String>(), values.collect::<String>());
    format!("usdt:*:{provider}:{name} {{ printf(\"{name}{formats}\\n\"{values}); @fired[\"{provider}:{name}\"] = count(); }}\n")
}

fn texts(probes: &[Probe]) -> usize {
    probes.iter().flat_map(|probe| probe.arguments).filter(|argument| argument.kind == Kind::Text).count()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

#[test]
fn every_probe_arrives_once_from_each_place_with_its_arguments() {
    let Some(bpftrace) = bpftrace("every_probe_arrives_once_from_each_place_with_its_arguments") else { return };
    let mut fire = fire();
    assert_eq!(fire_once(&mut fire).1, 0, "texts were made before anybody watched");

    let (_, others) = CATALOGUE.split_last().expect("there are probes");
    let script = others.iter().map(printing).collect::<String>() + &ending(&printing(last()));
    let watching = watch(&bpftrace, &fire, &script);
    let (fired, displayed) = fire_once(&mut fire);
    let (counts, arrived): (Vec<String>, Vec<String>) = shown(watching).into_iter().partition(|line| line.starts_with('@'));

    assert_eq!(fired.len(), CATALOGUE.len() * SITES);
    assert_eq!(displayed, texts(CATALOGUE) * SITES, "each text is made once for each firing");
    for edge in [" 18446744073709551615", " 4294967295", " 255 ", " \"\"", " \"[::1]:1\""] {
        assert!(fired.iter().any(|firing| firing.contains(edge)), "no firing has{edge}");
    }
    assert_eq!(difference(&fired.join("\n"), &arrived.join("\n")), None);
    assert_eq!(
        sorted(counts),
        sorted(CATALOGUE.iter().map(|probe| format!("@fired[{}:{}]: {SITES}", probe.provider, probe.name)).collect())
    );

    assert_eq!(fire_once(&mut fire).1, 0, "texts are still made after the watcher has gone");
    assert_eq!(fire.end().code, 0);
}

#[test]
fn one_watched_probe_leaves_the_others_alone() {
    let Some(bpftrace) = bpftrace("one_watched_probe_leaves_the_others_alone") else { return };
    let mut fire = fire();
    let watching = watch(&bpftrace, &fire, &ending(&printing(last())));
    let (fired, displayed) = fire_once(&mut fire);
    assert_eq!(displayed, texts(&[*last()]) * SITES);
    // The other provider has a probe of the same name.
    let mut expected: Vec<String> = fired.chunks(CATALOGUE.len()).filter_map(|place| place.last().cloned()).collect();
    assert!(expected.iter().all(|firing| firing.starts_with(&format!("{} ", last().name))), "{expected:?}");
    expected.push(format!("@fired[{}:{}]: {SITES}", last().provider, last().name));
    assert_eq!(shown(watching), expected);
}

#[test]
fn the_examples_of_the_reference_run_and_show_something() {
    let Some(bpftrace) = bpftrace("the_examples_of_the_reference_run_and_show_something") else { return };
    let mut fire = fire();
    // All at once, each with maps and lines of its own.
    let own = |number: usize| format!("p{number}_");
    let mut script: Vec<String> = CATALOGUE
        .iter()
        .enumerate()
        .map(|(number, probe)| {
            let named = probe.example.replace('@', &format!("@{}", own(number)));
            named.replacen("printf(\"", &format!("printf(\"{} ", own(number)), 1)
        })
        .collect();
    let end = script.pop().map(|clause| ending(&clause)).expect("there are probes");
    let watching = watch(&bpftrace, &fire, &(script.join("\n") + "\n" + &end));
    fire_once(&mut fire);
    let shown = shown(watching).join("\n");
    for (number, Probe { name, example, .. }) in CATALOGUE.iter().enumerate() {
        assert!(shown.contains(&own(number)), "{name}: {example} shows nothing in\n{shown}");
    }
}

/// The probes that a program's file announces: provider, name, sizes of the arguments as `8@`, in the order of the file.
fn notes(readelf: &Peer, program: &Path) -> Vec<(String, String, Vec<String>)> {
    let listing = readelf.run(Path::new("/"), ["--notes", path(program)]).end();
    assert_eq!(listing.code, 0, "{}", listing.stderr);
    let after = |line: &str, word: &str| line.trim_start().strip_prefix(word).map(|rest| rest.trim().to_owned());
    let mut found: Vec<(String, String, Vec<String>)> = Vec::new();
    for line in listing.stdout.lines() {
        if let Some(provider) = after(line, "Provider:") {
            found.push((provider, String::new(), Vec::new()));
        } else if let (Some(note), Some(name)) = (found.last_mut(), after(line, "Name:")) {
            note.1 = name;
        } else if let (Some(note), Some(arguments)) = (found.last_mut(), after(line, "Arguments:")) {
            let size = |argument: &str| argument.split('@').next().unwrap_or_default().to_owned();
            note.2 = arguments.split_whitespace().map(size).collect();
        }
    }
    // The standard library may bring probes of its own.
    found.retain(|(provider, ..)| CATALOGUE.iter().any(|probe| probe.provider == provider));
    found
}

#[test]
fn the_notes_in_a_program_are_the_catalogue() {
    let Some(readelf) = Peer::find("probes::the_notes_in_a_program_are_the_catalogue", "readelf") else { return };
    // Signed sizes would have a minus. Every place has a note of its own.
    let expected = CATALOGUE.iter().flat_map(|Probe { provider, name, arguments, .. }| {
        let sizes = arguments.iter().map(|argument| argument.kind.size().to_string()).collect();
        std::iter::repeat_n(((*provider).to_owned(), (*name).to_owned(), sizes), SITES)
    });
    assert_eq!(sorted(notes(&readelf, &program("examples/fire"))), sorted(expected.collect()));
}

#[test]
fn nothing_is_left_of_the_probes_when_they_are_off() {
    let Some(readelf) = Peer::find("probes::nothing_is_left_of_the_probes_when_they_are_off", "readelf") else { return };
    let off = program("examples/fire_off");
    assert_eq!(notes(&readelf, &off), []);
    assert_ne!(notes(&readelf, &program("examples/fire")), [], "readelf's listing is not understood");
    let printed = Run::new(off).stdin("1\n").end().good();
    assert!(printed.ends_with("displayed 0\n"), "{printed}");
}
