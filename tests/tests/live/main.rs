//! Does a live capture show what passes, and end well? Needs root, for the labs that it captures in.
//!
//! ```text
//!  h1v77t1 t0 ── vx77 ─┐                              ┌─ vx77 ── t0 h2v77t1     captured on: ul0, vx77 or any of h1
//!                      ul0 10.88.0.1 ── 10.88.0.2 ul0
//!  h1v78t1 t0 ── vx78 ─┘                              └─ vx78 ── t0 h2v78t1     equal addresses in 77 and 78
//! ```
#![forbid(unsafe_code)]

mod comings;
mod encapsulations;
mod endings;
mod errors;
mod files;
mod prefilter;
mod rights;
mod tunnels;

use overlay_lab::{Lab, Namespace, Node, Overlay, Ping};
use overlay_tests::{Ended, Run, Running, is_root, program, skip};
use std::path::Path;
use std::time::Duration;

/// The two networks of most labs.
const VNIS: [u32; 2] = [77, 78];

/// Whether the test can run; if not, it is said and counted.
fn can_run(test: &str) -> bool {
    let root = is_root();
    if !root {
        skip(&format!("live::{test}"), "not root");
    }
    root
}

/// Two hosts, and VNI 77 and 78 with equal tenants.
fn lab(name: &str) -> Lab {
    VNIS.into_iter().fold(Lab::builder(name), |lab, vni| lab.overlay(Overlay::vxlan(vni))).build().expect("a lab comes up")
}

/// overlay-snoop in a namespace, not started yet.
fn snoop_in<S: AsRef<str>>(namespace: &Namespace, arguments: impl IntoIterator<Item = S>) -> Run {
    let enter = ["--net".to_owned() + "=" + &namespace.path().display().to_string(), "--".into(), path(&program("overlay-snoop"))];
    let arguments: Vec<String> = arguments.into_iter().map(|one| one.as_ref().into()).collect();
    // A small ring, unless told otherwise: many of these run at a time.
    let ring: &[&str] = if arguments.iter().any(|argument| argument == "-B") { &[] } else { &["-B", "8192"] };
    Run::new("nsenter").args(enter).args(ring).args(arguments).env("TZ", "UTC").env("NO_COLOR", "1")
}

/// overlay-snoop in a namespace, listening.
fn listen<S: AsRef<str>>(namespace: &Namespace, arguments: impl IntoIterator<Item = S>) -> Running {
    listening(snoop_in(namespace, arguments))
}

/// The program once it listens.
fn listening(run: Run) -> Running {
    let mut running = run.start();
    running.wait_for_message("its interfaces", |said| said.contains("listening on"));
    running
}

/// Interrupts a capture; what came of it, which must be good.
fn stop(running: Running) -> Ended {
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

/// The number before a word of the closing line: `6 matched, 10 captured, 0 dropped by the kernel, ..`.
fn counted(ended: &Ended, word: &str) -> u64 {
    let line = ended.stderr.lines().rfind(|line| line.contains(" matched, ")).unwrap_or_else(|| panic!("no counts in {}", ended.stderr));
    let part = line.trim_start_matches("overlay-snoop: ").split(", ").find(|part| part.ends_with(word));
    part.and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {word} in {line}"))
}

/// Echo requests from one tenant to its peer; each is two packets on the way.
fn ping(lab: &Lab, vni: u32, count: u32) {
    let report = lab.tenant(1, vni, 1).ping_with(lab.tenant(2, vni, 1).ipv4().into(), &Ping { count, ..Ping::default() });
    assert!(report.expect("ping runs").all_answered(), "{}", lab.describe());
}

/// An Ethernet frame from a tenant to all: `rest` from the EtherType on, filled up to 60 bytes.
fn frame(from: &Node, rest: &[u8]) -> Vec<u8> {
    let source = from.mac().split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a MAC is hex"));
    let mut frame: Vec<u8> = [0xff; 6].into_iter().chain(source).chain(rest.iter().copied()).collect();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn path(path: &Path) -> String {
    path.to_str().expect("paths of tests are UTF-8").to_owned()
}

/// Reads a capture with overlay-snoop.
fn read<S: AsRef<str>>(file: &Path, arguments: impl IntoIterator<Item = S>) -> Ended {
    let arguments: Vec<String> = arguments.into_iter().map(|one| one.as_ref().into()).collect();
    overlay_tests::snoop(["-r".to_owned(), path(file)]).args(arguments).end()
}

/// Far less than a capture that hangs would take, and far more than an end needs on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);
