//! Are the probes of the real daemons all there, also in what is installed, and do they cost nothing while nobody watches?

use crate::stack::Stack;
use crate::watch::{Watch, bpftrace, probes_of};
use overlay_lab::UdpLoad;
use overlay_probes::{CATALOGUE, Kind};
use overlay_tests::{Ended, Peer, program, skip};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The probes that a program announces: provider, name and sizes of the arguments.
fn notes(readelf: &Peer, program: &Path) -> BTreeSet<(String, String, Vec<String>)> {
    let listing = readelf.run(Path::new("/"), ["--notes", program.to_str().expect("paths of tests are UTF-8")]).end();
    assert_eq!(listing.code, 0, "{}", listing.stderr);
    let (mut found, mut provider, mut name) = (BTreeSet::new(), String::new(), String::new());
    for line in listing.stdout.lines() {
        match line.trim().split_once(": ") {
            Some(("Provider", word)) => provider = word.to_owned(),
            Some(("Name", word)) => name = word.to_owned(),
            Some(("Arguments", words)) => {
                let sizes = words.split_whitespace().map(|word| word.split('@').next().unwrap_or_default().to_owned()).collect();
                found.insert((std::mem::take(&mut provider), std::mem::take(&mut name), sizes));
            }
            _ => {}
        }
    }
    found.retain(|(provider, ..)| CATALOGUE.iter().any(|probe| probe.provider == provider));
    found
}

#[test]
fn the_daemons_announce_the_catalogue_also_when_they_are_stripped() {
    let test = "trace::the_daemons_announce_the_catalogue_also_when_they_are_stripped";
    let (Some(readelf), Some(strip)) = (Peer::find(test, "readelf"), Peer::find(test, "strip")) else { return };
    let documented: BTreeSet<_> = ["overlay", "varpd"]
        .into_iter()
        .flat_map(probes_of)
        .map(|probe| {
            let sizes: Vec<String> = probe.arguments.iter().map(|argument| argument.kind.size().to_string()).collect();
            (probe.provider.to_owned(), probe.name.to_owned(), sizes)
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let stripped = |daemon: &str| -> PathBuf {
        let to = folder.path().join(daemon);
        let words = ["--strip-all", "-o", to.to_str().expect("UTF-8"), program(daemon).to_str().expect("UTF-8")].map(str::to_owned);
        let Ended { code, stderr, .. } = strip.run(Path::new("/"), words).end();
        assert_eq!(code, 0, "{stderr}");
        to
    };
    for programs in [["overlayd", "varpd"].map(program), ["overlayd", "varpd"].map(stripped)] {
        // A set: each place has a note, and dead code leaves one, too.
        let found: BTreeSet<_> = programs.iter().flat_map(|program| notes(&readelf, program)).collect();
        let (missing, more): (Vec<_>, Vec<_>) = (documented.difference(&found).collect(), found.difference(&documented).collect());
        assert!(missing.is_empty() && more.is_empty(), "{programs:?}: documented only {missing:?}, announced only {more:?}");
    }
}

/// How often the daemon has made a text for a probe while something happened: bpftrace counts the calls of the function that does.
fn texts_made(bpftrace: &Peer, program: &Path, process: u32, meanwhile: impl FnOnce()) -> u64 {
    // All that are made of the one function, by their mangled names.
    let script = format!(
        "uprobe:{}:*overlay_probes*provider*text* {{ @texts = count(); }} interval:ms:200 {{ print(@texts); printf(\"at %lu\\n\", nsecs / 1000000); }}",
        program.display()
    );
    let words = ["-B", "line", "-p", &process.to_string(), "-e", &script].map(str::to_owned);
    let mut running = bpftrace.run(Path::new("/"), words).within(Duration::from_secs(180)).start();
    // Intervals begin when all is attached. Not ended by a signal, which bpftrace 0.17 misses while it prints.
    let last = |printed: &str| printed.lines().filter_map(|line| line.strip_prefix("at ")?.parse::<f64>().ok()).next_back();
    running.wait_for("bpftrace to attach", |printed| last(printed).is_some());
    meanwhile();
    // The last count was taken after all of it: hundredths of seconds since the boot, as proc_uptime(5) has them.
    let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux has /proc");
    let over: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
    let printed = running.wait_for("another count", |printed| last(printed).is_some_and(|at| at > over * 1000.0 + 300.0));
    printed.lines().filter_map(|line| line.strip_prefix("@texts: ")?.parse().ok()).next_back().unwrap_or(0)
}

#[test]
fn no_text_is_made_for_nobody() {
    let Some(bpftrace) = bpftrace("no_text_is_made_for_nobody") else { return };
    let mut stack = Stack::start("trc_lazy");
    // A file of its own: scripts that watch two daemons attach by the program's file, and so to those of other tests.
    let copy = stack.hosts[0].overlayd.paths.root().join("overlayd");
    stack.hosts[0].overlayd.end();
    let run_copy = format!("cp \"$0\" '{0}' && exec '{0}' \"$@\"", copy.display());
    stack.hosts[0].overlayd.start_again_under(&["sh", "-c", &run_copy]);
    stack.hosts[0].wait("varpd to be back", || stack.hosts[0].varpd.status().is_ok_and(|status| status.overlayd.connected));
    stack.join();
    let daemon = &stack.hosts[0].overlayd;
    let (here, there) = (stack.tenant(1, 1), stack.tenant(2, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let traffic = || {
        let report = here.udp_send(&UdpLoad::new(echo.at(), 97, 100)).expect("datagrams");
        assert_eq!(report.answered, 97);
    };
    assert_eq!(texts_made(&bpftrace, &copy, daemon.id(), traffic), 0, "nobody watches");
    let mut fired = 0;
    let made = texts_made(&bpftrace, &copy, daemon.id(), || {
        let watch = Watch::start(&bpftrace, daemon.id(), &daemon.client);
        traffic();
        let seen = watch.end();
        let texts = |name: &str| {
            let probe = CATALOGUE.iter().find(|probe| probe.provider == "overlay" && probe.name == name).expect("it is there");
            probe.arguments.iter().filter(|argument| argument.kind == Kind::Text).count() as u64
        };
        fired = seen.counts.iter().map(|(name, count)| texts(name) * count).sum();
    });
    // While a watcher comes and goes, something may be said that it does not list.
    assert!(fired >= 97 * 2 && made >= fired, "{made} texts were made for {fired} that were shown");
}

/// Starts a program that can get no new rights, and is killed if it makes one of these system calls of x86-64: bpf, perf_event_open, ptrace,
/// and those by which newer kernels carry out breakpoints, uretprobe and uprobe.
const SECCOMP: &str = "
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0)]
for number in (321, 298, 101, 335, 336):
    code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x80000000)]
code += [(0x06, 0, 0, 0x7fff0000)]
filter = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *one) for one in code))
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(code), ctypes.addressof(filter))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_daemon_behind_a_seccomp_filter_and_without_rights_is_watched_all_the_same() {
    let test = "a_daemon_behind_a_seccomp_filter_and_without_rights_is_watched_all_the_same";
    let Some(bpftrace) = bpftrace(test) else { return };
    if cfg!(not(target_arch = "x86_64")) {
        return skip(&format!("trace::{test}"), "the filter is written for x86-64");
    }
    let Some(_) = Peer::find(&format!("trace::{test}"), "python3") else { return };
    let mut stack = Stack::start("trc_filter");
    stack.hosts[0].overlayd.end();
    stack.hosts[0].overlayd.start_again_under(&["python3", "-c", SECCOMP]);
    stack.hosts[0].wait("varpd to be back", || stack.hosts[0].varpd.status().is_ok_and(|status| status.overlayd.connected));
    let daemon = &stack.hosts[0].overlayd;
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("a process");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).expect("a field").trim().to_owned();
    // proc_pid_status(5): a filter; capabilities(7): CAP_PERFMON and CAP_BPF are 38 and 39.
    assert_eq!((field("Seccomp:"), field("NoNewPrivs:")), ("2".to_owned(), "1".to_owned()));
    assert_eq!(u64::from_str_radix(&field("CapEff:"), 16).expect("a number") & (3 << 38), 0);
    stack.join();
    let (here, there) = (stack.tenant(1, 1), stack.tenant(2, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let watch = Watch::start(&bpftrace, daemon.id(), &daemon.client);
    let report = here.udp_send(&UdpLoad::new(echo.at(), 37, 223)).expect("datagrams");
    assert_eq!(report.answered, 37);
    let seen = watch.end();
    let echoed = |name: &str| seen.of(name).filter(|fired| fired.number("len") == 14 + 20 + 8 + 223).count();
    assert_eq!(["tx-frame", "encap", "tx-send", "decap", "rx-deliver"].map(echoed), [37; 5]);
}
